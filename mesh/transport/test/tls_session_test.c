/* Sessions as stream.c uses them: what is spoken, and how records leave. */
#include "mesh/transport/io.h"
#include "mesh/transport/test/scratch.h"
#include "mesh/transport/tls.h"
#include "mesh/transport/tls_ciphers.h"
#include "mesh/transport/tls_out.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { RECORD = 16 << 10, RECORDS = 3 };

/* A way out of a session, and where it leads. */
struct way {
	BIO_METHOD *method;
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *out;
	int fd[2];
};

static void way_open(struct way *w, int kind)
{
	*w = (struct way) { .method = tls_out_method(), .ctx = SSL_CTX_new(TLS_client_method()) };
	assert_int_equal(socketpair(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, w->fd), 0);
	w->ssl = SSL_new(w->ctx);
	assert_true(tls_out_set(w->ssl, w->method, w->fd[0]));
	w->out = SSL_get_wbio(w->ssl);
}

static void way_close(struct way *w)
{
	SSL_free(w->ssl);
	SSL_CTX_free(w->ctx);
	BIO_meth_free(w->method);
	close(w->fd[0]);
	if (w->fd[1] >= 0)
		close(w->fd[1]);
}

/* Records wait for the flush and leave by one call: a socket that keeps calls apart shows it. */
static void test_joined(void **state)
{
	struct way w;
	struct io_end e;
	static uint8_t record[RECORD], got[(RECORDS + 1) * RECORD];
	(void)state;
	way_open(&w, SOCK_SEQPACKET);
	for (int i = 1; i <= RECORDS; i++) {
		memset(record, i, sizeof(record));
		assert_int_equal(BIO_write(w.out, record, RECORD), RECORD);
		assert_int_equal(io_held(w.ssl), i * RECORD);
	}
	assert_int_equal(recv(w.fd[1], got, sizeof(got), 0), -1);
	assert_int_equal(io_flush(w.ssl, &e), IO_SOME);
	assert_int_equal(io_held(w.ssl), 0);
	assert_int_equal(recv(w.fd[1], got, sizeof(got), 0), RECORDS * RECORD);
	for (int i = 1; i <= RECORDS; i++)
		assert_true(got[(i - 1) * RECORD] == i && got[i * RECORD - 1] == i);
	assert_int_equal(recv(w.fd[1], got, sizeof(got), 0), -1);
	assert_int_equal(io_flush(w.ssl, &e), IO_SOME);
	way_close(&w);
}

/* The last one waits for nobody: by one call with those that were held, and held itself no more than they. */
static void test_last(void **state)
{
	struct way w;
	static uint8_t record[RECORD], got[(RECORDS + 1) * RECORD];
	(void)state;
	way_open(&w, SOCK_SEQPACKET);
	for (int i = 1; i <= RECORDS; i++) {
		memset(record, i, sizeof(record));
		tls_out_last(w.ssl, i == RECORDS);
		assert_int_equal(BIO_write(w.out, record, RECORD), RECORD);
	}
	assert_int_equal(io_held(w.ssl), 0);
	assert_int_equal(recv(w.fd[1], got, sizeof(got), 0), RECORDS * RECORD);
	for (int i = 1; i <= RECORDS; i++)
		assert_true(got[(i - 1) * RECORD] == i && got[i * RECORD - 1] == i);
	assert_int_equal(BIO_write(w.out, record, RECORD), RECORD);
	assert_int_equal(io_held(w.ssl), 0);
	assert_int_equal(recv(w.fd[1], got, sizeof(got), 0), RECORD);
	way_close(&w);
}

