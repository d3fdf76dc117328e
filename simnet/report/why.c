#include "simnet/report/why.h"

#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include <stdio.h>
#include <string.h>

/* A failed step is about what some hosts send. On the links of these hosts two things can be read: somebody
 * refused (a reset, an ICMP error), or nobody answered. For the latter the link of whoever was addressed says
 * how far it came: never there, or there and unanswered, which is a closed ear (a firewall of its own, a
 * program that hangs), or answered, and the answer lost on its way back. What died between is told by the
 * routers' own drops. */
enum { PCAP_HEADER = 24, PCAP_RECORD = 16, ETHERNET = 14, TOLD_MAX = 4 };
enum { UNREACHABLE4 = 3, UNREACHABLE6 = 1, ECHO4 = 8, ECHO6 = 128 };

/* ---- captures ---- */

static void read_cited(const uint8_t *p, size_t len, struct why_packet *out)
{
	/* An ICMP error cites the beginning of a packet, which is no whole one: only headers are read. */
	struct rd r = rd_of(p, len);
	uint8_t first = len ? p[0] : 0;

	if (first >> 4 == 4) {
		const uint8_t *h = rd_take(&r, 20);
		rd_take(&r, (size_t)(first & 15) * 4 - (first & 15 ? 20 : 0));
		const uint8_t *ports = rd_take(&r, 4);
		if (r.bad)
			return;
		out->cited_proto = h[9];
		out->cited_src.ip = addr_v4((uint32_t)be_get(h + 12, 4));
		out->cited_dst.ip = addr_v4((uint32_t)be_get(h + 16, 4));
		out->cited_src.port = (uint16_t)be_get(ports, 2);
		out->cited_dst.port = (uint16_t)be_get(ports + 2, 2);
	} else if (first >> 4 == 6) {
		const uint8_t *h = rd_take(&r, 40), *ports = rd_take(&r, 4);
		if (r.bad)
			return;
		out->cited_proto = h[6];
		memcpy(out->cited_src.ip.b, h + 8, 16);
		memcpy(out->cited_dst.ip.b, h + 24, 16);
		out->cited_src.port = (uint16_t)be_get(ports, 2);
		out->cited_dst.port = (uint16_t)be_get(ports + 2, 2);
	}
}

static bool read_frame(const uint8_t *frame, size_t len, struct why_packet *out)
{
	struct ip_view v;

	if (len < ETHERNET || !ip_parse(frame + ETHERNET, len - ETHERNET, &v) || v.later_fragment)
		return false;
	const uint8_t *ip = frame + ETHERNET;
	out->src = (struct endpoint) { .ip = v.src, .port = v.sport };
	out->dst = (struct endpoint) { .ip = v.dst, .port = v.dport };
	out->proto = v.proto;
	out->tcp_flags = v.tcp_flags;
	out->icmp_type = v.icmp_type;
	out->icmp_code = v.icmp_code;
	if (v.proto == IP_TCP) /* a SYN has no acknowledgement to take a sequence number from */
		out->refuses = (v.tcp_flags & TCP_RST) && (v.tcp_flags & TCP_ACK) &&
			       be_get(ip + v.l4_at + 4, 4) == 0;
	else if (v.proto == IP_ICMP ? v.icmp_type == UNREACHABLE4
				    : v.proto == IP_ICMP6 && v.icmp_type == UNREACHABLE6) {
		out->refuses = true;
		read_cited(ip + v.l4_at + 8, (size_t)v.total_len - v.l4_at - 8, out);
	}
	return true;
}

