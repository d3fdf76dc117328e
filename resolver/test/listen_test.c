/* The server on loopback with real sockets, asked by plain blocking clients in this thread between turns of
 * the loop. */
#include "resolver/block.h"
#include "resolver/listen.h"

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

struct fixture {
	struct loop *loop;
	struct resolver_server *server, *upstream;
	struct endpoint at;
	int hooked;
	int client;
	size_t got_len;
	uint8_t got[DNS_MESSAGE_MAX];
	size_t want; /* stop when this many bytes are in got */
	bool eof, timed_out;
};

static struct fixture fx;

static int hook(void *arg, int fd, const struct endpoint *to)
{
	struct fixture *f = arg;
	(void)to;
	f->hooked += fd >= 0;
	return 0;
}

static struct zone *zone_of(const char *name, const char *ip)
{
	struct zone *z = zone_new();
	struct addr a;
	assert_true(addr_parse(ip, &a) && !zone_add_address(z, name, &a, true));
	assert_non_null(z);
	return z;
}

enum { SHORT_MS = 100 }; /* of a server that cuts off slow clients */

static struct resolver_server *server_open(const char *name, const char *ip, uint32_t tcp_ms)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1, .upstream_socket = hook, .arg = &fx };
	o.tcp_message_ms = o.tcp_idle_ms = tcp_ms;
	struct errbuf eb = { 0 };
	struct resolver_server *s = resolver_server_open(fx.loop, &o, &eb);
	if (!s)
		fail_msg("%s", eb.text);
	struct zone *z = zone_of(name, ip);
	resolver_zone_set(resolver_server_core(s), z);
	zone_put(z);
	return s;
}

static void route_to(const struct endpoint *at)
{
	struct resolver_upstream up = { .at = *at };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	assert_int_equal(resolver_server_configure(fx.server,
				 &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
}

static int setup_with(uint32_t tcp_ms)
{
	memset(&fx, 0, sizeof(fx));
	fx.loop = loop_new();
	fx.client = -1;
	fx.upstream = server_open("www.example.com", "198.51.100.7", 0);
	fx.server = server_open("bob.mesh", "100.64.0.2", tcp_ms);
	fx.at = resolver_server_endpoint(fx.server, 0);
	struct endpoint up = resolver_server_endpoint(fx.upstream, 0);
	route_to(&up);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_with(0);
}
static int setup_hasty(void **state)
{
	(void)state;
	return setup_with(SHORT_MS);
}

static int teardown(void **state)
{
	(void)state;
	if (fx.client >= 0)
		close(fx.client);
	resolver_server_close(fx.server);
	resolver_server_close(fx.upstream);
	loop_free(fx.loop);
	return 0;
}

static void client_ready(void *arg, int events)
{
	struct fixture *f = arg;
	(void)events;
	ssize_t n = recv(f->client, f->got + f->got_len, sizeof(f->got) - f->got_len, MSG_DONTWAIT);
	if (n > 0)
		f->got_len += (size_t)n;
	f->eof = n == 0 || (n < 0 && errno == ECONNRESET);
	if (f->eof || (f->got_len >= f->want && f->want))
		loop_stop(f->loop);
}

static void gave_up(void *arg)
{
	fx.timed_out = true;
	loop_stop(arg);
}

/* Turns the loop until `want` bytes came (or the end, with want 0); fails after 8 s. */
static void wait_for(size_t want)
{
	struct loop_timer *limit = loop_timer_new(fx.loop, gave_up, fx.loop);
	struct loop_fd *watch = loop_fd_new(fx.loop, fx.client, client_ready, &fx);
	fx.want = want;
	loop_timer_set(limit, 8000);
	loop_fd_set(watch, LOOP_READ);
	if (!want || fx.got_len < want)
		loop_run(fx.loop);
	loop_fd_free(watch);
	loop_timer_free(limit);
	assert_false(fx.timed_out);
}

static void client_open(int type)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&fx.at, false, &ss);
	if (fx.client >= 0)
		close(fx.client);
	fx.client = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	fx.got_len = 0;
	fx.eof = false;
	assert_true(fx.client >= 0 && !connect(fx.client, (struct sockaddr *)&ss, len));
}

