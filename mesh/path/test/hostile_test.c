/* One peer whose keys the test holds. What strangers and misbehaving peers send: nothing is sent to where it
 * must not go, nothing is learnt, each drop has its name. And what the peer is told. */
#include "mesh/base/wire.h"
#include "mesh/path/path.h"
#include "mesh/proto/stun.h"
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { NONCES = 64, NONCE_AT = 6 + KEY_LEN };

struct rig {
	struct path *path;
	struct disco_private disco_private;
	struct disco_key disco;
	struct node_key us, key;
	struct box_key box;
	uint64_t now_ms, udp, relay, pings, random;
	uint32_t tx;
	size_t last_len;
	struct endpoint last_to;
	uint8_t last_ping[DISCO_TX];
	struct disco_message calls[4]; /* the newest last */
	uint8_t nonces[NONCES][BOX_NONCE];
	size_t n_nonces;
};

static void fill(void *arg, void *dst, size_t len)
{
	struct rig *r = arg;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)dst)[i] =
			(uint8_t)((r->random = r->random * 6364136223846793005u + 1442695040888963407u) >>
				  33);
}

/* No two messages are sealed alike, be they the same: one key for all that goes to a peer allows it once. */
static void nonce_is_new(struct rig *r, const uint8_t *p, size_t len)
{
	assert_true(len > NONCE_AT + BOX_NONCE);
	for (size_t i = 0; i < NONCES; i++)
		assert_memory_not_equal(r->nonces[i], p + NONCE_AT, BOX_NONCE);
	memcpy(r->nonces[r->n_nonces++ % NONCES], p + NONCE_AT, BOX_NONCE);
}

static void send_udp(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct rig *r = arg;
	struct disco_message m;
	assert_int_equal(from, PATH_MAIN);
	if (!disco_is(p, len))
		return;
	nonce_is_new(r, p, len);
	r->udp++;
	r->last_len = len;
	r->last_to = *to;
	if (disco_read(p, len, &r->box, &m) && m.type == DISCO_PING) {
		r->pings++;
		memcpy(r->last_ping, m.tx, sizeof(m.tx));
	}
}

static void send_relay(void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	struct rig *r = arg;
	struct disco_message m;
	(void)region;
	(void)to;
	nonce_is_new(r, p, len);
	r->relay++;
	if (!disco_read(p, len, &r->box, &m) || m.type != DISCO_CALL_ME_MAYBE)
		return;
	memmove(&r->calls[0], &r->calls[1], 3 * sizeof(m));
	r->calls[3] = m;
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
static void nothing_u(void *arg, uint64_t u)
{
	(void)arg;
	(void)u;
}

static struct endpoint at(const char *text)
{
	struct endpoint e;
	if (!endpoint_parse(text, &e))
		fail_msg("%s", text);
	return e;
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct path_ops ops = { .send_udp = send_udp,
		.send_relay = send_relay,
		.self_changed = nothing,
		.home_changed = nothing_i,
		.way_changed = nothing_u,
		.arg = r };
	struct random rnd = { .fill = fill, .arg = r };
	*r = (struct rig) { .now_ms = 5000, .us = { { 1 } }, .key = { { 2 } }, .disco_private = { { 3 } } };
	key_setup();
	key_public(r->disco_private.b, r->disco.b);
	r->path = path_new(&r->us, &ops, &rnd);
	box_precompute(r->disco_private.b, path_disco_key(r->path)->b, &r->box);
	struct addr local = addr_v4(0xc0a80105);
	path_links_changed(r->path, r->now_ms, &local, 1, 41641);
	struct path_peer peer = { .id = 7, .key = r->key, .disco = r->disco, .home = 1 };
	path_peer_set(r->path, r->now_ms, &peer);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	path_free(r->path);
	free(r);
	return 0;
}

static size_t seal(struct rig *r, struct disco_message *m, uint8_t *out)
{
	uint8_t nonce[BOX_NONCE] = { 0 };
	be_put(nonce, 4, ++r->tx);
	if (m->type == DISCO_PING)
		be_put(m->tx, 4, r->tx);
	return disco_write(m, &r->disco, &r->box, nonce, out);
}

static void give(struct rig *r, struct disco_message m, const char *from, bool relay)
{
	uint8_t b[DISCO_MAX];
	size_t len = seal(r, &m, b);
	assert_true(len > 0);
	if (relay)
		assert_true(path_relay_received(r->path, r->now_ms, 1, &r->key, b, len));
	else {
		struct endpoint e = at(from);
		assert_true(path_udp_received(r->path, r->now_ms, PATH_MAIN, &e, b, len));
	}
}

static void tick(struct rig *r)
{
	path_tick(r->path, r->now_ms);
	path_flush(r->path, r->now_ms);
}

static struct path_way use(struct rig *r)
{
	path_used(r->path, r->now_ms, 7);
	struct path_way way = path_way(r->path, 7);
	path_flush(r->path, r->now_ms);
	return way;
}

static bool is_direct(struct rig *r)
{
	struct path_state s;
	return path_peer_state(r->path, r->now_ms, 7, &s) && s.direct;
}

static void make_direct(struct rig *r, const char *from)
{
	give(r, (struct disco_message) { .type = DISCO_PING, .node = r->key }, from, false);
	struct disco_message pong = { .type = DISCO_PONG, .seen = at("192.168.1.5:41641") };
	memcpy(pong.tx, r->last_ping, sizeof(pong.tx));
	give(r, pong, from, false);
}

static void short_and_foreign(void **state)
{
	struct rig *r = *state;
	uint8_t b[2000] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };
	struct endpoint e = at("1.2.3.4:5");
	for (size_t n = 0; n < DISCO_HEADER; n++)
		path_udp_received(r->path, r->now_ms, PATH_MAIN, &e, b, n); /* no crash, no reply */
	assert_true(path_udp_received(r->path, r->now_ms, PATH_MAIN, &e, b, 200));
	assert_int_equal(path_drops(r->path)->disco_unknown_key, 1);
	memcpy(b + 6, r->disco.b, KEY_LEN);
	assert_true(path_udp_received(r->path, r->now_ms, PATH_MAIN, &e, b, 200));
	assert_int_equal(path_drops(r->path)->disco_bad_box, 1);
	assert_true(path_udp_received(r->path, r->now_ms, PATH_MAIN, &e, b, sizeof(b)));
	assert_int_equal(path_drops(r->path)->disco_malformed, 1);
	assert_int_equal(r->udp, 0);
}

