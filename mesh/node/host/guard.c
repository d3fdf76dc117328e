/* What is wanted and what the kernel has are two sets; nft(8) runs beside the loop, one at a time, and
 * carries the difference, or everything where the table is not known to be whole. A run that fails leaves the
 * kernel as it was (a script is one transaction), and everything is loaded again later. The addresses of a few
 * peers go to the kernel by netlink, without it: it would read the whole table first, 100 ms for ten thousand peers. A thread
 * does that, since the kernel lets it wait for whoever changes rules or interfaces at that moment.
 *
 *   GUARD_OFF     no table, and none wanted: before the first own address and after the last, or none allowed
 *   GUARD_STALE   the table must be loaded whole: at first, after a failure, after another program flushed it
 *   GUARD_HOLDS   the table is in force with own addresses and bridges; peers may be on their way
 *
 * Only guard_move changes the state. Between own addresses and their first packet stands guard_own, between a network
 * that is carried and the first packet to it guard_serve; both wait. All the rest may come late, since it only adds to
 * what is dropped. */
#include "mesh/node/host/guard.h"
#include "mesh/base/log.h"
#include "mesh/node/host/guard_rules.h"
#include "mesh/os/child.h"
#include "mesh/os/nft.h"
#include "mesh/os/sock.h"
#include "mesh/os/work.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	NFT_MS = 5000,	   /* a run of nft takes 5 ms, and 100 with ten thousand peers */
	GATHER_MS = 50,	   /* peers that come one by one go in one run */
	AGAIN_MS = 10000,  /* after a failure */
	RESTORE_MS = 1000, /* another program flushes again and again: so often at most */
	LINKS_MAX = 4096
};

static const char *const nft_argv[] = { "nft", "-f", "-", NULL };

enum guard_state { GUARD_OFF, GUARD_STALE, GUARD_HOLDS };

struct guard {
	struct loop *loop;
	struct nl *nl;
	struct journal *journal;
	char ifname[16], table[GUARD_TABLE_TEXT], problem[320];
	enum guard_state state;
	struct addr_set own;	 /* wanted, */
	struct addr_bag mesh;	 /* and these, each once; own is part of them */
	struct addr_set loaded;	 /* of the table: its mesh addresses */
	struct addr_set sending; /* will be loaded when `run` or `order` succeeds */
	struct guard_inside inside;
	struct guard_service service; /* its networks are ours */
	int size;		      /* of the table as it was loaded whole last */
	struct child *run;	      /* nft, or */
	struct order *order;	      /* a change by netlink on its way; one of them at a time */
	struct loop_timer *next;
	struct loop_fd *watch;
	int watch_fd;
	bool touched;	/* the news: something of the table was removed since it was made */
	bool stale_too; /* what is on its way is not all that is wanted */
	bool forbidden; /* GUARD_OFF, whatever is wanted */
	uint64_t restored_ms;
	struct loop_timer *turn; /* set: `problem` may be another than was told */
	bool told_problem;
	void (*turned)(void *arg); /* NULL: nobody is told */
	void *arg;
};

static void guard_move(struct guard *g, enum guard_state to)
{
	if (to == GUARD_STALE && g->state != GUARD_STALE)
		addr_set_free(&g->loaded);
	g->state = to;
}

/* Whether there is a problem now is told when the caller's work is done. */
static void guard_turn(struct guard *g)
{
	if ((g->problem[0] != 0) != g->told_problem)
		loop_timer_set(g->turn, 0);
}

static void turn_due(void *arg)
{
	struct guard *g = arg;
	bool is = g->problem[0] != 0;
	if (is == g->told_problem)
		return;
	g->told_problem = is;
	if (g->turned)
		g->turned(g->arg);
}

static void guard_failed(struct guard *g, const char *why)
{
	char text[sizeof(g->problem)];
	snprintf(text, sizeof(text),
		"the network around is not kept from this machine's mesh addresses: %s%s", why,
		strstr(why, "no program") ? "; install nftables" : "");
	if (strcmp(text, g->problem) != 0)
		log_warn("%s", text);
	memcpy(g->problem, text, sizeof(text));
	guard_turn(g);
	guard_move(g, GUARD_STALE);
	loop_timer_set(g->next, AGAIN_MS);
}

