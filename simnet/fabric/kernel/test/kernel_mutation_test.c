/* The self-test of routers against rules that are wrong in one place each: it must notice every one. */
#include "simnet/fabric/kernel/test/kernel_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct mutation {
	const char *what;
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	enum nat_hairpin hairpin;
	bool ipv6;
	const char *from, *to; /* every occurrence in the rules */
};

#define OWNER_UDP " update @owner_udp { ct reply proto-dst : ct original ip saddr . ct original proto-src }"
#define DROP " group 7 queue-threshold 1 drop"
static const struct mutation mutations[] = {
	{ "UDP mappings are not remembered", NAT_EIM, NAT_APDF, 0, false,
		"  meta l4proto udp masquerade to :ct original ip saddr . ct original proto-src map "
		"@external_udp\n",
		"" },
	{ "TCP mappings are not remembered", NAT_EIM, NAT_APDF, 0, false,
		"  meta l4proto tcp masquerade to :ct original ip saddr . ct original proto-src map "
		"@external_tcp\n",
		"" },
	{ "UDP maps by no class", NAT_APDM, NAT_APDF, 0, false,
		"  oifname \"wan\" meta l4proto udp jump choose_udp\n", "" },
	{ "TCP maps by no class", NAT_APDM, NAT_APDF, 0, false,
		"  oifname \"wan\" meta l4proto tcp jump choose_tcp\n", "" },
	{ "TCP is not translated", NAT_EIM, NAT_APDF, 0, false, "meta l4proto tcp jump choose_tcp",
		"meta l4proto tcp accept" },
	{ "ICMP is not translated", NAT_EIM, NAT_APDF, 0, false, "  oifname \"wan\" masquerade\n", "" },
	{ "nobody owns a UDP port", NAT_EIM, NAT_EIF, 0, false, OWNER_UDP, "" },
	{ "strangers may not send UDP", NAT_EIM, NAT_EIF, 0, false, "meta l4proto udp dnat ip addr . port",
		"udp dport 1 dnat ip addr . port" },
	{ "strangers may not connect", NAT_EIM, NAT_EIF, 0, false, "meta l4proto tcp dnat ip addr . port",
		"tcp dport 1 dnat ip addr . port" },
	{ "any stranger may send UDP", NAT_EIM, NAT_ADF, 0, false, "udp dport . ip saddr @spoken_udp dnat",
		"udp dport @mapped_udp dnat" },
	{ "any stranger may connect", NAT_EIM, NAT_ADF, 0, false, "tcp dport . ip saddr @spoken_tcp dnat",
		"tcp dport @mapped_tcp dnat" },
	{ "no hairpin", NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, false,
		"meta l4proto udp meta mark set 0x1 dnat", "udp dport 1 meta mark set 0x1 dnat" },
	{ "a hairpin that keeps the source", NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, false,
		"oifname \"lan\" meta mark 0x1 meta l4proto udp jump",
		"oifname \"lan\" meta mark 0x7 meta l4proto udp jump" },
	{ "the router's own side is open", NAT_EIM, NAT_APDF, 0, false,
		"iifname \"wan\" log prefix \"home|wan: unsolicited, no mapping\"" DROP,
		"iifname \"wan\" accept" },
	{ "inside addresses can be reached", NAT_EIM, NAT_APDF, 0, false, "ct state new ct status ! dnat",
		"ct state invalid ct status ! dnat" },
	{ "IPv6 without a firewall", NAT_EIM, NAT_APDF, 0, true, "  iifname \"lan\" accept",
		"  iifname { \"lan\", \"wan\" } accept" },
	{ "IPv6 without answers", NAT_EIM, NAT_APDF, 0, true,
		"  ct state established,related accept\n  iifname \"lan\" accept",
		"  iifname \"lan\" accept" },
	{ "mappings that live shorter", NAT_EIM, NAT_APDF, 0, false, "timeout 120s", "timeout 12s" },
};

/* false: memory, or nothing to replace. */
static bool mutate(struct buf *text, const char *from, const char *to)
{
	struct buf out = { 0 };
	const char *at = buf_cstr(text), *hit;
	bool any = false, ok = at;

	for (; ok && (hit = strstr(at, from)); at = hit + strlen(from), any = true)
		ok = buf_append(&out, at, (size_t)(hit - at)) && buf_append(&out, to, strlen(to));
	ok = ok && any && buf_append(&out, at, strlen(at));
	buf_free(text);
	*text = out;
	return ok;
}

static int load(struct lab *l, struct buf *text)
{
	struct kernel_nft job;
	int err = netns_enter(kernel_router_net(l->e, 0), &l->eb);
	if (!err && !(err = kernel_nft_start(&job, text, &l->eb)))
		err = kernel_nft_finish(&job, "a mutation", &l->eb);
	netns_return(hosts_home(l->h));
	return err;
}

static int run_mutation(void *arg)
{
	const struct mutation *m = arg;
	struct lab l = { .s = { .ipv6 = m->ipv6 } };
	struct buf text = { 0 };

	struct scn_router *r = add_router(&l, "home", -1);
	r->mapping = m->mapping;
	r->filtering = m->filtering;
	r->hairpin = m->hairpin;
	add_node(&l, "alice", 0);
	if (start(&l))
		return 1;
	CHECK(engine_kernel.self_test(l.e, &l.eb) == 0, "%s: condemned as it was: %s", m->what, l.eb.text);
	CHECK(kernel_nat_rules(&l.s, 0, 0, &text) && mutate(&text, m->from, m->to), "%s: nothing to change",
		m->what);
	CHECK(load(&l, &text) == 0, "%s: %s", m->what, l.eb.text);
	buf_free(&text);
	CHECK(engine_kernel.self_test(l.e, &l.eb) == ERR_REFUSED, "%s: not noticed", m->what);
	CHECK(strstr(l.eb.text, "router 'home' does not behave as the file says"), "%s: %s", m->what,
		l.eb.text);
	stop(&l);
	return 0;
}

static void test_every_mutation_is_noticed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mutations); i++) {
		struct mutation m = mutations[i];
		in_sandbox(run_mutation, &m);
	}
}

static int wrong_lifetime(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	add_router(&l, "home", -1)->udp_timeout_s = 30;
	add_node(&l, "alice", 0);
	if (start(&l))
		return 1;
	CHECK(engine_kernel.self_test(l.e, &l.eb) == 0, "%s", l.eb.text);
	CHECK(run_on(&l, hosts_find(l.h, "home"),
		      "echo 31 >/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream") == 0,
		"no setting");
	CHECK(engine_kernel.self_test(l.e, &l.eb) == ERR_REFUSED &&
			strstr(l.eb.text, "a UDP mapping lives 31 s, declared 30 s"),
		"%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_lifetime(void **state)
{
	(void)state;
	in_sandbox(wrong_lifetime, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_mutation_is_noticed),
		cmocka_unit_test(test_lifetime),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
