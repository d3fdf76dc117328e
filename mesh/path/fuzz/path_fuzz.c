/* A script of bytes drives one node: time, datagrams raw and rightly sealed (by a known peer, with any type
 * and body), through UDP and relay, STUN answers with the right transaction, and every fact of the driver; and
 * again with one allocation that fails. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/wire.h"
#include "mesh/path/state.h"
#include "mesh/proto/stun.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PLAIN_PING_MAX = 200 };

struct rig {
	struct path *path;
	struct disco_private disco_private;
	struct disco_key disco;
	struct node_key key, us;
	struct box_key box;
	uint8_t last_tx[DISCO_TX], last_stun[STUN_TX];
	struct endpoint last_to, last_stun_to;
	enum path_socket last_from;
	uint64_t now_ms, sent, random, token;
	bool removed, others, small; /* small: what is padded goes unanswered */
};

static void fill(void *arg, void *dst, size_t len)
{
	struct rig *r = arg;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)dst)[i] =
			(uint8_t)((r->random = r->random * 6364136223846793005u + 1442695040888963407u) >>
				  33);
}

static void send_udp(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct rig *r = arg;
	struct disco_message m;
	bool official;
	if (!to->port || addr_is_multicast(&to->ip) || addr_is_unspecified(&to->ip))
		abort();
	r->sent++;
	r->last_from = from;
	if (stun_is(p, len)) {
		if (stun_request_read(p, len, r->last_stun, &official))
			r->last_stun_to = *to;
		return;
	}
	if (r->removed && !r->others)
		abort(); /* no send after a peer was removed */
	if (disco_read(p, len, &r->box, &m) && m.type == DISCO_PING && key_equal(m.node.b, r->us.b) &&
		!(r->small && len > PLAIN_PING_MAX)) {
		for (size_t i = 0; i < DISCO_TX; i++)
			r->last_tx[i] = m.tx[i];
		r->last_to = *to;
	}
}

static void send_near(void *arg, enum path_socket from, const struct endpoint *to, uint8_t hops,
	const uint8_t *p, size_t len)
{
	if (!hops && from != PATH_SPARE)
		abort();
	send_udp(arg, from, to, p, len);
}

static void send_relay(void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	struct rig *r = arg;
	(void)to;
	(void)p;
	(void)len;
	if (!region || (r->removed && !r->others))
		abort();
	r->sent++;
}

static void nothing(void *arg)
{
	(void)arg;
}
static void nothing_i(void *arg, int32_t i)
{
	(void)arg;
	(void)i;
}
static void way(void *arg, uint64_t peer)
{
	struct rig *r = arg;
	struct path_state s;
	path_peer_state(r->path, r->now_ms, peer, &s);
}
static void pinged(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	(void)arg;
	(void)token;
	(void)peer;
	(void)at;
	(void)region;
	if (ms < 0)
		abort();
}

static void probe_data(void *arg, uint64_t peer, uint64_t token, const struct path_way *by)
{
	struct rig *r = arg;
	if (peer < 7 || peer > 9 || (r->removed && !r->others) || by->udp == by->relay)
		abort();
	r->token = token;
}

static void resolve(void *arg, const char *host)
{
	struct rig *r = arg;
	struct addr at = addr_v4(0xcb007107);
	path_resolved(r->path, r->now_ms, host, &at, 1);
}

static void spare(void *arg)
{
	struct rig *r = arg;
	path_spare_opened(r->path, r->now_ms, 4001);
}

static struct endpoint take_endpoint(struct rd *r)
{
	static const uint32_t places[] = { 0x0a000002, 0xc0a80105, 0xc6336402, 0xe0000001, 0, 0x7f000001,
		0xcb007101, 0x64400001 };
	uint8_t b = rd_u8(r);
	struct endpoint e = { .ip = addr_v4(places[b & 7]),
		.port = (uint16_t)(b >> 3 ? 4000 + (b >> 3) : 0) };
	if (b == 255)
		rd_copy(r, e.ip.b, 16);
	return e;
}

