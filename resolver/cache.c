/* Answers by name, type, route and DNSSEC bits. An entry is one allocation (key, then the clean message) in
 * two lists: its bucket's, and that of all by last use, from whose old end room is made when the bytes run
 * out. Entries lie scattered, and to look at one is to wait for memory: a bucket says itself, by a bit for each hash in it,
 * what is not there. Nothing is refreshed by being read but its place in the second list: an answer lives as long as its TTL
 * said when it came, and ages (age_s) until then. After that it is stale, found by those alone who ask for
 * such, and it goes when it is met after the end of that time too.
 *
 * Two answers never meet: `split` in the key is a hash over a route's suffix and upstreams, so a new
 * configuration that changes either begins with nothing, and one that changes neither keeps all. */
#include "resolver/cache.h"

#include "mesh/base/buf.h"
#include "mesh/base/table.h"
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 256, BYTES_PER_BUCKET = 256, PREFIX_LEN = 11 };

struct entry {
	struct entry *chain;	     /* same bucket */
	struct entry *newer, *older; /* by last use */
	uint64_t hash, stored_ms, expire_ms, gone_ms;
	uint64_t tried_ms; /* until when nobody need ask for a newer one */
	size_t size;	   /* of the whole allocation */
	uint32_t len;
	uint16_t key_len;
	bool used, refreshed;
	uint8_t b[]; /* key, then message */
};
struct bucket {
	struct entry *first;
	uint64_t hashes; /* hash_bit of each entry in it */
};
struct cache {
	struct bucket *buckets;
	size_t mask, used, cap;
	struct entry *newest, *oldest;
	uint64_t seed[2];
};

/* Of two points in time that are near each other: what was said before the machine started is below zero. */
static bool is_before(uint64_t a_ms, uint64_t b_ms)
{
	return (int64_t)(a_ms - b_ms) < 0;
}

struct packed_key {
	uint8_t b[PREFIX_LEN + DNS_NAME_MAX];
};

static size_t packed_len(const struct cache_key *k)
{
	return PREFIX_LEN + (size_t)k->name->len;
}

static void pack(const struct cache_key *k, uint8_t *out)
{
	memcpy(out, &k->split, 8);
	out[8] = (uint8_t)(k->type >> 8);
	out[9] = (uint8_t)k->type;
	out[10] = (uint8_t)(k->dnssec_ok << 1 | k->checking_disabled);
	memcpy(out + PREFIX_LEN, k->name->b, k->name->len);
}

uint64_t cache_key_hash(const struct cache_key *k, const uint64_t seed[2])
{
	struct packed_key p BUF_UNSET;
	if (k->hash)
		return k->hash;
	pack(k, p.b);
	uint64_t hash = hash_bytes(p.b, packed_len(k), seed[0], seed[1]);
	return hash ? hash : 1;
}

/* Other bits of it than those that choose the bucket. */
static uint64_t hash_bit(uint64_t hash)
{
	return UINT64_C(1) << (hash >> 58);
}

static struct bucket *bucket_of(const struct cache *c, uint64_t hash)
{
	return &c->buckets[hash & c->mask];
}

static void bucket_add(struct bucket *b, struct entry *e)
{
	e->chain = b->first;
	b->first = e;
	b->hashes |= hash_bit(e->hash);
}

static void bucket_remove(struct bucket *b, const struct entry *e)
{
	struct entry **at = &b->first;
	b->hashes = 0;
	while (*at) {
		if (*at == e) {
			*at = e->chain;
			continue;
		}
		b->hashes |= hash_bit((*at)->hash);
		at = &(*at)->chain;
	}
}

static size_t buckets_for(size_t bytes)
{
	size_t n = BUCKETS_MIN;
	while (n < bytes / BYTES_PER_BUCKET)
		n *= 2;
	return n;
}

struct cache *cache_new(size_t bytes, const uint64_t seed[2])
{
	struct cache *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	size_t buckets = buckets_for(bytes);
	c->buckets = calloc(buckets, sizeof(*c->buckets));
	if (!c->buckets) {
		free(c);
		return NULL;
	}
	c->mask = buckets - 1;
	c->cap = bytes;
	memcpy(c->seed, seed, sizeof(c->seed));
	return c;
}

