/* Questions by TLS and by HTTPS against a server of this loop that answers, or goes wrong as it is told. */
#include "resolver/exchange/test/asker.h"

#include "mesh/base/buf.h"
#include "mesh/base/wire.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { LINKS = 40, HELD = 8, IDS = 80, QUESTION = 128 };

enum mode {
	ANSWER,
	ANSWER_IN_PAIRS,  /* the second first */
	SILENT,		  /* reads all, says nothing */
	CUT,		  /* half an answer, then the end */
	CLOSE_ON_SECOND,  /* question of the first connection */
	STATUS_500,	  /* HTTPS from here on */
	TEXT,		  /* another media type */
	TOO_LONG,	  /* an answer of 70,000 bytes */
	EMPTY,		  /* an answer of none */
	GOAWAY_ON_SECOND, /* of the first connection; not looked at */
	NONSENSE,	  /* no HTTP/2 */
};
struct asked {
	int32_t stream;
	size_t len, at;
	uint8_t msg[QUESTION];
	char path[64], authority[64];
	bool post, media;
};
struct link {
	struct server *server;
	struct stream *stream;
	nghttp2_session *session;
	unsigned n;
	struct asked asked[IDS];
	struct buf in;
	bool silent; /* not even TLS is spoken on it */
	int held;    /* index of a question whose answer waits for the next's; -1: none */
};
struct server {
	struct loop *loop;
	int fd;
	struct loop_fd *watch;
	struct endpoint at;
	struct tls *tls; /* NULL: connections are taken, and nothing is said */
	enum mode mode;
	bool https;
	struct link links[LINKS];
	unsigned n_links;
};
struct fixture {
	struct asker asker;
	struct server server;
	struct dns_secure secure;
	char dir[64], cert[96], key[96];
};

/* ---- the server ---- */

static void pump(struct link *l)
{
	const uint8_t *p;
	for (ssize_t n; (n = nghttp2_session_mem_send(l->session, &p)) > 0;)
		(void)stream_write(l->stream, p, (size_t)n);
}

static ssize_t body_read(nghttp2_session *s, int32_t id, uint8_t *p, size_t cap, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	struct link *l = user;
	struct asked *a = source->ptr;
	size_t total = l->server->mode == TOO_LONG ? 70000 : l->server->mode == EMPTY ? 0 : a->len;
	size_t n = total - a->at < cap ? total - a->at : cap;
	if (l->server->mode == CUT && a->at)
		return NGHTTP2_ERR_DEFERRED;
	if (l->server->mode == CUT)
		n /= 2;
	(void)s;
	(void)id;
	if (l->server->mode == TOO_LONG)
		memset(p, 0, n);
	else
		memcpy(p, a->msg + a->at, n);
	a->at += n;
	if (a->at == total)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv) { (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 };
}

static void answer(struct link *l, struct asked *a)
{
	struct server *s = l->server;
	uint8_t prefix[2];
	if (s->https) {
		const nghttp2_nv head[] = { pair(":status", s->mode == STATUS_500 ? "500" : "200"),
			pair("content-type", s->mode == TEXT ? "text/html" : "application/dns-message") };
		nghttp2_data_provider body = { .source.ptr = a, .read_callback = body_read };
		a->at = 0;
		assert_int_equal(nghttp2_submit_response(l->session, a->stream, head, 2, &body), 0);
		return;
	}
	be_put(prefix, 2, a->len);
	assert_int_equal(stream_write(l->stream, prefix, 2), 0);
	assert_int_equal(stream_write(l->stream, a->msg, a->len), 0);
}

static void link_close(struct link *l)
{
	if (l->session)
		nghttp2_session_del(l->session);
	stream_close(l->stream, true);
	l->stream = NULL;
	l->session = NULL;
	buf_free(&l->in);
}

