#include "simnet/punch/punch_peer.h"
#include "simnet/punch/punch_server.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Two peers and a server on a network of the test's own, in its own time: each peer behind a NAT of RFC 4787's
 * definitions, which has nothing in common with simnet's engines. A packet takes HOP_US. */
enum { HOP_US = 10000, PACKETS_MAX = 4096, FLOWS_MAX = 256, PEERS = 2, SERVER_PORT = 7000 };
enum class { EI, AD, APD }; /* of mapping and of filtering */

struct flow { /* a mapping, or somebody the host sent to by one */
	struct endpoint to;
	uint16_t port; /* outer */
};
struct net;
struct nat_peer {
	struct net *net;
	struct punch_peer peer;
	enum class mapping, filtering;
	bool behind_nat;
	struct endpoint inner;
	struct addr outer;
	struct flow flows[FLOWS_MAX];
	size_t n_flows;
	uint16_t next_port;
	unsigned changes, mapped;
	char echoed[PUNCH_BODY_MAX + 1];
};
struct packet {
	uint64_t at_us;
	struct endpoint from, to;
	uint8_t msg[PUNCH_MESSAGE_MAX];
	size_t len;
};
struct net {
	uint64_t now_us;
	struct nat_peer peers[PEERS];
	struct punch_server server;
	struct endpoint server_at;
	struct packet packets[PACKETS_MAX];
	size_t first, n; /* a ring; all take the same time, so it is in order */
	bool no_direct;	 /* everything between the peers themselves is lost */
	bool no_server;
};

static void put_packet(
	struct net *n, const struct endpoint *from, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct packet *k = &n->packets[(n->first + n->n) % PACKETS_MAX];

	assert_true(n->n < PACKETS_MAX && len && len <= PUNCH_MESSAGE_MAX);
	n->n++;
	*k = (struct packet) { .at_us = n->now_us + HOP_US, .from = *from, .to = *to, .len = len };
	memcpy(k->msg, p, len);
}

static bool same_flow(enum class c, const struct endpoint *a, const struct endpoint *b)
{
	return c == EI || (addr_equal(&a->ip, &b->ip) && (c == AD || a->port == b->port));
}

static void note_flow(struct nat_peer *p, const struct endpoint *to, uint16_t port)
{
	for (size_t i = 0; i < p->n_flows; i++)
		if (p->flows[i].port == port && endpoint_equal(&p->flows[i].to, to))
			return;
	assert_true(p->n_flows < FLOWS_MAX);
	p->flows[p->n_flows++] = (struct flow) { .to = *to, .port = port };
}

static struct endpoint map_out(struct nat_peer *p, const struct endpoint *to)
{
	uint16_t port = 0;

	if (!p->behind_nat)
		return p->inner;
	/* An answer leaves by the mapping that the question came in on. */
	for (size_t i = 0; i < p->n_flows && !port; i++)
		if (endpoint_equal(&p->flows[i].to, to))
			port = p->flows[i].port;
	for (size_t i = 0; i < p->n_flows && !port; i++)
		if (same_flow(p->mapping, &p->flows[i].to, to))
			port = p->flows[i].port;
	if (!port)
		port = p->next_port++;
	note_flow(p, to, port);
	return (struct endpoint) { .ip = p->outer, .port = port };
}

static bool lets_in(struct nat_peer *p, const struct endpoint *from, const struct endpoint *to)
{
	if (!p->behind_nat)
		return endpoint_equal(to, &p->inner);
	for (size_t i = 0; addr_equal(&to->ip, &p->outer) && i < p->n_flows; i++)
		if (p->flows[i].port == to->port && same_flow(p->filtering, &p->flows[i].to, from)) {
			note_flow(p, from, to->port);
			return true;
		}
	return false;
}

static void from_peer(void *owner, const struct endpoint *to, const uint8_t *msg, size_t len)
{
	struct nat_peer *p = owner;
	struct endpoint from = map_out(p, to);
	put_packet(p->net, &from, to, msg, len);
}

static void from_server(void *owner, const struct endpoint *to, const uint8_t *msg, size_t len)
{
	struct net *n = owner;
	put_packet(n, &n->server_at, to, msg, len);
}

static void mapped(void *owner, const struct endpoint *seen)
{
	struct nat_peer *p = owner;
	assert_true(endpoint_is_set(seen));
	p->mapped++;
}

static void changed(void *owner, const struct punch_remote *remote)
{
	struct nat_peer *p = owner;
	assert_ptr_equal(remote, &p->peer.remotes[0]);
	p->changes++;
}

