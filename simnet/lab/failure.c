#include "simnet/lab/failure.h"

#include "simnet/scenario/jsonpath.h"
#include "mesh/base/text.h"
#include "simnet/lab/evidence.h"
#include "simnet/lab/lab.h"
#include "simnet/report/frame.h"
#include "simnet/scenario/oracle.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 64, DROPS_SHOWN = 6, TAIL_SHOWN = 5, ASK_MS = 2000 };

/* The oldest of those that matter least. */
static void failure_make_room(const struct lab *l, struct failure_drops *all)
{
	size_t victim = 0;
	unsigned least = UINT32_MAX;

	for (size_t i = 0; i < all->n; i++) {
		unsigned blame = blame_of_packet(l, l->step, &all->list[i].src.ip, &all->list[i].dst.ip);
		if (blame < least) {
			least = blame;
			victim = i;
		}
	}
	memmove(&all->list[victim], &all->list[victim + 1], (--all->n - victim) * sizeof(all->list[0]));
}

static void merge_drop(const struct lab *l, struct failure_drops *all, const struct engine_drop *d)
{
	for (size_t i = 0; i < all->n; i++) {
		struct engine_drop *have = &all->list[i];
		if (have->where == d->where && have->rule == d->rule && have->proto == d->proto &&
			endpoint_equal(&have->src, &d->src) && endpoint_equal(&have->dst, &d->dst)) {
			have->count += d->count ? d->count : 1;
			have->at_ns = d->at_ns;
			return;
		}
	}
	if (all->n == FAILURE_DROPS)
		failure_make_room(l, all);
	all->list[all->n] = *d;
	if (!d->count)
		all->list[all->n].count = 1;
	all->n++;
}

/* By time: what died on a link may have died of what another had done to it, and links and routers tell theirs apart. */
static int by_time(const void *a, const void *b)
{
	const struct engine_drop *x = a, *y = b;
	return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
}

void failure_collect(struct lab *l, struct failure_drops *all)
{
	struct engine_drop some[64];
	size_t n;

	/* A flood must not keep us here. */
	for (unsigned rounds = 0; l->engine && rounds < ROUNDS_MAX; rounds++) {
		n = l->ops->drops(l->engine, some, ARRAY_LEN(some));
		for (size_t i = 0; i < n; i++) {
			record_drop(l, &some[i]);
			merge_drop(l, all, &some[i]);
		}
		if (n < ARRAY_LEN(some))
			break;
	}
	qsort(all->list, all->n, sizeof(all->list[0]), by_time);
}

static void add_drop(
	const struct engine_drop *d, const struct evidence *e, enum why_rank rank, struct why_lines *out)
{
	char src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], frames[80];

	why_add(out, rank, "%u %s %s -> %s dropped at %s: %s%s", d->count, frame_protocol(d->proto),
		endpoint_format(&d->src, src), endpoint_format(&d->dst, dst), d->where, d->rule,
		why_frames(&e->facts, d->where, &d->src, &d->dst, d->proto, frames, sizeof(frames)));
}

/* Who punches holes sends to closed doors on purpose: what a router's filtering drops is no cause there. */
static enum why_rank rank_of_drop(
	const struct lab *l, const struct scn_step *st, const struct engine_drop *d, unsigned blame)
{
	if (blame_in_mesh(l, st) && !strncmp(d->rule, "wan:", 4))
		return WHY_ASIDE;
	return blame == BLAME_SURE || !st ? WHY_DROP : WHY_NEAR;
}

/* Those that are the step's most; of these the newest. Where both ends are the step's it is sure. */
static void add_drops(struct lab *l, const struct scn_step *st, struct failure_drops *all,
	const struct evidence *e, struct why_lines *out)
{
	unsigned most = 0;
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		unsigned blame = blame_of_packet(l, st, &all->list[i].src.ip, &all->list[i].dst.ip);
		n = blame > most ? 1 : n + (blame == most);
		most = blame > most ? blame : most;
	}
	for (size_t i = 0; most && i < all->n; i++)
		if (blame_of_packet(l, st, &all->list[i].src.ip, &all->list[i].dst.ip) == most &&
			n-- <= DROPS_SHOWN)
			add_drop(&all->list[i], e, rank_of_drop(l, st, &all->list[i], most), out);
}

/* The programs the failed step is about; all of them when it failed before the first step. */
static bool concerns(const struct lab *l, const struct scn_step *st, size_t node)
{
	return l->programs[node].state == PROGRAM_FAILED || !st || blame_asks(l, st, (int)node) ||
	       (blame_mentions(l, st, (int)node) && !l->s->nodes[node].is_service);
}

/* What was stopped or killed may be the cause wherever it is; what has not been started, or has ended by
 * itself, only where the step is about it. */
