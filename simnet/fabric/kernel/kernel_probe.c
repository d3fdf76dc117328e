#include "simnet/fabric/kernel/kernel_probe.h"

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

/* Measures every router with real packets, all at once. Two namespaces for the time of the test: one has a
 * foot in every LAN (the clients), the other in every network that routers face (the servers, two addresses
 * of two ports). Within a direction packets keep their order, so one that must arrive, sent last, shows that
 * the others will not. What must come is asked again until it comes (kernel_pace.h): on a busy machine packets
 * are lost between namespaces, and that says nothing of a router. */

enum {
	SERVER_PORT = 3478, /* and the next one */
	CLOSED_PORT = 9,
	ROUTERS_AT_ONCE = 32,
	MAGIC = 0x6e657430,
	/* Inner ports, of both parities. */
	INNER_FILTER = 7100,
	INNER_MAP,
	INNER_HAIRPIN,
};
/* TEST_HOLE: the filter socket is seen from outside; TEST_WAY: the hairpin's sender is seen from outside; TEST_ASK: its receiver sends to that, and gets through
 * or not. TEST_LATE: an answer behind a mapping that is no more. */
enum test { TEST_HOLE, TEST_MAP, TEST_FILTER, TEST_HAIRPIN, TEST_WAY, TEST_ASK, TEST_LATE };
enum { UNASKED, ASKED }; /* of a hairpin: the number in place of the server */

struct message {
	uint32_t magic, router, test, server;
};

struct client { /* of one router */
	int map, filter, hairpin, stranger;
	struct endpoint seen[4]; /* source of the mapping test at A1 A2 B1 B2; port 0 = did not arrive */
	struct endpoint hole;	 /* the filter socket as A1 saw it */
	bool passed[4];		 /* servers whose packet came back through the hole */
	struct endpoint hairpin_from, hairpin_hole;
	bool unasked; /* a hairpin came in whose receiver had sent nothing */
	bool late;    /* an answer came in whose mapping was no more */
	bool refused; /* a closed WAN port answered */
};

/* ---- sockets ---- */

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
		c->map = open_udp(p, i, PROBE_IN, INNER_MAP);
		c->filter = open_udp(p, i, PROBE_IN, INNER_FILTER);
		c->hairpin = open_udp(p, i, PROBE_HAIRPIN, INNER_HAIRPIN);
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
	case TEST_HOLE: c->hole = *from; break;
	case TEST_FILTER: c->passed[m->server] = true; break;
	case TEST_HAIRPIN:
		c->hairpin_from = *from;
		c->unasked |= m->server == UNASKED;
		break;
	case TEST_WAY: c->hairpin_hole = *from; break;
	case TEST_ASK: break;
	case TEST_LATE: c->late = true; break;
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

typedef bool probe_done(const struct probe *p, int router);
typedef void probe_ask(struct probe *p, int router, bool again);

/* Reads until `done` says so of every router (NULL: never), which is true, or until then. */
static bool kernel_probe_collect(struct probe *p, probe_done *done, uint64_t until_ms)
{
	nfds_t n = watched(p, p->fds);
	for (uint64_t now = clock_now_ms(); now < until_ms; now = clock_now_ms()) {
		bool all = done;
		drain_all(p);
		for (size_t i = 0; all && i < p->n_routers; i++)
			all = done(p, (int)i);
		if (all)
			return true;
		(void)poll(p->fds, n, (int)(until_ms - now));
	}
	return false;
}

/* Many routers share a server, whose queue is short. */
static void kernel_probe_make_room(struct probe *p, int router)
{
	if (router % ROUTERS_AT_ONCE == ROUTERS_AT_ONCE - 1)
		drain_all(p);
}

/* What may still come after all that must have come. */
static void probe_collect_strays(struct probe *p)
{
	uint64_t now = clock_now_ms();
	(void)kernel_probe_collect(p, NULL, now + pace_stray_ms(&p->pace, now));
}

void probe_gave_up(struct probe *p, const struct pace *round)
{
	double doubt = pace_doubt(round);
	p->doubt = doubt > p->doubt ? doubt : p->doubt;
}

/* The others have waited for it, and what they knew may have expired meanwhile. */
static void find_crowded(struct probe *p, probe_done *done)
{
	for (int i = 0; i < (int)p->n_routers && !p->has_crowded; i++) {
		p->has_crowded = !done(p, i) && !probe_has_room(&p->e->s->routers[i], PROBE_MAPPINGS);
		p->crowded = i;
	}
}

