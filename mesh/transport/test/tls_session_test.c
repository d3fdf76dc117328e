/* Sessions as stream.c uses them: what is spoken, and how records leave. */
#include "mesh/transport/io.h"
#include "mesh/transport/test/scratch.h"
#include "mesh/transport/tls.h"
#include "mesh/transport/tls_out.h"

#include <errno.h>
#include <fcntl.h>
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

/* A socket that is full: little is held, and nothing lost or said twice. */
static void test_full(void **state)
{
	enum { MUCH = 64 << 10 };
	struct way w;
	struct io_end e;
	static uint8_t record[RECORD], got[RECORD];
	size_t written = 0, read = 0, most = 0;
	ssize_t n;
	(void)state;
	way_open(&w, SOCK_STREAM);
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

static void test_broken(void **state)
{
	struct way w;
	struct io_end e = { 0 };
	(void)state;
	way_open(&w, SOCK_STREAM);
	close(w.fd[1]);
	w.fd[1] = -1;
	assert_int_equal(BIO_write(w.out, "x", 1), 1);
	assert_int_equal(io_flush(w.ssl, &e), IO_END);
	assert_int_equal(e.code, -EPIPE);
	way_close(&w);
}

/* Between two of ours: the cheaper of the ciphers that do. */
static void test_cipher(void **state)
{
	struct scratch sc;
	struct tls_check check = { .host = "relay.test" };
	int fd[2], a = 0, b = 0;
	(void)state;
	scratch_init(&sc);
	struct tls *server = scratch_server(&sc), *client = tls_client("insecure", NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	SSL *in = tls_session_new(server, fd[0], NULL), *out = tls_session_new(client, fd[1], &check);
	for (int i = 0; i < 10 && (a != 1 || b != 1); i++) {
		a = SSL_do_handshake(out);
		b = SSL_do_handshake(in);
	}
	assert_true(a == 1 && b == 1);
	assert_string_equal(SSL_get_cipher_name(in), "TLS_AES_128_GCM_SHA256");
	SSL_free(in);
	SSL_free(out);
	close(fd[0]);
	close(fd[1]);
	tls_free(server);
	tls_free(client);
	scratch_fini(&sc);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_joined), cmocka_unit_test(test_full),
		cmocka_unit_test(test_broken), cmocka_unit_test(test_cipher) };
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("tls session", tests, NULL, NULL);
}
