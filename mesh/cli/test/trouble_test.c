/* Verbs for when something is wrong: status --explain, doctor, bugreport. */
#include "mesh/cli/redact.h"
#include "mesh/cli/test/line.h"
#include "mesh/proto/localapi_status.h"
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
#define KEY(c) "nodekey:" c c c c c c c c c c c c c c c c
#define PEER(key, host, more) \
	"\"" KEY(key) "\":{\"HostName\":\"" host "\",\"DNSName\":\"" host \
		      ".mesh.test.\",\"TailscaleIPs\":[\"100.64.0.2\"]" more "}"
#define STATUS(peers) \
	"{\"Version\":\"" RW_VERSION \
	"\",\"BackendState\":\"Running\",\"TailscaleIPs\":[\"100.64.0.1\"],\"Control\":\"connected\"," \
	"\"Self\":{\"DNSName\":\"alice.mesh.test.\",\"TailscaleIPs\":[\"100.64.0.1\"]},\"Peer\":{" peers \
	"}," \
	"\"User\":{\"1\":{\"ID\":1,\"LoginName\":\"ann@example.com\"}},\"CurrentTailnet\":{" \
	"\"MagicDNSEnabled\":true}}"
#define RELAYED ",\"Online\":true,\"Active\":true,\"Relay\":\"fra\",\"Why\":\"relay: no answer\""

static void test_explain(void **state)
{
	(void)state;
	static const struct {
		const char *more, *net, *says;
	} rows[] = {
		{ ",\"Online\":true,\"Active\":true,\"CurAddr\":\"192.0.2.7:1\",\"Why\":\"direct\"", "{}",
			"bob.mesh.test.\n  Way:        direct, 192.0.2.7:1\n" },
		{ RELAYED, "{\"Measured\":true,\"UDP\":false}",
			"Would help: Let UDP out of the network here" },
		{ RELAYED,
			"{\"Measured\":true,\"UDP\":true,\"MappingVariesByDestIP\":true,"
			"\"PortNotMapped\":\"the router 10.0.0.1 has none\"}",
			"  Way:        relay \"fra\"\n  Why:        relay: no answer\n"
			"  Would help: The NAT here is a hard one: the router 10.0.0.1 has none.\n" },
		{ RELAYED,
			"{\"Measured\":true,\"UDP\":true,\"MappingVariesByDestIP\":true,\"PortMapped\":\"192."
			"0.2.1:7\"}",
			"on bob, ropewalk netcheck says what is there" },
		{ RELAYED, "{\"Measured\":true,\"UDP\":true,\"MappingVariesByDestIP\":false}",
			"on bob, ropewalk netcheck" },
		{ RELAYED, "{\"Measured\":false}", "  Why:        relay: no answer\n" },
		{ ",\"Online\":true", "{}", "Nothing is sent to it: ropewalk ping bob" },
		{ ",\"Online\":false", "{}", "It is offline" },
		{ ",\"Expired\":true", "{}", "Its key has ended" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char status[2048];
		snprintf(status, sizeof(status), STATUS(PEER("22ab", "bob", "%s")), rows[i].more);
		const struct fake_route routes[] = { { "GET " API "status", 200, status, false },
			{ "GET " API "netcheck", 200, rows[i].net, false }, { 0 } };
		struct fake_api *f = fake_api_start(routes);
		struct result r = run_line(fake_api_socket(f), "status --explain bob");
		if (r.code != CLI_OK || !strstr(r.out, rows[i].says))
			fail_msg("row %zu: %d\n%s%s", i, r.code, r.out, r.err);
		result_free(&r);
		fake_api_stop(f);
	}
	static const struct fake_route alone[] = { { "GET " API "status", 200, STATUS(""), false }, { 0 } };
	static const struct want wrong[] = {
		{ "status --explain nobody", CLI_FAILED, "", "no machine \"nobody\"" },
		{ "status --explain alice", CLI_FAILED, "", "alice is this machine" },
	};
	check(alone, wrong, ARRAY_LEN(wrong));
}

static void test_doctor(void **state)
{
	(void)state;
	static const struct fake_route well[] = {
		{ "GET " API "status", 200,
			"{\"Version\":\"" RW_VERSION
			"\",\"BackendState\":\"Running\",\"Control\":\"connected\","
			"\"Self\":{\"AllowedIPs\":[\"10.1.0.0/16\"]},"
			"\"CurrentTailnet\":{\"MagicDNSEnabled\":true}}",
			false },
		{ "GET " API "prefs", 200, "{\"CorpDNS\":true,\"AdvertiseRoutes\":[\"10.1.0.0/16\"]}",
			false },
		{ "GET " API "dns-servers", 200,
			"{\"Routes\":[{\"Suffix\":\".\",\"Servers\":[{\"Addr\":\"192.0.2.53:53\",\"Health\":"
			"\"checked\"}]}]}",
			false },
		{ "GET " API "netcheck", 200, "{\"Measured\":true,\"UDP\":true,\"PreferredDERP\":1}", false },
		{ "GET " API "dns-osconfig", 200, "{\"Mode\":\"direct\"}", false }, { 0 }
	};
	static const struct want rows[] = { { "doctor", CLI_OK,
		"ok     version  ropewalk and ropewalkd are of one version\n"
		"ok     state    this machine is in the network\n"
		"ok     server   the control server is connected\n"
		"ok     clock    the clock is plausible\n"
		"ok     udp      UDP gets out\n"
		"ok     relay    a relay is near\n"
		"ok     nat      the NAT here lets direct paths be\n"
		"ok     names    names of the mesh are found\n"
		"ok     internet a nameserver for names of the internet is there\n"
		"ok     routes   the server has approved all that is offered\n"
		"ok     health   ropewalkd complains of nothing\n",
		NULL } };
	check(well, rows, ARRAY_LEN(rows));
	static const struct fake_route ill[] = {
		{ "GET " API "status", 200,
			"{\"Version\":\"0.0.1\",\"BackendState\":\"Running\",\"Control\":\"waiting for x\","
			"\"Self\":{\"AllowedIPs\":[\"10.1.0.0/16\"]},"
			"\"CurrentTailnet\":{\"MagicDNSEnabled\":true},\"Health\":[\"h1\",\"" API_CLOCKS
			"2 days apart\"]}",
			false },
		{ "GET " API "prefs", 200,
			"{\"CorpDNS\":true,\"AdvertiseRoutes\":[\"10.1.0.0/16\",\"10.2.0.0/16\"]}", false },
		{ "GET " API "netcheck", 200,
			"{\"Measured\":true,\"UDP\":false,\"MappingVariesByDestIP\":true,\"PortNotMapped\":"
			"\"p1\"}",
			false },
		{ "GET " API "dns-servers", 200,
			"{\"Routes\":[{\"Suffix\":\"a.test\",\"Servers\":[{\"Addr\":\"10.0.0.1:53\","
			"\"Health\":\"well\"}]},"
			"{\"Suffix\":\".\",\"Servers\":[{\"Addr\":\"192.0.2.53:53\",\"Health\":\"held\"},"
			"{\"Addr\":\"192.0.2.54:53\",\"Health\":\"refuses\"}]}]}",
			false },
		{ "GET " API "dns-osconfig", 200, "{\"Mode\":\"off\"}", false }, { 0 }
	};
	static const char *const says[] = { "odd    version", "wrong  server   waiting for x\n", "odd    udp",
		"wrong  relay    no relay answers\n", "odd    nat", "to do: p1\n", "wrong  names",
		"odd    health   h1\n", "192.0.2.53:53 does not answer; the others are no better\n",
		"odd    routes   10.2.0.0/16 is offered, and the server has not approved it\n" };
	struct fake_api *f = fake_api_start(ill);
	struct result r = run_line(fake_api_socket(f), "doctor");
	assert_int_equal(r.code, CLI_FAILED);
	for (size_t i = 0; i < ARRAY_LEN(says); i++)
		if (!strstr(r.out, says[i]))
			fail_msg("%s is not in\n%s", says[i], r.out);
	assert_non_null(strstr(r.out, "odd    health   " API_CLOCKS "2 days apart\n"));
	assert_null(strstr(r.out, "the clock is plausible"));
	result_free(&r);
	fake_api_stop(f);
}

static void test_redact(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "{\"PublicKey\":\"" KEY("22ab") "\"}", "{\"PublicKey\":\"nodekey:22ab22ab...\"}" },
		{ "ann@example.com, bob", "a...@..., bob" },
		{ "a.b+c@d", "a...@..." },
		{ "100.64.0.1:41641 22ab22ab", "100.64.0.1:41641 22ab22ab" },
		{ "@", "@" },
		{ "", "" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = { 0 };
		assert_true(redact(rows[i].in, strlen(rows[i].in), &b));
		if (b.len && strcmp(buf_cstr(&b), rows[i].out) != 0)
			fail_msg("row %zu: %s", i, buf_cstr(&b));
		assert_int_equal(b.len, strlen(rows[i].out));
		buf_free(&b);
	}
}

