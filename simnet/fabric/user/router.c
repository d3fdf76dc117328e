#include "simnet/fabric/user/router.h"

#include "mesh/base/ip_translate.h"
#include "mesh/base/wire.h"
#include "simnet/fabric/user/neighbours.h"
#include "simnet/fabric/user/share.h"
#include "simnet/fabric/user/translate.h"
#include <stdlib.h>
#include <string.h>

/* A frame for us: whose neighbour it shows, then ARP and neighbour discovery, then IP. An IP packet goes, in this order:
 * cut UDP; the NAT (from outside: who may send to a mapping; from inside to our outer address: the hairpin); our own
 * addresses; the next hop by the longest prefix; one hop less; the NAT's source on the way out to the WAN.
 *
 * A packet to a neighbour that is not known waits for the answer to a request, NEIGHBOURS_PENDING at most in the whole router,
 * the oldest makes room. Neighbours are learnt from every frame whose source is on link. */

enum { WAITING_MAX = 16, MORE_FRAGMENTS = 0x2000 };

struct waiting {
	bool used;
	enum router_side side;
	struct frame frame;
};
struct router {
	struct router_config c;
	struct router_ops ops;
	void *owner;
	struct router_way *ways;
	struct neighbours neighbours;
	struct waiting waiting[WAITING_MAX];
	unsigned next_waiting;
	const char *udp_blocked;
	struct nat *nat;
	struct firewall *firewall; /* NULL: none */
	bool lifted;
	struct router_maps maps;
	struct nat_flows v6; /* what the IPv6 firewall lets in */
	struct frame work, answer;
};

/* ---- life ---- */

struct router *router_new(const struct router_config *c, const struct router_ops *ops, void *owner)
{
	struct router *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	*r = (struct router) { .c = *c, .ops = *ops, .owner = owner };
	neighbours_init(&r->neighbours);
	nat_flows_init(&r->v6);
	r->ways = calloc(c->n_ways + 1, sizeof(*r->ways));
	r->nat = c->nat ? nat_new(c->nat) : NULL;
	r->firewall = c->firewall ? firewall_new(c->firewall) : NULL;
	if (!r->ways || (c->nat && !r->nat) || (c->firewall && !r->firewall)) {
		router_free(r);
		return NULL;
	}
	if (c->n_ways)
		memcpy(r->ways, c->ways, c->n_ways * sizeof(*r->ways));
	r->c.ways = r->ways;
	r->c.nat = NULL;
	return r;
}

void router_free(struct router *r)
{
	if (!r)
		return;
	neighbours_fini(&r->neighbours);
	nat_free(r->nat);
	firewall_free(r->firewall);
	nat_flows_fini(&r->v6);
	free(r->ways);
	free(r);
}

bool router_set_ways(struct router *r, const struct router_way *ways, size_t n_ways)
{
	struct router_way *copy = calloc(n_ways + 1, sizeof(*copy));

	if (!copy)
		return false;
	memcpy(copy, ways, n_ways * sizeof(*copy));
	free(r->ways);
	r->c.ways = r->ways = copy;
	r->c.n_ways = n_ways;
	return true;
}

static void forget_flows(struct router *r)
{
	firewall_forget(r->firewall);
	nat_flows_fini(&r->v6);
	nat_flows_init(&r->v6);
}

void router_forget(struct router *r, bool reborn, uint64_t now_ns)
{
	forget_flows(r);
	if (r->nat)
		nat_forget(r->nat, reborn, now_ns);
}

void router_become(struct router *r, const struct nat_model *m, uint64_t now_ns)
{
	forget_flows(r);
	nat_become(r->nat, m, now_ns);
}

bool router_move(struct router *r, const struct router_foot *wan, const struct router_way *ways,
	size_t n_ways, uint64_t now_ns)
{
	const struct mac mac = r->c.feet[ROUTER_WAN].mac;

	if (!router_set_ways(r, ways, n_ways))
		return false;
	r->c.feet[ROUTER_WAN] = *wan;
	r->c.feet[ROUTER_WAN].mac = mac;
	neighbours_forget(&r->neighbours, ROUTER_WAN);
	forget_flows(r);
	if (r->nat)
		nat_move(r->nat, &wan->v4, now_ns);
	return true;
}

