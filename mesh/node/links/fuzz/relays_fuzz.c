/* All relays of a map that changes, and connections that come and go at any moment: what relays.c makes of it. An input is a row
 * of steps of two bytes, what and how. The connections are this file's own (those of relay_link.c have a target of their own), and
 * so are the probes. With short memory once more. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/base/err.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/links/relay_link.h"
#include "mesh/node/links/relays.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* The linker puts them in place of those of relay_link.c and of mesh/transport (--wrap). */
struct relay_link *__wrap_relay_link_open(
	struct loop *l, const struct relay_link_config *cfg, const struct relay_link_events *ev);
void __wrap_relay_link_close(struct relay_link *l);
bool __wrap_relay_link_send(struct relay_link *l, const struct node_key *to, const uint8_t *p, size_t len);
size_t __wrap_relay_link_send_batch(
	struct relay_link *l, const struct node_key *to, struct pkt *const *pkts, size_t n);
bool __wrap_relay_link_local(const struct relay_link *l, struct addr *out);
bool __wrap_relay_link_peer(const struct relay_link *l, struct addr *out);
void __wrap_relay_link_note_preferred(struct relay_link *l, bool home);
struct http_client *__wrap_http_request(
	struct loop *l, const struct http_request *rq, const struct http_client_events *ev);
void __wrap_http_client_cancel(struct http_client *c);

enum { STEPS_MAX = 64, TURNS = 2, REGIONS = 4, LINKS = 8, BATCH = 3, SELF = 0x0a000001, RELAY = 0xcb007101 };

/* One connection, or probe; its place in w says which. */
struct relay_link {
	struct relay_link_events ev;
	bool ready, closed, home;
};
struct http_client {
	struct http_client_events ev;
};
/* Begun anew with each input. */
static struct {
	struct loop *loop;
	struct relays *relays;
	struct relay_link *links[LINKS];
	struct http_client *probes[LINKS];
	bool up[REGIONS + 1];
	bool refuses, full, nowhere; /* connections cannot be made, take nothing, have no address */
	uint8_t reacts;		     /* to a connection that comes or goes */
	bool of_link;		     /* in the midst of what a connection tells */
	size_t received;
	uint64_t aged;
} w;

/* --- connections and probes --- */

/* A free place, or that of p. */
static size_t place_of(void *const *v, const void *p)
{
	size_t i = 0;
	while (i < LINKS && v[i] != p)
		i++;
	must(i < LINKS);
	return i;
}

struct relay_link *__wrap_relay_link_open(
	struct loop *l, const struct relay_link_config *cfg, const struct relay_link_events *ev)
{
	must(l == w.loop && cfg->node && !cfg->node->stun_only && cfg->by < RELAY_BYS && cfg->idle_s > 0);
	for (size_t i = 0; i < LINKS; i++)
		must(!w.links[i] || w.links[i]->ev.arg != ev->arg); /* one a region */
	struct relay_link *x = w.refuses ? NULL : calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->ev = *ev;
	w.links[place_of((void **)w.links, NULL)] = x;
	return x;
}

void __wrap_relay_link_close(struct relay_link *l)
{
	if (!l)
		return;
	w.links[place_of((void **)w.links, l)] = NULL;
	free(l);
}

bool __wrap_relay_link_send(struct relay_link *l, const struct node_key *to, const uint8_t *p, size_t len)
{
	(void)to, (void)p, (void)len;
	must(!l->closed);
	return !w.full;
}

size_t __wrap_relay_link_send_batch(
	struct relay_link *l, const struct node_key *to, struct pkt *const *pkts, size_t n)
{
	(void)to, (void)pkts;
	must(!l->closed);
	return w.full ? n / 2 : n;
}

bool __wrap_relay_link_local(const struct relay_link *l, struct addr *out)
{
	(void)l;
	*out = addr_v4(SELF);
	return !w.nowhere;
}

bool __wrap_relay_link_peer(const struct relay_link *l, struct addr *out)
{
	(void)l;
	*out = addr_v4(RELAY);
	return !w.nowhere;
}

void __wrap_relay_link_note_preferred(struct relay_link *l, bool home)
{
	must(l->ready && !l->closed);
	for (size_t i = 0; home && i < LINKS; i++)
		must(!w.links[i] || !w.links[i]->home); /* the old home heard of it before */
	l->home = home;
}

