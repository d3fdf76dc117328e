/* A script of bytes drives one plane: what two peers put into the tunnel, as raw bytes or as packets between addresses that
 * mean something; what strangers send to its socket and through its relay; what programs and the hosts behind it send and
 * answer; maps, rules and keys that change, sessions lost, time. Checked: what comes out of the tunnel is a whole packet of
 * the peer's own address to anywhere but the resolver, and all of it again with one allocation that fails. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/dataplane.h"
#include "mesh/node/plane/fuzz/plane_packets.h"
#include "mesh/node/plane/rules.h"
#include "mesh/node/plane/tsmp.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* The linker puts it in place of path's (--wrap). */
struct path_way __real_path_way(const struct path *p, uint64_t peer);
struct path_way __wrap_path_way(const struct path *p, uint64_t peer);

enum { PEERS = 2, FLIGHT = 64, STEPS_MAX = 200, REGION = 7, START_MS = 5000, INITIATION = 148 };
#define UNIX_MS UINT64_C(1700000000000)

struct rig;
struct far { /* a peer: WireGuard alone, which seals whatever it is given */
	struct rig *rig;
	uint64_t id; /* as the plane knows it */
	struct wg *wg;
	struct node_private priv;
	struct node_key key;
	struct endpoint at;
	struct prefix own[2];
};
struct datagram {
	struct far *to; /* NULL: the plane */
	struct endpoint from;
	const struct far *by; /* NULL: nobody that is known */
	bool relay;
	uint8_t ecn;
	size_t len;
	uint8_t b[PKT_SIZE];
};
struct rig {
	struct plane d;
	struct path *path;
	struct node_private priv;
	struct node_key key;
	struct netmap *map;
	struct far far[PEERS];
	struct datagram flight[FLIGHT];
	size_t first, n;
	struct pkt before;  /* the last of the TUN, */
	struct pkt out, in; /* the last that the plane gave to it, the last at a peer, either way */
	struct pkt batch[PKT_BATCH];
	uint64_t now_ms, rng;
	struct rd script;
	struct datagram initiation; /* the last of a peer; len 0: none */
	uint16_t most;		    /* what the direct way carries of the plane's; 0: all */
	bool nowhere;		    /* it has no way at all */
	bool flooded;
	bool relay;  /* peers send by it */
	uint8_t ecn; /* what routers made of what they sent */
};

static struct rig *the_rig; /* for what has no argument of its own */

static void check(bool ok)
{
	if (!ok && !trouble_happened())
		abort();
}

static void fill(void *arg, void *dst, size_t len)
{
	struct rig *g = arg;
	for (uint8_t *b = dst; len--; b++)
		*b = (uint8_t)((g->rng = g->rng * 6364136223846793005u + 1) >> 56);
}

/* --- the network between them --- */

static struct datagram *launch(struct rig *g, const uint8_t *p, size_t len)
{
	if (g->n == FLIGHT || len > PKT_SIZE)
		return NULL;
	struct datagram *d = &g->flight[(g->first + g->n++) % FLIGHT];
	*d = (struct datagram) { .len = len, .ecn = g->ecn };
	memcpy(d->b, p, len);
	return d;
}

static struct far *far_at(struct rig *g, const struct endpoint *at, const struct node_key *key)
{
	for (size_t i = 0; i < PEERS; i++)
		if (at ? endpoint_equal(at, &g->far[i].at) : key_equal(key->b, g->far[i].key.b))
			return &g->far[i];
	return NULL;
}

static void udp_send(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct far *f = far_at(arg, to, NULL);
	struct datagram *d = f ? launch(arg, p, len) : NULL;
	(void)from;
	if (d)
		d->to = f;
}

static void relay_send(void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	struct far *f = far_at(arg, NULL, to);
	struct datagram *d = f && region == REGION ? launch(arg, p, len) : NULL;
	if (d)
		d->to = f;
}

static void udp_send_batch(
	void *arg, enum path_socket from, const struct endpoint *to, struct pkt *const *pkts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		udp_send(arg, from, to, pkt_data(pkts[i]), pkts[i]->len);
}

static void relay_send_batch(
	void *arg, int32_t region, const struct node_key *to, struct pkt *const *pkts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		relay_send(arg, region, to, pkt_data(pkts[i]), pkts[i]->len);
}

