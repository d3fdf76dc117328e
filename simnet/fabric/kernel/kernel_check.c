#include "simnet/fabric/kernel/kernel_probe.h"

#include "mesh/base/ip.h"
#include "mesh/os/crowd.h"
#include "mesh/os/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a file says of a router beyond the UDP classes, tried with real packets at all routers at once:
 *
 *   TCP       three connections from one inside port to A1, A2 and B1 show the mapping; after one from
 *             another port to A alone, SYNs from another port of A and from B show the filtering, and one
 *             from inside the hairpin
 *   ICMP      an echo passes, translated where the router translates
 *   IPv6      a datagram passes, untranslated or by the outer prefix, its answer comes in, and what nobody asked for does not
 *   inside    a datagram to an inside address, sent to the router from outside, does not come in
 *   lifetime  what the kernel holds of a UDP mapping is held as long as the file says
 *
 * What must arrive is waited for, and asked again until it comes; only then what must not has had its time. */
enum { TCP_PORT = 3478, MAP_PORT = 7000, FILTER_PORT = 7001, HOLE_PORT = 3490, PLAIN_PORT = 7002 };
enum { A1, A2, B1, SERVERS };
static const uint8_t magic[4] = { 's', 'n', 'e', 't' };

struct site {						     /* a network that routers face */
	int listeners[SERVERS], hole, echo, udp6, stranger6; /* hole: whom the filtering test has sent to */
};
struct subject { /* a router */
	int map[SERVERS], filter, listener, near, far, hairpin, echo, udp6, plain;
	struct endpoint seen[SERVERS]; /* where connections came from; port 0 = none came */
	struct endpoint filter_seen;
	bool near_in, far_in, hairpin_in;
	struct addr echo_seen; /* unspecified: none came */
	bool echo_back, answer6, stranger6, inside;
	struct endpoint seen6;
};
struct check {
	struct probe *p;
	const struct scenario *s;
	struct site *sites; /* [network + 1] */
	struct subject *subjects;
	int stranger; /* of the inside guard */
	struct nl *outside;
	struct pace pace; /* of the last round */
};

static struct endpoint at_number(const struct check *c, int network, uint32_t number, uint16_t port)
{
	return (struct endpoint) { .ip = probe_host(c->s, network, number), .port = port };
}

static struct endpoint server_of(const struct check *c, int network, int server)
{
	return at_number(c, network, server == B1 ? PROBE_OUT_B : PROBE_OUT_A,
		(uint16_t)(TCP_PORT + (server == A2 ? 1 : 0)));
}

/* An address on a network as it is there, and as it is seen from another. */
static struct endpoint v6_of(const struct check *c, int network, const struct endpoint *v4)
{
	return (struct endpoint) { .ip = topology_v6(c->s, network, &v4->ip).ip, .port = v4->port };
}

static struct endpoint v6_outside(const struct check *c, int router, const struct endpoint *v4)
{
	int from = c->s->routers[router].behind;
	return (struct endpoint) { .ip = topology_v6_from(c->s, from, router, &v4->ip).ip, .port = v4->port };
}

/* ---- sockets ---- */

static int open_site(struct check *c, int network, struct errbuf *eb)
{
	struct site *s = &c->sites[network + 1];
	bool ok = true;

	for (int k = 0; k < SERVERS; k++) {
		struct endpoint at = server_of(c, network, k);
		s->listeners[k] = probe_socket(network, SOCK_STREAM, &at);
		ok = ok && s->listeners[k] >= 0 && listen(s->listeners[k], 1024) == 0;
	}
	struct endpoint a = at_number(c, network, PROBE_OUT_A, 0),
			b = at_number(c, network, PROBE_OUT_B, TCP_PORT),
			hole = at_number(c, network, PROBE_OUT_A, HOLE_PORT);
	s->hole = probe_socket(network, SOCK_STREAM, &hole);
	ok = ok && s->hole >= 0 && listen(s->hole, 1024) == 0;
	s->echo = probe_socket(network, SOCK_RAW, &a);
	ok = ok && s->echo >= 0;
	if (ok && c->s->ipv6) {
		struct endpoint a6 = v6_of(c, network, &(struct endpoint) { .ip = a.ip, .port = TCP_PORT }),
				b6 = v6_of(c, network, &b);
		s->udp6 = probe_socket(network, SOCK_DGRAM, &a6);
		s->stranger6 = probe_socket(network, SOCK_DGRAM, &b6);
		ok = s->udp6 >= 0 && s->stranger6 >= 0;
	}
	return ok ? 0 : err_set(eb, -errno, "open a probe's server socket");
}

