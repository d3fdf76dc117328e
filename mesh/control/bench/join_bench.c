/* join_bench [NODES [RULES]]: so many nodes join a server of their own by one key, each then streams its map;
 * what that cost the server, and what it costs that all leave, as a line of JSON. Over loopback, without TLS; the nodes are all in this
 * process. */
#include "mesh/base/err.h"
#include "mesh/control/control.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/os/tied.h"
#include "mesh/proto/control.h"
#include "mesh/transport/control_link.h"
#include "mesh/transport/http.h"
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 16, QUIET_MS = 3000, GONE_MS = 12000, GIVE_UP_MS = 300 * 1000, CONFIG_MAX = 64 * 1024 };

struct bench {
	char dir[64];
	pid_t pid;
	struct endpoint at;
	struct machine_key server;
	struct loop *loop;
	struct loop_timer *quiet;
	char key[128];
	struct node *nodes;
	size_t n, next, joined, streaming, failed;
	uint64_t bytes; /* of maps, as they came */
	bool done;
	char *answer;
};

struct node {
	struct bench *b;
	struct machine_private machine;
	struct node_key key;
	struct control_client_link *link;
	struct buf body;
	int status;
	bool told;
};

static void die(const char *what)
{
	fprintf(stderr, "join_bench: %s\n", what);
	exit(1);
}

/* --- the server --- */

static void write_config(struct bench *b, unsigned rules)
{
	char path[128];
	struct buf text = { 0 };
	struct errbuf eb;
	buf_printf(&text,
		"server_url: http://127.0.0.1\nlisten_addr: 127.0.0.1:0\nnoise: { private_key_path: "
		"noise.key }\n"
		"database: { sqlite: { path: db.sqlite } }\nunix_socket: ctl.sock\nlog: { level: error }\n%s",
		rules ? "policy: { path: policy.hujson }\n" : "");
	snprintf(path, sizeof(path), "%s/c.yaml", b->dir);
	if (file_write_atomic(path, 0600, buf_data(&text), text.len, &eb))
		die(eb.text);
	buf_free(&text);
	if (!rules)
		return;
	buf_printf(&text, "{\"tagOwners\":{");
	for (unsigned i = 0; i < rules; i++)
		buf_printf(&text, "%s\"tag:t%u\":[\"alice@\"]", i ? "," : "", i);
	buf_printf(&text, "},\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"alice@:*\"]}");
	for (unsigned i = 1; i < rules; i++)
		buf_printf(&text,
			",{\"action\":\"accept\",\"src\":[\"tag:t%u\",\"10.%u.0.0/"
			"16\"],\"dst\":[\"tag:t%u:22,80\"]}",
			i, i % 256, i - 1);
	buf_printf(&text, "]}");
	snprintf(path, sizeof(path), "%s/policy.hujson", b->dir);
	if (file_write_atomic(path, 0600, buf_data(&text), text.len, &eb))
		die(eb.text);
	buf_free(&text);
}

static void start_server(struct bench *b)
{
	char line[512], listen[64], program[] = "ropewalk-control", serve[] = "serve", json[] = "--json",
				    c[] = "-c", config[128];
	int out[2];
	snprintf(config, sizeof(config), "%s/c.yaml", b->dir);
	if (pipe(out))
		die("pipe");
	b->pid = fork_tied();
	if (!b->pid) {
		char *argv[] = { program, serve, json, c, config, NULL };
		dup2(out[1], STDOUT_FILENO);
		_exit(control_main(5, argv));
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	if (!f || !fgets(line, sizeof(line), f))
		die("the server does not start");
	fclose(f);
	json_t *ready = json_loads(line, 0, NULL);
	snprintf(listen, sizeof(listen), "%s", json_string_value(json_object_get(ready, "listen")));
	json_decref(ready);
	if (!endpoint_parse(listen, &b->at))
		die("the server does not say where it listens");
}

static void answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct bench *b = arg;
	(void)head;
	b->answer = strndup((const char *)body, len);
	loop_stop(b->loop);
}

static void not_answered(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	die(why);
}

static void fetch(struct bench *b, const struct http_request *rq)
{
	free(b->answer);
	b->answer = NULL;
	if (!http_request(b->loop, rq,
		    &(struct http_client_events) { .done = answered, .failed = not_answered, .arg = b }))
		die("out of memory");
	while (!b->answer)
		loop_run(b->loop);
}

