/* Over UDP: a socket for each question, so that the kernel picks a random port, checks who answers, and tells
 * us at once when nobody can. They share one epoll, which costs the loop one watch. */
#include "resolver/exchange/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READS_PER_WAKEUP = 16, EVENTS_PER_WAKEUP = 64 };

struct udp_question {
	struct question q;
	int fd;
};
struct udp_sockets {
	struct exchange *x;
	int poll;
	struct loop_fd *watch;
};

static void udp_ready(struct exchange *x, uint64_t id)
{
	struct question *q;
	for (int i = 0; i < READS_PER_WAKEUP && (q = exchange_find(x, id)); i++) {
		ssize_t n = recv(((struct udp_question *)q)->fd, x->big, sizeof(x->big), 0);
		if (n >= 0)
			x->o.received(x->o.arg, id, x->big, (size_t)n);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			exchange_fail(x, id, -errno);
	}
}

static void udp_sockets_ready(void *arg, int events)
{
	struct udp_sockets *u = arg;
	struct exchange *x = u->x;
	struct epoll_event ev[EVENTS_PER_WAKEUP];
	(void)events;
	int n = epoll_wait(u->poll, ev, EVENTS_PER_WAKEUP, 0);
	for (int i = 0; i < n; i++) /* an earlier answer may have ended a later question */
		udp_ready(x, ev[i].data.u64);
	x->o.woken(x->o.arg);
}

static int udp_open(struct exchange *x, struct errbuf *eb)
{
	struct udp_sockets *u = x->udp = calloc(1, sizeof(*u));
	if (!u)
		return err_say(eb, -ENOMEM, "out of memory for the resolver");
	u->x = x;
	u->poll = epoll_create1(EPOLL_CLOEXEC);
	if (u->poll < 0)
		return err_set(eb, -errno, "make an epoll for upstream sockets");
	u->watch = loop_fd_new(x->o.loop, u->poll, udp_sockets_ready, u);
	if (!u->watch)
		return err_say(eb, -ENOMEM, "out of memory for the resolver");
	loop_fd_set(u->watch, LOOP_READ);
	return 0;
}

static void udp_free(struct question *q)
{
	struct udp_question *uq = (struct udp_question *)q;
	close(uq->fd); /* leaves the epoll by itself */
	free(uq);
}

static int udp_send(struct exchange *x, uint64_t id, const struct exchange_to *to, const uint8_t *msg,
	size_t len, struct question **out)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = id };
	struct udp_question *uq = calloc(1, sizeof(*uq));
	if (!uq)
		return -ENOMEM;
	uq->q = (struct question) { .x = x, .by = &transport_udp, .id = id };
	uq->fd = exchange_connect(x, &to->at, SOCK_DGRAM);
	int code = uq->fd < 0 ? uq->fd : 0;
	if (!code && (send(uq->fd, msg, len, 0) < 0 || epoll_ctl(x->udp->poll, EPOLL_CTL_ADD, uq->fd, &ev)))
		code = -errno;
	if (!code) {
		*out = &uq->q;
		return 0;
	}
	if (uq->fd >= 0)
		close(uq->fd);
	free(uq);
	return code;
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

const struct transport transport_udp = {
	.open = udp_open, .send = udp_send, .free = udp_free, .close = udp_close
};
