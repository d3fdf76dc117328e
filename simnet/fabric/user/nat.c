#include "simnet/fabric/user/nat.h"

#include "mesh/base/wire.h"
#include "simnet/fabric/user/eth.h"
#include "simnet/fabric/user/nat_table.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What packets do to a NAT. Each entry first ends what has had its time, so that a mapping is never used a packet too
 * long. A packet that goes out looks for its session before its mapping: the answer to somebody who was let in leaves by
 * the mapping that let him in.
 *
 * A router without an input filter (accepts_wan) takes a stranger's packet for its own: it then talks with the stranger
 * from that port, and a mapping of an inside end with the same outside end cannot be used towards him. That is kept as a
 * mapping whose inside end is the outside end itself. */

enum {
	MORE_FRAGMENTS = 0x2000,
	FRAGMENT_OFFSET = 0x1fff,
	ICMP_ECHO = 8,
	ICMP_ECHO_REPLY = 0,
	ICMP6_ECHO = 128,
	FLOWS_LIFE_S = 120,
	OTHER_LIFE_S = 120,
	FLOWS_MAX = 16384
};
static const uint64_t second_ns = 1000000000;

static const char *const filter_reasons[] = {
	[NAT_EIF] = "wan: mapped, but not for this sender (endpoint-independent filtering)",
	[NAT_ADF] = "wan: mapped, but not for this sender (address-dependent filtering)",
	[NAT_APDF] = "wan: mapped, but not for this sender (address and port-dependent filtering)",
};
static_assert(ARRAY_LEN(filter_reasons) == NAT_FILTERINGS, "a filtering class has no words");

static struct nat_verdict say(enum nat_end end, const char *why)
{
	return (struct nat_verdict) { .end = end, .why = why };
}

bool nat_owns(const struct nat *n, const struct addr *a)
{
	for (uint32_t i = 0; i < n->m.pool; i++)
		if (addr_equal(a, &n->pool[i]))
			return true;
	return false;
}

static struct nat_verdict pass_to(const struct endpoint *inside)
{
	return (struct nat_verdict) { .end = NAT_PASSES, .inside = inside->ip };
}

/* ---- sessions in time ---- */

static uint32_t life_s(const struct nat *n, const struct nat_session *s)
{
	const struct nat_lifetimes *l = &n->m.lifetimes;
	switch (s->key.proto) {
	case IP_UDP:
		return s->state == NAT_NEW || (n->m.udp_stream_s && !s->is_stream) ? l->udp_new_s : l->udp_s;
	case IP_TCP:
		return s->state == NAT_NEW	 ? l->tcp_opening_s
		       : s->state == NAT_CLOSING ? l->tcp_closing_s
						 : l->tcp_s;
	case IP_ICMP: return l->icmp_s;
	default: return OTHER_LIFE_S;
	}
}

static bool refreshes(const struct nat *n, bool outward)
{
	return n->m.refresh == NAT_REFRESH_BOTH || (n->m.refresh == NAT_REFRESH_OUT) == outward;
}

static void advance(struct nat_session *s, bool outward, const struct ip_view *v)
{
	bool tcp = v->proto == IP_TCP && !v->later_fragment;
	if (tcp && (v->tcp_flags & TCP_SYN) && !(v->tcp_flags & TCP_ACK) && s->state == NAT_CLOSING)
		s->state = NAT_NEW;
	else if (s->state == NAT_NEW && outward != s->outward)
		s->state = NAT_ANSWERED;
	if (tcp && v->tcp_flags & (TCP_FIN | TCP_RST))
		s->state = NAT_CLOSING;
}

/* A packet of the session passed. The first counts whatever its direction. */
static void use(struct nat *n, struct nat_session *s, bool outward, const struct ip_view *v, uint64_t now_ns)
{
	if (!s->used_ns) {
		s->outward = outward;
		s->begun_ns = now_ns;
	}
	/* By then it was answered: the answer itself is not the packet that counts. */
	if (s->state == NAT_ANSWERED && now_ns - s->begun_ns > n->m.udp_stream_s * second_ns)
		s->is_stream = true;
	advance(s, outward, v);
	if (!s->used_ns || refreshes(n, outward))
		s->used_ns = now_ns;
	heap_set(&n->heap, &s->due, s->used_ns + life_s(n, s) * second_ns);
}

