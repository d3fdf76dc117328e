#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/control/policy/hujson.h"
#include "mesh/control/policy/policy.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/policy/test/rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_visibility(void **state)
{
	/* pairs: "ab" = a may begin a conversation with b; all others may not */
	static const struct {
		const char *text, *pairs;
	} rows[] = {
		{ "{}", "12 13 14 15 21 23 24 25 31 32 34 35 41 42 43 45 51 52 53 54" },
		{ RULES_HEAD "]}", "" },
		{ RULES_HEAD RULES_ACL("\"*\"", "\"*:*\"") "]}",
			"12 13 14 15 21 23 24 25 31 32 34 35 41 42 43 45 51 52 53 54" },
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"alice@:*\"") "]}", "12 21" },
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"bob@:22\"") "]}", "13 23" },
		{ RULES_HEAD RULES_ACL("\"group:dev\"", "\"tag:web:80,443\"") "]}", "14 24 34" },
		{ RULES_HEAD RULES_ACL("\"tag:web\"", "\"tag:db:5432\"") "]}", "45" },
		{ RULES_HEAD RULES_ACL("\"bob@\"", "\"db1:5432\"") "]}", "35" },
		{ RULES_HEAD RULES_ACL("\"100.64.0.3\"", "\"100.64.0.0/31:*\"") "]}", "31" },
		{ RULES_HEAD RULES_ACL("\"fd7a:115c:a1e0::3\"", "\"fd7a:115c:a1e0::4:22\"") "]}", "34" },
		{ RULES_HEAD RULES_ACL("\"bob@\"", "\"[fd7a:115c:a1e0::4]:22\"") "]}", "34" },
		{ RULES_HEAD RULES_ACL("\"autogroup:member\"", "\"autogroup:self:*\"") "]}", "12 21" },
		{ RULES_HEAD RULES_ACL("\"*\"", "\"autogroup:self:*\"") "]}", "12 21" },
		{ RULES_HEAD RULES_ACL("\"autogroup:owner\"", "\"bob@:*\"") "]}", "13 23" },
		{ RULES_HEAD RULES_ACL("\"autogroup:admin\"", "\"bob@:*\"") "]}", "13 23" },
		{ RULES_HEAD RULES_ACL("\"bob@\"", "\"autogroup:admin:*\"") "]}", "31 32" },
		{ RULES_HEAD RULES_ACL("\"autogroup:auditor\"", "\"*:*\"") "]}", "" },
		{ RULES_HEAD RULES_ACL("\"autogroup:member\"", "\"autogroup:tagged:*\"") "]}",
			"14 15 24 25 34 35" },
		{ RULES_HEAD RULES_ACL("\"*\"", "\"autogroup:internet:*\"") "]}", "" },
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"alice@:*\"") "," RULES_ACL(
			  "\"bob@\"", "\"tag:web:*\"") ",]}",
			"12 21 34" },
	};
	(void)state;
	struct fleet f;
	net_make(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct policy *p = rules_parse(rows[i].text, &eb);
		if (!p)
			fail_msg("row %zu: %s", i, eb.text);
		for (int64_t a = 1; a <= 5; a++)
			for (int64_t b = 1; b <= 5; b++) {
				char pair[3] = { (char)('0' + a), (char)('0' + b), 0 };
				bool want = strstr(rows[i].pairs, pair);
				if (a != b &&
					policy_allows(p, &f, fleet_by_id(&f, a), fleet_by_id(&f, b)) != want)
					fail_msg("row %zu: %s", i, pair);
			}
		policy_free(p);
	}
	fleet_fini(&f);
}

/* Nodes without a user are of no person, and so not of the same one. */
static void test_nobody(void **state)
{
	static const struct {
		int64_t a, b;
		bool same;
	} rows[] = { { 0, 0, false }, { 7, 7, true }, { 0, 7, false }, { 7, 8, false } };
	struct fleet f;
	(void)state;
	net_make(&f);
	struct errbuf eb = { 0 };
	struct policy *p = rules_parse(RULES_HEAD RULES_ACL("\"*\"", "\"autogroup:self:*\"") "]}", &eb);
	assert_non_null(p);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct member a = { .id = 1001, .user = rows[i].a },
				    b = { .id = 1002, .user = rows[i].b };
		if (policy_allows(p, &f, &a, &b) != rows[i].same)
			fail_msg("row %zu", i);
	}
	policy_free(p);
	fleet_fini(&f);
}

/* What "*" is as a source: the mesh. */
#define MESH \
	"100.64.0.0-100.115.91.255 100.115.94.0-100.127.255.255 " \
	"fd7a:115c:a1e0::-fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff"
