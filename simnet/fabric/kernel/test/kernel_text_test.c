/* Rules as text and packet log entries as bytes: no privileges needed. */
#include "simnet/fabric/kernel/kernel_probe.h"

#include "mesh/base/ip.h"
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct scn_router home(void)
{
	return (struct scn_router) { .name = "home",
		.behind = -1,
		.nat = true,
		.model = nat_model_default,
		.wan = addr_v4(0xcb007164),
		.lan = addr_v4(0xc0a80101),
		.lan_net = { .ip = addr_v4(0xc0a80100), .bits = 24 } };
}

static const char *rules_of(struct scn_router *r, uint64_t seed, uint32_t epoch, struct buf *b)
{
	struct scenario s = { .seed = seed, .routers = r, .n_routers = 1 };
	buf_free(b);
	assert_true(kernel_nat_rules(&s, 0, epoch, b));
	return buf_cstr(b);
}

static void test_classes_differ_where_they_should(void **state)
{
	static const struct {
		enum nat_mapping m;
		enum nat_filtering f;
		enum nat_hairpin h;
		const char *has, *has_not;
	} rows[] = {
		{ NAT_EIM, NAT_APDF, NAT_HAIRPIN_OFF,
			"jhash ct original ip saddr . ct original proto-src mod", "dnat ip" },
		{ NAT_ADM, NAT_APDF, NAT_HAIRPIN_OFF, ". ct original ip daddr mod", "dnat ip" },
		{ NAT_APDM, NAT_APDF, NAT_HAIRPIN_OFF, ". ct original ip daddr . ct original proto-dst mod",
			"dnat ip" },
		{ NAT_EIM, NAT_EIF, NAT_HAIRPIN_OFF, "anyone may send to a mapping",
			"ip saddr @spoken_udp dnat" },
		{ NAT_EIM, NAT_ADF, NAT_HAIRPIN_OFF, "udp dport . ip saddr @spoken_udp dnat",
			"anyone may send" },
		{ NAT_EIM, NAT_APDF, NAT_HAIRPIN_OFF, "home|lan: the router does not hairpin", "snat ip to" },
		{ NAT_EIM, NAT_APDF, NAT_HAIRPIN_INTERNAL, "hairpin: a mapping, reached from inside",
			"snat ip to" },
		{ NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, "snat ip to 203.0.113.100:jhash",
			"does not hairpin" },
	};
	struct buf b = { 0 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scn_router r = home();
		r.model.udp = r.model.tcp = (struct nat_class) { rows[i].m, rows[i].f };
		r.model.hairpin = rows[i].h;
		const char *text = rules_of(&r, 1, 0, &b);
		if (!strstr(text, rows[i].has))
			fail_msg("row %zu lacks \"%s\":\n%s", i, rows[i].has, text);
		if (strstr(text, rows[i].has_not))
			fail_msg("row %zu has \"%s\":\n%s", i, rows[i].has_not, text);
		assert_non_null(strstr(text, "home|wan: unsolicited, no mapping"));
	}
	buf_free(&b);
}

static void test_guard_timeout_and_no_nat(void **state)
{
	struct buf b = { 0 };
	struct scn_router r = home();
	(void)state;
	r.model.accepts_wan = true;
	assert_null(strstr(rules_of(&r, 1, 0, &b), "unsolicited"));
	r = home();
	assert_non_null(strstr(rules_of(&r, 1, 0, &b), "timeout 120s"));
	r.model.lifetimes.udp_s = 7;
	assert_non_null(strstr(rules_of(&r, 1, 0, &b), "timeout 7s"));
	r.name = "a-router-whose-name-is-much-longer-than-anyone-would-ever-want-to-type";
	assert_null(strstr(rules_of(&r, 1, 0, &b), "longer-than-anyone"));
	r.nat = false;
	assert_string_equal(rules_of(&r, 1, 0, &b), "");
	buf_free(&b);
}

/* Who ends a mapping before its flow does says so; where conntrack has both times nobody does. */
static void test_young(void **state)
{
	static const char expired[] = "meta l4proto udp ct direction reply ct status snat";
	struct buf b = { 0 };
	struct scn_router r = home();
	(void)state;
	r.model.lifetimes.udp_new_s = 30;
	assert_non_null(strstr(rules_of(&r, 1, 0, &b), expired));
	assert_non_null(strstr(buf_cstr(&b), "ct status ! seen-reply"));
	r.model = nat_preset_find("linux-masquerade")->model;
	assert_null(strstr(rules_of(&r, 1, 0, &b), expired));
	assert_null(strstr(buf_cstr(&b), "seen-reply"));
	buf_free(&b);
}

/* The same file and seed give the same ports; another seed or a reset gives others. */
static void test_seeds(void **state)
{
	struct buf a = { 0 }, b = { 0 };
	struct scn_router r = home();
	(void)state;
	assert_string_equal(rules_of(&r, 5, 0, &a), rules_of(&r, 5, 0, &b));
	assert_string_not_equal(rules_of(&r, 5, 0, &a), rules_of(&r, 6, 0, &b));
	assert_string_not_equal(rules_of(&r, 5, 0, &a), rules_of(&r, 5, 1, &b));
	buf_free(&a);
	buf_free(&b);
}

