/* When a node's key ends, as an admin says it: at a moment, after a time, never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/text.h"
#include "mesh/control/test/world.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *text_of(const json_t *v, const char *name)
{
	const char *text = json_string_value(json_object_get(v, name));
	return text ? text : "";
}

static void test_expiry(void **state)
{
	enum { DAY_MS = 24 * 3600 * 1000 };
	struct world *w = *state;
	struct world_node a, b;
	char key[128];
	int64_t at, now = (int64_t)time(NULL) * 1000;
	size_t seen = 0;
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	world_node_open(&b, w);
	world_node_join(&b, key, "beta");
	world_node_ask_map(&a, true, NULL);
	(void)world_node_next(&a, &seen);

	json_t *v = world_admin(w, "/v1/nodes/expire", "{\"id\":2,\"at\":\"2d\"}");
	assert_true(text_time_ms(text_of(v, "expiry"), &at));
	assert_true(at >= now + 2 * DAY_MS - 1000 && at < now + 3 * DAY_MS);
	assert_true(json_is_false(json_object_get(v, "expired")));
	json_decref(v);
	v = world_admin(w, "/v1/nodes/expire", "{\"id\":2,\"at\":\"2001-02-03T04:05:06Z\"}");
	assert_memory_equal(text_of(v, "expiry"), "2001-02-03T04:05:06", 19);
	assert_true(json_is_true(json_object_get(v, "expired")));
	json_decref(v);

	/* it comes back without a login, and its peers are told */
	v = world_admin(w, "/v1/nodes/keep", "{\"id\":2}");
	assert_true(json_is_null(json_object_get(v, "expiry")));
	assert_true(json_is_false(json_object_get(v, "expired")));
	json_decref(v);
	const struct ctl_map_response *m;
	do
		m = world_node_next(&a, &seen);
	while (!m->n_changed || m->peers_changed[0].expired);
	v = world_admin(w, "/v1/nodes/expire", "{\"id\":2,\"at\":\"soon\"}");
	assert_non_null(json_object_get(v, "error"));
	json_decref(v);
	world_node_close(&a);
	world_node_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
		test_expiry, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
