/* The API of programs: who may ask what, and Headscale's REST API as its clients read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/api.h"
#include "mesh/control/test/rows.h"
#include "mesh/control/test/world.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sqlite3.h>
#include <string.h>

/* One request with a key (NULL: none), over TCP; the answer as JSON, NULL when it is none. */
static json_t *ask(struct world *w, const char *key, const char *method, const char *target, const char *body)
{
	char host[64], extra[160] = "";
	struct http_request rq = { .method = method,
		.target = target,
		.host = "hs.test",
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.extra = extra };
	if (key)
		snprintf(extra, sizeof(extra), "Authorization: Bearer %s\r\n", key);
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	return json_loads(world_fetch(w, &rq), 0, NULL);
}

static void make_key(struct world *w, const char *args, char key[static 128])
{
	json_t *v = world_admin(w, "/v1/apikeys/create", args);
	snprintf(key, 128, "%s", json_string_value(json_object_get(v, "key")));
	json_decref(v);
}

/* Alice's node alpha is in the mesh; key: one of the API, for all. */
static void join_alpha(struct world *w, struct world_node *a, char key[static 128])
{
	world_alpha_open(a, w, key);
	make_key(w, "{}", key);
}

static void take_policy(struct world *w, const char *text)
{
	char path[256];
	world_write_file(place_path(&w->place, "policy.hujson", path), text);
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	assert_int_equal(w->status, 200);
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
	make_key(w, "{}", key);
	for (int len = FLEET_USER_NAME - 1; len <= FLEET_USER_NAME; len++) {
		snprintf(path, sizeof(path), "/api/v1/user/1/rename/%0*d", len, 0);
		json_decref(ask(w, key, "POST", path, ""));
		assert_int_equal(w->status, len < FLEET_USER_NAME ? 200 : 404);
	}
}

/* Every row, at the door that is open to all. */
static void test_rights(void **state)
{
	struct world *w = *state;
	char right[128], expired[128], other[128], path[128];
	make_key(w, "{}", right);
	make_key(w, "{}", expired);
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
			json_decref(ask(w, bad[i], r->method, path, NULL));
			if (w->status != 401)
				fail_msg("%s %s with key %zu: %d", r->method, path, i, w->status);
		}
		json_decref(ask(w, right, r->method, path, NULL));
		bool let_in = w->status != 401 && w->status != 403 && w->status != 405;
		if (let_in != (r->right == API_KEYED))
			fail_msg("%s %s with the right key: %d", r->method, path, w->status);
		keyed += r->right == API_KEYED;
	}
	assert_true(keyed > 20);
	make_key(w, "{}", right); /* one row has expired, and another deleted, what it was given */
	json_t *list = world_admin(w, "/v1/apikeys/list", "{}");
	json_t *last = json_array_get(list, json_array_size(list) - 1);
	assert_true(json_is_null(json_object_get(last, "last_seen")));
	json_decref(ask(w, right, "GET", "/api/v1/user", NULL));
	json_decref(list);
	list = world_admin(w, "/v1/apikeys/list", "{}");
	last = json_array_get(list, json_array_size(list) - 1);
	assert_true(json_is_string(json_object_get(last, "last_seen")));
	snprintf(path, sizeof(path), "{\"id\":%lld}",
		(long long)json_integer_value(json_object_get(last, "id")));
	json_decref(list);
	json_decref(world_admin(w, "/v1/apikeys/delete", path));
	json_decref(ask(w, right, "GET", "/api/v1/user", NULL));
	assert_int_equal(w->status, 401);
}

