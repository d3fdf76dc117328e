#include "mesh/node/plane/udp.h"
#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
	READS_PER_WAKEUP = 8,
	SUPER_MAX = 65536,
	SOCKET_BUFFER = 4 << 20,
	GSO_SEGMENTS_MAX = 64,
	GSO_BYTES_MAX = 65000
};

struct udp {
	int fd;
	uint16_t port;
	bool gro;
	struct loop_fd *watch;
	struct udp_events ev;
	struct udp_drops drops;
	struct udp_sender out;
	uint8_t super[SUPER_MAX];
	struct pkt batch[PKT_BATCH];
	struct endpoint from[PKT_BATCH];
};

/* What the kernel says beside a datagram, or several of one flow that it joined. */
struct beside {
	size_t size; /* of each; 0 = it is one */
	uint8_t ecn; /* of all of them */
};

static struct beside read_beside(struct msghdr *m)
{
	struct beside b = { 0 };
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int v = 0;
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			b.ecn = *CMSG_DATA(c) & 3;
			continue;
		}
		if (c->cmsg_len < CMSG_LEN(sizeof(v)))
			continue;
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			b.size = v > 0 ? (size_t)v : 0;
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			b.ecn = v & 3;
	}
	return b;
}

/* Larger ones are no message of ours: they would not fit through the smallest link we allow for. */
static void add_datagram(
	struct udp *u, const uint8_t *p, size_t len, uint8_t ecn, const struct endpoint *from, size_t *count)
{
	if (len > PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM) {
		u->drops.udp_oversize++;
		return;
	}
	struct pkt *pkt = &u->batch[*count];
	pkt_reset(pkt);
	memcpy(pkt_data(pkt), p, len);
	pkt->len = (uint16_t)len;
	pkt->ecn = ecn;
	u->from[(*count)++] = *from;
	if (*count == PKT_BATCH) {
		u->ev.received(u->ev.arg, u->batch, u->from, *count);
		*count = 0;
	}
}

static bool read_once(struct udp *u)
{
	struct sockaddr_storage ss;
	union {
		struct cmsghdr align;
		char b[3 * CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { u->super, sizeof(u->super) };
	struct msghdr m = { .msg_name = &ss,
		.msg_namelen = sizeof(ss),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.b,
		.msg_controllen = sizeof(control.b) };
	ssize_t n = recvmsg(u->fd, &m, 0);
	struct endpoint from;
	if (n < 0)
		return errno == ECONNREFUSED; /* an ICMP error of an earlier send: go on reading */
	if (!endpoint_from_sockaddr((struct sockaddr *)&ss, &from)) {
		u->drops.udp_bad_source++;
		return true;
	}
	struct addr v4;
	if (nat64_extract(&u->out.nat64, &from.ip, &v4))
		from.ip = v4;
	struct beside said = read_beside(&m);
	size_t seg = said.size, count = 0;
	if (!seg)
		seg = (size_t)n;
	for (size_t at = 0; at < (size_t)n; at += seg)
		add_datagram(u, u->super + at, (size_t)n - at < seg ? (size_t)n - at : seg, said.ecn, &from,
			&count);
	if (count)
		u->ev.received(u->ev.arg, u->batch, u->from, count);
	return true;
}

static void readable(void *arg, int events)
{
	struct udp *u = arg;
	(void)events;
	for (int i = 0; i < READS_PER_WAKEUP && read_once(u); i++)
		;
}

static int open_port(uint16_t port, struct errbuf *eb)
{
	struct endpoint any = { .ip = addr_any6, .port = port };
	int fd = sock_udp(&any, eb);
	if (fd != -EADDRINUSE || !port)
		return fd;
	log_warn("UDP port %u is in use; taking another", port);
	any.port = 0;
	return sock_udp(&any, eb);
}

/* Links below 1500 whose ICMP is filtered would swallow full packets: routers may cut ours. */
static void allow_fragments(int fd, bool v6)
{
	int four = IP_PMTUDISC_DONT, six = IPV6_PMTUDISC_DONT;
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &four, sizeof(four));
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &six, sizeof(six));
}