struct nat *router_nat(struct router *r)
{
	return r->nat;
}

bool router_set_firewall(struct router *r, const struct firewall_lines *l)
{
	if (r->firewall)
		firewall_become(r->firewall, l);
	return r->firewall;
}

void router_set_nptv6(struct router *r, const struct nptv6 *n)
{
	r->c.nptv6 = *n;
}

void router_set_maps(struct router *r, const struct router_maps *m)
{
	r->maps.n = m->n < ROUTER_MAPS_MAX ? m->n : ROUTER_MAPS_MAX;
	memcpy(r->maps.v, m->v, r->maps.n * sizeof(m->v[0]));
}

void router_lift_firewall(struct router *r, bool lifted)
{
	r->lifted = lifted;
}

void router_block_udp(struct router *r, const char *why)
{
	r->udp_blocked = why;
}

/* ---- neighbours ---- */

bool router_add_neighbour(
	struct router *r, enum router_side side, const struct addr *who, const struct mac *mac)
{
	return neighbours_put(&r->neighbours, side, who, mac);
}

static void release_pending(
	struct router *r, enum router_side side, const struct addr *who, const struct mac *mac)
{
	for (struct frame *f; (f = neighbours_take(&r->neighbours, side, who));) {
		memcpy(f->b, mac->b, sizeof(mac->b));
		r->ops.send(r->owner, side, f);
	}
}

static bool is_own(const struct router *r, enum router_side side, const struct addr *a)
{
	const struct router_foot *f = &r->c.feet[side];
	return addr_equal(a, &f->v4) || (!addr_is_unspecified(&f->v6) && addr_equal(a, &f->v6));
}

static bool is_on_link(const struct router *r, enum router_side side, const struct addr *a)
{
	const struct router_foot *f = &r->c.feet[side];
	return prefix_contains(&f->net4, a) ||
	       (!addr_is_unspecified(&f->v6) && prefix_contains(&f->net6, a)) || addr_is_link_local(a);
}

static void neighbour_seen(
	struct router *r, enum router_side side, const struct addr *who, const struct mac *mac)
{
	if (addr_is_unspecified(who) || !is_on_link(r, side, who) || is_own(r, side, who))
		return;
	(void)router_add_neighbour(r, side, who, mac); /* full: the next frame to it asks */
	release_pending(r, side, who, mac);
}

static void send_to(struct router *r, enum router_side side, const struct addr *next, struct frame *f)
{
	const struct router_foot *foot = &r->c.feet[side];
	const struct mac *mac = neighbours_find(&r->neighbours, side, next);
	static const struct mac unknown = { { 0 } };
	bool v4 = addr_is_v4(next);
	eth_set_ethernet(f, &foot->mac, mac ? mac : &unknown, v4 ? ETH_TYPE_V4 : ETH_TYPE_V6);
	if (mac) {
		r->ops.send(r->owner, side, f);
		return;
	}
	neighbours_wait(&r->neighbours, side, next, f);
	eth_write_request(&r->answer, next, v4 ? &foot->v4 : &foot->v6, &foot->mac);
	r->ops.send(r->owner, side, &r->answer);
}

/* ---- where to ---- */

static const struct router_way *find_way(const struct router *r, const struct addr *dst)
{
	const struct router_way *best = NULL;
	for (size_t i = 0; i < r->c.n_ways; i++) {
		const struct router_way *w = &r->ways[i];
		if (addr_is_v4(&w->dst.ip) == addr_is_v4(dst) && prefix_contains(&w->dst, dst) &&
			(!best || w->dst.bits > best->dst.bits))
			best = w;
	}
	return best;
}

static void route_frame(struct router *r, struct frame *f, const struct addr *dst)
{
	const struct router_way *w = find_way(r, dst);
	if (w)
		send_to(r, w->side, addr_is_unspecified(&w->via) ? dst : &w->via, f);
}

/* ---- packets ---- */

struct passage { /* one packet on its way through */
	struct router *r;
	enum router_side side;	/* where it came in */
	const struct frame *in; /* as it came */
	struct frame *f;
	struct eth_view v;
	uint64_t now_ns;
};

