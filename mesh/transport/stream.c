#include "mesh/transport/stream_inner.h"

#include "mesh/os/sock.h"
#include "mesh/transport/io.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	DEPTH_MAX = 64, /* calls into the owner on one stack */
	READS_PER_WAKEUP = 4,
	QUEUE_CAP = 4 * 1024 * 1024,
	FLUSH_MS = 2000,
	LINGER_MS = 500,
};

static void fd_ready(void *arg, int events);

/* --- life and end --- */

void stream_drop_socket(struct stream *s)
{
	loop_fd_free(s->watch);
	s->watch = NULL;
	SSL_free(s->ssl);
	s->ssl = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void stream_release(struct stream *s)
{
	if (s->state == FLUSHING || s->state == LINGERING)
		loop_release(s->loop);
	stream_drop_socket(s);
	stream_drop_dial(s);
	loop_timer_free(s->timer);
	s->timer = NULL;
	tls_free(s->tls);
	s->tls = NULL;
	buf_free(&s->out);
	buf_free(&s->unread);
	s->dead = true;
	if (s->busy)
		return;
	free(s->end_why);
	free(s);
}

static void stream_enter(struct stream *s)
{
	assert(s->busy < DEPTH_MAX);
	s->busy++;
}

/* false when the stream was freed meanwhile. */
static bool stream_leave(struct stream *s)
{
	if (--s->busy == 0 && s->dead) {
		free(s->end_why);
		free(s);
		return false;
	}
	return !s->dead;
}

void stream_end(struct stream *s, int code, const char *why)
{
	if (s->state == FLUSHING || s->state == LINGERING) {
		stream_release(s);
		return;
	}
	stream_drop_socket(s);
	stream_drop_dial(s);
	buf_free(&s->out);
	loop_timer_clear(s->timer);
	s->state = ENDED;
	stream_enter(s);
	s->ev.closed(s->ev.arg, code, why);
	stream_leave(s);
}

void stream_end_later(struct stream *s, int code, const char *why)
{
	if (s->end_due)
		return;
	s->end_due = true;
	s->end_code = code;
	s->end_why = strdup(why);
	loop_timer_set(s->timer, 0);
}

void stream_watch_for(struct stream *s)
{
	int events = 0;
	switch (s->state) {
	case CONNECTING: events = LOOP_WRITE; break;
	case TUNNELLING:
	case HANDSHAKE: events = s->want; break;
	case OPEN: events = (s->paused ? 0 : LOOP_READ) | (stream_queued(s) ? LOOP_WRITE : 0); break;
	case FLUSHING: events = LOOP_WRITE; break;
	case LINGERING: events = LOOP_READ; break;
	case RESOLVING:
	case ENDED: break;
	}
	if (s->watch)
		loop_fd_set(s->watch, events);
}

/* --- bytes --- */

static void keep_rest(struct stream *s, const uint8_t *p, size_t len)
{
	if (!buf_append(&s->unread, p, len))
		stream_end_later(s, -ENOMEM, "out of memory");
	s->unread_seen = true;
}

/* false when the owner stopped reading. *rest: bytes at the end of p that it has not used; what is left when it stops is
 * kept. */
static bool deliver(struct stream *s, uint8_t *p, size_t len, size_t *rest)
{
	size_t used = len;
	*rest = 0;
	stream_enter(s);
	if (s->ev.frames)
		used = s->ev.frames(s->ev.arg, p, len);
	else
		s->ev.data(s->ev.arg, p, len);
	bool open = !s->dead && s->state == OPEN, more = open && !s->paused;
	if (more)
		*rest = len - used;
	else if (open && used < len)
		keep_rest(s, p + used, len - used);
	return stream_leave(s) && more;
}

/* What waits; its rest comes into chunk, of STREAM_REST_MAX at least. */
static bool deliver_unread(struct stream *s, uint8_t *chunk, size_t *rest)
{
	struct buf b = s->unread;
	bool more = true;
	s->unread = (struct buf) { .secret = b.secret };
	*rest = b.len;
	if (b.len && !s->unread_seen)
		more = deliver(s, buf_data(&b), b.len, rest);
	if (more && *rest && *rest <= STREAM_REST_MAX)
		memcpy(chunk, buf_data(&b) + b.len - *rest, *rest);
	buf_free(&b);
	return more;
}

static bool rest_is_bounded(struct stream *s, size_t rest)
{
	if (rest <= STREAM_REST_MAX)
		return true;
	stream_end(s, ERR_TOO_LARGE, "a frame is too large");
	return false;
}

/* false: it ended, or the owner stopped reading. */
static bool read_turn(struct stream *s)
{
	uint8_t chunk[STREAM_REST_MAX + STREAM_READ_SIZE] BUF_UNSET;
	size_t rest;
	if (!deliver_unread(s, chunk, &rest) || !rest_is_bounded(s, rest))
		return false;
	enum io io = IO_SOME;
	/* Bytes put back come first, at the next turn. */
	for (int i = 0; i < READS_PER_WAKEUP && io == IO_SOME && !s->unread.len; i++) {
		struct io_end e = { 0 };
		size_t n = 0, had = rest;
		/* With the rest no more than without: who passes frames on by writes of that size has no small one over. */
		size_t room = had < STREAM_READ_SIZE / 2 ? STREAM_READ_SIZE - had : STREAM_READ_SIZE;
		io = io_read(s->fd, s->ssl, chunk + had, room, &n, &e);
		if (n && (!deliver(s, chunk, had + n, &rest) || !rest_is_bounded(s, rest)))
			return false;
		if (n && rest)
			memmove(chunk, chunk + had + n - rest, rest);
		if (io == IO_END) {
			stream_end(s, e.code, e.why);
			return false;
		}
	}
	if (rest)
		keep_rest(s, chunk, rest);
	if (s->state == OPEN && io == IO_SOME && io_pending(s->ssl))
		loop_timer_set(s->timer, 0);
	return true;
}

static void receive(struct stream *s)
{
	if (read_turn(s) && s->ev.rested)
		s->ev.rested(s->ev.arg);
}

static enum io send_queued(struct stream *s, struct io_end *e)
{
	while (s->out.len) {
		size_t n = 0;
		enum io io = io_write(s->fd, s->ssl, buf_data(&s->out), s->out.len, &n, e);
		if (io != IO_SOME) {
			s->waited = true;
			return io;
		}
		buf_consume(&s->out, n);
	}
	/* Idle streams hold no buffer. */
	buf_free(&s->out);
	enum io io = io_flush(s->ssl, e);
	s->waited |= io != IO_SOME;
	return io;
}

/* false when s is gone or at its end. */
static bool open_writable(struct stream *s)
{
	struct io_end e;
	enum io io = send_queued(s, &e);
	if (io == IO_END) {
		stream_end(s, e.code ? e.code : ERR_CLOSED, e.why);
		return false;
	}
	stream_watch_for(s);
	if (io == IO_SOME && s->waited) {
		s->waited = false;
		stream_enter(s);
		if (s->ev.drained)
			s->ev.drained(s->ev.arg);
		if (!stream_leave(s))
			return false;
	}
	return s->state == OPEN;
}

/* --- opening --- */

static void open_done(struct stream *s)
{
	if (s->ssl)
		tls_session_opened(s->ssl);
	if (s->ssl && s->dial)
		s->has_metacert = tls_session_metacert(s->ssl, s->metacert);
	stream_drop_dial(s);
	loop_timer_clear(s->timer);
	s->state = OPEN;
	stream_watch_for(s);
	stream_enter(s);
	if (s->ev.opened)
		s->ev.opened(s->ev.arg);
	if (!stream_leave(s) || s->state != OPEN)
		return;
	if (stream_queued(s) && !open_writable(s))
		return;
	if (io_pending(s->ssl) && !s->paused)
		loop_timer_set(s->timer, 0);
}

static void handshake(struct stream *s)
{
	ERR_clear_error();
	errno = 0;
	int ret = SSL_do_handshake(s->ssl);
	if (ret == 1 && s->dial && !tls_session_agreed(s->ssl, &s->dial->check)) {
		char text[sizeof(s->dial->check.why)];
		memcpy(text, s->dial->check.why, sizeof(text));
		stream_end(s, ERR_UNSUPPORTED, text);
		return;
	}
	if (ret == 1) {
		open_done(s);
		return;
	}
	struct io_end e = { 0 };
	if (io_tls_end(s->ssl, ret, &e) == IO_BLOCKED) {
		s->want = SSL_want_write(s->ssl) ? LOOP_WRITE : LOOP_READ;
		stream_watch_for(s);
		return;
	}
	char why[320];
	if (s->dial && s->dial->check.why[0]) {
		snprintf(why, sizeof(why), "%s", s->dial->check.why);
		e.code = ERR_CRYPTO;
	} else {
		snprintf(why, sizeof(why), "TLS handshake%s%s: %s", s->dial ? " with " : "",
			s->dial ? s->dial->host : "",
			e.code ? e.why : "the other side closed the connection");
	}
	stream_end(s, e.code ? e.code : ERR_CLOSED, why);
}

void stream_connected(struct stream *s)
{
	if (!s->tls) {
		open_done(s);
		return;
	}
	s->ssl = tls_session_new(s->tls, s->fd, s->dial ? &s->dial->check : NULL);
	if (!s->ssl) {
		stream_end(s, -ENOMEM, "TLS: out of memory");
		return;
	}
	s->state = HANDSHAKE;
	if (s->dial) {
		uint64_t now = loop_now_ms(s->loop);
		loop_timer_set(s->timer, s->dial->deadline_ms > now ? s->dial->deadline_ms - now : 0);
	}
	handshake(s);
}

bool stream_watch_socket(struct stream *s)
{
	s->watch = loop_fd_new(s->loop, s->fd, fd_ready, s);
	s->state = CONNECTING;
	stream_watch_for(s);
	return s->watch;
}

/* --- events --- */

static void flush_step(struct stream *s)
{
	struct io_end e;
	enum io io = send_queued(s, &e);
	if (io == IO_BLOCKED)
		return;
	if (io == IO_END || !s->accepted) {
		if (io == IO_SOME && s->ssl)
			SSL_shutdown(s->ssl);
		stream_release(s);
		return;
	}
	if (s->ssl)
		SSL_shutdown(s->ssl);
	shutdown(s->fd, SHUT_WR);
	s->state = LINGERING;
	loop_timer_set(s->timer, LINGER_MS);
	stream_watch_for(s);
}

static void linger_step(struct stream *s)
{
	uint8_t chunk[4096];
	ssize_t n = read(s->fd, chunk, sizeof(chunk));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		stream_release(s);
}

static void fd_ready(void *arg, int events)
{
	struct stream *s = arg;
	int err;
	switch (s->state) {
	case CONNECTING:
		err = sock_error(s->fd);
		if (err)
			stream_connect_failed(s, err);
		else if (s->dial && s->dial->tunnel)
			stream_tunnel_begin(s);
		else
			stream_connected(s);
		break;
	case TUNNELLING: stream_tunnel_step(s); break;
	case HANDSHAKE: handshake(s); break;
	case OPEN:
		if ((events & LOOP_WRITE) && !open_writable(s))
			break;
		if ((events & LOOP_READ) && !s->paused)
			receive(s);
		break;
	case FLUSHING: flush_step(s); break;
	case LINGERING: linger_step(s); break;
	case RESOLVING:
	case ENDED: break;
	}
}

static void timer_fired(void *arg)
{
	struct stream *s = arg;
	char why[400], whom[STREAM_DIALLED];
	if (s->end_due) {
		char *text = s->end_why;
		s->end_why = NULL;
		int code = s->end_code;
		stream_end(s, code, text ? text : "out of memory"); /* may free s, not text */
		free(text);
		return;
	}
	switch (s->state) {
	case RESOLVING:
		snprintf(why, sizeof(why), "look up %s: no answer in time", stream_dialled(s->dial, whom));
		stream_end(s, -ETIMEDOUT, why);
		break;
	case CONNECTING: stream_connect_failed(s, -ETIMEDOUT); break;
	case TUNNELLING: stream_tunnel_timed_out(s); break;
	case HANDSHAKE: stream_end(s, -ETIMEDOUT, "TLS handshake: no answer in time"); break;
	case OPEN:
		if (!s->paused)
			receive(s);
		break;
	case FLUSHING:
	case LINGERING: stream_release(s); break;
	case ENDED: break;
	}
}

/* --- the public --- */

struct stream *stream_new(struct loop *l, const struct stream_events *ev)
{
	struct stream *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->loop = l;
	s->ev = *ev;
	s->fd = -1;
	s->out.cap = QUEUE_CAP;
	s->timer = loop_timer_new(l, timer_fired, s);
	if (!s->timer) {
		free(s);
		return NULL;
	}
	return s;
}

struct stream *stream_connect_unix(struct loop *l, const char *path, const struct stream_events *ev)
{
	struct errbuf eb = { 0 };
	struct stream *s = stream_new(l, ev);
	if (!s)
		return NULL;
	s->fd = sock_unix_connect(path, &eb);
	if (s->fd < 0) {
		int code = s->fd;
		s->fd = -1;
		s->state = CONNECTING;
		stream_end_later(s, code, eb.text);
	} else if (!stream_watch_socket(s)) {
		stream_end_later(s, -ENOMEM, "out of memory");
	}
	return s;
}

struct stream *stream_accept(struct loop *l, int fd, struct tls *tls, const struct stream_events *ev)
{
	struct stream *s = stream_new(l, ev);
	if (!s) {
		close(fd);
		return NULL;
	}
	s->fd = fd;
	s->accepted = true;
	s->tls = tls ? tls_get(tls) : NULL;
	loop_timer_set(s->timer, OPEN_TIMEOUT_MS);
	if (!stream_watch_socket(s)) {
		stream_release(s);
		return NULL;
	}
	return s;
}

void stream_events_set(struct stream *s, const struct stream_events *ev)
{
	s->ev = *ev;
}

/* Straight from the caller's memory while nothing waits: only what the socket does not take is copied. */
static size_t send_now(struct stream *s, const uint8_t *p, size_t len)
{
	struct io_end e;
	enum io io = IO_SOME;
	size_t sent = 0;
	while (sent < len && io == IO_SOME) {
		size_t n = 0;
		io = io_write(s->fd, s->ssl, p + sent, len - sent, &n, &e);
		sent += n;
	}
	if (io == IO_SOME)
		io = io_flush(s->ssl, &e);
	s->waited |= io == IO_BLOCKED;
	if (io != IO_END)
		return sent;
	stream_end_later(s, e.code ? e.code : ERR_CLOSED, e.why);
	return len;
}

int stream_write(struct stream *s, const void *p, size_t len)
{
	if (s->state > OPEN || s->end_due)
		return ERR_CLOSED;
	if (s->out.cap && len > s->out.cap - s->out.len)
		return ERR_TOO_LARGE;
	size_t sent = s->state == OPEN && !stream_queued(s) ? send_now(s, p, len) : 0;
	if (sent < len && !buf_append(&s->out, (const uint8_t *)p + sent, len - sent)) {
		/* Half a message is out: there is no way back. */
		stream_end_later(s, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	if (s->state == OPEN && stream_queued(s))
		stream_watch_for(s);
	return 0;
}

void stream_unread(struct stream *s, const void *p, size_t len)
{
	if (!len || s->state != OPEN || s->end_due)
		return;
	s->unread_seen = false;
	if (!buf_append(&s->unread, p, len))
		stream_end_later(s, -ENOMEM, "out of memory");
	else
		loop_timer_set(s->timer, 0);
}

size_t stream_queued(const struct stream *s)
{
	return s->out.len + io_held(s->ssl);
}
void stream_queue_cap(struct stream *s, size_t cap)
{
	s->out.cap = cap;
}

void stream_secret(struct stream *s, bool secret)
{
	s->out.secret = s->unread.secret = secret;
}

void stream_pause(struct stream *s, bool paused)
{
	if (paused == s->paused)
		return;
	s->paused = paused;
	s->unread_seen = false;
	stream_watch_for(s);
	if (!paused && s->state == OPEN && (s->ssl || s->unread.len) && !s->end_due)
		loop_timer_set(s->timer, 0);
}

bool stream_is_open(const struct stream *s)
{
	return s->state == OPEN && !s->end_due;
}
bool stream_is_tls13(const struct stream *s)
{
	return s->ssl && SSL_version(s->ssl) == TLS1_3_VERSION;
}

bool stream_metacert_key(const struct stream *s, uint8_t out[static 32])
{
	if (s->has_metacert)
		memcpy(out, s->metacert, 32);
	return s->has_metacert;
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

bool stream_peer(const struct stream *s, struct endpoint *out)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	return s->fd >= 0 && getpeername(s->fd, (struct sockaddr *)&ss, &n) == 0 &&
	       endpoint_from_sockaddr((struct sockaddr *)&ss, out);
}

int stream_take(struct stream *s)
{
	int fd = -1;
	if (s->state == OPEN && !s->ssl && !s->end_due && !s->out.len && !s->unread.len) {
		loop_fd_free(s->watch);
		s->watch = NULL;
		fd = s->fd;
		s->fd = -1;
	}
	stream_release(s);
	return fd;
}

void stream_close(struct stream *s, bool flush)
{
	if (!s)
		return;
	if (flush && s->state == OPEN && !s->end_due && (stream_queued(s) || s->accepted)) {
		s->state = FLUSHING;
		loop_hold(s->loop);
		loop_timer_set(s->timer, FLUSH_MS);
		stream_watch_for(s);
		if (!s->busy && !s->waited)
			flush_step(s);
		return;
	}
	if (s->ssl && s->state == OPEN)
		SSL_shutdown(s->ssl);
	stream_release(s);
}