/* ---- which ends a packet has ---- */

static bool is_echo(const struct ip_view *v)
{
	return v->proto == IP_ICMP && (v->icmp_type == ICMP_ECHO || v->icmp_type == ICMP_ECHO_REPLY);
}

static bool has_ports(const struct ip_view *v)
{
	return v->proto == IP_UDP || v->proto == IP_TCP;
}

static struct endpoint source_of(const struct ip_view *v)
{
	return (struct endpoint) { .ip = v->src, .port = has_ports(v) || is_echo(v) ? v->sport : 0 };
}

static struct endpoint target_of(const struct ip_view *v)
{
	return (struct endpoint) { .ip = v->dst, .port = has_ports(v) || is_echo(v) ? v->dport : 0 };
}

/* The other side of an inside end: an echo's identifier is the inside's alone. */
static struct endpoint peer_of(const struct ip_view *v, const struct endpoint *e)
{
	return (struct endpoint) { .ip = e->ip, .port = has_ports(v) ? e->port : 0 };
}

/* ---- fragments ---- */

static uint16_t id_of(const uint8_t *ip)
{
	return (uint16_t)be_get(ip + 4, 2);
}

static struct draw_flow whole_of(const struct ip_view *v)
{
	return (struct draw_flow) { .proto = v->proto, .src = v->src, .dst = v->dst };
}

static void first_fragment_seen(
	struct nat *n, const uint8_t *ip, const struct ip_view *v, bool inward, const struct endpoint *to)
{
	if (!(be_get(ip + 6, 2) & MORE_FRAGMENTS))
		return;
	size_t i = n->next_fragment++ % ARRAY_LEN(n->fragments);
	n->fragments[i].used = true;
	n->fragments[i].flow = whole_of(v);
	n->fragments[i].id = id_of(ip);
	n->fragments[i].inward = inward;
	n->fragments[i].to = *to;
}

static struct nat_verdict later_fragment(struct nat *n, uint8_t *ip, const struct ip_view *v, bool inward)
{
	struct draw_flow whole = whole_of(v);

	for (size_t i = 0; i < ARRAY_LEN(n->fragments); i++) {
		if (!n->fragments[i].used || n->fragments[i].inward != inward ||
			n->fragments[i].id != id_of(ip) ||
			memcmp(&n->fragments[i].flow, &whole, sizeof(whole)) != 0)
			continue;
		eth_rewrite(ip, v, inward ? ETH_DST : ETH_SRC, &n->fragments[i].to);
		return pass_to(&n->fragments[i].to);
	}
	return n->m.fragments == NAT_FRAGMENTS_ANY
		       ? say(NAT_WAITS, NULL)
		       : say(NAT_DROPS, "a fragment came before the first of its packet");
}

/* ---- errors ---- */

static struct nat_session *session_outside(
	struct nat *n, uint8_t proto, const struct endpoint *outside, const struct endpoint *peer)
{
	for (struct nat_binding *m = nat_find_outside(n, proto, outside); m; m = m->same)
		for (struct nat_session *s = m->sessions; s; s = s->next)
			if (addr_equal(&s->key.peer, &peer->ip) && s->key.peer_port == peer->port)
				return s;
	return NULL;
}

static struct endpoint inside_of(const struct nat_session *s)
{
	return (struct endpoint) { .ip = s->key.ip, .port = s->key.port };
}

