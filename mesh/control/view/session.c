#include "mesh/control/server.h"

#include "mesh/base/log.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	KEEPALIVE_MIN_MS = 50000,
	KEEPALIVE_SPREAD_MS = 9000,
	OFFLINE_GRACE_MS = 10000,
	FLUSH_PAUSE_MAX_MS = 250
};

struct session {
	struct held held;
	struct server *server;
	int64_t node;
	struct h2_stream
		*stream;  /* NULL: dropped a moment ago; the node counts as online until the timer fires */
	struct view view; /* what the node has been told; empty without a stream */
	bool zstd;
	uint16_t cap;
	struct loop_timer *timer; /* keep-alive with a stream, grace without */
};

static void drop_stream(struct session *se, bool end)
{
	struct h2_stream *stream = se->stream;
	se->stream = NULL;
	view_fini(&se->view);
	if (!stream)
		return;
	h2_stream_data_set(stream, NULL);
	if (end)
		h2_respond_end(stream);
}

static void free_session(struct session *se)
{
	drop_stream(se, true);
	table_remove(&se->server->sessions, &se->node);
	loop_timer_free(se->timer);
	free(se);
}

static void set_keepalive(struct session *se)
{
	uint16_t spread;
	random_system.fill(random_system.arg, &spread, sizeof(spread));
	loop_timer_set(se->timer, KEEPALIVE_MIN_MS + spread % KEEPALIVE_SPREAD_MS);
}

/* A client that does not read is cut off; it will come back for a whole map. */
static void send_message(struct session *se, const struct ctl_map_response *m)
{
	struct buf json = { 0 }, frame = { 0 };
	bool ok = ctl_map_response_write(&json, m) &&
		  !map_frame_write(buf_data(&json), json.len, se->zstd, &frame) &&
		  !h2_respond_chunk(se->stream, buf_data(&frame), frame.len);
	buf_free(&json);
	buf_free(&frame);
	if (ok) {
		set_keepalive(se);
		return;
	}
	log_warn("node %lld: cannot be told of changes (it does not read, or memory is short): stream closed",
		(long long)se->node);
	drop_stream(se, true);
	loop_timer_set(se->timer, OFFLINE_GRACE_MS);
}

static void timer_fired(void *arg)
{
	struct session *se = arg;
	struct server *s = se->server;
	int64_t node = se->node;
	if (se->stream) {
		send_message(se,
			&(struct ctl_map_response) { .keep_alive = true, .control_time_ms = FLEET_NO_TIME });
		return;
	}
	free_session(se);
	registry_online_set(&s->reg, node, false, clock_unix_ms());
	server_tick(s); /* an ephemeral node may have a deadline now */
}

static struct session *find_or_make(struct server *s, int64_t node)
{
	struct session *se = table_get(&s->sessions, &node);
	if (se)
		return se;
	se = calloc(1, sizeof(*se));
	if (!se)
		return NULL;
	*se = (struct session) { .held = { HELD_SESSION }, .server = s, .node = node };
	se->timer = loop_timer_new(s->loop, timer_fired, se);
	if (!se->timer || !table_put(&s->sessions, &node, se)) {
		loop_timer_free(se->timer);
		free(se);
		return NULL;
	}
	return se;
}

static void send_whole(struct session *se)
{
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct view_context c = server_view_context(se->server, se->cap);
	const struct member *self = fleet_by_id(c.fleet, se->node);
	if (view_build(&c, self, &se->view) && view_whole(&c, &se->view, &a, &m)) {
		send_message(se, &m);
	} else {
		log_error("node %lld: no memory for its map", (long long)se->node);
		drop_stream(se, true);
		loop_timer_set(se->timer, OFFLINE_GRACE_MS);
	}
	arena_free(&a);
}

void session_open(
	struct server *s, struct h2_stream *stream, const struct member *m, const struct ctl_map_request *rq)
{
	struct session *se = find_or_make(s, m->id);
	if (!se) {
		h2_respond(stream, 503, "text/plain", "out of memory", 13);
		return;
	}
	drop_stream(se, true); /* the newest stream is the node's */
	se->stream = stream;
	se->zstd = !strcmp(rq->compress, "zstd");
	se->cap = rq->version;
	h2_stream_data_set(stream, &se->held);
	h2_respond_begin(stream, 200, "application/json");
	registry_online_set(&s->reg, se->node, true, clock_unix_ms());
	send_whole(se);
}

