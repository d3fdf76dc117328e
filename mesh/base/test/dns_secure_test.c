#include "mesh/base/dns_secure.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_right(void **state)
{
	(void)state;
	static const struct {
		const char *text, *at, *name, *path,
			*back; /* at: "" = none, with the port of port; back: NULL = text */
		uint16_t port;
	} rows[] = {
		{ "tls://9.9.9.9#dns.quad9.net", "9.9.9.9", "dns.quad9.net", "", NULL, 853 },
		{ "tls://9.9.9.9", "9.9.9.9", "", "", NULL, 853 },
		{ "tls://9.9.9.9:8853#DNS.Quad9.net.", "9.9.9.9", "dns.quad9.net", "",
			"tls://9.9.9.9:8853#dns.quad9.net", 8853 },
		{ "tls://[2620:fe::fe]:853#dns.quad9.net", "2620:fe::fe", "dns.quad9.net", "",
			"tls://[2620:fe::fe]#dns.quad9.net", 853 },
		{ "tls://2620:fe::fe", "2620:fe::fe", "", "", "tls://[2620:fe::fe]", 853 },
		{ "tls://dns.example", "", "dns.example", "", NULL, 853 },
		{ "tls://dns.example:443", "", "dns.example", "", NULL, 443 },
		{ "https://dns.example/dns-query", "", "dns.example", "/dns-query", NULL, 443 },
		{ "https://dns.example:8443/q/a?b=c", "", "dns.example", "/q/a?b=c", NULL, 8443 },
		{ "https://dns.example/dns-query{?dns}", "", "dns.example", "/dns-query",
			"https://dns.example/dns-query", 443 },
		{ "https://1.1.1.1/dns-query", "1.1.1.1", "", "/dns-query", NULL, 443 },
		{ "https://[2606:4700::1111]/", "2606:4700::1111", "", "/", NULL, 443 },
		{ "https://[2606:4700::1111]:444/", "2606:4700::1111", "", "/", NULL, 444 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_secure s;
		struct endpoint at;
		struct addr ip = { 0 };
		char text[DNS_SECURE_TEXT];
		assert_true(dns_secure_parse(rows[i].text, &s, &at));
		assert_true(!rows[i].at[0] || addr_parse(rows[i].at, &ip));
		assert_true(rows[i].at[0] ? addr_equal(&ip, &at.ip) : addr_is_unspecified(&at.ip));
		assert_int_equal(at.port, rows[i].port);
		assert_string_equal(s.name, rows[i].name);
		assert_string_equal(s.path, rows[i].path);
		assert_int_equal(s.by, rows[i].path[0] ? DNS_SECURE_HTTPS : DNS_SECURE_TLS);
		assert_string_equal(
			dns_secure_format(&s, &at, text), rows[i].back ? rows[i].back : rows[i].text);
	}
}

static void test_wrong(void **state)
{
	(void)state;
	static const char *const rows[] = { "", "9.9.9.9", "dns.example", "tls://", "https://",
		"https:///dns-query", "http://dns.example/dns-query", "TLS://9.9.9.9", "tls://9.9.9.9:0",
		"tls://9.9.9.9:70000", "tls://9.9.9.9:", "tls://9.9.9.9#", "tls://9.9.9.9#a b",
		"tls://9.9.9.9#a..b", "tls://9.9.9.9#.a", "tls://9.9.9.9#9.9.9.10",
		"tls://dns.example#other.example", "tls://0.0.0.0", "tls://[::]", "tls://9.9.9",
		"tls://[dns.example]", "tls://dns.example:53x", "https://dns.example",
		"https://dns.example#x/", "https://user@dns.example/", "https://dns.example/a b",
		"https://dns.example/a#b", "https://dns.example/\r\nx", "https://dns.example/{?dns}x\x80",
		"tls://1234567890123456789012345678901234567890123456789012345678901234.example" };
	struct dns_secure s, before;
	struct endpoint at = { .port = 7 };
	memset(&s, 0x5a, sizeof(s));
	before = s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_false(dns_secure_parse(rows[i], &s, &at));
		assert_memory_equal(&s, &before, sizeof(s));
		assert_int_equal(at.port, 7);
	}
}

static void test_long(void **state)
{
	(void)state;
	struct dns_secure s;
	struct endpoint at;
	char text[700] = "https://d.example/", name[400] = "tls://", back[DNS_SECURE_TEXT];
	memset(text + 18, 'p', DNS_SECURE_PATH - 2);
	assert_true(dns_secure_parse(text, &s, &at));
	assert_string_equal(dns_secure_format(&s, &at, back), text);
	text[18 + DNS_SECURE_PATH - 2] = 'p';
	assert_false(dns_secure_parse(text, &s, &at));
	while (strlen(name) < 6 + 252)
		strcat(name, "a.");
	strcat(name, "b");
	assert_true(dns_secure_parse(name, &s, &at));
	assert_string_equal(dns_secure_format(&s, &at, back), name);
	strcat(name, "b");
	assert_false(dns_secure_parse(name, &s, &at));
}

static void test_pins(void **state)
{
	(void)state;
	uint8_t pin[32] = { 7 };
	const uint8_t zero[32] = { 0 };
	assert_true(dns_secure_pin_parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", pin));
	assert_memory_equal(pin, zero, 32);
	assert_true(dns_secure_pin_parse("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", pin));
	assert_false(dns_secure_pin_parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", pin));
	assert_false(dns_secure_pin_parse("AAAA", pin));
	assert_false(dns_secure_pin_parse("sha1/AAAAAAAAAAAAAAAAAAAAAAAAAAA=", pin));
	assert_false(dns_secure_pin_parse("", pin));
}

static void test_equal(void **state)
{
	(void)state;
	struct dns_secure a, b;
	struct endpoint at;
	assert_true(dns_secure_parse("tls://9.9.9.9#dns.quad9.net", &a, &at));
	b = a;
	assert_true(dns_secure_equal(&a, &b) && dns_secure_equal(NULL, NULL));
	assert_false(dns_secure_equal(&a, NULL) || dns_secure_equal(NULL, &a));
	b.n_pins = 1;
	assert_false(dns_secure_equal(&a, &b));
	a.n_pins = 1;
	b.pins[0][3] = 1;
	assert_false(dns_secure_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_right), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_long), cmocka_unit_test(test_pins), cmocka_unit_test(test_equal) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
