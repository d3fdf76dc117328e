#include "mesh/node/plane/test/world.h"
#include "mesh/base/ip.h"
#include "mesh/node/plane/rules.h"
#include "mesh/node/plane/tsmp.h"
#include "mesh/netmap/test/told_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { WORLD_START_MS = 1000000, STEP_MS = 10 };
#define WORLD_UNIX_MS UINT64_C(1700000000000)

static void fill(void *arg, void *dst, size_t len)
{
	struct world *w = arg;
	for (uint8_t *b = dst; len--; b++) {
		w->rng ^= w->rng << 13;
		w->rng ^= w->rng >> 7;
		w->rng ^= w->rng << 17;
		*b = (uint8_t)(w->rng >> 24);
	}
}

/* --- the network --- */

static void launch(struct side *s, bool relay, const uint8_t *p, size_t len)
{
	struct world *w = s->w;
	(relay ? s->relay_sent++ : s->udp_sent++);
	if (relay ? w->no_relay : w->no_udp)
		return;
	assert_true(w->n < WORLD_FLIGHT && len <= PKT_SIZE);
	struct datagram *d = &w->flight[(w->first + w->n++) % WORLD_FLIGHT];
	d->to = !s->self;
	d->relay = relay;
	d->ecn = 0;
	d->len = len;
	memcpy(d->b, p, len);
}

static void udp_send(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	(void)from;
	struct side *s = arg;
	if (endpoint_equal(to, &s->w->side[!s->self].at))
		launch(s, false, p, len);
}

static void udp_send_batch(
	void *arg, enum path_socket from, const struct endpoint *to, struct pkt *const *pkts, size_t n)
{
	struct world *w = ((struct side *)arg)->w;
	for (size_t i = 0; i < n; i++) {
		size_t before = w->n;
		udp_send(arg, from, to, pkt_data(pkts[i]), pkts[i]->len);
		if (w->n > before)
			w->flight[(w->first + before) % WORLD_FLIGHT].ecn = pkts[i]->ecn;
	}
}

static void relay_send(void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	struct side *s = arg;
	assert_int_equal(region, WORLD_REGION);
	assert_true(key_equal(to->b, s->w->side[!s->self].key.b));
	launch(s, true, p, len);
}

static void relay_send_batch(
	void *arg, int32_t region, const struct node_key *to, struct pkt *const *pkts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		relay_send(arg, region, to, pkt_data(pkts[i]), pkts[i]->len);
}

static void tun_write(void *arg, struct pkt *const *pkts, size_t n)
{
	struct side *s = arg;
	s->tun_writes++;
	for (size_t i = 0; i < n; i++) {
		assert_true(s->n_tun < WORLD_TUN_MAX);
		s->tun[s->n_tun++] = *pkts[i];
	}
}

static void echo_answered(void *arg, uint64_t peer, uint64_t token, uint16_t peer_api)
{
	struct side *s = arg;
	s->echo = (struct world_echo) { .n = s->echo.n + 1, .peer = peer, .token = token, .port = peer_api };
}

static uint64_t now_ms(void *arg)
{
	struct side *s = arg;
	s->clock_asked++;
	return s->w->now_ms;
}

static void deliver(struct world *w)
{
	static struct pkt p;
	struct datagram *d = &w->flight[w->first];
	struct side *s = &w->side[d->to], *from = &w->side[!d->to];
	w->first = (w->first + 1) % WORLD_FLIGHT;
	w->n--;
	if (d->relay) {
		dataplane_relay_received(&s->d, WORLD_REGION, &from->key, d->b, d->len);
		dataplane_relay_flush(&s->d);
	} else {
		pkt_reset(&p);
		p.len = (uint16_t)d->len;
		memcpy(pkt_data(&p), d->b, d->len);
		p.ecn = d->ecn;
		dataplane_udp_received(&s->d, PATH_MAIN, &p, &from->at, 1);
	}
	path_flush(s->path, w->now_ms);
}

void world_run(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->now_ms + ms; w->now_ms < end;) {
		while (w->n)
			deliver(w);
		w->now_ms += STEP_MS;
		for (int i = 0; i < 2; i++) {
			wg_tick(w->side[i].d.wg, w->now_ms);
			path_tick(w->side[i].path, w->now_ms);
			path_flush(w->side[i].path, w->now_ms);
		}
	}
	while (w->n)
		deliver(w);
}

/* --- what path tells --- */

static void nothing(void *arg)
{
	(void)arg;
}

static void home_changed(void *arg, int32_t region)
{
	(void)arg;
	(void)region;
}

static void way_changed(void *arg, uint64_t peer)
{
	struct side *s = arg;
	wg_path_changed(s->d.wg, s->w->now_ms, peer);
}

static void ping_done(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	(void)arg, (void)token, (void)peer, (void)at, (void)region, (void)ms;
}

static void probe_data(void *arg, uint64_t peer, uint64_t token, const struct path_way *way)
{
	tsmp_ping(&((struct side *)arg)->d, peer, token, way);
}

/* --- the whole --- */