/* Whoever shows no key may not send much. */
static void test_bodies(void **state)
{
	struct world *w = *state;
	char key[128], *body = malloc(200001);
	make_key(w, "{}", key);
	memset(body, ' ', 200000);
	memcpy(body, "{\"name\":\"bob\"}", 14);
	body[200000] = 0;
	json_decref(ask(w, NULL, "POST", "/api/v1/user", body));
	assert_int_equal(w->status, 413);
	json_decref(ask(w, key, "POST", "/api/v1/user", body));
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
	make_key(w, "{}", key);
	take_policy(w, "{\"tagOwners\":{\"tag:a\":[],\"tag:b\":[],\"tag:ci\":[]}}");
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
	take_policy(w, "{\"tagOwners\":{\"tag:web\":[]}}");
	rows_run(w, key, rows, ARRAY_LEN(rows));

	/* one that waits is let in by the id of its page */
	world_node_open(&b, w);
	world_node_join(&b, "", "beta");
	snprintf(body, sizeof(body), "{\"user\":\"alice\",\"authId\":\"%s\"}",
		strrchr(b.answer.auth_url, '/') + 1);
	json_t *v = ask(w, key, "POST", "/api/v1/auth/register", body);
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
	json_t *v = ask(w, key, "GET", "/api/v1/routes", NULL);
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
	json_decref(ask(w, key, "POST", path, NULL));
	return w->status;
}

