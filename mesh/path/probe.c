#include "mesh/path/path.h"
#include "mesh/path/parts.h"
#include "mesh/base/wire.h"
#include <stdlib.h>

enum { PINGS_MAX = 4096, ANSWER_EVERY_MS = 20, ANSWER_BURST = 100 };

static void drop_ping(struct path *p, struct ping *g)
{
	table_remove(&p->by_tx, g->tx);
	*(g->prev ? &g->prev->next : &p->pings) = g->next;
	*(g->next ? &g->next->prev : &p->pings_last) = g->prev;
	p->n_pings--;
	free(g);
}

void probe_free_all(struct path *p)
{
	while (p->pings)
		drop_ping(p, p->pings);
}

void probe_expire(struct path *p)
{
	while (p->pings && (p->n_pings >= PINGS_MAX || p->now_ms - p->pings->sent_ms > PING_TIMEOUT_MS))
		drop_ping(p, p->pings);
}

/* Seals m for e and sends it: to when region is 0, else through that relay. */
static bool send_message(struct path *p, struct peer *e, const struct disco_message *m,
	const struct endpoint *to, int32_t region)
{
	uint8_t out[DISCO_MAX], nonce[BOX_NONCE];
	if (!peers_box(p, e))
		return false;
	p->rnd.fill(p->rnd.arg, nonce, sizeof(nonce));
	size_t len = disco_write(m, &p->disco, &e->box, nonce, out);
	if (!len)
		return false;
	if (region)
		p->ops.send_relay(p->ops.arg, region, &e->key, out, len);
	else
		p->ops.send_udp(p->ops.arg, to, out, len);
	return true;
}

static struct ping *remember(struct path *p, const struct ping *g)
{
	probe_expire(p);
	struct ping *copy = malloc(sizeof(*copy));
	if (!copy)
		return NULL;
	*copy = *g;
	copy->next = NULL;
	copy->prev = p->pings_last;
	if (!table_put(&p->by_tx, copy->tx, copy)) {
		free(copy);
		return NULL;
	}
	*(p->pings_last ? &p->pings_last->next : &p->pings) = copy;
	p->pings_last = copy;
	p->n_pings++;
	return copy;
}

bool probe_send(
	struct path *p, struct peer *e, const struct endpoint *to, int32_t region, const uint64_t *token)
{
	struct endpoint at =
		region ? (struct endpoint) { 0 } : *to; /* a copy: to may lie in what we change */
	if (!peers_box(p, e))
		return false;
	struct ping g = {
		.peer = e->id, .sent_ms = p->now_ms, .to = at, .region = region, .asked = token != NULL
	};
	if (token)
		g.token = *token;
	p->rnd.fill(p->rnd.arg, g.tx, sizeof(g.tx));
	if (!remember(p, &g))
		return false;
	if (!region) {
		struct candidate *c = candidates_find(e, &at);
		if (c)
			c->pinged_ms = p->now_ms;
		e->probes++;
	}
	struct disco_message m = { .type = DISCO_PING, .node = p->us };
	memcpy(m.tx, g.tx, sizeof(m.tx));
	return send_message(p, e, &m, &at, region);
}

void probe_call(struct path *p, struct peer *e, const struct endpoint *without)
{
	struct disco_message m = { .type = DISCO_CALL_ME_MAYBE };
	int32_t region = home_for_peer(p, e);
	for (size_t i = 0; i < p->n_own && m.n_endpoints < DISCO_ENDPOINTS_MAX; i++) {
		if (!without || !endpoint_equal(without, &p->own[i]))
			m.endpoints[m.n_endpoints++] = p->own[i];
	}
	if (region && p->n_own)
		send_message(p, e, &m, NULL, region);
}

static void answer(struct path *p, uint64_t token, const struct peer *e, const struct ping *g)
{
	double latency = (double)(p->now_ms - g->sent_ms);
	for (struct ping *o = p->pings; o; o = o->next) {
		if (o->asked && o->token == token)
			o->asked = false;
	}
	p->ops.ping_done(p->ops.arg, token, e->id, &g->to, g->region, latency);
}

static bool fresh_tx(struct peer *e, const uint8_t *tx)
{
	uint32_t mark = (uint32_t)be_get(tx, 4);
	for (size_t i = 0; i < SEEN_TX; i++) {
		if (e->seen_tx[i] == mark)
			return false;
	}
	e->seen_tx[e->seen_next++ % SEEN_TX] = mark;
	return true;
}

/* A ping's source proves nothing: whoever has caught some may replay them from any address, and a peer may
 * invent addresses. What we then send to strangers is bounded. */
static bool may_answer(const struct path *p, struct peer *e)
{
	if (e->ping_paid_ms < p->now_ms)
		e->ping_paid_ms = p->now_ms;
	if (e->ping_paid_ms - p->now_ms >= (uint64_t)ANSWER_BURST * ANSWER_EVERY_MS)
		return false;
	e->ping_paid_ms += ANSWER_EVERY_MS;
	return true;
}

