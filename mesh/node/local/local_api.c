/* LocalAPI: who may connect, who may ask what, and who answers.
 *
 * A connection is one local_client, and asks one thing at a time; http_server sees to that. The table
 * `routes` has a row for each path: method, path, the right it takes, and the verb in a file of its own. A
 * verb answers at once, or keeps the connection in a field of the client and answers from the loop;
 * connection_gone takes all of that back. Verbs know the node by local_node.h alone.
 *
 * Who is at the other end is asked of the kernel for each request that changes something. Places are limited,
 * and the last of them are kept for those who may change things. */
#include "mesh/node/local/local_api.h"
#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/node/host/forwarding.h"
#include "mesh/node/local/local_request.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/proto/json_memory.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A part is kept for who may change things: others must not be able to shut them out. */
enum { CLIENTS_MAX = 256, CLIENTS_KEPT = 32, REFUSALS = 1, PATH_BYTES = 512 };

struct local_api {
	struct loop *loop;
	struct local_node_ops node;
	int fd;
	char path[PATH_MAX];
	struct acceptor *acceptor;
	uint64_t paused; /* for want of descriptors or memory */
	struct local_client *clients;
	size_t n_clients;
	struct log_limit refusals;
	struct local_watchers *watchers;
	struct local_pings *pings;
	struct local_captures *captures;
};

/* --- answers --- */

void local_reply_json(struct http_server_conn *c, struct buf *b, bool ok)
{
	if (ok)
		http_reply(c, 200, "application/json", NULL, buf_data(b), b->len);
	else
		http_reply(c, 500, "text/plain", NULL, "memory is short", 15);
	buf_free(b);
}

void local_reply_object(struct http_server_conn *c, json_t *o)
{
	struct buf b = { 0 };
	char *text = o ? json_memory_dump(o, JSON_COMPACT) : NULL;
	bool ok = text && buf_append(&b, text, strlen(text));
	json_text_free(text);
	json_decref(o);
	local_reply_json(c, &b, ok);
}

void local_reply_error(struct http_server_conn *c, int status, const char *text)
{
	http_reply(c, status, "text/plain; charset=utf-8", NULL, text, strlen(text));
}

void local_reply_done(struct http_server_conn *c, int status)
{
	http_reply(c, status, NULL, NULL, NULL, 0);
}

/* --- who asks --- */

/* From the file, never by the machine's name service: that may ask the network, and so this very process. */
bool local_user_id(const char *name, uid_t *out)
{
	uint64_t number;
	if (text_u64(name, 1, UINT32_MAX - 1, &number)) {
		*out = (uid_t)number;
		return true;
	}
	FILE *f = fopen("/etc/passwd", "re");
	const struct passwd *who = NULL;
	while (f && (who = fgetpwent(f)) && strcmp(who->pw_name, name) != 0)
		;
	if (who)
		*out = who->pw_uid;
	if (f)
		fclose(f);
	return who;
}

static bool is_operator(const struct local_node_ops *node, uid_t uid)
{
	uid_t named;
	struct local_facts f;
	node->facts(node->arg, &f);
	const char *name = f.prefs->operator_user;
	return name[0] && local_user_id(name, &named) && named == uid;
}

/* Root, the daemon's own user, and the one they name. */
static bool may_change(const struct local_api *a, int fd)
{
	struct sock_peer who;
	if (sock_unix_peer(fd, &who) != 0)
		return false;
	return who.uid == 0 || who.uid == geteuid() || is_operator(&a->node, who.uid);
}

bool local_may_change(const struct request *r)
{
	return may_change(r->api, stream_fd(http_conn_stream(r->conn)));
}

void local_api_state_changed(struct local_api *a)
{
	local_watchers_tell(a->watchers);
}

/* --- what official clients ask in passing; some of it is not here: nothing served, no lock --- */

static void get_serve_config(struct request *r)
{
	local_reply_object(r->conn, json_object());
}

static void get_lock_status(struct request *r)
{
	local_reply_object(r->conn, json_pack("{s:b}", "Enabled", 0));
}

