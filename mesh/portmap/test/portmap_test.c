/* The node's side against a router that is a few lines of this file. */
#include "mesh/portmap/portmap.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { PORT = 41641, REPLY_MAX = 60, QUEUE = 64 };

/* What the router speaks, and how. */
struct router {
	bool pcp, pmp, silent;
	uint16_t refuses; /* requests for mappings: with this result */
	uint16_t address_refused;
	uint16_t gives; /* outer port; 0: the one that is asked for */
	bool gives_none;
	uint32_t lifetime_s;
	struct addr outer;
	uint64_t began_ms;
	unsigned maps, deletes, others, pmp_heard; /* requests heard */
	uint8_t nonce[ROUTER_NONCE];		   /* of the last map */
};
struct net {
	struct portmap m;
	struct endpoint gateway;
	unsigned searches, upnp_maps, upnp_unmaps; /* asked of the driver */
	uint16_t upnp_wish, upnp_unmapped;
	struct router r;
	uint64_t now_ms;
	struct {
		uint8_t b[ROUTER_REQUEST_MAX];
		size_t len;
	} sent[QUEUE]; /* not yet at the router */
	size_t n_sent;
};

static const struct endpoint gateway = { .ip = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 1 } },
	.port = ROUTER_PORT };
static const struct addr self = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 7 } };
static const uint8_t our_nonce[ROUTER_NONCE] = "abcdefghijk";

static void take_request(void *arg, const uint8_t *p, size_t len)
{
	struct net *n = arg;
	assert_true(n->n_sent < QUEUE && len <= ROUTER_REQUEST_MAX);
	memcpy(n->sent[n->n_sent].b, p, len);
	n->sent[n->n_sent++].len = len;
}

static void take_search(void *arg)
{
	((struct net *)arg)->searches++;
}

static void take_upnp_map(void *arg, const struct router_wish *w)
{
	((struct net *)arg)->upnp_maps++;
	((struct net *)arg)->upnp_wish = w->outer;
}

static void take_upnp_unmap(void *arg, uint16_t outer)
{
	((struct net *)arg)->upnp_unmaps++;
	((struct net *)arg)->upnp_unmapped = outer;
}

static void pmp_head(struct wr *w, const struct net *n, uint8_t op, uint16_t result)
{
	wr_u8(w, 0);
	wr_u8(w, 0x80 | op);
	wr_u16(w, result);
	wr_u32(w, (uint32_t)((n->now_ms - n->r.began_ms) / 1000));
}

static void pcp_head(struct wr *w, const struct net *n, uint8_t op, uint16_t result)
{
	wr_u8(w, 2);
	wr_u8(w, 0x80 | op);
	wr_u8(w, 0);
	wr_u8(w, (uint8_t)result);
	wr_u32(w, n->r.lifetime_s);
	wr_u32(w, (uint32_t)((n->now_ms - n->r.began_ms) / 1000));
	wr_zero(w, 12);
}

static void answer_map(struct net *n, struct wr *w, const uint8_t *p, bool pcp)
{
	const uint8_t *ports = p + (pcp ? 40 : 4);
	uint32_t lifetime = (uint32_t)be_get(p + (pcp ? 4 : 8), 4);
	uint16_t outer = n->r.gives ? n->r.gives : (uint16_t)be_get(ports + 2, 2);
	*(lifetime ? &n->r.maps : &n->r.deletes) += 1;
	if (n->r.gives_none)
		outer = 0;
	if (!pcp) {
		pmp_head(w, n, 1, n->r.refuses);
		wr_bytes(w, ports, 2);
		wr_u16(w, outer);
		wr_u32(w, lifetime ? n->r.lifetime_s : 0);
		return;
	}
	memcpy(n->r.nonce, p + 24, ROUTER_NONCE);
	pcp_head(w, n, 1, n->r.refuses);
	wr_bytes(w, p + 24, 18);
	wr_u16(w, outer);
	wr_bytes(w, n->r.outer.b, 16);
}

