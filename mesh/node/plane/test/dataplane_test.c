#include "mesh/base/ip.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/bundle.h"
#include "mesh/node/plane/rules.h"
#include "mesh/node/plane/test/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Without a session a packet waits in WireGuard; the handshake done, it arrives as it was, and all that
 * follow. */
static void test_waits_for_the_handshake(void **state)
{
	struct world *w = world_new();
	struct side *b = &w->side[1];
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	for (int i = 0; i < 3; i++)
		world_send(w, 0, 1000, 80, "abc");
	assert_int_equal(b->n_tun, 0);
	world_run(w, 100);
	assert_int_equal(b->n_tun, 3);
	world_assert_tun(b, 0, "abc");
	world_send(w, 0, 1000, 80, "defgh");
	world_run(w, 10);
	world_assert_tun(b, 3, "defgh");
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
		world_map(w, 1, WORLD_ALL);
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

/* A batch may come from several places: a peer without disco is answered where it was heard last, however it moved. */
static void test_moves_within_a_batch(void **state)
{
	static const struct {
		uint8_t from[3], last;
	} rows[] = { { { 1, 1, 2 }, 2 }, { { 1, 2, 1 }, 1 }, { { 2, 2, 2 }, 2 }, { { 2, 1, 1 }, 1 } };
	struct world *w = world_new();
	struct side *b = &w->side[1];
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 6000);
	struct path_peer plain = { .id = 1, .key = w->side[0].key, .home = WORLD_REGION };
	assert_true(path_peer_set(b->path, w->now_ms, &plain));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static struct pkt pkts[3];
		struct endpoint from[3];
		size_t before = b->n_tun;
		for (int k = 0; k < 3; k++)
			world_send(w, 0, 1000, 80, "abc");
		assert_int_equal(w->n, 3);
		for (int k = 0; k < 3; k++) {
			const struct datagram *d = &w->flight[(w->first + (size_t)k) % WORLD_FLIGHT];
			pkt_reset(&pkts[k]);
			pkts[k].len = (uint16_t)d->len;
			memcpy(pkt_data(&pkts[k]), d->b, d->len);
			from[k] =
				(struct endpoint) { .ip = addr_v4(0xcb007100u + rows[i].from[k]), .port = 7 };
		}
		w->first = (w->first + w->n) % WORLD_FLIGHT;
		w->n = 0;
		dataplane_udp_received(&b->d, PATH_MAIN, pkts, from, 3);
		assert_int_equal(b->n_tun, before + 3);
		struct path_way way = path_way(b->path, 1);
		assert_true(way.udp && addr_v4_get(&way.at.ip) == 0xcb007100u + rows[i].last);
	}
	world_free(w);
}

/* A packet's mark is its datagram's, and what a router made of that is the packet's at the other end; one that cannot be
 * marked is lost instead (RFC 6040). */
static void test_marks(void **state)
{
	static const struct {
		uint8_t inner, outer, out;
		bool lost;
	} rows[] = { { 0, 0, 0, false }, { 2, 2, 2, false }, { 2, 3, 3, false }, { 1, 3, 3, false },
		{ 3, 3, 3, false }, { 0, 3, 0, true } };
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	uint8_t p[28];
	uint64_t lost = 0;
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 6000);
	struct endpoint from = { .ip = a->ip, .port = 1000 }, to = { .ip = b->ip, .port = 80 };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t before = b->n_tun;
		ip_write_udp(p, &from, &to, 0);
		p[1] = rows[i].inner;
		p[10] = p[11] = 0;
		be_put(p + 10, 2, ip_checksum(p, 20, 0));
		world_send_packet(w, 0, p, sizeof(p));
		assert_int_equal(w->n, 1);
		struct datagram *d = &w->flight[w->first];
		assert_int_equal(d->ecn, rows[i].inner);
		d->ecn = rows[i].outer;
		world_run(w, 10);
		lost += rows[i].lost;
		assert_int_equal(b->d.drops.in_congested, lost);
		assert_int_equal(b->n_tun, before + !rows[i].lost);
		if (rows[i].lost)
			continue;
		const uint8_t *got = pkt_data(&b->tun[before]);
		assert_int_equal(got[1], rows[i].out);
		assert_int_equal(ip_checksum(got, 20, 0), 0);
	}
	world_free(w);
}

/* --- what is let in --- */

