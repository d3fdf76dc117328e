/* netcheck over a node that measures as the test says. */
#include "mesh/node/local/local_api.h"
#include "mesh/os/file.h"
#include "mesh/transport/http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
	struct loop *loop;
	char dir[64], sock[96];
	struct local_api *api;
	bool stopped;
	struct local_measured when;
	int measured; /* times asked to */
	/* what a measurement does: 0 nothing (no relay is known), 1 ends when `finish` says so */
	int kind;
	struct loop_timer *finish;
	int status;
	char body[512];
	bool over;
};

static void say_facts(void *arg, struct local_facts *out)
{
	static const struct state_prefs prefs;
	(void)arg;
	static const struct machine_key none;
	*out = (struct local_facts) {
		.auth_url = "", .error = "", .login_name = "", .prefs = &prefs, .server = &none
	};
}

static bool say_netcheck(void *arg, struct arena *a, struct api_netcheck *out, struct local_measured *when)
{
	struct world *w = arg;
	(void)a;
	*out = (struct api_netcheck) { .udp = w->when.at_ms != 0,
		.global_v4 = "",
		.global_v6 = "",
		.mapped = "",
		.unmapped = "",
		.pinhole6 = "",
		.no_pinhole6 = "" };
	*when = w->when;
	return !w->stopped;
}

static void finish(void *arg)
{
	struct world *w = arg;
	w->when = (struct local_measured) { .at_ms = loop_now_ms(w->loop) };
}

static void measure(void *arg)
{
	struct world *w = arg;
	w->measured++;
	w->when.running = w->kind == 1;
	if (w->kind == 1)
		loop_timer_set(w->finish, 20);
}

static void world_start(struct world *w)
{
	struct errbuf eb = { 0 };
	*w = (struct world) { .loop = loop_new(), .dir = "/tmp/rw-netcheck-XXXXXX" };
	struct local_node_ops ops = {
		.facts = say_facts, .netcheck = say_netcheck, .measure = measure, .arg = w
	};
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->sock, sizeof(w->sock), "%s/s", w->dir);
	w->finish = loop_timer_new(w->loop, finish, w);
	w->api = local_api_open(w->loop, w->sock, &ops, &eb);
	if (!w->api)
		fail_msg("%s", eb.text);
}

static void world_end(struct world *w)
{
	local_api_close(w->api);
	loop_timer_free(w->finish);
	loop_free(w->loop);
	assert_int_equal(dir_remove(w->dir, NULL), 0);
}

static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct world *w = arg;
	w->status = head->status;
	snprintf(w->body, sizeof(w->body), "%.*s", (int)len, (const char *)body);
	w->over = true;
}

static void failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d %s", code, why);
}

static struct http_client *begin(struct world *w)
{
	struct http_request rq = { .unix_path = w->sock,
		.method = "GET",
		.target = "/localapi/v0/netcheck",
		.host = "local-tailscaled.sock" };
	struct http_client_events ev = { .done = done, .failed = failed, .arg = w };
	w->over = false;
	return http_request(w->loop, &rq, &ev);
}

static void ask(struct world *w)
{
	assert_non_null(begin(w));
	while (!w->over)
		loop_run_once(w->loop);
}

static void test_measured_anew(void **state)
{
	struct world w;
	(void)state;
	world_start(&w);
	w.kind = 1;
	ask(&w);
	assert_int_equal(w.status, 200);
	assert_non_null(strstr(w.body, "\"UDP\":true"));
	assert_non_null(strstr(w.body, "\"Measured\":true,\"AgeSeconds\":0"));
	assert_int_equal(w.measured, 1);
	/* One of a moment ago is as good. */
	ask(&w);
	assert_int_equal(w.measured, 1);
	/* The asker leaves meanwhile. */
	w.when.at_ms = 0;
	struct http_client *c = begin(&w);
	while (w.measured < 2)
		loop_run_once(w.loop);
	http_client_cancel(c);
	while (w.when.running)
		loop_run_once(w.loop);
	world_end(&w);
}

static void test_nothing_to_measure(void **state)
{
	struct world w;
	(void)state;
	world_start(&w);
	ask(&w);
	assert_int_equal(w.status, 200);
	assert_non_null(strstr(w.body, "\"Measured\":false"));
	w.stopped = true;
	ask(&w);
	assert_int_equal(w.status, 503);
	world_end(&w);
}

/* It stops while somebody waits. */
static void test_stopped_meanwhile(void **state)
{
	struct world w;
	(void)state;
	world_start(&w);
	w.kind = 1;
	assert_non_null(begin(&w));
	while (!w.measured)
		loop_run_once(w.loop);
	w.stopped = true;
	while (!w.over)
		loop_run_once(w.loop);
	assert_int_equal(w.status, 503);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measured_anew),
		cmocka_unit_test(test_nothing_to_measure),
		cmocka_unit_test(test_stopped_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
