#include "mesh/node/node.h"
#include "mesh/node/nameservers.h"
#include "mesh/node/node_exit.h"
#include "mesh/node/node_hold.h"
#include "mesh/node/doors.h"
#include "mesh/node/farewell.h"
#include "mesh/node/key_end.h"
#include "mesh/base/log.h"
#include "mesh/node/links/server_link.h"
#include "mesh/node/local/local_api.h"
#include "mesh/node/host/cleanup.h"
#include "mesh/node/host/hostinfo.h"
#include "mesh/node/host/map_cache.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/node/serve/files.h"
#include "mesh/node/serve/peer_api.h"
#include "mesh/os/notify.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	REOPEN_MS = 5000,
	SAVE_AGAIN_MS = 10000,
	ODD_MAPS_SAID = 3 /* lines a second */
};

static void backend_changed(void *arg)
{
	struct node *n = arg;
	if (n->api)
		local_api_state_changed(n->api);
	notify_status(n->opt.notify, backend_text(n->backend.state));
}

static void tell_unsaved(char *kept, const char *text, size_t size)
{
	if (text[0] && strcmp(kept, text) != 0)
		log_error("%s", text);
	memcpy(kept, text, size);
}

void node_save(struct node *n)
{
	struct errbuf eb;
	char text[sizeof(n->unsaved)] = "";
	if (state_save(n->opt.state_dir, &n->state, &eb) != 0) {
		snprintf(text, sizeof(text), "%s; until this is mended, a restart loses what has changed",
			eb.text);
		if (n->save_again)
			loop_timer_set(n->save_again, SAVE_AGAIN_MS);
	}
	tell_unsaved(n->unsaved, text, sizeof(text));
}

static void save_again(void *arg)
{
	struct node *n = arg;
	if (n->unsaved[0])
		node_save(n);
}

int64_t node_server_ms(const struct node *n)
{
	return server_clock_now(&n->clock, clock_boot_ms(), clock_unix_ms());
}

/* The last map, so that the mesh is there before the server is, or without it. */
static void apply_cached(struct node *n)
{
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_map_response m;
	int err = state_map_load(n->opt.state_dir, &b, &eb);
	if (!err)
		err = ctl_map_response_read(&a, (const char *)buf_data(&b), b.len, &m, &eb);
	struct netmap *map = err ? NULL : netmap_apply(NULL, &m, node_server_ms(n), &eb);
	struct node_key pub;
	key_public(n->state.node.b, pub.b);
	if (map && !key_equal(map->self->node.key.b, pub.b)) {
		netmap_put(map);
		map = NULL;
	}
	if (map) {
		n->map_cached = true;
		log_info("using the map kept on disk: %zu peers", map->n_peers);
		apply_map(&n->apply, map);
	} else if (err && err != -ENOENT) {
		log_warn("the map kept on disk is not usable: %s", eb.text);
	}
	arena_free(&a);
	buf_free(&b);
}

/* --- the map --- */

static void watch_apply(struct node *n)
{
	uint64_t now = loop_now_ms(n->loop), due = apply_deadline(&n->apply);
	if (due == UINT64_MAX)
		loop_timer_clear(n->apply_due);
	else
		loop_timer_set(n->apply_due, due > now ? due - now : 0);
}

static void warn_key_end(struct node *n)
{
	char text[KEY_END_TEXT];
	int64_t end = n->apply.map ? n->apply.map->self->node.key_expiry_ms : INT64_MIN;
	unsigned stage = key_end_stage(end, node_server_ms(n));
	if (stage && stage != n->key_end)
		log_warn("%s", key_end_text(end, node_server_ms(n), text));
	n->key_end = stage;
}

/* Peers are let in once the rules and the addresses of the map are in force. */
static void apply_peer_api(struct node *n)
{
	if (engine_is_open(&n->engine) && n->apply.map && !apply_is_missing(&n->apply, APPLY_RULES) &&
		!apply_is_missing(&n->apply, APPLY_IFACE))
		doors_open(n);
}

