#include "mesh/os/work.h"

#include <stdlib.h>
#include <uv.h>

struct work {
	uv_work_t uv;
	struct loop *loop;
	void (*run)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

static void run_work(uv_work_t *uv)
{
	struct work *w = (struct work *)uv;
	w->run(w->arg);
}

static void work_done(uv_work_t *uv, int status)
{
	struct work *w = (struct work *)uv;
	(void)status;
	loop_release(w->loop);
	w->done(w->arg);
	free(w);
}

bool work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
	struct work *w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	*w = (struct work) { .loop = l, .run = run, .done = done, .arg = arg };
	if (uv_queue_work(loop_uv(l), &w->uv, run_work, work_done) != 0) {
		free(w);
		return false;
	}
	loop_hold(l);
	return true;
}
