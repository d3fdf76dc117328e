#include "simnet/report/why.h"

#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "simnet/pcap/pcapng.h"
#include "simnet/report/frame.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failed step is about what some hosts send. On the links of these hosts two things can be read: somebody
 * refused (a reset, an ICMP error), or nobody answered. For the latter the link of whoever was addressed says
 * how far it came: never there, or there and unanswered, which is a closed ear (a firewall of its own, a
 * program that hangs), or answered, and the answer lost on its way back. What died between is told by the
 * routers' own drops. */
enum { TOLD_MAX = 4 };
enum {
	ETHERNET = 14,
	ARP = 0x0806,
	ARP_REQUEST = 1,
	NO_PROTO = 255,
	SOLICITATION6 = 135,
	ADVERTISEMENT6 = 136
};
enum { TRAIL_NS = 500000000, TRAIL_SLACK_NS = 2000000 }; /* from one link to another */
enum { UNREACHABLE4 = 3, TOO_LARGE4 = 4, UNREACHABLE6 = 1, TOO_LARGE6 = 2, ECHO4 = 8, ECHO6 = 128 };

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

/* Of Ethernet and IPv4. */
static bool read_arp(const struct pcapng_packet *one, struct why_packet *out)
{
	struct rd r = rd_of(one->data, one->len);
	const uint8_t *ethernet = rd_take(&r, ETHERNET), *arp = rd_take(&r, 28);

	if (r.bad || be_get(ethernet + 12, 2) != ARP || be_get(arp + 2, 2) != 0x0800)
		return false;
	out->proto = NO_PROTO;
	out->asks_who = be_get(arp + 6, 2) == ARP_REQUEST;
	out->tells_who = !out->asks_who;
	out->src.ip = addr_v4((uint32_t)be_get(arp + 14, 4));
	out->cited_dst.ip = out->asks_who ? addr_v4((uint32_t)be_get(arp + 24, 4)) : out->src.ip;
	return true;
}

static void read_neighbour6(const struct frame_view *v, struct why_packet *out)
{
	if (v->proto != IP_ICMP6 || v->l4_len < 24)
		return;
	out->asks_who = v->icmp_type == SOLICITATION6;
	out->tells_who = v->icmp_type == ADVERTISEMENT6;
	if (out->asks_who || out->tells_who)
		memcpy(out->cited_dst.ip.b, v->l4 + 8, 16);
}

static bool read_packet(const struct pcapng_packet *one, struct why_packet *out)
{
	struct frame_view v;

	out->at_ns = one->at_ns;
	out->frame = one->frame;
	if (read_arp(one, out))
		return true;
	if (!frame_read(one->data, one->len, one->wire_len, &v) || v.later_fragment)
		return false;
	out->body = v.body;
	out->src = v.src;
	out->dst = v.dst;
	out->proto = v.proto;
	out->tcp_flags = v.tcp_flags;
	out->icmp_type = v.icmp_type;
	out->icmp_code = v.icmp_code;
	read_neighbour6(&v, out);
	if (v.proto == IP_TCP) /* a SYN has no acknowledgement to take a sequence number from */
		out->refuses = (v.tcp_flags & TCP_RST) && (v.tcp_flags & TCP_ACK) && v.l4_len >= 8 &&
			       be_get(v.l4 + 4, 4) == 0;
	else if (v.l4_len >= 8 && v.proto == IP_ICMP6 && v.icmp_type == TOO_LARGE6) {
		out->refuses = out->too_large = true;
		read_cited(v.l4 + 8, v.l4_len - 8, out);
	} else if (v.l4_len >= 8 &&
		   (v.proto == IP_ICMP ? v.icmp_type == UNREACHABLE4
				       : v.proto == IP_ICMP6 && v.icmp_type == UNREACHABLE6)) {
		out->refuses = true;
		out->too_large = v.proto == IP_ICMP && v.icmp_code == TOO_LARGE4;
		read_cited(v.l4 + 8, v.l4_len - 8, out);
	}
	return true;
}

/* "alice", or "home.wan" of the router home; -1 = nobody's. */
static int link_owner(const struct why_host *hosts, size_t n, const char *link, char *side)
{
	const char *dot = strrchr(link, '.');
	size_t len = strlen(link);

	*side = 0;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(hosts[i].name, link))
			return (int)i;
	if (dot && (!strcmp(dot, ".wan") || !strcmp(dot, ".lan"))) {
		*side = dot[1];
		len = (size_t)(dot - link);
	}
	for (size_t i = 0; *side && i < n; i++)
		if (strlen(hosts[i].name) == len && !strncmp(hosts[i].name, link, len))
			return (int)i;
	return -1;
}

