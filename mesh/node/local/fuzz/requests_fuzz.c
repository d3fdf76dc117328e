/* What local programs may send to LocalAPI's socket: any bytes, as one connection after the other (a byte 0x1e between them), to
 * the whole of the API over a node that is not there. A first byte that is no letter says what node that is, and who comes
 * (below). Nothing leaves the machine: its resolver, its peers and login servers are this file's. With memory short at one place
 * or another. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/node/links/server_key.h"
#include "mesh/node/local/local_api.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "resolver/blocker.h"
#include "resolver/fuzz/scripted_asked.h"
#include "resolver/listen.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The linker puts them in place of those of mesh/os and node/links (--wrap). */
int __wrap_sock_tcp_connect_hook(
	const struct endpoint *to, void (*hook)(void *arg, int fd), void *arg, struct errbuf *eb);
int __real_sock_unix_peer(int fd, struct sock_peer *out);
int __wrap_sock_unix_peer(int fd, struct sock_peer *out);
struct server_key_ask *__wrap_server_key_ask(struct loop *l, const char *server_url, bool pinned,
	const struct server_way *way,
	void (*cb)(void *arg, const struct machine_key *key, bool reached, const char *why), void *arg,
	struct errbuf *eb);
void __wrap_server_key_cancel(struct server_key_ask *a);

enum {
	TURNS_MAX = 10000,
	VISITS_MAX = 6,
	VISIT_END = 0x1e,
	WAIT_TURNS = 12,
	WAIT_MS = 6000,
	MEASURE_MS = 500,
	PEERS_ENDS = 16,
	STRANGER_UID = 12345
};
enum {		      /* bits of the first byte, where it has no others */
	UP = 1,	      /* the node is up, and has peers, a resolver and lists */
	TOGETHER = 2, /* all come at once and wait for an answer; then time passes */
	STRANGER = 4, /* of another user */
	SERVER = 8,   /* the first visit is what the server asks instead: whom to ping, and the kinds */
	ANEW = 16,    /* at the end the API is closed and opened again */
	LOGIN = 128,  /* there is a login at a server, and no map where the node is not up */
	HOWS = UP | TOGETHER | STRANGER | SERVER | ANEW | LOGIN
};

/* Who is asked for the key of a server. */
struct server_key_ask {
	struct loop_timer *timer;
	char first; /* letter of its host: k a key, o another, r it answers and is no server; else nobody is there */
	void (*cb)(void *arg, const struct machine_key *key, bool reached, const char *why);
	void *arg;
};

/* What outlives an input. */
struct world {
	uint8_t how;
	struct resolver_server *resolver;
	struct blocker *blocker;
	struct awake awake;   /* within turn() */
	pthread_mutex_t lock; /* of what follows: files go by threads */
	int peers[PEERS_ENDS];
	size_t n_peers;
	struct loop *loop;
	struct local_api *api;
	struct netmap *map;
	struct files *files;
	uint64_t measured_ms, measure_until_ms; /* 0: never; not now */
	struct state_prefs prefs;
	struct machine_key server;
	char dir[64], sock[96];
	unsigned orders;
};
static struct world only;

static void say_facts(void *arg, struct local_facts *out)
{
	const struct world *w = arg;
	const bool up = w->how & UP;
	*out = (struct local_facts) { .state = up ? 6 : 4,
		.stopped = !up,
		.up = up,
		.logged_in = w->how & LOGIN,
		.auth_url = "",
		.error = "e",
		.login_name = "",
		.prefs = &w->prefs,
		.server = &w->server };
}

static struct netmap *say_map(void *arg)
{
	const struct world *w = arg;
	return (w->how & (LOGIN | UP)) == LOGIN ? NULL : w->map;
}

static void say_status(void *arg, struct arena *a, struct api_status *out)
{
	(void)arg;
	(void)a;
	*out = (struct api_status) { .backend_state = "Stopped" };
}

static void say_peer(void *arg, const struct netmap_peer *p, struct arena *a, struct api_peer *out)
{
	(void)arg;
	(void)a;
	*out = (struct api_peer) { .key = p->node.key, .dns_name = p->node.name };
}

