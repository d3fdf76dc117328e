#include "resolver/ask.h"
#include "mesh/base/key.h"
#include "mesh/os/sock.h"
#include "resolver/message.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASK_MS = 6000, OUT_MAX = 2 + DNS_ASK_MESSAGE_MAX };
static_assert(OUT_MAX >= 2 + DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN, "room for a question of ours");

/* By TCP: an answer of any length comes whole. */
struct dns_asking {
	int fd;
	struct loop_fd *watch;
	struct loop_timer *timer;
	void (*cb)(void *arg, int code, const uint8_t *answer, size_t len);
	void *arg;
	size_t out_at, out_len, in_len;
	uint8_t out[OUT_MAX], in[2 + DNS_MESSAGE_MAX];
};

void dns_ask_cancel(struct dns_asking *q)
{
	if (!q)
		return;
	loop_fd_free(q->watch);
	loop_timer_free(q->timer);
	if (q->fd >= 0)
		close(q->fd);
	free(q);
}

static void dns_ask_finish(struct dns_asking *q, int code, const uint8_t *answer, size_t len)
{
	q->cb(q->arg, code, answer, len);
	dns_ask_cancel(q);
}

static void send_question(struct dns_asking *q)
{
	ssize_t n = send(q->fd, q->out + q->out_at, q->out_len - q->out_at, MSG_NOSIGNAL);
	if (n < 0) {
		if (errno != EAGAIN)
			dns_ask_finish(q, -errno, NULL, 0);
		return;
	}
	q->out_at += (size_t)n;
	if (q->out_at == q->out_len)
		loop_fd_set(q->watch, LOOP_READ);
}

static void take_answer(struct dns_asking *q)
{
	ssize_t n = recv(q->fd, q->in + q->in_len, sizeof(q->in) - q->in_len, 0);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			dns_ask_finish(q, n ? -errno : ERR_CLOSED, NULL, 0);
		return;
	}
	q->in_len += (size_t)n;
	if (q->in_len >= 2 && q->in_len - 2 >= be_get(q->in, 2))
		dns_ask_finish(q, 0, q->in + 2, be_get(q->in, 2));
}

static void ready(void *arg, int events)
{
	struct dns_asking *q = arg;
	int code = events & LOOP_WRITE ? sock_error(q->fd) : 0;
	if (code)
		dns_ask_finish(q, code, NULL, 0);
	else if (events & LOOP_WRITE)
		send_question(q);
	else
		take_answer(q);
}

static void dns_ask_timed_out(void *arg)
{
	dns_ask_finish(arg, -ETIMEDOUT, NULL, 0);
}

static bool write_question(struct dns_asking *q, const char *name, const char *type)
{
	struct dns_name wire;
	struct dns_ask m = { .name = &wire, .edns = true }; /* else no reason comes with a failure */
	random_system.fill(random_system.arg, &m.id, sizeof(m.id));
	if (!dns_name_parse(name, &wire) || !dns_type_parse(type, &m.type))
		return false;
	size_t len = dns_ask_write(q->out + 2, &m);
	be_put(q->out, 2, len);
	q->out_len = 2 + len;
	return true;
}

bool dns_ask_valid(const char *name, const char *type)
{
	struct dns_asking q;
	return write_question(&q, name, type);
}

int dns_ask_check(const char *name, const char *type, struct errbuf *eb)
{
	uint16_t number;
	if (dns_ask_valid(name, type))
		return 0;
	if (dns_type_parse(type, &number))
		return err_say(eb, ERR_MALFORMED, "\"%.100s\" is not a domain name", name);
	return err_say(eb, ERR_MALFORMED,
		"\"%.16s\" is no type of record: A, AAAA, MX and others are, or TYPE65", type);
}

/* What is to be said is in q; it goes out. NULL, and q is gone: a sentence. */
static struct dns_asking *asking_open(
	struct dns_asking *q, struct loop *l, const struct endpoint *at, struct errbuf *eb)
{
	q->fd = sock_tcp_connect(at, eb);
	if (q->fd < 0)
		goto fail;
	q->timer = loop_timer_new(l, dns_ask_timed_out, q);
	q->watch = loop_fd_new(l, q->fd, ready, q);
	if (!q->timer || !q->watch) {
		err_set(eb, -ENOMEM, "ask the resolver");
		goto fail;
	}
	loop_timer_set(q->timer, ASK_MS);
	loop_fd_set(q->watch, LOOP_WRITE);
	return q;
fail:
	dns_ask_cancel(q);
	return NULL;
}

struct dns_asking *dns_ask_start(struct loop *l, const struct endpoint *at, const char *name,
	const char *type, void (*cb)(void *arg, int code, const uint8_t *answer, size_t len), void *arg,
	struct errbuf *eb)
{
	struct dns_asking *q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	*q = (struct dns_asking) { .fd = -1, .cb = cb, .arg = arg };
	if (write_question(q, name, type))
		return asking_open(q, l, at, eb);
	(void)dns_ask_check(name, type, eb);
	dns_ask_cancel(q);
	return NULL;
}

struct dns_asking *dns_ask_message(struct loop *l, const struct endpoint *at, const uint8_t *msg, size_t len,
	void (*cb)(void *arg, int code, const uint8_t *answer, size_t len), void *arg, struct errbuf *eb)
{
	struct dns_asking *q = len <= DNS_ASK_MESSAGE_MAX ? calloc(1, sizeof(*q)) : NULL;
	if (!q) {
		err_set(eb, -ENOMEM, "ask the resolver");
		return NULL;
	}
	*q = (struct dns_asking) { .fd = -1, .cb = cb, .arg = arg, .out_len = 2 + len };
	be_put(q->out, 2, len);
	memcpy(q->out + 2, msg, len);
	return asking_open(q, l, at, eb);
}