struct udp *udp_open(struct loop *l, uint16_t port, const struct udp_events *ev, struct errbuf *eb)
{
	struct udp *u = calloc(1, sizeof(*u));
	if (!u) {
		err_set(eb, -ENOMEM, "open UDP socket");
		return NULL;
	}
	struct endpoint local;
	u->ev = *ev;
	u->fd = open_port(port, eb);
	int err = u->fd < 0 ? u->fd : sock_local(u->fd, &local);
	if (!err && !(u->watch = loop_fd_new(l, u->fd, readable, u)))
		err = -ENOMEM;
	if (err && u->fd >= 0) {
		err_set(eb, err, "open UDP socket");
		close(u->fd);
	}
	if (err) {
		free(u);
		return NULL;
	}
	int domain = 0, one = 1, size = SOCKET_BUFFER;
	socklen_t n = sizeof(domain);
	getsockopt(u->fd, SOL_SOCKET, SO_DOMAIN, &domain, &n);
	u->out.fd = u->fd;
	u->out.v6 = domain == AF_INET6;
	u->port = local.port;
	/* Privileged first, then as far as the limit allows. */
	if (setsockopt(u->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(u->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(u->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	u->gro = setsockopt(u->fd, SOL_UDP, UDP_GRO, &one, sizeof(one)) == 0;
	setsockopt(u->fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one));
	if (u->out.v6)
		setsockopt(u->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one));
	allow_fragments(u->fd, u->out.v6);
	sock_mark_outside(u->fd);
	u->out.gso = true;
	loop_fd_set(u->watch, LOOP_READ);
	return u;
}

void udp_close(struct udp *u)
{
	if (!u)
		return;
	loop_fd_free(u->watch);
	close(u->fd);
	free(u);
}

uint16_t udp_port(const struct udp *u)
{
	return u->port;
}

struct udp_offloads udp_offloads(const struct udp *u)
{
	return (struct udp_offloads) { .gso = u->out.gso, .gro = u->gro };
}

const struct udp_drops *udp_drops(const struct udp *u)
{
	return &u->drops;
}

static void note_failure(struct udp_sender *o, const struct endpoint *to, size_t packets)
{
	int err = errno;
	/* A full queue loses the packet as a link would; the rest says the way is bad. */
	bool full = err == EAGAIN || err == ENOBUFS;
	*(full ? &o->queue_full : &o->unsent) += packets;
	if (!full && err != ECONNREFUSED) {
		o->failed = -err;
		o->failed_to = *to;
	}
}

void udp_nat64_set(struct udp *u, const struct nat64 *n)
{
	u->out.nat64 = *n;
}

/* IPv4 goes through the translator, where there is one. */
static socklen_t to_sockaddr(
	const struct udp_sender *o, const struct endpoint *to, struct sockaddr_storage *ss)
{
	struct endpoint at = *to;
	if (o->nat64.bits && addr_is_v4(&to->ip))
		at.ip = nat64_embed(&o->nat64, &to->ip);
	return endpoint_to_sockaddr(&at, o->v6, ss);
}

struct udp_sender udp_sender_of(const struct udp *u)
{
	return u->out;
}

void udp_sender_told(struct udp *u, const struct udp_sender *o)
{
	u->drops.udp_queue_full += o->queue_full;
	u->drops.udp_unsent += o->unsent;
	u->out.gso = u->out.gso && o->gso;
	if (o->failed)
		u->ev.send_failed(u->ev.arg, &o->failed_to, o->failed);
}

static void sent(struct udp *u)
{
	struct udp_sender said = u->out;
	u->out.queue_full = u->out.unsent = 0;
	u->out.failed = 0;
	if (said.queue_full || said.unsent || said.failed)
		udp_sender_told(u, &said);
}

void udp_send(struct udp *u, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t n = to_sockaddr(&u->out, to, &ss);
	if (sendto(u->fd, p, len, 0, (struct sockaddr *)&ss, n) < 0)
		note_failure(&u->out, to, 1);
	sent(u);
}

/* One more control message; the room is the caller's. */
static void put_control(struct msghdr *m, int level, int type, const void *p, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((char *)m->msg_control + m->msg_controllen);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), p, len);
	m->msg_controllen += CMSG_SPACE(len);
}