/* Asks all routers, then those again of whom `done` is not true yet. */
static void ask_routers(struct probe *p, probe_ask *ask, probe_done *done)
{
	bool again = false;
	if (p->has_crowded)
		return;
	pace_begin(&p->pace, clock_now_ms());
	do {
		for (int i = 0; i < (int)p->n_routers; i++) {
			if (again && done(p, i))
				continue;
			ask(p, i, again);
			kernel_probe_make_room(p, i);
		}
		again = true;
		if (kernel_probe_collect(p, done, p->pace.again_ms))
			return;
	} while (pace_goes_on(&p->pace, clock_now_ms(), crowd_now()));
	probe_gave_up(p, &p->pace);
	find_crowded(p, done);
}

/* ---- the rounds ---- */

/* Each mapping is there before the next is asked for, so that their ports are in order. */
static bool has_hole(const struct probe *p, int router)
{
	const struct scn_router *r = &p->e->s->routers[router];
	const struct client *c = &p->clients[router];
	return r->udp_blocked ||
	       (endpoint_is_set(&c->hole) && (c->refused || !r->model.accepts_wan || !r->nat));
}

static bool has_way(const struct probe *p, int router)
{
	return p->e->s->routers[router].udp_blocked || endpoint_is_set(&p->clients[router].hairpin_hole);
}

static bool is_mapped(const struct probe *p, int router)
{
	const struct scn_router *r = &p->e->s->routers[router];
	const struct client *c = &p->clients[router];
	bool all = true;
	for (int k = 0; k < 4; k++)
		all = all && endpoint_is_set(&c->seen[k]);
	return r->udp_blocked || all;
}

static bool wants_asking(const struct scn_router *r)
{
	return r->nat && r->model.hairpin_filters && r->model.udp.filtering != NAT_EIF;
}

/* A flow that conntrack still knows may be behind a mapping that has expired. */
static bool may_expire(const struct scn_router *r)
{
	const struct nat_lifetimes *l = &r->model.lifetimes;
	return r->nat && !r->udp_blocked && !nat_model_is_conntrack(&r->model) &&
	       (r->model.refresh != NAT_REFRESH_BOTH || l->udp_new_s != l->udp_s);
}

/* Where the mapping depends on the destination, one that others know has not sent to the hairpin's sender, and
 * filters it. */
static bool lets_hairpins_in(const struct scn_router *r)
{
	return r->model.hairpin != NAT_HAIRPIN_OFF && (!wants_asking(r) || r->model.udp.mapping == NAT_EIM);
}

static bool is_asked(const struct probe *p, int router)
{
	return !wants_asking(&p->e->s->routers[router]) || !lets_hairpins_in(&p->e->s->routers[router]) ||
	       p->e->s->routers[router].udp_blocked || endpoint_is_set(&p->clients[router].hairpin_from);
}

static bool is_filtered(const struct probe *p, int router)
{
	const struct scn_router *r = &p->e->s->routers[router];
	const struct client *c = &p->clients[router];
	if (!r->nat || r->udp_blocked)
		return true;
	bool hairpin =
		r->model.hairpin == NAT_HAIRPIN_OFF || wants_asking(r) || endpoint_is_set(&c->hairpin_from);
	bool far = r->model.udp.filtering != NAT_EIF || (c->passed[2] && c->passed[3]);
	bool near = r->model.udp.filtering == NAT_APDF || c->passed[1];
	return c->passed[0] && hairpin && far && near;
}

static void ask_hole(struct probe *p, int i, bool again)
{
	const struct client *c = &p->clients[i];
	struct endpoint first = server_at(p, p->e->s->routers[i].behind, 0);
	(void)again;
	if (!c->refused) /* before, so that the bridges know where the servers are */
		(void)!send(c->stranger, "", 1, 0);
	if (!endpoint_is_set(&c->hole))
		send_message(c->filter, &first, i, TEST_HOLE, 0);
}

static void ask_mapping(struct probe *p, int i, bool again)
{
	const struct client *c = &p->clients[i];
	(void)again;
	for (int k = 0; k < 4; k++) {
		struct endpoint to = server_at(p, p->e->s->routers[i].behind, k);
		if (!endpoint_is_set(&c->seen[k]))
			send_message(c->map, &to, i, TEST_MAP, k);
	}
}

static void ask_way(struct probe *p, int i, bool again)
{
	struct endpoint first = server_at(p, p->e->s->routers[i].behind, 0);
	(void)again;
	send_message(p->clients[i].hairpin, &first, i, TEST_WAY, 0);
}

