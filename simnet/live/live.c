#include "simnet/live/live.h"

#include "mesh/os/acceptor.h"
#include "mesh/os/loop.h"
#include "simnet/lab/lab.h"
#include "simnet/live/glimpses.h"
#include "simnet/live/request.h"
#include "simnet/report/page.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* One process serves: the one that runs the lab, from its loop. A connection takes one request and is closed after the answer, but
 * for the stream of news (text/event-stream, WHATWG HTML 9.2), which follows the history of records, and the packets of the
 * moment where that has nothing new: each reader has its place in both, so little is kept per reader. Orders of buttons wait in a short queue for a moment when no callback of the loop runs:
 * some steps wait in the loop themselves.
 *
 * Who may: the path begins with the token, and Host names this door, so that a page elsewhere that makes a name point here
 * (DNS rebinding) gets nothing. Who has not shown the token may be any user of the machine: the oldest of those makes room when
 * all places are taken. */
enum {
	READERS_MAX = 24,
	HISTORY_BYTES = 64 << 20,
	PIECE = 64 * 1024,
	ORDERS_MAX = 16,
	TABLE_BYTES = 1 << 20,
};

struct reader {
	struct live *live;
	int fd; /* -1: free */
	struct loop_fd *watch;
	char in[REQUEST_HEAD + REQUEST_BODY];
	size_t in_len;
	uint64_t arrived; /* how many came before */
	bool known;	  /* has shown the token */
	struct buf out;	  /* the answer */
	bool follows;	  /* the news, from at on */
	size_t at;
	uint64_t seen; /* of the packets */
};
struct live {
	struct lab *lab;
	const struct live_door *door;
	struct acceptor *acceptor;
	struct reader readers[READERS_MAX];
	uint64_t arrivals;
	struct buf history; /* as it goes out */
	struct glimpses *glimpses;
	bool full, over, holds, busy;
	char orders[ORDERS_MAX][REQUEST_BODY + 1];
	unsigned first_order, n_orders;
};

/* ---- the door ---- */

