/* PeerAPI on loopback (loopback.h), asked by hand: as a hostile peer would. */
#include "mesh/base/buf.h"
#include "mesh/node/serve/test/loopback.h"
#include "mesh/os/errand.h"
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAIT_MS = 60000 };

/* What is said, and what comes back. */
struct asked {
	struct endpoint to;
	char from[32], reply[8192];
	const char *text;
	size_t len;
	bool cut, over;
};

/* --- one exchange, by hand --- */

static void talk(void *arg, int stop)
{
	struct asked *w = arg;
	struct endpoint own = { 0 };
	struct sockaddr_storage ss;
	(void)stop;
	(void)addr_parse(w->from, &own.ip);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	socklen_t n = endpoint_to_sockaddr(&own, false, &ss);
	if (bind(fd, (struct sockaddr *)&ss, n) != 0)
		goto close;
	n = endpoint_to_sockaddr(&w->to, false, &ss);
	if (connect(fd, (struct sockaddr *)&ss, n) != 0)
		goto close;
	for (size_t at = 0; at < w->len;) {
		ssize_t k = send(fd, w->text + at, w->len - at, MSG_NOSIGNAL);
		if (k <= 0)
			break;
		at += (size_t)k;
	}
	if (w->cut)
		shutdown(fd, SHUT_WR);
	for (size_t at = 0; at < sizeof(w->reply) - 1;) {
		ssize_t k = recv(fd, w->reply + at, sizeof(w->reply) - 1 - at, 0);
		if (k < 0 && errno == EINTR) /* with a limit, a stop is enough */
			continue;
		if (k <= 0)
			break;
		at += (size_t)k;
		w->reply[at] = 0;
	}
close:
	close(fd);
}

static void talked(void *arg)
{
	((struct asked *)arg)->over = true;
}

static struct endpoint end_of(struct loopback *w)
{
	return (struct endpoint) { .ip = w->addrs[0].ip, .port = peer_api_port(w->api, true) };
}

/* A connection of a peer on which nothing was said. */
static int connect_from(struct loopback *w, int peer)
{
	struct endpoint to = end_of(w), own = { 0 };
	struct sockaddr_storage ss;
	char text[32];
	snprintf(text, sizeof(text), "127.0.0.%d", peer);
	assert_true(addr_parse(text, &own.ip));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = endpoint_to_sockaddr(&own, false, &ss);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, n), 0);
	n = endpoint_to_sockaddr(&to, false, &ss);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), 0);
	return fd;
}

/* The reply is valid until the next. */
static const char *ask_cut(struct loopback *w, int peer, const char *text, bool cut)
{
	static struct asked q;
	q = (struct asked) { .to = end_of(w), .text = text, .len = strlen(text), .cut = cut };
	snprintf(q.from, sizeof(q.from), "127.0.0.%d", peer);
	assert_non_null(errand_start(w->loop, talk, talked, &q));
	while (!q.over)
		loop_run_once(w->loop);
	return q.reply;
}

static const char *ask(struct loopback *w, int peer, const char *text)
{
	return ask_cut(w, peer, text, false);
}

static int status(const char *reply)
{
	return !strncmp(reply, "HTTP/1.1 ", 9) ? atoi(reply + 9) : 0;
}

static const char *body(const char *reply)
{
	const char *end = strstr(reply, "\r\n\r\n");
	return end ? end + 4 : "";
}

/* --- who may ask what --- */

#define DNS_CLOSE "Host: peer\r\nConnection: close\r\n"
#define DNS_ASK(type, body) \
	"POST /dns-query HTTP/1.1\r\n" DNS_CLOSE "Content-Type: " type "\r\nContent-Length: 3\r\n\r\n" body
/* Names are for whom the rules let out by this machine, of the right type. */
static void test_exit_names(void **state)
{
	static const char good[] = DNS_ASK("application/dns-message", "abc"),
			  text[] = DNS_ASK("text/plain", "abc");
	struct loopback w;
	struct ctl_service said[PEER_API_SERVICES];
	(void)state;
	loopback_open(&w);
	assert_int_equal(peer_api_services(w.api, said), 1);
	assert_int_equal(status(ask(&w, MINE, good)), 403);
	w.exit = true;
	assert_int_equal(peer_api_services(w.api, said), 2);
	assert_string_equal(said[1].proto, "peerapi-dns-proxy");
	assert_int_equal(said[1].port, 1);
	assert_int_equal(status(ask(&w, MINE, good)), 503); /* no resolver */
	assert_int_equal(status(ask(&w, MINE, text)), 415);
	assert_int_equal(status(ask(&w, MINE, "GET /dns-query HTTP/1.1\r\n" DNS_CLOSE "\r\n")), 405);
	assert_int_equal(status(ask(&w, OTHERS, good)), 403);
	assert_non_null(strstr(ask(&w, OTHERS, good), "no exit for you"));
	assert_int_equal(status(ask(&w, EXPIRED, good)), 0);
	loopback_close(&w);
}

