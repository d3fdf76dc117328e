/* What becomes of mappings, with real packets: every test builds a topology inside a sandbox of its own. */
#include "simnet/fabric/kernel/test/kernel_lab.h"

#include "mesh/os/loop.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- what happens to mappings ---- */

static int mappings(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	if (start_pair(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE, 5000);
	struct endpoint before = seen_by_server(&l, alice, server, 4000);
	CHECK(endpoint_is_set(&before), "nothing arrived");
	CHECK(addr_equal(&before.ip, &l.r[0].wan), "not translated");
	send_to(server, &before);
	CHECK(receive(alice, NULL, ARRIVE_MS), "no answer");
	for (int i = 0; i < 5; i++) {
		CHECK(engine_kernel.reset(l.e, 0, &l.eb) == 0, "%s", l.eb.text);
		send_to(server, &before);
		CHECK(!receive(alice, NULL, NOTHING_MS), "a forgotten mapping still works");
		struct endpoint after = seen_by_server(&l, alice, server, 4000);
		CHECK(endpoint_is_set(&after), "nothing arrived after the reset");
		CHECK(after.port != before.port, "the same port %u came back", after.port);
		before = after;
	}
	struct engine_drop drops[8];
	size_t n = engine_kernel.drops(l.e, drops, 8);
	CHECK(n == 5, "%zu drops", n);
	CHECK(!strcmp(drops[0].where, "home") && !strcmp(drops[0].rule, "wan: unsolicited, no mapping"),
		"%s: %s", drops[0].where, drops[0].rule);
	stop(&l);
	return 0;
}

static void test_mappings(void **state)
{
	(void)state;
	in_sandbox(mappings, NULL);
}

/* So often that some packet meets every moment of a reset. */
static pid_t flood(int fd, const struct endpoint *to)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		send_to(fd, to);
		usleep(100);
	}
}

