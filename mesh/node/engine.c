/* Opening, closing and wiring; the packets themselves are in plane/.
 *
 * One loop, one thread; a second one, where it is wanted, has what it was lent and nothing else (plane/outward.h).
 * Entries from the loop: TUN, UDP socket, relays, the kernel's news of links, one timer for all deadlines of the cores,
 * answers of name look-ups, the second thread's questions. Each hands what came to a core, and ends in
 * engine_rearm. WireGuard and path call their ops during such an entry: sends go to the sockets at once; path's
 * events wait until engine_rearm flushes them, and go to who opened the engine (struct engine_events).
 * WireGuard's ops may call path's facts and questions; path's events may call WireGuard; path's sends call
 * neither (path.h and wg.h have the lists).
 *
 * Life: closed -> open (all or nothing) -> closed. `lost` asks for it from outside, since the engine may not
 * free itself below one of its own callbacks. */
#include "mesh/node/engine.h"
#include "mesh/base/log.h"
#include "mesh/base/table.h"
#include "mesh/node/plane/tsmp.h"
#include "mesh/os/resolve.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOCAL_MAX = 32, NAT64_AGAIN_MS = 10000 };

static uint64_t now_of(const struct engine *e)
{
	return loop_now_ms(e->loop);
}

/* --- the plane's sockets and clock --- */

static void plane_tun_write(void *arg, struct pkt *const *pkts, size_t n)
{
	tun_write_batch(((struct engine *)arg)->tun, pkts, n);
}

struct udp *engine_socket(const struct engine *e, enum path_socket which)
{
	return which == PATH_SPARE && e->spare ? e->spare : e->udp;
}

static void plane_udp_send(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	udp_send(engine_socket(arg, from), to, p, len);
}

static void plane_udp_send_near(void *arg, enum path_socket from, const struct endpoint *to, uint8_t hops,
	const uint8_t *p, size_t len)
{
	udp_send_near(engine_socket(arg, from), to, hops, p, len);
}

static void plane_udp_send_batch(
	void *arg, enum path_socket from, const struct endpoint *to, struct pkt *const *pkts, size_t n)
{
	udp_send_batch(engine_socket(arg, from), to, pkts, n);
}

static void plane_relay_send(
	void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	relays_send(((struct engine *)arg)->relays, region, to, p, len);
}

static void plane_relay_send_batch(
	void *arg, int32_t region, const struct node_key *to, struct pkt *const *pkts, size_t n)
{
	relays_send_batch(((struct engine *)arg)->relays, region, to, pkts, n);
}

static void plane_echo_answered(void *arg, uint64_t peer, uint64_t token, uint16_t peer_api)
{
	struct engine *e = arg;
	e->events.echo_answered(e->events.arg, token, peer, peer_api);
}

static void plane_recall(void *arg)
{
	outward_recall(((struct engine *)arg)->outward);
}

static uint64_t plane_now_ms(void *arg)
{
	return now_of(arg);
}

/* --- path's wishes --- */

static void path_self_changed(void *arg)
{
	struct engine *e = arg;
	e->events.self_changed(e->events.arg);
}

static void path_home_changed(void *arg, int32_t region)
{
	struct engine *e = arg;
	log_info("home relay: %s", relays_region_code(e->relays, region));
	relays_home_set(e->relays, region);
}

static void path_way_changed(void *arg, uint64_t peer)
{
	struct engine *e = arg;
	struct path_state s;
	const struct netmap_peer *p = plane_peer(&e->plane, peer);
	wg_path_changed(e->plane.wg, now_of(e), peer);
	if (p && path_peer_state(e->path, now_of(e), peer, &s)) {
		char at[ENDPOINT_TEXT];
		log_info("peer %s: %s %s", p->node.name, s.direct ? "direct" : "relay",
			s.direct ? endpoint_format(&s.at, at) : relays_region_code(e->relays, s.region));
		way_log_add(&e->ways, clock_unix_ms(), peer,
			&(struct way_place) {
				s.direct ? s.at : (struct endpoint) { .port = 0 }, s.direct ? 0 : s.region });
		if (s.direct)
			engine_way_used(e, &s.at.ip);
		else
			router_link_doubt(e->router); /* it may have forgotten us */
	}
	e->events.way_changed(e->events.arg, peer);
}