struct link_tally {
	int owner;
	char side;
	size_t n;
};

size_t why_read_capture(const uint8_t *p, size_t len, uint64_t since_ns, const struct why_host *hosts,
	size_t n_hosts, size_t per_link, struct why_packet *out, size_t cap)
{
	struct pcapng_reader r;
	struct pcapng_packet one;
	struct link_tally *links = calloc(PCAPNG_LINKS, sizeof(*links));
	uint32_t known = 0;
	size_t n = 0;

	if (!pcapng_open(&r, p, len, NULL))
		while (links && n < cap && pcapng_next(&r, &one, NULL) == 1) {
			for (; known < r.n_links; known++)
				links[known].owner =
					link_owner(hosts, n_hosts, r.names[known], &links[known].side);
			struct link_tally *at = &links[one.link];
			struct why_packet got = { .link = at->owner, .side = at->side };
			if (at->owner < 0 || at->n >= per_link || one.at_ns < since_ns ||
				!read_packet(&one, &got))
				continue;
			at->n++;
			out[n++] = got;
		}
	pcapng_close(&r);
	free(links);
	return n;
}

/* ---- who is who ---- */

static int host_of(const struct why_facts *f, const struct addr *ip)
{
	if (addr_is_unspecified(ip))
		return -1;
	for (size_t i = 0; i < f->n_hosts; i++) {
		const struct why_host *h = &f->hosts[i];
		if (addr_equal(&h->ip, ip) || addr_equal(&h->ip6, ip) || addr_equal(&h->lan, ip))
			return (int)i;
	}
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

/* ---- refused ---- */

/* Where a packet began that routers have handed on under addresses of their own: on the link of its sender. NULL: there. */
static const struct why_packet *origin_of(const struct why_facts *f, const struct why_packet *p)
{
	int refuser = host_of(f, &p->src.ip);

	for (size_t i = 0; i < f->n_packets && refuser >= 0 && f->hosts[refuser].is_router; i++) {
		const struct why_packet *q = &f->packets[i];
		if (q->link >= 0 && !q->side && q->link != p->link && !f->hosts[q->link].is_router &&
			q->refuses && q->proto == p->proto && q->body == p->body &&
			q->at_ns <= p->at_ns + TRAIL_SLACK_NS && q->at_ns + TRAIL_NS > p->at_ns &&
			host_of(f, &q->src.ip) == q->link)
			return q;
	}
	return NULL;
}

/* A router has led it to somebody who is not there as it thinks. */
static bool say_led_wrong(const struct why_facts *f, const struct why_packet *p, char *out, size_t cap)
{
	const struct why_packet *q = p->proto == IP_TCP ? origin_of(f, p) : NULL;
	char router[80];

	if (q)
		snprintf(out, cap,
			"%s says no to %s: nothing listens on tcp port %u there, where %s leads its tcp port "
			"%u",
			f->hosts[q->link].name, f->hosts[p->link].name, q->src.port,
			name_of(f, &p->src.ip, router, sizeof(router)), p->src.port);
	return q != NULL;
}

static void say_refused(const struct why_facts *f, const struct why_packet *p, char *out, size_t cap)
{
	char who[80], whom[80];
	const struct endpoint *to = p->proto == IP_TCP ? &p->src : &p->cited_dst;
	bool v6 = p->proto == IP_ICMP6;
	bool port = p->proto == IP_TCP || p->icmp_code == (v6 ? 4 : 3);

	name_of(f, &p->src.ip, who, sizeof(who));
	name_of(f, &to->ip, whom, sizeof(whom));
	int refuser = host_of(f, &p->src.ip);
	if (say_led_wrong(f, p, out, cap))
		return;
	if (p->too_large)
		snprintf(out, cap, "%s says that a packet of %s is too large", who, f->hosts[p->link].name);
	else if (port && refuser >= 0 && f->hosts[refuser].local_port == to->port)
		snprintf(out, cap, "%s says no to %s: on %s port %u it listens to itself alone, on 127.0.0.1",
			who, f->hosts[p->link].name,
			frame_protocol(p->proto == IP_TCP ? IP_TCP : p->cited_proto), to->port);
	else if (port)
		snprintf(out, cap, "%s says no to %s: nothing listens on %s port %u there%s", who,
			f->hosts[p->link].name, frame_protocol(p->proto == IP_TCP ? IP_TCP : p->cited_proto),
			to->port,
			refuser >= 0 && f->hosts[refuser].has_firewall ? ", or its own firewall rules say so"
								       : "");
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

/* Another host's own. */
static bool is_others(const struct why_facts *f, int host, const struct addr *ip)
{
	int owner = host_of(f, ip);
	return owner >= 0 && owner != host && !f->hosts[owner].is_router;
}

/* On the addressed host's own link: how many came for that port, of those that this host may have sent, and whether anything
 * left it. */
static unsigned arrivals(const struct why_facts *f, const struct why_packet *p, int host, bool *answered)
{
	unsigned n = 0;

	*answered = false;
	for (size_t i = 0; i < f->n_packets; i++) {
		const struct why_packet *q = &f->packets[i];
		if (q->link != host || q->side == 'l' || q->proto != p->proto)
			continue;
		bool echo =
			p->proto == IP_ICMP || p->proto == IP_ICMP6; /* the identifier may be translated */
		n += addr_equal(&q->dst.ip, &p->dst.ip) && (echo || q->dst.port == p->dst.port) &&
		     begins(q) && !is_others(f, p->link, &q->src.ip);
		*answered |= addr_equal(&q->src.ip, &p->dst.ip) &&
			     (echo ? !begins(q) : q->src.port == p->dst.port) &&
			     !is_others(f, p->link, &q->dst.ip);
	}
	return n;
}

/* ": the link of s takes 10.0 s", of those that are slow one; of the two ends first. */
static const char *slow_link(const struct why_facts *f, int from, int to, char *buf, size_t cap)
{
	const char *slow = to >= 0 && *f->hosts[to].slow ? f->hosts[to].slow : f->hosts[from].slow;

	for (size_t i = 0; i < f->n_hosts && !*slow; i++)
		slow = f->hosts[i].slow;
	snprintf(buf, cap, "%s%s", *slow ? ": " : "", slow);
	return buf;
}

static const char *why_mute(
	const struct why_facts *f, const struct why_packet *p, int host, char *buf, size_t cap)
{
	const struct why_host *h = &f->hosts[host];
	const char *slow = slow_link(f, p->link, host, buf, cap);

	if (h->state || h->has_firewall)
		return h->state ? h->state : "the host has firewall rules of its own";
	if (*slow)
		return slow + 2;
	snprintf(buf, cap, "the program there does not answer");
	if (f->end_ns > p->at_ns)
		snprintf(buf, cap, "the program there does not answer within %.1f s",
			(double)(f->end_ns - p->at_ns) / 1e9);
	return buf;
}

static void say_unanswered(const struct why_facts *f, const struct why_packet *p, char *out, size_t cap)
{
	char whom[ENDPOINT_TEXT + 40], text[ENDPOINT_TEXT], slow[WHY_SLOW + 2];
	const struct why_host *from = &f->hosts[p->link];
	int host = host_of(f, &p->dst.ip);
	bool answered = false, echo = p->proto == IP_ICMP || p->proto == IP_ICMP6;
	unsigned n = host < 0 ? 0 : arrivals(f, p, host, &answered);

	if (echo)
		name_of(f, &p->dst.ip, whom, sizeof(whom));
	else
		snprintf(whom, sizeof(whom), "%s port %u of %s", frame_protocol(p->proto), p->dst.port,
			host < 0 ? addr_format(&p->dst.ip, text) : f->hosts[host].name);
	if (n && answered)
		snprintf(out, cap, "%s answered %s, and the answer did not come back%s", f->hosts[host].name,
			from->name, slow_link(f, p->link, host, slow, sizeof(slow)));
	else if (n && f->hosts[host].is_router)
		snprintf(
			out, cap, "%u came to %s from %s, which passes none of them on", n, whom, from->name);
	else if (n)
		snprintf(out, cap, "%u came to %s from %s, and nothing was said: %s", n, whom, from->name,
			why_mute(f, p, host, slow, sizeof(slow)));
	else if (host >= 0)
		snprintf(out, cap, "what %s sent to %s did not arrive there%s", from->name, whom,
			slow_link(f, p->link, host, slow, sizeof(slow)));
	else
		snprintf(out, cap, "what %s sent to %s got no answer, and no node has that address",
			from->name, whom);
}

/* ---- too late ---- */

enum { LATE_NS = 100000000 };

/* The first packet of a flow from an asker, before another; NULL = there is none. */
static const struct why_packet *first_of(const struct why_facts *f, const struct why_packet *before,
	uint8_t proto, const struct endpoint *src, const struct endpoint *dst)
{
	for (size_t i = 0; i < f->n_packets; i++) {
		const struct why_packet *p = &f->packets[i];
		if (p->link == before->link && !p->side && p->proto == proto && p->at_ns < before->at_ns &&
			endpoint_equal(&p->src, src) && endpoint_equal(&p->dst, dst))
			return p;
	}
	return NULL;
}

/* The asker's own machine turns an answer away: its program has closed the socket. A connection that it never had is reset
 * by a segment without an acknowledgement (RFC 9293, 3.10.7). Returns the question. */
static const struct why_packet *too_late(const struct why_facts *f, const struct why_packet *p)
{
	bool tcp = p->proto == IP_TCP && (p->tcp_flags & TCP_RST) && !(p->tcp_flags & TCP_ACK);
	bool udp = (p->proto == IP_ICMP || p->proto == IP_ICMP6) && p->refuses && p->cited_proto == IP_UDP;
	const struct why_packet *q = tcp   ? first_of(f, p, IP_TCP, &p->src, &p->dst)
				     : udp ? first_of(f, p, IP_UDP, &p->cited_dst, &p->cited_src)
					   : NULL;

	if (!q || p->at_ns - q->at_ns < LATE_NS || (tcp && !begins(q)))
		return NULL;
	for (size_t i = 0; i < f->n_packets && tcp; i++) {
		const struct why_packet *k = &f->packets[i];
		if (k->link == p->link && !k->side && k->proto == IP_TCP && k->at_ns < p->at_ns &&
			(k->tcp_flags & TCP_ACK) && endpoint_equal(&k->src, &p->src) &&
			endpoint_equal(&k->dst, &p->dst))
			return NULL; /* it had it */
	}
	return q;
}

/* ---- where it went ---- */

enum { TRAIL_MAX = 8 };

static const char *place_of(const struct why_facts *f, const struct why_packet *p, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s%s", f->hosts[p->link].name,
		p->side == 'w'	 ? ".wan"
		: p->side == 'l' ? ".lan"
				 : "");
	return buf;
}

/* ": frame 12 at c, 13 at home.lan, no further": the links that this packet passed, in order of time. */
static void say_trail(const struct why_facts *f, const struct why_packet *p, char *out, size_t cap)
{
	const struct why_packet *seen[TRAIL_MAX];
	size_t n = 0, len = 0;
	char place[80];

	out[0] = '\0';
	if (!p->frame)
		return;
	for (size_t i = 0; i < f->n_packets && n < TRAIL_MAX; i++) {
		const struct why_packet *q = &f->packets[i];
		bool again = q->link == p->link && q != p;
		for (size_t k = 0; k < n; k++)
			again |= seen[k]->link == q->link && seen[k]->side == q->side;
		if (!again && q->proto == p->proto && q->body == p->body &&
			q->at_ns + TRAIL_SLACK_NS >= p->at_ns && q->at_ns < p->at_ns + TRAIL_NS)
			seen[n++] = q;
	}
	for (size_t i = 0; i < n && len < cap; i++)
		len += (size_t)snprintf(out + len, cap - len, "%s%u at %s", i ? ", " : ": frame ",
			seen[i]->frame, place_of(f, seen[i], place, sizeof(place)));
}

const char *why_frames(const struct why_facts *f, const char *where, const struct endpoint *src,
	const struct endpoint *dst, uint8_t proto, char *buf, size_t cap)
{
	enum { SHOWN = 4 };
	size_t len = 0, n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < f->n_packets && len < cap; i++) {
		const struct why_packet *q = &f->packets[i];
		if (!q->frame || q->proto != proto || !endpoint_equal(&q->src, src) ||
			!endpoint_equal(&q->dst, dst) || strcmp(f->hosts[q->link].name, where) != 0)
			continue;
		if (n++ < SHOWN)
			len += (size_t)snprintf(
				buf + len, cap - len, "%s%u", n == 1 ? " (frame " : ", ", q->frame);
	}
	if (n && len < cap)
		snprintf(buf + len, cap - len, "%s", n > SHOWN ? ", …)" : ")");
	return buf;
}

