/* What is kept of members between questions: it says what asking anew would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/test/net.h"
#include "mesh/control/policy/test/rules.h"
#include <string.h>

static uint64_t mark_at(const struct policy *p, const struct fleet *f, struct policy_cache *c, int64_t id)
{
	uint64_t mark;
	assert_true(policy_filter_mark(p, f, c, fleet_by_id(f, id), &mark));
	return mark;
}

/* The filter of a node by the cache is the one without it. */
static void check_filter(const struct policy *p, const struct fleet *f, struct policy_cache *c, int64_t id)
{
	struct arena a = { 0 };
	struct buf with = { 0 }, without = { 0 };
	struct ctl_rule *rules;
	size_t n;
	assert_true(policy_filter(p, f, c, fleet_by_id(f, id), &a, &rules, &n));
	rules_print(rules, n, &with);
	assert_true(policy_filter(p, f, NULL, fleet_by_id(f, id), &a, &rules, &n));
	rules_print(rules, n, &without);
	assert_string_equal(with.len ? buf_cstr(&with) : "", without.len ? buf_cstr(&without) : "");
	buf_free(&with);
	buf_free(&without);
	arena_free(&a);
}

/* A member that changes is seen anew; what was kept of one that is gone goes with the next sweep. */
static void test_cache(void **state)
{
	struct errbuf eb = { 0 };
	struct fleet f;
	(void)state;
	net_make(&f);
	struct policy *p = rules_parse(RULES_HEAD RULES_ACL("\"tag:web\"", "\"tag:db:5432\"") "]}", &eb);
	struct policy_cache *c = policy_cache_new();
	assert_true(policy_sees(p, &f, c, fleet_by_id(&f, 5), fleet_by_id(&f, 4)));
	assert_false(policy_sees(p, &f, c, fleet_by_id(&f, 3), fleet_by_id(&f, 5)));
	net_add(&f, 3, "bobs", 2, "tag:web");
	assert_true(policy_sees(p, &f, c, fleet_by_id(&f, 3), fleet_by_id(&f, 5)));
	for (int64_t id = 10; id < 400; id++) {
		net_add(&f, id, "passing", 1, NULL);
		assert_false(policy_sees(p, &f, c, fleet_by_id(&f, id), fleet_by_id(&f, 5)));
		fleet_remove(&f, id);
	}
	policy_cache_free(c);
	policy_free(p);
	fleet_fini(&f);
}

/* The number of a filter changes when the filter does, at those nodes alone where it does. */
static void test_marks(void **state)
{
	struct errbuf eb = { 0 };
	struct fleet f;
	uint64_t mark[6];
	(void)state;
	net_make(&f);
	struct policy *p =
		rules_parse(RULES_HEAD RULES_ACL("\"tag:web\"", "\"tag:db:5432\"") "," RULES_ACL(
				    "\"alice@\"", "\"tag:web:80\"") "," RULES_ACL("\"autogroup:member\"",
				    "\"autogroup:self:22\"") "," RULES_ACL("\"*\"", "\"*:1\"") "]}",
			&eb);
	struct policy_cache *c = policy_cache_new();
	if (!p)
		fail_msg("%s", eb.text);
	static const struct {
		int64_t id, user;
		const char *tag, *name, *changes;      /* tag "-": the node goes */
	} rows[] = { { 6, 1, "tag:web", "web2", "5" }, /* a source of what ends at the database */
		{ 7, 1, NULL, "tv", "1246" },	       /* of alice: her others, and the web servers */
		{ 8, 2, NULL, "bob2", "3" },	       /* bob's own */
		{ 8, 2, "-", "bob2", "3" }, { 7, 1, "tag:db", "tv", "1246" }, { 6, 1, "-", "web2", "5" } };
	for (int64_t id = 1; id <= 5; id++)
		mark[id] = mark_at(p, &f, c, id);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].tag && !strcmp(rows[i].tag, "-"))
			fleet_remove(&f, rows[i].id);
		else
			net_add(&f, rows[i].id, rows[i].name, rows[i].user, rows[i].tag);
		policy_cache_member_changed(c, rows[i].id);
		for (int64_t id = 1; id <= 5; id++) {
			uint64_t now = mark_at(p, &f, c, id);
			if ((now != mark[id]) != (strchr(rows[i].changes, '0' + (int)id) != NULL))
				fail_msg("row %zu: node %d", i, (int)id);
			mark[id] = now;
			check_filter(p, &f, c, id);
		}
	}
	policy_cache_free(c);
	policy_free(p);
	fleet_fini(&f);
}

/* Nothing of one that is gone stays a source, whoever had been looked at before. */
static void test_revoked(void **state)
{
	struct errbuf eb = { 0 };
	struct fleet f;
	(void)state;
	net_make(&f);
	struct policy *p = rules_parse(RULES_HEAD RULES_ACL("\"alice@\"", "\"tag:db:5432\"") "]}", &eb);
	struct policy_cache *c = policy_cache_new();
	check_filter(p, &f, c, 5);
	fleet_remove(&f, 1);
	policy_cache_member_changed(c, 1);
	check_filter(p, &f, c, 5);
	net_add(&f, 2, "phone", 2, NULL); /* bob's now, and nobody said so */
	check_filter(p, &f, c, 2);
	check_filter(p, &f, c, 5);
	policy_cache_free(c);
	policy_free(p);
	fleet_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_revoked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
