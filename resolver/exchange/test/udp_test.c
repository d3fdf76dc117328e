/* Sockets of questions by UDP: what a stranger has to guess, what he cannot find out, and whom an error is about. The
 * network is the test's own. */
#include "resolver/exchange/exchange.h"

#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_ns.h"
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { QUESTIONS = 200, LONG_MS = 60000, SHORT_MS = 20, LEN = 20, LONG = 5000, NEAR = 64, LIMIT_MS = 60000 };

struct fixture {
	struct loop *loop;
	struct exchange *x;
	int server;
	struct endpoint at;
	uint16_t ports[QUESTIONS];
	unsigned answered[QUESTIONS], failed[QUESTIONS], events;
	int code;	   /* of the last that failed */
	uint64_t end_with; /* plus 1: with this one's answer all end that are out */
	uint64_t asks;	   /* plus 1: this one is asked as soon as one failed */
	bool ends;	   /* an answer ends its question */
	int opened;	   /* the newest socket */
	uint8_t flags;	   /* of the last answer */
	size_t len;
	bool timed_out;
};

static void received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	struct fixture *f = arg;
	f->answered[id]++;
	f->events++;
	f->flags = len > 2 ? msg[2] : 0;
	f->len = len;
	if (f->ends)
		exchange_done(f->x, id);
	for (uint64_t i = 0; f->end_with == id + 1 && i < QUESTIONS; i++)
		exchange_done(f->x, i);
}

static void ask_only(struct fixture *f, uint64_t id, uint16_t wire_id)
{
	uint8_t msg[LEN] = { 0 };
	be_put(msg, 2, wire_id);
	be_put(msg + 4, 8, id);
	exchange_send(f->x, id, &(struct exchange_to) { .at = f->at, .by = EXCHANGE_UDP }, msg, sizeof(msg));
}

static void failed(void *arg, uint64_t id, int code)
{
	struct fixture *f = arg;
	f->failed[id]++;
	f->events++;
	f->code = code;
	if (f->asks)
		ask_only(f, f->asks - 1, (uint16_t)(1000 + f->asks - 1));
}

static void settle(struct exchange *x)
{
	while (!exchange_is_settled(x))
		exchange_settle(x);
}

static void woken(void *arg)
{
	settle(((struct fixture *)arg)->x);
}

static int opened(void *arg, int fd, const struct endpoint *to)
{
	(void)to;
	((struct fixture *)arg)->opened = fd;
	return 0;
}

static void gave_up(void *arg)
{
	((struct fixture *)arg)->timed_out = true;
}

static void wait_for(struct fixture *f, unsigned events)
{
	struct loop_timer *limit = loop_timer_new(f->loop, gave_up, f);
	loop_timer_set(limit, LIMIT_MS);
	while (f->events < events && !f->timed_out)
		loop_run_once(f->loop);
	loop_timer_free(limit);
	assert_int_equal(f->events, events);
}

static int group_setup(void **state)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	(void)state;
	if (!own_ns(CLONE_NEWNET))
		return 0; /* the machine's loopback will do, but for what is forged */
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return err;
}

static int setup_with(void **state, uint32_t takes_ms)
{
	static struct fixture f;
	struct endpoint any = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct errbuf eb = { 0 };
	f = (struct fixture) { .loop = loop_new(), .server = sock_udp(&any, &eb) };
	struct exchange_options o = { .loop = f.loop, .rnd = &random_system, .arg = &f };
	o.port_takes_ms = takes_ms;
	o.received = received;
	o.failed = failed;
	o.woken = woken;
	o.socket = opened;
	o.socket_arg = &f;
	f.x = exchange_open(&o, &eb);
	assert_true(f.server >= 0 && f.x);
	sock_local(f.server, &f.at);
	*state = &f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, LONG_MS);
}
static int setup_short(void **state)
{
	return setup_with(state, SHORT_MS);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	exchange_close(f->x);
	if (f->server >= 0)
		close(f->server);
	loop_free(f->loop);
	return 0;
}

