/* A router's port mapping service: NAT-PMP (RFC 6886) and PCP's MAP and ANNOUNCE (RFC 6887), with the quirks that
 * routers have: pure. Bounded: PORTMAP_MAX mappings for all hosts together. What IPv6 is mapped to is itself: a pinhole in
 * the router's firewall. */
#ifndef SIMNET_SERVICE_PORTMAP_H
#define SIMNET_SERVICE_PORTMAP_H

#include "mesh/base/buf.h"
#include "simnet/service/faults.h"

enum { PORTMAP_MAX = 128, PORTMAP_REPLY_MAX = 64, PORTMAP_LIFE_MAX_S = 7200, PORTMAP_PORT = 5351 };
struct portmap_entry {
	uint8_t proto; /* 17 or 6 */
	uint16_t outer;
	struct endpoint inner;
	struct endpoint peer; /* of a pinhole: who alone may come in; unset address or port: any */
	uint16_t id;	      /* of a pinhole by UPnP; 0 = it has none */
	uint64_t expires_ms;
	bool pcp;
	uint8_t nonce[12]; /* of PCP */
};
struct portmap_taken { /* by a forward of the router's own */
	uint8_t proto;
	uint16_t outer;
};
struct portmap {
	const struct portmap_taken *taken; /* not given to anybody */
	size_t n_taken;
	struct addr outer;
	uint64_t began_ms; /* the epoch counts from there */
	struct portmap_entry v[PORTMAP_MAX];
	size_t n;
	uint16_t last_id;
	bool pinholes; /* there has been one: the rules speak of them */
};
/* The answer's length into out; 0: none. *changed: the mappings are others now. */
size_t portmap_answer(struct portmap *p, uint64_t now_ms, const struct faults *f, const struct endpoint *from,
	const uint8_t *msg, size_t len, uint8_t out[static PORTMAP_REPLY_MAX], bool *changed);
/* Who has an outer IPv4 port; NULL: nobody. */
struct portmap_entry *portmap_at(struct portmap *p, uint8_t proto, uint16_t outer);
bool portmap_is_taken(const struct portmap *p, uint8_t proto, uint16_t outer); /* by the router itself */
/* An outer port that is nobody's, or inner's host's, leads to inner; life_s 0: for ever. false: no room. */
bool portmap_put(struct portmap *p, uint64_t now_ms, uint8_t proto, uint16_t outer,
	const struct endpoint *inner, uint64_t life_s);
/* Opens the router's IPv6 firewall to inner, for peer or (unset) for all; who has that already has it for so long from here.
 * NULL: no room. */
struct portmap_entry *portmap_open(struct portmap *p, uint64_t now_ms, uint8_t proto,
	const struct endpoint *inner, const struct endpoint *peer, uint64_t life_s);
struct portmap_entry *portmap_pinhole(struct portmap *p, uint16_t id); /* NULL: none has it */
void portmap_remove(struct portmap *p, struct portmap_entry *e);
bool portmap_expire(struct portmap *p, uint64_t now_ms); /* whether one has */
/* Text for `nft -f -` in the router's network: a table of its own. false: memory. */
bool portmap_rules(const struct portmap *p, struct buf *out);

#endif
