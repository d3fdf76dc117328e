#include "simnet/service/igd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_MS = 1000000 };
#define IP2 "urn:schemas-upnp-org:service:WANIPConnection:2"
#define IP1 "urn:schemas-upnp-org:service:WANIPConnection:1"
#define PPP "urn:schemas-upnp-org:service:WANPPPConnection:1"
#define IGD "urn:schemas-upnp-org:device:InternetGatewayDevice:"

static struct faults faults_of(const char *text)
{
	struct faults f;
	struct errbuf eb;
	if (faults_parse(SERVICE_PORTMAP, text, &f, &eb))
		fail_msg("%s: %s", text, eb.text);
	return f;
}

static void test_searches(void **state)
{
	static const struct {
		const char *faults, *target;
		size_t answers;
	} rows[] = {
		{ "", IGD "1", 1 },
		{ "", IGD "2", 1 },
		{ "", IGD "3", 0 },
		{ "", "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1", 1 },
		{ "v1", "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1", 0 },
		{ "", IP1, 1 },
		{ "", IP2, 1 },
		{ "", PPP, 0 },
		{ "", "upnp:rootdevice", 1 },
		{ "", "ssdp:all", 1 },
		{ "", "urn:schemas-upnp-org:device:MediaServer:1", 0 },
		{ "v1", IGD "2", 0 },
		{ "v1", IP2, 0 },
		{ "v1", IP1, 1 },
		{ "ppp", PPP, 1 },
		{ "roots", IGD "1", 2 },
		{ "root-only", IGD "1", 0 },
		{ "root-only", "ssdp:all", 0 },
		{ "root-only", "upnp:rootdevice", 1 },
		{ "dead", IGD "1", 0 },
		{ "no-upnp", IGD "1", 0 },
	};
	struct addr own = addr_v4(0xc0a80101);
	char out[IGD_ANSWERS_MAX][IGD_ANSWER_MAX], msg[256];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct faults f = faults_of(rows[i].faults);
		snprintf(msg, sizeof(msg),
			"M-SEARCH * HTTP/1.1\r\nHost: x\r\nman: \"ssdp:discover\"\r\nST: %s\r\n\r\n",
			rows[i].target);
		size_t n = igd_search(&f, &own, (const uint8_t *)msg, strlen(msg), out);
		if (n != rows[i].answers ||
			(n && !strstr(out[n - 1], "\r\nLOCATION: http://192.168.1.1:5000/root.xml\r\n")))
			fail_msg("row %zu: %zu answers", i, n);
	}
}

static void test_searches_hostile(void **state)
{
	static const char good[] = "M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nST: ssdp:all";
	static const char long_target[] =
		"M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nST: ssdp:all-"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
	static const char *const bad[] = {
		"NOTIFY * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nST: ssdp:all\r\n\r\n",
		"M-SEARCH * HTTP/1.1\r\nST: ssdp:all\r\n\r\n",
		"M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\n\r\n",
		"M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:byebye\"\r\nST: ssdp:all\r\n\r\n",
		long_target,
	};
	struct faults f = { 0 };
	struct addr own = addr_v4(0xc0a80101);
	char out[IGD_ANSWERS_MAX][IGD_ANSWER_MAX];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(igd_search(&f, &own, (const uint8_t *)bad[i], strlen(bad[i]), out), 0);
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_int_equal(igd_search(&f, &own, (const uint8_t *)good, n, out), 0);
	assert_int_equal(igd_search(&f, &own, (const uint8_t *)good, sizeof(good) - 1, out), 1);
}

struct bench {
	struct portmap map;
	struct igd_reply reply;
	bool changed;
	uint64_t now_ms;
};

static void ask(struct bench *b, const struct faults *f, uint32_t host, const char *action, const char *body)
{
	struct igd_request rq = { .method = "POST",
		.target = "/control",
		.action = action,
		.body = body,
		.body_len = strlen(body) };
	struct endpoint from = { .ip = addr_v4(0xc0a80100 + host), .port = 5 };
	struct addr own = addr_v4(0xc0a80101);
	igd_answer(&b->map, b->now_ms, f, &from, &own, &rq, &b->reply, &b->changed);
}

