/* What a peer may send to PeerAPI: any bytes, as one connection after the other (a byte 0x1e between them), by a peer that may
 * send files (first byte even) or one that may not. What they leave in the folder has fit names, and nothing is outside it.
 * With memory short at one place or another. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/buf.h"
#include "mesh/base/log.h"
#include "mesh/node/serve/block_hash.h"
#include "mesh/node/serve/peer_api.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/os/file.h"
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TURNS_MAX = 10000, VISITS_MAX = 6, VISIT_END = 0x1e };

/* What outlives an input. */
struct world {
	struct loop *loop;
	struct files *files;
	struct peer_api *api;
	struct netmap_peer self, peer;
	const struct netmap_peer *peers[1];
	struct netmap map;
	struct prefix own, theirs;
	char dir[64];
};
static struct world only;

static int64_t say_server_ms(void *arg)
{
	(void)arg;
	return 0;
}

static void hear_listens(void *arg)
{
	(void)arg;
}

static bool is_exit_for(void *arg, const struct addr *peer)
{
	(void)arg;
	(void)peer;
	return true;
}

static bool offers_exit(void *arg)
{
	(void)arg;
	return true;
}

static struct resolver *say_resolver(void *arg)
{
	(void)arg;
	return NULL; /* nothing is to leave the machine */
}

static void world_end(void)
{
	peer_api_close(only.api);
	files_close(only.files);
	loop_free(only.loop);
	dir_remove(only.dir, NULL);
}

static void node_make(struct ctl_node *n, int64_t id, const char *ip, struct prefix *at)
{
	if (!prefix_parse(ip, at))
		abort();
	*n = (struct ctl_node) { .id = id,
		.user = 7,
		.name = "x.",
		.stable_id = "n",
		.key_expiry_ms = INT64_MIN,
		.addresses = { at, 1 },
		.cap_map_json = "{\"https://tailscale.com/cap/file-sharing\":null}" };
}

static struct world *world(void)
{
	struct world *w = &only;
	struct peer_api_ops ops = { .server_ms = say_server_ms,
		.listens = hear_listens,
		.is_exit_for = is_exit_for,
		.offers_exit = offers_exit,
		.resolver = say_resolver };
	if (w->api)
		return w;
	log_setup(LOG_ERROR, false);
	snprintf(w->dir, sizeof(w->dir), "/tmp/rw-fuzz-XXXXXX");
	if (!mkdtemp(w->dir) || atexit(world_end) != 0)
		abort();
	node_make(&w->self.node, 9, "127.0.0.9", &w->own);
	node_make(&w->peer.node, 1, "127.0.0.1", &w->theirs);
	w->peers[0] = &w->peer;
	w->map = (struct netmap) { .refs = 1000, .self = &w->self, .peers = w->peers, .n_peers = 1 };
	w->loop = loop_new();
	w->files = files_open(w->loop, w->dir, NULL);
	w->api = w->files ? peer_api_open(w->loop, w->files, &ops) : NULL;
	if (!w->api)
		abort();
	peer_api_apply(w->api, &w->map, "lo");
	if (!peer_api_port(w->api, true))
		abort();
	return w;
}

static int connect_api(struct world *w)
{
	/* Each from another address: ports that wait out a closed connection run out before the inputs do. */
	static uint16_t from;
	char ip[INET_ADDRSTRLEN];
	struct sockaddr_storage us, them;
	const int on = 1;
	snprintf(ip, sizeof(ip), "127.1.%d.%d", from >> 8, from & 255);
	from++;
	if (!prefix_parse(ip, &w->theirs))
		abort();
	socklen_t n_us = endpoint_to_sockaddr(&(struct endpoint) { .ip = w->theirs.ip }, false, &us);
	socklen_t n_them = endpoint_to_sockaddr(
		&(struct endpoint) { .ip = w->own.ip, .port = peer_api_port(w->api, true) }, false, &them);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
		bind(fd, (struct sockaddr *)&us, n_us) != 0 ||
		trouble_connect(fd, (struct sockaddr *)&them, n_them) != 0)
		abort();
	return fd;
}

/* Names in a folder are fit, and leave it. */
static void empty_folder(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_type != DT_REG)
			continue;
		if (!sharing_name_is_fit(e->d_name))
			abort();
		unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
}

static void read_line(const uint8_t *data, size_t len)
{
	uint8_t hash[BLOCK_HASH], again[BLOCK_HASH];
	size_t size, size_again;
	struct buf line = { 0 };
	if (!block_line_read((const char *)data, len, hash, &size))
		return;
	if (!block_line_write(&line, hash, size)) {
		if (!trouble_happened())
			abort();
	} else if (!block_line_read((const char *)buf_data(&line), line.len, again, &size_again) ||
		   size != size_again || memcmp(hash, again, sizeof(hash)) != 0) {
		abort();
	}
	buf_free(&line);
}

static void visit(struct world *w, const uint8_t *data, size_t len)
{
	char sink[8192];
	int fd = connect_api(w);
	(void)!send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	/* Until the other side has ended, too: a connection that stays open is a leak. */
	ssize_t n = 0;
	for (int i = 0; (n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT)) != 0; i++) {
		if (n < 0 && errno == ECONNRESET)
			break; /* memory was short before anybody read */
		if (i == TURNS_MAX)
			abort();
		if (n < 0)
			loop_run_once(w->loop);
	}
	close(fd);
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = world();
	char path[96];
	if (!len)
		return;
	w->peer.node.user = data[0] % 2 ? 8 : 7;
	data++;
	len--;
	trouble_begin();
	read_line(data, len);
	for (int i = 0; i < VISITS_MAX && len; i++) {
		const uint8_t *end = memchr(data, VISIT_END, len);
		size_t n = end ? (size_t)(end - data) : len;
		visit(w, data, n);
		n += end != NULL;
		data += n;
		len -= n;
	}
	trouble_end();
	snprintf(path, sizeof(path), "%s/files", w->dir);
	empty_folder(path);
	snprintf(path, sizeof(path), "%s/files/partial/1", w->dir);
	empty_folder(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
