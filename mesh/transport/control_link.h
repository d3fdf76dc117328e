/* ts2021 whole: stream + Noise + HTTP/2 as one thing, both ends. tailscale-protocol.md 1.3-1.6. nghttp2
 * memory API. */
#ifndef RW_TRANSPORT_CONTROL_LINK_H
#define RW_TRANSPORT_CONTROL_LINK_H

#include "mesh/base/buf.h"
#include "mesh/base/key.h"
#include "mesh/transport/http.h"

/* --- client --- */
struct control_client_link;
struct control_client_events {
	void (*ready)(void *arg); /* requests may be made */
	void (*closed)(
		void *arg, int code, const char *why); /* once; also for failure to connect. Then free. */
	void *arg;
};
struct control_client_config {
	const char
		*server_url; /* http:// or https://; certificate errors are ignored: Noise pins the server */
	const struct endpoint *at;     /* connect here instead of resolving the host; may be NULL */
	const struct proxies *proxies; /* borrowed, as of stream_target; NULL = directly */
	const struct machine_private *machine;
	const struct machine_key *server; /* from /key */
	uint16_t capver;
	const struct random *rnd;
	void (*socket_hook)(void *arg, int fd);
	void *socket_arg;
};
struct control_client_link *control_client_open(
	struct loop *l, const struct control_client_config *c, const struct control_client_events *ev);
bool control_client_peer(
	const struct control_client_link *c, struct endpoint *out); /* false: not connected */
void control_client_close(
	struct control_client_link *c); /* requests in flight get no more events; NULL is fine */

struct h2_request;
struct h2_request_events {
	void (*head)(void *arg, int status); /* may be NULL */
	void (*data)(
		void *arg, const uint8_t *p, size_t len); /* window updates are sent for what was taken */
	void (*done)(void *arg, int code); /* 0 = orderly end of stream; request is freed after */
	void *arg;
};
/* method e.g. "POST", path e.g. "/machine/map"; body is copied. NULL: not ready or memory short; no event comes then. */
struct h2_request *control_client_request(struct control_client_link *c, const char *method, const char *path,
	const char *extra_header_name, const char *extra_header_value, const void *body, size_t len,
	const struct h2_request_events *ev);
void h2_request_cancel(struct h2_request *r); /* RST_STREAM; no event after */

/* --- server --- */
struct control_server_link;
struct h2_stream; /* one request being answered */
struct control_server_ops {
	/* Whole request (body <= 1 MiB, valid during the call; anybody has a machine key, so see charge).
	 * Answer with h2_respond*, now or later; s stays valid until `stream_gone` or the end of the answer.
	 */
	void (*request)(void *arg, struct control_server_link *c, struct h2_stream *s, const char *method,
		const char *path, const uint8_t *body, size_t len);
	void (*stream_gone)(void *arg, struct h2_stream *s,
		void *stream_data); /* reset or connection lost before the end */
	void (*closed)(void *arg, struct control_server_link *c, void *link_data); /* freed after */
	/* The link holds so many bytes more (requests that are not whole) or, negative, less. false: it may
	 * not, and the request is refused. Must not close this link. NULL: no limit but that of one link. */
	bool (*charge)(void *arg, struct control_server_link *c, void *link_data, long bytes);
	void *arg;
};
/* From the upgrade callback of http_server for POST /ts2021: takes the stream over. NULL: answered with 400
 * already. */
struct control_server_link *control_server_accept(struct loop *l, struct http_server_conn *conn,
	const struct http_head *head, const struct machine_private *us, const struct random *rnd,
	const struct control_server_ops *ops);
const struct machine_key *control_server_machine(const struct control_server_link *c);
uint16_t control_server_capver(const struct control_server_link *c);
void control_server_data_set(struct control_server_link *c, void *data);
void *control_server_data(const struct control_server_link *c);
bool control_server_peer(const struct control_server_link *c, struct endpoint *out);
/* Ends it: stream_gone for every answer that is still due, then GOAWAY; closed() is not called. NULL is fine.
 */
void control_server_close(struct control_server_link *c);

/* Where memory is short each of the h2_respond calls may lose the stream: stream_gone comes from inside it then, unless the
 * answer has ended, and s is gone. */
void h2_stream_data_set(struct h2_stream *s, void *data);
void *h2_stream_data(const struct h2_stream *s);
struct control_server_link *h2_stream_link(const struct h2_stream *s);
void h2_respond(
	struct h2_stream *s, int status, const char *content_type, const void *body, size_t len); /* whole */
void h2_respond_begin(struct h2_stream *s, int status, const char *content_type);
int h2_respond_chunk(struct h2_stream *s, const void *p, size_t len); /* queued; ERR_TOO_LARGE above 8 MiB */
void h2_respond_end(struct h2_stream *s);
/* Ends it though not all was sent; what waits for the other side's window is dropped. */
void h2_respond_cut(struct h2_stream *s);

/* --- framing of map messages: u32 LE length and zstd frames (one, or one for each part) (or plain when the
 * request asked none)
 * ------- */
/* What packs, kept from one to the next: making its tables anew costs more than packing a small message. NULL: memory is
 * short. Where one is asked for below, NULL packs nothing. */
struct map_packer;
struct map_packer *map_packer_new(void);
void map_packer_free(struct map_packer *m); /* NULL is fine */
/* Appends a part of a message to it, packed alone: parts that many messages have need be packed once. What
 * unpacks a message takes any number of zstd frames. 0, ERR_TOO_LARGE. */
int map_part_write(const void *json, size_t len, struct map_packer *packer, struct buf *message);
/* The same for a part that one message alone has: a short one is packed in a hurry. */
int map_rest_write(const void *json, size_t len, struct map_packer *packer, struct buf *message);
/* Appends one framed message. */
int map_frame_write(const void *json, size_t len, struct map_packer *packer, struct buf *out);
/* Feed bytes; calls message() for each whole one, decompressed (cap 16 MiB). Failure is final. */
struct map_frames; /* reader state */
struct map_frames *map_frames_new(bool zstd);
int map_frames_feed(struct map_frames *m, const uint8_t *p, size_t len,
	void (*message)(void *arg, const char *json, size_t len), void *arg);
void map_frames_free(struct map_frames *m);

#endif
