/* The machine's routes, rules and addresses while a node is up, after others have been at them, and after its
 * end. */
#include "mesh/node/host/guard.h"
#include "mesh/node/host/iface.h"
#include "mesh/node/host/cleanup.h"
#include "mesh/node/host/exit_hold.h"
#include "mesh/node/host/state.h"
#include "mesh/node/host/test/lab.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
	char dir[64], conf[128];
	struct loop *l;
	struct journal *j;
	struct iface *i;
	int changes, ended;
	bool begun;	   /* the last change told that it has */
	struct errbuf why; /* of the last end */
};

/* A kernel that takes routes when the test lets it, and refuses them when it is told to. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool held, waits, refuses;
} kernel = { .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER };

int __real_nl_route_add_all(
	struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb);
int __wrap_nl_route_add_all(
	struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb);
int __wrap_nl_route_add_all(
	struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb)
{
	pthread_mutex_lock(&kernel.lock);
	kernel.waits = true;
	pthread_cond_broadcast(&kernel.news);
	while (kernel.held)
		pthread_cond_wait(&kernel.news, &kernel.lock);
	kernel.waits = false;
	bool refuses = kernel.refuses;
	pthread_mutex_unlock(&kernel.lock);
	if (!refuses)
		return __real_nl_route_add_all(n, v, count, codes, eb);
	for (size_t k = 0; k < count; k++)
		codes[k] = -ENOBUFS;
	return -ENOBUFS;
}

static void kernel_holds(bool held)
{
	pthread_mutex_lock(&kernel.lock);
	kernel.held = held;
	pthread_cond_broadcast(&kernel.news);
	pthread_mutex_unlock(&kernel.lock);
}

/* Until it has been asked for a route and does not answer. */
static void kernel_await(void)
{
	pthread_mutex_lock(&kernel.lock);
	while (!kernel.waits)
		pthread_cond_wait(&kernel.news, &kernel.lock);
	pthread_mutex_unlock(&kernel.lock);
}

static void routed(void *arg, const struct errbuf *why)
{
	struct world *w = arg;
	w->ended++;
	w->why = *why;
}

static void await_end(struct world *w, int ended)
{
	while (w->ended < ended)
		loop_run_once(w->l);
}

static void changed(void *arg)
{
	((struct world *)arg)->changes++;
}

static struct addr ip(const char *text)
{
	struct addr a;
	assert_true(addr_parse(text, &a));
	return a;
}

static int open_world(void **state)
{
	struct world *w = *state = calloc(1, sizeof(*w));
	struct errbuf eb = { 0 };
	strcpy(w->dir, "/tmp/rw-iface-XXXXXX");
	if (!mkdtemp(w->dir) || !lab_open())
		return -1;
	w->l = loop_new();
	w->j = journal_open(w->dir, &eb);
	struct iface_options o = {
		.name = "rope0", .mtu = 1280, .journal = w->j, .changed = changed, .routed = routed, .arg = w
	};
	w->i = iface_open(w->l, &o, &eb);
	if (!w->i)
		print_message("%s\n", eb.text);
	return w->i && w->j ? 0 : -1;
}

static int close_world(void **state)
{
	struct world *w = *state;
	iface_close(w->i);
	journal_close(w->j);
	loop_free(w->l);
	lab_close();
	dir_remove(w->dir, NULL);
	free(w);
	return 0;
}

static void apply(struct world *w, const struct addr *peers, size_t n)
{
	static const char *const text[] = { "100.64.0.1", "fd7a:115c:a1e0::1", "100.100.100.100",
		"fd7a:115c:a1e0::53" };
	struct prefix own[ARRAY_LEN(text)];
	struct errbuf eb = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		assert_true(prefix_parse(text[i], &own[i]));
	if (iface_apply(w->i, own, ARRAY_LEN(own), peers, n, &eb) != 0)
		fail_msg("%s", eb.text);
}

/* "dev eth0", "dev rope0": where a packet to this address goes. */
static void goes(const char *to, const char *where)
{
	char line[128];
	snprintf(line, sizeof(line), "ip route get %s | grep -q '%s'", to, where);
	lab_run(LAB_HOST, line);
}

