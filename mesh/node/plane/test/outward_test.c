/* The way out on its own thread: two nodes' planes over real sockets, one of them with the thread, while everything that it was
 * lent on changes under it. No flow's packets change their order, nothing is sealed for a peer that has gone, and the loop can
 * always have back what it lent. Built with ThreadSanitizer it says as well whether both touch anything at once. */
#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/outward.h"
#include "mesh/node/plane/rules.h"
#include "mesh/node/plane/tsmp.h"
#include "mesh/os/netlink.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/netmap/test/told_map.h"
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { FLOWS = 6, BURST = 48, TEXT = 80, WITHIN_MS = 60000, UDP_AT = 28, FIRST_PORT = 5000, REST_MS = 1000 };

struct end {
	struct both *both;
	int self;
	struct loop *loop;
	struct tun *tun;
	int app; /* the machine's side of the TUN */
	struct udp *udp;
	struct plane plane;
	struct path *path;
	struct outward *outward; /* of end 0 alone */
	struct node_private priv;
	struct node_key key;
	struct addr ip, at;
	size_t datagrams; /* with packets in them, that came by UDP */
};
struct both {
	struct loop *loop;
	struct loop_timer *beat;
	struct end end[2];
	uint32_t next[FLOWS], seen[FLOWS]; /* numbers sent, and the last that came out */
	size_t sent, arrived, disordered;
};

/* --- wiring --- */

static void rearm(struct end *e)
{
	uint64_t now = clock_now_ms();
	path_flush(e->path, now);
	outward_check(e->outward);
}

static void tun_received(void *arg, struct pkt *pkts, size_t n)
{
	struct end *e = arg;
	outward_seen(e->outward, clock_now_ms(), pkts, n);
	dataplane_tun_received(&e->plane, pkts, n);
	rearm(e);
}

static void outward_received(void *arg, struct pkt *pkts, size_t n)
{
	dataplane_tun_received(&((struct end *)arg)->plane, pkts, n);
}

static void settled(void *arg)
{
	rearm(arg);
}

static struct udp *udp_of(void *arg, enum path_socket which)
{
	(void)which;
	return ((struct end *)arg)->udp;
}

static void lost(void *arg, int code)
{
	(void)arg;
	(void)code;
	fail();
}

static void udp_received(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct end *e = arg;
	for (size_t i = 0; i < n; i++)
		e->datagrams += *pkt_data(&pkts[i]) == 4;
	dataplane_udp_received(&e->plane, PATH_MAIN, pkts, from, n);
	rearm(e);
}

static void send_failed(void *arg, const struct endpoint *to, int code)
{
	(void)code;
	path_send_failed(((struct end *)arg)->path, to);
}

static void io_tun_write(void *arg, struct pkt *const *pkts, size_t n)
{
	tun_write_batch(((struct end *)arg)->tun, pkts, n);
}
static void io_udp_send(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	(void)from;
	udp_send(((struct end *)arg)->udp, to, p, len);
}
static void io_udp_send_batch(
	void *arg, enum path_socket from, const struct endpoint *to, struct pkt *const *pkts, size_t n)
{
	(void)from;
	udp_send_batch(((struct end *)arg)->udp, to, pkts, n);
}
static void io_relay_send(void *arg, int32_t region, const struct node_key *to, const uint8_t *p, size_t len)
{
	(void)arg, (void)region, (void)to, (void)p, (void)len;
}
static void io_relay_send_batch(
	void *arg, int32_t region, const struct node_key *to, struct pkt *const *pkts, size_t n)
{
	(void)arg, (void)region, (void)to, (void)pkts, (void)n;
}
static void io_echo_answered(void *arg, uint64_t peer, uint64_t token, uint16_t peer_api)
{
	(void)arg, (void)peer, (void)token, (void)peer_api;
}
static void io_recall(void *arg)
{
	outward_recall(((struct end *)arg)->outward);
}
static uint64_t io_now_ms(void *arg)
{
	(void)arg;
	return clock_now_ms();
}