static void ask_filtering(struct probe *p, int i, bool again)
{
	const struct scn_router *r = &p->e->s->routers[i];
	const struct client *c = &p->clients[i];
	if (!r->nat || !endpoint_is_set(&c->hole))
		return;
	if (!again || !(wants_asking(r) || endpoint_is_set(&c->hairpin_from)))
		send_message(c->hairpin, &c->hole, i, TEST_HAIRPIN, UNASKED);
	for (int k = 3; k >= 0; k--) /* A1, which must pass, comes last */
		if (k == 0 || !c->passed[k])
			send_message(p->servers[r->behind + 1][k], &c->hole, i, TEST_FILTER, k);
}

static void ask_after_sending(struct probe *p, int i, bool again)
{
	const struct client *c = &p->clients[i];
	(void)again;
	if (!wants_asking(&p->e->s->routers[i]) || !endpoint_is_set(&c->hairpin_hole))
		return;
	send_message(c->filter, &c->hairpin_hole, i, TEST_ASK, 0);
	send_message(c->hairpin, &c->hole, i, TEST_HAIRPIN, ASKED);
}

static void run_tests(struct probe *p)
{
	ask_routers(p, ask_hole, has_hole);
	ask_routers(p, ask_mapping, is_mapped);
	ask_routers(p, ask_way, has_way);
	ask_routers(p, ask_filtering, is_filtered);
	probe_collect_strays(p);
	ask_routers(p, ask_after_sending, is_asked);
}

/* Waiting for lifetimes would take minutes. Instead the table is emptied, which is what their end does. */
static int run_late(struct probe *p, struct errbuf *eb)
{
	const struct scenario *s = p->e->s;
	bool any = false;
	int err = 0;
	for (int i = 0; !err && i < (int)p->n_routers; i++) {
		const struct client *c = &p->clients[i];
		if (!may_expire(&s->routers[i]) || !endpoint_is_set(&c->hole) || kernel_is_user(p->e, i))
			continue;
		any = true;
		err = kernel_nat_expire(p->e, i, eb);
		send_message(p->servers[s->routers[i].behind + 1][0], &c->hole, i, TEST_LATE, 0);
	}
	if (any && !err)
		probe_collect_strays(p);
	return err;
}

/* ---- the verdict ---- */

struct finding {
	bool passes, nat;
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	enum nat_hairpin hairpin;
	bool hairpin_filters, accepts_wan;
	const char *ports; /* what is wrong with them */
};

static const char *ports_of(const struct probe *p, int router)
{
	const struct client *c = &p->clients[router];
	const struct nat_model *m = &p->e->s->routers[router].model;
	if (m->pool > 1 && !m->pool_arbitrary && !addr_equal(&c->hole.ip, &c->seen[0].ip))
		return "a host has two addresses of the pool";
	if (m->hairpin == NAT_HAIRPIN_EXTERNAL && m->udp.mapping == NAT_EIM &&
		endpoint_is_set(&c->hairpin_from) && !endpoint_equal(&c->hairpin_from, &c->hairpin_hole))
		return "what hairpins does not come from its mapping";
	const struct probe_port ports[] = {
		{ PROBE_IN, INNER_FILTER, c->hole.port },
		{ PROBE_IN, INNER_MAP, c->seen[0].port },
		{ PROBE_HAIRPIN, INNER_HAIRPIN, c->hairpin_hole.port },
	};
	return probe_ports_trouble(m, ports, ARRAY_LEN(ports));
}

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
		f.hairpin = probe_is_outer(&p->e->s->routers[router], &c->hairpin_from.ip)
				    ? NAT_HAIRPIN_EXTERNAL
				    : NAT_HAIRPIN_INTERNAL;
	f.hairpin_filters = f.hairpin != NAT_HAIRPIN_OFF && !c->unasked;
	f.ports = f.nat ? ports_of(p, router) : NULL;
	return f;
}

static const char *describe(const struct finding *f, char *out, size_t cap)
{
	if (!f->passes)
		snprintf(out, cap, "no UDP passes");
	else if (!f->nat)
		snprintf(out, cap, "routes without translating");
	else
		snprintf(out, cap, "%s/%s, hairpin %s%s, its own WAN side %s%s%s",
			nat_mapping_words[f->mapping], nat_filtering_words[f->filtering],
			nat_hairpin_words[f->hairpin], f->hairpin_filters ? " with filtering" : "",
			f->accepts_wan ? "accepts packets" : "is guarded", f->ports ? ", and " : "",
			f->ports ? f->ports : "");
	return out;
}

static bool agrees(const struct finding *want, const struct finding *got)
{
	if (!want->passes || !got->passes)
		return want->passes == got->passes;
	if (!want->nat || !got->nat)
		return want->nat == got->nat;
	return (want->mapping == got->mapping && want->filtering == got->filtering &&
		want->hairpin == got->hairpin && want->hairpin_filters == got->hairpin_filters &&
		!got->ports && want->accepts_wan == got->accepts_wan);
}

