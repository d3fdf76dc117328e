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

enum { FEW = 64 }; /* addresses that are put into a set, or taken out of it, one by one */

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
	addr_bag_free(&t->have);
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

/* Few are put in one by one. */
static bool join(struct addr_bag *have, const struct addr_set *come)
{
	bool ok = true;
	if (come->n <= FEW) {
		for (size_t i = 0; ok && i < come->n; i++)
			ok = addr_bag_has(have, &come->v[i]) || addr_bag_add(have, &come->v[i]);
		return ok;
	}
	struct addr_set was = addr_bag_all(have), both = { 0 };
	struct addr *all = malloc((was.n + come->n + 1) * sizeof(*all));
	if (!all)
		return false;
	if (was.n)
		memcpy(all, was.v, was.n * sizeof(*all));
	memcpy(all + was.n, come->v, come->n * sizeof(*all));
	ok = addr_set_assign(&both, all, was.n + come->n) && addr_bag_assign(have, both.v, both.n);
	addr_set_free(&both);
	free(all);
	return ok;
}

/* What the kernel did not take is not in `have`. */
static int add_all(struct route_table *t, const struct addr_set *come, struct errbuf *eb)
{
	struct nl_route *v = routes_of(t, come);
	int *codes = calloc(come->n + 1, sizeof(*codes)), first = -ENOMEM;
	struct addr_set taken = { 0 };
	if (v && codes && addr_set_assign(&taken, come->v, come->n)) {
		first = 0;
		taken.n = 0;
		(void)nl_route_add_all(t->nl, v, come->n, codes, NULL);
		for (size_t i = 0; i < come->n; i++) {
			if (!codes[i])
				taken.v[taken.n++] = come->v[i];
			else if (!is_v6_refusal(t, &come->v[i], codes[i]) && !first)
				first = codes[i];
		}
		if (!join(&t->have, &taken))
			first = -ENOMEM;
	}
	free(v);
	free(codes);
	addr_set_free(&taken);
	return first ? err_set(eb, first, "route the mesh's addresses") : 0;
}

static bool leave(struct addr_bag *have, const struct addr_set *gone)
{
	struct addr_set left = { 0 };
	for (size_t i = 0; gone->n <= FEW && i < gone->n; i++)
		addr_bag_remove(have, &gone->v[i]);
	if (gone->n <= FEW)
		return true;
	struct addr_set was = addr_bag_all(have);
	bool ok = addr_set_minus(&was, gone, &left) && addr_bag_assign(have, left.v, left.n);
	addr_set_free(&left);
	return ok;
}

static void delete_all(struct route_table *t, const struct addr_set *gone)
{
	struct nl_route *v = routes_of(t, gone);
	/* One that is gone is gone; one that stays by a lack of memory is deleted once more. */
	if (v && leave(&t->have, gone))
		(void)nl_route_del_all(t->nl, v, gone->n, NULL, NULL);
	free(v);
}

void route_table_source(struct route_table *t, const struct addr *src4, const struct addr *src6)
{
	struct addr_set all = addr_bag_all(&t->have);
	if (addr_equal(src4, &t->src4) && addr_equal(src6, &t->src6))
		return;
	if (all.n) {
		struct nl_route *v = routes_of(t, &all);
		if (v)
			(void)nl_route_del_all(t->nl, v, all.n, NULL, NULL);
		free(v);
	}
	addr_bag_free(&t->have);
	t->src4 = *src4;
	t->src6 = *src6;
}

int route_table_set(struct route_table *t, const struct addr_set *want, struct errbuf *eb)
{
	struct addr_set come = { 0 }, gone = { 0 }, have = addr_bag_all(&t->have);
	int err = addr_set_minus(want, &have, &come) && addr_set_minus(&have, want, &gone)
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

/* Those of few that are, or are not, in the set of many; out is empty before. */
static bool pick_few(
	const struct addr_set *few, const struct addr_bag *many, bool in_it, struct addr_set *out)
{
	bool ok = true;
	for (size_t i = 0; ok && i < few->n; i++)
		if (addr_bag_has(many, &few->v[i]) == in_it)
			ok = addr_set_add(out, &few->v[i]);
	return ok;
}

int route_table_change(
	struct route_table *t, const struct addr_set *come, const struct addr_set *gone, struct errbuf *eb)
{
	struct addr_set add = { 0 }, del = { 0 };
	int err = pick_few(come, &t->have, false, &add) && pick_few(gone, &t->have, true, &del)
			  ? 0
			  : err_set(eb, -ENOMEM, "route the mesh's addresses");
	if (!err && del.n)
		delete_all(t, &del);
	if (!err && add.n)
		err = add_all(t, &add, eb);
	addr_set_free(&add);
	addr_set_free(&del);
	return err;
}

void route_table_repair(struct route_table *t)
{
	struct addr_set all = addr_bag_all(&t->have);
	struct nl_route *v = routes_of(t, &all);
	for (int v6 = 0; t->table && v6 < 2; v6++) {
		struct nl_rule r = rule_of(t, v6);
		nl_rule_add(t->nl, &r, NULL);
	}
	if (v)
		nl_route_keep_all(t->nl, v, all.n, NULL, NULL);
	free(v);
}
