/* Many clients by HTTPS at once, of whom some want more than their share. What they say are frames written by hand. */
#include "resolver/listen.h"

#include "mesh/base/buf.h"
#include "mesh/os/file.h"
#include "mesh/transport/stream.h"
#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	LIMIT_MS = 60000,
	SHORT_MS = 300,
	TICK_MS = 30,
	EACH = 32, /* connections of one address */
	GUESTS = EACH + 1,
	FRAME = 9,
	DATA = 0,
	HEADERS = 1,
	SETTINGS = 4,
	PING = 6,
	END_STREAM = 1,
	END_HEADERS = 4,
	BIG_RECORDS = 4000,
};
struct guest {
	struct stream *stream;
	struct buf got;
	uint32_t id; /* of the next request */
	bool opened, closed;
	unsigned pongs;
	size_t data; /* bytes of answers */
};
struct fixture {
	struct loop *loop;
	struct resolver_server *server;
	const struct resolver_server_stats *stats;
	struct endpoint at;
	struct tls *tls;
	struct loop_timer *limit, *tick;
	struct guest guests[GUESTS];
	bool timed_out;
};
static struct fixture fx;

static void gave_up(void *arg)
{
	(void)arg;
	fx.timed_out = true;
}
static void ticked(void *arg)
{
	(void)arg;
}

static void zone_fill(void)
{
	struct zone *z = zone_new();
	for (uint32_t i = 0; i < BIG_RECORDS; i++) {
		struct addr ip = addr_v4(0x64400000 + i);
		assert_false(zone_add_address(z, "big.mesh", &ip, false));
	}
	resolver_zone_set(resolver_server_core(fx.server), z);
	zone_put(z);
}

static void setup_with(uint32_t tcp_ms)
{
	static const char *const hosts[] = { "dns.test" };
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	enum dns_secure_by by;
	struct resolver_server_options o = {
		.at = &at, .n = 1, .tcp_message_ms = tcp_ms, .tcp_idle_ms = tcp_ms
	};
	struct errbuf eb = { 0 };
	char dir[] = "/tmp/rw-crowd-XXXXXX", cert[64], key[64];
	memset(&fx, 0, sizeof(fx));
	fx.loop = loop_new();
	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	fx.server = resolver_server_open(fx.loop, &o, &eb);
	if (!fx.server || tls_self_signed(cert, key, hosts, 1, &eb) ||
		resolver_server_certificate(fx.server, cert, key, &eb) ||
		resolver_server_listen_secure(fx.server, &at, DNS_SECURE_HTTPS, &eb) ||
		!(fx.tls = tls_client_authorities(cert, &eb)))
		fail_msg("%s", eb.text);
	assert_true(resolver_server_secure(fx.server, 0, &fx.at, &by));
	dir_remove(dir, NULL);
	fx.stats = resolver_server_stats(fx.server);
	fx.limit = loop_timer_new(fx.loop, gave_up, NULL);
	fx.tick = loop_timer_new(fx.loop, ticked, NULL);
	loop_timer_set(fx.limit, LIMIT_MS);
	zone_fill();
}

static int setup(void **state)
{
	(void)state;
	setup_with(2 * LIMIT_MS);
	return 0;
}
static int setup_hasty(void **state)
{
	(void)state;
	setup_with(SHORT_MS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < GUESTS; i++) {
		stream_close(fx.guests[i].stream, false);
		buf_free(&fx.guests[i].got);
	}
	loop_timer_free(fx.limit);
	loop_timer_free(fx.tick);
	tls_free(fx.tls);
	resolver_server_close(fx.server);
	loop_free(fx.loop);
	return 0;
}

/* ---- a guest ---- */

static void opened(void *arg)
{
	((struct guest *)arg)->opened = true;
}

static void closed(void *arg, int code, const char *why)
{
	(void)code;
	(void)why;
	((struct guest *)arg)->closed = true;
}

static void data(void *arg, const uint8_t *p, size_t len)
{
	struct guest *g = arg;
	assert_true(buf_append(&g->got, p, len));
	while (g->got.len >= FRAME) {
		const uint8_t *at = buf_data(&g->got);
		size_t body = be_get(at, 3);
		if (g->got.len < FRAME + body)
			return;
		g->pongs += at[3] == PING;
		g->data += at[3] == DATA ? body : 0;
		buf_consume(&g->got, FRAME + body);
	}
}