#define PORT(outer) "<NewExternalPort>" outer "</NewExternalPort><NewProtocol>UDP</NewProtocol>"
#define ADD(outer, inner, host, lease) \
	"<NewRemoteHost></NewRemoteHost>" PORT(outer) "<NewInternalPort>" inner \
						      "</NewInternalPort><NewInternalClient>192.168.1." host \
						      "</NewInternalClient><NewLeaseDuration>" lease \
						      "</NewLeaseDuration>"

/* Calls of one router after the other: who, what, and what it says. */
static void test_calls(void **state)
{
	static const struct {
		const char *faults; /* NULL: the same router goes on */
		uint32_t host;
		const char *action, *body, *says;
		size_t n; /* mappings, afterwards */
	} rows[] = {
		{ "", 2, "\"" IP2 "#GetExternalIPAddress\"", "", ">203.0.113.100<", 0 },
		{ NULL, 2, IP1 "#GetExternalIPAddress", "", ">203.0.113.100<", 0 },
		{ NULL, 2, "\"" IP2 "#GetStatusInfo\"", "", ">Connected<", 0 },
		{ NULL, 2, "\"" IP2 "#GetSpecificPortMappingEntry\"", PORT("7000"), ">714<", 0 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", ADD("7000", "7001", "2", "60"),
			"<u:AddPortMappingResponse", 1 },
		{ NULL, 3, "\"" IP2 "#GetSpecificPortMappingEntry\"", PORT("7000"),
			"<NewInternalPort>7001</NewInternalPort><NewInternalClient>192.168.1.2<", 1 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", ADD("7000", "7001", "2", "60"), "Response", 1 },
		{ NULL, 3, "\"" IP2 "#AddPortMapping\"", ADD("7000", "7001", "3", "60"), ">718<", 1 },
		{ NULL, 3, "\"" IP2 "#AddAnyPortMapping\"", ADD("7000", "7001", "3", "60"), ">20000<", 2 },
		{ NULL, 3, "\"" IP2 "#DeletePortMapping\"", PORT("7000"), ">606<", 2 },
		{ NULL, 2, "\"" IP2 "#DeletePortMapping\"", PORT("7000"), "Response", 1 },
		{ NULL, 2, "\"" IP2 "#DeletePortMapping\"", PORT("7000"), ">714<", 1 },
		{ NULL, 3, "\"" IP2 "#AddPortMapping\"", ADD("7000", "7001", "2", "60"), ">606<", 1 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", ADD("0", "7001", "2", "60"), ">402<", 1 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", ADD("70000", "7001", "2", "60"), ">402<", 1 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", ADD("7000", "0", "2", "60"), ">402<", 1 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", ADD("7000", "7001", "x", "60"), ">402<", 1 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", PORT("7000"), ">402<", 1 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", "<NewExternalPort", ">402<", 1 },
		{ NULL, 2, "\"" IP2 "#Reboot\"", "", ">401<", 1 },
		{ NULL, 2, "\"" PPP "#GetExternalIPAddress\"", "", ">401<", 1 },
		{ NULL, 2, "", "", ">401<", 1 },
		{ "v1", 2, "\"" IP2 "#GetExternalIPAddress\"", "", ">401<", 0 },
		{ NULL, 2, "\"" IP1 "#AddAnyPortMapping\"", ADD("7", "7", "2", "0"), ">401<", 0 },
		{ "ppp", 2, "\"" PPP "#AddPortMapping\"", ADD("7", "7", "2", "0"), "Response", 1 },
		{ "permanent", 2, "\"" IP2 "#AddPortMapping\"", ADD("7", "7", "2", "60"), ">725<", 0 },
		{ NULL, 2, "\"" IP2 "#AddPortMapping\"", ADD("7", "7", "2", "0"), "Response", 1 },
		{ "conflict", 2, "\"" IP2 "#AddPortMapping\"", ADD("7", "7", "2", "60"), ">718<", 0 },
		{ "other-port", 2, "\"" IP2 "#AddPortMapping\"", ADD("7", "7", "2", "60"), ">718<", 0 },
		{ NULL, 2, "\"" IP2 "#AddAnyPortMapping\"", ADD("7", "7", "2", "60"), ">20000<", 1 },
		{ "unconfirmed", 2, "\"" IP2 "#AddPortMapping\"", ADD("7", "7", "2", "60"), ">501<", 1 },
		{ "refuse", 2, "\"" IP2 "#AddPortMapping\"", ADD("7", "7", "2", "60"), ">606<", 0 },
		{ "no-outer", 2, "\"" IP2 "#GetExternalIPAddress\"", "",
			"<NewExternalIPAddress></NewExternalIPAddress>", 0 },
		{ "outer=10.1.2.3", 2, "\"" IP2 "#GetExternalIPAddress\"", "", ">10.1.2.3<", 0 },
		{ "status=503", 2, "\"" IP2 "#GetExternalIPAddress\"", "", "", 0 },
	};
	struct bench b = { 0 };
	struct faults f = { 0 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].faults) {
			f = faults_of(rows[i].faults);
			b = (struct bench) { .map = { .outer = addr_v4(0xcb007164) }, .now_ms = NOW_MS };
		}
		size_t before = b.map.n;
		ask(&b, &f, rows[i].host, rows[i].action, rows[i].body);
		bool fault = strstr(b.reply.body, "<s:Fault>");
		if (!strstr(b.reply.body, rows[i].says) || b.map.n != rows[i].n ||
			(before != b.map.n && !b.changed) ||
			b.reply.status != (f.status	  ? f.status
						  : fault ? 500
							  : 200))
			fail_msg("row %zu: %u %s, %zu mappings", i, b.reply.status, b.reply.body, b.map.n);
	}
}

