#include "mesh/transport/http_parse.h"

#include <string.h>
#include <strings.h>

/* What http_parser lets pass and we do not (RFC 9112 6.1, 7.1): a proxy in front may have cut the stream into
 * messages in another way, and then one client's bytes would be taken for another's request. Its own checks
 * and these are the table of test/http_parse_test.c. */
static bool coding_understood(const struct http_parse *h, const http_parser *p)
{
	const char *coding = http_header(&h->head, "transfer-encoding");
	return !coding || (strcasecmp(coding, "chunked") == 0 && p->http_minor > 0);
}

/* The CRLF behind a chunk's data: taken from the stream by its place, since http_parser reads any two bytes
 * there. */
static bool chunk_ends(struct http_parse *h, const uint8_t *p, size_t len)
{
	for (; h->crlf_left && len; p++, len--) {
		if (*p != (h->crlf_left-- == 2 ? '\r' : '\n'))
			return false;
	}
	return true;
}

static struct http_parse *owner(http_parser *p)
{
	return p->data;
}

static int http_parse_fail(struct http_parse *h, int code)
{
	h->fault = code;
	return -1;
}

static bool add_text(struct http_parse *h, const char *p, size_t len)
{
	return buf_append(&h->text, p, len);
}

static int on_url(http_parser *p, const char *at, size_t len)
{
	struct http_parse *h = owner(p);
	return add_text(h, at, len) ? 0 : http_parse_fail(h, ERR_TOO_LARGE);
}

static int on_field(http_parser *p, const char *at, size_t len)
{
	struct http_parse *h = owner(p);
	if (h->headers_done)
		return 0; /* trailers */
	if (h->in_value || !h->n_headers) {
		if (h->n_headers == HTTP_HEADERS_MAX || !add_text(h, "", 1))
			return http_parse_fail(h, ERR_TOO_LARGE);
		h->name_at[h->n_headers++] = h->text.len;
		h->in_value = false;
	}
	return add_text(h, at, len) ? 0 : http_parse_fail(h, ERR_TOO_LARGE);
}

static int on_value(http_parser *p, const char *at, size_t len)
{
	struct http_parse *h = owner(p);
	if (h->headers_done)
		return 0;
	if (!h->in_value) {
		if (!add_text(h, "", 1))
			return http_parse_fail(h, ERR_TOO_LARGE);
		h->value_at[h->n_headers - 1] = h->text.len;
		h->in_value = true;
	}
	return add_text(h, at, len) ? 0 : http_parse_fail(h, ERR_TOO_LARGE);
}

/* A request names one host: doors ask which it is, and who reads it may take the other (RFC 9112 3.2). */
static bool host_is_one(const struct http_head *h, const char *host)
{
	const char *at = h->method ? strstr(h->target, "://") : NULL;
	if (!at || !host || h->target[0] == '/')
		return true;
	at += 3;
	size_t len = strcspn(at, "/?#");
	return strlen(host) == len && strncasecmp(at, host, len) == 0;
}

