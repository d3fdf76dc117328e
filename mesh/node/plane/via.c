/* In: the peer's IPv6 address becomes its IPv4 one, so that rules, address translation and logs of this machine see who it
 * is, and the address behind the site becomes what it holds. Out: an answer looks like that of any IPv4 network, so what
 * tells the two apart is the flow that the way in has left; one that nobody remembers is no packet of such a network.
 * A peer that speaks to one host by both ways from the same port at once gets all answers by this one.
 *
 * Flows: FLOWS_MAX of all peers together, in sets of WAYS picked by a keyed hash. Who needs a place in a full set takes
 * the oldest of its own, or that of all where it has none.
 *
 * An answer grows by the longer header. What would not fit a link of IPv6 is told to its sender as too big, if it may not
 * be cut, and cut else (RFC 7915 4); TCP keeps below by itself, since both ends have heard each other's segment size.
 *
 * Fragments stay fragments. Of an answer only the first says whose it is, so that the others follow it: PIECES_MAX datagrams
 * of all peers at once, the oldest gives way. */
#include "mesh/node/plane/via.h"
#include "mesh/base/ip_translate.h"
#include "mesh/base/table.h"
#include "mesh/base/via6.h"
#include "mesh/base/wire.h"
#include <stdlib.h>
#include <string.h>

enum {
	WAYS = 4,
	SETS = 1024,
	IDLE_MS = 600000,
	IDLE_TCP_MS = 7440000, /* RFC 5382: two hours and four minutes */
	PIECES_MAX = 64,
	PIECE_MS = 10000,
	HEAD4 = 20,
	HEAD6 = 40,
	MORE_PIECES = 0x2000,
	PIECE_BITS = 0x3fff,
	PIECE_ID_AT = 4,
	ICMP_HEAD = 8,
	DONT_FRAGMENT_AT = 6,
	DONT_FRAGMENT = 0x40
};

struct tuple { /* as an answer carries it; no padding: it is compared as bytes */
	uint32_t host, peer;
	uint16_t sport, dport;
	uint32_t proto;
};
struct flow {
	struct tuple tuple;
	struct addr peer6;
	uint32_t site;
	uint64_t seen_ms; /* 0: free */
	int64_t owner;
};
struct piece_of { /* a datagram whose first fragment went by */
	uint32_t host, peer, site;
	uint16_t id;
	uint8_t proto;
	struct addr peer6;
	uint64_t seen_ms; /* 0: free */
};
struct pieces {
	struct piece_of v[PIECES_MAX];
	size_t next;
	struct pkt rest; /* of the last packet that was cut; without length: of none */
};
struct via {
	uint64_t seed;
	struct flow (*flows)[WAYS]; /* NULL until the first packet, as the next */
	struct pieces *pieces;
	uint32_t last_id; /* of fragments that are made here, and of what others may cut */
};

struct via *via_new(uint64_t seed)
{
	struct via *t = calloc(1, sizeof(*t));
	if (t) {
		t->seed = seed;
		t->last_id = (uint32_t)seed;
	}
	return t;
}

void via_free(struct via *t)
{
	if (t) {
		free(t->flows);
		free(t->pieces);
	}
	free(t);
}

bool via_in_use(const struct via *t)
{
	return t->flows;
}

/* --- flows --- */

static struct flow *set_of(struct via *t, const struct tuple *k)
{
	return t->flows[hash_bytes(k, sizeof(*k), t->seed, ~t->seed) % SETS];
}

static bool is_live(const struct flow *f, uint64_t now_ms)
{
	return f->seen_ms && now_ms - f->seen_ms < (f->tuple.proto == IP_TCP ? IDLE_TCP_MS : IDLE_MS);
}

static struct flow *flow_find(struct via *t, uint64_t now_ms, const struct tuple *k)
{
	struct flow *set = set_of(t, k);
	for (int i = 0; i < WAYS; i++)
		if (is_live(&set[i], now_ms) && memcmp(&set[i].tuple, k, sizeof(*k)) == 0)
			return &set[i];
	return NULL;
}

static struct flow *victim(struct flow *set, uint64_t now_ms, int64_t owner)
{
	struct flow *oldest = NULL, *own = NULL;
	for (int i = 0; i < WAYS; i++) {
		struct flow *f = &set[i];
		if (!is_live(f, now_ms))
			return f;
		if (!oldest || f->seen_ms < oldest->seen_ms)
			oldest = f;
		if (f->owner == owner && (!own || f->seen_ms < own->seen_ms))
			own = f;
	}
	return own ? own : oldest;
}

static bool remember(struct via *t, uint64_t now_ms, const struct flow *f)
{
	if (!t->pieces)
		t->pieces = calloc(1, sizeof(*t->pieces));
	if (!t->flows && t->pieces)
		t->flows = calloc(SETS, sizeof(*t->flows));
	if (!t->flows)
		return false;
	struct flow *at = flow_find(t, now_ms, &f->tuple);
	*(at ? at : victim(set_of(t, &f->tuple), now_ms, f->owner)) = *f;
	return true;
}

