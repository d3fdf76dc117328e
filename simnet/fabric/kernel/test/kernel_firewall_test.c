/* The self-test of routers' firewalls: the right ones pass it on both engines, and it notices every rule that is another than
 * the file's. */
#include "simnet/fabric/kernel/kernel_probe.h"
#include "simnet/fabric/kernel/test/kernel_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RULE(...) \
	{ \
		__VA_ARGS__ \
	}
/* What homes, offices and hotels have. OTHER is an address that probes have. */
static struct firewall_rule in_rules[] = {
	RULE(.text = "accept established", .verdict = FIREWALL_ACCEPT, .established = true),
	RULE(.text = "accept icmp", .verdict = FIREWALL_ACCEPT, .proto = FIREWALL_ICMP),
	RULE(.text = "accept tcp 22,80-90", .verdict = FIREWALL_ACCEPT, .proto = FIREWALL_TCP,
		.ports = "22,80-90"),
	RULE(.text = "drop", .verdict = FIREWALL_DROP),
};
static struct firewall_rule out_rules[] = {
	RULE(.text = "accept established", .verdict = FIREWALL_ACCEPT, .established = true),
	RULE(.text = "accept tcp 443", .verdict = FIREWALL_ACCEPT, .proto = FIREWALL_TCP, .ports = "443"),
	RULE(.text = "reject tcp", .verdict = FIREWALL_REJECT, .proto = FIREWALL_TCP),
	RULE(.text = "drop udp 53", .verdict = FIREWALL_DROP, .proto = FIREWALL_UDP, .ports = "53"),
	RULE(.text = "drop to OTHER", .verdict = FIREWALL_DROP, .has_to = true),
};
static const struct {
	const char *what;
	enum nat_filtering filtering; /* NAT_FILTERINGS: it does not translate */
	const char *from, *to;	      /* the first occurrence in the rules */
	const char *says;
} rows[] = {
	{ "a port more", NAT_APDF, "th dport { 443 }", "th dport { 443, 444 }",
		"lets out TCP port 444, and 'reject tcp' is about it" },
	{ "a rule is gone", NAT_APDF, "meta l4proto udp th dport { 53 }", "udp dport 1",
		"lets out UDP port 53, and 'drop udp 53' is about it" },
	{ "a rule of another protocol", NAT_APDF, "meta l4proto udp th dport { 53 }", "tcp dport 53",
		"lets out UDP port 53" },
	{ "another address", NAT_APDF, "ip daddr ", "ip daddr 198.51.100.1 ip daddr ",
		"'drop to OTHER' is about it" },
	{ "answers do not come in", NAT_APDF, "iifname \"wan\" ct state established,related",
		"iifname \"wan\" ct state invalid", "does not let in an answer by UDP" },
	{ "strangers come in", NAT_FILTERINGS, "iifname \"wan\" ct state established,related",
		"iifname \"wan\"", "lets in UDP port 40007, and 'drop' is about it" },
	{ "nobody comes in", NAT_FILTERINGS, "th dport { 22,80-90 }", "th dport { 22 }",
		"does not let in TCP port 80, and 'accept tcp 22,80-90' is about it" },
	{ "a range that is too long", NAT_FILTERINGS, "th dport { 22,80-90 }", "th dport { 22,80-91 }",
		"lets in TCP port 91" },
	{ "no echo comes in", NAT_FILTERINGS, "iifname \"wan\" meta l4proto { icmp, ipv6-icmp } accept", "",
		"does not let in ICMP" },
	{ "answers do not go out", NAT_FILTERINGS, "oifname \"wan\" ct state established,related  accept",
		"oifname \"wan\" ct state established,related drop", "does not let out an answer by ICMP" },
};

static int start_walled(struct lab *l, const struct engine_ops *engine, enum nat_filtering filtering)
{
	struct scn_router *r = add_router(l, "home", -1);
	add_node(l, "alice", 0);
	if (filtering == NAT_FILTERINGS)
		r->nat = false;
	else
		set_classes(r, NAT_EIM, filtering);
	r->firewall = (struct scn_firewall) {
		.in = in_rules, .n_in = ARRAY_LEN(in_rules), .out = out_rules, .n_out = ARRAY_LEN(out_rules)
	};
	out_rules[ARRAY_LEN(out_rules) - 1].to =
		(struct prefix) { .ip = addr_v4(0xcb007100 + PROBE_OUT_B), .bits = 32 };
	return start_on(l, engine);
}

