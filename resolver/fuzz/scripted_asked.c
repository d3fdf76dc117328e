#include "resolver/fuzz/scripted_asked.h"
#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include "resolver/message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int __wrap_sock_tcp_connect(const struct endpoint *to, struct errbuf *eb);

enum { ENDS = 16, QUESTION_MAX = 2 + DNS_MESSAGE_MAX };

static struct {
	int fds[ENDS]; /* 0: a free place */
	size_t next;
	bool refuses;
} asked;

static void end_close(size_t i)
{
	if (asked.fds[i])
		close(asked.fds[i]);
	asked.fds[i] = 0;
}

int __wrap_sock_tcp_connect(const struct endpoint *to, struct errbuf *eb)
{
	int fd[2];
	if (!addr_equal(&to->ip, &addr_service_v4))
		abort(); /* it asks this machine's own, whatever it was told */
	if (asked.refuses)
		return err_set(eb, -ECONNREFUSED, "connect");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0)
		abort();
	size_t i = asked.next++ % ENDS;
	end_close(i);
	asked.fds[i] = fd[1];
	return fd[0];
}

void scripted_asked_refuses(int on)
{
	asked.refuses = on;
}

static size_t answer_by_letter(const struct dns_query *q, uint8_t *out, size_t cap)
{
	static const uint8_t inside[] = { 10, 0, 0, 1 }, outside[] = { 8, 8, 8, 8 },
			     to[] = "\3git\4corp\7example";
	struct dns_writer d;
	char first = q->name.len > 1 ? (char)q->name.b[1] : 'z';
	bool alias = first >= 'i' && first < 'm';
	dns_write_begin(&d, out, cap, q);
	dns_write_mark(&d, 1);
	size_t rr = dns_write_rr(&d, &q->name, alias ? DNS_CNAME : DNS_A, 60);
	if (alias)
		wr_bytes(&d.w, to, sizeof(to));
	else
		wr_bytes(&d.w, first < 'i' ? inside : outside, sizeof(inside));
	dns_write_rr_end(&d, rr);
	(void)dns_write_keep(&d);
	return first < 'e' ? 0 : dns_write_end(&d, q, &(struct dns_end) { .ede = EDE_NONE });
}

void scripted_asked_turn(const uint8_t *answer, size_t len)
{
	static uint8_t in[QUESTION_MAX], out[2 + DNS_MESSAGE_MAX];
	for (size_t i = 0; i < ENDS; i++) {
		struct dns_query q;
		ssize_t n = asked.fds[i] ? recv(asked.fds[i], in, sizeof(in), MSG_DONTWAIT) : -1;
		if (n == 0)
			end_close(i); /* the asker left */
		if (n < 2 || dns_query_read(in + 2, (size_t)n - 2, true, &q) != DNS_READ_OK)
			continue;
		size_t n_out = len < DNS_MESSAGE_MAX ? len : DNS_MESSAGE_MAX;
		if (answer)
			memcpy(out + 2, answer, n_out);
		else
			n_out = answer_by_letter(&q, out + 2, DNS_MESSAGE_MAX);
		be_put(out, 2, n_out);
		(void)!send(asked.fds[i], out, 2 + n_out, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

void scripted_asked_end(void)
{
	for (size_t i = 0; i < ENDS; i++)
		end_close(i);
	asked.refuses = false;
}