static void test_bugreport(void **state)
{
	(void)state;
	static const struct fake_route routes[] = {
		{ "GET " API "status", 200, STATUS(PEER("22ab", "bob", "")), false }, { 0 }
	};
	char dir[] = "/tmp/rw-bugreport-XXXXXX", line[96], path[64], text[4096] = "";
	struct stat st;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/r.txt", dir);
	snprintf(line, sizeof(line), "bugreport --output %s", path);
	check(routes, (struct want[]) { { line, CLI_OK, NULL, NULL } }, 1);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_non_null(strstr(text, "ropewalk " RW_VERSION));
	assert_non_null(strstr(text, "nodekey:22ab22ab..."));
	assert_non_null(strstr(text, "=== netcheck ===\nno answer\n"));
	assert_null(strstr(text, "ann@"));
	assert_null(strstr(text, "22ab22ab22ab"));
	unlink(path);
	rmdir(dir);
}

/* An answer is read within bounds, whatever is in it. */
static void test_bounds(void **state)
{
#define DEEP10 "[[[[[[[[[["
#define FLAT10 "]]]]]]]]]]"
#define DEEP "[" DEEP10 DEEP10 DEEP10 DEEP10 FLAT10 FLAT10 FLAT10 FLAT10 "]"
	(void)state;
	static const struct fake_route deep[] = { { "GET " API "prefs", 200, "{\"x\":" DEEP "}", false },
		{ "GET " API "profiles/", 200, DEEP, false }, { "GET " API "file", 200, DEEP, false },
		{ "GET " API "suggest", 200, "{\"Name\":\"bob\",\"x\":" DEEP "}", false }, { 0 } };
	static const char why[] = "answer cannot be read: JSON text too large, too deep";
	static const struct want rows[] = {
		{ "get", CLI_FAILED, "", why },
		{ "switch --list", CLI_FAILED, "", why },
		{ "file cp --targets", CLI_FAILED, "", why },
		{ "file get /tmp", CLI_FAILED, "", why },
		{ "file get /dev/null", CLI_FAILED, "", why },
		{ "exit-node suggest", CLI_FAILED, "", why },
	};
	check(deep, rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_explain), cmocka_unit_test(test_doctor),
		cmocka_unit_test(test_redact), cmocka_unit_test(test_bugreport),
		cmocka_unit_test(test_bounds) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
