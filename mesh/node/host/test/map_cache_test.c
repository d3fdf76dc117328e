#include "mesh/base/fuzz/trouble.h"
#include "mesh/node/host/map_cache.h"
#include "mesh/node/host/state.h"
#include "mesh/os/file.h"
#include "mesh/netmap/test/told_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct place {
	char dir[64];
	struct loop *loop;
	struct map_cache *c;
};

static void place_make(struct place *p)
{
	*p = (struct place) { .dir = "/tmp/rw-map-XXXXXX", .loop = loop_new() };
	assert_non_null(mkdtemp(p->dir));
	p->c = map_cache_open(p->loop, p->dir);
	assert_non_null(p->c);
}

static void place_end(struct place *p)
{
	map_cache_close(p->c);
	loop_free(p->loop);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
}

static struct netmap *map_of(const char *name)
{
	char json[512];
	snprintf(json, sizeof(json),
		"{\"Node\":{\"ID\":1,\"StableID\":\"a\",\"Name\":\"%s.x.test.\",\"User\":1,"
		"\"Key\":\"nodekey:000000000000000000000000000000000000000000000000000000000000000a\","
		"\"Addresses\":[\"100.64.0.1/32\"]}}",
		name);
	return told_map(NULL, json);
}

static void change(struct place *p, const char *name)
{
	struct netmap *m = map_of(name);
	map_cache_changed(p->c, m);
	netmap_put(m);
}

static bool file_names(const struct place *p, const char *name)
{
	struct buf b = { 0 };
	struct errbuf eb;
	bool yes = state_map_load(p->dir, &b, &eb) == 0 && strstr(buf_cstr(&b), name);
	buf_free(&b);
	return yes;
}

/* By itself, the newest; the loop is free meanwhile. */
static void test_newest_is_written(void **state)
{
	struct place p;
	(void)state;
	place_make(&p);
	change(&p, "one");
	change(&p, "two");
	assert_false(file_names(&p, "two"));
	while (!file_names(&p, "two"))
		loop_run_once(p.loop);
	change(&p, "three");
	while (!file_names(&p, "three"))
		loop_run_once(p.loop);
	assert_string_equal(map_cache_unsaved(p.c), "");
	place_end(&p);
}

static void test_flush_and_close(void **state)
{
	struct place p;
	(void)state;
	place_make(&p);
	/* Whatever the thread is doing, the file says the newest when flush returns. */
	for (int i = 0; i < 50; i++) {
		char name[16];
		change(&p, "older");
		for (int k = 0; k < i % 3; k++)
			loop_run_once(p.loop);
		snprintf(name, sizeof(name), "name%d", i);
		change(&p, name);
		map_cache_flush(p.c);
		assert_true(file_names(&p, name));
	}
	change(&p, "last");
	map_cache_close(p.c);
	assert_true(file_names(&p, "last"));
	p.c = NULL;
	place_end(&p);
}

static void test_same_is_left_alone(void **state)
{
	struct place p;
	struct stat before, after;
	char path[128];
	(void)state;
	place_make(&p);
	snprintf(path, sizeof(path), "%s/netmap.json", p.dir);
	struct netmap *m = map_of("same");
	map_cache_changed(p.c, m);
	map_cache_flush(p.c);
	assert_int_equal(stat(path, &before), 0);
	map_cache_changed(p.c, m);
	map_cache_flush(p.c);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* a write makes a new file */
	netmap_put(m);
	place_end(&p);
}

static void test_forget(void **state)
{
	struct place p;
	(void)state;
	place_make(&p);
	for (int i = 0; i < 20; i++) {
		change(&p, "gone");
		for (int k = 0; k < i % 3; k++)
			loop_run_once(p.loop);
		map_cache_forget(p.c);
		assert_false(file_names(&p, "gone"));
	}
	place_end(&p);
	map_cache_forget(NULL);
}

static void too_late(void *arg)
{
	*(bool *)arg = true;
}

/* A folder that cannot be written: said, and tried again. */
static void test_unsaved(void **state)
{
	enum { AGAIN_MS = 10000 };
	struct place p;
	bool late = false;
	char dir[64], away[80];
	(void)state;
	place_make(&p);
	snprintf(dir, sizeof(dir), "%s", p.dir);
	snprintf(away, sizeof(away), "%s.away", dir);
	assert_int_equal(rename(dir, away), 0);
	change(&p, "kept");
	map_cache_flush(p.c);
	assert_non_null(strstr(map_cache_unsaved(p.c), "not kept"));
	assert_int_equal(rename(away, dir), 0);
	trouble_pass_ms(AGAIN_MS); /* by itself, though no other map comes */
	struct loop_timer *t = loop_timer_new(p.loop, too_late, &late);
	loop_timer_set(t, AGAIN_MS);
	while (!late && *map_cache_unsaved(p.c))
		loop_run_once(p.loop);
	loop_timer_free(t);
	assert_true(file_names(&p, "kept"));
	assert_string_equal(map_cache_unsaved(p.c), "");
	place_end(&p);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { OTHER_ALLOCATOR = true };
#else
enum { OTHER_ALLOCATOR = false };
#endif
enum { MANY = 4000 };

static struct netmap *map_of_many(void)
{
	struct buf json = { 0 };
	assert_true(buf_printf(&json,
		"{\"Node\":{\"ID\":1,\"StableID\":\"a\",\"Name\":\"many.x.test.\",\"User\":1,"
		"\"Key\":\"nodekey:%064x\",\"Addresses\":[\"100.64.0.1/32\"]},\"Peers\":[",
		0xfffff));
	for (unsigned i = 0; i < MANY; i++)
		assert_true(buf_printf(&json,
			"%s{\"ID\":%u,\"StableID\":\"n%u\",\"Name\":\"p%u.x.test.\",\"User\":1,"
			"\"Key\":\"nodekey:%064x\",\"Addresses\":[\"100.65.%u.%u/32\"]}",
			i ? "," : "", i + 2, i, i, i + 1, i >> 8, i & 255));
	assert_true(buf_printf(&json, "]}"));
	struct netmap *map = told_map(NULL, buf_cstr(&json));
	assert_int_equal(map->n_peers, MANY);
	buf_free(&json);
	return map;
}

static long resident_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "VmRSS: %ld", &kib);
	(void)fclose(f);
	return kib;
}

/* Something stays behind them in the heap, so that they do not go by themselves. */
static void test_memory_of_many(void **state)
{
	struct place p;
	(void)state;
	if (OTHER_ALLOCATOR)
		skip();
	place_make(&p);
	struct netmap *many = map_of_many();
	map_cache_changed(p.c, many);
	netmap_put(many);
	void *behind = malloc(64);
	while (!file_names(&p, "many"))
		loop_run_once(p.loop);
	long before = resident_kib();
	bool late = false;
	struct loop_timer *t = loop_timer_new(p.loop, too_late, &late);
	loop_timer_set(t, 10000);
	change(&p, "few");
	while (!late && (!file_names(&p, "few") || resident_kib() > before - MANY / 2))
		loop_run_once(p.loop);
	assert_false(late);
	loop_timer_free(t);
	free(behind);
	place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newest_is_written),
		cmocka_unit_test(test_flush_and_close),
		cmocka_unit_test(test_same_is_left_alone),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_unsaved),
		cmocka_unit_test(test_memory_of_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
