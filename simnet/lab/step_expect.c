#include "simnet/lab/step.h"

#include "simnet/scenario/jsonpath.h"
#include "simnet/scenario/oracle.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* `expect: {home}`: the home relay that a program tells. `expect: {path}`: a path must be so, and stay so, and carry packets. `expect: {gap}`: what the present
 * event has cost. */
enum { FLOWING_MS = 300, SETTLE_MS = 1000, PATH_GRACE_MS = 1000, HOME_EVERY_MS = 100, HOME_LEAST_MS = 500 };

struct path_wait {
	struct probe_stream *s;
	enum scn_path want;
	uint64_t start_ms, for_ms, since_ms; /* since_ms 0 = not so at the moment */
};

/* A probe of this step was answered, and lately. Where nothing is probed the program's word is all there is.
 */
static bool flows(const struct path_wait *w)
{
	const struct meter *m = &w->s->meter;
	return w->want == PATH_NONE || !w->s->probe ||
	       (m->answered_ms >= w->start_ms && loop_now_ms(w->s->lab->loop) - m->last_got_ms < FLOWING_MS);
}

/* A program that is dead or hangs says nothing new, and what it said before counts no more. Nor does the name
 * of a path that carries nothing. */
static bool path_holds(void *arg)
{
	struct path_wait *w = arg;
	const struct probe_stream *s = w->s;

	if (s->lab->failed)
		return true;
	if (s->path != w->want)
		w->since_ms = 0;
	else if (s->path_ms >= w->start_ms && !w->since_ms)
		w->since_ms = s->path_ms;
	return w->since_ms && s->path_ms >= w->since_ms + w->for_ms && flows(w);
}

/* What has begun in time may end later; the program has a moment to say so once more. */
static bool wait_path(struct lab *l, struct path_wait *w, const struct lab_since *since, uint64_t deadline)
{
	stream_ask(w->s);
	bool good = lab_wait_since(l, path_holds, w, since, deadline);
	while (!good && w->since_ms && !l->interrupted && !l->story->lost) {
		uint64_t end = w->since_ms + w->for_ms + PATH_GRACE_MS;
		good = lab_wait(l, path_holds, w, end);
		if (loop_now_ms(l->loop) >= end)
			break;
	}
	return good;
}

static int say_no_path(
	const struct path_wait *w, const struct scn_step *st, const char *why, struct errbuf *eb)
{
	const struct probe_stream *s = w->s;
	uint64_t now = loop_now_ms(s->lab->loop);
	const char *is = s->path ? scenario_path_name(s->path) : "not known";

	if (s->path == w->want && (s->path_ms < w->start_ms || now - s->path_ms > PATH_GRACE_MS))
		return err_say(eb, -ETIMEDOUT,
			"%s has not said for %.1f s which path it has to %s; then it was %s", st->from,
			step_seconds(now - s->path_ms), s->to_words, is);
	if (s->path == w->want && w->since_ms && !flows(w))
		return err_say(eb, -ETIMEDOUT, "%s -> %s is %s, but nothing has come back for %.1f s",
			st->from, s->to_words, is,
			step_seconds(now - (s->meter.last_got_ms ? s->meter.last_got_ms : s->meter.mark_ms)));
	return err_say(eb, -ETIMEDOUT, "%s -> %s is %s%s%s%s after %.1f s, expected %s%s%s%s", st->from,
		s->to_words, is, *s->detail ? " (" : "", s->detail, *s->detail ? ")" : "",
		step_seconds(now - w->start_ms), scenario_path_name(w->want), st->for_ms ? " throughout" : "",
		*why ? ": " : "", why);
}

static int expect_path(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	uint64_t start = loop_now_ms(l->loop), deadline = start + st->within_ms;
	struct oracle_verdict v = { .path = st->path };
	struct lab_since since = lab_since(l);
	struct probe_stream *s = step_stream(l, st, deadline, eb);

	if (!s)
		return step_should_stop(l, eb) || eb->code == -ETIMEDOUT ? eb->code : ERR_REFUSED;
	if (!l->programs[s->from].adapter || !l->programs[s->from].adapter->path_argv)
		return err_say(eb, ERR_MALFORMED, "%s runs nothing that can tell its path", st->from);
	if (st->oracle)
		oracle_ask(l->s, (size_t)(st - l->s->steps), s->from, s->to, &v);
	struct path_wait w = { .s = s, .want = v.path, .start_ms = start, .for_ms = st->for_ms };
	l->hot_until_ms = deadline + st->for_ms + PATH_GRACE_MS;
	bool good = wait_path(l, &w, &since, deadline);
	l->hot_until_ms = loop_now_ms(l->loop);
	if (step_should_stop(l, eb))
		return eb->code;
	if (!good)
		return say_no_path(&w, st, v.why, eb);
	story_say(l->story, "expect", STORY_GOOD, "%s -> %s is %s as expected, after %.2f s%s%s", st->from,
		s->to_words, scenario_path_name(v.path),
		step_seconds(w.since_ms > start ? w.since_ms - start : 0), *v.why ? "; " : "", v.why);
	return 0;
}

/* ---- gap ---- */

struct gap_wait {
	struct probe_stream *s;
	struct meter_window window;
};

/* Answered within the window, and lately: a gap that has no end is not a gap of some length. */
static bool gap_flows(void *arg)
{
	struct gap_wait *w = arg;
	const struct meter *m = &w->s->meter;
	uint64_t now = loop_now_ms(w->s->lab->loop);

	w->window = meter_window(m, now);
	return w->s->lab->failed ||
	       (meter_read(m, &w->window, now).answered && now - m->last_got_ms < FLOWING_MS);
}

