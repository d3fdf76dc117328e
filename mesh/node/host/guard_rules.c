/* Two base chains. `arriving` sees every packet before connection tracking and before anything else decides
 * where it goes: a mesh address is a source only on the mesh interface, and a destination only there or from
 * a bridge of this machine's own containers, which ask its resolver and its services. `leaving` sees packets
 * after address translation: nothing goes to a mesh address but by the mesh interface, and nothing of our own
 * address leaves by another. What passes is only not dropped here: the verdict of other tables (ufw,
 * firewalld, docker) stands.
 *
 * `answering`, and a line of `arriving`, lead what this machine's own programs ask 100.100.100.100 at port 80 to another port,
 * and the answers back: listening at port 80 itself would keep the machine's web server from starting. Ports alone change,
 * without connection tracking, which a machine may not have use for otherwise: what leaves is changed before it is seen by
 * tracking, what comes in when that is over, so that a machine which has it sees port 80 both ways.
 *
 * Of a machine that carries networks, two more. `forwarding`: into the mesh go answers, and what containers
 * of this machine begin; what hosts of the offered networks begin only where that was asked for; nothing of
 * anybody else. What comes from the mesh is marked, with the mark that official clients use, and `sharing`
 * gives it this machine's address. Segments of TCP are told to fit the tunnel. */
#include "mesh/node/host/guard_rules.h"
#include "mesh/base/via6.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

char *guard_table_name(const char *ifname, char out[static GUARD_TABLE_TEXT])
{
	snprintf(out, GUARD_TABLE_TEXT, "ropewalk-%.15s", ifname);
	for (char *p = out + strlen("ropewalk-"); *p; p++)
		if (!isalnum((unsigned char)*p))
			*p = '_';
	return out;
}

/* The addresses of one family with commas between; returns how many, or -1 when memory is short. */
static long put_list(struct buf *out, const struct addr_set *s, bool v4)
{
	char text[ADDR_TEXT];
	long k = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (addr_is_v4(&s->v[i]) != v4)
			continue;
		if (!buf_printf(out, "%s%s", k++ ? "," : "", addr_format(&s->v[i], text)))
			return -1;
	}
	return k;
}

static bool has_family(const struct addr_set *s, bool v4)
{
	for (size_t i = 0; i < s->n; i++)
		if (addr_is_v4(&s->v[i]) == v4)
			return true;
	return false;
}

static bool put_set(struct buf *out, const char *name, const struct addr_set *s, bool v4)
{
	bool ok = buf_printf(out, "set %s%d { type ipv%d_addr;\n", name, v4 ? 4 : 6, v4 ? 4 : 6);
	if (ok && has_family(s, v4))
		ok = buf_printf(out, "elements = { ") && put_list(out, s, v4) > 0 && buf_printf(out, " };\n");
	return ok && buf_printf(out, "}\n");
}

/* Interface names come from the machine: one that would end its quotes is left out, and not let in. */
static bool put_inside(struct buf *out, const struct guard_inside *in)
{
	bool ok = buf_printf(out, "set inside { type ifname;\n");
	size_t k = 0;
	for (size_t i = 0; ok && i < in->n; i++) {
		if (strpbrk(in->name[i], "\"\\*"))
			continue;
		ok = buf_printf(out, "%s\"%s\"", k++ ? "," : "elements = { ", in->name[i]);
	}
	return ok && buf_printf(out, k ? " };\n}\n" : "}\n");
}

int guard_rules_size(const struct guard_service *s)
{
	enum { PLAIN = 8, SERVING = 3 };
	return PLAIN + (s->n ? SERVING + !s->plain : 0);
}

/* What its hosts have: a network of 4via6 is one of IPv4 to this machine. */
static struct prefix served_as(const struct prefix *net)
{
	uint32_t site;
	struct prefix v4;
	return via6_extract(net, &site, &v4) ? v4 : *net;
}

/* The offered networks of one family, and exits left out: everybody is behind an exit. */
static bool put_served(struct buf *out, const struct guard_service *s, bool v4)
{
	char text[PREFIX_TEXT];
	size_t k = 0;
	bool ok = buf_printf(
		out, "set served%d { type ipv%d_addr; flags interval; auto-merge;\n", v4 ? 4 : 6, v4 ? 4 : 6);
	for (size_t i = 0; ok && i < s->n; i++) {
		struct prefix net = served_as(&s->nets[i]);
		if (!net.bits || addr_is_v4(&net.ip) != v4)
			continue;
		ok = buf_printf(out, "%s%s", k++ ? "," : "elements = { ", prefix_format(&net, text));
	}
	return ok && buf_printf(out, k ? " };\n}\n" : "}\n");
}

