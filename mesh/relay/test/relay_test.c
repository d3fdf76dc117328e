#include "mesh/base/key.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/proto/derp_queue.h"
#include "mesh/proto/disco.h"
#include "mesh/proto/stun.h"
#include "mesh/relay/places.h"
#include "mesh/relay/test/derp_peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct lab {
	struct loop *loop;
	struct relay *relay;
	char dir[64];
	struct derp_peer *a, *b;
};

static struct derp_peer *peer_new(void)
{
	struct derp_peer *p = calloc(1, sizeof(*p));
	assert_non_null(p);
	return p;
}

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	assert_non_null(l);
	l->loop = loop_new();
	l->relay = derp_relay_start(l->loop, l->dir);
	l->a = peer_new();
	l->b = peer_new();
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;
	derp_peer_stop(l->a);
	derp_peer_stop(l->b);
	derp_relay_stop(l->relay, l->dir);
	loop_free(l->loop);
	free(l->a);
	free(l->b);
	free(l);
	return 0;
}

static void join(struct lab *l, struct derp_peer *p, bool fast)
{
	derp_peer_start(p, l->loop, l->relay, fast);
	(void)derp_peer_wait(p, DERP_SERVER_INFO, 1);
}

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
	struct lab *l = *state;
	uint8_t *big = calloc(1, DERP_PACKET_MAX);
	assert_non_null(big);
	join(l, l->a, false);
	join(l, l->b, true);
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
	struct lab *l = *state;
	struct buf out = { 0 };
	uint8_t head[DERP_HEADER + KEY_LEN];
	join(l, l->a, true);
	join(l, l->b, true);
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
	struct lab *l = *state;
	uint8_t disco[128];
	struct node_key nobody = { { 1 } };
	join(l, l->a, true);
	join(l, l->b, true);
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
	struct lab *l = *state;
	struct derp_peer *twin = peer_new();
	join(l, l->a, true);
	join(l, l->b, true);
	twin->priv = l->b->priv;
	join(l, twin, true);
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
static void flood_paused(struct lab *l, struct derp_peer *from, struct derp_peer *to, const struct relay *r)
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
	struct lab *l = *state;
	struct derp_peer *c = peer_new();
	join(l, l->a, true);
	join(l, l->b, true);
	join(l, c, true);
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
	struct lab *l = *state;
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
	struct lab *l = *state;
	join(l, l->a, true);
	join(l, l->b, true);
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
	struct lab *l = *state;
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

/* --------------------------------------------------------------------------------------------- strangers and
 * errors */

static void test_bad_clients(void **state)
{
	static const struct {
		uint8_t type;
		size_t len;
	} rows[] = {
		{ DERP_SEND_PACKET, 40 },	  /* before the handshake */
		{ DERP_CLIENT_INFO, 100 },	  /* a box that does not open */
		{ DERP_CLIENT_INFO, 10 },	  /* too short */
		{ DERP_CLIENT_INFO, 20 * 1024 },  /* too long */
		{ DERP_CLIENT_INFO, 300 * 1024 }, /* too long for the protocol */
	};
	struct lab *l = *state;
	uint8_t *junk = calloc(1, 300 * 1024);
	assert_non_null(junk);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct derp_peer *p = peer_new();
		p->mute = true;
		derp_peer_start(p, l->loop, l->relay, true);
		(void)derp_peer_wait(p, DERP_SERVER_KEY, 1);
		derp_peer_frame(p, rows[i].type, junk, rows[i].len);
		while (!p->closed)
			loop_run_once(l->loop);
		derp_peer_stop(p);
		free(p);
		assert_int_equal(relay_stats(l->relay)->drop_handshake, i + 1);
	}
	free(junk);
}

/* After a good handshake. */
static void test_bad_frames(void **state)
{
	static const struct {
		uint8_t type;
		size_t len;
		size_t counter; /* of relay_stats */
	} rows[] = {
#define AT(x) offsetof(struct relay_stats, x)
		{ DERP_SEND_PACKET, 0, AT(drop_malformed) },
		{ DERP_SEND_PACKET, KEY_LEN - 1, AT(drop_malformed) },
		{ DERP_SEND_PACKET, KEY_LEN + DERP_PACKET_MAX + 1, AT(drop_malformed) },
		{ DERP_PING, 7, AT(drop_malformed) },
		{ 0x50, 200 * 1024, AT(drop_malformed) }, /* unknown, and larger than anything known */
		{ DERP_FORWARD_PACKET, 64 + 5, AT(drop_mesh) },
		{ DERP_WATCH_CONNS, 0, AT(drop_mesh) },
		{ DERP_CLOSE_PEER, KEY_LEN, AT(drop_mesh) },
#undef AT
	};
	struct lab *l = *state;
	uint8_t *junk = calloc(1, 200 * 1024);
	assert_non_null(junk);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const uint64_t *n = (const void *)((const char *)relay_stats(l->relay) + rows[i].counter);
		uint64_t before = *n;
		struct derp_peer *p = peer_new();
		join(l, p, true);
		derp_peer_frame(p, rows[i].type, junk, rows[i].len);
		while (!p->closed)
			loop_run_once(l->loop);
		if (*n != before + 1 || relay_stats(l->relay)->clients)
			fail_msg("row %zu: counted %llu", i, (unsigned long long)(*n - before));
		derp_peer_stop(p);
		free(p);
	}
	free(junk);
}