/* A route's number is that route's, whatever others come and go. */
static void test_v1_route_numbers(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char key[128], one[32], two[32], now[32], net[64];
	join_alpha(w, &a, key);
	json_decref(ask(w, key, "POST", "/api/v1/node/1/approve_routes",
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
	json_decref(ask(w, key, "POST", "/api/v1/debug/node",
		"{\"user\":\"alice\",\"key\":\"abcdefghijklmnopqrstuvwx\",\"name\":\"made\",\"routes\":[\"10."
		"1.2.3/8\"]}"));
	json_decref(
		ask(w, key, "POST", "/api/v1/node/register?user=alice&key=abcdefghijklmnopqrstuvwx", NULL));
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
	json_decref(ask(w, key, "GET", "/metrics", NULL));
	assert_int_equal(w->status, 200);
	assert_non_null(strstr(w->answer, "# TYPE ropewalk_nodes gauge\nropewalk_nodes 1\n"));
	assert_non_null(strstr(w->answer, "\nropewalk_accept_paused_total 0\n"));
	assert_non_null(
		strstr(w->answer, "ropewalk_node_online{id=\"1\",name=\"alpha\",user=\"alice\"} 0\n"));
	json_decref(ask(w, NULL, "GET", "/metrics", NULL)); /* names of nodes are not for everybody */
	assert_int_equal(w->status, 401);
	world_node_close(&a);

	json_t *doc = ask(w, NULL, "GET", "/api/openapi.json", NULL), *paths = json_object_get(doc, "paths");
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

/* The same server with its rules in the database. */
static void keep_rules(struct world *w)
{
	char text[2048] = "", *at;
	world_server_kill(w, SIGTERM, 0);
	FILE *f = fopen(w->config, "r+");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	at = strstr(text, "path: policy.hujson");
	assert_non_null(at);
	memcpy(at, "mode: database     ", 19);
	rewind(f);
	fputs(text, f);
	fclose(f);
	world_server_start(w);
}

#define SOME_RULES "{\"acls\": [{\"action\": \"accept\", \"src\": [\"alice@\"], \"dst\": [\"*:22\"]}]}"

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
	keep_rules(w);
	make_key(w, "{}", key);
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
	make_key(w, "{}", key);
	memset(text, ' ', LONG);
	memcpy(text, begin, strlen(begin));
	memcpy(text + LONG - 3, "}\"}", 4);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(ask(w, key, rows[i].method, rows[i].path, text));
		assert_int_equal(w->status, 413);
		assert_non_null(strstr(w->answer, "up to 1 MiB"));
	}
	json_t *v = world_admin(w, "/v1/policy/test", text);
	assert_true(json_is_true(json_object_get(v, "ok")));
	json_decref(v);
	free(text);
}

#define PREVIEW "/api/v2/tailnet/-/acl/preview?"
#define RULES \
	"{\"acls\": [\n" \
	"{\"action\": \"accept\", \"src\": [\"alice@\"], \"dst\": [\"*:22\"]},\n" \
	"{\"action\": \"accept\", \"src\": [\"192.0.2.9\"], \"dst\": [\"192.0.2.2:*\"]}], \"grants\": [\n" \
	"{\"src\": [\"autogroup:member\"], \"dst\": [\"192.0.2.1\"], \"ip\": [\"tcp:80\", \"udp:53\"]}]}"

static void test_v2_rules(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/api/v2/tailnet/-/acl", NULL, 200, "", "{}" },
		{ "POST", "/api/v2/tailnet/-/acl/validate", "{ // rules\n\"acls\": [], }", 200, "",
			"nothing" },
		{ "POST", "/api/v2/tailnet/-/acl/validate", "{\"acls\": [{}]}", 200, "message",
			"1:11: acls[0].action: must be \"accept\" (what no rule accepts is denied)" },
		{ "POST", "/api/v2/tailnet/-/acl", "{\"acls\": [{}]}", 400, "message",
			"1:11: acls[0].action: must be \"accept\" (what no rule accepts is denied)" },
		{ "POST", "/api/v2/tailnet/-/acl", SOME_RULES " // some", 200, "acls.0.dst", "[\"*:22\"]" },
		{ "GET", "/api/v2/tailnet/-/acl", NULL, 200, "acls.0.src", "[\"alice@\"]" },
		{ "POST", "/api/v2/tailnet/-/acl/validate",
			"[{\"src\": \"alice@\", \"deny\": [\"192.0.2.1:23\"], \"accept\": "
			"[\"192.0.2.1:22\"]}]",
			200, "", "nothing" },
		{ "POST", PREVIEW "type=user&previewFor=alice@", RULES, 200, "matches.0.users",
			"[\"alice@\"]" },
		{ "POST", PREVIEW "type=user&previewFor=alice", RULES, 200, "matches.0.lineNumber", "2" },
		{ "POST", PREVIEW "type=user&previewFor=alice", RULES, 200, "matches.1.ports",
			"[\"192.0.2.1:tcp:80\",\"192.0.2.1:udp:53\"]" },
		{ "POST", PREVIEW "type=user&previewFor=alice", RULES, 200, "matches.2", "nothing" },
		{ "POST", PREVIEW "type=ipport&previewFor=192.0.2.1:53", RULES, 200, "matches.0.lineNumber",
			"4" },
		{ "POST", PREVIEW "type=ipport&previewFor=192.0.2.1:22", RULES, 200, "matches.0.ports",
			"[\"*:22\"]" },
		{ "POST", PREVIEW "type=ipport&previewFor=192.0.2.1:22", RULES, 200, "matches.1", "nothing" },
		{ "POST", PREVIEW "type=ipport&previewFor=192.0.2.1:99", RULES, 200, "matches", "[]" },
		{ "POST", PREVIEW "type=user&previewFor=nobody", RULES, 400, "message",
			"there is no such user" },
		{ "POST", PREVIEW "type=ipport&previewFor=x", RULES, 400, "message",
			"previewFor must be an address and a port: 100.64.0.1:22" },
		{ "POST", PREVIEW "type=x&previewFor=x", RULES, 400, "message",
			"type must be \"user\" or \"ipport\"" },
		{ "POST", PREVIEW "type=user&previewFor=alice", "{", 400, "status", "400" },
	};
	struct world *w = *state;
	char key[128];
	keep_rules(w);
	make_key(w, "{}", key);
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	rows_run(w, key, rows, ARRAY_LEN(rows));
	/* whose word they are */
	char author[64];
	snprintf(author, sizeof(author), "API key %.12s", key + strlen("hskey-api-"));
	json_t *list = world_admin(w, "/v1/policy/history", "{}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "author")), author);
	json_decref(list);
}

/* --- the official service's REST API --- */

#define TAILNET "/api/v2/tailnet/-"

static void test_v2(void **state)
{
	static const struct row rows[] = {
		{ "GET", TAILNET "/devices", NULL, 200, "devices.0.name", "alpha.mesh.test" },
		{ "GET", TAILNET "/devices?fields=all", NULL, 200, "devices.0.enabledRoutes", "[]" },
		{ "GET", TAILNET "/devices", NULL, 200, "devices.0.enabledRoutes", "nothing" },
		{ "GET", "/api/v2/device/n1", NULL, 200, "user", "alice" },
		{ "GET", "/api/v2/device/1", NULL, 200, "keyExpiryDisabled", "true" },
		{ "GET", "/api/v2/device/n9", NULL, 404, "message", "no device has this id" },
		{ "POST", "/api/v2/device/1/name", "{\"name\":\"first.mesh.test\"}", 200, "", "{}" },
		{ "POST", "/api/v2/device/1/name", "{\"name\":\"first.other.test\"}", 400, "status", "400" },
		{ "GET", "/api/v2/device/1", NULL, 200, "name", "first.mesh.test" },
		{ "POST", "/api/v2/device/1/name", "{\"name\":\"\"}", 200, "", "{}" },
		{ "GET", "/api/v2/device/1", NULL, 200, "name", "alpha.mesh.test" },
		{ "POST", "/api/v2/device/1/authorized", "{\"authorized\":true}", 200, "", "{}" },
		{ "POST", "/api/v2/device/1/authorized", "{\"authorized\":false}", 501, "status", "501" },
		{ "POST", "/api/v2/device/1/ip", "{\"ipv4\":\"100.64.9.9\"}", 200, "", "{}" },
		{ "POST", "/api/v2/device/1/ip", "{\"ipv4\":\"10.0.0.1\"}", 400, "message",
			"10.0.0.1 is no address for nodes of this network" },
		{ "POST", "/api/v2/device/1/ip", "{\"ipv4\":\"fd7a:115c:a1e0::9\"}", 400, "status", "400" },
		{ "GET", "/api/v2/device/1", NULL, 200, "addresses.0", "100.64.9.9" },
		{ "POST", "/api/v2/device/1/routes", "{\"routes\":[\"10.0.0.0/8\"]}", 200, "enabledRoutes",
			"[\"10.0.0.0/8\"]" },
		{ "POST", "/api/v2/device/1/routes", "{}", 400, "message",
			"routes: a list is wanted; [] is none" },
		{ "GET", "/api/v2/device/1/routes", NULL, 200, "enabledRoutes", "[\"10.0.0.0/8\"]" },
		{ "POST", "/api/v2/device/1/tags", "{}", 400, "message",
			"tags: a list is wanted; [] is none" },
		{ "POST", "/api/v2/device/1/routes", "{\"routes\":null}", 200, "enabledRoutes", "[]" },
		{ "POST", "/api/v2/device/1/routes", "{\"routes\":[\"10.0.0.0/8\"]}", 200, "enabledRoutes",
			"[\"10.0.0.0/8\"]" },
		{ "GET", "/api/v2/device/1/routes", NULL, 200, "advertisedRoutes", "[]" },
		{ "POST", "/api/v2/device/1/key", "{\"keyExpiryDisabled\":false}", 200, "", "{}" },
		{ "POST", "/api/v2/device/1/expire", NULL, 200, "", "{}" },
		{ "GET", "/api/v2/device/1", NULL, 200, "keyExpiryDisabled", "false" },
		{ "POST", "/api/v2/device/1/key", "{\"keyExpiryDisabled\":true}", 200, "", "{}" },
		{ "GET", "/api/v2/device/1", NULL, 200, "expires", "" },

		{ "POST", TAILNET "/keys", "{\"description\":\"d\"}", 200, "description", "d" },
		{ "POST", TAILNET "/keys", "{\"capabilities\":{\"devices\":{\"create\":{\"tags\":[1]}}}}",
			400, "message", "tags: a list of words is wanted, and not so many" },
		{ "POST", TAILNET "/keys", "{\"keyType\":\"federated\"}", 501, "status", "501" },
		{ "POST", TAILNET "/keys", "{\"keyType\":\"client\"}", 400, "status", "400" },
		{ "POST", TAILNET "/keys", "{\"keyType\":\"client\",\"scopes\":[\"tea\"]}", 400, "message",
			"scopes: \"tea\" is none here" },
		{ "POST", TAILNET "/keys", "{\"keyType\":\"client\",\"scopes\":[\"dns:read\"]}", 200,
			"scopes", "[\"dns:read\"]" },
		{ "GET", TAILNET "/keys", NULL, 200, "keys.3.keyType", "client" },
		{ "DELETE", TAILNET "/keys/none", NULL, 404, "status", "404" },

		{ "GET", TAILNET "/dns/nameservers", NULL, 200, "dns", "[]" },
		{ "POST", TAILNET "/dns/nameservers", "{\"dns\":[\"192.0.2.53\"]}", 200, "dns",
			"[\"192.0.2.53\"]" },
		{ "POST", TAILNET "/dns/nameservers", "{\"dns\":\"x\"}", 400, "message",
			"a list of texts is wanted" },
		{ "POST", TAILNET "/dns/nameservers", "{\"dns\":[5]}", 400, "status", "400" },
		{ "POST", TAILNET "/dns/nameservers", "{\"dns\":[\"nobody\"]}", 400, "status", "400" },
		{ "POST", TAILNET "/dns/searchpaths", "{\"searchPaths\":[\"corp.test\"]}", 200, "searchPaths",
			"[\"corp.test\"]" },
		{ "GET", TAILNET "/dns/preferences", NULL, 200, "magicDNS", "true" },
		{ "POST", TAILNET "/dns/preferences", "{\"magicDNS\":false}", 200, "magicDNS", "false" },
		{ "PUT", TAILNET "/dns/split-dns", "{\"a.test\":[\"192.0.2.1\"],\"b.test\":[\"192.0.2.2\"]}",
			200, "a\\.test", "nothing" },
		{ "PATCH", TAILNET "/dns/split-dns", "{\"a.test\":null}", 200, "",
			"{\"b.test\":[\"192.0.2.2\"]}" },
		{ "GET", TAILNET "/dns/configuration", NULL, 200, "nameservers.0.address", "192.0.2.53" },
		{ "POST", TAILNET "/dns/configuration", "{\"preferences\":{\"magicDNS\":true}}", 200,
			"nameservers", "[]" },
		{ "GET", TAILNET "/dns/split-dns", NULL, 200, "", "{}" },

		{ "GET", TAILNET "/users", NULL, 200, "users.0.deviceCount", "1" },
		{ "GET", TAILNET "/users?role=owner", NULL, 200, "users", "[]" },
		{ "GET", "/api/v2/users/1", NULL, 200, "loginName", "alice" },
		{ "GET", "/api/v2/users/2", NULL, 404, "status", "404" },
		{ "GET", TAILNET "/settings", NULL, 200, "devicesApprovalOn", "false" },
		{ "PATCH", TAILNET "/settings", "{\"devicesApprovalOn\":false}", 200, "devicesApprovalOn",
			"false" },
		{ "PATCH", TAILNET "/settings", "{\"devicesApprovalOn\":true}", 501, "status", "501" },
		{ "GET", TAILNET "/webhooks", NULL, 501, "status", "501" },
		{ "DELETE", "/api/v2/device/1", NULL, 200, "", "{}" },
	};
	struct world *w = *state;
	struct world_node a;
	char key[128];
	join_alpha(w, &a, key);
	rows_run(w, key, rows, ARRAY_LEN(rows));
	world_node_close(&a);
}

/* What the API sets is told to nodes, and outlives a restart and a reload. */
static void test_v2_dns_holds(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char key[128];
	size_t seen = 0;
	world_alpha_open(&a, w, key);
	world_node_ask_map(&a, true, NULL);
	assert_int_equal(world_node_next(&a, &seen)->dns->n_resolvers, 0);
	make_key(w, "{}", key);
	json_decref(ask(w, key, "POST", TAILNET "/dns/nameservers", "{\"dns\":[\"192.0.2.53\"]}"));
	assert_int_equal(w->status, 200);
	const struct ctl_map_response *m = world_node_next(&a, &seen);
	assert_string_equal(m->dns->resolvers[0].addr, "192.0.2.53");
	assert_string_equal(m->dns->extra[0].name, "nas.mesh.test"); /* of the settings, as before */
	world_node_close(&a);
	world_server_kill(w, SIGTERM, 0);
	world_server_start(w);
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	json_t *v = ask(w, key, "GET", TAILNET "/dns/nameservers", NULL);
	assert_string_equal(json_string_value(json_array_get(json_object_get(v, "dns"), 0)), "192.0.2.53");
	json_decref(v);
	json_decref(world_admin(w, "/v1/dns/reset", "{}"));
	v = world_admin(w, "/v1/dns/show", "{}");
	assert_int_equal(json_array_size(json_object_get(v, "nameservers")), 0);
	json_decref(v);
}

/* A request whose answer may take its time. */
struct later {
	struct world *w;
	bool done;
	int status;
};

static void later_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct later *l = arg;
	(void)body, (void)len;
	l->done = true;
	l->status = head->status;
	loop_stop(l->w->loop);
}

