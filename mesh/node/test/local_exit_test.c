/* What LocalAPI says of exits that say where they are. */
#include "mesh/node/test/local_place.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_location(void **state)
{
	struct local_place p;
	struct local_answer a;
	struct errbuf eb = { 0 };
	struct prefix all[2], at[3];
	(void)state;
	assert_true(prefix_parse("0.0.0.0/0", &all[0]) && prefix_parse("::/0", &all[1]));
	const struct ctl_location bern = { .country = "Switzerland",
		.country_code = "CH",
		.city = "Bern",
		.city_code = "BRN",
		.latitude = 46.9,
		.longitude = 7.4,
		.priority = 5 };
	struct ctl_node nodes[3] = { { .id = 1, .name = "a.x.", .stable_id = "n1" },
		{ .id = 2, .name = "b.x.", .stable_id = "n2", .hostinfo = { .location = &bern } },
		{ .id = 3, .name = "self.x.", .stable_id = "n3" } };
	for (uint8_t i = 0; i < 3; i++) {
		at[i] = (struct prefix) { addr_v4(0x64400001u + i), 32 };
		nodes[i].key.b[0] = i + 1;
		nodes[i].addresses = (struct ctl_prefixes) { &at[i], 1 };
		nodes[i].allowed_ips = (struct ctl_prefixes) { all, 2 };
		nodes[i].key_expiry_ms = INT64_MIN;
	}
	struct ctl_derp_region region = { .id = 900, .latitude = 47.4, .longitude = 8.5 };
	struct ctl_derp_map derp = { .regions = &region, .n_regions = 1 };
	struct ctl_map_response m = { .node = &nodes[2],
		.peers = nodes,
		.n_peers = 2,
		.derp_map = &derp,
		.control_time_ms = INT64_MIN };
	local_place_make(&p);
	local_ask(&p, &(struct local_question) { "GET", API "suggest-exit-node", NULL, NULL, NULL }, &a);
	assert_int_equal(a.status, 404);
	nodes[0].online = OPT_FALSE;
	p.n->apply.map = netmap_apply(NULL, &m, 0, &eb);
	assert_non_null(p.n->apply.map);
	local_ask(&p, &(struct local_question) { "GET", API "suggest-exit-node", NULL, NULL, NULL }, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "{\"ID\":\"n2\",\"Name\":\"b.x.\",\"Location\":{\"Country\":"
				    "\"Switzerland\",\"CountryCode\":\"CH\","
				    "\"City\":\"Bern\",\"CityCode\":\"BRN\",\"Latitude\":46.9,\"Longitude\":"
				    "7.4,\"Priority\":5}}");
	local_ask(&p, &(struct local_question) { "GET", API "status", NULL, NULL, NULL }, &a);
	assert_non_null(strstr(a.body, "\"Location\":{\"Country\":\"Switzerland\",\"CountryCode\":\"CH\","
				       "\"City\":\"Bern\",\"CityCode\":"
				       "\"BRN\",\"Latitude\":46.9,\"Longitude\":7.4,\"Priority\":5}"));
	netmap_put(p.n->apply.map);
	p.n->apply.map = NULL;
	local_place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_location) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
