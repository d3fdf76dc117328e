/* The verbs that bring a machine into a network and out of it: up, down, logout, wait. */
#include "mesh/base/key.h"
#include "mesh/cli/cli.h"
#include "mesh/cli/test/fake_api.h"
#include "mesh/cli/test/line.h"
#include "mesh/os/file.h"
#include "mesh/proto/localapi.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define API "/localapi/v0/"
#define STATUS "GET " API "status"
static const char running[] =
	"{\"BackendState\":\"Running\",\"TailscaleIPs\":[\"fd7a:115c:a1e0::1\",\"100.64.0.1\"],\"Self\":{"
	"\"HostName\":\"alice\",\"DNSName\":\"alice.mesh.test.\",\"TailscaleIPs\":[\"100.64.0.1\"]}}";
static const char logged_out[] = "{\"BackendState\":\"NeedsLogin\",\"Control\":\"connected\"}";

#define BUS "GET " API "watch-ipn-bus"
#define GET_PREFS \
	{ \
		"GET " API "prefs", 200, "{\"ControlURL\":\"http://10.0.0.1\"}", false \
	}
#define WRITES \
	{ "PATCH " API "prefs", 200, "{}", false }, { "POST " API "start", 204, "", false }, \
		{ "POST " API "login-interactive", 204, "", false }, \
	{ \
		"POST " API "logout", 204, "", false \
	}