/* Another program has been at it. */
static void guard_restore(struct guard *g)
{
	uint64_t now = loop_now_ms(g->loop), since = now - g->restored_ms;
	log_warn("another program removed rules of the nftables table %s; putting them back", g->table);
	guard_move(g, GUARD_STALE);
	loop_timer_set(g->next, !g->restored_ms || since >= RESTORE_MS ? 0 : RESTORE_MS - since);
	g->restored_ms = now;
}

static void guard_read_news(struct guard *g)
{
	if (g->watch_fd >= 0)
		nft_watch_read(g->watch_fd, g->table, &g->touched);
}

/* The kernel has what it was told; is all of it still there? size: of the table, or why that is not known. */
static void guard_loaded(struct guard *g, int size, const char *why)
{
	guard_read_news(g);
	if (size < 0 && size != -ENOENT) {
		guard_failed(g, why);
		return;
	}
	if (g->problem[0])
		log_info("the network around is kept from this machine's mesh addresses");
	g->problem[0] = 0;
	guard_turn(g);
	if (size != g->size || (g->touched && g->watch_fd >= 0))
		guard_restore(g);
	else
		guard_move(g, g->stale_too ? GUARD_STALE : GUARD_HOLDS);
	g->stale_too = false;
}

static bool whole_script(struct guard *g, const struct addr_set *mesh, struct buf *out)
{
	struct guard_wish w = { .ifname = g->ifname,
		.own = &g->own,
		.mesh = mesh,
		.inside = &g->inside,
		.service = &g->service };
	g->size = guard_rules_size(&g->service);
	return guard_rules_whole(&w, out);
}

/* What is to be told of a table that is whole; small enough for one message, by netlink. */
struct guard_change {
	struct addr_set come, gone;
};

static bool change_list(const struct guard *g, const struct addr_set *mesh, struct guard_change *c)
{
	return addr_set_minus(mesh, &g->loaded, &c->come) && addr_set_minus(&g->loaded, mesh, &c->gone);
}

static void change_free(struct guard_change *c)
{
	addr_set_free(&c->come);
	addr_set_free(&c->gone);
}

static void guard_flush(struct guard *g);

/* A change cannot be made where the table was: another program removed it meanwhile, and nft works. */
static bool guard_was_flushed(struct guard *g)
{
	guard_read_news(g);
	return g->state == GUARD_HOLDS &&
	       ((g->touched && g->watch_fd >= 0) || nft_table_size(NULL, g->table, NULL) == -ENOENT);
}

static void guard_refused(struct guard *g, const char *why)
{
	if (guard_was_flushed(g))
		guard_restore(g);
	else
		guard_failed(g, why);
}

/* The kernel has what is in `sending`. */
static void guard_sent(struct guard *g, int size, const char *why)
{
	addr_set_free(&g->loaded);
	g->loaded = g->sending;
	g->sending = (struct addr_set) { 0 };
	guard_loaded(g, size, why);
	if (!loop_timer_is_set(g->next))
		guard_flush(g);
}

static void nft_ended(void *arg, int code, const char *why)
{
	struct guard *g = arg;
	struct errbuf eb = { 0 };
	g->run = NULL;
	if (code) {
		guard_refused(g, why);
		return;
	}
	int size = nft_table_size(NULL, g->table, &eb);
	guard_sent(g, size, eb.text);
}

/* Those of s of one family, as elements of its set; *keys moves behind them. */
static struct nft_elements list_elements(const struct addr_set *s, bool v4, bool remove, struct addr **keys)
{
	struct nft_elements l = { .set = v4 ? "mesh4" : "mesh6",
		.remove = remove,
		.key = v4 ? (*keys)->b + 12 : (*keys)->b,
		.key_len = v4 ? 4 : 16,
		.stride = sizeof(**keys) };
	for (size_t i = 0; i < s->n; i++) {
		if (addr_is_v4(&s->v[i]) != v4)
			continue;
		*(*keys)++ = s->v[i];
		l.n++;
	}
	return l;
}

/* A change by netlink. A thread has all of it but `guard` and `work`, from its start to its end. */
struct order {
	struct guard *guard;
	struct work *work;
	struct nft_line *line;
	char table[GUARD_TABLE_TEXT];
	struct guard_change change;
	int err, size;
	struct errbuf eb;
};

static void order_free(struct order *o)
{
	nft_line_close(o->line);
	change_free(&o->change);
	free(o);
}

