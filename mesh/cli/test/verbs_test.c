#include "mesh/base/key.h"
#include "mesh/cli/cli.h"
#include "mesh/cli/test/fake_api.h"
#include "mesh/cli/test/line.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define K64(c) \
	c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c c c c c c c c c c c c
#define API "/localapi/v0/"
#define STATUS "GET " API "status"
#define PEER(key, host, ip, more) \
	"\"nodekey:" K64(key) "\":{\"HostName\":\"" host "\",\"DNSName\":\"" host \
			      ".mesh.test.\",\"OS\":\"linux\",\"UserID\":1," \
			      "\"TailscaleIPs\":[\"" ip "\"]" more "}"

static const char running[] =
	"{\"Version\":\"0.1.0\",\"BackendState\":\"Running\",\"TailscaleIPs\":[\"fd7a:115c:a1e0::1\",\"100."
	"64.0.1\"],\"Self\":{"
	"\"HostName\":\"alice\",\"DNSName\":\"alice.mesh.test.\",\"OS\":\"linux\",\"UserID\":1,"
	"\"TailscaleIPs\":[\"100.64.0.1\"],"
	"\"Online\":true},\"MagicDNSSuffix\":\"mesh.test\",\"CurrentTailnet\":{\"Name\":\"home\","
	"\"MagicDNSSuffix\":\"mesh.test\","
	"\"MagicDNSEnabled\":true},\"Peer\":{" PEER("2", "bob", "100.64.0.2",
		",\"Online\":true,\"Active\":true,\"CurAddr\":\"192.0.2.7:41641\",\"Relay\":\"fra\","
		"\"RxBytes\":10,\"TxBytes\":20") "," PEER("3", "carol", "100.64.0.3",
		",\"Online\":true,\"Active\":true,\"CurAddr\":\"\",\"Relay\":\"fra\",\"TxBytes\":5,\"Why\":"
		"\"both NATs are hard\"") "," PEER("4", "dave", "100.64.0.4",
		",\"Online\":false") "," PEER("5", "erin", "100.64.0.5",
		",\"Online\":true") "},"
				    "\"User\":{\"1\":{\"ID\":1,\"LoginName\":\"ann@example.com\"}},"
				    "\"Health\":[\"no IPv6 here\"],\"Drops\":{"
				    "\"filter.multicast\":14,\"filter.no_rule\":3,"
				    "\"wg.no_memory\":0},\"Control\":\"connected\"}";
#define DROPS \
	"\n# Dropped packets:\n#     - 3 from other machines, refused by the access rules of the network " \
	"(filter.no_rule)\n"