static void test_only_what_is_named(void **state)
{
	struct world *w = *state;
	struct addr peers[] = { ip("100.64.0.2"), ip("fd7a:115c:a1e0::2"), ip("100.127.0.3") };
	apply(w, peers, 3);
	goes("100.64.0.2", "dev rope0.* src 100.64.0.1 ");
	goes("100.127.0.3", "dev rope0");
	goes("fd7a:115c:a1e0::2", "dev rope0.* src fd7a:115c:a1e0::1 ");
	goes("100.99.0.1", "via 10.9.0.1 dev eth0");
	goes("fd7a:115c:a1e0::9", "dev eth0");
	lab_run(LAB_HOST, "! ip route show table main | grep -q rope0");
	apply(w, peers + 1, 1);
	goes("100.64.0.2", "dev eth0");
	goes("fd7a:115c:a1e0::2", "dev rope0");
	/* The host's own in-mesh services answer at once: nothing else took the addresses. */
	lab_run(LAB_HOST, "ip addr show dev rope0 | grep -q 100.100.100.100/32");
	struct errbuf eb = { 0 };
	assert_int_equal(iface_apply(w->i, NULL, 0, NULL, 0, &eb), 0);
	goes("fd7a:115c:a1e0::2", "dev eth0");
	lab_run(LAB_HOST, "! ip addr show dev rope0 | grep -q 100.64; ! nft list tables | grep -q ropewalk");
}

/* A carrier's gateway and nameserver, and an address of our own, in the range of the mesh. */
static void test_outside_wins(void **state)
{
	struct world *w = *state;
	struct addr peers[] = { ip("100.64.0.2"), ip("100.72.0.1"), ip("100.72.0.53"), ip("100.72.0.7") },
		    dns = ip("100.72.0.53");
	lab_run(LAB_HOST, "ip addr add 100.72.0.7/24 dev eth0; ip route replace default via 100.72.0.1");
	apply(w, peers, 4);
	goes("100.72.0.1", "dev eth0");
	goes("100.72.0.7", "dev lo");
	goes("100.72.0.53", "dev rope0");
	assert_true(addr_set_has(iface_outside(w->i), &peers[1]));
	assert_false(addr_set_has(iface_outside(w->i), &dns));
	assert_non_null(strstr(iface_conflict(w->i), "100.72.0.1 outside of the mesh"));
	iface_nameservers_set(w->i, &dns, 1);
	goes("100.72.0.53", "dev eth0");
	assert_true(addr_set_has(iface_outside(w->i), &dns));
	goes("100.64.0.2", "dev rope0");
	/* The guard lets in what comes from there. */
	lab_run(LAB_HOST, "! nft get element inet ropewalk-rope0 'mesh4 { 100.72.0.53 }' >/dev/null 2>&1");
	iface_nameservers_set(w->i, NULL, 0);
	lab_run(LAB_HOST, "ip route replace default via 10.9.0.1; ip addr del 100.72.0.7/24 dev eth0");
	lab_await(w->l, "ip route get 100.72.0.1 | grep -q rope0");
	goes("100.72.0.53", "dev rope0");
	assert_string_equal(iface_conflict(w->i), "");
	assert_int_equal(iface_outside(w->i)->n, 0);
}

#define TABLE "t=$(ip rule | sed -n 's/^5252:.*lookup //p');"

static void test_put_back(void **state)
{
	struct world *w = *state;
	struct addr peers[] = { ip("100.64.0.2"), ip("fd7a:115c:a1e0::2") };
	static const char *const harm[] = { "ip rule del pref 5252", "ip -6 rule del pref 5252",
		TABLE " ip route flush table $t", TABLE " ip -6 route flush table $t",
		"ip addr del 100.64.0.1/32 dev rope0", "ip link set rope0 down" };
	apply(w, peers, 2);
	for (size_t k = 0; k < ARRAY_LEN(harm); k++) {
		lab_run(LAB_HOST, harm[k]);
		lab_await(w->l, "ip route get 100.64.0.2 | grep -q 'rope0.* src 100.64.0.1 ' && "
				"ip -6 route get fd7a:115c:a1e0::2 | grep -q rope0");
	}
	/* Nothing of this is news, once it is done; what another program does elsewhere is. */
	lab_run(LAB_HOST, "ip route add 192.0.2.0/24 via 10.9.0.1");
	int before = w->changes;
	lab_await(w->l, "true");
	while (w->changes == before)
		loop_run_once(w->l);
}