static void connect_to(int fd, const struct endpoint *to)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, false, &ss);
	(void)!connect(fd, (struct sockaddr *)&ss, len); /* not arriving is a finding */
}

static int open_subject(struct check *c, int i, struct errbuf *eb)
{
	struct subject *r = &c->subjects[i];
	struct endpoint map = at_number(c, i, PROBE_IN, MAP_PORT),
			filter = at_number(c, i, PROBE_IN, FILTER_PORT),
			plain = at_number(c, i, PROBE_IN, PLAIN_PORT), any = at_number(c, i, PROBE_IN, 0);
	bool ok = true;

	for (int k = 0; k < SERVERS; k++) {
		struct endpoint to = server_of(c, c->s->routers[i].behind, k);
		r->map[k] = probe_socket(i, SOCK_STREAM, &map);
		if (r->map[k] >= 0)
			connect_to(r->map[k], &to);
		ok = ok && r->map[k] >= 0;
	}
	r->filter = probe_socket(i, SOCK_STREAM, &filter);
	r->plain = probe_socket(i, SOCK_DGRAM, &plain);
	r->echo = probe_socket(i, SOCK_RAW, &any);
	if (c->s->ipv6) {
		struct endpoint six = v6_of(c, i, &plain);
		r->udp6 = probe_socket(i, SOCK_DGRAM, &six);
		ok = ok && r->udp6 >= 0;
	}
	ok = ok && r->filter >= 0 && r->plain >= 0 && r->echo >= 0;
	return ok ? 0 : err_set(eb, -errno, "open a probe's client socket");
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void check_fini(struct check *c)
{
	for (size_t i = 0; c->sites && i <= c->s->n_routers; i++) {
		struct site *s = &c->sites[i];
		for (int k = 0; k < SERVERS; k++)
			close_fd(s->listeners[k]);
		close_fd(s->hole);
		close_fd(s->echo);
		close_fd(s->udp6);
		close_fd(s->stranger6);
	}
	for (size_t i = 0; c->subjects && i < c->s->n_routers; i++) {
		const struct subject *r = &c->subjects[i];
		const int fds[] = { r->map[0], r->map[1], r->map[2], r->filter, r->listener, r->near, r->far,
			r->hairpin, r->echo, r->udp6, r->plain };
		for (size_t k = 0; k < ARRAY_LEN(fds); k++)
			close_fd(fds[k]);
	}
	close_fd(c->stranger);
	nl_close(c->outside);
	free(c->sites);
	free(c->subjects);
}

/* ---- packets ---- */

static void send_to(int fd, const struct endpoint *to, const void *p, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = endpoint_to_sockaddr(to, false, &ss);
	(void)!sendto(fd, p, len, 0, (struct sockaddr *)&ss, ss_len);
}

static ssize_t receive(int fd, uint8_t *p, size_t cap, struct endpoint *from)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	ssize_t n = recvfrom(fd, p, cap, 0, (struct sockaddr *)&ss, &len);
	return n >= 0 && endpoint_from_sockaddr((struct sockaddr *)&ss, from) ? n : -1;
}

static void send_echo(struct check *c, int i)
{
	uint8_t msg[16] = { 8, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i };
	struct endpoint to = server_of(c, c->s->routers[i].behind, A1);
	memcpy(msg + 8, magic, sizeof(magic));
	msg[12] = (uint8_t)(i >> 8);
	msg[13] = (uint8_t)i;
	uint16_t sum = ip_checksum(msg, sizeof(msg), 0);
	msg[2] = (uint8_t)(sum >> 8);
	msg[3] = (uint8_t)sum;
	to.port = 0;
	send_to(c->subjects[i].echo, &to, msg, sizeof(msg));
}

