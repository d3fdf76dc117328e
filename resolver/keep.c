#include "resolver/keep.h"

#include "mesh/base/blake2s.h"
#include "mesh/base/wire.h"
#include "resolver/core.h"
#include <errno.h>
#include <stdlib.h>

enum {
	MAGIC_LEN = 8,
	HASH_LEN = 32,
	ENTRY_HEAD = 16,
	ROUTES_MAX = 65535,
	AHEAD_MAX_MS = 60000, /* a clock that is set right just after the start */
};
static const char magic[MAGIC_LEN] = "rwcache1";

/* ---- routes ---- */

struct digest {
	uint8_t h[HASH_LEN];
};

static void digest_add(struct digest *d, const void *p, size_t len)
{
	uint8_t n[8];
	be_put(n, sizeof(n), len);
	const struct digest before = *d;
	const struct noise_part parts[] = { { before.h, sizeof(before.h) }, { n, sizeof(n) }, { p, len } };
	blake2s_hash(parts, ARRAY_LEN(parts), d->h);
}

static void digest_server(struct digest *d, const struct upstream *u)
{
	const struct dns_secure *s = u->secure;
	uint8_t b[24] = { 0 };
	memcpy(b, u->at.ip.b, sizeof(u->at.ip.b));
	be_put(b + 16, 2, u->at.port);
	be_put(b + 18, 2, u->at.scope);
	b[20] = u->trusted;
	b[21] = u->site;
	b[22] = s ? (uint8_t)(1 + s->by) : 0;
	digest_add(d, b, sizeof(b));
	if (!s)
		return;
	digest_add(d, s->name, strlen(s->name));
	digest_add(d, s->path, strlen(s->path));
	digest_add(d, s->pins, s->n_pins * sizeof(s->pins[0]));
}

static void route_identify(const struct routes *all, const struct route *of, uint8_t out[KEEP_IDENTITY])
{
	struct digest d = { { 0 } };
	bool refuses =
		all->refuse_private && of->suffix.len == 1; /* by all others what leads inside is asked for */
	const uint8_t b[] = { of->validator != NULL, refuses, of->n };
	const struct dns_name *name;
	digest_add(&d, of->suffix.b, of->suffix.len);
	digest_add(&d, b, sizeof(b));
	for (size_t i = 0; refuses && (name = suffixes_name(all->private_ok, i)); i++)
		digest_add(&d, name->b, name->len);
	for (unsigned i = 0; i < of->n; i++)
		digest_server(&d, of->upstreams[i]);
	memcpy(out, d.h, KEEP_IDENTITY);
}

/* Names of a site are those of where it was. */
static bool route_is_kept(const struct routes *all, const struct route *of, const struct keep_rules *rules)
{
	bool kept = of->n && of != all->site;
	for (unsigned i = 0; i < of->n && rules->moves; i++)
		kept = kept && (!of->upstreams[i]->site || of->upstreams[i]->trusted);
	return kept;
}

static int by_split(const void *a, const void *b)
{
	const struct keep_route *x = a, *y = b;
	return x->split < y->split ? -1 : x->split > y->split;
}
static int by_identity(const void *a, const void *b)
{
	return memcmp(((const struct keep_route *)a)->identity, ((const struct keep_route *)b)->identity,
		KEEP_IDENTITY);
}

/* NULL: memory is short. */
static struct keep_route *routes_list(const struct resolver *r, const struct keep_rules *rules, size_t *n,
	int (*order)(const void *, const void *))
{
	struct keep_route *list = calloc(r->routes->n + 1, sizeof(*list));
	*n = 0;
	for (size_t i = 0; list && i < r->routes->n && *n < ROUTES_MAX; i++) {
		const struct route *of = &r->routes->list[i];
		if (!route_is_kept(r->routes, of, rules))
			continue;
		list[*n].split = of->split;
		route_identify(r->routes, of, list[(*n)++].identity);
	}
	if (list)
		qsort(list, *n, sizeof(*list), order);
	return list;
}

/* Nobody but the zone may speak of it now. */
static bool is_ours(const struct resolver *r, const struct dns_name *name)
{
	struct zone_hit hit;
	zone_find(r->zone, name, &hit);
	return hit.verdict != ZONE_FOREIGN;
}

/* ---- writing ---- */

void keep_free(struct keep_writer *w)
{
	buf_wipe(&w->out);
	free(w->routes);
	*w = (struct keep_writer) { 0 };
}

bool keep_begin(struct keep_writer *w, const struct resolver *r, const struct keep_rules *rules,
	uint64_t now_ms, int64_t unix_ms)
{
	uint8_t head[MAGIC_LEN + 8 + KEEP_ABOUT + 2];
	struct wr h = wr_of(head, sizeof(head));
	keep_free(w);
	if (!blake2s_setup())
		return false;
	w->out.cap = KEEP_BYTES_MAX;
	w->routes = routes_list(r, rules, &w->n_routes, by_split);
	wr_bytes(&h, magic, MAGIC_LEN);
	wr_u64(&h, (uint64_t)unix_ms);
	wr_bytes(&h, rules->about, KEEP_ABOUT);
	wr_u16(&h, (uint16_t)w->n_routes);
	bool ok = w->routes && buf_append(&w->out, head, h.len);
	for (size_t i = 0; ok && i < w->n_routes; i++)
		ok = buf_append(&w->out, w->routes[i].identity, KEEP_IDENTITY);
	if (!ok) {
		keep_free(w);
		return false;
	}
	w->head = w->out.len;
	w->began_ms = now_ms;
	w->buckets = cache_buckets(r->cache);
	return true;
}

