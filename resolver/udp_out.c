/* Answers by UDP, as they leave: one by itself, many by one call. */
#include "resolver/server.h"

#include "mesh/base/buf.h"

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

static void many_send(struct resolver_server *s)
{
	struct mmsghdr m[UDP_BATCH] BUF_UNSET;
	struct iovec io[UDP_BATCH] BUF_UNSET;
	for (size_t i = 0, n; i < s->n_out; i += n) {
		uint8_t listener = s->peers[s->out[i].peer].listener;
		for (n = 0; i + n < s->n_out; n++) {
			struct udp_out *o = &s->out[i + n];
			struct udp_peer *p = &s->peers[o->peer];
			if (p->listener != listener)
				break;
			io[n] = (struct iovec) { o->msg, o->len };
			m[n] = (struct mmsghdr) { .msg_hdr = { .msg_name = &p->from,
							  .msg_namelen = p->from_len,
							  .msg_iov = &io[n],
							  .msg_iovlen = 1 } };
			if (p->control_len) {
				m[n].msg_hdr.msg_control = p->control;
				m[n].msg_hdr.msg_controllen = p->control_len;
			}
		}
		for (size_t done = 0; done < n;) {
			int sent = sendmmsg(s->udp[listener].fd, m + done, (unsigned)(n - done), 0);
			if (sent <= 0)
				s->stats.udp_unsent++; /* DNS over UDP may be lost: the client asks again */
			done += sent > 0 ? (size_t)sent : 1;
		}
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
