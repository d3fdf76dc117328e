/* Why a table of our own: what is not in it falls through to the machine's main table, so a mesh that names
 * ten thousand single addresses takes those and nothing else, and nobody's routes are touched. The rule
 * stands before the main table and after the local one: this machine's own addresses are its own, whatever
 * the mesh says. Routes name the source that packets get, since the kernel's choice is the first address of
 * the interface, and that may be the resolver's once another program has removed and put back ours. `have` is
 * what the kernel took; everything is a difference to it.
 *
 * A few that come and go are an order: a thread tells the kernel, and what it took is noted when that has ended, on the
 * loop's thread. Until then nobody else touches `nl`, and what is told meanwhile waits in `come` and `gone`. Whoever must
 * have all of it in force waits for the order's end first (order_settle). */
#include "mesh/node/host/route_table.h"
#include "mesh/base/log.h"
#include "mesh/os/work.h"
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

static void close_rules(struct route_table *t, struct journal *j)
{
	for (int v6 = 0; t->table && v6 < 2; v6++) {
		struct nl_rule r = rule_of(t, v6);
		if (nl_rule_del(t->nl, &r, NULL) == 0 && j)
			journal_remove_rule(j, &r);
	}
	t->table = 0;
}

static void tell_due(void *arg)
{
	struct route_table *t = arg;
	struct errbuf why = t->why;
	if (t->order)
		return; /* its end will tell */
	t->why = (struct errbuf) { 0 };
	t->events.ended(t->events.arg, &why);
}

