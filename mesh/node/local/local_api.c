#include "mesh/node/local/local_api.h"
#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/node/links/server_link.h"
#include "mesh/node/local/local_request.h"
#include "mesh/node/links/relays.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A part is kept for who may change things: others must not be able to shut them out. */
enum {
	WATCHERS_MAX = 32,
	WATCHERS_KEPT = 8,
	CLIENTS_MAX = 256,
	CLIENTS_KEPT = 32,
	PAUSE_MS = 100,
	REFUSALS = 1
};

struct local_api {
	struct node *n;
	int fd;
	char path[PATH_MAX];
	struct loop_fd *watch;
	struct loop_timer *pause; /* after a failed accept */
	struct local_client *clients;
	size_t n_clients;
	struct log_limit refusals;
	struct http_server_conn *watchers[WATCHERS_MAX];
	struct local_pings *pings;
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
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	bool ok = text && buf_append(&b, text, strlen(text));
	free(text);
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

static bool is_operator(const struct node *n, uid_t uid)
{
	uid_t named;
	const char *name = n->state.prefs.operator_user;
	return name[0] && local_user_id(name, &named) && named == uid;
}

/* Root, the daemon's own user, and the one they name. */
static bool may_write(const struct node *n, int fd)
{
	struct sock_peer who;
	if (sock_unix_peer(fd, &who) != 0)
		return false;
	return who.uid == 0 || who.uid == geteuid() || is_operator(n, who.uid);
}

static int conn_fd(struct http_server_conn *c)
{
	return stream_fd(http_conn_stream(c));
}

/* --- verbs --- */

/* Official clients ask for this behind a start with a key, too: the key goes first. A login that is under way
 * goes on, and one that is good but waits for its own server needs no other. */
static void post_login(struct request *r)
{
	struct node *n = r->n;
	bool by_key = n->server && server_link_has_key(n->server),
	     anew = n->state.logged_in && n->backend.state >= BACKEND_STARTING;
	if (anew || (!n->state.logged_in && !n->backend.auth_url[0] && !by_key))
		node_login(n, "");
	local_reply_done(r->conn, 204);
}

static void post_logout(struct request *r)
{
	node_logout(r->n);
	local_reply_done(r->conn, 204);
}

static bool write_notify(struct local_api *a, struct http_server_conn *c)
{
	struct node *n = a->n;
	struct buf b = { 0 };
	struct api_notify m = { .version = RW_VERSION,
		.error = n->last_error,
		.browse_to_url = n->backend.auth_url,
		.state = (int)n->backend.state };
	bool ok = api_notify_write(&b, &m) && (b.p[b.at + b.len - 1] == '\n' || buf_append(&b, "\n", 1)) &&
		  http_reply_chunk(c, buf_data(&b), b.len) == 0;
	buf_free(&b);
	return ok;
}

static void get_watch(struct request *r)
{
	size_t n = may_write(r->n, conn_fd(r->conn)) ? WATCHERS_MAX : WATCHERS_MAX - WATCHERS_KEPT;
	for (size_t i = 0; i < n; i++) {
		if (r->api->watchers[i])
			continue;
		r->api->watchers[i] = r->conn;
		http_reply_begin(r->conn, 200, "application/json", NULL);
		write_notify(r->api, r->conn);
		return;
	}
	local_reply_error(r->conn, 503, "too many watchers");
}

void local_api_state_changed(struct local_api *a)
{
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		/* One that does not read fast enough must ask again: a gap would go unseen. */
		if (a->watchers[i] && !write_notify(a, a->watchers[i]))
			http_server_close(a->watchers[i], false);
	}
}

/* --- netcheck --- */

/* 0 says that nothing came back; what was faster than the clock's millisecond is half of one. */
static double seconds_of(double ms)
{
	return ms < 0 ? 0 : ms > 0 ? ms / 1000 : 0.0005;
}

