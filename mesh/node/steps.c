#include "mesh/node/steps.h"
#include "mesh/node/plane/rules.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static_assert((int)IFACE_BEGUN == (int)APPLY_BEGUN, "told on as it is");
enum { SELF_ADDRS_MAX = 8, AROUND_MAX = 256 };

static void step_map(void *arg, struct netmap *m)
{
	struct steps *s = arg;
	if (engine_is_open(s->engine))
		dataplane_map_set(&s->engine->plane, m);
}

static int step_rules(void *arg, const struct netmap *m, struct errbuf *eb)
{
	struct steps *s = arg;
	struct prefix around[AROUND_MAX];
	struct rules_place at = { .offered = s->prefs->offered,
		.n_offered = s->prefs->n_offered,
		.shields_up = s->prefs->shields_up,
		.around = around,
		.n_around = iface_around(s->engine->iface, around, AROUND_MAX) };
	/* Before the interface has addresses, and whatever becomes of the network's rules. */
	iface_rules_allow(s->engine->iface, !s->prefs->no_netfilter);
	struct filter *f = rules_compile(m, &at, eb);
	if (!f)
		return eb->code;
	dataplane_rules_set(&s->engine->plane, f);
	dataplane_shields_set(&s->engine->plane, s->prefs->shields_up);
	return 0;
}

static void step_rules_shut(void *arg)
{
	dataplane_rules_set(&((struct steps *)arg)->engine->plane, NULL);
}

static int step_peer(void *arg, const struct ctl_node *peer, struct errbuf *eb)
{
	struct steps *s = arg;
	return nets_peer_set(&s->nets, s->engine, peer, eb);
}

static void step_peer_remove(void *arg, uint64_t id)
{
	struct steps *s = arg;
	if (engine_is_open(s->engine))
		engine_peer_remove(s->engine, id);
}

static void step_peer_restarted(void *arg, uint64_t id)
{
	engine_peer_restarted(((struct steps *)arg)->engine, id);
}

static void step_peer_offline(void *arg, const struct ctl_node *peer)
{
	names_peer_gone(((struct steps *)arg)->names, peer);
}

static void step_relays(void *arg, const struct ctl_derp_map *m)
{
	engine_relays_set(((struct steps *)arg)->engine, m);
}

struct family {
	bool v4, v6;
};

/* Of which this machine has an address. */
static struct family own_families(const struct netmap *m)
{
	const struct ctl_prefixes *own = &m->self->node.addresses;
	struct family f = { false, false };
	for (size_t i = 0; i < own->n; i++)
		*(addr_is_v4(&own->v[i].ip) ? &f.v4 : &f.v6) = true;
	return f;
}

/* The peers' addresses of the families that this machine has one of. */
static struct addr *list_peers(const struct netmap *m, struct family f, size_t *count)
{
	size_t n = 0, k = 0;
	for (size_t i = 0; i < m->n_peers; i++)
		n += m->peers[i]->node.addresses.n;
	struct addr *v = calloc(n + 1, sizeof(*v));
	for (size_t i = 0; v && i < m->n_peers; i++) {
		const struct ctl_prefixes *a = &m->peers[i]->node.addresses;
		for (size_t j = 0; j < a->n; j++)
			if (addr_is_v4(&a->v[j].ip) ? f.v4 : f.v6)
				v[k++] = a->v[j].ip;
	}
	*count = k;
	return v;
}

struct few_addrs {
	struct addr v[IFACE_CHANGE_MAX];
	size_t n;
	bool too_many;
};

static void list_few(struct few_addrs *out, struct family f, const struct ctl_node *c)
{
	for (size_t i = 0; i < c->addresses.n; i++) {
		const struct addr *a = &c->addresses.v[i].ip;
		if (!(addr_is_v4(a) ? f.v4 : f.v6))
			continue;
		out->too_many = out->too_many || out->n == ARRAY_LEN(out->v);
		if (!out->too_many)
			out->v[out->n++] = *a;
	}
}