/* Raw IPv4 sockets deliver the header too. The router that the message is about, or -1. */
static int read_echo(int fd, uint8_t type, struct endpoint *from, size_t n_routers)
{
	uint8_t msg[128];
	ssize_t n = receive(fd, msg, sizeof(msg), from);
	size_t at = n > 0 ? (size_t)(msg[0] & 15) * 4 : 0;
	if (n < (ssize_t)at + 16 || msg[at] != type || memcmp(msg + at + 8, magic, sizeof(magic)) != 0)
		return n < 0 ? -1 : -2;
	int router = msg[at + 12] << 8 | msg[at + 13];
	return (size_t)router < n_routers ? router : -2;
}

/* Whose connection it is: a translated one comes from the router's address, others from the client's. */
static struct subject *subject_of(struct check *c, const struct addr *from)
{
	for (int i = 0; i < (int)c->s->n_routers; i++) {
		struct addr inside = probe_host(c->s, i, PROBE_IN);
		const struct scn_router *r = &c->s->routers[i];
		if (r->nat ? probe_is_outer(r, from) : addr_equal(from, &inside))
			return &c->subjects[i];
	}
	return NULL;
}

/* server -1: the hole. */
static void drain_listener(struct check *c, int fd, int server)
{
	for (;;) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct endpoint from;
		int got = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC);
		if (got < 0)
			return;
		close(got);
		struct subject *r = endpoint_from_sockaddr((struct sockaddr *)&ss, &from)
					    ? subject_of(c, &from.ip)
					    : NULL;
		if (r)
			*(server < 0 ? &r->filter_seen : &r->seen[server]) = from;
	}
}

static void drain_site(struct check *c, struct site *s)
{
	struct endpoint from;
	uint8_t msg[64];
	int router;

	for (int k = 0; k < SERVERS; k++)
		if (s->listeners[k] >= 0)
			drain_listener(c, s->listeners[k], k);
	if (s->hole >= 0)
		drain_listener(c, s->hole, -1);
	while (s->echo >= 0 && (router = read_echo(s->echo, 8, &from, c->s->n_routers)) != -1)
		if (router >= 0)
			c->subjects[router].echo_seen = from.ip;
	for (ssize_t n; s->udp6 >= 0 && (n = receive(s->udp6, msg, sizeof(msg), &from)) >= 0;)
		if (n == 2 && (size_t)(msg[0] << 8 | msg[1]) < c->s->n_routers) {
			c->subjects[msg[0] << 8 | msg[1]].seen6 = from;
			send_to(s->udp6, &from, "a", 1);
		}
}

static void drain_subject(struct check *c, struct subject *r)
{
	struct endpoint from;
	uint8_t msg[64];
	int router;

	while ((router = read_echo(r->echo, 0, &from, c->s->n_routers)) != -1)
		r->echo_back |= router == (int)(r - c->subjects);
	for (ssize_t n; r->udp6 >= 0 && (n = receive(r->udp6, msg, sizeof(msg), &from)) >= 0;) {
		r->answer6 |= n == 1 && msg[0] == 'a';
		r->stranger6 |= n == 1 && msg[0] == 's';
	}
	while (receive(r->plain, msg, sizeof(msg), &from) >= 0)
		r->inside = true;
	for (int fd; r->listener >= 0;) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		if ((fd = accept4(r->listener, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC)) < 0)
			break;
		close(fd);
		if (!endpoint_from_sockaddr((struct sockaddr *)&ss, &from))
			continue;
		int network = c->s->routers[r - c->subjects].behind;
		struct addr near = probe_host(c->s, network, PROBE_OUT_A),
			    far = probe_host(c->s, network, PROBE_OUT_B);
		bool is_near = addr_equal(&from.ip, &near), is_far = addr_equal(&from.ip, &far);
		r->near_in |= is_near;
		r->far_in |= is_far;
		r->hairpin_in |= !is_near && !is_far;
	}
}

static void drain_all(struct check *c)
{
	for (size_t i = 0; i <= c->s->n_routers; i++)
		drain_site(c, &c->sites[i]);
	for (size_t i = 0; i < c->s->n_routers; i++)
		drain_subject(c, &c->subjects[i]);
}

/* ---- waiting ---- */

