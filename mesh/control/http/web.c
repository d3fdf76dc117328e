/* The public side: /key, /ts2021 and the few pages a person sees; inside Noise the register and map requests.
 */
#include "mesh/control/server.h"

#include "mesh/base/log.h"
#include "mesh/base/text.h"
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
#include <sys/socket.h>
#include <unistd.h>

enum {
	ACCEPTS_PER_WAKEUP = 32,
	ACCEPT_PAUSE_MS = 200,
	CAPVER_KEY_MIN = 39,
	PAGE_BODY_MAX = 4096, /* nobody has to send one */
	VISIT_MS = 10000,
	WAITERS_PER_LINK = 8,
	TEXT_MAX = 256
};

/* A connection that is no Noise link yet, or a Noise link. Oldest first. */
struct web_guest {
	struct web_guest *next, **at;
	struct web_guests *in;
	struct server *server;
	struct http_server_conn *conn;	  /* a visit */
	struct control_server_link *link; /* or a link */
	bool known;			  /* of a node; those are not counted */
	unsigned waiters;
};

struct waiter { /* a register request held open */
	struct held held;
	struct waiter *next, **at;
	struct server *server;
	struct h2_stream *stream;
	struct control_server_link *link;
	struct ctl_register_request rq;
	struct arena mem;
	struct machine_key machine;
	char pending[REGISTRY_ID];
};

/* --- guests --- */

static void guests_add(struct web_guests *in, struct web_guest *g)
{
	if (!in->end)
		in->end = &in->first;
	g->in = in;
	g->at = in->end;
	*in->end = g;
	in->end = &g->next;
	in->n += !g->known;
}

static void guest_leave(struct web_guest *g)
{
	*g->at = g->next;
	if (g->next)
		g->next->at = g->at;
	else
		g->in->end = g->at;
	g->in->n -= !g->known;
}

static void guest_known(struct control_server_link *c)
{
	struct web_guest *g = control_server_data(c);
	if (!g || g->known)
		return;
	g->known = true;
	g->in->n--;
}

/* A stranger costs a socket and memory for as long as it likes: of too many the oldest go, so that who comes
 * to join is let in. */
static void make_room(struct server *s, struct web_guests *in)
{
	struct web_guest *g = in->first;
	if (in->n < in->most)
		return;
	while (g && g->known)
		g = g->next;
	if (!g)
		return;
	s->turned_away++;
	if (log_allowed(&s->crowded, 1, loop_now_ms(s->loop)))
		log_warn("more than %zu connections of nobody we know: the oldest are closed", in->most);
	if (g->conn) {
		http_server_close(g->conn, false);
	} else {
		guest_leave(g);
		control_server_data_set(g->link, NULL);
		control_server_close(g->link);
		free(g);
	}
}

/* --- inside Noise --- */

