/* What the official service told routers of its recorded tailnets, on packets: each filter of a recorded `routes` policy is
 * put into a router's plane, a peer sends through WireGuard, and what the kernel forwards behind the router is what the
 * filter says, as this file reads it. One world for all of them: two planes (world.h), the router's with a TUN device of the
 * kernel, and a network behind it that takes every address. The recordings lie beside the source tree; where they do not,
 * this is skipped. */
#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/rules.h"
#include "mesh/node/plane/test/world.h"
#include "mesh/node/plane/tun.h"
#include "mesh/os/child.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/netmap/test/told_map.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum {
	PROBES_MAX = 4096,
	BITE = 64,
	PLACES_MAX = 64,
	SOURCES_MAX = 48,
	OFFERED_MAX = 8,
	WAIT_MS = 60000,
	POLICIES_LEAST = 20,
	FIRST_PORT = 20000, /* a probe's source port or sequence number says which it is */
	MARK_PORT = 9
};

/* --- the filter, read by this file --- */

struct range {
	struct addr first, last;
};

static struct addr last_of(const struct prefix *p)
{
	struct addr a = p->ip;
	unsigned from = addr_is_v4(&a) ? 96u + p->bits : p->bits;
	for (unsigned bit = from; bit < 128; bit++)
		a.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return a;
}

/* "*" is all of the family of `like`. */
static struct range range_read(const char *text, const struct addr *like)
{
	struct range r = { addr_any6, { { 0 } } };
	struct prefix p;
	char first[ADDR_TEXT];
	const char *dash = strchr(text, '-');
	memset(r.last.b, 0xff, sizeof(r.last.b));
	if (strcmp(text, "*") == 0)
		return addr_is_v4(like) ? (struct range) { addr_v4(0), addr_v4(UINT32_MAX) } : r;
	if (dash) {
		snprintf(first, sizeof(first), "%.*s", (int)(dash - text), text);
		assert_true(addr_parse(first, &r.first) && addr_parse(dash + 1, &r.last));
	} else if (addr_parse(text, &r.first)) {
		r.last = r.first;
	} else {
		assert_true(prefix_parse(text, &p));
		r = (struct range) { p.ip, last_of(&p) };
	}
	return r;
}

static bool range_has(const char *text, const struct addr *a)
{
	struct range r = range_read(text, a);
	return addr_is_v4(&r.first) == addr_is_v4(a) && memcmp(r.first.b, a->b, 16) <= 0 &&
	       memcmp(a->b, r.last.b, 16) <= 0;
}

struct probe {
	struct addr src, dst;
	uint8_t proto;
	uint16_t port;
	bool expected, seen;
};

static bool protos_have(json_t *protos, uint8_t proto)
{
	json_t *one;
	size_t i;
	if (!json_array_size(protos))
		return proto == IP_TCP || proto == IP_UDP || proto == IP_ICMP || proto == IP_ICMP6;
	json_array_foreach(protos, i, one) if (json_integer_value(one) == proto) return true;
	return false;
}

/* Who may connect may ping. */
static bool rule_speaks_of(json_t *rule, const struct probe *p)
{
	json_t *protos = json_object_get(rule, "IPProto");
	bool ping = p->proto == IP_ICMP || p->proto == IP_ICMP6;
	return protos_have(protos, p->proto) ||
	       (ping && (protos_have(protos, IP_TCP) || protos_have(protos, IP_UDP)));
}

static bool rule_admits(json_t *rule, const struct probe *p)
{
	json_t *one;
	size_t i;
	bool from = false, to = false, ping = p->proto == IP_ICMP || p->proto == IP_ICMP6;
	json_array_foreach(json_object_get(rule, "SrcIPs"), i, one) from =
		from || range_has(json_string_value(one), &p->src);
	json_array_foreach(json_object_get(rule, "DstPorts"), i, one)
	{
		json_t *ports = json_object_get(one, "Ports");
		bool port = ping || (p->port >= json_integer_value(json_object_get(ports, "First")) &&
					    p->port <= json_integer_value(json_object_get(ports, "Last")));
		to = to || (port && range_has(json_string_value(json_object_get(one, "IP")), &p->dst));
	}
	return from && to && rule_speaks_of(rule, p);
}

/* --- a router of a recorded tailnet --- */

struct router {
	const char *policy, *name;
	json_t *filter;
	struct addr own[2];
	struct prefix offered[OFFERED_MAX];
	size_t n_offered;
	struct probe probes[PROBES_MAX];
	size_t n;
};

