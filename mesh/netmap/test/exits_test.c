#include "mesh/netmap/exits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_which(void **state)
{
	struct prefix zeros[] = { { .ip = addr_v4(0) }, { .ip = addr_any6 }, { addr_v4(0x0a000000), 8 } },
		      a4 = { addr_v4(0x64400001), 32 }, b4 = { addr_v4(0x64400002), 32 };
	struct netmap_peer a = { .node = { .id = 1,
					 .stable_id = "n1",
					 .name = "fra.mesh.test.",
					 .addresses = { &a4, 1 },
					 .allowed_ips = { zeros, 3 } } },
			   b = { .node = { .id = 2,
					 .stable_id = "n2",
					 .name = "frankfurt.mesh.test.",
					 .addresses = { &b4, 1 },
					 .allowed_ips = { zeros + 1, 2 } } };
	const struct netmap_peer *peers[] = { &a, &b };
	const struct netmap m = { .peers = peers, .n_peers = 2 };
	static const struct {
		const char *who;
		int64_t id;
	} rows[] = { { "", 0 }, { "n1", 1 }, { "n2", 2 }, { "fra", 1 }, { "FRA", 1 }, { "fra.mesh.test", 1 },
		{ "fra.mesh.test.", 1 }, { "frank", 0 }, { "frankfurt", 2 }, { "fra.mesh", 0 }, { ".", 0 },
		{ "100.64.0.2", 2 }, { "100.64.0.3", 0 }, { "n", 0 } };
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct netmap_peer *p = netmap_exit_find(&m, rows[i].who);
		if ((p ? p->node.id : 0) != rows[i].id)
			fail_msg("%s", rows[i].who);
	}
	assert_true(netmap_is_exit(&a.node));
	assert_false(netmap_is_exit(&b.node)); /* half of one */
}

/* Which is suggested: by the relays' distance, by the map where there is no relay, by mark and by priority. */
struct suggested {
	const char *what;
	int64_t id; /* 0: none */
	struct {
		int32_t home;
		const struct ctl_location *at;
		bool gone, marked;
	} exits[3]; /* n1, n2, n3 */
};
static const struct ctl_location oslo = { .latitude = 59.9, .longitude = 10.7, .priority = 9 },
				 bern = { .latitude = 46.9, .longitude = 7.4, .priority = 1 },
				 basel = { .latitude = 47.6, .longitude = 7.6, .priority = 5 },
				 suva = { .latitude = -18.1, .longitude = 178.4, .priority = 9 };
static const struct suggested suggestions[] = {
	{ "the relay that is nearest", 2, { { .home = 901 }, { .home = 900 }, { .home = 902 } } },
	{ "one that was measured", 2, { { .home = 903 }, { .home = 902 }, { .home = 904 } } },
	{ "of equals the first by name", 1, { { .home = 900 }, { .home = 900 }, { .home = 900 } } },
	{ "not one that is gone", 1, { { .home = 901 }, { .home = 900, .gone = true }, { .home = 902 } } },
	{ "none", 0, { { .home = 901, .gone = true }, { .gone = true }, { .gone = true } } },
	{ "those that the network marks", 3,
		{ { .home = 900 }, { .home = 901 }, { .home = 902, .marked = true } } },
	{ "a mark on one that is gone is none", 1,
		{ { .home = 900 }, { .home = 901 }, { .home = 902, .gone = true, .marked = true } } },
	{ "a relay before a place", 3, { { .at = &bern }, { .at = &basel }, { .home = 902 } } },
	{ "the place that is nearest", 2, { { .at = &oslo }, { .at = &bern }, { .at = &suva } } },
	{ "of those about as near the higher priority", 3,
		{ { .at = &oslo }, { .at = &bern }, { .at = &basel } } },
	{ "a place before none", 3, { { 0 }, { 0 }, { .at = &suva } } },
	{ "nobody knows where", 1, { { 0 }, { 0 }, { 0 } } },
};

static void test_suggest(void **state)
{
	struct ctl_derp_region zurich[] = { { .id = 900, .latitude = 47.4, .longitude = 8.5 } };
	const struct ctl_derp_map derp = { .regions = zurich, .n_regions = 1 };
	struct netmap_region_rtt rtts[] = { { 900, 0.010 }, { 901, 0.030 }, { 902, 0.050 }, { 903, 0 } };
	const struct netmap_nearness near = { .home = 900, .rtts = rtts, .n = 4 };
	static const char *const names[] = { "a.mesh.test.", "b.mesh.test.", "c.mesh.test." };
	struct prefix zeros[] = { { .ip = addr_v4(0) }, { .ip = addr_any6 } };
	(void)state;
	for (size_t i = 0; i < sizeof(suggestions) / sizeof(suggestions[0]); i++) {
		const struct suggested *row = &suggestions[i];
		struct netmap_peer p[3] = { 0 };
		const struct netmap_peer *peers[] = { &p[2], &p[0], &p[1] };
		const struct netmap m = { .peers = peers, .n_peers = 3, .derp = &derp };
		for (size_t k = 0; k < 3; k++)
			p[k].node = (struct ctl_node) { .id = (int64_t)k + 1,
				.name = names[k],
				.allowed_ips = { zeros, 2 },
				.home_derp = row->exits[k].home,
				.hostinfo = { .location = row->exits[k].at },
				.online = row->exits[k].gone ? OPT_FALSE : OPT_TRUE,
				.cap_map_json =
					row->exits[k].marked ? "{\"suggest-exit-node\":null}" : NULL };
		const struct ctl_node *c = netmap_exit_suggest(&m, &near);
		if ((c ? c->id : 0) != row->id)
			fail_msg("%s: n%d", row->what, c ? (int)c->id : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_which), cmocka_unit_test(test_suggest) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
