#include "mesh/base/ip.h"
#include "mesh/node/plane/bundle.h"
#include "mesh/node/plane/rules.h"
#include "mesh/node/plane/test/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ALL "{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}"
#define PORT_80 "{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":80,\"Last\":80}}]}"

static void assert_tun(const struct side *s, size_t i, const char *text)
{
	assert_true(i < s->n_tun);
	struct pkt p = s->tun[i];
	assert_int_equal(p.len, 28 + strlen(text));
	assert_memory_equal(pkt_data(&p) + 28, text, strlen(text));
}

/* Without a session a packet waits in WireGuard; the handshake done, it arrives as it was, and all that
 * follow. */
static void test_waits_for_the_handshake(void **state)
{
	struct world *w = world_new();
	struct side *b = &w->side[1];
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, ALL);
	for (int i = 0; i < 3; i++)
		world_send(w, 0, 1000, 80, "abc");
	assert_int_equal(b->n_tun, 0);
	world_run(w, 100);
	assert_int_equal(b->n_tun, 3);
	assert_tun(b, 0, "abc");
	world_send(w, 0, 1000, 80, "defgh");
	world_run(w, 10);
	assert_tun(b, 3, "defgh");
	assert_int_equal(w->side[0].n_tun, 0);
	world_free(w);
}

static void test_each_way_alone(void **state)
{
	(void)state;
	for (int relay = 0; relay < 2; relay++) {
		struct world *w = world_new();
		w->no_udp = relay;
		w->no_relay = !relay;
		world_map(w, 0, "");
		world_map(w, 1, ALL);
		world_send(w, 0, 1000, 80, "abc");
		world_run(w, 6000);
		assert_int_equal(w->side[1].n_tun, 1);
		size_t udp = w->side[0].udp_sent;
		world_send(w, 0, 1000, 80, "abc");
		world_run(w, 10);
		assert_int_equal(w->side[1].n_tun, 2);
		if (!relay)
			assert_true(w->side[0].udp_sent > udp);
		world_free(w);
	}
}

/* --- what is let in --- */

static void test_rules(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, PORT_80);
	world_send(w, 0, 1000, 81, "no");
	world_send(w, 0, 1000, 80, "yes");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);
	assert_tun(b, 0, "yes");
	assert_int_equal(b->d.filter_drops.no_rule, 1);
	/* The answer passes though the asker lets nobody in; what was not asked for does not. */
	world_send(w, 1, 80, 1000, "answer");
	world_send(w, 1, 80, 1001, "unasked");
	world_run(w, 100);
	assert_int_equal(a->n_tun, 1);
	assert_tun(a, 0, "answer");
	world_free(w);
}

/* No rules in force lets nothing in, not even answers; the next ones are in force at once. */
static void test_rules_shut(void **state)
{
	struct world *w = world_new();
	struct side *b = &w->side[1];
	(void)state;
	world_map(w, 0, ALL);
	world_map(w, 1, ALL);
	world_send(w, 0, 1000, 80, "in");
	world_send(w, 1, 2000, 80, "out");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);
	assert_int_equal(w->side[0].n_tun, 1);
	dataplane_rules_set(&b->d, NULL);
	world_send(w, 0, 1000, 80, "in");
	world_send(w, 0, 80, 2000, "answer");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);
	world_map(w, 1, ALL);
	world_send(w, 0, 1000, 80, "in");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 2);
	world_free(w);
}

/* The resolver's addresses belong to each machine alone: nobody comes to them, or from them, through the
 * mesh, though a map gives them to a peer. */
