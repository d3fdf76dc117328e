#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/control.h"
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

static void too_late(void *arg)
{
	struct world *w = arg;
	w->stuck = true;
	loop_stop(w->loop);
}

/* --- the server --- */

void world_write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

void world_server_start(struct world *w)
{
	char line[512], listen[64], program[] = "ropewalk-control", serve[] = "serve", json[] = "--json",
				    c[] = "-c";
	int out[2];
	assert_int_equal(pipe(out), 0);
	w->pid = fork_tied();
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

void world_server_kill(struct world *w, int signo, int want)
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
	const char *cache = http_header(head, "Cache-Control");
	snprintf(w->cache_control, sizeof(w->cache_control), "%s", cache ? cache : "");
	w->status = head->status;
	w->answer = len ? strndup((const char *)body, len) : strdup("");
	loop_stop(w->loop);
}

static void page_failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("request: %d %s", code, why);
}

struct http_client *world_request(
	struct world *w, const struct http_request *rq, const struct http_client_events *ev)
{
	struct http_request patient = *rq;
	patient.timeout_ms = WAIT_MS;
	struct http_client *c = http_request(w->loop, &patient, ev);
	assert_non_null(c);
	return c;
}

const char *world_fetch(struct world *w, const struct http_request *rq)
{
	const struct http_client_events ev = { .done = page_done, .failed = page_failed, .arg = w };
	free(w->answer);
	w->answer = NULL;
	(void)world_request(w, rq, &ev);
	WAIT(w, w->answer);
	return w->answer;
}

const char *world_get(struct world *w, const char *target)
{
	char host[64];
	struct http_request rq = { .method = "GET", .target = target, .host = "hs.test" };
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	return world_fetch(w, &rq);
}

json_t *world_ask(struct world *w, const char *key, const char *method, const char *target, const char *body)
{
	char host[64], extra[256] = "";
	struct http_request rq = { .method = method,
		.target = target,
		.host = "hs.test",
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.content_type = body ? "text/plain;charset=UTF-8" : NULL, /* as browsers say of a fetch */
		.extra = extra };
	if (key)
		snprintf(extra, sizeof(extra), "Authorization: Bearer %s\r\n", key);
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	return json_loads(world_fetch(w, &rq), 0, NULL);
}

json_t *world_admin(struct world *w, const char *target, const char *body)
{
	struct http_request rq = { .unix_path = w->socket,
		.method = "POST",
		.target = target,
		.host = "localhost",
		.body = body,
		.body_len = strlen(body),
		.content_type = "application/json" };
	json_t *v = json_loads(world_fetch(w, &rq), 0, NULL);
	assert_non_null(v);
	return v;
}

static void make_key(struct world *w, const char *target, const char *args, char key[static 128])
{
	json_t *v = world_admin(w, target, args);
	assert_non_null(json_object_get(v, "key"));
	snprintf(key, 128, "%s", json_string_value(json_object_get(v, "key")));
	json_decref(v);
}

void world_key(struct world *w, const char *args, char key[static 128])
{
	make_key(w, "/v1/preauthkeys/create", args, key);
}

void world_api_key(struct world *w, const char *args, char key[static 128])
{
	make_key(w, "/v1/apikeys/create", args, key);
}

void world_take_policy(struct world *w, const char *text)
{
	char path[256];
	world_write_file(place_path(&w->place, "policy.hujson", path), text);
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	assert_int_equal(w->status, 200);
}

int world_setup(void **state)
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
	world_write_file(place_path(&w->place, "c.yaml", w->config), config);
	world_write_file(place_path(&w->place, "policy.hujson", path), "{}");
	world_write_file(place_path(&w->place, "derp.yaml", path),
		"regions: { 900: { regionid: 900, nodes: [ { name: 900a, regionid: 900, hostname: derp.test "
		"} ] } }\n");
	place_path(&w->place, "ctl.sock", w->socket);
	if (!key_setup())
		return 1;
	world_server_start(w);
	w->loop = loop_new();
	w->late = loop_timer_new(w->loop, too_late, w);
	const char *text = world_get(w, "/key?v=119");
	if (ctl_key_response_read(text, strlen(text), &key, NULL))
		return 1;
	w->server = key.server;
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;
	if (w->pid)
		world_server_kill(w, SIGTERM, 0);
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
	struct world_node *c = arg;
	c->ready = true;
	loop_stop(c->w->loop);
}

