/* Answers to many questions at once: each client gets those to its own, each a datagram by itself and from where it asked,
 * whether the kernel cuts them, refuses to, or never could. Answers to one client leave together. */
#include "resolver/server.h"

#include "resolver/block.h"
#include "resolver/listen.h"
#include "resolver/test/fake.h"
#include "resolver/test/udp_lab.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

enum { CLIENTS = UDP_LAB_CLIENTS, MANY = UDP_BATCH, A_LEN = 16 };

struct fixture {
	struct udp_lab lab;
	unsigned messages, cut; /* that were given to the kernel; of these, for it to cut */
	int refusal;		/* of what is to be cut; 0: it is not refused */
	bool closed;		/* nothing can be sent by the server */
};
static struct fixture fx;

static ssize_t closed_say(void)
{
	errno = EPERM;
	return -1;
}

int __real_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	unsigned whole = 0;
	while (whole < n && (m[whole].msg_hdr.msg_iovlen == 1 || !fx.refusal))
		whole++;
	fx.messages += whole;
	for (unsigned i = 0; i < n && i <= whole; i++)
		fx.cut += m[i].msg_hdr.msg_iovlen > 1;
	if (whole)
		return fx.closed ? (int)closed_say() : __real_sendmmsg(fd, m, whole, flags);
	errno = fx.refusal;
	return -1;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return fx.closed ? closed_say() : __real_sendmsg(fd, m, flags);
}
ssize_t __real_sendto(
	int fd, const void *b, size_t len, int flags, const struct sockaddr *to, socklen_t to_len);
ssize_t __wrap_sendto(
	int fd, const void *b, size_t len, int flags, const struct sockaddr *to, socklen_t to_len);
ssize_t __wrap_sendto(
	int fd, const void *b, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	return fx.closed ? closed_say() : __real_sendto(fd, b, len, flags, to, to_len);
}

/* Names of two lengths. */
static void name_of(unsigned i, char *buf, size_t cap)
{
	snprintf(buf, cap, i % 8 == 7 ? "host-%u-x.mesh" : "host-%02u.mesh", i);
}

static int setup_of(const struct endpoint *at, size_t n, uint32_t first, uint32_t second)
{
	struct zone *z = zone_new();
	char name[40];
	fx = (struct fixture) { 0 };
	assert_non_null(z);
	for (unsigned i = 0; i < MANY; i++) {
		struct addr ip = addr_v4(0x64400000 + i);
		name_of(i, name, sizeof(name));
		assert_int_equal(zone_add_address(z, name, &ip, false), 0);
	}
	udp_lab_open(&fx.lab, at, n, z);
	udp_lab_clients(&fx.lab, first, second);
	return 0;
}

static int setup_at(uint32_t listen, uint32_t first, uint32_t second)
{
	return setup_of(&(struct endpoint) { .ip = addr_v4(listen) }, 1, first, second);
}
static int setup_one(void **state)
{
	(void)state;
	return setup_at(INADDR_LOOPBACK, INADDR_LOOPBACK, INADDR_LOOPBACK);
}
static int setup_all(void **state)
{
	(void)state;
	return setup_at(INADDR_ANY, INADDR_LOOPBACK + 1, INADDR_LOOPBACK + 2);
}

static int setup_two(void **state)
{
	struct endpoint at[2] = { { .ip = addr_v4(INADDR_LOOPBACK) },
		{ .ip = addr_v4(INADDR_LOOPBACK + 1) } };
	(void)state;
	return setup_of(at, 2, INADDR_LOOPBACK, INADDR_LOOPBACK);
}
/* A machine may have no IPv6 at all. */
static bool has_six(void)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at));
	if (fd >= 0)
		close(fd);
	return has;
}
static int setup_all_six(void **state)
{
	struct endpoint at[2] = { { .ip = addr_v4(INADDR_ANY) }, { .ip = addr_any6 } };
	(void)state;
	return setup_of(at, has_six() ? 2 : 1, INADDR_LOOPBACK, INADDR_LOOPBACK);
}