/* Who opens connections and says nothing keeps nobody out: not even its own programs. */
static void test_crowd(void **state)
{
	enum { CROWD = 40 };
	static const char hello[] = "GET / HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n";
	struct loopback w;
	int fd[CROWD];
	(void)state;
	loopback_open(&w);
	for (int i = 0; i < CROWD; i++)
		fd[i] = connect_from(&w, i % 2 ? MINE : OTHERS);
	assert_int_equal(status(ask(&w, MINE, hello)), 200);
	assert_int_equal(status(ask(&w, OTHERS, hello)), 200);
	for (int i = 0; i < CROWD; i++)
		close(fd[i]);
	loopback_close(&w);
}

#define CLOSE "Host: peer\r\nConnection: close\r\n"
static void test_rights(void **state)
{
	/* Each route for each kind of caller: nobody is an address that no peer has. */
	static const struct {
		const char *request;
		int mine, others, nobody;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n" CLOSE "\r\n", 200, 200, 0 },
		{ "HEAD / HTTP/1.1\r\n" CLOSE "\r\n", 200, 200, 0 },
		{ "PUT /v0/put/a HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\nx", 200, 403, 0 },
		{ "GET /v0/put/a HTTP/1.1\r\n" CLOSE "\r\n", 200, 403, 0 },
		{ "GET /v0/put/ HTTP/1.1\r\n" CLOSE "\r\n", 200, 403, 0 },
		{ DNS_ASK("application/dns-message", "abc"), 503, 403, 0 }, /* there is no resolver */
		{ "POST /v0/put/a HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\nx", 405, 405, 0 },
		{ "DELETE /v0/put/a HTTP/1.1\r\n" CLOSE "\r\n", 405, 405, 0 },
		{ "POST / HTTP/1.1\r\n" CLOSE "\r\n", 405, 405, 0 },
		{ "GET /v0/put HTTP/1.1\r\n" CLOSE "\r\n", 404, 404, 0 },
		{ "GET /v0/env HTTP/1.1\r\n" CLOSE "\r\n", 404, 404, 0 },
		{ "GET /v0/../v0/put/ HTTP/1.1\r\n" CLOSE "\r\n", 404, 404, 0 },
		{ "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, 403, 0 },
		{ "GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", 403, 403, 0 },
		{ "GET / HTTP/1.1\r\nHost: " LOOPBACK_SELF ":1\r\nConnection: close\r\n\r\n", 200, 200, 0 },
		{ "GET / HTTP/1.1\r\n\r\n", 403, 403, 0 },
		{ "GET / HTTP/1.1\r\n" CLOSE "Origin: http://x\r\n\r\n", 403, 403, 0 },
		{ "GET / HTTP/1.1\r\n" CLOSE "Referer: http://x\r\n\r\n", 403, 403, 0 },
		{ "PUT /v0/put/b HTTP/1.1\r\n" CLOSE "Origin: x\r\nContent-Length: 1\r\n\r\nx", 403, 403, 0 },
		{ "CONNECT a:1 HTTP/1.1\r\n" CLOSE "\r\n", 501, 501, 0 },
		{ "GET / HTTP/3.1\r\n" CLOSE "\r\n", 400, 400, 0 },
	};
	struct loopback w;
	(void)state;
	const char *method, *path;
	for (size_t i = 0; peer_api_route(i, &method, &path); i++) {
		char begins[64];
		size_t at = 0;
		const bool below = strlen(path) > 1 && path[strlen(path) - 1] == '/';
		snprintf(begins, sizeof(begins), "%s %s%s", method, path, below ? "" : " ");
		while (at < ARRAY_LEN(rows) && strncmp(rows[at].request, begins, strlen(begins)) != 0)
			at++;
		if (at == ARRAY_LEN(rows))
			fail_msg("%s: who may call it has no row here", begins);
	}
	loopback_open(&w);
	w.exit = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int mine = status(ask(&w, MINE, rows[i].request));
		int others = status(ask(&w, OTHERS, rows[i].request));
		int expired = status(ask(&w, EXPIRED, rows[i].request));
		int nobody = status(ask(&w, 99, rows[i].request));
		if (mine != rows[i].mine || others != rows[i].others || nobody != rows[i].nobody || expired)
			fail_msg("row %zu: %d %d %d %d", i, mine, others, nobody, expired);
	}
	assert_string_equal(loopback_waiting(&w), "a=1 ");
	/* Where the network does not share, own machines are refused too. */
	w.self.node.cap_map_json = "{}";
	assert_int_equal(status(ask(&w, MINE, rows[2].request)), 403);
	loopback_close(&w);
}

