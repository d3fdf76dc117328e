/* Logins by SSH that somebody has to let in, asked for as official nodes do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES(period) \
	"{\"ssh\":[{\"action\":\"check\",\"checkPeriod\":\"" period \
	"\",\"src\":[\"alice@\"],\"dst\":[\"alice@\"]," \
	"\"users\":[\"root\"]}]}"

/* One question of a node, which may be held. */
struct question {
	struct world_node *node;
	struct buf body;
	bool done;
};

static void take_data(void *arg, const uint8_t *p, size_t len)
{
	assert_true(buf_append(&((struct question *)arg)->body, p, len));
}

static void take_end(void *arg, int code)
{
	struct question *q = arg;
	(void)code;
	q->done = true;
	loop_stop(q->node->w->loop);
}

static void begin(struct question *q, struct world_node *node, const char *path)
{
	const struct h2_request_events ev = { .data = take_data, .done = take_end, .arg = q };
	*q = (struct question) { .node = node };
	assert_non_null(control_client_request(node->link, "GET", path, NULL, NULL, "", 0, &ev));
}

static json_t *end(struct question *q)
{
	WAIT(q->node->w, q->done);
	json_t *v = json_loadb((const char *)buf_data(&q->body), q->body.len, 0, NULL);
	assert_non_null(v);
	buf_free(&q->body);
	return v;
}

static json_t *ask(struct world_node *node, const char *path)
{
	struct question q;
	begin(&q, node, path);
	return end(&q);
}

static const char *text_of(const json_t *v, const char *name)
{
	const char *text = json_string_value(json_object_get(v, name));
	return text ? text : "";
}

/* What it is told at first, and the path that it is to ask by again, with its numbers put in. */
static void ask_first(struct world_node *node, char again[static 256], char id[static 32])
{
	json_t *v = ask(node, "/machine/ssh/action/2/to/1?local_user=root");
	const char *at = strstr(text_of(v, "holdAndDelegate"), "&check=");
	assert_non_null(at);
	assert_null(json_object_get(v, "accept"));
	snprintf(id, 32, "%s", at + strlen("&check="));
	assert_non_null(strstr(text_of(v, "message"), id));
	snprintf(again, 256, "/machine/ssh/action/2/to/1?local_user=root%s", at);
	json_decref(v);
}

static void set_rules(struct world *w, const char *rules)
{
	char path[256];
	world_write_file(place_path(&w->place, "policy.hujson", path), rules);
	json_t *v = world_admin(w, "/v1/policy/reload", "{}");
	assert_null(json_object_get(v, "error"));
	json_decref(v);
}

static json_t *decide(struct world *w, const char *verb, const char *id)
{
	char target[64], args[64];
	snprintf(target, sizeof(target), "/v1/ssh/%s", verb);
	snprintf(args, sizeof(args), "{\"id\":\"%s\"}", id);
	return world_admin(w, target, args);
}

static void open_two(struct world *w, struct world_node *a, struct world_node *b)
{
	char key[128];
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(a, w);
	world_node_join(a, key, "alpha");
	world_node_open(b, w);
	world_node_join(b, key, "beta");
}

/* By Headscale's REST API; the status. */
static int decide_v1(struct world *w, const char *key, const char *verb, const char *id)
{
	char target[64], args[64], host[64], extra[160];
	snprintf(target, sizeof(target), "/api/v1/auth/%s", verb);
	snprintf(args, sizeof(args), "{\"authId\":\"%s\"}", id);
	snprintf(extra, sizeof(extra), "Authorization: Bearer %s\r\n", key);
	struct http_request rq = { .method = "POST",
		.target = target,
		.host = "hs.test",
		.extra = extra,
		.body = args,
		.body_len = strlen(args) };
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	(void)world_fetch(w, &rq);
	return w->status;
}

/* A machine that asks to come in: rejecting it is all that can be done under that name. */
static void try_machine(struct world *w, const char *key)
{
	struct world_node waits;
	char id[32];
	world_node_open(&waits, w);
	world_node_register(&waits, NULL, NULL, "delta");
	WAIT(w, waits.registered);
	json_t *v = world_admin(w, "/v1/nodes/pending", "{}");
	snprintf(id, sizeof(id), "%s", text_of(json_array_get(v, 0), "id"));
	json_decref(v);
	assert_true(id[0]);
	assert_int_equal(decide_v1(w, key, "approve", id), 400);
	assert_non_null(strstr(w->answer, "auth/register"));
	assert_int_equal(decide_v1(w, key, "reject", id), 200);
	v = world_admin(w, "/v1/nodes/pending", "{}");
	assert_int_equal(json_array_size(v), 0);
	json_decref(v);
	world_node_close(&waits);
}

