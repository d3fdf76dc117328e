/* Frames for one peer that stand together in what the relay reads leave from there, by one write: what they are to their
 * receivers does not change by that, however they are mixed and cut. */
#include "mesh/relay/test/derp_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

enum { SIZE = 1200 };

struct lab {
	struct loop *loop;
	struct relay *relay;
	char dir[64];
	struct derp_peer peer[3]; /* the first one sends */
	struct buf bytes;
	size_t sent[3];
};

static int lab_open(void **state)
{
	struct lab *l = key_setup() ? calloc(1, sizeof(*l)) : NULL;
	if (!l)
		return -1;
	l->loop = loop_new();
	l->relay = derp_relay_start(l->loop, l->dir);
	for (size_t i = 0; i < 3; i++) {
		derp_peer_start(&l->peer[i], l->loop, l->relay, true);
		(void)derp_peer_wait(&l->peer[i], DERP_SERVER_INFO, 1);
	}
	*state = l;
	return 0;
}

static int lab_close(void **state)
{
	struct lab *l = *state;
	for (size_t i = 0; i < 3; i++)
		derp_peer_stop(&l->peer[i]);
	derp_relay_stop(l->relay, l->dir);
	loop_free(l->loop);
	buf_free(&l->bytes);
	free(l);
	return 0;
}

/* len bytes of data, told apart by who they are for and which one they are. */
static void add(struct lab *l, const struct node_key *to, size_t which, size_t len)
{
	uint8_t head[DERP_HEADER + KEY_LEN], data[SIZE];
	struct wr w = wr_of(head, sizeof(head));
	derp_packet_header_write(&w, DERP_SEND_PACKET, to, len);
	memset(data, (int)which, sizeof(data));
	if (which < 3) {
		data[1] = (uint8_t)l->sent[which];
		data[2] = (uint8_t)(l->sent[which]++ >> 8);
	}
	assert_true(buf_append(&l->bytes, head, w.len) && buf_append(&l->bytes, data, len));
}

static void add_some(struct lab *l, size_t n, size_t which, size_t len)
{
	for (size_t i = 0; i < n; i++)
		add(l, &l->peer[which].pub, which, len);
}

/* Long and short runs, one after the other and by turns, and between them what is no packet, and packets for nobody. */
static void mix(struct lab *l)
{
	const struct node_key nobody = { .b = { 9 } };
	uint8_t ping[DERP_HEADER + 8] = { DERP_PING, 0, 0, 0, 8, 'p', 'i', 'n', 'g' };
	uint8_t unknown[DERP_HEADER + 3] = { 0x7e, 0, 0, 0, 3 };
	add_some(l, 30, 1, SIZE);
	add_some(l, 1, 2, 40);
	add_some(l, 2, 1, 60);
	for (int i = 0; i < 10; i++) {
		add_some(l, 1, 1, 100);
		add_some(l, 1, 2, 100);
	}
	assert_true(buf_append(&l->bytes, ping, sizeof(ping)));
	add_some(l, 60, 2, SIZE);
	add(l, &nobody, 7, 50);
	add_some(l, 3, 0, 80);
	assert_true(buf_append(&l->bytes, unknown, sizeof(unknown)));
	add_some(l, 20, 1, SIZE);
	add(l, &nobody, 7, SIZE);
	add_some(l, 1, 2, 30);
}