static void link_closed(void *arg, int code, const char *why)
{
	struct world_node *c = arg;
	(void)code;
	(void)why;
	c->closed = true;
	c->stream = NULL;
	loop_stop(c->w->loop);
}

void world_node_connect(struct world_node *c)
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

void world_node_open(struct world_node *c, struct world *w)
{
	*c = (struct world_node) { .w = w };
	key_generate(&random_system, c->machine.b);
	random_system.fill(NULL, c->node.b, KEY_LEN);
	random_system.fill(NULL, c->disco.b, KEY_LEN);
	world_node_connect(c);
}

void world_node_close(struct world_node *c)
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

void world_node_register_data(void *arg, const uint8_t *p, size_t len)
{
	assert_true(buf_append(&((struct world_node *)arg)->body, p, len));
}

void world_node_register_head(void *arg, int status)
{
	((struct world_node *)arg)->register_status = status;
}

static void register_done(void *arg, int code)
{
	struct world_node *c = arg;
	struct errbuf eb = { 0 };
	if (!code && c->register_status == 200 &&
		ctl_register_response_read(&c->mem, buf_cstr(&c->body), c->body.len, &c->answer, &eb))
		fail_msg("%s", eb.text);
	c->registering = false;
	c->registered = true;
	loop_stop(c->w->loop);
}

void world_node_register(struct world_node *c, const char *key, const char *followup, const char *hostname)
{
	struct ctl_register_request rq = { .version = CONTROL_CAPVER,
		.node = c->node,
		.auth_key = key,
		.followup = followup,
		.expiry_ms = c->expiry_ms ? c->expiry_ms : INT64_MIN };
	struct buf json = { 0 };
	const struct h2_request_events ev = { .head = world_node_register_head,
		.data = world_node_register_data,
		.done = register_done,
		.arg = c };
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

void world_node_join(struct world_node *c, const char *key, const char *hostname)
{
	world_node_register(c, key, "", hostname);
	WAIT(c->w, c->registered);
}

void world_alpha_open(struct world_node *c, struct world *w, char key[static 128])
{
	world_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	world_node_open(c, w);
	world_node_join(c, key, "alpha");
}

static void map_head(void *arg, int status)
{
	((struct world_node *)arg)->map_status = status;
}

static void map_message(void *arg, const char *json, size_t len)
{
	struct world_node *c = arg;
	struct errbuf eb = { 0 };
	assert_true(c->n < MESSAGES);
	if (ctl_map_response_read(&c->mem, json, len, &c->messages[c->n++], &eb))
		fail_msg("%s", eb.text);
	loop_stop(c->w->loop);
}

static void map_data(void *arg, const uint8_t *p, size_t len)
{
	struct world_node *c = arg;
	if (c->map_status == 200)
		assert_int_equal(map_frames_feed(c->frames, p, len, map_message, c), 0);
}

static void map_end(void *arg, int code)
{
	struct world_node *c = arg;
	(void)code;
	c->stream = NULL;
	c->map_done = true;
	loop_stop(c->w->loop);
}

static void short_end(void *arg, int code)
{
	struct world_node *c = arg;
	(void)code;
	c->map_done = true;
	loop_stop(c->w->loop);
}

void world_node_ask_map(struct world_node *c, bool stream, const char *endpoint)
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

const struct ctl_map_response *world_node_next(struct world_node *c, size_t *seen)
{
	WAIT(c->w, c->n > *seen);
	return &c->messages[(*seen)++];
}

void world_alpha_follow(struct world_node *c, struct world *w, char key[static 128], size_t *seen)
{
	world_alpha_open(c, w, key);
	world_node_ask_map(c, true, NULL);
	(void)world_node_next(c, seen);
}

void world_restart_with(struct world *w, const char *policy)
{
	char path[256], text[2048] = "";
	FILE *f = fopen(w->config, "r");
	if (!f)
		abort();
	size_t n = fread(text, 1, sizeof(text) - 256, f);
	fclose(f);
	char *old = strstr(text, "policy: {"), *end = old ? strchr(old, '\n') : NULL;
	if (!n || !end)
		abort();
	memmove(old + strlen(policy), end, strlen(end) + 1);
	memcpy(old, policy, strlen(policy));
	snprintf(path, sizeof(path), "%s", w->config);
	world_server_kill(w, SIGTERM, 0);
	world_write_file(path, text);
	world_server_start(w);
}
