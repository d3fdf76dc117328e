/* Streams whose owner takes frames that may come cut, and bytes that are put back. */
#include "mesh/base/buf.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include "mesh/transport/test/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Both ends of a connection on one loop. */
struct pair {
	struct scratch sc;
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	struct tls *server, *client;
	struct stream *from, *to;
	size_t open;
};

static void pair_opened(void *arg)
{
	struct pair *p = arg;
	p->open++;
	loop_stop(p->loop);
}

static void pair_closed(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	fail_msg("%s", why);
}

static struct stream_events quiet(struct pair *p)
{
	return (struct stream_events) { .opened = pair_opened, .closed = pair_closed, .arg = p };
}

static void incoming(void *arg, int what)
{
	struct pair *p = arg;
	struct stream_events ev = quiet(p);
	(void)what;
	p->from = stream_accept(p->loop, sock_accept(p->fd, NULL), p->server, &ev);
	assert_non_null(p->from);
}

static void pair_open(struct pair *p, bool tls)
{
	struct endpoint at;
	*p = (struct pair) { .loop = loop_new() };
	scratch_init(&p->sc);
	p->server = tls ? scratch_server(&p->sc) : NULL;
	p->client = tls ? tls_client("insecure", NULL) : NULL;
	p->fd = scratch_listen(&at);
	p->watch = loop_fd_new(p->loop, p->fd, incoming, p);
	loop_fd_set(p->watch, LOOP_READ);
	struct stream_events ev = quiet(p);
	struct stream_target to = {
		.host = "relay.test", .port = at.port, .at = &at, .tls = p->client, .timeout_ms = 5000
	};
	p->to = stream_connect(p->loop, &to, &ev);
	while (p->open < 2)
		loop_run_once(p->loop);
}

static void pair_close(struct pair *p)
{
	stream_close(p->from, false);
	stream_close(p->to, false);
	loop_fd_free(p->watch);
	close(p->fd);
	if (p->server) {
		tls_free(p->server);
		tls_free(p->client);
	}
	loop_free(p->loop);
	scratch_fini(&p->sc);
}

static uint8_t *pattern(size_t len)
{
	uint8_t *p = malloc(len);
	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 31 + i / 251);
	return p;
}

/* Frames of a length in two bytes and what it counts. */
struct frames {
	struct stream *s;
	struct loop *loop;
	size_t n, bytes, calls, most; /* most: in one call */
	size_t rests, since;	      /* since: calls that no rest came after yet */
	size_t pause_at;	      /* after so many, once */
	bool closed;
	int code;
};

static size_t frames_in(void *arg, uint8_t *p, size_t len)
{
	struct frames *f = arg;
	size_t used = 0;
	f->calls++;
	f->since++;
	f->most = len > f->most ? len : f->most;
	loop_stop(f->loop); /* a timer's turn would go on to wait */
	while (len - used >= 2 && !(f->pause_at && f->n == f->pause_at)) {
		size_t n = (size_t)p[used] << 8 | p[used + 1];
		if (len - used < 2 + n)
			break;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[used + 2 + i], (uint8_t)f->n);
		memset(p + used, 0xee, 2 + n); /* ours to change */
		used += 2 + n;
		f->n++;
		f->bytes += n;
	}
	if (f->pause_at && f->n == f->pause_at)
		stream_pause(f->s, true);
	return used;
}

static void frames_rested(void *arg)
{
	struct frames *f = arg;
	f->rests++;
	f->since = 0;
}

static void frames_closed(void *arg, int code, const char *why)
{
	struct frames *f = arg;
	(void)why;
	f->closed = true;
	f->code = code;
	loop_stop(f->loop);
}

static void write_frames(struct stream *to, size_t n, size_t piece)
{
	struct buf b = { 0 };
	for (size_t i = 0; i < n; i++) {
		size_t len = i * 997 % 20000;
		uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };
		assert_true(buf_append(&b, head, 2) && buf_room(&b, len));
		memset(buf_room(&b, len), (int)i, len);
		buf_grown(&b, len);
	}
	for (size_t at = 0; at < b.len; at += piece)
		assert_int_equal(
			stream_write(to, buf_data(&b) + at, piece < b.len - at ? piece : b.len - at), 0);
	buf_free(&b);
}

