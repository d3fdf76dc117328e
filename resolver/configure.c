/* The resolver as an object: made, configured, freed. */
#include "resolver/flight.h"
#include "resolver/local_zone.h"

#include "mesh/base/table.h"
#include <errno.h>
#include <stdlib.h>

struct resolver *resolver_new(const struct resolver_ops *ops, const struct random *rnd)
{
	struct resolver *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->heap.v = r->due;
	r->ops = *ops;
	r->rnd = rnd;
	rnd->fill(rnd->arg, r->seed, sizeof(r->seed));
	for (unsigned i = 0; i < FLIGHTS_MAX; i++)
		r->free_slots[r->n_free++] = (uint16_t)(FLIGHTS_MAX - 1 - i);
	r->cache = cache_new(CACHE_BYTES, r->seed);
	r->ready = ready_new();
	struct resolver_config none = { 0 };
	if (!r->cache || !special_init(&r->special, r->seed) || resolver_configure(r, &none, NULL)) {
		resolver_free(r);
		return NULL;
	}
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	flights_drop(r);
	hold_drop(r);
	spares_free(&r->spare_flights, sizeof(struct flight));
	spares_free(&r->spare_waiters, sizeof(struct waiter));
	routes_put(r->routes);
	zone_put(r->zone);
	block_put(r->block);
	special_fini(&r->special);
	cache_free(r->cache);
	ready_free(r->ready);
	free(r);
}

void resolver_zone_set(struct resolver *r, struct zone *z)
{
	struct zone *old = r->zone;
	r->zone = z ? zone_get(z) : NULL;
	ready_forget(r->ready);
	zone_put(old);
}

void resolver_block_set(struct resolver *r, struct block *b, const struct block_answer *how)
{
	struct block *old = r->block;
	r->block = b ? block_get(b) : NULL;
	r->block_answer = *how;
	r->block_waits = false;
	block_put(old);
	if (r->held && r->ops.sooner)
		r->ops.sooner(r->ops.arg);
}

void resolver_block_wait(struct resolver *r)
{
	r->block_waits = true;
}

void resolver_network_changed(struct resolver *r)
{
	for (struct upstream *u = r->upstreams; u; u = u->next)
		upstream_reset(u);
	dns64_search_again(r);
}

int resolver_flush(struct resolver *r, const char *name, bool below, size_t *n)
{
	struct dns_name top = { .len = 1 };
	if (name && !dns_name_parse(name, &top))
		return ERR_MALFORMED;
	dns_name_fold(&top);
	*n = cache_drop_name(r->cache, &top, below || !name);
	if (r->flushed)
		r->flushed(r->flushed_arg);
	return 0;
}

void resolver_flush_told(struct resolver *r, void (*told)(void *arg), void *arg)
{
	r->flushed = told;
	r->flushed_arg = arg;
}

const struct resolver_stats *resolver_stats(const struct resolver *r)
{
	return &r->stats;
}

/* ---- routes ---- */

static struct upstream *upstream_get(struct resolver *r, const struct resolver_upstream *want)
{
	for (struct upstream *u = r->upstreams; u; u = u->next)
		if (!u->validates && endpoint_equal(&u->at, &want->at) && u->trusted == want->trusted &&
			u->site == want->site && dns_secure_equal(u->secure, want->secure)) {
			u->refs++;
			return u;
		}
	struct upstream *u = calloc(1, sizeof(*u));
	struct dns_secure *secure = want->secure ? malloc(sizeof(*secure)) : NULL;
	if (!u || (want->secure && !secure)) {
		free(u);
		free(secure);
		return NULL;
	}
	if (secure)
		*secure = *want->secure;
	*u = (struct upstream) { .at = want->at, .secure = secure, .refs = 1, .next = r->upstreams };
	u->trusted = want->trusted;
	u->site = want->site;
	r->upstreams = u;
	return u;
}

/* What the driver finds out is for one route alone, and of a site where one of its servers is. */
static struct upstream *validator_new(struct resolver *r, const struct route *route)
{
	struct upstream *u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	*u = (struct upstream) { .validates = true, .refs = 1, .next = r->upstreams };
	for (unsigned i = 0; i < route->n; i++)
		u->site = u->site || route->upstreams[i]->site;
	r->upstreams = u;
	return u;
}

static void upstream_put(struct upstream **pool, struct upstream *u)
{
	if (--u->refs)
		return;
	while (*pool != u)
		pool = &(*pool)->next;
	*pool = u->next;
	free(u->secure);
	free(u);
}

