#include "mesh/base/err.h"
#include "mesh/base/wire.h"
#include "mesh/filter/filter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* We are 100.64.0.2 and fd7a::2, and route 192.168.7.0/24. */
static const char *const locals[] = { "100.64.0.2", "fd7a::2", "192.168.7.0/24" };

/* Rules as text rows: first-last|* to prefix|* ports proto... */
struct row_rule {
	const char *first, *last; /* NULL: any */
	const char *net;	  /* NULL: any */
	uint16_t low, high;
	uint8_t protos[3]; /* 0 ends; none = the usual */
};

struct built {
	struct filter *filter;
	struct filter_flows *flows;
	struct filter_drops drops;
};

static struct addr addr(const char *text)
{
	struct addr a;
	assert_true(addr_parse(text, &a));
	return a;
}

static void add_rule(
	const struct row_rule *r, struct filter_rule *out, struct filter_range *src, struct filter_dst *dst)
{
	*src = (struct filter_range) { .any = !r->first };
	if (r->first) {
		src->first = addr(r->first);
		src->last = addr(r->last ? r->last : r->first);
	}
	*dst = (struct filter_dst) { .any = !r->net, .first = r->low, .last = r->high };
	if (r->net)
		assert_true(prefix_parse(r->net, &dst->net));
	size_t n = 0;
	while (n < ARRAY_LEN(r->protos) && r->protos[n])
		n++;
	*out = (struct filter_rule) { src, 1, dst, 1, r->protos, n };
}

static struct filter *build(const struct row_rule *rows, size_t n)
{
	struct filter_rule rules[16];
	struct filter_range src[16];
	struct filter_dst dst[16];
	struct prefix local[ARRAY_LEN(locals)];
	assert_true(n <= 16);
	for (size_t i = 0; i < n; i++)
		add_rule(&rows[i], &rules[i], &src[i], &dst[i]);
	for (size_t i = 0; i < ARRAY_LEN(locals); i++)
		assert_true(prefix_parse(locals[i], &local[i]));
	struct filter *f =
		filter_build(rules, n, &(struct filter_local) { .v = local, .n = ARRAY_LEN(locals) });
	assert_non_null(f);
	return f;
}

static struct ip_view view(const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct ip_view v = { .src = addr(src),
		.dst = addr(dst),
		.proto = proto,
		.sport = sport,
		.dport = dport,
		.tcp_flags = TCP_SYN };
	v.version = addr_is_v4(&v.dst) ? 4 : 6;
	return v;
}

static const struct row_rule some_rules[] = {
	{ "100.64.0.1", "100.64.0.9", "100.64.0.2", 22, 22, { IP_TCP } },
	{ "100.64.0.20", NULL, "100.64.0.2", 0, 65535, { 0 } },
	{ "100.64.0.30", NULL, NULL, 0, 65535, { 47 } },
	{ "100.64.0.31", NULL, "100.64.0.2", 1, 65535, { 47 } },
	{ "100.64.0.40", NULL, "100.64.0.2", 9, 9, { IP_SCTP } },
	{ NULL, NULL, "192.168.7.0/25", 80, 81, { 0 } },
	{ "fd7a::10", "fd7a::1f", "fd7a::2", 443, 443, { 0 } },
};

#define AT(name) (1 + offsetof(struct filter_drops, name))
enum { PASSES = 0, TSMP = -1 };