static void side_open(struct world *w, int self)
{
	struct side *s = &w->side[self];
	struct random rnd = { .fill = fill, .arg = w };
	struct path_ops po = { .send_udp = udp_send,
		.send_relay = relay_send,
		.self_changed = nothing,
		.home_changed = home_changed,
		.way_changed = way_changed,
		.ping_done = ping_done,
		.probe_data = probe_data,
		.arg = s };
	struct plane_io io = { .tun_write = tun_write,
		.udp_send = udp_send,
		.udp_send_batch = udp_send_batch,
		.relay_send = relay_send,
		.relay_send_batch = relay_send_batch,
		.echo_answered = echo_answered,
		.now_ms = now_ms,
		.arg = s };
	struct errbuf eb;
	s->w = w;
	s->self = self;
	key_generate(&rnd, s->priv.b);
	key_public(s->priv.b, s->key.b);
	s->ip = addr_v4(0x64400001u + (unsigned)self);
	s->at = (struct endpoint) { .ip = addr_v4(0xc0000201u + (unsigned)self), .port = 41641 };
	s->path = path_new(&s->key, &po, &rnd);
	assert_non_null(s->path);
	path_links_changed(s->path, w->now_ms, &s->at.ip, 1, s->at.port);
	struct plane_config cfg = {
		.us = &s->priv, .rnd = &rnd, .io = &io, .path = s->path, .handshake_clock_ms = WORLD_UNIX_MS
	};
	assert_int_equal(dataplane_open(&s->d, &cfg, &eb), 0);
	dataplane_server_up(&s->d, true);
}

struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	w->now_ms = WORLD_START_MS;
	w->rng = 88172645463325252;
	for (int i = 0; i < 2; i++)
		side_open(w, i);
	return w;
}

void world_free(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		dataplane_close(&w->side[i].d);
		path_free(w->side[i].path);
	}
	free(w);
}

void world_map_with(struct world *w, int self, const char *rules, const char *addresses)
{
	struct side *s = &w->side[self], *o = &w->side[!self];
	char json[4096], us[KEY_TEXT], them[KEY_TEXT], disco[KEY_TEXT], ip[2][ADDR_TEXT], at[ENDPOINT_TEXT];
	struct errbuf eb = { 0 };
	addr_format(&s->ip, ip[0]);
	addr_format(&o->ip, ip[1]);
	snprintf(json, sizeof(json),
		"{\"Node\":{\"ID\":%d,\"StableID\":\"a\",\"Name\":\"a.x.test.\",\"User\":1,\"Key\":\"%s\","
		"\"Addresses\":[\"%s/32\"]},\"Peers\":[{\"ID\":%d,\"StableID\":\"b\",\"Name\":\"b.x.test.\","
		"\"User\":1,\"Key\":\"%s\",\"DiscoKey\":\"%s\",\"HomeDERP\":%d,\"Endpoints\":[\"%s\"],"
		"\"Addresses\":[\"%s/32\"]}],\"PacketFilter\":[%s]}",
		self + 1, key_format(s->key.b, "nodekey:", us), ip[0], 2 - self,
		key_format(o->key.b, "nodekey:", them),
		key_format(path_disco_key(o->path)->b, "discokey:", disco), (int)WORLD_REGION,
		endpoint_format(&o->at, at), ip[1], rules);
	struct netmap *map = told_map(NULL, json);
	const struct ctl_node *p = &map->peers[0]->node;
	struct prefix allowed[2] = { p->addresses.v[0] };
	if (addresses[0])
		assert_true(prefix_parse(addresses, &allowed[1]));
	struct path_peer pp = { .id = (uint64_t)p->id,
		.key = p->key,
		.disco = p->disco,
		.endpoints = p->endpoints.v,
		.n_endpoints = p->endpoints.n,
		.home = p->home_derp };
	assert_true(wg_peer_set(s->d.wg, (uint64_t)p->id, &p->key, NULL, allowed, addresses[0] ? 2 : 1));
	assert_true(path_peer_set(s->path, w->now_ms, &pp));
	path_relay_up(s->path, w->now_ms, WORLD_REGION, true);
	dataplane_map_set(&s->d, map);
	dataplane_rules_set(&s->d, rules_compile(map, &(struct rules_place) { 0 }, &eb));
	netmap_put(map);
}

void world_map(struct world *w, int self, const char *rules)
{
	world_map_with(w, self, rules, "");
}

void world_send_packet(struct world *w, int from, const uint8_t *p, size_t len)
{
	static struct pkt pkt;
	pkt_reset(&pkt);
	memcpy(pkt_data(&pkt), p, len);
	pkt.len = (uint16_t)len;
	dataplane_tun_received(&w->side[from].d, &pkt, 1);
	path_flush(w->side[from].path, w->now_ms);
}

void world_send(struct world *w, int from, uint16_t sport, uint16_t dport, const char *text)
{
	uint8_t b[256];
	struct endpoint src = { .ip = w->side[from].ip, .port = sport },
			dst = { .ip = w->side[!from].ip, .port = dport };
	memcpy(b + 28, text, strlen(text));
	world_send_packet(w, from, b, ip_write_udp(b, &src, &dst, strlen(text)));
}

void world_assert_tun(const struct side *s, size_t i, const char *text)
{
	assert_true(i < s->n_tun);
	struct pkt p = s->tun[i];
	assert_int_equal(p.len, 28 + strlen(text));
	assert_memory_equal(pkt_data(&p) + 28, text, strlen(text));
}
