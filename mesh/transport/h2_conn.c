#include "mesh/transport/h2_conn.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	DEPTH_MAX = 64,			 /* calls into the owner on one stack */
	STREAM_WINDOW = 8 * 1024 * 1024, /* a netmap must not wait for window updates */
	LINK_WINDOW = 16 * 1024 * 1024,
	STREAMS_MAX = 250,
	FRAMES_WAITING = 16 * STREAMS_MAX, /* for who listens, each stream has a few at most */
	QUEUE_ENOUGH =
		512 * 1024, /* above it the session keeps its data, and flow control works end to end */
	BATCH = 64 * 1024,
	TICK_MS = 5000,
	PING_AFTER_MS = 20000,
	DEAD_AFTER_MS = 35000,
};

/* --- memory --- */

/* A session has a buffer for the largest frame it may make, of which an idle link has touched only the
 * beginning: pages of its own, so that the rest costs nothing. DATA frames are kept as short as a page for
 * the same reason. */
enum { OWN_PAGES_FROM = 16 * 1024, DATA_MAX = 4000 };

struct h2_block {
	size_t size;	       /* of data */
	size_t mapped;	       /* bytes of the mapping; 0: from malloc */
	max_align_t aligned[]; /* data begins here */
};

static struct h2_block *block_of(void *p)
{
	return (struct h2_block *)p - 1;
}

/* Pages of their own; NULL: memory is short. */
static struct h2_block *map_block(size_t whole)
{
	void *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void *h2_malloc(size_t size, void *user)
{
	const bool own = size >= OWN_PAGES_FROM;
	size_t whole = sizeof(struct h2_block) + size;
	(void)user;
	if (size > SIZE_MAX / 2)
		return NULL;
	struct h2_block *b = own ? map_block(whole) : malloc(whole);
	if (!b)
		return NULL;
	b->size = size;
	b->mapped = own ? whole : 0;
	return b + 1;
}

static void h2_free(void *p, void *user)
{
	struct h2_block *b = p ? block_of(p) : NULL;
	(void)user;
	if (b && b->mapped)
		munmap(b, b->mapped);
	else
		free(b);
}

static void *h2_calloc(size_t n, size_t size, void *user)
{
	void *p = size && n > SIZE_MAX / 2 / size ? NULL : h2_malloc(n * size, user);
	if (p && !block_of(p)->mapped)
		memset(p, 0, n * size);
	return p;
}

static void *h2_realloc(void *p, size_t size, void *user)
{
	struct h2_block *b = p ? block_of(p) : NULL;
	if (b && !b->mapped && size < OWN_PAGES_FROM) {
		b = realloc(b, sizeof(*b) + size);
		if (b)
			b->size = size;
		return b ? b + 1 : NULL;
	}
	void *fresh = h2_malloc(size, user);
	if (fresh && b) {
		memcpy(fresh, p, b->size < size ? b->size : size);
		h2_free(p, user);
	}
	return fresh;
}

ssize_t h2_conn_data_length(nghttp2_session *session, uint8_t type, int32_t id, int32_t session_window,
	int32_t stream_window, uint32_t frame_max, void *user)
{
	(void)session;
	(void)type;
	(void)id;
	(void)session_window;
	(void)stream_window;
	(void)user;
	return frame_max < DATA_MAX ? (ssize_t)frame_max : DATA_MAX;
}

void h2_conn_enter(struct h2_conn *c)
{
	assert(c->busy < DEPTH_MAX);
	c->busy++;
}

bool h2_conn_leave(struct h2_conn *c)
{
	if (--c->busy || !c->dead)
		return true;
	c->release(c->arg);
	return false;
}

void h2_conn_close(struct h2_conn *c)
{
	c->dead = true;
	if (!c->busy)
		c->release(c->arg);
}

static void tick(void *arg)
{
	struct h2_conn *c = arg;
	uint64_t now = loop_now_ms(c->loop), quiet = now > c->heard_ms ? now - c->heard_ms : 0;
	if (quiet >= DEAD_AFTER_MS) {
		c->broken(c->arg, -ETIMEDOUT, "the other side has stopped answering");
		return;
	}
	loop_timer_set(c->timer, TICK_MS);
	if (quiet >= PING_AFTER_MS) {
		nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
		h2_conn_pump(c);
	}
}

int h2_conn_start(struct h2_conn *c, bool server, const nghttp2_session_callbacks *cb, void *user)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};
	nghttp2_mem mem = { NULL, h2_malloc, h2_free, h2_calloc, h2_realloc };
	int err = server ? nghttp2_session_server_new3(&c->session, cb, user, NULL, &mem)
			 : nghttp2_session_client_new3(&c->session, cb, user, NULL, &mem);
	if (err)
		return -ENOMEM;
	/* A server has no push to disable. */
	err = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, server ? 2 : 3);
	if (!err)
		err = nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, LINK_WINDOW);
	c->timer = loop_timer_new(c->loop, tick, c);
	if (err || !c->timer)
		return -ENOMEM;
	c->heard_ms = loop_now_ms(c->loop);
	loop_timer_set(c->timer, TICK_MS);
	return 0;
}