/* A socket that is full: little is held, and nothing lost or said twice. */
static void fill(bool last)
{
	enum { MUCH = 64 << 10 };
	struct way w;
	struct io_end e;
	static uint8_t record[RECORD], got[RECORD];
	size_t written = 0, read = 0, most = 0;
	ssize_t n;
	way_open(&w, SOCK_STREAM);
	tls_out_last(w.ssl, last);
	for (int round = 0; round < 40; round++) {
		for (;;) {
			for (size_t i = 0; i < RECORD; i++)
				record[i] = (uint8_t)((written + i) % 251);
			if (BIO_write(w.out, record, RECORD) < 0)
				break;
			written += RECORD;
			most = io_held(w.ssl) > most ? io_held(w.ssl) : most;
		}
		assert_true(BIO_should_write(w.out));
		assert_int_equal(io_flush(w.ssl, &e), IO_BLOCKED);
		while ((n = recv(w.fd[1], got, sizeof(got), 0)) > 0)
			for (ssize_t i = 0; i < n; i++, read++)
				if (got[i] != read % 251)
					fail_msg("byte %zu", read);
	}
	for (enum io io = IO_BLOCKED; io == IO_BLOCKED;) {
		io = io_flush(w.ssl, &e);
		while ((n = recv(w.fd[1], got, sizeof(got), 0)) > 0)
			read += (size_t)n;
	}
	assert_int_equal(read, written);
	assert_in_range(most, MUCH, MUCH + RECORD);
	way_close(&w);
}

static void test_full(void **state)
{
	(void)state;
	fill(false);
	fill(true);
}

static void test_broken(void **state)
{
	struct way w;
	struct io_end e = { 0 };
	(void)state;
	way_open(&w, SOCK_STREAM);
	close(w.fd[1]);
	w.fd[1] = -1;
	tls_out_last(w.ssl, true);
	assert_int_equal(BIO_write(w.out, "x", 1), 1);
	assert_int_equal(io_held(w.ssl), 1);
	assert_int_equal(io_flush(w.ssl, &e), IO_END);
	assert_int_equal(e.code, -EPIPE);
	way_close(&w);
}

/* Two sessions that speak with each other. */
struct both {
	struct scratch sc;
	struct tls *server, *client;
	struct tls_check check;
	SSL *in, *out;
	int fd[2];
};

static void both_open(struct both *s)
{
	int a = 0, b = 0;
	*s = (struct both) { .check = { .host = "relay.test" } };
	scratch_init(&s->sc);
	s->server = scratch_server(&s->sc);
	s->client = tls_client("insecure", NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s->fd), 0);
	s->in = tls_session_new(s->server, s->fd[0], NULL);
	s->out = tls_session_new(s->client, s->fd[1], &s->check);
	for (int i = 0; i < 10 && (a != 1 || b != 1); i++) {
		a = SSL_do_handshake(s->out);
		b = SSL_do_handshake(s->in);
	}
	assert_true(a == 1 && b == 1);
}

static void both_close(struct both *s)
{
	SSL_free(s->in);
	SSL_free(s->out);
	close(s->fd[0]);
	if (s->fd[1] >= 0)
		close(s->fd[1]);
	tls_free(s->server);
	tls_free(s->client);
	scratch_fini(&s->sc);
}

static SSL_CTX *with_ciphers(const SSL_METHOD *method, bool aes_is_fast)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	assert_non_null(ctx);
	tls_ciphers_set(ctx, aes_is_fast);
	return ctx;
}

/* AES where both sides are fast at it, else what neither is slow at. */
static void test_slowest_decides(void **state)
{
	struct scratch sc;
	(void)state;
	scratch_init(&sc);
	for (int row = 0; row < 4; row++) {
		int fd[2], a = 0, b = 0;
		bool server_fast = row & 1, client_fast = row & 2;
		SSL_CTX *server = with_ciphers(TLS_server_method(), server_fast),
			*client = with_ciphers(TLS_client_method(), client_fast);
		assert_int_equal(SSL_CTX_use_certificate_chain_file(server, sc.cert), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(server, sc.key, SSL_FILETYPE_PEM), 1);
		SSL *in = SSL_new(server), *out = SSL_new(client);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
		assert_true(SSL_set_fd(in, fd[0]) && SSL_set_fd(out, fd[1]));
		for (int i = 0; i < 10 && (a != 1 || b != 1); i++) {
			a = SSL_connect(out);
			b = SSL_accept(in);
		}
		assert_true(a == 1 && b == 1);
		if (strcmp(SSL_get_cipher_name(in), server_fast && client_fast
							    ? "TLS_AES_128_GCM_SHA256"
							    : "TLS_CHACHA20_POLY1305_SHA256") != 0)
			fail_msg("row %d: %s", row, SSL_get_cipher_name(in));
		SSL_free(in);
		SSL_free(out);
		SSL_CTX_free(server);
		SSL_CTX_free(client);
		close(fd[0]);
		close(fd[1]);
	}
	scratch_fini(&sc);
}

