#include "mesh/base/buf.h"
#include "mesh/base/key.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/test/scratch.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { BIG = 5 * 1024 * 1024 };

/* One end of a test connection: echoes or collects, and stops the loop at its goal. */
struct end {
	struct loop *loop;
	struct stream *s;
	struct buf got;
	size_t goal;
	bool echo, opened, closed, drained;
	int code;
	char why[400];
};

static void opened(void *arg)
{
	((struct end *)arg)->opened = true;
}
static void drained(void *arg)
{
	((struct end *)arg)->drained = true;
}

static void data(void *arg, const uint8_t *p, size_t len)
{
	struct end *e = arg;
	if (e->echo)
		assert_int_equal(stream_write(e->s, p, len), 0);
	else
		assert_true(buf_append(&e->got, p, len));
	if (e->goal && e->got.len >= e->goal)
		loop_stop(e->loop);
}

static void closed(void *arg, int code, const char *why)
{
	struct end *e = arg;
	assert_false(e->closed);
	e->closed = true;
	e->code = code;
	snprintf(e->why, sizeof(e->why), "%s", why);
	loop_stop(e->loop);
}

static struct stream_events events(struct end *e)
{
	return (struct stream_events) {
		.opened = opened, .data = data, .drained = drained, .closed = closed, .arg = e
	};
}

struct listener {
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	struct endpoint at;
	struct tls *tls;
	struct end end; /* of the newest connection */
};

static void incoming(void *arg, int what)
{
	struct listener *l = arg;
	struct stream_events ev = events(&l->end);
	(void)what;
	int fd = sock_accept(l->fd, NULL);
	assert_true(fd >= 0);
	l->end.loop = l->loop;
	l->end.s = stream_accept(l->loop, fd, l->tls, &ev);
}

static void listener_start(struct listener *l, struct loop *loop, int fd)
{
	l->loop = loop;
	l->fd = fd;
	l->watch = loop_fd_new(loop, l->fd, incoming, l);
	loop_fd_set(l->watch, LOOP_READ);
}

static void listener_stop(struct listener *l)
{
	stream_close(l->end.s, false);
	buf_free(&l->end.got);
	loop_fd_free(l->watch);
	close(l->fd);
	tls_free(l->tls);
}

static struct stream *dial(struct end *e, const struct listener *l, const char *host, struct tls *tls)
{
	struct stream_events ev = events(e);
	struct stream_target to = {
		.host = host, .port = l->at.port, .at = &l->at, .tls = tls, .timeout_ms = 5000
	};
	e->loop = l->loop;
	e->s = stream_connect(l->loop, &to, &ev);
	return e->s;
}

static uint8_t *pattern(size_t len)
{
	uint8_t *p = malloc(len);
	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 31 + i / 251);
	return p;
}

/* 5 MB there and back, over TLS and plain, by name and by address, with the queue cap in the way once. */
static void echo(bool use_tls, bool by_name)
{
	struct scratch sc;
	struct listener l = { .end = { .echo = true } };
	struct end c = { .goal = BIG };
	uint8_t *big = pattern(BIG);
	struct loop *loop = loop_new();
	scratch_init(&sc);
	l.tls = use_tls ? scratch_server(&sc) : NULL;
	struct tls *tls = use_tls ? tls_client(sc.pin, NULL) : NULL;
	listener_start(&l, loop, scratch_listen(&l.at));
	struct stream_events ev = events(&c);
	struct stream_target to = { .host = by_name ? "127.0.0.1" : "relay.test",
		.port = l.at.port,
		.at = by_name ? NULL : &l.at,
		.tls = tls };
	c.loop = loop;
	c.s = stream_connect(loop, &to, &ev);
	stream_queue_cap(c.s, BIG);
	assert_int_equal(stream_write(c.s, big, BIG), 0);
	assert_int_equal(stream_write(c.s, big, 1), ERR_TOO_LARGE);
	while (!l.end.s)
		loop_run_once(loop);
	stream_queue_cap(l.end.s, BIG);
	loop_run(loop);
	assert_false(c.closed);
	assert_true(c.opened && c.drained && l.end.opened);
	assert_int_equal(c.got.len, BIG);
	assert_memory_equal(buf_data(&c.got), big, BIG);
	assert_int_equal(stream_is_tls13(c.s), use_tls);
	stream_close(c.s, false);
	loop_run(loop);
	assert_true(l.end.closed);
	assert_int_equal(l.end.code, 0);
	buf_free(&c.got);
	listener_stop(&l);
	tls_free(tls);
	free(big);
	loop_free(loop);
	scratch_fini(&sc);
}

