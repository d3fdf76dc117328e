/* What a peer may send to PeerAPI: any bytes, as one connection after the other (a byte 0x1e between them). The first byte says who
 * they are of and what happens meanwhile (below). What they leave in the folder has fit names, and nothing is outside it. With
 * memory short at one place or another. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/buf.h"
#include "mesh/base/log.h"
#include "mesh/node/serve/block_hash.h"
#include "mesh/node/serve/files_inner.h"
#include "mesh/node/serve/peer_api.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "resolver/fuzz/scripted_asked.h"
#include "resolver/resolver.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	TURNS_MAX = 10000,
	VISITS_MAX = 6,
	VISIT_END = 0x1e,
	CROWD_SIZE = 14,
	CROWD_TURNS = 8,
	WAIT_TURNS = 20,
	AGAIN_MS = 2000
};
enum {		    /* bits of the first byte, beside those of the letter 0 */
	OTHER = 1,  /* a peer of another user, who may send no files */
	CROWD = 2,  /* each connection comes many times at once, and none ends before all have spoken */
	MOVES = 4,  /* meanwhile the peer leaves the network */
	ANEW = 8,   /* all is opened anew before, on what an earlier time has left */
	NAMES = 16, /* there is a resolver, and who asks waits for an answer */
	ENDS = 32   /* the peer's key ends meanwhile */
};

/* What outlives an input. */
struct world {
	struct loop *loop;
	struct files *files;
	struct peer_api *api;
	struct netmap_peer self, peer;
	const struct netmap_peer *peers[1];
	struct netmap map, without; /* the peer, and nobody */
	struct prefix own, theirs;
	struct resolver *core, *resolver; /* one, and what there is now */
	struct awake awake;		  /* within turn() */
	char dir[64];
};
static struct world only;

static int64_t say_server_ms(void *arg)
{
	(void)arg;
	return 1000;
}

static void hear_listens(void *arg)
{
	struct ctl_service said[PEER_API_SERVICES];
	(void)arg;
	for (size_t i = 0; only.api && i < peer_api_services(only.api, said); i++)
		if (!said[i].port || !*said[i].proto)
			abort();
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
	return only.resolver; /* what it is asked goes to scripted_asked.c */
}

static void close_all(struct world *w)
{
	peer_api_close(w->api);
	files_close(w->files);
	w->api = NULL;
	w->files = NULL;
}

static void world_end(void)
{
	close_all(&only);
	resolver_free(only.core);
	awake_free(&only.awake);
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

static struct resolver *core_make(void)
{
	static const struct resolver_ops none = { 0 };
	struct resolver_upstream up = { .at = { .ip = addr_v4(0xcb007101), .port = 53 } };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	struct resolver *r = key_setup() ? resolver_new(&none, &random_system) : NULL;
	if (!r || resolver_configure(r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL))
		abort();
	return r;
}

static void turn(struct world *w, int n)
{
	loop_fd_set(w->awake.watch, LOOP_READ);
	while (n--) {
		scripted_asked_turn(NULL, 0);
		loop_run_once(w->loop);
	}
	loop_fd_set(w->awake.watch, 0);
}

/* false: memory was short. */
static bool open_all(struct world *w)
{
	struct peer_api_ops ops = { .server_ms = say_server_ms,
		.listens = hear_listens,
		.is_exit_for = is_exit_for,
		.offers_exit = offers_exit,
		.resolver = say_resolver };
	w->files = files_open(w->loop, w->dir, NULL);
	w->api = w->files ? peer_api_open(w->loop, w->files, &ops) : NULL;
	if (!w->api) {
		close_all(w);
		return false;
	}
	peer_api_apply(w->api, &w->map, "lo");
	if (!peer_api_port(w->api, true)) { /* memory was short: it tries again by itself */
		trouble_pass_ms(AGAIN_MS);
		turn(w, 2);
	}
	return peer_api_port(w->api, true);
}

static struct world *world(void)
{
	struct world *w = &only;
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
	w->without = (struct netmap) { .refs = 1000, .self = &w->self };
	w->core = core_make();
	w->awake = awake_loop(loop_new());
	w->loop = w->awake.loop;
	must(open_all(w));
	return w;
}

/* From another address than before, or ports that wait out a closed connection run out before the inputs do. */
static void come_from(struct world *w)
{
	static uint16_t from;
	char ip[INET_ADDRSTRLEN];
	snprintf(ip, sizeof(ip), "127.1.%d.%d", from >> 8, from & 255);
	from++;
	if (!prefix_parse(ip, &w->theirs))
		abort();
}

static int connect_api(struct world *w)
{
	struct sockaddr_storage us, them;
	const int on = 1;
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

/* Names in a folder are fit, and leave it; those that wait by the way that they are taken out. */
static void empty_folder(struct world *w, const char *name)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	DIR *d = opendir(path);
	bool waits = !strcmp(name, "files");
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_type != DT_REG)
			continue;
		if (!sharing_name_is_fit(e->d_name))
			abort();
		/* What is old may be swept away at this moment. */
		if (waits ? inbox_remove(files_inbox(w->files), e->d_name, NULL)
			  : unlinkat(dirfd(d), e->d_name, 0) && errno != ENOENT)
			abort();
	}
	if (d)
		closedir(d);
}