/* Behind the router, or an exit's internet. */
static bool is_behind(const struct router *r, const struct addr *a)
{
	bool internet = addr_is_v4(a) ? !addr_is_private(a) && !addr_is_mesh(a) : a->b[0] >> 5 == 1;
	for (size_t i = 0; i < r->n_offered; i++)
		if (prefix_contains(&r->offered[i], a) && (r->offered[i].bits || internet))
			return true;
	return addr_equal(a, &r->own[0]) || addr_equal(a, &r->own[1]);
}

static bool is_expected(const struct router *r, const struct probe *p)
{
	json_t *rule;
	size_t i;
	if (!is_behind(r, &p->dst) || is_behind(r, &p->src))
		return false;
	json_array_foreach(r->filter, i, rule) if (rule_admits(rule, p)) return true;
	return false;
}

static void add_probe(struct router *r, const struct addr *src, const struct addr *dst, uint16_t port)
{
	const uint8_t protos[] = { IP_TCP, IP_UDP, addr_is_v4(src) ? IP_ICMP : IP_ICMP6 };
	if (addr_is_v4(src) != addr_is_v4(dst))
		return;
	for (size_t i = 0; i < ARRAY_LEN(protos) && r->n < PROBES_MAX; i++) {
		struct probe p = { .src = *src, .dst = *dst, .proto = protos[i], .port = port };
		p.expected = is_expected(r, &p);
		r->probes[r->n++] = p;
	}
}

struct addrs {
	struct addr v[PLACES_MAX];
	size_t n;
};

/* The kernel of the router keeps the mesh's own to itself. */
static void add_place(struct addrs *to, struct addr a)
{
	for (size_t i = 0; i < to->n; i++)
		if (addr_equal(&to->v[i], &a))
			return;
	bool odd = addr_is_multicast(&a) || addr_is_loopback(&a) || addr_is_link_local(&a) ||
		   addr_is_unspecified(&a) || addr_is_mesh(&a) || addr_is_cgnat(&a) ||
		   (addr_is_v4(&a) && (addr_v4_get(&a) >> 24 == 0 || addr_v4_get(&a) >> 28 >= 14));
	if (!odd && to->n < PLACES_MAX)
		to->v[to->n++] = a;
}

static struct addr after(struct addr a)
{
	a.b[15] |= 1;
	return a;
}

/* Both ends of what rules and routes name, and some places that perhaps nobody does. */
static void list_places(const struct router *r, struct addrs *to)
{
	static const char *const usual[] = { "8.8.8.8", "10.33.0.5", "10.99.0.1", "192.168.1.9", "172.16.0.9",
		"2600::9", "fd00:1::9" };
	const struct addr v4 = addr_v4(0);
	struct addr a;
	json_t *rule, *dst;
	size_t i, k;
	for (i = 0; i < ARRAY_LEN(usual); i++)
		if (addr_parse(usual[i], &a))
			add_place(to, a);
	for (i = 0; i < r->n_offered; i++) {
		add_place(to, after(r->offered[i].ip));
		add_place(to, last_of(&r->offered[i]));
	}
	json_array_foreach(r->filter, i, rule) json_array_foreach(json_object_get(rule, "DstPorts"), k, dst)
	{
		const char *text = json_string_value(json_object_get(dst, "IP"));
		struct range range = range_read(text, &v4);
		if (strcmp(text, "*") == 0)
			continue;
		add_place(to, range.first);
		add_place(to, after(range.first));
		add_place(to, range.last);
	}
}

/* Both sides of each border. */
static size_t list_ports(const struct router *r, uint16_t out[static 8])
{
	size_t n = 0, i, k;
	json_t *rule, *dst;
	out[n++] = 22;
	json_array_foreach(r->filter, i, rule) json_array_foreach(json_object_get(rule, "DstPorts"), k, dst)
	{
		json_t *ports = json_object_get(dst, "Ports");
		json_int_t first = json_integer_value(json_object_get(ports, "First")),
			   last = json_integer_value(json_object_get(ports, "Last"));
		if (n > 4 || (first == 0 && last == UINT16_MAX) || (n > 1 && out[1] == first))
			continue;
		out[n++] = (uint16_t)first;
		out[n++] = (uint16_t)(first - 1);
		out[n++] = (uint16_t)(last + 1);
	}
	return n;
}

static void list_sources(json_t *nodes, const struct router *r, struct addrs *to)
{
	const char *name;
	json_t *node, *route;
	size_t i;
	struct addr a;
	struct prefix p;
	json_object_foreach(nodes, name, node)
	{
		if (strcmp(name, r->name) == 0)
			continue;
		for (int k = 0; k < 2; k++)
			if (to->n < SOURCES_MAX &&
				addr_parse(json_string_value(json_object_get(node, k ? "ipv6" : "ipv4")), &a))
				to->v[to->n++] = a;
		json_array_foreach(json_object_get(node, "approved_routes"), i,
			route) if (prefix_parse(json_string_value(route), &p) && p.bits &&
				   to->n < SOURCES_MAX) to->v[to->n++] = after(p.ip);
	}
	assert_true(addr_parse("100.99.99.99", &to->v[to->n++]));
}