/* --- addresses --- */

/* May be the destination of a packet that this machine forwards. */
static bool may_be_host(const struct addr *v4)
{
	return addr_v4_get(v4) >> 24 != 0 && addr_v4_get(v4) >> 28 != 15 && !addr_is_loopback(v4) &&
	       !addr_is_link_local(v4) && !addr_is_multicast(v4) && !addr_is_mesh(v4);
}

/* The peer's own address of IPv4, when `six` is one of IPv6 of its own too. */
static bool peer_v4(const struct netmap_peer *peer, const struct addr *six, struct addr *out)
{
	const struct ctl_prefixes *a = &peer->node.addresses;
	bool own = false, found = false;
	for (size_t i = 0; i < a->n; i++) {
		own = own || addr_equal(&a->v[i].ip, six);
		if (!found && addr_is_v4(&a->v[i].ip)) {
			*out = a->v[i].ip;
			found = true;
		}
	}
	return own && found;
}

static bool site_of(const struct addr *via, uint32_t *site, struct addr *v4)
{
	struct prefix net;
	bool is = via6_extract(&(struct prefix) { *via, 128 }, site, &net);
	if (is)
		*v4 = net.ip;
	return is;
}

static struct addr via_of(uint32_t site, uint32_t host)
{
	struct prefix out = { .ip = addr_any6 };
	(void)via6_embed(site, &(struct prefix) { addr_v4(host), 32 }, &out);
	return out.ip;
}

static size_t room_of(const struct pkt *p)
{
	return PKT_SIZE - p->at - PKT_TAILROOM;
}

static bool translate(
	struct pkt *p, const struct ip_view *v, const struct ip_ends *to, const struct ip_ends *quoted)
{
	size_t len = ip_translate(pkt_data(p), room_of(p), v, to, quoted);
	if (len)
		p->len = (uint16_t)len;
	return len;
}

static uint16_t next_id4(struct via *t)
{
	uint16_t id = (uint16_t)++t->last_id;
	return id ? id : (uint16_t)++t->last_id;
}

/* --- in --- */

static uint32_t proto4(uint8_t proto)
{
	return proto == IP_ICMP6 ? IP_ICMP : proto;
}

enum via_verdict via_in(struct via *t, uint64_t now_ms, const struct netmap_peer *peer,
	const struct ip_view *v, struct pkt *p)
{
	struct flow f = { .peer6 = v->src, .seen_ms = now_ms, .owner = peer->node.id };
	struct ip_ends to = { .id = 0 }, quoted = { .id = 0 };
	struct ip_view q;
	if (!via6_is(&v->dst))
		return VIA_NOT;
	if (!site_of(&v->dst, &f.site, &to.dst) || !may_be_host(&to.dst))
		return VIA_REFUSED;
	if (!peer_v4(peer, &v->src, &to.src))
		return VIA_NO_ADDRESS;
	if (ip_quoted(pkt_data(p), v, &q)) {
		uint32_t site;
		quoted.dst = to.src;
		bool ours = addr_equal(&q.dst, &v->src) && site_of(&q.src, &site, &quoted.src);
		return ours && translate(p, v, &to, &quoted) ? VIA_DONE : VIA_NO_WAY;
	}
	to.id = next_id4(t);
	if (v->later_fragment) /* the first says which flow it is, and whether it may be one */
		return translate(p, v, &to, NULL) ? VIA_DONE : VIA_NO_WAY;
	f.tuple = (struct tuple) { addr_v4_get(&to.dst), addr_v4_get(&to.src), v->dport, v->sport,
		proto4(v->proto) };
	return translate(p, v, &to, NULL) && remember(t, now_ms, &f) ? VIA_DONE : VIA_NO_WAY;
}

/* --- out --- */

/* For the sender of p, as from its destination: RFC 1191. */
static void say_too_big(struct pkt *p, const struct ip_view *v)
{
	enum { QUOTED = HEAD4 + 8, UNREACHABLE = 3, TOO_BIG = 4, SUM_AT = 2, MTU_AT = 6 };
	uint8_t l4[ICMP_HEAD + QUOTED] = { UNREACHABLE, TOO_BIG }, *data = pkt_data(p);
	p->len = 0;
	if (v->l4_at != HEAD4 || v->later_fragment)
		return;
	be_put(l4 + MTU_AT, 2, IP6_MTU_MIN - IP_TRANSLATE_GROWS);
	memcpy(l4 + ICMP_HEAD, data, QUOTED);
	be_put(l4 + SUM_AT, 2, ip_checksum(l4, sizeof(l4), 0));
	memcpy(data + HEAD4, l4, sizeof(l4));
	p->len = (uint16_t)ip_write_header(data, &v->dst, &v->src, IP_ICMP, sizeof(l4));
}