/* What is not a peer's is what the plane says to a host itself: that a packet was too large. */
static void tun_write(void *arg, struct pkt *const *pkts, size_t n)
{
	struct rig *g = arg;
	for (size_t i = 0; i < n; i++) {
		struct ip_view v;
		bool peers = false;
		check(ip_parse(pkt_data(pkts[i]), pkts[i]->len, &v));
		for (int k = PEER4; k <= OTHER6; k++)
			peers = peers || addr_equal(&v.src, &places[k]);
		check(peers || (v.proto == IP_ICMP && v.icmp_type == 3 && v.icmp_code == 4));
		check(!addr_is_service(&v.src) && !addr_is_service(&v.dst));
		check(pkts[i]->at + pkts[i]->len <= PKT_SIZE);
		g->out = *pkts[i];
	}
}

static void echo_answered(void *arg, uint64_t peer, uint64_t token, uint16_t peer_api)
{
	(void)arg, (void)token, (void)peer_api;
	check(peer >= 1 && peer <= PEERS);
}

static void recall(void *arg)
{
	(void)arg; /* nothing is lent */
}

static void capture(void *arg, unsigned how, const uint8_t *p, size_t len)
{
	(void)arg;
	check(p && len <= PKT_SIZE && how <= PLANE_TO_PEER);
}

static uint64_t now_ms(void *arg)
{
	return ((struct rig *)arg)->now_ms;
}

static void far_send(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	struct far *f = arg;
	struct datagram *d = launch(f->rig, p, len);
	(void)peer;
	if (d) {
		d->by = f;
		d->from = f->at;
		d->relay = f->rig->relay;
		if (len == INITIATION)
			f->rig->initiation = *d;
	}
}

/* As path says, and narrower, or nowhere. */
struct path_way __wrap_path_way(const struct path *p, uint64_t peer)
{
	struct path_way way = __real_path_way(p, peer);
	if (the_rig->most && peer && peer <= PEERS) {
		way.udp = true;
		way.at = the_rig->far[peer - 1].at;
		way.most = the_rig->most;
		way.region = REGION;
	}
	if (the_rig->nowhere)
		way.udp = way.relay = false;
	return way;
}

static void far_send_back(void *arg, const void *from, const uint8_t *p, size_t len)
{
	(void)from;
	far_send(arg, 1, p, len);
}

static void far_ready(void *arg, uint64_t peer)
{
	struct far *f = arg;
	struct pkt p;
	while (wg_staged_take(f->wg, peer, &p))
		if (wg_seal(f->wg, f->rig->now_ms, peer, &p) == WG_OK)
			far_send(f, peer, pkt_data(&p), p.len);
}

static void far_received(struct rig *g, struct far *f, const struct datagram *d)
{
	struct pkt p;
	struct wg_received r;
	struct wg_origin origin = { .p = "plane", .len = 5 };
	struct ip_view v;
	pkt_reset(&p);
	memcpy(pkt_data(&p), d->b, p.len = (uint16_t)d->len);
	if (f->wg && wg_receive(f->wg, g->now_ms, &p, &origin, &r) == WG_OK && r.is_data && p.len) {
		check(ip_parse(pkt_data(&p), p.len, &v));
		g->in = p;
	}
}

static void relay_received(struct rig *g, const struct datagram *d)
{
	static const struct node_key nobody = { { 9 } };
	dataplane_relay_received(&g->d, REGION, d->by ? &d->by->key : &nobody, d->b, d->len);
}

/* Those by UDP that follow each other come in one read. */
static void deliver(struct rig *g)
{
	struct endpoint from[PKT_BATCH];
	size_t n = 0;
	while (g->n) {
		struct datagram *d = &g->flight[g->first];
		if (n && (d->to || d->relay))
			break;
		g->first = (g->first + 1) % FLIGHT;
		g->n--;
		if (d->to) {
			far_received(g, d->to, d);
			break;
		}
		if (d->relay) {
			relay_received(g, d);
			break;
		}
		pkt_reset(&g->batch[n]);
		memcpy(pkt_data(&g->batch[n]), d->b, g->batch[n].len = (uint16_t)d->len);
		g->batch[n].ecn = d->ecn;
		from[n++] = d->from;
	}
	if (n)
		dataplane_udp_received(&g->d, PATH_MAIN, g->batch, from, n);
}

