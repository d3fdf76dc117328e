/* A whole relay, with its files, its TLS, its STUN and whom it asks about nodes, as text: an input is a line of steps with a byte
 * 0x1e between them, each a letter and what belongs to it.
 * `O` opens the relay with what the letters say (see `open_relay`), in the folder that the one before left; `F` name, newline, text
 * writes a file there; `R` reads again. `t` and `u` are two that speak inside TLS, `h` and `i` the same with a key to show, `x` and
 * `y` with a packet for the other, `v` and `w` go; `p` is one without TLS. `q` is a datagram for STUN, `g` so many short requests at once, `G` one
 * that official clients send. `a` status, newline, text is what is answered from now on to who asks about a node, `s` who is asked
 * says nothing at all; `d` dismisses the first key, `m` lets so many ms pass.
 * client_fuzz and crowd_fuzz have the frames of clients. With memory short at one place or another. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/proto/derp.h"
#include "mesh/proto/stun.h"
#include "mesh/relay/inner.h"
#include "mesh/relay/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	STEPS_MAX = 24,
	STEP_END = 0x1e,
	SEATS = 2,
	TURNS = 6,
	OPENING_TURNS = 60,
	FLOOD_MAX = 256,
	PATH = 96,
	FEW = 6
};

struct seat {
	struct stream *stream; /* NULL: nobody */
	bool open;
};

/* A relay and all around it; begun anew with each input. */
static struct {
	char dir[40];
	struct loop *loop;
	struct awake awake;
	struct relay *relay;
	struct verify *verify;
	/* Who is asked about nodes, by a unix socket and by a URL; and the door of a server that embeds the relay. */
	int asked_fd[2], embeds_fd;
	struct loop_fd *asked_watch[2], *embeds_watch;
	bool silent;
	int status;
	const uint8_t *answer;
	size_t answer_len;
	struct http_server_ops asked_ops, embeds_ops;
	struct seat seats[SEATS];
	struct tls *tls;
	struct node_private priv[SEATS];
	struct node_key pub[SEATS];
	char list[PATH], socket[PATH], url[PATH], key[PATH], cert[PATH], cert_key[PATH];
} w;

static void turn(int n)
{
	while (n--)
		loop_run_once(w.loop);
}

/* --- whom the relay asks, and who embeds it --- */

static void was_asked(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg, (void)h, (void)p, (void)len;
	if (!w.silent)
		http_reply(c, w.status, "application/json", NULL, w.answer, w.answer_len);
}

static void embedding_request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg, (void)p, (void)len;
	if (!w.relay || !relay_request(w.relay, c, h))
		http_reply(c, 404, NULL, NULL, NULL, 0);
}

static bool embedding_upgrade(void *arg, struct http_server_conn *c, const struct http_head *h)
{
	(void)arg;
	return w.relay && relay_upgrade(w.relay, c, h);
}

static void visited(void *arg, int fd)
{
	struct stream_events none = { 0 };
	int got = sock_accept(fd, NULL);
	if (got >= 0)
		(void)http_server_accept(w.loop, stream_accept(w.loop, got, NULL, &none), arg);
}
static void asked_by_socket(void *arg, int events)
{
	(void)events;
	visited(arg, w.asked_fd[0]);
}
static void asked_by_url(void *arg, int events)
{
	(void)events;
	visited(arg, w.asked_fd[1]);
}
static void embedding(void *arg, int events)
{
	(void)events;
	visited(arg, w.embeds_fd);
}

static void decided(void *arg, const struct node_key *who, bool allow)
{
	(void)arg;
	if (w.relay)
		relay_admit(w.relay, who, allow);
}

static int listen_on_loopback(struct endpoint *at)
{
	*at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	int fd = sock_tcp_listen(at, NULL);
	must(fd >= 0 && sock_local(fd, at) == 0);
	return fd;
}

static struct loop_fd *watch(int fd, void (*cb)(void *arg, int events), void *arg)
{
	struct loop_fd *f = loop_fd_new(w.loop, fd, cb, arg);
	must(f);
	loop_fd_set(f, LOOP_READ);
	return f;
}

