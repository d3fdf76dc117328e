#include "simnet/fabric/kernel/kernel_probe.h"

#include "mesh/base/ip.h"
#include "mesh/os/crowd.h"
#include "mesh/os/loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Static forwards of all routers at once, both ways; outwards first, for what has come in leaves a mapping behind that
 * would send it out rightly:
 *
 *   out   a datagram, or the SYN of a connection, that the host which the file names sends from there leaves by the
 *         forwarded port
 *   in    one from somebody else outside to that port comes in at the host, with its address and port. The host's interface
 *         is read: before its firewall, and whether a program listens or not
 *
 * A router in userspace has no interface to be read or sent from, and neither end is looked for there. A host that has its
 * default route elsewhere, and a router, which translates what it sends itself, are tried inwards alone. One that nothing
 * can come to, by what the file says of the host, is not tried. */
enum { FORWARD_FIRST_PORT = 21000 };

struct forward {
	int router;
	int sender, reader; /* in: outside, at the host */
	int leaver, seer;   /* out: at the host, outside; -1 = not tried */
	const struct nat_forward *f;
	uint16_t number; /* the port outside */
	bool arrived, left;
};
struct forwards {
	struct probe *p;
	const struct scenario *s;
	struct forward *v;
	size_t n;
	struct pace pace;
};

/* By an interface that is up. */
static bool is_there(const struct scn_node *n, const struct nat_forward *f)
{
	bool up = n->on_router;
	for (size_t k = 0; k < n->n_ifaces; k++)
		up |= !n->ifaces[k].off && addr_equal(&n->ifaces[k].ip, &f->ip);
	return up && !(n->udp_blocked && f->proto == IPPROTO_UDP);
}

/* Where the forward leads; -1: a router in userspace, which has no interface to read, or a host that it does not come to. */
static int place_of(const struct forwards *t, const struct nat_forward *f)
{
	int node = scenario_find_node(t->s, f->to), router = scenario_find_router(t->s, f->to);
	if (node >= 0)
		return is_there(&t->s->nodes[node], f) ? node : -1;
	return kernel_is_user(t->p->e, router) ? -1 : hosts_place_of_router(t->p->e->hosts, router);
}

static bool leaves_by_it(const struct forwards *t, const struct forward *w)
{
	int node = scenario_find_node(t->s, w->f->to);
	if (node < 0)
		return false;
	const struct scn_iface *f = &t->s->nodes[node].ifaces[topology_in_use(t->s, 0, node)];
	return f->network == w->router && !f->no_default;
}

static struct sockaddr_in raw_address(const struct addr *ip)
{
	return (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr_v4_get(ip)) };
}

static bool open_host_side(const struct forwards *t, struct forward *w)
{
	struct sockaddr_in at = raw_address(&w->f->ip);
	w->reader = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IP));
	if (w->reader < 0 || !leaves_by_it(t, w))
		return w->reader >= 0;
	w->leaver = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, w->f->proto);
	return w->leaver >= 0 && bind(w->leaver, (struct sockaddr *)&at, sizeof(at)) == 0;
}

static bool open_outside(const struct forwards *t, struct forward *w)
{
	const struct scn_router *r = &t->s->routers[w->router];
	struct endpoint from = { .ip = probe_host(t->s, r->behind, PROBE_OUT_A), .port = w->number };
	struct addr other = probe_host(t->s, r->behind, PROBE_OUT_B);
	w->sender = probe_socket(r->behind, w->f->proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM, &from);
	if (w->leaver >= 0)
		w->seer = probe_raw_socket(r->behind, w->f->proto, &other);
	return w->sender >= 0 && (w->leaver < 0 || w->seer >= 0);
}

static int open_forward(struct forwards *t, struct forward *w, int place, struct errbuf *eb)
{
	int err = netns_enter(hosts_net(t->p->e->hosts, place), eb);
	if (!err && !open_host_side(t, w))
		err = err_set(eb, -errno, "open a probe's socket on '%s'", w->f->to);
	if (!err)
		err = netns_enter(&t->p->outside, eb);
	return err || open_outside(t, w) ? err : err_set(eb, -errno, "open a probe's socket");
}

static int open_forwards(struct forwards *t, struct errbuf *eb)
{
	int err = 0;
	for (int i = 0; i < (int)t->s->n_routers && !err; i++) {
		const struct scn_router *r = &t->s->routers[i];
		for (size_t k = 0; r->nat && k < r->model.n_forwards && !err; k++) {
			const struct nat_forward *f = &r->model.forwards[k];
			int place = place_of(t, f);
			if (place < 0 || (r->udp_blocked && f->proto == IPPROTO_UDP))
				continue;
			struct forward *w = &t->v[t->n];
			*w = (struct forward) { .router = i,
				.sender = -1,
				.reader = -1,
				.leaver = -1,
				.seer = -1,
				.f = f,
				.number = (uint16_t)(FORWARD_FIRST_PORT + t->n) };
			t->n++;
			err = open_forward(t, w, place, eb);
		}
	}
	netns_return(hosts_home(t->p->e->hosts));
	return err;
}

struct ends {
	struct addr src, dst;
	uint16_t sport, dport;
};

static bool is_between(const struct forward *w, const struct ends *e, const uint8_t *p, size_t len)
{
	struct ip_view v;
	return ip_parse(p, len, &v) && v.proto == w->f->proto && v.sport == e->sport && v.dport == e->dport &&
	       addr_equal(&v.src, &e->src) && addr_equal(&v.dst, &e->dst);
}

