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
	const char *from, *to;		     /* every occurrence in the rules */
	void (*change)(struct nat_model *m); /* of the rest of the model; may be NULL */
};

#define CHANGE(name, ...) \
	static void name(struct nat_model *m) \
	{ \
		__VA_ARGS__; \
	}
CHANGE(preserve, m->ports = NAT_PORTS_PRESERVE)
CHANGE(overload, m->ports = NAT_PORTS_OVERLOAD)
CHANGE(sequential, m->ports = NAT_PORTS_SEQUENTIAL)
CHANGE(by_chance, m->ports = NAT_PORTS_RANDOM)
CHANGE(parity, m->ports = NAT_PORTS_PARITY)
CHANGE(blocks, m->ports = NAT_PORTS_BLOCK; m->block_ports = 16)
CHANGE(filters, m->hairpin_filters = true)
CHANGE(errors_lost, m->icmp_errors_lost = true)
CHANGE(strict, m->tcp_unknown = NAT_UNKNOWN_STRICT)
CHANGE(resets, m->tcp_unknown = NAT_UNKNOWN_RESET)
CHANGE(silent, m->tcp_unknown = NAT_UNKNOWN_SILENT)
CHANGE(refreshed_out, m->refresh = NAT_REFRESH_OUT)
CHANGE(small_table, m->table = 100)
CHANGE(pool, m->pool = 4)
CHANGE(udp_forward, m->forwards[m->n_forwards++] = (struct nat_forward) {
			    .proto = 17, .port = 4242, .to = "alice", .to_port = 5000 })
CHANGE(tcp_forward, m->forwards[m->n_forwards++] = (struct nat_forward) {
			    .proto = 6, .port = 80, .to = "alice", .to_port = 8080 })

