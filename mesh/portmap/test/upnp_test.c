/* Answers of gateways as miniupnpd and the WANIPConnection papers have them, and worse ones. */
#include "mesh/portmap/upnp.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct addr router = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 1 } };
static const struct addr self = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 7 } };

static void test_found(void **state)
{
	(void)state;
	static const struct {
		const char *text, *path; /* NULL: none */
		uint16_t port;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nST: x\r\nLOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n",
			"/rootDesc.xml", 5000 },
		{ "HTTP/1.1 200 OK\r\nLocation:http://192.168.1.1/a?b=c\r\n", "/a?b=c", 80 },
		{ "HTTP/1.1 200 OK\nlocation: \t http://192.168.1.1:1", "/", 1 },
		{ "HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.2:5000/rootDesc.xml\r\n\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nLOCATION: http://evil.test:5000/x\r\n\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1@evil.test/x\r\n\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nLOCATION: https://192.168.1.1/x\r\n\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nLOCATION: file:///etc/passwd\r\n\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1:0/x\r\n\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1:70000/x\r\n\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1/x HTTP/1.1\r\nEvil: y\r\n\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nST: x\r\n\r\n", NULL, 0 },
		{ "NOTIFY * HTTP/1.1\r\nLOCATION: http://192.168.1.1/x\r\n\r\n", NULL, 0 },
		{ "HTTP/1.", NULL, 0 },
		{ "", NULL, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct upnp_url u = { .port = 7 };
		bool found =
			upnp_found_read((const uint8_t *)rows[i].text, strlen(rows[i].text), &router, &u);
		if (found != (rows[i].path != NULL) || (found && strcmp(u.path, rows[i].path) != 0) ||
			u.port != (found ? rows[i].port : 7))
			fail_msg("row %zu: %d %u %s", i, found, u.port, u.path);
	}
}

#define TYPE "urn:schemas-upnp-org:service:"
#define SERVICE(type, url) \
	"<service><serviceType>" TYPE type "</serviceType><serviceId>x</serviceId><controlURL>" url \
	"</controlURL></service>"
#define AROUND(base, services) \
	"<?xml version=\"1.0\"?>\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\">" base \
	"<device><serviceList>" services "</serviceList></device></root>"

static void test_description(void **state)
{
	(void)state;
	static const struct {
		const char *xml, *path;
		size_t n;
		uint16_t port;
	} rows[] = {
		{ AROUND("", SERVICE("Layer3Forwarding:1", "/ctl/L3F")
				     SERVICE("WANIPConnection:1", "/ctl/IPConn")),
			"/ctl/IPConn", 1, 5000 },
		{ AROUND("", SERVICE("WANPPPConnection:1", "ppp") SERVICE("WANIPConnection:2", "/ip")),
			"/d/ppp", 2, 5000 },
		{ AROUND("<URLBase>http://192.168.1.1:80/</URLBase>", SERVICE("WANIPConnection:1", "ctl")),
			"/ctl", 1, 80 },
		{ AROUND("<URLBase>http://10.9.9.9:80/</URLBase>", SERVICE("WANIPConnection:1", "/ctl")),
			"/ctl", 1, 5000 },
		{ AROUND("", SERVICE("WANIPConnection:1", "http://192.168.1.1:81/c")), "/c", 1, 81 },
		{ AROUND("", SERVICE("WANIPConnection:1", "http://10.9.9.9:81/c")), NULL, 0, 0 },
		{ AROUND("", SERVICE("WANIPConnection:1", "/a b")), NULL, 0, 0 },
		{ AROUND("", SERVICE("WANIPConnection:1", "")), NULL, 0, 0 },
		{ AROUND("", SERVICE("WANIPConnection:1\"", "/c")), NULL, 0, 0 },
		{ AROUND("", "<service><controlURL>/c</controlURL></service>"), NULL, 0, 0 },
		{ AROUND("", "<u:service a='1'><u:serviceType> " TYPE "WANIPConnection:1 </u:serviceType>"
			     "<u:controlURL>\n/c\n</u:controlURL></u:service>"),
			"/c", 1, 5000 },
		{ "<!DOCTYPE a [<!ENTITY b \"cccc\"><!ENTITY d \"&b;&b;\">]>"
		  "<service><serviceType>&d;</serviceType><controlURL>&d;</controlURL></service>",
			NULL, 0, 0 },
		{ "<service><service><service>", NULL, 0, 0 },
		{ "<service", NULL, 0, 0 },
		{ "<", NULL, 0, 0 },
		{ "", NULL, 0, 0 },
	};
	const struct upnp_url at = { .port = 5000, .path = "/d/root.xml" };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct upnp_service s[UPNP_SERVICES] = { 0 };
		size_t n = upnp_description_read(rows[i].xml, strlen(rows[i].xml), &router, &at, s);
		if (n != rows[i].n || (n && (strcmp(s[0].control.path, rows[i].path) != 0 ||
						    s[0].control.port != rows[i].port)))
			fail_msg("row %zu: %zu %s %u", i, n, s[0].control.path, s[0].control.port);
	}
}