static void test_rules(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_PORT_80);
	world_send(w, 0, 1000, 81, "no");
	world_send(w, 0, 1000, 80, "yes");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);
	world_assert_tun(b, 0, "yes");
	assert_int_equal(b->d.filter_drops.no_rule, 1);
	/* The answer passes though the asker lets nobody in; what was not asked for does not. */
	world_send(w, 1, 80, 1000, "answer");
	world_send(w, 1, 80, 1001, "unasked");
	world_run(w, 100);
	assert_int_equal(a->n_tun, 1);
	world_assert_tun(a, 0, "answer");
	world_free(w);
}

/* No rules in force lets nothing in, not even answers; the next ones are in force at once. */
static void test_rules_shut(void **state)
{
	struct world *w = world_new();
	struct side *b = &w->side[1];
	(void)state;
	world_map(w, 0, WORLD_ALL);
	world_map(w, 1, WORLD_ALL);
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
	world_map(w, 1, WORLD_ALL);
	world_send(w, 0, 1000, 80, "in");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 2);
	world_free(w);
}

/* What a host behind us, or a program, sends as another stays here. */
static void test_foreign_source(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	uint8_t p[64];
	struct endpoint src = { .ip = addr_v4(0x0a000007), .port = 1000 }, dst = { .port = 53 };
	(void)state;
	assert_true(addr_parse("100.64.0.2", &dst.ip));
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	world_send_packet(w, 0, p, ip_write_udp(p, &src, &dst, 4));
	world_send(w, 0, 1000, 80, "own");
	world_run(w, 100);
	assert_int_equal(a->d.drops.out_foreign_source, 1);
	assert_int_equal(b->n_tun, 1);
	world_assert_tun(b, 0, "own");
	world_free(w);
}

static void send_between(struct world *w, int from, const char *src, const char *dst)
{
	uint8_t p[64];
	struct endpoint s = { .port = 1000 }, d = { .port = 53 };
	assert_true(addr_parse(src, &s.ip) && addr_parse(dst, &d.ip));
	world_send_packet(w, from, p, ip_write_udp(p, &s, &d, 4));
}

/* Who carries all networks gets nothing that is for a member of the mesh that is not there, and does not pass for it. */
static void test_members_by_an_exit(void **state)
{
	struct world *w = world_new();
	struct side *us = &w->side[0], *exit = &w->side[1];
	(void)state;
	world_map_with(w, 0, WORLD_ALL, "0.0.0.0/0");
	world_map(w, 1, WORLD_ALL);
	dataplane_rules_set(&exit->d, NULL); /* who does this does not look at what it sends */
	send_between(w, 1, "8.8.8.8", "100.64.0.1");
	world_run(w, 100);
	assert_int_equal(us->n_tun, 1);
	send_between(w, 1, "100.64.0.9", "100.64.0.1");
	world_run(w, 100);
	assert_int_equal(us->n_tun, 1);
	assert_int_equal(wg_drops(us->d.wg)->bad_source, 1);
	uint64_t sent = us->udp_sent + us->relay_sent;
	send_between(w, 0, "100.64.0.1", "100.64.0.9");
	assert_int_equal(us->udp_sent + us->relay_sent, sent);
	assert_int_equal(wg_drops(us->d.wg)->no_route, 1);
	send_between(w, 0, "100.64.0.1", "8.8.8.8");
	assert_true(us->udp_sent + us->relay_sent > sent);
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
		world_map_with(w, 1, WORLD_ALL, "100.100.100.100/32");
		dataplane_rules_set(&w->side[0].d, NULL); /* who does this does not look at what it sends */
		world_send_packet(w, 0, p, ip_write_udp(p, &src, &dst, 4));
		world_send(w, 0, 1000, 80, "other");
		world_run(w, 100);
		assert_int_equal(b->d.drops.to_service_address, 1);
		assert_int_equal(b->n_tun, 1);
		world_assert_tun(b, 0, "other");
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
	world_map(w, 1, WORLD_ALL);
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

/* Pieces of one super-packet: the first one decides for all; where it is dropped, each is counted. */
static void test_out_pieces(void **state)
{
	static struct pkt p[4];
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct endpoint src = { .ip = a->ip, .port = 1 }, dst = { .ip = b->ip, .port = 80 };
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 100);
	size_t before = b->n_tun;
	for (size_t i = 0; i < 4; i++) {
		pkt_reset(&p[i]);
		p[i].len = (uint16_t)ip_write_udp(pkt_data(&p[i]), &src, &dst, 4);
		p[i].follows = i > 0;
	}
	dataplane_tun_received(&a->d, p, 4);
	world_run(w, 100);
	assert_int_equal(b->n_tun - before, 4);
	assert_true(addr_parse("100.64.9.9", &dst.ip));
	for (size_t i = 0; i < 4; i++) {
		pkt_reset(&p[i]);
		p[i].len = (uint16_t)ip_write_udp(pkt_data(&p[i]), &src, &dst, 4);
		p[i].follows = true; /* the first too: the batch before ended inside */
	}
	dataplane_tun_received(&a->d, p, 4);
	assert_int_equal(wg_drops(a->d.wg)->no_route, 4);
	/* After those that were dropped, one that follows none is looked at for itself, and one that follows it is not. */
	dst.ip = b->ip;
	pkt_reset(&p[1]);
	p[1].len = (uint16_t)ip_write_udp(pkt_data(&p[1]), &src, &dst, 4);
	pkt_reset(&p[2]);
	p[2].len = (uint16_t)ip_write_udp(pkt_data(&p[2]), &src, &dst, 4);
	p[2].follows = true;
	pkt_reset(&p[0]);
	p[0].len = 3;
	dataplane_tun_received(&a->d, p, 3);
	world_run(w, 100);
	assert_int_equal(a->d.drops.out_malformed, 1);
	assert_int_equal(b->n_tun - before, 6);
	world_free(w);
}