void session_stream_gone(struct held *h)
{
	struct session *se = (struct session *)h;
	drop_stream(se, false);
	loop_timer_set(se->timer, OFFLINE_GRACE_MS);
}

/* Without this its owner would see nothing but a client that never connects again. */
static void say_farewell(struct session *se)
{
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct view_context c = server_view_context(se->server, se->cap);
	if (view_farewell(&c, se->view.self, &a, &m))
		send_message(se, &m);
	arena_free(&a);
}

void session_node_removed(struct server *s, int64_t node)
{
	struct session *se = table_get(&s->sessions, &node);
	if (se && se->stream && se->view.self)
		say_farewell(se);
	if (se)
		free_session(se);
}

static bool is_dirty(const struct server *s, int64_t node)
{
	for (size_t i = 0; i < s->n_dirty; i++)
		if (s->dirty[i] == node)
			return true;
	return false;
}

/* The message that brings the node's view up to date; false: memory is short. */
static bool make_update(struct session *se, const struct member *self, struct arena *a,
	struct ctl_map_response *m, bool *empty)
{
	struct server *s = se->server;
	struct view_context c = server_view_context(s, se->cap);
	struct view next = { 0 };
	if (!s->rebuild && !(s->refilter && is_dirty(s, se->node)))
		return view_apply(&c, &se->view, self, s->dirty, s->n_dirty, s->refilter, a, m, empty);
	bool ok = view_build(&c, self, &next) && view_delta(&c, &se->view, &next, s->refilter, a, m, empty);
	view_fini(&se->view);
	se->view = next;
	return ok;
}

static void update(struct session *se)
{
	const struct member *self = fleet_by_id(&se->server->reg.fleet, se->node);
	struct arena a = { 0 };
	struct ctl_map_response m;
	bool empty = true;
	if (!self)
		return;
	if (!make_update(se, self, &a, &m, &empty)) {
		log_error("node %lld: no memory for its map", (long long)se->node);
		drop_stream(se, true);
		loop_timer_set(se->timer, OFFLINE_GRACE_MS);
	} else if (!empty) {
		send_message(se, &m);
	}
	arena_free(&a);
}

/* What this thread has worked; not the clock: a busy machine makes no flush dear. */
static uint64_t cpu_ms(void)
{
	struct timespec t = { 0 };
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Many changes in a row become one message to each node: while flushes are dear, they take at most a third of
 * the time. */
static void set_pause(struct server *s, uint64_t began_ms)
{
	uint64_t pause = (cpu_ms() - began_ms) * 2;
	s->flush_from_ms = loop_now_ms(s->loop) + (pause < FLUSH_PAUSE_MAX_MS ? pause : FLUSH_PAUSE_MAX_MS);
}

void session_flush(struct server *s)
{
	struct session *se;
	size_t at = 0;
	uint64_t began_ms = cpu_ms();
	s->flush_queued = false;
	while (!s->stopping && (se = table_next(&s->sessions, &at)))
		if (se->stream)
			update(se);
	s->n_dirty = 0;
	s->refilter = s->rebuild = false;
	set_pause(s, began_ms);
}

void session_flush_later(struct server *s)
{
	uint64_t now = loop_now_ms(s->loop);
	if (s->flush_queued)
		return;
	s->flush_queued = true;
	loop_timer_set(s->flush, s->flush_from_ms > now ? s->flush_from_ms - now : 0);
}

void session_close_all(struct server *s)
{
	struct session *se;
	size_t at = 0;
	while ((se = table_next(&s->sessions, &at)))
		free_session(se);
	table_fini(&s->sessions);
}

size_t session_count(const struct server *s)
{
	const struct session *se;
	size_t at = 0, n = 0;
	while ((se = table_next(&s->sessions, &at)))
		n += se->stream != NULL;
	return n;
}
