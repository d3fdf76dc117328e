/* Answers kept for their time to live, positive and negative, in a fixed number of bytes; the least used go
 * first. Entries of one split never answer another: a route's upstreams can only speak for their own route.
 * Past their time they stay for as long as they were given, for when nobody says anything newer (RFC 8767).
 */
#ifndef RW_RESOLVER_CACHE_H
#define RW_RESOLVER_CACHE_H

#include "resolver/name.h"

struct cache_key {
	uint64_t split;
	const struct dns_name *name; /* lower case */
	uint16_t type;
	bool dnssec_ok, checking_disabled;
	uint64_t hash; /* cache_key_hash with the cache's seed; 0: it is found out each time */
};
enum {
	CACHE_STALE_TTL_S = 30, /* what a stale answer says, RFC 8767 4 */
	CACHE_TRIED_MS = 5000,	/* how long "nobody said anything newer" holds. RFC 8767 has 30 s, for servers
				    * of strangers; those of a route are few, and their health is known */
	CACHE_REFRESH_MIN_S = 10, /* nothing that lives shorter is refreshed before its time */
};
struct cache_life {
	uint32_t ttl_s;
	uint32_t stale_s; /* how long past ttl_s it may serve, when there is nothing else */
};
struct cache_item {
	const uint8_t *msg; /* valid until the next put, drop or free */
	size_t len;
	uint32_t age_s;
	bool stale;   /* past its time */
	bool tried;   /* stale: asking for a newer one brought nothing, a moment ago */
	bool refresh; /* in the last tenth of its time, and asked for before: true once */
};
/* What is left of a TTL that the message says. */
static inline uint32_t cache_item_ttl(const struct cache_item *i, uint32_t ttl_s)
{
	return i->stale ? CACHE_STALE_TTL_S : ttl_s > i->age_s ? ttl_s - i->age_s : 0;
}
struct cache;
struct cache *cache_new(size_t bytes, const uint64_t seed[2]); /* NULL: memory short */
void cache_free(struct cache *c);
void cache_resize(struct cache *c, size_t bytes);
/* Allocates nothing. What is stale is not found. */
bool cache_find(struct cache *c, const struct cache_key *k, uint64_t now_ms, struct cache_item *out);
/* Stale or not. */
bool cache_find_stale(struct cache *c, const struct cache_key *k, uint64_t now_ms, struct cache_item *out);
/* Asking for a newer one than what is stale brought nothing. */
void cache_tried(struct cache *c, const struct cache_key *k, uint64_t now_ms);
/* Copies msg; a ttl_s of 0 and messages past an eighth of the whole cache are not kept. now_ms: when it was said, which
 * may have been before the machine started (a number below zero, as a uint64_t). */
void cache_put(struct cache *c, const struct cache_key *k, uint64_t now_ms, struct cache_life life,
	const uint8_t *msg, size_t len);
/* Forgets what is known of a name (lower case), of every type and route; below: and of all names under it.
 * Returns how many. Costs a walk over all. */
size_t cache_drop_name(struct cache *c, const struct dns_name *name, bool below);
/* An answer in passing; valid during the call. */
struct cache_seen {
	uint64_t split;
	struct dns_name name;
	uint16_t type;
	bool dnssec_ok, checking_disabled;
	uint64_t age_ms;
	uint32_t ttl_s; /* as it was put */
	const uint8_t *msg;
	size_t len;
};
struct cache_look {
	void (*see)(void *arg, const struct cache_seen *s);
	void *arg;
};
/* All of up to n buckets from *bucket on, which is moved on. false: these were the last. */
bool cache_walk(const struct cache *c, size_t *bucket, size_t n, uint64_t now_ms, const struct cache_look *l);
size_t cache_bytes(const struct cache *c);
size_t cache_buckets(const struct cache *c);
/* Never 0. */
uint64_t cache_key_hash(const struct cache_key *k, const uint64_t seed[2]);

#endif
