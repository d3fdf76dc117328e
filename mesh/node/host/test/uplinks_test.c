/* Runs in a network namespace of its own; skipped where the machine gives none. */
#include "mesh/node/host/uplinks.h"
#include "mesh/os/netlink.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

struct rig {
	struct nl *nl;
	int eth[2];
};

static struct prefix prefix(const char *text)
{
	struct prefix p;
	assert_true(prefix_parse(text, &p));
	return p;
}

/* Two interfaces that are up, each with a gateway: 10.0.0.1 and 10.0.1.1. */
static void start(struct rig *r)
{
	static const char *const names[2][2] = { { "w0", "g0" }, { "w1", "g1" } };
	static const char *const own[2] = { "10.0.0.2/24", "10.0.1.2/24" };
	struct errbuf eb = { 0 };
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		print_message("no network namespaces here\n");
		skip();
	}
	r->nl = nl_open(&eb);
	assert_non_null(r->nl);
	for (int i = 0; i < 2; i++) {
		struct nl_veth v = { .name = names[i][0], .peer = names[i][1], .peer_ns = -1, .up = true };
		struct prefix p = prefix(own[i]);
		assert_int_equal(nl_veth_add(r->nl, &v, &eb), 0);
		r->eth[i] = nl_link_index(r->nl, names[i][0]);
		assert_int_equal(nl_link_up(r->nl, nl_link_index(r->nl, names[i][1]), true, &eb), 0);
		assert_int_equal(nl_addr_add(r->nl, r->eth[i], &p, &eb), 0);
	}
}

static struct nl_route by(const struct rig *r, const char *dst, int which, uint32_t metric)
{
	return (struct nl_route) { .dst = prefix(dst),
		.via = addr_v4(0x0a000001u + (uint32_t)which * 256),
		.ifindex = r->eth[which],
		.metric = metric };
}

static bool among(const struct addr *v, size_t n, const struct addr *a)
{
	bool found = false;
	for (size_t i = 0; i < n; i++)
		found = found || addr_equal(&v[i], a);
	return found;
}

static void ways_that_move(void **state)
{
	(void)state;
	struct rig r;
	struct errbuf eb = { 0 };
	struct addr moved[UPLINKS_MAX], peer = addr_v4(0xc6336407), lan = addr_v4(0x0a000063),
					relay = addr_v4(0xcb00710b);
	start(&r);
	struct nl_route first = by(&r, "0.0.0.0/0", 0, 200), second = by(&r, "0.0.0.0/0", 1, 100);
	struct nl_route own = by(&r, "203.0.113.11/32", 1, 0);
	struct uplinks *u = uplinks_open(&eb);
	assert_non_null(u);
	uplinks_note(u, &lan);
	uplinks_note(u, &relay);
	assert_int_equal(uplinks_moved(u, moved), 0);
	assert_int_equal(nl_route_add(r.nl, &first, &eb), 0); /* from none to one */
	size_t n = uplinks_moved(u, moved);
	assert_true(n == 2 && among(moved, n, &relay) && !among(moved, n, &lan)); /* and everywhere else */
	uplinks_note(u, &peer);
	assert_int_equal(
		nl_route_add(r.nl, &second, &eb), 0); /* both interfaces stay up, all addresses stay */
	n = uplinks_moved(u, moved);
	assert_true(n == 3 && among(moved, n, &peer) && among(moved, n, &relay));
	assert_int_equal(uplinks_moved(u, moved), 0);
	assert_int_equal(nl_route_del(r.nl, &second, &eb), 0);
	assert_int_equal(uplinks_moved(u, moved), 3);
	assert_int_equal(nl_route_add(r.nl, &own, &eb), 0); /* one destination alone */
	n = uplinks_moved(u, moved);
	assert_true(n == 1 && among(moved, n, &relay));
	uplinks_close(u);
	nl_close(r.nl);
}

/* The same in IPv6, whose routes are told apart and asked for by other means: gateways are link-local. */
static void ways_that_move_in_six(void **state)
{
	(void)state;
	struct rig r;
	struct errbuf eb = { 0 };
	struct addr moved[UPLINKS_MAX], peer = prefix("2001:db8:7::1/128").ip,
					gateway = prefix("fe80::1/128").ip;
	start(&r);
	for (int i = 0; i < 2; i++) {
		struct prefix own = prefix(i ? "2001:db8:2::2/64" : "2001:db8:1::2/64");
		assert_int_equal(nl_addr_add(r.nl, r.eth[i], &own, &eb), 0);
	}
	struct nl_route first = { prefix("::/0"), .via = gateway, .ifindex = r.eth[0], .metric = 200 };
	struct nl_route second = { prefix("::/0"), .via = gateway, .ifindex = r.eth[1], .metric = 100 };
	assert_int_equal(nl_route_add(r.nl, &first, &eb), 0);
	struct uplinks *u = uplinks_open(&eb);
	assert_non_null(u);
	uplinks_note(u, &peer);
	assert_int_equal(nl_route_add(r.nl, &second, &eb), 0); /* the same gateway, on another interface */
	size_t n = uplinks_moved(u, moved);
	assert_true(n == 2 && among(moved, n, &peer)); /* and everywhere else */
	assert_int_equal(uplinks_moved(u, moved), 0);
	assert_int_equal(nl_route_del(r.nl, &second, &eb), 0);
	assert_int_equal(uplinks_moved(u, moved), 2);
	uplinks_close(u);
	nl_close(r.nl);
}

/* Many peers: the oldest are forgotten, the way to everywhere never. */
static void bounded(void **state)
{
	(void)state;
	struct rig r;
	struct errbuf eb = { 0 };
	struct addr moved[UPLINKS_MAX];
	start(&r);
	struct uplinks *u = uplinks_open(&eb);
	for (uint32_t i = 0; i < 10 * UPLINKS_MAX; i++) {
		struct addr a = addr_v4(0xc6336400 + i);
		uplinks_note(u, &a);
	}
	struct nl_route first = by(&r, "0.0.0.0/0", 0, 200);
	assert_int_equal(nl_route_add(r.nl, &first, &eb), 0);
	size_t n = uplinks_moved(u, moved);
	struct addr anywhere = addr_v4(0xc0000201), last = addr_v4(0xc6336400 + 10 * UPLINKS_MAX - 1);
	assert_true(
		n == UPLINKS_MAX - 1 && among(moved, n, &anywhere) && among(moved, n, &last)); /* no IPv6 */
	uplinks_close(u);
	nl_close(r.nl);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ways_that_move),
		cmocka_unit_test(ways_that_move_in_six), cmocka_unit_test(bounded) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
