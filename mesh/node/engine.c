/* What moves packets, opened and closed as a whole: TUN, UDP socket, WireGuard, path, relays, filter state.
 */
#include "mesh/base/log.h"
#include "mesh/node/links/server_link.h"
#include "mesh/node/host/iface.h"
#include "mesh/node/local/local_api.h"
#include "mesh/node/names.h"
#include "mesh/node/node.h"
#include "mesh/node/links/relays.h"
#include "mesh/node/plane/tsmp.h"
#include "mesh/os/netlink.h"
#include "mesh/os/resolve.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOCAL_MAX = 32 };

/* --- path's wishes --- */

static void path_send_udp(void *arg, const struct endpoint *to, const uint8_t *p, size_t len)
{
	udp_send(((struct node *)arg)->udp, to, p, len);
}

static void path_send_relay(
	void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	relays_send(((struct node *)arg)->relays, region, to, p, len);
}

static void path_self_changed(void *arg)
{
	struct node *n = arg;
	if (n->server)
		server_link_update(n->server);
}

static void path_home_changed(void *arg, int32_t region)
{
	struct node *n = arg;
	log_info("home relay: %s", relays_region_code(n->relays, region));
	relays_home_set(n->relays, region);
}

static void path_way_changed(void *arg, uint64_t peer)
{
	struct node *n = arg;
	struct path_state s;
	const struct netmap_peer *p = n->map ? netmap_peer_by_id(n->map, (int64_t)peer) : NULL;
	uint64_t now = loop_now_ms(n->loop);
	wg_path_changed(n->wg, now, peer);
	names_network_changed(&n->names);
	if (!p || !path_peer_state(n->path, now, peer, &s))
		return;
	char at[ENDPOINT_TEXT];
	log_info("peer %s: %s %s", p->node.name, s.direct ? "direct" : "relay",
		s.direct ? endpoint_format(&s.at, at) : relays_region_code(n->relays, s.region));
}

static void path_ping_done(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	local_api_ping_done(arg, token, peer, at, region, ms);
}

static void path_https_probe(void *arg, int32_t region)
{
	relays_measure(((struct node *)arg)->relays, region);
}

struct lookup {
	struct lookup *next;
	struct node *n;
	struct resolve *r;
	char host[256];
};

static void lookup_free(struct node *n, struct lookup *l)
{
	struct lookup **at = &n->lookups;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free(l);
}

static void host_resolved(void *arg, int code, const struct endpoint *at, size_t count, const char *why)
{
	struct lookup *l = arg;
	struct node *n = l->n;
	struct addr addrs[RESOLVE_MAX];
	size_t k = 0;
	if (code)
		log_info("relay %s: %s", l->host, why);
	for (; k < count && k < RESOLVE_MAX; k++)
		addrs[k] = at[k].ip;
	path_resolved(n->path, loop_now_ms(n->loop), l->host, addrs, k);
	lookup_free(n, l);
	node_rearm(n);
}

static void path_resolve(void *arg, const char *host)
{
	struct node *n = arg;
	struct lookup *l = calloc(1, sizeof(*l));
	if (!l)
		return;
	snprintf(l->host, sizeof(l->host), "%s", host);
	l->n = n;
	l->next = n->lookups;
	n->lookups = l;
	l->r = resolve_start(n->loop, host, host_resolved, l);
	if (!l->r)
		lookup_free(n, l);
}

static void path_probe_data(void *arg, uint64_t peer, uint64_t token, const struct path_way *way)
{
	tsmp_ping(arg, peer, token, way);
}

/* --- facts for path --- */

static void relay_up(void *arg, int32_t region, bool up)
{
	struct node *n = arg;
	path_relay_up(n->path, loop_now_ms(n->loop), region, up);
	node_rearm(n);
}

static void relay_peer_gone(void *arg, int32_t region, const struct node_key *who)
{
	struct node *n = arg;
	struct path_state way;
	path_relay_peer_gone(n->path, loop_now_ms(n->loop), region, who);
	for (size_t i = 0; n->map && i < n->map->n_peers; i++) {
		const struct ctl_node *peer = &n->map->peers[i]->node;
		if (key_equal(peer->key.b, who->b) &&
			path_peer_state(n->path, loop_now_ms(n->loop), (uint64_t)peer->id, &way) &&
			!way.direct)
			names_peer_gone(&n->names, peer);
	}
	node_rearm(n);
}

static void relay_latency(void *arg, int32_t region, double ms)
{
	struct node *n = arg;
	path_https_latency(n->path, loop_now_ms(n->loop), region, ms);
	node_rearm(n);
}

static void relay_received(
	void *arg, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	dataplane_relay_received(arg, region, from, p, len);
}

static void relay_flush(void *arg)
{
	dataplane_relay_flush(arg);
}

static void udp_failed(void *arg, const struct endpoint *to, int code)
{
	struct node *n = arg;
	(void)code; /* whatever the reason, this way is shut for a while */
	path_send_failed(n->path, to);
}

static void links_changed(struct node *n)
{
	struct addr local[LOCAL_MAX];
	size_t k = iface_local(n->iface, local, LOCAL_MAX);
	path_links_changed(n->path, loop_now_ms(n->loop), local, k, udp_port(n->udp));
	relays_links_changed(n->relays, local, k);
	names_links_changed(&n->names);
	if (n->server)
		server_link_try_now(n->server);
}