static size_t router_answer(struct net *n, const uint8_t *p, uint8_t *out)
{
	struct wr w = wr_of(out, REPLY_MAX);
	bool pcp = p[0] == 2;
	if (n->r.silent || (!n->r.pcp && !n->r.pmp))
		return 0;
	if (!pcp)
		n->r.pmp_heard++;
	if (pcp ? !n->r.pcp : !n->r.pmp) {
		pcp ? pmp_head(&w, n, 0, ROUTER_OTHER_VERSION) : pcp_head(&w, n, 0, ROUTER_OTHER_VERSION);
	} else if (p[1] == 1) {
		answer_map(n, &w, p, pcp);
	} else if (pcp) {
		n->r.others++;
		pcp_head(&w, n, 0, 0);
	} else {
		n->r.others++;
		pmp_head(&w, n, 0, n->r.address_refused);
		wr_bytes(&w, n->r.outer.b + 12, 4);
	}
	assert_false(w.bad);
	return w.len;
}

/* Until nothing is under way. */
static void deliver(struct net *n)
{
	for (size_t i = 0; i < n->n_sent; i++) {
		uint8_t reply[REPLY_MAX];
		size_t len = router_answer(n, n->sent[i].b, reply);
		if (len)
			portmap_received(&n->m, n->now_ms, &n->gateway, reply, len);
	}
	n->n_sent = 0;
}

static void run_for(struct net *n, uint64_t ms)
{
	uint64_t end = n->now_ms + ms;
	deliver(n);
	while (portmap_deadline(&n->m) <= end) {
		uint64_t due = portmap_deadline(&n->m);
		n->now_ms = due > n->now_ms ? due : n->now_ms + 1; /* a deadline that has passed is no spin */
		portmap_tick(&n->m, n->now_ms);
		deliver(n);
	}
	n->now_ms = end;
}

static void net_begin_at(struct net *n, bool pcp, bool pmp, const struct portmap_router *at)
{
	struct portmap_ops ops = { .send = take_request,
		.upnp_search = take_search,
		.upnp_map = take_upnp_map,
		.upnp_unmap = take_upnp_unmap,
		.arg = n };
	*n = (struct net) { .now_ms = 1000000,
		.gateway = { .ip = at->gateway, .port = ROUTER_PORT },
		.r = { .pcp = pcp, .pmp = pmp, .lifetime_s = 3600, .outer = addr_v4(0xcb007109) } };
	portmap_init(&n->m, &ops, our_nonce);
	portmap_router_set(&n->m, n->now_ms, at);
}

static void net_begin(struct net *n, bool pcp, bool pmp)
{
	struct portmap_router at = { .gateway = gateway.ip, .self = self, .port = PORT };
	net_begin_at(n, pcp, pmp, &at);
}

static const struct portmap_router six = { .gateway = { { 0xfe, 0x80, [15] = 1 } },
	.self = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 } },
	.port = PORT };

static void expect_mapped(const struct net *n, uint16_t port)
{
	struct endpoint at = { .ip = n->r.outer, .port = port };
	if (!endpoint_equal(&n->m.mapped, &at))
		fail_msg("mapped: port %u in phase %d", n->m.mapped.port, n->m.phase);
}

static void test_each_protocol(void **state)
{
	(void)state;
	static const struct {
		bool pcp, pmp;
		enum portmap_protocol by;
	} rows[] = { { true, true, PORTMAP_PCP }, { true, false, PORTMAP_PCP },
		{ false, true, PORTMAP_PMP } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct net n;
		net_begin(&n, rows[i].pcp, rows[i].pmp);
		deliver(&n);
		deliver(&n);
		expect_mapped(&n, PORT);
		assert_int_equal(n.m.by, rows[i].by);
		assert_true(portmap_take_news(&n.m));
		assert_false(portmap_take_news(&n.m));
		assert_int_equal(portmap_is_there(&n.m, PORTMAP_PCP), rows[i].pcp);
		assert_int_equal(portmap_is_there(&n.m, PORTMAP_PMP), rows[i].pmp);
		portmap_release(&n.m);
		deliver(&n);
		assert_int_equal(n.r.deletes, 1);
		assert_int_equal(portmap_deadline(&n.m), UINT64_MAX);
	}
}

/* An old router, which knows NAT-PMP and drops what it does not know, keeps nobody waiting. */
static void test_silent_about_pcp(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, false, true);
	uint8_t reply[REPLY_MAX];
	size_t len = router_answer(&n, n.sent[1].b, reply);
	portmap_received(&n.m, n.now_ms, &gateway, reply, len);
	n.n_sent = 0;
	run_for(&n, 100);
	expect_mapped(&n, PORT);
}

