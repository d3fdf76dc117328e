/* One stream from before its socket is there until it is gone, and who is at the other end, in whatever order things happen. Two
 * bytes a step: what, and how. Names are looked up here, in place of os/resolve.c: an input says what is found, and when. What
 * goes inside TLS is http_conn_fuzz's. Each input once more with short memory. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/base/key.h"
#include "mesh/os/resolve.h"
#include "mesh/os/sock.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { WAYS = 8, STEPS_MAX = 48, TURNS = 3, BLOB = 200000, UNREAD_MAX = 300 };

struct resolve {
	void (*cb)(void *arg, int code, const struct endpoint *at, size_t n, const char *why);
	void *arg;
};

/* Addresses that outlive an input: of somebody who listens, of nobody, of somebody who is too busy to answer, and of a proxy
 * by its name. */
static struct {
	int listener, busy, waiting[3];
	struct endpoint at, nobody, slow;
	struct tls *tls;
	struct proxies *proxies, *named;
} place = { .listener = -1 };

/* Begun anew with each input. */
static struct {
	struct loop *loop;
	struct stream *s;
	int peer; /* -1: there is nobody at the other end yet */
	bool deaf, takes_parts, wants_all, ends_in_data, reopens;
	unsigned opened, closed;
	struct resolve *lookup;
} w;

static uint8_t blob[BLOB];

/* --- in place of os/resolve.c --- */

struct resolve *resolve_start(struct loop *l, const char *host,
	void (*cb)(void *arg, int code, const struct endpoint *at, size_t n, const char *why), void *arg)
{
	(void)l;
	must(host && *host);
	struct resolve *r = malloc(sizeof(*r));
	if (r)
		*r = (struct resolve) { cb, arg };
	w.lookup = r;
	return r;
}

void resolve_cancel(struct resolve *r)
{
	if (r)
		w.lookup = NULL;
	free(r);
}

static void names_found(uint8_t how)
{
	const struct endpoint *const rows[] = { &place.at, &place.nobody, &place.slow };
	struct endpoint at[RESOLVE_MAX];
	struct resolve *r = w.lookup;
	size_t n = how % 8;
	if (!r)
		return;
	for (size_t i = 0; i < n; i++)
		at[i] = *rows[(how / 8 + i) % ARRAY_LEN(rows)];
	w.lookup = NULL;
	if (n)
		r->cb(r->arg, 0, at, n, NULL);
	else
		r->cb(r->arg, -ENOENT, NULL, 0, "no such name");
	free(r);
}

/* --- what outlives an input --- */

static void make_place(void)
{
	struct sockaddr_storage ss;
	char by[64], at[ENDPOINT_TEXT];
	struct endpoint any = { .ip = addr_v4(0x7f000001) };
	place.listener = sock_tcp_listen(&any, NULL);
	must(key_setup() && place.listener >= 0 && sock_local(place.listener, &place.at) == 0);
	place.nobody = (struct endpoint) { .ip = any.ip, .port = 1 };
	/* Who has two at the door and lets nobody in answers nobody else. */
	place.busy = sock_tcp_listen(&any, NULL);
	must(place.busy >= 0 && listen(place.busy, 0) == 0 && sock_local(place.busy, &place.slow) == 0);
	for (size_t i = 0; i < ARRAY_LEN(place.waiting); i++) {
		place.waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(place.waiting[i], (struct sockaddr *)&ss,
			endpoint_to_sockaddr(&place.slow, false, &ss));
	}
	snprintf(by, sizeof(by), "http://%s", endpoint_format(&place.at, at));
	place.proxies = proxies_new(by, by, NULL);
	place.named = proxies_new("http://me:secret@proxy.test:81", "http://proxy.test:81", NULL);
	place.tls = tls_client("insecure", NULL);
	must(place.proxies && place.named && place.tls);
}

/* --- the stream's owner --- */

static void opened(void *arg)
{
	(void)arg;
	w.opened++;
}

static void close_stream(bool flush)
{
	struct stream *s = w.s;
	w.s = NULL;
	stream_close(s, flush);
}

static void data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	must(p && len);
	if (w.ends_in_data)
		close_stream(len & 1);
}

static size_t frames(void *arg, uint8_t *p, size_t len)
{
	(void)arg;
	must(p && len);
	if (w.ends_in_data) {
		close_stream(true);
		return len;
	}
	return w.wants_all ? 0 : w.takes_parts ? len / 2 : len;
}

static void drained(void *arg)
{
	(void)arg;
}

static void closed(void *arg, int code, const char *why)
{
	(void)arg;
	must(!code || (why && *why)); /* somebody reads it */
	must(!w.closed++);
	must(w.s == NULL || !stream_is_open(w.s));
	if (w.reopens)
		close_stream(true);
}

static struct stream_events events(bool framed)
{
	return (struct stream_events) { .opened = opened,
		.data = framed ? NULL : data,
		.frames = framed ? frames : NULL,
		.drained = drained,
		.closed = closed };
}