/* A whole question is there. */
static void question(struct link *l, struct asked *a)
{
	struct server *s = l->server;
	bool second = l == &s->links[0] && l->n == 2;
	if (s->mode == SILENT || (second && s->mode == CLOSE_ON_SECOND))
		return;
	if (second && s->mode == GOAWAY_ON_SECOND) {
		assert_int_equal(
			nghttp2_submit_goaway(l->session, 0, a->stream - 2, NGHTTP2_NO_ERROR, NULL, 0), 0);
		return;
	}
	if (s->mode == CUT && !s->https)
		return;
	if (s->mode == ANSWER_IN_PAIRS && l->held < 0) {
		l->held = (int)(a - l->asked);
		return;
	}
	answer(l, a);
	if (s->mode == ANSWER_IN_PAIRS) {
		answer(l, &l->asked[l->held]);
		l->held = -1;
	}
}

static struct asked *find(struct link *l, int32_t stream)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->asked[i].stream == stream)
			return &l->asked[i];
	assert_true(l->n < IDS);
	l->asked[l->n].stream = stream;
	return &l->asked[l->n++];
}

static int header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct asked *a = find(user, frame->hd.stream_id);
	const char *n = (const char *)name, *v = (const char *)value;
	(void)session;
	(void)name_len;
	(void)flags;
	if (!strcmp(n, ":path"))
		snprintf(a->path, sizeof(a->path), "%.*s", (int)len, v);
	else if (!strcmp(n, ":authority"))
		snprintf(a->authority, sizeof(a->authority), "%.*s", (int)len, v);
	else if (!strcmp(n, ":method"))
		a->post = !strcmp(v, "POST");
	else if (!strcmp(n, "content-type"))
		a->media = !strcmp(v, "application/dns-message");
	return 0;
}

static int data_came(
	nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *p, size_t len, void *user)
{
	struct asked *a = find(user, stream);
	(void)session;
	(void)flags;
	assert_true(len <= QUESTION - a->len);
	memcpy(a->msg + a->len, p, len);
	a->len += len;
	return 0;
}

static int frame_came(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	(void)session;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM && frame->hd.type == NGHTTP2_DATA)
		question(user, find(user, frame->hd.stream_id));
	return 0;
}

static void https_data(struct link *l, const uint8_t *p, size_t len)
{
	struct server *s = l->server;
	assert_int_equal(nghttp2_session_mem_recv(l->session, p, len), len);
	bool close_it = l == &s->links[0] && s->mode == CLOSE_ON_SECOND && l->n == 2;
	pump(l);
	if (close_it || (s->mode == CUT && l->n))
		link_close(l);
}

static void tls_data(struct link *l, const uint8_t *p, size_t len)
{
	struct server *s = l->server;
	assert_true(buf_append(&l->in, p, len));
	while (l->stream && l->in.len >= 2 && l->in.len >= 2 + be_get(buf_data(&l->in), 2)) {
		struct asked *a = find(l, (int32_t)l->n + 1);
		a->len = be_get(buf_data(&l->in), 2);
		assert_true(a->len <= QUESTION);
		memcpy(a->msg, buf_data(&l->in) + 2, a->len);
		buf_consume(&l->in, 2 + a->len);
		question(l, a);
		if (s->mode == CUT)
			stream_write(l->stream, "\x00\x50xx", 4);
		if (s->mode == CUT || (l == &s->links[0] && s->mode == CLOSE_ON_SECOND && l->n == 2))
			link_close(l);
	}
}

static void theirs_data(void *arg, const uint8_t *p, size_t len)
{
	struct link *l = arg;
	if (l->server->https)
		https_data(l, p, len);
	else
		tls_data(l, p, len);
}

static void theirs_closed(void *arg, int code, const char *why)
{
	(void)code;
	(void)why;
	link_close(arg);
}

static void theirs_opened(void *arg)
{
	struct link *l = arg;
	nghttp2_session_callbacks *cb;
	if (l->server->mode == NONSENSE)
		assert_int_equal(stream_write(l->stream, "HTTP/1.1 200 OK\r\n\r\n.........", 28), 0);
	if (!l->server->https || l->silent)
		return;
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, header_came);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, data_came);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, frame_came);
	nghttp2_session_server_new(&l->session, cb, l);
	nghttp2_session_callbacks_del(cb);
	if (l->server->mode != NONSENSE)
		nghttp2_submit_settings(l->session, 0, NULL, 0);
	pump(l);
}