/* An error that comes from outside is about a packet of ours: its source is the outside end. */
static struct nat_verdict error_in(
	struct nat *n, uint8_t *ip, const struct ip_view *v, const struct ip_view *inner, uint16_t at)
{
	struct endpoint outside = source_of(inner), far = target_of(inner), peer = peer_of(inner, &far);
	struct nat_session *s = session_outside(n, inner->proto, &outside, &peer);
	if (!s || nat_owns(n, &s->key.ip))
		return say(NAT_IS_NONE, NULL);
	if (n->m.icmp_errors_lost)
		return say(NAT_DROPS, "the router drops ICMP errors");
	struct endpoint inside = inside_of(s), host = { .ip = inside.ip };
	eth_rewrite_inner(ip, v, at, ETH_SRC, &inside);
	eth_rewrite(ip, v, ETH_DST, &host);
	return pass_to(&inside);
}

/* One that goes out is about a packet that came in: its target is the inside end. */
static struct nat_verdict error_out(
	struct nat *n, uint8_t *ip, const struct ip_view *v, const struct ip_view *inner, uint16_t at)
{
	struct endpoint inside = target_of(inner), far = source_of(inner), peer = peer_of(inner, &far);
	struct nat_session *s = nat_find_session(n, inner->proto, &inside, &peer);
	if (!s)
		return say(NAT_DROPS, "an ICMP error about a packet without a mapping");
	if (n->m.icmp_errors_lost)
		return say(NAT_DROPS, "the router drops ICMP errors");
	struct endpoint host = { .ip = s->mapping->outside.ip };
	eth_rewrite_inner(ip, v, at, ETH_DST, &s->mapping->outside);
	eth_rewrite(ip, v, ETH_SRC, &host);
	return say(NAT_PASSES, NULL);
}

/* ---- out ---- */

static bool is_mid_connection(const struct ip_view *v)
{
	return v->proto == IP_TCP && !(v->tcp_flags & TCP_SYN);
}

/* A segment from inside of no connection that is known. */
static struct nat_verdict refuse_unknown(const struct nat *n)
{
	static const enum nat_end ends[] = {
		[NAT_UNKNOWN_LOOSE] = NAT_PASSES,
		[NAT_UNKNOWN_STRICT] = NAT_PROHIBITS,
		[NAT_UNKNOWN_RESET] = NAT_RESETS,
		[NAT_UNKNOWN_SILENT] = NAT_DROPS,
	};
	static_assert(ARRAY_LEN(ends) == NAT_UNKNOWNS, "a way with unknown TCP has no end");
	return say(ends[n->m.tcp_unknown], "a TCP segment of a connection that the router does not know");
}

static bool is_fragment(const uint8_t *ip)
{
	return be_get(ip + 6, 2) & (MORE_FRAGMENTS | FRAGMENT_OFFSET);
}

static void note_refusal(struct nat *n, const struct ip_view *v, const char *why, uint64_t now_ns)
{
	if (n->log)
		decision_note(n->log, &(struct decision) { .at_ns = now_ns,
					      .object = n->name,
					      .why = why,
					      .kind = DECISION_REFUSED,
					      .flow = draw_flow_of(v) });
}

/* about: NULL: an error says it itself. */
static struct nat_verdict send_out(
	struct nat *n, uint8_t *ip, const struct ip_view *v, const struct addr *about, uint64_t now_ns)
{
	struct ip_view inner;
	uint16_t at;
	const char *why = NULL;
	nat_tick(n, now_ns);
	if (n->m.fragments == NAT_FRAGMENTS_NONE && is_fragment(ip))
		return say(NAT_DROPS, "the router drops fragments");
	if (eth_read_error(ip, v, v->total_len, &inner, &at)) {
		inner.dst = about ? *about : inner.dst;
		return error_out(n, ip, v, &inner, at);
	}
	if (v->later_fragment)
		return later_fragment(n, ip, v, false);
	struct endpoint inside = source_of(v), far = target_of(v), peer = peer_of(v, &far);
	struct nat_session *s = nat_find_session(n, v->proto, &inside, &peer);
	if (!s && is_mid_connection(v) && n->m.tcp_unknown != NAT_UNKNOWN_LOOSE)
		return refuse_unknown(n);
	if (!s)
		s = nat_open_session(n, v->proto, &inside, &peer, now_ns, &why);
	if (!s) {
		note_refusal(n, v, why, now_ns);
		return say(NAT_DROPS, why);
	}
	use(n, s, true, v, now_ns);
	first_fragment_seen(n, ip, v, false, &s->mapping->outside);
	eth_rewrite(ip, v, ETH_SRC, &s->mapping->outside);
	return say(NAT_PASSES, NULL);
}

