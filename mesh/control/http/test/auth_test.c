/* Who asks, when it is a program: keys and tokens as time goes by, and how far each reaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/api.h"
#include "mesh/control/http/test/sent.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW (INT64_C(1700000000) * 1000)
#define SECRET "0123456789012345678901234567890123456789012345678901234567890123"
#define ADMIN "hskey-api-abcdefghijkl-" SECRET
#define CLIENT "hskey-client-ABCDEFGHIJKL-" SECRET
#define OTHER "hskey-client-MNOPQRSTUVWX-" SECRET

enum { TOKEN_LIFE_MS = 3600 * 1000, KEY_LIFE_MS = 2 * TOKEN_LIFE_MS, TOKEN = 160 };

struct fixture {
	struct registry reg;
	struct api api;
};

/* Its use is not to be stored: it was seen far ahead. */
static void add(
	struct fixture *x, enum api_key_kind kind, const char *text, const char *prefix, const char *scopes)
{
	struct api_key k = { .id = (int64_t)x->reg.api_keys.n + 1,
		.kind = kind,
		.expiry_ms = NOW + KEY_LIFE_MS,
		.seen_ms = NOW + 2 * KEY_LIFE_MS };
	snprintf(k.prefix, sizeof(k.prefix), "%s", prefix);
	snprintf(k.scopes, sizeof(k.scopes), "%s", scopes);
	registry_key_hash(text, k.hash);
	assert_true(api_keys_add(&x->reg.api_keys, &k));
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	assert_true(key_setup());
	x->reg.c.secret.b[0] = 7;
	x->api.reg = &x->reg;
	add(x, API_KEY_ADMIN, ADMIN, "abcdefghijkl", "");
	add(x, API_KEY_CLIENT, CLIENT, "ABCDEFGHIJKL", "dns users:read");
	add(x, API_KEY_CLIENT, OTHER, "MNOPQRSTUVWX", "all");
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	api_keys_fini(&x->reg.api_keys);
	free(x);
	return 0;
}

/* A call that shows this; c->key: whose it was. */
static struct api_call shows(struct fixture *x, struct http_head *head, const char *bearer, int64_t now_ms)
{
	static char line[TOKEN + 16];
	struct api_call c = { .api = &x->api,
		.right = API_ANYBODY,
		.method = "GET",
		.path = "/api/v2/x",
		.head = head,
		.now_ms = now_ms };
	snprintf(line, sizeof(line), "Bearer %s", bearer);
	*head = (struct http_head) { .method = "GET", .target = "/api/v2/x", .n_headers = 1 };
	head->headers[0] = (struct http_header) { "Authorization", line };
	api_authenticate(&c);
	return c;
}

static bool opens(struct fixture *x, const char *bearer, int64_t now_ms)
{
	struct http_head head;
	return shows(x, &head, bearer, now_ms).right == API_KEYED;
}

/* Asks for a token by this form; false: refused. */
static bool ask_token(struct fixture *x, const char *form, int64_t now_ms, char token[static TOKEN])
{
	const struct http_head head = { .method = "POST", .target = "/api/v2/oauth/token" };
	static int conn; /* that there is one */
	struct api_call c = { .api = &x->api,
		.method = "POST",
		.way = { .conn = (struct http_server_conn *)&conn },
		.head = &head,
		.body = (const uint8_t *)form,
		.len = strlen(form),
		.now_ms = now_ms };
	oauth_token(&c);
	json_t *v = json_loads(sent.body, 0, NULL);
	const char *text = json_string_value(json_object_get(v, "access_token"));
	assert_int_equal(sent.status == 200, text != NULL);
	if (text)
		snprintf(token, TOKEN, "%s", text);
	json_decref(v);
	return sent.status == 200;
}

static void test_key_ends(void **state)
{
	assert_true(opens(*state, ADMIN, NOW + KEY_LIFE_MS - 1));
	assert_false(opens(*state, ADMIN, NOW + KEY_LIFE_MS));
	assert_false(opens(*state, CLIENT, NOW)); /* is for a token alone */
}

static void test_token_ends(void **state)
{
	struct fixture *x = *state;
	char token[TOKEN];
	assert_true(ask_token(x, "client_secret=" CLIENT, NOW, token));
	assert_true(opens(x, token, NOW + TOKEN_LIFE_MS - 1));
	assert_false(opens(x, token, NOW + TOKEN_LIFE_MS));
	/* with its client, sooner */
	api_keys_by_prefix(&x->reg.api_keys, "ABCDEFGHIJKL")->expiry_ms = NOW + 1000;
	assert_true(opens(x, token, NOW + 999));
	assert_false(opens(x, token, NOW + 1000));
	assert_false(ask_token(x, "client_secret=" CLIENT, NOW + 1000, token));
	assert_int_equal(sent.status, 401);
	api_keys_remove(&x->reg.api_keys, 2);
	assert_false(opens(x, token, NOW));
}

/* Of another server, or of a client that an admin has made less since. */
static void test_token_of_another(void **state)
{
	struct fixture *x = *state;
	struct http_head head;
	char token[TOKEN], whole[TOKEN];
	assert_true(ask_token(x, "client_secret=" CLIENT, NOW, token));
	assert_true(ask_token(x, "client_secret=" OTHER, NOW, whole));
	uint32_t before = shows(x, &head, whole, NOW).scopes, wanted;
	char say[64];
	assert_true(api_scopes_read("dns:read", &wanted, say, sizeof(say)));
	assert_true(before & ~wanted);
	snprintf(api_keys_by_prefix(&x->reg.api_keys, "MNOPQRSTUVWX")->scopes, API_KEY_SCOPES, "dns:read");
	assert_int_equal(shows(x, &head, whole, NOW).scopes, wanted);
	x->reg.c.secret.b[0] = 8;
	assert_false(opens(x, token, NOW));
}