static void test_echo_plain(void **state)
{
	(void)state;
	echo(false, true);
}

static void test_echo_tls(void **state)
{
	(void)state;
	echo(true, false);
}

/* Which server a client accepts. */
static void test_trust(void **state)
{
	static const struct {
		const char *pin, *host;
		bool metacert, ok;
		const char *why;
	} rows[] = {
		{ "right", "relay.test", false, true, "" },
		{ "right", "127.0.0.1", false, true, "" },
		{ "right", "relay.test", true, true, "" },
		{ "right", "other.test", false, false, "another host name" },
		{ "wrong", "relay.test", false, false, "another certificate than the pinned one" },
		{ "insecure", "any.test", true, true, "" },
		{ NULL, "relay.test", false, false, "does not know who signed it" },
	};
	struct scratch sc;
	(void)state;
	scratch_init(&sc);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char pin[80];
		uint8_t key[32], seen[32];
		struct loop *loop = loop_new();
		struct listener l = { .tls = scratch_server(&sc) };
		struct end c = { 0 };
		strcpy(pin, sc.pin);
		if (rows[i].pin && !strcmp(rows[i].pin, "wrong"))
			pin[20] = pin[20] == '0' ? '1' : '0';
		const char *use = !rows[i].pin || !strcmp(rows[i].pin, "insecure") ? rows[i].pin : pin;
		memset(key, 9, sizeof(key));
		if (rows[i].metacert)
			assert_int_equal(tls_server_metacert(l.tls, key, NULL), 0);
		struct tls *tls = tls_client(use, NULL);
		listener_start(&l, loop, scratch_listen(&l.at));
		dial(&c, &l, rows[i].host, tls);
		while (!c.opened && !c.closed)
			loop_run_once(loop);
		if (c.opened != rows[i].ok || !strstr(c.why, rows[i].why))
			fail_msg("row %zu: opened %d, %s", i, c.opened, c.why);
		if (c.opened) {
			assert_int_equal(stream_metacert_key(c.s, seen), rows[i].metacert);
			if (rows[i].metacert)
				assert_memory_equal(seen, key, 32);
		}
		stream_close(c.s, false);
		listener_stop(&l);
		tls_free(tls);
		loop_free(loop);
	}
	scratch_fini(&sc);
}

static bool accepted(const struct scratch *sc, const char *host)
{
	struct loop *loop = loop_new();
	struct listener l = { .tls = scratch_server(sc) };
	struct end c = { 0 };
	struct tls *tls = tls_client(NULL, NULL);
	listener_start(&l, loop, scratch_listen(&l.at));
	dial(&c, &l, host, tls);
	while (!c.opened && !c.closed)
		loop_run_once(loop);
	stream_close(c.s, false);
	listener_stop(&l);
	tls_free(tls);
	loop_free(loop);
	return c.opened;
}

/* Where the machine keeps its authorities: in a folder by hashed names, or in a bundle, which is read only
 * where the folder was not enough (the bundle of the first row is a pipe: reading it would never end). */