static void refuse(struct h2_stream *s, int status, const char *text)
{
	h2_respond(s, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void refuse_old(struct h2_stream *s, unsigned version)
{
	char text[TEXT_MAX];
	snprintf(text, sizeof(text),
		"this client is too old for this server: it speaks version %u of the protocol, at least %d "
		"(release 1.80) is needed; update it",
		version, CONTROL_CAPVER_MIN);
	refuse(s, 400, text);
}

static void free_waiter(struct waiter *w)
{
	struct web_guest *g = control_server_data(w->link);
	if (g)
		g->waiters--;
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	arena_free(&w->mem);
	free(w);
}

static void answer_register(struct h2_stream *s, const struct ctl_register_response *m)
{
	struct buf json = { 0 };
	if (ctl_register_response_write(&json, m))
		h2_respond(s, 200, "application/json", buf_data(&json), json.len);
	else
		refuse(s, 503, "the server is short of memory");
	buf_free(&json);
}

/* Answers w, or leaves it waiting when nothing is decided. */
static void try_register(struct waiter *w)
{
	struct ctl_register_response out;
	struct server *s = w->server;
	enum registry_verdict v =
		registry_register(&s->reg, &w->rq, &w->machine, clock_unix_ms(), &w->mem, &out, w->pending);
	if (v == REGISTRY_WAIT)
		return;
	if (out.machine_authorized)
		guest_known(w->link);
	h2_stream_data_set(w->stream, NULL);
	answer_register(w->stream, &out);
	free_waiter(w);
}

/* The list of those that wait is short; one that was dropped from it while its node still waits comes back.
 */
void web_recall(struct server *s, const char *pending)
{
	struct pending_info p;
	if (!registry_pending_find(&s->reg, pending, &p))
		web_decided(s, pending);
}

void web_decided(struct server *s, const char *pending)
{
	struct waiter *next;
	for (struct waiter *w = s->waiters; w; w = next) {
		next = w->next;
		if (!strcmp(w->pending, pending))
			try_register(w);
	}
}

static void register_received(struct server *s, struct control_server_link *c, struct h2_stream *stream,
	const uint8_t *body, size_t len)
{
	struct errbuf eb = { 0 };
	struct web_guest *g = control_server_data(c);
	if (!g || g->waiters == WAITERS_PER_LINK) {
		refuse(stream, 429, "too many registrations wait on this connection");
		return;
	}
	struct waiter *w = calloc(1, sizeof(*w));
	if (!w) {
		refuse(stream, 503, "the server is short of memory");
		return;
	}
	g->waiters++;
	w->held.kind = HELD_WAITER;
	w->server = s;
	w->stream = stream;
	w->link = c;
	w->machine = *control_server_machine(c);
	w->at = &s->waiters;
	w->next = s->waiters;
	if (w->next)
		w->next->at = &w->next;
	s->waiters = w;
	if (ctl_register_request_read(&w->mem, (const char *)body, len, &w->rq, &eb)) {
		refuse(stream, 400, eb.text);
		free_waiter(w);
		return;
	}
	if (w->rq.version < CONTROL_CAPVER_MIN) {
		refuse_old(stream, w->rq.version);
		free_waiter(w);
		return;
	}
	h2_stream_data_set(stream, &w->held);
	try_register(w);
}

static void map_received(struct server *s, struct control_server_link *c, struct h2_stream *stream,
	const uint8_t *body, size_t len)
{
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_map_request rq;
	const struct member *m = NULL;
	int err = ctl_map_request_read(&a, (const char *)body, len, &rq, &eb);
	if (err)
		refuse(stream, 400, eb.text);
	else if (rq.version < CONTROL_CAPVER_MIN)
		refuse_old(stream, rq.version);
	else if (!(m = registry_map_received(&s->reg, &rq, control_server_machine(c), clock_unix_ms())))
		refuse(stream, 404, "node not found: register first");
	else
		guest_known(c);
	if (m && rq.stream)
		session_open(s, stream, m, &rq);
	else if (m)
		h2_respond(stream, 200, "application/json", "", 0);
	arena_free(&a);
}

static void noise_request(void *arg, struct control_server_link *c, struct h2_stream *stream,
	const char *method, const char *path, const uint8_t *body, size_t len)
{
	struct server *s = arg;
	if (control_server_capver(c) < CONTROL_CAPVER_MIN)
		refuse_old(stream, control_server_capver(c));
	else if (!strcmp(path, "/machine/register") && !strcmp(method, "POST"))
		register_received(s, c, stream, body, len);
	else if (!strcmp(path, "/machine/map") && !strcmp(method, "POST"))
		map_received(s, c, stream, body, len);
	else if (!strncmp(path, "/machine/", 9))
		refuse(stream, 501, "not implemented by this server");
	else
		refuse(stream, 404, "not found");
}

static void noise_stream_gone(void *arg, struct h2_stream *stream, void *data)
{
	struct held *h = data;
	(void)arg;
	(void)stream;
	if (!h)
		return;
	if (h->kind == HELD_SESSION)
		session_stream_gone(h);
	else
		free_waiter((struct waiter *)h);
}

static void noise_closed(void *arg, struct control_server_link *c, void *data)
{
	struct web_guest *g = data;
	(void)arg;
	(void)c;
	if (!g)
		return;
	guest_leave(g);
	free(g);
}

static bool upgrade_requested(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct server *s = arg;
	char path[64];
	struct web_guest *g = http_conn_data(conn);
	if (s->relay && relay_upgrade(s->relay, conn, head)) {
		guest_leave(g);
		free(g);
		return true;
	}
	const struct control_server_ops ops = {
		.request = noise_request, .stream_gone = noise_stream_gone, .closed = noise_closed, .arg = s
	};
	if (!http_target_path(head, path, sizeof(path)) || strcmp(path, "/ts2021") != 0)
		return false;
	struct control_server_link *c =
		control_server_accept(s->loop, conn, head, &s->noise_private, &random_system, &ops);
	if (!c) /* answered, and a visit still */
		return true;
	guest_leave(g);
	make_room(s, &s->links);
	g->conn = NULL;
	g->next = NULL;
	g->link = c;
	guests_add(&s->links, g);
	control_server_data_set(c, g);
	return true;
}

/* --- pages --- */

static void reply_text(struct http_server_conn *c, int status, const char *text)
{
	http_reply(c, status, "text/plain; charset=utf-8", NULL, text, strlen(text));
}

static void reply_key(struct server *s, struct http_server_conn *c, const struct http_head *head)
{
	struct ctl_key_response m = { .server = s->noise_public };
	struct buf json = { 0 };
	char version[16];
	uint64_t v;
	if (!http_target_query(head, "v", version, sizeof(version)) ||
		!text_u64(version, CAPVER_KEY_MIN, UINT16_MAX, &v))
		reply_text(c, 400, "this client is too old for this server: update it\n");
	else if (ctl_key_response_write(&json, &m))
		http_reply(c, 200, "application/json", NULL, buf_data(&json), json.len);
	else
		reply_text(c, 503, "the server is short of memory\n");
	buf_free(&json);
}

static const char page_head[] = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta "
				"name=\"viewport\" content=\"width=device-width\">"
				"<title>Ropewalk</title><style>body{font:16px/1.5 "
				"system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}"
				"pre{background:#8882;padding:1em;overflow:auto}</style>";

/* Text from the node goes into the page only as letters, digits and a few marks. */
static void plain(const char *in, char *out, size_t cap)
{
	size_t n = 0;
	for (; *in && n + 1 < cap; in++)
		if ((*in >= 'a' && *in <= 'z') || (*in >= 'A' && *in <= 'Z') || (*in >= '0' && *in <= '9') ||
			strchr("-_. ", *in))
			out[n++] = *in;
	out[n] = 0;
}

static void reply_register_page(struct server *s, struct http_server_conn *c, const char *id)
{
	struct pending_info p;
	struct buf page = { 0 };
	char host[128];
	web_recall(s, id);
	bool found = registry_pending_find(&s->reg, id, &p);
	buf_printf(&page, "%s", page_head);
	if (found) {
		plain(p.hostname, host, sizeof(host));
		buf_printf(&page,
			"<h1>%s asks to join</h1><p>To let it in, an admin of this network runs on the "
			"server:</p>"
			"<pre>ropewalk-control nodes approve %s</pre>"
			"<p>With several users, say whose node it is: <code>--user NAME</code>. The node "
			"notices by itself.</p>",
			*host ? host : "A node", p.id);
	} else {
		buf_printf(&page, "<h1>Nothing waits here</h1><p>This node has been let in already, or its "
				  "request is too old. "
				  "In the second case run <code>ropewalk up</code> on it again.</p>");
	}
	http_reply(c, found ? 200 : 404, "text/html; charset=utf-8",
		"Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'; style-src "
		"'unsafe-inline'\r\n",
		buf_data(&page), page.len);
	buf_free(&page);
}

static void web_request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct server *s = arg;
	char path[256];
	(void)body;
	(void)len;
	if (s->relay && relay_request(s->relay, c, head))
		return;
	if (!http_target_path(head, path, sizeof(path)))
		reply_text(c, 400, "bad path\n");
	else if (!strcmp(path, "/ts2021"))
		reply_text(c, 400,
			"this address is for nodes: it needs an upgrade to tailscale-control-protocol\n");
	else if (strcmp(head->method, "GET") != 0 && strcmp(head->method, "HEAD") != 0)
		reply_text(c, 405, "only GET here\n");
	else if (!strcmp(path, "/key"))
		reply_key(s, c, head);
	else if (!strcmp(path, "/health"))
		http_reply(c, 200, "application/json", NULL, "{\"status\":\"pass\"}", 17);
	else if (!strcmp(path, "/version"))
		http_reply(c, 200, "application/json", NULL, "{\"version\":\"" RW_VERSION "\"}",
			sizeof("{\"version\":\"" RW_VERSION "\"}") - 1);
	else if (!strncmp(path, "/register/", 10))
		reply_register_page(s, c, path + 10);
	else if (!strcmp(path, "/"))
		reply_text(c, 200,
			"This is a ropewalk-control server. Join with: ropewalk up --login-server URL\n");
	else
		reply_text(c, 404, "not found\n");
}

/* --- the listener --- */

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

static void accept_again(void *arg)
{
	struct server *s = arg;
	for (size_t i = 0; i < ARRAY_LEN(s->doors); i++)
		if (s->doors[i].l.watch)
			loop_fd_set(s->doors[i].l.watch, LOOP_READ);
	if (s->admin.watch)
		loop_fd_set(s->admin.watch, LOOP_READ);
}

void web_pause_full(struct server *s, struct loop_fd *watch, int code)
{
	if (code != -EMFILE && code != -ENFILE && code != -ENOMEM)
		return;
	loop_fd_set(watch, 0); /* or the loop spins on what it cannot take */
	loop_timer_set(s->accept_again, ACCEPT_PAUSE_MS);
}

static void visit_over(void *arg, struct http_server_conn *conn)
{
	struct web_guest *g = http_conn_data(conn);
	(void)arg;
	if (!g)
		return;
	guest_leave(g);
	free(g);
}

static void admit(struct web_door *d, int fd)
{
	struct server *s = d->s;
	const struct http_server_ops ops = { .request = web_request,
		.upgrade = upgrade_requested,
		.gone = visit_over,
		.arg = s,
		.body_cap = PAGE_BODY_MAX,
		.idle_ms = VISIT_MS };
	const struct stream_events none = { 0 };
	make_room(s, &s->visits);
	struct web_guest *g = calloc(1, sizeof(*g));
	if (!g) {
		close(fd);
		return;
	}
	watch_dead_peer(fd);
	struct stream *st = stream_accept(s->loop, fd, d->tls, &none);
	struct http_server_conn *conn = http_server_accept(s->loop, st, &ops);
	if (!conn) {
		free(g);
		return;
	}
	*g = (struct web_guest) { .server = s, .conn = conn };
	guests_add(&s->visits, g);
	http_conn_data_set(conn, g);
}

static void readable(void *arg, int events)
{
	struct web_door *d = arg;
	struct server *s = d->s;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_WAKEUP; i++) {
		int fd = sock_accept(d->l.fd, NULL);
		if (fd < 0) {
			web_pause_full(s, d->l.watch, fd);
			return;
		}
		admit(d, fd);
	}
}

