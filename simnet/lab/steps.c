#include "simnet/lab/lab.h"

#include "simnet/scenario/jsonpath.h"
#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HOT_MS = 4000,
	FLOWING_MS = 300,
	SETTLE_MS = 1000,
	RUN_RETRY_MS = 100,
	RUN_LEAST_MS = 2000,
	PATH_GRACE_MS = 1000
};

static double seconds(uint64_t ms)
{
	return (double)ms / 1000;
}

static bool should_stop(const struct lab *l, struct errbuf *eb)
{
	if (l->interrupted)
		err_say(eb, -EINTR, "interrupted");
	else if (l->failed)
		*eb = l->failure;
	else if (l->story->lost)
		err_say(eb, -l->story->lost, "nobody can read on");
	return l->interrupted || l->failed || l->story->lost;
}

static int expand(struct lab *l, int node, const char *text, struct buf *out, struct errbuf *eb)
{
	struct fields f = { .lab = l, .node = node, .each_node = -1 };
	int err = fields_expand(&f, text, out, eb);
	return err == TEMPLATE_WAIT ? err_say(eb, ERR_REFUSED, "there is no value of '%s' yet", text) : err;
}

/* ---- ping */

struct ping_wait {
	struct stream *s;
	size_t first; /* sequence number of the first probe of this step */
	enum scn_path via;
};

static bool answered(void *arg)
{
	struct ping_wait *w = arg;

	if (w->s->lab->failed)
		return true;
	for (size_t i = w->first; i < w->s->meter.n; i++)
		if (w->s->meter.probes[i].got_ms)
			return w->via == PATH_ANY || (w->s->paths_seen & 1u << w->via);
	return false;
}

static struct stream *begin_stream(
	struct lab *l, const struct scn_step *st, uint64_t deadline, struct errbuf *eb)
{
	struct addr dest;
	struct stream *s = stream_find(l, st->from, st->to);

	if (s)
		return s;
	if (lookup_address(l, scenario_find_node(l->s, st->from), st->to, deadline, &dest, eb))
		return NULL;
	return stream_open(l, st->from, st->to, &dest, eb);
}

static int ping_must_fail(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	bool runs = stream_find(l, st->from, st->to);
	struct stream *s = begin_stream(l, st, 0, eb);

	if (!s && eb->code == ERR_REFUSED) {
		story_say(l->story, "ping", STORY_GOOD, "%s cannot ping %s: the name does not resolve",
			st->from, st->to);
		return 0;
	}
	if (!s)
		return eb->code;
	struct ping_wait w = { .s = s, .first = s->meter.n };
	bool heard = lab_wait(l, answered, &w, loop_now_ms(l->loop) + st->within_ms);
	if (!runs)
		stream_close(s);
	if (should_stop(l, eb))
		return eb->code;
	if (heard)
		return err_say(eb, ERR_REFUSED, "%s answered %s, and must not", st->to, st->from);
	story_say(l->story, "ping", STORY_GOOD, "%s gets no reply from %s for %.1f s", st->from, st->to,
		seconds(st->within_ms));
	return 0;
}

static const char *path_words(const struct stream *s, char *buf, size_t cap)
{
	if (s->path == PATH_DIRECT || s->path == PATH_RELAY)
		snprintf(buf, cap, ", %s (%s)", s->path == PATH_DIRECT ? "direct" : "by relay", s->detail);
	else
		buf[0] = '\0';
	return buf;
}

