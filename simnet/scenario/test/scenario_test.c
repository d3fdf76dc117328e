#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/scenario/scenario.h"
#include <stdio.h>
#include <string.h>

#define HEAD "simnet: 1\nname: t\n"
#define NODES "nodes:\n  alice: {at: internet}\n  bob: {at: internet}\n"

static void test_errors(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "f.yaml:1:1: the file is empty" },
		{ "- a\n", "f.yaml:1:1: a scenario must be a map, not a list" },
		{ "name: t\n" NODES, "f.yaml:1:1: the scenario has no 'simnet'" },
		{ "simnet: 2\nname: t\n" NODES,
			"f.yaml:1:9: 'simnet' is the version of the format and must be 1" },
		{ HEAD "rooters: {}\n" NODES,
			"f.yaml:3:1: unknown key 'rooters' in the scenario; did you mean 'routers'?" },
		{ HEAD "name: u\n" NODES, "f.yaml:3:1: duplicate key 'name'; first at line 2" },
		{ HEAD "routers:\n  home: {nat: hom}\n" NODES,
			"f.yaml:4:15: 'hom' is not a value of 'nat' (none, public, home, easy, cgnat, "
			"full-cone, restricted, "
			"symmetric, hard, pfsense, linux-masquerade, docker, corporate, hotel, mobile-4g, "
			"cloud-gateway); did you mean 'home'?" },
		{ HEAD "routers:\n  home: {}\n" NODES, "f.yaml:4:9: router 'home' has no 'nat'" },
		{ HEAD "routers:\n  home: {nat: home, behind: ips}\n  isp: {nat: cgnat}\n" NODES,
			"f.yaml:4:29: no router 'ips'; did you mean 'isp'?" },
		{ HEAD "routers:\n  a: {nat: home, behind: b}\n  b: {nat: home, behind: a}\n" NODES,
			"f.yaml:4:3: router 'a' is behind itself" },
		{ HEAD "routers:\n  home: {nat: {mapping: EIM, filtering: APDF, lifetime: 30}}\n" NODES,
			"f.yaml:4:57: 'lifetime' must be a duration with its unit, as 500ms, 5s or 1m30s, "
			"not '30'" },
		{ HEAD "routers:\n  home: {nat: no}\n" NODES,
			"f.yaml:4:15: 'no' is not a value of 'nat' (none, public, home, easy, cgnat, "
			"full-cone, restricted, "
			"symmetric, hard, pfsense, linux-masquerade, docker, corporate, hotel, mobile-4g, "
			"cloud-gateway)" },
		{ HEAD "routers:\n  Home: {nat: home}\n" NODES, "f.yaml:4:3: 'Home' is not a usable name: "
								"small letters, digits and '-', at most 32" },
		{ HEAD "routers:\n  home: {nat: home, accepts-wan: yes}\n" NODES,
			"f.yaml:4:34: 'accepts-wan' must be true or false, not 'yes'" },
		{ HEAD "nodes:\n  a: {at: hme}\nrouters:\n  home: {nat: home}\n",
			"f.yaml:4:11: no router 'hme'; did you mean 'home'?" },
		{ HEAD "nodes:\n  a: {}\n", "f.yaml:4:6: node 'a' has no 'at'" },
		{ HEAD "nodes:\n  a:\n", "f.yaml:4:5: node 'a' must be a map, not nothing" },
		{ HEAD "nodes:\n  a: {at: internet, run: []}\n",
			"f.yaml:4:26: 'run' is an empty list; it names a program and its arguments" },
		{ HEAD "services:\n  alice: {run: x}\n" NODES, "f.yaml:6:3: the name 'alice' is used twice" },
		{ HEAD NODES "steps:\n  - pin: {from: alice, to: bob}\n",
			"f.yaml:7:5: unknown step 'pin'; did you mean 'ping'?" },
		{ HEAD NODES "steps:\n  - ping: {from: alice, too: bob}\n",
			"f.yaml:7:25: unknown key 'too' in ping; did you mean 'to'?" },
		{ HEAD NODES "steps:\n  - ping: {from: alise, to: bob}\n",
			"f.yaml:7:18: no node 'alise'; did you mean 'alice'?" },
		{ HEAD NODES "steps:\n  - say: hello\n",
			"f.yaml:7:5: a step must do something; this one only says" },
		{ HEAD NODES "steps:\n  - kill: bob\n    ping: {from: alice, to: bob}\n",
			"f.yaml:8:5: one step does one thing; 'ping' is a second" },
		{ HEAD NODES "steps:\n  - wait: 5\n    say: x\n",
			"f.yaml:7:11: 'wait' must be a duration with its unit, as 500ms, 5s or 1m30s, not "
			"'5'" },
		{ HEAD NODES "steps:\n  - wait: 5s\n",
			"f.yaml:7:5: 'wait' is a plain pause and must give its reason in 'say'" },
		{ HEAD NODES "steps:\n  - expect: {path: alice-bob, is: direct}\n",
			"f.yaml:7:5: 'alice-bob' must be two nodes, as alice->bob" },
		{ HEAD NODES "steps:\n  - expect: {path: alice->bob}\n",
			"f.yaml:7:5: 'path' needs 'is' (direct, relay, none or oracle) and no 'max' or "
			"'lost'" },
		{ HEAD NODES "steps:\n  - expect: {gap: alice->bob}\n",
			"f.yaml:7:5: 'gap' needs 'max' or 'lost', and no 'is'" },
		{ HEAD NODES "steps:\n  - cut: alice.upd\n", "f.yaml:7:10: cannot cut 'upd' of 'alice' (udp, "
							     "link, carrier); did you mean 'udp'?" },
		{ HEAD NODES "steps:\n  - cut: alice\n",
			"f.yaml:7:10: 'alice' does not say what to cut: 'alice.udp' or 'alice.link'" },
		{ HEAD NODES "steps:\n  - reset: alice\n", "f.yaml:7:12: no router 'alice'" },
		{ HEAD NODES "steps:\n  - kill: {at: bob, signal: KIL}\n",
			"f.yaml:7:29: unknown signal 'KIL'; did you mean 'KILL'?" },
		{ HEAD "about: !str x\n" NODES, "f.yaml:3:8: tags ('!str') are not allowed" },
		{ HEAD "nodes:\n  a: &n {at: internet}\n  b: {<<: *n}\n",
			"f.yaml:5:7: merge keys ('<<') are not allowed; use an anchor for the whole value" },
		{ HEAD "nodes:\n  b: *n\n", "f.yaml:4:6: alias '*n' has no anchor above it" },
		{ HEAD "nodes: &n\n  b: *n\n", "f.yaml:4:6: alias '*n' is inside its own anchor" },
		{ HEAD "matrix: {a: []}\n" NODES,
			"f.yaml:3:13: 'matrix.a' must be a list of words, not an empty one" },
		{ HEAD "about: '{matrix.b}'\n" NODES, "f.yaml:3:8: no such matrix variable in '{matrix.b}'" },
		{ "simnet: 1\nname: ../t\n" NODES, "f.yaml:2:7: '../t' is not a usable name: small letters, "
						   "digits and '-', at most 64" },
		{ "simnet: 1\nname: ''\n" NODES,
			"f.yaml:2:7: '' is not a usable name: small letters, digits and '-', at most 64" },
		{ HEAD NODES "\tabout: x\n",
			"f.yaml:6:1: a tab: YAML indents by spaces alone; put spaces in its place" },
		{ HEAD NODES "about: \xff\n", "f.yaml:6:8: invalid leading UTF-8 octet" },
		{ HEAD NODES "about: a\x07\n", "f.yaml:6:9: control characters are not allowed" },
		{ HEAD NODES "tags: [a\n",
			"f.yaml:7:1: did not find expected ',' or ']', while parsing a flow sequence "
			"that begins at line 6" },
		{ "\xef\xbb\xbf" HEAD NODES "abut: x\n",
			"f.yaml:6:1: unknown key 'abut' in the scenario; did you mean 'about'?" },
		{ HEAD "matrix: {'a}': [b]}\n" NODES, "f.yaml:3:10: 'a}' cannot be named in a template" },
		{ HEAD NODES "steps:\n  - ping: {from: alice, to: bob, within: 0s}\n",
			"f.yaml:7:42: 'within' must be a duration with its unit, as 500ms, 5s or 1m30s, not "
			"'0s'" },
		{ HEAD NODES "steps:\n  - ping: {from: alice, to: bobb}\n",
			"f.yaml:7:29: no node 'bobb'; did you mean 'bob'?" },
		{ HEAD NODES "steps:\n  - resolve: {from: alice, name: x, type: PTRR}\n",
			"f.yaml:7:43: unknown record type 'PTRR'; did you mean 'PTR'?" },
		{ HEAD NODES "steps:\n  - resolve: {from: alice, name: x, is: y, fails: true}\n",
			"f.yaml:7:51: what does not resolve has no value: 'is' and 'fails' exclude each "
			"other" },
		{ HEAD NODES "steps:\n  - run: {at: alice, argv: [x], matches: '('}\n",
			"f.yaml:7:42: '(' is not a regular expression (POSIX extended)" },
		{ HEAD NODES "steps:\n  - run: {at: alice, argv: [x], json: a..b}\n",
			"f.yaml:7:39: 'a..b' is not a JSON path, as Peer.*[HostName=bob].CurAddr" },
		{ HEAD NODES "steps:\n  - run: {at: alice, argv: ['']}\n",
			"f.yaml:7:29: 'argv' begins with no program's name" },
		{ HEAD NODES "steps:\n  - run: {at: alice, argv: [x], exit: 256}\n",
			"f.yaml:7:39: no program ends with 256; at most 255" },
		{ HEAD NODES "steps:\n  - run: {at: alice, argv: [x], exit: 1, fails: true}\n",
			"f.yaml:7:49: a program that fails has no 'exit': it and 'fails' exclude each "
			"other" },
		{ HEAD NODES "steps:\n  - run: {at: alice, argv: [x], capture: a b}\n",
			"f.yaml:7:42: 'a b' is not a usable name: letters, digits, '-' and '_'" },
		{ HEAD NODES "steps:\n  - spawn: alice\n",
			"f.yaml:7:12: 'alice' runs nothing by itself; 'argv' says what to start" },
		{ HEAD NODES
			"steps:\n  - ping: {from: bob, to: alice}\n  - expect: {gap: alice->bob, lost: 1}\n",
			"f.yaml:8:19: nothing pings from alice to bob yet; a 'ping' step before this one "
			"begins "
			"that" },
		{ HEAD NODES "steps:\n  - ping: {from: alice, to: 10.9.0.3}\n  - expect: {gap: alice->bob, "
			     "lost: 1}\n",
			"f.yaml:8:19: nothing pings from alice to bob yet; a 'ping' step before this one "
			"begins that. One to an address does not: 'mesh-name' of an adapter says which a "
			"node "
			"has in a tunnel" },
		{ HEAD NODES "steps:\n  - expect: {path: alice -> bob, is: direct}\n",
			"f.yaml:7:5: 'alice -> bob' must be two nodes, as alice->bob" },
		{ HEAD NODES "steps:\n  - wait: 5s\n    say: ''\n",
			"f.yaml:7:5: 'wait' is a plain pause and must give its reason in 'say'" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		if (scenario_parse("f.yaml", rows[i].text, strlen(rows[i].text), 0, &s, &eb) != ERR_MALFORMED)
			fail_msg("row %zu was accepted, or failed as: %s", i, eb.text);
		if (strcmp(eb.text, rows[i].want))
			fail_msg("row %zu\n got %s\nwant %s", i, eb.text, rows[i].want);
	}
}