static void nothing(void *arg)
{
	(void)arg;
}
static void home_changed(void *arg, int32_t region)
{
	(void)arg, (void)region;
}
static void way_changed(void *arg, uint64_t peer)
{
	struct end *e = arg;
	wg_path_changed(e->plane.wg, clock_now_ms(), peer);
}
static void ping_done(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	(void)arg, (void)token, (void)peer, (void)at, (void)region, (void)ms;
}
static void probe_data(void *arg, uint64_t peer, uint64_t token, const struct path_way *way)
{
	tsmp_ping(&((struct end *)arg)->plane, peer, token, way);
}

static void open_udp(struct end *e)
{
	struct udp_events ev = { .received = udp_received, .send_failed = send_failed, .arg = e };
	struct errbuf eb = { 0 };
	e->udp = udp_open(e->loop, 0, &ev, &eb);
	assert_non_null(e->udp);
}

static void open_end(struct both *b, int self)
{
	struct end *e = &b->end[self];
	struct path_ops po = { .send_udp = io_udp_send,
		.send_relay = io_relay_send,
		.self_changed = nothing,
		.home_changed = home_changed,
		.way_changed = way_changed,
		.ping_done = ping_done,
		.probe_data = probe_data,
		.arg = e };
	struct plane_io io = { .tun_write = io_tun_write,
		.udp_send = io_udp_send,
		.udp_send_batch = io_udp_send_batch,
		.relay_send = io_relay_send,
		.relay_send_batch = io_relay_send_batch,
		.echo_answered = io_echo_answered,
		.recall = io_recall,
		.now_ms = io_now_ms,
		.arg = e };
	struct tun_events te = { .received = tun_received, .lost = lost, .arg = e };
	struct errbuf eb = { 0 };
	int fd[2], size = 4 << 20;
	*e = (struct end) { .both = b, .self = self, .loop = b->loop };
	key_generate(&random_system, e->priv.b);
	key_public(e->priv.b, e->key.b);
	e->ip = addr_v4(0x64400001u + (unsigned)self);
	e->at = addr_v4(0xc0000201u + (unsigned)self);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	e->app = fd[0];
	e->tun = tun_adopt(b->loop, fd[1], false, &te);
	assert_non_null(e->tun);
	open_udp(e);
	e->path = path_new(&e->key, &po, &random_system);
	assert_non_null(e->path);
	path_links_changed(e->path, clock_now_ms(), &e->at, 1, udp_port(e->udp));
	struct plane_config cfg = { .us = &e->priv,
		.rnd = &random_system,
		.io = &io,
		.path = e->path,
		.handshake_clock_ms = (uint64_t)clock_unix_ms() };
	assert_int_equal(dataplane_open(&e->plane, &cfg, &eb), 0);
	dataplane_server_up(&e->plane, true);
}

/* This end hears of the other from the server. */
static void tell_map(struct both *b, int self)
{
	struct end *e = &b->end[self], *o = &b->end[!self];
	struct endpoint there = { .ip = o->at, .port = udp_port(o->udp) };
	char json[2048], us[KEY_TEXT], them[KEY_TEXT], disco[KEY_TEXT], ip[2][ADDR_TEXT], at[ENDPOINT_TEXT];
	struct errbuf eb = { 0 };
	snprintf(json, sizeof(json),
		"{\"Node\":{\"ID\":%d,\"StableID\":\"a\",\"Name\":\"a.x.test.\",\"User\":1,\"Key\":\"%s\","
		"\"Addresses\":[\"%s/32\"]},\"Peers\":[{\"ID\":%d,\"StableID\":\"b\",\"Name\":\"b.x.test.\","
		"\"User\":1,\"Key\":\"%s\",\"DiscoKey\":\"%s\",\"Endpoints\":[\"%s\"],"
		"\"Addresses\":[\"%s/"
		"32\"]}],\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\","
		"\"Ports\":{\"First\":0,\"Last\":65535}}]}]}",
		self + 1, key_format(e->key.b, "nodekey:", us), addr_format(&e->ip, ip[0]), 2 - self,
		key_format(o->key.b, "nodekey:", them),
		key_format(path_disco_key(o->path)->b, "discokey:", disco), endpoint_format(&there, at),
		addr_format(&o->ip, ip[1]));
	struct netmap *map = told_map(NULL, json);
	const struct ctl_node *p = &map->peers[0]->node;
	struct path_peer pp = { .id = (uint64_t)p->id,
		.key = p->key,
		.disco = p->disco,
		.endpoints = p->endpoints.v,
		.n_endpoints = p->endpoints.n };
	assert_true(wg_peer_set(e->plane.wg, (uint64_t)p->id, &p->key, NULL, &p->addresses.v[0], 1));
	assert_true(path_peer_set(e->path, clock_now_ms(), &pp));
	dataplane_map_set(&e->plane, map);
	dataplane_rules_set(&e->plane, rules_compile(map, &(struct rules_place) { 0 }, &eb));
	netmap_put(map);
	rearm(e);
}

