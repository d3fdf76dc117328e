/* What clients send each other, and what becomes of those that do not read. */
#include "mesh/base/key.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/proto/derp_queue.h"
#include "mesh/proto/disco.h"
#include "mesh/relay/test/relay_lab.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* A disco packet in form; the relay looks at the magic alone. */
static size_t disco_packet(uint8_t out[static 128])
{
	static const uint8_t magic[] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };
	memset(out, 7, 128);
	memcpy(out, magic, sizeof(magic));
	assert_true(disco_is(out, 128));
	return 128;
}

static void test_packets(void **state)
{
	struct relay_lab *l = *state;
	uint8_t *big = calloc(1, DERP_PACKET_MAX);
	assert_non_null(big);
	relay_lab_join(l, l->a, false);
	relay_lab_join(l, l->b, true);
	assert_int_equal(l->a->status, 101);
	assert_string_equal(l->a->version, "2");
	char hex[2 * KEY_LEN + 1];
	assert_string_equal(l->a->public_hex, hex_encode(l->b->server, KEY_LEN, hex));

	derp_peer_send(l->a, &l->b->pub, "hello", 5);
	const struct peer_frame *f = derp_peer_wait(l->b, DERP_RECV_PACKET, 1);
	assert_memory_equal(f->head, "hello", 5);
	assert_int_equal(f->len, 5);
	assert_memory_equal(f->who.b, l->a->pub.b, KEY_LEN);
	derp_peer_send(l->b, &l->a->pub, big, DERP_PACKET_MAX);
	f = derp_peer_wait(l->a, DERP_RECV_PACKET, 1);
	assert_int_equal(f->len, DERP_PACKET_MAX);
	/* To itself, and empty. */
	derp_peer_send(l->a, &l->a->pub, "", 0);
	f = derp_peer_wait(l->a, DERP_RECV_PACKET, 2);
	assert_int_equal(f->len, 0);

	derp_peer_frame(l->a, DERP_PING, "12345678", 8);
	f = derp_peer_wait(l->a, DERP_PONG, 1);
	assert_memory_equal(f->head, "12345678", 8);
	/* Unknown frames are passed over. */
	derp_peer_frame(l->a, 0x77, "later", 5);
	derp_peer_frame(l->a, DERP_NOTE_PREFERRED, "\1", 1);
	derp_peer_frame(l->a, DERP_PING, "abcdefgh", 8);
	(void)derp_peer_wait(l->a, DERP_PONG, 2);
	assert_int_equal(relay_stats(l->relay)->packets, 3);
	assert_int_equal(relay_stats(l->relay)->clients, 2);
	free(big);
}

/* Many frames in one write, and one frame a byte at a time. */
static void test_framing(void **state)
{
	struct relay_lab *l = *state;
	struct buf out = { 0 };
	uint8_t head[DERP_HEADER + KEY_LEN];
	relay_lab_join(l, l->a, true);
	relay_lab_join(l, l->b, true);
	for (int i = 0; i < 60; i++) {
		struct wr w = wr_of(head, sizeof(head));
		derp_packet_header_write(&w, DERP_SEND_PACKET, &l->b->pub, 1200);
		buf_append(&out, head, w.len);
		memset(buf_room(&out, 1200), i, 1200);
		buf_grown(&out, 1200);
	}
	assert_int_equal(stream_write(l->a->stream, buf_data(&out), out.len), 0);
	(void)derp_peer_wait(l->b, DERP_RECV_PACKET, 60);
	size_t seen = 0;
	for (size_t i = 0; i < l->b->n_frames; i++)
		if (l->b->frames[i].type == DERP_RECV_PACKET)
			assert_int_equal(l->b->frames[i].head[0], seen++);
	for (size_t i = 0; i < 1237; i++) {
		assert_int_equal(stream_write(l->a->stream, buf_data(&out) + i, 1), 0);
		loop_run_once(l->loop);
	}
	(void)derp_peer_wait(l->b, DERP_RECV_PACKET, 61);
	buf_free(&out);
}

