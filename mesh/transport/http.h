/* HTTP/1.1 for all that speak it: upgrades (/ts2021, /derp), /key, LocalAPI, admin pages, probes. One parser
 * (http_parser) underneath. RFC 9112. */
#ifndef RW_TRANSPORT_HTTP_H
#define RW_TRANSPORT_HTTP_H

#include "mesh/base/buf.h"
#include "mesh/transport/stream.h"

enum { HTTP_HEADERS_MAX = 64, HTTP_HEAD_BYTES_MAX = 16384 };
struct http_header {
	const char *name, *value;
};
struct http_head {
	const char *method, *target; /* request */
	int status;		     /* response */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t n_headers;
	bool keep_alive, upgrade;
	int64_t content_length; /* -1 unknown */
};
/* Case-insensitive; NULL when absent. */
const char *http_header(const struct http_head *h, const char *name);
/* Path part of the target into out[cap] (percent-decoded); false when too long or malformed: out is as it was. */
bool http_target_path(const struct http_head *h, char *out, size_t cap);
enum http_value { HTTP_VALUE_NONE, HTTP_VALUE_GOOD, HTTP_VALUE_BAD /* too long or malformed */ };
/* Decoded value of a query parameter; false when absent, too long or malformed: out is as it was. */
bool http_target_query(const struct http_head *h, const char *name, char *out, size_t cap);
/* The nth parameter of the query, from 0, decoded. HTTP_VALUE_NONE: there are not so many; BAD: too long or malformed. */
enum http_value http_target_nth(
	const struct http_head *h, size_t nth, char *name, size_t name_cap, char *out, size_t cap);
/* The same of a body that is a form (application/x-www-form-urlencoded); NULL where len is 0. */
bool http_form_value(const void *form, size_t len, const char *name, char *out, size_t cap);
/* The same two for what may be left out: what was asked wrongly is told from what was not asked. Only HTTP_VALUE_GOOD
 * changes out, so a default may stand in it. */
enum http_value http_target_find(const struct http_head *h, const char *name, char *out, size_t cap);
enum http_value http_form_find(const void *form, size_t len, const char *name, char *out, size_t cap);
const char *http_status_text(int status);
/* text as one part of a path, or the value of a query; as much of it as fits into out[cap]. */
void http_escape(const char *text, char *out, size_t cap);

/* The other way round, of len bytes; false: too long, badly encoded, or with a NUL. */
bool http_unescape(const char *text, size_t len, char *out, size_t cap);

/* Server side of one connection. Takes over the stream (events too) and frees itself and it at the end. */
struct http_server_conn;
struct http_server_ops {
	/* One whole request (body capped by body_cap). Answer now or later with http_reply... on the same
	 * conn. head and body are valid during the call. */
	void (*request)(void *arg, struct http_server_conn *c, const struct http_head *head,
		const uint8_t *body, size_t len);
	/* Request with Upgrade: true = taken (http_upgrade_take) or answered; false = treat as an ordinary
	 * request. May be NULL. */
	bool (*upgrade)(void *arg, struct http_server_conn *c, const struct http_head *head);
	/* The head of a request is there and its body not: true = answered now, or taken to move the body on another
	 * thread (http_carry_take); false = an ordinary request. May be NULL. */
	bool (*streamed)(void *arg, struct http_server_conn *c, const struct http_head *head);
	/* c is about to be freed, for whatever reason but an upgrade; its stream may still send. May be NULL.
	 */
	void (*gone)(void *arg, struct http_server_conn *c);
	void *arg;
	/* How long the body of this one request may be, asked when its head is there. NULL: body_cap. */
	size_t (*body_most)(void *arg, struct http_server_conn *c, const struct http_head *head);
	size_t body_cap;  /* 0 = 1 MiB */
	uint64_t idle_ms; /* 0 = 60 s */
};
/* Takes over s, and closes it when it gives NULL (memory is short, or s is NULL). */
struct http_server_conn *http_server_accept(
	struct loop *l, struct stream *s, const struct http_server_ops *ops);
