#include "mesh/node/serve/service_web.h"
#include "mesh/base/log.h"
#include "mesh/base/slots.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNS_MAX = 16, AGAIN_MS = 2000, IDLE_MS = 60000, PATH_BYTES = 64, LINES_SAID = 1 };

struct service_conn {
	struct http_server_conn *http;
	struct addr from;
	unsigned slot;
	uint64_t used; /* in the order of last requests */
};
struct service_web {
	struct loop *loop;
	struct service_web_ops ops;
	uint16_t port; /* wanted; 0: not now */
	int fd;	       /* -1: does not listen */
	struct acceptor *acceptor;
	struct loop_timer *again;
	struct service_conn *conns[CONNS_MAX]; /* NULL: a free place */
	uint64_t uses;
	struct log_limit said;
	uint64_t paused;
};

static void refuse(struct http_server_conn *c, int status, const char *text)
{
	http_reply(c, status, "text/plain; charset=utf-8", NULL, text, strlen(text));
}

/* A page of another site must not read this by a name of its own that leads here. */
static bool from_a_page(const struct http_head *h)
{
	const char *host = http_header(h, "Host");
	return http_header(h, "Origin") || !host ||
	       (strcmp(host, "100.100.100.100") != 0 && strcmp(host, "100.100.100.100:80") != 0);
}

static void request_received(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct service_web *w = arg;
	char path[PATH_BYTES];
	struct buf b = { 0 };
	(void)body;
	(void)len;
	((struct service_conn *)http_conn_data(c))->used = ++w->uses;
	if (from_a_page(head))
		refuse(c, 403, "this is for programs of this machine, at http://100.100.100.100\n");
	else if (!http_target_path(head, path, sizeof(path)) || strcmp(path, "/metrics") != 0)
		refuse(c, 404, "ropewalkd has /metrics here, and nothing else\n");
	else if (strcmp(head->method, "GET") != 0 && strcmp(head->method, "HEAD") != 0)
		refuse(c, 405, "/metrics is read by GET\n");
	else if (!w->ops.metrics(w->ops.arg, &b))
		refuse(c, 500, "memory is short\n");
	else
		http_reply(c, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, buf_data(&b), b.len);
	buf_free(&b);
}

static void connection_gone(void *arg, struct http_server_conn *c)
{
	struct service_web *w = arg;
	struct service_conn *gone = http_conn_data(c);
	w->conns[gone->slot] = NULL;
	free(gone);
}

static struct slot_holder holder_of(const void *arg, unsigned slot)
{
	const struct service_conn *c = ((const struct service_web *)arg)->conns[slot];
	return c ? (struct slot_holder) { .ip = &c->from, .used = c->used } : (struct slot_holder) { 0 };
}

/* A place; who has asked nothing for the longest gives up theirs: any user of the machine may come, and say nothing. */
static unsigned place_get(struct service_web *w, const struct addr *from)
{
	const struct slots all = { .n = CONNS_MAX, .each = CONNS_MAX, .look = holder_of, .arg = w };
	unsigned slot = slots_choose(&all, from);
	if (w->conns[slot])
		http_server_close(w->conns[slot]->http, false);
	return slot;
}

static void connection_arrived(void *arg, int fd, const struct endpoint *from)
{
	struct service_web *w = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = request_received,
		.gone = connection_gone,
		.arg = w,
		.body_cap = 1,
		.idle_ms = IDLE_MS };
	unsigned slot = place_get(w, &from->ip);
	struct service_conn *c = calloc(1, sizeof(*c));
	if (!c) {
		if (log_allowed(&w->said, LINES_SAID, loop_now_ms(w->loop)))
			log_warn("http://100.100.100.100: a connection was refused: memory is short");
		close(fd);
		return;
	}
	*c = (struct service_conn) { .from = from->ip, .slot = slot, .used = ++w->uses };
	c->http = http_server_accept(w->loop, stream_accept(w->loop, fd, NULL, &none), &ops);
	if (!c->http) {
		free(c);
		return;
	}
	http_conn_data_set(c->http, c);
	w->conns[slot] = c;
}

static void stop_listening(struct service_web *w)
{
	acceptor_free(w->acceptor);
	w->acceptor = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* What arrives by the loopback interface comes from this machine. */
static int listen_here(struct service_web *w, struct errbuf *eb)
{
	const struct endpoint at = { .ip = addr_service_v4, .port = w->port };
	const struct acceptor_ops ops = { .arrived = connection_arrived,
		.arg = w,
		.what = "http://100.100.100.100",
		.paused = &w->paused };
	w->fd = sock_tcp_listen(&at, eb);
	int err = w->fd < 0 ? w->fd : sock_arrive_on(w->fd, "lo");
	if (!err && !(w->acceptor = acceptor_new(w->loop, w->fd, &ops)))
		err = -ENOMEM;
	if (err)
		stop_listening(w);
	return err;
}

static void try_to_listen(void *arg)
{
	struct service_web *w = arg;
	struct errbuf eb = { 0 };
	if (!w->port || w->fd >= 0)
		return;
	if (listen_here(w, &eb) == 0)
		return;
	log_debug("http://100.100.100.100: %s", eb.text);
	loop_timer_set(w->again, AGAIN_MS);
}

void service_web_apply(struct service_web *w, bool up, uint16_t port)
{
	uint16_t wanted = up ? port : 0;
	if (!w || w->port == wanted)
		return;
	w->port = wanted;
	loop_timer_clear(w->again);
	stop_listening(w);
	try_to_listen(w);
}

struct service_web *service_web_open(struct loop *l, const struct service_web_ops *ops)
{
	struct service_web *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	*w = (struct service_web) { .loop = l, .ops = *ops, .fd = -1 };
	w->again = loop_timer_new(l, try_to_listen, w);
	if (!w->again) {
		free(w);
		return NULL;
	}
	return w;
}

void service_web_close(struct service_web *w)
{
	if (!w)
		return;
	stop_listening(w);
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (w->conns[i])
			http_server_close(w->conns[i]->http, false);
	loop_timer_free(w->again);
	free(w);
}

uint64_t service_web_paused(const struct service_web *w)
{
	return w ? w->paused : 0;
}
