#include "mesh/base/wire.h"
#include "mesh/transport/control_link.h"
#include "mesh/transport/h2_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	BODY_CAP = 1024 * 1024,
	BODIES_CAP = 4 * 1024 *
		     1024, /* of all requests of a link that are not whole yet: anybody has a machine key */
	OUT_CAP = 8 * 1024 * 1024,
	METHOD_MAX = 16,
	PATH_MAX_LEN = 512
};

static const char protocol[] = "tailscale-control-protocol";

/* One request and its answer. Lives as long as nghttp2's stream. */
struct h2_stream {
	struct control_server_link *link;
	struct h2_stream *next; /* in link->streams */
	void *data;
	int32_t id;
	char method[METHOD_MAX], path[PATH_MAX_LEN];
	struct buf body, out;
	bool asked;   /* request() was called */
	bool begun;   /* the answer's head is submitted */
	bool ended;   /* nothing more comes from the owner, who may not touch it any more */
	bool refused; /* too large: reset, never asked */
};

struct control_server_link {
	struct h2_conn conn;
	struct control_server_ops ops;
	struct h2_stream *streams;
	void *data;
	size_t bodies; /* bytes in the bodies of streams */
	struct machine_key client;
	uint16_t capver;
	bool broken; /* closed() was called */
};

/* ------------------------------------------------------------------------------------------------- life and
 * end */

/* What it costs to hold more, or that it no longer does. */
static bool charge(struct control_server_link *c, long bytes)
{
	return !c->ops.charge || c->ops.charge(c->ops.arg, c, c->data, bytes);
}

static void drop_body(struct h2_stream *s)
{
	s->link->bodies -= s->body.len;
	(void)charge(s->link, -(long)s->body.len);
	buf_free(&s->body);
}

static void stream_free(struct h2_stream *s)
{
	drop_body(s);
	(void)charge(s->link, -(long)sizeof(*s));
	buf_free(&s->out);
	free(s);
}

/* Out of the list already; the owner is told when it still holds it. */
static void stream_lost(struct h2_stream *s)
{
	struct control_server_link *c = s->link;
	if (s->asked && !s->ended) {
		s->ended = true;
		if (c->ops.stream_gone)
			c->ops.stream_gone(c->ops.arg, s, s->data);
	}
	stream_free(s);
}

static void control_server_release(void *arg)
{
	struct control_server_link *c = arg;
	h2_conn_fini(&c->conn, !c->broken);
	for (struct h2_stream *s; (s = c->streams);) {
		c->streams = s->next;
		stream_free(s);
	}
	free(c);
}

static void lose_streams(struct control_server_link *c)
{
	for (struct h2_stream *s; (s = c->streams);) {
		c->streams = s->next;
		nghttp2_session_set_stream_user_data(c->conn.session, s->id, NULL);
		stream_lost(s);
	}
}

static void broken(void *arg, int code, const char *why)
{
	struct control_server_link *c = arg;
	(void)code;
	(void)why;
	if (c->broken || c->conn.dead)
		return;
	c->broken = true;
	h2_conn_enter(&c->conn);
	lose_streams(c);
	c->ops.closed(c->ops.arg, c, c->data);
	c->data = NULL;
	c->conn.dead = true;
	h2_conn_leave(&c->conn);
}

void control_server_close(struct control_server_link *c)
{
	if (!c || c->conn.dead)
		return;
	h2_conn_enter(&c->conn);
	c->conn.dead = true;
	lose_streams(c);
	h2_conn_leave(&c->conn);
}

/* -------------------------------------------------------------------------------------------------------
 * session */

