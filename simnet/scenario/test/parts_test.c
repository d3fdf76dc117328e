#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/addr.h"
#include "simnet/scenario/dnsmsg.h"
#include "simnet/scenario/jsonpath.h"
#include "simnet/scenario/template.h"
#include <stdio.h>
#include <string.h>

/* ---- templates */

static int lookup(void *owner, const char *key, struct buf *out, struct errbuf *eb)
{
	(void)owner;
	if (!strcmp(key, "later"))
		return TEMPLATE_WAIT;
	if (!strcmp(key, "who"))
		return buf_append(out, "bob", 3) ? 0 : ERR_TOO_LARGE;
	if (!strcmp(key, "bob.ip"))
		return buf_append(out, "1.2.3.4", 7) ? 0 : ERR_TOO_LARGE;
	return err_say(eb, ERR_MALFORMED, "no '%s'", key);
}

static void test_template(void **state)
{
	static const struct {
		const char *text, *want;
		int err;
	} rows[] = {
		{ "", "", 0 },
		{ "plain", "plain", 0 },
		{ "{who}", "bob", 0 },
		{ "a {who}, {bob.ip}!", "a bob, 1.2.3.4!", 0 },
		{ "{{who}.ip}", "1.2.3.4", 0 },
		{ "{\"json\": {\"a\": 1}}", "{\"json\": {\"a\": 1}}", 0 },
		{ "{ {who} }", "{ bob }", 0 },
		{ "{}", "{}", 0 },
		{ "{who", "{who", 0 },
		{ "{who x}", "{who x}", 0 },
		{ "{1}", "{1}", 0 },
		{ "{{{", "{{{", 0 },
		{ "%{nobody} ${x_1}", "%{nobody} ${x_1}", 0 },
		{ "${bob.ip} ${{who}.ip}", "$1.2.3.4 $1.2.3.4", 0 },
		{ "%%{bob.ip} %{who", "%%1.2.3.4 %{who", 0 },
		{ "{nobody}", NULL, ERR_MALFORMED },
		{ "{who} {later}", NULL, TEMPLATE_WAIT },
	};
	const struct template_values v = { .lookup = lookup };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = { 0 };
		struct errbuf eb;
		int err = template_expand(rows[i].text, &v, &out, &eb);
		if (err != rows[i].err || (!err && strcmp(buf_cstr(&out), rows[i].want)))
			fail_msg("row %zu: %d '%s'", i, err, buf_cstr(&out));
		buf_free(&out);
	}
}

/* ---- JSON paths */

static void test_jsonpath(void **state)
{
	static const char text[] = "{\"Peer\": {\"nodekey:1\": {\"HostName\": \"bob\", \"CurAddr\": "
				   "\"1.2.3.4:5\", \"Online\": true},"
				   " \"nodekey:2\": {\"HostName\": \"carol\", \"CurAddr\": \"\", \"n\": 7}},"
				   " \"List\": [\"a\", {\"b\": \"c\"}], \"Null\": null}";
	static const struct {
		const char *path, *want;
		int n;
	} rows[] = {
		{ "Peer.*[HostName=bob].CurAddr", "1.2.3.4:5\n", 1 },
		{ "Peer.*[HostName=carol].CurAddr", "", 0 },
		{ "Peer.*[HostName=nobody].CurAddr", "", 0 },
		{ "Peer.*[Online=true].HostName", "bob\n", 1 },
		{ "Peer.*.HostName", "bob\ncarol\n", 2 },
		{ "Peer.nodekey:2.n", "7\n", 1 },
		{ "List[0]", "a\n", 1 },
		{ "List[1].b", "c\n", 1 },
		{ "List[2]", "", 0 },
		{ "List[1]", "{\"b\":\"c\"}\n", 1 },
		{ "Null", "", 0 },
		{ "None.x", "", 0 },
		{ "List[", "", ERR_MALFORMED },
		{ "List[x]", "", ERR_MALFORMED },
		{ "Peer..x", "", ERR_MALFORMED },
		{ ".Peer", "", ERR_MALFORMED },
	};
	json_t *root = json_loads(text, 0, NULL);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = { 0 };
		struct errbuf eb;
		int n = jsonpath_select(root, rows[i].path, &out, &eb);
		if (n != rows[i].n || (n >= 0 && strcmp(buf_cstr(&out), rows[i].want)))
			fail_msg("row %zu: %d '%s'", i, n, buf_cstr(&out));
		if (jsonpath_good(rows[i].path) != (n >= 0))
			fail_msg("row %zu: jsonpath_good disagrees", i);
		buf_free(&out);
	}
	assert_false(jsonpath_good(""));
	assert_false(jsonpath_good("a."));
	assert_false(jsonpath_good("a[1x]"));
	json_decref(root);
}

