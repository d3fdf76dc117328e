/* A subnet router's 4via6 networks (base/via6.h): packets of peers to them become IPv4 ones, which the kernel forwards as
 * it does to any network, and what answers becomes IPv6 again. Pure. */
#ifndef RW_NODE_PLANE_VIA_H
#define RW_NODE_PLANE_VIA_H

#include "mesh/base/ip.h"
#include "mesh/base/pkt.h"
#include "mesh/netmap/netmap.h"

struct via;
struct via *via_new(uint64_t seed); /* NULL: memory is short. Takes little before the first packet */
void via_free(struct via *t);	    /* NULL is fine */

enum via_verdict {
	VIA_NOT,	/* no packet of such a network; p is as it was */
	VIA_DONE,	/* p is translated */
	VIA_REFUSED,	/* to an address that no network has: this machine's own, the mesh's, multicast */
	VIA_NO_ADDRESS, /* from no address of the peer's own, or the peer has none of IPv4 */
	VIA_NO_WAY,	/* something that the other family has not, or memory is short */
	VIA_TOO_LARGE	/* p is now what its sender is to be told, for the TUN; or, with no length, nothing */
};
/* From that peer, let in by the rules; v is p. */
enum via_verdict via_in(struct via *t, uint64_t now_ms, const struct netmap_peer *peer,
	const struct ip_view *v, struct pkt *p);
/* From the TUN. VIA_DONE: *v is what p is now. */
enum via_verdict via_out(struct via *t, uint64_t now_ms, struct ip_view *v, struct pkt *p);
/* The second part of what the last via_out had to cut, for the same peer; until the next. NULL: there is none. */
struct pkt *via_rest(struct via *t);
bool via_in_use(const struct via *t); /* via_out may say anything but VIA_NOT */

#endif