static void path_ping_done(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	struct engine *e = arg;
	e->events.ping_done(e->events.arg, token, peer, at, region, ms);
}

static void path_https_probe(void *arg, int32_t region)
{
	relays_measure(((struct engine *)arg)->relays, region);
}

struct engine_lookup {
	struct engine_lookup *next;
	struct engine *e;
	struct resolve *r;
	char host[256];
};

static void lookup_free(struct engine_lookup *l)
{
	struct engine_lookup **at = &l->e->lookups;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free(l);
}

static void lookup_answered(void *arg, int code, const struct endpoint *at, size_t count, const char *why)
{
	struct engine_lookup *l = arg;
	struct engine *e = l->e;
	struct addr addrs[RESOLVE_MAX];
	size_t k = 0;
	if (code)
		log_info("relay %s: %s", l->host, why);
	for (; k < count && k < RESOLVE_MAX; k++)
		addrs[k] = at[k].ip;
	path_resolved(e->path, now_of(e), l->host, addrs, k);
	lookup_free(l);
	engine_rearm(e);
}

static void path_resolve(void *arg, const char *host)
{
	struct engine *e = arg;
	struct engine_lookup *l = calloc(1, sizeof(*l));
	if (!l)
		return;
	snprintf(l->host, sizeof(l->host), "%s", host);
	l->e = e;
	l->next = e->lookups;
	e->lookups = l;
	l->r = resolve_start(e->loop, host, lookup_answered, l);
	if (!l->r)
		lookup_free(l);
}

static void path_probe_data(void *arg, uint64_t peer, uint64_t token, const struct path_way *way)
{
	tsmp_ping(&((struct engine *)arg)->plane, peer, token, way);
}

/* --- what comes from the loop --- */

static void tun_received(void *arg, struct pkt *pkts, size_t n)
{
	struct engine *e = arg;
	outward_seen(e->outward, now_of(e), pkts, n);
	dataplane_tun_received(&e->plane, pkts, n);
	engine_rearm(e);
}

static void tun_lost(void *arg, int code)
{
	struct engine *e = arg;
	log_warn("interface %s is gone (%s); making it anew", tun_name(e->tun), err_text(code));
	e->events.lost(e->events.arg);
}

static void udp_received(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct engine *e = arg;
	dataplane_udp_received(&e->plane, PATH_MAIN, pkts, from, n);
	engine_rearm(e);
}

static void spare_received(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct engine *e = arg;
	dataplane_udp_received(&e->plane, PATH_SPARE, pkts, from, n);
	engine_rearm(e);
}

static void udp_failed(void *arg, const struct endpoint *to, int code)
{
	struct engine *e = arg;
	(void)code; /* whatever the reason, this way is shut for a while */
	path_send_failed(e->path, to);
}

static void path_spare_wanted(void *arg)
{
	struct engine *e = arg;
	struct udp_events ev = { .received = spare_received, .send_failed = udp_failed, .arg = e };
	struct errbuf eb = { 0 };
	if (!e->spare && !(e->spare = udp_open(e->loop, 0, &ev, &eb)))
		log_warn("second UDP socket: %s", eb.text);
	if (e->spare)
		udp_nat64_set(e->spare, &e->nat64);
	path_spare_opened(e->path, now_of(e), e->spare ? udp_port(e->spare) : 0);
}

/* --- IPv4 where the machine has none --- */

static void set_nat64(struct engine *e, const struct nat64 *n)
{
	e->nat64 = *n;
	outward_recall(e->outward); /* it has the old one */
	udp_nat64_set(e->udp, n);
	if (e->spare)
		udp_nat64_set(e->spare, n);
	relays_nat64_set(e->relays, n);
	path_nat64_set(e->path, now_of(e), n->bits != 0);
	e->events.nat64_changed(e->events.arg);
}