void routes_put(struct routes *routes)
{
	if (!routes || --routes->refs)
		return;
	for (size_t i = 0; i < routes->n; i++)
		for (unsigned j = 0; j < routes->list[i].n; j++)
			upstream_put(routes->pool, routes->list[i].upstreams[j]);
	for (size_t i = 0; i < routes->n; i++)
		if (routes->list[i].validator)
			upstream_put(routes->pool, routes->list[i].validator);
	suffixes_free(routes->index);
	suffixes_free(routes->private_ok);
	local_zones_free(routes->local_zones);
	free(routes->list);
	free(routes);
}

/* Asking ourselves would be asking for ever. */
bool resolver_is_own(const struct resolver_config *c, const struct endpoint *at)
{
	for (size_t i = 0; i < c->n_own; i++) {
		const struct endpoint *own = &c->own[i];
		if (own->port != at->port)
			continue;
		if (addr_equal(&own->ip, &at->ip) || addr_is_unspecified(&at->ip))
			return true;
		if (addr_is_unspecified(&own->ip) && addr_is_loopback(&at->ip))
			return true;
	}
	return false;
}

/* What it says is not what the same address says in clear. */
static uint64_t secure_hash(const struct dns_secure *s, uint64_t seed)
{
	uint64_t h = hash_bytes(s->name, strlen(s->name), seed, s->by);
	return hash_bytes(s->path, strlen(s->path), h, s->n_pins);
}