static void test_up(void **state)
{
	(void)state;
	static const struct {
		const char *bus, *line;
		int code;
		const char *out, *err;
	} rows[] = {
		{ "{\"State\":2}\n{\"State\":5}\n{\"State\":6}\n", "up --auth-key k", CLI_OK, "", "" },
		{ "{\"State\":6}\n", "up --json", CLI_OK, "{\"BackendState\":\"Running\"}\n", "" },
		{ "{\"State\":2,\"BrowseToURL\":\"https://c/r/1\"}\n{\"State\":2,\"BrowseToURL\":\"https://c/"
		  "r/1\"}\n{\"State\":6}\n",
			"up", CLI_OK, "", "\nTo authenticate, visit:\n\n\thttps://c/r/1\n\nSuccess.\n" },
		{ "{\"State\":2,\"ErrMessage\":\"auth key already used\"}\n", "up --auth-key k", CLI_FAILED,
			"", "ropewalk: auth key already used\nA fresh key comes from the server" },
		/* removed on the server: it says so, and asks to be let in */
		{ "{\"State\":2,\"ErrMessage\":\"removed\",\"BrowseToURL\":\"https://c/r/"
		  "1\"}\n{\"State\":6}\n",
			"up", CLI_OK, "", "https://c/r/1" },
		{ "{\"State\":3}\n{\"State\":6}\n", "up", CLI_OK, "", "approval of an administrator" },
		{ "{\"State\":6,\"ErrMessage\":\"resolv.conf is read-only\"}\n", "up", CLI_OK, "",
			"# warning: resolv.conf" },
		/* the login was refused, and the one before goes on: told although the machine runs */
		{ "{\"State\":6,\"ErrMessage\":\"not known here\"}\n", "up --auth-key k --force-reauth",
			CLI_FAILED, "", "ropewalk: not known here" },
		{ "{\"State\":6}\n{\"State\":2}\n", "logout", CLI_OK, "", "" },
		{ "{\"State\":5}\n{\"State\":4}\n", "up", CLI_FAILED, "", "down or logout came in between" },
		{ "garbage\n\n{\"State\":6}\n", "wait", CLI_OK, "", "" },
		{ "{\"State\":5}\n", "wait --timeout 50ms", CLI_TIMEOUT, "", "not running after 50 ms" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake_route routes[] = { { BUS, 200, rows[i].bus, true },
			{ STATUS, 200, logged_out, false }, GET_PREFS, WRITES, { 0 } };
		struct want want = { rows[i].line, rows[i].code, rows[i].out, rows[i].err };
		check(routes, &want, 1);
	}
}

static void test_up_asks(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { BUS, 200, "{\"State\":6}\n", true },
		{ STATUS, 200, logged_out, false }, GET_PREFS, WRITES, { 0 } };
	static const struct {
		const char *line, *requests;
	} rows[] = {
		{ "up --login-server http://10.0.0.2 --hostname a --accept-dns=false --auth-key k1 "
		  "--force-reauth",
			"GET " API "prefs \nPATCH " API
			"prefs {\"ControlURL\":\"http://10.0.0.2\",\"CorpDNS\":false,\"Hostname\":\"a\","
			"\"ControlURLSet\":true,\"CorpDNSSet\":true,\"HostnameSet\":true}\nPOST " API
			"start {\"AuthKey\":\"k1\",\"ForceReauth\":true}\n"
			"GET " API "watch-ipn-bus?mask=2 \n" },
		{ "up", "GET " API "prefs \nPOST " API "start {}\nGET " API "status \nPOST " API
			"login-interactive \nGET " API "watch-ipn-bus?mask=2 \n" },
		{ "up --force-reauth",
			"GET " API "prefs \nPOST " API "start {}\nGET " API "status \nPOST " API
			"login-interactive \nGET " API "watch-ipn-bus?mask=2 \n" },
		/* the network gives tags at a login: others than those that are kept take a new one */
		{ "up --advertise-tags=tag:b,tag:a --auth-key k1",
			"GET " API "prefs \nGET " API "status \nPATCH " API
			"prefs {\"AdvertiseTags\":[\"tag:b\",\"tag:a\"],\"AdvertiseTagsSet\":true}\nPOST " API
			"start {\"AuthKey\":\"k1\",\"ForceReauth\":true}\nGET " API
			"watch-ipn-bus?mask=2 \n" },
		/* all that can be set, as at first, but for what is named */
		{ "up --reset --hostname a --auth-key k1 --accept-routes --shields-up",
			"GET " API "prefs \nGET " API "prefs \nPATCH " API
			"prefs {\"RouteAll\":true,\"CorpDNS\":true,\"ShieldsUp\":true,\"AdvertiseRoutes\":[],"
			"\"NoSNAT\":false,\"NoStatefulFiltering\":false,\"RoutesPrefer\":\"lan\","
			"\"Hostname\":\"a\","
			"\"OperatorUser\":\"\",\"NetfilterMode\":2,\"AdvertiseTags\":[],\"RouteAllSet\":true,"
			"\"CorpDNSSet\":true,"
			"\"ShieldsUpSet\":true,\"AdvertiseRoutesSet\":true,\"NoSNATSet\":true,"
			"\"NoStatefulFilteringSet\":true,\"RoutesPreferSet\":true,\"HostnameSet\":true,"
			"\"OperatorUserSet\":true,\"NetfilterModeSet\":true,\"AdvertiseTagsSet\":true}"
			"\nPATCH " API
			"prefs {\"ExitNodeID\":\"\",\"ExitNodeIP\":\"\",\"ExitNodeAllowLANAccess\":false,"
			"\"ExitNodeIDSet\":true,\"ExitNodeIPSet\":true,\"ExitNodeAllowLANAccessSet\":true}"
			"\nGET " API "prefs \nPOST " API "start {\"AuthKey\":\"k1\"}\nGET " API
			"watch-ipn-bus?mask=2 \n" },
		/* another network: not without a word that says so; the same one, written otherwise, is none
		 */
		{ "up --login-server http://10.0.0.2 --auth-key k1", "GET " API "prefs \n" },
		{ "up --login-server http://10.0.0.1:80/ --auth-key k1",
			"GET " API "prefs \nPATCH " API
			"prefs {\"ControlURL\":\"http://10.0.0.1:80/\",\"ControlURLSet\":true}\nPOST " API
			"start {\"AuthKey\":\"k1\"}\nGET " API "watch-ipn-bus?mask=2 \n" },
		/* what cannot be is found before anything is changed */
		{ "up --login-server http://10.0.0.2 --force-reauth --auth-key file:/nowhere/key",
			"GET " API "prefs \n" },
		{ "down", "PATCH " API "prefs {\"WantRunning\":false,\"WantRunningSet\":true}\n" },
		{ "up --login-server nonsense", "GET " API "prefs \n" },
		{ "up --auth-key file:/nowhere/key", "GET " API "prefs \n" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake_api *f = fake_api_start(routes);
		struct result r = run_line(fake_api_socket(f), rows[i].line);
		if (strcmp(fake_api_requests(f), rows[i].requests) != 0)
			fail_msg("row %zu: %s%s", i, fake_api_requests(f), r.err);
		result_free(&r);
		fake_api_stop(f);
	}
}

/* A key in a file is not one on the command line, and the file is not everybody's. */
static void test_key_file(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { BUS, 200, "{\"State\":6}\n", true }, GET_PREFS, WRITES,
		{ 0 } };
	static const mode_t modes[] = { 0600, 0640, 0644 };
	char dir[] = "/tmp/rw-up-XXXXXX", path[64], line[128];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/key", dir);
	assert_int_equal(file_write_atomic(path, 0600, " k1\n", 4, NULL), 0);
	snprintf(line, sizeof(line), "up --auth-key file:%s", path);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		struct fake_api *f = fake_api_start(routes);
		assert_int_equal(chmod(path, modes[i]), 0);
		struct result r = run_line(fake_api_socket(f), line);
		assert_int_equal(r.code, CLI_OK);
		assert_non_null(strstr(fake_api_requests(f), "start {\"AuthKey\":\"k1\"}"));
		bool told =
			strstr(r.err, "key can be read by every user of this machine: chmod o-r it") != NULL;
		if (told != (modes[i] == 0644))
			fail_msg("mode %o: \"%s\"", (unsigned)modes[i], r.err);
		result_free(&r);
		fake_api_stop(f);
	}
	unlink(path);
	rmdir(dir);
}