void nat_touch(struct nat *n, const struct ip_view *v, uint64_t now_ns)
{
	struct endpoint inside = source_of(v), far = target_of(v), peer = peer_of(v, &far);
	nat_tick(n, now_ns);
	struct nat_session *s = v->proto == IP_UDP && !v->later_fragment && nat_model_is_conntrack(&n->m)
					? nat_find_session(n, v->proto, &inside, &peer)
					: NULL;
	if (s)
		use(n, s, true, v, now_ns);
}

bool nat_knows(struct nat *n, const uint8_t *ip, const struct ip_view *v)
{
	struct ip_view inner;
	uint16_t at;
	bool error = eth_read_error(ip, v, v->total_len, &inner, &at);
	if (!error)
		inner = *v;
	struct endpoint inside = error ? target_of(&inner) : source_of(&inner),
			far = error ? source_of(&inner) : target_of(&inner), peer = peer_of(&inner, &far);
	return nat_find_session(n, inner.proto, &inside, &peer);
}

struct nat_verdict nat_out(struct nat *n, uint8_t *ip, const struct ip_view *v, uint64_t now_ns)
{
	return send_out(n, ip, v, NULL, now_ns);
}

static struct ip_view view_from(const struct ip_view *v, const struct addr *inside)
{
	struct ip_view six = *v;
	six.src = *inside;
	return six;
}

struct nat_verdict nat_out_six(struct nat *n, uint8_t *ip, const struct ip_view *v, const struct addr *inside,
	const struct addr *about, uint64_t now_ns)
{
	const struct ip_view six = view_from(v, inside);
	return send_out(n, ip, &six, about, now_ns);
}

/* ---- in ---- */

static bool knows_address(const struct nat_binding *m, const struct addr *a)
{
	for (const struct nat_session *s = m->sessions; s; s = s->next)
		if (addr_equal(&s->key.peer, a))
			return true;
	return false;
}

static bool is_own(const struct nat *n, const struct nat_binding *m)
{
	return nat_owns(n, &m->key.ip);
}

/* The mapping of this outside end that lets the peer in. *mapped: there is one, whether it does or not. */
static struct nat_binding *open_mapping(struct nat *n, const struct ip_view *v,
	const struct endpoint *outside, const struct endpoint *peer, bool *mapped)
{
	enum nat_filtering class = nat_filtering_class(n, v->proto);
	for (struct nat_binding *m = nat_find_outside(n, v->proto, outside); m; m = m->same) {
		if (is_own(n, m))
			continue;
		*mapped = true;
		if (class == NAT_EIF || (class == NAT_ADF && knows_address(m, &peer->ip)))
			return m;
	}
	return NULL;
}

static struct nat_session *forwarded(
	struct nat *n, const struct ip_view *v, const struct endpoint *peer, uint64_t now_ns)
{
	const char *why;
	for (size_t i = 0; i < n->m.n_forwards; i++) {
		const struct nat_forward *f = &n->m.forwards[i];
		struct endpoint inside = { .ip = f->ip, .port = f->to_port };
		if (f->proto == v->proto && f->port == v->dport)
			return nat_open_session(n, v->proto, &inside, peer, now_ns, &why);
	}
	return NULL;
}

/* Without an input filter the router itself now talks with him from there. */
static void occupy(struct nat *n, const struct ip_view *v, const struct endpoint *outside,
	const struct endpoint *peer, uint64_t now_ns)
{
	const char *why;
	struct nat_session *s = has_ports(v) ? nat_occupy(n, v->proto, outside, peer, now_ns, &why) : NULL;
	if (s)
		use(n, s, false, v, now_ns);
}