static void test_token_asked(void **state)
{
	static const struct {
		const char *form;
		int status;
		const char *scope; /* NULL: refused */
	} rows[] = { { "client_secret=" CLIENT, 200, "dns users:read" },
		{ "client_id=ABCDEFGHIJKL&client_secret=" CLIENT, 200, "dns users:read" },
		{ "client_id=MNOPQRSTUVWX&client_secret=" CLIENT, 401, NULL },
		{ "client_id=ABCDEFGHIJK&client_secret=" CLIENT, 401, NULL },
		{ "client_secret=" ADMIN, 401, NULL }, /* an admin's key is no client's */
		{ "client_secret=" CLIENT "0", 401, NULL },
		{ "client_secret=" CLIENT "&scope=dns:read", 200, "dns:read" },
		{ "client_secret=" CLIENT "&scope=dns+users:read", 200, "dns users:read" },
		{ "client_secret=" CLIENT "&scope=users", 400, NULL }, /* it reads them alone */
		{ "client_secret=" CLIENT "&scope=dns+users", 400, NULL },
		{ "client_secret=" CLIENT "&scope=all:read", 400, NULL },
		{ "client_secret=" CLIENT "&scope=%zz", 400, NULL },
		{ "client_secret=" OTHER "&scope=users", 200, "users" },
		{ "client_secret=" CLIENT "&grant_type=client_credentials", 200, "dns users:read" },
		{ "client_secret=" CLIENT "&grant_type=password", 400, NULL } };
	char token[TOKEN];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool got = ask_token(*state, rows[i].form, NOW, token);
		json_t *v = json_loads(sent.body, 0, NULL);
		const char *scope = json_string_value(json_object_get(v, "scope"));
		if (got != (rows[i].scope != NULL) || sent.status != rows[i].status ||
			(got && strcmp(scope, rows[i].scope) != 0))
			fail_msg("row %zu: %d %s", i, sent.status, sent.body);
		json_decref(v);
	}
}

/* What a token of these scopes may do of a row that is for that one. */
static void test_reach(void **state)
{
	static const struct {
		const char *scopes, *method, *row;
		bool may;
	} rows[] = { { "dns", "GET", "dns", true }, { "dns", "POST", "dns", true },
		{ "dns:read", "GET", "dns", true }, { "dns:read", "POST", "dns", false },
		{ "dns:read", "POST", "dns:read", true }, { "users", "GET", "dns", false },
		{ "all:read", "GET", "dns", true }, { "all:read", "POST", "dns", false },
		{ "all", "POST", "dns", true }, { "all", "GET", NULL, false }, { "all", "POST", NULL, false },
		{ "devices", "POST", "devices:core", true },
		{ "devices:core", "POST", "devices:routes", false } };
	const struct api_key client = { .kind = API_KEY_CLIENT }, admin = { .kind = API_KEY_ADMIN };
	char say[64];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct api_call c = { .right = API_KEYED, .key = &client };
		const struct api_row r = { .method = rows[i].method, .scope = rows[i].row };
		assert_true(api_scopes_read(rows[i].scopes, &c.scopes, say, sizeof(say)));
		if (api_has_scope(&c, &r) != rows[i].may || api_may(&c, &r) != rows[i].may)
			fail_msg("row %zu", i);
		c.key = &admin;
		assert_true(api_may(&c, &r));
	}
	/* a person's session reaches what is its own, where the row is for that */
	struct api_call c = { .right = API_SESSION, .own = 5, .person = 5 };
	struct api_row r = { .method = "POST", .scope = "devices:core" };
	assert_false(api_may(&c, &r));
	r.flags = API_OWN;
	assert_true(api_may(&c, &r));
	assert_int_equal(c.own, 5);
	c.whole = true;
	assert_true(api_may(&c, &r));
	assert_int_equal(c.own, 0);
}

static void test_rank(void **state)
{
	const struct api_key client = { .kind = API_KEY_CLIENT }, admin = { .kind = API_KEY_ADMIN };
	const struct {
		struct api_call c;
		enum user_role rank;
		int64_t giver;
		bool ruled;
	} rows[] = { { { .right = API_ADMIN }, USER_OWNER, 0, false },
		{ { .right = API_KEYED, .key = &admin }, USER_ADMIN, 0, false },
		{ { .right = API_KEYED, .key = &client }, USER_MEMBER, 0, true },
		{ { .right = API_SESSION, .rank = USER_IT_ADMIN, .person = 5 }, USER_IT_ADMIN, 5, true },
		{ { .right = API_SESSION, .rank = USER_NETWORK_ADMIN, .person = 5 }, USER_NETWORK_ADMIN, 0,
			true },
		{ { .right = API_SESSION, .rank = USER_ADMIN, .person = 5, .whole = true }, USER_ADMIN, 0,
			false },
		{ { .right = API_ANYBODY }, USER_MEMBER, 0, false } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (api_rank(&rows[i].c) != rows[i].rank || api_giver(&rows[i].c) != rows[i].giver ||
			api_is_ruled(&rows[i].c) != rows[i].ruled)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_key_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token_of_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reach, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rank, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
