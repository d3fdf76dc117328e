/* The access rules as an admin sets them: in the database and in a file, what is refused, what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <jansson.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY "// nobody\n{\"acls\":[]}"
#define ALICE "{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"*:22\"]}]}"

static json_t *call(struct world *w, const char *verb, json_t *args)
{
	char target[64], *body = json_dumps(args, JSON_COMPACT);
	snprintf(target, sizeof(target), "/v1/policy/%s", verb);
	json_t *v = world_admin(w, target, body);
	free(body);
	json_decref(args);
	return v;
}

static const char *error_of(const json_t *v)
{
	const char *text = json_string_value(json_object_get(json_object_get(v, "error"), "message"));
	return text ? text : "";
}

/* The text that is in force, which ends with this call's answer. */
static void expect_in_force(struct world *w, const char *text, char tag[static 65])
{
	json_t *v = call(w, "get", json_object());
	assert_string_equal(json_string_value(json_object_get(v, "policy")), text);
	snprintf(tag, 65, "%s", json_string_value(json_object_get(v, "etag")));
	json_decref(v);
}

static json_t *set_policy(struct world *w, const char *text, const char *if_tag)
{
	json_t *args = json_pack("{s:s, s:s}", "policy", text, "author", "tester");
	if (if_tag)
		json_object_set_new(args, "if_tag", json_string(if_tag));
	return call(w, "set", args);
}

static void test_database(void **state)
{
	struct world *w = *state;
	struct world_node a, b;
	char key[128], tag[65], first[65];
	size_t seen = 0;
	world_restart_with(w, "policy: { mode: database }");
	expect_in_force(w, "{}", tag); /* what the file said last */
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	world_node_open(&b, w);
	world_node_join(&b, key, "beta");
	world_node_ask_map(&a, true, NULL);
	assert_int_equal(world_node_next(&a, &seen)->n_peers, 1);

	/* it is in force when it is answered, with its comments */
	json_t *v = set_policy(w, NOBODY, tag);
	assert_string_equal(error_of(v), "");
	json_decref(v);
	assert_int_equal(world_node_next(&a, &seen)->n_removed, 1);
	expect_in_force(w, NOBODY, first);

	/* who began with what was has not seen it */
	v = set_policy(w, ALICE, tag);
	assert_memory_equal(error_of(v), "somebody else has changed the policy", 36);
	json_decref(v);
	v = call(w, "test", json_pack("{s:s}", "policy", ALICE));
	const json_t *change = json_array_get(json_object_get(v, "changes"), 0);
	assert_string_equal(json_string_value(json_object_get(change, "change")), "gains");
	assert_int_equal(json_array_size(json_object_get(change, "to")), 2);
	assert_string_equal(
		json_string_value(json_object_get(change, "what")), "tcp and udp 22, icmp, icmp6");
	json_decref(v);
	v = set_policy(w, ALICE, first);
	assert_string_equal(error_of(v), "");
	json_decref(v);
	assert_int_equal(world_node_next(&a, &seen)->n_changed, 1);

	/* who reaches whom, by these rules and by others */
	v = call(w, "reach", json_object());
	assert_int_equal(json_array_size(v), 1);
	change = json_array_get(v, 0);
	assert_int_equal(json_array_size(json_object_get(change, "from")), 2);
	assert_string_equal(
		json_string_value(json_object_get(change, "what")), "tcp and udp 22, icmp, icmp6");
	json_decref(v);
	v = call(w, "reach", json_pack("{s:s}", "policy", NOBODY));
	assert_int_equal(json_array_size(v), 0);
	assert_true(json_is_array(v));
	json_decref(v);
	v = call(w, "reach", json_pack("{s:s}", "policy", "{"));
	assert_memory_equal(error_of(v), "1:", 2);
	json_decref(v);

	/* what is wrong changes nothing */
	static const char *const wrong[][2] = {
		{ "{\"acls\":[{}]}",
			"1:10: acls[0].action: must be \"accept\" (what no rule accepts is denied)" },
		{ "{\"acls\":[],\"tests\":[{\"src\":\"alice@\",\"accept\":[\"alice@:22\"]}]}",
			"1:21: tests[0].accept[0]: the rules do not allow this" },
	};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		static const char *const verbs[] = { "set", "test" };
		for (size_t k = 0; k < ARRAY_LEN(verbs); k++) {
			v = call(w, verbs[k], json_pack("{s:s}", "policy", wrong[i][0]));
			assert_string_equal(error_of(v), wrong[i][1]);
			json_decref(v);
		}
	}
	expect_in_force(w, ALICE, tag);

	/* after a restart too; and what was before is kept */
	world_server_kill(w, SIGKILL, -1);
	world_server_start(w);
	expect_in_force(w, ALICE, tag);
	v = call(w, "history", json_object());
	assert_int_equal(json_array_size(v), 3); /* with the file's, from before */
	assert_string_equal(json_string_value(json_object_get(json_array_get(v, 0), "author")), "tester");
	json_int_t id = json_integer_value(json_object_get(json_array_get(v, 1), "version"));
	json_decref(v);
	v = call(w, "history", json_pack("{s:I}", "version", id));
	assert_string_equal(json_string_value(json_object_get(v, "policy")), NOBODY);
	json_decref(v);
	v = call(w, "history", json_pack("{s:I}", "version", (json_int_t)99));
	assert_string_equal(error_of(v), "no version 99 of the policy: `policy history` shows them");
	json_decref(v);
	world_node_close(&a);
	world_node_close(&b);
}

static void test_file(void **state)
{
	struct world *w = *state;
	char path[256], tag[65];
	expect_in_force(w, "{}", tag);
	json_t *v = set_policy(w, ALICE, NULL);
	assert_memory_equal(
		error_of(v), "the settings say that the policy is in a file (policy.mode): change ", 68);
	json_decref(v);
	world_write_file(place_path(&w->place, "policy.hujson", path), NOBODY);
	expect_in_force(w, "{}", tag); /* not before it is reloaded */
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	expect_in_force(w, NOBODY, tag);
	json_decref(world_admin(w, "/v1/health", "{}")); /* is written behind what was before it */
	v = call(w, "history", json_object());
	assert_int_equal(json_array_size(v), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(v, 0), "etag")), tag);
	json_decref(v);
}

/* What another program wrote into the database lets nobody in, and can be replaced. */
static void test_unreadable(void **state)
{
	struct world *w = *state;
	char tag[65];
	world_restart_with(w, "policy: { mode: database }");
	json_decref(set_policy(w, ALICE, NULL));
	world_server_kill(w, SIGTERM, 0);
	char path[256];
	sqlite3 *db;
	assert_int_equal(sqlite3_open(place_path(&w->place, "db.sqlite", path), &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "UPDATE policies SET text = '{\"new\":1}'", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	world_server_start(w);
	expect_in_force(w, "{\"acls\":[]}", tag);
	json_t *v = set_policy(w, ALICE, NULL);
	assert_string_equal(error_of(v), "");
	json_decref(v);
	expect_in_force(w, ALICE, tag);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_database, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_file, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
