/* The whole program over loopback: who may ask what, and what strangers and greedy nodes can take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/control.h"
#include "mesh/control/http/api.h"
#include "mesh/control/test/world.h"
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

/* A connection that says nothing. */
static int open_idle(struct world *w)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&w->at, false, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

/* Strangers take every socket, as bare connections and as Noise links; a node keeps its stream, and another
 * joins. */
static void test_crowd(void **state)
{
	enum { CROWD = 60, MANY = 20 };
	struct world *w = *state;
	struct world_node a, b, strangers[MANY];
	char key[128], byte;
	int idle[CROWD];
	size_t seen = 0;
	world_server_kill(w, SIGTERM, 0);
	w->files = 64;
	world_server_start(w);
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	world_node_ask_map(&a, true, NULL);
	(void)world_node_next(&a, &seen);
	for (size_t i = 0; i < MANY; i++)
		world_node_open(&strangers[i], w);
	for (size_t i = 0; i < CROWD; i++)
		idle[i] = open_idle(w);
	world_node_open(&b, w);
	world_node_join(&b, key, "beta");
	assert_string_equal(b.answer.error, "");
	assert_string_equal(world_node_next(&a, &seen)->peers_changed[0].name, "beta.mesh.test.");
	assert_int_equal(read(idle[0], &byte, 1), 0);
	json_t *v = world_admin(w, "/v1/health", "{}");
	assert_true(json_integer_value(json_object_get(v, "turned_away")) >= MANY - 64 / 4 + CROWD - 64 / 4);
	json_decref(v);
	for (size_t i = 0; i < CROWD; i++)
		close(idle[i]);
	for (size_t i = 0; i < MANY; i++)
		world_node_close(&strangers[i]);
	world_node_close(&a);
	world_node_close(&b);
}
/* --- the table of rights --- */

static void any_done(void *arg, int code)
{
	struct world_node *c = arg;
	(void)code;
	c->registered = true;
	loop_stop(c->w->loop);
}

static int status_in_noise(struct world_node *c, const char *method, const char *path)
{
	const struct h2_request_events ev = {
		.head = world_node_register_head, .data = world_node_register_data, .done = any_done, .arg = c
	};
	c->registered = false;
	c->register_status = 0;
	assert_non_null(control_client_request(c->link, method, path, NULL, NULL, "{}", 2, &ev));
	WAIT(c->w, c->registered);
	return c->register_status;
}

static int status_of(struct world *w, bool as_admin, const char *method, const char *path)
{
	char host[64];
	struct http_request rq = { .method = method, .target = path, .host = "hs.test" };
	addr_format(&w->at.ip, host);
	if (as_admin)
		rq.unix_path = w->socket;
	else
		rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	if (!strcmp(method, "POST")) {
		rq.body = "{}";
		rq.body_len = 2;
	}
	(void)world_fetch(w, &rq);
	return w->status;
}

static void check_right(const struct api_row *r, enum api_right who, int status)
{
	if (r->right == API_ANYBODY && who == API_MACHINE)
		assert_int_equal(status, 404); /* pages are not inside Noise */
	else if (r->run == oauth_token)
		assert_int_equal(status, 401); /* it looks at secrets itself */
	else if (r->right == API_ANYBODY || r->right == who || (r->right == API_KEYED && who == API_ADMIN))
		assert_true(status && status != 401 && status != 403 && status != 405);
	else
		assert_int_equal(status, who == API_ANYBODY ? 401 : 403);
}

/* What takes no right at all, and what a machine may ask whose key is proven and no more. A row of the server that is not
 * here takes a key or an admin; one that is opened has to be put down here as well, with who may call it in mind. */
static const char *const open_to_all[] = { "GET /", "GET /key", "GET /health", "POST /verify", "GET /version",
	"GET /ssh/*", "GET /register/*", "POST /register/*", "GET /pending/*", "GET /oidc/begin",
	"GET /oidc/callback", "GET /login", "POST /login", "POST /login/first", "POST /logout",
	"GET /login.css", "GET /login.js", "GET /admin", "GET /admin/", "GET /admin/*", "GET /ts2021",
	"POST /ts2021", "GET /.well-known/acme-challenge/*", "GET /api/openapi.json",
	"POST /api/v2/oauth/token" };
static const char *const of_machines[] = { "POST /machine/register", "POST /machine/map",
	"GET /machine/ssh/action/*", "GET /machine/ping-response/*", "POST /machine/ping-response/*",
	"POST /machine/*" };

static size_t count_open(enum api_right right, const char *const *named, size_t n)
{
	size_t found = 0;
	for (const struct api_row *r = api_rows; r->path; r++) {
		char name[128];
		bool is_named = false;
		snprintf(name, sizeof(name), "%s %s", r->method, r->path);
		for (size_t i = 0; i < n; i++)
			is_named |= !strcmp(named[i], name);
		if ((r->right == right) != is_named)
			fail_msg("%s: the table of this test says otherwise who may call it", name);
		found += is_named;
	}
	return found;
}

