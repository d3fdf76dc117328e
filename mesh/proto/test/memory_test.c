/* Every allocation of the JSON library fails once, and from then on all larger ones: each reading ends with
 * an error or what was asked for, and nothing is left behind or written where it does not belong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/proto/control.h"
#include "mesh/proto/json.h"
#include "mesh/proto/json_memory.h"
#include "mesh/proto/localapi.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAILURES = 5000, GUARD = 64 };

/* What a failing allocator knows; the library gives it no argument. */
static struct {
	long left;	/* allocations until one fails; < 0: none does */
	size_t lasting; /* then, larger ones fail as well; 0: only one */
	bool failed;
	long blocks;
	bool smashed;
} state;

static void *failing_alloc(size_t n)
{
	if ((state.left >= 0 && state.left-- == 0) || (state.failed && state.lasting && n > state.lasting)) {
		state.failed = true;
		return NULL;
	}
	char *p = malloc(n + 2 * GUARD);
	if (!p)
		return NULL;
	memcpy(p, &n, sizeof(n));
	memset(p + GUARD + n, 0xa5, GUARD);
	state.blocks++;
	return p + GUARD;
}

static void failing_free(void *v)
{
	size_t n;
	if (!v)
		return;
	char *p = (char *)v - GUARD;
	memcpy(&n, p, sizeof(n));
	for (size_t i = 0; i < GUARD; i++)
		state.smashed = state.smashed || (unsigned char)p[GUARD + n + i] != 0xa5;
	state.blocks--;
	free(p);
}

static int read_register(struct arena *a, const char *text, size_t len)
{
	struct ctl_register_request m;
	return ctl_register_request_read(a, text, len, &m, NULL);
}
static int read_map_request(struct arena *a, const char *text, size_t len)
{
	struct ctl_map_request m;
	return ctl_map_request_read(a, text, len, &m, NULL);
}
static int read_map(struct arena *a, const char *text, size_t len)
{
	struct ctl_map_response m;
	return ctl_map_response_read(a, text, len, &m, NULL);
}

static char *long_text(const char *before, size_t n, const char *behind)
{
	char *text = malloc(strlen(before) + n + strlen(behind) + 1), *at = text;
	assert_non_null(text);
	at = stpcpy(at, before);
	memset(at, 'x', n);
	strcpy(at + n, behind);
	return text;
}

static void fail_each(
	int (*read)(struct arena *a, const char *text, size_t len), const char *text, size_t lasting)
{
	long n = 0;
	for (bool failed = true; failed && n < FAILURES; n++) {
		struct arena a = { 0 };
		state.left = n;
		state.lasting = lasting;
		state.failed = false;
		int err = read(&a, text, strlen(text));
		failed = state.failed;
		state.left = -1;
		state.failed = false;
		if (failed ? !err : err)
			fail_msg("allocation %ld: code %d", n, err);
		arena_free(&a);
		assert_int_equal(state.blocks, 0);
		assert_false(state.smashed);
	}
	assert_in_range(n, 5, FAILURES - 1);
}

static void test_failures(void **unused)
{
	static const size_t lengths[] = { 1, 15, 16, 17, 1000, 4000, 10000 };
	char key[80] = "nodekey:";
	char before[256];
	(void)unused;
	memset(key + 8, '1', 64);
	json_set_alloc_funcs(failing_alloc, failing_free);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		for (size_t lasting = 0; lasting <= 4096; lasting += 2048) {
			snprintf(before, sizeof(before),
				"{\"Version\":119,\"NodeKey\":\"%s\",\"Hostinfo\":{\"Hostname\":\"h\\n\","
				"\"OS\":\"",
				key);
			char *text = long_text(before, lengths[i], "\"}}");
			fail_each(read_register, text, lasting);
			free(text);
			snprintf(before, sizeof(before),
				"{\"Version\":119,\"NodeKey\":\"%s\",\"Endpoints\":[\"192.0.2.1:1\"],"
				"\"Hostinfo\":{\"OS\":\"",
				key);
			text = long_text(before, lengths[i], "\",\"RoutableIPs\":[\"10.0.0.0/8\"]}}");
			fail_each(read_map_request, text, lasting);
			free(text);
			text = long_text("{\"Domain\":\"", lengths[i], "\",\"PeersRemoved\":[1,2,3]}");
			fail_each(read_map, text, lasting);
			free(text);
		}
	json_set_alloc_funcs(malloc, free);
}

/* The same when a text is written. */
static void test_writing(void **unused)
{
	static const char want[] = "{\"Name\":[{\"Inner\":\"x\"},1,true],\"Other\":{}}";
	bool failed = true;
	long n = 0;
	(void)unused;
	json_set_alloc_funcs(failing_alloc, failing_free);
	json_t *v = json_loads(want, 0, NULL);
	const long blocks = state.blocks;
	for (; failed && n < FAILURES; n++) {
		state.left = n;
		state.failed = false;
		char *text = json_memory_dump(v, JSON_COMPACT);
		failed = state.failed;
		state.left = -1;
		if (text ? strcmp(text, want) != 0 : !failed)
			fail_msg("allocation %ld: %s", n, text ? text : "nothing");
		json_text_free(text);
		assert_int_equal(state.blocks, blocks);
	}
	assert_false(failed);
	json_decref(v);
	json_set_alloc_funcs(malloc, free);
	assert_null(json_memory_dump(NULL, 0));
}

/* No string reaches the library that is longer than any honest one. */
static void test_long_strings(void **unused)
{
	struct errbuf eb = { 0 };
	struct ctl_map_response m;
	struct arena a = { 0 };
	(void)unused;
	char *text = long_text("{\"Domain\":\"", JSON_STRING_MAX, "\"}");
	assert_int_equal(ctl_map_response_read(&a, text, strlen(text), &m, &eb), 0);
	free(text);
	text = long_text("{\"Domain\":\"", JSON_STRING_MAX + 1, "\"}");
	assert_true(ctl_map_response_read(&a, text, strlen(text), &m, &eb) != 0);
	assert_non_null(strstr(eb.text, "too"));
	free(text);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_failures), cmocka_unit_test(test_writing),
		cmocka_unit_test(test_long_strings) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
