#include "simnet/fabric/kernel/kernel_rules.h"

#include "mesh/base/table.h"
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A NAT of any RFC 4787 class, for UDP and for TCP, in stock nftables; all in the kernel's packet path, so
 * without the race of a program that watches conntrack. Each protocol has its own sets and maps, whose
 * entries live as long as a mapping:
 *
 *   external  what a mapping may depend on -> its external port. A flow that belongs to a mapping takes it.
 *   taken     numbers of external ports in use; see kernel_ports.c, where a new mapping finds its port
 *   number    external port -> its number, for packets that come in first
 *   owner     external port -> inside address and port: who gets what comes in
 *   mapped    external ports: the table whose size is bounded, and the reason of a drop
 *   spoken    external port and outside address: whom a mapping has sent to
 *   asked     external port and that of another mapping here: whom it has sent to by hairpin
 *
 * With a pool of addresses an external port is an address and a port. The chain `outbound` chooses,
 * `learning` (behind the source NAT) fills and refreshes the sets, `inbound` lets in from outside what the
 * filtering class allows, `guard` and `inside` drop the rest with its reason. Two packets of two mappings at
 * the very same moment may still choose one port; the second is then dropped by conntrack.
 *
 * Lifetimes are those of the entries and of conntrack (kernel_nat_settings). Where an entry may die before
 * its flow, since only packets of one direction refresh it or since nobody has answered yet, `inside` lets in
 * only what still has one. A TCP mapping lives by its packets alone, not by FIN. Where a UDP mapping is conntrack's flow
 * (nat_model_is_conntrack) conntrack ends both. */
enum { WINDOWS = 5, WINDOW_FIRST = 20000, WINDOW_STEP = 8000 };

#define KEY_OUT "ct original ip saddr . ct original proto-src"
#define KEY_IN "ct reply ip saddr . ct reply proto-src"
#define PORT_OUT "ct reply proto-dst"
#define PORT_IN "ct original proto-dst"
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

const char *const kernel_nat_sets[] = { "external_udp", "taken_udp", "number_udp", "owner_udp", "mapped_udp",
	"spoken_udp", "asked_udp", "external_tcp", "taken_tcp", "number_tcp", "owner_tcp", "mapped_tcp",
	"spoken_tcp", "asked_tcp", NULL };

static uint32_t seed_of(const struct scenario *s, int router, uint32_t epoch)
{
	const char *name = s->routers[router].name;
	return (uint32_t)hash_bytes(name, strlen(name), s->seed, epoch);
}

/* ---- what the templates know ---- */

static void fill_protos(struct nat *n)
{
	const struct nat_lifetimes *l = &n->m->lifetimes;
	n->protos[0] = (struct nat_proto) { .word = "udp",
		.number = 17,
		.class = n->m->udp,
		.new_s = l->udp_new_s,
		.s = l->udp_s,
		.settled = n->m->udp_stream_s ? "assured" : "seen-reply",
		.is_flow = nat_model_is_conntrack(n->m) };
	n->protos[1] = (struct nat_proto) { .word = "tcp",
		.number = 6,
		.class = n->m->tcp,
		.new_s = l->tcp_opening_s,
		.s = l->tcp_s,
		.settled = "assured" };
	for (unsigned i = 0; i < NAT_PROTOS; i++)
		n->protos[i].key = &mapping_keys[n->protos[i].class.mapping];
}

static void fill_pool(struct nat *n)
{
	size_t len = 0;
	for (uint32_t k = 0; k < n->m->pool; k++) {
		struct addr a = topology_pool(n->r, k);
		addr_format(&a, n->pool[k]);
		len += (size_t)snprintf(n->pool_set + len, sizeof(n->pool_set) - len, "%s%s",
			!k && n->m->pool > 1 ? "{ "
			: k		     ? ", "
					     : "",
			n->pool[k]);
	}
	if (n->m->pool > 1)
		snprintf(n->pool_set + len, sizeof(n->pool_set) - len, " }");
}

