#include "mesh/path/candidates.h"
#include "mesh/path/card.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <stdio.h>

struct path_way path_way(const struct path *p, uint64_t peer)
{
	struct peer blank;
	const struct peer *e = peer_look(p, peer, &blank);
	return e ? e->way : (struct path_way) { 0 };
}

uint64_t path_ways(const struct path *p)
{
	return p->ways;
}

bool path_peer_by_endpoint(const struct path *p, const struct endpoint *from, uint64_t *peer)
{
	struct peer *e = table_get(&p->by_endpoint, from);
	if (e)
		*peer = e->id;
	return e != NULL;
}

bool path_peer_by_key(const struct path *p, const struct node_key *key, uint64_t *peer)
{
	const struct card *c = card_by_key(p, key);
	if (c)
		*peer = c->id;
	return c != NULL;
}

size_t path_peers_named(const struct path *p, const struct endpoint *at, uint64_t *out, size_t cap)
{
	size_t next = 0, n = 0;
	for (const struct card *c; n < cap && (c = table_next(&p->by_id, &next));) {
		bool there = c->peer && candidates_find(c->peer, at);
		for (size_t i = 0; i < c->n_named && !there; i++)
			there = endpoint_equal(&c->named[i], at);
		if (there)
			out[n++] = c->id;
	}
	return n;
}

static void explain(const struct path *p, const struct peer *e, struct path_state *out)
{
	char text[ENDPOINT_TEXT];
	size_t n = sizeof(out->why);
	if (out->direct && e->way_state == WAY_DOUBTED)
		snprintf(out->why, n, "direct, but %u probes went unanswered: sending by relay too",
			e->failed);
	else if (out->direct && out->most)
		snprintf(out->why, n,
			"direct, but datagrams over %u bytes are lost on the way: they take the relay",
			out->most);
	else if (out->direct)
		snprintf(out->why, n, "direct");
	else if (!out->region)
		snprintf(out->why, n, "no way: no relay is known for it");
	else if (key_is_zero(e->disco.b))
		snprintf(out->why, n, "relay: the peer has no disco key");
	else if (p->report_done && !p->udp)
		snprintf(out->why, n,
			"relay: no STUN server answers, UDP seems blocked here; %u probes unanswered",
			e->probes);
	else if (e->n_cands == 0)
		snprintf(out->why, n, "relay: the peer has named no endpoint yet");
	else if (way_known(e) && way_shut(e))
		snprintf(out->why, n, "relay: %s answers probes but loses data",
			endpoint_format(&e->best, text));
	else if (way_known(e))
		snprintf(out->why, n, "relay: %s stopped answering", endpoint_format(&e->best, text));
	else
		snprintf(out->why, n, "relay: no answer to %u probes of %u endpoints%s", e->probes,
			e->n_cands,
			p->varies == OPT_TRUE ? "; the NAT here maps each destination differently" : "");
}

bool path_peer_state(const struct path *p, uint64_t now_ms, uint64_t peer, struct path_state *out)
{
	struct peer blank;
	const struct peer *e = peer_look(p, peer, &blank);
	if (!e)
		return false;
	uint64_t now = now_ms > p->now_ms ? now_ms : p->now_ms;
	*out = (struct path_state) { .active = e->sent_ms && now - e->sent_ms < SESSION_MS };
	out->region = region_for_peer(p, e);
	out->direct = e->way_state >= WAY_TRUSTED && e->trust_ms > now && !way_shut(e);
	out->latency_ms = -1;
	if (out->direct) {
		out->most = e->way.most;
		out->at = e->best;
		out->latency_ms = e->latency_ms;
	}
	explain(p, e, out);
	return true;
}

void path_report(const struct path *p, struct path_report *out)
{
	*out = (struct path_report) { .done = p->report_done,
		.udp = p->udp,
		.ipv4 = p->ipv4,
		.ipv6 = p->ipv6,
		.running = p->report_running,
		.ended_ms = p->report_ended_ms };
	out->mapping_varies = p->varies;
	out->global4 = p->ipv4 ? p->global4 : (struct endpoint) { 0 };
	out->global6 = p->ipv6 ? p->global6 : (struct endpoint) { 0 };
	out->home = p->home;
	for (size_t i = 0; i < p->n_regions; i++)
		p->shown_regions[i] =
			(struct path_region) { p->regions[i].id, region_latency(&p->regions[i]) };
	out->regions = p->shown_regions;
	out->n_regions = p->n_regions;
}

int32_t path_home(const struct path *p)
{
	return p->home;
}

struct ctl_endpoints path_endpoints(struct path *p)
{
	return (struct ctl_endpoints) { .v = p->own, .types = p->own_types, .n = p->n_own, .present = true };
}

const struct disco_key *path_disco_key(const struct path *p)
{
	return &p->disco;
}

const struct path_drops *path_drops(const struct path *p)
{
	return &p->drops;
}
