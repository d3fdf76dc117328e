#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_endpoint_text(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "1.2.3.4:5", "1.2.3.4:5" },
		{ "[2001:db8::1]:65535", "[2001:db8::1]:65535" },
		{ "1.2.3.4:0", "1.2.3.4:0" },
		{ "1.2.3.4", NULL },
		{ "1.2.3.4:65536", NULL },
		{ "1.2.3.4:-1", NULL },
		{ "2001:db8::1:5", NULL },
		{ "[1.2.3.4]:5", NULL },
		{ "[2001:db8::1]5", NULL },
		{ "[2001:db8::1", NULL },
		{ "", NULL },
		{ ":5", NULL },
		{ "1.2.3.4:", NULL },
		{ "1.2.3:5", NULL },
		{ "[fe80::1%lo]:53", "[fe80::1%lo]:53" },
		{ "[fe80::1%1]:53", "[fe80::1%lo]:53" },
		{ "[fe80::1%65535]:53", "[fe80::1%65535]:53" },
		{ "[fe80::1]:53", "[fe80::1]:53" },
		{ "[fe80::1%]:53", NULL },
		{ "[fe80::1%0]:53", NULL },
		{ "[fe80::1%65536]:53", NULL },
		{ "[fe80::1%nosuch0]:53", NULL },
		{ "[2001:db8::1%lo]:53", NULL },
		{ "[::1%lo]:53", NULL },
		{ "169.254.0.1%lo:53", NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint e;
		char text[ENDPOINT_TEXT];
		bool ok = endpoint_parse(rows[i].in, &e);
		if (ok != (rows[i].out != NULL) ||
			(ok && strcmp(endpoint_format(&e, text), rows[i].out) != 0))
			fail_msg("row %zu: %s", i, rows[i].in);
	}
}

/* With a port or without; the interface is part of what an endpoint is. */
static void test_endpoint_or_address(void **state)
{
	struct endpoint e, other;
	(void)state;
	assert_true(endpoint_parse_or("192.0.2.1", 53, &e) && e.port == 53 && !e.scope);
	assert_true(endpoint_parse_or("192.0.2.1:54", 53, &e) && e.port == 54);
	assert_true(endpoint_parse_or("2001:db8::1", 53, &e) && e.port == 53);
	assert_true(endpoint_parse_or("fe80::1%lo", 53, &e) && e.port == 53 && e.scope == 1);
	char text[ENDPOINT_TEXT];
	assert_string_equal(endpoint_format_ip(&e, text), "fe80::1%lo");
	assert_true(endpoint_parse_or("fe80::1", 53, &other) && !endpoint_equal(&e, &other));
	assert_true(endpoint_hash(&e, 1) != endpoint_hash(&other, 1));
	other = e;
	assert_false(endpoint_parse_or("fe80::1%nosuch0", 53, &e));
	assert_false(endpoint_parse_or("name", 53, &e));
	assert_true(endpoint_equal(&e, &other)); /* untouched */
}

static void test_prefix_contains(void **state)
{
	(void)state;
	static const struct {
		const char *p, *a;
		bool in;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.1.2.3/32", "10.1.2.3", true },
		{ "10.1.2.3/32", "10.1.2.2", false },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "0.0.0.0/0", "2001:db8::", false },
		{ "::/0", "2001:db8::", true },
		{ "::/0", "1.2.3.4", false },
		{ "10.0.0.0/9", "10.128.0.0", false },
		{ "fd7a:115c:a1e0::/48", "fd7a:115c:a1e0:ffff::1", true },
		{ "2001:db8::1/128", "2001:db8::1", true },
		{ "2001:db8::1/127", "2001:db8::2", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix p;
		struct addr a;
		assert_true(prefix_parse(rows[i].p, &p) && addr_parse(rows[i].a, &a));
		if (prefix_contains(&p, &a) != rows[i].in)
			fail_msg("row %zu: %s in %s", i, rows[i].a, rows[i].p);
	}
}

static void test_prefix_mask(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "10.1.2.3/8", "10.0.0.0/8" },
		{ "10.1.2.3/0", "0.0.0.0/0" },
		{ "10.1.2.255/25", "10.1.2.128/25" },
		{ "10.1.2.3/32", "10.1.2.3/32" },
		{ "2001:db8:ffff::1/33", "2001:db8:8000::/33" },
		{ "::1/0", "::/0" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix p;
		char text[PREFIX_TEXT];
		assert_true(prefix_parse(rows[i].in, &p));
		prefix_mask(&p);
		assert_string_equal(prefix_format(&p, text), rows[i].out);
	}
	struct prefix p;
	assert_false(prefix_parse("10.0.0.0/33", &p));
	assert_false(prefix_parse("2001:db8::/129", &p));
	assert_false(prefix_parse("10.0.0.0/", &p));
}

