#include "mesh/node/status.h"
#include "mesh/netmap/exits.h"
#include "mesh/base/aead.h"
#include "mesh/base/text.h"
#include "mesh/node/key_end.h"
#include "mesh/node/links/server_link.h"
#include "mesh/node/host/forwarding.h"
#include "mesh/node/host/map_cache.h"
#include "mesh/node/links/relays.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/transport/proxy.h"
#include <stdio.h>
#include <string.h>

/* The cores count in monotonic time; people read the wall clock. 0 = never. */
static int64_t wall(struct node *n, uint64_t mono_ms)
{
	return mono_ms ? clock_unix_ms() - (int64_t)(loop_now_ms(n->loop) - mono_ms) : INT64_MIN;
}

static void add_addresses(struct arena *a, const struct ctl_prefixes *p, struct addr **out, size_t *n)
{
	*out = arena_array(a, p->n, sizeof(**out));
	*n = *out ? p->n : 0;
	for (size_t i = 0; i < *n; i++)
		(*out)[i] = p->v[i].ip;
}

static void describe_node(struct arena *a, const struct ctl_node *c, struct api_peer *out)
{
	const char *dot = strchr(c->name, '.');
	*out = (struct api_peer) { .stable_id = c->stable_id,
		.dns_name = c->name,
		.os = c->hostinfo.os,
		.node_id = c->id,
		.user_id = c->user,
		.key = c->key,
		.cur_addr = "",
		.relay = "",
		.why = "",
		.created_ms = c->created_ms,
		.last_seen_ms = c->last_seen_ms,
		.key_expiry_ms = c->key_expiry_ms,
		.expired = c->expired,
		.last_write_ms = INT64_MIN,
		.last_handshake_ms = INT64_MIN,
		.in_network_map = true,
		.online = c->online == OPT_TRUE,
		.allowed = c->allowed_ips.v,
		.n_allowed = c->allowed_ips.n,
		.tags = c->tags,
		.primary_routes = c->primary_routes,
		.cap_map_json = c->cap_map_json,
		.location = c->hostinfo.location,
		.exit_node_option = netmap_is_exit(c),
		.addrs = c->endpoints.v,
		.n_addrs = c->endpoints.n };
	out->host_name = c->hostinfo.hostname && c->hostinfo.hostname[0] ? c->hostinfo.hostname
			 : dot ? arena_strndup(a, c->name, (size_t)(dot - c->name))
			       : c->name;
	add_addresses(a, &c->addresses, &out->ips, &out->n_ips);
}

static void describe_path(struct node *n, struct arena *a, const struct ctl_node *c, struct api_peer *out)
{
	struct path_state ps;
	if (!path_peer_state(n->engine.path, loop_now_ms(n->loop), (uint64_t)c->id, &ps))
		return;
	out->active = ps.active;
	out->why = arena_strdup(a, ps.why);
	if (ps.direct) {
		char *text = arena_alloc(a, ENDPOINT_TEXT);
		out->cur_addr = text ? endpoint_format(&ps.at, text) : "";
	} else if (ps.region) {
		out->relay = relays_region_code(n->engine.relays, ps.region);
	}
}

static void describe_sharing(struct node *n, struct arena *a, const struct ctl_node *c, struct api_peer *out)
{
	struct endpoint at;
	char text[ENDPOINT_TEXT];
	const struct netmap *m = n->apply.map;
	out->file_target = (int32_t)sharing_target(m, c, n->backend.state == BACKEND_RUNNING);
	if (!m || !sharing_api_at(m, c, &at))
		return;
	out->peer_api_urls.v = arena_array(a, 1, sizeof(char *));
	if (out->peer_api_urls.v)
		out->peer_api_urls.v[out->peer_api_urls.n++] =
			arena_printf(a, "http://%s", endpoint_format(&at, text));
}