static int do_ping(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	uint64_t start = loop_now_ms(l->loop), deadline = start + st->within_ms;
	char path[140], trouble[140];

	if (st->fails)
		return ping_must_fail(l, st, eb);
	/* Only probes sent from now on count: an earlier one may have been answered long ago. */
	const struct stream *running = stream_find(l, st->from, st->to);
	size_t first = running ? running->meter.n : 0;
	struct stream *s = begin_stream(l, st, deadline, eb);
	if (!s)
		return should_stop(l, eb) ? eb->code : ERR_REFUSED;
	uint64_t resolved = loop_now_ms(l->loop);
	struct ping_wait w = { .s = s, .first = first, .via = st->path };
	s->paths_seen = s->path ? 1u << s->path : 0;
	bool heard = lab_wait(l, answered, &w, deadline);
	if (should_stop(l, eb))
		return eb->code;
	uint64_t took = loop_now_ms(l->loop) - start;
	if (heard) {
		story_say(l->story, "ping", STORY_GOOD, "%s pings %s: reply after %.3f s (name in %.3f s)%s",
			st->from, st->to, seconds(took), seconds(resolved - start),
			path_words(s, path, sizeof(path)));
		return 0;
	}
	if (s->meter.last_got_ms >= start && st->path != PATH_ANY)
		return err_say(eb, -ETIMEDOUT, "%s reached %s, but not by %s in %.1f s%s", st->from, st->to,
			scenario_path_name(st->path), seconds(took), path_words(s, path, sizeof(path)));
	return err_say(eb, -ETIMEDOUT, "no reply from %s to %s in %.1f s%s%s", st->to, st->from,
		seconds(took), path_words(s, path, sizeof(path)),
		stream_trouble(s, trouble, sizeof(trouble)));
}

/* ---- expect */

struct path_wait {
	struct stream *s;
	enum scn_path want;
	uint64_t start_ms, for_ms, since_ms; /* since_ms 0 = not so at the moment */
};

/* A probe of this step was answered, and lately. */
static bool flows(const struct path_wait *w)
{
	const struct meter *m = &w->s->meter;
	return w->want == PATH_NONE ||
	       (m->answered_ms >= w->start_ms && loop_now_ms(w->s->lab->loop) - m->last_got_ms < FLOWING_MS);
}

/* A program that is dead or hangs says nothing new, and what it said before counts no more. Nor does the name
 * of a path that carries nothing. */
static bool path_holds(void *arg)
{
	struct path_wait *w = arg;
	const struct stream *s = w->s;

	if (s->lab->failed)
		return true;
	if (s->path != w->want)
		w->since_ms = 0;
	else if (s->path_ms >= w->start_ms && !w->since_ms)
		w->since_ms = s->path_ms;
	return w->since_ms && s->path_ms >= w->since_ms + w->for_ms && flows(w);
}

/* What has begun in time may end later; the program has a moment to say so once more. */
static bool wait_path(struct lab *l, struct path_wait *w, uint64_t deadline)
{
	stream_ask(w->s);
	bool good = lab_wait(l, path_holds, w, deadline);
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
	const struct stream *s = w->s;
	uint64_t now = loop_now_ms(s->lab->loop);
	const char *is = s->path ? scenario_path_name(s->path) : "not known";

	if (s->path == w->want && (s->path_ms < w->start_ms || now - s->path_ms > PATH_GRACE_MS))
		return err_say(eb, -ETIMEDOUT,
			"%s has not said for %.1f s which path it has to %s; then it was %s", st->from,
			seconds(now - s->path_ms), st->to, is);
	if (s->path == w->want && w->since_ms && !flows(w))
		return err_say(eb, -ETIMEDOUT, "%s -> %s is %s, but nothing has come back for %.1f s",
			st->from, st->to, is,
			seconds(now - (s->meter.last_got_ms ? s->meter.last_got_ms : s->meter.mark_ms)));
	return err_say(eb, -ETIMEDOUT, "%s -> %s is %s%s%s%s after %.1f s, expected %s%s%s%s", st->from,
		st->to, is, *s->detail ? " (" : "", s->detail, *s->detail ? ")" : "",
		seconds(now - w->start_ms), scenario_path_name(w->want), st->for_ms ? " throughout" : "",
		why ? ": " : "", why ? why : "");
}

