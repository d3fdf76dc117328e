/* The calls of web consoles that others made for Headscale, as their sources make them, in an order in which a person
 * would: headplane (app/server/headscale/api), headscale-ui (src/lib/common), headscale-admin (src/lib/common/api). Each has a
 * row for each of its calls, and says what it reads of the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/rows.h"
#include <stdio.h>
#include <string.h>

/* Alice's node alpha is in the mesh, by a key that is still to be seen; key: one of the API. */
static void join_alpha(struct world *w, struct world_node *a, char key[static 128])
{
	world_restart_with(w, "policy: { mode: database }\n");
	json_decref(world_admin(
		w, "/v1/policy/set", "{\"policy\":\"{\\\"tagOwners\\\":{\\\"tag:web\\\":[]}}\"}"));
	assert_int_equal(w->status, 200);
	world_alpha_open(a, w, key);
	world_api_key(w, "{\"expiration_ms\":7776000000}", key);
}

/* Of the keys that the list shows one is the asker's own, by what it begins with and nothing more; the others are masked. */
static void find_own(struct world *w, const char *key, char shown[static 64])
{
	json_t *v = world_ask(w, key, "GET", "/api/v1/apikey", NULL), *one;
	size_t i, own = 0;
	json_array_foreach(json_object_get(v, "apiKeys"), i, one)
	{
		const char *prefix = json_string_value(json_object_get(one, "prefix"));
		size_t len = strlen(prefix);
		if (strncmp(key, prefix, len) != 0) {
			assert_string_equal(prefix + len - 4, "-***");
			continue;
		}
		assert_true(json_is_string(json_object_get(one, "expiration")));
		snprintf(shown, 64, "%s", prefix);
		own++;
	}
	assert_int_equal(own, 1);
	json_decref(v);
}

/* The key ends by how it is written there, and opens nothing any more. */
static void end_own(struct world *w, const char *key, const char *prefix)
{
	char body[192];
	snprintf(body, sizeof(body), "{\"prefix\":\"%s\"}", prefix);
	json_decref(world_ask(w, key, "POST", "/api/v1/apikey/expire", body));
	assert_int_equal(w->status, 200);
	json_decref(world_ask(w, key, "GET", "/api/v1/user", NULL));
	assert_int_equal(w->status, 401);
}

/* Who waits is let in by what a console is given: the id of its page, and a user by number or name. */
static void let_in(struct world *w, const char *key, const char *format, const char *user)
{
	struct world_node b;
	char path[256], user_of[256];
	world_node_open(&b, w);
	world_node_join(&b, "", "beta");
	snprintf(path, sizeof(path), format, user, strrchr(b.answer.auth_url, '/') + 1);
	json_t *v = world_ask(w, key, "POST", path, "{}");
	assert_int_equal(w->status, 200);
	rows_text_at(v, "node.givenName", path);
	assert_string_equal(path, "beta");
	rows_text_at(v, "node.user.name", user_of);
	assert_string_equal(user_of, "alice");
	json_decref(v);
	world_node_close(&b);
}