/* Before it offers networks: whether this machine would carry them, of either family. */
static void check_forwarding(struct request *r)
{
	static const char *const all[] = { "0.0.0.0/0", "::/0" };
	struct prefix nets[ARRAY_LEN(all)];
	char text[FORWARDING_TEXT] = "";
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		(void)prefix_parse(all[i], &nets[i]);
	forwarding_problem(nets, ARRAY_LEN(nets), text);
	local_reply_object(r->conn, json_pack("{s:s}", "Warning", text));
}

/* The node takes what the network card has joined, and asks for nothing to be turned on. */
static void check_joining(struct request *r)
{
	local_reply_object(r->conn, json_pack("{s:s}", "Warning", ""));
}

/* How programs that show the mesh are used: it is told to nobody. */
static void take_usage(struct request *r)
{
	local_reply_done(r->conn, 204);
}

/* Nothing is sent from here, so there is no mark under which somebody would find it. */
static void say_bugreport(struct request *r)
{
	static const char text[] =
		"ropewalkd sends no logs; `ropewalk bugreport` writes a file to show to others\n";
	http_reply(r->conn, 200, "text/plain; charset=utf-8", NULL, text, sizeof(text) - 1);
}

/* --- routing --- */

static const char prefix[] = "/localapi/v0/";

/* Any user of the machine may look; what changes something takes a right. */
enum local_right { LOOK, CHANGE };

static const struct {
	const char *method, *path;
	enum local_right right;
	void (*run)(struct request *r);
} routes[] = {
	{ "GET", "/localapi/v0/status", LOOK, local_status },
	{ "GET", "/localapi/v0/prefs", LOOK, local_prefs_get },
	{ "PATCH", "/localapi/v0/prefs", CHANGE, local_prefs_patch },
	{ "GET", "/localapi/v0/suggest-exit-node", LOOK, local_exit_suggest },
	{ "POST", "/localapi/v0/set-use-exit-node-enabled", CHANGE, local_exit_enable },
	{ "POST", "/localapi/v0/check-prefs", LOOK, local_prefs_check },
	{ "GET", "/localapi/v0/check-ip-forwarding", LOOK, check_forwarding },
	{ "GET", "/localapi/v0/check-udp-gro-forwarding", LOOK, check_joining },
	{ "POST", "/localapi/v0/start", CHANGE, local_start },
	{ "POST", "/localapi/v0/login-interactive", CHANGE, local_login },
	{ "POST", "/localapi/v0/logout", CHANGE, local_logout },
	{ "GET", "/localapi/v0/watch-ipn-bus", LOOK, local_watch },
	{ "POST", "/localapi/v0/ping", LOOK, local_ping },
	{ "GET", "/localapi/v0/whois", LOOK, local_whois },
	{ "GET", "/localapi/v0/netcheck", LOOK, local_netcheck },
	{ "POST", "/localapi/v0/upload-client-metrics", LOOK, take_usage },
	{ "POST", "/localapi/v0/bugreport", LOOK, say_bugreport },
	{ "GET", "/localapi/v0/usermetrics", LOOK, local_metrics },
	{ "GET", "/localapi/v0/metrics", LOOK, local_metrics }, /* of the official `debug metrics` */
	{ "POST", "/localapi/v0/debug", CHANGE, local_debug },
	{ "POST", "/localapi/v0/debug-capture", CHANGE, local_capture }, /* what users of the machine say */
	{ "GET", "/localapi/v0/derpmap", LOOK, local_derp_map },
	{ "POST", "/localapi/v0/debug-derp-region", LOOK, local_debug_relay },
	{ "GET", "/localapi/v0/debug-peer-endpoint-changes", LOOK, local_debug_ways },
	{ "GET", "/localapi/v0/dns-query", LOOK, local_dns_query },
	{ "GET", "/localapi/v0/dns-osconfig", LOOK, local_dns_os_config },
	{ "GET", "/localapi/v0/dns-config", LOOK, local_dns_config },
	{ "GET", "/localapi/v0/dns-servers", LOOK, local_dns_servers },
	{ "GET", "/localapi/v0/dns-blocked", CHANGE, local_dns_blocked }, /* it reads whole lists */
	{ "GET", "/localapi/v0/dns-blocking", LOOK, local_dns_blocking },
	{ "POST", "/localapi/v0/dns-pause", CHANGE, local_dns_pause },
	{ "POST", "/localapi/v0/dns-flush", CHANGE, local_dns_flush },
	{ "GET", "/localapi/v0/dns-log", CHANGE, local_dns_log }, /* what others of the machine ask */
	{ "POST", "/localapi/v0/dns-log", CHANGE, local_dns_log_set },
	{ "GET", "/localapi/v0/dns-top", CHANGE, local_dns_top },
	{ "GET", "/localapi/v0/profiles/", LOOK, local_profiles_list },
	{ "PUT", "/localapi/v0/profiles/", CHANGE, local_profiles_new },
	{ "GET", "/localapi/v0/profiles/current", LOOK, local_profiles_current },
	{ "POST", "/localapi/v0/profiles/" LOCAL_PROFILE, CHANGE, local_profiles_switch },
	{ "GET", "/localapi/v0/file-targets", LOOK, local_file_targets },
	{ "GET", "/localapi/v0/files/", CHANGE, local_files_list },
	{ "GET", "/localapi/v0/serve-config", LOOK, get_serve_config },
	{ "GET", "/localapi/v0/tka/status", LOOK, get_lock_status },
};