static bool gap_settled(void *arg)
{
	const struct gap_wait *w = arg;
	uint64_t now = loop_now_ms(w->s->lab->loop);
	return w->s->lab->failed || !meter_settles_ms(&w->s->meter, &w->window, now);
}

/* Waits until packets flow, and then until the fate of every probe sent by then is known. false: nothing
 * flows. */
static bool wait_gap(struct lab *l, const struct scn_step *st, struct gap_wait *w)
{
	uint64_t now = loop_now_ms(l->loop);
	uint64_t until = st->for_ms ? now + st->for_ms : w->s->meter.mark_ms + SETTLE_MS;

	if (until > now)
		lab_sleep(l, until - now);
	bool flows = lab_wait(l, gap_flows, w, (until > now ? until : now) + st->within_ms);
	uint64_t late = meter_settles_ms(&w->s->meter, &w->window, loop_now_ms(l->loop));
	if (late)
		(void)lab_wait(l, gap_settled, w, late);
	return flows;
}

static int expect_gap(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	struct probe_stream *s = stream_find(l, st->from, st->to);
	char trouble[140];

	if (!s)
		return err_say(eb, ERR_MALFORMED,
			"nothing pings from %s to %s yet; a 'ping' step begins that", st->from, st->to);
	struct gap_wait w = { .s = s };
	bool flows = wait_gap(l, st, &w);
	if (step_should_stop(l, eb))
		return eb->code;
	struct meter_cost c = meter_read(&s->meter, &w.window, loop_now_ms(l->loop));
	bool silent = c.longest_gap_ms > st->max_gap_ms, lossy = c.lost > st->max_lost;
	if (silent)
		l->slow = c.gap_slow;
	if (lossy && c.lost_slow > l->slow)
		l->slow = c.lost_slow;
	if (!flows || silent || lossy)
		return err_say(eb, ERR_REFUSED, "%s -> %s lost %llu of %llu, longest gap %.2f s%s%s",
			st->from, s->to_words, (unsigned long long)c.lost, (unsigned long long)c.sent,
			step_seconds(c.longest_gap_ms), flows ? "" : ", and nothing arrives",
			stream_trouble(s, trouble, sizeof(trouble)));
	story_say(l->story, "expect", STORY_GOOD,
		"%s -> %s lost %llu of %llu, longest gap %.2f s, as expected", st->from, st->to,
		(unsigned long long)c.lost, (unsigned long long)c.sent, step_seconds(c.longest_gap_ms));
	return 0;
}

/* ---- home ---- */

/* Its word, or "" while it has none; what it said before, while it does not answer. */
static int ask_home(struct lab *l, int node, uint64_t left_ms, struct buf *word, struct errbuf *eb)
{
	const struct adapter *a = l->programs[node].adapter;
	struct fields f = { .lab = l, .node = node, .each_node = -1 };
	struct buf out = { .cap = 4 << 20 };
	char **argv = NULL;
	int err = fields_argv(&f, a->home_argv, &argv, eb);

	if (!err)
		(void)lab_run(l, node, (const char *const *)argv, left_ms, &out, eb);
	fields_argv_free(argv);
	json_t *root = !out.len ? NULL : json_loads(buf_cstr(&out), JSON_DISABLE_EOF_CHECK, NULL);
	if (root) {
		buf_free(word);
		if (jsonpath_select(root, a->home_json, word, eb) > 0)
			word->len = strcspn(buf_cstr(word), "\n");
	}
	json_decref(root);
	buf_free(&out);
	return step_should_stop(l, eb) ? eb->code : err;
}

static int expect_home(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	uint64_t start = loop_now_ms(l->loop), deadline = start + st->within_ms, now;
	int node = scenario_find_node(l->s, st->from), err;
	struct buf want = { .cap = 1024 }, word = { .cap = 1 << 16 };

	err = step_expand(l, node, st->name, &want, eb);
	for (;;) {
		now = loop_now_ms(l->loop);
		if (err ||
			(err = ask_home(l, node,
				 now + HOME_LEAST_MS < deadline ? deadline - now : HOME_LEAST_MS, &word, eb)))
			break;
		if (word.len && !strcmp(buf_cstr(&word), buf_cstr(&want)))
			break;
		if (loop_now_ms(l->loop) >= deadline) {
			err = err_say(eb, -ETIMEDOUT,
				"the home relay of %s is %s%s%s after %.1f s, expected %s", st->from,
				word.len ? "'" : "not told", word.len ? buf_cstr(&word) : "",
				word.len ? "'" : "", step_seconds(now - start), buf_cstr(&want));
			break;
		}
		lab_sleep(l, HOME_EVERY_MS);
	}
	if (!err && step_should_stop(l, eb))
		err = eb->code;
	if (!err)
		story_say(l->story, "expect", STORY_GOOD,
			"the home relay of %s is %s as expected, after %.2f s", st->from, buf_cstr(&want),
			step_seconds(loop_now_ms(l->loop) - start));
	buf_free(&want);
	buf_free(&word);
	return err;
}

int step_expect(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	bool gap = st->max_gap_ms != UINT64_MAX || st->max_lost != UINT64_MAX;
	if (!st->to)
		return expect_home(l, st, eb);
	return gap ? expect_gap(l, st, eb) : expect_path(l, st, eb);
}