static void map_applied(void *arg)
{
	struct node *n = arg;
	warn_key_end(n);
	if (!n->map_cached)
		map_cache_changed(n->map_cache, n->apply.map);
	if (apply_self_expired(&n->apply))
		backend_heard(&n->backend, BACKEND_EXPIRED);
	else if (!apply_is_missing(&n->apply, APPLY_RULES) && !apply_is_missing(&n->apply, APPLY_IFACE))
		backend_heard(&n->backend, BACKEND_MAP);
	apply_peer_api(n);
	watch_apply(n);
	engine_rearm(&n->engine);
}

static void apply_is_due(void *arg)
{
	apply_tick(&((struct node *)arg)->apply);
	warn_key_end(arg);
	watch_apply(arg);
}

/* --- what the engine tells --- */

static void engine_self_changed(void *arg)
{
	struct node *n = arg;
	if (n->server)
		server_link_update(n->server);
}

static void engine_way_changed(void *arg, uint64_t peer)
{
	(void)peer;
	names_network_changed(&((struct node *)arg)->names);
}

static void engine_peer_gone(void *arg, const struct ctl_node *peer)
{
	names_peer_gone(&((struct node *)arg)->names, peer);
}

static void engine_links_changed(void *arg)
{
	struct node *n = arg;
	node_hold_exit(n);
	exit_hold_repair(&n->hold);
	if (node_offers_exit(n)) /* what is around this machine is no part of the internet */
		apply_again(&n->apply, APPLY_RULES);
	bool others = names_links_changed(&n->names);
	nameservers_tell(&n->engine, n->os_dns);
	if (others || steps_names_differ(&n->steps))
		apply_again(&n->apply, APPLY_NAMES);
	if (n->server)
		server_link_try_now(n->server);
}

static void engine_routed(void *arg, const struct errbuf *why)
{
	apply_iface_ended(&((struct node *)arg)->apply, why);
}

static void engine_ways_moved(void *arg, const struct addr *to, size_t count)
{
	struct node *n = arg;
	if (n->server)
		server_link_ways_moved(n->server, to, count);
}

static void engine_nat64_changed(void *arg)
{
	struct node *n = arg;
	names_nat64_set(&n->names, &n->engine.nat64);
	if (n->server)
		server_link_nat64_set(n->server, &n->engine.nat64);
}

static void engine_lost(void *arg)
{
	node_reopen(arg);
}

/* --- what the server's link asks and tells --- */

static void link_describe(void *arg, struct arena *a, struct server_link_self *out)
{
	struct node *n = arg;
	hostinfo_describe(a, n->state.prefs.hostname, &out->host);
	out->host.routable_ips =
		(struct ctl_prefixes) { .v = n->state.prefs.offered, .n = n->state.prefs.n_offered };
	out->host.request_tags = state_tags(a, &n->state.prefs);
	out->host.shields_up = n->state.prefs.shields_up;
	if (!engine_is_open(&n->engine))
		return;
	out->host.services = arena_array(a, PEER_API_SERVICES, sizeof(*out->host.services));
	if (out->host.services)
		out->host.n_services = peer_api_services(n->peer_api, out->host.services);
	struct ctl_netinfo *net = arena_alloc(a, sizeof(*net));
	if (net)
		engine_describe_network(&n->engine, a, net);
	out->host.netinfo = net;
	out->disco = *path_disco_key(n->engine.path);
	out->endpoints = path_endpoints(n->engine.path);
}

static void link_server_is(void *arg, const struct machine_key *key)
{
	((struct node *)arg)->state.server = *key;
}

static bool is_engines_key(const struct node *n)
{
	struct node_key pub;
	key_public(n->state.node.b, pub.b);
	return key_equal(pub.b, n->engine.key.b);
}

/* A login anew has given another key, and the server answers to it: peers know it by now, or in a moment. What was sealed
 * by the old one was good until here. */
