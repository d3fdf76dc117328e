/* Strangers by UDP and TCP. The first two bytes say how they come (below), and into how many pieces the rest is cut: datagrams, or
 * what each of them says by TCP. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/os/sock.h"
#include "resolver/block.h"
#include "resolver/listen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	TCP = 1,
	ANYWHERE = 2, /* at the listener of all addresses */
	DEAF = 4,     /* they read nothing */
	LATE = 8,     /* time passes in the end */
	MANY = 16,    /* more of them than one address gets places */
	AGAIN = 32,   /* all is said many times */
	LIMITED = 64, /* one question a second */
	ANEW = 128,   /* the server starts first */
	/* of the second byte, above the number of pieces less one */
	PIECES = 7,
	STRANGE = 8,  /* they are not of those that may ask */
	ANSWERS = 16, /* the upstream says something, else nothing */
	MOVED = 32,   /* meanwhile the network changes, and lists come that had been waited for */
	INNER = 64,   /* at the listener of what validates */
	LATE_MS = 60000,
	CLIENTS = 40,
	TIMES = 40,
	TURNS = 3
};

static struct place {
	struct loop *loop;
	struct resolver_server *server;
	struct endpoint upstream;
	int upstream_fd;
	uint32_t lists; /* that hold for everybody */
} place;

static void turn(int n)
{
	while (n--)
		loop_run_once(place.loop);
}

/* What was asked, as an answer without records. */
static void upstream_answer(void)
{
	struct sockaddr_storage from;
	uint8_t msg[2048];
	socklen_t len = sizeof(from);
	for (ssize_t n; (n = recvfrom(place.upstream_fd, msg, sizeof(msg), MSG_DONTWAIT,
				 (struct sockaddr *)&from, &len)) > 2;
		len = sizeof(from)) {
		msg[2] |= 0x80;
		(void)!sendto(place.upstream_fd, msg, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&from, len);
	}
}

static uint32_t lists(void *arg, const struct addr *from)
{
	(void)arg;
	(void)from;
	return place.lists;
}

static bool any_may(void *arg, const struct addr *from)
{
	(void)arg;
	(void)from;
	return true;
}

/* What questions wait for, where it is to come. false: memory is short. */
static bool block_give(struct resolver_server *s)
{
	const uint64_t seed[2] = { 1, 2 };
	struct block *set = block_new(seed);
	if (set)
		resolver_block_set(resolver_server_core(s), set, &(struct block_answer) { 0 });
	block_put(set);
	return set;
}

/* NULL: memory is short. */
static struct resolver_server *server_make(void)
{
	const struct endpoint at[] = { { .ip = addr_v4(0x7f000001) }, { .ip = addr_any6 } };
	const struct resolver_server_options o = { .at = at, .n = 2, .lists = lists, .may_have = any_may };
	struct resolver_server *s = resolver_server_open(place.loop, &o, NULL);
	struct resolver_upstream up = { .at = place.upstream };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	const struct resolver_config c = { .routes = &route, .n_routes = 1 };
	struct addr ip = addr_v4(0x64400002);
	struct zone *z = s ? zone_new() : NULL;
	bool ok = z && block_give(s) && zone_add_address(z, "bob.mesh", &ip, true) == 0 &&
		  resolver_server_configure(s, &c, NULL) == 0;
	if (ok)
		resolver_zone_set(resolver_server_core(s), z);
	zone_put(z);
	if (ok)
		return s;
	resolver_server_close(s);
	return NULL;
}

static void place_make(void)
{
	sock_limit_raise(); /* as the programs do: questions to upstreams have many sockets */
	place.upstream = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	struct awake a = awake_loop(loop_new());
	place.loop = a.loop;
	place.upstream_fd = sock_udp(&place.upstream, NULL);
	if (!key_setup() || place.upstream_fd < 0 || sock_local(place.upstream_fd, &place.upstream) ||
		!(place.server = server_make()))
		abort();
}

/* -1, or one that is not connected: where descriptors or a port are wanting, one client says nothing. */
static int client_open(uint8_t flags, uint8_t more)
{
	const struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	struct endpoint at = resolver_server_endpoint(place.server, more & INNER       ? 2
								    : flags & ANYWHERE ? 1
										       : 0);
	struct sockaddr_storage to;
	at.ip = addr_v4(0x7f000001);
	socklen_t len = endpoint_to_sockaddr(&at, false, &to);
	int fd = socket(AF_INET, (flags & TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	(void)!trouble_connect(fd, (struct sockaddr *)&to, len);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

static void say(int fd, uint8_t flags, uint8_t more, const uint8_t *p, size_t len)
{
	size_t pieces = (size_t)(more & PIECES) + 1;
	char sink[4096];
	for (size_t i = 0; i < pieces; i++) {
		size_t from = len * i / pieces;
		(void)!send(fd, p + from, len * (i + 1) / pieces - from, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (!(flags & AGAIN))
			turn(TURNS);
		if (more & ANSWERS)
			upstream_answer();
		while (!(flags & DEAF) && recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
}

static void clients_come(uint8_t flags, uint8_t more, const uint8_t *p, size_t len)
{
	int fds[CLIENTS], n = flags & MANY ? CLIENTS : 1;
	for (int i = 0; i < n; i++)
		fds[i] = client_open(flags, more);
	place.lists = more & MOVED ? 1 : 0;
	if (more & MOVED)
		resolver_block_wait(resolver_server_core(place.server));
	for (int k = 0; k < (flags & AGAIN ? TIMES : 1); k++)
		for (int i = 0; i < n; i++)
			say(fds[i], flags, more, p, len);
	turn(TURNS);
	if (more & MOVED) {
		block_give(place.server);
		resolver_server_network_changed(place.server);
		resolver_server_doubt(place.server, &place.upstream.ip);
	}
	if (more & ANSWERS) {
		upstream_answer();
		turn(TURNS);
	}
	if (flags & LATE) {
		trouble_pass_ms(LATE_MS);
		turn(TURNS);
	}
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static void listen_target(const uint8_t *data, size_t len)
{
	const struct prefix here = { .ip = addr_v4(0x7f000000), .bits = 8 },
			    others = { .ip = addr_v4(0xc0000200), .bits = 24 };
	const struct resolver_validation nobody = { .anchors = "/nonexistent/anchors" };
	if (len < 3)
		return;
	uint8_t flags = data[0], more = data[1];
	trouble_begin();
	if (flags & ANEW) {
		struct resolver_server *next = server_make();
		resolver_server_close(next ? place.server : NULL);
		place.server = next ? next : place.server;
		resolver_server_proxies(place.server, NULL);
		must(resolver_server_authorities(place.server, NULL, NULL) == 0);
	}
	(void)resolver_server_allow(place.server, more & STRANGE ? &others : &here, 1, NULL);
	(void)resolver_server_rate(place.server, flags & LIMITED ? 1 : 0, NULL);
	if (more & INNER && resolver_server_validate(place.server, &nobody, NULL) == 0)
		abort();
	clients_come(flags, more, data + 2, len - 2);
	turn(TURNS);
	trouble_end();
	turn(TURNS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!place.loop)
		place_make();
	return trouble_twice(listen_target, data, len);
}