/* Nothing that a peer reads is of this program's surroundings (CVE-2022-41925). */
static void test_no_surroundings(void **state)
{
	static const char mark[] = "rw-mark-7b1f";
	static const char *const asks[] = { "GET / HTTP/1.1\r\n" CLOSE "\r\n",
		"GET /v0/env HTTP/1.1\r\n" CLOSE "\r\n", "GET /v0/put/ HTTP/1.1\r\n" CLOSE "\r\n",
		"GET /v0/goroutines HTTP/1.1\r\n" CLOSE "\r\n", "GET /debug HTTP/1.1\r\n" CLOSE "\r\n",
		"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "GET / HTTP/9\r\n" CLOSE "\r\n" };
	struct loopback w;
	(void)state;
	assert_int_equal(setenv("RW_MARK", mark, 1), 0);
	loopback_open(&w);
	w.exit = true;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		const char *reply = ask(&w, MINE, asks[i]);
		assert_true(status(reply) >= 200);
		assert_null(strstr(reply, mark));
		assert_null(strstr(reply, "RW_MARK"));
	}
	loopback_close(&w);
	unsetenv("RW_MARK");
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		int status;
	} rows[] = {
		{ "..%2F..%2Fetc%2Fpasswd", 400 },
		{ "../x", 400 },
		{ "%2e%2e", 400 },
		{ "a%00b", 403 },
		{ "a%2", 403 },
		{ "a%0d%0aX: y", 400 },
		{ "x.partial", 400 },
		{ "a%5Cb", 400 },
		{ "", 400 },
		{ "fine%20name", 200 },
	};
	struct loopback w;
	char request[256];
	(void)state;
	loopback_open(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(request, sizeof(request),
			"PUT /v0/put/%s HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\nx", rows[i].name);
		int got = status(ask(&w, MINE, request));
		/* a space ends the target of a request: that row is no HTTP at all */
		if (got != rows[i].status && !(strchr(rows[i].name, ' ') && got == 400))
			fail_msg("row %zu: %d", i, got);
	}
	assert_string_equal(loopback_waiting(&w), "fine name=1 ");
	loopback_close(&w);
}

/* --- what comes of it --- */

static void test_resume(void **state)
{
	struct loopback w;
	(void)state;
	loopback_open(&w);
	/* The connection ends before all is there. */
	assert_int_equal(
		status(ask_cut(&w, MINE,
			"PUT /v0/put/f.txt HTTP/1.1\r\n" CLOSE "Content-Length: 10\r\n\r\n0123456", true)),
		500);
	assert_string_equal(loopback_waiting(&w), "");
	const char *list = ask(&w, MINE, "GET /v0/put/ HTTP/1.1\r\n" CLOSE "\r\n");
	assert_string_equal(body(list), "[\"f.txt.n1.partial\"]\n");
	const char *blocks = ask(&w, MINE, "GET /v0/put/f.txt HTTP/1.1\r\n" CLOSE "\r\n");
	assert_non_null(strstr(blocks, "{\"checksum\":"
				       "\"5f6121bc06e18e209920d57d2f16b17cc82dfc2ade1d375d6951b99c65d1b89d\","
				       "\"algo\":\"sha256\",\"size\":7}\n"));
	/* Not from behind its end, not with another's, not with what is no range. */
	static const char *const bad[] = { "bytes=8-", "bytes=-3", "bytes=1-2", "bytes=1-,3-", "1-",
		"bytes=x-", "bytes=99999999999999999999999-", "bytes=-" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char request[256];
		snprintf(request, sizeof(request),
			"PUT /v0/put/f.txt HTTP/1.1\r\n" CLOSE "Range: %s\r\nContent-Length: 3\r\n\r\n789",
			bad[i]);
		int got = status(ask(&w, MINE, request));
		if (got != (i ? 400 : 416))
			fail_msg("row %zu: %d", i, got);
	}
	const char *end = ask(&w, MINE,
		"PUT /v0/put/f.txt HTTP/1.1\r\n" CLOSE "Range: bytes=7-\r\nContent-Length: 3\r\n\r\n789");
	assert_int_equal(status(end), 200);
	assert_string_equal(body(end), "{}\n");
	assert_string_equal(loopback_waiting(&w), "f.txt=10 ");
	assert_string_equal(body(ask(&w, MINE, "GET /v0/put/ HTTP/1.1\r\n" CLOSE "\r\n")), "[]\n");
	loopback_close(&w);
}

