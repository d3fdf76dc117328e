#include "mesh/path/candidates.h"
#include "mesh/path/card.h"
#include "mesh/path/events.h"
#include "mesh/path/home.h"
#include "mesh/path/map.h"
#include "mesh/path/netcheck.h"
#include "mesh/path/peers.h"
#include "mesh/path/probe.h"
#include "mesh/path/receive.h"
#include "mesh/path/self.h"
#include "mesh/path/session.h"
#include "mesh/path/spare.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { GONE_MS = 10000 };

struct path *path_new(const struct node_key *us, const struct path_ops *ops, const struct random *rnd)
{
	struct path *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->ops = *ops;
	p->rnd = *rnd;
	p->us = *us;
	p->now_ms = 1;
	p->wake_ms = UINT64_MAX;
	key_generate(rnd, p->disco_private.b);
	key_public(p->disco_private.b, p->disco.b);
	uint64_t seed[5];
	rnd->fill(rnd->arg, seed, sizeof(seed));
	table_init_inside(&p->by_id, sizeof(uint64_t), offsetof(struct card, id), seed[0]);
	table_init_inside(&p->by_key, KEY_LEN, offsetof(struct card, key), seed[1]);
	table_init_inside(&p->by_disco, KEY_LEN, offsetof(struct card, disco), seed[2]);
	table_init(&p->by_endpoint, sizeof(struct endpoint), seed[3]);
	table_init(&p->by_tx, DISCO_TX, seed[4]);
	return p;
}

void path_key_set(struct path *p, const struct node_key *us)
{
	p->us = *us;
}

void path_free(struct path *p)
{
	if (!p)
		return;
	probe_free_all(p);
	events_free(p);
	peers_free_all(p);
	map_free(p);
	table_fini(&p->by_id);
	table_fini(&p->by_key);
	table_fini(&p->by_disco);
	table_fini(&p->by_endpoint);
	table_fini(&p->by_tx);
	free(p->local);
	key_wipe(&p->disco_private, sizeof(p->disco_private));
	free(p);
}

static bool same_links(const struct path *p, const struct addr *local, size_t n, uint16_t port)
{
	if (n != p->n_local || port != p->port)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool found = false;
		for (size_t k = 0; k < n && !found; k++)
			found = addr_equal(&local[i], &p->local[k]);
		if (!found)
			return false;
	}
	return true;
}

static bool is_routable(const struct addr *a)
{
	return !addr_is_loopback(a) && !addr_is_link_local(a) && !addr_is_multicast(a) &&
	       !addr_is_unspecified(a);
}

static void link_moved(struct path *p)
{
	p->n_seen = 0;
	p->stun_ok_ms = 0; /* what is told next are the new places */
	p->udp = p->ipv4 = p->ipv6 = false;
	self_rebuild(p);
	for (struct peer *e = p->active, *next; e; e = next) {
		next = e->next;
		session_forget_best(p, e);
		for (size_t i = 0; i < e->n_cands; i++)
			e->cands[i].bad_until_ms = e->cands[i].pinged_ms = 0;
		session_burst(p, e);
		e->call_owed = true;
	}
	spare_links_changed(p);
	netcheck_start(p, true);
	session_settle(p);
}

void path_links_changed(struct path *p, uint64_t now_ms, const struct addr *local, size_t n, uint16_t port)
{
	state_advance(p, now_ms);
	if (same_links(p, local, n, port))
		return;
	struct addr *copy = n ? calloc(n, sizeof(*copy)) : NULL;
	if (n && !copy)
		return;
	if (n)
		memcpy(copy, local, n * sizeof(*copy));
	free(p->local);
	p->local = copy;
	p->n_local = n;
	p->port = port;
	p->have4 = p->have6 = false;
	for (size_t i = 0; i < n; i++) {
		if (is_routable(&copy[i]))
			*(addr_is_v4(&copy[i]) ? &p->have4 : &p->have6) = true;
	}
	link_moved(p);
}

void path_nat64_set(struct path *p, uint64_t now_ms, bool there)
{
	state_advance(p, now_ms);
	if (p->nat64 == there)
		return;
	p->nat64 = there;
	link_moved(p);
}

void path_mapped_set(struct path *p, uint64_t now_ms, const struct endpoint *four, const struct endpoint *six)
{
	state_advance(p, now_ms);
	p->mapped = *four;
	p->mapped6 = *six;
	self_rebuild(p);
	events_self_changed(p);
	session_settle(p);
}

