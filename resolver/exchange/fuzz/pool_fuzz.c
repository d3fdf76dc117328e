/* Answers of strange upstreams on connections. First and second byte: by what, and what happens meanwhile (below). The second has
 * into how many pieces the rest is cut, too, which is what the upstream says inside TLS. Each question ends once, and nothing
 * leaves loopback. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/stream.h"
#include "resolver/exchange/transport.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	KIND = 3,      /* plain TCP, TLS, HTTPS, HTTP */
	GIVE_UP = 4,   /* a question is given up before answers come */
	FORGET = 8,    /* the network changes */
	LATE = 16,     /* time passes in the end */
	CUT = 32,      /* the connection is cut in the end, and the next meets the same */
	CROWD = 64,    /* more servers are asked then than there are places, and some given up on */
	PROXIED = 128, /* HTTPS: by a proxy, */
	/* of the second byte, above the number of pieces less one */
	PIECES = 7,
	NAMED = 8,    /* which has a name */
	KNOWN = 16,   /* who signs for servers is said, else nobody looks */
	OTHER = 32,   /* and it does not for this one */
	REFUSED = 64, /* the owner refuses sockets */
	CROWD_SIZE = 34,
	CROWD_LEAVES = 4,
	LATE_MS = 20000,
	QUESTIONS = 4,
	IDS = 64,
	TOO_LONG = 600,
	QUESTION = 40,
	TURNS = 3,
	HANDSHAKE_TURNS = 400,
};

struct place {
	struct endpoint at;
	int fd;
	struct tls *plain, *h2, *client;
	char cert[64];
	struct proxies *proxies[2];
};

/* A certificate is made once, and its files are gone at once. */
static const struct place *place(void)
{
	static struct place p = { .fd = -1 };
	char dir[] = "/tmp/rw-fuzz-XXXXXX", cert[64], key[64], url[2][64];
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
	int kept = open(cert, O_RDONLY | O_CLOEXEC);
	snprintf(p.cert, sizeof(p.cert), "/proc/self/fd/%d", kept);
	dir_remove(dir, NULL);
	if (!p.plain || !p.h2 || !p.client || kept < 0)
		abort();
	for (size_t i = 0; i < 2; i++) {
		snprintf(url[i], sizeof(url[i]), "http://%s:%u", i ? "localhost" : "127.0.0.1", p.at.port);
		p.proxies[i] = proxies_new(url[i], NULL, NULL);
		if (!p.proxies[i])
			abort();
	}
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
	unsigned ended[IDS];
	struct stream *theirs;
	bool open, refuses;
	uint8_t how, more;
};

static void received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	uint8_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum ^= msg[i];
	if (id >= IDS || w->ended[id])
		abort();
	if ((sum & 1) == 0)
		return; /* the exchange fails it */
	w->ended[id]++;
	exchange_done(w->x, id);
}
static void failed(void *arg, uint64_t id, int code)
{
	struct world *w = arg;
	if (id >= IDS || w->ended[id]++ || !code)
		abort();
}
static void woken(void *arg)
{
	exchange_settle(((struct world *)arg)->x);
}

