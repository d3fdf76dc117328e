#include "mesh/os/loop.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum { WATCHED = 1000 };

struct loop {
	uv_loop_t uv;
	unsigned closing; /* handles whose close callback is still to come */
	bool once;	  /* it runs until something is delivered */
	/* libuv calls timers until none is due: what sets itself to 0 would keep all else from its turn for ever. What a
	 * timer sets so comes after what has arrived. */
	bool in_timers;
	struct loop_timer *again, *again_now; /* due then; being called */
	uv_idle_t no_wait;
	uv_check_t after;
};

static void probe_closed(uv_handle_t *h)
{
	(void)h;
}

/* libuv has a place for each descriptor that it watches, in an array that doubles; where it cannot it ends the program. So
 * there is room for most from the beginning, before anybody can be at the door; where so many may not be open, for fewer. */
static void make_room(uv_loop_t *uv)
{
	uv_poll_t probe;
	int low = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int high = low >= 0 ? fcntl(low, F_DUPFD_CLOEXEC, WATCHED - 1) : -1;
	if (high >= 0 && uv_poll_init(uv, &probe, high) == 0) {
		uv_poll_start(&probe, UV_READABLE, NULL);
		uv_close((uv_handle_t *)&probe, probe_closed);
		uv_run(uv, UV_RUN_NOWAIT);
	}
	if (high >= 0)
		close(high);
	if (low >= 0)
		close(low);
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));
	if (!l || uv_loop_init(&l->uv) != 0) {
		free(l);
		return NULL;
	}
	make_room(&l->uv);
	l->uv.data = l;
	uv_idle_init(&l->uv, &l->no_wait);
	uv_check_init(&l->uv, &l->after);
	signal(SIGPIPE, SIG_IGN);
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->closing)
		uv_run(&l->uv, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&l->no_wait, NULL);
	uv_close((uv_handle_t *)&l->after, NULL);
	uv_run(&l->uv, UV_RUN_NOWAIT);
	uv_loop_close(&l->uv);
	free(l);
}

void loop_run(struct loop *l)
{
	uv_run(&l->uv, UV_RUN_DEFAULT);
}
void loop_run_once(struct loop *l)
{
	l->once = true;
	uv_run(&l->uv, UV_RUN_ONCE);
	l->once = false;
}
bool loop_has_work(struct loop *l)
{
	return loop_uv(l)->active_reqs.count;
}

void loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}
struct uv_loop_s *loop_uv(struct loop *l)
{
	return &l->uv;
}
void loop_hold(struct loop *l)
{
	l->closing++;
}
void loop_release(struct loop *l)
{
	l->closing--;
}

uint64_t clock_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t clock_now_ms(void)
{
	return clock_now_ns() / 1000000;
}

uint64_t loop_now_ms(struct loop *l)
{
	(void)l;
	return clock_now_ms();
}

int64_t clock_unix_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_unix_ms(void)
{
	return clock_unix_ns() / 1000000;
}

int64_t clock_boot_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* libuv lets timers fire before it waits for the rest: it has nothing to wait for then. */
static void timer_delivered(const uv_timer_t *uv)
{
	const struct loop *l = uv->loop->data;
	if (l->once)
		uv_stop(uv->loop);
}

/* Every service below embeds its handle first and is freed when libuv lets the handle go. */
static void handle_closed(uv_handle_t *h)
{
	struct loop *l = h->loop->data;
	l->closing--;
	free(h);
}

static void handle_close(uv_handle_t *h)
{
	struct loop *l = h->loop->data;
	l->closing++;
	uv_close(h, handle_closed);
}

struct loop_timer {
	uv_timer_t uv;
	struct loop_timer *next; /* of those that come again */
	bool again;
	void (*cb)(void *arg);
	void *arg;
};

struct loop_timer *loop_timer_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->cb = cb;
	t->arg = arg;
	uv_timer_init(&l->uv, &t->uv);
	return t;
}

static bool list_remove(struct loop_timer **at, const struct loop_timer *t)
{
	while (*at && *at != t)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = t->next;
	return true;
}

static void again_forget(struct loop_timer *t)
{
	struct loop *l = t->uv.loop->data;
	if (t->again && !list_remove(&l->again, t))
		(void)list_remove(&l->again_now, t);
	t->again = false;
}

