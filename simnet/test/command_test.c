/* The program as people call it: exit codes and sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/test/command_line.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCENARIO "simnet: 1\nname: "
#define HOSTS "nodes:\n  a: {at: internet}\n  b: {at: internet}\n"

#define TELLER \
	"nodes:\n  a: {at: internet, run: teller}\n  b: {at: internet}\nsteps:\n" \
	"  - ping: {from: a, to: b, via: direct}\n"
#define LONG_LINES "yes 0123456789 | head -n 20000 | tr -d \\\\n | fold -w 999; echo"

static const struct command_line_file files[] = {
	{ "pass.yaml", SCENARIO "pass\n" HOSTS "steps:\n  - ping: {from: a, to: b}\n" },
	{ "again.yaml", SCENARIO "pass\n" HOSTS },
	{ "fail.yaml", SCENARIO "fail\n" HOSTS "steps:\n  - run: {at: a, argv: ['false']}\n" },
	{ "typo.yaml", SCENARIO "typo\nnods: {}\n" },
	{ "slip.yaml",
		SCENARIO "slip\nnodse: {a: {at: internet}, b: {at: internet}} # nodse\nsteps:\n  - pign: "
			 "{from: a, to: b}\n" },
	{ "lossy.yaml", SCENARIO
		"lossy\nnodes:\n  a: {at: internet, link: {down: {loss: 100%}}}\n  b: {at: internet}\n"
		"steps:\n  - ping: {from: a, to: b, within: 500ms}\n" },
	{ "blank.yaml", SCENARIO
		"blank\nnodes:\n  a: {at: internet, run: [sh, -c, 'echo; echo one; echo; exit 3']}\nsteps:\n"
		"  - wait: 5s\n    say: waits for its end\n" },
	{ "needs.yaml", SCENARIO "needs\nneeds: [no-such-program]\n" HOSTS },
	{ "unpacked.yaml", SCENARIO "unpacked\nneeds: [owners/no/such]\n" HOSTS },
	{ "needs2.yaml", SCENARIO "needs2\nneeds: [no-such-program]\n" HOSTS },
	{ "slow.yaml", SCENARIO "slow\n" HOSTS "steps:\n  - wait: 60s\n    say: waits to be stopped\n" },
	{ "grid.yaml", SCENARIO "grid\nmatrix: {x: ['0', '3', '5']}\n" HOSTS
				"steps:\n  - run: {at: a, argv: [sh, -c, 'exit {matrix.x}']}\n" },
	{ "teller.yaml", "adapter: 1\nname: teller\nstart: [sleep, '60']\n"
			 "files: [{path: '{dir}/said', text: '{\"direct\": \"x\", \"drops\": {\"no_rule\": "
			 "3, \"none\": "
			 "0}}'}]\n"
			 "probe: {icmp: '{{to}.ip}'}\n"
			 "path: {run: [cat, '{dir}/said'], direct: direct, relay: relay}\n"
			 "home: {run: [cat, '{dir}/said'], json: direct}\n"
			 "drops: {run: [cat, '{dir}/said'], json: drops}\n" },
	{ "tells.yaml", SCENARIO "tells\n" TELLER "  - expect: {path: a->b, is: direct, for: 200ms}\n" },
	{ "home.yaml", SCENARIO "home\n" TELLER "  - expect: {home: a, relay: x}\n"
				"  - expect: {home: a, relay: y, within: 300ms}\n" },
	{ "later.yaml", SCENARIO "later\ntodo: waits for a feature\ntags: [far]\n" HOSTS
				 "steps:\n  - run: {at: a, argv: ['false']}\n" },
	{ "part.yaml", "part: 1\nnodes:\n  p: {at: internet}\nsteps:\n  - run: {at: p, argv: [echo, said]}\n"
		       "  - run: {at: p, argv: [sh, -c, 'echo bad >&2; exit 3'], exit: 3}\n" },
	{ "uses.yaml", SCENARIO "uses\nuse: [part.yaml]\n" HOSTS },
	{ "mute.yaml", SCENARIO
		"mute\nrouters: {home: {nat: home}}\nnodes: {a: {at: home}, b: {at: internet}}\nsteps:\n"
		"  - ping: {from: b, to: a, fails: true, within: 300ms}\n" },
	{ "silent.yaml", SCENARIO "silent\n" TELLER "  - run: {at: a, argv: [rm, '{a.dir}/said']}\n"
				  "  - expect: {path: a->b, is: direct, within: 300ms}\n" },
	{ "carries-not.yaml", SCENARIO "carries-not\n" TELLER "  - cut: b.link\n"
				       "  - expect: {path: a->b, is: direct, within: 300ms}\n" },
	{ "loud.yaml", SCENARIO
		"loud\nnodes: {a: {at: internet, run: [yes, 0123456789012345678901234567890123456789]}}\n"
		"steps:\n  - run: {at: a, argv: [sh, -c, 'until grep -q \"not kept\" {a.dir}/../logs/a.log; "
		"do sleep 0.1; done'], within: 60s}\n" },
	{ "typo2.yaml", SCENARIO "typo\nnods: {}\nabut: x\n" },
	{ "relay.yaml",
		SCENARIO "relay\nservices: {r: {run: ropewalk-relay}}\nnodes: {a: {at: internet}}\n" },
	{ "escapee.yaml",
		"adapter: 1\nname: escapee\nstart: ['true']\nfiles: [{path: '{dir}/../x', text: x}]\n" },
	{ "escape.yaml", SCENARIO "escape\nnodes:\n  a: {at: internet, run: escapee}\n" },
	{ "quiet.yaml", "adapter: 1\nname: quiet\nstart: [sleep, '9']\nready: {line: never}\n" },
	{ "setter.yaml", "adapter: 1\nname: setter\nstart: [sleep, '60']\n"
			 "then: [{run: [sh, -c, 'echo one; echo no disk; exit 3']}]\n" },
	{ "sets.yaml", SCENARIO "sets\nnodes: {a: {at: internet, run: setter}}\n" },
	{ "impatient.yaml",
		SCENARIO "impatient\nstart-within: 300ms\nnodes:\n  a: {at: internet, run: quiet}\n" },
	{ "talk.yaml", SCENARIO "talk\nnodes:\n  a: {at: internet, run: [sh, -c, '" LONG_LINES
				"; echo end; sleep 60'], ready: {line: ^end}}\n" },
	{ "say.yaml", SCENARIO
		"say\nnodes: {a: {at: internet}}\nsteps:\n  - run: {at: a, argv: [sh, -c, '" LONG_LINES
		"; exit 3']}\n" },
	{ "clock.yaml", SCENARIO "clock\nnodes: {a: {at: internet, clock: +30y}}\nsteps:\n"
				 "  - run: {at: a, argv: [date, +%Y], is: '>= 2050'}\n" },
	{ "nat.yaml", SCENARIO "nat\nrouters: {home: {nat: home}}\nnodes: {a: {at: home}}\n" },
};

static int write_files(void **state)
{
	(void)state;
	return command_line_open(files, ARRAY_LEN(files));
}

static int remove_files(void **state)
{
	(void)state;
	return command_line_close();
}

static void test_wrong_use(void **state)
{
	(void)state;
	command_line_expect("simnet", 2, "Usage: simnet VERB");
	command_line_expect("simnet --help", 0, "Exit status:");
	command_line_expect("simnet run --help", 0, "--skip-unsupported");
	command_line_expect("simnet rum", 2, "no verb 'rum'; did you mean 'run'?");
	command_line_expect("simnet doctor --tap", 2, "unknown option --tap");
	command_line_expect("simnet run", 2, "no scenario is named");
	command_line_expect("simnet run nothing.yaml", 2, "nothing.yaml: No such file");
	command_line_expect("simnet run typo.yaml pass.yaml", 2,
		"typo.yaml:3:1: unknown key 'nods' in the scenario; did you mean");
	command_line_expect("simnet run --tap --json pass.yaml", 2, "choose one");
	/* Before anything runs. */
	command_line_expect("simnet run --junit no/j.xml pass.yaml >said", 4,
		"simnet: write no/j.xml: the folder no/: No such");
	command_line_expect("simnet run --html . pass.yaml >>said", 4, "simnet: write .: Is a directory");
	command_line_expect(
		"GITHUB_STEP_SUMMARY=no/sum simnet run --github pass.yaml >>said", 4, "write no/sum");
	command_line_expect("wc -c <said", 0, "0\n");
	command_line_expect("simnet run --pcap never pass.yaml", 2, "--pcap is fail, all or off");
	command_line_expect("simnet run -k nowhere pass.yaml", 2, "no scenario matches");
	command_line_expect("simnet run --out o pass.yaml again.yaml", 2, "are both named 'pass'");
	command_line_expect("simnet lint pass.yaml fail.yaml", 0, "2 files, 2 scenarios: good");
	command_line_expect("simnet lint typo.yaml needs.yaml", 2, "typo.yaml:3:1");
	command_line_expect("simnet lint pass.yaml >/dev/full", 4, "cannot be written: No space left");
	command_line_expect("simnet up pass.yaml fail.yaml", 2, "up takes one scenario");
	command_line_expect("simnet shell", 2, "shell takes the name of a node");
	command_line_expect("simnet shell --lab 1 a", 2, "simnet: no lab");
	command_line_expect("simnet new", 0, "hosts       two hosts behind home routers");
	command_line_expect("simnet new host", 2, "no template 'host'; did you mean 'hosts'?");
	command_line_expect("simnet clean", 0, "nothing to remove");
}

