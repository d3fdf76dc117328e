#include "mesh/control/http/certificate.h"
#include "mesh/control/http/derp.h"

#include "mesh/base/log.h"
#include "mesh/control/login/proxy.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/sock.h"
#include "mesh/relay/relay.h"
#include "mesh/transport/http.h"
#include "mesh/transport/stream.h"
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PAGE_BODY_MAX = 4096,		  /* nobody has to send one */
	ADMIN_BODY_MAX = 8 * 1024 * 1024, /* a policy, as a text of JSON */
	KEYED_BODY_MAX = 4 * 1024 * 1024,
	VISIT_MS = 10000,
	ADMIN_MS = 60000,
	ASK_MODE = 0666 /* it answers what listen_addr answers */
};

/* A connection: plain HTTP, or a Noise link. */
struct caller {
	struct guest guest;
	struct web *web;
	enum api_right right;
	bool tls;
	struct http_server_conn *conn;	  /* a visit */
	struct control_server_link *link; /* or a link */
	struct api_later *later;	  /* an answer that is due */
	struct addr peer,
		from; /* of the connection; behind proxies that are trusted. All zero: a unix socket */
};

static void free_caller(struct caller *c)
{
	api_later_drop(c->later);
	guest_leave(&c->guest);
	free(c);
}

static void turn_away(struct guest *g)
{
	struct caller *c = (struct caller *)g;
	if (c->conn) {
		http_server_close(c->conn, false); /* conn_gone frees it */
		return;
	}
	struct control_server_link *link = c->link;
	control_server_data_set(link, NULL);
	control_server_close(link); /* its streams end; link_closed is not called */
	free_caller(c);
}

/* By the headers that proxies add, the last first. */
static struct addr who_asks(const struct web *w, const struct caller *c, const struct http_head *head)
{
	struct addr at = c->peer;
	for (size_t i = head->n_headers; i-- > 0;)
		if (!strcasecmp(head->headers[i].name, "X-Forwarded-For") &&
			!proxy_step(&w->api->cfg->proxies, head->headers[i].value, &at))
			break;
	return at;
}

/* --- inside Noise --- */

static void link_request(void *arg, struct control_server_link *link, struct h2_stream *stream,
	const char *method, const char *path, const uint8_t *body, size_t len)
{
	struct web *w = arg;
	struct caller *c = control_server_data(link);
	struct api_call call = { .api = w->api,
		.right = API_MACHINE,
		.method = method,
		.body = body,
		.len = len,
		.way = { .stream = stream },
		.guest = &c->guest,
		.from = c->from,
		.now_ms = clock_unix_ms() };
	if (machine_is_old(stream, control_server_capver(link)))
		return;
	snprintf(call.path, sizeof(call.path), "%s", path);
	api_serve(&call);
}

static void link_stream_gone(void *arg, struct h2_stream *stream, void *data)
{
	struct h2_owner *o = data;
	(void)arg;
	(void)stream;
	if (o)
		o->gone(o);
}

static void link_closed(void *arg, struct control_server_link *link, void *data)
{
	(void)arg;
	(void)link;
	if (data)
		free_caller(data);
}

static bool link_charge(void *arg, struct control_server_link *link, void *data, long bytes)
{
	struct caller *c = data;
	(void)arg;
	(void)link;
	return !c || guest_charge(&c->guest, bytes, clock_now_ms());
}

static bool upgrade_requested(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct web *w = arg;
	struct caller *c = http_conn_data(conn);
	char path[64];
	struct endpoint peer;
	/* The relay takes the connection or ends it, and what is kept here goes in both. */
	http_conn_data_set(conn, NULL);
	if (w->relay && relay_upgrade(w->relay, conn, head)) {
		free_caller(c);
		return true;
	}
	http_conn_data_set(conn, c);
	const struct control_server_ops ops = { .request = link_request,
		.stream_gone = link_stream_gone,
		.closed = link_closed,
		.charge = link_charge,
		.arg = w };
	if (!http_target_path(head, path, sizeof(path)) || strcmp(path, "/ts2021") != 0)
		return false;
	const struct addr from = who_asks(w, c, head); /* head goes with the connection */
	struct control_server_link *link =
		control_server_accept(w->loop, conn, head, w->noise, &random_system, &ops);
	if (!link) /* answered, and a visit still */
		return true;
	c->from = from;
	guest_leave(&c->guest);
	c->conn = NULL;
	c->link = link;
	c->guest.kind = GUEST_STRANGER;
	guest_arrive(&w->guests, &c->guest, control_server_peer(link, &peer) ? &peer : NULL, clock_now_ms());
	control_server_data_set(link, c);
	return true;
}