static void test_peer_gone(void **state)
{
	struct relay_lab *l = *state;
	uint8_t disco[128];
	struct node_key nobody = { { 1 } };
	relay_lab_join(l, l->a, true);
	relay_lab_join(l, l->b, true);
	/* Nobody there: told for disco alone, three times in a second. */
	derp_peer_send(l->a, &nobody, "data", 4);
	for (int i = 0; i < 6; i++)
		derp_peer_send(l->a, &nobody, disco, disco_packet(disco));
	derp_peer_frame(l->a, DERP_PING, "12345678", 8);
	(void)derp_peer_wait(l->a, DERP_PONG, 1);
	size_t n = derp_peer_count(l->a, DERP_PEER_GONE);
	assert_true(n >= 3 && n <= 6); /* a second may have passed in between */
	assert_int_equal(l->a->frames[l->a->n_frames - 2].reason, DERP_GONE_NOT_HERE);
	assert_memory_equal(l->a->frames[l->a->n_frames - 2].who.b, nobody.b, KEY_LEN);
	assert_int_equal(relay_stats(l->relay)->drop_no_peer, 7);
	/* Who was written to hears of the end. */
	derp_peer_send(l->a, &l->b->pub, "hi", 2);
	(void)derp_peer_wait(l->b, DERP_RECV_PACKET, 1);
	derp_peer_stop(l->a);
	const struct peer_frame *f = derp_peer_wait(l->b, DERP_PEER_GONE, 1);
	assert_int_equal(f->reason, DERP_GONE_DISCONNECTED);
	assert_memory_equal(f->who.b, l->a->pub.b, KEY_LEN);
}

/* Two connections of one key: both stay, the one active last receives, and a peer hears of no end while one
 * lives. */
static void test_duplicates(void **state)
{
	struct relay_lab *l = *state;
	struct derp_peer *twin = relay_lab_peer();
	relay_lab_join(l, l->a, true);
	relay_lab_join(l, l->b, true);
	twin->priv = l->b->priv;
	relay_lab_join(l, twin, true);
	derp_peer_send(l->a, &twin->pub, "one", 3);
	(void)derp_peer_wait(twin, DERP_RECV_PACKET, 1);
	assert_int_equal(derp_peer_count(l->b, DERP_RECV_PACKET), 0);
	derp_peer_send(l->b, &l->a->pub, "me", 2); /* active */
	(void)derp_peer_wait(l->a, DERP_RECV_PACKET, 1);
	derp_peer_send(l->a, &twin->pub, "two", 3);
	(void)derp_peer_wait(l->b, DERP_RECV_PACKET, 1);
	assert_int_equal(derp_peer_count(twin, DERP_RECV_PACKET), 1);
	derp_peer_stop(l->b);
	while (relay_stats(l->relay)->clients > 2)
		loop_run_once(l->loop);
	derp_peer_send(l->a, &twin->pub, "three", 5);
	(void)derp_peer_wait(twin, DERP_RECV_PACKET, 2);
	assert_int_equal(derp_peer_count(l->a, DERP_PEER_GONE), 0);
	derp_peer_stop(twin);
	free(twin);
	while (relay_stats(l->relay)->clients > 1)
		loop_run_once(l->loop);
	derp_peer_send(l->a, &l->b->pub, "none", 4);
	while (relay_stats(l->relay)->drop_no_peer < 1)
		loop_run_once(l->loop);
}

/* Until this relay has lost frames for it, or it. */
static void flood_paused(
	struct relay_lab *l, struct derp_peer *from, struct derp_peer *to, const struct relay *r)
{
	static const uint8_t packet[1400];
	stream_pause(to->stream, true);
	const struct relay_stats *st = relay_stats(r);
	for (size_t sent = 0; !st->drop_queue_full && !st->drop_stalled; loop_run_once(l->loop)) {
		for (int i = 0; i < 10 && stream_queued(from->stream) < 1 << 20; i++, sent++)
			derp_peer_send(from, &to->pub, packet, sizeof(packet));
		assert_true(sent < 10000);
	}
}

/* A reader that stops reading loses its own packets; others go on at once. What waits for it waits in the queue: neither the kernel
 * nor the stream takes much. */
