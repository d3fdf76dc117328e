#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/scenario/scenario.h"
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
			enum scn_path p = topology_oracle(&s, 0, 1, NULL);
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
		const char *why = NULL;
		parse(rows[i].text, &s);
		for (int turn = 0; turn < 2; turn++)
			if (topology_oracle(&s, turn, 1 - turn, &why) != rows[i].want || !why)
				fail_msg("row %zu: %s", i, why);
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
		cmocka_unit_test(test_plan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