static void ping_of_another_node(void **state)
{
	struct rig *r = *state;
	give(r, (struct disco_message) { .type = DISCO_PING, .node = { { 99 } } }, "1.2.3.4:5", false);
	assert_int_equal(path_drops(r->path)->ping_wrong_node, 1);
	assert_int_equal(r->udp, 0);
}

static void ping_is_answered_once_and_small(void **state)
{
	struct rig *r = *state;
	struct disco_message m = { .type = DISCO_PING, .node = r->key, .padding = 1200 };
	uint8_t b[DISCO_MAX];
	size_t len = seal(r, &m, b);
	struct endpoint e = at("1.2.3.4:5");
	path_udp_received(r->path, r->now_ms, PATH_MAIN, &e, b, len);
	assert_int_equal(r->udp, 2); /* pong, and a ping of our own through the open filter */
	assert_true(r->last_len < 140);
	struct endpoint victim = at("9.9.9.9:9");
	for (int i = 0; i < 100; i++)
		path_udp_received(
			r->path, r->now_ms, PATH_MAIN, &victim, b, len); /* replayed from elsewhere */
	assert_int_equal(r->udp, 2);
}

static void pong_must_fit(void **state)
{
	struct rig *r = *state;
	give(r, (struct disco_message) { .type = DISCO_PONG }, "1.2.3.4:5", false);
	assert_int_equal(path_drops(r->path)->pong_unknown, 1);
	give(r, (struct disco_message) { .type = DISCO_PING, .node = r->key }, "1.2.3.4:5", false);
	struct disco_message pong = { .type = DISCO_PONG };
	memcpy(pong.tx, r->last_ping, sizeof(pong.tx));
	give(r, pong, "6.6.6.6:6", false); /* right transaction, other source */
	give(r, pong, NULL, true);	   /* or by relay */
	assert_false(is_direct(r));
	assert_int_equal(path_drops(r->path)->pong_unknown, 3);
	give(r, pong, "1.2.3.4:5", false);
	assert_true(is_direct(r));
	uint64_t id;
	struct endpoint e = at("1.2.3.4:5");
	assert_true(path_peer_by_endpoint(r->path, &e, &id) && id == 7);
	r->now_ms += 7000;
	assert_false(is_direct(r)); /* trust ends by itself, ticks or not */
}

