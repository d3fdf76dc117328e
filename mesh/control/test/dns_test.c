/* The nameservers that nodes are told, as an admin sees them: which node one is, who may ask it, what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <jansson.h>
#include <string.h>

static const char *text(const json_t *o, const char *name)
{
	const char *t = json_string_value(json_object_get(o, name));
	return t ? t : "";
}

/* alpha is the nameserver; beta may ask it, gamma may not. */
static void test_servers(void **state)
{
	struct world *w = *state;
	struct world_node a, b, g;
	char key[128], other[128], path[256];
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_key(w, "{\"user\":\"bob\",\"create_user\":true}", other);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	world_node_open(&b, w);
	world_node_join(&b, key, "beta");
	world_node_open(&g, w);
	world_node_join(&g, other, "gamma");
	world_write_file(place_path(&w->place, "policy.hujson", path),
		"{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"*:53\"]}]}");
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	assert_int_equal(w->status, 200);
	json_decref(world_admin(w, "/v1/apikeys/create", "{}"));
	char api_key[128];
	json_t *v = json_loads(w->answer, 0, NULL);
	snprintf(api_key, sizeof(api_key), "%s", text(v, "key"));
	json_decref(v);
	char host[64], extra[200];
	struct http_request rq = { .method = "POST",
		.target = "/api/v2/tailnet/-/dns/nameservers",
		.host = "hs.test",
		.body = "{\"dns\":[\"100.64.0.1\",\"192.0.2.53\"]}",
		.extra = extra,
		.content_type = "application/json" };
	rq.body_len = strlen(rq.body);
	snprintf(extra, sizeof(extra), "Authorization: Bearer %s\r\n", api_key);
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	(void)world_fetch(w, &rq);
	assert_int_equal(w->status, 200);

	v = world_admin(w, "/v1/dns/servers", "{}");
	const json_t *first = json_array_get(v, 0), *second = json_array_get(v, 1);
	assert_string_equal(text(first, "address"), "100.64.0.1");
	assert_string_equal(text(first, "name"), "alpha");
	assert_string_equal(text(first, "suffix"), ".");
	assert_int_equal(json_integer_value(json_object_get(first, "asked_by")), 1);
	assert_int_equal(json_integer_value(json_object_get(first, "machines")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(first, "without"), 0)), "gamma");
	assert_string_equal(text(second, "address"), "192.0.2.53");
	assert_null(json_object_get(second, "node"));
	json_decref(v);
	world_node_close(&a);
	world_node_close(&b);
	world_node_close(&g);
}

static void test_check(void **state)
{
	struct world *w = *state;
	static const char *const wrong[] = { "{}", "{\"server\":\"pi\"}", "{\"server\":\"127.0.0.1:6379\"}",
		"{\"server\":\"127.0.0.1\",\"name\":\"..\"}" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		json_decref(world_admin(w, "/v1/dns/check", wrong[i]));
		assert_int_equal(w->status, 400);
	}
	/* no connection leads to everybody */
	json_t *v = world_admin(w, "/v1/dns/check", "{\"server\":\"255.255.255.255\"}");
	assert_int_equal(w->status, 200);
	assert_true(json_is_false(json_object_get(v, "well")));
	assert_non_null(strstr(text(v, "why"), "255.255.255.255"));
	json_decref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_servers, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_check, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