/* A peer that left takes its session with it: its datagrams open nothing, ours go nowhere. */
static void test_peer_removed(void **state)
{
	struct world *w = world_new();
	struct side *b = &w->side[1];
	(void)state;
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
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

/* One that begins a connection from a to this port of b; p is all zero. Its length. */
static size_t write_syn(uint8_t p[static 60], const struct side *a, const struct side *b, uint8_t port)
{
	p[20 + 3] = port;
	p[20 + 12] = 5 << 4; /* header length */
	p[20 + 13] = TCP_SYN;
	return ip_write_header(p, &a->ip, &b->ip, IP_TCP, 20);
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
	world_map(w, 1, WORLD_PORT_80);
	world_send_packet(w, 0, p, write_syn(p, a, b, 22));
	world_run(w, 100);
	assert_int_equal(b->n_tun, 0);
	assert_int_equal(b->d.filter_drops.no_rule, 1);
	assert_int_equal(a->d.drops.rejected_by_peer, 1);
	assert_int_equal(a->n_tun, 0);
	world_free(w);
}

static void note_reason(void *arg, enum log_level level, const char *text)
{
	(void)level;
	if (strstr(text, "does not let us in"))
		snprintf(arg, 128, "%s", text);
}

/* Nobody begins anything with B while its shields are up, whatever the rules say, and what was let in before ends; B asks and is
 * answered. */
static void test_shields_up(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct rules_place up = { .shields_up = true };
	struct errbuf eb;
	uint8_t p[60] = { 0 };
	char told[128] = "";
	(void)state;
	log_tell(note_reason, told);
	world_map(w, 0, WORLD_ALL);
	world_map(w, 1, WORLD_ALL);
	world_send(w, 0, 1000, 80, "abc");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);

	dataplane_rules_set(&b->d, rules_compile(b->d.map, &up, &eb));
	dataplane_shields_set(&b->d, true);
	world_send(w, 0, 1000, 80, "abc");
	world_send(w, 0, 1000, 81, "abc");
	world_send_packet(w, 0, p, write_syn(p, a, b, 80));
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);
	assert_int_equal(b->d.filter_drops.no_rule, 3);
	assert_int_equal(a->d.drops.rejected_by_peer, 1);
	assert_non_null(strstr(told, "TCP port 80, its shields are up"));
	log_tell(NULL, NULL);

	world_send(w, 1, 53, 2000, "ask");
	world_run(w, 100);
	assert_int_equal(a->n_tun, 1);
	world_send(w, 0, 2000, 53, "answer");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 2);

	dataplane_rules_set(&b->d, rules_compile(b->d.map, &(struct rules_place) { 0 }, &eb));
	dataplane_shields_set(&b->d, false);
	world_send(w, 0, 1000, 81, "abc");
	world_run(w, 100);
	assert_int_equal(b->n_tun, 3);
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
		world_map(w, 0, WORLD_ALL);
		world_map(w, 1, WORLD_ALL);
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
/* An answer to an echo: what the peer's kernel makes of it. */
static void answer_echo(struct world *w, const struct pkt *asked)
{
	struct pkt p = *asked;
	uint8_t *b = pkt_data(&p), *icmp = b + 20;
	size_t len = p.len - 20u;
	assert_int_equal(b[9], IP_ICMP);
	assert_int_equal(icmp[0], 8);
	assert_int_equal(ip_checksum(icmp, len, 0), 0);
	icmp[0] = 0;
	icmp[2] = icmp[3] = 0;
	uint16_t sum = ip_checksum(icmp, len, 0);
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
	world_send_packet(w, 1, b, ip_write_header(b, &w->side[1].ip, &w->side[0].ip, IP_ICMP, len));
}

