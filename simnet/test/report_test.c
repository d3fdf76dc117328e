#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/story.h"
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
		.at = { 9, 5 },
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

static char *view(enum report_kind kind)
{
	char *records = NULL, *text = NULL, *out = NULL;
	size_t n_records, n_text, n;
	FILE *r = open_memstream(&records, &n_records), *t = open_memstream(&text, &n_text),
	     *o = open_memstream(&out, &n);
	struct errbuf eb;

	tell_two(r, t);
	fclose(r);
	fclose(t);
	assert_int_equal(report_write(kind, records, n_records, o, &eb), 0);
	fclose(o);
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
	static const char first[] = "{\"t\":0.25,\"scenario\":\"one\",\"file\":\"s/"
				    "one.yaml\",\"kind\":\"ping\",\"text\":\"a pings b\"}\n";
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
		"<testsuite name=\"simnet\" tests=\"2\" failures=\"1\" errors=\"0\">\n"
		"  <testcase classname=\"simnet\" name=\"one\" file=\"s/one.yaml\" time=\"1.250\">\n"
		"    <system-out>    0.25 a pings b\n</system-out>\n  </testcase>\n"
		"  <testcase classname=\"simnet\" name=\"two[home/hard]\" file=\"s/two.yaml\" "
		"time=\"0.500\">\n"
		"    <failure message=\"FAIL two &lt;a&gt; &amp; &quot;b&quot;\"/>\n"
		"    <system-out>    0.50 3 packets dropped\n</system-out>\n  </testcase>\n</testsuite>\n");
}

static void test_tap(void **state)
{
	(void)state;
	check(REPORT_TAP, "TAP version 14\n1..2\nok 1 - one\nnot ok 2 - two[home/hard]\n  ---\n  message: |\n"
			  "    FAIL two <a> & \"b\"\n  at: {file: 's/two.yaml', line: 9}\n  story: |\n"
			  "        0.50 3 packets dropped\n  ...\n");
}

static void test_github(void **state)
{
	(void)state;
	check(REPORT_GITHUB, "::error file=s/two.yaml,line=9,title=two[home/hard]::FAIL two <a> & \"b\"\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_and_text),
		cmocka_unit_test(test_junit),
		cmocka_unit_test(test_tap),
		cmocka_unit_test(test_github),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