static void add_idle(struct lab *l, const struct scn_step *st, struct why_lines *out)
{
	for (size_t i = 0; i < l->s->n_nodes; i++) {
		const struct program *p = &l->programs[i];
		const struct scn_node *n = &l->s->nodes[i];
		bool named = concerns(l, st, i) || blame_mentions(l, st, (int)i);
		if (p->state == PROGRAM_FAILED)
			why_add(out, WHY_DIED, "%s", *p->why.text ? p->why.text : n->name);
		if (st && named && p->asleep)
			why_add(out, WHY_IDLE, "%s is asleep", n->name);
		if (p->asleep)
			continue;
		if (!st || p->state == PROGRAM_FAILED || (!named && !p->paused && !p->stopping) ||
			(!n->adapter && !n->argv) || (p->proc && !p->paused))
			continue;
		if (blame_in_background(l, (int)i)) {
			why_add(out, WHY_ASIDE,
				"the program of %s went into the background: what it says there and how it "
				"ends is not seen; most have an option to stay in the foreground",
				n->name);
			continue;
		}
		why_add(out, named ? WHY_IDLE : WHY_ASIDE, "%s %s", n->name,
			p->proc			  ? "is stopped by a signal"
			: p->stopping		  ? "was killed and does not run"
			: p->state == PROGRAM_OFF ? "does not run"
						  : "has ended");
	}
}

/* Programs that begin their lines with the time tell by it how late they think it is. */
static bool clock_of_line(const char *line, int64_t *unix_ms)
{
	char stamp[40];
	size_t n = strcspn(line, " \t\"");

	if (n >= sizeof(stamp))
		return false;
	snprintf(stamp, sizeof(stamp), "%.*s", (int)n, line);
	return text_time_ms(stamp, unix_ms);
}

/* Behind the time, if it begins with one. */
static const char *words_of_line(const char *line)
{
	int64_t ms;

	if (line && clock_of_line(line, &ms)) {
		line += strcspn(line, " \t");
		line += strspn(line, " \t");
	}
	return line;
}

/* "; alice says again and again: ...": what it tries and tells of, where nobody else knows more. */
static const char *complaint_of(const struct lab *l, const struct scn_step *st, char *buf, size_t cap)
{
	buf[0] = '\0';
	for (size_t i = 0; l->programs && blame_in_mesh(l, st) && !*buf && i < l->s->n_nodes; i++) {
		const struct program *p = &l->programs[i];
		size_t n = p->n_lines < PROGRAM_TAIL ? p->n_lines : PROGRAM_TAIL, same = 0;
		if (!n || !blame_asks(l, st, (int)i))
			continue;
		const char *last = words_of_line(p->tail[(p->n_lines - 1) % PROGRAM_TAIL]);
		for (size_t k = p->n_lines - n; k < p->n_lines; k++) {
			const char *line = words_of_line(p->tail[k % PROGRAM_TAIL]);
			same += last && *last && line && !strcmp(line, last);
		}
		if (same > 1)
			snprintf(buf, cap, "; %s says again and again: %.300s", l->s->nodes[i].name, last);
	}
	return buf;
}

