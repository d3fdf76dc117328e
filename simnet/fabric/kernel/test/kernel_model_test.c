/* What a model says beyond the classes, with real packets; and what the engine refuses to be. */
#include "simnet/fabric/kernel/test/kernel_lab.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { OTHER = 1, BEA = 3 }; /* nodes of start_two: server, other, alice, bea */

/* alice and bea behind home, server and other outside. */
static struct scn_router *prepare_two(struct lab *l)
{
	add_node(l, "server", -1);
	add_node(l, "other", -1);
	struct scn_router *r = add_router(l, "home", -1);
	add_node(l, "alice", 0);
	add_node(l, "bea", 0);
	return r;
}
enum { ALICE_IN = 2 };

static int start_checked(struct lab *l)
{
	if (start(l))
		return 1;
	CHECK(self_test(l) == 0, "%s", l->eb.text);
	return 0;
}

static int expect_reason(struct lab *l, const char *rule)
{
	struct engine_drop drops[64];
	size_t n = engine_kernel.drops(l->e, drops, ARRAY_LEN(drops));
	for (size_t i = 0; i < n; i++)
		if (!strcmp(drops[i].where, "home") && strstr(drops[i].rule, rule))
			return 0;
	CHECK(n != 0, "no drop, not even '%s'", rule);
	CHECK(false, "first drop is %s: %s, not '%s'", drops[0].where, drops[0].rule, rule);
	return 1;
}

/* The outer port that the server sees of inner ports from..from+n-1 of a node; 0: did not arrive. */
static void outer_ports(struct lab *l, int node, int server_fd, uint16_t from, size_t n, uint16_t *out)
{
	for (size_t i = 0; i < n; i++) {
		int fd = udp_on(l, node, (uint16_t)(from + i));
		out[i] = fd < 0 ? 0 : seen_by_server(l, fd, server_fd, 4000).port;
		close(fd);
	}
}

/* ---- port policies ---- */

static int preserved(void *arg)
{
	struct lab l = { 0 };
	uint16_t a[3], b[3];
	(void)arg;
	prepare_two(&l)->model.ports = NAT_PORTS_PRESERVE;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), other = udp_on(&l, OTHER, 4000);
	outer_ports(&l, ALICE_IN, server, 5000, 3, a);
	outer_ports(&l, BEA, server, 5000, 3, b);
	for (int i = 0; i < 3; i++) {
		CHECK(a[i] == 5000 + i, "%d became %u", 5000 + i, a[i]);
		CHECK(b[i] >= 61440, "bea's %d became %u", 5000 + i, b[i]);
	}
	/* Nor towards an outside endpoint that alice has no flow with. */
	int bea = udp_on(&l, BEA, 5001);
	struct endpoint from = { 0 }, to = at(&l, OTHER, 4000);
	send_to(bea, &to);
	CHECK(receive(other, &from, ARRIVE_MS) && from.port == b[1], "bea's 5001 is %u there, %u here",
		from.port, b[1]);
	stop(&l);
	return 0;
}

static int overloaded(void *arg)
{
	struct lab l = { 0 };
	struct endpoint from = { 0 };
	(void)arg;
	prepare_two(&l)->model.ports = NAT_PORTS_OVERLOAD;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), other = udp_on(&l, OTHER, 4000),
	    alice = udp_on(&l, ALICE_IN, 5000), bea = udp_on(&l, BEA, 5000);
	struct endpoint to = at(&l, OTHER, 4000);
	CHECK(seen_by_server(&l, alice, server, 4000).port == 5000, "alice's port is not kept");
	send_to(bea, &to);
	CHECK(receive(other, &from, ARRIVE_MS) && from.port == 5000, "bea's port is not overloaded: %u",
		from.port);
	from = seen_by_server(&l, bea, server, 4000);
	CHECK(from.port && from.port != 5000, "one port for two towards one endpoint");
	stop(&l);
	return 0;
}

static int sequential(void *arg)
{
	struct lab l = { 0 };
	uint16_t p[6];
	(void)arg;
	prepare_two(&l)->model.ports = NAT_PORTS_SEQUENTIAL;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000);
	outer_ports(&l, ALICE_IN, server, 5000, 3, p);
	outer_ports(&l, BEA, server, 5000, 3, p + 3);
	for (int i = 1; i < 6; i++)
		CHECK(p[0] && p[i] == p[0] + i, "port %d is %u behind %u", i, p[i], p[0]);
	/* A mapping that is known takes its port again. */
	outer_ports(&l, ALICE_IN, server, 5001, 1, p + 5);
	CHECK(p[5] == p[1], "%u came back as %u", p[1], p[5]);
	stop(&l);
	return 0;
}