struct http_client *__wrap_http_request(
	struct loop *l, const struct http_request *rq, const struct http_client_events *ev)
{
	(void)l, (void)rq;
	struct http_client *x = w.refuses ? NULL : calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->ev = *ev;
	w.probes[place_of((void **)w.probes, NULL)] = x;
	return x;
}

void __wrap_http_client_cancel(struct http_client *c)
{
	if (!c)
		return;
	w.probes[place_of((void **)w.probes, c)] = NULL;
	free(c);
}

/* --- the node --- */

static void received(void *arg, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	(void)arg, (void)from, (void)p;
	must(w.up[region]);
	w.received += len;
}

static void flush(void *arg)
{
	(void)arg;
	w.received = 0;
}

static void set_map(uint8_t how)
{
	static struct ctl_derp_node nodes[] = {
		{ .name = "a", .host = "a.test", .ipv4 = "203.0.113.1", .ipv6 = "", .insecure = true },
		{ .name = "b", .host = "b.test", .ipv4 = "none", .ipv6 = "2001:db8::1", .insecure = true },
		{ .name = "s", .host = "s.test", .ipv4 = "", .ipv6 = "", .stun_only = true },
		{ .name = "p", .host = "p.test", .ipv4 = "", .ipv6 = "", .cert_name = "sha256-raw:1" },
	};
	struct ctl_derp_region regions[REGIONS];
	struct ctl_derp_map m = { .regions = regions };
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		nodes[i].stun_test_ip = "";
		nodes[i].cert_name = nodes[i].cert_name ? nodes[i].cert_name : "";
	}
	for (int32_t i = 0; i < REGIONS; i++)
		if (how >> i & 1)
			regions[m.n_regions++] = (struct ctl_derp_region) { .id = i + 1,
				.code = "c",
				.name = "n",
				.nodes = &nodes[(how >> 4) % ARRAY_LEN(nodes)],
				.n_nodes =
					how & 0x80 ? 0 : ARRAY_LEN(nodes) - (how >> 4) % ARRAY_LEN(nodes) };
	relays_map_set(w.relays, &m);
}

static void send_some(uint8_t how)
{
	static struct pkt pkts[BATCH];
	struct pkt *row[BATCH];
	const struct node_key to = { { how } };
	for (size_t i = 0; i < BATCH; i++)
		row[i] = &pkts[i];
	if (how & 128)
		relays_send_batch(w.relays, how % (REGIONS + 2), &to, row, BATCH);
	else
		relays_send(w.relays, how % (REGIONS + 2), &to, (const uint8_t *)"x", 1);
}

/* What the node does in the midst of it: another home, a packet; and where a connection said so, another map. */
static void up(void *arg, int32_t region, bool is)
{
	(void)arg;
	must(region > 0 && region <= REGIONS && (!is || !w.up[region]));
	w.up[region] = is;
	uint8_t how = w.reacts;
	w.reacts = 0; /* one thing leads to another, not for ever */
	if (how & 1)
		relays_home_set(w.relays, 1 + (how >> 4) % REGIONS);
	if (how & 2)
		send_some(how >> 2);
	if (how & 4 && w.of_link)
		set_map(how >> 4);
}

static void peer_gone(void *arg, int32_t region, const struct node_key *who)
{
	(void)arg, (void)who;
	must(w.up[region]);
}

static void latency(void *arg, int32_t region, double ms)
{
	(void)arg, (void)ms;
	must(region >= 0 && region <= REGIONS);
}

/* --- steps --- */

/* One of those that are there. */
static size_t pick(void *const *v, uint8_t how)
{
	for (size_t i = 0; i < LINKS; i++)
		if (v[(i + how) % LINKS])
			return (i + how) % LINKS;
	return LINKS;
}

static void link_ends(struct relay_link *x, uint8_t how)
{
	static const int codes[] = { -ECONNRESET, -ETIMEDOUT, -ENETUNREACH, -EHOSTUNREACH, -EADDRNOTAVAIL,
		ERR_CLOSED };
	x->closed = true;
	const struct relay_link_events ev = x->ev;
	ev.closed(ev.arg, codes[how % ARRAY_LEN(codes)], "why");
	for (size_t i = 0; i < LINKS; i++)
		must(w.links[i] != x || !x->closed); /* it was closed, or its place is another's */
}

