/* Inside of the resolver, shared by query.c (the way of one question), flight.c (questions to upstreams),
 * check.c (is an upstream there?) and configure.c. */
#ifndef RW_RESOLVER_CORE_H
#define RW_RESOLVER_CORE_H

#include "mesh/base/heap.h"
#include "resolver/answer.h"
#include "resolver/block.h"
#include "resolver/cache.h"
#include "resolver/ready.h"
#include "resolver/resolver.h"
#include "resolver/spare.h"
#include "resolver/special.h"
#include "resolver/suffix.h"
#include "resolver/upstream.h"
#include "resolver/zone.h"

enum {
	FLIGHTS_MAX = 1024,
	BUCKETS = 1024,
	WAITERS_MAX = 4096,
	FLIGHT_WAITERS_MAX = 256,
	MANY_OUT = FLIGHTS_MAX / 4, /* who has so many out leaves others */
	FLIGHTS_KEPT = FLIGHTS_MAX / 8,
	WAITERS_KEPT = WAITERS_MAX / 8,
	CACHE_BYTES = 4 << 20,
	MESH_TTL_S = 5,
	STALE_S = 86400,
	ASKER_WAITS_MS = 4900, /* then it asks again, or elsewhere */
	DUE_AT_ONCE = 16,      /* of what is due, in one go: names that are here are answered in between */
};

struct route {
	struct dns_name suffix;
	uint64_t split; /* cache key: suffix and upstreams */
	enum resolver_order order;
	uint8_t n;
	struct upstream *upstreams[RESOLVER_UPSTREAMS_MAX]; /* counted */
	struct upstream
		*validator; /* counted; asked in place of them but for CD; NULL: nothing is validated */
};
struct routes { /* immutable, counted: a flight ends with the routes it began with */
	unsigned refs;
	size_t n;
	struct route *list;
	struct suffixes *index;	  /* of all but the site's */
	const struct route *site; /* for names of a site; NULL: there is nobody to ask */
	bool split;		  /* some suffix beside the default */
	bool refuse_private;	  /* see struct resolver_config */
	struct suffixes *private_ok;
	struct local_zones *local_zones; /* NULL: none */
	struct upstream **pool;		 /* where upstreams are listed */
};

struct waiter { /* a client's question, parked until its flight lands */
	struct waiter *next;
	uint64_t client, began_ms;
	uint8_t *before; /* owned: the chain that led here from another route; NULL: none */
	size_t before_len;
	uint8_t hops;
	uint32_t four_s; /* see struct asking */
	bool search;	 /* of nobody but dns64_search.c */
	bool stale;	 /* there is an answer past its time to fall back on */
	bool counted;	 /* in out_of[who] */
	uint16_t who;
	struct dns_query q;
};
struct flight_key {
	const struct route *route; /* NULL: a check */
	struct dns_name name;	   /* lower case */
	uint16_t type;
	bool dnssec_ok, checking_disabled;
	uint64_t hash; /* flight_key_hash; of no meaning to a check */
};
struct flight; /* flight.h */

struct dns64_search {	   /* dns64_search.c */
	bool on, out;	   /* out: a question of it is on its way */
	bool over;	   /* to somebody of before: what he says counts no more */
	uint64_t due_ms;   /* when to ask next */
	uint32_t again_ms; /* how long to wait after another failure */
};

struct resolver {
	struct resolver_ops ops;
	const struct random *rnd;
	uint64_t seed[2];
	struct zone *zone;
	struct special special;
	struct block *block; /* NULL: nothing is blocked */
	bool block_waits;    /* it is to come: resolver_block_wait */
	struct block_answer block_answer;
	struct waiter *held, *held_last; /* hold.c; the oldest first */
	struct routes *routes;
	struct upstream *upstreams;
	struct cache *cache;
	struct ready *ready;	   /* what the zone says; NULL: nothing is kept ready */
	uint64_t ready_of_changes; /* zone_changes, when it was made */
	uint32_t mesh_ttl_s, stale_s, turn;
	bool lower_case; /* see struct resolver_config */
	struct nat64_set dns64;
	struct dns64_search dns64_search;
	struct resolver_stats stats;
	void (*flushed)(void *arg); /* NULL: nobody is told */
	void *flushed_arg;
	/* flights */
	struct flight *slots[FLIGHTS_MAX], *buckets[BUCKETS], *oldest, *youngest;
	struct heap_item *due[FLIGHTS_MAX];
	struct heap heap; /* of all, by what is due; its room is `due` */
	uint32_t generations[FLIGHTS_MAX];
	uint16_t free_slots[FLIGHTS_MAX];
	uint16_t n_free, n_lingering;
	size_t n_waiters;
	uint16_t out_of[RESOLVER_WHO]; /* questions that wait, by whose they are (resolver_ops.who) */
	struct spares spare_waiters, spare_flights;
	uint8_t pool[256]; /* random bytes not yet used */
	size_t n_pool;
	/* scratch, each used within one call */
	struct answer_work work;
	struct dns_query asked;
	struct zone_hit hit;
	struct dns_name leads_to; /* the name that was asked, or where records of ours lead from it */
	uint8_t clean[DNS_MESSAGE_MAX + DNS_OPT_LEN], out[DNS_MESSAGE_MAX + DNS_OPT_LEN];
};

