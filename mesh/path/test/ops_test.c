/* Every call that path.h allows from an op, made from each op, in thousands of random steps: events are told
 * by path_flush alone, nothing that is in somebody's hands is freed (the sanitizers look), and every call
 * ends. */
#include "mesh/base/wire.h"
#include "mesh/path/state.h"
#include "mesh/proto/stun.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { PEER = 7, OTHER = 8, SEEDS = 20, STEPS = 600, MAP_MAX = 3 };
enum op {
	SEND_UDP,
	SEND_NEAR,
	SEND_RELAY,
	SELF,
	HOME,
	WAY,
	PING_DONE,
	HTTPS,
	RESOLVE,
	PROBE_DATA,
	SPARE,
	OPS
};

struct rig {
	struct path *path;
	struct disco_private disco_private;
	struct disco_key disco;
	struct node_key us, key, other;
	struct box_key box;
	uint64_t now_ms, random, token;
	uint8_t ping_tx[DISCO_TX], stun_tx[STUN_TX];
	struct endpoint pinged, stun_at;
	enum path_socket from; /* of the last ping */
	bool flushing, inside;
	unsigned entered[OPS];
};

static uint32_t roll(struct rig *r, uint32_t bound)
{
	r->random = r->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(r->random >> 33) % bound;
}

static void fill(void *arg, void *dst, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)dst)[i] = (uint8_t)roll(arg, 256);
}

static struct endpoint somewhere(struct rig *r)
{
	return (struct endpoint) { .ip = addr_v4(0xc6336401u + roll(r, 4)),
		.port = (uint16_t)(4000 + roll(r, 2)) };
}

/* --- all calls --- */

static void ask_everything(struct rig *r)
{
	struct path_state s;
	struct path_report report;
	struct endpoint at = somewhere(r);
	uint64_t id;
	(void)path_way(r->path, PEER);
	(void)path_peer_state(r->path, r->now_ms, PEER, &s);
	(void)path_peer_by_endpoint(r->path, &at, &id);
	(void)path_peer_by_key(r->path, &r->key, &id);
	(void)path_endpoints(r->path);
	(void)path_home(r->path);
	path_report(r->path, &report);
	(void)path_deadline(r->path);
	(void)path_drops(r->path);
	(void)path_disco_key(r->path);
}

static void set_peer(struct rig *r)
{
	struct endpoint at[3] = { somewhere(r), somewhere(r), somewhere(r) };
	struct path_peer p = { .id = PEER, .key = r->key, .disco = r->disco, .endpoints = at, .home = 1 };
	p.n_endpoints = roll(r, 4);
	assert_true(path_peer_set(r->path, r->now_ms, &p));
	p = (struct path_peer) { .id = OTHER, .key = r->other, .disco = r->disco, .home = 2 };
	assert_true(path_peer_set(r->path, r->now_ms, &p));
}

static void set_map(struct rig *r)
{
	struct ctl_derp_node nodes[MAP_MAX];
	struct ctl_derp_region regions[MAP_MAX];
	for (int i = 0; i < MAP_MAX; i++) {
		nodes[i] = (struct ctl_derp_node) { .name = "", .host = i ? "relay.test" : "other.test" };
		nodes[i].cert_name = nodes[i].stun_test_ip = nodes[i].ipv6 = "";
		nodes[i].ipv4 = i == 2 ? "203.0.113.1" : "";
		regions[i] = (struct ctl_derp_region) { .id = i + 1, .nodes = &nodes[i], .n_nodes = 1 };
	}
	struct ctl_derp_map m = { .regions = regions, .n_regions = 1 + roll(r, MAP_MAX) };
	path_derp_map_set(r->path, r->now_ms, &m);
}

static void receive_disco(struct rig *r)
{
	uint8_t b[DISCO_MAX], nonce[BOX_NONCE] = { 0 };
	struct disco_message m = { .type = (uint8_t)(1 + roll(r, 3)), .node = r->key };
	struct endpoint from = m.type == DISCO_PONG ? r->pinged : somewhere(r);
	fill(r, nonce, sizeof(nonce));
	fill(r, m.tx, sizeof(m.tx));
	if (m.type == DISCO_PONG)
		memcpy(m.tx, r->ping_tx, sizeof(m.tx));
	m.seen = somewhere(r);
	m.endpoints[m.n_endpoints++] = somewhere(r);
	size_t len = disco_write(&m, &r->disco, &r->box, nonce, b);
	if (m.type == DISCO_CALL_ME_MAYBE || !from.port)
		path_relay_received(r->path, r->now_ms, 1 + (int32_t)roll(r, 3), &r->key, b, len);
	else
		path_udp_received(r->path, r->now_ms, r->from, &from, b, len);
}

