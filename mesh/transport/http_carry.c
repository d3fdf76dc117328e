/* The head of a message goes through http_parse, which stops there. A body of a known length never does: its bytes are
 * counted, and moved by splice(2) through a pipe, or by sendfile(2). Only chunks are read by the parser. */
#include "mesh/os/sock.h"
#include "mesh/transport/http_carry_inner.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ_SIZE = 128 * 1024,
	SPLICE_SIZE = 1024 * 1024,
	ENOUGH = 256 * 1024, /* bytes that are worth a wake-up */
	PATIENCE_MS = 60000,
	LINGER_MS = 2000,
	HEAD_OUT = 2048,
	TYPE_MAX = 160, /* letters of a Content-Type */
};

struct http_carry {
	int fd, stop, idle_ms;
	bool accepted;
	bool answered; /* we did, as the server of it */
	struct http_parse in;
	struct buf ahead;  /* came behind what was parsed */
	int64_t left;	   /* bytes of the body; -1: the parser knows when it ends */
	struct buf chunks; /* bodies of chunks that nobody has read yet */
};

/* --- life and end --- */

static struct http_carry *carry_new(int fd, bool request)
{
	struct http_carry *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct http_carry) { .fd = fd, .stop = -1, .idle_ms = PATIENCE_MS };
	http_parse_init(&c->in, request, 0);
	return c;
}

static void chunk_read(void *arg, const uint8_t *p, size_t len)
{
	struct http_carry *c = arg;
	if (!buf_append(&c->chunks, p, len))
		c->in.fault = -ENOMEM;
}

/* A head is there; the last byte of it is still to be parsed. */
static void body_begins(struct http_carry *c)
{
	const struct http_head *h = &c->in.head;
	bool chunked = http_header(h, "transfer-encoding");
	c->left = -1;
	if (chunked)
		return;
	if (h->method)
		c->left = h->content_length < 0 ? 0 : h->content_length;
	else if (h->status / 100 == 1 || h->status == 204 || h->status == 304)
		c->left = 0;
	else
		c->left = h->content_length; /* -1: as far as the connection goes */
}

struct http_carry *http_carry_accepted(int fd, struct http_parse *in, struct buf *ahead)
{
	struct http_carry *c = carry_new(fd, true);
	if (!c) {
		http_parse_fini(in);
		buf_free(ahead);
		close(fd);
		return NULL;
	}
	http_parse_move(&c->in, in);
	c->in.chunk = chunk_read;
	c->in.body_most = NULL;
	c->in.arg = c;
	c->accepted = true;
	c->ahead = *ahead;
	*ahead = (struct buf) { 0 };
	body_begins(c);
	if (c->left >= 0 && c->ahead.len)
		buf_consume(&c->ahead, 1); /* the line end that the parser stopped in front of */
	return c;
}

struct http_carry *http_carry_connect(
	const struct endpoint *to, void (*hook)(void *arg, int fd), void *arg, struct errbuf *eb)
{
	int fd = sock_tcp_connect_hook(to, hook, arg, eb);
	struct http_carry *c = fd < 0 ? NULL : carry_new(fd, false);
	if (!c && fd >= 0) {
		close(fd);
		err_set(eb, -ENOMEM, "connect");
	}
	return c;
}

struct http_carry *http_carry_unix(const char *path, struct errbuf *eb)
{
	int fd = sock_unix_connect(path, eb);
	struct http_carry *c = fd < 0 ? NULL : carry_new(fd, false);
	if (!c && fd >= 0) {
		close(fd);
		err_set(eb, -ENOMEM, "connect");
	}
	return c;
}

void http_carry_patience(struct http_carry *c, int stop, int idle_ms)
{
	c->stop = stop;
	c->idle_ms = idle_ms;
}

/* A close with bytes unread would be a reset, which takes the answer with it. */
static void linger(struct http_carry *c)
{
	uint8_t drop[4096];
	uint64_t until = clock_now_ms() + LINGER_MS, now;
	shutdown(c->fd, SHUT_WR);
	while ((now = clock_now_ms()) < until) {
		struct pollfd p[] = { { .fd = c->fd, .events = POLLIN },
			{ .fd = c->stop, .events = POLLIN } };
		if (poll(p, 2, (int)(until - now)) <= 0 || p[1].revents ||
			read(c->fd, drop, sizeof(drop)) <= 0)
			return;
	}
}