static void nat64_resolved(void *arg, int code, const struct endpoint *at, size_t count, const char *why)
{
	struct engine *e = arg;
	struct nat64 found = { .bits = 0 };
	(void)why; /* no such name: no translator here */
	e->nat64_lookup = NULL;
	for (size_t i = 0; code == 0 && i < count && !found.bits; i++)
		(void)nat64_find(&at[i].ip, &found);
	bool same = found.bits == e->nat64.bits && addr_equal(&found.prefix, &e->nat64.prefix);
	if (found.bits && e->six_only && same) {
		e->nat64_doubted = false;
	} else if (found.bits && e->six_only) {
		char text[ADDR_TEXT];
		e->nat64_doubted = false;
		log_info("no IPv4 here; it is reached through %s/%u", addr_format(&found.prefix, text),
			found.bits);
		set_nat64(e, &found);
	} else if (e->six_only) {
		loop_timer_set(e->nat64_again, NAT64_AGAIN_MS);
	}
	engine_rearm(e);
}

static void look_for_nat64(struct engine *e)
{
	if (e->six_only && (!e->nat64.bits || e->nat64_doubted) && !e->nat64_lookup)
		e->nat64_lookup = resolve_start(e->loop, NAT64_NAME, nat64_resolved, e);
}

static void nat64_due(void *arg)
{
	look_for_nat64(arg);
}

static void relay_received(
	void *arg, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	dataplane_relay_received(&((struct engine *)arg)->plane, region, from, p, len);
}

static void relay_flush(void *arg)
{
	struct engine *e = arg;
	dataplane_relay_flush(&e->plane);
	engine_rearm(e);
}

static void relay_up(void *arg, int32_t region, bool up)
{
	struct engine *e = arg;
	struct addr at;
	path_relay_up(e->path, now_of(e), region, up);
	if (up && relays_peer(e->relays, region, &at))
		uplinks_note(e->uplinks, &at);
	if (!up) {
		look_for_nat64(e); /* the name server may not have been there before */
		router_link_doubt(e->router);
	}
	engine_rearm(e);
}

static void relay_peer_gone(void *arg, int32_t region, const struct node_key *who)
{
	struct engine *e = arg;
	struct path_state way;
	uint64_t id;
	dataplane_relay_peer_gone(&e->plane, region, who);
	const struct netmap_peer *p = path_peer_by_key(e->path, who, &id) ? plane_peer(&e->plane, id) : NULL;
	if (p && path_peer_state(e->path, now_of(e), id, &way) && !way.direct)
		e->events.peer_gone(e->events.arg, &p->node);
	engine_rearm(e);
}

static void relay_latency(void *arg, int32_t region, double ms)
{
	struct engine *e = arg;
	path_https_latency(e->path, now_of(e), region, ms);
	engine_rearm(e);
}

static void look_at_families(struct engine *e, const struct addr *local, size_t n)
{
	bool four = false, six = false;
	for (size_t i = 0; i < n; i++)
		*(addr_is_v4(&local[i]) ? &four : &six) = true;
	uint64_t around = hash_bytes(local, n * sizeof(*local), 0, 0);
	if (around != e->around) { /* who was asked, or told it, may be of another network */
		resolve_cancel(e->nat64_lookup);
		e->nat64_lookup = NULL;
		e->nat64_doubted = true;
	}
	e->around = around;
	e->six_only = six && !four;
	if (!e->six_only && e->nat64.bits)
		set_nat64(e, &(struct nat64) { .bits = 0 });
	look_for_nat64(e);
}

static void look_at_links(struct engine *e)
{
	struct addr local[LOCAL_MAX];
	size_t k = iface_local(e->iface, local, LOCAL_MAX);
	path_links_changed(e->path, now_of(e), local, k, udp_port(e->udp));
	relays_links_changed(e->relays, local, k);
	look_at_families(e, local, k);
	router_link_look(e->router, udp_port(e->udp));
}

static void look_at_ways(struct engine *e)
{
	struct addr moved[UPLINKS_MAX];
	size_t n = uplinks_moved(e->uplinks, moved);
	if (!n)
		return;
	path_routes_changed(e->path, now_of(e));
	relays_ways_moved(e->relays, moved, n);
	e->events.ways_moved(e->events.arg, moved, n);
}

static void router_changed(void *arg)
{
	struct engine *e = arg;
	path_mapped_set(e->path, now_of(e), &router_link_state(e->router)->mapped,
		&router_link_state6(e->router)->mapped);
	engine_rearm(e);
}

