#include "mesh/node/plane/bundle.h"

bool bundle_key_of(const struct plane *d, uint64_t peer, struct node_key *out)
{
	const struct netmap_peer *p = plane_peer(d, peer);
	if (!p)
		return false;
	*out = p->node.key;
	return true;
}

static void count(struct plane_traffic *t, struct pkt *const *pkts, size_t n)
{
	t->packets += n;
	for (size_t i = 0; i < n; i++)
		t->bytes += pkts[i]->len;
}

static void send_by_relay(struct bundle *b, struct pkt *const *pkts, size_t n)
{
	struct plane *d = b->plane;
	count(&d->out[PLANE_RELAY], pkts, n);
	d->io.relay_send_batch(d->io.arg, b->way.region, &b->key, pkts, n);
}

/* What the direct way does not carry. What is left in the bundle keeps its order. */
static void relay_the_large(struct bundle *b)
{
	struct pkt *large[PKT_BATCH];
	size_t n_large = 0, kept = 0;
	for (size_t i = 0; i < b->count; i++) {
		if (b->pkts[i]->len > b->way.most && b->keyed)
			large[n_large++] = b->pkts[i];
		else
			b->pkts[kept++] = b->pkts[i];
	}
	b->count = kept;
	if (n_large)
		send_by_relay(b, large, n_large);
}

void bundle_send(struct bundle *b)
{
	struct plane *d = b->plane;
	if (!b->count)
		return;
	if (b->way.udp && b->way.most)
		relay_the_large(b);
	if (b->way.udp && b->count) {
		count(&d->out[plane_path_of(&b->way.at.ip)], b->pkts, b->count);
		d->io.udp_send_batch(d->io.arg, b->way.from, &b->way.at, b->pkts, b->count);
	}
	if (b->way.relay)
		send_by_relay(b, b->pkts, b->count);
	if (!b->way.udp && !b->way.relay)
		d->drops.out_no_way += b->count;
	b->count = 0;
}

void bundle_add(struct bundle *b, uint64_t now_ms, uint64_t peer, struct pkt *p)
{
	if (b->count && (b->peer != peer || b->count == PKT_BATCH))
		bundle_send(b);
	if (b->peer != peer) {
		b->peer = peer;
		path_used(b->plane->path, now_ms, peer);
		b->way = path_way(b->plane->path, peer);
		b->keyed = bundle_key_of(b->plane, peer, &b->key);
		b->way.relay = b->way.relay && b->keyed;
	}
	b->pkts[b->count++] = p;
}

void bundle_send_inner(struct plane *d, uint64_t peer, const struct path_way *way, struct pkt *p)
{
	uint64_t now = plane_now(d);
	struct bundle b = { .plane = d, .peer = peer, .way = *way };
	plane_captured(d, PLANE_TO_PEER, p);
	if (!bundle_key_of(d, peer, &b.key) || !wg_ready(d->wg, now, peer) ||
		wg_seal(d->wg, now, peer, p) != WG_OK)
		return;
	bundle_add(&b, now, peer, p);
	bundle_send(&b);
}