static int stop_if_dead(const struct control_server_link *c)
{
	return c->conn.dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct control_server_link *c = user;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (!charge(c, sizeof(struct h2_stream)))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	struct h2_stream *s = calloc(1, sizeof(*s));
	if (!s) {
		(void)charge(c, -(long)sizeof(*s));
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	s->link = c;
	s->id = frame->hd.stream_id;
	s->body.cap = BODY_CAP;
	s->body.secret = true; /* an auth key */
	s->out.cap = OUT_CAP;
	s->next = c->streams;
	c->streams = s;
	nghttp2_session_set_stream_user_data(session, s->id, s);
	return 0;
}

static bool copy_text(char *to, size_t cap, const uint8_t *p, size_t len)
{
	if (len >= cap || memchr(p, 0, len))
		return false;
	memcpy(to, p, len);
	to[len] = '\0';
	return true;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	bool ok = true;
	(void)flags;
	(void)user;
	if (s && name_len == 7 && !memcmp(name, ":method", 7))
		ok = copy_text(s->method, sizeof(s->method), value, len);
	else if (s && name_len == 5 && !memcmp(name, ":path", 5))
		ok = copy_text(s->path, sizeof(s->path), value, len);
	return ok ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t len, void *user)
{
	struct control_server_link *c = user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	(void)flags;
	if (!s || s->refused)
		return 0;
	bool may = len <= BODIES_CAP - c->bodies && charge(c, (long)len);
	if (may && buf_append(&s->body, p, len)) {
		c->bodies += len;
		return 0;
	}
	if (may)
		(void)charge(c, -(long)len);
	s->refused = true;
	drop_body(s);
	nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct control_server_link *c = user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	bool last = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
		    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	if (s && last && !s->asked && !s->refused) {
		s->asked = true;
		c->ops.request(c->ops.arg, c, s, s->method, s->path, buf_data(&s->body), s->body.len);
		/* A request may wait for hours, the key in it need not. */
		s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (s)
			drop_body(s);
	}
	return stop_if_dead(c);
}

static int on_stream_end(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct control_server_link *c = user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	(void)error;
	if (s) {
		struct h2_stream **at = &c->streams;
		while (*at != s)
			at = &(*at)->next;
		*at = s->next;
		stream_lost(s);
	}
	return stop_if_dead(c);
}

static int start_session(struct control_server_link *c)
{
	nghttp2_session_callbacks *cb;
	if (nghttp2_session_callbacks_new(&cb) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb, h2_conn_data_length);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_end);
	int err = h2_conn_start(&c->conn, true, cb, c);
	nghttp2_session_callbacks_del(cb);
	return err;
}

static void data(void *arg, const uint8_t *p, size_t len)
{
	struct control_server_link *c = arg;
	struct buf plain = { .secret = true };
	const char *why = "";
	h2_conn_enter(&c->conn);
	int err = noise_link_receive(c->conn.noise, p, len, &plain);
	if (!err && plain.len)
		err = h2_conn_receive(&c->conn, buf_data(&plain), plain.len, &why);
	buf_free(&plain);
	if (err)
		broken(c, err, why);
	h2_conn_leave(&c->conn);
}

static void control_server_drained(void *arg)
{
	struct control_server_link *c = arg;
	h2_conn_pump(&c->conn);
}

static void stream_ended(void *arg, int code, const char *why)
{
	broken(arg, code, why);
}

/* ---------------------------------------------------------------------------------------------------- the
 * upgrade */

static bool read_initiation(const struct http_head *head, uint8_t out[static NOISE_INITIATION])
{
	const char *upgrade = http_header(head, "Upgrade"),
		   *text = http_header(head, "X-Tailscale-Handshake");
	return upgrade && text && !strcasecmp(upgrade, protocol) &&
	       base64_decode(text, strlen(text), out, NOISE_INITIATION) == NOISE_INITIATION;
}

/* The challenge is not used by anybody here, but official clients keep it: 32 random bytes that are a public
 * key. */
static void send_early(struct control_server_link *c, const struct random *rnd)
{
	uint8_t priv[KEY_LEN], pub[KEY_LEN], head[9] = { 0xff, 0xff, 0xff, 'T', 'S' };
	char challenge[KEY_TEXT], json[KEY_TEXT + 32];
	key_generate(rnd, priv);
	key_public(priv, pub);
	key_wipe(priv, sizeof(priv));
	int n = snprintf(
		json, sizeof(json), "{\"nodeKeyChallenge\":\"%s\"}", key_format(pub, "chalpub:", challenge));
	be_put(head + 5, 4, (uint64_t)n);
	h2_conn_send_plain(&c->conn, head, sizeof(head));
	h2_conn_send_plain(&c->conn, json, (size_t)n);
}

static void control_server_refuse(struct http_server_conn *conn, const char *why)
{
	http_reply(conn, 400, "text/plain", NULL, why, strlen(why));
}