static bool say_netcheck(void *arg, struct arena *a, struct api_netcheck *out, struct local_measured *when)
{
	struct world *w = arg;
	static struct api_region_latency regions[] = { { .id = 8, .seconds = 0.02, .code = "", .name = "" },
		{ .id = 7, .seconds = 0.01, .code = "", .name = "" } };
	(void)a;
	*out = (struct api_netcheck) { .regions = regions,
		.n_regions = 2,
		.global_v4 = "",
		.global_v6 = "",
		.mapped = "",
		.unmapped = "",
		.pinhole6 = "",
		.no_pinhole6 = "" };
	if (w->measure_until_ms && loop_now_ms(w->loop) >= w->measure_until_ms) {
		w->measured_ms = w->measure_until_ms;
		w->measure_until_ms = 0;
	}
	*when = (struct local_measured) { .running = w->measure_until_ms, .at_ms = w->measured_ms };
	return (w->how & (LOGIN | UP)) != LOGIN;
}

static const char *say_code(void *arg, int32_t region)
{
	(void)arg;
	(void)region;
	return "";
}

static bool say_relay(void *arg, int32_t region, struct addr *out)
{
	(void)arg;
	*out = addr_v4(0xc0000201);
	return region % 2;
}

static void say_ways(void *arg, uint64_t peer,
	void (*each)(void *k, int64_t unix_ms, const char *from, const char *to), void *k)
{
	(void)arg, (void)peer;
	each(k, 0, "", "relay one");
	each(k, 1, "relay one", "192.0.2.1:41641");
}

static const char *say_no_resolver(void *arg)
{
	return ((const struct world *)arg)->how & UP ? NULL : "none here";
}

static struct resolver_server *say_resolver(void *arg)
{
	const struct world *w = arg;
	return w->how & UP ? w->resolver : NULL;
}

static const char *say_secure_fault(void *arg)
{
	(void)arg;
	return "";
}

static void take_told(void *arg, const char *url, const char *json, size_t len)
{
	(void)arg;
	if (!url || !len || json[0] != '{' || json[len - 1] != '}')
		abort();
}

static struct files *say_files(void *arg)
{
	return ((struct world *)arg)->files;
}

static const char *say_ifname(void *arg)
{
	(void)arg;
	return "lo";
}

static void say_os_dns(void *arg, struct local_os_dns *out)
{
	const struct world *w = arg;
	*out = (struct local_os_dns) { .active = w->how & UP, .n_base = 1, .owner = "direct", .reason = "" };
	if (out->active)
		out->match[out->n_match++] = "x.test";
}

static bool say_metrics(void *arg, struct buf *out)
{
	(void)arg;
	return buf_append(out, "x 1\n", 4);
}

/* Whatever comes through must be whole. */
static void take_prefs(void *arg, const struct state_prefs *p)
{
	struct world *w = arg;
	if (!memchr(p->hostname, 0, sizeof(p->hostname)) ||
		!memchr(p->control_url, 0, sizeof(p->control_url)) ||
		!memchr(p->operator_user, 0, sizeof(p->operator_user)))
		abort();
	w->prefs = *p;
	w->orders++;
}

static void take_login(void *arg, const char *auth_key)
{
	struct world *w = arg;
	w->orders += (unsigned)strlen(auth_key);
	local_api_state_changed(w->api);
}

/* Two packets at once, and no more: nobody is told later than the order that says so. */
static void take_capture(
	void *arg, void (*packet)(void *k, unsigned how, const uint8_t *p, size_t len), void *k)
{
	static const uint8_t bytes[] = "a packet";
	struct world *w = arg;
	w->orders++;
	for (unsigned how = 0; packet && how < 2; how++)
		packet(k, how, bytes, sizeof(bytes));
}

static const char *say_dir(void *arg)
{
	return ((const struct world *)arg)->dir;
}

static void take_order(void *arg)
{
	((struct world *)arg)->orders++;
}

static void take_measure(void *arg)
{
	struct world *w = arg;
	w->measure_until_ms = loop_now_ms(w->loop) + MEASURE_MS;
}

static void take_ping(void *arg, uint64_t peer, uint64_t token, uint16_t size)
{
	static const struct endpoint at = { .ip = { { [15] = 1 } }, .port = 1 };
	struct world *w = arg;
	if (size % 4 != 3) /* else nobody answers */
		local_api_ping_done(w->api, token, peer, size % 2 ? &at : NULL, !(size % 2), 2.5);
}

static bool say_blocks(void *arg)
{
	const struct world *w = arg;
	return w->how & UP || w->orders & 1;
}

static struct blocker *say_blocker(void *arg)
{
	const struct world *w = arg;
	return w->how & UP ? w->blocker : NULL;
}

