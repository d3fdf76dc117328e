#include "mesh/node/links/relay_link.h"
#include "mesh/base/buf.h"
#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include "mesh/proto/derp.h"
#include "mesh/proto/derp_queue.h"
#include "mesh/proto/disco.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RELAY_PORT = 443,
	HANDSHAKE_MS = 10000,
	SILENCE_MS = 120000,	/* keep-alives come each 60-65 s */
	WAITING_MAX = 64 << 10, /* bytes held while the handshake runs: the first packets of a session */
	/* A way that swallows packets: another region is better than waiting, but a slow line that loses some
	   is no such way, and a new connection over it takes longest of all. STUCK_MS while we send, for the
	   kernel judges only when it sends again, ever later. */
	STUCK_MS = 4000,
	STUCK_MAX_MS = 12000,
	UNACKED_MORE_MS = 2000,
	/* What the kernel holds beyond what is under way. A slow line sends this first, whatever comes behind
	   it: some seconds' worth where TCP makes 50 kbit/s. */
	UNSENT_MAX = 16 << 10,
	BATCH_MAX = 64 << 10,  /* bytes joined into one write */
	RECORD_MAX = 16 << 10, /* and into one TLS record: no more at once for a network that had enough */
	NS_US = 1000,
};

static_assert(DERP_HEADER + DERP_FRAME_MAX <= STREAM_REST_MAX, "a frame may come cut anywhere");

enum { RELAY_FRAME_MAX = DERP_HEADER + KEY_LEN + PKT_SIZE };
static_assert((int)PKT_BATCH_BYTES <= (int)BATCH_MAX - (int)RELAY_FRAME_MAX,
	"a batch from the TUN leaves by one write");

enum relay_stage { RELAY_CONNECTING, RELAY_SERVER_KEY, RELAY_SERVER_INFO, RELAY_READY, RELAY_DEAD };

struct relay_link {
	struct loop *loop;
	int idle_s;
	struct node_private us;
	struct node_key pub;
	const struct random *rnd;
	struct relay_link_events ev;
	enum relay_stage stage;
	struct http_client *upgrade;
	struct stream *stream;
	struct loop_timer *timer; /* handshake, then silence */
	struct loop_timer *stuck; /* set while we send */
	struct buf waiting;
	struct derp_queue queue; /* while the network takes nothing */
	uint8_t server[KEY_LEN];
	uint64_t heard_ms;
	bool preferred;
	unsigned depth; /* inside our own parser: freeing waits */
	bool freed;
};

static const char *literal(const char *ip)
{
	return ip[0] && strcmp(ip, "none") != 0 ? ip : NULL;
}

static bool read_literal(const char *ip, const struct nat64 *nat64, uint16_t port, struct endpoint *out)
{
	if (!ip || !addr_parse(ip, &out->ip))
		return false;
	if (nat64->bits && addr_is_v4(&out->ip))
		out->ip = nat64_embed(nat64, &out->ip);
	out->port = port;
	return true;
}

int relay_target_of(
	const struct ctl_derp_node *node, enum relay_by by, const struct nat64 *nat64, struct relay_target *t)
{
	*t = (struct relay_target) { .to.socket_hook = sock_mark_hook };
	const char *pin = node->insecure				     ? "insecure"
			  : strncmp(node->cert_name, "sha256-raw:", 11) == 0 ? node->cert_name
									     : NULL;
	struct errbuf eb;
	t->to.tls = tls_client(pin, &eb);
	if (!t->to.tls) {
		log_warn("relay %s: %s", node->name, eb.text);
		return eb.code;
	}
	t->to.host = node->host;
	t->to.port = node->derp_port > 0 ? (uint16_t)node->derp_port : RELAY_PORT;
	const char *v4 = literal(node->ipv4), *v6 = literal(node->ipv6),
		   *ip = (by == RELAY_BY_V6 && v6) || !v4 ? v6 : v4;
	struct addr name; /* that is a literal as well is no other way */
	if (by == RELAY_BY_NAME && node->host[0] && !addr_parse(node->host, &name))
		ip = NULL;
	if (read_literal(ip, nat64, t->to.port, &t->at))
		t->to.at = &t->at;
	if (t->to.at && read_literal(ip == v4 ? v6 : v4, nat64, t->to.port, &t->then))
		t->to.then = &t->then;
	return 0;
}