/* 64 KiB that never ends what it begins is read in one go. */
static void test_description_is_bounded(void **state)
{
	(void)state;
	static const char piece[] = "<service><serviceType>";
	size_t n = 4 * UPNP_BODY_MAX;
	char *xml = malloc(n);
	struct upnp_service s[UPNP_SERVICES];
	const struct upnp_url at = { .port = 80, .path = "/" };
	assert_non_null(xml);
	for (size_t i = 0; i < n; i++)
		xml[i] = piece[i % (sizeof(piece) - 1)];
	assert_int_equal(upnp_description_read(xml, n, &router, &at, s), 0);
	free(xml);
}

#define SERVICE_HEAD "<service><serviceType>" TYPE
#define SERVICE_TAIL "</serviceType><controlURL>/c</controlURL></service>"

/* --- the talk: what the router says, and what is said to it --- */

struct said {
	enum upnp_step step;
	int status;
	const char *body;
};
#define FAULT(code) \
	"<s:Fault><detail><UPnPError><errorCode>" code "</errorCode></UPnPError></detail></s:Fault>"
#define ADDRESS "<u:r><NewExternalIPAddress>203.0.113.9</NewExternalIPAddress></u:r>"
#define NOBODYS \
	{ \
		UPNP_LOOK, 500, FAULT("714") \
	}
#define FINE \
	{ \
		UPNP_ADD, 200, "<u:AddPortMappingResponse/>" \
	}

/* The services of a router whose connections are these, as they are read of its description. */
static struct upnp_talk router_of(const char *connection)
{
	struct upnp_talk t = { .n_services = 0 };
	const struct upnp_url at = { .port = 1, .path = "/" };
	char xml[512];
	snprintf(xml, sizeof(xml), "%s%s%s%s%s", SERVICE_HEAD, connection, SERVICE_TAIL, SERVICE_HEAD,
		connection);
	snprintf(xml + strlen(xml), sizeof(xml) - strlen(xml), "%s", SERVICE_TAIL);
	t.n_services = upnp_description_read(xml, strlen(xml), &router, &at, t.services);
	assert_int_equal(t.n_services, 2);
	return t;
}

static struct upnp_talk talk_of(const char *connection, const struct said *said, size_t n)
{
	struct upnp_talk t = router_of(connection);
	struct upnp_request rq;
	upnp_talk_begin(&t, &self, 41641, 41641, 7200);
	for (size_t i = 0; i < n && said[i].body && t.step != UPNP_OVER; i++) {
		if (t.step != said[i].step)
			fail_msg("step %zu is %d", i, t.step);
		upnp_talk_request(&t, &rq);
		assert_true(strlen(rq.body) < sizeof(rq.body) - 1);
		upnp_talk_answered(&t, said[i].status, said[i].body, strlen(said[i].body));
	}
	return t;
}

