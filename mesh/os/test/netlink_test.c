/* Runs in a network namespace of its own; skipped where the machine gives none. */
#include "mesh/os/netlink.h"
#include <errno.h>

#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct nl *fresh_netns(void)
{
	struct errbuf eb = { 0 };
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		print_message("no network namespaces here\n");
		skip();
	}
	struct nl *n = nl_open(&eb);
	if (!n)
		fail_msg("%s", eb.text);
	return n;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;
	assert_true(prefix_parse(text, &p));
	return p;
}

static void test_links_addresses_routes(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };
	struct nl *n = fresh_netns();
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(nl_bridge_add(n, "sw0", &eb), 0);
	int sw = nl_link_index(n, "sw0");
	assert_true(sw > 0);
	struct nl_veth v = {
		.name = "port", .peer = "eth0", .peer_ns = -1, .master = sw, .peer_mac = mac, .up = true
	};
	if (nl_veth_add(n, &v, &eb))
		fail_msg("%s", eb.text);
	int eth = nl_link_index(n, "eth0");
	assert_int_equal(nl_link_up(n, eth, true, &eb), 0);
	assert_int_equal(nl_link_settle(n, "port", &eb), 0);
	assert_true(nl_link_settle(n, "none", &eb) < 0);
	uint8_t got[6];
	assert_int_equal(nl_link_mac(n, eth, got), 0);
	assert_memory_equal(got, mac, 6);

	struct prefix p = prefix("10.0.0.1/24");
	assert_int_equal(nl_addr_add(n, eth, &p, &eb), 0);
	assert_int_equal(nl_addr_add(n, eth, &p, &eb), 0);
	struct nl_addr list[16];
	int count = nl_addr_list(n, list, ARRAY_LEN(list), &eb), found = 0;
	assert_in_range(count, 1, ARRAY_LEN(list)); /* the kernel adds IPv6 ones */
	for (int i = 0; i < count; i++) {
		if (!prefix_equal(&list[i].p, &p))
			continue;
		assert_string_equal(list[i].ifname, "eth0");
		assert_true(list[i].up);
		found++;
	}
	assert_int_equal(found, 1);

	struct prefix aside = prefix("fd7a:115c:a1e0::53/128");
	int err = nl_addr_add_deprecated(n, eth, &aside, &eb); /* a machine may have no IPv6 */
	assert_true(err == 0 || err == -EOPNOTSUPP || err == -EACCES || err == -EAFNOSUPPORT);
	assert_true(err == 0 || eb.text[0]);

	struct prefix gw = prefix("10.0.0.2");
	struct nl_route r = { .dst = prefix("0.0.0.0/0"), .via = gw.ip, .ifindex = eth };
	assert_int_equal(nl_route_add(n, &r, &eb), 0);
	assert_int_equal(nl_route_add(n, &r, &eb), 0);
	assert_int_equal(nl_neigh_add(n, eth, &gw.ip, mac, &eb), 0);
	assert_int_equal(nl_route_del(n, &r, &eb), 0);
	assert_int_not_equal(nl_route_del(n, &r, &eb), 0);
	assert_int_equal(nl_link_mtu(n, eth, 1400, &eb), 0);
	assert_int_equal(nl_addr_del(n, eth, &p, &eb), 0);
	assert_int_equal(nl_link_del(n, eth, &eb), 0);
	assert_int_equal(nl_link_index(n, "port"), -19); /* ENODEV */
	nl_close(n);
}

