/* Many scenarios: side by side, again and again, in parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/test/command_line.h"

#define SCENARIO "simnet: 1\nname: "
/* $D is a folder of pipes that every host sees and no host keeps: hosts have files of their own, and can write no others.
 * There are two words to take in $D/words. */
#define SHARED(command) \
	"export D=$(mktemp -d -p $RW_BIN_DIR); mkfifo $D/one $D/two $D/words; exec 7<>$D/one 8<>$D/two " \
	"9<>$D/words; printf 'x\\nx\\n' >&9; " command "; code=$?; rm -r $D; exit $code"
#define HOSTS "nodes:\n  a: {at: internet}\n"

/* What the run is that comes in the place of one that was inconclusive. The first takes all words, and gives up after a while. */
#define SLOW_ONCE(then) \
	"steps:\n  - run: {at: a, argv: [sh, -c, '[ -z \"$(dd if=$D/words iflag=nonblock bs=4 count=1 " \
	"2>/dev/null)\" ] || { sleep 0.7; exit 28; }; " then "'], within: 60s}\n"
/* A failure of the program however late it is. */
#define DIES "kill -ABRT $$"

/* On a machine that is four times slower, bounds of five seconds are twenty: what takes ten keeps those, and not these,
 * however late it begins. */
#define LATE_WITHIN "within: 5s"
#define LATE_S "10"

/* The server answers, and says no, once two questions have come less than three seconds after the one before. */
#define ASKS(name, within, then) \
	SCENARIO name \
		"\nservices:\n  dns: {run: [python3, -c, \"import socket,time\\ns=socket.socket(2,2); " \
		"s.bind(('',53)); n=t=0\\nwhile 1:\\n d,a=s.recvfrom(512); m=time.monotonic(); n+=t and " \
		"m-t<3; " \
		"t=m\\n if n>1: " \
		"s.sendto(d[:2]+bytes.fromhex('81830001000000000000')+d[12:d.index(0,12)+5],a)\"]}\n" HOSTS \
		"steps:\n  - run: {at: dns, argv: [sh, -c, \"until grep -q ':0035 ' /proc/net/udp; do " \
		"sleep .02; done\"]}\n  - run: {at: a, argv: [sh, -c, 'echo nameserver {dns.ip} " \
		">/etc/resolv.conf']}\n" \
		"  - resolve: {from: a, name: x.test, is: NXDOMAIN, within: " within "}\n" then

