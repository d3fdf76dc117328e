/* list_bench [NODES [TIMES]]: a server with so many nodes is asked for all of them by Headscale's REST API, over loopback
 * and each time on a new connection; how long each answer took, ms, a line each. */
#include "mesh/base/err.h"
#include "mesh/control/control.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/os/file.h"
#include "mesh/os/tied.h"
#include "mesh/transport/http.h"
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char key[] =
	"hskey-api-abcdefghijkl-0123456789012345678901234567890123456789012345678901234567890123";
static const char config[] =
	"server_url: http://127.0.0.1\nlisten_addr: 127.0.0.1:0\nnoise: { private_key_path: noise.key }\n"
	"database: { sqlite: { path: db.sqlite } }\nunix_socket: ctl.sock\nlog: { level: error }\n";

struct bench {
	char dir[64];
	pid_t pid;
	struct endpoint at;
	struct loop *loop;
	size_t bytes;
};

static void die(const char *what)
{
	fprintf(stderr, "list_bench: %s\n", what);
	exit(1);
}

/* As nodes of some months look. */
static void fill(const char *path, unsigned n)
{
	struct errbuf eb = { 0 };
	struct store *s = store_open(path, &eb);
	struct user u = { .name = "alice" };
	struct api_key k = { .kind = API_KEY_ADMIN,
		.prefix = "abcdefghijkl",
		.expiry_ms = FLEET_NO_TIME,
		.seen_ms = FLEET_NO_TIME };
	struct preauth p = { .prefix = "p", .tags = "tag:a,tag:b", .expiry_ms = FLEET_NO_TIME };
	const char *routes[] = { "10.0.0.0/8" }, *tags[] = { "tag:a" };
	registry_key_hash(key, k.hash);
	bool ok = s && !store_begin(s, true, &eb) && !store_user_add(s, &u, &eb) &&
		  !store_api_key_add(s, &k, &eb) && !store_preauth_add(s, &p, &eb);
	for (unsigned i = 0; ok && i < n; i++) {
		char name[32];
		struct member m = { .user = 1,
			.preauth = 1,
			.name = name,
			.hostname = name,
			.has_v4 = true,
			.created_ms = 1,
			.hostinfo_json =
				"{\"OS\":\"linux\",\"Hostname\":\"x\",\"RoutableIPs\":[\"10.0.0.0/8\"]}",
			.routes = { .v = routes, .n = 1 },
			.tags = { .v = tags, .n = i % 2 },
			.last_seen_ms = 1,
			.expiry_ms = FLEET_NO_TIME };
		snprintf(name, sizeof(name), "node-%u", i);
		random_system.fill(NULL, m.machine.b, KEY_LEN);
		random_system.fill(NULL, m.key.b, KEY_LEN);
		random_system.fill(NULL, m.disco.b, KEY_LEN);
		char address[32];
		snprintf(address, sizeof(address), "100.80.%u.%u", i >> 8, i & 255);
		ok = addr_parse(address, &m.v4) && !store_node_add(s, &m, &eb);
	}
	if (!ok || store_commit(s, &eb))
		die(*eb.text ? eb.text : "no nodes could be made");
	store_close(s);
}

static void start_server(struct bench *b)
{
	char line[512], program[] = "ropewalk-control", serve[] = "serve", json[] = "--json", c[] = "-c",
			path[128];
	int out[2];
	snprintf(path, sizeof(path), "%s/c.yaml", b->dir);
	if (pipe(out))
		die("pipe");
	b->pid = fork_tied();
	if (!b->pid) {
		char *argv[] = { program, serve, json, c, path, NULL };
		dup2(out[1], STDOUT_FILENO);
		_exit(control_main(5, argv));
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	if (!f || !fgets(line, sizeof(line), f))
		die("the server does not start");
	fclose(f);
	json_t *ready = json_loads(line, 0, NULL);
	const char *listen = json_string_value(json_object_get(ready, "listen"));
	if (!listen || !endpoint_parse(listen, &b->at))
		die("the server does not say where it listens");
	json_decref(ready);
}

static void answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct bench *b = arg;
	(void)body;
	if (head->status != 200)
		die("refused");
	b->bytes = len;
	loop_stop(b->loop);
}

static void not_answered(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	die(why);
}

static double ask(struct bench *b)
{
	struct timespec from, to;
	char extra[160];
	snprintf(extra, sizeof(extra), "Authorization: Bearer %s\r\n", key);
	const struct http_request rq = { .to = { .host = "127.0.0.1", .port = b->at.port, .at = &b->at },
		.method = "GET",
		.target = "/api/v1/node",
		.host = "a.test",
		.extra = extra };
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (!http_request(b->loop, &rq,
		    &(struct http_client_events) { .done = answered, .failed = not_answered, .arg = b }))
		die("out of memory");
	loop_run(b->loop);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
}

int main(int argc, char **argv)
{
	struct bench b = { .dir = "/tmp/list_bench-XXXXXX" };
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
	unsigned times = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20;
	struct errbuf eb;
	char path[128];
	if (!key_setup() || !mkdtemp(b.dir))
		die("no folder");
	snprintf(path, sizeof(path), "%s/c.yaml", b.dir);
	if (file_write_atomic(path, 0600, config, sizeof(config) - 1, &eb))
		die(eb.text);
	start_server(&b); /* makes its key, so that the database beside it is its own */
	kill(b.pid, SIGTERM);
	waitpid(b.pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/db.sqlite", b.dir);
	fill(path, n);
	start_server(&b);
	b.loop = loop_new();
	for (unsigned i = 0; i < times; i++)
		printf("%.2f\n", ask(&b));
	fprintf(stderr, "%zu bytes\n", b.bytes);
	loop_free(b.loop);
	kill(b.pid, SIGTERM);
	waitpid(b.pid, NULL, 0);
	(void)dir_remove(b.dir, &eb);
	return 0;
}
