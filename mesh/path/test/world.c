#include "mesh/path/test/world.h"
#include "mesh/path/test/nat.h"
#include "mesh/base/wire.h"
#include "mesh/proto/stun.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum event_kind { EV_UDP, EV_RELAY, EV_CONNECTED, EV_CONTROL, EV_HTTPS, EV_CALL_HOME, EV_GONE };
struct event {
	uint64_t at_ms, seq;
	enum event_kind kind;
	int net, node, other, region;
	uint8_t life; /* it ends at the router that this would be 0 behind; 0 = nowhere */
	struct endpoint src, dst;
	size_t len;
	uint8_t b[1500];
};
enum { STUN_PORT = 3478, MESH_PORT = 41641, SPARE_PORT = 50000, DATA_LEN = 13 };
enum { REQUEST = 1, ANSWER, QUESTION, PROOF };

/* --- randomness and the queue --- */

static uint64_t next_random(struct world *w)
{
	w->rng += 0x9e3779b97f4a7c15ull;
	uint64_t z = w->rng;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t world_random(struct world *w, uint32_t bound)
{
	return (uint32_t)(next_random(w) % bound);
}

static void fill_random(void *arg, void *dst, size_t len)
{
	uint8_t *p = dst;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(next_random(arg) >> 24);
}

static bool earlier(const struct event *a, const struct event *b)
{
	return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->seq < b->seq);
}

