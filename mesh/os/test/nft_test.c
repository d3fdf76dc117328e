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
	assert_int_equal(nft_table_size("ours", &eb), -ENOENT);
	assert_int_equal(nft_table_del("ours", &eb), 0);
	static const char load[] =
		"table inet ours { set s { type ipv4_addr; }\nchain c { ip saddr @s drop; };\n};\n"
		"table inet other { chain c { counter; };\n};\n";
	nft(load);
	assert_false(news(fd, "ours"));
	assert_int_equal(nft_table_size("ours", &eb), 2);
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
	assert_int_equal(nft_table_size("ours", &eb), -ENOENT);
	nft(load);
	assert_int_equal(nft_table_del("ours", &eb), 0);
	assert_int_equal(nft_table_size("ours", &eb), -ENOENT);
	assert_int_equal(nft_table_size("other", &eb), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
