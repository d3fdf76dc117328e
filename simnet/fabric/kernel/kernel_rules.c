#include "simnet/fabric/kernel/kernel.h"

#include "mesh/base/table.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A NAT of any RFC 4787 class, for UDP and TCP, in stock nftables; all in the kernel's packet path, so
 * without the race of a program that watches conntrack. Each protocol has its own sets and maps, whose
 * entries live as long as a mapping:
 *
 *   external  what a mapping may depend on -> its external port. A flow that belongs to a mapping takes it.
 *   taken     numbers of external ports in use. A new mapping hashes what it depends on, seeded by scenario,
 *             router and number of resets, and takes the first of PORT_TRIES hashes that nobody has; when all
 *             are taken the packet is dropped and says so. A number is the port with its bytes swapped (nft
 *             hands hashes over so), and it travels in the connection's mark.
 *   number    external port -> its number, for packets that come in first
 *   owner     external port -> inside address and port: who gets what comes in
 *   mapped    external ports, for the reason of a drop
 *   spoken    external port and outside address: whom a mapping has sent to
 *
 * The chain `outbound` chooses, `learning` (behind the source NAT) fills and refreshes the sets, `inbound`
 * lets in from outside what the filtering class allows, `guard` and `inside` drop the rest with its reason.
 * Two packets of two mappings at the very same moment may still choose one port; the second is then dropped
 * by conntrack. */
enum { PORT_TRIES = 8, WINDOWS = 5, WINDOW_FIRST = 20000, WINDOW_PORTS = 8000, TCP_TIMEOUT_S = 7440 };

/* What a mapping depends on: as the inside sees it, and for a connection that began outside. */
struct mapping_key {
	const char *types, *out, *in;
};
#define KEY_OUT "ct original ip saddr . ct original proto-src"
#define KEY_IN "ct reply ip saddr . ct reply proto-src"
static const struct mapping_key mapping_keys[] = {
	[NAT_EIM] = { "ipv4_addr . inet_service", KEY_OUT, KEY_IN },
	[NAT_ADM] = { "ipv4_addr . inet_service . ipv4_addr", KEY_OUT " . ct original ip daddr",
		KEY_IN " . ct original ip saddr" },
	[NAT_APDM] = { "ipv4_addr . inet_service . ipv4_addr . inet_service",
		KEY_OUT " . ct original ip daddr . ct original proto-dst",
		KEY_IN " . ct original ip saddr . ct original proto-src" },
};
static const char *const filter_words[] = {
	[NAT_EIF] = "endpoint-independent filtering",
	[NAT_ADF] = "address-dependent filtering",
	[NAT_APDF] = "address and port-dependent filtering",
};
static_assert(ARRAY_LEN(mapping_keys) == NAT_MAPPINGS, "a mapping class has no key");
static_assert(ARRAY_LEN(filter_words) == NAT_FILTERINGS, "a filtering class has no words");
static const char *const protocols[] = { "udp", "tcp" };

const char *const kernel_nat_sets[] = { "external_udp", "taken_udp", "number_udp", "owner_udp", "mapped_udp",
	"spoken_udp", "external_tcp", "taken_tcp", "number_tcp", "owner_tcp", "mapped_tcp", "spoken_tcp",
	NULL };

static uint32_t seed_of(const struct scenario *s, int router, uint32_t epoch)
{
	const char *name = s->routers[router].name;
	return (uint32_t)hash_bytes(name, strlen(name), s->seed, epoch);
}

/* A range of ports that no earlier one of the last few resets used. */
static void put_window(const struct scenario *s, int router, uint32_t epoch, char out[16])
{
	unsigned first = WINDOW_FIRST + (seed_of(s, router, 0) + epoch) % WINDOWS * WINDOW_PORTS;
	snprintf(out, 16, "%u-%u", first, first + WINDOW_PORTS - 1);
}

/* ---- the rules ---- */

struct nat { /* what the templates need to know of one router */
	const struct scn_router *r;
	const struct mapping_key *key;
	char wan[ADDR_TEXT], window[16];
	uint32_t seed, timeout_s[2]; /* of each protocol */
	/* A router that accepts on its WAN must be able to move to another port when its own tuple is in the
	 * way: that is the trap. */
	bool roams;
};

