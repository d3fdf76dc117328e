#include "mesh/netmap/copy.h"
#include "mesh/proto/control_equal.h"
#include "mesh/netmap/netmap.h"
#include "mesh/netmap/walk.h"
#include <stdlib.h>
#include <string.h>

enum { POINTER = sizeof(void *) };

/* One part as JSON text: the writer knows every field, so equality needs no second list of them. */
static bool write_part(const struct netmap *m, size_t part, struct buf *out)
{
	struct ctl_map_response r = { .control_time_ms = INT64_MIN };
	switch (part) {
	case NETMAP_DERP: r.derp_map = (struct ctl_derp_map *)(uintptr_t)m->derp; break;
	case NETMAP_DNS: r.dns = (struct ctl_dns *)(uintptr_t)m->dns; break;
	case NETMAP_FILTERS:
		r.filters = (struct ctl_filter *)(uintptr_t)m->filters;
		r.n_filters = m->n_filters;
		break;
	case NETMAP_USERS:
		r.users = (struct ctl_user *)(uintptr_t)m->users;
		r.n_users = m->n_users;
		break;
	default:
		r.has_health = m->n_health > 0;
		r.health = (struct ctl_strings) { .v = m->health, .n = m->n_health };
	}
	return ctl_map_response_write(out, &r);
}

static bool part_differs(const struct netmap *a, const struct netmap *b, size_t part, bool *failed)
{
	if (!a)
		return b->parts[part] != NULL;
	if (a->parts[part] == b->parts[part])
		return false;
	struct buf x = { 0 }, y = { 0 };
	if (!write_part(a, part, &x) || !write_part(b, part, &y))
		*failed = true;
	bool same = x.len == y.len && (x.len == 0 || memcmp(buf_data(&x), buf_data(&y), x.len) == 0);
	buf_free(&x);
	buf_free(&y);
	return !same;
}

static void compare_names(const struct netmap_peer *a, const struct netmap_peer *b, struct netmap_diff *out)
{
	if (!ctl_prefixes_equal(&a->node.addresses, &b->node.addresses))
		out->names = out->addresses = true;
	else if (strcmp(a->node.name, b->node.name) != 0)
		out->names = true;
}

/* It may carry more than itself. */
static bool has_nets(const struct ctl_node *c)
{
	return c->allowed_ips.n > c->addresses.n || !ctl_prefixes_equal(&c->allowed_ips, &c->addresses);
}

/* Room for n + 1 of them: what is doubled each time it is full. */
static bool note(const struct netmap_peer ***list, size_t *n, const struct netmap_peer *p)
{
	if (!(*n & (*n - 1))) { /* none, or a power of two */
		const struct netmap_peer **v = realloc(*list, (*n ? *n * 2 : 1) * POINTER);
		if (!v)
			return false;
		*list = v;
	}
	(*list)[(*n)++] = p;
	return true;
}

static bool note_pair(const struct netmap_peer *x, const struct netmap_peer *y, struct netmap_diff *out)
{
	if (x && y && copy_node_equal(&x->node, &y->node))
		return true;
	out->nets = out->nets || (x && has_nets(&x->node)) || (y && has_nets(&y->node));
	if (x && y) {
		compare_names(x, y, out);
		return note(&out->changed, &out->n_changed, y);
	}
	out->names = out->addresses = true;
	return x ? note(&out->removed, &out->n_removed, x) : note(&out->added, &out->n_added, y);
}

static bool compare_peers(const struct netmap *a, const struct netmap *b, struct netmap_diff *out)
{
	struct netmap_walk w = { .from.map = a, .to.map = b };
	while (netmap_walk_next(&w))
		if (!note_pair(w.goes, w.comes, out))
			return false;
	return true;
}

static bool same_doubles(const struct netmap *a, const struct netmap *b)
{
	const size_t n = a ? a->n_doubles : 0;
	return n == b->n_doubles && (!n || memcmp(a->doubles, b->doubles, n * sizeof(*a->doubles)) == 0);
}

bool netmap_compare(const struct netmap *a, const struct netmap *b, struct netmap_diff *out)
{
	bool failed = false;
	*out = (struct netmap_diff) { 0 };
	if (!compare_peers(a, b, out)) {
		netmap_diff_fini(out);
		return false;
	}
	out->doubles = !same_doubles(a, b);
	out->nets = out->nets || out->doubles;
	out->self = !a || (a->self != b->self && !copy_node_equal(&a->self->node, &b->self->node));
	if (!a)
		out->names = out->addresses = out->nets = true;
	else if (out->self)
		compare_names(a->self, b->self, out);
	out->derp = part_differs(a, b, NETMAP_DERP, &failed);
	out->dns = part_differs(a, b, NETMAP_DNS, &failed);
	out->filters = part_differs(a, b, NETMAP_FILTERS, &failed);
	out->users = part_differs(a, b, NETMAP_USERS, &failed);
	out->health = part_differs(a, b, NETMAP_HEALTH, &failed);
	if (failed)
		netmap_diff_fini(out);
	return !failed;
}

void netmap_diff_fini(struct netmap_diff *d)
{
	free(d->added);
	free(d->removed);
	free(d->changed);
	*d = (struct netmap_diff) { 0 };
}