/* ---- conclusions ---- */

void why_add(struct why_lines *all, enum why_rank rank, const char *fmt, ...)
{
	char text[WHY_TEXT];
	size_t at = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < all->n; i++) {
		at += all->list[i].rank <= rank;
		if (!strcmp(all->list[i].text, text))
			return;
	}
	if (all->n == WHY_LINES) {
		if (at == WHY_LINES)
			return;
		all->n--; /* the least sure */
	}
	memmove(&all->list[at + 1], &all->list[at], (all->n - at) * sizeof(all->list[0]));
	all->list[at].rank = rank;
	snprintf(all->list[at].text, sizeof(all->list[at].text), "%s", text);
	all->n++;
}

struct sayings {
	struct why_lines *out;
	char said[TOLD_MAX][WHY_TEXT]; /* without where it was seen */
	unsigned n;
};

static void conclude(struct sayings *s, enum why_rank rank, const char *text, const char *seen)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!strcmp(s->said[i], text))
			return;
	if (s->n == TOLD_MAX)
		return;
	snprintf(s->said[s->n++], WHY_TEXT, "%s", text);
	why_add(s->out, rank, "%s%s", text, seen);
}

static bool concerns(const struct why_facts *f, const struct why_packet *p)
{
	return p->link >= 0 && (size_t)p->link < f->n_hosts && !p->side && f->hosts[p->link].asks;
}