/* Why it is done goes along as official clients say it, and is not so long that it would be cut. */
static void test_reason(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { BUS, 200, "{\"State\":2}\n", true }, WRITES, { 0 } };
	static const char *const verbs[] = { "PATCH " API "prefs", "POST " API "logout" };
	char line[400], want[400], reason[API_REASON_MAX + 2];
	memset(reason, 'a', sizeof(reason) - 1);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		for (int len = 0; len <= API_REASON_MAX + 1; len += len ? 1 : API_REASON_MAX) {
			char text[(API_REASON_MAX + 2) / 3 * 4 + 8];
			struct fake_api *f = fake_api_start(routes);
			snprintf(line, sizeof(line), "%s --reason=%.*s", i ? "logout" : "down", len, reason);
			struct result r = run_line(fake_api_socket(f), line);
			base64_encode((const uint8_t *)reason, (size_t)len, text);
			snprintf(want, sizeof(want), "%s %s%s%s", verbs[i], len ? API_REASON_HEADER ": " : "",
				len ? text : "", len ? " " : "");
			bool fits = len <= API_REASON_MAX;
			const char *asked = fake_api_requests(f);
			if (r.code != (fits ? CLI_OK : CLI_USAGE) ||
				(fits && strncmp(asked, want, strlen(want)) != 0) ||
				(!fits && (*asked || !strstr(r.err, "--reason takes up to 256 bytes"))))
				fail_msg("%.8s, %d bytes: %d %s%s", line, len, r.code, asked, r.err);
			result_free(&r);
			fake_api_stop(f);
		}
}

/* The same tags again, none where there are none, those that the machine has, and a machine that has no login: nothing is
 * logged in anew. */