static void unlist(struct cache *c, struct entry *e)
{
	*(e->newer ? &e->newer->older : &c->newest) = e->older;
	*(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void list_first(struct cache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static void drop(struct cache *c, struct entry *e)
{
	bucket_remove(bucket_of(c, e->hash), e);
	unlist(c, e);
	c->used -= e->size;
	free(e);
}

static void cache_make_room(struct cache *c, size_t size)
{
	for (struct entry *e = c->oldest, *next; e && c->used + size > c->cap; e = next) {
		next = e->newer;
		drop(c, e);
	}
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	c->cap = 0;
	cache_make_room(c, 0);
	free(c->buckets);
	free(c);
}

/* Where memory is short, the old buckets serve: slower, not wrong. */
static void rehash(struct cache *c, size_t n)
{
	struct bucket *buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return;
	free(c->buckets);
	c->buckets = buckets;
	c->mask = n - 1;
	for (struct entry *e = c->oldest; e; e = e->newer)
		bucket_add(bucket_of(c, e->hash), e);
}

void cache_resize(struct cache *c, size_t bytes)
{
	c->cap = bytes;
	cache_make_room(c, 0);
	if (buckets_for(bytes) != c->mask + 1)
		rehash(c, buckets_for(bytes));
}

static bool entry_is(const struct entry *e, const struct cache_key *k)
{
	struct packed_key p BUF_UNSET;
	if (e->key_len != packed_len(k))
		return false;
	pack(k, p.b);
	return memcmp(e->b, p.b, e->key_len) == 0;
}

static struct entry *entry_find(struct cache *c, const struct cache_key *k, uint64_t hash)
{
	const struct bucket *b = bucket_of(c, hash);
	struct entry *e = b->hashes & hash_bit(hash) ? b->first : NULL;
	while (e && (e->hash != hash || !entry_is(e, k)))
		e = e->chain;
	return e;
}

/* NULL: not there, or its time is over for good. */
static struct entry *entry_get(struct cache *c, const struct cache_key *k, uint64_t now_ms)
{
	struct entry *e = entry_find(c, k, cache_key_hash(k, c->seed));
	if (!e || is_before(now_ms, e->gone_ms))
		return e;
	drop(c, e);
	return NULL;
}

/* A name that was asked for more than once will be again: a newer answer is there before the time of this one
 * is over. */
static bool refresh_is_due(struct entry *e, uint64_t now_ms)
{
	uint64_t life = e->expire_ms - e->stored_ms;
	bool last_tenth = is_before(now_ms, e->expire_ms) && e->expire_ms - now_ms <= life / 10;
	if (!e->used || e->refreshed || !last_tenth || life < CACHE_REFRESH_MIN_S * 1000)
		return false;
	e->refreshed = true;
	return true;
}

static void entry_use(struct cache *c, struct entry *e, uint64_t now_ms, struct cache_item *out)
{
	unlist(c, e);
	list_first(c, e);
	out->msg = e->b + e->key_len;
	out->len = e->len;
	out->age_s = (uint32_t)((now_ms - e->stored_ms) / 1000);
	out->stale = !is_before(now_ms, e->expire_ms);
	out->tried = out->stale && now_ms < e->tried_ms;
	out->refresh = refresh_is_due(e, now_ms);
	e->used = true;
}

bool cache_find(struct cache *c, const struct cache_key *k, uint64_t now_ms, struct cache_item *out)
{
	struct entry *e = entry_get(c, k, now_ms);
	if (!e || !is_before(now_ms, e->expire_ms))
		return false;
	entry_use(c, e, now_ms, out);
	return true;
}

bool cache_find_stale(struct cache *c, const struct cache_key *k, uint64_t now_ms, struct cache_item *out)
{
	struct entry *e = entry_get(c, k, now_ms);
	if (!e)
		return false;
	entry_use(c, e, now_ms, out);
	return true;
}

void cache_tried(struct cache *c, const struct cache_key *k, uint64_t now_ms)
{
	struct entry *e = entry_get(c, k, now_ms);
	if (e)
		e->tried_ms = now_ms + CACHE_TRIED_MS;
}

size_t cache_drop_name(struct cache *c, const struct dns_name *name, bool below)
{
	struct dns_name of;
	size_t n = 0;
	for (struct entry *e = c->oldest, *next; e; e = next) {
		next = e->newer;
		of.len = (uint8_t)(e->key_len - PREFIX_LEN);
		memcpy(of.b, e->b + PREFIX_LEN, of.len);
		if (!(below ? dns_name_within(&of, name) : dns_name_equal(&of, name)))
			continue;
		drop(c, e);
		n++;
	}
	return n;
}

void cache_put(struct cache *c, const struct cache_key *k, uint64_t now_ms, struct cache_life life,
	const uint8_t *msg, size_t len)
{
	size_t key_len = packed_len(k), size = sizeof(struct entry) + key_len + len;
	uint64_t hash = cache_key_hash(k, c->seed);
	struct entry *old = entry_find(c, k, hash);
	if (old)
		drop(c, old);
	if (!life.ttl_s || size > c->cap / 8)
		return;
	cache_make_room(c, size);
	struct entry *e = malloc(size);
	if (!e)
		return;
	*e = (struct entry) { .hash = hash, .stored_ms = now_ms, .size = size };
	e->expire_ms = now_ms + (uint64_t)life.ttl_s * 1000;
	e->gone_ms = e->expire_ms + (uint64_t)life.stale_s * 1000;
	e->key_len = (uint16_t)key_len;
	e->len = (uint32_t)len;
	pack(k, e->b);
	memcpy(e->b + key_len, msg, len);
	bucket_add(bucket_of(c, hash), e);
	list_first(c, e);
	c->used += size;
}

static void entry_see(const struct entry *e, uint64_t now_ms, const struct cache_look *l)
{
	struct cache_seen s = { .type = (uint16_t)(e->b[8] << 8 | e->b[9]),
		.dnssec_ok = e->b[10] >> 1 & 1,
		.checking_disabled = e->b[10] & 1,
		.age_ms = now_ms - e->stored_ms,
		.ttl_s = (uint32_t)((e->expire_ms - e->stored_ms) / 1000),
		.msg = e->b + e->key_len,
		.len = e->len };
	memcpy(&s.split, e->b, 8);
	s.name.len = (uint8_t)(e->key_len - PREFIX_LEN);
	memcpy(s.name.b, e->b + PREFIX_LEN, s.name.len);
	l->see(l->arg, &s);
}

bool cache_walk(const struct cache *c, size_t *bucket, size_t n, uint64_t now_ms, const struct cache_look *l)
{
	for (; n && *bucket <= c->mask; n--, ++*bucket)
		for (const struct entry *e = c->buckets[*bucket].first; e; e = e->chain)
			if (is_before(now_ms, e->gone_ms))
				entry_see(e, now_ms, l);
	return *bucket <= c->mask;
}

size_t cache_bytes(const struct cache *c)
{
	return c->used;
}
size_t cache_buckets(const struct cache *c)
{
	return c->mask + 1;
}
