/* The driver of UPnP against a gateway of this file, on loopback in a namespace of the test's own. */
#include "mesh/node/links/upnp_link.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/transport/http.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAIT_MS = 60000, WEB_PORT = 5000, LONG = 10 << 20 };

struct gateway {
	struct loop *loop;
	int udp, web;
	struct loop_fd *udp_watch, *web_watch;
	const char *places[3]; /* what it says of where its description is; NULL: no more */
	unsigned searches, described, calls;
	char last[16]; /* the description that was asked for last */
	struct upnp_link *u;
	bool found, mapped, late;
	struct router_reply got;
	char why[64];
};

static const struct endpoint gateway_udp = { .ip = { { [10] = 0xff, [11] = 0xff, 127, 0, 0, 1 } },
	.port = UPNP_PORT };

static void search_heard(void *arg, int events)
{
	struct gateway *g = arg;
	char b[2048];
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	(void)events;
	if (recvfrom(g->udp, b, sizeof(b), 0, (struct sockaddr *)&ss, &n) < 0)
		return;
	g->searches++;
	for (size_t i = 0; i < 3 && g->places[i]; i++) {
		int len = snprintf(b, sizeof(b), "HTTP/1.1 200 OK\r\nLOCATION: %s\r\n\r\n", g->places[i]);
		(void)!sendto(g->udp, b, (size_t)len, 0, (struct sockaddr *)&ss, n);
	}
}

static void web_request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct gateway *g = arg;
	static const char description[] =
		"<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>"
		"<controlURL>/ctl</controlURL></service>";
	const char *action = http_header(head, "SOAPAction"), *reply = "<ok/>";
	(void)body, (void)len;
	if (strcmp(head->method, "GET") == 0) {
		size_t n = sizeof(description) - 1 + (strcmp(head->target, "/long") ? 0 : LONG);
		char *text = malloc(n);
		assert_non_null(text);
		memset(text, ' ', n);
		memcpy(text, description, sizeof(description) - 1);
		g->described++;
		snprintf(g->last, sizeof(g->last), "%s", head->target);
		http_reply(c, 200, "text/xml", NULL, text, n);
		free(text);
		return;
	}
	g->calls++;
	assert_non_null(action);
	if (strstr(action, "#GetSpecific")) {
		http_reply(c, 500, "text/xml", NULL, "<errorCode>714</errorCode>", 26);
		return;
	}
	if (strstr(action, "#GetExternal"))
		reply = "<NewExternalIPAddress>203.0.113.9</NewExternalIPAddress>";
	http_reply(c, 200, "text/xml", NULL, reply, strlen(reply));
}

static void web_incoming(void *arg, int events)
{
	struct gateway *g = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = web_request, .arg = g };
	(void)events;
	int fd = sock_accept(g->web, NULL);
	if (fd >= 0)
		assert_non_null(http_server_accept(g->loop, stream_accept(g->loop, fd, NULL, &none), &ops));
}

static void found(void *arg)
{
	struct gateway *g = arg;
	g->found = true;
	loop_stop(g->loop);
}

static void mapped(void *arg, const struct router_reply *got, const char *why)
{
	struct gateway *g = arg;
	g->mapped = true;
	g->got = *got;
	snprintf(g->why, sizeof(g->why), "%s", why ? why : "");
	loop_stop(g->loop);
}

static void time_is_up(void *arg)
{
	struct gateway *g = arg;
	g->late = true;
	loop_stop(g->loop);
}

static void gateway_open(struct gateway *g)
{
	struct errbuf eb;
	struct endpoint web = { .ip = gateway_udp.ip, .port = WEB_PORT };
	struct upnp_link_events ev = { .found = found, .mapped = mapped, .arg = g };
	g->loop = loop_new();
	g->udp = sock_udp(&gateway_udp, &eb);
	g->web = sock_tcp_listen(&web, &eb);
	g->udp_watch = loop_fd_new(g->loop, g->udp, search_heard, g);
	g->web_watch = loop_fd_new(g->loop, g->web, web_incoming, g);
	loop_fd_set(g->udp_watch, LOOP_READ);
	loop_fd_set(g->web_watch, LOOP_READ);
	g->u = upnp_link_open(g->loop, &ev);
	assert_non_null(g->u);
	upnp_link_router_set(g->u, &gateway_udp.ip, &gateway_udp.ip);
}

static void gateway_close(struct gateway *g)
{
	upnp_link_close(g->u);
	loop_fd_free(g->udp_watch);
	loop_fd_free(g->web_watch);
	close(g->udp);
	close(g->web);
	loop_free(g->loop);
}