static struct nat nat_of(const struct scenario *s, int router, uint32_t epoch)
{
	struct nat n = { .r = &s->routers[router], .seed = seed_of(s, router, epoch) };
	n.key = &mapping_keys[n.r->mapping];
	addr_format(&n.r->wan, n.wan);
	put_window(s, router, epoch, n.window);
	n.timeout_s[0] = n.r->udp_timeout_s ? n.r->udp_timeout_s : KERNEL_UDP_TIMEOUT_S;
	n.timeout_s[1] = TCP_TIMEOUT_S;
	n.roams = n.r->accepts_wan && n.r->mapping != NAT_ADM;
	return n;
}

static bool put_sets(const struct nat *n, unsigned proto, struct buf *b)
{
	static const char *const forms[][3] = {
		{ "map", "external", NULL },
		{ "map", "number", "inet_service : mark" },
		{ "map", "owner", "inet_service : ipv4_addr . inet_service" },
		{ "set", "taken", "mark" },
		{ "set", "mapped", "inet_service" },
		{ "set", "spoken", "inet_service . ipv4_addr" },
	};
	bool ok = true;
	for (size_t i = 0; ok && i < ARRAY_LEN(forms); i++)
		ok = buf_printf(b,
			" %s %s_%s { type %s%s; flags dynamic,timeout; timeout %" PRIu32 "s; size 65536; }\n",
			forms[i][0], forms[i][1], protocols[proto], forms[i][2] ? forms[i][2] : n->key->types,
			forms[i][2] ? "" : " : inet_service", n->timeout_s[proto]);
	return ok;
}

static bool put_inbound(const struct nat *n, const char *proto, struct buf *b)
{
	bool ok = true;
	if (n->r->hairpin != NAT_HAIRPIN_OFF)
		ok = buf_printf(b,
			"  iifname \"lan\" ip daddr %s meta l4proto %s meta mark set 0x1 dnat ip addr . port "
			"to %s dport map "
			"@owner_%s comment \"hairpin: a mapping, reached from inside\"\n",
			n->wan, proto, proto, proto);
	if (ok && n->r->filtering == NAT_EIF)
		ok = buf_printf(b,
			"  iifname \"wan\" ip daddr %s meta l4proto %s dnat ip addr . port to %s dport map "
			"@owner_%s comment "
			"\"anyone may send to a mapping\"\n",
			n->wan, proto, proto, proto);
	if (ok && n->r->filtering == NAT_ADF)
		ok = buf_printf(b,
			"  iifname \"wan\" ip daddr %s %s dport . ip saddr @spoken_%s dnat ip addr . port to "
			"%s dport map "
			"@owner_%s comment \"an address it has sent to may send to a mapping\"\n",
			n->wan, proto, proto, proto, proto);
	return ok;
}

/* nft wants prefix and comment below 128 bytes, so a long name is cut. */
static bool put_drop(struct buf *b, const char *match, const char *where, const char *why)
{
	return buf_printf(b,
		"  %s log prefix \"%.31s|%s\" group %d queue-threshold 1 drop comment \"%.31s: %s\"\n", match,
		where, why, KERNEL_LOG_GROUP, where, why);
}

/* Chain of a protocol that gives a flow its mapping's port: `to` is the statement up to the port. The bit
 * that is set in a hash becomes one of the port's high byte and keeps it above 4095. */
static bool put_choice(
	const struct nat *n, const char *chain, const char *proto, const char *to, struct buf *b)
{
	bool ok = buf_printf(b, " chain %s_%s {\n  meta l4proto %s %s:%s map @external_%s\n", chain, proto,
		proto, to, n->key->out, proto);
	for (uint32_t i = 0; ok && i < PORT_TRIES; i++) {
		uint32_t seed = n->seed + i ? n->seed + i : UINT32_MAX / 2; /* nft takes 0 as "choose one" */
		ok = buf_printf(b,
			"  meta l4proto %s meta mark set jhash %s mod 65536 seed 0x%" PRIx32 " | 0x10\n"
			"  meta l4proto %s meta mark != @taken_%s ct mark set meta mark %s:jhash %s mod "
			"65536 seed "
			"0x%" PRIx32 " | 0x10\n",
			proto, n->key->out, seed, proto, proto, to, n->key->out, seed);
	}
	return ok && put_drop(b, "", n->r->name, "no mapping: every port that was tried is taken") &&
	       buf_printf(b, " }\n");
}