static void test_cut_rules(void **state)
{
	struct scn_router r = home();
	struct scn_node n[] = { { .name = "alice", .router = 0 } };
	struct scenario s = { .routers = &r, .n_routers = 1, .nodes = n, .n_nodes = 1 };
	struct kernel_cut cuts[] = {
		{ .node = 0, .router = -1, .link = true },
		{ .node = -1, .router = 0 },
	};
	struct engine e = { .s = &s, .cuts = cuts, .n_cuts = ARRAY_LEN(cuts) };
	struct buf b = { 0 };
	(void)state;
	assert_true(kernel_cut_rules(&e, -1, &b));
	assert_non_null(strstr(buf_cstr(&b), "iifname \"n0\" log prefix \"alice|the link is cut\""));
	assert_non_null(strstr(buf_cstr(&b), "oifname \"n0\""));
	assert_null(strstr(buf_cstr(&b), "home"));
	buf_free(&b);
	assert_true(kernel_cut_rules(&e, 0, &b));
	assert_non_null(strstr(buf_cstr(&b), "meta l4proto udp log prefix \"home|UDP is cut\""));
	buf_free(&b);
}

/* ---- packet log ---- */

static size_t make_entry(uint8_t *buf, const char *prefix, bool with_packet)
{
	uint8_t packet[64];
	struct endpoint src = { .ip = addr_v4(0x01020304), .port = 1111 },
			dst = { .ip = addr_v4(0x05060708), .port = 53 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nf = mnl_nlmsg_put_extra_header(h, sizeof(*nf));
	nf->nfgen_family = AF_INET;
	if (prefix)
		mnl_attr_put_strz(h, NFULA_PREFIX, prefix);
	memset(packet + 28, 7, 5);
	size_t len = ip_write_udp(packet, &src, &dst, 5);
	if (with_packet)
		mnl_attr_put(h, NFULA_PAYLOAD, len, packet);
	size_t body = mnl_nlmsg_get_payload_len(h);
	memmove(buf, mnl_nlmsg_get_payload(h), body);
	return body;
}

static void test_trace_decode(void **state)
{
	_Alignas(8) uint8_t buf[1024];
	struct trace_entry e = { .proto = 99 };
	(void)state;
	size_t len = make_entry(buf, "home|wan: unsolicited, no mapping", true);
	assert_true(trace_decode(buf, len, &e));
	assert_string_equal(e.where, "home");
	assert_string_equal(e.rule, "wan: unsolicited, no mapping");
	assert_int_equal(e.proto, 17);
	assert_int_equal(e.src.port, 1111);
	assert_int_equal(e.dst.port, 53);
	len = make_entry(buf, "no bar", true);
	assert_true(trace_decode(buf, len, &e));
	assert_string_equal(e.where, "");
	assert_string_equal(e.rule, "no bar");
	struct trace_entry untouched = { .proto = 99 };
	assert_false(trace_decode(buf, make_entry(buf, NULL, true), &untouched));
	assert_false(trace_decode(buf, make_entry(buf, "x|y", false), &untouched));
	assert_int_equal(untouched.proto, 99);
	len = make_entry(buf, "home|rule", true);
	for (size_t cut = 0; cut < len; cut++)
		(void)trace_decode(buf, cut, &untouched); /* under the sanitizers: no read behind the end */
}

/* Whose fault it may be that a router is not as written, and what to do about it. */
static void test_who_is_wrong(void **state)
{
	struct scn_router r = home();
	struct scenario s = { .file = "f.yaml", .routers = &r, .n_routers = 1 };
	struct engine e = { .s = &s };
	const struct {
		uint32_t table;
		enum nat_ports ports;
		uint32_t block;
		double doubt;
		int code;
		const char *says;
	} rows[] = {
		{ NAT_TABLE_MAX, NAT_PORTS_HASH, 0, 0, ERR_REFUSED, "please report this" },
		{ NAT_TABLE_MAX, NAT_PORTS_HASH, 0, 7, -ETIMEDOUT, "7 times slower" },
		{ PROBE_MAPPINGS, NAT_PORTS_HASH, 0, 0, ERR_REFUSED, "please report this" },
		{ 1, NAT_PORTS_HASH, 0, 0, ERR_REFUSED, "Its 'table' has no room for the 32 mappings" },
		{ 1, NAT_PORTS_HASH, 0, 7, ERR_REFUSED, "Its 'table' has no room for the 32 mappings" },
		{ NAT_TABLE_MAX, NAT_PORTS_BLOCK, 4, 0, ERR_REFUSED,
			"Its 'block' has no room for the 32 mappings" },
		{ NAT_TABLE_MAX, NAT_PORTS_BLOCK, 64, 0, ERR_REFUSED, "please report this" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct probe p = { .e = &e, .doubt = rows[i].doubt };
		struct errbuf eb = { 0 };
		r.model.table = rows[i].table;
		r.model.ports = rows[i].ports;
		r.model.block_ports = rows[i].block;
		int code = probe_say_wrong(&p, 0, &eb, "UDP does not pass");
		if (code != rows[i].code || !strstr(eb.text, rows[i].says))
			fail_msg("row %zu: %d '%s'", i, code, eb.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes_differ_where_they_should),
		cmocka_unit_test(test_guard_timeout_and_no_nat),
		cmocka_unit_test(test_young),
		cmocka_unit_test(test_seeds),
		cmocka_unit_test(test_cut_rules),
		cmocka_unit_test(test_trace_decode),
		cmocka_unit_test(test_who_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