static int step_iface(void *arg, const struct netmap *m, struct errbuf *eb)
{
	struct steps *s = arg;
	struct prefix addrs[SELF_ADDRS_MAX + 2];
	size_t n_addrs = 0, n_peers;
	const struct ctl_prefixes *own = &m->self->node.addresses;
	struct family f = own_families(m);
	for (size_t i = 0; i < own->n && n_addrs < SELF_ADDRS_MAX; i++)
		addrs[n_addrs++] = own->v[i];
	addrs[n_addrs++] = prefix_of(&addr_service_v4);
	if (f.v6)
		addrs[n_addrs++] = prefix_of(&addr_service_v6);
	struct addr *peers = list_peers(m, f, &n_peers);
	int err = peers ? iface_apply(s->engine->iface, addrs, n_addrs, peers, n_peers, eb)
			: err_set(eb, -ENOMEM, "set up %s", tun_name(s->engine->tun));
	free(peers);
	return err;
}

static int step_iface_change(void *arg, const struct netmap *was, const struct netmap *m,
	const struct netmap_diff *d, struct errbuf *eb)
{
	struct steps *s = arg;
	struct family f = own_families(m);
	struct few_addrs gone = { .n = 0 }, come = { .n = 0 };
	for (size_t i = 0; i < d->n_removed; i++)
		list_few(&gone, f, &d->removed[i]->node);
	for (size_t i = 0; i < d->n_added; i++)
		list_few(&come, f, &d->added[i]->node);
	for (size_t i = 0; i < d->n_changed && d->addresses; i++) {
		list_few(&gone, f, &netmap_peer_by_id(was, d->changed[i]->node.id)->node);
		list_few(&come, f, &d->changed[i]->node);
	}
	if (gone.too_many || come.too_many || gone.n + come.n > IFACE_CHANGE_MAX)
		return step_iface(s, m, eb);
	return iface_peers_change(s->engine->iface, gone.v, gone.n, come.v, come.n, eb);
}

static int step_nets(void *arg, const struct netmap *m, struct errbuf *eb)
{
	struct steps *s = arg;
	return nets_apply(&s->nets, s->engine, m, s->prefs, eb);
}

static bool is_guarded(const struct steps *s)
{
	return !iface_unguarded(s->engine->iface)[0];
}

bool steps_names_differ(const struct steps *s)
{
	return s->names->guarded != is_guarded(s) ||
	       !addr_set_equal(&s->names->zones.outside, iface_outside(s->engine->iface));
}

static int step_names(void *arg, struct netmap *m, bool self_expired, struct errbuf *eb)
{
	struct steps *s = arg;
	s->names->guarded = is_guarded(s);
	s->names->proxies = s->engine->proxies;
	if (!names_outside_set(s->names, iface_outside(s->engine->iface)))
		return err_set(eb, -ENOMEM, "the names of the mesh");
	return names_apply(s->names, m, tun_name(s->engine->tun), self_expired, eb);
}

static void step_forget(void *arg)
{
	struct steps *s = arg;
	if (s->holds)
		names_leave(s->names);
	else
		names_forget(s->names);
	nets_forget(&s->nets, s->engine);
	if (s->engine->iface && s->holds)
		iface_guard_stays(s->engine->iface);
	else if (s->engine->iface)
		iface_apply(s->engine->iface, NULL, 0, NULL, 0, NULL);
}

static void step_changed(void *arg)
{
	struct steps *s = arg;
	s->changed(s->arg);
}

static uint64_t mono_ms(void *arg)
{
	return loop_now_ms(((struct steps *)arg)->engine->loop);
}

static int64_t server_ms(void *arg)
{
	return server_clock_now(((struct steps *)arg)->clock, clock_boot_ms(), clock_unix_ms());
}

struct apply_ops steps_ops(struct steps *s)
{
	return (struct apply_ops) { .map_set = step_map,
		.rules_set = step_rules,
		.rules_shut = step_rules_shut,
		.peer_set = step_peer,
		.peer_remove = step_peer_remove,
		.peer_restarted = step_peer_restarted,
		.peer_offline = step_peer_offline,
		.relays_set = step_relays,
		.iface_set = step_iface,
		.iface_change = step_iface_change,
		.nets_set = step_nets,
		.names_set = step_names,
		.forget = step_forget,
		.changed = step_changed,
		.now_ms = mono_ms,
		.server_ms = server_ms,
		.arg = s };
}
