#include "mesh/path/receive.h"
#include "mesh/base/wire.h"
#include "mesh/path/candidates.h"
#include "mesh/path/card.h"
#include "mesh/path/probe.h"
#include "mesh/path/quiet.h"
#include "mesh/path/session.h"
#include "mesh/path/size.h"
#include "mesh/path/spare.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"

enum { ANSWER_EVERY_MS = 20, ANSWER_BURST = 100 };

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

static void ping_received(
	struct path *p, struct peer *e, const struct place *from, const struct disco_message *m)
{
	if (!fresh_tx(e, m->tx) || (!from->region && !candidates_sendable(&from->at)))
		return;
	if (!may_answer(p, e)) {
		p->drops.ping_flood++;
		return;
	}
	probe_pong(p, e, m, from);
	if (from->region)
		return;
	struct candidate *c = candidates_add(p, e, &from->at, FROM_SEEN);
	if (!c)
		return;
	bool first = c->pinged_ms == 0;
	c->heard_ms = p->now_ms;
	c->bad_until_ms = 0;
	if (!way_trusted(p, e))
		e->socket = from->socket;
	/* Its filter lets us through right now: do not wait for the next round. */
	bool want = !way_sure(p, e) || first;
	if (want && (c->quietly || p->now_ms - c->pinged_ms >= 50))
		probe_send(p, e, *from);
}

static void pong_received(
	struct path *p, struct peer *e, const struct place *from, const struct disco_message *m)
{
	struct probe_answer a;
	if (!probe_answered(p, e, m->tx, from, &a)) {
		p->drops.pong_unknown++;
		return;
	}
	if (a.size && !a.by_person && way_is(e, &from->at) && from->socket == e->socket) {
		size_answered(p, e, a.size);
		return;
	}
	if (a.size)
		return;
	if (!from->region && (from->socket == e->socket || !way_trusted(p, e))) {
		e->socket = from->socket;
		struct candidate *c = candidates_add(p, e, &from->at, FROM_SEEN);
		if (c)
			session_pong(p, e, c, a.latency_ms);
		if (way_is(e, &from->at))
			e->seen_as = m->seen;
	}
}

static bool is_mesh(const struct addr *a)
{
	static const uint8_t ula[6] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };
	return memcmp(a->b, ula, sizeof(ula)) == 0;
}

static void call_received(struct path *p, struct peer *e, const struct disco_message *m)
{
	candidates_forget(p, e, FROM_CALL);
	const struct endpoint *news = NULL;
	for (size_t i = 0; i < m->n_endpoints && i < CANDIDATES_MAX / 2; i++) {
		const struct endpoint *at = &m->endpoints[i];
		if (is_mesh(&at->ip))
			continue;
		if (!news && !candidates_find(e, at))
			news = at;
		candidates_add(p, e, at, FROM_CALL);
	}
	candidates_sweep(p, e);
	session_named(p, e, FROM_CALL);
	quiet_called(e);
	peer_wake(p, e, p->now_ms);
	if (news)
		spare_called(p, e, news);
	session_answer_burst(p, e);
}

static struct card *of_sender(struct path *p, const struct disco_key *key, const struct node_key *via)
{
	struct card *c = table_get(&p->by_disco, key->b);
	while (c && via && !key_equal(c->key.b, via->b))
		c = c->same_disco;
	return c;
}

static void message_received(
	struct path *p, struct card *c, const struct place *from, const struct disco_message *m)
{
	struct peer *e;
	switch (m->type) {
	case DISCO_PING:
		while (c && !key_equal(c->key.b, m->node.b))
			c = c->same_disco;
		e = card_peer(p, c);
		if (!e)
			p->drops.ping_wrong_node++;
		else
			ping_received(p, e, from, m);
		break;
	case DISCO_PONG: {
		const struct ping *g = table_get(&p->by_tx, m->tx);
		while (g && c && c->id != g->peer)
			c = c->same_disco;
		e = card_peer(p, c);
		if (g && e)
			pong_received(p, e, from, m);
		else
			p->drops.pong_unknown++;
		break;
	}
	case DISCO_CALL_ME_MAYBE:
		if (from->region && (e = card_peer(p, c)))
			call_received(p, e, m);
		else
			p->drops.call_me_maybe_by_udp++;
		break;
	default: p->drops.disco_type++;
	}
}

bool receive_disco(
	struct path *p, const struct place *from, const struct node_key *via, const uint8_t *b, size_t len)
{
	struct disco_key key;
	struct disco_message m;
	if (!disco_sender(b, len, &key))
		return false;
	struct card *c = of_sender(p, &key, via);
	struct peer *e = card_peer(p, c);
	if (!e || !peer_box(p, e)) {
		p->drops.disco_unknown_key++;
		return true;
	}
	if (len > DISCO_MAX)
		p->drops.disco_malformed++;
	else if (!disco_read(b, len, &e->box, &m))
		p->drops.disco_bad_box++;
	else
		message_received(p, c, from, &m);
	return true;
}