static void call_by_udp_is_ignored(void **state)
{
	struct rig *r = *state;
	struct disco_message m = {
		.type = DISCO_CALL_ME_MAYBE, .endpoints = { at("1.2.3.4:5") }, .n_endpoints = 1
	};
	give(r, m, "8.8.8.8:8", false);
	assert_int_equal(path_drops(r->path)->call_me_maybe_by_udp, 1);
	assert_int_equal(r->udp, 0);
}

static void call_names_odd_places(void **state)
{
	struct rig *r = *state;
	static const char *const odd[] = { "0.0.0.0:1", "127.0.0.1:41641", "224.0.0.1:5", "255.255.255.255:5",
		"1.2.3.4:0", "[::]:1", "[::1]:5", "[fe80::1]:5", "[ff02::1]:5", "[fd7a:115c:a1e0::1]:5",
		"192.168.1.5:41641", "[2001:db8::1]:5" };
	struct disco_message m = { .type = DISCO_CALL_ME_MAYBE };
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		m.endpoints[m.n_endpoints++] =
			at(odd[i]); /* the last two: our own address, a family we lack */
	give(r, m, NULL, true);
	assert_int_equal(r->udp, 0);
	m.n_endpoints = 0;
	give(r, m, NULL, true);
	assert_int_equal(r->udp, 0);
}

/* A peer that calls has no way to us that it is sure of. Where it does not name the one in use, which it need not have named before,
 * that is asked for, with copies by the relay, until it answers. */
static void call_leaves_out_the_best(void **state)
{
	static const struct {
		const char *named;
		bool doubted;
	} rows[] = { { "9.9.9.9:9", false }, { "7.7.7.7:7", true } };
	struct rig *r = *state;
	make_direct(r, "9.9.9.9:9");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct disco_message m = {
			.type = DISCO_CALL_ME_MAYBE, .endpoints = { at(rows[i].named) }, .n_endpoints = 1
		};
		r->now_ms += 20;
		assert_false(use(r).relay);
		give(r, m, NULL, true);
		assert_int_equal(use(r).relay, rows[i].doubted);
	}
}

static void call_storm_is_bounded(void **state)
{
	struct rig *r = *state;
	for (uint32_t i = 0; i < 5000; i++) { /* a thousand a second, all places new each time */
		struct disco_message m = { .type = DISCO_CALL_ME_MAYBE };
		for (uint32_t k = 0; k < DISCO_ENDPOINTS_MAX; k++)
			m.endpoints[m.n_endpoints++] =
				(struct endpoint) { .ip = addr_v4(0x01000000 + i * 64 + k), .port = 9 };
		give(r, m, NULL, true);
		r->now_ms++;
		if (path_deadline(r->path) <= r->now_ms)
			tick(r);
	}
	print_message("pings for 5000 calls in 5 s: %llu\n", (unsigned long long)r->pings);
	assert_true(r->pings <= 500);
}

static void ping_storm_is_bounded(void **state)
{
	struct rig *r = *state;
	for (uint32_t i = 0; i < 10000; i++) { /* a thousand a second, each from another address */
		struct disco_message m = { .type = DISCO_PING, .node = r->key };
		uint8_t b[DISCO_MAX];
		struct endpoint from = { .ip = addr_v4(0x01000000 + i), .port = 9 };
		path_udp_received(r->path, r->now_ms, PATH_MAIN, &from, b, seal(r, &m, b));
		r->now_ms++;
		if (path_deadline(r->path) <= r->now_ms)
			tick(r);
	}
	print_message("sent for 10000 pings in 10 s: %llu\n", (unsigned long long)r->udp);
	assert_true(r->udp <= 1300 && path_drops(r->path)->ping_flood > 9000);
}

static void other_types(void **state)
{
	struct rig *r = *state;
	uint8_t body[40] = { 0 }, b[DISCO_MAX] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };
	static const uint8_t types[] = { 0, 4, 5, 6, 7, 8, 9, 255 };
	struct endpoint e = at("1.2.3.4:5");
	memcpy(b + 6, r->disco.b, KEY_LEN);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		body[0] = types[i];
		box_seal(&r->box, b + 38, body, sizeof(body), b + DISCO_HEADER);
		assert_true(path_udp_received(
			r->path, r->now_ms, PATH_MAIN, &e, b, DISCO_HEADER + BOX_TAG + sizeof(body)));
	}
	assert_int_equal(path_drops(r->path)->disco_type, ARRAY_LEN(types));
	assert_int_equal(r->udp, 0);
}

