/* The whole program over loopback: nodes that register, stream their maps and hear of each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/control.h"
#include "mesh/control/http/web.h"
#include "mesh/control/test/world.h"
#include "mesh/os/tied.h"
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_two_nodes(void **state)
{
	struct world *w = *state;
	struct world_node a, b;
	char key[128];
	size_t seen_a = 0, seen_b = 0;
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	assert_string_equal(a.answer.error, "");
	assert_true(a.answer.machine_authorized);
	assert_string_equal(a.answer.login.login_name, "alice");
	world_node_ask_map(&a, true, "192.0.2.1:1");
	const struct ctl_map_response *m = world_node_next(&a, &seen_a);
	assert_string_equal(m->node->name, "alpha.mesh.test.");
	assert_int_equal(m->n_peers, 0);
	assert_int_equal(m->derp_map->n_regions, 1);
	assert_string_equal(m->dns->extra[0].name, "nas.mesh.test");
	assert_true(m->has_debug && m->disable_log_tail);

	/* the second node appears, comes online, then moves: three small messages */
	world_node_open(&b, w);
	world_node_join(&b, key, "beta");
	m = world_node_next(&a, &seen_a);
	assert_int_equal(m->n_changed, 1);
	assert_string_equal(m->peers_changed[0].name, "beta.mesh.test.");
	world_node_ask_map(&b, true, NULL);
	m = world_node_next(&b, &seen_b);
	assert_int_equal(m->n_peers, 1);
	assert_int_equal(m->peers[0].online, OPT_TRUE);
	assert_int_equal(m->peers[0].endpoints.n, 1);
	m = world_node_next(&a, &seen_a);
	assert_int_equal(m->n_patches, 1);
	assert_int_equal(m->patches[0].online, OPT_TRUE);
	assert_true(m->patches[0].has_disco && key_equal(m->patches[0].disco.b, b.disco.b));
	world_node_ask_map(&b, false, "192.0.2.2:2");
	WAIT(w, b.map_done);
	assert_int_equal(b.map_status, 200);
	m = world_node_next(&a, &seen_a);
	assert_int_equal(m->n_patches, 1);
	assert_int_equal(m->patches[0].endpoints.n, 1);

	json_decref(world_admin(w, "/v1/nodes/delete", "{\"id\":2}"));
	m = world_node_next(&a, &seen_a);
	assert_int_equal(m->n_removed, 1);
	assert_int_equal(m->peers_removed[0], 2);
	WAIT(w, !b.stream);
	world_node_ask_map(&b, true, NULL);
	WAIT(w, b.map_done);
	assert_int_equal(b.map_status, 404);
	world_node_close(&a);
	world_node_close(&b);
}

/* News are not kept back: of the fastest of a few, for a machine may be busy once. */
static void test_news_come_soon(void **state)
{
	enum { NODES = 8, SOON_MS = 500 };
	struct world *w = *state;
	struct world_node a, other;
	char key[128];
	size_t seen = 0;
	uint64_t took = SOON_MS;
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	world_node_ask_map(&a, true, NULL);
	(void)world_node_next(&a, &seen);
	for (int i = 0; i < NODES && took >= SOON_MS; i++) {
		world_node_open(&other, w);
		uint64_t begin = loop_now_ms(w->loop);
		world_node_join(&other, key, "beta");
		assert_int_equal(world_node_next(&a, &seen)->n_changed, 1);
		took = loop_now_ms(w->loop) - begin;
		world_node_close(&other);
	}
	assert_in_range(took, 0, SOON_MS - 1);
	world_node_close(&a);
}

static void test_new_stream_replaces(void **state)
{
	struct world *w = *state;
	struct world_node a, again;
	char key[128];
	size_t seen = 0;
	world_alpha_open(&a, w, key);
	world_node_ask_map(&a, true, NULL);
	(void)world_node_next(&a, &seen);
	again = (struct world_node) { .w = w, .machine = a.machine, .node = a.node, .disco = a.disco };
	world_node_connect(&again);
	world_node_ask_map(&again, true, NULL);
	seen = 0;
	(void)world_node_next(&again, &seen);
	WAIT(w, !a.stream);
	world_node_close(&a);
	world_node_close(&again);
}

