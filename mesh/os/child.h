/* A short run of another program: all of its input at once, no output wanted but its complaint. */
#ifndef RW_OS_CHILD_H
#define RW_OS_CHILD_H

#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include <stddef.h>

/* argv[0] is looked for in PATH, and in the system's folders where there is no PATH. Whoever is not done
 * after timeout_ms is killed. 0; -ENOENT: there is no such program; -ETIMEDOUT; ERR_REFUSED: it ended with
 * another code than 0, and eb has the first line that it said. */
int child_run(const char *const *argv, const void *input, size_t len, int timeout_ms, struct errbuf *eb);

/* The same beside the loop: done is called once, from the loop, with that code and sentence. NULL: eb says
 * why. The input is copied. */
struct child;
struct child *child_start(struct loop *l, const char *const *argv, const void *input, size_t len,
	int timeout_ms, void (*done)(void *arg, int code, const char *why), void *arg, struct errbuf *eb);
/* Kills it and waits for its end; done is not called. NULL is fine. Not from done, where it is freed already.
 */
void child_cancel(struct child *c);

#endif