static void link_says(uint8_t how)
{
	const struct node_key who = { { how } };
	size_t i = pick((void **)w.links, how >> 4);
	struct relay_link *x = i < LINKS ? w.links[i] : NULL;
	if (!x)
		return;
	w.of_link = true;
	if ((how & 7) < 2 && !x->ready) {
		x->ready = true;
		x->ev.ready(x->ev.arg);
	} else if ((how & 7) < 3 && x->ready) {
		x->ev.received(x->ev.arg, &who, (const uint8_t *)"x", 1);
		x->ev.flush(x->ev.arg);
	} else if ((how & 7) == 3 && x->ready) {
		x->ev.peer_gone(x->ev.arg, &who);
	} else if ((how & 7) == 4) {
		w.aged += how;
		x->ev.aged(x->ev.arg, how);
	} else if ((how & 7) > 4) {
		link_ends(x, how >> 3);
	}
	w.of_link = false;
}

static void probe_says(uint8_t how)
{
	const struct http_head head = { .status = 200 };
	size_t i = pick((void **)w.probes, how);
	if (i == LINKS)
		return;
	struct http_client *x = w.probes[i];
	w.probes[i] = NULL;
	if (how & 1)
		x->ev.done(x->ev.arg, &head, NULL, 0);
	else
		x->ev.failed(x->ev.arg, ERR_CLOSED, "why");
	free(x);
}

static void change_around(uint8_t how)
{
	const struct addr at = addr_v4(how & 1 ? SELF : how & 2 ? RELAY : 1);
	struct nat64 n = nat64_well_known;
	if (how & 4)
		relays_ways_moved(w.relays, &at, 1);
	else if (how & 8)
		relays_nat64_set(w.relays, &n);
	else if (how & 16)
		relays_proxies_set(w.relays, NULL);
	else
		relays_links_changed(w.relays, &at, 1);
}

static void look(void)
{
	struct addr at;
	(void)relays_trouble(w.relays);
	(void)relays_dropped(w.relays);
	must(relays_dropped_old(w.relays) == w.aged);
	for (int32_t i = 0; i <= REGIONS; i++) {
		must(relays_is_up(w.relays, i) == w.up[i]);
		must(!w.up[i] || w.nowhere || relays_peer(w.relays, i, &at));
		must(!*relays_region_name(w.relays, i) == !*relays_region_code(w.relays, i));
	}
}

static void step(struct rd *r)
{
	static const uint32_t times_ms[] = { 1, 150, 6500, 16000, 26000, 61000, 122000 };
	uint8_t what = rd_u8(r), how = rd_u8(r);
	switch (what % 10) {
	case 0: set_map(how); break;
	case 1: relays_home_set(w.relays, how % (REGIONS + 2)); break;
	case 2: send_some(how); break;
	case 3:
	case 4: link_says(how); break;
	case 5: relays_measure(w.relays, how % (REGIONS + 2)); break;
	case 6: probe_says(how); break;
	case 7: change_around(how); break;
	case 8: trouble_pass_ms(times_ms[how % ARRAY_LEN(times_ms)]); break;
	default:
		w.refuses = how & 1;
		w.full = how & 2;
		w.nowhere = how & 4;
		w.reacts = what / 10 % 2 ? how : 0;
	}
}

static void turn(int n)
{
	while (n--)
		loop_run_once(w.loop);
}

static void play(struct rd r)
{
	static const struct node_private us = { { 7 } };
	const struct relays_events ev = {
		.received = received, .flush = flush, .up = up, .peer_gone = peer_gone, .latency = latency
	};
	w.relays = relays_open(w.loop, &us, &ev, &random_steady);
	must(w.relays || trouble_happened());
	for (int i = 0; w.relays && i < STEPS_MAX && r.left; i++) {
		step(&r);
		turn(TURNS);
		look();
	}
	relays_close(w.relays);
	for (size_t i = 0; i < LINKS; i++)
		must(!w.links[i] && !w.probes[i]);
}

static void run(const uint8_t *p, size_t len)
{
	log_setup(LOG_ERROR, false);
	memset(&w, 0, sizeof(w));
	w.loop = loop_new();
	struct awake awake = awake_loop(w.loop);
	trouble_begin();
	play(rd_of(p, len));
	trouble_end();
	awake_free(&awake);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	return trouble_twice(run, p, len);
}
