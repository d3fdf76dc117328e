/* packet_bench [PAYLOAD]: what each step of a packet costs, in ns of CPU time of this thread for one packet of a UDP flow
 * (payload 1232, which fills the MTU, or as given), out and in again, with the kernel's part: a TUN and UDP over loopback in
 * a network namespace of its own. The flow comes as the kernel's super-packets of PIECES. Each figure is the least of ROUNDS: what
 * the rest of the machine does only adds.
 *
 * In the node the steps between TUN and UDP are those of mesh/node/plane/dataplane.c; here they are called one by one, so
 * that they can be timed. `parse`, `flow` and `peer` of the way out are for a packet that is looked at, which in the node is the first
 * of those that stand together; on the way in they are as in the node. */
#include "mesh/base/aead.h"
#include "mesh/filter/filter.h"
#include "mesh/node/plane/offload.h"
#include "mesh/node/plane/tun.h"
#include "mesh/node/plane/udp.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/wg/wg.h"
#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { PIECES = 40, ROUNDS = 2000, MTU = 1280, APP_PORT = 9, OURS = 1 };

enum stage {
	STAGE_TUN_READ,
	STAGE_PARSE,
	STAGE_FLOW,
	STAGE_PEER,
	STAGE_SEAL,
	STAGE_UDP_SEND,
	STAGE_UDP_READ,
	STAGE_OPEN,
	STAGE_PARSE_IN,
	STAGE_FILTER,
	STAGE_TUN_WRITE,
	STAGE_COUNT
};
static const char *const stage_texts[] = { [STAGE_TUN_READ] = "TUN read, and cut",
	[STAGE_PARSE] = "parse",
	[STAGE_FLOW] = "flow noted",
	[STAGE_PEER] = "peer found",
	[STAGE_SEAL] = "seal",
	[STAGE_UDP_SEND] = "UDP send",
	[STAGE_UDP_READ] = "UDP read",
	[STAGE_OPEN] = "open",
	[STAGE_PARSE_IN] = "parse",
	[STAGE_FILTER] = "filter: the flow is known",
	[STAGE_TUN_WRITE] = "join, and TUN write" };
static_assert(ARRAY_LEN(stage_texts) == STAGE_COUNT, "stage_texts misses a stage");

struct bench {
	struct loop *loop;
	struct tun *tun;
	struct udp *near, *far;
	struct wg *us, *them;
	struct filter_flows *flows, *their_flows;
	struct filter *rules;
	struct endpoint to;
	int app; /* sends into the TUN, and is what comes out of it */
	size_t payload, n;
	struct pkt pkts[PKT_BATCH], wire[PKT_BATCH];
	double began, least[STAGE_COUNT], now[STAGE_COUNT];
};

static double packet_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "packet_bench: %s\n", what);
	exit(1);
}

/* --- what is set up --- */

/* A datagram of the handshake goes to the other end at once. */
static void hand_on(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	struct wg **other = arg;
	uint8_t copy[WG_MESSAGE_MAX];
	struct wg_span span = { copy, len };
	struct wg_origin from = { "x", 1, false };
	struct wg_received r;
	(void)peer;
	memcpy(copy, p, len);
	(void)wg_receive_span(*other, 1000, &span, &from, &r);
}

static void session_ready(void *arg, uint64_t peer)
{
	(void)arg;
	(void)peer;
}

static void connect_cores(struct bench *b, const struct prefix ip[2])
{
	struct wg **core[2] = { &b->us, &b->them };
	struct node_private priv[2];
	struct node_key key[2];
	for (int i = 0; i < 2; i++) {
		struct wg_ops ops = { .send = hand_on, .session_ready = session_ready, .arg = core[!i] };
		key_generate(&random_system, priv[i].b);
		key_public(priv[i].b, key[i].b);
		*core[i] = wg_new(&priv[i], &ops, &random_system);
		must(*core[i], "memory is short");
	}
	for (int i = 0; i < 2; i++)
		must(wg_peer_set(*core[i], OURS, &key[!i], NULL, &ip[!i], 1), "a peer is refused");
	wg_handshake_wanted(b->us, 1000, OURS);
}

static void time_end(struct bench *b, enum stage s)
{
	b->now[s] += packet_ns() - b->began;
	b->began = packet_ns();
}