/* false: nothing was recorded for it. */
static bool router_make(struct router *r, json_t *one, json_t *topology, const char *name, json_t *node)
{
	json_t *told = json_object_get(json_object_get(one, "expect"), name), *route;
	size_t i, n_ports;
	uint16_t ports[8];
	struct addrs places = { .n = 0 }, sources = { .n = 0 };
	*r = (struct router) { .policy = json_string_value(json_object_get(one, "id")), .name = name };
	json_array_foreach(json_object_get(node, "routable_ips"), i,
		route) if (r->n_offered < OFFERED_MAX &&
			   prefix_parse(json_string_value(route), &r->offered[r->n_offered])) r->n_offered++;
	r->filter = json_object_get(told, "filter");
	if (!told || !r->n_offered || !json_array_size(json_object_get(node, "approved_routes")))
		return false;
	assert_true(addr_parse(json_string_value(json_object_get(node, "ipv4")), &r->own[0]));
	assert_true(addr_parse(json_string_value(json_object_get(node, "ipv6")), &r->own[1]));
	list_places(r, &places);
	list_sources(json_object_get(topology, "nodes"), r, &sources);
	n_ports = list_ports(r, ports);
	for (size_t d = 0; d < places.n; d++)
		for (size_t s = 0; s < sources.n; s++)
			for (size_t k = 0; k < n_ports; k++)
				add_probe(r, &sources.v[s], &places.v[d], ports[k]);
	return true;
}

/* --- the world --- */

struct lab {
	struct loop *loop;
	struct tun *tun;
	struct world *w;
	int behind; /* sees what arrives in the network behind */
	int mark;   /* says that all before it has arrived, or never will */
	uint16_t marks;
	unsigned policies, routers, probes, let_in;
};

static void shell(const char *line)
{
	const char *const argv[] = { "sh", "-ec", line, NULL };
	struct errbuf eb = { 0 };
	if (child_run(argv, NULL, 0, WAIT_MS, &eb) != 0)
		fail_msg("%s: %s", line, eb.text);
}

static void tun_received(void *arg, struct pkt *pkts, size_t n)
{
	(void)arg, (void)pkts, (void)n; /* answers: nobody asked */
}

static void tun_lost(void *arg, int code)
{
	(void)arg;
	fail_msg("the TUN device is gone: %d", code);
}

static int open_behind(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
	at.sll_ifindex = (int)if_nametoindex("lan");
	assert_true(fd >= 0 && at.sll_ifindex);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* The router's kernel sends everything to "lan", whose end is in this namespace of its own. */
static void lab_open(struct lab *l)
{
	struct tun_events ev = { .received = tun_received, .lost = tun_lost };
	struct errbuf eb = { 0 };
	char line[160];
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	(void)sched_setaffinity(
		0, sizeof(one), &one); /* what is forwarded keeps its order, and the mark is behind it */
	int router = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	int lan = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(router, CLONE_NEWNET), 0);
	l->loop = loop_new();
	l->tun = tun_open(l->loop, "rope0", &ev, &eb);
	if (!l->tun)
		fail_msg("%s", eb.text);
	snprintf(line, sizeof(line),
		"ip link add eth0 type veth peer name lan; ip link set lan netns /proc/%d/fd/%d",
		(int)getpid(), lan);
	shell(line);
	shell("sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
	      "net.ipv4.conf.all.rp_filter=0 "
	      "net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.rope0.rp_filter=0 "
	      "net.ipv4.conf.eth0.rp_filter=0;"
	      "for i in lo eth0 rope0; do ip link set $i up; done; ip addr add 198.51.100.1/32 dev eth0;"
	      "ip -6 addr add 3fff::1/128 dev eth0 nodad;"
	      "ip route add 198.51.100.2 dev eth0; ip route add default via 198.51.100.2 dev eth0;"
	      "ip -6 route add 3fff::2 dev eth0; ip -6 route add default via 3fff::2 dev eth0;"
	      "ip neigh add 198.51.100.2 dev eth0 lladdr 02:00:00:00:00:02;"
	      "ip -6 neigh add 3fff::2 dev eth0 lladdr 02:00:00:00:00:02;"
	      "ip route add 100.64.0.0/10 dev rope0; ip -6 route add fd7a:115c:a1e0::/48 dev rope0");
	struct endpoint to = { .ip = addr_v4(0xc6336402), .port = MARK_PORT };
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&to, false, &ss);
	l->mark = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(l->mark, (struct sockaddr *)&ss, n), 0);
	assert_int_equal(setns(lan, CLONE_NEWNET), 0);
	shell("ip link set lan address 02:00:00:00:00:02; ip link set lan up");
	l->behind = open_behind();
	assert_int_equal(setns(router, CLONE_NEWNET), 0);
	close(lan);
	close(router);
	l->w = world_new();
	world_map(l->w, 0, "");
	world_map(l->w, 1, "");
	world_send(l->w, 0, 1, 2, "a session first");
	world_run(l->w, 100);
}

