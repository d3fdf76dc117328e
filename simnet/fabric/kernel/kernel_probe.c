#include "simnet/fabric/kernel/kernel_probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Measures every router with real packets, all at once. Two namespaces for the time of the test: one has a
 * foot in every LAN (the clients), the other in every network that routers face (the servers, two addresses
 * of two ports). Within a direction packets keep their order, so one that must arrive, sent last, shows that
 * the others will not. */

enum {
	SERVER_PORT = 3478, /* and the next one */
	CLOSED_PORT = 9,
	ARRIVE_MS = 1500, /* bound on what must come; events end the wait, so only failures are slow */
	STRAY_MS = 15,	  /* what may still come after the packet that was sent last */
	ROUTERS_AT_ONCE = 32,
	MAGIC = 0x6e657430,
};
enum test { TEST_MAP, TEST_FILTER, TEST_HAIRPIN };

struct message {
	uint32_t magic, router, test, server;
};

struct client { /* of one router */
	int map, filter, hairpin, stranger;
	struct endpoint seen[4]; /* source of the mapping test at A1 A2 B1 B2; port 0 = did not arrive */
	struct endpoint hole;	 /* the filter socket as A1 saw it */
	bool passed[4];		 /* servers whose packet came back through the hole */
	struct endpoint hairpin_from;
	bool refused; /* a closed WAN port answered */
};

struct addr probe_host(const struct scenario *s, int network, uint32_t number)
{
	/* On the internet any address is on link; take the /24 of whoever is there. */
	struct addr any = network >= 0 ? s->routers[network].lan : addr_v4(0);
	for (size_t i = 0; network < 0 && i < s->n_routers; i++)
		if (s->routers[i].behind < 0)
			any = s->routers[i].wan;
	return addr_v4((addr_v4_get(&any) & 0xffffff00) | number);
}

/* ---- interfaces ---- */

static void port_name(unsigned test_no, int network, bool out, char *name)
{
	kernel_port_name('p', (int)(test_no % 100000 * 1000) + network + 1, out ? 'o' : 'i', name);
}

/* The kernel removes interfaces of a closed namespace in its own time; until then they answer for the new
 * ones. */
static void unplug_last(struct engine *e)
{
	for (int i = 0; i < 2 * ((int)e->s->n_routers + 1); i++) {
		char port[KERNEL_NAME];
		struct errbuf gone_already;
		port_name(e->n_self_tests - 1, i / 2 - 1, i % 2, port);
		int ifindex = nl_link_index(e->fabric_nl, port);
		if (ifindex > 0)
			(void)nl_link_del(e->fabric_nl, ifindex, &gone_already);
	}
}

static int add_addresses(
	const struct scenario *s, struct nl *n, int ifindex, int network, struct addr ip, struct errbuf *eb)
{
	struct prefix v6 = topology_v6(network, &ip);
	int err = nl_addr_add(n, ifindex, &(struct prefix) { .ip = ip, .bits = 24 }, eb);
	return err || !s->ipv6 ? err : nl_addr_add(n, ifindex, &v6, eb);
}

static int add_way_out(const struct scenario *s, struct nl *n, int ifindex, int network, struct errbuf *eb)
{
	struct nl_route r = { .dst = { .ip = addr_v4(0) },
		.ifindex = ifindex,
		.via = s->routers[network].lan,
		.metric = (uint32_t)network + 1 };
	int err = nl_route_add(n, &r, eb);
	if (err || !s->ipv6)
		return err;
	r.dst = (struct prefix) { .ip = addr_any6 };
	r.via = topology_v6(network, &s->routers[network].lan).ip;
	return nl_route_add(n, &r, eb);
}

/* To the LANs behind the routers that face the network: by IPv6 as it should be, by IPv4 as a stranger may
 * try. */
static int add_ways_in(const struct scenario *s, struct nl *n, int ifindex, int network, struct errbuf *eb)
{
	int err = 0;
	for (int i = 0; i < (int)s->n_routers && !err; i++) {
		const struct scn_router *r = &s->routers[i];
		if (r->behind != network)
			continue;
		struct nl_route in = { .dst = r->lan_net, .ifindex = ifindex, .via = r->wan };
		err = nl_route_add(n, &in, eb);
		in.dst = topology_v6(i, &r->lan);
		in.via = topology_v6(network, &r->wan).ip;
		if (!err && s->ipv6)
			err = nl_route_add(n, &in, eb);
	}
	return err;
}