static void test_rows(void **state)
{
	(void)state;
	static const struct {
		const char *src, *dst;
		uint8_t proto;
		uint16_t dport;
		uint8_t flags; /* TCP flags; ICMP type */
		int want;      /* PASSES, TSMP, or the counter */
	} rows[] = {
		/* TCP: only the attempt is judged. */
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 22, TCP_SYN, PASSES },
		{ "100.64.0.9", "100.64.0.2", IP_TCP, 22, TCP_SYN, PASSES },
		{ "100.64.0.0", "100.64.0.2", IP_TCP, 22, TCP_SYN, AT(no_rule) },
		{ "100.64.0.10", "100.64.0.2", IP_TCP, 22, TCP_SYN, AT(no_rule) },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 21, TCP_SYN, AT(no_rule) },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 23, TCP_SYN, AT(no_rule) },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 23, TCP_SYN | TCP_ACK, PASSES },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 23, TCP_ACK, PASSES },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 23, TCP_RST, PASSES },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 23, TCP_SYN | TCP_FIN, AT(no_rule) },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 23, 0, AT(no_rule) },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 23, TCP_FIN, AT(no_rule) },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 23, TCP_FIN | TCP_ACK, PASSES },
		{ "100.64.0.1", "100.64.0.2", IP_TCP, 22, 0, PASSES },
		{ "100.64.0.2", "100.64.0.2", IP_TCP, 22, TCP_ACK, AT(own_source) },
		{ "100.64.0.1", "100.64.0.3", IP_TCP, 22, TCP_ACK, AT(not_local) },
		/* UDP: the proto of the rule counts. */
		{ "100.64.0.1", "100.64.0.2", IP_UDP, 22, 0, AT(no_rule) },
		{ "100.64.0.20", "100.64.0.2", IP_UDP, 1, 0, PASSES },
		{ "100.64.0.20", "100.64.0.2", IP_UDP, 65535, 0, PASSES },
		{ "100.64.0.20", "100.64.0.3", IP_UDP, 1, 0, AT(not_local) },
		{ "100.64.0.40", "100.64.0.2", IP_SCTP, 9, 0, PASSES },
		{ "100.64.0.40", "100.64.0.2", IP_SCTP, 8, 0, AT(no_rule) },
		{ "100.64.0.20", "100.64.0.2", IP_SCTP, 9, 0, AT(no_rule) },
		/* ICMP: echo for whoever may connect; answers and errors always; the rest never by itself. */
		{ "100.64.0.1", "100.64.0.2", IP_ICMP, 0, 8, PASSES },
		{ "100.64.0.20", "100.64.0.2", IP_ICMP, 0, 8, PASSES },
		{ "100.64.0.50", "100.64.0.2", IP_ICMP, 0, 8, AT(no_rule) },
		{ "100.64.0.30", "100.64.0.2", IP_ICMP, 0, 8, AT(no_rule) }, /* only GRE */
		{ "100.64.0.50", "100.64.0.2", IP_ICMP, 0, 0, PASSES },
		{ "100.64.0.50", "100.64.0.2", IP_ICMP, 0, 3, PASSES },
		{ "100.64.0.50", "100.64.0.2", IP_ICMP, 0, 11, PASSES },
		{ "100.64.0.50", "100.64.0.2", IP_ICMP, 0, 12, PASSES },
		{ "100.64.0.50", "100.64.0.2", IP_ICMP, 0, 5, AT(no_rule) }, /* redirect */
		{ "100.64.0.50", "100.64.0.3", IP_ICMP, 0, 0, AT(not_local) },
		{ "fd7a::10", "fd7a::2", IP_ICMP6, 0, 128, PASSES },
		{ "fd7a::20", "fd7a::2", IP_ICMP6, 0, 128, AT(no_rule) },
		{ "fd7a::20", "fd7a::2", IP_ICMP6, 0, 129, PASSES },
		{ "fd7a::20", "fd7a::2", IP_ICMP6, 0, 2, PASSES },
		{ "fd7a::20", "fd7a::2", IP_ICMP6, 0, 135, AT(no_rule) },
		{ "fd7a::20", "fd7a::2", IP_ICMP, 0, 0, AT(no_rule) }, /* the other family's */
		{ "100.64.0.20", "100.64.0.2", IP_ICMP6, 0, 129, AT(no_rule) },
		/* v6 */
		{ "fd7a::10", "fd7a::2", IP_TCP, 443, TCP_SYN, PASSES },
		{ "fd7a::1f", "fd7a::2", IP_UDP, 443, 0, PASSES },
		{ "fd7a::f", "fd7a::2", IP_TCP, 443, TCP_SYN, AT(no_rule) },
		{ "fd7a::20", "fd7a::2", IP_TCP, 443, TCP_SYN, AT(no_rule) },
		/* Routed prefix */
		{ "100.64.0.99", "192.168.7.127", IP_TCP, 81, TCP_SYN, PASSES },
		{ "100.64.0.99", "192.168.7.128", IP_TCP, 81, TCP_SYN, AT(no_rule) },
		{ "100.64.0.99", "192.168.8.1", IP_TCP, 81, TCP_SYN, AT(not_local) },
		{ "100.64.0.99", "192.168.7.1", IP_TCP, 82, TCP_SYN, AT(no_rule) },
		/* Others: the proto named and every port */
		{ "100.64.0.30", "100.64.0.2", 47, 0, 0, PASSES },
		{ "100.64.0.31", "100.64.0.2", 47, 0, 0, AT(no_rule) },
		{ "100.64.0.20", "100.64.0.2", 47, 0, 0, AT(no_rule) },
		{ "100.64.0.50", "100.64.0.2", IP_TSMP, 0, 0, TSMP },
		{ "100.64.0.50", "100.64.0.3", IP_TSMP, 0, 0, AT(not_local) },
		/* Never */
		{ "100.64.0.20", "224.0.0.251", IP_UDP, 1, 0, AT(multicast) },
		{ "224.0.0.1", "100.64.0.2", IP_UDP, 1, 0, AT(multicast) },
		{ "fd7a::10", "ff02::fb", IP_UDP, 443, 0, AT(multicast) },
		{ "169.254.1.1", "100.64.0.2", IP_TCP, 1, TCP_ACK, AT(link_local) },
		{ "100.64.0.20", "169.254.1.1", IP_UDP, 1, 0, AT(link_local) },
		{ "100.64.0.20", "169.254.169.254", IP_UDP, 1, 0, AT(not_local) },
		{ "fe80::1", "fd7a::2", IP_TCP, 443, TCP_ACK, AT(link_local) },
	};
	struct filter *f = build(some_rules, ARRAY_LEN(some_rules));
	struct filter_flows *t = filter_flows_new(1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_view v = view(rows[i].src, rows[i].dst, rows[i].proto, 5000, rows[i].dport);
		v.tcp_flags = v.icmp_type = rows[i].flags;
		struct filter_drops d = { 0 }, want = { 0 };
		enum filter_verdict verdict = filter_in(f, t, 1000, &v, &d);
		if (rows[i].want > 0)
			*(uint64_t *)(void *)((char *)&want + rows[i].want - 1) = 1;
		if (verdict != (rows[i].want == TSMP  ? FILTER_TSMP
				       : rows[i].want ? FILTER_DROP
						      : FILTER_PASS))
			fail_msg("row %zu: verdict %d", i, verdict);
		if (memcmp(&d, &want, sizeof(d)) != 0)
			fail_msg("row %zu: counted elsewhere", i);
	}
	filter_flows_free(t);
	filter_free(f);
}

