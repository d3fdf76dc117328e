/* Expressions of lists against names: what matches, what is refused, and that none of them is slow. */
#include "resolver/block_regex.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_matches(void **state)
{
	static const struct {
		const char *regex, *name;
		bool matches;
	} rows[] = {
		{ "ads", "my.ads.example", true },
		{ "ads", "my.add.example", false },
		{ "^ads\\.", "ads.example", true },
		{ "^ads\\.", "my.ads.example", false },
		{ "^ads\\.", "adsx.example", false },
		{ "\\.zip$", "a.zip", true },
		{ "\\.zip$", "a.zip.example", false },
		{ "(^|\\.)track(er|ing)?[0-9]*\\.", "tracker12.example", true },
		{ "(^|\\.)track(er|ing)?[0-9]*\\.", "a.track.example", true },
		{ "(^|\\.)track(er|ing)?[0-9]*\\.", "backtrack.example", false },
		{ "^ad[sv]?[0-9]{1,2}[-.]", "adv12.example", true },
		{ "^ad[sv]?[0-9]{1,2}[-.]", "ads123.example", false },
		{ "^ad[sv]?[0-9]{1,2}[-.]", "ad7-x.example", true },
		{ "^(.+[_.-])?adse?rv(er?|ice)?s?[0-9]*[_.-]", "x-adserver3.example", true },
		{ "^(.+[_.-])?adse?rv(er?|ice)?s?[0-9]*[_.-]", "xadserver3.example", false },
		{ "^[^.]+\\.example$", "a.example", true },
		{ "^[^.]+\\.example$", "b.a.example", false },
		{ "^[[:alpha:]]{3}$", "com", true },
		{ "^[[:alpha:]]{3}$", "c0m", false },
		{ "^[]a]$", "a", true },
		{ "^[a-]+$", "a-a", true },
		{ "^\\d+\\.\\w+$", "42.x_1", true },
		{ "^\\D+$", "x1", false },
		{ "^ADS[A-C]\\.", "adsb.example", true },
		{ "^a{0}b$", "b", true },
		{ "^a{2,}$", "aa", true },
		{ "^a{2,}$", "a", false },
		{ "^a{2,3}$", "aaaa", false },
		{ "^(a|b)*c$", "ababc", true },
		{ "^(a*)*b$", "aaab", true },
		{ "^(|a)b$", "b", true },
		{ "^$", "", true },
		{ "", "anything", true },
		{ "a|b|c", "xxcxx", true },
		{ "(?:x|y)z", "yz", true },
		{ "x.y", "x-y", true },
		{ "x.y", "xy", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb;
		struct block_regex *x = block_regex_new(rows[i].regex, strlen(rows[i].regex), &eb);
		if (!x || block_regex_matches(x, rows[i].name, strlen(rows[i].name)) != rows[i].matches)
			fail_msg("row %zu: %s against %s", i, rows[i].regex, rows[i].name);
		block_regex_free(x);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *regex, *why;
	} rows[] = { { "(a", "( without" }, { "a)", ") without" }, { "[a", "[ without" },
		{ "[]", "[ without" }, { "*a", "repeats nothing" }, { "a|+", "repeats nothing" },
		{ "a{", "{}" }, { "a{2,1}", "{}" }, { "a{256}", "{}" }, { "a{,3}", "{}" },
		{ "a\\", "backslash" }, { "(a)\\1", "refers back" }, { "[b-a]", "backward" },
		{ "[[:nothing:]]", "[:class:]" }, { "((a{255}){255}){255}", "too large" },
		{ "((((){255}){255}){255}){255}", "too large" },
		{ "((((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))))",
			"inside each other" } };
	char longest[BLOCK_REGEX_MAX + 1];
	struct errbuf eb;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		eb.text[0] = 0;
		if (block_regex_new(rows[i].regex, strlen(rows[i].regex), &eb) ||
			!strstr(eb.text, rows[i].why))
			fail_msg("row %zu: %s: %s", i, rows[i].regex, eb.text);
	}
	memset(longest, 'a', sizeof(longest));
	assert_null(block_regex_new(longest, sizeof(longest), &eb));
	struct block_regex *x = block_regex_new(longest, BLOCK_REGEX_MAX, &eb);
	if (!x)
		fail_msg("%s", eb.text);
	block_regex_free(x);
}

/* Each takes a machine that goes back and tries again more steps than there is time for; here, a name's length
 * times the steps of the expression. */
static void test_never_slow(void **state)
{
	static const char *const evil[] = { "^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(a*)*(a*)*(a*)*$",
		"^(.*a){12}$", "^([a-z]+)*[0-9]$", "(a?){100}a{100}$" };
	char name[253];
	(void)state;
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '!';
	for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
		struct block_regex *x = block_regex_new(evil[i], strlen(evil[i]), NULL);
		assert_non_null(x);
		for (int k = 0; k < 20; k++)
			assert_false(block_regex_matches(x, name, sizeof(name)));
		block_regex_free(x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_matches), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_never_slow) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
