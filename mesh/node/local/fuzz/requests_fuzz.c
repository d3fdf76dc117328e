/* What local programs may send to LocalAPI's socket: any bytes, as one connection after the other (a byte 0x1e between them), to
 * the whole of the API over a node that is not there. Nothing leaves the machine: the node has no resolver and no login. With
 * memory short at one place or another. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/node/local/local_api.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include <errno.h>
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
	struct local_api *api;
	struct netmap *map;
	struct files *files;
	struct state_prefs prefs;
	struct machine_key server;
	char dir[64], sock[96];
	unsigned orders;
};

static void say_facts(void *arg, struct local_facts *out)
{
	const struct world *w = arg;
	*out = (struct local_facts) { .state = 4,
		.stopped = true,
		.auth_url = "",
		.error = "e",
		.login_name = "",
		.prefs = &w->prefs,
		.server = &w->server };
}

static struct netmap *say_map(void *arg)
{
	return ((struct world *)arg)->map;
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
	(void)arg;
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
	*when = (struct local_measured) { 0 };
	return true;
}

static const char *say_code(void *arg, int32_t region)
{
	(void)arg;
	(void)region;
	return "";
}

static const char *say_no_resolver(void *arg)
{
	(void)arg;
	return "none here";
}

static struct resolver_server *say_resolver(void *arg)
{
	(void)arg;
	return NULL;
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
	(void)arg;
	*out = (struct local_os_dns) { .n_base = 1, .owner = "direct", .reason = "" };
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

static void take_ping(void *arg, uint64_t peer, uint64_t token, uint16_t size)
{
	(void)size;
	struct world *w = arg;
	local_api_ping_done(w->api, token, peer, NULL, 1, 2.5);
}

static bool say_blocks(void *arg)
{
	return ((struct world *)arg)->orders & 1;
}

static struct blocker *say_blocker(void *arg)
{
	(void)arg;
	return NULL;
}

static struct blocker_search *say_blocked(void *arg, const struct addr *from, const struct dns_name *name,
	void (*told)(void *k, int err, const struct blocker_why *w, const struct errbuf *eb), void *k)
{
	(void)told, (void)k, (void)from, (void)name, (void)arg;
	return NULL;
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
		"32\"],\"User\":5,"
		"\"Online\":true},"
		"{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"exit.x.test.\",\"Addresses\":[\"100.64.0.3/"
		"32\"],\"User\":6,"
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

static struct world only;

static void world_end(void)
{
	local_api_close(only.api);
	files_close(only.files);
	loop_free(only.loop);
	netmap_put(only.map);
	dir_remove(only.dir, NULL);
}

static struct world *world(void)
{
	struct world *w = &only;
	struct local_node_ops ops = { .facts = say_facts,
		.map = say_map,
		.status = say_status,
		.status_peer = say_peer,
		.netcheck = say_netcheck,
		.region_code = say_code,
		.no_resolver = say_no_resolver,
		.os_dns = say_os_dns,
		.resolver = say_resolver,
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
		.measure = take_order,
		.rebind = take_order,
		.break_relays = take_order,
		.capture = take_capture,
		.state_dir = say_dir,
		.ping = take_ping,
		.echo = take_echo,
		.arg = w };
	if (w->api)
		return w;
	snprintf(w->dir, sizeof(w->dir), "/tmp/rw-fuzz-XXXXXX");
	if (!mkdtemp(w->dir) || !(w->map = make_map()) || atexit(world_end) != 0)
		abort();
	snprintf(w->sock, sizeof(w->sock), "%s/s", w->dir);
	w->loop = loop_new();
	w->files = files_open(w->loop, w->dir, NULL);
	w->api = local_api_open(w->loop, w->sock, &ops, NULL);
	if (!w->api || !w->files)
		abort();
	put_file(w, "came");
	put_file(w, "a b");
	return w;
}

static void visit(struct world *w, const uint8_t *data, size_t len)
{
	char sink[8192];
	int fd = sock_unix_connect(w->sock, NULL);
	if (fd < 0)
		abort();
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
	trouble_begin();
	for (int i = 0; i < VISITS_MAX && len; i++) {
		const uint8_t *end = memchr(data, VISIT_END, len);
		size_t n = end ? (size_t)(end - data) : len;
		visit(w, data, n);
		n += end != NULL;
		data += n;
		len -= n;
	}
	trouble_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
