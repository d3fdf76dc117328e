#include "simnet/fabric/kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The firewalls of a file: a table of their own in each host and router that has one, for IPv4 and IPv6, so that rules
 * of programs and those of a NAT stay as they are. Neighbour discovery passes, without which there is no IPv6 at all. */

static const char *const verdicts[] = { [FIREWALL_ACCEPT] = "accept",
	[FIREWALL_DROP] = "drop",
	[FIREWALL_REJECT] = "reject",
	[FIREWALL_REDIRECT] = NULL };
static const char *const protos[] = {
	[FIREWALL_ANY] = "",
	[FIREWALL_TCP] = "meta l4proto tcp",
	[FIREWALL_UDP] = "meta l4proto udp",
	[FIREWALL_ICMP] = "meta l4proto { icmp, ipv6-icmp }",
};

static void put_net(char *out, size_t cap, const char *side, const struct prefix *net)
{
	char text[PREFIX_TEXT];
	snprintf(out, cap, " %s %s %s", addr_is_v4(&net->ip) ? "ip" : "ip6", side, prefix_format(net, text));
}

enum { MATCH = 520 };

/* What must be so, behind `match`. */
static void write_match(const char *match, const struct firewall_rule *r, char all[static MATCH])
{
	char from[80] = "", to[80] = "", ports[160] = "";
	if (r->has_from)
		put_net(from, sizeof(from), "saddr", &r->from);
	if (r->has_to)
		put_net(to, sizeof(to), "daddr", &r->to);
	if (r->ports)
		snprintf(ports, sizeof(ports), " th dport { %s }", r->ports);
	snprintf(all, MATCH, "%s%s %s%s%s%s", match, r->established ? " ct state established,related" : "",
		protos[r->proto], ports, from, to);
}

static bool put_rule(
	struct buf *b, const char *name, const char *way, const char *match, const struct firewall_rule *r)
{
	char all[MATCH], why[120];
	if (r->verdict == FIREWALL_REDIRECT)
		return buf_printf(b, "  %s ct direction original ct status dnat accept\n", match);
	write_match(match, r, all);
	if (r->verdict == FIREWALL_ACCEPT)
		return buf_printf(b, "  %s accept\n", all);
	/* nft wants prefix and comment below 128 bytes. */
	snprintf(why, sizeof(why), "firewall, %s: %.60s", way, r->text);
	return buf_printf(b,
		"  %s log prefix \"%.31s|%s\" group %d queue-threshold 1 %s comment \"%.31s: %s\"\n", all,
		name, why, KERNEL_LOG_GROUP,
		r->verdict == FIREWALL_REJECT && r->proto == FIREWALL_TCP ? "reject with tcp reset"
									  : verdicts[r->verdict],
		name, why);
}

static bool put_chain(struct buf *b, const char *name, const char *way, const char *head, const char *match,
	const struct firewall_rule *rules, size_t n)
{
	bool ok = buf_printf(b,
		" chain %s { type filter hook %s priority filter - 5;\n"
		"  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, "
		"nd-router-advert } accept\n",
		way, head);
	for (size_t i = 0; ok && i < n; i++)
		ok = put_rule(b, name, way, match, &rules[i]);
	return ok && buf_printf(b, " }\n");
}

/* Only the first packet of a flow comes here; of the rules before a redirect those that match keep it from that. What goes to
 * the router itself does not go out. */
static bool put_redirects(struct buf *b, const char *match, const struct firewall_rule *rules, size_t n)
{
	bool ok = buf_printf(b, " chain divert { type nat hook prerouting priority dstnat - 5;\n"
				"  fib daddr type local accept\n");
	for (size_t i = 0; ok && i < n; i++) {
		char all[MATCH], at[ENDPOINT_TEXT];
		if (rules[i].established)
			continue;
		write_match(match, &rules[i], all);
		ok = rules[i].verdict == FIREWALL_REDIRECT ? buf_printf(b, "  %s dnat ip to %s\n", all,
								     endpoint_format(&rules[i].into_at, at))
							   : buf_printf(b, "  %s accept\n", all);
	}
	return ok && buf_printf(b, " }\n");
}