static uint8_t *ip_of(struct passage *p)
{
	return p->f->b + ETH_HEADER;
}

static void drop(struct passage *p, const char *why)
{
	p->r->ops.dropped(p->r->owner, why, &p->v.ip);
}

/* The packet was rewritten: what it says now. */
static bool reread(struct passage *p)
{
	return eth_read(p->f->b, p->f->len, &p->v) && p->v.is_ip;
}

static void send_error_mtu(struct passage *p, enum eth_error e, uint16_t mtu)
{
	struct router *r = p->r;
	const struct router_foot *f = &r->c.feet[p->side];
	const struct addr *from = p->v.ip.version == 4 ? &f->v4 : &f->v6;
	if (eth_write_error(&r->answer, e, mtu, from, ip_of(p), &p->v.ip, p->v.ip_len)) {
		struct addr to = p->v.ip.src;
		memcpy(&r->work, &r->answer, offsetof(struct frame, b) + r->answer.len);
		route_frame(r, &r->work, &to);
	}
}

static void send_error(struct passage *p, enum eth_error e)
{
	send_error_mtu(p, e, 0);
}

/* The router itself is meant. */
static void answer(struct passage *p)
{
	struct router *r = p->r;
	struct addr to = p->v.ip.src;
	if (p->side == ROUTER_WAN && r->nat && !nat_model_of(r->nat)->accepts_wan) {
		drop(p, "wan: unsolicited, no mapping");
		return;
	}
	if (p->v.ip.proto == IP_UDP) {
		send_error(p, ETH_UNREACHABLE_PORT);
		return;
	}
	if (eth_write_echo(&r->answer, ip_of(p), &p->v.ip, p->v.ip_len) ||
		eth_write_reset(&r->answer, ip_of(p), &p->v.ip, p->v.ip_len)) {
		memcpy(&r->work, &r->answer, offsetof(struct frame, b) + r->answer.len);
		route_frame(r, &r->work, &to);
	}
}

/* ---- fragments that came before the first of their packet ---- */

static void keep_fragment(struct passage *p)
{
	struct router *r = p->r;
	struct waiting *w = &r->waiting[r->next_waiting++ % WAITING_MAX];
	w->used = true;
	w->side = p->side;
	w->frame.len = p->f->len;
	memcpy(w->frame.b, p->f->b, p->f->len);
}

static bool is_one_packet(const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a + 4, b + 4, 2) && a[9] == b[9] && !memcmp(a + 12, b + 12, 8);
}

/* first: as it came in. */
static void release_fragments(struct router *r, enum router_side side, const uint8_t *first, uint64_t now_ns)
{
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &r->waiting[i];
		if (!w->used || w->side != side || !is_one_packet(w->frame.b + ETH_HEADER, first))
			continue;
		w->used = false;
		struct frame f = w->frame;
		router_received(r, side, &f, now_ns);
	}
}

static void send_reset(struct passage *p)
{
	struct router *r = p->r;
	struct addr to = p->v.ip.src;
	if (!eth_write_reset(&r->answer, ip_of(p), &p->v.ip, p->v.ip_len))
		return;
	memcpy(&r->work, &r->answer, offsetof(struct frame, b) + r->answer.len);
	route_frame(r, &r->work, &to);
}

/* What the NAT has said of a packet. true: it goes on. */
static bool heed(struct passage *p, const struct nat_verdict *v)
{
	switch (v->end) {
	case NAT_PASSES: return reread(p);
	case NAT_DROPS: drop(p, v->why); return false;
	case NAT_RESETS:
		drop(p, v->why);
		send_reset(p);
		return false;
	case NAT_PROHIBITS:
		drop(p, v->why);
		send_error(p, ETH_PROHIBITED);
		return false;
	case NAT_WAITS: keep_fragment(p); return false;
	case NAT_IS_NONE: return true;
	}
	return false;
}

/* The packet is again as its sender has sent it. */
static bool restore(struct passage *p)
{
	if (!eth_read(p->in->b, p->in->len, &p->v) || !p->v.is_ip)
		return false;
	p->f->len = (uint16_t)(ETH_HEADER + p->v.ip_len);
	memcpy(p->f->b, p->in->b, p->f->len);
	return true;
}