static bool take_key(struct node *n)
{
	struct errbuf eb = { 0 };
	if (is_engines_key(n) || !engine_is_open(&n->engine))
		return false;
	if (engine_key_set(&n->engine, &n->state.node, &eb) == 0)
		return true;
	log_warn("%s; beginning anew", eb.text);
	node_reopen(n);
	return false;
}

static bool link_accepted(void *arg, const struct node_private *key, const char *login_name)
{
	struct node *n = arg;
	n->state.node = *key;
	snprintf(n->state.login_name, sizeof(n->state.login_name), "%s", login_name);
	n->last_error[0] = 0;
	backend_heard(&n->backend, BACKEND_ACCEPTED);
	node_save(n);
	if (!is_engines_key(n)) { /* the server is asked for a map with it; then the engine takes it */
		loop_timer_set(n->relink, 0);
		return false;
	}
	if (n->apply.map)
		backend_heard(&n->backend, BACKEND_MAP);
	return true;
}

static void link_asked(void *arg, const char *auth_url)
{
	backend_asked(&((struct node *)arg)->backend, auth_url);
}

static void link_waits(void *arg)
{
	backend_heard(&((struct node *)arg)->backend, BACKEND_WAITS);
}

static void link_refused(void *arg, const char *why)
{
	struct node *n = arg;
	snprintf(n->last_error, sizeof(n->last_error), "%s", why);
	backend_heard(&n->backend, BACKEND_ASKED);
}

static void link_forgotten(void *arg, const char *why)
{
	struct node *n = arg;
	if (why)
		snprintf(n->last_error, sizeof(n->last_error), "%s", why);
	backend_heard(&n->backend, BACKEND_FORGOTTEN);
}

static void warn_problems(struct node *n, const struct netmap *m)
{
	const struct netmap *old = n->apply.map;
	if (m->n_problems && (!old || old->problems != m->problems) &&
		log_allowed(&n->odd_maps, ODD_MAPS_SAID, loop_now_ms(n->loop)))
		log_warn("control: not used of the map: %s%s", m->problems[0].text,
			m->n_problems > 1 ? ", and more: see status" : "");
}

static int link_map(void *arg, const struct ctl_map_response *m, bool first, struct errbuf *eb)
{
	struct node *n = arg;
	server_clock_told(&n->clock, m->control_time_ms, clock_boot_ms());
	struct netmap *next = netmap_apply(first ? NULL : n->apply.map, m, node_server_ms(n), eb);
	if (!next)
		return eb->code;
	warn_problems(n, next);
	n->map_cached = false;
	if (take_key(n))
		apply_anew(&n->apply, next);
	else
		apply_map(&n->apply, next);
	return 0;
}

static void link_up(void *arg, bool up, const struct endpoint *at)
{
	struct node *n = arg;
	engine_server_up(&n->engine, up);
	if (at && engine_is_open(&n->engine))
		engine_way_used(&n->engine, &at->ip);
	if (at && !server_link_is_proxied(n->server) && state_server_reached(&n->state, &at->ip))
		node_save(n);
}

/* Official clients drop the WireGuard sessions of a peer whose disco key is new to them, and the peer cannot
 * know: what was made before the server told them our key is made again. */
static void link_told(void *arg, uint64_t since_ms)
{
	engine_sessions_renew(&((struct node *)arg)->engine, since_ms);
}

static struct server_link *open_link(struct node *n)
{
	struct server_link_ops ops = { .describe = link_describe,
		.server_is = link_server_is,
		.accepted = link_accepted,
		.asked = link_asked,
		.waits = link_waits,
		.refused = link_refused,
		.forgotten = link_forgotten,
		.map = link_map,
		.up = link_up,
		.told = link_told,
		.ping = doors_server_asks,
		.proxies = n->opt.proxies,
		.arg = n };
	return server_link_open(n->loop, &n->state, &ops);
}

