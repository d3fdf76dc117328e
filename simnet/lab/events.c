#include "simnet/lab/lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An event begins a window of every stream's meter. When the next one begins the window has ended, but what
 * became of its last probes is known a little later, so it waits in the stream's list until it is settled,
 * and is told then. */
enum { HOT_MS = 4000 };

struct stream_event {
	struct stream_event *next;
	struct meter_window window;
	char name[160];
};

static void end_window(struct lab *l, struct probe_stream *s)
{
	struct meter_window w = meter_set_mark(&s->meter, loop_now_ms(l->loop));
	struct stream_event **last = &s->events;

	if (!*l->event || w.end == w.first) /* before the first event nothing costs anything */
		return;
	struct stream_event *e = calloc(1, sizeof(*e));
	if (!e) {
		story_say(l->story, "note", STORY_NOTE, "no memory for the cost of \"%s\"", l->event);
		return;
	}
	*e = (struct stream_event) { .window = w };
	snprintf(e->name, sizeof(e->name), "%s", l->event);
	while (*last)
		last = &(*last)->next;
	*last = e;
}

static void end_windows(struct lab *l)
{
	for (struct probe_stream *s = l->streams; s; s = s->next)
		end_window(l, s);
}

void events_begin(struct lab *l, const char *kind, const char *text)
{
	end_windows(l);
	l->hot_until_ms = loop_now_ms(l->loop) + HOT_MS;
	snprintf(l->event, sizeof(l->event), "%s", text);
	story_say(l->story, kind, STORY_EVENT, "%s", text);
}

static void tell_cost(struct lab *l, const struct probe_stream *s, const struct stream_event *e)
{
	struct meter_cost c = meter_read(&s->meter, &e->window, loop_now_ms(l->loop));
	const char *from = l->s->nodes[s->from].name;
	char text[400], sent[24], lost[24], gap[24];

	snprintf(sent, sizeof(sent), "%llu", (unsigned long long)c.sent);
	snprintf(lost, sizeof(lost), "%llu", (unsigned long long)c.lost);
	snprintf(gap, sizeof(gap), "%.3f", (double)c.longest_gap_ms / 1000);
	snprintf(text, sizeof(text), "  cost of \"%.150s\": %s -> %.80s lost %s of %s, longest gap %.2f s",
		e->name, from, s->to_words, lost, sent, (double)c.longest_gap_ms / 1000);
	struct story_item item = { .kind = "cost",
		.mark = STORY_NOTE,
		.text = text,
		.keys = { "event", "from", "to", "sent", "lost", "gap" },
		.values = { e->name, from, s->to_words, sent, lost, gap } };
	story_tell(l->story, &item);
}

void events_tell(struct lab *l)
{
	uint64_t now = loop_now_ms(l->loop);

	for (struct probe_stream *s = l->streams; s; s = s->next)
		while (s->events && !meter_settles_ms(&s->meter, &s->events->window, now)) {
			struct stream_event *e = s->events;
			s->events = e->next;
			tell_cost(l, s, e);
			free(e);
		}
}

static bool all_told(void *arg)
{
	struct lab *l = arg;

	events_tell(l);
	for (const struct probe_stream *s = l->streams; s; s = s->next)
		if (s->events)
			return false;
	return true;
}

void events_settle(struct lab *l)
{
	for (struct probe_stream *s = l->streams; s; s = s->next)
		stream_pause(s);
	end_windows(l);
	uint64_t now = loop_now_ms(l->loop);
	if (!lab_wait(l, all_told, l, now + METER_GRACE_MS))
		events_tell(l);
}

void events_forget(struct probe_stream *s)
{
	while (s->events) {
		struct stream_event *e = s->events;
		s->events = e->next;
		free(e);
	}
}