static void test_open_rows(void **state)
{
	(void)state;
	assert_int_equal(
		count_open(API_ANYBODY, open_to_all, ARRAY_LEN(open_to_all)), ARRAY_LEN(open_to_all));
	assert_int_equal(
		count_open(API_MACHINE, of_machines, ARRAY_LEN(of_machines)), ARRAY_LEN(of_machines));
}

/* Every row, asked by nobody in particular, by a machine and by an admin: only who has the right is let through, and
 * nobody reads what is for writing. */
static void test_rights(void **state)
{
	struct world *w = *state;
	struct world_node c;
	char path[64];
	world_node_open(&c, w);
	for (const struct api_row *r = api_rows; r->path; r++) {
		size_t len = strlen(r->path) - (r->path[strlen(r->path) - 1] == '*');
		snprintf(path, sizeof(path), "%.*s%s", (int)len, r->path, r->path[len] ? "what" : "");
		check_right(r, API_ANYBODY, status_of(w, false, r->method, path));
		check_right(r, API_MACHINE, status_in_noise(&c, r->method, path));
		check_right(r, API_ADMIN, status_of(w, true, r->method, path));
		int status;
		if (!strcmp(r->method, "POST") && !api_find("GET", path, API_ADMIN, &status))
			assert_int_equal(
				status_of(w, r->right == API_ADMIN || r->right == API_KEYED, "GET", path),
				r->right == API_MACHINE ? 401 : 405);
	}
	assert_int_equal(status_of(w, false, "GET", "/v1/none"), 404);
	assert_int_equal(status_of(w, true, "POST", "/v1/none"), 404);
	assert_int_equal(status_in_noise(&c, "GET", "/v1/none"), 404);
	world_node_close(&c);
}

/* --- who takes room --- */

/* 0 under the address sanitizer, where what is freed stays resident. */
static long resident_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "VmRSS: %ld", &kib) != 1)
		;
	fclose(f);
#ifdef __SANITIZE_ADDRESS__
	kib = 0;
#endif
	return kib;
}

/* Without a key: links with registrations that wait, each as large as a request may be. Their memory is
 * bounded, and whoever comes to join does. */
static void test_waiting_strangers(void **state)
{
	enum { LINKS = 30, EACH = 4, LARGE = 900 * 1000 };
	struct world *w = *state;
	struct world_node strangers[LINKS], a;
	char key[128], *hostname = calloc(1, LARGE + 1);
	world_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	memset(hostname, 'x', LARGE);
	long before = resident_kib(w->pid);
	for (size_t i = 0; i < LINKS; i++) {
		struct world_node *s = &strangers[i];
		world_node_open(s, w);
		world_node_join(s, "", "stranger");
		char *url = strdup(s->answer.auth_url);
		for (size_t k = 0; k < EACH; k++)
			world_node_register(s, "", url, hostname);
		(void)status_in_noise(s, "POST", "/machine/none"); /* all before it was read */
		free(url);
	}
	long after = resident_kib(w->pid);
	if (after - before > 48 * 1024)
		fail_msg("%ld KiB for strangers that wait", after - before);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	assert_true(a.answer.machine_authorized);
	world_node_close(&a);
	for (size_t i = 0; i < LINKS; i++)
		world_node_close(&strangers[i]);
	free(hostname);
}

/* A node that opens link after link and stream after stream keeps its newest; others join, and admins are
 * heard. */
static void test_greedy_node(void **state)
{
	enum { LINKS = 100, OPEN = 4 };
	struct world *w = *state;
	struct world_node a, b, *links = calloc(LINKS, sizeof(*links));
	char key[128];
	size_t seen = 0, open = 0;
	world_server_kill(w, SIGTERM, 0);
	w->files = 96;
	world_server_start(w);
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	for (size_t i = 0; i < LINKS; i++) {
		links[i] = (struct world_node) {
			.w = w, .machine = a.machine, .node = a.node, .disco = a.disco
		};
		world_node_connect(&links[i]);
		world_node_ask_map(&links[i], true, NULL);
		WAIT(w, links[i].n == 1);
	}
	world_node_open(&b, w);
	world_node_join(&b, key, "beta");
	assert_true(b.answer.machine_authorized);
	seen = 1;
	assert_string_equal(
		world_node_next(&links[LINKS - 1], &seen)->peers_changed[0].name, "beta.mesh.test.");
	for (size_t i = 0; i < LINKS; i++)
		open += !links[i].closed;
	assert_int_equal(open, OPEN);
	json_t *v = world_admin(w, "/v1/health", "{}");
	assert_int_equal(json_integer_value(json_object_get(v, "streams")), 1);
	json_decref(v);
	for (size_t i = 0; i < LINKS; i++)
		world_node_close(&links[i]);
	world_node_close(&a);
	world_node_close(&b);
	free(links);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_crowd, world_setup, world_teardown),
		cmocka_unit_test(test_open_rows),
		cmocka_unit_test_setup_teardown(test_rights, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_waiting_strangers, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_greedy_node, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
