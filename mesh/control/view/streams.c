#include "mesh/control/view/streams.h"

#include "mesh/base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEEPALIVE_MIN_MS = 50000,
	KEEPALIVE_SPREAD_MS = 9000,
	OFFLINE_GRACE_MS = 10000,
	FLUSH_PAUSE_MAX_MS = 1000,
	SLICE_NS = 4 * 1000 * 1000, /* other sockets wait no longer for a flush */
	JOURNAL_MAX = 8192,	    /* then the slow ones are served at once, whatever it takes */
	TWIN_MS = 60 * 1000,
	TWIN_SAID_MS = 3600 * 1000,
};
static const char twin_text[] =
	"another machine has the keys of this one, as after a copy of its disk, and takes its place in "
	"turns: on one of the two stop the node, remove its state folder, and let it join anew";

struct map_stream {
	struct h2_owner owner;
	struct streams *in;
	struct map_stream *next, **at; /* in the queue while it streams */
	int64_t node;
	struct h2_stream *stream; /* NULL: away */
	struct view view;
	struct loop_timer *timer; /* keep-alive while it streams, grace while it is away */
	uint64_t sent_ms;	  /* it was last told of anything */
	bool zstd;
	uint16_t cap;
	/* A program that runs has one disco key, and none comes back to one: of who shows the one before, there are two. */
	struct disco_key disco, before;
	uint64_t before_ms;    /* when that was left */
	uint64_t twin_said_ms; /* 0 = never */
	bool is_twin;	       /* the node has been told so */
};

/* --- the queue --- */

static void queue_leave(struct map_stream *m)
{
	struct streams *s = m->in;
	if (!m->at)
		return;
	*m->at = m->next;
	if (m->next)
		m->next->at = m->at;
	else
		s->end = m->at;
	m->at = NULL;
	m->next = NULL;
	s->n--;
}

static void queue_join(struct map_stream *m)
{
	struct streams *s = m->in;
	queue_leave(m);
	m->at = s->end;
	*s->end = m;
	s->end = &m->next;
	s->n++;
}

/* --- states --- */

/* For one that was last told at sent_ms. */
static void set_keepalive(struct map_stream *m)
{
	uint16_t spread;
	random_system.fill(random_system.arg, &spread, sizeof(spread));
	loop_timer_set(m->timer,
		m->sent_ms + KEEPALIVE_MIN_MS + spread % KEEPALIVE_SPREAD_MS - loop_now_ms(m->in->loop));
}

enum stream_end {
	END_GONE,   /* the other side has ended it */
	END_SENT,   /* after what was written */
	END_AT_ONCE /* what waits for a reader that does not read is dropped */
};

/* From streaming to away. */
static void go_away(struct map_stream *m, enum stream_end how)
{
	struct h2_stream *stream = m->stream;
	m->stream = NULL;
	queue_leave(m);
	view_fini(&m->view);
	loop_timer_set(m->timer, OFFLINE_GRACE_MS);
	if (!stream)
		return;
	h2_stream_data_set(stream, NULL);
	if (how == END_SENT)
		h2_respond_end(stream);
	else if (how == END_AT_ONCE)
		h2_respond_cut(stream);
}

static void forget(struct map_stream *m)
{
	go_away(m, END_SENT);
	table_remove(&m->in->by_node, &m->node);
	loop_timer_free(m->timer);
	free(m);
}

static void stream_gone(struct h2_owner *o)
{
	go_away((struct map_stream *)o, END_GONE);
}

/* --- messages --- */

static struct view_context context(struct map_stream *m)
{
	struct streams *s = m->in;
	return (struct view_context) { .fleet = s->fleet,
		.set = s->set,
		.cache = &s->cache,
		.journal = &s->journal,
		.now_ms = clock_unix_ms(),
		.viewer_cap = m->cap };
}

/* A client that does not read is cut off; it will come back for a whole map. */
static void send_frame(struct map_stream *m, const struct buf *frame)
{
	if (frame && !h2_respond_chunk(m->stream, buf_data(frame), frame->len)) {
		m->sent_ms = loop_now_ms(m->in->loop);
		return;
	}
	log_warn("node %lld: cannot be told of changes (it does not read, or memory is short): stream closed",
		(long long)m->node);
	go_away(m, END_AT_ONCE);
}

static void send_message(struct map_stream *m, const struct ctl_map_response *r)
{
	const struct view_context c = context(m);
	send_frame(m, packed_change(&m->in->packed, &c, r, m->zstd));
}

/* What changed of peers alone leaves a client's map as it is; with anything else it makes the map anew, and official ones
 * (1.102) compare that with the map they made so before: where a patch leads back to that, it is lost. It goes by itself. */