static void test_fragments(void **state)
{
	(void)state;
	static const struct {
		uint16_t at;
		enum filter_verdict want;
	} rows[] = { { 8, FILTER_DROP }, { 72, FILTER_DROP }, { 80, FILTER_PASS }, { 65528, FILTER_PASS } };
	struct filter *f = build(some_rules, ARRAY_LEN(some_rules));
	struct filter_flows *t = filter_flows_new(1);
	struct filter_drops d = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_view v = view("100.64.0.50", "100.64.0.2", IP_UDP, 0, 0);
		v.later_fragment = true;
		v.fragment_at = rows[i].at;
		if (filter_in(f, t, 1000, &v, &d) != rows[i].want)
			fail_msg("row %zu", i);
		v.dst = addr("100.64.0.3");
		assert_int_equal(filter_in(f, t, 1000, &v, &d), FILTER_DROP);
	}
	assert_int_equal(d.fragment, 2);
	assert_int_equal(d.not_local, ARRAY_LEN(rows));
	filter_flows_free(t);
	filter_free(f);
}

static void test_mapped_address(void **state)
{
	(void)state;
	struct filter *f = build(some_rules, ARRAY_LEN(some_rules));
	struct filter_flows *t = filter_flows_new(1);
	struct filter_drops d = { 0 };
	struct ip_view v = view("100.64.0.20", "100.64.0.2", IP_UDP, 1, 1);
	v.version = 6; /* ::ffff:100.64.0.20 in an IPv6 header */
	assert_int_equal(filter_in(f, t, 1000, &v, &d), FILTER_DROP);
	assert_int_equal(filter_out(t, 1000, &v, &d), FILTER_DROP);
	assert_int_equal(d.malformed, 2);
	filter_flows_free(t);
	filter_free(f);
}

