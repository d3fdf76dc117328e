/* A control link after, or instead of, a good handshake: HTTP/2 of a strange client in our server (first byte
 * even) and of a strange server in our client (odd). Bit 1: the bytes are the raw stream from the upgrade on,
 * else they are sealed in records, or, bit 2, come in the place of records. Each input once more with short memory. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/transport/control_link.h"
#include "mesh/transport/noise_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STRANGE_SERVER = 1, RAW = 2, UNSEALED = 4 };
enum { OF_CLIENT = 3, OF_SERVER = 4, CAPVER = 119, TURNS = 3 };

static void fill(void *arg, void *dst, size_t len)
{
	memset(dst, *(const uint8_t *)arg, len);
}

static uint8_t client_byte = OF_CLIENT, server_byte = OF_SERVER;
static const struct random client_rnd = { .fill = fill, .arg = &client_byte },
			   server_rnd = { .fill = fill, .arg = &server_byte };
static const struct machine_private client_priv = { { 2 } }, server_priv = { { 1 } };

/* Both ends' randomness is fixed, so the handshake that the end under test will make is known beforehand. */
struct handshake {
	uint8_t initiation[NOISE_INITIATION], response[NOISE_RESPONSE];
	struct noise_link *client, *server;
	struct machine_key server_public;
};

static void shake(struct handshake *h)
{
	struct machine_key seen;
	uint16_t capver;
	key_public(server_priv.b, h->server_public.b);
	struct noise_initiator *i =
		noise_initiate(&client_priv, &h->server_public, CAPVER, &client_rnd, h->initiation);
	h->server = noise_respond(&server_priv, h->initiation, NOISE_INITIATION, &server_rnd, h->response,
		&seen, &capver, NULL);
	h->client = noise_finish(i, h->response, NOISE_RESPONSE, NULL);
	if (!h->server || !h->client)
		abort();
}

static void turn(struct loop *l)
{
	for (int i = 0; i < TURNS; i++)
		loop_run_once(l);
}

static void put(int fd, const void *p, size_t len)
{
	(void)!send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void put_sealed(int fd, struct noise_link *n, const void *p, size_t len)
{
	struct buf wire = { 0 };
	if (noise_link_send(n, p, len, &wire) == 0)
		put(fd, buf_data(&wire), wire.len);
	buf_free(&wire);
}

/* The stranger's bytes in two pieces. */
static void put_input(struct loop *l, int fd, struct noise_link *n, uint8_t how, const uint8_t *p, size_t len)
{
	size_t half = len / 2;
	if (how & (RAW | UNSEALED)) {
		put(fd, p, half);
		turn(l);
		put(fd, p + half, len - half);
	} else {
		put_sealed(fd, n, p, half);
		turn(l);
		put_sealed(fd, n, p + half, len - half);
	}
	turn(l);
}

/* --- our server --- */
struct site {
	struct loop *loop;
	struct control_server_link *link;
	struct h2_stream *held;
};

static void requested(void *arg, struct control_server_link *c, struct h2_stream *s, const char *method,
	const char *path, const uint8_t *body, size_t len)
{
	struct site *site = arg;
	(void)c;
	if (!strcmp(path, "/close")) {
		control_server_close(c);
		site->link = NULL;
	} else if (!strcmp(path, "/hold") && !site->held) {
		site->held = s;
		h2_respond_begin(s, 200, NULL);
		if (site->held == s)
			(void)h2_respond_chunk(s, "part", 4);
	} else {
		h2_respond(s, strcmp(method, "POST") == 0 ? 200 : 404, NULL, body, len);
	}
}

static void gone(void *arg, struct h2_stream *s, void *data)
{
	struct site *site = arg;
	(void)data;
	if (site->held == s)
		site->held = NULL;
}

static void server_closed(void *arg, struct control_server_link *c, void *data)
{
	(void)c;
	(void)data;
	((struct site *)arg)->link = NULL;
}

static void web_request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)h;
	http_reply(c, 404, NULL, NULL, p, len);
}

static bool upgrade(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct site *site = arg;
	struct control_server_ops ops = {
		.request = requested, .stream_gone = gone, .closed = server_closed, .arg = site
	};
	site->link = control_server_accept(site->loop, conn, head, &server_priv, &server_rnd, &ops);
	return true;
}

static void ask_upgrade(int fd, const struct handshake *h)
{
	char head[400], text[(NOISE_INITIATION + 2) / 3 * 4 + 1];
	int n = snprintf(head, sizeof(head),
		"POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\nConnection: "
		"upgrade\r\nX-Tailscale-Handshake: %s\r\n\r\n",
		base64_encode(h->initiation, NOISE_INITIATION, text));
	put(fd, head, (size_t)n);
}

