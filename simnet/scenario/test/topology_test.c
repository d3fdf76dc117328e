#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/scenario/oracle.h"
#include <stdio.h>
#include <string.h>

static void parse(const char *text, struct scenario *s)
{
	struct errbuf eb = { 0 };
	if (scenario_parse("t.yaml", text, strlen(text), 0, s, &eb))
		fail_msg("%s", eb.text);
}

/* Measured on real packets, both orders; rows and columns EIM/EIF, EIM/ADF, EIM/APDF, ADM/EIF … */
static void test_grid(void **state)
{
	static const char *const want[9] = { "DDDDDDDDD", "DDDDDDDDD", "DDDDrrDrr", "DDDDDDDDD", "DDrDrrDrr",
		"DDrDrrDrr", "DDDDDDDDD", "DDrDrrDrr", "DDrDrrDrr" };
	static const char *const m[] = { "EIM", "ADM", "APDM" }, *const f[] = { "EIF", "ADF", "APDF" };
	unsigned direct = 0;
	(void)state;
	for (size_t a = 0; a < 9; a++)
		for (size_t b = 0; b < 9; b++) {
			char text[512];
			struct scenario s = { 0 };
			snprintf(text, sizeof(text),
				"simnet: 1\nname: g\nrouters:\n  ra: {nat: {mapping: %s, filtering: %s}}\n"
				"  rb: {nat: {mapping: %s, filtering: %s}}\nnodes:\n  a: {at: ra}\n  b: {at: "
				"rb}\n",
				m[a / 3], f[a % 3], m[b / 3], f[b % 3]);
			parse(text, &s);
			struct oracle_verdict v;
			oracle_ask(&s, 0, 0, 1, &v);
			enum scn_path p = v.path;
			direct += p == PATH_DIRECT;
			if (p != (want[a][b] == 'D' ? PATH_DIRECT : PATH_RELAY))
				fail_msg("%s/%s against %s/%s: %s", m[a / 3], f[a % 3], m[b / 3], f[b % 3],
					scenario_path_name(p));
			scenario_free(&s);
		}
	assert_int_equal(direct, 57);
}

#define TOP "simnet: 1\nname: n\nrouters:\n"
#define HOMES "  h1: {nat: home, behind: isp}\n  h2: {nat: home, behind: isp}\n"
#define HARDS "  h1: {nat: hard, behind: isp}\n  h2: {nat: hard, behind: isp}\n"