/* How a flight ended. msg: a clean message, or NULL: rcode and ede say why. */
struct landing {
	const uint8_t *msg;
	size_t len;
	bool truncated;
	uint16_t rcode, ede;
	const char *ede_text;
	const struct dns_name *name;   /* what was asked; NULL: it has not come so far */
	const struct cache_key *stale; /* what is past its time under this key is better than a failure; NULL:
					* nothing is */
};
void waiter_free(struct resolver *r, struct waiter *w);
/* query.c: the one end of every parked question; the waiter is freed. */
void query_done(struct resolver *r, uint64_t now_ms, struct waiter *w, const struct landing *l);
/* The question begins anew, without having come in again; the waiter is freed. */
void query_resume(struct resolver *r, uint64_t now_ms, struct waiter *w);
/* Is it the zone that speaks for this name? What it has of it in *hit. */
bool query_zone_speaks(const struct resolver *r, const struct dns_name *name, struct zone_hit *hit);
/* Whom this name (lower case), if it is not in the zone, is asked now; NULL: nobody. Valid until the routes change. */
const struct route *query_route(const struct resolver *r, const struct dns_name *name, uint16_t type);
/* Is what there is to say of it, if it is not in the zone, known without asking anybody? Then no list has a say. */
bool query_ends_here(const struct resolver *r, const struct dns_name *name, uint16_t type);
/* How long an answer for this name is kept. Nothing of what the zone owns outlives its time. */
struct cache_life query_life(const struct resolver *r, const struct dns_name *name, uint32_t ttl_s);

/* hold.c: questions that wait for what is blocked (resolver_block_wait). */
void hold_add(struct resolver *r, struct waiter *w);
void hold_tick(struct resolver *r, uint64_t now_ms); /* whose wait is over */
uint64_t hold_deadline(const struct resolver *r);
void hold_forget(struct resolver *r, uint64_t client);
void hold_drop(struct resolver *r); /* no ops */

/* dns64_search.c: the translators' prefixes, asked for by this resolver itself. */
void dns64_search_set(struct resolver *r, bool on, const struct nat64 *given); /* given: if it is not on */
void dns64_search_again(struct resolver *r);				       /* others may be asked now */
void dns64_search_tick(struct resolver *r, uint64_t now_ms);
uint64_t dns64_search_deadline(const struct resolver *r);
/* The end of its question; the waiter is freed. */
void dns64_search_done(struct resolver *r, uint64_t now_ms, struct waiter *w, const struct landing *l);

/* flight.c */
struct cache_key flight_cache_key(const struct flight_key *k);
void flight_key_hash(
	const struct resolver *r, struct flight_key *k); /* before it is used, and all else of it is set */
bool flight_join(
	struct resolver *r, const struct flight_key *k, struct waiter *w); /* an identical one is out */
bool flight_start(
	struct resolver *r, uint64_t now_ms, const struct flight_key *k, struct waiter *w); /* false: full */
/* For the cache alone, unless it is out already or places are few. false: not asked. */
bool flight_refresh(struct resolver *r, uint64_t now_ms, const struct flight_key *k);
bool route_is_in_doubt(const struct route *route); /* every upstream that can be asked is held */
/* All places are taken: the flight that is out the longest ends in SERVFAIL, so that a flood of names that
 * nobody answers does not shut out those somebody does. false: none has been out long enough. */
bool flights_yield(struct resolver *r, uint64_t now_ms);
void flights_forget(struct resolver *r, uint64_t client);
void flights_drop(struct resolver *r); /* no ops; at the end */
/* A question of a check to u alone. false: no place. The routes hold u. */
bool flight_check(struct resolver *r, uint64_t now_ms, struct routes *routes, struct upstream *u,
	const struct upstream_question *what, bool canary);
/* u is held: whoever waits for it asks the next. */
void flights_hurry(struct resolver *r, uint64_t now_ms, const struct upstream *u);
/* u is a ring: nobody waits for it, from the next tick on. */
void flights_leave(struct resolver *r, uint64_t now_ms, const struct upstream *u);

/* check.c */
/* Asks u something that it answered before and would still be asked, but not `not` (NULL: anything), and a canary. */
void check_start(struct resolver *r, uint64_t now_ms, struct routes *routes, struct upstream *u,
	const struct dns_name * not );
/* Those of the route that are held or rings, when it is due. */
void check_route(struct resolver *r, uint64_t now_ms, const struct route *route);
/* Could it be one of a canary? */
bool check_is_like_canary(const struct dns_name *name);
/* Is this the name of a canary of ours? Then its upstream is a ring. */
bool check_canary_came(struct resolver *r, uint64_t now_ms, const struct dns_name *name);

/* configure.c */
void routes_put(struct routes *routes);

#endif