/* --- plain HTTP --- */

static void conn_request(void *arg, struct http_server_conn *conn, const struct http_head *head,
	const uint8_t *body, size_t len)
{
	struct web *w = arg;
	struct caller *c = http_conn_data(conn);
	struct api_call call = { .api = w->api,
		.right = c->right,
		.method = head->method,
		.head = head,
		.body = body,
		.len = len,
		.way = { .conn = conn, .https = c->tls || !strncmp(w->api->cfg->server_url, "https://", 8) },
		.later = &c->later,
		.guest = &c->guest,
		.from = who_asks(w, c, head),
		.now_ms = clock_unix_ms() };
	if (w->relay && c->right == API_ANYBODY && relay_request(w->relay, conn, head))
		return;
	if (http_target_path(head, call.path, sizeof(call.path))) {
		api_authenticate(&call);
		console_authenticate(&call);
		api_serve(&call);
	} else
		api_reply_text(&call.way, 400, "bad path\n");
}

/* A stranger has nothing long to say; a program with a key may send access rules. */
static size_t conn_body_most(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct web *w = arg;
	(void)conn;
	return api_is_keyed(w->api, head, clock_unix_ms()) || console_may_send(w->api, head) ? KEYED_BODY_MAX
											     : PAGE_BODY_MAX;
}

static void conn_gone(void *arg, struct http_server_conn *conn)
{
	struct caller *c = http_conn_data(conn);
	(void)arg;
	if (c)
		free_caller(c);
}

/* --- the doors --- */

/* A node whose machine lost power counts as online until TCP gives up: half a minute instead of a quarter
 * hour. */
