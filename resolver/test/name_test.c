#include "resolver/name.h"

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define L63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"
#define L61 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1"

static void test_parse(void **state)
{
	static const struct {
		const char *text, *back; /* NULL: not a name */
		size_t len;
	} rows[] = {
		{ "a", "a", 3 },
		{ "a.", "a", 3 },
		{ ".", ".", 1 },
		{ "", NULL, 0 },
		{ "a..b", NULL, 0 },
		{ ".a", NULL, 0 },
		{ "..", NULL, 0 },
		{ "a.b.c", "a.b.c", 7 },
		{ "a\\.b", "a\\.b", 5 },
		{ "a\\046b", "a\\.b", 5 },
		{ "a\\000b", "a\\000b", 5 },
		{ "a\\256", NULL, 0 },
		{ "a\\25", NULL, 0 },
		{ "a\\", NULL, 0 },
		{ "a b", "a\\032b", 5 },
		{ "A.b", "A.b", 5 },
		{ L63, L63, 65 },
		{ L63 "4", NULL, 0 },
		{ L63 "." L63 "." L63 "." L61, L63 "." L63 "." L63 "." L61, 255 },
		{ L63 "." L63 "." L63 "." L61 ".", L63 "." L63 "." L63 "." L61, 255 },
		{ L63 "." L63 "." L63 "." L61 "x", NULL, 0 },
		{ L63 "." L63 "." L63 "." L61 ".x", NULL, 0 },
	};
	char buf[DNS_NAME_TEXT];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name n = { 0 };
		if (dns_name_parse(rows[i].text, &n) != (rows[i].back != NULL))
			fail_msg("row %zu", i);
		if (rows[i].back &&
			(n.len != rows[i].len || strcmp(dns_name_format(&n, buf), rows[i].back) != 0))
			fail_msg("row %zu: %u bytes, %s", i, n.len, buf);
	}
}

static void test_is_domain(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} rows[] = {
		{ ".", true }, { "a.b", true }, { "_sip._tcp.a", true }, { "a b.c", false },
		{ "c.a\\032b", false }, { "a\\009b.c", false }, { "#", false }, { "a.b#53", false },
		{ "aaaaaaaaaa.aaaaaaaaa.b", true },		/* a label's length is no letter of it: 9, */
		{ "aaaaaaaaaabbbbbbbbbbccccccccccdd.b", true }, /* 32, */
		{ "aaaaaaaaaabbbbbbbbbbccccccccccddddd.b", true }, /* 35 */
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name n;
		assert_true(dns_name_parse(rows[i].text, &n));
		if (dns_name_is_domain(&n) != rows[i].is)
			fail_msg("row %zu", i);
	}
}

static void test_expand(void **state)
{
	static const struct {
		const char *id, *msg;
		size_t len, at, next; /* next 0: malformed */
		uint8_t name_len;
	} rows[] = {
		{ "plain", "\1a\1b\0", 5, 0, 5, 5 },
		{ "root", "\0", 1, 0, 1, 1 },
		{ "pointer", "\1a\0\300\0", 5, 3, 5, 3 },
		{ "label and pointer", "\1a\0\1b\300\0", 7, 3, 7, 5 },
		{ "self", "\300\0", 2, 0, 0, 0 },
		{ "into itself", "\1a\300\0", 4, 0, 0, 0 },
		{ "forward", "\300\2\0", 3, 0, 0, 0 },
		{ "two pointers", "\1a\0\300\0\300\3", 7, 5, 7, 3 },
		{ "half a pointer", "\0\300", 2, 1, 0, 0 },
		{ "no end", "\1a", 2, 0, 0, 0 },
		{ "past the end", "\3ab", 3, 0, 0, 0 },
		{ "0x40", "\100a\0", 3, 0, 0, 0 },
		{ "0x80", "\200a\0", 3, 0, 0, 0 },
		{ "nothing", "", 0, 0, 0, 0 },
		{ "at the end", "\0", 1, 1, 0, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name n;
		size_t next = 0;
		bool ok = dns_name_expand((const uint8_t *)rows[i].msg, rows[i].len, rows[i].at, &n, &next);
		if (ok != (rows[i].next != 0) || (ok && (next != rows[i].next || n.len != rows[i].name_len)))
			fail_msg("%s: %d %zu", rows[i].id, ok, next);
	}
}

/* A chain of thousands of pointers costs no more than the longest honest name. */
static void test_hop_budget(void **state)
{
	uint8_t msg[16384] = { 0 };
	struct dns_name n;
	size_t next;
	(void)state;
	for (size_t at = 2; at + 1 < sizeof(msg); at += 2) {
		msg[at] = (uint8_t)(0xc0 | (at - 2) >> 8);
		msg[at + 1] = (uint8_t)(at - 2);
	}
	assert_true(dns_name_expand(msg, sizeof(msg), 2 * 127, &n, &next));
	assert_false(dns_name_expand(msg, sizeof(msg), 2 * 128, &n, &next));
	assert_false(dns_name_expand(msg, sizeof(msg), sizeof(msg) - 2, &n, &next));
}

static void test_within(void **state)
{
	static const struct {
		const char *name, *parent;
		bool within;
	} rows[] = {
		{ "a.b", "b", true },
		{ "a.b", "B", true },
		{ "b", "b", true },
		{ "b", "a.b", false },
		{ "ab", "b", false },
		{ "x.ab", "b", false },
		{ "a.b", ".", true },
		{ ".", ".", true },
		{ ".", "a", false },
		{ "a\\.b", "b", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name n, p;
		assert_true(dns_name_parse(rows[i].name, &n) && dns_name_parse(rows[i].parent, &p));
		if (dns_name_within(&n, &p) != rows[i].within)
			fail_msg("row %zu", i);
	}
}

static void test_reverse(void **state)
{
	struct addr a;
	struct dns_name n;
	char buf[DNS_NAME_TEXT];
	(void)state;
	assert_true(addr_parse("100.64.0.2", &a));
	dns_name_reverse(&a, &n);
	assert_string_equal(dns_name_format(&n, buf), "2.0.64.100.in-addr.arpa");
	assert_true(addr_parse("fd7a:115c:a1e0::53", &a));
	dns_name_reverse(&a, &n);
	assert_string_equal(dns_name_format(&n, buf),
		"3.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa");
}

/* Every byte, at every place of a word and of what is left after the last one. */
static void test_fold(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 19; len++)
		for (unsigned byte = 0; byte < 256; byte++)
			for (size_t at = 0; at < len; at++) {
				uint8_t from[20] = "AZaz@[`{\200\377\301\332Mm\0\77\100\133x", to[20] = { 0 };
				from[at] = (uint8_t)byte;
				dns_fold(to, from, len);
				for (size_t i = 0; i < len; i++)
					assert_int_equal(to[i], dns_lower(from[i]));
				assert_int_equal(to[len], 0);
			}
}

/* Two that are the same but for case, and then a byte at one place, whatever it is. */
static void test_bytes_equal(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 19; len++)
		for (unsigned byte = 0; byte < 256; byte++)
			for (size_t at = 0; at < len; at++) {
				uint8_t a[20] = "AZaz@[`{\200\377\301\332Mm\0\77\100\133x";
				uint8_t b[20] = "azAZ@[`{\200\377\301\332mM\0\77\100\133X";
				if (!dns_bytes_equal(a, b, len))
					fail_msg("%zu bytes", len);
				b[at] = (uint8_t)byte;
				if (dns_bytes_equal(a, b, len) != (dns_lower(a[at]) == dns_lower(b[at])))
					fail_msg("byte %u at %zu of %zu", byte, at, len);
			}
}

