/* Clients by TLS (RFC 7858) and by HTTPS (RFC 8484). Streams of mesh/transport carry them; what is said on one is a
 * framing. Each question has a place of its own among SECURE_REQUESTS, whose number and generation are its handle in the
 * core, so that the answer finds its way also where all questions have the same id.
 *
 * A connection is open until the client ends it, says nothing whole for tcp_idle_ms, begins a question and does not end
 * it in tcp_message_ms, or lets answers lie. Answers are padded (RFC 8467 4.2) where the question had EDNS. */
#include "resolver/secure_clients.h"
#include "resolver/listen.h"

#include "mesh/base/slots.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	SECURE_REQUESTS = 4096,
	SECURE_CLIENTS = 256,
	SECURE_PER_CLIENT = 32,
	SECURE_LISTENERS = 2 * RESOLVER_LISTEN_MAX,
	PAD_BLOCK = 468,
	HELD_MAX = 16 << 20,
};

struct secure_listener {
	struct resolver_server *server;
	int fd;
	struct acceptor *acceptor;
	struct endpoint at;
	enum dns_secure_by by;
};
struct secure_clients {
	struct tls *tls[2]; /* by enum dns_secure_by; NULL: there is no certificate yet */
	struct secure_listener listeners[SECURE_LISTENERS];
	size_t n_listeners;
	struct secure_client *clients[SECURE_CLIENTS];
	struct secure_request requests[SECURE_REQUESTS], *free;
	uint64_t uses;
	size_t held; /* bytes of answers that wait */
	uint8_t padded[2 + DNS_MESSAGE_MAX];
};

/* ---- questions ---- */

static uint64_t handle_of(const struct secure_request *q)
{
	const struct secure_clients *all = q->on->server->secure;
	return (uint64_t)q->generation << 32 | STREAM_BIT | SECURE_BIT | (uint64_t)(q - all->requests);
}

static struct secure_request *request_find(const struct resolver_server *s, uint64_t client)
{
	struct secure_request *q = &s->secure->requests[client & (SECURE_REQUESTS - 1)];
	return q->on && handle_of(q) == client ? q : NULL;
}

struct secure_request *secure_request_new(struct secure_client *c)
{
	struct secure_clients *all = c->server->secure;
	struct secure_request *q = c->n_requests < SECURE_PENDING ? all->free : NULL;
	if (!q)
		return NULL;
	all->free = q->next;
	*q = (struct secure_request) { .on = c,
		.next = c->requests,
		.generation = q->generation + 1,
		.begun_ms = loop_now_ms(c->server->loop) };
	q->body.cap = DNS_MESSAGE_MAX + PAD_BLOCK;
	c->requests = q;
	c->n_requests++;
	return q;
}

void secure_request_free(struct secure_request *q)
{
	struct secure_clients *all = q->on->server->secure;
	struct secure_request **at = &q->on->requests;
	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	q->on->n_requests--;
	all->held -= q->held;
	q->on = NULL;
	buf_free(&q->body);
	q->next = all->free;
	all->free = q;
}

void secure_request_drop(struct secure_request *q)
{
	if (q->asked)
		resolver_client_gone(q->on->server->core, handle_of(q));
	secure_request_free(q);
}

static size_t held_by(const struct secure_client *c)
{
	size_t held = 0;
	for (const struct secure_request *q = c->requests; q; q = q->next)
		held += q->held;
	return held;
}

/* Of all the one for whom the most waits ends: what it does not read would be no answer to others. It is freed when
 * nothing is under way on it. false: it is c itself. */
static bool hoarder_end(struct secure_clients *all, const struct secure_client *c)
{
	struct secure_client *most = NULL;
	size_t most_held = 0;
	for (unsigned i = 0; i < SECURE_CLIENTS; i++) {
		size_t held = all->clients[i] ? held_by(all->clients[i]) : 0;
		if (held > most_held) {
			most = all->clients[i];
			most_held = held;
		}
	}
	if (!most || most == c)
		return false;
	for (struct secure_request *q = most->requests; q; q = q->next) {
		all->held -= q->held;
		q->held = q->out_at = 0;
		buf_free(&q->body);
	}
	most->server->stats.tcp_evicted++;
	most->broken = most->dirty = most->server->secure_dirty = true;
	return true;
}

bool secure_request_hold(struct secure_request *q, const uint8_t *msg, size_t len)
{
	struct secure_clients *all = q->on->server->secure;
	while (len > HELD_MAX - all->held)
		if (!hoarder_end(all, q->on))
			return false;
	if (!buf_append(&q->body, msg, len))
		return false;
	q->held = len;
	all->held += len;
	return true;
}