static enum via_verdict error_out(
	struct via *t, uint64_t now_ms, const struct ip_view *v, struct pkt *p, const struct ip_view *q)
{
	struct tuple k = { addr_v4_get(&q->dst), addr_v4_get(&q->src), q->dport, q->sport, q->proto };
	const struct flow *f = flow_find(t, now_ms, &k);
	if (!f)
		return VIA_NOT;
	/* Who says so may be a router whose address no peer takes from us: the host answers for it. */
	struct ip_ends to = { .src = via_of(f->site, k.host), .dst = f->peer6 },
		       quoted = { .src = to.dst, .dst = to.src };
	return translate(p, v, &to, &quoted) ? VIA_DONE : VIA_NO_WAY;
}

/* What is too long for IPv6 and may be cut is: the second part is via_rest. */
static enum via_verdict pass_out(
	struct via *t, const struct ip_view *v, struct pkt *p, const struct ip_ends *to)
{
	struct pkt *rest = &t->pieces->rest;
	bool piece = be_get(pkt_data(p) + DONT_FRAGMENT_AT, 2) & PIECE_BITS;
	size_t len = (size_t)(HEAD6 + (piece ? IP_TRANSLATE_PIECE : 0) + v->total_len - v->l4_at);
	if (len > IP6_MTU_MIN && (pkt_data(p)[DONT_FRAGMENT_AT] & DONT_FRAGMENT)) {
		say_too_big(p, v);
		return VIA_TOO_LARGE;
	}
	if (!translate(p, v, to, NULL))
		return VIA_NO_WAY;
	if (p->len <= IP6_MTU_MIN)
		return VIA_DONE;
	pkt_reset(rest);
	rest->len = (uint16_t)ip6_cut(pkt_data(p), p->len, ++t->last_id, pkt_data(rest));
	if (!rest->len)
		return VIA_NO_WAY;
	p->len = IP6_MTU_MIN;
	return VIA_DONE;
}

static void piece_remember(
	struct via *t, uint64_t now_ms, const struct flow *f, const struct ip_view *v, const struct pkt *p)
{
	t->pieces->v[t->pieces->next++ % PIECES_MAX] = (struct piece_of) { .host = addr_v4_get(&v->src),
		.peer = addr_v4_get(&v->dst),
		.site = f->site,
		.id = (uint16_t)be_get(p->b + p->at + PIECE_ID_AT, 2),
		.proto = v->proto,
		.peer6 = f->peer6,
		.seen_ms = now_ms };
}

static enum via_verdict answer_out(struct via *t, uint64_t now_ms, const struct ip_view *v, struct pkt *p)
{
	struct tuple k = { addr_v4_get(&v->src), addr_v4_get(&v->dst), v->sport, v->dport, v->proto };
	struct flow *f = flow_find(t, now_ms, &k);
	if (!f)
		return VIA_NOT;
	f->seen_ms = now_ms;
	if (be_get(pkt_data(p) + DONT_FRAGMENT_AT, 2) & MORE_PIECES)
		piece_remember(t, now_ms, f, v, p);
	return pass_out(t, v, p, &(struct ip_ends) { .src = via_of(f->site, k.host), .dst = f->peer6 });
}

static enum via_verdict piece_out(struct via *t, uint64_t now_ms, const struct ip_view *v, struct pkt *p)
{
	uint32_t host = addr_v4_get(&v->src), peer = addr_v4_get(&v->dst);
	uint16_t id = (uint16_t)be_get(pkt_data(p) + PIECE_ID_AT, 2);
	for (size_t i = 0; i < PIECES_MAX; i++) {
		const struct piece_of *k = &t->pieces->v[i];
		if (k->seen_ms && now_ms - k->seen_ms < PIECE_MS && k->id == id && k->host == host &&
			k->peer == peer && k->proto == v->proto)
			return pass_out(
				t, v, p, &(struct ip_ends) { .src = via_of(k->site, host), .dst = k->peer6 });
	}
	return VIA_NOT;
}

enum via_verdict via_out(struct via *t, uint64_t now_ms, struct ip_view *v, struct pkt *p)
{
	struct ip_view q;
	if (!t->flows)
		return VIA_NOT;
	t->pieces->rest.len = 0;
	if (v->version != 4)
		return VIA_NOT;
	enum via_verdict r = v->later_fragment		     ? piece_out(t, now_ms, v, p)
			     : ip_quoted(pkt_data(p), v, &q) ? error_out(t, now_ms, v, p, &q)
							     : answer_out(t, now_ms, v, p);
	if (r == VIA_DONE && !ip_parse(pkt_data(p), p->len, v))
		return VIA_NO_WAY;
	return r;
}

struct pkt *via_rest(struct via *t)
{
	return t->pieces && t->pieces->rest.len ? &t->pieces->rest : NULL;
}