static void server_ready(void *arg, int events)
{
	struct server *s = arg;
	(void)events;
	assert_true(s->n_links < LINKS);
	struct link *l = &s->links[s->n_links++];
	*l = (struct link) { .server = s, .silent = !s->tls, .held = -1 };
	struct stream_events ev = {
		.opened = theirs_opened, .data = theirs_data, .closed = theirs_closed, .arg = l
	};
	l->stream = stream_accept(s->loop, sock_accept(s->fd, NULL), s->tls, &ev);
	if (!s->tls)
		stream_pause(l->stream, true);
}

/* ---- who asks ---- */

static struct exchange_to server_of(struct fixture *f)
{
	struct exchange_to to = { .at = f->server.at, .by = EXCHANGE_TLS, .secure = &f->secure };
	if (f->server.https)
		to.by = EXCHANGE_HTTPS;
	return to;
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

static void server_reset(struct fixture *f, enum mode mode)
{
	exchange_forget(f->asker.x);
	for (unsigned i = 0; i < f->server.n_links; i++)
		link_close(&f->server.links[i]);
	f->server.n_links = 0;
	f->server.mode = mode;
}

static int setup(void **state)
{
	static struct fixture f;
	static const char *const hosts[] = { "dns.test", "127.0.0.1" };
	struct errbuf eb;
	struct endpoint at = { .ip = addr_v4(0x7f000001) };
	memset(&f, 0, sizeof(f));
	asker_open(&f.asker, QUESTION);
	strcpy(f.dir, "/tmp/rw-exchange-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	snprintf(f.cert, sizeof(f.cert), "%s/cert.pem", f.dir);
	snprintf(f.key, sizeof(f.key), "%s/key.pem", f.dir);
	f.server = (struct server) { .loop = f.asker.loop, .fd = sock_tcp_listen(&at, &eb) };
	if (f.server.fd < 0 || tls_self_signed(f.cert, f.key, hosts, 2, &eb) ||
		!(f.server.tls = tls_server(f.cert, f.key, &eb)) ||
		exchange_authorities(f.asker.x, f.cert, &eb))
		fail_msg("%s", eb.text);
	sock_local(f.server.fd, &f.server.at);
	f.server.watch = loop_fd_new(f.asker.loop, f.server.fd, server_ready, &f.server);
	loop_fd_set(f.server.watch, LOOP_READ);
	strcpy(f.secure.name, "dns.test");
	*state = &f;
	return 0;
}

static int setup_https(void **state)
{
	setup(state);
	struct fixture *f = *state;
	f->server.https = true;
	f->secure.by = DNS_SECURE_HTTPS;
	strcpy(f->secure.path, "/dns-query");
	tls_server_speaks(f->server.tls, "h2");
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	exchange_close(f->asker.x);
	for (unsigned i = 0; i < f->server.n_links; i++)
		link_close(&f->server.links[i]);
	loop_fd_free(f->server.watch);
	close(f->server.fd);
	tls_free(f->server.tls);
	dir_remove(f->dir, NULL);
	loop_free(f->asker.loop);
	return 0;
}

/* ---- both ---- */

/* One connection for all, answers in any order, each with the id it was sent with. */
static void test_shared(void **state)
{
	struct fixture *f = *state;
	f->server.mode = ANSWER_IN_PAIRS;
	for (uint64_t id = 1; id <= 6; id++)
		ask(f, id);
	asker_wait(&f->asker, 6);
	for (unsigned id = 1; id <= 6; id++)
		assert_int_equal(f->asker.answered[id], 1);
	f->server.mode = ANSWER;
	for (uint64_t id = 7; id <= 9; id++)
		assert_true(answers(f, id));
	assert_int_equal(f->server.n_links, 1);
}

/* More than one connection carries. */
static void test_many(void **state)
{
	struct fixture *f = *state;
	for (uint64_t id = 1; id < IDS; id++)
		ask(f, id);
	asker_wait(&f->asker, IDS - 1);
	for (unsigned id = 1; id < IDS; id++)
		assert_int_equal(f->asker.answered[id], 1);
	assert_int_equal(f->server.n_links, 2);
}

/* A server may close what it has answered on at any moment: nobody notices. */
static void test_closed_and_asked_again(void **state)
{
	struct fixture *f = *state;
	f->server.mode = CLOSE_ON_SECOND;
	for (uint64_t id = 1; id <= 3; id++)
		assert_true(answers(f, id));
	assert_int_equal(f->server.n_links, 2);
	server_reset(f, CUT); /* one that never answers is not asked for ever */
	assert_false(answers(f, 4));
	assert_int_equal(f->asker.code, ERR_CLOSED);
	assert_int_equal(f->server.n_links, 1);
}

/* Nothing is asked of who shows the wrong thing, and nothing in clear. */
static void test_wrong_certificate(void **state)
{
	struct fixture *f = *state;
	struct errbuf eb;
	strcpy(f->secure.name, "other.test");
	assert_false(answers(f, 1));
	assert_int_equal(f->asker.code, ERR_CRYPTO);
	f->secure.name[0] = 0; /* the address is in it */
	assert_true(answers(f, 2));
	assert_int_equal(exchange_authorities(f->asker.x, NULL, &eb), 0); /* whom the machine knows */
	assert_false(answers(f, 3));
	assert_true(exchange_authorities(f->asker.x, f->key, &eb) < 0);
	assert_int_equal(exchange_authorities(f->asker.x, f->key, NULL), eb.code);
	unsigned asked = 0;
	for (unsigned i = 0; i < f->server.n_links; i++)
		asked += f->server.links[i].n;
	assert_int_equal(asked, 1);
}

static void test_pins(void **state)
{
	struct fixture *f = *state;
	struct errbuf eb;
	uint8_t *der = NULL;
	FILE *file = fopen(f->cert, "re");
	X509 *x = PEM_read_X509(file, NULL, NULL, NULL);
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	f->secure.n_pins = 1;
	assert_false(answers(f, 1));
	assert_int_equal(f->asker.code, ERR_CRYPTO);
	assert_int_equal(EVP_Digest(der, (size_t)len, f->secure.pins[0], NULL, EVP_sha256(), NULL), 1);
	assert_true(answers(f, 2));
	assert_int_equal(exchange_authorities(f->asker.x, NULL, &eb), 0);
	assert_false(answers(f, 3)); /* with a name, authorities count too */
	f->secure.name[0] = 0;
	assert_true(answers(f, 4)); /* without, the key is enough */
	OPENSSL_free(der);
	X509_free(x);
	fclose(file);
}

/* A handshake that never ends, an answer that never comes: whoever asked may leave, and others are heard. */
static void test_silent(void **state)
{
	struct fixture *f = *state;
	struct tls *tls = f->server.tls;
	f->server.tls = NULL;
	ask(f, 1);
	while (!f->server.n_links)
		loop_run_once(f->asker.loop);
	exchange_done(f->asker.x, 1);
	f->server.tls = tls;
	server_reset(f, SILENT);
	ask(f, 2);
	ask(f, 3);
	while (!f->server.n_links || f->server.links[0].n < 2)
		loop_run_once(f->asker.loop);
	exchange_done(f->asker.x, 2);
	f->server.mode = ANSWER;
	assert_true(answers(f, 4)); /* on the same: it was not silent for long */
	assert_int_equal(f->server.n_links, 1);
	assert_int_equal(f->asker.answered[1] + f->asker.answered[2] + f->asker.answered[3], 0);
	exchange_done(f->asker.x, 3);
}

static void time_is_up(void *arg)
{
	*(bool *)arg = true;
}

/* A connection that may be dead is not asked on, though the first question still waits. */
static void test_dead(void **state)
{
	struct fixture *f = *state;
	bool up = false;
	struct loop_timer *timer = loop_timer_new(f->asker.loop, time_is_up, &up);
	assert_true(answers(f, 1));
	f->server.mode = SILENT;
	ask(f, 2);
	while (f->server.links[0].n < 2)
		loop_run_once(f->asker.loop);
	ask(f, 3);
	while (f->server.links[0].n < 3) /* not at once */
		loop_run_once(f->asker.loop);
	loop_timer_set(timer, 1600);
	while (!up)
		loop_run_once(f->asker.loop);
	f->server.mode = ANSWER;
	assert_true(answers(f, 4));
	assert_int_equal(f->server.n_links, 2);
	exchange_done(f->asker.x, 2);
	exchange_done(f->asker.x, 3);
	loop_timer_free(timer);
}

/* The network changed: the old connection is not used again. */
static void test_forget(void **state)
{
	struct fixture *f = *state;
	assert_true(answers(f, 1));
	f->server.mode = SILENT;
	ask(f, 2);
	while (f->server.links[0].n < 2)
		loop_run_once(f->asker.loop);
	exchange_forget(f->asker.x);
	f->server.mode = ANSWER;
	assert_true(answers(f, 3));
	assert_int_equal(f->server.n_links, 2);
	exchange_done(f->asker.x, 2);
}

/* ---- HTTPS ---- */

static void test_request(void **state)
{
	struct fixture *f = *state;
	char authority[64];
	assert_true(answers(f, 1));
	const struct asked *a = &f->server.links[0].asked[0];
	snprintf(authority, sizeof(authority), "dns.test:%u", f->server.at.port);
	assert_string_equal(a->authority, authority);
	assert_string_equal(a->path, "/dns-query");
	assert_true(a->post && a->media);
	assert_int_equal(be_get(a->msg, 2), 0); /* RFC 8484 4.1 */
}

static void test_odd_answers(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum mode mode;
		int code;
	} rows[] = { { STATUS_500, -EPROTO }, { TEXT, ERR_MALFORMED }, { TOO_LONG, ERR_MALFORMED },
		{ EMPTY, ERR_MALFORMED }, { NONSENSE, ERR_CLOSED } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		server_reset(f, rows[i].mode);
		assert_false(answers(f, 1));
		assert_int_equal(f->asker.code, rows[i].code);
	}
	server_reset(f, ANSWER);
	assert_true(answers(f, 1));
}

/* A server that goes has not looked at the newest: asked again elsewhere, while the rest is answered there. */
static void test_goaway(void **state)
{
	struct fixture *f = *state;
	f->server.mode = GOAWAY_ON_SECOND;
	assert_true(answers(f, 1));
	assert_true(answers(f, 2));
	assert_true(answers(f, 3));
	assert_int_equal(f->server.n_links, 2);
}

/* The same where all other connections are busy: the one that goes gives its own place to the new one. */
static void test_goaway_without_place(void **state)
{
	enum { PLACES = 32 };
	struct fixture *f = *state;
	struct tls *tls = f->server.tls;
	f->server.mode = GOAWAY_ON_SECOND;
	assert_true(answers(f, 1));
	f->server.tls = NULL;
	for (uint64_t i = 1; i < PLACES; i++) { /* another path, another connection */
		snprintf(f->secure.path, sizeof(f->secure.path), "/busy%u", (unsigned)i);
		ask(f, 2 + i);
	}
	while (f->server.n_links < PLACES)
		loop_run_once(f->asker.loop);
	f->server.tls = tls;
	strcpy(f->secure.path, "/dns-query");
	assert_true(answers(f, 2));
	assert_int_equal(f->server.n_links, PLACES + 1);
	assert_string_equal(f->server.links[PLACES].asked[0].path, "/dns-query");
}

/* It must have said that it speaks HTTP/2. */
static void test_no_alpn(void **state)
{
	struct fixture *f = *state;
	struct errbuf eb;
	tls_free(f->server.tls);
	f->server.tls = tls_server(f->cert, f->key, &eb);
	assert_false(answers(f, 1));
	assert_int_equal(f->asker.code, ERR_UNSUPPORTED);
}

int main(void)
{
#define BOTH(t) \
	{ "tls: " #t, t, setup, teardown, NULL }, \
	{ \
		"https: " #t, t, setup_https, teardown, NULL \
	}
#define HTTPS(t) cmocka_unit_test_setup_teardown(t, setup_https, teardown)
	const struct CMUnitTest tests[] = { BOTH(test_shared), BOTH(test_many),
		BOTH(test_closed_and_asked_again), BOTH(test_wrong_certificate), BOTH(test_pins),
		BOTH(test_silent), BOTH(test_forget), BOTH(test_dead), HTTPS(test_request),
		HTTPS(test_odd_answers), HTTPS(test_goaway), HTTPS(test_goaway_without_place),
		HTTPS(test_no_alpn) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