/* --- the relay --- */

static void close_relay(void)
{
	for (size_t i = 0; i < SEATS; i++) {
		stream_close(w.seats[i].stream, false);
		w.seats[i] = (struct seat) { 0 };
	}
	turn(TURNS);
	verify_close(w.verify);
	relay_close(w.relay);
	w.verify = NULL;
	w.relay = NULL;
}

static void open_relay(const char *how)
{
	struct errbuf eb = { 0 };
	struct relay_options o = { .listen = { .ip = addr_v4(0x7f000001) },
		.state_dir = w.dir,
		.rnd = &random_steady,
		.embedded = strchr(how, 'e'),
		.no_fast_start = strchr(how, 'o'),
		.hostname = strchr(how, 'h') ? "relay.test" : NULL,
		.derp_key_file = strchr(how, 'k') ? w.key : NULL,
		.cert_file = strchr(how, 'c') ? w.cert : NULL,
		.key_file = strchr(how, 'c') ? w.cert_key : NULL,
		.visits_max = strchr(how, 'f') ? 1 : 0,
		.places_max = strchr(how, 'f') ? FEW : 0,
		.per_address = strchr(how, '1') ? 1 : 0,
		.n_stun = strchr(how, 's') ? 2 : 0 };
	const struct verify_options v = { .keys_file = strchr(how, 'l') ? w.list : NULL,
		.socket_path = strchr(how, 'u') ? w.socket : NULL,
		.url = strchr(how, 'w')	  ? w.url
		       : strchr(how, 'b') ? "ftp:/a"
		       : strchr(how, 't') ? "https://127.0.0.1:1/"
					  : NULL,
		.fail_open = strchr(how, 'n'),
		.decided = decided };
	close_relay();
	o.stun[0] = o.stun[1] = o.listen;
	o.stun[1].ip = o.listen.ip;
	if (strchr(how, '6'))
		must(addr_parse("::1", &o.stun[1].ip));
	if (strpbrk(how, "luwbt")) {
		w.verify = verify_open(w.loop, &v, &eb);
		if (!w.verify)
			must(trouble_happened() || eb.text[0]);
		o.admits = w.verify ? verify_admits : NULL;
		o.admits_arg = w.verify;
	}
	w.relay = relay_open(w.loop, &o, &eb);
	if (!w.relay) {
		must(trouble_happened() || eb.text[0]);
		verify_close(w.verify); /* asked by nobody any more */
		w.verify = NULL;
	}
}

static void read_anew(void)
{
	struct errbuf eb;
	if (w.relay && !w.relay->options.embedded)
		(void)relay_reload(w.relay, &eb);
	if (w.verify)
		(void)verify_reload(w.verify, &eb);
}

static void write_file(const char *text, size_t len)
{
	static const char *const names[] = { "list", "relay.key", "relay.crt", "relay.pem", "key", "c", "k" };
	const char *end = memchr(text, '\n', len);
	char path[PATH];
	for (size_t i = 0; end && i < ARRAY_LEN(names); i++)
		if (strlen(names[i]) == (size_t)(end - text) && !memcmp(names[i], text, strlen(names[i]))) {
			snprintf(path, sizeof(path), "%s/%s", w.dir, names[i]);
			(void)file_write_atomic(path, 0600, end + 1, (size_t)(text + len - end - 1), NULL);
		}
}

/* --- who comes --- */

static void seat_opened(void *arg)
{
	((struct seat *)arg)->open = true;
}
static void seat_data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg, (void)p, (void)len;
}
static void seat_closed(void *arg, int code, const char *why)
{
	struct seat *s = arg;
	(void)code, (void)why;
	stream_close(s->stream, false);
	*s = (struct seat) { 0 };
}

static struct endpoint door(void)
{
	struct endpoint at = { 0 };
	if (w.relay && w.relay->options.embedded)
		must(sock_local(w.embeds_fd, &at) == 0);
	else if (w.relay)
		at = relay_listen_at(w.relay);
	return at;
}

