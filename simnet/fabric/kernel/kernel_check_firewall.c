#include "simnet/fabric/kernel/kernel_probe.h"

#include "mesh/base/ip.h"
#include "mesh/os/crowd.h"
#include "mesh/os/loop.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The firewalls of all routers at once, by packets of which the list of rules says, read anew here, what becomes of them:
 *
 *   out   of each rule the first and last of its ports, those beside them, and each protocol; and what no rule is about
 *   in    the same, where a router does not translate: else its NAT decides before
 *   back  the answer to a packet that was let through, a datagram and an echo, which belongs to a flow
 *
 * What must not pass is sent before what must, on the same way. A redirect is a packet that does not come to whom it was sent.
 * Not tried is a rule about addresses that no probe has, and a router whose NAT might have no room for so many flows. */
enum { NEUTRAL_PORT = 40007, OUT_PORT = 7300, IN_PORT = 7301, PER_RULE = 64, SIDES = 2, ADDRESSES = 2 };
static const uint32_t token_mark = 0x66770000, token_mask = 0xffff0000;
enum { NO_BACK = 0 };

static const struct {
	enum firewall_proto proto;
	int number;
	const char *name;
} protos[] = { { FIREWALL_UDP, IPPROTO_UDP, "UDP" }, { FIREWALL_TCP, IPPROTO_TCP, "TCP" },
	{ FIREWALL_ICMP, IPPROTO_ICMP, "ICMP" } };

enum side { INSIDE, OUTSIDE };
struct trial {
	int router;
	unsigned proto;	      /* of protos */
	enum side to;	      /* where it must or must not come */
	unsigned ends[SIDES]; /* which address of each side */
	uint16_t port;	      /* of the destination */
	bool is_back;
	size_t back;			  /* number of the trial that answers it; NO_BACK = none */
	const struct firewall_rule *rule; /* that decides; NULL: none is about it */
	bool must, come;
};
struct wall_site { /* of one router: raw sockets of each side, address and protocol; -1 = none */
	int fds[SIDES][ADDRESSES][ARRAY_LEN(protos)];
};
struct walls {
	struct probe *p;
	const struct scenario *s;
	struct wall_site *sites;
	struct trial *v; /* [0] is none */
	size_t n, cap;
	struct pace pace;
};

static struct addr end_of(const struct walls *t, int router, enum side side, unsigned which)
{
	static const uint32_t numbers[SIDES][ADDRESSES] = { { PROBE_IN, PROBE_HAIRPIN },
		{ PROBE_OUT_A, PROBE_OUT_B } };
	return probe_host(t->s, side == INSIDE ? router : t->s->routers[router].behind, numbers[side][which]);
}

/* ---- what the list says ---- */

/* The next range of "80,443,5000-5010"; false at the end. */
static bool next_range(const char **text, uint16_t *first, uint16_t *last)
{
	char *end;
	if (!*text || !**text)
		return false;
	*first = *last = (uint16_t)strtoul(*text, &end, 10);
	if (*end == '-')
		*last = (uint16_t)strtoul(end + 1, &end, 10);
	*text = *end ? end + 1 : end;
	return true;
}

static bool has_port(const char *ports, uint16_t port)
{
	uint16_t first, last;
	bool has = !ports;
	while (!has && next_range(&ports, &first, &last))
		has = port >= first && port <= last;
	return has;
}

static bool fits(const struct walls *t, const struct firewall_rule *r, const struct trial *w)
{
	struct addr from = end_of(t, w->router, !w->to, w->ends[!w->to]),
		    to = end_of(t, w->router, w->to, w->ends[w->to]);
	return (r->proto == FIREWALL_ANY || r->proto == protos[w->proto].proto) &&
	       has_port(r->ports, w->port) && (!r->established || w->is_back) &&
	       (!r->has_from || prefix_contains(&r->from, &from)) &&
	       (!r->has_to || prefix_contains(&r->to, &to));
}

static void decide(const struct walls *t, struct trial *w)
{
	const struct scn_firewall *f = &t->s->routers[w->router].firewall;
	const struct firewall_rule *rules = w->to == OUTSIDE ? f->out : f->in;
	size_t n = w->to == OUTSIDE ? f->n_out : f->n_in;
	for (size_t i = 0; i < n && !w->rule; i++)
		if (fits(t, &rules[i], w))
			w->rule = &rules[i];
	w->must = !w->rule || w->rule->verdict == FIREWALL_ACCEPT;
}