static const struct command_line_file files[] = {
	{ "pass.yaml", SCENARIO "pass\ntags: [quick]\n" HOSTS "steps:\n  - run: {at: a, argv: ['true']}\n" },
	{ "fail.yaml", SCENARIO "fail\n" HOSTS "steps:\n  - run: {at: a, argv: ['false']}\n" },
	{ "slow.yaml", SCENARIO "slow\n" HOSTS "steps:\n  - wait: 60s\n    say: waits to be stopped\n" },
	{ "late.yaml", SCENARIO "late\n" HOSTS "steps:\n  - run: {at: a, argv: [sleep, '" LATE_S
				"'], " LATE_WITHIN "}\n" },
	{ "never.yaml",
		SCENARIO "never\n" HOSTS "steps:\n  - run: {at: a, argv: [sleep, '60'], within: 500ms}\n" },
	{ "grows.yaml", SCENARIO "grows\n" HOSTS "steps:\n"
				 "  - run: {at: a, argv: [sh, -c, 'n=$(date +%s); [ -e {dir}/s ] || echo $n "
				 ">{dir}/s; echo $((n > $(cat {dir}/s) + " LATE_S
				 "))'], is: '1', " LATE_WITHIN "}\n" },
	/* It has an address late, and answers at once then. */
	{ "named.yaml", SCENARIO "named\n" HOSTS "steps:\n"
				 "  - run: {at: a, argv: [sh, -c, '(sleep " LATE_S "; echo 127.0.0.1 x.test "
				 ">>/etc/hosts) >/dev/null 2>&1 &']}\n"
				 "  - ping: {from: a, to: x.test, " LATE_WITHIN "}\n" },
	{ "nameless.yaml",
		SCENARIO "nameless\n" HOSTS "steps:\n  - ping: {from: a, to: x.test, within: 200ms}\n" },
	{ "wants.yaml", SCENARIO "wants\n" HOSTS
				 "steps:\n  - run: {at: a, argv: [echo, 'no'], is: 'yes', within: 200ms}\n" },
	{ "asks.yaml", ASKS("asks", "1500ms", "") },
	{ "again.yaml",
		ASKS("again", "15s", "  - resolve: {from: a, name: x.test, is: 1.2.3.4, within: 2s}\n") },
	/* Ten seconds are the bound of what an adapter runs. */
	{ "beginner.yaml",
		"adapter: 1\nname: beginner\nstart: [sleep, '60']\nthen:\n  - run: [sleep, '11']\n" },
	{ "begins.yaml", SCENARIO "begins\nnodes:\n  a: {at: internet, run: beginner}\n" },
	{ "waiter.yaml", "adapter: 1\nname: waiter\nstart: [sleep, '60']\nthen:\n  - run: [sleep, '60']\n" },
	{ "waits.yaml", SCENARIO "waits\nnodes:\n  a: {at: internet, run: waiter}\n" },
	{ "quitter.yaml", "adapter: 1\nname: quitter\nstart: [sleep, '60']\nthen:\n"
			  "  - run: [sh, -c, 'sleep 0.7; exit 28']\n" },
	{ "quits.yaml", SCENARIO "quits\nnodes:\n  a: {at: internet, run: quitter}\n" },
	{ "ends.yaml",
		SCENARIO "ends\nnodes:\n  a: {at: internet, run: [sh, -c, 'sleep 0.7; exit 3'], ready: "
			 "{line: never}}\n" },
	{ "silent.yaml", SCENARIO "silent\nstart-within: 500ms\nnodes:\n  a: {at: internet, run: [sleep, "
				  "'60'], ready: {line: never}}\n" },
	{ "gives-up.yaml", SCENARIO "gives-up\n" HOSTS
				    "steps:\n  - run: {at: a, argv: [sh, -c, 'sleep 0.7; exit 28']}\n" },
	{ "dies.yaml",
		SCENARIO "dies\n" HOSTS "steps:\n  - run: {at: a, argv: [sh, -c, 'sleep 0.7; " DIES "']}\n" },
	{ "must-not.yaml",
		SCENARIO "must-not\n" HOSTS "steps:\n  - run: {at: a, argv: [sleep, '0.7'], fails: true}\n" },
	/* What is judged happened three seconds before, when six processes wanted each processor. */
	{ "earlier.yaml", SCENARIO
		"earlier\nnodes:\n  a: {at: internet}\n  b: {at: internet}\n"
		"steps:\n  - ping: {from: a, to: b, within: 20s}\n"
		"  - run: {at: b, argv: [sh, -c, 'ip link set eth0 down; for i in $(seq $((6 * $(nproc)))); "
		"do timeout 1 sh -c \"while :; do :; done\" & done; wait; ip link set eth0 up'], within: "
		"20s}\n  - wait: 3s\n    say: it is calm\n  - expect: {gap: a->b, max: 500ms}\n" },
	{ "same.yaml", SCENARIO "pass\n" HOSTS },
	/* Both have to run at the same time. */
	{ "meet.yaml", SCENARIO "meet\nmatrix: {x: [one, two]}\n" HOSTS
				"steps:\n  - run: {at: a, argv: [sh, -c, 'other=one; [ {matrix.x} = two ] || "
				"other=two; echo here "
				">$D/{matrix.x}; read word <$D/$other'], within: 60s}\n" },
	{ "grid.yaml", SCENARIO "grid\nmatrix: {x: ['1', '2', '3', '4', '5']}\n" HOSTS },
	/* Passes twice. */
	{ "third.yaml", SCENARIO "third\n" HOSTS "steps:\n"
				 "  - run: {at: a, argv: [sh, -c, 'dd if=$D/words iflag=nonblock bs=2 "
				 "count=1 2>/dev/null | grep -q x']}\n" },
	{ "once.yaml", SCENARIO "once\n" HOSTS SLOW_ONCE("true") },
	{ "turns.yaml", SCENARIO "turns\n" HOSTS SLOW_ONCE(DIES) },
};

