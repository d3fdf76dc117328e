/* The resolver: a pure query machine (resolver/query.c) behind this header. Bytes, events and `now` come in;
 * replies and upstream sends go out through ops. Behaviours B1-B71 of the reference resolver.md. The node
 * embeds it at 100.100.100.100; ropewalk-resolver is the same code behind sockets. */
#ifndef RW_RESOLVER_H
#define RW_RESOLVER_H

#include "mesh/base/dns_secure.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/base/nat64.h"
#include <stdbool.h>
#include <stdint.h>

/* Mesh names, extra records, reverse zones: what is answered here. Counted; changed name by name while it
 * serves, by the loop's thread alone. A change costs what the labels of the name cost, however large the zone
 * is. */
struct zone;
struct zone *zone_new(void); /* empty, one reference; NULL: memory short */
struct zone *zone_get(struct zone *z);
void zone_put(struct zone *z); /* NULL is fine */
/* name: FQDN with or without trailing dot, any case. with_ptr: it is a host's: and the name of the address. ERR_MALFORMED:
 * not a name; ERR_REFUSED: an alias (CNAME) already; -ENOMEM. Nothing has changed then. What was given n
 * times is there until it was removed n times. */
int zone_add_address(struct zone *z, const char *name, const struct addr *ip, bool with_ptr);
void zone_remove_address(struct zone *z, const char *name, const struct addr *ip, bool with_ptr);
/* Names at or below suffix that do not exist answer NXDOMAIN here and are never forwarded. Errors as above.
 */
int zone_add_authority(struct zone *z, const char *suffix);
void zone_remove_authority(struct zone *z, const char *suffix);

enum { RESOLVER_UPSTREAMS_MAX = 8 };
struct resolver_upstream {
	struct endpoint at;
	/* By TLS or HTTPS, never in clear; its AD bit is believed. NULL: plain DNS. Copied. */
	const struct dns_secure *secure;
	bool trusted; /* reached through the mesh, or by choice: its AD bit is believed */
	bool site; /* of the place we are at, or of the mesh: it may be asked for names of a site (home.arpa,
		    * internal, local, test, single labels, reverse of private addresses) */
};
enum resolver_order {
	RESOLVER_PREFERRED, /* in order; the next is asked beside one that is slow, and may answer for it */
	RESOLVER_STRICT,    /* in order; the next is asked when one failed the question, or is gone */
	RESOLVER_RACE,	    /* all at once, the first answer counts */
};
struct resolver_route {
	const char *suffix; /* "" = default */
	const struct resolver_upstream *upstreams;
	size_t n_upstreams; /* 0: answered by the zone only; at most RESOLVER_UPSTREAMS_MAX */
	enum resolver_order order;
	bool validate; /* answers are validated: what does not ask for CD goes to the driver as `validated` */
};
/* What is said of all names at and below a suffix; local_zone.h says what each word means. */
enum resolver_word {
	RESOLVER_WORD_NONE,
	RESOLVER_REFUSE,
	RESOLVER_TRANSPARENT,
	RESOLVER_TYPETRANSPARENT,
	RESOLVER_REDIRECT,
	RESOLVER_ALWAYS_NXDOMAIN,
	RESOLVER_ALWAYS_NODATA,
	RESOLVER_ALWAYS_REFUSE,
	RESOLVER_ALWAYS_NULL,
	RESOLVER_ALWAYS_TRANSPARENT,
	RESOLVER_WORDS,
};
struct resolver_local_zone {
	const char *suffix;
	enum resolver_word word;
};
struct resolver_config {
	const struct resolver_route *routes; /* copied */
	size_t n_routes;
	/* Names of a site go to the default route's upstreams that are of a site, else to these, else
	 * nowhere. */
	const struct resolver_upstream *site; /* copied; at most RESOLVER_UPSTREAMS_MAX */
	size_t n_site;
	/* Addresses of private networks, this machine and links, from servers of the default route that are not of
	 * a site, are not passed on (rebinding): but for names at or below these suffixes. */
	bool refuse_private;
	/* Questions by UDP carry their name in lower case. false: in random case (mixed_case.c). */
	bool lower_case;
	const char *const *private_ok; /* copied */
	size_t n_private_ok;
	const struct resolver_local_zone *local_zones; /* copied */
	size_t n_local_zones;
	size_t cache_bytes;  /* 0 = 4 MiB */
	uint32_t mesh_ttl_s; /* 0 = 5 */
	uint32_t stale_s;    /* how long past its time an answer serves when nothing newer can be had: 0 = a
			   * day, UINT32_MAX = never */
	/* Names without an address of IPv6 get one of this prefix for each of IPv4 (DNS64), but for those who validate
	 * themselves (DO and CD). bits 0: not so. */
	struct nat64 dns64;
	bool dns64_find; /* in place of it the prefixes that whoever is asked for ipv4only.arpa uses (RFC 7050) */
	const struct endpoint *own; /* where we listen: never used as an upstream (a loop); an unspecified
				     * address stands for every local one of the port that can be told */
	size_t n_own;
};

