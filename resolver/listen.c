/* A resolver behind sockets: UDP here (read in udp_in.c, sent in udp_out.c), TCP clients in stream.c, upstreams in resolver/exchange; one timer.
 *
 * The core (resolver.h) is called with bytes and a time and calls back what it wants sent, through ops, while
 * it is being called. Nothing is sent from within an op: replies are collected in `out`, failures of sockets
 * in the exchange. server_settle does all of that after each call into the core, then sets the timer to the
 * core's next deadline. Every entry from the loop (a socket that is readable, the timer, a name server that
 * is doubted) ends in it, and no other place may leave with work undone.
 *
 * A client by UDP is a place in `peers`, taken when its question comes and given back when its reply is on
 * the wire; the generation in its handle tells a late reply from one to the next holder. They are as many as
 * the core parks questions, and a batch more: a full house drops datagrams, and counts them. */
#include "resolver/listen.h"
#include "resolver/server.h"

#include "mesh/base/buf.h"
#include "mesh/base/table.h"
#include "mesh/os/sock.h"
#include "resolver/exchange/validate.h"
#include "resolver/report.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- replies ---- */

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	struct resolver_server *s = arg;
	if (client & SECURE_BIT) {
		secure_reply(s, client, msg, len);
		return;
	}
	if (client & STREAM_BIT) {
		stream_reply(s, client, msg, len);
		return;
	}
	uint32_t peer = (uint32_t)client;
	if (s->peers[peer].generation != (uint32_t)(client >> 32) || len > DNS_UDP_SIZE)
		return;
	if (s->n_out == UDP_BATCH)
		udp_out_flush(s);
	struct udp_out *o = &s->out[s->n_out++];
	o->peer = peer;
	o->len = (uint16_t)len;
	memcpy(o->msg, msg, len);
}

/* Who asked; false: a connection that is gone. */
static bool client_from(struct resolver_server *s, uint64_t client, struct addr *out)
{
	struct endpoint from;
	if (client & SECURE_BIT)
		return secure_from(s, client, out);
	if (client & STREAM_BIT)
		return stream_from(s, client, out);
	if (!endpoint_from_sockaddr((const struct sockaddr *)&s->peers[(uint32_t)client].from, &from))
		return false;
	*out = from.ip;
	return true;
}

static bool is_inner(const struct resolver_server *s, uint64_t client)
{
	if (!s->inner || client & SECURE_BIT)
		return false;
	return client & STREAM_BIT ? stream_is_inner(s, client)
				   : s->peers[(uint32_t)client].listener == s->inner - 1;
}

static uint32_t lists(void *arg, uint64_t client)
{
	struct resolver_server *s = arg;
	struct addr from;
	if (is_inner(s, client))
		return 0;
	if (!s->options.lists)
		return UINT32_MAX;
	return client_from(s, client, &from) ? s->options.lists(s->options.arg, &from) : 0;
}

static bool may_have(void *arg, uint64_t client)
{
	struct resolver_server *s = arg;
	struct addr from;
	if (is_inner(s, client))
		return true;
	return client_from(s, client, &from) && s->options.may_have(s->options.arg, &from);
}

static void timer_arm(struct resolver_server *s);
static void sooner(void *arg)
{
	timer_arm(arg);
}

static void told(void *arg, const struct resolver_told *t)
{
	struct resolver_server *s = arg;
	struct addr from;
	if (!s->journal || is_inner(s, t->client) || !client_from(s, t->client, &from))
		return;
	journal_add(s->journal, &(struct journal_question) { .unix_ms = clock_unix_ms(),
					.client = from,
					.name = *t->name,
					.type = t->type,
					.rcode = t->rcode,
					.source = t->source,
					.took_ms = t->took_ms });
}

static void upstream_send(
	void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len)
{
	static const enum exchange_by of[] = { [DNS_SECURE_TLS] = EXCHANGE_TLS,
		[DNS_SECURE_HTTPS] = EXCHANGE_HTTPS,
		[DNS_SECURE_MESH] = EXCHANGE_HTTP };
	struct resolver_server *s = arg;
	struct exchange_to by = { .at = to->at, .fresh = to->fresh, .secure = to->secure };
	by.by = to->tcp ? EXCHANGE_TCP : EXCHANGE_UDP;
	if (to->validated)
		by.by = EXCHANGE_VALIDATED;
	else if (to->secure)
		by.by = of[to->secure->by];
	exchange_send(s->exchange, id, &by, msg, len);
}

