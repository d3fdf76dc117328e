/* idle -> due (timer) -> writing (thread) -> idle, or due again when a newer map came meanwhile or it failed.
 *
 * While a thread writes, `writing` belongs to it; maps are immutable, and the reference that keeps it is
 * given back on the loop's thread. No more than a tenth of a processor goes into this, however often maps
 * change: the next write waits ten times as long as the last one took. */
#include "mesh/node/host/map_cache.h"
#include "mesh/base/log.h"
#include "mesh/node/host/state.h"
#include "mesh/os/work.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOON_MS = 100, AGAIN_MS = 10000, SPARE = 10, MANY_PEERS = 64 };

struct map_cache {
	struct loop *loop;
	const char *dir;
	struct loop_timer *timer;
	struct netmap *due;	/* NULL: none */
	struct netmap *writing; /* NULL: none */
	struct netmap *kept;	/* what the file says; NULL: not known */
	struct work *work;	/* NULL: idle */
	uint64_t took_ms;
	size_t peers; /* of the map that was kept when memory was given back last */
	int err;      /* of the last write; err and eb are the thread's while work is set */
	struct errbuf eb;
	char unsaved[384];
};

static void write_map(void *arg)
{
	struct map_cache *c = arg;
	struct buf b = { 0 };
	uint64_t began_ns = clock_now_ns();
	c->err = netmap_write(c->writing, &b) ? state_map_save(c->dir, buf_data(&b), b.len, &c->eb)
					      : err_say(&c->eb, ERR_TOO_LARGE, "memory is short");
	buf_free(&b);
	c->took_ms = (clock_now_ns() - began_ns) / 1000000;
}

static uint64_t pause_ms(const struct map_cache *c)
{
	return c->took_ms * SPARE > SOON_MS ? c->took_ms * SPARE : SOON_MS;
}

/* The one that failed is due again, unless a newer one is. */
static void write_ended(struct map_cache *c)
{
	char text[sizeof(c->unsaved)] = "";
	struct netmap *m = c->writing;
	c->writing = NULL;
	c->work = NULL;
	if (c->err)
		snprintf(text, sizeof(text), "the map is not kept for a start without the server: %s",
			c->eb.text);
	if (text[0] && strcmp(text, c->unsaved) != 0)
		log_error("%s", text);
	memcpy(c->unsaved, text, sizeof(text));
	if (!c->err) {
		netmap_put(c->kept);
		c->kept = m;
	} else if (!c->due) {
		c->due = m;
	} else {
		netmap_put(m);
	}
}

/* When many came or went, what reading, writing and holding their map took is given back to the machine: the allocator
 * keeps it otherwise. It takes a millisecond or three, less than such a change does anyway. */
static void give_memory_back(struct map_cache *c)
{
	size_t n = c->kept ? c->kept->n_peers : 0, many = c->peers / 4 + MANY_PEERS;
	if (n < c->peers + many && n + many > c->peers)
		return;
	c->peers = n;
	(void)malloc_trim(0);
}

static void wrote(void *arg)
{
	struct map_cache *c = arg;
	write_ended(c);
	give_memory_back(c);
	if (c->due)
		loop_timer_set(c->timer, c->err ? AGAIN_MS : pause_ms(c));
}

static void write_now(struct map_cache *c)
{
	c->writing = c->due;
	c->due = NULL;
	write_map(c);
	write_ended(c);
}

static void is_due(void *arg)
{
	struct map_cache *c = arg;
	if (!c->due || c->work)
		return;
	c->writing = c->due;
	c->due = NULL;
	c->work = work_start(c->loop, write_map, wrote, c);
	if (c->work)
		return;
	c->due = c->writing;
	c->writing = NULL;
	loop_timer_set(c->timer, AGAIN_MS);
}

struct map_cache *map_cache_open(struct loop *l, const char *dir)
{
	struct map_cache *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct map_cache) { .loop = l, .dir = dir };
	c->timer = loop_timer_new(l, is_due, c);
	if (!c->timer) {
		free(c);
		return NULL;
	}
	return c;
}

void map_cache_close(struct map_cache *c)
{
	if (!c)
		return;
	map_cache_flush(c);
	netmap_put(c->due);
	netmap_put(c->kept);
	loop_timer_free(c->timer);
	free(c);
}

void map_cache_changed(struct map_cache *c, struct netmap *m)
{
	if (m == (c->due ? c->due : c->writing ? c->writing : c->kept))
		return;
	netmap_put(c->due);
	c->due = netmap_get(m);
	/* Not put off by what follows: a start without the server may come any moment. */
	if (!c->work && !loop_timer_is_set(c->timer))
		loop_timer_set(c->timer, pause_ms(c));
}

/* The thread writes the older map: its end is waited for, so that it does not write over the newer one. */
static void end_work(struct map_cache *c)
{
	if (!c->work)
		return;
	if (work_finish(c->work)) {
		write_ended(c);
		return;
	}
	/* It never began. */
	if (!c->due)
		c->due = netmap_get(c->writing);
	netmap_put(c->writing);
	c->writing = NULL;
	c->work = NULL;
}

void map_cache_flush(struct map_cache *c)
{
	loop_timer_clear(c->timer);
	end_work(c);
	if (c->due)
		write_now(c);
	if (c->due) /* it failed: nobody may change the map again */
		loop_timer_set(c->timer, AGAIN_MS);
}

void map_cache_forget(struct map_cache *c)
{
	if (!c)
		return;
	loop_timer_clear(c->timer);
	end_work(c);
	netmap_put(c->due);
	netmap_put(c->kept);
	c->due = c->kept = NULL;
	c->took_ms = 0;
	c->unsaved[0] = 0;
	state_map_forget(c->dir);
}

const char *map_cache_unsaved(const struct map_cache *c)
{
	return c->unsaved;
}
