/* A script of bytes drives two cores that know each other: handshakes begun, lost, repeated, answered late or
 * twice, cookies, data good and bad under the right keys, time, renewals, sessions lent and called back, peers set, changed
 * and removed, programs that start anew. What an attacker on the wire can do is in it too: each message may be changed,
 * replayed, cut. Checked: nothing is opened twice, nothing changed is opened, what is opened is the peer's
 * own and lies in place; and all of it again with one allocation that fails. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/ip.h"
#include "mesh/wg/core.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	PEER = 1,
	AGAIN = 2,
	CROWD = 40,
	STEPS_MAX = 300,
	KINDS = 5,
	START_MS = 5000,
	STORM = 60,
	OVERFLOW = 70
};

struct message {
	uint8_t b[PKT_SIZE];
	size_t len;
	bool opened;
};
struct end {
	struct rig *rig;
	struct wg *wg;
	struct node_private us;
	struct node_key key;
	struct addr ip4, ip6;
	struct message sent[KINDS]; /* the newest of each type */
	bool on_demand, lent;
	struct wg_loan loan; /* while it is lent */
};
struct rig {
	struct end end[2];
	uint64_t now_ms, rng;
	struct rd script;
};

static void fill(void *arg, void *dst, size_t len)
{
	struct rig *g = arg;
	for (uint8_t *b = dst; len--; b++)
		*b = (uint8_t)((g->rng = g->rng * 6364136223846793005u + 1) >> 56);
}

static struct end *other(struct end *e)
{
	return &e->rig->end[e == e->rig->end];
}

static void keep(struct end *e, const uint8_t *p, size_t len)
{
	if (len < 4 || len > PKT_SIZE || p[0] >= KINDS)
		abort();
	struct message *m = &e->sent[p[0]];
	memcpy(m->b, p, m->len = len);
	m->opened = false;
}

static void send_op(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	if (peer == PEER || peer == AGAIN)
		keep(arg, p, len);
	else if (peer > AGAIN + CROWD)
		abort();
}

static void send_back_op(void *arg, const void *from, const uint8_t *p, size_t len)
{
	(void)from;
	keep(arg, p, len);
}

static void heard_op(void *arg, uint64_t peer, const void *from)
{
	(void)arg;
	(void)from;
	if (peer != PEER && peer != AGAIN)
		abort();
}

static void ready_op(void *arg, uint64_t peer)
{
	struct end *e = arg;
	struct pkt p;
	while (wg_staged_take(e->wg, peer, &p))
		if (wg_seal(e->wg, e->rig->now_ms, peer, &p) == WG_OK)
			keep(e, pkt_data(&p), p.len);
}

static void introduce(struct end *e, const uint8_t *psk)
{
	struct prefix own[2] = { prefix_of(&other(e)->ip4), prefix_of(&other(e)->ip6) };
	if (!wg_peer_set(e->wg, PEER, &other(e)->key, psk, own, 2) && !trouble_happened())
		abort();
}

static bool unknown_op(void *arg, const struct node_key *key)
{
	struct end *e = arg;
	if (!e->on_demand || !key_equal(key->b, other(e)->key.b))
		return false;
	introduce(e, NULL);
	return true;
}

static void recall_op(void *arg)
{
	struct end *e = arg;
	if (!e->lent)
		abort();
	wg_loan_return(e->wg, PEER, &e->loan);
	e->lent = false;
}

static bool start(struct end *e)
{
	struct wg_ops ops = { send_op, send_back_op, heard_op, ready_op, unknown_op, recall_op, e };
	struct random rnd = { fill, e->rig };
	e->wg = wg_new(&e->us, &ops, &rnd);
	if (!e->wg && !trouble_happened())
		abort();
	if (!e->wg)
		return false;
	wg_clock_set(e->wg, e->rig->now_ms, 1700000000000u + e->rig->now_ms);
	return true;
}

