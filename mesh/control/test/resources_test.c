/* The official service's API as programs use it that hold a network to a description: what they set is what they read
 * back, else they would set it again each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TAILNET "/api/v2/tailnet/-"
#define PIN "rcW4wJVd3ilEaqLlbTOqkg+YBJyOHkjNfW150X3LWHg="

static const char *text(const json_t *o, const char *name)
{
	const char *t = json_string_value(json_object_get(o, name));
	return t ? t : "";
}

static void make_key(struct world *w, char key[static 128])
{
	json_t *v = world_admin(w, "/v1/apikeys/create", "{}");
	snprintf(key, 128, "%s", text(v, "key"));
	json_decref(v);
}

static json_t *parsed(const char *json)
{
	json_t *v = json_loads(json, 0, NULL);
	assert_non_null(v);
	return v;
}

/* The whole of DNS, set and read; what was left out reads as its default. */
static void test_dns(void **state)
{
	static const struct {
		const char *set, *read; /* NULL: the same */
	} rows[] = {
#define PREFERENCES(override) "\"preferences\":{\"overrideLocalDNS\":" override ",\"magicDNS\":true}}"
#define EMPTY "{\"nameservers\":[],\"splitDNS\":{},\"searchPaths\":[],"
		/* without a nameserver nothing of it shows in what nodes are told */
		{ EMPTY PREFERENCES("false"), NULL },
		{ EMPTY PREFERENCES("true"), NULL },
		{ "{\"nameservers\":[{\"address\":\"192.0.2.1\",\"useWithExitNode\":true},"
		  "{\"address\":\"192.0.2.2\",\"useWithExitNode\":false}],\"splitDNS\":{\"a.test\":[{"
		  "\"address\":"
		  "\"192.0.2.3\",\"useWithExitNode\":true}]},\"searchPaths\":[\"b.test\"]," PREFERENCES(
			  "true"),
			NULL },
		{ "{\"nameservers\":[{\"address\":\"192.0.2.1\",\"useWithExitNode\":false}],\"splitDNS\":{},"
		  "\"searchPaths\":[]," PREFERENCES("false"),
			NULL },
		{ "{\"preferences\":{}}",
			EMPTY "\"preferences\":{\"overrideLocalDNS\":false,\"magicDNS\":false}}" },
	};
	struct world *w = *state;
	char key[128];
	make_key(w, key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *want = parsed(rows[i].read ? rows[i].read : rows[i].set);
		json_t *said = world_ask(w, key, "POST", TAILNET "/dns/configuration", rows[i].set);
		assert_int_equal(w->status, 200);
		json_t *got = world_ask(w, key, "GET", TAILNET "/dns/configuration", NULL);
		if (!json_equal(want, said) || !json_equal(want, got))
			fail_msg("row %zu: %s", i, w->answer);
		json_decref(want);
		json_decref(said);
		json_decref(got);
	}
}

/* It is told to nodes, and costs a server that is named as before neither its pins nor its addresses. */
static void test_exit_servers(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char key[128];
	size_t seen = 0;
	world_alpha_follow(&a, w, key, &seen);
	make_key(w, key);
	json_decref(world_ask(w, key, "POST", TAILNET "/dns/nameservers",
		"{\"dns\":[{\"server\":\"https://dns.test/q\",\"addresses\":[\"192.0.2.7\"],\"pins\":[\"" PIN
		"\"]}]}"));
	assert_int_equal(w->status, 200);
	assert_false(world_node_next(&a, &seen)->dns->resolvers[0].with_exit);
	static const char *const bodies[] = {
		"{\"nameservers\":[{\"address\":\"https://dns.test/"
		"q\",\"useWithExitNode\":true}]," PREFERENCES("true"),
		"{\"nameservers\":[{\"address\":\"https://dns.test/q\"}]," PREFERENCES("true"),
	};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		json_decref(world_ask(w, key, "POST", TAILNET "/dns/configuration", bodies[i]));
		assert_int_equal(w->status, 200);
		const struct ctl_dns *d = world_node_next(&a, &seen)->dns;
		assert_int_equal(d->resolvers[0].with_exit, i == 0);
		assert_int_equal(d->resolvers[0].pins.n, 1);
		assert_int_equal(d->resolvers[0].bootstrap.n, 1);
	}
	json_decref(world_ask(w, key, "POST", TAILNET "/dns/configuration",
		"{\"nameservers\":[{\"address\":5,\"useWithExitNode\":true}]}"));
	assert_int_equal(w->status, 400);
	world_node_close(&a);
}