static struct blocker_search *say_blocked(void *arg, const struct addr *from, const struct dns_name *name,
	void (*told)(void *k, int err, const struct blocker_why *w, const struct errbuf *eb), void *k)
{
	const struct world *w = arg;
	return w->how & UP ? blocker_search_start(
				     w->blocker, &(struct blocker_client) { .from = from }, name, told, k)
			   : NULL;
}

/* Some are answered at once, some never, some cannot be asked. */
static bool take_echo(void *arg, uint64_t peer, const struct addr *at, bool icmp, uint64_t token)
{
	struct world *w = arg;
	if (icmp && addr_is_v4(at))
		return false;
	if (!icmp)
		local_api_echo_answered(w->api, token, peer, 4711);
	return true;
}

static struct netmap *make_map(void)
{
	static const char json[] =
		"{\"Node\":{\"ID\":1,\"Name\":\"self.x.test.\",\"User\":5,\"Addresses\":[\"100.64.0.1/32\"],"
		"\"CapMap\":{\"https://tailscale.com/cap/file-sharing\":null}},\"Peers\":["
		"{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"two.x.test.\",\"Addresses\":[\"100.64.0.2/"
		"32\"],\"User\":5,\"Hostinfo\":{\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":1}]},"
		"\"Online\":true},"
		"{\"ID\":5,\"StableID\":\"n5\",\"Name\":\"five.x.test.\",\"Addresses\":[\"100.64.0.5/"
		"32\"],\"User\":5,\"Hostinfo\":{\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":2}]},"
		"\"Online\":true},"
		"{\"ID\":6,\"StableID\":\"n6\",\"Name\":\"six.x.test.\",\"Addresses\":[\"100.64.0.6/"
		"32\"],\"User\":5,\"Hostinfo\":{\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":3}]},"
		"\"Online\":true},"
		"{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"exit.x.test.\",\"Addresses\":[\"100.64.0.3/"
		"32\"],\"User\":6,"
		"\"Hostinfo\":{\"Location\":{\"Country\":\"X\",\"CountryCode\":\"X\",\"City\":\"Y\","
		"\"CityCode\":\"Y\"}},"
		"\"AllowedIPs\":[\"100.64.0.3/32\",\"0.0.0.0/0\",\"::/0\"],\"Online\":true,\"HomeDERP\":7},"
		"{\"ID\":4,\"StableID\":\"n4\",\"Name\":\"far.x.test.\",\"Addresses\":[\"100.64.0.4/"
		"32\"],\"User\":6,"
		"\"AllowedIPs\":[\"100.64.0.4/32\",\"0.0.0.0/0\",\"::/0\"],\"Online\":true,\"HomeDERP\":8}],"
		"\"UserProfiles\":[{\"ID\":5,\"LoginName\":\"u\"}],\"DNSConfig\":{\"Resolvers\":[{\"Addr\":"
		"\"100.64.0.2\"}],"
		"\"Routes\":{\"corp.test.\":[{\"Addr\":\"192.0.2.1\"}]},\"Domains\":[\"x.test\"],\"Proxied\":"
		"true},"
		"\"DERPMap\":{\"Regions\":{\"7\":{\"RegionID\":7,\"RegionCode\":\"r\",\"Nodes\":[{\"Name\":"
		"\"7a\",\"RegionID\":7,"
		"\"HostName\":\"r.test\"}]}}}}";
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct netmap *map = ctl_map_response_read(&a, json, strlen(json), &m, NULL) == 0
				     ? netmap_apply(NULL, &m, 0, NULL)
				     : NULL;
	arena_free(&a);
	return map;
}

/* As if a peer had sent it. */
static void put_file(const struct world *w, const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/files/%s", w->dir, name);
	FILE *f = fopen(path, "w");
	if (!f || fputs("text", f) < 0 || fclose(f) != 0)
		abort();
}

/* --- the others: peers' PeerAPI, login servers, users --- */

static void peers_end(struct world *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->n_peers)
		close(w->peers[--w->n_peers]);
	pthread_mutex_unlock(&w->lock);
}