static void get_netcheck(struct request *r)
{
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct path_report pr;
	char v4[ENDPOINT_TEXT] = "", v6[ENDPOINT_TEXT] = "";
	if (!r->n->engine.path) {
		local_reply_error(r->conn, 503, "the node is stopped; run `ropewalk up` first");
		return;
	}
	path_report(r->n->engine.path, &pr);
	struct api_netcheck m = { .udp = pr.udp,
		.ipv4 = pr.ipv4,
		.ipv6 = pr.ipv6,
		.preferred = pr.home,
		.mapping_varies = pr.mapping_varies == OPT_ABSENT ? -1 : pr.mapping_varies == OPT_TRUE,
		.global_v4 = endpoint_is_set(&pr.global4) ? endpoint_format(&pr.global4, v4) : "",
		.global_v6 = endpoint_is_set(&pr.global6) ? endpoint_format(&pr.global6, v6) : "" };
	m.regions = arena_array(&a, pr.n_regions, sizeof(*m.regions));
	for (size_t i = 0; m.regions && i < pr.n_regions; i++)
		m.regions[m.n_regions++] = (struct api_region_latency) { .id = pr.regions[i].id,
			.code = relays_region_code(r->n->engine.relays, pr.regions[i].id),
			.name = relays_region_name(r->n->engine.relays, pr.regions[i].id),
			.seconds = seconds_of(pr.regions[i].latency_ms) };
	bool ok = api_netcheck_write(&b, &m);
	local_reply_json(r->conn, &b, ok);
	arena_free(&a);
}

/* The official command line measures by itself. */
static void get_derp_map(struct request *r)
{
	struct buf b = { 0 };
	if (!r->n->apply.map || !r->n->apply.map->derp) {
		local_reply_error(r->conn, 503, "no relays are known yet; run `ropewalk up` first");
		return;
	}
	bool ok = ctl_derp_map_write(&b, r->n->apply.map->derp);
	local_reply_json(r->conn, &b, ok);
}

/* --- what official clients ask in passing, and is not here: nothing served, no lock --- */

static void get_serve_config(struct request *r)
{
	local_reply_object(r->conn, json_object());
}

static void get_lock_status(struct request *r)
{
	local_reply_object(r->conn, json_pack("{s:b}", "Enabled", 0));
}

/* --- routing --- */

static const char prefix[] = "/localapi/v0/";

static const struct {
	const char *method, *path;
	bool writes;
	void (*run)(struct request *r);
} routes[] = {
	{ "GET", "/localapi/v0/status", false, local_status },
	{ "GET", "/localapi/v0/prefs", false, local_prefs_get },
	{ "PATCH", "/localapi/v0/prefs", true, local_prefs_patch },
	{ "POST", "/localapi/v0/check-prefs", false, local_prefs_check },
	{ "POST", "/localapi/v0/start", true, local_start },
	{ "POST", "/localapi/v0/login-interactive", true, post_login },
	{ "POST", "/localapi/v0/logout", true, post_logout },
	{ "GET", "/localapi/v0/watch-ipn-bus", false, get_watch },
	{ "POST", "/localapi/v0/ping", false, local_ping },
	{ "GET", "/localapi/v0/whois", false, local_whois },
	{ "GET", "/localapi/v0/netcheck", false, get_netcheck },
	{ "GET", "/localapi/v0/derpmap", false, get_derp_map },
	{ "GET", "/localapi/v0/dns-query", false, local_dns_query },
	{ "GET", "/localapi/v0/dns-osconfig", false, local_dns_os_config },
	{ "GET", "/localapi/v0/dns-config", false, local_dns_config },
	{ "GET", "/localapi/v0/profiles/", false, local_profiles_list },
	{ "PUT", "/localapi/v0/profiles/", true, local_profiles_new },
	{ "GET", "/localapi/v0/profiles/current", false, local_profiles_current },
	{ "GET", "/localapi/v0/serve-config", false, get_serve_config },
	{ "GET", "/localapi/v0/tka/status", false, get_lock_status },
};

/* A browser must not reach this socket through a page: no Origin, no Referer, and only our own Host. */
static bool from_a_page(const struct http_head *h)
{
	const char *host = http_header(h, "Host");
	return http_header(h, "Origin") || http_header(h, "Referer") ||
	       (host && host[0] && strcmp(host, "local-tailscaled.sock") != 0);
}