/* What is put right is told, and the file is as it was in all else. */
static void test_fixes(void **state)
{
	(void)state;
	command_line_expect(
		"cp slip.yaml s.yaml && chmod 640 s.yaml && ln -s s.yaml l.yaml && simnet lint --fix "
		"l.yaml && cat s.yaml && stat -c %a s.yaml && readlink l.yaml",
		0,
		"l.yaml:3:1: 'nodse' is now 'nodes'\nl.yaml:5:5: 'pign' is now 'ping'\n1 file, 1 scenario: "
		"good\n" SCENARIO "slip\nnodes: {a: {at: internet}, b: {at: internet}} # nodse\nsteps:\n  - "
		"ping: {from: a, to: b}\n640\ns.yaml\n");
	command_line_expect(
		"cp teller.yaml t.yaml && sed -i s/start/strat/ t.yaml && simnet lint --fix t.yaml", 0,
		"t.yaml:3:1: 'strat' is now 'start'\n1 file, 1 adapter: good\n");
	/* a part is put right where it is */
	command_line_expect(
		"mkdir u && sed s/argv/agrv/ part.yaml >u/part.yaml && cp uses.yaml u/ && simnet lint "
		"--fix u/uses.yaml && cmp part.yaml u/part.yaml",
		0, "u/part.yaml:5:18: 'agrv' is now 'argv'\n");
	/* what cannot be is told as ever, and without --fix nothing is written */
	command_line_expect("cp fail.yaml f.yaml && echo x: 1 >>f.yaml && simnet lint --fix f.yaml", 2,
		"unknown key 'x' in the scenario");
	command_line_expect(
		"cp slip.yaml n.yaml; simnet lint n.yaml; cmp slip.yaml n.yaml && echo same", 0, "same");
	command_line_expect("simnet lint --fix nothing.yaml", 2, "nothing.yaml: No such file");
}