#define GRANT(rest) "{\"tagOwners\":{\"tag:web\":[],\"tag:db\":[]},\"grants\":[{" rest "}]}"

static void test_filters(void **state)
{
	static const struct {
		const char *text;
		int64_t node;
		const char *rules;
	} rows[] = {
		{ "{}", 1, MESH " > *:0-65535" },
		{ RULES_HEAD "]}", 1, "" },
		{ RULES_HEAD RULES_ACL("\"*\"", "\"*:22\"") "]}", 1, MESH " > *:22-22" },
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"bob@:22,80-90\"") "]}", 3,
			"100.64.0.1-100.64.0.2 fd7a:115c:a1e0::1-fd7a:115c:a1e0::2 > 100.64.0.3/32:22-22 "
			"100.64.0.3/32:80-90 "
			"fd7a:115c:a1e0::3/128:22-22 fd7a:115c:a1e0::3/128:80-90" },
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"bob@:22\"") "]}", 1, "" },
		{ RULES_HEAD RULES_ACL("\"bob@\"", "\"db1:5432\"") "]}", 5,
			"100.64.0.3 fd7a:115c:a1e0::3 > 100.64.0.5/32:5432-5432" },
		{ RULES_HEAD RULES_ACL("\"10.0.0.0/30\"", "\"tag:web:*\"") "]}", 4,
			"10.0.0.0-10.0.0.3 > 100.64.0.4/32:0-65535 fd7a:115c:a1e0::4/128:0-65535" },
		{ RULES_HEAD
			"{\"action\":\"accept\",\"proto\":\"icmp\",\"src\":[\"tag:web\"],\"dst\":[\"tag:db:*"
			"\"]}]}",
			5,
			"100.64.0.4 fd7a:115c:a1e0::4 > 100.64.0.5/32:0-65535 fd7a:115c:a1e0::5/128:0-65535 "
			"p1" },
		{ RULES_HEAD
			"{\"action\":\"accept\",\"proto\":\"17\",\"src\":[\"*\"],\"dst\":[\"db1:53\"]}]}",
			5, MESH " > 100.64.0.5/32:53-53 p17" },
		/* what everyone may reach of their own, only from the owner's other nodes */
		{ RULES_HEAD RULES_ACL("\"*\"", "\"autogroup:self:*\"") "]}", 3,
			"100.64.0.3 fd7a:115c:a1e0::3 > 100.64.0.3/32:0-65535 "
			"fd7a:115c:a1e0::3/128:0-65535" },
		{ RULES_HEAD RULES_ACL("\"*\"", "\"autogroup:self:*\"") "]}", 4, "" },
		/* sources that overlap or touch are one */
		{ RULES_HEAD RULES_ACL("\"100.64.0.2\",\"100.64.0.4/"
				       "30\",\"alice@\",\"tag:db\",\"255.255.255.255\",\"0.0.0.0\"",
			  "\"db1:1\"") "]}",
			5,
			"0.0.0.0 100.64.0.1-100.64.0.2 100.64.0.4-100.64.0.7 255.255.255.255 "
			"fd7a:115c:a1e0::1-fd7a:115c:a1e0::2 fd7a:115c:a1e0::5 > "
			"100.64.0.5/32:1-1" },
		/* an address is that address: not what else the node has that has it */
		{ RULES_HEAD RULES_ACL("\"100.64.0.3\"", "\"tag:db:1\"") "]}", 5,
			"100.64.0.3 > 100.64.0.5/32:1-1 fd7a:115c:a1e0::5/128:1-1" },
		/* what is written, be it more than the node */
		{ RULES_HEAD RULES_ACL("\"bob@\"", "\"100.64.0.0/24:22\"") "]}", 5,
			"100.64.0.3 fd7a:115c:a1e0::3 > 100.64.0.0/24:22-22" },
		{ RULES_HEAD RULES_ACL("\"autogroup:danger-all\"", "\"db1:1\"") "]}", 5,
			"* > 100.64.0.5/32:1-1" },
		/* one rule for each protocol of a grant */
		{ GRANT("\"src\":[\"bob@\"],\"dst\":[\"tag:db\"],\"ip\":[\"tcp:80\",\"udp:53\",\"tcp:443\","
			"\"22\"]"),
			5,
			"100.64.0.3 fd7a:115c:a1e0::3 > 100.64.0.5/32:80-80 100.64.0.5/32:443-443 "
			"fd7a:115c:a1e0::5/128:80-80 fd7a:115c:a1e0::5/128:443-443 p6 | 100.64.0.3 "
			"fd7a:115c:a1e0::3 > 100.64.0.5/32:53-53 fd7a:115c:a1e0::5/128:53-53 p17 | "
			"100.64.0.3 "
			"fd7a:115c:a1e0::3 > 100.64.0.5/32:22-22 fd7a:115c:a1e0::5/128:22-22" },
		{ GRANT("\"src\":[\"bob@\"],\"dst\":[\"tag:db\"],\"app\":{\"a.b/c\":[{}]}"), 5,
			"100.64.0.3 fd7a:115c:a1e0::3 > [{\"Dsts\":[\"100.64.0.5/32\",\"fd7a:115c:a1e0::5/"
			"128\"],\"CapMap\":{\"a.b/c\":[{}]}}]" },
		{ GRANT("\"src\":[\"bob@\"],\"dst\":[\"tag:db\"],\"app\":{\"tailscale.com/cap/drive\":[]}"),
			3,
			"100.64.0.5 fd7a:115c:a1e0::5 > [{\"Dsts\":[\"100.64.0.3/32\",\"fd7a:115c:a1e0::3/"
			"128\"],\"CapMap\":{\"tailscale.com/cap/drive-sharer\":null}}]" },
		{ GRANT("\"src\":[\"bob@\"],\"dst\":[\"tag:db\"],\"app\":{\"https://tailscale.com/cap/"
			"file-send\":[]}"),
			5,
			"100.64.0.3 fd7a:115c:a1e0::3 > [{\"Dsts\":[\"100.64.0.5/32\",\"fd7a:115c:a1e0::5/"
			"128\"],\"CapMap\":{\"https://tailscale.com/cap/file-send\":[]}}]" },
		{ GRANT("\"src\":[\"bob@\"],\"dst\":[\"tag:db\"],\"app\":{\"https://tailscale.com/cap/"
			"file-send\":[]}"),
			3,
			"100.64.0.5 fd7a:115c:a1e0::5 > [{\"Dsts\":[\"100.64.0.3/32\",\"fd7a:115c:a1e0::3/"
			"128\"],\"CapMap\":{\"https://tailscale.com/cap/file-sharing-target\":null}}]" },
		{ GRANT("\"src\":[\"user:*@x\"],\"dst\":[\"*\"],\"ip\":[\"*\"]"), 1, "" },
		/* a source that nobody is gives no rule */
		{ RULES_HEAD RULES_ACL("\"carol@\"", "\"*:*\"") "]}", 1, "" },
	};
	(void)state;
	struct fleet f;
	net_make(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct policy *p = rules_parse(rows[i].text, &eb);
		struct arena a = { 0 };
		struct ctl_rule *rules;
		struct buf out = { 0 };
		size_t n;
		if (!p)
			fail_msg("row %zu: %s", i, eb.text);
		struct policy_cache *s = policy_cache_new(), *kept[] = { NULL, s, s };
		for (size_t k = 0; k < ARRAY_LEN(kept); k++) {
			assert_true(
				policy_filter(p, &f, kept[k], fleet_by_id(&f, rows[i].node), &a, &rules, &n));
			rules_print(rules, n, &out);
			if (strcmp(out.len ? buf_cstr(&out) : "", rows[i].rules) != 0)
				fail_msg("row %zu: %s", i, buf_cstr(&out));
			buf_free(&out);
		}
		policy_cache_free(s);
		arena_free(&a);
		policy_free(p);
	}
	fleet_fini(&f);
}

