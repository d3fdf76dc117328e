/* What strangers and broken peers send: each is dropped, counted under its name, and changes nothing. */
#include "mesh/wg/test/pair.h"
#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct wg_peer *peer_of(struct pair *p, int who)
{
	return wg_peer_get(p->end[who].wg, 1);
}

/* A valid message is changed at one place (at < 0: from the end) and its length by `longer`. */
struct change {
	const char *what;
	uint8_t type;
	int at;
	uint8_t flip;
	long longer;
	size_t counter; /* in struct wg_drops */
};
#define AT(name) offsetof(struct wg_drops, name)
static const struct change changes[] = {
	{ "type 0", WG_INITIATION, 0, 1, 0, AT(bad_type) },
	{ "type 5", WG_INITIATION, 0, 4, 0, AT(bad_type) },
	{ "type 255", WG_DATA, 0, 251, 0, AT(bad_type) },
	{ "reserved byte 1", WG_DATA, 1, 1, 0, AT(bad_type) },
	{ "reserved byte 2", WG_RESPONSE, 2, 1, 0, AT(bad_type) },
	{ "reserved byte 3", WG_INITIATION, 3, 128, 0, AT(bad_type) },
	{ "initiation 147", WG_INITIATION, 0, 0, -1, AT(bad_length) },
	{ "initiation 149", WG_INITIATION, 0, 0, 1, AT(bad_length) },
	{ "response 91", WG_RESPONSE, 0, 0, -1, AT(bad_length) },
	{ "response 93", WG_RESPONSE, 0, 0, 1, AT(bad_length) },
	{ "cookie 63", WG_COOKIE, 0, 0, -1, AT(bad_length) },
	{ "cookie 65", WG_COOKIE, 0, 0, 1, AT(bad_length) },
	{ "data 31", WG_DATA, 0, 0, 31 - 96, AT(bad_length) },
	{ "3 bytes", WG_DATA, 0, 0, 3 - 96, AT(bad_length) },
	{ "mac1 of initiation", WG_INITIATION, -32, 1, 0, AT(bad_mac1) },
	{ "mac1 of response", WG_RESPONSE, -17, 128, 0, AT(bad_mac1) },
	{ "sender under mac1", WG_INITIATION, 4, 1, 0, AT(bad_mac1) },
	{ "response again", WG_RESPONSE, 0, 0, 0, AT(no_session) },
	{ "initiation again", WG_INITIATION, 0, 0, 0, AT(old_timestamp) },
	{ "cookie for no message of ours", WG_COOKIE, 4, 1, 0, AT(bad_cookie) },
	{ "cookie that does not open", WG_COOKIE, 20, 1, 0, AT(bad_cookie) },
	{ "data for nobody", WG_DATA, 4, 1, 0, AT(no_session) },
	{ "data again", WG_DATA, 0, 0, 0, AT(replay) },
	{ "data, tag", WG_DATA, -1, 1, 0, AT(bad_tag) },
	{ "data, bytes", WG_DATA, 16, 1, 0, AT(bad_tag) },
	{ "data, counter at the limit", WG_DATA, 15, 255, 0, AT(bad_tag) },
	{ "data, cut", WG_DATA, 0, 0, -16, AT(bad_tag) },
};

/* One message of each type, all delivered but a second data message that waits in `fresh`. */
static void record(struct pair *p, struct pair_datagram *fresh)
{
	pair_init(p, NULL);
	p->end[1].under_load = true;
	pair_connect(p, 0);
	p->end[1].under_load = false;
	pair_send(p, 0, 0);
	pair_run(p, 100);
	memcpy(fresh, p->last, sizeof(p->last));
	p->cut[WG_DATA] = true;
	pair_send(p, 0, 1);
	p->cut[WG_DATA] = false;
}

static int target_of(uint8_t type)
{
	return type == WG_INITIATION || type == WG_DATA ? 1 : 0;
}

