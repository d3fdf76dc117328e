/* Over TCP: connections that are kept and shared. RFC 7766: questions to one upstream go out one after the
 * other on one connection without waiting, answers come in any order, told apart by an id that is chosen anew
 * for the connection.
 *
 * A connection is
 *   connecting  until the kernel says that it stands; questions wait in `out`
 *   open        from then on; idle while no question is out on it, and closed after IDLE_MS of that
 *   stale       a question on it was given up: it may be dead, so no other goes out on it
 *   gone        freed. What was out on it when the other end closed goes out once more on a fresh one, if this
 *               one had answered something before: a server may close an idle connection at that very moment.
 *
 * All answers of a connection are read before it is looked at again, since each may end it. */
#include "resolver/exchange/transport.h"

#include "mesh/base/buf.h"
#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 32, QUESTIONS_PER_CONNECTION = 64, IDLE_MS = 10000, READS_PER_WAKEUP = 16 };

struct tcp_question {
	struct question q;
	struct connection *on; /* NULL: between two */
	struct tcp_question *next;
	uint16_t own_id, wire_id;
	bool again; /* on its second connection */
	uint16_t len;
	uint8_t msg[2 + EXCHANGE_QUESTION_MAX];
};
struct connection {
	struct exchange *x;
	struct endpoint to;
	int fd;
	struct loop_fd *watch;
	struct tcp_question *questions;
	unsigned n_questions;
	uint64_t idle_ms; /* since when; while there are questions: of no meaning */
	bool connecting, answered;
	bool stale; /* something asked on it was given up: no new question trusts it, and it goes with its
		       last */
	struct buf out;
	size_t in_len;
	uint8_t in[2 + EXCHANGE_MESSAGE_MAX];
};
struct tcp_pool {
	struct loop_timer *idle;
	struct connection *connections[CONNECTIONS_MAX];
};

static void connection_ready(void *arg, int events);

static struct connection **place_of(struct exchange *x, const struct connection *c)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (x->tcp->connections[i] == c)
			return &x->tcp->connections[i];
	return NULL;
}

static void connection_free(struct connection *c)
{
	struct connection **place = place_of(c->x, c);
	if (place)
		*place = NULL;
	for (struct tcp_question *t = c->questions; t; t = t->next)
		t->on = NULL;
	loop_fd_free(c->watch);
	close(c->fd);
	buf_free(&c->out);
	free(c);
}

/* One that has been idle the longest gives its place to a new one. NULL: all are busy. */
static struct connection **place_make(struct exchange *x)
{
	struct connection **place = place_of(x, NULL), *oldest = NULL;
	for (unsigned i = 0; !place && i < CONNECTIONS_MAX; i++) {
		struct connection *c = x->tcp->connections[i];
		if (!c->n_questions && (!oldest || c->idle_ms < oldest->idle_ms))
			oldest = c;
	}
	if (!place && oldest) {
		connection_free(oldest);
		place = place_of(x, NULL);
	}
	return place;
}

static int connection_new(struct exchange *x, const struct endpoint *to, struct connection **out)
{
	int on = 1;
	struct connection **place = place_make(x);
	struct connection *c = place ? calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return place ? -ENOMEM : -EMFILE;
	c->x = x;
	c->to = *to;
	c->connecting = true;
	c->fd = exchange_connect(x, to, SOCK_STREAM);
	int code = c->fd < 0 ? c->fd : 0;
	if (!code && !(c->watch = loop_fd_new(x->o.loop, c->fd, connection_ready, c))) {
		close(c->fd);
		code = -ENOMEM;
	}
	if (code) {
		free(c);
		return code;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	loop_fd_set(c->watch, LOOP_WRITE);
	*place = *out = c;
	return 0;
}

static int connection_get(struct exchange *x, const struct endpoint *to, struct connection **out)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = x->tcp->connections[i];
		if (c && !c->stale && endpoint_equal(&c->to, to) &&
			c->n_questions < QUESTIONS_PER_CONNECTION) {
			*out = c;
			return 0;
		}
	}
	return connection_new(x, to, out);
}

static struct tcp_question **question_find(struct connection *c, uint16_t wire_id)
{
	struct tcp_question **at = &c->questions;
	while (*at && (*at)->wire_id != wire_id)
		at = &(*at)->next;
	return at;
}

static int question_put(struct connection *c, struct tcp_question *t)
{
	do {
		c->x->o.rnd->fill(c->x->o.rnd->arg, &t->wire_id, sizeof(t->wire_id));
	} while (*question_find(c, t->wire_id));
	be_put(t->msg + 2, 2, t->wire_id);
	if (!buf_append(&c->out, t->msg, t->len))
		return -ENOMEM;
	t->on = c;
	t->next = c->questions;
	c->questions = t;
	c->n_questions++;
	loop_fd_set(c->watch, c->connecting ? LOOP_WRITE : LOOP_READ | LOOP_WRITE);
	return 0;
}

static void question_take(struct connection *c, struct tcp_question **at)
{
	struct tcp_question *t = *at;
	if (!t)
		return;
	*at = t->next;
	t->on = NULL;
	if (--c->n_questions)
		return;
	c->idle_ms = loop_now_ms(c->x->o.loop);
	if (!loop_timer_is_set(c->x->tcp->idle))
		loop_timer_set(c->x->tcp->idle, IDLE_MS);
}