static void against_server(struct loop *l, uint8_t how, const uint8_t *p, size_t len)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	struct site site = { .loop = l };
	struct http_server_ops ops = { .request = web_request, .upgrade = upgrade, .arg = &site };
	struct stream_events none = { 0 };
	struct handshake h;
	int fd[2];
	shake(&h);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0 ||
		!http_server_accept(l, stream_accept(l, fd[0], NULL, &none), &ops))
		abort();
	trouble_begin();
	ask_upgrade(fd[1], &h);
	turn(l);
	if (!(how & RAW))
		put_sealed(fd[1], h.client, preface, sizeof(preface)); /* the last 0 ends the SETTINGS */
	put_input(l, fd[1], h.client, how, p, len);
	if (site.held)
		(void)h2_respond_chunk(site.held, "more", 4);
	turn(l);
	close(fd[1]);
	turn(l);
	control_server_close(site.link);
	trouble_end();
	noise_link_free(h.client);
	noise_link_free(h.server);
}

/* --- our client --- */
struct user {
	struct control_client_link *link;
	struct h2_request *map, *other;
	bool over;
};

static void map_done(void *arg, int code)
{
	(void)code;
	((struct user *)arg)->map = NULL;
}

static void other_done(void *arg, int code)
{
	(void)code;
	((struct user *)arg)->other = NULL;
}

static void heard(void *arg, const uint8_t *p, size_t len)
{
	struct user *u = arg;
	if (len && p[0] == 'x') { /* a listener may lose interest inside the event */
		h2_request_cancel(u->other);
		u->other = NULL;
	}
}

static void ready(void *arg)
{
	struct user *u = arg;
	struct h2_request_events map = { .data = heard, .done = map_done, .arg = u };
	struct h2_request_events other = { .done = other_done, .arg = u };
	u->map = control_client_request(u->link, "POST", "/machine/map", NULL, NULL, "{}", 2, &map);
	u->other = control_client_request(u->link, "HEAD", "/x", "Ts-Lb", "y", NULL, 0, &other);
}

static void client_closed(void *arg, int code, const char *why)
{
	struct user *u = arg;
	(void)code;
	if (!why || !*why)
		abort(); /* somebody reads it */
	u->over = true;
}

/* One socket for the whole run. */
static int listener(struct endpoint *at)
{
	static int fd = -1;
	static struct endpoint where;
	struct endpoint any = { .ip = addr_v4(0x7f000001) };
	if (fd < 0) {
		fd = sock_tcp_listen(&any, NULL);
		if (fd < 0 || sock_local(fd, &where) != 0)
			abort();
	}
	*at = where;
	return fd;
}

/* Our client's connection, its request read and thrown away. */
static int take_client(struct loop *l, int listen_fd)
{
	char head[2048];
	size_t have = 0;
	int fd;
	while ((fd = sock_accept(listen_fd, NULL)) < 0)
		loop_run_once(l);
	while (have < 4 || memcmp(head + have - 4, "\r\n\r\n", 4) != 0) {
		ssize_t n = recv(fd, head + have, sizeof(head) - have, MSG_DONTWAIT);
		if (n > 0)
			have += (size_t)n;
		loop_run_once(l);
	}
	return fd;
}

static void against_client(struct loop *l, uint8_t how, const uint8_t *p, size_t len)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
				   "tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n";
	struct handshake h;
	struct endpoint at;
	struct user u = { 0 };
	struct linger reset = { .l_onoff = 1 };
	int listen_fd = listener(&at);
	shake(&h);
	struct control_client_config cfg = { .server_url = "http://fuzz.test",
		.at = &at,
		.machine = &client_priv,
		.server = &h.server_public,
		.capver = CAPVER,
		.rnd = &client_rnd };
	struct control_client_events ev = { .ready = ready, .closed = client_closed, .arg = &u };
	u.link = control_client_open(l, &cfg, &ev);
	if (!u.link)
		abort();
	int fd = take_client(l, listen_fd);
	trouble_begin();
	if (!(how & RAW)) {
		put(fd, head, sizeof(head) - 1);
		put(fd, h.response, sizeof(h.response));
		turn(l);
	}
	put_input(l, fd, h.server, how, p, len);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* no address is held by TIME-WAIT */
	close(fd);
	turn(l);
	h2_request_cancel(u.map);
	control_client_close(u.link);
	trouble_end();
	noise_link_free(h.client);
	noise_link_free(h.server);
}

static void control_link_target(const uint8_t *data, size_t len)
{
	must(key_setup());
	if (!len)
		return;
	struct awake a = awake_loop(loop_new());
	if (data[0] & STRANGE_SERVER)
		against_client(a.loop, data[0], data + 1, len - 1);
	else
		against_server(a.loop, data[0], data + 1, len - 1);
	awake_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(control_link_target, data, len);
}
