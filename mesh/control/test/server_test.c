/* The whole program over loopback: nodes that register, stream their maps and hear of each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/control.h"
#include "mesh/control/fleet/test/place.h"
#include "mesh/control/http/api.h"
#include "mesh/proto/control.h"
#include "mesh/transport/control_link.h"
#include "mesh/transport/http.h"
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

enum { WAIT_MS = 10000, MESSAGES = 64 };

struct world {
	struct place place;
	char config[256], socket[256];
	pid_t pid;
	rlim_t files; /* the server may have so many; 0 = as we */
	struct endpoint at;
	struct machine_key server;
	struct loop *loop;
	struct loop_timer *late;
	bool stuck;
	char *answer; /* of the last plain request */
	int status;
};

struct client {
	struct world *w;
	struct machine_private machine;
	struct node_key node;
	struct disco_key disco;
	struct control_client_link *link;
	uint16_t capver; /* 0 = ours */
	bool ready, closed, registered, registering, map_done;
	int map_status, register_status;
	struct arena mem;
	struct ctl_register_response answer;
	struct buf body;
	struct h2_request *stream;
	struct map_frames *frames;
	struct ctl_map_response messages[MESSAGES];
	size_t n;
};

static void too_late(void *arg)
{
	struct world *w = arg;
	w->stuck = true;
	loop_stop(w->loop);
}

