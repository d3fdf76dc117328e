#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include "mesh/proto/stun.h"
#include "mesh/relay/inner.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READS_PER_WAKEUP = 64, REQUEST_MAX = 512 };

struct stun_server {
	int fd;
	struct loop_fd *watch;
	struct endpoint at;
	struct relay_stats *stats;
};

static bool serve_one(struct stun_server *s)
{
	uint8_t in[REQUEST_MAX], out[STUN_REPLY_MAX], tx[STUN_TX];
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	struct endpoint from;
	bool official;
	ssize_t n = recvfrom(s->fd, in, sizeof(in), 0, (struct sockaddr *)&ss, &ss_len);
	if (n < 0)
		return false;
	if (!endpoint_from_sockaddr((struct sockaddr *)&ss, &from) ||
		!stun_request_read(in, (size_t)n, tx, &official)) {
		s->stats->stun_malformed++;
		return true;
	}
	s->stats->stun_requests++;
	size_t len = stun_reply_write(tx, &from, out);
	/* A lost answer is asked for again. */
	(void)sendto(s->fd, out, len, 0, (struct sockaddr *)&ss, ss_len);
	return true;
}

static void readable(void *arg, int events)
{
	(void)events;
	for (int i = 0; i < READS_PER_WAKEUP && serve_one(arg); i++)
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
	s->stats = stats;
	s->fd = sock_udp(at, eb);
	s->watch = s->fd >= 0 ? loop_fd_new(l, s->fd, readable, s) : NULL;
	if (!s->watch) {
		if (s->fd >= 0)
			close(s->fd);
		free(s);
		return NULL;
	}
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