static void test_nesting(void **state)
{
	static const struct {
		const char *text;
		enum scn_path want;
	} rows[] = {
		{ TOP "  h: {nat: hard}\nnodes:\n  a: {at: h}\n  b: {at: h}\n", PATH_DIRECT },
		{ TOP "  h: {nat: hard, udp: blocked}\nnodes:\n  a: {at: h}\n  b: {at: h}\n", PATH_DIRECT },
		{ TOP "  h: {nat: hard}\nnodes:\n  a: {at: h, udp: blocked}\n  b: {at: h}\n", PATH_RELAY },
		{ TOP "  h: {nat: hard}\nnodes:\n  a: {at: h}\n  b: {at: internet}\n", PATH_DIRECT },
		{ TOP "  h: {nat: hard}\n  p: {nat: public}\nnodes:\n  a: {at: h}\n  b: {at: p}\n",
			PATH_DIRECT },
		{ TOP "  h: {nat: home}\n  p: {nat: public, udp: blocked}\nnodes:\n  a: {at: h}\n  b: {at: "
		      "p}\n",
			PATH_RELAY },
		{ TOP "  isp: {nat: cgnat}\n" HOMES "nodes:\n  a: {at: h1}\n  b: {at: h2}\n", PATH_DIRECT },
		{ TOP "  isp: {nat: cgnat}\n" HARDS "nodes:\n  a: {at: h1}\n  b: {at: h2}\n", PATH_RELAY },
		{ TOP "  isp: {nat: home}\n" HOMES "nodes:\n  a: {at: h1}\n  b: {at: h2}\n", PATH_RELAY },
		{ TOP "  isp: {nat: {mapping: EIM, filtering: EIF, hairpin: internal}}\n" HOMES
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_RELAY },
		{ TOP "  isp: {nat: {mapping: EIM, filtering: EIF, hairpin: internal}}\n"
		      "  h1: {nat: full-cone, behind: isp}\n  h2: {nat: home, behind: isp}\n"
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_RELAY },
		{ TOP "  isp: {nat: {mapping: EIM, filtering: EIF, hairpin: internal}}\n"
		      "  h1: {nat: full-cone, behind: isp}\n  h2: {nat: full-cone, behind: isp}\n"
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_DIRECT },
		{ TOP "  isp: {nat: home}\n" HARDS "nodes:\n  a: {at: h1}\n  b: {at: isp}\n", PATH_DIRECT },
		{ TOP "  isp: {nat: cgnat}\n" HOMES "nodes:\n  a: {at: h1}\n  b: {at: internet}\n",
			PATH_DIRECT },
		{ TOP "  isp: {nat: hard}\n  h1: {nat: home, behind: isp}\n  h2: {nat: home}\n"
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_RELAY },
		{ TOP "  isp: {nat: cgnat}\n  h1: {nat: home, behind: isp}\n  isp2: {nat: cgnat}\n"
		      "  h2: {nat: home, behind: isp2}\nnodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_DIRECT },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario s = { 0 };
		struct oracle_verdict v;
		parse(rows[i].text, &s);
		for (int turn = 0; turn < 2; turn++) {
			oracle_ask(&s, 0, turn, 1 - turn, &v);
			if (v.path != rows[i].want || !*v.why)
				fail_msg("row %zu: %s", i, v.why);
		}
		scenario_free(&s);
	}
}

#define BELOW(shared) \
	TOP "  isp: {nat: " shared "}\n  h1: {nat: {mapping: ADM, filtering: EIF}, behind: isp}\n" \
	    "  h2: {nat: {mapping: ADM, filtering: EIF}, behind: isp}\nnodes:\n  a: {at: h1}\n  b: {at: " \
	    "h2}\n"
#define UNDER(shared, one, other) \
	TOP "  isp: {nat: " shared "}\n  h1: {nat: " one ", behind: isp}\n  h2: {nat: " other \
	    ", behind: isp}\nnodes:\n  a: {at: h1}\n  b: {at: h2}\n"
#define PAIR(one, other) \
	TOP "  h1: {nat: " one "}\n  h2: {nat: " other "}\nnodes:\n  a: {at: h1}\n  b: {at: h2}\n"

/* Classes of TCP, forwards, pools, filtered hairpins. */
static void test_models(void **state)
{
	static const struct {
		const char *text;
		enum scn_path udp, tcp;
		const char *why;
	} rows[] = {
		{ PAIR("{preset: hard, tcp: {mapping: EIM}}", "{preset: hard, tcp: {mapping: EIM}}"),
			PATH_RELAY, PATH_DIRECT, "the destination" },
		{ PAIR("{preset: home, tcp: {mapping: APDM}}", "home"), PATH_DIRECT, PATH_RELAY,
			"both sides" },
		{ PAIR("{preset: hard, tcp: {filtering: EIF}}", "hard"), PATH_RELAY, PATH_DIRECT,
			"the destination" },
		/* A port that is forwarded, and one that is not all the way. */
		{ PAIR("{preset: hard, forwards: [udp 4242 a:41641]}", "hard"), PATH_DIRECT, PATH_RELAY,
			"'h1' forwards a port to port 41641 of 'a'" },
		{ PAIR("{preset: hard, forwards: [tcp 4242 a:41641]}", "hard"), PATH_RELAY, PATH_DIRECT,
			"the destination" },
		{ TOP "  isp: {nat: {preset: hard, forwards: [udp 1 h1:2]}}\n"
		      "  h1: {nat: {preset: hard, forwards: [udp 2 a:3]}, behind: isp}\n  h2: {nat: hard}\n"
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_DIRECT, PATH_RELAY, "'isp' forwards a port to port 3 of 'a'" },
		{ TOP "  isp: {nat: {preset: hard, forwards: [udp 1 h1:9]}}\n"
		      "  h1: {nat: {preset: hard, forwards: [udp 2 a:3]}, behind: isp}\n  h2: {nat: hard}\n"
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_RELAY, PATH_RELAY, "the destination" },
		/* A port that a program may ask for, where it would make a difference. */
		{ PAIR("hard, portmap: plain", "hard"), PATH_ANY, PATH_ANY,
			"the file does not say: 'h1' maps a port" },
		{ PAIR("home, portmap: plain", "home"), PATH_DIRECT, PATH_DIRECT, "both sides" },
		/* What a program on the router makes of it. */
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\nservices:\n  p: {router: h1, run: [x]}\n"
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_ANY, PATH_ANY, "the file does not say: what 'p' makes of router 'h1'" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n  h3: {nat: none}\nservices:\n  p: {router: h3, "
		      "run: [x]}\n"
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_DIRECT, PATH_DIRECT, "both sides" },
		/* Nobody knows which of several ways out a flow has. */
		{ PAIR("full-cone, balance: flow, uplinks: {x: {at: internet}, y: {at: internet}}", "home"),
			PATH_ANY, PATH_ANY, "the file does not say: 'h1' balances flows over its uplinks" },
		/* RFC 4787 REQ-2: who lets in an address must know it. */
		{ PAIR("restricted", "{preset: hard, pool: 4}"), PATH_DIRECT, PATH_DIRECT,
			"by address only" },
		{ PAIR("restricted", "{preset: hard, pool: 4, pooling: arbitrary}"), PATH_RELAY, PATH_RELAY,
			"the exact endpoint" },
		{ PAIR("restricted", "{preset: home, pool: 4, pooling: arbitrary}"), PATH_DIRECT, PATH_DIRECT,
			"both sides" },
		/* Ports of every policy are ports. */
		{ PAIR("{preset: home, ports: preserve}", "{preset: home, ports: sequential}"), PATH_DIRECT,
			PATH_DIRECT, "both sides" },
		{ PAIR("{preset: hard, ports: sequential}", "{preset: hard, ports: random}"), PATH_RELAY,
			PATH_RELAY, "the destination" },
		{ PAIR("pfsense", "pfsense"), PATH_RELAY, PATH_RELAY, "the destination" },
		{ PAIR("mobile-4g", "cgnat"), PATH_DIRECT, PATH_DIRECT, "endpoint-independent" },
		/* The shared NAT's filtering counts only where it filters hairpins. */
		{ BELOW("{preset: home, hairpin: external}"), PATH_DIRECT, PATH_DIRECT,
			"endpoint-independent" },
		{ BELOW("{preset: home, hairpin: external, hairpin-filter: true}"), PATH_RELAY, PATH_RELAY,
			"the destination" },
		/* Who is below and filters by address sees the shared one, whatever the mapping is. */
		{ UNDER("{preset: hard, hairpin: external}", "restricted", "hard"), PATH_DIRECT, PATH_DIRECT,
			"below the shared NAT" },
		{ UNDER("{preset: hard, hairpin: external}", "hard", "restricted"), PATH_DIRECT, PATH_DIRECT,
			"below the shared NAT" },
		{ UNDER("{preset: hard, hairpin: external, pool: 4}", "restricted", "hard"), PATH_DIRECT,
			PATH_DIRECT, "below the shared NAT" },
		{ UNDER("{preset: hard, hairpin: external, pool: 4, pooling: arbitrary}", "restricted",
			  "hard"),
			PATH_RELAY, PATH_RELAY, "the destination" },
		{ UNDER("{preset: hard, hairpin: external, hairpin-filter: true}", "restricted", "hard"),
			PATH_RELAY, PATH_RELAY, "the destination" },
		{ UNDER("{preset: hard, hairpin: external}", "{mapping: ADM, filtering: ADF}", "hard"),
			PATH_RELAY, PATH_RELAY, "the destination" },
		{ UNDER("{preset: hard, hairpin: external}", "home", "home"), PATH_RELAY, PATH_RELAY,
			"the destination" },
		{ BELOW("{preset: cgnat, hairpin: internal}"), PATH_DIRECT, PATH_RELAY,
			"without translating" },
		{ BELOW("{preset: cgnat, hairpin: off}"), PATH_RELAY, PATH_RELAY, "does not hairpin" },
		/* The same subnet at two homes changes nothing between them. */
		{ TOP "  h1: {nat: home, lan: 192.168.1.0/24}\n  h2: {nat: hard, lan: 192.168.1.0/24}\n"
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\n",
			PATH_RELAY, PATH_RELAY, "the destination" },
		{ TOP "  h1: {nat: home, udp: blocked}\n  h2: {nat: home}\nnodes:\n  a: {at: h1}\n  b: {at: "
		      "h2}\n",
			PATH_RELAY, PATH_DIRECT, "UDP is blocked" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario s = { 0 };
		struct oracle_verdict udp, tcp;
		parse(rows[i].text, &s);
		const int ends[] = { scenario_find_node(&s, "a"), scenario_find_node(&s, "b") };
		for (int turn = 0; turn < 2; turn++) {
			struct oracle_question q = { .a = ends[turn], .b = ends[1 - turn] };
			oracle_answer(&s, &q, &udp);
			q.tcp = true;
			oracle_answer(&s, &q, &tcp);
			if (udp.path != rows[i].udp || tcp.path != rows[i].tcp ||
				!strstr(udp.why, rows[i].why))
				fail_msg("row %zu: UDP %s (%s), TCP %s (%s)", i, scenario_path_name(udp.path),
					udp.why, scenario_path_name(tcp.path), tcp.why);
		}
		scenario_free(&s);
	}
}

#define TWO_HARD "  h1: {nat: hard}\n  h2: {nat: hard}\n"
#define AB "nodes:\n  a: {at: h1}\n  b: {at: h2}\n  c: {at: h2}\n"

/* After all steps of the file. */
static void test_what_happened(void **state)
{
	static const struct {
		const char *text;
		enum scn_path want;
		const char *why;
	} rows[] = {
		{ "simnet: 1\nname: n\nipv6: true\nrouters:\n" TWO_HARD AB, PATH_DIRECT, "by IPv6" },
		{ "simnet: 1\nname: n\nipv6: true\nrouters:\n  h1: {nat: hard, udp: blocked}\n  h2: {nat: "
		  "hard}\n" AB,
			PATH_RELAY, "UDP is blocked" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB "steps:\n  - cut: h1.udp\n", PATH_RELAY,
			"UDP is blocked" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB
		      "steps:\n  - cut: h1.udp\n  - heal: h1.udp\n",
			PATH_DIRECT, "both sides map" },
		{ TOP "  h1: {nat: home, udp: blocked}\n  h2: {nat: home}\n" AB "steps:\n  - heal: h1.udp\n",
			PATH_DIRECT, "both sides map" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB "steps:\n  - cut: b.link\n", PATH_NONE,
			"the link of 'b' is cut" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB "steps:\n  - cut: h2.link\n", PATH_NONE,
			"the link of 'h2' is cut" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB "steps:\n  - cut: c.link\n", PATH_DIRECT,
			"both" },
		/* Families in common. */
		{ "simnet: 1\nname: n\nipv6: true\nrouters:\n  h1: {nat: hard, offers: ipv4}\n  h2: {nat: "
		  "hard}\n" AB,
			PATH_RELAY, "a side's mapping" },
		{ "simnet: 1\nname: n\nipv6: true\nrouters:\n  h1: {nat: hard, offers: ipv6}\n  h2: {nat: "
		  "hard}\n" AB,
			PATH_DIRECT, "by IPv6" },
		{ "simnet: 1\nname: n\nipv6: true\nrouters:\n  h1: {nat: none, offers: ipv6}\n  h2: {nat: "
		  "none, offers: "
		  "ipv4}\n" AB,
			PATH_RELAY, "one has IPv6 alone" },
		/* Firewalls of the file: what is sent for is let in. */
		{ TOP "  h1: {nat: hard}\n  h2: {nat: none, firewall: {in: [accept established, drop]}}\n" AB,
			PATH_RELAY, "a side's mapping depends" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: none, firewall: {in: [accept established, drop]}}\n" AB,
			PATH_DIRECT, "both sides map" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: none, firewall: {out: [accept tcp, drop]}}\n" AB,
			PATH_RELAY, "UDP is blocked" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home, firewall: {in: [drop udp from 10.0.0.0/8]}}\n" AB,
			PATH_ANY, "the firewall of 'h2' depends" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home, firewall: {in: [drop tcp]}}\n" AB, PATH_DIRECT,
			"both sides map" },
		/* Nobody here reads rules. */
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB
		      "steps:\n  - run: {at: a, argv: [sh, -c, 'nft add table ip x; true']}\n",
			PATH_ANY, "the file does not say: 'sh' in line 11 changes the network of 'a'" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB
		      "steps:\n  - run: {at: h2, argv: [ip, link, set, wan, down]}\n",
			PATH_ANY, "changes the network of 'h2'" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB
		      "steps:\n  - run: {at: a, argv: [sh, -c, 'echo 0 >/proc/sys/net/ipv4/ip_forward']}\n",
			PATH_ANY, "the network of 'a'" },
		{ TOP "  h1: {nat: home}\n  h2: {nat: home}\n" AB
		      "steps:\n  - run: {at: a, argv: [ip, -br, addr]}\n  - run: {at: c, argv: [ip, link, "
		      "set, eth0, down]}\n",
			PATH_DIRECT, "both sides map" },
		{ TOP "  isp: {nat: cgnat}\n" HOMES
		      "nodes:\n  a: {at: h1}\n  b: {at: h2}\nsteps:\n  - cut: isp.link\n",
			PATH_ANY, "the shared router's link is cut" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario s = { 0 };
		struct oracle_verdict v;
		parse(rows[i].text, &s);
		oracle_ask(&s, s.n_steps, scenario_find_node(&s, "a"), scenario_find_node(&s, "b"), &v);
		if (v.path != rows[i].want || !strstr(v.why, rows[i].why))
			fail_msg("row %zu: %s: %s", i, scenario_path_name(v.path), v.why);
		scenario_free(&s);
	}
}

