/* Shared by the files of stream.h: a stream's life once it is open (stream.c), and how it gets there (stream_dial.c). */
#ifndef RW_TRANSPORT_STREAM_INNER_H
#define RW_TRANSPORT_STREAM_INNER_H

#include "mesh/base/buf.h"
#include "mesh/os/resolve.h"
#include "mesh/transport/stream.h"
#include "mesh/transport/tls.h"

enum { OPEN_TIMEOUT_MS = 10000 };

enum state {
	RESOLVING,  /* dial->lookup is in flight; no socket */
	CONNECTING, /* socket there, waiting for it to be writable */
	TUNNELLING, /* from here dial->at[dial->next - 1] is the one; a proxy is asked for the way to the host */
	HANDSHAKE, /* TLS */
	OPEN,	   /* opened() was called; data flows */
	FLUSHING,  /* the owner has left; sends what is queued until the timer fires */
	LINGERING, /* all sent; reads until the other side closes, so that our close does not become a reset
		     */
	ENDED,	   /* closed() was called, or is due: the socket is gone */
};

/* What is needed only until the stream is open. */
struct dial {
	char host[256];
	uint16_t port;
	struct tunnel *tunnel; /* NULL: no proxy, the host itself is dialled */
	struct resolve *lookup;
	struct endpoint at[RESOLVE_MAX];
	size_t n, next;
	uint64_t deadline_ms;
	void (*socket_hook)(void *arg, int fd);
	void *socket_arg;
	struct tls_check check;
};

struct stream {
	struct loop *loop;
	struct stream_events ev;
	struct loop_fd *watch;
	struct loop_timer *timer; /* by state: time-out, or at once: more to read or an end to report */
	struct tls *tls;
	SSL *ssl;
	struct dial *dial;
	struct buf out, unread;
	bool unread_seen; /* the rest of frames: without more behind it they cannot use it */
	char *end_why;	  /* owned; with end_code: an end still to be reported */
	int end_code;
	int fd;
	enum state state;
	unsigned busy; /* events being delivered: freeing waits for them */
	bool paused, accepted, end_due, waited, dead, has_metacert;
	int want; /* LOOP_ mask of what the proxy is told, and of the TLS handshake */
	uint8_t metacert[32];
};

/* stream.c */
/* Without a socket. NULL: memory is short. */
struct stream *stream_new(struct loop *l, const struct stream_events *ev);
void stream_release(struct stream *s);
void stream_drop_socket(struct stream *s);
/* Waits for s->fd to be connected. false: memory is short. */
bool stream_watch_socket(struct stream *s);
/* Reports the end from an event of the loop; the caller touches s no more. */
void stream_end(struct stream *s, int code, const char *why);
/* The same at the next turn of the loop: callers of stream_write are not prepared for events. */
void stream_end_later(struct stream *s, int code, const char *why);

/* The way to the host is there: TLS, or open. */
void stream_connected(struct stream *s);
void stream_watch_for(struct stream *s); /* by state */

/* stream_dial.c */
/* The address that was tried does not answer: the next one, or the end. */
void stream_connect_failed(struct stream *s, int code);
void stream_drop_dial(struct stream *s); /* without one is fine */
enum { STREAM_DIALLED = 300 };
const char *stream_dialled(const struct dial *d, char buf[static STREAM_DIALLED]); /* whom, for people */

/* stream_proxy.c */
struct proxy;
/* Made before there is a socket. NULL: memory is short. */
struct tunnel *stream_tunnel_new(const struct proxy *by, const char *host, uint16_t port);
void stream_tunnel_free(struct tunnel *t); /* NULL is fine */
const struct proxy *stream_tunnel_by(const struct tunnel *t);
void stream_tunnel_begin(struct stream *s); /* the proxy's socket is connected */
void stream_tunnel_step(struct stream *s);
void stream_tunnel_timed_out(struct stream *s);

#endif