static int make_token(char *out, struct errbuf *eb)
{
	unsigned char raw[LIVE_TOKEN / 2];
	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return err_set(eb, -errno, "choose a token for the live page");
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(out + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

int live_listen(const char *where, struct live_door *out, struct errbuf *eb)
{
	struct live_door d = { .fd = -1 };
	struct sockaddr_storage sa;
	char full[96];
	snprintf(full, sizeof(full), "%s%s", *where == ':' ? "127.0.0.1" : "", where);
	if (!endpoint_parse(full, &d.at))
		return err_say(
			eb, ERR_MALFORMED, "'%.60s' is no address and port, as 127.0.0.1:8080 or :0", where);
	if (!addr_is_loopback(&d.at.ip))
		return err_say(eb, ERR_REFUSED,
			"the live page is for this machine alone: give a loopback address, as 127.0.0.1:0");
	int err = make_token(d.token, eb), one = 1;
	if (err)
		return err;
	socklen_t len = endpoint_to_sockaddr(&d.at, false, &sa);
	d.fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d.fd < 0 || setsockopt(d.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(d.fd, (struct sockaddr *)&sa, len) < 0 || listen(d.fd, 16) < 0 ||
		getsockname(d.fd, (struct sockaddr *)&sa, &len) < 0 ||
		!endpoint_from_sockaddr((struct sockaddr *)&sa, &d.at)) {
		err = err_set(eb, -errno, "serve the live page at %s", full);
		live_door_close(&d);
		return err;
	}
	*out = d;
	return 0;
}

void live_door_close(struct live_door *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

const char *live_url(const struct live_door *d, char *buf, size_t cap)
{
	char at[ENDPOINT_TEXT];
	snprintf(buf, cap, "http://%s/%s/", endpoint_format(&d->at, at), d->token);
	return buf;
}

/* ---- answers ---- */

static void reader_drop(struct reader *r)
{
	loop_fd_free(r->watch);
	if (r->fd >= 0)
		close(r->fd);
	buf_free(&r->out);
	*r = (struct reader) { .live = r->live, .fd = -1 };
}

static void answer_head(struct reader *r, const char *status, const char *type, const char *length)
{
	(void)buf_printf(&r->out,
		"HTTP/1.1 %s\r\nContent-Type: %s\r\n%sConnection: close\r\nCache-Control: no-store\r\n"
		"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
		"connect-src 'self'; "
		"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
		"Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: "
		"no-referrer\r\nX-Content-Type-Options: nosniff\r\n\r\n",
		status, type, length);
}

static void answer(struct reader *r, const char *status, const char *type, const void *body, size_t len)
{
	char length[48];
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", len);
	answer_head(r, status, type, length);
	(void)buf_append(&r->out, body, len);
	loop_fd_set(r->watch, LOOP_WRITE);
}

static void refuse(struct reader *r, const char *status)
{
	answer(r, status, "text/plain; charset=utf-8", status, strlen(status));
}

static const char *status_line(int status)
{
	return status == 405   ? "405 Method Not Allowed"
	       : status == 413 ? "413 Content Too Large"
	       : status == 431 ? "431 Request Header Fields Too Large"
			       : "400 Bad Request";
}

static void answer_table(struct reader *r, const struct request *q)
{
	struct lab *l = r->live->lab;
	struct buf text = { .cap = TABLE_BYTES };
	char name[128];
	int router = request_query(q, "router", name, sizeof(name)) ? scenario_find_router(l->s, name) : -1;
	if (router < 0)
		refuse(r, "404 Not Found");
	else if (!l->engine || !l->ops->table || l->ops->table(l->engine, router, &text, NULL))
		refuse(r, "503 Service Unavailable");
	else
		answer(r, "200 OK", "text/plain; charset=utf-8", text.len ? buf_cstr(&text) : "", text.len);
	buf_free(&text);
}

static void take_order(struct reader *r, const struct request *q)
{
	struct live *v = r->live;
	if (v->n_orders == ORDERS_MAX) {
		refuse(r, "429 Too Many Requests");
		return;
	}
	snprintf(v->orders[(v->first_order + v->n_orders++) % ORDERS_MAX], sizeof(v->orders[0]), "%s",
		q->body);
	lab_poke(v->lab);
	answer(r, "202 Accepted", "text/plain; charset=utf-8", "", 0);
}

static bool same_text(const char *a, const char *b, size_t n)
{
	unsigned char differ = 0;
	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(a[i] ^ b[i]);
	return !differ;
}

/* What follows the token in the path; NULL: it is not for this door. */
static const char *place_of(const struct live *v, const struct request *q)
{
	char at[ENDPOINT_TEXT], local[32];
	snprintf(local, sizeof(local), "localhost:%u", v->door->at.port);
	if (strcmp(q->host, endpoint_format(&v->door->at, at)) != 0 && strcmp(q->host, local) != 0)
		return NULL;
	if (strlen(q->path) < LIVE_TOKEN + 2 || !same_text(q->path + 1, v->door->token, LIVE_TOKEN) ||
		q->path[LIVE_TOKEN + 1] != '/')
		return NULL;
	return q->path + LIVE_TOKEN + 2;
}

static void answer_request(struct reader *r, const struct request *q)
{
	const char *place = place_of(r->live, q), *type = NULL;
	size_t len = 0;
	r->known = place != NULL;
	if (!place) {
		refuse(r, "404 Not Found");
	} else if (q->post) {
		if (!strcmp(place, "do"))
			take_order(r, q);
		else
			refuse(r, "404 Not Found");
	} else if (!strcmp(place, "events")) {
		answer_head(r, "200 OK", "text/event-stream", "");
		r->follows = true;
		loop_fd_set(r->watch, LOOP_READ | LOOP_WRITE);
	} else if (!strcmp(place, "table")) {
		answer_table(r, q);
	} else {
		char *text = page_part(place, &type, &len);
		if (text)
			answer(r, "200 OK", type, text, len);
		else
			refuse(r, "404 Not Found");
		free(text);
	}
}

/* ---- connections ---- */

/* Whether there is something to send: an answer, then records; then packets, which become an answer. */
static bool has_news(struct reader *r)
{
	const struct live *v = r->live;
	if (r->out.len || !r->follows || r->at < v->history.len)
		return r->out.len || r->follows;
	return glimpses_has(v->glimpses, r->seen) && glimpses_take(v->glimpses, &r->seen, &r->out) &&
	       r->out.len;
}

/* false: the other side is gone, or has its answer. */
static bool reader_writes(struct reader *r)
{
	while (has_news(r)) {
		const struct buf *from = r->out.len ? &r->out : &r->live->history;
		size_t at = r->out.len ? 0 : r->at, n = from->len - at < PIECE ? from->len - at : PIECE;
		ssize_t sent = send(r->fd, buf_data(from) + at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		if (r->out.len)
			buf_consume(&r->out, (size_t)sent);
		else
			r->at += (size_t)sent;
	}
	if (r->follows)
		loop_fd_set(r->watch, LOOP_READ);
	return r->follows;
}

static bool reader_reads(struct reader *r)
{
	struct request *q = calloc(1, sizeof(*q));
	ssize_t got = q ? recv(r->fd, r->in + r->in_len, sizeof(r->in) - r->in_len, MSG_DONTWAIT) : 0;
	bool stays = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
	if (got > 0 && r->follows) { /* who follows has nothing more to ask */
		free(q);
		return true;
	}
	if (got > 0) {
		r->in_len += (size_t)got;
		int used = request_read(r->in, r->in_len, q);
		if (used < 0)
			refuse(r, status_line(-used));
		else if (used > 0)
			answer_request(r, q);
		else if (r->in_len == sizeof(r->in))
			stays = false;
	}
	free(q);
	return stays;
}

static void reader_event(void *arg, int events)
{
	struct reader *r = arg;
	bool stays = !(events & LOOP_READ) || reader_reads(r);
	/* One that is to be written to and has nothing: memory was short for its answer. */
	if (stays && (r->out.len || r->follows || (events & LOOP_WRITE)))
		stays = reader_writes(r);
	if (!stays)
		reader_drop(r);
}

/* NULL: all are taken by who has the token. */
static struct reader *make_place(struct live *v)
{
	struct reader *oldest = NULL;
	for (size_t i = 0; i < READERS_MAX; i++) {
		struct reader *r = &v->readers[i];
		if (r->fd < 0)
			return r;
		if (!r->known && (!oldest || r->arrived < oldest->arrived))
			oldest = r;
	}
	if (oldest)
		reader_drop(oldest);
	return oldest;
}

static void reader_arrived(void *arg, int fd, const struct endpoint *from)
{
	struct live *v = arg;
	struct reader *r = make_place(v);
	struct loop_fd *watch = r ? loop_fd_new(v->lab->loop, fd, reader_event, r) : NULL;
	(void)from;
	if (!watch) {
		close(fd);
		return;
	}
	r->fd = fd;
	r->watch = watch;
	r->arrived = v->arrivals++;
	loop_fd_set(watch, LOOP_READ);
}

/* ---- orders ---- */

/* "cut home.udp", "kill alice STOP", "end": the steps that a button can make. */
static bool order_read(const char *text, struct scn_step *out, char words[3][128])
{
	static const enum step_kind kinds[] = { STEP_CUT, STEP_HEAL, STEP_RESET, STEP_KILL, STEP_SPAWN };
	if (sscanf(text, "%127s %127s %127s", words[0], words[1], words[2]) < 2)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(scenario_step_name(kinds[i]), words[0])) {
			*out = (struct scn_step) { .kind = kinds[i],
				.target = words[1],
				.signal = *words[2] ? words[2] : "KILL",
				.max_gap_ms = UINT64_MAX,
				.max_lost = UINT64_MAX };
			return true;
		}
	return false;
}

static bool order_fits(const struct lab *l, const struct scn_step *st)
{
	if (st->kind == STEP_RESET)
		return scenario_find_router(l->s, st->target) >= 0;
	return st->kind == STEP_CUT || st->kind == STEP_HEAL || scenario_find_node(l->s, st->target) >= 0;
}

static void order_run(struct live *v, const char *text)
{
	struct scn_step st;
	char words[3][128] = { "", "", "" };
	struct errbuf eb = { 0 };
	if (!strcmp(text, "end")) {
		v->over = true;
		v->lab->interrupted |= !v->holds;
		return;
	}
	if (!v->lab->engine || !order_read(text, &st, words) || !order_fits(v->lab, &st))
		story_say(v->lab->story, "note", STORY_NOTE,
			"the page asks for '%.80s', which is nothing that can be done here", text);
	else if (step_run(v->lab, &st, &eb))
		story_say(
			v->lab->story, "note", STORY_BAD, "the page asks for '%.80s': %.300s", text, eb.text);
}

/* Between two looks of a wait: no callback runs, so a step may wait in the loop itself. */
static void run_orders(void *arg)
{
	struct live *v = arg;
	if (v->busy) /* a step waits */
		return;
	v->busy = true;
	while (v->n_orders && !v->over) {
		char text[REQUEST_BODY + 1];
		snprintf(text, sizeof(text), "%s", v->orders[v->first_order]);
		v->first_order = (v->first_order + 1) % ORDERS_MAX;
		v->n_orders--;
		order_run(v, text);
	}
	v->busy = false;
}

/* ---- the whole ---- */

static void wake_followers(void *arg)
{
	struct live *v = arg;
	for (size_t i = 0; i < READERS_MAX; i++)
		if (v->readers[i].fd >= 0 && v->readers[i].follows)
			loop_fd_set(v->readers[i].watch, LOOP_READ | LOOP_WRITE);
}

struct live *live_open(struct lab *l, const struct live_door *d, struct errbuf *eb)
{
	struct live *v = calloc(1, sizeof(*v));
	if (!v) {
		err_set(eb, -ENOMEM, "serve the live page");
		return NULL;
	}
	v->lab = l;
	v->door = d;
	v->history.cap = HISTORY_BYTES;
	for (size_t i = 0; i < READERS_MAX; i++)
		v->readers[i] = (struct reader) { .live = v, .fd = -1 };
	const struct acceptor_ops ops = { .arrived = reader_arrived, .arg = v, .what = "the live page" };
	v->acceptor = acceptor_new(l->loop, d->fd, &ops);
	v->glimpses = glimpses_open(l, wake_followers, v);
	if (!v->acceptor || !v->glimpses) {
		acceptor_free(v->acceptor);
		glimpses_close(v->glimpses);
		free(v);
		err_set(eb, -ENOMEM, "serve the live page");
		return NULL;
	}
	l->between = run_orders;
	l->between_arg = v;
	return v;
}

void live_heard(void *live, const char *line)
{
	struct live *v = live;
	if (v->full)
		return;
	/* The line ends with a newline of its own; an empty line ends the event. */
	v->full = !buf_printf(&v->history, "data: %s\n", line);
	wake_followers(v);
}

static bool is_over(void *arg)
{
	return ((struct live *)arg)->over;
}

void live_hold(struct live *v)
{
	if (!v || v->lab->interrupted)
		return;
	v->holds = true;
	v->lab->over = v->lab->failed = false;
	(void)lab_wait(v->lab, is_over, v, UINT64_MAX);
}

void live_close(struct live *v)
{
	if (!v)
		return;
	v->lab->between = NULL;
	for (size_t i = 0; i < READERS_MAX; i++)
		reader_drop(&v->readers[i]);
	acceptor_free(v->acceptor);
	glimpses_close(v->glimpses);
	buf_free(&v->history);
	free(v);
}
