/* Groups that a provider tells of a user, wherever rules may name them: bob (node 3) is in staff@x.test, and what is
 * tagged is in no group, whoever brought it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/policy/test/rules.h"
#include "mesh/control/policy/difference.h"
#include "mesh/control/policy/policy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOB = 2, BOBS = 3, WEB = 4, MINE = 6 };

/* The user and their nodes, as they are after a login. */
static void put_groups(struct fleet *f, int64_t user, const char *lines)
{
	struct user_groups *g;
	assert_true(user_groups_new(lines, "x.test", &g));
	struct user u = *fleet_user(f, user);
	u.groups = g;
	assert_true(fleet_user_put(f, &u));
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i]->user == user) {
			struct member d = *f->v[i];
			d.groups = g;
			assert_non_null(net_put(f, &d));
		}
	user_groups_put(g);
}

static void make(struct fleet *f)
{
	net_make(f);
	net_add(f, MINE, "bobs-server", BOB, "tag:web");
	put_groups(f, BOB, "staff\n/net ops\n");
}

#define ONE(src, dst) "{\"acls\":[{\"action\":\"accept\",\"src\":[\"" src "\"],\"dst\":[\"" dst "\"]}]}"
#define STAFF "group:staff@x.test"

static void test_reach(void **state)
{
	/* "ab": a may begin a conversation with b; all others may not */
	static const struct {
		const char *text, *pairs;
	} rows[] = {
		{ ONE(STAFF, "alice@:22"), "31 32" },
		{ ONE("alice@", STAFF ":22"), "13 23" },
		{ ONE(STAFF, "*:*"), "31 32 34 35 36" },
		{ ONE("group:staff@X.TEST", "alice@:22"), "31 32" },
		{ ONE("group:Staff@x.test", "alice@:22"), "" },
		{ ONE("group:/net ops@x.test", "alice@:22"), "31 32" },
		{ ONE("group:staff@y.test", "*:*"), "" },
		{ "{\"grants\":[{\"src\":[\"" STAFF "\"],\"dst\":[\"alice@\"],\"ip\":[\"*\"]}]}", "31 32" },
		/* one with a shorter name, and one that the policy has */
		{ "{\"groups\":{\"group:a\":[\"" STAFF "\"]},\"acls\":[{\"action\":\"accept\",\"src\":["
		  "\"group:a\"],\"dst\":[\"alice@:1\"]}]}",
			"31 32" },
		{ "{\"groups\":{\"" STAFF
		  "\":[\"alice@\"]},\"acls\":[{\"action\":\"accept\",\"src\":[\"" STAFF
		  "\"],\"dst\":[\"bob@:1\"]}]}",
			"13 23" },
		{ ONE(STAFF, "autogroup:self:*"), "" },
	};
	struct fleet f;
	(void)state;
	make(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy *p = rules_parse_good(rows[i].text);
		struct policy_cache *c = policy_cache_new();
		for (int64_t a = 1; a <= MINE; a++)
			for (int64_t b = 1; b <= MINE; b++) {
				char pair[3] = { (char)('0' + a), (char)('0' + b), 0 },
				     back[3] = { pair[1], pair[0], 0 };
				const struct member *x = fleet_by_id(&f, a), *y = fleet_by_id(&f, b);
				bool want = strstr(rows[i].pairs, pair);
				if (a == b)
					continue;
				if (policy_allows(p, &f, x, y) != want ||
					policy_sees(p, &f, c, x, y) != (want || strstr(rows[i].pairs, back)))
					fail_msg("row %zu: %s", i, pair);
			}
		policy_cache_free(c);
		policy_free(p);
	}
	fleet_fini(&f);
}

static size_t sources_of(
	const struct policy *p, const struct fleet *f, struct policy_cache *c, int64_t node, uint64_t *mark)
{
	struct arena a = { 0 };
	struct ctl_rule *rules;
	size_t n, sources = 0;
	assert_true(policy_filter(p, f, c, fleet_by_id(f, node), &a, &rules, &n));
	assert_true(policy_filter_mark(p, f, c, fleet_by_id(f, node), mark));
	for (size_t i = 0; i < n; i++)
		sources += rules[i].n_src;
	arena_free(&a);
	return sources;
}