static void test_killed_and_back(void **state)
{
	struct world *w = *state;
	struct world_node a, b;
	char key[128];
	size_t seen = 0;
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	world_node_open(&b, w);
	world_node_join(&b, key, "beta");
	world_server_kill(w, SIGKILL, -1);
	WAIT(w, a.closed && b.closed);
	world_server_start(w);
	world_node_connect(&a);
	world_node_ask_map(&a, true, NULL);
	const struct ctl_map_response *m = world_node_next(&a, &seen);
	assert_string_equal(m->node->name, "alpha.mesh.test.");
	assert_int_equal(m->n_peers, 1);
	assert_string_equal(m->peers[0].name, "beta.mesh.test.");
	world_node_close(&a);
	world_node_close(&b);
}

static void test_approval(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char url[256], args[128];
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	world_node_open(&a, w);
	world_node_join(&a, "", "alpha");
	assert_memory_equal(a.answer.auth_url, "https://hs.test/register/", 25);
	snprintf(url, sizeof(url), "%s", a.answer.auth_url);
	const char *page = world_get(w, url + 15);
	assert_int_equal(w->status, 200);
	snprintf(args, sizeof(args), "ropewalk-control nodes approve %s", url + 25);
	assert_non_null(strstr(page, args));

	world_node_register(&a, "", url, "alpha");
	json_t *list = world_admin(w, "/v1/nodes/pending", "{}");
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	assert_true(a.registering);
	snprintf(args, sizeof(args), "{\"id\":\"%s\"}", url + 25);
	json_decref(world_admin(w, "/v1/nodes/approve", args));
	WAIT(w, a.registered);
	assert_true(a.answer.machine_authorized);
	assert_string_equal(a.answer.auth_url, "");
	assert_non_null(strstr(world_get(w, url + 15), "The machine is in"));
	assert_int_equal(w->status, 200);
	(void)world_get(w, "/register/0123456789abcdef01234567");
	assert_int_equal(w->status, 404);
	world_node_close(&a);
}

/* The answer to a question, as "allowed: why"; NULL "why": the complaint. */
static void explain(struct world *w, const char *args, char out[static 400])
{
	json_t *v = world_admin(w, "/v1/policy/explain", args);
	const char *why = json_string_value(json_object_get(v, "why"));
	const char *wrong = json_string_value(json_object_get(json_object_get(v, "error"), "message"));
	snprintf(out, 400, "%s: %s",
		!why					      ? "error"
		: json_is_true(json_object_get(v, "allowed")) ? "yes"
							      : "no",
		why ? why : wrong);
	json_decref(v);
}

/* alpha is alice's, beta is bob's. */
static void join_of_two(struct world *w, struct world_node *a, struct world_node *b)
{
	char key[128];
	world_alpha_open(a, w, key);
	world_key(w, "{\"user\":\"bob\",\"create_user\":true}", key);
	world_node_open(b, w);
	world_node_join(b, key, "beta");
}

static void test_explain(void **state)
{
	static const char rules[] =
		"{ \"acls\": [\n{ \"action\": \"accept\", \"src\": [\"alice@\"], \"dst\": [\"bob@:22\"] },\n"
		"{ \"action\": \"accept\", \"src\": [\"100.64.0.2\"], \"dst\": [\"alice@:*\"] } ] }";
	static const struct {
		const char *args, *want;
	} rows[] = {
		{ "{\"from\":\"alpha\",\"to\":\"beta\",\"port\":\"22\"}",
			"yes: acls[0] (line 2) lets it pass" },
		{ "{\"from\":\"1\",\"to\":\"100.64.0.2\"}", "yes: acls[0] (line 2) lets it pass" },
		{ "{\"from\":\"alpha\",\"to\":\"beta\",\"port\":\"icmp\"}",
			"yes: acls[0] (line 2) lets it pass" },
		{ "{\"from\":\"alpha\",\"to\":\"beta\",\"port\":\"tcp:80\"}",
			"no: acls[0] (line 2) lets alpha reach beta, but by other ports or protocols; no "
			"rule by this "
			"one" },
		{ "{\"from\":\"beta\",\"to\":\"alpha\",\"port\":\"udp:53\"}",
			"yes: acls[1] (line 3) lets it pass, by IPv4 alone" },
		{ "{\"from\":\"beta\",\"to\":\"beta\"}", "no: no rule that has beta as a source has beta as "
							 "a destination; the first is acls[1] (line "
							 "3)" },
		{ "{\"from\":\"alpha\",\"to\":\"gamma\"}",
			"error: no node has the name, address or number \"gamma\": `nodes list` shows them" },
		{ "{\"from\":\"alpha\",\"to\":\"beta\",\"port\":\"70000\"}",
			"error: \"70000\" is no port: write 443, tcp:443, udp:53 or icmp" },
	};
	struct world *w = *state;
	struct world_node a, b;
	char path[256], got[400];
	join_of_two(w, &a, &b);
	world_write_file(place_path(&w->place, "policy.hujson", path), rules);
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		explain(w, rows[i].args, got);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("row %zu: %s", i, got);
	}
	json_decref(world_admin(w, "/v1/nodes/expire", "{\"id\":2}"));
	explain(w, rows[0].args, got);
	assert_string_equal(got,
		"no: acls[0] (line 2) lets it pass; but the key of beta has expired, and nothing passes "
		"until it logs in again");
	world_node_close(&a);
	world_node_close(&b);
}

