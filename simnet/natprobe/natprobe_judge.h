/* From what was seen to what the NAT is: pure. */
#ifndef SIMNET_NATPROBE_JUDGE_H
#define SIMNET_NATPROBE_JUDGE_H

#include "mesh/base/addr.h"
#include "mesh/base/buf.h"
#include "simnet/scenario/nat_model.h"

enum { NATPROBE_PORTS = 8, NATPROBE_LIFES_MAX = 128 };
enum natprobe_seen { /* which answers came */
	NATPROBE_SEEN_SELF = 1,
	NATPROBE_SEEN_PORT = 2,
	NATPROBE_SEEN_HOST = 4,
	NATPROBE_SEEN_ALL = 7,
};
struct natprobe_seen_by { /* of UDP or of TCP; a port of 0: no answer */
	struct endpoint local;
	struct endpoint first, other_port, other_host; /* how one socket is seen there */
	unsigned through; /* of an address that only spoke to the first: who got through, NATPROBE_SEEN_ */
};
struct natprobe_facts {
	struct natprobe_seen_by udp, tcp;
	struct {
		uint16_t local, seen;
	} ports[NATPROBE_PORTS]; /* sockets one after another, all to the first server; seen 0 = no answer */
	bool hairpinned;
	struct endpoint hairpin_from, hairpin_local; /* who it came from; who sent it, inside */
	size_t n_lifes; /* mappings that were silent for 0.5, 1.5, 2.5 … seconds */
	bool life_came[NATPROBE_LIFES_MAX];
	bool ipv6; /* there is an address of it that is not of the link alone */
};
struct natprobe_report {
	bool udp, tcp; /* there was an answer */
	bool translated;
	struct nat_class udp_class, tcp_class;
	enum nat_ports ports;
	bool ports_known; /* else a guess: hash and random look alike */
	enum nat_hairpin hairpin;
	uint32_t lifetime_s;	/* 0 = not measured */
	bool lifetime_at_least; /* it is that, or more */
	bool ipv6;
	struct addr outer;
};
void natprobe_judge(const struct natprobe_facts *f, struct natprobe_report *out);
/* A `routers:` stanza with what is measured and, marked, what is assumed. false: memory. */
bool natprobe_stanza(const struct natprobe_report *r, struct buf *out);
bool natprobe_json(const struct natprobe_report *r, struct buf *out); /* one line */

#endif
