#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include "mesh/proto/stun.h"
#include "mesh/relay/inner.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BATCH = 32,
	BATCHES_PER_WAKEUP = 8,
	REQUEST_MAX = 512,
	GROWING_PER_S = 200, /* answers larger than what was asked: of no use to who floods a third party */
};

struct stun_server {
	struct loop *loop;
	struct log_limit growing;
	int fd;
	struct loop_fd *watch;
	struct endpoint at;
	struct relay_stats *stats;
};

/* The answer to one datagram into out; 0 when there is none. */
static size_t answer(
	struct stun_server *s, const struct sockaddr_storage *ss, const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t tx[STUN_TX];
	struct endpoint from;
	bool official;
	if (!endpoint_from_sockaddr((const struct sockaddr *)ss, &from) ||
		!stun_request_read(in, len, tx, &official)) {
		s->stats->stun_malformed++;
		return 0;
	}
	s->stats->stun_requests++;
	size_t n = stun_reply_write(tx, &from, out);
	if (official || n <= len || log_allowed(&s->growing, GROWING_PER_S, loop_now_ms(s->loop)))
		return n;
	s->stats->stun_limited++;
	return 0;
}

/* The address that a datagram was sent to comes with it, and goes with the answer: a machine of several
 * addresses would choose another one, which no NAT on the way lets in. */
union local {
	struct cmsghdr align;
	uint8_t b[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static void ask_local(int fd)
{
	int on = 1;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) != 0)
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
}

/* The way out is the kernel's choice, but where an address means nothing without its link. */
static void forget_interface(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		((struct in_pktinfo *)(void *)CMSG_DATA(c))->ipi_ifindex = 0;
	} else if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo *i = (void *)CMSG_DATA(c);
		if (!IN6_IS_ADDR_LINKLOCAL(&i->ipi6_addr))
			i->ipi6_ifindex = 0;
	}
}

/* One system call for what has come, one for the answers. Returns how many had come. */
static int serve_batch(struct stun_server *s)
{
	uint8_t in[BATCH][REQUEST_MAX], out[BATCH][STUN_REPLY_MAX];
	union local local[BATCH];
	struct sockaddr_storage from[BATCH];
	struct mmsghdr rx[BATCH], tx[BATCH];
	struct iovec rx_io[BATCH], tx_io[BATCH];
	unsigned replies = 0;
	for (int i = 0; i < BATCH; i++) {
		rx_io[i] = (struct iovec) { .iov_base = in[i], .iov_len = sizeof(in[i]) };
		rx[i] = (struct mmsghdr) { .msg_hdr = { .msg_name = &from[i],
						   .msg_namelen = sizeof(from[i]),
						   .msg_iov = &rx_io[i],
						   .msg_iovlen = 1,
						   .msg_control = &local[i],
						   .msg_controllen = sizeof(local[i]) } };
	}
	int n = recvmmsg(s->fd, rx, BATCH, 0, NULL);
	for (int i = 0; i < n; i++) {
		size_t len = answer(s, &from[i], in[i], rx[i].msg_len, out[replies]);
		if (!len)
			continue;
		forget_interface(&rx[i].msg_hdr);
		tx_io[replies] = (struct iovec) { .iov_base = out[replies], .iov_len = len };
		tx[replies] = (struct mmsghdr) { .msg_hdr = { .msg_name = &from[i],
							 .msg_namelen = rx[i].msg_hdr.msg_namelen,
							 .msg_iov = &tx_io[replies],
							 .msg_iovlen = 1,
							 .msg_control = rx[i].msg_hdr.msg_control,
							 .msg_controllen = rx[i].msg_hdr.msg_controllen } };
		replies++;
	}
	/* A lost answer is asked for again; one that cannot be sent must not take the rest with it. */
	for (unsigned sent = 0; sent < replies;) {
		int k = sendmmsg(s->fd, tx + sent, replies - sent, 0);
		sent += k > 0 ? (unsigned)k : 1;
	}
	return n;
}

static void stun_server_readable(void *arg, int events)
{
	(void)events;
	for (int i = 0; i < BATCHES_PER_WAKEUP && serve_batch(arg) == BATCH; i++)
		;
}

struct stun_server *stun_server_open(
	struct loop *l, const struct endpoint *at, struct relay_stats *stats, struct errbuf *eb)
{
	struct stun_server *s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(eb, -ENOMEM, "start STUN");
		return NULL;
	}
	s->loop = l;
	s->stats = stats;
	s->fd = sock_udp(at, eb);
	s->watch = s->fd >= 0 ? loop_fd_new(l, s->fd, stun_server_readable, s) : NULL;
	if (!s->watch) {
		if (s->fd >= 0)
			close(s->fd);
		free(s);
		return NULL;
	}
	ask_local(s->fd);
	sock_local(s->fd, &s->at);
	loop_fd_set(s->watch, LOOP_READ);
	return s;
}

void stun_server_close(struct stun_server *s)
{
	if (!s)
		return;
	loop_fd_free(s->watch);
	close(s->fd);
	free(s);
}

struct endpoint stun_server_at(const struct stun_server *s)
{
	return s->at;
}
