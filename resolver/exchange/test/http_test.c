/* Questions over HTTP/1.1 against a server of this loop that answers, or goes wrong as it is told. */
#include "resolver/exchange/test/asker.h"

#include "mesh/base/buf.h"
#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { LINKS = 16, QUESTION = 40 };
#define GOOD "HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: 40\r\n\r\n"

enum mode {
	ANSWER,
	INTERIM, /* a 1xx before the answer */
	SILENT,	 /* reads all, says nothing */
	UNASKED, /* an answer more than there are questions */
	CUT,	 /* half an answer, then the end */
	CLOSES,	 /* after each answer, having said so */
	STATUS_403,
	TEXT, /* another media type */
	SHORT,
	NONSENSE
};
struct peer {
	struct server *server;
	struct stream *stream;
	struct buf in;
	unsigned asked;
	bool over;
};
struct server {
	struct loop *loop;
	int fd;
	struct loop_fd *watch;
	struct endpoint at;
	enum mode mode;
	struct peer peers[LINKS];
	unsigned n;
	char head[512]; /* of the last question */
};
struct fixture {
	struct asker asker;
	struct server server;
	struct dns_secure secure;
};

/* ---- the server ---- */

static void say(struct peer *p, const char *head, const uint8_t *body, size_t len)
{
	(void)stream_write(p->stream, head, strlen(head));
	(void)stream_write(p->stream, body, len);
}

static void peer_end(struct peer *p)
{
	stream_close(p->stream, true);
	p->stream = NULL;
	buf_free(&p->in);
}

static void answer(struct peer *p, const uint8_t *msg)
{
	p->asked++;
	assert_int_equal(be_get(msg, 2), 0); /* no id on the wire */
	switch (p->server->mode) {
	case INTERIM: say(p, "HTTP/1.1 100 Continue\r\n\r\n", msg, 0); /* fall through */
	case ANSWER: say(p, GOOD, msg, QUESTION); break;
	case SILENT: break;
	case UNASKED:
		say(p, GOOD, msg, QUESTION);
		say(p, GOOD, msg, QUESTION);
		break;
	case CUT:
		say(p, GOOD, msg, QUESTION / 2);
		peer_end(p);
		break;
	case CLOSES:
		say(p,
			"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/dns-message; "
			"x=y\r\n"
			"Content-Length: 40\r\n\r\n",
			msg, QUESTION);
		peer_end(p);
		break;
	case STATUS_403: say(p, "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n", msg, 0); break;
	case TEXT:
		say(p, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 40\r\n\r\n", msg,
			QUESTION);
		break;
	case SHORT:
		say(p,
			"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: "
			"11\r\n\r\nabcdefghijk",
			msg, 0);
		break;
	case NONSENSE: say(p, "SSH-2.0-OpenSSH_9.2\r\n", msg, 0); break;
	}
}

static void server_data(void *arg, const uint8_t *bytes, size_t len)
{
	struct peer *p = arg;
	assert_true(buf_append(&p->in, bytes, len));
	for (;;) {
		const char *text = buf_cstr(&p->in), *end = text ? strstr(text, "\r\n\r\n") : NULL;
		size_t head = end ? (size_t)(end + 4 - text) : 0;
		uint8_t msg[QUESTION];
		if (!end || p->in.len < head + QUESTION)
			return;
		snprintf(p->server->head, sizeof(p->server->head), "%.*s", (int)head, text);
		memcpy(msg, buf_data(&p->in) + head, QUESTION);
		buf_consume(&p->in, head + QUESTION);
		answer(p, msg);
		if (!p->stream)
			return;
	}
}

static void server_closed(void *arg, int code, const char *why)
{
	(void)code;
	(void)why;
	peer_end(arg);
}

static void server_ready(void *arg, int events)
{
	struct server *s = arg;
	(void)events;
	int fd = sock_accept(s->fd, NULL);
	if (fd < 0)
		return;
	assert_true(s->n < LINKS);
	struct peer *p = &s->peers[s->n++];
	struct stream_events ev = { .data = server_data, .closed = server_closed, .arg = p };
	*p = (struct peer) { .server = s };
	p->stream = stream_accept(s->loop, fd, NULL, &ev);
}

/* ---- the asker ---- */

static struct exchange_to server_of(struct fixture *f)
{
	return (struct exchange_to) { .at = f->server.at, .by = EXCHANGE_HTTP, .secure = &f->secure };
}