/* There a login by SSH and a machine that asks are one kind of thing. */
static void test_by_api(void **state)
{
	static const char *const verbs[] = { "approve", "reject" };
	struct world *w = *state;
	struct world_node a, b;
	struct question q;
	char again[256], id[32], key[128];
	open_two(w, &a, &b);
	set_rules(w, RULES("always"));
	json_t *v = world_admin(w, "/v1/apikeys/create", "{}");
	snprintf(key, sizeof(key), "%s", text_of(v, "key"));
	json_decref(v);
	assert_int_equal(decide_v1(w, key, "approve", "nobody"), 404);
	assert_int_equal(decide_v1(w, key, "reject", "nobody"), 404);
	assert_int_equal(decide_v1(w, "hskey-api-none", "approve", "nobody"), 401);
	for (size_t i = 0; i < 2; i++) {
		ask_first(&a, again, id);
		begin(&q, &a, again);
		json_decref(world_admin(w, "/v1/ssh/list", "{}")); /* it is there by then */
		assert_int_equal(decide_v1(w, key, verbs[i], id), 200);
		assert_string_equal(w->answer, "{}");
		v = end(&q);
		assert_true(json_is_true(json_object_get(v, i ? "reject" : "accept")));
		json_decref(v);
	}
	try_machine(w, key);
	world_node_close(&a);
	world_node_close(&b);
}

static void test_let_in(void **state)
{
	struct world *w = *state;
	struct world_node a, b;
	struct question q;
	char again[256], theirs[256], id[32], page[64];
	open_two(w, &a, &b);
	set_rules(w, RULES("1h"));
	ask_first(&a, again, id);
	begin(&q, &a, again);
	json_t *v = world_admin(w, "/v1/ssh/list", "{}");
	assert_int_equal(json_array_size(v), 1);
	assert_string_equal(text_of(json_array_get(v, 0), "from"), "beta");
	json_decref(v);
	snprintf(page, sizeof(page), "/ssh/%s", id);
	assert_non_null(strstr(world_get(w, page), "beta asks to log in on alpha as root."));
	/* the number is good for this login alone: another machine that has it, for a login of its own, gets nothing by it */
	snprintf(theirs, sizeof(theirs), "/machine/ssh/action/1/to/2?local_user=root&check=%s", id);
	v = ask(&b, theirs);
	assert_string_equal(text_of(v, "message"), "this login is not known here any more: try again\r\n");
	assert_true(json_is_true(json_object_get(v, "reject")));
	json_decref(v);
	assert_false(q.done);
	json_decref(decide(w, "approve", id));
	v = end(&q);
	assert_true(json_is_true(json_object_get(v, "accept")));
	json_decref(v);

	/* within the hour nobody is asked; another name is another login */
	v = ask(&a, "/machine/ssh/action/2/to/1?local_user=root");
	assert_true(json_is_true(json_object_get(v, "accept")));
	json_decref(v);
	v = ask(&a, "/machine/ssh/action/2/to/1?local_user=bin");
	assert_true(json_is_true(json_object_get(v, "reject")));
	json_decref(v);
	v = ask(&b, "/machine/ssh/action/2/to/1?local_user=root"); /* about a machine that it is not */
	assert_string_equal(text_of(v, "message"), "the server does not know these nodes\r\n");
	json_decref(v);

	/* always: each time */
	set_rules(w, RULES("always"));
	ask_first(&a, again, id);
	begin(&q, &a, again);
	v = world_admin(w, "/v1/ssh/list", "{}");
	json_decref(v);
	json_decref(decide(w, "reject", id));
	v = end(&q);
	assert_true(json_is_true(json_object_get(v, "reject")));
	json_decref(v);
	v = decide(w, "approve", id);
	assert_non_null(json_object_get(v, "error"));
	json_decref(v);

	/* rules that changed meanwhile are stronger than an admin's word */
	ask_first(&a, again, id);
	begin(&q, &a, again);
	set_rules(w, "{}");
	v = decide(w, "approve", id);
	assert_non_null(json_object_get(v, "error"));
	json_decref(v);
	v = end(&q);
	assert_true(json_is_true(json_object_get(v, "reject")));
	json_decref(v);
	world_node_close(&a);
	world_node_close(&b);
}

/* One machine has so many waiting, and who hangs up is forgotten. */
static void test_bounds(void **state)
{
	struct world *w = *state;
	struct world_node a, b;
	struct question q;
	char again[256], id[32], other[32];
	open_two(w, &a, &b);
	set_rules(w, RULES("1h"));
	ask_first(&a, again, id);
	begin(&q, &a, again);
	for (int i = 0; i < 16; i++) {
		char unused[256];
		ask_first(&a, unused, other);
	}
	json_t *v = end(&q);
	assert_string_equal(text_of(v, "message"), "too many wait to be let in: try again\r\n");
	json_decref(v);
	v = world_admin(w, "/v1/ssh/list", "{}");
	assert_int_equal(json_array_size(v), 16);
	json_decref(v);
	world_node_close(&a);
	world_node_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_let_in, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_by_api, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_bounds, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