/* A login that changes groups changes the filters that they are in, and no others. */
static void test_change(void **state)
{
	struct policy *p = rules_parse_good(
		"{\"tagOwners\":{\"tag:web\":[]},\"acls\":[{\"action\":\"accept\",\"src\":[\"" STAFF
		"\"],\"dst\":[\"tag:web:80\"]},{\"action\":\"accept\",\"src\":[\"bob@\"],"
		"\"dst\":[\"alice@:22\"]}]}");
	struct policy_cache *c = policy_cache_new();
	uint64_t web[3], alice[3];
	struct fleet f;
	(void)state;
	make(&f);
	assert_int_equal(sources_of(p, &f, c, WEB, &web[0]), 2); /* both addresses of bob's */
	assert_int_equal(sources_of(p, &f, c, 1, &alice[0]), 2);
	put_groups(&f, BOB, "");
	policy_cache_member_changed(c, BOBS);
	assert_int_equal(sources_of(p, &f, c, WEB, &web[1]), 0);
	assert_int_equal(sources_of(p, &f, c, 1, &alice[1]), 2);
	assert_int_not_equal(web[1], web[0]);
	assert_int_equal(alice[1], alice[0]);
	/* one that no rule names changes nothing */
	put_groups(&f, BOB, "other\n");
	policy_cache_member_changed(c, BOBS);
	assert_int_equal(sources_of(p, &f, c, WEB, &web[2]), 0);
	assert_int_equal(sources_of(p, &f, c, 1, &alice[2]), 2);
	assert_int_equal(web[2], web[1]);
	assert_int_equal(alice[2], alice[0]);
	policy_cache_free(c);
	policy_free(p);
	fleet_fini(&f);
}