static size_t seal(struct rig *g, struct rd *r, uint8_t *out)
{
	uint8_t nonce[BOX_NONCE] = { 1 };
	struct disco_message m = { .type = (uint8_t)(1 + rd_u8(r) % 3), .node = g->key };
	if (m.type == DISCO_PONG)
		for (size_t i = 0; i < DISCO_TX; i++)
			m.tx[i] = g->last_tx[i];
	else
		rd_copy(r, m.tx, 4);
	m.seen = take_endpoint(r);
	for (uint8_t n = rd_u8(r) % DISCO_ENDPOINTS_MAX; n && !r->bad; n--)
		m.endpoints[m.n_endpoints++] = take_endpoint(r);
	return disco_write(&m, &g->disco, &g->box, nonce, out);
}

static void set_peer(struct rig *g, struct rd *r)
{
	struct endpoint at[8];
	struct path_peer p = {
		.id = 7, .key = g->key, .disco = g->disco, .endpoints = at, .home = rd_u8(r) % 4
	};
	for (p.n_endpoints = rd_u8(r) % 8; !r->bad && p.n_endpoints < 8 && rd_u8(r) % 4; p.n_endpoints++)
		at[p.n_endpoints] = take_endpoint(r);
	for (size_t i = 0; i < 8; i++)
		at[i] = i < 4 ? (struct endpoint) { .ip = addr_v4(0xc6336401u + (uint32_t)i), .port = 41641 }
			      : take_endpoint(r);
	path_peer_set(g->path, g->now_ms, &p);
	g->removed = false;
}

static void set_derp(struct rig *g, uint8_t n)
{
	struct ctl_derp_node nodes[3];
	struct ctl_derp_region regions[3];
	for (size_t i = 0; i < 3; i++) {
		nodes[i] = (struct ctl_derp_node) { .name = "",
			.host = "r",
			.cert_name = "",
			.ipv4 = n & 16 ? ""
				: i    ? "203.0.113.1"
				       : "203.0.113.2",
			.ipv6 = n & 32 ? "2001:db8::9" : "none",
			.stun_test_ip = "",
			.stun_port = n & 8 ? -1 : 0 };
		regions[i] =
			(struct ctl_derp_region) { .id = (int32_t)i + 1, .nodes = &nodes[i], .n_nodes = 1 };
	}
	struct ctl_derp_map m = { .regions = regions, .n_regions = n % 4 };
	path_derp_map_set(g->path, g->now_ms, &m);
}

static void received(struct rig *g, struct rd *r, uint8_t op)
{
	uint8_t b[DISCO_MAX] = { 0 }, raw[64] = { 0 };
	struct endpoint from = take_endpoint(r);
	size_t n;
	if (op == 0) {
		n = rd_u8(r) % sizeof(raw);
		rd_copy(r, raw, n < r->left ? n : r->left);
		path_udp_received(g->path, g->now_ms, g->last_from, &from, raw, n);
		path_relay_received(g->path, g->now_ms, 1, &g->key, raw, n);
	} else if (op == 1) {
		n = seal(g, r, b);
		path_udp_received(g->path, g->now_ms, g->last_from, rd_u8(r) % 2 ? &g->last_to : &from, b, n);
	} else if (op == 2) {
		n = seal(g, r, b);
		path_relay_received(g->path, g->now_ms, rd_u8(r) % 4, &g->key, b, n);
	} else {
		n = stun_reply_write(g->last_stun, &from, b);
		path_udp_received(g->path, g->now_ms, g->last_from, &g->last_stun_to, b, n);
	}
}

static void answer_ping(struct rig *g)
{
	uint8_t b[DISCO_MAX], nonce[BOX_NONCE] = { 2 };
	struct disco_message m = { .type = DISCO_PONG, .seen = { .ip = addr_v4(0xc0a80105), .port = 41641 } };
	for (size_t i = 0; i < DISCO_TX; i++)
		m.tx[i] = g->last_tx[i];
	size_t n = disco_write(&m, &g->disco, &g->box, nonce, b);
	if (g->last_to.port)
		path_udp_received(g->path, g->now_ms, g->last_from, &g->last_to, b, n);
}

/* A stretch of use, as most of life is. how: what of it is answered. */
static void talk(struct rig *g, uint8_t how, uint8_t n)
{
	for (unsigned i = 0; i < 4u * (n % 64); i++) {
		g->now_ms += 50;
		path_used(g->path, g->now_ms, 7);
		if (path_deadline(g->path) <= g->now_ms)
			path_tick(g->path, g->now_ms);
		path_flush(g->path, g->now_ms);
		if (how & 1)
			answer_ping(g);
		if (how & 2)
			path_authenticated(g->path, g->now_ms, 7, &g->last_to);
		if (how & 12 && g->token) {
			path_data_answered(g->path, g->now_ms, 7, how & 4 ? g->token : ~g->token);
			g->token = 0;
		}
		path_flush(g->path, g->now_ms);
	}
}