static bool first_round(const struct check *c, int i)
{
	const struct subject *r = &c->subjects[i];
	bool all = !addr_is_unspecified(&r->echo_seen) && r->echo_back;
	for (int k = 0; k < SERVERS; k++)
		all = all && endpoint_is_set(&r->seen[k]);
	return all && (!c->s->ipv6 || c->s->routers[i].udp_blocked || r->answer6);
}

static bool hole_round(const struct check *c, int i)
{
	return endpoint_is_set(&c->subjects[i].filter_seen);
}

/* A connection by the hairpin that keeps the inner source never comes about: its answers go straight. */
static bool wants_hairpin(const struct scn_router *r)
{
	return r->model.hairpin == NAT_HAIRPIN_EXTERNAL &&
	       (!r->model.hairpin_filters || r->model.tcp.filtering == NAT_EIF);
}

static bool second_round(const struct check *c, int i)
{
	const struct scn_router *r = &c->s->routers[i];
	const struct subject *got = &c->subjects[i];
	return !r->nat || ((got->near_in || r->model.tcp.filtering == NAT_APDF) &&
				  (got->far_in || r->model.tcp.filtering != NAT_EIF) &&
				  (got->hairpin_in || !wants_hairpin(r)));
}

/* Looks again every millisecond: there are many sockets of many kinds, and the waits are short. TCP asks again by itself;
 * ask, if any, does for the rest. */
static void kernel_check_collect(
	struct check *c, void (*ask)(struct check *c), bool (*done)(const struct check *c, int router))
{
	pace_begin(&c->pace, clock_now_ms());
	for (;;) {
		bool all = true;
		drain_all(c);
		for (int i = 0; all && i < (int)c->s->n_routers; i++)
			all = done(c, i);
		uint64_t now = clock_now_ms();
		if (all)
			return;
		if (now >= c->pace.again_ms) {
			if (!pace_goes_on(&c->pace, now, crowd_now())) {
				probe_gave_up(c->p, &c->pace);
				return;
			}
			if (ask)
				ask(c);
		}
		(void)poll(NULL, 0, 1);
	}
}

static void collect_strays(struct check *c)
{
	uint64_t now = clock_now_ms(), end = now + pace_stray_ms(&c->pace, now);
	for (; now < end; now = clock_now_ms()) {
		drain_all(c);
		(void)poll(NULL, 0, 1);
	}
	drain_all(c);
}

/* ---- the rounds ---- */

static int open_first(struct check *c, struct errbuf *eb)
{
	int err = netns_enter(&c->p->outside, eb);
	for (int network = -1; !err && network < (int)c->s->n_routers; network++)
		if (probe_is_faced(c->s, network))
			err = open_site(c, network, eb);
	if (!err)
		err = netns_enter(&c->p->inside, eb);
	for (int i = 0; !err && i < (int)c->s->n_routers; i++)
		err = open_subject(c, i, eb);
	netns_return(hosts_home(c->p->e->hosts));
	return err;
}

static void ask_first(struct check *c)
{
	for (int i = 0; i < (int)c->s->n_routers; i++) {
		uint8_t number[2] = { (uint8_t)(i >> 8), (uint8_t)i };
		if (!c->subjects[i].echo_back)
			send_echo(c, i);
		struct endpoint a = server_of(c, c->s->routers[i].behind, A1),
				a6 = v6_of(c, c->s->routers[i].behind, &a);
		if (c->s->ipv6 && !c->subjects[i].answer6)
			send_to(c->subjects[i].udp6, &a6, number, sizeof(number));
	}
}

/* When the mappings of the first are there, so that the ports are in order. */
static void connect_filters(struct check *c)
{
	for (int i = 0; i < (int)c->s->n_routers; i++) {
		struct endpoint to = at_number(c, c->s->routers[i].behind, PROBE_OUT_A, HOLE_PORT);
		connect_to(c->subjects[i].filter, &to);
	}
}