static void test_service_addresses(void **state)
{
	static const struct {
		const char *src, *dst;
	} rows[] = {
		{ "100.64.0.1", "100.100.100.100" },
		{ "100.100.100.100", "100.64.0.2" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = world_new();
		struct side *b = &w->side[1];
		uint8_t p[64];
		struct endpoint src = { .port = 1000 }, dst = { .port = 53 };
		assert_true(addr_parse(rows[i].src, &src.ip) && addr_parse(rows[i].dst, &dst.ip));
		world_map_with(w, 0, "", "100.100.100.100/32");
		world_map_with(w, 1, ALL, "100.100.100.100/32");
		world_send_packet(w, 0, p, ip_write_udp(p, &src, &dst, 4));
		world_send(w, 0, 1000, 80, "other");
		world_run(w, 100);
		assert_int_equal(b->d.drops.to_service_address, 1);
		assert_int_equal(b->n_tun, 1);
		assert_tun(b, 0, "other");
		world_free(w);
	}
}

static void test_malformed_inside(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct pkt p;
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 100);
	/* A peer that seals what no kernel would send: a UDP header cut short. */
	uint8_t raw[64];
	struct endpoint src = { .ip = a->ip, .port = 1 }, dst = { .ip = b->ip, .port = 80 };
	size_t len = ip_write_udp(raw, &src, &dst, 8);
	pkt_reset(&p);
	raw[2] = 0;
	raw[3] = 24; /* total length: four bytes of UDP */
	memcpy(pkt_data(&p), raw, len);
	p.len = 24;
	struct path_way way = path_way(a->path, 2);
	bundle_send_inner(&a->d, 2, &way, &p);
	world_run(w, 100);
	assert_int_equal(b->d.drops.in_malformed + wg_drops(b->d.wg)->bad_inner, 1);
	assert_int_equal(b->n_tun, 1);
	world_free(w);
}

/* --- what goes out --- */

static void test_out_drops(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0];
	uint8_t p[64];
	struct endpoint src = { .ip = a->ip, .port = 1 }, dst = { .ip = a->ip, .port = 2 };
	(void)state;
	/* No map: nobody may be reached. */
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 100);
	assert_int_equal(a->udp_sent + a->relay_sent, 0);
	world_map(w, 0, "");
	memset(p, 0, sizeof(p));
	world_send_packet(w, 0, p, 40);
	assert_int_equal(a->d.drops.out_malformed, 1);
	assert_true(addr_parse("100.64.9.9", &dst.ip));
	world_send_packet(w, 0, p, ip_write_udp(p, &src, &dst, 4));
	assert_int_equal(wg_drops(a->d.wg)->no_route, 1);
	assert_int_equal(a->udp_sent + a->relay_sent, 0);
	world_free(w);
}

/* A peer that left takes its session with it: its datagrams open nothing, ours go nowhere. */
static void test_peer_removed(void **state)
{
	struct world *w = world_new();
	struct side *b = &w->side[1];
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);
	wg_peer_remove(b->d.wg, 1);
	path_peer_remove(b->path, 1);
	uint64_t sent = b->udp_sent + b->relay_sent;
	world_send(w, 0, 1000, 80, "abc");
	world_send(w, 1, 80, 1000, "abc");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);
	assert_int_equal(b->udp_sent + b->relay_sent, sent);
	assert_int_equal(wg_drops(b->d.wg)->no_route, 1);
	world_free(w);
}

/* --- relays --- */

static void test_relay_reads_are_gathered(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	(void)state;
	w->no_udp = true;
	world_map(w, 0, "");
	world_map(w, 1, ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 1000);
	assert_int_equal(b->n_tun, 1);
	/* One read with five frames: one write to the TUN, in their order. */
	for (int i = 0; i < 5; i++)
		world_send(w, 0, 1000, 80, (char[]) { (char)('a' + i), 0 });
	size_t writes = b->tun_writes, n = w->n;
	for (size_t i = 0; i < n; i++) {
		struct datagram *d = &w->flight[(w->first + i) % WORLD_FLIGHT];
		assert_true(d->relay);
		dataplane_relay_received(&b->d, WORLD_REGION, &a->key, d->b, d->len);
	}
	assert_int_equal(b->tun_writes, writes);
	dataplane_relay_flush(&b->d);
	assert_int_equal(b->tun_writes, writes + 1);
	assert_int_equal(b->n_tun, 6);
	for (int i = 0; i < 5; i++)
		assert_tun(b, 1 + (size_t)i, (char[]) { (char)('a' + i), 0 });
	w->n = 0;
	/* More of them than are kept: none is lost. */
	for (size_t i = 0; i < PKT_BATCH + 3; i++) {
		world_send(w, 0, 1000, 80, "x");
		struct datagram *d = &w->flight[w->first];
		dataplane_relay_received(&b->d, WORLD_REGION, &a->key, d->b, d->len);
		w->n = 0;
	}
	assert_int_equal(b->n_tun, 6 + PKT_BATCH);
	dataplane_relay_flush(&b->d);
	assert_int_equal(b->n_tun, 6 + PKT_BATCH + 3);
	/* A frame that no packet buffer holds. */
	static uint8_t big[PKT_SIZE] = { 4 };
	dataplane_relay_received(&b->d, WORLD_REGION, &a->key, big, sizeof(big));
	assert_int_equal(b->d.drops.relay_oversize, 1);
	world_free(w);
}

