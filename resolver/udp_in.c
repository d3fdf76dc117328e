/* Datagrams of clients, as they are read.
 *
 * Where many come at once one call reads them all. Mostly one comes: a program asks, and waits. Then the arrays and the
 * second look of recvmmsg are what costs most of all that is not the kernel's delivery itself, and one is read by a plain
 * call. Whether there are more is looked at now and then; until then each brings the loop back at once. */
#include "resolver/server.h"

enum {
	ALONE_SURE = 8,	 /* wake-ups in a row that brought one: so will the next */
	ALONE_LOOK = 16, /* of those, each of so many looks for more */
};

/* Of 32 that are read into one or two are used, mostly: the others stay ready. */
void udp_in_ready(struct resolver_server *s, size_t i)
{
	struct udp_in *in = &s->in[i];
	s->in_headers[i].msg_hdr = (struct msghdr) { .msg_name = &in->from,
		.msg_namelen = sizeof(in->from),
		.msg_iov = &in->io,
		.msg_iovlen = 1,
		.msg_control = s->in_control ? in->control : NULL,
		.msg_controllen = s->in_control ? sizeof(in->control) : 0 };
}

void udp_in_all_ready(struct resolver_server *s, bool control)
{
	s->in_control = control;
	for (size_t i = 0; i < UDP_BATCH; i++) {
		s->in[i].io = (struct iovec) { s->in[i].msg, UDP_IN };
		udp_in_ready(s, i);
	}
}

static int one_read(const struct udp_listener *l, struct mmsghdr *m)
{
	struct msghdr *h = &m->msg_hdr;
	if (l->wildcard) {
		ssize_t n = recvmsg(l->fd, h, MSG_DONTWAIT);
		m->msg_len = n > 0 ? (unsigned)n : 0;
		return n < 0 ? -1 : 1;
	}
	ssize_t n = recvfrom(l->fd, h->msg_iov->iov_base, h->msg_iov->iov_len, MSG_DONTWAIT | MSG_TRUNC,
		h->msg_name, &h->msg_namelen);
	h->msg_flags = n > (ssize_t)h->msg_iov->iov_len ? MSG_TRUNC : 0;
	m->msg_len = n > 0 ? (unsigned)n : 0;
	return n < 0 ? -1 : 1;
}

int udp_in_read(struct udp_listener *l)
{
	struct resolver_server *s = l->server;
	if (s->in_control != l->wildcard)
		udp_in_all_ready(s, l->wildcard);
	if (l->alone >= ALONE_SURE && l->alone % ALONE_LOOK) {
		l->alone++;
		return one_read(l, &s->in_headers[0]);
	}
	int n = recvmmsg(l->fd, s->in_headers, UDP_BATCH, MSG_DONTWAIT, NULL);
	l->alone = n > 1 ? 0 : l->alone + (n == 1);
	return n;
}