static bool leaves_by_v4(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET ||
	       IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)ss)->sin6_addr);
}

void udp_send_near(struct udp *u, const struct endpoint *to, uint8_t hops, const uint8_t *p, size_t len)
{
	struct sockaddr_storage ss;
	union {
		struct cmsghdr align;
		char b[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)p, len };
	struct msghdr m = { .msg_name = &ss,
		.msg_namelen = to_sockaddr(&u->out, to, &ss),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.b };
	int life = hops + 1;
	if (leaves_by_v4(&ss))
		put_control(&m, IPPROTO_IP, IP_TTL, &life, sizeof(life));
	if (sendmsg(u->fd, &m, 0) < 0)
		note_failure(&u->out, to, 1);
	sent(u);
}

/* How many from the front can leave as one: same length and mark, the last may be shorter. */
static size_t run_length(struct pkt *const *pkts, size_t n)
{
	size_t i = 1, bytes = pkts[0]->len;
	while (i < n && i < GSO_SEGMENTS_MAX && pkts[i - 1]->len == pkts[0]->len &&
		pkts[i]->len <= pkts[0]->len && pkts[i]->ecn == pkts[0]->ecn &&
		bytes + pkts[i]->len <= GSO_BYTES_MAX)
		bytes += pkts[i++]->len;
	return i;
}

static bool send_run(const struct udp_sender *o, struct sockaddr_storage *ss, socklen_t ss_len,
	struct pkt *const *pkts, size_t n)
{
	struct iovec iov[GSO_SEGMENTS_MAX];
	union {
		struct cmsghdr align;
		char b[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	for (size_t i = 0; i < n; i++)
		iov[i] = (struct iovec) { pkt_data(pkts[i]), pkts[i]->len };
	struct msghdr m = { .msg_name = ss,
		.msg_namelen = ss_len,
		.msg_iov = iov,
		.msg_iovlen = n,
		.msg_control = control.b };
	int ecn = pkts[0]->ecn;
	if (n > 1)
		put_control(&m, SOL_UDP, UDP_SEGMENT, &pkts[0]->len, sizeof(uint16_t));
	if (ecn && leaves_by_v4(ss))
		put_control(&m, IPPROTO_IP, IP_TOS, &ecn, sizeof(ecn));
	else if (ecn)
		put_control(&m, IPPROTO_IPV6, IPV6_TCLASS, &ecn, sizeof(ecn));
	return sendmsg(o->fd, &m, 0) >= 0;
}

void udp_sender_send(struct udp_sender *o, const struct endpoint *to, struct pkt *const *pkts, size_t n)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = to_sockaddr(o, to, &ss);
	for (size_t i = 0, single = 0; i < n;) {
		/* single: how far segmentation has been refused in this batch */
		size_t run = o->gso && i >= single ? run_length(pkts + i, n - i) : 1;
		if (send_run(o, &ss, ss_len, pkts + i, run)) {
			i += run;
		} else if (run > 1 && (errno == EINVAL || errno == EMSGSIZE)) {
			single = i + run; /* too large for this way's links: they are cut on the way */
		} else if (run > 1 && errno == EIO) {
			log_info("UDP segmentation is refused (%s); sending one by one", strerror(errno));
			o->gso = false;
		} else {
			note_failure(o, to, run);
			i += run;
		}
	}
}

void udp_send_batch(struct udp *u, const struct endpoint *to, struct pkt *const *pkts, size_t n)
{
	udp_sender_send(&u->out, to, pkts, n);
	sent(u);
}