static bool has_come(const struct forward *w, int fd, const struct ends *e)
{
	uint8_t p[2048];
	bool come = false;
	for (ssize_t n; fd >= 0 && (n = recv(fd, p, sizeof(p), 0)) >= 0;)
		come |= is_between(w, e, p, (size_t)n);
	return come;
}

static bool drain_out(struct forwards *t)
{
	bool all = true;
	for (size_t i = 0; i < t->n; i++) {
		struct forward *w = &t->v[i];
		const struct scn_router *r = &t->s->routers[w->router];
		const struct ends out = { r->wan, probe_host(t->s, r->behind, PROBE_OUT_B), w->f->port,
			w->number };
		w->left |= w->leaver < 0 || has_come(w, w->seer, &out);
		all &= w->left;
	}
	return all;
}

static bool drain_in(struct forwards *t)
{
	bool all = true;
	for (size_t i = 0; i < t->n; i++) {
		struct forward *w = &t->v[i];
		struct addr from = probe_host(t->s, t->s->routers[w->router].behind, PROBE_OUT_A);
		const struct ends in = { from, w->f->ip, w->number, w->f->to_port };
		w->arrived |= has_come(w, w->reader, &in);
		all &= w->arrived;
	}
	return all;
}

/* The header of a datagram or of a connection's first segment, without data. */
static void send_out(const struct forwards *t, const struct forward *w)
{
	struct addr to = probe_host(t->s, t->s->routers[w->router].behind, PROBE_OUT_B);
	bool tcp = w->f->proto == IPPROTO_TCP;
	uint8_t l4[20] = { (uint8_t)(w->f->to_port >> 8), (uint8_t)w->f->to_port, (uint8_t)(w->number >> 8),
		(uint8_t)w->number };
	size_t len = tcp ? 20 : 8, sum_at = tcp ? 16 : 6;
	struct sockaddr_in at = raw_address(&to);
	if (tcp) {
		l4[12] = 5 << 4;
		l4[13] = 0x02;
		l4[14] = 0x10;
	} else {
		l4[5] = (uint8_t)len;
	}
	uint16_t sum = ip_l4_checksum(&w->f->ip, &to, w->f->proto, l4, len);
	l4[sum_at] = (uint8_t)(sum >> 8);
	l4[sum_at + 1] = (uint8_t)sum;
	(void)!sendto(w->leaver, l4, len, 0, (struct sockaddr *)&at, sizeof(at));
}

static void ask_out(struct forwards *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (!t->v[i].left && t->v[i].leaver >= 0)
			send_out(t, &t->v[i]);
}

/* A connection's SYN is sent once; the kernel repeats it. */
static void ask_in(struct forwards *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct forward *w = &t->v[i];
		const struct endpoint to = { .ip = t->s->routers[w->router].wan, .port = w->f->port };
		struct sockaddr_storage ss;
		socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
		if (w->arrived)
			continue;
		(void)!connect(w->sender, (struct sockaddr *)&ss, len);
		if (w->f->proto == IPPROTO_UDP)
			(void)!send(w->sender, "snet", 4, 0);
	}
}

static void collect_forwards(
	struct forwards *t, void (*ask)(struct forwards *t), bool (*drain)(struct forwards *t))
{
	pace_begin(&t->pace, clock_now_ms());
	for (ask(t); !drain(t); (void)poll(NULL, 0, 1)) {
		uint64_t now = clock_now_ms();
		if (now < t->pace.again_ms)
			continue;
		if (!pace_goes_on(&t->pace, now, crowd_now())) {
			probe_gave_up(t->p, &t->pace);
			return;
		}
		ask(t);
	}
}

static int run_forwards(struct forwards *t, struct errbuf *eb)
{
	char what[120];
	int err = open_forwards(t, eb);
	if (!err) {
		collect_forwards(t, ask_out, drain_out);
		collect_forwards(t, ask_in, drain_in);
	}
	for (size_t i = 0; i < t->n && !err; i++) {
		const struct forward *w = &t->v[i];
		if (w->arrived && w->left)
			continue;
		snprintf(what, sizeof(what),
			w->arrived ? "what %3$.60s sends from the forward of %1$s port %2$u leaves by another"
				   : "its forward of %s port %u does not lead to %.60s",
			w->f->proto == IPPROTO_TCP ? "TCP" : "UDP", w->f->port, w->f->to);
		err = probe_say_wrong(t->p, w->router, eb, what);
	}
	return err;
}

int kernel_check_forwards(struct probe *p, struct errbuf *eb)
{
	struct forwards t = { .p = p, .s = p->e->s };
	size_t n = 0;
	for (size_t i = 0; i < t.s->n_routers; i++)
		n += t.s->routers[i].nat ? t.s->routers[i].model.n_forwards : 0;
	if (!n)
		return 0;
	t.v = calloc(n, sizeof(*t.v));
	if (!t.v)
		return err_set(eb, -ENOMEM, "check the forwards");
	int err = run_forwards(&t, eb);
	for (size_t i = 0; i < t.n; i++) {
		const int fds[] = { t.v[i].sender, t.v[i].reader, t.v[i].leaver, t.v[i].seer };
		for (size_t k = 0; k < ARRAY_LEN(fds); k++)
			if (fds[k] >= 0)
				close(fds[k]);
	}
	free(t.v);
	return err;
}