/* The sender is told. */
static void reject(struct passage *p)
{
	if (!restore(p))
		return;
	if (p->v.ip.proto == IP_TCP)
		send_reset(p);
	else
		send_error(p, ETH_UNREACHABLE_PORT);
}

/* Of the packet as he knows it. */
static void tell_sender(struct passage *p, enum eth_error e)
{
	if (restore(p))
		send_error(p, e);
}

static bool is_let_through(struct passage *p, enum router_side to)
{
	struct router *r = p->r;
	const char *why = NULL;
	if (!r->firewall || r->lifted || p->side == to)
		return true;
	enum firewall_verdict v = firewall_ask(r->firewall, &p->v.ip, to == ROUTER_LAN, p->now_ns, &why);
	if (v == FIREWALL_ACCEPT)
		return true;
	drop(p, why);
	if (v == FIREWALL_REJECT)
		reject(p);
	return false;
}

/* The packet goes elsewhere, or is the answer to one that did. */
static bool divert(struct passage *p, enum router_side to)
{
	struct router *r = p->r;
	struct endpoint other;
	bool out = to == ROUTER_WAN;
	if (!r->firewall || r->lifted || p->side == to || p->v.ip.version != 4 ||
		!(out ? firewall_redirect(r->firewall, &p->v.ip, p->now_ns, &other)
		      : firewall_redirected(r->firewall, &p->v.ip, &other)))
		return false;
	eth_rewrite(ip_of(p), &p->v.ip, out ? ETH_DST : ETH_SRC, &other);
	return reread(p);
}

static void forward(struct passage *p)
{
	struct router *r = p->r;
	const struct router_way *w = find_way(r, &p->v.ip.dst);
	if (w && w->side == ROUTER_WAN && divert(p, ROUTER_WAN))
		w = find_way(r, &p->v.ip.dst);
	if (!w || (w->side == ROUTER_WAN && p->side == ROUTER_WAN && r->nat)) {
		tell_sender(p, ETH_UNREACHABLE_NET);
		return;
	}
	if (ip_of(p)[p->v.ip.version == 4 ? 8 : 7] <= 1) {
		if (r->nat && p->v.ip.version == 4 && w->side == ROUTER_WAN)
			nat_touch(r->nat, &p->v.ip, p->now_ns);
		tell_sender(p, ETH_TIME_EXCEEDED);
		return;
	}
	if (!is_let_through(p, w->side))
		return;
	struct addr next = addr_is_unspecified(&w->via) ? p->v.ip.dst : w->via;
	if (r->nat && p->v.ip.version == 4 && w->side == ROUTER_WAN) {
		struct nat_verdict v = nat_out(r->nat, ip_of(p), &p->v.ip, p->now_ns);
		if (!heed(p, &v))
			return;
	}
	if (p->v.ip.version == 6 && w->side == ROUTER_WAN)
		translate_prefix(&r->c.nptv6, ip_of(p), &p->v.ip, ETH_SRC);
	if (w->side == ROUTER_LAN)
		(void)divert(p, ROUTER_LAN);
	(void)eth_hop(ip_of(p), &p->v.ip);
	send_to(r, w->side, &next, p->f);
}

/* ---- NAT64 ---- */

/* What comes back from the NAT for a host of the inside, which has IPv6. */
static void four_to_six(struct passage *p, const struct addr *inside)
{
	struct router *r = p->r;
	if (ip_of(p)[8] <= 1) {
		tell_sender(p, ETH_TIME_EXCEEDED);
		return;
	}
	if (p->v.ip_len + IP_TRANSLATE_GROWS > ETH_IP_MAX) {
		if (restore(p))
			send_error_mtu(p, ETH_TOO_BIG, ETH_IP_MAX - IP_TRANSLATE_GROWS);
		return;
	}
	if (!translate_in(&r->c.nat64, p->f, &p->v.ip, inside)) {
		drop(p, "nat64: IPv6 has no form for it");
		return;
	}
	if (reread(p))
		forward(p);
}