#define HOLE(peer, peer_port, client, port, proto, lease) \
	"<u:AddPinhole><RemoteHost>" peer "</RemoteHost><RemotePort>" peer_port \
	"</RemotePort><InternalClient>" client "</InternalClient><InternalPort>" port \
	"</InternalPort><Protocol>" proto "</Protocol><LeaseTime>" lease "</LeaseTime>"
#define FW "\"urn:schemas-upnp-org:service:WANIPv6FirewallControl:1#"

/* The same of the IPv6 firewall, asked by 2001:db8::HOST; 0: by IPv4. */
static void test_pinholes(void **state)
{
	static const struct {
		const char *faults;
		uint8_t host;
		const char *action, *body, *says;
		size_t n;
	} rows[] = {
		{ "", 2, FW "GetFirewallStatus\"", "", ">1</FirewallEnabled><InboundPinholeAllowed>1<", 0 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "17", "60"),
			"<u:AddPinholeResponse "
			"xmlns:u=\"urn:schemas-upnp-org:service:WANIPv6FirewallControl:1\">"
			"<UniqueID>1<",
			1 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("*", "0", "2001:db8:0::2", "7000", "17", "90"), ">1<", 1 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("2001:db8:f::9", "53", "2001:db8::2", "7000", "17", "60"),
			">2<", 2 },
		{ NULL, 3, FW "AddPinhole\"", HOLE("", "0", "2001:db8::3", "7000", "6", "86400"), ">3<", 3 },
		{ NULL, 3, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "6", "60"), ">606<", 3 },
		{ NULL, 0, FW "AddPinhole\"", HOLE("", "0", "192.168.1.2", "7000", "6", "60"), ">402<", 3 },
		{ NULL, 0, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "6", "60"), ">606<", 3 },
		{ NULL, 3, FW "AddPinhole\"", HOLE("", "0", "2001:db8::3", "1023", "6", "60"), ">606<", 3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "0", "17", "60"), ">706<", 3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "", "7000", "17", "60"), ">708<", 3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "*", "7000", "17", "60"), ">708<", 3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "65535", "60"), ">707<",
			3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "132", "60"), ">705<", 3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "17", "0"), ">402<", 3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "17", "86401"), ">402<",
			3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "nobody", "7000", "17", "60"), ">402<", 3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("192.0.2.1", "0", "2001:db8::2", "7000", "17", "60"),
			">402<", 3 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "70000", "2001:db8::2", "7000", "17", "60"), ">402<",
			3 },
		{ NULL, 2, FW "AddPinhole\"", "<RemoteHost></RemoteHost>", ">402<", 3 },
		{ NULL, 3, FW "UpdatePinhole\"", "<UniqueID>2</UniqueID><NewLeaseTime>5</NewLeaseTime>",
			">606<", 3 },
		{ NULL, 2, FW "UpdatePinhole\"", "<UniqueID>2</UniqueID><NewLeaseTime>5</NewLeaseTime>",
			"<u:UpdatePinholeResponse", 3 },
		{ NULL, 2, FW "UpdatePinhole\"", "<UniqueID>2</UniqueID>", ">402<", 3 },
		{ NULL, 2, FW "UpdatePinhole\"", "<UniqueID>9</UniqueID><NewLeaseTime>5</NewLeaseTime>",
			">704<", 3 },
		{ NULL, 2, FW "DeletePinhole\"", "<UniqueID>3</UniqueID>", ">606<", 3 },
		{ NULL, 3, FW "DeletePinhole\"", "<UniqueID>3</UniqueID>", "<u:DeletePinholeResponse", 2 },
		{ NULL, 3, FW "DeletePinhole\"", "<UniqueID>3</UniqueID>", ">704<", 2 },
		{ NULL, 3, FW "DeletePinhole\"", "<UniqueID>0</UniqueID>", ">704<", 2 },
		{ NULL, 3, FW "DeletePinhole\"", "", ">402<", 2 },
		{ NULL, 3, FW "AddPortMapping\"", "", ">401<", 2 },
		{ NULL, 3, "\"" IP2 "#AddPinhole\"", HOLE("", "0", "2001:db8::3", "7", "17", "60"), ">401<",
			2 },
		{ "refuse", 2, FW "GetFirewallStatus\"", "", "<InboundPinholeAllowed>0<", 0 },
		{ NULL, 2, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "17", "60"), ">703<", 0 },
		{ "v1", 2, FW "AddPinhole\"", HOLE("", "0", "2001:db8::2", "7000", "17", "60"), ">401<", 0 },
	};
	struct bench b = { .now_ms = NOW_MS };
	struct faults f = { 0 };
	struct buf rules = { 0 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct igd_request rq = { .method = "POST",
			.target = "/firewall",
			.action = rows[i].action,
			.body = rows[i].body,
			.body_len = strlen(rows[i].body) };
		struct endpoint from = { .ip = { { 0x20, 1, 0xd, 0xb8, [15] = rows[i].host } }, .port = 5 };
		struct addr own = addr_v4(0xc0a80101);
		if (!rows[i].host)
			from.ip = addr_v4(0xc0a80102);
		if (rows[i].faults) {
			b = (struct bench) { .map = { .outer = addr_v4(0xcb007164) }, .now_ms = NOW_MS };
			f = faults_of(rows[i].faults);
		}
		igd_answer(&b.map, b.now_ms, &f, &from, &own, &rq, &b.reply, &b.changed);
		if (!strstr(b.reply.body, rows[i].says) || b.map.n != rows[i].n)
			fail_msg("row %zu: %u %s, %zu mappings", i, b.reply.status, b.reply.body, b.map.n);
		if (i == 4) {
			assert_true(portmap_rules(&b.map, &rules));
			assert_non_null(
				strstr(buf_cstr(&rules), "ip6 daddr 2001:db8::2 udp dport 7000 accept"));
			assert_non_null(
				strstr(buf_cstr(&rules), "ip6 daddr 2001:db8::2 udp dport 7000 ip6 saddr "
							 "2001:db8:f::9 udp sport 53 accept"));
			assert_int_equal(b.map.v[0].expires_ms, NOW_MS + 90000);
		}
	}
	buf_free(&rules);
}

