/* A reload for which memory is short, at each allocation in turn: what is told of it is so. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include "mesh/transport/proxy.h"
#include "resolver/alone/serve.h"
#include "resolver/ask.h"
#include "resolver/name.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { TURNS_MAX = 200000, AGAIN_MS = 61000, NTHS_MAX = 5000 };
/* Of the first record: behind the header, the question for x.example, and ten bytes and a name that is a pointer. */
enum { ADDRESS_END = 12 + 11 + 4 + 2 + 10 + 3 };

/* The two that take turns: a record, a list, and something of each part besides. */
static const char *const confs[] = { "listen: 127.0.0.1:0\nrate-limit: 100\nallow: [ 127.0.0.0/8 ]\n"
				     "records: [ { name: x.example, value: 192.0.2.1 } ]\n"
				     "blocking: { lists: [ { name: zero, names: [ ads.example ] } ] }\n",
	"listen: 127.0.0.1:0\nauthority: [ lan ]\nroutes: { corp.example: [ 192.0.2.9 ] }\n"
	"records: [ { name: x.example, value: 192.0.2.2 } ]\n"
	"blocking: { lists: [ { name: one, names: [ ads.example, /^x/ ] } ] }\n" };

static struct {
	struct running s;
	char dir[64], config[96];
	/* of the last reload */
	bool over, happened; /* memory was short */
	int err;
	char text[400];
	int record; /* the last byte of its address; -1: none has come */
} w;

static void put(unsigned which)
{
	assert_int_equal(file_write_atomic(w.config, 0644, confs[which], strlen(confs[which]), NULL), 0);
}

static void told(void *arg, int err, const struct errbuf *eb)
{
	(void)arg;
	w.over = true;
	w.err = err;
	snprintf(w.text, sizeof(w.text), "%s", err ? eb->text : "");
}

/* Until it is over, and nothing works beside it. */
static void turn(const bool *over)
{
	for (int i = 0; !*over || loop_has_work(w.s.loop); i++) {
		assert_true(i < TURNS_MAX);
		loop_run_once(w.s.loop);
	}
}

static void reload(unsigned which, unsigned nth)
{
	struct reload_waiter waiter = { .told = told };
	put(which);
	w.over = false;
	trouble_memory(nth);
	running_reload(&w.s, &waiter);
	turn(&w.over);
	w.happened = trouble_happened();
	trouble_memory(0);
}

static void answered(void *arg, int code, const uint8_t *b, size_t len)
{
	*(bool *)arg = true;
	w.record = code || len <= ADDRESS_END ? -1 : b[ADDRESS_END];
}

/* Which of the two its records are of. */
static unsigned records_of(void)
{
	const struct endpoint at = resolver_server_endpoint(w.s.server, 0);
	struct errbuf eb = { 0 };
	bool over = false;
	assert_non_null(dns_ask_start(w.s.loop, &at, "x.example", "A", answered, &over, &eb));
	turn(&over);
	assert_in_range(w.record, 1, 2);
	return (unsigned)w.record - 1;
}

static unsigned lists_of(void)
{
	return strcmp(blocker_conf(w.s.blocker)->lists[0].name, "one") == 0;
}

/* What was told, against what is so; which: what was to be. */
static void check(unsigned which, unsigned nth)
{
	unsigned records = records_of(), lists = lists_of();
	bool stays = strstr(w.text, "; the configuration stays as it was");
	bool part = strstr(w.text, "the rest stays as it was");
	bool but_lists =
		strstr(w.text, "what is blocked stays as it was; all else of the configuration holds");
	bool right =
		!w.err ? records == which
		       : stays + part + but_lists == 1 && (records == which) == but_lists && lists != which;
	if (!right)
		fail_msg("allocation %u: records %u, lists %u of %u: %s", nth, records, lists, which, w.text);
}

/* All of it is in force in the end, when memory is there again. */
static void make_whole(unsigned which)
{
	reload(which, 0);
	assert_int_equal(w.err, 0);
	for (int i = 0; lists_of() != which; i++) {
		bool over = true;
		assert_true(i < 10);
		trouble_pass_ms(AGAIN_MS);
		loop_run_once(w.s.loop);
		turn(&over);
	}
	assert_int_equal(records_of(), which);
}

static void test_each(void **state)
{
	bool seen[2] = { false, false }; /* nothing of it; all but the lists */
	unsigned which = 0, nth = 1;
	(void)state;
	for (bool happened = true; happened; nth++) {
		assert_true(nth < NTHS_MAX);
		which = !which;
		reload(which, nth);
		happened = w.happened;
		check(which, nth);
		seen[0] = seen[0] || strstr(w.text, "; the configuration stays as it was");
		seen[1] = seen[1] || strstr(w.text, "all else of the configuration holds");
		make_whole(which);
	}
	print_message("%u allocations\n", nth - 1);
	assert_true(seen[0] && seen[1]);
}

static int setup(void **state)
{
	struct conf c = { 0 };
	struct zone *z = NULL;
	struct errbuf eb = { 0 };
	(void)state;
	log_setup(LOG_ERROR + 1, false);
	strcpy(w.dir, "/tmp/rw-reload-XXXXXX");
	if (!mkdtemp(w.dir) || !key_setup())
		return -1;
	snprintf(w.config, sizeof(w.config), "%s/conf.yaml", w.dir);
	w.s = (struct running) { .config = w.config, .loop = loop_new() };
	put(0);
	bool ok = work_ready(w.s.loop) && running_config_read(w.config, &c, &z, NULL, &eb) == 0 &&
		  serve_open(&w.s, &c, z, &eb) == 0;
	if (!ok)
		print_message("%s\n", eb.text);
	zone_put(z);
	conf_free(&c);
	return ok ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	serve_close(&w.s);
	proxies_free(w.s.proxies);
	loop_free(w.s.loop);
	return dir_remove(w.dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_each, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