struct control_server_link *control_server_accept(struct loop *l, struct http_server_conn *conn,
	const struct http_head *head, const struct machine_private *us, const struct random *rnd,
	const struct control_server_ops *ops)
{
	static const char extra[] = "Upgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n";
	uint8_t initiation[NOISE_INITIATION], response[NOISE_RESPONSE];
	struct errbuf eb = { 0 };
	struct control_server_link *c = calloc(1, sizeof(*c));
	if (!c || !read_initiation(head, initiation)) {
		free(c);
		control_server_refuse(conn, c ? "no handshake" : "out of memory");
		return NULL;
	}
	c->conn =
		(struct h2_conn) { .loop = l, .broken = broken, .release = control_server_release, .arg = c };
	c->ops = *ops;
	c->conn.noise =
		noise_respond(us, initiation, sizeof(initiation), rnd, response, &c->client, &c->capver, &eb);
	if (!c->conn.noise || start_session(c) != 0) {
		control_server_refuse(conn, c->conn.noise ? "out of memory" : eb.text);
		c->broken = true;
		control_server_release(c);
		return NULL;
	}
	c->conn.stream = http_upgrade_take(conn, 101, extra,
		&(struct stream_events) {
			.data = data, .drained = control_server_drained, .closed = stream_ended, .arg = c });
	stream_queue_cap(c->conn.stream, 2 * OUT_CAP);
	(void)stream_write(c->conn.stream, response, sizeof(response));
	send_early(c, rnd);
	h2_conn_pump(&c->conn);
	return c;
}

const struct machine_key *control_server_machine(const struct control_server_link *c)
{
	return &c->client;
}
uint16_t control_server_capver(const struct control_server_link *c)
{
	return c->capver;
}
void control_server_data_set(struct control_server_link *c, void *d)
{
	c->data = d;
}
void *control_server_data(const struct control_server_link *c)
{
	return c->data;
}

bool control_server_peer(const struct control_server_link *c, struct endpoint *out)
{
	return c->conn.stream && stream_peer(c->conn.stream, out);
}

/* -------------------------------------------------------------------------------------------------------
 * answers */

void h2_stream_data_set(struct h2_stream *s, void *d)
{
	s->data = d;
}
void *h2_stream_data(const struct h2_stream *s)
{
	return s->data;
}
struct control_server_link *h2_stream_link(const struct h2_stream *s)
{
	return s->link;
}

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *out, size_t cap, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	(void)source;
	(void)user;
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t n = s->out.len < cap ? s->out.len : cap;
	if (!n && !s->ended)
		return NGHTTP2_ERR_DEFERRED;
	if (n)
		memcpy(out, buf_data(&s->out), n);
	buf_consume(&s->out, n);
	if (!s->out.len) {
		buf_free(&s->out);
		if (s->ended)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
	}
	return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv) { .name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value) };
}

static void control_server_begin(struct h2_stream *s, int status, const char *content_type)
{
	char digits[12];
	if (s->begun || s->ended)
		return;
	snprintf(digits, sizeof(digits), "%d", status);
	nghttp2_nv nv[2] = { header(":status", digits),
		header("content-type", content_type ? content_type : "text/plain") };
	nghttp2_data_provider provider = { .read_callback = read_answer };
	s->begun = true;
	nghttp2_submit_response(s->link->conn.session, s->id, nv, ARRAY_LEN(nv), &provider);
}

void h2_respond_begin(struct h2_stream *s, int status, const char *content_type)
{
	control_server_begin(s, status, content_type);
	h2_conn_pump(&s->link->conn);
}

int h2_respond_chunk(struct h2_stream *s, const void *p, size_t len)
{
	if (s->ended || !s->begun)
		return ERR_CLOSED;
	if (!buf_append(&s->out, p, len))
		return ERR_TOO_LARGE;
	nghttp2_session_resume_data(s->link->conn.session, s->id);
	h2_conn_pump(&s->link->conn);
	return 0;
}

void h2_respond_end(struct h2_stream *s)
{
	struct control_server_link *c = s->link;
	if (s->ended)
		return;
	s->ended = true;
	nghttp2_session_resume_data(c->conn.session, s->id);
	h2_conn_pump(&c->conn);
}

void h2_respond_cut(struct h2_stream *s)
{
	struct control_server_link *c = s->link;
	if (s->ended)
		return;
	if (!s->out.len) { /* all of it is on its way */
		h2_respond_end(s);
		return;
	}
	s->ended = true;
	buf_free(&s->out);
	nghttp2_submit_rst_stream(c->conn.session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
	h2_conn_pump(&c->conn);
}

void h2_respond(struct h2_stream *s, int status, const char *content_type, const void *body, size_t len)
{
	size_t cap = s->out.cap;
	control_server_begin(s, status, content_type);
	s->out.cap = 0; /* one whole answer is as large as its maker wanted it */
	if (!s->ended && !buf_append(&s->out, body, len))
		nghttp2_submit_rst_stream(
			s->link->conn.session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
	s->out.cap = cap;
	h2_respond_end(s);
}