static void lab_close(struct lab *l)
{
	world_free(l->w);
	tun_close(l->tun);
	loop_free(l->loop);
	close(l->behind);
	close(l->mark);
}

/* Whatever source the peer sends, WireGuard knows it as the peer's: the rules alone decide. */
static void allow_all(struct lab *l)
{
	for (int i = 0; i < 2; i++) {
		struct side *s = &l->w->side[i];
		struct prefix all[4] = { { addr_v4(0), 0 }, { addr_any6, 0 } };
		uint64_t peer = i ? 1 : 2;
		/* of the mesh's own ranges nobody has what he does not name */
		assert_true(prefix_parse("100.64.0.0/10", &all[2]) &&
			    prefix_parse("fd7a:115c:a1e0::/48", &all[3]));
		assert_true(wg_peer_set(s->d.wg, peer, &l->w->side[!i].key, NULL, all, ARRAY_LEN(all)));
	}
	dataplane_rules_set(&l->w->side[0].d, NULL);
}

static void use_filter(struct lab *l, const struct router *r)
{
	char head[512], ip[2][ADDR_TEXT];
	struct buf json = { 0 };
	struct errbuf eb = { 0 };
	char *filter = r->filter ? json_dumps(r->filter, 0) : strdup("[]");
	snprintf(head, sizeof(head),
		"{\"Node\":{\"ID\":1,\"StableID\":\"a\",\"Name\":\"a.x.test.\",\"User\":1,\"Key\":\"nodekey:%"
		"064d\","
		"\"Addresses\":[\"%s/32\",\"%s/128\"]},\"PacketFilter\":",
		1, addr_format(&r->own[0], ip[0]), addr_format(&r->own[1], ip[1]));
	assert_true(buf_printf(&json, "%s%s}", head, filter));
	struct netmap *map = told_map(NULL, buf_cstr(&json));
	struct rules_place at = { .offered = r->offered, .n_offered = r->n_offered };
	dataplane_rules_set(&l->w->side[1].d, rules_compile(map, &at, &eb));
	netmap_put(map);
	buf_free(&json);
	free(filter);
}

/* --- a probe --- */

static size_t probe_write(uint8_t *b, const struct probe *p, uint16_t number)
{
	bool v4 = addr_is_v4(&p->src);
	uint8_t *l4 = b + (v4 ? 20 : 40);
	size_t len = p->proto == IP_TCP ? 20 : 8, sum_at = p->proto == IP_TCP	? 16
							   : p->proto == IP_UDP ? 6
										: 2;
	memset(l4, 0, len);
	if (p->proto == IP_ICMP || p->proto == IP_ICMP6) {
		l4[0] = v4 ? 8 : 128;
		be_put(l4 + 6, 2, number);
	} else {
		be_put(l4, 2, number);
		be_put(l4 + 2, 2, p->port);
	}
	if (p->proto == IP_UDP)
		be_put(l4 + 4, 2, len);
	if (p->proto == IP_TCP) {
		l4[12] = 5 << 4;
		l4[13] = TCP_SYN;
	}
	be_put(l4 + sum_at, 2,
		p->proto == IP_ICMP ? ip_checksum(l4, len, 0)
				    : ip_l4_checksum(&p->src, &p->dst, p->proto, l4, len));
	return ip_write_header(b, &p->src, &p->dst, p->proto, len);
}

static void send_probe(struct lab *l, const struct probe *p, uint16_t number)
{
	struct side *router = &l->w->side[1];
	uint8_t b[80];
	router->n_tun = 0;
	world_send_packet(l->w, 0, b, probe_write(b, p, number));
	world_run(l->w, 0);
	for (size_t i = 0; i < router->n_tun; i++) {
		struct pkt *out = &router->tun[i];
		tun_write_batch(l->tun, &out, 1);
	}
}

