/* What is said of names below a suffix, word by word. */
#include "resolver/local_zone.h"

#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct fake f;

static void names_add(struct zone *z)
{
	static const char *const names[] = { "a.refuse", "a.trans", "in.trans.static", "a.typetrans", "redir",
		"below.redir", "a.nx", "a.nodata", "a.norefuse", "a.null", "a.through", "a.static",
		"plain.example" };
	struct addr ip = addr_v4(0xc0000263);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(zone_add_address(z, names[i], &ip, false), 0);
	assert_int_equal(zone_add_authority(z, "static"), 0);
}

static void world_make(void)
{
	static const struct resolver_local_zone zones[] = { { "refuse", RESOLVER_REFUSE },
		{ "trans", RESOLVER_TRANSPARENT }, { "trans.static", RESOLVER_TRANSPARENT },
		{ "typetrans", RESOLVER_TYPETRANSPARENT }, { "redir", RESOLVER_REDIRECT },
		{ "empty.redir", RESOLVER_REDIRECT }, { "nx", RESOLVER_ALWAYS_NXDOMAIN },
		{ "ok.nx", RESOLVER_ALWAYS_TRANSPARENT }, { "nodata", RESOLVER_ALWAYS_NODATA },
		{ "norefuse", RESOLVER_ALWAYS_REFUSE }, { "null", RESOLVER_ALWAYS_NULL },
		{ "through", RESOLVER_ALWAYS_TRANSPARENT } };
	const struct resolver_upstream up = { .at = fake_upstream(1), .site = true };
	const struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	const struct resolver_config c = {
		.routes = &route, .n_routes = 1, .local_zones = zones, .n_local_zones = ARRAY_LEN(zones)
	};
	struct zone *z = zone_new();
	struct errbuf eb = { 0 };
	fake_open(&f, 1);
	assert_non_null(z);
	names_add(z);
	assert_int_equal(resolver_configure(f.r, &c, &eb), 0);
	resolver_zone_set(f.r, z);
	zone_put(z);
}

/* "asked", or the rcode and how many records. */
static const char *fate(const char *name, uint16_t type, char out[static 32])
{
	size_t sent = f.n_sent, replies = f.n_replies;
	fake_ask(&f, 1, name, type);
	if (f.n_replies == replies)
		snprintf(out, 32, f.n_sent > sent ? "asked" : "nothing");
	else
		snprintf(out, 32, "%u, %u", fake_rcode(&f), fake_count(&f, 1));
	return out;
}

static void test_words(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		const char *fate;
	} rows[] = {
		{ "a.refuse", DNS_A, "0, 1" },
		{ "a.refuse", DNS_AAAA, "5, 0" },
		{ "b.refuse", DNS_A, "5, 0" },
		{ "refuse", DNS_A, "5, 0" },
		{ "x.y.REFUSE", DNS_TXT, "5, 0" },
		{ "a.trans", DNS_A, "0, 1" },
		{ "a.trans", DNS_AAAA, "0, 0" },
		{ "b.trans", DNS_A, "asked" },
		{ "in.trans.static", DNS_A, "0, 1" },
		{ "out.trans.static", DNS_A, "asked" },
		{ "b.static", DNS_A, "3, 0" },
		{ "a.static", DNS_A, "0, 1" },
		{ "a.typetrans", DNS_A, "0, 1" },
		{ "a.typetrans", DNS_AAAA, "asked" },
		{ "b.typetrans", DNS_A, "asked" },
		{ "redir", DNS_A, "0, 1" },
		{ "any.thing.redir", DNS_A, "0, 1" },
		{ "any.redir", DNS_AAAA, "0, 0" },
		{ "below.redir", DNS_A, "0, 1" },
		{ "x.empty.redir", DNS_A, "0, 0" },
		{ "a.nx", DNS_A, "3, 0" },
		{ "nx", DNS_A, "3, 0" },
		{ "b.ok.nx", DNS_A, "asked" },
		{ "a.nodata", DNS_A, "0, 0" },
		{ "b.nodata", DNS_TXT, "0, 0" },
		{ "a.norefuse", DNS_A, "5, 0" },
		{ "a.null", DNS_A, "0, 1" },
		{ "b.null", DNS_AAAA, "0, 1" },
		{ "b.null", DNS_TXT, "0, 0" },
		{ "a.through", DNS_A, "asked" },
		{ "plain.example", DNS_A, "0, 1" },
		{ "other.example", DNS_A, "asked" },
	};
	char got[32];
	(void)state;
	world_make();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(fate(rows[i].name, rows[i].type, got), rows[i].fate) != 0)
			fail_msg("%s type %u: %s, not %s", rows[i].name, rows[i].type, got, rows[i].fate);
	fake_close(&f);
}

/* The owner of what a redirect says is the name that was asked for. */
static void test_redirect_owner(void **state)
{
	static const uint8_t owner[] = "\xc0\x0c";
	(void)state;
	world_make();
	fake_ask(&f, 1, "any.thing.redir", DNS_A);
	assert_memory_equal(f.reply + DNS_HEADER + sizeof("\3any\5thing\5redir") + 4, owner, 2);
	fake_close(&f);
}

static void test_errors(void **state)
{
	static const struct resolver_local_zone twice[] = { { "a.b", RESOLVER_REFUSE },
		{ "A.b.", RESOLVER_REDIRECT } },
						bad[] = { { "a..b", RESOLVER_REFUSE } };
	static const uint64_t seed[2];
	struct errbuf eb = { 0 };
	enum resolver_word w;
	(void)state;
	assert_null(local_zones_new(twice, 2, seed, &eb));
	assert_non_null(strstr(eb.text, "is given twice"));
	assert_null(local_zones_new(bad, 1, seed, &eb));
	fake_open(&f, 1);
	assert_int_equal(resolver_configure(f.r,
				 &(struct resolver_config) { .local_zones = bad, .n_local_zones = 1 }, NULL),
		ERR_MALFORMED); /* though nobody reads the sentence */
	fake_close(&f);
	for (unsigned i = 1; i < RESOLVER_WORDS; i++)
		assert_true(resolver_word_parse(resolver_word_text((enum resolver_word)i), &w) && w == i);
	assert_false(resolver_word_parse("", &w) || resolver_word_parse("deny", &w));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_words),
		cmocka_unit_test(test_redirect_owner), cmocka_unit_test(test_errors) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
