#include "simnet/lab/lab.h"

#include <errno.h>

static void deadline_passed(void *arg)
{
	loop_stop(((struct lab *)arg)->loop);
}

void lab_poke(struct lab *l)
{
	loop_stop(l->loop);
}

bool lab_wait(struct lab *l, bool (*done)(void *arg), void *arg, uint64_t deadline_ms)
{
	if (!l->deadline)
		l->deadline = loop_timer_new(l->loop, deadline_passed, l);
	for (;;) {
		uint64_t now = loop_now_ms(l->loop);
		if (done(arg))
			return true;
		if (now >= deadline_ms || l->interrupted || l->story->lost || !l->deadline)
			return false;
		loop_timer_set(l->deadline, deadline_ms - now);
		loop_run(l->loop);
		loop_timer_clear(l->deadline);
	}
}

static bool is_over(void *arg)
{
	return ((struct lab *)arg)->failed;
}

void lab_sleep(struct lab *l, uint64_t ms)
{
	(void)lab_wait(l, is_over, l, loop_now_ms(l->loop) + ms);
}

struct proc_place lab_place(const struct lab *l, int host)
{
	return (struct proc_place) { .loop = l->loop, .hosts = l->hosts, .host = host };
}

/* ---- commands, waited for */

struct waited {
	bool done;
	int status;
	struct buf *out;
	struct errbuf *eb;
	const char *name;
	uint64_t timeout_ms;
};

static void wait_done(void *owner, const struct job_result *r)
{
	struct waited *w = owner;

	w->done = true;
	w->status = r->status;
	if (r->timed_out)
		w->status = err_say(w->eb, -ETIMEDOUT, "'%s' did not end in %.1f s", w->name,
			(double)w->timeout_ms / 1000);
	else if (r->status > 128 && w->eb)
		err_say(w->eb, ERR_REFUSED, "'%s' was ended by signal %d", w->name, r->status - 128);
	else if (r->status && w->eb)
		err_say(w->eb, ERR_REFUSED, "'%s' ended with status %d%s%.200s", w->name, r->status,
			r->last_err ? ": " : "", r->last_err ? r->last_err : "");
	if (w->out && r->out->len)
		(void)buf_append(w->out, buf_data(r->out), r->out->len);
}

static bool is_done(void *arg)
{
	return ((struct waited *)arg)->done;
}

int lab_run(struct lab *l, int host, const char *const *argv, uint64_t timeout_ms, struct buf *out,
	struct errbuf *eb)
{
	struct waited w = { .out = out, .eb = eb, .name = argv[0], .timeout_ms = timeout_ms };
	struct proc_place at = lab_place(l, host);
	struct job *j = job_start(&at, argv, timeout_ms, wait_done, &w, eb);

	if (!j)
		return eb && eb->code ? eb->code : -ENOENT;
	if (lab_wait(l, is_done, &w, loop_now_ms(l->loop) + timeout_ms + 2000))
		return w.status;
	job_free(j);
	return err_say(eb, -EINTR, "interrupted");
}