static void test_route_fault(void **state)
{
	(void)state;
	static const char own[] = "inside the range of the mesh's own addresses",
			  no[] = "no network that a peer can carry";
	static const struct {
		const char *p, *fault;
	} rows[] = { { "10.0.0.0/8", NULL }, { "0.0.0.0/0", NULL }, { "::/0", NULL },
		{ "100.64.0.0/9", NULL }, { "100.64.0.0/10", own }, { "100.100.0.0/32", own },
		{ "fd7a:115c:a1e0::/47", NULL }, { "fd7a:115c:a1e0::/48", own },
		{ "fd7a:115c:a1e0:b1a::/63", own }, { "fd7a:115c:a1e0:b1a:0:7::/96", NULL },
		{ "fd00::/8", NULL }, { "127.0.0.0/8", no }, { "169.254.0.0/16", no }, { "fe80::/64", no },
		{ "224.0.0.0/4", no }, { "ff00::/8", no } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix p;
		assert_true(prefix_parse(rows[i].p, &p));
		const char *fault = prefix_route_fault(&p);
		if (fault && rows[i].fault ? strcmp(fault, rows[i].fault) != 0 : fault != rows[i].fault)
			fail_msg("%s: %s", rows[i].p, fault ? fault : "none");
	}
}

static void test_classes(void **state)
{
	(void)state;
	static const struct {
		const char *a;
		bool loop, link, multi, private, cgnat, mesh, service;
	} rows[] = {
		{ "127.0.0.1", 1, 0, 0, 0, 0, 0, 0 },
		{ "::1", 1, 0, 0, 0, 0, 0, 0 },
		{ "169.254.1.1", 0, 1, 0, 0, 0, 0, 0 },
		{ "fe80::1", 0, 1, 0, 0, 0, 0, 0 },
		{ "224.0.0.1", 0, 0, 1, 0, 0, 0, 0 },
		{ "ff02::1", 0, 0, 1, 0, 0, 0, 0 },
		{ "172.31.255.255", 0, 0, 0, 1, 0, 0, 0 },
		{ "172.32.0.0", 0, 0, 0, 0, 0, 0, 0 },
		{ "fd00::1", 0, 0, 0, 1, 0, 0, 0 },
		{ "100.64.0.0", 0, 0, 0, 0, 1, 1, 0 },
		{ "100.128.0.0", 0, 0, 0, 0, 0, 0, 0 },
		{ "8.8.8.8", 0, 0, 0, 0, 0, 0, 0 },
		{ "100.100.100.100", 0, 0, 0, 0, 1, 1, 1 },
		{ "100.100.100.101", 0, 0, 0, 0, 1, 1, 0 },
		{ "fd7a:115c:a1e0::53", 0, 0, 0, 1, 0, 1, 1 },
		{ "fd7a:115c:a1e0:ffff::1", 0, 0, 0, 1, 0, 1, 0 },
		{ "fd7a:115c:a1e1::1", 0, 0, 0, 1, 0, 0, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr a;
		assert_true(addr_parse(rows[i].a, &a));
		if (addr_is_loopback(&a) != rows[i].loop || addr_is_link_local(&a) != rows[i].link ||
			addr_is_multicast(&a) != rows[i].multi || addr_is_private(&a) != rows[i].private ||
			addr_is_cgnat(&a) != rows[i].cgnat || addr_is_mesh(&a) != rows[i].mesh ||
			addr_is_service(&a) != rows[i].service ||
			addr_is_inside(&a) !=
				(rows[i].loop || rows[i].link || rows[i].private || rows[i].cgnat))
			fail_msg("row %zu: %s", i, rows[i].a);
	}
}

static void test_sockaddr_round_trip(void **state)
{
	(void)state;
	static const char *const texts[] = { "1.2.3.4:5", "[2001:db8::1]:6", "[fe80::1%lo]:7" };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct endpoint e, back;
			struct sockaddr_storage ss;
			assert_true(endpoint_parse(texts[i], &e));
			endpoint_to_sockaddr(&e, v6, &ss);
			assert_int_equal(ss.ss_family, v6 || i ? AF_INET6 : AF_INET);
			assert_true(endpoint_from_sockaddr((struct sockaddr *)&ss, &back));
			assert_true(endpoint_equal(&e, &back));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoint_text),
		cmocka_unit_test(test_endpoint_or_address),
		cmocka_unit_test(test_prefix_contains),
		cmocka_unit_test(test_prefix_mask),
		cmocka_unit_test(test_route_fault),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_sockaddr_round_trip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