struct answer {
	bool done;
	int status;
	char header[80], body[80];
};

static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct answer *a = arg;
	const char *h = http_header(head, "X-Tailscale-Response");
	if (!h)
		h = http_header(head, "Access-Control-Allow-Origin");
	a->done = true;
	a->status = head->status;
	snprintf(a->header, sizeof(a->header), "%s", h ? h : "");
	snprintf(a->body, sizeof(a->body), "%.*s", (int)len, (const char *)body);
}

static void failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d %s", code, why);
}

static void test_probes(void **state)
{
	static const struct {
		const char *method, *target, *extra;
		int status;
		const char *header, *body;
	} rows[] = {
		{ "GET", "/derp/probe", NULL, 200, "*", "" },
		{ "HEAD", "/derp/latency-check", NULL, 200, "*", "" },
		{ "GET", "/generate_204", "X-Tailscale-Challenge: ts_host-1.a\r\n", 204,
			"response ts_host-1.a", "" },
		{ "GET", "/generate_204", "X-Tailscale-Challenge: <script>\r\n", 204, "", "" },
		{ "GET", "/robots.txt", NULL, 200, "", "Disallow: /" },
		{ "GET", "/", NULL, 200, "", "DERP" },
		{ "GET", "/derp", NULL, 426, "", "" },
		{ "GET", "/nothing", NULL, 404, "", "" },
		{ "POST", "/", NULL, 405, "", "" },
		{ "POST", "/derp", "Upgrade: DERP\r\nConnection: Upgrade\r\nContent-Length: 0\r\n", 405, "",
			"" },
	};
	struct lab *l = *state;
	struct endpoint at = relay_listen_at(l->relay);
	struct tls *tls = tls_client(relay_pin(l->relay), NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer a = { 0 };
		struct http_request rq = { .to = { .host = "relay.test", .at = &at, .tls = tls },
			.method = rows[i].method,
			.target = rows[i].target,
			.host = "relay.test",
			.extra = rows[i].extra };
		struct http_client_events ev = { .done = done, .failed = failed, .arg = &a };
		assert_non_null(http_request(l->loop, &rq, &ev));
		while (!a.done)
			loop_run_once(l->loop);
		if (a.status != rows[i].status || strcmp(a.header, rows[i].header) != 0 ||
			!strstr(a.body, rows[i].body))
			fail_msg("row %zu: %d %s %s", i, a.status, a.header, a.body);
	}
	tls_free(tls);
	assert_int_equal(relay_stats(l->relay)->drop_no_request, 0);
	/* Somebody who speaks no TLS. */
	int fd = derp_peer_knock(l->relay);
	assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	while (!relay_stats(l->relay)->drop_no_request)
		loop_run_once(l->loop);
	close(fd);
}