static void upstream_done(void *arg, uint64_t id)
{
	exchange_done(((struct resolver_server *)arg)->exchange, id);
}

static void upstream_received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	struct resolver_server *s = arg;
	resolver_upstream_received(s->core, loop_now_ms(s->loop), id, msg, len);
}

static void upstream_failed(void *arg, uint64_t id, int code)
{
	struct resolver_server *s = arg;
	resolver_upstream_failed(s->core, loop_now_ms(s->loop), id, code);
}

static void upstream_woken(void *arg)
{
	server_settle(arg);
}

/* ---- UDP in ---- */

static void control_keep(struct udp_peer *p, struct msghdr *h)
{
	p->control_len = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		bool info = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) ||
			    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO);
		size_t len = CMSG_ALIGN(c->cmsg_len);
		if (!info || len > sizeof(p->control))
			continue;
		memcpy(p->control, c, c->cmsg_len);
		/* is_same_peer compares all of it */
		memset(p->control + c->cmsg_len, 0, len - c->cmsg_len);
		if (c->cmsg_level ==
			IPPROTO_IP) /* the answer goes back by the route, not by the interface it came in */
			((struct in_pktinfo *)CMSG_DATA((struct cmsghdr *)p->control))->ipi_ifindex = 0;
		p->control_len = (uint8_t)len;
	}
}

/* A bare header: no longer than what was asked, so of no use to an attack on whose address it is. false: it was
 * no question. */
static bool refusal_write(uint8_t header[static DNS_HEADER], const uint8_t *asked, size_t len)
{
	if (len < DNS_HEADER || asked[2] & 0x80)
		return false;
	memset(header, 0, DNS_HEADER);
	memcpy(header, asked, 2);
	header[2] = (uint8_t)(0x80 | (asked[2] & 0x79)); /* opcode and RD as asked */
	header[3] = DNS_REFUSED;
	return true;
}

static void datagram_refuse(struct resolver_server *s, uint8_t listener, const struct mmsghdr *m)
{
	uint8_t header[DNS_HEADER];
	struct udp_peer to = { 0 };
	struct iovec io = { header, sizeof(header) };
	struct msghdr h = m->msg_hdr;
	if (!refusal_write(header, m->msg_hdr.msg_iov->iov_base, m->msg_len))
		return;
	control_keep(&to, &h);
	h.msg_iov = &io;
	h.msg_control = to.control_len ? to.control : NULL;
	h.msg_controllen = to.control_len;
	h.msg_flags = 0;
	(void)sendmsg(s->udp[listener].fd, &h, MSG_DONTWAIT);
}

/* Wherever it stands in the question: nobody else knows it. */
static bool has_inner_word(const struct resolver_server *s, const uint8_t *msg, size_t len)
{
	bool found = false;
	for (size_t at = DNS_HEADER; at + INNER_WORD <= len; at++)
		found = key_equal(msg + at, (const uint8_t *)s->inner_word) || found;
	return found;
}

bool server_query(struct resolver_server *s, uint64_t now_ms, uint64_t client, const struct addr *from,
	const uint8_t *msg, size_t len)
{
	uint8_t header[DNS_HEADER];
	bool inner = is_inner(s, client), may = !inner || has_inner_word(s, msg, len);
	if (may && (inner || server_takes(s, from, now_ms)))
		return resolver_query(s->core, now_ms, client, msg, len, client & STREAM_BIT);
	if (!refusal_write(header, msg, len))
		return false;
	if (may)
		s->stats.rate_limited++;
	else
		s->stats.not_allowed++;
	reply(s, client, header, sizeof(header));
	return true;
}

/* Answers that are held back and then all go out at once are a weapon, and whose address it is cannot be known by UDP
 * (DNSBomb, CVE-2024-33655): so many wait for one client. Those whose hashes meet share a count. */
static uint16_t waits_of(struct resolver_server *s, const struct addr *from)
{
	if (addr_equal(&s->waits_last.from, from)) /* who asks much asks in a row */
		return s->waits_last.count;
	size_t len = addr_is_v4(from) ? sizeof(from->b) : sizeof(from->b) / 2; /* IPv6: the /64 */
	s->waits_last.from = *from;
	s->waits_last.count =
		(uint16_t)(hash_bytes(from->b, len, s->waits_seed[0], s->waits_seed[1]) % UDP_WAIT_COUNTS);
	return s->waits_last.count;
}

