/* Messages between endpoints, by datagrams or over TCP connections that are made when they are needed. To the
 * cores both look the same: what is sent may be lost, what arrives is whole and says where it comes from. */
#ifndef SIMNET_PUNCH_CARRIER_H
#define SIMNET_PUNCH_CARRIER_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/os/loop.h"

/* From the loop; carrier_send is allowed from it, carrier_close is not. */
typedef void carrier_received(void *owner, const struct endpoint *from, const uint8_t *p, size_t len);

struct carrier_udp;
/* at: unspecified v6 = dual stack. NULL with eb. */
struct carrier_udp *carrier_udp_open(struct loop *l, const struct endpoint *at, carrier_received *received,
	void *owner, struct errbuf *eb);
void carrier_udp_send(struct carrier_udp *c, const struct endpoint *to, const uint8_t *p, size_t len);
/* From now on it hears what is said to an IPv4 group on that interface. false: it is not there. */
bool carrier_udp_join(struct carrier_udp *c, uint32_t group, const char *ifname);
struct endpoint carrier_udp_local(const struct carrier_udp *c);
void carrier_udp_close(struct carrier_udp *c); /* NULL is fine */

/* Frames: 2 bytes of length (big-endian) and as many of message. A connection ends when its other end sends
 * more than 4096 bytes in one. dials: to send to somebody without a connection opens one, from the port that
 * it listens on, which is how two that do so at once meet (RFC 5382 section 4.2); what waits for it is lost. */
struct carrier_tcp;
struct carrier_tcp *carrier_tcp_open(struct loop *l, const struct endpoint *at, bool dials,
	carrier_received *received, void *owner, struct errbuf *eb);
void carrier_tcp_send(struct carrier_tcp *c, const struct endpoint *to, const uint8_t *p, size_t len);
struct endpoint carrier_tcp_local(const struct carrier_tcp *c);
void carrier_tcp_close(struct carrier_tcp *c); /* NULL is fine */

#endif