static void test_nobody_there(void **state)
{
	(void)state;
	struct net n;
	char why[256];
	net_begin(&n, false, false);
	size_t asked = n.n_sent;
	assert_int_equal(asked, 2);
	assert_string_equal(portmap_explain(&n.m, why, sizeof(why)), "");
	run_for(&n, 4000);
	assert_int_equal(n.m.phase, PORTMAP_REST);
	assert_non_null(strstr(portmap_explain(&n.m, why, sizeof(why)), "192.168.1.1 has none"));
	n.r.pmp = true; /* turned on meanwhile */
	run_for(&n, 10000);
	expect_mapped(&n, PORT);
}

/* Nobody there for a day: a handful of packets an hour. */
static void test_rests(void **state)
{
	(void)state;
	struct net n;
	unsigned searches = 0;
	net_begin(&n, false, false);
	for (int minute = 0; minute < 24 * 60; minute++) {
		uint64_t before = n.m.searched_ms;
		run_for(&n, 60000);
		searches += n.m.searched_ms != before;
	}
	assert_in_range(searches, 24 * 60 / 6, 24 * 60 / 5 + 10);
}

static void test_renewed(void **state)
{
	(void)state;
	for (int pcp = 0; pcp < 2; pcp++) {
		struct net n;
		net_begin(&n, pcp, true);
		n.r.lifetime_s = 60; /* shorter than any check */
		run_for(&n, 10000);
		unsigned maps = n.r.maps;
		run_for(&n, 600000);
		expect_mapped(&n, PORT);
		assert_in_range(n.r.maps - maps, 18, 21);
		n.r.silent = true;
		run_for(&n, 20000);
		expect_mapped(&n, PORT); /* may be there still */
		run_for(&n, 45000);
		assert_false(endpoint_is_set(&n.m.mapped));
		n.r.silent = false;
		run_for(&n, 12000);
		expect_mapped(&n, PORT);
	}
}

/* Its mappings are gone; it says so, or we find out. */
static void test_router_restarts(void **state)
{
	(void)state;
	for (int told = 0; told < 2; told++) {
		struct net n;
		net_begin(&n, false, true);
		run_for(&n, 100000);
		unsigned maps = n.r.maps;
		n.r.began_ms = n.now_ms;
		if (told) {
			uint8_t b[12];
			struct wr w = wr_of(b, sizeof(b));
			pmp_head(&w, &n, 0, 0);
			wr_bytes(&w, n.r.outer.b + 12, 4);
			struct endpoint elsewhere = { .ip = self, .port = ROUTER_PORT };
			portmap_news_received(&n.m, n.now_ms, &elsewhere, b, w.len);
			assert_int_equal(n.n_sent, 0);
			assert_int_equal(n.m.drops.stranger, 1);
			portmap_news_received(&n.m, n.now_ms, &gateway, b, w.len);
			deliver(&n);
		} else {
			run_for(&n, 61000);
		}
		assert_true(n.r.maps > maps);
		expect_mapped(&n, PORT);
	}
}

/* Each word of the router is asked about, once a second at most; of a refusal there is nothing to ask. */
static void test_news_are_bounded(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, true, true);
	run_for(&n, 5000);
	unsigned maps = n.r.maps;
	uint8_t b[24];
	struct wr w = wr_of(b, sizeof(b));
	pcp_head(&w, &n, 0, 0);
	for (int i = 0; i < 1000; i++) {
		portmap_news_received(&n.m, n.now_ms, &gateway, b, w.len);
		run_for(&n, 10);
	}
	assert_in_range(n.r.maps - maps, 9, 11); /* ten seconds */
	run_for(&n, 2000);
	maps = n.r.maps;
	w = wr_of(b, sizeof(b));
	pcp_head(&w, &n, 0, 2);
	portmap_news_received(&n.m, n.now_ms, &gateway, b, w.len);
	deliver(&n);
	assert_int_equal(n.r.maps, maps);
}