static void receive_stun(struct rig *r)
{
	uint8_t b[STUN_REPLY_MAX];
	struct endpoint seen = somewhere(r);
	if (r->stun_at.port)
		path_udp_received(
			r->path, r->now_ms, r->from, &r->stun_at, b, stun_reply_write(r->stun_tx, &seen, b));
}

static void change_links(struct rig *r)
{
	struct addr local = addr_v4(0xc0a80105 + roll(r, 2));
	path_links_changed(r->path, r->now_ms, &local, 1, 41641);
}

static void change_peers(struct rig *r)
{
	if (roll(r, 4) == 0)
		path_peer_remove(r->path, roll(r, 2) ? PEER : OTHER);
	set_peer(r);
}

static void resolve_all(struct rig *r)
{
	struct addr a = addr_v4(0xcb007102);
	path_resolved(r->path, r->now_ms, "relay.test", &a, 1);
}

static void one_fact(struct rig *r)
{
	struct endpoint at = somewhere(r);
	int32_t region = 1 + (int32_t)roll(r, MAP_MAX);
	switch (roll(r, 18)) {
	case 0: change_links(r); break;
	case 1: change_peers(r); break;
	case 2: set_map(r); break;
	case 3: path_relay_up(r->path, r->now_ms, region, roll(r, 2)); break;
	case 4: path_relay_peer_gone(r->path, r->now_ms, region, &r->key); break;
	case 5: path_authenticated(r->path, r->now_ms, PEER, roll(r, 2) ? &at : NULL); break;
	case 6: path_authenticated(r->path, r->now_ms, PEER, &r->pinged); break;
	case 7: path_data_answered(r->path, r->now_ms, PEER, roll(r, 2) ? r->token : ~r->token); break;
	case 8: path_send_failed(r->path, &at); break;
	case 9: path_https_latency(r->path, r->now_ms, region, (double)roll(r, 50) - 5); break;
	case 10: resolve_all(r); break;
	case 11: path_control_up(r->path, r->now_ms, roll(r, 2)); break;
	case 12: path_ping(r->path, r->now_ms, PEER, roll(r, 5), roll(r, 2) ? 1400 : 0); break;
	case 13: path_recheck(r->path, r->now_ms); break;
	case 14: receive_stun(r); break;
	case 15: path_tick(r->path, r->now_ms); break;
	case 16: path_used(r->path, r->now_ms, roll(r, 4) ? PEER : OTHER); break;
	default: receive_disco(r);
	}
}

/* --- the ops --- */

static void in_send(struct rig *r, enum op op)
{
	r->entered[op]++;
	ask_everything(r);
	struct endpoint at = somewhere(r);
	if (roll(r, 50) == 0)
		path_send_failed(r->path, &at);
}

static void in_event(struct rig *r, enum op op)
{
	r->entered[op]++;
	assert_true(r->flushing);
	if (r->inside)
		return;
	r->inside = true;
	ask_everything(r);
	for (int i = 0; i < 3; i++)
		one_fact(r);
	path_flush(r->path, r->now_ms); /* does nothing here */
	r->inside = false;
}

static void note_sent(
	struct rig *r, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct disco_message m;
	bool official;
	if (stun_is(p, len) && stun_request_read(p, len, r->stun_tx, &official)) {
		r->stun_at = *to;
	} else if (disco_read(p, len, &r->box, &m) && m.type == DISCO_PING) {
		memcpy(r->ping_tx, m.tx, sizeof(m.tx));
		r->pinged = *to;
		r->from = from;
	}
}

static void send_udp(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	in_send(arg, SEND_UDP);
	note_sent(arg, from, to, p, len);
}