void http_carry_close(struct http_carry *c)
{
	if (!c)
		return;
	if (c->answered)
		linger(c);
	close(c->fd);
	http_parse_fini(&c->in);
	buf_free(&c->ahead);
	buf_free(&c->chunks);
	free(c);
}

/* --- waiting --- */

bool http_carry_is_gone(const struct http_carry *c)
{
	struct pollfd p = { .fd = c->fd };
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/* 0 when one of the events is there, or HTTP_CARRY_ANSWERED when `heard`, given, has something to read first. */
static int carry_wait(struct http_carry *c, short events, const struct http_carry *heard, struct errbuf *eb)
{
	struct pollfd p[] = { { .fd = c->fd, .events = events }, { .fd = c->stop, .events = POLLIN },
		{ .fd = heard ? heard->fd : -1, .events = POLLIN } };
	for (;;) {
		int n = poll(p, 3, c->idle_ms);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(eb, -errno, "wait for the other side");
		if (!n)
			return err_say(
				eb, -ETIMEDOUT, "the other side did nothing for %d s", c->idle_ms / 1000);
		if (p[1].revents)
			return err_say(eb, -ECANCELED, "stopped before the end");
		if (p[2].revents)
			return HTTP_CARRY_ANSWERED;
		return 0;
	}
}

static bool would_block(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == EINTR;
}

int http_carry_opened(struct http_carry *c, struct errbuf *eb)
{
	int err = carry_wait(c, POLLOUT, NULL, eb);
	if (!err)
		err = sock_error(c->fd);
	return err && !(eb && eb->code == err) ? err_set(eb, err, "connect") : err;
}

/* --- bytes --- */

/* What is there, at least one byte; 0 at the end of the stream. */
static long carry_receive(struct http_carry *c, uint8_t *p, size_t cap, struct errbuf *eb)
{
	for (;;) {
		ssize_t n = recv(c->fd, p, cap, MSG_DONTWAIT);
		if (n >= 0)
			return n;
		if (!would_block(errno))
			return err_set(eb, -errno, "read from the other side");
		int err = carry_wait(c, POLLIN, NULL, eb);
		if (err)
			return err;
	}
}

/* heard: an answer by that connection ends it. */
static int send_all(
	struct http_carry *c, const void *data, size_t len, const struct http_carry *heard, struct errbuf *eb)
{
	const uint8_t *p = data;
	while (len) {
		ssize_t n = send(c->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && !would_block(errno))
			return err_set(eb, -errno, "send to the other side");
		int err = n < 0 ? carry_wait(c, POLLOUT, heard, eb) : 0;
		if (err)
			return err;
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int http_carry_write(struct http_carry *c, const void *p, size_t len, struct errbuf *eb)
{
	return send_all(c, p, len, NULL, eb);
}

static int send_chunk(
	struct http_carry *c, const void *p, size_t len, const struct http_carry *heard, struct errbuf *eb)
{
	char size[24];
	int n = snprintf(size, sizeof(size), len ? "%zx\r\n" : "0\r\n", len);
	int err = send_all(c, size, (size_t)n, heard, eb);
	if (!err && len)
		err = send_all(c, p, len, heard, eb);
	return err ? err : send_all(c, "\r\n", 2, heard, eb);
}

int http_carry_chunk(struct http_carry *c, const void *p, size_t len, struct errbuf *eb)
{
	return send_chunk(c, p, len, NULL, eb);
}

void http_carry_answer(struct http_carry *c, int status, const char *content_type, const char *extra,
	const void *body, size_t len)
{
	char head[HEAD_OUT], body_lines[256] = "";
	if (status != 204)
		snprintf(body_lines, sizeof(body_lines), "Content-Type: %.*s\r\nContent-Length: %zu\r\n",
			TYPE_MAX, content_type, len);
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %d %s\r\n%sConnection: close\r\n%s\r\n", status,
		http_status_text(status), body_lines, extra ? extra : "");
	c->answered = true;
	if (n < (int)sizeof(head) && send_all(c, head, (size_t)n, NULL, NULL) == 0)
		(void)send_all(c, body, len, NULL, NULL);
}

/* --- heads --- */

const struct http_head *http_carry_request(const struct http_carry *c)
{
	return &c->in.head;
}

static int parse_more(struct http_carry *c, struct errbuf *eb)
{
	if (!c->ahead.len) {
		uint8_t *room = buf_room(&c->ahead, READ_SIZE);
		long n = room ? carry_receive(c, room, READ_SIZE, eb) : err_set(eb, -ENOMEM, "read");
		if (n < 0)
			return (int)n;
		buf_grown(&c->ahead, (size_t)n);
	}
	bool over = !c->ahead.len;
	long used = over ? http_parse_feed(&c->in, NULL, 0)
			 : http_parse_feed(&c->in, buf_data(&c->ahead), c->ahead.len);
	if (used < 0)
		return over ? err_say(eb, ERR_CLOSED, "the other side closed the connection before the end")
			    : err_set(eb, (int)used, "what the other side sent is not HTTP");
	buf_consume(&c->ahead, (size_t)used);
	/* A body that ends with the connection ends again each time that is asked: behind it there is no other answer. */
	if (over && !(c->in.complete && c->in.headers_done))
		return err_say(eb, ERR_CLOSED, "the other side closed the connection without an answer");
	return 0;
}

const struct http_head *http_carry_answer_read(struct http_carry *c, struct errbuf *eb)
{
	int err = 0;
	/* A new message; of the one before, if any, nothing is left: it was a 1xx. */
	if (c->in.headers_done) {
		while (!err && !c->in.complete)
			err = parse_more(c, eb);
		http_parse_next(&c->in);
	}
	c->in.stop_at_head = true;
	c->in.chunk = chunk_read;
	c->in.arg = c;
	while (!err && !c->in.headers_done)
		err = parse_more(c, eb);
	if (err)
		return NULL;
	body_begins(c);
	if (c->left >= 0 && c->in.head.status / 100 != 1 && c->ahead.len)
		buf_consume(&c->ahead, 1);
	return &c->in.head;
}

/* --- the body --- */

int64_t http_carry_left(const struct http_carry *c)
{
	return c->left;
}

static int ended_early(struct errbuf *eb, int64_t left)
{
	return err_say(eb, ERR_CLOSED, "the connection ended with %lld bytes still to come", (long long)left);
}

static long read_counted(struct http_carry *c, uint8_t *p, size_t cap, struct errbuf *eb)
{
	long n;
	if (!c->left)
		return 0;
	if (cap > (uint64_t)c->left)
		cap = (size_t)c->left;
	if (c->ahead.len) {
		n = (long)(cap < c->ahead.len ? cap : c->ahead.len);
		memcpy(p, buf_data(&c->ahead), (size_t)n);
		buf_consume(&c->ahead, (size_t)n);
	} else {
		n = carry_receive(c, p, cap, eb);
		if (n == 0)
			return ended_early(eb, c->left);
	}
	if (n > 0)
		c->left -= n;
	return n;
}

long http_carry_read(struct http_carry *c, uint8_t *p, size_t cap, struct errbuf *eb)
{
	if (c->left >= 0)
		return read_counted(c, p, cap, eb);
	while (!c->chunks.len && !c->in.complete) {
		int err = parse_more(c, eb);
		if (err)
			return err;
	}
	size_t n = cap < c->chunks.len ? cap : c->chunks.len;
	if (!n)
		return 0;
	memcpy(p, buf_data(&c->chunks), n);
	buf_consume(&c->chunks, n);
	return (long)n;
}

/* Where bytes go: a file, or a connection, which may answer meanwhile. */
struct sink {
	int fd;
	struct http_carry *to; /* NULL: a file */
	bool chunked;
	const struct http_carry_told *told;
	uint64_t total;
};

static int tell(struct sink *s, size_t n, struct errbuf *eb)
{
	s->total += n;
	return s->told && s->told->moved ? s->told->moved(s->told->arg, s->total, eb) : 0;
}

static int write_file(int fd, const uint8_t *p, size_t len, struct errbuf *eb)
{
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno != EINTR)
			return err_set(eb, -errno, "write the file");
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int sink_put(struct sink *s, const uint8_t *p, size_t len, struct errbuf *eb)
{
	int err = !s->to       ? write_file(s->fd, p, len, eb)
		  : s->chunked ? send_chunk(s->to, p, len, s->to, eb)
			       : send_all(s->to, p, len, s->to, eb);
	return err ? err : tell(s, len, eb);
}

static int copy_rest(struct http_carry *from, struct sink *s, struct errbuf *eb)
{
	uint8_t *p = malloc(READ_SIZE);
	long n = 1;
	int err = 0;
	if (!p)
		return err_set(eb, -ENOMEM, "move the file");
	while (!err && n > 0) {
		n = http_carry_read(from, p, READ_SIZE, eb);
		err = n < 0 ? (int)n : n ? sink_put(s, p, (size_t)n, eb) : 0;
	}
	free(p);
	if (!err && s->chunked)
		err = send_chunk(s->to, NULL, 0, s->to, eb);
	return err;
}

/* All that is in the pipe; more: it is not the end. */
static int drain_pipe(int pipe_out, size_t len, bool more, struct sink *s, struct errbuf *eb)
{
	unsigned how = SPLICE_F_MOVE | (s->to ? SPLICE_F_NONBLOCK : 0) | (s->to && more ? SPLICE_F_MORE : 0);
	while (len) {
		ssize_t n = splice(pipe_out, NULL, s->fd, NULL, len, how);
		if (n == 0 || (n < 0 && !would_block(errno)))
			return err_set(
				eb, n ? -errno : -EIO, s->to ? "send to the other side" : "write the file");
		int err = n < 0 && s->to ? carry_wait(s->to, POLLOUT, s->to, eb)
			  : n > 0	 ? tell(s, (size_t)n, eb)
					 : 0;
		if (err)
			return err;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Not for each packet, but the last bytes do not wait for more. TCP alone heeds it. */
static void wake_for_enough(const struct http_carry *c, int *asked)
{
	int enough = c->left < ENOUGH ? (int)c->left : ENOUGH;
	if (enough != *asked)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &enough, sizeof(enough));
	*asked = enough;
}

/* What is left of a counted body, from the socket. */
static int splice_rest(struct http_carry *from, const int pipes[2], struct sink *s, struct errbuf *eb)
{
	int asked = 1;
	while (from->left) {
		wake_for_enough(from, &asked);
		size_t most = from->left < SPLICE_SIZE ? (size_t)from->left : SPLICE_SIZE;
		ssize_t n = splice(from->fd, NULL, pipes[1], NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n == 0)
			return ended_early(eb, from->left);
		if (n < 0 && !would_block(errno))
			return err_set(eb, -errno, "read from the other side");
		int err = n < 0 ? carry_wait(from, POLLIN, s->to, eb)
				: drain_pipe(pipes[0], (size_t)n, (uint64_t)n < (uint64_t)from->left, s, eb);
		if (err)
			return err;
		from->left -= n > 0 ? n : 0;
	}
	return 0;
}

static int move_rest(struct http_carry *from, struct sink *s, struct errbuf *eb)
{
	int pipes[2], err = 0;
	/* What is here already goes by copy, all else by the kernel. */
	while (!err && from->left > 0 && from->ahead.len) {
		uint8_t some[4096];
		long n = read_counted(from, some, sizeof(some), eb);
		err = n < 0 ? (int)n : sink_put(s, some, (size_t)n, eb);
	}
	if (err || !from->left)
		return err;
	if (from->left < 0 || s->chunked || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0)
		return copy_rest(from, s, eb);
	(void)fcntl(pipes[1], F_SETPIPE_SZ, SPLICE_SIZE);
	err = splice_rest(from, pipes, s, eb);
	close(pipes[0]);
	close(pipes[1]);
	return err;
}

int http_carry_to_file(struct http_carry *from, int fd, const struct http_carry_told *told, struct errbuf *eb)
{
	struct sink s = { .fd = fd, .told = told };
	return move_rest(from, &s, eb);
}

int http_carry_to(struct http_carry *from, struct http_carry *to, bool chunked,
	const struct http_carry_told *told, struct errbuf *eb)
{
	struct sink s = { .fd = to->fd, .to = to, .chunked = chunked, .told = told };
	return move_rest(from, &s, eb);
}

int http_carry_file(
	struct http_carry *to, int fd, uint64_t len, const struct http_carry_told *told, struct errbuf *eb)
{
	struct sink s = { .fd = to->fd, .to = to, .told = told };
	while (len) {
		ssize_t n = sendfile(to->fd, fd, NULL, len < SPLICE_SIZE ? (size_t)len : SPLICE_SIZE);
		if (n == 0)
			return err_say(eb, -EIO, "the file became shorter while it was read");
		if (n < 0 && !would_block(errno))
			return err_set(eb, -errno, "send the file");
		int err = n < 0 ? carry_wait(to, POLLOUT, to, eb) : tell(&s, (size_t)n, eb);
		if (err)
			return err;
		len -= n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}