/* Peers with the same disco key, with another, with none; many places. */
static void set_others(struct rig *g, struct rd *r)
{
	struct endpoint at[40];
	uint8_t how = rd_u8(r);
	g->others = true;
	struct path_peer p = {
		.id = 8, .key = { { 9 } }, .disco = g->disco, .endpoints = at, .home = how % 4
	};
	for (size_t i = 0; i < 40; i++)
		at[i] = (struct endpoint) { .ip = addr_v4(0xc6336401u + (uint32_t)(i * how)), .port = 4000 };
	p.n_endpoints = how % 41;
	if (how & 1)
		p.disco = (struct disco_key) { { how } };
	if (how & 2)
		p.disco = (struct disco_key) { { 0 } };
	if (how & 64) /* a third of them */
		p.id = 9, p.key.b[2] = 1;
	if (how & 4)
		p.key.b[1] = how;
	path_peer_set(g->path, g->now_ms, &p);
	path_used(g->path, g->now_ms, p.id);
	if (how & 8)
		path_authenticated(g->path, g->now_ms, p.id, &at[how % 40]);
	if (how & 16)
		path_peer_remove(g->path, p.id);
	if (how & 32) { /* peer 7 started anew, and back */
		p.id = 7;
		p.key = g->key;
		path_peer_set(g->path, g->now_ms, &p);
		p.disco = g->disco;
		path_peer_set(g->path, g->now_ms, &p);
		g->removed = false;
	}
}

static void look(struct rig *g)
{
	struct path_state state;
	struct path_report report;
	struct endpoint at = g->last_to;
	uint64_t ids[4];
	struct path_way w = path_way(g->path, 7);
	if ((w.udp && !w.at.port) || (w.most && w.relay))
		abort();
	path_peer_state(g->path, g->now_ms, 7, &state);
	path_peer_state(g->path, g->now_ms, 99, &state);
	path_report(g->path, &report);
	if (path_peers_named(g->path, &at, ids, 4) > 4 ||
		(path_home(g->path) && !report.n_regions && report.done))
		(void)path_endpoints(g->path);
	(void)path_endpoints(g->path);
	(void)path_drops(g->path);
	(void)path_peer_by_endpoint(g->path, &at, ids);
	(void)path_peer_by_key(g->path, &g->key, ids);
}

/* Many in one moment: pings of the peer, or places where servers see us, or sends that fail. */
static void flood(struct rig *g, uint8_t how)
{
	uint8_t b[DISCO_MAX + 1] = { 0 }, nonce[BOX_NONCE] = { 3 };
	struct disco_message m = { .type = DISCO_PING, .node = g->key };
	for (uint8_t i = 0; i < 150; i++) {
		struct endpoint at = { .ip = addr_v4(0xc6336401u + i % 30), .port = 4000 };
		m.tx[0] = i;
		size_t n = how & 1 ? disco_write(&m, &g->disco, &g->box, nonce, b)
				   : stun_reply_write(g->last_stun, &at, b);
		path_udp_received(g->path, g->now_ms, g->last_from, how & 1 ? &at : &g->last_stun_to, b, n);
		if (how & 2)
			path_send_failed(g->path, &at);
		if (how & 4)
			path_recheck(g->path, g->now_ms);
	}
	/* Of our own kind and no good: too long, and sealed by another key. */
	size_t n = disco_write(&m, &g->disco, &g->box, nonce, b);
	path_udp_received(g->path, g->now_ms, g->last_from, &g->last_to, b, sizeof(b));
	b[n - 1] ^= 1;
	path_udp_received(g->path, g->now_ms, g->last_from, &g->last_to, b, n);
}