struct stream *http_conn_stream(struct http_server_conn *c);
void http_conn_data_set(struct http_server_conn *c, void *data); /* user's own per-connection data */
void *http_conn_data(const struct http_server_conn *c);
/* Whole answer. extra: "Name: value\r\n" lines or NULL. */
void http_reply(struct http_server_conn *c, int status, const char *content_type, const char *extra,
	const void *body, size_t len);
/* Ends the connection now, answered or not; gone() is told. flush: what is queued is still sent. */
void http_server_close(struct http_server_conn *c, bool flush);
/* Long answer in chunks; end with http_reply_end. http_reply_chunk is an error code as stream_write. */
void http_reply_begin(struct http_server_conn *c, int status, const char *content_type, const char *extra);
int http_reply_chunk(struct http_server_conn *c, const void *p, size_t len);
void http_reply_end(struct http_server_conn *c);
/* Long answer made as the other side takes it: what waits to be sent stays below HTTP_AHEAD_MAX and one
 * piece. A side that takes nothing for idle_ms is closed. */
enum { HTTP_AHEAD_MAX = 128 * 1024 };
struct http_source {
	bool (*next)(void *arg, struct buf *out); /* appends a piece; false: that was the last */
	void (*ended)(void *arg);		  /* once: no call after; the answer is out, or c is gone */
	void *arg;
};
void http_reply_source(
	struct http_server_conn *c, int status, const char *content_type, const struct http_source *from);
/* Detaches the stream after an upgrade request: writes the head ("HTTP/1.1 101 ..." made from status and
 * extra, nothing when status is 0), frees c, and returns the stream. Bytes that followed the request come
 * to ev->data later, from the loop. */
struct stream *http_upgrade_take(
	struct http_server_conn *c, int status, const char *extra, const struct stream_events *ev);

/* Client: one request on a fresh stream. */
struct http_client;
struct http_request {
	struct stream_target to; /* or: */
	const char *unix_path;
	const char *method, *target, *host; /* host: Host header */
	const char *extra;		    /* header lines or NULL */
	const void *body;
	size_t body_len;
	const char *content_type;
	size_t body_cap;     /* of the answer; 0 = 4 MiB */
	uint64_t timeout_ms; /* whole exchange; 0 = 10 s; UINT64_MAX = none (long polls) */
};
struct http_client_events {
	/* Whole answer, unless `chunk` is set. Exactly one of done/failed/upgraded, once; the client is freed
	 * after it. */
	void (*done)(void *arg, const struct http_head *head, const uint8_t *body, size_t len);
	void (*chunk)(void *arg, const uint8_t *p,
		size_t len); /* body as it comes; done then has len 0; may be NULL */
	void (*failed)(void *arg, int code, const char *why);
	/* 101: the stream is the caller's: set its events at once; leftover: bytes behind the head. NULL =
	 * not expected. */
	void (*upgraded)(void *arg, const struct http_head *head, struct stream *s, const uint8_t *leftover,
		size_t len);
	void *arg;
};
/* NULL: memory is short, or target or host would end their word of the head: blanks and controls have no place there. */
struct http_client *http_request(
	struct loop *l, const struct http_request *rq, const struct http_client_events *ev);
void http_client_cancel(struct http_client *c); /* no event after; NULL is fine */

/* "http://host:port/path" split; port 0 filled by scheme. */
struct url {
	bool https;
	char host[256];
	uint16_t port;
	char path[512];
};
bool url_parse(const char *text, struct url *out);
/* Where text leads that was found at base: a whole URL, "//host/path", "/path", "path", "?query" (RFC 3986 5.2). */
bool url_join(const struct url *base, const char *text, struct url *out);
/* As a Host header has it (RFC 9110 7.2): an IPv6 address in brackets, a port that is not the scheme's. Returns out. */
enum { URL_HOST_TEXT = 256 + sizeof("[]:65535") };
char *url_host(const struct url *u, char out[static URL_HOST_TEXT]);
/* "https://host" and "https://HOST:443/" lead to one server. */
bool url_same(const char *a, const char *b);

#endif