/* Five questions make a file that lint takes; it says what was answered. */
static void test_wizard(void **state)
{
	(void)state;
	command_line_expect(
		"printf '\\n\\n\\n\\n' | simnet new --wizard 2>q >w.yaml && simnet lint w.yaml && "
		"grep -c '[1-5]  ' q && grep reset: w.yaml",
		0, "1 scenario: good\n3\n  - reset: home\n");
	command_line_expect(
		"printf '%s\\n' 'srv --say \"a b\"' 70000 8080 'try {server.ip}' hoem cgnat move | "
		"simnet new --wizard 2>q >w.yaml && cat q w.yaml && simnet lint w.yaml",
		0, "1 file, 1 scenario: good");
	command_line_expect("cat q w.yaml", 0, "'70000' is no port");
	command_line_expect("cat q w.yaml", 0, "'hoem' is none of them; did you mean 'home'?");
	command_line_expect("cat w.yaml", 0,
		"  home: {nat: cgnat}           # simnet presets lists them\n  elsewhere: {nat: "
		"symmetric}\n");
	command_line_expect("cat w.yaml", 0,
		"    run: [sh, -c, \"srv --say \\\"a b\\\"\"]\n    ready: {port: \"tcp {ip}:8080\"}\n");
	command_line_expect("cat w.yaml", 0, "      argv: [sh, -c, \"try {server.ip}\"]\n");
	command_line_expect("cat w.yaml", 0, "  - move: {at: client, to: elsewhere}\n");
	command_line_expect(/* bytes that YAML does not take as they are, and some that are no text */
		"printf "
		"'a\\377\\n\\033\\177\\302\\233\\303\\244\\342\\200\\250\\357\\273\\277\\n\\n\\n\\n\\n' | "
		"simnet new --wizard 2>q >w.yaml && grep -c 'is no text in UTF-8' q && grep '\\[sh,' w.yaml "
		"&& simnet lint w.yaml",
		0,
		"1\n    run: [sh, -c, \"\\x1b\\x7f\\x9b\303\244\\u2028\\ufeff\"]\n1 file, 1 scenario: good");
	command_line_expect(
		"{ printf %0400d 7; printf '\\n\\n\\n\\n\\n'; } | simnet new --wizard 2>q >w.yaml && "
		"grep -c 'that is longer than 399 bytes' q; grep -c 'run: http' w.yaml",
		0, "1\n1\n");
	command_line_expect(
		"{ printf %0399d 7; printf '\\n\\n\\n\\n\\n'; } | simnet new --wizard 2>q >w.yaml && "
		"grep -c 'longer' q; grep -c '0007\"' w.yaml",
		0, "0\n1\n");
	command_line_expect("echo x | simnet new --wizard", 2, "the answers end before the last question");
	command_line_expect("simnet new --wizard hosts", 2, "--wizard asks instead of taking a template");
}