/* Between two of ours: the cheapest of the ciphers here. */
static void test_cipher(void **state)
{
	struct both s;
	(void)state;
	both_open(&s);
	assert_string_equal(SSL_get_cipher_name(s.in),
		tls_ciphers_aes_is_fast() ? "TLS_AES_128_GCM_SHA256" : "TLS_CHACHA20_POLY1305_SHA256");
	both_close(&s);
}

static size_t in_socket(int fd)
{
	static uint8_t peek[4 * RECORD];
	ssize_t n = recv(fd, peek, sizeof(peek), MSG_PEEK);
	return n > 0 ? (size_t)n : 0;
}

/* Who has not shown anything makes us keep nothing; later one read takes all there is, and it comes in its order. */
static void test_ahead(void **state)
{
	struct both s;
	uint8_t said[1000], got[1000] = { 0 };
	(void)state;
	both_open(&s);
	BIO *in = SSL_get_rbio(s.in);
	for (size_t i = 0; i < sizeof(said); i++)
		said[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(send(s.fd[1], said, sizeof(said), 0), sizeof(said));
	assert_int_equal(BIO_read(in, got, 5), 5);
	assert_int_equal(BIO_pending(in), 0);
	assert_int_equal(in_socket(s.fd[0]), sizeof(said) - 5);
	tls_session_opened(s.in);
	assert_int_equal(BIO_read(in, got + 5, 5), 5);
	assert_int_equal(BIO_pending(in), sizeof(said) - 10);
	assert_int_equal(in_socket(s.fd[0]), 0);
	assert_int_equal(BIO_read(in, got + 10, 500), 500);
	assert_int_equal(BIO_read(in, got + 510, sizeof(got) - 510), sizeof(said) - 510);
	assert_memory_equal(got, said, sizeof(said));
	assert_int_equal(BIO_pending(in), 0);
	assert_int_equal(BIO_read(in, got, 5), -1);
	assert_true(BIO_should_read(in));
	/* What was kept comes before the end does. */
	assert_int_equal(send(s.fd[1], said, 6, 0), 6);
	close(s.fd[1]);
	s.fd[1] = -1;
	assert_int_equal(BIO_read(in, got, 5), 5);
	assert_int_equal(BIO_read(in, got + 5, 100), 1);
	assert_memory_equal(got, said, 6);
	assert_int_equal(BIO_read(in, got, 5), 0);
	assert_true(BIO_eof(in) && !BIO_should_retry(in));
	both_close(&s);
}

/* Who reads less than came is told that there is more. */
static void test_pending(void **state)
{
	struct both s;
	struct io_end e = { 0 };
	static uint8_t said[RECORDS * RECORD], got[RECORDS * RECORD];
	size_t n = 0;
	(void)state;
	both_open(&s);
	tls_session_opened(s.in);
	for (size_t i = 0; i < sizeof(said); i++)
		said[i] = (uint8_t)(i % 251);
	for (size_t at = 0; at < sizeof(said); at += n) {
		n = 0;
		assert_int_equal(io_write(s.fd[1], s.out, said + at, RECORD, &n, &e), IO_SOME);
	}
	assert_int_equal(io_held(s.out), 0);
	for (size_t at = 0; at < sizeof(got); at += RECORD) {
		n = 0;
		assert_int_equal(io_read(s.fd[0], s.in, got + at, RECORD, &n, &e), IO_SOME);
		assert_int_equal(n, RECORD);
		assert_int_equal(in_socket(s.fd[0]), 0);
		assert_int_equal(io_pending(s.in), at + RECORD < sizeof(got));
	}
	assert_memory_equal(got, said, sizeof(got));
	n = 0;
	ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR); /* of somebody else */
	assert_int_equal(io_read(s.fd[0], s.in, got, RECORD, &n, &e), IO_BLOCKED);
	/* A line that ends without a word is no orderly end. */
	close(s.fd[1]);
	s.fd[1] = -1;
	assert_int_equal(io_read(s.fd[0], s.in, got, RECORD, &n, &e), IO_END);
	assert_int_equal(e.code, ERR_CLOSED);
	both_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_joined), cmocka_unit_test(test_last),
		cmocka_unit_test(test_full), cmocka_unit_test(test_broken), cmocka_unit_test(test_cipher),
		cmocka_unit_test(test_slowest_decides), cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_pending) };
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("tls session", tests, NULL, NULL);
}