bool probe_has_room(const struct scn_router *r, size_t mappings)
{
	const struct nat_model *m = &r->model;
	return !r->nat || ((m->ports != NAT_PORTS_BLOCK || m->block_ports >= mappings) &&
				  (!m->table || m->table >= mappings));
}

int probe_say_wrong(const struct probe *p, int i, struct errbuf *eb, const char *what)
{
	const struct scn_router *r = &p->e->s->routers[i];
	if (!probe_has_room(r, PROBE_MAPPINGS))
		return err_say(eb, ERR_REFUSED,
			AT_FMT ": router '%s' cannot be measured: it seems that %s. Its '%s' has no room for "
			       "the %d mappings that the probes may make: a larger one",
			AT_ARGS(p->e->s->file, r->at), r->name, what,
			r->model.table && r->model.table < PROBE_MAPPINGS ? "table" : "block",
			PROBE_MAPPINGS);
	if (p->doubt > 0)
		return err_say(eb, -ETIMEDOUT,
			AT_FMT ": router '%s' cannot be measured on a machine that is %.0f times slower than "
			       "an idle one: it seems that %s",
			AT_ARGS(p->e->s->file, r->at), r->name, p->doubt, what);
	return err_say(eb, ERR_REFUSED,
		AT_FMT
		": router '%s' does not behave as the file says: %s. No verdict behind it would count; "
		"please report this with the kernel and nft versions",
		AT_ARGS(p->e->s->file, r->at), r->name, what);
}

static int judge(const struct probe *p, int router, struct errbuf *eb)
{
	const struct scn_router *r = &p->e->s->routers[router];
	struct finding got = finding_of(p, router), want = { .passes = !r->udp_blocked,
		.nat = r->nat,
		.mapping = r->model.udp.mapping,
		.filtering = r->model.udp.filtering,
		.hairpin = lets_hairpins_in(r) ? r->model.hairpin : NAT_HAIRPIN_OFF,
		.hairpin_filters = wants_asking(r) && lets_hairpins_in(r),
		.accepts_wan = r->model.accepts_wan };
	char says[160], measured[160], what[360];
	p->e->measured[router] = (struct engine_probe_result) { .mapping = got.mapping,
		.filtering = got.filtering,
		.hairpin = got.hairpin != NAT_HAIRPIN_OFF,
		.guarded = !got.accepts_wan };
	if (agrees(&want, &got))
		return p->clients[router].late
			       ? probe_say_wrong(p, router, eb,
					 "what comes in passes behind a mapping that has expired")
			       : 0;
	snprintf(what, sizeof(what), "declared %s; measured %s", describe(&want, says, sizeof(says)),
		describe(&got, measured, sizeof(measured)));
	return probe_say_wrong(p, router, eb, what);
}

/* They are lifted for what is measured before, and again for what comes after. */
static int measure_firewalls(struct probe *p, struct errbuf *eb)
{
	struct errbuf later;
	int err = kernel_firewalls_hold(p->e, eb);
	if (!err)
		err = kernel_check_firewalls(p, eb);
	int lifted = kernel_firewalls_lift(p->e, err ? &later : eb);
	return err ? err : lifted;
}

static int measure(struct probe *p, struct errbuf *eb)
{
	int err = probe_connect(p, eb);
	if (!err)
		err = open_servers(p, eb);
	if (!err)
		err = open_clients(p, eb);
	netns_return(hosts_home(p->e->hosts));
	if (err)
		return err;
	run_tests(p);
	err = p->has_crowded ? probe_say_wrong(p, p->crowded, eb, "not all comes that is sent through it")
			     : run_late(p, eb);
	for (int i = 0; !err && i < (int)p->n_routers; i++)
		err = judge(p, i, eb);
	if (!err)
		err = kernel_check(p, eb);
	if (!err)
		err = kernel_check_rest(p, eb);
	if (!err)
		err = kernel_check_nat64(p, eb);
	if (!err)
		err = kernel_check_forwards(p, eb);
	if (!err)
		err = kernel_check_portmap(p, eb);
	return err ? err : measure_firewalls(p, eb);
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
		probe_unplug_last(e);
	int err =
		p.clients && p.servers && p.fds ? measure(&p, eb) : err_set(eb, -ENOMEM, "probe the routers");
	close_all(&p);
	struct errbuf later;
	int forgot = kernel_nat_forget(e, err ? &later : eb);
	err = err ? err : forgot;
	forget_drops(e);
	return err;
}