static void ping_received(struct path *p, struct peer *e, const struct endpoint *from, int32_t region,
	const struct disco_message *m)
{
	if (!fresh_tx(e, m->tx) || (!region && !candidates_sendable(from)))
		return;
	if (!may_answer(p, e)) {
		p->drops.ping_flood++;
		return;
	}
	struct disco_message pong = { .type = DISCO_PONG, .seen = *from };
	memcpy(pong.tx, m->tx, sizeof(pong.tx));
	send_message(p, e, &pong, from, region);
	if (region)
		return;
	struct candidate *c = candidates_add(p, e, from, FROM_SEEN);
	if (!c)
		return;
	bool first = c->pinged_ms == 0;
	c->heard_ms = p->now_ms;
	c->bad_until_ms = 0;
	/* Its filter lets us through right now: do not wait for the next round. */
	bool want = !session_trusted(p, e) || e->doubted || first;
	if (want && p->now_ms - c->pinged_ms >= 50)
		probe_send(p, e, from, 0, NULL);
}

static void pong_received(struct path *p, struct peer *e, const struct endpoint *from, int32_t region,
	const struct disco_message *m)
{
	struct ping *g = table_get(&p->by_tx, m->tx);
	bool ours = g && g->peer == e->id && g->region == region && p->now_ms - g->sent_ms <= PING_TIMEOUT_MS;
	if (!ours || (!region && !endpoint_equal(&g->to, from))) {
		p->drops.pong_unknown++;
		return;
	}
	struct ping done = *g;
	drop_ping(p, g);
	if (!region) {
		struct candidate *c = candidates_add(p, e, from, FROM_SEEN);
		if (c)
			session_pong(p, e, c, (double)(p->now_ms - done.sent_ms));
		if (e->has_best && endpoint_equal(&e->best, from))
			e->seen_as = m->seen;
	}
	if (done.asked)
		answer(p, done.token, e, &done);
}

static bool is_mesh(const struct addr *a)
{
	static const uint8_t ula[6] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };
	return memcmp(a->b, ula, sizeof(ula)) == 0;
}

static void call_received(struct path *p, struct peer *e, const struct disco_message *m)
{
	candidates_forget(p, e, FROM_CALL);
	for (size_t i = 0; i < m->n_endpoints && i < CANDIDATES_MAX / 2; i++) {
		if (!is_mesh(&m->endpoints[i].ip))
			candidates_add(p, e, &m->endpoints[i], FROM_CALL);
	}
	candidates_sweep(p, e);
	session_answer_burst(p, e);
}

static struct peer *of_sender(struct path *p, const struct disco_key *key, const struct node_key *via)
{
	struct peer *e = table_get(&p->by_disco, key->b);
	while (e && via && !key_equal(e->key.b, via->b))
		e = e->same_disco;
	return e;
}

static void message_received(struct path *p, struct peer *e, const struct endpoint *from, int32_t region,
	const struct disco_message *m)
{
	switch (m->type) {
	case DISCO_PING:
		while (e && !key_equal(e->key.b, m->node.b))
			e = e->same_disco;
		if (!e)
			p->drops.ping_wrong_node++;
		else
			ping_received(p, e, from, region, m);
		break;
	case DISCO_PONG: {
		const struct ping *g = table_get(&p->by_tx, m->tx);
		while (g && e && e->id != g->peer)
			e = e->same_disco;
		if (g && e)
			pong_received(p, e, from, region, m);
		else
			p->drops.pong_unknown++;
		break;
	}
	case DISCO_CALL_ME_MAYBE:
		if (region)
			call_received(p, e, m);
		else
			p->drops.call_me_maybe_by_udp++;
		break;
	default: p->drops.disco_type++;
	}
}

bool probe_received(struct path *p, const struct endpoint *from, int32_t region, const struct node_key *via,
	const uint8_t *b, size_t len)
{
	struct disco_key key;
	struct disco_message m;
	if (!disco_sender(b, len, &key))
		return false;
	struct peer *e = of_sender(p, &key, via);
	if (!e || !peers_box(p, e)) {
		p->drops.disco_unknown_key++;
		return true;
	}
	if (len > DISCO_MAX)
		p->drops.disco_malformed++;
	else if (!disco_read(b, len, &e->box, &m))
		p->drops.disco_bad_box++;
	else
		message_received(p, e, from, region, &m);
	return true;
}

void path_ping(struct path *p, uint64_t now_ms, uint64_t peer, uint64_t token)
{
	/* A ping is use: it begins the search for a direct way. */
	struct path_way way = path_way_for(p, now_ms, peer);
	struct peer *e = peers_find(p, peer);
	if (!e)
		return;
	if (way.udp && !way.relay) { /* proven: the answer is to be about this one */
		probe_send(p, e, &way.at, 0, &token);
		return;
	}
	int32_t region = home_for_peer(p, e);
	if (region)
		probe_send(p, e, NULL, region, &token);
	for (size_t i = 0; i < e->n_cands; i++) {
		if (candidates_usable(p, &e->cands[i]))
			probe_send(p, e, &e->cands[i].at, 0, &token);
	}
}
