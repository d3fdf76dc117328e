/* Networks that stay, and what is asked of them meanwhile. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/os/test/own_ns.h"
#include "simnet/test/command_line.h"

#define SCENARIO "simnet: 1\nname: "
#define TALKER \
	"[sh, -c, 'echo first; while [ ! -e {dir}/go ]; do sleep 0.05; done; echo second; exec sleep 60']"

static const struct command_line_file files[] = {
	{ "net.yaml", SCENARIO
		"net\nrouters: {home: {nat: home}, office: {nat: hard}}\nnodes:\n  a: {at: home, run: " TALKER
		"}\n"
		"  b: {at: internet}\nsteps:\n  - ping: {from: a, to: b}\n" },
	{ "broken.yaml",
		SCENARIO "broken\nnodes:\n  a: {at: internet}\n  b: {at: internet}\nsteps:\n  - cut: b.link\n"
			 "  - ping: {from: a, to: b, within: 300ms}\n  - heal: b.link\n" },
	{ "six.yaml", SCENARIO
		"six\nipv6: true\nrouters: {home: {nat: home, offers: ipv6}}\nnodes:\n  a: {at: home}\n"
		"  b: {at: internet}\nsteps:\n  - move: {at: b, to: home}\n" },
	{ "words.yaml",
		SCENARIO "words\nnodes: {a: {at: internet}, b: {at: internet}}\nsteps:\n"
			 "  - ping: {from: a, to: '{b.ip}'}\n  - lease: {at: b, ip: 203.0.113.77}\n"
			 "  - ping: {from: a, to: '{b.ip}'}\n"
			 "  - run: {at: a, argv: [echo, '{b.ip}'], is: '{b.ip}'}\n"
			 "  - resolve: {from: a, name: '{b.name}.test', fails: true, within: 200ms}\n"
			 "  - cut: b.link\n  - ping: {from: a, to: '{b.ip}', fails: true, within: 200ms}\n"
			 "  - ping: {from: a, to: '{b.ip}', within: 200ms}\n" },
	{ "dies.yaml", SCENARIO "dies\ntimeout: 500ms\nnodes:\n  a: {at: internet}\nsteps:\n"
				"  - run: {at: a, argv: [sleep, '60'], within: 1m}\n" },
	/* A command at a terminal, and keys or a signal once it has said a word: how does the terminal take keys meanwhile and
	 * after it, and how did it end? */
	{ "terminal.py", "import fcntl, os, pty, signal, subprocess, sys, termios\n"
			 "how, word, command = sys.argv[1], sys.argv[2].encode(), sys.argv[3:]\n"
			 "os.setsid()\n"
			 "fd, tty = pty.openpty()\n"
			 "fcntl.ioctl(tty, termios.TIOCSCTTY, 0)\n"
			 "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
			 "p = subprocess.Popen(command, stdin=tty, stdout=tty, stderr=tty,\n"
			 "    preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (1, 2, 3, 15)])\n"
			 "said = b''\n"
			 "while word not in said:\n"
			 "    said += os.read(fd, 4096)\n"
			 "def mode():\n"
			 "    flags = termios.tcgetattr(tty)[3]\n"
			 "    return 'lines' if flags & termios.ICANON and flags & termios.ECHO else 'keys'\n"
			 "before = mode()\n"
			 "if how.isdigit():\n"
			 "    p.send_signal(int(how))\n"
			 "else:\n"
			 "    os.write(fd, how.encode())\n"
			 "p.wait()\n"
			 "print(before, mode(), 'waits' if os.get_blocking(tty) else 'does not wait', "
			 "p.returncode)\n" },
};

/* Starts a lab, waits until it says `word`, does what is asked, and ends it; the last line is its exit code. */
#define WITH(lab, word, commands) \
	"{ : >out; env --default-signal=INT " lab " >out 2>&1 </dev/null & p=$!; until grep -q '" word \
	"' out || ! kill -0 $p; do sleep " \
	"0.02; done; " commands "; kill -INT $p; wait $p; echo \"end $?\"; }"

static int write_lab_files(void **state)
{
	(void)state;
	/* A lab is found by a socket of this network namespace: those of other tests are not in it. */
	if (!own_ns(CLONE_NEWNET))
		print_message("[  NOTE    ] labs of others may be found\n");
	return command_line_open(files, ARRAY_LEN(files));
}

static int remove_lab_files(void **state)
{
	(void)state;
	return command_line_close();
}

