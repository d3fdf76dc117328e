/* Codes as they are drawn on a terminal: each form says the same dots, and a person chooses among them. */
#include "mesh/os/qr.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/cli/test/line.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define API "/localapi/v0/"
#define URL "https://hs.test/register/abcdefghijklmnopqrstuvwx"
#define COLOURS "\033[37;40m"
#define BLACK "\033[0m\n"
enum { QUIET = 2 };

/* Takes what is there; false: something else is. */
static bool take(const char **at, const char *what)
{
	size_t n = strlen(what);
	if (strncmp(*at, what, n) != 0)
		return false;
	*at += n;
	return true;
}

/* What the cell shows that is two dots wide: 1 dark, 0 light, -1 neither. */
static int take_wide(const char **at, const char *light)
{
	return take(at, "  ") ? 1 : take(at, light) ? 0 : -1;
}

static void is_wide(const struct qr *q, const char *text, const char *light, bool coloured)
{
	for (int y = -QUIET; y < qr_width(q) + QUIET; y++) {
		assert_true(!coloured || take(&text, COLOURS));
		for (int x = -QUIET; x < qr_width(q) + QUIET; x++)
			assert_int_equal(take_wide(&text, light), qr_is_dark(q, x, y));
		assert_true(take(&text, coloured ? BLACK : "\n"));
	}
	assert_string_equal(text, "");
}

static void is_small(const struct qr *q, const char *text)
{
	static const char *const cells[] = { "\u2588", "\u2584", "\u2580",
		" " }; /* bit 0: above is dark, bit 1: below */
	for (int y = -QUIET; y < qr_width(q) + QUIET; y += 2) {
		assert_true(take(&text, COLOURS));
		for (int x = -QUIET; x < qr_width(q) + QUIET; x++)
			assert_true(take(&text, cells[qr_is_dark(q, x, y) + 2 * qr_is_dark(q, x, y + 1)]));
		assert_true(take(&text, BLACK));
	}
	assert_string_equal(text, "");
}

static char *drawn(enum qr_format format)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	assert_non_null(f);
	assert_true(qr_print(URL, format, f));
	fclose(f);
	return text;
}

static void test_forms(void **state)
{
	(void)state;
	struct qr *q = qr_make(URL);
	assert_non_null(q);
	assert_in_range(qr_width(q), 21, 177);
	char *ascii = drawn(QR_ASCII), *large = drawn(QR_LARGE), *small = drawn(QR_SMALL);
	is_wide(q, ascii, "##", false);
	is_wide(q, large, "\u2588\u2588", true);
	is_small(q, small);
	free(ascii);
	free(large);
	free(small);
	qr_free(q);
}

/* The first that is set and says something tells whether there are block characters. */
static void test_auto(void **state)
{
	static const struct {
		const char *all, *ctype, *lang;
		bool small;
	} rows[] = { { NULL, NULL, NULL, true }, { "", "", "", true }, { NULL, NULL, "C", false },
		{ NULL, NULL, "de_DE.UTF-8", true }, { NULL, NULL, "de_DE.utf8", true },
		{ NULL, "POSIX", "de_DE.UTF-8", false }, { "en_US.ISO-8859-1", "C.UTF-8", "C.UTF-8", false },
		{ "C.UTF-8", "C", "C", true }, { "", "C.UTF-8", "C", true } };
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	(void)state;
	char *had[3], *small = drawn(QR_SMALL), *ascii = drawn(QR_ASCII);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *v = getenv(names[i]);
		had[i] = v ? strdup(v) : NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *const values[] = { rows[i].all, rows[i].ctype, rows[i].lang };
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			values[k] ? setenv(names[k], values[k], 1) : unsetenv(names[k]);
		char *text = drawn(QR_AUTO);
		if (strcmp(text, rows[i].small ? small : ascii) != 0)
			fail_msg("row %zu", i);
		free(text);
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		had[i] ? setenv(names[i], had[i], 1) : unsetenv(names[i]);
		free(had[i]);
	}
	free(small);
	free(ascii);
}

/* The words of --qr-format, of up and of login. */
static void test_chosen(void **state)
{
	static const struct fake_route routes[] = {
		{ "GET " API "watch-ipn-bus", 200,
			"{\"State\":2,\"BrowseToURL\":\"" URL "\"}\n{\"State\":6}\n", true },
		{ "GET " API "prefs", 200, "{\"ControlURL\":\"http://10.0.0.1\"}", false },
		{ "GET " API "status", 200, "{\"BackendState\":\"NeedsLogin\"}", false },
		{ "POST " API "start", 204, "", false }, { "POST " API "login-interactive", 204, "", false },
		{ 0 }
	};
	static const struct {
		const char *word;
		enum qr_format form;
	} rows[] = { { "ascii", QR_ASCII }, { "large", QR_LARGE }, { "small", QR_SMALL },
		{ "auto", QR_AUTO } };
	static const char *const verbs[] = { "up", "login" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t k = 0; k < ARRAY_LEN(verbs); k++) {
			char line[64], *code = drawn(rows[i].form);
			snprintf(line, sizeof(line), "%s --qr --qr-format=%s", verbs[k], rows[i].word);
			struct want want = { line, CLI_OK, "", code };
			check(routes, &want, 1);
			free(code);
		}
	static const struct want none[] = {
		{ "up --qr --qr-format=png", CLI_USAGE, "", "--qr-format is auto, ascii, large or small" },
		{ "set --qr-format=small", CLI_FAILED, "",
			"ropewalk set has no --qr-format: it is of ropewalk up" },
	};
	check(routes, none, ARRAY_LEN(none));
}

