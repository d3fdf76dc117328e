/* idle -> copying (timer, a few buckets a turn) -> writing (thread) -> idle. An order to begin anew while one of the two
 * goes on is remembered (`again`). While the thread writes, `writer` is its own. */
#include "resolver/keeper.h"

#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVERY_MS = 600000, TURN_MS = 1, BUCKETS_PER_TURN = 256 };

struct keeper {
	struct loop *loop;
	struct loop_timer *timer;
	char folder[PATH_MAX - 32], path[PATH_MAX];
	struct keep_rules rules;
	struct resolver *core; /* NULL: nobody is served */
	uint64_t heard;	       /* by core, when the file was written last */
	struct keep_writer writer;
	struct buf moved; /* the text of a core that went, for the next one; empty: none */
	bool copying, again;
	struct work *work; /* NULL: no thread writes */
	struct errbuf eb;  /* of the last write; eb.code 0: it went well. The thread's while work is set */
	char unsaved[256]; /* what was said of it last */
};

static void path_of(const char *folder, char out[static PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.*s/" KEEPER_FILE, PATH_MAX - 32, folder);
}

static uint64_t heard(const struct keeper *k)
{
	const struct resolver_stats *s = resolver_stats(k->core);
	return s->forwarded + s->prefetched;
}

/* ---- reading ---- */

static void file_take(struct keeper *k)
{
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	uint64_t before = resolver_stats(k->core)->kept;
	int err = file_read_own(k->path, KEEP_BYTES_MAX, FILE_PRIVATE, &text, &eb);
	if (!err)
		err = keep_read(k->core, &k->rules, loop_now_ms(k->loop), clock_unix_ms(), buf_data(&text),
			text.len, &eb);
	if (err && err != -ENOENT)
		log_warn("answers of before the start are not used (%s): %s", k->path, eb.text);
	else if (!err)
		log_info("%llu answers of before the start are used again",
			(unsigned long long)(resolver_stats(k->core)->kept - before));
	buf_wipe(&text);
	k->heard = heard(k);
}

/* What is heard from now on is new; the file lacks what the core before heard. */
static void moved_take(struct keeper *k)
{
	(void)keep_read(k->core, &k->rules, loop_now_ms(k->loop), clock_unix_ms(), buf_data(&k->moved),
		k->moved.len, NULL);
	buf_wipe(&k->moved);
	k->heard = heard(k) - 1;
}

/* ---- writing ---- */

static void text_write(struct keeper *k, const struct buf *text)
{
	k->eb.code = 0;
	int err = dir_make(k->folder, 0700, &k->eb);
	if (!err)
		err = file_write_atomic(k->path, 0600, buf_data(text), text->len, &k->eb);
	k->eb.code = err;
}

static void write_run(void *arg)
{
	struct keeper *k = arg;
	if (keep_end(&k->writer))
		text_write(k, &k->writer.out);
	else
		err_say(&k->eb, -ENOMEM, "memory is short");
}

static void write_ended(struct keeper *k)
{
	char text[sizeof(k->unsaved)] = "";
	k->work = NULL;
	keep_free(&k->writer);
	if (k->eb.code)
		snprintf(text, sizeof(text), "what nameservers say is not kept for the next start: %s",
			k->eb.text);
	if (text[0] && strcmp(text, k->unsaved) != 0)
		log_error("%s", text);
	memcpy(k->unsaved, text, sizeof(text));
}

static void copy_begin(struct keeper *k)
{
	k->again = false;
	k->heard = heard(k);
	k->copying = keep_begin(&k->writer, k->core, &k->rules, loop_now_ms(k->loop), clock_unix_ms());
	loop_timer_set(k->timer, k->copying ? TURN_MS : EVERY_MS);
}

/* What is forgotten shall not come back, whatever happens before it is written anew. */
static void forget(struct keeper *k)
{
	keeper_remove(k->folder);
	copy_begin(k);
}

static void wrote(void *arg)
{
	struct keeper *k = arg;
	write_ended(k);
	if (k->again) /* it has written what was forgotten meanwhile */
		forget(k);
	else
		loop_timer_set(k->timer, EVERY_MS);
}

static void copy_go_on(struct keeper *k)
{
	if (keep_go_on(&k->writer, k->core, BUCKETS_PER_TURN)) {
		loop_timer_set(k->timer, TURN_MS);
		return;
	}
	k->copying = false;
	k->work = work_start(k->loop, write_run, wrote, k);
	if (k->work)
		return;
	keep_free(&k->writer);
	loop_timer_set(k->timer, EVERY_MS);
}

static void is_due(void *arg)
{
	struct keeper *k = arg;
	if (k->copying)
		copy_go_on(k);
	else if (heard(k) != k->heard)
		copy_begin(k);
	else
		loop_timer_set(k->timer, EVERY_MS);
}

static void flushed(void *arg)
{
	struct keeper *k = arg;
	k->again = true;
	if (!k->work)
		forget(k);
}

/* The thread may write something older: its end is waited for, so that it does not write over what is newer. */
static void thread_end(struct keeper *k)
{
	if (!k->work)
		return;
	(void)work_finish(k->work);
	write_ended(k);
}

/* ---- the outside ---- */

struct keeper *keeper_new(struct loop *l, const char *folder, bool moves)
{
	struct keeper *k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->loop = l;
	k->rules.moves = moves;
	snprintf(k->folder, sizeof(k->folder), "%s", folder);
	path_of(folder, k->path);
	k->timer = loop_timer_new(l, is_due, k);
	if (k->timer)
		return k;
	free(k);
	return NULL;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	keeper_leave(k);
	loop_timer_free(k->timer);
	free(k);
}

void keeper_serve(struct keeper *k, struct resolver *r, const uint8_t about[KEEP_ABOUT])
{
	if (!k)
		return;
	memcpy(k->rules.about, about, KEEP_ABOUT);
	if (k->core == r)
		return;
	if (k->core)
		keeper_leave(k);
	k->core = r;
	if (k->moved.len)
		moved_take(k);
	else
		file_take(k);
	resolver_flush_told(r, flushed, k);
	loop_timer_set(k->timer, EVERY_MS);
}

/* Nothing is copied or written any more. */
static void stop(struct keeper *k)
{
	loop_timer_clear(k->timer);
	thread_end(k);
	keep_free(&k->writer);
	k->copying = k->again = false;
	if (k->core)
		resolver_flush_told(k->core, NULL, NULL);
}

void keeper_move(struct keeper *k)
{
	if (!k || !k->core)
		return;
	stop(k);
	if (keep_begin(&k->writer, k->core, &k->rules, loop_now_ms(k->loop), clock_unix_ms())) {
		(void)keep_go_on(&k->writer, k->core, SIZE_MAX);
		if (keep_end(&k->writer)) {
			k->moved = k->writer.out;
			k->writer.out = (struct buf) { 0 };
		}
		keep_free(&k->writer);
	}
	k->core = NULL;
}

void keeper_leave(struct keeper *k)
{
	if (!k)
		return;
	keeper_move(k);
	if (!k->moved.len)
		return;
	text_write(k, &k->moved);
	buf_wipe(&k->moved);
	write_ended(k);
}

void keeper_forget(struct keeper *k)
{
	if (!k)
		return;
	stop(k);
	k->core = NULL;
	buf_wipe(&k->moved);
	keeper_remove(k->folder);
}

void keeper_remove(const char *folder)
{
	char path[PATH_MAX];
	path_of(folder, path);
	if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
		log_warn("cannot remove %s: %s", path, strerror(errno));
}