static int open_engine(struct node *n, struct errbuf *eb)
{
	struct engine_config cfg = { .loop = n->loop,
		.tun_name = n->opt.tun_name,
		.port = n->opt.port,
		.mtu = n->opt.mtu,
		.data_threads = n->opt.data_threads,
		.capture = n->capture,
		.journal = n->journal,
		.proxies = n->opt.proxies,
		.us = &n->state.node,
		.handshake_floor_ms = n->state.handshake_floor_ms };
	struct engine_events ev = { .self_changed = engine_self_changed,
		.way_changed = engine_way_changed,
		.peer_gone = engine_peer_gone,
		.ping_done = doors_ping_done,
		.echo_answered = doors_echo_answered,
		.ways_moved = engine_ways_moved,
		.links_changed = engine_links_changed,
		.routed = engine_routed,
		.nat64_changed = engine_nat64_changed,
		.lost = engine_lost,
		.arg = n };
	return engine_open(&n->engine, &cfg, &ev, eb);
}

/* --- up and down --- */

static int bring_up(struct node *n, struct errbuf *eb)
{
	if (engine_is_open(&n->engine))
		return 0;
	if (key_is_zero(n->state.node.b)) {
		key_generate(&random_system, n->state.node.b);
		backend_heard(&n->backend, BACKEND_FORGOTTEN);
	}
	int err = open_engine(n, eb);
	if (err)
		return err;
	nameservers_tell(&n->engine, n->os_dns);
	backend_heard(&n->backend, BACKEND_UP);
	if (n->state.logged_in)
		apply_cached(n);
	n->server = open_link(n);
	engine_nat64_changed(n);
	return n->server ? 0 : err_set(eb, -ENOMEM, "start");
}

static void bring_down(struct node *n)
{
	uint64_t floor_ms = engine_handshake_floor(&n->engine);
	if (n->reopen)
		loop_timer_clear(n->reopen);
	if (n->relink)
		loop_timer_clear(n->relink);
	if (floor_ms > n->state.handshake_floor_ms) {
		n->state.handshake_floor_ms = floor_ms;
		node_save(n);
	}
	server_link_close(n->server);
	n->server = NULL;
	if (n->map_cache)
		map_cache_flush(n->map_cache);
	doors_shut(n);
	if (engine_is_open(&n->engine))
		apply_nothing(&n->apply);
	if (n->apply_due)
		loop_timer_clear(n->apply_due);
	engine_close(&n->engine);
}

static void stay_down(struct node *n, const struct errbuf *eb)
{
	snprintf(n->last_error, sizeof(n->last_error), "%s", eb->text);
	log_error("%s", eb->text);
	bring_down(n);
	backend_heard(&n->backend, BACKEND_DOWN);
}

/* By the new key, from outside of the link that got it. */
static void relink(void *arg)
{
	struct node *n = arg;
	struct errbuf eb = { 0 };
	if (!n->server)
		return;
	server_link_close(n->server);
	n->server = open_link(n);
	if (!n->server) {
		err_set(&eb, -ENOMEM, "start");
		stay_down(n, &eb);
		return;
	}
	engine_nat64_changed(n);
}

static void reopen(void *arg)
{
	struct node *n = arg;
	struct errbuf eb = { 0 };
	if (!n->state.prefs.want_running)
		return;
	struct node_hold h = { .steps = &n->steps, .apply = &n->apply, .journal = n->journal };
	node_hold_begin(&h);
	bring_down(n);
	int err = bring_up(n, &eb);
	node_hold_end(&h);
	if (err) {
		stay_down(n, &eb);
		loop_timer_set(n->reopen, REOPEN_MS);
	} else {
		n->last_error[0] = 0;
	}
}

void node_reopen(struct node *n)
{
	loop_timer_set(n->reopen, 0);
}

/* The machine's nameservers are others, or a zone is made that names wait for. */
static void names_again(void *arg)
{
	struct node *n = arg;
	nameservers_tell(&n->engine, n->os_dns);
	apply_again(&n->apply, APPLY_NAMES);
}