/* One request about the rules. type: of the body; if_match: NULL, any. The ETag is in the answer's head, so a wrong
 * If-Match tells it. */
static int post_rules(
	struct world *w, const char *key, const char *text, const char *type, const char *if_match)
{
	char host[64], extra[256];
	struct http_request rq = { .method = "POST",
		.target = TAILNET "/acl",
		.host = "hs.test",
		.body = text,
		.body_len = strlen(text),
		.content_type = type,
		.extra = extra };
	snprintf(extra, sizeof(extra), "Authorization: Bearer %s\r\n%s%s%s", key,
		if_match ? "If-Match: \"" : "", if_match ? if_match : "", if_match ? "\"\r\n" : "");
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	world_fetch(w, &rq);
	return w->status;
}

/* Rules are begun only where there are none, and given up by an empty text: then there are none again. */
static void test_rules(void **state)
{
#define SSH_ONLY "{ // one\n\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:22\"]}]}"
#define ALL "{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:*\"]}]}"
#define HUJSON "application/hujson"
	static const struct {
		const char *text, *type, *if_match;
		int status;
	} rows[] = {
		{ SSH_ONLY, HUJSON, "ts-default", 412 }, /* the file that was there was taken over */
		{ "", HUJSON, NULL, 200 },
		{ SSH_ONLY, HUJSON, "ts-default", 200 },
		{ SSH_ONLY, HUJSON, "ts-default", 412 },
		{ "", "application/json", NULL, 400 },
		{ "", HUJSON, "other", 412 },
		{ "", HUJSON, NULL, 200 },
		{ SSH_ONLY, HUJSON, "ts-default", 200 },
		{ " \n", HUJSON, NULL, 200 },
		{ SSH_ONLY, HUJSON, "ts-default", 200 },
	};
	struct world *w = *state;
	char key[128];
	world_restart_with(w, "policy: { mode: database }\n");
	make_key(w, key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int status = post_rules(w, key, rows[i].text, rows[i].type, rows[i].if_match);
		if (status != rows[i].status)
			fail_msg("row %zu: %d: %s", i, status, w->answer);
		bool reset = status == 200 && rows[i].text[0] != '{';
		json_t *v = world_ask(w, key, "GET", TAILNET "/acl", NULL),
		       *want = reset ? parsed(ALL) : NULL;
		assert_true(!reset || json_equal(v, want));
		json_decref(v);
		json_decref(want);
	}
}