void status_peer(struct node *n, const struct netmap_peer *p, struct arena *a, struct api_peer *out)
{
	struct wg_peer_stats ws;
	const struct ctl_node *c = &p->node;
	describe_node(a, c, out);
	out->expired = netmap_peer_expired(p, node_server_ms(n));
	out->exit_node = n->steps.nets.exit == c->id;
	describe_sharing(n, a, c, out);
	if (!n->engine.path)
		return;
	out->relay = relays_region_code(n->engine.relays, c->home_derp);
	describe_path(n, a, c, out);
	if (wg_peer_stats(n->engine.plane.wg, (uint64_t)c->id, &ws)) {
		out->in_engine = true;
		out->rx_bytes = ws.rx_bytes;
		out->tx_bytes = ws.tx_bytes;
		out->last_handshake_ms = wall(n, ws.last_handshake_ms);
		out->last_write_ms = wall(n, ws.last_tx_ms);
	}
}

static void add_drop(struct api_status *s, const char *name, uint64_t count)
{
	s->drops[s->n_drops++] = (struct api_drop) { .name = name, .n = count };
}

static void add_drops(struct node *n, struct arena *a, struct api_status *s)
{
	enum {
		TOTAL = (sizeof(struct plane_drops) + 2 * sizeof(uint64_t) + sizeof(struct wg_drops) +
				sizeof(struct path_drops) + sizeof(struct portmap_drops) +
				sizeof(struct filter_drops) + sizeof(struct tun_drops) +
				sizeof(struct udp_drops)) /
			sizeof(uint64_t)
	};
	s->drops = arena_array(a, TOTAL, sizeof(*s->drops));
	if (!s->drops || !n->engine.plane.wg)
		return;
	static const struct udp_drops none;
	const struct wg_drops *w = wg_drops(n->engine.plane.wg);
	const struct path_drops *p = path_drops(n->engine.path);
	const struct tun_drops *t = tun_drops(n->engine.tun);
	const struct udp_drops *u = udp_drops(n->engine.udp);
	const struct udp_drops *second = n->engine.spare ? udp_drops(n->engine.spare) : &none;
#define X(name) add_drop(s, "node." #name, n->engine.plane.drops.name);
	PLANE_DROPS(X)
#undef X
	add_drop(s, "node.relay_queue_full", relays_dropped(n->engine.relays));
	add_drop(s, "node.relay_queue_old", relays_dropped_old(n->engine.relays));
#define X(name) add_drop(s, "wg." #name, w->name);
	WG_DROPS(X)
#undef X
#define X(name) add_drop(s, "path." #name, p->name);
	PATH_DROPS(X)
#undef X
#define X(name) \
	add_drop(s, "router." #name, \
		router_link_state(n->engine.router)->drops.name + \
			router_link_state6(n->engine.router)->drops.name);
	PORTMAP_DROPS(X)
#undef X
#define X(name) add_drop(s, "filter." #name, n->engine.plane.filter_drops.name);
	FILTER_DROPS(X)
#undef X
#define X(name) add_drop(s, "tun." #name, t->name);
	TUN_DROPS(X)
#undef X
#define X(name) add_drop(s, "udp." #name, u->name + second->name);
	UDP_DROPS(X)
#undef X
}

/* All of them, and one line for people: the first says what kind it is. */
static void add_problems(const struct netmap *m, struct arena *a, struct api_status *s)
{
	size_t all = m ? m->n_problems + m->more_problems : 0;
	if (!all)
		return;
	s->problems = arena_array(a, m->n_problems, sizeof(*s->problems));
	for (size_t i = 0; s->problems && i < m->n_problems; i++)
		s->problems[s->n_problems++] = m->problems[i].text;
	const char *line =
		all == 1
			? arena_printf(a, "not used of what the control server sent: %s", m->problems[0].text)
			: arena_printf(a,
				  "not used of what the control server sent: %s; and %zu more (Problems in "
				  "status --json)",
				  m->problems[0].text, all - 1);
	if (line)
		s->health[s->n_health++] = line;
}

static void add_exit_health(struct node *n, struct arena *a, struct api_status *s)
{
	const char *who = n->state.prefs.exit_node;
	char *filtered = arena_alloc(a, FORWARDING_TEXT);
	if (!who[0] || !n->apply.map)
		return;
	const char *line =
		n->steps.nets.exit
			? NULL
			: arena_printf(a,
				  "the exit %s is not there, or may not be one: nothing leaves this machine "
				  "but by the mesh (`ropewalk set --exit-node=` uses none)",
				  who);
	if (line)
		s->health[s->n_health++] = line;
	if (filtered && forwarding_exit_problem(filtered))
		s->health[s->n_health++] = filtered;
}

