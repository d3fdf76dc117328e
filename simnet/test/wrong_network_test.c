/* As wrong_test.c: files whose networks are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/test/wrong_rows.h"

static void test_routes(void **state)
{
	static const struct wrong_row rows[] = {
		{ WORLD "steps:\n  - set: {at: r, routes: [10.0.0.0/8 via 192.168.1.7]}\n"
			"  - set: {at: a, interface: eth0, routes: [10.0.0.0/8]}\n  - set: {at: a, routes: "
			"[]}\n",
			NULL },
		{ WORLD "steps:\n  - set: {at: r, routes: 10.0.0.0/8}\n",
			"w.yaml:9:26: 'routes' must be a list, not a word" },
		{ WORLD "steps:\n  - set: {at: a, routes: [10.0.0.0]}\n",
			"w.yaml:9:27: a route is a network, as '10.0.0.0/8' or '10.0.0.0/8 via 192.168.1.7', "
			"not '10.0.0.0'" },
		{ WORLD "steps:\n  - set: {at: a, interface: eth7, routes: []}\n",
			"w.yaml:9:29: 'a' has no interface 'eth7'; did you mean 'eth0'?" },
		{ WORLD "steps:\n  - set: {at: r, interface: wan, routes: []}\n",
			"w.yaml:9:29: 'r' is a router: its routes go by where the next one is" },
		{ WORLD "steps:\n  - set: {at: a, interface: eth0, firewall: {}}\n",
			"w.yaml:9:29: 'interface' goes with 'routes'" },
		{ WORLD "steps:\n  - set: {at: a, routes: [10.0.0.0/8 via 192.168.7.7]}\n",
			"w.yaml:9:27: a route leads by somebody of the network that its interface is on" },
		{ WORLD "steps:\n  - set: {at: r, routes: [10.0.0.0/8]}\n",
			"w.yaml:9:27: a route of a router says by whom, as '10.0.0.0/8 via 192.168.1.7'" },
		{ WORLD "steps:\n  - set: {at: r, routes: [10.0.0.0/8 via 192.168.1.1]}\n",
			"w.yaml:9:27: a route of a router leads by somebody else" },
		{ HEAD "routers:\n  i: {nat: cgnat}\n  r: {nat: home, behind: i, routes: [10.0.0.0/8 via "
		       "192.168.9.7]}\nnodes:\n  a: {at: r}\n",
			"w.yaml:5:38: a route of a router leads by somebody of its inner or outer network" },
		{ HEAD "routers:\n  r: {nat: home, routes: [192.168.1.0/24 via 192.168.1.7]}\nnodes:\n  a: "
		       "{at: "
		       "r}\n",
			"w.yaml:4:27: a router is on that network itself" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {interfaces: {eth0: {at: r, routes: "
		       "[10.0.0.0/8 via 192.168.1.7]}}}\nsteps:\n  - move: {at: a, to: internet}\n"
		       "  - move: {at: a, to: r}\n",
			NULL },
		{ HEAD "routers:\n  r: {nat: home}\n  q: {nat: home}\nnodes:\n  a: {interfaces: {eth0: {at: "
		       "r, "
		       "routes: [10.0.0.0/8 via 192.168.1.7]}}}\nsteps:\n  - move: {at: a, to: q}\n",
			"w.yaml:9:5: the routes of 'a' do not go with it: a route leads by somebody of the "
			"network that its interface is on" },
	};
	(void)state;
	wrong_rows_check(rows, ARRAY_LEN(rows));
}

/* What a router has inside is nothing that it reaches outside; what the file leaves open is chosen so. */
static void test_ranges(void **state)
{
	static const struct wrong_row rows[] = {
#define PAIR(a, b) HEAD "routers:\n  q: {" a "}\n  r: {" b "}\nnodes:\n  a: {at: r}\n"
		{ PAIR("nat: home, lan: 192.168.7.0/24", "nat: home, lan: 192.168.7.0/24"), NULL },
		{ PAIR("nat: none, lan: 192.168.7.0/24", "nat: home, lan: 192.168.0.0/16"), NULL },
		{ PAIR("nat: none, lan: 10.0.0.0/8", "nat: home, lan: 10.1.0.0/24"), NULL },
		{ PAIR("nat: none, lan: 192.168.7.0/24", "nat: home, lan: 192.168.7.0/24"),
			"w.yaml:5:3: 'r' has inside what it reaches outside too, the range of 'q': another "
			"'lan' for one of them" },
		{ PAIR("nat: home, lan: 192.168.7.0/24", "nat: none, lan: 192.168.7.0/24"),
			"w.yaml:4:3: 'q' has inside what it reaches outside too, the range of 'r': another "
			"'lan' for one of them" },
		{ HEAD "routers:\n  q: {nat: none, lan: 10.1.0.0/16}\n  r: {nat: home}\n  s: {nat: none, "
		       "behind: r, lan: 10.1.0.0/16}\nnodes:\n  a: {at: s}\n",
			"w.yaml:5:3: 'r' has inside what it reaches outside too, the range of 'q': another "
			"'lan' for one of them" },
		{ PAIR("nat: home", "nat: home, lan: 192.168.7.0/24, ip: 192.168.7.9"),
			"w.yaml:5:3: 192.168.7.9, outside of 'r', is in its inner network: another 'lan' or "
			"'ip'" },
		{ PAIR("nat: home, ip: 192.168.1.9", "nat: home, ip: 192.168.2.9"), NULL },
		{ PAIR("nat: none, lan: 192.168.7.0/24",
			  "nat: home, lan: 192.168.7.0/24, uplinks: {x: {at: internet}}"),
			"w.yaml:5:49: 'r' has inside what it reaches outside too, the range of 'q': another "
			"'lan' for one of them" },
		{ PAIR("nat: home",
			  "nat: home, lan: 192.168.7.0/24") "steps:\n  - lease: {at: r, ip: 192.168.7.9}\n",
			"w.yaml:9:5: 192.168.7.9, outside of 'r', is in its inner network: another 'lan' or "
			"'ip'" },
		{ HEAD "routers:\n  p: {nat: none}\n  q: {nat: none}\n  r: {nat: none, lan: "
		       "198.51.100.0/24}\nnodes:\n  a: {at: r}\n",
			NULL },
	};
	(void)state;
	wrong_rows_check(rows, ARRAY_LEN(rows));
}