static void rare(struct rig *g, struct rd *r, uint8_t v)
{
	struct addr some[2] = { addr_v4(0xcb007109), { { 0x20, 1, 0xd, 0xb8 } } };
	switch (v % 8) {
	case 0: talk(g, v >> 3, rd_u8(r)); break;
	case 1: set_others(g, r); break;
	case 2: path_recheck(g->path, g->now_ms); break;
	case 3: path_routes_changed(g->path, g->now_ms); break;
	case 4: path_nat64_set(g->path, g->now_ms, v & 8); break;
	case 5: path_resolved(g->path, g->now_ms, "r", some, 1 + (v >> 3) % 2); break;
	case 6:
		g->small = v & 64;
		if (v & 8)
			flood(g, v >> 4);
		if (v & 128)
			path_mapped_set(g->path, g->now_ms, &g->last_to, &g->last_to);
		look(g);
		break;
	default: path_links_changed(g->path, g->now_ms, &some[1], v >> 7, 41641); /* IPv6 alone */
	}
}

static void fact(struct rig *g, struct rd *r, uint8_t op)
{
	struct endpoint at = take_endpoint(r);
	uint8_t v = rd_u8(r);
	switch (op) {
	case 4: set_peer(g, r); break;
	case 5:
		path_peer_remove(g->path, 7);
		g->removed = true;
		break;
	case 6: path_links_changed(g->path, g->now_ms, &at.ip, v & 1, v & 2 ? 41641 : at.port); break;
	case 7: path_relay_up(g->path, g->now_ms, v % 4, v & 8); break;
	case 8: path_relay_peer_gone(g->path, g->now_ms, v % 4, &g->key); break;
	case 9: path_authenticated(g->path, g->now_ms, 7, v & 1 ? &at : v & 2 ? &g->last_to : NULL); break;
	case 10: path_send_failed(g->path, v & 1 ? &at : &g->last_to); break;
	case 11: path_https_latency(g->path, g->now_ms, v % 4, (double)v - 20); break;
	case 12: path_control_up(g->path, g->now_ms, v & 1); break;
	case 13: set_derp(g, v); break;
	case 14:
		if (v & 1)
			path_data_answered(g->path, g->now_ms, 7, g->token);
		else
			path_ping(g->path, g->now_ms, 7, v, v & 4 ? 1400 : 0);
		break;
	default:
		if (v & 1)
			rare(g, r, v >> 1 | v << 7);
		path_used(g->path, g->now_ms, 7);
	}
}

static void path_target(const uint8_t *data, size_t len)
{
	struct rig g = {
		.now_ms = 1000, .us = { .b = { 1 } }, .key = { .b = { 2 } }, .disco_private = { .b = { 3 } }
	};
	struct path_ops ops = { .send_udp = send_udp,
		.send_near = send_near,
		.send_relay = send_relay,
		.self_changed = nothing,
		.home_changed = nothing_i,
		.way_changed = way,
		.ping_done = pinged,
		.https_probe = nothing_i,
		.probe_data = probe_data,
		.spare_wanted = spare,
		.resolve = resolve,
		.arg = &g };
	struct random rnd = { .fill = fill, .arg = &g };
	struct rd r = rd_of(data, len), init = rd_of("\x88", 1);
	key_setup();
	key_public(g.disco_private.b, g.disco.b);
	trouble_begin();
	g.path = path_new(&g.us, &ops, &rnd);
	if (!g.path && trouble_happened())
		return;
	if (!box_precompute(g.disco_private.b, path_disco_key(g.path)->b, &g.box))
		abort();
	set_derp(&g, 2);
	fact(&g, &init, 15);
	for (int steps = 0; r.left && steps < 400; steps++) {
		uint8_t op = rd_u8(&r);
		static const uint16_t waits[] = { 0, 1, 20, 100, 500, 3000, 10000, 60000 };
		g.now_ms += waits[op >> 4 & 7];
		if (path_deadline(g.path) <= g.now_ms)
			path_tick(g.path, g.now_ms);
		path_flush(g.path, g.now_ms);
		if (path_deadline(g.path) <= g.now_ms)
			abort(); /* a tick leaves no deadline in the past */
		if ((op & 15) < 4)
			received(&g, &r, op & 15);
		else
			fact(&g, &r, op & 15);
		path_flush(g.path, g.now_ms);
		if (g.path->impossible_moves)
			abort();
	}
	path_ping(g.path, g.now_ms, 7, 1, 0); /* answered and not told when all ends */
	answer_ping(&g);
	path_free(g.path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(path_target, data, len);
}