/* A table of one's own, filled in batches; a rule that leads to it; the look-up that sees both. */
static void test_rules_and_batches(void **state)
{
	enum { N = 1000, TABLE = 52007 };
	static struct nl_route many[N + 1];
	static int codes[N + 1];
	struct nl *n = fresh_netns();
	struct errbuf eb = { 0 };
	struct nl_veth v = { .name = "eth0", .peer = "other", .peer_ns = -1, .up = true };
	struct nl_rule rule = { .priority = 5252, .table = TABLE };
	struct addr to = addr_v4(0x64400103), via = addr_v4(0x0a000002); /* 100.64.1.3, 10.0.0.2 */
	struct nl_route got;
	(void)state;
	assert_int_equal(nl_veth_add(n, &v, &eb), 0);
	int eth = nl_link_index(n, "eth0");
	struct prefix p = prefix("10.0.0.1/24");
	assert_int_equal(nl_addr_add(n, eth, &p, &eb), 0);
	assert_int_equal(nl_link_up(n, nl_link_index(n, "other"), true, &eb), 0);
	for (uint32_t i = 0; i < N; i++) {
		struct addr ip = addr_v4(0x64400000 + i);
		many[i] = (struct nl_route) {
			.dst = prefix_of(&ip), .via = via, .ifindex = eth, .table = TABLE
		};
	}
	many[N] = many[0];
	many[N].via = (struct addr) { 0 };
	many[N].ifindex = 4711; /* there is no such interface */
	assert_int_equal(nl_route_add_all(n, many, N, codes, &eb), 0);
	assert_int_equal(nl_route_keep_all(n, many, N, codes, &eb), 0);
	assert_int_equal(codes[0], 0);
	assert_int_equal(nl_route_add_all(n, many, N + 1, codes, &eb), -ENODEV);
	assert_int_equal(codes[N], -ENODEV);
	assert_int_equal(codes[N - 1], 0);
	assert_non_null(strstr(eb.text, "add route 100.64.0.0"));

	assert_int_not_equal(nl_route_get(n, &to, 0, &got), 0); /* nothing leads to the table */
	assert_int_equal(nl_rule_add(n, &rule, &eb), 0);
	assert_int_equal(nl_rule_add(n, &rule, &eb), 0);
	assert_int_equal(nl_route_get(n, &to, 0, &got), 0);
	assert_true(addr_equal(&got.via, &via));
	assert_int_equal(got.ifindex, eth);
	assert_int_equal(nl_route_get(n, &via, 0, &got), 0);
	assert_true(addr_is_unspecified(&got.via) && got.ifindex == eth); /* on link */

	assert_int_equal(nl_route_del_all(n, many, N, codes, &eb), 0);
	assert_int_equal(nl_route_del_all(n, many, 2, codes, &eb), -ESRCH);
	assert_int_equal(codes[1], -ESRCH);
	assert_int_not_equal(nl_route_get(n, &to, 0, &got), 0);
	assert_int_equal(nl_rule_del(n, &rule, &eb), 0);
	assert_int_equal(nl_rule_del(n, &rule, &eb), 0);
	nl_close(n);
}

/* A table whose default goes nowhere, but for a network that is left to others, and for who is marked; and
 * all of it removed without knowing what is in it. */
static void test_kinds_and_marks(void **state)
{
	enum { TABLE = 1052007, MARK = 0x80000, MASK = 0xff0000 };
	struct nl *n = fresh_netns();
	struct errbuf eb = { 0 };
	struct nl_veth v = { .name = "eth0", .peer = "other", .peer_ns = -1, .up = true };
	struct nl_route got;
	struct addr far = addr_v4(0x08080808), near = addr_v4(0x0a000107), via = addr_v4(0x0a000002);
	(void)state;
	assert_int_equal(nl_veth_add(n, &v, &eb), 0);
	int eth = nl_link_index(n, "eth0");
	struct prefix p = prefix("10.0.0.1/16");
	assert_int_equal(nl_addr_add(n, eth, &p, &eb), 0);
	assert_int_equal(nl_link_up(n, nl_link_index(n, "other"), true, &eb), 0);
	struct nl_route out = { .dst = prefix("0.0.0.0/0"), .via = via, .ifindex = eth };
	struct nl_route ours[] = { { .dst = prefix("0.0.0.0/0"), .table = TABLE, .kind = NL_ROUTE_NOWHERE },
		{ .dst = prefix("10.0.0.0/16"), .table = TABLE, .kind = NL_ROUTE_THROW },
		{ .dst = prefix("::/0"), .table = TABLE, .kind = NL_ROUTE_NOWHERE, .metric = 7 } };
	struct nl_rule rule = { .priority = 5254, .table = TABLE, .but = MARK, .mask = MASK };
	assert_int_equal(nl_route_add(n, &out, &eb), 0);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (nl_route_add(n, &ours[i], &eb) != 0 && addr_is_v4(&ours[i].dst.ip))
			fail_msg("%s", eb.text);
	assert_int_equal(nl_rule_add(n, &rule, &eb), 0);
	assert_int_equal(nl_route_get(n, &far, 0, &got), -EHOSTUNREACH);
	assert_int_equal(nl_route_get(n, &near, 0, &got), 0);
	assert_int_equal(got.ifindex, eth);
	assert_int_equal(nl_route_get(n, &far, MARK | 1, &got), 0);
	assert_true(addr_equal(&got.via, &via));
	assert_int_equal(nl_table_flush(n, TABLE, &eb), 0);
	assert_int_equal(nl_route_get(n, &far, 0, &got), 0);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		assert_int_not_equal(nl_route_del(n, &ours[i], NULL), 0);
	assert_int_equal(nl_table_flush(n, TABLE, &eb), 0);
	struct nl_rule plain = { .priority = 5254, .table = TABLE }; /* a journal knows no more */
	assert_int_equal(nl_rule_del(n, &plain, &eb), 0);
	assert_int_equal(nl_route_add(n, &ours[0], &eb), 0);
	assert_int_equal(nl_route_get(n, &far, 0, &got), 0);
	nl_close(n);
}