#define OWNER_UDP " update @owner_udp { ct reply proto-dst : ct original ip saddr . ct original proto-src }"
#define DROP " group 7 queue-threshold 1 drop"
static const struct mutation mutations[] = {
	{ "UDP mappings are not remembered", NAT_EIM, NAT_APDF, 0, false,
		"  meta l4proto udp masquerade to :ct original ip saddr . ct original proto-src map "
		"@external_udp\n",
		"", NULL },
	{ "TCP mappings are not remembered", NAT_EIM, NAT_APDF, 0, false,
		"  meta l4proto tcp masquerade to :ct original ip saddr . ct original proto-src map "
		"@external_tcp\n",
		"", NULL },
	{ "UDP maps by no class", NAT_APDM, NAT_APDF, 0, false,
		"  oifname \"wan\" meta l4proto udp jump choose_udp\n", "", NULL },
	{ "TCP maps by no class", NAT_APDM, NAT_APDF, 0, false,
		"  oifname \"wan\" meta l4proto tcp jump choose_tcp\n", "", NULL },
	{ "TCP is not translated", NAT_EIM, NAT_APDF, 0, false, "meta l4proto tcp jump choose_tcp",
		"meta l4proto tcp accept", NULL },
	{ "ICMP is not translated", NAT_EIM, NAT_APDF, 0, false, "  oifname \"wan\" jump shared\n", "",
		NULL },
	{ "nobody owns a UDP port", NAT_EIM, NAT_EIF, 0, false, OWNER_UDP, "", NULL },
	{ "strangers may not send UDP", NAT_EIM, NAT_EIF, 0, false, "meta l4proto udp dnat ip addr . port",
		"udp dport 1 dnat ip addr . port", NULL },
	{ "strangers may not connect", NAT_EIM, NAT_EIF, 0, false, "meta l4proto tcp dnat ip addr . port",
		"tcp dport 1 dnat ip addr . port", NULL },
	{ "any stranger may send UDP", NAT_EIM, NAT_ADF, 0, false, "udp dport . ip saddr @spoken_udp dnat",
		"udp dport @mapped_udp dnat", NULL },
	{ "any stranger may connect", NAT_EIM, NAT_ADF, 0, false, "tcp dport . ip saddr @spoken_tcp dnat",
		"tcp dport @mapped_tcp dnat", NULL },
	{ "no hairpin", NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, false,
		"meta l4proto udp meta mark set 0x1 dnat", "udp dport 1 meta mark set 0x1 dnat", NULL },
	{ "a hairpin that keeps the source", NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, false,
		"oifname \"lan\" meta mark 0x1 meta l4proto udp jump",
		"oifname \"lan\" meta mark 0x7 meta l4proto udp jump", NULL },
	{ "the router's own side is open", NAT_EIM, NAT_APDF, 0, false,
		"iifname \"wan\" log prefix \"home|wan: unsolicited, no mapping\"" DROP,
		"iifname \"wan\" accept", NULL },
	{ "inside addresses can be reached", NAT_EIM, NAT_APDF, 0, false, "ct state new ct status ! dnat",
		"ct state invalid ct status ! dnat", NULL },
	{ "IPv6 without a firewall", NAT_EIM, NAT_APDF, 0, true, "  iifname \"lan\" accept",
		"  iifname { \"lan\", \"wan\" } accept", NULL },
	{ "IPv6 without answers", NAT_EIM, NAT_APDF, 0, true,
		"  ct state established,related accept\n  iifname \"lan\" accept", "  iifname \"lan\" accept",
		NULL },
	{ "mappings that live shorter", NAT_EIM, NAT_APDF, 0, false, "timeout 120s", "timeout 12s", NULL },
	{ "TCP mappings that live longer", NAT_EIM, NAT_APDF, 0, false, "timeout 7440s", "timeout 7441s",
		NULL },
	{ "a set is missing", NAT_EIM, NAT_APDF, 0, false, " set asked_tcp", " set other_tcp", NULL },
	{ "ports are not kept", NAT_EIM, NAT_APDF, 0, false, "masquerade to :ct original proto-src\n",
		"ct state invalid drop\n", preserve },
	{ "ports are not overloaded", NAT_EIM, NAT_APDF, 0, false, "meta l4proto udp masquerade\n",
		"meta l4proto udp masquerade to :30000-30999\n", overload },
	{ "ports are not sequential", NAT_EIM, NAT_APDF, 0, false, "numgen inc", "numgen random",
		sequential },
	{ "ports are not random", NAT_EIM, NAT_APDF, 0, false, "numgen random", "numgen inc", by_chance },
	{ "even ports become odd", NAT_EIM, NAT_APDF, 0, false, "& 0xfeff | 0x10\n", "& 0xfeff | 0x110\n",
		parity },
	{ "one block for two hosts", NAT_EIM, NAT_APDF, 0, false, "goto choose_udp_1", "goto choose_udp_0",
		blocks },
	{ "no hairpin of TCP", NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, false,
		"meta l4proto tcp meta mark set 0x1 dnat", "tcp dport 1 meta mark set 0x1 dnat", NULL },
	{ "ICMP errors pass", NAT_EIM, NAT_APDF, 0, false, "ct state related log", "ct state invalid log",
		errors_lost },
	{ "ICMP errors do not pass", NAT_EIM, NAT_APDF, 0, false,
		"chain inside { type filter hook forward priority filter;\n",
		"chain inside { type filter hook forward priority filter;\n ct state related drop\n", NULL },
	{ "unknown TCP is not refused", NAT_EIM, NAT_APDF, 0, false, "reject with icmp type admin-prohibited",
		"drop", strict },
	{ "unknown TCP is refused otherwise", NAT_EIM, NAT_APDF, 0, false, "admin-prohibited",
		"port-unreachable", strict },
	{ "unknown TCP is not reset", NAT_EIM, NAT_APDF, 0, false, "reject with tcp reset", "drop", resets },
	{ "unknown TCP passes", NAT_EIM, NAT_APDF, 0, false, "  meta l4proto tcp ct state invalid",
		"  meta l4proto udp ct state invalid", silent },
	{ "expired mappings let in", NAT_EIM, NAT_APDF, 0, false,
		"iifname \"wan\" meta l4proto udp ct direction reply ct status snat",
		"iifname \"wan\" udp dport 1 ct direction reply ct status snat", refreshed_out },
	{ "a larger table", NAT_EIM, NAT_APDF, 0, false, "size 100;", "size 101;", small_table },
	{ "a host has several addresses", NAT_EIM, NAT_APDF, 0, false,
		"meta l4proto udp jhash ct original ip saddr mod 4",
		"meta l4proto udp jhash ct original ip saddr . ct original proto-src mod 4", pool },
	{ "hairpins are not filtered", NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, false,
		"ct state new meta l4proto udp ct original proto-dst",
		"ct state invalid meta l4proto udp ct original proto-dst", filters },
	{ "a UDP forward leads elsewhere", NAT_EIM, NAT_APDF, 0, false, "dnat to 192.168.1.10:5000",
		"dnat to 192.168.1.10:5001", udp_forward },
	{ "a TCP forward leads nowhere", NAT_EIM, NAT_APDF, 0, false, "tcp dport 80 ", "tcp dport 81 ",
		tcp_forward },
	{ "a forward's host leaves by another UDP port", NAT_EIM, NAT_APDF, 0, false,
		"meta l4proto udp ct original ip saddr 192.168.1.10 ct original proto-src 5000",
		"meta l4proto udp ct original ip saddr 192.168.1.10 ct original proto-src 1", udp_forward },
	{ "a forward's host leaves by another TCP port", NAT_EIM, NAT_APDF, 0, false,
		"meta l4proto tcp ct original ip saddr 192.168.1.10 ct original proto-src 8080",
		"meta l4proto tcp ct original ip saddr 192.168.1.10 ct original proto-src 1", tcp_forward },
	{ "hairpins are always filtered", NAT_EIM, NAT_APDF, NAT_HAIRPIN_EXTERNAL, false,
		"meta l4proto udp ct direction original update @asked_udp",
		"meta l4proto udp udp dport 1 update @asked_udp", filters },
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

static int load(struct lab *l, size_t router, struct buf *text)
{
	struct kernel_nft job;
	int err = netns_enter(kernel_router_net(l->e, router), &l->eb);
	if (!err && !(err = kernel_nft_start(&job, text, &l->eb)))
		err = kernel_nft_finish(&job, "a mutation", &l->eb);
	netns_return(hosts_home(l->h));
	return err;
}

/* Alice behind the router that m is about. */
static int start_mutated(struct lab *l, const struct mutation *m)
{
	struct scn_router *r = add_router(l, "home", -1);
	set_classes(r, m->mapping, m->filtering);
	r->model.hairpin = m->hairpin;
	if (m->change)
		m->change(&r->model);
	add_node(l, "alice", 0);
	return start(l);
}

static int run_mutation(void *arg)
{
	const struct mutation *m = arg;
	struct lab l = { .s = { .ipv6 = m->ipv6 } };
	struct buf text = { 0 };

	if (start_mutated(&l, m))
		return 1;
	CHECK(self_test(&l) == 0, "%s: condemned as it was: %s", m->what, l.eb.text);
	CHECK(kernel_nat_rules(&l.s, 0, 0, &text) && mutate(&text, m->from, m->to), "%s: nothing to change",
		m->what);
	CHECK(load(&l, 0, &text) == 0, "%s: %s", m->what, l.eb.text);
	buf_free(&text);
	CHECK(is_condemned(&l), "%s: not noticed", m->what);
	CHECK(strstr(l.eb.text, "router 'home' "), "%s: %s", m->what, l.eb.text);
	stop(&l);
	return 0;
}

static void test_every_mutation_is_noticed(void **state)
{
	static struct mutation rows[ARRAY_LEN(mutations)];

	(void)state;
	memcpy(rows, mutations, sizeof(rows));
	in_sandboxes(run_mutation, rows, sizeof(*rows), ARRAY_LEN(rows));
}

/* Homes of one address range are probed each for itself: *arg is the router with the hole. */
static int one_range(void *arg)
{
	const int *router = arg;
	struct lab l = { 0 };
	struct buf text = { 0 };

	for (int i = 0; i < 2; i++) {
		struct scn_router *r = add_router(&l, i ? "office" : "home", -1);
		r->lan_net = (struct prefix) { addr_v4(0xc0a80100), 24 };
		r->lan_chosen = true;
		add_node(&l, i ? "bob" : "alice", i);
	}
	if (start(&l))
		return 1;
	CHECK(addr_equal(&l.n[0].ip, &l.n[1].ip), "the nodes have different addresses");
	CHECK(self_test(&l) == 0, "condemned as it was: %s", l.eb.text);
	CHECK(kernel_nat_rules(&l.s, *router, 0, &text) &&
			mutate(&text, "ct state new ct status ! dnat", "ct state invalid ct status ! dnat") &&
			load(&l, (size_t)*router, &text) == 0,
		"%s", l.eb.text);
	buf_free(&text);
	CHECK(is_condemned(&l) && strstr(l.eb.text, l.r[*router].name) &&
			strstr(l.eb.text, "an inside address can be reached"),
		"router %d: %s", *router, l.eb.text);
	stop(&l);
	return 0;
}

static void test_one_range(void **state)
{
	(void)state;
	for (int router = 0; router < 2; router++)
		in_sandbox(one_range, &router);
}

/* Every rule in turn is taken out of the text. Not seen at once is what only time, a full table or a crowd would
 * show, what gives a packet that dies anyway its reason, the port that a hairpin of TCP comes from, and what is said to strangers. */
static const char *const unseen[] = { "@number_", "mark set jhash", "!= @taken_", "every port that was tried",
	"update @", "ct state established,related accept", "hairpin to a port without a mapping",
	"mapped, but not for this sender", "the mapping has expired", "map @external_",
	"the router does not hairpin", "wan: TCP of a connection", "iifname \"lan\" accept", "icmpv6 type" };

static bool may_go_unseen(const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(unseen); i++)
		if (strstr(line, unseen[i]))
			return true;
	return false;
}