/* Since when the oldest question comes that has not yet come whole; 0: there is none. */
static uint64_t oldest_begun_ms(const struct secure_client *c)
{
	uint64_t oldest = 0;
	for (const struct secure_request *q = c->requests; q; q = q->next)
		if (q->begun_ms && (!oldest || q->begun_ms < oldest))
			oldest = q->begun_ms;
	return oldest;
}

/* As long as a question has yet to come whole, others give it no time. */
static void timer_renew(struct secure_client *c, uint64_t otherwise_ms)
{
	uint64_t begun_ms = oldest_begun_ms(c), now_ms = loop_now_ms(c->server->loop);
	uint64_t end_ms = begun_ms + c->server->options.tcp_message_ms;
	loop_timer_set(c->timer, !begun_ms ? otherwise_ms : end_ms > now_ms ? end_ms - now_ms : 0);
}

bool secure_request_ask(struct secure_request *q, const uint8_t *msg, size_t len)
{
	struct secure_client *c = q->on;
	struct resolver_server *s = c->server;
	c->used = ++s->secure->uses;
	q->begun_ms = 0;
	timer_renew(c, s->options.tcp_idle_ms);
	q->asked = true;
	if (server_query(s, loop_now_ms(s->loop), handle_of(q), &c->from.ip, msg, len))
		return true;
	q->asked = false;
	return false;
}

void secure_client_waits(struct secure_client *c)
{
	timer_renew(c, c->server->options.tcp_message_ms);
}

bool secure_from(struct resolver_server *s, uint64_t client, struct addr *out)
{
	const struct secure_request *q = request_find(s, client);
	if (q)
		*out = q->on->from.ip;
	return q;
}

void secure_reply(struct resolver_server *s, uint64_t client, const uint8_t *msg, size_t len)
{
	struct secure_clients *all = s->secure;
	struct secure_request *q = request_find(s, client);
	if (!q)
		return;
	struct secure_client *c = q->on;
	memcpy(all->padded + 2, msg, len);
	len = dns_pad(all->padded + 2, len, DNS_MESSAGE_MAX, PAD_BLOCK);
	q->asked = false;
	if (c->by->reply(c, q, all->padded + 2, len))
		c->broken = true;
	c->dirty = s->secure_dirty = true;
}

/* ---- connections ---- */

static void client_free(struct secure_client *c)
{
	struct secure_clients *all = c->server->secure;
	all->clients[c->slot] = NULL;
	while (c->requests)
		secure_request_drop(c->requests);
	c->by->close(c);
	loop_timer_free(c->timer);
	stream_close(c->stream, true);
	free(c);
}

void secure_flush(struct resolver_server *s)
{
	s->secure_dirty = false;
	for (unsigned i = 0; i < SECURE_CLIENTS; i++) {
		struct secure_client *c = s->secure->clients[i];
		if (!c || !c->dirty)
			continue;
		c->dirty = false;
		if (c->broken || (c->by->flush && c->by->flush(c))) {
			client_free(c);
		} else if (c->paused && c->n_requests < SECURE_PENDING) {
			c->paused = false;
			stream_pause(c->stream, false);
		}
	}
}

static void client_opened(void *arg)
{
	struct secure_client *c = arg;
	if (c->by->open(c))
		client_free(c);
}

static void client_data(void *arg, const uint8_t *p, size_t len)
{
	struct secure_client *c = arg;
	struct resolver_server *s = c->server;
	int code = c->by->received(c, p, len);
	s->stats.tcp_garbage += code == ERR_MALFORMED;
	if (code || c->broken)
		client_free(c);
	server_settle(s);
}

static void client_drained(void *arg)
{
	struct secure_client *c = arg;
	if (c->by->flush && c->by->flush(c))
		client_free(c);
}

static void client_closed(void *arg, int code, const char *why)
{
	struct secure_client *c = arg;
	struct resolver_server *s = c->server;
	(void)code;
	(void)why;
	client_free(c);
	server_settle(s);
}

static bool is_any_asked(const struct secure_client *c)
{
	const struct secure_request *q = c->requests;
	while (q && !q->asked)
		q = q->next;
	return q;
}

static void client_expired(void *arg)
{
	struct secure_client *c = arg;
	struct resolver_server *s = c->server;
	uint64_t begun_ms = oldest_begun_ms(c);
	bool late = begun_ms && loop_now_ms(s->loop) >= begun_ms + s->options.tcp_message_ms;
	/* what the core has it will answer: its deadline is shorter than ours */
	if (!late && (begun_ms || is_any_asked(c))) {
		timer_renew(c, s->options.tcp_idle_ms);
		return;
	}
	s->stats.tcp_timeout++;
	client_free(c);
	server_settle(s);
}

