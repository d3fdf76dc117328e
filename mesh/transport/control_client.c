#include "mesh/base/text.h"
#include "mesh/base/wire.h"
#include "mesh/transport/control_link.h"
#include "mesh/transport/h2_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDSHAKE_MS = 10000, EARLY_HEAD = 9, EARLY_MAX = 10 * 1024 * 1024, NAME_MAX_LEN = 64 };

static const uint8_t early_magic[5] = { 0xff, 0xff, 0xff, 'T', 'S' };

enum state {
	ASKING,	 /* http is in flight; no stream of our own */
	WAITING, /* upgraded; the Noise response is still to come */
	READY,	 /* session is there; requests may be made */
	BROKEN,	 /* closed() was called; only freeing is left */
};

struct h2_request {
	struct control_client_link *link;
	struct h2_request *next; /* in link->requests */
	struct h2_request_events ev;
	struct buf body;
	int32_t id;
	int status;
	bool head_told;
};

struct control_client_link {
	struct h2_conn conn;
	struct control_client_events ev;
	struct http_client *http;
	struct noise_initiator *initiator;
	struct loop_timer *timer; /* of the handshake */
	struct tls *tls;
	struct h2_request *requests;
	struct h2_request *asking; /* being made: what becomes of it is returned, not told by its events */
	enum state state;
	char authority[URL_HOST_TEXT];
	uint8_t early[EARLY_HEAD]; /* the first bytes of plaintext */
	size_t early_have, early_skip;
	struct buf response;
};

/* ------------------------------------------------------------------------------------------------- life and
 * end */

static void request_free(struct h2_request *r)
{
	for (struct h2_request **at = &r->link->requests; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			break;
		}
	if (r->link->asking == r)
		r->link->asking = NULL;
	/* The session may not have sent all of it yet, and would ask for more. */
	if (r->id > 0)
		nghttp2_session_set_stream_user_data(r->link->conn.session, r->id, NULL);
	buf_wipe(&r->body);
	free(r);
}

static void control_client_release(void *arg)
{
	struct control_client_link *c = arg;
	while (c->requests)
		request_free(c->requests);
	http_client_cancel(c->http);
	noise_initiator_free(c->initiator);
	loop_timer_free(c->timer);
	h2_conn_fini(&c->conn, c->state == READY);
	tls_free(c->tls);
	buf_free(&c->response);
	free(c);
}

bool control_client_peer(const struct control_client_link *c, struct endpoint *out)
{
	return c->conn.stream && stream_peer(c->conn.stream, out);
}

void control_client_close(struct control_client_link *c)
{
	if (c && !c->conn.dead)
		h2_conn_close(&c->conn);
}

/* The end, told once: to every request, then to the owner. */
static void broken(void *arg, int code, const char *why)
{
	struct control_client_link *c = arg;
	if (c->state == BROKEN || c->conn.dead)
		return;
	h2_conn_enter(&c->conn);
	c->state = BROKEN;
	loop_timer_clear(c->timer);
	while (c->requests && !c->conn.dead) {
		struct h2_request *r = c->requests;
		struct h2_request_events ev = r->ev;
		request_free(r);
		if (ev.done)
			ev.done(ev.arg, code ? code : ERR_CLOSED);
	}
	if (!c->conn.dead)
		c->ev.closed(c->ev.arg, code ? code : ERR_CLOSED, why);
	h2_conn_leave(&c->conn);
}

static void control_client_timed_out(void *arg)
{
	broken(arg, -ETIMEDOUT, "the control server did not finish the handshake");
}

/* -------------------------------------------------------------------------------------------------------
 * session */