/* Whoever was refused there got an answer from there in the end: it had only not begun to listen. */
static bool spoke_later(const struct why_facts *f, const struct why_packet *p)
{
	const struct endpoint *there = p->proto == IP_TCP ? &p->src : &p->cited_dst;

	for (size_t i = 0; i < f->n_packets; i++) {
		const struct why_packet *q = &f->packets[i];
		if (q->link == p->link && !q->side && q->at_ns > p->at_ns && !q->refuses &&
			endpoint_equal(&q->src, there))
			return true;
	}
	return false;
}

/* Whoever refused did so by this packet. */
static const char *this_frame(const struct why_packet *p, char *buf, size_t cap)
{
	buf[0] = '\0';
	if (p->frame)
		snprintf(buf, cap, " (frame %u)", p->frame);
	return buf;
}

/* Most routers give no ports (NAT-PMP, PCP, UPnP), and who asks them for some goes on without. A program of a mesh tries every
 * address that its peer may have, of other people's networks too. */
static bool is_by_the_way(const struct why_facts *f, const struct why_packet *p)
{
	enum { PORT_MAPPING = 5351, SSDP = 1900 };
	int refuser = host_of(f, &p->src.ip);
	uint16_t port = p->cited_dst.port;

	if (p->proto != IP_TCP && p->cited_proto == IP_UDP && !p->too_large && f->hosts[p->link].in_mesh)
		return true;
	return p->proto == IP_ICMP && p->cited_proto == IP_UDP && refuser >= 0 &&
	       f->hosts[refuser].is_router && (port == PORT_MAPPING || port == SSDP);
}

