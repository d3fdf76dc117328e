/* The order of a packet.
 *
 * Out: TUN -> parse -> an answer to 4via6 becomes IPv6 (via.c) -> the source is ours, or of a network that we carry -> the flow is remembered, so that its answers pass -> allowed-ips pick the peer -> seal
 *      -> way -> UDP socket, relay, or both while the direct way is not trusted.
 *      No session: WireGuard keeps a copy (wg/stage.c: the newest WG_STAGE_MAX of the peer) and begins a
 *      handshake, whose datagram leaves by wg_send. The packet waits there and nowhere else; wg_session_ready
 *      seals what waited. No way: the packet is dropped and counted (out_no_way); WireGuard repeats the
 *      handshake.
 * In:  the first bytes decide. STUN and disco go to path. All else is opened by WireGuard, which checks that
 *      the inner source belongs to the peer -> addresses of this machine's resolver are refused -> rules and
 *      flows -> TSMP stays here (tsmp.c) -> what goes to a 4via6 network becomes IPv4 (via.c) -> TUN. What a relay brings by one turn of the loop is gathered until its flush.
 *
 * Those of a flow that stand together in a batch are looked up once, out and in: what was found for the first holds for all that have
 * its plain headers, addresses, protocol and ports (ip_parse_next). Nothing that was found outlives the batch.
 *
 * Who may do what. The plane reads one snapshot {map, filter}, which apply.c replaces; between two calls of
 * this file it does not change, and no packet sees half of one. Who is a peer, with which key and addresses,
 * WireGuard and path know for themselves, told by apply.c before a peer's first and after its last packet: a
 * peer that left the snapshot but not yet the cores loses only its relay (no key to name it by). Nothing here
 * touches a socket, a clock or a file: all of it comes through struct plane_io, and none of those calls comes
 * back in, but for `recall`, which gives back what lending.h lent to another thread: whatever that was lent on is asked for
 * before it becomes another. Time is asked once for each batch. Every packet that goes no further is counted once: here
 * (PLANE_DROPS), in the filter, in wg, in path. */
#include "mesh/node/plane/dataplane.h"
#include "mesh/base/via6.h"
#include "mesh/node/plane/bundle.h"
#include "mesh/node/plane/ecn.h"
#include "mesh/node/plane/echo.h"
#include "mesh/node/plane/rules.h"
#include "mesh/node/plane/tsmp.h"
#include "mesh/node/plane/via.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STALE_PEERS = 4, STALE_LOOKS = 5 };

/* --- networks of 4via6 behind us --- */

/* Whether p goes on as what it is now. What it is no more is counted, or told to its sender. */
static bool via_passes(struct plane *d, enum via_verdict verdict, struct pkt *p)
{
	switch (verdict) {
	case VIA_NOT:
	case VIA_DONE: return true;
	case VIA_REFUSED: d->drops.via6_refused++; return false;
	case VIA_NO_ADDRESS: d->drops.via6_no_address++; return false;
	case VIA_NO_WAY: d->drops.via6_no_way++; return false;
	case VIA_TOO_LARGE:
		d->drops.via6_too_large++;
		if (p->len) {
			plane_captured(d, PLANE_TO_LOCAL, p);
			d->io.tun_write(d->io.arg, &p, 1);
		}
		return false;
	}
	return false;
}

static bool via_admitted(struct plane *d, uint64_t now, uint64_t peer, const struct ip_view *v, struct pkt *p)
{
	const struct netmap_peer *from = v->version == 6 ? plane_peer(d, peer) : NULL;
	return !from || via_passes(d, via_in(d->via, now, from, v, p), p);
}

/* --- out --- */