static void later_failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d %s", code, why);
}

/* key NULL: as an admin, at the socket. */
static void ask_later(struct later *l, const char *key, const char *target, const char *body)
{
	char host[64], extra[160] = "";
	const struct http_client_events ev = { .done = later_answered, .failed = later_failed, .arg = l };
	struct http_request rq = { .method = "POST",
		.target = target,
		.host = "hs.test",
		.body = body,
		.body_len = strlen(body),
		.content_type = "application/json",
		.extra = extra };
	l->done = false;
	if (key) {
		snprintf(extra, sizeof(extra), "Authorization: Bearer %s\r\n", key);
		addr_format(&l->w->at.ip, host);
		rq.to = (struct stream_target) { .host = host, .port = l->w->at.port, .at = &l->w->at };
	} else {
		rq.unix_path = l->w->socket;
	}
	assert_non_null(http_request(l->w->loop, &rq, &ev));
}

static bool dns_says(struct world *w, const char *key, const char *part, const char *name, const char *want)
{
	char target[128];
	snprintf(target, sizeof(target), TAILNET "/dns/%s", part);
	json_t *v = ask(w, key, "GET", target, NULL);
	char *text = json_dumps(json_object_get(v, name), JSON_COMPACT);
	bool same = text && !strcmp(text, want);
	free(text);
	json_decref(v);
	return same;
}