/* --- without a daemon --- */
static void test_arguments(void **state)
{
	(void)state;
	static const struct want rows[] = {
		{ "", CLI_USAGE, "", "Usage: ropewalk" },
		{ "--help", CLI_OK, NULL, NULL },
		{ "-V", CLI_OK, RW_VERSION "\n", NULL },
		{ "version", CLI_OK, RW_VERSION "\n", NULL },
		{ "version --json", CLI_OK, "{\"version\":\"" RW_VERSION "\"}\n", NULL },
		{ "pingg", CLI_USAGE, "", "unknown verb \"pingg\"; did you mean ping?" },
		{ "stat", CLI_USAGE, "", "unknown verb \"stat\"; did you mean status?" },
		{ "-v status", CLI_USAGE, "", "unknown option -v; " },
		{ "--jso status", CLI_USAGE, "", "unknown option --jso; did you mean --json?" },
		{ "ping", CLI_USAGE, "", "ping: NAME|IP is missing" },
		{ "ping a b", CLI_USAGE, "", "ping: \"b\" is one word too many" },
		{ "ping --size much bob", CLI_USAGE, "", "--size takes a number" },
		{ "ping -c x bob", CLI_USAGE, "", "ping: -c takes a number" },
		{ "ping --tsmp --icmp bob", CLI_USAGE, "", "ask by different ways" },
		{ "ping --timeout 5 bob", CLI_USAGE, "", "--timeout takes a time" },
		{ "down down", CLI_USAGE, "", "down: \"down\" is one word too many" },
		{ "dns", CLI_USAGE, "", "dns: status | query NAME [TYPE]" },
		{ "dns frobnicate", CLI_USAGE, "",
			"neither status, query NAME, blocked NAME, pause, flush, log nor top" },
		{ "dns blocked", CLI_USAGE, "", "blocked needs one name" },
		{ "dns log maybe", CLI_USAGE, "", "log takes on, off" },
		{ "dns flush a b", CLI_USAGE, "", "flush takes one name" },
		{ "dns flush --below", CLI_USAGE, "", "--below needs it" },
		{ "dns query", CLI_USAGE, "", "query needs a name" },
		{ "help nothing", CLI_USAGE, "", "there is no verb \"nothing\"" },
		{ "up --accept-dns=maybe", CLI_USAGE, "", "--accept-dns takes true or false" },
		{ "--json up --frob", CLI_USAGE,
			"{\"error\":{\"id\":\"usage\",\"message\":\"up: unknown option --frob; see "
			"--help\",\"hint\":\"ropewalk up --help "
			"says how it is used.\"}}\n",
			NULL },
		{ "up --frob --json", CLI_USAGE,
			"{\"error\":{\"id\":\"usage\",\"message\":\"up: unknown option --frob; see "
			"--help\",\"hint\":\"ropewalk up --help "
			"says how it is used.\"}}\n",
			"" },
		{ "pingg --json", CLI_USAGE,
			"{\"error\":{\"id\":\"usage\",\"message\":\"unknown verb \\\"pingg\\\"; did you mean "
			"ping?\",\"hint\":\"ropewalk --help says how it is used.\"}}\n",
			"" },
		{ "status", CLI_NOT_RUNNING, "",
			"ropewalkd is not running: there is no socket /nowhere/sock" },
		{ "status --json", CLI_NOT_RUNNING, NULL, NULL },
		{ "status --socket /dev/null", CLI_NOT_RUNNING, "", "Start it with" },
		{ "up", CLI_NOT_RUNNING, "", "Start it with" },
		{ "wait", CLI_NOT_RUNNING, "", "Start it with" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct result r = run_line("/nowhere/sock", rows[i].line);
		if (r.code != rows[i].code || (rows[i].out && strcmp(r.out, rows[i].out) != 0) ||
			(rows[i].err && !strstr(r.err, rows[i].err)))
			fail_msg("row %zu, ropewalk %s: %d\n--- out\n%s--- err\n%s", i, rows[i].line, r.code,
				r.out, r.err);
		result_free(&r);
	}
}

/* Every verb has help and a page, and every option of it stands in both. */
static void test_pages(void **state)
{
	(void)state;
	struct result all = run_line("/nowhere", "help --man all");
	assert_int_equal(all.code, CLI_OK);
	for (const struct cli_verb *const *v = cli_verbs; *v; v++) {
		char line[64], option[64];
		snprintf(line, sizeof(line), "%s --help", (*v)->man.name);
		struct result help = run_line("/nowhere", line);
		snprintf(line, sizeof(line), "help --man %s", (*v)->man.name);
		struct result page = run_line("/nowhere", line);
		assert_int_equal(help.code, CLI_OK);
		assert_int_equal(page.code, CLI_OK);
		assert_non_null(strstr(page.out, ".SH SYNOPSIS"));
		for (const struct opt_row *o = (*v)->man.options; o->name; o++) {
			snprintf(option, sizeof(option), "%s%s", o->name[1] ? "--" : "-", o->name);
			if (!strstr(help.out, option) || !strstr(help.out, "Usage: ropewalk "))
				fail_msg("%s: %s is not in the help", (*v)->man.name, option);
		}
		snprintf(option, sizeof(option), ".SS %s", (*v)->man.name);
		char *dash = strchr(option, '-'); /* as pages write it */
		if (dash) {
			memmove(dash + 1, dash, strlen(dash) + 1);
			*dash = '\\';
		}
		assert_non_null(strstr(all.out, option));
		result_free(&help);
		result_free(&page);
	}
	result_free(&all);
}

/* --- reading --- */
static void test_status(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { STATUS, 200, running, false }, { 0 } };
	static const struct want rows[] = {
		{ "status", CLI_OK,
			"100.64.0.1  alice  ann@  linux  -\n"
			"100.64.0.2  bob    ann@  linux  active; direct 192.0.2.7:41641, tx 20 rx 10\n"
			"100.64.0.3  carol  ann@  linux  active; relay \"fra\" (both NATs are hard), tx 5 rx "
			"0\n"
			"100.64.0.4  dave   ann@  linux  offline\n"
			"100.64.0.5  erin   ann@  linux  -\n"
			"\n# Health check:\n#     - no IPv6 here\n" DROPS,
			NULL },
		{ "status --active --self=false", CLI_OK,
			"100.64.0.2  bob    ann@  linux  active; direct 192.0.2.7:41641, tx 20 rx 10\n"
			"100.64.0.3  carol  ann@  linux  active; relay \"fra\" (both NATs are hard), tx 5 rx "
			"0\n"
			"\n# Health check:\n#     - no IPv6 here\n" DROPS,
			NULL },
		{ "status --header --peers=false", CLI_OK,
			"IP          Hostname  Owner  OS     Status\n"
			"--          --------  -----  --     ------\n"
			"100.64.0.1  alice     ann@   linux  -\n"
			"\n# Health check:\n#     - no IPv6 here\n" DROPS,
			NULL },
		{ "ip", CLI_OK, "100.64.0.1\nfd7a:115c:a1e0::1\n", NULL },
		{ "ip -1", CLI_OK, "100.64.0.1\n", NULL },
		{ "ip -6", CLI_OK, "fd7a:115c:a1e0::1\n", NULL },
		{ "ip --json bob", CLI_OK, "[\"100.64.0.2\"]\n", NULL },
		{ "ip BOB.mesh.test", CLI_OK, "100.64.0.2\n", NULL },
		{ "ip -6 bob", CLI_FAILED, "", "it has no such address" },
		{ "ip bo", CLI_FAILED, "", "no machine \"bo\"" },
		{ "ip --assert=100.64.0.1", CLI_OK, "", NULL },
		{ "ip --assert=fd7a:115c:a1e0::1", CLI_OK, "", NULL },
		{ "ip --assert=100.64.0.2", CLI_FAILED, "", "100.64.0.2 is none of these addresses" },
		{ "ip --assert=100.64.0.2 bob", CLI_OK, "", NULL },
		{ "ip --IP=100.64.0.1", CLI_USAGE, "", "unknown option --IP" },
		{ "ip --assert=x", CLI_USAGE, "", "--assert takes an address, not \"x\"" },
		{ "whois 100.64.0.2", CLI_OK, NULL, NULL },
		{ "whois 100.64.9.9", CLI_FAILED, "", "no machine with the address" },
		{ "version --daemon", CLI_OK, RW_VERSION "\n  ropewalkd: 0.1.0\n", NULL },
		{ "ping nobody", CLI_FAILED, "", "no machine \"nobody\" in the network" },
		{ "ping alice", CLI_FAILED, "", "alice is this machine" },
	};
	check(routes, rows, ARRAY_LEN(rows));
	static const struct fake_route stopped[] = { { STATUS, 200, "{\"BackendState\":\"Stopped\"}", false },
		{ 0 } };
	static const struct want ping[] = { { "ping bob", CLI_FAILED, "",
		"ropewalk is stopped. To start it: ropewalk up" } };
	check(stopped, ping, 1);
}