static void iface_changed(void *arg)
{
	struct engine *e = arg;
	look_at_links(e);
	look_at_ways(e);
	e->events.links_changed(e->events.arg);
	engine_rearm(e);
}

static void iface_routed(void *arg, const struct errbuf *why)
{
	struct engine *e = arg;
	e->events.routed(e->events.arg, why);
	engine_rearm(e);
}

void engine_look_again(struct engine *e)
{
	iface_repair(e->iface);
	iface_changed(e);
}

static void ticked(void *arg)
{
	struct engine *e = arg;
	uint64_t now = now_of(e);
	outward_settle(e->outward);
	wg_tick(e->plane.wg, now);
	path_tick(e->path, now);
	engine_rearm(e);
}

void engine_rearm(struct engine *e)
{
	if (!e->tick)
		return;
	uint64_t now = now_of(e);
	path_flush(e->path, now);
	outward_check(e->outward);
	uint64_t a = wg_deadline(e->plane.wg), b = path_deadline(e->path), due = a < b ? a : b;
	if (due == UINT64_MAX)
		loop_timer_clear(e->tick);
	else
		loop_timer_set(e->tick, due > now ? due - now : 0);
}

/* --- what the map says --- */

int engine_peer_set(
	struct engine *e, const struct ctl_node *c, const struct ctl_prefixes *allowed, struct errbuf *eb)
{
	if (key_is_zero(c->key.b) || key_equal(c->key.b, e->key.b))
		return err_say(eb, -EINVAL, "peer %s: its key is %s; it cannot be reached", c->name,
			key_is_zero(c->key.b) ? "missing" : "this machine's own");
	struct path_peer pp = { .id = (uint64_t)c->id,
		.key = c->key,
		.disco = c->disco,
		.endpoints = c->endpoints.v,
		.n_endpoints = c->endpoints.n,
		.home = c->home_derp };
	bool done = wg_peer_set(e->plane.wg, (uint64_t)c->id, &c->key, NULL, allowed->v, allowed->n) &&
		    path_peer_set(e->path, now_of(e), &pp);
	return done ? 0 : err_say(eb, -ENOMEM, "peer %s: memory is short; it cannot be reached", c->name);
}

void engine_peer_remove(struct engine *e, uint64_t id)
{
	path_peer_remove(e->path, id);
	wg_peer_remove(e->plane.wg, id);
}

void engine_peer_restarted(struct engine *e, uint64_t id)
{
	wg_peer_restarted(e->plane.wg, now_of(e), id);
}

void engine_relays_set(struct engine *e, const struct ctl_derp_map *m)
{
	relays_map_set(e->relays, m);
	path_derp_map_set(e->path, now_of(e), m);
}

void engine_way_used(struct engine *e, const struct addr *to)
{
	if (e->uplinks)
		uplinks_note(e->uplinks, to);
}

void engine_server_up(struct engine *e, bool up)
{
	if (!engine_is_open(e))
		return;
	path_control_up(e->path, now_of(e), up);
	dataplane_server_up(&e->plane, up);
}

void engine_sessions_renew(struct engine *e, uint64_t until_ms)
{
	const struct netmap *m = e->plane.map;
	struct wg_peer_stats ws;
	for (size_t i = 0; m && i < m->n_peers; i++) {
		uint64_t id = (uint64_t)m->peers[i]->node.id;
		if (wg_peer_stats(e->plane.wg, id, &ws) && ws.session && ws.last_handshake_ms <= until_ms)
			wg_peer_restarted(e->plane.wg, now_of(e), id);
	}
	engine_rearm(e);
}

uint64_t engine_handshake_floor(const struct engine *e)
{
	return e->plane.wg ? wg_clock_floor(e->plane.wg) : 0;
}

static enum opt_bool offers(const struct portmap *m, enum portmap_protocol p)
{
	return !m->searched ? OPT_ABSENT : portmap_is_there(m, p) ? OPT_TRUE : OPT_FALSE;
}

