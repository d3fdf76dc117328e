#include "simnet/lab/step.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

double step_seconds(uint64_t ms)
{
	return (double)ms / 1000;
}

bool step_should_stop(const struct lab *l, struct errbuf *eb)
{
	if (l->interrupted)
		err_say(eb, -EINTR, "interrupted");
	else if (l->failed)
		*eb = l->failure;
	else if (l->story->lost)
		err_say(eb, -EIO, "the story cannot be written on: %s", strerror(l->story->lost));
	return l->interrupted || l->failed || l->story->lost;
}

int step_expand(struct lab *l, int node, const char *text, struct buf *out, struct errbuf *eb)
{
	struct fields f = { .lab = l, .node = node, .each_node = -1 };
	int err = fields_expand(&f, text, out, eb);
	return err == TEMPLATE_WAIT ? err_say(eb, ERR_REFUSED, "there is no value of '%s' yet", text) : err;
}

const char *step_words(struct lab *l, int node, const char *text, char *buf, size_t cap)
{
	struct fields f = { .lab = l, .node = node, .each_node = -1 };

	return fields_words(&f, text, buf, cap);
}

/* ---- ping */

struct ping_wait {
	struct probe_stream *s;
	size_t first; /* sequence number of the first probe of this step */
	enum scn_path via;
};

static bool steps_answered(void *arg)
{
	struct ping_wait *w = arg;

	if (w->s->lab->failed)
		return true;
	for (size_t i = w->first; i < w->s->meter.n; i++)
		if (w->s->meter.probes[i].got_ms)
			return w->via == PATH_ANY || (w->s->paths_seen & 1u << w->via);
	return false;
}

struct probe_stream *step_stream(
	struct lab *l, const struct scn_step *st, uint64_t deadline, struct errbuf *eb)
{
	struct target t;
	struct probe_stream *s = stream_find(l, st->from, st->to);

	if (s && !stream_is_stale(s))
		return s;
	if (target_find(l, scenario_find_node(l->s, st->from), st->to, deadline, &t, eb))
		return NULL;
	if (!s)
		return stream_open(l, st->from, st->to, &t, eb);
	return stream_aim(s, &t, eb) ? NULL : s;
}

static int ping_must_fail(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	bool runs = stream_find(l, st->from, st->to);
	struct probe_stream *s = step_stream(l, st, 0, eb);
	char to[STREAM_WORDS];

	step_words(l, -1, st->to, to, sizeof(to));
	if (!s && eb->code == ERR_REFUSED) {
		story_say(l->story, "ping", STORY_GOOD, "%s cannot ping %s: the name does not resolve",
			st->from, to);
		return 0;
	}
	if (!s)
		return eb->code;
	struct ping_wait w = { .s = s, .first = s->meter.n };
	uint64_t start = loop_now_ms(l->loop); /* a slow machine waits longer */
	bool heard = lab_wait(l, steps_answered, &w, start + st->within_ms);
	if (!runs)
		stream_close(s);
	if (step_should_stop(l, eb))
		return eb->code;
	if (heard)
		return err_say(eb, ERR_REFUSED, "%s answered %s, and must not", to, st->from);
	story_say(l->story, "ping", STORY_GOOD, "%s gets no reply from %s for %.1f s", st->from, to,
		step_seconds(loop_now_ms(l->loop) - start));
	return 0;
}

static const char *path_words(const struct probe_stream *s, char *buf, size_t cap)
{
	if (s->path == PATH_DIRECT || s->path == PATH_RELAY)
		snprintf(buf, cap, ", %s (%s)", s->path == PATH_DIRECT ? "direct" : "by relay", s->detail);
	else if (s->underlay)
		snprintf(buf, cap, ", over the underlay");
	else
		buf[0] = '\0';
	return buf;
}