/* Where an answer came from. */
enum resolver_source {
	RESOLVER_FROM_ZONE,
	RESOLVER_FROM_RULES, /* a name that does not leave, or that no route leads anywhere for */
	RESOLVER_FROM_BLOCK,
	RESOLVER_FROM_CACHE,
	RESOLVER_FROM_STALE, /* the cache, past its time */
	RESOLVER_FROM_UPSTREAM,
	RESOLVER_FROM_NOWHERE, /* nobody said anything; an error of ours */
};
const char *resolver_source_text(enum resolver_source s); /* "zone", "rules", "block", ... */
struct dns_name;
struct resolver_told { /* a question that had one, and its answer; valid during the call */
	uint64_t client;
	const struct dns_name *name; /* lower case */
	uint16_t type, rcode;
	enum resolver_source source;
	uint32_t took_ms;
};

struct resolver_target { /* valid during the call */
	struct endpoint at;
	const struct dns_secure *secure; /* NULL: plain */
	bool tcp;			 /* plain: by TCP */
	bool fresh;			 /* by UDP: from a port that no other question has had */
	bool validated; /* to nobody in particular: the driver finds the answer out by questions with CD, and says AD
			 * where it is signed. `at` is of no meaning */
};

/* No function of this header may be called from within an op, but resolver_deadline from `sooner`. */
enum { RESOLVER_WHO = 4096 };
struct resolver_ops {
	/* client: the handle given to resolver_query. msg is valid during the call only. */
	void (*reply)(void *arg, uint64_t client, const uint8_t *msg, size_t len);
	/* Send to an upstream. id comes back in resolver_upstream_received/failed. UDP: from
	 * random source ports that few ids share, and for a moment; TCP: two-byte length added and stripped by the driver, which may
	 * share connections. */
	void (*upstream_send)(
		void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len);
	/* No more answers wanted for id: the driver may close its socket. */
	void (*upstream_done)(void *arg, uint64_t id);
	/* Whose question that is, as a number below RESOLVER_WHO: who has many out leaves the last places to others.
	 * NULL: nobody does. */
	uint16_t (*who)(void *arg, uint64_t client);
	/* Which lists of the block set hold for this client just now, a bit for each. NULL: all. */
	uint32_t (*lists)(void *arg, uint64_t client);
	/* May this client have the names of our domains (zone_add_authority), and those of hosts (with_ptr) wherever they
	 * are? NULL: every one may. Who may not is refused them; of a chain that leads there he gets what is before them. */
	bool (*may_have)(void *arg, uint64_t client);
	/* Before each reply to a question that was one. NULL: nobody wants to know. */
	void (*told)(void *arg, const struct resolver_told *t);
	/* resolver_deadline is nearer than it was, since resolver_block_set. NULL: nobody wants to know. */
	void (*sooner)(void *arg);
	/* An upstream was found to change the case of names: it is asked in lower case. Once for each. NULL: nobody wants
	 * to know. */
	void (*case_changes)(void *arg, const struct endpoint *at);
	void *arg;
};