#define PONG "{\"IP\":\"100.64.0.2\",\"NodeName\":\"bob\",\"LatencySeconds\":0.0042"
/* A shell expands the names that it is given. */
static void test_completion_machines(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ STATUS, 200,
			"{\"BackendState\":\"Running\",\"Peer\":{" PEER(
				"2", "bob", "100.64.0.2", "") "," PEER("3", "$(reboot)", "100.64.0.3",
				"") "," PEER("4", "a b", "fd7a::4", "") "}}",
			false },
		{ 0 }
	};
	static const struct want rows[] = { { "completion machines", CLI_OK,
		"bob\n100.64.0.2\n100.64.0.3\nfd7a::4\n", "" } };
	check(routes, rows, ARRAY_LEN(rows));
	static const struct fake_route none[] = { { 0 } };
	check(none, &(struct want) { "completion machines", CLI_FAILED, "", NULL }, 1);
}

static void test_ping_kinds(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { STATUS, 200, running, false },
		{ "POST " API "ping?ip=100.64.0.2&type=TSMP", 200, PONG ",\"PeerAPIPort\":4242}", false },
		{ "POST " API "ping?ip=100.64.0.2&type=ICMP", 200, PONG "}", false },
		{ "POST " API "ping?ip=100.64.0.2&type=peerapi", 200,
			PONG ",\"PeerAPIURL\":\"http://100.64.0.2:4242\"}", false },
		{ "POST " API "ping?ip=100.64.0.2&type=disco", 200,
			PONG ",\"DERPRegionID\":1,\"DERPRegionCode\":\"fra\"}", false },
		{ 0 } };
	static const struct want rows[] = {
		{ "ping --tsmp bob", CLI_OK, "pong from bob (100.64.0.2, 4242) via TSMP in 4ms\n", NULL },
		{ "ping --icmp bob", CLI_OK, "pong from bob (100.64.0.2) via ICMP in 4ms\n", NULL },
		{ "ping --peerapi bob", CLI_OK,
			"hit peerapi of 100.64.0.2 (bob) at http://100.64.0.2:4242 in 4ms\n", NULL },
		{ "ping -c 1 bob", CLI_FAILED, "pong from bob (100.64.0.2) via DERP(fra) in 4ms\n",
			"direct connection not established" },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

/* While the server is away, one line says so. */
static void test_said_once(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ STATUS, 200,
			"{\"BackendState\":\"Running\",\"Self\":{\"HostName\":\"a\",\"OS\":\"linux\","
			"\"TailscaleIPs\":[\"100.64.0.1\"]},\"Control\":\"waiting for it\","
			"\"Health\":[\"waiting for it\",\"no disk\",\"no disk\"]}",
			false },
		{ 0 }
	};
	static const struct want rows[] = { { "status", CLI_OK,
		"100.64.0.1  \"a\"  -  linux  -\n"
		"\n# Control server: waiting for it\n"
		"\n# Health check:\n#     - no disk\n",
		NULL } };
	check(routes, rows, ARRAY_LEN(rows));
}

