/* Verbs about this machine alone: preferences, login, who it is, its counters; and those that are not here. */
#include "mesh/cli/not_here.h"
#include "mesh/cli/test/line.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define API "/localapi/v0/"
static const char prefs[] =
	"{\"ControlURL\":\"https://c.test\",\"CorpDNS\":true,\"RouteAll\":false,"
	"\"AdvertiseRoutes\":[\"10.0.0.0/8\",\"fd00::/64\"],\"NoSNAT\":true,\"Hostname\":\"\"}";
static const char status[] = "{\"BackendState\":\"Running\",\"TailscaleIPs\":[\"100.64.0.1\"],"
			     "\"CurrentTailnet\":{\"Name\":\"home\"}}";

static void test_get(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { "GET " API "prefs", 200, prefs, false }, { 0 } };
	static const struct want rows[] = {
		{ "get", CLI_OK,
			"NAME                         VALUE\naccept-dns                   true\n"
			"accept-routes                false\nadvertise-exit-node          false\n"
			"advertise-routes             10.0.0.0/8,fd00::/64\n"
			"advertise-tags               \n"
			"hostname                     \nlogin-server                 https://c.test\n"
			"snat-subnet-routes           false\n",
			NULL },
		{ "get advertise-routes", CLI_OK, "10.0.0.0/8,fd00::/64\n", NULL },
		{ "get snat-subnet-routes", CLI_OK, "false\n", NULL },
		{ "get --json accept-dns", CLI_OK, "{\n  \"accept-dns\": true\n}\n", NULL },
		{ "get nothing", CLI_USAGE, "", "no preference \"nothing\"" },
		{ "get --set-flags nothing", CLI_USAGE, "", "no preference \"nothing\"" },
		{ "get --set-flags", CLI_OK,
			"--accept-dns=true --accept-routes=false --advertise-exit-node=false "
			"--advertise-routes=10.0.0.0/8,fd00::/64 --hostname= --snat-subnet-routes=false\n",
			NULL },
		{ "get --set-flags all", CLI_OK,
			"--accept-dns=true --accept-routes=false --advertise-exit-node=false "
			"--advertise-routes=10.0.0.0/8,fd00::/64 --hostname= --snat-subnet-routes=false\n",
			NULL },
		{ "get --set-flags snat-subnet-routes", CLI_OK, "--snat-subnet-routes=false\n", NULL },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

/* An exit is told as the options have it: one that is offered is no network, one that is used has an address. */
static void test_get_exit(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ "GET " API "prefs", 200,
			"{\"AdvertiseRoutes\":[\"0.0.0.0/0\",\"10.0.0.0/8\",\"::/0\"],\"ExitNodeID\":\"n7\","
			"\"Hostname\":\"it's\",\"NetfilterMode\":0}",
			false },
		{ "GET " API "status", 200,
			"{\"BackendState\":\"Running\",\"Peer\":{\"nodekey:"
			"0101010101010101010101010101010101010101010101010101010101010101\":{\"ID\":\"n7\","
			"\"PublicKey\":\"nodekey:"
			"0101010101010101010101010101010101010101010101010101010101010101\","
			"\"TailscaleIPs\":[\"100.64.0.7\",\"fd7a:115c:a1e0::7\"]}}}",
			false },
		{ 0 }
	};
	static const struct want rows[] = {
		{ "get advertise-exit-node", CLI_OK, "true\n", NULL },
		{ "get netfilter-mode", CLI_OK, "off\n", NULL },
		{ "get advertise-routes", CLI_OK, "10.0.0.0/8\n", NULL },
		{ "get exit-node", CLI_OK, "100.64.0.7\n", NULL },
		{ "get --json exit-node", CLI_OK, "{\n  \"exit-node\": \"100.64.0.7\"\n}\n", NULL },
		{ "get --set-flags", CLI_OK,
			"--advertise-exit-node=true --advertise-routes=10.0.0.0/8 --exit-node=100.64.0.7 "
			"--hostname='it'\\''s' --netfilter-mode=off\n",
			NULL },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

/* Who cannot be told how the node is, or in words that are not to be read, is told what the preferences are. */
static void test_get_without_status(void **state)
{
	(void)state;
	static const char with_exit[] = "{\"ExitNodeID\":\"n7\",\"Hostname\":\"it\"}";
	static const struct {
		int status;
		const char *body;
	} how[] = { { 500, "" }, { 200, "{\"Peer\":[" }, { 200, "{\"BackendState\":\"Stopped\"}" } };
	static const struct want rows[] = {
		{ "get hostname", CLI_OK, "it\n", NULL },
		{ "get exit-node", CLI_OK, "n7\n", NULL },
		{ "get --json", CLI_OK,
			"{\n  \"advertise-tags\": [],\n  \"exit-node\": \"n7\",\n  \"hostname\": \"it\"\n}\n",
			NULL },
		{ "get --set-flags", CLI_OK, "--exit-node=n7 --hostname=it\n", NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		const struct fake_route routes[] = { { "GET " API "prefs", 200, with_exit, false },
			{ "GET " API "status", how[i].status, how[i].body, false }, { 0 } };
		check(routes, rows, ARRAY_LEN(rows));
	}
}

/* Only the exit's name takes a look at the others. */
static void test_get_asks(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ "GET " API "prefs", 200, "{\"ExitNodeID\":\"n7\",\"Hostname\":\"it\"}", false }, { 0 }
	};
	struct fake_api *f = fake_api_start(routes);
	struct result r = run_line(fake_api_socket(f), "get hostname");
	assert_int_equal(r.code, CLI_OK);
	assert_string_equal(fake_api_requests(f), "GET " API "prefs \n");
	result_free(&r);
	fake_api_stop(f);
}

