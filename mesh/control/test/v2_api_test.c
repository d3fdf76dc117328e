/* The API of programs, as clients of the official service speak it: rules, keys, DNS; and tokens, which are for that alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/api.h"
#include "mesh/control/test/rows.h"
#include "mesh/control/test/world.h"
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOME_RULES "{\"acls\": [{\"action\": \"accept\", \"src\": [\"alice@\"], \"dst\": [\"*:22\"]}]}"
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
	world_restart_with(w, "policy: { mode: database }\n");
	world_api_key(w, "{}", key);
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
		{ "GET", TAILNET "/users?role=a-role-with-a-name-longer-than-any", NULL, 200, "users", "[]" },
		{ "GET", TAILNET "/users?type=%zz", NULL, 200, "users", "[]" },
		{ "GET", TAILNET "/users?role=&type=", NULL, 200, "users.0.loginName", "alice" },
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
	world_alpha_open(&a, w, key);
	world_api_key(w, "{}", key);
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
	world_api_key(w, "{}", key);
	json_decref(world_ask(w, key, "POST", TAILNET "/dns/nameservers", "{\"dns\":[\"192.0.2.53\"]}"));
	assert_int_equal(w->status, 200);
	const struct ctl_map_response *m = world_node_next(&a, &seen);
	assert_string_equal(m->dns->resolvers[0].addr, "192.0.2.53");
	assert_string_equal(m->dns->extra[0].name, "nas.mesh.test"); /* of the settings, as before */
	world_node_close(&a);
	world_server_kill(w, SIGTERM, 0);
	world_server_start(w);
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	json_t *v = world_ask(w, key, "GET", TAILNET "/dns/nameservers", NULL);
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
	(void)world_request(l->w, &rq, &ev);
}

static bool dns_says(struct world *w, const char *key, const char *part, const char *name, const char *want)
{
	char target[128];
	snprintf(target, sizeof(target), TAILNET "/dns/%s", part);
	json_t *v = world_ask(w, key, "GET", target, NULL);
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
	world_api_key(w, "{}", key);
	assert_int_equal(sqlite3_open(place_path(&w->place, "db.sqlite", path), &db), SQLITE_OK);
	sqlite3_busy_timeout(db, WAIT_MS);
	for (int tries = 0; tries < 10; tries++) {
		json_decref(
			world_ask(w, key, "POST", TAILNET "/dns/nameservers", "{\"dns\":[\"192.0.2.53\"]}"));
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

/* Without tags it is a user's, and whose is clear where there is one. */
static void test_nobodys_key(void **state)
{
	static const struct {
		const char *user; /* made before */
		int status;
		const char *says;
	} rows[] = { { NULL, 400, "a key without tags is a user's, and there is none: name tags" },
		{ "{\"name\":\"alice\"}", 200, NULL },
		{ "{\"name\":\"bob\"}", 400,
			"a key without tags is a user's, and there are several: name tags "
			"(capabilities.devices.create.tags), or make the key with `ropewalk-control "
			"preauthkeys create --user NAME`" } };
	struct world *w = *state;
	char key[128];
	world_api_key(w, "{}", key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].user)
			json_decref(world_admin(w, "/v1/users/create", rows[i].user));
		json_t *v = world_ask(w, key, "POST", TAILNET "/keys", "{}");
		const char *said = json_string_value(json_object_get(v, "message"));
		if (w->status != rows[i].status || (rows[i].says && (!said || !strstr(said, rows[i].says))))
			fail_msg("row %zu: %d %s", i, w->status, said);
		json_decref(v);
	}
}

/* A token is good for what it says until it ends; any other letter, and it is none. */
static void test_tokens(void **state)
{
	struct world *w = *state;
	char key[128], body[256], token[160];
	world_api_key(w, "{}", key);
	json_t *v = world_ask(w, key, "POST", TAILNET "/keys",
		"{\"keyType\":\"client\",\"scopes\":[\"dns:read\",\"users\"]}");
	char *secret = strdup(json_string_value(json_object_get(v, "key")));
	snprintf(body, sizeof(body), "grant_type=client_credentials&client_id=%s&client_secret=%s",
		json_string_value(json_object_get(v, "id")), secret);
	json_decref(v);
	v = world_ask(w, NULL, "POST", "/api/v2/oauth/token", body);
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
		json_decref(world_ask(w, token, rows[i].method, rows[i].target, NULL));
		if (w->status != rows[i].status)
			fail_msg("row %zu: %d", i, w->status);
	}
	for (size_t i = 0; i < strlen(token); i++) {
		token[i] ^= 1;
		json_decref(world_ask(w, token, "GET", TAILNET "/users", NULL));
		if (w->status != 401)
			fail_msg("letter %zu: %d", i, w->status);
		token[i] ^= 1;
	}
	json_decref(
		world_ask(w, secret, "GET", TAILNET "/users", NULL)); /* the secret itself opens nothing */
	assert_int_equal(w->status, 401);
	snprintf(body, sizeof(body), "client_secret=%s&scope=all", secret);
	json_decref(world_ask(w, NULL, "POST", "/api/v2/oauth/token", body));
	assert_int_equal(w->status, 400);
	/* a form is no address: nothing ends at a '#'; and what cannot be read asked for less than all */
	static const char *const wrong[] = { "client_secret=%s&note=#&scope=all",
		"client_secret=%s&scope=%%ff", "client_secret=%s&scope=dns:read%%zz",
		"client_secret=%s&grant_type=%%00" };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(body, sizeof(body), wrong[i], secret);
		json_decref(world_ask(w, NULL, "POST", "/api/v2/oauth/token", body));
		if (w->status != 400)
			fail_msg("form %zu: %d", i, w->status);
	}
	json_decref(world_admin(w, "/v1/apikeys/expire", "{\"id\":2}"));
	json_decref(world_ask(w, token, "GET", TAILNET "/users", NULL));
	assert_int_equal(w->status, 401);
	free(secret);
}

/* A token of a new client with these scopes, and the tag:ci. */
static void make_token(struct world *w, const char *key, const char *scopes, char token[static 160])
{
	char body[256];
	snprintf(
		body, sizeof(body), "{\"keyType\":\"client\",\"scopes\":[%s],\"tags\":[\"tag:ci\"]}", scopes);
	json_t *v = world_ask(w, key, "POST", TAILNET "/keys", body);
	snprintf(body, sizeof(body), "client_secret=%s", json_string_value(json_object_get(v, "key")));
	json_decref(v);
	v = world_ask(w, NULL, "POST", "/api/v2/oauth/token", body);
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
	world_take_policy(w, "{\"tagOwners\":{\"tag:old\":[],\"tag:ci\":[],\"tag:prod\":[]}}");
	world_key(w, "{\"tags\":\"tag:old\"}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	world_node_close(&a);
	world_api_key(w, "{}", key);
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
		json_decref(world_ask(w, rows[i].token, "POST", rows[i].target, rows[i].body));
		if (w->status != rows[i].status)
			fail_msg("row %zu: %d", i, w->status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_v2_rules, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v2, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v2_dns_holds, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_v2_dns_after_reset, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_nobodys_key, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_tokens, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_clients_stay_below, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
