#include "simnet/lab/lab.h"

#include "simnet/scenario/jsonpath.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A stream from a node to another (or to an address) begins with the first step that asks for it and goes on
 * to the end of the run: a probe every PROBE_EVERY_MS, whose fate its meter keeps, and, where the program can
 * tell its path, a question about it, fast for a while after every event and slow otherwise. Steps never wait
 * in here: they wait in lab_wait, and every answer pokes it. What the program says counts as of the moment it
 * was asked (asking_ms), for it may answer late. */
enum { PROBE_EVERY_MS = 25, ASK_FAST_MS = 40, ASK_SLOW_MS = 500, ASK_TIMEOUT_MS = 3000 };

struct probe_stream *stream_find(const struct lab *l, const char *from, const char *to)
{
	for (struct probe_stream *s = l->streams; s; s = s->next)
		if (!strcmp(l->s->nodes[s->from].name, from) && !strcmp(s->to_text, to))
			return s;
	return NULL;
}

/* ---- probes */

static void send_probe(void *arg)
{
	struct probe_stream *s = arg;
	uint64_t now = loop_now_ms(s->lab->loop), late = s->due_ms && now > s->due_ms ? now - s->due_ms : 0;
	struct slowness_mark mark = slowness_now(s->lab->slowness);
	/* Less than one that was left out is within what a silence is measured by. */
	struct meter_probe p = { .sent_ms = now,
		.late_ms = late < PROBE_EVERY_MS ? 0 : (uint32_t)late,
		.slow = (float)slowness_since(s->lab->slowness, &mark) };
	uint32_t seq;

	s->due_ms = now + PROBE_EVERY_MS;
	loop_timer_set(s->timer, PROBE_EVERY_MS);
	if (meter_sent(&s->meter, &p, &seq))
		probe_send(s->probe, seq);
}

static void probe_answered(void *owner, uint32_t seq)
{
	struct probe_stream *s = owner;

	if (meter_received(&s->meter, seq, loop_now_ms(s->lab->loop)))
		lab_poke(s->lab);
}

const char *stream_trouble(const struct probe_stream *s, char *buf, size_t cap)
{
	buf[0] = '\0';
	return s->probe ? probe_trouble(s->probe, s->lab->s->nodes[s->from].name, buf, cap) : buf;
}

/* ---- the path, as the program says */

static bool selects(const json_t *root, const char *path, const struct fields *f, char *detail, size_t cap)
{
	struct buf text = { .cap = 512 }, found = { .cap = 1 << 16 };
	struct errbuf eb;
	bool hit = !fields_expand(f, path, &text, &eb) &&
		   jsonpath_select(root, buf_cstr(&text), &found, &eb) > 0;

	if (hit)
		snprintf(detail, cap, "%.*s", (int)strcspn(buf_cstr(&found), "\n"), buf_cstr(&found));
	buf_free(&text);
	buf_free(&found);
	return hit;
}

static struct fields fields_of(const struct probe_stream *s)
{
	return (struct fields) {
		.lab = s->lab, .node = s->from, .each_node = -1, .to = s->lab->s->nodes[s->to].name
	};
}

static void tell_path(const struct probe_stream *s, const char *from)
{
	char text[300];

	if (s->path == PATH_NONE)
		snprintf(text, sizeof(text), "%s -> %.120s has no path", from, s->to_words);
	else
		snprintf(text, sizeof(text), "%s -> %.120s is %s (%s)", from, s->to_words,
			s->path == PATH_DIRECT ? "direct" : "by relay", s->detail);
	struct story_item item = { .kind = "path",
		.mark = s->path == PATH_DIRECT ? STORY_GOOD : STORY_NOTE,
		.text = text,
		.keys = { "from", "to", "path", "detail" },
		.values = { from, s->to_words, scenario_path_name(s->path), s->detail } };
	story_tell(s->lab->story, &item);
}

static void path_seen(struct probe_stream *s, enum scn_path path, const char *detail)
{
	const char *from = s->lab->s->nodes[s->from].name;

	s->paths_seen |= 1u << path;
	s->path_ms = s->asking_ms;
	lab_poke(s->lab);
	if (path == s->path && !strcmp(detail, s->detail))
		return;
	s->path = path;
	snprintf(s->detail, sizeof(s->detail), "%s", detail);
	tell_path(s, from);
}

static void query_done(void *owner, const struct job_result *r)
{
	struct probe_stream *s = owner;
	const struct adapter *a = s->lab->programs[s->from].adapter;
	const char *text = buf_cstr(r->out);
	json_t *root = text && r->status == 0 ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	struct fields f = fields_of(s);
	char detail[96] = "";

	s->query = NULL;
	if (root && selects(root, a->path_direct, &f, detail, sizeof(detail)))
		path_seen(s, PATH_DIRECT, detail);
	else if (root && selects(root, a->path_relay, &f, detail, sizeof(detail)))
		path_seen(s, PATH_RELAY, detail);
	else if (root)
		path_seen(s, PATH_NONE, "");
	json_decref(root);
	loop_timer_set(s->ask, loop_now_ms(s->lab->loop) < s->lab->hot_until_ms ? ASK_FAST_MS : ASK_SLOW_MS);
}