void engine_describe_network(const struct engine *e, struct arena *a, struct ctl_netinfo *out)
{
	struct path_report r;
	const struct portmap *m = router_link_state(e->router);
	path_report(e->path, &r);
	*out = (struct ctl_netinfo) { .upnp = offers(m, PORTMAP_UPNP),
		.pmp = offers(m, PORTMAP_PMP),
		.pcp = offers(m, PORTMAP_PCP),
		.mapping_varies = r.mapping_varies,
		.preferred_derp = path_home(e->path),
		.link_type = "",
		.working_udp = r.done ? (r.udp ? OPT_TRUE : OPT_FALSE) : OPT_ABSENT,
		.working_ipv6 = r.done ? (r.ipv6 ? OPT_TRUE : OPT_FALSE) : OPT_ABSENT };
	out->latency = arena_array(a, r.n_regions, sizeof(*out->latency));
	for (size_t i = 0; out->latency && i < r.n_regions; i++) {
		if (r.regions[i].latency_ms < 0)
			continue;
		out->latency[out->n_latency++] =
			(struct ctl_latency) { .key = arena_printf(a, "%d-v4", r.regions[i].id),
				.seconds = r.regions[i].latency_ms / 1000 };
	}
}

/* --- opening --- */

/* Peers refuse handshakes older than our last: a clock that stepped back meanwhile must not cut us off. */
static uint64_t handshake_clock(uint64_t floor_ms)
{
	uint64_t now = (uint64_t)clock_unix_ms();
	return now > floor_ms ? now : floor_ms;
}

static struct relays *open_relays(struct engine *e, const struct node_private *us)
{
	struct relays_events re = { .received = relay_received,
		.flush = relay_flush,
		.up = relay_up,
		.peer_gone = relay_peer_gone,
		.latency = relay_latency,
		.arg = e };
	struct relays *r = relays_open(e->loop, us, &re, &random_system);
	if (r)
		relays_proxies_set(r, e->proxies);
	return r;
}

static int open_cores(struct engine *e, const struct engine_config *cfg, struct errbuf *eb)
{
	struct path_ops po = { .send_udp = plane_udp_send,
		.send_near = plane_udp_send_near,
		.send_relay = plane_relay_send,
		.self_changed = path_self_changed,
		.home_changed = path_home_changed,
		.way_changed = path_way_changed,
		.ping_done = path_ping_done,
		.https_probe = path_https_probe,
		.resolve = path_resolve,
		.probe_data = path_probe_data,
		.spare_wanted = path_spare_wanted,
		.arg = e };
	struct plane_io io = { .tun_write = plane_tun_write,
		.udp_send = plane_udp_send,
		.udp_send_batch = plane_udp_send_batch,
		.relay_send = plane_relay_send,
		.relay_send_batch = plane_relay_send_batch,
		.echo_answered = plane_echo_answered,
		.recall = plane_recall,
		.now_ms = plane_now_ms,
		.arg = e };
	key_public(cfg->us->b, e->key.b);
	e->path = path_new(&e->key, &po, &random_system);
	e->relays = open_relays(e, cfg->us);
	e->tick = loop_timer_new(e->loop, ticked, e);
	e->nat64_again = loop_timer_new(e->loop, nat64_due, e);
	if (!e->path || !e->relays || !e->tick || !e->nat64_again)
		return err_set(eb, -ENOMEM, "start");
	struct plane_config pc = { .us = cfg->us,
		.rnd = &random_system,
		.io = &io,
		.path = e->path,
		.capture = cfg->capture,
		.handshake_clock_ms = handshake_clock(cfg->handshake_floor_ms) };
	return dataplane_open(&e->plane, &pc, eb);
}