static int do_ping(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	uint64_t start = loop_now_ms(l->loop), deadline = start + st->within_ms;
	struct lab_since since = lab_since(l);
	char path[140], trouble[140];

	if (st->fails)
		return ping_must_fail(l, st, eb);
	/* Only probes sent from now on count: an earlier one may have been answered long ago. */
	const struct probe_stream *running = stream_find(l, st->from, st->to);
	size_t first = running ? running->meter.n : 0;
	struct probe_stream *s = step_stream(l, st, deadline, eb);
	if (!s)
		return step_should_stop(l, eb) || eb->code == -ETIMEDOUT ? eb->code : ERR_REFUSED;
	uint64_t resolved = loop_now_ms(l->loop);
	struct ping_wait w = { .s = s, .first = first, .via = st->path };
	s->paths_seen = s->path ? 1u << s->path : 0;
	bool heard = lab_wait_since(l, steps_answered, &w, &since, deadline);
	if (step_should_stop(l, eb))
		return eb->code;
	uint64_t took = loop_now_ms(l->loop) - start;
	if (heard) {
		story_say(l->story, "ping", STORY_GOOD, "%s pings %s: reply after %.3f s (name in %.3f s)%s",
			st->from, s->to_words, step_seconds(took), step_seconds(resolved - start),
			path_words(s, path, sizeof(path)));
		return 0;
	}
	if (s->meter.last_got_ms >= start && st->path != PATH_ANY)
		return err_say(eb, -ETIMEDOUT, "%s reached %s, but not by %s in %.1f s%s", st->from,
			s->to_words, scenario_path_name(st->path), step_seconds(took),
			path_words(s, path, sizeof(path)));
	return err_say(eb, -ETIMEDOUT, "no reply from %s to %s in %.1f s%s%s", s->to_words, st->from,
		step_seconds(took), path_words(s, path, sizeof(path)),
		stream_trouble(s, trouble, sizeof(trouble)));
}

/* ---- resolve */

static int do_resolve(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, st->from);
	struct buf name = { .cap = 1024 }, want = { .cap = 1024 };

	int err = step_expand(l, node, st->name, &name, eb);
	if (!err && st->is)
		err = step_expand(l, node, st->is, &want, eb);
	if (!err)
		err = lookup_resolve(l, st, buf_cstr(&name), st->is ? buf_cstr(&want) : NULL, eb);
	if (st->fails && !err) {
		err = err_say(eb, ERR_REFUSED, "%s resolves %s, and must not", st->from, buf_cstr(&name));
	} else if (st->fails && (err == ERR_REFUSED || err == -ETIMEDOUT)) {
		story_say(
			l->story, "resolve", STORY_GOOD, "%s does not resolve %s", st->from, buf_cstr(&name));
		err = 0;
	}
	buf_free(&name);
	buf_free(&want);
	return err;
}

/* ---- events */

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
	events_begin(l, "spawn", text);
	int err = st->argv ? program_start_extra(p, st->argv, eb) : program_start(p, eb);
	if (err || st->argv || !st->wait_ready)
		return err;
	if (!lab_wait(l, is_ready, &w, loop_now_ms(l->loop) + st->within_ms) && !l->interrupted)
		return err_say(eb, -ETIMEDOUT, "%s is not ready after %.1f s%s%.250s", st->target,
			step_seconds(st->within_ms), *p->why.text ? "; " : "", p->why.text);
	return step_should_stop(l, eb) ? eb->code : 0;
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
	events_begin(l, "kill", text);
	program_stop(p, signo);
	return 0;
}

static int do_cut(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];
	snprintf(text, sizeof(text), "%s is cut", st->target);
	events_begin(l, "cut", text);
	return l->ops->cut(l->engine, st->target, eb);
}

static int do_heal(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];
	snprintf(text, sizeof(text), "%s is healed", st->target);
	events_begin(l, "heal", text);
	return l->ops->heal(l->engine, st->target, eb);
}

static int do_reset(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];
	snprintf(text, sizeof(text), "router %s forgets all its mappings", st->target);
	events_begin(l, "reset", text);
	return l->ops->reset(l->engine, scenario_find_router(l->s, st->target), eb);
}

static int set_link(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];

	if (!l->ops->set_link)
		return err_say(eb, ERR_REFUSED, "engine '%s' cannot change a link", l->ops->name);
	snprintf(text, sizeof(text), "the link of %s changes", st->target);
	events_begin(l, "set", text);
	return l->ops->set_link(l->engine, st->target, st->link, eb);
}