static int on_headers(http_parser *p)
{
	struct http_parse *h = owner(p);
	const char *text = buf_cstr(&h->text);
	if (!text)
		return http_parse_fail(h, ERR_TOO_LARGE);
	h->headers_done = true;
	h->head = (struct http_head) {
		.method = p->type == HTTP_REQUEST ? http_method_str((enum http_method)p->method) : NULL,
		.target = p->type == HTTP_REQUEST ? text + h->target_at : NULL,
		.status = p->type == HTTP_RESPONSE ? (int)p->status_code : 0,
		.n_headers = h->n_headers,
		.keep_alive = http_should_keep_alive(p),
		.upgrade = p->upgrade,
		.content_length = p->content_length == UINT64_MAX ? -1 : (int64_t)p->content_length,
	};
	const char *host = NULL;
	for (size_t i = 0; i < h->n_headers; i++) {
		h->head.headers[i] = (struct http_header) { text + h->name_at[i], text + h->value_at[i] };
		/* Whom the parser lets through here, a proxy in front may have understood (RFC 9112 5.1). */
		if (strchr(h->head.headers[i].name, ' '))
			return http_parse_fail(h, ERR_MALFORMED);
		if (p->type != HTTP_REQUEST || strcasecmp(h->head.headers[i].name, "Host") != 0)
			continue;
		if (host)
			return http_parse_fail(h, ERR_MALFORMED);
		host = h->head.headers[i].value;
	}
	/* RFC 9110 15: three digits */
	bool no_status = p->type == HTTP_RESPONSE && p->status_code < 100;
	if (p->http_major != 1 || no_status || !coding_understood(h, p) || !host_is_one(&h->head, host))
		return http_parse_fail(h, ERR_MALFORMED);
	if (p->type == HTTP_REQUEST && p->method == HTTP_CONNECT)
		return http_parse_fail(h, ERR_UNSUPPORTED);
	if (h->body_most)
		h->body.cap = h->body_most(h->arg, &h->head);
	if (h->stop_at_head)
		http_parser_pause(p, 1);
	return h->no_body && !p->upgrade ? 1 : 0;
}

static int on_chunk(http_parser *p)
{
	struct http_parse *h = owner(p);
	h->chunk_left = p->content_length;
	return 0;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
	struct http_parse *h = owner(p);
	const uint8_t *end = (const uint8_t *)at + len;
	if (h->chunk_left && (h->chunk_left -= len) == 0) {
		h->crlf_left = 2;
		if (!chunk_ends(h, end, (size_t)(h->input_end - end)))
			return http_parse_fail(h, ERR_MALFORMED);
	}
	if (h->chunk)
		h->chunk(h->arg, (const uint8_t *)at, len);
	else if (!buf_append(&h->body, at, len))
		return http_parse_fail(h, ERR_TOO_LARGE);
	return 0;
}

static int on_complete(http_parser *p)
{
	owner(p)->complete = true;
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings callbacks = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_complete,
	.on_chunk_header = on_chunk,
};

void http_parse_init(struct http_parse *h, bool request, size_t body_cap)
{
	memset(h, 0, sizeof(*h));
	http_parser_init(&h->parser, request ? HTTP_REQUEST : HTTP_RESPONSE);
	h->parser.data = h;
	h->text.cap = HTTP_HEAD_BYTES_MAX;
	h->body.cap = body_cap;
	h->text.secret = h->body.secret = true; /* keys, cookies */
}

void http_parse_fini(struct http_parse *h)
{
	buf_free(&h->text);
	buf_free(&h->body);
}

void http_parse_next(struct http_parse *h)
{
	buf_free(&h->text);
	buf_free(&h->body);
	h->n_headers = 0;
	h->in_value = h->headers_done = h->complete = false;
	if (!h->fault) /* what cannot be read stays so: the parser knows of no way out, and asserts */
		http_parser_pause(&h->parser, 0);
}

long http_parse_feed(struct http_parse *h, const uint8_t *p, size_t len)
{
	if (!h->fault && !chunk_ends(h, p, len))
		h->fault = ERR_MALFORMED;
	if (h->fault)
		return h->fault;
	if (h->headers_done && !h->complete)
		http_parser_pause(&h->parser, 0);
	h->input_end = p ? p + len : NULL;
	size_t used = http_parser_execute(&h->parser, &callbacks, (const char *)p, len);
	enum http_errno err = HTTP_PARSER_ERRNO(&h->parser);
	if (err != HPE_OK && !(err == HPE_PAUSED && (h->complete || h->stop_at_head))) {
		if (!h->fault)
			h->fault = err == HPE_HEADER_OVERFLOW ? ERR_TOO_LARGE : ERR_MALFORMED;
		return h->fault;
	}
	return (long)used;
}

void http_parse_move(struct http_parse *to, struct http_parse *from)
{
	*to = *from;
	to->parser.data = to;
	from->text = from->body = (struct buf) { 0 };
}