static void test_filters(void **state)
{
	static const struct {
		const char *query;
		int status;
		const char *names; /* of hosts, with commas behind */
	} rows[] = {
		{ "", 200, "alpha,beta," },
		{ "?hostname=beta", 200, "beta," },
		{ "?hostname=beta&hostname=alpha", 200, "alpha,beta," },
		{ "?hostname=beta&user=bob", 200, "" },
		{ "?tags=tag:web", 200, "beta," },
		{ "?tags=tag%3Aweb&tags=tag:db&fields=all", 200, "beta," },
		{ "?isEphemeral=false&id=1", 200, "alpha," },
		{ "?isEphemeral=true", 200, "" },
		{ "?nosuch=1", 200, "" },
		{ "?hostname", 200, "" },
		{ "?&&hostname=beta&", 200, "beta," },
		{ "?hostname=%00", 400, "" },
		{ "?hostname=%zz", 400, "" },
		{ "?a=1&a=2&a=3&a=4&a=5&a=6&a=7&a=8&a=9&a=10&a=11&a=12&a=13&a=14&a=15&a=16&a=17&a=18&a=19&a="
		  "20&"
		  "a=21&a=22&a=23&a=24&a=25&a=26&a=27&a=28&a=29&a=30&a=31&a=32&a=33",
			400, "" },
	};
	struct world *w = *state;
	struct world_node a, b;
	char key[128], path[512], got[64];
	world_write_file(place_path(&w->place, "policy.hujson", path),
		"{\"tagOwners\":{\"tag:web\":[],\"tag:db\":[]}}");
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	world_alpha_open(&a, w, key);
	world_key(w, "{\"tags\":\"tag:web\"}", key);
	world_node_open(&b, w);
	world_node_join(&b, key, "beta");
	make_key(w, key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(path, sizeof(path), TAILNET "/devices%s", rows[i].query);
		json_t *v = world_ask(w, key, "GET", path, NULL);
		const json_t *device;
		size_t n, len = 0;
		got[0] = 0;
		json_array_foreach(json_object_get(v, "devices"), n, device) len +=
			(size_t)snprintf(got + len, sizeof(got) - len, "%s,", text(device, "hostname"));
		if (w->status != rows[i].status || strcmp(got, rows[i].names) != 0)
			fail_msg("%s: %d, \"%s\"", rows[i].query, w->status, got);
		json_decref(v);
	}
	world_node_close(&a);
	world_node_close(&b);
}

/* A key is told with what was asked of it, one that the server's admin makes too: a plan that finds another makes it anew. */
static void test_keys(void **state)
{
#define ASK(create) "{\"capabilities\":{\"devices\":{\"create\":{" create "}}}}"
	static const struct {
		const char *ask;
		bool reusable, ephemeral, preauthorized;
	} rows[] = {
		{ ASK("\"preauthorized\":false"), false, false, false },
		{ ASK("\"preauthorized\":true"), false, false, true },
		{ ASK("\"reusable\":true"), true, false, false },
		{ ASK("\"ephemeral\":true,\"preauthorized\":true"), false, true, true },
		{ NULL, false, false, true },
	};
	struct world *w = *state;
	char key[128], own[128], ids[ARRAY_LEN(rows)][32];
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	make_key(w, key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *v = rows[i].ask ? world_ask(w, key, "POST", TAILNET "/keys", rows[i].ask) : NULL;
		if (!rows[i].ask)
			world_key(w, "{\"user\":\"alice\"}", own);
		snprintf(ids[i], sizeof(ids[i]), "%.12s",
			rows[i].ask ? text(v, "id") : own + strlen("hskey-auth-"));
		json_decref(v);
	}
	world_server_kill(w, SIGTERM, 0);
	world_server_start(w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[64];
		snprintf(path, sizeof(path), TAILNET "/keys/%s", ids[i]);
		json_t *v = world_ask(w, key, "GET", path, NULL),
		       *create = json_object_get(
			       json_object_get(json_object_get(v, "capabilities"), "devices"), "create");
		if (json_is_true(json_object_get(create, "reusable")) != rows[i].reusable ||
			json_is_true(json_object_get(create, "ephemeral")) != rows[i].ephemeral ||
			json_is_true(json_object_get(create, "preauthorized")) != rows[i].preauthorized)
			fail_msg("row %zu: %s", i, w->answer);
		json_decref(v);
	}
}

static void make_token(struct world *w, const char *secret, char token[static 160])
{
	char body[256];
	snprintf(body, sizeof(body), "client_secret=%s", secret);
	json_t *v = world_ask(w, NULL, "POST", "/api/v2/oauth/token", body);
	assert_int_equal(w->status, 200);
	snprintf(token, 160, "%s", text(v, "access_token"));
	json_decref(v);
}