static void entry_write(void *arg, const struct cache_seen *s)
{
	struct keep_writer *w = arg;
	struct keep_route key = { .split = s->split };
	const struct keep_route *of = bsearch(&key, w->routes, w->n_routes, sizeof(key), by_split);
	unsigned rcode = s->msg[3] & 15;
	uint8_t head[ENTRY_HEAD];
	struct wr h = wr_of(head, sizeof(head));
	if (!of || (rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN) || is_ours(w->of, &s->name))
		return;
	size_t size = ENTRY_HEAD + s->len;
	if (size >
		KEEP_BYTES_MAX - 1 - HASH_LEN - w->out.len) /* the cache is larger than what is kept of it */
		return;
	uint64_t age_s = (int64_t)s->age_ms > 0 ? (s->age_ms + 999) / 1000
						: 0; /* it may have come since the beginning */
	wr_u8(&h, 1);
	wr_u16(&h, (uint16_t)(of - w->routes));
	wr_u16(&h, s->type);
	wr_u8(&h, (uint8_t)(s->dnssec_ok << 1 | s->checking_disabled));
	wr_u32(&h, (uint32_t)age_s);
	wr_u32(&h, s->ttl_s);
	wr_u16(&h, (uint16_t)s->len);
	uint8_t *p = buf_room(&w->out, size);
	if (!p) {
		w->bad = true;
		return;
	}
	memcpy(p, head, ENTRY_HEAD);
	memcpy(p + ENTRY_HEAD, s->msg, s->len);
	buf_grown(&w->out, size);
}

bool keep_go_on(struct keep_writer *w, const struct resolver *r, size_t buckets)
{
	const struct cache_look look = { entry_write, w };
	if (cache_buckets(r->cache) != w->buckets) { /* all stand elsewhere now */
		w->buckets = cache_buckets(r->cache);
		w->bucket = 0;
		w->out.len = w->head;
	}
	w->of = r;
	bool more = cache_walk(r->cache, &w->bucket, buckets, w->began_ms, &look);
	w->of = NULL;
	return more && !w->bad;
}

bool keep_end(struct keep_writer *w)
{
	uint8_t end[1 + HASH_LEN] = { 0 };
	if (w->bad || !blake2s_setup() || !buf_append(&w->out, end, 1))
		return false;
	const struct noise_part all = { buf_data(&w->out), w->out.len };
	blake2s_hash(&all, 1, end + 1);
	return buf_append(&w->out, end + 1, HASH_LEN);
}

/* ---- reading ---- */

struct kept { /* one answer */
	uint16_t route, type;
	uint8_t flags;
	uint32_t age_s, ttl_s;
	const uint8_t *msg;
	size_t len;
	struct dns_name name;
};
struct text { /* what of it is read once */
	int64_t written_ms;
	const uint8_t *about, *identities;
	size_t n_routes;
	struct rd entries;
};

/* false at the end, and when it is cut; then e->bad. */
static bool entry_next(struct rd *r, struct kept *out)
{
	uint8_t tag = rd_u8(r);
	r->bad = r->bad || tag > 1;
	if (tag != 1)
		return false;
	out->route = rd_u16(r);
	out->type = rd_u16(r);
	out->flags = rd_u8(r);
	out->age_s = rd_u32(r);
	out->ttl_s = rd_u32(r);
	out->len = rd_u16(r);
	out->msg = rd_take(r, out->len);
	return !r->bad;
}

/* The same message that answer_read made of what came, byte by byte: nothing here is taken on trust. */
static bool entry_is_clean(struct resolver *r, struct kept *e)
{
	struct answer got;
	size_t next;
	if (e->len < DNS_HEADER || !dns_name_expand(e->msg, e->len, DNS_HEADER, &e->name, &next))
		return false;
	struct dns_ask asked = { .id = (uint16_t)be_get(e->msg, 2),
		.type = e->type,
		.name = &e->name,
		.dnssec_ok = e->flags >> 1 & 1 };
	dns_name_fold(&e->name);
	return !(e->flags >> 2) &&
	       answer_read(&r->work, e->msg, e->len, &asked, true, &got, r->clean) == ANSWER_OK &&
	       !got.no_question && !got.truncated &&
	       (got.rcode == DNS_NOERROR || got.rcode == DNS_NXDOMAIN) && got.len == e->len &&
	       !memcmp(r->clean + 2, e->msg + 2, e->len - 2) && e->ttl_s <= got.ttl_s;
}