static void get_keys(struct bench *b)
{
	static const char args[] = "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}";
	char socket[128];
	struct ctl_key_response key;
	fetch(b, &(struct http_request) { .to = { .host = "127.0.0.1", .port = b->at.port, .at = &b->at },
			 .method = "GET",
			 .target = "/key?v=119",
			 .host = "a.test" });
	if (ctl_key_response_read(b->answer, strlen(b->answer), &key, NULL))
		die("no key of the server");
	b->server = key.server;
	snprintf(socket, sizeof(socket), "%s/ctl.sock", b->dir);
	fetch(b, &(struct http_request) { .unix_path = socket,
			 .method = "POST",
			 .target = "/v1/preauthkeys/create",
			 .host = "localhost",
			 .body = args,
			 .body_len = sizeof(args) - 1,
			 .content_type = "application/json" });
	json_t *v = json_loads(b->answer, 0, NULL);
	snprintf(b->key, sizeof(b->key), "%s", json_string_value(json_object_get(v, "key")));
	json_decref(v);
}

/* --- the nodes --- */

static void begin_node(struct bench *b);

static void quiet_now(void *arg)
{
	struct bench *b = arg;
	b->done = true;
	loop_stop(b->loop);
}

static void node_failed(struct node *n)
{
	n->b->failed++;
	loop_stop(n->b->loop);
}

static void map_data(void *arg, const uint8_t *p, size_t len)
{
	struct node *n = arg;
	struct bench *b = n->b;
	(void)p;
	b->bytes += len;
	if (!n->told) {
		n->told = true;
		b->streaming++;
		begin_node(b);
	}
	if (b->streaming == b->n)
		loop_timer_set(b->quiet, QUIET_MS);
}

static void map_done(void *arg, int code)
{
	(void)code;
	if (!((struct node *)arg)->b->done)
		node_failed(arg);
}

static void ask_map(struct node *n)
{
	struct endpoint ep = { .ip = addr_v4(0xc0000200U + (uint32_t)(n - n->b->nodes) % 250),
		.port = 41641 };
	struct ctl_map_request rq = { .version = CONTROL_CAPVER,
		.compress = "zstd",
		.keep_alive = true,
		.stream = true,
		.node = n->key,
		.endpoints = { .v = &ep, .n = 1, .present = true } };
	struct buf json = { 0 };
	memcpy(rq.disco.b, n->key.b, KEY_LEN);
	if (!ctl_map_request_write(&json, &rq) ||
		!control_client_request(n->link, "POST", "/machine/map", NULL, NULL, buf_data(&json),
			json.len,
			&(struct h2_request_events) { .data = map_data, .done = map_done, .arg = n }))
		die("out of memory");
	buf_free(&json);
}

static void register_head(void *arg, int status)
{
	((struct node *)arg)->status = status;
}
static void register_data(void *arg, const uint8_t *p, size_t len)
{
	(void)buf_append(&((struct node *)arg)->body, p, len);
}
static void register_done(void *arg, int code)
{
	struct node *n = arg;
	struct arena a = { 0 };
	struct ctl_register_response out;
	bool good = !code && n->status == 200 &&
		    !ctl_register_response_read(&a, buf_cstr(&n->body), n->body.len, &out, NULL) &&
		    out.machine_authorized;
	buf_free(&n->body);
	arena_free(&a);
	if (!good) {
		node_failed(n);
		return;
	}
	n->b->joined++;
	ask_map(n);
}

static void link_ready(void *arg)
{
	struct node *n = arg;
	struct ctl_register_request rq = { .version = CONTROL_CAPVER,
		.node = n->key,
		.auth_key = n->b->key,
		.followup = "",
		.expiry_ms = INT64_MIN,
		.hostinfo = { .ipn_version = "1.90.0-t0123456789-g0123456789",
			.backend_log_id = "",
			.os = "linux",
			.os_version = "6.1.0-13-amd64",
			.hostname = "ubuntu",
			.machine = "x86_64",
			.go_arch = "amd64" } };
	struct buf json = { 0 };
	if (!ctl_register_request_write(&json, &rq) ||
		!control_client_request(n->link, "POST", "/machine/register", NULL, NULL, buf_data(&json),
			json.len,
			&(struct h2_request_events) { .head = register_head,
				.data = register_data,
				.done = register_done,
				.arg = n }))
		die("out of memory");
	buf_free(&json);
}