static void settle(struct rig *g)
{
	for (int i = 0; i < 4 * FLIGHT && g->n; i++) {
		deliver(g);
		path_flush(g->path, g->now_ms);
	}
	dataplane_relay_flush(&g->d);
	path_flush(g->path, g->now_ms);
}

/* --- what path tells --- */

static void nothing(void *arg)
{
	(void)arg;
}
static void home_changed(void *arg, int32_t region)
{
	(void)arg, (void)region;
}
static void way_changed(void *arg, uint64_t peer)
{
	struct rig *g = arg;
	wg_path_changed(g->d.wg, g->now_ms, peer);
}
static void ping_done(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	(void)arg, (void)token, (void)peer, (void)at, (void)region, (void)ms;
}

static void probe_data(void *arg, uint64_t peer, uint64_t token, const struct path_way *way)
{
	tsmp_ping(&((struct rig *)arg)->d, peer, token, way);
}

/* --- the whole --- */

static void introduce(struct rig *g, struct far *f)
{
	struct path_peer pp = {
		.id = f->id, .key = f->key, .endpoints = &f->at, .n_endpoints = 1, .home = REGION
	};
	const struct ctl_node *c = &g->map->peers[f->id - 1]->node;
	pp.disco = c->disco;
	check(wg_peer_set(g->d.wg, f->id, &f->key, NULL, f->own, 2));
	check(path_peer_set(g->path, g->now_ms, &pp));
}

static void far_open(struct rig *g, struct far *f)
{
	struct wg_ops ops = {
		.send = far_send, .send_back = far_send_back, .session_ready = far_ready, .arg = f
	};
	struct random rnd = { fill, g };
	struct prefix all[2] = { { .ip = addr_v4(0), .bits = 0 }, { .ip = addr_any6, .bits = 0 } };
	f->wg = wg_new(&f->priv, &ops, &rnd);
	if (!f->wg)
		return;
	wg_clock_set(f->wg, g->now_ms, UNIX_MS + g->now_ms);
	(void)wg_peer_set(f->wg, 1, &g->key, NULL, all, 2);
}

static struct netmap *map_of(const struct rig *g)
{
	char json[2048], us[KEY_TEXT], key[PEERS][KEY_TEXT];
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct errbuf eb;
	for (size_t i = 0; i < PEERS; i++)
		key_format(g->far[i].key.b, "nodekey:", key[i]);
	snprintf(json, sizeof(json),
		"{\"Node\":{\"ID\":9,\"StableID\":\"us\",\"Name\":\"us.x.test.\",\"User\":1,\"Key\":\"%s\","
		"\"Addresses\":[\"100.64.0.2/32\",\"fd7a:115c:a1e0::2/"
		"128\"]},\"Peers\":[{\"ID\":1,\"StableID\":\"a\","
		"\"Name\":\"a.x.test.\",\"User\":1,\"Key\":\"%s\",\"HomeDERP\":7,\"DiscoKey\":\"discokey:"
		"0900000000000000000000000000000000000000000000000000000000000000\","
		"\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"]},{\"ID\":2,\"StableID\":\"b\","
		"\"Name\":\"b.x.test.\",\"User\":1,\"Key\":\"%s\",\"HomeDERP\":7,"
		"\"Addresses\":[\"fd7a:115c:a1e0::3/128\"]}],"
		"\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,"
		"\"Last\":1023}}]}]}",
		key_format(g->key.b, "nodekey:", us), key[0], key[1]);
	if (ctl_map_response_read(&a, json, strlen(json), &m, &eb) != 0)
		abort();
	struct netmap *map = netmap_apply(NULL, &m, 0, &eb);
	arena_free(&a);
	if (!map)
		abort();
	return map;
}

static void rules_of(struct rig *g)
{
	struct prefix offered[2];
	struct errbuf eb;
	(void)prefix_parse("fd7a:115c:a1e0:b1a::/64", &offered[0]);
	(void)prefix_parse("10.1.1.0/24", &offered[1]);
	struct rules_place at = { .offered = offered, .n_offered = 2, .around = &offered[1], .n_around = 1 };
	dataplane_rules_set(&g->d, rules_compile(g->map, &at, &eb));
}

