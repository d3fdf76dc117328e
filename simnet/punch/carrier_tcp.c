#include "simnet/punch/carrier.h"

#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One connection for each other end. While one is being opened, what is sent there is lost, and after
 * RETRY_MS, which doubles, the next message begins a new try: a NAT may have dropped the first SYN silently,
 * and the kernel would wait for a second before its next. */
enum {
	CONNS_MAX = 1024,
	FRAME_MAX = 4096,
	OUT_MAX = 16384,
	ACCEPTS_PER_WAKEUP = 64,
	BACKLOG_LEN = 256,
	RETRY_MS = 300,
	RETRY_MAX_MS = 2400,
};
struct carrier_conn {
	struct carrier_tcp *carrier;
	struct endpoint with;
	int fd; /* -1: a place that remembers when it was tried */
	struct loop_fd *watch;
	bool connected, delivering; /* delivering: it must outlive what the owner does */
	uint64_t tried_ms, retry_ms;
	uint8_t in[2 + FRAME_MAX], out[OUT_MAX];
	size_t n_in, n_out;
};
struct carrier_tcp {
	struct loop *loop;
	carrier_received *received;
	void *owner;
	int fd;
	struct loop_fd *watch;
	bool dials;
	uint16_t port;
	struct carrier_conn *conns[CONNS_MAX];
	size_t n_conns;
	uint64_t refused; /* connections that found no place */
};

static void conn_hang_up(struct carrier_conn *c)
{
	loop_fd_free(c->watch);
	if (c->fd >= 0)
		close(c->fd);
	c->watch = NULL;
	c->fd = -1;
	c->connected = false;
	c->n_in = c->n_out = 0;
}

static void conn_free(struct carrier_tcp *t, size_t i)
{
	conn_hang_up(t->conns[i]);
	free(t->conns[i]);
	t->conns[i] = t->conns[--t->n_conns];
}

static struct carrier_conn *find_conn(struct carrier_tcp *t, const struct endpoint *with)
{
	for (size_t i = 0; i < t->n_conns; i++)
		if (endpoint_equal(&t->conns[i]->with, with))
			return t->conns[i];
	return NULL;
}

static struct carrier_conn *add_conn(struct carrier_tcp *t, const struct endpoint *with)
{
	struct carrier_conn *c = find_conn(t, with);

	if (c)
		return c;
	for (size_t i = t->n_conns == CONNS_MAX ? t->n_conns : 0; i-- > 0;) {
		const struct carrier_conn *old = t->conns[i];
		if (old && old->fd < 0 && !old->delivering)
			conn_free(t, i);
	}
	if (t->n_conns == CONNS_MAX || !(c = calloc(1, sizeof(*c)))) {
		t->refused++;
		return NULL;
	}
	*c = (struct carrier_conn) { .carrier = t, .with = *with, .fd = -1, .retry_ms = RETRY_MS };
	return t->conns[t->n_conns++] = c;
}

/* ---- bytes ---- */

