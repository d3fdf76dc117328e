#include "simnet/run_in.h"

#include "mesh/os/loop.h"
#include "simnet/report/chart.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What a run came to, and how that is told. */

#define UNSURE_FROM 1.5 /* times as slow as an idle machine */

/* During the step, or when what it judged happened: a silence may be older than the step that looks for it. */
static double slowness_of(const struct run *run)
{
	double during = slowness_since(run->lab.slowness, &run->slow);

	return during > run->lab.slow ? during : run->lab.slow;
}

static const char *slow_when(const struct run *run)
{
	if (!run->lab.step)
		return "while its programs started";
	return slowness_since(run->lab.slowness, &run->slow) < run->lab.slow ? "when nothing arrived"
									     : "during this step";
}

/* A bound that was not kept while the machine was slow says nothing of the program, nor does a command that gave up. */
static bool is_unsure(const struct run *run, int err)
{
	const struct scn_step *st = run->lab.step;
	bool of_time = err == -ETIMEDOUT || (st && st->kind == STEP_RUN && run->lab.gave_up) ||
		       (st && st->kind == STEP_EXPECT &&
			       (st->max_gap_ms != UINT64_MAX || st->max_lost != UINT64_MAX));

	return of_time && slowness_of(run) >= UNSURE_FROM;
}

/* By the name of its file, wherever that is. */
static bool is_required(const char *names, const char *program)
{
	const char *slash = strrchr(program, '/'), *base = slash ? slash + 1 : program;

	for (; names && *names; names += strcspn(names, ","), names += *names == ',')
		if (strcspn(names, ",") == strlen(base) && !strncmp(names, base, strlen(base)))
			return true;
	return false;
}

int run_exit_code(const struct run *run, int err, enum stage stage)
{
	if (run->lab.interrupted)
		return run->r->keep == KEEP_UP ? EXIT_PASS : EXIT_INTERRUPTED;
	if (!err)
		return EXIT_PASS;
	if (lab_short_of(err))
		return EXIT_BROKEN;
	if (stage == STAGE_RUN)
		return is_unsure(run, err) ? EXIT_UNSURE : EXIT_FAILED;
	if (stage == STAGE_BUILD && err == -ETIMEDOUT) /* a router that could not be measured */
		return EXIT_UNSURE;
	if (err == -ENOPKG)
		return is_required(run->r->required, run->lacks) ? RUN_REQUIRED : RUN_NO_PROGRAM;
	return err == -ENOSYS || err == ERR_UNSUPPORTED ? EXIT_HOST : EXIT_BROKEN;
}

/* What failed, then why; the programs' own words last. */
void run_tell_failure(struct run *run, const struct errbuf *eb, char *message, size_t cap)
{
	const struct scenario *s = run->lab.s;
	const struct scn_step *st = run->lab.step;
	char name[300];

	if (st)
		snprintf(message, cap, "%s:%u: %s: %s", st->at.file ? st->at.file : s->file, st->at.line,
			scenario_step_name(st->kind), eb->text);
	else
		snprintf(message, cap, "%s", eb->text);
	story_say(run->lab.story, "failed", STORY_BAD, "FAIL %s  %.800s",
		scenario_title(s, name, sizeof(name)), message);
	failure_explain(&run->lab, st, &run->drops, eb->text);
}

static const char *end_kind(int code, enum run_skip skip)
{
	if ((code == EXIT_HOST && skip == SKIP_ALL) || (code == RUN_NO_PROGRAM && skip != SKIP_NOTHING))
		return "skip";
	return code == EXIT_PASS     ? "pass"
	       : code == EXIT_FAILED ? "fail"
	       : code == EXIT_UNSURE ? "unsure"
				     : "error";
}

/* The network as a chart, for a page that may show it beside the story; what the step is about stands out. "" of one that is
 * larger than such pages draw. */
static const char *chart_of(const struct run *run, struct buf *out)
{
	enum { CHART_BYTES = 50000, CHART_NODES = 250 };
	const struct scenario *s = run->lab.s;
	const struct scn_step *st = run->lab.step;
	const char *const names[] = { st ? st->from : NULL, st ? st->to : NULL, st ? st->target : NULL };

	out->cap = CHART_BYTES;
	bool ok = s->n_nodes + s->n_routers <= CHART_NODES && chart_mermaid(s, out) &&
		  chart_mark(s, names, ARRAY_LEN(names), out);
	return ok ? buf_cstr(out) : "";
}

void run_tell_end(struct run *run, int code, const char *message, uint64_t start)
{
	const struct scenario *s = run->lab.s;
	char text[900], name[300], took[32], seed[32];
	uint64_t took_ms = clock_now_ms() - start;
	double s_took = (double)took_ms / 1000;
	const char *kind = end_kind(code, run->r->skip);
	const char *slow = !run->r->again ? "" : code == EXIT_UNSURE ? ", alone too" : "; slow at first";

	snprintf(took, sizeof(took), "%.3f", s_took);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)run->r->seed);
	scenario_title(s, name, sizeof(name));
	if (code == EXIT_PASS)
		snprintf(text, sizeof(text), "PASS %s  %zu step%s, %.1f s%s", name, s->n_steps,
			s->n_steps == 1 ? "" : "s", s_took, slow);
	else if (code == EXIT_FAILED)
		snprintf(text, sizeof(text), "FAIL %s  %.1f s%s; again with -k '%s' --seed %s", name, s_took,
			slow, name, seed);
	else if (code == EXIT_UNSURE && !run->lab.open_unix_ns)
		snprintf(text, sizeof(text),
			"INCONCLUSIVE %s  %.1f s%s; %.500s; again with -k '%s' --seed %s", name, s_took, slow,
			message, name, seed);
	else if (code == EXIT_UNSURE)
		snprintf(text, sizeof(text),
			"INCONCLUSIVE %s  %.1f s%s; the machine was %.1f times slower than an idle one %s; "
			"again with -k '%s' --seed %s",
			name, s_took, slow, slowness_of(run), slow_when(run), name, seed);
	else
		snprintf(text, sizeof(text), "%s %s  %.500s", strcmp(kind, "skip") != 0 ? "ERROR" : "SKIP",
			name, message);
	struct buf chart = { 0 };
	struct story_item item = { .kind = kind,
		.mark = strcmp(kind, "skip") != 0 ? code ? STORY_BAD : STORY_GOOD : STORY_EVENT,
		.at = run->lab.step ? run->lab.step->at : (struct scn_at) { .line = 1, .column = 1 },
		.text = text,
		.keys = { "message", "seconds", "seed", "earlier", "lacks", "chart" },
		.values = { message, took, seed, run->r->again ? "unsure" : "", run->lacks,
			code == EXIT_FAILED || code == EXIT_UNSURE ? chart_of(run, &chart) : "" } };
	story_tell(run->lab.story, &item);
	buf_free(&chart);
}
