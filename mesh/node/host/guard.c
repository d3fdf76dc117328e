/* What is wanted and what the kernel has are two sets; nft(8) runs beside the loop, one at a time, and
 * carries the difference, or everything where the table is not known to be whole. A run that fails leaves the
 * kernel as it was (a script is one transaction), and everything is loaded again later.
 *
 *   GUARD_OFF     no table, and none wanted: before the first own address and after the last
 *   GUARD_STALE   the table must be loaded whole: at first, after a failure, after another program flushed it
 *   GUARD_HOLDS   the table is in force with own addresses and bridges; peers may be on their way
 *
 * Only guard_move changes the state. Between own addresses and their first packet stands guard_own, which
 * waits; all the rest may come late, since it only adds to what is dropped. */
#include "mesh/node/host/guard.h"
#include "mesh/base/log.h"
#include "mesh/node/host/guard_rules.h"
#include "mesh/os/child.h"
#include "mesh/os/nft.h"
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
	struct addr_set own, mesh; /* wanted; own is part of mesh */
	struct addr_set loaded;	   /* of the table: its mesh addresses */
	struct addr_set sending;   /* will be loaded when `run` succeeds */
	struct guard_inside inside;
	struct child *run;
	struct loop_timer *next;
	struct loop_fd *watch;
	int watch_fd;
	bool touched;	/* the news: something of the table was removed since it was made */
	bool stale_too; /* what `run` loads is not all that is wanted */
	uint64_t restored_ms;
};

