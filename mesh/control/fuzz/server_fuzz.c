/* What may be said to the whole server: any bytes, as one connection. First byte: bit 0 the admin socket, which may what a key
 * of the API may, too, else the door of everybody. What an input changes is there for those behind it. */
#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/control/fleet/store.h"
#include "mesh/control/server.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ADMIN = 1, TURNS_MAX = 2000, INPUTS_EACH = 2000 };

/* What outlives an input: a server, for as many of them. */
static struct {
	struct server *server;
	char dir[64];
	unsigned inputs;
} only;

static void write_config(const char *path)
{
	static const char text[] = "server_url: https://hs.test\n"
				   "listen_addr: 127.0.0.1:0\n"
				   "noise: { private_key_path: noise.key }\n"
				   "database: { sqlite: { path: db.sqlite } }\n"
				   "unix_socket: ctl.sock\n"
				   "policy: { mode: database }\n"
				   "dns: { base_domain: mesh.test }\n"
				   "log: { level: error }\n";
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

/* alice has two machines, of which one may carry a network; a third is nobody's. */
static void put_nodes(const char *path)
{
	struct errbuf eb = { 0 };
	struct store *st = store_open(path, &eb);
	struct user u = { .name = "alice" };
	const char *tags[] = { "tag:a" }, *routes[] = { "10.0.0.0/8" };
	bool ok = st && !store_begin(st, true, &eb) && !store_user_add(st, &u, &eb);
	for (uint8_t i = 1; ok && i <= 3; i++) {
		char name[8];
		snprintf(name, sizeof(name), "n%d", i);
		struct member m = { .id = i,
			.user = i < 3 ? u.id : 0,
			.name = name,
			.hostname = name,
			.has_v4 = true,
			.v4 = addr_v4(0x64400000U + i),
			.hostinfo_json = i == 1 ? "{\"OS\":\"linux\",\"RoutableIPs\":[\"10.0.0.0/8\"]}" : "",
			.tags = { .v = tags, .n = i == 3 },
			.routes = { .v = routes, .n = i == 1 },
			.last_seen_ms = FLEET_NO_TIME,
			.expiry_ms = FLEET_NO_TIME };
		memset(m.machine.b, i, sizeof(m.machine.b));
		memset(m.key.b, i, sizeof(m.key.b));
		ok = !store_node_add(st, &m, &eb);
	}
	if (!ok || store_commit(st, &eb))
		abort();
	store_close(st);
}

static void world_end(void)
{
	server_close(only.server);
	only.server = NULL;
	dir_remove(only.dir, NULL);
}

static void world_begin(void)
{
	char config[96], database[96];
	struct errbuf eb = { 0 };
	/* Where syncing costs nothing, if there is such a place. */
	snprintf(only.dir, sizeof(only.dir), "%s/rw-fuzz-XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(only.dir))
		abort();
	snprintf(config, sizeof(config), "%s/c.yaml", only.dir);
	write_config(config);
	snprintf(database, sizeof(database), "%s/db.sqlite", only.dir);
	put_nodes(database);
	only.server = server_open(config, &eb);
	if (!only.server) {
		fprintf(stderr, "%s\n", eb.text);
		abort();
	}
}

static struct loop *world(void)
{
	if (only.server && only.inputs++ % INPUTS_EACH)
		return server_loop(only.server);
	if (only.server)
		world_end();
	else if (!key_setup() || atexit(world_end) != 0)
		abort();
	log_setup(LOG_ERROR, false);
	world_begin();
	return server_loop(only.server);
}

static int connect_door(bool admin)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/ctl.sock%s", only.dir, admin ? "" : ".verify");
	return sock_unix_connect(path, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char sink[8192];
	if (!len)
		return 0;
	struct loop *l = world();
	int fd = connect_door(data[0] & ADMIN);
	if (fd < 0)
		abort();
	(void)!send(fd, data + 1, len - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	/* Until the other side has ended, too: a connection that stays open is a leak. */
	ssize_t n = 0;
	for (int i = 0; (n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT)) != 0; i++) {
		if (i == TURNS_MAX)
			abort();
		if (n < 0)
			loop_run_once(l);
	}
	close(fd);
	return 0;
}
