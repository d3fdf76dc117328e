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
enum { STATE_RUNNING = 6 };

struct wait {
	struct cli *c;
	uint64_t timeout_ms;
	int code;
};

static void finish(struct wait *w, int code)
{
	w->code = code;
	loop_stop(w->c->loop);
}

static void notified(void *arg, const struct api_notify *n)
{
	if (n->state == STATE_RUNNING)
		finish(arg, CLI_OK);
}

static void ended(void *arg, int code)
{
	finish(arg, code);
}

static void timed_out(void *arg)
{
	struct wait *w = arg;
	finish(w, cli_fail(w->c, CLI_TIMEOUT, "timeout", "ropewalk status says what it waits for.",
			  "not running after %llu ms", (unsigned long long)w->timeout_ms));
}

static int run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)words;
	(void)n;
	const struct options *o = options;
	struct wait w = { .c = c, .timeout_ms = o->timeout_ms };
	struct api_watch_events ev = { .notify = notified, .ended = ended, .arg = &w };
	struct api_watch *bus = api_watch_open(c, &ev);
	struct loop_timer *limit = o->timeout_ms ? loop_timer_new(c->loop, timed_out, &w) : NULL;
	if (!bus)
		return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	if (limit)
		loop_timer_set(limit, o->timeout_ms);
	loop_run(c->loop);
	loop_timer_free(limit);
	api_watch_close(bus);
	return w.code;
}

const struct cli_verb verb_wait = {
	.man = { "wait", "", "wait until the network is usable",
		"For scripts and units that need the mesh to be up.", rows },
	.options_size = sizeof(struct options),
	.run = run,
};
