#include "mesh/node/links/relays.h"
#include "mesh/base/buf.h"
#include "mesh/base/log.h"
#include "mesh/base/table.h"
#include "mesh/proto/control_copy.h"
#include "mesh/node/links/relay_link.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TROUBLE_TRIES = 4 };
/* The relay's own word comes each minute, and a NAT's TCP mappings mostly live for much longer. Where they do
 * not, a connection that looks well carries nothing to us until we speak: once lost so, it is kept busier. */
enum { IDLE_S = 25, IDLE_SHORT_S = 12 };
enum { IDLE_CLOSE_MS = 60000, SWEEP_MS = 15000, BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 5000 };

struct region {
	struct relays *all;
	int32_t id;
	bool listed;		     /* by the map that is being taken */
	struct ctl_derp_region *def; /* in all->map; NULL = left the map */
	struct relay_link *link;     /* NULL = not connected nor connecting */
	struct loop_timer *retry;
	uint64_t backoff_ms, last_send_ms, ready_ms;
	int idle_s;
	size_t tries;	 /* since the last that came up: the next relay of the region each time */
	bool up, wanted; /* wanted: home, or packets were sent lately */
	struct http_client *probe;
	uint64_t probe_at_ns;
};

struct relays {
	struct loop *loop;
	struct node_private us;
	struct node_key pub;
	struct relays_events ev;
	const struct random *rnd;
	struct arena arena;
	struct ctl_derp_map *map;
	struct region **regions;
	size_t n_regions, room;
	struct table by_id; /* the same */
	int32_t home;
	struct loop_timer *sweep;
	uint64_t dropped, dropped_old;
	struct nat64 nat64;
	const struct proxies *proxies;
	size_t failed;	   /* tries in a row, of all regions, since one was up */
	char trouble[256]; /* the last of them, in words */
};

static struct region *relays_find(const struct relays *r, int32_t id)
{
	return table_get(&r->by_id, &id);
}

/* The relay to try now; NULL when the region has none. */
static const struct ctl_derp_node *usable_node(const struct region *g)
{
	size_t n = g->def ? g->def->n_nodes : 0;
	for (size_t i = 0; i < n; i++) {
		const struct ctl_derp_node *node = &g->def->nodes[(g->tries + i) % n];
		if (!node->stun_only)
			return node;
	}
	return NULL;
}

static enum relay_by by_of(const struct region *g)
{
	return (enum relay_by)(g->tries / g->def->n_nodes % RELAY_BYS);
}

static void disconnect(struct region *g)
{
	relay_link_close(g->link);
	g->link = NULL;
	bool was = g->up;
	g->up = false;
	loop_timer_clear(g->retry);
	if (was)
		g->all->ev.up(g->all->ev.arg, g->id, false);
}

static void connect_region(struct region *g);

static void retry_due(void *arg)
{
	struct region *g = arg;
	if (g->wanted)
		connect_region(g);
}

static void retry_later(struct region *g)
{
	g->backoff_ms = g->backoff_ms ? g->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (g->backoff_ms > BACKOFF_MAX_MS)
		g->backoff_ms = BACKOFF_MAX_MS;
	uint8_t jitter;
	g->all->rnd->fill(g->all->rnd->arg, &jitter, 1);
	loop_timer_set(g->retry, g->backoff_ms + g->backoff_ms * jitter / 1024);
}

static void link_ready(void *arg)
{
	struct region *g = arg;
	log_info("relay %s: connected", g->def ? g->def->code : "?");
	g->backoff_ms = 0;
	g->ready_ms = loop_now_ms(g->all->loop);
	/* The way that worked is the first to try next time. */
	g->tries = g->def ? by_of(g) * g->def->n_nodes : 0;
	g->all->failed = 0;
	g->up = true;
	if (g->id == g->all->home)
		relay_link_note_preferred(g->link, true);
	g->all->ev.up(g->all->ev.arg, g->id, true);
}

static void note_failure(struct region *g, const char *why)
{
	struct relays *r = g->all;
	if (!g->up) {
		r->failed++;
		snprintf(r->trouble, sizeof(r->trouble), "no relay can be reached: %s", why);
	}
}