static void test_plan(void **state)
{
	struct scenario s = { 0 };
	char buf[PREFIX_TEXT];
	(void)state;
	parse(TOP "  isp: {nat: cgnat}\n  h: {nat: home, behind: isp}\n  p: {nat: public}\nservices:\n  c: "
		  "{run: x}\n"
		  "nodes:\n  a: {at: h}\n  b: {at: h}\n  d: {at: p}\n",
		&s);
	assert_string_equal(addr_format(&s.routers[0].wan, buf), "203.0.113.100");
	assert_string_equal(addr_format(&s.routers[0].gateway, buf), "203.0.113.1");
	assert_string_equal(prefix_format(&s.routers[0].lan_net, buf), "10.40.0.0/24");
	assert_string_equal(addr_format(&s.routers[1].wan, buf), "10.40.0.100");
	assert_string_equal(prefix_format(&s.routers[1].lan_net, buf), "192.168.2.0/24");
	assert_string_equal(addr_format(&s.routers[1].lan, buf), "192.168.2.1");
	assert_string_equal(addr_format(&s.nodes[0].ip, buf), "203.0.113.10");
	assert_string_equal(addr_format(&s.nodes[1].ip, buf), "192.168.2.10");
	assert_string_equal(addr_format(&s.nodes[2].ip, buf), "192.168.2.11");
	assert_string_equal(addr_format(&s.nodes[2].gateway, buf), "192.168.2.1");
	assert_string_equal(prefix_format(&s.nodes[3].net, buf), "198.51.102.0/24");
	scenario_free(&s);
}

