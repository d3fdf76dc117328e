/* The API of programs: who may ask what, and Headscale's REST API as its clients read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/api.h"
#include "mesh/control/test/rows.h"
#include "mesh/control/test/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Alice's node alpha is in the mesh; key: one of the API, for all. */
static void join_alpha(struct world *w, struct world_node *a, char key[static 128])
{
	world_alpha_open(a, w, key);
	world_api_key(w, "{}", key);
}

/* --- who may ask --- */

/* A path that the row takes. */
static void example(const struct api_row *r, char out[static 128])
{
	size_t n = 0;
	for (const char *p = r->path; *p && n < 120; p++)
		if (*p == '{') {
			n += (size_t)sprintf(out + n, "999");
			p++;
		} else {
			out[n++] = *p == '*' ? 'x' : *p;
		}
	out[n] = 0;
}

/* A name that is too long is nobody's, not that of whom its beginning names. */
static void test_long_name(void **state)
{
	struct world *w = *state;
	char key[128], path[256];
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	world_api_key(w, "{}", key);
	for (int len = FLEET_USER_NAME - 1; len <= FLEET_USER_NAME; len++) {
		snprintf(path, sizeof(path), "/api/v1/user/1/rename/%0*d", len, 0);
		json_decref(world_ask(w, key, "POST", path, ""));
		assert_int_equal(w->status, len < FLEET_USER_NAME ? 200 : 404);
	}
}

/* Every row, at the door that is open to all. */
static void test_rights(void **state)
{
	struct world *w = *state;
	char right[128], expired[128], other[128], path[128];
	world_api_key(w, "{}", right);
	world_api_key(w, "{}", expired);
	json_decref(world_admin(w, "/v1/apikeys/expire", "{\"id\":2}"));
	memcpy(other, right, sizeof(other));
	other[strlen(other) - 1] ^= 1; /* right but for the last letter */
	const char *const bad[] = { NULL, other, expired, "", "hskey-api-", "x" };
	size_t keyed = 0;
	for (const struct api_row *r = api_rows; r->path; r++) {
		if (r->right == API_ANYBODY)
			continue;
		example(r, path);
		for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
			json_decref(world_ask(w, bad[i], r->method, path, NULL));
			if (w->status != 401)
				fail_msg("%s %s with key %zu: %d", r->method, path, i, w->status);
		}
		json_decref(world_ask(w, right, r->method, path, NULL));
		bool let_in = w->status != 401 && w->status != 403 && w->status != 405;
		if (let_in != (r->right == API_KEYED))
			fail_msg("%s %s with the right key: %d", r->method, path, w->status);
		keyed += r->right == API_KEYED;
	}
	assert_true(keyed > 20);
	world_api_key(w, "{}", right); /* one row has expired, and another deleted, what it was given */
	json_t *list = world_admin(w, "/v1/apikeys/list", "{}");
	json_t *last = json_array_get(list, json_array_size(list) - 1);
	assert_true(json_is_null(json_object_get(last, "last_seen")));
	json_decref(world_ask(w, right, "GET", "/api/v1/user", NULL));
	json_decref(list);
	list = world_admin(w, "/v1/apikeys/list", "{}");
	last = json_array_get(list, json_array_size(list) - 1);
	assert_true(json_is_string(json_object_get(last, "last_seen")));
	snprintf(path, sizeof(path), "{\"id\":%lld}",
		(long long)json_integer_value(json_object_get(last, "id")));
	json_decref(list);
	json_decref(world_admin(w, "/v1/apikeys/delete", path));
	json_decref(world_ask(w, right, "GET", "/api/v1/user", NULL));
	assert_int_equal(w->status, 401);
}

/* Whoever shows no key may not send much. */
static void test_bodies(void **state)
{
	struct world *w = *state;
	char key[128], *body = malloc(200001);
	world_api_key(w, "{}", key);
	memset(body, ' ', 200000);
	memcpy(body, "{\"name\":\"bob\"}", 14);
	body[200000] = 0;
	json_decref(world_ask(w, NULL, "POST", "/api/v1/user", body));
	assert_int_equal(w->status, 413);
	json_decref(world_ask(w, key, "POST", "/api/v1/user", body));
	assert_int_equal(w->status, 200);
	free(body);
}

/* --- Headscale's REST API --- */