/* The peer that a packet goes to, or 0: it goes nowhere, and is counted. v becomes its view. */
static uint64_t choose_peer(struct plane *d, uint64_t now, struct pkt *p, struct ip_view *v)
{
	if (!ip_parse(pkt_data(p), p->len, v)) {
		d->drops.out_malformed++;
		return 0;
	}
	if (!via_passes(d, via_out(d->via, now, v, p), p))
		return 0;
	/* Others' sources are no business of the mesh: peers would drop them, and a host behind us pass for one. */
	if (d->rules && !filter_is_local(d->rules, &v->src)) {
		d->drops.out_foreign_source++;
		return 0;
	}
	if (filter_out(d->flows, now, v, &d->filter_drops) != FILTER_PASS)
		return 0;
	uint64_t peer = wg_route(d->wg, &v->dst);
	if (!peer)
		wg_route_missed(d->wg);
	return peer;
}

/* The datagram says to routers what the packet says. */
static bool seal(struct plane *d, uint64_t now, uint64_t peer, struct pkt *p)
{
	p->ecn = (uint8_t)ecn_of(pkt_data(p), p->len);
	return wg_seal(d->wg, now, peer, p) == WG_OK;
}

/* What a packet was too long for, by the way of its first part; lent until the next is looked at. */
static void add_rest(struct plane *d, uint64_t now, uint64_t peer, struct bundle *b)
{
	struct pkt *rest = via_rest(d->via);
	if (rest && seal(d, now, peer, rest)) {
		bundle_add(b, now, peer, rest);
		bundle_send(b);
	}
}

void dataplane_tun_received(struct plane *d, struct pkt *pkts, size_t count)
{
	if (!d->map)
		return;
	uint64_t now = plane_now(d);
	uint64_t peer = 0;
	struct ip_view v;
	struct bundle b = { .plane = d };
	for (size_t i = 0; i < count; i++) {
		plane_captured(d, PLANE_FROM_LOCAL, &pkts[i]);
		/* Those of a flow that stand together are looked up once, and pieces of one super-packet read once, unless they
		 * are dropped, and each counted, or may have to be translated. */
		bool known = peer && !via_in_use(d->via) &&
			     (pkts[i].follows || ip_parse_next(pkt_data(&pkts[i]), pkts[i].len, &v));
		if (!known)
			peer = choose_peer(d, now, &pkts[i], &v);
		if (peer && seal(d, now, peer, &pkts[i]))
			bundle_add(&b, now, peer, &pkts[i]);
		if (peer && via_in_use(d->via))
			add_rest(d, now, peer, &b);
	}
	bundle_send(&b);
}

bool dataplane_echo(
	struct plane *d, uint64_t peer, const struct addr *at, enum plane_echo kind, uint64_t token)
{
	const struct addr *us = NULL;
	struct pkt p;
	struct bundle b = { .plane = d };
	const struct ctl_prefixes *own = d->map ? &d->map->self->node.addresses : NULL;
	for (size_t i = 0; own && i < own->n && !us; i++)
		if (addr_is_v4(&own->v[i].ip) == addr_is_v4(at))
			us = &own->v[i].ip;
	if (!us || !plane_peer(d, peer))
		return false;
	if (kind == PLANE_ECHO_TSMP)
		tsmp_ping_write(&p, us, at, token);
	else
		echo_write(&p, us, at, d->echo_mark, token);
	plane_captured(d, PLANE_TO_PEER, &p);
	uint64_t now = plane_now(d);
	if (seal(d, now, peer, &p)) /* else it waits for its session */
		bundle_add(&b, now, peer, &p);
	bundle_send(&b);
	return true;
}

/* --- what the WireGuard core asks for --- */

static void wg_send(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	struct plane *d = arg;
	path_used(d->path, plane_now(d), peer);
	struct path_way way = path_way(d->path, peer);
	struct node_key key;
	if (way.udp)
		d->io.udp_send(d->io.arg, way.from, &way.at, p, len);
	if (way.relay && bundle_key_of(d, peer, &key))
		d->io.relay_send(d->io.arg, way.region, &key, p, len);
	if (!way.udp && !way.relay)
		d->drops.out_no_way++;
}

static void wg_send_back(void *arg, const void *from, const uint8_t *p, size_t len)
{
	struct plane *d = arg;
	struct plane_source s;
	memcpy(&s, from, sizeof(s));
	if (s.region)
		d->io.relay_send(d->io.arg, s.region, &s.key, p, len);
	else
		d->io.udp_send(d->io.arg, s.at, &s.udp, p, len);
}

