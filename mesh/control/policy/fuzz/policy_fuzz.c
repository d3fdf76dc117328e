/* A policy file of anybody's: read, tried, and asked about everything that it is asked about in a server, while members
 * change, with memory short at one place or another. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/control/policy/difference.h"
#include "mesh/control/policy/source.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = 5, CARRIER = 1, TAGGED = 3, CHANGES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const routes[] = { "10.0.0.0/8", "0.0.0.0/0" };

/* One of alice's, one tagged, one that carries nets; and what changes about it. */
static void put_member(struct fleet *f, int64_t id, bool tagged)
{
	const char *tag = "tag:web";
	struct prefix served[2];
	struct member d = { .id = id,
		.user = 1 + id % 2,
		.role = fleet_role(f, 1 + id % 2),
		.groups = fleet_groups(f, 1 + id % 2),
		.name = "n",
		.has_v4 = true,
		.v4 = addr_v4(0x64400000 + (uint32_t)id) };
	d.has_v6 = id % 2 && addr_parse("fd7a:115c:a1e0::5", &d.v6);
	d.key.b[0] = (uint8_t)id;
	if (id == CARRIER || id == TAGGED) {
		d.routes = (struct ctl_strings) { .v = (const char **)routes, .n = 2 };
		d.hostinfo_json = "{\"RoutableIPs\":[\"10.0.0.0/8\",\"0.0.0.0/0\"]}";
		if (prefix_parse(routes[0], &served[0]) && prefix_parse(routes[1], &served[1]))
			d.served = (struct ctl_prefixes) { .v = served, .n = id == CARRIER ? 2 : 1 };
	}
	d.tags = (struct ctl_strings) { .v = &tag, .n = tagged };
	struct member *m = member_copy(&d);
	if (m)
		(void)fleet_put(f, m);
}

static void ask_pair(const struct policy *p, const struct fleet *f, struct policy_cache *cache,
	const struct member *a, const struct member *b)
{
	const struct policy_question q = {
		.from = a, .to = b, .from_at = a->v4, .to_at = b->v4, .proto = 6, .port = 22
	};
	struct policy_answer answer;
	uint64_t period;
	bool sees = policy_sees(p, f, cache, a, b);
	if (sees != (policy_allows(p, f, a, b) || policy_allows(p, f, b, a)))
		abort();
	policy_explain(p, f, &q, &answer);
	for (size_t i = 0; i < b->carries.n; i++) {
		(void)policy_shows_route(p, f, a, b, &b->carries.v[i]);
		(void)policy_approves(p, f, a, &b->carries.v[i]);
	}
	(void)policy_names_address(p, &a->v4, &b->v4);
	(void)policy_ssh_checked(p, f, a, b, "root", &period);
	(void)policy_ssh_checked(p, f, a, b, "alice", &period);
}

static void ask_node(
	const struct policy *p, const struct fleet *f, struct policy_cache *cache, const struct member *m)
{
	struct arena a = { 0 };
	struct ctl_rule *rules;
	struct ctl_strings attrs;
	struct ctl_prefixes pools;
	const char *ssh;
	uint64_t mark;
	size_t n;
	if (cache)
		(void)policy_filter_mark(p, f, cache, m, &mark);
	(void)policy_filter(p, f, cache, m, &a, &rules, &n);
	(void)policy_filter(p, f, NULL, m, &a, &rules, &n);
	(void)policy_attrs(p, f, m, &a, &attrs);
	(void)policy_pools(p, f, m, &a, &pools);
	(void)policy_ssh(p, f, m, &a, &ssh);
	arena_free(&a);
}

static void ask_all(const struct policy *p, const struct fleet *f, struct policy_cache *cache)
{
	for (size_t i = 0; i < f->n; i++) {
		ask_node(p, f, cache, f->v[i]);
		for (size_t k = 0; k < f->n && cache; k++)
			ask_pair(p, f, cache, f->v[i], f->v[k]);
	}
}

static void ask(const struct policy *p)
{
	struct fleet f;
	struct policy_cache *cache = policy_cache_new();
	struct user_groups *groups;
	if (!user_groups_new("g\nstaff\n", "x.test", &groups))
		groups = NULL;
	const struct user alice = { .id = 1, .name = "alice@x.test", .role = USER_OWNER, .groups = groups },
			  bob = { .id = 2, .name = "bob", .role = USER_AUDITOR };
	struct arena a = { 0 };
	struct difference d;
	struct errbuf eb;
	fleet_init(&f, 1);
	if (!fleet_user_put(&f, &alice) || !fleet_user_put(&f, &bob))
		goto end;
	for (int64_t id = 1; id <= MEMBERS; id++)
		put_member(&f, id, id == TAGGED);
	ask_all(p, &f, cache);
	for (int64_t i = 0; i < CHANGES; i++) {
		int64_t id = 1 + i % MEMBERS;
		if (i % 2)
			fleet_remove(&f, id);
		else
			put_member(&f, id, i % 4 == 0);
		policy_cache_member_changed(cache, id);
		ask_all(p, &f, cache);
	}
	(void)policy_test(p, NULL, &eb);
	(void)policy_test(p, &f, &eb);
	(void)policy_owns_tag(p, "tag:web", &alice);
	(void)policy_owns_tag(p, "tag:web", &bob);
	(void)policy_knows_tag(p, "tag:web");
	(void)policy_difference(NULL, p, &f, &a, &d);
	arena_free(&a);
	if (policy_difference(p, p, &f, &a, &d) && d.n)
		abort();
	arena_free(&a);
end:
	policy_cache_free(cache);
	fleet_fini(&f);
	user_groups_put(groups);
}

static void run(const uint8_t *data, size_t len)
{
	struct errbuf eb;
	trouble_begin();
	struct policy_source *s = policy_source_new((const char *)data, len, &eb);
	if (s)
		ask(policy_source_get(s)->rules);
	trouble_end();
	policy_source_put(s);
	policy_source_put(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