static void request_received(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct local_api *a = arg;
	char path[256];
	struct request r = { .api = a,
		.client = http_conn_data(c),
		.n = a->n,
		.conn = c,
		.head = head,
		.body = (const char *)body,
		.len = len };
	if (from_a_page(head) || !http_target_path(head, path, sizeof(path))) {
		local_reply_error(c, 403, "this socket is for local programs");
		return;
	}
	bool known = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		known = true;
		if (strcmp(routes[i].method, head->method) != 0)
			continue;
		if (routes[i].writes && !may_write(a->n, conn_fd(c)))
			local_reply_error(
				c, 403, "only root, the daemon's own user and its operator may change this");
		else
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
	local_prefs_gone(gone);
	local_pings_gone(a->pings, c);
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		if (a->watchers[i] == c)
			a->watchers[i] = NULL;
	}
	struct local_client **at = &a->clients;
	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	a->n_clients--;
	free(gone);
}

static void add_client(struct local_api *a, int fd)
{
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = request_received, .gone = connection_gone, .arg = a };
	size_t most = CLIENTS_MAX;
	if (a->n_clients >= CLIENTS_MAX - CLIENTS_KEPT && !may_write(a->n, fd))
		most -= CLIENTS_KEPT;
	struct local_client *c = a->n_clients < most ? calloc(1, sizeof(*c)) : NULL;
	struct stream *s = c ? stream_accept(a->n->loop, fd, NULL, &none) : NULL;
	if (!c)
		close(fd);
	struct http_server_conn *conn = s ? http_server_accept(a->n->loop, s, &ops) : NULL;
	if (!conn) {
		if (log_allowed(&a->refusals, REFUSALS, loop_now_ms(a->n->loop)))
			log_warn("LocalAPI: a connection was refused: too many, or memory is short");
		free(c);
		return;
	}
	*c = (struct local_client) { .api = a, .next = a->clients, .conn = conn };
	a->clients = c;
	a->n_clients++;
	http_conn_data_set(conn, c);
}

static void accept_again(void *arg)
{
	struct local_api *a = arg;
	loop_fd_set(a->watch, LOOP_READ);
}

static void accept_ready(void *arg, int events)
{
	struct local_api *a = arg;
	(void)events;
	int fd = sock_accept(a->fd, NULL);
	if (fd >= 0) {
		add_client(a, fd);
	} else if (fd != -EAGAIN && fd != -ECONNABORTED && fd != -EINTR) {
		/* No descriptor to be had: the connection stays due, and would wake us without end. */
		loop_fd_set(a->watch, 0);
		loop_timer_set(a->pause, PAUSE_MS);
	}
}

struct local_pings *local_api_pings(struct local_api *a)
{
	return a->pings;
}

struct local_api *local_api_open(struct node *n, const char *path, struct errbuf *eb)
{
	struct local_api *a = calloc(1, sizeof(*a));
	char folder[PATH_MAX];
	if (!a) {
		err_set(eb, -ENOMEM, "open %s", path);
		return NULL;
	}
	a->n = n;
	snprintf(a->path, sizeof(a->path), "%s", path);
	snprintf(folder, sizeof(folder), "%s", path);
	if (dir_make(dirname(folder), 0755, eb) != 0)
		goto free_api;
	a->fd = sock_unix_listen(path, 0666, eb);
	if (a->fd == -EADDRINUSE)
		err_say(eb, a->fd,
			"another ropewalkd answers at %s; stop it, or give this one another with --socket",
			path);
	if (a->fd < 0)
		goto free_api;
	a->pings = local_pings_new();
	a->pause = loop_timer_new(n->loop, accept_again, a);
	a->watch = loop_fd_new(n->loop, a->fd, accept_ready, a);
	if (!a->pings || !a->pause || !a->watch) {
		err_set(eb, -ENOMEM, "open %s", path);
		local_api_close(a);
		return NULL;
	}
	loop_fd_set(a->watch, LOOP_READ);
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
	loop_timer_free(a->pause);
	loop_fd_free(a->watch);
	close(a->fd);
	sock_unix_unlink(a->path);
	free(a);
}
