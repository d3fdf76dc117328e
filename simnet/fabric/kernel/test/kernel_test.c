/* Routers, cuts and drops with real packets: every test builds a topology inside a sandbox of its own. */
#include "simnet/fabric/kernel/test/kernel_lab.h"

#include "simnet/scenario/oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the nine classes ---- */

static int nine_classes(void *arg)
{
	static char names[9][16];
	struct lab l = { 0 };
	(void)arg;
	for (int i = 0; i < 9; i++) {
		snprintf(names[i], sizeof(names[i]), "nat%d", i);
		struct scn_router *r = add_router(&l, names[i], -1);
		set_classes(r, (enum nat_mapping)(i / 3), (enum nat_filtering)(i % 3));
		r->model.hairpin = (enum nat_hairpin)((i / 3 + i) % 3);
	}
	if (start(&l))
		return 1;
	for (int i = 0; i < 2; i++)
		CHECK(self_test(&l) == 0, "%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_nine_classes(void **state)
{
	(void)state;
	in_sandbox(nine_classes, NULL);
}

static int other_kinds(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	add_router(&l, "open", -1)->model.accepts_wan = true;
	struct scn_router *r = add_router(&l, "open-hard", -1);
	r->model.accepts_wan = true;
	set_classes(r, NAT_APDM, NAT_APDF);
	add_router(&l, "blocked", -1)->udp_blocked = true;
	add_router(&l, "plain", -1)->nat = false;
	add_router(&l, "behind-plain", 3);
	set_classes(add_router(&l, "carrier", -1), NAT_EIM, NAT_EIF);
	set_classes(add_router(&l, "inner", 5), NAT_EIM, NAT_ADF);
	set_classes(add_router(&l, "innermost", 6), NAT_ADM, NAT_APDF);
	if (start(&l))
		return 1;
	CHECK(self_test(&l) == 0, "%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_other_kinds(void **state)
{
	(void)state;
	in_sandbox(other_kinds, NULL);
}

/* The declaration is changed after the rules were loaded: the probe must see it. */
static int wrong_declarations(void *arg)
{
	(void)arg;
	static const struct {
		enum nat_mapping m;
		enum nat_filtering f;
		enum nat_hairpin h;
		bool accepts, blocked;
		const char *says;
	} rows[] = {
		{ NAT_ADM, NAT_APDF, NAT_HAIRPIN_OFF, false, false, "declared ADM/APDF" },
		{ NAT_EIM, NAT_EIF, NAT_HAIRPIN_OFF, false, false, "measured EIM/APDF" },
		{ NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, false, false, "hairpin off" },
		{ NAT_EIM, NAT_APDF, NAT_HAIRPIN_OFF, true, false, "is guarded" },
		{ NAT_EIM, NAT_APDF, NAT_HAIRPIN_OFF, false, true, "no UDP passes" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lab l = { 0 };
		if (start_pair(&l))
			return 1;
		set_classes(&l.r[0], rows[i].m, rows[i].f);
		l.r[0].model.hairpin = rows[i].h;
		l.r[0].model.accepts_wan = rows[i].accepts;
		l.r[0].udp_blocked = rows[i].blocked;
		CHECK(is_condemned(&l), "row %zu passed", i);
		CHECK(strstr(l.eb.text, "'home'") && strstr(l.eb.text, rows[i].says), "row %zu: %s", i,
			l.eb.text);
		stop(&l);
	}
	return 0;
}

static void test_wrong_declarations(void **state)
{
	(void)state;
	in_sandbox(wrong_declarations, NULL);
}

/* ---- cuts and drops ---- */

static int expect_drop(struct lab *l, const char *where, const char *rule)
{
	struct engine_drop drops[16];
	size_t n = engine_kernel.drops(l->e, drops, ARRAY_LEN(drops));
	for (size_t i = 0; i < n; i++)
		if (!strcmp(drops[i].where, where) && !strcmp(drops[i].rule, rule))
			return 0;
	CHECK(n == 0, "first drop is %s: %s, not %s: %s", drops[0].where, drops[0].rule, where, rule);
	CHECK(n != 0, "no drop, not even %s: %s", where, rule);
	return 1;
}

static int cuts(void *arg)
{
	static const struct {
		const char *target, *where, *rule;
	} rows[] = {
		{ "home.udp", "home", "UDP is cut" },
		{ "alice.udp", "alice", "UDP is cut" },
		{ "alice.link", "alice", "the link is cut" },
		{ "home.link", "home", "the link is cut" },
	};
	struct lab l = { 0 };
	(void)arg;
	if (start_pair(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE, 5000);
	struct endpoint to = at(&l, SERVER, 4000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK(engine_kernel.cut(l.e, rows[i].target, &l.eb) == 0, "%s", l.eb.text);
		CHECK(engine_kernel.cut(l.e, rows[i].target, &l.eb) == 0, "%s", l.eb.text);
		send_to(alice, &to);
		CHECK(!receive(server, NULL, NOTHING_MS), "%s cuts nothing", rows[i].target);
		if (expect_drop(&l, rows[i].where, rows[i].rule))
			return 1;
		CHECK(engine_kernel.heal(l.e, rows[i].target, &l.eb) == 0, "%s", l.eb.text);
		send_to(alice, &to);
		CHECK(receive(server, NULL, ARRIVE_MS), "%s is not healed", rows[i].target);
	}
	CHECK(engine_kernel.cut(l.e, "nobody.udp", &l.eb) < 0 && strstr(l.eb.text, "nobody"), "%s",
		l.eb.text);
	CHECK(engine_kernel.cut(l.e, "alice", &l.eb) < 0 && strstr(l.eb.text, "NAME.link"), "%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_cuts(void **state)
{
	(void)state;
	in_sandbox(cuts, NULL);
}

static int blocked(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	add_node(&l, "server", -1);
	add_router(&l, "home", -1)->udp_blocked = true;
	add_router(&l, "office", -1);
	add_node(&l, "alice", 0);
	l.n[add_node(&l, "bob", 1)].udp_blocked = true;
	if (start(&l))
		return 1;
	CHECK(self_test(&l) == 0, "%s", l.eb.text);
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE, 5000), bob = udp_on(&l, BOB, 5000);
	struct endpoint to = at(&l, SERVER, 4000);
	send_to(alice, &to);
	send_to(bob, &to);
	CHECK(!receive(server, NULL, NOTHING_MS), "UDP passes");
	struct engine_drop drops[8];
	size_t n = engine_kernel.drops(l.e, drops, 8);
	CHECK(n == 2, "%zu drops", n);
	CHECK(!strcmp(drops[0].where, "home") && !strcmp(drops[0].rule, "UDP is blocked"), "%s: %s",
		drops[0].where, drops[0].rule);
	CHECK(!strcmp(drops[1].where, "bob") && drops[1].proto == 17, "%s", drops[1].where);
	CHECK(endpoint_equal(&drops[1].dst, &to) && addr_equal(&drops[1].src.ip, &l.n[BOB].ip),
		"wrong addresses");
	stop(&l);
	return 0;
}

static void test_blocked(void **state)
{
	(void)state;
	in_sandbox(blocked, NULL);
}

static int filtered_drop(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	if (start_pair(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), stranger = udp_on(&l, SERVER, 4001),
	    alice = udp_on(&l, ALICE, 5000);
	struct endpoint hole = seen_by_server(&l, alice, server, 4000);
	for (int i = 0; i < 3; i++)
		send_to(stranger, &hole);
	CHECK(!receive(alice, NULL, NOTHING_MS), "the filter is open");
	struct engine_drop drops[8];
	size_t n = engine_kernel.drops(l.e, drops, 8);
	CHECK(n == 1 && drops[0].count == 3, "%zu drops, %u merged", n, n ? drops[0].count : 0);
	CHECK(strstr(drops[0].rule, "address and port-dependent filtering"), "%s", drops[0].rule);
	struct endpoint wan = { .ip = l.r[0].wan, .port = 7 };
	send_to(alice, &wan);
	CHECK(!receive(alice, NULL, NOTHING_MS), "it hairpins");
	int failed = expect_drop(&l, "home", "lan: the router does not hairpin");
	stop(&l);
	return failed;
}

static void test_filtered_drop(void **state)
{
	(void)state;
	in_sandbox(filtered_drop, NULL);
}

/* ---- double NAT, hairpin ---- */

/* Two homes behind one carrier that hairpins: by their external addresses they reach each other. */
static int hairpin_below_carrier(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	struct endpoint a_from, b_from;
	add_node(&l, "server", -1);
	struct scn_router *isp = add_router(&l, "isp", -1);
	set_classes(isp, NAT_EIM, NAT_EIF);
	isp->model.hairpin = NAT_HAIRPIN_EXTERNAL;
	add_router(&l, "home", 0);
	add_router(&l, "flat", 0);
	add_node(&l, "alice", 1);
	add_node(&l, "bob", 2);
	if (start(&l))
		return 1;
	CHECK(self_test(&l) == 0, "%s", l.eb.text);
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE, 5000), bob = udp_on(&l, BOB, 5000);
	struct endpoint a = seen_by_server(&l, alice, server, 4000),
			b = seen_by_server(&l, bob, server, 4000);
	CHECK(addr_equal(&a.ip, &isp->wan) && addr_equal(&b.ip, &isp->wan) && a.port != b.port,
		"not two mappings");
	send_to(alice, &b); /* opens alice's own router for b; bob's drops it */
	CHECK(!receive(bob, NULL, NOTHING_MS), "bob's router let a stranger in");
	send_to(bob, &a);
	CHECK(receive(alice, &b_from, ARRIVE_MS), "hairpin to alice failed");
	send_to(alice, &b);
	CHECK(receive(bob, &a_from, ARRIVE_MS), "hairpin to bob failed");
	CHECK(endpoint_equal(&a_from, &a) && endpoint_equal(&b_from, &b),
		"seen by other than the external address");
	stop(&l);
	return 0;
}

static void test_hairpin_below_carrier(void **state)
{
	(void)state;
	in_sandbox(hairpin_below_carrier, NULL);
}

/* ---- the 81 cells ---- */

/* Answers go to the source seen, as every punching protocol does. True: heard for the first time. */
static bool hear(int fd, bool *heard, struct endpoint *peer)
{
	struct endpoint from;
	if (!receive(fd, &from, 3))
		return false;
	*peer = from;
	send_to(fd, peer);
	bool first = !*heard;
	*heard = true;
	return first;
}

static bool punch(struct lab *l, int server, int a, int b)
{
	struct endpoint ea = seen_by_server(l, a, server, 4000), eb = seen_by_server(l, b, server, 4000);
	bool a_heard = false, b_heard = false;
	for (int round = 0; round < 4 && !(a_heard && b_heard); round++) {
		send_to(a, &eb);
		send_to(b, &ea);
		while (hear(a, &a_heard, &eb) || hear(b, &b_heard, &ea))
			;
	}
	return a_heard && b_heard;
}

static int punch_matrix(void *arg)
{
	static char names[18][16];
	struct lab l = { 0 };
	int direct = 0;
	(void)arg;
	add_node(&l, "server", -1);
	for (int i = 0; i < 18; i++) { /* two routers of each class, so that equals can meet too */
		snprintf(names[i], sizeof(names[i]), "%s%d", i < 9 ? "left" : "right", i % 9);
		struct scn_router *r = add_router(&l, names[i], -1);
		set_classes(r, (enum nat_mapping)(i % 9 / 3), (enum nat_filtering)(i % 3));
		add_node(&l, names[i], i);
	}
	if (start(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000);
	for (int i = 0; i < 81; i++) {
		int left = 1 + i / 9, right = 10 + i % 9;
		int a = udp_on(&l, left, (uint16_t)(6000 + i)), b = udp_on(&l, right, (uint16_t)(7000 + i));
		struct oracle_verdict v;
		oracle_ask(&l.s, 0, left, right, &v);
		bool want = v.path == PATH_DIRECT, got = punch(&l, server, a, b);
		CHECK(want == got, "%s with %s: expected %s (%s)", l.n[left].name, l.n[right].name,
			want ? "direct" : "relay", v.why);
		direct += got;
		close(a);
		close(b);
	}
	CHECK(direct == 57, "%d of 81 direct", direct);
	stop(&l);
	return 0;
}

static void test_punch_matrix(void **state)
{
	(void)state;
	in_sandbox(punch_matrix, NULL);
}

/* With the guard off a peer's early packet steals the outbound port, and two plain cones no longer meet. */
static int input_trap(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	add_node(&l, "server", -1);
	add_router(&l, "home", -1)->model.accepts_wan = true;
	add_router(&l, "office", -1)->model.accepts_wan = true;
	add_node(&l, "alice", 0);
	add_node(&l, "bob", 1);
	if (start(&l))
		return 1;
	int server = udp_on(&l, SERVER, 4000), alice = udp_on(&l, ALICE, 5000), bob = udp_on(&l, BOB, 5000);
	CHECK(!punch(&l, server, alice, bob), "the trap does not snap");
	stop(&l);
	return 0;
}

static void test_input_trap(void **state)
{
	(void)state;
	in_sandbox(input_trap, NULL);
}

/* ---- IPv6 ---- */

static int udp6_on(struct lab *l, int node, uint16_t port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = hosts_socket(l->h, node, AF_INET6, SOCK_DGRAM, 0, &l->eb);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -1;
	return fd;
}

static struct endpoint at6(const struct lab *l, int node, uint16_t port)
{
	return (struct endpoint) { .ip = topology_v6(&l->s, l->n[node].router, &l->n[node].ip).ip,
		.port = port };
}

/* Routed behind every router, however deep, and stateful: only answers come in. */
static int ipv6(void *arg)
{
	struct lab l = { .s = { .ipv6 = true } };
	struct endpoint from;
	(void)arg;
	add_node(&l, "server", -1);
	add_router(&l, "isp", -1);
	add_router(&l, "home", 0);
	add_node(&l, "alice", 1);
	if (start(&l))
		return 1;
	CHECK(self_test(&l) == 0, "%s", l.eb.text);
	int server = udp6_on(&l, SERVER, 4000), stranger = udp6_on(&l, SERVER, 4001),
	    alice = udp6_on(&l, ALICE, 5000);
	struct endpoint a = at6(&l, ALICE, 5000), s = at6(&l, SERVER, 4000);
	send_to(stranger, &a);
	CHECK(!receive(alice, NULL, NOTHING_MS), "unsolicited IPv6 came in");
	if (expect_drop(&l, "isp", "wan: unsolicited, the IPv6 firewall lets only answers in"))
		return 1;
	send_to(alice, &s);
	CHECK(receive(server, &from, ARRIVE_MS), "IPv6 does not pass");
	CHECK(endpoint_equal(&from, &a), "IPv6 was translated");
	send_to(server, &from);
	CHECK(receive(alice, NULL, ARRIVE_MS), "no answer");
	stop(&l);
	return 0;
}

static void test_ipv6(void **state)
{
	(void)state;
	in_sandbox(ipv6, NULL);
}

static int rootless_body(void *arg)
{
	return nine_classes(arg) || cuts(arg) || blocked(arg) || hairpin_below_carrier(arg);
}

static void test_rootless(void **state)
{
	(void)state;
	in_rootless_sandbox(rootless_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nine_classes),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_wrong_declarations),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_filtered_drop),
		cmocka_unit_test(test_hairpin_below_carrier),
		cmocka_unit_test(test_punch_matrix),
		cmocka_unit_test(test_input_trap),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_rootless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
