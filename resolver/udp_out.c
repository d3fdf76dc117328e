/* Answers by UDP, as they leave: one by itself, many by one call. Several for one client that are as long as each other, as
 * those of a forwarder that asks from one socket mostly are, go through the kernel's stack as one datagram, which is cut where
 * it is delivered (UDP_SEGMENT). Where that is refused they go one by one. */
#include "resolver/server.h"

#include "mesh/base/buf.h"
#include <errno.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

struct control { /* packet info, and how long each is */
	_Alignas(struct cmsghdr) char b[UDP_CONTROL + CMSG_SPACE(sizeof(uint16_t))];
};
struct batch {
	size_t n;
	struct mmsghdr m[UDP_BATCH];
	struct iovec io[UDP_BATCH];
	struct control control[UDP_BATCH];
};

void udp_peer_give_back(struct resolver_server *s, uint32_t number)
{
	s->waits[s->peers[number].count]--;
	s->free_peers[s->n_free_peers++] = number;
}

/* As most are: without the arrays that many take. */
static void one_send(struct resolver_server *s, const struct udp_out *o)
{
	const struct udp_peer *p = &s->peers[o->peer];
	ssize_t sent = sendto(
		s->udp[p->listener].fd, o->msg, o->len, 0, (const struct sockaddr *)&p->from, p->from_len);
	s->stats.udp_unsent += sent < 0;
}

static bool is_same_peer(const struct udp_peer *a, const struct udp_peer *b)
{
	return a->listener == b->listener && a->from_len == b->from_len && a->control_len == b->control_len &&
	       !memcmp(&a->from, &b->from, a->from_len) && !memcmp(a->control, b->control, a->control_len);
}

/* How many from the i-th on can leave as one: the last may be shorter. */
static size_t run_length(const struct resolver_server *s, size_t i)
{
	const struct udp_out *first = &s->out[i];
	size_t n = 1;
	while (!s->one_by_one && i + n < s->n_out && first[n - 1].len == first->len &&
		first[n].len <= first->len && is_same_peer(&s->peers[first[n].peer], &s->peers[first->peer]))
		n++;
	return n;
}

static void segment_add(struct msghdr *h, struct control *c, uint16_t each)
{
	memset(c, 0, sizeof(*c));
	if (h->msg_controllen)
		memcpy(c->b, h->msg_control, h->msg_controllen);
	struct cmsghdr *last = (struct cmsghdr *)(c->b + h->msg_controllen);
	last->cmsg_level = SOL_UDP;
	last->cmsg_type = UDP_SEGMENT;
	last->cmsg_len = CMSG_LEN(sizeof(each));
	memcpy(CMSG_DATA(last), &each, sizeof(each));
	h->msg_control = c->b;
	h->msg_controllen += CMSG_SPACE(sizeof(each));
}

static void message_add(struct resolver_server *s, struct batch *b, size_t first, size_t n)
{
	struct udp_peer *p = &s->peers[s->out[first].peer];
	struct msghdr *h = &b->m[b->n].msg_hdr;
	for (size_t i = first; i < first + n; i++)
		b->io[i] = (struct iovec) { s->out[i].msg, s->out[i].len };
	*h = (struct msghdr) { .msg_name = &p->from,
		.msg_namelen = p->from_len,
		.msg_iov = &b->io[first],
		.msg_iovlen = n,
		.msg_control = p->control_len ? p->control : NULL,
		.msg_controllen = p->control_len };
	if (n > 1)
		segment_add(h, &b->control[b->n], s->out[first].len);
	b->n++;
}

/* DNS over UDP may be lost: the client asks again. */
static void run_send(struct resolver_server *s, int fd, struct msghdr h)
{
	size_t n = h.msg_iovlen;
	h.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
	if (!h.msg_controllen)
		h.msg_control = NULL;
	for (h.msg_iovlen = 1; n; n--, h.msg_iov++)
		s->stats.udp_unsent += sendmsg(fd, &h, 0) < 0;
}

static void batch_send(struct resolver_server *s, struct batch *b, int fd)
{
	for (size_t done = 0; done < b->n;) {
		const struct msghdr *h = &b->m[done].msg_hdr;
		bool run = h->msg_iovlen > 1;
		int sent = run && s->one_by_one ? 0 : sendmmsg(fd, b->m + done, (unsigned)(b->n - done), 0);
		if (sent < 0 && run && errno == EIO) /* for good: there is no such thing here */
			s->one_by_one = true;
		if (run && (s->one_by_one || (sent < 0 && (errno == EINVAL || errno == EMSGSIZE))))
			run_send(s, fd, *h);
		else if (sent <= 0)
			s->stats.udp_unsent += h->msg_iovlen;
		done += sent > 0 ? (size_t)sent : 1;
	}
	b->n = 0;
}

static void many_send(struct resolver_server *s)
{
	struct batch b BUF_UNSET;
	b.n = 0;
	for (size_t i = 0, run; i < s->n_out; i += run) {
		uint8_t listener = s->peers[s->out[i].peer].listener;
		run = run_length(s, i);
		message_add(s, &b, i, run);
		if (i + run == s->n_out || s->peers[s->out[i + run].peer].listener != listener)
			batch_send(s, &b, s->udp[listener].fd);
	}
}

void udp_out_flush(struct resolver_server *s)
{
	if (s->n_out == 1 && !s->peers[s->out[0].peer].control_len)
		one_send(s, &s->out[0]);
	else
		many_send(s);
	for (size_t i = 0; i < s->n_out; i++) {
		s->peers[s->out[i].peer].generation++;
		udp_peer_give_back(s, s->out[i].peer);
	}
	s->n_out = 0;
}