/* The server has been told, or could not be: this machine forgets in any case. */
static void logged_out(void *arg)
{
	struct node *n = arg;
	bring_down(n);
	key_wipe(&n->state.node, sizeof(n->state.node));
	n->state.server = n->state.prefs.server_pin = (struct machine_key) { 0 };
	n->clock = (struct server_clock) { 0 };
	n->state.prefs.want_running = false;
	node_hold_exit(n);
	n->state.login_name[0] = n->last_error[0] = 0;
	map_cache_forget(n->map_cache);
	keeper_forget(n->names.keeper);
	backend_heard(&n->backend, BACKEND_LOGGED_OUT);
	node_save(n);
}

/* In this order: what another daemon may own is touched only when it is ours. */
static int open_all(struct node *n, struct errbuf *eb)
{
	int err = tun_check(eb);
	if (!err)
		err = n->state_lock = state_lock(n->opt.state_dir, eb);
	if (err >= 0)
		err = state_load(n->opt.state_dir, &random_system, &n->state, eb);
	if (err)
		return err;
	n->map_cache = map_cache_open(n->loop, n->opt.state_dir);
	n->reopen = loop_timer_new(n->loop, reopen, n);
	n->relink = loop_timer_new(n->loop, relink, n);
	n->forget = loop_timer_new(n->loop, logged_out, n);
	n->save_again = loop_timer_new(n->loop, save_again, n);
	n->apply_due = loop_timer_new(n->loop, apply_is_due, n);
	if (!n->save_again || !n->apply_due || !n->map_cache || !n->reopen || !n->relink || !n->forget)
		return err_set(eb, -ENOMEM, "start");
	n->files = files_open(n->loop, n->opt.state_dir, eb);
	if (!n->files)
		log_warn("%s; peers send no files to this machine until it is mended and ropewalkd started "
			 "anew",
			eb->text);
	if (!doors_make(n))
		return err_set(eb, -ENOMEM, "start");
	n->api = local_api_open(n->loop, n->opt.socket, n->opt.answers, eb);
	if (!n->api)
		return eb->code;
	n->journal = journal_open(n->opt.state_dir, eb);
	if (!n->journal)
		return eb->code;
	node_hold_exit(n);
	if (cleanup_run(n->loop, n->journal, node_wants_exit(n) ? HOLD_TABLE : 0, eb) != 0)
		log_warn("%s", eb->text);
	struct dns_places places;
	dns_places_system(&places, n->opt.resolv_conf);
	n->os_dns = os_dns_open(n->loop, &places, names_again, n);
	if (!n->os_dns)
		return err_set(eb, -ENOMEM, "start");
	n->names = (struct names) { .loop = n->loop,
		.made = names_again,
		.arg = n,
		.os_dns = n->os_dns,
		.prefs = &n->state.prefs,
		.state_dir = n->opt.state_dir,
		.validation.anchors = n->opt.anchors,
		.clients.opt = n->opt.clients };
	if (!names_keep(&n->names, n->opt.keep_dns_cache))
		return err_set(eb, -ENOMEM, "start");
	if (!iface_service_taken())
		os_dns_recover(n->os_dns); /* of a version that kept no journal */
	journal_add_resolv_conf(n->journal, n->opt.resolv_conf);
	backend_heard(&n->backend, n->state.logged_in ? BACKEND_DOWN : BACKEND_LOGGED_OUT);
	return n->state.prefs.want_running ? bring_up(n, eb) : 0;
}

int node_open(struct node *n, struct loop *l, const struct node_options *opt, struct errbuf *eb)
{
	*n = (struct node) { .loop = l, .opt = *opt, .state_lock = -1 };
	key_lock(&n->state, sizeof(n->state));
	backend_init(&n->backend, &n->state.logged_in, backend_changed, n);
	n->steps = (struct steps) { .engine = &n->engine,
		.names = &n->names,
		.prefs = &n->state.prefs,
		.clock = &n->clock,
		.changed = map_applied,
		.arg = n };
	struct apply_ops ops = steps_ops(&n->steps);
	apply_init(&n->apply, &ops);
	int err = open_all(n, eb);
	if (err)
		node_close(n);
	return err;
}