static const char *span_text(int64_t ms, char *buf, size_t cap)
{
	enum { MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
	double v = (double)ms, size = v < 0 ? -v : v;

	if (size < 3.0 * HOUR)
		snprintf(buf, cap, "%.0f minutes", v / MINUTE);
	else if (size < 2.0 * DAY)
		snprintf(buf, cap, "%.1f hours", v / HOUR);
	else
		snprintf(buf, cap, "%.1f days", v / DAY);
	return buf;
}

static void add_clocks(struct lab *l, const struct scn_step *st, struct why_lines *out)
{
	enum { OFF_MS = 60000 };
	char off[40];

	for (size_t i = 0; i < l->s->n_nodes; i++) {
		const struct program *p = &l->programs[i];
		const char *last = p->n_lines ? p->tail[(p->n_lines - 1) % PROGRAM_TAIL] : NULL;
		int64_t said, now = clock_unix_ms();
		if (!last || (!concerns(l, st, i) && !blame_mentions(l, st, (int)i)) ||
			!clock_of_line(last, &said))
			continue;
		/* The line may be as old as the run. */
		int64_t run_ms = (int64_t)(l->story->now_ms() - l->story->t0_ms);
		if (said > now + OFF_MS || said < now - run_ms - OFF_MS)
			why_add(out, WHY_CLOCK, "the clock of %s is off by %s: it says %.24s",
				l->s->nodes[i].name, span_text(said - now, off, sizeof(off)), last);
	}
}

/* What the file expects, and what this network allows. */
static bool ask_oracle(const struct lab *l, const struct scn_step *st, struct oracle_verdict *v)
{
	int from = st && st->from ? scenario_find_node(l->s, st->from) : -1;
	int to = st && st->to ? scenario_find_node(l->s, st->to) : -1;

	if (!st || (st->kind != STEP_EXPECT && st->kind != STEP_PING) || st->path == PATH_ANY || from < 0 ||
		to < 0)
		return false;
	oracle_ask(l->s, (size_t)(st - l->s->steps), from, to, v);
	return true;
}

static const char *path_phrase(enum scn_path path)
{
	return path == PATH_RELAY ? "by relay" : scenario_path_name(path);
}

static void add_oracle(const struct lab *l, const struct scn_step *st, struct why_lines *out)
{
	struct oracle_verdict v;

	if (st && ask_oracle(l, st, &v) && !st->oracle && v.path != PATH_ANY && v.path != st->path)
		why_add(out, WHY_ORACLE, "the file expects %s, and this network allows %s: %s",
			path_phrase(st->path), path_phrase(v.path), v.why);
}

static void tell_oracle(struct lab *l, const struct scn_step *st)
{
	struct oracle_verdict v;

	if (!ask_oracle(l, st, &v))
		return;
	if (v.path == PATH_ANY)
		story_say(l->story, "so", STORY_NOTE, "so: %s", v.why);
	else
		story_say(l->story, "so", STORY_NOTE, "so: by this network the path is %s: %s",
			path_phrase(v.path), v.why);
}

/* What the programs at both ends have said of their paths. */
static void tell_beliefs(struct lab *l, const struct scn_step *st)
{
	uint64_t now = loop_now_ms(l->loop);

	for (const struct probe_stream *s = l->streams; s && st; s = s->next) {
		bool here = st->from && !strcmp(l->s->nodes[s->from].name, st->from) && st->to &&
			    !strcmp(s->to_text, st->to);
		if (!here || !s->path)
			continue;
		story_say(l->story, "believed", STORY_NOTE,
			"believed: %s says its path to %s is %s%s%s%s, %.1f s ago", st->from, st->to,
			scenario_path_name(s->path), *s->detail ? " (" : "", s->detail, *s->detail ? ")" : "",
			(double)(now - s->path_ms) / 1000);
	}
}

/* What the routers between the ends of the step remember of flows. */
static void tell_tables(struct lab *l, const struct scn_step *st)
{
	enum { TABLES_SHOWN = 3, ROWS_SHOWN = 4 };
	unsigned shown = 0;

	for (size_t i = 0; st && l->engine && l->ops->table && i < l->s->n_routers; i++) {
		struct buf text = { .cap = 1 << 20 };
		bool on_way = false;
		unsigned rows = 0;
		for (size_t k = 0; k < l->s->n_nodes; k++)
			for (int at = l->s->nodes[k].router; at >= 0; at = l->s->routers[at].behind)
				on_way |= at == (int)i &&
					  (blame_asks(l, st, (int)k) || (blame_mentions(l, st, (int)k) &&
										!l->s->nodes[k].is_service));
		if (!on_way || shown++ >= TABLES_SHOWN || l->ops->table(l->engine, (int)i, &text, NULL))
			continue;
		const char *row = text.len ? buf_cstr(&text) : "";
		if (!*row)
			story_say(l->story, "table", STORY_NOTE, "table: %s remembers no flow",
				l->s->routers[i].name);
		for (; *row && rows < ROWS_SHOWN; rows++) {
			size_t n = strcspn(row, "\n");
			story_say(l->story, "table", STORY_NOTE, "table: %s: %.*s", l->s->routers[i].name,
				(int)n, row);
			row += n + (row[n] == '\n');
		}
		buf_free(&text);
	}
}

/* Appends "filtered 3, bad_source 1", what it says to have dropped since its start; the count of reasons. */
static int own_drops(struct program *p, struct buf *out)
{
	const struct adapter *a = p->adapter;
	struct fields f = { .lab = p->lab, .node = p->node, .each_node = -1 };
	struct buf text = { .cap = 4 << 20 }, found = { .cap = 1 << 16 };
	struct errbuf eb;
	char **argv = NULL;
	const char *reason;
	json_t *n;

	if (!p->proc || !a || !a->drops_argv || fields_argv(&f, a->drops_argv, &argv, &eb))
		return 0;
	int status = lab_run(p->lab, p->node, (const char *const *)argv, ASK_MS, &text, &eb), count = 0;
	fields_argv_free(argv);
	json_t *root = status || !text.len ? NULL : json_loads(buf_cstr(&text), JSON_DISABLE_EOF_CHECK, NULL);
	json_t *all = root && jsonpath_select(root, a->drops_json, &found, &eb) == 1
			      ? json_loads(buf_cstr(&found), JSON_DISABLE_EOF_CHECK, NULL)
			      : NULL;
	/* clang-format off */
	json_object_foreach(all, reason, n) {
		/* clang-format on */
		json_int_t dropped = json_integer_value(n);
		if (dropped > 0 &&
			buf_printf(out, "%s%s %" JSON_INTEGER_FORMAT, count ? ", " : "", reason, dropped))
			count++;
	}
	json_decref(all);
	json_decref(root);
	buf_free(&text);
	buf_free(&found);
	return count;
}

static void tell_own_drops(struct lab *l, const struct scn_step *st)
{
	for (size_t i = 0; i < l->s->n_nodes && st; i++) {
		struct buf text = { .cap = 400 };
		if (concerns(l, st, i) && !l->programs[i].paused && own_drops(&l->programs[i], &text))
			story_say(l->story, "why", STORY_NOTE, "why: %s itself has dropped: %s",
				l->s->nodes[i].name, buf_cstr(&text));
		buf_free(&text);
	}
}

static void tell_logs(struct lab *l, const struct scn_step *st)
{
	for (size_t i = 0; i < l->s->n_nodes; i++) {
		const struct program *p = &l->programs[i];
		size_t n = p->n_lines < TAIL_SHOWN ? p->n_lines : TAIL_SHOWN;
		for (size_t k = p->n_lines - n; concerns(l, st, i) && k < p->n_lines; k++) {
			const char *line = p->tail[k % PROGRAM_TAIL];
			if (line && *line)
				story_say(l->story, "log", STORY_NOTE, "log: %s: %s", l->s->nodes[i].name,
					line);
		}
	}
}

static void tell_next(struct lab *l, const struct scn_step *st)
{
	char name[300];
	size_t n = st ? (size_t)(st - l->s->steps) + 1 : 0;

	scenario_title(l->s, name, sizeof(name));
	if (!l->out_name)
		story_say(l->story, "next", STORY_NOTE,
			"next: simnet run -k '%s' --seed %llu --out DIR %s   keeps packets, logs and the "
			"record",
			name, (unsigned long long)l->s->seed, l->s->file);
	else if (n)
		story_say(l->story, "next", STORY_NOTE, "next: simnet explain %s %zu", l->out_name, n);
	else
		story_say(l->story, "next", STORY_NOTE, "next: simnet explain %s", l->out_name);
}

/* What had to fail and went well: no packet that died and no silence is why. */
static void add_died(const struct lab *l, struct why_lines *out)
{
	for (size_t i = 0; l->programs && i < l->s->n_nodes; i++)
		if (l->programs[i].state == PROGRAM_FAILED)
			why_add(out, WHY_DIED, "%s", l->programs[i].why.text);
}

static void add_reasons(struct lab *l, const struct scn_step *st, struct failure_drops *all, const char *said,
	struct why_lines *out)
{
	struct evidence e;

	evidence_open(l, st, &e);
	add_drops(l, st, all, &e, out);
	if (l->programs) {
		add_idle(l, st, out);
		add_clocks(l, st, out);
	}
	add_oracle(l, st, out);
	evidence_add(l, st, &e, said, out);
	evidence_close(&e);
}

/* Which line is the cause; lines->n: none is, and the failure's own sentence says more. Who finds a certificate wrong has come
 * to the other end, and whatever it tries afterwards is not why: that is a clock, or what is said. */
static size_t cause_of(const struct why_lines *lines, const char *said)
{
	bool of_certificate = said && (strcasestr(said, "certificate") || strstr(said, "x509"));

	for (size_t i = 0; i < lines->n; i++) {
		enum why_rank rank = lines->list[i].rank;
		if (rank < WHY_REFUSED || rank == WHY_CLOCK || (!of_certificate && rank != WHY_ASIDE))
			return i;
	}
	return lines->n;
}

void failure_explain(struct lab *l, const struct scn_step *st, struct failure_drops *all, const char *said)
{
	struct why_lines *lines = calloc(1, sizeof(*lines));
	char complaint[WHY_TEXT];

	if (!lines)
		return;
	failure_collect(l, all);
	if (st && st->fails)
		add_died(l, lines);
	else
		add_reasons(l, st, all, said, lines);
	size_t cause = cause_of(lines, said);
	bool sure = cause < lines->n;
	story_say(l->story, "cause", STORY_BAD, "cause: %s%s", sure ? lines->list[cause].text : said,
		sure ? "" : complaint_of(l, st, complaint, sizeof(complaint)));
	for (size_t i = 0; i < lines->n; i++)
		if (i != cause)
			story_say(l->story, "why", STORY_NOTE, "why: %s", lines->list[i].text);
	free(lines);
	tell_beliefs(l, st);
	tell_tables(l, st);
	tell_oracle(l, st);
	if (l->programs) {
		tell_own_drops(l, st);
		tell_logs(l, st);
	}
	tell_next(l, st);
}
