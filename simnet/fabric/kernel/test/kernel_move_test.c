/* What passes around the moment when a line is back. */
#include "simnet/fabric/kernel/test/kernel_lab.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUTER = 0, PORT = 4000, EVERY_US = 500, ROUNDS = 100, SENDERS = 4 };

/* A host that never stops sending, so that something is on its way at every moment. */
static pid_t send_always(int fd, const struct endpoint *to)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	for (;;) {
		send_to(fd, to);
		usleep(EVERY_US);
	}
}

/* Of an inside host only one place is seen behind the new address: a mapping of before would be believed, and be gone. */
static int has_forgotten(void *arg)
{
	enum { REST_MS = 500 }; /* what was on its way has come */
	const struct engine_ops *engine = *(const struct engine_ops *const *)arg;
	struct lab l = { 0 };
	add_node(&l, "server", -1);
	add_router(&l, "home", -1)->model.ports = NAT_PORTS_RANDOM;
	add_node(&l, "alice", ROUTER);
	if (start_on(&l, engine))
		return 1;
	int server = udp_on(&l, SERVER, PORT), alice = udp_on(&l, ALICE, PORT);
	struct endpoint to = at(&l, SERVER, PORT), seen;
	struct scn_plug outer = { -1, ROUTER, 0 };
	struct scn_iface f = topology_iface(&l.s, 0, outer);
	CHECK(seen_by_server(&l, alice, server, PORT).port, "nothing passes");
	pid_t sender = send_always(alice, &to);
	f.off = true;
	int err = engine->plug(l.e, outer, &f, &l.eb);
	f.off = false;
	f.ip = addr_v4(0xcb007177);
	err = err ? err : engine->plug(l.e, outer, &f, &l.eb);
	kill(sender, SIGKILL);
	waitpid(sender, NULL, 0);
	CHECK(err == 0, "%s", l.eb.text);
	uint16_t port = 0;
	send_to(alice, &to);
	while (receive(server, &seen, port ? REST_MS : ARRIVE_MS)) {
		if (!addr_equal(&seen.ip, &f.ip))
			continue;
		CHECK(!port || port == seen.port, "seen as port %u, then as %u", (unsigned)port,
			(unsigned)seen.port);
		port = seen.port;
	}
	CHECK(port, "nothing passes any more");
	engine->close(l.e);
	hosts_close(l.h);
	return 0;
}

/* One packet, as soon as its host knows a way. Several at this keep the processors from what raises the line. */
static pid_t send_first(int fd, const struct endpoint *to)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, false, &ss);
	pid_t pid = fork();
	if (pid)
		return pid;
	while (sendto(fd, "x", 1, 0, (struct sockaddr *)&ss, len) < 0)
		;
	_exit(0);
}

/* A program that hears of its new address or route speaks at once, and a SYN that is lost then costs it a second. */
static int loses_no_first(void *arg)
{
	const struct engine_ops *engine = *(const struct engine_ops *const *)arg;
	struct lab l = { 0 };
	add_node(&l, "server", -1);
	add_router(&l, "home", -1);
	add_node(&l, "alice", ROUTER);
	if (start_on(&l, engine))
		return 1;
	int server = udp_on(&l, SERVER, PORT), alice = udp_on(&l, ALICE, PORT);
	struct endpoint to = at(&l, SERVER, PORT);
	struct scn_plug link = { ALICE, -1, 0 };
	struct scn_iface f = topology_iface(&l.s, 0, link);
	for (int i = 0; i < ROUNDS; i++) {
		f.off = true;
		CHECK(engine->plug(l.e, link, &f, &l.eb) == 0, "%s", l.eb.text);
		pid_t senders[SENDERS];
		for (int k = 0; k < SENDERS; k++)
			senders[k] = send_first(alice, &to);
		f.off = false;
		int err = engine->plug(l.e, link, &f, &l.eb);
		for (int k = 0; k < SENDERS; k++) {
			if (err)
				kill(senders[k], SIGKILL);
			waitpid(senders[k], NULL, 0);
		}
		CHECK(err == 0, "%s", l.eb.text);
		for (int k = 0; k < SENDERS; k++)
			CHECK(receive(server, NULL, ARRIVE_MS), "lost in round %d", i + 1);
	}
	engine->close(l.e);
	hosts_close(l.h);
	return 0;
}

static void test_first_packet(void **state)
{
	static const struct engine_ops *const engines[] = { &engine_kernel, &engine_user };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(engines); i++)
		in_sandbox(loses_no_first, (void *)(uintptr_t)&engines[i]);
}

static void test_comes_back(void **state)
{
	static const struct engine_ops *const engines[] = { &engine_kernel, &engine_user };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(engines); i++)
		in_sandbox(has_forgotten, (void *)(uintptr_t)&engines[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_back),
		cmocka_unit_test(test_first_packet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
