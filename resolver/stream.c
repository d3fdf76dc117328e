/* DNS over TCP clients. RFC 7766: several questions on one connection, answered as they are ready. */
#include "resolver/server.h"

#include "mesh/base/buf.h"
#include "mesh/base/slots.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	MESSAGE_IN_MAX = 4096, /* a question is never longer */
	PENDING_MAX = 128,     /* then no more is read until answers have gone out */
	OUT_MAX = 512 << 10,
	READS_PER_WAKEUP = 16,
};

struct tcp_client {
	struct resolver_server *server;
	struct loop_fd *watch;
	struct loop_timer *timer;
	struct endpoint from;
	struct buf out;
	uint64_t client, used; /* used: in the order of last whole questions */
	int fd;
	unsigned slot, pending;
	bool ended; /* no more questions will come; answer what is pending, then close */
	bool broken;
	bool inner; /* what validates asks */
	size_t in_len;
	uint8_t in[2 + MESSAGE_IN_MAX];
};

static void stream_free(struct tcp_client *t)
{
	t->server->streams[t->slot] = NULL;
	loop_fd_free(t->watch);
	loop_timer_free(t->timer);
	close(t->fd);
	buf_free(&t->out);
	free(t);
}

static void stream_close(struct tcp_client *t)
{
	struct resolver_server *s = t->server;
	resolver_client_gone(s->core, t->client);
	stream_free(t);
}

static void stream_watch(struct tcp_client *t)
{
	int events = t->out.len ? LOOP_WRITE : 0;
	if (!t->ended && t->pending < PENDING_MAX && t->out.len < OUT_MAX / 2)
		events |= LOOP_READ;
	loop_fd_set(t->watch, events);
}

static bool messages_read(struct tcp_client *t);

/* Writes what is ready; false: the connection is gone (and freed). */
static bool stream_flush(struct tcp_client *t)
{
	while (t->out.len && !t->broken) {
		ssize_t n = send(t->fd, buf_data(&t->out), t->out.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			t->broken = true;
		else
			buf_consume(&t->out, (size_t)n);
	}
	if (t->broken || (t->ended && !t->pending && !t->out.len)) {
		stream_close(t);
		return false;
	}
	stream_watch(t);
	return true;
}

void streams_flush(struct resolver_server *s)
{
	s->streams_dirty = false;
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		struct tcp_client *t = s->streams[i];
		bool busy = t && (t->out.len || t->broken || t->ended);
		if (busy && stream_flush(t) && t->in_len >= 2)
			messages_read(t); /* what waited for room among the pending */
	}
}

bool stream_from(struct resolver_server *s, uint64_t client, struct addr *out)
{
	const struct tcp_client *t = s->streams[client & (STREAMS_MAX - 1)];
	if (!t || t->client != client)
		return false;
	*out = t->from.ip;
	return true;
}

bool stream_is_inner(const struct resolver_server *s, uint64_t client)
{
	const struct tcp_client *t = s->streams[client & (STREAMS_MAX - 1)];
	return t && t->client == client && t->inner;
}

void stream_reply(struct resolver_server *s, uint64_t client, const uint8_t *msg, size_t len)
{
	uint8_t prefix[2];
	struct tcp_client *t = s->streams[client & (STREAMS_MAX - 1)];
	if (!t || t->client != client)
		return;
	be_put(prefix, 2, len);
	t->pending--;
	if (!buf_append(&t->out, prefix, 2) || !buf_append(&t->out, msg, len))
		t->broken = true; /* it asks and does not read */
	s->streams_dirty = true;
}

/* The whole messages at the front of t->in; false: closed for garbage. */
static bool messages_read(struct tcp_client *t)
{
	struct resolver_server *s = t->server;
	size_t at = 0;
	while (t->in_len - at >= 2 && t->pending < PENDING_MAX && !t->broken) {
		size_t len = be_get(t->in + at, 2);
		if (len < DNS_HEADER || len > MESSAGE_IN_MAX) {
			s->stats.tcp_garbage++;
			stream_close(t);
			return false;
		}
		if (t->in_len - at - 2 < len)
			break;
		if (t->inner)
			t->in[at + 2 + 3] |= DNS_CD; /* what validates is not validated */
		t->pending++;
		if (!server_query(s, loop_now_ms(s->loop), t->client, &t->from.ip, t->in + at + 2, len))
			t->pending--;
		at += 2 + len;
	}
	memmove(t->in, t->in + at, t->in_len - at);
	t->in_len -= at;
	if (at) {
		t->used = ++s->stream_uses;
		loop_timer_set(t->timer, t->in_len ? s->options.tcp_message_ms : s->options.tcp_idle_ms);
	}
	return true;
}