/* What the file chooses stays, and the rest goes round it. */
static void test_chosen(void **state)
{
	struct scenario s = { 0 };
	char buf[PREFIX_TEXT];
	(void)state;
	parse(TOP "  isp: {nat: cgnat, lan: 100.64.0.0/10}\n"
		  "  h: {nat: home, lan: 192.168.1.0/24, behind: isp, ip: 100.127.1.1}\n"
		  "  i: {nat: home, lan: 192.168.1.0/24}\n"
		  "  j: {nat: home, behind: isp}\n"
		  "nodes:\n  a: {at: h}\n  b: {at: i, ip: 192.168.1.10}\n  c: {at: i}\n"
		  "  d: {at: internet, ip: 9.9.9.9}\n"
		  "  e: {interfaces: {eth0: {at: j}, wlan0: {at: i, ip: 192.168.1.77, metric: 7}, "
		  "wwan0: {at: isp, up: false, default: false, routes: [10.0.0.0/8 via 100.64.0.1]}}}\n",
		&s);
	assert_string_equal(addr_format(&s.routers[0].lan, buf), "100.64.0.1");
	assert_string_equal(addr_format(&s.routers[1].wan, buf), "100.127.1.1");
	assert_string_equal(prefix_format(&s.routers[2].lan_net, buf), "192.168.1.0/24");
	assert_string_equal(addr_format(&s.routers[3].wan, buf), "100.64.0.100");
	assert_string_equal(prefix_format(&s.routers[3].lan_net, buf), "192.168.4.0/24");
	assert_string_equal(addr_format(&s.nodes[0].ip, buf), "192.168.1.10");
	assert_string_equal(addr_format(&s.nodes[1].ip, buf), "192.168.1.10");
	assert_string_equal(addr_format(&s.nodes[2].ip, buf), "192.168.1.11");
	assert_string_equal(addr_format(&s.nodes[3].ip, buf), "9.9.9.9");
	const struct scn_node *e = &s.nodes[4];
	assert_int_equal(e->n_ifaces, 3);
	assert_int_equal(e->router, 2); /* the smallest metric */
	assert_string_equal(e->ifaces[1].name, "wlan0");
	assert_string_equal(addr_format(&e->ifaces[1].ip, buf), "192.168.1.77");
	assert_int_equal(e->ifaces[0].metric, 100);
	assert_int_equal(e->ifaces[1].metric, 7);
	assert_int_equal(e->ifaces[2].metric, 300);
	assert_true(e->ifaces[2].off && e->ifaces[2].no_default && e->ifaces[2].routes.n == 1);
	scenario_free(&s);

	/* A LAN that nobody chose gives way to one that somebody did. */
	parse(TOP "  h: {nat: home}\n  i: {nat: home, lan: 192.168.1.0/24}\nnodes:\n  a: {at: h}\n", &s);
	assert_string_equal(prefix_format(&s.routers[0].lan_net, buf), "192.168.2.0/24");
	scenario_free(&s);
}