static void link_closed(void *arg, int code, const char *why)
{
	struct region *g = arg;
	bool no_route = !g->up && (code == -ENETUNREACH || code == -EHOSTUNREACH || code == -EADDRNOTAVAIL);
	log_info("relay %s: %s", g->def ? g->def->code : "?", why);
	note_failure(g, why);
	if (g->up && (code == -ECONNRESET || code == -ETIMEDOUT) &&
		loop_now_ms(g->all->loop) - g->ready_ms >= (uint64_t)IDLE_S * 1000)
		g->idle_s = IDLE_SHORT_S;
	relay_link_close(g->link);
	g->link = NULL;
	g->tries += !g->up;
	g->up = false;
	/* An address of a family that we lack: the other ways to the relay at once, the round after them
	 * later. */
	bool more = g->def && g->def->n_nodes && g->tries % (g->def->n_nodes * RELAY_BYS) != 0;
	if (g->wanted && no_route && more)
		loop_timer_set(g->retry, 0);
	else if (g->wanted)
		retry_later(g);
	/* After the retry is set: the listener may take the region away. */
	g->all->ev.up(g->all->ev.arg, g->id, false);
}

static void link_received(void *arg, const struct node_key *from, const uint8_t *p, size_t len)
{
	struct region *g = arg;
	g->all->ev.received(g->all->ev.arg, g->id, from, p, len);
}

static void link_flush(void *arg)
{
	struct region *g = arg;
	g->all->ev.flush(g->all->ev.arg);
}

static void link_aged(void *arg, uint64_t n)
{
	struct region *g = arg;
	g->all->dropped_old += n;
}

static void link_gone(void *arg, const struct node_key *who)
{
	struct region *g = arg;
	g->all->ev.peer_gone(g->all->ev.arg, g->id, who);
}

static void connect_region(struct region *g)
{
	const struct ctl_derp_node *node = usable_node(g);
	if (g->link || !node)
		return;
	struct relay_link_events ev = { .ready = link_ready,
		.received = link_received,
		.flush = link_flush,
		.peer_gone = link_gone,
		.aged = link_aged,
		.closed = link_closed,
		.arg = g };
	/* A round over the region's relays for each enum relay_by. */
	struct relay_link_config cfg = { .node = node,
		.by = by_of(g),
		.idle_s = g->idle_s,
		.nat64 = &g->all->nat64,
		.proxies = g->all->proxies,
		.us = &g->all->us,
		.us_pub = &g->all->pub,
		.rnd = g->all->rnd };
	g->link = relay_link_open(g->all->loop, &cfg, &ev);
	if (!g->link) {
		g->tries++;
		retry_later(g);
	}
}

static void sweep(void *arg)
{
	struct relays *r = arg;
	uint64_t now = loop_now_ms(r->loop);
	for (size_t i = 0; i < r->n_regions; i++) {
		struct region *g = r->regions[i];
		if (g->id == r->home || now - g->last_send_ms < IDLE_CLOSE_MS)
			continue;
		g->wanted = false;
		if (g->link)
			disconnect(g);
	}
	loop_timer_set(r->sweep, SWEEP_MS);
}

struct relays *relays_open(struct loop *l, const struct node_private *us, const struct relays_events *ev,
	const struct random *rnd)
{
	struct relays *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	uint64_t seed;
	rnd->fill(rnd->arg, &seed, sizeof(seed));
	table_init_inside(&r->by_id, sizeof(int32_t), offsetof(struct region, id), seed);
	r->loop = l;
	key_lock(&r->us, sizeof(r->us));
	r->us = *us;
	key_public(us->b, r->pub.b);
	r->ev = *ev;
	r->rnd = rnd;
	r->sweep = loop_timer_new(l, sweep, r);
	if (!r->sweep) {
		relays_close(r);
		return NULL;
	}
	loop_timer_set(r->sweep, SWEEP_MS);
	return r;
}

static void region_free(struct region *g)
{
	relay_link_close(g->link);
	http_client_cancel(g->probe);
	loop_timer_free(g->retry);
	free(g);
}

void relays_close(struct relays *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_regions; i++)
		region_free(r->regions[i]);
	free(r->regions);
	table_fini(&r->by_id);
	loop_timer_free(r->sweep);
	arena_free(&r->arena);
	key_wipe(r, sizeof(*r));
	free(r);
}