static void echoed(void *owner, const struct punch_remote *remote, const uint8_t *msg, size_t len)
{
	struct nat_peer *p = owner;
	(void)remote;
	snprintf(p->echoed, sizeof(p->echoed), "%.*s", (int)len, (const char *)msg);
}

static const struct punch_peer_ops peer_ops = {
	.send = from_peer, .mapped = mapped, .changed = changed, .echoed = echoed
};
static void from_other_port(void *owner, const struct endpoint *to, const uint8_t *msg, size_t len)
{
	struct net *n = owner;
	struct endpoint other = { .ip = n->server_at.ip, .port = SERVER_PORT + 1 };
	put_packet(n, &other, to, msg, len);
}

static const struct punch_server_ops server_ops = { .send = from_server, .send_other = from_other_port };

static void deliver(struct net *n, const struct packet *k)
{
	bool by_server = endpoint_equal(&k->from, &n->server_at) || endpoint_equal(&k->to, &n->server_at);

	if (by_server ? n->no_server : n->no_direct)
		return;
	if (endpoint_equal(&k->to, &n->server_at)) {
		punch_server_received(&n->server, n->now_us, &k->from, k->msg, k->len);
		return;
	}
	for (int i = 0; i < PEERS; i++)
		if (lets_in(&n->peers[i], &k->from, &k->to))
			punch_peer_received(&n->peers[i].peer, n->now_us, &k->from, k->msg, k->len);
}

static void run_for(struct net *n, uint64_t us)
{
	uint64_t end = n->now_us + us;

	while (n->now_us < end) {
		uint64_t at = end;
		for (int i = 0; i < PEERS; i++)
			if (punch_peer_deadline(&n->peers[i].peer) < at)
				at = punch_peer_deadline(&n->peers[i].peer);
		if (n->n && n->packets[n->first].at_us < at)
			at = n->packets[n->first].at_us;
		n->now_us = at > n->now_us ? at : n->now_us;
		while (n->n && n->packets[n->first].at_us <= n->now_us) {
			struct packet k = n->packets[n->first];
			n->first = (n->first + 1) % PACKETS_MAX;
			n->n--;
			deliver(n, &k);
		}
		for (int i = 0; i < PEERS; i++)
			if (punch_peer_deadline(&n->peers[i].peer) <= n->now_us)
				punch_peer_tick(&n->peers[i].peer, n->now_us);
	}
}

static void open_peer(struct net *n, int i, bool nat, enum class mapping, enum class filtering)
{
	struct nat_peer *p = &n->peers[i];
	struct punch_peer_conf conf = { .server = n->server_at,
		.n_own = 1,
		.try_us = 3000000,
		.beat_us = 1000000,
		.nonce = (uint64_t)i << 32,
		.echo_port = (uint16_t)(7 + i) };

	*p = (struct nat_peer) { .net = n,
		.behind_nat = nat,
		.mapping = mapping,
		.filtering = filtering,
		.inner = { .ip = addr_v4(nat ? 0x0a000001u + (uint32_t)i * 256 : 0xc6336401u + (uint32_t)i),
			.port = 4000 },
		.outer = addr_v4(0xcb007101u + (uint32_t)i),
		.next_port = 20000 };
	snprintf(conf.name, sizeof(conf.name), "%s", i ? "bob" : "alice");
	conf.own[0] = p->inner;
	punch_peer_init(&p->peer, &conf, &peer_ops, p);
}

static struct net *new_net(void)
{
	struct net *n = calloc(1, sizeof(*n));
	assert_non_null(n);
	n->now_us = 1000000;
	n->server_at = (struct endpoint) { .ip = addr_v4(0xc0000201), .port = SERVER_PORT };
	punch_server_init(&n->server, &server_ops, n);
	return n;
}

static const struct punch_remote *remote_of(const struct net *n, int i)
{
	assert_int_equal(n->peers[i].peer.n_remotes, 1);
	return &n->peers[i].peer.remotes[0];
}

/* RFC 5128 section 3.3 and the definitions of RFC 4787: who can be reached, by hand. */
static enum punch_path expected(enum class ma, enum class fa, enum class mb, enum class fb)
{
	bool direct = fa == EI || fb == EI || (ma == EI && mb == EI) || (ma == EI && fa == AD) ||
		      (mb == EI && fb == AD);
	return direct ? PUNCH_DIRECT : PUNCH_RELAY;
}

