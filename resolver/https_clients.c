/* DNS over HTTPS for clients, RFC 8484: POST and GET at /dns-query, HTTP/2 alone.
 *
 * A request is a struct secure_request from its header on, and nghttp2's data of its stream; it ends with the stream. In
 * between it is read, asked (the core may answer at once), answered and sent, at whatever pace the client reads: bodies
 * of answers that wait are counted over all clients, and of what waits beside them there is never more than one reading of
 * the connection gives. */
#include "resolver/secure_clients.h"

#include "mesh/base/key.h"
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>

enum {
	HTTP_OK = 200,
	HTTP_BAD = 400,
	HTTP_NO_PLACE = 404,
	HTTP_NO_METHOD = 405,
	HTTP_TOO_LONG = 413,
	HTTP_NO_MEDIA = 415,
	HEADERS_MAX = 16384,
	BASE64_IN = (SECURE_MESSAGE_IN + 2) / 3 * 4,
};

static const char place[] = "/dns-query", parameter[] = "dns=", media_type[] = "application/dns-message";

/* ---- answers ---- */

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv) { .name = (uint8_t *)name,
		.value = (uint8_t *)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
		.flags = NGHTTP2_NV_FLAG_NONE };
}

static ssize_t body_read(nghttp2_session *session, int32_t stream, uint8_t *p, size_t cap, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	struct secure_request *q = source->ptr;
	size_t left = q->body.len - q->out_at, n = left < cap ? left : cap;
	(void)session;
	(void)stream;
	(void)user;
	memcpy(p, buf_data(&q->body) + q->out_at, n);
	q->out_at += n;
	if (n == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* RFC 8484 5.1: no longer than the shortest record lives. */
static int https_reply(struct secure_client *c, struct secure_request *q, uint8_t *msg, size_t len)
{
	char length[16], age[32];
	nghttp2_data_provider body = { .source.ptr = q, .read_callback = body_read };
	if (!secure_request_hold(q, msg, len))
		return -ENOMEM;
	snprintf(length, sizeof(length), "%zu", len);
	snprintf(age, sizeof(age), "max-age=%u", dns_min_ttl(msg, len));
	const nghttp2_nv head[] = { pair(":status", "200"), pair("content-type", media_type),
		pair("content-length", length), pair("cache-control", age) };
	q->out_at = 0;
	return nghttp2_submit_response(c->state, q->stream, head, ARRAY_LEN(head), &body) ? -ENOMEM : 0;
}

static int error_reply(struct secure_client *c, struct secure_request *q, unsigned status)
{
	char text[8];
	snprintf(text, sizeof(text), "%u", status);
	const nghttp2_nv head[] = { pair(":status", text), pair("content-length", "0") };
	return nghttp2_submit_response(c->state, q->stream, head, ARRAY_LEN(head), NULL);
}

/* ---- requests ---- */

/* The question into out, or a status. */
static unsigned question_take(
	const struct secure_request *q, uint8_t out[static SECURE_MESSAGE_IN], size_t *len)
{
	if (!q->path)
		return HTTP_NO_PLACE;
	if (q->method == HTTP_OTHER)
		return HTTP_NO_METHOD;
	if (q->long_body)
		return HTTP_TOO_LONG;
	if (q->method == HTTP_POST && !q->media)
		return HTTP_NO_MEDIA;
	if (q->method == HTTP_POST && !q->posted)
		return HTTP_BAD;
	long n = q->method == HTTP_GET ? base64url_decode((const char *)buf_data(&q->body), q->body.len, out,
						 SECURE_MESSAGE_IN)
				       : (long)q->body.len;
	if (n < DNS_HEADER)
		return HTTP_BAD;
	if (q->method == HTTP_POST)
		memcpy(out, buf_data(&q->body), (size_t)n);
	*len = (size_t)n;
	return HTTP_OK;
}

static int request_ended(struct secure_client *c, struct secure_request *q)
{
	uint8_t msg[SECURE_MESSAGE_IN];
	size_t len = 0;
	unsigned status = question_take(q, msg, &len);
	q->begun_ms = 0;
	buf_free(&q->body);
	if (status == HTTP_OK && secure_request_ask(q, msg, len))
		return 0;
	return error_reply(c, q, status == HTTP_OK ? HTTP_BAD : status) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static bool is_text(const uint8_t *p, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(p, want, len) == 0;
}

static bool begins(const uint8_t *p, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

/* "/dns-query", and "dns=" among what stands behind a "?". */
static void path_take(struct secure_request *q, const uint8_t *p, size_t len)
{
	size_t at = sizeof(place) - 1;
	q->path = begins(p, len, place) && (len == at || p[at] == '?');
	while (q->path && at < len) {
		size_t end = ++at;
		while (end < len && p[end] != '&')
			end++;
		if (begins(p + at, end - at, parameter)) {
			at += sizeof(parameter) - 1;
			q->long_body = end - at > BASE64_IN;
			if (!q->long_body && !q->body.len && !buf_append(&q->body, p + at, end - at))
				q->path = false;
		}
		at = end;
	}
}

static int headers_began(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct secure_client *c = user;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct secure_request *q = secure_request_new(c);
	if (!q)
		return nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
	q->stream = frame->hd.stream_id;
	secure_client_waits(c);
	return nghttp2_session_set_stream_user_data(session, q->stream, q);
}

static int header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct secure_request *q = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	(void)flags;
	(void)user;
	if (!q || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (is_text(name, name_len, ":path"))
		path_take(q, value, len);
	else if (is_text(name, name_len, ":method"))
		q->method = is_text(value, len, "GET")	  ? HTTP_GET
			    : is_text(value, len, "POST") ? HTTP_POST
							  : HTTP_OTHER;
	else if (is_text(name, name_len, "content-type"))
		q->media = begins(value, len, media_type);
	return 0;
}

static int data_came(
	nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *p, size_t len, void *user)
{
	struct secure_request *q = nghttp2_session_get_stream_user_data(session, stream);
	(void)flags;
	(void)user;
	if (!q || q->method != HTTP_POST || q->asked || q->long_body)
		return 0;
	if (!q->posted) /* what stood behind the "?" is not what is posted */
		buf_free(&q->body);
	q->posted = true;
	q->long_body = len > SECURE_MESSAGE_IN - q->body.len || !buf_append(&q->body, p, len);
	return 0;
}

static int frame_came(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	bool ends = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
		    frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct secure_request *q =
		ends ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
	if (!q)
		return 0;
	return request_ended(user, q);
}

static int stream_ended(nghttp2_session *session, int32_t stream, uint32_t error_code, void *user)
{
	struct secure_request *q = nghttp2_session_get_stream_user_data(session, stream);
	(void)error_code;
	(void)user;
	if (q)
		secure_request_drop(q);
	return 0;
}

/* ---- the connection ---- */

static int https_flush(struct secure_client *c)
{
	nghttp2_session *session = c->state;
	const uint8_t *p;
	ssize_t n = 0;
	int code = c->broken ? ERR_CLOSED : 0;
	while (!code && stream_queued(c->stream) < SECURE_OUT / 2 &&
		(n = nghttp2_session_mem_send(session, &p)) > 0)
		code = stream_write(c->stream, p, (size_t)n);
	if (code || n < 0)
		return code ? code : -ENOMEM;
	/* Whatever it asks is answered, if by an error: who does not read is not heard until that is out. */
	stream_pause(c->stream, stream_queued(c->stream) >= SECURE_OUT / 2);
	return nghttp2_session_want_read(session) || nghttp2_session_want_write(session) ? 0 : ERR_CLOSED;
}

static int https_open(struct secure_client *c)
{
	const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
							    SECURE_PENDING },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX } };
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_session *session = NULL;
	if (nghttp2_session_callbacks_new(&cb))
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, headers_began);
	nghttp2_session_callbacks_set_on_header_callback(cb, header_came);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, data_came);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, frame_came);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, stream_ended);
	int err = nghttp2_session_server_new(&session, cb, c);
	nghttp2_session_callbacks_del(cb);
	c->state = err ? NULL : session;
	err = err ? err : nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
	return err ? -ENOMEM : https_flush(c);
}

static int https_received(struct secure_client *c, const uint8_t *p, size_t len)
{
	return nghttp2_session_mem_recv(c->state, p, len) < 0 ? ERR_MALFORMED : https_flush(c);
}

static void https_close(struct secure_client *c)
{
	nghttp2_session_del(c->state);
}

const struct secure_framing secure_framing_https = { .open = https_open,
	.received = https_received,
	.reply = https_reply,
	.flush = https_flush,
	.close = https_close };
