#include "mesh/node/dns_ask.h"
#include "mesh/base/addr.h"
#include "mesh/base/key.h"
#include "mesh/base/wire.h"
#include "mesh/node/iface.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASK_MS = 6000, QUERY_MAX = 300, ANSWER_MAX = 4096, LABEL_MAX = 63 };

struct dns_ask {
	int fd;
	uint16_t id;
	struct loop_fd *watch;
	struct loop_timer *timer;
	void (*cb)(void *arg, int code, const uint8_t *answer, size_t len);
	void *arg;
};

static const struct {
	const char *name;
	uint16_t code;
} types[] = { { "A", 1 }, { "NS", 2 }, { "CNAME", 5 }, { "SOA", 6 }, { "PTR", 12 }, { "MX", 15 },
	{ "TXT", 16 }, { "AAAA", 28 }, { "SRV", 33 }, { "HTTPS", 65 }, { "ANY", 255 } };

static uint16_t type_code(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcasecmp(types[i].name, type) == 0)
			return types[i].code;
	}
	return 0;
}

static void write_name(struct wr *w, const char *name)
{
	while (*name && strcmp(name, ".") != 0) {
		size_t n = strcspn(name, ".");
		if (!n || n > LABEL_MAX) {
			w->bad = true;
			return;
		}
		wr_u8(w, (uint8_t)n);
		wr_bytes(w, name, n);
		name += n + (name[n] == '.');
	}
	wr_u8(w, 0);
}

void dns_ask_cancel(struct dns_ask *q)
{
	if (!q)
		return;
	loop_fd_free(q->watch);
	loop_timer_free(q->timer);
	close(q->fd);
	free(q);
}

static void finish(struct dns_ask *q, int code, const uint8_t *answer, size_t len)
{
	q->cb(q->arg, code, answer, len);
	dns_ask_cancel(q);
}

static void answered(void *arg, int events)
{
	struct dns_ask *q = arg;
	uint8_t b[ANSWER_MAX];
	(void)events;
	ssize_t n = recv(q->fd, b, sizeof(b), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		finish(q, -errno, NULL, 0);
	else if (n >= 2 && be_get(b, 2) == q->id)
		finish(q, 0, b, (size_t)n);
}

static void timed_out(void *arg)
{
	finish(arg, -ETIMEDOUT, NULL, 0);
}

struct dns_ask *dns_ask_start(struct loop *l, const char *name, const char *type,
	void (*cb)(void *arg, int code, const uint8_t *answer, size_t len), void *arg, struct errbuf *eb)
{
	const struct endpoint service = { .ip = iface_service_v4, .port = 53 };
	uint8_t b[QUERY_MAX];
	uint16_t id, code = type_code(type);
	random_system.fill(random_system.arg, &id, sizeof(id));
	struct wr w = wr_of(b, sizeof(b));
	wr_u16(&w, id);
	wr_u16(&w, 0x0100); /* recursion desired */
	wr_u16(&w, 1);
	wr_zero(&w, 6);
	write_name(&w, name);
	wr_u16(&w, code);
	wr_u16(&w, 1);
	if (w.bad || !code) {
		err_say(eb, ERR_MALFORMED, "\"%s %s\" is not a question that can be asked", name, type);
		return NULL;
	}
	struct endpoint any = { .ip = addr_v4(0) };
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&service, false, &ss);
	struct dns_ask *q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	*q = (struct dns_ask) { .fd = sock_udp(&any, eb), .id = id, .cb = cb, .arg = arg };
	if (q->fd < 0) {
		free(q);
		return NULL;
	}
	q->timer = loop_timer_new(l, timed_out, q);
	q->watch = loop_fd_new(l, q->fd, answered, q);
	if (!q->timer || !q->watch || connect(q->fd, (struct sockaddr *)&ss, n) != 0 ||
		send(q->fd, b, w.len, 0) < 0) {
		err_set(eb, -errno, "ask the mesh resolver");
		dns_ask_cancel(q);
		return NULL;
	}
	loop_timer_set(q->timer, ASK_MS);
	loop_fd_set(q->watch, LOOP_READ);
	return q;
}
