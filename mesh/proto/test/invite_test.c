#include "mesh/proto/invite.h"
#include "mesh/base/blake2s.h"
#include "mesh/proto/test/vectors.h"
#include <stdio.h>

/* Every field; made once and read since, so that what is printed today can be read by later programs. */
static const struct invite full = {
	.server = "https://mesh.example.com:8443",
	.key = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
		26, 27, 28, 29, 30, 31, 32 } },
	.auth_key = "hskey-auth-AAAA-BBBB",
	.name = "web",
	.tags = "tag:a,tag:b",
};
#define FULL_BLOB \
	"AQEgAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyACFGhza2V5LWF1dGgtQUFBQS1CQkJCAwN3ZWIEC3RhZzphLHRhZz" \
	"pi"
#define FULL_LINE "ropewalk+https://" FULL_BLOB "SC_9XQ@mesh.example.com:8443"

static void same(const struct invite *a, const struct invite *b)
{
	assert_string_equal(a->server, b->server);
	assert_memory_equal(a->key.b, b->key.b, KEY_LEN);
	assert_string_equal(a->auth_key, b->auth_key);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->tags, b->tags);
}

static void write_line(const struct invite *v, char out[static INVITE_LINE_MAX])
{
	struct buf b = { 0 };
	assert_true(invite_write(v, &b));
	assert_true(b.len < INVITE_LINE_MAX);
	snprintf(out, INVITE_LINE_MAX, "%s", buf_cstr(&b));
	buf_free(&b);
}

static void test_golden(void **state)
{
	(void)state;
	struct invite got;
	struct errbuf eb = { 0 };
	char line[INVITE_LINE_MAX];
	write_line(&full, line);
	assert_string_equal(line, FULL_LINE);
	if (invite_read(line, strlen(line), &got, &eb))
		fail_msg("%s", eb.text);
	same(&got, &full);
}

static void test_servers(void **state)
{
	(void)state;
	static const char *const servers[] = { "http://192.0.2.1:8080", "https://[fd00::1]:8443/mesh",
		"https://hq", "http://a/b/c" };
	static const char *const none[] = { "", "mesh.example.com", "ftp://hq", "https://", "https://:443",
		"https:///x", "https://a@b", "https://a b", "https://a\"b", "https://a#b", "https://a?b",
		"https://a\033b", "https://a;b" };
	struct invite v = full, got;
	char line[INVITE_LINE_MAX];
	struct buf b = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		snprintf(v.server, sizeof(v.server), "%s", servers[i]);
		write_line(&v, line);
		assert_int_equal(invite_read(line, strlen(line), &got, NULL), 0);
		same(&got, &v);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		snprintf(v.server, sizeof(v.server), "%s", none[i]);
		if (invite_write(&v, &b))
			fail_msg("row %zu: an invitation to \"%s\"", i, none[i]);
	}
	buf_free(&b);
}

/* Mail wraps it, a terminal breaks it, and a paste brings ends of lines with it. */
static void test_wrapped(void **state)
{
	(void)state;
	struct invite got;
	char wrapped[2 * sizeof(FULL_LINE) + 8] = " \t";
	size_t n = 2;
	for (size_t i = 0; i < sizeof(FULL_LINE) - 1; i++) {
		wrapped[n++] = FULL_LINE[i];
		if (i % 20 == 19)
			wrapped[n++] = "\n \r\t"[i / 20 % 4];
	}
	wrapped[n++] = '\n';
	assert_int_equal(invite_read(wrapped, n, &got, NULL), 0);
	same(&got, &full);
}

/* Cut anywhere, or one letter another: it is never taken for good. */
static void test_damaged(void **state)
{
	(void)state;
	char line[] = FULL_LINE;
	struct invite got = { .name = "untouched" };
	struct errbuf eb;
	for (size_t n = 0; n < sizeof(line) - 1; n++) {
		eb.text[0] = 0;
		if (!invite_read(line, n, &got, &eb) || !eb.text[0])
			fail_msg("the first %zu letters were taken", n);
	}
	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		char was = line[i];
		line[i] = was == 'x' ? 'y' : 'x';
		if (!invite_read(line, sizeof(line) - 1, &got, NULL))
			fail_msg("letter %zu was changed, and nobody noticed", i);
		line[i] = was;
	}
	assert_string_equal(got.name, "untouched");
}

/* A line of these bytes, with a check that fits. */
static size_t line_of(const uint8_t *bytes, size_t len, char *out, size_t cap)
{
	static const char server[] = "https://hq";
	uint8_t all[600], hash[32];
	char text[900];
	memcpy(all, bytes, len);
	const struct noise_part parts[] = { { server, sizeof(server) }, { bytes, len } };
	blake2s_hash(parts, 2, hash);
	memcpy(all + len, hash, 4);
	return (size_t)snprintf(out, cap, "ropewalk+https://%s@hq", base64url_encode(all, len + 4, text));
}

#define KEY \
	"0120" \
	"1111111111111111111111111111111111111111111111111111111111111111"