/* What an interface is after each step, and what that means for the oracle. */
static void test_changes(void **state)
{
	struct scenario s = { 0 };
	struct oracle_verdict v;
	char buf[PREFIX_TEXT];
	(void)state;
	parse(TOP "  h: {nat: hard}\n  i: {nat: hard}\n  isp: {nat: cgnat}\nnodes:\n  a: {at: h}\n  b: {at: "
		  "i}\n"
		  "steps:\n  - move: {at: a, to: i, how: make-before-break}\n  - lease: a\n"
		  "  - move: {at: a, to: h, how: make-before-break}\n"
		  "  - move: {at: b, to: internet, ip: 9.9.9.9}\n  - interface: {at: b, name: eth0, up: "
		  "false}\n"
		  "  - move: {at: h, to: isp}\n",
		&s);
	static const struct {
		int in_use, network;
		const char *ip;
		enum scn_path want;
	} rows[] = {
		{ 0, 0, "192.168.1.10", PATH_RELAY },
		{ 1, 1, "192.168.2.11", PATH_DIRECT },
		{ 1, 1, "192.168.2.12", PATH_DIRECT },
		{ 0, 0, "192.168.1.11", PATH_RELAY },
		{ 0, 0, "192.168.1.11", PATH_DIRECT },
		{ 0, 0, "192.168.1.11", PATH_NONE },
		{ 0, 0, "192.168.1.11", PATH_NONE },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int k = topology_in_use(&s, i, 0);
		struct addr ip = topology_ip(&s, i, 0);
		struct scn_iface f = topology_iface(&s, i, (struct scn_plug) { 0, -1, (size_t)k });
		oracle_ask(&s, i, 0, 1, &v);
		if (k != rows[i].in_use || f.network != rows[i].network || f.off || v.path != rows[i].want ||
			strcmp(addr_format(&ip, buf), rows[i].ip) != 0)
			fail_msg("row %zu: interface %d, network %d, %s, %s", i, k, f.network, buf, v.why);
	}
	struct scn_iface wan = topology_iface(&s, 6, (struct scn_plug) { -1, 0, 0 });
	assert_int_equal(wan.network, 2);
	assert_string_equal(addr_format(&wan.ip, buf), "192.168.3.100");
	struct addr old = addr_v4(0xc0a8020b), never = addr_v4(0xc0a80214);
	assert_true(topology_has_ip(&s, 0, &old));
	assert_false(topology_has_ip(&s, 0, &never));
	scenario_free(&s);
}