/* A login that waits is taken back, over another connection since the first hangs: nobody can approve it any
 * more, and who still waits on the first is not heard again. */
static void test_login_taken_back(void **state)
{
	struct world *w = *state;
	struct world_node a, again;
	char url[256], args[128];
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	world_node_open(&a, w);
	world_node_join(&a, "", "alpha");
	snprintf(url, sizeof(url), "%s", a.answer.auth_url);
	world_node_register(&a, "", url, "alpha");
	again = (struct world_node) { .w = w, .machine = a.machine, .node = a.node, .expiry_ms = 123000 };
	world_node_connect(&again);
	world_node_join(&again, "", "alpha");
	assert_true(again.answer.node_key_expired);
	assert_string_equal(again.answer.auth_url, "");
	WAIT(w, a.registered);
	assert_int_equal(a.register_status, 200);
	assert_string_equal(a.answer.error, "this machine has logged out");

	snprintf(args, sizeof(args), "{\"id\":\"%s\"}", url + 25);
	json_decref(world_admin(w, "/v1/nodes/approve", args));
	assert_int_equal(w->status, 400);
	json_t *list = world_admin(w, "/v1/nodes/pending", "{}");
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	world_node_close(&a);
	world_node_close(&again);
}

static void test_policy_reload(void **state)
{
	struct world *w = *state;
	struct world_node a, b;
	char path[256];
	size_t seen = 0;
	join_of_two(w, &a, &b);
	world_node_ask_map(&a, true, NULL);
	assert_int_equal(world_node_next(&a, &seen)->n_peers, 1);

	world_write_file(place_path(&w->place, "policy.hujson", path), "{ \"acls\": [ // nobody\n ] ");
	json_t *v = world_admin(w, "/v1/policy/reload", "{}");
	assert_int_equal(w->status, 400);
	assert_non_null(strstr(json_string_value(json_object_get(json_object_get(v, "error"), "message")),
		"policy.hujson:2:"));
	json_decref(v);

	world_write_file(path, "{ \"acls\": [ // nobody\n ], }");
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	const struct ctl_map_response *m = world_node_next(&a, &seen);
	assert_int_equal(m->n_removed, 1);
	assert_int_equal(m->n_filters, 1);
	assert_int_equal(m->filters[0].n_rules, 0);
	assert_false(m->filters[0].remove);

	FILE *f = fopen(w->config, "a");
	fputs("unix_socket_permission: \"0640\"\n", f);
	fclose(f);
	v = world_admin(w, "/v1/policy/reload", "{}");
	assert_string_equal(json_string_value(json_object_get(v, "needs_restart")), "unix_socket_permission");
	json_decref(v);

	/* what bob's node does is none of alice's business: the next thing she hears is her own new name */
	world_node_ask_map(&b, true, "192.0.2.9:9");
	WAIT(w, b.n == 1);
	assert_int_equal(b.messages[0].n_peers, 0);
	json_decref(world_admin(w, "/v1/nodes/rename", "{\"id\":1,\"name\":\"first\"}"));
	m = world_node_next(&a, &seen);
	assert_string_equal(m->node->name, "first.mesh.test.");
	assert_int_equal(m->n_patches + m->n_changed, 0);
	world_node_close(&a);
	world_node_close(&b);
}

