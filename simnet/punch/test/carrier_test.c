#include "simnet/punch/carrier.h"

#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BOUND_MS = 60000 };
struct end { /* keeps what came, and sends it back when asked to */
	struct carrier_tcp *tcp;
	struct carrier_udp *udp;
	bool answers;
	unsigned n;
	struct endpoint from;
	uint8_t msg[4096];
	size_t len;
};

static void message_kept(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct end *e = owner;
	e->n++;
	e->from = *from;
	e->len = len;
	memcpy(e->msg, p, len);
	if (e->answers && e->tcp)
		carrier_tcp_send(e->tcp, from, p, len);
	else if (e->answers)
		carrier_udp_send(e->udp, from, p, len);
}

static void nothing(void *arg)
{
	(void)arg;
}

static const struct endpoint anywhere = { .port = 0 };

static struct endpoint local_port(uint16_t port)
{
	return (struct endpoint) { .ip = addr_v4(INADDR_LOOPBACK), .port = port };
}

/* Sends again and again, as the cores do, until something came or the bound passes. */
static bool tcp_until(
	struct loop *l, struct end *a, const struct endpoint *to, const struct end *heard, unsigned n)
{
	struct loop_timer *t = loop_timer_new(l, nothing, NULL);
	uint64_t end = loop_now_ms(l) + BOUND_MS;

	while (heard->n < n && loop_now_ms(l) < end) {
		carrier_tcp_send(a->tcp, to, (const uint8_t *)"hello", 5);
		loop_timer_set(t, 20);
		loop_run_once(l);
	}
	loop_timer_free(t);
	return heard->n >= n;
}

static void test_tcp_there_and_back(void **state)
{
	struct errbuf eb = { 0 };
	struct loop *l = loop_new();
	struct end server = { .answers = true }, peer = { 0 };
	(void)state;

	server.tcp = carrier_tcp_open(l, &anywhere, false, message_kept, &server, &eb);
	peer.tcp = carrier_tcp_open(l, &anywhere, true, message_kept, &peer, &eb);
	assert_non_null(server.tcp);
	assert_non_null(peer.tcp);
	struct endpoint to = local_port(carrier_tcp_local(server.tcp).port);
	assert_true(tcp_until(l, &peer, &to, &peer, 1));
	assert_true(endpoint_equal(&peer.from, &to));
	assert_int_equal(
		server.from.port, carrier_tcp_local(peer.tcp).port); /* dialled from where it listens */
	assert_memory_equal(peer.msg, "hello", 5);
	carrier_tcp_close(peer.tcp);
	carrier_tcp_close(server.tcp);
	loop_free(l);
}

/* Both dial at once, each from the port that the other dials. */
static void test_tcp_both_dial(void **state)
{
	struct errbuf eb = { 0 };
	struct loop *l = loop_new();
	struct end a = { 0 }, b = { .answers = true };
	(void)state;

	a.tcp = carrier_tcp_open(l, &anywhere, true, message_kept, &a, &eb);
	b.tcp = carrier_tcp_open(l, &anywhere, true, message_kept, &b, &eb);
	struct endpoint at_a = local_port(carrier_tcp_local(a.tcp).port),
			at_b = local_port(carrier_tcp_local(b.tcp).port);
	carrier_tcp_send(a.tcp, &at_b, (const uint8_t *)"x", 1);
	carrier_tcp_send(b.tcp, &at_a, (const uint8_t *)"x", 1);
	assert_true(tcp_until(l, &a, &at_b, &a, 3));
	carrier_tcp_close(a.tcp);
	carrier_tcp_close(b.tcp);
	loop_free(l);
}

/* Nobody listens at first: a try is lost, a later one is not. */
static void test_tcp_tries_again(void **state)
{
	struct errbuf eb = { 0 };
	struct loop *l = loop_new();
	struct end peer = { 0 }, late = { .answers = true };
	(void)state;

	peer.tcp = carrier_tcp_open(l, &anywhere, true, message_kept, &peer, &eb);
	late.tcp = carrier_tcp_open(l, &anywhere, false, message_kept, &late, &eb);
	struct endpoint to = local_port(carrier_tcp_local(late.tcp).port);
	carrier_tcp_close(late.tcp);
	carrier_tcp_send(peer.tcp, &to, (const uint8_t *)"x", 1);
	late.tcp = carrier_tcp_open(l, &to, false, message_kept, &late, &eb);
	assert_non_null(late.tcp);
	assert_true(tcp_until(l, &peer, &to, &peer, 1));
	carrier_tcp_close(late.tcp);
	carrier_tcp_close(peer.tcp);
	loop_free(l);
}

