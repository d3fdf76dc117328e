#include "mesh/node/name_servers.h"

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { SERVERS_MAX = 10 };

static void odd(void *arg, const char *server, const char *why)
{
	buf_printf(arg, "%s: %s\n", server, why);
}

/* What is asked, in order, "," between; ! before what is of the mesh. */
static const char *read_list(struct buf *out, const struct ctl_resolver *r, size_t n, struct buf *said)
{
	struct resolver_upstream u[RESOLVER_UPSTREAMS_MAX];
	struct arena a = { 0 };
	char text[DNS_SECURE_TEXT], ip[ENDPOINT_TEXT];
	n = name_servers_read(&a, r, n, u, &(struct name_servers_odd) { odd, said });
	assert_true(n <= RESOLVER_UPSTREAMS_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(u[i].trusted, u[i].site);
		buf_printf(out, "%s%s%s%s%s", i ? ", " : "", u[i].site ? "!" : "",
			u[i].secure ? dns_secure_format(u[i].secure, &u[i].at, text) : "",
			u[i].secure ? " " : "", endpoint_format(&u[i].at, ip));
	}
	arena_free(&a);
	return buf_cstr(out);
}

static void test_lists(void **state)
{
#define QUAD9 "https://dns.quad9.net/dns-query "
	static const struct {
		const char *servers[SERVERS_MAX + 1], *want, *said; /* said: NULL = nothing */
	} rows[] = {
		{ { "192.0.2.1", "192.0.2.2:5353", "100.64.0.9" },
			"192.0.2.1:53, 192.0.2.2:5353, !100.64.0.9:53", NULL },
		{ { "tls://192.0.2.1#dns.test", "tls://100.64.0.9" },
			"tls://192.0.2.1#dns.test 192.0.2.1:853, !tls://100.64.0.9 100.64.0.9:853", NULL },
		{ { "9.9.9.9" }, QUAD9 "9.9.9.9:443, 9.9.9.9:53", NULL },
		{ { "9.9.9.9:5353" }, "9.9.9.9:5353", NULL },
		{ { "9.9.9.9", "149.112.112.112" },
			QUAD9 "9.9.9.9:443, " QUAD9 "149.112.112.112:443, 9.9.9.9:53, 149.112.112.112:53",
			NULL },
		{ { "100.64.0.9", "9.9.9.9", "192.0.2.1" },
			"!100.64.0.9:53, " QUAD9 "9.9.9.9:443, 9.9.9.9:53, 192.0.2.1:53", NULL },
		{ { "8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844", "9.9.9.9" },
			"https://dns.google/dns-query 8.8.8.8:443, https://dns.google/dns-query 8.8.4.4:443, "
			"https://dns.google/dns-query [2001:4860:4860::8888]:443, 8.8.8.8:53, 8.8.4.4:53, "
			"[2001:4860:4860::8888]:53, [2001:4860:4860::8844]:53, 9.9.9.9:53",
			NULL },
		{ { "185.71.138.138" }, "https://wikimedia-dns.org/dns-query 185.71.138.138:443", NULL },
		{ { "https://dns.nextdns.io/c3a884" },
			"https://dns.nextdns.io/c3a884 45.90.28.0:443, https://dns.nextdns.io/c3a884 "
			"45.90.30.0:443, "
			"https://dns.nextdns.io/c3a884 [2a07:a8c0::c3:a884]:443, "
			"https://dns.nextdns.io/c3a884 "
			"[2a07:a8c1::c3:a884]:443",
			NULL },
		{ { "https://192.0.2.1/q" }, "https://192.0.2.1/q 192.0.2.1:443", NULL },
		{ { "https://dns.example/dns-query", "192.0.2.1" }, "192.0.2.1:53",
			"https://dns.example/dns-query: it has a name" },
		{ { "ftp://dns.example" }, "", "ftp://dns.example: it is no address" },
		{ { "100.100.100.100" }, "", "own resolver" },
		{ { "tls://100.100.100.100" }, "", "own resolver" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ctl_resolver r[SERVERS_MAX] = { 0 };
		struct buf out = { 0 }, said = { 0 };
		size_t n = 0;
		for (; rows[i].servers[n]; n++)
			r[n].addr = rows[i].servers[n];
		assert_string_equal(read_list(&out, r, n, &said), rows[i].want);
		if (!said.len != !rows[i].said || (said.len && !strstr(buf_cstr(&said), rows[i].said)))
			fail_msg("row %zu: said %s", i, said.len ? buf_cstr(&said) : "nothing");
		buf_free(&out);
		buf_free(&said);
	}
}

static void test_bootstrap(void **state)
{
	const char *addresses[] = { "192.0.2.1", "nonsense", "2001:db8::1" };
	struct ctl_resolver r = { .addr = "https://dns.example/q", .bootstrap = { addresses, 3 } };
	struct buf out = { 0 }, said = { 0 };
	struct addr ip, other;
	(void)state;
	assert_string_equal(read_list(&out, &r, 1, &said),
		"https://dns.example/q 192.0.2.1:443, https://dns.example/q [2001:db8::1]:443");
	assert_int_equal(said.len, 0);
	assert_true(addr_parse("2001:db8::1", &ip) && addr_parse("192.0.2.2", &other));
	assert_true(name_servers_have(&r, 1, &ip));
	assert_false(name_servers_have(&r, 1, &other));
	buf_free(&out);
}

/* For all names, for those that nobody else is asked for, for some: each is one that the network names. */
static void test_named(void **state)
{
	struct ctl_resolver all = { .addr = "192.0.2.1" }, rest = { .addr = "tls://192.0.2.2" },
			    some[] = { { .addr = "192.0.2.3" }, { .addr = "https://192.0.2.4/q" } };
	struct ctl_route routes[] = { { .suffix = "own.example" },
		{ .suffix = "corp.example", .resolvers = some, .n = 1 },
		{ .suffix = "lab.example", .resolvers = some + 1, .n = 1 } };
	struct ctl_dns dns = { .resolvers = &all,
		.n_resolvers = 1,
		.fallback = &rest,
		.n_fallback = 1,
		.routes = routes,
		.n_routes = ARRAY_LEN(routes) };
	(void)state;
	for (uint32_t host = 0; host < 8; host++) {
		struct addr ip = addr_v4(0xc0000200 + host);
		assert_int_equal(name_servers_named(&dns, &ip), host >= 1 && host <= 4);
	}
}

#define PIN "rcW4wJVd3ilEaqLlbTOqkg+YBJyOHkjNfW150X3LWHg="

/* A server whose pins mean nothing is not asked without them. */
static void test_pins(void **state)
{
	static const struct {
		const char *server, *pins[6], *want, *said;
	} rows[] = {
		{ "tls://192.0.2.1#dns.example", { PIN }, "tls://192.0.2.1#dns.example 192.0.2.1:853", NULL },
		{ "https://192.0.2.1/q", { PIN, "sha256/" PIN }, "https://192.0.2.1/q 192.0.2.1:443", NULL },
		{ "tls://192.0.2.1", { "x" }, "", "its pins are not" },
		{ "tls://192.0.2.1", { PIN, PIN, PIN, PIN, PIN }, "", "its pins are not" },
		{ "192.0.2.1", { PIN }, "", "in clear nobody can show a key" },
		{ "9.9.9.9", { PIN }, "", "in clear nobody can show a key" }, /* a provider's */
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *pins[6];
		struct ctl_resolver r = { .addr = rows[i].server, .pins = { .v = pins } };
		struct resolver_upstream u[RESOLVER_UPSTREAMS_MAX];
		struct buf out = { 0 }, said = { 0 };
		struct arena a = { 0 };
		uint8_t pin[32];
		while (rows[i].pins[r.pins.n])
			pins[r.pins.n] = rows[i].pins[r.pins.n], r.pins.n++;
		assert_string_equal(read_list(&out, &r, 1, &said), rows[i].want);
		if (!said.len != !rows[i].said || (said.len && !strstr(buf_cstr(&said), rows[i].said)))
			fail_msg("row %zu: said %s", i, said.len ? buf_cstr(&said) : "nothing");
		size_t n = name_servers_read(&a, &r, 1, u, NULL);
		assert_true(dns_secure_pin_parse(PIN, pin));
		assert_int_equal(n, *rows[i].want ? 1 : 0);
		if (n) {
			assert_int_equal(u[0].secure->n_pins, r.pins.n);
			assert_memory_equal(u[0].secure->pins[r.pins.n - 1], pin, sizeof(pin));
		}
		arena_free(&a);
		buf_free(&out);
		buf_free(&said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lists), cmocka_unit_test(test_bootstrap),
		cmocka_unit_test(test_named), cmocka_unit_test(test_pins) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