static int stop_if_dead(const struct control_client_link *c)
{
	return c->conn.dead || c->state == BROKEN ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct h2_request *r = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	char digits[4];
	uint64_t status;
	(void)flags;
	(void)user;
	if (r && name_len == 7 && !memcmp(name, ":status", 7) && len == 3) {
		memcpy(digits, value, 3);
		digits[3] = '\0';
		if (text_u64(digits, 100, 999, &status))
			r->status = (int)status;
	}
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct control_client_link *c = user;
	struct h2_request *r = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (frame->hd.type != NGHTTP2_HEADERS || !r || r->status < 200 || r->head_told)
		return stop_if_dead(c);
	r->head_told = true;
	if (r->ev.head)
		r->ev.head(r->ev.arg, r->status);
	return stop_if_dead(c);
}

static int on_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t len, void *user)
{
	struct control_client_link *c = user;
	struct h2_request *r = nghttp2_session_get_stream_user_data(session, id);
	(void)flags;
	if (r && r->ev.data)
		r->ev.data(r->ev.arg, p, len);
	return stop_if_dead(c);
}

static int on_stream_end(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct control_client_link *c = user;
	struct h2_request *r = nghttp2_session_get_stream_user_data(session, id);
	if (!r)
		return 0;
	struct h2_request_events ev = r == c->asking ? (struct h2_request_events) { 0 } : r->ev;
	int code = error == NGHTTP2_NO_ERROR && r->head_told ? 0
		   : error == NGHTTP2_REFUSED_STREAM	     ? ERR_REFUSED
							     : ERR_CLOSED;
	request_free(r);
	if (ev.done)
		ev.done(ev.arg, code);
	return stop_if_dead(c);
}

static int start_session(struct control_client_link *c)
{
	nghttp2_session_callbacks *cb;
	if (nghttp2_session_callbacks_new(&cb) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb, h2_conn_data_length);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_end);
	int err = h2_conn_start(&c->conn, false, cb, c);
	nghttp2_session_callbacks_del(cb);
	return err;
}

/* -------------------------------------------------------------------------------------------------- stream
 * bytes */

/* Drops the early payload, if there is one, from the front of the plaintext. false when it cannot be right.
 */
static bool skip_early(struct control_client_link *c, const uint8_t **p, size_t *len)
{
	while (*len && c->early_have < EARLY_HEAD) {
		c->early[c->early_have++] = **p;
		++*p;
		--*len;
	}
	if (c->early_have == EARLY_HEAD && !memcmp(c->early, early_magic, sizeof(early_magic))) {
		c->early_skip = be_get(c->early + sizeof(early_magic), 4);
		c->early_have = EARLY_HEAD + 1; /* nothing of it is HTTP/2 */
		if (c->early_skip > EARLY_MAX)
			return false;
	}
	size_t n = *len < c->early_skip ? *len : c->early_skip;
	*p += n;
	*len -= n;
	c->early_skip -= n;
	return true;
}

static int receive_plain(struct control_client_link *c, const uint8_t *p, size_t len, const char **why)
{
	int err = 0;
	*why = "the control server's early payload is too large";
	if (c->early_have <= EARLY_HEAD) {
		bool passed_on = c->early_have == EARLY_HEAD;
		if (!passed_on && !skip_early(c, &p, &len))
			return ERR_TOO_LARGE;
		if (!passed_on && c->early_have == EARLY_HEAD)
			err = h2_conn_receive(&c->conn, c->early, EARLY_HEAD, why);
		if (err || c->early_have < EARLY_HEAD)
			return err;
	} else if (!skip_early(c, &p, &len)) {
		return ERR_TOO_LARGE;
	}
	return len ? h2_conn_receive(&c->conn, p, len, why) : 0;
}