static void test_too_old(void **state)
{
	struct world *w = *state;
	struct world_node a = { .w = w, .capver = CONTROL_CAPVER_MIN - 1 };
	key_generate(&random_system, a.machine.b);
	random_system.fill(NULL, a.node.b, KEY_LEN);
	world_node_connect(&a);
	world_node_join(&a, "", "alpha");
	assert_int_equal(a.register_status, 400);
	assert_non_null(strstr(buf_cstr(&a.body),
		"too old for this server: it speaks version 112 of the protocol, at least 113"));
	world_node_close(&a);
}

/* A relay asks which nodes it may carry: one beside the server by a socket that gives no other right, or by the
 * admin socket; any by the public page. */
static void test_verify(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char key[128], text[KEY_TEXT], body[256], host[64];
	world_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	world_node_open(&a, w);
	snprintf(body, sizeof(body), "{\"NodePublic\":\"%s\",\"Source\":\"192.0.2.1\"}",
		key_format(a.node.b, "nodekey:", text));
	struct http_request rq = { .method = "POST",
		.target = "/verify",
		.host = "hs.test",
		.body = body,
		.body_len = strlen(body) };
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	assert_string_equal(world_fetch(w, &rq), "{\"Allow\":false}");
	world_node_join(&a, key, "alpha");
	assert_string_equal(world_fetch(w, &rq), "{\"Allow\":true}");
	json_t *v = world_admin(w, "/verify", body);
	assert_true(json_is_true(json_object_get(v, "Allow")));
	json_decref(v);
	char ask[300];
	struct stat st;
	snprintf(ask, sizeof(ask), "%s%s", w->socket, WEB_ASK_SUFFIX);
	assert_true(stat(ask, &st) == 0 && (st.st_mode & 07777) == 0666);
	assert_true(stat(w->socket, &st) == 0 && (st.st_mode & 07777) == 0600);
	rq.unix_path = ask;
	assert_string_equal(world_fetch(w, &rq), "{\"Allow\":true}");
	rq.target = "/v1/nodes/list";
	(void)world_fetch(w, &rq);
	assert_int_equal(w->status, 401);
	rq.unix_path = NULL;
	rq.target = "/verify";
	rq.body = "{\"NodePublic\":\"nodekey:12\"}";
	rq.body_len = strlen(rq.body);
	assert_string_equal(world_fetch(w, &rq), "not a question about a node key\n");
	world_node_close(&a);
}

/* --- DNS records in a file --- */

static void replace_file(struct world *w, const char *name, const char *text)
{
	char path[256], fresh[256];
	world_write_file(place_path(&w->place, "fresh", fresh), text);
	assert_int_equal(rename(fresh, place_path(&w->place, name, path)), 0);
}

/* Until the log of the server has so many lines with this. */
static void await_line(struct world *w, const char *with, size_t times)
{
	size_t n = 0;
	for (uint64_t begin = loop_now_ms(w->loop); n < times && loop_now_ms(w->loop) - begin < WAIT_MS;) {
		json_t *list = world_admin(w, "/v1/log/show", "{}"), *line;
		size_t i;
		n = 0;
		json_array_foreach(list, i, line)
		{
			const char *text = json_string_value(json_object_get(line, "text"));
			n += text && strstr(text, with);
		}
		json_decref(list);
	}
	assert_int_equal(n, times);
}

