/* The program as people call it: exit codes and sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCENARIO "simnet: 1\nname: "
#define HOSTS "nodes:\n  a: {at: internet}\n  b: {at: internet}\n"

#define TELLER \
	"nodes:\n  a: {at: internet, run: teller}\n  b: {at: internet}\nsteps:\n" \
	"  - ping: {from: a, to: b, via: direct}\n"

static const struct {
	const char *name, *text;
} files[] = {
	{ "pass.yaml", SCENARIO "pass\n" HOSTS "steps:\n  - ping: {from: a, to: b}\n" },
	{ "again.yaml", SCENARIO "pass\n" HOSTS },
	{ "fail.yaml", SCENARIO "fail\n" HOSTS "steps:\n  - run: {at: a, argv: ['false']}\n" },
	{ "typo.yaml", SCENARIO "typo\nnods: {}\n" },
	{ "needs.yaml", SCENARIO "needs\nneeds: [no-such-program]\n" HOSTS },
	{ "slow.yaml", SCENARIO "slow\n" HOSTS "steps:\n  - wait: 60s\n    say: waits to be stopped\n" },
	{ "grid.yaml", SCENARIO "grid\nmatrix: {x: ['0', '3', '5']}\n" HOSTS
				"steps:\n  - run: {at: a, argv: [sh, -c, 'exit {matrix.x}']}\n" },
	{ "teller.yaml", "adapter: 1\nname: teller\nstart: [sleep, '60']\n"
			 "files: [{path: '{dir}/said', text: '{\"direct\": \"x\", \"drops\": {\"no_rule\": "
			 "3, \"none\": "
			 "0}}'}]\n"
			 "probe: {icmp: '{{to}.ip}'}\n"
			 "path: {run: [cat, '{dir}/said'], direct: direct, relay: relay}\n"
			 "drops: {run: [cat, '{dir}/said'], json: drops}\n" },
	{ "tells.yaml", SCENARIO "tells\n" TELLER "  - expect: {path: a->b, is: direct, for: 200ms}\n" },
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
	{ "impatient.yaml",
		SCENARIO "impatient\nstart-within: 300ms\nnodes:\n  a: {at: internet, run: quiet}\n" },
	{ "nat.yaml", SCENARIO "nat\nrouters: {home: {nat: home}}\nnodes: {a: {at: home}}\n" },
};

static char dir[] = "/tmp/command_test.XXXXXX";

static int write_files(void **state)
{
	char path[128];
	(void)state;
	if (!getenv("RW_BIN_DIR") || !mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
		FILE *f = fopen(path, "we");
		if (!f || fputs(files[i].text, f) < 0 || fclose(f) != 0)
			return -1;
	}
	return 0;
}

static int remove_files(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* The exit code of a shell command, whose outputs go to said. */
static int sh(const char *command, struct buf *said)
{
	struct buf full = { 0 };
	char some[4096];
	size_t n;

	assert_true(buf_printf(&full, "exec 2>&1; cd %s && PATH=$RW_BIN_DIR:$PATH && %s", dir, command));
	FILE *f = popen(buf_cstr(&full), "re");
	assert_non_null(f);
	while ((n = fread(some, 1, sizeof(some), f)) > 0)
		assert_true(buf_append(said, some, n));
	int status = pclose(f);
	buf_free(&full);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(const char *command, int code, const char *says)
{
	struct buf said = { 0 };
	int got = sh(command, &said);
	const char *text = said.len ? buf_cstr(&said) : "";

	if (got != code || !strstr(text, says))
		fail_msg("%s\ncode %d, not %d, with '%s':\n%s", command, got, code, says, text);
	buf_free(&said);
}

static void skip_without_namespaces(void)
{
	struct buf said = { 0 };
	int code = sh("simnet doctor", &said);

	if (code != 0)
		print_message("skipped: %s\n", buf_cstr(&said));
	buf_free(&said);
	if (code != 0)
		skip();
}

static void test_wrong_use(void **state)
{
	(void)state;
	expect("simnet", 2, "Usage: simnet VERB");
	expect("simnet --help", 0, "Exit status:");
	expect("simnet run --help", 0, "--skip-unsupported");
	expect("simnet rum", 2, "no verb 'rum'; did you mean 'run'?");
	expect("simnet doctor --tap", 2, "unknown option --tap");
	expect("simnet run", 2, "no scenario is named");
	expect("simnet run nothing.yaml", 2, "nothing.yaml: No such file");
	expect("simnet run typo.yaml pass.yaml", 2,
		"typo.yaml:3:1: unknown key 'nods' in the scenario; did you mean");
	expect("simnet run --tap --json pass.yaml", 2, "choose one");
	expect("simnet run --pcap never pass.yaml", 2, "--pcap is fail, all or off");
	expect("simnet run -k nowhere pass.yaml", 2, "no scenario matches");
	expect("simnet run --out o pass.yaml again.yaml", 2, "are both named 'pass'");
	expect("simnet lint pass.yaml fail.yaml", 0, "2 files, 2 scenarios: good");
	expect("simnet lint typo.yaml needs.yaml", 2, "typo.yaml:3:1");
	expect("simnet lint pass.yaml >/dev/full", 4, "cannot be written: No space left");
	expect("simnet up pass.yaml fail.yaml", 2, "up takes one scenario");
	expect("simnet shell", 2, "shell takes the name of a node");
	expect("simnet shell --lab 1 a", 2, "simnet: no lab");
	expect("simnet clean", 0, "nothing to remove");
}

static void test_runs(void **state)
{
	(void)state;
	skip_without_namespaces();
	expect("simnet run pass.yaml", 0, "PASS pass");
	expect("simnet run pass.yaml fail.yaml", 1, "2 run, 1 passed, 1 failed, 0 skipped");
	expect("simnet run fail.yaml", 1, "again with -k 'fail' --seed ");
	expect("simnet run --seed 77 pass.yaml", 0, "(seed 77)");
	expect("simnet run -k '[3]' grid.yaml", 1, "FAIL grid [3]");
	expect("simnet run --tap -k '[0]' grid.yaml", 0, "1..1\nok 1 - grid[0]\n");
	expect("simnet run tells.yaml", 0, "a -> b is direct as expected");
	expect("simnet run silent.yaml", 1, "a has not said for ");
	expect("simnet run carries-not.yaml", 1, "a -> b is direct, but nothing has come back for ");
	expect("simnet run carries-not.yaml", 1, "why: a itself has dropped: no_rule 3\n");
	expect("simnet run --out o loud.yaml && tail -n 1 o/loud/a.log", 0, "is not kept, it is too much\n");
	expect("simnet run needs.yaml", 3, "needs the program 'no-such-program'");
	expect("simnet run needs.yaml fail.yaml", 3, "FAIL fail");
	expect("simnet run --skip-unsupported --require needs.yaml | tail -1", 0, "SKIP needs");
	/* A machine without rights is no reason to be green, when one asks for that. */
	expect("unshare -m sh -c 'mount -t tmpfs none /usr/sbin; PATH=$RW_BIN_DIR:/bin; simnet run "
	       "--skip-unsupported nat.yaml'",
		0, "SKIP nat");
	expect("unshare -m sh -c 'mount -t tmpfs none /usr/sbin; PATH=$RW_BIN_DIR:/bin; simnet run "
	       "--skip-unsupported --require "
	       "nat.yaml'",
		3, "ERROR nat");
	/* Adapters beside scenarios are no scenarios. */
	expect("mkdir both && cp teller.yaml tells.yaml both && simnet lint both", 0,
		"1 file, 1 scenario: good");
	expect("simnet lint typo2.yaml 2>&1 | wc -l", 0, "3");
	/* What is installed together belongs together. */
	expect("mkdir -p p/bin p/share/ropewalk/adapters && cp $RW_BIN_DIR/simnet p/bin/ && "
	       "echo 'adapter: 1' >p/share/ropewalk/adapters/ropewalk-relay.yaml && p/bin/simnet lint "
	       "relay.yaml",
		2, "share/ropewalk/adapters/ropewalk-relay.yaml:1:1: the adapter has no 'name'");
	expect("simnet lint relay.yaml", 0, "good");
	expect("simnet lint escape.yaml", 2,
		"escape.yaml:4:3: adapter 'escapee' would write '{dir}/../x': its files are '{dir}/NAME', "
		"nowhere else");
	expect("simnet run impatient.yaml", 1, "not ready after 0.3 s: a does not say that it is");
	expect("simnet run --tap --skip-unsupported needs.yaml", 0, "ok 1 - needs # SKIP ");
	expect("simnet run --json pass.yaml | grep -c '^{.*}$'", 0, "3");
	expect("simnet run --junit j.xml fail.yaml >/dev/null; grep failure j.xml", 0, "failures=\"1\"");
	expect("simnet run --junit /dev/full pass.yaml", 4, "/dev/full: No space left");
	expect("simnet run --out /dev/null/o pass.yaml", 4, "/dev/null/o");
	expect("simnet run pass.yaml >/dev/full", 4, "cannot be written whole: No space left");
	expect("simnet run slow.yaml | head -n 1", 0, "slow: slow.yaml   (seed ");
	expect("simnet run pass.yaml <&- >&- 2>&-", 0, "");
	expect("simnet run --out o --pcap all pass.yaml >/dev/null; ls o/pass", 0,
		"a.pcap\nb.pcap\nevents.jsonl\n");
	expect("mkdir x && cd x && rmdir ../x && simnet run ../pass.yaml; cd ..; simnet run pass.yaml", 0,
		"PASS pass");
}

/* The largest network, with as few files open as a shell allows. */
static void test_many_routers(void **state)
{
	(void)state;
	skip_without_namespaces();
	expect("{ echo 'simnet: 1'; echo 'name: many'; echo 'routers:'; i=0; while [ $i -lt 150 ]; do echo "
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
	expect("unshare -m sh -c 'mount -t tmpfs none /usr/sbin; PATH=$RW_BIN_DIR:/bin; simnet run nat.yaml'",
		3, "nft is missing");
	expect("unshare -m sh -c 'mount -t tmpfs none /usr/sbin; PATH=$RW_BIN_DIR:/bin; simnet doctor'", 3,
		"install nftables");
	expect("unshare -Ur sh -c 'echo 2 >/proc/sys/user/max_net_namespaces; exec simnet run nat.yaml'", 3,
		"max_net_namespaces");
	expect("unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv "
	       "--bounding-set=-all "
	       "--inh-caps=-all simnet run nat.yaml'",
		3, "raise /proc/sys/user/max_user_namespaces");
}

static void test_interrupts(void **state)
{
	static const char *const signals[] = { "INT", "TERM", "HUP" };
	char command[300];
	(void)state;
	skip_without_namespaces();
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		snprintf(command, sizeof(command),
			"{ env --default-signal=INT simnet run slow.yaml >%s & p=$!; until grep -q stopped "
			"%s; do :; done; "
			"kill -%s $p; wait $p; }",
			signals[i], signals[i], signals[i]);
		expect(command, 130, "");
	}
}

/* Two labs at once, and commands in them. */
static void test_shell(void **state)
{
	(void)state;
	skip_without_namespaces();
	expect("{ env --default-signal=INT simnet up pass.yaml >u1 & a=$!; env --default-signal=INT simnet "
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
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_many_routers),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_shell),
	};
	return cmocka_run_group_tests(tests, write_files, remove_files);
}
