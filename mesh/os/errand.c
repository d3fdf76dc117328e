/* Each errand has two descriptors: `stop` goes in, `ended` comes out and wakes the loop. */
#include "mesh/os/errand.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_BYTES = 512 * 1024 };

struct errand {
	pthread_t thread;
	struct loop_fd *watch;
	int stop, ended;
	void (*run)(void *arg, int stop);
	void (*done)(void *arg);
	void *arg;
};

static void raise_flag(int fd)
{
	uint64_t one = 1;
	(void)!write(fd, &one, sizeof(one));
}

static void *errand_run(void *p)
{
	struct errand *e = p;
	e->run(e->arg, e->stop);
	raise_flag(e->ended);
	return NULL;
}

static void free_errand(struct errand *e)
{
	loop_fd_free(e->watch);
	if (e->stop >= 0)
		close(e->stop);
	if (e->ended >= 0)
		close(e->ended);
	free(e);
}

static void errand_ended(void *arg, int events)
{
	struct errand *e = arg;
	void (*done)(void *arg) = e->done;
	void *of = e->arg;
	(void)events;
	pthread_join(e->thread, NULL);
	free_errand(e);
	done(of);
}

/* Signals are the loop's; those that a fault of the thread's own raises cannot be kept from it. */
static bool begin_thread(struct errand *e)
{
	pthread_attr_t attr;
	sigset_t all, before;
	if (pthread_attr_init(&attr) != 0)
		return false;
	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool ok = pthread_attr_setstacksize(&attr, STACK_BYTES) == 0 &&
		  pthread_create(&e->thread, &attr, errand_run, e) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return ok;
}

struct errand *errand_start(
	struct loop *l, void (*run)(void *arg, int stop), void (*done)(void *arg), void *arg)
{
	struct errand *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	*e = (struct errand) { .stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.run = run,
		.done = done,
		.arg = arg };
	if (e->stop >= 0 && e->ended >= 0)
		e->watch = loop_fd_new(l, e->ended, errand_ended, e);
	if (!e->watch || !begin_thread(e)) {
		free_errand(e);
		return NULL;
	}
	loop_fd_set(e->watch, LOOP_READ);
	return e;
}

void errand_stop(struct errand *e)
{
	raise_flag(e->stop);
}

void errand_finish(struct errand *e)
{
	errand_stop(e);
	pthread_join(e->thread, NULL);
	free_errand(e);
}