static void until_dns_says(
	struct world *w, const char *key, const char *part, const char *name, const char *want)
{
	for (uint64_t began_ms = clock_now_ms(); !dns_says(w, key, part, name, want);)
		if (clock_now_ms() - began_ms > WAIT_MS)
			fail_msg("%s did not become %s", part, want);
}

/* A change that comes while a reset is on its way to the disk begins from what the file says. The disk is slow since we
 * hold the database; where that took so long that the server gave up, once more. */
static void test_v2_dns_after_reset(void **state)
{
	struct world *w = *state;
	struct later reset = { .w = w }, change = { .w = w };
	char key[128], path[256];
	sqlite3 *db;
	make_key(w, "{}", key);
	assert_int_equal(sqlite3_open(place_path(&w->place, "db.sqlite", path), &db), SQLITE_OK);
	sqlite3_busy_timeout(db, WAIT_MS);
	for (int tries = 0; tries < 10; tries++) {
		json_decref(ask(w, key, "POST", TAILNET "/dns/nameservers", "{\"dns\":[\"192.0.2.53\"]}"));
		assert_int_equal(w->status, 200);
		assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
		ask_later(&reset, NULL, "/v1/dns/reset", "{}");
		until_dns_says(w, key, "nameservers", "dns", "[]");
		ask_later(&change, key, TAILNET "/dns/searchpaths", "{\"searchPaths\":[\"corp.test\"]}");
		until_dns_says(w, key, "searchpaths", "searchPaths", "[\"corp.test\"]");
		assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
		WAIT(w, reset.done && change.done);
		if (reset.status == 200 && change.status == 200)
			break;
	}
	sqlite3_close(db);
	assert_int_equal(reset.status + change.status, 400);
	assert_true(dns_says(w, key, "nameservers", "dns", "[]"));
	assert_true(dns_says(w, key, "searchpaths", "searchPaths", "[\"corp.test\"]"));
}

