#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_durations(void **state)
{
	(void)state;
	static const struct {
		const char *s;
		bool ok;
		uint64_t ms;
	} rows[] = { { "500ms", 1, 500 }, { "5s", 1, 5000 }, { "1m30s", 1, 90000 }, { "2h", 1, 7200000 },
		{ "7d", 1, 604800000 }, { "2w", 1, 1209600000 }, { "1y", 1, UINT64_C(31536000000) },
		{ "5", 0, 0 }, { "", 0, 0 }, { "s", 0, 0 }, { "5 s", 0, 0 }, { "-5s", 0, 0 },
		{ "99999999999999999999s", 0, 0 }, { "5x", 0, 0 },
		{ "146000000y", 1, UINT64_C(31536000000) * 146000000 }, { "147000000y", 0, 0 },
		{ "500000000y", 0, 0 }, { "146000000y146000000y", 0, 0 },
		{ "40000000000d40000000000d40000000000d40000000000d40000000000d40000000000d", 0, 0 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t ms = 0;
		if (text_duration_ms(rows[i].s, &ms) != rows[i].ok || ms != rows[i].ms)
			fail_msg("row %zu: %s", i, rows[i].s);
	}
}

static void test_spans(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = { { 0, "0 seconds" }, { 1999, "1 second" }, { 59999, "59 seconds" }, { 60000, "1 minute" },
		{ 119999, "1 minute" }, { 120000, "2 minutes" }, { 3600000, "1 hour" },
		{ 86399999, "23 hours" }, { 86400000, "1 day" }, { 14 * UINT64_C(86400000), "14 days" },
		{ UINT64_MAX, "213503982334 days" } };
	char buf[TEXT_COUNT];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(text_span(rows[i].ms, buf), rows[i].text);
	assert_string_equal(text_count(1, "name", buf), "1 name");
	assert_string_equal(text_count(0, "name", buf), "0 names");
}

static void test_times(void **state)
{
	(void)state;
	static const struct {
		const char *s;
		bool ok;
		int64_t ms;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 1, 0 },
		{ "1970-01-01T00:02:03Z", 1, 123000 },
		{ "2026-08-22T10:00:00.5Z", 1, 1787392800500 },
		{ "2026-08-22T12:00:00+02:00", 1, 1787392800000 },
		{ "2026-08-22T10:00:00.123456789Z", 1, 1787392800123 },
		{ "0001-01-01T00:00:00Z", 1, -62135596800000 },
		{ "2026-13-22T10:00:00Z", 0, 0 },
		{ "2026-08-22T10:00:00", 0, 0 },
		{ "yesterday", 0, 0 },
		{ "2026-08-22T10:00:00Zx", 0, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t ms = 0;
		char back[40];
		if (text_time_ms(rows[i].s, &ms) != rows[i].ok || ms != rows[i].ms)
			fail_msg("row %zu: %s gave %lld", i, rows[i].s, (long long)ms);
		int64_t again;
		if (rows[i].ok && (!text_time_ms(text_time_format(ms, back), &again) || again != ms))
			fail_msg("row %zu: back as %s", i, back);
	}
}

/* A key that ends in the year 12000 does not end in 2000. */
static void test_far_times(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = { { INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
		{ INT64_C(253402300800000), "9999-12-31T23:59:59.999Z" },
		{ INT64_C(316521849600000), "9999-12-31T23:59:59.999Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z" },
		{ INT64_C(-62135596800000), "0001-01-01T00:00:00Z" },
		{ INT64_C(-62135596800001), "0001-01-01T00:00:00.001Z" },
		{ INT64_MIN, "0001-01-01T00:00:00.001Z" } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[40];
		assert_string_equal(text_time_format(rows[i].ms, text), rows[i].text);
	}
}

struct opts {
	const char *name;
	bool on;
	uint64_t n, ms;
};
static const struct opt_row rows[] = {
	{ "name", "hostname", OPT_STRING, offsetof(struct opts, name), "TEXT", "a name" },
	{ "on", NULL, OPT_BOOL, offsetof(struct opts, on), NULL, "a switch" },
	{ "count", NULL, OPT_U64, offsetof(struct opts, n), "N", "a number" },
	{ "within", NULL, OPT_DURATION_MS, offsetof(struct opts, ms), "TIME", "a bound" },
	{ 0 },
};

static void test_options(void **state)
{
	(void)state;
	const char *argv[] = { "p", "-name", "x", "--on", "word", "--count=7", "--within", "2s", "--",
		"--on" };
	struct opts o = { 0 };
	const char *words[16];
	int n;
	struct errbuf eb;
	assert_int_equal(opt_parse(rows, 10, (char **)argv, false, &o, words, &n, &eb), 0);
	assert_string_equal(o.name, "x");
	assert_true(o.on && o.n == 7 && o.ms == 2000);
	assert_int_equal(n, 2);
	assert_string_equal(words[0], "word");
	assert_string_equal(words[1], "--on");
	n = 0;
	assert_int_equal(opt_parse(rows, 10, (char **)argv, true, &o, words, &n, &eb), 0);
	assert_int_equal(n, 6);
}

static void test_given_bool(void **state)
{
	(void)state;
	static const struct opt_row one[] = { { "dns", NULL, OPT_GIVEN_BOOL, 0, NULL, "a switch" }, { 0 } };
	static const struct {
		const char *arg;
		int want;
	} cases[] = { { "word", 0 }, { "--dns=false", 1 }, { "--dns", 2 }, { "--dns=true", 2 } };
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char prog[] = "p", arg[16];
		char *argv[] = { prog, strcpy(arg, cases[i].arg) };
		const char *words[2];
		int n, given = 0;
		assert_int_equal(opt_parse(one, 2, argv, false, &given, words, &n, NULL), 0);
		assert_int_equal(given, cases[i].want);
	}
}

static void test_nearest(void **state)
{
	static const char *const names[] = { "set", "status", "login", "logout", "netcheck", "ip", NULL };
	static const struct {
		const char *word, *meant;
	} asked[] = { { "stat", "status" }, { "STAT", "status" }, { "net", "netcheck" }, { "sett", "set" },
		{ "logi", "login" }, { "log", "login" }, { "st", "set" }, { "i", "ip" },
		{ "frobnicate", NULL } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		const char *got = text_nearest(asked[i].word, names);
		if (!got != !asked[i].meant || (got && strcmp(got, asked[i].meant) != 0))
			fail_msg("%s: %s", asked[i].word, got ? got : "none");
	}
}

static void test_option_errors(void **state)
{
	(void)state;
	static const struct {
		const char *arg, *said;
	} bad[] = { { "--nam", "unknown option --nam; did you mean --name?" },
		{ "-z", "unknown option -z; see --help" },
		{ "-zzzzzz=4", "unknown option -zzzzzz; see --help" },
		{ "--zzzzzz", "unknown option --zzzzzz; see --help" },
		{ "--count=x", "--count takes a number, not \"x\"" },
		{ "--on=maybe", "--on takes true or false, not \"maybe\"" },
		{ "--name", "--name needs a value: --name TEXT" },
		{ "--within=5", "--within takes a time such as 500ms, 5s or 2m, not \"5\"" } };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *argv[] = { "p", bad[i].arg };
		struct opts o = { 0 };
		const char *words[4];
		int n;
		struct errbuf eb = { 0 };
		assert_int_equal(opt_parse(rows, 2, (char **)argv, false, &o, words, &n, &eb), ERR_MALFORMED);
		assert_string_equal(eb.text, bad[i].said);
	}
	const char *twice[] = { "p", "--on", "--on" };
	struct opts o = { 0 };
	const char *words[4];
	int n;
	struct errbuf eb = { 0 };
	assert_int_equal(opt_parse(rows, 3, (char **)twice, false, &o, words, &n, &eb), ERR_MALFORMED);
	assert_string_equal(eb.text, "--on is given twice");
	/* A name of one letter is said as it is typed. */
	static const struct opt_row letter[] = { { "n", NULL, OPT_U64, 0, "N", "a number" }, { 0 } };
	static const struct {
		const char *args[2], *said;
	} short_bad[] = { { { "-n=x" }, "-n takes a number, not \"x\"" },
		{ { "-n" }, "-n needs a value: -n N" }, { { "-n=1", "-n=2" }, "-n is given twice" } };
	for (size_t i = 0; i < ARRAY_LEN(short_bad); i++) {
		const char *argv[] = { "p", short_bad[i].args[0], short_bad[i].args[1] };
		uint64_t count;
		assert_int_equal(opt_parse(letter, short_bad[i].args[1] ? 3 : 2, (char **)argv, false, &count,
					 words, &n, &eb),
			ERR_MALFORMED);
		assert_string_equal(eb.text, short_bad[i].said);
	}
}

