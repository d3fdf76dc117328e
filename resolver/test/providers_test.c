#include "resolver/providers.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Where a name is. */
static void test_addresses(void **state)
{
	static const struct {
		const char *url, *at[PROVIDER_ADDRESSES];
	} rows[] = {
		{ "https://dns.quad9.net/dns-query",
			{ "9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9" } },
		{ "tls://dns.quad9.net", { "9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9" } },
		{ "https://freedns.controld.com/p2",
			{ "76.76.2.2", "76.76.10.2", "2606:1a40::2", "2606:1a40:1::2" } },
		{ "tls://freedns.controld.com", { NULL } },
		{ "https://freedns.controld.com/px", { NULL } },
		{ "https://dns.nextdns.io/c3a884",
			{ "45.90.28.0", "45.90.30.0", "2a07:a8c0::c3:a884", "2a07:a8c1::c3:a884" } },
		{ "https://dns.nextdns.io/c3a884/phone?x",
			{ "45.90.28.0", "45.90.30.0", "2a07:a8c0::c3:a884", "2a07:a8c1::c3:a884" } },
		{ "https://dns.nextdns.io/c3a88", { "45.90.28.0", "45.90.30.0" } },
		{ "https://dns.nextdns.io/", { "45.90.28.0", "45.90.30.0" } },
		{ "https://dns.nextdns.io/0102030405060708090a0b0c0d", { "45.90.28.0", "45.90.30.0" } },
		{ "https://dns.controld.com/hyq3ipr2ct",
			{ "76.76.2.22", "76.76.10.22", "2606:1a40:0:6:7b5b:5949:35ad:0",
				"2606:1a40:1:6:7b5b:5949:35ad:0" } },
		{ "https://dns.controld.com/-1", { "76.76.2.22", "76.76.10.22" } },
		{ "https://dns.controld.com/zzzzzzzzzzzzz", { "76.76.2.22", "76.76.10.22" } },
		{ "https://dns.example/dns-query", { NULL } },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_secure s;
		struct endpoint at;
		struct addr got[PROVIDER_ADDRESSES], want;
		assert_true(dns_secure_parse(rows[i].url, &s, &at));
		size_t n = provider_addresses(&s, got), k = 0;
		for (; k < PROVIDER_ADDRESSES && rows[i].at[k]; k++) {
			assert_true(k < n && addr_parse(rows[i].at[k], &want));
			if (!addr_equal(&want, &got[k]))
				fail_msg("%s: address %zu is not %s", rows[i].url, k, rows[i].at[k]);
		}
		assert_int_equal(n, k);
	}
}

/* Who is at an address, and back. */
static void test_of(void **state)
{
	static const struct {
		const char *ip, *url;
		bool alone;
	} rows[] = {
		{ "1.1.1.1", "https://cloudflare-dns.com/dns-query", false },
		{ "8.8.4.4", "https://dns.google/dns-query", false },
		{ "2620:fe::fe:11", "https://dns11.quad9.net/dns-query", false },
		{ "185.71.138.138", "https://wikimedia-dns.org/dns-query", true },
		{ "76.76.10.4", "https://freedns.controld.com/family", false },
		{ "2606:1a40::1", "https://freedns.controld.com/p1", false },
		{ "2a07:a8c0::c3:a884", "https://dns.nextdns.io/c3a884", true },
		{ "2a07:a8c1::12", "https://dns.nextdns.io/12", true },
		{ "2606:1a40:0:6:7b5b:5949:35ad:0", "https://dns.controld.com/hyq3ipr2ct", true },
		{ "192.0.2.1", NULL, false },
		{ "2a07:a8c0::", NULL, false },
		{ "2a07:a8c0:8000::1", NULL, false },
		{ "2606:1a40::99", NULL, false },
		{ "9.9.9.12", NULL, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[DNS_SECURE_TEXT];
		struct dns_secure s;
		struct endpoint at = { .port = DNS_HTTPS_PORT };
		bool alone;
		assert_true(addr_parse(rows[i].ip, &at.ip));
		bool known = provider_of(&at.ip, &s, &alone);
		assert_int_equal(known, rows[i].url != NULL);
		if (!known)
			continue;
		assert_string_equal(dns_secure_format(&s, &at, text), rows[i].url);
		assert_int_equal(alone, rows[i].alone);
		struct addr back[PROVIDER_ADDRESSES];
		size_t n = provider_addresses(&s, back), k = 0;
		while (k < n && !addr_equal(&back[k], &at.ip))
			k++;
		assert_true(k < n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_addresses), cmocka_unit_test(test_of) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
