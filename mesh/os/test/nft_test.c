/* Runs in a network namespace of its own; skipped where the machine gives none, or has no nft. */
#include "mesh/os/nft.h"
#include "mesh/os/child.h"
#include "mesh/os/test/own_ns.h"
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

enum { RUN_MS = 20000, NEWS_MS = 5000 };

static void nft(const char *rules)
{
	static const char *const argv[] = { "nft", "-f", "-", NULL };
	struct errbuf eb = { 0 };
	int err = child_run(argv, rules, strlen(rules), RUN_MS, &eb);
	if (err == -ENOENT) {
		print_message("no nft here\n");
		skip();
	}
	if (err)
		fail_msg("%s", eb.text);
}

static bool news(int fd, const char *table)
{
	struct pollfd f = { .fd = fd, .events = POLLIN };
	bool removed = false;
	assert_int_equal(poll(&f, 1, NEWS_MS), 1);
	nft_watch_read(fd, table, &removed);
	return removed;
}

static void test_tables(void **state)
{
	struct errbuf eb = { 0 };
	(void)state;
	if (!own_ns(CLONE_NEWNET)) {
		print_message("no network namespaces here\n");
		skip();
	}
	int fd = nft_watch_open(&eb);
	assert_true(fd >= 0);
	assert_int_equal(nft_table_size(NULL, "ours", &eb), -ENOENT);
	assert_int_equal(nft_table_del("ours", &eb), 0);
	static const char load[] =
		"table inet ours { set s { type ipv4_addr; }\nchain c { ip saddr @s drop; };\n};\n"
		"table inet other { chain c { counter; };\n};\n";
	nft(load);
	assert_false(news(fd, "ours"));
	assert_int_equal(nft_table_size(NULL, "ours", &eb), 2);
	nft("flush chain inet other c");
	assert_false(news(fd, "ours"));
	nft("flush chain inet ours c");
	assert_true(news(fd, "ours"));
	nft("add element inet ours s { 10.0.0.1 }\ndelete element inet ours s { 10.0.0.1 }");
	assert_false(news(fd, "ours"));
	nft("delete table inet ours");
	nft(load); /* what was before the table was made is no news of it */
	assert_false(news(fd, "ours"));
	nft("flush ruleset");
	assert_true(news(fd, "ours"));
	assert_int_equal(nft_table_size(NULL, "ours", &eb), -ENOENT);
	nft(load);
	assert_int_equal(nft_table_del("ours", &eb), 0);
	assert_int_equal(nft_table_size(NULL, "ours", &eb), -ENOENT);
	assert_int_equal(nft_table_size(NULL, "other", &eb), 1);
	close(fd);
}

static bool has(const char *set, const char *element)
{
	char rules[128];
	static const char *const argv[] = { "nft", "-f", "-", NULL };
	snprintf(rules, sizeof(rules), "get element inet ours %s { %s }", set, element);
	return child_run(argv, rules, strlen(rules), RUN_MS, NULL) == 0;
}

static int change(const char *set, bool remove, const void *keys, size_t n, size_t len, struct errbuf *eb)
{
	struct nft_elements l = {
		.set = set, .remove = remove, .key = keys, .n = n, .key_len = len, .stride = len
	};
	return nft_elements_change(NULL, "ours", &l, 1, eb);
}