static void set_nets(struct world *w, const char *const *text, size_t n, bool before_own)
{
	struct prefix v[8];
	struct errbuf eb = { 0 };
	for (size_t k = 0; k < n; k++)
		assert_true(prefix_parse(text[k], &v[k]));
	struct iface_nets nets = { .v = v, .n = n, .before_own = before_own };
	if (iface_nets_set(w->i, &nets, &eb) != 0)
		fail_msg("%s", eb.text);
}

/* This machine is in 10.9.0.0/24, 172.17.0.0/24, fd09::/64 and fd17::/64. */
static void test_nets(void **state)
{
	struct world *w = *state;
	static const char *const nets[] = { "10.0.0.0/8", "10.9.0.0/25", "192.168.7.0/24", "fd00::/8" };
	struct addr peer = ip("100.64.0.2");
	apply(w, &peer, 1);
	set_nets(w, nets, 4, false);
	goes("192.168.7.9", "dev rope0.* src 100.64.0.1 ");
	goes("10.1.1.1", "dev rope0");
	goes("fd00:1::1", "dev rope0.* src fd7a:115c:a1e0::1 ");
	/* What this machine is in stays, whether it is larger or smaller. */
	goes("10.9.0.77", "dev eth0");
	goes("fd09::77", "dev eth0");
	goes("192.168.8.1", "via 10.9.0.1");
	goes("192.168.7.9 mark 0x80000", "via 10.9.0.1");
	assert_non_null(strstr(iface_overlap(w->i), "10.9.0.0/25"));
	/* A network that comes later. */
	lab_run(LAB_HOST, "ip addr add 192.168.7.2/24 dev cbr0");
	lab_await(w->l, "ip route get 192.168.7.9 | grep -q cbr0");
	lab_run(LAB_HOST, "ip addr del 192.168.7.2/24 dev cbr0");
	lab_await(w->l, "ip route get 192.168.7.9 | grep -q rope0");
	lab_run(LAB_HOST,
		"ip rule del pref 5254; ip route flush table $(ip -6 rule | sed -n 's/^5254:.*lookup //p')");
	lab_await(w->l, "ip route get 192.168.7.9 | grep -q 'rope0.* src 100.64.0.1 '");
	set_nets(w, nets, 4, true);
	goes("10.9.0.77", "dev rope0");
	goes("fd09::77", "dev rope0");
	assert_string_equal(iface_overlap(w->i), "");
	set_nets(w, nets + 2, 1, false);
	goes("10.1.1.1", "via 10.9.0.1");
	set_nets(w, NULL, 0, false);
	lab_run(LAB_HOST, "! ip rule | grep -q 5254; ! ip -6 rule | grep -q 5254; test -z \"$(ip route show "
			  "table all | "
			  "grep throw)\"");
}

/* In force without an interface, and for all but what is marked; taken over by who starts anew. */
static void test_hold(void **state)
{
	struct world *w = *state;
	struct exit_hold h = { 0 };
	struct errbuf eb = { 0 };
	static const char *const all[] = { "0.0.0.0/0", "::/0" };
	struct addr peer = ip("100.64.0.2");
	apply(w, &peer, 1);
	assert_int_equal(exit_hold_set(&h, true, false, w->j, &eb), 0);
	lab_run(LAB_HOST, "! ip route get 192.0.2.1 2>/dev/null; ! ip route get 10.9.0.1 2>/dev/null;"
			  "! ip route get 2001:db8::1 2>/dev/null; ! ip route get fd09::1 2>/dev/null");
	goes("192.0.2.1 mark 0x80000", "via 10.9.0.1");
	goes("100.64.0.2", "dev rope0");
	set_nets(w, all, 2, false);
	goes("192.0.2.1", "dev rope0");
	goes("10.9.0.1", "dev rope0");
	goes("2001:db8::1", "dev rope0");
	assert_int_equal(exit_hold_set(&h, true, true, w->j, &eb), 0);
	set_nets(w, NULL, 0, false);
	goes("10.9.0.1", "dev eth0");
	lab_run(LAB_HOST, "! ip route get 192.0.2.1 2>/dev/null; ip rule del pref 5256; ip route get "
			  "192.0.2.1 >/dev/null");
	exit_hold_repair(&h);
	lab_run(LAB_HOST, "! ip route get 192.0.2.1 2>/dev/null");
	/* Killed, and started anew: what is about it stays. */
	nl_close(h.nl);
	free(h.table.have);
	h = (struct exit_hold) { 0 };
	assert_int_equal(cleanup_run(w->l, w->j, HOLD_TABLE, &eb), 0);
	lab_run(LAB_HOST, "! ip route get 192.0.2.1 2>/dev/null; ! ip -6 route get 2001:db8::1 2>/dev/null");
	assert_int_equal(exit_hold_set(&h, true, false, w->j, &eb), 0);
	nl_close(h.nl);
	free(h.table.have);
	assert_int_equal(cleanup_run(w->l, w->j, 0, &eb), 0);
	goes("192.0.2.1", "via 10.9.0.1");
	lab_run(LAB_HOST, "! ip rule | grep -q 5256; ! ip -6 rule | grep -q 5256; test -z \"$(ip route show "
			  "table 1051999)\"");
}