/* Runs the loop until *flag, which some callback sets and then stops the loop. */
#define WAIT(w, condition) \
	do { \
		loop_timer_set((w)->late, WAIT_MS); \
		while (!(condition) && !(w)->stuck) \
			loop_run((w)->loop); \
		loop_timer_clear((w)->late); \
		if ((w)->stuck) \
			fail_msg("waited in vain for %s", #condition); \
	} while (0)

/* --- the server --- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void start_server(struct world *w)
{
	char line[512], listen[64], program[] = "ropewalk-control", serve[] = "serve", json[] = "--json",
				    c[] = "-c";
	int out[2];
	assert_int_equal(pipe(out), 0);
	w->pid = fork();
	if (!w->pid) {
		char *argv[] = { program, serve, json, c, w->config, NULL };
		if (w->files)
			(void)setrlimit(RLIMIT_NOFILE, &(struct rlimit) { w->files, w->files });
		dup2(out[1], STDOUT_FILENO);
		_exit(control_main(5, argv));
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	json_t *ready = json_loads(line, 0, NULL);
	assert_true(json_is_true(json_object_get(ready, "ready")));
	snprintf(listen, sizeof(listen), "%s", json_string_value(json_object_get(ready, "listen")));
	assert_true(endpoint_parse(listen, &w->at));
	json_decref(ready);
}

static void kill_server(struct world *w, int signo, int want)
{
	int status;
	kill(w->pid, signo);
	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	w->pid = 0;
	if (want >= 0)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == want);
}

static void page_done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct world *w = arg;
	w->status = head->status;
	w->answer = strndup((const char *)body, len);
	loop_stop(w->loop);
}

static void page_failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("request: %d %s", code, why);
}

static const char *fetch(struct world *w, const struct http_request *rq)
{
	const struct http_client_events ev = { .done = page_done, .failed = page_failed, .arg = w };
	free(w->answer);
	w->answer = NULL;
	assert_non_null(http_request(w->loop, rq, &ev));
	WAIT(w, w->answer);
	return w->answer;
}

static const char *get(struct world *w, const char *target)
{
	char host[64];
	struct http_request rq = { .method = "GET", .target = target, .host = "hs.test" };
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	return fetch(w, &rq);
}

static json_t *admin(struct world *w, const char *target, const char *body)
{
	struct http_request rq = { .unix_path = w->socket,
		.method = "POST",
		.target = target,
		.host = "localhost",
		.body = body,
		.body_len = strlen(body),
		.content_type = "application/json" };
	json_t *v = json_loads(fetch(w, &rq), 0, NULL);
	assert_non_null(v);
	return v;
}

static void make_key(struct world *w, const char *args, char key[static 128])
{
	json_t *v = admin(w, "/v1/preauthkeys/create", args);
	assert_non_null(json_object_get(v, "key"));
	snprintf(key, 128, "%s", json_string_value(json_object_get(v, "key")));
	json_decref(v);
}

static int setup(void **state)
{
	static const char config[] = "server_url: https://hs.test\n"
				     "listen_addr: 127.0.0.1:0\n"
				     "noise: { private_key_path: noise.key }\n"
				     "database: { sqlite: { path: db.sqlite } }\n"
				     "unix_socket: ctl.sock\n"
				     "policy: { path: policy.hujson }\n"
				     "dns: { base_domain: mesh.test, extra_records: [ { name: nas.mesh.test, "
				     "value: 192.0.2.9 } ] }\n"
				     "derp: { paths: [derp.yaml] }\n"
				     "log: { level: warn }\n";
	struct world *w = calloc(1, sizeof(*w));
	char path[256];
	struct ctl_key_response key;
	place_make(&w->place);
	write_file(place_path(&w->place, "c.yaml", w->config), config);
	write_file(place_path(&w->place, "policy.hujson", path), "{}");
	write_file(place_path(&w->place, "derp.yaml", path),
		"regions: { 900: { regionid: 900, nodes: [ { name: 900a, regionid: 900, hostname: derp.test "
		"} ] } }\n");
	place_path(&w->place, "ctl.sock", w->socket);
	if (!key_setup())
		return 1;
	start_server(w);
	w->loop = loop_new();
	w->late = loop_timer_new(w->loop, too_late, w);
	const char *text = get(w, "/key?v=119");
	if (ctl_key_response_read(text, strlen(text), &key, NULL))
		return 1;
	w->server = key.server;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	if (w->pid)
		kill_server(w, SIGTERM, 0);
	free(w->answer);
	loop_timer_free(w->late);
	loop_free(w->loop);
	place_remove(&w->place);
	free(w);
	return 0;
}

/* --- a node --- */

static void link_ready(void *arg)
{
	struct client *c = arg;
	c->ready = true;
	loop_stop(c->w->loop);
}

static void link_closed(void *arg, int code, const char *why)
{
	struct client *c = arg;
	(void)code;
	(void)why;
	c->closed = true;
	c->stream = NULL;
	loop_stop(c->w->loop);
}

static void connect_client(struct client *c)
{
	char url[96], at[ENDPOINT_TEXT];
	snprintf(url, sizeof(url), "http://%s", endpoint_format(&c->w->at, at));
	const struct control_client_config cc = { .server_url = url,
		.at = &c->w->at,
		.machine = &c->machine,
		.server = &c->w->server,
		.capver = c->capver ? c->capver : CONTROL_CAPVER,
		.rnd = &random_system };
	const struct control_client_events ev = { .ready = link_ready, .closed = link_closed, .arg = c };
	control_client_close(c->link);
	c->ready = c->closed = false;
	c->link = control_client_open(c->w->loop, &cc, &ev);
	assert_non_null(c->link);
	WAIT(c->w, c->ready || c->closed);
	assert_true(c->ready);
}

static void open_client(struct client *c, struct world *w)
{
	*c = (struct client) { .w = w };
	key_generate(&random_system, c->machine.b);
	random_system.fill(NULL, c->node.b, KEY_LEN);
	random_system.fill(NULL, c->disco.b, KEY_LEN);
	connect_client(c);
}

static void close_client(struct client *c)
{
	if (c->stream)
		h2_request_cancel(c->stream);
	c->stream = NULL;
	control_client_close(c->link);
	c->link = NULL;
	map_frames_free(c->frames);
	c->frames = NULL;
	arena_free(&c->mem);
	buf_free(&c->body);
	c->n = 0;
}

static void register_data(void *arg, const uint8_t *p, size_t len)
{
	assert_true(buf_append(&((struct client *)arg)->body, p, len));
}

static void register_head(void *arg, int status)
{
	((struct client *)arg)->register_status = status;
}

static void register_done(void *arg, int code)
{
	struct client *c = arg;
	struct errbuf eb = { 0 };
	if (!code && c->register_status == 200 &&
		ctl_register_response_read(&c->mem, buf_cstr(&c->body), c->body.len, &c->answer, &eb))
		fail_msg("%s", eb.text);
	c->registering = false;
	c->registered = true;
	loop_stop(c->w->loop);
}

static void begin_register(struct client *c, const char *key, const char *followup, const char *hostname)
{
	struct ctl_register_request rq = { .version = CONTROL_CAPVER,
		.node = c->node,
		.auth_key = key,
		.followup = followup,
		.expiry_ms = INT64_MIN };
	struct buf json = { 0 };
	const struct h2_request_events ev = {
		.head = register_head, .data = register_data, .done = register_done, .arg = c
	};
	rq.hostinfo = (struct ctl_hostinfo) { .ipn_version = "",
		.backend_log_id = "",
		.os = "linux",
		.os_version = "",
		.hostname = hostname,
		.machine = "",
		.go_arch = "" };
	assert_true(ctl_register_request_write(&json, &rq));
	buf_free(&c->body);
	c->registered = false;
	c->registering = true;
	assert_non_null(control_client_request(
		c->link, "POST", "/machine/register", NULL, NULL, buf_data(&json), json.len, &ev));
	buf_free(&json);
}

static void join(struct client *c, const char *key, const char *hostname)
{
	begin_register(c, key, "", hostname);
	WAIT(c->w, c->registered);
}

static void map_head(void *arg, int status)
{
	((struct client *)arg)->map_status = status;
}

static void map_message(void *arg, const char *json, size_t len)
{
	struct client *c = arg;
	struct errbuf eb = { 0 };
	assert_true(c->n < MESSAGES);
	if (ctl_map_response_read(&c->mem, json, len, &c->messages[c->n++], &eb))
		fail_msg("%s", eb.text);
	loop_stop(c->w->loop);
}

static void map_data(void *arg, const uint8_t *p, size_t len)
{
	struct client *c = arg;
	if (c->map_status == 200)
		assert_int_equal(map_frames_feed(c->frames, p, len, map_message, c), 0);
}

static void map_end(void *arg, int code)
{
	struct client *c = arg;
	(void)code;
	c->stream = NULL;
	c->map_done = true;
	loop_stop(c->w->loop);
}

static void short_end(void *arg, int code)
{
	struct client *c = arg;
	(void)code;
	c->map_done = true;
	loop_stop(c->w->loop);
}

static void ask_map(struct client *c, bool stream, const char *endpoint)
{
	struct endpoint ep;
	struct ctl_map_request rq = { .version = CONTROL_CAPVER,
		.compress = "zstd",
		.keep_alive = true,
		.stream = stream,
		.omit_peers = !stream,
		.node = c->node,
		.disco = c->disco };
	struct buf json = { 0 };
	const struct h2_request_events ev = {
		.head = map_head, .data = map_data, .done = stream ? map_end : short_end, .arg = c
	};
	if (endpoint && endpoint_parse(endpoint, &ep))
		rq.endpoints = (struct ctl_endpoints) { .v = &ep, .n = 1, .present = true };
	assert_true(ctl_map_request_write(&json, &rq));
	if (stream && !c->frames)
		c->frames = map_frames_new(true);
	c->map_done = false;
	c->map_status = 0;
	struct h2_request *r = control_client_request(
		c->link, "POST", "/machine/map", NULL, NULL, buf_data(&json), json.len, &ev);
	assert_non_null(r);
	if (stream)
		c->stream = r;
	buf_free(&json);
}

static const struct ctl_map_response *next_message(struct client *c, size_t *seen)
{
	WAIT(c->w, c->n > *seen);
	return &c->messages[(*seen)++];
}

/* --- tests --- */

static void test_two_nodes(void **state)
{
	struct world *w = *state;
	struct client a, b;
	char key[128];
	size_t seen_a = 0, seen_b = 0;
	make_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	open_client(&a, w);
	join(&a, key, "alpha");
	assert_string_equal(a.answer.error, "");
	assert_true(a.answer.machine_authorized);
	assert_string_equal(a.answer.login.login_name, "alice");
	ask_map(&a, true, "192.0.2.1:1");
	const struct ctl_map_response *m = next_message(&a, &seen_a);
	assert_string_equal(m->node->name, "alpha.mesh.test.");
	assert_int_equal(m->n_peers, 0);
	assert_int_equal(m->derp_map->n_regions, 1);
	assert_string_equal(m->dns->extra[0].name, "nas.mesh.test");
	assert_true(m->has_debug && m->disable_log_tail);

	/* the second node appears, comes online, then moves: three small messages */
	open_client(&b, w);
	uint64_t begin = loop_now_ms(w->loop);
	join(&b, key, "beta");
	m = next_message(&a, &seen_a);
	assert_true(loop_now_ms(w->loop) - begin < 500);
	assert_int_equal(m->n_changed, 1);
	assert_string_equal(m->peers_changed[0].name, "beta.mesh.test.");
	ask_map(&b, true, NULL);
	m = next_message(&b, &seen_b);
	assert_int_equal(m->n_peers, 1);
	assert_int_equal(m->peers[0].online, OPT_TRUE);
	assert_int_equal(m->peers[0].endpoints.n, 1);
	m = next_message(&a, &seen_a);
	assert_int_equal(m->n_patches, 1);
	assert_int_equal(m->patches[0].online, OPT_TRUE);
	assert_true(m->patches[0].has_disco && key_equal(m->patches[0].disco.b, b.disco.b));
	ask_map(&b, false, "192.0.2.2:2");
	WAIT(w, b.map_done);
	assert_int_equal(b.map_status, 200);
	m = next_message(&a, &seen_a);
	assert_int_equal(m->n_patches, 1);
	assert_int_equal(m->patches[0].endpoints.n, 1);

	json_decref(admin(w, "/v1/nodes/delete", "{\"id\":2}"));
	m = next_message(&a, &seen_a);
	assert_int_equal(m->n_removed, 1);
	assert_int_equal(m->peers_removed[0], 2);
	WAIT(w, !b.stream);
	ask_map(&b, true, NULL);
	WAIT(w, b.map_done);
	assert_int_equal(b.map_status, 404);
	close_client(&a);
	close_client(&b);
}

static void test_new_stream_replaces(void **state)
{
	struct world *w = *state;
	struct client a, again;
	char key[128];
	size_t seen = 0;
	make_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	open_client(&a, w);
	join(&a, key, "alpha");
	ask_map(&a, true, NULL);
	(void)next_message(&a, &seen);
	again = (struct client) { .w = w, .machine = a.machine, .node = a.node, .disco = a.disco };
	connect_client(&again);
	ask_map(&again, true, NULL);
	seen = 0;
	(void)next_message(&again, &seen);
	WAIT(w, !a.stream);
	close_client(&a);
	close_client(&again);
}

static void test_killed_and_back(void **state)
{
	struct world *w = *state;
	struct client a, b;
	char key[128];
	size_t seen = 0;
	make_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	open_client(&a, w);
	join(&a, key, "alpha");
	open_client(&b, w);
	join(&b, key, "beta");
	kill_server(w, SIGKILL, -1);
	WAIT(w, a.closed && b.closed);
	start_server(w);
	connect_client(&a);
	ask_map(&a, true, NULL);
	const struct ctl_map_response *m = next_message(&a, &seen);
	assert_string_equal(m->node->name, "alpha.mesh.test.");
	assert_int_equal(m->n_peers, 1);
	assert_string_equal(m->peers[0].name, "beta.mesh.test.");
	close_client(&a);
	close_client(&b);
}

static void test_approval(void **state)
{
	struct world *w = *state;
	struct client a;
	char url[256], args[128];
	json_decref(admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	open_client(&a, w);
	join(&a, "", "alpha");
	assert_memory_equal(a.answer.auth_url, "https://hs.test/register/", 25);
	snprintf(url, sizeof(url), "%s", a.answer.auth_url);
	const char *page = get(w, url + 15);
	assert_int_equal(w->status, 200);
	snprintf(args, sizeof(args), "ropewalk-control nodes approve %s", url + 25);
	assert_non_null(strstr(page, args));

	begin_register(&a, "", url, "alpha");
	json_t *list = admin(w, "/v1/nodes/pending", "{}");
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	assert_true(a.registering);
	snprintf(args, sizeof(args), "{\"id\":\"%s\"}", url + 25);
	json_decref(admin(w, "/v1/nodes/approve", args));
	WAIT(w, a.registered);
	assert_true(a.answer.machine_authorized);
	assert_string_equal(a.answer.auth_url, "");
	(void)get(w, url + 15);
	assert_int_equal(w->status, 404);
	close_client(&a);
}

static void test_policy_reload(void **state)
{
	struct world *w = *state;
	struct client a, b;
	char key_a[128], key_b[128], path[256];
	size_t seen = 0;
	make_key(w, "{\"user\":\"alice\",\"create_user\":true}", key_a);
	make_key(w, "{\"user\":\"bob\",\"create_user\":true}", key_b);
	open_client(&a, w);
	join(&a, key_a, "alpha");
	open_client(&b, w);
	join(&b, key_b, "beta");
	ask_map(&a, true, NULL);
	assert_int_equal(next_message(&a, &seen)->n_peers, 1);

	write_file(place_path(&w->place, "policy.hujson", path), "{ \"acls\": [ // nobody\n ] ");
	json_t *v = admin(w, "/v1/policy/reload", "{}");
	assert_int_equal(w->status, 400);
	assert_non_null(strstr(json_string_value(json_object_get(json_object_get(v, "error"), "message")),
		"policy.hujson:2:"));
	json_decref(v);

	write_file(path, "{ \"acls\": [ // nobody\n ], }");
	json_decref(admin(w, "/v1/policy/reload", "{}"));
	const struct ctl_map_response *m = next_message(&a, &seen);
	assert_int_equal(m->n_removed, 1);
	assert_int_equal(m->n_filters, 1);
	assert_int_equal(m->filters[0].n_rules, 0);
	assert_false(m->filters[0].remove);

	FILE *f = fopen(w->config, "a");
	fputs("unix_socket_permission: \"0640\"\n", f);
	fclose(f);
	v = admin(w, "/v1/policy/reload", "{}");
	assert_string_equal(json_string_value(json_object_get(v, "needs_restart")), "unix_socket_permission");
	json_decref(v);

	/* what bob's node does is none of alice's business: the next thing she hears is her own new name */
	ask_map(&b, true, "192.0.2.9:9");
	WAIT(w, b.n == 1);
	assert_int_equal(b.messages[0].n_peers, 0);
	json_decref(admin(w, "/v1/nodes/rename", "{\"id\":1,\"name\":\"first\"}"));
	m = next_message(&a, &seen);
	assert_string_equal(m->node->name, "first.mesh.test.");
	assert_int_equal(m->n_patches + m->n_changed, 0);
	close_client(&a);
	close_client(&b);
}

static void test_too_old(void **state)
{
	struct world *w = *state;
	struct client a = { .w = w, .capver = CONTROL_CAPVER_MIN - 1 };
	key_generate(&random_system, a.machine.b);
	random_system.fill(NULL, a.node.b, KEY_LEN);
	connect_client(&a);
	join(&a, "", "alpha");
	assert_int_equal(a.register_status, 400);
	assert_non_null(strstr(buf_cstr(&a.body),
		"too old for this server: it speaks version 112 of the protocol, at least 113"));
	close_client(&a);
}

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
	struct client a, b, strangers[MANY];
	char key[128], byte;
	int idle[CROWD];
	size_t seen = 0;
	kill_server(w, SIGTERM, 0);
	w->files = 64;
	start_server(w);
	make_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	open_client(&a, w);
	join(&a, key, "alpha");
	ask_map(&a, true, NULL);
	(void)next_message(&a, &seen);
	for (size_t i = 0; i < MANY; i++)
		open_client(&strangers[i], w);
	for (size_t i = 0; i < CROWD; i++)
		idle[i] = open_idle(w);
	open_client(&b, w);
	join(&b, key, "beta");
	assert_string_equal(b.answer.error, "");
	assert_string_equal(next_message(&a, &seen)->peers_changed[0].name, "beta.mesh.test.");
	assert_int_equal(read(idle[0], &byte, 1), 0);
	json_t *v = admin(w, "/v1/health", "{}");
	assert_true(json_integer_value(json_object_get(v, "turned_away")) >= MANY - 64 / 4 + CROWD - 64 / 4);
	json_decref(v);
	for (size_t i = 0; i < CROWD; i++)
		close(idle[i]);
	for (size_t i = 0; i < MANY; i++)
		close_client(&strangers[i]);
	close_client(&a);
	close_client(&b);
}

/* A relay asks which nodes it may carry: one beside the server by the admin socket, any by the public page.
 */
static void test_verify(void **state)
{
	struct world *w = *state;
	struct client a;
	char key[128], text[KEY_TEXT], body[256], host[64];
	make_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	open_client(&a, w);
	snprintf(body, sizeof(body), "{\"NodePublic\":\"%s\",\"Source\":\"192.0.2.1\"}",
		key_format(a.node.b, "nodekey:", text));
	struct http_request rq = { .method = "POST",
		.target = "/verify",
		.host = "hs.test",
		.body = body,
		.body_len = strlen(body) };
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	assert_string_equal(fetch(w, &rq), "{\"Allow\":false}");
	join(&a, key, "alpha");
	assert_string_equal(fetch(w, &rq), "{\"Allow\":true}");
	json_t *v = admin(w, "/verify", body);
	assert_true(json_is_true(json_object_get(v, "Allow")));
	json_decref(v);
	rq.body = "{\"NodePublic\":\"nodekey:12\"}";
	rq.body_len = strlen(rq.body);
	assert_string_equal(fetch(w, &rq), "not a question about a node key\n");
	close_client(&a);
}

/* --- the table of rights --- */

static void any_done(void *arg, int code)
{
	struct client *c = arg;
	(void)code;
	c->registered = true;
	loop_stop(c->w->loop);
}

static int status_in_noise(struct client *c, const char *method, const char *path)
{
	const struct h2_request_events ev = {
		.head = register_head, .data = register_data, .done = any_done, .arg = c
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
	(void)fetch(w, &rq);
	return w->status;
}

static void check_right(const struct api_row *r, enum api_right who, int status)
{
	if (r->right == API_ANYBODY && who == API_MACHINE)
		assert_int_equal(status, 404); /* pages are not inside Noise */
	else if (r->right == API_ANYBODY || r->right == who)
		assert_true(status && status != 401 && status != 403 && status != 405);
	else
		assert_int_equal(status, who == API_ANYBODY ? 401 : 403);
}

/* Every row, asked by nobody in particular, by a machine and by an admin: only who has the right is let
 * through. */
static void test_rights(void **state)
{
	struct world *w = *state;
	struct client c;
	char path[64];
	open_client(&c, w);
	for (const struct api_row *r = api_rows; r->path; r++) {
		size_t len = strlen(r->path) - (r->path[strlen(r->path) - 1] == '*');
		snprintf(path, sizeof(path), "%.*s%s", (int)len, r->path, r->path[len] ? "what" : "");
		check_right(r, API_ANYBODY, status_of(w, false, r->method, path));
		check_right(r, API_MACHINE, status_in_noise(&c, r->method, path));
		check_right(r, API_ADMIN, status_of(w, true, r->method, path));
		if (!strcmp(r->method, "POST") && strcmp(r->path, "/ts2021") != 0)
			assert_int_equal(status_of(w, r->right == API_ADMIN, "GET", path),
				r->right == API_MACHINE ? 401 : 405);
	}
	assert_int_equal(status_of(w, false, "GET", "/v1/none"), 404);
	assert_int_equal(status_of(w, true, "POST", "/v1/none"), 404);
	assert_int_equal(status_in_noise(&c, "GET", "/v1/none"), 404);
	close_client(&c);
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
	struct client strangers[LINKS], a;
	char key[128], *hostname = calloc(1, LARGE + 1);
	make_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	memset(hostname, 'x', LARGE);
	long before = resident_kib(w->pid);
	for (size_t i = 0; i < LINKS; i++) {
		struct client *s = &strangers[i];
		open_client(s, w);
		join(s, "", "stranger");
		char *url = strdup(s->answer.auth_url);
		for (size_t k = 0; k < EACH; k++)
			begin_register(s, "", url, hostname);
		(void)status_in_noise(s, "POST", "/machine/none"); /* all before it was read */
		free(url);
	}
	long after = resident_kib(w->pid);
	if (after - before > 48 * 1024)
		fail_msg("%ld KiB for strangers that wait", after - before);
	open_client(&a, w);
	join(&a, key, "alpha");
	assert_true(a.answer.machine_authorized);
	close_client(&a);
	for (size_t i = 0; i < LINKS; i++)
		close_client(&strangers[i]);
	free(hostname);
}

/* A node that opens link after link and stream after stream keeps its newest; others join, and admins are
 * heard. */
static void test_greedy_node(void **state)
{
	enum { LINKS = 100, OPEN = 4 };
	struct world *w = *state;
	struct client a, b, *links = calloc(LINKS, sizeof(*links));
	char key[128];
	size_t seen = 0, open = 0;
	kill_server(w, SIGTERM, 0);
	w->files = 96;
	start_server(w);
	make_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	open_client(&a, w);
	join(&a, key, "alpha");
	for (size_t i = 0; i < LINKS; i++) {
		links[i] = (struct client) { .w = w, .machine = a.machine, .node = a.node, .disco = a.disco };
		connect_client(&links[i]);
		ask_map(&links[i], true, NULL);
		WAIT(w, links[i].n == 1);
	}
	open_client(&b, w);
	join(&b, key, "beta");
	assert_true(b.answer.machine_authorized);
	seen = 1;
	assert_string_equal(next_message(&links[LINKS - 1], &seen)->peers_changed[0].name, "beta.mesh.test.");
	for (size_t i = 0; i < LINKS; i++)
		open += !links[i].closed;
	assert_int_equal(open, OPEN);
	json_t *v = admin(w, "/v1/health", "{}");
	assert_int_equal(json_integer_value(json_object_get(v, "streams")), 1);
	json_decref(v);
	for (size_t i = 0; i < LINKS; i++)
		close_client(&links[i]);
	close_client(&a);
	close_client(&b);
	free(links);
}

/* --- DNS records in a file --- */

static void replace_file(struct world *w, const char *name, const char *text)
{
	char path[256], fresh[256];
	write_file(place_path(&w->place, "fresh", fresh), text);
	assert_int_equal(rename(fresh, place_path(&w->place, name, path)), 0);
}

/* The file is taken when it changes, replaced or written over; what is wrong in it changes nothing. */
static void test_records_file(void **state)
{
	struct world *w = *state;
	struct client a;
	char key[128];
	size_t seen = 0;
	kill_server(w, SIGTERM, 0);
	FILE *f = fopen(w->config, "r+");
	char config[2048] = "";
	config[fread(config, 1, sizeof(config) - 1, f)] = 0;
	fclose(f);
	char *at = strstr(config, "extra_records:"), *end = strstr(at, "] }");
	memmove(at + 32, end + 1, strlen(end));
	memcpy(at, "extra_records_path: records.json", 32);
	write_file(w->config, config);
	replace_file(w, "records.json", "[{\"name\":\"nas.mesh.test\",\"value\":\"192.0.2.9\"}]");
	start_server(w);
	make_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	open_client(&a, w);
	join(&a, key, "alpha");
	ask_map(&a, true, NULL);
	assert_string_equal(next_message(&a, &seen)->dns->extra[0].value, "192.0.2.9");
	uint64_t begin = loop_now_ms(w->loop);
	replace_file(w, "records.json",
		"[{\"name\":\"nas.mesh.test\",\"value\":\"192.0.2.10\"},{\"name\":\"*.x.mesh.test\",\"type\":"
		"\"TXT\","
		"\"value\":\"hello\"}]");
	const struct ctl_map_response *m = next_message(&a, &seen);
	assert_true(loop_now_ms(w->loop) - begin < 1500);
	assert_int_equal(m->dns->n_extra, 2);
	assert_string_equal(m->dns->extra[0].value, "192.0.2.10");
	assert_string_equal(m->dns->extra[1].type, "TXT");
	assert_int_equal(m->dns->n_routes, 1);
	replace_file(w, "records.json", "[{\"name\":\"nas.mesh.test\",\"value\":\"none\"}]");
	replace_file(w, "records.json", "[]");
	assert_int_equal(next_message(&a, &seen)->dns->n_extra, 0);
	close_client(&a);
}

/* --- health --- */

/* It asks the database each time, and passes again as soon as that can be written. */
static void test_health(void **state)
{
	struct world *w = *state;
	struct client a;
	char db[256], aside[256], key[128];
	make_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	json_decref(admin(w, "/v1/health", "{}"));
	assert_int_equal(w->status, 200);
	assert_int_equal(
		rename(place_path(&w->place, "db.sqlite", db), place_path(&w->place, "aside", aside)), 0);
	json_t *v = admin(w, "/v1/health", "{}");
	assert_int_equal(w->status, 500);
	assert_string_equal(json_string_value(json_object_get(v, "status")), "fail");
	assert_non_null(strstr(json_string_value(json_object_get(v, "database")), "was removed or replaced"));
	json_decref(v);
	(void)get(w, "/health");
	assert_int_equal(w->status, 500);

	/* official clients try again after a status that is no success, never after an Error */
	open_client(&a, w);
	join(&a, key, "alpha");
	assert_int_equal(a.register_status, 503);
	assert_int_equal(rename(aside, db), 0);
	json_decref(admin(w, "/v1/health", "{}"));
	assert_int_equal(w->status, 200);
	assert_string_equal(get(w, "/health"), "{\"status\":\"pass\"}");
	assert_int_equal(w->status, 200);
	join(&a, key, "alpha");
	assert_int_equal(a.register_status, 200);
	assert_true(a.answer.machine_authorized);
	close_client(&a);
}

/* Stopping is quick and orderly with streams and waiting requests open. */
static void test_stop(void **state)
{
	struct world *w = *state;
	struct client a, b;
	char key[128];
	size_t seen = 0;
	make_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	open_client(&a, w);
	join(&a, key, "alpha");
	ask_map(&a, true, NULL);
	(void)next_message(&a, &seen);
	open_client(&b, w);
	join(&b, "", "beta");
	begin_register(&b, "", b.answer.auth_url, "beta");
	json_decref(admin(w, "/v1/nodes/pending", "{}"));
	kill_server(w, SIGTERM, 0);
	WAIT(w, a.closed && b.closed);
	close_client(&a);
	close_client(&b);
}

/* A start that must fail: what it says on standard error has `says` in it. */
static void refuse_start(struct world *w, const char *says)
{
	char program[] = "ropewalk-control", serve[] = "serve", c[] = "-c", text[1024] = "";
	int err[2], status;
	assert_int_equal(pipe(err), 0);
	pid_t pid = fork();
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
	kill_server(w, SIGTERM, 0);

	assert_int_equal(chmod(key, 0644), 0);
	refuse_start(w, "mode 0644");
	assert_int_equal(chmod(key, 0600), 0);

	assert_int_equal(rename(db, kept), 0);
	refuse_start(w, "restore that from a backup");
	assert_int_not_equal(access(db, F_OK), 0); /* nothing was made in its place */
	write_file(db, "");
	refuse_start(w, "restore that from a backup");
	assert_int_equal(rename(kept, db), 0);

	assert_int_equal(rename(key, kept), 0);
	assert_int_equal(symlink(kept, key), 0);
	refuse_start(w, "symbolic link");
	unlink(key);
	memset(zero + 8, '0', 64);
	write_file(key, zero);
	assert_int_equal(chmod(key, 0600), 0);
	refuse_start(w, "is not a private key");
	assert_int_equal(rename(kept, key), 0);
	start_server(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_two_nodes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_stream_replaces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_approval, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_old, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting_strangers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_greedy_node, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_health, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