size_t why_read_capture(
	const uint8_t *p, size_t len, int link, uint64_t since_ns, struct why_packet *out, size_t cap)
{
	struct rd r = rd_of(p, len);
	size_t n = 0;

	rd_take(&r, PCAP_HEADER);
	while (n < cap && !r.bad && r.left) {
		const uint8_t *head = rd_take(&r, PCAP_RECORD);
		const uint8_t *frame = head ? rd_take(&r, (size_t)le_get(head + 8, 4)) : NULL;
		if (!frame)
			break;
		struct why_packet one = { .link = link,
			.at_ns = le_get(head, 4) * 1000000000 + le_get(head + 4, 4) };
		if (one.at_ns >= since_ns && read_frame(frame, (size_t)le_get(head + 8, 4), &one))
			out[n++] = one;
	}
	return n;
}

/* ---- who is who ---- */

static int host_of(const struct why_facts *f, const struct addr *ip)
{
	for (size_t i = 0; i < f->n_hosts; i++)
		if (addr_equal(&f->hosts[i].ip, ip) ||
			(!addr_is_unspecified(ip) && addr_equal(&f->hosts[i].ip6, ip)))
			return (int)i;
	return -1;
}

static const char *name_of(const struct why_facts *f, const struct addr *ip, char *buf, size_t cap)
{
	char text[ADDR_TEXT];
	int host = host_of(f, ip);
	snprintf(buf, cap, "%s", host >= 0 ? f->hosts[host].name : addr_format(ip, text));
	return buf;
}

static bool is_own(const struct why_facts *f, int host, const struct addr *ip)
{
	return host_of(f, ip) == host;
}

static const char *protocol(uint8_t proto)
{
	return proto == IP_TCP ? "tcp" : proto == IP_UDP ? "udp" : "icmp";
}

/* ---- refused ---- */

static void say_refused(const struct why_facts *f, const struct why_packet *p, char *out, size_t cap)
{
	char who[80], whom[80];
	const struct endpoint *to = p->proto == IP_TCP ? &p->src : &p->cited_dst;
	bool v6 = p->proto == IP_ICMP6;
	bool port = p->proto == IP_TCP || p->icmp_code == (v6 ? 4 : 3);

	name_of(f, &p->src.ip, who, sizeof(who));
	name_of(f, &to->ip, whom, sizeof(whom));
	if (port)
		snprintf(out, cap, "%s says no to %s: nothing listens on %s port %u there", who,
			f->hosts[p->link].name, protocol(p->proto == IP_TCP ? IP_TCP : p->cited_proto),
			to->port);
	else if (v6 ? p->icmp_code == 1 : p->icmp_code == 9 || p->icmp_code == 10 || p->icmp_code == 13)
		snprintf(out, cap, "%s says that %s is forbidden for %s", who, whom, f->hosts[p->link].name);
	else
		snprintf(out, cap, "%s says that %s cannot be reached", who, whom);
}

/* ---- unanswered ---- */

static bool begins(const struct why_packet *p)
{
	if (p->proto == IP_TCP)
		return (p->tcp_flags & TCP_SYN) && !(p->tcp_flags & TCP_ACK);
	return p->proto == IP_UDP || (p->proto == IP_ICMP && p->icmp_type == ECHO4) ||
	       (p->proto == IP_ICMP6 && p->icmp_type == ECHO6);
}

/* Anything from there, or an error that cites what was sent there. */
static bool has_answer(const struct why_facts *f, const struct why_packet *p)
{
	for (size_t i = 0; i < f->n_packets; i++) {
		const struct why_packet *q = &f->packets[i];
		if (q->link != p->link || q->at_ns < p->at_ns)
			continue;
		if (q->proto == p->proto && endpoint_equal(&q->src, &p->dst) &&
			endpoint_equal(&q->dst, &p->src))
			return true;
		if (q->refuses && q->proto != IP_TCP && addr_equal(&q->cited_dst.ip, &p->dst.ip))
			return true;
	}
	return false;
}