static void test_moved_outside(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, false, true);
	run_for(&n, 5000);
	(void)portmap_take_news(&n.m);
	n.r.outer = addr_v4(0xcb00710a);
	portmap_doubt(&n.m, n.now_ms);
	run_for(&n, 1000);
	expect_mapped(&n, PORT);
	assert_true(portmap_take_news(&n.m));
}

static void test_doubts_are_bounded(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, true, true);
	run_for(&n, 5000);
	unsigned maps = n.r.maps;
	for (int i = 0; i < 1000; i++) {
		portmap_doubt(&n.m, n.now_ms);
		run_for(&n, 10);
	}
	assert_in_range(n.r.maps - maps, 9, 11); /* ten seconds */
	n.r.outer = addr_v4(0xcb00710a);
	portmap_doubt(&n.m, n.now_ms); /* too soon, and not forgotten */
	run_for(&n, 1100);
	expect_mapped(&n, PORT);
}

static void test_other_port(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, true, true);
	n.r.gives = 20000;
	run_for(&n, 1000);
	expect_mapped(&n, 20000);
	n.r.gives = 0; /* it gives what is asked for: the one we have */
	run_for(&n, 70000);
	expect_mapped(&n, 20000);
}

static void test_refused(void **state)
{
	(void)state;
	struct net n;
	char why[256];
	net_begin(&n, true, true);
	n.r.refuses = 2;
	run_for(&n, 4000);
	assert_false(endpoint_is_set(&n.m.mapped));
	assert_int_equal(n.r.maps, 2); /* each protocol once */
	assert_true(portmap_is_there(&n.m, PORTMAP_PMP));
	assert_non_null(strstr(portmap_explain(&n.m, why, sizeof(why)), "refused by its settings"));
}

static void test_yes_without_port(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, false, true);
	n.r.gives_none = true;
	run_for(&n, 5000);
	assert_false(endpoint_is_set(&n.m.mapped));
	assert_int_equal(n.m.phase, PORTMAP_REST);
}

/* What lies behind another NAT is no place to tell peers. */
static void test_double_nat(void **state)
{
	(void)state;
	static const uint32_t outers[] = { 0x0a000002, 0xc0a80002, 0xac100001, 0x64400001, 0x00000000,
		0x7f000001, 0xa9fe0101, 0xe0000001, 0xffffffff };
	for (size_t i = 0; i < ARRAY_LEN(outers); i++) {
		for (int pcp = 0; pcp < 2; pcp++) {
			struct net n;
			char why[256];
			net_begin(&n, pcp, true);
			n.r.outer = addr_v4(outers[i]);
			run_for(&n, 4000);
			assert_false(endpoint_is_set(&n.m.mapped));
			assert_int_equal(n.r.deletes, n.r.maps);
			assert_true(*portmap_explain(&n.m, why, sizeof(why)));
		}
	}
}

/* What is right but for one thing moves nothing. */
static void test_strangers(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, true, false);
	uint8_t good[REPLY_MAX], bad[REPLY_MAX];
	size_t len = router_answer(&n, n.sent[0].b, good);
	portmap_received(&n.m, n.now_ms, &gateway, good, len); /* of the search */
	assert_int_equal(n.n_sent, 3);
	len = router_answer(&n, n.sent[2].b, good);
	n.n_sent = 0;
	struct endpoint other = { .ip = self, .port = ROUTER_PORT }, odd_port = gateway;
	odd_port.port = 53;
	portmap_received(&n.m, n.now_ms, &other, good, len);
	portmap_received(&n.m, n.now_ms, &odd_port, good, len);
	static const size_t ats[] = { 24, 35, 36, 40 }; /* nonce's ends, protocol, inner port */
	for (size_t i = 0; i < ARRAY_LEN(ats); i++) {
		memcpy(bad, good, len);
		bad[ats[i]] ^= 1;
		portmap_received(&n.m, n.now_ms, &gateway, bad, len);
	}
	assert_false(endpoint_is_set(&n.m.mapped));
	assert_int_equal(n.m.drops.stranger, 1);
	assert_int_equal(n.m.drops.malformed, 1);
	assert_int_equal(n.m.drops.unasked, 4);
	portmap_received(&n.m, n.now_ms, &gateway, good, len);
	expect_mapped(&n, PORT);
	portmap_received(&n.m, n.now_ms, &gateway, good, len);
	assert_int_equal(n.m.drops.unasked, 5);
}

