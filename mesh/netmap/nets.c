#include "mesh/netmap/nets.h"
#include <stdlib.h>
#include <string.h>

static bool is_own_address(const struct ctl_node *c, const struct prefix *p)
{
	for (size_t i = 0; i < c->addresses.n; i++)
		if (prefix_equal(&c->addresses.v[i], p))
			return true;
	return false;
}

static bool is_wished(const struct netmap_wish *w, const struct ctl_node *c, const struct prefix *p)
{
	return p->bits ? w->routes && !is_own_address(c, p) : w->exit == c->id;
}

static int compare_nets(const struct prefix *a, const struct prefix *b)
{
	int by_ip = memcmp(a->ip.b, b->ip.b, sizeof(a->ip.b));
	return by_ip ? by_ip : (a->bits > b->bits) - (a->bits < b->bits);
}

static int compare(const void *a, const void *b)
{
	const struct netmap_net *x = a, *y = b;
	int by_net = compare_nets(&x->net, &y->net);
	return by_net ? by_net : (x->peer > y->peer) - (x->peer < y->peer);
}

static size_t count_all(const struct netmap *m)
{
	size_t n = 0;
	for (size_t i = 0; i < m->n_peers; i++)
		n += m->peers[i]->node.allowed_ips.n;
	return n;
}

bool netmap_nets_list(const struct netmap *m, const struct netmap_wish *w,
	bool (*usable)(void *arg, const struct netmap_peer *p), void *arg, struct netmap_nets *out)
{
	size_t n = 0, k = 0;
	if (!w->routes && !w->exit)
		return true;
	struct netmap_net *v = calloc(count_all(m) + 1, sizeof(*v));
	if (!v)
		return false;
	for (size_t i = 0; i < m->n_peers; i++) {
		const struct ctl_node *c = &m->peers[i]->node;
		if (!c->allowed_ips.n || !usable(arg, m->peers[i]))
			continue;
		for (size_t j = 0; j < c->allowed_ips.n; j++) {
			struct netmap_net x = { .net = c->allowed_ips.v[j], .peer = c->id };
			prefix_mask(&x.net);
			if (is_wished(w, c, &x.net))
				v[n++] = x;
		}
	}
	qsort(v, n, sizeof(*v), compare);
	for (size_t i = 0; i < n; i++)
		if (!k || compare_nets(&v[k - 1].net, &v[i].net) != 0)
			v[k++] = v[i];
	*out = (struct netmap_nets) { .v = v, .n = k };
	return true;
}

/* The next of this peer's from *at on; NULL: no more. */
static const struct netmap_net *next_of(const struct netmap_nets *l, int64_t peer, size_t *at)
{
	while (*at < l->n) {
		const struct netmap_net *x = &l->v[(*at)++];
		if (x->peer == peer)
			return x;
	}
	return NULL;
}

bool netmap_nets_same(const struct netmap_nets *a, const struct netmap_nets *b, int64_t peer)
{
	for (size_t i = 0, k = 0;;) {
		const struct netmap_net *x = next_of(a, peer, &i), *y = next_of(b, peer, &k);
		if (!x || !y)
			return x == y;
		if (!prefix_equal(&x->net, &y->net))
			return false;
	}
}

void netmap_nets_free(struct netmap_nets *l)
{
	free(l->v);
	*l = (struct netmap_nets) { 0 };
}
