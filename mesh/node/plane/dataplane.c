/* The order of a packet, nothing else.
 * Out: TUN -> parse -> remember the flow -> allowed-ips pick the peer -> seal -> way -> UDP socket or relay.
 * In:  first bytes decide: STUN and disco go to path; else open -> filter -> TUN. */
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/node.h"
#include "mesh/node/links/relays.h"
#include "mesh/node/plane/tsmp.h"
#include <string.h>

/* Packets of one batch that leave the same way, sent together. */
struct bundle {
	struct node *n;
	uint64_t peer;
	struct path_way way;
	struct node_key key;
	struct pkt *pkts[PKT_BATCH];
	size_t count;
};

static bool peer_key(struct node *n, uint64_t peer, struct node_key *out)
{
	const struct netmap_peer *p = n->map ? netmap_peer_by_id(n->map, (int64_t)peer) : NULL;
	if (!p)
		return false;
	*out = p->node.key;
	return true;
}

static void bundle_send(struct bundle *b)
{
	if (!b->count)
		return;
	if (b->way.udp)
		udp_send_batch(b->n->udp, &b->way.at, b->pkts, b->count);
	if (b->way.relay)
		relays_send_batch(b->n->relays, b->way.region, &b->key, b->pkts, b->count);
	if (!b->way.udp && !b->way.relay)
		b->n->drops.out_no_way += b->count;
	b->count = 0;
}

static void bundle_add(struct bundle *b, uint64_t now, uint64_t peer, struct pkt *p)
{
	if (b->count && (b->peer != peer || b->count == PKT_BATCH))
		bundle_send(b);
	if (b->peer != peer) {
		b->peer = peer;
		path_used(b->n->path, now, peer);
		b->way = path_way(b->n->path, peer);
		if (!peer_key(b->n, peer, &b->key))
			b->way.relay = false;
	}
	b->pkts[b->count++] = p;
}

static void out_one(struct node *n, uint64_t now, struct pkt *p, struct bundle *b)
{
	struct ip_view v;
	if (!ip_parse(pkt_data(p), p->len, &v)) {
		n->drops.out_malformed++;
		return;
	}
	if (filter_out(n->flows, now, &v, &n->filter_drops) != FILTER_PASS)
		return;
	uint64_t peer = wg_route(n->wg, &v.dst);
	if (!peer) {
		wg_route_missed(n->wg);
		return;
	}
	if (wg_seal(n->wg, now, peer, p) == WG_OK)
		bundle_add(b, now, peer, p);
}

void dataplane_tun_received(void *arg, struct pkt *pkts, size_t count)
{
	struct node *n = arg;
	if (!n->map)
		return;
	uint64_t now = loop_now_ms(n->loop);
	struct bundle b = { .n = n };
	for (size_t i = 0; i < count; i++)
		out_one(n, now, &pkts[i], &b);
	bundle_send(&b);
	node_rearm(n);
}

void dataplane_send_inner(struct node *n, uint64_t peer, const struct path_way *way, struct pkt *p)
{
	uint64_t now = loop_now_ms(n->loop);
	struct bundle b = { .n = n, .peer = peer, .way = *way };
	if (!peer_key(n, peer, &b.key) || !wg_ready(n->wg, now, peer) ||
		wg_seal(n->wg, now, peer, p) != WG_OK)
		return;
	bundle_add(&b, now, peer, p);
	bundle_send(&b);
}

/* --- what the WireGuard core asks for --- */

static void wg_send(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	struct node *n = arg;
	path_used(n->path, loop_now_ms(n->loop), peer);
	struct path_way way = path_way(n->path, peer);
	struct node_key key;
	if (way.udp)
		udp_send(n->udp, &way.at, p, len);
	if (way.relay && peer_key(n, peer, &key))
		relays_send(n->relays, way.region, &key, p, len);
	if (!way.udp && !way.relay)
		n->drops.out_no_way++;
}

/* Where a datagram came from, as an opaque token for cookies and their replies. */
struct source {
	struct endpoint udp;
	int32_t region; /* not 0: by this relay, from key */
	struct node_key key;
};

static void wg_send_back(void *arg, const void *from, const uint8_t *p, size_t len)
{
	struct node *n = arg;
	struct source s;
	memcpy(&s, from, sizeof(s));
	if (s.region)
		relays_send(n->relays, s.region, &s.key, p, len);
	else
		udp_send(n->udp, &s.udp, p, len);
}

static void wg_session_ready(void *arg, uint64_t peer)
{
	struct node *n = arg;
	uint64_t now = loop_now_ms(n->loop);
	struct bundle b = { .n = n };
	struct pkt p;
	while (wg_staged_take(n->wg, peer, &p)) {
		if (wg_seal(n->wg, now, peer, &p) != WG_OK)
			break;
		bundle_add(&b, now, peer, &p);
		bundle_send(&b);
	}
	tsmp_session_ready(n, peer);
}