static void test_nat64(void **state)
{
	static const struct wrong_row rows[] = {
#define SIX(router) HEAD "ipv6: true\nrouters:\n  r: {" router "}\nnodes:\n  a: {at: r}\n"
		{ SIX("nat: home, nat64: {prefix: '2001:db8:64::/48'}"), NULL },
		{ SIX("nat: home, offers: ipv6, nat64: 64:ff9b::/96"), NULL },
		{ SIX("nat: home, nat64: {}"), NULL },
		{ SIX("nat: home, nat64: true"),
			"w.yaml:5:25: 'prefix' must be an IPv6 network of /32, /40, /48, /56, /64 or /96, as "
			"64:ff9b::/96, not 'true'" },
		{ SIX("nat: home, nat64: {prefix: '64:ff9b::1/96'}"),
			"w.yaml:5:34: 'prefix' must be an IPv6 network of /32, /40, /48, /56, /64 or /96, as "
			"64:ff9b::/96, not '64:ff9b::1/96'" },
		{ SIX("nat: home, nat64: [64:ff9b::/96]"), "w.yaml:5:25: nat64 must be a map, not a list" },
		{ SIX("nat: home, nat64: {perfix: '64:ff9b::/96'}"),
			"w.yaml:5:26: unknown key 'perfix' in nat64; did you mean 'prefix'?" },
		{ SIX("nat: none, nat64: {}"),
			"w.yaml:5:25: 'nat64' shares a NAT's outer addresses; router 'r' has none" },
		{ HEAD "routers:\n  r: {nat: home, nat64: {}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:3: router 'r' translates IPv6, and there is none: 'ipv6: true' at the top "
			"of "
			"the file" },
	};
	(void)state;
	wrong_rows_check(rows, ARRAY_LEN(rows));
}

