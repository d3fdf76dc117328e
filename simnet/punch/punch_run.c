#include "simnet/punch/punch.h"

#include "mesh/base/buf.h"
#include "mesh/os/sock.h"
#include "simnet/punch/carrier.h"
#include "simnet/punch/punch_peer.h"
#include "simnet/punch/punch_server.h"
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* One process is a server or a peer, over UDP, TCP or both: a side for each. Sides know nothing of each other;
 * they share the loop, the standard output and the status socket. */
enum proto { PROTO_UDP, PROTO_TCP, PROTOS };
static const char *const proto_names[] = { [PROTO_UDP] = "udp", [PROTO_TCP] = "tcp" };
static_assert(ARRAY_LEN(proto_names) == PROTOS, "proto_names misses a protocol");

struct echo_door { /* where this host finds the echo of a remote */
	struct side *side;
	const struct punch_remote *remote;
	struct carrier_udp *door;
	struct endpoint asked_by; /* the last who sent; gets what comes back */
};
struct side {
	struct punch_run *run;
	enum proto proto;
	struct carrier_udp *udp; /* one of them */
	struct carrier_tcp *tcp;
	struct punch_peer *peer; /* one of them */
	struct punch_server *server;
	struct carrier_udp *other_udp; /* a server's other port */
	struct carrier_tcp *other_tcp;
	struct loop_timer *timer;
	struct echo_door doors[PUNCH_REMOTES_MAX];
	size_t n_doors;
	uint64_t t0_us;
};
struct punch_run {
	const struct punch_options *options;
	struct loop *loop;
	struct side sides[PROTOS];
	int status_fd;
	struct loop_fd *status_watch;
	struct loop_signal *signals[2];
};

static uint64_t now_us(void)
{
	return clock_now_ns() / 1000;
}

static bool side_is_on(const struct side *s)
{
	return s->udp || s->tcp;
}

static void side_send(struct side *s, const struct endpoint *to, const uint8_t *p, size_t len)
{
	if (s->udp)
		carrier_udp_send(s->udp, to, p, len);
	else
		carrier_tcp_send(s->tcp, to, p, len);
}

static struct endpoint side_local(const struct side *s)
{
	return s->udp ? carrier_udp_local(s->udp) : carrier_tcp_local(s->tcp);
}

/* ---- what the cores say ---- */

static void peer_send(void *owner, const struct endpoint *to, const uint8_t *p, size_t len)
{
	side_send(owner, to, p, len);
}

static void print_head(const struct side *s, const char *event)
{
	printf("{\"event\":\"%s\",\"proto\":\"%s\",\"ms\":%.1f", event, proto_names[s->proto],
		(double)(now_us() - s->t0_us) / 1000);
}

static void peer_mapped(void *owner, const struct endpoint *seen)
{
	const struct side *s = owner;
	struct endpoint local = side_local(s);
	char text[ENDPOINT_TEXT];

	print_head(s, "mapped");
	printf(",\"mapped\":\"%s\",\"port\":%u}\n", endpoint_format(seen, text), local.port);
	fflush(stdout);
}

/* The members that say how a remote is reached, beginning with a comma. */
static void path_members(const struct punch_peer *p, const struct punch_remote *r, struct buf *out)
{
	char text[ENDPOINT_TEXT];
	const struct endpoint *by = r->path == PUNCH_DIRECT ? &r->direct : &p->conf.server;

	buf_printf(out, ",\"path\":\"%s\",\"settled\":%s", punch_path_name(r->path),
		r->settled ? "true" : "false");
	if (r->path == PUNCH_NONE)
		return;
	buf_printf(out, ",\"%s\":\"%s\",\"rtt_us\":%llu", punch_path_name(r->path), endpoint_format(by, text),
		(unsigned long long)r->rtt_us);
	if (r->path == PUNCH_DIRECT)
		buf_printf(out, ",\"first_direct_ms\":%.1f,\"seen_as\":\"%s\"",
			(double)r->direct_after_us / 1000, endpoint_format(&r->seen_as, text));
}

static void peer_changed(void *owner, const struct punch_remote *remote)
{
	const struct side *s = owner;
	struct buf text = { 0 };

	path_members(s->peer, remote, &text);
	print_head(s, "path");
	printf(",\"peer\":\"%s\"%s}\n", remote->name, text.len ? buf_cstr(&text) : "");
	fflush(stdout);
	buf_free(&text);
}

static void echo_asked(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct echo_door *d = owner;
	d->asked_by = *from;
	punch_peer_echo(d->side->peer, d->remote, p, len);
}