/* Through the NAT and to where it is for; from is who has sent it. */
static void leave_as_four(struct passage *p, const struct addr *from, const struct addr *about)
{
	struct router *r = p->r;
	bool back = nat_owns(r->nat, &p->v.ip.dst), error = !addr_is_unspecified(about);
	const struct router_way *w = find_way(r, &p->v.ip.dst);
	if (!w || (w->side == ROUTER_LAN && !back)) {
		tell_sender(p, ETH_UNREACHABLE_NET);
		return;
	}
	struct nat_verdict v =
		back ? nat_hairpin_six(r->nat, ip_of(p), &p->v.ip, from, p->now_ns)
		     : nat_out_six(r->nat, ip_of(p), &p->v.ip, from, error ? about : NULL, p->now_ns);
	if (v.end != NAT_PASSES) {
		if (restore(p) && heed(p, &v))
			drop(p, "nat64: the router itself has no IPv4 for IPv6");
		return;
	}
	if (!reread(p))
		return;
	if (back && !addr_is_v4(&v.inside)) {
		four_to_six(p, &v.inside);
		return;
	}
	w = find_way(r, &p->v.ip.dst);
	if (!w)
		return;
	struct addr next = addr_is_unspecified(&w->via) ? p->v.ip.dst : w->via;
	(void)eth_hop(ip_of(p), &p->v.ip);
	send_to(r, w->side, &next, p->f);
}

static void six_to_four(struct passage *p)
{
	struct router *r = p->r;
	const struct addr from = p->v.ip.src;
	struct addr about;
	if (ip_of(p)[7] <= 1) {
		send_error(p, ETH_TIME_EXCEEDED);
		return;
	}
	if (!is_let_through(p, ROUTER_WAN))
		return;
	if (!translate_out(&r->c.nat64, p->f, &p->v.ip, &about)) {
		drop(p, "nat64: IPv4 has no form for it");
		return;
	}
	if (reread(p))
		leave_as_four(p, &from, &about);
}

/* The guard of the inside is one against new flows, as Linux routers have it: what can only be an answer passes. */
static bool begins_flow(const struct ip_view *v)
{
	return v->proto != IP_ICMP || v->icmp_type == 8 || v->icmp_type > 12;
}

static bool is_peer(const struct ip_view *v, const struct endpoint *peer)
{
	return (addr_is_unspecified(&peer->ip) || addr_equal(&v->src, &peer->ip)) &&
	       (!peer->port || v->sport == peer->port);
}

/* The port that it comes for, if somebody has asked for that. */
static const struct router_map *map_of(const struct passage *p)
{
	const struct ip_view *v = &p->v.ip;
	const struct addr *wan = &p->r->c.feet[ROUTER_WAN].v4;

	for (size_t i = 0; i < p->r->maps.n && p->side == ROUTER_WAN && !v->later_fragment; i++) {
		const struct router_map *m = &p->r->maps.v[i];
		bool four = addr_is_v4(&m->inner.ip);
		if (m->proto == v->proto && (four ? m->outer : m->inner.port) == v->dport &&
			addr_equal(&v->dst, four ? wan : &m->inner.ip) && is_peer(v, &m->peer))
			return m;
	}
	return NULL;
}

static void v4_received(struct passage *p)
{
	struct router *r = p->r;
	const struct addr *dst = &p->v.ip.dst, *wan = &r->c.feet[ROUTER_WAN].v4;
	const struct router_map *m = map_of(p);
	bool to_wan = r->nat ? nat_owns(r->nat, dst) : addr_equal(dst, wan);
	if (r->nat && to_wan) {
		struct nat_verdict v =
			p->side == ROUTER_WAN
				? nat_in_to(r->nat, ip_of(p), &p->v.ip, m ? &m->inner : NULL, p->now_ns)
				: nat_hairpin(r->nat, ip_of(p), &p->v.ip, p->now_ns);
		if (!heed(p, &v))
			return;
		if (v.end == NAT_PASSES && !addr_is_v4(&v.inside)) {
			four_to_six(p, &v.inside);
			return;
		}
		if (v.end == NAT_PASSES) {
			forward(p);
			return;
		}
	}
	if (to_wan || addr_equal(dst, &r->c.feet[ROUTER_LAN].v4))
		answer(p);
	else if (r->nat && p->side == ROUTER_WAN && begins_flow(&p->v.ip))
		drop(p, "wan: an inside address, reached for from outside");
	else
		forward(p);
}