static const char whole[] =
	"simnet: 1\n"
	"name: whole\n"
	"about: everything once\n"
	"tags: [slow]\n"
	"seed: 7\n"
	"matrix: {a: [home, hard], b: [EIF, APDF, ADF]}\n"
	"routers:\n"
	"  home: {nat: '{matrix.a}', behind: isp, udp: blocked}\n"
	"  isp: {nat: {mapping: EIM, filtering: '{matrix.b}', hairpin: external, lifetime: 30s}}\n"
	"services:\n"
	"  control: {run: ropewalk-control}\n"
	"nodes:\n"
	"  alice: &node {at: home, run: ropewalk, with: {user: 'ann'}}\n"
	"  bob: *node\n"
	"  carol: {at: internet, run: [sleep, '9'], start: later}\n"
	"steps:\n"
	"  - ping: {from: alice, to: bob, via: relay, within: 5s}\n"
	"  - expect: {path: alice->bob, is: oracle, for: 2s}\n"
	"  - expect: {gap: alice->bob, max: 2s, lost: 3}\n"
	"  - reset: isp\n"
	"    say: the carrier forgets\n"
	"  - kill: control\n"
	"  - wait: 1s\n"
	"    say: letting it settle\n";

static void test_whole(void **state)
{
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };
	(void)state;
	if (scenario_parse("f.yaml", whole, strlen(whole), 4, &s, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(s.n_variants, 6);
	assert_string_equal(s.variant_name, "hard/APDF");
	assert_int_equal(s.n_routers, 2);
	assert_int_equal(s.routers[0].model.udp.mapping, NAT_APDM);
	assert_int_equal(s.routers[0].behind, 1);
	assert_true(s.routers[0].udp_blocked);
	assert_int_equal(s.routers[1].model.udp.filtering, NAT_APDF);
	assert_int_equal(s.routers[1].model.lifetimes.udp_s, 30);
	assert_int_equal(s.n_nodes, 4);
	assert_true(s.nodes[0].is_service);
	assert_int_equal(s.nodes[0].router, -1);
	assert_string_equal(s.nodes[2].params[0].value, "ann");
	assert_true(s.nodes[3].start_later);
	assert_string_equal(s.nodes[3].argv[0], "sleep");
	assert_int_equal(s.n_steps, 6);
	assert_int_equal(s.steps[0].path, PATH_RELAY);
	assert_int_equal(s.steps[0].within_ms, 5000);
	assert_true(s.steps[1].oracle);
	assert_string_equal(s.steps[2].to, "bob");
	assert_int_equal(s.steps[2].max_lost, 3);
	assert_string_equal(s.steps[3].title, "the carrier forgets");
	assert_string_equal(s.steps[4].signal, "KILL");
	scenario_free(&s);
	assert_int_equal(scenario_parse("f.yaml", whole, strlen(whole), 6, &s, &eb), ERR_MALFORMED);
}

/* What docs/simnet/scenarios.md says of `within`. */
static void test_bounds(void **state)
{
	static const struct {
		const char *step;
		uint64_t within_ms;
	} rows[] = {
		{ "ping: {from: alice, to: bob}", 10000 },
		{ "ping: {from: alice, to: bob, fails: true}", 3000 },
		{ "ping: {from: alice, to: bob, within: 1m}", 60000 },
		{ "resolve: {from: alice, name: x, fails: true}", 5000 },
		{ "run: {at: alice, argv: [x]}", 10000 },
		{ "run: {at: alice, argv: [x], fails: true}", 10000 },
		{ "expect: {path: alice->bob, is: oracle}", 15000 },
		{ "spawn: {at: alice, argv: [x]}", 15000 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256];
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		snprintf(text, sizeof(text), HEAD NODES "steps:\n  - %s\n", rows[i].step);
		if (scenario_parse("f.yaml", text, strlen(text), 0, &s, &eb))
			fail_msg("row %zu: %s", i, eb.text);
		if (s.steps[0].within_ms != rows[i].within_ms)
			fail_msg("row %zu: within %llu ms", i, (unsigned long long)s.steps[0].within_ms);
		scenario_free(&s);
	}
}

/* A chain of aliases that would be 2^40 values if it were copied out. */
static void test_alias_bomb(void **state)
{
	char text[4096] = HEAD "about: x\ntags: [";
	size_t n = strlen(text);
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };
	(void)state;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "&a0 [x]");
	for (int i = 1; i < 40; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", &a%d [*a%d, *a%d]", i, i - 1, i - 1);
	snprintf(text + n, sizeof(text) - n, "]\n" NODES);
	assert_int_equal(scenario_parse("f.yaml", text, strlen(text), 0, &s, &eb), ERR_MALFORMED);
}