static void test_changes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		const struct change *c = &changes[i];
		struct pair p;
		struct pair_datagram old[5];
		record(&p, old);
		bool again = !c->flip && !c->longer;
		struct pair_datagram d = c->type == WG_DATA && !again ? p.last[WG_DATA] : old[c->type];
		int to = target_of(c->type);
		struct wg_drops before = *wg_drops(p.end[to].wg);
		struct wg_session kept = *peer_of(&p, 1)->current;
		d.len = (size_t)((long)d.len + c->longer);
		d.b[c->at < 0 ? (int)d.len + c->at : c->at] ^= c->flip;
		if (pair_deliver(&p, to, d.b, d.len) != WG_DROP)
			fail_msg("%s: not dropped", c->what);
		assert_false(p.end[to].last.authenticated);
		++*(uint64_t *)(void *)((char *)&before + c->counter);
		if (memcmp(&before, wg_drops(p.end[to].wg), sizeof(before)) != 0)
			fail_msg("%s: counted elsewhere", c->what);
		assert_memory_equal(&kept.replay, &peer_of(&p, 1)->current->replay, sizeof(kept.replay));
		/* What was to come still comes. */
		assert_int_equal(pair_deliver(&p, 1, p.last[WG_DATA].b, p.last[WG_DATA].len), WG_OK);
		pair_fini(&p);
	}
}

static void test_counter_limit(void **state)
{
	(void)state;
	struct pair p;
	struct pair_datagram old[5];
	record(&p, old);
	uint8_t *b = p.last[WG_DATA].b;
	le_put(b + 8, 8, WG_REJECT_AFTER_MESSAGES);
	assert_int_equal(pair_deliver(&p, 1, b, p.last[WG_DATA].len), WG_DROP);
	assert_int_equal(wg_drops(p.end[1].wg)->bad_counter, 1);
	pair_fini(&p);
}

/* Seals any bytes as if they came out of the sender's tunnel. */
static enum wg_verdict send_inner(struct pair *p, const uint8_t *b, size_t len)
{
	struct pkt k;
	pkt_reset(&k);
	memcpy(pkt_data(&k), b, len);
	k.len = (uint16_t)len;
	assert_int_equal(wg_seal(p->end[0].wg, p->now_ms, 1, &k), WG_OK);
	return pair_deliver(p, 1, pkt_data(&k), k.len);
}

static void test_inner(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int at;
		uint8_t value;
		int len;
		bool source; /* else malformed */
	} rows[] = {
		{ "version 0", 0, 0x05, 64, false },
		{ "version 15", 0, 0xf5, 64, false },
		{ "header 16", 0, 0x44, 64, false },
		{ "longer than it is", 3, 65, 64, false },
		{ "shorter than its header", 3, 19, 64, false },
		{ "19 bytes", -1, 0, 19, false },
		{ "1 byte", -1, 0, 1, false },
		{ "header longer than all", 0, 0x4f, 32, false },
		{ "v6 cut", 0, 0x60, 32, false },
		{ "source of another", 15, 77, 64, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pair p;
		uint8_t b[64];
		pair_init(&p, NULL);
		pair_connect(&p, 0);
		pair_packet(&p, 0, 0, b);
		if (rows[i].at >= 0)
			b[rows[i].at] = rows[i].value;
		/* Padding hides a cut of a few bytes, but not from the total length. */
		if (send_inner(&p, b, (size_t)rows[i].len) != WG_DROP)
			fail_msg("%s: not dropped", rows[i].what);
		const struct wg_drops *d = wg_drops(p.end[1].wg);
		if (d->bad_inner != !rows[i].source || d->bad_source != rows[i].source)
			fail_msg("%s: counted elsewhere", rows[i].what);
		assert_true(p.end[1].last.authenticated);
		pair_fini(&p);
	}
}

static void test_inner_v6(void **state)
{
	(void)state;
	struct pair p;
	struct addr src, mapped;
	uint8_t b[64] = { 0 };
	pair_init(&p, NULL);
	assert_true(addr_parse("fd7a::1", &src));
	struct prefix all[] = { prefix_of(&src), prefix_of(&p.end[0].ip) };
	assert_true(wg_peer_set(p.end[1].wg, 1, &p.end[0].key, NULL, all, 2));
	pair_connect(&p, 0);
	size_t n = ip_write_header(b, &src, &src, 59, 10);
	struct pkt k;
	pkt_reset(&k);
	memcpy(pkt_data(&k), b, n);
	k.len = (uint16_t)n;
	assert_int_equal(wg_seal(p.end[0].wg, p.now_ms, 1, &k), WG_OK);
	assert_int_equal(k.len, 32 + 64); /* 50 padded */
	struct wg_received r;
	struct wg_origin from = { &p.end[0].at, sizeof(p.end[0].at), false };
	assert_int_equal(wg_receive(p.end[1].wg, p.now_ms, &k, &from, &r), WG_OK);
	assert_int_equal(k.len, 50); /* padding cut */
	mapped = p.end[0].ip;
	memcpy(b + 8, mapped.b, 16); /* ::ffff:10.0.0.1 in an IPv6 header */
	assert_int_equal(send_inner(&p, b, n), WG_DROP);
	assert_int_equal(wg_drops(p.end[1].wg)->bad_inner, 1);
	pair_fini(&p);
}