/* Connections that say nothing: the oldest goes for the next, and a client gets through. */
static void test_crowd(void **state)
{
	enum { MAX = 3 };
	struct lab *l = *state;
	struct relay_options o = { .listen = { .ip = addr_v4(0x7f000001) },
		.hostname = "relay.test",
		.state_dir = l->dir,
		.visits_max = MAX,
		.visit_ms = 1 };
	struct relay *r = relay_open(l->loop, &o, NULL);
	int fd[MAX + 1];
	char c;
	assert_non_null(r);
	for (size_t i = 0; i <= MAX; i++) {
		fd[i] = derp_peer_knock(r);
		while (relay_stats(r)->accepted <= i)
			loop_run_once(l->loop);
	}
	assert_int_equal(relay_stats(r)->drop_crowded, 1);
	assert_true(recv(fd[0], &c, 1, 0) <= 0);
	assert_int_equal(recv(fd[1], &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	derp_peer_start(l->a, l->loop, r, true);
	(void)derp_peer_wait(l->a, DERP_SERVER_INFO, 1);
	assert_int_equal(relay_stats(r)->drop_crowded, 2);
	/* One that upgrades and then says nothing is no better. The client is none of them any more. */
	l->b->mute = true;
	derp_peer_start(l->b, l->loop, r, true);
	(void)derp_peer_wait(l->b, DERP_SERVER_KEY, 1);
	for (size_t i = 0; i < MAX; i++) {
		close(fd[i]);
		fd[i] = derp_peer_knock(r);
		while (relay_stats(r)->accepted <= MAX + 3 + i)
			loop_run_once(l->loop);
	}
	while (!l->b->closed)
		loop_run_once(l->loop);
	assert_int_equal(relay_stats(r)->drop_crowded, 2 + MAX);
	assert_int_equal(relay_stats(r)->drop_handshake, 0);
	derp_peer_frame(l->a, DERP_PING, "12345678", 8);
	(void)derp_peer_wait(l->a, DERP_PONG, 1);
	derp_peer_stop(l->a);
	derp_peer_stop(l->b);
	relay_close(r); /* with visitors inside */
	for (size_t i = 0; i <= MAX; i++)
		close(fd[i]);
}

/* One address has its share and no more; who never had a packet goes first, and one that is idle goes for the
 * next. Each is a client with a key of its own. */
static void test_one_address(void **state)
{
	enum { SHARE = 4 };
	struct lab *l = *state;
	struct relay_options o = { .listen = { .ip = addr_v4(0x7f000001) },
		.hostname = "relay.test",
		.state_dir = l->dir,
		.per_address = SHARE };
	struct relay *r = relay_open(l->loop, &o, NULL);
	struct derp_peer *peers = calloc(SHARE + 1, sizeof(*peers));
	assert_non_null(r);
	for (size_t i = 0; i < SHARE; i++) {
		key_generate(&random_system, peers[i].priv.b);
		derp_peer_start(&peers[i], l->loop, r, true);
		(void)derp_peer_wait(&peers[i], DERP_SERVER_INFO, 1);
	}
	derp_peer_send(&peers[0], &peers[1].pub, "x", 1);
	(void)derp_peer_wait(&peers[1], DERP_RECV_PACKET, 1);
	assert_int_equal(relay_stats(r)->drop_crowded, 0);
	int fd = derp_peer_knock(r); /* all are young or had a packet */
	while (!relay_stats(r)->drop_crowded)
		loop_run_once(l->loop);
	close(fd);
	assert_int_equal(relay_stats(r)->clients, SHARE);
	derp_peer_pass_ms(l->loop, PLACES_STRANGER_IDLE_MS);
	derp_peer_start(&peers[SHARE], l->loop, r, true);
	(void)derp_peer_wait(&peers[SHARE], DERP_SERVER_INFO, 1);
	while (!peers[2].closed)
		loop_run_once(l->loop);
	assert_int_equal(relay_stats(r)->drop_crowded, 2);
	assert_false(peers[0].closed || peers[1].closed || peers[3].closed);
	for (size_t i = 0; i <= SHARE; i++)
		derp_peer_stop(&peers[i]);
	free(peers);
	relay_close(r);
}

static void stun_burst(struct lab *l, size_t i)
{
	struct endpoint at = relay_stun_at(l->relay, i), us, seen, any = { .ip = addr_v4(0x7f000001) };
	uint8_t tx[STUN_TX] = { 1, 2, 3 }, rq[STUN_REQUEST], in[256], got[STUN_TX];
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, false, &ss);
	int fd = sock_udp(&any, NULL);
	uint64_t before = relay_stats(l->relay)->stun_requests;
	assert_true(fd >= 0);
	assert_int_equal(sock_local(fd, &us), 0);
	stun_request_write(tx, rq);
	assert_int_equal(sendto(fd, "junk", 4, 0, (struct sockaddr *)&ss, n), 4);
	for (int k = 0; k < 70; k++)
		assert_int_equal(sendto(fd, rq, sizeof(rq), 0, (struct sockaddr *)&ss, n), sizeof(rq));
	while (relay_stats(l->relay)->stun_requests < before + 70)
		loop_run_once(l->loop);
	for (int k = 0; k < 70; k++) {
		ssize_t len = recv(fd, in, sizeof(in), 0);
		assert_true(len > 0 && stun_reply_read(in, (size_t)len, got, &seen));
		assert_memory_equal(got, tx, STUN_TX);
		assert_true(endpoint_equal(&seen, &us));
	}
	close(fd);
}

/* On a machine of several addresses the answer comes from the one that was asked. */
static void test_stun_source(void **state)
{
	static const char *const listen[] = { "0.0.0.0:0", "[::]:0" };
	struct lab *l = *state;
	struct relay_options o = { .listen = { .ip = addr_v4(0x7f000001) },
		.hostname = "relay.test",
		.state_dir = l->dir,
		.n_stun = 1 };
	for (size_t i = 0; i < ARRAY_LEN(listen); i++) {
		uint8_t tx[STUN_TX] = { 1 }, rq[STUN_REQUEST], in[256];
		struct endpoint from, any = { .ip = addr_v4(0x7f000001) };
		struct sockaddr_storage ss, back;
		socklen_t back_len = sizeof(back);
		assert_true(endpoint_parse(listen[i], &o.stun[0]));
		struct relay *r = relay_open(l->loop, &o, NULL);
		assert_non_null(r);
		struct endpoint at = relay_stun_at(r, 0);
		at.ip = addr_v4(0x7f000002);
		socklen_t n = endpoint_to_sockaddr(&at, false, &ss);
		int fd = sock_udp(&any, NULL);
		stun_request_write(tx, rq);
		assert_int_equal(sendto(fd, rq, sizeof(rq), 0, (struct sockaddr *)&ss, n), sizeof(rq));
		while (!relay_stats(r)->stun_requests)
			loop_run_once(l->loop);
		assert_true(recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&back, &back_len) > 0);
		assert_true(endpoint_from_sockaddr((struct sockaddr *)&back, &from));
		assert_true(endpoint_equal(&from, &at));
		close(fd);
		relay_close(r);
	}
}