static void link_closed(void *arg, int code, const char *why)
{
	struct node *n = arg;
	(void)code;
	if (n->b->done)
		return;
	fprintf(stderr, "join_bench: %s\n", why);
	node_failed(n);
}

static void begin_node(struct bench *b)
{
	if (b->next == b->n)
		return;
	struct node *n = &b->nodes[b->next++];
	char url[64], at[ENDPOINT_TEXT];
	n->b = b;
	key_generate(&random_system, n->machine.b);
	random_system.fill(NULL, n->key.b, KEY_LEN);
	snprintf(url, sizeof(url), "http://%s", endpoint_format(&b->at, at));
	n->link = control_client_open(b->loop,
		&(struct control_client_config) { .server_url = url,
			.at = &b->at,
			.machine = &n->machine,
			.server = &b->server,
			.capver = CONTROL_CAPVER,
			.rnd = &random_system },
		&(struct control_client_events) { .ready = link_ready, .closed = link_closed, .arg = n });
	if (!n->link)
		die("out of memory");
}

/* --- what it cost --- */

static double memory_mib(pid_t pid, const char *field)
{
	char path[64], line[256];
	long kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			kib = strtol(line + strlen(field), NULL, 10);
	if (f)
		fclose(f);
	return (double)kib / 1024;
}

/* CPU time of the server so far. */
static double cpu_s(pid_t pid)
{
	clockid_t clock;
	struct timespec t;
	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		die("the server is gone");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What the server keeps when all have gone: after the time for which they still count as online. */
static double memory_afterwards(struct bench *b)
{
	b->done = true;
	for (size_t i = 0; i < b->n; i++)
		control_client_close(b->nodes[i].link);
	loop_timer_set(b->quiet, GONE_MS);
	loop_run(b->loop);
	return memory_mib(b->pid, "VmRSS:");
}

static void report(struct bench *b, unsigned rules, double wall_s)
{
	double rss = memory_mib(b->pid, "VmRSS:"), peak = memory_mib(b->pid, "VmHWM:");
	double joined = cpu_s(b->pid), after = memory_afterwards(b), left = cpu_s(b->pid) - joined;
	kill(b->pid, SIGTERM);
	if (waitpid(b->pid, NULL, 0) != b->pid)
		die("the server is gone");
	printf("{\"nodes\":%zu,\"rules\":%u,\"joined\":%zu,\"streaming\":%zu,", b->n, rules, b->joined,
		b->streaming);
	printf("\"cpu_s\":%.2f,\"left_cpu_s\":%.2f,\"rss_mib\":%.1f,\"peak_mib\":%.1f,", joined, left, rss,
		peak);
	printf("\"afterwards_mib\":%.1f,\"wall_s\":%.1f,\"map_mib\":%.1f}\n", after, wall_s,
		(double)b->bytes / 1048576);
}

int main(int argc, char **argv)
{
	struct bench b = { .n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000,
		.dir = "/tmp/join-bench-XXXXXX" };
	unsigned rules = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	struct errbuf eb;
	if (!key_setup() || !mkdtemp(b.dir))
		die("no folder for the server");
	sock_limit_raise();
	write_config(&b, rules);
	start_server(&b);
	b.loop = loop_new();
	b.quiet = loop_timer_new(b.loop, quiet_now, &b);
	b.nodes = calloc(b.n, sizeof(*b.nodes));
	get_keys(&b);
	const uint64_t begin = loop_now_ms(b.loop);
	loop_timer_set(b.quiet, GIVE_UP_MS);
	for (size_t i = 0; i < AT_ONCE && i < b.n; i++)
		begin_node(&b);
	while (!b.done && !b.failed)
		loop_run(b.loop);
	report(&b, rules, (double)(loop_now_ms(b.loop) - begin) / 1000);
	(void)dir_remove(b.dir, &eb);
	fflush(stdout);
	_exit(b.failed || b.streaming < b.n); /* a thousand links need no orderly end */
}
