/* Strange clients by TLS and HTTPS. First byte: how they come, and second: what happens meanwhile, and into how many pieces the
 * rest is cut (below), which is what the client says inside TLS. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include "resolver/block.h"
#include "resolver/listen.h"
#include "resolver/report_api.h"
#include "resolver/report_metrics.h"
#include "resolver/report_text.h"
#include "resolver/zone.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	HTTPS = 1,
	DEAF = 2,     /* it reads nothing */
	LATE = 4,     /* time passes in the end */
	AGAIN = 8,    /* it asks twice */
	CROWD = 16,   /* others have come before it, more than get places */
	ANEW = 32,    /* the server starts first */
	HEARS = 64,   /* in the end it reads after all */
	CLOSED = 128, /* the server ends before it does */
	/* of the second byte, above the number of pieces less one */
	PIECES = 7,
	STRANGE = 8,	  /* it is not of those that may ask */
	TOLD = 16,	  /* what is written down of it, and of all, is told */
	CERTIFICATE = 32, /* another one */
	BESIDE = 64,	  /* the server comes to listen in more places than it may */
	LIMITED = 128,	  /* one question a second */
	CROWDED = 40,
	LATE_MS = 60000,
	TURNS = 3,
	HEARS_TURNS = 200,
	HANDSHAKE_TURNS = 400,
	BIG_RECORDS = 200,
	BIG_LEN = 256
};

/* What outlives an input. */
static struct place {
	struct awake awake;
	struct resolver_server *server;
	struct endpoint at[2], silent; /* an upstream that says nothing */
	struct tls *client;
	char cert[64], key[64];
} place;

static uint32_t all_lists(void *arg, const struct addr *from)
{
	(void)arg;
	return from->b[15] ? UINT32_MAX : 0;
}

/* A name with an address, and one with more than a buffer takes. */
static bool zone_fill(struct zone *z)
{
	struct addr ip = addr_v4(0x64400002);
	struct dns_name big;
	uint8_t text[BIG_LEN] = { BIG_LEN - 1 };
	bool ok = zone_add_address(z, "bob.mesh", &ip, true) == 0 && dns_name_parse("big.mesh", &big);
	for (unsigned i = 0; ok && i < BIG_RECORDS; i++) {
		text[1] = (uint8_t)i;
		ok = zone_add_record(z, &big, DNS_TXT, text, sizeof(text)) == 0;
	}
	return ok;
}

static bool core_fill(struct resolver_server *s)
{
	struct resolver_upstream up = { .at = place.silent };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	struct resolver_config c = { .routes = &route, .n_routes = 1 };
	const uint64_t seed[2] = { 1, 2 };
	struct zone *z = zone_new();
	struct block *set = z ? block_new(seed) : NULL;
	bool ok = set && zone_fill(z) && resolver_server_configure(s, &c, NULL) == 0;
	if (ok) {
		resolver_zone_set(resolver_server_core(s), z);
		resolver_block_set(resolver_server_core(s), set, &(struct block_answer) { 0 });
	}
	block_put(set);
	zone_put(z);
	return ok;
}

/* In place of the one there is; as it was where memory is short. */
static void server_make(void)
{
	struct endpoint at = { .ip = addr_v4(0x7f000001) }, got[2];
	struct resolver_server_options o = { .at = &at, .n = 1, .lists = all_lists };
	enum dns_secure_by by;
	struct resolver_server *s = resolver_server_open(place.awake.loop, &o, NULL);
	bool ok = s && resolver_server_listen_secure(s, &at, DNS_SECURE_TLS, NULL) == 0 &&
		  resolver_server_listen_secure(s, &at, DNS_SECURE_HTTPS, NULL) == 0 &&
		  resolver_server_certificate(s, place.cert, place.key, NULL) == 0 && core_fill(s);
	must(ok || trouble_happened());
	for (size_t i = 0; ok && i < 2; i++)
		must(resolver_server_secure(s, i, &got[i], &by));
	resolver_server_close(ok ? place.server : s);
	if (!ok)
		return;
	place.server = s;
	memcpy(place.at, got, sizeof(got));
}

/* A file that is open and has no name any more. */
static void file_keep(const char *path, char out[static 64])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0);
	snprintf(out, 64, "/proc/self/fd/%d", fd);
}

static void place_end(void)
{
	resolver_server_close(place.server);
	tls_free(place.client);
	awake_free(&place.awake);
}

static void place_make(void)
{
	char dir[] = "/tmp/rw-fuzz-XXXXXX", cert[64], key[64];
	const char *hosts[] = { "fuzz.test" };
	log_setup(LOG_ERROR, false);
	must(key_setup() && mkdtemp(dir));
	place.awake = awake_loop(loop_new());
	snprintf(cert, sizeof(cert), "%s/c", dir);
	snprintf(key, sizeof(key), "%s/k", dir);
	must(tls_self_signed(cert, key, hosts, 1, NULL) == 0);
	file_keep(cert, place.cert);
	file_keep(key, place.key);
	must(dir_remove(dir, NULL) == 0);
	place.silent = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	int fd = sock_udp(&place.silent, NULL);
	must(fd >= 0 && sock_local(fd, &place.silent) == 0);
	place.client = tls_client("insecure", NULL);
	server_make();
	must(place.client && place.server && atexit(place_end) == 0);
}

struct client {
	struct stream *stream;
	bool open;
};