/* The file is taken when it changes, replaced or written over; what is wrong in it changes nothing. */
static void test_records_file(void **state)
{
	enum { TRIES = 8, SOON_MS = 1500 };
	struct world *w = *state;
	struct world_node a;
	char key[128];
	size_t seen = 0;
	world_server_kill(w, SIGTERM, 0);
	FILE *f = fopen(w->config, "r+");
	char config[2048] = "";
	config[fread(config, 1, sizeof(config) - 1, f)] = 0;
	fclose(f);
	char *at = strstr(config, "extra_records:"), *end = strstr(at, "] }");
	memmove(at + 32, end + 1, strlen(end));
	memcpy(at, "extra_records_path: records.json", 32);
	world_write_file(w->config, config);
	replace_file(w, "records.json", "[{\"name\":\"nas.mesh.test\",\"value\":\"192.0.2.9\"}]");
	world_server_start(w);
	world_alpha_open(&a, w, key);
	world_node_ask_map(&a, true, NULL);
	assert_string_equal(world_node_next(&a, &seen)->dns->extra[0].value, "192.0.2.9");
	uint64_t took = SOON_MS;
	for (unsigned i = 100; i < 100 + TRIES && took >= SOON_MS; i++) { /* a machine may be busy once */
		char value[32], text[256];
		snprintf(value, sizeof(value), "192.0.2.%u", i);
		snprintf(text, sizeof(text),
			"[{\"name\":\"nas.mesh.test\",\"value\":\"%s\"},{\"name\":\"*.x.mesh.test\",\"type\":"
			"\"TXT\",\"value\":\"hello\"}]",
			value);
		uint64_t begin = loop_now_ms(w->loop);
		replace_file(w, "records.json", text);
		const struct ctl_map_response *m = world_node_next(&a, &seen);
		took = loop_now_ms(w->loop) - begin;
		assert_int_equal(m->dns->n_extra, 2);
		assert_string_equal(m->dns->extra[0].value, value);
		assert_string_equal(m->dns->extra[1].type, "TXT");
		assert_int_equal(m->dns->n_routes, 1);
	}
	assert_in_range(took, 0, SOON_MS - 1);
	replace_file(w, "records.json", "[{\"name\":\"nas.mesh.test\",\"value\":\"none\"}]");
	await_line(w, "the records stay as they were", 1);
	replace_file(w, "records.json", "[]");
	assert_int_equal(world_node_next(&a, &seen)->dns->n_extra, 0);
	/* who may not read it reads it as soon as that is changed */
	char path[256], hidden[256];
	world_write_file(place_path(&w->place, "hidden.json", hidden),
		"[{\"name\":\"nas.mesh.test\",\"value\":\"192.0.2.11\"}]");
	assert_int_equal(chmod(hidden, 0), 0);
	assert_int_equal(rename(hidden, place_path(&w->place, "records.json", path)), 0);
	await_line(w, "the records stay as they were", 2);
	assert_int_equal(chmod(path, 0644), 0);
	assert_string_equal(world_node_next(&a, &seen)->dns->extra[0].value, "192.0.2.11");
	world_node_close(&a);
}