static void wg_session_ready(void *arg, uint64_t peer)
{
	struct plane *d = arg;
	uint64_t now = plane_now(d);
	struct bundle b = { .plane = d };
	struct pkt p;
	while (wg_staged_take(d->wg, peer, &p)) {
		if (!seal(d, now, peer, &p))
			break;
		bundle_add(&b, now, peer, &p);
		bundle_send(&b);
	}
	tsmp_session_ready(d, peer);
}

/* Before the handshake's answer leaves, so that it takes the way the question came. */
static void wg_heard(void *arg, uint64_t peer, const void *from)
{
	struct plane *d = arg;
	struct plane_source s;
	memcpy(&s, from, sizeof(s));
	path_authenticated(d->path, plane_now(d), peer, s.region ? NULL : &s.udp);
}

static void recall(struct plane *d)
{
	if (d->io.recall)
		d->io.recall(d->io.arg);
}

static void wg_recall(void *arg)
{
	recall(arg);
}

static const struct wg_ops own_wg_ops = { .send = wg_send,
	.send_back = wg_send_back,
	.heard = wg_heard,
	.session_ready = wg_session_ready,
	.recall = wg_recall };

/* --- in --- */

/* One more of a flow: not looked up again. */
static bool in_again(struct plane_arrival *a, uint64_t peer, struct pkt *p)
{
	return a->peer == peer && ip_parse_next(pkt_data(p), p->len, &a->v) && filter_in_again(&a->v);
}

static bool in_inner(struct plane *d, uint64_t now, uint64_t peer, struct pkt *p, struct plane_arrival *a)
{
	struct ip_view v;
	if (p->ecn && !ecn_take(pkt_data(p), p->len, p->ecn)) {
		d->drops.in_congested++;
		return false;
	}
	plane_captured(d, PLANE_FROM_PEER, p);
	if (in_again(a, peer, p))
		return true;
	if (!ip_parse(pkt_data(p), p->len, &v)) {
		d->drops.in_malformed++;
		return false;
	}
	/* They belong to this machine's own resolver; the mesh has no business with them. */
	if (addr_is_service(&v.dst) || addr_is_service(&v.src)) {
		d->drops.to_service_address++;
		return false;
	}
	uint64_t token;
	if (echo_is_answer(&v, pkt_data(p), d->echo_mark, &token)) {
		d->io.echo_answered(d->io.arg, peer, token, 0);
		return false;
	}
	uint64_t no_rule = d->filter_drops.no_rule;
	switch (filter_in(d->rules ? d->rules : d->shut, d->flows, now, &v, &d->filter_drops)) {
	case FILTER_PASS:
		if (via6_is(&v.dst))
			return via_admitted(d, now, peer, &v, p);
		a->peer = peer;
		a->v = v;
		return true;
	case FILTER_DROP:
		if (d->filter_drops.no_rule != no_rule && filter_wants_reject(&v))
			tsmp_reject(d, peer, &v);
		return false;
	case FILTER_TSMP: tsmp_received(d, peer, a->from.region, &v, pkt_data(p)); return false;
	}
	return false;
}

/* Data under a session we do not have: since it was made, we started anew or had left the peer out. The peer
 * would notice after 15 s; a handshake of ours is faster. Who it is: the sender at the relay, who has proven
 * an address by disco, or, right after a start and with the server away, who is said to be there. That last
 * look goes over all peers and anybody can cause it, so it has a rate. */
static void answer_stale(struct plane *d, uint64_t now, const struct plane_source *from)
{
	uint64_t peers[STALE_PEERS];
	size_t n = 1;
	bool known = from->region ? path_peer_by_key(d->path, &from->key, &peers[0])
				  : path_peer_by_endpoint(d->path, &from->udp, &peers[0]);
	if (!known)
		n = !from->region && log_allowed(&d->stale_looks, STALE_LOOKS, now)
			    ? path_peers_named(d->path, &from->udp, peers, STALE_PEERS)
			    : 0;
	for (size_t i = 0; i < n; i++)
		wg_handshake_wanted(d->wg, now, peers[i]);
}