static void add_router(struct fleet *f, int64_t id)
{
	static const char *routes[] = { "10.0.0.0/24", "0.0.0.0/0", "::/0", "10.9.0.0/24" };
	struct prefix served[3];
	struct member router = *net_add(f, id, id == 6 ? "router" : "other", 2, NULL);
	router.routes = (struct ctl_strings) { .v = routes, .n = ARRAY_LEN(routes) };
	router.hostinfo_json = "{\"RoutableIPs\":[\"10.0.0.0/24\",\"0.0.0.0/0\",\"::/0\",\"10.1.0.0/24\"]}";
	for (size_t i = 0; i < 3; i++)
		assert_true(prefix_parse(routes[i], &served[i]));
	router.served = (struct ctl_prefixes) { .v = served, .n = 3 };
	assert_non_null(net_put(f, &router));
}

/* What is public, and nothing else: not the exit's own addresses, not its private nets. */
static void test_internet(void **state)
{
	static const struct {
		const char *ip;
		bool is;
	} rows[] = { { "8.8.8.8", true }, { "0.0.0.0", true }, { "9.255.255.255", true },
		{ "10.0.0.1", false }, { "11.0.0.0", true }, { "100.63.255.255", true },
		{ "100.64.0.6", false }, { "100.127.255.255", false }, { "100.128.0.0", true },
		{ "169.253.255.255", true }, { "169.254.169.254", false }, { "169.255.0.0", true },
		{ "172.15.255.255", true }, { "172.16.0.1", false }, { "172.31.255.255", false },
		{ "172.32.0.0", true }, { "192.167.255.255", true }, { "192.168.1.1", false },
		{ "192.169.0.0", true }, { "255.255.255.255", true }, { "2001:db8::1", true },
		{ "3fff:ffff::1", true }, { "1fff::1", false }, { "4000::", false },
		{ "fd7a:115c:a1e0::6", false }, { "fe80::1", false } };
	struct errbuf eb = { 0 };
	struct policy *p =
		rules_parse(RULES_HEAD RULES_ACL("\"alice@\"", "\"autogroup:internet:*\"") "]}", &eb);
	struct ctl_rule *rules;
	struct arena a = { 0 };
	struct fleet f;
	struct prefix v6;
	size_t n;
	(void)state;
	net_make(&f);
	add_router(&f, 6);
	assert_true(policy_filter(p, &f, NULL, fleet_by_id(&f, 6), &a, &rules, &n));
	assert_int_equal(n, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr ip;
		bool is = false;
		assert_true(addr_parse(rows[i].ip, &ip));
		for (size_t k = 0; k < rules->n_dst; k++)
			is = is || rules->dst[k].any_ip || prefix_contains(&rules->dst[k].net, &ip);
		if (is != rows[i].is)
			fail_msg("%s", rows[i].ip);
	}
	assert_true(prefix_parse("::/0", &v6));
	assert_true(policy_allows(p, &f, fleet_by_id(&f, 1), fleet_by_id(&f, 6)));
	assert_false(policy_allows(p, &f, fleet_by_id(&f, 3), fleet_by_id(&f, 6)));
	assert_true(policy_shows_route(p, &f, fleet_by_id(&f, 1), fleet_by_id(&f, 6), &v6));
	assert_false(policy_shows_route(p, &f, fleet_by_id(&f, 3), fleet_by_id(&f, 6), &v6));
	arena_free(&a);
	policy_free(p);
	fleet_fini(&f);
}