static void timer_call(struct loop_timer *t)
{
	struct loop *l = t->uv.loop->data;
	bool was = l->in_timers;
	l->in_timers = true;
	t->cb(t->arg); /* t may be gone afterwards */
	l->in_timers = was;
}

static void again_due(uv_check_t *after)
{
	struct loop *l = after->loop->data;
	if (!l->again_now) { /* else a round within a round: the rest of those */
		l->again_now = l->again;
		l->again = NULL;
	}
	for (struct loop_timer *t; (t = l->again_now);) {
		again_forget(t);
		timer_call(t);
	}
	if (l->again)
		return;
	uv_check_stop(&l->after);
	uv_idle_stop(&l->no_wait);
}

static void nothing(uv_idle_t *idle)
{
	(void)idle;
}

/* In the order in which they were set. */
static void again_add(struct loop *l, struct loop_timer *t)
{
	struct loop_timer **at = &l->again;
	while (*at)
		at = &(*at)->next;
	*at = t;
	t->next = NULL;
	t->again = true;
	uv_idle_start(&l->no_wait, nothing);
	uv_check_start(&l->after, again_due);
}

static void timer_fired(uv_timer_t *uv)
{
	timer_delivered(uv);
	timer_call((struct loop_timer *)uv);
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ms)
{
	struct loop *l = t->uv.loop->data;
	again_forget(t);
	if (!delay_ms && l->in_timers) {
		uv_timer_stop(&t->uv);
		again_add(l, t);
		return;
	}
	uv_update_time(t->uv.loop);
	uv_timer_start(&t->uv, timer_fired, delay_ms, 0);
}

void loop_timer_clear(struct loop_timer *t)
{
	again_forget(t);
	uv_timer_stop(&t->uv);
}
bool loop_timer_is_set(const struct loop_timer *t)
{
	return t->again || uv_is_active((const uv_handle_t *)&t->uv);
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	again_forget(t);
	handle_close((uv_handle_t *)&t->uv);
}

struct loop_fd {
	uv_poll_t uv;
	void (*cb)(void *arg, int events);
	void *arg;
	int events;
};

struct loop_fd *loop_fd_new(struct loop *l, int fd, void (*cb)(void *arg, int events), void *arg)
{
	struct loop_fd *f = calloc(1, sizeof(*f));
	if (!f || uv_poll_init(&l->uv, &f->uv, fd) != 0) {
		free(f);
		return NULL;
	}
	f->cb = cb;
	f->arg = arg;
	return f;
}

static void fd_ready(uv_poll_t *uv, int status, int events)
{
	struct loop_fd *f = (struct loop_fd *)uv;
	/* An error is for the owner's next read or write to find. */
	int seen = status < 0
			   ? f->events
			   : (events & UV_READABLE ? LOOP_READ : 0) | (events & UV_WRITABLE ? LOOP_WRITE : 0);
	if (seen & f->events)
		f->cb(f->arg, seen & f->events);
	/* libuv stops a watch that it reported an error for. */
	if (status < 0 && f->events && !uv_is_closing((uv_handle_t *)uv))
		uv_poll_start(uv,
			(f->events & LOOP_READ ? UV_READABLE : 0) |
				(f->events & LOOP_WRITE ? UV_WRITABLE : 0),
			fd_ready);
}

void loop_fd_set(struct loop_fd *f, int events)
{
	if (events == f->events)
		return;
	f->events = events;
	if (events)
		uv_poll_start(&f->uv,
			(events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0),
			fd_ready);
	else
		uv_poll_stop(&f->uv);
}

void loop_fd_free(struct loop_fd *f)
{
	if (f)
		handle_close((uv_handle_t *)&f->uv);
}

struct loop_signal {
	uv_signal_t uv;
	void (*cb)(void *arg, int signo);
	void *arg;
};

static void signal_seen(uv_signal_t *uv, int signo)
{
	struct loop_signal *s = (struct loop_signal *)uv;
	s->cb(s->arg, signo);
}

struct loop_signal *loop_signal_new(struct loop *l, int signo, void (*cb)(void *arg, int signo), void *arg)
{
	struct loop_signal *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->cb = cb;
	s->arg = arg;
	uv_signal_init(&l->uv, &s->uv);
	if (uv_signal_start(&s->uv, signal_seen, signo) != 0) {
		handle_close((uv_handle_t *)&s->uv);
		return NULL;
	}
	return s;
}

void loop_signal_free(struct loop_signal *s)
{
	if (s)
		handle_close((uv_handle_t *)&s->uv);
}