/* What has come to the server; its port is noted. */
static uint64_t question_take(struct fixture *f)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct endpoint from;
	uint8_t msg[LEN] = { 0 };
	assert_int_equal(recvfrom(f->server, msg, sizeof(msg), 0, (struct sockaddr *)&ss, &n), LEN);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&ss, &from));
	uint64_t id = be_get(msg + 4, 8);
	f->ports[id] = from.port;
	return id;
}

static uint16_t ask(struct fixture *f, uint64_t id)
{
	ask_only(f, id, (uint16_t)(1000 + id));
	settle(f->x);
	assert_int_equal(question_take(f), id);
	return f->ports[id];
}

static void say(struct fixture *f, uint16_t port, uint16_t wire_id, size_t len)
{
	static uint8_t msg[LONG];
	struct endpoint to = { .ip = f->at.ip, .port = port };
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&to, false, &ss);
	be_put(msg, 2, wire_id);
	assert_int_equal(sendto(f->server, msg, len, 0, (struct sockaddr *)&ss, n), len);
}

static void answer(struct fixture *f, uint64_t id)
{
	say(f, f->ports[id], (uint16_t)(1000 + id), LEN);
}

static bool is_open(uint16_t port)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK), .port = port };
	int fd = sock_udp(&at, NULL);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

/* SAD DNS (CVE-2020-25705), DNSpooq: a port has a few questions, and cannot be guessed from those before. */
static void test_ports(void **state)
{
	struct fixture *f = *state;
	unsigned near = 0, ports = 0, here = 0;
	uint16_t last = 0;
	for (unsigned i = 0; i < QUESTIONS; i++) {
		uint16_t port = ask(f, i);
		here = port == last ? here + 1 : 1;
		assert_in_range(here, 1, EXCHANGE_PORT_QUESTIONS);
		if (port == last)
			continue;
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(port, f->ports[k]); /* none comes again */
		near += (port > last ? port - last : last - port) < NEAR;
		last = port;
		ports++;
	}
	assert_in_range(
		ports, (QUESTIONS + EXCHANGE_PORT_QUESTIONS - 1) / EXCHANGE_PORT_QUESTIONS, QUESTIONS);
	assert_true(near < ports);
}

/* What settles a doubt leaves from a port that nobody could have found before. */
static void test_fresh(void **state)
{
	struct fixture *f = *state;
	uint8_t msg[LEN] = { 0 };
	uint16_t first = ask(f, 0);
	assert_int_equal(ask(f, 1), first);
	be_put(msg, 2, 1002);
	be_put(msg + 4, 8, 2);
	exchange_send(f->x, 2, &(struct exchange_to) { .at = f->at, .by = EXCHANGE_UDP, .fresh = true }, msg,
		sizeof(msg));
	settle(f->x);
	assert_int_equal(question_take(f), 2);
	assert_int_not_equal(f->ports[2], first);
	assert_int_not_equal(ask(f, 3), first); /* nor does that one take more: it may be known */
	for (uint64_t id = 0; id < 4; id++)
		answer(f, id);
	wait_for(f, 4);
}

/* A port is open while a question is out on it, and takes new ones for a moment only. */
static void test_port_ends(void **state)
{
	struct fixture *f = *state;
	f->ends = true;
	uint16_t first = ask(f, 0);
	assert_true(is_open(first));
	answer(f, 0);
	wait_for(f, 1);
	assert_false(is_open(first));
	uint16_t second = ask(f, 1);
	exchange_done(f->x, 1);
	assert_false(is_open(second));

	uint64_t began = clock_now_ms();
	uint16_t third = ask(f, 2);
	while (clock_now_ms() < began + 2 * SHORT_MS)
		usleep(1000);
	uint16_t fourth = ask(f, 3);
	assert_int_not_equal(third, fourth);
	exchange_forget(f->x); /* another network */
	assert_int_not_equal(fourth, ask(f, 4));
	for (uint64_t id = 2; id < 5; id++)
		answer(f, id); /* they are out still */
	wait_for(f, 4);
	assert_int_equal(f->answered[2] + f->answered[3] + f->answered[4], 3);
}

