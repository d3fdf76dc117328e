/* The one consumer of map changes: difference -> filter, WireGuard peers, path, resolver zone, routes, OS
 * DNS; in that order for what comes, the other way round for what goes. */
#include "mesh/base/log.h"
#include "mesh/node/host/iface.h"
#include "mesh/node/names.h"
#include "mesh/node/node.h"
#include "mesh/node/links/relays.h"
#include <stdlib.h>
#include <string.h>

enum {
	EXPIRY_LOOK_MS = 3600 * 1000, /* the wall clock may be set meanwhile */
	MAP_SAVE_MS = 100,
	ROUTES_MAX = 1024,
	SELF_ADDRS_MAX = 8
};

/* --- filter --- */

static bool convert_rule(struct arena *a, const struct ctl_rule *r, struct filter_rule *out)
{
	struct filter_range *src = arena_array(a, r->n_src, sizeof(*src));
	struct filter_dst *dst = arena_array(a, r->n_dst, sizeof(*dst));
	if (!src || !dst)
		return false;
	for (size_t i = 0; i < r->n_src; i++)
		src[i] = (struct filter_range) {
			.first = r->src[i].first, .last = r->src[i].last, .any = r->src[i].any
		};
	for (size_t i = 0; i < r->n_dst; i++)
		dst[i] = (struct filter_dst) { .net = r->dst[i].net,
			.any = r->dst[i].any_ip,
			.first = r->dst[i].first,
			.last = r->dst[i].last };
	*out = (struct filter_rule) { .src = src,
		.n_src = r->n_src,
		.dst = dst,
		.n_dst = r->n_dst,
		.protos = r->protos,
		.n_protos = r->n_protos };
	return true;
}

static int apply_filter(struct node *n, const struct netmap *m, struct errbuf *eb)
{
	struct arena a = { 0 };
	size_t total = 0, k = 0;
	for (size_t i = 0; i < m->n_filters; i++)
		total += m->filters[i].n_rules;
	struct filter_rule *rules = arena_array(&a, total, sizeof(*rules));
	for (size_t i = 0; rules && i < m->n_filters; i++) {
		for (size_t j = 0; j < m->filters[i].n_rules; j++)
			k += convert_rule(&a, &m->filters[i].rules[j], &rules[k]);
	}
	const struct ctl_prefixes *local = &m->self->node.addresses;
	struct filter *f = rules && k == total
				   ? filter_build(rules, m->block_all ? 0 : total, local->v, local->n)
				   : NULL;
	arena_free(&a);
	if (!f)
		return err_set(eb, ERR_TOO_LARGE,
			"the access rules do not fit in memory; the old ones stay in force");
	filter_free(n->filter);
	n->filter = f;
	return 0;
}

/* --- peers --- */

static void add_peer(struct node *n, const struct netmap *m, const struct netmap_peer *p)
{
	const struct ctl_node *c = &p->node;
	if (netmap_peer_expired(m, p, clock_unix_ms()) || key_is_zero(c->key.b)) {
		wg_peer_remove(n->wg, (uint64_t)c->id);
		path_peer_remove(n->path, (uint64_t)c->id);
		return;
	}
	const struct ctl_prefixes *own = &c->addresses; /* routes of others are not taken here */
	struct path_peer pp = { .id = (uint64_t)c->id,
		.key = c->key,
		.disco = c->disco,
		.endpoints = c->endpoints.v,
		.n_endpoints = c->endpoints.n,
		.home = c->home_derp };
	if (!wg_peer_set(n->wg, (uint64_t)c->id, &c->key, NULL, own->v, own->n) ||
		!path_peer_set(n->path, loop_now_ms(n->loop), &pp))
		log_error("peer %s: memory is short; it cannot be reached", c->name);
}

/* Disco keys live as long as their process, and so do its WireGuard sessions. */
static void notice_restart(struct node *n, const struct netmap *old, const struct ctl_node *now)
{
	const struct netmap_peer *was = netmap_peer_by_id(old, now->id);
	if (was && !key_is_zero(was->node.disco.b) && !key_equal(was->node.disco.b, now->disco.b))
		wg_peer_restarted(n->wg, loop_now_ms(n->loop), (uint64_t)now->id);
}

/* Its way to the server ended. It may still be there; the resolver need not wait long to find out. */
static void notice_offline(struct node *n, const struct netmap *old, const struct ctl_node *now)
{
	const struct netmap_peer *was = netmap_peer_by_id(old, now->id);
	if (was && was->node.online == OPT_TRUE && now->online == OPT_FALSE)
		names_peer_gone(&n->names, now);
}

static void remove_peer(struct node *n, const struct netmap_peer *p)
{
	path_peer_remove(n->path, (uint64_t)p->node.id);
	wg_peer_remove(n->wg, (uint64_t)p->node.id);
}

/* --- interface --- */