/* What set asks for, to the letter. */
static void test_set(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { "PATCH " API "prefs", 200, "{}", false },
		{ "GET " API "prefs", 200, "{\"AdvertiseRoutes\":[\"0.0.0.0/0\",\"::/0\"]}", false }, { 0 } };
	static const struct {
		const char *line, *asked;
	} rows[] = {
		{ "set --accept-dns=false", "PATCH " API "prefs {\"CorpDNS\":false,\"CorpDNSSet\":true}\n" },
		{ "set -shields-up", "PATCH " API "prefs {\"ShieldsUp\":true,\"ShieldsUpSet\":true}\n" },
		{ "set --netfilter-mode=off",
			"PATCH " API "prefs {\"NetfilterMode\":0,\"NetfilterModeSet\":true}\n" },
		{ "set --netfilter-mode on",
			"PATCH " API "prefs {\"NetfilterMode\":2,\"NetfilterModeSet\":true}\n" },
		{ "set --shields-up=false",
			"PATCH " API "prefs {\"ShieldsUp\":false,\"ShieldsUpSet\":true}\n" },
		{ "set --hostname a --operator=",
			"PATCH " API "prefs {\"Hostname\":\"a\",\"OperatorUser\":\"\",\"HostnameSet\":true,"
			"\"OperatorUserSet\":true}\n" },
		{ "set --advertise-routes=",
			"GET " API "prefs \nPATCH " API
			"prefs {\"AdvertiseRoutes\":[],\"AdvertiseRoutesSet\":true}\nGET " API "prefs \n" },
		{ "set --advertise-exit-node", "GET " API "prefs \n" },
		{ "set --advertise-exit-node=false",
			"GET " API "prefs \nPATCH " API
			"prefs {\"AdvertiseRoutes\":[],\"AdvertiseRoutesSet\":true}\n" },
		{ "set --exit-node= --exit-node-allow-lan-access",
			"PATCH " API
			"prefs {\"ExitNodeID\":\"\",\"ExitNodeIP\":\"\",\"ExitNodeAllowLANAccess\":true,"
			"\"ExitNodeIDSet\":true,\"ExitNodeIPSet\":true,\"ExitNodeAllowLANAccessSet\":true}"
			"\n" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake_api *f = fake_api_start(routes);
		struct result r = run_line(fake_api_socket(f), rows[i].line);
		const char *asked = fake_api_requests(f);
		if (r.code != CLI_OK || strcmp(asked, rows[i].asked) != 0 || *r.out || *r.err)
			fail_msg("row %zu: %d\n%s%s", i, r.code, asked, r.err);
		result_free(&r);
		fake_api_stop(f);
	}
	static const struct want wrong[] = {
		{ "set", CLI_USAGE, "", "no preference is named" },
		{ "set --advertise-routes=x", CLI_USAGE, "", "is no network" },
		{ "set --advertise-routes=10.0.0.0/8,192.168.50.1/24", CLI_USAGE, "",
			"192.168.50.1/24 is the network 192.168.50.0/24: write that" },
		{ "set --netfilter-mode=maybe", CLI_USAGE, "", "on or off" },
		{ "set --login-server=http://x", CLI_USAGE, "", "unknown option" },
	};
	check(routes, wrong, ARRAY_LEN(wrong));
}