static bool without_line(struct buf *text, size_t which, struct buf *out, char line[256])
{
	const char *at = buf_cstr(text), *end;
	size_t rule = 0;
	for (; (end = strchr(at, '\n')); at = end + 1) {
		bool is_rule = !strncmp(at, "  ", 2);
		if (is_rule && rule++ == which) {
			snprintf(line, 256, "%.*s", (int)(end - at), at);
			continue;
		}
		if (!buf_append(out, at, (size_t)(end - at) + 1))
			return false;
	}
	return rule > which;
}

static int run_each(void *arg)
{
	const struct mutation *m = arg;
	struct lab l = { .s = { .ipv6 = m->ipv6 } };
	struct buf text = { 0 };
	if (start_mutated(&l, m))
		return 1;
	CHECK(kernel_nat_rules(&l.s, 0, 0, &text), "memory");
	for (size_t i = 0;; i++) {
		struct buf out = { 0 };
		char line[256];
		if (!without_line(&text, i, &out, line))
			break;
		CHECK(load(&l, 0, &out) == 0, "%s", l.eb.text);
		CHECK(is_condemned(&l) || may_go_unseen(line), "%s: not noticed without %s", m->what, line);
		buf_free(&out);
	}
	stop(&l);
	return 0;
}

static void test_without_each_rule(void **state)
{
	static const struct mutation rows[] = {
		{ "eif", NAT_EIM, NAT_EIF, NAT_HAIRPIN_EXTERNAL, true, "", "", NULL },
		{ "adf", NAT_ADM, NAT_ADF, NAT_HAIRPIN_OFF, true, "", "", NULL },
		{ "apdf", NAT_APDM, NAT_APDF, NAT_HAIRPIN_OFF, true, "", "", resets },
	};
	(void)state;
	if (!getenv("RW_LONG")) {
		print_message("minutes: only with RW_LONG, as ci/long runs it\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mutation m = rows[i];
		in_sandbox(run_each, &m);
	}
}

struct wrong_lifetime {
	const char *preset, *setting, *says;
};

static int wrong_lifetime(void *arg)
{
	const struct wrong_lifetime *w = arg;
	struct lab l = { 0 };
	char command[160];
	add_router(&l, "home", -1)->model = nat_preset_find(w->preset)->model;
	add_node(&l, "alice", 0);
	if (start(&l))
		return 1;
	CHECK(self_test(&l) == 0, "%s", l.eb.text);
	snprintf(command, sizeof(command), "echo 121 >/proc/sys/net/netfilter/nf_conntrack_%s", w->setting);
	CHECK(run_on(&l, hosts_find(l.h, "home"), command) == 0, "no setting");
	CHECK(is_condemned(&l) && strstr(l.eb.text, w->says), "%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_lifetime(void **state)
{
	struct wrong_lifetime rows[] = { { "home", "udp_timeout_stream",
						 "conntrack's udp_timeout_stream is 121, declared 120" },
		{ "linux-masquerade", "udp_timeout", "conntrack's udp_timeout is 121, declared 30" },
		{ "docker", "udp_timeout_stream", "conntrack's udp_timeout_stream is 121, declared 120" } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		in_sandbox(wrong_lifetime, &rows[i]);
}

/* What the file says of NAT64 is another than what is there: the prefix, and that it is there at all. */
static int wrong_nat64(void *arg)
{
	const int *router = arg;
	struct lab l = { .s = { .ipv6 = true } };
	add_router(&l, "home", -1);
	add_router(&l, "office", -1);
	CHECK(nat64_parse("64:ff9b::/96", &l.r[0].nat64), "no prefix");
	set_classes(&l.r[0], NAT_EIM, NAT_EIF);
	add_node(&l, "alice", 0);
	if (start_on(&l, &engine_auto))
		return 1;
	CHECK(self_test_on(&l, &engine_auto) == 0, "condemned as it was: %s", l.eb.text);
	l.r[*router].nat64 = l.r[0].nat64;
	l.r[*router].nat64.prefix.b[3] ^= *router ? 0 : 1;
	CHECK(is_condemned_by(&l, &engine_auto) && strstr(l.eb.text, l.r[*router].name) &&
			strstr(l.eb.text, "NAT64 leads nowhere"),
		"router %d: %s", *router, l.eb.text);
	stop(&l);
	return 0;
}

/* The outer prefix is another than the file's: what goes out has not the file's. */
static int wrong_nptv6(void *arg)
{
	struct lab l = { .s = { .ipv6 = true } };
	struct nptv6 *n = &add_router(&l, "home", -1)->nptv6;
	(void)arg;
	CHECK(addr_parse("fd00:51::", &n->inside) && addr_parse("2001:db8:1::", &n->outside), "no prefix");
	add_node(&l, "alice", 0);
	if (start_on(&l, &engine_auto))
		return 1;
	CHECK(self_test_on(&l, &engine_auto) == 0, "condemned as it was: %s", l.eb.text);
	n->outside.b[5] ^= 1;
	CHECK(is_condemned_by(&l, &engine_auto) &&
			strstr(l.eb.text, "IPv6 does not pass there and back by its outer prefix"),
		"%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_nptv6(void **state)
{
	(void)state;
	in_sandbox(wrong_nptv6, NULL);
}

static void test_nat64(void **state)
{
	(void)state;
	for (int router = 0; router < 2; router++)
		in_sandbox(wrong_nat64, &router);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_mutation_is_noticed),
		cmocka_unit_test(test_one_range),
		cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_nat64),
		cmocka_unit_test(test_nptv6),
		cmocka_unit_test(test_without_each_rule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
