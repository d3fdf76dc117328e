/* Which control server a node is a member of, and which of them it takes. */
#include "mesh/node/test/local_place.h"
#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A control server on loopback, as far as it takes one to be taken for one. */
struct far_server {
	struct loop *loop;
	int fd, asked;
	bool silent;
	struct loop_fd *watch;
	struct http_server_conn *conn;
	char url[64];
};

static void far_asked(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	static const char key[] = "{\"publicKey\":\"mkey:"
				  "1111111111111111111111111111111111111111111111111111111111111111\"}";
	struct far_server *f = arg;
	(void)head;
	(void)body;
	(void)len;
	f->asked++;
	if (!f->silent)
		http_reply(c, 200, "application/json", NULL, key, sizeof(key) - 1);
}

static void far_gone(void *arg, struct http_server_conn *c)
{
	(void)c;
	((struct far_server *)arg)->conn = NULL;
}

static void far_accept(void *arg, int events)
{
	struct far_server *f = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = far_asked, .gone = far_gone, .arg = f };
	(void)events;
	f->conn = http_server_accept(
		f->loop, stream_accept(f->loop, sock_accept(f->fd, NULL), NULL, &none), &ops);
	assert_non_null(f->conn);
}

static void far_start(struct far_server *f, struct loop *l)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	*f = (struct far_server) { .loop = l, .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) };
	assert_int_equal(bind(f->fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(f->fd, 4), 0);
	assert_int_equal(getsockname(f->fd, (struct sockaddr *)&at, &len), 0);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", ntohs(at.sin_port));
	f->watch = loop_fd_new(l, f->fd, far_accept, f);
	loop_fd_set(f->watch, LOOP_READ);
}

static void far_stop(struct far_server *f)
{
	if (f->conn)
		http_server_close(f->conn, false);
	loop_fd_free(f->watch);
	close(f->fd);
}

static void log_in_at(struct node *n, const char *url)
{
	snprintf(n->state.prefs.control_url, sizeof(n->state.prefs.control_url), "%s", url);
	n->state.logged_in = true;
	memset(&n->state.node, 7, sizeof(n->state.node));
}

/* The same server written otherwise keeps the login; another one does not, once it is there. */
static void test_same_server(void **state)
{
	static const struct {
		const char *now, *then;
		bool stays;
	} rows[] = {
		{ "https://ctl.test", "https://Ctl.test:443/", true },
		{ "https://ctl.test", "https://ctl.test", true },
		{ "https://ctl.test", "FAR", false },
		{ "https://ctl.test", "FAR/mesh", false },
		{ "FAR/mesh", "FAR", false },
	};
	struct local_place p;
	struct far_server far;
	(void)state;
	local_place_make(&p);
	far_start(&far, p.n->loop);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char body[256], now[128], then[128];
		struct local_answer a;
		bool here = strncmp(rows[i].now, "FAR", 3) == 0, there = strncmp(rows[i].then, "FAR", 3) == 0;
		snprintf(now, sizeof(now), "%s%s", here ? far.url : "", rows[i].now + (here ? 3 : 0));
		snprintf(then, sizeof(then), "%s%s", there ? far.url : "", rows[i].then + (there ? 3 : 0));
		snprintf(body, sizeof(body), "{\"ControlURLSet\":true,\"ControlURL\":\"%s\"}", then);
		log_in_at(p.n, now);
		far.asked = 0;
		local_ask(&p,
			&(struct local_question) { .method = "PATCH", .target = API "prefs", .body = body },
			&a);
		assert_int_equal(a.status, 200);
		assert_int_equal(far.asked, !rows[i].stays);
		/* Without this the official `up` asks for every option again. */
		assert_int_equal(
			strstr(a.body, "\"Config\":{\"UserProfile\":{\"LoginName\"") != NULL, rows[i].stays);
		assert_int_equal(p.n->state.logged_in, rows[i].stays);
		assert_int_equal(key_is_zero(p.n->state.node.b), !rows[i].stays);
	}
	far_stop(&far);
	local_place_end(&p);
}