static void add_clock_health(struct node *n, struct arena *a, struct api_status *s)
{
	char span[TEXT_COUNT];
	uint64_t apart_ms = server_clock_apart(&n->clock, clock_boot_ms(), clock_unix_ms());
	const char *line =
		apart_ms ? arena_printf(a,
				   API_CLOCKS "%s apart: set the one that is wrong (`timedatectl` says "
					      "whether this one is kept right); certificates are "
					      "judged by the clock of who looks at them",
				   text_span(apart_ms, span))
			 : NULL;
	if (line)
		s->health[s->n_health++] = line;
}

static void add_health(struct node *n, struct arena *a, struct api_status *s)
{
	enum { OWN_LINES = 25 + APPLY_STEPS, RING_TEXT = 256 }; /* the ifs below */
	size_t from_map = n->apply.map ? n->apply.map->n_health : 0;
	s->health = arena_array(a, from_map + OWN_LINES, sizeof(*s->health));
	if (!s->health)
		return;
	if (apply_self_expired(&n->apply))
		s->health[s->n_health++] = API_EXPIRED;
	if (n->last_error[0])
		s->health[s->n_health++] = n->last_error;
	add_clock_health(n, a, s);
	if (n->state.prefs.shields_up)
		s->health[s->n_health++] = "shields are up: nothing is let in that this machine has not "
					   "asked for (`ropewalk set "
					   "--shields-up=false` lowers them)";
	if (n->unsaved[0])
		s->health[s->n_health++] = n->unsaved;
	if (n->map_cache && map_cache_unsaved(n->map_cache)[0])
		s->health[s->n_health++] = map_cache_unsaved(n->map_cache);
	for (size_t i = 0; i < APPLY_STEPS; i++)
		if (n->apply.why[i][0])
			s->health[s->n_health++] = n->apply.why[i];
	if (n->names.odd_dns[0])
		s->health[s->n_health++] = n->names.odd_dns;
	if (blocking_trouble(&n->names.blocking)[0])
		s->health[s->n_health++] = blocking_trouble(&n->names.blocking);
	if (n->names.clients.trouble[0])
		s->health[s->n_health++] = n->names.clients.trouble;
	char *key_end = arena_alloc(a, KEY_END_TEXT);
	if (key_end && n->apply.map &&
		*key_end_text(n->apply.map->self->node.key_expiry_ms, node_server_ms(n), key_end))
		s->health[s->n_health++] = key_end;
	char *ring = arena_alloc(a, RING_TEXT);
	if (ring && names_ring(&n->names, ring, RING_TEXT))
		s->health[s->n_health++] = ring;
	if (n->engine.relays && relays_trouble(n->engine.relays)[0])
		s->health[s->n_health++] = relays_trouble(n->engine.relays);
	if (n->engine.iface && iface_unguarded(n->engine.iface)[0])
		s->health[s->n_health++] = iface_unguarded(n->engine.iface);
	if (n->engine.iface && iface_conflict(n->engine.iface)[0])
		s->health[s->n_health++] = iface_conflict(n->engine.iface);
	if (n->engine.iface && iface_overlap(n->engine.iface)[0])
		s->health[s->n_health++] = iface_overlap(n->engine.iface);
	if (n->unheld[0])
		s->health[s->n_health++] = n->unheld;
	add_exit_health(n, a, s);
	char *forwarding = arena_alloc(a, FORWARDING_TEXT);
	if (forwarding && forwarding_problem(n->state.prefs.offered, n->state.prefs.n_offered, forwarding))
		s->health[s->n_health++] = forwarding;
	char *firewall = arena_alloc(a, FORWARDING_TEXT);
	if (firewall && n->state.prefs.n_offered && engine_is_open(&n->engine) &&
		forwarding_firewall_problem(
			n->state.prefs.offered, n->state.prefs.n_offered, tun_name(n->engine.tun), firewall))
		s->health[s->n_health++] = firewall;
	if (n->server && !server_link_connected(n->server) && server_link_waiting_for(n->server)[0] &&
		strcmp(server_link_waiting_for(n->server), n->last_error) != 0)
		s->health[s->n_health++] = server_link_waiting_for(n->server);
	if (n->opt.proxies && n->opt.proxies->fault[0])
		s->health[s->n_health++] = n->opt.proxies->fault;
	if (n->server && server_link_portal(n->server))
		s->health[s->n_health++] = server_link_portal(n->server);
	for (size_t i = 0; i < from_map; i++)
		s->health[s->n_health++] = n->apply.map->health[i];
	add_problems(n->apply.map, a, s);
}