/* A peer has said its answer before anybody asks; which, its port says. */
int __wrap_sock_tcp_connect_hook(
	const struct endpoint *to, void (*hook)(void *arg, int fd), void *arg, struct errbuf *eb)
{
	static const char *const says[] = { NULL, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nno\n" };
	const char *text = to->port < sizeof(says) / sizeof(*says) ? says[to->port] : NULL;
	struct world *w = &only;
	int fd[2];
	(void)hook, (void)arg;
	if (!text)
		return err_set(eb, -ECONNREFUSED, "connect");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0)
		abort();
	(void)!send(fd[1], text, strlen(text), MSG_NOSIGNAL);
	pthread_mutex_lock(&w->lock);
	bool has_place = w->n_peers < PEERS_ENDS;
	if (has_place)
		w->peers[w->n_peers++] = fd[1];
	else
		close(fd[1]);
	pthread_mutex_unlock(&w->lock);
	return fd[0];
}

int __wrap_sock_unix_peer(int fd, struct sock_peer *out)
{
	int err = __real_sock_unix_peer(fd, out);
	if (only.how & STRANGER)
		out->uid = STRANGER_UID;
	return err;
}

static void server_answers(void *arg)
{
	struct server_key_ask a = *(struct server_key_ask *)arg;
	static const struct machine_key keys[] = { { { 1 } }, { { 2 } } };
	__wrap_server_key_cancel(arg);
	if (a.first == 'k' || a.first == 'o')
		a.cb(a.arg, &keys[a.first == 'o'], true, NULL);
	else
		a.cb(a.arg, NULL, a.first == 'r', "why");
}

struct server_key_ask *__wrap_server_key_ask(struct loop *l, const char *server_url, bool pinned,
	const struct server_way *way,
	void (*cb)(void *arg, const struct machine_key *key, bool reached, const char *why), void *arg,
	struct errbuf *eb)
{
	const char *host = strstr(server_url, "://");
	struct server_key_ask *a = host ? calloc(1, sizeof(*a)) : NULL;
	(void)pinned, (void)way;
	if (a)
		*a = (struct server_key_ask) { loop_timer_new(l, server_answers, a), host[3], cb, arg };
	if (!a || !a->timer) {
		free(a);
		err_set(eb, -ENOMEM, "ask");
		return NULL;
	}
	loop_timer_set(a->timer, 1);
	return a;
}

void __wrap_server_key_cancel(struct server_key_ask *a)
{
	if (!a)
		return;
	loop_timer_free(a->timer);
	free(a);
}

static void world_end(void)
{
	local_api_close(only.api);
	files_close(only.files);
	blocker_free(only.blocker);
	resolver_server_close(only.resolver);
	awake_free(&only.awake);
	netmap_put(only.map);
	dir_remove(only.dir, NULL);
}

static struct resolver_server *make_resolver(struct loop *l)
{
	const struct endpoint at = { .ip = addr_v4(0x7f000001) };
	const struct resolver_server_options o = { .at = &at, .n = 1 };
	struct resolver_upstream up = { .at = { .ip = addr_v4(0xcb007101), .port = 53 } };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	struct resolver_server *s = key_setup() ? resolver_server_open(l, &o, NULL) : NULL;
	if (!s || resolver_server_configure(
			  s, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL) != 0)
		abort();
	return s;
}

static struct blocker *make_blocker(struct loop *l, struct resolver *core)
{
	static const char *ads[] = { "*.ads.example" };
	struct blocker *b = blocker_new(l, core);
	struct arena mem = { 0 };
	struct conf_block c = { .n_lists = 1 };
	c.lists = arena_array(&mem, 1, sizeof(*c.lists));
	c.lists[0] = (struct conf_list) { .name = "ads", .names = ads, .n_names = 1 };
	if (!b || blocker_configure(b, &mem, &c, NULL) != 0)
		abort();
	return b;
}

/* NULL: memory was short. */
static struct local_api *open_api(struct world *w, struct errbuf *eb)
{
	const struct local_node_ops ops = { .facts = say_facts,
		.map = say_map,
		.status = say_status,
		.status_peer = say_peer,
		.netcheck = say_netcheck,
		.region_code = say_code,
		.relay_at = say_relay,
		.way_changes = say_ways,
		.no_resolver = say_no_resolver,
		.os_dns = say_os_dns,
		.resolver = say_resolver,
		.secure_fault = say_secure_fault,
		.tell_server = take_told,
		.blocks = say_blocks,
		.blocker = say_blocker,
		.blocked = say_blocked,
		.files = say_files,
		.ifname = say_ifname,
		.metrics = say_metrics,
		.prefs_set = take_prefs,
		.login = take_login,
		.logout = take_order,
		.trying = take_login,
		.try_now = take_order,
		.measure = take_measure,
		.rebind = take_order,
		.break_relays = take_order,
		.capture = take_capture,
		.state_dir = say_dir,
		.ping = take_ping,
		.echo = take_echo,
		.arg = w };
	return local_api_open(w->loop, w->sock, &ops, eb);
}

