#include "simnet/fabric/kernel/kernel_probe.h"

#include "mesh/os/crowd.h"
#include "mesh/os/loop.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* NAT64, all routers at once: a datagram of IPv6 from inside, to where the file says that IPv4 is, must come out with an outer
 * address, and be answered from there; who has not been asked is answered to by the class of the NAT. The stranger's comes
 * before the answer and on its way, so it has had its time when that has come. */
enum { SIX_INNER = 7300, SIX_FIRST = 20000 };

struct six_subject {
	int inside, server, stranger;
	struct endpoint seen; /* of the inside, by the server; port 0: not yet */
	bool answered, strange;
};
struct six {
	struct probe *p;
	const struct scenario *s;
	struct six_subject *v;
	struct pace pace;
};

static bool is_asked(const struct six *t, int i)
{
	const struct scn_router *r = &t->s->routers[i];
	return r->nat64.bits && !r->udp_blocked;
}

static struct endpoint outside_at(const struct six *t, int i, uint32_t number, uint16_t port)
{
	return (struct endpoint) { .ip = probe_host(t->s, t->s->routers[i].behind, number), .port = port };
}

/* ---- sockets ---- */

/* Routers of one network have their servers on ports of their own. */
static uint16_t own_port(int i)
{
	return (uint16_t)(SIX_FIRST + i);
}

static int open_six(struct six *t, struct errbuf *eb)
{
	bool ok = true;
	int err = netns_enter(&t->p->outside, eb);
	for (int i = 0; !err && ok && i < (int)t->s->n_routers; i++) {
		struct endpoint a = outside_at(t, i, PROBE_OUT_A, own_port(i)),
				b = outside_at(t, i, PROBE_OUT_B, own_port(i));
		if (!is_asked(t, i))
			continue;
		t->v[i].server = probe_socket(t->s->routers[i].behind, SOCK_DGRAM, &a);
		t->v[i].stranger = probe_socket(t->s->routers[i].behind, SOCK_DGRAM, &b);
		ok = t->v[i].server >= 0 && t->v[i].stranger >= 0;
	}
	if (!err && ok)
		err = netns_enter(&t->p->inside, eb);
	for (int i = 0; !err && ok && i < (int)t->s->n_routers; i++) {
		struct addr four = probe_host(t->s, i, PROBE_IN);
		struct endpoint in = { .ip = topology_v6(t->s, i, &four).ip, .port = SIX_INNER };
		if (!is_asked(t, i))
			continue;
		t->v[i].inside = probe_socket(i, SOCK_DGRAM, &in);
		ok = t->v[i].inside >= 0;
	}
	netns_return(hosts_home(t->p->e->hosts));
	return err || ok ? err : err_set(eb, -errno, "open a probe's socket");
}

static void close_six(struct six *t)
{
	for (size_t i = 0; t->v && i < t->s->n_routers; i++) {
		const int fds[] = { t->v[i].inside, t->v[i].server, t->v[i].stranger };
		for (size_t k = 0; k < ARRAY_LEN(fds); k++)
			if (fds[k] >= 0)
				close(fds[k]);
	}
	free(t->v);
}

/* ---- packets ---- */

static void send_byte(int fd, const struct endpoint *to, char byte)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, false, &ss);
	(void)!sendto(fd, &byte, 1, 0, (struct sockaddr *)&ss, len); /* not arriving is a finding */
}

static bool receive_byte(int fd, struct endpoint *from, char *byte)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	return recvfrom(fd, byte, 1, 0, (struct sockaddr *)&ss, &len) == 1 &&
	       endpoint_from_sockaddr((struct sockaddr *)&ss, from);
}

static void ask(struct six *t, int i)
{
	struct endpoint to = outside_at(t, i, PROBE_OUT_A, own_port(i));
	to.ip = nat64_embed(&t->s->routers[i].nat64, &to.ip);
	send_byte(t->v[i].inside, &to, 'q');
}

static void drain_one(struct six *t, int i)
{
	struct six_subject *v = &t->v[i];
	struct endpoint from;
	char byte;
	while (receive_byte(v->server, &from, &byte)) {
		v->seen = from;
		send_byte(v->stranger, &from, 's');
		send_byte(v->server, &from, 'a');
	}
	while (receive_byte(v->inside, &from, &byte)) {
		struct endpoint server =
			outside_at(t, i, byte == 's' ? PROBE_OUT_B : PROBE_OUT_A, own_port(i));
		server.ip = nat64_embed(&t->s->routers[i].nat64, &server.ip);
		bool right = endpoint_equal(&server, &from);
		v->answered |= byte == 'a' && right;
		v->strange |= byte == 's' && right;
	}
}

static bool has_come(struct six *t)
{
	bool all = true;
	for (int i = 0; i < (int)t->s->n_routers; i++) {
		if (!is_asked(t, i))
			continue;
		drain_one(t, i);
		all &= t->v[i].answered &&
		       (t->v[i].strange || t->s->routers[i].model.udp.filtering != NAT_EIF);
	}
	return all;
}

static void run_six(struct six *t)
{
	bool all;
	pace_begin(&t->pace, clock_now_ms());
	do {
		for (int i = 0; i < (int)t->s->n_routers; i++)
			if (is_asked(t, i) && !t->v[i].answered)
				ask(t, i);
		while (!(all = has_come(t)) && clock_now_ms() < t->pace.again_ms)
			(void)poll(NULL, 0, 1);
		if (all)
			return;
	} while (pace_goes_on(&t->pace, clock_now_ms(), crowd_now()));
	probe_gave_up(t->p, &t->pace);
}

/* ---- the verdict ---- */

static const char *six_trouble(const struct six *t, int i)
{
	const struct scn_router *r = &t->s->routers[i];
	const struct six_subject *v = &t->v[i];

	if (!endpoint_is_set(&v->seen))
		return "NAT64 leads nowhere";
	if (!probe_is_outer(r, &v->seen.ip))
		return "NAT64 does not use its outer addresses";
	if (!v->answered)
		return "what answers by NAT64 does not come back";
	return v->strange == (r->model.udp.filtering == NAT_EIF) ? NULL
								 : "NAT64 filters as another class does";
}

int kernel_check_nat64(struct probe *p, struct errbuf *eb)
{
	struct six t = { .p = p, .s = p->e->s };
	bool any = false;

	for (int i = 0; i < (int)t.s->n_routers; i++)
		any |= is_asked(&t, i);
	if (!any)
		return 0;
	t.v = calloc(t.s->n_routers, sizeof(*t.v));
	if (!t.v)
		return err_set(eb, -ENOMEM, "check the routers");
	for (size_t i = 0; i < t.s->n_routers; i++)
		t.v[i] = (struct six_subject) { .inside = -1, .server = -1, .stranger = -1 };
	int err = open_six(&t, eb);
	if (!err)
		run_six(&t);
	for (int i = 0; !err && i < (int)t.s->n_routers; i++) {
		const char *what = is_asked(&t, i) ? six_trouble(&t, i) : NULL;
		err = what ? probe_say_wrong(p, i, eb, what) : 0;
	}
	close_six(&t);
	return err;
}