static void test_login_and_switch(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ "GET " API "profiles/", 200,
			"[{\"ID\":\"login\",\"NetworkProfile\":{\"DomainName\":\"home\"},"
			"\"UserProfile\":{\"LoginName\":\"ann@example.com\"}}]",
			false },
		{ 0 }
	};
	static const struct want rows[] = {
		{ "switch --list", CLI_OK,
			"ID     Tailnet                  Account\nlogin  home                     "
			"ann@example.com*\n",
			NULL },
		{ "switch --json --list", CLI_OK,
			"[{\"id\":\"login\",\"tailnet\":\"home\",\"account\":\"ann@example.com\","
			"\"selected\":true}]\n",
			NULL },
		{ "switch ann@example.com", CLI_OK, "", NULL },
		{ "switch bob@example.com", CLI_FAILED, "", "a machine has one login here" },
	};
	check(routes, rows, ARRAY_LEN(rows));
	static const struct fake_route none[] = { { "GET " API "prefs", 200, "{\"LoggedOut\":true}", false },
		{ "GET " API "profiles/", 200, "[]", false },
		{ "GET " API "status", 200, "{\"BackendState\":\"NeedsLogin\"}", false }, { 0 } };
	static const struct want without[] = {
		{ "switch", CLI_OK, "ID     Tailnet                  Account\n", NULL },
		{ "switch --json", CLI_OK, "[]\n", NULL },
		{ "switch login", CLI_FAILED, "", "one login" },
		{ "login", CLI_USAGE, "", "no network to join" },
		{ "whoami", CLI_FAILED, "", "in no network" },
	};
	check(none, without, ARRAY_LEN(without));
}