/* Each answer to the last question makes a file that passes. */
static void test_wizard_runs(void **state)
{
	static const char *const events[] = { "nothing", "reset", "cut", "sleep", "move", "restart" };
	char command[200];
	(void)state;
	command_line_needs_namespaces();
	/* What the machine has no more of is no failure of a program, and nothing that it lacks. */
	command_line_expect("prlimit --nofile=20 simnet run pass.yaml", 4, "raise the limit (ulimit -n)");
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		snprintf(command, sizeof(command),
			"printf '\\n\\n\\n%s\\n' | simnet new --wizard 2>q >w.yaml && simnet run w.yaml",
			events[i]);
		command_line_expect(command, 0, "PASS my-test");
	}
	/* What tries it fails at first, each time, and says nothing when it does not. */
	command_line_expect(
		"printf '\\n%s\\n\\n\\n' 'test -e /tmp/x && rm /tmp/x || (touch /tmp/x; false)' | "
		"simnet new --wizard 2>q >w.yaml && simnet run w.yaml",
		0, "PASS my-test");
}

static void test_runs(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect("simnet run pass.yaml", 0, "PASS pass");
	command_line_expect("simnet run pass.yaml fail.yaml", 1, "2 run, 1 passed, 1 failed, 0 skipped");
	command_line_expect("simnet run fail.yaml", 1, "again with -k 'fail' --seed ");
	command_line_expect("simnet run --seed 77 pass.yaml", 0, "(seed 77)");
	command_line_expect("simnet run -k '[3]' grid.yaml", 1, "FAIL grid [3]");
	command_line_expect("simnet run --tap -k '[0]' grid.yaml", 0, "1..1\nok 1 - grid [0]\n");
	command_line_expect("simnet run tells.yaml", 0, "a -> b is direct as expected");
	command_line_expect("simnet new hosts >n.yaml && simnet run n.yaml", 0, "PASS my-hosts");
	command_line_expect("simnet new service >n.yaml && simnet run n.yaml", 0, "PASS my-service");
	command_line_expect("simnet new punch >punch.yaml && simnet run punch.yaml", 0, "4 run, 4 passed");
	command_line_expect("for t in home-cgnat corp roaming pi-hole; do simnet new $t >my-$t.yaml; done; "
			    "simnet run -j 2 "
			    "my-home-cgnat.yaml my-corp.yaml my-roaming.yaml my-pi-hole.yaml",
		0, "4 run, 4 passed");
	/* None is left out. */
	command_line_expect(
		"simnet new --help | grep -cF \"[$(simnet new | awk '{print $1}' | paste -sd '|')]\"", 0,
		"1\n");
	command_line_expect("simnet run home.yaml", 1, "the home relay of a is x as expected");
	command_line_expect("simnet run home.yaml", 1, "the home relay of a is 'x' after ");
	command_line_expect("simnet run later.yaml pass.yaml", 0, "SKIP later  todo: waits for a feature");
	command_line_expect("simnet run later.yaml pass.yaml", 0, "1 run, 1 passed, 0 failed, 1 skipped");
	command_line_expect(
		"simnet run --tap later.yaml", 0, "ok 1 - later # SKIP todo: waits for a feature");
	command_line_expect("simnet run --todo later.yaml", 1, "FAIL later");
	command_line_expect("simnet run --list later.yaml pass.yaml", 0,
		"later  #far  todo: waits for a feature\npass\n");
	command_line_expect("simnet run --list -k '[3]' grid.yaml", 0, "grid [3]\n");
	command_line_expect("simnet run --junit j.xml -k '[0]' grid.yaml && simnet run --list -k \"$(sed -n "
			    "'s/.*<testcase .* name=\"\\([^\"]*\\)\".*/\\1/p' j.xml)\" grid.yaml",
		0, "grid [0]\n");
	command_line_expect("simnet run --timeout 300ms slow.yaml", 1,
		"the time is over: programs and steps may take 0.3 s");
	command_line_expect("simnet run --out o uses.yaml >/dev/null; cat o/uses/steps/*", 0,
		"p$ echo said\nsaid\nstatus 0\np$ sh -c echo bad >&2; exit 3\nbad\nstatus 3\n");
	command_line_expect("mkdir parts && cp part.yaml uses.yaml parts && simnet lint parts", 0,
		"1 file, 1 scenario: good");
	/* What is told is how long it was, not how long the file says. */
	command_line_expect(
		"SIMNET_SLOWDOWN=3 simnet run mute.yaml >mute || exit 9; grep -c 'from a for 0.3 s' mute", 1,
		"0");
	command_line_expect("grep -c 'gets no reply from a for [01]' mute", 0, "1");
	command_line_expect("simnet run silent.yaml", 1, "a has not said for ");
	command_line_expect(
		"simnet run carries-not.yaml", 1, "a -> b is direct, but nothing has come back for ");
	command_line_expect("simnet run carries-not.yaml", 1, "why: a itself has dropped: no_rule 3\n");
	command_line_expect("SIMNET_SLOWDOWN=4 simnet run --out o loud.yaml && tail -n 1 o/loud/a.log", 0,
		"is not kept, it is too much\n");
	command_line_expect("simnet run needs.yaml", 3, "needs the program 'no-such-program'");
	command_line_expect("simnet run needs.yaml fail.yaml", 3, "FAIL fail");
	command_line_expect("simnet run unpacked.yaml", 3, "which is not here: ci/peers/owners unpacks it");
	command_line_expect(
		"simnet run --skip-unsupported --require none needs.yaml | tail -1", 0, "SKIP needs");
	/* A program that must be there is no reason to skip. */
	command_line_expect("simnet run --skip-unsupported --require other,such-program needs.yaml | tail -1",
		0, "SKIP needs");
	command_line_expect("simnet run --skip-unsupported --require other,no-such-program needs.yaml", 3,
		"ERROR needs  the scenario needs the program 'no-such-program'");
	command_line_expect(
		"simnet run -j 2 --skip-unsupported --require no-such-program needs.yaml pass.yaml", 3,
		"1 passed, 1 failed, 0 skipped");
	/* What was skipped is said once more at the end, by reason. */
	command_line_expect(
		"simnet run --skip-unsupported --repeat 2 needs.yaml needs2.yaml later.yaml pass.yaml", 0,
		"skipped, no no-such-program: needs, needs2\nskipped, todo: ");
	command_line_expect("simnet run --skip-unsupported needs.yaml | grep -c '^skipped'", 1, "0");
	command_line_expect(
		"simnet run --json --skip-unsupported needs.yaml pass.yaml | grep -vc '^{'", 1, "0");
	/* A machine without rights is no reason to be green, when one asks for that. */
	command_line_expect(
		"unshare -m sh -c 'mount -t tmpfs none /usr/sbin; PATH=$RW_BIN_DIR:/bin; simnet run "
		"--skip-unsupported nat.yaml'",
		0, "SKIP nat");
	command_line_expect(
		"unshare -m sh -c 'mount -t tmpfs none /usr/sbin; PATH=$RW_BIN_DIR:/bin; simnet run "
		"--skip-unsupported --require none "
		"nat.yaml'",
		3, "ERROR nat");
	/* Adapters beside scenarios are no scenarios. */
	command_line_expect("mkdir both && cp teller.yaml tells.yaml both && simnet lint both && simnet lint "
			    "both/teller.yaml",
		0, "2 files, 1 scenario, 1 adapter: good\n1 file, 1 adapter: good\n");
	command_line_expect("simnet run both/teller.yaml", 2,
		"both/teller.yaml: an adapter, no scenario; name the scenario that uses it");
	command_line_expect("simnet lint part.yaml", 2, "part.yaml: a part, no scenario");
	command_line_expect("mkdir bad && printf 'adapter: 1\\nname: a\\nstrat: [a]\\nraedy: {lnie: x}\\n' "
			    ">bad/a.yaml; simnet lint bad",
		2,
		"bad/a.yaml:3:1: unknown key 'strat' in the adapter; did you mean 'start'?\n"
		"bad/a.yaml:4:1: unknown key 'raedy' in the adapter; did you mean 'ready'?\n");
	command_line_expect("simnet lint typo2.yaml 2>&1 | wc -l", 0, "3");
	/* What is installed together belongs together. */
	command_line_expect(
		"mkdir -p p/bin p/share/ropewalk/adapters && cp $RW_BIN_DIR/simnet p/bin/ && "
		"echo 'adapter: 1' >p/share/ropewalk/adapters/ropewalk-relay.yaml && p/bin/simnet lint "
		"relay.yaml",
		2, "share/ropewalk/adapters/ropewalk-relay.yaml:1:1: the adapter has no 'name'");
	command_line_expect("simnet lint relay.yaml", 0, "good");
	command_line_expect("simnet lint escape.yaml", 2,
		"escape.yaml:4:3: adapter 'escapee' would write '{dir}/../x': its files are '{dir}/NAME', "
		"nowhere else");
	command_line_expect(
		"simnet run impatient.yaml", 1, "not ready after 0.3 s: a does not say that it is");
	/* What dies in userspace dies while the run goes on: its page can be made, and its frames are marked. */
	command_line_expect(
		"simnet run --out lossy --html l.html lossy.yaml && exit 9; simnet explain lossy/lossy", 0,
		"dropped at a: the link loses it (frame ");
	command_line_expect("grep -c 'the link loses it' l.html", 0, "");
	command_line_expect("simnet doctor | grep -c ' $'", 1, "0");
	command_line_expect("simnet run pass.yaml", 0, "PASS pass  1 step, ");
	command_line_expect("simnet run blank.yaml | grep 'log:'", 0, "log: a: one\n");
	command_line_expect("simnet run sets.yaml", 1, "a: 'sh' failed: no disk");
	command_line_expect("simnet run blank.yaml | grep -c 'log: a: $'", 1, "0");
	command_line_expect("simnet run --tap --skip-unsupported needs.yaml", 0, "ok 1 - needs # SKIP ");
	command_line_expect("simnet run --json pass.yaml | grep -c '^{.*}$'", 0, "3");
	command_line_expect(
		"simnet run --junit j.xml fail.yaml >/dev/null; grep failure j.xml", 0, "failures=\"1\"");
	command_line_expect("simnet run --junit /dev/full pass.yaml", 4, "/dev/full: No space left");
	command_line_expect("simnet run --out /dev/null/o pass.yaml", 4, "/dev/null/o");
	command_line_expect("simnet run pass.yaml >/dev/full", 4, "cannot be written whole: No space left");
	command_line_expect("simnet run slow.yaml | head -n 1", 0, "slow: slow.yaml   (seed ");
	command_line_expect("simnet run pass.yaml <&- >&- 2>&-", 0, "");
	command_line_expect("simnet run --out o --pcap all pass.yaml >/dev/null; ls o/pass", 0,
		"net.pcapng\nrun.jsonl\n");
	command_line_expect(
		"mkdir x && cd x && rmdir ../x && simnet run ../pass.yaml; cd ..; simnet run pass.yaml", 0,
		"PASS pass");
}