/* Deadlines of the cores, coarsely; and no round of the loop waits for longer. */
static void beat(void *arg)
{
	struct both *b = arg;
	uint64_t now = clock_now_ms();
	for (int i = 0; i < 2; i++) {
		outward_settle(b->end[i].outward);
		wg_tick(b->end[i].plane.wg, now);
		path_tick(b->end[i].path, now);
		rearm(&b->end[i]);
	}
	loop_timer_set(b->beat, 2);
}

static void open_outward(struct end *e)
{
	struct outward_ops ops = {
		.received = outward_received, .udp = udp_of, .settled = settled, .many = 1, .arg = e
	};
	struct errbuf eb = { 0 };
	e->outward = outward_open(e->loop, e->tun, &e->plane, &ops, &eb);
	assert_non_null(e->outward);
}

static void own_addresses(void)
{
	struct errbuf eb = { 0 };
	struct nl *nl = nl_open(&eb);
	assert_non_null(nl);
	int lo = nl_link_index(nl, "lo");
	for (unsigned i = 0; i < 2; i++) {
		struct prefix p = { addr_v4(0xc0000201u + i), 32 };
		(void)nl_addr_add(nl, lo, &p, &eb); /* there already after the first test */
	}
	assert_int_equal(nl_link_up(nl, lo, true, &eb), 0);
	nl_close(nl);
}

static void both_free(struct both *b)
{
	loop_timer_free(b->beat);
	for (int i = 0; i < 2; i++) {
		struct end *e = &b->end[i];
		outward_close(e->outward);
		e->outward = NULL;
		dataplane_close(&e->plane);
		path_free(e->path);
		udp_close(e->udp);
		tun_close(e->tun);
		close(e->app);
	}
	loop_free(b->loop);
	free(b);
}

/* --- traffic --- */

/* A few packets of each flow, numbered; less when the TUN is full. */
static void send_some(struct both *b, int each)
{
	uint8_t p[UDP_AT + TEXT];
	struct end *e = &b->end[0];
	for (int i = 0; i < each * FLOWS; i++) {
		int flow = i % FLOWS;
		struct endpoint from = { .ip = e->ip, .port = (uint16_t)(FIRST_PORT + flow) },
				to = { .ip = b->end[1].ip, .port = 9 };
		memset(p + UDP_AT, 0, TEXT);
		be_put(p + UDP_AT, 4, b->next[flow] + 1);
		size_t len = ip_write_udp(p, &from, &to, TEXT);
		if (send(e->app, p, len, 0) < 0)
			return;
		b->next[flow]++;
		b->sent++;
	}
}

static void take_arrived(struct both *b)
{
	uint8_t p[2048];
	struct ip_view v;
	for (ssize_t n; (n = recv(b->end[1].app, p, sizeof(p), 0)) > 0;) {
		if (!ip_parse(p, (size_t)n, &v) || v.proto != IP_UDP)
			continue;
		unsigned flow = v.sport - FIRST_PORT;
		assert_true(flow < FLOWS);
		uint32_t number = (uint32_t)be_get(p + UDP_AT, 4);
		b->disordered += number <= b->seen[flow];
		b->seen[flow] = number;
		b->arrived++;
	}
}

static void run_for(struct both *b, uint64_t ms)
{
	for (uint64_t end = clock_now_ms() + ms; clock_now_ms() < end;) {
		loop_run_once(b->loop);
		take_arrived(b);
	}
}