/* Node 6 carries 10.0.0.0/24 and is an exit: what is behind it counts for it, as a source too. */
static void test_carriers(void **state)
{
	static const struct {
		const char *text, *pairs; /* as in test_visibility */
		int64_t node;
		const char *rules;
	} rows[] = {
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"10.0.0.5:22\"") "]}", "16 26", 6,
			"100.64.0.1-100.64.0.2 fd7a:115c:a1e0::1-fd7a:115c:a1e0::2 > 10.0.0.5/32:22-22" },
		{ RULES_HEAD RULES_ACL("\"tag:web\"", "\"10.0.0.0/16:22\"") "]}", "46", 6,
			"100.64.0.4 fd7a:115c:a1e0::4 > 10.0.0.0/16:22-22" },
		{ RULES_HEAD RULES_ACL("\"10.0.0.0/24\"", "\"db1:80\"") "]}", "65", 5,
			"10.0.0.0-10.0.0.255 > 100.64.0.5/32:80-80" },
		/* all of it, the exit's own ports and private ranges too */
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"0.0.0.0/0:*\"") "]}", "12 13 14 15 16 21 23 24 25 26",
			6, "100.64.0.1-100.64.0.2 fd7a:115c:a1e0::1-fd7a:115c:a1e0::2 > 0.0.0.0/0:0-65535" },
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"::/0:*\"") "]}", "12 13 14 15 16 21 23 24 25 26", 6,
			"100.64.0.1-100.64.0.2 fd7a:115c:a1e0::1-fd7a:115c:a1e0::2 > ::/0:0-65535" },
		/* an exit is not for who may reach one net out there */
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"8.8.8.0/24:*\"") "]}", "", 6, "" },
		/* who may reach all, and be reached from what is carried */
		{ RULES_HEAD RULES_ACL("\"*\"", "\"db1:80\"") "]}", "15 25 35 45 65", 5,
			"10.0.0.0-10.0.0.255 " MESH " > 100.64.0.5/32:80-80" },
		/* by those that a grant names, and nothing of their own */
		{ GRANT("\"src\":[\"alice@\"],\"dst\":[\"10.0.0.0/"
			"24\",\"100.64.0.6\"],\"ip\":[\"*\"],\"via\":["
			"\"tag:web\"]"),
			"", 6, "" },
		{ RULES_HEAD RULES_ACL("\"alice@\"", "\"10.1.0.0/24:*\"") "]}", "", 6, "" },
	};
	struct fleet f;
	(void)state;
	net_make(&f);
	add_router(&f, 6);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct policy *p = rules_parse(rows[i].text, &eb);
		struct arena a = { 0 };
		struct ctl_rule *rules;
		struct buf out = { 0 };
		size_t n;
		for (int64_t from = 1; from <= 6; from++)
			for (int64_t to = 1; to <= 6; to++) {
				char pair[3] = { (char)('0' + from), (char)('0' + to), 0 };
				if (from != to &&
					policy_allows(p, &f, fleet_by_id(&f, from), fleet_by_id(&f, to)) !=
						(strstr(rows[i].pairs, pair) != NULL))
					fail_msg("row %zu: %s", i, pair);
			}
		assert_true(policy_filter(p, &f, NULL, fleet_by_id(&f, rows[i].node), &a, &rules, &n));
		rules_print(rules, n, &out);
		if (strcmp(out.len ? buf_cstr(&out) : "", rows[i].rules) != 0)
			fail_msg("row %zu: %s", i, buf_cstr(&out));
		buf_free(&out);
		arena_free(&a);
		policy_free(p);
	}
	fleet_fini(&f);
}

