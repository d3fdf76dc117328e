/* A port on the router that leads to our UDP socket: found, asked for, kept and given back. Pure: what the router says
 * and `now` come in; requests go out through ops, in the midst of a fact; nothing else calls back. RFC 6886, RFC 6887.
 *
 * One struct is one family. With IPv6 the port is our own and the router's firewall lets strangers in to it, a
 * pinhole: PCP alone asks for one.
 *
 * Only the router is believed: what another address says is counted and dropped. What it says is a wish of a stranger
 * all the same: it moves nothing but the one endpoint that peers are told, and only for as long as it says. */
#ifndef RW_PORTMAP_PORTMAP_H
#define RW_PORTMAP_PORTMAP_H

#include "mesh/portmap/messages.h"

/* In the order in which they are taken where several are there. */
enum portmap_protocol { PORTMAP_PCP, PORTMAP_PMP, PORTMAP_UPNP, PORTMAP_PROTOCOLS };
const char *portmap_protocol_name(enum portmap_protocol p); /* "NAT-PMP" */

struct portmap_ops {
	void (*send)(void *arg, const uint8_t *p, size_t len); /* to the router's ROUTER_PORT */
	/* UPnP goes over TCP, in many steps, so the driver does it (upnp.h). Who is there: portmap_upnp_found. Not called for
	 * IPv6. */
	void (*upnp_search)(void *arg);
	/* Told by portmap_upnp_mapped, also when it fails. Not called again before. */
	void (*upnp_map)(void *arg, const struct router_wish *w);
	void (*upnp_unmap)(void *arg, uint16_t outer); /* a port that upnp_mapped told */
	void *arg;
};
struct portmap_router {
	struct addr gateway; /* unspecified: there is none to be asked */
	struct addr self;    /* ours on the way there; its family is the mapping's */
	uint16_t port;	     /* of our socket */
};

enum portmap_phase { PORTMAP_IDLE, PORTMAP_SEARCH, PORTMAP_ASK, PORTMAP_HELD, PORTMAP_REST };
enum portmap_answer { PORTMAP_UNKNOWN, PORTMAP_ABSENT, PORTMAP_THERE, PORTMAP_REFUSES };

#define PORTMAP_DROPS(X) X(stranger) X(malformed) X(unasked)
struct portmap_drops {
#define X(name) uint64_t name;
	PORTMAP_DROPS(X)
#undef X
};

struct portmap { /* others read; portmap.c alone writes */
	struct portmap_ops ops;
	struct portmap_router router;
	uint8_t nonce[ROUTER_NONCE];
	enum portmap_phase phase;
	uint64_t next_ms; /* of the phase */
	unsigned tries;
	enum portmap_answer answers[PORTMAP_PROTOCOLS];
	char refusals[PORTMAP_PROTOCOLS][64]; /* of those that refuse: why */
	bool searched;			      /* a search has ended since the router is this one */

	enum portmap_protocol by;		 /* of ASK and HELD */
	struct endpoint mapped;			 /* set: the port is ours */
	uint64_t asked_ms, renew_ms, expires_ms; /* asked_ms: when this ASK began */
	bool port_granted, address_told;	 /* NAT-PMP says them one by one */
	struct router_reply granted;		 /* what has been said in this ASK */
	struct addr outer;			 /* the last that the router told; unspecified: none */
	uint64_t rest_ms, searched_ms;
	bool news;
	struct portmap_drops drops;
};

/* nonce: PCP's proof that a mapping is ours; the same after a restart, or the router keeps the old one from us. */
void portmap_init(struct portmap *m, const struct portmap_ops *ops, const uint8_t nonce[static ROUTER_NONCE]);
/* The link came or moved: all that was known ends, and the search begins, also when the router is the same. */
void portmap_router_set(struct portmap *m, uint64_t now_ms, const struct portmap_router *r);
/* A datagram to the socket that send() uses. */
void portmap_received(
	struct portmap *m, uint64_t now_ms, const struct endpoint *from, const uint8_t *p, size_t len);
/* A datagram to ROUTER_NEWS_PORT. Whether the router said so: its other family may have been forgotten as well. */
bool portmap_news_received(
	struct portmap *m, uint64_t now_ms, const struct endpoint *from, const uint8_t *p, size_t len);
void portmap_upnp_found(struct portmap *m, uint64_t now_ms); /* only after upnp_search */
/* What upnp_map came to: outer, address and lifetime_s of got; why not NULL: nothing was mapped. An address alone, with
 * outer 0, says what is in the way. Only after upnp_map. */
void portmap_upnp_mapped(struct portmap *m, uint64_t now_ms, const struct router_reply *got, const char *why);
/* Something of ours was lost that the router may have forgotten with the mapping: ask. Bounded: once a second, the last of them later. */
void portmap_doubt(struct portmap *m, uint64_t now_ms);
void portmap_tick(struct portmap *m, uint64_t now_ms);
uint64_t portmap_deadline(const struct portmap *m); /* ms; UINT64_MAX: none */
/* Gives the mapping back, without waiting for a word; the router is none afterwards. */
void portmap_release(struct portmap *m);

/* Whether the mapping, or what is found, is another than at the last call. */
bool portmap_take_news(struct portmap *m);
bool portmap_is_there(const struct portmap *m, enum portmap_protocol p);
/* Why there is no mapping, and what would help; "" when there is one, or nothing to say yet. Returns buf. */
char *portmap_explain(const struct portmap *m, char *buf, size_t cap);

#endif