/* Until the thread has sent so many more. */
static void send_by_thread(struct both *b, uint64_t n)
{
	uint64_t begun = clock_now_ms(), had = outward_figures(b->end[0].outward).packets;
	while (outward_figures(b->end[0].outward).packets < had + n) {
		send_some(b, BURST / FLOWS);
		loop_run_once(b->loop);
		take_arrived(b);
		assert_true(clock_now_ms() - begun < WITHIN_MS);
	}
}

/* All that was sent has arrived. */
static void drain(struct both *b)
{
	for (uint64_t begun = clock_now_ms(); b->arrived < b->sent;) {
		run_for(b, 2);
		if (clock_now_ms() - begun > WITHIN_MS)
			fail_msg("%zu of %zu came", b->arrived, b->sent);
	}
}

static struct both *both_new(void)
{
	struct both *b = calloc(1, sizeof(*b));
	own_addresses();
	b->loop = loop_new();
	for (int i = 0; i < 2; i++)
		open_end(b, i);
	for (int i = 0; i < 2; i++)
		tell_map(b, i);
	open_outward(&b->end[0]);
	b->beat = loop_timer_new(b->loop, beat, b);
	beat(b);
	for (uint64_t begun = clock_now_ms(); !path_way(b->end[0].path, 2).udp; run_for(b, 1)) {
		path_used(b->end[0].path, clock_now_ms(), 2);
		assert_true(clock_now_ms() - begun < WITHIN_MS);
	}
	send_some(b, 1);
	drain(b); /* there is a session, and nothing waits for it */
	return b;
}

/* --- tests --- */

static void test_order(void **state)
{
	(void)state;
	struct both *b = both_new();
	send_by_thread(b, 3000);
	drain(b);
	struct wg_peer_stats s;
	outward_settle(b->end[0].outward);
	assert_true(wg_peer_stats(b->end[0].plane.wg, 2, &s));
	struct plane_traffic *t = &b->end[0].plane.out[PLANE_DIRECT4];
	assert_true(t->packets >= b->sent);
	assert_true(s.tx_bytes >= t->bytes);
	assert_int_equal(b->disordered, 0);
	assert_int_equal(wg_drops(b->end[1].plane.wg)->replay, 0);
	both_free(b);
}

static void change_map(struct both *b)
{
	tell_map(b, 0);
}
static void change_rules(struct both *b)
{
	struct errbuf eb;
	dataplane_rules_set(
		&b->end[0].plane, rules_compile(b->end[0].plane.map, &(struct rules_place) { 0 }, &eb));
}
static void renew_ours(struct both *b)
{
	wg_peer_restarted(b->end[0].plane.wg, clock_now_ms(), 2);
}
static void renew_theirs(struct both *b)
{
	wg_peer_restarted(b->end[1].plane.wg, clock_now_ms(), 1);
}
static void ask_echo(struct both *b)
{
	(void)dataplane_echo(&b->end[0].plane, 2, &b->end[1].ip, PLANE_ECHO_TSMP, 7);
}
static void settle(struct both *b)
{
	outward_settle(b->end[0].outward);
}
/* The other end speaks from another port. */
static void roam(struct both *b)
{
	struct end *e = &b->end[1];
	take_arrived(b);
	run_for(b, 5);
	udp_close(e->udp);
	open_udp(e);
	path_links_changed(e->path, clock_now_ms(), &e->at, 1, udp_port(e->udp));
	tell_map(b, 0);
	(void)dataplane_echo(&e->plane, 1, &b->end[0].ip, PLANE_ECHO_TSMP, 8);
}
/* What no flow of UDP is, between those that are. */
static void send_odd(struct both *b)
{
	uint8_t p[UDP_AT + TEXT] = { 0 };
	size_t len = ip_write_header(p, &b->end[0].ip, &b->end[1].ip, 47, TEXT);
	(void)!send(b->end[0].app, p, len, 0);
	(void)!send(b->end[0].app, "nonsense", 8, 0);
	len = ip_write_header(
		p, &b->end[0].ip, &(struct addr) { { [10] = 0xff, 0xff, 10, 9, 9, 9 } }, 6, TEXT);
	(void)!send(b->end[0].app, p, len, 0);
}