static int open_door(
	struct server *s, struct web_door *d, const struct endpoint *at, const char *key, struct errbuf *eb)
{
	char text[ENDPOINT_TEXT];
	d->s = s;
	d->at = *at;
	d->l.fd = sock_tcp_listen(&d->at, eb);
	if (d->l.fd == -EADDRINUSE)
		return err_say(eb, -EADDRINUSE,
			"%s is in use by another program: stop it, or choose another %s in %s",
			endpoint_format(at, text), key, s->cfg.file);
	if (d->l.fd < 0)
		return d->l.fd;
	sock_local(d->l.fd, &d->at);
	d->l.watch = loop_fd_new(s->loop, d->l.fd, readable, d);
	if (!d->l.watch)
		return err_set(eb, -ENOMEM, "listen");
	loop_fd_set(d->l.watch, LOOP_READ);
	return 0;
}

/* Nodes know this server by its Noise key: any certificate will do for them, so that one made here is enough
 * where no browser comes. */
static int own_certificate(struct server *s, struct tls **out, struct errbuf *eb)
{
	const struct control_config *c = &s->cfg;
	const char *slash = strrchr(c->noise_key_path, '/'), *host = strstr(c->server_url, "://") + 3;
	int folder = slash ? (int)(slash - c->noise_key_path) : 0;
	char cert[PATH_MAX], key[PATH_MAX], name[256];
	const char *names[] = { name };
	snprintf(cert, sizeof(cert), "%.*s/control.crt", folder, c->noise_key_path);
	snprintf(key, sizeof(key), "%.*s/control.pem", folder, c->noise_key_path);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(host, ":/"), host);
	int err = tls_self_signed(cert, key, names, 1, eb);
	if (!err)
		err = tls_pin_of(cert, s->own_pin, eb);
	if (!err && !(*out = tls_server(cert, key, eb)))
		err = eb->code ? eb->code : ERR_MALFORMED;
	return err;
}

