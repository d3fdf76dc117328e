/* Both ends of a control link, ours, in whatever order calls may come: requests of all sizes, answers now, later, in
 * parts or cut, ends from either side, while time passes and memory is short now and then. Two bytes a step. What
 * strange bytes do to one end is control_link_fuzz's. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/transport/control_link.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { SLOTS = 8, STEPS_MAX = 48, TURNS = 4, CAPVER = 119, UNIT = 9000, BLOB = UNIT * 256 };

struct pair {
	struct loop *loop;
	int listen_fd;
	struct endpoint at;
	struct machine_private client_priv, server_priv;
	struct machine_key server_pub;
	struct http_server_ops web;
	/* the client's end */
	struct control_client_link *client;
	struct h2_request *requests[SLOTS];
	bool ready;
	/* the server's */
	struct control_server_link *server;
	struct h2_stream *held[SLOTS];
	bool refuses, shut; /* shut: who comes waits at the door */
	long charged;
};

static uint8_t blob[BLOB];

static void fill(void *arg, void *dst, size_t len)
{
	memset(dst, *(const uint8_t *)arg, len);
}

static uint8_t client_byte = 3, server_byte = 4;
static const struct random client_rnd = { .fill = fill, .arg = &client_byte },
			   server_rnd = { .fill = fill, .arg = &server_byte };

static void turn(struct pair *w)
{
	for (int i = 0; i < TURNS; i++)
		loop_run_once(w->loop);
}

/* --- the server's end --- */

static void requested(void *arg, struct control_server_link *c, struct h2_stream *s, const char *method,
	const char *path, const uint8_t *body, size_t len)
{
	struct pair *w = arg;
	size_t i = (size_t)(path[1] - '0');
	if (h2_stream_link(s) != c || !*method)
		abort();
	h2_stream_data_set(s, w);
	if (path[1] == 'x')
		control_server_close(c), w->server = NULL;
	else if (i < SLOTS && !w->held[i])
		w->held[i] = s;
	else
		h2_respond(s, 200, "text/plain", body, len);
}

static void stream_gone(void *arg, struct h2_stream *s, void *data)
{
	struct pair *w = arg;
	if (data && (data != w || h2_stream_data(s) != data))
		abort();
	for (size_t i = 0; i < SLOTS; i++)
		if (w->held[i] == s)
			w->held[i] = NULL;
}

static void server_closed(void *arg, struct control_server_link *c, void *data)
{
	struct pair *w = arg;
	if (data != w || w->server != c)
		abort();
	w->server = NULL;
}

static bool may_hold(void *arg, struct control_server_link *c, void *data, long bytes)
{
	struct pair *w = arg;
	(void)c;
	(void)data;
	if (w->refuses && bytes > 0)
		return false;
	w->charged += bytes;
	return true;
}

static void web_request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)h;
	http_reply(c, 404, NULL, NULL, p, len);
}

static bool upgraded(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct pair *w = arg;
	struct endpoint peer;
	const struct control_server_ops ops = { .request = requested,
		.stream_gone = stream_gone,
		.closed = server_closed,
		.charge = may_hold,
		.arg = w };
	if (w->server) /* one at a time */
		control_server_close(w->server);
	w->charged = 0;
	w->server = control_server_accept(w->loop, conn, head, &w->server_priv, &server_rnd, &ops);
	if (!w->server)
		return true;
	control_server_data_set(w->server, w);
	if (control_server_data(w->server) != w || control_server_capver(w->server) != CAPVER ||
		!control_server_machine(w->server))
		abort();
	(void)control_server_peer(w->server, &peer);
	return true;
}

/* --- the client's --- */

static void request_done(void *arg, int code)
{
	(void)code;
	*(struct h2_request **)arg = NULL;
}

static void request_data(void *arg, const uint8_t *p, size_t len)
{
	struct h2_request **at = arg;
	if (len && p[0] == 'c' && *at) { /* what was heard was enough */
		struct h2_request *r = *at;
		*at = NULL;
		h2_request_cancel(r);
	}
}

static void request_head(void *arg, int status)
{
	(void)arg;
	if (status < 200)
		abort();
}

static void client_ready(void *arg)
{
	struct endpoint peer;
	struct pair *w = arg;
	w->ready = true;
	(void)control_client_peer(w->client, &peer);
}

static void client_closed(void *arg, int code, const char *why)
{
	struct pair *w = arg;
	if (!code || !why || !*why)
		abort(); /* somebody reads it */
	w->ready = false;
}

static void client_leave(struct pair *w)
{
	control_client_close(w->client);
	w->client = NULL;
	w->ready = false;
	memset(w->requests, 0, sizeof(w->requests));
}

