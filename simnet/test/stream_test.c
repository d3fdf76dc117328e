/* Streams of probes in whole runs: what events cost, and how programs without an address in a mesh are
 * probed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/lab/slowness.h"
#include "simnet/test/scenario_run.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD "simnet: 1\nname: t\n"

/* The cost of the nth event of that name, from the records. */
static void find_cost(
	const char *records, const char *event, unsigned nth, double *sent, double *lost, double *gap)
{
	for (const char *line = records; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		json_t *r = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
		const char *kind = json_string_value(json_object_get(r, "kind")),
			   *name = json_string_value(json_object_get(r, "event"));
		bool hit = kind && name && !strcmp(kind, "cost") && !strcmp(name, event) && nth-- == 0;
		if (hit) {
			*sent = json_number_value(json_object_get(r, "sent"));
			*lost = json_number_value(json_object_get(r, "lost"));
			*gap = json_number_value(json_object_get(r, "gap"));
		}
		json_decref(r);
		if (hit)
			return;
	}
	fail_msg("no cost of '%s' in\n%s", event, records);
}

/* The records of a run that ends with that code and says so. Bounds stretch by how slow the machine is; where that does not
 * help, the test is skipped: no verdict of the run's is one of the program. */
static char *run_to(const char *text, int code, const char *says)
{
	char *records = NULL;
	setenv("SIMNET_SLOWDOWN", "0", 1); /* it is measured */
	int got = scenario_run(text, &records);
	bool told = strstr(records, says), unsure = got == EXIT_UNSURE;
	if (told && (got == code || (unsure && code == EXIT_FAILED)))
		return records;
	if (!unsure)
		fail_msg("code %d, wanted %d with '%s'\n%s\n%s", got, code, says, text, records);
	fprintf(stderr, "inconclusive on a machine as slow as this:\n%s\n%s", text, records);
	free(records);
	skip();
	return NULL;
}

/* A link that is dead for a second loses what is sent in that second, and the event that killed it pays. How often is sent
 * and how long an answer takes is the machine's business while it is busy, but no good time has a gap like the dead one. */
static void assert_good(const char *records, const char *event)
{
	double sent = 0, lost = 0, gap = 0;
	find_cost(records, event, 0, &sent, &lost, &gap);
	if (sent < 3 || lost > 1 || gap >= 0.8)
		fail_msg("%s: %g sent, %g lost, gap %g s", event, sent, lost, gap);
}

static void test_outage(void **state)
{
	double sent = 0, lost = 0, gap = 0;
	(void)state;
	char *records = run_to(HEAD
		"routers:\n  home: {nat: home}\nnodes:\n  c: {at: home}\n  s: {at: internet}\nsteps:\n"
		"  - ping: {from: c, to: s, within: 3s}\n"
		"  - mark: before\n"
		"  - expect: {gap: c->s, max: 800ms, lost: 1, for: 500ms}\n"
		"  - cut: home.link\n"
		"  - wait: 1s\n    say: dead\n"
		"  - heal: home.link\n"
		"  - expect: {gap: c->s, max: 800ms, lost: 1, for: 500ms}\n"
		"  - mark: after\n"
		"  - expect: {gap: c->s, max: 800ms, lost: 0, for: 300ms}\n"
		"  - cut: home.link\n"
		"  - wait: 300ms\n    say: dead to the end\n",
		EXIT_PASS, "\"kind\":\"pass\"");
	assert_good(records, "before");
	assert_good(records, "home.link is healed");
	assert_good(records, "after");
	/* Both cuts have the same name: the first is the one of a second, the last is settled at the end of
	 * the run. */
	find_cost(records, "home.link is cut", 0, &sent, &lost, &gap);
	assert_true(sent >= 5 && lost == sent);
	assert_true(gap > 0.9);
	find_cost(records, "home.link is cut", 1, &sent, &lost, &gap);
	assert_true(sent >= 3 && lost == sent);
	free(records);
}

/* ---- programs of other people ---- */

static const struct {
	const char *name, *text;
} adapters[] = {
	/* Echoes beside a program that knows paths; {with.how} of them are probed. */
	{ "echo-udp", "adapter: 1\nname: echo-udp\n"
		      "start: [python3, -c, \"import socket\\ns=socket.socket(2,2); s.bind(('',7)); "
		      "print('ready',flush=True)\\n"
		      "while 1: d,a=s.recvfrom(99); s.sendto(d,a)\"]\n"
		      "ready: {line: ready}\nprobe: {udp: '{{to}.ip}:7'}\n"
		      "path: {run: [echo, '{\"direct\": \"x\"}'], direct: direct, relay: relay}\n" },
	{ "echo-tcp", "adapter: 1\nname: echo-tcp\n"
		      "start: [python3, -c, \"import socket\\ns=socket.socket(); s.setsockopt(1,2,1); "
		      "s.bind(('',7)); s.listen(9); "
		      "print('ready',flush=True)\\nwhile 1:\\n c,a=s.accept()\\n while 1:\\n  "
		      "d=c.recv(99)\\n  if not d: break\\n"
		      "  c.sendall(d)\"]\n"
		      "ready: {line: ready}\nprobe: {tcp: '{{to}.ip}:7'}\n"
		      "path: {run: [echo, '{\"relay\": \"x\"}'], direct: direct, relay: relay}\n" },
	{ "word", "adapter: 1\nname: word\nstart: [sleep, '60']\n"
		  "path: {run: [echo, '{\"direct\": \"x\"}'], direct: direct, relay: relay}\n" },
};