static void test_inject(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(WITH("simnet up net.yaml", "up;",
				    "simnet inject 'ping: {from: a, to: b}' | grep -c 'a pings b'; simnet "
				    "inject 'cut home.link' "
				    "'ping: {from: a, to: b, fails: true, within: 300ms}' 'heal home.link' "
				    ">/dev/null; echo code $?"),
		0, "1\ncode 0\nend 0\n");
	/* It has another address where it goes, and each time that it gets one; `top` knows. */
	command_line_expect(WITH("simnet up net.yaml", "up;",
				    "for s in 'ping: {from: a, to: b}' 'move: {at: a, to: office}' 'lease: "
				    "a' 'ping: {from: a, to: b}'; do "
				    "simnet inject \"$s\" >/dev/null; echo $?; done; simnet inject 'cut "
				    "home.lnk' >/dev/null; "
				    "simnet inject '[cut: office.link, ping: {from: a, to: b, within: "
				    "300ms}, move: {at: a, to: home}]' "
				    ">/dev/null; simnet top | awk '/^[ab] / {print $1, $3, $4}'"),
		0, "0\n0\n0\n0\na office 192.168.2.11\nb internet 203.0.113.10\nend 0\n");
	/* Where everything is, is told when it is up. */
	command_line_expect(WITH("simnet up net.yaml", "up;", "grep -o 'home  *203.*' out | tr -s ' '"), 0,
		"home 203.0.113.100 internet, a router\nend 0\n");
	/* It is told there too, and what is wrong or fails ends nothing. */
	command_line_expect(
		WITH("simnet up net.yaml", "up;",
			"simnet inject 'cut hom.link'; echo code $?; simnet inject 'pign: {}'; echo code $?; "
			"simnet inject "
			"'ping: {from: a, to: b, within: 300ms}' >/dev/null; echo code $?; simnet inject "
			"'run: {at: a, argv: "
			"[\"false\"]}' 'cut home.udp' | grep -c cut; grep -c 'home.udp is cut' out"),
		0,
		"inject:1:6: no node or router 'hom'; did you mean 'home'?\ncode 2\ninject:1:1: unknown step "
		"'pign'; did you mean "
		"'ping'?\ncode 2\ncode 0\n0\n0\nend 0\n");
	command_line_expect(WITH("simnet up net.yaml", "up;",
				    "simnet inject '[{run: {at: a, argv: [echo, x], capture: w}}, {run: {at: "
				    "b, argv: [echo, "
				    "\"{capture.w}\"], is: x}}]' >/dev/null; echo code $?; simnet inject "
				    "'run: {at: b, argv: [echo, "
				    "\"{capture.w}\"], is: y, within: 200ms}' | grep -c 'FAIL net  inject:1: "
				    "run: it says .x., wanted'"),
		0, "code 0\n1\nend 0\n");
	/* What no machine can tell is no failure there. */
	command_line_expect(WITH("env SIMNET_SLOWDOWN=3 simnet up net.yaml", "up;",
				    "simnet inject 'run: {at: a, argv: [sleep, \"60\"], within: 200ms}' "
				    ">/dev/null; echo code $?"),
		0, "code 5\nend 0\n");
	command_line_expect("simnet inject 'cut a.link'", 2, "no lab is up");
	command_line_expect("simnet inject", 2, "inject takes steps");
}

static void test_shells_and_logs(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(
		WITH("simnet up net.yaml", "up;",
			"simnet exec a -- sh -c 'hostname; exit 7'; echo code $?; simnet exec --lab net home "
			"-- nft list ruleset | "
			"grep -c '^table' | grep -c '[1-9]'; simnet exec home; echo code $?"),
		0,
		"a\ncode 7\n1\nsimnet: exec takes the name of a node or router, and a command\ncode 2\nend "
		"0\n");
	command_line_expect(
		WITH("simnet up net.yaml", "up;",
			"simnet logs a | cut -c 11-; simnet logs -f a >f & l=$!; simnet exec a touch go; "
			"until grep -q second f; "
			"do sleep 0.02; done; simnet logs home; echo code $?; simnet logs c; echo code $?"),
		0,
		"first\nsimnet: no such node in the lab\ncode 2\nsimnet: no such node in the lab\ncode "
		"2\nend 0\n");
	command_line_expect(WITH("simnet up net.yaml", "up;",
				    "simnet exec --lab other a true; echo code $?; simnet clean"),
		0, "simnet: no lab has that name or number\n  --lab ");
}

static void test_top(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	/* One program of two processes, an empty host, and a router that remembers the ping. */
	command_line_expect(WITH("simnet up net.yaml", "up;",
				    "simnet inject 'ping: {from: a, to: b}' >/dev/null; simnet top | tr -s ' "
				    "' | awk '{ $7 = \"M\"; "
				    "$8 = \"C\"; $9 = $9 + 0 > 0; $10 = $10 + 0 > 0; print }' | sed 's/ "
				    "*$//' | tail -n 3"),
		0,
		"a node home 192.168.1.10 ready 2 M C 1 1\nb node internet 203.0.113.10 bare 0 M C 1 1\nend "
		"0\n");
	command_line_expect(
		WITH("simnet up net.yaml", "up;",
			"simnet inject 'run: {at: a, argv: [sh, -c, \"echo x >/dev/udp/{b.ip}/9; ping -c 1 "
			"-W 1 "
			"{b.ip}\"]}' >/dev/null; simnet top --lab net | grep -c '^home  *router  *internet  "
			"*203.0.113.100 .* [1-9][0-9]*$'"),
		0, "1\nend 0\n");
	command_line_expect(WITH("simnet up net.yaml", "up;",
				    "for how in q \"$(printf '\\003')\" 15 1 3; do python3 terminal.py "
				    "\"$how\" 'q ends this' simnet top; "
				    "done"),
		0,
		"keys lines waits 0\nkeys lines waits -2\nkeys lines waits -15\nkeys lines waits -1\n"
		"keys lines waits -3\nend 0\n");
	command_line_expect("simnet top", 2, "no lab is up");
	command_line_expect("simnet top a", 2, "top takes no words");
}