static int write_job_files(void **state)
{
	(void)state;
	return command_line_open(files, ARRAY_LEN(files));
}

static int remove_job_files(void **state)
{
	(void)state;
	return command_line_close();
}

static void test_refusals(void **state)
{
	(void)state;
	command_line_expect(
		"simnet run --shard 4/3 pass.yaml", 2, "--shard takes I/N, as 1/3, 2/3 and 3/3, not '4/3'");
	command_line_expect("simnet run --shard 0/3 pass.yaml", 2, "--shard takes I/N");
	command_line_expect("simnet run --shard 3 pass.yaml", 2, "--shard takes I/N");
	command_line_expect("simnet run --shard 2/2 pass.yaml", 2, "there are fewer scenarios than shards");
	command_line_expect("simnet run -j 65 pass.yaml", 2, "-j is 64 at most");
	command_line_expect("simnet run --tag quick fail.yaml", 2, "no scenario matches");
	command_line_expect("simnet run --out o -j 2 pass.yaml same.yaml", 2, "are both named 'pass'");
}

static void test_side_by_side(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(SHARED("simnet run -j 2 meet.yaml"), 0, "2 run, 2 passed, 0 failed, 0 skipped");
	command_line_expect(SHARED("[ $(nproc) -lt 2 ] || simnet run -j 0 meet.yaml"), 0, "");
	command_line_expect("simnet run -j 2 pass.yaml fail.yaml", 1, "2 run, 1 passed, 1 failed, 0 skipped");
	/* Each story stands whole, and the reports say the same as one by one. */
	command_line_expect(
		"simnet run -j 3 grid.yaml | grep -A2 '^grid \\[' | grep -c -e '^grid' -e built -e PASS", 0,
		"15");
	command_line_expect("simnet run -j 3 --tap grid.yaml fail.yaml | grep -c '^ok'", 0, "5");
	command_line_expect(
		"simnet run -j 2 --junit j.xml fail.yaml pass.yaml >/dev/null; grep -o 'tests=.*' j.xml", 0,
		"tests=\"2\" failures=\"1\" errors=\"0\"");
	command_line_expect(
		SHARED("simnet run -j 2 --out o meet.yaml >/dev/null; ls o"), 0, "meet-0\nmeet-1\n");
	command_line_expect("{ env --default-signal=INT simnet run -j 2 slow.yaml pass.yaml >s & p=$!; until "
			    "grep -q PASS s; do :; "
			    "done; kill -INT $p; wait $p; }",
		130, "");
	command_line_expect("tail -n 1 s", 0, "2 run, 1 passed, 1 failed, 0 skipped");
}

static void test_again(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(
		"simnet run --repeat 3 pass.yaml", 0, "pass: 3 runs, 3 passed, 0 failed, 0 inconclusive; ");
	command_line_expect("simnet run --repeat 3 --out o pass.yaml >/dev/null; ls o/pass", 0,
		"run-01\nrun-02\nrun-03\n");
	command_line_expect("simnet run --repeat 2 --seed 77 fail.yaml", 1, "; failed with seed 77, 77\n");
	command_line_expect(SHARED("simnet run --until-fail third.yaml"), 1,
		"third: 3 runs, 2 passed, 1 failed, 0 inconclusive");
	command_line_expect(
		SHARED("simnet run --until-fail --repeat 2 third.yaml"), 0, "third: 2 runs, 2 passed");
	command_line_expect(
		SHARED("simnet run -j 4 --repeat 8 third.yaml"), 1, "third: 8 runs, 2 passed, 6 failed");
}