static void take_from_tun(void *arg, struct pkt *pkts, size_t n)
{
	struct bench *b = arg;
	time_end(b, STAGE_TUN_READ);
	for (size_t i = 0; i < n && b->n < PKT_BATCH; i++)
		if (pkts[i].len == b->payload + 28)
			b->pkts[b->n++] = pkts[i];
	b->began = packet_ns();
}

static void take_from_udp(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n)
{
	struct bench *b = arg;
	(void)from;
	time_end(b, STAGE_UDP_READ);
	for (size_t i = 0; i < n && b->n < PKT_BATCH; i++)
		b->wire[b->n++] = pkts[i];
	b->began = packet_ns();
}

static void stop(void *arg, int code)
{
	(void)arg;
	(void)code;
	must(false, "the TUN is gone");
}

static void refused(void *arg, const struct endpoint *to, int code)
{
	(void)arg;
	(void)to;
	(void)code;
	must(false, "UDP is refused");
}

static void open_tun(struct bench *b, const struct addr *us)
{
	struct errbuf eb = { 0 };
	struct tun_events ev = { .received = take_from_tun, .lost = stop, .arg = b };
	b->tun = tun_open(b->loop, "bench0", &ev, &eb);
	must(b->tun, eb.text);
	struct nl *nl = nl_open(&eb);
	must(nl, eb.text);
	int index = nl_link_index(nl, "bench0"), lo = nl_link_index(nl, "lo");
	struct prefix p = { *us, 24 };
	must(nl_link_mtu(nl, index, MTU, &eb) == 0 && nl_addr_add(nl, index, &p, &eb) == 0 &&
			nl_link_up(nl, index, true, &eb) == 0 && nl_link_up(nl, lo, true, &eb) == 0,
		eb.text);
	nl_close(nl);
}

static void open_app(struct bench *b, const struct addr *us, const struct addr *them)
{
	struct sockaddr_storage ss;
	struct endpoint own = { .ip = *us, .port = APP_PORT }, other = { .ip = *them, .port = APP_PORT };
	b->app = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = endpoint_to_sockaddr(&own, false, &ss);
	must(b->app >= 0 && bind(b->app, (struct sockaddr *)&ss, len) == 0, "bind");
	len = endpoint_to_sockaddr(&other, false, &ss);
	must(connect(b->app, (struct sockaddr *)&ss, len) == 0, "connect");
}

static void open_all(struct bench *b)
{
	struct errbuf eb = { 0 };
	struct prefix ip[2] = { { addr_v4(0x64400001), 32 }, { addr_v4(0x64400002), 32 } };
	struct filter_rule none = { 0 };
	struct udp_events ev = { .received = take_from_udp, .send_failed = refused, .arg = b };
	b->loop = loop_new();
	must(b->loop, "memory is short");
	open_tun(b, &ip[0].ip);
	open_app(b, &ip[0].ip, &ip[1].ip);
	connect_cores(b, ip);
	b->near = udp_open(b->loop, 0, &ev, &eb);
	b->far = udp_open(b->loop, 0, &ev, &eb);
	b->flows = filter_flows_new(1);
	b->their_flows = filter_flows_new(2);
	b->rules = filter_build(&none, 0, &(struct filter_local) { .v = &ip[1], .n = 1 });
	must(b->near && b->far && b->flows && b->their_flows && b->rules, "memory is short");
	b->to = (struct endpoint) { .ip = addr_v4(0x7f000001), .port = udp_port(b->far) };
}

/* --- one round: PIECES packets --- */

static void drain_app(struct bench *b)
{
	static uint8_t buf[65536];
	while (recv(b->app, buf, sizeof(buf), 0) > 0)
		;
}

