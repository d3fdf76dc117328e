/* Who comes without being a client, or is a bad one: what he gets, how much of it, and who gives way to whom. */
#include "mesh/base/key.h"
#include "mesh/os/sock.h"
#include "mesh/proto/disco.h"
#include "mesh/proto/stun.h"
#include "mesh/relay/places.h"
#include "mesh/relay/test/relay_lab.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

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
	struct relay_lab *l = *state;
	uint8_t *junk = calloc(1, 300 * 1024);
	assert_non_null(junk);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct derp_peer *p = relay_lab_peer();
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
	struct relay_lab *l = *state;
	uint8_t *junk = calloc(1, 200 * 1024);
	assert_non_null(junk);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const uint64_t *n = (const void *)((const char *)relay_stats(l->relay) + rows[i].counter);
		uint64_t before = *n;
		struct derp_peer *p = relay_lab_peer();
		relay_lab_join(l, p, true);
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
	struct relay_lab *l = *state;
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
	struct relay_lab *l = *state;
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
	struct relay_lab *l = *state;
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

static void stun_burst(struct relay_lab *l, size_t i)
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
	struct relay_lab *l = *state;
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
	struct relay_lab *l = *state;
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
	struct relay_lab *l = *state;
	struct endpoint none = relay_stun_at(l->relay, 2);
	assert_false(endpoint_is_set(&none));
	stun_burst(l, 0);
	stun_burst(l, 1);
	assert_int_equal(relay_stats(l->relay)->stun_malformed, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, relay_lab_setup, relay_lab_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad_clients),
		T(test_bad_frames),
		T(test_probes),
		T(test_crowd),
		T(test_one_address),
		T(test_stun_source),
		T(test_stun_limit),
		T(test_stun),
	};
#undef T
	return key_setup() ? cmocka_run_group_tests_name("relay", tests, NULL, NULL) : 1;
}