int engine_open(
	struct engine *e, const struct engine_config *cfg, const struct engine_events *ev, struct errbuf *eb)
{
	struct tun_events te = { .received = tun_received, .lost = tun_lost, .arg = e };
	struct udp_events ue = { .received = udp_received, .send_failed = udp_failed, .arg = e };
	*eb = (struct errbuf) { 0 };
	*e = (struct engine) { .loop = cfg->loop, .events = *ev, .proxies = cfg->proxies };
	e->tun = tun_open(e->loop, cfg->tun_name, &te, eb);
	if (!e->tun)
		goto fail;
	struct iface_options io = { .name = tun_name(e->tun),
		.mtu = cfg->mtu,
		.journal = cfg->journal,
		.changed = iface_changed,
		.routed = iface_routed,
		.arg = e };
	e->iface = iface_open(e->loop, &io, eb);
	e->udp = e->iface ? udp_open(e->loop, cfg->port, &ue, eb) : NULL;
	if (!e->udp || open_cores(e, cfg, eb) != 0 || engine_outward_open(e, cfg, eb) != 0)
		goto fail;
	e->uplinks = uplinks_open(eb);
	e->router = e->uplinks ? router_link_open(e->loop, cfg->us, router_changed, e, eb) : NULL;
	if (!e->router)
		goto fail;
	look_at_links(e);
	engine_rearm(e);
	return 0;
fail:
	engine_close(e);
	return eb->code ? eb->code : err_set(eb, -ENOMEM, "start");
}

/* A relay knows us by our key: connections that the old one made say nothing of the new. */
static void change_relays(struct engine *e, struct relays *next)
{
	const struct ctl_derp_map *m = e->plane.map ? e->plane.map->derp : NULL;
	struct addr local[LOCAL_MAX];
	for (size_t i = 0; m && i < m->n_regions; i++)
		if (relays_is_up(e->relays, m->regions[i].id))
			path_relay_up(e->path, now_of(e), m->regions[i].id, false);
	relays_close(e->relays);
	e->relays = next;
	relays_nat64_set(next, &e->nat64);
	relays_links_changed(next, local, iface_local(e->iface, local, LOCAL_MAX));
	relays_home_set(next, path_home(e->path));
}

/* The server tells peers of the new key while it tells us that it has: a handshake that comes before its word finds
 * nobody, an answer by a relay that we are not back at is lost, and WireGuard's own next try is five seconds away. The
 * times between grow, so that on a slow way too one of them is answered before the next. */
static const uint16_t key_news_ms[] = { 50, 100, 250, 600, 1000 };

static void repeat_handshakes(void *arg)
{
	struct engine *e = arg;
	const struct netmap *m = e->plane.map;
	for (size_t i = 0; m && i < m->n_peers; i++)
		wg_handshake_anew(e->plane.wg, now_of(e), (uint64_t)m->peers[i]->node.id);
	if (++e->key_news_n < ARRAY_LEN(key_news_ms))
		loop_timer_set(e->key_news, key_news_ms[e->key_news_n]);
	engine_rearm(e);
}

int engine_key_set(struct engine *e, const struct node_private *us, struct errbuf *eb)
{
	struct relays *relays = open_relays(e, us);
	if (!e->key_news)
		e->key_news = loop_timer_new(e->loop, repeat_handshakes, e);
	int err = relays && e->key_news ? 0 : err_set(eb, -ENOMEM, "take the new key");
	if (!err)
		err = dataplane_key_set(&e->plane, us, &random_system, handshake_clock(0), eb);
	if (err) {
		relays_close(relays);
		return err;
	}
	key_public(us->b, e->key.b);
	path_key_set(e->path, &e->key);
	change_relays(e, relays);
	e->key_news_n = 0;
	loop_timer_set(e->key_news, key_news_ms[0]);
	engine_rearm(e);
	return 0;
}

void engine_close(struct engine *e)
{
	struct loop_timer *tick = e->tick;
	if (!e->loop)
		return;
	outward_close(e->outward);
	e->outward = NULL;
	e->tick = NULL; /* what is closed below may still end in engine_rearm */
	loop_timer_free(tick);
	for (struct engine_lookup *l = e->lookups, *next; l; l = next) {
		next = l->next;
		resolve_cancel(l->r);
		free(l);
	}
	resolve_cancel(e->nat64_lookup);
	loop_timer_free(e->nat64_again);
	loop_timer_free(e->key_news);
	router_link_close(e->router);
	relays_close(e->relays);
	way_log_fini(&e->ways);
	dataplane_close(&e->plane);
	path_free(e->path);
	udp_close(e->udp);
	udp_close(e->spare);
	iface_close(e->iface);
	uplinks_close(e->uplinks);
	tun_close(e->tun);
	*e = (struct engine) { 0 };
}

bool engine_is_open(const struct engine *e)
{
	return e->plane.wg != NULL;
}