static void check(struct lab *l)
{
	const struct relay_stats *st = relay_stats(l->relay);
	for (size_t i = 0; i < 3; i++) {
		const struct derp_peer *p = &l->peer[i];
		size_t n = 0;
		if (l->sent[i])
			(void)derp_peer_wait(&l->peer[i], DERP_RECV_PACKET, l->sent[i]);
		for (size_t k = 0; k < p->n_frames; k++) {
			const struct peer_frame *f = &p->frames[k];
			if (f->type != DERP_RECV_PACKET)
				continue;
			assert_memory_equal(f->who.b, l->peer[0].pub.b, KEY_LEN);
			assert_int_equal(f->head[0], i);
			assert_int_equal(f->head[1] | f->head[2] << 8, n++);
		}
		assert_int_equal(n, l->sent[i]);
	}
	(void)derp_peer_wait(&l->peer[0], DERP_PONG, 1);
	assert_int_equal(st->packets, l->sent[0] + l->sent[1] + l->sent[2]);
	assert_int_equal(st->bytes, l->peer[0].bytes + l->peer[1].bytes + l->peer[2].bytes);
	assert_int_equal(st->drop_no_peer, 2);
	assert_int_equal(st->drop_queue_full + st->drop_queue_old + st->drop_malformed, 0);
}

static void test_at_once(void **state)
{
	struct lab *l = *state;
	mix(l);
	assert_int_equal(stream_write(l->peer[0].stream, buf_data(&l->bytes), l->bytes.len), 0);
	check(l);
}

static void test_cut(void **state)
{
	static const size_t pieces[] = { 1, 4, 5, 36, 37, 1241, 1242, 1243, 7000, 16384, 33 };
	struct lab *l = *state;
	mix(l);
	for (size_t at = 0, i = 0; at < l->bytes.len; i++) {
		size_t n = pieces[i % ARRAY_LEN(pieces)];
		n = n < l->bytes.len - at ? n : l->bytes.len - at;
		assert_int_equal(stream_write(l->peer[0].stream, buf_data(&l->bytes) + at, n), 0);
		at += n;
		loop_run_once(l->loop);
	}
	check(l);
}

/* What stands before a frame that breaks the rules has been sent, and arrives. */
static void test_before_malformed(void **state)
{
	struct lab *l = *state;
	uint8_t bad[DERP_HEADER + 3] = { DERP_SEND_PACKET, 0, 0, 0, 3 };
	add_some(l, 20, 1, SIZE);
	assert_true(buf_append(&l->bytes, bad, sizeof(bad)));
	add_some(l, 1, 2, SIZE);
	assert_int_equal(stream_write(l->peer[0].stream, buf_data(&l->bytes), l->bytes.len), 0);
	(void)derp_peer_wait(&l->peer[1], DERP_RECV_PACKET, 20);
	while (!l->peer[0].closed)
		loop_run_once(l->loop);
	assert_int_equal(derp_peer_count(&l->peer[2], DERP_RECV_PACKET), 0);
	assert_int_equal(relay_stats(l->relay)->drop_malformed, 1);
}

/* For one that does not read they wait one by one. */
static void test_behind(void **state)
{
	struct lab *l = *state;
	int small = 8 << 10;
	setsockopt(stream_fd(l->peer[1].stream), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	stream_pause(l->peer[1].stream, true);
	add_some(l, 40, 1, SIZE);
	const struct relay_stats *st = relay_stats(l->relay);
	for (size_t sent = 0; !st->drop_queue_full; loop_run_once(l->loop)) {
		assert_true(sent++ < 1000);
		if (!stream_queued(l->peer[0].stream))
			assert_int_equal(
				stream_write(l->peer[0].stream, buf_data(&l->bytes), l->bytes.len), 0);
	}
	/* A whole run is lost to a queue as the packets that it is. */
	stream_pause(l->peer[1].stream, false);
	(void)derp_peer_wait(&l->peer[1], DERP_RECV_PACKET, 40);
	for (size_t k = 0; k < l->peer[1].n_frames; k++)
		if (l->peer[1].frames[k].type == DERP_RECV_PACKET)
			assert_int_equal(l->peer[1].frames[k].len, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_at_once, lab_open, lab_close),
		cmocka_unit_test_setup_teardown(test_cut, lab_open, lab_close),
		cmocka_unit_test_setup_teardown(test_before_malformed, lab_open, lab_close),
		cmocka_unit_test_setup_teardown(test_behind, lab_open, lab_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