/* Who has the answer may send the file anew at once: what is left of the first, a connection that lingers and an end that the
 * loop has not heard of, is in nobody's way. */
static void test_answered(void **state)
{
	static const char head[] = "PUT /v0/put/f HTTP/1.1\r\n" CLOSE "Content-Length: 3\r\n\r\n",
			  other[] = "PUT /v0/put/f HTTP/1.1\r\n" CLOSE "Content-Length: 3\r\n\r\nxyz";
	struct loopback w;
	char reply[512] = "";
	(void)state;
	loopback_open(&w);
	int fd = connect_from(&w, MINE);
	assert_int_equal(write(fd, head, sizeof(head) - 1), sizeof(head) - 1);
	while (!files_is_receiving(w.files, MINE, "f"))
		loop_run_once(w.loop);
	/* The loop stands still while it is answered. */
	assert_int_equal(write(fd, "abc", 3), 3);
	assert_true(read(fd, reply, sizeof(reply) - 1) > 0);
	assert_int_equal(status(reply), 200);
	assert_false(files_is_receiving(w.files, MINE, "f"));
	assert_int_equal(status(ask(&w, MINE, other)), 200);
	assert_string_equal(loopback_waiting(&w), "f=3 f (1)=3 ");
	close(fd);
	loopback_close(&w);
}

static void test_too_large(void **state)
{
	struct loopback w;
	(void)state;
	loopback_open(&w);
	const char *reply = ask(
		&w, MINE, "PUT /v0/put/f HTTP/1.1\r\n" CLOSE "Content-Length: 4611686018427387904\r\n\r\nx");
	assert_int_equal(status(reply), 507);
	assert_non_null(strstr(reply, "no room on the receiving machine"));
	assert_string_equal(body(ask(&w, MINE, "GET /v0/put/ HTTP/1.1\r\n" CLOSE "\r\n")), "[]\n");
	loopback_close(&w);
}

static void came(void *arg)
{
	++*(int *)arg;
}