/* changed: it is not what the other end sealed. */
static void deliver(struct end *to, const struct message *m, bool changed, bool loaded)
{
	struct wg_origin from = { "somewhere", 9, loaded };
	struct wg_received out;
	size_t size = m->len ? m->len : 1; /* exact, so that one byte too far is seen */
	uint8_t *copy = malloc(size);
	if (!copy && !(copy = malloc(size))) /* only one allocation fails, here and in step */
		abort();
	memcpy(copy, m->b, m->len);
	struct wg_span span = { copy, m->len };
	enum wg_verdict v = wg_receive_span(to->wg, to->rig->now_ms, &span, &from, &out);
	if (out.is_data) {
		struct ip_view view;
		if (v != WG_OK || changed || m->opened || span.p < copy || span.p + span.len > copy + m->len)
			abort();
		if (span.len && ip_parse(span.p, span.len, &view) && wg_route(to->wg, &view.src) != out.peer)
			abort();
	}
	free(copy);
}

static void deliver_sent(struct end *from)
{
	struct rd *r = &from->rig->script;
	struct message *m = &from->sent[rd_u8(r) % KINDS], copy = *m;
	uint8_t how = rd_u8(r);
	bool changed = false;
	if (!m->len)
		return;
	if (how & 1) {
		size_t at = rd_u16(r) % copy.len;
		uint8_t was = copy.b[at];
		copy.b[at] ^= rd_u8(r);
		changed = copy.b[at] != was;
	}
	if (how & 2) {
		copy.len -= rd_u8(r) % copy.len;
		changed = changed || copy.len != m->len;
	}
	if (how & 4 && copy.len > sizeof(struct wg_macs) && copy.b[0] <= WG_RESPONSE) { /* past mac1 */
		size_t body = copy.len - sizeof(struct wg_macs);
		blake2s_mac16(other(from)->wg->mac1_key, KEY_LEN, copy.b, body, copy.b + body);
	}
	deliver(other(from), &copy, changed, how & 8);
	for (int i = 0; how & 16 && i < STORM && copy.b[0] != WG_DATA; i++)
		deliver(other(from), &copy, changed, false);
	if (!changed)
		m->opened = true; /* or refused, and then it must not pass later under the same session */
}

static void seal_many(struct end *e)
{
	for (int i = 0; i < OVERFLOW; i++) {
		struct pkt p;
		pkt_reset(&p);
		memset(pkt_data(&p), 0, p.len = 40);
		if (wg_seal(e->wg, e->rig->now_ms, PEER, &p) == WG_OK)
			keep(e, pkt_data(&p), p.len);
	}
}

static void seal_inner(struct end *e)
{
	struct rd *r = &e->rig->script;
	struct pkt p;
	uint8_t kind = rd_u8(r);
	size_t n = rd_u8(r);
	if (kind & 32) {
		seal_many(e);
		return;
	}
	pkt_reset(&p);
	uint8_t *b = pkt_data(&p);
	bool six = kind & 1;
	const struct end *src = kind & 2 ? other(e) : e; /* a stranger's address must not pass */
	p.len = (uint16_t)((six ? 40 : 20) + n);
	memset(b, 0, p.len);
	ip_write_header(b, six ? &src->ip6 : &src->ip4, six ? &other(e)->ip6 : &other(e)->ip4, 17, n);
	if (kind & 4)
		b[rd_u8(r) % p.len] = rd_u8(r);
	if (kind & 8)
		p.len = (uint16_t)(p.len - rd_u8(r) % (p.len + 1u));
	if (kind & 16)
		p.len = PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM;
	if (wg_seal(e->wg, e->rig->now_ms, PEER, &p) == WG_OK)
		keep(e, pkt_data(&p), p.len);
}

static void raw(struct end *to)
{
	struct rd *r = &to->rig->script;
	struct wg_origin from = { "somewhere", 9, false };
	struct wg_received out;
	struct pkt p;
	pkt_reset(&p);
	p.len = rd_u8(r);
	p.len = (uint16_t)(p.len < r->left ? p.len : r->left);
	rd_copy(r, pkt_data(&p), p.len);
	if (wg_receive(to->wg, to->rig->now_ms, &p, &from, &out) == WG_OK && out.is_data)
		abort();
}

