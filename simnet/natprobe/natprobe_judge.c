#include "simnet/natprobe/natprobe_judge.h"

#include <stdio.h>
#include <string.h>

/* A place that did not answer says nothing; then the classes that are left are told apart by the others. */
static struct nat_class judge_class(const struct natprobe_seen_by *s)
{
	struct nat_class c = { NAT_EIM, NAT_APDF };

	if (s->other_host.port && !endpoint_equal(&s->first, &s->other_host))
		c.mapping =
			s->other_port.port && !endpoint_equal(&s->first, &s->other_port) ? NAT_APDM : NAT_ADM;
	else if (s->other_port.port && !endpoint_equal(&s->first, &s->other_port))
		c.mapping = NAT_APDM;
	if (s->through & NATPROBE_SEEN_HOST)
		c.filtering = NAT_EIF;
	else if (s->through & NATPROBE_SEEN_PORT)
		c.filtering = NAT_ADF;
	return c;
}

static void judge_ports(const struct natprobe_facts *f, struct natprobe_report *out)
{
	unsigned n = 0, kept = 0, parity = 0, next = 0;
	uint16_t last = 0;

	for (size_t i = 0; i < NATPROBE_PORTS; i++) {
		uint16_t seen = f->ports[i].seen;
		if (!seen)
			continue;
		n++;
		kept += seen == f->ports[i].local;
		parity += seen % 2 == f->ports[i].local % 2;
		next += last && seen > last && seen - last <= 4;
		last = seen;
	}
	out->ports = NAT_PORTS_HASH;
	if (n < NATPROBE_PORTS / 2)
		return;
	if (kept * 2 > n)
		out->ports = NAT_PORTS_PRESERVE;
	else if (next + 1 >= n)
		out->ports = NAT_PORTS_SEQUENTIAL;
	else if (parity == n)
		out->ports = NAT_PORTS_PARITY;
	out->ports_known = out->ports != NAT_PORTS_HASH;
}

static void judge_lifetime(const struct natprobe_facts *f, struct natprobe_report *out)
{
	size_t n = 0;

	while (n < f->n_lifes && f->life_came[n])
		n++;
	/* Silent for n - 0.5 s it was there, for n + 0.5 s not. */
	out->lifetime_s = (uint32_t)n;
	out->lifetime_at_least = n && n == f->n_lifes;
}

void natprobe_judge(const struct natprobe_facts *f, struct natprobe_report *out)
{
	*out = (struct natprobe_report) {
		.udp = f->udp.first.port, .tcp = f->tcp.first.port, .ipv6 = f->ipv6
	};
	const struct natprobe_seen_by *any = out->udp ? &f->udp : &f->tcp;
	out->outer = any->first.ip;
	out->translated = any->first.port && !endpoint_equal(&any->first, &any->local);
	out->udp_class = judge_class(&f->udp);
	out->tcp_class = judge_class(&f->tcp);
	if (!out->udp)
		out->udp_class = out->tcp_class;
	if (!out->tcp)
		out->tcp_class = out->udp_class;
	judge_ports(f, out);
	judge_lifetime(f, out);
	if (f->hairpinned)
		out->hairpin = addr_equal(&f->hairpin_from.ip, &f->hairpin_local.ip) ? NAT_HAIRPIN_INTERNAL
										     : NAT_HAIRPIN_EXTERNAL;
}

static bool put_row(struct buf *out, const char *word, const char *value, bool known, const char *how)
{
	return buf_printf(out, "      %s: %s%*s# %s%s\n", word, value,
		(int)(strlen(word) + strlen(value) < 26 ? 26 - strlen(word) - strlen(value) : 1), "",
		known ? "measured" : "assumed: ", known ? "" : how);
}

static bool put_nat(const struct natprobe_report *r, struct buf *out)
{
	char life[32];

	if (!r->translated)
		return buf_printf(
			out, "    nat: none                   # measured: the outer address is its own\n");
	snprintf(
		life, sizeof(life), "%us", r->lifetime_s ? r->lifetime_s : nat_model_default.lifetimes.udp_s);
	bool ok = buf_printf(out, "    nat:\n");
	ok = ok && put_row(out, "mapping", nat_mapping_words[r->udp_class.mapping], r->udp || r->tcp,
			   "nothing answered");
	ok = ok && put_row(out, "filtering", nat_filtering_words[r->udp_class.filtering], r->udp || r->tcp,
			   "nothing answered");
	ok = ok &&
	     put_row(out, "hairpin", nat_hairpin_words[r->hairpin], r->udp && r->hairpin != NAT_HAIRPIN_OFF,
		     r->udp ? "internal would look the same from one host" : "UDP is blocked");
	ok = ok && put_row(out, "ports", nat_ports_words[r->ports], r->udp && r->ports_known,
			   r->udp ? "by hash and by chance look alike" : "UDP is blocked");
	ok = ok && put_row(out, "lifetime", life, r->lifetime_s && !r->lifetime_at_least,
			   r->lifetime_s ? "it is that or more" : "not asked for, see --lifetime");
	if (ok && r->udp && r->tcp &&
		(r->tcp_class.mapping != r->udp_class.mapping ||
			r->tcp_class.filtering != r->udp_class.filtering))
		ok = buf_printf(out, "      tcp: {mapping: %s, filtering: %s}   # measured\n",
			nat_mapping_words[r->tcp_class.mapping], nat_filtering_words[r->tcp_class.filtering]);
	return ok;
}

bool natprobe_stanza(const struct natprobe_report *r, struct buf *out)
{
	char text[ADDR_TEXT];
	bool ok = buf_printf(out, "# seen from outside as %s\nrouters:\n  home:\n",
			  addr_format(&r->outer, text)) &&
		  put_nat(r, out);

	if (ok && !r->udp)
		ok = buf_printf(
			out, "    udp: blocked                # measured: no server answered by UDP\n");
	if (ok && !r->tcp)
		ok = buf_printf(out, "# no server answered by TCP\n");
	return ok;
}

bool natprobe_json(const struct natprobe_report *r, struct buf *out)
{
	char text[ADDR_TEXT];
	bool ok = buf_printf(out, "{\"udp\":%s,\"tcp\":%s,\"ipv6\":%s,\"translated\":%s,\"outer\":\"%s\"",
		r->udp ? "true" : "false", r->tcp ? "true" : "false", r->ipv6 ? "true" : "false",
		r->translated ? "true" : "false", addr_format(&r->outer, text));

	if (ok && r->udp && r->translated)
		ok = buf_printf(out,
			",\"mapping\":\"%s\",\"filtering\":\"%s\",\"ports\":\"%s\",\"hairpin\":\"%s\"",
			nat_mapping_words[r->udp_class.mapping], nat_filtering_words[r->udp_class.filtering],
			nat_ports_words[r->ports], nat_hairpin_words[r->hairpin]);
	if (ok && r->lifetime_s)
		ok = buf_printf(out, ",\"lifetime_s\":%u,\"lifetime_at_least\":%s", r->lifetime_s,
			r->lifetime_at_least ? "true" : "false");
	if (ok && r->tcp && r->translated)
		ok = buf_printf(out, ",\"tcp_mapping\":\"%s\",\"tcp_filtering\":\"%s\"",
			nat_mapping_words[r->tcp_class.mapping], nat_filtering_words[r->tcp_class.filtering]);
	return ok && buf_printf(out, "}\n");
}