/* --- TSMP --- */

/* A TCP connection that the rules forbid: the one who asks is told, and counts it. */
static void test_reject_is_told(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	uint8_t p[60] = { 0 };
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, PORT_80);
	p[20 + 2] = 0;
	p[20 + 3] = 22;	     /* to port 22 */
	p[20 + 12] = 5 << 4; /* header length */
	p[20 + 13] = TCP_SYN;
	size_t len = ip_write_header(p, &a->ip, &b->ip, IP_TCP, 20);
	world_send_packet(w, 0, p, len);
	world_run(w, 100);
	assert_int_equal(b->n_tun, 0);
	assert_int_equal(b->d.filter_drops.no_rule, 1);
	assert_int_equal(a->d.drops.rejected_by_peer, 1);
	assert_int_equal(a->n_tun, 0);
	world_free(w);
}

/* The server is away and B is new to A: its disco key comes inside the tunnel, and a direct way is found with
 * it. */
static void test_disco_key_inside(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct world *w = world_new();
		struct side *a = &w->side[0], *b = &w->side[1];
		world_map(w, 0, ALL);
		world_map(w, 1, ALL);
		/* B started anew: A knows only its old disco key. */
		struct path_peer stale = { .id = 2,
			.key = b->key,
			.disco = { { 1 } },
			.endpoints = &b->at,
			.n_endpoints = 1,
			.home = WORLD_REGION };
		assert_true(path_peer_set(a->path, w->now_ms, &stale));
		dataplane_server_up(&b->d, server);
		world_send(w, 1, 1000, 80, "abc");
		world_run(w, 3000);
		assert_int_equal(a->n_tun, 1);
		struct path_state way;
		assert_true(path_peer_state(a->path, w->now_ms, 2, &way));
		world_send(w, 0, 1000, 80, "abc");
		world_run(w, 3000);
		assert_true(path_peer_state(a->path, w->now_ms, 2, &way));
		assert_int_equal(way.direct, !server);
		world_free(w);
	}
}

/* B has lost the session and all that disco had proven, as after a start with the server away; A sends on. */
static void test_unknown_session_is_answered(void **state)
{
	(void)state;
	for (int named = 0; named < 2; named++) {
		struct world *w = world_new();
		struct side *a = &w->side[0], *b = &w->side[1];
		static const uint8_t other[KEY_LEN] = { 1 };
		struct prefix own = prefix_of(&a->ip);
		world_map(w, 0, ALL);
		world_map(w, 1, ALL);
		world_send(w, 0, 1000, 80, "abc");
		world_run(w, 2000);
		assert_int_equal(b->n_tun, 1);
		w->no_relay = true;
		for (int i = 0; i < 2; i++) /* a change of psk ends the sessions */
			assert_true(wg_peer_set(b->d.wg, 1, &a->key, i ? NULL : other, &own, 1));
		struct path_peer p = { .id = 1, .key = a->key, .disco = *path_disco_key(a->path) };
		p.endpoints = &a->at;
		p.n_endpoints = (size_t)named;
		p.home = WORLD_REGION;
		path_peer_remove(b->path, 1);
		assert_true(path_peer_set(b->path, w->now_ms, &p));
		world_send(w, 0, 1000, 80, "lost");
		world_run(w, 200);
		world_send(w, 0, 1000, 80, "abc");
		world_run(w, 200);
		assert_int_equal(
			b->n_tun, 1 + named); /* nobody is said to be there: the peer will notice by itself */
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_for_the_handshake),
		cmocka_unit_test(test_unknown_session_is_answered),
		cmocka_unit_test(test_each_way_alone),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_rules_shut),
		cmocka_unit_test(test_service_addresses),
		cmocka_unit_test(test_malformed_inside),
		cmocka_unit_test(test_out_drops),
		cmocka_unit_test(test_peer_removed),
		cmocka_unit_test(test_relay_reads_are_gathered),
		cmocka_unit_test(test_reject_is_told),
		cmocka_unit_test(test_disco_key_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
