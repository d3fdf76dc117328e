/* Files that are wrong, in every way that people find: each error says where and what, and helps. NULL: right
 * after all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/runner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "simnet: 1\nname: x\n"
#define WORLD HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n"

/* All errors of a text as lines without the last newline; "" = none. */
static const char *errors_of(const char *text, size_t len, struct scn_errors *all)
{
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };

	if (!scenario_parse_all("w.yaml", text, len, 0, &s, all, &eb))
		(void)runner_check(&s, all, &eb);
	scenario_free(&s);
	if (!all->text.len)
		return "";
	all->text.len--;
	const char *said = buf_cstr(&all->text);
	assert_int_equal(strncmp(said, eb.text, strlen(eb.text)), 0); /* the first is the one in eb */
	return said;
}

static void test_wrong_files(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		/* empty */
		{ "", "w.yaml:1:1: the file is empty" },
		/* only comment */
		{ "# nothing\n", "w.yaml:2:1: the file is empty" },
		/* no version */
		{ "name: x\nnodes:\n  a: {at: internet}\n", "w.yaml:1:1: the scenario has no 'simnet'" },
		/* version 2 */
		{ "simnet: 2\nname: x\n", "w.yaml:1:9: 'simnet' is the version of the format and must be 1\n"
					  "w.yaml:1:1: the scenario has no 'nodes'" },
		/* version text */
		{ "simnet: one\nname: x\n",
			"w.yaml:1:9: 'simnet' is the version of the format and must be 1\n"
			"w.yaml:1:1: the scenario has no 'nodes'" },
		/* unknown top */
		{ WORLD "step:\n  - ping: {from: a, to: b}\n",
			"w.yaml:8:1: unknown key 'step' in the scenario; did you mean 'steps'?" },
		/* typo nat */
		{ HEAD "routers:\n  r: {nat: hoem}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:4:12: 'hoem' is not a value of 'nat' (none, public, home, easy, cgnat, "
			"full-cone, restricted, symmetric, hard); did you mean 'home'?" },
		/* typo router */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: rr}\n  b: {at: internet}\n",
			"w.yaml:6:11: no router 'rr'; did you mean 'r'?" },
		/* typo key */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {aat: internet}\n",
			"w.yaml:7:7: unknown key 'aat' in node 'b'; did you mean 'at'?\n"
			"w.yaml:7:6: node 'b' has no 'at'" },
		/* dup node */
		{ WORLD "  a: {at: internet}\n", "w.yaml:8:3: duplicate key 'a'; first at line 6" },
		/* dup router node */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  r: {at: internet}\n",
			"w.yaml:7:3: the name 'r' is used twice" },
		/* cycle */
		{ HEAD "routers:\n  r: {nat: home, behind: q}\n  q: {nat: home, behind: r}\nnodes:\n  a: "
		       "{at: r}\n",
			"w.yaml:4:3: router 'r' is behind itself" },
		/* self behind */
		{ HEAD "routers:\n  r: {nat: home, behind: r}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:3: router 'r' is behind itself" },
		/* behind missing */
		{ HEAD "routers:\n  r: {nat: home, behind: zz}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:26: no router 'zz'" },
		/* behind node */
		{ HEAD "routers:\n  r: {nat: home, behind: a}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:26: no router 'a'; did you mean 'r'?" },
		/* mapping typo */
		{ HEAD "routers:\n  r: {nat: {mapping: EMI, filtering: APDF}}\nnodes:\n  a: {at: r}\n  b: "
		       "{at: internet}\n",
			"w.yaml:4:22: 'EMI' is not a value of 'mapping' (EIM, ADM, APDM); did you mean "
			"'EIM'?" },
		/* mapping missing */
		{ HEAD "routers:\n  r: {nat: {filtering: APDF}}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:4:12: nat has no 'mapping'" },
		/* lifetime nounit */
		{ HEAD "routers:\n  r: {nat: {mapping: EIM, filtering: APDF, lifetime: 30}}\nnodes:\n  a: "
		       "{at: r}\n  b: {at: internet}\n",
			"w.yaml:4:54: 'lifetime' must be a duration with its unit, as 500ms, 5s or 1m30s, "
			"not '30'" },
		/* lifetime negative */
		{ HEAD "routers:\n  r: {nat: {mapping: EIM, filtering: APDF, lifetime: -30s}}\nnodes:\n  a: "
		       "{at: r}\n  b: {at: internet}\n",
			"w.yaml:4:54: 'lifetime' must be a duration with its unit, as 500ms, 5s or 1m30s, "
			"not '-30s'" },
		/* lifetime huge */
		{ HEAD "routers:\n  r: {nat: {mapping: EIM, filtering: APDF, lifetime: "
		       "99999999999999999h}}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:4:54: 'lifetime' is too long a time, or none: '99999999999999999h'" },
		/* seed text */
		{ HEAD "seed: abc\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:3:7: 'seed' must be a number from 0 to 18446744073709551615, not 'abc'" },
		/* seed huge */
		{ HEAD "seed: 99999999999999999999999\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  "
		       "b: {at: internet}\n",
			"w.yaml:3:7: 'seed' must be a number from 0 to 18446744073709551615, not "
			"'99999999999999999999999'" },
		/* seed negative */
		{ HEAD "seed: -1\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:3:7: 'seed' must be a number from 0 to 18446744073709551615, not '-1'" },
		/* ipv6 yes */
		{ HEAD "ipv6: yes\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:3:7: 'ipv6' must be true or false, not 'yes'" },
		/* routers list */
		{ HEAD "routers:\n  - r\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:3: 'routers' must be a map, not a list\n"
			"w.yaml:6:11: no router 'r'" },
		/* nodes null */
		{ HEAD "routers: {r: {nat: home}}\nnodes:\n",
			"w.yaml:4:7: 'nodes' must be a map, not nothing" },
		/* tab indent */
		{ HEAD "nodes:\n\ta: {at: internet}\n",
			"w.yaml:4:1: a tab: YAML indents by spaces alone; put spaces in its place" },
		/* bom */
		{ "\xef\xbb\xbfsimnet: 1\nname: x\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: "
		  "{at: internet}\n",
			NULL },
		/* crlf */
		{ "simnet: 1\r\nname: x\r\nrouters:\r\n  r: {nat: home}\r\nnodes:\r\n  a: {at: r}\r\n  b: "
		  "{at: internet}\r\n",
			NULL },
		/* latin1 */
		{ HEAD "about: caf\xe9\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: "
		       "internet}\n",
			"w.yaml:3:12: invalid trailing UTF-8 octet" },
		/* recursive alias */
		{ HEAD "tags: &a [*a]\n", "w.yaml:3:11: alias '*a' is inside its own anchor" },
		/* merge key */
		{ HEAD "x: &d {at: internet}\nnodes:\n  a: {<<: *d}\n",
			"w.yaml:5:7: merge keys ('<<') are not allowed; use an anchor for the whole value" },
		/* tag */
		{ WORLD "steps: !!set {a}\n", "w.yaml:8:8: tags ('tag:yaml.org,2002:set') are not allowed" },
		/* two docs */
		{ WORLD "---\nsimnet: 1\nname: x\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: "
			"{at: internet}\n",
			"w.yaml:8:1: a second document; one file is one document" },
		/* unknown step */
		{ WORLD "steps:\n  - pign: {from: a, to: b}\n",
			"w.yaml:9:5: unknown step 'pign'; did you mean 'ping'?" },
		/* two kinds */
		{ WORLD "steps:\n  - ping: {from: a, to: b}\n    kill: a\n",
			"w.yaml:10:5: one step does one thing; 'kill' is a second" },
		/* step no target */
		{ WORLD "steps:\n  - ping: {from: a}\n", "w.yaml:9:11: ping has no 'to'" },
		/* ping unknown node */
		{ WORLD "steps:\n  - ping: {from: aa, to: b}\n",
			"w.yaml:9:18: no node 'aa'; did you mean 'a'?" },
		/* path syntax */
		{ WORLD "steps:\n  - expect: {path: a>b, is: direct}\n",
			"w.yaml:9:5: 'a>b' must be two nodes, as alice->bob" },
		/* path bad is */
		{ WORLD "steps:\n  - expect: {path: a->b, is: driect}\n",
			"w.yaml:9:30: 'driect' is not a value of 'is' (any, direct, relay, none, oracle); "
			"did you mean 'direct'?" },
		/* within nounit */
		{ WORLD "steps:\n  - ping: {from: a, to: b, within: 5}\n",
			"w.yaml:9:36: 'within' must be a duration with its unit, as 500ms, 5s or 1m30s, not "
			"'5'" },
		/* reset none */
		{ HEAD "routers:\n  r: {nat: none}\nnodes:\n  a: {at: r}\n  b: {at: internet}\nsteps:\n  - "
		       "reset: r\n",
			"w.yaml:9:12: router 'r' has no NAT to reset" },
		/* cut bad */
		{ WORLD "steps:\n  - cut: r.tcp\n",
			"w.yaml:9:10: cannot cut 'tcp' of 'r' (udp, link); did you mean 'udp'?" },
		/* cut unknown */
		{ WORLD "steps:\n  - cut: rr.udp\n",
			"w.yaml:9:10: no node or router 'rr'; did you mean 'r'?" },
		/* template unknown */
		{ WORLD "steps:\n  - run: {at: a, argv: [echo, \"{nosuch.ip}\"]}\n",
			"w.yaml:9:5: '{nosuch.ip}': no node 'nosuch'" },
		/* template field */
		{ WORLD "steps:\n  - run: {at: a, argv: [echo, \"{b.ipp}\"]}\n",
			"w.yaml:9:5: 'b' has no field 'ipp'; did you mean 'ip'?" },
		/* template capture */
		{ WORLD "steps:\n  - run: {at: a, argv: [echo, \"{capture.zz}\"]}\n",
			"w.yaml:9:5: nothing was captured as 'zz'" },
		/* bad regex */
		{ WORLD "steps:\n  - run: {at: a, argv: [echo, x], matches: \"([\"}\n",
			"w.yaml:9:44: '([' is not a regular expression (POSIX extended)" },
		/* missing adapter */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet, run: "
		       "nosuchadapter}\n",
			"w.yaml:7:3: no adapter 'nosuchadapter': no nosuchadapter.yaml beside the scenario, "
			"in $SIMNET_ADAPTERS" },
		/* missing program */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet, run: "
		       "[nosuchprogram]}\n",
			NULL },
		/* matrix empty */
		{ HEAD "matrix: {a: []}\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: "
		       "internet}\n",
			"w.yaml:3:13: 'matrix.a' must be a list of words, not an empty one" },
		/* matrix unused */
		{ HEAD "matrix: {a: [1,2]}\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: "
		       "internet}\n",
			NULL },
		/* matrix undefined */
		{ HEAD "routers:\n  r: {nat: \"{matrix.q}\"}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:4:12: no such matrix variable in '{matrix.q}'" },
		/* name upper */
		{ "simnet: 1\nname: My Lab\nrouters:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: "
		  "internet}\n",
			"w.yaml:2:7: 'My Lab' is not a usable name: small letters, digits and '-', at most "
			"64" },
		/* node name bad */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  \"b b\": {at: internet}\n",
			"w.yaml:7:3: 'b b' is not a usable name: small letters, digits and '-', at most 32" },
		/* node name internet */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  internet: {at: internet}\n",
			"w.yaml:7:3: the name 'internet' is taken by the format" },
		/* unclosed brace */
		{ HEAD "routers:\n  r: {nat: home\nnodes:\n  a: {at: r}\n",
			"w.yaml:5:6: did not find expected ',' or '}', while parsing a flow mapping that "
			"begins at line 4" },
		/* bad indent */
		{ HEAD "routers:\n  r:\n    nat: home\n   behind: q\n",
			"w.yaml:6:4: did not find expected key, while parsing a block mapping that begins at "
			"line 4" },
		/* scalar root */
		{ "hello\n", "w.yaml:1:1: a scenario must be a map, not a word" },
		/* list root */
		{ "- simnet: 1\n", "w.yaml:1:1: a scenario must be a map, not a list" },
		/* wait nosay */
		{ WORLD "steps:\n  - wait: {for: 3s}\n",
			"w.yaml:9:5: 'wait' is a plain pause and must give its reason in 'say'" },
		/* argv string */
		{ WORLD "steps:\n  - run: {at: a, argv: \"echo hi\"}\n",
			"w.yaml:9:24: 'argv' must be a list, not a word" },
		/* with unknown */
		{ HEAD "services:\n  control: {run: ropewalk-control, with: {nosuch: 1}}\n",
			"w.yaml:1:1: the scenario has no 'nodes'" },
		/* hairpin bool */
		{ HEAD "routers:\n  r: {nat: {mapping: EIM, filtering: APDF, hairpin: true}}\nnodes:\n  a: "
		       "{at: r}\n  b: {at: internet}\n",
			"w.yaml:4:53: 'true' is not a value of 'hairpin' (off, internal, external)" },
		/* loss */
		{ HEAD "routers:\n  r: {nat: home, loss: 5%}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:4:18: unknown key 'loss' in router 'r'" },
		/* link latency */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet, delay: 20ms}\n",
			"w.yaml:7:21: unknown key 'delay' in node 'b'" },
		/* service no run */
		{ WORLD "services:\n  s: {at: internet}\n", "w.yaml:9:6: service 's' has no 'run'" },
		/* type bad */
		{ WORLD "steps:\n  - resolve: {from: a, name: b, type: AAA}\n",
			"w.yaml:9:39: unknown record type 'AAA'; did you mean 'AAAA'?" },
		/* no nodes */
		{ HEAD "", "w.yaml:1:1: the scenario has no 'nodes'" },
		/* circular template */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet, run: [echo, "
		       "\"{c.name}{d.url}\"]}\n  d: {at: internet, run: [echo, \"{b.url}\"]}\n",
			"w.yaml:7:3: '{c.name}': no node 'c'; did you mean 'a'?\n"
			"w.yaml:8:3: 'b' has no field 'url'" },
		/* exit text */
		{ WORLD "steps:\n  - run: {at: a, argv: [true], exit: zero}\n",
			"w.yaml:9:38: 'exit' must be a number from 0 to 2147483647, not 'zero'" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scn_errors all = { 0 };
		const char *got = errors_of(rows[i].text, strlen(rows[i].text), &all),
			   *want = rows[i].want ? rows[i].want : "";
		/* Where adapters are looked for depends on the installation. */
		bool same =
			strstr(want, "no adapter") ? !strncmp(got, want, strlen(want)) : !strcmp(got, want);
		if (!same)
			fail_msg("row %zu\n%s\n got %s\nwant %s", i, rows[i].text, got, want);
		buf_free(&all.text);
	}
}