void path_routes_changed(struct path *p, uint64_t now_ms)
{
	state_advance(p, now_ms);
	link_moved(p);
}

bool path_udp_received(struct path *p, uint64_t now_ms, enum path_socket at, const struct endpoint *from,
	const uint8_t *b, size_t len)
{
	state_advance(p, now_ms);
	bool ours;
	if (stun_is(b, len)) {
		ours = true;
		netcheck_received(p, at, from, b, len);
	} else {
		ours = receive_disco(p, &(struct place) { .at = *from, .socket = at }, NULL, b, len);
	}
	session_settle(p);
	return ours;
}

bool path_relay_received(struct path *p, uint64_t now_ms, int32_t region, const struct node_key *from,
	const uint8_t *b, size_t len)
{
	state_advance(p, now_ms);
	struct peer *e = card_peer(p, card_by_key(p, from));
	if (e) {
		bool news = e->heard != region || e->gone == region;
		e->heard = region;
		e->heard_ms = p->now_ms;
		if (e->gone == region)
			e->gone = 0;
		if (news)
			way_publish(p, e);
	}
	bool ours = receive_disco(p, &(struct place) { .region = region }, from, b, len);
	session_settle(p);
	return ours;
}

void path_relay_up(struct path *p, uint64_t now_ms, int32_t region, bool up)
{
	state_advance(p, now_ms);
	bool news = home_relay_told(p, region, up);
	if (news && up)
		netcheck_again(p); /* by which address are we known now? */
	else if (news)
		netcheck_start(p, false); /* who is still there? */
	session_settle(p);
}

void path_relay_peer_gone(struct path *p, uint64_t now_ms, int32_t region, const struct node_key *who)
{
	state_advance(p, now_ms);
	struct peer *e = card_peer(p, card_by_key(p, who));
	if (!e)
		return;
	if (e->heard == region)
		e->heard = 0;
	e->gone = region;
	e->gone_until_ms = p->now_ms + GONE_MS;
	way_publish(p, e);
}

void path_send_failed(struct path *p, const struct endpoint *to)
{
	for (size_t i = 0; i < p->n_failed; i++) {
		if (endpoint_equal(&p->failed[i], to))
			return;
	}
	if (p->n_failed < FAILED_MAX) /* full: what goes on failing is told again */
		p->failed[p->n_failed++] = *to;
}

/* Whatever the reason, this way is shut for a while. */
static void shut_way(struct path *p, const struct endpoint *to)
{
	for (struct peer *e = p->active, *next; e; e = next) {
		next = e->next;
		struct candidate *c = candidates_find(e, to);
		if (!c)
			continue;
		c->bad_until_ms = p->now_ms + PING_TIMEOUT_MS;
		if (way_is(e, to)) {
			session_forget_best(p, e);
			session_burst(p, e);
		}
	}
}

void path_flush(struct path *p, uint64_t now_ms)
{
	if (p->flushing)
		return;
	p->flushing = true;
	state_advance(p, now_ms);
	while (p->n_failed)
		shut_way(p, &p->failed[--p->n_failed]);
	events_tell(p);
	p->flushing = false;
}

void path_control_up(struct path *p, uint64_t now_ms, bool up)
{
	state_advance(p, now_ms);
	p->control_up = up;
}

void path_recheck(struct path *p, uint64_t now_ms)
{
	state_advance(p, now_ms);
	netcheck_start(p, true);
	session_settle(p);
}

uint64_t path_deadline(const struct path *p)
{
	return p->wake_ms;
}

void path_tick(struct path *p, uint64_t now_ms)
{
	state_advance(p, now_ms);
	if (p->now_ms < p->wake_ms)
		return;
	p->wake_ms = UINT64_MAX;
	for (struct peer *e = p->active, *next; e; e = next) {
		next = e->next;
		if (e->next_ms <= p->now_ms)
			session_step(p, e);
	}
	netcheck_tick(p);
	home_tick(p);
	session_settle(p);
	probe_expire(p);
	for (const struct peer *e = p->active; e; e = e->next)
		state_wake(p, e->next_ms);
	if (p->wake_ms <= p->now_ms) /* never spin, whatever a deadline says */
		p->wake_ms = p->now_ms + 1;
}