static void sign_as_peer(struct pair *p, struct wg_initiation *m)
{
	wg_cookie_sign(p->now_ms, peer_of(p, 0), (uint8_t *)m, sizeof(*m));
}

/* A right mac1 proves only that the sender knows our key. */
static void test_forged_initiations(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	p.cut[WG_INITIATION] = true;
	pair_send(&p, 0, 0);
	struct wg_initiation good, m;
	memcpy(&good, p.last[WG_INITIATION].b, sizeof(good));
	const struct wg_drops *d = wg_drops(p.end[1].wg);
	m = good;
	memset(m.ephemeral, 0, sizeof(m.ephemeral)); /* low order */
	sign_as_peer(&p, &m);
	assert_int_equal(pair_deliver(&p, 1, (uint8_t *)&m, sizeof(m)), WG_DROP);
	assert_int_equal(d->bad_handshake, 1);
	m = good;
	m.sealed_static[3] ^= 1;
	sign_as_peer(&p, &m);
	assert_int_equal(pair_deliver(&p, 1, (uint8_t *)&m, sizeof(m)), WG_DROP);
	assert_int_equal(d->bad_handshake, 2);
	m = good;
	m.sealed_stamp[3] ^= 1;
	sign_as_peer(&p, &m);
	assert_int_equal(pair_deliver(&p, 1, (uint8_t *)&m, sizeof(m)), WG_DROP);
	assert_int_equal(d->bad_handshake, 3);
	assert_int_equal(p.end[1].sent[WG_RESPONSE], 0);
	assert_int_equal(p.end[1].wg->indexes.n, 0); /* nothing kept */
	assert_int_equal(pair_deliver(&p, 1, (uint8_t *)&good, sizeof(good)), WG_OK);
	assert_int_equal(p.end[1].sent[WG_RESPONSE], 1);
	/* Two of one peer within 20 ms. */
	p.cut[WG_RESPONSE] = true;
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	assert_int_equal(pair_deliver(&p, 1, p.last[WG_INITIATION].b, sizeof(good)), WG_DROP);
	assert_int_equal(d->flood, 1);
	pair_fini(&p);
}

/* The key of a peer in another writing: the same secrets come of it, for X25519 leaves the last bit out. Who is who goes by
 * the bytes, so that nobody is let in under a second name. */
static void test_other_writing(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	p.cut[WG_INITIATION] = true;
	p.end[0].wg->our_key.b[KEY_LEN - 1] |= 0x80;
	pair_send(&p, 0, 0);
	assert_int_equal(pair_deliver(&p, 1, p.last[WG_INITIATION].b, p.last[WG_INITIATION].len), WG_DROP);
	assert_int_equal(wg_drops(p.end[1].wg)->unknown_peer, 1);
	assert_int_equal(p.end[1].sent[WG_RESPONSE], 0);
	p.end[0].wg->our_key.b[KEY_LEN - 1] &= 0x7f;
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	assert_int_equal(pair_deliver(&p, 1, p.last[WG_INITIATION].b, p.last[WG_INITIATION].len), WG_OK);
	assert_int_equal(p.end[1].sent[WG_RESPONSE], 1);
	pair_fini(&p);
}

/* The same packet twice, and what asks for a session twice: nothing that is sealed is sealed alike. */
static void test_never_alike(void **state)
{
	enum { COUNTER = 8, SEALED = 16 };
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	pair_send(&p, 0, 5);
	struct pair_datagram was = p.last[WG_DATA], began = p.last[WG_INITIATION];
	pair_send(&p, 0, 5);
	assert_int_equal(p.last[WG_DATA].len, was.len);
	assert_int_equal(le_get(p.last[WG_DATA].b + COUNTER, 8), le_get(was.b + COUNTER, 8) + 1);
	assert_memory_not_equal(p.last[WG_DATA].b + SEALED, was.b + SEALED, was.len - SEALED);
	pair_run(&p, 1000);
	assert_true(wg_handshake_begin(p.end[0].wg, p.now_ms, peer_of(&p, 0)));
	const struct wg_initiation *a = (const void *)began.b, *b = (const void *)p.last[WG_INITIATION].b;
	assert_memory_not_equal(a->ephemeral, b->ephemeral, sizeof(a->ephemeral));
	assert_memory_not_equal(a->sealed_static, b->sealed_static, sizeof(a->sealed_static));
	assert_memory_not_equal(a->sealed_stamp, b->sealed_stamp, sizeof(a->sealed_stamp));
	pair_fini(&p);
}