static void test_chunks_and_waiters(void **state)
{
	struct loopback w;
	int n = 0;
	(void)state;
	loopback_open(&w);
	struct files_waiter *waiter = files_wait(w.files, came, &n);
	assert_non_null(waiter);
	const char *reply = ask(&w, MINE,
		"PUT /v0/put/c HTTP/1.1\r\n" CLOSE
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	assert_int_equal(status(reply), 200);
	while (!n)
		loop_run_once(w.loop);
	assert_string_equal(loopback_waiting(&w), "c=5 ");
	/* The same once more is the same file, and no news. */
	(void)ask(&w, MINE, "PUT /v0/put/c HTTP/1.1\r\n" CLOSE "Content-Length: 5\r\n\r\nabcde");
	assert_string_equal(loopback_waiting(&w), "c=5 ");
	assert_int_equal(n, 1);
	files_wait_end(waiter);
	loopback_close(&w);
}

/* One waiter, and those that it ends when it is told. */
struct told {
	struct files *files;
	struct files_waiter *waiter;
	struct told *ends[2], *begins;
	int times;
};

static void told_came(void *arg)
{
	struct told *t = arg;
	t->times++;
	for (size_t i = 0; i < ARRAY_LEN(t->ends) && t->ends[i]; i++) {
		files_wait_end(t->ends[i]->waiter);
		t->ends[i]->waiter = NULL;
	}
	if (t->begins)
		assert_non_null(t->begins->waiter = files_wait(t->files, told_came, t->begins));
}

/* Whoever is gone or new since: each that waited is told once. */
static void test_waiters_end(void **state)
{
	struct loopback w;
	struct told oldest = { 0 }, middle = { 0 }, newest = { 0 }, later = { 0 };
	(void)state;
	loopback_open(&w);
	oldest.waiter = files_wait(w.files, told_came, &oldest);
	middle.waiter = files_wait(w.files, told_came, &middle);
	newest = (struct told) { .files = w.files, .ends = { &newest, &middle }, .begins = &later };
	newest.waiter = files_wait(w.files, told_came, &newest);
	assert_true(oldest.waiter && middle.waiter && newest.waiter);
	const char *reply = ask(&w, MINE, "PUT /v0/put/c HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\na");
	assert_int_equal(status(reply), 200);
	while (!newest.times)
		loop_run_once(w.loop);
	assert_int_equal(oldest.times, 1);
	assert_int_equal(newest.times + middle.times + later.times, 1);
	reply = ask(&w, MINE, "PUT /v0/put/d HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\na");
	assert_int_equal(status(reply), 200);
	while (!later.times)
		loop_run_once(w.loop);
	assert_int_equal(oldest.times, 2);
	assert_int_equal(later.times, 1);
	files_wait_end(oldest.waiter);
	files_wait_end(later.waiter);
	loopback_close(&w);
}

/* Who begins and says nothing more holds places; others still get theirs, and the end of the program waits for none. */
static void test_places(void **state)
{
	enum { OF_A_PEER = 8 };
	struct loopback w;
	int fd[OF_A_PEER];
	char head[128];
	const char *why;
	(void)state;
	loopback_open(&w);
	for (int i = 0; i < OF_A_PEER; i++) {
		fd[i] = connect_from(&w, MINE);
		int len = snprintf(head, sizeof(head),
			"PUT /v0/put/s%d HTTP/1.1\r\n" CLOSE "Content-Length: 9\r\n\r\n", i);
		assert_int_equal(write(fd[i], head, (size_t)len), len);
		char name[8];
		snprintf(name, sizeof(name), "s%d", i);
		while (!files_is_receiving(w.files, MINE, name))
			loop_run_once(w.loop);
	}
	const char *reply = ask(&w, MINE, "PUT /v0/put/s0 HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\nx");
	assert_int_equal(status(reply), 409);
	assert_int_equal(files_refuse_more(w.files, MINE, &why), 503);
	assert_int_equal(
		status(ask(&w, MINE, "PUT /v0/put/t HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\nx")), 503);
	assert_int_equal(files_refuse_more(w.files, OTHERS, &why), 0);
	assert_int_equal(files_refuse_more(w.files, 0, &why), 0);
	loopback_close(&w);
	for (int i = 0; i < OF_A_PEER; i++)
		close(fd[i]);
}

static void test_map_changes(void **state)
{
	struct loopback w;
	(void)state;
	loopback_open_at(&w, "127.0.0.8"); /* nobody else takes the port while it is free */
	uint16_t port = peer_api_port(w.api, true);
	/* The same address keeps its port, and nobody is told; without a map nobody listens. */
	struct netmap next = w.map;
	peer_api_apply(w.api, &next, "lo");
	assert_int_equal(w.told, 1);
	next.n_peers = 0;
	assert_int_equal(status(ask(&w, MINE, "GET / HTTP/1.1\r\n" CLOSE "\r\n")), 0);
	peer_api_apply(w.api, NULL, "");
	assert_int_equal(w.told, 2);
	assert_int_equal(w.n_said, 0);
	assert_int_equal(peer_api_port(w.api, true), 0);
	peer_api_apply(w.api, &w.map, "lo");
	assert_int_equal(peer_api_port(w.api, true), port);
	assert_int_equal(status(ask(&w, MINE, "GET / HTTP/1.1\r\n" CLOSE "\r\n")), 200);
	loopback_close(&w);
}

static void hear_end(void *arg)
{
	((struct asked *)arg)->over = true;
}

/* A file on its way ends with the key of who sends it, though nothing else happens on its connection; another's goes on. */
static void test_cut(void **state)
{
	static const char half[] = "PUT /v0/put/long HTTP/1.1\r\n" CLOSE "Content-Length: 99\r\n\r\nabc";
	struct loopback w;
	struct asked mine = { .text = half, .len = sizeof(half) - 1 };
	(void)state;
	loopback_open(&w);
	mine.to = end_of(&w);
	snprintf(mine.from, sizeof(mine.from), "127.0.0.%d", MINE);
	assert_non_null(errand_start(w.loop, talk, hear_end, &mine));
	while (!files_is_receiving(w.files, MINE, "long"))
		loop_run_once(w.loop);
	peer_api_apply(w.api, &w.map, "lo");
	assert_false(mine.over);
	w.peer[MINE - 1].node.key_expiry_ms = 999;
	peer_api_apply(w.api, &w.map, "lo");
	while (!mine.over || files_is_receiving(w.files, MINE, "long"))
		loop_run_once(w.loop);
	assert_null(strstr(mine.reply, "200"));
	loopback_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_names),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_no_surroundings),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_answered),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_chunks_and_waiters),
		cmocka_unit_test(test_waiters_end),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_map_changes),
		cmocka_unit_test(test_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