/* Collects the Noise response; on success the session starts. Returns the bytes used, or 0 after broken(). */
static size_t receive_response(struct control_client_link *c, const uint8_t *p, size_t len)
{
	struct errbuf eb = { 0 };
	size_t before = c->response.len, want;
	if (!buf_append(&c->response, p, len)) {
		broken(c, ERR_TOO_LARGE, "the control server's handshake answer is too long");
		return 0;
	}
	want = noise_response_len(buf_data(&c->response), c->response.len);
	if (!want || c->response.len < want)
		return len;
	struct noise_initiator *i = c->initiator;
	c->initiator = NULL;
	c->conn.noise = noise_finish(i, buf_data(&c->response), want, &eb);
	buf_free(&c->response);
	if (!c->conn.noise || start_session(c) != 0) {
		broken(c, c->conn.noise ? -ENOMEM : eb.code, c->conn.noise ? "out of memory" : eb.text);
		return 0;
	}
	loop_timer_clear(c->timer);
	c->state = READY;
	h2_conn_pump(&c->conn);
	c->ev.ready(c->ev.arg);
	return want - before;
}

static void control_client_data(void *arg, const uint8_t *p, size_t len)
{
	struct control_client_link *c = arg;
	struct buf plain = { .secret = true };
	const char *why = "";
	h2_conn_enter(&c->conn);
	if (c->state == WAITING) {
		size_t used = receive_response(c, p, len);
		p += used;
		len -= used;
	}
	if (c->state == READY && !c->conn.dead && len) {
		int err = noise_link_receive(c->conn.noise, p, len, &plain);
		if (err)
			why = "a record of the control server is damaged";
		else if (plain.len)
			err = receive_plain(c, buf_data(&plain), plain.len, &why);
		if (err)
			broken(c, err, why);
	}
	buf_free(&plain);
	h2_conn_leave(&c->conn);
}

static void control_client_drained(void *arg)
{
	struct control_client_link *c = arg;
	if (c->state == READY)
		h2_conn_pump(&c->conn);
}

static void stream_ended(void *arg, int code, const char *why)
{
	broken(arg, code, code ? why : "the control server closed the connection");
}

/* -------------------------------------------------------------------------------------------------------
 * upgrade */

static void upgraded(
	void *arg, const struct http_head *head, struct stream *s, const uint8_t *rest, size_t len)
{
	struct control_client_link *c = arg;
	(void)head;
	c->http = NULL;
	c->conn.stream = s;
	c->state = WAITING;
	stream_events_set(s, &(struct stream_events) { .data = control_client_data,
				     .drained = control_client_drained,
				     .closed = stream_ended,
				     .arg = c });
	stream_unread(s, rest, len);
}

static void not_upgraded(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct control_client_link *c = arg;
	char why[400];
	(void)body;
	(void)len;
	c->http = NULL;
	snprintf(why, sizeof(why), "%s answered /ts2021 with %d %s: is it a control server?", c->authority,
		head->status, http_status_text(head->status));
	broken(c, ERR_REFUSED, why);
}

static void not_reached(void *arg, int code, const char *why)
{
	struct control_client_link *c = arg;
	c->http = NULL;
	broken(c, code, why);
}

static bool control_client_ask(
	struct control_client_link *c, const struct control_client_config *cfg, const struct url *u)
{
	uint8_t initiation[NOISE_INITIATION];
	char text[(NOISE_INITIATION + 2) / 3 * 4 + 1], extra[400];
	c->initiator = noise_initiate(cfg->machine, cfg->server, cfg->capver, cfg->rnd, initiation);
	if (!c->initiator)
		return false;
	base64_encode(initiation, sizeof(initiation), text);
	snprintf(extra, sizeof(extra),
		"Upgrade: tailscale-control-protocol\r\nConnection: upgrade\r\nX-Tailscale-Handshake: %s\r\n",
		text);
	struct http_request rq = {
		.to = { .host = u->host,
			.port = u->port,
			.at = cfg->at,
			.tls = c->tls,
			.proxies = cfg->proxies,
			.timeout_ms = HANDSHAKE_MS,
			.socket_hook = cfg->socket_hook,
			.socket_arg = cfg->socket_arg },
		.method = "POST",
		.target = "/ts2021",
		.host = c->authority,
		.extra = extra,
		.timeout_ms = HANDSHAKE_MS,
	};
	struct http_client_events ev = {
		.done = not_upgraded, .failed = not_reached, .upgraded = upgraded, .arg = c
	};
	c->http = http_request(c->conn.loop, &rq, &ev);
	return c->http;
}