static int plug_in(struct probe *p, bool out, int network, const uint32_t numbers[2], struct errbuf *eb)
{
	const struct scenario *s = p->e->s;
	const struct netns *ns = out ? &p->outside : &p->inside;
	char port[KERNEL_NAME], name[KERNEL_NAME];
	port_name(p->e->n_self_tests, network, out, port);
	snprintf(name, sizeof(name), "e%d", network + 1);
	/* The same in every test of an engine: routers may still know the last one's. */
	const uint8_t mac[6] = { 2, 0, 0, out ? 5 : 4, (uint8_t)((network + 1) >> 8),
		(uint8_t)(network + 1) };
	struct nl_veth v = { .name = port,
		.peer = name,
		.peer_mac = mac,
		.peer_ns = ns->fd,
		.master = p->e->bridges[network + 1],
		.up = true };
	int err = nl_veth_add(p->e->fabric_nl, &v, eb);
	if (!err)
		err = netns_enter(ns, eb);
	if (err)
		return err;
	struct nl *n = nl_open(eb);
	if (!n)
		return eb->code;
	int ifindex = nl_link_index(n, name);
	err = nl_link_up(n, ifindex, true, eb);
	for (int i = 0; i < 2 && !err; i++)
		err = add_addresses(s, n, ifindex, network, probe_host(s, network, numbers[i]), eb);
	if (!err)
		err = out ? add_ways_in(s, n, ifindex, network, eb) : add_way_out(s, n, ifindex, network, eb);
	nl_close(n);
	return err ? err : nl_link_settle(p->e->fabric_nl, port, eb);
}

bool probe_is_faced(const struct scenario *s, int network)
{
	for (size_t i = 0; i < s->n_routers; i++)
		if (s->routers[i].behind == network)
			return true;
	return false;
}

static int make_namespaces(struct probe *p, struct errbuf *eb)
{
	struct netns *both[] = { &p->inside, &p->outside };
	int err = 0;
	for (int i = 0; i < 2 && !err; i++) {
		err = netns_new(both[i], eb);
		if (!err)
			err = p->e->s->ipv6 ? netns_sysctl("net/ipv6/conf/default/accept_dad", "0", eb)
					    : netns_sysctl("net/ipv6/conf/default/disable_ipv6", "1", eb);
		if (!err) /* a hairpinned packet comes from an address of our own */
			err = netns_sysctl("net/ipv4/conf/all/accept_local", "1", eb);
		if (!err)
			err = netns_sysctl("net/ipv4/conf/all/rp_filter", "0", eb);
		if (!err)
			err = netns_sysctl("net/ipv4/conf/default/rp_filter", "0", eb);
	}
	return err;
}

static int connect_networks(struct probe *p, struct errbuf *eb)
{
	static const uint32_t out[] = { PROBE_OUT_A, PROBE_OUT_B }, in[] = { PROBE_IN, PROBE_HAIRPIN };
	int err = make_namespaces(p, eb);
	for (int network = -1; !err && network < (int)p->n_routers; network++) {
		if (probe_is_faced(p->e->s, network))
			err = plug_in(p, true, network, out, eb);
		if (!err && network >= 0)
			err = plug_in(p, false, network, in, eb);
	}
	return err;
}

/* ---- sockets ---- */

int probe_socket(int network, int type, const struct endpoint *at)
{
	char device[KERNEL_NAME];
	struct sockaddr_storage ss;
	bool v4 = addr_is_v4(&at->ip);
	socklen_t len = endpoint_to_sockaddr(at, false, &ss);
	/* A reset at the end leaves nothing under way that the routers would learn anew. */
	const struct linger reset = { .l_onoff = 1 };
	int one = 1, fd = socket(v4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK,
			     type != SOCK_RAW ? 0
			     : v4	      ? IPPROTO_ICMP
					      : IPPROTO_ICMPV6);
	if (fd < 0)
		return -1;
	snprintf(device, sizeof(device), "e%d", network + 1);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1) == 0 &&
		(type != SOCK_STREAM ||
			(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
				setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0)) &&
		bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	int err = errno;
	close(fd);
	errno = err;
	return -1;
}

static int open_udp(const struct probe *p, int network, uint32_t number, uint16_t port)
{
	return probe_socket(network, SOCK_DGRAM,
		&(struct endpoint) { .ip = probe_host(p->e->s, network, number), .port = port });
}

static struct endpoint server_at(const struct probe *p, int network, int server)
{
	return (struct endpoint) { .ip = probe_host(p->e->s, network, server < 2 ? PROBE_OUT_A : PROBE_OUT_B),
		.port = (uint16_t)(SERVER_PORT + server % 2) };
}