static void peer_echoed(void *owner, const struct punch_remote *remote, const uint8_t *p, size_t len)
{
	struct side *s = owner;
	for (size_t i = 0; i < s->n_doors; i++)
		if (s->doors[i].remote == remote && s->doors[i].asked_by.port)
			carrier_udp_send(s->doors[i].door, &s->doors[i].asked_by, p, len);
}

static void peer_invited(void *owner, const struct punch_remote *remote)
{
	struct side *s = owner;
	struct echo_door *d = &s->doors[s->n_doors];
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK), .port = remote->echo_port };
	struct errbuf eb = { 0 };

	if (!remote->echo_port)
		return;
	*d = (struct echo_door) { .side = s, .remote = remote };
	d->door = carrier_udp_open(s->run->loop, &at, echo_asked, d, &eb);
	if (d->door)
		s->n_doors++;
	else
		fprintf(stderr, "simnet punch: no echo of %s: %s\n", remote->name, eb.text);
}

static const struct punch_peer_ops peer_ops = { .send = peer_send,
	.mapped = peer_mapped,
	.changed = peer_changed,
	.invited = peer_invited,
	.echoed = peer_echoed };
static void server_send_other(void *owner, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct side *s = owner;
	if (s->other_udp)
		carrier_udp_send(s->other_udp, to, p, len);
	else
		carrier_tcp_send(s->other_tcp, to, p, len);
}

static const struct punch_server_ops server_ops = { .send = peer_send, .send_other = server_send_other };

/* ---- what wakes them ---- */

static void side_tick(void *arg)
{
	struct side *s = arg;

	punch_peer_tick(s->peer, now_us());
	uint64_t now = now_us(), at = punch_peer_deadline(s->peer);
	loop_timer_set(s->timer, at > now ? (at - now + 999) / 1000 : 0);
}

static void side_received(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct side *s = owner;

	if (s->server) {
		punch_server_received(s->server, now_us(), from, p, len);
		return;
	}
	punch_peer_received(s->peer, now_us(), from, p, len);
	side_tick(s);
}

static void stop_run(void *arg, int signo)
{
	struct punch_run *r = arg;
	(void)signo;
	loop_stop(r->loop);
}

/* ---- status ---- */

static void write_peer(const struct side *s, struct buf *out)
{
	const struct punch_peer *p = s->peer;
	char text[ENDPOINT_TEXT];

	buf_printf(out, "\"mapped\":\"%s\",\"peers\":{", endpoint_format(&p->seen, text));
	for (size_t i = 0; i < p->n_remotes; i++) {
		buf_printf(out, "%s\"%s\":{\"name\":\"%s\"", i ? "," : "", p->remotes[i].name,
			p->remotes[i].name);
		path_members(p, &p->remotes[i], out);
		buf_printf(out, "}");
	}
	buf_printf(out,
		"},\"drops\":{\"malformed\":%llu,\"not-for-us\":%llu,\"stranger\":%llu,\"unexpected\":%llu,"
		"\"unknown-answer\":%llu,\"full\":%llu}",
		(unsigned long long)p->drops.malformed, (unsigned long long)p->drops.not_for_us,
		(unsigned long long)p->drops.stranger, (unsigned long long)p->drops.unexpected,
		(unsigned long long)p->drops.unknown_answer, (unsigned long long)p->drops.full);
}

static void write_server(const struct side *s, struct buf *out)
{
	const struct punch_server *p = s->server;

	buf_printf(out,
		"\"relayed\":%llu,\"drops\":{\"malformed\":%llu,\"unregistered\":%llu,\"unknown-name\":%llu,"
		"\"full\":%llu,\"unexpected\":%llu}",
		(unsigned long long)p->relayed, (unsigned long long)p->drops.malformed,
		(unsigned long long)p->drops.unregistered, (unsigned long long)p->drops.unknown_name,
		(unsigned long long)p->drops.full, (unsigned long long)p->drops.unexpected);
}

static void tell_status(void *arg, int events)
{
	const struct punch_run *r = arg;
	struct buf out = { 0 };
	int fd = sock_accept(r->status_fd, NULL);
	(void)events;

	if (fd < 0)
		return;
	buf_printf(&out, "{\"name\":\"%s\"", r->options->name ? r->options->name : "");
	for (int i = 0; i < PROTOS; i++) {
		if (!side_is_on(&r->sides[i]))
			continue;
		buf_printf(&out, ",\"%s\":{", proto_names[i]);
		if (r->sides[i].peer)
			write_peer(&r->sides[i], &out);
		else
			write_server(&r->sides[i], &out);
		buf_printf(&out, "}");
	}
	buf_printf(&out, "}\n");
	/* Small enough for the socket's own buffer. */
	(void)!send(fd, buf_data(&out), out.len, MSG_NOSIGNAL);
	close(fd);
	buf_free(&out);
}