static int by_chance(void *arg)
{
	struct lab l = { 0 };
	uint16_t p[16], neighbours = 0;
	(void)arg;
	prepare_two(&l)->model.ports = NAT_PORTS_RANDOM;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000);
	outer_ports(&l, ALICE_IN, server, 5000, 16, p);
	for (int i = 0; i < 16; i++) {
		CHECK(p[i], "flow %d is lost", i);
		neighbours += i && p[i] == p[i - 1] + 1;
		for (int k = 0; k < i; k++)
			CHECK(p[i] != p[k], "one port for two");
	}
	CHECK(neighbours < 4, "%u neighbours of 15", neighbours);
	stop(&l);
	return 0;
}

static int parity(void *arg)
{
	struct lab l = { 0 };
	uint16_t p[16];
	(void)arg;
	prepare_two(&l)->model.ports = NAT_PORTS_PARITY;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000);
	outer_ports(&l, ALICE_IN, server, 5000, 16, p);
	for (int i = 0; i < 16; i++)
		CHECK(p[i] && p[i] % 2 == i % 2, "%d became %u", 5000 + i, p[i]);
	stop(&l);
	return 0;
}

static int blocks(void *arg)
{
	const uint32_t *size = arg;
	struct lab l = { 0 };
	uint16_t a[9], b[1];
	(void)arg;
	struct nat_model *m = &prepare_two(&l)->model;
	m->ports = NAT_PORTS_BLOCK;
	m->block_ports = *size;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000);
	outer_ports(&l, ALICE_IN, server, 5000, 8, a);
	for (int i = 0; i < 8; i++) {
		CHECK(a[i] && a[i] / *size == a[0] / *size, "port %u and %u in one block of %u", a[0], a[i],
			*size);
		for (int k = 0; k < i; k++)
			CHECK(a[i] != a[k], "one port for two");
	}
	outer_ports(&l, BEA, server, 5000, 1, b);
	CHECK(b[0] && b[0] / *size != a[0] / *size, "bea's %u is in alice's block", b[0]);
	if (*size == 8) {
		struct endpoint to = at(&l, SERVER, 4000);
		send_to(udp_on(&l, ALICE_IN, 5008), &to);
		CHECK(!receive(server, NULL, NOTHING_MS), "a ninth port of eight");
		if (expect_reason(&l, "the host's block of ports is used up"))
			return 1;
	}
	stop(&l);
	return 0;
}

static void test_port_policies(void **state)
{
	uint32_t sizes[] = { 8, 64, 1024 };
	(void)state;
	in_sandbox(preserved, NULL);
	in_sandbox(overloaded, NULL);
	in_sandbox(sequential, NULL);
	in_sandbox(by_chance, NULL);
	in_sandbox(parity, NULL);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		in_sandbox(blocks, &sizes[i]);
}

/* ---- pools ---- */

static int pool(void *arg)
{
	const bool *arbitrary = arg;
	struct lab l = { 0 };
	unsigned used = 0;
	struct scn_router *r = prepare_two(&l);
	set_classes(r, NAT_EIM, NAT_EIF);
	r->model.pool = 4;
	r->model.pool_arbitrary = *arbitrary;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), stranger = udp_on(&l, OTHER, 4001);
	for (uint16_t i = 0; i < 16; i++) {
		int alice = udp_on(&l, ALICE_IN, (uint16_t)(5000 + i));
		struct endpoint seen = seen_by_server(&l, alice, server, 4000), wrong = seen;
		uint32_t which = addr_v4_get(&seen.ip) - addr_v4_get(&l.r[0].wan);
		CHECK(seen.port && which < 4, "not an address of the pool");
		used |= 1u << which;
		send_to(stranger, &seen);
		CHECK(receive(alice, NULL, ARRIVE_MS), "the mapping is not open at its address");
		wrong.ip = topology_pool(&l.r[0], (which + 1) % 4);
		send_to(stranger, &wrong);
		CHECK(!receive(alice, NULL, NOTHING_MS / 4), "the mapping is open at another address");
		close(alice);
	}
	bool one = (used & (used - 1)) == 0;
	CHECK(one != *arbitrary, "addresses used: 0x%x", used);
	stop(&l);
	return 0;
}

