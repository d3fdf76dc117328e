/* A node is asked by which way it reaches another: what it is sent, what is made of its word, and whose word counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked { /* an admin's request that waits */
	struct world *w;
	int status;
	json_t *answer;
	bool done;
	struct http_client *rq;
};

static void asked_done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct asked *k = arg;
	k->status = head->status;
	k->answer = json_loadb((const char *)body, len, 0, NULL);
	k->done = true;
	loop_stop(k->w->loop);
}

static void asked_failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d: %s", code, why);
}

static void begin(struct asked *k, struct world *w, const char *body)
{
	struct http_request rq = { .unix_path = w->socket,
		.method = "POST",
		.target = "/v1/nodes/path",
		.host = "localhost",
		.body = body,
		.body_len = strlen(body),
		.content_type = "application/json" };
	const struct http_client_events ev = { .done = asked_done, .failed = asked_failed, .arg = k };
	*k = (struct asked) { .w = w };
	k->rq = world_request(w, &rq, &ev);
}

static void end(struct asked *k)
{
	WAIT(k->w, k->done);
	assert_int_equal(k->status, 200);
}

/* The next message with such a question. */
static const struct ctl_ping *question(struct world_node *c, size_t *seen)
{
	const struct ctl_map_response *m;
	do
		m = world_node_next(c, seen);
	while (!m->ping || !m->ping->types[0]);
	return m->ping;
}

static void tell(struct world_node *c, const char *url, const char *body)
{
	struct h2_request_events ev = { 0 };
	const char *path = strstr(url, "/machine/");
	assert_non_null(path);
	assert_non_null(control_client_request(c->link, "POST", path, NULL, NULL, body, strlen(body), &ev));
}

struct pair {
	struct world_node a, b;
	size_t seen;
};

static void join(struct pair *p, struct world *w)
{
	char key[128];
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	p->seen = 0;
	world_node_open(&p->a, w);
	world_node_join(&p->a, key, "alpha");
	world_node_open(&p->b, w);
	world_node_join(&p->b, key, "beta");
	world_node_ask_map(&p->a, true, NULL);
	world_node_next(&p->a, &p->seen);
}

static void leave(struct pair *p)
{
	world_node_close(&p->a);
	world_node_close(&p->b);
}

static void test_told(void **state)
{
	static const struct {
		const char *told, *direct, *relay, *why;
		bool answered;
		double ms;
	} rows[] = {
		{ "{\"Type\":\"disco\",\"LatencySeconds\":0.0042,\"Endpoint\":\"192.0.2.1:41641\"}",
			"192.0.2.1:41641", "", "", true, 4.2 },
		{ "{\"LatencySeconds\":0.1,\"DERPRegionID\":9,\"DERPRegionCode\":\"<b>\"}", "", "9", "", true,
			100 },
		{ "{\"LatencySeconds\":0,\"Endpoint\":\"<script>\"}", "", "", "", true, 0 },
		{ "{\"Err\":\"no \\u0007 answer\"}", "", "", "it gets no answer", false, 0 },
		{ "{\"LatencySeconds\":-1}", "", "", "it has told what nobody understands", false, 0 },
		{ "{\"LatencySeconds\":1e300}", "", "", "it has told what nobody understands", false, 0 },
		{ "[]", "", "", "it has told what nobody understands", false, 0 },
		{ "{", "", "", "it has told what nobody understands", false, 0 },
		{ "", "", "", "it has told what nobody understands", false, 0 },
	};
	struct world *w = *state;
	struct pair p;
	struct asked k;
	join(&p, w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(&k, w, "{\"id\":1,\"to\":2}");
		const struct ctl_ping *q = question(&p.a, &p.seen);
		assert_string_equal(q->types, "disco");
		assert_string_equal(q->ip, "100.64.0.2");
		assert_true(q->url_is_noise);
		tell(&p.a, q->url, rows[i].told);
		end(&k);
		const char *direct, *relay, *why, *type;
		int answered;
		double ms;
		assert_int_equal(
			json_unpack(k.answer, "{s:s, s:s, s:s, s:s, s:b, s:F}", "direct", &direct, "relay",
				&relay, "why", &why, "type", &type, "answered", &answered, "latency_ms", &ms),
			0);
		if (strcmp(direct, rows[i].direct) != 0 || strcmp(relay, rows[i].relay) != 0 ||
			strcmp(why, rows[i].why) != 0 || answered != rows[i].answered ||
			ms < rows[i].ms - 0.001 || ms > rows[i].ms + 0.001)
			fail_msg("row %zu: \"%s\" \"%s\" \"%s\" %d %f", i, direct, relay, why, answered, ms);
		json_decref(k.answer);
	}
	leave(&p);
}

/* Another machine's word counts for nothing, nor does one a second time. */
static void test_whose(void **state)
{
	struct world *w = *state;
	struct pair p;
	struct asked k;
	char url[256];
	join(&p, w);
	begin(&k, w, "{\"id\":1,\"to\":2,\"type\":\"tsmp\"}");
	const struct ctl_ping *q = question(&p.a, &p.seen);
	assert_string_equal(q->types, "TSMP");
	snprintf(url, sizeof(url), "%s", q->url);
	tell(&p.b, url, "{\"LatencySeconds\":9}");
	char *last = url + strlen(url) - 1, was = *last;
	*last = was == '0' ? '1' : '0';
	tell(&p.a, url, "{\"LatencySeconds\":8}");
	*last = was;
	json_decref(world_admin(w, "/v1/nodes/list", "{}")); /* both have come by now */
	assert_false(k.done);
	tell(&p.a, url, "{\"LatencySeconds\":0.5}");
	end(&k);
	assert_true(json_number_value(json_object_get(k.answer, "latency_ms")) == 500);
	json_decref(k.answer);
	tell(&p.a, url, "{\"LatencySeconds\":0.5}"); /* nobody waits: nothing happens */
	/* who does not wait any more leaves nothing behind */
	begin(&k, w, "{\"id\":1,\"to\":2}");
	q = question(&p.a, &p.seen);
	http_client_cancel(k.rq);
	tell(&p.a, q->url, "{\"LatencySeconds\":1}");
	json_decref(world_admin(w, "/v1/nodes/list", "{}"));
	leave(&p);
}

static void test_refused(void **state)
{
	static const struct {
		const char *body;
		int status;
	} rows[] = { { "{}", 400 }, { "{\"id\":1}", 400 }, { "{\"id\":1,\"to\":1}", 400 },
		{ "{\"id\":1,\"to\":9}", 400 }, { "{\"id\":1,\"to\":2,\"type\":\"ssh\"}", 400 },
		{ "{\"id\":2,\"to\":1}", 200 } /* it has no stream */ };
	struct world *w = *state;
	struct pair p;
	join(&p, w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *v = world_admin(w, "/v1/nodes/path", rows[i].body);
		if (w->status != rows[i].status)
			fail_msg("row %zu: %d", i, w->status);
		if (w->status == 200)
			assert_string_equal(
				json_string_value(json_object_get(v, "why")), "it is not connected");
		json_decref(v);
	}
	leave(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_told, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_whose, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_refused, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
