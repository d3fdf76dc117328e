/* Maps that change while they are written, in a folder that goes and comes: each byte is something that happens. What flush leaves is
 * the newest map, or it is said why it is not; what is forgotten is gone, and what failed is written when it can be. With memory
 * short at one place or another. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/node/host/map_cache.h"
#include "mesh/node/host/state.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/work.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	MAPS = 4,
	STEPS_MAX = 64,
	TURNS = 3,
	AGAIN_MS = 10000,
	PAUSE_MAX_MS = 10 * STEPS_MAX * AGAIN_MS,
	PASSES_MAX = 8
};

/* What outlives an input. */
struct world {
	struct awake awake;
	struct netmap *maps[MAPS]; /* the last of many peers */
	char dir[64], away[80];
	struct map_cache *cache;
	int newest; /* of maps; -1: none since it was forgotten */
	bool is_away;
};
static struct world only;

static struct netmap *map_make(int i)
{
	struct arena a = { 0 };
	struct buf json = { 0 };
	struct ctl_map_response m;
	struct netmap *map = NULL;
	bool ok = buf_printf(&json,
		"{\"Node\":{\"ID\":1,\"StableID\":\"a\",\"Name\":\"map%d.x.test.\",\"User\":1,\"Key\":"
		"\"nodekey:"
		"%064x\",\"Addresses\":[\"100.64.0.1/32\"]},\"Peers\":[",
		i, 0xfffff);
	for (unsigned k = 0; ok && i == MAPS - 1 && k < 100; k++)
		ok = buf_printf(&json,
			"%s{\"ID\":%u,\"StableID\":\"n%u\",\"Name\":\"p%u.x.test.\",\"User\":1,\"Key\":"
			"\"nodekey:%064x\","
			"\"Addresses\":[\"100.65.0.%u/32\"]}",
			k ? "," : "", k + 2, k, k, k + 1, k);
	ok = ok && buf_printf(&json, "]}");
	if (ok && ctl_map_response_read(&a, buf_cstr(&json), json.len, &m, NULL) == 0)
		map = netmap_apply(NULL, &m, 1, NULL);
	must(map);
	arena_free(&a);
	buf_free(&json);
	return map;
}

static void world_end(void)
{
	for (int i = 0; i < MAPS; i++)
		netmap_put(only.maps[i]);
	awake_free(&only.awake);
	dir_remove(only.dir, NULL);
}

/* Where syncing costs nothing, if there is such a place. */
static struct world *world(void)
{
	struct world *w = &only;
	if (w->dir[0])
		return w;
	log_setup(LOG_ERROR, false);
	snprintf(w->dir, sizeof(w->dir), "%s/rw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	must(mkdtemp(w->dir));
	snprintf(w->away, sizeof(w->away), "%s.away", w->dir);
	for (int i = 0; i < MAPS; i++)
		w->maps[i] = map_make(i);
	w->awake = awake_loop(loop_new());
	must(work_ready(w->awake.loop) && atexit(world_end) == 0);
	return w;
}

/* Which map the file is of, whole; -1: there is none. Nothing else is ever there. */
static int kept(const struct world *w)
{
	struct buf text = { 0 }, want = { 0 };
	struct errbuf eb = { 0 };
	int err = state_map_load(w->is_away ? w->away : w->dir, &text, &eb), is = -1;
	for (int i = 0; !err && is < 0 && i < MAPS; i++) {
		if (netmap_write(w->maps[i], &want) && want.len == text.len &&
			!memcmp(buf_data(&want), buf_data(&text), text.len))
			is = i;
		buf_free(&want);
	}
	must(err == -ENOENT || is >= 0 || trouble_happened());
	buf_free(&text);
	return is;
}

static void check_flushed(const struct world *w)
{
	const bool said = *map_cache_unsaved(w->cache);
	const bool good = w->newest < 0 || (kept(w) == w->newest ? w->is_away || !said : w->is_away && said);
	must(good || trouble_happened());
}

static void move(struct world *w, bool away)
{
	if (w->is_away != away)
		must(rename(away ? w->dir : w->away, away ? w->away : w->dir) == 0);
	w->is_away = away;
}

static void turn(struct world *w, int n)
{
	while (n--)
		loop_run_once(w->awake.loop);
}

static void step(struct world *w, uint8_t what)
{
	switch (what % 8) {
	case 0:
		w->newest = what / 8 % MAPS;
		map_cache_changed(w->cache, w->maps[w->newest]);
		break;
	case 1: turn(w, TURNS); break;
	case 2:
		map_cache_flush(w->cache);
		check_flushed(w);
		break;
	case 3:
		if (w->is_away) /* there it would not be found */
			break;
		map_cache_forget(w->cache);
		w->newest = -1;
		must(kept(w) < 0);
		break;
	case 4: move(w, true); break;
	case 5: move(w, false); break;
	default: trouble_pass_ms(what % 8 == 6 ? 100 : AGAIN_MS); turn(w, 1);
	}
}

static void thread_ends(struct world *w)
{
	do
		loop_run_once(w->awake.loop);
	while (loop_has_work(w->awake.loop));
	loop_run_once(w->awake.loop);
}

/* What is due is written by itself, though nothing changes any more. The longest pause: all steps passed time while it wrote, and it
 * waits ten times as long. */
static void settle(struct world *w)
{
	move(w, false);
	thread_ends(w);
	for (int i = 0; w->newest >= 0 && kept(w) != w->newest; i++) {
		must(i < PASSES_MAX);
		trouble_pass_ms(PAUSE_MAX_MS);
		thread_ends(w);
	}
	turn(w, TURNS);
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = world();
	w->newest = -1;
	trouble_begin();
	w->cache = map_cache_open(w->awake.loop, w->dir);
	for (size_t i = 0; w->cache && i < len && i < STEPS_MAX; i++)
		step(w, data[i]);
	trouble_end();
	if (w->cache)
		settle(w);
	move(w, false);
	map_cache_close(w->cache);
	must(!w->cache || w->newest < 0 || kept(w) == w->newest);
	state_map_forget(w->dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