/* The connection ended: what was out on it is asked once more, or fails. */
static void connection_end(struct connection *c, int code)
{
	struct exchange *x = c->x;
	struct tcp_question *left = c->questions;
	struct endpoint to = c->to;
	bool again = c->answered;
	uint64_t ids[QUESTIONS_PER_CONNECTION];
	unsigned n = 0;
	connection_free(c);
	for (struct tcp_question *t = left, *next; t; t = next) {
		struct connection *fresh;
		next = t->next;
		bool moved = again && !t->again && !connection_get(x, &to, &fresh) && !question_put(fresh, t);
		t->again = true;
		if (!moved)
			ids[n++] = t->q.id;
	}
	for (unsigned i = 0; i < n; i++)
		if (exchange_find(x, ids[i])) /* an earlier failure may have ended it */
			exchange_fail(x, ids[i], code);
}

/* false: the connection is gone. */
static bool connection_write(struct connection *c)
{
	while (c->out.len) {
		ssize_t n = send(c->fd, buf_data(&c->out), c->out.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return true;
		if (n < 0) {
			connection_end(c, -errno);
			return false;
		}
		buf_consume(&c->out, (size_t)n);
	}
	loop_fd_set(c->watch, LOOP_READ);
	return true;
}

/* A whole message at the front of c->in. Who did not ask for it is nobody: the questions that wait have their
 * time. */
static void message_take(struct connection *c, size_t len)
{
	struct exchange *x = c->x;
	struct tcp_question **at = len >= 2 ? question_find(c, (uint16_t)be_get(c->in + 2, 2)) : NULL,
			    *t = at ? *at : NULL;
	if (t) {
		uint64_t id = t->q.id;
		c->answered = true;
		be_put(c->in + 2, 2, t->own_id);
		question_take(c, at);
		memcpy(x->big, c->in + 2, len);
		c->in_len = 0;
		x->o.received(x->o.arg, id, x->big, len);
		if (exchange_find(x, id)) /* an answer it did not want: no other will come */
			exchange_fail(x, id, ERR_MALFORMED);
		return;
	}
	c->in_len = 0;
}

/* The connection may be gone afterwards, by what a message made the core do. */
static void connection_read(struct connection *c)
{
	struct exchange *x = c->x;
	for (int i = 0; i < READS_PER_WAKEUP && place_of(x, c); i++) {
		size_t want = c->in_len < 2 ? 2 : 2 + be_get(c->in, 2);
		ssize_t n = recv(c->fd, c->in + c->in_len, want - c->in_len, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			connection_end(c, n ? -errno : ERR_CLOSED);
			return;
		}
		c->in_len += (size_t)n;
		if (c->in_len >= 2 && c->in_len == 2 + be_get(c->in, 2))
			message_take(c, c->in_len - 2);
	}
}

static void connection_ready(void *arg, int events)
{
	struct connection *c = arg;
	struct exchange *x = c->x;
	int code = c->connecting ? sock_error(c->fd) : 0;
	c->connecting = false;
	if (code)
		connection_end(c, code);
	else if (!(events & LOOP_WRITE) || connection_write(c))
		connection_read(c);
	x->o.woken(x->o.arg);
}

static void idle_close(void *arg)
{
	struct exchange *x = arg;
	uint64_t now_ms = loop_now_ms(x->o.loop);
	bool any = false;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = x->tcp->connections[i];
		if (c && !c->n_questions && now_ms >= c->idle_ms + IDLE_MS)
			connection_free(c);
		else
			any = any || c;
	}
	if (any)
		loop_timer_set(x->tcp->idle, IDLE_MS);
}

static int tcp_open(struct exchange *x, struct errbuf *eb)
{
	x->tcp = calloc(1, sizeof(*x->tcp));
	if (!x->tcp || !(x->tcp->idle = loop_timer_new(x->o.loop, idle_close, x)))
		return err_say(eb, -ENOMEM, "out of memory for the resolver");
	return 0;
}

static int tcp_send(struct exchange *x, uint64_t id, const struct endpoint *to, const uint8_t *msg,
	size_t len, struct question **out)
{
	struct connection *c;
	struct tcp_question *t = len >= 2 && len <= EXCHANGE_QUESTION_MAX ? calloc(1, sizeof(*t)) : NULL;
	if (!t)
		return -ENOMEM;
	t->q = (struct question) { .x = x, .by = &transport_tcp, .id = id };
	t->own_id = (uint16_t)be_get(msg, 2);
	t->len = (uint16_t)(2 + len);
	be_put(t->msg, 2, len);
	memcpy(t->msg + 2, msg, len);
	int code = connection_get(x, to, &c);
	code = code ? code : question_put(c, t);
	if (code)
		free(t);
	else
		*out = &t->q;
	return code;
}

static void tcp_free(struct question *q)
{
	struct tcp_question *t = (struct tcp_question *)q;
	struct connection *c = t->on;
	if (c) {
		c->stale = true;
		question_take(c, question_find(c, t->wire_id));
		if (!c->n_questions)
			connection_free(c);
	}
	free(t);
}

/* What is out stays out: its own time decides. */
static void tcp_forget(struct exchange *x)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (x->tcp->connections[i] && !x->tcp->connections[i]->n_questions)
			connection_free(x->tcp->connections[i]);
}

static void tcp_close(struct exchange *x)
{
	if (!x->tcp)
		return;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (x->tcp->connections[i])
			connection_free(x->tcp->connections[i]);
	loop_timer_free(x->tcp->idle);
	free(x->tcp);
}

const struct transport transport_tcp = {
	.open = tcp_open, .send = tcp_send, .free = tcp_free, .forget = tcp_forget, .close = tcp_close
};