static int expect_path(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	uint64_t start = loop_now_ms(l->loop), deadline = start + st->within_ms;
	enum scn_path want = st->path;
	const char *why = NULL;
	struct stream *s = begin_stream(l, st, deadline, eb);

	if (!s)
		return should_stop(l, eb) ? eb->code : ERR_REFUSED;
	if (!l->programs[s->from].adapter || !l->programs[s->from].adapter->path_argv)
		return err_say(eb, ERR_MALFORMED, "%s runs nothing that can tell its path", st->from);
	if (st->oracle)
		want = topology_oracle(l->s, s->from, s->to, &why);
	struct path_wait w = { .s = s, .want = want, .start_ms = start, .for_ms = st->for_ms };
	l->hot_until_ms = deadline + st->for_ms + PATH_GRACE_MS;
	bool good = wait_path(l, &w, deadline);
	l->hot_until_ms = loop_now_ms(l->loop);
	if (should_stop(l, eb))
		return eb->code;
	if (!good)
		return say_no_path(&w, st, why, eb);
	story_say(l->story, "expect", STORY_GOOD, "%s -> %s is %s as expected, after %.2f s%s%s", st->from,
		st->to, scenario_path_name(want), seconds(w.since_ms > start ? w.since_ms - start : 0),
		why ? "; " : "", why ? why : "");
	return 0;
}

struct gap_wait {
	struct stream *s;
	const struct scn_step *st;
	uint64_t until_ms; /* not before */
	struct meter_cost cost;
};

static bool over(const struct gap_wait *w)
{
	return w->cost.longest_gap_ms > w->st->max_gap_ms || w->cost.lost > w->st->max_lost;
}

static bool gap_known(void *arg)
{
	struct gap_wait *w = arg;
	uint64_t now = loop_now_ms(w->s->lab->loop);

	if (w->s->lab->failed)
		return true;
	if (now < w->until_ms)
		return false;
	w->cost = meter_read(&w->s->meter, now);
	return over(w) || (w->cost.answered && now - w->s->meter.last_got_ms < FLOWING_MS);
}

static int expect_gap(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	struct stream *s = stream_find(l, st->from, st->to);
	uint64_t now = loop_now_ms(l->loop);

	if (!s)
		return err_say(eb, ERR_MALFORMED,
			"nothing pings from %s to %s yet; a 'ping' step begins that", st->from, st->to);
	struct gap_wait w = { .s = s, .st = st };
	char trouble[140];
	w.until_ms = (st->for_ms ? now : s->meter.mark_ms) + (st->for_ms ? st->for_ms : SETTLE_MS);
	if (w.until_ms > now)
		lab_sleep(l, w.until_ms - now);
	bool known = lab_wait(l, gap_known, &w, w.until_ms + st->within_ms);
	if (should_stop(l, eb))
		return eb->code;
	if (!known)
		w.cost = meter_read(&s->meter, loop_now_ms(l->loop));
	if (!known || over(&w))
		return err_say(eb, ERR_REFUSED, "%s -> %s lost %llu of %llu, longest gap %.2f s%s%s",
			st->from, st->to, (unsigned long long)w.cost.lost, (unsigned long long)w.cost.sent,
			seconds(w.cost.longest_gap_ms), known ? "" : ", and nothing arrives",
			stream_trouble(s, trouble, sizeof(trouble)));
	story_say(l->story, "expect", STORY_GOOD,
		"%s -> %s lost %llu of %llu, longest gap %.2f s, as expected", st->from, st->to,
		(unsigned long long)w.cost.lost, (unsigned long long)w.cost.sent,
		seconds(w.cost.longest_gap_ms));
	return 0;
}

static int do_expect(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	bool gap = st->max_gap_ms != UINT64_MAX || st->max_lost != UINT64_MAX;
	return gap ? expect_gap(l, st, eb) : expect_path(l, st, eb);
}

/* ---- resolve */