/* A server that does not start, for both reasons. */
static void expect_start_says(struct world *w, const char *one, const char *other)
{
	char program[] = "ropewalk-control", serve[] = "serve", c[] = "-c", said[4096] = "";
	char *argv[] = { program, serve, c, w->config, NULL };
	int out[2], status;
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork_tied();
	if (!pid) {
		dup2(out[1], STDERR_FILENO);
		_exit(control_main(4, argv));
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	said[fread(said, 1, sizeof(said) - 1, f)] = 0;
	fclose(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == CONTROL_CONFIG);
	assert_true(strstr(said, one) && strstr(said, other));
}

/* All that is wrong in the settings is said, of a reload by word and by signal, and of a start. */
static void test_all_mistakes(void **state)
{
	struct world *w = *state;
	size_t n = 0;
	FILE *f = fopen(w->config, "a");
	assert_true(f && fputs("nosuch: 1\nunix_socket_permission: tea\n", f) >= 0 && fclose(f) == 0);
	json_t *v = world_admin(w, "/v1/policy/reload", "{}"), *e = json_object_get(v, "error"), *one;
	assert_int_equal(w->status, 400);
	assert_int_equal(json_array_size(json_object_get(e, "all")), 2);
	json_array_foreach(json_object_get(e, "all"), n, one)
		assert_non_null(strstr(json_string_value(one), n ? "unix_socket_permission" : "nosuch"));
	assert_string_equal(json_string_value(json_object_get(e, "message")),
		json_string_value(json_array_get(json_object_get(e, "all"), 0)));
	json_decref(v);
	kill(w->pid, SIGHUP);
	await_line(w, "the settings stay as they were", 2);
	world_server_kill(w, SIGTERM, 0);
	expect_start_says(w, "nosuch", "unix_socket_permission");
}

/* --- health --- */

/* It asks the database each time, and passes again as soon as that can be written. */
static void test_health(void **state)
{
	struct world *w = *state;
	struct world_node a;
	char db[256], aside[256], key[128];
	world_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	json_decref(world_admin(w, "/v1/health", "{}"));
	assert_int_equal(w->status, 200);
	assert_int_equal(
		rename(place_path(&w->place, "db.sqlite", db), place_path(&w->place, "aside", aside)), 0);
	json_t *v = world_admin(w, "/v1/health", "{}");
	assert_int_equal(w->status, 500);
	assert_string_equal(json_string_value(json_object_get(v, "status")), "fail");
	assert_non_null(strstr(json_string_value(json_object_get(v, "database")), "was removed or replaced"));
	json_decref(v);
	(void)world_get(w, "/health");
	assert_int_equal(w->status, 500);

	/* official clients try again after a status that is no success, never after an Error */
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	assert_int_equal(a.register_status, 503);
	assert_int_equal(rename(aside, db), 0);
	json_decref(world_admin(w, "/v1/health", "{}"));
	assert_int_equal(w->status, 200);
	assert_string_equal(world_get(w, "/health"), "{\"status\":\"pass\"}");
	assert_int_equal(w->status, 200);
	world_node_join(&a, key, "alpha");
	assert_int_equal(a.register_status, 200);
	assert_true(a.answer.machine_authorized);
	world_node_close(&a);
}

/* Stopping is quick and orderly with streams and waiting requests open. */
static void test_stop(void **state)
{
	struct world *w = *state;
	struct world_node a, b;
	char key[128];
	size_t seen = 0;
	world_alpha_open(&a, w, key);
	world_node_ask_map(&a, true, NULL);
	(void)world_node_next(&a, &seen);
	world_node_open(&b, w);
	world_node_join(&b, "", "beta");
	world_node_register(&b, "", b.answer.auth_url, "beta");
	json_decref(world_admin(w, "/v1/nodes/pending", "{}"));
	world_server_kill(w, SIGTERM, 0);
	WAIT(w, a.closed && b.closed);
	world_node_close(&a);
	world_node_close(&b);
}

/* A start that must fail: what it says on standard error has `says` in it. */
static void refuse_start(struct world *w, const char *says)
{
	char program[] = "ropewalk-control", serve[] = "serve", c[] = "-c", text[1024] = "";
	int err[2], status;
	assert_int_equal(pipe(err), 0);
	pid_t pid = fork_tied();
	if (!pid) {
		char *argv[] = { program, serve, c, w->config, NULL };
		dup2(err[1], STDERR_FILENO);
		_exit(control_main(4, argv));
	}
	close(err[1]);
	size_t n = 0;
	for (ssize_t got; (got = read(err[0], text + n, sizeof(text) - 1 - n)) > 0;)
		n += (size_t)got;
	close(err[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !strstr(text, says))
		fail_msg("status %d: %s", status, text);
}

/* What a server is known by, and what it knows, belong together and to nobody else. */
static void test_identity(void **state)
{
	struct world *w = *state;
	char key[256], db[256], kept[256], zero[80] = "privkey:";
	place_path(&w->place, "noise.key", key);
	place_path(&w->place, "db.sqlite", db);
	place_path(&w->place, "kept", kept);
	world_server_kill(w, SIGTERM, 0);

	assert_int_equal(chmod(key, 0644), 0);
	refuse_start(w, "mode 0644");
	assert_int_equal(chmod(key, 0600), 0);

	assert_int_equal(rename(db, kept), 0);
	refuse_start(w, "restore that from a backup");
	assert_int_not_equal(access(db, F_OK), 0); /* nothing was made in its place */
	world_write_file(db, "");
	refuse_start(w, "restore that from a backup");
	assert_int_equal(rename(kept, db), 0);

	assert_int_equal(rename(key, kept), 0);
	assert_int_equal(symlink(kept, key), 0);
	refuse_start(w, "symbolic link");
	unlink(key);
	memset(zero + 8, '0', 64);
	world_write_file(key, zero);
	assert_int_equal(chmod(key, 0600), 0);
	refuse_start(w, "is not a private key");
	assert_int_equal(rename(kept, key), 0);
	world_server_start(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_two_nodes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_news_come_soon, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_new_stream_replaces, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_killed_and_back, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_approval, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_explain, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_login_taken_back, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_policy_reload, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_all_mistakes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_too_old, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_identity, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_records_file, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_health, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_verify, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_stop, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