static void ask_path(void *arg)
{
	struct probe_stream *s = arg;
	const struct adapter *a = s->lab->programs[s->from].adapter;
	struct fields f = fields_of(s);
	struct errbuf eb;
	char **argv = NULL;

	s->asking_ms = loop_now_ms(s->lab->loop);
	if (s->lab->programs[s->from].proc && !fields_argv(&f, a->path_argv, &argv, &eb)) {
		struct proc_place at = lab_place(s->lab, s->from);
		s->query = job_start(&at, (const char *const *)argv, ASK_TIMEOUT_MS, query_done, s, &eb);
		fields_argv_free(argv);
	}
	if (!s->query)
		loop_timer_set(s->ask, ASK_SLOW_MS);
}

void stream_ask(struct probe_stream *s)
{
	if (loop_timer_is_set(s->ask))
		loop_timer_set(s->ask, 0);
}

/* ---- life */

static const char *words_of(const struct lab *l, const char *to, char words[static STREAM_WORDS])
{
	const struct fields f = { .lab = l, .node = -1, .each_node = -1 };
	return fields_words(&f, to, words, STREAM_WORDS);
}

static void stream_free(struct probe_stream *s)
{
	job_free(s->query);
	loop_timer_free(s->timer);
	loop_timer_free(s->ask);
	probe_close(s->probe);
	events_forget(s);
	meter_fini(&s->meter);
	free(s);
}

static int aim_probe(
	struct probe_stream *s, enum probe_kind kind, const struct endpoint *to, struct errbuf *eb)
{
	struct proc_place at = lab_place(s->lab, s->from);
	struct probe_spec spec = {
		.kind = kind, .to = *to, .id = s->id, .answered = probe_answered, .owner = s
	};

	struct probe *probe = probe_open(&at, &spec, eb);
	if (!probe)
		return eb->code ? eb->code : ERR_REFUSED;
	probe_close(s->probe);
	s->probe = probe;
	return 0;
}

bool stream_is_stale(const struct probe_stream *s)
{
	char now[STREAM_WORDS];
	return s->probe && strcmp(s->to_words, words_of(s->lab, s->to_text, now)) != 0;
}

int stream_aim(struct probe_stream *s, const struct target *t, struct errbuf *eb)
{
	int err = aim_probe(s, t->kind, &t->at, eb);
	if (!err)
		words_of(s->lab, s->to_text, s->to_words);
	return err;
}

static int open_probe(struct probe_stream *s, const struct target *t, struct errbuf *eb)
{
	s->timer = loop_timer_new(s->lab->loop, send_probe, s);
	if (!s->timer)
		return err_say(eb, -ENOMEM, "out of memory");
	int err = aim_probe(s, t->kind, &t->at, eb);
	if (!err)
		send_probe(s);
	return err;
}

int streams_follow(struct lab *l, int node, size_t n_steps, struct errbuf *eb)
{
	struct endpoint to = { .ip = topology_ip(l->s, n_steps, node) };
	int err = 0;

	for (struct probe_stream *s = l->streams; s && !err; s = s->next)
		if (s->underlay && s->to == node && s->probe)
			err = aim_probe(s, PROBE_ICMP, &to, eb);
	return err;
}

static int stream_start(struct probe_stream *s, const struct target *t, struct errbuf *eb)
{
	const struct adapter *a = s->lab->programs[s->from].adapter;

	s->ask = loop_timer_new(s->lab->loop, ask_path, s);
	if (!s->ask)
		return err_say(eb, -ENOMEM, "out of memory");
	(void)meter_set_mark(&s->meter, loop_now_ms(s->lab->loop));
	int err = t->by_word ? 0 : open_probe(s, t, eb);
	if (!err && a && a->path_argv && s->to >= 0)
		ask_path(s);
	return err;
}

struct probe_stream *stream_open(
	struct lab *l, const char *from, const char *to, const struct target *t, struct errbuf *eb)
{
	struct probe_stream *s = calloc(1, sizeof(*s)), **last = &l->streams;
	uint16_t id = 0x5152;

	if (!s) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	for (; *last; last = &(*last)->next)
		id++;
	*s = (struct probe_stream) { .lab = l,
		.from = scenario_find_node(l->s, from),
		.to = scenario_find_node(l->s, to),
		.to_text = to,
		.underlay = t->underlay,
		.id = id };
	words_of(l, to, s->to_words);
	if (stream_start(s, t, eb)) {
		stream_free(s);
		return NULL;
	}
	*last = s;
	return s;
}

void stream_pause(struct probe_stream *s)
{
	if (s->timer)
		loop_timer_clear(s->timer);
	s->due_ms = 0;
}

void stream_close(struct probe_stream *s)
{
	struct probe_stream **at = &s->lab->streams;

	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	stream_free(s);
}

void streams_close(struct lab *l)
{
	for (struct probe_stream *s = l->streams, *next; s; s = next) {
		next = s->next;
		stream_free(s);
	}
	l->streams = NULL;
}
