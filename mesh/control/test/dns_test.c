/* The nameservers that nodes are told, as an admin sees them: which node one is, who may ask it, what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const json_t *o, const char *name)
{
	const char *t = json_string_value(json_object_get(o, name));
	return t ? t : "";
}

#define DNS "/api/v2/tailnet/-/dns/"

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
	char api_key[128];
	world_api_key(w, "{}", api_key);
	json_decref(world_ask(
		w, api_key, "POST", DNS "nameservers", "{\"dns\":[\"100.64.0.1\",\"192.0.2.53\"]}"));
	assert_int_equal(w->status, 200);

	json_t *v = world_admin(w, "/v1/dns/servers", "{}");
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

#define PIN "rcW4wJVd3ilEaqLlbTOqkg+YBJyOHkjNfW150X3LWHg="
#define PINNED "{\"server\":\"https://dns.test/q\",\"addresses\":[\"192.0.2.7\"],\"pins\":[\"" PIN "\"]}"

static void expect_pinned(struct world_node *a, size_t *seen, size_t resolver)
{
	const struct ctl_dns *d = world_node_next(a, seen)->dns;
	assert_non_null(d);
	assert_true(d->n_resolvers > resolver);
	assert_string_equal(d->resolvers[resolver].addr, "https://dns.test/q");
	assert_int_equal(d->resolvers[resolver].bootstrap.n, 1);
	assert_int_equal(d->resolvers[resolver].pins.n, 1);
}

/* The API's words have no addresses and pins of nameservers: a change of the list, or of anything else, loses none. */
static void test_pins(void **state)
{
	static const struct {
		const char *method, *path, *body;
		size_t at;
	} rows[] = {
		{ "POST", DNS "nameservers", "{\"dns\":[\"192.0.2.53\",\"https://dns.test/q\"]}", 1 },
		{ "POST", DNS "searchpaths", "{\"searchPaths\":[\"corp.test\"]}", 1 },
		{ "PATCH", DNS "split-dns", "{\"b.test\":[\"https://dns.test/q\"]}", 1 },
		{ "POST", DNS "configuration",
			"{\"nameservers\":[{\"address\":\"https://dns.test/"
			"q\"}],\"splitDNS\":{\"b.test\":[{\"address\":"
			"\"https://dns.test/"
			"q\"}]},\"preferences\":{\"magicDNS\":true,\"overrideLocalDNS\":true}}",
			0 },
	};
	struct world *w = *state;
	struct world_node a;
	char key[128];
	size_t seen = 0;
	world_alpha_follow(&a, w, key, &seen);
	world_api_key(w, "{}", key);
	json_t *v = world_ask(w, key, "POST", DNS "nameservers", "{\"dns\":[" PINNED "]}");
	assert_int_equal(w->status, 200);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(v, "dns"), 0)), "https://dns.test/q");
	json_decref(v);
	expect_pinned(&a, &seen, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(world_ask(w, key, rows[i].method, rows[i].path, rows[i].body));
		assert_int_equal(w->status, 200);
		expect_pinned(&a, &seen, rows[i].at);
	}
	v = world_ask(w, key, "GET", DNS "split-dns", NULL);
	char *all = json_dumps(v, JSON_COMPACT);
	assert_string_equal(all, "{\"b.test\":[\"https://dns.test/q\"]}");
	free(all);
	json_decref(v);
	world_node_close(&a);
}

#define NAMESERVER(ip) "{\"address\":\"" ip "\",\"useWithExitNode\":false}"
#define ORDERED(a, b, c) \
	"{\"nameservers\":[" NAMESERVER(a) "," NAMESERVER(b) "," NAMESERVER( \
		c) "],\"splitDNS\":{\"z.test\":[" NAMESERVER(b) "," NAMESERVER(a) "],\"b.test\":" \
										  "[" NAMESERVER(c) "]}," \
												    "\"sear" \
												    "chPath" \
												    "s\":[" \
												    "\"z." \
												    "test\"" \
												    ",\"b." \
												    "test\"" \
												    "]," \
												    "\"pref" \
												    "erence" \
												    "s\":{" \
												    "\"over" \
												    "rideLo" \
												    "calDNS" \
												    "\":" \
												    "true," \
												    "\"magi" \
												    "cDNS\"" \
												    ":true}" \
												    "}"

/* Nodes ask the first that is named first: in which order an admin names them, in that they are told, and shown. */
static void test_order(void **state)
{
	static const char *const bodies[] = { ORDERED("192.0.2.9", "192.0.2.1", "192.0.2.5"),
		ORDERED("192.0.2.5", "192.0.2.9", "192.0.2.1") };
	static const char *const servers[][3] = { { "192.0.2.9", "192.0.2.1", "192.0.2.5" },
		{ "192.0.2.5", "192.0.2.9", "192.0.2.1" } };
	struct world *w = *state;
	struct world_node a;
	char key[128];
	size_t seen = 0;
	world_alpha_follow(&a, w, key, &seen);
	world_api_key(w, "{}", key);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		json_decref(world_ask(w, key, "POST", DNS "configuration", bodies[i]));
		assert_int_equal(w->status, 200);
		const struct ctl_dns *d = world_node_next(&a, &seen)->dns;
		assert_non_null(d);
		assert_int_equal(d->n_resolvers, 3);
		for (size_t k = 0; k < 3; k++)
			assert_string_equal(d->resolvers[k].addr, servers[i][k]);
		for (size_t k = 0; k < d->n_routes; k++) /* by their suffixes they have no order */
			if (!strcmp(d->routes[k].suffix, "z.test")) {
				assert_string_equal(d->routes[k].resolvers[0].addr, servers[i][1]);
				assert_string_equal(d->routes[k].resolvers[1].addr, servers[i][0]);
			}
		assert_string_equal(d->domains.v[d->domains.n - 2], "z.test");
		json_t *v = world_ask(w, key, "GET", DNS "configuration", NULL);
		char *all = json_dumps(v, JSON_COMPACT);
		assert_string_equal(all, bodies[i]);
		free(all);
		json_decref(v);
	}
	world_node_close(&a);
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
		cmocka_unit_test_setup_teardown(test_pins, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_order, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_check, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