/* Before the handshake's answer leaves, so that it takes the way the question came. */
static void wg_heard(void *arg, uint64_t peer, const void *from)
{
	struct node *n = arg;
	struct source s;
	memcpy(&s, from, sizeof(s));
	path_authenticated(n->path, loop_now_ms(n->loop), peer, s.region ? NULL : &s.udp);
}

const struct wg_ops dataplane_wg_ops = {
	.send = wg_send, .send_back = wg_send_back, .heard = wg_heard, .session_ready = wg_session_ready
};

/* --- in --- */

static bool in_inner(struct node *n, uint64_t now, uint64_t peer, bool by_relay, struct pkt *p)
{
	struct ip_view v;
	if (!ip_parse(pkt_data(p), p->len, &v)) {
		n->drops.in_malformed++;
		return false;
	}
	/* They belong to this machine's own resolver; the mesh has no business with them. */
	if (addr_is_service(&v.dst) || addr_is_service(&v.src)) {
		n->drops.to_service_address++;
		return false;
	}
	uint64_t no_rule = n->filter_drops.no_rule;
	switch (filter_in(n->filter, n->flows, now, &v, &n->filter_drops)) {
	case FILTER_PASS: return true;
	case FILTER_DROP:
		if (n->filter_drops.no_rule != no_rule && filter_wants_reject(&v))
			tsmp_reject(n, peer, &v);
		return false;
	case FILTER_TSMP: tsmp_received(n, peer, by_relay, &v, pkt_data(p)); return false;
	}
	return false;
}

/* Data under a session we do not have: since it was made, we started anew or had left the peer out. The peer
 * would notice after 15 s; a handshake of ours is faster. */
static void answer_stale(struct node *n, uint64_t now, const struct source *from)
{
	uint64_t peer;
	bool known = from->region ? path_peer_by_key(n->path, &from->key, &peer)
				  : path_peer_by_endpoint(n->path, &from->udp, &peer);
	if (known)
		wg_handshake_wanted(n->wg, now, peer);
}

/* true when p now holds a packet for the TUN. */
static bool in_wireguard(struct node *n, uint64_t now, struct pkt *p, const struct source *from)
{
	struct wg_received r;
	struct wg_origin origin = { .p = from, .len = sizeof(*from) };
	uint64_t stale = wg_drops(n->wg)->no_session;
	enum wg_verdict verdict = wg_receive(n->wg, now, p, &origin, &r);
	if (wg_drops(n->wg)->no_session != stale)
		answer_stale(n, now, from);
	if (r.authenticated)
		path_authenticated(n->path, now, r.peer, from->region ? NULL : &from->udp);
	return verdict == WG_OK && r.is_data && p->len && in_inner(n, now, r.peer, from->region, p);
}

void dataplane_udp_received(void *arg, struct pkt *pkts, const struct endpoint *from, size_t count)
{
	struct node *n = arg;
	if (!n->wg)
		return;
	uint64_t now = loop_now_ms(n->loop);
	struct pkt *to_tun[PKT_BATCH];
	size_t n_tun = 0;
	for (size_t i = 0; i < count; i++) {
		if (path_udp_received(n->path, now, &from[i], pkt_data(&pkts[i]), pkts[i].len))
			continue;
		/* All zero first: the token is compared as bytes. */
		struct source s;
		memset(&s, 0, sizeof(s));
		s.udp = from[i];
		if (in_wireguard(n, now, &pkts[i], &s))
			to_tun[n_tun++] = &pkts[i];
	}
	if (n_tun)
		tun_write_batch(n->tun, to_tun, n_tun);
	node_rearm(n);
}

/* Frames of one read are gathered, so that a TCP flow reaches the TUN joined. */
void dataplane_relay_flush(struct node *n)
{
	struct pkt *to_tun[PKT_BATCH];
	for (size_t i = 0; i < n->n_relayed; i++)
		to_tun[i] = &n->relayed[i];
	if (n->n_relayed)
		tun_write_batch(n->tun, to_tun, n->n_relayed);
	n->n_relayed = 0;
	node_rearm(n);
}

void dataplane_relay_received(
	struct node *n, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	uint64_t now = loop_now_ms(n->loop);
	if (path_relay_received(n->path, now, region, from, p, len))
		return;
	if (len > PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM) {
		n->drops.relay_oversize++;
		return;
	}
	struct pkt *pkt = &n->relayed[n->n_relayed];
	pkt_reset(pkt);
	memcpy(pkt_data(pkt), p, len);
	pkt->len = (uint16_t)len;
	struct source s;
	memset(&s, 0, sizeof(s));
	s.region = region;
	s.key = *from;
	if (in_wireguard(n, now, pkt, &s) && ++n->n_relayed == PKT_BATCH)
		dataplane_relay_flush(n);
}