static void test_return_traffic(void **state)
{
	(void)state;
	static const uint8_t protos[] = { IP_UDP, IP_SCTP };
	struct filter *none = filter_build(NULL, 0, &(struct filter_local) { 0 }), *f = build(NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		struct filter_flows *t = filter_flows_new(1);
		struct filter_drops d = { 0 };
		struct ip_view out = view("100.64.0.2", "100.64.0.7", protos[i], 4000, 53);
		struct ip_view in = view("100.64.0.7", "100.64.0.2", protos[i], 53, 4000);
		struct ip_view other = view("100.64.0.7", "100.64.0.2", protos[i], 54, 4000);
		assert_int_equal(filter_in(f, t, 0, &in, &d), FILTER_DROP);
		assert_int_equal(filter_out(t, 0, &out, &d), FILTER_PASS);
		assert_int_equal(filter_in(f, t, 599999, &in, &d), FILTER_PASS); /* refreshes */
		assert_int_equal(filter_in(f, t, 1199998, &in, &d), FILTER_PASS);
		assert_int_equal(filter_in(f, t, 1199998, &other, &d), FILTER_DROP);
		assert_int_equal(filter_in(f, t, 1799998, &in, &d), FILTER_DROP); /* idle for 10 minutes */
		assert_int_equal(filter_out(t, 1800000, &out, &d), FILTER_PASS);
		assert_int_equal(
			filter_in(f, t, 1799999, &in, &d), FILTER_PASS); /* its time was read before */
		assert_int_equal(
			filter_in(none, t, 1800000, &in, &d), FILTER_DROP); /* no longer our address */
		assert_int_equal(d.not_local, 1);
		assert_int_equal(d.no_rule, 3);
		filter_flows_free(t);
	}
	filter_free(none);
	filter_free(f);
}

static void test_out(void **state)
{
	(void)state;
	static const struct {
		const char *src, *dst;
		size_t counter;
	} rows[] = {
		{ "100.64.0.2", "224.0.0.251", AT(multicast) },
		{ "fd7a::2", "ff02::2", AT(multicast) },
		{ "100.64.0.2", "169.254.3.3", AT(link_local) },
		{ "fe80::2", "fd7a::1", AT(link_local) },
		{ "100.64.0.2", "169.254.169.254", 0 },
		{ "100.64.0.2", "8.8.8.8", 0 },
	};
	struct filter_flows *t = filter_flows_new(1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_view v = view(rows[i].src, rows[i].dst, IP_UDP, 1, 2);
		struct filter_drops d = { 0 }, want = { 0 };
		if (rows[i].counter)
			*(uint64_t *)(void *)((char *)&want + rows[i].counter - 1) = 1;
		enum filter_verdict verdict = filter_out(t, 1000, &v, &d);
		if (verdict != (rows[i].counter ? FILTER_DROP : FILTER_PASS) ||
			memcmp(&d, &want, sizeof(d)) != 0)
			fail_msg("row %zu", i);
	}
	filter_flows_free(t);
}

/* What a rule admitted is forgotten when that rule goes, and kept when other words say the same. */
static void test_rules_change(void **state)
{
	(void)state;
	struct filter *with = build(some_rules, ARRAY_LEN(some_rules)),
		      *same = build(some_rules, ARRAY_LEN(some_rules));
	struct filter *without = build(some_rules, 1);
	struct filter_flows *t = filter_flows_new(1);
	struct filter_drops d = { 0 };
	struct ip_view v = view("100.64.0.20", "100.64.0.2", IP_UDP, 7, 8);
	assert_int_equal(filter_in(with, t, 0, &v, &d), FILTER_PASS);
	assert_int_equal(filter_in(same, t, 0, &v, &d), FILTER_PASS);
	assert_int_equal(filter_in(without, t, 0, &v, &d), FILTER_DROP);
	assert_int_equal(filter_in(with, t, 0, &v, &d), FILTER_PASS);
	filter_flows_free(t);
	filter_free(with);
	filter_free(same);
	filter_free(without);
}

/* Strangers a rule admits cannot push out the flows that we began, however many they are. */
static void test_flow_flood(void **state)
{
	(void)state;
	struct filter *f = build(some_rules, ARRAY_LEN(some_rules));
	struct filter_flows *t = filter_flows_new(12345);
	struct filter_drops d = { 0 };
	for (uint16_t i = 0; i < 1000; i++) {
		struct ip_view v = view("100.64.0.2", "100.64.0.50", IP_UDP, i, 53);
		assert_int_equal(filter_out(t, 1000, &v, &d), FILTER_PASS);
	}
	for (uint32_t i = 0; i < 60000; i++) {
		struct ip_view v = view("100.64.0.20", "100.64.0.2", IP_UDP, (uint16_t)i, 9);
		assert_int_equal(filter_in(f, t, 2000, &v, &d), FILTER_PASS);
	}
	unsigned kept = 0;
	for (uint16_t i = 0; i < 1000; i++) {
		struct ip_view v = view("100.64.0.50", "100.64.0.2", IP_UDP, 53, i);
		kept += filter_in(f, t, 3000, &v, &d) == FILTER_PASS;
	}
	assert_true(kept >= 995); /* five of ours in one set of four is rare, not impossible */
	filter_flows_free(t);
	filter_free(f);
}