static void peer_leaves(bool resets)
{
	const struct linger reset = { .l_onoff = 1 };
	if (w.peer < 0)
		return;
	if (resets) /* and no address is held by TIME-WAIT */
		setsockopt(w.peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(w.peer);
	w.peer = -1;
}

/* Who was connected to and is not any more: the next must not meet him. */
static void none_waits(void)
{
	do
		peer_leaves(true);
	while ((w.peer = sock_accept(place.listener, NULL)) >= 0);
	w.peer = -1;
}

static void turn(int n)
{
	static uint8_t sink[1 << 16];
	while (n--) {
		loop_run_once(w.loop);
		if (w.peer < 0 && (w.peer = sock_accept(place.listener, NULL)) < 0)
			w.peer = -1;
		while (w.peer >= 0 && !w.deaf && recv(w.peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
}

static void connect_so(uint8_t how)
{
	const struct endpoint *const rows[] = { &place.at, &place.nobody, &place.slow };
	const struct stream_events ev = events(how & 1);
	struct stream_target to = { .host = how & 64  ? "fuzz\n.test"
					    : how & 8 ? "192.0.2.1"
						      : "fuzz.test",
		.port = place.at.port,
		.tls = how & 2 ? place.tls : NULL,
		.proxies = how & 4 ? how & 32 ? place.named : place.proxies : NULL,
		.timeout_ms = how & 128 ? 3000 : 0 };
	if (how & 16) {
		to.at = rows[how / 32 % ARRAY_LEN(rows)];
		to.then = how & 8 ? rows[(how / 32 + 1) % ARRAY_LEN(rows)] : NULL;
	}
	w.s = stream_connect(w.loop, &to, &ev);
}

static void connect_ready(uint8_t how)
{
	const struct stream_events ev = events(how & 1);
	const struct endpoint *at = how & 2 ? &place.nobody : &place.at;
	const struct stream_target to = { .host = how & 8 ? "" : "fuzz.test",
		.port = at->port,
		.at = at,
		.proxies = how & 4 ? place.proxies : NULL };
	int fd = sock_tcp_connect(at, NULL);
	if (fd >= 0)
		w.s = stream_connect_socket(w.loop, fd, &to, &ev);
}

/* A new stream, in the place of the one before. */
static void begin(uint8_t kind, uint8_t how)
{
	const struct stream_events ev = events(how & 1);
	int fd[2], small = 4096;
	close_stream(how & 32);
	peer_leaves(true);
	turn(TURNS);
	none_waits();
	w.opened = w.closed = 0;
	switch (kind) {
	case 0: connect_so(how); break;
	case 1: connect_ready(how); break;
	case 2: w.s = stream_connect_unix(w.loop, "/nonexistent/socket", &ev); break;
	default:
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
		setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		w.peer = fd[1];
		w.s = stream_accept(w.loop, fd[0], NULL, &ev);
	}
}

/* --- steps --- */

static void with_stream(uint8_t what, uint8_t how)
{
	struct endpoint from;
	const struct stream_events ev = events(how & 1);
	switch (what) {
	case 0: (void)stream_write(w.s, blob, how & 1 ? (size_t)how * BLOB / UINT8_MAX : how); break;
	case 1: stream_pause(w.s, how & 1); break;
	case 2:
		if (stream_is_open(w.s) && !w.takes_parts && !w.wants_all)
			stream_unread(w.s, blob, how % UNREAD_MAX + 1);
		break;
	case 3: stream_events_set(w.s, &ev); break;
	case 4: stream_queue_cap(w.s, (size_t)how * 1000); break;
	case 5: stream_secret(w.s, how & 1); break;
	case 6: close_stream(how & 1); break;
	default:
		must(stream_queued(w.s) <= (size_t)8 * 1024 * 1024);
		(void)stream_peer(w.s, &from);
		if (how & 1) {
			int fd = stream_take(w.s);
			w.s = NULL;
			if (fd >= 0)
				close(fd);
		}
	}
}

static void step(uint8_t what, uint8_t how)
{
	static const uint32_t times_ms[] = { 1, 1600, 3100, 10100, 2100, 65535 };
	size_t much = how & 1 ? (size_t)how * BLOB / UINT8_MAX : how;
	switch (what / WAYS % 10) {
	case 0:
	case 1:
	case 2:
	case 3: begin(what / WAYS % 10, how); break;
	case 4:
		if (w.s)
			with_stream(what % WAYS, how);
		break;
	case 5:
		if (w.peer >= 0)
			(void)!send(w.peer, blob, much, MSG_NOSIGNAL | MSG_DONTWAIT);
		break;
	case 6:
		if (w.peer >= 0 && how & 2)
			shutdown(w.peer, how & 1 ? SHUT_WR : SHUT_RDWR);
		else
			peer_leaves(how & 1);
		break;
	case 7: names_found(how); break;
	case 8: trouble_pass_ms(times_ms[how % ARRAY_LEN(times_ms)]); break;
	default:
		w.deaf = how & 1;
		w.takes_parts = how & 2;
		w.wants_all = how & 4;
		w.ends_in_data = how & 8;
		w.reopens = how & 16;
	}
}

static void run(const uint8_t *p, size_t len)
{
	if (place.listener < 0)
		make_place();
	memset(&w, 0, sizeof(w));
	w.peer = -1;
	w.loop = loop_new();
	struct awake awake = awake_loop(w.loop);
	trouble_begin();
	for (size_t i = 0; i + 1 < len && i < (size_t)2 * STEPS_MAX; i += 2) {
		step(p[i], p[i + 1]);
		turn(TURNS);
	}
	trouble_end();
	close_stream(false);
	peer_leaves(true);
	turn(TURNS);
	must(!w.lookup); /* whoever went has no use for an answer */
	none_waits();
	trouble_pass_ms(65535); /* what was still sent has had its time */
	turn(TURNS);
	none_waits();
	awake_free(&awake);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	return trouble_twice(run, p, len);
}