static void test_shards(void **state)
{
	(void)state;
	command_line_expect("simnet run --list grid.yaml pass.yaml | wc -l", 0, "6");
	command_line_expect("simnet run --list --shard 2/4 grid.yaml pass.yaml | wc -l", 0, "2");
	command_line_needs_namespaces();
	command_line_expect("for i in 1 2 3 4; do simnet run --shard $i/4 grid.yaml pass.yaml; done | grep "
			    "-o 'PASS [^ ]* *[^ ]*' | "
			    "sort -u | wc -l",
		0, "6");
	command_line_expect("simnet run --shard 2/3 grid.yaml", 0, "2 run, 2 passed");
	command_line_expect("simnet run --tag quick pass.yaml fail.yaml | tail -n 1", 0, "PASS pass");
	command_line_expect("simnet run --tag '!quick' pass.yaml fail.yaml", 1, "FAIL fail");
}

/* A bound is stretched, and what does not keep it is no failure of the program. What fails otherwise is one. */
static void test_slow_machine(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	/* Of a command, of what is run again until its output is as it should be, and of a name. */
	command_line_expect(
		"SIMNET_SLOWDOWN=4 simnet run -j 3 late.yaml grows.yaml named.yaml", 0, "3 run, 3 passed");
	command_line_expect("simnet run -j 3 late.yaml grows.yaml named.yaml >late", 1, "");
	command_line_expect("cat late", 0, "FAIL late");
	command_line_expect("cat late", 0, "FAIL grows");
	command_line_expect("cat late", 0, "a cannot resolve 'x.test'");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run never.yaml", 5, "INCONCLUSIVE never  ");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run never.yaml", 5,
		"the machine was 3.0 times slower than an idle one");
	command_line_expect("SIMNET_SLOWDOWN=1.2 simnet run never.yaml", 1, "FAIL never");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run nameless.yaml", 5, "INCONCLUSIVE nameless");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run wants.yaml", 5, "INCONCLUSIVE wants  ");
	command_line_expect("simnet run wants.yaml", 1, "FAIL wants");
	/* A question is asked again as soon as on any machine. */
	command_line_expect("simnet run asks.yaml", 1, "no answer from");
	command_line_expect("SIMNET_SLOWDOWN=4 simnet run again.yaml >again", 5, "");
	command_line_expect("cat again", 0, "resolves x.test A to NXDOMAIN, wanted 1.2.3.4");
	command_line_expect("cat again", 0, "INCONCLUSIVE again");
	/* A command that fails after a while may have a bound of its own; one that is killed has not used it. */
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run gives-up.yaml", 5, "INCONCLUSIVE gives-up");
	command_line_expect("simnet run gives-up.yaml", 1, "FAIL gives-up");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run dies.yaml", 1, "FAIL dies");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run must-not.yaml", 1, "FAIL must-not");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run never.yaml pass.yaml", 5,
		"2 run, 1 passed, 0 failed, 0 skipped, 1 inconclusive");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run never.yaml dies.yaml", 1,
		"1 failed, 0 skipped, 1 inconclusive");
	/* Measured: six busy processes on each processor. */
	command_line_expect("for i in $(seq $((6 * $(nproc)))); do timeout 60 sh -c 'while :; do :; done' & "
			    "b=\"$b $!\"; done; env -u "
			    "SIMNET_SLOWDOWN simnet run never.yaml; c=$?; kill $b; exit $c",
		5, "INCONCLUSIVE never");
	command_line_expect("env -u SIMNET_SLOWDOWN simnet run earlier.yaml", 5, "INCONCLUSIVE earlier");
	command_line_expect("simnet run earlier.yaml", 1, "FAIL earlier");
}

/* Before the first step: what has ended by itself has failed on any machine, and what was given up for time says nothing. */
static void test_slow_start(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run begins.yaml", 0, "PASS begins");
	command_line_expect("simnet run begins.yaml", 1, "'sleep' did not end in time");
	command_line_expect("SIMNET_SLOWDOWN=1.5 simnet run waits.yaml >waits", 5, "");
	command_line_expect("cat waits", 0, "FAIL waits  a: 'sleep' did not end in time");
	command_line_expect("cat waits", 0,
		"the machine was 1.5 times slower than an idle one while its "
		"programs started");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run quits.yaml", 5, "INCONCLUSIVE quits");
	command_line_expect("simnet run quits.yaml", 1, "FAIL quits");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run silent.yaml", 5, "INCONCLUSIVE silent");
	command_line_expect("simnet run silent.yaml", 1, "FAIL silent");
	command_line_expect(
		"SIMNET_SLOWDOWN=3 simnet run ends.yaml", 1, "FAIL ends  a: the program ended with status 3");
}