/* Who is not asked gets nothing in, nor learns whether the port is open. */
static void test_stranger(void **state)
{
	struct fixture *f = *state;
	struct endpoint stranger = { .ip = addr_v4(0x7f000002) }, to = f->at;
	struct sockaddr_storage ss;
	uint8_t msg[LEN] = { 0 };
	to.port = ask(f, 0);
	int fd = sock_udp(&stranger, NULL);
	socklen_t n = endpoint_to_sockaddr(&to, false, &ss);
	be_put(msg, 2, 1000);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), 0);
	assert_int_equal(send(fd, msg, sizeof(msg), 0), LEN);
	assert_int_equal(send(fd, msg, sizeof(msg), 0), -1); /* as for a port that nobody has */
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	answer(f, 0);
	wait_for(f, 1); /* the server's, which came after the stranger's */
}

/* An answer is told to whom it is for. One that fits none may have been a try at any; one for a question that is over is
 * nobody's. */
static void test_whose(void **state)
{
	struct fixture *f = *state;
	for (uint64_t id = 0; id < 4; id++)
		ask_only(f, id, (uint16_t)(1000 + id));
	settle(f->x);
	for (uint64_t id = 0; id < 4; id++)
		assert_int_equal(question_take(f), id);
	assert_true(f->ports[0] == f->ports[1] && f->ports[0] == f->ports[3]);
	answer(f, 2);
	wait_for(f, 1);
	assert_int_equal(f->answered[2], 1);
	exchange_done(f->x, 2);
	say(f, f->ports[0], 7, LEN);
	wait_for(f, 4);
	say(f, f->ports[0], 1000, 1); /* too short for an id */
	wait_for(f, 7);
	assert_int_equal(f->answered[2], 1);
	answer(f, 2); /* late */
	answer(f, 3);
	wait_for(f, 8);
	assert_int_equal(f->answered[3], 3);
	assert_int_equal(f->answered[0], 2);
	f->end_with = 1; /* who is told ends all others, while the same is still to be told to them */
	say(f, f->ports[0], 7, LEN);
	wait_for(f, 9);
	assert_false(is_open(f->ports[0]));
}

/* Two questions with one id are never on one port, nor is one with the id of a question that is over. */
static void test_same_id(void **state)
{
	struct fixture *f = *state;
	f->ends = true;
	ask_only(f, 0, 77);
	ask_only(f, 1, 78);
	ask_only(f, 2, 77);
	settle(f->x);
	for (int i = 0; i < 3; i++)
		question_take(f);
	assert_int_equal(f->ports[0], f->ports[1]);
	assert_int_not_equal(f->ports[0], f->ports[2]);
	say(f, f->ports[2], 77, LEN);
	wait_for(f, 1);
	assert_int_equal(f->answered[2], 1);
	ask_only(f, 3, 79);
	ask_only(f, 4, 80);
	exchange_done(f->x, 4); /* before it has left */
	ask_only(f, 5, 80);
	settle(f->x);
	for (int i = 0; i < 2; i++)
		question_take(f);
	assert_int_not_equal(f->ports[3], f->ports[5]);
	uint8_t none[LEN];
	assert_int_equal(recv(f->server, none, sizeof(none), MSG_DONTWAIT), -1);
}

/* More at once than leave in one go, all are answered in one; what is longer than anybody may say counts as cut. */
static void test_many(void **state)
{
	struct fixture *f = *state;
	f->ends = true;
	for (uint64_t id = 0; id < 60; id++)
		ask_only(f, id, (uint16_t)(1000 + id));
	settle(f->x);
	for (uint64_t id = 0; id < 60; id++)
		assert_int_equal(question_take(f), id);
	for (uint64_t id = 60; id-- > 0;)
		answer(f, id);
	wait_for(f, 60);
	for (uint64_t id = 0; id < 60; id++)
		assert_int_equal(f->answered[id], 1);
	ask(f, 60);
	say(f, f->ports[60], 1060, LONG);
	wait_for(f, 61);
	assert_true(f->flags & 2);
	assert_in_range(f->len, 1232, LONG);
	ask(f, 61);
	answer(f, 61);
	wait_for(f, 62);
	assert_int_equal(f->flags, 0);
}