static void upnp_says(struct net *n, uint16_t outer, const char *why)
{
	struct router_reply got = { .address = n->r.outer, .outer = outer, .lifetime_s = 3600 };
	portmap_upnp_mapped(&n->m, n->now_ms, &got, why);
}

static void test_upnp_alone(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, false, false);
	assert_int_equal(n.searches, 1);
	run_for(&n, 40);
	portmap_upnp_found(&n.m, n.now_ms);
	run_for(&n, 310);
	assert_int_equal(n.upnp_maps, 1); /* others have had their time */
	upnp_says(&n, 4242, NULL);
	expect_mapped(&n, 4242);
	assert_true(portmap_is_there(&n.m, PORTMAP_UPNP));
	run_for(&n, 301000);
	assert_int_equal(n.upnp_maps, 2);
	assert_int_equal(n.upnp_wish, 4242);
	upnp_says(&n, 4242, NULL);
	portmap_release(&n.m);
	assert_int_equal(n.upnp_unmaps, 1);
	assert_int_equal(n.upnp_unmapped, 4242);
	upnp_says(&n, 4242, NULL);
	assert_false(endpoint_is_set(&n.m.mapped));
}

/* Released while a port is asked for: only what was given goes back, not what the driver has come to meanwhile. */
static void test_upnp_released_early(void **state)
{
	(void)state;
	for (int held = 0; held < 2; held++) {
		struct net n;
		net_begin(&n, false, false);
		portmap_upnp_found(&n.m, n.now_ms);
		run_for(&n, 310);
		assert_int_equal(n.upnp_maps, 1);
		if (held) {
			upnp_says(&n, 4242, NULL);
			run_for(&n, 301000);
			assert_int_equal(n.upnp_maps, 2);
		}
		assert_int_equal(n.m.phase, PORTMAP_ASK);
		portmap_release(&n.m);
		assert_int_equal(n.upnp_unmaps, held);
		assert_int_equal(n.upnp_unmapped, held ? 4242 : 0);
	}
}

/* It comes last, and where the others refuse it is asked at once. */
static void test_upnp_beside(void **state)
{
	(void)state;
	for (int refuses = 0; refuses < 2; refuses++) {
		struct net n;
		net_begin(&n, true, true);
		n.r.refuses = refuses ? 2 : 0;
		portmap_upnp_found(&n.m, n.now_ms);
		run_for(&n, 1000);
		assert_int_equal(n.upnp_maps, refuses);
		upnp_says(&n, 4242, "refused by its settings");
		assert_int_equal(endpoint_is_set(&n.m.mapped), !refuses);
		assert_int_equal(n.m.phase, refuses ? PORTMAP_REST : PORTMAP_HELD);
	}
}

/* Found when the search was given up; behind another NAT. */
static void test_upnp_late(void **state)
{
	(void)state;
	struct net n;
	char why[256];
	net_begin(&n, false, false);
	run_for(&n, 4000);
	portmap_upnp_found(&n.m, n.now_ms);
	assert_int_equal(n.upnp_maps, 1);
	n.r.outer = addr_v4(0x0a000002);
	upnp_says(&n, 0, NULL);
	assert_int_equal(n.upnp_unmaps, 0);
	assert_false(endpoint_is_set(&n.m.mapped));
	assert_non_null(strstr(portmap_explain(&n.m, why, sizeof(why)), "10.0.0.2 is behind another NAT"));
}

static void test_link_moves(void **state)
{
	(void)state;
	struct net n;
	net_begin(&n, true, true);
	run_for(&n, 1000);
	(void)portmap_take_news(&n.m);
	portmap_router_set(&n.m, n.now_ms, &(struct portmap_router) { 0 });
	assert_false(endpoint_is_set(&n.m.mapped));
	assert_true(portmap_take_news(&n.m));
	assert_int_equal(portmap_deadline(&n.m), UINT64_MAX);
	portmap_doubt(&n.m, n.now_ms);
	portmap_tick(&n.m, n.now_ms);
	assert_int_equal(n.n_sent, 0);
}