static struct slot_holder holder_of(const void *arg, unsigned slot)
{
	const struct secure_clients *all = arg;
	const struct secure_client *c = all->clients[slot];
	return c ? (struct slot_holder) { .ip = &c->from.ip,
		.owed = is_any_asked(c) || held_by(c),
		.used = c->used }
		 : (struct slot_holder) { 0 };
}

/* A slot that is free now, or SECURE_CLIENTS. */
static unsigned slot_get(struct resolver_server *s, const struct endpoint *from)
{
	struct secure_clients *all = s->secure;
	const struct slots slots = {
		.n = SECURE_CLIENTS, .each = SECURE_PER_CLIENT, .look = holder_of, .arg = all
	};
	unsigned slot = slots_choose(&slots, &from->ip);
	if (slot < SECURE_CLIENTS && all->clients[slot]) {
		s->stats.tcp_evicted++;
		client_free(all->clients[slot]);
	}
	return slot;
}

/* fd: taken over. */
static void client_new(struct secure_listener *l, int fd, const struct endpoint *from)
{
	struct resolver_server *s = l->server;
	struct secure_clients *all = s->secure;
	struct tls *tls = all->tls[l->by];
	unsigned slot = tls ? slot_get(s, from) : SECURE_CLIENTS;
	struct secure_client *c = slot < SECURE_CLIENTS ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		s->stats.tcp_full++;
		close(fd);
		return;
	}
	struct stream_events ev = { .opened = client_opened,
		.data = client_data,
		.drained = client_drained,
		.closed = client_closed,
		.arg = c };
	*c = (struct secure_client) { .server = s, .from = *from, .slot = slot, .used = ++all->uses };
	c->by = l->by == DNS_SECURE_TLS ? &secure_framing_tls : &secure_framing_https;
	c->timer = loop_timer_new(s->loop, client_expired, c);
	c->stream = stream_accept(s->loop, fd, tls, &ev);
	if (!c->timer || !c->stream) {
		stream_close(c->stream, false);
		loop_timer_free(c->timer);
		free(c);
		return;
	}
	stream_queue_cap(c->stream, SECURE_OUT);
	all->clients[slot] = c;
	s->stats.tcp_accepted++;
	loop_timer_set(c->timer, s->options.tcp_idle_ms);
}

static void client_arrived(void *arg, int fd, const struct endpoint *from)
{
	struct secure_listener *l = arg;
	if (server_allows(l->server, &from->ip))
		client_new(l, fd, from);
	else
		close(fd);
}

/* ---- the whole ---- */

static int clients_open(struct resolver_server *s, struct errbuf *eb)
{
	if (s->secure)
		return 0;
	struct secure_clients *all = s->secure = calloc(1, sizeof(*all));
	if (!all)
		return err_say(eb, -ENOMEM, "out of memory for DNS clients by TLS");
	for (unsigned i = SECURE_REQUESTS; i-- > 0; all->free = &all->requests[i])
		all->requests[i].next = all->free;
	return 0;
}

int resolver_server_listen_secure(
	struct resolver_server *s, const struct endpoint *at, enum dns_secure_by by, struct errbuf *eb)
{
	int err = clients_open(s, eb);
	if (err)
		return err;
	struct secure_clients *all = s->secure;
	if (all->n_listeners == SECURE_LISTENERS)
		return err_say(eb, ERR_TOO_LARGE, "DNS by TLS and HTTPS listens on %d addresses at most",
			SECURE_LISTENERS);
	struct secure_listener *l = &all->listeners[all->n_listeners];
	*l = (struct secure_listener) { .server = s, .by = by, .at = *at, .fd = sock_tcp_listen(at, eb) };
	if (l->fd < 0)
		return l->fd;
	err = s->options.listen_socket ? s->options.listen_socket(s->options.arg, l->fd) : 0;
	if (err < 0) {
		close(l->fd);
		return err_set(eb, err, "listen for DNS by TLS or HTTPS");
	}
	sock_local(l->fd, &l->at);
	const struct acceptor_ops ops = { .arrived = client_arrived,
		.arg = l,
		.what = by == DNS_SECURE_TLS ? "DNS by TLS" : "DNS by HTTPS",
		.paused = &s->stats.tcp_paused };
	l->acceptor = acceptor_new(s->loop, l->fd, &ops);
	if (!l->acceptor) {
		close(l->fd);
		return err_say(eb, -ENOMEM, "out of memory for a DNS listener");
	}
	all->n_listeners++;
	return 0;
}