static bool put_choices(const struct nat *n, struct buf *b)
{
	char snat[ADDR_TEXT + 24];
	bool ok = true;
	snprintf(snat, sizeof(snat), "snat ip to %s", n->wan);
	for (size_t i = 0; ok && i < ARRAY_LEN(protocols); i++) {
		if (!n->roams)
			ok = put_choice(n, "choose", protocols[i], "masquerade to ", b);
		if (ok && n->r->hairpin == NAT_HAIRPIN_EXTERNAL)
			ok = put_choice(n, "hairpin", protocols[i], snat, b);
	}
	return ok;
}

static bool put_outbound(const struct nat *n, struct buf *b)
{
	bool ok = buf_printf(b, " chain outbound { type nat hook postrouting priority srcnat;\n");
	for (size_t i = 0; ok && i < ARRAY_LEN(protocols); i++) {
		const char *proto = protocols[i];
		ok = n->roams ? buf_printf(b, "  oifname \"wan\" meta l4proto %s masquerade to :%s%s\n",
					proto, n->window, n->r->mapping == NAT_APDM ? " fully-random" : "")
			      : buf_printf(b, "  oifname \"wan\" meta l4proto %s jump choose_%s\n", proto,
					proto);
		if (ok && n->r->hairpin == NAT_HAIRPIN_EXTERNAL)
			ok = buf_printf(b,
				"  oifname \"lan\" meta mark 0x1 meta l4proto %s jump hairpin_%s comment "
				"\"hairpin: seen by its "
				"external address\"\n",
				proto, proto);
	}
	return ok && buf_printf(b, "  oifname \"wan\" masquerade\n }\n");
}

/* port: the mapping's, as this direction of the connection knows it; inside: whose it is; peer: whom it has
 * sent to, or NULL. */
struct lesson {
	const char *match, *port, *inside, *peer, *key;
};

static bool put_lesson(const struct nat *n, const char *proto, const struct lesson *l, struct buf *b)
{
	bool ok = buf_printf(b,
		"  %s meta l4proto %s ct mark 0 ct mark set %s map @number_%s\n"
		"  %s meta l4proto %s update @owner_%s { %s : %s } update @mapped_%s { %s }",
		l->match, proto, l->port, proto, l->match, proto, proto, l->port, l->inside, proto, l->port);
	if (ok && l->peer)
		ok = buf_printf(b, " update @spoken_%s { %s . %s }", proto, l->port, l->peer);
	if (ok && !n->roams)
		ok = buf_printf(b,
			" update @external_%s { %s : %s }\n"
			"  %s meta l4proto %s ct mark != 0 update @taken_%s { ct mark } update @number_%s { "
			"%s : ct mark }",
			proto, l->key, l->port, l->match, proto, proto, proto, l->port);
	return ok && buf_printf(b, "\n");
}

static bool put_learning(const struct nat *n, struct buf *b)
{
	const struct lesson lessons[] = {
		{ "oifname \"wan\" ct direction original", "ct reply proto-dst",
			"ct original ip saddr . ct original proto-src", "ip daddr", n->key->out },
		{ "oifname \"wan\" ct direction reply ct status dnat", "ct original proto-dst",
			"ct reply ip saddr . ct reply proto-src", "ip daddr", n->key->in },
		{ "oifname \"lan\" ct direction original ct status snat", "ct reply proto-dst",
			"ct original ip saddr . ct original proto-src", NULL, n->key->out },
	};
	bool ok = buf_printf(b, " chain learning { type filter hook postrouting priority 150;\n");
	for (size_t i = 0; i < ARRAY_LEN(lessons); i++)
		for (size_t p = 0; ok && p < ARRAY_LEN(protocols); p++)
			ok = put_lesson(n, protocols[p], &lessons[i], b);
	return ok && buf_printf(b, " }\n");
}