static int upstreams_set(struct resolver *r, const struct resolver_config *c,
	const struct resolver_route *from, struct route *to)
{
	for (size_t i = 0; i < from->n_upstreams; i++) {
		if (resolver_is_own(c, &from->upstreams[i].at)) {
			r->stats.loop++;
			continue;
		}
		struct upstream *u = upstream_get(r, &from->upstreams[i]);
		if (!u)
			return -1;
		to->upstreams[to->n++] = u;
		to->split = hash_bytes(&u->at, sizeof(u->at), to->split, u->trusted);
		if (u->secure)
			to->split = secure_hash(u->secure, to->split);
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct dns_name *x = a, *y = b;
	return x->len != y->len ? x->len - y->len : memcmp(x->b, y->b, x->len);
}

/* In an order of their own: whoever lists them otherwise means the same. */
static int private_ok_set(
	const struct resolver *r, const struct resolver_config *c, struct routes *routes, struct errbuf *eb)
{
	struct dns_name *names = calloc(c->n_private_ok + 1, sizeof(*names));
	int err = 0;
	size_t n = 0;
	if (!names)
		return err_say(eb, -ENOMEM, "out of memory for DNS routes");
	for (size_t i = 0; !err && i < c->n_private_ok; i++) {
		if (!dns_name_parse(c->private_ok[i], &names[i]))
			err = err_say(eb, ERR_MALFORMED, "\"%s\" is not a domain name", c->private_ok[i]);
		dns_name_fold(&names[i]);
	}
	if (!err)
		qsort(names, c->n_private_ok, sizeof(*names), by_name);
	for (size_t i = 0; !err && i < c->n_private_ok; i++)
		if (!n || by_name(&names[n - 1], &names[i]) != 0)
			names[n++] = names[i];
	routes->refuse_private = c->refuse_private;
	routes->private_ok = err ? NULL : suffixes_new(names, n, r->seed);
	free(names);
	return err || routes->private_ok ? err : err_say(eb, -ENOMEM, "out of memory for DNS routes");
}

/* What was refused, and what was let through, is in the cache as it was: other rules begin with another one. */
static uint64_t rules_hash(const struct resolver *r, const struct routes *routes)
{
	uint64_t h = r->seed[1] ^ routes->refuse_private;
	const struct dns_name *name;
	for (size_t i = 0; routes->refuse_private && (name = suffixes_name(routes->private_ok, i)); i++)
		h = hash_bytes(name->b, name->len, r->seed[0], h);
	return h;
}

static int route_set(struct resolver *r, const struct resolver_config *c, size_t i,
	const struct routes *routes, struct errbuf *eb)
{
	const struct resolver_route *from = &c->routes[i];
	struct route *to = &routes->list[i];
	to->order = from->order;
	if (from->suffix[0] && !dns_name_parse(from->suffix, &to->suffix))
		return err_say(
			eb, ERR_MALFORMED, "DNS route \"%s\": this is not a domain name", from->suffix);
	if (!from->suffix[0])
		to->suffix = (struct dns_name) { .len = 1 };
	dns_name_fold(&to->suffix);
	if (from->n_upstreams > RESOLVER_UPSTREAMS_MAX)
		return err_say(eb, ERR_TOO_LARGE, "DNS route \"%s\" has %zu upstreams; at most %d are used",
			from->suffix, from->n_upstreams, RESOLVER_UPSTREAMS_MAX);
	to->split = hash_bytes(to->suffix.b, to->suffix.len, r->seed[0],
		to->suffix.len > 1 ? r->seed[1] : rules_hash(r, routes));
	bool ok = !upstreams_set(r, c, from, to);
	if (ok && from->validate && to->n) {
		to->validator = validator_new(r, to);
		to->split = hash_bytes("validated", 9, to->split, r->seed[0]);
	}
	ok = ok && (to->validator || !from->validate || !to->n);
	return ok ? 0 : err_say(eb, -ENOMEM, "out of memory for DNS routes");
}

static struct suffixes *index_make(const struct resolver *r, const struct routes *routes, size_t n)
{
	struct dns_name *names = calloc(n + 1, sizeof(*names));
	if (!names)
		return NULL;
	for (size_t i = 0; i < n; i++)
		names[i] = routes->list[i].suffix;
	struct suffixes *s = suffixes_new(names, n, r->seed);
	free(names);
	return s;
}

/* The index holds the last of equal names. */
static int repeats_check(const struct resolver_config *c, const struct routes *routes, struct errbuf *eb)
{
	for (size_t i = 0; i < c->n_routes; i++)
		if (suffixes_exact(routes->index, &routes->list[i].suffix) != (int)i)
			return err_say(eb, ERR_MALFORMED,
				"DNS route \"%s\" is given twice; put its upstreams in one",
				c->routes[i].suffix);
	return 0;
}

/* Those of the default route that are of a site, in its order; else those that are given for it. */
static size_t site_list(const struct resolver_config *c, struct resolver_upstream *out)
{
	size_t n = 0;
	for (size_t i = 0; i < c->n_routes; i++)
		for (size_t k = 0; !c->routes[i].suffix[0] && k < c->routes[i].n_upstreams; k++)
			if (c->routes[i].upstreams[k].site && n < RESOLVER_UPSTREAMS_MAX)
				out[n++] = c->routes[i].upstreams[k];
	for (size_t k = 0; !n && k < c->n_site && k < RESOLVER_UPSTREAMS_MAX; k++)
		out[k] = c->site[k];
	return n ? n : c->n_site < RESOLVER_UPSTREAMS_MAX ? c->n_site : RESOLVER_UPSTREAMS_MAX;
}

/* The last of the list, in no index. What it says is cached apart: the default route never asked it. */
static int site_set(struct resolver *r, const struct resolver_config *c, struct routes *routes)
{
	struct resolver_upstream ups[RESOLVER_UPSTREAMS_MAX];
	struct resolver_route from = { .suffix = "", .upstreams = ups, .n_upstreams = site_list(c, ups) };
	struct route *to = &routes->list[routes->n++];
	to->suffix = (struct dns_name) { .len = 1 };
	to->split = hash_bytes("site", 4, r->seed[0], r->seed[1]);
	if (upstreams_set(r, c, &from, to))
		return -ENOMEM;
	routes->site = to->n ? to : NULL;
	return 0;
}

static int routes_fill(
	struct resolver *r, const struct resolver_config *c, struct routes *routes, struct errbuf *eb)
{
	struct errbuf own;
	eb = eb ? eb : &own;
	int err = private_ok_set(r, c, routes, eb);
	for (size_t i = 0; !err && i < c->n_routes; i++) {
		routes->n = i + 1;
		err = route_set(r, c, i, routes, eb);
		routes->split |= routes->list[i].suffix.len > 1;
	}
	if (err)
		return err;
	if (site_set(r, c, routes) || !(routes->index = index_make(r, routes, c->n_routes)))
		return err_say(eb, -ENOMEM, "out of memory for DNS routes");
	err = repeats_check(c, routes, eb);
	if (err || !c->n_local_zones)
		return err;
	routes->local_zones = local_zones_new(c->local_zones, c->n_local_zones, r->seed, eb);
	return routes->local_zones ? 0 : eb->code;
}

int resolver_configure(struct resolver *r, const struct resolver_config *c, struct errbuf *eb)
{
	struct routes *routes = calloc(1, sizeof(*routes));
	struct route *list = calloc(c->n_routes + 1, sizeof(*list));
	if (!routes || !list) {
		free(routes);
		free(list);
		return err_say(eb, -ENOMEM, "out of memory for DNS routes");
	}
	*routes = (struct routes) { .refs = 1, .pool = &r->upstreams, .list = list };
	int err = routes_fill(r, c, routes, eb);
	if (err) {
		routes_put(routes);
		return err;
	}
	routes_put(r->routes);
	r->routes = routes;
	ready_forget(r->ready);
	dns64_search_set(r, c->dns64_find, &c->dns64);
	r->lower_case = c->lower_case;
	r->mesh_ttl_s = c->mesh_ttl_s ? c->mesh_ttl_s : MESH_TTL_S;
	r->stale_s = c->stale_s == UINT32_MAX ? 0 : c->stale_s ? c->stale_s : STALE_S;
	cache_resize(r->cache, c->cache_bytes ? c->cache_bytes : CACHE_BYTES);
	return 0;
}
