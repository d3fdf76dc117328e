/* Answers of strange upstreams on connections. First byte: bits 0 and 1 plain TCP, TLS, HTTPS, HTTP; bit 2 a question is given up
 * before they come, bit 3 the network changes, bit 4 time passes in the end, bit 5 the connection is cut in the end and the next
 * meets the same. Second byte: into how many pieces the rest is cut, which is what the upstream says inside TLS. Each question
 * ends once. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include "resolver/exchange/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	GIVE_UP = 4,
	FORGET = 8,
	LATE = 16,
	CUT = 32,
	LATE_MS = 20000,
	QUESTIONS = 4,
	QUESTION = 40,
	TURNS = 3,
	HANDSHAKE_TURNS = 400,
};

struct place {
	struct endpoint at;
	int fd;
	struct tls *plain, *h2, *client;
};

/* A certificate is made once, and its files are gone at once. */
static const struct place *place(void)
{
	static struct place p = { .fd = -1 };
	char dir[] = "/tmp/rw-fuzz-XXXXXX", cert[64], key[64];
	const char *hosts[] = { "fuzz.test" };
	if (p.fd >= 0)
		return &p;
	if (!key_setup() || !mkdtemp(dir))
		abort();
	snprintf(cert, sizeof(cert), "%s/c", dir);
	snprintf(key, sizeof(key), "%s/k", dir);
	p.at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	p.fd = sock_tcp_listen(&p.at, NULL);
	if (p.fd < 0 || sock_local(p.fd, &p.at) != 0 || tls_self_signed(cert, key, hosts, 1, NULL) != 0)
		abort();
	p.plain = tls_server(cert, key, NULL);
	p.h2 = tls_server(cert, key, NULL);
	p.client = tls_client("insecure", NULL);
	dir_remove(dir, NULL);
	if (!p.plain || !p.h2 || !p.client)
		abort();
	tls_server_speaks(p.h2, "h2");
	return &p;
}

/* Ids on the wire that seeds can know: 1, 2, 3 ... */
static void count_up(void *arg, void *out, size_t len)
{
	uint8_t *n = arg;
	memset(out, 0, len);
	if (len)
		((uint8_t *)out)[0] = ++*n;
}

struct world {
	struct exchange *x;
	struct loop *loop;
	unsigned ended[QUESTIONS];
	struct stream *theirs;
	bool open;
};

static void received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	uint8_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum ^= msg[i];
	if (id >= QUESTIONS || w->ended[id])
		abort();
	if ((sum & 1) == 0)
		return; /* the exchange fails it */
	w->ended[id]++;
	exchange_done(w->x, id);
}
static void failed(void *arg, uint64_t id, int code)
{
	struct world *w = arg;
	if (id >= QUESTIONS || w->ended[id]++ || !code)
		abort();
}
static void woken(void *arg)
{
	exchange_settle(((struct world *)arg)->x);
}

static void theirs_opened(void *arg)
{
	((struct world *)arg)->open = true;
}
static void theirs_data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)p;
	(void)len;
}
static void theirs_closed(void *arg, int code, const char *why)
{
	struct world *w = arg;
	(void)code;
	(void)why;
	stream_close(w->theirs, false);
	w->theirs = NULL;
}

static void turn(struct loop *l, int n)
{
	while (n--)
		loop_run_once(l);
}

static void ask(struct world *w, enum exchange_by by)
{
	static const struct dns_secure secure[2] = { { .name = "fuzz.test" },
		{ .by = DNS_SECURE_HTTPS, .name = "fuzz.test", .path = "/q" } };
	struct exchange_to to = {
		.at = place()->at, .by = by, .secure = &secure[by == EXCHANGE_HTTPS || by == EXCHANGE_HTTP]
	};
	uint8_t msg[QUESTION] = { 0 };
	for (uint64_t id = 0; id < QUESTIONS; id++)
		exchange_send(w->x, id, &to, msg, sizeof(msg));
	exchange_settle(w->x);
}

/* The next connection, until it stands. false: none comes. */
static bool meet(struct world *w, enum exchange_by by)
{
	struct stream_events ev = {
		.opened = theirs_opened, .data = theirs_data, .closed = theirs_closed, .arg = w
	};
	struct tls *tls = by == EXCHANGE_TLS ? place()->plain : by == EXCHANGE_HTTPS ? place()->h2 : NULL;
	int fd = -1;
	for (int i = 0; fd < 0 && i < TURNS; i++, turn(w->loop, 1))
		fd = sock_accept(place()->fd, NULL);
	if (fd < 0)
		return false;
	w->open = false;
	w->theirs = stream_accept(w->loop, fd, tls, &ev);
	for (int i = 0; w->theirs && !w->open && i < HANDSHAKE_TURNS; i++)
		turn(w->loop, 1);
	return w->theirs && w->open;
}

static void say(struct world *w, const uint8_t *p, size_t len, size_t pieces)
{
	turn(w->loop, TURNS);
	for (size_t i = 0; i < pieces && w->theirs; i++) {
		size_t from = len * i / pieces, n = len * (i + 1) / pieces - from;
		if (n)
			(void)stream_write(w->theirs, p + from, n);
		turn(w->loop, TURNS);
	}
}

static void leave(struct world *w)
{
	struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	if (w->theirs)
		setsockopt(stream_fd(w->theirs), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	stream_close(w->theirs, false);
	w->theirs = NULL;
	turn(w->loop, TURNS);
}

static void play(struct world *w, const uint8_t *data, size_t len)
{
	uint8_t how = data[0];
	static const enum exchange_by kinds[] = { EXCHANGE_TCP, EXCHANGE_TLS, EXCHANGE_HTTPS, EXCHANGE_HTTP };
	enum exchange_by by = kinds[how & 3];
	ask(w, by);
	bool met = meet(w, by);
	trouble_begin();
	if (how & GIVE_UP && !w->ended[1]) {
		w->ended[1]++;
		exchange_done(w->x, 1);
	}
	if (met)
		say(w, data + 2, len - 2, data[1] % 8 + 1);
	if (how & FORGET)
		exchange_forget(w->x);
	trouble_end();
	if (how & CUT) {
		leave(w);
		if (meet(w, by))
			say(w, data + 2, len - 2, 1);
	}
	if (how & LATE)
		trouble_pass_ms(LATE_MS);
	turn(w->loop, TURNS);
	leave(w);
}

static void pool_target(const uint8_t *data, size_t len)
{
	uint8_t ids = 0;
	struct random rnd = { .fill = count_up, .arg = &ids };
	struct world w = { 0 };
	struct exchange_options o = {
		.rnd = &rnd, .received = received, .failed = failed, .woken = woken, .arg = &w
	};
	if (len < 3 || !place())
		return;
	struct awake a = awake_loop(loop_new());
	o.loop = w.loop = a.loop;
	w.x = exchange_open(&o, NULL);
	w.x->tls = place()->client;
	ids = 0;
	play(&w, data, len);
	w.x->tls = NULL;
	exchange_close(w.x);
	turn(w.loop, TURNS);
	for (int fd; (fd = sock_accept(place()->fd, NULL)) >= 0;)
		close(fd);
	awake_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(pool_target, data, len);
}
