/* "ipsets": what is in a set, address by address, and that a set can be written where an address can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/policy/policy.h"
#include <stdio.h>
#include <string.h>

/* Node 9 carries 10.0.0.0/8 and is an exit: its filter is all that a set names there. */
static void make_router(struct fleet *f)
{
	static const char *routes[] = { "10.0.0.0/8", "0.0.0.0/0", "::/0" };
	net_make(f);
	struct member router = *net_add(f, 9, "router", 2, NULL);
	router.routes = (struct ctl_strings) { .v = routes, .n = ARRAY_LEN(routes) };
	router.hostinfo_json = "{\"RoutableIPs\":[\"10.0.0.0/8\",\"0.0.0.0/0\",\"::/0\"]}";
	assert_non_null(net_put(f, &router));
}

static struct policy *make_policy(const char *sets, const char *section)
{
	struct errbuf eb = { 0 };
	struct buf text = { 0 };
	buf_printf(&text, "{\"hosts\":{\"lab\":\"10.9.0.0/16\"},\"ipsets\":{%s},%s}", sets, section);
	struct policy *p = policy_parse((char *)buf_data(&text), text.len, &eb);
	if (!p)
		fail_msg("%s: %s", sets, eb.text);
	buf_free(&text);
	return p;
}

static void test_sets(void **state)
{
	static const struct {
		const char *sets, *in, *out; /* of ipset:s */
	} rows[] = {
		{ "\"ipset:s\":[]", "", "10.0.0.1 8.8.8.8" },
		{ "\"ipset:s\":[\"10.1.0.0/16\",\"10.2.3.4\",\"lab\"]",
			"10.1.0.0 10.1.255.255 10.2.3.4 10.9.1.1",
			"10.0.255.255 10.2.0.0 10.2.3.3 10.2.3.5 10.10.0.0" },
		{ "\"ipset:s\":[\"add 10.0.0.0/8\",\"remove 10.1.2.3\"]",
			"10.1.2.2 10.1.2.4 10.0.0.0 10.255.255.255", "10.1.2.3 11.0.0.0" },
		{ "\"ipset:s\":[\"add 10.0.0.0/8\",\"remove lab\",\"add 10.9.7.0/24\"]",
			"10.8.0.1 10.9.7.1 10.10.0.1", "10.9.6.1 10.9.8.1" },
		{ "\"ipset:s\":[\"add 10.1.0.0/16\",\"remove 10.0.0.0/8\"]", "", "10.1.0.1" },
		{ "\"ipset:s\":[\"remove 10.1.0.0/16\",\"add 10.1.0.0/24\"]", "10.1.0.1", "10.1.1.1" },
		{ "\"ipset:s\":[\"add ipset:a\",\"remove ipset:b\"],\"ipset:a\":[\"10.0.0.0/8\"],"
		  "\"ipset:b\":[\"ipset:c\"],\"ipset:c\":[\"10.4.0.0/14\"]",
			"10.3.255.255 10.8.0.0", "10.4.0.0 10.7.255.255" },
		{ "\"ipset:s\":[\"add autogroup:internet\",\"remove 8.8.8.0/24\"]",
			"8.8.9.1 1.1.1.1 2001:db8::1", "8.8.8.8 10.0.0.1" },
		{ "\"ipset:s\":[\"add autogroup:internet\",\"remove autogroup:internet\",\"add 10.0.0.1\"]",
			"10.0.0.1", "1.1.1.1 10.0.0.2" },
	};
	struct fleet f;
	(void)state;
	make_router(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy *p = make_policy(rows[i].sets,
			"\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"ipset:s:*\"]}]");
		struct arena a = { 0 };
		struct ctl_rule *rules;
		size_t n;
		assert_true(policy_filter(p, &f, NULL, fleet_by_id(&f, 9), &a, &rules, &n));
		for (int in = 0; in < 2; in++) {
			char words[256], *save = NULL;
			struct addr ip;
			snprintf(words, sizeof(words), "%s", in ? rows[i].in : rows[i].out);
			for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
				bool has = false;
				assert_true(addr_parse(w, &ip));
				for (size_t k = 0; n && k < rules->n_dst; k++)
					has = has || prefix_contains(&rules->dst[k].net, &ip);
				if (has != in)
					fail_msg("row %zu: %s is %s", i, w, has ? "in" : "out");
			}
		}
		arena_free(&a);
		policy_free(p);
	}
	fleet_fini(&f);
}

/* As a source, in a grant, and an exit by what is left of the internet. */
static void test_places(void **state)
{
	struct fleet f;
	struct prefix exit4;
	(void)state;
	make_router(&f);
	struct policy *p = make_policy("\"ipset:s\":[\"100.64.0.3\"]",
		"\"grants\":[{\"src\":[\"ipset:s\"],\"dst\":[\"alice@\"],\"ip\":[\"22\"]}]");
	assert_true(policy_allows(p, &f, fleet_by_id(&f, 3), fleet_by_id(&f, 1)));
	assert_false(policy_allows(p, &f, fleet_by_id(&f, 4), fleet_by_id(&f, 1)));
	policy_free(p);
	p = make_policy("\"ipset:s\":[\"add autogroup:internet\",\"remove 8.8.8.8\"]",
		"\"grants\":[{\"src\":[\"alice@\"],\"dst\":[\"ipset:s\"],\"ip\":[\"*\"]}]");
	assert_true(prefix_parse("0.0.0.0/0", &exit4));
	struct member served = *fleet_by_id(&f, 9);
	served.served = (struct ctl_prefixes) { .v = &exit4, .n = 1 };
	assert_non_null(net_put(&f, &served));
	assert_true(policy_shows_route(p, &f, fleet_by_id(&f, 1), fleet_by_id(&f, 9), &exit4));
	assert_false(policy_shows_route(p, &f, fleet_by_id(&f, 3), fleet_by_id(&f, 9), &exit4));
	policy_free(p);
	fleet_fini(&f);
}

/* As many as there may be, and one more. */
static void test_bound(void **state)
{
	(void)state;
	for (unsigned n = 1024; n <= 1025; n++) {
		struct buf text = { 0 };
		struct errbuf eb = { 0 };
		buf_printf(&text, "{\"ipsets\":{\"ipset:s\":[\"10.0.0.0\"");
		for (unsigned i = 1; i < n; i++)
			buf_printf(&text, ",\"10.0.%u.%u\"", i * 2 / 256, i * 2 % 256);
		buf_printf(&text, "]}}");
		struct policy *p = policy_parse((char *)buf_data(&text), text.len, &eb);
		assert_int_equal(p != NULL, n == 1024);
		assert_true(p || strstr(eb.text, "ipset:s[1024]: the set has more than 1024 ranges"));
		policy_free(p);
		buf_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sets), cmocka_unit_test(test_places),
		cmocka_unit_test(test_bound) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