static void test_authorities(void **state)
{
	struct scratch sc;
	char folder[96], hashed[128], pipe_at[96], none[96];
	(void)state;
	scratch_init(&sc);
	snprintf(folder, sizeof(folder), "%s/ca", sc.dir);
	snprintf(none, sizeof(none), "%s/none", sc.dir);
	snprintf(pipe_at, sizeof(pipe_at), "%s/pipe", sc.dir);
	FILE *f = fopen(sc.cert, "r");
	X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	snprintf(hashed, sizeof(hashed), "%s/%08lx.0", folder, X509_subject_name_hash(x));
	X509_free(x);
	assert_int_equal(mkdir(folder, 0700) | mkdir(none, 0700) | mkfifo(pipe_at, 0600), 0);
	assert_int_equal(symlink(sc.cert, hashed), 0);
	const struct {
		const char *folder, *bundle, *host;
		bool ok;
	} rows[] = {
		{ folder, pipe_at, "relay.test", true },
		{ folder, none, "relay.test", true },
		{ none, sc.cert, "relay.test", true },
		{ none, sc.cert, "other.test", false },
		{ none, none, "relay.test", false },
	};
	alarm(30);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		setenv("SSL_CERT_DIR", rows[i].folder, 1);
		setenv("SSL_CERT_FILE", rows[i].bundle, 1);
		if (accepted(&sc, rows[i].host) != rows[i].ok)
			fail_msg("row %zu", i);
	}
	alarm(0);
	unsetenv("SSL_CERT_DIR");
	unsetenv("SSL_CERT_FILE");
	assert_int_equal(dir_remove(folder, NULL) | dir_remove(none, NULL) | unlink(pipe_at), 0);
	scratch_fini(&sc);
}

static void test_files(void **state)
{
	static const char *const hosts[] = { "a.test" };
	struct scratch sc;
	struct stat st;
	struct errbuf eb;
	char pin[80];
	(void)state;
	scratch_init(&sc);
	assert_int_equal(stat(sc.key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(tls_self_signed(sc.cert, sc.key, hosts, 1, &eb), 0);
	assert_int_equal(tls_pin_of(sc.cert, pin, &eb), 0);
	assert_string_equal(pin, sc.pin); /* kept */
	assert_null(tls_server(sc.cert, sc.cert, &eb));
	assert_non_null(strstr(eb.text, "private key"));
	assert_null(tls_server("/nonexistent", sc.key, &eb));
	assert_non_null(strstr(eb.text, "/nonexistent"));
	assert_null(tls_client("sha256-raw:12", &eb));
	assert_true(tls_pin_of(sc.key, pin, &eb) < 0);
	/* A key without its certificate is made anew with it; the other way round nothing is. */
	assert_int_equal(unlink(sc.cert), 0);
	assert_int_equal(tls_self_signed(sc.cert, sc.key, hosts, 1, &eb), 0);
	assert_int_equal(unlink(sc.key), 0);
	assert_int_equal(tls_self_signed(sc.cert, sc.key, hosts, 1, &eb), -ENOENT);
	assert_non_null(strstr(eb.text, sc.key));
	scratch_fini(&sc);
}

static const char expired[] = /* good on the first of January 2020 */
	"-----BEGIN CERTIFICATE-----\n"
	"MIH+MIGmAgEBMAoGCCqGSM49BAMCMAwxCjAIBgNVBAMMAXgwHhcNMjAwMTAxMDAw\n"
	"MDAwWhcNMjAwMTAyMDAwMDAwWjAMMQowCAYDVQQDDAF4MFkwEwYHKoZIzj0CAQYI\n"
	"KoZIzj0DAQcDQgAE5JDA98lrlxZlzKEWIPFI0361bLOJW7VgUHLC2pvyu2HoJXmg\n"
	"6pcrd9GuRJXsmpLGESwr9kB+MPH6wIUUyECMtDAKBggqhkjOPQQDAgNHADBEAiB1\n"
	"9lZpKVYh8Qq5QHhI5I1cmkH1qtMRLcTruvlDysDY5gIgfK/cw3uDRW0eoirjKfdb\n"
	"4dXEZSgDic4KjP/BSTZKZ4U=\n"
	"-----END CERTIFICATE-----\n";

static void write_locked_key(const char *path)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	FILE *f = fopen(path, "w");
	assert_true(f && key);
	assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, EVP_aes_128_cbc(), "word", 4, NULL, NULL), 1);
	assert_int_equal(fclose(f), 0);
	EVP_PKEY_free(key);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Pairs that cannot work, and certificates that clients will refuse. */