static void test_pools(void **state)
{
	bool arbitrary[] = { false, true };
	(void)state;
	in_sandbox(pool, &arbitrary[0]);
	in_sandbox(pool, &arbitrary[1]);
}

/* ---- hairpin with filtering ---- */

static int hairpin_filtered(void *arg)
{
	static const struct {
		enum nat_filtering filtering;
		bool unasked, other_port; /* come in */
	} rows[] = { { NAT_EIF, true, true }, { NAT_ADF, false, true }, { NAT_APDF, false, false } };
	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lab l = { 0 };
		struct scn_router *r = prepare_two(&l);
		set_classes(r, NAT_EIM, rows[i].filtering);
		r->model.hairpin = NAT_HAIRPIN_EXTERNAL;
		r->model.hairpin_filters = true;
		if (start_checked(&l))
			return 1;
		int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE_IN, 5000),
		    bea = udp_on(&l, BEA, 5000), bea2 = udp_on(&l, BEA, 5001);
		struct endpoint a = seen_by_server(&l, alice, server, 4000), from,
				b = seen_by_server(&l, bea, server, 4000);
		(void)seen_by_server(&l, bea2, server, 4000);
		send_to(bea, &a);
		CHECK(receive(alice, NULL, rows[i].unasked ? ARRIVE_MS : NOTHING_MS) == rows[i].unasked,
			"row %zu: unasked", i);
		if (!rows[i].unasked && expect_reason(&l, "lan: hairpin, but not for this sender"))
			return 1;
		send_to(alice, &b);
		CHECK(receive(bea, &from, ARRIVE_MS) && endpoint_equal(&from, &a),
			"row %zu: bea has sent to alice, and yet", i);
		send_to(bea, &a);
		CHECK(receive(alice, &from, ARRIVE_MS) && endpoint_equal(&from, &b),
			"row %zu: both have sent, and yet", i);
		send_to(bea2, &a);
		CHECK(receive(alice, NULL, rows[i].other_port ? ARRIVE_MS : NOTHING_MS) == rows[i].other_port,
			"row %zu: another port of bea", i);
		stop(&l);
	}
	return 0;
}

static void test_hairpin_filtered(void **state)
{
	(void)state;
	in_sandbox(hairpin_filtered, NULL);
}

/* ---- lifetimes; the waits are the thing tested ---- */

static int two_lifetimes(void *arg)
{
	struct lab l = { 0 };
	struct nat_lifetimes *life = &prepare_two(&l)->model.lifetimes;
	(void)arg;
	life->udp_new_s = 1;
	life->udp_s = 4;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE_IN, 5000),
	    bea = udp_on(&l, BEA, 5000);
	struct endpoint a = seen_by_server(&l, alice, server, 4000),
			b = seen_by_server(&l, bea, server, 4000);
	send_to(server, &a);
	CHECK(receive(alice, NULL, ARRIVE_MS), "no answer");
	CHECK(!receive(alice, NULL, 2200), "a packet from nowhere");
	send_to(server, &b);
	CHECK(!receive(bea, NULL, NOTHING_MS), "what nobody answered outlived its time");
	if (expect_reason(&l, "wan: the mapping has expired"))
		return 1;
	send_to(server, &a);
	CHECK(receive(alice, NULL, ARRIVE_MS), "what was answered did not live as long as it should");
	stop(&l);
	return 0;
}

static int refreshed(void *arg)
{
	const enum nat_refresh *refresh = arg;
	struct lab l = { 0 };
	struct nat_model *m = &prepare_two(&l)->model;
	m->lifetimes.udp_new_s = m->lifetimes.udp_s = 2;
	m->refresh = *refresh;
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE_IN, 5000);
	struct endpoint a = seen_by_server(&l, alice, server, 4000);
	bool last = false;
	for (int i = 0; i < 7; i++) { /* 3.5 s of packets that come in */
		send_to(server, &a);
		last = receive(alice, NULL, 500);
		CHECK(last || i > 2, "packet %d", i);
		if (last)
			(void)receive(alice, NULL, 500);
	}
	CHECK(last == (*refresh == NAT_REFRESH_BOTH), "the last one %s",
		last ? "came in" : "did not come in");
	stop(&l);
	return 0;
}