static void test_hujson(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "{\"a\":1,}", "{\"a\":1 }" },
		{ "[1, // one\n 2, /* two */ ]", "[1,       \n 2            ]" },
		{ "\"// no \\\" comment, ]\"", "\"// no \\\" comment, ]\"" },
		{ "[\",\",]", "[\",\" ]" },
		{ "/* open", "/* open" },
		{ "\"open", "\"open" },
		{ "[,,]", "[, ]" },
		{ "a/", "a/" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *copy = strdup(rows[i].in);
		hujson_blank(copy, strlen(copy));
		if (strcmp(copy, rows[i].out) != 0)
			fail_msg("row %zu: %s", i, copy);
		free(copy);
	}
}

static void test_tags(void **state)
{
	struct errbuf eb = { 0 };
	(void)state;
	struct policy *p =
		rules_parse("{\"tagOwners\":{\"tag:web\":[\"alice@\",\"bob@\"],\"tag:db\":[\"alice@\"],"
			    "\"tag:net\":[\"autogroup:network-admin\"]}}",
			&eb);
	const struct user alice = { .name = "alice" }, bob = { .name = "bob", .role = USER_NETWORK_ADMIN };
	assert_non_null(p);
	assert_true(policy_owns_tag(p, "tag:web", &bob));
	assert_false(policy_owns_tag(p, "tag:db", &bob));
	assert_true(policy_owns_tag(p, "tag:net", &bob));
	assert_false(policy_owns_tag(p, "tag:net", &alice));
	assert_false(policy_owns_tag(p, "tag:none", &alice));
	assert_false(policy_owns_tag(NULL, "tag:web", &alice));
	assert_true(policy_knows_tag(p, "tag:db"));
	assert_false(policy_knows_tag(p, "tag:none"));
	policy_free(p);
	/* tags that own each other are nobody's: who owns is a user */
	p = rules_parse("{\"tagOwners\":{\"tag:a\":[\"tag:b\"],\"tag:b\":[\"tag:a\",\"tag:b\"]}}", &eb);
	assert_non_null(p);
	assert_false(policy_owns_tag(p, "tag:a", &alice));
	assert_false(policy_owns_tag(p, "tag:b", &bob));
	policy_free(p);
}