/* One route for each mesh prefix, and one for each address outside of them. */
static int apply_iface(struct node *n, const struct netmap *m, struct errbuf *eb)
{
	struct prefix addrs[SELF_ADDRS_MAX + 2], *routes = calloc(ROUTES_MAX, sizeof(*routes));
	size_t n_addrs = 0, n_routes = 0;
	if (!routes)
		return err_set(eb, -12, "set up %s", tun_name(n->tun));
	const struct ctl_prefixes *own = &m->self->node.addresses;
	bool v4 = false, v6 = false;
	for (size_t i = 0; i < own->n && n_addrs < SELF_ADDRS_MAX; i++) {
		addrs[n_addrs++] = own->v[i];
		*(addr_is_v4(&own->v[i].ip) ? &v4 : &v6) = true;
	}
	addrs[n_addrs++] = prefix_of(&addr_service_v4);
	if (v6)
		addrs[n_addrs++] = prefix_of(&addr_service_v6);
	if (v4)
		prefix_parse("100.64.0.0/10", &routes[n_routes++]);
	if (v6)
		prefix_parse("fd7a:115c:a1e0::/48", &routes[n_routes++]);
	for (size_t i = 0; i < m->n_peers; i++) {
		const struct ctl_prefixes *a = &m->peers[i]->node.addresses;
		for (size_t j = 0; j < a->n && n_routes < ROUTES_MAX; j++) {
			if (!addr_is_mesh(&a->v[j].ip))
				routes[n_routes++] = a->v[j];
		}
	}
	int err = iface_apply(n->iface, addrs, n_addrs, routes, n_routes, eb);
	free(routes);
	return err;
}

/* --- keys that end --- */

bool apply_self_expired(const struct node *n)
{
	return n->map && netmap_peer_expired(n->map, n->map->self, clock_unix_ms());
}

static void tell_state(struct node *n)
{
	bool expired = apply_self_expired(n);
	if (expired)
		n->state.logged_in = false; /* the next `up` asks for a new key */
	node_set_backend(n, expired ? NODE_NEEDS_LOGIN : NODE_RUNNING);
}

static void watch_expiry(struct node *n)
{
	int64_t now = clock_unix_ms() + n->map->clock_offset_ms, next = INT64_MAX;
	for (size_t i = 0; i <= n->map->n_peers; i++) {
		const struct netmap_peer *p = i ? n->map->peers[i - 1] : n->map->self;
		if (p->node.key_expiry_ms > now && p->node.key_expiry_ms < next)
			next = p->node.key_expiry_ms;
	}
	if (next == INT64_MAX)
		loop_timer_clear(n->expiry);
	else
		loop_timer_set(
			n->expiry, next - now < EXPIRY_LOOK_MS ? (uint64_t)(next - now) : EXPIRY_LOOK_MS);
}

/* --- the whole --- */

int apply_map(struct node *n, struct netmap *next, struct errbuf *eb)
{
	struct netmap_diff d;
	struct netmap *old = n->map;
	int err = 0;
	if (!netmap_compare(old, next, &d)) {
		netmap_put(next);
		return err_set(eb, -12, "a map change was left out");
	}
	/* From here on the data plane reads the new map; the old one is held until what went is gone. */
	n->map = next;
	if (d.filters || d.self || !old)
		err = apply_filter(n, next, eb);
	if (d.derp && next->derp) {
		relays_map_set(n->relays, next->derp);
		path_derp_map_set(n->path, loop_now_ms(n->loop), next->derp);
	}
	for (size_t i = 0; i < d.n_added; i++)
		add_peer(n, next, d.added[i]);
	for (size_t i = 0; i < d.n_changed; i++) {
		add_peer(n, next, d.changed[i]);
		notice_restart(n, old, &d.changed[i]->node);
		notice_offline(n, old, &d.changed[i]->node);
	}
	if ((d.self || d.n_added || d.n_removed || !old) && !err)
		err = apply_iface(n, next, eb);
	if ((d.names || d.dns || d.self || !old) && !err)
		names_apply(&n->names, next, tun_name(n->tun), apply_self_expired(n));
	for (size_t i = d.n_removed; i > 0; i--)
		remove_peer(n, d.removed[i - 1]);
	netmap_diff_fini(&d);
	netmap_put(old);
	/* Soon, and not put off by what follows: a start without the server may come any moment. */
	if (!n->map_cached && !loop_timer_is_set(n->map_save))
		loop_timer_set(n->map_save, MAP_SAVE_MS);
	if (!err) {
		n->last_error[0] = 0;
		tell_state(n);
	}
	watch_expiry(n);
	node_rearm(n);
	return err;
}

void apply_expiry(struct node *n)
{
	if (!n->map)
		return;
	for (size_t i = 0; i < n->map->n_peers; i++) {
		if (netmap_peer_expired(n->map, n->map->peers[i], clock_unix_ms()))
			remove_peer(n, n->map->peers[i]);
	}
	if (apply_self_expired(n)) {
		names_apply(&n->names, n->map, tun_name(n->tun), true);
		tell_state(n);
	}
	watch_expiry(n);
	node_rearm(n);
}

void apply_nothing(struct node *n)
{
	names_forget(&n->names);
	for (size_t i = n->map ? n->map->n_peers : 0; i > 0; i--)
		remove_peer(n, n->map->peers[i - 1]);
	if (n->iface)
		iface_apply(n->iface, NULL, 0, NULL, 0, NULL);
	netmap_put(n->map);
	n->map = NULL;
	loop_timer_clear(n->expiry);
}
