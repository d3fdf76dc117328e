/* A file on its way to a peer: who sends it, and what the peer answers. An input is three parts with a byte 0x1e between them: a
 * whole request of a local program, the peer's answer to the question which blocks it has, and that to the file. A thread is the
 * peer: it says its part, hears the rest and goes. With short memory once more. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/base/key.h"
#include "mesh/node/serve/block_hash.h"
#include "mesh/node/serve/files_inner.h"
#include "mesh/os/sock.h"
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PARTS = 3, PART_END = 0x1e, TURNS = 6, TELL_MS = 250, MANY = 40 };

struct part {
	const uint8_t *p;
	size_t len;
};

/* What outlives an input. */
static int listener = -1;
static struct endpoint at;

struct peer {
	struct part say[PARTS - 1];
	int over; /* an eventfd: nobody comes any more */
};

static void *peer_run(void *arg)
{
	const struct peer *x = arg;
	const struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	char sink[65536];
	for (size_t i = 0; i < PARTS - 1;) {
		struct pollfd p[] = { { .fd = listener, .events = POLLIN },
			{ .fd = x->over, .events = POLLIN } };
		if (poll(p, 2, -1) < 0)
			continue;
		int fd = p[0].revents ? sock_accept(listener, NULL) : -1;
		if (fd < 0 && p[1].revents)
			break;
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		(void)!send(fd, x->say[i].p, x->say[i].len, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		struct pollfd q = { .fd = fd, .events = POLLIN };
		while (poll(&q, 1, -1) < 0 || recv(fd, sink, sizeof(sink), 0) > 0)
			;
		close(fd);
		i++;
	}
	return NULL;
}

/* --- the asker --- */

static bool take(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	(void)head;
	*(struct http_carry **)arg = http_carry_take(c);
	return true;
}

static void asked(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg, (void)h;
	http_reply(c, 404, NULL, NULL, p, len);
}

/* The answer to who asked is one that can be read, whatever the peer said. */
static void hear(int fd)
{
	static char text[1 << 18];
	size_t n = 0;
	for (ssize_t got;
		n < sizeof(text) - 1 && (got = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT)) > 0;)
		n += (size_t)got;
	text[n] = 0;
	const char *status = text;
	while (!strncmp(status, "HTTP/1.1 100 ", 13) && (status = strstr(status, "\r\n\r\n")))
		status += 4;
	if (trouble_happened())
		return;
	must(status && *status);
	int code = !strncmp(status, "HTTP/1.1 ", 9) ? atoi(status + 9) : 0;
	must(code >= 200);
	const char *head_end = strstr(status, "\r\n\r\n");
	must(head_end &&
		(code == 204 || memmem(status, (size_t)(head_end - status), "\r\nContent-Length: ", 18)));
}

static void send_file(struct transfer *t, struct peer *x)
{
	pthread_t thread;
	const int stop = eventfd(0, EFD_CLOEXEC);
	x->over = eventfd(0, EFD_CLOEXEC);
	must(stop >= 0 && x->over >= 0 && pthread_create(&thread, NULL, peer_run, x) == 0);
	http_carry_patience(t->carry, stop, 1);
	transfer_send(t, stop);
	must(eventfd_write(x->over, 1) == 0 && pthread_join(thread, NULL) == 0);
	close(x->over);
	close(stop);
}

static void turn(struct loop *l)
{
	for (int i = 0; i < TURNS; i++)
		loop_run_once(l);
}

/* --- who watches --- */

struct watched {
	size_t told, n, going;
	bool succeeded; /* the last */
};

static void told(void *arg)
{
	((struct watched *)arg)->told++;
}

static void count(void *arg, const struct files_outgoing *o)
{
	struct watched *x = arg;
	must(*o->id && !strcmp(o->peer, "n2") && (o->finished || !o->succeeded));
	x->n++;
	x->going += !o->finished;
	x->succeeded = o->succeeded;
}

static struct watched look(const struct outgoing_list *o)
{
	struct watched x = { 0 };
	outgoing_each(o, count, &x);
	return x;
}

/* Its way as who watches is told of it, after that of others if there are many. */
static void send_watched(struct loop *l, struct transfer *t, struct peer *x, bool many)
{
	struct outgoing_list o;
	struct watched w = { 0 };
	if (!outgoing_open(&o, l)) {
		must(trouble_happened());
		return;
	}
	o.changed = told;
	o.arg = &w;
	for (int i = 0; many && i < MANY; i++) {
		outgoing_begin(&o, t, "n2", i);
		outgoing_end(&o, t);
	}
	const size_t before = look(&o).n;
	outgoing_begin(&o, t, "n2", http_carry_left(t->carry));
	struct watched now = look(&o);
	must(trouble_happened() || (now.n == before + 1 && now.going == 1 && w.told));
	send_file(t, x);
	trouble_pass_ms(TELL_MS);
	turn(l);
	outgoing_end(&o, t);
	now = look(&o);
	must(!now.going && (trouble_happened() || now.succeeded == !t->why.code));
	trouble_pass_ms(TELL_MS);
	turn(l);
	outgoing_close(&o);
}

static void run(const uint8_t *data, size_t len)
{
	struct part parts[PARTS] = { 0 };
	const bool many = len % 8 == 0;
	int fd[2];
	const struct stream_events none = { 0 };
	struct http_carry *carry = NULL;
	const struct http_server_ops ops = { .request = asked, .streamed = take, .arg = &carry };
	for (size_t i = 0; i < PARTS && len; i++) {
		const uint8_t *end = i + 1 < PARTS ? memchr(data, PART_END, len) : NULL;
		parts[i] = (struct part) { data, end ? (size_t)(end - data) : len };
		len -= parts[i].len + (end != NULL);
		data += parts[i].len + (end != NULL);
	}
	struct peer x = { .say = { parts[1], parts[2] } };
	struct loop *l = loop_new();
	struct awake awake = awake_loop(l);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	(void)!send(fd[1], parts[0].p, parts[0].len, MSG_NOSIGNAL);
	shutdown(fd[1], SHUT_WR);
	trouble_begin();
	(void)http_server_accept(l, stream_accept(l, fd[0], NULL, &none), &ops);
	turn(l);
	if (carry) {
		struct transfer t = { .kind = TRANSFER_SEND, .carry = carry, .to = at };
		snprintf(t.name, sizeof(t.name), "a b");
		snprintf(t.peer_name, sizeof(t.peer_name), "bob");
		snprintf(t.ifname, sizeof(t.ifname), "lo");
		send_watched(l, &t, &x, many);
		hear(fd[1]);
	}
	trouble_end();
	close(fd[1]);
	http_carry_close(carry);
	turn(l);
	awake_free(&awake);
	for (int late; (late = sock_accept(listener, NULL)) >= 0;)
		close(late);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (listener < 0) {
		at.ip = addr_v4(0x7f000001);
		listener = sock_tcp_listen(&at, NULL);
		must(key_setup() && listener >= 0 && sock_local(listener, &at) == 0);
	}
	return trouble_twice(run, data, len);
}