static bool seat_open(struct seat *s)
{
	const struct stream_events ev = {
		.opened = seat_opened, .data = seat_data, .closed = seat_closed, .arg = s
	};
	const struct endpoint at = door();
	const struct stream_target to = { .host = "relay.test",
		.port = at.port,
		.at = &at,
		.tls = w.relay && w.relay->options.embedded ? NULL : w.tls };
	if (!s->stream && at.port)
		s->stream = stream_connect(w.loop, &to, &ev);
	for (int i = 0; i < OPENING_TURNS && s->stream && !s->open; i++)
		turn(1);
	return s->open;
}

static void say(struct seat *s, const void *p, size_t len)
{
	if (seat_open(s))
		(void)stream_write(s->stream, p, len);
}

static void leave(struct seat *s)
{
	const struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	if (s->stream)
		setsockopt(stream_fd(s->stream), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	stream_close(s->stream, false);
	*s = (struct seat) { 0 };
}

static void say_hello(size_t i)
{
	uint8_t frame[512], nonce[BOX_NONCE] = { 1 };
	const struct derp_client_info info = { .can_ack_pings = true };
	struct wr out = wr_of(frame, sizeof(frame));
	if (!w.relay)
		return;
	derp_client_info_write(&out, &w.priv[i], &w.pub[i], relay_public(w.relay), nonce, &info);
	say(&w.seats[i], frame, out.len);
}

static void say_packet(size_t i, const void *p, size_t len)
{
	uint8_t frame[DERP_HEADER + KEY_LEN];
	struct wr out = wr_of(frame, sizeof(frame));
	derp_header_write(&out, DERP_SEND_PACKET, (uint32_t)(KEY_LEN + len));
	wr_bytes(&out, w.pub[1 - i].b, KEY_LEN);
	say(&w.seats[i], frame, out.len);
	say(&w.seats[i], p, len);
}

static void say_plainly(const void *p, size_t len)
{
	struct sockaddr_storage ss;
	const struct endpoint at = door();
	int fd = at.port ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	if (fd < 0)
		return;
	must(trouble_connect(fd, (struct sockaddr *)&ss, endpoint_to_sockaddr(&at, false, &ss)) == 0);
	(void)!send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	turn(TURNS);
	close(fd);
}

static void say_stun(const void *p, size_t len, unsigned times)
{
	uint8_t heard[STUN_REPLY_MAX * 2], tx[STUN_TX];
	struct endpoint seen;
	for (size_t i = 0; w.relay && i < 2; i++) {
		const struct endpoint at = relay_stun_at(w.relay, i);
		int fd = at.port ? sock_udp_connect(&at, NULL, NULL) : -1;
		if (fd < 0)
			continue;
		for (unsigned k = 0; k < times && k < FLOOD_MAX; k++)
			(void)!send(fd, p, len, MSG_DONTWAIT);
		turn(TURNS);
		for (ssize_t n; (n = recv(fd, heard, sizeof(heard), MSG_DONTWAIT)) > 0;)
			must(stun_reply_read(heard, (size_t)n, tx, &seen));
		close(fd);
	}
}

static void say_stun_well(unsigned times)
{
	static const uint8_t tx[STUN_TX] = { 1 };
	/* RFC 8489 5: a binding request without attributes */
	static const uint8_t bare[20] = { 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 2 };
	uint8_t request[STUN_REQUEST];
	stun_request_write(tx, request);
	say_stun(times ? bare : request, times ? sizeof(bare) : sizeof(request), times ? times : 1);
}

/* --- the script --- */

static void answer_so(const char *text, size_t len)
{
	const char *end = memchr(text, '\n', len);
	w.silent = false;
	w.status = 200 + (int)(strtoul(text, NULL, 10) % 400);
	w.answer = (const uint8_t *)(end ? end + 1 : NULL);
	w.answer_len = end ? (size_t)(text + len - end - 1) : 0;
}

/* text ends with a NUL behind len. */
static void step(const char *text, size_t len)
{
	const char *more = text + 1;
	const unsigned long n = strtoul(more, NULL, 10);
	len--;
	switch (text[0]) {
	case 'O': open_relay(more); break;
	case 'F': write_file(more, len); break;
	case 'R': read_anew(); break;
	case 't':
	case 'u': say(&w.seats[text[0] == 'u'], more, len); break;
	case 'h':
	case 'i': say_hello(text[0] == 'i'); break;
	case 'x':
	case 'y': say_packet(text[0] == 'y', more, len); break;
	case 'v':
	case 'w': leave(&w.seats[text[0] == 'w']); break;
	case 'p': say_plainly(more, len); break;
	case 'q': say_stun(more, len, 1); break;
	case 'g': say_stun_well((unsigned)n % FLOOD_MAX); break;
	case 'G': say_stun_well(0); break;
	case 'a': answer_so(more, len); break;
	case 's': w.silent = true; break;
	case 'd':
		if (w.relay)
			relay_dismiss(w.relay, &w.pub[0]);
		break;
	case 'm': trouble_pass_ms(n % 1000000); break;
	default: break;
	}
	turn(TURNS);
}

static void world_begin(void)
{
	struct endpoint at;
	snprintf(w.dir, sizeof(w.dir), "%s/rw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	must(key_setup() && mkdtemp(w.dir));
	w.awake = awake_loop(loop_new());
	w.loop = w.awake.loop;
	snprintf(w.list, PATH, "%s/list", w.dir);
	snprintf(w.socket, PATH, "%s/s", w.dir);
	snprintf(w.key, PATH, "%s/key", w.dir);
	snprintf(w.cert, PATH, "%s/c", w.dir);
	snprintf(w.cert_key, PATH, "%s/k", w.dir);
	w.asked_ops = (struct http_server_ops) { .request = was_asked };
	w.embeds_ops =
		(struct http_server_ops) { .request = embedding_request, .upgrade = embedding_upgrade };
	w.embeds_fd = listen_on_loopback(&at);
	w.asked_fd[0] = sock_unix_listen(w.socket, 0600, NULL);
	w.asked_fd[1] = listen_on_loopback(&at);
	snprintf(w.url, PATH, "http://127.0.0.1:%u/may", at.port);
	must(w.asked_fd[0] >= 0);
	w.asked_watch[0] = watch(w.asked_fd[0], asked_by_socket, &w.asked_ops);
	w.asked_watch[1] = watch(w.asked_fd[1], asked_by_url, &w.asked_ops);
	w.embeds_watch = watch(w.embeds_fd, embedding, &w.embeds_ops);
	w.answer = NULL;
	w.answer_len = 0;
	w.status = 200;
	w.silent = false;
}

static void world_end(void)
{
	close_relay();
	turn(TURNS);
	loop_fd_free(w.embeds_watch);
	for (size_t i = 0; i < 2; i++) {
		loop_fd_free(w.asked_watch[i]);
		close(w.asked_fd[i]);
	}
	awake_free(&w.awake);
	close(w.embeds_fd);
	dir_remove(w.dir, NULL);
}

static void run(const uint8_t *data, size_t len)
{
	if (!w.tls) {
		log_setup(LOG_ERROR, false);
		must(key_setup() && (w.tls = tls_client("insecure", NULL)));
		for (size_t i = 0; i < SEATS; i++) {
			memset(w.priv[i].b, (int)i + 1, KEY_LEN);
			key_public(w.priv[i].b, w.pub[i].b);
		}
	}
	char *text = malloc(len + 1);
	must(text);
	memcpy(text, data, len);
	text[len] = STEP_END;
	world_begin();
	trouble_begin();
	char *at = text;
	for (int i = 0; i < STEPS_MAX && at <= text + len; i++) {
		char *end = memchr(at, STEP_END, (size_t)(text + len + 1 - at));
		*end = 0;
		if (end > at)
			step(at, (size_t)(end - at));
		at = end + 1;
	}
	trouble_end();
	world_end();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
