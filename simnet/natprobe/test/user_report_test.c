#include "simnet/natprobe/user_report.h"

#include "simnet/scenario/scenario.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct user_report report_of(const char *text)
{
	struct user_report r;
	struct errbuf eb = { 0 };
	if (user_report_read(text, strlen(text), &r, &eb))
		fail_msg("%s: %s", text, eb.text);
	return r;
}

static void test_reports(void **state)
{
	static const struct {
		const char *text;
		enum user_word udp, ipv6, varies, portmap, captive;
		int nearest_tenths;
	} rows[] = {
		/* official JSON */
		{ "{\"UDP\":true,\"IPv6\":false,\"MappingVariesByDestIP\":true,\"UPnP\":false,\"PMP\":true,"
		  "\"PCP\":null,"
		  "\"RegionLatency\":{\"1\":95000000,\"4\":18350000},\"CaptivePortal\":false}",
			USER_YES, USER_NO, USER_YES, USER_YES, USER_NO, 183 },
		{ "{\"UDP\":false,\"IPv6\":true,\"MappingVariesByDestIP\":\"\",\"UPnP\":\"\"}", USER_NO,
			USER_YES, USER_UNKNOWN, USER_UNKNOWN, USER_UNKNOWN, 0 },
		/* ours */
		{ "\n{\"Measured\":true,\"UDP\":true,\"IPv4\":true,\"IPv6\":false,\"MappingVariesByDestIP\":"
		  "false,"
		  "\"Regions\":[{\"RegionID\":900,\"LatencySeconds\":0.0123},{\"RegionID\":901,"
		  "\"LatencySeconds\":0}]}",
			USER_YES, USER_NO, USER_NO, USER_UNKNOWN, USER_UNKNOWN, 123 },
		/* text */
		{ "\nReport:\n\t* Time: x\n\t* UDP: true\n\t* IPv4: yes, 192.0.2.1:41641\n\t* IPv6: no, but "
		  "OS has support\n"
		  "\t* MappingVariesByDestIP: false\n\t* PortMapping: UPnP, NAT-PMP\n\t* CaptivePortal: "
		  "true\n"
		  "\t* Nearest DERP: Frankfurt\n\t* DERP latency:\n\t\t- fra: 17.6ms  (Frankfurt)\n\t\t- "
		  "nyc: no answer\n",
			USER_YES, USER_NO, USER_NO, USER_YES, USER_YES, 176 },
		{ "Report:\r\n  * UDP: false\r\n  * IPv4: (no addr found)\r\n  * IPv6: no\r\n  * "
		  "MappingVariesByDestIP: \r\n"
		  "  * PortMapping: \r\n",
			USER_NO, USER_NO, USER_UNKNOWN, USER_UNKNOWN, USER_UNKNOWN, 0 },
		/* what the client says besides, on the same terminal */
		{ "# Warning: this JSON format is not stable\n2026/11/29 portmap: monitor\n{\n\t\"UDP\": "
		  "true,\n\t"
		  "\"IPv6\": false\n}\n",
			USER_YES, USER_NO, USER_UNKNOWN, USER_UNKNOWN, USER_UNKNOWN, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct user_report r = report_of(rows[i].text);
		if (r.udp != rows[i].udp || r.ipv6 != rows[i].ipv6 || r.varies != rows[i].varies ||
			r.portmap != rows[i].portmap || r.captive != rows[i].captive ||
			(int)(r.nearest_ms * 10) != rows[i].nearest_tenths)
			fail_msg("row %zu: udp %d ipv6 %d varies %d portmap %d captive %d nearest %f", i,
				r.udp, r.ipv6, r.varies, r.portmap, r.captive, r.nearest_ms);
		assert_string_equal(r.kind, "netcheck");
	}
}

/* Of a bugreport the network's part is read, wherever it stands. */
static void test_bugreports(void **state)
{
	static const struct {
		const char *text;
		enum user_word udp, ipv6, varies, portmap;
		int nearest_tenths;
	} rows[] = {
		/* ours */
		{ "ropewalk 0.1.0\nLinux 6.1.0 x86_64\n\n=== status ===\n{\"UDP\":false}\n\n=== netcheck "
		  "===\n"
		  "{\"UDP\":true,\"IPv6\":false,\"MappingVariesByDestIP\":true,\"PMP\":null,\"Measured\":"
		  "true,"
		  "\"Regions\":[{\"RegionID\":900,\"LatencySeconds\":0.032}]}\n\n=== dns-config ===\n{\n",
			USER_YES, USER_NO, USER_YES, USER_UNKNOWN, 320 },
		{ "ropewalk 0.1.0\n\n=== netcheck ===\n{\"UDP\":false}\n", USER_NO, USER_UNKNOWN,
			USER_UNKNOWN, USER_UNKNOWN, 0 },
		/* the official daemon's log; the last one holds */
		{ "2026/11/29 control: NetInfo: NetInfo{varies=false ipv6=true ipv6os=true udp=true "
		  "portmap=UM "
		  "link=\"\"}\n"
		  "2026/11/29 user bugreport: BUG-1234\n2026/11/29 user bugreport hostinfo: "
		  "{\"OS\":\"linux\"}\n"
		  "2026/11/29 control: NetInfo: NetInfo{varies=true ipv6=false ipv6os=true udp=true "
		  "icmpv4=false "
		  "derp=#900 portmap= link=\"\" firewallmode=\"nft-forced\"}\n",
			USER_YES, USER_NO, USER_YES, USER_NO, 0 },
		{ "x NetInfo{varies= ipv6=false udp=false portmap=? derp=#1}", USER_NO, USER_NO, USER_UNKNOWN,
			USER_UNKNOWN, 0 },
		{ "x NetInfo{udp=true varies=false portmap=active-C}", USER_YES, USER_UNKNOWN, USER_NO,
			USER_YES, 0 },
		/* host information as a server has it */
		{ "{\"OS\":\"linux\",\"NetInfo\":{\"MappingVariesByDestIP\":true,\"WorkingIPv6\":true,"
		  "\"WorkingUDP\":true,\"HavePortMap\":true,\"DERPLatency\":{\"1-v4\":0.012,\"2-v6\":0.5}}}",
			USER_YES, USER_YES, USER_YES, USER_YES, 120 },
		{ "{\"WorkingUDP\":false,\"PCP\":false}", USER_NO, USER_UNKNOWN, USER_UNKNOWN, USER_NO, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct user_report r = report_of(rows[i].text);
		if (r.udp != rows[i].udp || r.ipv6 != rows[i].ipv6 || r.varies != rows[i].varies ||
			r.portmap != rows[i].portmap ||
			(int)(r.nearest_ms * 10 + .5) != rows[i].nearest_tenths)
			fail_msg("row %zu: udp %d ipv6 %d varies %d portmap %d nearest %f", i, r.udp, r.ipv6,
				r.varies, r.portmap, r.nearest_ms);
		assert_string_equal(r.kind, "bugreport");
	}
}

static void test_probe(void **state)
{
	struct user_report r = report_of(
		"{\"udp\":true,\"tcp\":true,\"ipv6\":false,\"translated\":true,\"outer\":\"1.2.3.4\","
		"\"mapping\":\"ADM\",\"filtering\":\"ADF\",\"ports\":\"hash\",\"hairpin\":\"external\"}");
	struct user_guess g = user_report_guess(&r);
	(void)state;

	assert_string_equal(r.kind, "probe");
	assert_int_equal(r.varies, USER_YES);
	assert_int_equal(r.hairpin, USER_YES);
	assert_int_equal(g.class.mapping, NAT_ADM);
	assert_int_equal(g.class.filtering, NAT_ADF);
	assert_false(g.udp_blocked);
}

static void test_malformed(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "this is no report" },
		{ "hello", "this is no report" },
		{ "{", "no JSON: line 1" },
		{ "{}", "neither 'UDP' (netcheck) nor 'translated'" },
		{ "{\"UDP\":true,\"UDP\":false}", "no JSON" },
		{ "\t* UDP: perhaps\n", "this is no report" },
		{ "[1]", "this is no report" },
		{ "{\"UDP\":false,\"Measured\":false}", "had not measured" },
		{ "{\"NetInfo\":7}", "nor 'NetInfo'" },
		{ "BUG-1234-20261129", "mark of a bugreport" },
		{ "x\n=== netcheck ===\nno answer\n\n=== prefs ===\n{\"UDP\":true}", "has no netcheck" },
		{ "x\n=== netcheck ===\n{\"UDP\":true\n\n=== prefs ===\n}", "no JSON" },
		{ "x\n=== netcheck ===\n{\"OS\":1}\n", "neither 'UDP'" },
		{ "NetInfo{udp=true}\nNetInfo{varies=true}\nudp=true", "whether UDP works" },
		{ "NetInfo{", "whether UDP works" },
		{ "NetInfo{varies=true\nudp=true}", "whether UDP works" },
		{ "NetInfo{  varies=true  ", "whether UDP works" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct user_report r = { .kind = "before" };
		struct errbuf eb = { 0 };
		if (user_report_read(rows[i].text, strlen(rows[i].text), &r, &eb) != ERR_MALFORMED ||
			!strstr(eb.text, rows[i].says) || strcmp(r.kind, "before") != 0)
			fail_msg("row %zu: %s", i, eb.text);
	}
}

static void test_differs(void **state)
{
	struct user_report r = report_of("{\"UDP\":true,\"MappingVariesByDestIP\":true}");
	static const struct {
		const char *seen, *differs;
	} rows[] = {
		{ "{\"udp\":true,\"translated\":true,\"mapping\":\"APDM\",\"filtering\":\"EIF\"}", NULL },
		{ "{\"udp\":true,\"translated\":true,\"mapping\":\"EIM\",\"filtering\":\"EIF\"}",
			"does not vary" },
		{ "{\"udp\":false,\"tcp\":true,\"translated\":true}", "UDP does not work" },
		{ "{\"udp\":true,\"translated\":false}", "not seen" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct user_report seen = report_of(rows[i].seen);
		const char *why = user_report_differs(&r, &seen);
		if (!why != !rows[i].differs || (why && !strstr(why, rows[i].differs)))
			fail_msg("row %zu: %s", i, why ? why : "nothing");
	}
	r.mapping = NAT_ADM;
	struct user_report seen = report_of(rows[0].seen);
	assert_string_equal(user_report_differs(&r, &seen), "the mapping is another");
}

/* Every report gives a scenario that reads, with the comments that it deserves. */
static void test_scenarios(void **state)
{
	static const struct {
		const char *text, *has;
	} rows[] = {
		{ "{\"UDP\":true,\"MappingVariesByDestIP\":true,\"IPv6\":true}", "ipv6: true" },
		{ "{\"UDP\":true,\"MappingVariesByDestIP\":false,\"UPnP\":true}", "port mapping service" },
		{ "{\"UDP\":false,\"CaptivePortal\":true}", "captive portal" },
		{ "{\"UDP\":false}", "udp: blocked" },
		{ "{\"UDP\":true}", "assumed: the report does not say" },
		{ "{\"UDP\":true,\"RegionLatency\":{\"1\":95000000,\"4\":18350000}}",
			"# The nearest relay was 18.4 ms away and back: 'link: {delay: 9ms}'" },
		{ "{\"udp\":true,\"translated\":false}", "nat: none" },
		{ "NetInfo{varies=true udp=true portmap=M}", "# Made from a bugreport. What" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct user_report r = report_of(rows[i].text);
		struct user_guess g = user_report_guess(&r);
		struct buf text = { 0 };
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		assert_true(user_report_scenario(&r, &g, "home", &text));
		if (!strstr(buf_cstr(&text), rows[i].has) ||
			scenario_parse("t.yaml", buf_cstr(&text), text.len, 0, &s, &eb))
			fail_msg("row %zu: %s\n%s", i, eb.text, buf_cstr(&text));
		scenario_free(&s);
		buf_free(&text);
	}
}

/* Of two mappings that a report fits, the other one is named. */
static void test_other_mapping(void **state)
{
	struct user_report r = report_of("{\"UDP\":true,\"MappingVariesByDestIP\":true}");
	static const struct {
		enum nat_mapping mapping;
		const char *has;
	} rows[] = { { NAT_ADM, "ADM         # report: it varies by destination; APDM would too" },
		{ NAT_APDM, "APDM        # report: it varies by destination; ADM would too" } };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct user_guess g = user_report_guess(&r);
		struct buf text = { 0 };
		g.class.mapping = rows[i].mapping;
		assert_true(user_report_scenario(&r, &g, "home", &text));
		if (!strstr(buf_cstr(&text), rows[i].has))
			fail_msg("row %zu: %s", i, buf_cstr(&text));
		buf_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_bugreports),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_differs),
		cmocka_unit_test(test_scenarios),
		cmocka_unit_test(test_other_mapping),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