/* Another server that is not there, or no server: nothing is lost, whoever asks and in whichever way. */
static void test_server_tried_first(void **state)
{
	static const struct local_question rows[] = {
		{ .method = "PATCH",
			.target = API "prefs",
			.body = "{\"ControlURLSet\":true,\"ControlURL\":\"http://127.0.0.1:1\","
				"\"HostnameSet\":true,\"Hostname\":\"other\"}" },
		{ .method = "POST",
			.target = API "start",
			.body = "{\"AuthKey\":\"k\",\"ForceReauth\":true,\"UpdatePrefs\":{\"ControlURL\":"
				"\"http://127.0.0.1:1\",\"Hostname\":\"other\"}}" },
	};
	struct local_place p;
	struct far_server far;
	struct local_answer a;
	(void)state;
	local_place_make(&p);
	log_in_at(p.n, "https://ctl.test");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		local_ask(&p, &rows[i], &a);
		assert_int_equal(a.status, 502);
		assert_non_null(strstr(a.body, "nothing was changed"));
		assert_string_equal(p.n->state.prefs.control_url, "https://ctl.test");
		assert_string_not_equal(p.n->state.prefs.hostname, "other");
		assert_true(p.n->state.logged_in && p.n->state.node.b[0] == 7);
	}
	/* The asker leaves while it is tried: nothing comes of it. */
	char body[128];
	far_start(&far, p.n->loop);
	far.silent = true;
	snprintf(body, sizeof(body), "{\"ControlURLSet\":true,\"ControlURL\":\"%s\"}", far.url);
	struct local_question q = { .method = "PATCH", .target = API "prefs", .body = body };
	struct http_client *c = local_begin(&p, &q, &a, false);
	while (!far.asked)
		loop_run_once(p.n->loop);
	http_client_cancel(c);
	while (far.conn)
		loop_run_once(p.n->loop);
	assert_true(p.n->state.logged_in);
	far_stop(&far);
	local_place_end(&p);
}

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"

static int patch_server(struct local_place *p, const char *url, const char *key, struct local_answer *a)
{
	char body[512];
	snprintf(body, sizeof(body),
		"{\"ControlURLSet\":true,\"ControlURL\":\"%s\",\"ServerKeySet\":%s,\"ServerKey\":\"%s\"}",
		url, key ? "true" : "false", key ? key : "");
	local_ask(p, &(struct local_question) { .method = "PATCH", .target = API "prefs", .body = body }, a);
	return a->status;
}

/* The server's key, known beforehand: kept with its URL, told, and gone with it. */
static void test_server_pinned(void **state)
{
	struct local_place p;
	struct local_answer a;
	(void)state;
	local_place_make(&p);
	const struct machine_key *pin = &p.n->state.prefs.server_pin;
	assert_int_equal(patch_server(&p, "https://ctl.test", "mkey:" ONES, &a), 200);
	assert_non_null(strstr(a.body, "\"ServerKey\":\"mkey:" ONES "\""));
	assert_int_equal(pin->b[0], 0x11);
	assert_int_equal(patch_server(&p, "https://ctl.test:443/", NULL, &a), 200);
	assert_int_equal(pin->b[0], 0x11);
	local_ask(&p, &(struct local_question) { .method = "POST", .target = API "logout" }, &a);
	assert_true(key_is_zero(pin->b));
	assert_int_equal(patch_server(&p, "https://ctl.test", "mkey:" ONES, &a), 200);
	assert_int_equal(patch_server(&p, "https://other.test", NULL, &a), 200);
	assert_true(key_is_zero(pin->b));
	static const char *const wrong[] = { ONES, "mkey:", "mkey:1", ("nodekey:" ONES),
		"mkey:0000000000000000000000000000000000000000000000000000000000000000" };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (patch_server(&p, "https://other.test", wrong[i], &a) != 400)
			fail_msg("row %zu: %d", i, a.status);
	local_ask(&p,
		&(struct local_question) { .method = "PATCH",
			.target = API "prefs",
			.body = "{\"ServerKeySet\":true,\"ServerKey\":\"mkey:" ONES "\"}" },
		&a);
	assert_int_equal(a.status, 400);
	local_place_end(&p);
}

/* A login is not given up for a server that is another than it is said to be. */
static void test_server_pinned_otherwise(void **state)
{
	struct local_place p;
	struct local_answer a;
	struct far_server far;
	(void)state;
	local_place_make(&p);
	far_start(&far, p.n->loop);
	log_in_at(p.n, "https://ctl.test");
	assert_int_equal(patch_server(&p, far.url, "mkey:" TWOS, &a), 502);
	assert_non_null(strstr(a.body, "than the invitation says"));
	assert_true(p.n->state.logged_in && key_is_zero(p.n->state.prefs.server_pin.b));
	memset(p.n->state.server.b, 0x11, KEY_LEN);
	assert_int_equal(patch_server(&p, "https://ctl.test", "mkey:" TWOS, &a), 409);
	assert_true(p.n->state.logged_in && key_is_zero(p.n->state.prefs.server_pin.b));
	assert_int_equal(patch_server(&p, "https://ctl.test", "mkey:" ONES, &a), 200);
	assert_true(p.n->state.logged_in);
	assert_int_equal(p.n->state.prefs.server_pin.b[0], 0x11);
	assert_int_equal(patch_server(&p, far.url, "mkey:" ONES, &a), 200);
	assert_false(p.n->state.logged_in);
	assert_int_equal(far.asked, 2);
	far_stop(&far);
	local_place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_server),
		cmocka_unit_test(test_server_tried_first),
		cmocka_unit_test(test_server_pinned),
		cmocka_unit_test(test_server_pinned_otherwise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
