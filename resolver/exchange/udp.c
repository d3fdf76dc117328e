/* Over UDP. A socket speaks with one server, from a port that the kernel picks at random, and the kernel checks who
 * answers. It takes questions for a moment, and a few at most; with the last of them it is closed, so that a port is open
 * only while a question is out on it. One is new, takes questions, is full or too old for more, and ends when none is
 * out. All share one epoll, which costs the loop one watch.
 *
 * What a stranger has to guess. A forged answer is for one question, and has to have its port, its id and its name: who
 * sees nothing has the same odds with each packet as if every question had a port of its own, however many share one. Who
 * finds a port (SAD DNS) knows it for as long as its questions are out, and the next ones have another. A packet with an id
 * that was never asked here may have been a try at any question that is out: it is told to each, and ends the patience of
 * each (received.c) as if it had come to a port of its own. One that comes again, or late, for a question that is over is
 * nobody's. A question that is asked anew because one may have hit (mixed_case.c) has a port that was not open then: what was
 * found of one says nothing of the other.
 *
 * What an ICMP error quotes says which question it is about, and that one alone fails; one that quotes what was never asked
 * is forged. One that quotes too little fails all that are out on the port, when what lies there is read. */
#include "mesh/base/buf.h"
#include "mesh/base/wire.h"
#include "resolver/exchange/transport.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EVENTS_PER_WAKEUP = 64,
	READS_PER_WAKEUP = 4, /* of a socket, of a batch each */
	ANSWERS_AT_ONCE = 64, /* then others of the loop have their turn */
	ERRORS_AT_ONCE = EXCHANGE_PORT_QUESTIONS,
	BATCH = 16,
	ANSWER_ROOM = 4096, /* more than we offer: what is longer counts as cut */
	FLAG_TC = 2,
};

struct udp_question {
	struct question q;
	struct udp_socket *socket;
	uint8_t unsent; /* its place in `out`, plus 1; 0: it is sent */
	bool out;
};
struct udp_socket {
	struct udp_socket *next; /* of those that take more, the newest first; or that are over */
	struct endpoint at;
	int fd; /* -1: it is over */
	bool takes;
	uint8_t n, n_out; /* asked, and still out */
	uint64_t opened_ms;
	uint16_t ids[EXCHANGE_PORT_QUESTIONS];
	struct udp_question asked[EXCHANGE_PORT_QUESTIONS];
};
struct udp_out {
	struct udp_question *question; /* NULL: given up before it left */
	uint16_t len;
	uint8_t msg[EXCHANGE_QUESTION_MAX];
};
struct udp_sockets {
	struct exchange *x;
	int poll;
	struct loop_fd *watch;
	struct udp_socket *taking;
	struct udp_socket *over; /* while busy: somebody still looks at them */
	bool busy;
	size_t n_read; /* in this turn */
	size_t n_out;
	struct udp_out out[BATCH];
	struct mmsghdr headers[BATCH];
	struct iovec io[BATCH];
	uint8_t in[BATCH][ANSWER_ROOM];
};

/* ---- sockets ---- */

static void socket_takes_no_more(struct udp_sockets *u, struct udp_socket *s)
{
	struct udp_socket **at = &u->taking;
	if (!s->takes)
		return;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->takes = false;
}

/* A process that is just being started may have the descriptor too: closing alone does not take it out of the epoll. */
static void socket_close(struct udp_sockets *u, struct udp_socket *s)
{
	socket_takes_no_more(u, s);
	epoll_ctl(u->poll, EPOLL_CTL_DEL, s->fd, NULL);
	close(s->fd);
	s->fd = -1;
	if (!u->busy) {
		free(s);
		return;
	}
	s->next = u->over;
	u->over = s;
}

static void over_free(struct udp_sockets *u)
{
	for (struct udp_socket *s; (s = u->over);) {
		u->over = s->next;
		free(s);
	}
}