static unsigned rcode_at(size_t at)
{
	return fx.got[at + 3] & 15;
}
static unsigned answers_at(size_t at)
{
	return (unsigned)be_get(fx.got + at + 6, 2);
}

static void test_udp(void **state)
{
	uint8_t q[300];
	(void)state;
	client_open(SOCK_DGRAM);
	size_t len = fake_question(q, "bob.mesh", DNS_A, DNS_RD);
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_int_equal(answers_at(0), 1);
	assert_int_equal(fx.hooked, 0);
	fx.got_len = 0;
	len = fake_question(q, "www.example.com", DNS_A, DNS_RD);
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_int_equal(answers_at(0), 1);
	assert_int_equal(fx.hooked, 1);
	/* a burst larger than one batch: each gets its answer */
	fx.got_len = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(send(fx.client, q, len, 0), len);
	size_t one = len + 16; /* an A record */
	wait_for(100 * one);
	assert_int_equal(fx.got_len, 100 * one);
	assert_int_equal(fx.hooked, 1);
}

/* What waits for the lists goes on as soon as they are there. */
static void test_held(void **state)
{
	uint8_t q[300];
	(void)state;
	struct resolver *core = resolver_server_core(fx.server);
	size_t len = fake_question(q, "www.example.com", DNS_A, DNS_RD);
	resolver_block_wait(core);
	client_open(SOCK_DGRAM);
	assert_int_equal(send(fx.client, q, len, 0), len);
	while (!resolver_stats(core)->queries)
		loop_run_once(fx.loop);
	uint64_t then_ms = loop_now_ms(fx.loop);
	resolver_block_set(core, NULL, &(struct block_answer) { 0 });
	wait_for(1);
	assert_int_equal(answers_at(0), 1);
	assert_in_range(loop_now_ms(fx.loop) - then_ms, 0, 2000); /* by itself, after 3 s */
}

static size_t frame(uint8_t *buf, const char *name, uint16_t type)
{
	size_t len = fake_question(buf + 2, name, type, DNS_RD);
	be_put(buf, 2, len);
	return len + 2;
}

static void test_tcp_pipelined(void **state)
{
	enum { MANY = 1000 };
	static uint8_t out[(MANY + 1) * 40];
	size_t len;
	(void)state;
	client_open(SOCK_STREAM);
	len = frame(out, "www.example.com", DNS_A);
	for (int i = 0; i < MANY; i++)
		len += frame(out + len, "bob.mesh", DNS_A);
	assert_int_equal(send(fx.client, out, len, 0), len);
	shutdown(fx.client, SHUT_WR); /* what was asked is answered all the same */
	wait_for(0);
	unsigned seen = 0;
	for (size_t at = 0; at < fx.got_len; at += 2 + be_get(fx.got + at, 2), seen++)
		assert_int_equal(answers_at(at + 2), 1);
	assert_int_equal(seen, MANY + 1);
	assert_true(fx.eof);
}

/* Where libunbound asks, nobody else of this machine gets past lists, log and rate: the port is no secret. */
static void test_inner(void **state)
{
	static const char *const insecure[] = { "example.com" };
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	static const char anchor[] = ". IN DS 20326 8 2 "
				     "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n";
	struct resolver_upstream up = { .at = resolver_server_endpoint(fx.upstream, 0) };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1, .validate = true };
	char anchors[] = "/tmp/listen_test.XXXXXX";
	struct errbuf eb = { 0 };
	uint8_t q[300];
	(void)state;
	int fd = mkstemp(anchors);
	assert_int_equal(write(fd, anchor, strlen(anchor)), strlen(anchor));
	close(fd);
	const struct resolver_validation v = { .anchors = anchors, .insecure = insecure, .n_insecure = 1 };
	int err = resolver_server_validate(fx.server, &v, &eb);
	if (err == ERR_UNSUPPORTED) {
		unlink(anchors);
		print_message("skipped: %s\n", eb.text);
		skip();
	}
	assert_int_equal(err, 0);
	assert_int_equal(resolver_server_configure(fx.server,
				 &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
	client_open(SOCK_DGRAM);
	size_t len = fake_question(q, "www.example.com", DNS_A, DNS_RD);
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_int_equal(rcode_at(0), 0);
	assert_int_equal(answers_at(0), 1);
	assert_int_equal(resolver_stats(resolver_server_core(fx.server))->validated, 1);
	fx.at = resolver_server_endpoint(fx.server, 1);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t head = types[i] == SOCK_STREAM ? 2 : 0;
		client_open(types[i]);
		len = frame(q, "bob.mesh", DNS_A) - 2;
		assert_int_equal(send(fx.client, q + 2 - head, len + head, 0), len + head);
		wait_for(head + DNS_HEADER);
		assert_int_equal(rcode_at(head), DNS_REFUSED);
		assert_int_equal(fx.got_len, head + DNS_HEADER);
		assert_int_equal(resolver_server_stats(fx.server)->not_allowed, i + 1);
	}
	unlink(anchors);
}