/* The largest network, with as few files open as a shell allows. */
static void test_many_routers(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(
		"{ echo 'simnet: 1'; echo 'name: many'; echo 'routers:'; i=0; while [ $i -lt 150 ]; do echo "
		"\"  r$i: "
		"{nat: home}\"; i=$((i + 1)); done; echo 'nodes: {a: {at: r149}}'; } >many.yaml; ulimit -Sn "
		"1024; "
		"simnet run many.yaml",
		0, "PASS many");
}

/* A scenario that cannot be built as asked, on a machine that lacks something. */
static void test_machine(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	command_line_expect("unshare -m sh -c 'mount -t tmpfs none /usr/sbin; PATH=$RW_BIN_DIR:/bin; simnet "
			    "run nat.yaml'",
		3, "nft is missing");
	command_line_expect(
		"unshare -m sh -c 'mount -t tmpfs none /usr/sbin; PATH=$RW_BIN_DIR:/bin; simnet doctor'", 3,
		"install nftables");
	command_line_expect(
		"unshare -Ur sh -c 'echo 2 >/proc/sys/user/max_net_namespaces; exec simnet run nat.yaml'", 3,
		"max_net_namespaces");
	command_line_expect("unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv "
			    "--bounding-set=-all "
			    "--inh-caps=-all simnet run nat.yaml'",
		3, "raise /proc/sys/user/max_user_namespaces");
}

