/* One lock, `lock`, says whose the lending is. The thread holds it while it seals and sends one batch; the loop while it takes
 * back or notes what was sent, so that it waits for one batch at most: `wanted` makes the thread stand aside for it. While the
 * thread waits for the loop (OUTWARD_ASKS, OUTWARD_RESTS) the loop has the lending without the lock.
 *
 *   OUTWARD_RESTS   the loop reads the TUN. Begun anew by outward_seen.
 *   OUTWARD_RUNS    the thread reads it. The loop may take back what is lent; the next packet then asks.
 *   OUTWARD_ASKS    the thread has packets that are not lent, and waits. The loop lends, or sends them itself; in their order, so
 *                   that a flow keeps its own.
 *   OUTWARD_ENDS    outward_close waits for it.
 * `leave` asks the thread to rest: what it has in hand the loop sends first.
 *
 * Each TICK_MS the loop hears what was sent. It lets the thread rest when little leaves, or when it asks or is called back so often
 * that the loop alone would be cheaper; after the latter for a while that doubles. */
#include "mesh/node/plane/outward.h"
#include "mesh/node/plane/ecn.h"
#include "mesh/node/plane/lending.h"
#include "mesh/os/errand.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { TICK_MS = 100, MANY = 1000, FEW = 5, DEAR = 20, REST_MS = 1000, REST_MAX_MS = 60000, SOCKETS = 2 };

enum outward_state { OUTWARD_RESTS, OUTWARD_RUNS, OUTWARD_ASKS, OUTWARD_ENDS };

struct outward {
	struct loop *loop;
	struct tun *tun;
	struct plane *plane;
	struct outward_ops ops;
	struct tun_reader *reader; /* the thread's */
	struct errand *thread;	   /* NULL: not begun yet */
	struct loop_fd *watch;
	struct loop_timer *tick;
	int news, wake; /* to the loop, to the thread: eventfd */
	/* The loop's. */
	uint64_t window_at, window_n, rest_until_ms, rest_ms;
	bool due; /* the thread takes over when this callback of the loop is done */
	struct outward_figures figures, at_tick;
	struct lending_account account;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* state, wanted */
	atomic_int wanted;	/* the loop waits for the lock */
	/* Under the lock. */
	enum outward_state state;
	bool leave;
	struct pkt *left; /* the thread's, while it asks */
	size_t n_left, n_taken;
	uint64_t packets;
	struct udp_sender out[SOCKETS];
	bool failed;
	struct lending lending;
};

/* --- both --- */

static void raise_flag(int fd)
{
	uint64_t one = 1;
	(void)!write(fd, &one, sizeof(one));
}

static void lower_flag(int fd)
{
	uint64_t n;
	(void)!read(fd, &n, sizeof(n));
}

static void lock_for_loop(struct outward *o)
{
	atomic_fetch_add(&o->wanted, 1);
	pthread_mutex_lock(&o->lock);
	atomic_fetch_sub(&o->wanted, 1);
}

static void unlock_for_loop(struct outward *o)
{
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->lock);
}

static void lock_for_thread(struct outward *o)
{
	pthread_mutex_lock(&o->lock);
	while (atomic_load(&o->wanted))
		pthread_cond_wait(&o->changed, &o->lock);
}

/* --- the thread --- */

static void send_run(struct outward *o, struct lending_peer *e, struct pkt *const *pkts, size_t n)
{
	struct udp_sender *out = &o->out[e->way.from == PATH_SPARE];
	for (size_t i = 0; i < n; i++)
		e->sent.bytes += pkts[i]->len;
	e->sent.packets += n;
	o->packets += n;
	udp_sender_send(out, &e->way.at, pkts, n);
	if (out->failed && !o->failed) {
		o->failed = true;
		raise_flag(o->news);
	}
}

/* From the front, up to the first that is not lent. Returns how many. */
static size_t send_lent(struct outward *o, struct pkt *pkts, size_t n)
{
	uint64_t now = clock_now_ms();
	struct lending_peer *to = NULL, *last = NULL;
	struct pkt *run[PKT_BATCH];
	size_t i = 0, n_run = 0;
	for (; i < n; i++) {
		if (!to || !pkts[i].follows)
			to = lending_find(&o->lending, now, &pkts[i]);
		if (!to)
			break;
		if (n_run && to != last) {
			send_run(o, last, run, n_run);
			n_run = 0;
		}
		pkts[i].ecn = (uint8_t)ecn_of(pkt_data(&pkts[i]), pkts[i].len);
		last = to;
		if (wg_loan_seal(&to->loan, now, &pkts[i]) == WG_OK)
			run[n_run++] = &pkts[i];
	}
	if (n_run)
		send_run(o, last, run, n_run);
	return i;
}

