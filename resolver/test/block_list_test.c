/* Lines of lists, in each form, whole and in pieces. */
#include "resolver/block_list.h"

#include "resolver/block.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct said {
	char text[4096];
};

/* "name" the name alone, "name+" all under it too, "*name" all under it, "/regex/". */
static int item(void *arg, const struct block_item *i)
{
	struct said *s = arg;
	char name[DNS_NAME_TEXT];
	size_t at = strlen(s->text);
	if (!i->name.len)
		snprintf(s->text + at, sizeof(s->text) - at, "/%.*s/ ", (int)i->regex_len, i->regex);
	else
		snprintf(s->text + at, sizeof(s->text) - at, "%s%s%s ", i->reach == BLOCK_BELOW ? "*" : "",
			dns_name_format(&i->name, name), i->reach == (BLOCK_NAME | BLOCK_BELOW) ? "+" : "");
	return 0;
}

static struct block_list read_in_pieces(const char *text, bool allows, size_t piece, struct said *s)
{
	struct block_list_ops ops = { item, s };
	struct block_list l;
	size_t len = strlen(text);
	memset(s, 0, sizeof(*s));
	block_list_begin(&l, allows, &ops);
	for (size_t at = 0; at < len; at += piece)
		assert_int_equal(block_list_read(&l, text + at, len - at < piece ? len - at : piece), 0);
	assert_int_equal(block_list_end(&l), 0);
	return l;
}

static void test_lines(void **state)
{
	static const struct {
		const char *text;
		bool allows;
		const char *said;
		unsigned skipped;
	} rows[] = {
		{ "ads.example\n", false, "ads.example ", 0 },
		{ "ads.example", false, "ads.example ", 0 },
		{ "ADS.Example.\r\n", false, "ads.example ", 0 },
		{ "  ads.example  # why\n", false, "ads.example ", 0 },
		{ "*.ads.example\n", false, "ads.example+ ", 0 },
		{ "a_b.x-y.example\n", false, "a_b.x-y.example ", 0 },
		{ "com\n", false, "", 1 },
		{ "*.zip\n", false, "zip+ ", 0 },
		{ "ads..example\n.ads.example\nads example\n", false, "", 3 },
		{ "ads.ex\303\244mple\n", false, "", 1 },
		{ "0.0.0.0 ads.example b.example\n", false, "ads.example b.example ", 0 },
		{ "127.0.0.1\tads.example\n::1 c.example # x\n:: d.example\n", false,
			"ads.example c.example d.example ", 0 },
		{ "127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n0.0.0.0 0.0.0.0\n", false, "", 0 },
		{ "0.0.0.0 com b.example\n", false, "b.example ", 1 },
		{ "||ads.example^\n||com^\n||b.example\n||*.c.example^\n", false,
			"ads.example+ com+ b.example+ c.example+ ", 0 },
		{ "||ads.example^$important\n||ads.example^$third-party\n||ads.example/path\n", false,
			"ads.example+ ", 2 },
		{ "@@||ads.example^\n", false, "", 0 },
		{ "@@||ads.example^\n", true, "ads.example+ ", 0 },
		{ "! comment\n# comment\n; comment\n[Adblock Plus 2.0]\n\n \n", false, "", 0 },
		{ "ads.example##.banner\n##.ad\nads.example#@#.x\n", false, "", 2 },
		{ "/^ads?[0-9]+\\./\n", false, "/^ads?[0-9]+\\./ ", 0 },
		{ "$TTL 60\n$ORIGIN rpz.test.\n@ SOA localhost. root. 1 2 3 4 5\n@ NS "
		  "localhost.\nads.example CNAME .\n"
		  "*.ads.example CNAME .\nb.example 60 IN CNAME *.\nc.example.rpz.test. CNAME .\n"
		  "good.example CNAME rpz-passthru.\n",
			false, "ads.example *ads.example b.example c.example ", 0 },
		{ "rpz.test. 60 IN SOA localhost. root. 1 2 3 4 5\n*.d.example.rpz.test. CNAME .\n", false,
			"*d.example ", 0 },
		{ "good.example CNAME rpz-passthru.\nads.example CNAME .\n", true, "good.example ", 0 },
		{ "32.1.0.0.10.rpz-ip CNAME .\n", false, "32.1.0.0.10.rpz-ip ", 0 },
	};
	static const size_t pieces[] = { 4096, 1, 7 };
	struct said s;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			struct block_list l = read_in_pieces(rows[i].text, rows[i].allows, pieces[k], &s);
			if (strcmp(s.text, rows[i].said) != 0 || l.skipped != rows[i].skipped)
				fail_msg("row %zu in pieces of %zu: \"%s\", %u skipped", i, pieces[k], s.text,
					(unsigned)l.skipped);
		}
}

static void test_limits(void **state)
{
	static char text[3 * BLOCK_LINE_MAX];
	struct said s;
	(void)state;
	memset(text, 'a', 2 * BLOCK_LINE_MAX);
	strcpy(text + 2 * BLOCK_LINE_MAX, "\nb.example\n");
	for (size_t piece = 1; piece < sizeof(text); piece = piece * 3) {
		struct block_list l = read_in_pieces(text, false, piece, &s);
		assert_string_equal(s.text, "b.example ");
		assert_int_equal(l.skipped, 1);
		assert_int_equal(l.first_skipped, 1);
		assert_int_equal(l.line, 2);
	}
	memset(text, 0, sizeof(text));
	for (int i = 0; i < 63; i++)
		strcat(text, "aaa.");
	strcat(text, "a\n"); /* 253 letters and dots: the longest name */
	(void)read_in_pieces(text, false, 4096, &s);
	assert_int_equal(strlen(s.text), 254);
	text[strlen(text) - 1] = 0;
	strcat(text, "a\n");
	(void)read_in_pieces(text, false, 4096, &s);
	assert_string_equal(s.text, "");
}

static int refuse(void *arg, const struct block_item *i)
{
	(void)arg;
	return i->line == 2 ? ERR_TOO_LARGE : 0;
}

static void test_ends_early(void **state)
{
	struct block_list_ops ops = { refuse, NULL };
	struct block_list l;
	(void)state;
	block_list_begin(&l, false, &ops);
	assert_int_equal(block_list_read(&l, "a.example\nb.example\nc.example\n", 30), ERR_TOO_LARGE);
	assert_int_equal(l.line, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_ends_early) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
