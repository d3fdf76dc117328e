/* The index says of every node and rule what matching rule by rule says, and the lists of sources what looking at
 * everybody says, while nodes come, change and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/policy/index.h"
#include "mesh/control/policy/match.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULES = 90, NODES = 40, ROUNDS = 120, WORDS = 2 };

static const char *pick(const char *const *v, size_t n)
{
	return v[(size_t)rand() % n];
}

/* Grants of every kind of name, some by others. */
static struct policy *make_policy(void)
{
	static const char *const src[] = { "alice@", "bob@", "tag:web", "tag:db", "*", "autogroup:member",
		"autogroup:tagged", "autogroup:admin", "autogroup:auditor", "100.64.0.7", "100.64.0.0/28",
		"10.0.0.0/8", "fd7a:115c:a1e0::9", "user:*@x.test", "autogroup:danger-all",
		"group:g1@x.test" },
				 *const dst[] = { "alice@", "bob@", "tag:web", "tag:db", "*",
					 "autogroup:member", "autogroup:tagged", "autogroup:owner",
					 "100.64.0.9", "100.64.0.0/27", "10.1.0.0/16", "10.1.2.3",
					 "192.168.0.0/16", "autogroup:internet", "user:*@x.test",
					 "group:g1@x.test", "group:g2@x.test" };
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	buf_printf(&text, "{\"tagOwners\":{\"tag:web\":[],\"tag:db\":[]},\"grants\":[");
	for (int i = 0; i < RULES; i++)
		buf_printf(&text, "%s{\"src\":[\"%s\",\"%s\"],\"dst\":[\"%s\",\"%s\"],\"ip\":[\"%d\"]%s}",
			i ? "," : "", pick(src, ARRAY_LEN(src)), pick(src, ARRAY_LEN(src)),
			pick(dst, ARRAY_LEN(dst)), pick(dst, ARRAY_LEN(dst)), i + 1,
			rand() % 5 ? "" : ",\"via\":[\"tag:web\"]");
	buf_printf(&text, "]}");
	struct policy *p = policy_parse((char *)buf_data(&text), text.len, &eb);
	if (!p)
		fail_msg("%s", eb.text);
	buf_free(&text);
	return p;
}

/* Anybody with anything, in the place of who has the number. */
static void put_any(struct fleet *f, int64_t id)
{
	static const char *const tags[] = { "tag:web", "tag:db" };
	static const char *const routes[] = { "10.1.0.0/16", "0.0.0.0/0", "192.168.7.0/24", "10.0.0.0/8" };
	const char *some[2];
	struct member d = *net_add(f, id, "n", 1 + rand() % 3, rand() % 3 ? NULL : tags[rand() % 2]);
	struct user_groups *groups;
	assert_true(user_groups_new(rand() % 2 ? "g1\n" : "g1\ng2\ng3\n", "x.test", &groups));
	d.groups = rand() % 3 ? groups : NULL;
	d.v4 = addr_v4(0x64400000 + (uint32_t)(rand() % 64 + 1 + 64 * id));
	if (rand() % 4 == 0)
		d.v4 = addr_v4(0x64400000 + (uint32_t)id);
	if (rand() % 3 == 0) {
		some[0] = routes[rand() % 4];
		some[1] = routes[rand() % 4];
		d.routes = (struct ctl_strings) { .v = some, .n = 2 };
		d.hostinfo_json =
			"{\"RoutableIPs\":[\"10.1.0.0/16\",\"0.0.0.0/0\",\"192.168.7.0/24\",\"10.0.0.0/8\"]}";
	}
	assert_non_null(net_put(f, &d));
	user_groups_put(groups);
}

static void check_bits(const struct policy *p, const struct fleet *f, const struct member *m)
{
	uint64_t bits[3][WORDS];
	policy_index_find(p, f, m, &(struct index_bits) { bits[0], bits[1], bits[2] });
	for (size_t i = 0; i < p->n_rules; i++) {
		const bool from = bits[0][i / 64] >> i % 64 & 1, to = bits[1][i / 64] >> i % 64 & 1;
		if (from != match_from(&p->rules[i], f, m) || to != match_to(&p->rules[i], f, m))
			fail_msg("node %lld, rule %zu: from %d, to %d", (long long)m->id, i, from, to);
	}
}

static void check_filters(const struct policy *p, const struct fleet *f, struct policy_cache *c)
{
	for (size_t i = 0; i < f->n; i += 7) {
		struct arena a = { 0 };
		struct ctl_rule *kept, *fresh;
		size_t n_kept, n_fresh;
		struct buf x = { 0 }, y = { 0 };
		struct ctl_filter one = { .name = "base" };
		struct ctl_map_response m = {
			.control_time_ms = FLEET_NO_TIME, .filters = &one, .n_filters = 1
		};
		assert_true(policy_filter(p, f, c, f->v[i], &a, &kept, &n_kept));
		assert_true(policy_filter(p, f, NULL, f->v[i], &a, &fresh, &n_fresh));
		one.rules = kept;
		one.n_rules = n_kept;
		assert_true(ctl_map_response_write(&x, &m));
		one.rules = fresh;
		one.n_rules = n_fresh;
		assert_true(ctl_map_response_write(&y, &m));
		assert_string_equal(buf_cstr(&x), buf_cstr(&y));
		buf_free(&x);
		buf_free(&y);
		arena_free(&a);
	}
}

static void test_index(void **state)
{
	struct fleet f;
	(void)state;
	srand(11);
	for (int policy = 0; policy < 3; policy++) {
		struct policy *p = make_policy();
		struct policy_cache *c = policy_cache_new();
		net_init(&f);
		assert_true(fleet_user_put(
			&f, &(struct user) { .id = 3, .name = "carol@x.test", .role = USER_AUDITOR }));
		for (int round = 0; round < ROUNDS; round++) {
			int64_t id = 1 + rand() % NODES;
			if (rand() % 6 == 0)
				fleet_remove(&f, id);
			else
				put_any(&f, id);
			policy_cache_member_changed(c, id);
			if (fleet_by_id(&f, id))
				check_bits(p, &f, fleet_by_id(&f, id));
			if (round % 3 == 0)
				check_filters(p, &f, c);
		}
		policy_cache_free(c);
		policy_free(p);
		fleet_fini(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_index) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