static bool make_room(struct relays *r, size_t n)
{
	struct region **all = n > r->room ? reallocarray(r->regions, n, sizeof(void *)) : r->regions;
	if (all && n > r->room) {
		r->regions = all;
		r->room = n;
	}
	return n <= r->room;
}

static struct region *add_region(struct relays *r, int32_t id)
{
	struct region *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->all = r;
	g->id = id;
	g->idle_s = IDLE_S;
	g->wanted = id == r->home;
	g->retry = loop_timer_new(r->loop, retry_due, g);
	if (!g->retry || !table_put(&r->by_id, &g->id, g)) {
		region_free(g);
		return NULL;
	}
	r->regions[r->n_regions++] = g;
	return g;
}

static bool same_node(const struct ctl_derp_node *a, const struct ctl_derp_node *b)
{
	return a && b && strcmp(a->host, b->host) == 0 && strcmp(a->cert_name, b->cert_name) == 0 &&
	       strcmp(a->ipv4, b->ipv4) == 0 && strcmp(a->ipv6, b->ipv6) == 0 &&
	       a->derp_port == b->derp_port && a->insecure == b->insecure;
}

/* Regions that left the map. All of them are there while it is told that one is down. */
static void drop_others(struct relays *r)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->n_regions; i++) {
		struct region *g = r->regions[i];
		if (g->listed)
			continue;
		g->def = NULL;
		g->wanted = false;
		disconnect(g);
	}
	for (size_t i = 0; i < r->n_regions; i++) {
		struct region *g = r->regions[i];
		if (g->listed) {
			r->regions[kept++] = g;
			continue;
		}
		(void)table_remove(&r->by_id, &g->id);
		region_free(g);
	}
	r->n_regions = kept;
	table_fit(&r->by_id);
}

void relays_map_set(struct relays *r, const struct ctl_derp_map *m)
{
	struct arena arena = { 0 };
	struct ctl_derp_map *copy = ctl_derp_map_copy(&arena, m);
	if (!copy || !make_room(r, r->n_regions + copy->n_regions)) {
		log_warn("relays: memory is short for the map's %zu regions; those of before stay",
			m->n_regions);
		arena_free(&arena);
		return;
	}
	for (size_t i = 0; i < r->n_regions; i++)
		r->regions[i]->listed = false;
	for (size_t i = 0; i < copy->n_regions; i++) {
		struct region *g = relays_find(r, copy->regions[i].id);
		if (!g)
			g = add_region(r, copy->regions[i].id);
		if (!g)
			continue;
		g->listed = true;
		const struct ctl_derp_node *old = usable_node(g);
		g->def = &copy->regions[i];
		if (g->link && !same_node(old, usable_node(g)))
			disconnect(g);
		if (g->wanted)
			connect_region(g);
	}
	drop_others(r);
	arena_free(&r->arena);
	r->arena = arena;
	r->map = copy;
}

void relays_home_set(struct relays *r, int32_t region)
{
	if (region == r->home)
		return;
	struct region *old = relays_find(r, r->home), *g = relays_find(r, region);
	r->home = region;
	if (old && old->up)
		relay_link_note_preferred(old->link, false);
	if (!g)
		return;
	g->wanted = true;
	if (g->up)
		relay_link_note_preferred(g->link, true);
	else
		connect_region(g);
}

static struct region *region_for_send(struct relays *r, int32_t id)
{
	struct region *g = relays_find(r, id);
	if (!g || !g->def) {
		r->dropped++;
		return NULL;
	}
	g->last_send_ms = loop_now_ms(r->loop);
	g->wanted = true;
	if (!g->link && !loop_timer_is_set(g->retry))
		connect_region(g);
	if (!g->link)
		r->dropped++;
	return g->link ? g : NULL;
}

void relays_send(struct relays *r, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	struct region *g = region_for_send(r, region);
	if (g && !relay_link_send(g->link, to, p, len))
		r->dropped++;
}

void relays_send_batch(
	struct relays *r, int32_t region, const struct node_key *to, struct pkt *const *pkts, size_t n)
{
	struct region *g = region_for_send(r, region);
	if (g)
		r->dropped += n - relay_link_send_batch(g->link, to, pkts, n);
}