/* However a shell ends, the terminal is as it was. */
static void test_terminal(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(WITH("simnet up net.yaml", "up;",
				    "for how in \"$(printf 'exit 4\\n.')\" 15 1 2 3; do python3 terminal.py "
				    "\"$how\" 'a# ' simnet shell a; "
				    "done"),
		0,
		"keys lines waits 4\nkeys lines waits -15\nkeys lines waits -1\nkeys lines waits -2\n"
		"keys lines waits -3\nend 0\n");
	/* The same where lines are read. */
	command_line_expect("for how in \"$(printf 'c\\n.')\" 15 1; do python3 terminal.py \"$how\" 'c to "
			    "the end' simnet run "
			    "--step net.yaml; done",
		0, "lines lines waits 0\nlines lines waits 130\nlines lines waits 130\n");
	command_line_expect("for how in 15 2; do python3 terminal.py $how ': ' simnet new --wizard; done", 0,
		"lines lines waits -15\nlines lines waits -2\n");
}

/* Addresses that are told are those that the hosts have. */
static void test_addresses(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(WITH("simnet up six.yaml", "up;", "grep -o ' [ab]  .*' out | tr -s ' '"), 0,
		" a 2a0e:5100:0:1::c0a8:10a home\n b 203.0.113.10 internet\nend 0\n");
	command_line_expect(WITH("simnet run --keep always six.yaml", "the network stays",
				    "grep -o ' b  .*' out | tr -s ' '; grep -c 'moves to home, by eth0 as "
				    "2a0e:5100:0:1::c0a8:10b' out"),
		0, " b 2a0e:5100:0:1::c0a8:10b home\n1\nend 0\n");
	/* What stands in braces in the file is told as what it means, and meant as it is now. */
	command_line_expect("simnet run words.yaml >words", 1, "");
	command_line_expect("cut -c 10- words | grep -v -e seed -e built -e cost | sed 's/ after.*//; s/ for "
			    "[0-9].*//; s/ in "
			    "[0-9].*//' | head -n 8",
		0,
		"+ a pings 203.0.113.11: reply\n* b gets another address: eth0 is 203.0.113.77\n"
		"+ a pings 203.0.113.77: reply\n+ a runs echo … 203.0.113.77: as expected,\n"
		"+ a does not resolve b.test\n* b.link is cut\n+ a gets no reply from 203.0.113.77\n"
		"! FAIL words  words.yaml:12: ping: no reply from 203.0.113.77 to a\n");
}

static void test_kept(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	/* As it failed: what was cut is cut. */
	command_line_expect(WITH("simnet run --keep on-fail broken.yaml", "stays as it failed",
				    "simnet exec a true; echo code $?; simnet inject 'ping: {from: a, to: b, "
				    "within: 200ms}' | grep -c 'no "
				    "reply'; simnet inject 'heal b.link' 'ping: {from: a, to: b}' "
				    ">/dev/null; echo code $?; grep -c '^ .*FAIL "
				    "broken  [0-9]' out"),
		0, "code 0\n1\ncode 0\n1\nend 1\n");
	command_line_expect(
		WITH("simnet run --keep on-fail dies.yaml", "stays as it failed", "simnet exec a hostname"),
		0, "a\nend 1\n");
	command_line_expect(
		WITH("simnet run --keep always net.yaml", "the network stays", "simnet exec b hostname"), 0,
		"b\nend 0\n");
	command_line_expect("simnet run --keep on-fail net.yaml | tail -n 1", 0, "PASS net");
	command_line_expect("simnet run --keep never net.yaml", 2, "--keep is on-fail or always");
	command_line_expect("simnet run --keep always -j 2 net.yaml", 2, "for one scenario at a time");
}

static void test_step(void **state)
{
	(void)state;
	command_line_needs_namespaces();
	command_line_expect(
		"{ echo; echo; } | simnet run --step broken.yaml | grep -c 'next: line'", 0, "2\n");
	command_line_expect("echo c | simnet run --step broken.yaml | grep -c 'next: line'", 0, "1\n");
	command_line_expect("simnet run --step net.yaml </dev/null", 0, "PASS net");
	/* Between two steps it takes orders. */
	command_line_expect("{ mkfifo keys; simnet run --step broken.yaml <keys >out & p=$!; exec 3>keys; "
			    "echo >&3; until grep -q 'next: "
			    "line 8' out; do sleep 0.02; done; simnet inject 'heal b.link' >/dev/null; echo "
			    ">&3; echo c >&3; wait $p; echo "
			    "\"end $?\"; }",
		0, "end 0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inject),
		cmocka_unit_test(test_shells_and_logs),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_step),
	};
	return cmocka_run_group_tests(tests, write_lab_files, remove_lab_files);
}