static void order_run(void *arg)
{
	struct order *o = arg;
	struct addr keys[NFT_ELEMENTS_MAX + 1],
		*at = keys; /* one more: an empty list points behind the last */
	struct nft_elements lists[] = { list_elements(&o->change.come, true, false, &at),
		list_elements(&o->change.come, false, false, &at),
		list_elements(&o->change.gone, true, true, &at),
		list_elements(&o->change.gone, false, true, &at) };
	o->err = nft_elements_change(o->line, o->table, lists, ARRAY_LEN(lists), &o->eb);
	o->size = o->err ? 0 : nft_table_size(o->line, o->table, &o->eb);
	/* Here, since the kernel waits at the end of a socket until nobody can see what was removed: 10 ms. */
	nft_line_close(o->line);
	o->line = NULL;
}

static void order_ended(void *arg)
{
	struct order *o = arg;
	struct guard *g = o->guard;
	g->order = NULL;
	if (o->err)
		guard_refused(g, o->eb.text);
	else
		guard_sent(g, o->size, o->eb.text);
	order_free(o);
}

/* c is taken over. */
static void change_by_netlink(struct guard *g, struct guard_change *c)
{
	struct errbuf eb = { 0 };
	struct order *o = calloc(1, sizeof(*o));
	if (!o) {
		change_free(c);
		guard_failed(g, "memory is short");
		return;
	}
	o->guard = g;
	o->change = *c;
	memcpy(o->table, g->table, sizeof(o->table));
	o->line = nft_line_open(&eb);
	o->work = o->line ? work_start(g->loop, order_run, order_ended, o) : NULL;
	if (o->work) {
		g->order = o;
		return;
	}
	guard_failed(g, o->line ? "memory is short" : eb.text);
	order_free(o);
}

static bool guard_is_busy(const struct guard *g)
{
	return g->run || g->order;
}

/* What is on its way has been done wholly, or not at all; nobody is told. */
static void guard_stop(struct guard *g)
{
	child_cancel(g->run);
	g->run = NULL;
	if (!g->order)
		return;
	(void)work_finish(g->order->work);
	order_free(g->order);
	g->order = NULL;
}

/* Brings the kernel to what is wanted, unless it is there, or nft runs already. */
static void guard_flush(struct guard *g)
{
	struct buf script = { 0 };
	struct errbuf eb = { 0 };
	if (guard_is_busy(g) || g->state == GUARD_OFF)
		return;
	const struct addr_set mesh = addr_bag_all(&g->mesh);
	if (g->state == GUARD_HOLDS && addr_set_equal(&mesh, &g->loaded))
		return;
	struct guard_change c = { 0 };
	bool change = g->state == GUARD_HOLDS;
	g->stale_too = false;
	bool ok = addr_set_assign(&g->sending, mesh.v, mesh.n) && (!change || change_list(g, &mesh, &c));
	if (ok && change && c.come.n + c.gone.n <= NFT_ELEMENTS_MAX) {
		change_by_netlink(g, &c);
		return;
	}
	ok = ok && (change ? guard_rules_change(g->ifname, &c.come, &c.gone, &script)
			   : whole_script(g, &mesh, &script));
	change_free(&c);
	g->run = ok ? child_start(g->loop, nft_argv, buf_data(&script), script.len, NFT_MS, nft_ended, g, &eb)
		    : NULL;
	buf_free(&script);
	if (!g->run)
		guard_failed(g, ok ? eb.text : "memory is short");
}

static void guard_due(void *arg)
{
	guard_flush(arg);
}

static void guard_flush_soon(struct guard *g, uint64_t ms)
{
	if (!guard_is_busy(g) && !loop_timer_is_set(g->next))
		loop_timer_set(g->next, ms);
}

static void nft_news(void *arg, int events)
{
	struct guard *g = arg;
	(void)events;
	guard_read_news(g);
	if (g->touched && !guard_is_busy(g) && g->state == GUARD_HOLDS)
		guard_restore(g);
}

/* --- bridges of containers --- */

static bool is_virtual_port(const struct nl_link *l)
{
	return strcmp(l->kind, "veth") == 0 || strcmp(l->kind, "tun") == 0;
}

/* Where the machine's own way out leads: a bridge there has the network around behind it. */
static int way_out(struct nl *nl, const struct addr *to)
{
	struct nl_route r;
	return nl_route_get(nl, to, SOCK_MARK_OUTSIDE, &r) == 0 ? r.ifindex : 0;
}

static bool is_inside(const struct nl_link *all, size_t n, const struct nl_link *bridge)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].master == bridge->ifindex && !is_virtual_port(&all[i]))
			return false;
	return true;
}

