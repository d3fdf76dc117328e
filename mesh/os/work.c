/* libuv's pool runs it. Waiting for the end of a run needs a lock of our own, since libuv tells it only from
 * its loop. A finished work is detached: freed by the callback that libuv owes us, without a call to anybody.
 */
#include "mesh/os/work.h"
#include <stdlib.h>
#include <uv.h>

struct work {
	uv_work_t uv;
	struct loop *loop;
	void (*run)(void *arg);
	void (*done)(void *arg);
	void *arg;
	uv_mutex_t lock;
	uv_cond_t ended;
	bool has_run, detached; /* has_run: under the lock */
};

static void work_run(uv_work_t *uv)
{
	struct work *w = (struct work *)uv;
	w->run(w->arg);
	uv_mutex_lock(&w->lock);
	w->has_run = true;
	uv_cond_signal(&w->ended);
	uv_mutex_unlock(&w->lock);
}

static void work_done(uv_work_t *uv, int status)
{
	struct work *w = (struct work *)uv;
	void (*done)(void *arg) = w->detached ? NULL : w->done;
	void *arg = w->arg;
	(void)status;
	loop_release(w->loop);
	uv_cond_destroy(&w->ended);
	uv_mutex_destroy(&w->lock);
	free(w);
	if (done)
		done(arg);
}

struct work *work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
	struct work *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	*w = (struct work) { .loop = l, .run = run, .done = done, .arg = arg };
	if (uv_mutex_init(&w->lock) != 0)
		goto free_work;
	if (uv_cond_init(&w->ended) != 0)
		goto destroy_lock;
	if (uv_queue_work(loop_uv(l), &w->uv, work_run, work_done) != 0)
		goto destroy_cond;
	loop_hold(l);
	return w;
destroy_cond:
	uv_cond_destroy(&w->ended);
destroy_lock:
	uv_mutex_destroy(&w->lock);
free_work:
	free(w);
	return NULL;
}

static void work_nothing(void *arg)
{
	(void)arg;
}

bool work_ready(struct loop *l)
{
	struct work *w = work_start(l, work_nothing, work_nothing, NULL);
	if (w)
		(void)work_finish(w);
	return w != NULL;
}

bool work_finish(struct work *w)
{
	w->detached = true;
	if (uv_cancel((uv_req_t *)&w->uv) == 0)
		return false;
	uv_mutex_lock(&w->lock);
	while (!w->has_run)
		uv_cond_wait(&w->ended, &w->lock);
	uv_mutex_unlock(&w->lock);
	return true;
}
