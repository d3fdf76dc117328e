#include "mesh/control/policy/policy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void ask(const struct policy *p)
{
	struct fleet f;
	const char *tag = "tag:web", *routes[] = { "10.0.0.0/8", "0.0.0.0/0" };
	struct policy_cache *cache = policy_cache_new();
	struct errbuf eb;
	fleet_init(&f, 1);
	fleet_user_put(&f, &(struct user) { .id = 1, .name = "alice" });
	for (int64_t id = 1; id <= 3; id++) {
		struct member d = { .id = id,
			.user = 1,
			.name = "n",
			.has_v4 = true,
			.v4 = addr_v4(0x64400000 + (uint32_t)id) };
		d.key.b[0] = (uint8_t)id;
		if (id == 1) {
			d.routes = (struct ctl_strings) { .v = routes, .n = 2 };
			d.hostinfo_json = "{\"RoutableIPs\":[\"10.0.0.0/8\",\"0.0.0.0/0\"]}";
		}
		d.tags = (struct ctl_strings) { .v = &tag, .n = id == 3 };
		(void)fleet_put(&f, member_copy(&d));
	}
	for (size_t i = 0; i < f.n; i++) {
		struct arena a = { 0 };
		struct ctl_rule *rules;
		size_t n;
		(void)policy_filter(p, &f, cache, f.v[i], &a, &rules, &n);
		const struct member *next = f.v[(i + 1) % f.n];
		struct ctl_strings attrs;
		const char *ssh;
		bool sees = policy_sees(p, &f, cache, f.v[i], next);
		if (sees != (policy_allows(p, &f, f.v[i], next) || policy_allows(p, &f, next, f.v[i])))
			abort();
		(void)policy_shows_route(p, &f, f.v[i], next, &f.v[0]->carries.v[0]);
		(void)policy_approves(p, &f, f.v[i], &f.v[0]->carries.v[0]);
		(void)policy_attrs(p, &f, f.v[i], &a, &attrs);
		(void)policy_ssh(p, &f, f.v[i], &a, &ssh);
		arena_free(&a);
	}
	(void)policy_test(p, &f, &eb);
	policy_cache_free(cache);
	fleet_fini(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct errbuf eb;
	if (!copy)
		return 0;
	if (len)
		memcpy(copy, data, len);
	struct policy *p = policy_parse(copy, len, &eb);
	if (p)
		ask(p);
	policy_free(p);
	free(copy);
	return 0;
}
