/* Questions of ours on their way to an upstream: one socket each, so that the kernel picks a random port,
 * checks who answers, and tells us at once when nobody can. */
#include "resolver/server.h"

#include "mesh/os/sock.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	READS_PER_WAKEUP = 16,
	ERRANDS_MIN = 64,
	EVENTS_PER_WAKEUP = 64,
	OUT_MAX = 2 + DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN
};

struct errand {
	struct resolver_server *server;
	struct errand *next; /* failed within a call of the core, which is still to be told */
	uint64_t id;
	int fd, code;
	bool tcp;
	uint16_t out_at, out_len;
	size_t in_len;
	uint8_t *in; /* TCP: owned, grows to what the length says */
	uint8_t out[OUT_MAX];
};

static void errand_free(struct errand *e)
{
	if (e->fd >= 0)
		close(e->fd); /* leaves the epoll by itself */
	free(e->in);
	free(e);
}

void errand_done(struct resolver_server *s, uint64_t id)
{
	struct errand *e = table_remove(&s->errands, &id);
	if (e)
		errand_free(e);
}

void errands_close(struct resolver_server *s)
{
	size_t at = 0;
	for (struct errand *e; (e = table_next(&s->errands, &at));) {
		uint64_t id = e->id;
		table_remove(&s->errands, &id);
		errand_free(e);
	}
	for (struct errand *e; (e = s->failed);) {
		s->failed = e->next;
		errand_free(e);
	}
	loop_fd_free(s->errand_watch);
	if (s->errand_poll >= 0)
		close(s->errand_poll);
}

static void errand_fail(struct errand *e, int code)
{
	struct resolver_server *s = e->server;
	uint64_t id = e->id;
	errand_done(s, id);
	resolver_upstream_failed(s->core, loop_now_ms(s->loop), id, code);
}

static bool errand_watch(struct errand *e, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = e->id };
	return !epoll_ctl(e->server->errand_poll, op, e->fd, &ev);
}

static bool is_alive(struct resolver_server *s, uint64_t id)
{
	return table_get(&s->errands, &id);
}

static void udp_ready(struct errand *e)
{
	struct resolver_server *s = e->server;
	uint64_t id = e->id;
	for (int i = 0; i < READS_PER_WAKEUP && is_alive(s, id); i++) {
		ssize_t n = recv(e->fd, s->big, sizeof(s->big), 0);
		if (n >= 0)
			resolver_upstream_received(s->core, loop_now_ms(s->loop), id, s->big, (size_t)n);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			errand_fail(e, -errno);
	}
}