static void watch_dead_peer(int fd)
{
	static const struct {
		int level, name, value;
	} rows[] = { { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 15 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 }, { IPPROTO_TCP, TCP_KEEPCNT, 3 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 30000 }, { IPPROTO_TCP, TCP_NODELAY, 1 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		(void)setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof(rows[i].value));
}

static void admit(void *arg, int fd, const struct endpoint *from)
{
	struct door *d = arg;
	struct web *w = d->web;
	const bool admin = d->right == API_ADMIN;
	const struct endpoint *peer = *d->path ? NULL : from;
	const struct http_server_ops ops = { .request = conn_request,
		.upgrade = *d->path ? NULL : upgrade_requested,
		.gone = conn_gone,
		.arg = w,
		.body_most = admin ? NULL : conn_body_most,
		.body_cap = admin ? ADMIN_BODY_MAX : PAGE_BODY_MAX,
		.idle_ms = admin ? ADMIN_MS : VISIT_MS };
	const struct stream_events none = { 0 };
	struct caller *c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	if (!*d->path)
		watch_dead_peer(fd);
	*c = (struct caller) { .guest = { .kind = admin ? GUEST_ADMIN : GUEST_VISIT, .turn_away = turn_away },
		.web = w,
		.right = d->right,
		.tls = d->tls };
	if (peer)
		c->peer = c->from = peer->ip;
	c->conn = http_server_accept(w->loop, stream_accept(w->loop, fd, d->tls, &none), &ops);
	if (!c->conn) {
		free(c);
		return;
	}
	http_conn_data_set(c->conn, c);
	guest_arrive(&w->guests, &c->guest, peer, clock_now_ms());
}

static int watch_door(struct web *w, struct door *d, struct errbuf *eb)
{
	const struct acceptor_ops ops = { .arrived = admit,
		.arg = d,
		.what = *d->path ? d->path : "the server",
		.paused = &w->guests.paused };
	d->acceptor = acceptor_new(w->loop, d->fd, &ops);
	return d->acceptor ? 0 : err_set(eb, -ENOMEM, "listen");
}

static int open_door(
	struct web *w, struct door *d, const struct endpoint *at, const char *key, struct errbuf *eb)
{
	char text[ENDPOINT_TEXT];
	d->at = *at;
	d->fd = sock_tcp_listen(&d->at, eb);
	if (d->fd == -EADDRINUSE)
		return err_say(eb, -EADDRINUSE,
			"%s is in use by another program: stop it, or choose another %s in %s",
			endpoint_format(at, text), key, w->api->cfg->file);
	if (d->fd < 0)
		return d->fd;
	sock_local(d->fd, &d->at);
	return watch_door(w, d, eb);
}

static int open_unix_door(struct web *w, struct door *d, enum api_right right, mode_t mode, struct errbuf *eb)
{
	snprintf(d->path, sizeof(d->path), "%s%s", w->api->cfg->unix_socket,
		right == API_ADMIN ? "" : WEB_ASK_SUFFIX);
	d->right = right;
	d->fd = sock_unix_listen(d->path, mode, eb);
	if (d->fd == -EADDRINUSE)
		return err_say(eb, -EADDRINUSE,
			"another ropewalk-control answers on %s: stop it first, or choose another "
			"unix_socket",
			d->path);
	return d->fd < 0 ? d->fd : watch_door(w, d, eb);
}

int web_open(struct web *w, struct loop *l, struct api *api, const struct machine_private *noise,
	struct errbuf *eb)
{
	const struct control_config *c = api->cfg;
	uint64_t seed;
	random_system.fill(random_system.arg, &seed, sizeof(seed));
	*w = (struct web) { .loop = l, .api = api, .noise = noise, .is_open = true };
	guests_init(&w->guests, sock_limit(), seed);
	machines_init(&w->machines);
	login_init(&w->login, l, api);
	api->login = &w->login;
	console_init(&w->console, l, api);
	api->console = &w->console;
	api->log = w->log = log_ring_new();
	ssh_checks_init(&w->ssh_checks);
	api->guests = &w->guests;
	api->machines = &w->machines;
	api->ssh_checks = &w->ssh_checks;
	for (size_t i = 0; i < ARRAY_LEN(w->doors); i++)
		w->doors[i] = (struct door) { .web = w, .fd = -1 };
	struct web_certificate shown;
	int err = web_certificate_read(w, &shown, eb);
	if (!err)
		web_certificate_use(w, &shown);
	if (!err && !w->log)
		err = err_set(eb, -ENOMEM, "listen");
	if (!err)
		err = open_door(w, &w->doors[0], &c->listen, "listen_addr", eb);
	if (!err && endpoint_is_set(&c->tls_listen))
		err = open_door(w, &w->doors[1], &c->tls_listen, "tls_listen_addr", eb);
	if (!err && certificate_needs_door(c))
		err = open_door(w, &w->doors[3], &c->acme_listen, "tls_letsencrypt_listen", eb);
	if (!err)
		err = login_open(&w->login, eb);
	if (!err)
		err = derp_open(w, eb);
	if (!err)
		err = certificate_open(w, eb);
	if (!err)
		err = open_unix_door(w, &w->doors[2], API_ADMIN, c->unix_socket_mode, eb);
	return err ? err : open_unix_door(w, &w->doors[4], API_ANYBODY, ASK_MODE, eb);
}

int web_certificate_read(const struct web *w, struct web_certificate *out, struct errbuf *eb)
{
	int err = certificate_load(w->api->cfg, out, eb);
	if (!err && (err = derp_certificate_carries(w, out, eb))) {
		tls_free(out->tls);
		*out = (struct web_certificate) { .tls = NULL };
	}
	return err;
}

void web_certificate_use(struct web *w, struct web_certificate *c)
{
	struct door *d = &w->doors[endpoint_is_set(&w->api->cfg->tls_listen)];
	if (!c->tls)
		return;
	tls_free(d->tls);
	d->tls = c->tls;
	c->tls = NULL;
	memcpy(w->pin, c->pin, sizeof(w->pin));
	certificate_door_changed(w);
}

static void close_door(struct door *d)
{
	acceptor_free(d->acceptor);
	if (d->fd >= 0) {
		close(d->fd);
		if (*d->path)
			sock_unix_unlink(d->path);
	}
	tls_free(d->tls);
	*d = (struct door) { .fd = -1 };
}

void web_close(struct web *w)
{
	if (!w->is_open)
		return;
	w->is_open = false;
	certificate_close(w);
	derp_close(w);
	for (size_t i = 0; i < ARRAY_LEN(w->doors); i++)
		close_door(&w->doors[i]);
	machines_close(&w->machines);
	ssh_checks_close(&w->ssh_checks);
	for (size_t kind = 0; kind < GUEST_KINDS; kind++)
		for (struct guest *g = w->guests.kinds[kind].first, *next; g; g = next) {
			next = g->next;
			struct caller *c = (struct caller *)g;
			if (c->conn)
				http_server_close(c->conn, true);
			else
				turn_away(g);
		}
	console_close(&w->console);
	login_close(&w->login);
	w->api->log = NULL;
	log_ring_free(w->log);
	w->log = NULL;
	guests_fini(&w->guests);
}
