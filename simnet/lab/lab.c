#include "simnet/lab/lab.h"

#include <errno.h>

enum { WAITED_MS = 500, STATUS_NOT_RUN = 126 };

static void deadline_passed(void *arg)
{
	loop_stop(((struct lab *)arg)->loop);
}

void lab_poke(struct lab *l)
{
	loop_stop(l->loop);
}

size_t lab_step_number(const struct lab *l)
{
	for (size_t i = 0; i < l->s->n_steps; i++)
		if (l->step == &l->s->steps[i])
			return i;
	return 0;
}

uint64_t lab_stretched_ms(
	const struct lab *l, const struct slowness_mark *mark, uint64_t start, uint64_t deadline)
{
	if (deadline == UINT64_MAX || deadline <= start)
		return deadline;
	return start + slowness_stretch(slowness_since(l->slowness, mark), deadline - start);
}

uint64_t lab_stretch_now(const struct lab *l, uint64_t ms)
{
	const struct slowness_mark now = slowness_now(l->slowness);

	return slowness_stretch(slowness_since(l->slowness, &now), ms);
}

struct lab_since lab_since(const struct lab *l)
{
	return (struct lab_since) { slowness_now(l->slowness), loop_now_ms(l->loop) };
}

/* since: NULL, the deadline is not stretched. */
static bool wait_until(struct lab *l, bool (*done)(void *arg), void *arg, uint64_t deadline_ms,
	const struct lab_since *since)
{
	if (!l->deadline)
		l->deadline = loop_timer_new(l->loop, deadline_passed, l);
	for (;;) {
		if (l->between)
			l->between(l->between_arg);
		uint64_t now = loop_now_ms(l->loop);
		uint64_t end = since && now >= deadline_ms
				       ? lab_stretched_ms(l, &since->mark, since->ms, deadline_ms)
				       : deadline_ms;
		if (done(arg))
			return true;
		if (now >= end || l->interrupted || l->over || l->story->lost || !l->deadline)
			return false;
		loop_timer_set(l->deadline, end - now);
		loop_run(l->loop);
		loop_timer_clear(l->deadline);
	}
}

bool lab_wait(struct lab *l, bool (*done)(void *arg), void *arg, uint64_t deadline_ms)
{
	struct lab_since now = lab_since(l);
	return wait_until(l, done, arg, deadline_ms, &now);
}

bool lab_wait_since(struct lab *l, bool (*done)(void *arg), void *arg, const struct lab_since *since,
	uint64_t deadline_ms)
{
	return wait_until(l, done, arg, deadline_ms, since);
}

bool lab_look(struct lab *l, bool (*done)(void *arg), void *arg, uint64_t ms)
{
	return wait_until(l, done, arg, loop_now_ms(l->loop) + ms, NULL);
}

static bool is_over(void *arg)
{
	return ((struct lab *)arg)->failed;
}

void lab_sleep(struct lab *l, uint64_t ms)
{
	(void)lab_look(l, is_over, l, ms);
}

struct proc_place lab_place(const struct lab *l, int host)
{
	return (struct proc_place) { .loop = l->loop, .hosts = l->hosts, .host = host };
}

/* ---- commands, waited for */

const char *lab_short_of(int code)
{
	switch (code) {
	case -EAGAIN:
		return "no more processes may be started here; raise the limit (ulimit -u, pids.max of the "
		       "cgroup)";
	case -EMFILE: return "a process may open no more files; raise the limit (ulimit -n)";
	case -ENFILE: return "the machine opens no more files; raise /proc/sys/fs/file-max";
	default: return NULL;
	}
}

bool lab_may_have_given_up(int status, uint64_t took_ms)
{
	return status > 0 && status < STATUS_NOT_RUN && took_ms >= WAITED_MS;
}

struct waited {
	bool done;
	int status;
	struct buf *out, *said;
	struct errbuf *eb;
	const char *name;
	uint64_t timeout_ms;
};

static void wait_done(void *owner, const struct job_result *r)
{
	struct waited *w = owner;
	char buf[200];

	w->done = true;
	w->status = r->status;
	if (r->timed_out)
		w->status = err_say(w->eb, -ETIMEDOUT, "'%s' did not end in %.1f s", w->name,
			(double)w->timeout_ms / 1000);
	else if (proc_signal_of(r->status) && w->eb)
		err_say(w->eb, ERR_REFUSED, "'%s' was ended by signal %d", w->name,
			proc_signal_of(r->status));
	else if (r->status && w->eb) {
		const char *last = job_last_words(r, buf, sizeof(buf));
		err_say(w->eb, ERR_REFUSED, "'%s' ended with status %d%s%.200s", w->name, r->status,
			*last ? ": " : "", last);
	}
	if (w->out && r->out->len)
		(void)buf_append(w->out, buf_data(r->out), r->out->len);
	if (w->said && r->said->len)
		(void)buf_append(w->said, buf_data(r->said), r->said->len);
}

static bool is_done(void *arg)
{
	return ((struct waited *)arg)->done;
}

int lab_run(struct lab *l, int host, const char *const *argv, uint64_t timeout_ms, struct buf *out,
	struct errbuf *eb)
{
	return lab_run_said(l, host, argv, timeout_ms, &(struct lab_output) { .out = out }, eb);
}

int lab_run_said(struct lab *l, int host, const char *const *argv, uint64_t timeout_ms,
	const struct lab_output *to, struct errbuf *eb)
{
	timeout_ms = lab_stretch_now(l, timeout_ms);
	struct waited w = {
		.out = to->out, .said = to->said, .eb = eb, .name = argv[0], .timeout_ms = timeout_ms
	};
	struct proc_place at = lab_place(l, host);
	struct job *j = job_start(&at, argv, timeout_ms, wait_done, &w, eb);

	if (!j)
		return eb && eb->code ? eb->code : -ENOENT;
	if (lab_wait(l, is_done, &w, loop_now_ms(l->loop) + timeout_ms + 2000))
		return w.status;
	job_free(j);
	if (l->over) {
		if (eb)
			*eb = l->failure;
		return l->failure.code;
	}
	return err_say(eb, -EINTR, "interrupted");
}
