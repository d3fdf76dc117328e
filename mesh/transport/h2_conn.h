/* HTTP/2 over Noise records over a stream: what both ends of a control link share. nghttp2 memory API. */
#ifndef RW_TRANSPORT_H2_CONN_H
#define RW_TRANSPORT_H2_CONN_H

#include "mesh/base/buf.h"
#include "mesh/transport/noise_link.h"
#include "mesh/transport/stream.h"
#include <nghttp2/nghttp2.h>

struct h2_conn {
	struct loop *loop;
	struct stream *stream;	  /* owned; NULL before the upgrade */
	struct noise_link *noise; /* owned; NULL before the handshake is done */
	nghttp2_session *session; /* owned */
	struct loop_timer *timer; /* pings, and the end of a link that does not answer them */
	uint64_t heard_ms;
	/* The link failed: from the loop, at most once, never from inside the session. */
	void (*broken)(void *arg, int code, const char *why);
	/* Frees what embeds this, when it was closed and nobody is inside. */
	void (*release)(void *arg);
	void *arg;
	unsigned inside; /* calls into the session on the stack */
	unsigned busy;	 /* events being delivered */
	bool dead;	 /* closed by its owner: no events any more */
};

/* Around everything that may call the owner. leave: false when the link was freed. */
void h2_conn_enter(struct h2_conn *c);
bool h2_conn_leave(struct h2_conn *c);
void h2_conn_close(struct h2_conn *c); /* dead now, released as soon as nobody is inside */

/* For the callbacks of both ends: how long a DATA frame may be. */
ssize_t h2_conn_data_length(nghttp2_session *session, uint8_t type, int32_t id, int32_t session_window,
	int32_t stream_window, uint32_t frame_max, void *user);
/* Sends SETTINGS (and as client the preface) with the next pump. 0 or -ENOMEM. */
int h2_conn_start(struct h2_conn *c, bool server, const nghttp2_session_callbacks *cb, void *user);
/* Decrypted bytes into the session, and out what it has to say. 0 or a code with why; the session's callbacks
 * may have closed the link: then it returns ERR_CLOSED. */
int h2_conn_receive(struct h2_conn *c, const uint8_t *p, size_t len, const char **why);
/* Sends what the session wants to send, as far as the stream's queue is short. Nothing when called from
 * inside. Owners are called: a closed link may be gone afterwards. */
void h2_conn_pump(struct h2_conn *c);
void h2_conn_send_plain(
	struct h2_conn *c, const void *p, size_t len); /* ahead of HTTP/2: the early payload */
void h2_conn_fini(struct h2_conn *c, bool flush);      /* not while inside */

#endif