static void test_talks(void **state)
{
	(void)state;
	static const struct {
		struct said said[8];
		bool done;
		uint16_t outer; /* 0: another than was asked for */
		uint32_t lease_s;
		const char *why;
	} rows[] = {
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, FINE }, true, 41641, 7200, "" },
		/* ours of before a restart */
		{ { { UPNP_ADDRESS, 200, ADDRESS },
			  { UPNP_LOOK, 200,
				  "<NewInternalPort>41641</NewInternalPort>"
				  "<NewInternalClient>192.168.1.7</NewInternalClient>" },
			  FINE },
			true, 41641, 7200, "" },
		/* another host's; another program's here */
		{ { { UPNP_ADDRESS, 200, ADDRESS },
			  { UPNP_LOOK, 200, "<NewInternalClient>192.168.1.8</NewInternalClient>" }, NOBODYS,
			  FINE },
			true, 0, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS },
			  { UPNP_LOOK, 200,
				  "<NewInternalPort>41642</NewInternalPort>"
				  "<NewInternalClient>192.168.1.7</NewInternalClient>" },
			  NOBODYS, FINE },
			true, 0, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("718") }, NOBODYS, FINE },
			true, 0, 7200, "" },
		/* no leases; said in two ways */
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("725") }, FINE }, true,
			41641, 0, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("402") }, FINE }, true,
			41641, 0, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("402") },
			  { UPNP_ADD, 500, FAULT("402") } },
			false, 41641, 0, "it refuses with error 402" },
		/* the second of two connections is the one in use */
		{ { { UPNP_ADDRESS, 500, FAULT("501") }, { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, FINE },
			true, 41641, 7200, "" },
		{ { { UPNP_ADDRESS, 200, "<NewExternalIPAddress></NewExternalIPAddress>" },
			  { UPNP_ADDRESS, 200, "<NewExternalIPAddress/>" } },
			false, 41641, 7200, "it has no address outside" },
		{ { { UPNP_ADDRESS, 200, "<NewExternalIPAddress>10.0.0.2</NewExternalIPAddress>" } }, false,
			41641, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("606") } }, false, 41641,
			7200, "refused by its settings" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 0, "" }, { UPNP_CONFIRM, 0, "" } },
			false, 41641, 7200, "no answer to a request" },
		/* it maps, and says that it has failed, or nothing; it has failed; another was faster */
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("501") },
			  { UPNP_CONFIRM, 200,
				  "<NewInternalPort>41641</NewInternalPort>"
				  "<NewInternalClient>192.168.1.7</NewInternalClient>" } },
			true, 41641, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 0, "" },
			  { UPNP_CONFIRM, 200, "<NewInternalClient>192.168.1.7</NewInternalClient>" } },
			true, 41641, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("501") },
			  { UPNP_CONFIRM, 500, FAULT("714") } },
			false, 41641, 7200, "it refuses with error 501" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("501") },
			  { UPNP_CONFIRM, 200, "<NewInternalClient>192.168.1.8</NewInternalClient>" } },
			false, 41641, 7200, "it refuses with error 501" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("501") },
			  { UPNP_CONFIRM, 200, "" } },
			false, 41641, 7200, "it refuses with error 501" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("718") },
			  { UPNP_LOOK, 200, "<NewInternalClient>192.168.1.8</NewInternalClient>" }, NOBODYS,
			  { UPNP_ADD, 500, FAULT("718") },
			  { UPNP_LOOK, 200, "<NewInternalClient>192.168.1.8</NewInternalClient>" } },
			false, 0, 7200, "each port that was asked for is another's" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, { UPNP_LOOK, 0, "" } }, false, 41641, 7200,
			"no answer to a request" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 404, FAULT("200") },
			  { UPNP_CONFIRM, 500, FAULT("714") } },
			false, 41641, 7200, "it refuses with error 404" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct upnp_talk t = talk_of("WANIPConnection:1", rows[i].said, ARRAY_LEN(rows[i].said));
		if (t.step != UPNP_OVER || t.done != rows[i].done || strcmp(t.why, rows[i].why) != 0 ||
			t.lease_s != rows[i].lease_s || (rows[i].outer != 0) != (t.outer == 41641))
			fail_msg("row %zu: step %d, done %d, port %u, lease %u, %s", i, t.step, t.done,
				t.outer, t.lease_s, t.why);
	}
}

#define ANOTHERS \
	{ \
		UPNP_LOOK, 200, "<NewInternalClient>192.168.1.8</NewInternalClient>" \
	}
#define RESERVED(port) \
	"<u:AddAnyPortMappingResponse><NewReservedPort>" port \
	"</NewReservedPort></u:AddAnyPortMappingResponse>"