static void test_slow_reader(void **state)
{
	struct relay_lab *l = *state;
	struct derp_peer *c = relay_lab_peer();
	relay_lab_join(l, l->a, true);
	relay_lab_join(l, l->b, true);
	relay_lab_join(l, c, true);
	int small = 8 << 10;
	setsockopt(stream_fd(l->b->stream), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	flood_paused(l, l->a, l->b, l->relay);
	assert_in_range(relay_stats(l->relay)->bytes, DERP_QUEUE_BYTES_MAX, 2 * DERP_QUEUE_BYTES_MAX);
	derp_peer_send(l->a, &c->pub, "quick", 5);
	(void)derp_peer_wait(c, DERP_RECV_PACKET, 1);
	stream_pause(l->b->stream, false);
	(void)derp_peer_wait(l->b, DERP_RECV_PACKET, 1);
	derp_peer_stop(c);
	free(c);
}

/* What waited for longer than an interval is not sent; what a line takes at once is. */
static void test_old(void **state)
{
	enum { WAIT_MS = 2 * DERP_QUEUE_INTERVAL_US / 1000 };
	struct relay_lab *l = *state;
	struct relay_options o = { .listen = { .ip = addr_v4(0x7f000001) },
		.hostname = "relay.test",
		.state_dir = l->dir,
		.write_ms = 60000 };
	struct relay *r = relay_open(l->loop, &o, NULL);
	assert_non_null(r);
	derp_peer_start(l->a, l->loop, r, true);
	derp_peer_start(l->b, l->loop, r, true);
	(void)derp_peer_wait(l->a, DERP_SERVER_INFO, 1);
	(void)derp_peer_wait(l->b, DERP_SERVER_INFO, 1);
	flood_paused(l, l->a, l->b, r);
	derp_peer_pass_ms(l->loop, WAIT_MS);
	const struct relay_stats *st = relay_stats(r);
	uint64_t old = st->drop_queue_old;
	stream_pause(l->b->stream, false);
	while (st->drop_queue_old == old)
		loop_run_once(l->loop);
	(void)derp_peer_wait(l->b, DERP_RECV_PACKET, st->packets - st->drop_queue_full - st->drop_queue_old);
	derp_peer_stop(l->a);
	derp_peer_stop(l->b);
	relay_close(r);
}

/* Pings of one that does not read: one pong waits, and what others sent it stays. */
static void test_pings(void **state)
{
	struct relay_lab *l = *state;
	relay_lab_join(l, l->a, true);
	relay_lab_join(l, l->b, true);
	flood_paused(l, l->a, l->b, l->relay);
	uint64_t lost = relay_stats(l->relay)->drop_queue_full;
	for (int i = 0; i < 200; i++)
		derp_peer_frame(l->b, DERP_PING, "12345678", 8);
	while (relay_stats(l->relay)->drop_ping < 199)
		loop_run_once(l->loop);
	assert_int_equal(relay_stats(l->relay)->drop_ping, 199);
	assert_in_range(relay_stats(l->relay)->drop_queue_full - lost, 0, DERP_QUEUE_DATA_MAX);
	stream_pause(l->b->stream, false);
	(void)derp_peer_wait(l->b, DERP_PONG, 1);
	derp_peer_frame(l->b, DERP_PING, "12345678", 8);
	(void)derp_peer_wait(l->b, DERP_PONG, 2);
}

/* Who takes nothing for the time of a write goes, and whom it wrote to hears of it. */
static void test_stalled(void **state)
{
	struct relay_lab *l = *state;
	struct relay_options o = { .listen = { .ip = addr_v4(0x7f000001) },
		.hostname = "relay.test",
		.state_dir = l->dir,
		.write_ms = 50 };
	struct relay *r = relay_open(l->loop, &o, NULL);
	assert_non_null(r);
	derp_peer_start(l->a, l->loop, r, true);
	derp_peer_start(l->b, l->loop, r, true);
	(void)derp_peer_wait(l->a, DERP_SERVER_INFO, 1);
	(void)derp_peer_wait(l->b, DERP_SERVER_INFO, 1);
	derp_peer_send(l->b, &l->a->pub, "hi", 2);
	(void)derp_peer_wait(l->a, DERP_RECV_PACKET, 1);
	flood_paused(l, l->a, l->b, r);
	const struct peer_frame *f = derp_peer_wait(l->a, DERP_PEER_GONE, 1);
	assert_memory_equal(f->who.b, l->b->pub.b, KEY_LEN);
	assert_int_equal(relay_stats(r)->drop_stalled, 1);
	assert_int_equal(relay_stats(r)->clients, 1);
	derp_peer_stop(l->a);
	derp_peer_stop(l->b);
	relay_close(r);
}

/* Key and pin stay over a restart; what cannot work says why. */
static void test_start(void **state)
{
	struct relay_lab *l = *state;
	struct errbuf eb = { 0 };
	char path[96], pin[80], ip[ADDR_TEXT];
	struct stat st;
	struct relay_options o = {
		.listen = relay_listen_at(l->relay), .hostname = "relay.test", .state_dir = l->dir
	};
	assert_null(relay_open(l->loop, &o, &eb));
	assert_int_equal(eb.code, -EADDRINUSE);
	assert_non_null(strstr(eb.text, addr_format(&o.listen.ip, ip)));
	snprintf(path, sizeof(path), "%s/relay.key", l->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	snprintf(pin, sizeof(pin), "%s", relay_pin(l->relay));
	o.listen.port = 0;
	struct relay *again = relay_open(l->loop, &o, &eb);
	assert_non_null(again);
	assert_string_equal(relay_pin(again), pin);
	relay_close(again);
	relay_close(NULL);

	assert_int_equal(file_write_atomic(path, 0600, "privkey:12", 10, NULL), 0);
	assert_null(relay_open(l->loop, &o, &eb));
	assert_non_null(strstr(eb.text, "damaged"));
	char zero[KEY_TEXT] = "privkey:";
	memset(zero + 8, '0', 64);
	assert_int_equal(file_write_atomic(path, 0600, zero, 72, NULL), 0);
	assert_null(relay_open(l->loop, &o, &eb)); /* everybody knows this one */
	assert_non_null(strstr(eb.text, "damaged"));
	zero[8] = '1';
	assert_int_equal(file_write_atomic(path, 0644, zero, 72, NULL), 0);
	assert_null(relay_open(l->loop, &o, &eb));
	assert_non_null(strstr(eb.text, "mode 0644"));
	o.state_dir = "/proc/none";
	assert_null(relay_open(l->loop, &o, &eb));
	o.state_dir = l->dir;
	unlink(path);
	o.cert_file = o.key_file = "/nonexistent";
	assert_null(relay_open(l->loop, &o, &eb));
	assert_non_null(strstr(eb.text, "/nonexistent"));
}

/* A new certificate while clients are connected: they stay, others see it; a bad one changes nothing. */
static void test_reload(void **state)
{
	struct relay_lab *l = *state;
	struct errbuf eb = { 0 };
	char cert[96], key[96], pin[80];
	snprintf(cert, sizeof(cert), "%s/relay.crt", l->dir);
	snprintf(key, sizeof(key), "%s/relay.pem", l->dir);
	relay_lab_join(l, l->a, true);
	snprintf(pin, sizeof(pin), "%s", relay_pin(l->relay));
	assert_int_equal(file_write_atomic(cert, 0600, "x", 1, NULL), 0);
	assert_true(relay_reload(l->relay, &eb) < 0);
	assert_non_null(strstr(eb.text, cert));
	assert_string_equal(relay_pin(l->relay), pin);
	unlink(cert);
	unlink(key);
	assert_int_equal(relay_reload(l->relay, &eb), 0);
	assert_string_not_equal(relay_pin(l->relay), pin);
	relay_lab_join(l, l->b, true); /* by the new pin */
	derp_peer_send(l->a, &l->b->pub, "still here", 10);
	(void)derp_peer_wait(l->b, DERP_RECV_PACKET, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, relay_lab_setup, relay_lab_teardown)
	const struct CMUnitTest tests[] = {
		T(test_packets),
		T(test_framing),
		T(test_peer_gone),
		T(test_duplicates),
		T(test_slow_reader),
		T(test_old),
		T(test_pings),
		T(test_stalled),
		T(test_start),
		T(test_reload),
	};
#undef T
	return key_setup() ? cmocka_run_group_tests_name("relay", tests, NULL, NULL) : 1;
}