static void push(struct world *w, uint64_t delay_ms, struct event ev)
{
	if (w->n_events == w->events_size) {
		w->events_size = w->events_size ? w->events_size * 2 : 64;
		w->heap = realloc(w->heap, w->events_size * sizeof(ev));
		assert(w->heap);
	}
	ev.at_ms = w->now_ms + delay_ms;
	ev.seq = w->seq++;
	size_t i = w->n_events++;
	for (; i && earlier(&ev, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = ev;
}

static struct event pop(struct world *w)
{
	struct event top = w->heap[0], last = w->heap[--w->n_events];
	size_t i = 0;
	for (size_t k; (k = 2 * i + 1) < w->n_events; i = k) {
		if (k + 1 < w->n_events && earlier(&w->heap[k + 1], &w->heap[k]))
			k++;
		if (!earlier(&w->heap[k], &last))
			break;
		w->heap[i] = w->heap[k];
	}
	if (w->n_events)
		w->heap[i] = last;
	return top;
}

/* --- the wire --- */

static bool is_cut(const struct world *w, const struct event *ev)
{
	/* It has more routers than any life says. */
	if (ev->net == INTERNET && ev->life && (w->between ? ev->life <= w->between : !w->neighbours))
		return true;
	if (ev->net != INTERNET || ev->src.port == STUN_PORT || ev->dst.port == STUN_PORT)
		return false;
	if (w->most && ev->len > w->most)
		return true;
	bool data = ev->len == DATA_LEN;
	bool data_lost = w->data_cut || (w->data_cut_from && ev->node == w->data_cut_from - 1);
	return w->direct_cut || (data && data_lost) || (w->one_way_cut && ev->node == 0);
}

static void stun_answer(struct world *w, const struct event *ev, int region)
{
	uint8_t tx[STUN_TX];
	bool official;
	if (w->stun_dead[region] || !stun_request_read(ev->b, ev->len, tx, &official))
		return;
	assert(official);
	struct event re = { .kind = EV_UDP, .net = INTERNET, .src = ev->dst, .dst = ev->src, .node = -1 };
	re.len = stun_reply_write(tx, &ev->src, re.b);
	push(w, w->relay_delay_ms[region], re);
}

static struct endpoint stun_at(int region)
{
	return (struct endpoint) { .ip = addr_v4(0xcb007101u + (uint32_t)region),
		.port = STUN_PORT }; /* 203.0.113.1.. */
}

static void data_received(struct node *n, const struct endpoint *from, const uint8_t *b);

static void deliver(struct world *w, struct node *n, struct event *ev, enum path_socket at)
{
	if (!n->started)
		return;
	bool ours = path_udp_received(n->path, w->now_ms, at, &ev->src, ev->b, ev->len);
	assert(ours == (ev->len != DATA_LEN));
	if (!ours)
		data_received(n, &ev->src, ev->b);
}

static void route_udp(struct world *w, struct event *ev)
{
	if (is_cut(w, ev))
		return;
	for (size_t i = 0; i < w->n_nodes; i++) {
		struct node *n = &w->nodes[i];
		if (n->net == ev->net && addr_equal(&n->at.ip, &ev->dst.ip)) {
			if (n->at.port == ev->dst.port)
				deliver(w, n, ev, PATH_MAIN);
			else if (n->spare.port && n->spare.port == ev->dst.port)
				deliver(w, n, ev, PATH_SPARE);
			return;
		}
	}
	for (size_t i = 0; i < w->n_routers;
		i++) { /* from outside, or from inside to its own outer address */
		struct router *r = &w->routers[i];
		bool hairpin = r->inside == ev->net;
		if (!addr_equal(&r->address, &ev->dst.ip) || (r->outside != ev->net && !hairpin))
			continue;
		if (r->udp_blocked || (hairpin && !r->hairpin))
			return;
		struct event on = *ev;
		on.net = r->inside;
		if (hairpin)
			on.src = (struct endpoint) { .ip = r->address,
				.port = nat_map_out(w, r, &ev->src, &on.dst) };
		if (nat_map_in(w, r, &on.src, on.dst.port, &on.dst))
			push(w, w->delay_ms, on);
		return;
	}
	for (size_t i = 0; ev->net == INTERNET && i < w->n_regions; i++) {
		struct endpoint at = stun_at((int)i);
		if (endpoint_equal(&at, &ev->dst)) {
			stun_answer(w, ev, (int)i);
			return;
		}
	}
	struct router *up = world_router_of(w, ev->net);
	if (!up || up->udp_blocked) {
		w->stranger++;
		return;
	}
	struct event on = *ev;
	if (on.life && --on.life == 0) {
		nat_touch(w, up, &ev->src, &ev->dst);
		return;
	}
	on.net = up->outside;
	on.src = (struct endpoint) { .ip = up->address, .port = nat_map_out(w, up, &ev->src, &on.dst) };
	push(w, w->delay_ms, on);
}

/* --- what path does to the world --- */

static void send_life(void *arg, enum path_socket from, const struct endpoint *to, uint8_t life,
	const uint8_t *p, size_t len)
{
	struct node *n = arg;
	struct event ev = { .kind = EV_UDP, .net = n->net, .src = n->at, .dst = *to, .len = len };
	ev.node = n->index;
	ev.life = life;
	if (from == PATH_SPARE)
		ev.src = n->spare;
	assert(len <= sizeof(ev.b));
	memcpy(ev.b, p, len);
	if (disco_is(p, len))
		n->probes_out++;
	if (n->w->loss_percent && world_random(n->w, 100) < n->w->loss_percent)
		return;
	push(n->w, n->w->delay_ms, ev);
}

static void send_near(void *arg, enum path_socket from, const struct endpoint *to, uint8_t hops,
	const uint8_t *p, size_t len)
{
	send_life(arg, from, to, (uint8_t)(hops + 1), p, len);
}

static void send_udp(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	send_life(arg, from, to, 0, p, len);
}

static void connect_relay(struct node *n, int region)
{
	if (n->connected[region] || n->connecting[region])
		return;
	n->connecting[region] = true;
	struct event ev = { .kind = EV_CONNECTED, .node = n->index, .region = region };
	push(n->w, 6 * n->w->delay_ms + 2 * n->w->relay_delay_ms[region] + 10, ev);
}

static void send_relay(void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	struct node *n = arg;
	struct world *w = n->w;
	int r = region - 900;
	assert(r >= 0 && r < (int)w->n_regions && len <= 1500);
	n->relay_out++;
	struct event ev = { .kind = EV_RELAY, .node = n->index, .region = r, .len = len, .other = -1 };
	memcpy(ev.b, p, len);
	for (size_t i = 0; i < w->n_nodes; i++) {
		if (key_equal(w->nodes[i].key.b, to->b))
			ev.other = (int)i;
	}
	uint64_t wait = n->connected[r] ? 0 : 6 * w->delay_ms + 20;
	connect_relay(n, r);
	push(w, wait + 4 * w->delay_ms + w->relay_delay_ms[r], ev);
}

static void self_told(void *arg)
{
	struct node *n = arg;
	n->self_changes++;
	struct event ev = { .kind = EV_CONTROL, .node = n->index };
	push(n->w, n->w->control_delay_ms, ev);
}

void world_announce(struct node *n)
{
	self_told(n);
}

static void home_told(void *arg, int32_t region)
{
	struct node *n = arg;
	if (region)
		connect_relay(n, region - 900);
	self_told(arg);
}

static void way_told(void *arg, uint64_t peer)
{
	struct node *n = arg;
	(void)peer;
	n->ways_changed++;
}

static void ping_told(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	struct node *n = arg;
	(void)peer;
	(void)at;
	(void)ms;
	assert(n->ping_token != token);
	n->ping_token = token;
	n->ping_region = region;
}

static void spare_told(void *arg)
{
	struct node *n = arg;
	n->spare_asked++;
	if (n->w->no_spare) {
		path_spare_opened(n->path, n->w->now_ms, 0);
		return;
	}
	n->spare = (struct endpoint) { .ip = n->at.ip, .port = SPARE_PORT };
	path_spare_opened(n->path, n->w->now_ms, SPARE_PORT);
}

static void https_told(void *arg, int32_t region)
{
	struct node *n = arg;
	struct event ev = { .kind = EV_HTTPS, .node = n->index, .region = region - 900 };
	push(n->w, 6 * n->w->delay_ms + n->w->relay_delay_ms[region - 900] + 5, ev);
}

/* --- nodes --- */

static void tell_peer(struct node *to, struct node *about)
{
	struct ctl_endpoints own = path_endpoints(about->path);
	struct path_peer peer = {
		.id = (uint64_t)about->index + 1, .key = about->key, .home = path_home(about->path)
	};
	peer.disco = *path_disco_key(about->path);
	peer.endpoints = own.v;
	peer.n_endpoints = own.n;
	bool ok = path_peer_set(to->path, to->w->now_ms, &peer);
	assert(ok);
	(void)ok;
}

static void pass_on(struct world *w, struct node *n)
{
	if (w->control_dead || !n->started)
		return;
	for (size_t i = 0; i < w->n_nodes; i++) {
		struct node *o = &w->nodes[i];
		if (o == n || !o->started)
			continue;
		tell_peer(o, n);
		tell_peer(n, o);
	}
}

static void send_data(struct node *n, struct node *to, uint8_t kind, uint32_t seq)
{
	uint8_t b[DATA_LEN] = { 4, kind, (uint8_t)n->index };
	be_put(b + 3, 4, seq);
	path_used(n->path, n->w->now_ms, (uint64_t)to->index + 1);
	struct path_way way = path_way(n->path, (uint64_t)to->index + 1);
	if (way.udp)
		send_udp(n, way.from, &way.at, b, sizeof(b));
	if (way.relay)
		send_relay(n, way.region, &to->key, b, sizeof(b));
}

static void send_token(
	struct node *n, struct node *to, uint8_t kind, uint64_t token, const struct path_way *way)
{
	uint8_t b[DATA_LEN] = { 4, kind, (uint8_t)n->index };
	be_put(b + 3, 8, token);
	if (way->udp)
		send_udp(n, way->from, &way->at, b, sizeof(b));
	if (way->relay)
		send_relay(n, way->region, &to->key, b, sizeof(b));
}

static void probe_data(void *arg, uint64_t peer, uint64_t token, const struct path_way *way)
{
	struct node *n = arg;
	n->questions++;
	send_token(n, &n->w->nodes[peer - 1], QUESTION, token, way);
}

static void token_received(struct node *n, struct node *o, const struct endpoint *from, const uint8_t *b)
{
	uint64_t token = be_get(b + 3, 8), peer = (uint64_t)o->index + 1;
	path_authenticated(n->path, n->w->now_ms, peer, from);
	struct path_way way = path_way(n->path, peer);
	way.relay = way.relay || (!from && way.region);
	if (b[1] == QUESTION)
		send_token(n, o, PROOF, token, &way);
	else
		path_data_answered(n->path, n->w->now_ms, peer, token);
}

static void data_received(struct node *n, const struct endpoint *from, const uint8_t *b)
{
	struct world *w = n->w;
	struct node *o = &w->nodes[b[2]];
	if (b[1] >= QUESTION) {
		token_received(n, o, from, b);
		return;
	}
	uint32_t seq = (uint32_t)be_get(b + 3, 4);
	uint32_t *seen = b[1] == REQUEST ? &n->seen_request[o->index] : &n->seen_answer[o->index];
	if (seq <= *seen)
		return; /* a copy by the other way */
	*seen = seq;
	path_authenticated(n->path, w->now_ms, (uint64_t)o->index + 1, from);
	if (b[1] == REQUEST) {
		send_data(n, o, ANSWER, seq);
		return;
	}
	struct stats *s = &n->to[o->index];
	uint64_t gap = s->last_answer_ms ? w->now_ms - s->last_answer_ms : 0;
	s->longest_gap_ms = gap > s->longest_gap_ms ? gap : s->longest_gap_ms;
	s->last_answer_ms = w->now_ms;
	if (!s->answered++)
		s->first_answer_ms = w->now_ms;
}

static void relay_arrived(struct world *w, struct event *ev)
{
	struct node *from = &w->nodes[ev->node];
	if (w->now_ms < w->calls_from_ms && disco_is(ev->b, ev->len))
		return;
	if (w->relay_dead[ev->region] || !from->connected[ev->region] || ev->other < 0)
		return;
	struct node *to = &w->nodes[ev->other];
	if (!to->started || !to->connected[ev->region]) {
		if (!disco_is(ev->b, ev->len))
			return;
		struct event gone = {
			.kind = EV_GONE, .node = ev->node, .other = ev->other, .region = ev->region
		};
		push(w, w->delay_ms * 2, gone);
		return;
	}
	if (!path_relay_received(to->path, w->now_ms, 900 + ev->region, &from->key, ev->b, ev->len))
		data_received(to, NULL, ev->b);
}

static void connected(struct world *w, struct event *ev)
{
	struct node *n = &w->nodes[ev->node];
	bool up = !w->relay_dead[ev->region];
	n->connecting[ev->region] = false;
	if (!n->started)
		return;
	n->connected[ev->region] = up;
	path_relay_up(n->path, w->now_ms, 900 + ev->region, up);
	if (!up && path_home(n->path) == 900 + ev->region) {
		struct event again = { .kind = EV_CALL_HOME, .node = ev->node, .region = ev->region };
		push(w, 500, again);
	}
}

static void handle(struct world *w, struct event *ev)
{
	struct node *n = &w->nodes[ev->node >= 0 ? ev->node : 0]; /* UDP needs none */
	switch (ev->kind) {
	case EV_UDP: route_udp(w, ev); break;
	case EV_RELAY: relay_arrived(w, ev); break;
	case EV_CONNECTED: connected(w, ev); break;
	case EV_CONTROL: pass_on(w, n); break;
	case EV_HTTPS:
		if (n->started)
			path_https_latency(n->path, w->now_ms, 900 + ev->region,
				w->relay_dead[ev->region] ? -1 : 50 + (double)w->relay_delay_ms[ev->region]);
		break;
	case EV_CALL_HOME:
		if (n->started && path_home(n->path) == 900 + ev->region)
			connect_relay(n, ev->region);
		break;
	case EV_GONE:
		if (n->started)
			path_relay_peer_gone(n->path, w->now_ms, 900 + ev->region, &w->nodes[ev->other].key);
		break;
	}
}

/* Every entry into a node ends so. */
static void flush_all(struct world *w)
{
	for (size_t i = 0; i < w->n_nodes; i++) {
		if (w->nodes[i].started)
			path_flush(w->nodes[i].path, w->now_ms);
	}
}

void world_run(struct world *w, uint64_t ms)
{
	uint64_t end = w->now_ms + ms;
	for (;;) {
		uint64_t next = end;
		if (w->n_events && w->heap[0].at_ms < next)
			next = w->heap[0].at_ms;
		for (size_t i = 0; i < w->n_nodes; i++) {
			if (w->nodes[i].started && path_deadline(w->nodes[i].path) < next)
				next = path_deadline(w->nodes[i].path);
		}
		w->now_ms = next > w->now_ms ? next : w->now_ms;
		for (size_t i = 0; i < w->n_nodes; i++) {
			if (!w->nodes[i].started || path_deadline(w->nodes[i].path) > w->now_ms)
				continue;
			w->nodes[i].ticks++;
			path_tick(w->nodes[i].path, w->now_ms);
			path_flush(w->nodes[i].path, w->now_ms);
		}
		while (w->n_events && w->heap[0].at_ms <= w->now_ms) {
			struct event ev = pop(w);
			handle(w, &ev);
			flush_all(w);
		}
		for (size_t i = 0; i < REGIONS_MAX; i++) {
			for (size_t k = 0; w->relay_dead[i] && k < w->n_nodes; k++) {
				struct node *n = &w->nodes[k];
				if (!n->connected[i] || !n->started)
					continue;
				n->connected[i] = false;
				path_relay_up(n->path, w->now_ms, 900 + (int)i, false);
				path_flush(n->path, w->now_ms);
				struct event again = {
					.kind = EV_CALL_HOME, .node = (int)k, .region = (int)i
				};
				push(w, 500, again);
			}
		}
		if (w->now_ms >= end)
			return;
	}
}

/* --- building --- */

struct world *world_new(uint64_t seed, size_t regions)
{
	struct world *w = calloc(1, sizeof(*w));
	assert(w && regions <= REGIONS_MAX);
	w->rng = seed;
	w->now_ms = 1000;
	w->delay_ms = 5;
	w->control_delay_ms = 20;
	w->n_regions = regions;
	w->n_nets = 1;
	for (size_t i = 0; i < regions; i++)
		w->relay_delay_ms[i] = 2 + 8 * i;
	return w;
}

void world_free(struct world *w)
{
	for (size_t i = 0; i < w->n_nodes; i++)
		path_free(w->nodes[i].path);
	free(w->heap);
	free(w);
}

int world_net(struct world *w)
{
	return (int)w->n_nets++;
}

static struct addr parse(const char *text)
{
	struct addr a;
	bool ok = addr_parse(text, &a);
	assert(ok);
	(void)ok;
	return a;
}

int world_router(struct world *w, int outside, const char *address, enum nat_map map, enum nat_filter filter)
{
	struct router *r = &w->routers[w->n_routers++];
	*r = (struct router) { .inside = world_net(w), .outside = outside, .map = map, .filter = filter };
	r->address = parse(address);
	return r->inside;
}

struct router *world_router_of(struct world *w, int inside)
{
	for (size_t i = 0; i < w->n_routers; i++) {
		if (w->routers[i].inside == inside)
			return &w->routers[i];
	}
	return NULL;
}

struct node *world_node(struct world *w, int net, const char *address)
{
	struct node *n = &w->nodes[w->n_nodes];
	*n = (struct node) { .w = w, .index = (int)w->n_nodes++, .net = net };
	n->at = (struct endpoint) { .ip = parse(address), .port = MESH_PORT };
	fill_random(w, n->key.b, sizeof(n->key.b));
	return n;
}

static void set_map(struct node *n)
{
	struct ctl_derp_node servers[REGIONS_MAX];
	struct ctl_derp_region regions[REGIONS_MAX];
	char text[REGIONS_MAX][ADDR_TEXT];
	for (size_t i = 0; i < n->w->n_regions; i++) {
		struct endpoint at = stun_at((int)i);
		addr_format(&at.ip, text[i]);
		servers[i] = (struct ctl_derp_node) {
			.name = "a", .host = "relay.test", .region = 900 + (int32_t)i
		};
		servers[i].ipv4 = text[i];
		servers[i].ipv6 = "none";
		servers[i].stun_test_ip = servers[i].cert_name = "";
		regions[i] =
			(struct ctl_derp_region) { .id = 900 + (int32_t)i, .code = "sim", .name = "sim" };
		regions[i].nodes = &servers[i];
		regions[i].n_nodes = 1;
	}
	struct ctl_derp_map map = { .regions = regions, .n_regions = n->w->n_regions };
	path_derp_map_set(n->path, n->w->now_ms, &map);
}

void world_start(struct node *n)
{
	struct path_ops ops = { .send_udp = send_udp,
		.send_near = n->w->no_near ? NULL : send_near,
		.send_relay = send_relay,
		.self_changed = self_told,
		.home_changed = home_told,
		.way_changed = way_told,
		.ping_done = ping_told,
		.https_probe = https_told,
		.probe_data = n->w->no_questions ? NULL : probe_data,
		.spare_wanted = spare_told,
		.arg = n };
	struct random rnd = { .fill = fill_random, .arg = n->w };
	n->path = path_new(&n->key, &ops, &rnd);
	assert(n->path);
	n->started = true;
	path_links_changed(n->path, n->w->now_ms, &n->at.ip, 1, n->at.port);
	set_map(n);
	path_control_up(n->path, n->w->now_ms, !n->w->control_dead);
	path_flush(n->path, n->w->now_ms);
	self_told(n);
}

void world_stop(struct node *n)
{
	path_free(n->path);
	n->path = NULL;
	n->started = false;
	n->spare.port = 0;
	memset(n->connected, 0, sizeof(n->connected));
}

void world_move(struct node *n, int net, const char *address)
{
	n->net = net;
	n->at.ip = n->spare.ip = parse(address);
	memset(n->connected, 0, sizeof(n->connected));
	path_links_changed(n->path, n->w->now_ms, &n->at.ip, 1, n->at.port);
	for (size_t i = 0; i < n->w->n_regions;
		i++) { /* the driver's connections died with the old address */
		path_relay_up(n->path, n->w->now_ms, 900 + (int32_t)i, false);
		if (path_home(n->path) == 900 + (int32_t)i)
			connect_relay(n, (int)i);
	}
	path_flush(n->path, n->w->now_ms);
}

/* --- using --- */

void world_talk(struct world *w, struct node *a, struct node *b, uint64_t ms, uint64_t interval)
{
	uint64_t end = w->now_ms + ms;
	while (w->now_ms < end) {
		a->to[b->index].sent++;
		send_data(a, b, REQUEST, ++a->seq);
		path_flush(a->path, w->now_ms);
		world_run(w, end - w->now_ms < interval ? end - w->now_ms : interval);
	}
}

bool world_direct(struct node *a, struct node *b)
{
	struct path_state x, y;
	uint64_t now = a->w->now_ms;
	if (!path_peer_state(a->path, now, (uint64_t)b->index + 1, &x))
		return false;
	return path_peer_state(b->path, now, (uint64_t)a->index + 1, &y) && x.direct && y.direct;
}

uint64_t world_until_direct(struct world *w, struct node *a, struct node *b, uint64_t limit)
{
	uint64_t start = w->now_ms;
	while (w->now_ms - start < limit) {
		world_talk(w, a, b, 10, 10);
		if (world_direct(a, b))
			return w->now_ms - start;
	}
	return UINT64_MAX;
}