/* true when p now holds a packet for the TUN. */
static bool in_wireguard(struct plane *d, uint64_t now, struct pkt *p, struct plane_arrival *a)
{
	const struct plane_source *from = &a->from;
	struct wg_received r;
	struct wg_origin origin = { .p = from, .len = sizeof(*from) };
	uint64_t stale = wg_drops(d->wg)->no_session;
	size_t len = p->len;
	enum wg_verdict verdict = wg_receive(d->wg, now, p, &origin, &r);
	if (wg_drops(d->wg)->no_session != stale)
		answer_stale(d, now, from);
	if (r.authenticated && (!r.is_data || r.peer != a->heard)) {
		path_authenticated(d->path, now, r.peer, from->region ? NULL : &from->udp);
		a->heard = r.peer;
	}
	if (verdict == WG_OK && r.is_data) {
		struct plane_traffic *t = &d->in[from->region ? PLANE_RELAY : plane_path_of(&from->udp.ip)];
		t->packets++;
		t->bytes += len;
	}
	return verdict == WG_OK && r.is_data && p->len && in_inner(d, now, r.peer, p, a);
}

/* What begins so is neither STUN nor disco. */
static bool is_data(const uint8_t *p, size_t len)
{
	static const uint8_t data[] = { 4, 0, 0, 0 };
	return len >= sizeof(data) && memcmp(p, data, sizeof(data)) == 0;
}

void dataplane_udp_received(
	struct plane *d, enum path_socket at, struct pkt *pkts, const struct endpoint *from, size_t count)
{
	uint64_t now = plane_now(d);
	struct pkt *to_tun[PKT_BATCH];
	size_t n_tun = 0;
	/* All zero first: the token is compared as bytes. */
	struct plane_arrival a;
	memset(&a, 0, sizeof(a));
	a.from.at = at;
	for (size_t i = 0; i < count; i++) {
		if (!endpoint_equal(&a.from.udp, &from[i]))
			a.heard = 0;
		a.from.udp = from[i];
		if (!is_data(pkt_data(&pkts[i]), pkts[i].len) &&
			path_udp_received(d->path, now, at, &from[i], pkt_data(&pkts[i]), pkts[i].len)) {
			a.heard = 0; /* it may have changed what path thinks of the way */
			continue;
		}
		if (in_wireguard(d, now, &pkts[i], &a))
			to_tun[n_tun++] = &pkts[i];
	}
	if (n_tun)
		d->io.tun_write(d->io.arg, to_tun, n_tun);
}

/* What was found for its packets holds for no more of them. */
static void end_run(struct plane *d)
{
	d->run.from.region = 0;
}

/* Frames of one turn are gathered, of several reads, so that a TCP flow reaches the TUN joined. */
void dataplane_relay_flush(struct plane *d)
{
	struct pkt *to_tun[PLANE_RELAYED];
	for (size_t i = 0; i < d->n_relayed; i++)
		to_tun[i] = &d->relayed[i];
	if (d->n_relayed)
		d->io.tun_write(d->io.arg, to_tun, d->n_relayed);
	d->n_relayed = 0;
	end_run(d);
}

/* Whether p is path's, which is told of a run's first packet, and of all that may be disco. */
static bool is_for_path(
	struct plane *d, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	struct plane_arrival *run = &d->run;
	bool same = run->from.region == region && memcmp(run->from.key.b, from->b, KEY_LEN) == 0;
	if (same && is_data(p, len))
		return false;
	memset(run, 0, sizeof(*run)); /* all zero first: the token is compared as bytes */
	run->from.region = region;
	run->from.key = *from;
	d->run_ms = plane_now(d);
	if (!path_relay_received(d->path, d->run_ms, region, from, p, len))
		return false;
	end_run(d); /* it may have changed what path thinks of the way */
	return true;
}