static void test_certificates(void **state)
{
	struct scratch sc, other;
	struct errbuf eb = { 0 };
	char path[128];
	(void)state;
	scratch_init(&sc);
	scratch_init(&other);
	assert_null(tls_server(sc.cert, other.key, &eb));
	assert_non_null(strstr(eb.text, "does not belong to certificate"));
	snprintf(path, sizeof(path), "%s/x", sc.dir);
	write_locked_key(path);
	assert_null(tls_server(sc.cert, path, &eb));
	assert_non_null(strstr(eb.text, "passphrase"));

	assert_int_equal(tls_cert_fault(sc.cert, NULL, &eb), 0);
	assert_int_equal(tls_cert_fault(sc.cert, "relay.test", &eb), 0);
	assert_int_equal(tls_cert_fault(sc.cert, "127.0.0.1", &eb), 0);
	assert_true(tls_cert_fault(sc.cert, "other.test", &eb) < 0);
	assert_non_null(strstr(eb.text, "is not for other.test"));
	write_text(path, expired);
	assert_true(tls_cert_fault(path, NULL, &eb) < 0);
	assert_non_null(strstr(eb.text, "past its last day"));
	assert_true(tls_cert_fault("/nonexistent", NULL, &eb) < 0);
	scratch_fini(&sc);
	scratch_fini(&other);
}

/* Authorities that this machine knows, here those of SSL_CERT_FILE; what is past its last day is signed by them all the same. */
static void test_signer(void **state)
{
	struct scratch sc, other;
	struct tls_cert_signer s;
	struct errbuf eb = { 0 };
	char path[128], both[8192];
	(void)state;
	scratch_init(&sc);
	scratch_init(&other);
	snprintf(path, sizeof(path), "%s/x", sc.dir);
	setenv("SSL_CERT_FILE", other.cert, 1);
	assert_int_equal(tls_cert_signer(sc.cert, &s, &eb), 0);
	assert_true(s.n == 1 && !s.is_known);
	assert_int_equal(tls_cert_signer(other.cert, &s, &eb), 0);
	assert_true(s.n == 1 && s.is_known);
	snprintf(both, sizeof(both), "%s%s", expired, expired);
	write_text(path, both);
	setenv("SSL_CERT_FILE", path, 1);
	assert_int_equal(tls_cert_signer(path, &s, &eb), 0);
	assert_true(s.n == 2 && s.is_known);
	unsetenv("SSL_CERT_FILE");
	assert_int_equal(tls_cert_signer(path, &s, &eb), 0);
	assert_true(s.n == 2 && !s.is_known);
	write_text(path, "no certificate\n");
	assert_true(tls_cert_signer(path, &s, &eb) < 0);
	assert_non_null(strstr(eb.text, "holds no PEM certificate"));
	assert_true(tls_cert_signer("/nonexistent", &s, &eb) < 0);
	scratch_fini(&sc);
	scratch_fini(&other);
}

/* RFC 1421 4.6.1.1 */
static const char locked[] = "-----BEGIN CERTIFICATE-----\n"
			     "Proc-Type: 4,ENCRYPTED\n"
			     "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
			     "AAAAAAAAAAAAAAAAAAAAAA==\n"
			     "-----END CERTIFICATE-----\n";