/* However they are cut: each comes whole; while nobody reads they wait, and so they do until there is more of a cut one. */
static void test_frames(void **state)
{
	enum { N = 100, PAUSE = 7 };
	struct pair p;
	(void)state;
	pair_open(&p, true);
	struct frames f = { .s = p.to, .loop = p.loop, .pause_at = PAUSE };
	struct stream_events ev = { .frames = frames_in, .closed = frames_closed, .arg = &f };
	stream_events_set(p.to, &ev);
	for (size_t piece = 1000; piece <= 200000; piece *= 14) {
		f.n = 0;
		f.pause_at = PAUSE;
		write_frames(p.from, N, piece);
		while (f.n < PAUSE)
			loop_run_once(p.loop);
		assert_int_equal(f.n, PAUSE);
		f.pause_at = 0;
		stream_pause(p.to, false);
		while (f.n < N)
			loop_run_once(p.loop);
	}
	/* Half of one, and then nothing: it waits without being asked for again. */
	size_t calls = f.calls;
	assert_int_equal(stream_write(p.from, "\0\4\144\144", 4), 0);
	while (f.calls == calls)
		loop_run_once(p.loop);
	assert_int_equal(stream_write(p.from, "\144\144", 2), 0);
	while (f.n == N)
		loop_run_once(p.loop);
	assert_int_equal(f.calls, calls + 2);
	pair_close(&p);
}

/* Of small frames, one cut at the end of a read does not make the next larger; and several reads are one turn's, whose end is
 * told. */
static void test_frames_in_one_read(void **state)
{
	enum { LEN = 1347, N = 1000 };
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct pair p;
		uint8_t frame[2 + LEN] = { LEN >> 8, LEN & 0xff };
		struct buf b = { 0 };
		pair_open(&p, tls);
		struct frames f = { .s = p.to, .loop = p.loop };
		struct stream_events ev = {
			.frames = frames_in, .rested = frames_rested, .closed = frames_closed, .arg = &f
		};
		stream_events_set(p.to, &ev);
		for (size_t i = 0; i < N; i++) {
			memset(frame + 2, (int)i, LEN);
			assert_true(buf_append(&b, frame, sizeof(frame)));
		}
		assert_int_equal(stream_write(p.from, buf_data(&b), b.len), 0);
		while (f.n < N)
			loop_run_once(p.loop);
		assert_in_range(f.most, 2 * sizeof(frame), STREAM_READ_SIZE);
		assert_in_range(f.rests, 1, f.calls - 1);
		assert_int_equal(f.since, 0);
		buf_free(&b);
		pair_close(&p);
	}
}

static size_t never_enough(void *arg, uint8_t *p, size_t len)
{
	struct frames *f = arg;
	(void)p;
	assert_true(len <= 2 * (STREAM_REST_MAX));
	f->bytes = len;
	loop_stop(f->loop);
	return 0;
}

static void test_frames_too_large(void **state)
{
	struct pair p;
	uint8_t *big = pattern(STREAM_REST_MAX);
	(void)state;
	pair_open(&p, false);
	struct frames f = { .s = p.to, .loop = p.loop };
	struct stream_events ev = { .frames = never_enough, .closed = frames_closed, .arg = &f };
	stream_events_set(p.to, &ev);
	assert_int_equal(stream_write(p.from, big, STREAM_REST_MAX), 0);
	while (f.bytes < STREAM_REST_MAX)
		loop_run_once(p.loop);
	assert_false(f.closed);
	assert_int_equal(stream_write(p.from, big, 1), 0);
	while (!f.closed)
		loop_run_once(p.loop);
	assert_int_equal(f.code, ERR_TOO_LARGE);
	free(big);
	pair_close(&p);
}

struct back {
	struct pair *p;
	struct buf got;
	bool done; /* once */
};

static void data_back(void *arg, const uint8_t *p, size_t len)
{
	struct back *b = arg;
	size_t half = b->done ? 0 : len / 2;
	b->done = true;
	assert_true(buf_append(&b->got, p, len - half));
	stream_unread(b->p->to, p + len - half, half);
	loop_stop(b->p->loop);
}

/* Bytes put back come before those that the same turn of the loop would have read. */
static void test_unread_order(void **state)
{
	enum { LEN = 400000 };
	struct pair p;
	uint8_t *big = pattern(LEN);
	(void)state;
	pair_open(&p, false);
	struct back b = { .p = &p };
	struct stream_events ev = { .data = data_back, .closed = pair_closed, .arg = &b };
	stream_events_set(p.to, &ev);
	assert_int_equal(stream_write(p.from, big, LEN), 0);
	while (b.got.len < LEN)
		loop_run_once(p.loop);
	assert_memory_equal(buf_data(&b.got), big, LEN);
	free(big);
	buf_free(&b.got);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_frames_in_one_read),
		cmocka_unit_test(test_frames_too_large),
		cmocka_unit_test(test_unread_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