/* "tests" and "sshTests" say the first thing that is not so. */
static void test_tests(void **state)
{
	static const struct {
		const char *tests, *error;
	} rows[] = {
		{ "\"tests\":[{\"src\":\"alice@\",\"accept\":[\"tag:web:80\"],\"deny\":[\"tag:web:81\",\"tag:"
		  "db:80\"]"
		  "}]",
			"" },
		{ "\"tests\":[{\"src\":\"group:dev\",\"accept\":[\"tag:web:80\"]},{\"src\":\"bob@\","
		  "\"accept\":["
		  "\"tag:web:443\"]}]",
			"tests[1].accept[0]: the rules do not allow this" },
		{ "\"tests\":[{\"src\":\"bob@\",\"deny\":[\"tag:web:80\"]}]",
			"tests[0].deny[0]: the rules allow this" },
		{ "\"tests\":[{\"src\":\"bob@\",\"proto\":\"udp\",\"accept\":[\"tag:web:80\"]}]", "" },
		{ "\"tests\":[{\"src\":\"bob@\",\"proto\":\"gre\",\"accept\":[\"tag:web:80\"]}]",
			"tests[0].accept[0]: the rules do not allow this" },
		/* an address is the node that has it */
		{ "\"tests\":[{\"src\":\"bob@\",\"accept\":[\"100.64.0.4:80\"],\"deny\":[\"100.64.0.5:80\"]}"
		  "]",
			"" },
		{ "\"sshTests\":[{\"src\":\"alice@\",\"dst\":[\"tag:db\"],\"accept\":[\"ubuntu\"],\"deny\":["
		  "\"root\"]}]",
			"" },
		{ "\"sshTests\":[{\"src\":\"bob@\",\"dst\":[\"tag:db\"],\"accept\":[\"ubuntu\"]}]",
			"sshTests[0].accept: the rules do not allow this" },
	};
	struct fleet f;
	(void)state;
	net_make(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		char text[2048];
		snprintf(text, sizeof(text),
			RULES_HEAD RULES_ACL("\"group:dev\"",
				"\"tag:web:80\"") "],\"ssh\":[{\"action\":\"accept\",\"src\":[\"alice@\"],"
						  "\"dst\":[\"tag:db\"],\"users\":["
						  "\"autogroup:nonroot\"]}],%s}",
			rows[i].tests);
		struct policy *p = rules_parse(text, &eb);
		if (!p)
			fail_msg("row %zu: %s", i, eb.text);
		assert_int_equal(!policy_test(p, NULL, &eb), !*rows[i].error); /* as far as can be judged */
		int err = policy_test(p, &f, &eb);
		if (!err != !*rows[i].error || (err && !strstr(eb.text, rows[i].error)))
			fail_msg("row %zu: %s", i, err ? eb.text : "passed");
		policy_free(p);
	}
	fleet_fini(&f);
}

/* As many tests as rules, with nodes and without: what takes longer than others can wait is refused, and soon. */
static void test_bounds(void **state)
{
	static const struct {
		size_t members, rules, tests;
		const char *error;
		bool reads;
	} rows[] = { { 1, 1000, 1000, "", true }, { 100, 20, 100, "", true },
		{ 1, 5000, 5000, "more than a server can make", true },
		{ 4000, 300, 0, "more than 1000000 names up to here", false } };
	struct fleet f;
	(void)state;
	net_make(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct buf text = { 0 };
		buf_printf(&text, "{\"groups\":{\"group:g\":[\"alice@\"");
		for (size_t k = 1; k < rows[i].members; k++)
			buf_printf(&text, ",\"u%zu@\"", k);
		buf_printf(&text,
			"]},\"acls\":[{\"action\":\"accept\",\"src\":[\"group:g\"],\"dst\":[\"*:1\"]}");
		for (size_t k = 1; k < rows[i].rules; k++)
			buf_printf(&text,
				",{\"action\":\"accept\",\"src\":[\"group:g\"],\"dst\":[\"group:g:%zu\"]}",
				k);
		buf_printf(&text, "],\"tests\":[{\"src\":\"alice@\",\"deny\":[\"bob@:9999\"]}");
		for (size_t k = 1; k < rows[i].tests; k++)
			buf_printf(&text, ",{\"src\":\"bob@\",\"deny\":[\"100.64.0.%zu:%zu\"]}", k % 200, k);
		buf_printf(&text, "]}");
		struct policy *p = policy_parse((char *)(uintptr_t)buf_data(&text), text.len, &eb);
		assert_int_equal(p != NULL, rows[i].reads);
		int err = p ? policy_test(p, &f, &eb) : -1;
		if (!err != !*rows[i].error || (err && !strstr(eb.text, rows[i].error)))
			fail_msg("row %zu: %s", i, err ? eb.text : "passed");
		policy_free(p);
		buf_free(&text);
	}
	fleet_fini(&f);
}

static void test_approvals(void **state)
{
	static const struct {
		int64_t node;
		const char *route;
		bool is;
	} rows[] = { { 4, "10.0.0.0/8", true }, { 4, "10.1.2.0/24", true }, { 4, "10.0.0.0/7", false },
		{ 4, "11.0.0.0/8", false }, { 5, "10.1.0.0/16", false }, { 3, "0.0.0.0/0", true },
		{ 3, "::/0", true }, { 4, "0.0.0.0/0", false }, { 4, "fd00:1::/64", true } };
	struct errbuf eb = { 0 };
	struct fleet f;
	(void)state;
	net_make(&f);
	/* an exit is not approved as a route */
	struct policy *p = rules_parse(RULES_HEAD
		"],\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":[\"tag:web\"],\"0.0.0.0/"
		"0\":[\"tag:web\"],\"fd00:1::/48\":[\"tag:web\"]},\"exitNode\":[\"bob@\"]}}",
		&eb);
	if (!p)
		fail_msg("%s", eb.text);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix net;
		assert_true(prefix_parse(rows[i].route, &net));
		if (policy_approves(p, &f, fleet_by_id(&f, rows[i].node), &net) != rows[i].is)
			fail_msg("row %zu", i);
		assert_false(policy_approves(NULL, &f, fleet_by_id(&f, rows[i].node), &net));
	}
	policy_free(p);
	fleet_fini(&f);
}