static void test_up_same_tags(void **state)
{
	(void)state;
	static const struct {
		const char *prefs, *has, *line;
		bool anew;
	} rows[] = {
		{ "{\"ControlURL\":\"http://c\",\"AdvertiseTags\":[\"tag:a\",\"tag:b\"]}", "",
			"up --auth-key k --advertise-tags=tag:a,tag:b", false },
		{ "{\"ControlURL\":\"http://c\"}", "", "up --auth-key k --advertise-tags=", false },
		{ "{\"ControlURL\":\"http://c\"}", "\"tag:b\",\"tag:a\"",
			"up --auth-key k --advertise-tags=tag:a,tag:b", false },
		{ "{\"ControlURL\":\"http://c\"}", "\"tag:b\",\"tag:a\"",
			"up --auth-key k --advertise-tags=tag:a,tag:c", true },
		{ "{\"ControlURL\":\"http://c\",\"AdvertiseTags\":[\"tag:refused\"]}", "",
			"up --auth-key k --advertise-tags=", false },
		{ "{\"ControlURL\":\"http://c\",\"LoggedOut\":true}", "",
			"up --auth-key k --advertise-tags=tag:a", false },
		{ "{\"ControlURL\":\"http://c\",\"AdvertiseTags\":[\"tag:a\"]}", "\"tag:a\"",
			"up --auth-key k --advertise-tags=", true },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char status[128];
		snprintf(status, sizeof(status), "{\"BackendState\":\"Running\",\"Self\":{\"Tags\":[%s]}}",
			rows[i].has);
		struct fake_route routes[] = { { BUS, 200, "{\"State\":6}\n", true },
			{ STATUS, 200, status, false }, { "GET " API "prefs", 200, rows[i].prefs, false },
			WRITES, { 0 } };
		struct fake_api *f = fake_api_start(routes);
		struct result r = run_line(fake_api_socket(f), rows[i].line);
		bool anew = strstr(fake_api_requests(f), "ForceReauth") != NULL;
		if (r.code != CLI_OK || anew != rows[i].anew)
			fail_msg("row %zu: %s%s", i, fake_api_requests(f), r.err);
		result_free(&r);
		fake_api_stop(f);
	}
}

/* What 'up' says that ends for time; more of it where the machine took all before anything was known. */
static struct result up_until_known(const struct fake_route *routes, const char *first)
{
	const char *const times[] = { first, "10s", "60s" };
	struct fake_api *f = fake_api_start(routes);
	struct result r = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		char line[64];
		snprintf(line, sizeof(line), "up --timeout %s", times[i]);
		r = run_line(fake_api_socket(f), line);
		if (r.code != CLI_TIMEOUT || *r.out)
			fail_msg("ropewalk %s: %d\n--- out\n%s--- err\n%s", line, r.code, r.out, r.err);
		if (!strstr(r.err, "no answer yet") || i + 1 == ARRAY_LEN(times))
			break;
		result_free(&r);
	}
	fake_api_stop(f);
	return r;
}

static void test_up_server_away(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { BUS, 200, "{\"State\":5}\n", true },
		{ STATUS, 200,
			"{\"BackendState\":\"Starting\",\"Control\":\"waiting for http://10.0.0.1: "
			"connection refused\"}",
			false },
		GET_PREFS, WRITES, { 0 } };
	static const char want[] = "ropewalk: waiting for http://10.0.0.1: connection refused; trying on\n"
				   "ropewalk: not up after ";
	struct result r = up_until_known(routes, "1200ms"); /* it asks after a second */
	assert_non_null(strstr(r.err, want));
	assert_non_null(strstr(r.err, " s: waiting for http://10.0.0.1: connection refused\n"));
	result_free(&r);
}

static void test_up_login_unused(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ BUS, 200, "{\"State\":2,\"BrowseToURL\":\"https://c/r/1\"}\n", true },
		{ STATUS, 200, logged_out, false }, GET_PREFS, WRITES, { 0 }
	};
	struct result r = up_until_known(routes, "50ms");
	assert_non_null(strstr(r.err, "nobody used the login URL"));
	result_free(&r);
}