static char dir[] = "/tmp/stream_test.XXXXXX";

static int write_adapters(void **state)
{
	char path[128];
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(adapters); i++) {
		snprintf(path, sizeof(path), "%s/%s.yaml", dir, adapters[i].name);
		FILE *f = fopen(path, "we");
		if (!f || fputs(adapters[i].text, f) < 0 || fclose(f) != 0)
			return -1;
	}
	return setenv("SIMNET_ADAPTERS", dir, 1);
}

static int remove_adapters(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

#define TWO(adapter) \
	HEAD "nodes:\n  a: {at: internet, run: " adapter "}\n  b: {at: internet, run: " adapter "}\nsteps:" \
	     "\n"

static void test_probes(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *says;
	} rows[] = {
		{ TWO("echo-udp") "  - ping: {from: a, to: b, within: 3s}\n  - expect: {gap: a->b, max: "
				  "500ms, lost: 0, for: 200ms}\n"
				  "  - expect: {path: a->b, is: direct, for: 200ms, within: 3s}\n",
			EXIT_PASS, "as expected" },
		{ TWO("echo-udp") "  - kill: b\n  - ping: {from: a, to: b, within: 300ms}\n", EXIT_FAILED,
			"and the port is closed" },
		{ TWO("echo-tcp") "  - ping: {from: a, to: b, within: 3s}\n  - expect: {gap: a->b, max: "
				  "500ms, lost: 0, for: 200ms}\n"
				  "  - expect: {path: a->b, is: relay, within: 3s}\n  - kill: b\n"
				  "  - ping: {from: a, to: b, fails: true, within: 300ms}\n  - spawn: b\n"
				  "  - ping: {from: a, to: b, within: 3s}\n",
			EXIT_PASS, "as expected" },
		{ TWO("echo-tcp") "  - kill: b\n  - ping: {from: a, to: b, within: 300ms}\n", EXIT_FAILED,
			"the port is closed" },
		/* A program whose word is all there is; the oracle, also for commands. */
		{ TWO("word") "  - expect: {path: a->b, is: oracle, within: 3s}\n"
			      "  - run: {at: a, argv: [echo, '{\"is\": \"direct\"}'], json: is, is: "
			      "'{oracle.a->b}'}\n",
			EXIT_PASS, "a -> b is direct as expected" },
		{ TWO("word") "  - cut: b.udp\n  - run: {at: a, argv: [echo, '{oracle.a->b}'], is: relay}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		/* The underlay is said to be that. */
		{ HEAD "nodes:\n  a: {at: internet}\n  b: {at: internet}\nsteps:\n  - ping: {from: a, to: b, "
		       "within: 3s}\n",
			EXIT_PASS, "over the underlay" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		free(run_to(rows[i].text, rows[i].code, rows[i].says));
}

/* ---- resolve ---- */

/* When the record has such a line, in ms. */
static uint64_t told_ms(const char *records, const char *what)
{
	const char *at = strstr(records, what);
	while (at && at > records && at[-1] != '\n')
		at--;
	at = at ? strstr(at, "\"t\":") : NULL;
	return at ? (uint64_t)(strtod(at + 4, NULL) * 1000) : 0;
}

/* A nameserver that swallows the first two questions, and one that says nothing: asked again, and the bound
 * is kept. */
static void test_resolve(void **state)
{
	static const char server[] =
		"import socket,sys\\ns=socket.socket(2,2); s.bind(('',53)); n=0\\nwhile 1:\\n "
		"d,a=s.recvfrom(512); n+=1\\n"
		" if n>int(sys.argv[1]): "
		"s.sendto(d[:2]+bytes.fromhex('81800001000100000000')+d[12:d.index(0,12)+5]+"
		"bytes.fromhex('c00c00010001000000010004'+'01020304'),a)";
	static const struct {
		const char *swallow;
		int code;
		const char *ends;
		uint64_t least_ms, most_ms;
	} rows[] = { { "2", EXIT_PASS, "\"kind\":\"resolve\"", 1000, 3500 },
		{ "99", EXIT_FAILED, "\"kind\":\"failed\"", 2900, 5000 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[1500];
		snprintf(text, sizeof(text),
			HEAD
			"services:\n  dns: {run: [python3, -c, \"%s\", '%s']}\nnodes:\n  c: {at: "
			"internet}\nsteps:\n"
			"  - run: {at: dns, argv: [sh, -c, \"until grep -q ':0035 ' /proc/net/udp; do sleep "
			".02; "
			"done\"]}\n"
			"  - run: {at: c, argv: [sh, -c, 'echo nameserver {dns.ip} >/etc/resolv.conf']}\n"
			"  - resolve: {from: c, name: x.test, is: 1.2.3.4, within: 3s}\n",
			server, rows[i].swallow);
		char *records = run_to(text, rows[i].code, rows[i].ends);
		uint64_t took = told_ms(records, rows[i].ends) - told_ms(records, "c runs sh");
		if (took < rows[i].least_ms || took > SLOWNESS_MOST * rows[i].most_ms)
			fail_msg("row %zu: after %llu ms\n%s", i, (unsigned long long)took, records);
		free(records);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outage),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_resolve),
	};
	return cmocka_run_group_tests(tests, write_adapters, remove_adapters);
}