static void opened(void *arg)
{
	((struct client *)arg)->open = true;
}
static void data_came(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)p;
	(void)len;
}
static void closed(void *arg, int code, const char *why)
{
	struct client *c = arg;
	(void)code;
	(void)why;
	stream_close(c->stream, false);
	c->stream = NULL;
}

static void turn(int n)
{
	while (n--)
		loop_run_once(place.awake.loop);
}

static void say(const struct client *c, const uint8_t *p, size_t len, size_t pieces)
{
	for (size_t i = 0; i < pieces && c->stream; i++) {
		size_t from = len * i / pieces, n = len * (i + 1) / pieces - from;
		if (n)
			(void)stream_write(c->stream, p + from, n);
		turn(TURNS);
	}
}

/* They say nothing, not even that they want TLS. */
static void crowd_come(const struct endpoint *at, int fds[static CROWDED])
{
	struct sockaddr_storage to;
	socklen_t len = endpoint_to_sockaddr(at, false, &to);
	const struct linger reset = { .l_onoff = 1 };
	for (size_t i = 0; i < CROWDED; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fds[i] < 0)
			abort();
		(void)!trouble_connect(
			fds[i], (struct sockaddr *)&to, len); /* where there is no port, there are fewer */
		setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	turn(TURNS);
}

/* What is known of it is told, whatever it asked. */
static void tell(void)
{
	struct arena a = { 0 };
	struct api_dns_servers servers;
	struct api_dns_log log;
	struct buf text = { 0 };
	const struct resolver *core = resolver_server_core(place.server);
	bool ok = report_api_servers(&a, core, loop_now_ms(place.awake.loop), &servers) &&
		  report_api_clients(&a, place.server, &servers) &&
		  report_api_log(&a, resolver_server_journal(place.server), 0, &log);
	must(ok || trouble_happened());
	must(!ok || (servers.secure.n >= 2 && log.on == (resolver_server_journal(place.server) != NULL)));
	if (ok)
		report_text_servers(&text, &servers);
	for (size_t i = 0; ok && i < log.n_questions; i++)
		report_text_question(&text, &log.questions[i], i & 1);
	ok = report_metrics(&text, place.server, loop_now_ms(place.awake.loop));
	must(ok || trouble_happened());
	buf_free(&text);
	arena_free(&a);
}

/* Before it says anything. */
static void change(uint8_t more)
{
	const struct prefix here = { .ip = addr_v4(0x7f000000), .bits = 8 },
			    others = { .ip = addr_v4(0xc0000200), .bits = 24 };
	struct errbuf eb = { 0 };
	(void)resolver_server_allow(place.server, more & STRANGE ? &others : &here, 1, NULL);
	(void)resolver_server_rate(place.server, more & LIMITED ? 1 : 0, NULL);
	(void)resolver_server_journal_set(place.server, more & TOLD);
	if (more & CERTIFICATE) {
		must(resolver_server_certificate(place.server, place.key, place.key, &eb) && eb.text[0]);
		int err = resolver_server_certificate(place.server, place.cert, place.key, &eb);
		must(!err || trouble_happened());
	}
	for (int i = 0; more & BESIDE && i < 2 * RESOLVER_LISTEN_MAX; i++)
		(void)resolver_server_listen_beside(place.server, i == 0 ? place.at[0].port : 0,
			i & 1 ? DNS_SECURE_HTTPS : DNS_SECURE_TLS, &eb);
}

static void talk(struct client *c, uint8_t how, uint8_t more, const uint8_t *p, size_t len)
{
	if (c->stream && how & DEAF)
		stream_pause(c->stream, true);
	say(c, p, len, (more & PIECES) + 1U);
	if (how & AGAIN)
		say(c, p, len, 1);
	if (c->stream && how & HEARS) {
		stream_pause(c->stream, false);
		turn(HEARS_TURNS);
	}
	if (more & TOLD)
		tell();
	if (how & LATE)
		trouble_pass_ms(LATE_MS);
	turn(TURNS);
	if (how & CLOSED)
		server_make();
}

static void secure_clients_target(const uint8_t *data, size_t len)
{
	static const char *const protocols[] = { "dot", "h2" };
	struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	struct client c = { 0 };
	struct stream_events ev = { .opened = opened, .data = data_came, .closed = closed, .arg = &c };
	int crowd[CROWDED];
	if (len < 3)
		return;
	uint8_t how = data[0], more = data[1];
	trouble_begin();
	if (how & ANEW)
		server_make();
	const struct endpoint at = place.at[how & HTTPS];
	struct tls_expect expect = { .alpn = protocols[how & HTTPS] };
	struct stream_target to = {
		.host = "fuzz.test", .port = at.port, .at = &at, .tls = place.client, .expect = &expect
	};
	change(more);
	if (how & CROWD)
		crowd_come(&at, crowd);
	c.stream = stream_connect(place.awake.loop, &to, &ev);
	for (int i = 0; c.stream && !c.open && i < HANDSHAKE_TURNS; i++)
		turn(1);
	talk(&c, how, more, data + 2, len - 2);
	trouble_end();
	if (c.stream)
		setsockopt(stream_fd(c.stream), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	stream_close(c.stream, false);
	for (size_t i = 0; how & CROWD && i < CROWDED; i++)
		close(crowd[i]);
	turn(TURNS);
	if (more & BESIDE) {
		server_make(); /* it would be one with many listeners */
		turn(TURNS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!place.server)
		place_make();
	return trouble_twice(secure_clients_target, data, len);
}