/* Sockets there are for strangers; the rest is for nodes, the database and the admin. */
static void set_limits(struct server *s)
{
	s->visits.most = s->links.most = sock_limit() / 4;
}

int web_open(struct server *s, struct errbuf *eb)
{
	struct control_config *c = &s->cfg;
	set_limits(s);
	bool second = endpoint_is_set(&c->tls_listen);
	struct tls **tls = &s->doors[second].tls;
	int err = 0;
	if (c->tls_cert && !(*tls = tls_server(c->tls_cert, c->tls_key, eb)))
		return eb->code ? eb->code : ERR_MALFORMED;
	if (second && !*tls)
		err = own_certificate(s, tls, eb);
	s->accept_again = loop_timer_new(s->loop, accept_again, s);
	if (!err && !s->accept_again)
		err = err_set(eb, -ENOMEM, "listen");
	if (!err)
		err = open_door(s, &s->doors[0], &c->listen, "listen_addr", eb);
	return err || !second ? err : open_door(s, &s->doors[1], &c->tls_listen, "tls_listen_addr", eb);
}

int web_renew(struct server *s, struct errbuf *eb)
{
	const struct control_config *c = &s->cfg;
	struct web_door *d = &s->doors[endpoint_is_set(&c->tls_listen)];
	if (!c->tls_cert)
		return 0;
	struct tls *fresh = tls_server(c->tls_cert, c->tls_key, eb);
	if (!fresh)
		return eb->code ? eb->code : ERR_MALFORMED;
	tls_free(d->tls);
	d->tls = fresh;
	return derp_certificate_changed(s, eb);
}

static void close_door(struct web_door *d)
{
	if (d->l.watch)
		loop_fd_free(d->l.watch);
	if (d->l.fd >= 0)
		close(d->l.fd);
	tls_free(d->tls);
	*d = (struct web_door) { .l = { .fd = -1 } };
}

void web_close(struct server *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->doors); i++)
		close_door(&s->doors[i]);
	loop_timer_free(s->accept_again);
	s->accept_again = NULL;
	struct waiter *next;
	for (struct waiter *w = s->waiters; w; w = next) {
		next = w->next;
		h2_stream_data_set(w->stream, NULL);
		refuse(w->stream, 503, "the server is going down: try again");
		free_waiter(w);
	}
	while (s->visits.first)
		http_server_close(s->visits.first->conn, true);
	struct web_guest *after;
	for (struct web_guest *g = s->links.first; g; g = after) {
		after = g->next;
		control_server_data_set(g->link, NULL);
		control_server_close(g->link);
		free(g);
	}
	s->links = (struct web_guests) { 0 };
}
