/* DNS over HTTPS, RFC 8484: each question is a request of its own on one HTTP/2 connection, by POST, which no cache on
 * the way answers (so no answer has an age), with the id 0.
 *
 * nghttp2's callbacks only note what came; answers are delivered when it has read what there was, since each may end
 * the link and the session with it. */
#include "resolver/exchange/pool.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

enum { HTTP_OK = 200, HEADERS_MAX = 8192, DNS_HEADER = 12 };

static const char media_type[] = "application/dns-message";

/* ---- what comes ---- */

static bool is_header(const uint8_t *name, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(name, want, len) == 0;
}

static int header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct link_question *t = link_question_find(user, (uint32_t)frame->hd.stream_id);
	size_t media = sizeof(media_type) - 1;
	(void)session;
	(void)flags;
	if (!t || !frame->hd.stream_id)
		return 0;
	if (is_header(name, name_len, ":status")) {
		t->status = 0;
		for (size_t i = 0; i < len && len == 3; i++)
			t->status = t->status * 10 + (unsigned)(value[i] - '0');
	} else if (is_header(name, name_len, "content-type")) {
		t->dns = len >= media && memcmp(value, media_type, media) == 0 &&
			 (len == media || value[media] == ';' || value[media] == ' ');
	}
	return 0;
}

static int data_came(
	nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *p, size_t len, void *user)
{
	struct link_question *t = link_question_find(user, (uint32_t)stream_id);
	(void)flags;
	if (t && !buf_append(&t->body, p, len)) {
		t->over = true;
		t->status = 0;
		buf_free(&t->body);
		return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_CANCEL);
	}
	return 0;
}

static int stream_ended(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user)
{
	struct link *l = user;
	struct link_question *t = link_question_find(l, (uint32_t)stream_id);
	(void)session;
	if (!t || t->over)
		return 0;
	t->over = true;
	t->refused = error_code == NGHTTP2_REFUSED_STREAM;
	if (error_code != NGHTTP2_NO_ERROR)
		t->status = 0;
	l->stale = l->stale || t->refused;
	return 0;
}

static int frame_came(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		((struct link *)user)->stale = true;
	return 0;
}

/* ---- what goes ---- */

static ssize_t body_read(nghttp2_session *session, int32_t stream_id, uint8_t *p, size_t cap, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	struct link_question *t = link_question_find(user, (uint32_t)stream_id);
	(void)session;
	(void)source;
	if (!t)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t left = (size_t)t->len - t->out_at, n = left < cap ? left : cap;
	memcpy(p, t->msg + t->out_at, n);
	t->out_at = (uint16_t)(t->out_at + n);
	if (n == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int pump(struct link *l)
{
	const uint8_t *p;
	ssize_t n;
	int code = 0;
	while (!code && (n = nghttp2_session_mem_send(l->state, &p)) > 0)
		code = stream_write(l->stream, p, (size_t)n);
	return code ? code : n < 0 ? -ENOMEM : 0;
}

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv) { .name = (uint8_t *)name,
		.value = (uint8_t *)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
		.flags = NGHTTP2_NV_FLAG_NONE };
}

static int https_ask(struct link *l, struct link_question *t)
{
	char authority[DNS_SECURE_NAME + ENDPOINT_TEXT], ip[ADDR_TEXT], length[8], port[8] = "";
	bool brackets = !l->secure.name[0] && !addr_is_v4(&l->to.ip);
	if (l->to.port != DNS_HTTPS_PORT)
		snprintf(port, sizeof(port), ":%u", l->to.port);
	snprintf(authority, sizeof(authority), "%s%s%s%s", brackets ? "[" : "",
		l->secure.name[0] ? l->secure.name : addr_format(&l->to.ip, ip), brackets ? "]" : "", port);
	snprintf(length, sizeof(length), "%u", t->len);
	const nghttp2_nv head[] = { pair(":method", "POST"), pair(":scheme", "https"),
		pair(":authority", authority), pair(":path", l->secure.path), pair("accept", media_type),
		pair("content-type", media_type), pair("content-length", length) };
	nghttp2_data_provider body = { .read_callback = body_read };
	t->over = t->dns = t->refused = false;
	t->status = 0;
	t->out_at = 0;
	buf_free(&t->body);
	be_put(t->msg, 2, 0);
	int32_t id = nghttp2_submit_request(l->state, NULL, head, ARRAY_LEN(head), &body, NULL);
	if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE)
		l->stale = true;
	if (id < 0)
		return -ENOMEM;
	t->wire_id = (uint32_t)id;
	return pump(l);
}

static int https_open(struct link *l)
{
	const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX } };
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_session *session = NULL;
	if (nghttp2_session_callbacks_new(&cb))
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_header_callback(cb, header_came);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, data_came);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, stream_ended);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, frame_came);
	int err = nghttp2_session_client_new(&session, cb, l);
	nghttp2_session_callbacks_del(cb);
	if (err)
		return -ENOMEM;
	l->state = session;
	err = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
	return err ? -ENOMEM : pump(l);
}

/* false: the link is gone. */
static bool deliver(struct link *l, struct link_question *t)
{
	if (t->refused)
		return link_move(l, t, ERR_CLOSED);
	if (t->status != HTTP_OK || !t->dns || t->body.len < DNS_HEADER)
		return link_refuse(l, t, t->status && t->status != HTTP_OK ? -EPROTO : ERR_MALFORMED);
	size_t len = t->body.len;
	memcpy(l->x->big, buf_data(&t->body), len);
	return link_answer(l, t, l->x->big, len);
}

static int https_received(struct link *l, const uint8_t *p, size_t len)
{
	if (nghttp2_session_mem_recv(l->state, p, len) < 0)
		return ERR_MALFORMED;
	for (struct link_question *t = l->questions; t;)
		if (!t->over)
			t = t->next;
		else if (deliver(l, t))
			t = l->questions; /* any of them may be gone */
		else
			return 0;
	int code = pump(l);
	if (code)
		return code == ERR_CLOSED ? 0 : code; /* the stream tells its end itself */
	return nghttp2_session_want_read(l->state) || nghttp2_session_want_write(l->state) ? 0 : ERR_CLOSED;
}

static void https_give_up(struct link *l, struct link_question *t)
{
	if (t->wire_id && !t->over &&
		!nghttp2_submit_rst_stream(l->state, NGHTTP2_FLAG_NONE, (int32_t)t->wire_id, NGHTTP2_CANCEL))
		(void)pump(l); /* an end of the stream is told by it */
}

static void https_close(struct link *l)
{
	nghttp2_session_del(l->state);
}

const struct framing framing_https = { .alpn = "h2",
	.open = https_open,
	.ask = https_ask,
	.received = https_received,
	.give_up = https_give_up,
	.close = https_close };