/* A frame in pieces arrives whole; one that is too long ends the connection. */
static void test_tcp_frames(void **state)
{
	struct errbuf eb = { 0 };
	struct loop *l = loop_new();
	struct end server = { 0 };
	struct loop_timer *t = loop_timer_new(l, nothing, NULL);
	static uint8_t frame[2 + 4096] = { 0x10, 0 };
	uint8_t byte;
	(void)state;

	server.tcp = carrier_tcp_open(l, &anywhere, false, message_kept, &server, &eb);
	struct endpoint to = local_port(carrier_tcp_local(server.tcp).port);
	int fd = sock_tcp_connect(&to, &eb);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	assert_int_equal(poll(&wait, 1, BOUND_MS), 1);
	for (size_t at = 0; at < sizeof(frame);) {
		size_t n = at < 3 ? 1 : sizeof(frame) - at;
		assert_int_equal(send(fd, frame + at, n, MSG_NOSIGNAL), n);
		at += n;
		loop_timer_set(t, 1);
		loop_run_once(l);
	}
	uint64_t end = loop_now_ms(l) + BOUND_MS;
	while (!server.n && loop_now_ms(l) < end) {
		loop_timer_set(t, 20);
		loop_run_once(l);
	}
	assert_int_equal(server.n, 1);
	assert_int_equal(server.len, 4096);
	assert_int_equal(send(fd, "\x10\x01", 2, MSG_NOSIGNAL), 2);
	ssize_t n = -1;
	while ((n = recv(fd, &byte, 1, MSG_DONTWAIT)) < 0 && loop_now_ms(l) < end) {
		loop_timer_set(t, 20);
		loop_run_once(l);
	}
	assert_int_equal(n, 0);
	assert_int_equal(server.n, 1);
	close(fd);
	loop_timer_free(t);
	carrier_tcp_close(server.tcp);
	loop_free(l);
}

static void test_udp(void **state)
{
	struct errbuf eb = { 0 };
	struct loop *l = loop_new();
	struct end a = { 0 }, b = { .answers = true };
	(void)state;

	a.udp = carrier_udp_open(l, &anywhere, message_kept, &a, &eb);
	b.udp = carrier_udp_open(l, &anywhere, message_kept, &b, &eb);
	struct endpoint to = local_port(carrier_udp_local(b.udp).port);
	carrier_udp_send(a.udp, &to, (const uint8_t *)"hello", 5);
	struct loop_timer *t = loop_timer_new(l, nothing, NULL);
	uint64_t end = loop_now_ms(l) + BOUND_MS;
	while (!a.n && loop_now_ms(l) < end) {
		loop_timer_set(t, 20);
		loop_run_once(l);
	}
	assert_int_equal(a.n, 1);
	assert_true(endpoint_equal(&a.from, &to));
	assert_null(carrier_udp_open(l, &to, message_kept, &a, &eb));
	assert_non_null(strstr(eb.text, "in use"));
	loop_timer_free(t);
	carrier_udp_close(a.udp);
	carrier_udp_close(b.udp);
	loop_free(l);
}

/* What is sent while the program has no processor waits for it. */
static void test_udp_burst(void **state)
{
	enum { BURST = 4000 };
	struct errbuf eb = { 0 };
	struct loop *l = loop_new();
	struct end a = { 0 }, b = { 0 };
	(void)state;

	if (geteuid() != 0)
		skip(); /* the machine's rmem_max bounds the queue */
	a.udp = carrier_udp_open(l, &anywhere, message_kept, &a, &eb);
	b.udp = carrier_udp_open(l, &anywhere, message_kept, &b, &eb);
	struct endpoint to = local_port(carrier_udp_local(b.udp).port);
	for (unsigned i = 0; i < BURST; i++)
		carrier_udp_send(a.udp, &to, (const uint8_t *)"hello", 5);
	struct loop_timer *t = loop_timer_new(l, nothing, NULL);
	uint64_t end = loop_now_ms(l) + BOUND_MS;
	while (b.n < BURST && loop_now_ms(l) < end) {
		loop_timer_set(t, 20);
		loop_run_once(l);
	}
	assert_int_equal(b.n, BURST);
	loop_timer_free(t);
	carrier_udp_close(a.udp);
	carrier_udp_close(b.udp);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_there_and_back),
		cmocka_unit_test(test_tcp_both_dial),
		cmocka_unit_test(test_tcp_tries_again),
		cmocka_unit_test(test_tcp_frames),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_udp_burst),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