/* An error may come seconds after its packet: of one that was sent before the step, it says nothing of the step. */
static bool is_of_before(const struct why_facts *f, const struct why_packet *p)
{
	for (size_t i = 0; i < f->n_packets && p->proto != IP_TCP; i++) {
		const struct why_packet *q = &f->packets[i];
		if (q->link == p->link && q->at_ns <= p->at_ns && q->proto == p->cited_proto &&
			addr_equal(&q->dst.ip, &p->cited_dst.ip))
			return false;
	}
	return p->proto != IP_TCP;
}

/* ---- neighbours ---- */

static bool is_told(const struct why_facts *f, const struct why_packet *asked)
{
	for (size_t i = 0; i < f->n_packets; i++) {
		const struct why_packet *q = &f->packets[i];
		if (q->tells_who && q->link == asked->link && q->at_ns >= asked->at_ns &&
			addr_equal(&q->cited_dst.ip, &asked->cited_dst.ip))
			return true;
	}
	return false;
}

/* Nobody in its network has the address that a host wants to send to: nothing of what it sends leaves it. */
static void conclude_alone(const struct why_facts *f, struct sayings *s)
{
	char text[300], seen[160], ip[ADDR_TEXT];

	for (size_t i = f->n_packets; i-- > 0;) {
		const struct why_packet *p = &f->packets[i];
		if (!p->asks_who || !concerns(f, p) || !is_own(f, p->link, &p->src.ip) ||
			is_own(f, p->link, &p->cited_dst.ip) || is_told(f, p))
			continue;
		int owner = host_of(f, &p->cited_dst.ip);
		snprintf(text, sizeof(text), "%s asks its network who has %s, and nobody answers%s%s",
			f->hosts[p->link].name, addr_format(&p->cited_dst.ip, ip),
			owner < 0 ? ": no node has that address" : "; it is the address of ",
			owner < 0 ? "" : f->hosts[owner].name);
		conclude(s, WHY_SILENT, text, this_frame(p, seen, sizeof(seen)));
	}
}