struct resolver;
struct resolver *resolver_new(const struct resolver_ops *ops, const struct random *rnd);
void resolver_free(struct resolver *r); /* no op is called afterwards */
/* Is an upstream one of c->own? Such ones are left out. */
bool resolver_is_own(const struct resolver_config *c, const struct endpoint *at);
/* Answers in flight and the cache live on where a route keeps its suffix and upstreams. Errors: a suffix that
 * is not a name, a suffix twice, too many upstreams; the old configuration then stays. */
int resolver_configure(struct resolver *r, const struct resolver_config *c, struct errbuf *eb);
void resolver_zone_set(struct resolver *r, struct zone *z); /* takes its own reference; NULL = empty */
/* Names that are not answered, and what is said instead. Takes its own reference; NULL: none. What the zone
 * has is never blocked. An upstream's answer is when its CNAMEs lead through a name that is, unless an allow list
 * has the name that was asked for. */
struct block;
struct block_answer;
void resolver_block_set(struct resolver *r, struct block *b, const struct block_answer *how);
/* It is to come: until then questions wait whose names lists of their client could block, for 3 s at most, and then get
 * SERVFAIL. */
void resolver_block_wait(struct resolver *r);
/* One client message. tcp: no truncation. The reply may come during the call. true: exactly one reply has
 * come or will come; false: none will (too short to answer, or a response), counted in stats. */
bool resolver_query(
	struct resolver *r, uint64_t now_ms, uint64_t client, const uint8_t *msg, size_t len, bool tcp);
/* The client is gone (TCP closed): nothing will be replied. */
void resolver_client_gone(struct resolver *r, uint64_t client);
void resolver_upstream_received(
	struct resolver *r, uint64_t now_ms, uint64_t id, const uint8_t *msg, size_t len);
/* The socket failed (refused, unreachable, closed): code is a negative errno or enum err. */
void resolver_upstream_failed(struct resolver *r, uint64_t now_ms, uint64_t id, int code);
/* Forgets which upstreams were silent: after a sleep, a new link, a tunnel that came up. The cache stays. */
void resolver_network_changed(struct resolver *r);
/* Somebody who may know says that the upstreams at ip are gone: they are asked last, and where a route has no
 * other, questions wait for a second instead of longer. One that answers all the same is well again. */
void resolver_upstream_doubted(struct resolver *r, uint64_t now_ms, const struct addr *ip);
/* Upstreams that send on to this resolver what it asks them: into out[cap]; how many there are. They are not
 * asked. */
size_t resolver_rings(const struct resolver *r, struct endpoint *out, size_t cap);
/* Forgets what upstreams said of a name of every type (below: and of all names under it), NULL: of all. *n is
 * how many answers that were. ERR_MALFORMED: not a name. */
int resolver_flush(struct resolver *r, const char *name, bool below, size_t *n);
/* told(arg) after each flush, which it may not cause; NULL: nobody is told any more. */
void resolver_flush_told(struct resolver *r, void (*told)(void *arg), void *arg);
/* What is due, or as much of it as may be done in one go: the deadline is past then, still. */
void resolver_tick(struct resolver *r, uint64_t now_ms);
uint64_t resolver_deadline(const struct resolver *r); /* ms; UINT64_MAX = none */

/* clang-format off */
#define RESOLVER_STATS(X)                                                                                  \
	X(queries) X(local) X(blocked) X(cached) X(stale) X(prefetched) X(forwarded) X(merged) X(probes) X(nxdomain) X(servfail) X(refused) X(formerr) \
	X(truncated) X(drop_short) X(drop_response) X(drop_full) X(yielded) X(upstream_mismatch) X(upstream_malformed) X(upstream_case) \
	X(upstream_timeout) X(upstream_tcp) X(upstream_secure) X(upstream_failed) X(loop) X(rebinding) X(validated) X(kept) X(kept_left) X(kept_bad)
/* clang-format on */
struct resolver_stats {
#define X(name) uint64_t name;
	RESOLVER_STATS(X)
#undef X
};
const struct resolver_stats *resolver_stats(const struct resolver *r);

#endif