static int set_nat(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	const struct nat_model *m = st->nat;
	char text[160];

	if (!l->ops->set_nat)
		return err_say(eb, ERR_REFUSED, "engine '%s' cannot change a NAT", l->ops->name);
	snprintf(text, sizeof(text), "router %s is another NAT (UDP %s/%s, TCP %s/%s)", st->target,
		nat_mapping_words[m->udp.mapping], nat_filtering_words[m->udp.filtering],
		nat_mapping_words[m->tcp.mapping], nat_filtering_words[m->tcp.filtering]);
	events_begin(l, "set", text);
	return l->ops->set_nat(l->engine, scenario_find_router(l->s, st->target), st->nat, eb);
}

static int set_firewall(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];

	if (!l->ops->set_firewall)
		return err_say(eb, ERR_REFUSED, "engine '%s' cannot change a firewall", l->ops->name);
	snprintf(text, sizeof(text), "the firewall of %s has other rules (%zu)", st->target,
		st->firewall->n_in + st->firewall->n_out);
	events_begin(l, "set", text);
	return l->ops->set_firewall(l->engine, st->target, st->firewall, eb);
}

/* Those of a node are one of its interfaces'. */
static int set_routes(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160];

	if (!l->ops->set_routes || !l->ops->plug)
		return err_say(eb, ERR_REFUSED, "engine '%s' cannot change routes", l->ops->name);
	snprintf(text, sizeof(text), "%s%s%s has other routes (%zu)", st->target, st->change ? "." : "",
		st->change ? st->change->want.name : "", st->routes->n);
	events_begin(l, "set", text);
	return st->change ? l->ops->plug(l->engine, st->change->plug, &st->change->want, eb)
			  : l->ops->set_routes(
				    l->engine, scenario_find_router(l->s, st->target), st->routes, eb);
}

static int set_nptv6(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[160], ip[ADDR_TEXT];

	if (!l->ops->set_nptv6)
		return err_say(eb, ERR_REFUSED, "engine '%s' cannot change a prefix", l->ops->name);
	snprintf(text, sizeof(text), "the inside of %s has another IPv6 prefix outside: %s/48", st->target,
		addr_format(&st->nptv6->outside, ip));
	events_begin(l, "set", text);
	return l->ops->set_nptv6(l->engine, scenario_find_router(l->s, st->target), st->nptv6, eb);
}

static int do_set(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	if (st->routes)
		return set_routes(l, st, eb);
	if (st->nptv6)
		return set_nptv6(l, st, eb);
	return st->nat ? set_nat(l, st, eb) : st->firewall ? set_firewall(l, st, eb) : set_link(l, st, eb);
}

static int do_mark(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	(void)eb;
	events_begin(l, "mark", st->name);
	return 0;
}

static int do_wait(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	lab_sleep(l, st->for_ms);
	return step_should_stop(l, eb) ? eb->code : 0;
}

int step_run(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	static int (*const run[])(struct lab *, const struct scn_step *, struct errbuf *) = {
		[STEP_PING] = do_ping,
		[STEP_RESOLVE] = do_resolve,
		[STEP_EXPECT] = step_expect,
		[STEP_RUN] = step_exec,
		[STEP_SPAWN] = do_spawn,
		[STEP_KILL] = do_kill,
		[STEP_CUT] = do_cut,
		[STEP_HEAL] = do_heal,
		[STEP_RESET] = do_reset,
		[STEP_SET] = do_set,
		[STEP_MOVE] = step_change,
		[STEP_LEASE] = step_change,
		[STEP_INTERFACE] = step_change,
		[STEP_SLEEP] = step_sleep,
		[STEP_WAKE] = step_wake,
		[STEP_CLOCK] = step_clock,
		[STEP_WAIT] = do_wait,
		[STEP_MARK] = do_mark,
	};
	_Static_assert(ARRAY_LEN(run) == STEP_KINDS, "run misses a kind of step");

	events_tell(l);
	if (st->title)
		story_say(l->story, "say", STORY_PLAIN, "%s", st->title);
	int err = run[st->kind](l, st, eb);
	events_tell(l);
	if (!err && step_should_stop(l, eb))
		err = eb->code;
	return err;
}