/* An IGD 2 says which port is nobody's, if it can. */
static void test_any(void **state)
{
	(void)state;
	static const struct {
		struct said said[8];
		bool done;
		uint16_t outer; /* 0: one of ours, another than was asked for */
		uint32_t lease_s;
		const char *why;
	} rows[] = {
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, FINE }, true, 41641, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, NOBODYS, { UPNP_ADD, 500, FAULT("718") },
			  { UPNP_ANY, 200, RESERVED("20000") } },
			true, 20000, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 200, RESERVED("20001") } }, true,
			20001, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 500, FAULT("725") },
			  { UPNP_ANY, 200, RESERVED("20001") } },
			true, 20001, 0, "" },
		/* it does not know the call, or says nothing of use: as an IGD 1 */
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 500, FAULT("401") }, NOBODYS,
			  FINE },
			true, 0, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 200, RESERVED("0") }, NOBODYS,
			  FINE },
			true, 0, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 200, RESERVED("65536") }, NOBODYS,
			  FINE },
			true, 0, 7200, "" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 200, "" }, NOBODYS, FINE }, true, 0,
			7200, "" },
		/* once */
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 500, FAULT("728") }, ANOTHERS,
			  ANOTHERS, ANOTHERS },
			false, 0, 7200, "each port that was asked for is another's" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 500, FAULT("606") } }, false, 41641,
			7200, "refused by its settings" },
		{ { { UPNP_ADDRESS, 200, ADDRESS }, ANOTHERS, { UPNP_ANY, 0, "" } }, false, 41641, 7200,
			"no answer to a request" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct upnp_talk t = talk_of("WANIPConnection:2", rows[i].said, ARRAY_LEN(rows[i].said));
		bool port = rows[i].outer ? t.outer == rows[i].outer : t.outer >= 32768 && t.outer != 41641;
		if (t.step != UPNP_OVER || t.done != rows[i].done || strcmp(t.why, rows[i].why) != 0 ||
			t.lease_s != rows[i].lease_s || !port)
			fail_msg("row %zu: step %d, done %d, port %u, lease %u, %s", i, t.step, t.done,
				t.outer, t.lease_s, t.why);
	}
}

/* A router that says no to everything in every way hears a bounded number of calls. */
static void test_talk_ends(void **state)
{
	(void)state;
	static const char *const codes[] = { "402", "718", "724", "725", "729", "501" };
	for (unsigned seed = 0; seed < 2 * 6 * 6 * 6; seed++) {
		struct upnp_talk t = router_of(seed % 2 ? "WANIPConnection:2" : "WANIPConnection:1");
		unsigned calls = 0, s = seed / 2;
		upnp_talk_begin(&t, &self, 41641, 4242, 7200);
		for (; t.step != UPNP_OVER && calls < 100; calls++, s = s * 5 + 1) {
			char body[200];
			snprintf(body, sizeof(body), t.step == UPNP_ADDRESS ? ADDRESS : FAULT("%s"),
				codes[s / 6 % 6]);
			upnp_talk_answered(&t, t.step == UPNP_ADDRESS ? 200 : 500, body, strlen(body));
		}
		assert_true(calls < 20);
		assert_false(t.done);
	}
}

static void test_requests(void **state)
{
	(void)state;
	struct upnp_talk t = { .n_services = 1,
		.services[0] = { .type = TYPE "WANIPConnection:1", .control = { 5000, "/ctl" } } };
	struct upnp_request rq;
	upnp_talk_begin(&t, &self, 41641, 4242, 7200);
	t.step = UPNP_ADD;
	upnp_talk_request(&t, &rq);
	assert_string_equal(rq.to.path, "/ctl");
	assert_string_equal(rq.action, "\"" TYPE "WANIPConnection:1#AddPortMapping\"");
	assert_non_null(strstr(rq.body,
		"<u:AddPortMapping xmlns:u=\"" TYPE "WANIPConnection:1\"><NewRemoteHost></NewRemoteHost>"
		"<NewExternalPort>4242</NewExternalPort><NewProtocol>UDP</NewProtocol>"
		"<NewInternalPort>41641</NewInternalPort><NewInternalClient>192.168.1.7</NewInternalClient>"
		"<NewEnabled>1</NewEnabled><NewPortMappingDescription>ropewalk</NewPortMappingDescription>"
		"<NewLeaseDuration>7200</NewLeaseDuration></u:AddPortMapping></s:Body></s:Envelope>"));
	t.step = UPNP_ANY;
	upnp_talk_request(&t, &rq);
	assert_string_equal(rq.action, "\"" TYPE "WANIPConnection:1#AddAnyPortMapping\"");
	assert_non_null(strstr(rq.body, "<NewExternalPort>4242</NewExternalPort>"));
	upnp_talk_delete(&t, 4343, &rq); /* not the one that is talked of now */
	assert_non_null(strstr(
		rq.body, "<NewExternalPort>4343</NewExternalPort><NewProtocol>UDP</NewProtocol></u:Del"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_found), cmocka_unit_test(test_description),
		cmocka_unit_test(test_description_is_bounded), cmocka_unit_test(test_talks),
		cmocka_unit_test(test_any), cmocka_unit_test(test_talk_ends),
		cmocka_unit_test(test_requests) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
