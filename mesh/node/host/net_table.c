#include "mesh/node/host/net_table.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void net_table_init(struct net_table *t, struct nl *nl, uint32_t table, uint32_t priority, struct journal *j)
{
	*t = (struct net_table) { .nl = nl, .journal = j, .table = table, .priority = priority };
}

static struct nl_rule rule_of(const struct net_table *t, bool v6)
{
	return (struct nl_rule) { .v6 = v6,
		.priority = t->priority,
		.table = t->table,
		.but = SOCK_MARK_OUTSIDE,
		.mask = SOCK_MARK_MASK };
}

static bool is_missing_v6(const struct nl_route *r, int err)
{
	return !addr_is_v4(&r->dst.ip) && (err == -EOPNOTSUPP || err == -EAFNOSUPPORT ||
						  err == -EPFNOSUPPORT || err == -EACCES || err == -ENODEV);
}

/* A machine without IPv6 has no rule for it. */
static int open_rules(struct net_table *t, struct errbuf *eb)
{
	if (t->journal)
		journal_add_table(t->journal, t->table);
	for (int v6 = 0; v6 < 2; v6++) {
		struct nl_rule r = rule_of(t, v6);
		if (t->journal)
			journal_add_rule(t->journal, &r);
		int err = nl_rule_add(t->nl, &r, v6 ? NULL : eb);
		if (err && !v6)
			return err;
	}
	t->rules = true;
	return 0;
}

static void close_rules(struct net_table *t)
{
	for (int v6 = 0; t->rules && v6 < 2; v6++) {
		struct nl_rule r = rule_of(t, v6);
		if (nl_rule_del(t->nl, &r, NULL) == 0 && t->journal)
			journal_remove_rule(t->journal, &r);
	}
	t->rules = false;
}

/* Their order, and what makes two one. */
static int compare(const void *a, const void *b)
{
	const struct nl_route *x = a, *y = b;
	int by_ip = memcmp(x->dst.ip.b, y->dst.ip.b, sizeof(x->dst.ip.b));
	if (by_ip)
		return by_ip;
	if (x->dst.bits != y->dst.bits)
		return x->dst.bits > y->dst.bits ? 1 : -1;
	return (x->metric > y->metric) - (x->metric < y->metric);
}

static const struct nl_route *find_route(const struct nl_route *v, size_t n, const struct nl_route *r)
{
	return n ? bsearch(r, v, n, sizeof(*v), compare) : NULL;
}

static bool is_there(const struct net_table *t, const struct nl_route *r)
{
	const struct nl_route *x = find_route(t->have, t->n, r);
	return x && x->kind == r->kind && x->ifindex == r->ifindex && addr_equal(&x->src, &r->src) &&
	       addr_equal(&x->via, &r->via);
}

void net_table_close(struct net_table *t)
{
	if (!t->nl)
		return;
	bool noted = t->rules && t->journal;
	close_rules(t);
	if (t->n)
		(void)nl_route_del_all(
			t->nl, t->have, t->n, NULL, NULL); /* they may have gone with a device */
	if (noted)
		journal_remove_table(t->journal, t->table);
	free(t->have);
	t->have = NULL;
	t->n = 0;
}

/* Those of v that are new, or another than before, into kept with those that stay. */
static int add_new(struct net_table *t, const struct nl_route *v, size_t n, struct nl_route *kept,
	size_t *n_kept, struct errbuf *eb)
{
	int first = 0;
	for (size_t i = 0; i < n; i++) {
		struct nl_route r = v[i];
		struct errbuf why = { 0 };
		r.table = t->table;
		int err = is_there(t, &r) ? 0 : nl_route_add(t->nl, &r, &why);
		if (!err)
			kept[(*n_kept)++] = r;
		else if (!is_missing_v6(&r, err) && !first)
			first = err_say(eb, err, "%s", why.text);
	}
	return first;
}

int net_table_set(struct net_table *t, const struct nl_route *v, size_t n, struct errbuf *eb)
{
	struct nl_route *kept = calloc(n + 1, sizeof(*kept));
	size_t n_kept = 0;
	if (!kept)
		return err_set(eb, -ENOMEM, "route the networks of the mesh");
	int err = add_new(t, v, n, kept, &n_kept, eb);
	qsort(kept, n_kept, sizeof(*kept), compare);
	if (n_kept && !t->rules)
		err = err_first(err, open_rules(t, err ? NULL : eb));
	if (!n_kept) {
		free(kept);
		net_table_close(t);
		return err;
	}
	for (size_t i = 0; i < t->n; i++)
		if (!find_route(kept, n_kept, &t->have[i]))
			(void)nl_route_del(t->nl, &t->have[i], NULL);
	free(t->have);
	t->have = kept;
	t->n = n_kept;
	return err;
}

void net_table_repair(struct net_table *t)
{
	if (t->n)
		(void)nl_route_keep_all(t->nl, t->have, t->n, NULL, NULL);
	for (int v6 = 0; t->rules && v6 < 2; v6++) {
		struct nl_rule r = rule_of(t, v6);
		(void)nl_rule_add(t->nl, &r, NULL);
	}
}