static void say(struct guest *g, uint8_t type, uint8_t flags, uint32_t id, const void *body, size_t len)
{
	uint8_t out[FRAME + 256];
	assert_true(len <= sizeof(out) - FRAME);
	be_put(out, 3, len);
	out[3] = type;
	out[4] = flags;
	be_put(out + 5, 4, id);
	memcpy(out + FRAME, body, len);
	int code = stream_write(g->stream, out, FRAME + len);
	assert_true(!code || code == ERR_CLOSED); /* its end is told next */
}

static void turn(void)
{
	loop_run_once(fx.loop);
	assert_false(fx.timed_out);
}

static struct guest *guest_come(unsigned i, bool deaf)
{
	static const uint8_t no_window[] = { 0, 4, 0, 0, 0, 0 }, window[] = { 0, 4, 0, 1, 0, 0 };
	struct guest *g = &fx.guests[i];
	struct tls_expect x = { .alpn = "h2" };
	struct stream_target to = {
		.host = "dns.test", .port = fx.at.port, .at = &fx.at, .tls = fx.tls, .expect = &x
	};
	struct stream_events ev = { .opened = opened, .data = data, .closed = closed, .arg = g };
	g->id = 1;
	g->stream = stream_connect(fx.loop, &to, &ev);
	while (!g->opened && !g->closed)
		turn();
	if (g->closed)
		return g;
	(void)stream_write(g->stream, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	say(g, SETTINGS, 0, 0, deaf ? no_window : window, sizeof(window));
	return g;
}

/* GET https://a/dns-query?dns= and A of big.mesh; not ended: more was to come. */
static void request(struct guest *g, bool ended)
{
	static const char path[] = "/dns-query?dns=AAABAAABAAAAAAAAA2JpZwRtZXNoAAABAAE";
	uint8_t block[128] = { 0x82, 0x87, 0x01, 0x01, 'a', 0x04, sizeof(path) - 1 };
	memcpy(block + 7, path, sizeof(path) - 1);
	say(g, HEADERS, END_HEADERS | (ended ? END_STREAM : 0), g->id, block, 7 + sizeof(path) - 1);
	g->id += 2;
}

/* What was said until now has been heard, or the connection is over. */
static void heard(struct guest *g)
{
	unsigned before = g->pongs;
	say(g, PING, 0, 0, "12345678", 8);
	while (g->pongs == before && !g->closed)
		turn();
}

/* ---- tests ---- */

/* A request that has begun is no answer that is owed: who begins them and no more keeps nobody out. */
static void test_begun_give_way(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EACH; i++) {
		struct guest *g = guest_come(i, false);
		request(g, false);
		heard(g);
		assert_false(g->closed);
	}
	struct guest *last = guest_come(EACH, false);
	assert_true(last->opened);
	heard(last);
	assert_false(last->closed);
	assert_int_equal(fx.stats->tcp_evicted, 1);
	assert_int_equal(fx.stats->tcp_full, 0);
}

/* Nor does it get time by others that begin, or come whole. */
static void test_begun_ends(void **state)
{
	enum { MOST = 60 };
	(void)state;
	for (unsigned whole = 0; whole < 2; whole++) {
		struct guest *g = guest_come(whole, whole);
		unsigned n = 0;
		request(g, false);
		for (; n < MOST && !g->closed; n++) {
			request(g, whole);
			loop_timer_set(fx.tick, TICK_MS);
			while (loop_timer_is_set(fx.tick) && !g->closed)
				turn();
		}
		assert_true(g->closed);
		assert_int_equal(fx.stats->tcp_timeout, whole + 1);
	}
}

/* Where more answers wait than there may, it is for whom the most wait that pays. */
static void test_hoarders(void **state)
{
	enum { MOST = 100, SOME = 80 };
	struct guest *hoarders[] = { guest_come(0, true), guest_come(1, true) }, *some = guest_come(2, true);
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < MOST; k++)
			request(hoarders[i], true);
		heard(hoarders[i]);
	}
	assert_false(hoarders[0]->closed || hoarders[1]->closed);
	for (unsigned k = 0; k < SOME; k++)
		request(some, true);
	heard(some);
	while (!hoarders[0]->closed && !hoarders[1]->closed && !some->closed)
		turn();
	assert_false(some->closed || (hoarders[0]->closed && hoarders[1]->closed));
	assert_int_equal(fx.stats->tcp_evicted, 1);
	struct guest *reader = guest_come(3, false);
	request(reader, true);
	while (reader->data < (size_t)BIG_RECORDS * 4 && !reader->closed)
		turn();
	assert_false(reader->closed);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define HASTY(t) cmocka_unit_test_setup_teardown(t, setup_hasty, teardown)
	const struct CMUnitTest tests[] = { CASE(test_begun_give_way), HASTY(test_begun_ends),
		CASE(test_hoarders) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
