/* The one event-loop wrapper (libuv underneath). Everything runs on one thread; callbacks may free what they
 * belong to. */
#ifndef RW_OS_LOOP_H
#define RW_OS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop *loop_new(void); /* NULL when memory is short; ignores SIGPIPE */
/* All timers, watches and signals must have been freed by their owners. */
void loop_free(struct loop *l);
void loop_run(struct loop *l);	    /* until loop_stop, or nothing is left to wait for */
void loop_run_once(struct loop *l); /* waits for one round of events and delivers them */
void loop_stop(struct loop *l);
uint64_t loop_now_ms(struct loop *l); /* monotonic, fresh (not cached) */
int64_t clock_unix_ms(void);	      /* wall clock */
int64_t clock_unix_ns(void);
uint64_t clock_now_ns(void); /* monotonic */
uint64_t clock_now_ms(void);
int64_t clock_boot_ms(void); /* monotonic, and goes on while the machine sleeps */

/* Whether a thread works for it: a look-up, a piece of work that is not done. For tests that wait for their end. */
bool loop_has_work(struct loop *l);

/* One-shot timer; set again to repeat. Resolution 1 ms. 0, from a timer: after what has arrived by then. */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, void (*cb)(void *arg), void *arg);
void loop_timer_set(struct loop_timer *t, uint64_t delay_ms); /* replaces an earlier time */
void loop_timer_clear(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL is fine */

enum { LOOP_READ = 1, LOOP_WRITE = 2 };
/* Watches fd (not owned, not closed; free the watch before closing it). events given to cb as a LOOP_ mask.
 */
struct loop_fd;
struct loop_fd *loop_fd_new(struct loop *l, int fd, void (*cb)(void *arg, int events), void *arg);
void loop_fd_set(struct loop_fd *f, int events); /* 0 = none */
void loop_fd_free(struct loop_fd *f);

struct loop_signal;
struct loop_signal *loop_signal_new(struct loop *l, int signo, void (*cb)(void *arg, int signo), void *arg);
void loop_signal_free(struct loop_signal *s);

/* For files of this room that add a libuv service. */
struct uv_loop_s;
struct uv_loop_s *loop_uv(struct loop *l);
/* A count that loop_free waits for: of what has a last word to say when all else has ended, in a time of its own. */
void loop_hold(struct loop *l);
void loop_release(struct loop *l);

#endif