static void test_elements(void **state)
{
	static const uint8_t four[2][4] = { { 100, 64, 0, 2 }, { 100, 64, 0, 3 } },
			     six[1][16] = { { 0xfd, [15] = 7 } };
	static uint8_t many[NFT_ELEMENTS_MAX + 1][4];
	struct errbuf eb = { 0 };
	(void)state;
	if (!own_ns(CLONE_NEWNET)) {
		print_message("no network namespaces here\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		memcpy(many[i], (uint8_t[]) { 10, 0, (uint8_t)(i >> 8), (uint8_t)i }, 4);
	assert_int_equal(change("s4", false, four, 2, 4, &eb), -ENOENT); /* no such table */
	nft("table inet ours { set s4 { type ipv4_addr; }\nset s6 { type ipv6_addr; }\n}");
	assert_int_equal(change("s4", false, four, 2, 4, &eb), 0);
	assert_int_equal(change("s4", false, four, 2, 4, &eb), 0); /* there already */
	assert_true(has("s4", "100.64.0.2") && has("s4", "100.64.0.3"));
	struct nft_elements both[] = {
		{ .set = "s6", .key = six, .n = 1, .key_len = 16, .stride = 16 },
		{ .set = "s4", .key = four, .n = 1, .key_len = 4, .stride = 4, .remove = true },
		{ .set = "s6", .n = 0 },
	};
	assert_int_equal(nft_elements_change(NULL, "ours", both, 3, &eb), 0);
	assert_true(has("s6", "fd00::7") && !has("s4", "100.64.0.2") && has("s4", "100.64.0.3"));
	/* One that cannot be done keeps the other from being done. */
	both[1].n = 2;
	both[0].remove = true;
	assert_int_equal(nft_elements_change(NULL, "ours", both, 3, &eb), -ENOENT);
	assert_true(has("s6", "fd00::7") && has("s4", "100.64.0.3"));
	assert_int_equal(change("s4", false, many, NFT_ELEMENTS_MAX, 4, &eb), 0);
	assert_true(has("s4", "10.0.0.255"));
	assert_int_equal(change("s4", false, many, NFT_ELEMENTS_MAX + 1, 4, &eb), -E2BIG);
	assert_int_equal(nft_elements_change(NULL, "ours", NULL, 0, &eb), 0);
}

/* What stands between the mesh and a network behind this machine, and whose it is. */
static void test_barrier(void **state)
{
#define FORWARD "type filter hook forward priority 0; policy drop;"
	static const struct {
		const char *rules, *table; /* NULL: none */
		bool v6, docker, ufw;
	} rows[] = {
		{ "table ip filter { chain FORWARD { type filter hook forward priority 0; policy accept; "
		  "}\n}",
			NULL, false, false, false },
		{ "table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }\n}",
			NULL, false, false, false },
		{ "table ip filter { chain FORWARD { " FORWARD " }\n}", "filter", false, false, false },
		{ "table ip filter { chain FORWARD { " FORWARD " }\n}", NULL, true, false, false },
		{ "table ip6 filter { chain FORWARD { " FORWARD " }\n}", "filter", true, false, false },
		{ "table inet fw { chain f { " FORWARD " }\n}", "fw", true, false, false },
		{ "table ip filter { chain DOCKER-USER { return; }\nchain FORWARD { " FORWARD
		  " jump DOCKER-USER; }\n}",
			"filter", false, true, false },
		{ "table ip filter { chain ufw-user-forward { }\nchain FORWARD { " FORWARD
		  " jump ufw-user-forward; }\n}",
			"filter", false, false, true },
		{ "table ip filter { chain DOCKER-USER { iifname \"rope0\" accept; }\nchain FORWARD "
		  "{ " FORWARD " jump DOCKER-USER; }\n}",
			NULL, false, false, false },
		{ "table ip filter { chain FORWARD { " FORWARD " iifname \"rope01\" accept; }\n}", "filter",
			false, false, false },
	};
	struct nft_barrier b;
	(void)state;
	if (!own_ns(CLONE_NEWNET)) {
		print_message("no network namespaces here\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		nft("flush ruleset");
		nft(rows[i].rules);
		const char *table = rows[i].table;
		bool is = nft_forward_barrier("rope0", !rows[i].v6, &b);
		if (is != (table != NULL))
			fail_msg("row %zu", i);
		if (is && table &&
			(strcmp(b.table, table) != 0 || b.docker != rows[i].docker || b.ufw != rows[i].ufw))
			fail_msg("row %zu: %s %d %d", i, b.table, b.docker, b.ufw);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_elements),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