/* Who is known by an address has it, from the first step on: of an interface that is up, by which its default route goes where
 * there is one. */
static void test_known_by(void **state)
{
	static const struct {
		const char *interfaces, *ip;
		int network;
	} rows[] = {
		{ "e0: {at: h}, e1: {at: internet}", "192.168.1.10", 0 },
		{ "e0: {at: h, up: false}, e1: {at: internet}", "203.0.113.10", -1 },
		{ "e0: {at: h, up: false}, e1: {at: internet, default: false}", "203.0.113.10", -1 },
		{ "e0: {at: h, default: false}, e1: {at: internet}", "203.0.113.10", -1 },
		{ "e0: {at: h, metric: 9}, e1: {at: internet, metric: 3}", "203.0.113.10", -1 },
		{ "e0: {at: h, default: false, metric: 9}, e1: {at: internet, default: false, metric: 3}",
			"203.0.113.10", -1 },
		{ "e0: {at: h, default: false}", "192.168.1.10", 0 },
		{ "e0: {at: h, up: false}, e1: {at: internet, up: false}", "192.168.1.10", 0 },
	};
	char text[400], buf[ADDR_TEXT];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario s = { 0 };
		snprintf(text, sizeof(text), TOP "  h: {nat: home}\nnodes:\n  a: {interfaces: {%s}}\n",
			rows[i].interfaces);
		parse(text, &s);
		struct addr then = topology_ip(&s, 0, 0);
		if (s.nodes[0].router != rows[i].network || !addr_equal(&then, &s.nodes[0].ip) ||
			strcmp(addr_format(&s.nodes[0].ip, buf), rows[i].ip) != 0)
			fail_msg("row %zu: %s on %d", i, buf, s.nodes[0].router);
		scenario_free(&s);
	}
}

static int add(struct scenario *s, const char *step, struct errbuf *eb)
{
	return scenario_add_steps(s, "later", step, strlen(step), NULL, eb);
}