static void test_tcp_bytewise(void **state)
{
	uint8_t out[300];
	(void)state;
	client_open(SOCK_STREAM);
	size_t len = frame(out, "bob.mesh", DNS_AAAA);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(send(fx.client, out + i, 1, 0), 1);
	wait_for(2);
	assert_int_equal(rcode_at(2), 0);
}

/* B25 */
static void test_tcp_garbage(void **state)
{
	static const char *const garbage[] = { "0000", "0001 00", "000b 000000", "1001", "ffff 1234" };
	uint8_t out[64];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		client_open(SOCK_STREAM);
		size_t len = fake_hex(garbage[i], out, sizeof(out));
		assert_int_equal(send(fx.client, out, len, 0), len);
		wait_for(0);
		assert_true(fx.eof);
		assert_int_equal(fx.got_len, 0);
	}
	assert_int_equal(resolver_server_stats(fx.server)->tcp_garbage, ARRAY_LEN(garbage));
}

/* B25: who does not end a question, and who has nothing to ask, is let go. */
static void test_tcp_slow(void **state)
{
	uint8_t out[300];
	(void)state;
	for (int whole = 0; whole < 2; whole++) {
		client_open(SOCK_STREAM);
		size_t len = frame(out, "bob.mesh", DNS_A);
		len = whole ? len : len / 2;
		assert_int_equal(send(fx.client, out, len, 0), len);
		wait_for(0);
		assert_true(fx.eof);
		assert_int_equal(fx.got_len > 0, whole);
	}
	assert_int_equal(resolver_server_stats(fx.server)->tcp_timeout, 2);
}

/* RFC 7828: who asks is told how long it may stay; not by UDP. */
static void test_tcp_keepalive(void **state)
{
	static const uint8_t told[] = { 0, 11, 0, 2, 1, 44 };
	uint8_t out[300];
	(void)state;
	size_t len = frame(out, "bob.mesh", DNS_A);
	memcpy(out + len, "\0\13\0\0", 4);
	out[len - 1] = 4;
	len += 4;
	be_put(out, 2, len - 2);
	client_open(SOCK_STREAM);
	assert_int_equal(send(fx.client, out, len, 0), len);
	wait_for(2 + DNS_HEADER);
	assert_int_equal(answers_at(2), 1);
	assert_memory_equal(fx.got + fx.got_len - sizeof(told), told, sizeof(told));
	client_open(SOCK_DGRAM);
	assert_int_equal(send(fx.client, out + 2, len - 2, 0), len - 2);
	wait_for(1);
	assert_int_equal(be_get(fx.got + fx.got_len - 2, 2), 0); /* an OPT without options */
}

