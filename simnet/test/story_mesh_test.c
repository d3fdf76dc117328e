/* Broken runs of a mesh: programs, servers, relays, clocks. What the story gives must be the cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/test/story_rows.h"

#define MESH(a, b) \
	HEAD "routers: {ra: {nat: " a "}, rb: {nat: " b \
	     "}}\nservices: {control: {run: ropewalk-control}, relay: {run: " \
	     "ropewalk-relay}}\nnodes: {alice: {at: ra, run: ropewalk}, bob: {at: rb, run: ropewalk}, " \
	     "carol: {at: internet, run: " \
	     "ropewalk, start: later}}\nsteps:\n"
#define MET "  - ping: {from: alice, to: bob, within: 20s}\n"
#define PING "  - ping: {from: alice, to: bob, within: 2s}\n"

static const struct story_row rows[] = {
	{ "two hard NATs, and the file wants direct",
		MESH("hard", "hard") MET "  - expect: {path: alice->bob, is: direct, within: 2s}\n",
		"the file expects direct, and this network allows by relay", NULL },
	{ "two homes, and the file wants the relay",
		MESH("home", "home") MET "  - expect: {path: alice->bob, is: direct, within: 20s}\n  - "
					 "expect: {path: alice->bob, is: relay, "
					 "within: 2s}\n",
		"the file expects by relay, and this network allows direct", NULL },
	{ "the relay of two hard NATs was killed", MESH("hard", "hard") MET "  - kill: relay\n" PING,
		"relay was killed and does not run", NULL },
	{ "the relay is stopped", MESH("hard", "hard") MET "  - kill: {at: relay, signal: STOP}\n" PING,
		"relay is stopped by a signal", NULL },
	{ "the relay's link is cut", MESH("hard", "hard") MET "  - cut: relay.link\n" PING,
		"dropped at relay: the link is cut", NULL },
	{ "the relay of two hard NATs has another key than its map says",
		MESH("hard", "hard") MET
		"  - kill: relay\n  - run: {at: relay, argv: [sh, -c, 'rm {relay.dir}/relay.*']}\n  - spawn: "
		"relay\n  - ping: {from: alice, to: bob, within: 6s}\n",
		"relay has another certificate than the pinned one", NULL },
	{ "the peer was killed", MESH("home", "home") MET "  - kill: bob\n" PING,
		"bob was killed and does not run", NULL },
	{ "the peer is stopped", MESH("home", "home") MET "  - kill: {at: bob, signal: STOP}\n" PING,
		"bob is stopped by a signal", NULL },
	{ "the peer's link is cut", MESH("home", "home") MET "  - cut: bob.link\n" PING,
		"dropped at bob: the link is cut", NULL },
	{ "the server is dead when somebody joins",
		MESH("home", "home") "  - kill: control\n  - spawn: {at: carol, within: 3s}\n",
		"control was killed and does not run", NULL },
	{ "the server cannot be reached when somebody joins",
		MESH("home", "home") "  - cut: control.link\n  - spawn: {at: carol, within: 3s}\n",
		"dropped at control: the link is cut", NULL },
	{ "a node's program crashes",
		MESH("home", "home") "  - run: {at: alice, argv: [sh, -c, 'kill -SEGV $(pidof ropewalkd)']}\n"
				     "  - wait: 3s\n    say: it crashes\n",
		"alice: the program ended ", NULL },
	{ "a clock that is far off",
		HEAD
		"nodes: {c: {at: internet, clock: -300000000s, run: [python3, -u, -c, "
		"'import time; "
		"print(time.strftime(chr(37)+\"Y-\"+chr(37)+\"m-\"+chr(37)+\"dT\"+chr(37)+\"H:\"+chr(37)+"
		"\"M:\"+chr(37)+\"SZ\",time.gmtime()), \"info the token is not valid yet\"); "
		"time.sleep(60)'], ready: {line: 'not valid yet'}}}\nsteps:\n"
		"  - run: {at: c, argv: ['false']}\n",
		"the clock of c is off by -3472", NULL },
	{ "the peer's own firewall drops what comes out of the tunnel",
		HEAD
		"services: {control: {run: ropewalk-control}, relay: {run: ropewalk-relay}}\nnodes: {alice: "
		"{at: internet, run: ropewalk}, bob: {at: internet, run: ropewalk, firewall: {in: [accept "
		"established, accept udp, drop icmp]}}}\nsteps:\n" PING,
		"dropped at bob: firewall, in: drop icmp", NULL },
	{ "a name that nobody has",
		MESH("home", "home") MET
		"  - resolve: {from: alice, name: dave.mesh.test, is: 100.64.0.9, within: 1s}\n",
		"NXDOMAIN", NULL },
};

static void test_mesh(void **state)
{
	(void)state;
	story_rows_check(rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mesh),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