static void find_inside(struct nl *nl, struct guard_inside *out)
{
	const struct addr far4 = addr_v4(0x01010101), far6 = { { 0x20, 0x01, [15] = 1 } };
	struct nl_link *all = calloc(LINKS_MAX, sizeof(*all));
	int count = all ? nl_link_list(nl, all, LINKS_MAX, NULL) : 0;
	size_t n = count < 0 ? 0 : count < LINKS_MAX ? (size_t)count : LINKS_MAX;
	int out4 = way_out(nl, &far4), out6 = way_out(nl, &far6);
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < n && count <= LINKS_MAX && out->n < GUARD_INSIDE_MAX; i++) {
		if (strcmp(all[i].kind, "bridge") == 0 && all[i].ifindex != out4 && all[i].ifindex != out6 &&
			is_inside(all, n, &all[i]))
			memcpy(out->name[out->n++], all[i].name, sizeof(all[i].name));
	}
	free(all);
}

/* --- entries --- */

struct guard *guard_open(struct loop *l, struct nl *nl, const char *ifname, struct journal *j)
{
	struct guard *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->loop = l;
	g->nl = nl;
	g->journal = j;
	snprintf(g->ifname, sizeof(g->ifname), "%s", ifname);
	guard_table_name(ifname, g->table);
	g->watch_fd = nft_watch_open(NULL);
	g->watch = g->watch_fd >= 0 ? loop_fd_new(l, g->watch_fd, nft_news, g) : NULL;
	g->next = loop_timer_new(l, guard_due, g);
	g->turn = loop_timer_new(l, turn_due, g);
	if (!g->next || !g->turn) {
		guard_close(g);
		return NULL;
	}
	if (g->watch)
		loop_fd_set(g->watch, LOOP_READ);
	if (nft_table_size(NULL, g->table, NULL) >= 0) /* what was left, of other addresses perhaps */
		guard_move(g, GUARD_STALE);
	return g;
}

static void table_remove_noted(const char *table, struct journal *j, bool say)
{
	struct errbuf eb = { 0 };
	if (nft_table_del(table, &eb) == 0 && j)
		journal_remove_nft(j, table);
	else if (eb.text[0] && say)
		log_warn("%s", eb.text);
}

static void guard_remove(struct guard *g)
{
	guard_stop(g);
	loop_timer_clear(g->next);
	if (g->state == GUARD_OFF)
		return;
	table_remove_noted(g->table, g->journal, !g->problem[0]);
	guard_move(g, GUARD_OFF);
	g->problem[0] = 0;
	guard_turn(g);
}

void guard_drop(const char *ifname, struct journal *j)
{
	char table[GUARD_TABLE_TEXT];
	table_remove_noted(guard_table_name(ifname, table), j, true);
}

void guard_leave(struct guard *g)
{
	guard_stop(g);
	guard_move(g, GUARD_OFF); /* nothing to remove */
	guard_close(g);
}

void guard_close(struct guard *g)
{
	if (!g)
		return;
	if (g->next && g->turn)
		guard_remove(g);
	loop_timer_free(g->next);
	loop_timer_free(g->turn);
	loop_fd_free(g->watch);
	if (g->watch_fd >= 0)
		close(g->watch_fd);
	addr_set_free(&g->own);
	addr_bag_free(&g->mesh);
	addr_set_free(&g->loaded);
	addr_set_free(&g->sending);
	free((void *)(uintptr_t)g->service.nets);
	free(g);
}

/* All that is wanted, of the mesh's addresses these; the others follow. */
static void load_now(struct guard *g, const struct addr_set *mesh)
{
	struct buf script = { 0 };
	struct errbuf eb = { 0 };
	guard_stop(g); /* it carries what is no longer wanted */
	g->stale_too = false;
	guard_move(g, GUARD_STALE);
	int err = whole_script(g, mesh, &script)
			  ? child_run(nft_argv, buf_data(&script), script.len, NFT_MS, &eb)
			  : err_say(&eb, -ENOMEM, "memory is short");
	buf_free(&script);
	if (err) {
		guard_failed(g, eb.text);
		return;
	}
	int size = nft_table_size(NULL, g->table, &eb);
	guard_loaded(g, size, eb.text);
	if (g->state == GUARD_HOLDS && !addr_set_assign(&g->loaded, mesh->v, mesh->n))
		guard_move(g, GUARD_STALE);
	guard_flush_soon(g, 0);
}

