/* Sockets of questions by UDP: what a stranger has to guess, and what he cannot find out. */
#include "resolver/exchange/exchange.h"

#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { QUESTIONS = 64, LEN = 20, NEAR = 64 };

struct fixture {
	struct loop *loop;
	struct exchange *x;
	int server;
	struct endpoint at;
	unsigned received;
};

static void received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	(void)id, (void)msg, (void)len;
	((struct fixture *)arg)->received++;
}

static void failed(void *arg, uint64_t id, int code)
{
	(void)arg;
	fail_msg("question %u fails: %d", (unsigned)id, code);
}

static void woken(void *arg)
{
	(void)arg;
}

static int setup(void **state)
{
	static struct fixture f;
	struct endpoint any = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct errbuf eb = { 0 };
	f = (struct fixture) { .loop = loop_new(), .server = sock_udp(&any, &eb) };
	struct exchange_options o = { .loop = f.loop, .rnd = &random_system, .arg = &f };
	o.received = received;
	o.failed = failed;
	o.woken = woken;
	f.x = exchange_open(&o, &eb);
	assert_true(f.server >= 0 && f.x);
	sock_local(f.server, &f.at);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	exchange_close(f->x);
	close(f->server);
	loop_free(f->loop);
	return 0;
}

static uint16_t ask(struct fixture *f, uint64_t id)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct endpoint from;
	uint8_t msg[LEN] = { 0 };
	be_put(msg, 8, id);
	exchange_send(f->x, id, &(struct exchange_to) { .at = f->at, .by = EXCHANGE_UDP }, msg, sizeof(msg));
	assert_true(exchange_is_settled(f->x));
	assert_int_equal(recvfrom(f->server, msg, sizeof(msg), 0, (struct sockaddr *)&ss, &n), LEN);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&ss, &from));
	return from.port;
}

/* SAD DNS (CVE-2020-25705), DNSpooq: each question has a port of its own that cannot be guessed from those before, and
 * who is not asked gets nothing in, nor learns whether the port is open. */
static void test_ports(void **state)
{
	struct fixture *f = *state;
	uint16_t ports[QUESTIONS];
	unsigned near = 0;
	for (unsigned i = 0; i < QUESTIONS; i++) {
		ports[i] = ask(f, i);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(ports[i], ports[k]);
		near += i &&
			(ports[i] > ports[i - 1] ? ports[i] - ports[i - 1] : ports[i - 1] - ports[i]) < NEAR;
	}
	assert_true(near < QUESTIONS / 4);

	struct endpoint stranger = { .ip = addr_v4(0x7f000002) }, to = f->at;
	struct sockaddr_storage ss;
	uint8_t msg[LEN] = { 0 };
	int fd = sock_udp(&stranger, NULL);
	to.port = ports[0];
	socklen_t n = endpoint_to_sockaddr(&to, false, &ss);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), 0);
	assert_int_equal(send(fd, msg, sizeof(msg), 0), LEN);
	assert_int_equal(send(fd, msg, sizeof(msg), 0), -1); /* as for a port that nobody has */
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	assert_int_equal(sendto(f->server, msg, sizeof(msg), 0, (struct sockaddr *)&ss, n), LEN);
	while (!f->received)
		loop_run_once(f->loop);
	assert_int_equal(f->received, 1); /* the server's, which came after the stranger's */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_ports, setup, teardown) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