static void test_changes(void **state)
{
	static void (*const changes[])(struct both * b) = { change_map, renew_ours, ask_echo, change_rules,
		send_odd, renew_theirs, settle, roam };
	(void)state;
	struct both *b = both_new();
	send_by_thread(b, 500);
	uint64_t begun = clock_now_ms();
	for (int i = 0; i < 40 || outward_figures(b->end[0].outward).recalled <= 5; i++) {
		assert_true(clock_now_ms() - begun < WITHIN_MS);
		changes[(size_t)i % ARRAY_LEN(changes)](b);
		for (int j = 0; j < 4; j++) {
			send_some(b, 4);
			loop_run_once(b->loop);
			take_arrived(b);
		}
	}
	run_for(b, 100);
	/* What is under way while an end moves is lost; then it flows again. */
	for (begun = clock_now_ms(); b->arrived <= b->sent / 2; run_for(b, 5)) {
		assert_true(clock_now_ms() - begun < WITHIN_MS);
		send_some(b, 4);
	}
	assert_int_equal(b->disordered, 0);
	assert_int_equal(wg_drops(b->end[1].plane.wg)->replay, 0);
	both_free(b);
}

/* From the call on, no datagram leaves for who has gone. */
static void test_removed(void **state)
{
	(void)state;
	struct both *b = both_new();
	send_by_thread(b, 500);
	send_some(b, BURST);
	wg_peer_remove(b->end[0].plane.wg, 2);
	path_peer_remove(b->end[0].path, 2);
	/* What had left arrives. */
	const struct plane_traffic *left = b->end[0].plane.out;
	size_t had = left[PLANE_DIRECT4].packets + left[PLANE_DIRECT6].packets;
	for (uint64_t begun = clock_now_ms(); b->end[1].datagrams < had; run_for(b, 1))
		assert_true(clock_now_ms() - begun < WITHIN_MS);
	assert_int_equal(b->end[1].datagrams, had);
	for (int i = 0; i < 20; i++) {
		send_some(b, BURST / FLOWS);
		run_for(b, 2);
	}
	assert_int_equal(b->end[1].datagrams, had);
	assert_true(wg_drops(b->end[0].plane.wg)->no_route > 0);
	both_free(b);
}

/* The loop takes the TUN back when little leaves; what comes then leaves as before. */
static void test_rests(void **state)
{
	(void)state;
	struct both *b = both_new();
	send_by_thread(b, 500);
	uint64_t begun = clock_now_ms();
	while (outward_figures(b->end[0].outward).on) {
		run_for(b, 5);
		assert_true(clock_now_ms() - begun < WITHIN_MS);
	}
	drain(b);
	send_by_thread(b, 100);
	drain(b);
	assert_true(outward_figures(b->end[0].outward).begun >= 2);
	assert_int_equal(b->disordered, 0);
	both_free(b);
}

/* Where much of what leaves is the loop's, the thread only costs: the loop reads the TUN for a while, though much leaves. */
static void test_dear(void **state)
{
	(void)state;
	struct both *b = both_new();
	send_by_thread(b, 100);
	uint64_t begun = clock_now_ms(), last_on = begun;
	while (outward_figures(b->end[0].outward).on) {
		last_on = clock_now_ms();
		send_some(b, 1);
		(void)!send(b->end[0].app, "nonsense", 8, 0);
		loop_run_once(b->loop);
		take_arrived(b);
		assert_true(clock_now_ms() - begun < WITHIN_MS);
	}
	while (clock_now_ms() - last_on < REST_MS / 2) {
		send_some(b, 1);
		loop_run_once(b->loop);
		take_arrived(b);
		bool on = outward_figures(b->end[0].outward).on;
		assert_true(!on || clock_now_ms() - last_on >= REST_MS); /* this machine may have been slow */
	}
	drain(b);
	assert_int_equal(b->disordered, 0);
	assert_true(b->end[0].plane.drops.out_malformed > 0);
	both_free(b);
}

/* Closed at once while packets wait in every place. */
static void test_closed(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct both *b = both_new();
		send_by_thread(b, 100);
		send_some(b, BURST);
		both_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order), cmocka_unit_test(test_changes),
		cmocka_unit_test(test_removed), cmocka_unit_test(test_rests), cmocka_unit_test(test_dear),
		cmocka_unit_test(test_closed) };
	if (!key_setup() || !own_ns(CLONE_NEWNET)) {
		printf("skipped: no network namespace here\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