static void test_rights(void **state)
{
	struct policy *p = rules_parse_good(
		"{\"tagOwners\":{\"tag:web\":[\"" STAFF "\"],\"tag:db\":[\"group:else@x.test\"]},"
		"\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":[\"" STAFF "\"]},\"exitNode\":[\"" STAFF
		"\"]},"
		"\"nodeAttrs\":[{\"target\":[\"" STAFF
		"\"],\"attr\":[\"x\"],\"ipPool\":[\"100.81.0.0/16\"]}],"
		"\"ssh\":[{\"action\":\"check\",\"src\":[\"" STAFF "\"],\"dst\":[\"tag:web\",\"" STAFF
		"\"],\"users\":[\"root\"]}]}");
	struct arena a = { 0 };
	struct ctl_strings attrs;
	struct ctl_prefixes pools;
	struct prefix route;
	uint64_t period;
	const char *ssh;
	struct fleet f;
	(void)state;
	make(&f);
	const struct user *alice = fleet_user(&f, 1), *bob = fleet_user(&f, BOB);
	const struct member *bobs = fleet_by_id(&f, BOBS), *web = fleet_by_id(&f, MINE);
	assert_true(policy_owns_tag(p, "tag:web", bob));
	assert_false(policy_owns_tag(p, "tag:db", bob));
	assert_false(policy_owns_tag(p, "tag:web", alice));
	for (int i = 0; i < 2; i++) {
		assert_true(prefix_parse(i ? "0.0.0.0/0" : "10.1.0.0/16", &route));
		assert_true(policy_approves(p, &f, bobs, &route));
		assert_false(policy_approves(p, &f, web, &route)); /* tagged: nobody's */
		assert_false(policy_approves(p, &f, fleet_by_id(&f, 1), &route));
	}
	assert_true(policy_attrs(p, &f, bobs, &a, &attrs) && attrs.n == 1);
	assert_true(policy_attrs(p, &f, web, &a, &attrs) && !attrs.n);
	assert_true(policy_pools(p, &f, bobs, &a, &pools) && pools.n == 1);
	assert_true(policy_pools(p, &f, fleet_by_id(&f, 1), &a, &pools) && !pools.n);
	assert_true(policy_ssh(p, &f, web, &a, &ssh));
	assert_non_null(strstr(ssh, "\"100.64.0.3\""));
	assert_null(strstr(ssh, "\"100.64.0.1\""));
	assert_true(policy_ssh(p, &f, fleet_by_id(&f, 1), &a, &ssh));
	assert_string_equal(ssh, "{\"rules\":[]}");
	assert_true(policy_ssh_checked(p, &f, bobs, web, "root", &period));
	assert_false(policy_ssh_checked(p, &f, fleet_by_id(&f, 1), web, "root", &period));
	put_groups(&f, BOB, "else\n");
	assert_false(policy_owns_tag(p, "tag:web", fleet_user(&f, BOB)));
	assert_true(policy_owns_tag(p, "tag:db", fleet_user(&f, BOB)));
	assert_false(policy_ssh_checked(p, &f, fleet_by_id(&f, BOBS), web, "root", &period));
	arena_free(&a);
	policy_free(p);
	fleet_fini(&f);
}

#define TESTED(rule, tests) \
	"{\"groups\":{\"group:both\":[\"alice@\",\"" STAFF "\"]},\"tagOwners\":{\"tag:web\":[]},\"acls\":[{" \
	"\"action\":\"accept\",\"src\":[\"" rule "\"],\"dst\":[\"tag:web:80\"]},{\"action\":\"accept\"," \
	"\"src\":[\"alice@\"],\"dst\":[\"" STAFF ":80\"]}]," \
	"\"ssh\":[{\"action\":\"accept\",\"src\":[\"" rule \
	"\"],\"dst\":[\"tag:web\"],\"users\":[\"root\"]}]," tests "}"

/* alone: as far as it can be judged without a fleet, which is where nobody knows who is in it. */
static void test_tests(void **state)
{
	static const struct {
		const char *text;
		bool passes, alone;
	} rows[] = {
		{ TESTED(STAFF, "\"tests\":[{\"src\":\"bob@\",\"accept\":[\"tag:web:80\"]}]"), true, true },
		{ TESTED(STAFF, "\"tests\":[{\"src\":\"bob@\",\"deny\":[\"tag:web:80\"]}]"), false, true },
		{ TESTED(STAFF, "\"tests\":[{\"src\":\"alice@\",\"accept\":[\"tag:web:80\"]}]"), false,
			true },
		{ TESTED(STAFF, "\"tests\":[{\"src\":\"alice@\",\"deny\":[\"tag:web:80\"]}]"), true, true },
		{ TESTED(STAFF, "\"tests\":[{\"src\":\"" STAFF
				"\",\"accept\":[\"tag:web:80\"],\"deny\":[\"tag:web:81\"]}]"),
			true, true },
		{ TESTED(STAFF, "\"tests\":[{\"src\":\"" STAFF "\",\"deny\":[\"tag:web:80\"]}]"), false,
			false },
		/* the members, not the name */
		{ TESTED("bob@", "\"tests\":[{\"src\":\"" STAFF "\",\"accept\":[\"tag:web:80\"]}]"), true,
			true },
		{ TESTED("bob@", "\"tests\":[{\"src\":\"" STAFF "\",\"deny\":[\"tag:web:80\"]}]"), false,
			true },
		{ TESTED("alice@", "\"tests\":[{\"src\":\"" STAFF "\",\"accept\":[\"tag:web:80\"]}]"), false,
			true },
		{ TESTED("alice@", "\"tests\":[{\"src\":\"" STAFF "\",\"deny\":[\"tag:web:80\"]}]"), true,
			true },
		{ TESTED("bob@", "\"tests\":[{\"src\":\"group:both\",\"accept\":[\"tag:web:80\"]}]"), false,
			false },
		{ TESTED("group:both", "\"tests\":[{\"src\":\"group:both\",\"accept\":[\"tag:web:80\"]}]"),
			true, true },
		/* nobody is in it: its name stands for itself */
		{ TESTED("group:no@x.test",
			  "\"tests\":[{\"src\":\"group:no@x.test\",\"accept\":[\"tag:web:80\"]}]"),
			true, true },
		{ TESTED("group:no@x.test", "\"tests\":[{\"src\":\"bob@\",\"deny\":[\"tag:web:80\"]}]"), true,
			true },
		{ TESTED(STAFF, "\"tests\":[{\"src\":\"alice@\",\"accept\":[\"" STAFF ":80\",\"bob@:80\"]}]"),
			true, true },
		{ TESTED(STAFF,
			  "\"sshTests\":[{\"src\":\"bob@\",\"dst\":[\"tag:web\"],\"accept\":[\"root\"]}]"),
			true, true },
		{ TESTED(STAFF, "\"sshTests\":[{\"src\":\"" STAFF
				"\",\"dst\":[\"tag:web\"],\"accept\":[\"root\"],\"deny\":[\"games\"]}]"),
			true, true },
		{ TESTED("bob@",
			  "\"sshTests\":[{\"src\":\"" STAFF "\",\"dst\":[\"tag:web\"],\"deny\":[\"root\"]}]"),
			false, true },
		{ TESTED(STAFF,
			  "\"sshTests\":[{\"src\":\"alice@\",\"dst\":[\"tag:web\"],\"accept\":[\"root\"]}]"),
			false, true },
	};
	struct fleet f;
	(void)state;
	make(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct policy *p = rules_parse_good(rows[i].text);
		if (!policy_test(p, &f, &eb) != rows[i].passes)
			fail_msg("row %zu: %s", i, eb.text);
		if (!policy_test(p, NULL, &eb) != rows[i].alone)
			fail_msg("row %zu, alone: %s", i, eb.text);
		policy_free(p);
	}
	fleet_fini(&f);
}

static void count_rules(void *arg, const char *section, unsigned index, unsigned line)
{
	(void)section;
	(void)index;
	(void)line;
	++*(int *)arg;
}

/* What is shown of rules before they are saved, and after. */
static void test_shown(void **state)
{
	struct policy *p = rules_parse_good(ONE(STAFF, "alice@:22"));
	const struct policy_about about = { .user = NULL };
	struct arena a = { 0 };
	struct difference d;
	struct fleet f;
	int n = 0;
	(void)state;
	make(&f);
	struct policy_about who = about;
	who.user = fleet_user(&f, BOB);
	policy_preview(p, &f, &who, count_rules, &n);
	assert_int_equal(n, 1);
	who.user = fleet_user(&f, 1);
	policy_preview(p, &f, &who, count_rules, &n);
	assert_int_equal(n, 1);
	const struct policy_question q = { .from = fleet_by_id(&f, BOBS),
		.to = fleet_by_id(&f, 1),
		.from_at = fleet_by_id(&f, BOBS)->v4,
		.to_at = fleet_by_id(&f, 1)->v4,
		.proto = 6,
		.port = 22 };
	struct policy_answer answer;
	policy_explain(p, &f, &q, &answer);
	assert_int_equal(answer.step, POLICY_PASSES);
	struct policy *none = rules_parse_good("{\"acls\":[]}");
	assert_true(policy_difference(none, p, &f, &a, &d));
	assert_int_equal(d.n, 1);
	arena_free(&a);
	policy_free(none);
	policy_free(p);
	fleet_fini(&f);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ ONE("group:staff", "*:*"), "acls[0].src[0]: group:staff is not in \"groups\"" },
		{ ONE("group:@x.test", "*:*"), "no group of a provider" },
		{ ONE("group:staff@", "*:*"), "no group of a provider" },
		{ "{\"groups\":{\"group:a\":[\"group:b\"]}}", "is not a user" },
		{ "{\"groups\":{\"group:b@x.test\":[\"alice@\"],\"group:a\":[\"group:b@x.test\"]}}",
			"there are no groups in groups" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		char *copy = strdup(rows[i].text);
		struct policy *p = policy_parse(copy, strlen(copy), &eb);
		if (p || !strstr(eb.text, rows[i].error))
			fail_msg("row %zu: %s", i, p ? "taken" : eb.text);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_reach), cmocka_unit_test(test_change),
		cmocka_unit_test(test_rights), cmocka_unit_test(test_tests), cmocka_unit_test(test_shown),
		cmocka_unit_test(test_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