/* The number may stand at the letter. */
static void test_number_at_letter(void **state)
{
	static const struct opt_row letters[] = { { "n", NULL, OPT_U64, 0, "N", "a number" },
		{ "k", NULL, OPT_STRING, 8, "TEXT", "a text" }, { 0 } };
	static const struct {
		const char *arg;
		uint64_t want; /* 0: refused */
	} args[] = { { "-n2", 2 }, { "-n16", 16 }, { "-n2x", 0 }, { "--n2", 0 }, { "-n-2", 0 }, { "-k2", 0 },
		{ "-m2", 0 }, { "-n99999999999999999999", 0 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(args); i++) {
		struct {
			uint64_t n;
			const char *k;
		} out = { 0 };
		const char *argv[] = { "p", args[i].arg }, *words[2];
		int n;
		struct errbuf eb;
		int err = opt_parse(letters, 2, (char **)argv, false, &out, words, &n, &eb);
		if (err != (args[i].want ? 0 : ERR_MALFORMED) || out.n != args[i].want || out.k)
			fail_msg("%s: %d, %llu", args[i].arg, err, (unsigned long long)out.n);
	}
}

static void test_flag_given(void **state)
{
	static const struct {
		const char *args[3];
		bool want;
	} rows_given[] = { { { "--what", "x", "--json" }, true }, { { "-json", "--what" }, true },
		{ { "--what", "--json=true" }, true }, { { "--json=false", "--jsonx", "json" }, false },
		{ { "--what", "--", "--json" }, false }, { { "-", "--", "" }, false } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows_given); i++) {
		const char *const *a = rows_given[i].args;
		const char *argv[] = { "p", a[0], a[1], a[2] };
		int argc = 2 + (a[1] != NULL) + (a[2] != NULL);
		if (opt_flag_given("json", argc, (char **)argv) != rows_given[i].want)
			fail_msg("row %zu", i);
	}
}