/* By a library beside simnet, of whatever build the programs are; where it is not, nothing begins. */
static void test_clock(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect("simnet run clock.yaml", 0, "PASS clock");
	command_line_expect(
		"mkdir alone && cp $RW_BIN_DIR/simnet alone && env -u RW_BIN_DIR alone/simnet run "
		"clock.yaml",
		3, "ERROR clock  no clock_shift.so beside simnet: a clock of one's own needs it\n");
	command_line_expect("env -u RW_BIN_DIR alone/simnet doctor", 0,
		"no clock_shift.so beside simnet: a clock of one's own needs it. Build it too");
}

/* The record has room there, what is kept beside it at the end has none. */
static void test_full_disk(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	if (geteuid() != 0)
		skip();
	command_line_expect("mkdir tiny; simnet run --out o talk.yaml; ls o/talk", 0, "PASS talk");
	command_line_expect("unshare -m sh -c 'mount -t tmpfs -o size=320k none tiny && simnet run --out "
			    "tiny talk.yaml'",
		4, "ERROR talk  tiny/talk/a.log is not kept: No space left on device\n");
	command_line_expect("unshare -m sh -c 'mount -t tmpfs -o size=100k none tiny && simnet run --out "
			    "tiny say.yaml'",
		4, "ERROR say  tiny/say/steps/01-run.log is not kept: No space left on device\n");
	command_line_expect("trap '' XFSZ; ulimit -f 100; simnet run --out o talk.yaml", 4,
		"ERROR talk  o/talk/a.log is not kept: ");
}