/* Of all that is below a path. Their bodies may be too long for memory: they get the request when its head is there, and
 * take the connection. */
static const struct {
	const char *method, *path;
	void (*run)(struct request *r); /* all take the right to change */
} streamed_routes[] = {
	{ "PUT", "/localapi/v0/file-put/", local_file_put },
	{ "GET", "/localapi/v0/files/", local_file_get },
	{ "DELETE", "/localapi/v0/files/", local_file_delete },
};

bool local_api_route(size_t i, struct local_api_route *out)
{
	const size_t whole = ARRAY_LEN(routes);
	if (i < whole)
		*out = (struct local_api_route) { routes[i].method, routes[i].path, routes[i].right == CHANGE,
			false };
	else if (i - whole < ARRAY_LEN(streamed_routes))
		*out = (struct local_api_route) { streamed_routes[i - whole].method,
			streamed_routes[i - whole].path, true, true };
	else
		return false;
	return true;
}

/* A browser must not reach this socket through a page: no Origin, no Referer, and only our own Host. */
static bool from_a_page(const struct http_head *h)
{
	const char *host = http_header(h, "Host");
	return http_header(h, "Origin") || http_header(h, "Referer") ||
	       (host && host[0] && strcmp(host, "local-tailscaled.sock") != 0);
}

static bool may_ask(const struct request *r, enum local_right right)
{
	if (right != CHANGE || local_may_change(r))
		return true;
	local_reply_error(r->conn, 403, "only root, the daemon's own user and its operator may change this");
	return false;
}

static bool path_of(const struct request *r, char path[static PATH_BYTES])
{
	if (!from_a_page(r->head) && http_target_path(r->head, path, PATH_BYTES))
		return true;
	local_reply_error(r->conn, 403, "this socket is for local programs");
	return false;
}

static struct request request_of(
	struct local_api *a, struct http_server_conn *c, const struct http_head *head)
{
	return (struct request) { .api = a,
		.client = http_conn_data(c),
		.loop = a->loop,
		.node = &a->node,
		.conn = c,
		.head = head };
}

static bool head_received(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	char path[PATH_BYTES];
	struct request r = request_of(arg, c, head);
	if (!path_of(&r, path))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(streamed_routes); i++) {
		size_t n = strlen(streamed_routes[i].path);
		if (strncmp(path, streamed_routes[i].path, n) != 0 || !path[n] ||
			strcmp(head->method, streamed_routes[i].method) != 0)
			continue;
		r.below = path + n;
		if (may_ask(&r, CHANGE))
			streamed_routes[i].run(&r);
		return true;
	}
	return false;
}

static void request_received(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	char path[PATH_BYTES];
	struct request r = request_of(arg, c, head);
	r.body = (const char *)body;
	r.len = len;
	if (!path_of(&r, path))
		return;
	bool known = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		known = true;
		if (strcmp(routes[i].method, head->method) != 0)
			continue;
		if (may_ask(&r, routes[i].right))
			routes[i].run(&r);
		return;
	}
	char text[sizeof(path) + 64];
	bool asked = strncmp(path, prefix, sizeof(prefix) - 1) == 0;
	snprintf(text, sizeof(text), "ropewalkd does not do this: %s %s", head->method,
		asked ? path + sizeof(prefix) - 1 : path);
	local_reply_error(c, known ? 405 : 404, text);
}

