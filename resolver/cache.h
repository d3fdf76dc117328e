/* Answers kept for their time to live, positive and negative, in a fixed number of bytes; the least used go
 * first. Entries of one split never answer another: a route's upstreams can only speak for their own route.
 */
#ifndef RW_RESOLVER_CACHE_H
#define RW_RESOLVER_CACHE_H

#include "resolver/name.h"

struct cache_key {
	uint64_t split;
	const struct dns_name *name; /* lower case */
	uint16_t type;
	bool dnssec_ok, checking_disabled;
};
struct cache_item {
	const uint8_t *msg; /* valid until the next put or free */
	size_t len;
	uint32_t age_s;
};
struct cache;
struct cache *cache_new(size_t bytes, const uint64_t seed[2]); /* NULL: memory short */
void cache_free(struct cache *c);
void cache_resize(struct cache *c, size_t bytes);
/* Allocates nothing. */
bool cache_find(struct cache *c, const struct cache_key *k, uint64_t now_ms, struct cache_item *out);
/* Copies msg; ttl_s 0 and messages past an eighth of the whole cache are not kept. */
void cache_put(struct cache *c, const struct cache_key *k, uint64_t now_ms, uint32_t ttl_s,
	const uint8_t *msg, size_t len);
size_t cache_bytes(const struct cache *c);
size_t cache_buckets(const struct cache *c);
uint64_t cache_key_hash(const struct cache_key *k, const uint64_t seed[2]);

#endif