static void test_v1_people_and_keys(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/version", NULL, 200, "dirty", "false" },
		{ "GET", "/api/v1/health", NULL, 200, "databaseConnectivity", "true" },
		{ "GET", "/api/v1/user", NULL, 200, "users", "[]" },
		{ "POST", "/api/v1/user", "{\"name\":\"alice\"}", 200, "user.id", "1" },
		{ "POST", "/api/v1/user", "{\"name\":\"alice\"}", 409, "code", "6" },
		{ "POST", "/api/v1/user", "{\"name\":\"\"}", 400, "status", "400" },
		{ "POST", "/api/v1/user", "[]", 400, "code", "3" },
		{ "POST", "/api/v1/user", "{\"name\":\"bob\"}", 200, "user.name", "bob" },
		{ "POST", "/api/v1/user/2/rename/robert", NULL, 200, "user.name", "robert" },
		{ "POST", "/api/v1/user/9/rename/x", NULL, 404, "code", "5" },
		{ "POST", "/api/v1/user/x/rename/x", NULL, 404, "message", "no user has this number" },
		{ "GET", "/api/v1/user?name=robert", NULL, 200, "users.0.id", "2" },
		{ "GET", "/api/v1/user?id=1", NULL, 200, "users.0.profilePicUrl", "" },
		{ "DELETE", "/api/v1/user/2", NULL, 200, "", "{}" },
		{ "DELETE", "/api/v1/user/2", NULL, 404, "title", "Not Found" },

		{ "POST", "/api/v1/preauthkey",
			"{\"user\":\"1\",\"reusable\":true,\"expiration\":\"2100-01-01T00:00:00Z\","
			"\"aclTags\":["
			"\"tag:a\",\"tag:b\"]}",
			200, "preAuthKey.expiration", "2100-01-01T00:00:00Z" },
		{ "POST", "/api/v1/preauthkey", "{\"user\":1}", 200, "preAuthKey.user.name", "alice" },
		{ "POST", "/api/v1/preauthkey", "{\"user\":\"7\"}", 404, "code", "5" },
		{ "POST", "/api/v1/preauthkey", "{\"user\":1,\"expiration\":\"soon\"}", 400, "detail",
			"expiration: \"soon\" is no time: write it as 2026-01-31T12:00:00Z" },
		{ "POST", "/api/v1/preauthkey", "{\"user\":1,\"expiration\":\"2001-01-01T00:00:00Z\"}", 400,
			"message", "expiration: this time has passed" },
		{ "POST", "/api/v1/preauthkey", "{\"acl_tags\":[\"tag:ci\"],\"ephemeral\":true}", 200,
			"preAuthKey.user", "null" },
		{ "GET", "/api/v1/preauthkey", NULL, 200, "preAuthKeys.0.aclTags", "[\"tag:a\",\"tag:b\"]" },
		{ "GET", "/api/v1/preauthkey", NULL, 200, "preAuthKeys.1.expiration", "null" },
		{ "GET", "/api/v1/preauthkey", NULL, 200, "preAuthKeys.2.ephemeral", "true" },
		{ "POST", "/api/v1/preauthkey/expire", "{\"id\":\"2\"}", 200, "", "{}" },
		{ "POST", "/api/v1/preauthkey/expire", "{\"id\":9}", 404, "code", "5" },
		{ "POST", "/api/v1/preauthkey/expire", "{}", 400, "code", "3" },
		{ "DELETE", "/api/v1/preauthkey?id=3", NULL, 200, "", "{}" },
		{ "DELETE", "/api/v1/preauthkey?id=3", NULL, 404, "code", "5" },

		{ "POST", "/api/v1/apikey", "{\"expiration\":\"2100-01-01T00:00:00Z\"}", 200, "details",
			"nothing" },
		{ "GET", "/api/v1/apikey", NULL, 200, "apiKeys.1.expiration", "2100-01-01T00:00:00Z" },
		{ "POST", "/api/v1/apikey/expire", "{\"id\":\"2\"}", 200, "", "{}" },
		{ "POST", "/api/v1/apikey/expire", "{\"prefix\":\"hskey-api-aaaaaaaaaaaa-***\"}", 404, "code",
			"5" },
		{ "DELETE", "/api/v1/apikey/-?id=2", NULL, 200, "", "{}" },
		{ "GET", "/api/v1/nothing", NULL, 404, "message", "not found" },
		{ "POST", "/api/v1/debug/node", "{}", 404, "code", "5" },
		{ "PUT", "/api/v1/user", NULL, 405, "code", "12" },
	};
	struct world *w = *state;
	char key[128];
	world_api_key(w, "{}", key);
	world_take_policy(w, "{\"tagOwners\":{\"tag:a\":[],\"tag:b\":[],\"tag:ci\":[]}}");
	rows_run(w, key, rows, ARRAY_LEN(rows));
}