static void test_lifetimes(void **state)
{
	enum nat_refresh refresh[] = { NAT_REFRESH_BOTH, NAT_REFRESH_OUT };
	(void)state;
	in_sandbox(two_lifetimes, NULL);
	in_sandbox(refreshed, &refresh[0]);
	in_sandbox(refreshed, &refresh[1]);
}

/* ---- TCP of unknown flows ---- */

static int connected_tcp(struct lab *l, int *accepted)
{
	struct sockaddr_storage ss;
	struct endpoint to = at(l, SERVER, 80);
	socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(80) };
	int one = 1, listener = hosts_socket(l->h, SERVER, AF_INET, SOCK_STREAM, 0, &l->eb),
	    fd = hosts_socket(l->h, ALICE_IN, AF_INET, SOCK_STREAM, 0, &l->eb);
	if (listener < 0 || fd < 0 || setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)) < 0 ||
		bind(listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(listener, 8) < 0 ||
		connect(fd, (struct sockaddr *)&ss, len) < 0)
		return -1;
	*accepted = accept(listener, NULL, NULL);
	close(listener);
	return *accepted < 0 ? -1 : fd;
}

static int forget_flows(struct lab *l)
{
	int err = netns_enter(kernel_router_net(l->e, 0), &l->eb);
	if (!err)
		err = kernel_conntrack_flush(&l->eb);
	netns_return(hosts_home(l->h));
	return err;
}

static int unknown_tcp(void *arg)
{
	static const struct {
		enum nat_unknown unknown;
		int error; /* that alice's socket meets; 0 = none */
		bool passes;
	} rows[] = {
		{ NAT_UNKNOWN_LOOSE, 0, true },
		{ NAT_UNKNOWN_STRICT, EHOSTUNREACH, false },
		{ NAT_UNKNOWN_RESET, ECONNRESET, false },
		{ NAT_UNKNOWN_SILENT, 0, false },
	};
	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lab l = { 0 };
		prepare_two(&l)->model.tcp_unknown = rows[i].unknown;
		if (start_checked(&l))
			return 1;
		int accepted = -1, fd = connected_tcp(&l, &accepted), error = 0;
		socklen_t len = sizeof(error);
		char byte;
		CHECK(fd >= 0, "row %zu: not connected", i);
		CHECK(send(fd, "a", 1, 0) == 1 && recv(accepted, &byte, 1, 0) == 1, "row %zu", i);
		CHECK(forget_flows(&l) == 0, "%s", l.eb.text);
		CHECK(send(fd, "b", 1, MSG_NOSIGNAL) == 1, "row %zu", i);
		struct pollfd in = { .fd = accepted, .events = POLLIN }, out = { .fd = fd, .events = POLLIN };
		bool passes = poll(&in, 1, rows[i].passes ? ARRIVE_MS : NOTHING_MS) == 1;
		CHECK(passes == rows[i].passes, "row %zu: it %s", i, passes ? "passes" : "does not pass");
		if (rows[i].error)
			CHECK(poll(&out, 1, ARRIVE_MS) == 1, "row %zu: no error", i);
		CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == rows[i].error,
			"row %zu: error %d (%s)", i, error, strerror(error));
		if (!rows[i].passes && expect_reason(&l, "TCP of a connection it does not know"))
			return 1;
		stop(&l);
	}
	return 0;
}

static void test_unknown_tcp(void **state)
{
	(void)state;
	in_sandbox(unknown_tcp, NULL);
}

/* ---- table, ICMP errors, forwards ---- */