static void stun_of_strangers(void **state)
{
	struct rig *r = *state;
	uint8_t tx[STUN_TX] = { 1 }, b[STUN_REPLY_MAX];
	struct endpoint seen = at("6.6.6.6:6"), from = at("203.0.113.1:3478");
	size_t n = stun_reply_write(tx, &seen, b);
	assert_true(path_udp_received(r->path, r->now_ms, PATH_MAIN, &from, b, n));
	assert_int_equal(path_drops(r->path)->stun_unknown, 1);
	assert_int_equal(path_endpoints(r->path).n, 1); /* the local one */
}

static void failed_sends_shut_the_way(void **state)
{
	struct rig *r = *state;
	use(r);
	make_direct(r, "1.2.3.4:5");
	assert_true(is_direct(r));
	struct endpoint e = at("1.2.3.4:5");
	path_send_failed(r->path, &e);
	path_flush(r->path, r->now_ms);
	struct path_way w = use(r);
	assert_true(!is_direct(r) && w.relay && !w.udp);
	assert_int_equal(w.region, 1);
}

static void map_names_more_than_fits(void **state)
{
	struct rig *r = *state;
	struct endpoint many[100];
	for (uint32_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct endpoint) { .ip = addr_v4(0x0b000000 + i), .port = 41641 };
	struct path_peer peer = { .id = 7,
		.key = r->key,
		.disco = r->disco,
		.home = 1,
		.endpoints = many,
		.n_endpoints = ARRAY_LEN(many) };
	assert_true(path_peer_set(r->path, r->now_ms, &peer));
	make_direct(r, "1.2.3.4:5"); /* a place that the map does not name */
	assert_true(is_direct(r));
}

static bool names(const struct disco_message *call, const struct endpoint *e)
{
	for (size_t i = 0; i < call->n_endpoints; i++) {
		if (endpoint_equal(&call->endpoints[i], e))
			return true;
	}
	return false;
}

/* A peer that only receives would trust the way for seconds after it died. */
static void peer_is_told_of_a_lost_way(void **state)
{
	struct rig *r = *state;
	struct endpoint ours = at("192.168.1.5:41641");
	use(r);
	make_direct(r, "1.2.3.4:5");
	memset(r->calls, 0, sizeof(r->calls));
	for (int i = 0; i < 30 && use(r).udp && is_direct(r); i++) {
		r->now_ms += 50;
		tick(r);
	}
	assert_false(is_direct(r));
	const struct disco_message *c = r->calls; /* where it sees us: named, left out, named again */
	assert_true(c[1].n_endpoints && names(&c[1], &ours) && c[2].type == DISCO_CALL_ME_MAYBE &&
		    !names(&c[2], &ours) && names(&c[3], &ours));
}

static void idle_peers_are_small(void **state)
{
	struct rig *r = *state;
	enum { N = 1000 };
	size_t before = mallinfo2().uordblks;
	for (uint32_t i = 0; i < N; i++) {
		struct endpoint at4[4];
		for (uint32_t k = 0; k < 4; k++)
			at4[k] = (struct endpoint) { .ip = addr_v4(0x0b000000 + i * 4 + k), .port = 41641 };
		struct path_peer p = { .id = 100 + i, .home = 1, .endpoints = at4, .n_endpoints = 4 };
		fill(r, p.key.b, sizeof(p.key.b));
		fill(r, p.disco.b, sizeof(p.disco.b));
		assert_true(path_peer_set(r->path, r->now_ms, &p));
	}
	print_message("1000 idle peers: %zu bytes\n", mallinfo2().uordblks - before);
	assert_true(
		mallinfo2().uordblks - before < (2u << 20) || before == 0); /* 0: a sanitizer's allocator */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(short_and_foreign),
		T(ping_of_another_node),
		T(ping_is_answered_once_and_small),
		T(pong_must_fit),
		T(call_by_udp_is_ignored),
		T(call_names_odd_places),
		T(call_leaves_out_the_best),
		T(call_storm_is_bounded),
		T(ping_storm_is_bounded),
		T(other_types),
		T(stun_of_strangers),
		T(failed_sends_shut_the_way),
		T(map_names_more_than_fits),
		T(peer_is_told_of_a_lost_way),
		T(idle_peers_are_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