/* All 81 ordered pairs; both ends agree, and no path is called settled before its time. */
static void test_every_pair_of_nats(void **state)
{
	(void)state;
	for (int cell = 0; cell < 81; cell++) {
		enum class ma = cell / 27 % 3, fa = cell / 9 % 3, mb = cell / 3 % 3, fb = cell % 3;
		struct net *n = new_net();
		open_peer(n, 0, true, ma, fa);
		open_peer(n, 1, true, mb, fb);
		assert_true(punch_peer_call(&n->peers[0].peer, "bob"));
		run_for(n, 2000000);
		enum punch_path want = expected(ma, fa, mb, fb);
		for (int i = 0; i < PEERS; i++)
			if (remote_of(n, i)->path != want ||
				remote_of(n, i)->settled != (want == PUNCH_DIRECT))
				fail_msg("cell %d, peer %d: %s, %s expected", cell, i,
					punch_path_name(remote_of(n, i)->path), punch_path_name(want));
		run_for(n, 2500000);
		assert_true(remote_of(n, 0)->settled && remote_of(n, 1)->settled);
		assert_int_equal(remote_of(n, 0)->path, want);
		if (want == PUNCH_DIRECT)
			assert_true(remote_of(n, 0)->rtt_us == 2 * HOP_US);
		free(n);
	}
}

/* A lost direct path is replaced by the relay within three beats, and found again when it works again. */
static void test_direct_is_lost_and_found(void **state)
{
	struct net *n = new_net();
	(void)state;

	open_peer(n, 0, true, EI, APD);
	open_peer(n, 1, true, EI, APD);
	punch_peer_call(&n->peers[0].peer, "bob");
	run_for(n, 1000000);
	assert_int_equal(remote_of(n, 0)->path, PUNCH_DIRECT);
	n->no_direct = true;
	run_for(n, 4200000);
	assert_int_equal(remote_of(n, 0)->path, PUNCH_RELAY);
	assert_int_equal(remote_of(n, 1)->path, PUNCH_RELAY);
	assert_false(remote_of(n, 0)->settled);
	run_for(n, 3000000);
	assert_true(remote_of(n, 0)->settled);
	n->no_direct = false;
	run_for(n, 1500000);
	assert_int_equal(remote_of(n, 0)->path, PUNCH_DIRECT);
	assert_int_equal(remote_of(n, 1)->path, PUNCH_DIRECT);
	free(n);
}

/* A NAT that forgets everything gives other ports: the server sees it, and the call leads to the new ones. */
static void test_nat_is_reset(void **state)
{
	struct net *n = new_net();
	struct endpoint before;
	(void)state;

	open_peer(n, 0, true, EI, APD);
	open_peer(n, 1, true, EI, APD);
	punch_peer_call(&n->peers[0].peer, "bob");
	run_for(n, 1000000);
	before = n->peers[1].peer.seen;
	n->peers[1].n_flows = 0;
	n->peers[1].next_port = 30000;
	run_for(n, 7000000);
	assert_false(endpoint_equal(&before, &n->peers[1].peer.seen));
	assert_int_equal(n->peers[1].mapped, 2);
	assert_int_equal(remote_of(n, 0)->path, PUNCH_DIRECT);
	assert_true(endpoint_equal(&remote_of(n, 0)->direct, &n->peers[1].peer.seen));
	free(n);
}

static void test_server_dies(void **state)
{
	struct net *n = new_net();
	(void)state;

	open_peer(n, 0, true, APD, APD);
	open_peer(n, 1, true, APD, APD);
	punch_peer_call(&n->peers[0].peer, "bob");
	run_for(n, 1000000);
	assert_int_equal(remote_of(n, 0)->path, PUNCH_RELAY);
	n->no_server = true;
	run_for(n, 4200000);
	assert_int_equal(remote_of(n, 0)->path, PUNCH_NONE);
	n->no_server = false;
	run_for(n, 2500000);
	assert_int_equal(remote_of(n, 0)->path, PUNCH_RELAY);
	free(n);
}

static void test_echo_takes_the_path(void **state)
{
	struct net *n = new_net();
	(void)state;

	open_peer(n, 0, true, APD, APD);
	open_peer(n, 1, true, APD, APD);
	punch_peer_call(&n->peers[0].peer, "bob");
	run_for(n, 1000000);
	assert_int_equal(remote_of(n, 0)->echo_port, 8);
	uint64_t relayed = n->server.relayed;
	punch_peer_echo(&n->peers[0].peer, remote_of(n, 0), (const uint8_t *)"hello", 5);
	run_for(n, 5 * HOP_US);
	assert_string_equal(n->peers[0].echoed, "hello");
	assert_true(n->server.relayed >= relayed + 2);
	n->no_server = true;
	n->peers[0].echoed[0] = '\0';
	punch_peer_echo(&n->peers[0].peer, remote_of(n, 0), (const uint8_t *)"lost", 4);
	run_for(n, 5 * HOP_US);
	assert_string_equal(n->peers[0].echoed, "");
	free(n);
}