static int small_table(void *arg)
{
	struct lab l = { 0 };
	uint16_t p[4];
	struct nat_model *m = &prepare_two(&l)->model;
	(void)arg;
	m->table = 4;
	m->lifetimes.udp_new_s = m->lifetimes.udp_s = 2;
	if (start(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000);
	outer_ports(&l, ALICE_IN, server, 5000, 4, p);
	for (int i = 0; i < 4; i++)
		CHECK(p[i], "mapping %d of 4", i);
	struct endpoint to = at(&l, SERVER, 4000);
	int fifth = udp_on(&l, BEA, 5000);
	send_to(fifth, &to);
	CHECK(!receive(server, NULL, NOTHING_MS), "a fifth mapping of four");
	if (expect_reason(&l, "no mapping: the table is full"))
		return 1;
	outer_ports(&l, ALICE_IN, server, 5000, 1, p + 1);
	CHECK(p[1] == p[0], "a mapping that is there does not pass");
	/* Room comes back by silence: the mappings die, and then are swept. */
	bool room = false;
	for (int i = 0; i < 20 && !room; i++) {
		send_to(fifth, &to);
		room = receive(server, NULL, 500);
	}
	CHECK(room, "expired mappings give no room");
	stop(&l);
	return 0;
}

static int icmp_errors(void *arg)
{
	(void)arg;
	for (int lost = 0; lost < 2; lost++) {
		struct lab l = { 0 };
		char byte;
		prepare_two(&l)->model.icmp_errors_lost = lost;
		if (start_checked(&l))
			return 1;
		int alice = udp_on(&l, ALICE_IN, 5000);
		struct sockaddr_storage ss;
		struct endpoint to = at(&l, SERVER, 9); /* nobody listens there */
		socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
		struct pollfd pf = { .fd = alice, .events = POLLIN };
		CHECK(connect(alice, (struct sockaddr *)&ss, len) == 0 && send(alice, "x", 1, 0) == 1,
			"connect");
		bool told = poll(&pf, 1, lost ? NOTHING_MS : ARRIVE_MS) == 1 &&
			    recv(alice, &byte, 1, 0) < 0 && errno == ECONNREFUSED;
		CHECK(told == !lost, "the error %s", told ? "comes" : "does not come");
		if (lost && expect_reason(&l, "ICMP errors do not pass"))
			return 1;
		stop(&l);
	}
	return 0;
}

static int forwards(void *arg)
{
	enum nat_ports *ports = arg;
	struct lab l = { 0 };
	struct nat_model *m = &prepare_two(&l)->model;
	m->ports = *ports;
	m->hairpin = *ports == NAT_PORTS_OVERLOAD ? NAT_HAIRPIN_OFF : NAT_HAIRPIN_EXTERNAL;
	m->forwards[m->n_forwards++] =
		(struct nat_forward) { .proto = 17, .port = 4242, .to = "alice", .to_port = 5000 };
	if (start_checked(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE_IN, 5000),
	    bea = udp_on(&l, BEA, *ports == NAT_PORTS_PRESERVE ? 4242 : 5000);
	struct endpoint hole = { .ip = l.r[0].wan, .port = 4242 }, from;
	send_to(server, &hole);
	CHECK(receive(alice, &from, ARRIVE_MS), "the forward does not lead to alice");
	send_to(alice, &from);
	CHECK(receive(server, &from, ARRIVE_MS) && endpoint_equal(&from, &hole), "its answers come from %u",
		from.port);
	int other = udp_on(&l, OTHER, 4001);
	struct endpoint to = at(&l, OTHER, 4001);
	send_to(alice, &to);
	CHECK(receive(other, &from, ARRIVE_MS) && from.port == 4242, "what alice sends comes from %u",
		from.port);
	from = seen_by_server(&l, bea, server, 4000);
	CHECK(from.port && from.port != 4242, "bea has the forwarded port");
	if (m->hairpin) {
		send_to(bea, &hole);
		CHECK(receive(alice, &from, ARRIVE_MS), "the forward does not hairpin");
	}
	stop(&l);
	return 0;
}

static void test_table(void **state)
{
	(void)state;
	in_sandbox(small_table, NULL);
}

static void test_icmp_errors(void **state)
{
	(void)state;
	in_sandbox(icmp_errors, NULL);
}

static void test_forwards(void **state)
{
	enum nat_ports rows[] = { NAT_PORTS_HASH, NAT_PORTS_PRESERVE, NAT_PORTS_SEQUENTIAL,
		NAT_PORTS_OVERLOAD };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		in_sandbox(forwards, &rows[i]);
}

/* ---- presets: each passes its own test, all at once ---- */

static int presets(void *arg)
{
	static char names[24][16];
	struct lab l = { 0 };
	(void)arg;
	for (size_t i = 0; i < nat_n_presets; i++) {
		snprintf(names[i], sizeof(names[i]), "nat%zu", i);
		struct scn_router *r = add_router(&l, names[i], -1);
		r->nat = nat_presets[i].translates;
		r->model = nat_presets[i].model;
	}
	if (start(&l))
		return 1;
	for (int i = 0; i < 2; i++)
		CHECK(self_test(&l) == 0, "%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_presets(void **state)
{
	(void)state;
	in_sandbox(presets, NULL);
}

/* ---- what it cannot be ---- */

static struct nat_model with(void (*change)(struct nat_model *m))
{
	struct nat_model m = nat_model_default;
	change(&m);
	return m;
}

#define CHANGE(name, ...) \
	static void name(struct nat_model *m) \
	{ \
		__VA_ARGS__; \
	}
CHANGE(refresh_in, m->refresh = NAT_REFRESH_IN)
CHANGE(no_fragments, m->fragments = NAT_FRAGMENTS_NONE)
CHANGE(overload_adf, m->ports = NAT_PORTS_OVERLOAD; m->udp.filtering = NAT_ADF)
CHANGE(overload_hairpin, m->ports = NAT_PORTS_OVERLOAD; m->hairpin = NAT_HAIRPIN_EXTERNAL)
CHANGE(stubborn, m->ports = NAT_PORTS_PRESERVE; m->accepts_wan = true)
CHANGE(moves, m->expiry = NAT_EXPIRY_MOVE)
CHANGE(keeps, m->ports = NAT_PORTS_RANDOM; m->expiry = NAT_EXPIRY_KEEP)
CHANGE(drawn_young, m->ports = NAT_PORTS_SEQUENTIAL; m->lifetimes.udp_new_s = 30)
CHANGE(pool_block, m->ports = NAT_PORTS_BLOCK; m->block_ports = 64; m->pool = 2)
CHANGE(pool_open, m->accepts_wan = true; m->pool = 2)
CHANGE(filters_internal, m->hairpin = NAT_HAIRPIN_INTERNAL; m->hairpin_filters = true)
CHANGE(open_young, m->accepts_wan = true; m->lifetimes.udp_new_s = 30)
CHANGE(stream_hash, m->lifetimes.udp_new_s = 30; m->udp_stream_s = NAT_STREAM_S)
CHANGE(stream_late, m->ports = NAT_PORTS_OVERLOAD; m->lifetimes.udp_new_s = 30; m->udp_stream_s = 5)
CHANGE(closing, m->tcp.filtering = NAT_EIF; m->lifetimes.tcp_closing_s = 10)

static void test_refused(void **state)
{
	static const struct {
		void (*change)(struct nat_model *m);
		const char *why;
	} rows[] = { { refresh_in, "only inbound packets refresh" }, { no_fragments, "puts them together" },
		{ overload_adf, "overloaded ports" }, { overload_hairpin, "overloaded ports" },
		{ stubborn, "do not give way" }, { moves, "move after expiry" },
		{ keeps, "come back after expiry" }, { drawn_young, "expire before conntrack's flow" },
		{ pool_block, "a pool of addresses" }, { pool_open, "a pool of addresses" },
		{ filters_internal, "keep the inner source" }, { closing, "closing TCP" },
		{ open_young, "as long as what was answered" }, { stream_hash, "not conntrack's" },
		{ stream_late, "not conntrack's" } };
	const char *why = NULL;
	(void)state;
	assert_true(kernel_can(&nat_model_default, &why));
	for (size_t i = 0; i < nat_n_presets; i++)
		if (!kernel_can(&nat_presets[i].model, &why))
			fail_msg("%s: %s", nat_presets[i].word, why);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nat_model m = with(rows[i].change);
		assert_null(nat_model_trouble(&m));
		if (kernel_can(&m, &why) || !strstr(why, rows[i].why))
			fail_msg("row %zu: %s", i, why ? why : "taken");
	}
}

static int refused_by_name(void *arg)
{
	struct lab l = { .s = { .file = "t.yaml", .name = "t", .seed = 1 } };
	(void)arg;
	prepare_two(&l)->model.refresh = NAT_REFRESH_IN;
	l.s.routers = l.r;
	l.s.nodes = l.n;
	CHECK(topology_plan(&l.s, &l.eb) == 0 && hosts_open(&l.s, "/run", &l.h, &l.eb) == 0, "%s", l.eb.text);
	CHECK(engine_kernel.open(&l.s, l.h, &l.e, &l.eb) == ERR_UNSUPPORTED, "%s", l.eb.text);
	CHECK(strstr(l.eb.text, "router 'home' needs the userspace engine: mappings that only inbound"), "%s",
		l.eb.text);
	hosts_close(l.h);
	return 0;
}

static void test_refused_by_name(void **state)
{
	(void)state;
	in_sandbox(refused_by_name, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_by_name),
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_port_policies),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_hairpin_filtered),
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_unknown_tcp),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_icmp_errors),
		cmocka_unit_test(test_forwards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