/* Names, messages and refusals that would move the cursor, ring, colour or forge a line. */
static void test_tame(void **state)
{
	(void)state;
	static const char evil[] =
		"{\"BackendState\":\"Running\",\"Self\":{\"HostName\":\"a\\u001b[2Jb\\\\u001b\","
		"\"TailscaleIPs\":[\"100.64.0.1\"],\"OS\":\"l\\u009bx\\u007F\"},"
		"\"Health\":[\"x\\r\\ny\x7f\xc2\x9b\",\"p\xe2\x80\xaegnp\\u2066q\\u00fc\xc3\xbc\"]}";
	static const struct fake_route routes[] = { { STATUS, 200, evil, false },
		{ "POST " API "logout", 500, "no\\\x1b[31m\\u\x1b\x9b", false }, { 0 } };
	static const struct want rows[] = {
		{ "status", CLI_OK,
			"100.64.0.1  \"a?[2Jb\\u001b\"  -  l?x?  -\n"
			"\n# Health check:\n#     - x    y???\n#     - p???gnp?q\xc3\xbc\xc3\xbc\n",
			NULL },
		{ "logout", CLI_FAILED, "", "no\\?[31m\\u??" },
		{ "status --json", CLI_OK, NULL, NULL },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

static void test_status_not_running(void **state)
{
	(void)state;
	static const struct {
		const char *json, *out;
	} rows[] = {
		{ "{\"BackendState\":\"Stopped\"}", "ropewalk is stopped. To start it: ropewalk up\n" },
		{ "{\"BackendState\":\"NeedsLogin\",\"AuthURL\":\"https://c/r/1\"}",
			"Logged out.\nLog in at: https://c/r/1\n" },
		{ "{\"BackendState\":\"NeedsLogin\",\"Health\":[\"key expired\"]}",
			"Logged out.\nTo log in: ropewalk join LINE, of an invitation, or ropewalk up "
			"--login-server URL\n# key expired\n" },
		{ "{\"BackendState\":\"NeedsLogin\",\"Self\":{\"Expired\":true},\"Health\":[\"The key of "
		  "this machine "
		  "has expired. To log in anew: ropewalk up\"]}",
			"The key of this machine has expired. To log in anew: ropewalk up\n" },
		{ "{\"BackendState\":\"NeedsMachineAuth\"}",
			"This machine is not approved yet. An administrator of the network has to do it.\n" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake_route routes[] = { { STATUS, 200, rows[i].json, false }, { 0 } };
		struct want want[] = { { "status", CLI_FAILED, rows[i].out, NULL },
			{ "status --json", CLI_OK, NULL, NULL } };
		check(routes, want, ARRAY_LEN(want));
	}
}

static void test_refusals(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ STATUS, 500, "{\"error\":\"memory is short\"}", false },
		{ "PATCH " API "prefs", 403, "only root may\n", false },
		{ "POST " API "logout", 500, "", false },
		{ "GET " API "netcheck", 200, "<html>", false },
		{ 0 },
	};
	static const struct want rows[] = {
		{ "status", CLI_FAILED, "", "ropewalk: memory is short\n" },
		{ "down", CLI_NOT_RUNNING, "", "no permission: only root may\nRun it as root" },
		{ "logout", CLI_FAILED, "", "ropewalkd answered 500" },
		{ "netcheck", CLI_FAILED, "", "cannot be read" },
		{ "dns query x.test", CLI_FAILED, "", "does not answer dns query" },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

static void test_netcheck(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ "GET " API "netcheck", 200,
			"{\"Measured\":true,\"AgeSeconds\":0.4,\"UDP\":true,\"IPv4\":true,\"IPv6\":false,"
			"\"MappingVariesByDestIP\":false,"
			"\"GlobalV4\":\"192.0.2.1:41641\","
			"\"PreferredDERP\":900,\"Regions\":[{\"RegionID\":900,\"RegionCode\":\"fra\","
			"\"RegionName\":\"Frankfurt\","
			"\"LatencySeconds\":0.0123},{\"RegionID\":901,\"RegionCode\":\"nyc\","
			"\"LatencySeconds\":0}]}",
			false },
		{ 0 },
	};
	static const struct want rows[] = {
		{ "netcheck", CLI_OK,
			"Report:\n\t* UDP: true\n\t* IPv4: yes, 192.0.2.1:41641\n\t* IPv6: no\n\t* "
			"MappingVariesByDestIP: false\n\t* PortMapping: not known\n"
			"\t* Nearest relay: Frankfurt\n\t* Relay latency:\n\t\t- fra: 12.3ms "
			"(Frankfurt)\n\t\t- nyc: no answer\n",
			NULL },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

static void test_netcheck_format(void **state)
{
	(void)state;
#define REPORT "{\"Measured\":true,\"UDP\":true}"
	static const struct fake_route routes[] = { { "GET " API "netcheck", 200, REPORT, false }, { 0 } };
	static const struct want rows[] = {
		{ "netcheck --json", CLI_OK, REPORT "\n", NULL },
		{ "netcheck --format=json-line", CLI_OK, REPORT "\n", NULL },
		{ "netcheck --format json", CLI_OK, "{\n  \"Measured\": true,\n  \"UDP\": true\n}\n", NULL },
		{ "netcheck --format=yaml", CLI_USAGE, "", "takes json or json-line, not \"yaml\"" },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

/* Stops the daemon once it was asked three times, or not for ten seconds. */
static void *stop_after_three(void *arg)
{
	struct fake_api *f = arg;
	for (int asked = 0, left_ms = 10000; asked < 3 && left_ms; left_ms--) {
		const char *at = fake_api_requests(f);
		for (asked = 0; (at = strstr(at, "netcheck")); at++)
			asked++;
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	}
	fake_api_stop(f);
	return NULL;
}

static void test_netcheck_every(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { "GET " API "netcheck", 200, REPORT, false }, { 0 } };
	struct fake_api *f = fake_api_start(routes);
	char socket[128];
	pthread_t stopper;
	snprintf(socket, sizeof(socket), "%s", fake_api_socket(f));
	assert_int_equal(pthread_create(&stopper, NULL, stop_after_three, f), 0);
	struct result r = run_line(socket, "netcheck --every=5ms --format=json-line");
	pthread_join(stopper, NULL);
	assert_int_equal(strncmp(r.out, REPORT "\n" REPORT "\n", 2 * sizeof(REPORT)), 0);
	if (r.code == CLI_OK)
		fail_msg("%d %s", r.code, r.err);
	result_free(&r);
}

static void test_netcheck_lines(void **state)
{
	(void)state;
	static const struct {
		const char *json, *line;
	} rows[] = {
		{ "{\"Measured\":false}", "\n\t* Measured: not yet\n" },
		{ "{\"Measured\":true,\"AgeSeconds\":31.2}", "\n\t* Measured: 31 s ago" },
		{ "{\"UPnP\":false,\"PMP\":true,\"PCP\":true,\"PortMapped\":\"192.0.2.1:7\"}",
			"\n\t* PortMapping: NAT-PMP, PCP (192.0.2.1:7 leads here)\n" },
		{ "{\"PMP\":true,\"PCP\":false,\"PortNotMapped\":\"refused\"}",
			"\n\t* PortMapping: NAT-PMP (refused)\n" },
		{ "{\"PMP\":false,\"PCP\":false,\"PortNotMapped\":\"the router has none\"}",
			"\n\t* PortMapping: (the router has none)\n" },
		{ "{\"PMP\":false,\"PCP\":false}", "\n\t* PortMapping: none\n" },
		{ "{\"PinholeIPv6\":\"[2001:db8::7]:41641\"}",
			"\n\t* IPv6Pinhole: [2001:db8::7]:41641 is let in\n" },
		{ "{\"NoPinholeIPv6\":\"refused\"}", "\n\t* IPv6Pinhole: none (refused)\n" },
		{ "{\"Proxy\":\"HTTPS_PROXY=10.0.0.8:3128\"}", "\n\t* Proxy: HTTPS_PROXY=10.0.0.8:3128\n" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct fake_route routes[] = { { "GET " API "netcheck", 200, rows[i].json, false },
			{ 0 } };
		struct fake_api *f = fake_api_start(routes);
		struct result r = run_line(fake_api_socket(f), "netcheck");
		if (!strstr(r.out, rows[i].line))
			fail_msg("row %zu: %s", i, r.out);
		result_free(&r);
		fake_api_stop(f);
	}
}

static void test_ping(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ STATUS, 200, running, false },
		{ "POST " API "ping?ip=100.64.0.2&type=disco", 200,
			"{\"IP\":\"100.64.0.2\",\"NodeName\":\"bob.mesh.test.\",\"LatencySeconds\":0.0042,"
			"\"Endpoint\":\"192.0.2.7:41641\"}",
			false },
		{ "POST " API "ping?ip=100.64.0.3", 200,
			"{\"IP\":\"100.64.0.3\",\"NodeName\":\"carol.mesh.test.\",\"LatencySeconds\":0.0234,"
			"\"DERPRegionID\":900,"
			"\"DERPRegionCode\":\"fra\"}",
			false },
		{ "POST " API "ping?ip=100.64.0.4&type=disco&size=1400", 200,
			"{\"IP\":\"100.64.0.4\",\"Err\":\"no answer to 1400 bytes\"}", false },
		{ "POST " API "ping?ip=100.64.0.4", 200, "{\"IP\":\"100.64.0.4\",\"Err\":\"no answer\"}",
			false },
		{ 0 },
	};
	static const struct want rows[] = {
		{ "ping bob", CLI_OK, "pong from bob (100.64.0.2) via 192.0.2.7:41641 in 4ms\n", NULL },
		{ "ping -c 1 carol", CLI_FAILED, "pong from carol (100.64.0.3) via DERP(fra) in 23ms\n",
			"direct connection not established" },
		{ "ping -c 1 --until-direct=false 100.64.0.3", CLI_OK,
			"pong from carol (100.64.0.3) via DERP(fra) in 23ms\n", NULL },
		{ "ping -c 1 --size 1400 dave", CLI_FAILED,
			"ping \"dave\" timed out: no answer to 1400 bytes\n", "no reply from dave" },
		{ "ping -c 1 dave", CLI_FAILED, "ping \"dave\" timed out: no answer\n",
			"no reply from dave" },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

static void test_dns(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ STATUS, 200, running, false },
		{ "GET " API "prefs", 200, "{\"CorpDNS\":true}", false },
		{ "GET " API "dns-config", 200,
			"{\"Resolvers\":[{\"Addr\":\"9.9.9.9\"}],\"Routes\":{\"mesh.test\":null,\"corp."
			"test\":[{\"Addr\":\"10.0.0.53\"}]},"
			"\"Domains\":[\"mesh.test\"],\"Proxied\":true,\"ExtraRecords\":[{\"Name\":\"nas.mesh."
			"test\",\"Value\":\"10.0.0.9\"}]}",
			false },
		{ "GET " API "dns-osconfig", 200,
			"{\"Nameservers\":[\"100.100.100.100\"],\"SearchDomains\":[],\"Mode\":\"direct\","
			"\"Reason\":\"a file\"}",
			false },
		{ "GET " API "dns-servers", 200,
			"{\"Routes\":[{\"Suffix\":\"corp.test\",\"Order\":\"strict\",\"Servers\":[{\"Addr\":"
			"\"10.0.0.53:"
			"53\",\"Health\":\"held\",\"RTTMs\":0}]},{\"Suffix\":\".\",\"Order\":\"preferred\","
			"\"Servers\":[{"
			"\"Addr\":\"9.9.9.9:53\",\"Health\":\"well\",\"RTTMs\":12,\"ChangesCase\":true},"
			"{\"Addr\":\"9.9.9.9:853\",\"Health\":\"held\",\"RTTMs\":9,\"URL\":\"tls://"
			"9.9.9.9#dns.test\","
			"\"Fault\":\"timed "
			"out\"},{\"Addr\":\"192.0.2.1:443\",\"Health\":\"well\",\"RTTMs\":0,"
			"\"URL\":\"https://dns.test/q\"}]},{\"Suffix\":\".\","
			"\"Site\":true,"
			"\"Order\":\"preferred\",\"Servers\":[]}],\"CacheBytes\":4096}",
			false },
		{ "POST " API "dns-flush?name=bob.mesh.test&below=true ", 200, "{\"Forgotten\":2}", false },
		{ "POST " API "dns-log?on=true ", 204, "", false },
		{ "GET " API "dns-log?after=0 ", 200,
			"{\"On\":true,\"Last\":2,\"Questions\":[{\"UnixMs\":0,\"Client\":\"100.64.0.1\","
			"\"Name\":\"bob.mesh."
			"test\",\"Type\":28,\"RCode\":3,\"Source\":\"zone\",\"TookMs\":0}]}",
			false },
		{ "GET " API "dns-log?after=2 ", 200, "{\"On\":true,\"Last\":2,\"Questions\":[]}", false },
		{ "GET " API "dns-top ", 200,
			"{\"On\":true,\"Names\":[{\"What\":\"bob.mesh.test\",\"N\":7}],"
			"\"Blocked\":[{\"What\":\"ads.test\",\"N\":3}],\"Clients\":[]}",
			false },
		{ "POST " API "dns-flush ", 200, "{\"Forgotten\":7}", false },
		/* bob.mesh.test A 100.64.0.2 */
		{ "GET " API "dns-query?name=bob.mesh.test&type=A", 200,
			"{\"Bytes\":\"AACEAAABAAEAAAAAA2JvYgRtZXNoBHRlc3QAAAEAAcAMAAEAAQAAAAUABGRAAAI=\","
			"\"Resolvers\":[{\"Addr\":\"9.9.9.9:53\"}],\"Source\":\"cache\",\"Route\":\".\","
			"\"TookMs\":3}",
			false },
		/* x.test SERVFAIL, with an extended error */
		{ "GET " API "dns-query?name=x.test&type=A", 200,
			"{\"Bytes\":"
			"\"AACBggABAAAAAAABAXgEdGVzdAAAAQABAAApAgAAAAAAABIADwAOABZub25lIGFuc3dlcnM=\","
			"\"Resolvers\":[],\"Source\":\"nowhere\",\"Route\":\"\",\"TookMs\":3}",
			false },
		{ "GET " API "dns-query?name=bad", 200, "{\"Bytes\":\"AAAA\"}", false },
		{ "GET " API "dns-blocking ", 200, "{\"On\":true,\"Lists\":2,\"Names\":70,\"PauseLeftMs\":0}",
			false },
		{ "POST " API "dns-pause?for=5m ", 200,
			"{\"On\":true,\"Lists\":2,\"Names\":70,\"PauseLeftMs\":299001}", false },
		{ "GET " API "dns-blocked?name=x.ads.test ", 200,
			"{\"On\":true,\"Blocked\":true,\"Group\":\"kids\",\"Lines\":[\"blocked by the list "
			"ads, "
			"/l/ads.list:7: *.ads.test\"],\"Server\":\"\"}",
			false },
		{ "GET " API "dns-blocked?name=x.test&client=tv ", 200,
			"{\"On\":true,\"Blocked\":false,\"Group\":\"\",\"Lines\":[],\"Server\":\"\"}",
			false },
		{ "GET " API "dns-blocked?name=y.test ", 200,
			"{\"On\":false,\"Blocked\":false,\"Group\":\"\",\"Lines\":[],\"Server\":\"pi.mesh."
			"test.\"}",
			false },
		{ 0 },
	};
	static const struct want rows[] = {
		{ "dns blocked x.ads.test", CLI_OK,
			"blocked by the list ads, /l/ads.list:7: *.ads.test\nx.ads.test is blocked for this "
			"machine, of the group kids\n",
			"" },
		{ "dns blocked --client tv x.test", CLI_FAILED,
			"x.test is not blocked for tv: no list has it\n", "" },
		{ "dns blocked --json --client tv x.test", CLI_FAILED,
			"{\"On\":true,\"Blocked\":false,\"Group\":\"\",\"Lines\":[],\"Server\":\"\"}\n", "" },
		{ "dns pause 5m", CLI_OK, "Blocks names for the network: 70 by 2 lists; not for 300 s more\n",
			"" },
		{ "dns blocked y.test", CLI_FAILED, "",
			"Names come from pi.mesh.test.; run ropewalk dns blocked there" },
		{ "dns status", CLI_OK,
			"=== The network ===\n\nNames of machines: yes, under mesh.test (answered at "
			"100.100.100.100)\n"
			"Nameservers of the network: 9.9.9.9\nSearch domains: mesh.test\nSplit DNS:\n  - "
			"mesh.test: answered here\n"
			"  - corp.test: 10.0.0.53\nExtra records:\n  - nas.mesh.test A/AAAA 10.0.0.9\n\n=== "
			"This machine ===\n\n"
			"Takes the network's DNS settings: yes\nWho is told: direct (a file)\nNameservers: "
			"100.100.100.100\nSearch domains: none\n\n=== The resolver ===\n\nCache: 4 "
			"KiB\ncorp.test "
			"(strict):\n  - 10.0.0.53:53 held\nEverything else (preferred):\n  - 9.9.9.9:53 "
			"well, answers "
			"in 12 ms, changes the case of names\n  - tls://9.9.9.9#dns.test held, answers in 9 "
			"ms: timed out\n"
			"  - https://dns.test/q at 192.0.2.1:443 well\n"
			"Blocks names for the network: 70 by 2 lists\n",
			NULL },
		{ "dns flush", CLI_OK, "7 answers forgotten\n", "" },
		{ "dns log", CLI_OK,
			"1970-01-01T00:00:00Z  100.64.0.1  bob.mesh.test AAAA  NXDOMAIN, zone, 0 ms\n", "" },
		{ "dns log --json", CLI_OK,
			"{\"Time\":\"1970-01-01T00:00:00Z\",\"Client\":\"100.64.0.1\",\"Name\":\"bob.mesh."
			"test\",\"Type\":"
			"\"AAAA\",\"RCode\":\"NXDOMAIN\",\"Source\":\"zone\",\"TookMs\":0}\n",
			"" },
		{ "dns log on", CLI_OK, NULL, "" },
		{ "dns top", CLI_OK,
			"Names asked for:\n       7  bob.mesh.test\nNames blocked:\n       3  ads.test\nWho "
			"asked: none\n",
			"" },
		{ "dns flush bob --below --json", CLI_OK, "{\"Forgotten\":2}\n", "" },
		{ "dns query bob.mesh.test", CLI_OK,
			"From: cache, in 3 ms\nRoute: everything else\nServers: "
			"9.9.9.9:53\nNOERROR\nbob.mesh.test.\t5\tIN\tA\t"
			"100.64.0.2\n",
			"" },
		{ "dns query x.test", CLI_OK,
			"From: nowhere, in 3 ms\nReason: no reachable authority: none answers\nSERVFAIL\n",
			"" },
		{ "dns query x.test --json", CLI_OK,
			"{\"Resolvers\":[],\"Source\":\"nowhere\",\"Route\":\"\",\"TookMs\":3,\"Reason\":"
			"\"no reachable "
			"authority: none answers\",\"RCode\":\"SERVFAIL\",\"Records\":[]}\n",
			"" },
		{ "dns query bob", CLI_OK, NULL, "" },
		{ "dns query bad", CLI_FAILED, "", "not well formed" },
	};
	check(routes, rows, ARRAY_LEN(rows));
	struct fake_api *f = fake_api_start(routes);
	struct result r = run_line(fake_api_socket(f), "dns query bob.mesh.test a --json");
	result_free(&r);
	r = run_line(fake_api_socket(f), "dns query bob.mesh.test");
	assert_non_null(strstr(r.out, "100.64.0.2"));
	result_free(&r);
	fake_api_stop(f);
}

/* --- up --- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_completion_machines),
		cmocka_unit_test(test_ping_kinds),
		cmocka_unit_test(test_said_once),
		cmocka_unit_test(test_tame),
		cmocka_unit_test(test_status_not_running),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_netcheck),
		cmocka_unit_test(test_netcheck_lines),
		cmocka_unit_test(test_netcheck_format),
		cmocka_unit_test(test_netcheck_every),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_dns),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
