#include "resolver/alone/door.h"

#include "mesh/base/log.h"
#include "mesh/base/slots.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REFUSALS = 1, BODY_MAX = 4096, IDLE_MS = 30000 };

struct door {
	struct door_options o;
	int fd;
	char path[PATH_MAX]; /* "": TCP */
	struct endpoint at;
	struct acceptor *acceptor;
	struct door_guest *guests[DOOR_GUESTS_MAX]; /* NULL: a free place */
	uint64_t uses;
	struct log_limit refusals;
};

void door_say(struct door_guest *g, int status, const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	http_reply(g->conn, status, "text/plain; charset=utf-8", "Cache-Control: no-store\r\n", line,
		n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void door_say_json(struct door_guest *g, struct buf *b, bool ok)
{
	if (ok)
		http_reply(
			g->conn, 200, "application/json", "Cache-Control: no-store\r\n", buf_data(b), b->len);
	else
		door_say(g, 503, "memory is short");
	buf_free(b);
}

static void request_received(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct door *d = arg;
	char path[DOOR_PATH_MAX];
	struct door_request r = {
		.guest = http_conn_data(c), .head = head, .path = path, .body = body, .len = len
	};
	r.guest->used = ++d->uses;
	if (http_target_path(head, path, sizeof(path)))
		d->o.asked(d->o.arg, &r);
	else
		door_say(r.guest, 400, "this is no path");
}

static void connection_gone(void *arg, struct http_server_conn *c)
{
	struct door *d = arg;
	struct door_guest *gone = http_conn_data(c);
	if (gone->waits)
		gone->waits->forget(gone->waits);
	d->guests[gone->slot] = NULL;
	free(gone);
}

static struct slot_holder holder_of(const void *arg, unsigned slot)
{
	const struct door *d = arg;
	const struct door_guest *g = d->guests[slot];
	return g ? (struct slot_holder) { .ip = &g->from, .owed = g->waits, .used = g->used }
		 : (struct slot_holder) { 0 };
}

/* A place that is free now, or DOOR_GUESTS_MAX. */
static unsigned place_get(struct door *d, const struct addr *from)
{
	const struct slots all = { .n = DOOR_GUESTS_MAX,
		.each = *d->path ? DOOR_GUESTS_MAX : DOOR_GUESTS_EACH,
		.look = holder_of,
		.arg = d };
	unsigned slot = slots_choose(&all, from);
	if (slot < DOOR_GUESTS_MAX && d->guests[slot])
		http_server_close(d->guests[slot]->conn, false);
	return slot;
}

static void guest_take(void *arg, int fd, const struct endpoint *from)
{
	struct door *d = arg;
	static const struct stream_events none;
	const struct http_server_ops ops = { .request = request_received,
		.gone = connection_gone,
		.arg = d,
		.body_cap = BODY_MAX,
		.idle_ms = IDLE_MS };
	bool welcome = *d->path || !d->o.welcome || d->o.welcome(d->o.arg, &from->ip);
	unsigned slot = welcome ? place_get(d, &from->ip) : DOOR_GUESTS_MAX;
	struct door_guest *g = slot < DOOR_GUESTS_MAX ? calloc(1, sizeof(*g)) : NULL;
	if (!g)
		close(fd);
	else
		g->conn = http_server_accept(d->o.loop, stream_accept(d->o.loop, fd, NULL, &none), &ops);
	if (!g || !g->conn) {
		if (welcome && log_allowed(&d->refusals, REFUSALS, loop_now_ms(d->o.loop)))
			log_warn("a connection to %s was refused: too many, or memory is short",
				*d->path ? d->path : "the page");
		free(g);
		return;
	}
	g->door = d;
	g->from = from->ip;
	g->slot = slot;
	g->used = ++d->uses;
	d->guests[slot] = g;
	http_conn_data_set(g->conn, g);
}

static int path_listen(struct door *d, struct errbuf *eb)
{
	snprintf(d->path, sizeof(d->path), "%s", d->o.unix_path);
	int err = dir_make_of(d->o.unix_path, 0755, eb);
	int fd = err ? err : sock_unix_listen(d->path, 0600, eb);
	if (fd == -EADDRINUSE)
		err_say(eb, fd,
			"another ropewalk-resolver answers at %s; stop it, or give this one another with "
			"--socket",
			d->path);
	return fd;
}

static int tcp_listen(struct door *d, struct errbuf *eb)
{
	char text[ENDPOINT_TEXT];
	int fd = sock_tcp_listen(d->o.at, eb);
	if (fd == -EADDRINUSE)
		err_say(eb, fd, "%s is in use by another program: choose another \"page\"",
			endpoint_format(d->o.at, text));
	if (fd >= 0)
		sock_local(fd, &d->at);
	return fd;
}

struct door *door_open(const struct door_options *o, struct errbuf *eb)
{
	struct door *d = calloc(1, sizeof(*d));
	if (!d) {
		err_set(eb, -ENOMEM, "listen");
		return NULL;
	}
	d->o = *o;
	d->at = o->at ? *o->at : (struct endpoint) { 0 };
	d->fd = o->unix_path ? path_listen(d, eb) : tcp_listen(d, eb);
	d->o.unix_path = NULL; /* the caller's */
	d->o.at = NULL;
	if (d->fd < 0) {
		free(d);
		return NULL;
	}
	const struct acceptor_ops ops = {
		.arrived = guest_take, .arg = d, .what = *d->path ? d->path : "the page"
	};
	d->acceptor = acceptor_new(o->loop, d->fd, &ops);
	if (d->acceptor)
		return d;
	err_set(eb, -ENOMEM, "listen");
	door_close(d);
	return NULL;
}

void door_close(struct door *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < DOOR_GUESTS_MAX; i++)
		if (d->guests[i])
			http_server_close(d->guests[i]->conn, true);
	acceptor_free(d->acceptor);
	close(d->fd);
	if (*d->path)
		sock_unix_unlink(d->path);
	free(d);
}

struct endpoint door_endpoint(const struct door *d)
{
	return d->at;
}