void dataplane_relay_received(
	struct plane *d, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	if (is_for_path(d, region, from, p, len))
		return;
	if (len > PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM) {
		d->drops.relay_oversize++;
		return;
	}
	struct pkt *pkt = &d->relayed[d->n_relayed];
	pkt_reset(pkt);
	memcpy(pkt_data(pkt), p, len);
	pkt->len = (uint16_t)len;
	if (in_wireguard(d, d->run_ms, pkt, &d->run) && ++d->n_relayed == PLANE_RELAYED)
		dataplane_relay_flush(d);
}

void dataplane_relay_peer_gone(struct plane *d, int32_t region, const struct node_key *who)
{
	end_run(d); /* who is heard after that is there */
	uint64_t id, now = plane_now(d);
	path_relay_peer_gone(d->path, now, region, who);
	if (path_peer_by_key(d->path, who, &id))
		wg_peer_missed(d->wg, now, id);
}

/* --- the whole --- */

/* The mesh's own addresses are its members', whoever carries all networks: else an exit would get what is for a member that is
 * gone, or pass for it. NULL: memory is short. */
static struct wg *core_new(struct plane *d, const struct node_private *us, const struct random *rnd)
{
	struct wg_ops ops = own_wg_ops;
	ops.arg = d;
	struct wg *w = wg_new(us, &ops, rnd);
	bool ok = w;
	for (size_t i = 0; ok && i < ADDR_MESH; i++)
		ok = wg_reserve(w, &addr_mesh[i]);
	if (ok)
		return w;
	wg_free(w);
	return NULL;
}

int dataplane_open(struct plane *d, const struct plane_config *cfg, struct errbuf *eb)
{
	uint64_t seed;
	*d = (struct plane) { .io = *cfg->io, .path = cfg->path, .capture = cfg->capture };
	cfg->rnd->fill(cfg->rnd->arg, &seed, sizeof(seed));
	cfg->rnd->fill(cfg->rnd->arg, &d->echo_mark, sizeof(d->echo_mark));
	d->wg = core_new(d, cfg->us, cfg->rnd);
	d->flows = filter_flows_new(seed);
	d->via = via_new(~seed);
	d->shut = rules_shut();
	d->relayed = calloc(PLANE_RELAYED, sizeof(*d->relayed)); /* takes memory from its first use on */
	if (!d->wg || !d->flows || !d->via || !d->shut || !d->relayed) {
		dataplane_close(d);
		return err_set(eb, -ENOMEM, "start");
	}
	wg_clock_set(d->wg, plane_now(d), cfg->handshake_clock_ms);
	return 0;
}

int dataplane_key_set(struct plane *d, const struct node_private *us, const struct random *rnd,
	uint64_t handshake_clock_ms, struct errbuf *eb)
{
	struct wg *next = core_new(d, us, rnd);
	if (!next)
		return err_set(eb, -ENOMEM, "take the new key");
	uint64_t floor_ms = wg_clock_floor(d->wg);
	wg_clock_set(next, plane_now(d), handshake_clock_ms > floor_ms ? handshake_clock_ms : floor_ms);
	end_run(d);
	wg_free(d->wg);
	d->wg = next;
	return 0;
}

void dataplane_close(struct plane *d)
{
	wg_free(d->wg);
	filter_free(d->rules);
	filter_free(d->shut);
	filter_flows_free(d->flows);
	via_free(d->via);
	netmap_put(d->map);
	free(d->relayed);
	*d = (struct plane) { 0 };
}

void dataplane_map_set(struct plane *d, struct netmap *map)
{
	recall(d);
	end_run(d);
	if (map)
		netmap_get(map);
	netmap_put(d->map);
	d->map = map;
}

void dataplane_rules_set(struct plane *d, struct filter *f)
{
	recall(d);
	end_run(d);
	filter_free(d->rules);
	d->rules = f;
}

void dataplane_capture_set(struct plane *d, const struct plane_capture *c)
{
	recall(d);
	d->capture = *c;
}

void dataplane_shields_set(struct plane *d, bool up)
{
	d->shields_up = up;
}

void dataplane_server_up(struct plane *d, bool up)
{
	d->server_up = up;
}

void dataplane_peer_api_set(struct plane *d, uint16_t port4, uint16_t port6)
{
	d->peer_api4 = port4;
	d->peer_api6 = port6;
}