static void accept_waiting(struct pair *w)
{
	struct stream_events none = { 0 };
	for (int fd; !w->shut && (fd = sock_accept(w->listen_fd, NULL)) >= 0;) {
		struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		(void)http_server_accept(w->loop, stream_accept(w->loop, fd, NULL, &none), &w->web);
	}
}

static void come(struct pair *w, uint8_t how)
{
	static const char *const urls[] = { "http://fuzz.test", "http://fuzz.test:81", "http://[::1]",
		"https://fuzz.test", "fuzz.test" };
	const struct control_client_config cfg = { .server_url = urls[how % ARRAY_LEN(urls)],
		.at = &w->at,
		.machine = &w->client_priv,
		.server = &w->server_pub,
		.capver = CAPVER,
		.rnd = &client_rnd };
	const struct control_client_events ev = { .ready = client_ready, .closed = client_closed, .arg = w };
	client_leave(w);
	w->client = control_client_open(w->loop, &cfg, &ev);
	for (int i = 0; i < 4 && w->client && !w->ready; i++) {
		accept_waiting(w);
		turn(w);
	}
}

/* --- steps --- */

static void ask(struct pair *w, size_t slot, uint8_t much)
{
	char path[] = "/0";
	const struct h2_request_events ev = { .head = much & 1 ? request_head : NULL,
		.data = request_data,
		.done = request_done,
		.arg = &w->requests[slot] };
	path[1] = much == 255 ? 'x' : much % 8 == 7 ? 'e' : (char)('0' + slot);
	if (!w->client || w->requests[slot])
		return;
	w->requests[slot] = control_client_request(w->client, "POST", path, much & 2 ? "Ts-Lb" : NULL, "y",
		blob, much & 4 ? (size_t)much * UNIT : much, &ev);
}

static void cancel(struct pair *w, size_t slot)
{
	struct h2_request *r = w->requests[slot];
	w->requests[slot] = NULL;
	if (r)
		h2_request_cancel(r);
}

static void step(struct pair *w, uint8_t what, uint8_t more)
{
	static const uint32_t times_ms[] = { 1, 4000, 11000, 31000, 61000, 200000 };
	size_t slot = what % SLOTS;
	struct h2_stream *s = w->held[slot];
	memset(blob, more & 1 ? 'c' : 'd', 1);
	switch (what / SLOTS) {
	case 0: come(w, more); break;
	case 1: ask(w, slot, more); break;
	case 2: cancel(w, slot); break;
	case 3:
		if (s)
			h2_respond_begin(s, 200 + more, more & 1 ? NULL : "application/json");
		break;
	case 4:
		for (int i = 0; s && i < (more & 64 ? 6 : 1) && w->held[slot] == s; i++)
			(void)h2_respond_chunk(s, blob, (size_t)more * UNIT);
		break;
	case 5:
		w->held[slot] = NULL;
		if (s)
			h2_respond_end(s);
		break;
	case 6:
		w->held[slot] = NULL;
		if (s)
			h2_respond_cut(s);
		break;
	case 7:
		w->held[slot] = NULL;
		if (s)
			h2_respond(s, 200, NULL, blob, more & 2 ? (size_t)more * UNIT : more);
		break;
	case 8: client_leave(w); break;
	case 9:
		control_server_close(w->server);
		w->server = NULL;
		break;
	case 10: trouble_pass_ms(times_ms[more % ARRAY_LEN(times_ms)]); break;
	case 11: trouble_memory(more % 32); break;
	case 12: w->refuses = more & 1; break;
	case 13: w->shut = more & 1; break;
	default: break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct pair w;
	struct endpoint any = { .ip = addr_v4(0x7f000001) };
	struct awake a = awake_loop(loop_new());
	w = (struct pair) { .loop = a.loop, .client_priv = { { 2 } }, .server_priv = { { 1 } } };
	w.listen_fd = sock_tcp_listen(&any, NULL);
	if (!key_setup() || w.listen_fd < 0 || sock_local(w.listen_fd, &w.at) != 0)
		abort();
	key_public(w.server_priv.b, w.server_pub.b);
	w.web = (struct http_server_ops) { .request = web_request, .upgrade = upgraded, .arg = &w };
	for (size_t i = 0; i + 1 < len && i < (size_t)2 * STEPS_MAX; i += 2) {
		step(&w, data[i], data[i + 1]);
		accept_waiting(&w);
		turn(&w);
	}
	trouble_memory(0);
	w.shut = false;
	accept_waiting(&w);
	turn(&w);
	client_leave(&w);
	turn(&w);
	if (w.server)
		control_server_close(w.server);
	if (w.charged)
		abort();	 /* what was charged is given back */
	trouble_pass_ms(200000); /* whoever asked for nothing has had his time */
	turn(&w);
	awake_free(&a);
	close(w.listen_fd);
	return 0;
}