static void test_attrs(void **state)
{
	struct errbuf eb = { 0 };
	struct arena a = { 0 };
	struct ctl_strings attrs;
	const char *ssh;
	struct fleet f;
	(void)state;
	net_make(&f);
	struct policy *p =
		rules_parse("{\"randomizeClientPort\":true,\"nodeAttrs\":[{\"target\":[\"alice@\"],\"attr\":["
			    "\"x\",\"y\"],\"ipPool\":[\"100.81.0.0/16\",\"100.82.0.0/"
			    "24\"]},{\"target\":[\"*\"],\"attr\":["
			    "\"y\"]}],\"ssh\":[{\"action\":"
			    "\"accept\",\"src\":[\"alice@\"],\"dst\":[\"bob@\"],\"users\":[\"root\"]}]}",
			&eb);
	if (!p)
		fail_msg("%s", eb.text);
	assert_true(policy_attrs(p, &f, fleet_by_id(&f, 1), &a, &attrs));
	assert_int_equal(attrs.n, 3);
	assert_string_equal(attrs.v[2], "y");
	assert_true(policy_attrs(p, &f, fleet_by_id(&f, 4), &a, &attrs));
	assert_int_equal(attrs.n, 2);
	struct ctl_prefixes pools;
	assert_true(policy_pools(p, &f, fleet_by_id(&f, 1), &a, &pools));
	assert_int_equal(pools.n, 2);
	assert_int_equal(pools.v[1].bits, 24);
	assert_true(policy_pools(p, &f, fleet_by_id(&f, 4), &a, &pools));
	assert_int_equal(pools.n, 0);
	assert_true(policy_ssh(p, &f, fleet_by_id(&f, 3), &a, &ssh));
	assert_non_null(strstr(ssh, "{\"nodeIP\":\"100.64.0.1\"}"));
	assert_non_null(strstr(ssh, "\"sshUsers\":{\"root\":\"root\"}"));
	assert_null(strstr(ssh, "100.64.0.3"));
	assert_true(policy_ssh(p, &f, fleet_by_id(&f, 1), &a, &ssh));
	assert_string_equal(ssh, "{\"rules\":[]}");
	policy_free(p);
	arena_free(&a);
	fleet_fini(&f);
}

/* 100.64.0.5 is db1: what a node gains by the rules when it gets another address. */
static void test_names_address(void **state)
{
	static const struct {
		const char *text, *from, *to;
		bool named;
	} rows[] = {
		{ "{}", "100.64.0.1", "100.64.0.5", false },
		{ RULES_HEAD RULES_ACL("\"*\"", "\"*:*\"") "]}", "100.64.0.1", "100.64.0.5", false },
		{ RULES_HEAD RULES_ACL("\"db1\"", "\"*:22\"") "]}", "100.64.0.1", "100.64.0.5", true },
		{ RULES_HEAD RULES_ACL("\"db1\"", "\"*:22\"") "]}", "100.64.0.1", "100.64.0.6", false },
		{ RULES_HEAD RULES_ACL("\"*\"", "\"db1:22\"") "]}", "100.64.0.1", "100.64.0.5", true },
		{ RULES_HEAD RULES_ACL("\"*\"", "\"db1:22\"") "]}", "100.64.0.5", "100.64.0.1",
			false }, /* it loses */
		{ RULES_HEAD RULES_ACL("\"100.64.0.0/24\"", "\"*:22\"") "]}", "100.64.0.1", "100.64.0.5",
			false },
		{ RULES_HEAD RULES_ACL("\"100.64.1.0/24\"", "\"*:22\"") "]}", "100.64.0.1", "100.64.1.5",
			true },
		{ "{\"nodeAttrs\":[{\"target\":[\"100.64.0.9\"],\"attr\":[\"x\"]}]}", "100.64.0.1",
			"100.64.0.9", true },
		{ "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"100.64.0.9\"],\"ip\":[\"*\"]}]}", "100.64.0.1",
			"100.64.0.9", true },
		{ "{\"ipsets\":{\"ipset:a\":[\"100.64.0.8/31\"]},\"acls\":[" RULES_ACL(
			  "\"ipset:a\"", "\"*:1\"") "]}",
			"100.64.0.1", "100.64.0.9", true },
		{ "{\"ssh\":[{\"action\":\"accept\",\"src\":[\"100.64.0.9\"],\"dst\":[\"bob@\"],"
		  "\"users\":[\"root\"]}]}",
			"100.64.0.1", "100.64.0.9", true },
	};
	(void)state;
	assert_false(policy_names_address(NULL, &addr_any6, &addr_any6));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct addr from, to;
		struct policy *p = rules_parse(rows[i].text, &eb);
		assert_true(addr_parse(rows[i].from, &from) && addr_parse(rows[i].to, &to));
		if (!p || policy_names_address(p, &from, &to) != rows[i].named)
			fail_msg("row %zu: %s", i, eb.text);
		policy_free(p);
	}
}