/* Others, whose prefixes lie in and around each other; some have keys that no agreement can be made with. */
static void crowd(struct end *e)
{
	struct rd *r = &e->rig->script;
	uint8_t n = rd_u8(r) % CROWD, seed = rd_u8(r);
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t id = AGAIN + 1 + (i * 7 + seed) % CROWD;
		struct node_key key = { { (uint8_t)(i % 5 ? i * 3 + seed % 2 : 1) } };
		struct prefix own[2] = { { addr_v4(0x0a000000u | (uint32_t)(seed * i) << 3),
						 (uint8_t)(8 + i % 25) },
			{ e->ip6, (uint8_t)(i * seed % 64) } };
		if (i % 4 == 0)
			wg_peer_remove(e->wg, id);
		else if (wg_peer_set(e->wg, id, &key, NULL, own, 1 + i % 2))
			wg_handshake_wanted(e->wg, e->rig->now_ms, id);
	}
	introduce(e, NULL); /* its prefixes may have been taken */
}

static void change_peer(struct end *e)
{
	struct rd *r = &e->rig->script;
	uint8_t how = rd_u8(r), psk[KEY_LEN] = { how >> 6 };
	struct node_key zero = { { 0 } };
	struct prefix bad[2] = { { e->ip4, 200 }, { e->ip6, 64 } };
	switch (how % 8) {
	case 0: wg_peer_remove(e->wg, PEER); break;
	case 1: introduce(e, NULL); break;
	case 2: introduce(e, psk); break;
	case 3: (void)wg_peer_set(e->wg, PEER, &zero, NULL, NULL, 0); break;
	case 4: (void)wg_peer_set(e->wg, PEER, &other(e)->key, NULL, bad, 2); break;
	case 5: crowd(e); break;
	case 6: (void)wg_peer_set(e->wg, AGAIN, &other(e)->key, psk, bad + 1, 1); break;
	default: e->on_demand = how & 64; wg_peer_remove(e->wg, 99);
	}
}

/* What two minutes or 2^60 packets of traffic would do. */
static void age(struct end *e)
{
	uint8_t how = rd_u8(&e->rig->script);
	struct wg_peer *p = wg_peer_get(e->wg, PEER);
	if (!p || !p->current || e->lent) /* what is lent is the borrower's */
		return;
	if (how & 1)
		p->current->sent = WG_REKEY_AFTER_MESSAGES;
	else if (how & 2)
		p->current->sent = WG_REJECT_AFTER_MESSAGES - 1;
	else
		p->current->sent += how;
}

static void seal_by_loan(struct end *e)
{
	struct pkt p;
	pkt_reset(&p);
	uint8_t *b = pkt_data(&p);
	p.len = 20 + 8;
	memset(b, 0, p.len);
	ip_write_header(b, &e->ip4, &other(e)->ip4, 17, 8);
	if (wg_loan_seal(&e->loan, e->rig->now_ms, &p) == WG_OK)
		keep(e, pkt_data(&p), p.len);
}

/* The other thread has the session, sends by it, tells of it and gives it back; or the core calls it back first. */
static void lend(struct end *e)
{
	uint8_t how = rd_u8(&e->rig->script);
	if (!e->lent) {
		e->lent = wg_lend(e->wg, e->rig->now_ms, PEER, &e->loan);
		if (e->lent && wg_lend(e->wg, e->rig->now_ms, PEER, &e->loan))
			abort();
	} else if (how % 4 == 0) {
		wg_loan_return(e->wg, PEER, &e->loan);
		e->lent = false;
	} else if (how % 4 == 1) {
		struct wg_loan told = e->loan;
		e->loan.bytes = e->loan.failed = 0;
		e->loan.until_ms = wg_loan_told(e->wg, e->rig->now_ms, PEER, &told);
	} else if (how & 16) {
		e->loan.next = e->loan.end - how % 3; /* as after 2^60 packets */
	} else {
		seal_by_loan(e);
	}
	(void)wg_loan_told(e->wg, e->rig->now_ms, 99, &e->loan);
	wg_loan_return(e->wg, 99, &e->loan);
}

