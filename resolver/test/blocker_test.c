/* Lists from files into a resolver that serves: at the start, anew while it is asked, for groups of clients, and
 * which line of which file it was. */
#include "resolver/blocker.h"
#include "resolver/conf.h"

#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct fake f;
static struct loop *loop;
static struct blocker *blocker;
static char folder[] = "/tmp/blocker_test.XXXXXX", list[64];

static void write_list(const char *text)
{
	FILE *to = fopen(list, "w");
	assert_non_null(to);
	fputs(text, to);
	fclose(to);
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(list, sizeof(list), "%s/list", folder);
	fake_open(&f, 1);
	loop = loop_new();
	blocker = blocker_new(loop, f.r);
	assert_non_null(blocker);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	blocker_free(blocker);
	fake_close(&f);
	loop_free(loop);
	unlink(list);
	rmdir(folder);
	return 0;
}

static void conf_of(struct conf *c, const char *blocking)
{
	char text[2048];
	struct errbuf eb = { 0 };
	snprintf(text, sizeof(text),
		"listen: 127.0.0.1\nblocking:\n  lists:\n    - { name: file, file: %s }\n%s", list, blocking);
	if (conf_read("f", text, strlen(text), c, &eb))
		fail_msg("%s", eb.text);
}

/* As who asks from 192.0.2.1. */
static bool is_blocked(const char *name)
{
	struct addr from = addr_v4(0xc0000201);
	uint64_t before = resolver_stats(f.r)->blocked;
	f.lists = blocker_lists(blocker, &from);
	fake_ask(&f, 1, name, DNS_A);
	return resolver_stats(f.r)->blocked > before;
}

static void test_serves(void **state)
{
	struct conf c;
	struct errbuf eb = { 0 };
	(void)state;
	assert_false(is_blocked("ads.example"));
	write_list("# x\n0.0.0.0 ads.example\n||t.example^\n/^x(/\n");
	conf_of(&c,
		"    - { name: mine, names: [ more.example ] }\n"
		"    - { name: fine, allow: true, names: [ \"*.good.t.example\" ] }\n  answer: nxdomain\n");
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, &eb), 0);
	assert_true(is_blocked("ads.example"));
	assert_int_equal(fake_rcode(&f), DNS_NXDOMAIN);
	assert_true(is_blocked("a.t.example"));
	assert_true(is_blocked("more.example"));
	assert_false(is_blocked("good.t.example"));
	unlink(list);
	conf_of(&c, "");
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, &eb), -2);
	assert_non_null(strstr(eb.text, "the list file: open /tmp/blocker_test."));
	conf_free(&c);
	assert_true(is_blocked("ads.example"));
}

static void reconfigure(struct conf *c)
{
	struct errbuf eb = { 0 };
	assert_int_equal(blocker_reconfigure(blocker, &c->arena, &c->block, &eb), 0);
}

static void turn(void)
{
	for (int i = 0; i < 1000 && !is_blocked("new.example"); i++)
		loop_run_once(loop);
}

/* The old set serves until the new one is there; two changes in a row end in the second. */
static void test_anew(void **state)
{
	struct conf c;
	(void)state;
	write_list("old.example\n");
	conf_of(&c, "");
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, NULL), 0);
	conf_of(&c, "    - { name: mine, names: [ between.example ] }\n");
	reconfigure(&c);
	assert_true(is_blocked("old.example"));
	write_list("new.example\n");
	conf_of(&c, "");
	reconfigure(&c);
	turn();
	assert_true(is_blocked("new.example"));
	assert_false(is_blocked("old.example"));
	assert_false(is_blocked("between.example"));
	unlink(list);
	conf_of(&c, "");
	reconfigure(&c); /* fails, and is freed while it does */
	assert_true(is_blocked("new.example"));
}

static const char *trouble(void)
{
	struct blocker_state now;
	blocker_state(blocker, &now);
	return now.trouble;
}

static void ask(const char *name)
{
	struct addr from = addr_v4(0xc0000201);
	f.lists = blocker_lists(blocker, &from);
	f.n_replies = 0;
	fake_ask(&f, 1, name, DNS_A);
}

/* What the lists may block waits for the first set, however long that cannot be read. */
static void test_first_set(void **state)
{
	struct conf c;
	struct addr from = addr_v4(0xc0000201), free = addr_v4(0xc0000202);
	(void)state;
	conf_of(&c, "  groups: [ { name: g, clients: [ 192.0.2.2 ], lists: [] } ]\n");
	reconfigure(&c);
	assert_true(blocker_lists(blocker, &from));
	assert_false(blocker_lists(blocker, &free));
	ask("new.example");
	assert_int_equal(f.n_replies, 0);
	ask("bob.mesh");
	assert_int_equal(f.n_replies, 1);
	while (!*trouble()) /* there is no such file */
		loop_run_once(loop);
	assert_non_null(strstr(trouble(), "until the lists can be read, names that they may block"));
	ask("new.example");
	fake_until(&f, f.now_ms + 2999);
	assert_int_equal(f.n_replies, 0);
	fake_until(&f, f.now_ms + 1);
	assert_int_equal(f.n_replies, 2); /* the first one too */
	assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	write_list("new.example\n");
	uint64_t before = resolver_stats(f.r)->blocked;
	ask("new.example");
	while (*trouble())
		loop_run_once(loop);
	fake_until(&f, f.now_ms);
	assert_int_equal(f.n_replies, 1);
	assert_int_equal(fake_rcode(&f), DNS_NOERROR);
	assert_int_equal(resolver_stats(f.r)->blocked, before + 1);
	assert_int_equal(blocker_lists(blocker, &from), UINT32_MAX);
}