static struct nat nat_of(const struct scenario *s, int router, uint32_t epoch, struct buf *out)
{
	const struct scn_router *r = &s->routers[router];
	struct nat n = { .s = s,
		.router = router,
		.r = r,
		.m = &r->model,
		.seed = seed_of(s, router, epoch),
		.epoch = epoch,
		/* A range of ports that none of the last few resets used. */
		.window = WINDOW_FIRST + (seed_of(s, router, 0) + epoch) % WINDOWS * WINDOW_STEP,
		.roams = r->model.ports == NAT_PORTS_OVERLOAD ||
			 (r->model.accepts_wan && r->model.udp.mapping != NAT_ADM),
		.external_type = "inet_service",
		.external_out = PORT_OUT,
		.external_in = PORT_IN,
		.external_packet = "%s dport",
		.out = out };
	if (n.m->pool > 1) {
		n.external_type = "ipv4_addr . inet_service";
		n.external_out = "ct reply ip daddr . " PORT_OUT;
		n.external_in = "ct original ip daddr . " PORT_IN;
		n.external_packet = "ip daddr . %s dport";
	}
	fill_protos(&n);
	fill_pool(&n);
	return n;
}

void nat_put(struct nat *n, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	int len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text) || !buf_append(n->out, text, (size_t)len))
		n->bad = true;
}

static bool put_end(struct buf *b, const char *match, const char *where, const char *why, const char *end)
{
	return buf_printf(b,
		"  %s log prefix \"%.31s|%s\" group %d queue-threshold 1 %s comment \"%.31s: %s\"\n", match,
		where, why, KERNEL_LOG_GROUP, end, where, why);
}

void nat_put_end(struct nat *n, const char *match, const char *why, const char *end)
{
	if (!put_end(n->out, match, n->r->name, why, end))
		n->bad = true;
}

void nat_put_drop(struct nat *n, const char *match, const char *why)
{
	nat_put_end(n, match, why, "drop");
}

/* ---- the rules ---- */