static void test_no_cookie_larger_than_request(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	p.end[1].under_load = true;
	p.cut[WG_COOKIE] = true;
	pair_send(&p, 0, 0);
	pair_run(&p, 100);
	assert_int_equal(p.last[WG_COOKIE].len, 64);
	assert_int_equal(p.end[1].sent[WG_COOKIE], 1);
	assert_int_equal(p.end[1].heard, 0);
	pair_fini(&p);
}

static void test_keepalive_storm(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	unsigned sent = p.end[1].sent[WG_DATA];
	for (int i = 0; i < 10000; i++) {
		wg_transport_keepalive(p.end[0].wg, p.now_ms, peer_of(&p, 0));
		if (i % 100 == 0)
			pair_run(&p, 11);
	}
	pair_run(&p, 30000);
	assert_int_equal(p.end[1].sent[WG_DATA], sent);
	assert_true(p.end[1].keepalives > 9000);
	pair_fini(&p);
}

static void test_sizes(void **state)
{
	enum { SHORT = 200 };
	(void)state;
	struct pair p;
	pair_init(&p, NULL);
	pair_connect(&p, 0);
	static uint8_t big[65535];
	struct wg_received r;
	struct wg_origin from = { &p.end[0].at, sizeof(p.end[0].at), false };
	for (unsigned type = 0; type < 256; type++)
		for (size_t len = 0; len <= (type < 8 ? sizeof(big) : SHORT);
			len = len < SHORT ? len + 1 : len * 2 + 1) {
			struct wg_span s = { big, len };
			memset(big, 0, len);
			big[0] = (uint8_t)type;
			assert_int_equal(wg_receive_span(p.end[1].wg, p.now_ms, &s, &from, &r), WG_DROP);
		}
	pair_fini(&p);
}

static void test_no_route(void **state)
{
	(void)state;
	struct pair p;
	struct pkt k;
	pair_init(&p, NULL);
	pkt_reset(&k);
	k.len = 64;
	assert_int_equal(wg_seal(p.end[0].wg, p.now_ms, 99, &k), WG_DROP);
	wg_route_missed(p.end[0].wg);
	assert_int_equal(wg_drops(p.end[0].wg)->no_route, 2);
	pair_fini(&p);
}

/* An index must tell nothing about the next: count each byte's values over many. */
static void test_indices_spread(void **state)
{
	(void)state;
	struct node_private us = { { 1 } };
	struct wg_ops ops = { 0 };
	struct wg *w = wg_new(&us, &ops, &random_system);
	struct node_key k = { { 1 } };
	enum { N = 25600 };
	static unsigned seen[4][256];
	assert_true(wg_peer_set(w, 1, &k, NULL, NULL, 0));
	for (int i = 0; i < N; i++) {
		uint32_t index = wg_session_index(w, wg_peer_get(w, 1));
		for (int b = 0; b < 4; b++)
			seen[b][index >> (8 * b) & 255]++;
		indexes_remove(&w->indexes, index);
	}
	for (int b = 0; b < 4; b++) {
		double chi = 0;
		for (int v = 0; v < 256; v++)
			chi += (seen[b][v] - N / 256.0) * (seen[b][v] - N / 256.0) / (N / 256.0);
		assert_true(chi > 130 && chi < 420); /* 255 +- 22; far beyond chance */
	}
	wg_free(w);
}

int main(void)
{
	if (!key_setup())
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_counter_limit),
		cmocka_unit_test(test_inner),
		cmocka_unit_test(test_inner_v6),
		cmocka_unit_test(test_forged_initiations),
		cmocka_unit_test(test_other_writing),
		cmocka_unit_test(test_never_alike),
		cmocka_unit_test(test_no_cookie_larger_than_request),
		cmocka_unit_test(test_keepalive_storm),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_indices_spread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
