#include "mesh/wg/test/pair.h"
#include "mesh/base/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { PACKET = 64, SEQ_AT = 20 };

uint64_t pair_random(struct pair *p)
{
	p->rng ^= p->rng << 13;
	p->rng ^= p->rng >> 7;
	p->rng ^= p->rng << 17;
	return p->rng;
}

static void fill(void *arg, void *dst, size_t len)
{
	for (uint8_t *b = dst; len--; b++)
		*b = (uint8_t)(pair_random(arg) >> 24);
}

static void launch(struct pair *p, int to, const uint8_t *b, size_t len)
{
	uint64_t at = p->now_ms + p->delay_ms + (p->jitter_ms ? pair_random(p) % p->jitter_ms : 0);
	for (int i = 0; i < PAIR_FLIGHT; i++) {
		struct pair_datagram *d = &p->flight[i];
		if (d->at_ms)
			continue;
		d->at_ms = at;
		d->to = to;
		d->len = len;
		memcpy(d->b, b, len);
		return;
	}
	fail_msg("too much in flight");
}

static void transmit(struct pair *p, int from, const uint8_t *b, size_t len)
{
	uint8_t type = b[0];
	p->end[from].sent[type]++;
	p->end[from].sent_ms[type] = p->now_ms;
	p->last[type].len = len;
	memcpy(p->last[type].b, b, len);
	if (p->cut[type] || (p->loss && pair_random(p) % 1000 < p->loss))
		return;
	launch(p, !from, b, len);
	if (p->twice && pair_random(p) % 1000 < p->twice)
		launch(p, !from, b, len);
}

static void enter(struct pair_end *e, enum pair_op op)
{
	if (e->inside)
		e->inside(e, op);
}

static void send_op(void *arg, uint64_t peer, const uint8_t *b, size_t len)
{
	struct pair_end *e = arg;
	assert_int_equal(peer, 1);
	enter(e, PAIR_SEND);
	transmit(e->pair, e->self, b, len);
}

static void send_back_op(void *arg, const void *from, const uint8_t *b, size_t len)
{
	struct pair_end *e = arg;
	assert_ptr_equal(from, &e->pair->end[!e->self].at);
	enter(e, PAIR_SEND_BACK);
	transmit(e->pair, e->self, b, len);
}

static void heard_op(void *arg, uint64_t peer, const void *from)
{
	struct pair_end *e = arg;
	(void)peer;
	(void)from;
	enter(e, PAIR_HEARD);
	e->heard++;
}

static void ready_op(void *arg, uint64_t peer)
{
	struct pair_end *e = arg;
	struct pkt p;
	enter(e, PAIR_READY);
	e->ready++;
	while (wg_staged_take(e->wg, peer, &p)) {
		assert_int_equal(wg_seal(e->wg, e->pair->now_ms, peer, &p), WG_OK);
		transmit(e->pair, e->self, pkt_data(&p), p.len);
	}
}

static bool unknown_op(void *arg, const struct node_key *key)
{
	struct pair_end *e = arg;
	enter(e, PAIR_UNKNOWN);
	if (e->on_demand && key_equal(key->b, e->pair->end[!e->self].key.b))
		pair_introduce(e->pair, e->self);
	return e->on_demand;
}

static void recall_op(void *arg)
{
	struct pair_end *e = arg;
	assert_non_null(e->recall);
	e->recall(e);
}

void pair_introduce(struct pair *p, int who)
{
	struct prefix other = prefix_of(&p->end[!who].ip);
	assert_true(wg_peer_set(p->end[who].wg, 1, &p->end[!who].key, p->psk, &other, 1));
}

