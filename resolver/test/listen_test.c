/* The server on loopback with real sockets, asked by UDP, and who may ask how much. */
#include "resolver/test/listen_lab.h"

#include "resolver/block.h"
#include "mesh/os/sock.h"
#include "resolver/core.h"
#include "resolver/exchange/exchange.h"
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

static void test_udp(void **state)
{
	uint8_t q[300];
	(void)state;
	listen_lab_client(SOCK_DGRAM);
	size_t len = fake_question(q, "bob.mesh", DNS_A, DNS_RD);
	assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(1);
	assert_int_equal(listen_lab_answers(0), 1);
	assert_int_equal(lab.hooked, 0);
	lab.got_len = 0;
	len = fake_question(q, "www.example.com", DNS_A, DNS_RD);
	assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(1);
	assert_int_equal(listen_lab_answers(0), 1);
	assert_int_equal(lab.hooked, 1);
	/* a burst larger than one batch: each gets its answer */
	lab.got_len = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(send(lab.client, q, len, 0), len);
	size_t one = len + 16; /* an A record */
	listen_lab_wait(100 * one);
	assert_int_equal(lab.got_len, 100 * one);
	assert_int_equal(lab.hooked, 1);
}

static void nothing_to_do(void *arg)
{
	(void)arg;
}

/* Turns the loop until so much time is over or the count is at least one: what is due at once comes before what is due then,
 * however late both are. */
static bool counts_before(const uint64_t *count, uint64_t ms)
{
	struct loop_timer *then = loop_timer_new(lab.loop, nothing_to_do, NULL);
	loop_timer_set(then, ms);
	while (!*count && loop_timer_is_set(then))
		loop_run_once(lab.loop);
	loop_timer_free(then);
	return *count;
}

/* What waits for the lists goes on as soon as they are there. */
static void test_held(void **state)
{
	enum { SOON_MS = 1000 }; /* by itself it does after three seconds */
	uint8_t q[300];
	(void)state;
	struct resolver *core = resolver_server_core(lab.server);
	size_t len = fake_question(q, "www.example.com", DNS_A, DNS_RD);
	resolver_block_wait(core);
	listen_lab_client(SOCK_DGRAM);
	assert_int_equal(send(lab.client, q, len, 0), len);
	while (!resolver_stats(core)->queries)
		loop_run_once(lab.loop);
	assert_int_equal(resolver_stats(core)->forwarded, 0);
	resolver_block_set(core, NULL, &(struct block_answer) { 0 });
	assert_true(counts_before(&resolver_stats(core)->forwarded, SOON_MS));
	listen_lab_wait(1);
	assert_int_equal(listen_lab_answers(0), 1);
}