/* Nobody is asked for a passphrase: what comes at standard input is another's. */
static void test_locked_certificate(void **state)
{
	struct scratch sc;
	char path[128], pin[80];
	int fd[2], left = 0, status;
	struct tls_cert_signer signer;
	(void)state;
	scratch_init(&sc);
	snprintf(path, sizeof(path), "%s/x", sc.dir);
	write_text(path, locked);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "word\nword\nword\n", 15), 15);
	pid_t child = fork();
	if (child == 0) { /* without a terminal, and with a standard input of its own */
		bool read = setsid() < 0 || dup2(fd[0], STDIN_FILENO) < 0 || !tls_pin_of(path, pin, NULL) ||
			    !tls_cert_fault(path, NULL, NULL) || !tls_cert_signer(path, &signer, NULL) ||
			    tls_server_text(locked, sizeof(locked) - 1, NULL) ||
			    tls_server(path, sc.key, NULL) || tls_client_authorities(path, NULL);
		_exit(read);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(ioctl(fd[0], FIONREAD, &left), 0);
	assert_int_equal(left, 15);
	close(fd[0]);
	close(fd[1]);
	scratch_fini(&sc);
}

static void test_refused(void **state)
{
	struct loop *loop = loop_new();
	struct listener l = { 0 };
	struct end c = { 0 };
	(void)state;
	l.loop = loop;
	close(scratch_listen(&l.at));
	dial(&c, &l, "relay.test", NULL);
	loop_run(loop);
	assert_true(c.closed);
	assert_int_equal(c.code, -ECONNREFUSED);
	assert_non_null(strstr(c.why, "connect to relay.test (127.0.0.1:"));
	assert_int_equal(stream_write(c.s, "x", 1), ERR_CLOSED);
	stream_close(c.s, false);

	c = (struct end) { .loop = loop };
	struct stream_events ev = events(&c);
	c.s = stream_connect_unix(loop, "/nonexistent/sock", &ev);
	assert_false(c.closed);
	loop_run(loop);
	assert_true(c.closed);
	assert_int_equal(c.code, -ENOENT);
	stream_close(c.s, true);
	loop_free(loop);
}

static void test_unix(void **state)
{
	struct scratch sc;
	struct loop *loop = loop_new();
	struct listener l = { .end = { .echo = true } };
	struct end c = { .goal = 5, .loop = loop };
	(void)state;
	scratch_init(&sc);
	listener_start(&l, loop, sock_unix_listen(sc.sock, 0600, NULL));
	struct stream_events ev = events(&c);
	c.s = stream_connect_unix(loop, sc.sock, &ev);
	assert_int_equal(stream_write(c.s, "hello", 5), 0);
	loop_run(loop);
	assert_memory_equal(buf_data(&c.got), "hello", 5);
	stream_unread(c.s, "again", 5);
	c.goal = 10;
	loop_run(loop);
	assert_memory_equal(buf_data(&c.got), "helloagain", 10);
	buf_free(&c.got);
	stream_close(c.s, false);
	listener_stop(&l);
	loop_free(loop);
	scratch_fini(&sc);
}

/* What was written before a flushing close arrives whole; a paused reader takes it later. */
static void test_flush(void **state)
{
	struct scratch sc;
	struct loop *loop = loop_new();
	struct listener l = { 0 };
	struct end c = { 0 };
	uint8_t *big = pattern(BIG);
	(void)state;
	scratch_init(&sc);
	l.tls = scratch_server(&sc);
	struct tls *tls = tls_client("insecure", NULL);
	listener_start(&l, loop, scratch_listen(&l.at));
	dial(&c, &l, "relay.test", tls);
	while (!c.opened || !l.end.opened)
		loop_run_once(loop);
	stream_pause(c.s, true);
	stream_queue_cap(l.end.s, BIG);
	assert_int_equal(stream_write(l.end.s, big, BIG), 0);
	stream_close(l.end.s, true);
	l.end.s = NULL;
	assert_int_equal(c.got.len, 0);
	stream_pause(c.s, false);
	loop_run(loop);
	assert_true(c.closed);
	assert_int_equal(c.code, 0);
	assert_int_equal(c.got.len, BIG);
	assert_memory_equal(buf_data(&c.got), big, BIG);
	buf_free(&c.got);
	stream_close(c.s, false);
	listener_stop(&l);
	tls_free(tls);
	loop_free(loop);
	free(big);
	scratch_fini(&sc);
}