/* A core that takes the place of another waits as that did; one whose blocker goes waits for nothing. */
static void test_first_set_elsewhere(void **state)
{
	struct conf c;
	(void)state;
	write_list("new.example\n");
	conf_of(&c, "");
	reconfigure(&c);
	f.lists = UINT32_MAX;
	blocker_move(blocker, NULL);
	blocker_move(blocker, f.r);
	for (uint64_t client = 1; client <= 3; client++)
		fake_ask(&f, client, "new.example", DNS_A);
	fake_ask(&f, 2, "other.example", DNS_A);
	resolver_client_gone(f.r, 3);
	resolver_client_gone(f.r, 2);
	fake_ask(&f, 4, "another.example", DNS_A);
	assert_int_equal(f.n_replies, 0);
	blocker_free(blocker);
	blocker = NULL;
	size_t sent = f.n_sent;
	fake_until(&f, f.now_ms);
	assert_int_equal(f.n_sent, sent + 2); /* of who has not gone */
	assert_int_equal(f.n_replies, 0);
	resolver_block_wait(f.r); /* what waits at the end goes with it */
	fake_ask(&f, 5, "new.example", DNS_A);
}

static unsigned calloc_fails; /* the n-th from now; 0: none. The wrapped calloc has no argument of its own */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return calloc_fails && --calloc_fails == 0 ? NULL : __real_calloc(n, size);
}

/* What was blocked is, and it is said; what memory was there for once the change was taken is read when there is some. */
static void test_short_of_memory(void **state)
{
	struct errbuf eb = { 0 };
	struct conf c;
	(void)state;
	write_list("old.example\n");
	conf_of(&c, "");
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, NULL), 0);
	write_list("new.example\n");
	conf_of(&c, "");
	calloc_fails = 1;
	assert_int_equal(blocker_reconfigure(blocker, &c.arena, &c.block, &eb), -ENOMEM);
	assert_non_null(strstr(eb.text, "what is blocked stays as it was"));
	assert_true(is_blocked("old.example"));
	assert_string_equal(trouble(), "");
	calloc_fails = 2; /* and the configuration is ours still */
	reconfigure(&c);
	assert_int_equal(calloc_fails, 0);
	assert_true(is_blocked("old.example"));
	assert_non_null(strstr(trouble(), "out of memory for lists; what is blocked stays as it was"));
	turn();
	assert_true(is_blocked("new.example"));
	assert_string_equal(trouble(), "");
	unlink(list);
	blocker_reread(blocker);
	while (!*trouble())
		loop_run_once(loop);
	assert_non_null(strstr(trouble(), "the list file: open /tmp/blocker_test."));
	assert_true(is_blocked("new.example"));
	blocker_reread(blocker); /* what waits goes with it */
}

/* A pause ends by itself, or by asking again; a new configuration does not end it. */
static void test_pause(void **state)
{
	struct conf c;
	(void)state;
	blocker_pause(blocker); /* nothing is blocked: nothing to pause */
	write_list("new.example\n");
	conf_of(&c, "  pause: 1s\n");
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, NULL), 0);
	assert_true(is_blocked("new.example"));
	blocker_pause(blocker);
	assert_false(is_blocked("new.example"));
	blocker_pause(blocker);
	assert_true(is_blocked("new.example"));
	blocker_pause(blocker);
	conf_of(&c, "  pause: 1s\n");
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, NULL), 0);
	assert_false(is_blocked("new.example"));
	turn();
	assert_true(is_blocked("new.example"));
}

static void test_groups(void **state)
{
	static const struct {
		const char *from;
		uint32_t lists;
	} rows[] = { { "192.168.1.7", 2 }, { "192.168.1.8", 0 }, { "192.168.2.1", 1 }, { "fd00::1", 2 },
		{ "127.0.0.1", UINT32_MAX } };
	struct conf c;
	(void)state;
	write_list("");
	conf_of(&c, "    - { name: mine, names: [ ads.example ] }\n  groups:\n"
		    "    - { name: kids, clients: [ 192.168.1.7, \"fd00::/64\" ], lists: [ mine ] }\n"
		    "    - { name: free, clients: [ 192.168.1.0/24 ], lists: [] }\n"
		    "    - { name: rest, clients: [ 192.168.0.0/16 ], lists: [ file ] }\n");
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr from;
		assert_true(addr_parse(rows[i].from, &from));
		assert_int_equal(blocker_lists(blocker, &from), rows[i].lists);
	}
}