static int do_resolve(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, st->from);
	struct buf name = { .cap = 1024 }, want = { .cap = 1024 };

	int err = expand(l, node, st->name, &name, eb);
	if (!err && st->is)
		err = expand(l, node, st->is, &want, eb);
	if (!err)
		err = lookup_resolve(l, st, buf_cstr(&name), st->is ? buf_cstr(&want) : NULL, eb);
	if (st->fails && !err) {
		err = err_say(eb, ERR_REFUSED, "%s resolves %s, and must not", st->from, st->name);
	} else if (st->fails && (err == ERR_REFUSED || err == -ETIMEDOUT)) {
		story_say(l->story, "resolve", STORY_GOOD, "%s does not resolve %s", st->from, st->name);
		err = 0;
	}
	buf_free(&name);
	buf_free(&want);
	return err;
}

/* ---- run */

static int keep_value(struct lab *l, const char *key, const char *text)
{
	struct lab_value *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->key = strdup(key);
	v->value = strndup(text, strcspn(text, "\n"));
	if (!v->key || !v->value) {
		free(v->key);
		free(v->value);
		free(v);
		return -ENOMEM;
	}
	v->next = l->values;
	l->values = v;
	return 0;
}

/* The first group, or the whole match. */
static bool regex_value(const char *pattern, const char *text, struct buf *out, struct errbuf *eb)
{
	regex_t re;
	regmatch_t m[2] = { { .rm_so = -1 }, { .rm_so = -1 } };

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE) != 0) {
		err_say(eb, ERR_MALFORMED, "'%s' is not a regular expression", pattern);
		return false;
	}
	bool hit = regexec(&re, text, 2, m, 0) == 0;
	regfree(&re);
	const regmatch_t *use = m[1].rm_so >= 0 ? &m[1] : &m[0];
	if (!hit)
		err_say(eb, ERR_REFUSED, "it says '%.*s', which does not match '%s'",
			(int)strcspn(text, "\n"), text, pattern);
	return hit && buf_append(out, text + use->rm_so, (size_t)(use->rm_eo - use->rm_so));
}

static bool has_value(const char *lines, const char *want)
{
	size_t n = strlen(want);

	for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n')
		if (strcspn(lines, "\n") == n && !strncmp(lines, want, n))
			return true;
	return false;
}

static int check_output(struct lab *l, const struct scn_step *st, struct buf *out, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, st->target), err = 0;
	const char *text = buf_cstr(out);
	struct buf value = { .cap = 1 << 20 }, want = { .cap = 4096 }, path = { .cap = 1024 };

	if (st->json_path) {
		json_t *root = json_loads(text ? text : "", JSON_DISABLE_EOF_CHECK, NULL);
		err = root ? expand(l, node, st->json_path, &path, eb)
			   : err_say(eb, ERR_REFUSED, "its output is not JSON");
		int n = err ? 0 : jsonpath_select(root, buf_cstr(&path), &value, eb);
		if (!err && n <= 0)
			err = n < 0 ? n
				    : err_say(eb, ERR_REFUSED, "its JSON has nothing at '%s'",
					      buf_cstr(&path));
		json_decref(root);
	} else if (text && !buf_append(&value, text, out->len)) {
		err = err_say(eb, ERR_TOO_LARGE, "too much output");
	}
	const char *have = err ? NULL : buf_cstr(&value);
	if (!err && st->is && !(err = expand(l, node, st->is, &want, eb)) &&
		!has_value(have, buf_cstr(&want)))
		err = err_say(eb, ERR_REFUSED, "it says '%.*s', wanted '%s'", (int)strcspn(have, "\n"), have,
			buf_cstr(&want));
	struct buf match = { .cap = 1 << 16 };
	if (!err && st->matches && !regex_value(st->matches, have, &match, eb))
		err = eb->code;
	if (!err && st->capture)
		err = keep_value(l, st->capture, st->matches ? buf_cstr(&match) : have);
	buf_free(&match);
	buf_free(&value);
	buf_free(&want);
	buf_free(&path);
	return err;
}

