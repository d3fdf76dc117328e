/* Files that are wrong, in every way that people find: each error says where and what, and helps. NULL: right
 * after all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/test/wrong_rows.h"
#include <string.h>

static void test_wrong_files(void **state)
{
	static const struct wrong_row rows[] = {
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
			"full-cone, restricted, symmetric, hard, pfsense, linux-masquerade, docker, "
			"corporate, hotel, mobile-4g, cloud-gateway); did you mean 'home'?" },
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
		/* a cycle, and what asks for the way up */
		{ HEAD "routers:\n  r: {nat: home, behind: r}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n"
		       "steps:\n  - expect: {path: a->b, is: oracle}\n",
			"w.yaml:4:3: router 'r' is behind itself" },
		{ HEAD "routers:\n  q: {nat: home, behind: r}\n  r: {nat: home, behind: s}\n  s: {nat: hoem, "
		       "behind: r}\n"
		       "nodes:\n  a: {at: q}\n  b: {at: internet}\nsteps:\n  - expect: {path: a->b, is: "
		       "oracle}\n",
			"w.yaml:6:12: 'hoem' is not a value of 'nat' (none, public, home, easy, cgnat, "
			"full-cone, restricted, symmetric, hard, pfsense, linux-masquerade, docker, "
			"corporate, hotel, mobile-4g, cloud-gateway); did you mean 'home'?\n"
			"w.yaml:5:3: router 'r' is behind itself" },
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
		/* filtering typo */
		{ HEAD "routers:\n  r: {nat: {filtering: APD}}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n",
			"w.yaml:4:24: 'APD' is not a value of 'filtering' (EIF, ADF, APDF); did you mean "
			"'APDF'?" },
		/* what contradicts itself in a NAT */
		{ HEAD "routers:\n  r: {nat: {preset: homes}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:21: 'homes' is not a value of 'preset' (none, public, home, easy, cgnat, "
			"full-cone, restricted, symmetric, hard, pfsense, linux-masquerade, docker, "
			"corporate, hotel, mobile-4g, cloud-gateway); did you mean 'home'?" },
		{ HEAD "routers:\n  r: {nat: {preset: home, ports: block}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:12: a block of ports must be a power of two from 4 to 4096" },
		{ HEAD "routers:\n  r: {nat: {preset: home, ports: block, block: 3}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:48: 'block' must be a number from 4 to 4096, not '3'" },
		{ HEAD "routers:\n  r: {nat: {preset: home, block: 64}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:12: a size of blocks without 'ports: block'" },
		{ HEAD "routers:\n  r: {nat: {preset: home, pooling: arbitrary}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:12: an arbitrary pool needs more than one address" },
		{ HEAD "routers:\n  r: {nat: {preset: home, hairpin-filter: true}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:12: filtering of hairpins without a hairpin" },
		{ HEAD "routers:\n  r: {nat: {preset: home, lifetime: 1500ms}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:37: 'lifetime' must be whole seconds, at most 120h" },
		{ HEAD "routers:\n  r: {nat: {preset: home, lifetime: 30s, lifetime-new: 60s}}\nnodes:\n  a: "
		       "{at: "
		       "r}\n",
			"w.yaml:4:12: a UDP mapping that was answered must live at least as long as a new "
			"one" },
		{ HEAD "routers:\n  r: {nat: {preset: home, tcp: {lifetime: 121h}}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:43: 'lifetime' must be whole seconds, at most 120h" },
		{ HEAD "routers:\n  r: {nat: {preset: home, tcp: {unknown: polite}}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:42: 'polite' is not a value of 'unknown' (loose, strict, reset, silent)" },
		{ HEAD "routers:\n  r: {nat: {preset: none, mapping: EIM}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:12: 'none' does not translate: nothing can be said of it" },
		{ HEAD "routers:\n  r: {nat: {preset: home, forwards: [udp 0 a:1]}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:38: 'udp 0 a:1' is not a forward: 'udp 4242 alice:41641'" },
		{ HEAD "routers:\n  r: {nat: {preset: home, forwards: [udp 1 a:1, udp 1 a:2]}}\nnodes:\n  a: "
		       "{at: "
		       "r}\n",
			"w.yaml:4:12: two forwards of one outer port" },
		{ HEAD "routers:\n  r: {nat: {preset: home, forwards: [udp 1 b:1]}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:3: router 'r' forwards a port to 'b', which is not on its LAN" },
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
		/* set nothing, both, of a node, of the place, of none */
		{ WORLD "steps:\n  - set: {at: r}\n",
			"w.yaml:9:5: set needs one of 'link', 'nat', 'firewall', 'nptv6' and 'routes'" },
		{ WORLD "steps:\n  - set: {at: r, link: {loss: 1%}, nat: home}\n",
			"w.yaml:9:5: set needs one of 'link', 'nat', 'firewall', 'nptv6' and 'routes'" },
		{ WORLD "steps:\n  - set: {at: a, nat: home}\n",
			"w.yaml:9:23: 'a' is no router: it has no NAT" },
		{ WORLD "steps:\n  - set: {at: r, nat: {pool: 2}}\n",
			"w.yaml:9:30: 'pool' belongs to where router 'r' is: say it in 'routers'" },
		{ WORLD "steps:\n  - set: {at: r, nat: none}\n",
			"w.yaml:9:23: router 'r' translates: a step cannot give or take the translation, "
			"which addresses "
			"depend on" },
		/* cut bad */
		{ WORLD "steps:\n  - cut: r.tcp\n",
			"w.yaml:9:10: cannot cut 'tcp' of 'r' (udp, link, carrier); did you mean 'udp'?" },
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
			"w.yaml:4:18: unknown key 'loss' in router 'r'; it is one of 'link' there: {link: "
			"{loss: ...}}" },
		/* link latency */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet, delay: 20ms}\n",
			"w.yaml:7:21: unknown key 'delay' in node 'b'; it is one of 'link' there: {link: "
			"{delay: ...}}" },
		/* of another map */
		{ HEAD "routers:\n  r: {nat: home, forwards: [tcp 80 a:80]}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:18: unknown key 'forwards' in router 'r'; it is one of 'nat' there: {nat: "
			"{forwards: ...}}" },
		/* ready with a template */
		{ HEAD "nodes:\n  a: {at: internet, run: [x], ready: {line: 'on : {ip}'}}\n",
			"w.yaml:4:45: 'on : {ip}' is not a regular expression (POSIX extended); there are no "
			"templates "
			"here, "
			"and a brace is written \\{" },
		/* matches with a brace */
		{ WORLD "steps:\n  - run: {at: a, argv: [x], matches: '{x'}\n",
			"w.yaml:9:38: '{x' is not a regular expression (POSIX extended); a brace that is "
			"meant as one is "
			"written \\{" },
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
		/* addresses */
		{ HEAD "routers:\n  r: {nat: home, lan: 192.168.1.0}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:23: 'lan' must be an IPv4 network, as 192.168.1.0/24, not '192.168.1.0'" },
		{ HEAD "routers:\n  r: {nat: home, lan: 192.168.1.1/24}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:23: '192.168.1.1/24' is a host's address; a network ends in zeros" },
		{ HEAD "routers:\n  r: {nat: home, lan: 192.168.1.0/28}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:23: '192.168.1.0/28' has no usable size: a LAN is a network from /8 to "
			"/24" },
		{ HEAD "routers:\n  r: {nat: home, lan: 127.0.0.0/8}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:23: '127.0.0.0/8' is not for hosts" },
		{ HEAD "routers:\n  r: {nat: home, lan: 203.0.113.0/24}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:23: the LAN 203.0.113.0/24 of router 'r' overlaps 203.0.113.0/24, "
			"internet; whoever is on 'internet' could not tell them apart: another 'lan' for one "
			"of them" },
		{ HEAD "routers:\n  i: {nat: cgnat, lan: 10.0.0.0/8}\n  r: {nat: home, lan: 10.1.0.0/16, "
		       "behind: i}\nnodes:\n  a: {at: r}\n",
			"w.yaml:5:23: the LAN 10.1.0.0/16 of router 'r' overlaps 10.0.0.0/8, i; whoever is "
			"on 'i' could not tell them apart: another 'lan' for one of them" },
		{ HEAD "routers:\n  q: {nat: none, lan: 198.51.7.0/24}\n  r: {nat: none, lan: "
		       "198.51.0.0/16}\nnodes:\n  a: {at: r}\n",
			"w.yaml:5:23: the LAN 198.51.0.0/16 of router 'r' overlaps 198.51.7.0/24, q; whoever "
			"is on 'internet' could not tell them apart: another 'lan' for one of them" },
		{ HEAD "routers:\n  r: {nat: home, lan: 192.168.1.0/24}\nnodes:\n  a: {at: r, ip: "
		       "192.168.2.9}\n",
			"w.yaml:6:18: 192.168.2.9 of 'a' is not of the network of 'r', 192.168.1.0/24" },
		{ HEAD "routers:\n  r: {nat: home, lan: 192.168.1.0/24}\nnodes:\n  a: {at: r, ip: "
		       "192.168.1.1}\n",
			"w.yaml:6:18: 192.168.1.1 of 'a' is already the address of 'r'" },
		{ HEAD "routers:\n  r: {nat: home, lan: 192.168.1.0/24}\nnodes:\n  a: {at: r, ip: "
		       "192.168.1.255}\n  b: {at: r, ip: 192.168.1.251}\n",
			"w.yaml:6:18: 192.168.1.255 is not free for 'a': the first, the last, and numbers "
			"251 to 254 of a network are taken\nw.yaml:7:18: 192.168.1.251 is not free for 'b': "
			"the first, the last, and numbers 251 to 254 of a network are taken" },
		{ HEAD "routers:\n  r: {nat: home, lan: 192.168.1.0/24}\nnodes:\n  a: {at: r, ip: "
		       "192.168.1.9}\n  b: {at: r, ip: 192.168.1.9}\n",
			"w.yaml:7:18: 192.168.1.9 of 'b' is already the address of 'a'" },
		{ HEAD "routers:\n  r: {nat: home, ip: 9.9.9.9}\nnodes:\n  a: {at: internet, ip: 9.9.9.9}\n",
			"w.yaml:6:25: 9.9.9.9 of 'a' is already the address of 'r'" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r, ip: x}\n",
			"w.yaml:6:18: 'ip' must be an IPv4 address, as 192.168.1.20, not 'x'" },
		/* interfaces */
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r, interfaces: {eth0: {at: r}}}\n",
			"w.yaml:6:26: 'interfaces' say each their own 'at' and 'ip'; 'at' excludes them" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {interfaces: {}}\n",
			"w.yaml:6:19: 'interfaces' must be a map of one at least, not an empty one" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {interfaces: {Eth0: {at: r}, lo: {at: "
		       "q}}}\n",
			"w.yaml:6:20: 'Eth0' is not a usable name: small letters, digits and '-', at most "
			"15\nw.yaml:6:35: the name 'lo' is taken by the kernel\nw.yaml:6:44: no router 'q'; "
			"did you mean 'r'?" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {interfaces: {eth0: {ip: 1.2.3.4}}}\n",
			"w.yaml:6:26: interface 'eth0' has no 'at'" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {interfaces: {eth0: {at: r, metric: 0}}}\n",
			"w.yaml:6:42: 'metric' must be a number from 1 to 2147483647, not '0'" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {interfaces: {eth0: {at: r, routes: "
		       "[10.0.0.1/8]}}}\n",
			"w.yaml:6:43: a route is a network, as '10.0.0.0/8' or '10.0.0.0/8 via 192.168.1.7', "
			"not '10.0.0.1/8'" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {interfaces: {a: {at: r}, b: {at: r}, c: "
		       "{at: r}, d: {at: r}, e: {at: r}}}\n",
			"w.yaml:6:68: 5 interfaces; at most 4" },
		{ HEAD "routers:\n  q: {nat: home, lan: 192.168.1.0/24}\n  r: {nat: home, lan: "
		       "192.168.1.0/24}\nnodes:\n  a: {interfaces: {eth0: {at: q}, wlan0: {at: r}}}\n",
			"w.yaml:7:35: interface 'wlan0' of 'a' is in 192.168.1.0/24 like 'eth0', and in "
			"another network; a host is in one of them at a time" },
		/* count */
		{ HEAD "nodes:\n  a: {at: internet, count: 0}\n",
			"w.yaml:4:28: 'count' must be a number from 1 to 500, not '0'" },
		{ HEAD "nodes:\n  a: {at: internet, count: [3]}\n",
			"w.yaml:4:28: 'count' must be a number from 1 to 500, not a list" },
		{ HEAD "nodes:\n  a: {at: internet, count: 2}\n  a-2: {at: internet}\n",
			"w.yaml:5:3: duplicate key 'a-2'; first at line 4" },
		/* use without a folder */
		{ HEAD "use: [p.yaml]\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:7: this file cannot take in another one: it was not read from a folder" },
		{ HEAD "use: p.yaml\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:6: 'use' must be a list, not a word" },
		{ HEAD "use: [{fil: p.yaml}]\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:8: unknown key 'fil' in use; did you mean 'file'?\n"
			"w.yaml:3:7: use has no 'file'" },
		{ HEAD "use: [{file: p.yaml, with: {k: []}}]\nnodes:\n  a: {at: internet}\n",
			"w.yaml:3:32: 'with.k' must be a word, not a list" },
		/* conditions */
		{ WORLD "steps:\n  - run: {at: a, argv: [echo], is: '>= many'}\n",
			"w.yaml:9:36: '>= many' is not a condition on a number, as '>= 3'" },
		/* home */
		{ WORLD "steps:\n  - expect: {home: a}\n", "w.yaml:9:5: 'home' and 'relay' go together" },
		{ WORLD "steps:\n  - expect: {home: a, relay: eu, for: 3s}\n",
			"w.yaml:9:5: 'home' needs 'relay', and no 'is', 'max', 'lost' or 'for'" },
		{ WORLD "steps:\n  - expect: {home: aa, relay: eu}\n",
			"w.yaml:9:20: no node 'aa'; did you mean 'a'?" },
		{ WORLD "steps:\n  - expect: {home: a, relay: eu}\n",
			"w.yaml:9:5: 'a' runs nothing that can tell its home relay" },
		{ WORLD "steps:\n  - expect: {home: a, path: a->b, is: direct}\n",
			"w.yaml:9:5: expect needs one of 'path', 'home' and 'gap'" },
		/* ready */
		{ HEAD "nodes:\n  a: {at: internet, ready: {line: up}}\n",
			"w.yaml:4:28: 'ready' is of a program given as a list; nothing runs here" },
		{ HEAD "nodes:\n  a: {at: internet, run: ropewalk-relay, ready: {line: up}}\n",
			"w.yaml:4:49: 'ready' is of a program given as a list; an adapter says its own" },
		{ HEAD "nodes:\n  a: {at: internet, run: [sleep, '9'], ready: {line: x, exit: true}}\n",
			"w.yaml:4:47: 'ready' needs exactly one of line, json, port and exit" },
		{ HEAD "nodes:\n  a: {at: internet, run: [sleep, '9'], ready: {port: 'tcp {b.ip}:1'}}\n",
			"w.yaml:4:3: '{b.ip}': no node 'b'; did you mean 'a'?" },
		/* timeout */
		{ WORLD "timeout: 30\n",
			"w.yaml:8:10: 'timeout' must be a duration with its unit, as 500ms, 5s or "
			"1m30s, not '30'" },
		{ HEAD "routers:\n  r: {nat: home, offers: ipv6}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:3: router 'r' offers IPv6, and there is none: 'ipv6: true' at the top of "
			"the file" },
		{ WORLD "steps:\n  - set: {at: r, firewall: {in: [drop]}, nat: home}\n",
			"w.yaml:9:5: set needs one of 'link', 'nat', 'firewall', 'nptv6' and 'routes'" },
		{ WORLD "steps:\n  - set: {at: r, firewall: {in: [dorp]}}\n",
			"w.yaml:9:34: a rule begins with accept, drop, reject or redirect, not 'dorp'; did "
			"you mean "
			"'drop'?" },
		{ WORLD "steps:\n  - set: {at: a, firewall: {out: ['redirect tcp 80 into b:80']}}\n",
			"w.yaml:9:35: 'redirect tcp 80 into b:80': only a router redirects" },
		{ HEAD "routers:\n  r: {nat: home, firewall: {in: ['redirect tcp 80 into a:80']}}\nnodes:\n  "
		       "a: {at: r}\n",
			"w.yaml:4:34: 'redirect tcp 80 into a:80': what is redirected goes out of a router; "
			"say it in 'out'" },
		{ HEAD "routers:\n  r: {nat: home, firewall: {out: ['redirect tcp 80 into a:80']}}\nnodes:\n "
		       " a: {at: r}\n",
			"w.yaml:4:35: 'redirect tcp 80 into a:80': that host is inside of the router, which "
			"does not see what it answers" },
		{ HEAD "routers:\n  r: {nat: home, firewall: {out: ['redirect tcp 80 into x:80']}}\nnodes:\n "
		       " a: {at: r}\n",
			"w.yaml:4:35: 'redirect tcp 80 into x:80': no host is called so" },
		{ HEAD "routers:\n  r: {nat: home, firewall: {out: [redirect tcp 80]}}\nnodes:\n  a: {at: "
		       "r}\n",
			"w.yaml:4:35: 'redirect tcp 80': a redirect is of tcp or udp, and says where: "
			"'redirect tcp 80 into portal:80'" },
		{ HEAD "routers:\n  r: {nat: home, firewall: {out: [redirect tcp into a]}}\nnodes:\n  a: "
		       "{at: r}\n",
			"w.yaml:4:35: 'into' of a rule is followed by a host and its port, as portal:80, not "
			"'a'" },
		{ HEAD "routers:\n  r: {nat: home, firewall: {out: ['redirect established tcp into "
		       "a:1']}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:35: 'redirect established tcp into a:1': a redirect is of new flows, and "
			"of IPv4" },
		{ HEAD "routers:\n  r: {nat: home, firewall: {out: ['drop tcp into a:1']}}\nnodes:\n  a: "
		       "{at: r}\n",
			"w.yaml:4:35: 'into' is of a rule that begins with redirect" },
		/* firewalls */
		{ HEAD "nodes:\n  a: {at: internet, firewall: [drop]}\n",
			"w.yaml:4:31: firewall must be a map, not a list" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: drop}}\n",
			"w.yaml:4:36: 'in' must be a list of rules, not a word" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {input: [drop]}}\n",
			"w.yaml:4:32: unknown key 'input' in firewall" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: [deny]}}\n",
			"w.yaml:4:37: a rule begins with accept, drop, reject or redirect, not 'deny'" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: [dorp udp]}}\n",
			"w.yaml:4:37: a rule begins with accept, drop, reject or redirect, not 'dorp'; did "
			"you mean "
			"'drop'?" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: [drop upd]}}\n",
			"w.yaml:4:37: 'upd' is not a part of a rule (established, tcp, udp, icmp, from, to, "
			"into); "
			"did you mean 'udp'?" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: [drop udp tcp]}}\n",
			"w.yaml:4:37: 'drop udp tcp' names two protocols; a rule has one" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: [drop udp 0]}}\n",
			"w.yaml:4:37: '0' are no ports, as 80,443 or 5000-5010" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: ['drop udp 80,']}}\n",
			"w.yaml:4:37: '80,' are no ports, as 80,443 or 5000-5010" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: [drop udp 90-80]}}\n",
			"w.yaml:4:37: '90-80' are no ports, as 80,443 or 5000-5010" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: [drop from]}}\n",
			"w.yaml:4:37: 'from' of a rule is followed by a network or address, as 10.0.0.0/8, "
			"not ''" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: [drop from 10.0.0.1/8]}}\n",
			"w.yaml:4:37: '10.0.0.1/8' is a host's address; a network ends in zeros" },
		{ HEAD "nodes:\n  a: {at: internet, firewall: {in: ['drop from 10.0.0.0/8 to 2a0e::/16']}}\n",
			"w.yaml:4:37: 'drop from 10.0.0.0/8 to 2a0e::/16' is of IPv4 and of IPv6, and "
			"matches nothing" },
		/* what a host is besides */
		{ HEAD "nodes:\n  a: {at: internet, clock: 1h}\n",
			"w.yaml:4:28: a clock is off by a sign and a duration, as +1h or -30y, not '1h'" },
		{ HEAD "nodes:\n  a: {at: internet, clock: [1]}\n",
			"w.yaml:4:28: a clock is off by a sign and a duration, as +1h or -30y, not a list" },
		{ HEAD "nodes:\n  a: {at: internet, env: [A]}\n",
			"w.yaml:4:26: 'env' must be a map of words, not a list" },
		{ HEAD "nodes:\n  a: {at: internet, env: {A=B: c}}\n",
			"w.yaml:4:27: 'A=B' cannot be the name of a variable" },
		{ HEAD "nodes:\n  a: {at: internet, env: {A: [b]}}\n",
			"w.yaml:4:30: 'env.A' must be a word, not a list" },
		{ HEAD "nodes:\n  a: {at: internet, files: {etc/x: y}}\n",
			"w.yaml:4:29: 'etc/x' is not the path of a file of a host, as /etc/my.conf" },
		{ HEAD "nodes:\n  a: {at: internet, files: {/etc/x: {from: 'no/{name}.key'}}}\n  b: {at: "
		       "internet, "
		       "files: {/etc/y: {from: ../y}, /etc/z: {from: .}}}\n",
			"w.yaml:4:29: no file 'no/{name}.key' in the scenario's folder; 'from' is taken as "
			"it "
			"stands, without templates\n"
			"w.yaml:5:29: '../y' is not in the scenario's folder\nw.yaml:5:51: '.' is no file" },
		{ HEAD "nodes:\n  a: {at: internet, files: {/proc/x: y, /opt/app/x: y, /x: y, /etc/../x: "
		       "y}}\n",
			"w.yaml:4:29: '/proc/x' would be on the machine itself; a host's own are /etc, /var, "
			"/tmp "
			"and /run\n"
			"w.yaml:4:41: '/opt/app/x' would be on the machine itself; a host's own are /etc, "
			"/var, "
			"/tmp and /run\n"
			"w.yaml:4:56: '/x' would be on the machine itself; a host's own are /etc, /var, /tmp "
			"and "
			"/run\n"
			"w.yaml:4:63: '/etc/../x' is not the path of a file of a host, as /etc/my.conf" },
		{ HEAD "nodes:\n  a: {at: internet, files: {/etc/x: {mode: '0600'}}}\n",
			"w.yaml:4:37: file '/etc/x' needs 'text' or 'from', and not both" },
		{ HEAD "nodes:\n  a: {at: internet, files: {/etc/x: {text: y, mode: rw}}}\n",
			"w.yaml:4:53: 'rw' is no mode, as 0600" },
		{ HEAD "nodes:\n  a: {at: internet, files: {/etc/x: '{b.ip}'}}\n",
			"w.yaml:4:3: '{b.ip}': no node 'b'; did you mean 'a'?" },
		{ WORLD "steps:\n  - sleep: r\n", "w.yaml:9:12: no node 'r'; did you mean 'a'?" },
		{ WORLD "steps:\n  - wake: a\n",
			"w.yaml:9:11: 'a' does not sleep: a 'sleep' without 'for' comes first" },
		{ WORLD "steps:\n  - sleep: a\n  - sleep: a\n",
			"w.yaml:10:12: 'a' sleeps already: a 'wake' comes first" },
		{ WORLD "steps:\n  - sleep: {at: a, for: 5}\n", "w.yaml:9:25: 'for' must be a duration with "
								"its unit, as 500ms, 5s or 1m30s, not '5'" },
		{ WORLD "steps:\n  - clock: {at: a, is: +1h}\n",
			"w.yaml:9:17: 'a' has the machine's clock: 'clock: +0s' gives it one of its own" },
		/* changes of place */
		{ WORLD "steps:\n  - move: {at: a}\n", "w.yaml:9:11: move has no 'to'" },
		{ WORLD "steps:\n  - move: {at: aa, to: r}\n",
			"w.yaml:9:16: no node or router 'aa'; did you mean 'a'?" },
		{ WORLD "steps:\n  - move: {at: a, to: rr}\n",
			"w.yaml:9:23: no router 'rr'; did you mean 'r'?" },
		{ WORLD "steps:\n  - move: {at: a, to: r, how: make-then-break}\n",
			"w.yaml:9:31: 'make-then-break' is not a value of 'how' (break-before-make, "
			"make-before-break); did you mean 'make-before-break'?" },
		{ WORLD "steps:\n  - move: {at: a, to: r, interface: wlan0}\n",
			"w.yaml:9:37: 'a' has no interface 'wlan0'" },
		{ WORLD "steps:\n  - move: {at: a, to: r, how: make-before-break, interface: eth0}\n",
			"w.yaml:9:61: 'a' is on 'eth0' already: make-before-break needs another interface" },
		{ WORLD "steps:\n  - move: {at: r, to: internet, how: make-before-break}\n",
			"w.yaml:9:38: 'r' is a router: it has one outer side, which is moved as a whole" },
		{ WORLD "steps:\n  - move: {at: r, to: r}\n",
			"w.yaml:9:23: router 'r' would be behind itself" },
		{ WORLD "steps:\n  - lease: c\n", "w.yaml:9:12: no node or router 'c'; did you mean 'a'?" },
		{ WORLD "steps:\n  - move: {at: b, to: r, ip: 192.168.1.1}\n",
			"w.yaml:9:30: 192.168.1.1 of 'b' is already the address of 'r'" },
		{ WORLD "steps:\n  - interface: {at: r, name: wan, up: false}\n",
			"w.yaml:9:21: router 'r' has no uplinks: its one outer side is changed by 'move' and "
			"'lease'" },
		{ WORLD "steps:\n  - interface: {at: rr, name: wan, up: false}\n",
			"w.yaml:9:21: no node or router 'rr'; did you mean 'r'?" },
		{ WORLD "steps:\n  - interface: {at: a, name: eth1, up: false}\n",
			"w.yaml:9:30: 'a' has no interface 'eth1'; did you mean 'eth0'?" },
		{ WORLD "steps:\n  - interface: {at: a, up: false}\n",
			"w.yaml:9:16: interface has no 'name'" },
		/* several ways out */
		{ UPLINKS "nodes:\n  a: {at: h}\nsteps:\n  - interface: {at: h, name: lte, up: false}\n",
			NULL },
		{ UPLINKS "nodes:\n  a: {at: h}\nsteps:\n  - interface: {at: h, name: lt, up: false}\n",
			"w.yaml:8:30: router 'h' has no uplink 'lt'; did you mean 'lte'?" },
		{ UPLINKS "nodes:\n  a: {at: h}\nsteps:\n  - interface: {at: h, name: lte, to: internet}\n",
			"w.yaml:8:39: an uplink stays where 'routers' has it: a step raises or pulls it, or "
			"says its "
			"metric" },
		{ UPLINKS "nodes:\n  a: {at: h}\nsteps:\n  - move: {at: h, to: internet}\n",
			"w.yaml:8:16: router 'h' has uplinks, and they stay where they are: the step "
			"'interface' "
			"raises and pulls them" },
		{ HEAD "routers:\n  h: {nat: home, behind: internet, uplinks: {dsl: {at: "
		       "internet}}}\nnodes:\n  a: "
		       "{at: h}\n",
			"w.yaml:4:3: router 'h' has 'uplinks': 'behind', 'ip', 'link' and 'region' are of a "
			"router with "
			"one" },
		{ HEAD "routers:\n  h: {nat: home, ip: 9.9.9.9, uplinks: {dsl: {at: internet}}}\nnodes:\n  "
		       "a: {at: "
		       "h}\n",
			"w.yaml:4:22: router 'h' has 'uplinks': 'behind', 'ip', 'link' and 'region' are of a "
			"router "
			"with one" },
		{ HEAD "routers:\n  h: {nat: home, uplinks: {}}\nnodes:\n  a: {at: h}\n",
			"w.yaml:4:27: 'uplinks' must be a map of one at least, not an empty one" },
		{ HEAD "routers:\n  h: {nat: home, uplinks: {dsl: {at: internet, up: false}}}\nnodes:\n  a: "
		       "{at: "
		       "h}\n",
			"w.yaml:4:27: router 'h' has no uplink that is up" },
		{ HEAD "routers:\n  h: {nat: home, uplinks: {dsl: {metric: 1}}}\nnodes:\n  a: {at: h}\n",
			"w.yaml:4:33: uplink 'dsl' has no 'at'" },
		{ HEAD "routers:\n  h: {nat: none, uplinks: {dsl: {at: internet}}}\nnodes:\n  a: {at: h}\n",
			"w.yaml:4:3: router 'h' cannot have 'uplinks': it does not translate" },
		{ HEAD "ipv6: true\nrouters:\n  h: {nat: home, uplinks: {dsl: {at: internet}}}\nnodes:\n  a: "
		       "{at: "
		       "h}\n",
			"w.yaml:5:3: router 'h' cannot have 'uplinks': there is IPv6" },
		{ HEAD "routers:\n  h: {nat: {pool: 2}, uplinks: {dsl: {at: internet}}}\nnodes:\n  a: {at: "
		       "h}\n",
			"w.yaml:4:3: router 'h' cannot have 'uplinks': it has a pool of outer addresses" },
		{ HEAD "routers:\n  i: {nat: cgnat, behind: h}\n  h: {nat: home, uplinks: {dsl: {at: "
		       "internet}, "
		       "lte: {at: i}}}\nnodes:\n  a: {at: h}\n",
			"w.yaml:5:49: router 'h' would be behind itself" },
		{ HEAD "routers:\n  i: {nat: cgnat, lan: 10.0.0.0/8}\n  h: {nat: home, lan: 10.1.0.0/24, "
		       "uplinks: "
		       "{dsl: {at: internet}, lte: {at: i}}}\nnodes:\n  a: {at: h}\n",
			"w.yaml:5:67: the inner network of 'h' is of the same range as that of 'i'" },
		{ HEAD "routers:\n  h: {nat: home, uplinks: {dsl: {at: internet, ip: 203.0.113.20}, lte: "
		       "{at: "
		       "internet, ip: 203.0.113.20}}}\nnodes:\n  a: {at: h}\n",
			"w.yaml:4:91: 203.0.113.20 of 'h' is already the address of 'h'" },
		{ HEAD "routers:\n  h: {nat: home, uplinks: {dsl: {at: internet}, lte: {at: internet, ip: "
		       "203.0.113.20}}}\nnodes:\n  a: {at: internet, ip: 203.0.113.20}\n",
			"w.yaml:6:25: 203.0.113.20 of 'a' is already the address of 'h'" },
		/* set */
		{ WORLD "steps:\n  - set: {at: b, link: {loss: 3%}}\n", NULL },
		{ WORLD "steps:\n  - set: {at: bb, link: {loss: 3%}}\n",
			"w.yaml:9:15: no node or router 'bb'; did you mean 'b'?" },
		/* exit text */
		{ WORLD "steps:\n  - run: {at: a, argv: [true], exit: zero}\n",
			"w.yaml:9:38: 'exit' must be a number from 0 to 2147483647, not 'zero'" },
	};
	(void)state;
	wrong_rows_check(rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