/* Each file that is kept beside the record, where a folder has its name. */
static void test_not_kept(void **state)
{
	static const char *const rows[][3] = { { "a.log", "", "talk" }, { "steps/01-run.log", "", "say" },
		{ "net.pcapng", "--pcap all", "pass" }, { "decisions.jsonl", "--engine user", "nat" } };
	char command[200], says[200];
	(void)state;
	command_line_needs_namespaces();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *file = rows[i][0], *name = rows[i][2];
		snprintf(command, sizeof(command), "mkdir -p k%zu/%s/%s && simnet run --out k%zu %s %s.yaml",
			i, name, file, i, rows[i][1], name);
		snprintf(says, sizeof(says), "ERROR %s  k%zu/%s/%s is not kept: ", name, i, name, file);
		command_line_expect(command, 4, says);
	}
}

static void test_interrupts(void **state)
{
	static const char *const signals[] = { "INT", "TERM", "HUP" };
	char command[300];
	(void)state;
	command_line_needs_namespaces();
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		snprintf(command, sizeof(command),
			"{ env --default-signal=INT simnet run slow.yaml >%s & p=$!; until grep -q stopped "
			"%s; do :; done; "
			"kill -%s $p; wait $p; }",
			signals[i], signals[i], signals[i]);
		command_line_expect(command, 130, "");
	}
}

/* Two labs at once, and commands in them. */
static void test_shell(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(
		"{ env --default-signal=INT simnet up pass.yaml >u1 & a=$!; env --default-signal=INT simnet "
		"up nat.yaml >u2 & b=$!; "
		"until grep -q 'up;' u1 && grep -q 'up;' u2; do :; done; "
		"simnet shell a hostname; echo \"code $?\"; simnet shell --lab $b a -- sh -c 'hostname; exit "
		"7'; echo "
		"\"code $?\"; "
		"simnet shell --lab $b home -- sh -c 'ip -br addr show dev wan | cut -c1-3'; "
		"simnet shell --lab $a c true; kill $a; wait $a; echo \"code $?\"; kill $b; wait $b; }",
		0, "code 2\na\ncode 7\nwan\nsimnet: no such node or router in the lab\ncode 0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_fixes),
		cmocka_unit_test(test_wizard),
		cmocka_unit_test(test_wizard_runs),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_many_routers),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_not_kept),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_shell),
	};
	return cmocka_run_group_tests(tests, write_files, remove_files);
}