static int teardown(void **state)
{
	(void)state;
	udp_lab_close(&fx.lab);
	return 0;
}

static size_t question(unsigned i, uint8_t *msg)
{
	char name[40];
	name_of(i, name, sizeof(name));
	size_t len = fake_question(msg, name, DNS_A, DNS_RD);
	be_put(msg, 2, i);
	return len;
}

/* The answer to the i-th question, and nothing else before it. */
static void answer_expect(int fd, unsigned i)
{
	uint8_t b[DNS_UDP_SIZE], msg[300];
	size_t len = question(i, msg);
	udp_lab_limit(&fx.lab);
	assert_int_equal(udp_lab_receive(&fx.lab, fd, b, sizeof(b), NULL), len + A_LEN);
	assert_memory_equal(b, msg, 2);
	assert_memory_equal(b + DNS_HEADER, msg + DNS_HEADER, len - DNS_HEADER - DNS_OPT_LEN);
	assert_int_equal(be_get(b + len - DNS_OPT_LEN + A_LEN - 4, 4), 0x64400000 + i);
}

/* A batch of questions, in runs of so many for each client in turn. */
static void round_of(unsigned run)
{
	uint8_t msg[300];
	fx.messages = fx.cut = 0;
	for (unsigned i = 0; i < MANY; i++) {
		size_t len = question(i, msg);
		assert_int_equal(send(fx.lab.clients[i / run % CLIENTS], msg, len, 0), len);
	}
	for (unsigned i = 0; i < MANY; i++)
		answer_expect(fx.lab.clients[i / run % CLIENTS], i);
	assert_int_equal(resolver_server_stats(fx.lab.server)->udp_unsent, 0);
}

/* One client: cut where a longer one follows. */
static void test_together(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		round_of(MANY);
		assert_in_range(fx.messages, 2, MANY / 8 * 2 + 1);
	}
}

static void test_by_turns(void **state)
{
	(void)state;
	for (unsigned run = 1; run < MANY; run++)
		round_of(run);
	round_of(1);
	assert_int_equal(fx.messages, MANY);
	assert_int_equal(fx.cut, 0);
}

/* This way's links have no room for them: the others are not touched by it, and the next ones are tried again. */
static void test_refused(void **state)
{
	static const int refusals[] = { EINVAL, EMSGSIZE };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		fx.refusal = refusals[i];
		for (unsigned run = 1; run <= MANY; run++)
			round_of(run);
		assert_true(fx.cut);
		fx.refusal = 0;
		round_of(MANY);
		assert_true(fx.cut && fx.messages < MANY);
	}
}

/* There is no such thing here: not tried again. */
static void test_never(void **state)
{
	(void)state;
	fx.refusal = EIO;
	round_of(MANY);
	assert_true(fx.cut);
	round_of(MANY);
	assert_int_equal(fx.cut, 0);
	assert_int_equal(fx.messages, MANY);
}

/* One socket asks at two addresses. */
static void test_addresses(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(resolver_server_endpoint(fx.lab.server, 0).port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t b[DNS_UDP_SIZE];
	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		size_t len = question(i, b);
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + i / 2 % 2);
		assert_int_equal(sendto(fd, b, len, 0, (struct sockaddr *)&at, sizeof(at)), len);
	}
	udp_lab_limit(&fx.lab);
	for (unsigned i = 0; i < MANY; i++) {
		struct sockaddr_in from;
		assert_true(udp_lab_receive(&fx.lab, fd, b, sizeof(b), &from) > 0);
		assert_int_equal(be_get(b, 2), i);
		assert_int_equal(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + 1 + i / 2 % 2);
	}
	assert_true(fx.cut);
	close(fd);
}