/* What the network behind has got, up to the mark. */
static bool see_one(struct lab *l, struct router *r)
{
	uint8_t b[2048];
	struct ip_view v;
	ssize_t len = recv(l->behind, b, sizeof(b), MSG_DONTWAIT);
	struct pollfd fd = { .fd = l->behind, .events = POLLIN };
	if (len < 0 && poll(&fd, 1, WAIT_MS) != 1)
		fail_msg("%s: the mark does not arrive", r->policy);
	if (len <= 0 || !ip_parse(b, (size_t)len, &v))
		return true;
	uint16_t number = v.sport;
	if (v.proto == IP_ICMP || v.proto == IP_ICMP6)
		number = (uint16_t)be_get(b + v.l4_at + 6, 2);
	if (v.proto == IP_UDP && v.dport == MARK_PORT && number >= FIRST_PORT + PROBES_MAX &&
		be_get(b + v.payload_at, 2) == l->marks)
		return false;
	size_t i = (size_t)number - FIRST_PORT;
	if (number >= FIRST_PORT && i < r->n && addr_equal(&v.dst, &r->probes[i].dst) &&
		addr_equal(&v.src, &r->probes[i].src) && v.proto == r->probes[i].proto)
		r->probes[i].seen = true;
	return true;
}

static void see_all(struct lab *l, struct router *r)
{
	uint8_t mark[2];
	be_put(mark, 2, ++l->marks);
	assert_int_equal(send(l->mark, mark, sizeof(mark), 0), sizeof(mark));
	while (see_one(l, r))
		;
}

static void check_router(struct lab *l, struct router *r)
{
	char src[ADDR_TEXT], dst[ADDR_TEXT];
	use_filter(l, r);
	for (size_t i = 0; i < r->n; i++) {
		send_probe(l, &r->probes[i], (uint16_t)(FIRST_PORT + i));
		if (i % BITE == BITE - 1 || i + 1 == r->n) /* no more than a socket holds */
			see_all(l, r);
	}
	for (size_t i = 0; i < r->n; i++) {
		const struct probe *p = &r->probes[i];
		l->let_in += p->seen;
		if (p->seen != p->expected)
			fail_msg("%s, %s: %s to %s, protocol %u port %u: %s, though the filter says %s",
				r->policy, r->name, addr_format(&p->src, src), addr_format(&p->dst, dst),
				p->proto, p->port, p->seen ? "forwarded" : "not forwarded",
				p->expected ? "yes" : "no");
	}
	l->routers++;
	l->probes += (unsigned)r->n;
}

/* --- all --- */

static json_t *load(const char *name)
{
	const char *root = getenv("RW_SOURCE_DIR");
	char path[1024];
	snprintf(path, sizeof(path), "%s/../shared/captures/policy/%s", root ? root : ".", name);
	return json_load_file(path, JSON_DISABLE_EOF_CHECK, NULL);
}

static FILE *open_cases(void)
{
	const char *root = getenv("RW_SOURCE_DIR");
	char path[1024];
	snprintf(path, sizeof(path), "%s/../shared/captures/policy/cases.jsonl", root ? root : ".");
	return fopen(path, "r");
}

static void check_policy(struct lab *l, json_t *one, json_t *topologies)
{
	static struct router r;
	json_t *topology = json_object_get(topologies, json_string_value(json_object_get(one, "topology")));
	const char *name;
	json_t *node;
	unsigned before = l->routers;
	json_object_foreach(json_object_get(topology, "nodes"), name,
		node) if (router_make(&r, one, topology, name, node)) check_router(l, &r);
	l->policies += l->routers > before;
}

static void test_routes(void **state)
{
	struct lab l = { .marks = 0 };
	json_t *topologies = load("topologies.json"), *one;
	FILE *cases = open_cases();
	(void)state;
	if (!topologies || !cases) {
		print_message("skipped: the recordings are not beside the source tree\n");
		skip();
	}
	if (!own_ns(CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK) != 0) {
		print_message("skipped: no network namespace or no TUN device here\n");
		skip();
	}
	lab_open(&l);
	allow_all(&l);
	while ((one = json_loadf(cases, JSON_DISABLE_EOF_CHECK, NULL))) {
		if (strncmp(json_string_value(json_object_get(one, "id")), "routes-", 7) == 0)
			check_policy(&l, one, topologies);
		json_decref(one);
	}
	print_message("%u policies, %u routers, %u packets sent, %u forwarded\n", l.policies, l.routers,
		l.probes, l.let_in);
	assert_true(l.policies >= POLICIES_LEAST && l.let_in > 1000);
	fclose(cases);
	json_decref(topologies);
	lab_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_routes) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