static int mappings_in_use(void *arg)
{
	enum { RESETS = 10 };
	struct lab l = { 0 };
	(void)arg;
	if (start_pair(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE, 5000);
	struct endpoint to = at(&l, SERVER, 4000), before = seen_by_server(&l, alice, server, 4000), after;
	pid_t sender = flood(alice, &to);
	for (int i = 0; i < RESETS; i++) {
		CHECK(engine_kernel.reset(l.e, 0, &l.eb) == 0, "%s", l.eb.text);
		/* What was behind the rules already may come late where a processor is; what they learn stays. */
		uint64_t end_ns = clock_now_ns() + ARRIVE_MS * 1000000ull;
		do
			CHECK(receive(server, &after, ARRIVE_MS), "nothing arrives after the reset");
		while (after.port == before.port && clock_now_ns() < end_ns);
		CHECK(after.port != before.port, "reset %d: the same port %u came back", i, after.port);
		before = after;
	}
	kill(sender, SIGKILL);
	(void)waitpid(sender, NULL, 0);
	stop(&l);
	return 0;
}

static void test_mappings_in_use(void **state)
{
	(void)state;
	in_sandbox(mappings_in_use, NULL);
}

static int same_ports_again(void *arg)
{
	uint16_t *port = arg;
	struct lab l = { 0 };
	l.s.seed = 99;
	if (start_pair(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE, 5000);
	*port = seen_by_server(&l, alice, server, 4000).port;
	stop(&l);
	return 0;
}

static void test_seeded_ports(void **state)
{
	uint16_t *ports = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	(void)state;
	in_sandbox(same_ports_again, &ports[0]);
	in_sandbox(same_ports_again, &ports[1]);
	assert_int_not_equal(ports[0], 0);
	assert_int_equal(ports[0], ports[1]);
	munmap(ports, 4096);
}

/* Two hosts, many sockets each, one server: every flow passes, and no port belongs to two of them. */
static int many_flows(void *arg)
{
	enum { SOCKETS = 1500 };
	static uint8_t used[65536];
	struct lab l = { 0 };
	const enum nat_mapping *mapping = arg;
	add_node(&l, "server", -1);
	set_classes(add_router(&l, "home", -1), *mapping, NAT_APDF);
	add_node(&l, "alice", 0);
	add_node(&l, "bob", 0);
	if (start(&l))
		return 1;
	memset(used, 0, sizeof(used));
	int servers[] = { udp_on(&l, SERVER, 4000), udp_on(&l, SERVER, 4001) };
	for (int i = 0; i < SOCKETS; i++) {
		int fd = udp_on(&l, i % 2 ? ALICE : BOB, (uint16_t)(10000 + i / 2));
		struct endpoint first = seen_by_server(&l, fd, servers[0], 4000);
		CHECK(endpoint_is_set(&first), "flow %d is lost", i);
		CHECK(!used[first.port], "flow %d got port %u, which is another's", i, first.port);
		used[first.port] = 1;
		if (i % 50 == 0) { /* and a second destination, by the class of the mapping */
			struct endpoint second = seen_by_server(&l, fd, servers[1], 4001);
			CHECK(endpoint_is_set(&second), "the second flow of %d is lost", i);
			CHECK((second.port == first.port) == (*mapping != NAT_APDM),
				"flow %d: ports %u and %u", i, first.port, second.port);
			CHECK(second.port == first.port || !used[second.port], "port %u is another's",
				second.port);
			used[second.port] = 1;
		}
		close(fd);
	}
	stop(&l);
	return 0;
}

static void test_many_flows(void **state)
{
	(void)state;
	for (enum nat_mapping m = NAT_EIM; m < NAT_MAPPINGS; m++)
		in_sandbox(many_flows, &m);
}

/* Nothing is lost in silence. */
static int full_table(void *arg)
{
	static const char fill[] =
		"{ printf 'add element ip simnet taken_udp { 0x10'; i=17; while [ $i -lt 65536 ]; do "
		"test $((i & 16)) = 0 || printf ',%d' $i; i=$((i+1)); done; echo ' }'; } | nft -f -";
	struct lab l = { 0 };
	(void)arg;
	if (start_pair(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE, 5000);
	CHECK(run_on(&l, hosts_find(l.h, "home"), fill) == 0, "the table cannot be filled");
	struct endpoint to = at(&l, SERVER, 4000);
	send_to(alice, &to);
	send_to(alice, &to);
	CHECK(!receive(server, NULL, NOTHING_MS), "a flow without a port");
	struct engine_drop drops[8];
	size_t n = engine_kernel.drops(l.e, drops, 8);
	CHECK(n && !strcmp(drops[0].where, "home") &&
			!strcmp(drops[0].rule, "no mapping: every port that was tried is taken"),
		"%zu drops, first %s: %s", n, n ? drops[0].where : "", n ? drops[0].rule : "");
	unsigned told = 0;
	for (size_t i = 0; i < n; i++)
		told += drops[i].count ? drops[i].count : 1;
	CHECK(told == 2, "%u of 2 told", told);
	stop(&l);
	return 0;
}

static void test_full_table(void **state)
{
	(void)state;
	in_sandbox(full_table, NULL);
}

/* ms: for how long what should come is waited for, or what should not. */
static int tcp_connects_in(struct lab *l, int node, uint16_t from, const struct endpoint *to, int ms)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(from) };
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, false, &ss);
	int fd = hosts_socket(l->h, node, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, &l->eb), one = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -1;
	(void)!connect(fd, (struct sockaddr *)&ss, len);
	struct pollfd pf = { .fd = fd, .events = POLLOUT };
	int err = 0;
	socklen_t err_len = sizeof(err);
	if (poll(&pf, 1, ms) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &err_len) < 0 || err) {
		close(fd);
		return -1;
	}
	return fd;
}

static int tcp_connects(struct lab *l, int node, uint16_t from, const struct endpoint *to)
{
	return tcp_connects_in(l, node, from, to, ARRIVE_MS);
}

static uint16_t accepted_port(int listener)
{
	struct pollfd pf = { .fd = listener, .events = POLLIN };
	struct sockaddr_in sa = { 0 };
	socklen_t len = sizeof(sa);
	int fd = poll(&pf, 1, ARRIVE_MS) == 1 ? accept(listener, (struct sockaddr *)&sa, &len) : -1;
	if (fd >= 0)
		close(fd);
	return fd < 0 ? 0 : ntohs(sa.sin_port);
}