int h2_conn_receive(struct h2_conn *c, const uint8_t *p, size_t len, const char **why)
{
	c->heard_ms = loop_now_ms(c->loop);
	c->inside++;
	ssize_t n = nghttp2_session_mem_recv(c->session, p, len);
	c->inside--;
	if (n == NGHTTP2_ERR_CALLBACK_FAILURE) {
		*why = "closed";
		return ERR_CLOSED;
	}
	if (n < 0) {
		*why = nghttp2_strerror((int)n);
		return ERR_MALFORMED;
	}
	h2_conn_pump(c);
	/* Each thing that is refused is a frame to say so, also to who does not hear it. */
	if (nghttp2_session_get_outbound_queue_size(c->session) > FRAMES_WAITING) {
		*why = "the other side asks on and on, and reads no answer";
		return ERR_TOO_LARGE;
	}
	if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session)) {
		*why = "the other side ended the session";
		return ERR_CLOSED;
	}
	return 0;
}

/* Up to BATCH bytes of frames; false when the session has no more for now. */
static bool h2_conn_collect(struct h2_conn *c, struct buf *plain)
{
	while (plain->len < BATCH) {
		const uint8_t *p;
		c->inside++;
		ssize_t n = nghttp2_session_mem_send(c->session, &p);
		c->inside--;
		if (n <= 0 || !buf_append(plain, p, (size_t)n))
			return false;
	}
	return true;
}

void h2_conn_pump(struct h2_conn *c)
{
	if (c->inside || !c->session || !c->stream)
		return;
	struct buf plain = { .secret = true };
	bool more = true;
	h2_conn_enter(c);
	while (more && stream_queued(c->stream) < QUEUE_ENOUGH) {
		more = h2_conn_collect(c, &plain);
		if (plain.len)
			h2_conn_send_plain(c, buf_data(&plain), plain.len);
		buf_consume(&plain, plain.len);
	}
	buf_free(&plain);
	h2_conn_leave(c);
}

/* Failures here are the stream's own end, which it reports itself. */
void h2_conn_send_plain(struct h2_conn *c, const void *p, size_t len)
{
	struct buf wire = { 0 };
	if (noise_link_send(c->noise, p, len, &wire) == 0)
		(void)stream_write(c->stream, buf_data(&wire), wire.len);
	buf_free(&wire);
}

void h2_conn_fini(struct h2_conn *c, bool flush)
{
	if (flush && c->session && c->stream) {
		/* GOAWAY; the owner is gone, so nothing may be told to it from here. */
		c->dead = true;
		c->busy++;
		nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
		h2_conn_pump(c);
		c->busy--;
	}
	loop_timer_free(c->timer);
	nghttp2_session_del(c->session);
	noise_link_free(c->noise);
	stream_close(c->stream, flush);
	c->timer = NULL;
	c->session = NULL;
	c->noise = NULL;
	c->stream = NULL;
}