/* ---- which packets ---- */

static void add_trial(struct walls *t, struct trial w)
{
	if (t->n == t->cap || (t->s->routers[w.router].udp_blocked && protos[w.proto].number == IPPROTO_UDP))
		return;
	for (size_t i = 1; i < t->n && !w.is_back; i++)
		if (!t->v[i].is_back && t->v[i].router == w.router && t->v[i].proto == w.proto &&
			t->v[i].to == w.to && t->v[i].port == w.port &&
			!memcmp(t->v[i].ends, w.ends, sizeof(w.ends)))
			return;
	decide(t, &w);
	t->v[t->n++] = w;
}

/* One of each protocol, of which one has no ports: what a rule says of one it may not say of another. */
static void add_port(struct walls *t, struct trial w, uint32_t port)
{
	if (port < 1 || port > UINT16_MAX)
		return;
	for (w.proto = 0; w.proto < ARRAY_LEN(protos); w.proto++) {
		w.port = protos[w.proto].number == IPPROTO_ICMP ? 0 : (uint16_t)port;
		add_trial(t, w);
	}
}

static void add_rule(struct walls *t, int router, enum side to, const struct firewall_rule *r)
{
	for (unsigned ends = 0; ends < ADDRESSES * ADDRESSES; ends++) {
		struct trial w = {
			.router = router, .to = to, .ends = { ends % ADDRESSES, ends / ADDRESSES }
		};
		const char *ports = r->ports;
		uint16_t first, last;
		if (ends && !r->has_from && !r->has_to)
			break;
		add_port(t, w, NEUTRAL_PORT);
		while (next_range(&ports, &first, &last)) {
			add_port(t, w, first);
			add_port(t, w, last);
			add_port(t, w, (uint32_t)first - 1);
			add_port(t, w, (uint32_t)last + 1);
		}
	}
}

/* The first of each protocol that passes is answered; the echo outside by the kernel. */
static void add_backs(struct walls *t, size_t first)
{
	size_t end = t->n;
	for (unsigned proto = 0; proto < ARRAY_LEN(protos); proto++)
		for (size_t i = first; i < end; i++) {
			struct trial *w = &t->v[i];
			if (w->proto != proto || !w->must || protos[proto].number == IPPROTO_TCP)
				continue;
			w->back = t->n;
			add_trial(t, (struct trial) { .router = w->router,
					     .proto = proto,
					     .to = !w->to,
					     .ends = { w->ends[0], w->ends[1] },
					     .port = protos[proto].number == IPPROTO_ICMP ? 0
						     : w->to == OUTSIDE			  ? OUT_PORT
											  : IN_PORT,
					     .is_back = true });
			break;
		}
}

static void add_way(struct walls *t, int router, enum side to)
{
	const struct scn_firewall *f = &t->s->routers[router].firewall;
	size_t first = t->n;
	add_port(t, (struct trial) { .router = router, .to = to }, NEUTRAL_PORT);
	for (size_t i = 0; i < (to == OUTSIDE ? f->n_out : f->n_in); i++)
		add_rule(t, router, to, to == OUTSIDE ? &f->out[i] : &f->in[i]);
	add_backs(t, first);
}

static void add_router(struct walls *t, int router)
{
	const struct scn_router *r = &t->s->routers[router];
	size_t first = t->n;
	add_way(t, router, OUTSIDE);
	if (!r->nat)
		add_way(t, router, INSIDE);
	if (!probe_has_room(r, t->n - first + PROBE_MAPPINGS))
		t->n = first;
}

/* ---- sockets ---- */

static int open_side(struct walls *t, int router, enum side side, struct errbuf *eb)
{
	int network = side == INSIDE ? router : t->s->routers[router].behind;
	int err = netns_enter(side == INSIDE ? &t->p->inside : &t->p->outside, eb);
	for (unsigned a = 0; a < ADDRESSES && !err; a++)
		for (unsigned k = 0; k < ARRAY_LEN(protos) && !err; k++) {
			struct addr at = end_of(t, router, side, a);
			int fd = probe_raw_socket(network, protos[k].number, &at);
			t->sites[router].fds[side][a][k] = fd;
			err = fd < 0 ? err_set(eb, -errno, "open a probe's raw socket") : 0;
		}
	return err;
}

