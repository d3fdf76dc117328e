/* What a server has to show beyond its certificate: a protocol, a key. */
#include "mesh/transport/test/scratch.h"

#include "mesh/os/sock.h"
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
	struct loop *loop;
	struct scratch sc;
	struct endpoint at;
	int fd;
	struct loop_fd *watch;
	struct tls *server;
	struct stream *theirs, *ours;
	bool opened;
	int code;
	char why[400];
};

static void nothing(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)p;
	(void)len;
}

static void theirs_closed(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	(void)why;
}

static void incoming(void *arg, int what)
{
	struct fixture *f = arg;
	struct stream_events ev = { .data = nothing, .closed = theirs_closed, .arg = f };
	(void)what;
	stream_close(f->theirs, false);
	f->theirs = stream_accept(f->loop, sock_accept(f->fd, NULL), f->server, &ev);
}

static void opened(void *arg)
{
	struct fixture *f = arg;
	f->opened = true;
	loop_stop(f->loop);
}

static void closed(void *arg, int code, const char *why)
{
	struct fixture *f = arg;
	f->code = code;
	snprintf(f->why, sizeof(f->why), "%s", why);
	loop_stop(f->loop);
}

static int setup(void **state)
{
	static struct fixture f;
	memset(&f, 0, sizeof(f));
	f.loop = loop_new();
	scratch_init(&f.sc);
	f.fd = scratch_listen(&f.at);
	f.server = scratch_server(&f.sc);
	f.watch = loop_fd_new(f.loop, f.fd, incoming, &f);
	loop_fd_set(f.watch, LOOP_READ);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	stream_close(f->theirs, false);
	loop_fd_free(f->watch);
	close(f->fd);
	tls_free(f->server);
	scratch_fini(&f->sc);
	loop_free(f->loop);
	return 0;
}

/* Opened? If not, f->why says why. On a socket of ours, as the resolver does. */
static bool opens(struct fixture *f, struct tls *tls, const char *host, const struct tls_expect *x)
{
	struct stream_events ev = { .opened = opened, .data = nothing, .closed = closed, .arg = f };
	struct stream_target to = { .host = host, .port = f->at.port, .at = &f->at, .tls = tls, .expect = x };
	f->opened = false;
	f->why[0] = 0;
	f->ours = stream_connect_socket(f->loop, sock_tcp_connect(&f->at, NULL), &to, &ev);
	assert_non_null(f->ours);
	loop_run(f->loop);
	stream_close(f->ours, false);
	return f->opened;
}

static void key_hash(const char *cert_file, uint8_t out[static 32])
{
	uint8_t *der = NULL;
	FILE *file = fopen(cert_file, "re");
	X509 *x = PEM_read_X509(file, NULL, NULL, NULL);
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	assert_true(len > 0 && EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL) == 1);
	OPENSSL_free(der);
	X509_free(x);
	fclose(file);
}

static void test_authorities(void **state)
{
	struct fixture *f = *state;
	struct errbuf eb;
	struct tls *known = tls_client_authorities(f->sc.cert, &eb), *machine = tls_client(NULL, &eb);
	assert_true(opens(f, known, "relay.test", NULL));
	assert_true(opens(f, known, "127.0.0.1", NULL));
	assert_false(opens(f, known, "other.test", NULL));
	assert_non_null(strstr(f->why, "mismatch"));
	assert_false(opens(f, machine, "relay.test", NULL));
	assert_non_null(strstr(f->why, "does not know who signed it"));
	tls_free(known);
	tls_free(machine);
	assert_null(tls_client_authorities(f->sc.key, &eb));
	assert_non_null(strstr(eb.text, "no certificates in PEM"));
	assert_null(tls_client_authorities("/nonexistent.pem", &eb));
	assert_non_null(strstr(eb.text, "/nonexistent.pem"));
}

/* A pin is asked for besides authorities and name, unless it shall do alone. */
static void test_pins(void **state)
{
	struct fixture *f = *state;
	uint8_t pins[2][32] = { { 0 } };
	struct errbuf eb;
	struct tls *known = tls_client_authorities(f->sc.cert, &eb), *machine = tls_client(NULL, &eb);
	struct tls_expect wrong = { .pins = pins, .n_pins = 1 }, both = { .pins = pins, .n_pins = 2 },
			  alone = { .pins = pins, .n_pins = 2, .pins_alone = true },
			  alone_wrong = { .pins = pins, .n_pins = 1, .pins_alone = true },
			  none_alone = { .pins_alone = true };
	key_hash(f->sc.cert, pins[1]);
	assert_true(opens(f, known, "relay.test", &both));
	assert_false(opens(f, known, "relay.test", &wrong));
	assert_non_null(strstr(f->why, "none of the pinned"));
	assert_int_equal(f->code, ERR_CRYPTO);
	assert_false(opens(f, known, "other.test", &both));
	assert_false(opens(f, machine, "relay.test", &both));
	assert_true(opens(f, machine, "other.test", &alone));
	assert_false(opens(f, machine, "other.test", &alone_wrong));
	assert_false(opens(f, machine, "relay.test", &none_alone));
	tls_free(known);
	tls_free(machine);
}

static void test_protocol(void **state)
{
	struct fixture *f = *state;
	struct errbuf eb;
	struct tls *known = tls_client_authorities(f->sc.cert, &eb);
	struct tls_expect h2 = { .alpn = "h2" }, dot = { .alpn = "dot" };
	assert_false(opens(f, known, "relay.test", &h2)); /* it has not heard of protocols */
	assert_int_equal(f->code, ERR_UNSUPPORTED);
	assert_non_null(strstr(f->why, "does not speak h2"));
	tls_server_speaks(f->server, "h2");
	assert_true(opens(f, known, "relay.test", &h2));
	assert_false(opens(f, known, "relay.test", &dot));
	assert_true(opens(f, known, "relay.test", NULL));
	tls_free(known);
}

int main(void)
{
#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { CASE(test_authorities), CASE(test_pins), CASE(test_protocol) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