static void bad_url(void *arg)
{
	broken(arg, ERR_MALFORMED, "the control server's URL must be http://host or https://host");
}

struct control_client_link *control_client_open(
	struct loop *l, const struct control_client_config *cfg, const struct control_client_events *ev)
{
	struct url u;
	struct control_client_link *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	bool ok = url_parse(cfg->server_url, &u);
	c->conn =
		(struct h2_conn) { .loop = l, .broken = broken, .release = control_client_release, .arg = c };
	c->ev = *ev;
	c->response.cap = 64 * 1024 + NOISE_RECORD_MAX;
	c->timer = loop_timer_new(l, ok ? control_client_timed_out : bad_url, c);
	if (!c->timer) {
		free(c);
		return NULL;
	}
	loop_timer_set(c->timer, ok ? HANDSHAKE_MS : 0);
	if (!ok)
		return c;
	url_host(&u, c->authority);
	/* Noise proves the server: a certificate adds nothing here (tailscale-protocol.md 1.3). */
	if (u.https)
		c->tls = tls_client("insecure", NULL);
	if ((u.https && !c->tls) || !control_client_ask(c, cfg, &u)) {
		c->conn.dead = true;
		control_client_release(c);
		return NULL;
	}
	return c;
}

/* ------------------------------------------------------------------------------------------------------
 * requests */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t cap, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	/* Through the stream, not source->ptr: the request may have been cancelled. */
	struct h2_request *r = nghttp2_session_get_stream_user_data(session, id);
	(void)source;
	(void)user;
	if (!r)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t n = r->body.len < cap ? r->body.len : cap;
	if (n)
		memcpy(out, buf_data(&r->body), n);
	buf_consume(&r->body, n);
	if (!r->body.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv) { .name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value) };
}

struct h2_request *control_client_request(struct control_client_link *c, const char *method, const char *path,
	const char *extra_header_name, const char *extra_header_value, const void *body, size_t len,
	const struct h2_request_events *ev)
{
	char name[NAME_MAX_LEN] = "", length[24];
	/* After a GOAWAY nghttp2 would fail the request from inside the submission. */
	if (c->state != READY || c->conn.dead || !nghttp2_session_check_request_allowed(c->conn.session) ||
		(extra_header_name && !text_lower(extra_header_name, name, sizeof(name))))
		return NULL;
	struct h2_request *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	snprintf(length, sizeof(length), "%zu", len);
	nghttp2_nv nv[8] = { header(":method", method), header(":scheme", "https"),
		header(":authority", c->authority), header(":path", path) };
	size_t n = 4;
	if (len) {
		nv[n++] = header("content-type", "application/json");
		nv[n++] = header("content-length", length);
	}
	if (extra_header_name)
		nv[n++] = header(name, extra_header_value);
	r->link = c;
	r->ev = *ev;
	nghttp2_data_provider provider = { .read_callback = read_body };
	r->id = buf_append(&r->body, body, len)
			? nghttp2_submit_request(c->conn.session, NULL, nv, n, len ? &provider : NULL, r)
			: -1;
	r->next = c->requests;
	c->requests = r;
	if (r->id < 0) {
		request_free(r);
		return NULL;
	}
	/* Where memory is short the stream may end while its first frame is made, and an event of another may close the link. */
	h2_conn_enter(&c->conn);
	c->asking = r;
	h2_conn_pump(&c->conn);
	r = c->conn.dead ? NULL : c->asking;
	c->asking = NULL;
	return h2_conn_leave(&c->conn) ? r : NULL;
}

void h2_request_cancel(struct h2_request *r)
{
	if (!r)
		return;
	struct control_client_link *c = r->link;
	nghttp2_submit_rst_stream(c->conn.session, NGHTTP2_FLAG_NONE, r->id, NGHTTP2_CANCEL);
	request_free(r);
	h2_conn_pump(&c->conn);
}
