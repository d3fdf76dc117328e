/* The live page of a run and of a lab that is up, as a browser and curl see it. */
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

static const char scenario[] =
	"simnet: 1\nname: lively\nrouters: {home: {nat: home}}\nnodes: {a: {at: home, "
	"run: [bash, -c, 'echo \"hello <b>\"; while :; do echo >/dev/udp/{b.ip}/9; sleep "
	".2; done']}, "
	"b: {at: internet}}\nsteps:\n  - ping: {from: a, to: b}\n  - wait: 600s\n    "
	"say: waits to be ended\n";
static char dir[] = "/tmp/live_test.XXXXXX";

static int run_script(const char *command, struct buf *out)
{
	struct buf full = { 0 };
	char part[4096];
	size_t n;
	if (!buf_printf(&full,
		    "cd %s && export PATH=\"$RW_BIN_DIR:$PATH\" NO_COLOR=1; U=$(cat url 2>/dev/null); { %s; "
		    "} 2>&1",
		    dir, command))
		return -1;
	FILE *f = popen(buf_cstr(&full), "r");
	buf_free(&full);
	while (f && (n = fread(part, 1, sizeof(part), f)) > 0)
		buf_append(out, part, n);
	int status = f ? pclose(f) : -1;
	return f && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void wants(const char *command, int code, const char *says)
{
	struct buf out = { .cap = 1 << 24 };
	int got = run_script(command, &out);
	char *text = strdup(out.len ? buf_cstr(&out) : "");
	buf_free(&out);
	assert_non_null(text);
	if (got != code || !strstr(text, says))
		fail_msg("'%s' ended with %d, wanted %d and '%s'; it said:\n%.4000s", command, got, code,
			says, text);
	free(text);
}

/* Starts it and waits until the page says that the run is there. One that a test which failed has left is ended first. */
#define START(how) \
	"test ! -e pid || kill $(cat pid); rm -f err url; simnet " how \
	" >out 2>err & echo $! >pid; i=0; until grep -q http err; do i=$((i+1)); test $i -lt " \
	"100 || exit 9; sleep .1; done; " \
	"grep -o 'http[^ ]*' err >url; U=$(cat url); i=0; until timeout 2 curl -sN ${U}events | grep -q " \
	"hello; do i=$((i+1)); test $i -lt 40 " \
	"|| exit 8; done"
#define GONE \
	"i=0; while kill -0 $(cat pid) 2>/dev/null; do i=$((i+1)); test $i -lt 150 || exit 7; sleep .1; " \
	"done; rm pid"
#define BROWSE "timeout 200 $RW_SOURCE_DIR/simnet/test/browse.py"
#define STATUS "curl -s -o /dev/null -w '%{http_code}' "

static int live_setup(void **state)
{
	char path[64];
	(void)state;
	if (!getenv("RW_BIN_DIR") || !mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/l.yaml", dir);
	FILE *f = fopen(path, "we");
	return f && fputs(scenario, f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

static int live_teardown(void **state)
{
	char command[200];
	(void)state;
	snprintf(command, sizeof(command), "kill $(cat %s/pid 2>/dev/null) 2>/dev/null; rm -r %s", dir, dir);
	return system(command);
}

static void skip_without_rights(void)
{
	struct buf out = { 0 };
	int code = run_script("simnet doctor", &out);
	buf_free(&out);
	if (code)
		skip();
}

static void test_door(void **state)
{
	(void)state;
	wants("simnet run --live 0.0.0.0:0 l.yaml", 2, "for this machine alone");
	wants("simnet run --live x l.yaml", 2, "'x' is no address and port");
	skip_without_rights();
	wants(START("up --live :0 l.yaml"), 0, "");
	wants("curl -si $U", 0, "Content-Security-Policy: default-src 'none'; script-src 'self'");
	wants(STATUS "${U}page.js", 0, "200");
	wants(STATUS "${U}nothing", 0, "404");
	wants(STATUS "${U%/*/}/00000000000000000000000000000000/", 0, "404");
	wants(STATUS "${U%/*/}/", 0, "404");
	wants(STATUS "-H 'Host: a.page.elsewhere' $U", 0, "404");
	wants(STATUS "-H 'Host: localhost:'$(echo $U | cut -d: -f3 | cut -d/ -f1) $U", 0, "200");
	wants(STATUS "-X DELETE $U", 0, "405");
	wants("curl -s \"${U}table?router=home\"", 0, "");
	wants(STATUS "\"${U}table?router=nobody\"", 0, "404");
	/* Who connects and says nothing, or has no token, keeps nobody out, and nobody who has it makes room for them. */
	wants("curl -sN ${U}events >news & echo $! >reader; i=0; until grep -q hello news; do i=$((i+1)); "
	      "test $i "
	      "-lt 100 || exit 9; sleep .1; done; python3 -c 'import socket, subprocess, sys\n"
	      "port = int(sys.argv[1].split(\":\")[2].split(\"/\")[0])\n"
	      "silent = [socket.create_connection((\"127.0.0.1\", port)) for i in range(60)]\n"
	      "subprocess.run([\"curl\", \"-s\", \"-m\", \"20\", \"-o\", \"/dev/null\", \"-w\", "
	      "\"%{http_code}\", sys.argv[1]])' $U; kill $(cat reader) && echo ' it reads on'",
		0, "200 it reads on");
	wants("curl -s -d 'cut home.udp' ${U}do; curl -s -d 'rm everything' ${U}do; curl -s -d 'kill a' "
	      "${U}do; i=0; until grep -q 'a is killed' out; "
	      "do i=$((i+1)); test $i -lt 100 || exit 9; sleep .1; done; cat out",
		0, "home.udp is cut");
	wants("cat out", 0, "'rm everything', which is nothing that can be done here");
	wants("curl -s -d end ${U}do; " GONE, 0, "");
}

/* The news reach the page, and its console stays empty under the strict policy. */
static void test_browser(void **state)
{
	(void)state;
	skip_without_rights();
	wants(START("run --live :0 l.yaml"), 0, "");
	wants(BROWSE " \"${U}#map:home\" 'document.querySelector(\"[data-order]\").dataset.order' "
		     "'document.querySelector(\".badge\").className == \"badge runs\"' "
		     "'document.querySelector(\"[data-order=\\\"cut home.udp\\\"]\").click() || 1' "
		     "'document.querySelector(\".mapbox .cut\").dataset.name'",
		0, "cut home.udp\nTrue\n1\nhome\n");
	wants("grep -c 'home.udp is cut' out", 0, "1");
	/* Packets while it goes on, and what became of them. */
	wants(BROWSE
		" \"${U}#packets\" '[...document.querySelectorAll(\"td.link\")].some((x) => x.textContent "
		"=== \"home.wan\")' 'document.querySelector(\"tr.died .dead\").textContent'",
		0, "True\ndropped at home: UDP is cut\n");
	/* News change nothing under a press: a click needs the element it began on. Focus stays with what it was on. */
	wants(BROWSE
		" \"${U}#map:home\" '(window.b = document.querySelector(\"[data-order=\\\"cut "
		"home.link\\\"]\"), b.focus(), "
		"b.dispatchEvent(new PointerEvent(\"pointerdown\", { bubbles: true })), "
		"(new EventSource(\"events\")).onmessage = (e) => { if (e.data.includes(\"healed\")) "
		"setTimeout(() => { window.found = b.isConnected ? \"stays\" : \"gone\"; }, 500); }, "
		"fetch(\"do\", { method: \"POST\", body: \"heal home.udp\" }), \"pressed\")' 'window.found' "
		"'(b.dispatchEvent(new PointerEvent(\"pointerup\", { bubbles: true })), \"released\")' "
		"'!b.isConnected && document.activeElement.dataset.order'",
		0, "pressed\nstays\nreleased\ncut home.link\n");
	wants(BROWSE
		" --size 390x800 --dark \"${U}#logs\" 'document.querySelector(\".lines .x\").textContent'",
		0, "hello <b>");
	/* The browser goes when what it said has left. */
	wants(BROWSE
		" \"${U}#story\" 'document.getElementById(\"end\").click() || 1' "
		"'performance.getEntriesByType(\"resource\").some((e) => e.name.endsWith(\"/do\"))'; " GONE
		"; cat out",
		0, "interrupted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_door),
		cmocka_unit_test(test_browser),
	};
	return cmocka_run_group_tests(tests, live_setup, live_teardown);
}