/* What was inconclusive runs once more, alone: then that counts, whatever it is. */
static void test_retry_slow(void **state)
{
	(void)state;
	command_line_expect("simnet run --until-fail --retry-slow pass.yaml", 2, "leave --retry-slow out");
	command_line_needs_namespaces();
	command_line_expect(SHARED("SIMNET_SLOWDOWN=3 simnet run --retry-slow once.yaml"), 0,
		", once more, alone: it was inconclusive)");
	command_line_expect(SHARED("SIMNET_SLOWDOWN=3 simnet run --retry-slow -j 2 --junit j.xml once.yaml "
				   "pass.yaml"),
		0, "slow at first: once\n2 run, 2 passed, 0 failed, 0 skipped, 1 slow at first\n");
	command_line_expect(
		"grep -o 'tests=.*' j.xml", 0, "tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"0\"");
	command_line_expect(
		SHARED("SIMNET_SLOWDOWN=3 simnet run --retry-slow --tap once.yaml | grep -v '^ '"), 0,
		"1..1\nok 1 - once\n# slow at first: once\n");
	command_line_expect(SHARED("SIMNET_SLOWDOWN=3 simnet run --retry-slow once.yaml | tail -n 1"), 0,
		" s; slow at first\n");
	command_line_expect(
		SHARED("SIMNET_SLOWDOWN=3 simnet run --retry-slow turns.yaml"), 1, "FAIL turns  ");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run --retry-slow -j 2 pass.yaml never.yaml", 5,
		"inconclusive: never\n2 run, 1 passed, 0 failed, 0 skipped, 1 inconclusive\n");
	command_line_expect("SIMNET_SLOWDOWN=3 simnet run --retry-slow never.yaml", 5,
		" s, alone too; the machine was 3.0 times slower");
	/* Without it, and of what fails, there is one run. */
	command_line_expect(SHARED("SIMNET_SLOWDOWN=3 simnet run once.yaml"), 5, "INCONCLUSIVE once  ");
	command_line_expect(
		"SIMNET_SLOWDOWN=3 simnet run --retry-slow dies.yaml | grep -c '^dies:'", 0, "1\n");
}

/* What pairs of a matrix have not come to on such a machine is inconclusive too. */
static void test_slow_matrix(void **state)
{
	struct buf said = { 0 };
	(void)state;
	command_line_needs_namespaces();
	int code = command_line_run("SIMNET_SLOWDOWN=8 simnet matrix --proto udp --within 1ms", &said);
	bool unmeasured = strstr(buf_cstr(&said), "cannot be measured on a machine");
	if (code != 5 || !(unmeasured || strstr(buf_cstr(&said), "the machine was 8.0 times slower")))
		fail_msg("code %d: %s", code, buf_cstr(&said));
	buf_free(&said);
}

static void test_summary(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect("GITHUB_STEP_SUMMARY=$PWD/sum simnet run --github --seed 5 pass.yaml fail.yaml "
			    ">g; grep -c '^::error' g; cat "
			    "sum",
		0,
		"1\n### simnet: 1 of 2 passed\n\n| scenario | | time | seed | |\n|---|---|---|---|---|\n| "
		"pass | passed | ");
	command_line_expect("cat sum", 0, "| fail | **failed** | ");
	command_line_expect("cat sum", 0,
		"<details><summary>fail</summary>\n\n```mermaid\nflowchart TD\n  internet((internet))\n  "
		"n0[");
	command_line_expect("cat sum", 0,
		"  class n0 marked\n  classDef marked stroke:#d1242f,stroke-width:3px\n```\n\n<pre>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_shards),
		cmocka_unit_test(test_slow_machine),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_retry_slow),
		cmocka_unit_test(test_slow_matrix),
		cmocka_unit_test(test_summary),
	};
	return cmocka_run_group_tests(tests, write_job_files, remove_job_files);
}