/* It asks /version, and from 0.28 on knows keys by number and tags as one list. */
static void test_headplane(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/version", NULL, 200, "version", "v0.29.0+ropewalk." RW_VERSION },
		{ "GET", "/health", NULL, 200, "status", "pass" },
		{ "GET", "/api/v1/apikey", NULL, 200, "apiKeys.0.id", "1" },
		{ "GET", "/api/v1/user", NULL, 200, "users.0.name", "alice" },
		{ "GET", "/api/v1/user?id=1", NULL, 200, "users.0.id", "1" },
		{ "GET", "/api/v1/user?name=nobody", NULL, 200, "users", "[]" },
		{ "GET", "/api/v1/user?email=a@b.test", NULL, 200, "users", "[]" },
		{ "POST", "/api/v1/user", "{\"name\":\"bob\"}", 200, "user.id", "2" },
		{ "POST", "/api/v1/user/2/rename/robert", NULL, 200, "user.name", "robert" },
		{ "DELETE", "/api/v1/user/2", NULL, 200, "", "{}" },
		{ "GET", "/api/v1/node", NULL, 200, "nodes.0.tags", "[]" },
		{ "GET", "/api/v1/node/1", NULL, 200, "node.approvedRoutes", "[]" },
		{ "POST", "/api/v1/node/1/rename/first", NULL, 200, "node.givenName", "first" },
		{ "POST", "/api/v1/node/1/approve_routes", "{\"routes\":[\"10.0.0.0/8\"]}", 200,
			"node.approvedRoutes", "[\"10.0.0.0/8\"]" },
		{ "POST", "/api/v1/node/1/expire", NULL, 200, "node.online", "false" },
		{ "POST", "/api/v1/node/1/tags", "{\"tags\":[\"tag:none\"]}", 400, "code", "3" },
		{ "POST", "/api/v1/node/1/tags", "{\"tags\":[\"tag:web\"]}", 200, "node.tags",
			"[\"tag:web\"]" },
		{ "POST", "/api/v1/node/register?user=alice&key=none",
			"{\"user\":\"alice\",\"key\":\"none\"}", 404, "code", "5" },
		{ "POST", "/api/v1/preauthkey",
			"{\"ephemeral\":false,\"reusable\":true,\"expiration\":null,\"user\":\"1\"}", 200,
			"preAuthKey.reusable", "true" },
		{ "POST", "/api/v1/preauthkey",
			"{\"ephemeral\":true,\"reusable\":false,\"expiration\":\"2100-01-01T00:00:00.000Z\","
			"\"aclTags\":[\"tag:web\"]}",
			200, "preAuthKey.aclTags", "[\"tag:web\"]" },
		{ "GET", "/api/v1/preauthkey", NULL, 200, "preAuthKeys.2.user", "null" },
		{ "GET", "/api/v1/preauthkey?user=1", NULL, 200, "preAuthKeys.1.id", "2" },
		{ "POST", "/api/v1/preauthkey/expire", "{\"id\":\"2\"}", 200, "", "{}" },
		{ "GET", "/api/v1/policy", NULL, 200, "updatedAt", "*" }, /* it can be written then */
		{ "PUT", "/api/v1/policy", "{\"policy\":\"{\\\"acls\\\":[{}]}\"}", 400, "message",
			"parsing policy from bytes: 1:10: acls[0].action: must be \"accept\" (what no rule "
			"accepts is denied)" },
		{ "PUT", "/api/v1/policy", "{\"policy\":\"{ // all\\n}\"}", 200, "policy", "{ // all\n}" },
	};
	struct world *w = *state;
	struct world_node a;
	char key[128], got[256];
	join_alpha(w, &a, key);
	/* it finds its own key by how that begins, and takes none that does not end */
	json_t *v = world_ask(w, key, "GET", "/api/v1/apikey", NULL);
	rows_text_at(v, "apiKeys.0.prefix", got);
	assert_memory_equal(got, key, strcspn(got, "*"));
	rows_text_at(v, "apiKeys.0.expiration", got);
	assert_string_not_equal(got, "null");
	json_decref(v);
	rows_run(w, key, rows, ARRAY_LEN(rows));
	let_in(w, key, "/api/v1/node/register?user=%s&key=%s", "alice");
	json_decref(world_ask(w, key, "DELETE", "/api/v1/node/2", NULL));
	assert_int_equal(w->status, 200);
	world_node_close(&a);
}

/* Rules in a file can only be read. */
static void test_headplane_file(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/api/v1/policy", NULL, 200, "updatedAt", "null" },
		{ "PUT", "/api/v1/policy", "{\"policy\":\"{}\"}", 400, "message",
			"update is disabled for modes other than 'database': the settings have the rules in "
			"a "
			"file" },
	};
	char key[128];
	world_api_key(*state, "{}", key);
	rows_run(*state, key, rows, ARRAY_LEN(rows));
}

