/* Certificates, keys and authorities as files, and one handshake with what was read. The first line of an input is letters, see
 * below; behind it stands what is in the file of the certificate, and behind a byte 0x1e what is in that of the key. $C and $K in
 * them are a certificate for fuzz.test and 127.0.0.1, and its key.
 * The server: `m` has a metacert, `s` speaks "dot", `a` has another certificate for who asks for "dot" alone. The client: `p` pins the
 * certificate, `q` another one, `b` none, `d` asks the machine's authorities, `u` those in the file, else it trusts anybody; `x` expects "dot",
 * `1` the key of the certificate, `2` another one, `l` that alone; `n` comes by address, `w` by another name. `v` makes a pair in
 * a folder that is not there, `f` in one that is. The bytes of a handshake are http_conn_fuzz's. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/base/key.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"

#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PART = 0x1e, PATH = 96, TURNS = 40, TEXT = 4096, LETTERS = 32 };

/* What outlives an input. */
static struct {
	char dir[40], cert[PATH], key[PATH], made[2][PATH], lost[2][PATH];
	char text[2][TEXT]; /* of the pair that was made first */
	uint8_t key_pin[1][32];
	struct endpoint at;
	int fd;
} w = { .fd = -1 };

static void path_at(char out[static PATH], const char *name)
{
	snprintf(out, PATH, "%s/%s", w.dir, name);
}

static void read_text(const char *path, char out[static TEXT])
{
	struct buf b = { 0 };
	must(!file_read(path, TEXT - 1, &b, NULL));
	memcpy(out, buf_data(&b), b.len);
	out[b.len] = 0;
	buf_wipe(&b);
}

static void world_end(void)
{
	dir_remove(w.dir, NULL);
}

static void world(void)
{
	const char *hosts[] = { "fuzz.test", "127.0.0.1" };
	uint8_t *der = NULL;
	if (w.fd >= 0)
		return;
	snprintf(w.dir, sizeof(w.dir), "%s/rw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	must(key_setup() && mkdtemp(w.dir) && atexit(world_end) == 0);
	path_at(w.cert, "c");
	path_at(w.key, "k");
	path_at(w.made[0], "made.c");
	path_at(w.made[1], "made.k");
	path_at(w.lost[0], "none/c");
	path_at(w.lost[1], "none/k");
	/* In the place of the machine's authorities. */
	must(!setenv("SSL_CERT_FILE", w.cert, 1) && !setenv("SSL_CERT_DIR", w.dir, 1));
	must(!tls_self_signed(w.cert, w.key, hosts, ARRAY_LEN(hosts), NULL));
	read_text(w.cert, w.text[0]);
	read_text(w.key, w.text[1]);
	FILE *f = fopen(w.cert, "re");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, (void *)"") : NULL;
	int n = x ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der) : -1;
	must(n > 0 && SHA256(der, (size_t)n, w.key_pin[0]) && fclose(f) == 0);
	OPENSSL_free(der);
	X509_free(x);
	w.at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	w.fd = sock_tcp_listen(&w.at, NULL);
	must(w.fd >= 0 && sock_local(w.fd, &w.at) == 0);
}

/* The caller's, and ends with a NUL. */
static char *fill_in(const uint8_t *p, size_t len, size_t *out)
{
	char *text = malloc(len * (TEXT / 2) + 1);
	must(text);
	*out = 0;
	for (size_t i = 0; i < len; i++) {
		const char *word = p[i] != '$' || i + 1 == len ? NULL
				   : p[i + 1] == 'C'	       ? w.text[0]
				   : p[i + 1] == 'K'	       ? w.text[1]
							       : NULL;
		if (word)
			*out += (size_t)snprintf(text + *out, TEXT / 2, "%s", word);
		else
			text[(*out)++] = (char)p[i];
		i += word != NULL;
	}
	text[*out] = 0;
	return text;
}

/* --- a handshake --- */

struct end {
	struct stream *stream;
	bool open, closed;
};

static void end_opened(void *arg)
{
	((struct end *)arg)->open = true;
}
static void end_data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg, (void)p, (void)len;
}
static void end_closed(void *arg, int code, const char *why)
{
	struct end *e = arg;
	must(!code || (why && *why)); /* somebody reads it */
	e->closed = true;
	stream_close(e->stream, false);
	e->stream = NULL;
}

static void ends_look(const struct end *client, const char *how)
{
	uint8_t key[32];
	struct endpoint peer;
	if (!client->open || !client->stream)
		return;
	/* What is not the certificate's opens nothing. */
	must(strchr(how, 'p') || !(strchr(how, 'q') || (strchr(how, '2') && strpbrk(how, "du"))));
	(void)stream_metacert_key(client->stream, key);
	(void)stream_is_tls13(client->stream);
	must(stream_peer(client->stream, &peer));
}