static int text_head(const void *p, size_t len, struct text *out, struct errbuf *eb)
{
	struct rd r = rd_of(p, len);
	uint8_t hash[HASH_LEN];
	const uint8_t *m = rd_take(&r, MAGIC_LEN);
	if (!m || memcmp(m, magic, MAGIC_LEN - 1) != 0)
		return err_say(eb, ERR_MALFORMED, "it is no file of answers that were kept");
	if (memcmp(m, magic, MAGIC_LEN) != 0)
		return err_say(eb, ERR_UNSUPPORTED, "another version of this program wrote it");
	if (len < MAGIC_LEN + HASH_LEN)
		return err_say(eb, ERR_MALFORMED, "it is cut short");
	const struct noise_part all = { p, len - HASH_LEN };
	blake2s_hash(&all, 1, hash);
	if (memcmp(hash, (const uint8_t *)p + len - HASH_LEN, HASH_LEN) != 0)
		return err_say(eb, ERR_MALFORMED, "it is cut short, or its bytes have changed");
	r.left -= HASH_LEN;
	out->written_ms = (int64_t)rd_u64(&r);
	out->about = rd_take(&r, KEEP_ABOUT);
	out->n_routes = rd_u16(&r);
	out->identities = rd_take(&r, out->n_routes * KEEP_IDENTITY);
	out->entries = r;
	return r.bad || out->written_ms < 0 ? err_say(eb, ERR_MALFORMED, "its beginning is not whole") : 0;
}

static int entries_check(struct resolver *r, const struct text *t, struct errbuf *eb)
{
	struct rd at = t->entries;
	struct kept e = { 0 };
	size_t n = 0;
	for (; entry_next(&at, &e); n++)
		if (e.route >= t->n_routes || !entry_is_clean(r, &e))
			return err_say(eb, ERR_MALFORMED, "the answer number %zu in it is none", n + 1);
	return at.bad || at.left ? err_say(eb, ERR_MALFORMED, "it goes on or ends where it should not") : 0;
}

/* Which split of ours each of its routes is; 0: none any more. NULL: memory is short. */
static uint64_t *splits_find(const struct resolver *r, const struct keep_rules *rules, const struct text *t)
{
	size_t n = 0;
	struct keep_route key, *ours = routes_list(r, rules, &n, by_identity);
	uint64_t *splits = ours ? calloc(t->n_routes + 1, sizeof(*splits)) : NULL;
	for (size_t i = 0; splits && i < t->n_routes; i++) {
		memcpy(key.identity, t->identities + i * KEEP_IDENTITY, KEEP_IDENTITY);
		const struct keep_route *of = bsearch(&key, ours, n, sizeof(key), by_identity);
		splits[i] = of ? of->split : 0;
	}
	free(ours);
	return splits;
}

/* false: its time is over, nobody asks those who said it any more, or the name is ours. */
static bool entry_take(struct resolver *r, uint64_t now_ms, uint64_t since_ms, struct kept *e, uint64_t split)
{
	size_t next;
	(void)dns_name_expand(e->msg, e->len, DNS_HEADER, &e->name, &next);
	dns_name_fold(&e->name);
	struct cache_life life = query_life(r, &e->name, e->ttl_s);
	uint64_t age_ms = (uint64_t)e->age_s * 1000 + since_ms;
	if (!split || !e->ttl_s || is_ours(r, &e->name) ||
		age_ms >= ((uint64_t)life.ttl_s + life.stale_s) * 1000)
		return false;
	struct cache_key k = { .split = split,
		.name = &e->name,
		.type = e->type,
		.dnssec_ok = e->flags >> 1 & 1,
		.checking_disabled = e->flags & 1 };
	cache_put(r->cache, &k, now_ms - age_ms, life, e->msg, e->len);
	return true;
}

static int text_read(
	struct resolver *r, int64_t unix_ms, const void *p, size_t len, struct text *t, struct errbuf *eb)
{
	int err = blake2s_setup() ? text_head(p, len, t, eb) : err_say(eb, -ENOMEM, "memory is short");
	err = err ? err : entries_check(r, t, eb);
	if (err || t->written_ms <= unix_ms || (uint64_t)t->written_ms - (uint64_t)unix_ms <= AHEAD_MAX_MS)
		return err;
	return err_say(eb, ERR_MALFORMED, "it was written later than the clock shows now");
}

int keep_read(struct resolver *r, const struct keep_rules *rules, uint64_t now_ms, int64_t unix_ms,
	const void *text, size_t len, struct errbuf *eb)
{
	struct text t = { 0 };
	struct kept e = { 0 };
	int err = text_read(r, unix_ms, text, len, &t, eb);
	bool same = !err && t.about && !memcmp(t.about, rules->about, KEEP_ABOUT);
	uint64_t *splits = same ? splits_find(r, rules, &t) : NULL;
	uint64_t since_ms = !err && unix_ms > t.written_ms ? (uint64_t)unix_ms - (uint64_t)t.written_ms : 0;
	r->stats.kept_bad += err != 0;
	for (struct rd at = t.entries; !err && entry_next(&at, &e);)
		++*(splits && entry_take(r, now_ms, since_ms, &e, splits[e.route]) ? &r->stats.kept
										   : &r->stats.kept_left);
	free(splits);
	return err;
}