static uint16_t who(void *arg, uint64_t client)
{
	struct addr from = { { 0 } };
	static_assert((int)UDP_WAIT_COUNTS == (int)RESOLVER_WHO, "the same numbers");
	(void)client_from(arg, client, &from);
	return waits_of(arg, &from);
}

static void datagram_received(struct resolver_server *s, uint8_t listener, struct mmsghdr *m, uint64_t now_ms)
{
	if (m->msg_hdr.msg_flags & MSG_TRUNC) {
		s->stats.udp_oversize++;
		return;
	}
	struct endpoint from = { 0 };
	if (!endpoint_from_sockaddr(m->msg_hdr.msg_name, &from) ||
		(listener + 1u != s->inner && !server_allows(s, &from.ip))) {
		datagram_refuse(s, listener, m);
		return;
	}
	if (!s->n_free_peers) {
		s->stats.udp_full++;
		return;
	}
	uint16_t count = waits_of(s, &from.ip);
	if (s->waits[count] >= UDP_WAITS_MAX) {
		s->stats.udp_waiting++;
		datagram_refuse(s, listener, m);
		return;
	}
	uint32_t number = s->free_peers[--s->n_free_peers];
	struct udp_peer *p = &s->peers[number];
	s->waits[p->count = count]++;
	memcpy(&p->from, m->msg_hdr.msg_name, m->msg_hdr.msg_namelen);
	p->from_len = m->msg_hdr.msg_namelen;
	p->listener = listener;
	p->control_len = 0;
	if (m->msg_hdr.msg_controllen)
		control_keep(p, &m->msg_hdr);
	uint64_t client = (uint64_t)p->generation << 32 | number;
	uint8_t *msg = m->msg_hdr.msg_iov->iov_base;
	if (listener + 1u == s->inner && m->msg_len >= DNS_HEADER)
		msg[3] |= DNS_CD; /* what validates is not validated */
	if (!server_query(s, now_ms, client, &from.ip, msg, m->msg_len))
		udp_peer_give_back(s, number);
}

static void udp_readable(void *arg, int events)
{
	struct udp_listener *l = arg;
	struct resolver_server *s = l->server;
	(void)events;
	for (int round = 0; round < BATCHES_PER_WAKEUP; round++) {
		int n = udp_in_read(l);
		uint64_t now_ms = n > 0 ? loop_now_ms(s->loop) : 0;
		for (int i = 0; i < n; i++) {
			datagram_received(s, (uint8_t)(l - s->udp), &s->in_headers[i], now_ms);
			udp_in_ready(s, (size_t)i);
		}
		server_settle(s);
		if (n < UDP_BATCH)
			return;
	}
}

/* ---- the whole ---- */

static void timer_due(void *arg)
{
	struct resolver_server *s = arg;
	s->timer_ms = UINT64_MAX;
	resolver_tick(s->core, loop_now_ms(s->loop));
	server_settle(s);
}

static void timer_arm(struct resolver_server *s)
{
	uint64_t due = resolver_deadline(s->core);
	if (due == s->timer_ms)
		return;
	s->timer_ms = due;
	if (due == UINT64_MAX) {
		loop_timer_clear(s->timer);
		return;
	}
	uint64_t now_ms = loop_now_ms(s->loop);
	loop_timer_set(s->timer, due > now_ms ? due - now_ms : 0);
}

void server_settle(struct resolver_server *s)
{
	while (!exchange_is_settled(s->exchange) || s->n_out || s->streams_dirty || s->secure_dirty) {
		exchange_settle(s->exchange);
		if (s->n_out)
			udp_out_flush(s);
		if (s->streams_dirty)
			streams_flush(s);
		if (s->secure_dirty)
			secure_flush(s);
	}
	timer_arm(s);
}

int server_listens(const struct resolver_server *s, size_t i, int fd, struct errbuf *eb)
{
	bool asked = s->options.listen_socket && i + 1 != s->inner;
	int err = asked ? s->options.listen_socket(s->options.arg, fd) : 0;
	return err < 0 ? err_set(eb, err, "listen for DNS") : 0;
}