static void wait_for(struct gateway *g, uint64_t ms)
{
	struct loop_timer *t = loop_timer_new(g->loop, time_is_up, g);
	g->late = false;
	loop_timer_set(t, ms);
	loop_run(g->loop);
	loop_timer_free(t);
}

static void test_found_and_mapped(void **state)
{
	(void)state;
	struct gateway g = { .places = { "http://127.0.0.1:5000/d.xml", "http://127.0.0.1:5000/d.xml" } };
	struct router_wish w = { .inner = 41641, .outer = 4242 };
	gateway_open(&g);
	upnp_link_search(g.u);
	wait_for(&g, WAIT_MS);
	assert_true(g.found);
	assert_int_equal(g.described, 1); /* said twice, asked once */
	upnp_link_map(g.u, &w);
	wait_for(&g, WAIT_MS);
	assert_true(g.mapped);
	assert_string_equal(g.why, "");
	assert_int_equal(g.got.outer, 4242);
	assert_int_equal(addr_v4_get(&g.got.address), 0xcb007109);
	assert_int_equal(g.calls, 3);
	gateway_close(&g);
}

/* A description elsewhere is not fetched, and one without end is not kept; the next place is tried. The last one of each row is
 * good: when it is found, the others have been looked at. */
static void test_odd_places(void **state)
{
	(void)state;
	static const struct {
		const char *places[3];
		unsigned described;
	} rows[] = {
		{ { "http://127.0.0.2:5000/far", "http://gateway.test:5000/named",
			  "http://127.0.0.1:5000/good" },
			1 },
		{ { "http://127.0.0.1:5000/long", "http://127.0.0.1:5000/good" }, 2 },
		{ { "http://127.0.0.1:5001/nobody", "http://127.0.0.1:5000/good" }, 1 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gateway g = { 0 };
		memcpy(g.places, rows[i].places, sizeof(g.places));
		gateway_open(&g);
		upnp_link_search(g.u);
		wait_for(&g, WAIT_MS);
		assert_true(g.found);
		if (g.described != rows[i].described || strcmp(g.last, "/good") != 0)
			fail_msg(
				"row %zu: %u descriptions were asked for, '%s' last", i, g.described, g.last);
		gateway_close(&g);
	}
}

/* Gives back a port of a gateway that is found; how long that took, and the end of the driver with it. */
static uint64_t unmap_and_close(struct gateway *g)
{
	gateway_open(g);
	upnp_link_unmap(g->u, 4242); /* nothing is found yet: nothing is said */
	upnp_link_search(g->u);
	wait_for(g, WAIT_MS);
	assert_true(g->found);
	uint64_t began = clock_now_ms();
	upnp_link_unmap(g->u, 4242);
	upnp_link_close(g->u);
	g->u = NULL;
	assert_int_equal(g->calls, 0);
	return clock_now_ms() - began;
}

/* What a node gives back at its end costs it no time, reaches the router though its driver is closed already, and is
 * waited for a second where the router is silent. Who waits does so each time, and the machine may be slow now and then. */
static void test_unmap(void **state)
{
	enum { QUICK_MS = 500 };
	(void)state;
	uint64_t first = clock_now_ms(), least = UINT64_MAX;
	for (int silent = 0; silent < 2; silent++) {
		struct gateway g = { .places = { "http://127.0.0.1:5000/d.xml" } };
		uint64_t took = unmap_and_close(&g);
		least = took < least ? took : least;
		while (!silent && !g.calls)
			loop_run_once(g.loop);
		int listens = silent ? dup(g.web) : -1; /* connections come in, and nobody takes them */
		uint64_t began = clock_now_ms();
		gateway_close(&g);
		if (silent)
			assert_in_range(clock_now_ms() - began, 900, WAIT_MS);
		assert_int_equal(g.calls, !silent);
		if (listens >= 0)
			close(listens);
	}
	while (least >= QUICK_MS && clock_now_ms() - first < WAIT_MS) {
		struct gateway g = { .places = { "http://127.0.0.1:5000/d.xml" } };
		uint64_t took = unmap_and_close(&g);
		least = took < least ? took : least;
		gateway_close(&g);
	}
	assert_in_range(least, 0, QUICK_MS - 1);
}

static int setup(void **state)
{
	(void)state;
	struct errbuf eb;
	if (!own_ns(CLONE_NEWNET))
		skip();
	struct nl *nl = nl_open(&eb);
	int lo = nl ? nl_link_index(nl, "lo") : -1;
	int err = lo < 0 ? lo : nl_link_up(nl, lo, true, &eb);
	nl_close(nl);
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_found_and_mapped),
		cmocka_unit_test(test_odd_places), cmocka_unit_test(test_unmap) };
	return cmocka_run_group_tests(tests, setup, NULL);
}