/* What waits to leave when one more is asked cannot: its port ends, and the one more has another. */
static void test_none_leaves(void **state)
{
	enum { AT_ONCE = 16 };
	struct fixture *f = *state;
	for (uint64_t id = 0; id < AT_ONCE; id++)
		ask_only(f, id, (uint16_t)(1000 + id));
	assert_int_equal(shutdown(f->opened, SHUT_WR), 0);
	ask_only(f, AT_ONCE, 1000 + AT_ONCE);
	settle(f->x);
	assert_int_equal(f->events, AT_ONCE);
	assert_int_equal(f->code, -EPIPE);
	assert_int_equal(question_take(f), AT_ONCE);
	answer(f, AT_ONCE);
	wait_for(f, AT_ONCE + 1);
	assert_int_equal(f->answered[AT_ONCE], 1);
}

/* However many answers lie there, a turn of the loop takes some; all have theirs in the end. */
static void test_turns(void **state)
{
	enum { MANY = 150, AT_ONCE = 64 + EXCHANGE_PORT_QUESTIONS };
	struct fixture *f = *state;
	f->ends = true;
	for (uint64_t id = 0; id < MANY; id++)
		ask(f, id);
	for (uint64_t id = 0; id < MANY; id++)
		answer(f, id);
	for (unsigned before = 0; before < MANY; before = f->events) {
		loop_run_once(f->loop);
		assert_in_range(f->events - before, 1, AT_ONCE);
	}
	for (uint64_t id = 0; id < MANY; id++)
		assert_int_equal(f->answered[id], 1);
}

/* The server goes after one question and is back for the next: the first alone was refused, though they share a port. */
static void test_refused(void **state)
{
	struct fixture *f = *state;
	f->ends = true;
	ask(f, 0);
	close(f->server);
	ask_only(f, 1, 1001);
	exchange_settle(f->x);
	f->server = sock_udp(&f->at, NULL);
	ask_only(f, 2, 1002); /* its port hears of it before it is asked on */
	settle(f->x);
	assert_int_equal(question_take(f), 2);
	assert_int_equal(f->ports[0], f->ports[2]);
	wait_for(f, 1);
	assert_int_equal(f->failed[1], 1);
	assert_int_equal(f->code, -ECONNREFUSED);
	ask(f, 3);
	assert_int_not_equal(f->ports[0], f->ports[3]);
	for (uint64_t id = 0; id < 4; id++)
		if (id != 1)
			answer(f, id);
	wait_for(f, 4);
	assert_int_equal(f->answered[0] + f->answered[2] + f->answered[3], 3);
}