/* Logged out meanwhile by somebody else: the state alone does not tell. */
static void test_up_logged_out(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { BUS, 200, "{\"State\":2}\n", true },
		{ STATUS, 200, "{\"BackendState\":\"NeedsLogin\",\"Control\":\"\"}", false }, GET_PREFS,
		WRITES, { 0 } };
	static const struct want rows[] = { { "up --auth-key k", CLI_FAILED, "",
		"down or logout came in between" } };
	check(routes, rows, ARRAY_LEN(rows));
}

/* What would end this very session is refused, unless it is said to be wanted. */
static void test_lose_ssh(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { BUS, 200, "{\"State\":6}\n{\"State\":2}\n", true },
		{ STATUS, 200, running, false }, GET_PREFS, WRITES, { 0 } };
	static const struct {
		const char *connection, *line;
		int code;
		const char *err;
	} rows[] = {
		{ "100.64.0.2 50000 100.64.0.1 22", "down", CLI_FAILED,
			"to 100.64.0.1: ropewalk down would" },
		{ "100.64.0.2 50000 100.64.0.1 22", "logout", CLI_FAILED,
			"ropewalk logout would cut it off" },
		{ "fd7a:115c:a1e0::2 50000 fd7a:115c:a1e0::1 22", "down", CLI_FAILED,
			"--accept-risk=lose-ssh" },
		{ "100.64.0.2 50000 100.64.0.1 22", "down --accept-risk=lose-ssh", CLI_OK, NULL },
		{ "100.64.0.2 50000 100.64.0.1 22", "logout --accept-risk=all", CLI_OK, NULL },
		{ "100.64.0.2 50000 100.64.0.1 22", "down --accept-risk=it", CLI_USAGE, "takes lose-ssh" },
		{ "100.64.0.2 50000 100.64.0.1 22", "up --force-reauth", CLI_FAILED,
			"--force-reauth would cut" },
		{ "100.64.0.2 50000 100.64.0.1 22", "up --advertise-tags=tag:a", CLI_FAILED,
			"--advertise-tags would cut" },
		/* a carrier's address of the same range; the LAN; nonsense */
		{ "100.64.0.2 50000 100.64.7.7 22", "down", CLI_OK, NULL },
		{ "192.168.1.2 50000 192.168.1.1 22", "down", CLI_OK, NULL },
		{ "100.64.0.1", "down", CLI_OK, NULL },
		{ "", "down", CLI_OK, NULL },
	};
	char inherited[64] = "";
	if (getenv("SSH_CONNECTION"))
		snprintf(inherited, sizeof(inherited), "%s", getenv("SSH_CONNECTION"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct want want = { rows[i].line, rows[i].code, NULL, rows[i].err };
		setenv("SSH_CONNECTION", rows[i].connection, 1);
		check(routes, &want, 1);
	}
	unsetenv("SSH_CONNECTION");
	if (inherited[0])
		setenv("SSH_CONNECTION", inherited, 1);
}

static void test_daemon_leaves(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { BUS, 200, "{\"State\":5}\n", false },
		{ STATUS, 200, logged_out, false }, GET_PREFS, WRITES, { 0 } };
	static const struct want rows[] = {
		{ "wait", CLI_NOT_RUNNING, "", "ropewalkd stopped while this was waiting for it" },
		{ "up", CLI_NOT_RUNNING, "", "ropewalkd stopped" },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up),
		cmocka_unit_test(test_up_asks),
		cmocka_unit_test(test_key_file),
		cmocka_unit_test(test_reason),
		cmocka_unit_test(test_up_same_tags),
		cmocka_unit_test(test_up_server_away),
		cmocka_unit_test(test_up_login_unused),
		cmocka_unit_test(test_up_logged_out),
		cmocka_unit_test(test_lose_ssh),
		cmocka_unit_test(test_daemon_leaves),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
