#include "simnet/fabric/kernel/kernel_probe.h"

#include "mesh/base/ip.h"
#include "mesh/os/crowd.h"
#include "mesh/os/loop.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Tried with raw packets at all routers at once:
 *
 *   ICMP errors  a datagram that is answered with "port unreachable"; its sender is told, or not. Made here and
 *                not by the kernel, which would look for its own way back
 *   unknown TCP  a segment from inside that belongs to no connection: it is seen outside, answered by ICMP or by
 *                a reset that nobody outside has sent, or nothing comes of it
 *
 * What must come is asked again until it does. What must not has had its time when that has come that goes before it: the
 * datagram is sent behind the segment, and must arrive even where its sender is not told. */
enum {
	REST_UDP = 7200,
	REST_TCP = 7201,
	REST_SERVER = 3491,
	REST_UDP_SERVER = 3492,
	DATAGRAM_BYTES = 2 /* the number of the router */
};
static const uint32_t seq_first = 0x73700000;

struct rest_subject { /* a router */
	int udp, tcp, icmp;
	bool arrived, refused, passed, reset, prohibited; /* arrived: the datagram, outside */
};
struct rest_site { /* a network that routers face; all -1 if not */
	int tcp, udp, icmp;
};
struct rest {
	struct probe *p;
	const struct scenario *s;
	struct rest_site *sites; /* [network + 1] */
	struct rest_subject *subjects;
	struct pace pace; /* of the round */
};

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static struct endpoint rest_host(const struct rest *t, int network, uint32_t number, uint16_t port)
{
	return (struct endpoint) { .ip = probe_host(t->s, network, number), .port = port };
}

/* ---- sockets ---- */

static int open_rest(struct rest *t, struct errbuf *eb)
{
	bool ok = true;
	int err = netns_enter(&t->p->outside, eb);
	for (int network = -1; !err && ok && network < (int)t->s->n_routers; network++) {
		struct endpoint a = rest_host(t, network, PROBE_OUT_A, REST_UDP_SERVER);
		struct rest_site *site = &t->sites[network + 1];
		if (!probe_is_faced(t->s, network))
			continue;
		site->tcp = probe_raw_socket(network, IPPROTO_TCP, &a.ip);
		site->icmp = probe_raw_socket(network, IPPROTO_ICMP, &a.ip);
		site->udp = probe_socket(network, SOCK_DGRAM, &a);
		ok = site->tcp >= 0 && site->icmp >= 0 && site->udp >= 0;
	}
	if (!err && ok)
		err = netns_enter(&t->p->inside, eb);
	for (int i = 0; !err && ok && i < (int)t->s->n_routers; i++) {
		struct rest_subject *r = &t->subjects[i];
		struct endpoint udp = rest_host(t, i, PROBE_IN, REST_UDP);
		r->udp = probe_socket(i, SOCK_DGRAM, &udp);
		r->tcp = probe_raw_socket(i, IPPROTO_TCP, &udp.ip);
		r->icmp = probe_raw_socket(i, IPPROTO_ICMP, &udp.ip);
		ok = r->udp >= 0 && r->tcp >= 0 && r->icmp >= 0;
	}
	netns_return(hosts_home(t->p->e->hosts));
	return err || ok ? err : err_set(eb, -errno, "open a probe's raw socket");
}

