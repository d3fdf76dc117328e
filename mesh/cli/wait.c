#include "mesh/cli/wait.h"
#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"

struct options {
	struct cli_common common;
	uint64_t timeout_ms;
};
static const struct opt_row rows[] = {
	{ "timeout", NULL, OPT_DURATION_MS, offsetof(struct options, timeout_ms), "TIME",
		"give up after this long (exit 4)" },
	CLI_ROWS_COMMON(struct options),
};
struct wait {
	struct cli *c;
	int state;
	int code;
};

static void wait_finish(struct wait *w, int code)
{
	w->code = code;
	loop_stop(w->c->loop);
}

static void notified(void *arg, const struct api_notify *n)
{
	struct wait *w = arg;
	if (n->state == w->state)
		wait_finish(w, CLI_OK);
}

static void ended(void *arg, int code)
{
	wait_finish(arg, code);
}

static void wait_timed_out(void *arg)
{
	wait_finish(arg, CLI_TIMEOUT);
}

int wait_for_state(struct cli *c, int state, uint64_t timeout_ms)
{
	struct wait w = { .c = c, .state = state };
	struct api_watch_events ev = { .notify = notified, .ended = ended, .arg = &w };
	struct api_watch *bus = api_watch_open(c, &ev);
	struct loop_timer *limit = loop_timer_new(c->loop, wait_timed_out, &w);
	if (bus && limit) {
		if (timeout_ms)
			loop_timer_set(limit, timeout_ms);
		loop_run(c->loop);
	} else {
		w.code = cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	}
	loop_timer_free(limit);
	api_watch_close(bus);
	return w.code;
}

static int wait_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)words;
	(void)n;
	const struct options *o = options;
	int code = wait_for_state(c, STATE_RUNNING, o->timeout_ms);
	if (code == CLI_TIMEOUT)
		cli_fail(c, code, "timeout", "ropewalk status says what it waits for.",
			"not running after %llu ms", (unsigned long long)o->timeout_ms);
	return code;
}

const struct cli_verb verb_wait = {
	.man = { "wait", "", "wait until the network is usable",
		"For scripts and units that need the mesh to be up.", rows },
	.options_size = sizeof(struct options),
	.run = wait_run,
};
