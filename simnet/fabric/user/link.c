#include "simnet/fabric/user/link.h"

#include "mesh/base/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A packet passes, in this order: size; routers; losses, each drawn for itself; the rate, behind whatever waits there; delay and
 * jitter, never before an earlier packet of its flow; holding back, doubling and damage. */

enum { US = 1000, QUEUE_BYTES_MIN = 16384, REORDER_US = 10000, BITS_PER_BYTE = 8 };
enum { DNS_PORT = 53, QUIC_PORT = 443, TLS_PORT = 443, TLS_PORT_2 = 8443 };

struct link_flow {
	uint64_t n; /* packets */
	uint64_t last_due_ns;
	bool bad; /* Gilbert and Elliott's state */
};

void link_init(struct link *l, const struct link_way *way, uint64_t seed, const char *name, const char *part)
{
	*l = (struct link) { .way = *way, .key = draw_key_of(seed, name, part) };
	snprintf(l->name, sizeof(l->name), "%s.%s", name, part);
	table_init(&l->flows, sizeof(struct draw_flow), seed);
}

void link_forget(struct link *l)
{
	size_t at = 0;
	for (void *f; (f = table_next(&l->flows, &at));)
		free(f);
	table_fini(&l->flows);
	table_init(&l->flows, sizeof(struct draw_flow), l->key.k[0]);
}

void link_fini(struct link *l)
{
	link_forget(l);
	table_fini(&l->flows);
}

void link_change(struct link *l, const struct link_way *way)
{
	l->way = *way;
	l->free_at_ns = 0;
}

/* ---- classes ---- */

static bool is_port(const struct ip_view *v, uint16_t port)
{
	return v->sport == port || v->dport == port;
}

static enum link_class class_of_udp(const uint8_t *ip, const struct ip_view *v)
{
	static const uint8_t disco[] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac },
			     cookie[] = { 0x21, 0x12, 0xa4, 0x42 };
	struct rd r = rd_of(ip + v->payload_at, (size_t)v->total_len - v->payload_at);
	const uint8_t *p = rd_take(&r, 8);
	if (p && !memcmp(p, disco, sizeof(disco)))
		return LINK_DISCO;
	if (p && !memcmp(p + 4, cookie, sizeof(cookie)) && p[0] < 0x40)
		return LINK_STUN;
	if (p && p[0] >= 1 && p[0] <= 4 && !p[1] && !p[2] && !p[3])
		return LINK_WIREGUARD;
	return is_port(v, DNS_PORT) ? LINK_DNS : is_port(v, QUIC_PORT) ? LINK_QUIC : LINK_OTHER;
}

enum link_class link_class_of(const uint8_t *ip, const struct ip_view *v)
{
	if (v->later_fragment)
		return LINK_OTHER;
	switch (v->proto) {
	case IP_UDP: return class_of_udp(ip, v);
	case IP_TCP:
		return is_port(v, DNS_PORT)				? LINK_DNS
		       : is_port(v, TLS_PORT) || is_port(v, TLS_PORT_2) ? LINK_TLS
									: LINK_OTHER;
	case IP_ICMP:
	case IP_ICMP6: return LINK_ICMP;
	default: return LINK_OTHER;
	}
}

/* ---- losses ---- */

static bool is_chosen(const struct link_way *w, uint64_t n)
{
	for (size_t i = 0; i < LINK_NTH_MAX; i++)
		if (w->nth[i] && w->nth[i] == n)
			return true;
	return false;
}

static bool is_lost_in_burst(struct link *l, struct link_flow *f, uint64_t what)
{
	const struct link_bursts *b = &l->way.bursts;
	if (!b->enter)
		return false;
	if (draw_chance(&l->key, what, f->n, DRAW_BURST_CHANGE, f->bad ? b->leave : b->enter))
		f->bad = !f->bad;
	return f->bad && draw_chance(&l->key, what, f->n, DRAW_BURST_LOSS, b->bad ? b->bad : LINK_PPM);
}

/* Why a packet is lost; NULL = it is not. Every chance is drawn for every packet. */
static const char *loss_of(
	struct link *l, struct link_flow *f, uint64_t what, const uint8_t *ip, const struct ip_view *v)
{
	const struct link_way *w = &l->way;
	bool burst = is_lost_in_burst(l, f, what);
	if (ip[v->version == 4 ? 8 : 7] <= w->hops && w->hops)
		return "it passes no more routers";
	if (is_chosen(w, f->n))
		return "the link loses this packet of every flow";
	if (burst)
		return "the link loses it in a burst";
	if (draw_chance(&l->key, what, f->n, DRAW_LOSS, w->loss))
		return "the link loses it";
	if (w->big_loss && v->total_len > w->big &&
		draw_chance(&l->key, what, f->n, DRAW_BIG_LOSS, w->big_loss))
		return "the link loses big packets";
	uint32_t of_class = w->class_loss[link_class_of(ip, v)];
	if (of_class && draw_chance(&l->key, what, f->n, DRAW_CLASS_LOSS, of_class))
		return "the link loses packets of this kind";
	return NULL;
}

/* ---- time ---- */