static void stream_ready(void *arg, int events)
{
	struct tcp_client *t = arg;
	struct resolver_server *s = t->server;
	for (int i = 0; events & LOOP_READ && i < READS_PER_WAKEUP && t->in_len < sizeof(t->in); i++) {
		ssize_t n = recv(t->fd, t->in + t->in_len, sizeof(t->in) - t->in_len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			t->ended = true;
			t->broken = n < 0;
			break;
		}
		if (!t->in_len)
			loop_timer_set(t->timer, s->options.tcp_message_ms);
		t->in_len += (size_t)n;
		if (!messages_read(t)) {
			server_settle(s);
			return;
		}
	}
	stream_flush(t);
	server_settle(s);
}

static void stream_expired(void *arg)
{
	struct tcp_client *t = arg;
	struct resolver_server *s = t->server;
	if (t->pending) { /* the core's deadline is shorter than ours: it will answer */
		loop_timer_set(t->timer, s->options.tcp_idle_ms);
		return;
	}
	s->stats.tcp_timeout++;
	stream_close(t);
	server_settle(s);
}

static struct slot_holder holder_of(const void *arg, unsigned slot)
{
	const struct resolver_server *s = arg;
	const struct tcp_client *t = s->streams[slot];
	return t ? (struct slot_holder) { .ip = &t->from.ip,
		.owed = t->pending || t->out.len,
		.used = t->used }
		 : (struct slot_holder) { 0 };
}

/* A slot that is free now, or STREAMS_MAX. */
static unsigned slot_get(struct resolver_server *s, const struct endpoint *from)
{
	const struct slots all = {
		.n = STREAMS_MAX, .each = STREAMS_PER_CLIENT, .look = holder_of, .arg = s
	};
	unsigned slot = slots_choose(&all, &from->ip);
	if (slot < STREAMS_MAX && s->streams[slot]) {
		s->stats.tcp_evicted++;
		stream_close(s->streams[slot]);
	}
	return slot;
}

static void stream_new(struct resolver_server *s, int fd, const struct endpoint *from, bool inner)
{
	unsigned slot = slot_get(s, from);
	struct tcp_client *t = slot < STREAMS_MAX ? calloc(1, sizeof(*t)) : NULL;
	if (!t) {
		s->stats.tcp_full++;
		close(fd);
		return;
	}
	t->server = s;
	t->fd = fd;
	t->from = *from;
	t->slot = slot;
	t->out.cap = OUT_MAX;
	t->inner = inner;
	t->client = (uint64_t)++s->stream_generation << 32 | STREAM_BIT | slot;
	s->streams[slot] = t;
	t->watch = loop_fd_new(s->loop, fd, stream_ready, t);
	t->timer = loop_timer_new(s->loop, stream_expired, t);
	if (!t->watch || !t->timer) {
		stream_free(t);
		return;
	}
	s->stats.tcp_accepted++;
	t->used = ++s->stream_uses;
	loop_timer_set(t->timer, s->options.tcp_idle_ms);
	loop_fd_set(t->watch, LOOP_READ);
}

static void stream_arrived(void *arg, int fd, const struct endpoint *from)
{
	struct tcp_listener *l = arg;
	bool inner = l - l->server->tcp + 1 == (ptrdiff_t)l->server->inner;
	if (inner || server_allows(l->server, &from->ip))
		stream_new(l->server, fd, from, inner);
	else
		close(fd);
}

int streams_open(struct resolver_server *s, size_t i, struct errbuf *eb)
{
	struct tcp_listener *l = &s->tcp[i];
	l->server = s;
	l->fd = sock_tcp_listen(&s->udp[i].at, eb);
	if (l->fd < 0)
		return l->fd;
	int err = server_listens(s, i, l->fd, eb);
	if (err)
		return err;
	const struct acceptor_ops ops = {
		.arrived = stream_arrived, .arg = l, .what = "DNS by TCP", .paused = &s->stats.tcp_paused
	};
	l->acceptor = acceptor_new(s->loop, l->fd, &ops);
	return l->acceptor ? 0 : err_say(eb, -ENOMEM, "out of memory for a DNS listener");
}

void stream_listener_close(struct tcp_listener *l)
{
	acceptor_free(l->acceptor);
	if (l->fd >= 0)
		close(l->fd);
	l->acceptor = NULL;
	l->fd = -1;
}

void streams_close(struct resolver_server *s)
{
	for (size_t i = 0; i < STREAMS_MAX; i++)
		if (s->streams[i])
			stream_free(s->streams[i]);
	for (size_t i = 0; i < s->n; i++)
		stream_listener_close(&s->tcp[i]);
}
