#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/scenario/adapter.h"
#include "simnet/host/source.h"
#include "simnet/runner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "adapter: 1\nname: x\n"

static void test_errors(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "name: x\nstart: [a]\n", "a.yaml:1:1: the adapter has no 'adapter'" },
		{ HEAD, "a.yaml:1:1: the adapter has no 'start'" },
		{ HEAD "start: []\n", "a.yaml:1:1: an empty command; it names a program and its arguments" },
		{ HEAD "start: [a]\nraedy: {line: x}\n",
			"a.yaml:4:1: unknown key 'raedy' in the adapter; did you mean 'ready'?" },
		{ HEAD "start: [a]\nready: {line: x, exit: true}\n",
			"a.yaml:4:8: 'ready' needs exactly one of line, json, port and exit" },
		{ HEAD "start: [a]\nready: {port: 'udp {ip}:53'}\n",
			"a.yaml:4:8: 'port' of 'ready' is 'tcp ADDRESS:PORT', not 'udp {ip}:53': nobody is "
			"told that "
			"a program listens by UDP; wait for a line of it" },
		{ HEAD "start: [a]\nthen:\n  - run: [b]\n    agian: true\n",
			"a.yaml:6:5: unknown key 'agian' in command; did you mean 'again'?" },
		{ HEAD "start: [a]\nfiles:\n  - {path: p, text: t, each: relay}\n",
			"a.yaml:5:5: 'each' and 'item' of a file go together" },
		{ HEAD "start: [a]\nprobe: {udp: 'x:7', word: true}\n",
			"a.yaml:4:8: 'probe' needs exactly one of icmp, udp, tcp and word" },
		{ HEAD "start: [a]\nprobe: {word: true}\n",
			"a.yaml:1:1: 'probe' by word needs 'path': nothing else says a word" },
		{ HEAD "start: [a]\nwith: {k: [v]}\n", "a.yaml:4:11: 'with.k' must be a word, not a list" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct adapter a = { 0 };
		struct errbuf eb = { 0 };
		if (adapter_parse("a.yaml", rows[i].text, strlen(rows[i].text), &a, &eb) != ERR_MALFORMED)
			fail_msg("row %zu was accepted, or failed as: %s", i, eb.text);
		if (strcmp(eb.text, rows[i].want))
			fail_msg("row %zu\n got %s\nwant %s", i, eb.text, rows[i].want);
	}
}

static void test_ours(void **state)
{
	static const char *const names[] = { "ropewalk", "ropewalk-control", "ropewalk-relay",
		"ropewalk-resolver" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct adapter a = { 0 };
		struct errbuf eb = { 0 };
		if (source_find_adapter(names[i], NULL, &a, &eb))
			fail_msg("%s", eb.text);
		assert_string_equal(a.name, names[i]);
		adapter_free(&a);
	}
}

static void test_fields(void **state)
{
	struct adapter a = { 0 };
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(source_find_adapter("ropewalk-control", NULL, &a, &eb), 0);
	assert_true(adapter_has_field(&a, "url"));
	assert_true(adapter_has_field(&a, "key-main"));
	assert_true(adapter_has_field(&a, "key-anybody"));
	assert_false(adapter_has_field(&a, "kay-main"));
	adapter_free(&a);
}

#define MESH \
	"simnet: 1\nname: m\nservices:\n  control: {run: ropewalk-control}\n  relay: {run: " \
	"ropewalk-relay}\n"