void node_close(struct node *n)
{
	bring_down(n);
	farewell_close(n->farewell);
	local_api_close(n->api);
	doors_free(n);
	files_close(n->files);
	os_dns_close(n->os_dns);
	if (n->os_dns)
		journal_remove_resolv_conf(n->journal, n->opt.resolv_conf);
	exit_hold_off(&n->hold);
	journal_close(n->journal);
	map_cache_close(n->map_cache);
	names_keep_end(&n->names);
	loop_timer_free(n->reopen);
	loop_timer_free(n->relink);
	loop_timer_free(n->forget);
	loop_timer_free(n->save_again);
	loop_timer_free(n->apply_due);
	state_wipe(&n->state);
	if (n->state_lock >= 0)
		close(n->state_lock);
	n->state_lock = -1;
	n->api = NULL;
	n->peer_api = NULL;
	n->files = NULL;
	n->os_dns = NULL;
	n->journal = NULL;
	n->map_cache = NULL;
	n->farewell = NULL;
	n->reopen = n->relink = n->forget = n->save_again = n->apply_due = NULL;
}

void node_reload(struct node *n)
{
	log_info("reload: looking at this machine anew");
	notify_reloading(n->opt.notify);
	names_reload(&n->names);
	if (engine_is_open(&n->engine))
		engine_look_again(&n->engine);
	notify_ready(n->opt.notify, NULL);
}

static void node_prefs_changed(struct node *n)
{
	struct errbuf eb = { 0 };
	node_save(n);
	if (!n->state.prefs.want_running) {
		n->last_error[0] = 0;
		bring_down(n);
		backend_heard(&n->backend, BACKEND_DOWN);
		return;
	}
	if (engine_is_open(&n->engine)) {
		apply_again(&n->apply, APPLY_RULES);
		apply_again(&n->apply, APPLY_NETS);
		apply_again(&n->apply, APPLY_NAMES);
		server_link_update(n->server);
	} else if (bring_up(n, &eb) != 0) {
		stay_down(n, &eb);
	}
}

/* What the old server gave is of no use at another. */
static void leave_network(struct node *n)
{
	if (n->state.logged_in) {
		farewell_close(n->farewell);
		n->farewell = farewell_say(n->loop, &n->state, n->opt.proxies);
	}
	if (n->state.prefs.want_running) {
		n->state.prefs.want_running = false;
		node_prefs_changed(n);
	}
	n->state.server = (struct machine_key) { 0 };
	n->clock = (struct server_clock) { 0 };
	if (!n->state.logged_in)
		return;
	backend_heard(&n->backend, BACKEND_FORGOTTEN);
	key_wipe(&n->state.node, sizeof(n->state.node));
	map_cache_forget(n->map_cache);
	keeper_forget(n->names.keeper);
}

void node_prefs_set(struct node *n, const struct state_prefs *p)
{
	n->last_error[0] = 0;
	if (!url_same(n->state.prefs.control_url, p->control_url))
		leave_network(n);
	n->state.prefs = *p;
	if (node_wants_exit(n))
		node_hold_exit(n);
	node_prefs_changed(n);
	node_hold_exit(n);
}

void node_login(struct node *n, const char *auth_key)
{
	if (!n->server)
		return; /* it could not start: last_error says why */
	n->last_error[0] = 0;
	backend_asked(&n->backend,
		""); /* a page of before is nobody's any more; the engine goes on with what there is */
	server_link_login(n->server, auth_key, n->state.login_name[0] || n->apply.map);
}

/* The answer comes out of the link that forgetting closes. */
static void server_told(void *arg)
{
	struct node *n = arg;
	loop_timer_set(n->forget, 0);
}

void node_logout(struct node *n)
{
	if (n->server && (n->state.logged_in || server_link_is_shown(n->server)))
		server_link_logout(n->server, server_told, n);
	else
		logged_out(n);
}