void pair_init(struct pair *p, const uint8_t *psk)
{
	memset(p, 0, sizeof(*p));
	p->now_ms = PAIR_START_MS;
	p->rng = 88172645463325252;
	p->delay_ms = 10;
	if (psk)
		memcpy(p->psk, psk, KEY_LEN);
	p->flight = calloc(PAIR_FLIGHT, sizeof(*p->flight));
	assert_non_null(p->flight);
	struct random rnd = { fill, p };
	for (int i = 0; i < 2; i++) {
		struct pair_end *e = &p->end[i];
		struct wg_ops ops = { send_op, send_back_op, heard_op, ready_op, unknown_op, recall_op, e };
		e->pair = p;
		e->self = i;
		e->ip = addr_v4(0x0a000001u + (uint32_t)i);
		e->at = (struct endpoint) { .ip = addr_v4(0xc0000201u + (uint32_t)i), .port = 41641 };
		key_generate(&rnd, e->priv.b);
		key_public(e->priv.b, e->key.b);
		e->wg = wg_new(&e->priv, &ops, &rnd);
		assert_non_null(e->wg);
		wg_clock_set(e->wg, p->now_ms, PAIR_UNIX_MS * UINT64_C(1000));
	}
	pair_introduce(p, 0);
	pair_introduce(p, 1);
}

void pair_fini(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		wg_free(p->end[i].wg);
		free(p->end[i].seen);
	}
	free(p->flight);
}

size_t pair_packet(const struct pair *p, int from, uint32_t seq, uint8_t *out)
{
	memset(out, 0, PACKET);
	be_put(out + SEQ_AT, 4, seq);
	return ip_write_header(out, &p->end[from].ip, &p->end[!from].ip, 253, PACKET - 20);
}

enum wg_verdict pair_send(struct pair *p, int from, uint32_t seq)
{
	struct pkt k;
	pkt_reset(&k);
	k.len = (uint16_t)pair_packet(p, from, seq, pkt_data(&k));
	enum wg_verdict v = wg_seal(p->end[from].wg, p->now_ms, 1, &k);
	if (v == WG_OK)
		transmit(p, from, pkt_data(&k), k.len);
	return v;
}

static void count_data(struct pair_end *e, const struct pkt *k)
{
	if (!k->len) {
		e->keepalives++;
		return;
	}
	e->delivered++;
	assert_int_equal(k->len, PACKET);
	size_t seq = (size_t)be_get(k->b + k->at + SEQ_AT, 4);
	if (e->seen && seq < e->n_seen && e->seen[seq]++)
		e->twice++;
}

enum wg_verdict pair_deliver(struct pair *p, int to, const uint8_t *b, size_t len)
{
	struct pair_end *e = &p->end[to];
	struct wg_origin from = { &p->end[!to].at, sizeof(struct endpoint), e->under_load };
	struct pkt k;
	pkt_reset(&k);
	memcpy(pkt_data(&k), b, len);
	k.len = (uint16_t)len;
	e->verdict = wg_receive(e->wg, p->now_ms, &k, &from, &e->last);
	if (e->verdict == WG_OK && e->last.is_data)
		count_data(e, &k);
	return e->verdict;
}

static struct pair_datagram *next_datagram(struct pair *p)
{
	struct pair_datagram *next = NULL;
	for (int i = 0; i < PAIR_FLIGHT; i++)
		if (p->flight[i].at_ms && (!next || p->flight[i].at_ms < next->at_ms))
			next = &p->flight[i];
	return next;
}

void pair_run(struct pair *p, uint64_t ms)
{
	uint64_t end = p->now_ms + ms;
	for (;;) {
		struct pair_datagram *d = next_datagram(p);
		uint64_t at = d ? d->at_ms : WG_NEVER;
		for (int i = 0; i < 2; i++)
			at = wg_deadline(p->end[i].wg) < at ? wg_deadline(p->end[i].wg) : at;
		if (at > end)
			break;
		p->now_ms = at > p->now_ms ? at : p->now_ms;
		if (d && d->at_ms <= p->now_ms) {
			d->at_ms = 0;
			uint8_t b[PKT_SIZE];
			memcpy(b, d->b, d->len);
			(void)pair_deliver(p, d->to, b, d->len);
		}
		for (int i = 0; i < 2; i++)
			wg_tick(p->end[i].wg, p->now_ms);
	}
	p->now_ms = end;
}

void pair_connect(struct pair *p, int from)
{
	wg_handshake_wanted(p->end[from].wg, p->now_ms, 1);
	pair_run(p, 100);
	for (int i = 0; i < 2; i++)
		assert_true(wg_session_usable(wg_peer_get(p->end[i].wg, 1)->current, p->now_ms));
}