static void monitor_ready(void *arg, int events)
{
	struct node *n = arg;
	(void)events;
	if (nl_monitor_read(n->monitor_fd, NULL)) {
		iface_repair(n->iface);
		links_changed(n);
	}
	node_rearm(n);
}

/* --- time --- */

static void ticked(void *arg)
{
	struct node *n = arg;
	uint64_t now = loop_now_ms(n->loop);
	wg_tick(n->wg, now);
	path_tick(n->path, now);
	node_rearm(n);
}

void node_rearm(struct node *n)
{
	if (!n->tick)
		return;
	uint64_t now = loop_now_ms(n->loop);
	path_flush(n->path, now);
	uint64_t a = wg_deadline(n->wg), b = path_deadline(n->path), due = a < b ? a : b;
	if (due == UINT64_MAX)
		loop_timer_clear(n->tick);
	else
		loop_timer_set(n->tick, due > now ? due - now : 0);
}

/* --- opening --- */

/* Somebody removed the interface from under us. */
static void tun_lost(void *arg, int code)
{
	struct node *n = arg;
	log_warn("interface %s is gone (%s); making it anew", tun_name(n->tun), err_text(code));
	node_reopen(n);
}

/* Peers refuse handshakes older than our last: a clock that stepped back meanwhile must not cut us off. */
static uint64_t handshake_clock(const struct node *n)
{
	uint64_t now = (uint64_t)clock_unix_ms();
	return now > n->state.handshake_floor_ms ? now : n->state.handshake_floor_ms;
}

static int open_cores(struct node *n, struct errbuf *eb)
{
	struct path_ops po = { .send_udp = path_send_udp,
		.send_relay = path_send_relay,
		.self_changed = path_self_changed,
		.home_changed = path_home_changed,
		.way_changed = path_way_changed,
		.ping_done = path_ping_done,
		.https_probe = path_https_probe,
		.resolve = path_resolve,
		.probe_data = path_probe_data,
		.arg = n };
	struct relays_events re = { .received = relay_received,
		.flush = relay_flush,
		.up = relay_up,
		.peer_gone = relay_peer_gone,
		.latency = relay_latency,
		.arg = n };
	struct wg_ops wo = dataplane_wg_ops;
	struct node_key pub;
	uint64_t seed;
	wo.arg = n;
	key_public(n->state.node.b, pub.b);
	random_system.fill(random_system.arg, &seed, sizeof(seed));
	n->engine_key = pub;
	n->wg = wg_new(&n->state.node, &wo, &random_system);
	if (n->wg)
		wg_clock_set(n->wg, loop_now_ms(n->loop), handshake_clock(n));
	n->path = path_new(&pub, &po, &random_system);
	n->relays = relays_open(n->loop, &n->state.node, &re, &random_system);
	n->flows = filter_flows_new(seed);
	n->filter = filter_build(NULL, 0, NULL, 0);
	n->tick = loop_timer_new(n->loop, ticked, n);
	return n->wg && n->path && n->relays && n->flows && n->filter && n->tick
		       ? 0
		       : err_set(eb, -ENOMEM, "start");
}

int engine_open(struct node *n, struct errbuf *eb)
{
	struct tun_events te = { .received = dataplane_tun_received, .lost = tun_lost, .arg = n };
	struct udp_events ue = { .received = dataplane_udp_received, .send_failed = udp_failed, .arg = n };
	*eb = (struct errbuf) { 0 };
	n->monitor_fd = -1;
	n->tun = tun_open(n->loop, n->opt.tun_name, &te, eb);
	if (!n->tun)
		goto fail;
	n->iface = iface_open(tun_name(n->tun), n->opt.mtu, eb);
	n->udp = n->iface ? udp_open(n->loop, n->opt.port, &ue, eb) : NULL;
	if (!n->udp || open_cores(n, eb) != 0)
		goto fail;
	n->monitor_fd = nl_monitor_open(NULL, eb);
	n->monitor = n->monitor_fd >= 0 ? loop_fd_new(n->loop, n->monitor_fd, monitor_ready, n) : NULL;
	if (!n->monitor)
		goto fail;
	loop_fd_set(n->monitor, LOOP_READ);
	links_changed(n);
	node_rearm(n);
	return 0;
fail:
	engine_close(n);
	return eb->code ? eb->code : err_set(eb, -ENOMEM, "start");
}

void engine_close(struct node *n)
{
	loop_fd_free(n->monitor);
	if (n->monitor_fd >= 0)
		close(n->monitor_fd);
	while (n->lookups) {
		resolve_cancel(n->lookups->r);
		lookup_free(n, n->lookups);
	}
	loop_timer_free(n->tick);
	relays_close(n->relays);
	path_free(n->path);
	wg_free(n->wg);
	filter_free(n->filter);
	filter_flows_free(n->flows);
	udp_close(n->udp);
	iface_close(n->iface);
	tun_close(n->tun);
	n->n_relayed = 0;
	n->monitor = NULL;
	n->monitor_fd = -1;
	n->tick = NULL;
	n->relays = NULL;
	n->path = NULL;
	n->wg = NULL;
	n->filter = NULL;
	n->flows = NULL;
	n->udp = NULL;
	n->iface = NULL;
	n->tun = NULL;
}