static void put_sets(struct nat *n, const struct nat_proto *p)
{
	bool address_only = p->class.filtering != NAT_APDF;
	const struct {
		const char *kind, *name, *key, *value;
	} forms[] = {
		{ "map", "external", p->key->types, "inet_service" },
		{ "map", "number", n->external_type, "mark" },
		{ "map", "owner", n->external_type, "ipv4_addr . inet_service" },
		{ "set", "taken", "mark", NULL },
		{ "set", "mapped", n->external_type, NULL },
		{ "set", "spoken", "inet_service . ipv4_addr", NULL },
		{ "set", "asked", address_only ? "inet_service" : "inet_service . inet_service", NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		bool table = !strcmp(forms[i].name, "mapped");
		nat_put(n,
			" %s %s_%s { type %s%s%s; flags dynamic,timeout; timeout %" PRIu32
			"s;%s size %" PRIu32 "; }\n",
			forms[i].kind, forms[i].name, p->word, forms[i].key, forms[i].value ? " : " : "",
			forms[i].value ? forms[i].value : "", p->s, table ? " gc-interval 1s;" : "",
			table ? n->m->table : NAT_TABLE_MAX);
	}
}

static void put_forward(struct nat *n, const struct nat_forward *f, bool from_lan)
{
	char to[ADDR_TEXT];
	nat_put(n, "  iifname \"%s\" ip daddr %s %s dport %u %sdnat to %s:%u comment \"a forward\"\n",
		from_lan ? "lan" : "wan", n->pool[0], f->proto == 6 ? "tcp" : "udp", f->port,
		from_lan ? "meta mark set 0x1 " : "", addr_format(&f->ip, to), f->to_port);
}

static void put_inbound(struct nat *n, const struct nat_proto *p)
{
	char external[64];
	snprintf(external, sizeof(external), n->external_packet, p->word);
	if (n->m->hairpin != NAT_HAIRPIN_OFF)
		nat_put(n,
			"  iifname \"lan\" ip daddr %s meta l4proto %s meta mark set 0x1 dnat ip addr . port "
			"to %s map @owner_%s comment \"hairpin: a mapping, reached from inside\"\n",
			n->pool_set, p->word, external, p->word);
	if (p->class.filtering == NAT_EIF)
		nat_put(n,
			"  iifname \"wan\" ip daddr %s meta l4proto %s dnat ip addr . port to %s map "
			"@owner_%s comment \"anyone may send to a mapping\"\n",
			n->pool_set, p->word, external, p->word);
	if (p->class.filtering == NAT_ADF)
		nat_put(n,
			"  iifname \"wan\" ip daddr %s %s dport . ip saddr @spoken_%s dnat ip addr . port to "
			"%s map @owner_%s comment \"an address it has sent to may send to a mapping\"\n",
			n->pool_set, p->word, p->word, external, p->word);
}

static void put_outbound(struct nat *n)
{
	nat_put(n, " chain outbound { type nat hook postrouting priority srcnat;\n");
	for (unsigned i = 0; i < NAT_PROTOS; i++) {
		const char *proto = n->protos[i].word;
		nat_put(n, "  oifname \"wan\" meta l4proto %s jump choose_%s\n", proto, proto);
		if (n->m->hairpin == NAT_HAIRPIN_EXTERNAL)
			nat_put(n,
				"  oifname \"lan\" meta mark 0x1 meta l4proto %s jump hairpin_%s comment "
				"\"hairpin: seen by its external address\"\n",
				proto, proto);
	}
	nat_put(n, "  oifname \"wan\" jump shared\n }\n");
}

/* port, external: the mapping's, as this direction of the connection knows it; inside: whose it is; peer:
 * whom it has sent to, or NULL. */
struct lesson {
	const char *match, *port, *external, *inside, *peer;
	bool began_outside; /* the connection */
	bool inbound;	    /* a packet that goes in: it refreshes, and begins nothing */
	bool hairpin;
};

/* lives: what follows a key, as " timeout 30s"; "" = as long as the set says. */
static void put_lesson(
	struct nat *n, const struct nat_proto *p, const struct lesson *l, const char *when, const char *lives)
{
	const char *word = p->word;
	nat_put(n, "  %s%s meta l4proto %s update @owner_%s { %s%s : %s } update @mapped_%s { %s%s }",
		l->match, when, word, word, l->external, lives, l->inside, word, l->external, lives);
	if (l->peer)
		nat_put(n, " update @spoken_%s { %s . %s%s }", word, l->port, l->peer, lives);
	if (!n->roams)
		nat_put(n,
			" update @external_%s { %s%s : %s }\n"
			"  %s%s meta l4proto %s ct mark != 0 update @taken_%s { ct mark%s } update "
			"@number_%s { "
			"%s%s : ct mark }",
			word, l->began_outside ? p->key->in : p->key->out, lives, l->port, l->match, when,
			word, word, lives, word, l->external, lives);
	nat_put(n, "\n");
}

static void put_lessons(struct nat *n, const struct nat_proto *p, const struct lesson *l)
{
	char when[48], lives[32];
	nat_put(n, "  %s meta l4proto %s ct mark 0 ct mark set %s map @number_%s\n", l->match, p->word,
		l->external, p->word);
	if (p->new_s == p->s) {
		put_lesson(n, p, l, "", "");
		return;
	}
	snprintf(lives, sizeof(lives), " timeout %" PRIu32 "s", p->new_s);
	snprintf(when, sizeof(when), " ct status ! %s", p->settled);
	put_lesson(n, p, l, when, lives);
	snprintf(lives, sizeof(lives), " timeout %" PRIu32 "s", p->s);
	snprintf(when, sizeof(when), " ct status %s", p->settled);
	put_lesson(n, p, l, when, lives);
}

/* What finds no room in the table has no mapping, and does not pass. */
static void put_table(struct nat *n, const struct nat_proto *p, const struct lesson *l)
{
	char match[160];
	if (n->m->table == NAT_TABLE_MAX || l->inbound)
		return;
	nat_put(n, "  %s ct state new meta l4proto %s update @mapped_%s { %s }\n", l->match, p->word, p->word,
		l->external);
	snprintf(match, sizeof(match), "%s ct state new meta l4proto %s %s != @mapped_%s", l->match, p->word,
		l->external, p->word);
	nat_put_drop(n, match, "no mapping: the table is full");
}

/* Whether the mapping that a hairpin leads to has sent to its sender, as far as the filtering class cares. */
static void put_asked(struct nat *n, const struct nat_proto *p)
{
	static const char hairpins[] = "oifname \"lan\" ct status dnat ct status snat";
	bool ports = p->class.filtering == NAT_APDF;
	char match[160], why[96];
	if (!n->m->hairpin_filters || p->class.filtering == NAT_EIF)
		return;
	nat_put(n, "  %s meta l4proto %s ct direction original update @asked_%s { " PORT_OUT "%s }\n",
		hairpins, p->word, p->word, ports ? " . " PORT_IN : "");
	nat_put(n, "  %s meta l4proto %s ct direction reply update @asked_%s { " PORT_IN "%s }\n", hairpins,
		p->word, p->word, ports ? " . " PORT_OUT : "");
	snprintf(match, sizeof(match), "%s ct state new meta l4proto %s " PORT_IN "%s != @asked_%s", hairpins,
		p->word, ports ? " . " PORT_OUT : "", p->word);
	snprintf(why, sizeof(why), "lan: hairpin, but not for this sender (%s)",
		filter_words[p->class.filtering]);
	nat_put_drop(n, match, why);
}

static void put_learning(struct nat *n)
{
	const char *ours = n->external_out, *theirs = n->external_in;
	const struct lesson lessons[] = {
		{ .match = "oifname \"wan\" ct direction original",
			.port = PORT_OUT,
			.external = ours,
			.inside = KEY_OUT,
			.peer = "ip daddr" },
		{ .match = "oifname \"wan\" ct direction reply ct status dnat",
			.port = PORT_IN,
			.external = theirs,
			.inside = KEY_IN,
			.peer = "ip daddr",
			.began_outside = true },
		{ .match = "oifname \"lan\" ct direction original ct status snat",
			.port = PORT_OUT,
			.external = ours,
			.inside = KEY_OUT,
			.hairpin = true },
		{ .match = "oifname \"lan\" ct direction reply ct status dnat",
			.port = PORT_IN,
			.external = theirs,
			.inside = KEY_IN,
			.began_outside = true,
			.hairpin = true },
		{ .match = "oifname \"lan\" ct direction reply ct status snat",
			.port = PORT_OUT,
			.external = ours,
			.inside = KEY_OUT,
			.inbound = true },
		{ .match = "oifname \"lan\" ct direction original ct status dnat",
			.port = PORT_IN,
			.external = theirs,
			.inside = KEY_IN,
			.began_outside = true,
			.inbound = true },
	};
	nat_put(n, " chain learning { type filter hook postrouting priority 150;\n");
	for (size_t i = 0; i < ARRAY_LEN(lessons); i++) {
		const struct lesson *l = &lessons[i];
		if ((l->inbound && n->m->refresh == NAT_REFRESH_OUT) ||
			(l->hairpin && n->m->hairpin == NAT_HAIRPIN_OFF))
			continue;
		for (unsigned k = 0; k < NAT_PROTOS; k++) {
			put_table(n, &n->protos[k], l);
			put_lessons(n, &n->protos[k], l);
		}
	}
	for (unsigned k = 0; k < NAT_PROTOS; k++)
		put_asked(n, &n->protos[k]);
	nat_put(n, " }\n");
}

static void put_guard(struct nat *n)
{
	char why[96], match[sizeof(n->pool_set) + 64], external[64];
	nat_put(n, " chain guard { type filter hook input priority filter;\n"
		   "  ct state established,related accept\n");
	for (unsigned i = 0; i < NAT_PROTOS; i++) {
		const struct nat_proto *p = &n->protos[i];
		snprintf(external, sizeof(external), n->external_packet, p->word);
		snprintf(match, sizeof(match), "iifname \"lan\" ip daddr %s meta l4proto %s", n->pool_set,
			p->word);
		nat_put_drop(n, match,
			n->m->hairpin == NAT_HAIRPIN_OFF ? "lan: the router does not hairpin"
							 : "lan: hairpin to a port without a mapping");
		snprintf(match, sizeof(match), "iifname \"wan\" meta l4proto %s %s @mapped_%s", p->word,
			external, p->word);
		snprintf(why, sizeof(why), "wan: mapped, but not for this sender (%s)",
			filter_words[p->class.filtering]);
		if (!n->m->accepts_wan)
			nat_put_drop(n, match, why);
	}
	if (n->m->tcp_unknown == NAT_UNKNOWN_RESET)
		nat_put_end(n, "iifname \"wan\" meta l4proto tcp ct state invalid",
			"wan: TCP of a connection it does not know", "reject with tcp reset");
	if (!n->m->accepts_wan)
		nat_put_drop(n, "iifname \"wan\"", "wan: unsolicited, no mapping");
	nat_put(n, " }\n");
}

static void put_expired(struct nat *n, const struct nat_proto *p)
{
	char match[160];
	if (p->is_flow || (n->m->refresh == NAT_REFRESH_BOTH && p->new_s == p->s))
		return;
	snprintf(match, sizeof(match),
		"iifname \"wan\" meta l4proto %s ct direction reply ct status snat %s != @mapped_%s", p->word,
		n->external_out, p->word);
	nat_put_drop(n, match, "wan: the mapping has expired");
	snprintf(match, sizeof(match),
		"iifname \"wan\" meta l4proto %s ct direction original ct status dnat ct state established "
		"%s != "
		"@mapped_%s",
		p->word, n->external_in, p->word);
	nat_put_drop(n, match, "wan: the mapping has expired");
}

static void put_inside(struct nat *n)
{
	static const char *const ends[] = { [NAT_UNKNOWN_STRICT] = "reject with icmp type admin-prohibited",
		[NAT_UNKNOWN_RESET] = "reject with tcp reset",
		[NAT_UNKNOWN_SILENT] = "drop" };
	nat_put(n, " chain inside { type filter hook forward priority filter;\n");
	if (n->m->icmp_errors_lost)
		nat_put_drop(n,
			"icmp type { destination-unreachable, time-exceeded, parameter-problem } ct state "
			"related",
			"ICMP errors do not pass");
	if (n->m->tcp_unknown != NAT_UNKNOWN_LOOSE)
		nat_put_end(n, "meta l4proto tcp ct state invalid", "TCP of a connection it does not know",
			ends[n->m->tcp_unknown]);
	for (unsigned i = 0; i < NAT_PROTOS; i++)
		put_expired(n, &n->protos[i]);
	nat_put_drop(n, "iifname \"wan\" ct state new ct status ! dnat",
		"wan: an inside address, reached for from outside");
	nat_put(n, " }\n");
}

static void put_v6(struct nat *n)
{
	/* pinholes: filled by a service on the router (simnet/service/portmap.h) */
	nat_put(n, "table ip6 simnet\ndelete table ip6 simnet\ntable ip6 simnet {\n"
		   " chain pinholes { }\n"
		   " chain inside { type filter hook forward priority filter;\n"
		   "  ct state established,related accept\n"
		   "  iifname \"lan\" accept\n"
		   "  icmpv6 type { destination-unreachable, packet-too-big, "
		   "time-exceeded, parameter-problem } accept\n"
		   "  iifname \"wan\" jump pinholes\n");
	nat_put_drop(n, "iifname \"wan\"", "wan: unsolicited, the IPv6 firewall lets only answers in");
	nat_put(n, " }\n}\n");
}

bool kernel_nat_rules(const struct scenario *s, int router, uint32_t epoch, struct buf *out)
{
	struct nat n = nat_of(s, router, epoch, out);
	if (!n.r->nat)
		return true;
	nat_put(&n, "table ip simnet\ndelete table ip simnet\ntable ip simnet {\n");
	for (unsigned i = 0; i < NAT_PROTOS; i++)
		put_sets(&n, &n.protos[i]);
	nat_put_windows(&n);
	nat_put(&n, " chain inbound { type nat hook prerouting priority dstnat;\n");
	for (size_t i = 0; i < n.m->n_forwards; i++) {
		put_forward(&n, &n.m->forwards[i], false);
		if (n.m->hairpin != NAT_HAIRPIN_OFF)
			put_forward(&n, &n.m->forwards[i], true);
	}
	for (unsigned i = 0; i < NAT_PROTOS; i++)
		put_inbound(&n, &n.protos[i]);
	nat_put(&n, " }\n");
	nat_put_choices(&n);
	put_outbound(&n);
	put_learning(&n);
	put_guard(&n);
	put_inside(&n);
	nat_put(&n, "}\n");
	if (s->ipv6)
		put_v6(&n);
	return !n.bad;
}

/* ---- cuts ---- */

static bool put_cut(const struct engine *e, const struct kernel_cut *c, struct buf *b)
{
	char port[KERNEL_NAME], match[64];
	const struct scn_router *r = c->node < 0 ? &e->s->routers[c->router] : NULL;
	size_t n_ports = c->node >= 0 && e->s->nodes[c->node].n_ifaces ? e->s->nodes[c->node].n_ifaces
			 : r && r->balances			       ? r->n_uplinks
								       : 1;
	const char *where = r ? r->name : e->s->nodes[c->node].name;
	const char *why = c->link ? "the link is cut" : c->permanent ? "UDP is blocked" : "UDP is cut";
	if (r && !c->link)
		return put_end(b, "meta l4proto udp", where, why, "drop");
	for (size_t i = 0; i < 2 * n_ports; i++) {
		bool out = i % 2;
		if (!r)
			kernel_node_port(c->node, i / 2, port);
		else if (r->balances && i / 2 != r->uplink)
			kernel_uplink_port(c->router, i / 2, port);
		else
			kernel_port_name('r', c->router, 'w', port);
		snprintf(match, sizeof(match), "%s \"%s\"%s", out ? "oifname" : "iifname", port,
			c->link ? "" : " meta l4proto udp");
		if (!put_end(b, match, where, why, "drop"))
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