static int run_once(struct lab *l, const struct scn_step *st, uint64_t left_ms, struct errbuf *eb)
{
	struct fields f = { .lab = l, .node = scenario_find_node(l->s, st->target), .each_node = -1 };
	struct buf out = { .cap = 4 << 20 };
	char **argv = NULL;
	int want = st->exit_code < 0 ? 0 : st->exit_code;

	int err = fields_argv(&f, st->argv, &argv, eb);
	if (err)
		return err;
	int status =
		lab_run(l, hosts_find(l->hosts, st->target), (const char *const *)argv, left_ms, &out, eb);
	fields_argv_free(argv);
	if (status < 0)
		err = status;
	else if (status != want)
		err = status ? ERR_REFUSED
			     : err_say(eb, ERR_REFUSED, "it ended with status 0, wanted %d", want);
	else
		err = check_output(l, st, &out, eb);
	buf_free(&out);
	return err;
}

static int do_run(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	uint64_t start = loop_now_ms(l->loop), deadline = start + st->within_ms;
	uint64_t least =
		st->within_ms < RUN_LEAST_MS ? st->within_ms : RUN_LEAST_MS; /* for the last attempt */
	bool condition = st->json_path || st->matches || st->is;
	int err;

	for (;;) {
		uint64_t now = loop_now_ms(l->loop);
		err = run_once(l, st, now + least < deadline ? deadline - now : least, eb);
		if (!err || err == ERR_MALFORMED || !condition || st->fails || l->interrupted || l->failed ||
			loop_now_ms(l->loop) >= deadline)
			break;
		lab_sleep(l, RUN_RETRY_MS);
	}
	if (st->fails && (!err || err == ERR_REFUSED))
		err = err ? 0 : err_say(eb, ERR_REFUSED, "'%s' succeeded, and must not", st->argv[0]);
	if (!err)
		story_say(l->story, "run", STORY_GOOD, "%s runs %s%s%s: as expected, after %.2f s",
			st->target, st->argv[0], st->argv[1] ? " … " : "",
			st->matches ? st->matches
			: st->is    ? st->is
				    : "",
			seconds(loop_now_ms(l->loop) - start));
	return err;
}

/* ---- events */

static void event(struct lab *l, const char *kind, const char *text)
{
	streams_mark(l);
	l->hot_until_ms = loop_now_ms(l->loop) + HOT_MS;
	snprintf(l->event, sizeof(l->event), "%s", text);
	story_say(l->story, kind, STORY_EVENT, "%s", text);
}

struct ready_wait {
	struct program *p;
};

static bool is_ready(void *arg)
{
	struct program *p = ((struct ready_wait *)arg)->p;
	return p->state == PROGRAM_READY || p->lab->failed;
}

static int do_spawn(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	struct program *p = &l->programs[scenario_find_node(l->s, st->target)];
	struct ready_wait w = { .p = p };
	char text[200];

	snprintf(text, sizeof(text), "%s is started%s%s", st->target,
		st->argv	    ? ": "
		: p->started_before ? " again"
				    : "",
		st->argv ? st->argv[0] : "");
	event(l, "spawn", text);
	int err = st->argv ? program_start_extra(p, st->argv, eb) : program_start(p, eb);
	if (err || st->argv || !st->wait_ready)
		return err;
	if (!lab_wait(l, is_ready, &w, loop_now_ms(l->loop) + st->within_ms) && !l->interrupted)
		return err_say(eb, -ETIMEDOUT, "%s is not ready after %.1f s%s%.250s", st->target,
			seconds(st->within_ms), *p->why.text ? "; " : "", p->why.text);
	return should_stop(l, eb) ? eb->code : 0;
}

static const struct {
	const char *word;
	int signo;
} signals[] = {
	{ "KILL", SIGKILL },
	{ "TERM", SIGTERM },
	{ "INT", SIGINT },
	{ "HUP", SIGHUP },
	{ "STOP", SIGSTOP },
	{ "CONT", SIGCONT },
	{ "USR1", SIGUSR1 },
	{ "USR2", SIGUSR2 },
};

