#include "mesh/relay/relay.h"
#include "mesh/base/log.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/relay/inner.h"
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
	VISITS_MAX = 2048,
	VISIT_MS = 1500, /* a handshake takes no longer, unless the other side wants it to */
	BODY_MAX = 1024, /* no request here has one */
	CHALLENGE_MAX = 64,
	HANDSHAKE_MS = 5000,
	UPGRADE_IDLE_MS = 10000,
	USER_TIMEOUT_MS = 20000,
	RESERVED_FDS = 32, /* own sockets, files that are read again, questions about clients */
	PER_ADDRESS_MAX = 1024
};

/* --- what is not DERP --- */

static void reply_probe(struct http_server_conn *c)
{
	http_reply(c, 200, "text/plain", "Access-Control-Allow-Origin: *\r\n", NULL, 0);
}

/* tailscale-protocol.md 2.1: proves that the answer is ours and not a portal's. */
static void reply_generate_204(struct http_server_conn *c, const struct http_head *head)
{
	char extra[128] = "";
	const char *challenge = http_header(head, "X-Tailscale-Challenge");
	bool plain = challenge && strlen(challenge) <= CHALLENGE_MAX &&
		     strspn(challenge, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
			     strlen(challenge);
	if (plain)
		snprintf(extra, sizeof(extra), "X-Tailscale-Response: response %s\r\n", challenge);
	http_reply(c, 204, NULL, extra, NULL, 0);
}

/* --- requests --- */

static bool is_get(const struct http_head *head)
{
	return strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0;
}

bool relay_request(struct relay *r, struct http_server_conn *c, const struct http_head *head)
{
	char path[64];
	(void)r;
	if (!is_get(head) || !http_target_path(head, path, sizeof(path)))
		return false;
	if (strcmp(path, "/derp/probe") == 0 || strcmp(path, "/derp/latency-check") == 0)
		reply_probe(c);
	else if (strcmp(path, "/generate_204") == 0)
		reply_generate_204(c, head);
	else if (strcmp(path, "/derp") == 0)
		http_reply(c, 426, "text/plain", "Upgrade: DERP\r\n", NULL, 0);
	else
		return false;
	return true;
}

static void request_received(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	static const char robots[] = "User-agent: *\nDisallow: /\n";
	static const char front[] = "This is a DERP relay of a mesh network.\n";
	char path[64] = "";
	struct visit *v = http_conn_data(c);
	if (v)
		v->asked = true;
	(void)body;
	(void)len;
	if (relay_request(arg, c, head))
		return;
	if (!is_get(head) || !http_target_path(head, path, sizeof(path)))
		http_reply(c, is_get(head) ? 404 : 405, "text/plain", NULL, NULL, 0);
	else if (strcmp(path, "/robots.txt") == 0)
		http_reply(c, 200, "text/plain", NULL, robots, sizeof(robots) - 1);
	else if (strcmp(path, "/") == 0)
		http_reply(c, 200, "text/plain", NULL, front, sizeof(front) - 1);
	else
		http_reply(c, 404, "text/plain", NULL, NULL, 0);
}

/* A client that vanished without a word is found by the keep-alive that it does not acknowledge: until then
 * packets for it are lost and its peers are not told. */
static void set_user_timeout(int fd)
{
	unsigned ms = USER_TIMEOUT_MS;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

static bool is_derp(const struct http_head *head)
{
	char path[64];
	const char *to = http_header(head, "Upgrade");
	return strcmp(head->method, "GET") == 0 && http_target_path(head, path, sizeof(path)) &&
	       strcmp(path, "/derp") == 0 && to && strcasecmp(to, "DERP") == 0;
}

static void take_over(
	struct relay *r, struct http_server_conn *c, const struct http_head *head, struct visit *v)
{
	const char *fast = http_header(head, "Derp-Fast-Start");
	client_start(r, c, v, fast && strcmp(fast, "1") == 0);
}

static bool upgrade_received(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	if (!is_derp(head))
		return false;
	struct visit *v = http_conn_data(c);
	http_conn_data_set(c, NULL);
	take_over(arg, c, head, v);
	return true;
}

bool relay_upgrade(struct relay *r, struct http_server_conn *c, const struct http_head *head)
{
	if (!is_derp(head))
		return false;
	struct endpoint from;
	struct visit *v = stream_peer(http_conn_stream(c), &from) ? visit_new(r, &from) : NULL;
	if (!v) {
		client_turn_away(c);
		return true;
	}
	set_user_timeout(stream_fd(http_conn_stream(c)));
	r->stats.accepted++;
	take_over(r, c, head, v);
	return true;
}

/* --- accepting --- */

static bool has_room(void *arg)
{
	return !visits_are_crowded(arg);
}

static void arrived(void *arg, int fd, const struct endpoint *from)
{
	struct relay *r = arg;
	set_user_timeout(fd);
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = request_received,
		.upgrade = upgrade_received,
		.gone = visit_gone,
		.arg = r,
		.body_cap = BODY_MAX,
		.idle_ms = UPGRADE_IDLE_MS };
	struct stream *s = stream_accept(r->loop, fd, r->tls, &none);
	struct http_server_conn *c = http_server_accept(r->loop, s, &ops);
	struct visit *v = c ? visit_new(r, from) : NULL;
	if (v) {
		v->conn = c;
		http_conn_data_set(c, v);
	} else if (c) {
		http_server_close(c, false);
	}
	r->stats.accepted += c != NULL;
}

/* --- keys and certificate --- */

/* *made: there was none, so that this is the first start. */
static int load_key(struct relay *r, bool *made, struct errbuf *eb)
{
	char path[PATH_MAX], text[KEY_TEXT];
	struct buf b = { 0 };
	if (r->options.derp_key_file)
		snprintf(path, sizeof(path), "%s", r->options.derp_key_file);
	else
		snprintf(path, sizeof(path), "%s/relay.key", r->options.state_dir);
	int err = file_read_own(path, KEY_TEXT, FILE_PRIVATE, &b, eb);
	*made = err == -ENOENT;
	if (*made) {
		key_generate(r->rnd, r->priv);
		key_format(r->priv, "privkey:", text);
		err = file_write_atomic(path, 0600, text, strlen(text), eb);
		key_wipe(text, sizeof(text));
	} else if (!err) {
		const char *s = buf_cstr(&b);
		if (!s || !key_parse(s, "privkey:", r->priv) || key_is_zero(r->priv))
			err = err_say(eb, ERR_MALFORMED,
				"%s is damaged: restore it from a backup, or remove it to make a new key",
				path);
	}
	buf_wipe(&b);
	key_public(r->priv, r->pub);
	return err;
}

/* What is no reason not to start, but for clients to refuse it. */
static void warn_of_certificate(const struct relay_options *o, const char *cert_file, bool new_pin)
{
	struct errbuf why;
	if (new_pin)
		log_warn("made a new certificate, %s: its pin must replace the old one in the server's DERP "
			 "file",
			cert_file);
	if (!o->cert_file && !o->hostname && addr_is_unspecified(&o->listen.ip))
		log_warn("certificate %s names no host, and clients refuse it unless the DERP file says "
			 "InsecureForTests: start with --hostname NAME, after removing relay.crt and "
			 "relay.pem",
			cert_file);
	if (tls_cert_fault(cert_file, o->hostname, &why) != 0)
		log_warn("%s", why.text);
}

/* On failure what was in use stays. */
static int load_certificate(struct relay *r, const struct relay_options *o, bool first, struct errbuf *eb)
{
	char cert[PATH_MAX], key[PATH_MAX], ip[ADDR_TEXT];
	snprintf(cert, sizeof(cert), "%s/relay.crt", o->state_dir);
	snprintf(key, sizeof(key), "%s/relay.pem", o->state_dir);
	const char *cert_file = o->cert_file ? o->cert_file : cert,
		   *key_file = o->key_file ? o->key_file : key;
	const char *hosts[2] = { o->hostname ? o->hostname : addr_format(&o->listen.ip, ip), NULL };
	size_t n = 1;
	if (o->hostname && !addr_is_unspecified(&o->listen.ip) &&
		strcmp(o->hostname, addr_format(&o->listen.ip, ip)) != 0)
		hosts[n++] = ip;
	bool had = access(cert_file, F_OK) == 0;
	int err = o->cert_file ? 0 : tls_self_signed(cert_file, key_file, hosts, n, eb);
	if (err)
		return err;
	struct tls *tls = tls_server(cert_file, key_file, eb);
	if (!tls)
		return eb->code;
	char pin[sizeof(r->pin)];
	err = tls_pin_of(cert_file, pin, eb);
	if (!err && !o->no_fast_start)
		err = tls_server_metacert(tls, r->pub, eb);
	if (err) {
		tls_free(tls);
		return err;
	}
	warn_of_certificate(o, cert_file, !o->cert_file && !had && !first);
	tls_free(r->tls); /* connections hold on to theirs */
	r->tls = tls;
	memcpy(r->pin, pin, sizeof(pin));
	return 0;
}

/* --- public --- */

/* What a place costs first is a descriptor; embedded, half of them are the owner's. */
static void init_places(struct relay *r, const struct relay_options *o, uint64_t seed)
{
	size_t have = sock_limit(), max = have > 2 * RESERVED_FDS ? have - RESERVED_FDS : RESERVED_FDS;
	if (o->embedded)
		max /= 2;
	size_t each = max / 4 < PER_ADDRESS_MAX ? max / 4 : PER_ADDRESS_MAX;
	places_init(&r->places, o->places_max ? o->places_max : max, o->per_address ? o->per_address : each,
		seed);
	if (!o->visits_max && r->visits_max > r->places.max / 2)
		r->visits_max = r->places.max / 2;
}

int relay_reload(struct relay *r, struct errbuf *eb)
{
	return load_certificate(r, &r->options, false, eb);
}

static int open_door(struct relay *r, bool first, struct errbuf *eb)
{
	int err = load_certificate(r, &r->options, first, eb);
	if (err)
		return err;
	r->fd = sock_tcp_listen(&r->options.listen, eb);
	if (r->fd < 0)
		return r->fd;
	sock_local(r->fd, &r->at);
	const struct acceptor_ops ops = { .arrived = arrived,
		.has_room = has_room,
		.arg = r,
		.what = "the relay",
		.paused = &r->stats.accept_paused };
	r->acceptor = acceptor_new(r->loop, r->fd, &ops);
	return r->acceptor ? 0 : err_set(eb, -ENOMEM, "start the relay");
}

struct relay *relay_open(struct loop *l, const struct relay_options *o, struct errbuf *eb)
{
	struct relay *r = calloc(1, sizeof(*r));
	uint64_t seed;
	bool first = false;
	if (!r) {
		err_set(eb, -ENOMEM, "start the relay");
		return NULL;
	}
	key_lock(r->priv, sizeof(r->priv));
	r->loop = l;
	r->options = *o;
	r->fd = -1;
	r->rnd = o->rnd ? o->rnd : &random_system;
	r->write_ms = o->write_ms;
	r->visits_max = o->visits_max ? o->visits_max : VISITS_MAX;
	r->visit_ms = o->visit_ms ? o->visit_ms : VISIT_MS;
	r->handshake_ms = o->handshake_ms ? o->handshake_ms : HANDSHAKE_MS;
	r->visits_end = &r->visits;
	r->rnd->fill(r->rnd->arg, &seed, sizeof(seed));
	table_init(&r->clients, KEY_LEN, seed);
	init_places(r, o, seed);
	if (!(r->overdue = loop_timer_new(l, visits_overdue, r))) {
		err_set(eb, -ENOMEM, "start the relay");
		goto fail;
	}
	if ((o->state_dir && dir_make(o->state_dir, 0700, eb) != 0) || load_key(r, &first, eb) != 0 ||
		(!o->embedded && open_door(r, first, eb) != 0))
		goto fail;
	for (size_t i = 0; i < o->n_stun; i++)
		if (!(r->stun[i] = stun_server_open(l, &o->stun[i], &r->stats, eb)))
			goto fail;
	return r;
fail:
	relay_close(r);
	return NULL;
}

void relay_close(struct relay *r)
{
	if (!r)
		return;
	while (r->all)
		client_close(r->all);
	while (r->visits)
		visit_drop(r->visits);
	table_fini(&r->clients);
	for (size_t i = 0; i < RELAY_STUN_MAX; i++)
		stun_server_close(r->stun[i]);
	places_fini(&r->places);
	loop_timer_free(r->overdue);
	acceptor_free(r->acceptor);
	if (r->fd >= 0)
		close(r->fd);
	tls_free(r->tls);
	key_wipe(r->priv, sizeof(r->priv));
	free(r);
}

struct endpoint relay_listen_at(const struct relay *r)
{
	return r->at;
}
struct endpoint relay_stun_at(const struct relay *r, size_t i)
{
	return i < RELAY_STUN_MAX && r->stun[i] ? stun_server_at(r->stun[i]) : (struct endpoint) { 0 };
}
const uint8_t *relay_public(const struct relay *r)
{
	return r->pub;
}
const char *relay_pin(const struct relay *r)
{
	return r->pin;
}
const struct relay_stats *relay_stats(const struct relay *r)
{
	return &r->stats;
}