static int udp_open(struct resolver_server *s, size_t i, const struct endpoint *at, struct errbuf *eb)
{
	struct udp_listener *l = &s->udp[i];
	int on = 1;
	l->server = s;
	l->fd = sock_udp(at, eb);
	if (l->fd < 0)
		return l->fd;
	int err = server_listens(s, i, l->fd, eb);
	if (err)
		return err;
	l->at = *at;
	l->wildcard = addr_is_unspecified(&at->ip);
	sock_local(l->fd, &l->at);
	if (l->wildcard) {
		bool v4 = addr_is_v4(&l->at.ip);
		setsockopt(l->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on,
			sizeof(on));
	}
	l->watch = loop_fd_new(s->loop, l->fd, udp_readable, l);
	if (!l->watch)
		return err_say(eb, -ENOMEM, "out of memory for a DNS listener");
	loop_fd_set(l->watch, LOOP_READ);
	return 0;
}

static void udp_close(struct udp_listener *l)
{
	loop_fd_free(l->watch);
	if (l->fd >= 0)
		close(l->fd);
	l->watch = NULL;
	l->fd = -1;
}

/* Both protocols on one port. A port the kernel chose for UDP may be taken for TCP: then it chooses another.
 */
static int listener_open(struct resolver_server *s, size_t i, const struct endpoint *at, struct errbuf *eb)
{
	int err = 0;
	for (int tries = 0; tries < PORT_TRIES; tries++) {
		err = udp_open(s, i, at, eb);
		if (!err)
			err = streams_open(s, i, eb);
		if (err != -EADDRINUSE || at->port)
			break;
		udp_close(&s->udp[i]);
	}
	return err;
}

static bool memory_get(struct resolver_server *s)
{
	struct resolver_ops ops = { .reply = reply,
		.upstream_send = upstream_send,
		.upstream_done = upstream_done,
		.who = who,
		.lists = lists,
		.may_have = s->options.may_have ? may_have : NULL,
		.told = told,
		.sooner = sooner,
		.case_changes = resolver_case_say,
		.arg = s };
	s->peers = calloc(UDP_PEERS, sizeof(*s->peers));
	s->free_peers = calloc(UDP_PEERS, sizeof(*s->free_peers));
	s->timer = loop_timer_new(s->loop, timer_due, s);
	s->core = resolver_new(&ops, s->options.rnd);
	if (!s->peers || !s->free_peers || !s->timer || !s->core)
		return false;
	while (s->n_free_peers < UDP_PEERS) {
		s->free_peers[s->n_free_peers] = UDP_PEERS - 1 - s->n_free_peers;
		s->n_free_peers++;
	}
	return true;
}

static struct exchange *exchange_for(struct resolver_server *s, struct errbuf *eb)
{
	struct exchange_options o = { .loop = s->loop,
		.rnd = s->options.rnd,
		.socket = s->options.upstream_socket,
		.socket_arg = s->options.arg,
		.received = upstream_received,
		.failed = upstream_failed,
		.woken = upstream_woken,
		.arg = s };
	return exchange_open(&o, eb);
}

struct resolver_server *resolver_server_open(
	struct loop *l, const struct resolver_server_options *o, struct errbuf *eb)
{
	struct resolver_server *s = calloc(1, sizeof(*s));
	if (!s || !o->n || o->n > RESOLVER_LISTEN_MAX) {
		err_say(eb, ERR_TOO_LARGE, "DNS listens on 1 to %d addresses, not %zu", RESOLVER_LISTEN_MAX,
			o->n);
		free(s);
		return NULL;
	}
	s->loop = l;
	s->options = *o;
	if (!s->options.rnd)
		s->options.rnd = &random_system;
	s->options.at = NULL;
	if (!s->options.tcp_message_ms)
		s->options.tcp_message_ms = TCP_MESSAGE_MS;
	if (!s->options.tcp_idle_ms)
		s->options.tcp_idle_ms = DNS_TCP_IDLE_MS;
	s->timer_ms = UINT64_MAX;
	udp_in_all_ready(s, false);
	s->options.rnd->fill(s->options.rnd->arg, s->waits_seed, sizeof(s->waits_seed));
	bool ok = memory_get(s) || (err_say(eb, -ENOMEM, "out of memory for the resolver"), false);
	ok = ok && (s->exchange = exchange_for(s, eb)) != NULL;
	for (size_t i = 0; ok && i < o->n; i++) {
		s->udp[i].fd = s->tcp[i].fd = -1;
		s->n = i + 1;
		ok = !listener_open(s, i, &o->at[i], eb);
	}
	struct resolver_config none = { 0 };
	if (ok && !resolver_server_configure(s, &none, eb))
		return s;
	resolver_server_close(s);
	return NULL;
}

