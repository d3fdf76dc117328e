#include "mesh/os/acceptor.h"

#include "mesh/base/err.h"
#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdlib.h>

enum { PER_WAKEUP = 32, SAY_MS = 60000 };

struct acceptor {
	struct loop *loop;
	int fd;
	struct acceptor_ops ops;
	struct loop_fd *watch;
	struct loop_timer *again;
	uint64_t said_ms; /* 0: never */
	bool *gone;	  /* where it stands for who is inside arrived; NULL: nobody is */
};

static void accept_again(void *arg)
{
	loop_fd_set(((struct acceptor *)arg)->watch, LOOP_READ);
}

static void pause_accepting(struct acceptor *a)
{
	loop_fd_set(a->watch, 0);
	loop_timer_set(a->again, ACCEPTOR_PAUSE_MS);
}

static void note_shortage(struct acceptor *a, int code)
{
	uint64_t now = loop_now_ms(a->loop);
	if (a->ops.paused)
		++*a->ops.paused;
	if (a->said_ms && now - a->said_ms < SAY_MS)
		return;
	a->said_ms = now;
	log_warn("connections to %s wait: %s%s", a->ops.what, err_text(code),
		code == -EMFILE ? "; raise the limit (ulimit -n, LimitNOFILE=)" : "");
}

/* false: the acceptor was freed. */
static bool deliver(struct acceptor *a, int fd, const struct endpoint *from)
{
	bool gone = false;
	a->gone = &gone;
	a->ops.arrived(a->ops.arg, fd, from);
	if (!gone)
		a->gone = NULL;
	return !gone;
}

/* What ended the connection while it waited, or who forbids it, says nothing of the next (accept(2)). */
static bool is_of_that_one(int code)
{
	static const int codes[] = { ECONNABORTED, EINTR, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET,
		EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM };
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (code == -codes[i])
			return true;
	return false;
}

static void accept_ready(void *arg, int events)
{
	struct acceptor *a = arg;
	(void)events;
	for (int i = 0; i < PER_WAKEUP; i++) {
		struct endpoint from;
		if (a->ops.has_room && !a->ops.has_room(a->ops.arg)) {
			pause_accepting(a);
			return;
		}
		int fd = sock_accept(a->fd, &from);
		if (fd == -EAGAIN)
			return;
		if (is_of_that_one(fd))
			continue;
		if (fd < 0) { /* whatever it is, the socket stays due */
			note_shortage(a, fd);
			pause_accepting(a);
			return;
		}
		if (!deliver(a, fd, &from))
			return;
	}
}

struct acceptor *acceptor_new(struct loop *l, int fd, const struct acceptor_ops *ops)
{
	struct acceptor *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	*a = (struct acceptor) { .loop = l, .fd = fd, .ops = *ops };
	a->again = loop_timer_new(l, accept_again, a);
	a->watch = loop_fd_new(l, fd, accept_ready, a);
	if (!a->again || !a->watch) {
		acceptor_free(a);
		return NULL;
	}
	loop_fd_set(a->watch, LOOP_READ);
	return a;
}

void acceptor_free(struct acceptor *a)
{
	if (!a)
		return;
	if (a->gone)
		*a->gone = true;
	loop_timer_free(a->again);
	loop_fd_free(a->watch);
	free(a);
}