static int socket_open(
	struct exchange *x, const struct endpoint *to, uint64_t now_ms, struct udp_socket **out)
{
	struct udp_socket *s = calloc(1, sizeof(*s));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
	int on = 1, v4 = addr_is_v4(&to->ip), code = 0;
	if (!s)
		return -ENOMEM;
	s->at = *to;
	s->opened_ms = now_ms;
	s->fd = exchange_connect(x, to, SOCK_DGRAM);
	if (s->fd < 0)
		code = s->fd;
	else if (setsockopt(s->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &on,
			 sizeof(on)) ||
		 epoll_ctl(x->udp->poll, EPOLL_CTL_ADD, s->fd, &ev))
		code = -errno;
	if (!code) {
		s->takes = true;
		s->next = x->udp->taking;
		x->udp->taking = s;
		*out = s;
		return 0;
	}
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return code;
}

static struct udp_question *asked_find(struct udp_socket *s, uint16_t id)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->ids[i] == id)
			return &s->asked[i];
	return NULL;
}

/* One that takes this question; NULL: there is none. No id is used twice on a socket. */
static struct udp_socket *socket_find(
	struct udp_sockets *u, const struct endpoint *to, uint16_t id, uint64_t now_ms)
{
	for (struct udp_socket *s = u->taking, *next; s; s = next) {
		next = s->next;
		bool here = endpoint_equal(&s->at, to);
		if (now_ms - s->opened_ms >= u->x->o.port_takes_ms || (here && asked_find(s, id))) {
			socket_takes_no_more(u, s);
			continue;
		}
		if (here)
			return s;
	}
	return NULL;
}

/* ---- what goes wrong ---- */

/* Told by exchange_settle: others may be in the midst of their work here. */
static void question_fail(struct udp_question *uq, int code)
{
	struct exchange *x = uq->q.x;
	uint64_t id = uq->q.id;
	exchange_done(x, id);
	exchange_fail_later(x, id, code);
}

/* All that have left. */
static void questions_fail(struct udp_socket *s, int code)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->asked[i].out && !s->asked[i].unsent)
			question_fail(&s->asked[i], code);
}