static bool write_out(struct carrier_conn *c)
{
	while (c->n_out) {
		ssize_t n = send(c->fd, c->out, c->n_out, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		c->n_out -= (size_t)n;
		memmove(c->out, c->out + n, c->n_out);
	}
	return true;
}

/* false: the connection is over. */
static bool deliver_frames(struct carrier_conn *c)
{
	while (c->n_in >= 2) {
		size_t len = (size_t)be_get(c->in, 2);
		if (len > FRAME_MAX)
			return false;
		if (c->n_in < 2 + len)
			break;
		uint8_t msg[FRAME_MAX];
		memcpy(msg, c->in + 2, len);
		c->n_in -= 2 + len;
		memmove(c->in, c->in + 2 + len, c->n_in);
		c->delivering = true;
		c->carrier->received(c->carrier->owner, &c->with, msg, len);
		c->delivering = false;
		if (c->fd < 0) /* an answer found it broken */
			return true;
	}
	return true;
}

static bool read_in(struct carrier_conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->n_in, sizeof(c->in) - c->n_in, 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	c->n_in += (size_t)n;
	return deliver_frames(c);
}

static void conn_ready(void *arg, int events)
{
	struct carrier_conn *c = arg;
	bool good = true;

	if (!c->connected)
		good = c->connected = sock_error(c->fd) == 0;
	if (good && (events & LOOP_READ))
		good = read_in(c);
	if (good && c->fd >= 0)
		good = write_out(c);
	if (!good)
		conn_hang_up(c);
	else if (c->fd >= 0)
		loop_fd_set(c->watch, LOOP_READ | (c->n_out ? LOOP_WRITE : 0));
}

static bool watch_conn(struct carrier_conn *c, int events)
{
	c->watch = loop_fd_new(c->carrier->loop, c->fd, conn_ready, c);
	if (c->watch)
		loop_fd_set(c->watch, events);
	else
		conn_hang_up(c);
	return c->watch;
}

/* ---- opening ---- */

static int tcp_socket(int domain)
{
	int on = 1, off = 0, fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (domain == AF_INET6)
			(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	}
	return fd;
}

static void dial(struct carrier_conn *c)
{
	bool v4 = addr_is_v4(&c->with.ip);
	struct endpoint from = { .ip = v4 ? addr_v4(0) : addr_any6, .port = c->carrier->port };
	/* A try that is given up says nothing; a connection that ends is reset, so that the port is free again. */
	const struct linger reset = { .l_onoff = 1 };
	struct sockaddr_storage ss;

	c->tried_ms = loop_now_ms(c->carrier->loop);
	c->fd = tcp_socket(v4 ? AF_INET : AF_INET6);
	if (c->fd < 0)
		return;
	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	socklen_t len = endpoint_to_sockaddr(&from, false, &ss);
	bool going = bind(c->fd, (struct sockaddr *)&ss, len) == 0;
	len = endpoint_to_sockaddr(&c->with, false, &ss);
	going = going && (connect(c->fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS);
	if (going)
		(void)watch_conn(c, LOOP_WRITE);
	else
		conn_hang_up(c);
}

static void accept_conns(void *arg, int events)
{
	struct carrier_tcp *t = arg;
	(void)events;

	for (int i = 0; i < ACCEPTS_PER_WAKEUP; i++) {
		struct endpoint from;
		int fd = sock_accept(t->fd, &from);
		if (fd < 0)
			return;
		struct carrier_conn *c = add_conn(t, &from);
		if (!c) {
			close(fd);
			continue;
		}
		conn_hang_up(c); /* an older one with the same end is dead, or its SYN was answered by this */
		c->fd = fd;
		c->connected = true;
		(void)watch_conn(c, LOOP_READ);
	}
}

struct carrier_tcp *carrier_tcp_open(struct loop *l, const struct endpoint *at, bool dials,
	carrier_received *received, void *owner, struct errbuf *eb)
{
	struct carrier_tcp *t = calloc(1, sizeof(*t));
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(at, false, &ss);
	char text[ENDPOINT_TEXT];

	if (!t) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*t = (struct carrier_tcp) { .loop = l, .received = received, .owner = owner, .dials = dials };
	t->fd = tcp_socket(ss.ss_family);
	if (t->fd < 0 && errno == EAFNOSUPPORT && addr_is_unspecified(&at->ip)) {
		len = endpoint_to_sockaddr(
			&(struct endpoint) { .ip = addr_v4(0), .port = at->port }, false, &ss);
		t->fd = tcp_socket(AF_INET);
	}
	if (t->fd < 0 || bind(t->fd, (struct sockaddr *)&ss, len) < 0 || listen(t->fd, BACKLOG_LEN) < 0)
		err_set(eb, -errno, "listen on TCP %s", endpoint_format(at, text));
	else if (!(t->watch = loop_fd_new(l, t->fd, accept_conns, t)))
		err_say(eb, -ENOMEM, "out of memory");
	if (!t->watch) {
		carrier_tcp_close(t);
		return NULL;
	}
	loop_fd_set(t->watch, LOOP_READ);
	t->port = carrier_tcp_local(t).port;
	return t;
}

/* ---- sending ---- */

static struct carrier_conn *conn_to(struct carrier_tcp *t, const struct endpoint *to)
{
	struct carrier_conn *c = t->dials ? add_conn(t, to) : find_conn(t, to);

	if (!c || c->connected || !t->dials)
		return c;
	uint64_t now = loop_now_ms(t->loop);
	if (!c->tried_ms) {
		dial(c);
	} else if (now - c->tried_ms >= c->retry_ms) {
		c->retry_ms = c->retry_ms < RETRY_MAX_MS ? c->retry_ms * 2 : c->retry_ms;
		conn_hang_up(c);
		dial(c);
	}
	return c;
}

void carrier_tcp_send(struct carrier_tcp *t, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct carrier_conn *c = conn_to(t, to);

	if (!c || !c->connected || len > FRAME_MAX || 2 + len > sizeof(c->out) - c->n_out)
		return;
	be_put(c->out + c->n_out, 2, len);
	memcpy(c->out + c->n_out + 2, p, len);
	c->n_out += 2 + len;
	c->retry_ms = RETRY_MS;
	if (!write_out(c))
		conn_hang_up(c);
	else if (c->n_out)
		loop_fd_set(c->watch, LOOP_READ | LOOP_WRITE);
}

struct endpoint carrier_tcp_local(const struct carrier_tcp *t)
{
	struct endpoint at = { 0 };
	(void)sock_local(t->fd, &at);
	return at;
}

void carrier_tcp_close(struct carrier_tcp *t)
{
	if (!t)
		return;
	while (t->n_conns)
		conn_free(t, 0);
	loop_fd_free(t->watch);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}