/* An ICMP error about a datagram from that port to the server, with so much of what it had. */
static void icmp_say(const struct fixture *f, uint16_t port, uint8_t code, uint16_t wire_id, size_t quoted)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct udphdr udp;
		uint8_t id[2];
	} __attribute__((packed)) m = { .icmp = { .type = ICMP_DEST_UNREACH, .code = code } };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	size_t len = sizeof(m) - sizeof(m.id) + quoted;
	uint32_t sum = 0;
	m.ip = (struct iphdr) { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
	m.ip.saddr = m.ip.daddr = to.sin_addr.s_addr;
	m.ip.tot_len = htons(sizeof(m.ip) + sizeof(m.udp) + LEN);
	m.udp = (struct udphdr) {
		.source = htons(port), .dest = htons(f->at.port), .len = htons(sizeof(m.udp) + LEN)
	};
	be_put(m.id, 2, wire_id);
	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)be_get((const uint8_t *)&m + i, 2);
	sum = (sum & 0xffff) + (sum >> 16);
	m.icmp.checksum = htons((uint16_t) ~(sum + (sum >> 16)));
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	assert_int_equal(sendto(fd, &m, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
	close(fd);
}

/* What an error quotes says whom it is about: one question, nobody, or, where it is too little, all who have not been
 * answered. What may pass is no error. */
static void test_errors(void **state)
{
	struct fixture *f = *state;
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd < 0)
		skip();
	close(fd);
	f->ends = true;
	uint16_t port = ask(f, 0);
	for (uint64_t id = 1; id < 5; id++)
		assert_int_equal(ask(f, id), port);
	icmp_say(f, port, ICMP_HOST_UNREACH, 1000, 2);
	icmp_say(f, port, ICMP_PORT_UNREACH, 7, 2); /* never asked */
	answer(f, 0);
	wait_for(f, 1);
	icmp_say(f, port, ICMP_PORT_UNREACH, 0, 0);
	for (uint64_t id = 1; id < 5; id++)
		answer(f, id); /* they lie there when the error is seen */
	wait_for(f, 5);
	for (uint64_t id = 0; id < 5; id++)
		assert_true(f->answered[id] == 1 && !f->failed[id]);

	port = ask(f, 5);
	for (uint64_t id = 6; id < 9; id++)
		assert_int_equal(ask(f, id), port);
	icmp_say(f, port, ICMP_PKT_FILTERED, 1006, 2);
	wait_for(f, 6);
	assert_true(f->failed[6] == 1 && f->code == -EHOSTUNREACH);
	answer(f, 5);
	wait_for(f, 7);
	icmp_say(f, port, ICMP_PORT_UNREACH, 0, 0);
	wait_for(f, 9);
	assert_true(f->failed[7] == 1 && f->failed[8] == 1 && !f->failed[5] && f->code == -ECONNREFUSED);
	assert_false(is_open(port));

	port = ask(f, 9);
	icmp_say(f, port, ICMP_PORT_UNREACH, 0, 0);
	assert_int_equal(ask(f, 10), port); /* met when this one leaves, and not about it */
	answer(f, 10);
	wait_for(f, 11);
	assert_true(f->failed[9] == 1 && f->answered[10] == 1);
}

/* What the kernel told once, and nobody heard, as when a send of several leaves in part: it lies there all the same, and
 * who asked hears of it rather than the loop wakes for ever. */
static void test_swallowed(void **state)
{
	struct fixture *f = *state;
	int code = 0;
	socklen_t len = sizeof(code);
	f->ends = true;
	ask(f, 0);
	close(f->server);
	ask_only(f, 1, 1001);
	settle(f->x);
	assert_int_equal(getsockopt(f->opened, SOL_SOCKET, SO_ERROR, &code, &len), 0);
	assert_int_equal(code, ECONNREFUSED);
	wait_for(f, 1);
	assert_true(f->failed[1] == 1 && !f->failed[0] && f->code == -ECONNREFUSED);
	f->server = sock_udp(&f->at, NULL);
	answer(f, 0);
	wait_for(f, 2);
	assert_int_equal(f->answered[0], 1);
}

/* Who hears of a failure asks elsewhere: that leaves at the same settling. */
static void test_asks_again(void **state)
{
	struct fixture *f = *state;
	const uint8_t msg[LEN] = { 0 };
	f->ends = true;
	f->asks = 1 + 1;
	exchange_send(f->x, 0, &(struct exchange_to) { .by = EXCHANGE_VALIDATED }, msg, sizeof(msg));
	settle(f->x); /* there is no validator */
	assert_int_equal(f->failed[0], 1);
	assert_int_equal(question_take(f), 1);
	answer(f, 1);
	wait_for(f, 2);
	assert_int_equal(f->answered[1], 1);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { CASE(test_ports), CASE(test_fresh),
		cmocka_unit_test_setup_teardown(test_port_ends, setup_short, teardown), CASE(test_stranger),
		CASE(test_whose), CASE(test_same_id), CASE(test_many), CASE(test_none_leaves),
		CASE(test_turns), CASE(test_refused), CASE(test_errors), CASE(test_swallowed),
		CASE(test_asks_again) };
	return key_setup() ? cmocka_run_group_tests(tests, group_setup, NULL) : 1;
}