static void out(struct bench *b)
{
	static uint8_t bytes[PIECES * 1300];
	struct ip_view v[PKT_BATCH];
	struct filter_drops drops = { 0 };
	int size = (int)b->payload;
	uint64_t found = 0;
	setsockopt(b->app, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
	b->n = 0;
	must(send(b->app, bytes, PIECES * b->payload, 0) > 0, "send");
	b->began = packet_ns();
	while (b->n < PIECES)
		loop_run_once(b->loop);
	b->began = packet_ns();
	for (size_t i = 0; i < b->n; i++)
		must(ip_parse(pkt_data(&b->pkts[i]), b->pkts[i].len, &v[i]), "parse");
	time_end(b, STAGE_PARSE);
	for (size_t i = 0; i < b->n; i++)
		(void)filter_out(b->flows, 1000, &v[i], &drops);
	time_end(b, STAGE_FLOW);
	for (size_t i = 0; i < b->n; i++)
		found += wg_route(b->us, &v[i].dst);
	time_end(b, STAGE_PEER);
	must(found == b->n * OURS, "no route");
	for (size_t i = 0; i < b->n; i++)
		must(wg_seal(b->us, 1000, OURS, &b->pkts[i]) == WG_OK, "seal");
	time_end(b, STAGE_SEAL);
	struct pkt *ptr[PKT_BATCH];
	for (size_t i = 0; i < b->n; i++)
		ptr[i] = &b->pkts[i];
	b->began = packet_ns();
	udp_send_batch(b->near, &b->to, ptr, b->n);
	time_end(b, STAGE_UDP_SEND);
}

/* As if it came from the peer: the addresses change places, which leaves the checksums right. */
static void turn_round(uint8_t *p)
{
	uint8_t src[4];
	memcpy(src, p + 12, 4);
	memcpy(p + 12, p + 16, 4);
	memcpy(p + 16, src, 4);
}

static void in(struct bench *b)
{
	struct ip_view v;
	struct filter_drops drops = { 0 };
	struct wg_origin from = { "x", 1, false };
	struct wg_received r;
	struct pkt *ptr[PKT_BATCH];
	size_t expected = b->n;
	b->n = 0;
	b->began = packet_ns();
	while (b->n < expected)
		loop_run_once(b->loop);
	b->began = packet_ns();
	for (size_t i = 0; i < b->n; i++)
		must(wg_receive(b->them, 1000, &b->wire[i], &from, &r) == WG_OK, "open");
	time_end(b, STAGE_OPEN);
	must(ip_parse(pkt_data(&b->wire[0]), b->wire[0].len, &v), "parse");
	for (size_t i = 1; i < b->n; i++)
		must(ip_parse_next(pkt_data(&b->wire[i]), b->wire[i].len, &v), "parse");
	time_end(b, STAGE_PARSE_IN);
	struct ip_view asked = v; /* what it asked for, as its table has it */
	asked.src = v.dst;
	asked.dst = v.src;
	(void)filter_out(b->their_flows, 1000, &asked, &drops);
	b->began = packet_ns();
	must(filter_in(b->rules, b->their_flows, 1000, &v, &drops) == FILTER_PASS, "filter");
	for (size_t i = 1; i < b->n; i++)
		must(filter_in_again(&v), "filter");
	time_end(b, STAGE_FILTER);
	for (size_t i = 0; i < b->n; i++) {
		turn_round(pkt_data(&b->wire[i]));
		ptr[i] = &b->wire[i];
	}
	b->began = packet_ns();
	tun_write_batch(b->tun, ptr, b->n);
	time_end(b, STAGE_TUN_WRITE);
	must(!tun_drops(b->tun)->tun_write_failed, "TUN write");
	drain_app(b);
}

static void print_stages(const struct bench *b)
{
	double all = 0;
	printf("%zu bytes of payload, %d packets together; packets are sealed by %s\n", b->payload, PIECES,
		aead_chosen());
	for (int i = 0; i < STAGE_COUNT; i++) {
		printf("%-28s %6.0f ns\n", stage_texts[i], b->least[i]);
		all += b->least[i];
	}
	printf("%-28s %6.0f ns a packet\n", "all", all);
}

int main(int argc, char **argv)
{
	static struct bench b;
	b.payload = argc > 1 ? (size_t)atoi(argv[1]) : MTU - 48;
	must(key_setup() && b.payload >= 1 && b.payload <= MTU - 28, "payload is 1 to 1252");
	if (!own_ns(CLONE_NEWNET) || access("/dev/net/tun", W_OK) != 0) {
		printf("skipped: no network namespace, or no TUN, here\n");
		return 3;
	}
	open_all(&b);
	for (int round = 0; round < ROUNDS; round++) {
		memset(b.now, 0, sizeof(b.now));
		out(&b);
		in(&b);
		for (int i = 0; i < STAGE_COUNT; i++)
			if (!round || b.now[i] / PIECES < b.least[i])
				b.least[i] = b.now[i] / PIECES;
	}
	print_stages(&b);
	return 0;
}