static void open_anew(struct world *w)
{
	struct errbuf eb;
	if (open_api(w, &eb) || !eb.text[0]) /* it is there already */
		abort();
	local_api_close(w->api);
	while (!(w->api = open_api(w, &eb)))
		if (!trouble_happened())
			abort();
}

static struct world *world(void)
{
	struct world *w = &only;
	if (w->api)
		return w;
	snprintf(w->dir, sizeof(w->dir), "/tmp/rw-fuzz-XXXXXX");
	if (!mkdtemp(w->dir) || !(w->map = make_map()) || atexit(world_end) != 0)
		abort();
	snprintf(w->sock, sizeof(w->sock), "%s/s", w->dir);
	w->awake = awake_loop(loop_new());
	w->loop = w->awake.loop;
	w->files = files_open(w->loop, w->dir, NULL);
	w->api = open_api(w, NULL);
	w->resolver = make_resolver(w->loop);
	w->blocker = make_blocker(w->loop, resolver_server_core(w->resolver));
	if (!w->api || !w->files || pthread_mutex_init(&w->lock, NULL) != 0)
		abort();
	put_file(w, "came");
	put_file(w, "a b");
	return w;
}

static void turn(struct world *w, int n)
{
	loop_fd_set(w->awake.watch, LOOP_READ);
	while (n--) {
		loop_run_once(w->loop);
		scripted_asked_turn(NULL, 0);
	}
	loop_fd_set(w->awake.watch, 0);
}

static int visit_begin(struct world *w, const uint8_t *data, size_t len)
{
	int fd = sock_unix_connect(w->sock, NULL);
	if (fd < 0)
		abort();
	(void)!send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return fd;
}

/* Until the other side has ended, too: a connection that stays open is a leak. */
static void visit_end(struct world *w, int fd)
{
	char sink[8192];
	shutdown(fd, SHUT_WR);
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

/* "IP KINDS" */
static void server_asks(struct world *w, const uint8_t *data, size_t len)
{
	char ip[64], kinds[64];
	const uint8_t *blank = memchr(data, ' ', len);
	size_t n = blank ? (size_t)(blank - data) : len;
	snprintf(ip, sizeof(ip), "%.*s", (int)n, (const char *)data);
	snprintf(kinds, sizeof(kinds), "%.*s", blank ? (int)(len - n - 1) : 0, (const char *)data + n + 1);
	local_api_server_asks(w->api, &(struct ctl_ping) { .url = "https://x", .types = kinds, .ip = ip });
}

static void visits(struct world *w, const uint8_t *data, size_t len)
{
	int fds[VISITS_MAX];
	size_t n_fds = 0;
	for (int i = 0; i < VISITS_MAX && len; i++) {
		const uint8_t *end = memchr(data, VISIT_END, len);
		size_t n = end ? (size_t)(end - data) : len;
		if (w->how & SERVER && i == 0) {
			server_asks(w, data, n);
		} else if (w->how & TOGETHER) {
			fds[n_fds++] = visit_begin(w, data, n);
			turn(w, WAIT_TURNS);
		} else {
			visit_end(w, visit_begin(w, data, n));
		}
		n += end != NULL;
		data += n;
		len -= n;
	}
	if (w->how & (TOGETHER | SERVER)) {
		trouble_pass_ms(WAIT_MS);
		turn(w, WAIT_TURNS);
	}
	if (w->how & ANEW)
		open_anew(w);
	for (size_t i = 0; i < n_fds; i++)
		visit_end(w, fds[i]);
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = world();
	bool says = len && !(data[0] & ~HOWS);
	w->how = says ? data[0] : 0;
	w->prefs = (struct state_prefs) { 0 };
	w->measured_ms = w->measure_until_ms = 0;
	w->orders = 0;
	w->server = (struct machine_key) { { w->how & LOGIN ? 1 : 0 } };
	if (w->how & LOGIN)
		snprintf(w->prefs.control_url, sizeof(w->prefs.control_url), "https://old.test");
	trouble_begin();
	visits(w, data + says, len - says);
	trouble_end();
	scripted_asked_end();
	peers_end(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