/* Questions of two places that wait for the same end together: each answer comes from the port that was asked. */
static void test_places(void **state)
{
	enum { EACH = 8 };
	struct resolver *core = resolver_server_core(fx.lab.server);
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t b[DNS_UDP_SIZE];
	(void)state;
	resolver_block_wait(core);
	size_t len = fake_question(b, "www.example.com", DNS_A, DNS_RD);
	for (unsigned i = 0; i < 2 * EACH; i++) {
		struct endpoint to = resolver_server_endpoint(fx.lab.server, i / EACH);
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i / EACH);
		at.sin_port = htons(to.port);
		be_put(b, 2, i);
		assert_int_equal(sendto(fd, b, len, 0, (struct sockaddr *)&at, sizeof(at)), len);
	}
	udp_lab_limit(&fx.lab);
	while (resolver_stats(core)->queries < 2 * EACH && udp_lab_turn(&fx.lab))
		;
	resolver_block_set(core, NULL, &(struct block_answer) { 0 });
	for (unsigned i = 0; i < 2 * EACH; i++) {
		struct sockaddr_in from;
		assert_true(udp_lab_receive(&fx.lab, fd, b, sizeof(b), &from) > 0);
		assert_int_equal(ntohs(from.sin_port),
			resolver_server_endpoint(fx.lab.server, be_get(b, 2) / EACH).port);
	}
	assert_int_equal(fx.cut, 2);
	close(fd);
}

/* A place that a client of IPv6 had says nothing of it to the next client; and its answers leave together too. */
static void test_six(void **state)
{
	if (!has_six())
		skip();
	struct sockaddr_in6 at = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		.sin6_port = htons(resolver_server_endpoint(fx.lab.server, 1).port) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t msg[300];
	(void)state;
	round_of(MANY);
	unsigned messages = fx.messages;
	assert_true(fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof(at)));
	size_t len = question(0, msg);
	assert_int_equal(send(fd, msg, len, 0), len);
	answer_expect(fd, 0);
	round_of(MANY);
	assert_int_equal(fx.messages, messages);
	fx.messages = 0;
	for (unsigned i = 0; i < MANY; i++) {
		len = question(i, msg);
		assert_int_equal(send(fd, msg, len, 0), len);
	}
	for (unsigned i = 0; i < MANY; i++)
		answer_expect(fd, i);
	assert_int_equal(fx.messages, messages);
	close(fd);
}

/* What cannot be sent is counted, alone or among many, however often it is tried; and it keeps no place. */
static void test_unsent(void **state)
{
	static const int refusals[] = { 0, EINVAL, EIO };
	const struct resolver_server_stats *stats = resolver_server_stats(fx.lab.server);
	unsigned unsent = 0;
	uint8_t msg[300];
	(void)state;
	uint32_t places = fx.lab.server->n_free_peers;
	for (size_t k = 0; k < ARRAY_LEN(refusals); k++)
		for (unsigned many = 1; many <= MANY; many += MANY - 1) {
			fx.refusal = refusals[k];
			fx.closed = false;
			for (unsigned i = 0; i < many; i++) {
				size_t len = question(i, msg);
				assert_int_equal(send(fx.lab.clients[0], msg, len, 0), len);
			}
			fx.closed = true;
			udp_lab_limit(&fx.lab);
			unsent += many;
			while (stats->udp_unsent < unsent && udp_lab_turn(&fx.lab))
				;
			assert_int_equal(stats->udp_unsent, unsent);
			assert_int_equal(fx.lab.server->n_free_peers, places);
		}
	fx.closed = false;
	for (unsigned i = 0; i < MANY; i++) {
		size_t len = question(i, msg);
		assert_int_equal(send(fx.lab.clients[0], msg, len, 0), len);
	}
	for (unsigned i = 0; i < MANY; i++)
		answer_expect(fx.lab.clients[0], i);
	assert_int_equal(stats->udp_unsent, unsent);
}

int main(void)
{
#define BOTH(t) \
	cmocka_unit_test_setup_teardown(t, setup_one, teardown), \
		cmocka_unit_test_setup_teardown(t, setup_all, teardown)
	const struct CMUnitTest tests[] = {
		BOTH(test_together),
		BOTH(test_by_turns),
		BOTH(test_refused),
		BOTH(test_never),
		BOTH(test_unsent),
		cmocka_unit_test_setup_teardown(test_addresses, setup_all, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup_two, teardown),
		cmocka_unit_test_setup_teardown(test_six, setup_all_six, teardown),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