static int open_servers(struct probe *p, struct errbuf *eb)
{
	int err = netns_enter(&p->outside, eb);
	for (int network = -1; !err && network < (int)p->n_routers; network++) {
		for (int k = 0; probe_is_faced(p->e->s, network) && k < 4 && !err; k++) {
			struct endpoint at = server_at(p, network, k);
			int fd = open_udp(p, network, k < 2 ? PROBE_OUT_A : PROBE_OUT_B, at.port);
			p->servers[network + 1][k] = fd;
			err = fd < 0 ? err_set(eb, -errno, "open a probe's server socket") : 0;
		}
	}
	for (size_t i = 0; !err && i < p->n_routers; i++) {
		const struct scn_router *r = &p->e->s->routers[i];
		struct sockaddr_storage ss;
		socklen_t len = endpoint_to_sockaddr(
			&(struct endpoint) { .ip = r->wan, .port = CLOSED_PORT }, false, &ss);
		int fd = p->clients[i].stranger = open_udp(p, r->behind, PROBE_OUT_B, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len) < 0)
			err = err_set(eb, -errno, "open a probe's socket");
	}
	return err;
}

static int open_clients(struct probe *p, struct errbuf *eb)
{
	int err = netns_enter(&p->inside, eb);
	for (int i = 0; !err && i < (int)p->n_routers; i++) {
		struct client *c = &p->clients[i];
		c->map = open_udp(p, i, PROBE_IN, 0);
		c->filter = open_udp(p, i, PROBE_IN, 0);
		c->hairpin = open_udp(p, i, PROBE_HAIRPIN, 0);
		if (c->map < 0 || c->filter < 0 || c->hairpin < 0)
			err = err_set(eb, -errno, "open a probe's client socket");
	}
	return err;
}

static void close_all(struct probe *p)
{
	for (size_t i = 0; p->clients && i < p->n_routers; i++) {
		int fds[] = { p->clients[i].map, p->clients[i].filter, p->clients[i].hairpin,
			p->clients[i].stranger };
		for (size_t k = 0; k < ARRAY_LEN(fds); k++)
			if (fds[k] >= 0)
				close(fds[k]);
	}
	for (size_t i = 0; p->servers && i <= p->n_routers; i++)
		for (int k = 0; k < 4; k++)
			if (p->servers[i][k] >= 0)
				close(p->servers[i][k]);
	free(p->clients);
	free(p->servers);
	free(p->fds);
	netns_close(&p->inside);
	netns_close(&p->outside);
}

/* ---- packets ---- */

static void send_message(int fd, const struct endpoint *to, int router, enum test test, int server)
{
	struct message m = { MAGIC, (uint32_t)router, test, (uint32_t)server };
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, false, &ss);
	(void)!sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&ss, len); /* not arriving is a finding */
}

static void message_received(struct probe *p, const struct message *m, const struct endpoint *from)
{
	if (m->magic != MAGIC || m->router >= p->n_routers || m->server >= 4)
		return;
	struct client *c = &p->clients[m->router];
	switch ((enum test)m->test) {
	case TEST_MAP: c->seen[m->server] = *from; break;
	case TEST_FILTER:
		if (!endpoint_is_set(&c->hole))
			c->hole = *from;
		else
			c->passed[m->server] = true;
		break;
	case TEST_HAIRPIN: c->hairpin_from = *from; break;
	}
}

static void drain(struct probe *p, int fd)
{
	struct message m;
	struct sockaddr_storage ss;
	for (;;) {
		socklen_t len = sizeof(ss);
		ssize_t n = recvfrom(fd, &m, sizeof(m), 0, (struct sockaddr *)&ss, &len);
		struct endpoint from;
		if (n < 0)
			return;
		if (n == (ssize_t)sizeof(m) && endpoint_from_sockaddr((struct sockaddr *)&ss, &from))
			message_received(p, &m, &from);
	}
}

/* A stranger's socket only ever receives the refusal of the router itself. */
static void drain_all(struct probe *p)
{
	char byte;
	for (size_t i = 0; i <= p->n_routers; i++)
		for (int k = 0; k < 4; k++)
			if (p->servers[i][k] >= 0)
				drain(p, p->servers[i][k]);
	for (size_t i = 0; i < p->n_routers; i++) {
		drain(p, p->clients[i].filter);
		if (recv(p->clients[i].stranger, &byte, 1, 0) < 0 && errno == ECONNREFUSED)
			p->clients[i].refused = true;
	}
}