/* NAT-PMP answers after PCP, and refuses: it is there, and asked as well. */
static void test_late_refusal(void **state)
{
	(void)state;
	struct net n;
	char why[256];
	net_begin(&n, true, true);
	n.r.refuses = n.r.address_refused = 2;
	run_for(&n, 1500);
	assert_true(portmap_is_there(&n.m, PORTMAP_PCP) && portmap_is_there(&n.m, PORTMAP_PMP));
	assert_int_equal(n.m.answers[PORTMAP_PMP], PORTMAP_REFUSES);
	assert_non_null(strstr(portmap_explain(&n.m, why, sizeof(why)), "refused by its settings"));
}

/* Its firewall lets strangers in to our own address. */
static void test_pinhole(void **state)
{
	(void)state;
	static const uint8_t announce[24] = { 2, 0x80 };
	struct endpoint stranger = { .ip = { { 0xfe, 0x80, [15] = 2 } }, .port = ROUTER_PORT };
	struct net n;
	net_begin_at(&n, true, true, &six);
	n.r.outer = six.self;
	deliver(&n);
	deliver(&n);
	expect_mapped(&n, PORT);
	assert_int_equal(n.m.by, PORTMAP_PCP);
	assert_int_equal(n.r.maps, 1);
	assert_int_equal(n.r.pmp_heard, 0); /* NAT-PMP and UPnP's mappings are of IPv4 */
	assert_int_equal(n.searches, 0);
	run_for(&n, 70000);
	assert_int_equal(n.r.maps, 2);
	assert_false(portmap_news_received(&n.m, n.now_ms += 2000, &stranger, announce, sizeof(announce)));
	deliver(&n);
	assert_int_equal(n.r.maps, 2);
	assert_int_equal(n.m.drops.stranger, 1);
	/* It has restarted. */
	assert_true(portmap_news_received(&n.m, n.now_ms, &n.gateway, announce, sizeof(announce)));
	deliver(&n);
	assert_int_equal(n.r.maps, 3);
	expect_mapped(&n, PORT);
	portmap_release(&n.m);
	deliver(&n);
	assert_int_equal(n.r.deletes, 1);
}

static void test_pinhole_not_had(void **state)
{
	(void)state;
	static const struct {
		bool pcp, pmp, silent;
		uint16_t refuses;
		const char *outer, *why;
	} rows[] = {
		{ false, true, false, 0, "2001:db8::7", "the router fe80::1 speaks no PCP for IPv6" },
		{ true, true, true, 0, "2001:db8::7", "the router fe80::1 speaks no PCP for IPv6" },
		{ true, false, false, 2, "2001:db8::7",
			"PCP of the router fe80::1 opens no port: refused by its settings" },
		{ true, false, false, 0, "203.0.113.9", "says that this machine is 203.0.113.9 outside" },
		{ true, false, false, 0, "fd00::7", "says that this machine is fd00::7 outside" },
		{ true, false, false, 0, "fe80::7", "says that this machine is fe80::7 outside" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct net n;
		char why[256];
		net_begin_at(&n, rows[i].pcp, rows[i].pmp, &six);
		n.r.silent = rows[i].silent;
		n.r.refuses = rows[i].refuses;
		assert_true(addr_parse(rows[i].outer, &n.r.outer));
		run_for(&n, 4000);
		if (endpoint_is_set(&n.m.mapped) ||
			!strstr(portmap_explain(&n.m, why, sizeof(why)), rows[i].why))
			fail_msg("row %zu: %s", i, why);
		assert_false(portmap_is_there(&n.m, PORTMAP_PMP));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_protocol),
		cmocka_unit_test(test_silent_about_pcp), cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_rests), cmocka_unit_test(test_renewed),
		cmocka_unit_test(test_router_restarts), cmocka_unit_test(test_news_are_bounded),
		cmocka_unit_test(test_moved_outside), cmocka_unit_test(test_doubts_are_bounded),
		cmocka_unit_test(test_other_port), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_yes_without_port), cmocka_unit_test(test_double_nat),
		cmocka_unit_test(test_strangers), cmocka_unit_test(test_upnp_alone),
		cmocka_unit_test(test_upnp_released_early), cmocka_unit_test(test_upnp_beside),
		cmocka_unit_test(test_upnp_late), cmocka_unit_test(test_link_moves),
		cmocka_unit_test(test_late_refusal), cmocka_unit_test(test_pinhole),
		cmocka_unit_test(test_pinhole_not_had) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