static bool put_guard(const struct nat *n, struct buf *b)
{
	const char *name = n->r->name;
	char why[96], match[96];
	snprintf(
		why, sizeof(why), "wan: mapped, but not for this sender (%s)", filter_words[n->r->filtering]);
	bool ok = buf_printf(b, " chain guard { type filter hook input priority filter;\n"
				"  ct state established,related accept\n");
	for (size_t i = 0; ok && i < ARRAY_LEN(protocols); i++) {
		snprintf(match, sizeof(match), "iifname \"lan\" ip daddr %s meta l4proto %s", n->wan,
			protocols[i]);
		ok = put_drop(b, match, name,
			n->r->hairpin == NAT_HAIRPIN_OFF ? "lan: the router does not hairpin"
							 : "lan: hairpin to a port without a mapping");
		snprintf(match, sizeof(match), "iifname \"wan\" %s dport @mapped_%s", protocols[i],
			protocols[i]);
		if (ok && !n->r->accepts_wan)
			ok = put_drop(b, match, name, why);
	}
	if (ok && !n->r->accepts_wan)
		ok = put_drop(b, "iifname \"wan\"", name, "wan: unsolicited, no mapping");
	return ok && buf_printf(b, " }\n chain inside { type filter hook forward priority filter;\n") &&
	       put_drop(b, "iifname \"wan\" ct state new ct status ! dnat", name,
		       "wan: an inside address, reached for from outside") &&
	       buf_printf(b, " }\n");
}

static bool put_v6(const struct nat *n, struct buf *b)
{
	return buf_printf(b, "table ip6 simnet\ndelete table ip6 simnet\ntable ip6 simnet {\n"
			     " chain inside { type filter hook forward priority filter;\n"
			     "  ct state established,related accept\n"
			     "  iifname \"lan\" accept\n"
			     "  icmpv6 type { destination-unreachable, packet-too-big, "
			     "time-exceeded, parameter-problem } accept\n") &&
	       put_drop(b, "iifname \"wan\"", n->r->name,
		       "wan: unsolicited, the IPv6 firewall lets only answers in") &&
	       buf_printf(b, " }\n}\n");
}

bool kernel_nat_rules(const struct scenario *s, int router, uint32_t epoch, struct buf *out)
{
	struct nat n = nat_of(s, router, epoch);
	if (!n.r->nat)
		return true;
	bool ok = buf_printf(out, "table ip simnet\ndelete table ip simnet\ntable ip simnet {\n") &&
		  put_sets(&n, 0, out) && put_sets(&n, 1, out) &&
		  buf_printf(out, " chain inbound { type nat hook prerouting priority dstnat;\n") &&
		  put_inbound(&n, "udp", out) && put_inbound(&n, "tcp", out) && buf_printf(out, " }\n") &&
		  put_choices(&n, out) && put_outbound(&n, out) && put_learning(&n, out) &&
		  put_guard(&n, out) && buf_printf(out, "}\n");
	return ok && (!s->ipv6 || put_v6(&n, out));
}

/* ---- cuts ---- */

static bool put_cut(const struct engine *e, const struct kernel_cut *c, struct buf *b)
{
	char port[KERNEL_NAME], match[64];
	const char *where = c->node >= 0 ? e->s->nodes[c->node].name : e->s->routers[c->router].name;
	const char *why = c->link ? "the link is cut" : c->permanent ? "UDP is blocked" : "UDP is cut";
	if (c->node < 0 && !c->link)
		return put_drop(b, "meta l4proto udp", where, why);
	if (c->node >= 0)
		kernel_port_name('n', c->node, 0, port);
	else
		kernel_port_name('r', c->router, 'w', port);
	for (int out = 0; out < 2; out++) {
		snprintf(match, sizeof(match), "%s \"%s\"%s", out ? "oifname" : "iifname", port,
			c->link ? "" : " meta l4proto udp");
		if (!put_drop(b, match, where, why))
			return false;
	}
	return true;
}

/* Before connection tracking in a router, so that a dead packet refreshes no mapping. Never at the sender's
 * own output, where the program would be told. */
bool kernel_cut_rules(const struct engine *e, int router, struct buf *out)
{
	const char *family = router < 0 ? "bridge" : "inet";
	bool ok = buf_printf(out,
		"table %s cuts\ndelete table %s cuts\ntable %s cuts {\n"
		" chain cuts { type filter hook %s priority -300;\n",
		family, family, family, router < 0 ? "forward" : "prerouting");
	for (size_t i = 0; ok && i < e->n_cuts; i++) {
		const struct kernel_cut *c = &e->cuts[i];
		int at = c->node < 0 && !c->link ? c->router : -1;
		if (at == router)
			ok = put_cut(e, c, out);
	}
	return ok && buf_printf(out, " }\n}\n");
}