static void test_many_sources(void **state)
{
	(void)state;
	enum { N = 2000 };
	struct filter_range *src = calloc(N, sizeof(*src));
	struct filter_dst dst = { .any = true, .first = 0, .last = 65535 };
	struct filter_rule rule = { src, N, &dst, 1, NULL, 0 };
	struct prefix local = { addr_v4(0x64400002), 32 };
	for (uint32_t i = 0; i < N; i++) { /* every second address, in no order, some overlapping */
		uint32_t a = 0x64500000 + i * 7919 % N * 2;
		src[i] = (struct filter_range) { addr_v4(a), addr_v4(a % 20 ? a : a + 2), false };
	}
	struct filter *f = filter_build(&rule, 1, &(struct filter_local) { .v = &local, .n = 1 });
	struct filter_flows *t = filter_flows_new(1);
	struct filter_drops d = { 0 };
	for (uint32_t a = 0x64500000 - 2; a < 0x64500000 + 2 * N; a++) {
		struct ip_view v = { .src = addr_v4(a),
			.dst = addr_v4(0x64400002),
			.version = 4,
			.proto = IP_TCP,
			.tcp_flags = TCP_SYN };
		bool want = a >= 0x64500000 && (a % 2 == 0 || (a - 1) % 20 == 0);
		if (a == 0x64500000 + 2 * N)
			want = false;
		if ((filter_in(f, t, 0, &v, &d) == FILTER_PASS) != want)
			fail_msg("%x", a);
	}
	/* Reversed and mixed ranges match nothing. */
	struct filter_range odd[] = { { addr_v4(9), addr_v4(8), false }, { addr_v4(9), addr_any6, false } };
	rule = (struct filter_rule) { odd, 2, &dst, 1, NULL, 0 };
	struct filter *nothing = filter_build(&rule, 1, &(struct filter_local) { .v = &local, .n = 1 });
	struct ip_view v = { .src = addr_v4(9),
		.dst = addr_v4(0x64400002),
		.version = 4,
		.proto = IP_TCP,
		.tcp_flags = TCP_SYN };
	assert_int_equal(filter_in(nothing, t, 0, &v, &d), FILTER_DROP);
	assert_true(filter_wants_reject(&v));
	filter_free(nothing);
	filter_flows_free(t);
	filter_free(f);
	free(src);
}

/* All of a family, but for some of it; of that, what is named all the same. */
static void test_all_but(void **state)
{
	struct prefix local[] = { { addr_v4(0x64400002), 32 }, { addr_v4(0), 0 },
		{ addr_v4(0x0a010000), 16 } },
		      except[] = { { addr_v4(0x0a000000), 8 }, { addr_v4(0x64400000), 10 } };
	struct filter_range src = { addr_v4(0x64400001), addr_v4(0x64400001), false };
	struct filter_dst dst = { .any = true, .first = 0, .last = 65535 };
	struct filter_rule rule = { &src, 1, &dst, 1, NULL, 0 };
	static const struct {
		uint32_t to;
		bool passes;
	} rows[] = { { 0x64400002, true }, { 0x08080808, true }, { 0x0a020001, false },
		{ 0x0a010001, true } };
	struct filter *f = filter_build(
		&rule, 1, &(struct filter_local) { .v = local, .n = 3, .except = except, .n_except = 2 });
	struct filter_flows *t = filter_flows_new(1);
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct filter_drops d = { 0 };
		struct ip_view v = { .src = src.first,
			.dst = addr_v4(rows[i].to),
			.version = 4,
			.proto = IP_TCP,
			.tcp_flags = TCP_SYN };
		bool passed = filter_in(f, t, 0, &v, &d) == FILTER_PASS;
		if (passed != rows[i].passes || d.not_local != !rows[i].passes)
			fail_msg("row %zu", i);
	}
	filter_flows_free(t);
	filter_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_all_but),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_mapped_address),
		cmocka_unit_test(test_return_traffic),
		cmocka_unit_test(test_out),
		cmocka_unit_test(test_rules_change),
		cmocka_unit_test(test_flow_flood),
		cmocka_unit_test(test_many_sources),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