static void probe_done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct region *g = arg;
	(void)head;
	(void)body;
	(void)len;
	g->probe = NULL;
	g->all->ev.latency(g->all->ev.arg, g->id, (double)(clock_now_ns() - g->probe_at_ns) / 1e6);
}

static void probe_failed(void *arg, int code, const char *why)
{
	struct region *g = arg;
	(void)code;
	(void)why;
	g->probe = NULL;
	g->all->ev.latency(g->all->ev.arg, g->id, -1);
}

void relays_measure(struct relays *r, int32_t region)
{
	struct region *g = relays_find(r, region);
	const struct ctl_derp_node *node = g ? usable_node(g) : NULL;
	struct relay_target t;
	if (!node || g->probe)
		return;
	if (relay_target_of(node, by_of(g), &r->nat64, &t) != 0) {
		r->ev.latency(r->ev.arg, region, -1);
		return;
	}
	t.to.proxies = r->proxies;
	struct http_request rq = { .to = t.to,
		.method = "GET",
		.target = "/derp/latency-check",
		.host = node->host,
		.timeout_ms = 5000 };
	struct http_client_events ev = { .done = probe_done, .failed = probe_failed, .arg = g };
	g->probe_at_ns = clock_now_ns();
	g->probe = http_request(r->loop, &rq, &ev);
	tls_free(t.to.tls);
	if (!g->probe)
		r->ev.latency(r->ev.arg, region, -1);
}

/* Loopback and link-local addresses are not listed. */
static bool still_ours(const struct addr *a, const struct addr *local, size_t n)
{
	bool known = addr_is_loopback(a) || addr_is_link_local(a);
	for (size_t i = 0; i < n && !known; i++)
		known = addr_equal(a, &local[i]);
	return known;
}

void relays_links_changed(struct relays *r, const struct addr *local, size_t n)
{
	for (size_t i = 0; i < r->n_regions; i++) {
		struct region *g = r->regions[i];
		struct addr own;
		if (g->link && relay_link_local(g->link, &own) && !still_ours(&own, local, n)) {
			disconnect(g);
			g->idle_s = IDLE_S; /* another network */
		}
		g->backoff_ms = 0;
		if (g->wanted && !g->link)
			connect_region(g);
	}
}

bool relays_peer(const struct relays *r, int32_t region, struct addr *out)
{
	const struct region *g = relays_find(r, region);
	return g && g->link && relay_link_peer(g->link, out);
}

void relays_ways_moved(struct relays *r, const struct addr *to, size_t n)
{
	for (size_t i = 0; i < r->n_regions; i++) {
		struct region *g = r->regions[i];
		struct addr peer;
		bool moved = false;
		for (size_t k = 0; g->link && relay_link_peer(g->link, &peer) && k < n && !moved; k++)
			moved = addr_equal(&peer, &to[k]);
		if (moved)
			disconnect(g);
		g->backoff_ms = 0;
		if (g->wanted && !g->link)
			connect_region(g);
	}
}

const char *relays_trouble(const struct relays *r)
{
	bool up = false;
	for (size_t i = 0; i < r->n_regions; i++)
		up = up || r->regions[i]->up;
	return !up && r->failed >= TROUBLE_TRIES ? r->trouble : "";
}

void relays_nat64_set(struct relays *r, const struct nat64 *n)
{
	r->nat64 = *n;
	for (size_t i = 0; i < r->n_regions; i++) {
		struct region *g = r->regions[i];
		g->backoff_ms = 0;
		if (g->wanted && !g->link)
			connect_region(g);
	}
}

void relays_proxies_set(struct relays *r, const struct proxies *p)
{
	r->proxies = p;
}

bool relays_is_up(const struct relays *r, int32_t region)
{
	const struct region *g = relays_find(r, region);
	return g && g->up;
}

const char *relays_region_code(const struct relays *r, int32_t region)
{
	const struct region *g = relays_find(r, region);
	return g && g->def ? g->def->code : "";
}

const char *relays_region_name(const struct relays *r, int32_t region)
{
	const struct region *g = relays_find(r, region);
	return g && g->def ? g->def->name : "";
}

uint64_t relays_dropped(const struct relays *r)
{
	return r->dropped;
}

uint64_t relays_dropped_old(const struct relays *r)
{
	return r->dropped_old;
}