/* By the prefixes that a router with NPTv6 exchanges: what comes for the outer one is for the inner one, from inside too, as
 * RFC 6296 4.5 has it. false: it has ended here. */
static bool enter_prefix(struct passage *p)
{
	const struct nptv6 *n = &p->r->c.nptv6;
	if (p->side == ROUTER_WAN && nptv6_is_inside(n, &p->v.ip.dst)) {
		drop(p, "wan: an inside address, reached for from outside");
		return false;
	}
	if (!nptv6_is_outside(n, &p->v.ip.dst))
		return true;
	translate_prefix(n, ip_of(p), &p->v.ip, ETH_DST);
	if (p->side == ROUTER_LAN)
		translate_prefix(n, ip_of(p), &p->v.ip, ETH_SRC);
	return reread(p);
}

static void v6_received(struct passage *p)
{
	struct router *r = p->r;
	if (addr_is_link_local(&p->v.ip.dst) || addr_is_link_local(&p->v.ip.src))
		return;
	if (is_own(r, ROUTER_WAN, &p->v.ip.dst) || is_own(r, ROUTER_LAN, &p->v.ip.dst)) {
		answer(p);
		return;
	}
	bool inward = p->side == ROUTER_WAN, back = !inward && nptv6_is_outside(&r->c.nptv6, &p->v.ip.dst);
	struct addr four;
	if (!inward && r->nat && nat64_extract(&r->c.nat64, &p->v.ip.dst, &four)) {
		six_to_four(p);
		return;
	}
	if (!enter_prefix(p))
		return;
	if (r->c.v6_firewall && !back && !map_of(p) && !nat_flows_pass(&r->v6, &p->v.ip, inward, p->now_ns)) {
		drop(p, "wan: unsolicited, the IPv6 firewall lets only answers in");
		return;
	}
	forward(p);
}

static void ip_received(struct passage *p)
{
	struct router *r = p->r;
	if (addr_is_multicast(&p->v.ip.dst) || addr_equal(&p->v.ip.dst, &(struct addr) { { 0 } }))
		return;
	if (r->udp_blocked && p->v.ip.proto == IP_UDP) {
		drop(p, r->udp_blocked);
		return;
	}
	if (p->v.ip.version == 4)
		v4_received(p);
	else if (!addr_is_unspecified(&r->c.feet[p->side].v6))
		v6_received(p);
}

enum router_share router_share(const struct router *r, const struct frame *f)
{
	return share_of(&r->c.feet[ROUTER_LAN], r->udp_blocked, f);
}

void router_received(struct router *r, enum router_side side, const struct frame *f, uint64_t now_ns)
{
	struct passage p = { .r = r, .side = side, .in = f, .f = &r->work, .now_ns = now_ns };
	struct eth_neighbour n;
	const struct router_foot *foot = &r->c.feet[side];
	if (!eth_read(f->b, f->len, &p.v))
		return;
	if (!mac_equal(&p.v.dst, &foot->mac) && !(p.v.dst.b[0] & 1))
		return; /* flooded by a bridge that does not know yet */
	if (eth_read_neighbour(f->b, f->len, &p.v, &n)) {
		neighbour_seen(r, side, n.request ? &n.sender : &n.who, &n.mac);
		bool of_pool = side == ROUTER_WAN && r->nat && nat_owns(r->nat, &n.who);
		if (n.request && (is_own(r, side, &n.who) || of_pool)) {
			eth_write_answer(&r->answer, &n, &foot->mac);
			r->ops.send(r->owner, side, &r->answer);
		}
		return;
	}
	if (!p.v.is_ip || p.v.dst.b[0] & 1)
		return;
	neighbour_seen(r, side, &p.v.ip.src, &p.v.src);
	r->work.len = (uint16_t)(ETH_HEADER + p.v.ip_len); /* without padding */
	memcpy(r->work.b, f->b, r->work.len);
	bool first = p.v.ip.version == 4 && !p.v.ip.later_fragment &&
		     be_get(f->b + ETH_HEADER + 6, 2) & MORE_FRAGMENTS;
	ip_received(&p);
	if (first && r->nat)
		release_fragments(r, side, f->b + ETH_HEADER, now_ns);
}