static uint64_t queue_bytes(const struct link_way *w)
{
	uint64_t most = w->queue_bytes ? w->queue_bytes : w->rate_bps / BITS_PER_BYTE * LINK_QUEUE_MS / 1000;
	return w->queue_bytes || most > QUEUE_BYTES_MIN ? most : QUEUE_BYTES_MIN;
}

/* When the last bit of a packet of len bytes has left; false: it does not fit behind what waits. */
static bool wait_for_rate(struct link *l, uint64_t now_ns, size_t len, uint64_t *left_ns)
{
	const struct link_way *w = &l->way;
	*left_ns = now_ns;
	if (!w->rate_bps)
		return true;
	uint64_t start = l->free_at_ns > now_ns ? l->free_at_ns : now_ns;
	double waiting = (double)(start - now_ns) * (double)w->rate_bps / BITS_PER_BYTE / 1e9;
	if (waiting + (double)len > (double)queue_bytes(w))
		return false;
	*left_ns = l->free_at_ns =
		start + (uint64_t)((double)len * BITS_PER_BYTE * 1e9 / (double)w->rate_bps);
	return true;
}

static uint64_t far_ns(const struct link *l, const struct addr *dst)
{
	for (size_t i = 0; i < l->n_far; i++)
		if (prefix_contains(&l->far[i].net, dst))
			return l->far[i].delay_us * US;
	return 0;
}

static uint64_t delay_ns(
	const struct link *l, const struct link_flow *f, uint64_t what, const struct addr *dst)
{
	const struct link_way *w = &l->way;
	uint64_t d = w->delay_us * US + far_ns(l, dst), j = w->jitter_us * US;
	return j && j <= d ? d - j + draw_below(&l->key, what, f->n, DRAW_JITTER, 2 * j + 1) : d;
}

/* ---- a packet ---- */

static struct link_flow *flow_of(struct link *l, const struct draw_flow *key)
{
	struct link_flow *f = table_get(&l->flows, key);
	if (f)
		return f;
	if (l->flows.n >= LINK_FLOWS_MAX)
		link_forget(l);
	f = calloc(1, sizeof(*f));
	if (f && !table_put(&l->flows, key, f)) {
		free(f);
		return NULL;
	}
	return f;
}

static void note(const struct link *l, enum decision_kind kind, const struct draw_flow *key, uint64_t n,
	const char *why, uint64_t now_ns)
{
	if (l->log)
		decision_note(l->log, &(struct decision) { .at_ns = now_ns,
					      .object = l->name,
					      .why = why,
					      .kind = kind,
					      .flow = *key,
					      .n = n });
}

static void play_tricks(struct link *l, const struct link_flow *f, uint64_t what, const struct ip_view *v,
	struct link_fate *out, const struct draw_flow *key, uint64_t now_ns)
{
	const struct link_way *w = &l->way;
	size_t bits = ((size_t)v->total_len - v->l4_at) * BITS_PER_BYTE;
	if (draw_chance(&l->key, what, f->n, DRAW_REORDER, w->reorder)) {
		out->due_ns += (w->reorder_us ? w->reorder_us : REORDER_US) * US;
		note(l, DECISION_HELD, key, f->n, NULL, now_ns);
	}
	if (draw_chance(&l->key, what, f->n, DRAW_DUPLICATE, w->duplicate)) {
		out->twin_due_ns = out->due_ns + 1;
		note(l, DECISION_DOUBLED, key, f->n, NULL, now_ns);
	}
	if (bits && draw_chance(&l->key, what, f->n, DRAW_CORRUPT, w->corrupt)) {
		out->turned_bit = (int32_t)draw_below(&l->key, what, f->n, DRAW_CORRUPT_BIT, bits);
		note(l, DECISION_DAMAGED, key, f->n, NULL, now_ns);
	}
}

struct link_fate link_enter(struct link *l, const uint8_t *ip, const struct ip_view *v, uint64_t now_ns)
{
	const struct link_way *w = &l->way;
	struct link_fate out = { .end = LINK_DROPS, .turned_bit = -1 };
	struct draw_flow key = draw_flow_of(v);
	if (w->mtu && v->total_len > w->mtu && !w->dead) {
		out.end = LINK_IS_TOO_BIG;
		return out;
	}
	struct link_flow *f = flow_of(l, &key);
	if (!f) {
		out.why = "no memory for another flow of the link";
		return out;
	}
	f->n++;
	uint64_t what = draw_hash(&l->key, &key, sizeof(key)), left_ns;
	out.why = w->dead ? "the link carries nothing this way" : loss_of(l, f, what, ip, v);
	if (!out.why && !wait_for_rate(l, now_ns, v->total_len, &left_ns))
		out.why = "the link's queue is full";
	if (out.why) {
		note(l, DECISION_LOST, &key, f->n, out.why, now_ns);
		return out;
	}
	out.end = LINK_PASSES;
	out.due_ns = left_ns + delay_ns(l, f, what, &v->dst);
	if (out.due_ns <= f->last_due_ns)
		out.due_ns = f->last_due_ns + 1;
	f->last_due_ns = out.due_ns;
	play_tricks(l, f, what, v, &out, &key, now_ns);
	return out;
}

bool link_enter_other(struct link *l, uint64_t now_ns, uint64_t *due_ns)
{
	*due_ns = now_ns + l->way.delay_us * US;
	return !l->way.dead;
}
