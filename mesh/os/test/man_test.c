#include "mesh/os/man.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct opt_row options[] = {
	{ "c", NULL, OPT_U64, 0, "N", "how often" },
	{ "until-done", NULL, OPT_BOOL, 0, NULL,
		"go on; a text that is long enough to need a second line in a help of this width" },
	{ NULL, NULL, OPT_STRING, 0, NULL, NULL },
};
static const struct man_verb verb = { "go", "NAME|IP", "do it",
	"First -x.\n\n.second starts with a dot and has a \\.", options };
static const struct man_verb *const verbs[] = { &verb, NULL };
static const struct man_item exits[] = { { "0", "done" }, { NULL, NULL } };
static const struct man_program program = { .name = "prog",
	.section = 1,
	.summary = "a program",
	.words = "VERB",
	.verbs = verbs,
	.exits = exits,
	.see_also = "other(8)" };

static char *text_of(void (*write)(const struct man_program *p, const struct man_verb *v, FILE *to))
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);
	write(&program, &verb, to);
	fclose(to);
	return text;
}

static void write_program_help(const struct man_program *p, const struct man_verb *v, FILE *to)
{
	(void)v;
	man_help(p, to);
}

static void write_page(const struct man_program *p, const struct man_verb *v, FILE *to)
{
	(void)v;
	man_page(p, to);
}

static void test_help(void **state)
{
	(void)state;
	char *got = text_of(man_help_verb);
	assert_string_equal(got,
		"prog go: do it\n\nUsage: prog go [OPTIONS] NAME|IP\n\nFirst -x.\n\n.second starts with a "
		"dot and has a \\.\n\n"
		"Options:\n  -c N                      how often\n"
		"  --until-done              go on; a text that is long enough to need a second line in a\n"
		"                            help of this width\n");
	free(got);
	got = text_of(write_program_help);
	assert_non_null(strstr(got, "\nVerbs:\n  go NAME|IP                do it\n"));
	assert_non_null(strstr(got, "\nExit status:\n  0                         done\n"));
	free(got);
}

/* However many words a verb takes, all of them are there, on lines no longer than others. */
static void test_many_words(void **state)
{
	static const struct man_verb many = { "many",
		"list | show NAME | pause [TIME|off] | forget [NAME] | remember NAME | log [on|off] | top | "
		"the-last-of-them",
		"do one of them", NULL, NULL };
	static const struct man_verb *const all[] = { &many, NULL };
	static const struct man_program p = {
		.name = "prog", .summary = "a program", .words = "VERB", .verbs = all
	};
	char *text = NULL;
	size_t len;
	(void)state;
	FILE *to = open_memstream(&text, &len);
	man_help(&p, to);
	man_help_verb(&p, &many, to);
	fclose(to);
	assert_string_equal(text,
		"prog: a program\n\nUsage: prog VERB\n\nVerbs:\n"
		"  many list | show NAME | pause [TIME|off] | forget [NAME] | remember NAME | log [on|off] "
		"|\n"
		"       top | the-last-of-them\n"
		"                            do one of them\n\nprog VERB --help says more.\n"
		"prog many: do one of them\n\n"
		"Usage: prog many list | show NAME | pause [TIME|off] | forget [NAME] | remember NAME | log\n"
		"                 [on|off] | top | the-last-of-them\n");
	free(text);
}

/* A program whose verbs share their options: of one verb those that are for it. */
static void test_shared_options(void **state)
{
	static const struct opt_row shared[] = { { "all", "a", OPT_BOOL, 0, NULL, "go, come: no end" },
		{ "far", NULL, OPT_BOOL, 0, NULL, "go: not near" },
		{ "near", NULL, OPT_BOOL, 0, NULL, "come, go away: not far" },
		{ "json", NULL, OPT_BOOL, 0, NULL, "print JSON: go: never" }, { 0 } };
	static const struct man_verb go = { "go", "", "do it", NULL, NULL };
	static const struct man_program two = { .name = "prog", .summary = "a program", .options = shared };
	char *text = NULL;
	size_t len;
	(void)state;
	FILE *to = open_memstream(&text, &len);
	man_help_verb(&two, &go, to);
	fclose(to);
	assert_string_equal(text,
		"prog go: do it\n\nUsage: prog go [OPTIONS]\n\nOptions:\n"
		"  -a, --all                 no end\n  --far                     not near\n\n"
		"prog --help has the options of all verbs.\n");
	free(text);
}

static void test_roff(void **state)
{
	(void)state;
	char *got = text_of(man_page_verb);
	assert_non_null(strstr(got, ".TH PROG-GO 1 "));
	assert_non_null(strstr(got, ".SH NAME\nprog\\-go \\- do it\n"));
	assert_non_null(strstr(got, "First \\-x.\n.PP\n\\&.second starts with a dot and has a \\e.\n"));
	assert_non_null(strstr(got, ".TP\n\\fB\\-\\-until\\-done\\fR\ngo on;"));
	free(got);
	got = text_of(write_page);
	assert_non_null(strstr(got, ".SS go NAME|IP\nDo it.\n"));
	assert_non_null(strstr(got, ".SH SEE ALSO\nother(8)\n"));
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_help), cmocka_unit_test(test_many_words),
		cmocka_unit_test(test_shared_options), cmocka_unit_test(test_roff) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