static int tcp_listener(struct lab *l, int node, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = hosts_socket(l->h, node, AF_INET, SOCK_STREAM, 0, &l->eb), one = 1;
	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
			       bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 8) < 0))
		return -1;
	return fd;
}

/* TCP has the classes too: mapping by what the file says, and filtering of what begins outside. */
static int tcp_classes(void *arg)
{
	enum { SYNS_MS = 2000 }; /* a second SYN follows after one */
	static const struct {
		enum nat_mapping m;
		enum nat_filtering f;
		bool same_port, stranger, other_port;
	} rows[] = {
		{ NAT_EIM, NAT_EIF, true, true, true },
		{ NAT_EIM, NAT_ADF, true, false, true },
		{ NAT_EIM, NAT_APDF, true, false, false },
		{ NAT_APDM, NAT_APDF, false, false, false },
	};
	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lab l = { 0 };
		add_node(&l, "server", -1);
		struct scn_router *r = add_router(&l, "home", -1);
		set_classes(r, rows[i].m, rows[i].f);
		add_node(&l, "alice", 0);
		int stranger = add_node(&l, "stranger", -1);
		l.n[stranger].is_service = false;
		if (start(&l))
			return 1;
		int a = tcp_listener(&l, SERVER, 80), b = tcp_listener(&l, SERVER, 81);
		struct endpoint to_a = at(&l, SERVER, 80), to_b = at(&l, SERVER, 81);
		CHECK(tcp_connects(&l, ALICE, 5000, &to_a) >= 0, "row %zu: TCP does not pass", i);
		uint16_t first = accepted_port(a);
		CHECK(tcp_connects(&l, ALICE, 5000, &to_b) >= 0, "row %zu: the second does not pass", i);
		uint16_t second = accepted_port(b);
		CHECK(first && second && (first == second) == rows[i].same_port, "row %zu: ports %u and %u",
			i, first, second);
		int inside = tcp_listener(&l, ALICE, 5000);
		struct endpoint hole = { .ip = l.r[0].wan, .port = first };
		bool got = inside >= 0 && tcp_connects_in(&l, SERVER, 4444, &hole,
						  rows[i].other_port ? ARRIVE_MS : SYNS_MS) >= 0;
		CHECK(got == rows[i].other_port, "row %zu: another port of the server %s in", i,
			got ? "comes" : "does not come");
		got = tcp_connects_in(&l, stranger, 4444, &hole, rows[i].stranger ? ARRIVE_MS : SYNS_MS) >= 0;
		CHECK(got == rows[i].stranger, "row %zu: a stranger %s in", i,
			got ? "comes" : "does not come");
		stop(&l);
	}
	return 0;
}

static void test_tcp_classes(void **state)
{
	(void)state;
	in_sandbox(tcp_classes, NULL);
}

static int short_lifetime(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	struct endpoint hole;
	add_node(&l, "server", -1);
	struct scn_router *r = add_router(&l, "home", -1);
	set_classes(r, NAT_EIM, NAT_EIF);
	r->model.lifetimes.udp_new_s = r->model.lifetimes.udp_s = 1;
	add_node(&l, "alice", 0);
	if (start(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), stranger = udp_on(&l, SERVER, 4001),
	    alice = udp_on(&l, ALICE, 5000);
	hole = seen_by_server(&l, alice, server, 4000);
	send_to(stranger, &hole);
	CHECK(receive(alice, NULL, ARRIVE_MS), "the hole is not open");
	/* The wait is the thing tested: a mapping must die of silence. */
	CHECK(!receive(alice, NULL, 2500), "a packet from nowhere");
	send_to(stranger, &hole);
	CHECK(!receive(alice, NULL, NOTHING_MS), "the mapping outlived its time");
	stop(&l);
	return 0;
}

static void test_short_lifetime(void **state)
{
	(void)state;
	in_sandbox(short_lifetime, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_mappings_in_use),
		cmocka_unit_test(test_seeded_ports),
		cmocka_unit_test(test_many_flows),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_tcp_classes),
		cmocka_unit_test(test_short_lifetime),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
