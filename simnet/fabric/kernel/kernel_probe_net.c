#include "simnet/fabric/kernel/kernel_probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where the self-test stands: a namespace with a foot in every LAN and one with a foot in every network that
 * routers face, and sockets at those feet. */

bool probe_is_outer(const struct scn_router *r, const struct addr *a)
{
	for (uint32_t k = 0; k < r->model.pool; k++) {
		struct addr one = topology_pool(r, k);
		if (addr_equal(&one, a))
			return true;
	}
	return false;
}

struct addr probe_host(const struct scenario *s, int network, uint32_t number)
{
	struct prefix net = topology_net(s, network);
	return addr_v4(addr_v4_get(&net.ip) + number);
}

/* ---- interfaces ---- */

static void port_name(unsigned test_no, int network, bool out, char *name)
{
	kernel_port_name('p', (int)(test_no % 100000 * 1000) + network + 1, out ? 'o' : 'i', name);
}

/* The kernel removes interfaces of a closed namespace in its own time; until then they answer for the new
 * ones. */
void probe_unplug_last(struct engine *e)
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
	struct prefix v6 = topology_v6(s, network, &ip);
	struct prefix v4 = { .ip = ip, .bits = topology_net(s, network).bits };
	int err = nl_addr_add(n, ifindex, &v4, eb);
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
	r.via = topology_v6(s, network, &s->routers[network].lan).ip;
	return nl_route_add(n, &r, eb);
}

/* The router itself is on that network, though another's LAN may have the same range. */
static int add_way_to(const struct scn_router *r, struct nl *n, int ifindex, struct errbuf *eb)
{
	int err = 0;
	for (uint32_t k = 0; k < (r->nat ? r->model.pool : 1) && !err; k++) {
		struct addr outer = topology_pool(r, k);
		err = nl_route_add(n,
			&(struct nl_route) {
				.dst = prefix_of(&outer), .via = addr_v4(0), .ifindex = ifindex },
			eb);
	}
	return err;
}

/* To the LANs behind the routers that face the network: by IPv6 as it should be, by IPv4 as a stranger may
 * try. */
static int add_ways_in(const struct scenario *s, struct nl *n, int ifindex, int network, struct errbuf *eb)
{
	struct nl_route all = { .dst = { .ip = addr_v4(0) }, .via = addr_v4(0), .ifindex = ifindex };
	int err = network < 0 ? nl_route_add(n, &all, eb) : 0; /* where everything is on link */
	for (int i = 0; i < (int)s->n_routers && !err; i++) {
		const struct scn_router *r = &s->routers[i];
		if (r->behind != network)
			continue;
		struct nl_route in = { .dst = r->lan_net, .ifindex = ifindex, .via = r->wan };
		err = add_way_to(r, n, ifindex, eb);
		if (!err)
			err = nl_route_add(n, &in, eb);
		in.dst = topology_v6_from(s, network, i, &r->lan);
		in.via = topology_v6(s, network, &r->wan).ip;
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
		if (!err) /* a closed port answers every router, however many there are at once */
			err = netns_sysctl("net/ipv4/icmp_ratemask", "0", eb);
		/* The kernel's own answer would leave by the router of the first LAN, whichever was asked through. */
		if (!err && both[i] == &p->inside)
			err = netns_sysctl("net/ipv4/icmp_echo_ignore_all", "1", eb);
		if (!err)
			err = netns_sysctl("net/ipv4/conf/all/rp_filter", "0", eb);
		if (!err)
			err = netns_sysctl("net/ipv4/conf/default/rp_filter", "0", eb);
	}
	return err;
}

int probe_connect(struct probe *p, struct errbuf *eb)
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

static int bound_socket(int network, int type, int proto, const struct endpoint *at)
{
	char device[KERNEL_NAME];
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(at, false, &ss);
	/* A reset at the end leaves nothing under way that the routers would learn anew. */
	const struct linger reset = { .l_onoff = 1 };
	int one = 1,
	    fd = socket(addr_is_v4(&at->ip) ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);
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

int probe_socket(int network, int type, const struct endpoint *at)
{
	int raw = addr_is_v4(&at->ip) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	return bound_socket(network, type, type == SOCK_RAW ? raw : 0, at);
}

int probe_raw_socket(int network, int proto, const struct addr *at)
{
	return bound_socket(network, SOCK_RAW, proto, &(struct endpoint) { .ip = *at });
}