static void connection_gone(void *arg, struct http_server_conn *c)
{
	struct local_api *a = arg;
	struct local_client *gone = http_conn_data(c);
	local_dns_gone(gone);
	local_blocked_gone(gone);
	local_prefs_gone(gone);
	local_netcheck_gone(gone);
	local_files_gone(gone);
	local_pings_gone(a->pings, c);
	local_watchers_gone(a->watchers, c);
	local_captures_gone(a->captures, c);
	struct local_client **at = &a->clients;
	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	a->n_clients--;
	free(gone);
}

static void add_client(void *arg, int fd, const struct endpoint *from)
{
	struct local_api *a = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = {
		.request = request_received, .streamed = head_received, .gone = connection_gone, .arg = a
	};
	size_t most = CLIENTS_MAX;
	(void)from;
	if (a->n_clients >= CLIENTS_MAX - CLIENTS_KEPT && !may_change(a, fd))
		most -= CLIENTS_KEPT;
	struct local_client *c = a->n_clients < most ? calloc(1, sizeof(*c)) : NULL;
	struct stream *s = c ? stream_accept(a->loop, fd, NULL, &none) : NULL;
	if (!c)
		close(fd);
	struct http_server_conn *conn = s ? http_server_accept(a->loop, s, &ops) : NULL;
	if (!conn) {
		if (log_allowed(&a->refusals, REFUSALS, loop_now_ms(a->loop)))
			log_warn("LocalAPI: a connection was refused: too many, or memory is short");
		free(c);
		return;
	}
	*c = (struct local_client) { .api = a, .next = a->clients, .conn = conn };
	a->clients = c;
	a->n_clients++;
	http_conn_data_set(conn, c);
}

struct local_watchers *local_api_watchers(struct local_api *a)
{
	return a->watchers;
}

uint64_t local_api_paused(const struct local_api *a)
{
	return a->paused;
}

void local_api_server_asks(struct local_api *a, const struct ctl_ping *p)
{
	local_pings_server_asks(a->pings, a->loop, p);
}

struct local_captures *local_api_captures(struct local_api *a)
{
	return a->captures;
}

struct local_pings *local_api_pings(struct local_api *a)
{
	return a->pings;
}

struct local_api *local_api_open(
	struct loop *l, const char *path, const struct local_node_ops *node, struct errbuf *eb)
{
	struct local_api *a = calloc(1, sizeof(*a));
	if (!a) {
		err_set(eb, -ENOMEM, "open %s", path);
		return NULL;
	}
	a->loop = l;
	a->node = *node;
	snprintf(a->path, sizeof(a->path), "%s", path);
	if (dir_make_of(path, 0755, eb) != 0)
		goto free_api;
	a->fd = sock_unix_listen(path, 0666, eb);
	if (a->fd == -EADDRINUSE)
		err_say(eb, a->fd,
			"another ropewalkd answers at %s; stop it, or give this one another with --socket",
			path);
	if (a->fd < 0)
		goto free_api;
	a->pings = local_pings_new(&a->node);
	a->watchers = local_watchers_new(&a->node);
	a->captures = local_captures_new(l, &a->node);
	const struct acceptor_ops ops = {
		.arrived = add_client, .arg = a, .what = "LocalAPI", .paused = &a->paused
	};
	a->acceptor = acceptor_new(l, a->fd, &ops);
	if (!a->pings || !a->watchers || !a->captures || !a->acceptor) {
		err_set(eb, -ENOMEM, "open %s", path);
		local_api_close(a);
		return NULL;
	}
	return a;
free_api:
	free(a);
	return NULL;
}

void local_api_close(struct local_api *a)
{
	if (!a)
		return;
	while (a->clients)
		http_server_close(a->clients->conn, true);
	local_pings_free(a->pings);
	local_watchers_free(a->watchers);
	local_captures_free(a->captures);
	acceptor_free(a->acceptor);
	close(a->fd);
	sock_unix_unlink(a->path);
	free(a);
}