static void relay_link_fail(struct relay_link *l, int code, const char *why)
{
	if (l->stage == RELAY_DEAD)
		return;
	l->stage = RELAY_DEAD;
	loop_timer_clear(l->timer);
	loop_timer_clear(l->stuck);
	l->ev.flush(l->ev.arg); /* of a read whose end nobody is told of any more */
	l->ev.closed(l->ev.arg, code, why);
}

static int patience(const struct relay_link *l)
{
	return l->stream ? sock_tcp_patience(stream_fd(l->stream), STUCK_MS, STUCK_MAX_MS) : STUCK_MS;
}

static void look_if_stuck(void *arg)
{
	struct relay_link *l = arg;
	int silence = l->stream ? sock_tcp_silence(stream_fd(l->stream)) : -1;
	int most = patience(l);
	if (silence >= most)
		relay_link_fail(l, -ETIMEDOUT, "what we send does not arrive");
	else if (silence >= 0)
		loop_timer_set(l->stuck, (uint64_t)(most - silence));
}

static bool write_out(struct relay_link *l, const void *p, size_t len)
{
	if (!loop_timer_is_set(l->stuck))
		loop_timer_set(l->stuck, STUCK_MS);
	return stream_write(l->stream, p, len) == 0;
}

static bool is_busy(const struct relay_link *l)
{
	return stream_queued(l->stream) || !derp_queue_is_empty(&l->queue);
}

/* What is small and rare, disco above all, goes before data that waits: by it a better way than this one is
 * found. Returns how many frames were lost for it, this one or older ones. */
static size_t send_frame(struct relay_link *l, bool first, const void *p, size_t len)
{
	if (is_busy(l))
		return derp_queue_put(&l->queue, first, clock_now_ns() / NS_US, p, len, NULL, 0);
	return write_out(l, p, len) ? 0 : 1;
}

static void stream_drained(void *arg)
{
	struct relay_link *l = arg;
	uint8_t out[RECORD_MAX] BUF_UNSET;
	uint64_t now_us = clock_now_ns() / NS_US, old = 0;
	while (!stream_queued(l->stream) && !derp_queue_is_empty(&l->queue)) {
		struct wr w = wr_of(out, sizeof(out));
		struct derp_queue_frame *f;
		while (sizeof(out) - w.len >= RELAY_FRAME_MAX &&
			(f = derp_queue_take(&l->queue, now_us, &old))) {
			wr_bytes(&w, f->b, f->len);
			free(f);
		}
		write_out(l, out, w.len);
	}
	if (old)
		l->ev.aged(l->ev.arg, old);
}

/* --- handshake --- */

static bool server_key_received(struct relay_link *l, struct rd payload)
{
	uint8_t frame[512], nonce[BOX_NONCE];
	if (!derp_server_key_read(payload, l->server))
		return false;
	l->rnd->fill(l->rnd->arg, nonce, sizeof(nonce));
	struct wr w = wr_of(frame, sizeof(frame));
	struct derp_client_info info = { .can_ack_pings = true };
	derp_client_info_write(&w, &l->us, &l->pub, l->server, nonce, &info);
	l->stage = RELAY_SERVER_INFO;
	return !w.bad && write_out(l, frame, w.len);
}

static bool server_info_received(struct relay_link *l, struct rd payload)
{
	if (!derp_server_info_read(payload, &l->us, l->server))
		return false;
	l->stage = RELAY_READY;
	loop_timer_set(l->timer, SILENCE_MS);
	if (l->waiting.len)
		write_out(l, buf_data(&l->waiting), l->waiting.len);
	buf_free(&l->waiting);
	l->ev.ready(l->ev.arg);
	return true;
}

static void pong(struct relay_link *l, struct rd payload)
{
	uint8_t frame[DERP_HEADER + 8];
	const uint8_t *echo = rd_take(&payload, 8);
	if (!echo)
		return;
	struct wr w = wr_of(frame, sizeof(frame));
	derp_header_write(&w, DERP_PONG, 8);
	wr_bytes(&w, echo, 8);
	send_frame(l, true, frame, w.len);
}

/* false: the relay does not speak the protocol. Unknown types are skipped. */
static bool frame_received(struct relay_link *l, uint8_t type, struct rd payload)
{
	struct node_key who;
	const uint8_t *data;
	size_t len;
	uint8_t reason;
	if (l->stage == RELAY_SERVER_KEY)
		return type == DERP_SERVER_KEY && server_key_received(l, payload);
	if (l->stage == RELAY_SERVER_INFO)
		return type != DERP_SERVER_INFO || server_info_received(l, payload);
	switch (type) {
	case DERP_RECV_PACKET:
		if (!derp_packet_read(payload, &who, &data, &len))
			return false;
		l->ev.received(l->ev.arg, &who, data, len);
		return true;
	case DERP_PEER_GONE:
		if (derp_peer_gone_read(payload, &who, &reason))
			l->ev.peer_gone(l->ev.arg, &who);
		return true;
	case DERP_PING: pong(l, payload); return true;
	default: return true;
	}
}