/* A bare request is answered, and not so often that a flood of them would be worth sending. */
static void test_stun_limit(void **state)
{
	struct lab *l = *state;
	const struct relay_stats *st = relay_stats(l->relay);
	uint8_t rq[20] = { 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1 }, in[256], tx[STUN_TX];
	struct endpoint at = relay_stun_at(l->relay, 0), any = { .ip = addr_v4(0x7f000001) }, seen;
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, false, &ss);
	int fd = sock_udp(&any, NULL);
	for (int i = 0; i < 2000 && !st->stun_limited; i++) {
		assert_int_equal(sendto(fd, rq, sizeof(rq), 0, (struct sockaddr *)&ss, n), sizeof(rq));
		loop_run_once(l->loop);
	}
	assert_int_equal(st->stun_limited, 1);
	ssize_t len = recv(fd, in, sizeof(in), 0);
	assert_true(len > 0 && stun_reply_read(in, (size_t)len, tx, &seen));
	close(fd);
	stun_burst(l, 0); /* those of nodes are no less answered */
}

static void test_stun(void **state)
{
	struct lab *l = *state;
	struct endpoint none = relay_stun_at(l->relay, 2);
	assert_false(endpoint_is_set(&none));
	stun_burst(l, 0);
	stun_burst(l, 1);
	assert_int_equal(relay_stats(l->relay)->stun_malformed, 2);
}

/* Key and pin stay over a restart; what cannot work says why. */
static void test_start(void **state)
{
	struct lab *l = *state;
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
	struct lab *l = *state;
	struct errbuf eb = { 0 };
	char cert[96], key[96], pin[80];
	snprintf(cert, sizeof(cert), "%s/relay.crt", l->dir);
	snprintf(key, sizeof(key), "%s/relay.pem", l->dir);
	join(l, l->a, true);
	snprintf(pin, sizeof(pin), "%s", relay_pin(l->relay));
	assert_int_equal(file_write_atomic(cert, 0600, "x", 1, NULL), 0);
	assert_true(relay_reload(l->relay, &eb) < 0);
	assert_non_null(strstr(eb.text, cert));
	assert_string_equal(relay_pin(l->relay), pin);
	unlink(cert);
	unlink(key);
	assert_int_equal(relay_reload(l->relay, &eb), 0);
	assert_string_not_equal(relay_pin(l->relay), pin);
	join(l, l->b, true); /* by the new pin */
	derp_peer_send(l->a, &l->b->pub, "still here", 10);
	(void)derp_peer_wait(l->b, DERP_RECV_PACKET, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_packets),
		T(test_framing),
		T(test_peer_gone),
		T(test_duplicates),
		T(test_slow_reader),
		T(test_old),
		T(test_pings),
		T(test_stalled),
		T(test_bad_clients),
		T(test_bad_frames),
		T(test_probes),
		T(test_crowd),
		T(test_one_address),
		T(test_stun),
		T(test_stun_limit),
		T(test_stun_source),
		T(test_start),
		T(test_reload),
	};
#undef T
	return key_setup() ? cmocka_run_group_tests_name("relay", tests, NULL, NULL) : 1;
}