static struct nat_verdict pass_in(
	struct nat *n, struct nat_session *s, uint8_t *ip, const struct ip_view *v, uint64_t now_ns)
{
	struct endpoint inside = inside_of(s);
	use(n, s, false, v, now_ns);
	first_fragment_seen(n, ip, v, true, &inside);
	eth_rewrite(ip, v, ETH_DST, &inside);
	return pass_to(&inside);
}

struct nat_verdict nat_in_to(
	struct nat *n, uint8_t *ip, const struct ip_view *v, const struct endpoint *to, uint64_t now_ns)
{
	struct ip_view inner;
	uint16_t at;
	const char *why = NULL;
	bool mapped = false;
	nat_tick(n, now_ns);
	if (n->m.fragments == NAT_FRAGMENTS_NONE && is_fragment(ip))
		return say(NAT_DROPS, "the router drops fragments");
	if (eth_read_error(ip, v, v->total_len, &inner, &at))
		return error_in(n, ip, v, &inner, at);
	if (v->later_fragment)
		return later_fragment(n, ip, v, true);
	if (v->proto == IP_ICMP && v->icmp_type == ICMP_ECHO)
		return say(NAT_IS_NONE, NULL);
	struct endpoint outside = target_of(v), far = source_of(v), peer = peer_of(v, &far);
	struct nat_session *s = session_outside(n, v->proto, &outside, &peer);
	if (s && is_own(n, s->mapping)) {
		use(n, s, false, v, now_ns);
		return say(NAT_IS_NONE, NULL);
	}
	if (s)
		return pass_in(n, s, ip, v, now_ns);
	if (to && (s = nat_lead_session(n, v->proto, to, &outside, &peer, now_ns, &why)))
		return pass_in(n, s, ip, v, now_ns);
	struct nat_binding *m = open_mapping(n, v, &outside, &peer, &mapped);
	if (m && (!is_mid_connection(v) || n->m.tcp_unknown == NAT_UNKNOWN_LOOSE)) {
		if (!(s = nat_join_session(n, m, &peer, now_ns, &why)))
			return say(NAT_DROPS, why);
		return pass_in(n, s, ip, v, now_ns);
	}
	if ((s = forwarded(n, v, &peer, now_ns)))
		return pass_in(n, s, ip, v, now_ns);
	if (n->m.accepts_wan) {
		occupy(n, v, &outside, &peer, now_ns);
		return say(NAT_IS_NONE, NULL);
	}
	if (is_mid_connection(v) && n->m.tcp_unknown == NAT_UNKNOWN_RESET)
		return say(NAT_RESETS, "wan: TCP without a mapping is reset");
	return mapped ? say(NAT_DROPS, filter_reasons[nat_filtering_class(n, v->proto)])
		      : say(NAT_IS_NONE, NULL);
}

struct nat_verdict nat_in(struct nat *n, uint8_t *ip, const struct ip_view *v, uint64_t now_ns)
{
	return nat_in_to(n, ip, v, NULL, now_ns);
}

/* ---- hairpin ---- */

/* Who has the outside end, if `from` may come in. */
static struct nat_session *hairpin_target(struct nat *n, const struct ip_view *v,
	const struct endpoint *outside, const struct endpoint *from, uint64_t now_ns, const char **why)
{
	bool mapped = false;
	struct nat_session *s = session_outside(n, v->proto, outside, from);
	if (s && !is_own(n, s->mapping))
		return s;
	struct nat_binding *m = n->m.hairpin_filters ? open_mapping(n, v, outside, from, &mapped)
						     : nat_find_outside(n, v->proto, outside);
	*why = mapped ? filter_reasons[nat_filtering_class(n, v->proto)]
		      : "lan: hairpin to a port without a mapping";
	if (!m || is_own(n, m))
		return forwarded(n, v, from, now_ns);
	return nat_join_session(n, m, from, now_ns, why);
}