static void change_begin(struct world *w, const char *gone, const char *come)
{
	struct addr g, c;
	struct errbuf eb = { 0 };
	if (gone)
		g = ip(gone);
	if (come)
		c = ip(come);
	int err = iface_peers_change(w->i, &g, gone != NULL, &c, come != NULL, &eb);
	if (err < 0)
		fail_msg("%s", eb.text);
	assert_true(err == 0 || err == IFACE_BEGUN);
	w->begun = err == IFACE_BEGUN;
}

static void change(struct world *w, const char *gone, const char *come)
{
	int ended = w->ended;
	change_begin(w, gone, come);
	if (w->begun)
		await_end(w, ended + 1);
	assert_int_equal(w->why.code, 0);
}

#define ELEMENT(which) "nft get element inet ropewalk-rope0 '" which "' >/dev/null 2>&1"

/* By what differs: routes, the guard, and what the machine needs outside of the mesh. */
static void test_one_peer(void **state)
{
	struct world *w = *state;
	struct addr peers[] = { ip("100.64.0.2"), ip("100.64.0.2"), ip("100.64.0.3"),
		ip("fd7a:115c:a1e0::2") };
	lab_run(LAB_HOST, "ip route replace default via 100.72.0.1 onlink dev eth0");
	apply(w, peers, ARRAY_LEN(peers));
	lab_await(w->l, ELEMENT("mesh4 { 100.64.0.3 }"));
	change(w, "100.64.0.3", "100.64.0.9");
	goes("100.64.0.3", "dev eth0");
	goes("100.64.0.9", "dev rope0.* src 100.64.0.1 ");
	lab_await(w->l, ELEMENT("mesh4 { 100.64.0.9 }") " && ! " ELEMENT("mesh4 { 100.64.0.3 }"));
	change(w, "fd7a:115c:a1e0::2", "fd7a:115c:a1e0::9");
	goes("fd7a:115c:a1e0::2", "dev eth0");
	goes("fd7a:115c:a1e0::9", "dev rope0");
	lab_await(
		w->l, ELEMENT("mesh6 { fd7a:115c:a1e0::9 }") " && ! " ELEMENT("mesh6 { fd7a:115c:a1e0::2 }"));
	/* Two had it: the other still does. */
	change(w, "100.64.0.2", NULL);
	goes("100.64.0.2", "dev rope0");
	change(w, "100.64.0.2", NULL);
	goes("100.64.0.2", "dev eth0");
	/* One leaves, and another has its address. */
	change(w, "100.64.0.9", "100.64.0.9");
	goes("100.64.0.9", "dev rope0");
	change(w, "100.64.0.77", NULL); /* nobody's */
	/* The gateway is needed outside; and our own address stays guarded, whoever leaves with it. */
	change(w, NULL, "100.72.0.1");
	goes("100.72.0.1", "dev eth0");
	assert_int_equal(iface_outside(w->i)->n, 1);
	change(w, "100.72.0.1", NULL);
	assert_int_equal(iface_outside(w->i)->n, 0);
	change(w, "100.64.0.1", NULL);
	change(w, "100.64.0.9", NULL);
	lab_await(w->l, "! " ELEMENT("mesh4 { 100.64.0.9 }"));
	lab_run(LAB_HOST, ELEMENT("mesh4 { 100.64.0.1 }"));
	lab_run(LAB_HOST, "ip route replace default via 10.9.0.1");
}