/* Where libunbound asks, nobody else of this machine gets past lists, log and rate: the port is no secret. */
static void test_inner(void **state)
{
	static const char *const insecure[] = { "example.com" };
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	static const char anchor[] = ". IN DS 20326 8 2 "
				     "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n";
	struct resolver_upstream up = { .at = resolver_server_endpoint(lab.upstream, 0) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1, .validate = true };
	char anchors[] = "/tmp/listen_test.XXXXXX";
	struct errbuf eb = { 0 };
	uint8_t q[300];
	(void)state;
	int fd = mkstemp(anchors);
	assert_int_equal(write(fd, anchor, strlen(anchor)), strlen(anchor));
	close(fd);
	const struct resolver_validation v = { .anchors = anchors, .insecure = insecure, .n_insecure = 1 };
	int err = resolver_server_validate(lab.server, &v, &eb);
	if (err == ERR_UNSUPPORTED) {
		unlink(anchors);
		print_message("skipped: %s\n", eb.text);
		skip();
	}
	assert_int_equal(err, 0);
	assert_int_equal(resolver_server_configure(lab.server,
				 &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
	listen_lab_client(SOCK_DGRAM);
	size_t len = fake_question(q, "www.example.com", DNS_A, DNS_RD);
	assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(1);
	assert_int_equal(listen_lab_rcode(0), 0);
	assert_int_equal(listen_lab_answers(0), 1);
	assert_int_equal(resolver_stats(resolver_server_core(lab.server))->validated, 1);
	lab.at = resolver_server_endpoint(lab.server, 1);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t head = types[i] == SOCK_STREAM ? 2 : 0;
		listen_lab_client(types[i]);
		len = listen_lab_frame(q, "bob.mesh", DNS_A) - 2;
		assert_int_equal(send(lab.client, q + 2 - head, len + head, 0), len + head);
		listen_lab_wait(head + DNS_HEADER);
		assert_int_equal(listen_lab_rcode(head), DNS_REFUSED);
		assert_int_equal(lab.got_len, head + DNS_HEADER);
		assert_int_equal(resolver_server_stats(lab.server)->not_allowed, i + 1);
	}
	unlink(anchors);
}

/* No more questions out than half the sockets that this process may have: each could need one. The rest is told so at
 * once. */
static void test_out_of_descriptors(void **state)
{
	enum { LIMIT = 200, MOST = LIMIT / 2, ASKED = MOST + 20 };
	struct rlimit before, low = { .rlim_cur = LIMIT };
	uint8_t q[300];
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	resolver_server_close(lab.server);
	lab.server = listen_lab_server("bob.mesh", "100.64.0.2", 0);
	lab.at = resolver_server_endpoint(lab.server, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	struct endpoint silent = { .ip = addr_v4(INADDR_LOOPBACK) };
	int fd = sock_udp(&silent, NULL);
	assert_true(fd >= 0 && !sock_local(fd, &silent));
	listen_lab_route(&silent);
	listen_lab_client(SOCK_DGRAM);
	for (int i = 0; i < ASKED; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%03d.example.com", i);
		size_t len = fake_question(q, name, DNS_A, DNS_RD);
		assert_int_equal(send(lab.client, q, len, 0), len);
	}
	listen_lab_wait(1);
	size_t one = lab.got_len;
	assert_int_equal(listen_lab_rcode(0), DNS_SERVFAIL);
	listen_lab_wait((ASKED - MOST) * one);
	assert_int_equal(lab.got_len, (ASKED - MOST) * one);
	assert_in_range(lab.hooked, (MOST + EXCHANGE_PORT_QUESTIONS - 1) / EXCHANGE_PORT_QUESTIONS, MOST);
	close(fd);
}

/* A client for whom there is no descriptor waits, the server sleeps meanwhile, and then it is answered. */
static void test_no_descriptor_for_a_client(void **state)
{
	enum { PAUSES = 3, PAUSE_MS = 99 };
	struct rlimit before, low = { .rlim_cur = 3 };
	const struct resolver_server_stats *stats = resolver_server_stats(lab.server);
	uint8_t out[300];
	(void)state;
	listen_lab_client(SOCK_STREAM);
	size_t len = listen_lab_frame(out, "bob.mesh", DNS_A);
	assert_int_equal(send(lab.client, out, len, 0), len);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	uint64_t began = clock_now_ms();
	while (stats->tcp_paused < PAUSES && clock_now_ms() - began < LISTEN_LAB_LIMIT_MS)
		loop_run_once(lab.loop);
	assert_int_equal(stats->tcp_paused, PAUSES);
	assert_true(clock_now_ms() - began >= (PAUSES - 1) * PAUSE_MS);
	assert_int_equal(stats->tcp_accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	listen_lab_wait(2 + DNS_HEADER);
	assert_int_equal(listen_lab_answers(2), 1);
	assert_int_equal(stats->tcp_accepted, 1);
}

/* A pi-hole that is gone, its machine up: the client is told as soon as the machine says so, before any time is over. */
static void test_upstream_closed(void **state)
{
	enum { SOON_MS = 200 }; /* a silent one has more */
	const struct resolver_stats *stats = resolver_stats(resolver_server_core(lab.server));
	uint8_t q[300];
	struct endpoint nobody = { .ip = addr_v4(INADDR_LOOPBACK) };
	int fd = sock_udp(&nobody, NULL);
	(void)state;
	assert_true(fd >= 0 && !sock_local(fd, &nobody));
	close(fd);
	listen_lab_route(&nobody);
	listen_lab_client(SOCK_DGRAM);
	size_t len = fake_question(q, "www.example.com", DNS_A, DNS_RD);
	assert_int_equal(send(lab.client, q, len, 0), len);
	assert_true(counts_before(&stats->upstream_failed, LISTEN_LAB_LIMIT_MS));
	assert_true(counts_before(&stats->servfail, SOON_MS));
	listen_lab_wait(1);
	assert_int_equal(listen_lab_rcode(0), DNS_SERVFAIL);
}

/* A long answer: TC by UDP from the upstream, TCP behind the client's back, TC to the UDP client. */
static void test_long_answer(void **state)
{
	uint8_t q[300];
	struct zone *z = zone_new();
	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		struct addr a = addr_v4(0x0a000000 + i);
		assert_true(!zone_add_address(z, "many.example.com", &a, false));
	}
	resolver_zone_set(resolver_server_core(lab.upstream), z);
	zone_put(z);
	listen_lab_client(SOCK_DGRAM);
	size_t len = fake_question(q, "many.example.com", DNS_A, DNS_RD);
	assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(1);
	assert_true(lab.got[2] & 2);
	assert_true(lab.got_len <= DNS_UDP_SIZE);
	assert_int_equal(resolver_stats(resolver_server_core(lab.server))->upstream_tcp, 1);
	listen_lab_client(SOCK_STREAM);
	uint8_t out[302];
	len = listen_lab_frame(out, "many.example.com", DNS_A);
	assert_int_equal(send(lab.client, out, len, 0), len);
	listen_lab_wait(3000);
	assert_int_equal(listen_lab_answers(2), 200);
	assert_int_equal(lab.hooked, 2);
}

static void test_port_in_use(void **state)
{
	struct resolver_server_options o = { .at = &lab.at, .n = 1 };
	struct errbuf eb = { 0 };
	(void)state;
	assert_null(resolver_server_open(lab.loop, &o, &eb));
	assert_non_null(strstr(eb.text, "in use"));
}

/* Issue: strangers get a bare refusal by UDP, not longer than what they sent, and no connection; a new list
 * holds at once. */
static void test_allow(void **state)
{
	struct prefix others, all;
	uint8_t q[300];
	(void)state;
	assert_true(prefix_parse("10.0.0.0/8", &others) && prefix_parse("0.0.0.0/0", &all));
	size_t len = fake_question(q, "bob.mesh", DNS_A, DNS_RD);
	assert_int_equal(resolver_server_allow(lab.server, &others, 1, NULL), 0);
	listen_lab_client(SOCK_DGRAM);
	assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(1);
	assert_int_equal(lab.got_len, DNS_HEADER);
	assert_memory_equal(lab.got, q, 2);
	assert_int_equal(lab.got[3] & 15, DNS_REFUSED);
	q[2] |= 0x80; /* a response is never answered */
	assert_int_equal(send(lab.client, q, len, 0), len);
	assert_int_equal(resolver_server_allow(lab.server, &others, 0, NULL), 0);
	lab.got_len = 0;
	q[2] &= 0x7f;
	assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(1);
	assert_int_equal(lab.got_len, DNS_HEADER);
	listen_lab_client(SOCK_STREAM);
	listen_lab_wait(0);
	assert_true(lab.eof && !lab.timed_out);
	assert_int_equal(resolver_server_stats(lab.server)->not_allowed, 4);
	assert_int_equal(resolver_server_allow(lab.server, &all, 1, NULL), 0);
	listen_lab_client(SOCK_DGRAM);
	assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(1);
	assert_int_equal(lab.got[3] & 15, 0);
	assert_true(lab.got_len > DNS_HEADER);
}

/* B70: who asks too much is told so, by UDP and by TCP; without a limit nobody is. */
static void test_rate(void **state)
{
	uint8_t q[300], framed[302];
	(void)state;
	size_t len = fake_question(q, "bob.mesh", DNS_A, DNS_RD),
	       n = listen_lab_frame(framed, "bob.mesh", DNS_A);
	assert_int_equal(resolver_server_rate(lab.server, 1, NULL), 0);
	listen_lab_client(SOCK_DGRAM);
	for (int i = 0; i < 10; i++)
		assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(10 * (len + 16));
	for (int i = 0; i < 10; i++)
		assert_int_equal(listen_lab_rcode((size_t)i * (len + 16)), 0);
	lab.got_len = 0;
	for (int i = 0; i < 50; i++) /* a slow machine gives some back meanwhile */
		assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(50 * DNS_HEADER);
	assert_true(resolver_server_stats(lab.server)->rate_limited > 0);
	listen_lab_client(SOCK_STREAM);
	uint64_t before = resolver_server_stats(lab.server)->rate_limited;
	for (int i = 0; i < 50; i++)
		assert_int_equal(send(lab.client, framed, n, 0), n);
	listen_lab_wait(50 * (2 + DNS_HEADER));
	assert_true(resolver_server_stats(lab.server)->rate_limited > before);
	assert_int_equal(resolver_server_rate(lab.server, 0, NULL), 0);
	listen_lab_client(SOCK_DGRAM);
	assert_int_equal(send(lab.client, q, len, 0), len);
	listen_lab_wait(1);
	assert_int_equal(listen_lab_answers(0), 1);
}

static void shot(const struct sockaddr_storage *to, socklen_t n, int fd, unsigned number)
{
	uint8_t q[300];
	char name[40];
	snprintf(name, sizeof(name), "n%u.example.com", number);
	size_t len = fake_question(q, name, DNS_A, DNS_RD);
	assert_int_equal(sendto(fd, q, len, 0, (const struct sockaddr *)to, n), len);
}

/* DNSBomb: questions that all wait for one slow server would be answered in one burst, to an address that may be
 * somebody else's. So many wait for one client; another one is not touched by it, and one that waits no more may ask. */
static void test_burst(void **state)
{
	enum { MANY = 1500, NAMES = 8, AT_ONCE = 30 };
	struct endpoint silent = { .ip = addr_v4(INADDR_LOOPBACK) }, other = { .ip = addr_v4(0x7f000002) };
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&lab.at, false, &ss);
	uint8_t b[DNS_UDP_SIZE];
	const struct resolver *core = resolver_server_core(lab.server);
	const struct resolver_server_stats *stats = resolver_server_stats(lab.server);
	uint64_t before = resolver_stats(core)->queries;
	unsigned refused = 0, answered = 0; /* the slow server is given up after a second */
	(void)state;
	int up = sock_udp(&silent, NULL);
	sock_local(up, &silent);
	listen_lab_route(&silent);
	listen_lab_client(SOCK_DGRAM);
	for (unsigned i = 0; i < MANY; i++) {
		shot(&ss, n, lab.client, i % NAMES);
		while (i % AT_ONCE == AT_ONCE - 1 &&
			resolver_stats(core)->queries + stats->udp_waiting < before + i + 1)
			loop_run_once(lab.loop);
		while (recv(lab.client, b, sizeof(b), MSG_DONTWAIT) >= DNS_HEADER)
			++*((b[3] & 15) == DNS_REFUSED ? &refused : &answered);
	}
	assert_true(refused > 0 && stats->udp_waiting >= refused);
	assert_true(MANY - stats->udp_waiting - answered <= 1024);
	close(lab.client);
	before = stats->udp_waiting;
	lab.client = sock_udp(&other, NULL);
	shot(&ss, n, lab.client, 9999);
	while (recv(lab.client, b, sizeof(b), MSG_DONTWAIT) < DNS_HEADER)
		loop_run_once(lab.loop);
	assert_int_equal(b[3] & 15, DNS_SERVFAIL); /* in its time, as ever */
	assert_int_equal(stats->udp_waiting, before);
	listen_lab_client(SOCK_DGRAM);
	shot(&ss, n, lab.client, 1);
	listen_lab_wait(1);
	assert_int_equal(listen_lab_rcode(0), DNS_SERVFAIL);
	assert_int_equal(stats->udp_waiting, before);
	close(up);
}

/* Guesses at the port of two questions, as many as come: ten are looked at for each, then both are asked where nobody can
 * guess. Neither believes any of them. */
static void test_guesses(void **state)
{
	enum { GUESSES = 200, BAD_MAX = 10, NAMES = 2 };
	struct endpoint server = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct sockaddr_storage ss, from;
	socklen_t n = endpoint_to_sockaddr(&lab.at, false, &ss), from_len = sizeof(from);
	const struct resolver_stats *stats = resolver_stats(resolver_server_core(lab.server));
	uint8_t b[DNS_UDP_SIZE], asked[DNS_UDP_SIZE];
	(void)state;
	int up = sock_udp(&server, NULL);
	sock_local(up, &server);
	listen_lab_route(&server);
	listen_lab_client(SOCK_DGRAM);
	for (unsigned i = 0; i < NAMES; i++)
		shot(&ss, n, lab.client, i);
	while (stats->forwarded < NAMES)
		loop_run_once(lab.loop);
	ssize_t len = recvfrom(up, asked, sizeof(asked), 0, (struct sockaddr *)&from, &from_len);
	assert_true(len > DNS_HEADER && recv(up, b, sizeof(b), 0) == len);
	uint16_t one = (uint16_t)be_get(asked, 2), other = (uint16_t)be_get(b, 2), guess = 0;
	asked[2] |= 0x80;
	for (unsigned i = 0; i < GUESSES; i++) {
		while (guess == one || guess == other)
			guess++;
		be_put(asked, 2, guess++);
		assert_int_equal(sendto(up, asked, (size_t)len, 0, (struct sockaddr *)&from, from_len), len);
	}
	while (stats->upstream_tcp < NAMES)
		loop_run_once(lab.loop);
	assert_int_equal(stats->upstream_mismatch, NAMES * BAD_MAX);
	for (unsigned i = 0; i < NAMES; i++) { /* nobody is there by TCP */
		lab.got_len = 0;
		listen_lab_wait(1);
		assert_int_equal(listen_lab_rcode(0), DNS_SERVFAIL);
	}
	close(up);
}

/* Asks for as many names that only a silent server has, and waits until all are out. */
static void many_ask(int up, unsigned many)
{
	enum { BURST = 30 };
	const struct resolver_stats *stats = resolver_stats(resolver_server_core(lab.server));
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&lab.at, false, &ss);
	struct endpoint silent;
	sock_local(up, &silent);
	listen_lab_route(&silent);
	listen_lab_client(SOCK_DGRAM);
	for (unsigned i = 0; i < many; i++) {
		shot(&ss, n, lab.client, i);
		while (i % BURST == BURST - 1 && stats->forwarded <= i)
			loop_run_once(lab.loop);
	}
	while (stats->forwarded < many)
		loop_run_once(lab.loop);
}

