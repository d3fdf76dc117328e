#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/report/chart.h"
#include "simnet/report/graph.h"
#include <string.h>

static const char file[] =
	"simnet: 1\nname: t\nrouters: {isp: {nat: cgnat}, home: {nat: home, behind: isp, portmap: plain}, "
	"plain: {nat: none}}\n"
	"services: {s: {run: [/bin/a<b, x]}, u: {router: plain, run: [up]}}\nnodes: {c: {at: home}, d: {at: "
	"internet}}\n";

static char *graph_of(enum graph_kind kind, struct buf *out)
{
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };
	if (scenario_parse("t.yaml", file, sizeof(file) - 1, 0, &s, &eb))
		fail_msg("%s", eb.text);
	assert_true(graph_write(kind, &s, out));
	struct buf little = { .cap = 30 };
	assert_false(graph_write(kind, &s, &little));
	buf_free(&little);
	scenario_free(&s);
	char *text = (char *)(uintptr_t)buf_cstr(out);
	assert_non_null(text);
	return text;
}

static void test_text(void **state)
{
	struct buf out = { 0 };
	(void)state;
	const char *text = graph_of(GRAPH_TEXT, &out);
	static const char *const lines[] = { "internet\n├─ s ", "service, runs a<b\n", "├─ isp ",
		"router, EIM / ", "│  └─ home ", "router, EIM / APDF, gives ports", "│     └─ c ",
		"└─ plain ", "router, no NAT, LAN ", "   └─ u ", "on the router, runs up\n" };
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const char *at = strstr(text, lines[i]);
		if (!at)
			fail_msg("no '%s', or not in its place, in\n%s", lines[i], buf_cstr(&out));
		text = at ? at : text;
	}
	buf_free(&out);
}

static void test_mermaid(void **state)
{
	struct buf out = { 0 };
	(void)state;
	const char *text = graph_of(GRAPH_MERMAID, &out);
	static const char *const lines[] = { "flowchart TD\n", "  internet --- r0\n", "  r0 --- r1\n",
		"n0([\"s<br/>", "a#60;b\"])\n", "  internet --- n0\n", "  r2 --- n1\n", "  r1 --- n2\n" };
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (!strstr(text, lines[i]))
			fail_msg("no '%s' in\n%s", lines[i], text);
	buf_free(&out);
}

static void test_dot(void **state)
{
	struct buf out = { 0 };
	(void)state;
	const char *text = graph_of(GRAPH_DOT, &out);
	static const char *const lines[] = { "graph \"t\" {\n",
		"  r0 [fillcolor=\"#ffe8cc\", label=\"isp\\nEIM / ",
		"  n0 [fillcolor=\"#ece2ff\", label=\"s\\n", "\\na<b\"];\n",
		"  internet -- r0 [label=\"\"];\n", "  r0 -- r1 [", "  r1 -- n2 [" };
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (!strstr(text, lines[i]))
			fail_msg("no '%s' in\n%s", lines[i], text);
	buf_free(&out);
}

/* Each plug is a wire; what its link does is written there. */
static void test_wires(void **state)
{
	static const char plugs[] = "simnet: 1\nname: t\nrouters: {home: {nat: home, link: {delay: "
				    "20ms}}}\nnodes:\n  a: {interfaces: "
				    "{eth0: {at: home}, wwan0: {at: internet, up: false}}}\n";
	static const struct {
		enum graph_kind kind;
		const char *says;
	} rows[] = {
		{ GRAPH_MERMAID, "  internet ---|\"20 ms\"| r0\n" },
		{ GRAPH_MERMAID, "  r0 ---|\"eth0\"| n0\n  internet -.-|\"wwan0 (off)\"| n0\n" },
		{ GRAPH_DOT, "  internet -- r0 [label=\"20 ms\"];\n" },
		{ GRAPH_DOT, "  internet -- n0 [label=\"wwan0 (off)\", style=dashed];\n" },
	};
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };
	(void)state;
	if (scenario_parse("t.yaml", plugs, sizeof(plugs) - 1, 0, &s, &eb))
		fail_msg("%s", eb.text);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = { 0 };
		assert_true(graph_write(rows[i].kind, &s, &out));
		if (!strstr(buf_cstr(&out), rows[i].says))
			fail_msg("row %zu: no '%s' in\n%s", i, rows[i].says, buf_cstr(&out));
		buf_free(&out);
	}
	struct buf marks = { 0 };
	assert_true(chart_mark(&s, (const char *const[]) { "a", NULL, "nobody", "home" }, 4, &marks));
	assert_string_equal(buf_cstr(&marks), "  class n0 marked\n  class r0 marked\n  classDef marked "
					      "stroke:#d1242f,stroke-width:3px\n");
	buf_free(&marks);
	scenario_free(&s);
}

static void test_svg(void **state)
{
	struct buf out = { 0 };
	(void)state;
	const char *text = graph_of(GRAPH_SVG, &out);
	static const char *const parts[] = { "<svg ", "data-name=\"isp\"", "data-name=\"home\"",
		"data-name=\"c\"", "a&lt;b", "prefers-color-scheme:dark", "</svg>\n" };
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!strstr(text, parts[i]))
			fail_msg("no '%s' in\n%s", parts[i], text);
	assert_null(strstr(text, "a<b"));
	buf_free(&out);
}

/* Behind a router that offers IPv6 alone a host has no IPv4 address, and none is told. */
static void test_six(void **state)
{
	static const char six[] = "simnet: 1\nname: t\nipv6: true\nrouters: {home: {nat: home, offers: "
				  "ipv6}}\nnodes: {a: {at: home}, b: {at: internet}}\n";
	static const enum graph_kind kinds[] = { GRAPH_TEXT, GRAPH_SVG, GRAPH_MERMAID, GRAPH_DOT };
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };
	char ip[ADDR_TEXT], ip6[ADDR_TEXT];
	(void)state;
	if (scenario_parse("t.yaml", six, sizeof(six) - 1, 0, &s, &eb))
		fail_msg("%s", eb.text);
	const struct addr at = topology_ip6(&s, 0, 0);
	addr_format(&at, ip6);
	addr_format(&s.nodes[0].ip, ip);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct buf out = { 0 };
		assert_true(graph_write(kinds[i], &s, &out));
		if (!strstr(buf_cstr(&out), ip6) || strstr(buf_cstr(&out), ip))
			fail_msg("kind %zu: no '%s', or '%s', in\n%s", i, ip6, ip, buf_cstr(&out));
		buf_free(&out);
	}
	scenario_free(&s);
}

/* What a link does is written where it ends; a wire that does nothing is not spoken of. */
static void test_links(void **state)
{
	static const struct {
		struct link_model m;
		const char *says;
	} rows[] = {
		{ { .changes = true }, "" },
		{ { .up = { .delay_us = 20000, .loss = 10000 },
			  .down = { .delay_us = 20000, .loss = 10000 } },
			"20 ms, 1 % loss" },
		{ { .down = { .rate_bps = 2500000 } }, "up plain; down 2.5 Mbit/s" },
		{ { .up = { .dead = true },
			  .down = { .mtu = 1280, .class_loss = { [LINK_DISCO] = 500000 } } },
			"up dead; down 50 % loss, MTU 1280" },
	};
	char text[260];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(graph_link(&rows[i].m, text, sizeof(text)), rows[i].says);
	assert_string_equal(graph_link(NULL, text, sizeof(text)), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_mermaid),
		cmocka_unit_test(test_dot),
		cmocka_unit_test(test_wires),
		cmocka_unit_test(test_svg),
		cmocka_unit_test(test_six),
		cmocka_unit_test(test_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