/* Each row changes one thing of a preset, and nothing else. */
static void test_nat_words(void **state)
{
	static const struct {
		const char *nat, *want;
	} rows[] = {
		{ "home", "UDP EIM/APDF, TCP EIM/APDF, ports hash, hairpin off, UDP 120/120 s, TCP "
			  "120/7440/120 s, ICMP 30 "
			  "s, unknown TCP loose" },
		{ "{mapping: ADM}", "UDP ADM/APDF, TCP ADM/APDF, ports hash, hairpin off, UDP 120/120 s," },
		{ "{preset: home, ports: preserve}", "ports preserve," },
		{ "{preset: home, ports: block, block: 64}", "ports block of 64," },
		{ "{preset: home, mapping: APDM}", "UDP APDM/APDF, TCP APDM/APDF," },
		{ "{preset: home, tcp: {filtering: EIF}}", "UDP EIM/APDF, TCP EIM/EIF," },
		{ "{mapping: ADM, filtering: ADF, tcp: {mapping: EIM}}", "UDP ADM/ADF, TCP EIM/ADF," },
		{ "{preset: cgnat, hairpin-filter: true}", "hairpin external with filtering," },
		{ "{preset: home, lifetime: 30s}", "UDP 30/30 s," },
		{ "{preset: home, lifetime-new: 10s}", "UDP 10/120 s," },
		{ "{preset: home, lifetime: 60s, lifetime-new: 30s}", "UDP 30/60 s," },
		{ "{preset: home, tcp: {opening: 1s, lifetime: 2m, closing: 3s}}", "TCP 1/120/3 s," },
		{ "{preset: home, tcp: {unknown: reset}}", "unknown TCP reset" },
		{ "{preset: home, icmp: {lifetime: 2s, errors: lost}}",
			"ICMP 2 s, unknown TCP loose, ICMP errors lost" },
		{ "{preset: home, pool: 3, pooling: arbitrary}", "pool of 3 addresses, arbitrary" },
		{ "{preset: home, refresh: out}", "refreshed out only" },
		{ "{preset: home, after-expiry: move}", "after expiry ports move" },
		{ "{preset: home, table: 100}", "at most 100 mappings" },
		{ "{preset: home, fragments: none}", "fragments none" },
		{ "{preset: linux-masquerade}",
			"ports overload, hairpin off, UDP 30/120 s, TCP 120/432000/120 s, ICMP 30 "
			"s, unknown TCP loose, UDP a stream after 2 s, accepts what comes to its WAN" },
		{ "{preset: home, lifetime-new: 10s, stream: 3s}",
			"UDP 10/120 s, TCP 120/7440/120 s, ICMP 30 s, unknown TCP loose, UDP a stream after "
			"3 "
			"s" },
		{ "{preset: home, forwards: [udp 4242 a:41641, tcp 80 a:8080]}",
			"forwards udp 4242 to a:41641, forwards tcp 80 to a:8080" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[400], model[NAT_MODEL_TEXT];
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		snprintf(text, sizeof(text),
			"simnet: 1\nname: n\nrouters:\n  r: {nat: %s}\nnodes:\n  a: {at: r}\n", rows[i].nat);
		if (scenario_parse("f.yaml", text, strlen(text), 0, &s, &eb))
			fail_msg("%s: %s", rows[i].nat, eb.text);
		if (!strstr(nat_model_format(&s.routers[0].model, model), rows[i].want))
			fail_msg("%s: %s", rows[i].nat, model);
		for (size_t k = 0; k < s.routers[0].model.n_forwards; k++)
			assert_true(addr_equal(&s.routers[0].model.forwards[k].ip, &s.nodes[0].ip));
		scenario_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nat_words),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_alias_bomb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