/* Users by number, keys by how the list shows them, tags in three lists; it rolls its own key over. */
static void test_headscale_ui(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/api/v1/user", NULL, 200, "users.0.id", "1" },
		{ "POST", "/api/v1/user", "{\"name\":\"bob\"}", 200, "user.name", "bob" },
		{ "POST", "/api/v1/user/2/rename/robert", NULL, 200, "user.name", "robert" },
		{ "DELETE", "/api/v1/user/2", NULL, 200, "", "{}" },
		{ "GET", "/api/v1/apikey", NULL, 200, "apiKeys.0.lastSeen", "*" },
		{ "POST", "/api/v1/apikey", "{\"expiration\":\"2100-01-01T00:00:00.000Z\"}", 200, "apiKey",
			"*" },
		{ "GET", "/api/v1/node", NULL, 200, "nodes.0.validTags", "[]" },
		{ "GET", "/api/v1/node", NULL, 200, "nodes.0.invalidTags", "[]" },
		{ "POST", "/api/v1/node/1/tags", "{\"tags\":[\"tag:web\"]}", 200, "node.forcedTags",
			"[\"tag:web\"]" },
		{ "POST", "/api/v1/node/1/rename/first", NULL, 200, "node.givenName", "first" },
		{ "POST", "/api/v1/node/1/user", "{\"user\":1}", 501, "message",
			"a node is whose login it is: log it in anew as the other user, or give it tags" },
		{ "GET", "/api/v1/preauthkey?user=1", NULL, 200, "preAuthKeys.0.used", "true" },
		{ "POST", "/api/v1/preauthkey",
			"{\"user\":\"1\",\"expiration\":\"2100-01-01T00:00:00.000Z\",\"reusable\":true,"
			"\"ephemeral\":false}",
			200, "preAuthKey.reusable", "true" },
		{ "POST", "/api/v1/preauthkey/expire",
			"{\"user\":\"1\",\"key\":\"hskey-auth-aaaaaaaaaaaa-***\"}", 400, "code", "3" },
		{ "POST", "/api/v1/preauthkey/expire", "{\"user\":\"1\",\"key\":\"hskey-auth-\"}", 400,
			"code", "3" },
		{ "DELETE", "/api/v1/node/1", NULL, 200, "", "{}" },
	};
	struct world *w = *state;
	struct world_node a;
	char key[128], shown[64], body[160], got[256];
	join_alpha(w, &a, key);
	rows_run(w, key, rows, ARRAY_LEN(rows));
	json_t *v = world_ask(w, key, "GET", "/api/v1/preauthkey?user=1", NULL);
	rows_text_at(v, "preAuthKeys.1.key", got);
	snprintf(shown, sizeof(shown), "%.63s", got);
	json_decref(v);
	/* one letter less, or more, and it is none */
	for (int more = -1; more <= 1; more++) {
		snprintf(body, sizeof(body), "{\"user\":\"1\",\"key\":\"%.*s%s\"}",
			(int)strlen(shown) + (more < 0 ? -1 : 0), shown, more > 0 ? "*" : "");
		json_decref(world_ask(w, key, "POST", "/api/v1/preauthkey/expire", body));
		assert_int_equal(w->status, more ? 400 : 200);
	}
	v = world_ask(w, key, "GET", "/api/v1/preauthkey?user=1", NULL);
	rows_text_at(v, "preAuthKeys.1.expiration", got);
	assert_string_not_equal(got, "2100-01-01T00:00:00Z");
	json_decref(v);
	let_in(w, key, "/api/v1/node/register?user=%s&key=%s", "1");
	/* the old key is ended, once there is a new one, by how the list showed it */
	find_own(w, key, shown);
	end_own(w, key, shown);
	world_node_close(&a);
}

/* Two of its generations: users by name and routes with numbers of their own; and users by number. */
static void test_headscale_admin(void **state)
{
	static const struct row rows[] = {
		{ "POST", "/api/v1/node/1/approve_routes", "{\"routes\":[\"10.0.0.0/8\"]}", 200,
			"node.approvedRoutes", "[\"10.0.0.0/8\"]" },
		{ "GET", "/api/v1/preauthkey?user=alice", NULL, 200, "preAuthKeys.0.user.name", "alice" },
		{ "POST", "/api/v1/preauthkey",
			"{\"user\":\"alice\",\"reusable\":false,\"ephemeral\":false,\"expiration\":\"2100-01-"
			"01T00:00:00.000Z\"}",
			200, "preAuthKey.user.id", "1" },
		{ "GET", "/api/v1/routes", NULL, 200, "routes.0.enabled", "true" },
		{ "GET", "/api/v1/routes", NULL, 200, "routes.0.prefix", "10.0.0.0/8" },
		{ "POST", "/api/v1/routes/1024/enable", "{}", 404, "code", "5" },
		{ "POST", "/api/v1/user/alice/rename/ann", "{}", 200, "user.name", "ann" },
		{ "POST", "/api/v1/user/1/rename/alice", "{}", 200, "user.name", "alice" },
		{ "POST", "/api/v1/node/register?user=alice&key=nodekey:none", "{}", 404, "message",
			"nothing waits under \"none\": the node's login page shows the id, and it must still "
			"be waiting" },
		{ "GET", "/api/v1/node", NULL, 200, "nodes.0.availableRoutes", "[]" },
		{ "POST", "/api/v1/node/1/user", "{\"user\":\"1\"}", 501, "code", "12" },
		{ "POST", "/api/v1/node/1/expire", "{}", 200, "node.online", "false" },
		{ "GET", "/api/v1/policy", NULL, 200, "updatedAt", "*" },
		{ "PUT", "/api/v1/policy", "{\"policy\":\"{\\n    \\\"acls\\\": []\\n}\"}", 200, "policy",
			"{\n    \"acls\": []\n}" },
		{ "POST", "/api/v1/apikey", "{\"expiration\":\"2100-01-01T00:00:00.000Z\"}", 200, "apiKey",
			"*" },
	};
	struct world *w = *state;
	struct world_node a;
	char key[128], shown[64];
	join_alpha(w, &a, key);
	rows_run(w, key, rows, ARRAY_LEN(rows));
	let_in(w, key, "/api/v1/node/register?user=%s&key=nodekey:%s", "alice");
	/* when its key ends it says from the list, and works only once it has found it there */
	find_own(w, key, shown);
	/* it ends its own key by all of it */
	end_own(w, key, key);
	world_node_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_headplane, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_headplane_file, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_headscale_ui, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_headscale_admin, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