/* Each kind of message that leads to nothing has its own counter. */
static void test_drops_of_a_peer(void **state)
{
	struct net *n = new_net();
	struct punch_peer *p = &n->peers[0].peer;
	struct endpoint stranger = { .ip = addr_v4(0x08080808), .port = 53 };
	(void)state;

	open_peer(n, 0, false, EI, EI);
	open_peer(n, 1, false, EI, EI);
	const struct {
		struct punch_message m;
		const struct endpoint *from;
		const uint64_t *counter;
	} rows[] = {
		{ { .kind = PUNCH_PROBE, .from = "bob", .to = "carol" }, &stranger, &p->drops.not_for_us },
		{ { .kind = PUNCH_PROBE, .from = "bob", .to = "alice" }, &stranger, &p->drops.stranger },
		{ { .kind = PUNCH_INVITE, .from = "bob", .to = "alice" }, &stranger, &p->drops.unexpected },
		{ { .kind = PUNCH_INVITE, .to = "alice" }, &n->server_at, &p->drops.unexpected },
		{ { .kind = PUNCH_SEEN, .to = "alice" }, &stranger, &p->drops.unexpected },
		{ { .kind = PUNCH_OPEN, .to = "alice" }, &stranger, &p->drops.unexpected },
		{ { .kind = PUNCH_CALL, .from = "bob", .to = "alice" }, &n->server_at, &p->drops.unexpected },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t msg[PUNCH_MESSAGE_MAX];
		uint64_t before = *rows[i].counter;
		size_t len = punch_message_write(&rows[i].m, msg, sizeof(msg));
		punch_peer_received(p, n->now_us, rows[i].from, msg, len);
		if (*rows[i].counter != before + 1)
			fail_msg("row %zu", i);
	}
	punch_peer_received(p, n->now_us, &stranger, (const uint8_t *)"x", 1);
	assert_int_equal(p->drops.malformed, 1);
	punch_peer_call(p, "bob");
	run_for(n, 500000);
	uint8_t msg[PUNCH_MESSAGE_MAX];
	struct punch_message answer = { .kind = PUNCH_ANSWER, .from = "bob", .to = "alice", .nonce = ~0ull };
	punch_peer_received(p, n->now_us, &stranger, msg, punch_message_write(&answer, msg, sizeof(msg)));
	assert_int_equal(p->drops.unknown_answer, 1);
	free(n);
}

/* What strangers and the server can make a peer keep has its end. */
static void test_peer_is_bounded(void **state)
{
	struct net *n = new_net();
	struct punch_peer *p = &n->peers[0].peer;
	uint8_t msg[PUNCH_MESSAGE_MAX];
	(void)state;

	open_peer(n, 0, false, EI, EI);
	open_peer(n, 1, false, EI, EI);
	for (int i = 0; i <= PUNCH_REMOTES_MAX; i++) {
		struct punch_message m = { .kind = PUNCH_INVITE, .to = "alice", .n_places = 1 };
		snprintf(m.from, sizeof(m.from), "r%d", i);
		punch_peer_received(
			p, n->now_us, &n->server_at, msg, punch_message_write(&m, msg, sizeof(msg)));
	}
	assert_int_equal(p->n_remotes, PUNCH_REMOTES_MAX);
	assert_int_equal(p->drops.full, 1);
	assert_false(punch_peer_call(p, "one-more"));
	for (uint32_t i = 0; i < 100; i++) { /* the newest sources stay, and the server's word */
		struct punch_message m = { .kind = PUNCH_PROBE, .from = "r0", .to = "alice" };
		struct endpoint from = { .ip = addr_v4(0x01010100 + i), .port = 1 };
		punch_peer_received(p, n->now_us, &from, msg, punch_message_write(&m, msg, sizeof(msg)));
	}
	assert_int_equal(p->remotes[0].n_places, PUNCH_PLACES_MAX);
	assert_int_equal(p->remotes[0].n_kept, 1);
	assert_int_equal(addr_v4_get(&p->remotes[0].places[PUNCH_PLACES_MAX - 1].ip), 0x01010100 + 99);
	assert_true(addr_is_unspecified(&p->remotes[0].places[0].ip));
	free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair_of_nats),
		cmocka_unit_test(test_direct_is_lost_and_found),
		cmocka_unit_test(test_nat_is_reset),
		cmocka_unit_test(test_server_dies),
		cmocka_unit_test(test_echo_takes_the_path),
		cmocka_unit_test(test_drops_of_a_peer),
		cmocka_unit_test(test_peer_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
