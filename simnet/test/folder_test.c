/* What a run leaves in its folder, and what others and we make of it. */
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
#define SEND(seconds) \
	"  - run: {at: a, argv: [python3, -c, \"import socket; s=socket.socket(2,2); s.settimeout(" seconds \
	"); s.sendto(b'x',('{b.ip}',9)); s.recv(9)\"]}\n"

static const struct {
	const char *name, *text;
} files[] = {
	{ "pass.yaml", SCENARIO
		"pass\nnodes: {a: {at: internet}, b: {at: internet}}\nsteps:\n  - ping: {from: a, to: b}\n" },
	{ "fine.yaml",
		SCENARIO "fine\nnodes: {a: {at: internet}}\nsteps:\n  - run: {at: a, argv: ['true']}\n" },
	{ "cut.yaml", SCENARIO "cut\nabout: UDP does not pass\nrouters: {home: {nat: home}}\nnodes: {a: {at: "
			       "home, run: [sh, -c, "
			       "'echo \"hello <b>\"; exec sleep 60']}, b: {at: internet}}\nsteps:\n"
			       "  - ping: {from: a, to: b}\n  - cut: home.udp\n" SEND(".3") },
};

static char dir[] = "/tmp/folder_test.XXXXXX";

static int run_command(const char *command, struct buf *out)
{
	char line[3000], part[4096];
	size_t n;
	snprintf(line, sizeof(line),
		"cd %s && PATH=\"$RW_BIN_DIR:$PATH\" NO_COLOR=1; export PATH NO_COLOR; { %s; } 2>&1", dir,
		command);
	FILE *f = popen(line, "r");
	if (!f)
		return -1;
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_append(out, part, n);
	int status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(const char *command, int code, const char *says)
{
	struct buf out = { .cap = 1 << 24 };
	int got = run_command(command, &out);
	const char *text = out.len ? buf_cstr(&out) : "";
	if (got != code || !strstr(text, says))
		fail_msg("'%s' ended with %d, wanted %d and '%s'; it said:\n%.4000s", command, got, code,
			says, text);
	buf_free(&out);
}

static int folder_open(void **state)
{
	char path[128];
	(void)state;
	setenv("SIMNET_SLOWDOWN", "1", 0); /* verdicts, whoever else is at work here */
	if (!getenv("RW_BIN_DIR") || !mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
		FILE *f = fopen(path, "we");
		if (!f || fputs(files[i].text, f) < 0 || fclose(f) != 0)
			return -1;
	}
	struct buf out = { .cap = 1 << 20 };
	int code = run_command("simnet doctor >/dev/null || exit 77; simnet run --out o --pcap all "
			       "pass.yaml; simnet run --out o cut.yaml",
		&out);
	bool ready = code == 1 || code == 77;
	if (!ready)
		print_error("the runs that are looked at ended with %d:\n%.4000s", code,
			out.len ? buf_cstr(&out) : "");
	buf_free(&out);
	return ready ? 0 : -1;
}

static int folder_close(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void skip_without_runs(void)
{
	struct buf out = { 0 };
	bool here = run_command("test -d o/cut", &out) == 0;
	buf_free(&out);
	if (!here)
		skip();
}

/* Programs of others read the capture, and in it what became of each packet. */
static void test_capture(void **state)
{
	(void)state;
	skip_without_runs();
	expect("ls o/cut", 0, "a.log\nnet.pcapng\nrun.jsonl\n");
	expect("capinfos -c o/pass/net.pcapng", 0, "Number of packets:");
	expect("capinfos -Ml o/cut/net.pcapng; capinfos o/cut/net.pcapng", 0, "Strict time order:   True");
	expect("tshark -r o/cut/net.pcapng -Y 'frame.comment contains \"dropped at home: UDP is cut\"' -T "
	       "fields "
	       "-e frame.interface_name -e udp.dstport | sort -u",
		0, "home.lan\t9\n");
}

/* What is in a run's folder is that run's, also where another one of the name kept its own before. */
static void test_anew(void **state)
{
	(void)state;
	skip_without_runs();
	expect("cp -r o anew; touch anew/cut/of-others; mkdir -p p; sed s/fine/cut/ fine.yaml >p/cut.yaml; "
	       "simnet run "
	       "--out anew p/cut.yaml >/dev/null && ls anew/cut anew/cut/steps",
		0, "anew/cut:\nof-others\nrun.jsonl\nsteps\n\nanew/cut/steps:\n01-run.log\n");
}

/* The record has everything that happened, in lines that stand alone. */
static void test_record(void **state)
{
	static const char *const kinds[] = { "run", "router", "host", "plan", "map", "step", "step-end",
		"program", "line", "drop", "packet", "cause", "fail" };
	char command[300];
	(void)state;
	skip_without_runs();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		snprintf(command, sizeof(command),
			"grep -c '^{\"t\":[0-9.]*,\"scenario\":\"cut\",.*\"kind\":\"%s\"' o/cut/run.jsonl",
			kinds[i]);
		expect(command, 0, "");
	}
	expect("grep '\"kind\":\"step-end\"' o/cut/run.jsonl | tail -1", 0,
		"\"step\":3,\"what\":\"run\",\"verdict\":\"fail\"");
	expect("grep '\"kind\":\"packet\"' o/cut/run.jsonl", 0,
		"\"comment\":\"dropped at home: UDP is cut\"");
}

/* What `next:` says to type works, and says more. */
static void test_review(void **state)
{
	(void)state;
	skip_without_runs();
	expect("sh -c \"$(sed -n 's/.*\\\"next: \\([^\\\"]*\\)\\\".*/\\1/p' o/cut/run.jsonl)\"", 0,
		"cause: ");
	expect("simnet explain o/cut", 0, ">  3 ! run");
	expect("simnet explain o/cut", 0, "dropped at home: UDP is cut");
	expect("simnet explain o/cut 2", 0, "home.udp is cut");
	expect("simnet explain o/cut 4", 2, "step 4 did not run; the file has 3");
	expect("simnet explain o/pass", 0, "all passed");
	expect("simnet explain o", 2, "o holds no run.jsonl");
	expect("simnet explain o/cut x", 2, "the step is a number");
	expect("simnet replay o/cut </dev/null", 0, "step 3 of 3  run");
	expect("simnet replay --at 60s o/cut", 0, "  cut      home.udp is cut");
	expect("simnet run --out again cut.yaml >/dev/null; simnet replay --diff o/cut again/cut", 0,
		"no difference in 3 steps");
	expect("simnet replay --diff o/cut o/pass", 1, "step 2: the files ask for different things");
	expect("simnet replay --diff o/cut", 2, "the folders of two runs");
	/* What the network decided, but for its times. */
	expect("cp -r o/cut da; cp -r o/cut db; echo '{\"object\":\"home\",\"at_ms\":1}' "
	       ">da/decisions.jsonl; echo "
	       "'{\"object\":\"home\",\"at_ms\":2}' >db/decisions.jsonl; simnet replay --diff da db",
		0, "no difference in 1 decisions of the network");
	expect("echo '{\"object\":\"x\",\"at_ms\":2}' >>db/decisions.jsonl; simnet replay --diff da db", 1,
		"decision 2 of the network differs\n  A: \n  B: {\"object\":\"x\"");
}

/* As people type it at a terminal. */
static void test_replay_keys(void **state)
{
	(void)state;
	skip_without_runs();
	expect("printf '\\n\\np\\n3\\nq\\n' | script -qec 'simnet replay o/cut' /dev/null", 0,
		"[step 3 of 3;");
}

/* As a browser shows it, once its script has run. Its console says what went wrong in it. */
#define BROWSE(page, view) \
	"timeout 100 chromium --headless=new --no-sandbox --disable-gpu --user-data-dir=$PWD/profile " \
	"--enable-logging=stderr " \
	"--dump-dom \"file://$PWD/" page "#" view "\" >dom 2>said; ! grep CONSOLE said && cat dom"

static void test_page(void **state)
{
	static const struct {
		const char *view, *says;
	} rows[] = {
		{ "story", "class=\"big\">1 udp 192.168." },
		{ "story", "href=\"#packets\">" },
		{ "map", "data-name=\"home\" transform=" },
		{ "map", "class=\"card router cut\"" },
		{ "timeline", ">died at home</text>" },
		{ "packets", "<div class=\"dead\">dropped at home: UDP is cut</div>" },
		{ "logs", "<span class=\"x\">hello &lt;b&gt;</span>" },
		{ "dns", "No question was asked" },
		{ "flakes", "class=\"cell fail\"" },
	};
	char command[600];
	(void)state;
	skip_without_runs();
	expect("simnet explain --html p.html o/cut && ! grep -E '(src|href)=.?(http|//)' p.html", 0, "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(command, sizeof(command), BROWSE("p.html", "%s"), rows[i].view);
		expect(command, 0, rows[i].says);
	}
	expect("simnet run --html both.html pass.yaml cut.yaml >/dev/null; grep -c 'id=\"records\"' "
	       "both.html",
		0, "1");
	expect(BROWSE("both.html", "story"), 0, "2 cut · fail</option>");
	expect("simnet run --html /dev/full pass.yaml", 4, "/dev/full: No space left");
}

/* By the keyboard alone; and two pages do not know of each other's marks. */
static void test_page_keys(void **state)
{
	(void)state;
	skip_without_runs();
	expect("simnet explain --html p.html o/cut; { cat p.html; echo '<script>"
	       "const press = (key) => document.body.dispatchEvent(new KeyboardEvent(\"keydown\", {key, "
	       "bubbles: true}));"
	       "const seen = []; for (const k of \"1234567\") { press(k); "
	       "seen.push(document.querySelector(\"[aria-selected=true]\").id); }"
	       "press(\"t\"); const one = document.documentElement.dataset.theme; press(\"t\");"
	       "press(\"/\"); const at = document.activeElement.id; document.activeElement.blur();"
	       "press(\"?\"); const help = document.getElementById(\"help\").open; "
	       "document.getElementById(\"help\").close();"
	       "press(\"2\"); document.querySelector(\"g[data-name=home]\").dispatchEvent(new "
	       "KeyboardEvent(\"keydown\", {key: \"Enter\"}));"
	       "const panel = document.getElementById(\"panel\").innerText; press(\"Escape\");"
	       "document.title = [seen, one, document.documentElement.dataset.theme, at, help, "
	       "panel.includes(\"Died here\"), "
	       "document.getElementById(\"panel\").hidden].join(\" \");</script>'; } >keys.html; " BROWSE(
		       "keys.html", "story"),
		0,
		"<title>tab-story,tab-map,tab-timeline,tab-packets,tab-logs,tab-dns,tab-flakes dark light "
		"search true true true</title>");
}

/* The runs of one scenario beside each other, with the seed of each. */
static void test_page_flakes(void **state)
{
	(void)state;
	skip_without_runs();
	expect("simnet run --repeat 3 --html r.html fine.yaml >/dev/null; timeout 200 "
	       "$RW_SOURCE_DIR/simnet/test/browse.py "
	       "\"file://$PWD/r.html#flakes\" 'document.querySelectorAll(\".cells tbody tr\").length' "
	       "'document.querySelectorAll(\".cell.pass\").length' '[...document.querySelectorAll(\".cells "
	       "tbody tr td:last-child\")]"
	       ".every((x) => /^[0-9]+$/.test(x.textContent))' 'document.querySelector(\"main\").innerText'",
		0, "3\n3\nTrue\n");
	/* Causes that differ in numbers alone are one, told as it was; and the chosen tab is in sight. */
	expect("printf 'simnet: 1\\nname: x\\nnodes: {a: {at: internet}}\\nsteps:\\n"
	       "  - run: {at: a, argv: [sh, -c, \"echo went at 17 >&2; exit 1\"]}\\n' >x.yaml; "
	       "simnet run --repeat 2 --html r.html x.yaml >/dev/null; timeout 200 "
	       "$RW_SOURCE_DIR/simnet/test/browse.py --size 390x800 \"file://$PWD/r.html#flakes\" "
	       "'document.querySelector(\".came\").textContent' "
	       "'document.getElementById(\"tab-flakes\").getBoundingClientRect().right <= innerWidth'",
		0, "2 times, such as: \'sh\' ended with status 1: went at 17\nTrue\n");
}

/* Wide and narrow, light and dark: nothing is wider than the page, and its ground follows the system. */
static void test_page_looks(void **state)
{
	static const char *const looks[] = { "--size 1280x800", "--size 390x800", "--dark --size 1280x800",
		"--dark --size 390x800" };
	char command[700];
	(void)state;
	skip_without_runs();
	expect("simnet explain --html p.html o/cut", 0, "");
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		snprintf(command, sizeof(command),
			"timeout 200 $RW_SOURCE_DIR/simnet/test/browse.py %s \"file://$PWD/p.html\" "
			"'document.body.scrollWidth <= innerWidth' "
			"'getComputedStyle(document.body).backgroundColor' "
			"'(location.hash = \"packets\") && 1' 'document.querySelector(\"tr.died\") && "
			"document.body.scrollWidth <= innerWidth'",
			looks[i]);
		expect(command, 0, i < 2 ? "rgb(247, 248, 250)" : "rgb(15, 19, 24)");
	}
}

static void test_graph(void **state)
{
	(void)state;
	expect("simnet graph cut.yaml", 0, "└─ home ");
	expect("simnet graph --as mermaid cut.yaml", 0, "r0 --- n0");
	expect("simnet graph --as svg cut.yaml | head -c 4", 0, "<svg");
	expect("simnet graph --as dot cut.yaml", 0, "r0 -- n0 [");
	expect("simnet graph --as png cut.yaml", 2, "--as is text, svg, mermaid or dot");
	expect("simnet graph", 2, "graph takes one scenario file");
	expect("simnet graph -k nowhere cut.yaml", 2, "no variant");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_anew),
		cmocka_unit_test(test_review),
		cmocka_unit_test(test_replay_keys),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_page_keys),
		cmocka_unit_test(test_page_flakes),
		cmocka_unit_test(test_page_looks),
		cmocka_unit_test(test_graph),
	};
	return cmocka_run_group_tests(tests, folder_open, folder_close);
}