static bool is_listening(const struct resolver_server *s, const struct endpoint *at, enum dns_secure_by by)
{
	const struct secure_clients *all = s->secure;
	for (size_t i = 0; all && i < all->n_listeners; i++)
		if (all->listeners[i].by == by && endpoint_equal(&all->listeners[i].at, at))
			return true;
	return false;
}

int resolver_server_listen_beside(
	struct resolver_server *s, uint16_t port, enum dns_secure_by by, struct errbuf *eb)
{
	int first = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct endpoint at = s->udp[i].at;
		struct errbuf why = { 0 };
		at.port = port;
		int err = i + 1 == s->inner || is_listening(s, &at, by)
				  ? 0
				  : resolver_server_listen_secure(s, &at, by, &why);
		if (err && !first) {
			first = err;
			err_say(eb, err, "%s", why.text);
		}
	}
	return first;
}

int resolver_server_certificate(
	struct resolver_server *s, const char *cert_file, const char *key_file, struct errbuf *eb)
{
	static const char *const protocols[] = { [DNS_SECURE_TLS] = "dot", [DNS_SECURE_HTTPS] = "h2" };
	struct tls *fresh[2] = { NULL };
	struct errbuf own;
	eb = eb ? eb : &own;
	int err = clients_open(s, eb);
	for (int by = 0; !err && by < 2; by++) {
		fresh[by] = tls_server(cert_file, key_file, eb);
		if (fresh[by])
			tls_server_speaks(fresh[by], protocols[by]);
		else
			err = eb->code;
	}
	for (int by = 0; by < 2; by++) {
		tls_free(err ? fresh[by] : s->secure->tls[by]);
		if (!err)
			s->secure->tls[by] = fresh[by];
	}
	return err;
}

bool resolver_server_secure(
	const struct resolver_server *s, size_t i, struct endpoint *at, enum dns_secure_by *by)
{
	if (!s->secure || i >= s->secure->n_listeners)
		return false;
	*at = s->secure->listeners[i].at;
	*by = s->secure->listeners[i].by;
	return true;
}

void secure_close(struct resolver_server *s)
{
	struct secure_clients *all = s->secure;
	if (!all)
		return;
	for (unsigned i = 0; i < SECURE_CLIENTS; i++)
		if (all->clients[i]) {
			for (struct secure_request *q = all->clients[i]->requests; q; q = q->next)
				q->asked = false; /* the core is gone */
			client_free(all->clients[i]);
		}
	for (size_t i = 0; i < all->n_listeners; i++) {
		acceptor_free(all->listeners[i].acceptor);
		close(all->listeners[i].fd);
	}
	tls_free(all->tls[0]);
	tls_free(all->tls[1]);
	free(all);
	s->secure = NULL;
}

/* ---- inside TLS: two bytes of length before each message ---- */

struct length_state {
	size_t len;
	uint8_t in[2 + SECURE_MESSAGE_IN];
};

static int tls_open(struct secure_client *c)
{
	c->state = calloc(1, sizeof(struct length_state));
	return c->state ? 0 : -ENOMEM;
}

static int tls_received(struct secure_client *c, const uint8_t *p, size_t len)
{
	struct length_state *s = c->state;
	while (len) {
		if (!s->len && c->n_requests == SECURE_PENDING) { /* the rest when answers have gone out */
			c->paused = true;
			stream_pause(c->stream, true);
			stream_unread(c->stream, p, len);
			return 0;
		}
		size_t want = s->len < 2 ? 2 : 2 + be_get(s->in, 2);
		size_t n = want - s->len < len ? want - s->len : len;
		if (!s->len)
			secure_client_waits(c);
		memcpy(s->in + s->len, p, n);
		s->len += n;
		p += n;
		len -= n;
		size_t message = s->len < 2 ? 0 : be_get(s->in, 2);
		if (s->len >= 2 && (message < DNS_HEADER || message > SECURE_MESSAGE_IN))
			return ERR_MALFORMED;
		if (s->len < 2 || s->len < 2 + message)
			continue;
		struct secure_request *q = secure_request_new(c);
		s->len = 0;
		if (!q) /* others have all places */
			return ERR_TOO_LARGE;
		if (!secure_request_ask(q, s->in + 2, message))
			secure_request_free(q);
	}
	return 0;
}

static int tls_reply(struct secure_client *c, struct secure_request *q, uint8_t *msg, size_t len)
{
	secure_request_free(q);
	be_put(msg - 2, 2, len);
	return stream_write(c->stream, msg - 2, 2 + len);
}

static void tls_close(struct secure_client *c)
{
	free(c->state);
}

const struct secure_framing secure_framing_tls = {
	.open = tls_open, .received = tls_received, .reply = tls_reply, .close = tls_close
};