/* A name of ours lies in the socket: how many of the others have their answer before it. */
static unsigned answered_before_ours(void)
{
	uint8_t q[300], b[DNS_UDP_SIZE] = { 0 };
	unsigned others = 0;
	size_t len = fake_question(q, "bob.mesh", DNS_A, DNS_RD);
	assert_int_equal(send(lab.client, q, len, 0), len);
	for (;;) {
		while (recv(lab.client, b, sizeof(b), MSG_DONTWAIT) < DNS_HEADER)
			loop_run_once(lab.loop);
		if (!memcmp(b + DNS_HEADER, "\3bob", 4))
			return others;
		others++;
	}
}

/* Issue: a thousand questions fail at the same moment. A name of ours waits for a few of them alone. */
static void test_ours_beside_failures(void **state)
{
	enum { MANY = 200, DOUBTED_MS = 1000 };
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	(void)state;
	int up = sock_udp(&at, NULL);
	many_ask(up, MANY);
	resolver_server_doubt(lab.server, &at.ip); /* they have a second left */
	uint64_t due_ms = clock_now_ms() + DOUBTED_MS + 1;
	while (clock_now_ms() < due_ms) /* the loop does not see it pass */
		(void)poll(NULL, 0, (int)(due_ms - clock_now_ms()));
	assert_in_range(answered_before_ours(), 0, DUE_AT_ONCE);
	close(up);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, listen_lab_setup, listen_lab_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_udp),
		CASE(test_held),
		CASE(test_inner),
		CASE(test_out_of_descriptors),
		CASE(test_no_descriptor_for_a_client),
		CASE(test_upstream_closed),
		CASE(test_long_answer),
		CASE(test_port_in_use),
		CASE(test_allow),
		CASE(test_rate),
		CASE(test_burst),
		CASE(test_guesses),
		CASE(test_ours_beside_failures),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