/* A token is good for what it says until it ends; any other letter, and it is none. */
static void test_tokens(void **state)
{
	struct world *w = *state;
	char key[128], body[256], token[160];
	make_key(w, "{}", key);
	json_t *v = ask(w, key, "POST", TAILNET "/keys",
		"{\"keyType\":\"client\",\"scopes\":[\"dns:read\",\"users\"]}");
	char *secret = strdup(json_string_value(json_object_get(v, "key")));
	snprintf(body, sizeof(body), "grant_type=client_credentials&client_id=%s&client_secret=%s",
		json_string_value(json_object_get(v, "id")), secret);
	json_decref(v);
	v = ask(w, NULL, "POST", "/api/v2/oauth/token", body);
	assert_int_equal(w->status, 200);
	assert_string_equal(w->cache_control, "no-store");
	snprintf(token, sizeof(token), "%s", json_string_value(json_object_get(v, "access_token")));
	assert_string_equal(json_string_value(json_object_get(v, "scope")), "dns:read users");
	json_decref(v);
	static const struct {
		const char *method, *target;
		int status;
	} rows[] = { { "GET", TAILNET "/dns/nameservers", 200 }, { "POST", TAILNET "/dns/nameservers", 403 },
		{ "GET", TAILNET "/users", 200 }, { "GET", TAILNET "/devices", 403 },
		{ "GET", TAILNET "/keys", 403 }, { "GET", "/api/v1/user", 403 },
		{ "GET", TAILNET "/webhooks", 403 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(ask(w, token, rows[i].method, rows[i].target, NULL));
		if (w->status != rows[i].status)
			fail_msg("row %zu: %d", i, w->status);
	}
	for (size_t i = 0; i < strlen(token); i++) {
		token[i] ^= 1;
		json_decref(ask(w, token, "GET", TAILNET "/users", NULL));
		if (w->status != 401)
			fail_msg("letter %zu: %d", i, w->status);
		token[i] ^= 1;
	}
	json_decref(ask(w, secret, "GET", TAILNET "/users", NULL)); /* the secret itself opens nothing */
	assert_int_equal(w->status, 401);
	snprintf(body, sizeof(body), "client_secret=%s&scope=all", secret);
	json_decref(ask(w, NULL, "POST", "/api/v2/oauth/token", body));
	assert_int_equal(w->status, 400);
	/* a form is no address: nothing ends at a '#'; and what cannot be read asked for less than all */
	static const char *const wrong[] = { "client_secret=%s&note=#&scope=all",
		"client_secret=%s&scope=%%ff", "client_secret=%s&scope=dns:read%%zz",
		"client_secret=%s&grant_type=%%00" };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(body, sizeof(body), wrong[i], secret);
		json_decref(ask(w, NULL, "POST", "/api/v2/oauth/token", body));
		if (w->status != 400)
			fail_msg("form %zu: %d", i, w->status);
	}
	json_decref(world_admin(w, "/v1/apikeys/expire", "{\"id\":2}"));
	json_decref(ask(w, token, "GET", TAILNET "/users", NULL));
	assert_int_equal(w->status, 401);
	free(secret);
}