static void send_changes(struct map_stream *m, struct ctl_map_response *r)
{
	const struct ctl_map_response patches = {
		.control_time_ms = FLEET_NO_TIME, .patches = r->patches, .n_patches = r->n_patches
	};
	const bool apart = r->n_patches &&
			   (r->node || r->n_filters || r->ssh_json || r->dns || r->derp_map || r->domain);
	if (apart)
		r->n_patches = 0;
	send_message(m, r);
	if (apart && m->stream)
		send_message(m, &patches);
}

static void no_memory(struct map_stream *m)
{
	log_error("node %lld: no memory for its map: stream closed", (long long)m->node);
	go_away(m, END_AT_ONCE);
}

static void send_whole(struct map_stream *m)
{
	const struct view_context c = context(m);
	const struct member *self = fleet_by_id(c.fleet, m->node);
	const struct buf *frame = self ? packed_whole(&m->in->packed, &c, self, &m->view, m->zstd) : NULL;
	if (!frame) {
		no_memory(m);
		return;
	}
	queue_join(m);
	send_frame(m, frame);
}

static void send_update(struct map_stream *m)
{
	struct arena a = { 0 };
	struct ctl_map_response r;
	bool empty = true;
	const struct view_context c = context(m);
	const struct member *self = fleet_by_id(c.fleet, m->node);
	if (!self || !view_update(&c, self, &m->view, &a, &r, &empty)) {
		no_memory(m);
	} else {
		queue_join(m);
		if (!empty)
			send_changes(m, &r);
	}
	arena_free(&a);
}

/* Without this its owner would see nothing but a client that never connects again. */
static void say_farewell(struct map_stream *m)
{
	struct arena a = { 0 };
	struct ctl_map_response r;
	const struct view_context c = context(m);
	if (m->view.self && view_farewell(&c, m->view.self, &a, &r))
		send_message(m, &r);
	arena_free(&a);
}

/* An empty text takes back the one before. */
static void send_health(struct map_stream *m, const char *text)
{
	const struct ctl_map_response r = { .control_time_ms = FLEET_NO_TIME,
		.has_health = true,
		.health = { .v = &text, .n = *text ? 1 : 0 } };
	m->is_twin = *text;
	send_message(m, &r);
}

/* One machine of two has the stream, until the other one asks for it. */
static void tell_twin(struct map_stream *m)
{
	const uint64_t now = loop_now_ms(m->in->loop);
	const struct member *self = fleet_by_id(m->in->fleet, m->node);
	if (!m->twin_said_ms || now - m->twin_said_ms > TWIN_SAID_MS) {
		m->twin_said_ms = now;
		log_warn("node %lld (%s): %s", (long long)m->node, self ? self->name : "", twin_text);
	}
	send_health(m, twin_text);
}

/* Whether this disco key is the one that the node had before its last, and had it a moment ago. */
static bool has_come_back(struct map_stream *m, const struct disco_key *disco)
{
	const uint64_t now = loop_now_ms(m->in->loop);
	if (key_is_zero(disco->b) || key_equal(disco->b, m->disco.b))
		return false;
	const bool back =
		!key_is_zero(m->before.b) && key_equal(disco->b, m->before.b) && now - m->before_ms < TWIN_MS;
	m->before = m->disco;
	m->before_ms = now;
	m->disco = *disco;
	return back;
}

/* --- the flush --- */

static void flush_later(struct streams *s)
{
	uint64_t now = loop_now_ms(s->loop);
	if (s->flush_queued || s->closed || !s->first)
		return;
	s->flush_queued = true;
	loop_timer_set(s->flush, s->flush_from_ms > now ? s->flush_from_ms - now : 0);
}

static bool is_behind(const struct streams *s)
{
	return s->first && s->first->view.told < s->journal.now;
}

/* Many changes in a row become one message to each node: while flushes are dear, they take at most a fifth of
 * the time. */
static void set_pause(struct streams *s)
{
	uint64_t pause = s->busy_ns / 1000000 * 4;
	s->busy_ns = 0;
	s->flush_from_ms = loop_now_ms(s->loop) + (pause < FLUSH_PAUSE_MAX_MS ? pause : FLUSH_PAUSE_MAX_MS);
}

static void flush_some(struct streams *s, uint64_t most_ns)
{
	const uint64_t begin = clock_now_ns();
	uint64_t spent = 0;
	while (is_behind(s) && spent < most_ns) {
		send_update(s->first);
		spent = clock_now_ns() - begin;
	}
	s->busy_ns += spent;
	journal_drop(&s->journal, s->first ? s->first->view.told : s->journal.now);
	if (!is_behind(s))
		view_cache_told(&s->cache);
}

static void flush_due(void *arg)
{
	struct streams *s = arg;
	s->flush_queued = false;
	flush_some(s, SLICE_NS);
	if (is_behind(s)) {
		s->flush_queued = true;
		loop_timer_set(s->flush, 0);
	} else {
		set_pause(s);
	}
}

/* --- what happens --- */