static void test_on_router(void **state)
{
#define ON(words) \
	HEAD "routers:\n  r: {nat: home}\nservices:\n  p: {run: [x], " words "}\nnodes:\n  a: {at: r}\n"
#define STEP(words) ON("router: r") "steps:\n  - " words "\n"
#define NO_NETWORK \
	"w.yaml:10:5: 'p' has no network of its own, it runs on router 'r': 'run', 'spawn' and 'kill' are " \
	"for it"
	static const struct wrong_row rows[] = {
		{ ON("router: r"), NULL },
		{ ON("router: q"), "w.yaml:6:25: no router 'q'; did you mean 'r'?" },
		{ ON("router: internet"), "w.yaml:6:25: 'internet' is no router; 'at' puts a host there" },
		{ ON("router: r, at: r"),
			"w.yaml:6:32: service 'p' runs on a router: 'at' is of a host of its own" },
		{ ON("router: r, ip: 192.168.1.7"),
			"w.yaml:6:32: service 'p' runs on a router: 'ip' is of a host of its own" },
		{ ON("router: r, clock: +1h"),
			"w.yaml:6:35: service 'p' runs on a router: 'clock' is of a host of its own" },
		{ HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {router: r, run: [x]}\n",
			"w.yaml:6:7: unknown key 'router' in node 'a'; did you mean 'user'?\n"
			"w.yaml:6:6: node 'a' has no 'at'" },
		{ STEP("run: {at: p, argv: [x, '{p.router}', '{p.ip}', '{r.lan}', '{r.lan6}']}"), NULL },
		{ STEP("run: {at: p, argv: [x, '{r.lam}']}"),
			"w.yaml:10:5: router 'r' has no field 'lam'; did you mean 'lan'?" },
		{ STEP("run: {at: a, argv: [x, '{a.router}']}"), "w.yaml:10:5: 'a' has no field 'router'" },
		{ STEP("spawn: p"), NULL },
		{ STEP("kill: p"), NULL },
		{ STEP("ping: {from: a, to: p}"), NULL },
		{ STEP("ping: {from: p, to: a}"), NO_NETWORK },
		{ STEP("resolve: {from: p, name: x}"), NO_NETWORK },
		{ STEP("expect: {path: a->p, is: direct}"), NO_NETWORK },
		{ STEP("cut: p.link"), NO_NETWORK },
		{ STEP("sleep: p"), NO_NETWORK },
		{ STEP("move: {at: p, to: internet}"), NO_NETWORK },
		{ STEP("lease: p"), NO_NETWORK },
		{ STEP("interface: {at: p, name: eth0, up: false}"), NO_NETWORK },
		{ STEP("set: {at: p, link: {delay: 1ms}}"), NO_NETWORK },
	};
#undef NO_NETWORK
#undef STEP
#undef ON
	(void)state;
	wrong_rows_check(rows, ARRAY_LEN(rows));
}