static void ask(struct fixture *f, uint64_t id)
{
	const struct exchange_to to = server_of(f);
	asker_ask(&f->asker, id, &to);
}

static bool answers(struct fixture *f, uint64_t id)
{
	const struct exchange_to to = server_of(f);
	return asker_is_answered(&f->asker, id, &to);
}

static int setup(void **state)
{
	static struct fixture f;
	struct errbuf eb;
	struct endpoint at = { .ip = addr_v4(0x7f000001) };
	memset(&f, 0, sizeof(f));
	asker_open(&f.asker, QUESTION);
	f.server = (struct server) { .loop = f.asker.loop, .fd = sock_tcp_listen(&at, &eb) };
	if (f.server.fd < 0)
		fail_msg("%s", eb.text);
	sock_local(f.server.fd, &f.server.at);
	f.server.watch = loop_fd_new(f.asker.loop, f.server.fd, server_ready, &f.server);
	loop_fd_set(f.server.watch, LOOP_READ);
	f.secure = (struct dns_secure) { .by = DNS_SECURE_MESH, .path = "/dns-query" };
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	exchange_close(f->asker.x);
	for (unsigned i = 0; i < f->server.n; i++)
		peer_end(&f->server.peers[i]);
	loop_fd_free(f->server.watch);
	close(f->server.fd);
	loop_free(f->asker.loop);
	return 0;
}

/* ---- tests ---- */

static void test_kept(void **state)
{
	struct fixture *f = *state;
	char host[ENDPOINT_TEXT], want[128];
	for (uint64_t id = 1; id < 5; id++)
		assert_true(answers(f, id));
	assert_int_equal(f->server.n, 1);
	assert_int_equal(f->server.peers[0].asked, 4);
	snprintf(want, sizeof(want), "POST /dns-query HTTP/1.1\r\nHost: %s\r\n",
		endpoint_format(&f->server.at, host));
	assert_non_null(strstr(f->server.head, want));
	assert_non_null(strstr(f->server.head, "Content-Type: application/dns-message\r\n"));
	f->server.mode = INTERIM;
	assert_true(answers(f, 5));
	f->server.mode = CLOSES;
	assert_true(answers(f, 6));
	assert_true(answers(f, 7)); /* on another */
	assert_int_equal(f->server.n, 2);
}

/* Questions at once take connections of their own, as far as there are, and each gets its answer. */
static void test_spread(void **state)
{
	struct fixture *f = *state;
	enum { N = 20 };
	for (uint64_t id = 0; id < N; id++)
		ask(f, id);
	asker_wait(&f->asker, N);
	for (uint64_t id = 0; id < N; id++)
		assert_int_equal(f->asker.answered[id], 1);
	assert_int_equal(f->server.n, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_true(f->server.peers[i].asked == 2 || f->server.peers[i].asked == 3);
}

static void test_wrong(void **state)
{
	static const struct {
		enum mode mode;
		int code;
	} rows[] = { { STATUS_403, -EPROTO }, { TEXT, ERR_MALFORMED }, { SHORT, ERR_MALFORMED },
		{ NONSENSE, ERR_MALFORMED }, { CUT, ERR_CLOSED } };
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		exchange_forget(f->asker.x);
		f->server.mode = rows[i].mode;
		if (answers(f, i) || f->asker.code != rows[i].code)
			fail_msg("row %zu: code %d", i, f->asker.code);
	}
	f->server.mode = ANSWER;
	assert_true(answers(f, 9));
}

/* Who says more than it was asked for is not listened to any more: its words would be taken for others' answers. */
static void test_unasked(void **state)
{
	struct fixture *f = *state;
	f->server.mode = UNASKED;
	assert_true(answers(f, 1));
	f->server.mode = ANSWER;
	assert_true(answers(f, 2));
	assert_int_equal(f->asker.last[QUESTION - 1], 2);
	assert_int_equal(f->server.n, 2);
}

/* The answer to one that was given up goes to nobody. */
static void test_given_up(void **state)
{
	struct fixture *f = *state;
	assert_true(answers(f, 1));
	f->server.mode = SILENT;
	ask(f, 2);
	exchange_done(f->asker.x, 2);
	f->server.mode = ANSWER;
	assert_true(answers(f, 3));
	assert_int_equal(f->asker.answered[2] + f->asker.failed[2], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unasked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
