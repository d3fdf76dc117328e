/* The loop of a fuzz target: something in it can always be read, so that no turn of it waits. */
#ifndef RW_OS_FUZZ_AWAKE_H
#define RW_OS_FUZZ_AWAKE_H

#include "mesh/base/fuzz/must.h"
#include "mesh/os/loop.h"
#include <sys/eventfd.h>
#include <unistd.h>

struct awake {
	struct loop *loop;
	struct loop_fd *watch;
	int always;
};

static inline void awake_seen(void *arg, int events)
{
	(void)arg, (void)events;
}

static inline struct awake awake_loop(struct loop *l)
{
	struct awake a = { .loop = l, .always = eventfd(1, EFD_NONBLOCK) };
	a.watch = l ? loop_fd_new(l, a.always, awake_seen, NULL) : NULL;
	must(a.watch);
	loop_fd_set(a.watch, LOOP_READ);
	return a;
}

/* With the loop. */
static inline void awake_free(struct awake *a)
{
	loop_fd_free(a->watch);
	loop_free(a->loop);
	close(a->always);
}

#endif