static bool put_sets(struct buf *out, const struct guard_wish *w)
{
	return put_set(out, "own", w->own, true) && put_set(out, "own", w->own, false) &&
	       put_set(out, "mesh", w->mesh, true) && put_set(out, "mesh", w->mesh, false) &&
	       put_inside(out, w->inside) &&
	       (!w->service->n || (put_served(out, w->service, true) && put_served(out, w->service, false)));
}

/* Hosts of the networks that are carried, on their way to peers: `forwarding` sees to them. This machine itself they
 * reach in the mesh no more than others around it do. */
static const char carried_in[] = "ip saddr @served4 ip daddr @mesh4 ip daddr != @own4 accept\n"
				 "ip6 saddr @served6 ip6 daddr @mesh6 ip6 daddr != @own6 accept\n";

static bool put_forwarding(struct buf *out, const char *ifname, const struct guard_service *s)
{
	if (!s->n)
		return true;
	return buf_printf(out,
		       "chain forwarding {\n"
		       "type filter hook forward priority -10; policy accept;\n"
		       "iifname \"%s\" meta mark set meta mark and 0xff00ffff or 0x40000\n"
		       "oifname != \"%s\" accept\n"
		       "tcp flags syn tcp option maxseg size set rt mtu\n"
		       "iifname @inside accept\n"
		       "ct state established,related accept\n"
		       "%s"
		       "counter drop comment \"not asked for by the mesh\"\n"
		       "}\n",
		       ifname, ifname,
		       s->unasked ? "ip saddr @served4 accept\nip6 saddr @served6 accept\n" : "") &&
	       (s->plain || buf_printf(out,
				    "chain sharing {\n"
				    "type nat hook postrouting priority srcnat; policy accept;\n"
				    "oifname != \"%s\" meta mark and 0xff0000 == 0x40000 masquerade\n"
				    "}\n",
				    ifname));
}

bool guard_rules_whole(const struct guard_wish *w, struct buf *out)
{
	char t[GUARD_TABLE_TEXT];
	guard_table_name(w->ifname, t);
	/* Added first, so that there is one to delete. */
	return buf_printf(out, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", t, t, t) &&
	       put_sets(out, w) &&
	       buf_printf(out,
		       "chain arriving {\n"
		       "type filter hook prerouting priority -300; policy accept;\n"
		       "iifname \"lo\" ip daddr 100.100.100.100 tcp dport 80 tcp dport set %d\n"
		       "iifname { \"lo\", \"%s\" } accept\n"
		       "ip saddr @mesh4 counter drop comment \"a mesh source from outside\"\n"
		       "ip6 saddr @mesh6 counter drop comment \"a mesh source from outside\"\n"
		       "iifname @inside accept\n"
		       "%s"
		       "ip daddr @mesh4 counter drop comment \"a mesh destination from outside\"\n"
		       "ip6 daddr @mesh6 counter drop comment \"a mesh destination from outside\"\n"
		       "}\n"
		       "chain answering {\n"
		       "type filter hook output priority -300; policy accept;\n"
		       "oifname \"lo\" ip saddr 100.100.100.100 tcp sport %d tcp sport set 80\n"
		       "}\n"
		       "chain leaving {\n"
		       "type filter hook postrouting priority 300; policy accept;\n"
		       "oifname { \"lo\", \"%s\" } accept\n"
		       "ip daddr @mesh4 counter drop comment \"a mesh destination, not by the mesh\"\n"
		       "ip6 daddr @mesh6 counter drop comment \"a mesh destination, not by the mesh\"\n"
		       "oifname @inside accept\n"
		       "ip saddr @own4 counter drop comment \"our mesh source, not by the mesh\"\n"
		       "ip6 saddr @own6 counter drop comment \"our mesh source, not by the mesh\"\n"
		       "}\n",
		       GUARD_WEB_PORT, w->ifname, w->service->n ? carried_in : "", GUARD_WEB_PORT,
		       w->ifname) &&
	       put_forwarding(out, w->ifname, w->service) && buf_printf(out, "}\n");
}

static bool put_change(
	struct buf *out, const char *verb, const char *table, const struct addr_set *s, bool v4)
{
	if (!has_family(s, v4))
		return true;
	return buf_printf(out, "%s element inet %s mesh%d { ", verb, table, v4 ? 4 : 6) &&
	       put_list(out, s, v4) > 0 && buf_printf(out, " }\n");
}

bool guard_rules_change(
	const char *ifname, const struct addr_set *come, const struct addr_set *gone, struct buf *out)
{
	char t[GUARD_TABLE_TEXT];
	guard_table_name(ifname, t);
	return put_change(out, "add", t, come, true) && put_change(out, "add", t, come, false) &&
	       put_change(out, "delete", t, gone, true) && put_change(out, "delete", t, gone, false);
}
