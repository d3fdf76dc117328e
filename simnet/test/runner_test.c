#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/test/scenario_run.h"
#include <stdlib.h>
#include <string.h>

/* Whole runs on the kernel engine, with nothing but shells and pings in them. */

#define HEAD "simnet: 1\nname: t\n"

static void test_runs(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *says; /* part of a record */
	} rows[] = {
		{ HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: b, within: 3s}\n  - cut: home.link\n"
		       "  - ping: {from: a, to: b, fails: true, within: 300ms}\n  - heal: home.link\n"
		       "  - ping: {from: a, to: b, within: 3s}\n",
			EXIT_PASS, "home.link is cut" },
		{ HEAD "nodes:\n  a: {at: internet, run: [sh, -c, 'echo up; exec sleep 60']}\n  b: {at: "
		       "internet}\nsteps:\n"
		       "  - kill: a\n  - spawn: a\n  - run: {at: b, argv: [cat, /etc/hostname], within: "
		       "3s}\n",
			EXIT_PASS, "a is started again" },
		{ HEAD "nodes:\n  a: {at: internet, run: [sh, -c, 'echo no cheese; exit 3']}\nsteps:\n"
		       "  - wait: 5s\n    say: it dies before\n",
			EXIT_FAILED, "the program ended with status 3; it said: no cheese" },
		{ HEAD "nodes:\n  a: {at: internet, run: [no-such-program]}\n", EXIT_FAILED,
			"no program 'no-such-program'" },
		{ HEAD "nodes:\n  a: {at: internet}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: b, fails: true, within: 500ms}\n",
			EXIT_FAILED, "t.yaml:7: ping: b answered a, and must not" },
		{ HEAD "nodes:\n  a: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [sh, -c, 'echo {a.name} {a.ip}'], matches: '^a (.*)$', "
		       "capture: ip}\n"
		       "  - run: {at: a, argv: [echo, '{capture.ip}'], is: '{a.ip}', within: 2s}\n"
		       "  - run: {at: a, argv: ['false'], fails: true}\n"
		       "  - run: {at: a, argv: [sh, -c, 'exit 4'], exit: 4}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		{ HEAD "nodes:\n  a: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [echo, '{\"x\": [1, 2]}'], json: 'x[1]', is: '3', within: "
		       "100ms}\n",
			EXIT_FAILED, "it says '2', wanted '3'" },
		{ HEAD "nodes:\n  a: {at: internet}\nsteps:\n  - run: {at: a, argv: ['true'], is: ''}\n"
		       "  - run: {at: a, argv: [echo, x], is: '', within: 100ms}\n",
			EXIT_FAILED, "t.yaml:7: run: it says 'x', wanted ''" },
		{ HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: b, to: a, within: 500ms}\n",
			EXIT_FAILED, "no reply from a to b" },
		/* What must fail has to fail for the right reason. */
		{ HEAD "nodes:\n  a: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: no.such.host, fails: true, within: 300ms}\n"
		       "  - run: {at: a, argv: [sh, -c, 'echo x'], matches: y, fails: true}\n",
			EXIT_PASS, "the name does not resolve" },
		{ HEAD "nodes:\n  a: {at: internet}\n  b: {at: internet, run: [sh, -c, 'exec sleep 60'], "
		       "start: later}\n"
		       "steps:\n  - run: {at: a, argv: [no-such-program], fails: true}\n",
			EXIT_FAILED, "no program 'no-such-program'" },
		{ HEAD "nodes:\n  a: {at: internet}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: b, within: 3s}\n  - cut: b.link\n"
		       "  - ping: {from: a, to: b, fails: true, within: 300ms}\n  - heal: b.link\n"
		       "  - expect: {gap: a->b, max: 2s, for: 200ms}\n",
			EXIT_PASS, "as expected" },
		/* A router is a host too. */
		{ HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\nsteps:\n"
		       "  - run: {at: home, argv: [sh, -c, 'hostname; ip -br addr show dev wan'], matches: "
		       "203.0.113.100}\n"
		       "  - run: {at: home, argv: [hostname], is: home, within: 1s}\n",
			EXIT_PASS, "home runs hostname" },
		/* A reason for every loss. */
		{ HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\nsteps:\n"
		       "  - run: {at: a, argv: [ip, route, del, default]}\n"
		       "  - ping: {from: a, to: 203.0.113.77, within: 300ms}\n",
			EXIT_FAILED, "and a cannot send: Network is unreachable" },
		{ HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: 198.51.100.1, within: 5s}\n",
			EXIT_FAILED, "203.0.113.100 says that the host cannot be reached" },
		{ HEAD "routers:\n  home: {nat: home, udp: blocked}\nnodes:\n  a: {at: home}\n  b: {at: "
		       "internet}\nsteps:\n"
		       "  - run: {at: a, argv: [sh, -c, 'echo x >/dev/udp/203.0.113.10/9 || bash -c \"echo x "
		       ">/dev/udp/203.0.113.10/9\"; exit 1']}\n",
			EXIT_FAILED, "dropped at home: UDP is" },
		{ HEAD "nodes:\n  a: {at: internet, run: [sleep, '60']}\n  b: {at: internet}\nsteps:\n"
		       "  - kill: a\n  - run: {at: a, argv: ['false']}\n",
			EXIT_FAILED, "cause: a was killed and does not run" },
		{ HEAD "nodes:\n  a: {at: internet, run: [sleep, '60']}\n  b: {at: internet}\nsteps:\n"
		       "  - kill: {at: a, signal: STOP}\n  - run: {at: a, argv: ['false']}\n",
			EXIT_FAILED, "cause: a is stopped by a signal" },
		/* The machine's fault is not the scenario's. */
		{ HEAD "needs: [no-such-program]\nnodes:\n  a: {at: internet}\n", EXIT_HOST,
			"the scenario needs the program 'no-such-program', which is not here" },
		{ HEAD "needs: [/proc/1/no-such-file]\nnodes:\n  a: {at: internet}\n", EXIT_HOST,
			"\"kind\":\"skip\"" },
		{ HEAD "nodes:\n  a: {at: internet, run: [no-such-folder/server]}\n", EXIT_HOST,
			"a needs the program 'no-such-folder/server', which is not here" },
		{ HEAD "nodes:\n  a: {at: internet}\nsteps:\n  - run: {at: a, argv: ['false']}\n"
		       "  - run: {at: a, argv: [no-such-folder/client]}\n",
			EXIT_HOST,
			"the scenario needs the program 'no-such-folder/client', which is not here" },
		/* A reload is no end. */
		{ HEAD "nodes:\n  a: {at: internet, run: [sh, -c, 'trap \"echo again\" HUP; while :; do "
		       "sleep "
		       "0.05; done']}\nsteps:\n"
		       "  - kill: {at: a, signal: HUP}\n  - kill: {at: a, signal: TERM}\n  - spawn: a\n",
			EXIT_PASS, "a gets signal HUP" },
		/* A list has a word for when it is ready. */
		{ HEAD "nodes:\n  a: {at: internet, run: [sh, -c, 'sleep 1; echo up; exec sleep 60'], "
		       "ready: "
		       "{line: up}}\nsteps:\n  - run: {at: a, argv: [echo, x]}\n",
			EXIT_PASS, "a is ready, 1." },
		{ HEAD "start-within: 400ms\nnodes:\n  a: {at: internet, run: [sleep, '60'], ready: {port: "
		       "'tcp "
		       "{ip}:80'}}\n",
			EXIT_FAILED,
			"not ready after 0.4 s: a does not say that it is: nobody takes connections at 'tcp "
			"{ip}:80'" },
		{ HEAD "nodes:\n  a: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [grep, -q, x, /dev/null], fails: true}\n",
			EXIT_PASS, "a runs grep …: it fails, as expected, after" },
		{ HEAD "nodes:\n  a: {at: internet}\nsteps: []\n", EXIT_PASS, "0 routers and 1 host built" },
		/* Conditions on numbers, of the group where there is one. */
		{ HEAD "nodes:\n  a: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [echo, 'rtt 12.5 ms'], matches: 'rtt ([0-9.]+)', is: '< 13'}\n"
		       "  - run: {at: a, argv: [echo, '7'], is: '>= 8', within: 100ms}\n",
			EXIT_FAILED, "it says '7', wanted '>= 8'" },
		/* A link changes: nothing passes, and all again. */
		{ HEAD "nodes:\n  a: {at: internet}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: b, within: 3s}\n  - set: {at: a, link: {loss: 100%}}\n"
		       "  - ping: {from: a, to: b, fails: true, within: 300ms}\n  - set: {at: a, link: "
		       "{delay: 5ms}}\n"
		       "  - ping: {from: a, to: b, within: 3s}\n",
			EXIT_PASS, "the link of a changes" },
		/* Ours within the bound of the whole, a step's or not. */
		{ HEAD "timeout: 500ms\nnodes:\n  a: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [sleep, '60'], within: 1m}\n",
			EXIT_FAILED, "the time is over: programs and steps may take 0.5 s together" },
		{ HEAD "timeout: 500ms\nnodes:\n  a: {at: internet}\n  b: {at: internet}\nsteps:\n  - cut: "
		       "b.link\n"
		       "  - ping: {from: a, to: b, within: 1m}\n",
			EXIT_FAILED, "the time is over: programs and steps may take 0.5 s together" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *records = NULL;
		int code = scenario_run(rows[i].text, &records);
		if (code != rows[i].code || !records || !strstr(records, rows[i].says))
			fail_msg("row %zu: code %d\n%s", i, code, records ? records : "");
		free(records);
	}
}

/* A wait ends with what makes it pointless. */
static void test_failure_ends_waits(void **state)
{
	char *records = NULL;
	(void)state;
	uint64_t start = scenario_run_ms();
	int code = scenario_run(HEAD "nodes:\n  a: {at: internet, run: [sh, -c, 'exit 3']}\nsteps:\n"
				     "  - wait: 60s\n    say: it dies before\n",
		&records);
	assert_int_equal(code, EXIT_FAILED);
	assert_true(scenario_run_ms() - start < 30000);
	free(records);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_runs),
		cmocka_unit_test(test_failure_ends_waits) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
