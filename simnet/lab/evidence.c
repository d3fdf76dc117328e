#include "simnet/lab/failure.h"

#include "mesh/os/file.h"
#include "simnet/lab/lab.h"
#include "simnet/report/why.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKETS_OF_LINK = 2000, CAPTURE_BYTES = 2 << 20, ASK_MS = 2000 };

/* ---- what the machines on the way would say to a packet that is not sent */

static void tell_unroutable(struct lab *l, int from, int to)
{
	struct endpoint at = { .ip = l->s->nodes[to].ip, .port = 9 };
	struct sockaddr_storage sa;
	struct errbuf eb;
	char ip[ADDR_TEXT];
	int fd = hosts_socket(l->hosts, from, AF_INET, SOCK_DGRAM, 0, &eb);

	/* Connecting a UDP socket asks for the route, and sends nothing. */
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, endpoint_to_sockaddr(&at, false, &sa)) < 0)
		story_say(l->story, "why", STORY_NOTE, "why: %s has no way to %s (%s): %s",
			l->s->nodes[from].name, l->s->nodes[to].name, addr_format(&at.ip, ip),
			strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void tell_routes(struct lab *l, const struct scn_step *st)
{
	for (int from = 0; from < (int)l->s->n_nodes; from++)
		for (int to = 0; st && blame_asks(l, st, from) && to < (int)l->s->n_nodes; to++)
			if (to != from && l->s->nodes[to].router < 0 && blame_mentions(l, st, to))
				tell_unroutable(l, from, to);
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
	bool has_program = n->adapter || n->argv;
	struct why_host h = { .name = n->name,
		.ip = n->ip,
		.asks = blame_asks(l, st, node),
		.in_mesh = p->adapter && (p->adapter->mesh_name || p->adapter->path_argv),
		.state = p->paused				 ? "its program is stopped by a signal"
			 : has_program && !p->proc && !p->extras ? "its program does not run"
								 : NULL };
	if (l->s->ipv6)
		h.ip6 = topology_v6(n->router, &n->ip).ip;
	h.has_firewall = !h.in_mesh && (h.asks || blame_mentions(l, st, node)) && has_rules(l, node);
	return h;
}

static size_t read_link(const struct lab *l, const char *dir, int node, struct why_packet *out, size_t cap)
{
	char path[700];
	struct buf text = { .cap = CAPTURE_BYTES };
	struct errbuf eb;

	snprintf(path, sizeof(path), "%s/%s.pcap", dir, l->s->nodes[node].name);
	size_t n = file_read(path, CAPTURE_BYTES, &text, &eb)
			   ? 0
			   : why_read_capture(buf_data(&text), text.len, node, l->step_unix_ns, out, cap);
	buf_free(&text);
	return n;
}

static void conclude(struct lab *l, const struct scn_step *st, const char *dir)
{
	size_t n = l->s->n_nodes, cap = n * PACKETS_OF_LINK;
	struct why_host *hosts = calloc(n + l->s->n_routers + 1, sizeof(*hosts));
	struct why_packet *packets = calloc(cap + 1, sizeof(*packets));
	struct why_facts f = { .hosts = hosts, .n_hosts = n + l->s->n_routers, .packets = packets };
	struct buf text = { .cap = 1 << 14 };

	for (int i = 0; hosts && packets && i < (int)n; i++) {
		hosts[i] = host_of_node(l, st, i);
		f.n_packets += read_link(l, dir, i, packets + f.n_packets, PACKETS_OF_LINK);
	}
	for (size_t i = 0; hosts && i < l->s->n_routers; i++)
		hosts[n + i] =
			(struct why_host) { .name = l->s->routers[i].name, .ip = l->s->routers[i].wan };
	if (hosts && packets && why_conclude(&f, &text)) {
		char *save = NULL;
		for (char *line = strtok_r((char *)(uintptr_t)buf_cstr(&text), "\n", &save); line;
			line = strtok_r(NULL, "\n", &save))
			story_say(l->story, "why", STORY_NOTE, "why: %s", line);
	}
	buf_free(&text);
	free(hosts);
	free(packets);
}

void evidence_tell(struct lab *l, const struct scn_step *st)
{
	char dir[600];
	struct errbuf eb;

	tell_routes(l, st);
	snprintf(dir, sizeof(dir), "%s/.links", l->work_dir);
	if (!dir_make(dir, 0700, &eb) && !l->ops->write_pcaps(l->engine, dir, &eb))
		conclude(l, st, dir);
}