/* Waits until the loop has lent what the first needs, or sent some: how many. */
static size_t ask(struct outward *o, struct pkt *pkts, size_t n)
{
	if (o->state != OUTWARD_RUNS)
		return n; /* it ends */
	o->left = pkts;
	o->n_left = n;
	o->n_taken = 0;
	o->state = OUTWARD_ASKS;
	raise_flag(o->news);
	while (o->state == OUTWARD_ASKS)
		pthread_cond_wait(&o->changed, &o->lock);
	return o->n_taken;
}

static void thread_received(void *arg, struct pkt *pkts, size_t n)
{
	struct outward *o = arg;
	lock_for_thread(o);
	for (size_t at = 0; at < n;) {
		if (!o->leave)
			at += send_lent(o, pkts + at, n - at);
		if (at < n)
			at += ask(o, pkts + at, n - at);
	}
	if (o->leave || o->state == OUTWARD_ENDS)
		tun_reader_stop(o->reader);
	pthread_mutex_unlock(&o->lock);
}

/* false: it ends. */
static bool may_read(struct outward *o)
{
	lock_for_thread(o);
	if (o->leave && o->state == OUTWARD_RUNS) {
		o->state = OUTWARD_RESTS;
		o->leave = false;
		raise_flag(o->news);
	}
	while (o->state == OUTWARD_RESTS)
		pthread_cond_wait(&o->changed, &o->lock);
	bool goes_on = o->state != OUTWARD_ENDS;
	pthread_mutex_unlock(&o->lock);
	return goes_on;
}

static void stand_back(struct outward *o)
{
	lock_for_thread(o);
	o->leave = true; /* the loop will see what is wrong with the device */
	pthread_mutex_unlock(&o->lock);
}

static void thread_run(void *arg, int stop)
{
	struct outward *o = arg;
	struct pollfd fds[2] = { { .fd = tun_reader_fd(o->reader), .events = POLLIN },
		{ .fd = o->wake, .events = POLLIN } };
	(void)stop; /* `wake` is enough */
	while (may_read(o)) {
		(void)poll(fds, 2, -1);
		if (fds[1].revents)
			lower_flag(o->wake);
		if (fds[0].revents && tun_reader_read(o->reader) != 0)
			stand_back(o);
	}
}

/* --- the loop --- */

static void let_rest(struct outward *o)
{
	lock_for_loop(o);
	o->leave = o->state != OUTWARD_RESTS;
	unlock_for_loop(o);
	raise_flag(o->wake);
}

void outward_recall(struct outward *o)
{
	if (!o)
		return;
	lock_for_loop(o);
	lending_note(&o->lending, &o->account);
	lending_forget(&o->lending);
	unlock_for_loop(o);
	if (!o->account.n_peers)
		return;
	o->figures.recalled++;
	lending_give_back(o->plane, clock_now_ms(), &o->account);
	o->account.n_peers = o->account.n_flows = 0;
}

void outward_check(struct outward *o)
{
	if (o && lending_is_stale(o->plane, &o->lending))
		outward_recall(o);
}

/* What the kernel refused. */
static void tell_senders(struct outward *o)
{
	struct udp_sender said[SOCKETS];
	lock_for_loop(o);
	memcpy(said, o->out, sizeof(said));
	for (int i = 0; i < SOCKETS; i++) {
		o->out[i].queue_full = o->out[i].unsent = 0;
		o->out[i].failed = 0;
	}
	o->failed = false;
	o->figures.packets = o->packets;
	unlock_for_loop(o);
	for (int i = 0; i < SOCKETS; i++) {
		struct udp *u = o->ops.udp(o->ops.arg, i ? PATH_SPARE : PATH_MAIN);
		if (u && (said[i].queue_full || said[i].unsent || said[i].failed || !said[i].gso))
			udp_sender_told(u, &said[i]);
	}
}

void outward_settle(struct outward *o)
{
	if (!o || !o->figures.on)
		return;
	lock_for_loop(o);
	lending_note(&o->lending, &o->account);
	unlock_for_loop(o);
	struct lending_account a = o->account; /* what is told may end in a recall */
	lending_tell(o->plane, clock_now_ms(), &a);
	lock_for_loop(o);
	lending_extend(&o->lending, &a);
	unlock_for_loop(o);
	tell_senders(o);
}

static void ticked(void *arg)
{
	struct outward *o = arg;
	if (!o->figures.on)
		return;
	outward_settle(o);
	const struct outward_figures *f = &o->figures, *was = &o->at_tick;
	uint64_t packets = f->packets - was->packets,
		 dear = (f->asked - was->asked) + (f->recalled - was->recalled);
	o->at_tick = *f;
	if (dear * DEAR > packets && dear > 1) {
		o->rest_ms = o->rest_ms ? o->rest_ms * 2 : REST_MS;
		if (o->rest_ms > REST_MAX_MS)
			o->rest_ms = REST_MAX_MS;
		o->rest_until_ms = clock_now_ms() + o->rest_ms;
		let_rest(o);
	} else if (packets * FEW < o->ops.many) {
		let_rest(o);
	} else {
		o->rest_ms = 0;
	}
	loop_timer_set(o->tick, TICK_MS);
	o->ops.settled(o->ops.arg);
}