static void rig_open(struct rig *g)
{
	struct random rnd = { fill, g };
	struct path_ops po = { .send_udp = udp_send,
		.send_relay = relay_send,
		.self_changed = nothing,
		.home_changed = home_changed,
		.way_changed = way_changed,
		.ping_done = ping_done,
		.probe_data = probe_data,
		.arg = g };
	struct plane_io io = { .tun_write = tun_write,
		.udp_send = udp_send,
		.udp_send_batch = udp_send_batch,
		.relay_send = relay_send,
		.relay_send_batch = relay_send_batch,
		.echo_answered = echo_answered,
		.recall = recall,
		.now_ms = now_ms,
		.arg = g };
	struct errbuf eb;
	struct addr local = addr_v4(0xc0000202u);
	g->now_ms = START_MS;
	g->rng = 88172645463325252;
	key_generate(&rnd, g->priv.b);
	key_public(g->priv.b, g->key.b);
	for (size_t i = 0; i < PEERS; i++) {
		struct far *f = &g->far[i];
		*f = (struct far) { .rig = g,
			.id = i + 1,
			.at = { .ip = addr_v4(0xc0000210u + (unsigned)i), .port = 41641 },
			.own = { prefix_of(&places[PEER4 + 2 * i]), prefix_of(&places[PEER6 + 2 * i]) } };
		key_generate(&rnd, f->priv.b);
		key_public(f->priv.b, f->key.b);
	}
	g->map = map_of(g);
	g->path = path_new(&g->key, &po, &rnd);
	struct plane_config cfg = {
		.us = &g->priv, .rnd = &rnd, .io = &io, .path = g->path, .handshake_clock_ms = UNIX_MS
	};
	if (!g->path || dataplane_open(&g->d, &cfg, &eb))
		abort();
	path_links_changed(g->path, g->now_ms, &local, 1, 41641);
	path_relay_up(g->path, g->now_ms, REGION, true);
	dataplane_map_set(&g->d, g->map);
	rules_of(g);
	dataplane_server_up(&g->d, true);
	dataplane_peer_api_set(&g->d, 4, 6);
	for (size_t i = 0; i < PEERS; i++) {
		introduce(g, &g->far[i]);
		far_open(g, &g->far[i]);
	}
}

static void rig_close(struct rig *g)
{
	dataplane_close(&g->d);
	path_free(g->path);
	netmap_put(g->map);
	for (size_t i = 0; i < PEERS; i++)
		wg_free(g->far[i].wg);
}

/* --- packets --- */

static void from_peer(struct rig *g, struct far *f, struct pkt *p)
{
	if (!f->wg || !p->len)
		return;
	g->in = *p;
	if (wg_seal(f->wg, g->now_ms, 1, p) == WG_OK)
		far_send(f, 1, pkt_data(p), p->len);
}

/* Once, twice, or with the one before behind it. */
static void from_tun(struct rig *g, struct pkt *p)
{
	static struct pkt row[3];
	const size_t n = 1 + (g->rng >> 60) % 3;
	row[0] = row[1] = *p;
	row[1].follows = true;
	row[2] = g->before;
	g->before = *p;
	if (p->len)
		dataplane_tun_received(&g->d, row, row[2].len || n < 3 ? n : 2);
}

/* --- the script --- */

static void stranger(struct rig *g, bool relay)
{
	uint8_t b[PKT_SIZE], who = rd_u8(&g->script);
	size_t n = put_text(&g->script, b, relay ? sizeof(b) : PLANE_L4_MAX);
	struct datagram *d = n ? launch(g, b, n) : NULL;
	if (!d)
		return;
	d->relay = relay;
	d->by = who < PEERS ? &g->far[who] : NULL;
	d->from =
		who < PEERS ? g->far[who].at : (struct endpoint) { .ip = addr_v4(0xcb007101u), .port = who };
}

static void pass_time(struct rig *g)
{
	g->now_ms += UINT64_C(1) << rd_u8(&g->script) % 24;
	wg_tick(g->d.wg, g->now_ms);
	path_tick(g->path, g->now_ms);
	for (size_t i = 0; i < PEERS; i++)
		if (g->far[i].wg)
			wg_tick(g->far[i].wg, g->now_ms);
}

