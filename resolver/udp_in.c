/* Datagrams of clients, as they are read. */
#include "resolver/server.h"

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

int udp_in_read(struct udp_listener *l)
{
	struct resolver_server *s = l->server;
	if (s->in_control != l->wildcard)
		udp_in_all_ready(s, l->wildcard);
	return recvmmsg(l->fd, s->in_headers, UDP_BATCH, MSG_DONTWAIT, NULL);
}