/* What people hear as long as there is no table, for that reason. */
static void say_forbidden(struct guard *g)
{
	snprintf(g->problem, sizeof(g->problem), "%s",
		g->forbidden && g->own.n
			? "the network around is not kept from this machine's mesh addresses, and what it "
			  "carries for "
			  "others is not translated: --netfilter-mode=off leaves all rules to you"
			: "");
	guard_turn(g);
}

/* The table, with own addresses first. */
static void load_own(struct guard *g)
{
	find_inside(g->nl, &g->inside);
	if (g->journal)
		journal_add_nft(g->journal, g->table);
	load_now(g, &g->own);
}

bool guard_own(struct guard *g, const struct addr *own, size_t n)
{
	struct addr_set now = { 0 };
	if (!n) {
		guard_remove(g);
		addr_set_free(&g->own);
		addr_bag_free(&g->mesh);
		say_forbidden(g);
		return true;
	}
	if (!addr_set_assign(&now, own, n))
		return false;
	if (g->state != GUARD_OFF && addr_set_equal(&now, &g->own)) {
		addr_set_free(&now);
		return true;
	}
	addr_set_free(&g->own);
	g->own = now;
	if (g->forbidden)
		say_forbidden(g);
	else
		load_own(g);
	return true;
}

void guard_allow(struct guard *g, bool allowed)
{
	if (allowed == !g->forbidden)
		return;
	g->forbidden = !allowed;
	guard_remove(g);
	say_forbidden(g);
	if (allowed && g->own.n)
		load_own(g);
}

static bool guard_peers_told(struct guard *g, bool known)
{
	if (g->state != GUARD_OFF && known)
		guard_flush_soon(g, g->loaded.n > g->own.n ? GATHER_MS : 0);
	return known;
}

bool guard_peers(struct guard *g, const struct addr *peers, size_t n)
{
	struct addr *all = malloc((g->own.n + n + 1) * sizeof(*all));
	struct addr_set each = { 0 };
	if (all && g->own.n)
		memcpy(all, g->own.v, g->own.n * sizeof(*all));
	if (all && n)
		memcpy(all + g->own.n, peers, n * sizeof(*all));
	bool known = guard_peers_told(g, all && addr_set_assign(&each, all, g->own.n + n) &&
						 addr_bag_assign(&g->mesh, each.v, each.n));
	addr_set_free(&each);
	free(all);
	return known;
}

bool guard_peers_change(struct guard *g, const struct addr_set *come, const struct addr_set *gone)
{
	bool known = true;
	for (size_t i = 0; i < gone->n; i++)
		if (!addr_set_has(&g->own, &gone->v[i]))
			addr_bag_remove(&g->mesh, &gone->v[i]);
	for (size_t i = 0; known && i < come->n; i++)
		known = addr_bag_has(&g->mesh, &come->v[i]) || addr_bag_add(&g->mesh, &come->v[i]);
	return guard_peers_told(g, known);
}

void guard_links_changed(struct guard *g)
{
	struct guard_inside now;
	if (g->state == GUARD_OFF)
		return;
	find_inside(g->nl, &now);
	if (memcmp(&now, &g->inside, sizeof(now)) == 0)
		return;
	g->inside = now;
	if (guard_is_busy(g)) {
		g->stale_too = true;
		return;
	}
	guard_move(g, GUARD_STALE);
	guard_flush_soon(g, GATHER_MS);
}

static bool same_service(const struct guard_service *a, const struct guard_service *b)
{
	bool same = a->n == b->n && a->plain == b->plain && a->unasked == b->unasked;
	for (size_t i = 0; same && i < a->n; i++)
		same = prefix_equal(&a->nets[i], &b->nets[i]);
	return same;
}

bool guard_serve(struct guard *g, const struct guard_service *s)
{
	struct prefix *nets;
	if (same_service(s, &g->service))
		return true;
	nets = malloc((s->n + 1) * sizeof(*nets));
	if (!nets)
		return false;
	if (s->n)
		memcpy(nets, s->nets, s->n * sizeof(*nets));
	free((void *)(uintptr_t)g->service.nets);
	g->service = *s;
	g->service.nets = nets;
	const struct addr_set mesh = addr_bag_all(&g->mesh);
	if (g->state != GUARD_OFF)
		load_now(g, mesh.n ? &mesh : &g->own);
	return true;
}

void guard_watch(struct guard *g, void (*turned)(void *arg), void *arg)
{
	g->turned = turned;
	g->arg = arg;
}

const char *guard_problem(const struct guard *g)
{
	return g->problem;
}