static int do_kill(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	struct program *p = &l->programs[scenario_find_node(l->s, st->target)];
	char text[160];
	int signo = SIGKILL;

	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (!strcmp(signals[i].word, st->signal))
			signo = signals[i].signo;
	if (!p->proc && !p->extras)
		return err_say(eb, ERR_REFUSED, "%s does not run", st->target);
	snprintf(text, sizeof(text), "%s %s%s", st->target, signo == SIGKILL ? "is killed" : "gets signal ",
		signo == SIGKILL ? "" : st->signal);
	event(l, "kill", text);
	program_stop(p, signo);
	return 0;
}

static int do_cut(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];
	snprintf(text, sizeof(text), "%s is cut", st->target);
	event(l, "cut", text);
	return l->ops->cut(l->engine, st->target, eb);
}

static int do_heal(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];
	snprintf(text, sizeof(text), "%s is healed", st->target);
	event(l, "heal", text);
	return l->ops->heal(l->engine, st->target, eb);
}

static int do_reset(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];
	snprintf(text, sizeof(text), "router %s forgets all its mappings", st->target);
	event(l, "reset", text);
	return l->ops->reset(l->engine, scenario_find_router(l->s, st->target), eb);
}

static int do_wait(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	lab_sleep(l, st->for_ms);
	return should_stop(l, eb) ? eb->code : 0;
}

static void tell_cost(struct lab *l, const struct stream *s)
{
	struct meter_cost c = meter_read(&s->meter, loop_now_ms(l->loop));
	const char *from = l->s->nodes[s->from].name;
	char text[400], sent[24], lost[24], gap[24];

	if (!c.sent)
		return;
	snprintf(sent, sizeof(sent), "%llu", (unsigned long long)c.sent);
	snprintf(lost, sizeof(lost), "%llu", (unsigned long long)c.lost);
	snprintf(gap, sizeof(gap), "%.3f", seconds(c.longest_gap_ms));
	snprintf(text, sizeof(text), "  cost of \"%.150s\": %s -> %.80s lost %s of %s, longest gap %.2f s",
		l->event, from, s->to_text, lost, sent, seconds(c.longest_gap_ms));
	struct story_item item = { .kind = "cost",
		.mark = STORY_NOTE,
		.text = text,
		.keys = { "event", "from", "to", "sent", "lost", "gap" },
		.values = { l->event, from, s->to_text, sent, lost, gap } };
	story_tell(l->story, &item);
}

void step_report_cost(struct lab *l)
{
	for (const struct stream *s = *l->event ? l->streams : NULL; s; s = s->next)
		tell_cost(l, s);
}

static bool begins_event(enum step_kind k)
{
	return k == STEP_SPAWN || k == STEP_KILL || k == STEP_CUT || k == STEP_HEAL || k == STEP_RESET;
}

int step_run(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	static int (*const run[])(struct lab *, const struct scn_step *, struct errbuf *) = {
		[STEP_PING] = do_ping,
		[STEP_RESOLVE] = do_resolve,
		[STEP_EXPECT] = do_expect,
		[STEP_RUN] = do_run,
		[STEP_SPAWN] = do_spawn,
		[STEP_KILL] = do_kill,
		[STEP_CUT] = do_cut,
		[STEP_HEAL] = do_heal,
		[STEP_RESET] = do_reset,
		[STEP_WAIT] = do_wait,
	};
	_Static_assert(ARRAY_LEN(run) == STEP_KINDS, "run misses a kind of step");

	if (begins_event(st->kind))
		step_report_cost(l);
	if (st->title)
		story_say(l->story, "say", STORY_PLAIN, "%s", st->title);
	int err = run[st->kind](l, st, eb);
	if (!err && should_stop(l, eb))
		err = eb->code;
	return err;
}
