#include "simnet/live/glimpses.h"

#include "mesh/os/loop.h"
#include "simnet/host/capture.h"
#include "simnet/lab/lab.h"
#include <stdlib.h>
#include <string.h>

/* Of a burst the beginning is shown: what comes in one look beyond AT_ONCE stays in a socket, and when that is full the
 * capturing process counts it as missed. So a flood costs the loop of the run nothing. */
enum { EVERY_MS = 100, AT_ONCE = 100, KEPT = 10000, PIECE = 64 * 1024 };

struct glimpses {
	struct lab *lab;
	struct loop_timer *timer;
	void (*heard)(void *arg);
	void *arg;
	struct capture_glimpse now[AT_ONCE];
	char *lines[KEPT]; /* the newest, number n at n % KEPT */
	uint64_t n;	   /* ever */
};

static void keep_line(struct glimpses *g, struct buf *line)
{
	const char *text = buf_cstr(line);
	char *copy = text ? strdup(text) : NULL;
	if (!copy)
		return;
	free(g->lines[g->n % KEPT]);
	g->lines[g->n++ % KEPT] = copy;
}

static void look(void *arg)
{
	struct glimpses *g = arg;
	struct lab *l = g->lab;
	uint64_t before = g->n;
	size_t n = l->engine && l->open_unix_ns ? l->ops->glimpses(l->engine, g->now, AT_ONCE) : 0;

	for (size_t i = 0; i < n; i++) {
		struct buf line = { 0 };
		if (record_glimpse(l, &g->now[i], &line))
			keep_line(g, &line);
		buf_free(&line);
	}
	loop_timer_set(g->timer, EVERY_MS);
	if (g->n != before)
		g->heard(g->arg);
}

struct glimpses *glimpses_open(struct lab *l, void (*heard)(void *arg), void *arg)
{
	struct glimpses *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	*g = (struct glimpses) { .lab = l, .heard = heard, .arg = arg };
	g->timer = loop_timer_new(l->loop, look, g);
	if (!g->timer) {
		free(g);
		return NULL;
	}
	loop_timer_set(g->timer, EVERY_MS);
	return g;
}

bool glimpses_has(const struct glimpses *g, uint64_t seen)
{
	return seen < g->n;
}

bool glimpses_take(const struct glimpses *g, uint64_t *seen, struct buf *out)
{
	size_t end = out->len + PIECE;

	if (g->n > KEPT && *seen < g->n - KEPT)
		*seen = g->n - KEPT;
	for (; *seen < g->n && out->len < end; (*seen)++)
		if (!buf_printf(out, "data: %s\n", g->lines[*seen % KEPT]))
			return false;
	return true;
}

void glimpses_close(struct glimpses *g)
{
	if (!g)
		return;
	loop_timer_free(g->timer);
	for (size_t i = 0; i < KEPT; i++)
		free(g->lines[i]);
	free(g);
}