/* B25: connections that say nothing keep nobody out. */
static void test_tcp_idle_give_way(void **state)
{
	enum { MANY = 40, PER_CLIENT = 32 };
	int idle[MANY];
	uint8_t out[300];
	(void)state;
	for (int i = 0; i < MANY; i++) {
		client_open(SOCK_STREAM);
		idle[i] = fx.client;
		fx.client = -1;
	}
	client_open(SOCK_STREAM);
	size_t len = frame(out, "bob.mesh", DNS_A);
	assert_int_equal(send(fx.client, out, len, 0), len);
	wait_for(2 + DNS_HEADER);
	assert_int_equal(answers_at(2), 1);
	assert_int_equal(resolver_server_stats(fx.server)->tcp_evicted, MANY + 1 - PER_CLIENT);
	assert_int_equal(resolver_server_stats(fx.server)->tcp_full, 0);
	for (int i = 0; i < MANY; i++) /* the oldest went */
		assert_int_equal(recv(idle[i], out, 1, MSG_DONTWAIT), i <= MANY - PER_CLIENT ? 0 : -1);
	for (int i = 0; i < MANY; i++)
		close(idle[i]);
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
	resolver_server_close(fx.server);
	fx.server = server_open("bob.mesh", "100.64.0.2", 0);
	fx.at = resolver_server_endpoint(fx.server, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	struct endpoint silent = { .ip = addr_v4(INADDR_LOOPBACK) };
	int fd = sock_udp(&silent, NULL);
	assert_true(fd >= 0 && !sock_local(fd, &silent));
	route_to(&silent);
	client_open(SOCK_DGRAM);
	for (int i = 0; i < ASKED; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%03d.example.com", i);
		size_t len = fake_question(q, name, DNS_A, DNS_RD);
		assert_int_equal(send(fx.client, q, len, 0), len);
	}
	wait_for(1);
	size_t one = fx.got_len;
	assert_int_equal(rcode_at(0), DNS_SERVFAIL);
	wait_for((ASKED - MOST) * one);
	assert_int_equal(fx.got_len, (ASKED - MOST) * one);
	assert_in_range(fx.hooked, (MOST + EXCHANGE_PORT_QUESTIONS - 1) / EXCHANGE_PORT_QUESTIONS, MOST);
	close(fd);
}

/* A pi-hole that is gone, its machine up: at once. */
/* A client for whom there is no descriptor waits, the server sleeps meanwhile, and then it is answered. */
static void test_no_descriptor_for_a_client(void **state)
{
	enum { PAUSES = 3, PAUSE_MS = 99 };
	struct rlimit before, low = { .rlim_cur = 3 };
	const struct resolver_server_stats *stats = resolver_server_stats(fx.server);
	uint8_t out[300];
	(void)state;
	client_open(SOCK_STREAM);
	size_t len = frame(out, "bob.mesh", DNS_A);
	assert_int_equal(send(fx.client, out, len, 0), len);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	uint64_t began = clock_now_ms();
	while (stats->tcp_paused < PAUSES && clock_now_ms() - began < 8000)
		loop_run_once(fx.loop);
	assert_int_equal(stats->tcp_paused, PAUSES);
	assert_true(clock_now_ms() - began >= (PAUSES - 1) * PAUSE_MS);
	assert_int_equal(stats->tcp_accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	wait_for(2 + DNS_HEADER);
	assert_int_equal(answers_at(2), 1);
	assert_int_equal(stats->tcp_accepted, 1);
}

static void test_upstream_closed(void **state)
{
	uint8_t q[300];
	struct endpoint nobody = { .ip = addr_v4(INADDR_LOOPBACK) };
	int fd = sock_udp(&nobody, NULL);
	(void)state;
	assert_true(fd >= 0 && !sock_local(fd, &nobody));
	close(fd);
	route_to(&nobody);
	client_open(SOCK_DGRAM);
	size_t len = fake_question(q, "www.example.com", DNS_A, DNS_RD);
	uint64_t before = loop_now_ms(fx.loop);
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_int_equal(rcode_at(0), DNS_SERVFAIL);
	assert_true(loop_now_ms(fx.loop) - before < 1000);
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
	resolver_zone_set(resolver_server_core(fx.upstream), z);
	zone_put(z);
	client_open(SOCK_DGRAM);
	size_t len = fake_question(q, "many.example.com", DNS_A, DNS_RD);
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_true(fx.got[2] & 2);
	assert_true(fx.got_len <= DNS_UDP_SIZE);
	assert_int_equal(resolver_stats(resolver_server_core(fx.server))->upstream_tcp, 1);
	client_open(SOCK_STREAM);
	uint8_t out[302];
	len = frame(out, "many.example.com", DNS_A);
	assert_int_equal(send(fx.client, out, len, 0), len);
	wait_for(3000);
	assert_int_equal(answers_at(2), 200);
	assert_int_equal(fx.hooked, 2);
}

static void test_port_in_use(void **state)
{
	struct resolver_server_options o = { .at = &fx.at, .n = 1 };
	struct errbuf eb = { 0 };
	(void)state;
	assert_null(resolver_server_open(fx.loop, &o, &eb));
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
	assert_int_equal(resolver_server_allow(fx.server, &others, 1, NULL), 0);
	client_open(SOCK_DGRAM);
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_int_equal(fx.got_len, DNS_HEADER);
	assert_memory_equal(fx.got, q, 2);
	assert_int_equal(fx.got[3] & 15, DNS_REFUSED);
	q[2] |= 0x80; /* a response is never answered */
	assert_int_equal(send(fx.client, q, len, 0), len);
	assert_int_equal(resolver_server_allow(fx.server, &others, 0, NULL), 0);
	fx.got_len = 0;
	q[2] &= 0x7f;
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_int_equal(fx.got_len, DNS_HEADER);
	client_open(SOCK_STREAM);
	wait_for(0);
	assert_true(fx.eof && !fx.timed_out);
	assert_int_equal(resolver_server_stats(fx.server)->not_allowed, 4);
	assert_int_equal(resolver_server_allow(fx.server, &all, 1, NULL), 0);
	client_open(SOCK_DGRAM);
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_int_equal(fx.got[3] & 15, 0);
	assert_true(fx.got_len > DNS_HEADER);
}

/* B70: who asks too much is told so, by UDP and by TCP; without a limit nobody is. */
static void test_rate(void **state)
{
	uint8_t q[300], framed[302];
	(void)state;
	size_t len = fake_question(q, "bob.mesh", DNS_A, DNS_RD), n = frame(framed, "bob.mesh", DNS_A);
	assert_int_equal(resolver_server_rate(fx.server, 1, NULL), 0);
	client_open(SOCK_DGRAM);
	for (int i = 0; i < 10; i++)
		assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(10 * (len + 16));
	for (int i = 0; i < 10; i++)
		assert_int_equal(rcode_at((size_t)i * (len + 16)), 0);
	fx.got_len = 0;
	for (int i = 0; i < 50; i++) /* a slow machine gives some back meanwhile */
		assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(50 * DNS_HEADER);
	assert_true(resolver_server_stats(fx.server)->rate_limited > 0);
	client_open(SOCK_STREAM);
	uint64_t before = resolver_server_stats(fx.server)->rate_limited;
	for (int i = 0; i < 50; i++)
		assert_int_equal(send(fx.client, framed, n, 0), n);
	wait_for(50 * (2 + DNS_HEADER));
	assert_true(resolver_server_stats(fx.server)->rate_limited > before);
	assert_int_equal(resolver_server_rate(fx.server, 0, NULL), 0);
	client_open(SOCK_DGRAM);
	assert_int_equal(send(fx.client, q, len, 0), len);
	wait_for(1);
	assert_int_equal(answers_at(0), 1);
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
	socklen_t n = endpoint_to_sockaddr(&fx.at, false, &ss);
	uint8_t b[DNS_UDP_SIZE];
	const struct resolver *core = resolver_server_core(fx.server);
	const struct resolver_server_stats *stats = resolver_server_stats(fx.server);
	uint64_t before = resolver_stats(core)->queries;
	unsigned refused = 0, answered = 0; /* the slow server is given up after a second */
	(void)state;
	int up = sock_udp(&silent, NULL);
	sock_local(up, &silent);
	route_to(&silent);
	client_open(SOCK_DGRAM);
	for (unsigned i = 0; i < MANY; i++) {
		shot(&ss, n, fx.client, i % NAMES);
		while (i % AT_ONCE == AT_ONCE - 1 &&
			resolver_stats(core)->queries + stats->udp_waiting < before + i + 1)
			loop_run_once(fx.loop);
		while (recv(fx.client, b, sizeof(b), MSG_DONTWAIT) >= DNS_HEADER)
			++*((b[3] & 15) == DNS_REFUSED ? &refused : &answered);
	}
	assert_true(refused > 0 && stats->udp_waiting >= refused);
	assert_true(MANY - stats->udp_waiting - answered <= 1024);
	close(fx.client);
	before = stats->udp_waiting;
	fx.client = sock_udp(&other, NULL);
	shot(&ss, n, fx.client, 9999);
	while (recv(fx.client, b, sizeof(b), MSG_DONTWAIT) < DNS_HEADER)
		loop_run_once(fx.loop);
	assert_int_equal(b[3] & 15, DNS_SERVFAIL); /* in its time, as ever */
	assert_int_equal(stats->udp_waiting, before);
	client_open(SOCK_DGRAM);
	shot(&ss, n, fx.client, 1);
	wait_for(1);
	assert_int_equal(rcode_at(0), DNS_SERVFAIL);
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
	socklen_t n = endpoint_to_sockaddr(&fx.at, false, &ss), from_len = sizeof(from);
	const struct resolver_stats *stats = resolver_stats(resolver_server_core(fx.server));
	uint8_t b[DNS_UDP_SIZE], asked[DNS_UDP_SIZE];
	(void)state;
	int up = sock_udp(&server, NULL);
	sock_local(up, &server);
	route_to(&server);
	client_open(SOCK_DGRAM);
	for (unsigned i = 0; i < NAMES; i++)
		shot(&ss, n, fx.client, i);
	while (stats->forwarded < NAMES)
		loop_run_once(fx.loop);
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
		loop_run_once(fx.loop);
	assert_int_equal(stats->upstream_mismatch, NAMES * BAD_MAX);
	for (unsigned i = 0; i < NAMES; i++) { /* nobody is there by TCP */
		fx.got_len = 0;
		wait_for(1);
		assert_int_equal(rcode_at(0), DNS_SERVFAIL);
	}
	close(up);
}

/* Asks for as many names that only a silent server has, and waits until all are out. */
static void many_ask(int up, unsigned many)
{
	enum { BURST = 30 };
	const struct resolver_stats *stats = resolver_stats(resolver_server_core(fx.server));
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&fx.at, false, &ss);
	struct endpoint silent;
	sock_local(up, &silent);
	route_to(&silent);
	client_open(SOCK_DGRAM);
	for (unsigned i = 0; i < many; i++) {
		shot(&ss, n, fx.client, i);
		while (i % BURST == BURST - 1 && stats->forwarded <= i)
			loop_run_once(fx.loop);
	}
	while (stats->forwarded < many)
		loop_run_once(fx.loop);
}

/* A name of ours lies in the socket: how many of the others have their answer before it. */
static unsigned answered_before_ours(void)
{
	uint8_t q[300], b[DNS_UDP_SIZE] = { 0 };
	unsigned others = 0;
	size_t len = fake_question(q, "bob.mesh", DNS_A, DNS_RD);
	assert_int_equal(send(fx.client, q, len, 0), len);
	for (;;) {
		while (recv(fx.client, b, sizeof(b), MSG_DONTWAIT) < DNS_HEADER)
			loop_run_once(fx.loop);
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
	resolver_server_doubt(fx.server, &at.ip); /* they have a second left */
	uint64_t due_ms = clock_now_ms() + DOUBTED_MS + 1;
	while (clock_now_ms() < due_ms) /* the loop does not see it pass */
		(void)poll(NULL, 0, (int)(due_ms - clock_now_ms()));
	assert_in_range(answered_before_ours(), 0, DUE_AT_ONCE);
	close(up);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_udp),
		CASE(test_held),
		CASE(test_tcp_pipelined),
		CASE(test_tcp_bytewise),
		CASE(test_inner),
		CASE(test_tcp_garbage),
		cmocka_unit_test_setup_teardown(test_tcp_slow, setup_hasty, teardown),
		CASE(test_tcp_keepalive),
		CASE(test_tcp_idle_give_way),
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
