/* The connections of a listening socket, taken in turns of the loop. When the machine has no descriptor or memory for one
 * (EMFILE, ENFILE, ENOBUFS, ENOMEM) it stays in the kernel's queue and the socket due: it is left alone for ACCEPTOR_PAUSE_MS, or
 * the loop would spin on it; the log says so once a minute. */
#ifndef RW_OS_ACCEPTOR_H
#define RW_OS_ACCEPTOR_H

#include "mesh/base/addr.h"
#include "mesh/os/loop.h"

enum { ACCEPTOR_PAUSE_MS = 100 };

struct acceptor_ops {
	/* fd (CLOEXEC, non-blocking) is whose is called; from: all zero of a unix socket. acceptor_free may be called. */
	void (*arrived)(void *arg, int fd, const struct endpoint *from);
	/* Asked before each: false leaves it in the queue until the pause is over. NULL: always. Calls nothing of this file. */
	bool (*has_room)(void *arg);
	void *arg;
	const char *what; /* for the log: "the page"; outlives the acceptor, as does: */
	uint64_t *paused; /* goes up with each pause for want of descriptors or memory; NULL: not counted */
};
struct acceptor;
/* fd: not owned, not closed; listens, and does not block. NULL: memory is short. */
struct acceptor *acceptor_new(struct loop *l, int fd, const struct acceptor_ops *ops);
void acceptor_free(struct acceptor *a); /* before fd is closed; NULL is fine */

#endif
