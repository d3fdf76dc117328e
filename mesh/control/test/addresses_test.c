/* The address of a node is chosen by whoever looks after machines, as long as the access rules do not know the node by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <stdio.h>
#include <string.h>

static void take_policy(struct world *w)
{
	world_restart_with(w, "policy: { mode: database }\n");
	json_decref(world_admin(w, "/v1/policy/set",
		"{\"policy\":\"{\\\"acls\\\":[{\\\"action\\\":\\\"accept\\\",\\\"src\\\":[\\\"100.64.0.9\\\"]"
		","
		"\\\"dst\\\":[\\\"*:22\\\"]}]}\"}"));
	assert_int_equal(w->status, 200);
}

static void take_text(json_t *v, const char *name, char *out, size_t cap)
{
	snprintf(out, cap, "%s", json_string_value(json_object_get(v, name)));
	json_decref(v);
}

/* A token of a new client with these scopes. */
static void make_token(struct world *w, const char *key, const char *scopes, char token[static 160])
{
	char body[200], secret[128];
	snprintf(body, sizeof(body), "{\"keyType\":\"client\",\"scopes\":[%s],\"tags\":[]}", scopes);
	take_text(world_ask(w, key, "POST", "/api/v2/tailnet/-/keys", body), "key", secret, sizeof(secret));
	snprintf(body, sizeof(body), "client_secret=%s", secret);
	take_text(world_ask(w, NULL, "POST", "/api/v2/oauth/token", body), "access_token", token, 160);
	assert_int_equal(w->status, 200);
}

static void test_addresses(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char key[128], machines[160], both[160];
	take_policy(w);
	world_alpha_open(&a, w, key);
	take_text(world_admin(w, "/v1/apikeys/create", "{}"), "key", key, sizeof(key));
	make_token(w, key, "\"devices:core\"", machines);
	make_token(w, key, "\"devices:core\",\"policy_file\"", both);
	const struct {
		const char *who, *to;
		int status;
	} rows[] = { { machines, "100.64.0.8", 200 }, { machines, "100.64.0.9", 403 },
		{ both, "100.64.0.9", 200 }, { machines, "100.64.0.9", 200 }, /* it has it */
		{ machines, "100.64.0.8", 200 }, { key, "100.64.0.9", 200 },
		{ machines, "100.64.0.1", 200 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char body[64];
		snprintf(body, sizeof(body), "{\"ipv4\":\"%s\"}", rows[i].to);
		json_t *v = world_ask(w, rows[i].who, "POST", "/api/v2/device/1/ip", body);
		if (w->status != rows[i].status)
			fail_msg("row %zu: %d", i, w->status);
		if (w->status == 403)
			assert_string_equal(json_string_value(json_object_get(v, "message")),
				"100.64.0.9 is in the access rules: who may change these gives this address "
				"to a "
				"node");
		json_decref(v);
	}
	world_node_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
		test_addresses, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