/* Both kinds of questions begin a session where there is none, and their answers stay out of the TUN. */
static void test_echoes(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct addr six;
	(void)state;
	assert_false(dataplane_echo(&a->d, 2, &b->ip, PLANE_ECHO_TSMP, 7));
	world_map(w, 0, "");
	world_map(w, 1, WORLD_ALL);
	dataplane_peer_api_set(&b->d, 4242, 0);
	assert_true(addr_parse("fd7a:115c:a1e0::2", &six));
	assert_false(dataplane_echo(&a->d, 2, &six, PLANE_ECHO_ICMP, 7));
	assert_false(dataplane_echo(&a->d, 9, &b->ip, PLANE_ECHO_TSMP, 7));
	assert_true(dataplane_echo(&a->d, 2, &b->ip, PLANE_ECHO_TSMP, 7));
	world_run(w, 100);
	assert_int_equal(a->echo.n, 1);
	assert_int_equal(a->echo.peer, 2);
	assert_int_equal(a->echo.token, 7);
	assert_int_equal(a->echo.port, 4242);
	assert_int_equal(b->n_tun, 0);
	assert_true(dataplane_echo(&a->d, 2, &b->ip, PLANE_ECHO_ICMP, 8));
	world_run(w, 100);
	assert_int_equal(b->n_tun, 1);
	answer_echo(w, &b->tun[0]);
	world_run(w, 100);
	assert_int_equal(a->echo.n, 2);
	assert_int_equal(a->echo.token, 8);
	assert_int_equal(a->n_tun, 0);
	/* One of the machine's own programs: another mark. */
	struct pkt other = b->tun[0];
	pkt_data(&other)[30] ^= 1;
	uint8_t *sum = pkt_data(&other) + 22;
	sum[0] = sum[1] = 0;
	uint16_t s = ip_checksum(pkt_data(&other) + 20, other.len - 20u, 0);
	sum[0] = (uint8_t)(s >> 8);
	sum[1] = (uint8_t)s;
	world_map(w, 0, WORLD_ALL);
	answer_echo(w, &other);
	world_run(w, 100);
	assert_int_equal(a->echo.n, 2);
	assert_int_equal(a->n_tun, 1);
	world_free(w);
}

static void test_unknown_session_is_answered(void **state)
{
	(void)state;
	for (int named = 0; named < 2; named++) {
		struct world *w = world_new();
		struct side *a = &w->side[0], *b = &w->side[1];
		static const uint8_t other[KEY_LEN] = { 1 };
		struct prefix own = prefix_of(&a->ip);
		world_map(w, 0, WORLD_ALL);
		world_map(w, 1, WORLD_ALL);
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
		cmocka_unit_test(test_echoes),
		cmocka_unit_test(test_unknown_session_is_answered),
		cmocka_unit_test(test_each_way_alone),
		cmocka_unit_test(test_moves_within_a_batch),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_rules_shut),
		cmocka_unit_test(test_foreign_source),
		cmocka_unit_test(test_members_by_an_exit),
		cmocka_unit_test(test_service_addresses),
		cmocka_unit_test(test_malformed_inside),
		cmocka_unit_test(test_out_drops),
		cmocka_unit_test(test_out_pieces),
		cmocka_unit_test(test_peer_removed),
		cmocka_unit_test(test_reject_is_told),
		cmocka_unit_test(test_shields_up),
		cmocka_unit_test(test_disco_key_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