static int ask_status(const char *path, struct errbuf *eb)
{
	enum { ANSWER_MS = 3000 };
	char text[4096];
	ssize_t n = -1;
	int fd = sock_unix_connect(path, eb);
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return fd;
	while (poll(&wait, 1, ANSWER_MS) == 1 && (n = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	close(fd);
	return n == 0 ? 0 : err_say(eb, -ETIMEDOUT, "%s: no answer within %d ms", path, ANSWER_MS);
}

/* ---- opening ---- */

/* Those that others might reach: no loopback, nothing of the link alone. */
static size_t own_addresses(uint16_t port, struct endpoint out[static PUNCH_PLACES_MAX])
{
	struct ifaddrs *list = NULL;
	size_t n = 0;

	if (getifaddrs(&list) != 0)
		return 0;
	/* One place is for what the server sees. */
	for (const struct ifaddrs *i = list; i && n < PUNCH_PLACES_MAX - 1; i = i->ifa_next) {
		struct endpoint at;
		if (!(i->ifa_flags & IFF_UP) || !i->ifa_addr || !endpoint_from_sockaddr(i->ifa_addr, &at) ||
			addr_is_loopback(&at.ip) || addr_is_link_local(&at.ip))
			continue;
		out[n++] = (struct endpoint) { .ip = at.ip, .port = port };
	}
	freeifaddrs(list);
	return n;
}

static bool open_carrier(struct side *s, const struct endpoint *at, bool dials, struct errbuf *eb)
{
	if (s->proto == PROTO_UDP)
		s->udp = carrier_udp_open(s->run->loop, at, side_received, s, eb);
	else
		s->tcp = carrier_tcp_open(s->run->loop, at, dials, side_received, s, eb);
	s->t0_us = now_us();
	return side_is_on(s);
}

/* Nobody has anything to say to it. */
static void other_received(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	(void)owner, (void)from, (void)p, (void)len;
}

static bool open_other(struct side *s, struct endpoint at, struct errbuf *eb)
{
	at.port++;
	if (s->proto == PROTO_UDP)
		s->other_udp = carrier_udp_open(s->run->loop, &at, other_received, s, eb);
	else
		s->other_tcp = carrier_tcp_open(s->run->loop, &at, true, other_received, s, eb);
	return s->other_udp || s->other_tcp;
}

static int open_server(struct side *s, struct errbuf *eb)
{
	struct endpoint at;
	char text[ENDPOINT_TEXT];

	if (!endpoint_parse(s->run->options->serve, &at))
		return err_say(eb, -EINVAL, "--serve '%s' is not ADDRESS:PORT, as [::]:7000",
			s->run->options->serve);
	s->server = malloc(sizeof(*s->server));
	if (!s->server)
		return err_say(eb, -ENOMEM, "out of memory");
	punch_server_init(s->server, &server_ops, s);
	if (!at.port || at.port == UINT16_MAX)
		return err_say(
			eb, -EINVAL, "--serve takes a port from 1 to 65534: it needs the next one too");
	if (!open_carrier(s, &at, false, eb) || !open_other(s, at, eb))
		return eb->code;
	print_head(s, "serving");
	printf(",\"serving\":\"%s\"}\n", endpoint_format(&at, text));
	fflush(stdout);
	return 0;
}

static int call_all(struct side *s, struct errbuf *eb)
{
	const char *list = s->run->options->call;

	while (list && *list) {
		char name[PUNCH_NAME_MAX + 1];
		size_t len = strcspn(list, ",");
		snprintf(name, sizeof(name), "%.*s", (int)len, list);
		if (len > PUNCH_NAME_MAX || !punch_name_good(name))
			return err_say(eb, -EINVAL,
				"--call '%.*s' is no name: small letters, digits and '-', at most %d",
				(int)len, list, PUNCH_NAME_MAX);
		if (!strcmp(name, s->run->options->name))
			return err_say(eb, -EINVAL, "--call %s is --name itself", name);
		if (!punch_peer_call(s->peer, name))
			return err_say(eb, -EINVAL, "--call names more than %d", PUNCH_REMOTES_MAX);
		list += len + (list[len] == ',');
	}
	return 0;
}

static int open_peer(struct side *s, struct errbuf *eb)
{
	const struct punch_options *o = s->run->options;
	struct endpoint at = { .ip = addr_any6, .port = (uint16_t)o->port };
	struct punch_peer_conf conf = { .try_us = (o->try_ms ? o->try_ms : PUNCH_TRY_MS) * 1000,
		.beat_us = (o->beat_ms ? o->beat_ms : PUNCH_BEAT_MS) * 1000,
		.echo_port = (uint16_t)o->echo };

	if (!endpoint_parse(o->server, &conf.server))
		return err_say(
			eb, -EINVAL, "--server '%s' is not ADDRESS:PORT, as 192.0.2.1:7000", o->server);
	snprintf(conf.name, sizeof(conf.name), "%s", o->name);
	if (getrandom(&conf.nonce, sizeof(conf.nonce), 0) != (ssize_t)sizeof(conf.nonce))
		return err_set(eb, -errno, "random numbers");
	s->peer = malloc(sizeof(*s->peer));
	if (!s->peer || !(s->timer = loop_timer_new(s->run->loop, side_tick, s)))
		return err_say(eb, -ENOMEM, "out of memory");
	if (!open_carrier(s, &at, true, eb))
		return eb->code;
	conf.n_own = own_addresses(side_local(s).port, conf.own);
	punch_peer_init(s->peer, &conf, &peer_ops, s);
	int err = call_all(s, eb);
	if (!err)
		side_tick(s);
	return err;
}

static int check_options(const struct punch_options *o, struct errbuf *eb)
{
	if (o->serve && (o->server || o->name || o->call))
		return err_say(eb, -EINVAL,
			"--serve is the rendezvous server: it has no --server, --name or --call");
	if (!o->serve && !o->server)
		return err_say(eb, -EINVAL,
			"say --serve ADDRESS:PORT, --server ADDRESS:PORT --name NAME, or --status SOCKET");
	if (!o->serve && (!o->name || strlen(o->name) > PUNCH_NAME_MAX || !punch_name_good(o->name)))
		return err_say(eb, -EINVAL,
			"a peer needs --name NAME: small letters, digits and '-', at most %d",
			PUNCH_NAME_MAX);
	if (o->proto && strcmp(o->proto, "udp") != 0 && strcmp(o->proto, "tcp") != 0 &&
		strcmp(o->proto, "both") != 0)
		return err_say(eb, -EINVAL, "--proto is udp, tcp or both, not '%s'", o->proto);
	if (o->port > 65535 || o->echo > 65535)
		return err_say(eb, -EINVAL, "a port is at most 65535");
	return 0;
}

static bool wants(const struct punch_options *o, enum proto proto)
{
	const char *which = o->proto ? o->proto : o->serve ? "both" : "udp";
	return !strcmp(which, "both") || !strcmp(which, proto_names[proto]);
}

static int open_status(struct punch_run *r, struct errbuf *eb)
{
	if (!r->options->socket)
		return 0;
	r->status_fd = sock_unix_listen(r->options->socket, 0600, eb);
	if (r->status_fd < 0)
		return r->status_fd;
	r->status_watch = loop_fd_new(r->loop, r->status_fd, tell_status, r);
	if (!r->status_watch)
		return err_say(eb, -ENOMEM, "out of memory");
	loop_fd_set(r->status_watch, LOOP_READ);
	return 0;
}

static int open_all(struct punch_run *r, struct errbuf *eb)
{
	static const int signos[] = { SIGINT, SIGTERM };
	int err = 0;

	r->loop = loop_new();
	if (!r->loop)
		return err_say(eb, -ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_LEN(signos); i++)
		r->signals[i] = loop_signal_new(r->loop, signos[i], stop_run, r);
	err = open_status(r, eb);
	for (int i = 0; i < PROTOS && !err; i++) {
		r->sides[i] = (struct side) { .run = r, .proto = (enum proto)i };
		if (wants(r->options, (enum proto)i))
			err = r->options->serve ? open_server(&r->sides[i], eb) : open_peer(&r->sides[i], eb);
	}
	return err;
}

static void close_side(struct side *s)
{
	for (size_t i = 0; i < s->n_doors; i++)
		carrier_udp_close(s->doors[i].door);
	loop_timer_free(s->timer);
	carrier_udp_close(s->udp);
	carrier_tcp_close(s->tcp);
	carrier_udp_close(s->other_udp);
	carrier_tcp_close(s->other_tcp);
	free(s->peer);
	free(s->server);
}

static void close_run(struct punch_run *r)
{
	for (int i = 0; i < PROTOS; i++)
		close_side(&r->sides[i]);
	loop_fd_free(r->status_watch);
	if (r->status_fd >= 0) {
		close(r->status_fd);
		sock_unix_unlink(r->options->socket);
	}
	for (size_t i = 0; i < ARRAY_LEN(r->signals); i++)
		if (r->signals[i])
			loop_signal_free(r->signals[i]);
	if (r->loop)
		loop_free(r->loop);
}

int punch_run(const struct punch_options *o, struct errbuf *eb)
{
	struct punch_run r = { .options = o, .status_fd = -1 };
	int err;

	if (o->status)
		return ask_status(o->status, eb);
	if ((err = check_options(o, eb)))
		return err;
	err = open_all(&r, eb);
	if (!err)
		loop_run(r.loop);
	close_run(&r);
	return err;
}
