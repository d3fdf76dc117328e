/* One end of a stream of numbered probes: it sends them from a host's network and says which came back. Who
 * measures is the meter's business (meter.h), when to send is the stream's. */
#ifndef SIMNET_PROBE_H
#define SIMNET_PROBE_H

#include "mesh/base/addr.h"
#include "simnet/host/proc.h"

/* ICMP echo; UDP datagrams or records on one TCP connection, to somebody who sends back what he gets. */
enum probe_kind { PROBE_ICMP, PROBE_UDP, PROBE_TCP };

struct probe;
struct probe_spec {
	enum probe_kind kind;
	struct endpoint to; /* ICMP: without port */
	uint16_t id;	    /* not that of another probe on the host */
	void (*answered)(void *owner, uint32_t seq);
	void *owner;
};
struct probe *probe_open(const struct proc_place *from, const struct probe_spec *spec, struct errbuf *eb);
void probe_send(struct probe *p, uint32_t seq);
/* ", and …": what the machines on the way say of lost probes since the last answer; "" = nothing. from: name
 * of the sender. */
const char *probe_trouble(const struct probe *p, const char *from, char *buf, size_t cap);
void probe_close(struct probe *p); /* NULL is fine */

#endif