static void close_walls(struct walls *t)
{
	for (size_t i = 0; t->sites && i < t->s->n_routers; i++)
		for (size_t k = 0; k < sizeof(t->sites[i].fds) / sizeof(int); k++)
			if ((&t->sites[i].fds[0][0][0])[k] >= 0)
				close((&t->sites[i].fds[0][0][0])[k]);
	free(t->sites);
	free(t->v);
}

/* ---- packets ---- */

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v;
}

/* A datagram, the SYN of a connection, or an echo, asked for or back, with the trial's number in it. from_port: the
 * identifier of an echo. */
static void send_packet(const struct walls *t, size_t number, const struct endpoint *to, uint16_t from_port)
{
	const struct trial *w = &t->v[number];
	struct addr from = end_of(t, w->router, !w->to, w->ends[!w->to]);
	int proto = protos[w->proto].number, fd = t->sites[w->router].fds[!w->to][w->ends[!w->to]][w->proto];
	size_t len = proto == IPPROTO_TCP ? 20 : 12, token_at = proto == IPPROTO_TCP ? 4 : 8,
	       sum_at = proto == IPPROTO_TCP   ? 16
			: proto == IPPROTO_UDP ? 6
					       : 2;
	uint8_t l4[20] = { 0 };
	if (proto == IPPROTO_ICMP) {
		l4[0] = w->is_back ? 0 : 8;
		put16(l4 + 4, from_port);
	} else {
		put16(l4, from_port);
		put16(l4 + 2, to->port);
	}
	if (proto == IPPROTO_UDP)
		put16(l4 + 4, (uint32_t)len);
	if (proto == IPPROTO_TCP)
		l4[12] = 5 << 4, l4[13] = 0x02, l4[14] = 0x10;
	put16(l4 + token_at, token_mark >> 16);
	put16(l4 + token_at + 2, (uint32_t)number);
	put16(l4 + sum_at, proto == IPPROTO_ICMP ? ip_checksum(l4, len, 0)
						 : ip_l4_checksum(&from, &to->ip, (uint8_t)proto, l4, len));
	struct sockaddr_storage ss;
	socklen_t size = endpoint_to_sockaddr(&(struct endpoint) { .ip = to->ip }, false, &ss);
	(void)!sendto(fd, l4, len, 0, (struct sockaddr *)&ss, size);
}

static void ask_walls(const struct walls *t, bool must)
{
	for (size_t i = 1; i < t->n; i++) {
		const struct trial *w = &t->v[i];
		struct endpoint to = { .ip = end_of(t, w->router, w->to, w->ends[w->to]), .port = w->port };
		bool again = !w->come || (w->back && t->v[w->back].must && !t->v[w->back].come);
		if (!w->is_back && w->must == must && again)
			send_packet(t, i, &to, w->to == OUTSIDE ? OUT_PORT : IN_PORT);
	}
}

/* The number of the trial that a packet is of, or that it echoes; 0: of none. */
static size_t number_in(const struct walls *t, const uint8_t *p, size_t len, const struct ip_view *v)
{
	size_t at = v->proto == IPPROTO_TCP ? v->l4_at + 4u : v->l4_at + 8u;
	if (len < at + 4 || (v->proto == IPPROTO_TCP && v->tcp_flags != 0x02))
		return 0;
	uint32_t token =
		(uint32_t)p[at] << 24 | (uint32_t)p[at + 1] << 16 | (uint32_t)p[at + 2] << 8 | p[at + 3];
	size_t number = token & ~token_mask;
	return (token & token_mask) == token_mark && number < t->n ? number : 0;
}

static void take_packet(struct walls *t, int router, enum side side, const uint8_t *p, size_t len)
{
	struct ip_view v;
	size_t number = ip_parse(p, len, &v) ? number_in(t, p, len, &v) : 0;
	if (number && v.proto == IPPROTO_ICMP && v.icmp_type != 8 && !t->v[number].is_back)
		number = v.icmp_type == 0 ? t->v[number].back : 0;
	struct trial *w = &t->v[number];
	if (!number || w->router != router || w->to != side || protos[w->proto].number != v.proto)
		return;
	w->come = true;
	if (w->back && (v.proto == IPPROTO_UDP || side == INSIDE))
		send_packet(t, w->back, &(struct endpoint) { .ip = v.src, .port = v.sport }, v.dport);
}