/* The sockets' terms may have changed since all was taken back. */
static bool grant(struct outward *o, struct pkt *p)
{
	bool anew = !o->lending.n_peers;
	if (!lending_grant(o->plane, &o->lending, clock_now_ms(), p))
		return false;
	for (int i = 0; anew && i < SOCKETS; i++) {
		const struct udp *u = o->ops.udp(o->ops.arg, i ? PATH_SPARE : PATH_MAIN);
		o->out[i] = udp_sender_of(u);
	}
	return true;
}

/* The thread asks, and waits: what it has is the loop's. Sends up to the first packet that can be lent. */
static size_t answer(struct outward *o, bool leaving)
{
	size_t n = 0;
	/* The first of a super-packet speaks for all of it. */
	while (n < o->n_left && (leaving || (n && o->left[n].follows) || !grant(o, &o->left[n])))
		n++;
	if (n)
		o->ops.received(o->ops.arg, o->left, n);
	return n;
}

static void take_over(struct outward *o)
{
	o->figures.on = false;
	outward_recall(o);
	tell_senders(o);
	loop_timer_clear(o->tick);
	tun_listen(o->tun, true);
	o->ops.settled(o->ops.arg);
}

static void start(struct outward *o)
{
	o->due = false;
	tun_listen(o->tun, false);
	o->figures.on = true;
	o->figures.begun++;
	o->at_tick = o->figures;
	loop_timer_set(o->tick, TICK_MS);
	lock_for_loop(o);
	o->state = OUTWARD_RUNS;
	unlock_for_loop(o);
}

static void news_came(void *arg, int events)
{
	struct outward *o = arg;
	(void)events;
	lower_flag(o->news);
	if (o->due) {
		start(o);
		return;
	}
	lock_for_loop(o);
	enum outward_state state = o->state;
	bool leaving = o->leave, failed = o->failed;
	unlock_for_loop(o);
	if (failed)
		tell_senders(o);
	if (state == OUTWARD_ASKS) {
		o->figures.asked++;
		size_t n = answer(o, leaving);
		lock_for_loop(o);
		o->n_taken = n;
		o->state = OUTWARD_RUNS;
		unlock_for_loop(o);
	}
	if (state == OUTWARD_RESTS && o->figures.on)
		take_over(o);
	else
		o->ops.settled(o->ops.arg);
}

static bool begin(struct outward *o)
{
	if (!o->reader)
		o->reader = tun_reader_new(o->tun, thread_received, o);
	if (o->reader && !o->thread)
		o->thread = errand_start(o->loop, thread_run, NULL, o);
	return o->thread;
}

void outward_seen(struct outward *o, uint64_t now_ms, struct pkt *p, size_t n)
{
	if (!o || o->figures.on || o->due)
		return;
	if (now_ms - o->window_at >= TICK_MS) {
		o->window_at = now_ms;
		o->window_n = 0;
	}
	o->window_n += n;
	if (o->window_n < o->ops.many || now_ms < o->rest_until_ms)
		return;
	o->window_n = 0;
	if (!begin(o) || !grant(o, p)) {
		o->rest_until_ms = now_ms + REST_MS;
		return;
	}
	/* What this read of the TUN brought is still the loop's: two would send it out of its order. */
	o->due = true;
	raise_flag(o->news);
}

struct outward_figures outward_figures(struct outward *o)
{
	return o ? o->figures : (struct outward_figures) { 0 };
}

unsigned outward_processors(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static void free_all(struct outward *o)
{
	loop_fd_free(o->watch);
	loop_timer_free(o->tick);
	if (o->news >= 0)
		close(o->news);
	if (o->wake >= 0)
		close(o->wake);
	tun_reader_free(o->tun, o->reader);
	pthread_cond_destroy(&o->changed);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

struct outward *outward_open(
	struct loop *l, struct tun *t, struct plane *d, const struct outward_ops *ops, struct errbuf *eb)
{
	struct outward *o = calloc(1, sizeof(*o));
	if (!o) {
		err_set(eb, -ENOMEM, "start");
		return NULL;
	}
	o->loop = l;
	o->tun = t;
	o->plane = d;
	o->ops = *ops;
	o->ops.many = ops->many ? ops->many : MANY;
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->changed, NULL);
	o->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	o->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	o->tick = loop_timer_new(l, ticked, o);
	if (o->news >= 0 && o->wake >= 0)
		o->watch = loop_fd_new(l, o->news, news_came, o);
	if (!o->watch || !o->tick) {
		err_set(eb, -ENOMEM, "start");
		free_all(o);
		return NULL;
	}
	loop_fd_set(o->watch, LOOP_READ);
	return o;
}

void outward_close(struct outward *o)
{
	if (!o)
		return;
	if (o->thread) {
		lock_for_loop(o);
		o->state = OUTWARD_ENDS;
		unlock_for_loop(o);
		raise_flag(o->wake);
		errand_finish(o->thread);
	}
	outward_recall(o);
	free_all(o);
}