static void test_nptv6(void **state)
{
#define NPT(words) HEAD "ipv6: true\nrouters:\n  r: {nat: home, nptv6: {" words "}}\nnodes:\n  a: {at: r}\n"
#define STEP(words) "steps:\n  - set: " words "\n"
	static const struct wrong_row rows[] = {
		{ NPT(""), NULL },
		{ NPT("inside: 'fd00:7::/48', outside: '2001:db8:7::/48'"), NULL },
		{ NPT("inside: 'fd00:7::/64'"), "w.yaml:5:34: 'inside' must be an IPv6 network of /48 that "
						"is nobody's, as fd00:51::/48, "
						"not 'fd00:7::/64'" },
		{ NPT("outside: '2a0e:5100::/48'"),
			"w.yaml:5:35: 'outside' must be an IPv6 network of /48 that is nobody's, as "
			"fd00:51::/48, not '2a0e:5100::/48'" },
		{ NPT("outside: 'fd00:51::/48'"), "w.yaml:5:25: 'inside' and 'outside' are one network" },
		{ HEAD "routers:\n  r: {nat: home, nptv6: {}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:3: router 'r' exchanges IPv6 prefixes, and there is none: 'ipv6: true' at "
			"the "
			"top of the file" },
		{ HEAD "ipv6: true\nrouters:\n  q: {nat: home, nptv6: {}}\n  o: {nat: none, behind: q}\n"
		       "  r: {nat: home, behind: o, nptv6: {}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:7:3: router 'r' exchanges IPv6 prefixes behind 'q', which does so too" },
		{ HEAD "ipv6: true\nrouters:\n  q: {nat: home, nptv6: {outside: '2001:db8:1::/48'}}\n"
		       "  r: {nat: home, nptv6: {outside: '2001:db8:1::/48'}}\nnodes:\n  a: {at: r}\n",
			"w.yaml:6:3: routers 'q' and 'r' have one outer IPv6 prefix" },
		{ NPT("") STEP("{at: r, nptv6: {outside: '2001:db8:1::/48'}}"), NULL },
		{ NPT("") STEP("{at: a, nptv6: {outside: '2001:db8:1::/48'}}"),
			"w.yaml:9:15: 'a' exchanges no IPv6 prefix: 'nptv6' of a router in 'routers' gives "
			"it one" },
		{ NPT("") STEP("{at: r, nptv6: {}}"), "w.yaml:9:25: a step says the 'outside' of router 'r' "
						      "anew, and nothing else: who is inside "
						      "keeps its address" },
		{ NPT("") STEP("{at: r, nptv6: {inside: 'fd00:8::/48', outside: '2001:db8:1::/48'}}"),
			"w.yaml:9:25: a step says the 'outside' of router 'r' anew, and nothing else: who is "
			"inside "
			"keeps its address" },
		{ NPT("inside: 'fd00:7::/48'") STEP("{at: r, nptv6: {outside: 'fd00:7::/48'}}"),
			"w.yaml:9:25: 'inside' and 'outside' are one network" },
		{ HEAD "ipv6: true\nrouters:\n  q: {nat: home, nptv6: {}}\n  r: {nat: home, nptv6: "
		       "{}}\nnodes:\n"
		       "  a: {at: r}\n" STEP(
			       "{at: q, nptv6: {outside: '2001:db8:1::/48'}}") "  - set: {at: r, nptv6: "
									       "{outside: "
									       "'2001:db8:1::/48'}}\n",
			"w.yaml:11:25: routers 'q' and 'r' have one outer IPv6 prefix" },
	};
#undef STEP
#undef NPT
	(void)state;
	wrong_rows_check(rows, ARRAY_LEN(rows));
}