static void test_explain(void **state)
{
	static const struct {
		const char *name;
		size_t blocks, allows;
		const char *has;
	} rows[] = {
		{ "ads.example", 2, 0, "/list:2: ads.example\nblocked by the list mine, *.example\n" },
		{ "x.ads.example", 1, 0, "blocked by the list mine, *.example\n" },
		{ "good.example", 1, 1, "allowed by the list fine, good.example\n" },
		{ "x9.test", 1, 0, "/list:3: /^x[0-9]/\n" },
		{ "other.test", 0, 0, "" },
	};
	struct conf c;
	struct errbuf eb = { 0 };
	(void)state;
	write_list("# x\n0.0.0.0 ads.example\n/^x[0-9]/\nwhat is this\n");
	conf_of(&c, "    - { name: mine, names: [ \"*.example\" ] }\n"
		    "    - { name: fine, allow: true, names: [ good.example ] }\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = { 0 };
		struct lists_found found;
		struct dns_name name;
		assert_true(dns_name_parse(rows[i].name, &name));
		assert_int_equal(blocker_explain(&c.block, UINT32_MAX, &name, &out, &found, &eb), 0);
		if (found.blocks != rows[i].blocks || found.allows != rows[i].allows ||
			!strstr(out.len ? buf_cstr(&out) : "", rows[i].has))
			fail_msg("%s: %s", rows[i].name, out.len ? buf_cstr(&out) : "");
		buf_free(&out);
	}
	struct buf out = { 0 };
	assert_int_equal(blocker_check(&c.block, &out, &eb), 0);
	assert_string_equal(buf_cstr(&out), "file: 2 names, 1 lines without sense here, the first of them "
					    "line 4\nmine: 1 names\nfine: 1 names\n");
	buf_free(&out);
	conf_free(&c);
}

/* Lists that are changed while it runs: for all groups, there or not. */
static void test_own(void **state)
{
	struct conf c;
	struct blocker_state now;
	struct errbuf eb = { 0 };
	char text[1024], own[96];
	(void)state;
	write_list("new.example\nold.example\n");
	snprintf(own, sizeof(own), "%s/allowed.txt", folder);
	snprintf(text, sizeof(text),
		"listen: 127.0.0.1\nstate: %s\nblocking:\n  lists:\n    - { name: file, file: %s }\n"
		"  groups: [ { name: g, clients: [ 192.0.2.1 ], lists: [ file ] } ]\n",
		folder, list);
	assert_int_equal(conf_read("f", text, strlen(text), &c, &eb), 0);
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, &eb), 0);
	assert_true(is_blocked("old.example"));
	FILE *to = fopen(own, "w");
	assert_non_null(to);
	fputs("old.example\n", to);
	fclose(to);
	blocker_reread(blocker);
	for (int i = 0; i < 1000 && is_blocked("old.example"); i++)
		loop_run_once(loop);
	assert_false(is_blocked("old.example"));
	assert_true(is_blocked("new.example"));
	blocker_pause_for(blocker, 60000);
	assert_false(is_blocked("new.example"));
	blocker_state(blocker, &now);
	assert_true(now.pause_left_ms > 0 && now.pause_left_ms <= 60000);
	assert_int_equal(now.lists, 3);
	assert_int_equal(now.names, 2);
	blocker_pause_for(blocker, 0);
	assert_true(is_blocked("new.example"));
	unlink(own);
}

/* A list that has never come from its URL blocks nothing, which is said until it is there. */
static void test_missing(void **state)
{
	struct conf c;
	struct blocker_state now;
	char more[256], far[96];
	(void)state;
	write_list("new.example\n");
	snprintf(more, sizeof(more),
		"    - { name: far, url: \"http://127.0.0.1:1/l\" }\n"
		"    - { name: off, allow: true, url: \"http://127.0.0.1:1/m\" }\n  store: %s\n",
		folder);
	conf_of(&c, more);
	assert_int_equal(blocker_configure(blocker, &c.arena, &c.block, NULL), 0);
	assert_true(is_blocked("new.example"));
	assert_false(is_blocked("far.example"));
	assert_string_equal(trouble(),
		"the list far and 1 more have not come from their URLs yet: names are answered "
		"without them");
	snprintf(far, sizeof(far), "%s/off.list", folder);
	assert_int_equal(rename(list, far), 0);
	write_list("new.example\n");
	blocker_reread(blocker);
	do {
		loop_run_once(loop);
		blocker_state(blocker, &now);
	} while (now.missing == 2);
	assert_int_equal(now.missing, 1);
	assert_string_equal(
		now.trouble, "the list far has not come from its URL yet: names are answered without it");
	assert_false(is_blocked("new.example")); /* by the other */
	snprintf(more, sizeof(more), "%s/far.list", folder);
	assert_int_equal(rename(far, more), 0);
	conf_of(&c, "");
	reconfigure(&c);
	while (*trouble())
		loop_run_once(loop);
	assert_true(is_blocked("new.example"));
	unlink(more);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_serves), ONE(test_anew), ONE(test_first_set),
		ONE(test_first_set_elsewhere), ONE(test_short_of_memory), ONE(test_pause), ONE(test_groups),
		ONE(test_explain), ONE(test_own), ONE(test_missing) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