/* On the addressed host's own link: how many came for that port, and whether anything left it. */
static unsigned arrivals(const struct why_facts *f, const struct why_packet *p, int host, bool *answered)
{
	unsigned n = 0;

	*answered = false;
	for (size_t i = 0; i < f->n_packets; i++) {
		const struct why_packet *q = &f->packets[i];
		if (q->link != host || q->proto != p->proto)
			continue;
		bool echo =
			p->proto == IP_ICMP || p->proto == IP_ICMP6; /* the identifier may be translated */
		n += addr_equal(&q->dst.ip, &p->dst.ip) && (echo || q->dst.port == p->dst.port) && begins(q);
		*answered |= addr_equal(&q->src.ip, &p->dst.ip) &&
			     (echo ? !begins(q) : q->src.port == p->dst.port);
	}
	return n;
}

static void say_unanswered(const struct why_facts *f, const struct why_packet *p, char *out, size_t cap)
{
	char whom[ENDPOINT_TEXT + 40], text[ENDPOINT_TEXT];
	const struct why_host *from = &f->hosts[p->link];
	int host = host_of(f, &p->dst.ip);
	bool answered = false, echo = p->proto == IP_ICMP || p->proto == IP_ICMP6;
	unsigned n = host < 0 ? 0 : arrivals(f, p, host, &answered);

	if (echo)
		name_of(f, &p->dst.ip, whom, sizeof(whom));
	else
		snprintf(whom, sizeof(whom), "%s port %u of %s", protocol(p->proto), p->dst.port,
			host < 0 ? addr_format(&p->dst.ip, text) : f->hosts[host].name);
	if (n && answered)
		snprintf(out, cap, "%s answered %s, and the answer did not come back", f->hosts[host].name,
			from->name);
	else if (n)
		snprintf(out, cap, "%u came to %s from %s, and nothing was said: %s", n, whom, from->name,
			f->hosts[host].state	      ? f->hosts[host].state
			: f->hosts[host].has_firewall ? "the host has firewall rules of its own"
						      : "the program there does not answer");
	else if (host >= 0)
		snprintf(out, cap, "what %s sent to %s did not arrive there", from->name, whom);
	else
		snprintf(out, cap, "what %s sent to %s got no answer, and no node has that address",
			from->name, whom);
}

/* ---- conclusions ---- */

struct sayings {
	struct buf *out;
	unsigned n;
};

static void conclude(struct sayings *s, const char *text)
{
	char line[320];
	int len = snprintf(line, sizeof(line), "%s\n", text);
	const char *have = s->out->len ? buf_cstr(s->out) : "";

	if (s->n >= TOLD_MAX || strstr(have, line))
		return;
	if (buf_append(s->out, line, (size_t)len))
		s->n++;
}

static bool concerns(const struct why_facts *f, const struct why_packet *p)
{
	return p->link >= 0 && (size_t)p->link < f->n_hosts && f->hosts[p->link].asks;
}

unsigned why_conclude(const struct why_facts *f, struct buf *out)
{
	struct sayings s = { .out = out };
	char text[300];

	for (size_t i = f->n_packets; i-- > 0;) { /* the newest say why it failed at last */
		const struct why_packet *p = &f->packets[i];
		if (!p->refuses || !concerns(f, p) || !is_own(f, p->link, &p->dst.ip))
			continue;
		say_refused(f, p, text, sizeof(text));
		conclude(&s, text);
	}
	for (size_t i = f->n_packets; i-- > 0;) {
		const struct why_packet *p = &f->packets[i];
		if (!concerns(f, p) || !begins(p) || !is_own(f, p->link, &p->src.ip) || has_answer(f, p) ||
			(f->hosts[p->link].in_mesh && p->proto != IP_TCP))
			continue;
		say_unanswered(f, p, text, sizeof(text));
		conclude(&s, text);
	}
	for (size_t i = 0; i < f->n_hosts && !s.n; i++) {
		if (!f->hosts[i].asks || !f->hosts[i].has_firewall)
			continue;
		snprintf(text, sizeof(text),
			"what came back to %s may have been dropped by firewall rules of its own",
			f->hosts[i].name);
		conclude(&s, text);
	}
	return s.n;
}
