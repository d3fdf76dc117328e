/* exit-node list: where exits are, and which of a city are shown. */
#include "mesh/base/key.h"
#include "mesh/cli/test/line.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define K64(c) \
	c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c c c c c c c c c c c c
#define PEER(n, host, more) \
	"\"nodekey:" K64(n) "\":{\"ID\":\"n" n "\",\"DNSName\":\"" host \
			    ".mesh.test.\",\"TailscaleIPs\":[\"100." \
			    "64.0." n "\"],\"ExitNodeOption\":true" more "}"
#define AT(country, code, city, priority) \
	",\"Location\":{\"Country\":\"" country "\",\"CountryCode\":\"" code "\",\"City\":\"" city \
	"\",\"Priority\":" priority "}"
#define ON ",\"Online\":true"

#define STATUS(peers) "{\"BackendState\":\"Running\",\"Peer\":{" peers "}}"
static const char many[] =
	STATUS(PEER("1", "zoe", ON) "," PEER("2", "gva", ON AT("Switzerland", "CH", "Geneva", "5")) "," PEER(
		"3", "zrh1", ON AT("Switzerland", "CH", "Zurich", "10")) "," PEER("4", "zrh2",
		ON AT("Switzerland", "CH", "Zurich", "20")) "," PEER("5", "zrh3",
		ON ",\"ExitNode\":true" AT("Switzerland", "CH", "Zurich", "1")) "," PEER("6", "sto",
		AT("Sweden", "SE", "Stockholm\\u001b[2J", "1")) "," PEER("7", "amy", ""));
static const char none[] = STATUS("\"nodekey:" K64("1") "\":{\"DNSName\":\"bob.mesh.test.\"}");

#define NOTES \
	"\n# All of a country: ropewalk exit-node list --filter=COUNTRY\n" \
	"# To use one: ropewalk set --exit-node=NAME\n" \
	"# To have one suggested: ropewalk exit-node suggest\n"

static void test_list(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { "GET /localapi/v0/status", 200, many, false }, { 0 } };
	static const struct want rows[] = {
		{ "exit-node list", CLI_OK,
			"\n IP             HOSTNAME           COUNTRY         CITY              STATUS\n"
			" 100.64.0.7     amy.mesh.test      -               -                 offline\n"
			" 100.64.0.1     zoe.mesh.test      -               -                 -\n"
			" 100.64.0.6     sto.mesh.test      Sweden          Stockholm?[2J     offline\n"
			" 100.64.0.4     zrh2.mesh.test     Switzerland     Any               -\n"
			" 100.64.0.2     gva.mesh.test      Switzerland     Geneva            -\n"
			" 100.64.0.4     zrh2.mesh.test     Switzerland     Zurich            -\n"
			" 100.64.0.5     zrh3.mesh.test     Switzerland     Zurich            "
			"selected\n" NOTES,
			NULL },
		{ "exit-node list --filter switzerland", CLI_OK,
			"\n IP             HOSTNAME           COUNTRY         CITY       STATUS\n"
			" 100.64.0.4     zrh2.mesh.test     Switzerland     Any        -\n"
			" 100.64.0.2     gva.mesh.test      Switzerland     Geneva     -\n"
			" 100.64.0.4     zrh2.mesh.test     Switzerland     Zurich     -\n"
			" 100.64.0.3     zrh1.mesh.test     Switzerland     Zurich     -\n"
			" 100.64.0.5     zrh3.mesh.test     Switzerland     Zurich     selected\n" NOTES,
			NULL },
		{ "exit-node list --json --filter=se", CLI_OK,
			"[{\"ID\":\"n6\",\"Name\":\"sto.mesh.test.\",\"IP\":\"100.64.0.6\",\"Country\":"
			"\"Sweden\",\"City\":\"Stockholm\\u001b[2J\",\"Online\":false,\"InUse\":false}]\n",
			NULL },
		{ "exit-node list --filter=Atlantis", CLI_FAILED, "", "says that it is in Atlantis" },
		{ "exit-node list --json --filter=Atlantis", CLI_OK, "[]\n", NULL },
		{ "set --exit-node=auto:any", CLI_FAILED, "",
			"--exit-node=auto:any: no exit is chosen by itself here" },
		{ "set --exit-node=auto:x", CLI_FAILED, "", "ropewalk exit-node suggest names the nearest" },
		{ "exit-node suggest --filter=se", CLI_USAGE, "", "exit-node list, or exit-node suggest" },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

static void test_none(void **state)
{
	(void)state;
	static const struct fake_route routes[] = { { "GET /localapi/v0/status", 200, none, false }, { 0 } };
	static const struct want rows[] = {
		{ "exit-node list", CLI_FAILED, "", "no machine of this network may be an exit" },
		{ "exit-node list --json", CLI_OK, "[]\n", NULL },
	};
	check(routes, rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_list), cmocka_unit_test(test_none) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