/* The kernel keeps us waiting: nobody of the loop's thread does, and in the end all is as it was told last. */
static void test_slow(void **state)
{
	struct world *w = *state;
	struct addr peers[] = { ip("100.64.0.2"), ip("100.64.0.3") };
	apply(w, peers, ARRAY_LEN(peers));
	kernel_holds(true);
	change_begin(w, NULL, "100.64.0.9");
	assert_true(w->begun);
	kernel_await();
	change_begin(w, "100.64.0.9", NULL); /* the one on its way */
	change_begin(w, "100.64.0.2", "fd7a:115c:a1e0::9");
	change_begin(w, "100.64.0.3", NULL);
	change_begin(w, NULL, "100.64.0.3");
	assert_true(w->begun);
	/* News of the machine as well, while it needs the same outside of the mesh. */
	int before = w->changes;
	lab_run(LAB_HOST, "ip route add 192.0.2.0/24 via 10.9.0.1");
	while (w->changes == before)
		loop_run_once(w->l);
	assert_int_equal(w->ended, 0);
	kernel_holds(false);
	await_end(w, 1);
	assert_int_equal(w->why.code, 0);
	goes("100.64.0.9", "dev eth0");
	goes("100.64.0.2", "dev eth0");
	goes("100.64.0.3", "dev rope0.* src 100.64.0.1 ");
	goes("fd7a:115c:a1e0::9", "dev rope0");
	change_begin(w, "100.64.0.77", NULL);
	assert_false(w->begun);
	lab_await(w->l, ELEMENT("mesh6 { fd7a:115c:a1e0::9 }") " && ! " ELEMENT("mesh4 { 100.64.0.2 }"));
}

static void *let_go(void *arg)
{
	(void)arg;
	kernel_await();
	kernel_holds(false);
	return NULL;
}

/* Who tells all of it waits for what is on its way, and whoever was promised an end hears of one, once. */
static void test_slow_meets_whole(void **state)
{
	struct world *w = *state;
	struct addr peers[] = { ip("100.64.0.2"), ip("100.64.0.5") };
	pthread_t t;
	apply(w, peers, 1);
	kernel_holds(true);
	change_begin(w, NULL, "100.64.0.9");
	assert_int_equal(pthread_create(&t, NULL, let_go, NULL), 0);
	apply(w, peers, 2);
	pthread_join(t, NULL);
	goes("100.64.0.9", "dev eth0");
	goes("100.64.0.5", "dev rope0");
	assert_int_equal(w->ended, 0);
	await_end(w, 1);
	assert_int_equal(w->why.code, 0);
	change(w, "100.64.0.5", "100.64.0.6");
	goes("100.64.0.6", "dev rope0");
	/* An interface that is closed tells nobody. */
	kernel_holds(true);
	change_begin(w, NULL, "100.64.0.9");
	assert_int_equal(pthread_create(&t, NULL, let_go, NULL), 0);
	iface_close(w->i);
	w->i = NULL;
	pthread_join(t, NULL);
	assert_int_equal(w->ended, 2);
}

static void test_refused(void **state)
{
	struct world *w = *state;
	struct addr peers[] = { ip("100.64.0.2"), ip("100.64.0.9") };
	apply(w, peers, 1);
	kernel.refuses = true;
	change_begin(w, "100.64.0.2", "100.64.0.9");
	await_end(w, 1);
	kernel.refuses = false;
	assert_int_equal(w->why.code, -ENOBUFS);
	assert_non_null(strstr(w->why.text, "route the mesh's addresses"));
	goes("100.64.0.2", "dev eth0");
	goes("100.64.0.9", "dev eth0");
	apply(w, peers + 1, 1);
	goes("100.64.0.9", "dev rope0");
}

static void test_many(void **state)
{
	enum { N = 10000 };
	struct world *w = *state;
	static struct addr peers[N];
	for (uint32_t k = 0; k < N; k++)
		peers[k] = addr_v4(0x64400002 + (k * 7919) % N);
	apply(w, peers, N);
	lab_run(LAB_HOST, "test $(ip route show table all dev rope0 | grep -c '^100\\.6[45]') -ge 10000");
	uint64_t start = clock_now_ns();
	for (int k = 0; k < 20; k++)
		apply(w, peers, N - 1 - (size_t)(k & 1));
	print_message(
		"all of %d peers but one are told: %.2f ms\n", N, (double)(clock_now_ns() - start) / 20e6);
	start = clock_now_ns();
	for (int k = 0; k < 20; k++)
		change(w, k & 1 ? NULL : "100.64.0.9", k & 1 ? "100.64.0.9" : NULL);
	print_message("one of %d peers comes or goes: %.2f ms\n", N, (double)(clock_now_ns() - start) / 20e6);
	goes("100.64.0.9", "rope0");
}

