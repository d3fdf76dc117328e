#include "mesh/node/plane/lending.h"
#include "mesh/node/plane/via.h"
#include <string.h>

static size_t set_of(const struct ip_view *v)
{
	uint64_t a[2], b[2];
	memcpy(a, v->src.b, sizeof(a));
	memcpy(b, v->dst.b, sizeof(b));
	uint64_t h = a[0] ^ a[1] ^ b[0] ^ (b[1] << 1) ^ ((uint64_t)v->sport << 16) ^ v->dport ^
		     ((uint64_t)v->proto << 32);
	return (h * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (LENDING_SETS - 1);
}

static bool same_flow(const struct ip_view *a, const struct ip_view *b)
{
	return a->proto == b->proto && a->version == b->version && a->sport == b->sport &&
	       a->dport == b->dport && a->later_fragment == b->later_fragment &&
	       addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst);
}

static struct lending_flow *find_flow(struct lending *l, const struct ip_view *v)
{
	struct lending_flow *set = l->flows[set_of(v)];
	for (size_t i = 0; i < LENDING_WAYS; i++)
		if (set[i].peer && same_flow(&set[i].v, v))
			return &set[i];
	return NULL;
}

/* --- the loop's --- */

static struct lending_peer *find_peer(struct lending *l, uint64_t id)
{
	for (size_t i = 0; i < l->n_peers; i++)
		if (l->peers[i].id == id)
			return &l->peers[i];
	return NULL;
}

static bool is_plain(const struct path_way *w)
{
	return w->udp && !w->relay && !w->most;
}

static struct lending_peer *lend_to(struct plane *d, struct lending *l, uint64_t now_ms, uint64_t id)
{
	struct lending_peer *e = find_peer(l, id);
	if (e)
		return now_ms < e->loan.until_ms && e->loan.next < e->loan.end ? e : NULL;
	if (l->n_peers == LENDING_PEERS)
		return NULL;
	path_used(d->path, now_ms, id);
	struct path_way way = path_way(d->path, id);
	e = &l->peers[l->n_peers];
	*e = (struct lending_peer) { .id = id, .way = way };
	if (!is_plain(&way) || !wg_lend(d->wg, now_ms, id, &e->loan))
		return NULL;
	if (!l->n_peers++)
		l->ways = path_ways(d->path);
	return e;
}

static void put_flow(
	struct plane *d, struct lending *l, uint64_t now_ms, const struct ip_view *v, size_t peer)
{
	struct lending_flow *set = l->flows[set_of(v)], *f = NULL;
	struct filter_drops unseen = { 0 };
	for (size_t i = 0; i < LENDING_WAYS && !f; i++)
		if (!set[i].peer || !set[i].used)
			f = &set[i];
	if (!f)
		f = &set[l->next++ % LENDING_WAYS];
	if (f->peer && f->used)
		(void)filter_out(d->flows, now_ms, &f->v, &unseen);
	*f = (struct lending_flow) { .v = *v, .peer = (uint8_t)(peer + 1) };
}

bool lending_grant(struct plane *d, struct lending *l, uint64_t now_ms, struct pkt *p)
{
	struct ip_view v;
	struct filter_drops unseen = { 0 };
	if (!d->map || !d->rules || d->capture.packet || via_in_use(d->via) ||
		!ip_parse(pkt_data(p), p->len, &v) || !filter_is_local(d->rules, &v.src))
		return false;
	uint64_t id = wg_route(d->wg, &v.dst);
	struct lending_peer *e = id ? lend_to(d, l, now_ms, id) : NULL;
	if (!e || filter_out(d->flows, now_ms, &v, &unseen) != FILTER_PASS)
		return false;
	if (!find_flow(l, &v))
		put_flow(d, l, now_ms, &v, (size_t)(e - l->peers));
	return true;
}

bool lending_is_stale(const struct plane *d, const struct lending *l)
{
	return l->n_peers && (l->ways != path_ways(d->path) || via_in_use(d->via));
}

void lending_note(struct lending *l, struct lending_account *a)
{
	a->n_peers = l->n_peers;
	a->n_flows = 0;
	for (size_t i = 0; i < l->n_peers; i++) {
		a->peers[i] = l->peers[i];
		l->peers[i].sent = (struct plane_traffic) { 0 };
		l->peers[i].loan.bytes = l->peers[i].loan.failed = 0;
	}
	for (size_t i = 0; l->n_peers && i < LENDING_SETS * LENDING_WAYS; i++) {
		struct lending_flow *f = &l->flows[i / LENDING_WAYS][i % LENDING_WAYS];
		if (f->peer && f->used)
			a->flows[a->n_flows++] = f->v;
		f->used = false;
	}
}

static void tell_plane(struct plane *d, uint64_t now_ms, const struct lending_account *a)
{
	struct filter_drops unseen = { 0 };
	for (size_t i = 0; i < a->n_flows; i++)
		(void)filter_out(d->flows, now_ms, &a->flows[i], &unseen);
	for (size_t i = 0; i < a->n_peers; i++) {
		struct plane_traffic *t = &d->out[plane_path_of(&a->peers[i].way.at.ip)];
		t->packets += a->peers[i].sent.packets;
		t->bytes += a->peers[i].sent.bytes;
	}
}

void lending_tell(struct plane *d, uint64_t now_ms, struct lending_account *a)
{
	tell_plane(d, now_ms, a);
	for (size_t i = 0; i < a->n_peers; i++) {
		const struct lending_peer *e = &a->peers[i];
		a->until_ms[i] = wg_loan_told(d->wg, now_ms, e->id, &e->loan);
		if (e->sent.packets)
			path_used(d->path, now_ms, e->id);
	}
}

void lending_extend(struct lending *l, const struct lending_account *a)
{
	for (size_t i = 0; i < l->n_peers && i < a->n_peers; i++)
		if (l->peers[i].id == a->peers[i].id)
			l->peers[i].loan.until_ms = a->until_ms[i];
}

void lending_forget(struct lending *l)
{
	if (l->n_peers)
		memset(l, 0, sizeof(*l));
}

void lending_give_back(struct plane *d, uint64_t now_ms, struct lending_account *a)
{
	tell_plane(d, now_ms, a);
	for (size_t i = 0; i < a->n_peers; i++)
		wg_loan_return(d->wg, a->peers[i].id, &a->peers[i].loan);
}

/* --- the other thread's --- */

struct lending_peer *lending_find(struct lending *l, uint64_t now_ms, const struct pkt *p)
{
	struct ip_view v;
	if (!l->n_peers || !ip_parse(p->b + p->at, p->len, &v))
		return NULL;
	struct lending_flow *f = find_flow(l, &v);
	if (!f)
		return NULL;
	struct lending_peer *e = &l->peers[f->peer - 1];
	if (now_ms >= e->loan.until_ms || e->loan.next >= e->loan.end)
		return NULL;
	f->used = true;
	return e;
}