static void close_three(int a, int b, int c)
{
	const int fds[] = { a, b, c };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void rest_fini(struct rest *t)
{
	for (size_t i = 0; t->sites && i <= t->s->n_routers; i++)
		close_three(t->sites[i].tcp, t->sites[i].udp, t->sites[i].icmp);
	for (size_t i = 0; t->subjects && i < t->s->n_routers; i++)
		close_three(t->subjects[i].udp, t->subjects[i].tcp, t->subjects[i].icmp);
	free(t->sites);
	free(t->subjects);
}

/* ---- packets ---- */

/* An ACK of a connection that nobody has begun; its number says which router it is for. */
static void send_stray_ack(struct rest *t, int i)
{
	struct endpoint from = rest_host(t, i, PROBE_IN, REST_TCP),
			to = rest_host(t, t->s->routers[i].behind, PROBE_OUT_A, REST_SERVER);
	uint8_t segment[20] = { [0] = from.port >> 8,
		[1] = from.port & 0xff,
		[2] = to.port >> 8,
		[3] = to.port & 0xff,
		[12] = 5 << 4,
		[13] = 0x10,
		[14] = 0x10 };
	struct sockaddr_storage ss;
	put32(segment + 4, seq_first + (uint32_t)i);
	put32(segment + 8, 1);
	uint16_t sum = ip_l4_checksum(&from.ip, &to.ip, IPPROTO_TCP, segment, sizeof(segment));
	segment[16] = (uint8_t)(sum >> 8);
	segment[17] = (uint8_t)sum;
	to.port = 0;
	socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
	(void)!sendto(t->subjects[i].tcp, segment, sizeof(segment), 0, (struct sockaddr *)&ss, len);
}

static void send_datagram(struct rest *t, int i)
{
	struct endpoint to = rest_host(t, t->s->routers[i].behind, PROBE_OUT_A, REST_UDP_SERVER);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
	const uint8_t number[DATAGRAM_BYTES] = { (uint8_t)(i >> 8), (uint8_t)i };
	if (connect(t->subjects[i].udp, (struct sockaddr *)&ss, len) == 0)
		(void)!send(t->subjects[i].udp, number, sizeof(number), 0);
}

/* What is behind the IPv4 header of the next packet: at least 20 bytes of it, or 0 at the end. */
static size_t receive_raw(int fd, uint8_t *p, size_t cap)
{
	for (ssize_t n; (n = recv(fd, p, cap, 0)) >= 0;) {
		size_t header = n > 0 ? (size_t)(p[0] & 15) * 4 : 0;
		if ((size_t)n < header + 20)
			continue;
		memmove(p, p + header, (size_t)n - header);
		return (size_t)n - header;
	}
	return 0;
}

/* "Port unreachable" about a datagram from `from` (RFC 792). */
static void send_unreachable(int fd, const struct endpoint *from, const struct endpoint *to)
{
	uint8_t msg[8 + 20 + 8 + DATAGRAM_BYTES] = { 3, 3 };
	struct endpoint host = { .ip = from->ip };
	struct sockaddr_storage ss;
	(void)ip_write_udp(msg + 8, from, to, DATAGRAM_BYTES);
	uint16_t sum = ip_checksum(msg, sizeof(msg), 0);
	msg[2] = (uint8_t)(sum >> 8);
	msg[3] = (uint8_t)sum;
	socklen_t len = endpoint_to_sockaddr(&host, false, &ss);
	(void)!sendto(fd, msg, sizeof(msg), 0, (struct sockaddr *)&ss, len);
}

static void answer_datagrams(struct rest *t, int network)
{
	struct rest_site *site = &t->sites[network + 1];
	struct endpoint here = rest_host(t, network, PROBE_OUT_A, REST_UDP_SERVER), from;
	struct sockaddr_storage ss;
	uint8_t number[DATAGRAM_BYTES];
	for (;;) {
		socklen_t len = sizeof(ss);
		ssize_t n = recvfrom(site->udp, number, sizeof(number), 0, (struct sockaddr *)&ss, &len);
		if (n < 0)
			return;
		size_t which = n == DATAGRAM_BYTES ? (size_t)(number[0] << 8 | number[1]) : t->s->n_routers;
		if (which >= t->s->n_routers)
			continue;
		t->subjects[which].arrived = true;
		if (endpoint_from_sockaddr((struct sockaddr *)&ss, &from))
			send_unreachable(site->icmp, &from, &here);
	}
}

static void drain_rest(struct rest *t)
{
	uint8_t p[256];
	for (int network = -1; network < (int)t->s->n_routers; network++)
		if (t->sites[network + 1].udp >= 0)
			answer_datagrams(t, network);
	for (size_t i = 0; i <= t->s->n_routers; i++)
		while (t->sites[i].tcp >= 0 && receive_raw(t->sites[i].tcp, p, sizeof(p))) {
			uint32_t which = get32(p + 4) - seq_first;
			if (which < t->s->n_routers && (p[13] & 0x10) && !(p[13] & 0x04))
				t->subjects[which].passed = true;
		}
	for (size_t i = 0; i < t->s->n_routers; i++) {
		struct rest_subject *r = &t->subjects[i];
		char byte;
		r->refused |= recv(r->udp, &byte, 1, 0) < 0 && errno == ECONNREFUSED;
		while (receive_raw(r->tcp, p, sizeof(p)))
			r->reset |= (p[2] << 8 | p[3]) == REST_TCP && (p[13] & 0x04);
		while (receive_raw(r->icmp, p, sizeof(p)))
			r->prohibited |= p[0] == 3 && p[1] == 13;
	}
}

/* ---- the verdict ---- */

static bool has_errors(const struct rest *t, int i)
{
	const struct scn_router *r = &t->s->routers[i];
	return !r->udp_blocked && !(r->nat && r->model.icmp_errors_lost);
}

static enum nat_unknown wanted_unknown(const struct rest *t, int i)
{
	const struct scn_router *r = &t->s->routers[i];
	return r->nat ? r->model.tcp_unknown : NAT_UNKNOWN_LOOSE;
}

static bool tcp_has_come(const struct rest *t, int i)
{
	const struct rest_subject *got = &t->subjects[i];
	enum nat_unknown want = wanted_unknown(t, i);
	return want == NAT_UNKNOWN_LOOSE    ? got->passed
	       : want == NAT_UNKNOWN_STRICT ? got->prohibited
	       : want == NAT_UNKNOWN_RESET  ? got->reset
					    : true;
}

static bool udp_has_come(const struct rest *t, int i)
{
	const struct rest_subject *got = &t->subjects[i];
	return t->s->routers[i].udp_blocked || (got->arrived && (got->refused || !has_errors(t, i)));
}

static const char *rest_trouble(const struct rest *t, int i)
{
	const struct rest_subject *got = &t->subjects[i];
	enum nat_unknown want = wanted_unknown(t, i);

	if (!got->arrived && !t->s->routers[i].udp_blocked)
		return "UDP does not pass";
	if (got->refused != has_errors(t, i))
		return got->refused ? "ICMP errors pass" : "ICMP errors do not pass";
	if (got->passed != (want == NAT_UNKNOWN_LOOSE))
		return got->passed ? "TCP of a connection it does not know passes"
				   : "TCP of a connection it does not know does not pass";
	if (got->prohibited != (want == NAT_UNKNOWN_STRICT))
		return "TCP of a connection it does not know is not answered by ICMP as it should be";
	if (want != NAT_UNKNOWN_LOOSE && got->reset != (want == NAT_UNKNOWN_RESET))
		return "TCP of a connection it does not know is not reset as it should be";
	return NULL;
}

static void ask_rest(struct rest *t, bool again)
{
	for (int i = 0; i < (int)t->s->n_routers; i++) {
		bool udp = !again || !udp_has_come(t, i);
		if (udp || !tcp_has_come(t, i))
			send_stray_ack(t, i);
		if (udp)
			send_datagram(t, i);
	}
}

static bool rest_has_come(const struct rest *t)
{
	for (int i = 0; i < (int)t->s->n_routers; i++)
		if (!udp_has_come(t, i) || !tcp_has_come(t, i))
			return false;
	return true;
}

static void collect_rest(struct rest *t)
{
	pace_begin(&t->pace, clock_now_ms());
	ask_rest(t, false);
	for (drain_rest(t); !rest_has_come(t); drain_rest(t)) {
		uint64_t now = clock_now_ms();
		if (now >= t->pace.again_ms) {
			if (!pace_goes_on(&t->pace, now, crowd_now())) {
				probe_gave_up(t->p, &t->pace);
				return;
			}
			ask_rest(t, true);
		}
		(void)poll(NULL, 0, 1);
	}
}

static void collect_rest_strays(struct rest *t)
{
	uint64_t now = clock_now_ms(), end = now + pace_stray_ms(&t->pace, now);
	for (; now < end; now = clock_now_ms()) {
		drain_rest(t);
		(void)poll(NULL, 0, 1);
	}
	drain_rest(t);
}

/* Whether something must not come, and so has to have its time. */
static bool wants_silence(const struct rest *t)
{
	for (int i = 0; i < (int)t->s->n_routers; i++) {
		if (!has_errors(t, i) || wanted_unknown(t, i) != NAT_UNKNOWN_LOOSE)
			return true;
	}
	return false;
}

static int run_rest(struct rest *t, struct errbuf *eb)
{
	int err = open_rest(t, eb);
	if (err)
		return err;
	collect_rest(t);
	if (wants_silence(t))
		collect_rest_strays(t);
	for (int i = 0; !err && i < (int)t->s->n_routers; i++) {
		const char *what = rest_trouble(t, i);
		err = what ? probe_say_wrong(t->p, i, eb, what) : 0;
	}
	return err;
}

int kernel_check_rest(struct probe *p, struct errbuf *eb)
{
	size_t n = p->n_routers;
	struct rest t = { .p = p, .s = p->e->s };

	t.sites = calloc(n + 1, sizeof(*t.sites));
	t.subjects = calloc(n, sizeof(*t.subjects));
	if (!t.sites || !t.subjects) {
		free(t.sites);
		free(t.subjects);
		return err_set(eb, -ENOMEM, "check the routers");
	}
	for (size_t i = 0; i <= n; i++)
		t.sites[i] = (struct rest_site) { -1, -1, -1 };
	for (size_t i = 0; i < n; i++)
		t.subjects[i] = (struct rest_subject) { .udp = -1, .tcp = -1, .icmp = -1 };
	int err = run_rest(&t, eb);
	rest_fini(&t);
	return err;
}
