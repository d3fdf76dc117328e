/* Invitations: what is in the line, and that a node gets in by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/blake2s.h"
#include "mesh/base/text.h"
#include "mesh/control/test/world.h"
#include "mesh/proto/invite.h"
#include <string.h>
#include <time.h>

static json_t *invited(struct world *w, const char *args, struct invite *v)
{
	struct errbuf eb = { 0 };
	json_t *o = world_admin(w, "/v1/invite", args);
	const char *line = json_string_value(json_object_get(o, "line"));
	if (w->status != 200 || !line || invite_read(line, strlen(line), v, &eb))
		fail_msg("%d %s: %s", w->status, w->answer, eb.text);
	assert_memory_equal(v->key.b, w->server.b, KEY_LEN);
	assert_string_equal(v->server, json_string_value(json_object_get(o, "server")));
	return o;
}

static void test_line(void **state)
{
	struct world *w = *state;
	struct world_node a;
	struct invite v;
	int64_t until, now = (int64_t)time(NULL) * 1000, day = 24 * 3600 * 1000;
	json_t *o = invited(w, "{\"user\":\"alice\",\"create_user\":true,\"name\":\"web\"}", &v);
	assert_string_equal(v.name, "web");
	assert_string_equal(v.tags, "");
	assert_string_equal(json_string_value(json_object_get(o, "user")), "alice");
	assert_true(text_time_ms(json_string_value(json_object_get(o, "expiry")), &until));
	assert_true(until > now + day - 60000 && until < now + day + 60000);
	json_decref(o);
	world_node_open(&a, w);
	world_node_join(&a, v.auth_key, v.name);
	assert_true(a.answer.machine_authorized);
	assert_string_equal(a.answer.login.login_name, "alice");
	world_node_close(&a);

	/* once alone, and not as a secret that a list would show */
	world_node_open(&a, w);
	world_node_register(&a, v.auth_key, NULL, "other");
	WAIT(w, a.registered);
	assert_false(a.answer.machine_authorized);
	world_node_close(&a);
	json_decref(world_admin(w, "/v1/preauthkeys/list", "{}"));
	assert_null(strstr(w->answer, v.auth_key));

	json_decref(invited(w, "{\"user\":\"alice\",\"reusable\":true,\"expiration_ms\":0}", &v));
	assert_non_null(strstr(w->answer, "\"expiry\":null"));
	assert_string_equal(v.name, "");
}

static void test_refused(void **state)
{
	static const struct {
		const char *args, *why;
	} rows[] = {
		{ "{}", "whose key?" },
		{ "{\"user\":\"bob\"}", "no user" },
		{ "{\"user\":\"alice\",\"create_user\":true,\"name\":\"Not A Name\"}",
			"--name is a host name" },
		{ "{\"user\":\"alice\",\"create_user\":true,\"name\":\"a\",\"reusable\":true}",
			"one machine" },
		{ "{\"tags\":\"tag:nowhere\"}", "tag:nowhere" },
	};
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(world_admin(w, "/v1/invite", rows[i].args));
		if (w->status != 400 || !strstr(w->answer, rows[i].why))
			fail_msg("row %zu: %d %s", i, w->status, w->answer);
	}
	json_decref(world_admin(w, "/v1/preauthkeys/list", "{}"));
	assert_string_equal(w->answer, "[]"); /* no key is left over */
}

/* What cannot be read is not "for ever". */
static void test_lifetimes(void **state)
{
	static const char *const verbs[] = { "/v1/invite", "/v1/preauthkeys/create", "/v1/apikeys/create" };
	static const struct {
		const char *said;
		int status;
		bool ends;
	} rows[] = {
		{ "0", 200, false },
		{ "60000", 200, true },
		{ "\"60000\"", 200, true },
		{ "3153600000000", 200, true },
		{ "4000000000000", 400, false },
		{ "9223372036854775807", 400, false },
		{ "-1", 400, false },
		{ "60000.5", 400, false },
		{ "\"\"", 400, false },
		{ "\"1d\"", 400, false },
		{ "\"00000000000000000000000000000000000000000000000000060000x\"", 400, false },
		{ "true", 400, false },
		{ "[60000]", 400, false },
	};
	char args[256];
	struct world *w = *state;
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	for (size_t k = 0; k < ARRAY_LEN(verbs); k++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			snprintf(args, sizeof(args), "{\"user\":\"alice\",\"expiration_ms\":%s}",
				rows[i].said);
			json_t *o = world_admin(w, verbs[k], args);
			if (w->status != rows[i].status ||
				json_is_string(json_object_get(o, "expiry")) != rows[i].ends)
				fail_msg("%s %s: %d %s", verbs[k], args, w->status, w->answer);
			json_decref(o);
		}
	json_decref(world_admin(w, "/v1/preauthkeys/create", "{\"user\":\"alice\",\"expiration_ms\":null}"));
	assert_int_equal(w->status, 200);
	assert_non_null(strstr(w->answer, "\"expiry\":null"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_line, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_refused, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_lifetimes, world_setup, world_teardown),
	};
	return blake2s_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