/* A token of a new client with these scopes, and the tag:ci. */
static void make_token(struct world *w, const char *key, const char *scopes, char token[static 160])
{
	char body[256];
	snprintf(
		body, sizeof(body), "{\"keyType\":\"client\",\"scopes\":[%s],\"tags\":[\"tag:ci\"]}", scopes);
	json_t *v = ask(w, key, "POST", TAILNET "/keys", body);
	snprintf(body, sizeof(body), "client_secret=%s", json_string_value(json_object_get(v, "key")));
	json_decref(v);
	v = ask(w, NULL, "POST", "/api/v2/oauth/token", body);
	assert_int_equal(w->status, 200);
	snprintf(token, 160, "%s", json_string_value(json_object_get(v, "access_token")));
	json_decref(v);
}

/* What a client makes or tags may no more than it itself. */
static void test_clients_stay_below(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char key[128], few[160], reader[160], all[160];
	take_policy(w, "{\"tagOwners\":{\"tag:old\":[],\"tag:ci\":[],\"tag:prod\":[]}}");
	world_key(w, "{\"tags\":\"tag:old\"}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	world_node_close(&a);
	make_key(w, "{}", key);
	make_token(w, key, "\"auth_keys\",\"oauth_keys\",\"devices:core\"", few);
	make_token(w, key, "\"auth_keys\",\"oauth_keys\",\"all:read\"", reader);
	make_token(w, key, "\"all\"", all);
	const struct {
		const char *token, *target, *body;
		int status;
	} rows[] = {
		{ few, TAILNET "/keys", "{\"keyType\":\"client\",\"scopes\":[\"all\"]}", 403 },
		{ few, TAILNET "/keys", "{\"keyType\":\"client\",\"scopes\":[\"dns:read\"]}", 403 },
		{ few, TAILNET "/keys",
			"{\"keyType\":\"client\",\"scopes\":[\"auth_keys\"],\"tags\":[\"tag:prod\"]}", 403 },
		{ few, TAILNET "/keys",
			"{\"keyType\":\"client\",\"scopes\":[\"auth_keys:read\"],\"tags\":[\"tag:ci\"]}",
			200 },
		{ reader, TAILNET "/keys", "{\"keyType\":\"client\",\"scopes\":[\"dns\"]}", 403 },
		{ reader, TAILNET "/keys", "{\"keyType\":\"client\",\"scopes\":[\"dns:read\"]}", 200 },
		{ all, TAILNET "/keys", "{\"keyType\":\"client\",\"scopes\":[\"dns\"]}", 200 },
		{ key, TAILNET "/keys",
			"{\"keyType\":\"client\",\"scopes\":[\"dns\"],\"tags\":[\"tag:prod\"]}", 200 },
		{ few, "/api/v2/device/1/tags", "{\"tags\":[\"tag:prod\"]}", 403 },
		{ few, "/api/v2/device/1/tags", "{\"tags\":[\"tag:ci\",\"tag:old\"]}", 200 },
		{ few, "/api/v2/device/1/tags", "{\"tags\":[\"tag:ci\"]}", 200 },
		{ few, "/api/v2/device/1/tags", "{\"tags\":[\"tag:old\"]}", 403 }, /* it has it no more */
		{ key, "/api/v2/device/1/tags", "{\"tags\":[\"tag:prod\"]}", 200 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(ask(w, rows[i].token, "POST", rows[i].target, rows[i].body));
		if (w->status != rows[i].status)
			fail_msg("row %zu: %d", i, w->status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_rights, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_long_name, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_bodies, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v1_people_and_keys, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v1_nodes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_described, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_long_policy, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v1_route_numbers, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v1_rules, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v2_rules, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v2, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v2_dns_holds, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v2_dns_after_reset, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_tokens, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_clients_stay_below, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