/* Steps that come when the file has been read have addresses of their own, and may say what those of a file may. */
static void test_added(void **state)
{
	static const struct {
		const char *step, *ip, *wrong;
	} rows[] = {
		{ "move: {at: a, to: i}", "192.168.2.11", NULL },
		{ "lease: a", "192.168.2.12", NULL },
		{ "move: {at: a, to: h}", "192.168.1.12", NULL },
		{ "move: {at: b, to: h}", "192.168.1.12", NULL },
		{ "move: {at: a, to: internet, ip: 9.9.9.9}", "9.9.9.9", NULL },
		{ "move: {at: a, to: i, ip: 9.9.9.9}", "9.9.9.9",
			"later:1:26: 9.9.9.9 of 'a' is not of the network of 'i', 192.168.2.0/24" },
		{ "move: {at: a, to: h, ip: 192.168.1.13}", "9.9.9.9",
			"later:1:26: 192.168.1.13 of 'a' is already the address of 'b'" },
		{ "set: {at: h, routes: [9.0.0.0/8 via 192.168.1.1]}", "9.9.9.9",
			"a route of a router leads by somebody else" },
		{ "set: {at: h, firewall: {out: [redirect udp 53 into c:53]}}", "9.9.9.9",
			"'redirect udp 53 into c:53': that host is inside" },
		{ "move: {at: a, to: i}", "192.168.2.13", NULL },
	};
	struct scenario s = { 0 };
	char ip[ADDR_TEXT];
	size_t n = 0;
	(void)state;
	parse(TOP "  h: {nat: home}\n  i: {nat: home}\nnodes:\n  a: {at: h}\n  b: {at: i}\n  c: {at: h}\n",
		&s);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		int err = add(&s, rows[i].step, &eb);
		n += !rows[i].wrong;
		struct addr at = topology_ip(&s, s.n_steps, 0);
		if (!err != !rows[i].wrong || (err && !strstr(eb.text, rows[i].wrong)) || s.n_steps != n ||
			strcmp(addr_format(&at, ip), rows[i].ip) != 0)
			fail_msg("%s: %zu steps, at %s: %s", rows[i].step, s.n_steps, ip, eb.text);
	}
	scenario_free(&s);
}

/* By which uplink a router goes out after each step, and what that means for the oracle. */
static void test_uplinks(void **state)
{
	struct scenario s = { 0 };
	struct oracle_verdict v;
	char buf[ADDR_TEXT];
	(void)state;
	parse(TOP
		"  isp: {nat: hard}\n  h: {nat: home, uplinks: {dsl: {at: internet}, lte: {at: isp, metric: "
		"50, up: false}, sat: {at: internet, ip: 9.9.9.8}}}\n  hard: {nat: hard}\nnodes:\n  a: {at: "
		"h}\n  b: {at: hard}\nsteps:\n"
		"  - interface: {at: h, name: lte, up: true}\n"
		"  - interface: {at: h, name: lte, metric: 500, for: 1s}\n"
		"  - interface: {at: h, name: sat, up: false, for: 1s}\n"
		"  - interface: {at: h, name: dsl, up: false, for: 1s}\n"
		"  - interface: {at: h, name: lte, up: false, for: 1s}\n"
		"  - interface: {at: h, name: sat, up: true}\n",
		&s);
	static const struct {
		int used, network;
		const char *ip;
		bool off, idle;
		enum scn_path want;
	} rows[] = {
		{ 0, -1, "203.0.113.101", false, false, PATH_RELAY },
		{ 1, 0, "10.40.0.100", false, false, PATH_RELAY },
		{ 0, -1, "203.0.113.101", false, false, PATH_RELAY },
		{ 0, -1, "203.0.113.101", false, true, PATH_RELAY },
		{ 1, 0, "10.40.0.100", false, false, PATH_RELAY },
		{ -1, 0, "10.40.0.100", true, false, PATH_NONE },
		{ 2, -1, "9.9.9.8", false, false, PATH_RELAY },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scn_iface f = topology_iface(&s, i, (struct scn_plug) { -1, 1, 0 });
		const struct scn_change *c = i ? s.steps[i - 1].change : NULL;
		bool waits = i == 2 || i == 4;
		oracle_ask(&s, i, 0, 1, &v);
		if (topology_uplink_in_use(&s, i, 1) != rows[i].used || f.network != rows[i].network ||
			f.off != rows[i].off || v.path != rows[i].want ||
			strcmp(addr_format(&f.ip, buf), rows[i].ip) != 0 ||
			(c && (c->idle != rows[i].idle || c->for_ms != (waits ? 1000 : 0))))
			fail_msg("row %zu: network %d, %s, %s", i, f.network, buf, v.why);
	}
	scenario_free(&s);
}

/* A router that becomes another NAT keeps its outer addresses and what leads inside. */
static void test_nat_changes(void **state)
{
	static const enum scn_path want[] = { PATH_RELAY, PATH_DIRECT, PATH_RELAY };
	struct scenario s = { 0 };
	struct oracle_verdict v;
	(void)state;
	parse(TOP
		"  h: {nat: hard}\n  i: {nat: {preset: hard, pool: 2, forwards: [tcp 80 b:80]}}\nnodes:\n"
		"  a: {at: h}\n  b: {at: i}\nsteps:\n  - set: {at: i, nat: {lifetime: 30s, filtering: EIF}}\n"
		"  - set: {at: i, nat: hard}\n",
		&s);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		oracle_ask(&s, i, 0, 1, &v);
		if (v.path != want[i])
			fail_msg("after %zu steps: %s", i, v.why);
	}
	struct nat_model m = topology_nat(&s, 1, 1);
	assert_int_equal(m.lifetimes.udp_s, 30);
	assert_int_equal(m.pool, 2);
	assert_int_equal(m.n_forwards, 1);
	scenario_free(&s);
}