/* One frame from p; its whole length, 0 when more bytes are needed, -1 when it is not DERP. */
static long take_frame(struct relay_link *l, const uint8_t *p, size_t len)
{
	struct rd r = rd_of(p, len);
	struct derp_header h;
	if (len < DERP_HEADER)
		return 0;
	if (!derp_header_read(&r, &h) || h.len > DERP_FRAME_MAX)
		return -1;
	if (r.left < h.len)
		return 0;
	return frame_received(l, h.type, rd_sub(&r, h.len)) ? (long)(DERP_HEADER + h.len) : -1;
}

static void free_link(struct relay_link *l)
{
	buf_free(&l->waiting);
	derp_queue_fini(&l->queue);
	key_wipe(l, sizeof(*l));
	free(l);
}

static size_t take_frames(struct relay_link *l, const uint8_t *p, size_t len)
{
	size_t used = 0;
	while (!l->freed && l->stage != RELAY_DEAD) {
		long n = take_frame(l, p + used, len - used);
		if (n < 0 && !l->freed)
			relay_link_fail(l, ERR_MALFORMED, "the relay sent something that is not DERP");
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	return used;
}

static size_t stream_frames(void *arg, uint8_t *p, size_t len)
{
	struct relay_link *l = arg;
	l->heard_ms = loop_now_ms(l->loop);
	l->depth++;
	size_t used = take_frames(l, p, len);
	if (--l->depth == 0 && l->freed)
		free_link(l);
	return used;
}

static void stream_rested(void *arg)
{
	struct relay_link *l = arg;
	l->ev.flush(l->ev.arg);
}

static void stream_closed(void *arg, int code, const char *why)
{
	relay_link_fail(arg, code, why);
}

/* --- opening --- */

static void upgraded(
	void *arg, const struct http_head *head, struct stream *s, const uint8_t *leftover, size_t len)
{
	struct relay_link *l = arg;
	(void)head;
	l->upgrade = NULL;
	l->stream = s;
	l->stage = RELAY_SERVER_KEY;
	struct stream_events ev = { .frames = stream_frames,
		.rested = stream_rested,
		.drained = stream_drained,
		.closed = stream_closed,
		.arg = l };
	stream_events_set(s, &ev);
	sock_tcp_unsent_max(stream_fd(s), UNSENT_MAX);
	sock_tcp_liveness(stream_fd(s), l->idle_s, patience(l) + UNACKED_MORE_MS);
	loop_timer_set(l->timer, HANDSHAKE_MS); /* once for TCP, TLS and HTTP, once for DERP's own */
	stream_unread(s, leftover, len);
}

static void upgrade_refused(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct relay_link *l = arg;
	char why[96];
	(void)body;
	(void)len;
	l->upgrade = NULL;
	snprintf(why, sizeof(why), "the relay answered %d instead of switching to DERP", head->status);
	relay_link_fail(l, ERR_REFUSED, why);
}

static void upgrade_failed(void *arg, int code, const char *why)
{
	struct relay_link *l = arg;
	l->upgrade = NULL;
	relay_link_fail(l, code, why);
}

static void relay_link_timed_out(void *arg)
{
	struct relay_link *l = arg;
	uint64_t now = loop_now_ms(l->loop);
	if (l->stage != RELAY_READY)
		relay_link_fail(l, -ETIMEDOUT, "no answer to the handshake");
	else if (now - l->heard_ms >= SILENCE_MS)
		relay_link_fail(l, -ETIMEDOUT, "silent for two minutes");
	else
		loop_timer_set(l->timer, SILENCE_MS - (now - l->heard_ms));
}

struct relay_link *relay_link_open(
	struct loop *loop, const struct relay_link_config *cfg, const struct relay_link_events *ev)
{
	struct relay_target t;
	if (relay_target_of(cfg->node, cfg->by, cfg->nat64, &t) != 0)
		return NULL;
	t.to.proxies = cfg->proxies;
	struct relay_link *l = calloc(1, sizeof(*l));
	if (!l) {
		tls_free(t.to.tls);
		return NULL;
	}
	l->loop = loop;
	key_lock(&l->us, sizeof(l->us));
	l->us = *cfg->us;
	l->idle_s = cfg->idle_s;
	l->pub = *cfg->us_pub;
	l->rnd = cfg->rnd;
	l->ev = *ev;
	l->waiting.cap = WAITING_MAX;
	l->timer = loop_timer_new(loop, relay_link_timed_out, l);
	l->stuck = loop_timer_new(loop, look_if_stuck, l);
	struct http_request rq = { .to = t.to,
		.method = "GET",
		.target = "/derp",
		.host = cfg->node->host,
		.extra = "Upgrade: DERP\r\nConnection: Upgrade\r\n",
		.timeout_ms = HANDSHAKE_MS };
	struct http_client_events hev = {
		.done = upgrade_refused, .failed = upgrade_failed, .upgraded = upgraded, .arg = l
	};
	l->upgrade = l->timer && l->stuck ? http_request(loop, &rq, &hev) : NULL;
	tls_free(t.to.tls);
	if (!l->upgrade) {
		loop_timer_free(l->timer);
		loop_timer_free(l->stuck);
		free_link(l);
		return NULL;
	}
	loop_timer_set(l->timer, HANDSHAKE_MS);
	return l;
}

void relay_link_close(struct relay_link *l)
{
	if (!l)
		return;
	l->stage = RELAY_DEAD;
	http_client_cancel(l->upgrade);
	stream_close(l->stream, false);
	l->stream = NULL;
	loop_timer_free(l->timer);
	loop_timer_free(l->stuck);
	l->freed = true;
	if (!l->depth)
		free_link(l);
}

bool relay_link_local(const struct relay_link *l, struct addr *out)
{
	struct endpoint at;
	if (!l->stream || sock_local(stream_fd(l->stream), &at) != 0)
		return false;
	*out = at.ip;
	return true;
}

bool relay_link_peer(const struct relay_link *l, struct addr *out)
{
	struct endpoint at;
	if (!l->stream || !stream_peer(l->stream, &at))
		return false;
	*out = at.ip;
	return true;
}

/* --- sending --- */

bool relay_link_send(struct relay_link *l, const struct node_key *to, const uint8_t *p, size_t len)
{
	uint8_t frame[RELAY_FRAME_MAX] BUF_UNSET;
	struct wr w = wr_of(frame, sizeof(frame));
	derp_packet_header_write(&w, DERP_SEND_PACKET, to, len);
	wr_bytes(&w, p, len);
	if (w.bad || l->stage == RELAY_DEAD)
		return false;
	return l->stage == RELAY_READY ? send_frame(l, disco_is(p, len), frame, w.len) == 0
				       : buf_append(&l->waiting, frame, w.len);
}

/* As many of them as go into one write: one TLS record instead of one a packet. Returns how many; how many
 * were lost is counted. */
static size_t send_some(
	struct relay_link *l, const struct node_key *to, struct pkt *const *pkts, size_t n, size_t *lost)
{
	uint8_t out[BATCH_MAX] BUF_UNSET;
	struct wr w = wr_of(out, sizeof(out));
	size_t k = 0;
	while (k < n && sizeof(out) - w.len >= RELAY_FRAME_MAX) {
		derp_packet_header_write(&w, DERP_SEND_PACKET, to, pkts[k]->len);
		wr_bytes(&w, pkt_data(pkts[k]), pkts[k]->len);
		k++;
	}
	*lost += write_out(l, out, w.len) ? 0 : k;
	return k;
}

size_t relay_link_send_batch(
	struct relay_link *l, const struct node_key *to, struct pkt *const *pkts, size_t n)
{
	size_t lost = 0;
	for (size_t i = 0; i < n;) {
		if (l->stage == RELAY_READY && !is_busy(l)) {
			i += send_some(l, to, pkts + i, n - i, &lost);
		} else {
			lost += !relay_link_send(l, to, pkt_data(pkts[i]), pkts[i]->len);
			i++;
		}
	}
	return n - lost;
}

void relay_link_note_preferred(struct relay_link *l, bool home)
{
	uint8_t frame[DERP_HEADER + 1];
	struct wr w = wr_of(frame, sizeof(frame));
	if (l->stage != RELAY_READY)
		return;
	derp_header_write(&w, DERP_NOTE_PREFERRED, 1);
	wr_u8(&w, home);
	send_frame(l, true, frame, w.len);
}