/* Nothing leaves; a proxy that has a name is one of this machine. */
static int socket_hook(void *arg, int fd, const struct endpoint *to)
{
	must(fd >= 0 && (addr_is_loopback(&to->ip) || !to->port));
	return ((struct world *)arg)->refuses;
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

static bool is_proxied(const struct world *w)
{
	return w->how & PROXIED && (w->how & KIND) == 2;
}

/* An address of documentation stands for what is behind a proxy. */
static void ask(struct world *w, enum exchange_by by, const char *name, uint64_t id, size_t n)
{
	struct dns_secure secure = { .name = "fuzz.test" };
	struct exchange_to to = { .at = place()->at, .by = by, .secure = &secure };
	uint8_t msg[QUESTION] = { 0 };
	snprintf(secure.name, sizeof(secure.name), "%s", name);
	if (by == EXCHANGE_HTTPS || by == EXCHANGE_HTTP) {
		secure.by = DNS_SECURE_HTTPS;
		snprintf(secure.path, sizeof(secure.path), "/q");
	}
	if (is_proxied(w))
		to.at.ip = addr_v4(0xc0000209);
	for (; n--; id++)
		exchange_send(w->x, id, &to, msg, sizeof(msg));
	exchange_settle(w->x);
}

/* Each server has a connection of its own. */
static void crowd_come(struct world *w)
{
	char name[32];
	if (is_proxied(w))
		return;
	for (unsigned i = 0; i < CROWD_SIZE; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		ask(w, EXCHANGE_TLS, name, QUESTIONS + i, 1);
		if (i < CROWD_LEAVES && !w->ended[QUESTIONS + i]++)
			exchange_done(w->x, QUESTIONS + i);
	}
	turn(w->loop, TURNS);
}

/* As a proxy says that it is through. false: nobody asked it. */
static bool proxy_led(const struct world *w, int fd)
{
	static const char through[] = "HTTP/1.1 200 OK\r\n\r\n";
	char asked[1024] = "";
	size_t len = 0;
	for (int i = 0; i < HANDSHAKE_TURNS && !strstr(asked, "\r\n\r\n"); i++) {
		ssize_t n = recv(fd, asked + len, sizeof(asked) - 1 - len, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
		asked[len] = 0;
		turn(w->loop, 1);
	}
	return strstr(asked, "\r\n\r\n") && strncmp(asked, "CONNECT ", 8) == 0 &&
	       send(fd, through, sizeof(through) - 1, MSG_NOSIGNAL) == sizeof(through) - 1;
}

/* The next connection, until it stands. false: none comes. */
static bool meet(struct world *w, enum exchange_by by)
{
	struct stream_events ev = {
		.opened = theirs_opened, .data = theirs_data, .closed = theirs_closed, .arg = w
	};
	struct tls *tls = by == EXCHANGE_TLS ? place()->plain : by == EXCHANGE_HTTPS ? place()->h2 : NULL;
	int fd = -1;
	for (int i = 0; fd < 0 && i < (w->more & NAMED && is_proxied(w) ? HANDSHAKE_TURNS : TURNS);
		i++, turn(w->loop, 1))
		fd = sock_accept(place()->fd, NULL);
	if (fd < 0)
		return false;
	if (is_proxied(w) && !proxy_led(w, fd)) {
		close(fd);
		return false;
	}
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
	enum exchange_by by = kinds[how & KIND];
	w->how = how;
	w->more = data[1];
	w->refuses = data[1] & REFUSED;
	if (is_proxied(w))
		exchange_proxies(w->x, place()->proxies[w->more & NAMED ? 1 : 0]);
	ask(w, by, w->more & OTHER ? "other.test" : "fuzz.test", 0, QUESTIONS);
	bool met = meet(w, by);
	trouble_begin();
	if (how & GIVE_UP && !w->ended[1]) {
		w->ended[1]++;
		exchange_done(w->x, 1);
	}
	if (met)
		say(w, data + 2, len - 2, (data[1] & PIECES) + 1U);
	if (how & FORGET)
		exchange_forget(w->x);
	trouble_end();
	if (how & CUT) {
		leave(w);
		if (meet(w, by))
			say(w, data + 2, len - 2, 1);
	}
	if (how & CROWD)
		crowd_come(w);
	if (how & LATE)
		trouble_pass_ms(LATE_MS);
	turn(w->loop, TURNS);
	leave(w);
}

/* One that is none is told by the next settling, and nobody when there is none. */
static void ask_too_long(struct world *w)
{
	static const uint8_t msg[TOO_LONG];
	const struct exchange_to to = { .at = place()->at, .by = EXCHANGE_TCP };
	w->ended[IDS - 1] = 1;
	exchange_send(w->x, IDS - 1, &to, msg, sizeof(msg));
	must(!exchange_is_settled(w->x));
}

/* Whom it believes. */
static void authorities_set(struct world *w, uint8_t more)
{
	struct errbuf eb = { 0 };
	w->x->tls = more & KNOWN ? NULL : place()->client;
	if (!(more & KNOWN))
		return;
	must(exchange_authorities(w->x, "/nonexistent/ca", &eb) && eb.text[0]);
	must(exchange_authorities(w->x, place()->cert, &eb) == 0);
}

static void pool_target(const uint8_t *data, size_t len)
{
	uint8_t ids = 0;
	struct random rnd = { .fill = count_up, .arg = &ids };
	struct world w = { 0 };
	struct exchange_options o = { .rnd = &rnd,
		.socket = socket_hook,
		.socket_arg = &w,
		.received = received,
		.failed = failed,
		.woken = woken,
		.arg = &w };
	if (len < 3 || !place())
		return;
	log_setup(LOG_ERROR, false);
	struct awake a = awake_loop(loop_new());
	o.loop = w.loop = a.loop;
	w.x = exchange_open(&o, NULL);
	must(w.x);
	authorities_set(&w, data[1]);
	ids = 0;
	play(&w, data, len);
	ask_too_long(&w);
	if (!(data[1] & KNOWN))
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