static void timer_fired(void *arg)
{
	struct map_stream *m = arg;
	const struct streams_ops ops = m->in->ops;
	const int64_t node = m->node;
	if (m->stream) {
		if (m->is_twin) /* nobody has come for so long */
			send_health(m, "");
		/* The timer is not set with each message: where many are told, that is dear. */
		if (m->stream && m->sent_ms + KEEPALIVE_MIN_MS <= loop_now_ms(m->in->loop))
			send_message(m, &(struct ctl_map_response) {
						.keep_alive = true, .control_time_ms = FLEET_NO_TIME });
		if (m->stream) /* or it was lost in there */
			set_keepalive(m);
		return;
	}
	forget(m);
	ops.online(ops.arg, node, false);
}

static struct map_stream *find_or_make(struct streams *s, int64_t node)
{
	struct map_stream *m = table_get(&s->by_node, &node);
	if (m)
		return m;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	*m = (struct map_stream) { .owner = { stream_gone }, .in = s, .node = node };
	m->timer = loop_timer_new(s->loop, timer_fired, m);
	if (!m->timer || !table_put(&s->by_node, &node, m)) {
		loop_timer_free(m->timer);
		free(m);
		return NULL;
	}
	return m;
}

void streams_accept(struct streams *s, struct h2_stream *stream, const struct member *self,
	const struct ctl_map_request *rq)
{
	struct map_stream *m = find_or_make(s, self->id);
	if (!m) {
		h2_respond(stream, 503, "text/plain", "out of memory", 13);
		return;
	}
	go_away(m, END_AT_ONCE); /* the newest stream is the node's */
	m->stream = stream;
	m->zstd = !strcmp(rq->compress, "zstd");
	m->cap = rq->version;
	m->is_twin = false; /* of a new stream nothing is said yet */
	const bool twin = has_come_back(m, &rq->disco);
	h2_stream_data_set(stream, &m->owner);
	h2_respond_begin(stream, 200, "application/json");
	s->ops.online(s->ops.arg, m->node, true);
	if (m->stream) /* or it was lost in there */
		send_whole(m);
	if (m->stream && twin)
		tell_twin(m);
	if (m->stream)
		set_keepalive(m);
}

void streams_changed(struct streams *s, const struct member *old, const struct member *now, bool identity)
{
	const int64_t id = old ? old->id : now->id;
	struct map_stream *m = now || s->closed ? NULL : table_get(&s->by_node, &id);
	if (m && m->stream)
		say_farewell(m);
	if (m)
		forget(m);
	view_cache_changed(&s->cache, id, identity);
	packed_forget(&s->packed, id);
	if (!s->first) { /* nobody to tell */
		journal_touch(&s->journal);
		return;
	}
	if (!journal_add(&s->journal, id, old, identity)) {
		log_error("no memory for the changes of nodes: all map streams begin anew");
		while (s->first)
			go_away(s->first, END_AT_ONCE);
	}
	if (s->journal.n > JOURNAL_MAX)
		flush_some(s, UINT64_MAX);
	flush_later(s);
}

void streams_settings_set(struct streams *s, struct settings *set)
{
	struct settings *old = s->set;
	if (s->closed)
		return;
	s->set = settings_get(set);
	settings_put(old);
	journal_touch(&s->journal);
	flush_later(s);
}

bool streams_ping(struct streams *s, int64_t node, const char *url, const char *types, const char *ip)
{
	struct map_stream *m = table_get(&s->by_node, &node);
	struct ctl_ping ping = { .url = url, .url_is_noise = true, .types = types, .ip = ip };
	if (!m || !m->stream)
		return false;
	send_message(m, &(struct ctl_map_response) { .ping = &ping, .control_time_ms = FLEET_NO_TIME });
	return m->stream != NULL;
}

size_t streams_count(const struct streams *s)
{
	return s->n;
}

/* --- life --- */

int streams_open(struct streams *s, struct loop *l, const struct fleet *fleet, const struct streams_ops *ops,
	struct errbuf *eb)
{
	uint64_t seed;
	random_system.fill(random_system.arg, &seed, sizeof(seed));
	*s = (struct streams) { .loop = l, .fleet = fleet, .ops = *ops };
	s->end = &s->first;
	table_init(&s->by_node, sizeof(int64_t), seed);
	packed_init(&s->packed, seed);
	s->flush = loop_timer_new(l, flush_due, s);
	return view_cache_init(&s->cache, seed) && s->flush ? 0 : err_set(eb, -ENOMEM, "start");
}

void streams_close(struct streams *s)
{
	struct map_stream *m;
	size_t at = 0;
	s->closed = true;
	while ((m = table_next(&s->by_node, &at)))
		forget(m);
	table_fini(&s->by_node);
	view_cache_fini(&s->cache);
	journal_free(&s->journal);
	packed_fini(&s->packed);
	settings_put(s->set);
	s->set = NULL;
	loop_timer_free(s->flush);
	s->flush = NULL;
}
