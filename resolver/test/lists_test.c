/* Lists where memory is short, at each place in turn: what is said is whole, or an error has words. */
#include "resolver/lists.h"

#include "mesh/base/fuzz/trouble.h"
#include "resolver/block.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLACES_MAX = 1000 };

static char path[] = "/tmp/lists_test.XXXXXX";
static const char *names[] = { "ads.example", "/^ads/", "/(/" };
static struct conf_list two[] = { { .name = "words", .names = names, .n_names = 3 },
	{ .name = "file", .file = path } };
static const struct conf_block block = { .lists = two, .n_lists = 2 };

static int setup(void **state)
{
	static const char text[] = "0.0.0.0 ads.example\n||example^\n";
	(void)state;
	int fd = mkstemp(path);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	return close(fd) || !ok;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static int explain(struct buf *out, struct errbuf *eb)
{
	struct lists_found found;
	struct dns_name name;
	(void)dns_name_parse("ads.example", &name);
	return lists_explain(&block, UINT32_MAX, UINT32_MAX, &name, out, &found, eb);
}

static int read_all(struct buf *out, struct errbuf *eb)
{
	static const uint64_t seed[2];
	struct block *set = lists_read(&block, seed, out, eb);
	block_put(set);
	return set ? 0 : eb->code;
}

static void test_short_memory(void **state)
{
	static int (*const runs[])(struct buf * out, struct errbuf * eb) = { explain, read_all };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		struct buf whole = { 0 };
		struct errbuf eb = { 0 };
		unsigned failed = 0, nth = 1;
		assert_int_equal(runs[i](&whole, &eb), 0);
		for (bool happened = true; happened; nth++) {
			struct buf out = { 0 };
			assert_true(nth < PLACES_MAX);
			eb = (struct errbuf) { 0 };
			trouble_memory(nth);
			int err = runs[i](&out, &eb);
			happened = trouble_happened();
			trouble_memory(0);
			failed += err != 0;
			if (err)
				assert_true(eb.text[0]);
			else
				assert_string_equal(buf_cstr(&out), buf_cstr(&whole));
			buf_free(&out);
		}
		assert_true(failed > 2);
		buf_free(&whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
		test_short_memory, setup, teardown) };
	return cmocka_run_group_tests_name("lists", tests, NULL, NULL);
}