/* Of which 40 bytes end in the middle of a character. */
#define FORTY_CUT "a23456789012345678901234567890123456789\xc3\xa4\xc3\xa4"
static void test_v1_nodes(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/api/v1/node", NULL, 200, "nodes.0.id", "1" },
		{ "GET", "/api/v1/node", NULL, 200, "nodes.0.ipAddresses",
			"[\"100.64.0.1\",\"fd7a:115c:a1e0::1\"]" },
		{ "GET", "/api/v1/node/1", NULL, 200, "node.registerMethod", "REGISTER_METHOD_AUTH_KEY" },
		{ "GET", "/api/v1/node/1", NULL, 200, "node.preAuthKey.user.name", "alice" },
		{ "GET", "/api/v1/node/1", NULL, 200, "node.expiry", "null" },
		{ "GET", "/api/v1/node/1", NULL, 200, "node.user.id", "1" },
		{ "GET", "/api/v1/node/2", NULL, 404, "code", "5" },
		/* what is quoted may be no text, or be cut in the middle of a character */
		{ "GET", "/api/v1/node/%FF", NULL, 400, "message",
			"\"?\" is no number: lists show them as \"id\"" },
		{ "POST", "/api/v1/preauthkey", "{\"user\":1,\"expiration\":\"" FORTY_CUT "\"}", 400, "code",
			"3" },
		{ "GET", "/api/v1/node?user=alice", NULL, 200, "nodes.0.name", "alpha" },
		{ "GET", "/api/v1/node?user=bob", NULL, 404, "code", "5" },
		{ "POST", "/api/v1/node/1/rename/first", NULL, 200, "node.givenName", "first" },
		{ "POST", "/api/v1/node/1/rename/No.", NULL, 400, "code", "3" },
		{ "POST", "/api/v1/node/1/expire?expiry=2100-01-01T00:00:00Z", NULL, 200, "node.expiry",
			"2100-01-01T00:00:00Z" },
		{ "POST", "/api/v1/node/1/expire", "{\"disableExpiry\":true}", 200, "node.expiry", "null" },
		{ "POST", "/api/v1/node/1/approve_routes", "{\"routes\":[\"10.1.2.3/8\",\"::/0\"]}", 200,
			"node.approvedRoutes", "[\"10.0.0.0/8\",\"::/0\",\"0.0.0.0/0\"]" },
		{ "POST", "/api/v1/node/1/approve_routes", "{\"routes\":[\"x\"]}", 400, "code", "3" },
		/* one that is not named is not one without anything in it */
		{ "POST", "/api/v1/node/1/approve_routes", "{}", 400, "message",
			"routes: a list is wanted; [] is none" },
		{ "POST", "/api/v1/node/1/approve_routes", "{\"route\":[]}", 400, "code", "3" },
		{ "GET", "/api/v1/node/1", NULL, 200, "node.approvedRoutes",
			"[\"10.0.0.0/8\",\"::/0\",\"0.0.0.0/0\"]" },
		{ "POST", "/api/v1/node/1/approve_routes", "{\"routes\":[]}", 200, "node.approvedRoutes",
			"[]" },
		{ "POST", "/api/v1/node/1/tags", "{}", 400, "message", "tags: a list is wanted; [] is none" },
		{ "POST", "/api/v1/node/1/tags", "{\"tags\":[\"tag:web\"]}", 200, "node.tags",
			"[\"tag:web\"]" },
		{ "GET", "/api/v1/node/1", NULL, 200, "node.forcedTags", "[\"tag:web\"]" },
		{ "GET", "/api/v1/node/1", NULL, 200, "node.user.name", "tagged-devices" },
		{ "POST", "/api/v1/node/1/tags", "{\"tags\":[]}", 400, "code", "3" },
		{ "POST", "/api/v1/node/backfillips", NULL, 400, "code", "3" },
		{ "POST", "/api/v1/node/backfillips?confirmed=true", NULL, 200, "changes", "[]" },
		{ "DELETE", "/api/v1/node/1", NULL, 200, "", "{}" },
		{ "DELETE", "/api/v1/node/1", NULL, 404, "code", "5" },
	};
	struct world *w = *state;
	struct world_node a, b;
	char key[128], body[128];
	join_alpha(w, &a, key);
	world_take_policy(w, "{\"tagOwners\":{\"tag:web\":[]}}");
	rows_run(w, key, rows, ARRAY_LEN(rows));

	/* one that waits is let in by the id of its page */
	world_node_open(&b, w);
	world_node_join(&b, "", "beta");
	snprintf(body, sizeof(body), "{\"user\":\"alice\",\"authId\":\"%s\"}",
		strrchr(b.answer.auth_url, '/') + 1);
	json_t *v = world_ask(w, key, "POST", "/api/v1/auth/register", body);
	assert_int_equal(w->status, 200);
	assert_string_equal(json_string_value(json_object_get(json_object_get(v, "node"), "registerMethod")),
		"REGISTER_METHOD_CLI");
	json_decref(v);
	world_node_close(&a);
	world_node_close(&b);
}