/* ---- DNS */

static void test_dns_query(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		const char *bytes;
		size_t len;
	} rows[] = {
		{ "a.bc", 1, "\0\x07\x01\0\0\1\0\0\0\0\0\1\1a\2bc\0\0\1\0\1\0\0\x29\x04\xd0\0\0\0\0\0\0",
			33 },
		{ "192.0.2.7", 12,
			"\0\x07\x01\0\0\1\0\0\0\0\0\1\1"
			"7\1"
			"2\1"
			"0\3"
			"192\7in-addr\4arpa\0\0\x0c\0\1\0\0\x29\x04\xd0\0\0\0\0\0\0",
			51 },
		{ "a..b", 1, NULL, 0 },
	};
	uint8_t out[512];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = dnsmsg_write_query(out, sizeof(out), 7, rows[i].name, rows[i].type);
		if (n != rows[i].len || (n && memcmp(out, rows[i].bytes, n)))
			fail_msg("row %zu: %zu bytes", i, n);
	}
	assert_int_equal(dnsmsg_write_query(out, 20, 7, "a.bc", 1), 0);
}

#define ANSWER(rcode, n) "\0\7\x81" rcode "\0\1\0" n "\0\0\0\0\1a\2bc\0\0\1\0\1"

static void test_dns_reply(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool good;
		const char *word, *values;
	} rows[] = {
		{ ANSWER("\x80", "\1") "\xc0\x0c\0\1\0\1\0\0\0\5\0\4\xc0\0\2\7", 38, true, "",
			"192.0.2.7\n" },
		{ ANSWER("\x80", "\0"), 22, true, "NODATA", "" },
		{ ANSWER("\x83", "\0"), 22, true, "NXDOMAIN", "" },
		{ ANSWER("\x82", "\0"), 22, true, "SERVFAIL", "" },
		{ ANSWER("\x85", "\0"), 22, true, "REFUSED", "" },
		{ ANSWER("\x80", "\1") "\xc0\x0c\0\5\0\1\0\0\0\5\0\2\xc0\x0c", 36, true, "NODATA", "" },
		{ ANSWER("\x80", "\1") "\xc0\x0c\0\1\0\1\0\0\0\5\0\4\xc0\0\2", 37, false, "", "" },
		{ ANSWER("\x80", "\1") "\xc0\x16\0\1\0\1\0\0\0\5\0\4\xc0\0\2\7", 38, false, "", "" },
		{ ANSWER("\x80", "\1") "\xc0\x0c\0\1\0\1\0\0\0\5\0\3\xc0\0\2", 37, false, "", "" },
		{ "\0\7\1\0\0\1\0\0\0\0\0\0", 12, false, "", "" },
		{ "\0\7", 2, false, "", "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dnsmsg_reply r = { 0 };
		struct buf values = { 0 };
		bool good = dnsmsg_read_reply((const uint8_t *)rows[i].bytes, rows[i].len, 1, &r, &values);
		if (good != rows[i].good || (good && (strcmp(dnsmsg_rcode_word(&r), rows[i].word) ||
							     strcmp(buf_cstr(&values), rows[i].values))))
			fail_msg("row %zu: %d %s '%s'", i, good, dnsmsg_rcode_word(&r), buf_cstr(&values));
		if (good && r.id != 7)
			fail_msg("row %zu: id %u", i, r.id);
		buf_free(&values);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_template),
		cmocka_unit_test(test_jsonpath),
		cmocka_unit_test(test_dns_query),
		cmocka_unit_test(test_dns_reply),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
