#include "mesh/path/probe.h"
#include "mesh/base/wire.h"
#include "mesh/path/candidates.h"
#include "mesh/path/events.h"
#include "mesh/path/region.h"
#include "mesh/path/spare.h"
#include "mesh/path/state.h"
#include <stdlib.h>
#include <string.h>

/* Disco messages out. A ping is remembered until its pong or PING_TIMEOUT_MS: by_tx finds it, the list keeps
 * the order of age so that the oldest goes first when there are too many. A pong counts once, from the very
 * place that was pinged, by the way it was pinged, of the peer that was pinged; everything else is a
 * stranger's and changes nothing. A ping that somebody waits for (path_ping) carries a token; several pings
 * may carry the same, and the first answer settles them all. */
enum { PINGS_MAX = 4096 };

static void unlist(struct path *p, struct ping *g)
{
	table_remove(&p->by_tx, g->tx);
	*(g->prev ? &g->prev->next : &p->pings) = g->next;
	*(g->next ? &g->next->prev : &p->pings_last) = g->prev;
	p->n_pings--;
}

static void drop_ping(struct path *p, struct ping *g)
{
	unlist(p, g);
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

/* Seals m for e and sends it. */
static bool send_message(
	struct path *p, struct peer *e, const struct disco_message *m, const struct place *to)
{
	uint8_t out[DISCO_MAX], nonce[BOX_NONCE];
	if (!peer_box(p, e))
		return false;
	p->rnd.fill(p->rnd.arg, nonce, sizeof(nonce));
	size_t len = disco_write(m, &p->disco, &e->box, nonce, out);
	if (!len)
		return false;
	if (to->region)
		p->ops.send_relay(p->ops.arg, to->region, &e->key, out, len);
	else if (to->hops)
		p->ops.send_near(
			p->ops.arg, to->socket, &to->at, to->hops == HOPS_NONE ? 0 : to->hops, out, len);
	else
		p->ops.send_udp(p->ops.arg, to->socket, &to->at, out, len);
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

/* A ping without padding. */
enum { PING_LEN = DISCO_HEADER + BOX_TAG + 2 + DISCO_TX + KEY_LEN };

static bool send_ping(struct path *p, struct peer *e, struct ping g)
{
	struct place to = { .region = g.region, .at = g.to, .socket = g.from, .hops = g.hops };
	g.peer = e->id;
	g.sent_ms = p->now_ms;
	p->rnd.fill(p->rnd.arg, g.tx, sizeof(g.tx));
	if (!peer_box(p, e) || !remember(p, &g))
		return false;
	if (!g.region && !g.size) {
		struct candidate *c = candidates_find(e, &g.to);
		if (c) {
			c->pinged_ms = p->now_ms;
			c->quietly = g.hops != 0;
		}
		e->probes++;
	}
	struct disco_message m = { .type = DISCO_PING, .node = p->us };
	if (g.size > PING_LEN)
		m.padding = g.size - (size_t)PING_LEN;
	memcpy(m.tx, g.tx, sizeof(m.tx));
	return send_message(p, e, &m, &to);
}

bool probe_send(struct path *p, struct peer *e, struct place to)
{
	return send_ping(
		p, e, (struct ping) { .to = to.at, .region = to.region, .from = to.socket, .hops = to.hops });
}

bool probe_send_asked(struct path *p, struct peer *e, struct place to, uint64_t token, uint16_t size)
{
	return send_ping(p, e,
		(struct ping) { .to = to.at,
			.region = to.region,
			.from = to.socket,
			.hops = to.hops,
			.asked = true,
			.by_person = true,
			.token = token,
			.size = size > PING_LEN ? size : 0 });
}

void probe_aloud(struct path *p, struct peer *e)
{
	struct ping *again = NULL;
	for (struct ping *g = p->pings, *next; g; g = next) {
		next = g->next;
		if (g->peer != e->id || !g->asked || !g->hops)
			continue;
		unlist(p, g);
		g->next = again;
		again = g;
	}
	while (again) {
		struct ping *g = again;
		again = g->next;
		const struct candidate *c = candidates_find(e, &g->to);
		g->hops = 0;
		if (c && candidates_usable(p, c))
			send_ping(p, e, *g);
		free(g);
	}
}

bool probe_send_sized(struct path *p, struct peer *e, struct place to, uint16_t size)
{
	return send_ping(p, e, (struct ping) { .to = to.at, .from = to.socket, .size = size });
}

void probe_call(struct path *p, struct peer *e, const struct endpoint *without)
{
	struct disco_message m = { .type = DISCO_CALL_ME_MAYBE };
	struct place relay = { .region = region_for_peer(p, e) };
	const struct endpoint *spare = spare_place(p, e);
	if (spare && !(without && endpoint_equal(without, spare)))
		m.endpoints[m.n_endpoints++] = *spare;
	for (size_t i = 0; i < p->n_own && m.n_endpoints < DISCO_ENDPOINTS_MAX; i++) {
		if (!without || !endpoint_equal(without, &p->own[i]))
			m.endpoints[m.n_endpoints++] = p->own[i];
	}
	if (relay.region && p->n_own)
		send_message(p, e, &m, &relay);
}

void probe_pong(struct path *p, struct peer *e, const struct disco_message *ping, const struct place *from)
{
	struct disco_message pong = { .type = DISCO_PONG, .seen = from->at };
	memcpy(pong.tx, ping->tx, sizeof(pong.tx));
	send_message(p, e, &pong, from);
}

/* Whoever asked by path_ping is told once, of the first answer. */
static void settle_token(struct path *p, uint64_t token)
{
	for (struct ping *o = p->pings; o; o = o->next) {
		if (o->asked && o->token == token)
			o->asked = false;
	}
}

bool probe_answered(struct path *p, const struct peer *e, const uint8_t *tx, const struct place *from,
	struct probe_answer *out)
{
	struct ping *g = table_get(&p->by_tx, tx);
	bool ours = g && g->peer == e->id && g->region == from->region &&
		    p->now_ms - g->sent_ms <= PING_TIMEOUT_MS;
	if (!ours || (!from->region && (g->from != from->socket || !endpoint_equal(&g->to, &from->at))))
		return false;
	unlist(p, g);
	g->latency_ms = (double)(p->now_ms - g->sent_ms);
	*out = (struct probe_answer) { g->latency_ms, g->size, g->by_person };
	if (g->asked) {
		settle_token(p, g->token);
		events_answered(p, g);
	} else {
		free(g);
	}
	return true;
}