/* ---- nameservers ---- */

/* Two that ask each other, again and again, what neither knows. */
static void conclude_dns_loop(const struct why_facts *f, struct sayings *s)
{
	enum { DNS_PORT = 53, MANY = 8 };
	char text[300];

	for (size_t a = 0; a < f->n_hosts; a++)
		for (size_t b = a + 1; b < f->n_hosts; b++) {
			unsigned there = 0, back = 0;
			for (size_t i = 0; i < f->n_packets; i++) {
				const struct why_packet *p = &f->packets[i];
				if (p->link != (int)a || p->side || p->proto != IP_UDP ||
					p->dst.port != DNS_PORT)
					continue;
				int from = host_of(f, &p->src.ip), to = host_of(f, &p->dst.ip);
				there += from == (int)a && to == (int)b;
				back += from == (int)b && to == (int)a;
			}
			if (there < MANY || back < MANY)
				continue;
			snprintf(text, sizeof(text), "%s and %s ask each other for names, %u and %u times",
				f->hosts[a].name, f->hosts[b].name, there, back);
			conclude(s, WHY_NEAR, text, "");
		}
}

static void conclude_late(const struct why_facts *f, struct sayings *s)
{
	char text[300], seen[160], whom[80], slow[WHY_SLOW + 2];

	for (size_t i = f->n_packets; i-- > 0;) {
		const struct why_packet *p = &f->packets[i];
		const struct why_packet *q =
			concerns(f, p) && is_own(f, p->link, &p->src.ip) ? too_late(f, p) : NULL;
		if (!q)
			continue;
		snprintf(text, sizeof(text),
			"the answer of %s came %.1f s after %s had asked, which did not wait so long%s",
			name_of(f, &q->dst.ip, whom, sizeof(whom)), (double)(p->at_ns - q->at_ns) / 1e9,
			f->hosts[p->link].name,
			slow_link(f, p->link, host_of(f, &q->dst.ip), slow, sizeof(slow)));
		conclude(s, WHY_SILENT, text, this_frame(p, seen, sizeof(seen)));
	}
}

unsigned why_conclude(const struct why_facts *f, struct why_lines *out)
{
	struct sayings s = { .out = out };
	char text[300], seen[160];

	for (size_t i = f->n_packets; i-- > 0;) { /* the newest say why it failed at last */
		const struct why_packet *p = &f->packets[i];
		if (!p->refuses || !concerns(f, p) || !is_own(f, p->link, &p->dst.ip) || is_of_before(f, p) ||
			spoke_later(f, p))
			continue;
		say_refused(f, p, text, sizeof(text));
		conclude(&s, is_by_the_way(f, p) ? WHY_ASIDE : WHY_REFUSED, text,
			this_frame(p, seen, sizeof(seen)));
	}
	conclude_late(f, &s);
	conclude_alone(f, &s);
	conclude_dns_loop(f, &s);
	for (size_t i = f->n_packets; i-- > 0;) {
		const struct why_packet *p = &f->packets[i];
		if (!concerns(f, p) || !begins(p) || !is_own(f, p->link, &p->src.ip) || has_answer(f, p) ||
			(f->hosts[p->link].in_mesh && p->proto != IP_TCP))
			continue;
		say_unanswered(f, p, text, sizeof(text));
		say_trail(f, p, seen, sizeof(seen));
		conclude(&s, WHY_SILENT, text, seen);
	}
	/* Captures see a link from its far end: what came to them may not have come to the host. */
	for (size_t i = 0; i < f->n_hosts && !s.n; i++)
		if (*f->hosts[i].slow) {
			snprintf(text, sizeof(text), "%s, and what is missing may be on its way",
				f->hosts[i].slow);
			conclude(&s, WHY_SILENT, text, "");
		}
	for (size_t i = 0; i < f->n_hosts && !s.n; i++) {
		if (!f->hosts[i].asks || !f->hosts[i].has_firewall)
			continue;
		snprintf(text, sizeof(text),
			"what came back to %s may have been dropped by firewall rules of its own",
			f->hosts[i].name);
		conclude(&s, WHY_SILENT, text, "");
	}
	return s.n;
}