/* The prefix of the route with this place, and its number; "": there is none. */
static const char *route_at(
	struct world *w, const char *key, size_t place, char id[static 32], char prefix[static 64])
{
	json_t *v = world_ask(w, key, "GET", "/api/v1/routes", NULL);
	const json_t *route = json_array_get(json_object_get(v, "routes"), place);
	const char *number = json_string_value(json_object_get(route, "id"));
	const char *net = json_string_value(json_object_get(route, "prefix"));
	assert_null(json_object_get(json_object_get(route, "node"), "availableRoutes"));
	snprintf(id, 32, "%s", number ? number : "");
	snprintf(prefix, 64, "%s", net ? net : "");
	json_decref(v);
	return prefix;
}

static int turn(struct world *w, const char *key, const char *id, const char *how)
{
	char path[96];
	snprintf(path, sizeof(path), "/api/v1/routes/%s/%s", id, how);
	json_decref(world_ask(w, key, "POST", path, NULL));
	return w->status;
}

/* A route's number is that route's, whatever others come and go. */
static void test_v1_route_numbers(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char key[128], one[32], two[32], now[32], net[64];
	join_alpha(w, &a, key);
	json_decref(world_ask(w, key, "POST", "/api/v1/node/1/approve_routes",
		"{\"routes\":[\"10.0.0.0/8\",\"192.0.2.0/24\"]}"));
	assert_int_equal(w->status, 200);
	assert_string_equal(route_at(w, key, 0, one, net), "10.0.0.0/8");
	assert_string_equal(route_at(w, key, 1, two, net), "192.0.2.0/24");
	assert_int_equal(strtoll(one, NULL, 10) >> 32, 1);
	assert_int_equal(turn(w, key, one, "disable"), 200);
	assert_string_equal(route_at(w, key, 0, now, net), "192.0.2.0/24");
	assert_string_equal(now, two);
	assert_int_equal(turn(w, key, one, "disable"), 404); /* it was never offered: it is gone */
	assert_int_equal(turn(w, key, one, "enable"), 404);
	assert_string_equal(route_at(w, key, 0, now, net), "192.0.2.0/24");
	assert_int_equal(turn(w, key, two, "enable"), 200);
	assert_int_equal(turn(w, key, two, "disable"), 200);
	assert_string_equal(route_at(w, key, 0, now, net), "");
	/* what a node offers, in the form in which it is approved */
	json_decref(world_ask(w, key, "POST", "/api/v1/debug/node",
		"{\"user\":\"alice\",\"key\":\"abcdefghijklmnopqrstuvwx\",\"name\":\"made\",\"routes\":[\"10."
		"1.2.3/8\"]}"));
	json_decref(world_ask(
		w, key, "POST", "/api/v1/node/register?user=alice&key=abcdefghijklmnopqrstuvwx", NULL));
	assert_int_equal(w->status, 200);
	assert_string_equal(route_at(w, key, 0, two, net), "10.0.0.0/8");
	assert_int_equal(strtoll(two, NULL, 10) >> 32, 2);
	assert_int_equal(turn(w, key, two, "enable"), 200);
	assert_string_equal(route_at(w, key, 0, now, net), "10.0.0.0/8");
	assert_string_equal(now, two);
	assert_string_equal(route_at(w, key, 1, now, net), ""); /* offered and approved, once */
	assert_int_equal(turn(w, key, two, "disable"), 200);
	world_node_close(&a);
}