/* Labels of every length, up to the end of the longest name and of the message. */
static void test_expand_lengths(void **state)
{
	(void)state;
	for (size_t first = 1; first <= DNS_LABEL_MAX; first++)
		for (size_t step = 1; step <= DNS_LABEL_MAX; step++) {
			struct dns_name n;
			size_t len = 0, next = 0;
			uint8_t whole[DNS_NAME_MAX];
			for (size_t c = first; len + c + 2 <= DNS_NAME_MAX; c = step) {
				whole[len] = (uint8_t)c;
				for (size_t i = 1; i <= c; i++)
					whole[len + i] = (uint8_t)(len + i * 7);
				len += c + 1;
			}
			whole[len++] = 0;
			uint8_t *msg = test_malloc(len); /* its end is watched */
			memcpy(msg, whole, len);
			assert_true(dns_name_expand(msg, len, 0, &n, &next));
			assert_int_equal(next, len);
			assert_int_equal(n.len, len);
			assert_memory_equal(n.b, whole, len);
			assert_false(dns_name_expand(msg, len - 1, 0, &n, &next));
			test_free(msg);
		}
}

/* As reading it whole and comparing says, wherever it begins. */
static void test_is_at(void **state)
{
	static const uint8_t msg[] = "\1a\3com\0\300\0\1b\300\2\300\12\300\377\1A\3COM\0\300\24\2xy";
	static const char *const names[] = { "a.com", "com", "b.com", "a", ".", "xy", "A.COM", "b.a.com" };
	size_t len = sizeof(msg) - 1, same = 0;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (size_t at = 0; at < len; at++) {
			struct dns_name n, whole;
			size_t next;
			assert_true(dns_name_parse(names[i], &n));
			bool is = dns_name_expand(msg, len, at, &whole, &next) && dns_name_equal(&whole, &n);
			same += is;
			if (dns_name_is_at(msg, len, at, &n) != is)
				fail_msg("%s at %zu", names[i], at);
		}
	assert_true(same > 10);
}

static void test_letters(void **state)
{
	(void)state;
	for (size_t len = 1; len <= 80; len++)
		for (unsigned byte = 0; byte < 256; byte++) {
			struct dns_name n = { .len = (uint8_t)len };
			unsigned letters = 0;
			for (size_t i = 0; i < len; i++) {
				n.b[i] = i % 3 ? (uint8_t)byte : (uint8_t)(byte ^ i);
				letters += dns_lower(n.b[i]) >= 'a' && dns_lower(n.b[i]) <= 'z';
			}
			uint64_t all = letters < 64 ? (UINT64_C(1) << letters) - 1 : UINT64_MAX;
			if (dns_name_letters(&n) != all)
				fail_msg("byte %u in %zu: not %u letters", byte, len, letters);
		}
}

static void test_copy(void **state)
{
	(void)state;
	for (size_t len = 1; len <= DNS_NAME_MAX; len++) {
		struct dns_name from = { .len = (uint8_t)len }, to = { 0 };
		memset(from.b, 'x', sizeof(from.b));
		dns_name_copy(&to, &from);
		assert_int_equal(to.len, len);
		assert_memory_equal(to.b, from.b, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_is_domain),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_hop_budget),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_bytes_equal),
		cmocka_unit_test(test_expand_lengths),
		cmocka_unit_test(test_is_at),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_reverse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