static void change(struct rig *g)
{
	uint8_t what = rd_u8(&g->script);
	struct random rnd = { fill, g };
	struct errbuf eb;
	struct far *f = &g->far[what >> 7];
	switch (what % 8) {
	case 0: dataplane_rules_set(&g->d, NULL); break;
	case 1: rules_of(g); break;
	case 2: dataplane_map_set(&g->d, NULL); break;
	case 3: dataplane_map_set(&g->d, g->map); break;
	case 4: dataplane_server_up(&g->d, what & 8); break;
	case 5: /* the peer has lost its sessions, or we have */
		if (what & 8 && dataplane_key_set(&g->d, &g->priv, &rnd, UNIX_MS + g->now_ms, &eb) == 0) {
			for (size_t i = 0; i < PEERS; i++)
				introduce(g, &g->far[i]);
		} else {
			wg_free(f->wg);
			far_open(g, f);
		}
		break;
	case 6: path_relay_up(g->path, g->now_ms, REGION, what & 8); break;
	default: g->relay = what & 8; break;
	}
}

static void echo(struct rig *g)
{
	uint8_t what = rd_u8(&g->script);
	(void)dataplane_echo(
		&g->d, what % 4, &places[what >> 4], what & 8 ? PLANE_ECHO_ICMP : PLANE_ECHO_TSMP, what);
}

/* So many handshakes that the plane asks for a cookie; once, for it takes long. */
static void flood(struct rig *g, bool relay)
{
	struct datagram of = g->initiation, *d;
	g->initiation.len = 0;
	while (of.len && (d = launch(g, of.b, of.len))) {
		d->from = of.from;
		d->by = of.by;
		d->relay = relay;
	}
	g->flooded = true;
	settle(g);
}

/* What is about the plane, and no packet. */
static void around(struct rig *g)
{
	uint8_t what = rd_u8(&g->script);
	const struct plane_capture by = { .packet = what & 8 ? capture : NULL, .arg = g };
	const struct path_way way = __wrap_path_way(g->path, 1 + (what >> 7));
	switch (what % 8) {
	case 0: dataplane_capture_set(&g->d, &by); break;
	case 1: dataplane_shields_set(&g->d, what & 8); break;
	case 2: g->most = what & 8 ? 200 : 0; break;
	case 3: g->nowhere = what & 8; break;
	case 4: tsmp_ping(&g->d, 1 + (what >> 7) + (what >> 5 & 2), what, &way); break;
	case 5: dataplane_relay_peer_gone(&g->d, REGION, &g->far[what >> 7].key); break;
	default:
		if (!g->flooded)
			flood(g, what & 8);
	}
}

static void step(struct rig *g)
{
	struct pkt p;
	uint8_t op = rd_u8(&g->script);
	struct far *f = &g->far[op >> 7];
	pkt_reset(&p);
	g->ecn = op >> 4 & 3;
	switch (op & 15) {
	case 0:
		put_bytes(&g->script, &p);
		from_peer(g, f, &p);
		break;
	case 1:
	case 2:
		put_packet(&g->script, &p);
		from_peer(g, f, &p);
		break;
	case 3:
		put_answer(&g->script, &p, &g->in);
		from_peer(g, f, &p);
		break;
	case 4:
		put_bytes(&g->script, &p);
		from_tun(g, &p);
		break;
	case 5:
		put_packet(&g->script, &p);
		g->in = p;
		from_tun(g, &p);
		break;
	case 6:
		put_answer(&g->script, &p, &g->out);
		from_tun(g, &p);
		break;
	case 7: stranger(g, false); break;
	case 8: stranger(g, true); break;
	case 9: change(g); break;
	case 10: echo(g); break;
	case 11: pass_time(g); break;
	case 12: around(g); break;
	default: break;
	}
	if (!(op & 0x40)) /* else with what comes next */
		settle(g);
	path_flush(g->path, g->now_ms);
}

static void run(const uint8_t *data, size_t len)
{
	static struct rig g;
	g = (struct rig) { .script = rd_of(data, len) };
	the_rig = &g;
	rig_open(&g);
	/* A session with the first peer is there. */
	struct pkt p;
	struct endpoint from = { .ip = places[PEER4], .port = 1000 }, to = { .ip = places[US4], .port = 80 };
	pkt_reset(&p);
	memset(pkt_data(&p), 0, 32);
	p.len = (uint16_t)ip_write_udp(pkt_data(&p), &from, &to, 4);
	from_peer(&g, &g.far[0], &p);
	settle(&g);
	if (!g.out.len)
		abort();
	trouble_begin();
	for (int i = 0; i < STEPS_MAX && g.script.left; i++)
		step(&g);
	settle(&g);
	trouble_end();
	rig_close(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!key_setup())
		abort();
	log_setup(LOG_ERROR, false);
	name_places();
	return trouble_twice(run, data, len);
}
