/* The server on loopback, asked by TCP. */
#include "resolver/test/listen_lab.h"

#include "mesh/os/sock.h"
#include "resolver/core.h"
#include "resolver/test/fake.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_tcp_pipelined(void **state)
{
	enum { MANY = 1000 };
	static uint8_t out[(MANY + 1) * 40];
	size_t len;
	(void)state;
	listen_lab_client(SOCK_STREAM);
	len = listen_lab_frame(out, "www.example.com", DNS_A);
	for (int i = 0; i < MANY; i++)
		len += listen_lab_frame(out + len, "bob.mesh", DNS_A);
	assert_int_equal(send(lab.client, out, len, 0), len);
	shutdown(lab.client, SHUT_WR); /* what was asked is answered all the same */
	listen_lab_wait(0);
	unsigned seen = 0;
	for (size_t at = 0; at < lab.got_len; at += 2 + be_get(lab.got + at, 2), seen++)
		assert_int_equal(listen_lab_answers(at + 2), 1);
	assert_int_equal(seen, MANY + 1);
	assert_true(lab.eof);
}

static void test_tcp_bytewise(void **state)
{
	uint8_t out[300];
	(void)state;
	listen_lab_client(SOCK_STREAM);
	size_t len = listen_lab_frame(out, "bob.mesh", DNS_AAAA);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(send(lab.client, out + i, 1, 0), 1);
	listen_lab_wait(2);
	assert_int_equal(listen_lab_rcode(2), 0);
}

/* B25 */
static void test_tcp_garbage(void **state)
{
	static const char *const garbage[] = { "0000", "0001 00", "000b 000000", "1001", "ffff 1234" };
	uint8_t out[64];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		listen_lab_client(SOCK_STREAM);
		size_t len = fake_hex(garbage[i], out, sizeof(out));
		assert_int_equal(send(lab.client, out, len, 0), len);
		listen_lab_wait(0);
		assert_true(lab.eof);
		assert_int_equal(lab.got_len, 0);
	}
	assert_int_equal(resolver_server_stats(lab.server)->tcp_garbage, ARRAY_LEN(garbage));
}

/* B25: who does not end a question, and who has nothing to ask, is let go. */
static void test_tcp_slow(void **state)
{
	uint8_t out[300];
	(void)state;
	for (int whole = 0; whole < 2; whole++) {
		listen_lab_client(SOCK_STREAM);
		size_t len = listen_lab_frame(out, "bob.mesh", DNS_A);
		len = whole ? len : len / 2;
		assert_int_equal(send(lab.client, out, len, 0), len);
		listen_lab_wait(0);
		assert_true(lab.eof);
		assert_int_equal(lab.got_len > 0, whole);
	}
	assert_int_equal(resolver_server_stats(lab.server)->tcp_timeout, 2);
}

/* RFC 7828: who asks is told how long it may stay; not by UDP. */
static void test_tcp_keepalive(void **state)
{
	static const uint8_t told[] = { 0, 11, 0, 2, 1, 44 };
	uint8_t out[300];
	(void)state;
	size_t len = listen_lab_frame(out, "bob.mesh", DNS_A);
	memcpy(out + len, "\0\13\0\0", 4);
	out[len - 1] = 4;
	len += 4;
	be_put(out, 2, len - 2);
	listen_lab_client(SOCK_STREAM);
	assert_int_equal(send(lab.client, out, len, 0), len);
	listen_lab_wait(2 + DNS_HEADER);
	assert_int_equal(listen_lab_answers(2), 1);
	assert_memory_equal(lab.got + lab.got_len - sizeof(told), told, sizeof(told));
	listen_lab_client(SOCK_DGRAM);
	assert_int_equal(send(lab.client, out + 2, len - 2, 0), len - 2);
	listen_lab_wait(1);
	assert_int_equal(be_get(lab.got + lab.got_len - 2, 2), 0); /* an OPT without options */
}

/* B25: connections that say nothing keep nobody out. */
static void test_tcp_idle_give_way(void **state)
{
	enum { MANY = 40, PER_CLIENT = 32 };
	int idle[MANY];
	uint8_t out[300];
	(void)state;
	for (int i = 0; i < MANY; i++) {
		listen_lab_client(SOCK_STREAM);
		idle[i] = lab.client;
		lab.client = -1;
	}
	listen_lab_client(SOCK_STREAM);
	size_t len = listen_lab_frame(out, "bob.mesh", DNS_A);
	assert_int_equal(send(lab.client, out, len, 0), len);
	listen_lab_wait(2 + DNS_HEADER);
	assert_int_equal(listen_lab_answers(2), 1);
	assert_int_equal(resolver_server_stats(lab.server)->tcp_evicted, MANY + 1 - PER_CLIENT);
	assert_int_equal(resolver_server_stats(lab.server)->tcp_full, 0);
	for (int i = 0; i < MANY; i++) /* the oldest went */
		assert_int_equal(recv(idle[i], out, 1, MSG_DONTWAIT), i <= MANY - PER_CLIENT ? 0 : -1);
	for (int i = 0; i < MANY; i++)
		close(idle[i]);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, listen_lab_setup, listen_lab_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_tcp_pipelined),
		CASE(test_tcp_bytewise),
		CASE(test_tcp_garbage),
		cmocka_unit_test_setup_teardown(test_tcp_slow, listen_lab_setup_hasty, listen_lab_teardown),
		CASE(test_tcp_keepalive),
		CASE(test_tcp_idle_give_way),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