/* As many as there is room for, each with a number of its own, also when they have been counted round. */
static void test_pinhole_numbers(void **state)
{
	struct portmap p = { .last_id = UINT16_MAX - 1 };
	struct endpoint inner = { .ip = { { 0x20, 1 } } }, any = { 0 };
	(void)state;

	for (int i = 1; i <= PORTMAP_MAX; i++) {
		inner.port = (uint16_t)i;
		const struct portmap_entry *e = portmap_open(&p, NOW_MS, 17, &inner, &any, 60);
		assert_true(e && e->id == (uint16_t)(i == 1 ? UINT16_MAX : i - 1));
		assert_ptr_equal(portmap_pinhole(&p, e->id), e);
	}
	inner.port = PORTMAP_MAX + 1;
	assert_null(portmap_open(&p, NOW_MS, 17, &inner, &any, 60));
	inner.port = 1;
	assert_non_null(portmap_open(&p, NOW_MS, 17, &inner, &any, 60));
	assert_int_equal(p.n, PORTMAP_MAX);
}

static void test_lives(void **state)
{
	struct bench b = { .map = { .outer = addr_v4(0xcb007164) }, .now_ms = NOW_MS };
	struct faults f = { 0 };
	char body[512];
	(void)state;

	ask(&b, &f, 2, "\"" IP2 "#AddPortMapping\"", ADD("7", "7", "2", "10"));
	ask(&b, &f, 2, "\"" IP2 "#AddPortMapping\"", ADD("8", "8", "2", "0"));
	ask(&b, &f, 2, "\"" IP2 "#GetSpecificPortMappingEntry\"", PORT("8"));
	assert_non_null(strstr(b.reply.body, "<NewLeaseDuration>0<"));
	assert_true(portmap_expire(&b.map, NOW_MS + 10000));
	assert_int_equal(b.map.n, 1);
	for (int i = 0; i < PORTMAP_MAX + 10; i++) {
		snprintf(body, sizeof(body), ADD("%d", "9", "2", "0"), 1000 + i);
		ask(&b, &f, 2, "\"" IP2 "#AddPortMapping\"", body);
	}
	assert_int_equal(b.map.n, PORTMAP_MAX);
	assert_non_null(strstr(b.reply.body, ">501<"));
	assert_false(b.changed);
}

