#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/report/story.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t clock_ms;

static uint64_t now_ms(void)
{
	return clock_ms;
}

/* Two scenarios, told: one passes, one fails in line 9. */
static void tell_two(FILE *records, FILE *text)
{
	struct story st = { .view = STORY_TEXT,
		.out = text,
		.records = records,
		.now_ms = now_ms,
		.scenario = "one",
		.file = "s/one.yaml" };
	struct story_item pass = { .kind = "pass",
		.mark = STORY_GOOD,
		.text = "PASS one",
		.keys = { "seconds", "seed" },
		.values = { "1.250", "7" } };
	struct story_item fail = { .kind = "fail",
		.mark = STORY_BAD,
		.at = { .line = 9, .column = 5 },
		.text = "FAIL two <a> & \"b\"",
		.keys = { "seconds", "seed" },
		.values = { "0.500", "8" } };

	clock_ms = 250;
	story_say(&st, "ping", STORY_GOOD, "%s pings %s", "a", "b");
	clock_ms = 1250;
	story_tell(&st, &pass);
	st.scenario = "two";
	st.file = "s/two.yaml";
	st.variant = "home/hard";
	st.t0_ms = 1250;
	clock_ms = 1750;
	story_say(&st, "why", STORY_NOTE, "3 packets dropped");
	story_tell(&st, &fail);
}

/* Free it. */
static char *report_of(enum report_kind kind, const char *records, size_t len)
{
	char *out = NULL;
	size_t n;
	FILE *o = open_memstream(&out, &n);
	struct errbuf eb;
	assert_int_equal(report_write(kind, records, len, o, &eb), 0);
	fclose(o);
	return out;
}

static char *view(enum report_kind kind)
{
	char *records = NULL, *text = NULL;
	size_t n_records, n_text;
	FILE *r = open_memstream(&records, &n_records), *t = open_memstream(&text, &n_text);

	tell_two(r, t);
	fclose(r);
	fclose(t);
	char *out = report_of(kind, records, n_records);
	free(records);
	free(text);
	return out;
}

static void check(enum report_kind kind, const char *want)
{
	char *got = view(kind);
	if (strcmp(got, want))
		fail_msg("got\n%s\nwant\n%s", got, want);
	free(got);
}

static void test_records_and_text(void **state)
{
	char *records = NULL, *text = NULL;
	size_t n_records, n_text;
	FILE *r = open_memstream(&records, &n_records), *t = open_memstream(&text, &n_text);
	static const char first[] =
		"{\"t\":0.25,\"scenario\":\"one\",\"file\":\"s/"
		"one.yaml\",\"kind\":\"ping\",\"text\":\"a pings b\",\"mark\":\"good\"}\n";
	(void)state;
	tell_two(r, t);
	fclose(r);
	fclose(t);
	if (strncmp(records, first, strlen(first)))
		fail_msg("%s", records);
	assert_string_equal(text, "    0.25 + a pings b\n    1.25 + PASS one\n    0.50   3 packets dropped\n"
				  "    0.50 ! FAIL two <a> & \"b\"\n");
	free(records);
	free(text);
}

static void test_junit(void **state)
{
	(void)state;
	check(REPORT_JUNIT,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<testsuite name=\"simnet\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">\n"
		"  <testcase classname=\"simnet\" name=\"one\" file=\"s/one.yaml\" time=\"1.250\">\n"
		"    <system-out>    0.25 a pings b\n</system-out>\n  </testcase>\n"
		"  <testcase classname=\"simnet\" name=\"two [home/hard]\" file=\"s/two.yaml\" "
		"time=\"0.500\">\n"
		"    <failure message=\"FAIL two &lt;a&gt; &amp; &quot;b&quot;\"/>\n"
		"    <system-out>    0.50 3 packets dropped\n</system-out>\n  </testcase>\n</testsuite>\n");
}

static void test_tap(void **state)
{
	(void)state;
	check(REPORT_TAP,
		"TAP version 14\n1..2\nok 1 - one\nnot ok 2 - two [home/hard]\n  ---\n  message: |2\n"
		"    FAIL two <a> & \"b\"\n  at: {file: 's/two.yaml', line: 9}\n  story: |2\n"
		"        0.50 3 packets dropped\n  ...\n");
}