static void shake_hands(struct tls *server, struct tls *with, const char *how)
{
	struct loop *l = loop_new();
	struct end ends[2] = { 0 };
	static uint8_t another[1][32] = { { 1 } };
	struct tls_expect expect = { .alpn = strchr(how, 'x') ? "dot" : NULL,
		.pins = (const uint8_t(*)[32])(strchr(how, '2') ? another : w.key_pin),
		.n_pins = strpbrk(how, "12") ? 1 : 0,
		.pins_alone = strchr(how, 'l') };
	const struct stream_target to = { .host = strchr(how, 'n')   ? "127.0.0.1"
						  : strchr(how, 'w') ? "other.test"
								     : "fuzz.test",
		.port = w.at.port,
		.at = &w.at,
		.tls = with,
		.expect = &expect };
	const struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	struct stream_events ev = { .opened = end_opened, .data = end_data, .closed = end_closed };
	must(l);
	struct awake awake = awake_loop(l);
	int fd = -1;
	ev.arg = &ends[0];
	trouble_begin();
	ends[0].stream = stream_connect(l, &to, &ev);
	for (int i = 0; i < TURNS && ends[0].stream && fd < 0; i++) {
		loop_run_once(l);
		fd = sock_accept(w.fd, NULL);
	}
	ev.arg = &ends[1];
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		ends[1].stream = stream_accept(l, fd, server, &ev);
	}
	for (int i = 0; i < TURNS && !(ends[0].open && ends[1].open) && !ends[0].closed; i++)
		loop_run_once(l);
	ends_look(&ends[0], how);
	trouble_end();
	for (int i = 0; i < 2; i++)
		stream_close(ends[i].stream, false);
	awake_free(&awake);
	while ((fd = sock_accept(w.fd, NULL)) >= 0)
		close(fd);
}

/* --- files --- */

static struct tls *client_of(const char *how)
{
	struct errbuf eb = { 0 };
	static const char another_pin[] =
		"sha256-raw:0123456789012345678901234567890123456789012345678901234567890123";
	char pin[80] = "";
	struct tls *t;
	if (strchr(how, 'p') && tls_pin_of(w.cert, pin, &eb) == 0)
		t = tls_client(pin, &eb);
	else if (strchr(how, 'q'))
		t = tls_client(another_pin, &eb);
	else if (strchr(how, 'b'))
		t = tls_client("sha256-raw:12", &eb);
	else if (strchr(how, 'd'))
		t = tls_client(NULL, &eb);
	else if (strchr(how, 'u'))
		t = tls_client_authorities(w.cert, &eb);
	else
		t = tls_client("insecure", &eb);
	must(t || eb.text[0]);
	return t;
}

static struct tls *server_of(const char *pem, size_t len)
{
	struct errbuf eb = { 0 };
	struct tls *t = tls_server(w.cert, w.key, &eb);
	must(t || eb.text[0]);
	eb = (struct errbuf) { 0 };
	if (t)
		return t;
	t = tls_server_text(pem, len, &eb);
	must(t || eb.text[0]);
	return t;
}

static void look_at_files(const char *how)
{
	struct errbuf eb = { 0 };
	const char *hosts[] = { "fuzz.test", strchr(how, 'w') ? "" : "::1" };
	int64_t from_ms, until_ms;
	char pin[80];
	must(tls_pin_of(w.cert, pin, &eb) == 0 || eb.text[0]);
	eb = (struct errbuf) { 0 };
	must(tls_cert_dates(w.cert, &from_ms, &until_ms, &eb) == 0 || eb.text[0]);
	eb = (struct errbuf) { 0 };
	must(tls_cert_fault(w.cert, strchr(how, 'w') ? "other.test" : "127.0.0.1", &eb) == 0 || eb.text[0]);
	(void)tls_cert_fault(w.cert, NULL, &eb);
	eb = (struct errbuf) { 0 };
	must(tls_self_signed(w.cert, w.key, hosts, 1, &eb) == 0 || eb.text[0]);
	if (strchr(how, 'f')) {
		must(tls_self_signed(w.made[0], w.made[1], hosts, ARRAY_LEN(hosts), &eb) == 0 || eb.text[0]);
		unlink(w.made[0]);
		unlink(w.made[1]);
	}
	if (strchr(how, 'v'))
		must(tls_self_signed(w.lost[0], w.lost[1], hosts, 1, &eb) != 0 && eb.text[0]);
}

static void put_file(const char *path, const char *text, size_t len)
{
	if (text)
		must(!file_write_atomic(path, 0600, text, len, NULL));
	else
		unlink(path);
}

static void run(const uint8_t *data, size_t len)
{
	char how[LETTERS] = "";
	size_t whole, n = 0;
	struct errbuf eb = { 0 };
	const uint8_t *line = memchr(data, '\n', len);
	if (!line)
		return;
	snprintf(how, sizeof(how), "%.*s", (int)(line - data), (const char *)data);
	char *text = fill_in(line + 1, (size_t)(data + len - line - 1), &whole);
	char *key = memchr(text, PART, whole);
	n = key ? (size_t)(key - text) : whole;
	put_file(w.cert, n ? text : NULL, n);
	put_file(w.key, key ? key + 1 : NULL, key ? whole - n - 1 : 0);
	if (key)
		*key = '\n';
	trouble_begin();
	look_at_files(how);
	struct tls *client = client_of(how), *server = server_of(text, whole), *other = NULL;
	if (server && strchr(how, 'm'))
		(void)tls_server_metacert(server, w.key_pin[0], &eb);
	if (server && strchr(how, 's'))
		tls_server_speaks(server, "dot");
	if (server && strchr(how, 'a') && (other = server_of(text, whole)))
		tls_server_alpn(server, "dot", other);
	trouble_end();
	if (server && client)
		shake_hands(server, client, how);
	tls_free(client);
	tls_free(server);
	tls_free(other);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	world();
	return len < TEXT ? trouble_twice(run, data, len) : 0;
}