/* From outside to the hole that the filtering test made, from other places. */
static int open_second(struct check *c, struct errbuf *eb)
{
	int err = netns_enter(&c->p->inside, eb);
	for (int i = 0; !err && i < (int)c->s->n_routers; i++) {
		struct subject *r = &c->subjects[i];
		struct endpoint filter = at_number(c, i, PROBE_IN, FILTER_PORT),
				hairpin = at_number(c, i, PROBE_HAIRPIN, FILTER_PORT);
		if (!c->s->routers[i].nat)
			continue;
		r->listener = probe_socket(i, SOCK_STREAM, &filter);
		r->hairpin = probe_socket(i, SOCK_STREAM, &hairpin);
		if (r->listener < 0 || r->hairpin < 0 || listen(r->listener, 8) < 0)
			err = err_set(eb, -errno, "listen for a probe");
		else if (endpoint_is_set(&r->filter_seen))
			connect_to(r->hairpin, &r->filter_seen);
	}
	if (!err)
		err = netns_enter(&c->p->outside, eb);
	for (int i = 0; !err && i < (int)c->s->n_routers; i++) {
		struct subject *r = &c->subjects[i];
		int network = c->s->routers[i].behind;
		struct endpoint a = at_number(c, network, PROBE_OUT_A, 0),
				b = at_number(c, network, PROBE_OUT_B, 0);
		if (!c->s->routers[i].nat || !endpoint_is_set(&r->filter_seen))
			continue;
		r->far = probe_socket(network, SOCK_STREAM, &b);
		r->near = probe_socket(network, SOCK_STREAM, &a);
		if (r->far < 0 || r->near < 0)
			err = err_set(eb, -errno, "open a probe's socket");
		else
			connect_to(r->far, &r->filter_seen), connect_to(r->near, &r->filter_seen);
	}
	netns_return(hosts_home(c->p->e->hosts));
	return err;
}

/* Several routers may have LANs of one range: the way in is that of the one that is tried. */
static int choose_way_in(struct check *c, int i, const struct addr *inside, struct errbuf *eb)
{
	const struct scn_router *r = &c->s->routers[i];
	char device[KERNEL_NAME];

	snprintf(device, sizeof(device), "e%d", r->behind + 1);
	struct nl_route in = {
		.dst = prefix_of(inside), .ifindex = nl_link_index(c->outside, device), .via = r->wan
	};
	return nl_route_add(c->outside, &in, eb);
}

static int send_strangers(struct check *c, struct errbuf *eb)
{
	int err = 0;

	for (int i = 0; i < (int)c->s->n_routers && !err; i++) {
		const struct scn_router *r = &c->s->routers[i];
		struct endpoint plain = at_number(c, i, PROBE_IN, PLAIN_PORT), six = v6_outside(c, i, &plain);
		if (!r->nat)
			continue;
		if (c->s->ipv6)
			send_to(c->sites[r->behind + 1].stranger6, &six, "s", 1);
		err = choose_way_in(c, i, &plain.ip, eb);
		send_to(c->stranger, &plain, "s", 1);
	}
	return err;
}

/* ---- the verdict ---- */

static const char *tcp_trouble(const struct scn_router *r, const struct subject *got)
{
	const struct endpoint *seen = got->seen;
	for (int k = 0; k < SERVERS; k++)
		if (!endpoint_is_set(&seen[k]))
			return "TCP does not pass, or is not translated";
	if (!r->nat)
		return NULL;
	bool near = seen[A1].port == seen[A2].port, far = seen[A1].port == seen[B1].port;
	/* Where the kernel chooses ports by chance, two may be equal; not all three. */
	bool by_chance = r->model.accepts_wan && r->model.ports != NAT_PORTS_OVERLOAD;
	if (!(by_chance && r->model.tcp.mapping == NAT_APDM && !(near && far)) &&
		(near != (r->model.tcp.mapping != NAT_APDM) || far != (r->model.tcp.mapping == NAT_EIM)))
		return "TCP has another mapping class";
	const struct probe_port ports[] = {
		{ PROBE_IN, MAP_PORT, seen[A1].port },
		{ PROBE_IN, FILTER_PORT, got->filter_seen.port },
	};
	const char *policy = probe_ports_trouble(&r->model, ports, ARRAY_LEN(ports));
	if (policy)
		return policy;
	if (got->near_in != (r->model.tcp.filtering != NAT_APDF) ||
		got->far_in != (r->model.tcp.filtering == NAT_EIF))
		return "TCP has another filtering class";
	if (got->hairpin_in != wants_hairpin(r))
		return got->hairpin_in ? "TCP hairpins" : "TCP does not hairpin";
	return NULL;
}