int route_table_open(struct route_table *t, struct loop *l, struct nl *nl, int ifindex, struct journal *j,
	const struct route_table_events *ev, struct errbuf *eb)
{
	*t = (struct route_table) { .loop = l, .nl = nl, .ifindex = ifindex, .events = *ev };
	t->tell = loop_timer_new(l, tell_due, t);
	if (!t->tell)
		return err_set(eb, -ENOMEM, "route the mesh's addresses");
	t->table = ROUTE_TABLE_BASE + (uint32_t)ifindex;
	int err = rule_open(t, false, j, eb);
	if (is_missing(err)) {
		log_info("this kernel has one routing table; the mesh's routes go there");
		close_rules(t, j);
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

/* What goes and what comes, in this order, and what the kernel says of that. */
struct route_order {
	struct route_table *table;
	struct work *work;
	struct nl *nl;
	struct addr_set come, gone;
	struct nl_route *add, *del;
	int *codes; /* of those that come */
};

static void order_free(struct route_order *o)
{
	if (!o)
		return;
	addr_set_free(&o->come);
	addr_set_free(&o->gone);
	free(o->add);
	free(o->del);
	free(o->codes);
	free(o);
}

/* Takes both sets over, also when it fails. NULL: memory is short. */
static struct route_order *order_new(struct route_table *t, struct addr_set *come, struct addr_set *gone)
{
	struct route_order *o = calloc(1, sizeof(*o));
	if (!o) {
		addr_set_free(come);
		addr_set_free(gone);
		return NULL;
	}
	*o = (struct route_order) { .table = t, .nl = t->nl, .come = *come, .gone = *gone };
	*come = *gone = (struct addr_set) { 0 };
	o->add = routes_of(t, &o->come);
	o->del = routes_of(t, &o->gone);
	o->codes = calloc(o->come.n + 1, sizeof(*o->codes));
	if (o->add && o->del && o->codes)
		return o;
	order_free(o);
	return NULL;
}

/* On any thread. One that is to go and is gone is fine. */
static void order_run(void *arg)
{
	struct route_order *o = arg;
	if (o->gone.n)
		(void)nl_route_del_all(o->nl, o->del, o->gone.n, NULL, NULL);
	if (o->come.n)
		(void)nl_route_add_all(o->nl, o->add, o->come.n, o->codes, NULL);
}

/* It was run: `have` is what the kernel has. One that stays in it by a lack of memory is deleted once more. The first
 * refusal is returned. */
static int order_note(struct route_table *t, struct route_order *o)
{
	int first = 0;
	size_t taken = 0;
	(void)leave(&t->have, &o->gone);
	for (size_t i = 0; i < o->come.n; i++) {
		if (!o->codes[i])
			o->come.v[taken++] = o->come.v[i];
		else if (!is_v6_refusal(t, &o->come.v[i], o->codes[i]) && !first)
			first = o->codes[i];
	}
	o->come.n = taken;
	return join(&t->have, &o->come) ? first : -ENOMEM;
}

static int failed(int code, struct errbuf *eb)
{
	return err_set(eb, code, "route the mesh's addresses");
}

/* Here and now; takes both sets over. */
static int change_now(struct route_table *t, struct addr_set *come, struct addr_set *gone, struct errbuf *eb)
{
	if (!come->n && !gone->n)
		return 0;
	struct route_order *o = order_new(t, come, gone);
	if (!o)
		return failed(-ENOMEM, eb);
	order_run(o);
	int err = order_note(t, o);
	order_free(o);
	return err ? failed(err, eb) : 0;
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

static void forget_told(struct route_table *t)
{
	addr_set_free(&t->come);
	addr_set_free(&t->gone);
}

static void order_ended(void *arg);

/* What was told goes on its way, unless it is so already. */
static int order_begin(struct route_table *t, struct errbuf *eb)
{
	struct addr_set come = { 0 }, gone = { 0 };
	bool ok = pick_few(&t->come, &t->have, false, &come) && pick_few(&t->gone, &t->have, true, &gone);
	forget_told(t);
	if (ok && !come.n && !gone.n) {
		addr_set_free(&come);
		addr_set_free(&gone);
		return 0;
	}
	struct route_order *o = order_new(t, &come, &gone);
	if (ok && o)
		o->work = work_start(t->loop, order_run, order_ended, o);
	if (!ok || !o || !o->work) {
		order_free(o);
		return failed(-ENOMEM, eb);
	}
	t->order = o;
	return ROUTE_TABLE_BEGUN;
}

static void note_why(struct route_table *t, int err)
{
	if (err && !t->why.code)
		(void)failed(err, &t->why);
}

static void order_ended(void *arg)
{
	struct route_order *o = arg;
	struct route_table *t = o->table;
	struct errbuf eb = { 0 };
	note_why(t, order_note(t, o));
	t->order = NULL;
	order_free(o);
	int err = t->come.n || t->gone.n ? order_begin(t, &eb) : 0;
	if (err == ROUTE_TABLE_BEGUN)
		return;
	note_why(t, err);
	tell_due(t);
}

/* The order is done, by now; what was told meanwhile waits. Whoever was promised to be told of the end is, from the loop. */
static void order_settle(struct route_table *t)
{
	struct route_order *o = t->order;
	if (!o)
		return;
	if (!work_finish(o->work))
		order_run(o);
	note_why(t, order_note(t, o));
	t->order = NULL;
	order_free(o);
	loop_timer_set(t->tell, 0);
}

void route_table_close(struct route_table *t, struct journal *j)
{
	order_settle(t);
	forget_told(t);
	loop_timer_free(t->tell);
	t->tell = NULL;
	close_rules(t, j);
	addr_bag_free(&t->have);
}

void route_table_source(struct route_table *t, const struct addr *src4, const struct addr *src6)
{
	if (addr_equal(src4, &t->src4) && addr_equal(src6, &t->src6))
		return;
	order_settle(t);
	const struct addr_set all = addr_bag_all(&t->have);
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
	struct addr_set come = { 0 }, gone = { 0 };
	order_settle(t);
	forget_told(t);
	t->why = (struct errbuf) { 0 }; /* what was refused is tried again, here */
	const struct addr_set have = addr_bag_all(&t->have);
	int err = addr_set_minus(want, &have, &come) && addr_set_minus(&have, want, &gone)
			  ? change_now(t, &come, &gone, eb)
			  : failed(-ENOMEM, eb);
	note_why(t, loop_timer_is_set(t->tell) ? err : 0);
	addr_set_free(&come);
	addr_set_free(&gone);
	return err;
}

int route_table_change(
	struct route_table *t, const struct addr_set *come, const struct addr_set *gone, struct errbuf *eb)
{
	bool ok = true;
	for (size_t i = 0; i < gone->n && ok; i++) {
		addr_set_remove(&t->come, &gone->v[i]);
		ok = addr_set_add(&t->gone, &gone->v[i]);
	}
	for (size_t i = 0; i < come->n && ok; i++) {
		addr_set_remove(&t->gone, &come->v[i]);
		ok = addr_set_add(&t->come, &come->v[i]);
	}
	if (!ok)
		return failed(-ENOMEM, eb);
	return t->order ? ROUTE_TABLE_BEGUN : order_begin(t, eb);
}

void route_table_repair(struct route_table *t)
{
	order_settle(t);
	struct addr_set all = addr_bag_all(&t->have);
	struct nl_route *v = routes_of(t, &all);
	for (int v6 = 0; t->table && v6 < 2; v6++) {
		struct nl_rule r = rule_of(t, v6);
		nl_rule_add(t->nl, &r, NULL);
	}
	if (v)
		nl_route_keep_all(t->nl, v, all.n, NULL, NULL);
	free(v);
	if (t->come.n || t->gone.n) {
		int err = order_begin(t, NULL);
		note_why(t, err == ROUTE_TABLE_BEGUN ? 0 : err);
	}
}
