/* B64: names of strangers do not lead into the network around us, if that is asked for. */
#include "resolver/test/fake.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

static struct fake f;

enum { STRANGER = 1, SITE = 2, CORP = 11 };

static void configure_with(bool refuse, bool site, const char *const *ok, size_t n_ok)
{
	struct resolver_upstream up = { .at = fake_upstream(site ? SITE : STRANGER), .site = site },
				 corp = { .at = fake_upstream(CORP) };
	struct resolver_route routes[] = { { .suffix = "", .upstreams = &up, .n_upstreams = 1 },
		{ .suffix = "corp.test.net", .upstreams = &corp, .n_upstreams = 1 } };
	struct resolver_config c = { .routes = routes,
		.n_routes = ARRAY_LEN(routes),
		.refuse_private = refuse,
		.private_ok = ok,
		.n_private_ok = n_ok };
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
}

static void configure(bool refuse, bool site)
{
	static const char *const ok[] = { "Plex.Direct" };
	configure_with(refuse, site, ok, ARRAY_LEN(ok));
}

static int setup(void **state)
{
	(void)state;
	fake_open(&f, 1);
	configure(true, false);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

static bool says_blocked(void)
{
	static const uint8_t option[] = { 0, 15, 0, 2, 0, 15 };
	return f.reply_len > sizeof(option) &&
	       !memcmp(f.reply + f.reply_len - sizeof(option), option, sizeof(option));
}

/* Asks, from upstream and then from the cache. */
static bool is_refused(const char *name, uint16_t type, const struct fake_answer *a)
{
	bool first = false, refused = false;
	for (int cached = 0; cached < 2; cached++) {
		size_t asked = f.n_sent;
		fake_ask(&f, 1, name, type);
		if (!cached) {
			assert_int_equal(f.n_sent, asked + 1);
			fake_answer(&f, asked, a);
		}
		assert_int_equal(f.n_sent, asked + !cached);
		refused = says_blocked();
		assert_int_equal(fake_rcode(&f), 0);
		assert_int_equal(fake_count(&f, 1), refused ? 0 : a->an);
		first = cached ? first : refused;
	}
	assert_int_equal(first, refused);
	return refused;
}

static void test_addresses(void **state)
{
	static const struct {
		uint16_t type;
		struct fake_answer says;
		bool refused;
	} rows[] = {
#define A(hex) DNS_A, { .an = 1, .records = "c00c 0001 0001 0000003c 0004 " hex }
#define AAAA(hex) \
	DNS_AAAA, \
	{ \
		.an = 1, .records = "c00c 001c 0001 0000003c 0010 " hex \
	}
		{ A("c0a80101"), true },
		{ A("0a000001"), true },
		{ A("ac100001"), true },
		{ A("ac200001"), false },
		{ A("7f000001"), true },
		{ A("a9fe0001"), true },
		{ A("64400001"), true },
		{ A("64800001"), false },
		{ A("00000000"), true },
		{ A("08080808"), false },
		{ AAAA("fd000000000000000000000000000001"), true },
		{ AAAA("fe800000000000000000000000000001"), true },
		{ AAAA("00000000000000000000000000000001"), true },
		{ AAAA("00000000000000000000ffff0a000001"), true },
		{ AAAA("20010db8000000000000000000000001"), false },
		{ AAAA("0064ff9b0000000000000000c0a80101"), true },
		{ AAAA("0064ff9b00000000000000007f000001"), true },
		{ AAAA("0064ff9b000000000000000008080808"), false },
		{ AAAA("0064ff9b0001000000000000c0a80101"), false },
		{ DNS_A, { .an = 2, .records = A_RECORD "c00c 0001 0001 0000003c 0004 c0a80101" }, true },
		/* priority 1, target ".", ipv4hint of two */
		{ DNS_HTTPS,
			{ .an = 1,
				.records =
					"c00c 0041 0001 0000003c 000f 0001 00 0004 0008 08080808 c0a80101" },
			true },
		{ DNS_HTTPS,
			{ .an = 1, .records = "c00c 0041 0001 0000003c 000b 0001 00 0004 0004 08080808" },
			false },
		{ DNS_HTTPS,
			{ .an = 1,
				.records = "c00c 0041 0001 0000003c 0017 0001 00 0006 0010 "
					   "fd000000000000000000000000000001" },
			true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%zu.example.com", i);
		if (is_refused(name, rows[i].type, &rows[i].says) != rows[i].refused)
			fail_msg("row %zu", i);
	}
	assert_true(resolver_stats(f.r)->rebinding > 10);
}

/* By the translator's prefix, once it is known. */
static void test_translator(void **state)
{
	static const struct fake_answer
		lan = { .an = 1, .records = "c00c 001c 0001 0000003c 0010 20010db80064000000000000c0a80101" },
		internet = { .an = 1,
			.records = "c00c 001c 0001 0000003c 0010 20010db8006400000000000008080808" },
		hint = { .an = 1,
			.records = "c00c 0041 0001 0000003c 0017 0001 00 0006 0010 "
				   "20010db80064000000000000c0a80101" };
	struct resolver_upstream up = { .at = fake_upstream(STRANGER) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	struct resolver_config c = { .routes = &route, .n_routes = 1, .refuse_private = true };
	(void)state;
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
	assert_false(is_refused("a.example.com", DNS_AAAA, &lan));
	assert_true(nat64_parse("2001:db8:64::/96", &c.dns64));
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
	fake_ask(&f, 1, "b.example.com", DNS_AAAA);
	fake_answer(&f, f.n_sent - 1, &lan);
	fake_answer(&f, f.n_sent - 1, &(struct fake_answer) { 0 }); /* it has no IPv4 either */
	assert_int_equal(fake_count(&f, 1), 0);
	assert_int_equal(resolver_stats(f.r)->rebinding, 1);
	assert_true(is_refused("c.example.com", DNS_HTTPS, &hint));
	assert_false(is_refused("d.example.com", DNS_AAAA, &internet));
}

static void test_who_may(void **state)
{
	static const struct fake_answer lan = { .an = 1, .records = "c00c 0001 0001 0000003c 0004 c0a80101" };
	(void)state;
	assert_true(is_refused("a.example.com", DNS_A, &lan));
	assert_true(is_refused("xplex.direct", DNS_A, &lan));
	assert_false(is_refused("x.plex.direct", DNS_A, &lan));
	assert_false(is_refused("wiki.corp.test.net", DNS_A, &lan));
	configure(true, true);
	assert_false(is_refused("b.example.com", DNS_A, &lan));
	configure(false, false);
	assert_false(is_refused("a.example.com", DNS_A, &lan)); /* not what was cached while it was refused */
}

/* What is in the cache is by the exceptions of when it came: others begin anew, the same in another order do not. */
static void test_other_exceptions(void **state)
{
	static const char *const two[] = { "plex.direct", "example.com" }, *const turned[] = { "EXAMPLE.com.",
		"Plex.Direct", "example.com" };
	static const struct fake_answer lan = { .an = 1, .records = "c00c 0001 0001 0000003c 0004 c0a80101" };
	(void)state;
	assert_true(is_refused("a.example.com", DNS_A, &lan));
	configure_with(true, false, two, ARRAY_LEN(two));
	assert_false(is_refused("a.example.com", DNS_A, &lan));
	configure_with(true, false, turned, ARRAY_LEN(turned));
	size_t asked = f.n_sent;
	fake_ask(&f, 1, "a.example.com", DNS_A);
	assert_int_equal(f.n_sent, asked);
	assert_int_equal(fake_count(&f, 1), 1);
	configure_with(true, false, two, 1);
	assert_true(is_refused("b.example.com", DNS_A, &lan));
	fake_ask(&f, 1, "a.example.com", DNS_A);
	assert_true(says_blocked()); /* as it was with the same exceptions */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_translator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_may, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_exceptions, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