#define AUTH "020161"
static void test_fields(void **state)
{
	(void)state;
	static const struct {
		const char *hex, *why; /* NULL: it is good */
	} rows[] = {
		{ "01" KEY AUTH, NULL },
		{ "01" KEY AUTH "030162"
		  "04057461673a61",
			NULL },
		{ "01" KEY AUTH "8003010203"
		  "ff00",
			NULL },
		{ "01" KEY AUTH "050100", "update it" },
		{ "01" KEY AUTH "7f00", "update it" },
		{ "02" KEY AUTH, "format 2" },
		{ "00", "format 0" },
		{ "01", "lacks" },
		{ "01" KEY, "lacks" },
		{ "01" AUTH, "lacks" },
		{ "01" AUTH KEY, "not made by a server" },
		{ "01" KEY KEY AUTH, "not made by a server" },
		{ "01" KEY AUTH AUTH, "not made by a server" },
		{ "01" KEY AUTH "00", "not made by a server" },
		{ "01" KEY AUTH "0000", "not made by a server" },
		{ "01" KEY AUTH "03", "not made by a server" },
		{ "01" KEY AUTH "030561", "not made by a server" },
		{ "01"
		  "011f"
		  "11111111111111111111111111111111111111111111111111111111111111" AUTH,
			"field 1 of the invitation" },
		{ "01"
		  "0120"
		  "0000000000000000000000000000000000000000000000000000000000000000" AUTH,
			"lacks" },
		{ "01" KEY "0200", "field 2 of" },
		{ "01" KEY "02026100", "field 2 of" },
		{ "01" KEY "020120", "could not be" },
		{ "01" KEY "02011b", "could not be" },
		{ "01" KEY "0201ff", "could not be" },
		{ "01" KEY AUTH "030127", "could not be" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t bytes[512];
		char line[1200];
		struct invite got;
		struct errbuf eb = { 0 };
		size_t n = line_of(bytes, unhex(rows[i].hex, bytes, sizeof(bytes)), line, sizeof(line));
		int err = invite_read(line, n, &got, &eb);
		if (rows[i].why ? !err || !strstr(eb.text, rows[i].why) : err)
			fail_msg("row %zu: %d \"%s\"", i, err, eb.text);
	}
}

static void test_other_words(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "there is no invitation" },
		{ " \n", "there is no invitation" },
		{ "hello", "begins with ropewalk+https://" },
		{ "ropewalk+ftp://x@hq", "begins with ropewalk+https://" },
		{ "https://mesh.example.com", "--login-server" },
		{ "hskey-auth-AAAA-BBBB", "--auth-key" },
		{ "tskey-auth-AAAA", "--auth-key" },
		{ "ropewalk+https://" FULL_BLOB, "was cut" },
		{ "ropewalk+https://" FULL_BLOB "@", "no server" },
		{ "ropewalk+https://" FULL_BLOB "@:8443", "no server" },
		{ "ropewalk+https://@hq", "too short" },
		{ "ropewalk+https://AQ@hq", "too short" },
		{ "ropewalk+https://A@hq", "damaged" },
		{ "ropewalk+https://A!AA@hq", "damaged" },
		{ "ropewalk+https://" FULL_BLOB "SC_9XQ@other.example.com", "damaged" },
		{ "ropewalk+http://" FULL_BLOB "SC_9XQ@mesh.example.com:8443", "damaged" },
	};
	char big[INVITE_LINE_MAX + 8];
	struct invite got;
	struct errbuf eb;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		eb.text[0] = 0;
		if (!invite_read(rows[i].text, strlen(rows[i].text), &got, &eb) ||
			!strstr(eb.text, rows[i].why))
			fail_msg("row %zu: \"%s\"", i, eb.text);
	}
	memset(big, 'a', sizeof(big));
	assert_int_not_equal(invite_read(big, sizeof(big), &got, &eb), 0);
	assert_non_null(strstr(eb.text, "too long"));
	assert_int_not_equal(invite_read("ropewalk\0", 9, &got, &eb), 0);
}

/* What would not come back the same is not written. */
static void test_refused(void **state)
{
	(void)state;
	struct invite v = full;
	struct buf b = { 0 };
	v.auth_key[0] = 0;
	assert_false(invite_write(&v, &b));
	v = full;
	v.name[1] = '\n';
	assert_false(invite_write(&v, &b));
	v = full;
	memset(v.key.b, 0, KEY_LEN);
	assert_false(invite_write(&v, &b));
	v = full;
	memset(v.server + 8, 'a', sizeof(v.server) - 9);
	memset(v.auth_key, 'a', sizeof(v.auth_key) - 1);
	memset(v.tags, 'a', sizeof(v.tags) - 1);
	assert_true(invite_write(&v, &b));
	struct invite got;
	assert_int_equal(invite_read(buf_cstr(&b), b.len, &got, NULL), 0);
	same(&got, &v);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_wrapped),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_other_words),
		cmocka_unit_test(test_refused),
	};
	return key_setup() && blake2s_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