/* The question goes out when the connection stands. False: failed. */
static bool tcp_write(struct errand *e)
{
	while (e->out_at < e->out_len) {
		ssize_t n = send(e->fd, e->out + e->out_at, (size_t)(e->out_len - e->out_at), MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return true;
		if (n < 0)
			return false;
		e->out_at = (uint16_t)(e->out_at + n);
	}
	return errand_watch(e, EPOLL_CTL_MOD, EPOLLIN);
}

static void tcp_read(struct errand *e)
{
	struct resolver_server *s = e->server;
	uint64_t id = e->id;
	for (int i = 0; i < READS_PER_WAKEUP; i++) {
		size_t want = e->in_len < 2 ? 2 : 2 + be_get(e->in, 2);
		if (e->in_len >= 2 && e->in_len == want) {
			resolver_upstream_received(s->core, loop_now_ms(s->loop), id, e->in + 2, want - 2);
			if (is_alive(s, id)) /* an answer it did not want: no other will come */
				errand_fail(e, ERR_MALFORMED);
			return;
		}
		if (e->in_len == 2) {
			uint8_t *bigger = realloc(e->in, want);
			if (!bigger) {
				errand_fail(e, -ENOMEM);
				return;
			}
			e->in = bigger;
		}
		ssize_t n = recv(e->fd, e->in + e->in_len, want - e->in_len, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			errand_fail(e, n ? -errno : ERR_CLOSED);
			return;
		}
		e->in_len += (size_t)n;
	}
}

static void errand_ready(struct errand *e, uint32_t events)
{
	if (!e->tcp) {
		udp_ready(e);
	} else if (events & EPOLLOUT) {
		int code = sock_error(e->fd);
		if (code || !tcp_write(e))
			errand_fail(e, code ? code : ERR_CLOSED);
	} else {
		tcp_read(e);
	}
}

static void errands_ready(void *arg, int events)
{
	struct resolver_server *s = arg;
	struct epoll_event ev[EVENTS_PER_WAKEUP];
	(void)events;
	int n = epoll_wait(s->errand_poll, ev, EVENTS_PER_WAKEUP, 0);
	for (int i = 0; i < n; i++) {
		uint64_t id = ev[i].data.u64; /* an earlier answer may have ended this errand */
		struct errand *e = table_get(&s->errands, &id);
		if (e)
			errand_ready(e, ev[i].events);
	}
	server_settle(s);
}

int errands_open(struct resolver_server *s, struct errbuf *eb)
{
	size_t half = sock_limit() / 2; /* the rest of the program needs descriptors too */
	s->errands_max = half > ERRANDS_MIN ? half : ERRANDS_MIN;
	s->errand_poll = epoll_create1(EPOLL_CLOEXEC);
	if (s->errand_poll < 0)
		return err_set(eb, -errno, "make an epoll for upstream sockets");
	s->errand_watch = loop_fd_new(s->loop, s->errand_poll, errands_ready, s);
	if (!s->errand_watch)
		return err_say(eb, -ENOMEM, "out of memory for the resolver");
	loop_fd_set(s->errand_watch, LOOP_READ);
	return 0;
}

static int errand_open(struct errand *e, const struct endpoint *to, const uint8_t *msg, size_t len)
{
	struct resolver_server *s = e->server;
	struct sockaddr_storage ss;
	int on = 1;
	socklen_t ss_len = endpoint_to_sockaddr(to, false, &ss);
	if (s->errands.n >= s->errands_max)
		return -EMFILE;
	e->fd = socket(ss.ss_family, (e->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (e->fd < 0)
		return -errno;
	if (s->options.upstream_socket && s->options.upstream_socket(s->options.arg, e->fd, to))
		return ERR_REFUSED;
	if (e->tcp)
		setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(e->fd, (struct sockaddr *)&ss, ss_len) && errno != EINPROGRESS)
		return -errno;
	if (!e->tcp && send(e->fd, msg, len, 0) < 0)
		return -errno;
	return errand_watch(e, EPOLL_CTL_ADD, e->tcp ? EPOLLOUT : EPOLLIN) ? 0 : -errno;
}

static int errand_start(struct errand *e, const struct endpoint *to, const uint8_t *msg, size_t len)
{
	if (e->tcp) {
		if (len + 2 > OUT_MAX || !(e->in = malloc(2)))
			return -ENOMEM;
		be_put(e->out, 2, len);
		memcpy(e->out + 2, msg, len);
		e->out_len = (uint16_t)(len + 2);
	}
	int code = errand_open(e, to, msg, len);
	if (!code && !table_put(&e->server->errands, &e->id, e))
		code = -ENOMEM;
	return code;
}

void errand_send(struct resolver_server *s, uint64_t id, const struct endpoint *to, bool tcp,
	const uint8_t *msg, size_t len)
{
	struct errand *e = calloc(1, sizeof(*e));
	if (!e)
		return; /* the core's patience ends by itself */
	e->server = s;
	e->id = id;
	e->tcp = tcp;
	e->fd = -1;
	e->code = errand_start(e, to, msg, len);
	if (!e->code)
		return;
	e->next = s->failed;
	s->failed = e;
}

void errands_settle(struct resolver_server *s)
{
	for (struct errand *e; (e = s->failed);) {
		uint64_t id = e->id;
		int code = e->code;
		s->failed = e->next;
		errand_free(e);
		resolver_upstream_failed(s->core, loop_now_ms(s->loop), id, code);
	}
}