static void test_github(void **state)
{
	(void)state;
	check(REPORT_GITHUB, "::error file=s/two.yaml,line=9,title=two [home/hard]::FAIL two <a> & \"b\"\n");
}

/* What programs, names and files may hold: every view stays well-formed and no record is lost. */
static char *view_of(const char *text, const char *kind, enum report_kind report)
{
	char *records = NULL;
	size_t n_records;
	FILE *r = open_memstream(&records, &n_records);
	struct story st = { .view = STORY_QUIET,
		.records = r,
		.now_ms = now_ms,
		.t0_ms = clock_ms,
		.scenario = "t",
		.file = "it's, 5%.yaml",
		.variant = "a#b" };
	struct story_item end = { .kind = kind, .at = { .line = 3, .column = 1 }, .text = text };

	story_tell(&st, &end);
	assert_int_equal(st.lost, 0);
	fclose(r);
	char *out = report_of(report, records, n_records);
	free(records);
	return out;
}

static void test_any_bytes(void **state)
{
	static const struct {
		const char *text, *kind;
		enum report_kind report;
		const char *want;
	} rows[] = {
		{ "x\xff\x1b[1m \xe2\x82\xac\xed\xa0\x80", "fail", REPORT_JUNIT,
			"<failure message=\"x\xef\xbf\xbd\xef\xbf\xbd[1m "
			"\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"/>" },
		{ "a\nb", "fail", REPORT_JUNIT, "<failure message=\"a&#10;b\"/>" },
		{ "no tun", "skip", REPORT_JUNIT, "skipped=\"1\">" },
		{ "no tun", "skip", REPORT_JUNIT, "<skipped message=\"no tun\"/>" },
		{ "a\nb", "fail", REPORT_TAP, "not ok 1 - t [a\\#b]\n  ---\n  message: |2\n    a\n    b\n" },
		{ "x", "fail", REPORT_TAP, "at: {file: 'it''s, 5%.yaml', line: 3}" },
		{ "no # tun", "skip", REPORT_TAP, "\nok 1 - t [a\\#b] # SKIP no \\# tun\n" },
		{ "5%\nb", "fail", REPORT_GITHUB,
			"::error file=it's%2C 5%25.yaml,line=3,title=t [a#b]::5%25%0Ab\n" },
		{ "no tun", "skip", REPORT_GITHUB, "::notice file=" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = view_of(rows[i].text, rows[i].kind, rows[i].report);
		if (!strstr(got, rows[i].want))
			fail_msg("row %zu: got\n%s\nwant\n%s", i, got, rows[i].want);
		free(got);
	}
}

/* One reason, one line, whoever it kept from running. */
static void test_skipped(void **state)
{
	static const char records[] =
		"{\"t\":0,\"kind\":\"skip\",\"scenario\":\"a\",\"message\":\"x needs p\",\"lacks\":\"p\"}\n"
		"{\"t\":0,\"kind\":\"pass\",\"scenario\":\"b\"}\n"
		"{\"t\":0,\"kind\":\"skip\",\"scenario\":\"c\",\"message\":\"todo: later\\n\\u001b[1m\"}\n"
		"{\"t\":0,\"kind\":\"skip\",\"scenario\":\"d\",\"variant\":\"v\",\"message\":\"y needs "
		"p\",\"lacks\":\"p\"}\n"
		"{\"t\":0,\"kind\":\"skip\",\"scenario\":\"a\",\"message\":\"x needs p\",\"lacks\":\"p\"}\n"
		"{\"t\":0,\"kind\":\"unsure\",\"scenario\":\"e\"}\n";
	static const struct {
		enum report_kind kind;
		const char *want;
	} rows[] = {
		{ REPORT_NOTES, "skipped, no p: a, d [v]\nskipped, todo: later " },
		{ REPORT_TAP, "\n# skipped, no p: a, d [v]\n# skipped, todo: later " },
		{ REPORT_SUMMARY, "\n\nSkipped:\n\n- no p: a, d [v]\n- todo: later " },
		{ REPORT_JUNIT, " tests=\"6\" failures=\"0\" errors=\"0\" skipped=\"5\">" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = report_of(rows[i].kind, records, sizeof(records) - 1);
		if (!strstr(got, rows[i].want) || (rows[i].kind == REPORT_NOTES && strchr(got, '\x1b')))
			fail_msg("row %zu: got\n%s\nwant\n%s", i, got, rows[i].want);
		free(got);
	}
	char *none = view(REPORT_NOTES);
	assert_string_equal(none, "");
	free(none);
}

/* A run in the place of one that was inconclusive counts instead of it; no other does. */
static void test_slow_at_first(void **state)
{
	static const char records[] =
		"{\"t\":0,\"kind\":\"unsure\",\"scenario\":\"a\"}\n{\"t\":0,\"kind\":\"unsure\",\"scenario\":"
		"\"a\"}\n"
		"{\"t\":0,\"kind\":\"unsure\",\"scenario\":\"b\"}\n{\"t\":0,\"kind\":\"unsure\",\"scenario\":"
		"\"c\"}\n"
		"{\"t\":0,\"kind\":\"pass\",\"scenario\":\"a\",\"earlier\":\"unsure\",\"text\":\"PASS a\"}\n"
		"{\"t\":0,\"kind\":\"fail\",\"scenario\":\"b\",\"earlier\":\"unsure\"}\n"
		"{\"t\":0,\"kind\":\"unsure\",\"scenario\":\"c\",\"earlier\":\"unsure\"}\n";
	static const struct {
		enum report_kind kind;
		const char *want;
	} rows[] = {
		{ REPORT_NOTES, "slow at first: a\ninconclusive: a, c\n" },
		{ REPORT_TAP, "1..4\nnot ok 1 - a\n  ---\n  inconclusive: true\n  message" },
		{ REPORT_TAP, "\nok 2 - a\nnot ok 3 - b\n  ---\n  message" },
		{ REPORT_TAP, "\n# slow at first: a\n# inconclusive: a, c\n" },
		{ REPORT_SUMMARY, "### simnet: 1 of 4 passed\n" },
		{ REPORT_SUMMARY, "| a | passed, slow at first |" },
		{ REPORT_SUMMARY, "| c | inconclusive |" },
		{ REPORT_JUNIT, " tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"2\">" },
		{ REPORT_JUNIT, "<property name=\"slow-at-first\" value=\"true\"/>" },
		{ REPORT_GITHUB, "::notice file=,line=0,title=a::PASS a\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = report_of(rows[i].kind, records, sizeof(records) - 1);
		if (!strstr(got, rows[i].want))
			fail_msg("row %zu: got\n%s\nwant\n%s", i, got, rows[i].want);
		free(got);
	}
}

static void test_names_are_not_numbers(void **state)
{
	char *records = NULL;
	size_t n;
	FILE *r = open_memstream(&records, &n);
	struct story st = {
		.view = STORY_QUIET, .records = r, .now_ms = now_ms, .scenario = "t", .file = "f"
	};
	struct story_item cost = { .kind = "cost",
		.text = "x",
		.keys = { "from", "to", "lost", "gap" },
		.values = { "nan", "10", "3", "0.250" } };
	(void)state;
	story_tell(&st, &cost);
	fclose(r);
	if (!strstr(records, "\"from\":\"nan\",\"to\":\"10\",\"lost\":3,\"gap\":0.25"))
		fail_msg("%s", records);
	free(records);
}

static void test_lost_output_is_known(void **state)
{
	struct story st = { .view = STORY_TEXT,
		.out = fopen("/dev/full", "we"),
		.now_ms = now_ms,
		.scenario = "t",
		.file = "f" };
	(void)state;
	assert_non_null(st.out);
	story_say(&st, "say", STORY_PLAIN, "x");
	assert_int_equal(st.lost, ENOSPC);
	fclose(st.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_and_text),
		cmocka_unit_test(test_junit),
		cmocka_unit_test(test_tap),
		cmocka_unit_test(test_github),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_slow_at_first),
		cmocka_unit_test(test_skipped),
		cmocka_unit_test(test_names_are_not_numbers),
		cmocka_unit_test(test_lost_output_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