/* The engine's own text with one change, loaded in its place. */
static int load_changed(struct lab *l, const char *from, const char *to)
{
	struct buf text = { 0 }, changed = { 0 };
	struct kernel_nft job;
	CHECK(kernel_firewall_rules(&l->r[0].firewall, "home", true, &text), "memory");
	const char *all = buf_cstr(&text), *hit = strstr(all, from);
	CHECK(hit, "nothing to change in %s", all);
	CHECK(buf_printf(&changed, "%.*s%s%s", (int)(hit - all), all, to, hit + strlen(from)), "memory");
	int err = netns_enter(kernel_router_net(l->e, 0), &l->eb);
	if (!err && !(err = kernel_nft_start(&job, &changed, &l->eb)))
		err = kernel_nft_finish(&job, "a change", &l->eb);
	if (!err) /* or flows that passed before are established */
		err = kernel_conntrack_flush(&l->eb);
	netns_return(hosts_home(l->h));
	buf_free(&text);
	buf_free(&changed);
	CHECK(err == 0, "%s", l->eb.text);
	return 0;
}

static int run_row(void *arg)
{
	const size_t row = *(const size_t *)arg;
	struct lab l = { 0 };
	struct probe p = { .inside = netns_none, .outside = netns_none, .n_routers = 1 };
	if (start_walled(&l, &engine_kernel, rows[row].filtering))
		return 1;
	p.e = l.e;
	CHECK(probe_connect(&p, &l.eb) == 0, "%s", l.eb.text);
	netns_return(hosts_home(l.h));
	CHECK(kernel_firewalls_hold(l.e, &l.eb) == 0 && kernel_check_firewalls(&p, &l.eb) == 0,
		"%s: condemned as it was: %s", rows[row].what, l.eb.text);
	if (load_changed(&l, rows[row].from, rows[row].to))
		return 1;
	CHECK(is_wrong(kernel_check_firewalls(&p, &l.eb)), "%s: not noticed", rows[row].what);
	CHECK(strstr(l.eb.text, "its firewall") && strstr(l.eb.text, rows[row].says), "%s: %s",
		rows[row].what, l.eb.text);
	netns_close(&p.inside);
	netns_close(&p.outside);
	stop(&l);
	return 0;
}

static void test_every_change_is_noticed(void **state)
{
	size_t numbers[ARRAY_LEN(rows)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		numbers[i] = i;
	in_sandboxes(run_row, numbers, sizeof(*numbers), ARRAY_LEN(numbers));
}

/* In userspace a router has its own copy of the rules: what the file says of them is changed instead. */
static int run_user(void *arg)
{
	static const enum nat_filtering filterings[] = { NAT_EIF, NAT_APDF, NAT_FILTERINGS };
	const size_t which = *(const size_t *)arg;
	struct lab l = { 0 };
	if (start_walled(&l, &engine_user, filterings[which]))
		return 1;
	CHECK(self_test_on(&l, &engine_user) == 0, "condemned as it was: %s", l.eb.text);
	out_rules[3].ports = "53,54";
	CHECK(is_condemned_by(&l, &engine_user) && strstr(l.eb.text, "lets out UDP port 54"),
		"not noticed: %s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_userspace(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		in_sandbox(run_user, &i);
}

/* The whole self-test, which lifts the firewalls for all else, and leaves them in force. */
static int run_whole(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	if (start_walled(&l, &engine_kernel, NAT_EIF))
		return 1;
	for (int i = 0; i < 2; i++)
		CHECK(self_test(&l) == 0, "%s", l.eb.text);
	CHECK(run_on(&l, hosts_find(l.h, "home"), "nft list table inet firewall | grep -q 'dport 53'") == 0,
		"no firewall is left");
	stop(&l);
	return 0;
}

static void test_whole(void **state)
{
	(void)state;
	in_sandbox(run_whole, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_every_change_is_noticed),
		cmocka_unit_test(test_userspace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