/* Routes are those of the last step that said some; who sends his packets by somebody is nobody's to judge. */
static void test_route_changes(void **state)
{
	static const enum scn_path want[] = { PATH_DIRECT, PATH_ANY, PATH_DIRECT, PATH_DIRECT, PATH_ANY };
	struct scenario s = { 0 };
	struct oracle_verdict v;
	(void)state;
	parse(TOP "  h: {nat: home}\n  i: {nat: home}\nnodes:\n  a: {at: h}\n  b: {at: i}\nsteps:\n"
		  "  - set: {at: h, routes: [203.0.113.0/24 via 192.168.1.7]}\n"
		  "  - set: {at: h, routes: [10.0.0.0/8 via 192.168.1.7]}\n"
		  "  - set: {at: b, routes: [10.0.0.0/8, 11.0.0.0/8 via 192.168.2.7]}\n"
		  "  - set: {at: b, routes: [192.168.1.0/24]}\n",
		&s);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		oracle_ask(&s, i, 0, 1, &v);
		if (v.path != want[i])
			fail_msg("after %zu steps: %s", i, v.why);
	}
	assert_int_equal(topology_routes(&s, 0, 0).n, 0);
	assert_int_equal(topology_routes(&s, 4, 0).v[0].dst.bits, 8);
	struct scn_iface f = topology_iface(&s, 3, (struct scn_plug) { 1, -1, 0 });
	assert_int_equal(f.routes.n, 2);
	assert_true(addr_equal(&f.ip, &s.nodes[1].ip));
	scenario_free(&s);
}

/* A host with IPv6 alone meets one with IPv4 alone through its NAT64, whose NAT counts, and those below it only let in
 * what was sent for. */
static void test_nat64(void **state)
{
	static const struct {
		const char *routers;
		enum scn_path want;
	} rows[] = {
		{ "  h: {nat: home, offers: ipv6}\n  i: {nat: home, offers: ipv4}\n", PATH_RELAY },
		{ "  h: {nat: home, offers: ipv6, nat64: {}}\n  i: {nat: home, offers: ipv4}\n",
			PATH_DIRECT },
		{ "  h: {nat: hard, offers: ipv6, nat64: {}}\n  i: {nat: home, offers: ipv4}\n", PATH_RELAY },
		{ "  h: {nat: cgnat, offers: ipv6, nat64: {}}\n  i: {nat: hard, offers: ipv4}\n",
			PATH_DIRECT },
		{ "  c: {nat: cgnat, nat64: {}}\n  h: {nat: hard, offers: ipv6, behind: c}\n  i: {nat: hard, "
		  "offers: ipv4}\n",
			PATH_RELAY },
		{ "  c: {nat: cgnat, nat64: {}}\n  h: {nat: hard, offers: ipv6, behind: c}\n  i: {nat: home, "
		  "offers: ipv4}\n",
			PATH_DIRECT },
	};
	char text[600];
	struct oracle_verdict v;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario s = { 0 };
		snprintf(text, sizeof(text),
			"simnet: 1\nname: t\nipv6: true\nrouters:\n%snodes:\n  a: {at: h}\n"
			"  b: {at: i}\n",
			rows[i].routers);
		parse(text, &s);
		oracle_ask(&s, 0, 0, 1, &v);
		if (v.path != rows[i].want)
			fail_msg("row %zu: %s", i, v.why);
		scenario_free(&s);
	}
}

static void test_v6_prefixes(void **state)
{
	struct addr a = addr_v4(0xcb00710a);
	char text[PREFIX_TEXT];
	struct scn_router r = { .behind = -1 };
	const struct scenario s = { .routers = &r, .n_routers = 1 };
	struct prefix p = topology_v6(&s, -1, &a), q = topology_v6(&s, 0, &a);
	(void)state;
	assert_string_equal(prefix_format(&p, text), "2a0e:5100::cb00:710a/64");
	assert_false(prefix_overlaps(&p, &q));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v6_prefixes),
		cmocka_unit_test(test_grid),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_what_happened),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_chosen),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_known_by),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_uplinks),
		cmocka_unit_test(test_nat_changes),
		cmocka_unit_test(test_route_changes),
		cmocka_unit_test(test_nat64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