static void test_descriptions(void **state)
{
	static const struct {
		const char *faults, *target, *says;
		unsigned status;
	} rows[] = {
		{ "", "/root.xml", "<serviceType>" IP2 "</serviceType>", 200 },
		{ "", "/root.xml", "<controlURL>/control</controlURL>", 200 },
		{ "", "/root.xml", "<controlURL>/firewall</controlURL>", 200 },
		{ "v1", "/root.xml", "<serviceType>" IP1 "</serviceType>", 200 },
		{ "ppp", "/root.xml", "<serviceType>" PPP "</serviceType>", 200 },
		{ "dead-control", "/root.xml", "<controlURL>http://192.168.1.1:5001/control</controlURL>",
			200 },
		{ "", "/other.xml", "WFADevice", 200 },
		{ "", "/", "", 404 },
		{ "", "/control", "", 404 },
		{ "no-upnp", "/root.xml", "", 404 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct faults f = faults_of(rows[i].faults);
		struct bench b = { .now_ms = NOW_MS };
		struct igd_request rq = {
			.method = "GET", .target = rows[i].target, .action = "", .body = ""
		};
		struct endpoint from = { .ip = addr_v4(0xc0a80102), .port = 5 };
		struct addr own = addr_v4(0xc0a80101);
		igd_answer(&b.map, b.now_ms, &f, &from, &own, &rq, &b.reply, &b.changed);
		if (b.reply.status != rows[i].status || !strstr(b.reply.body, rows[i].says))
			fail_msg("row %zu: %u %s", i, b.reply.status, b.reply.body);
	}
}

static void test_profiles(void **state)
{
	struct faults f = faults_of("like=mikrotik,slow=1s");
	struct errbuf eb;
	(void)state;

	assert_true(f.permanent && f.v1 && f.no_pmp && f.no_pcp && f.slow_ms == 1000);
	assert_false(f.ppp);
	assert_int_equal(faults_parse(SERVICE_PORTMAP, "like=nobody", &f, &eb), -EINVAL);
	assert_string_equal(eb.text, "'like' wants like=ROUTER");
	assert_int_equal(faults_parse(SERVICE_PORTMAP, "like", &f, &eb), -EINVAL);
	assert_int_equal(faults_parse(SERVICE_DNS, "like=mikrotik", &f, &eb), -EINVAL);
	FILE *all = tmpfile(); /* each of them can be read */
	char line[256], name[64];
	assert_non_null(all);
	faults_print_profiles(all);
	rewind(all);
	while (fgets(line, sizeof(line), all)) {
		assert_int_equal(sscanf(line, " %40s", name), 1);
		char one[80];
		snprintf(one, sizeof(one), "like=%s", name);
		(void)faults_of(one);
	}
	fclose(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_searches),
		cmocka_unit_test(test_searches_hostile),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_pinholes),
		cmocka_unit_test(test_pinhole_numbers),
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_profiles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