/* A server that accepts and says nothing. */
static void test_time_out(void **state)
{
	struct loop *loop = loop_new();
	struct listener l = { .loop = loop };
	struct end c = { 0 };
	(void)state;
	l.fd = scratch_listen(&l.at);
	struct tls *tls = tls_client("insecure", NULL);
	struct stream_events ev = events(&c);
	struct stream_target to = {
		.host = "relay.test", .port = l.at.port, .at = &l.at, .tls = tls, .timeout_ms = 30
	};
	c.loop = loop;
	c.s = stream_connect(loop, &to, &ev);
	loop_run(loop);
	assert_int_equal(c.code, -ETIMEDOUT);
	stream_close(c.s, false);
	close(l.fd);
	tls_free(tls);
	loop_free(loop);
}

/* A listener that takes no more: what is sent to it is swallowed. */
struct full {
	int fd, queued[2];
	struct endpoint at;
};

static void full_open(struct full *f)
{
	f->fd = scratch_listen(&f->at);
	assert_int_equal(listen(f->fd, 0), 0);
	for (size_t i = 0; i < ARRAY_LEN(f->queued); i++)
		f->queued[i] = sock_tcp_connect_hook(&f->at, NULL, NULL, NULL);
}

static void full_close(struct full *f)
{
	for (size_t i = 0; i < ARRAY_LEN(f->queued); i++)
		close(f->queued[i]);
	close(f->fd);
}

/* Of two addresses the second is reached though the first refuses, or says nothing; of two that refuse the end is told once,
 * and later. */
static void test_then(void **state)
{
	struct loop *loop = loop_new();
	struct listener l = { .end = { .echo = true } };
	struct endpoint nobody, peer;
	struct full f;
	(void)state;
	int gone = scratch_listen(&nobody);
	close(gone);
	full_open(&f);
	listener_start(&l, loop, scratch_listen(&l.at));
	const struct endpoint *firsts[] = { &nobody, &f.at };
	for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
		struct end c = { .loop = loop, .goal = 1 };
		struct stream_events ev = events(&c);
		struct stream_target to = { .host = "relay.test",
			.port = l.at.port,
			.at = firsts[i],
			.then = &l.at,
			.timeout_ms = 60000 };
		c.s = stream_connect(loop, &to, &ev);
		while (!c.opened && !c.closed)
			loop_run_once(loop);
		assert_true(c.opened && stream_peer(c.s, &peer) && endpoint_equal(&peer, &l.at));
		stream_close(c.s, false);
		while (!l.end.closed)
			loop_run_once(loop);
		stream_close(l.end.s, false);
		l.end = (struct end) { .echo = true };
	}
	struct end c = { .loop = loop };
	struct stream_events ev = events(&c);
	struct stream_target to = {
		.host = "relay.test", .port = nobody.port, .at = &nobody, .then = &nobody
	};
	c.s = stream_connect(loop, &to, &ev);
	assert_false(c.closed);
	while (!c.closed)
		loop_run_once(loop);
	assert_int_equal(c.code, -ECONNREFUSED);
	stream_close(c.s, false);
	full_close(&f);
	listener_stop(&l);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_plain),
		cmocka_unit_test(test_echo_tls),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_authorities),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_signer),
		cmocka_unit_test(test_locked_certificate),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_then),
	};
	return key_setup() ? cmocka_run_group_tests_name("stream", tests, NULL, NULL) : 1;
}