static void send_near(void *arg, enum path_socket from, const struct endpoint *to, uint8_t hops,
	const uint8_t *p, size_t len)
{
	assert_true(hops || from == PATH_SPARE);
	in_send(arg, SEND_NEAR);
	note_sent(arg, from, to, p, len);
}

static void send_relay(void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	struct rig *r = arg;
	struct disco_message m;
	in_send(r, SEND_RELAY);
	assert_true(region && !key_is_zero(to->b));
	(void)disco_read(p, len, &r->box, &m);
}

static void self_told(void *arg)
{
	in_event(arg, SELF);
}

static void home_told(void *arg, int32_t region)
{
	(void)region;
	in_event(arg, HOME);
}

static void way_told(void *arg, uint64_t peer)
{
	assert_true(peer == PEER || peer == OTHER);
	in_event(arg, WAY);
}

static void ping_told(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	assert_true(token < 5 && peer == PEER && ms >= 0 && (region || at->port));
	in_event(arg, PING_DONE);
}

static void https_told(void *arg, int32_t region)
{
	in_event(arg, HTTPS);
	path_https_latency(
		((struct rig *)arg)->path, ((struct rig *)arg)->now_ms, region, -1); /* failed at once */
}

static void resolve_told(void *arg, const char *host)
{
	struct rig *r = arg;
	struct addr a = addr_v4(0xcb007102);
	char copy[32];
	snprintf(copy, sizeof(copy), "%s", host);
	path_resolved(r->path, r->now_ms, host, &a, roll(r, 2));
	in_event(arg, RESOLVE);
	assert_string_equal(host, copy); /* it outlives the map it stands in */
}

static void probe_told(void *arg, uint64_t peer, uint64_t token, const struct path_way *way)
{
	struct rig *r = arg;
	assert_true(peer == PEER && way->udp != way->relay);
	r->token = way->udp ? token : ~token;
	in_event(arg, PROBE_DATA);
}

static void spare_told(void *arg)
{
	struct rig *r = arg;
	path_spare_opened(r->path, r->now_ms, roll(r, 4) ? 4001 : 0);
	in_event(arg, SPARE);
}

static void start(struct rig *r, uint64_t seed)
{
	struct path_ops ops = { send_udp, send_near, send_relay, self_told, home_told, way_told, ping_told,
		https_told, resolve_told, probe_told, spare_told, r };
	struct random rnd = { .fill = fill, .arg = r };
	*r = (struct rig) {
		.now_ms = 5000, .random = seed, .us = { { 1 } }, .key = { { 2 } }, .other = { { 4 } }
	};
	r->disco_private = (struct disco_private) { { 3 } };
	key_public(r->disco_private.b, r->disco.b);
	r->path = path_new(&r->us, &ops, &rnd);
	assert_true(r->path && box_precompute(r->disco_private.b, path_disco_key(r->path)->b, &r->box));
	change_links(r);
	set_peer(r);
	set_map(r);
}

static void step(struct rig *r, int i)
{
	static const uint16_t waits[] = { 0, 0, 1, 20, 100, 300, 700, 1500 };
	r->now_ms += i % 200 == 199 ? 60000 : waits[roll(r, 8)];
	if (path_deadline(r->path) <= r->now_ms)
		path_tick(r->path, r->now_ms);
	path_used(r->path, r->now_ms, PEER);
	one_fact(r);
	/* Quiet stretches too, where the way lives and data is asked for proof. */
	while (i % 4 && roll(r, 3)) {
		r->now_ms += 50;
		path_used(r->path, r->now_ms, PEER);
		path_tick(r->path, r->now_ms);
		receive_disco(r);
	}
	r->flushing = true;
	path_flush(r->path, r->now_ms);
	r->flushing = false;
	assert_int_equal(r->path->impossible_moves, 0);
}

static void allowed_calls(void **state)
{
	(void)state;
	unsigned entered[OPS] = { 0 };
	key_setup();
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rig r;
		start(&r, seed);
		for (int i = 0; i < STEPS; i++)
			step(&r, i);
		for (int op = 0; op < OPS; op++)
			entered[op] += r.entered[op];
		path_free(r.path);
	}
	for (int op = 0; op < OPS; op++)
		assert_true(entered[op] >= SEEDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(allowed_calls) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