struct nat_verdict nat_hairpin(struct nat *n, uint8_t *ip, const struct ip_view *v, uint64_t now_ns)
{
	const char *why = NULL;
	nat_tick(n, now_ns);
	if (!has_ports(v))
		return say(NAT_IS_NONE, NULL);
	if (n->m.hairpin == NAT_HAIRPIN_OFF)
		return say(NAT_DROPS, "lan: the router does not hairpin");
	if (v->later_fragment)
		return say(NAT_DROPS, "lan: a fragment does not hairpin");
	struct endpoint inside = source_of(v), outside = target_of(v), from = inside;
	struct nat_session *own = NULL;
	if (n->m.hairpin == NAT_HAIRPIN_EXTERNAL) {
		own = nat_open_session(n, v->proto, &inside, &outside, now_ns, &why);
		if (!own) {
			note_refusal(n, v, why, now_ns);
			return say(NAT_DROPS, why);
		}
		use(n, own, true, v, now_ns);
		from = own->mapping->outside;
	}
	struct nat_session *s = hairpin_target(n, v, &outside, &from, now_ns, &why);
	if (!s)
		return say(NAT_DROPS, why);
	use(n, s, false, v, now_ns);
	struct endpoint to = inside_of(s);
	eth_rewrite(ip, v, ETH_DST, &to);
	if (own)
		eth_rewrite(ip, v, ETH_SRC, &from);
	return pass_to(&to);
}

struct nat_verdict nat_hairpin_six(
	struct nat *n, uint8_t *ip, const struct ip_view *v, const struct addr *inside, uint64_t now_ns)
{
	const struct ip_view six = view_from(v, inside);
	if (n->m.hairpin == NAT_HAIRPIN_INTERNAL)
		return say(NAT_DROPS, "lan: a hairpin that keeps the source, which is IPv6");
	return nat_hairpin(n, ip, &six, now_ns);
}

/* ---- IPv6 ---- */

struct flow_seen {
	uint64_t until_ns;
};

void nat_flows_init(struct nat_flows *f)
{
	table_init(&f->flows, sizeof(struct draw_flow), 0);
}

void nat_flows_fini(struct nat_flows *f)
{
	size_t at = 0;
	for (void *p; (p = table_next(&f->flows, &at));)
		free(p);
	table_fini(&f->flows);
}

static struct draw_flow flow_turned(const struct ip_view *v)
{
	return (struct draw_flow) {
		.proto = v->proto, .sport = v->dport, .dport = v->sport, .src = v->dst, .dst = v->src
	};
}

static bool remember_flow(struct nat_flows *f, const struct draw_flow *key, uint64_t now_ns)
{
	struct flow_seen *seen = table_get(&f->flows, key);
	if (!seen && f->flows.n >= FLOWS_MAX) {
		nat_flows_fini(f);
		nat_flows_init(f);
	}
	if (!seen && (seen = calloc(1, sizeof(*seen))) && !table_put(&f->flows, key, seen)) {
		free(seen);
		seen = NULL;
	}
	if (seen)
		seen->until_ns = now_ns + FLOWS_LIFE_S * second_ns;
	return seen;
}

bool nat_flows_pass(struct nat_flows *f, const struct ip_view *v, bool inward, uint64_t now_ns)
{
	struct draw_flow key = inward ? flow_turned(v) : draw_flow_of(v);
	if (v->proto == IP_ICMP6 && v->icmp_type >= 1 && v->icmp_type <= 4)
		return true;
	if (inward && v->proto == IP_ICMP6 && v->icmp_type == ICMP6_ECHO)
		return false; /* a question is no answer, whatever its number */
	if (v->later_fragment)
		return true; /* nothing can be made of it without its first */
	if (!inward)
		return remember_flow(f, &key, now_ns);
	struct flow_seen *seen = table_get(&f->flows, &key);
	if (!seen || seen->until_ns <= now_ns)
		return false;
	seen->until_ns = now_ns + FLOWS_LIFE_S * second_ns;
	return true;
}