static const char *trouble_of(const struct check *c, int i)
{
	const struct scn_router *r = &c->s->routers[i];
	const struct subject *got = &c->subjects[i];
	struct addr inside = probe_host(c->s, i, PROBE_IN);
	struct endpoint plain = at_number(c, i, PROBE_IN, PLAIN_PORT), six = v6_outside(c, i, &plain);
	const char *tcp = tcp_trouble(r, got);

	if (tcp)
		return tcp;
	if (!got->echo_back ||
		!(r->nat ? probe_is_outer(r, &got->echo_seen) : addr_equal(&got->echo_seen, &inside)))
		return "an ICMP echo does not pass as it should";
	if (got->inside)
		return "an inside address can be reached from outside without a mapping";
	if (!c->s->ipv6 || r->udp_blocked)
		return NULL;
	if (!got->answer6 || !endpoint_equal(&got->seen6, &six))
		return nptv6_is_there(&r->nptv6) ? "IPv6 does not pass there and back by its outer prefix"
						 : "IPv6 does not pass there and back untranslated";
	return got->stranger6 ? "IPv6 that nobody asked for comes in" : NULL;
}

static int judge_lifetime(const struct check *c, int i, struct errbuf *eb)
{
	const struct scn_router *r = &c->s->routers[i];
	char what[120];

	if (!r->nat || kernel_is_user(c->p->e,
			       i)) /* simnet/fabric/user/test waits out lifetimes, by a clock of its own */
		return 0;
	int err = netns_enter(kernel_router_net(c->p->e, (size_t)i), eb);
	const char *trouble = err ? NULL : kernel_nat_trouble(&r->model, what);
	netns_return(hosts_home(c->p->e->hosts));
	return trouble ? probe_say_wrong(c->p, i, eb, what) : err;
}

static int run_rounds(struct check *c, struct errbuf *eb)
{
	int err = open_first(c, eb);
	if (err)
		return err;
	ask_first(c);
	kernel_check_collect(c, ask_first, first_round);
	connect_filters(c);
	kernel_check_collect(c, NULL, hole_round);
	/* The strangers go first: the SYNs behind them show that they have had their time. */
	err = send_strangers(c, eb);
	if (!err)
		err = open_second(c, eb);
	if (err)
		return err;
	kernel_check_collect(c, NULL, second_round);
	collect_strays(c);
	for (int i = 0; i < (int)c->s->n_routers; i++) {
		const char *what = trouble_of(c, i);
		if (what)
			return probe_say_wrong(c->p, i, eb, what);
		if ((err = judge_lifetime(c, i, eb)))
			return err;
	}
	return 0;
}

int kernel_check(struct probe *p, struct errbuf *eb)
{
	size_t n = p->n_routers;
	struct check c = { .p = p, .s = p->e->s, .stranger = -1 };

	c.sites = calloc(n + 1, sizeof(*c.sites));
	c.subjects = calloc(n, sizeof(*c.subjects));
	if (!c.sites || !c.subjects) {
		check_fini(&c);
		return err_set(eb, -ENOMEM, "check the routers");
	}
	for (size_t i = 0; i <= n; i++)
		c.sites[i] = (struct site) {
			.listeners = { -1, -1, -1 }, .hole = -1, .echo = -1, .udp6 = -1, .stranger6 = -1
		};
	for (size_t i = 0; i < n; i++) {
		struct subject *r = &c.subjects[i];
		*r = (struct subject) { .map = { -1, -1, -1 } };
		r->filter = r->listener = r->near = r->far = r->hairpin = r->echo = r->udp6 = r->plain = -1;
	}
	int err = netns_enter(&p->outside, eb);
	c.stranger = err ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int failed = c.stranger < 0 ? errno : 0;
	if (!err && !(c.outside = nl_open(eb)))
		err = eb->code;
	netns_return(hosts_home(p->e->hosts));
	if (!err)
		err = failed ? err_set(eb, -failed, "open a probe's socket") : run_rounds(&c, eb);
	check_fini(&c);
	return err;
}