static uint64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static nfds_t watched(const struct probe *p, struct pollfd *fds)
{
	nfds_t n = 0;
	for (size_t i = 0; i <= p->n_routers; i++)
		for (int k = 0; k < 4; k++)
			if (p->servers[i][k] >= 0)
				fds[n++] = (struct pollfd) { .fd = p->servers[i][k], .events = POLLIN };
	for (size_t i = 0; i < p->n_routers; i++) {
		fds[n++] = (struct pollfd) { .fd = p->clients[i].filter, .events = POLLIN };
		fds[n++] = (struct pollfd) { .fd = p->clients[i].stranger, .events = POLLIN };
	}
	return n;
}

/* Reads until `done` says so of every router (NULL: never) or the time is over. */
static void kernel_probe_collect(
	struct probe *p, bool (*done)(const struct probe *p, int router), int bound_ms)
{
	nfds_t n = watched(p, p->fds);
	for (uint64_t now = now_ms(), end = now + (uint64_t)bound_ms; now < end; now = now_ms()) {
		bool all = done;
		drain_all(p);
		for (size_t i = 0; all && i < p->n_routers; i++)
			all = done(p, (int)i);
		if (all)
			return;
		(void)poll(p->fds, n, (int)(end - now));
	}
}

/* Many routers share a server, whose queue is short. */
static void kernel_probe_make_room(struct probe *p, int router)
{
	if (router % ROUTERS_AT_ONCE == ROUTERS_AT_ONCE - 1)
		drain_all(p);
}

/* ---- the two rounds ---- */

static bool is_mapped(const struct probe *p, int router)
{
	const struct scn_router *r = &p->e->s->routers[router];
	const struct client *c = &p->clients[router];
	bool all = endpoint_is_set(&c->hole);
	for (int k = 0; k < 4; k++)
		all = all && endpoint_is_set(&c->seen[k]);
	return r->udp_blocked || (all && (c->refused || !r->accepts_wan || !r->nat));
}

static bool is_filtered(const struct probe *p, int router)
{
	const struct scn_router *r = &p->e->s->routers[router];
	const struct client *c = &p->clients[router];
	if (!r->nat || r->udp_blocked)
		return true;
	bool hairpin = r->hairpin == NAT_HAIRPIN_OFF || endpoint_is_set(&c->hairpin_from);
	bool far = r->filtering != NAT_EIF || (c->passed[2] && c->passed[3]);
	bool near = r->filtering == NAT_APDF || c->passed[1];
	return c->passed[0] && hairpin && far && near;
}

static void run_tests(struct probe *p)
{
	const struct scenario *s = p->e->s;
	for (int i = 0; i < (int)p->n_routers;
		i++) /* first, so that the bridges know where the servers are */
		(void)!send(p->clients[i].stranger, "", 1, 0);
	for (int i = 0; i < (int)p->n_routers; i++) {
		struct client *c = &p->clients[i];
		struct endpoint first = server_at(p, s->routers[i].behind, 0);
		send_message(c->filter, &first, i, TEST_FILTER, 0);
		for (int k = 0; k < 4; k++) {
			struct endpoint to = server_at(p, s->routers[i].behind, k);
			send_message(c->map, &to, i, TEST_MAP, k);
		}
		kernel_probe_make_room(p, i);
	}
	kernel_probe_collect(p, is_mapped, ARRIVE_MS);
	for (int i = 0; i < (int)p->n_routers; i++) {
		struct client *c = &p->clients[i];
		if (!s->routers[i].nat || !endpoint_is_set(&c->hole))
			continue;
		send_message(c->hairpin, &c->hole, i, TEST_HAIRPIN, 0);
		for (int k = 3; k >= 0; k--) /* A1, which must pass, comes last */
			send_message(p->servers[s->routers[i].behind + 1][k], &c->hole, i, TEST_FILTER, k);
	}
	kernel_probe_collect(p, is_filtered, ARRIVE_MS);
	kernel_probe_collect(p, NULL, STRAY_MS);
}

/* ---- the verdict ---- */

static const char *const mapping_names[] = { "EIM", "ADM", "APDM" };
static const char *const filtering_names[] = { "EIF", "ADF", "APDF" };
static const char *const hairpin_names[] = { "off", "internal", "external" };

struct finding {
	bool passes, nat;
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	enum nat_hairpin hairpin;
	bool accepts_wan;
};

