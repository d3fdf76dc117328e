#include "simnet/lab/evidence.h"

#include "mesh/base/ip.h"
#include "mesh/os/file.h"
#include "simnet/host/capture.h"
#include "simnet/lab/failure.h"
#include "simnet/lab/lab.h"
#include "simnet/scenario/link_model.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKETS_OF_LINK = 2000, PACKETS_MAX = 200000, CAPTURE_BYTES = 1 << 30, ASK_MS = 2000 };

/* ---- what the machines on the way would say to a packet that is not sent */

/* Where `from` would send to reach `to`; false: nowhere. Who has no IPv4 reaches others by IPv6. */
static bool is_reached_at(const struct lab *l, int from, int to, struct addr *out)
{
	size_t step = lab_step_number(l), iface = (size_t)topology_in_use(l->s, step, from);
	struct scn_iface own = topology_iface(l->s, step, (struct scn_plug) { from, -1, iface });

	*out = topology_has_v4(l->s, own.network) ? topology_ip(l->s, step, to)
						  : topology_ip6(l->s, step, to);
	return !addr_is_unspecified(out);
}

int lab_has_no_way(struct lab *l, int from, const struct addr *to)
{
	const struct endpoint at = { .ip = *to, .port = 9 };
	struct sockaddr_storage sa;
	struct errbuf eb;
	int fd = hosts_socket(l->hosts, from, addr_is_v4(to) ? AF_INET : AF_INET6, SOCK_DGRAM, 0, &eb),
	    no = 0;

	/* Connecting a UDP socket asks for the route, and sends nothing. */
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, endpoint_to_sockaddr(&at, false, &sa)) < 0)
		no = errno;
	if (fd >= 0)
		close(fd);
	return no;
}

static void add_unroutable(struct lab *l, int from, int to, struct why_lines *out)
{
	struct addr at;
	char ip[ADDR_TEXT];
	int no = is_reached_at(l, from, to, &at) ? lab_has_no_way(l, from, &at) : 0;

	if (no)
		why_add(out, WHY_ROUTE, "%s has no way to %s (%s): %s", l->s->nodes[from].name,
			l->s->nodes[to].name, addr_format(&at, ip), strerror(no));
}

/* What programs and the C library say of a name that they could not ask for. */
static bool is_of_names(const struct scn_step *st, const char *said)
{
	static const char *const words[] = { "name resolution", "resolve", "resolving", "Name or service",
		"no such host", "getaddrinfo", "lookup " };
	bool is = st && st->kind == STEP_RESOLVE;

	for (size_t i = 0; i < ARRAY_LEN(words) && said && !is; i++)
		is = strstr(said, words[i]) != NULL;
	return is;
}

static void add_cut_off(struct lab *l, const struct scn_step *st, const char *said, struct why_lines *out)
{
	struct addr server;
	char ip[ADDR_TEXT];

	for (int i = 0; i < (int)l->s->n_nodes && is_of_names(st, said); i++)
		if (st && blame_asks(l, st, i) && lookup_cut_off(l, i, &server))
			why_add(out, WHY_ROUTE, "%s has no way to its nameserver %s: %s", l->s->nodes[i].name,
				addr_format(&server, ip), strerror(lab_has_no_way(l, i, &server)));
}

static void add_routes(struct lab *l, const struct scn_step *st, struct why_lines *out)
{
	for (int from = 0; from < (int)l->s->n_nodes; from++)
		for (int to = 0; st && blame_asks(l, st, from) && to < (int)l->s->n_nodes; to++)
			if (to != from && l->s->nodes[to].router < 0 && blame_mentions(l, st, to))
				add_unroutable(l, from, to, out);
}

/* ---- links that hold packets longer than most programs wait */

static const char *slow_way(const struct link_way *w, const char *name, char *buf, size_t cap)
{
	enum { LONG_US = 300000, SLOW_BPS = 32000, REORDER_SURE = LINK_PPM / 2 };

	buf[0] = '\0';
	if (w->delay_us >= LONG_US)
		snprintf(buf, cap, "the link of %.40s takes %.1f s", name, (double)w->delay_us / 1e6);
	else if (w->rate_bps && w->rate_bps <= SLOW_BPS)
		snprintf(buf, cap, "the link of %.40s carries %u bit/s", name, (unsigned)w->rate_bps);
	else if (w->reorder >= REORDER_SURE && w->reorder_us >= LONG_US)
		snprintf(buf, cap, "the link of %.40s holds packets back for %.1f s", name,
			(double)w->reorder_us / 1e6);
	return buf;
}