/* The chunk at *at, which is moved behind it: its data, *len bytes of it. */
static const uint8_t *take_chunk(const uint8_t **at, const char *kind, size_t *len)
{
	const uint8_t *p = *at;
	*len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	assert_memory_equal(p + 4, kind, 4);
	*at = p + 12 + *len;
	return p + 8;
}

/* Read as RFC 2083 and 1950 say, it shows the same dots, with four of light around them. */
static void is_picture(const char *text)
{
	static const uint8_t form[] = { 1, 0, 0, 0, 0 };
	enum { DOT = 3, ROUND = 4 };
	size_t len, n;
	struct qr *q = qr_make(text);
	uint8_t *png = qr_png(text, &len);
	assert_non_null(png);
	assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
	const uint8_t *at = png + 8, *head = take_chunk(&at, "IHDR", &n);
	size_t side = (size_t)head[2] << 8 | head[3], row = 1 + (side + 7) / 8;
	assert_int_equal(n, 13);
	assert_int_equal(side, (qr_width(q) + 2 * ROUND) * DOT);
	assert_memory_equal(head, head + 4, 4);
	assert_memory_equal(head + 8, form, sizeof(form));
	const uint8_t *data = take_chunk(&at, "IDAT", &n);
	assert_int_equal(n, 2 + 5 + row * side + 4);
	assert_int_equal((data[0] << 8 | data[1]) % 31, 0);
	assert_int_equal(data[2], 1); /* the last block, stored */
	assert_int_equal(data[3] | data[4] << 8, row * side);
	assert_int_equal(data[5] | data[6] << 8, 0xffff - row * side);
	for (size_t y = 0; y < side; y++)
		for (size_t x = 0; x < side; x++) {
			const uint8_t *line = data + 7 + y * row;
			bool light = line[1 + x / 8] >> (7 - x % 8) & 1;
			assert_int_equal(line[0], 0);
			assert_int_equal(
				!light, qr_is_dark(q, (int)(x / DOT) - ROUND, (int)(y / DOT) - ROUND));
		}
	assert_memory_equal(at, "\0\0\0\0IEND\xae\x42\x60\x82", 12);
	assert_int_equal(at + 12 - png, len);
	free(png);
	qr_free(q);
}

static void test_picture(void **state)
{
	(void)state;
	size_t len;
	char text[2955];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_null(qr_png(text, &len));
	text[sizeof(text) - 2] = '\0'; /* as much as a code can hold */
	is_picture(text);
	is_picture("A");
	is_picture(URL);
	/* the sums of Python's zlib over the same bytes */
	uint8_t *png = qr_png("A", &len);
	assert_non_null(png);
	assert_memory_equal(png + len - 12 - 8, "\xa3\xab\xae\xe0\xf6\x1f\x51\x70", 8);
	free(png);
}

/* Programs that run ropewalk up for somebody show them the picture. */
static void test_up_json(void **state)
{
	static const struct fake_route routes[] = {
		{ "GET " API "watch-ipn-bus", 200,
			"{\"State\":2,\"BrowseToURL\":\"" URL "\"}\n{\"State\":6}\n", true },
		{ "GET " API "prefs", 200, "{\"ControlURL\":\"http://10.0.0.1\"}", false },
		{ "GET " API "status", 200, "{\"BackendState\":\"NeedsLogin\"}", false },
		{ "PATCH " API "prefs", 200, "{}", false }, { "POST " API "start", 204, "", false },
		{ "POST " API "login-interactive", 204, "", false }, { 0 }
	};
	static const char end[] = "\",\"BackendState\":\"NeedsLogin\"}\n{\"BackendState\":\"Running\"}\n";
	(void)state;
	size_t len;
	char want[16384] = "{\"AuthURL\":\"" URL "\",\"QR\":\"data:image/png;base64,";
	uint8_t *png = qr_png(URL, &len);
	assert_true(strlen(want) + (len + 2) / 3 * 4 + sizeof(end) < sizeof(want));
	base64_encode(png, len, want + strlen(want));
	strcat(want, end);
	check(routes, &(struct want) { "up --json", CLI_OK, want, NULL }, 1);
	check(routes, &(struct want) { "login --json", CLI_OK, want, NULL }, 1);
	free(png);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_forms), cmocka_unit_test(test_auto),
		cmocka_unit_test(test_chosen), cmocka_unit_test(test_picture),
		cmocka_unit_test(test_up_json) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
