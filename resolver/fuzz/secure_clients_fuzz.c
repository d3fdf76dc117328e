/* Strange clients by TLS and HTTPS. First byte: bit 0 HTTPS, bit 1 it reads nothing, bit 2 time passes in the end, bit 3 it asks
 * twice, bit 4 others have come before it, more than get places. Second byte: into how many pieces the rest is cut, which is
 * what the client says inside TLS. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include "resolver/block.h"
#include "resolver/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	HTTPS = 1,
	DEAF = 2,
	LATE = 4,
	AGAIN = 8,
	CROWD = 16,
	CROWDED = 40,
	LATE_MS = 60000,
	TURNS = 3,
	HANDSHAKE_TURNS = 400
};

/* What outlives an input: the server, whose loop never waits. */
struct place {
	struct loop *loop;
	struct resolver_server *server;
	struct endpoint at[2];
	struct tls *client;
};

static void nothing(void *arg, int events)
{
	(void)arg;
	(void)events;
}

static uint32_t all_lists(void *arg, const struct addr *from)
{
	(void)arg;
	return from->b[15] ? UINT32_MAX : 0;
}

static void server_make(struct place *p, const char *cert, const char *key)
{
	struct endpoint at = { .ip = addr_v4(0x7f000001) }, silent = { .ip = addr_v4(0x7f000001) };
	struct resolver_server_options o = { .at = &at, .n = 1, .lists = all_lists };
	enum dns_secure_by by;
	struct addr ip = addr_v4(0x64400002);
	struct zone *z = zone_new();
	int fd = sock_udp(&silent, NULL); /* an upstream that says nothing */
	p->server = resolver_server_open(p->loop, &o, NULL);
	if (!p->server || !z || fd < 0 || sock_local(fd, &silent) ||
		resolver_server_certificate(p->server, cert, key, NULL) ||
		resolver_server_listen_secure(p->server, &at, DNS_SECURE_TLS, NULL) ||
		resolver_server_listen_secure(p->server, &at, DNS_SECURE_HTTPS, NULL) ||
		zone_add_address(z, "bob.mesh", &ip, true))
		abort();
	struct resolver_upstream up = { .at = silent };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	struct resolver_config c = { .routes = &route, .n_routes = 1 };
	resolver_zone_set(resolver_server_core(p->server), z);
	zone_put(z);
	const uint64_t seed[2] = { 1, 2 };
	struct block *set = block_new(seed);
	if (!set || resolver_server_configure(p->server, &c, NULL))
		abort();
	resolver_block_set(resolver_server_core(p->server), set, &(struct block_answer) { 0 });
	block_put(set);
	for (size_t i = 0; i < 2; i++)
		if (!resolver_server_secure(p->server, i, &p->at[i], &by))
			abort();
}

static const struct place *place(void);

static void place_end(void)
{
	resolver_server_close(place()->server);
}

static const struct place *place(void)
{
	static struct place p;
	char dir[] = "/tmp/rw-fuzz-XXXXXX", cert[64], key[64];
	const char *hosts[] = { "fuzz.test" };
	if (p.loop)
		return &p;
	if (!key_setup() || !mkdtemp(dir) || !(p.loop = loop_new()))
		abort();
	snprintf(cert, sizeof(cert), "%s/c", dir);
	snprintf(key, sizeof(key), "%s/k", dir);
	if (tls_self_signed(cert, key, hosts, 1, NULL) != 0)
		abort();
	server_make(&p, cert, key);
	p.client = tls_client("insecure", NULL);
	dir_remove(dir, NULL);
	struct loop_fd *watch = loop_fd_new(p.loop, eventfd(1, EFD_NONBLOCK), nothing, NULL);
	if (!p.client || !watch || atexit(place_end) != 0)
		abort();
	loop_fd_set(watch, LOOP_READ); /* always readable, so that no turn of the loop waits */
	return &p;
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
		loop_run_once(place()->loop);
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

static void secure_clients_target(const uint8_t *data, size_t len)
{
	static const char *const protocols[] = { "dot", "h2" };
	const struct place *p = place();
	struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	struct client c = { 0 };
	struct stream_events ev = { .opened = opened, .data = data_came, .closed = closed, .arg = &c };
	if (len < 3)
		return;
	const struct endpoint *at = &p->at[data[0] & HTTPS];
	struct tls_expect expect = { .alpn = protocols[data[0] & HTTPS] };
	struct stream_target to = {
		.host = "fuzz.test", .port = at->port, .at = at, .tls = p->client, .expect = &expect
	};
	int crowd[CROWDED];
	if (data[0] & CROWD)
		crowd_come(at, crowd);
	trouble_begin();
	c.stream = stream_connect(p->loop, &to, &ev);
	for (int i = 0; c.stream && !c.open && i < HANDSHAKE_TURNS; i++)
		turn(1);
	if (c.stream && data[0] & DEAF)
		stream_pause(c.stream, true);
	say(&c, data + 2, len - 2, data[1] % 8 + 1);
	if (data[0] & AGAIN)
		say(&c, data + 2, len - 2, 1);
	if (data[0] & LATE)
		trouble_pass_ms(LATE_MS);
	turn(TURNS);
	trouble_end();
	if (c.stream)
		setsockopt(stream_fd(c.stream), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	stream_close(c.stream, false);
	for (size_t i = 0; data[0] & CROWD && i < CROWDED; i++)
		close(crowd[i]);
	turn(TURNS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(secure_clients_target, data, len);
}