/* The step is about it, or about somebody behind it. Of a router `node` is negative. */
static bool is_on_way(const struct lab *l, const struct scn_step *st, int node, int router)
{
	size_t step = lab_step_number(l);

	if (node >= 0)
		return blame_asks(l, st, node) || blame_mentions(l, st, node);
	for (int i = 0; i < (int)l->s->n_nodes; i++) {
		size_t iface = (size_t)topology_in_use(l->s, step, i);
		int at = topology_iface(l->s, step, (struct scn_plug) { i, -1, iface }).network;
		while (at >= 0 && at != router)
			at = topology_iface(l->s, step, (struct scn_plug) { -1, at, 0 }).network;
		if (at == router && is_on_way(l, st, i, -1))
			return true;
	}
	return false;
}

static void add_slow_links(const struct lab *l, const struct scn_step *st, struct evidence *e)
{
	for (int i = 0; i < (int)e->facts.n_hosts; i++) {
		int router = i - (int)l->s->n_nodes, node = router < 0 ? i : -1;
		const struct link_model *m = topology_link(l->s, lab_step_number(l), node, router);
		struct why_host *h = &e->hosts[i];
		if (m && is_on_way(l, st, node, router) &&
			!*slow_way(&m->up, h->name, h->slow, sizeof(h->slow)))
			(void)slow_way(&m->down, h->name, h->slow, sizeof(h->slow));
	}
}

/* No packet is dropped where there is no link. */
static bool is_pulled(const struct lab *l, const char *name)
{
	char target[100];
	bool pulled = false;

	snprintf(target, sizeof(target), "%.80s.carrier", name);
	for (size_t i = 0; i < lab_step_number(l); i++) {
		const struct scn_step *st = &l->s->steps[i];
		if ((st->kind == STEP_CUT || st->kind == STEP_HEAL) && !strcmp(st->target, target))
			pulled = st->kind == STEP_CUT;
	}
	return pulled;
}

static void add_pulled(
	const struct lab *l, const struct scn_step *st, const struct evidence *e, struct why_lines *out)
{
	for (int i = 0; i < (int)e->facts.n_hosts; i++) {
		int router = i - (int)l->s->n_nodes, node = router < 0 ? i : -1;
		if (is_pulled(l, e->hosts[i].name) && is_on_way(l, st, node, router))
			why_add(out, WHY_NEAR, "%s has no carrier: it was cut", e->hosts[i].name);
	}
}

/* ---- what the captures say */

static bool has_rules(struct lab *l, int node)
{
	static const char *const argv[] = { "nft", "list", "ruleset", NULL };
	struct buf text = { .cap = 1 << 20 };
	struct errbuf eb;
	bool has = lab_run(l, node, argv, ASK_MS, &text, &eb) == 0 && text.len;
	buf_free(&text);
	return has;
}

static struct why_host host_of_node(struct lab *l, const struct scn_step *st, int node)
{
	const struct program *p = &l->programs[node];
	const struct scn_node *n = &l->s->nodes[node];
	size_t step = lab_step_number(l);
	size_t iface = (size_t)topology_in_use(l->s, step, node);
	struct scn_iface now = topology_iface(l->s, step, (struct scn_plug) { node, -1, iface });
	bool has_program = n->adapter || n->argv;
	struct why_host h = { .name = n->name,
		.ip = now.ip,
		.asks = blame_asks(l, st, node),
		.in_mesh = p->adapter && (p->adapter->mesh_name || p->adapter->path_argv),
		.state = p->asleep   ? "it is asleep"
			 : p->paused ? "its program is stopped by a signal"
			 : has_program && !p->proc && !p->extras && !blame_in_background(l, node)
				 ? "its program does not run"
				 : NULL };
	if (l->s->ipv6)
		h.ip6 = topology_v6(l->s, now.network, &now.ip).ip;
	/* Of who runs on a router, they are the router's. */
	h.has_firewall =
		!h.in_mesh && !n->on_router && (h.asks || blame_mentions(l, st, node)) && has_rules(l, node);
	return h;
}

/* A line of /proc/net/tcp or udp: "  0: 0100007F:0050 00000000:0000 0A ...", states 0A and 07 of who waits for others. */
static bool is_local(const char *line, uint16_t port, bool *all)
{
	unsigned ip, at, state;

	if (sscanf(line, " %*u: %8X:%4X %*8X:%*4X %2X", &ip, &at, &state) != 3 || at != port ||
		(state != 0x0a && state != 0x07))
		return false;
	bool local = ip == htonl(INADDR_LOOPBACK);
	*all &= local;
	return local;
}