static void test_errors_explain(void **state)
{
	struct nl *n = fresh_netns();
	struct errbuf eb = { 0 };
	(void)state;
	struct prefix p = prefix("10.0.0.1/24");
	assert_true(nl_addr_add(n, 4711, &p, &eb) < 0);
	assert_non_null(strstr(eb.text, "add address 10.0.0.1/24"));
	struct nl_veth v = { .name = "a-name-that-is-too-long", .peer = "x", .peer_ns = -1 };
	assert_true(nl_veth_add(n, &v, &eb) < 0);
	assert_non_null(strstr(eb.text, "15"));
	nl_close(n);
}

static unsigned news(int fd, const struct nl_part *ours)
{
	struct pollfd pf = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&pf, 1, 60000), 1);
	return nl_monitor_read(fd, ours);
}

static void test_monitor(void **state)
{
	struct nl *n = fresh_netns();
	struct errbuf eb = { 0 };
	(void)state;
	struct nl *other = nl_open(&eb);
	struct nl *second = nl_open(&eb);
	const struct nl *own[] = { second, n };
	int fd = nl_monitor_open(own, 2, &eb);
	assert_true(fd >= 0);
	assert_int_equal(nl_monitor_read(fd, NULL), 0);
	/* Not one that has a carrier: the kernel tells of that in its own time. */
	struct nl_part ours = { .ifindex = nl_link_index(n, "lo"), .tables = { 4711 } };
	assert_int_equal(nl_link_up(other, ours.ifindex, true, &eb), 0);
	assert_int_equal(news(fd, NULL), NL_NEWS_ANY);
	assert_int_equal(nl_monitor_read(fd, NULL), 0);

	/* Our own changes are none. */
	struct nl_rule rule = { .priority = 7, .table = 4711 };
	struct prefix p = prefix("10.0.0.1/24"), far = prefix("10.1.0.0/16");
	struct nl_route r = { .dst = far, .ifindex = ours.ifindex, .table = 4711 };
	assert_int_equal(nl_addr_add(n, ours.ifindex, &p, &eb), 0);
	assert_int_equal(nl_route_add(n, &r, &eb), 0);
	assert_int_equal(nl_route_del(second, &r, &eb), 0);
	assert_int_equal(nl_rule_add(n, &rule, &eb), 0);
	assert_int_equal(nl_route_add(n, &r, &eb), 0);
	(void)nl_monitor_read(fd, NULL); /* what the kernel adds by itself: the local table */

	assert_int_equal(nl_rule_del(other, &rule, &eb), 0);
	assert_int_equal(news(fd, &ours), NL_NEWS_ANY | NL_NEWS_OURS);
	assert_int_equal(nl_route_del(other, &r, &eb), 0);
	assert_int_equal(news(fd, &ours), NL_NEWS_ANY | NL_NEWS_OURS);
	r.table = 0;
	assert_int_equal(nl_route_add(other, &r, &eb), 0);
	assert_int_equal(nl_route_del(other, &r, &eb), 0);
	assert_int_equal(news(fd, &ours), NL_NEWS_ANY);
	assert_int_equal(nl_addr_del(other, ours.ifindex, &p, &eb), 0);
	assert_true(news(fd, &ours) & NL_NEWS_OURS);
	close(fd);
	nl_close(second);
	nl_close(other);
	nl_close(n);
}

static void test_link_list(void **state)
{
	struct nl *n = fresh_netns();
	struct errbuf eb = { 0 };
	struct nl_link all[16];
	(void)state;
	assert_int_equal(nl_bridge_add(n, "sw0", &eb), 0);
	int sw = nl_link_index(n, "sw0");
	struct nl_veth v = { .name = "port", .peer = "eth0", .peer_ns = -1, .master = sw };
	assert_int_equal(nl_veth_add(n, &v, &eb), 0);
	int count = nl_link_list(n, all, ARRAY_LEN(all), &eb), found = 0;
	assert_in_range(count, 4, ARRAY_LEN(all)); /* and lo; some kernels add tunnels */
	for (int i = 0; i < count; i++) {
		if (strcmp(all[i].name, "sw0") == 0 && strcmp(all[i].kind, "bridge") == 0 && all[i].up)
			found |= 1;
		if (strcmp(all[i].name, "port") == 0 && strcmp(all[i].kind, "veth") == 0 &&
			all[i].master == sw)
			found |= 2;
		if (strcmp(all[i].name, "lo") == 0 && !all[i].kind[0] && !all[i].master && !all[i].up)
			found |= 4;
	}
	assert_int_equal(found, 7);
	assert_int_equal(nl_link_list(n, all, 1, &eb), count);
	nl_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links_addresses_routes),
		cmocka_unit_test(test_rules_and_batches),
		cmocka_unit_test(test_kinds_and_marks),
		cmocka_unit_test(test_errors_explain),
		cmocka_unit_test(test_monitor),
		cmocka_unit_test(test_link_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
