/* Why a table of our own: what is not in it falls through to the machine's main table, so a mesh that names
 * ten thousand single addresses takes those and nothing else, and nobody's routes are touched. The rule
 * stands before the main table and after the local one: this machine's own addresses are its own, whatever
 * the mesh says. Routes name the source that packets get, since the kernel's choice is the first address of
 * the interface, and that may be the resolver's once another program has removed and put back ours. `have` is
 * what the kernel took; everything is a difference to it. */
#include "mesh/node/host/route_table.h"
#include "mesh/base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct nl_rule rule_of(const struct route_table *t, bool v6)
{
	return (struct nl_rule) { .v6 = v6, .priority = ROUTE_RULE_PRIORITY, .table = t->table };
}

static int rule_open(struct route_table *t, bool v6, struct journal *j, struct errbuf *eb)
{
	struct nl_rule r = rule_of(t, v6);
	if (j)
		journal_add_rule(j, &r);
	return nl_rule_add(t->nl, &r, eb);
}

static bool is_missing(int err)
{
	return err == -EOPNOTSUPP || err == -EAFNOSUPPORT || err == -EPFNOSUPPORT;
}

int route_table_open(struct route_table *t, struct nl *nl, int ifindex, struct journal *j, struct errbuf *eb)
{
	*t = (struct route_table) { .nl = nl, .ifindex = ifindex };
	t->table = ROUTE_TABLE_BASE + (uint32_t)ifindex;
	int err = rule_open(t, false, j, eb);
	if (is_missing(err)) {
		log_info("this kernel has one routing table; the mesh's routes go there");
		route_table_close(t, j);
		t->table = 0;
		return 0;
	}
	int err6 = err ? err : rule_open(t, true, j, eb);
	if (is_missing(err6)) {
		log_info("no IPv6 on this machine: %s", err_text(err6));
		t->no_v6 = true;
		return 0;
	}
	return err6;
}

void route_table_close(struct route_table *t, struct journal *j)
{
	for (int v6 = 0; t->table && v6 < 2; v6++) {
		struct nl_rule r = rule_of(t, v6);
		if (nl_rule_del(t->nl, &r, NULL) == 0 && j)
			journal_remove_rule(j, &r);
	}
	addr_set_free(&t->have);
	t->table = 0;
}

static struct nl_route *routes_of(const struct route_table *t, const struct addr_set *s)
{
	struct nl_route *v = calloc(s->n + 1, sizeof(*v));
	for (size_t i = 0; v && i < s->n; i++)
		v[i] = (struct nl_route) { .dst = prefix_of(&s->v[i]),
			.src = addr_is_v4(&s->v[i]) ? t->src4 : t->src6,
			.ifindex = t->ifindex,
			.table = t->table };
	return v;
}

/* A machine without IPv6 keeps working with what it has. */
static bool is_v6_refusal(struct route_table *t, const struct addr *ip, int err)
{
	if (addr_is_v4(ip))
		return false;
	if (!t->no_v6)
		log_info("no IPv6 on this machine: %s", err_text(err));
	t->no_v6 = true;
	return true;
}

/* What the kernel did not take is not in `have`. */
static int add_all(struct route_table *t, const struct addr_set *come, struct errbuf *eb)
{
	struct nl_route *v = routes_of(t, come);
	int *codes = calloc(come->n + 1, sizeof(*codes)), first = -ENOMEM;
	struct addr *kept = malloc((t->have.n + come->n + 1) * sizeof(*kept));
	if (v && codes && kept) {
		size_t n = t->have.n;
		first = 0;
		if (n)
			memcpy(kept, t->have.v, n * sizeof(*kept));
		(void)nl_route_add_all(t->nl, v, come->n, codes, NULL);
		for (size_t i = 0; i < come->n; i++) {
			if (!codes[i])
				kept[n++] = come->v[i];
			else if (!is_v6_refusal(t, &come->v[i], codes[i]) && !first)
				first = codes[i];
		}
		if (!addr_set_assign(&t->have, kept, n))
			first = -ENOMEM;
	}
	free(v);
	free(codes);
	free(kept);
	return first ? err_set(eb, first, "route the mesh's addresses") : 0;
}

static void delete_all(struct route_table *t, const struct addr_set *gone)
{
	struct nl_route *v = routes_of(t, gone);
	struct addr_set left = { 0 };
	if (v && addr_set_minus(&t->have, gone, &left)) {
		(void)nl_route_del_all(t->nl, v, gone->n, NULL, NULL); /* one that is gone is gone */
		addr_set_free(&t->have);
		t->have = left;
	}
	free(v);
}

void route_table_source(struct route_table *t, const struct addr *src4, const struct addr *src6)
{
	struct addr_set all = t->have;
	if (addr_equal(src4, &t->src4) && addr_equal(src6, &t->src6))
		return;
	if (all.n) {
		struct nl_route *v = routes_of(t, &all);
		if (v)
			(void)nl_route_del_all(t->nl, v, all.n, NULL, NULL);
		free(v);
	}
	addr_set_free(&t->have);
	t->src4 = *src4;
	t->src6 = *src6;
}

int route_table_set(struct route_table *t, const struct addr_set *want, struct errbuf *eb)
{
	struct addr_set come = { 0 }, gone = { 0 };
	int err = addr_set_minus(want, &t->have, &come) && addr_set_minus(&t->have, want, &gone)
			  ? 0
			  : err_set(eb, -ENOMEM, "route the mesh's addresses");
	if (!err && gone.n)
		delete_all(t, &gone);
	if (!err && come.n)
		err = add_all(t, &come, eb);
	addr_set_free(&come);
	addr_set_free(&gone);
	return err;
}

void route_table_repair(struct route_table *t)
{
	struct nl_route *v = routes_of(t, &t->have);
	for (int v6 = 0; t->table && v6 < 2; v6++) {
		struct nl_rule r = rule_of(t, v6);
		nl_rule_add(t->nl, &r, NULL);
	}
	if (v)
		nl_route_keep_all(t->nl, v, t->have.n, NULL, NULL);
	free(v);
}
