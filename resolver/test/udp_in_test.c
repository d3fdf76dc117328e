/* Datagrams one at a time and many at once, at an address and at all of them: whichever way they are read, each is answered
 * from where it was asked, and none costs the arrays for many that came alone. */
#include "resolver/server.h"

#include "resolver/listen.h"
#include "resolver/test/fake.h"
#include "resolver/test/udp_lab.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

enum { ALONE = 160, BURST = 100, LONG = UDP_IN + 1 };

struct fixture {
	struct udp_lab lab; /* its clients ask in turn, and each elsewhere where there is an elsewhere */
	uint8_t question[300];
	size_t len, extra; /* of the answer, beyond the question */
	unsigned looks;	   /* reads that look for more */
};
static struct fixture fx;

int __real_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout)
{
	fx.looks++;
	return __real_recvmmsg(fd, m, n, flags, timeout);
}

static int setup_at(uint32_t listen, uint32_t first, uint32_t second)
{
	struct endpoint at = { .ip = addr_v4(listen) };
	struct addr bob = addr_v4(0x64400002);
	struct zone *z = zone_new();
	fx = (struct fixture) { .extra = 16 };
	assert_true(z && !zone_add_address(z, "bob.mesh", &bob, false));
	udp_lab_open(&fx.lab, &at, 1, z);
	udp_lab_clients(&fx.lab, first, second);
	fx.len = fake_question(fx.question, "bob.mesh", DNS_A, DNS_RD);
	return 0;
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

static int teardown(void **state)
{
	(void)state;
	udp_lab_close(&fx.lab);
	return 0;
}

static void datagram_send(const void *msg, size_t len, unsigned id)
{
	assert_int_equal(send(fx.lab.clients[id % 2], msg, len, 0), len);
	udp_lab_limit(&fx.lab);
}

static void ask(unsigned id)
{
	be_put(fx.question, 2, id);
	datagram_send(fx.question, fx.len, id);
}

static void answer_expect(unsigned id)
{
	uint8_t b[DNS_UDP_SIZE];
	assert_int_equal(
		udp_lab_receive(&fx.lab, fx.lab.clients[id % 2], b, sizeof(b), NULL), fx.len + fx.extra);
	assert_int_equal(be_get(b, 2), id);
	assert_int_equal(b[3] & 15, DNS_NOERROR);
}

static void alone(void)
{
	for (unsigned i = 0; i < ALONE; i++) {
		ask(i);
		answer_expect(i);
	}
}

static void test_alone(void **state)
{
	(void)state;
	alone();
	assert_in_range(fx.looks, 1, ALONE / 4);
}

/* Who was alone is so no longer. */
static void test_burst(void **state)
{
	(void)state;
	alone();
	for (unsigned i = 0; i < BURST; i++)
		ask(i);
	for (unsigned i = 0; i < BURST; i++)
		answer_expect(i);
	fx.looks = 0;
	for (unsigned i = 0; i < BURST; i++)
		ask(i);
	for (unsigned i = 0; i < BURST; i++)
		answer_expect(i);
	assert_in_range(fx.looks, BURST / UDP_BATCH, BURST / UDP_BATCH + 1);
}

/* What is too long is counted and not answered, whichever way it is read. */
static void test_too_long(void **state)
{
	static uint8_t big[LONG];
	const struct resolver_server_stats *stats = resolver_server_stats(fx.lab.server);
	(void)state;
	memcpy(big, fx.question, fx.len);
	for (unsigned i = 0; i < ALONE; i++) {
		datagram_send(big, sizeof(big), i);
		while (stats->udp_oversize == i && udp_lab_turn(&fx.lab))
			;
		assert_int_equal(stats->udp_oversize, i + 1);
	}
	assert_in_range(fx.looks, 1, ALONE / 4);
	ask(7);
	answer_expect(7); /* and nothing else came before */
}

/* As long as there is room for: read whole. Bytes after a question are no part of it. */
static void test_longest(void **state)
{
	static uint8_t big[UDP_IN];
	(void)state;
	memcpy(big, fx.question, fx.len);
	for (unsigned i = 0; i < ALONE; i++) {
		be_put(big, 2, i);
		datagram_send(big, sizeof(big), i);
		answer_expect(i);
	}
	assert_int_equal(resolver_server_stats(fx.lab.server)->udp_oversize, 0);
}

int main(void)
{
#define BOTH(t) \
	cmocka_unit_test_setup_teardown(t, setup_one, teardown), \
		cmocka_unit_test_setup_teardown(t, setup_all, teardown)
	const struct CMUnitTest tests[] = {
		BOTH(test_alone),
		BOTH(test_burst),
		BOTH(test_too_long),
		BOTH(test_longest),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