static struct finding finding_of(const struct probe *p, int router)
{
	const struct client *c = &p->clients[router];
	const struct endpoint *seen = c->seen;
	struct addr inside = probe_host(p->e->s, router, PROBE_IN);
	struct finding f = { .passes = endpoint_is_set(&c->hole), .accepts_wan = c->refused };
	for (int k = 0; k < 4; k++)
		f.passes |= endpoint_is_set(&seen[k]);
	f.nat = f.passes && !addr_equal(&c->hole.ip, &inside);
	bool near = endpoint_equal(&seen[0], &seen[1]) && endpoint_equal(&seen[2], &seen[3]);
	f.mapping = near && endpoint_equal(&seen[0], &seen[2]) ? NAT_EIM : near ? NAT_ADM : NAT_APDM;
	f.filtering = c->passed[2] || c->passed[3] ? NAT_EIF : c->passed[1] ? NAT_ADF : NAT_APDF;
	if (endpoint_is_set(&c->hairpin_from))
		f.hairpin = addr_equal(&c->hairpin_from.ip, &p->e->s->routers[router].wan)
				    ? NAT_HAIRPIN_EXTERNAL
				    : NAT_HAIRPIN_INTERNAL;
	return f;
}

static const char *describe(const struct finding *f, char *out, size_t cap)
{
	if (!f->passes)
		snprintf(out, cap, "no UDP passes");
	else if (!f->nat)
		snprintf(out, cap, "routes without translating");
	else
		snprintf(out, cap, "%s/%s, hairpin %s, its own WAN side %s", mapping_names[f->mapping],
			filtering_names[f->filtering], hairpin_names[f->hairpin],
			f->accepts_wan ? "accepts packets" : "is guarded");
	return out;
}

static bool agrees(const struct finding *want, const struct finding *got)
{
	if (!want->passes || !got->passes)
		return want->passes == got->passes;
	if (!want->nat || !got->nat)
		return want->nat == got->nat;
	return (want->mapping == got->mapping && want->filtering == got->filtering &&
		want->hairpin == got->hairpin && want->accepts_wan == got->accepts_wan);
}

static int judge(const struct probe *p, int router, struct errbuf *eb)
{
	const struct scn_router *r = &p->e->s->routers[router];
	struct finding got = finding_of(p, router), want = { .passes = !r->udp_blocked,
		.nat = r->nat,
		.mapping = r->mapping,
		.filtering = r->filtering,
		.hairpin = r->hairpin,
		.accepts_wan = r->accepts_wan };
	char says[96], measured[96];
	p->e->measured[router] = (struct engine_probe_result) { .mapping = got.mapping,
		.filtering = got.filtering,
		.hairpin = got.hairpin != NAT_HAIRPIN_OFF,
		.guarded = !got.accepts_wan };
	if (agrees(&want, &got))
		return 0;
	return err_say(eb, ERR_REFUSED,
		"%s:%u:%u: router '%s' does not behave as the file says: declared %s; measured %s. No "
		"verdict behind it "
		"would count; please report this with the kernel and nft versions",
		p->e->s->file, r->at.line, r->at.column, r->name, describe(&want, says, sizeof(says)),
		describe(&got, measured, sizeof(measured)));
}

static int measure(struct probe *p, struct errbuf *eb)
{
	int err = connect_networks(p, eb);
	if (!err)
		err = open_servers(p, eb);
	if (!err)
		err = open_clients(p, eb);
	netns_return(hosts_home(p->e->hosts));
	if (err)
		return err;
	run_tests(p);
	for (int i = 0; !err && i < (int)p->n_routers; i++)
		err = judge(p, i, eb);
	return err ? err : kernel_check(p, eb);
}

static void forget_drops(struct engine *e)
{
	struct engine_drop drops[16];
	while (trace_read(e->trace, drops, ARRAY_LEN(drops)))
		;
}

int kernel_self_test(struct engine *e, struct errbuf *eb)
{
	struct probe p = {
		.e = e, .inside = netns_none, .outside = netns_none, .n_routers = e->s->n_routers
	};
	if (!p.n_routers)
		return 0;
	p.clients = calloc(p.n_routers, sizeof(*p.clients));
	p.servers = calloc(p.n_routers + 1, sizeof(*p.servers));
	p.fds = calloc(6 * p.n_routers + 4, sizeof(*p.fds));
	for (size_t i = 0; p.clients && i < p.n_routers; i++)
		p.clients[i].map = p.clients[i].filter = p.clients[i].hairpin = p.clients[i].stranger = -1;
	for (size_t i = 0; p.servers && i <= p.n_routers; i++)
		memset(p.servers[i], 0xff, sizeof(p.servers[i])); /* -1 */
	if (e->n_self_tests++)
		unplug_last(e);
	int err =
		p.clients && p.servers && p.fds ? measure(&p, eb) : err_set(eb, -ENOMEM, "probe the routers");
	close_all(&p);
	if (!err)
		err = kernel_nat_forget(e, eb);
	forget_drops(e);
	return err;
}