static void add_exit(struct node *n, struct arena *a, struct api_status *s)
{
	const struct netmap_peer *p =
		n->steps.nets.exit ? netmap_peer_by_id(n->apply.map, n->steps.nets.exit) : NULL;
	struct api_exit *e = p ? arena_array(a, 1, sizeof(*e)) : NULL;
	if (!e)
		return;
	*e = (struct api_exit) {
		.id = p->node.stable_id, .online = p->node.online == OPT_TRUE, .ips = p->node.addresses
	};
	s->exit = e;
}

static void add_map(struct node *n, struct arena *a, struct api_status *s)
{
	const struct netmap *m = n->apply.map;
	describe_node(a, &m->self->node, &s->self);
	s->self.online = n->server && server_link_connected(n->server);
	if (n->engine.path) {
		struct ctl_endpoints e = path_endpoints(n->engine.path);
		s->self.relay = relays_region_code(n->engine.relays, path_home(n->engine.path));
		s->self.addrs = e.v;
		s->self.n_addrs = e.n;
	}
	s->ips = s->self.ips;
	s->n_ips = s->self.n_ips;
	const char *dot = strchr(m->self->node.name, '.');
	s->magic_suffix =
		dot ? arena_strndup(a, dot + 1, strlen(dot + 1) - (dot[strlen(dot) - 1] == '.')) : "";
	s->magic_dns = m->dns && m->dns->proxied;
	s->tailnet = m->domain;
	s->users = arena_array(a, m->n_users, sizeof(*s->users));
	for (size_t i = 0; s->users && i < m->n_users; i++)
		s->users[s->n_users++] = (struct api_user) { .id = m->users[i].id,
			.login_name = m->users[i].login_name,
			.display_name = m->users[i].display_name,
			.profile_pic = m->users[i].profile_pic };
	if (m->dns) {
		s->extra = m->dns->extra;
		s->n_extra = m->dns->n_extra;
	}
	s->self.expired = apply_self_expired(&n->apply);
	add_exit(n, a, s);
}

static struct api_data_path data_path(struct node *n)
{
	struct engine *e = &n->engine;
	struct outward_figures second = outward_figures(e->outward);
	struct tun_offloads tun = e->tun ? tun_offloads(e->tun) : (struct tun_offloads) { 0 };
	struct udp_offloads udp = e->udp ? udp_offloads(e->udp) : (struct udp_offloads) { 0 };
	return (struct api_data_path) { .threads = e->outward ? 2 : 1,
		.second_runs = second.on,
		.second_packets = second.packets,
		.tso = tun.tcp,
		.uso = tun.udp,
		.gso = udp.gso,
		.gro = udp.gro };
}

void status_make(struct node *n, struct arena *a, struct api_status *s)
{
	*s = (struct api_status) { .version = RW_VERSION,
		.backend_state = backend_text(n->backend.state),
		.auth_url = n->backend.auth_url,
		.tun = true,
		.have_node_key = !key_is_zero(n->state.node.b),
		.magic_suffix = "",
		.tailnet = "",
		.control = "",
		.aead = aead_chosen() };
	s->self = (struct api_peer) { .stable_id = "",
		.host_name = n->state.prefs.hostname,
		.dns_name = "",
		.os = "linux",
		.cur_addr = "",
		.relay = "",
		.why = "",
		.created_ms = INT64_MIN,
		.last_seen_ms = INT64_MIN,
		.key_expiry_ms = INT64_MIN,
		.last_write_ms = INT64_MIN,
		.last_handshake_ms = INT64_MIN };
	if (!key_is_zero(n->state.node.b))
		key_public(n->state.node.b, s->self.key.b);
	if (n->server)
		s->control =
			server_link_connected(n->server) ? "connected" : server_link_waiting_for(n->server);
	outward_settle(n->engine.outward);
	s->data = data_path(n);
	add_health(n, a, s);
	add_drops(n, a, s);
	if (n->apply.map)
		add_map(n, a, s);
}