static void look(struct end *e)
{
	struct wg_peer_stats s;
	struct pkt p;
	uint64_t route = wg_route(e->wg, &other(e)->ip4);
	if (route > AGAIN + CROWD)
		abort();
	wg_route_missed(e->wg);
	if (wg_peer_stats(e->wg, PEER, &s) && wg_ready(e->wg, e->rig->now_ms, PEER) && !s.session)
		abort();
	(void)wg_clock_floor(e->wg);
	pkt_reset(&p);
	(void)wg_staged_take(e->wg, PEER, &p);
	(void)wg_peer_stats(e->wg, 99, &s);
	(void)wg_drops(e->wg);
	wg_path_changed(e->wg, e->rig->now_ms, 99);
	(void)wg_seal(e->wg, e->rig->now_ms, 99, &p);
}

static void begin_anew(struct end *e)
{
	wg_free(e->wg);
	bool started = start(e);
	if (!started && !start(e)) /* only one allocation fails */
		abort();
	introduce(e, NULL);
}

static void step(struct rig *g)
{
	static const uint32_t waits[] = { 1, 5, 19, 100, 334, 1000, 5400, 10000, 16000, 90000, 121000, 166000,
		181000, 541000 };
	uint8_t op = rd_u8(&g->script);
	struct end *e = &g->end[op >> 7];
	switch (op % 16) {
	case 0:
	case 1: g->now_ms += waits[(op >> 4) % (sizeof(waits) / sizeof(waits[0]))]; break;
	case 2: g->now_ms += waits[8 + (op >> 4) % 6]; break;
	case 3: wg_handshake_wanted(e->wg, g->now_ms, PEER); break;
	case 4:
	case 5:
	case 6: deliver_sent(e); break;
	case 7:
	case 8: seal_inner(e); break;
	case 9: raw(e); break;
	case 10: wg_path_changed(e->wg, g->now_ms, PEER); break;
	case 11: wg_peer_restarted(e->wg, g->now_ms, PEER); break;
	case 12: change_peer(e); break;
	case 13: age(e); break;
	case 14: look(e); break;
	default:
		if (op & 32)
			lend(e);
		else if (op & 64)
			begin_anew(e);
		else
			wg_clock_set(e->wg, g->now_ms, 1700000000000u + (op & 16 ? 0u : 100000000u));
	}
}

/* Both ends can send, so that a script begins where most of life is. */
static void meet(struct rig *g)
{
	wg_handshake_wanted(g->end[0].wg, g->now_ms, PEER);
	deliver(&g->end[1], &g->end[0].sent[WG_INITIATION], false, false);
	deliver(&g->end[0], &g->end[1].sent[WG_RESPONSE], false, false);
	deliver(&g->end[1], &g->end[0].sent[WG_DATA], false, false);
	bool met = wg_ready(g->end[0].wg, g->now_ms, PEER) && wg_ready(g->end[1].wg, g->now_ms, PEER);
	if (!met && !trouble_happened())
		abort();
	g->end[0].sent[WG_DATA].opened = true;
}

static void play(struct rig *g)
{
	for (int i = 0; g->script.left && i < STEPS_MAX; i++) {
		step(g);
		for (int k = 0; k < 2; k++) {
			if (wg_deadline(g->end[k].wg) <= g->now_ms)
				wg_tick(g->end[k].wg, g->now_ms);
			if (wg_deadline(g->end[k].wg) <= g->now_ms)
				abort(); /* a tick leaves no deadline in the past */
		}
	}
}

static void session_target(const uint8_t *data, size_t len)
{
	struct rig *g = calloc(1, sizeof(*g));
	if (!g)
		abort();
	g->now_ms = START_MS;
	g->script = rd_of(data, len);
	for (int i = 0; i < 2; i++) {
		struct end *e = &g->end[i];
		e->rig = g;
		memset(e->us.b, i + 1, sizeof(e->us.b));
		key_clamp(e->us.b);
		key_public(e->us.b, e->key.b);
		e->ip4 = addr_v4(0x64400001u + (uint32_t)i);
		e->ip6 = addr_any6;
		e->ip6.b[0] = 0xfd;
		e->ip6.b[15] = (uint8_t)(i + 1);
	}
	trouble_begin();
	if (start(&g->end[0]) && start(&g->end[1])) {
		introduce(&g->end[0], NULL);
		introduce(&g->end[1], NULL);
		meet(g);
		play(g);
	}
	wg_free(g->end[0].wg);
	wg_free(g->end[1].wg);
	free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(session_target, data, len);
}
