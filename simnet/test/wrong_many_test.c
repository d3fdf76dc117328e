/* Files that have too much of something, or are wrong in many places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/test/wrong_rows.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- too much of something */

static void assert_error(struct buf *text, const char *want)
{
	struct scn_errors all = { 0 };
	const char *got = wrong_errors_of((const char *)buf_data(text), text->len, &all);
	if (strcmp(got, want) != 0)
		fail_msg(" got %s\nwant %s", got, want);
	buf_free(&all.text);
	buf_free(text);
}

static void repeat(struct buf *b, const char *fmt, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_true(buf_printf(b, fmt, i));
}

static void test_too_much(void **state)
{
	struct buf b = { 0 };
	(void)state;

	assert_true(buf_printf(&b, HEAD "about: "));
	repeat(&b, "[", 40);
	repeat(&b, "]", 40);
	assert_error(&b, "w.yaml:3:40: nested deeper than 32 levels");

	assert_true(buf_printf(&b, HEAD "matrix: {a: ["));
	repeat(&b, "%u,", 40);
	assert_true(buf_printf(&b, "], b: ["));
	repeat(&b, "%u,", 40);
	assert_true(buf_printf(&b, "]}\nnodes:\n  a: {at: internet}\n"));
	assert_error(&b, "w.yaml:3:9: the matrix has more than 1024 combinations");

	assert_true(buf_printf(&b, "simnet: 1\nname: "));
	repeat(&b, "x", 100);
	assert_true(buf_printf(&b, "\nnodes:\n  a: {at: internet}\n"));
	assert_error(&b, "w.yaml:2:7: "
			 "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			 "xxxxxxxxxxxx"
			 "xxxxxx' is not a usable name: small letters, digits and '-', at most 64");

	assert_true(buf_printf(&b, HEAD "nodes:\n"));
	repeat(&b, "  n%u: {at: internet}\n", 120);
	assert_error(&b, "w.yaml:94:3: too many nodes beside 'n90'");

	assert_true(buf_printf(&b, HEAD "routers:\n"));
	repeat(&b, "  r%u: {nat: home}\n", 300);
	assert_true(buf_printf(&b, "nodes:\n  a: {at: internet}\n"));
	assert_error(&b, "w.yaml:154:3: 300 routers; at most 150");

	assert_true(buf_append(&b, HEAD "about: a\0b\n", sizeof(HEAD "about: a\0b\n") - 1));
	assert_error(&b, "w.yaml:3:9: control characters are not allowed");

	/* An anchor of anchors of anchors stays a graph, and is the wrong type. */
	assert_true(buf_printf(&b, HEAD "matrix:\n  a: &a [x, x, x, x]\n"));
	for (int c = 'b'; c < 'k'; c++)
		assert_true(
			buf_printf(&b, "  %c: &%c [*%c, *%c, *%c, *%c]\n", c, c, c - 1, c - 1, c - 1, c - 1));
	assert_error(&b, "w.yaml:4:3: a matrix of 10 variables; at most 8");
}

/* All errors, but not without end. */
static void test_all_errors(void **state)
{
	struct scn_errors all = { 0 };
	struct buf b = { 0 };
	(void)state;

	assert_true(buf_printf(&b, HEAD "nodes:\n"));
	repeat(&b, "  n%u: {at: nowhere}\n", 60);
	(void)wrong_errors_of((const char *)buf_data(&b), b.len, &all);
	assert_int_equal(all.n, 60);
	unsigned lines = 1;
	for (const char *at = buf_cstr(&all.text); (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, SCN_ERRORS_MAX);
	buf_free(&all.text);
	buf_free(&b);
}

/* What the files beside a scenario lack is told with all the rest. */
static void test_all_files(void **state)
{
	static const char text[] = HEAD
		"nodes:\n  a: {at: internet, run: nosuchone}\n  b: {at: internet, run: nosuchtwo, files: "
		"{/etc/y: {from: y}}}\n";
	struct scn_errors all = { 0 };
	(void)state;

	const char *said = wrong_errors_of(text, sizeof(text) - 1, &all);
	assert_int_equal(all.n, 3);
	assert_non_null(strstr(said, "w.yaml:4:3: no adapter 'nosuchone'"));
	assert_non_null(strstr(said, "\nw.yaml:5:3: no adapter 'nosuchtwo'"));
	assert_non_null(strstr(said, "\nw.yaml:5:45: no file 'y' in the scenario's folder"));
	buf_free(&all.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_all_errors),
		cmocka_unit_test(test_all_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