static bool listens_locally(struct lab *l, int node, uint8_t proto, uint16_t port)
{
	const char *const argv[] = { "cat", proto == IP_TCP ? "/proc/net/tcp" : "/proc/net/udp", NULL };
	struct buf text = { .cap = 1 << 20 };
	struct errbuf eb;
	bool any = false, all = true;

	if (lab_run(l, node, argv, ASK_MS, &text, &eb) == 0 && text.len)
		for (const char *line = buf_cstr(&text); line; line = strchr(line, '\n')) {
			line += *line == '\n';
			any |= is_local(line, port, &all);
		}
	buf_free(&text);
	return any && all;
}

/* Who refused, may listen at another address: what a program does that is told to serve localhost. */
static void ask_refusers(struct lab *l, struct evidence *e)
{
	for (size_t i = 0; i < e->facts.n_packets; i++) {
		const struct why_packet *p = &e->packets[i];
		uint8_t proto = p->proto == IP_TCP ? IP_TCP : p->cited_proto;
		uint16_t port = p->proto == IP_TCP ? p->src.port : p->cited_dst.port;
		for (int n = 0; p->refuses && port && n < (int)l->s->n_nodes; n++) {
			struct why_host *h = &e->hosts[n];
			if (!h->asked_port && addr_equal(&h->ip, &p->src.ip)) {
				h->asked_port = port;
				h->local_port = listens_locally(l, n, proto, port) ? port : 0;
			}
		}
	}
}

const char *evidence_file(const struct lab *l, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s/.links/%s", l->work_dir, CAPTURE_FILE);
	return buf;
}

int evidence_capture(struct lab *l, struct errbuf *eb)
{
	char dir[600];
	int err = l->engine ? 0 : err_say(eb, ERR_CLOSED, "there is no network to capture");

	if (l->captured)
		return err;
	snprintf(dir, sizeof(dir), "%s/.links", l->work_dir);
	if (!err)
		err = dir_make(dir, 0700, eb);
	if (!err)
		err = l->ops->write_pcaps(l->engine, dir, eb);
	l->captured = !err;
	return err;
}

static void read_packets(struct lab *l, struct evidence *e)
{
	char path[700];
	struct buf text = { .cap = CAPTURE_BYTES };
	struct errbuf eb;

	if (!evidence_capture(l, &eb) &&
		!file_read(evidence_file(l, path, sizeof(path)), CAPTURE_BYTES, &text, &eb))
		e->facts.n_packets = why_read_capture(buf_data(&text), text.len, l->step_unix_ns, e->hosts,
			e->facts.n_hosts, PACKETS_OF_LINK, e->packets, PACKETS_MAX);
	buf_free(&text);
}

void evidence_open(struct lab *l, const struct scn_step *st, struct evidence *e)
{
	size_t n = l->s->n_nodes;

	*e = (struct evidence) { .hosts = calloc(n + l->s->n_routers + 1, sizeof(*e->hosts)),
		.packets = calloc(PACKETS_MAX, sizeof(*e->packets)) };
	if (!e->hosts || !e->packets || !l->engine || !l->programs)
		return;
	e->facts = (struct why_facts) {
		.hosts = e->hosts, .n_hosts = n + l->s->n_routers, .packets = e->packets
	};
	for (int i = 0; i < (int)n; i++)
		e->hosts[i] = host_of_node(l, st, i);
	for (size_t i = 0; i < l->s->n_routers; i++)
		e->hosts[n + i] = (struct why_host) { .name = l->s->routers[i].name,
			.ip = topology_iface(l->s, lab_step_number(l), (struct scn_plug) { -1, (int)i, 0 })
				      .ip,
			.lan = l->s->routers[i].lan,
			.is_router = true };
	add_slow_links(l, st, e);
	e->facts.end_ns = (uint64_t)clock_unix_ms() * 1000000;
	read_packets(l, e);
	ask_refusers(l, e);
}

void evidence_add(struct lab *l, const struct scn_step *st, const struct evidence *e, const char *said,
	struct why_lines *out)
{
	if (!l->engine || !l->programs)
		return;
	add_routes(l, st, out);
	add_cut_off(l, st, said, out);
	add_pulled(l, st, e, out);
	if (e->facts.n_hosts)
		why_conclude(&e->facts, out);
}

void evidence_close(struct evidence *e)
{
	free(e->hosts);
	free(e->packets);
	*e = (struct evidence) { 0 };
}