/* What is spoken at a port goes along; nothing else is a protocol. */
static void test_whois(void **state)
{
	(void)state;
#define BOB "{\"Node\":{\"ID\":2,\"Name\":\"bob.mesh.test.\",\"StableID\":\"n2\",\"Addresses\":[]}}"
#define IS_BOB "Machine:\n  Name:       bob.mesh.test.\n  ID:         n2\n  Addresses: \n"
	static const struct fake_route routes[] = { { "GET " API "whois?addr=100.64.0.2:53&proto=udp HTTP",
							    200, BOB, false },
		{ "GET " API "whois?addr=100.64.0.2:53 HTTP", 200, BOB, false }, { 0 } };
	static const struct want rows[] = {
		{ "whois --proto=udp 100.64.0.2:53", CLI_OK, IS_BOB, "" },
		{ "whois --proto= 100.64.0.2:53", CLI_OK, IS_BOB, "" },
		{ "whois 100.64.0.2:53", CLI_OK, IS_BOB, "" },
		{ "whois --proto=icmp 100.64.0.2", CLI_USAGE, "", "--proto is tcp or udp" },
		{ "whoami --proto=udp", CLI_USAGE, "", "unknown option --proto" },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

static void test_whoami(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { "GET " API "status", 200, status, false },
		{ "GET " API "whois?addr=100.64.0.1", 200,
			"{\"Node\":{\"ID\":1,\"Name\":\"alice.mesh.test.\",\"StableID\":\"n1\",\"Addresses\":"
			"[\"100."
			"64.0.1/32\"]},"
			"\"UserProfile\":{\"ID\":7,\"LoginName\":\"ann\"}}",
			false },
		{ 0 } };
	static const struct want rows[] = {
		{ "whoami", CLI_OK,
			"Machine:\n  Name:       alice.mesh.test.\n  ID:         n1\n  Addresses:  "
			"100.64.0.1/32\n"
			"User:\n  Name:       ann\n  ID:         7\n",
			NULL },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

static void test_metrics(void **state)
{
	(void)state;
#define TEXT "# TYPE a counter\na{path=\"derp\"} 7\nb 0\n"
	static const struct fake_route routes[] = { { "GET " API "usermetrics", 200, TEXT, false }, { 0 } };
	static const struct want rows[] = {
		{ "metrics", CLI_OK, TEXT, NULL },
		{ "metrics print", CLI_OK, TEXT, NULL },
		{ "metrics --json", CLI_OK, "{\"a{path=\\\"derp\\\"}\":7,\"b\":0}\n", NULL },
		{ "metrics write", CLI_USAGE, "", "neither print nor write FILE" },
		{ "metrics write /nowhere/file", CLI_FAILED, "", "/nowhere" },
	};
	check(routes, rows, ARRAY_LEN(rows));
	char dir[] = "/tmp/rw-metrics-XXXXXX", line[64], path[64], text[128] = "";
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ropewalk.prom", dir);
	snprintf(line, sizeof(line), "metrics write %s", path);
	check(routes, (struct want[]) { { line, CLI_OK, "", NULL } }, 1);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(text, 1, sizeof(text) - 1, f), sizeof(TEXT) - 1);
	fclose(f);
	assert_string_equal(text, TEXT);
	unlink(path);
	rmdir(dir);
}

static void test_not_here(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { 0 } };
	static const struct want rows[] = {
		{ "serve 8080", CLI_FAILED, "", "ropewalk has no verb serve: " },
		{ "ssh bob", CLI_FAILED, "", "use ssh itself" },
		{ "update", CLI_FAILED, "", "package manager" },
		{ "up --ssh", CLI_FAILED, "", "ropewalk up has no --ssh: use this machine's own sshd" },
		{ "set --hostname=x --advertise-tags=tag:a,tag:b", CLI_FAILED, "",
			"ropewalk set has no --advertise-tags: the network gives tags at a login" },
		{ "set -webclient", CLI_FAILED, "", "ropewalk set has no --webclient: " },
		{ "login --nickname home", CLI_FAILED, "", "ropewalk login has no --nickname: " },
		{ "--json set --webclient", CLI_FAILED,
			"{\"error\":{\"id\":\"not-here\",\"message\":\"ropewalk set has no --webclient: "
			"ropewalk status shows what a page would\",\"hint\":\"\"}}\n",
			NULL },
		{ "netcheck --bind-port=5", CLI_FAILED, "",
			"ropewalk netcheck has no --bind-port: ropewalkd" },
		{ "completion bash --descs", CLI_FAILED, "", "ropewalk completion has no --descs: " },
		{ "completion --flags=false zsh", CLI_FAILED, "", "ropewalk completion has no --flags: " },
		{ "status --web --browser=false", CLI_FAILED, "", "ropewalk status has no --web: " },
		{ "status --browser=false", CLI_FAILED, "", "ropewalk status has no --browser: " },
		{ "switch remove login", CLI_FAILED, "", "ropewalk switch has no remove: a machine has one" },
		{ "switch remove", CLI_FAILED, "", "ropewalk logout gives up the login" },
		{ "switch a b", CLI_USAGE, "", "switch: too many words" },
		{ "set --reset", CLI_FAILED, "",
			"ropewalk set has no --reset: options change what they name" },
		{ "status --ssh", CLI_USAGE, "", "status: unknown option --ssh" },
		{ "up --hostnam=x", CLI_USAGE, "", "did you mean --hostname?" },
	};
	check(routes, rows, ARRAY_LEN(rows));
	/* what the official command takes and changes nothing here is no mistake */
	static const struct want taken[] = { { "ping --verbose bob", CLI_FAILED, "", "not found" },
		{ "netcheck --verbose", CLI_FAILED, "", "not found" },
		{ "dns --all status", CLI_FAILED, "", "not found" } };
	check(routes, taken, ARRAY_LEN(taken));
	/* nothing that is here is called missing */
	for (const struct cli_verb *const *v = cli_verbs; *v; v++)
		for (const struct opt_row *r = (*v)->man.options; r->name; r++)
			if (not_here_option((*v)->man.name, r->name) || not_here((*v)->man.name))
				fail_msg("%s --%s", (*v)->man.name, r->name);
}

static void test_debug_via(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { 0 } };
	static const struct want rows[] = {
		{ "debug via 7 10.1.1.0/24", CLI_OK, "fd7a:115c:a1e0:b1a:0:7:a01:100/120\n", NULL },
		{ "debug via 0xFFff 10.1.1.16", CLI_OK, "fd7a:115c:a1e0:b1a:0:ffff:a01:110/128\n", NULL },
		{ "debug via fd7a:115c:a1e0:b1a:0:10:a01:100/120", CLI_OK, "site 16 (0x10), 10.1.1.0/24\n",
			NULL },
		{ "debug --json via 7 10.1.1.0/24", CLI_OK,
			"{\"site\":7,\"ipv4\":\"10.1.1.0/24\",\"ipv6\":\"fd7a:115c:a1e0:b1a:0:7:a01:100/"
			"120\"}\n",
			NULL },
		{ "debug via 65536 10.1.1.0/24", CLI_USAGE, "", "from 0 to 65535" },
		{ "debug via 0x 10.1.1.0/24", CLI_USAGE, "", "from 0 to 65535" },
		{ "debug via 7 fd00::/64", CLI_USAGE, "", "one of IPv4" },
		{ "debug via 10.1.1.0/24", CLI_USAGE, "", "no network of 4via6" },
		{ "debug via fd7a:115c:a1e0:b1a::/64", CLI_USAGE, "", "no network of 4via6" },
		{ "debug frob", CLI_USAGE, "", "\"frob\" is not here" },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

/* What the daemon says, as it says it; what it does not say has a sentence for each name. */
static void test_debug(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ "GET " API "prefs", 200, "{\"Hostname\":\"bob\",\"Tags\":[]}", false },
		{ "GET " API "derpmap", 200, "{\"Regions\":{}}\n", false },
		{ "GET " API "usermetrics", 200, "# TYPE x gauge\nx 1\n", false },
		{ "GET " API "watch-ipn-bus?mask=2", 200,
			"{\"State\":2}\n{\"State\":6,\"Own\":[1]}\n{\"State\":4}\n", true },
		{ "GET " API "whois?addr=x", 404, "no machine has x", false },
		{ "GET " API "whois", 200, "text", false },
		{ "PATCH " API "prefs", 200, "patched", false },
		{ "POST " API "debug?action=current-netmap", 200,
			"{\"Domain\":\"x\",\"SelfNode\":{\"ID\":1,\"Hostinfo\":{\"OS\":\"linux\"}}}", false },
		{ "POST " API "debug?action=restun", 200, "done\n", false },
		{ "POST " API "debug-derp-region?region=port", 200, "{\"Info\":[\"region 7 is port\"]}",
			false },
		{ "GET " API "debug-peer-endpoint-changes?ip=100.64.0.2", 200, "[{\"To\":\"relay port\"}]",
			false },
		{ "GET " API "status", 200,
			"{\"BackendState\":\"Running\",\"Self\":{\"HostName\":\"bob\",\"DNSName\":\"bob.mesh."
			"test.\","
			"\"TailscaleIPs\":[\"100.64.0.1\"]},\"Peer\":{\"nodekey:"
			"2222222222222222222222222222222222222222222222222222222222222222\":{\"HostName\":"
			"\"web\","
			"\"DNSName\":\"web.mesh.test.\",\"TailscaleIPs\":[\"100.64.0.2\"]}}}",
			false },
		{ "POST " API "debug?action=rebind", 403, "only root may", false },
		{ "POST " API "debug?action=break-derp-conns", 200, "done\n", false },
		{ "POST " API "debug?action=statedir", 200, "\"/var/lib/x\"", false },
		{ "POST " API "debug-capture?form=raw&count=2", 200, "\xd4\xc3\xb2\xa1 and packets", false },
		{ "POST " API "debug-capture?form=raw", 200, "no capture", false },
		{ "POST " API "debug-capture", 503, "packets are captured by four others already", false },
		{ 0 },
	};
	static const struct want rows[] = {
		{ "debug --json netmap", CLI_OK,
			"{\"Domain\":\"x\",\"SelfNode\":{\"ID\":1,\"Hostinfo\":{\"OS\":\"linux\"}}}\n",
			NULL },
		{ "debug hostinfo", CLI_OK, "{\n  \"OS\": \"linux\"\n}\n", NULL },
		{ "debug restun", CLI_OK, "", NULL },
		{ "debug --json break-derp-conns", CLI_OK, "{\"done\":true}\n", NULL },
		{ "debug rebind", CLI_NOT_RUNNING, "", "no permission: only root may" },
		{ "debug statedir", CLI_OK, "/var/lib/x\n", NULL },
		{ "debug statedir --json", CLI_OK, "\"/var/lib/x\"\n", NULL },
		{ "debug capture", CLI_USAGE, "", "-o says where the packets go" },
		{ "debug capture -o - --raw --count=2", CLI_OK, "\xd4\xc3\xb2\xa1 and packets", NULL },
		{ "debug capture -o - --raw", CLI_FAILED, "", "no capture" },
		{ "debug capture -o -", CLI_FAILED, "", "packets are captured by four others already" },
		{ "debug capture -o /nowhere/x", CLI_FAILED, "", "open /nowhere/x: No such file" },
		{ "debug prefs", CLI_OK, "{\n  \"Hostname\": \"bob\",\n  \"Tags\": []\n}\n", NULL },
		{ "debug prefs --json", CLI_OK, "{\"Hostname\":\"bob\",\"Tags\":[]}\n", NULL },
		{ "debug --json derp-map", CLI_OK, "{\"Regions\":{}}\n", NULL },
		{ "debug derp port --json", CLI_OK, "{\"Info\":[\"region 7 is port\"]}\n", NULL },
		{ "debug derp", CLI_USAGE, "", "debug derp: which region, by its number or code" },
		{ "debug peer-endpoint-changes web --json", CLI_OK, "[{\"To\":\"relay port\"}]\n", NULL },
		{ "debug peer-endpoint-changes 100.64.0.2 --json", CLI_OK, "[{\"To\":\"relay port\"}]\n",
			NULL },
		{ "debug peer-endpoint-changes bob", CLI_FAILED, "",
			"no other machine \"bob\" in the network" },
		{ "debug peer-endpoint-changes nosuch", CLI_FAILED, "",
			"no other machine \"nosuch\" in the network" },
		{ "debug peer-endpoint-changes", CLI_USAGE, "", "of which machine" },
		{ "debug metrics", CLI_OK, "# TYPE x gauge\nx 1\n", NULL },
		{ "debug watch-ipn --count=2", CLI_OK, "{\"State\":2}\n{\"State\":6,\"Own\":[1]}\n", NULL },
		{ "debug localapi whois", CLI_OK, "text\n", NULL },
		{ "debug localapi GET " API "whois", CLI_OK, "text\n", NULL },
		{ "debug localapi whois?addr=x", CLI_FAILED, "", "no machine has x" },
		{ "debug localapi PATCH prefs {}", CLI_OK, "patched\n", NULL },
		{ "debug localapi", CLI_USAGE, "", "a path is needed" },
		{ "debug localapi GET", CLI_USAGE, "", "a path is needed" },
		{ "debug localapi a\tb", CLI_USAGE, "", "a path is needed" },
		{ "debug localapi a b c", CLI_USAGE, "", "a path is needed" },
		{ "debug prefs now", CLI_USAGE, "", "debug prefs: too many words" },
	};
	check(routes, rows, ARRAY_LEN(rows));
	static const char *const none[] = { "portmap", "ts2021", "set-expire", "env", "daemon-logs" };
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		char line[64], says[64];
		snprintf(line, sizeof(line), "debug %s", none[i]);
		snprintf(says, sizeof(says), "ropewalk debug has no %s: ", none[i]);
		check(routes, &(struct want) { line, CLI_FAILED, "", says }, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_debug_via), cmocka_unit_test(test_debug),
		cmocka_unit_test(test_get), cmocka_unit_test(test_get_exit),
		cmocka_unit_test(test_get_without_status), cmocka_unit_test(test_get_asks),
		cmocka_unit_test(test_set), cmocka_unit_test(test_login_and_switch),
		cmocka_unit_test(test_whois), cmocka_unit_test(test_whoami), cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_not_here) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
