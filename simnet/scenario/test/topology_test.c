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

static void test_v6_prefixes(void **state)
{
	struct addr a = addr_v4(0xcb00710a);
	char text[PREFIX_TEXT];
	struct prefix p = topology_v6(-1, &a), q = topology_v6(0, &a);
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
		cmocka_unit_test(test_what_happened),
		cmocka_unit_test(test_plan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