/* What a monitoring system reads, and what the API says of itself. */
static void test_described(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char key[128];
	join_alpha(w, &a, key);
	json_decref(world_ask(w, key, "GET", "/metrics", NULL));
	assert_int_equal(w->status, 200);
	assert_non_null(strstr(w->answer, "# TYPE ropewalk_nodes gauge\nropewalk_nodes 1\n"));
	assert_non_null(strstr(w->answer, "\nropewalk_accept_paused_total 0\n"));
	assert_non_null(
		strstr(w->answer, "ropewalk_node_online{id=\"1\",name=\"alpha\",user=\"alice\"} 0\n"));
	json_decref(world_ask(w, NULL, "GET", "/metrics", NULL)); /* names of nodes are not for everybody */
	assert_int_equal(w->status, 401);
	world_node_close(&a);

	json_t *doc = world_ask(w, NULL, "GET", "/api/openapi.json", NULL),
	       *paths = json_object_get(doc, "paths");
	char got[256];
	rows_text_at(json_object_get(paths, "/api/v1/user/{userId}/rename/{renameTo}"),
		"post.parameters.1.name", got);
	assert_string_equal(got, "renameTo");
	rows_text_at(
		json_object_get(paths, "/api/v2/tailnet/{tailnetId}/dns/nameservers"), "post.x-scope", got);
	assert_string_equal(got, "dns");
	size_t said = 0, known = 0;
	const char *path, *method;
	json_t *of_path, *op;
	json_object_foreach(paths, path, of_path) json_object_foreach(of_path, method, op) said++;
	for (const struct api_row *r = api_rows; r->path; r++)
		known += r->right == API_KEYED && !strchr(r->path, '*');
	assert_int_equal(said, known);
	json_decref(doc);
}

/* --- access rules --- */

static void test_v1_rules(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/api/v1/policy", NULL, 200, "policy", "{}" }, /* that of the file, before */
		{ "PUT", "/api/v1/policy", "{\"policy\":\"{}\"}", 200, "policy", "{}" },
		{ "PUT", "/api/v1/policy", "{\"policy\":\"{ acls }\"}", 400, "code", "3" },
		{ "PUT", "/api/v1/policy", "{}", 400, "message", "policy: the text of one is wanted" },
		{ "GET", "/api/v1/policy", NULL, 200, "policy", "{}" },
		{ "POST", "/api/v1/policy/check", "{\"policy\":\"{ acls }\"}", 400, "code", "3" },
		{ "POST", "/api/v1/policy/check", "{\"policy\":\"{} // all\"}", 200, "", "{}" },
		{ "GET", "/api/v1/policy", NULL, 200, "policy", "{}" },
	};
	struct world *w = *state;
	char key[128];
	world_restart_with(w, "policy: { mode: database }\n");
	world_api_key(w, "{}", key);
	rows_run(w, key, rows, ARRAY_LEN(rows));
}

/* What is tried or set is no longer than the others can wait for; to the admin socket a whole one may be said. */
static void test_long_policy(void **state)
{
	static const struct {
		const char *method, *path;
	} rows[] = { { "POST", "/api/v2/tailnet/-/acl/validate" },
		{ "POST", "/api/v2/tailnet/-/acl/preview?type=ipport&previewFor=1.2.3.4:5" },
		{ "POST", "/api/v1/policy/check" }, { "POST", "/api/v2/tailnet/-/acl" },
		{ "PUT", "/api/v1/policy" } };
	static const char begin[] = "{\"policy\": \"{";
	enum { LONG = (1 << 20) + 100 };
	struct world *w = *state;
	char key[128], *text = malloc(LONG + 1);
	assert_non_null(text);
	world_api_key(w, "{}", key);
	memset(text, ' ', LONG);
	memcpy(text, begin, strlen(begin));
	memcpy(text + LONG - 3, "}\"}", 4);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(world_ask(w, key, rows[i].method, rows[i].path, text));
		assert_int_equal(w->status, 413);
		assert_non_null(strstr(w->answer, "up to 1 MiB"));
	}
	json_t *v = world_admin(w, "/v1/policy/test", text);
	assert_true(json_is_true(json_object_get(v, "ok")));
	json_decref(v);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rights, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_long_name, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_bodies, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v1_people_and_keys, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v1_nodes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_described, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_long_policy, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v1_route_numbers, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v1_rules, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