/* Logins that are checked: the stricter rule comes first on the wire, whatever the file says, and holds for its time. */
static void test_checks(void **state)
{
	static const struct {
		const char *test;
		bool passes;
	} rows[] = { { "\"check\":[\"root\"]", true }, { "\"check\":[\"ubuntu\"]", false },
		{ "\"accept\":[\"ubuntu\"]", true }, { "\"deny\":[\"root\"]", false },
		{ "\"deny\":[\"nobody\"]", false } };
	struct fleet f;
	(void)state;
	net_make(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct arena a = { 0 };
		char text[1024];
		const char *ssh;
		uint64_t period;
		snprintf(text, sizeof(text),
			"{\"ssh\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"bob@\"],\"users\":["
			"\"autogroup:nonroot\"]},{\"action\":\"check\",\"checkPeriod\":\"2h\",\"src\":["
			"\"alice@\"],"
			"\"dst\":[\"bob@\"],\"users\":[\"root\"]}],\"sshTests\":[{\"src\":\"alice@\",\"dst\":"
			"[\"bob@\"],"
			"%s}]}",
			rows[i].test);
		struct policy *p = rules_parse(text, &eb);
		if (!p)
			fail_msg("%s", eb.text);
		if ((policy_test(p, &f, &eb) == 0) != rows[i].passes)
			fail_msg("row %zu", i);
		assert_true(policy_ssh(p, &f, fleet_by_id(&f, 3), &a, &ssh));
		const char *held = strstr(ssh, "holdAndDelegate"), *accepted = strstr(ssh, "\"accept\":true");
		assert_true(held && accepted && held < accepted);
		assert_true(
			policy_ssh_checked(p, &f, fleet_by_id(&f, 1), fleet_by_id(&f, 3), "root", &period));
		assert_int_equal(period, 2 * 3600 * 1000);
		assert_false(
			policy_ssh_checked(p, &f, fleet_by_id(&f, 1), fleet_by_id(&f, 3), "ubuntu", &period));
		assert_false(
			policy_ssh_checked(p, &f, fleet_by_id(&f, 4), fleet_by_id(&f, 3), "root", &period));
		arena_free(&a);
		policy_free(p);
	}
	fleet_fini(&f);
}

/* A member in the part of the mesh's range that virtual machines have is a source of "*" all the same. */
static void test_unusual_address(void **state)
{
	struct errbuf eb = { 0 };
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct ctl_rule *rules;
	struct fleet f;
	size_t n;
	(void)state;
	net_make(&f);
	struct member d = *fleet_by_id(&f, 3);
	assert_true(addr_parse("100.115.92.200", &d.v4));
	assert_non_null(net_put(&f, &d));
	struct policy *p = rules_parse(RULES_HEAD RULES_ACL("\"*\"", "\"db1:1\"") "]}", &eb);
	assert_true(policy_filter(p, &f, NULL, fleet_by_id(&f, 5), &a, &rules, &n));
	rules_print(rules, n, &out);
	assert_string_equal(buf_cstr(&out),
		"100.64.0.0-100.115.91.255 100.115.92.200 100.115.94.0-100.127.255.255 "
		"fd7a:115c:a1e0::-fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff > 100.64.0.5/32:1-1");
	buf_free(&out);
	arena_free(&a);
	policy_free(p);
	fleet_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_visibility), cmocka_unit_test(test_filters),
		cmocka_unit_test(test_carriers), cmocka_unit_test(test_hujson), cmocka_unit_test(test_tags),
		cmocka_unit_test(test_internet), cmocka_unit_test(test_tests), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_nobody), cmocka_unit_test(test_approvals), cmocka_unit_test(test_attrs),
		cmocka_unit_test(test_names_address), cmocka_unit_test(test_checks),
		cmocka_unit_test(test_unusual_address) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
