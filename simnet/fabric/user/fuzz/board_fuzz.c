#include "mesh/base/wire.h"
#include "simnet/fabric/user/board.h"

#include <stdlib.h>
#include <string.h>

/* Frames into a router with everything on and into a wire that plays every trick. Input: a byte of port, two of length,
 * the frame; again and again. Time goes on by a millisecond each. */

static void send_nowhere(void *owner, int port, const uint8_t *frame, size_t len)
{
	volatile uint8_t sink = 0;
	(void)owner, (void)port;
	for (size_t i = 0; i < len; i++)
		sink = (uint8_t)(sink ^ frame[i]);
}

static struct board *make_board(uint8_t knobs)
{
	static const struct board_ops ops = { .send = send_nowhere };
	struct router_way ways[3] = { { .side = ROUTER_WAN }, { .side = ROUTER_LAN },
		{ .side = ROUTER_WAN } };
	struct nat_model m = nat_model_default;
	m.udp = (struct nat_class) { (enum nat_mapping)(knobs % 3), (enum nat_filtering)(knobs / 3 % 3) };
	m.ports = (enum nat_ports)(knobs % NAT_PORTS_KINDS);
	m.block_ports = m.ports == NAT_PORTS_BLOCK ? 8 : 0;
	m.hairpin = (enum nat_hairpin)(knobs / 5 % NAT_HAIRPINS);
	m.accepts_wan = knobs & 64;
	m.tcp_unknown = (enum nat_unknown)(knobs / 7 % NAT_UNKNOWNS);
	m.lifetimes.udp_new_s = m.lifetimes.udp_s = 1;
	m.udp_stream_s = knobs & 32 ? NAT_STREAM_S : 0;
	struct nat_config nat = { .model = &m, .wan = addr_v4(0xcb007164) };
	struct router_config c = {
		.name = "home", .ways = ways, .n_ways = 3, .v6_firewall = true, .nat = &nat
	};
	struct link_model link = {
		.up = { .mtu = 600, .hops = 2, .loss = 1000, .corrupt = 100000, .duplicate = 100000 },
		.down = { .mtu = 600, .mtu_silent = true, .rate_bps = 1000000 }
	};
	static struct firewall_rule in[] = { { .established = true, .text = "accept established" },
		{ .verdict = FIREWALL_REJECT, .ports = "1-4000", .text = "reject" } };
	static struct firewall_rule out[] = { { .verdict = FIREWALL_REDIRECT,
		.proto = FIREWALL_UDP,
		.ports = "1-999",
		.text = "redirect",
		.into_at = { .port = 53 } } };
	static const struct scn_firewall rules = { .in = in, .n_in = 2, .out = out, .n_out = 1 };
	out[0].into_at.ip = addr_v4(0xcb007107);
	if (knobs & 16)
		c.firewall = &rules;
	if (knobs & 8) {
		(void)nat64_parse("64:ff9b::/96", &c.nat64);
		c.nptv6 = (struct nptv6) { .inside = { { 0x2a } }, .outside = { { 0x2a, 1 } } };
	}
	(void)prefix_parse("0.0.0.0/0", &ways[0].dst);
	(void)prefix_parse("192.168.1.0/24", &ways[1].dst);
	(void)prefix_parse("::/0", &ways[2].dst);
	for (int s = 0; s < ROUTER_SIDES; s++) {
		c.feet[s].mac.b[0] = 2;
		c.feet[s].mac.b[5] = (uint8_t)(s + 1);
		c.feet[s].v4 = addr_v4(s == ROUTER_WAN ? 0xcb007164 : 0xc0a80101);
		c.feet[s].net4 = ways[s].dst;
		c.feet[s].v6.b[0] = 0x2a;
		c.feet[s].v6.b[15] = (uint8_t)(s + 1);
		c.feet[s].net6 = (struct prefix) { .ip = c.feet[s].v6, .bits = 64 };
	}
	struct board *b = board_new(1, &ops, NULL);
	if (!b ||
		board_add_router(b, &c,
			knobs & 32 ? &(struct board_wire) { .name = "home", .model = &link } : NULL) < 0 ||
		board_add_wire(b, &(struct board_wire) { .name = "alice",
					  .model = &link,
					  .teller = c.feet[ROUTER_LAN].v4,
					  .teller6 = c.feet[ROUTER_LAN].v6 }) < 0)
		abort();
	if (knobs & 128) {
		int other = board_add_host(b, 0) < 0 ? -1 : board_add_router(b, &c, NULL);
		if (other < 0)
			abort();
		board_join(b, other, 0);
		router_set_maps(board_router(b, 0),
			&(struct router_maps) { .n = 2,
				.v = { { .proto = IP_UDP,
					       .outer = 4242,
					       .inner = { .ip = addr_v4(0xc0a8010a), .port = 5000 } },
					{ .proto = IP_UDP,
						.outer = 5000,
						.inner = {
							.ip = { { 0x2a, [15] = 10 } }, .port = 5000 } } } });
	}
	return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	struct buf log = { .cap = 1 << 20 };
	uint64_t now = 1000000;
	if (!len)
		return 0;
	struct board *b = make_board(rd_u8(&r));
	while (r.left > 3) {
		int port = rd_u8(&r) % (int)board_ports(b);
		size_t n = rd_u16(&r);
		struct rd frame = rd_sub(&r, n < r.left ? n : r.left);
		uint8_t *copy = malloc(frame.left ? frame.left : 1); /* so that the sanitizer sees its end */
		if (!copy || frame.bad)
			abort();
		if (frame.left)
			memcpy(copy, frame.p, frame.left);
		board_received(b, port, copy, frame.left, now);
		free(copy);
		board_tick(b, now += 1000000);
	}
	board_tick(b, now + 2000000000);
	(void)decision_write(board_log(b), &log);
	buf_free(&log);
	board_free(b);
	return 0;
}
