/* A process on a host, its output by lines; and commands that run to their end. Nothing here waits: calls
 * come from the loop, and after each call of `exited` the loop is stopped, so that whoever waits in it looks
 * again. */
#ifndef SIMNET_PROC_H
#define SIMNET_PROC_H

#include "mesh/base/buf.h"
#include "mesh/os/loop.h"
#include "simnet/host/hosts.h"
#include <stdbool.h>
#include <stdint.h>

struct proc_place { /* where one runs */
	struct loop *loop;
	struct hosts *hosts;
	int host;     /* place */
	bool as_user; /* as the node's `user`, not as root */
};
/* Which signal a status tells of; 0 = none: a program may end with any number up to 255 itself. */
static inline int proc_signal_of(int status)
{
	return status > 128 && status <= 128 + 64 ? status - 128 : 0;
}
struct proc;
struct proc_ops {
	void (*line)(void *owner, bool err, const char *line); /* without the newline */
	void (*exited)(void *owner, int status);	       /* exit code, or 128 + signal; last call */
};
/* Which file a program's name means. Without a slash it is looked up in RW_BIN_DIR, beside simnet, and in
 * PATH. */
bool proc_find(const char *name, char *out, size_t cap);
/* 0 where the library is found by which programs have a clock of their own; else -ENOSYS and what is missing. */
int proc_can_have_clock(struct errbuf *eb);
struct proc *proc_start(const struct proc_place *at, const char *const *argv, const struct proc_ops *ops,
	void *owner, struct errbuf *eb);
pid_t proc_pid(const struct proc *p);
void proc_signal(struct proc *p, int signo);
void proc_free(struct proc *p); /* kills what still runs, without a call of exited; NULL is fine */

/* A command that runs to its end; done is called once, from the loop. */
struct job_result {
	int status;
	bool timed_out;
	struct buf *out;      /* standard output */
	struct buf *said;     /* both outputs, line by line as they came */
	const char *last_err; /* NULL: it said none */
};
/* What it said last: of its errors, or else at all; "" = nothing. May be buf. */
const char *job_last_words(const struct job_result *r, char *buf, size_t cap);
struct job;
struct job *job_start(const struct proc_place *at, const char *const *argv, uint64_t timeout_ms,
	void (*done)(void *owner, const struct job_result *r), void *owner, struct errbuf *eb);
void job_free(struct job *j); /* kills; NULL is fine; not needed after done */

#endif