/* ---- too much of something */

static void assert_error(struct buf *text, const char *want)
{
	struct scn_errors all = { 0 };
	const char *got = errors_of((const char *)buf_data(text), text->len, &all);
	if (strcmp(got, want) != 0)
		fail_msg(" got %s\nwant %s", got, want);
	buf_free(&all.text);
	buf_free(text);
}

static void repeat(struct buf *b, const char *fmt, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_true(buf_printf(b, fmt, i));
}

static void test_too_much(void **state)
{
	struct buf b = { 0 };
	(void)state;

	assert_true(buf_printf(&b, HEAD "about: "));
	repeat(&b, "[", 40);
	repeat(&b, "]", 40);
	assert_error(&b, "w.yaml:3:40: nested deeper than 32 levels");

	assert_true(buf_printf(&b, HEAD "matrix: {a: ["));
	repeat(&b, "%u,", 40);
	assert_true(buf_printf(&b, "], b: ["));
	repeat(&b, "%u,", 40);
	assert_true(buf_printf(&b, "]}\nnodes:\n  a: {at: internet}\n"));
	assert_error(&b, "w.yaml:3:9: the matrix has more than 1024 combinations");

	assert_true(buf_printf(&b, "simnet: 1\nname: "));
	repeat(&b, "x", 100);
	assert_true(buf_printf(&b, "\nnodes:\n  a: {at: internet}\n"));
	assert_error(&b, "w.yaml:2:7: "
			 "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			 "xxxxxxxxxxxx"
			 "xxxxxx' is not a usable name: small letters, digits and '-', at most 64");

	assert_true(buf_printf(&b, HEAD "nodes:\n"));
	repeat(&b, "  n%u: {at: internet}\n", 120);
	assert_error(&b, "w.yaml:94:3: too many nodes beside 'n90'");

	assert_true(buf_printf(&b, HEAD "routers:\n"));
	repeat(&b, "  r%u: {nat: home}\n", 300);
	assert_true(buf_printf(&b, "nodes:\n  a: {at: internet}\n"));
	assert_error(&b, "w.yaml:154:3: 300 routers; at most 150");

	assert_true(buf_append(&b, HEAD "about: a\0b\n", sizeof(HEAD "about: a\0b\n") - 1));
	assert_error(&b, "w.yaml:3:9: control characters are not allowed");

	/* An anchor of anchors of anchors stays a graph, and is the wrong type. */
	assert_true(buf_printf(&b, HEAD "matrix:\n  a: &a [x, x, x, x]\n"));
	for (int c = 'b'; c < 'k'; c++)
		assert_true(
			buf_printf(&b, "  %c: &%c [*%c, *%c, *%c, *%c]\n", c, c, c - 1, c - 1, c - 1, c - 1));
	assert_error(&b, "w.yaml:4:3: a matrix of 10 variables; at most 8");
}

/* All errors, but not without end. */
static void test_all_errors(void **state)
{
	struct scn_errors all = { 0 };
	struct buf b = { 0 };
	(void)state;

	assert_true(buf_printf(&b, HEAD "nodes:\n"));
	repeat(&b, "  n%u: {at: nowhere}\n", 60);
	(void)errors_of((const char *)buf_data(&b), b.len, &all);
	assert_int_equal(all.n, 60);
	unsigned lines = 1;
	for (const char *at = buf_cstr(&all.text); (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, SCN_ERRORS_MAX);
	buf_free(&all.text);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_files),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_all_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