void resolver_server_close(struct resolver_server *s)
{
	if (!s)
		return;
	resolver_free(s->core);
	streams_close(s);
	secure_close(s);
	exchange_close(s->exchange);
	journal_free(s->journal);
	rate_free(s->rate);
	for (size_t i = 0; i < s->n; i++)
		udp_close(&s->udp[i]);
	loop_timer_free(s->timer);
	free(s->peers);
	free(s->free_peers);
	free(s->allow);
	key_wipe(s->inner_word, sizeof(s->inner_word));
	free(s);
}

void resolver_server_proxies(struct resolver_server *s, const struct proxies *p)
{
	exchange_proxies(s->exchange, p);
}

struct resolver *resolver_server_core(struct resolver_server *s)
{
	return s->core;
}
const struct resolver_server_stats *resolver_server_stats(const struct resolver_server *s)
{
	return &s->stats;
}
int resolver_server_journal_set(struct resolver_server *s, bool on)
{
	uint64_t seed[2];
	if (!on) {
		journal_free(s->journal);
		s->journal = NULL;
	} else if (!s->journal) {
		s->options.rnd->fill(s->options.rnd->arg, seed, sizeof(seed));
		s->journal = journal_new(seed);
		return s->journal ? 0 : -ENOMEM;
	}
	return 0;
}
const struct journal *resolver_server_journal(const struct resolver_server *s)
{
	return s->journal;
}
struct endpoint resolver_server_endpoint(const struct resolver_server *s, size_t i)
{
	return s->udp[i].at;
}

int resolver_server_configure(struct resolver_server *s, const struct resolver_config *c, struct errbuf *eb)
{
	struct endpoint own[3 * RESOLVER_LISTEN_MAX + 1];
	enum dns_secure_by by;
	struct resolver_config mine = *c;
	for (size_t i = 0; i < s->n; i++)
		own[i] = s->udp[i].at;
	mine.own = own;
	mine.n_own = s->n;
	while (mine.n_own < ARRAY_LEN(own) &&
		resolver_server_secure(s, mine.n_own - s->n, &own[mine.n_own], &by))
		mine.n_own++;
	int err = resolver_configure(s->core, &mine, eb);
	server_settle(s);
	return err;
}

static int inner_open(struct resolver_server *s, struct errbuf *eb)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	size_t i = s->n;
	uint8_t random[INNER_WORD / 2];
	if (s->inner)
		return 0;
	s->options.rnd->fill(s->options.rnd->arg, random, sizeof(random));
	hex_encode(random, sizeof(random), s->inner_word);
	key_wipe(random, sizeof(random));
	s->udp[i].fd = s->tcp[i].fd = -1;
	s->n = s->inner = i + 1;
	int err = listener_open(s, i, &at, eb);
	if (!err)
		return 0;
	stream_listener_close(&s->tcp[i]);
	udp_close(&s->udp[i]);
	s->n = i;
	s->inner = 0;
	return err;
}

int resolver_server_validate(
	struct resolver_server *s, const struct resolver_validation *v, struct errbuf *eb)
{
	int err = v ? inner_open(s, eb) : exchange_validate(s->exchange, NULL, eb);
	if (err || !v) {
		server_settle(s);
		return err;
	}
	struct exchange_validation how = { .ask = s->udp[s->inner - 1].at,
		.word = s->inner_word,
		.anchors = v->anchors,
		.insecure = v->insecure,
		.n_insecure = v->n_insecure };
	err = exchange_validate(s->exchange, &how, eb);
	server_settle(s);
	return err;
}

int resolver_server_authorities(struct resolver_server *s, const char *ca_file, struct errbuf *eb)
{
	return exchange_authorities(s->exchange, ca_file, eb);
}

void resolver_server_network_changed(struct resolver_server *s)
{
	exchange_forget(s->exchange);
	resolver_network_changed(s->core);
	server_settle(s);
}

void resolver_server_doubt(struct resolver_server *s, const struct addr *ip)
{
	resolver_upstream_doubted(s->core, loop_now_ms(s->loop), ip);
	server_settle(s);
}