/* What the kernel tells a connected socket that did not ask for quotes: other errors may pass. 0: it is one of those. */
static int error_of(struct msghdr *h)
{
	static const uint32_t hard4 = 1U << ICMP_PROT_UNREACH | 1U << ICMP_PORT_UNREACH |
				      1U << ICMP_NET_UNKNOWN | 1U << ICMP_HOST_UNKNOWN |
				      1U << ICMP_HOST_ISOLATED | 1U << ICMP_NET_ANO | 1U << ICMP_HOST_ANO |
				      1U << ICMP_PKT_FILTERED | 1U << ICMP_PREC_VIOLATION |
				      1U << ICMP_PREC_CUTOFF;
	static const uint32_t hard6 = 1U << ICMP6_DST_UNREACH_ADMIN | 1U << ICMP6_DST_UNREACH_NOPORT |
				      1U << 5 | 1U << 6; /* RFC 4443 3.1: policy, reject route */
	struct sock_extended_err e = { 0 };
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
			(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			memcpy(&e, CMSG_DATA(c), sizeof(e));
	bool hard = (e.ee_origin == SO_EE_ORIGIN_ICMP && e.ee_type == ICMP_DEST_UNREACH && e.ee_code < 32 &&
			    hard4 >> e.ee_code & 1) ||
		    (e.ee_origin == SO_EE_ORIGIN_ICMP6 && e.ee_type == ICMP6_DST_UNREACH && e.ee_code < 32 &&
			    hard6 >> e.ee_code & 1);
	return hard ? -(int)e.ee_errno : 0;
}

/* Those that an error names fail. *nameless: what all others have to fail by, untouched where there is no such error.
 * Returns how many errors there were. */
static unsigned errors_read(struct udp_sockets *u, struct udp_socket *s, int *nameless)
{
	uint8_t quoted[2];
	_Alignas(struct cmsghdr) uint8_t control[256];
	unsigned n = 0;
	for (; n < ERRORS_AT_ONCE && s->fd >= 0; n++) {
		struct iovec io = { quoted, sizeof(quoted) };
		struct msghdr h = { .msg_iov = &io,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ssize_t len = recvmsg(s->fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT);
		int code = len < 0 ? 0 : error_of(&h);
		if (len < 0)
			break;
		bool named = len == sizeof(quoted);
		struct udp_question *uq = named ? asked_find(s, (uint16_t)be_get(quoted, 2)) : NULL;
		if (!code || (named && !uq))
			continue;
		socket_takes_no_more(u, s);
		if (!named)
			*nameless = code;
		else if (uq->out && !uq->unsent)
			question_fail(uq, code);
	}
	return n;
}

/* ---- out ---- */

/* What an earlier question met is told to whoever sends next: it is not this one's. */
static void send_failed(
	struct udp_sockets *u, struct udp_socket *s, struct udp_question *uq, bool again, int code)
{
	int nameless = 0;
	if (again) {
		question_fail(uq, code);
		return;
	}
	(void)errors_read(u, s, &nameless);
	if (nameless)
		questions_fail(s, nameless);
}

/* From u->out[i] on, as many as go by the same socket; returns how many those were. */
static size_t batch_send(struct udp_sockets *u, size_t i)
{
	struct udp_out *o = &u->out[i];
	struct udp_socket *s = o->question ? o->question->socket : NULL;
	struct mmsghdr m[BATCH] BUF_UNSET;
	struct iovec io[BATCH] BUF_UNSET;
	unsigned n = 0, done = 0;
	for (; s && i + n < u->n_out && o[n].question && o[n].question->socket == s; n++) {
		io[n] = (struct iovec) { o[n].msg, o[n].len };
		m[n] = (struct mmsghdr) { .msg_hdr = { .msg_iov = &io[n], .msg_iovlen = 1 } };
	}
	for (bool again = false; done < n;) {
		int sent = sendmmsg(s->fd, m + done, n - done, 0);
		for (int k = 0; k < sent; k++)
			o[done++].question->unsent = 0;
		if (sent <= 0) {
			send_failed(u, s, o[done].question, again, -errno);
			done += again;
		}
		again = sent <= 0 && !again;
	}
	return n ? n : 1;
}

static void udp_flush(struct exchange *x)
{
	struct udp_sockets *u = x->udp;
	bool was = u->busy;
	u->busy = true;
	for (size_t i = 0; i < u->n_out;)
		i += batch_send(u, i);
	u->n_out = 0;
	u->busy = was;
	if (!was)
		over_free(u);
}

static void sockets_take_no_more(struct udp_sockets *u, const struct endpoint *to)
{
	for (struct udp_socket *s = u->taking, *next; s; s = next) {
		next = s->next;
		if (endpoint_equal(&s->at, to))
			socket_takes_no_more(u, s);
	}
}

static int udp_send(struct exchange *x, uint64_t id, const struct exchange_to *to, const uint8_t *msg,
	size_t len, struct question **out)
{
	struct udp_sockets *u = x->udp;
	uint64_t now_ms = loop_now_ms(x->o.loop);
	uint16_t wire_id = (uint16_t)be_get(msg, 2);
	if (u->n_out == BATCH) /* before a socket is picked: what fails to leave may end it */
		udp_flush(x);
	if (to->fresh)
		sockets_take_no_more(u, &to->at);
	struct udp_socket *s = socket_find(u, &to->at, wire_id, now_ms);
	int code = s ? 0 : socket_open(x, &to->at, now_ms, &s);
	if (code)
		return code;
	struct udp_out *o = &u->out[u->n_out++];
	struct udp_question *uq = &s->asked[s->n];
	*uq = (struct udp_question) {
		.q = { .x = x, .by = &transport_udp, .id = id }, .socket = s, .out = true
	};
	uq->unsent = (uint8_t)u->n_out;
	o->question = uq;
	o->len = (uint16_t)len;
	memcpy(o->msg, msg, len);
	s->ids[s->n++] = wire_id;
	s->n_out++;
	if (s->n == EXCHANGE_PORT_QUESTIONS)
		socket_takes_no_more(u, s);
	*out = &uq->q;
	return 0;
}

static void udp_free(struct question *q)
{
	struct udp_question *uq = (struct udp_question *)q;
	struct udp_sockets *u = q->x->udp;
	uq->out = false;
	if (uq->unsent)
		u->out[uq->unsent - 1].question = NULL;
	uq->unsent = 0;
	if (!--uq->socket->n_out)
		socket_close(u, uq->socket);
}

/* ---- in ---- */

static void datagram_received(struct exchange *x, struct udp_socket *s, const uint8_t *msg, size_t len)
{
	struct udp_question *uq = len >= 2 ? asked_find(s, (uint16_t)be_get(msg, 2)) : NULL;
	if (uq) {
		if (uq->out)
			x->o.received(x->o.arg, uq->q.id, msg, len);
		return;
	}
	for (unsigned i = 0, n = s->n; i < n; i++)
		if (s->asked[i].out)
			x->o.received(x->o.arg, s->asked[i].q.id, msg, len);
}

static int batch_receive(struct udp_sockets *u, struct udp_socket *s)
{
	int n = recvmmsg(s->fd, u->headers, BATCH, MSG_DONTWAIT, NULL);
	u->n_read += n > 0 ? (size_t)n : 0;
	for (int i = 0; i < n && s->fd >= 0; i++) {
		if (u->headers[i].msg_hdr.msg_flags & MSG_TRUNC)
			u->in[i][2] |= FLAG_TC;
		datagram_received(u->x, s, u->in[i], u->headers[i].msg_len);
	}
	return n;
}

/* What went wrong may lie there though no read tells of it: a send of several that left in part has swallowed that. */
static void socket_ready(struct udp_sockets *u, struct udp_socket *s, uint32_t events)
{
	int nameless = 0;
	for (int i = 0; i < READS_PER_WAKEUP && s->fd >= 0; i++) {
		int n = batch_receive(u, s), code = -errno;
		if ((n >= 0 && n < BATCH) || (n < 0 && code == -EAGAIN))
			break;
		if (n < 0 && !errors_read(u, s, &nameless))
			nameless = code;
	}
	if (events & EPOLLERR && s->fd >= 0)
		(void)errors_read(u, s, &nameless);
	if (nameless)
		questions_fail(s, nameless);
}

static void udp_ready(void *arg, int events)
{
	struct udp_sockets *u = arg;
	struct epoll_event ev[EVENTS_PER_WAKEUP] BUF_UNSET;
	(void)events;
	int n = epoll_wait(u->poll, ev, EVENTS_PER_WAKEUP, 0);
	u->busy = true; /* an earlier answer may end a later socket */
	u->n_read = 0;
	for (int i = 0; i < n && u->n_read < ANSWERS_AT_ONCE; i++)
		socket_ready(u, ev[i].data.ptr, ev[i].events);
	u->busy = false;
	over_free(u);
	u->x->o.woken(u->x->o.arg);
}

/* ---- life ---- */

static int udp_open(struct exchange *x, struct errbuf *eb)
{
	struct udp_sockets *u = x->udp = calloc(1, sizeof(*u));
	if (!u)
		return err_say(eb, -ENOMEM, "out of memory for the resolver");
	u->x = x;
	for (size_t i = 0; i < BATCH; i++) {
		u->io[i] = (struct iovec) { u->in[i], ANSWER_ROOM };
		u->headers[i].msg_hdr = (struct msghdr) { .msg_iov = &u->io[i], .msg_iovlen = 1 };
	}
	u->poll = epoll_create1(EPOLL_CLOEXEC);
	if (u->poll < 0)
		return err_set(eb, -errno, "make an epoll for upstream sockets");
	u->watch = loop_fd_new(x->o.loop, u->poll, udp_ready, u);
	if (!u->watch)
		return err_say(eb, -ENOMEM, "out of memory for the resolver");
	loop_fd_set(u->watch, LOOP_READ);
	return 0;
}

/* What is out stays so. */
static void udp_forget(struct exchange *x)
{
	while (x->udp->taking)
		socket_takes_no_more(x->udp, x->udp->taking);
}

static void udp_close(struct exchange *x)
{
	if (!x->udp)
		return;
	loop_fd_free(x->udp->watch);
	if (x->udp->poll >= 0)
		close(x->udp->poll);
	free(x->udp);
}

const struct transport transport_udp = { .open = udp_open,
	.send = udp_send,
	.free = udp_free,
	.forget = udp_forget,
	.close = udp_close,
	.flush = udp_flush };