static void test_balance(void **state)
{
#define ROUTER(says) HEAD "routers:\n  r: {nat: home, " says "}\nnodes:\n  a: {at: r}\n"
#define TWO "uplinks: {x: {at: internet}, y: {at: internet}}"
#define STEP(step) ROUTER("balance: flow, " TWO) "steps:\n  - " step "\n"
	static const struct wrong_row rows[] = {
		{ ROUTER("balance: flow, " TWO), NULL },
		{ STEP("interface: {at: r, name: y, up: false}"), NULL },
		{ STEP("set: {at: r, nat: hard}"), NULL },
		{ ROUTER("balance: packet, " TWO), "w.yaml:4:27: 'packet' would send one flow from several "
						   "outer addresses, which no peer "
						   "takes for one: 'balance' is 'flow'" },
		{ ROUTER("balance: flows, " TWO),
			"w.yaml:4:27: 'flows' is not a value of 'balance' (flow); did you mean 'flow'?" },
		{ ROUTER("balance: flow"),
			"w.yaml:4:27: 'balance' needs two 'uplinks' at least; router 'r' has 0" },
		{ ROUTER("balance: flow, uplinks: {x: {at: internet}}"),
			"w.yaml:4:27: 'balance' needs two 'uplinks' at least; router 'r' has 1" },
		{ ROUTER("balance: flow, portmap: plain, " TWO),
			"w.yaml:4:27: router 'r' has 'portmap', which maps ports of one outer address, and "
			"'balance' uses several" },
		{ ROUTER("balance: flow, lan: 192.168.1.0/24, routes: [10.0.0.0/8 via 192.168.1.7], " TWO),
			"w.yaml:4:27: router 'r' has 'routes', which lead by one outer network, and "
			"'balance' "
			"uses several" },
		{ STEP("interface: {at: r, name: y, up: false, for: 1s}"),
			"w.yaml:8:49: router 'r' balances over its uplinks: none of them is used before "
			"another" },
		{ STEP("interface: {at: r, name: y, metric: 7}"),
			"w.yaml:8:41: router 'r' balances over its uplinks: none of them is used before "
			"another" },
		{ STEP("set: {at: r, link: {delay: 5ms}}"), "w.yaml:8:24: router 'r' balances over its "
							    "uplinks, which have links of their own: say "
							    "them in 'routers'" },
		{ STEP("set: {at: r, routes: []}"),
			"w.yaml:8:26: router 'r' balances over its uplinks: there is no one outer network by "
			"which routes could lead" },
	};
#undef STEP
#undef TWO
#undef ROUTER
	(void)state;
	wrong_rows_check(rows, ARRAY_LEN(rows));
}

static void test_portmap(void **state)
{
#define MAPS(says) HEAD "routers:\n  r: {nat: home, portmap: " says "}\nnodes:\n  a: {at: r}\n"
	static const struct wrong_row rows[] = {
		{ MAPS("plain"), NULL },
		{ MAPS("{}"), NULL },
		{ MAPS("{like: mikrotik, faults: 'slow=1s,no-upnp'}"), NULL },
		{ MAPS("mikrotick"),
			"w.yaml:4:27: 'mikrotick' is not a value of 'portmap' (plain, pfsense, "
			"pfsense-denies, double-nat, carrier-nat, other-port, epoch, other-source, igd2, "
			"mikrotik, dsl, sagemcom, root-only, taken, crowded, unconfirmed, broken, "
			"moved-control, "
			"no-address, slow); did you mean 'mikrotik'?" },
		{ MAPS("[plain]"), "w.yaml:4:27: 'portmap' must be a word, not a list" },
		{ MAPS("{fault: refuse}"),
			"w.yaml:4:28: unknown key 'fault' in portmap; did you mean 'faults'?" },
		{ MAPS("{faults: refuses}"),
			"w.yaml:4:36: 'faults': 'refuses' is no fault of portmap; did you mean 'refuse'?; "
			"'simnet service faults' lists them" },
		{ MAPS("{faults: truncate}"), "w.yaml:4:36: 'faults': 'truncate' is no fault of portmap; "
					      "'simnet service faults' lists them" },
		{ MAPS("{faults: slow}"), "w.yaml:4:36: 'faults': 'slow' wants slow=TIME" },
		{ MAPS("{faults: refuse=1}"), "w.yaml:4:36: 'faults': 'refuse' takes no value" },
		{ HEAD "routers:\n  r: {nat: none, portmap: plain}\nnodes:\n  a: {at: r}\n",
			"w.yaml:4:27: 'portmap' maps ports of a NAT; router 'r' has none" },
	};
#undef MAPS
	(void)state;
	wrong_rows_check(rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_nat64),
		cmocka_unit_test(test_nptv6),
		cmocka_unit_test(test_on_router),
		cmocka_unit_test(test_portmap),
		cmocka_unit_test(test_balance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