/* true: all that must has come. */
static bool drain_walls(struct walls *t)
{
	uint8_t p[256];
	bool all = true;
	for (int i = 0; i < (int)t->s->n_routers; i++)
		for (unsigned k = 0; k < sizeof(t->sites[i].fds) / sizeof(int); k++) {
			int fd = (&t->sites[i].fds[0][0][0])[k];
			enum side side = k < ADDRESSES * ARRAY_LEN(protos) ? INSIDE : OUTSIDE;
			for (ssize_t n; fd >= 0 && (n = recv(fd, p, sizeof(p), 0)) >= 0;)
				take_packet(t, i, side, p, (size_t)n);
		}
	for (size_t i = 1; i < t->n; i++)
		all &= t->v[i].come || !t->v[i].must;
	return all;
}

static void collect_walls(struct walls *t)
{
	pace_begin(&t->pace, clock_now_ms());
	ask_walls(t, false);
	for (ask_walls(t, true); !drain_walls(t); (void)poll(NULL, 0, 1)) {
		uint64_t now = clock_now_ms();
		if (now < t->pace.again_ms)
			continue;
		if (!pace_goes_on(&t->pace, now, crowd_now())) {
			probe_gave_up(t->p, &t->pace);
			return;
		}
		ask_walls(t, true);
	}
	uint64_t now = clock_now_ms(), end = now + pace_stray_ms(&t->pace, now);
	for (; now < end; now = clock_now_ms()) {
		(void)poll(NULL, 0, 1);
		(void)drain_walls(t);
	}
}

/* ---- the verdict ---- */

static int say_hole(const struct walls *t, const struct trial *w, struct errbuf *eb)
{
	char what[200], rule[80] = "no rule is about it", port[16] = "";
	if (w->rule)
		snprintf(rule, sizeof(rule), "'%.60s' is about it", w->rule->text);
	if (w->port)
		snprintf(port, sizeof(port), " port %u", w->port);
	snprintf(what, sizeof(what), "its firewall %s %s %s%s%s, and %s", w->come ? "lets" : "does not let",
		w->to == OUTSIDE ? "out" : "in", w->is_back ? "an answer by " : "", protos[w->proto].name,
		port, rule);
	return probe_say_wrong(t->p, w->router, eb, what);
}

static int judge_walls(const struct walls *t, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 1; i < t->n && !err; i++)
		if (t->v[i].come != t->v[i].must)
			err = say_hole(t, &t->v[i], eb);
	return err;
}

static int run_walls(struct walls *t, struct errbuf *eb)
{
	int err = 0;
	for (int i = 0; i < (int)t->s->n_routers && !err; i++) {
		size_t first = t->n;
		if (!firewall_is_there(&t->s->routers[i].firewall))
			continue;
		add_router(t, i);
		err = t->n > first ? open_side(t, i, OUTSIDE, eb) : 0;
		if (!err && t->n > first)
			err = open_side(t, i, INSIDE, eb);
	}
	netns_return(hosts_home(t->p->e->hosts));
	if (err || t->n == 1)
		return err;
	collect_walls(t);
	return judge_walls(t, eb);
}

int kernel_check_firewalls(struct probe *p, struct errbuf *eb)
{
	struct walls t = { .p = p, .s = p->e->s, .n = 1, .cap = 1 };
	for (size_t i = 0; i < t.s->n_routers; i++) {
		const struct scn_firewall *f = &t.s->routers[i].firewall;
		t.cap += firewall_is_there(f) ? PER_RULE * (f->n_in + f->n_out + 1) : 0;
	}
	if (t.cap == 1)
		return 0;
	t.cap = t.cap < ~token_mask ? t.cap : ~token_mask;
	t.v = calloc(t.cap, sizeof(*t.v));
	t.sites = calloc(t.s->n_routers, sizeof(*t.sites));
	if (t.sites)
		memset(t.sites, 0xff, t.s->n_routers * sizeof(*t.sites)); /* -1 */
	int err = t.v && t.sites ? run_walls(&t, eb) : err_set(eb, -ENOMEM, "check the firewalls");
	close_walls(&t);
	return err;
}