static const char nothing[] =
	"! ip rule | grep -q 525; ! ip -6 rule | grep -q 525; ! nft list tables | grep -q ropewalk;"
	"! ip route show table all | grep -q throw; ! ip -6 route show table all | grep -q throw";

static const char *const around[] = { "10.0.0.0/8", "fd00::/8" }; /* this machine is in parts of them */

static void test_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct addr peer = ip("100.64.0.2");
	apply(w, &peer, 1);
	set_nets(w, around, 2, false);
	assert_false(journal_is_empty(w->j));
	iface_close(w->i);
	w->i = NULL;
	lab_run(LAB_HOST, nothing);
	assert_true(journal_is_empty(w->j));
}

/* All of it but the guard, which is in the journal until somebody drops it. */
static void test_guard_stays(void **state)
{
	struct world *w = *state;
	struct addr peer = ip("100.64.0.2");
	apply(w, &peer, 1);
	iface_guard_stays(w->i);
	iface_close(w->i);
	w->i = NULL;
	lab_run(LAB_HOST, "! ip rule | grep -q 525; nft list tables | grep -q ropewalk-rope0");
	assert_false(journal_is_empty(w->j));
	guard_drop("rope0", w->j);
	lab_run(LAB_HOST, nothing);
	assert_true(journal_is_empty(w->j));
}

/* Killed: another process knows from the journal what there is to undo. */
static void test_cleanup(void **state)
{
	struct world *w = *state;
	struct addr peer = ip("100.64.0.2");
	struct errbuf eb = { 0 };
	char backup[160], text[256];
	apply(w, &peer, 1);
	set_nets(w, around, 2, false);
	snprintf(w->conf, sizeof(w->conf), "%s/resolv.conf", w->dir);
	snprintf(backup, sizeof(backup), "%s.before-ropewalk", w->conf);
	assert_int_equal(file_write_atomic(backup, 0644, "nameserver 9.9.9.9\n", 19, NULL), 0);
	static const char ours[] = "# Made by ropewalkd: the mesh's names are answered by its resolver.\n";
	assert_int_equal(file_write_atomic(w->conf, 0644, ours, strlen(ours), NULL), 0);
	journal_add_resolv_conf(w->j, w->conf);
	/* The kernel removes the interface with the process that held it. */
	lab_run(LAB_HOST, "ip link set rope0 netns 1 2>/dev/null || ip link del rope0");
	lab_run(LAB_HOST, "ip rule | grep -q 5252 && nft list tables | grep -q ropewalk-rope0");

	int lock = state_lock(w->dir, &eb);
	assert_true(lock >= 0);
	assert_int_equal(cleanup_main(w->dir, &eb), -EWOULDBLOCK); /* not while a node runs */
	lab_run(LAB_HOST, "ip rule | grep -q 5252");
	close(lock);
	if (cleanup_main(w->dir, &eb) != 0)
		fail_msg("%s", eb.text);
	lab_run(LAB_HOST, nothing);
	snprintf(text, sizeof(text), "grep -q 9.9.9.9 %s && ! test -e %s && ! test -e %s/changes", w->conf,
		backup, w->dir);
	lab_run(LAB_HOST, text);
	assert_int_equal(cleanup_main(w->dir, &eb), 0);
	assert_int_equal(cleanup_main("/nonexistent/folder", &eb), 0);

	/* What it does not know stays there, and is said. */
	snprintf(text, sizeof(text), "echo 'sysctl net.x 1' >%s/changes; echo 'nft ropewalk-x' >>%s/changes",
		w->dir, w->dir);
	lab_run(LAB_HOST, text);
	assert_int_equal(cleanup_main(w->dir, &eb), ERR_MALFORMED);
	assert_non_null(strstr(eb.text, "sysctl net.x 1"));
	snprintf(text, sizeof(text), "grep -q sysctl %s/changes && ! grep -q nft %s/changes", w->dir, w->dir);
	lab_run(LAB_HOST, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_what_is_named, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_outside_wins, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_put_back, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_nets, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_hold, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_one_peer, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_slow, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_slow_meets_whole, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_refused, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_many, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_leaves_nothing, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_guard_stays, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_cleanup, open_world, close_world),
	};
	return !lab_available() ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