#define NO_TABLE "table inet firewall\ndelete table inet firewall\n"
/* A namespace knows flows only while some rule asks for them. */
#define TRACKING " chain tracking { type filter hook postrouting priority filter; ct state invalid; }\n"

bool kernel_firewall_rules(const struct scn_firewall *f, const char *name, bool router, struct buf *out)
{
	if (!firewall_is_there(f))
		return true;
	return buf_printf(out, NO_TABLE "table inet firewall {\n%s", f->changes ? TRACKING : "") &&
	       put_chain(out, name, "in", router ? "forward" : "input",
		       router ? "iifname \"wan\"" : "iifname != \"lo\"", f->in, f->n_in) &&
	       put_chain(out, name, "out", router ? "forward" : "output",
		       router ? "oifname \"wan\"" : "oifname != \"lo\"", f->out, f->n_out) &&
	       (!firewall_redirects(f->out, f->n_out) ||
		       put_redirects(out, "meta nfproto ipv4 iifname \"lan\"", f->out, f->n_out)) &&
	       buf_printf(out, "}\n");
}

/* Of node `place`, or of router `place` - nodes. */
static const struct scn_firewall *firewall_at(const struct engine *e, size_t place)
{
	const struct scenario *s = e->s;
	const struct scn_firewall *f =
		place < s->n_nodes ? &s->nodes[place].firewall : &s->routers[place - s->n_nodes].firewall;
	return firewall_is_there(f) ? f : NULL;
}

static int load_text(struct engine *e, size_t place, struct buf *text, struct errbuf *eb)
{
	struct kernel_nft job;
	int err = netns_enter(hosts_net(e->hosts, (int)place), eb);
	if (!err && !(err = kernel_nft_start(&job, text, eb)))
		err = kernel_nft_finish(&job, hosts_name(e->hosts, (int)place), eb);
	netns_return(hosts_home(e->hosts));
	return err;
}

int kernel_firewall_load(struct engine *e, size_t place, const struct scn_firewall *f, struct errbuf *eb)
{
	const char *name = hosts_name(e->hosts, (int)place);
	struct buf text = { 0 };
	int err = kernel_firewall_rules(f, name, place >= e->s->n_nodes, &text)
			  ? load_text(e, place, &text, eb)
			  : err_set(eb, -ENOMEM, "write the firewall of %s", name);
	buf_free(&text);
	return err;
}

static int load_from(struct engine *e, size_t first, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = first; i < e->s->n_nodes + e->s->n_routers && !err; i++) {
		const struct scn_firewall *f = firewall_at(e, i);
		if (f)
			err = kernel_firewall_load(e, i, f, eb);
	}
	return err;
}

int kernel_firewalls_load(struct engine *e, struct errbuf *eb)
{
	return load_from(e, 0, eb);
}

int kernel_firewalls_hold(struct engine *e, struct errbuf *eb)
{
	int err = e->box ? switch_lift_firewalls(e->box, false, eb) : 0;
	return err ? err : load_from(e, e->s->n_nodes, eb);
}

int kernel_firewalls_lift(struct engine *e, struct errbuf *eb)
{
	int err = e->box ? switch_lift_firewalls(e->box, true, eb) : 0;
	for (size_t i = e->s->n_nodes; i < e->s->n_nodes + e->s->n_routers && !err; i++) {
		struct buf text = { 0 };
		if (!firewall_at(e, i))
			continue;
		err = buf_printf(&text, NO_TABLE) ? load_text(e, i, &text, eb)
						  : err_set(eb, -ENOMEM, "lift a firewall");
		buf_free(&text);
	}
	return err;
}
