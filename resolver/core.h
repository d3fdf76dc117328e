/* Inside of the resolver, shared by query.c (the way of one question), flight.c (questions to upstreams) and
 * configure.c. */
#ifndef RW_RESOLVER_CORE_H
#define RW_RESOLVER_CORE_H

#include "resolver/answer.h"
#include "resolver/cache.h"
#include "resolver/resolver.h"
#include "resolver/special.h"
#include "resolver/suffix.h"
#include "resolver/upstream.h"
#include "resolver/zone.h"

enum {
	FLIGHTS_MAX = 1024,
	BUCKETS = 1024,
	WAITERS_MAX = 4096,
	FLIGHT_WAITERS_MAX = 256,
	ATTEMPTS_MAX = 12,
	CACHE_BYTES = 4 << 20,
	MESH_TTL_S = 5,
};

struct route {
	struct dns_name suffix;
	uint64_t split; /* cache key: suffix and upstreams */
	bool race;
	uint8_t n;
	struct upstream *upstreams[RESOLVER_UPSTREAMS_MAX]; /* counted */
};
struct routes { /* immutable, counted: a flight ends with the routes it began with */
	unsigned refs;
	size_t n;
	struct route *list;
	struct suffixes *index;
	bool split;		/* some suffix beside the default */
	struct upstream **pool; /* where upstreams are listed */
};

struct waiter { /* a client's question, parked until its flight lands */
	struct waiter *next;
	uint64_t client;
	struct dns_query q;
};
struct attempt {
	struct upstream *to;
	uint64_t sent_ms;
	uint16_t id;
	bool waiting, tcp, edns, struck;
	uint8_t bad; /* wrong packets so far */
};
struct flight_key {
	const struct route *route;
	struct dns_name name; /* lower case */
	uint16_t type;
	bool dnssec_ok, checking_disabled;
};
struct flight {
	struct flight *chain, *older, *younger;
	struct flight_key key;
	struct routes *routes;
	uint64_t hash, began_ms, deadline_ms, next_ms, due_ms;
	uint32_t generation;
	uint16_t slot, heap_at, n_waiters;
	bool probe, race, own_trouble;
	struct waiter *waiters;
	struct {
		struct upstream *to;
		bool failed;
	} order[RESOLVER_UPSTREAMS_MAX];
	uint8_t n_order, turn, n_attempts;
	struct attempt attempts[ATTEMPTS_MAX];
	uint16_t rcode, ede; /* the failure so far; rcode 0 = none said anything */
	uint8_t *partial;    /* owned: a truncated answer, should TCP fail */
	size_t partial_len;
};

struct resolver {
	struct resolver_ops ops;
	const struct random *rnd;
	uint64_t seed[2];
	struct zone *zone;
	struct special special;
	struct routes *routes;
	struct upstream *upstreams;
	struct cache *cache;
	uint32_t mesh_ttl_s, turn;
	struct resolver_stats stats;
	/* flights */
	struct flight *slots[FLIGHTS_MAX], *heap[FLIGHTS_MAX], *buckets[BUCKETS], *oldest, *youngest;
	uint32_t generations[FLIGHTS_MAX];
	uint16_t free_slots[FLIGHTS_MAX];
	uint16_t n_free, n_heap;
	size_t n_waiters;
	uint8_t pool[256]; /* random bytes not yet used */
	size_t n_pool;
	/* scratch, each used within one call */
	struct answer_work work;
	uint8_t clean[DNS_MESSAGE_MAX + DNS_OPT_LEN], out[DNS_MESSAGE_MAX + DNS_OPT_LEN];
};

/* How a flight ended. msg: a clean message, or NULL: rcode and ede say why. */
struct landing {
	const uint8_t *msg;
	size_t len;
	bool truncated;
	uint16_t rcode, ede;
	const char *ede_text;
};
/* query.c: the one end of every parked question; the waiter is freed. */
void query_done(struct resolver *r, uint64_t now_ms, struct waiter *w, const struct landing *l);

/* flight.c */
bool flight_join(
	struct resolver *r, const struct flight_key *k, struct waiter *w); /* an identical one is out */
bool flight_start(
	struct resolver *r, uint64_t now_ms, const struct flight_key *k, struct waiter *w); /* false: full */
/* All places are taken: the flight that is out the longest ends in SERVFAIL, so that a flood of names that
 * nobody answers does not shut out those somebody does. false: none has been out long enough. */
bool flights_yield(struct resolver *r, uint64_t now_ms);
/* Asks a held upstream of the route whether it is back, when that is due. */
void flight_probe(struct resolver *r, uint64_t now_ms, const struct flight_key *k);
void flights_forget(struct resolver *r, uint64_t client);
void flights_drop(struct resolver *r); /* no ops */
bool route_is_dead(const struct route *route);

/* configure.c */
void routes_put(struct routes *routes);

#endif
