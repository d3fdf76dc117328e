#include "mesh/node/steps.h"
#include "mesh/node/plane/rules.h"
#include <errno.h>
#include <stdlib.h>

enum { SELF_ADDRS_MAX = 8 };

static void step_map(void *arg, struct netmap *m)
{
	struct steps *s = arg;
	if (engine_is_open(s->engine))
		dataplane_map_set(&s->engine->plane, m);
}

static int step_rules(void *arg, const struct netmap *m, struct errbuf *eb)
{
	struct steps *s = arg;
	struct filter *f = rules_compile(m, eb);
	if (!f)
		return eb->code;
	dataplane_rules_set(&s->engine->plane, f);
	return 0;
}

static void step_rules_shut(void *arg)
{
	dataplane_rules_set(&((struct steps *)arg)->engine->plane, NULL);
}

static int step_peer(void *arg, const struct ctl_node *peer, struct errbuf *eb)
{
	struct steps *s = arg;
	return engine_peer_set(s->engine, peer)
		       ? 0
		       : err_say(eb, -ENOMEM, "peer %s: memory is short; it cannot be reached", peer->name);
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

/* The peers' addresses of the families that this machine has one of. */
static struct addr *list_peers(const struct netmap *m, bool v4, bool v6, size_t *count)
{
	size_t n = 0, k = 0;
	for (size_t i = 0; i < m->n_peers; i++)
		n += m->peers[i]->node.addresses.n;
	struct addr *v = calloc(n + 1, sizeof(*v));
	for (size_t i = 0; v && i < m->n_peers; i++) {
		const struct ctl_prefixes *a = &m->peers[i]->node.addresses;
		for (size_t j = 0; j < a->n; j++)
			if (addr_is_v4(&a->v[j].ip) ? v4 : v6)
				v[k++] = a->v[j].ip;
	}
	*count = k;
	return v;
}

static int step_iface(void *arg, const struct netmap *m, struct errbuf *eb)
{
	struct steps *s = arg;
	struct prefix addrs[SELF_ADDRS_MAX + 2];
	size_t n_addrs = 0, n_peers;
	const struct ctl_prefixes *own = &m->self->node.addresses;
	bool v4 = false, v6 = false;
	for (size_t i = 0; i < own->n && n_addrs < SELF_ADDRS_MAX; i++) {
		addrs[n_addrs++] = own->v[i];
		*(addr_is_v4(&own->v[i].ip) ? &v4 : &v6) = true;
	}
	addrs[n_addrs++] = prefix_of(&addr_service_v4);
	if (v6)
		addrs[n_addrs++] = prefix_of(&addr_service_v6);
	struct addr *peers = list_peers(m, v4, v6, &n_peers);
	int err = peers ? iface_apply(s->engine->iface, addrs, n_addrs, peers, n_peers, eb)
			: err_set(eb, -ENOMEM, "set up %s", tun_name(s->engine->tun));
	free(peers);
	return err;
}

static int step_names(void *arg, struct netmap *m, bool self_expired, struct errbuf *eb)
{
	struct steps *s = arg;
	s->names->guarded = !iface_unguarded(s->engine->iface)[0];
	return names_apply(s->names, m, tun_name(s->engine->tun), self_expired, eb);
}

static void step_forget(void *arg)
{
	struct steps *s = arg;
	names_forget(s->names);
	if (s->engine->iface)
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

static int64_t wall_ms(void *arg)
{
	(void)arg;
	return clock_unix_ms();
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
		.names_set = step_names,
		.forget = step_forget,
		.changed = step_changed,
		.now_ms = mono_ms,
		.unix_ms = wall_ms,
		.arg = s };
}
