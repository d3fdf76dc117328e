#include "mesh/node/nets.h"
#include "mesh/netmap/exits.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int nets_peer_set(const struct nets *t, struct engine *e, const struct ctl_node *peer, struct errbuf *eb)
{
	struct ctl_prefixes all = { .v = malloc((peer->addresses.n + t->now.n + 1) * sizeof(*all.v)) };
	if (!all.v)
		return err_set(eb, -ENOMEM, "peer %s", peer->name);
	for (size_t i = 0; i < peer->addresses.n; i++)
		all.v[all.n++] = peer->addresses.v[i];
	for (size_t i = 0; i < t->now.n; i++)
		if (t->now.v[i].peer == peer->id)
			all.v[all.n++] = t->now.v[i].net;
	int err = engine_peer_set(e, peer, &all, eb);
	free(all.v);
	return err;
}

static bool is_set(void *arg, const struct netmap_peer *p)
{
	struct wg_peer_stats ws;
	return wg_peer_stats(((struct engine *)arg)->plane.wg, (uint64_t)p->node.id, &ws);
}

/* Peers that carry others than before; who lost something first, so that it is free for who gets it. */
static int tell_peers(struct nets *t, struct engine *e, const struct netmap *m,
	const struct netmap_nets *next, struct errbuf *eb)
{
	int first = 0;
	struct netmap_nets before = t->now;
	bool all = t->untold;
	t->now = *next;
	for (size_t i = 0; i < m->n_peers; i++) {
		const struct netmap_peer *p = m->peers[i];
		struct errbuf why = { 0 };
		if (!is_set(e, p) || (!all && netmap_nets_same(&before, next, p->node.id)))
			continue;
		int err = nets_peer_set(t, e, &p->node, &why);
		if (err && !first)
			first = err_say(eb, err, "%s", why.text);
	}
	netmap_nets_free(&before);
	t->untold = first != 0;
	return first;
}

static int tell_iface(const struct nets *t, struct engine *e, const struct state_prefs *p, struct errbuf *eb)
{
	struct prefix *v = malloc((t->now.n + 1) * sizeof(*v));
	if (!v)
		return err_set(eb, -ENOMEM, "route the networks of the mesh");
	for (size_t i = 0; i < t->now.n; i++)
		v[i] = t->now.v[i].net;
	struct iface_nets w = {
		.v = v, .n = t->now.n, .before_own = p->routes_before_own, .exit_keeps_own = p->exit_allow_lan
	};
	int err = iface_nets_set(e->iface, &w, eb);
	free(v);
	return err;
}

/* The id of the one that is used; 0: none, or it is not there, or may not be one. */
static int64_t find_exit(const struct netmap *m, const char *who)
{
	const struct netmap_peer *p = netmap_exit_find(m, who);
	return p && netmap_is_exit(&p->node) ? p->node.id : 0;
}

int nets_apply(struct nets *t, struct engine *e, const struct netmap *m, const struct state_prefs *p,
	struct errbuf *eb)
{
	struct netmap_wish wish = { .routes = p->accept_routes, .exit = find_exit(m, p->exit_node) };
	struct netmap_nets next = { 0 };
	const struct guard_service service = {
		.nets = p->offered, .n = p->n_offered, .plain = p->no_snat, .unasked = p->unasked
	};
	if (!iface_serve(e->iface, &service))
		return err_set(eb, -ENOMEM, "carry networks for the mesh");
	if (!netmap_nets_list(m, &wish, is_set, e, &next))
		return err_set(eb, -ENOMEM, "route the networks of the mesh");
	if (!next.n && !t->now.n && !t->untold) {
		netmap_nets_free(&next);
		t->exit = 0;
		return tell_iface(t, e, p, eb);
	}
	t->exit = wish.exit;
	int err = tell_peers(t, e, m, &next, eb);
	return err_first(err, tell_iface(t, e, p, err ? NULL : eb));
}

void nets_forget(struct nets *t, struct engine *e)
{
	netmap_nets_free(&t->now);
	t->exit = 0;
	t->untold = false;
	if (!e->iface)
		return;
	iface_nets_set(e->iface, &(struct iface_nets) { 0 }, NULL);
	(void)iface_serve(e->iface, &(struct guard_service) { 0 });
}