/* What a scenario asks of adapters, checked without a network. */
static void test_check(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk}\n", NULL },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk, with: {usr: ann}}\n",
			"m.yaml:7:43: adapter 'ropewalk' knows no parameter 'usr'; did you mean 'user'?" },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk, with: {server: contrl}}\n",
			"m.yaml:7:3: '{contrl.url}': no node 'contrl'; did you mean 'control'?" },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk, with: {server: relay}}\n",
			"m.yaml:7:3: 'relay' has no field 'url'" },
		{ MESH "nodes:\n  a: {at: internet, run: [echo, '{control.kay}']}\n",
			"m.yaml:7:3: 'control' has no field 'kay'" },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk}\nsteps:\n"
		       "  - resolve: {from: a, name: a, is: '{a.mesh9}'}\n",
			"m.yaml:9:5: 'a' has no field 'mesh9'; did you mean 'mesh4'?" },
		{ MESH "nodes:\n  a: {at: internet}\n  b: {at: internet}\nsteps:\n"
		       "  - expect: {path: a->b, is: oracle}\n",
			"m.yaml:10:5: 'a' runs nothing that can tell its path" },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: b}\n",
			"m.yaml:10:5: 'b' has no name in the mesh of 'a': this would go over the underlay "
			"and "
			"prove nothing; if that is meant, say '{b.ip}'" },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: '{b.ip}'}\n  - ping: {from: b, to: a, fails: true}\n",
			NULL },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk}\n  b: {at: internet}\nsteps:\n"
		       "  - expect: {path: a->b, is: direct}\n",
			"m.yaml:10:5: 'b' has no name in the mesh of 'a': this would go over the underlay "
			"and "
			"prove nothing; if that is meant, say '{b.ip}'" },
		{ MESH "nodes:\n  a: {at: internet, run: punch, with: {server: b}}\n  b: {at: internet, run: "
		       "punch-server}\nsteps:\n  - ping: {from: a, to: b}\n",
			"m.yaml:10:5: adapter 'punch' of 'a' cannot probe 'b': 'b' has no parameter "
			"'with.echo'; if "
			"the underlay is meant, say '{b.ip}'" },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk}\nsteps:\n"
		       "  - run: {at: a, argv: [echo, '{oracle.a->c}']}\n",
			"m.yaml:9:5: '{oracle.a->c}' does not name two nodes, as {oracle.alice->bob}" },
		{ MESH "nodes:\n  a: {at: internet, run: ropewalk}\n  b: {at: internet, run: "
		       "ropewalk}\nsteps:\n"
		       "  - run: {at: a, argv: [nft, add, table, x]}\n"
		       "  - run: {at: a, argv: [echo, '{oracle.a->b}']}\n",
			"m.yaml:11:5: '{oracle.a->b}': the file does not say: 'nft' in line 10 changes the "
			"network "
			"of 'a'" },
		{ MESH "nodes:\n  a: {at: internet}\nsteps:\n  - run: {at: a, argv: ['{capture.x}']}\n",
			"m.yaml:9:5: nothing was captured as 'x'" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		int err = scenario_parse("m.yaml", rows[i].text, strlen(rows[i].text), 0, &s, &eb);
		if (!err)
			err = runner_check(&s, NULL, &eb);
		if (!err != !rows[i].want || (err && strcmp(eb.text, rows[i].want)))
			fail_msg("row %zu\n got %s\nwant %s", i, eb.text,
				rows[i].want ? rows[i].want : "success");
		scenario_free(&s);
	}
}

/* Every scenario that we ship is right. */
static void test_shipped(void **state)
{
	static const char *const names[] = { "home-to-home", "flat", "nat-grid", "double-nat-both",
		"same-lan", "hard-both", "udp-blocked", "udp-blocked-later-and-back", "relay-dies",
		"control-dies", "control-down-restart-node", "control-down-new-node", "nat-reset", "acl-deny",
		"magicdns-survives", "split-dns", "pihole-in-mesh", "users-apart" };
	const char *source = getenv("RW_SOURCE_DIR");
	char path[512];
	(void)state;
	if (!source)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		snprintf(path, sizeof(path), "%s/scenarios/%s.yaml", source, names[i]);
		int err = source_read_scenario(path, 0, &s, NULL, &eb);
		if (!err)
			err = runner_check(&s, NULL, &eb);
		if (err)
			fail_msg("%s", eb.text);
		assert_string_equal(s.name, names[i]);
		scenario_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_shipped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