static void count_file(void *arg, const struct inbox_file *file)
{
	++*(size_t *)arg;
	if (!sharing_name_is_fit(file->name))
		abort();
}

static void empty_folders(struct world *w)
{
	size_t n = 0;
	files_waiting(w->files, count_file, &n);
	if (n != files_count(w->files))
		abort();
	empty_folder(w, "files");
	empty_folder(w, "files/partial/1");
	if (files_count(w->files) && !trouble_happened())
		abort(); /* one that is told of and is not there */
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

/* Until the other side has ended, too: a connection that stays open is a leak. Who waits says later that no more comes. */
static void hear_end(struct world *w, int fd, bool waits)
{
	char sink[8192];
	ssize_t n = 0;
	if (waits)
		turn(w, WAIT_TURNS);
	shutdown(fd, SHUT_WR);
	for (int i = 0; (n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT)) != 0; i++) {
		if (n < 0 && errno == ECONNRESET)
			break; /* memory was short before anybody read, or the peer is none any more */
		if (i == TURNS_MAX)
			abort();
		if (n >= 0)
			continue;
		scripted_asked_turn(NULL, 0);
		loop_run_once(w->loop);
	}
	close(fd);
}

static void visit(struct world *w, uint8_t how, const uint8_t *data, size_t len)
{
	int fds[CROWD_SIZE], n = how & CROWD ? CROWD_SIZE : 1;
	come_from(w);
	for (int i = 0; i < n; i++) {
		fds[i] = connect_api(w);
		(void)!send(fds[i], data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (how & (CROWD | MOVES | ENDS))
		turn(w, CROWD_TURNS);
	if (how & ENDS)
		w->peer.node.key_expiry_ms = 1;
	if (how & (MOVES | ENDS))
		peer_api_apply(w->api, how & MOVES ? &w->without : &w->map, "lo");
	for (int i = 0; i < n; i++)
		hear_end(w, fds[i], how & NAMES);
	w->peer.node.key_expiry_ms = INT64_MIN;
	peer_api_apply(w->api, &w->map, "lo");
}

/* What an earlier time has left: files that wait, and parts of some that nobody goes on with. */
static void leave_files(const struct world *w)
{
	static const char *const names[] = { "files/partial/1/a", "files/partial/1/b", "files/partial/x",
		"files/came" };
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char path[128];
	snprintf(path, sizeof(path), "%s/files/partial/1", w->dir);
	(void)mkdir(path, 0700);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
		int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd >= 0 && i % 2 == 0)
			(void)futimens(fd, old);
		if (fd >= 0)
			close(fd);
	}
}

static void open_anew(struct world *w)
{
	close_all(w);
	leave_files(w);
	while (!open_all(w))
		if (!trouble_happened())
			abort();
}

static void came(void *arg)
{
	struct files_waiter **w = arg;
	files_wait_end(*w); /* one word is enough */
	*w = NULL;
}

static void visits(struct world *w, uint8_t how, const uint8_t *data, size_t len)
{
	if (how & ANEW)
		open_anew(w);
	struct files_waiter *one = NULL, *other = NULL;
	one = files_wait(w->files, came, &one);
	other = files_wait(w->files, came, &other);
	for (int i = 0; i < VISITS_MAX && len; i++) {
		const uint8_t *end = memchr(data, VISIT_END, len);
		size_t n = end ? (size_t)(end - data) : len;
		visit(w, how, data, n);
		n += end != NULL;
		data += n;
		len -= n;
	}
	files_wait_end(one);
	files_wait_end(other);
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = world();
	if (!len)
		return;
	uint8_t how = data[0] ^ '0';
	w->peer.node.user = how & OTHER ? 8 : 7;
	w->resolver = how & NAMES ? w->core : NULL;
	data++;
	len--;
	trouble_begin();
	read_line(data, len);
	visits(w, how, data, len);
	trouble_end();
	scripted_asked_end();
	if (how & (CROWD | MOVES | ENDS)) { /* what is still on its way ends before the folder is looked at */
		close_all(w);
		if (!open_all(w))
			abort();
	}
	empty_folders(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