/* A client is set anew: its secret stays, and a token has no more than the client still has. */
static void test_clients(void **state)
{
	struct world *w = *state;
	char key[128], secret[128], token[160], all[160], client[64], path[128];
	make_key(w, key);
	json_t *v = world_ask(w, key, "POST", TAILNET "/keys",
		"{\"keyType\":\"client\",\"scopes\":[\"dns\",\"users:read\"],\"description\":\"first\"}");
	snprintf(secret, sizeof(secret), "%s", text(v, "key"));
	snprintf(client, sizeof(client), TAILNET "/keys/%s", text(v, "id"));
	json_decref(v);
	make_token(w, secret, token);
	const struct {
		const char *key, *path, *body;
		int status;
	} rows[] = {
		{ key, client, "{\"keyType\":\"client\",\"scopes\":[]}", 400 },
		{ key, client, "{\"keyType\":\"client\",\"scopes\":[\"tea\"]}", 400 },
		{ key, client, "{\"keyType\":\"client\",\"scopes\":[\"dns\"],\"tags\":[\"tag:none\"]}", 400 },
		{ key, client, "{\"keyType\":\"federated\",\"scopes\":[\"dns\"]}", 400 },
		{ key, TAILNET "/keys/nobody", "{\"scopes\":[\"dns\"]}", 404 },
		{ token, client, "{\"scopes\":[\"dns\"]}", 403 },
		{ key, client,
			"{\"keyType\":\"client\",\"scopes\":[\"dns:read\"],\"description\":\"second\"}",
			200 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(world_ask(w, rows[i].key, "PUT", rows[i].path, rows[i].body));
		if (w->status != rows[i].status)
			fail_msg("row %zu: %d: %s", i, w->status, w->answer);
	}
	v = world_ask(w, key, "GET", client, NULL);
	assert_string_equal(text(v, "description"), "second");
	assert_string_equal(json_string_value(json_array_get(json_object_get(v, "scopes"), 0)), "dns:read");
	assert_int_equal(json_array_size(json_object_get(v, "scopes")), 1);
	assert_true(strcmp(text(v, "updated"), text(v, "created")) >= 0);
	assert_null(json_object_get(v, "key"));
	json_decref(v);
	static const struct {
		const char *method, *target;
		int status;
	} uses[] = { { "GET", TAILNET "/dns/nameservers", 200 }, { "POST", TAILNET "/dns/nameservers", 403 },
		{ "GET", TAILNET "/users", 403 } };
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		json_decref(world_ask(w, token, uses[i].method, uses[i].target, NULL));
		if (w->status != uses[i].status)
			fail_msg("use %zu: %d", i, w->status);
	}
	/* of everything, too */
	json_decref(world_ask(w, key, "PUT", client, "{\"scopes\":[\"all\"]}"));
	make_token(w, secret, all);
	json_decref(world_ask(w, all, "POST", TAILNET "/dns/nameservers", "{}"));
	assert_int_equal(w->status, 200);
	json_decref(world_ask(w, key, "PUT", client, "{\"scopes\":[\"all:read\"]}"));
	json_decref(world_ask(w, all, "POST", TAILNET "/dns/nameservers", "{}"));
	assert_int_equal(w->status, 403);
	json_decref(world_ask(w, all, "GET", TAILNET "/users", NULL));
	assert_int_equal(w->status, 200);
	/* a key of an admin is none */
	v = world_ask(w, key, "GET", TAILNET "/keys?all=true", NULL);
	const char *own = text(json_array_get(json_object_get(v, "keys"), 0), "id");
	snprintf(path, sizeof(path), TAILNET "/keys/%s", own);
	json_decref(v);
	json_decref(world_ask(w, key, "PUT", path, "{\"scopes\":[\"dns\"]}"));
	assert_int_equal(w->status, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dns, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_exit_servers, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_rules, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_filters, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_keys, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_clients, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