static void test_clean(void **state)
{
	static const struct {
		const char *in, *out;
	} words[] = { { "", "" }, { "plain", "plain" }, { "a\nb\tc\033[2J", "a?b?c?[2J" }, { "\x7f", "?" },
		{ "M\xc3\xbcnchen \xe6\x97\xa5 \xf0\x9f\x98\x80",
			"M\xc3\xbcnchen \xe6\x97\xa5 \xf0\x9f\x98\x80" },
		{ "\xc2\x9b"
		  "2J",
			"?2J" }, /* CSI of C1 as UTF-8 */
		{ "\x9b"
		  "2J",
			"?2J" }, /* and alone */
		{ "a\xe2\x80\xae"
		  "b",
			"a?b" },		/* right-to-left override */
		{ "\xe2\x80\xa8", "?" },	/* line separator */
		{ "\xc0\xaf", "??" },		/* overlong */
		{ "\xed\xa0\x80", "???" },	/* a surrogate */
		{ "\xf4\x90\x80\x80", "????" }, /* behind the last */
		{ "x\xe6\x97", "x??" } };	/* cut */
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", words[i].in);
		text_clean(text);
		assert_string_equal(text, words[i].out);
	}
	assert_int_equal(text_width("M\xc3\xbc\xe6\x97\xa5"), 3);
}

static void test_numbered(void **state)
{
	static const struct {
		const char *name;
		unsigned number;
		size_t cap;
		const char *out;
	} named[] = {
		{ "a.txt", 1, 64, "a (1).txt" },
		{ "a.tar.gz", 12, 64, "a.tar (12).gz" },
		{ "noend", 2, 64, "noend (2)" },
		{ ".hidden", 2, 64, ".hidden (2)" },
		{ "abcdefghij.txt", 1, 16, "abcdefg (1).txt" },
		{ "abcd.averylongend", 1, 16, "abcd (1)" },
		{ "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4.x", 1, 12, "\xc3\xa4\xc3\xa4 (1).x" },
	};
	char out[64];
	(void)state;
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		text_numbered(named[i].name, named[i].number, out, named[i].cap);
		assert_string_equal(out, named[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_clean), cmocka_unit_test(test_numbered),
		cmocka_unit_test(test_durations), cmocka_unit_test(test_spans), cmocka_unit_test(test_times),
		cmocka_unit_test(test_far_times), cmocka_unit_test(test_options),
		cmocka_unit_test(test_nearest), cmocka_unit_test(test_option_errors),
		cmocka_unit_test(test_number_at_letter), cmocka_unit_test(test_flag_given),
		cmocka_unit_test(test_given_bool) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