static void guard_move(struct guard *g, enum guard_state to)
{
	if (to == GUARD_STALE && g->state != GUARD_STALE)
		addr_set_free(&g->loaded);
	g->state = to;
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

/* nft has done its work; is all of it still there? */
static void guard_loaded(struct guard *g)
{
	struct errbuf eb = { 0 };
	int size = nft_table_size(g->table, &eb);
	guard_read_news(g);
	if (size < 0 && size != -ENOENT) {
		guard_failed(g, eb.text);
		return;
	}
	if (g->problem[0])
		log_info("the network around is kept from this machine's mesh addresses");
	g->problem[0] = 0;
	if (size != GUARD_TABLE_SIZE || (g->touched && g->watch_fd >= 0))
		guard_restore(g);
	else
		guard_move(g, g->stale_too ? GUARD_STALE : GUARD_HOLDS);
	g->stale_too = false;
}

static bool whole_script(const struct guard *g, const struct addr_set *mesh, struct buf *out)
{
	struct guard_wish w = { .ifname = g->ifname, .own = &g->own, .mesh = mesh, .inside = &g->inside };
	return guard_rules_whole(&w, out);
}

static bool change_script(const struct guard *g, struct buf *out)
{
	struct addr_set come = { 0 }, gone = { 0 };
	bool ok = addr_set_minus(&g->mesh, &g->loaded, &come) &&
		  addr_set_minus(&g->loaded, &g->mesh, &gone) &&
		  guard_rules_change(g->ifname, &come, &gone, out);
	addr_set_free(&come);
	addr_set_free(&gone);
	return ok;
}

static void guard_flush(struct guard *g);

static void nft_ended(void *arg, int code, const char *why)
{
	struct guard *g = arg;
	g->run = NULL;
	if (code) {
		guard_failed(g, why);
		return;
	}
	addr_set_free(&g->loaded);
	g->loaded = g->sending;
	g->sending = (struct addr_set) { 0 };
	guard_loaded(g);
	if (!loop_timer_is_set(g->next))
		guard_flush(g);
}

/* Brings the kernel to what is wanted, unless it is there, or nft runs already. */
static void guard_flush(struct guard *g)
{
	struct buf script = { 0 };
	struct errbuf eb = { 0 };
	if (g->run || g->state == GUARD_OFF ||
		(g->state == GUARD_HOLDS && addr_set_equal(&g->mesh, &g->loaded)))
		return;
	bool ok = g->state == GUARD_STALE ? whole_script(g, &g->mesh, &script) : change_script(g, &script);
	g->stale_too = false;
	ok = ok && addr_set_assign(&g->sending, g->mesh.v, g->mesh.n);
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
	if (!g->run && !loop_timer_is_set(g->next))
		loop_timer_set(g->next, ms);
}

static void nft_news(void *arg, int events)
{
	struct guard *g = arg;
	(void)events;
	guard_read_news(g);
	if (g->touched && !g->run && g->state == GUARD_HOLDS)
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
	return nl_route_get(nl, to, &r) == 0 ? r.ifindex : 0;
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
	if (!g->next) {
		guard_close(g);
		return NULL;
	}
	if (g->watch)
		loop_fd_set(g->watch, LOOP_READ);
	return g;
}

static void guard_remove(struct guard *g)
{
	struct errbuf eb = { 0 };
	child_cancel(g->run);
	g->run = NULL;
	loop_timer_clear(g->next);
	if (g->state == GUARD_OFF)
		return;
	if (nft_table_del(g->table, &eb) == 0 && g->journal)
		journal_remove_nft(g->journal, g->table);
	else if (eb.text[0] && !g->problem[0])
		log_warn("%s", eb.text);
	guard_move(g, GUARD_OFF);
	g->problem[0] = 0;
}

void guard_close(struct guard *g)
{
	if (!g)
		return;
	if (g->next)
		guard_remove(g);
	loop_timer_free(g->next);
	loop_fd_free(g->watch);
	if (g->watch_fd >= 0)
		close(g->watch_fd);
	addr_set_free(&g->own);
	addr_set_free(&g->mesh);
	addr_set_free(&g->loaded);
	addr_set_free(&g->sending);
	free(g);
}

void guard_own(struct guard *g, const struct addr *own, size_t n)
{
	struct addr_set now = { 0 };
	struct buf script = { 0 };
	struct errbuf eb = { 0 };
	if (!n) {
		guard_remove(g);
		addr_set_free(&g->own);
		addr_set_free(&g->mesh);
		return;
	}
	if (!addr_set_assign(&now, own, n)) {
		guard_failed(g, "memory is short");
		return;
	}
	if (g->state != GUARD_OFF && addr_set_equal(&now, &g->own)) {
		addr_set_free(&now);
		return;
	}
	/* One that runs carries what is no longer wanted: killed, it has done all of it or nothing. */
	child_cancel(g->run);
	g->run = NULL;
	g->stale_too = false;
	addr_set_free(&g->own);
	g->own = now;
	guard_move(g, GUARD_STALE);
	find_inside(g->nl, &g->inside);
	if (g->journal)
		journal_add_nft(g->journal, g->table);
	int err = whole_script(g, &g->own, &script)
			  ? child_run(nft_argv, buf_data(&script), script.len, NFT_MS, &eb)
			  : err_say(&eb, -ENOMEM, "memory is short");
	buf_free(&script);
	if (err) {
		guard_failed(g, eb.text);
		return;
	}
	guard_loaded(g);
	if (g->state == GUARD_HOLDS && !addr_set_assign(&g->loaded, g->own.v, g->own.n))
		guard_move(g, GUARD_STALE);
	guard_flush_soon(g, 0);
}

void guard_peers(struct guard *g, const struct addr *peers, size_t n)
{
	struct addr *all = malloc((g->own.n + n + 1) * sizeof(*all));
	if (all && g->own.n)
		memcpy(all, g->own.v, g->own.n * sizeof(*all));
	if (all && n)
		memcpy(all + g->own.n, peers, n * sizeof(*all));
	bool known = all && addr_set_assign(&g->mesh, all, g->own.n + n);
	if (g->state != GUARD_OFF && !known)
		guard_failed(g, "memory is short");
	else if (g->state != GUARD_OFF)
		guard_flush_soon(g, g->loaded.n > g->own.n ? GATHER_MS : 0);
	free(all);
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
	if (g->run) {
		g->stale_too = true;
		return;
	}
	guard_move(g, GUARD_STALE);
	guard_flush_soon(g, GATHER_MS);
}

const char *guard_problem(const struct guard *g)
{
	return g->problem;
}
