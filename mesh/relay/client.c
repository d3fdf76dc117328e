/* One DERP connection: handshake, frames in, frames out. */
#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include "mesh/proto/derp.h"
#include "mesh/proto/disco.h"
#include "mesh/relay/inner.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HELLO_MAX = 16 << 10, /* of some hundred bytes that clients say; all of it is held before they proved
				 a key */
	KEEPALIVE_MS = 60000,
	KEEPALIVE_JITTER_MS = 5000,
	WRITE_MS = 2000, /* a client whose network takes nothing for so long is gone */
	WRITE_SLOW = 6,	 /* times that at most, where TCP itself says that the line is slow */
	/* What the kernel holds beyond what is under way: a slow line sends this first, whatever comes behind it.
	   The rest waits in the queue, where it is known for how long. */
	UNSENT_MAX = 16 << 10,
	BATCH_MAX = 64 << 10,  /* bytes joined into one write */
	RECORD_MAX = 16 << 10, /* and into one TLS record: no more at once for a network that had enough */
	RUN_MIN = 8 << 10,     /* frames that stand together are sent from where they were read, if so much */
	SENT_TO_MAX = 4096,    /* peers remembered for peer-gone */
	GONE_BURST = 3,
	NS_US = 1000,
};

static_assert(DERP_HEADER + DERP_FRAME_MAX <= STREAM_REST_MAX, "a frame may come cut anywhere");
static_assert(
	(int)STREAM_READ_SIZE <= (int)BATCH_MAX, "what one read brings for one peer leaves by one write");

struct client {
	struct relay *r;
	struct client *next, **prev; /* relay.all */
	struct client *twin;	     /* another connection of the same key, less recently active */
	struct client *next_dirty;
	bool is_dirty, closed;
	unsigned depth;
	struct stream *stream;
	struct loop_timer *timer; /* the earlier of the two below */
	uint64_t due_ms;	  /* the next keep-alive; before it is ready the visit's time counts */
	uint64_t
		stalled_ms; /* bytes wait, and unless some are acknowledged by then it is the end; 0 = none */
	uint64_t acked;	    /* bytes acknowledged when that was set */
	struct visit *visit; /* until it is ready */
	struct place *place; /* from then on */
	bool asked;	     /* may it stay? Its frames wait, and no more are read */
	bool ready, pong_waits;
	struct node_key key;
	struct buf out;
	struct derp_queue waiting;
	struct table sent_to; /* keys this client sent to: they hear when it goes */
	struct log_limit gone;
};

/* --- out --- */

static void arm(struct client *c)
{
	uint64_t now = loop_now_ms(c->r->loop), at = c->due_ms;
	if (c->stalled_ms && c->stalled_ms < at)
		at = c->stalled_ms;
	loop_timer_set(c->timer, at > now ? at - now : 0);
}

static void watch_stall(struct client *c)
{
	int fd = stream_fd(c->stream), ms = c->r->write_ms ? (int)c->r->write_ms : WRITE_MS;
	c->acked = sock_acked(fd);
	c->stalled_ms = loop_now_ms(c->r->loop) + (uint64_t)sock_tcp_patience(fd, ms, WRITE_SLOW * ms);
	arm(c);
}

static void write_out(struct client *c, const uint8_t *p, size_t len)
{
	stream_write(c->stream, p, len);
	if (stream_queued(c->stream) && !c->stalled_ms)
		watch_stall(c);
}

static void flush_out(struct client *c)
{
	if (c->out.len && !c->closed)
		write_out(c, buf_data(&c->out), c->out.len);
	buf_free(&c->out);
}

static void flush_dirty(struct relay *r)
{
	while (r->dirty) {
		struct client *c = r->dirty;
		r->dirty = c->next_dirty;
		c->is_dirty = false;
		flush_out(c);
	}
}

static void mark_dirty(struct client *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->next_dirty = c->r->dirty;
	c->r->dirty = c;
}

static bool is_behind(const struct client *c)
{
	return stream_queued(c->stream) || !derp_queue_is_empty(&c->waiting);
}

/* What leaves at the end of this read, by one write. */
static void join_out(struct client *c, const uint8_t *head, size_t head_len, const uint8_t *body, size_t len)
{
	if (c->out.len + head_len + len > BATCH_MAX)
		flush_out(c);
	if (!c->out.len)
		(void)buf_room(&c->out, BATCH_MAX); /* at once, not by doubling */
	if (!buf_append(&c->out, head, head_len) || !buf_append(&c->out, body, len)) {
		c->r->stats.drop_queue_full++;
		return;
	}
	mark_dirty(c);
}

static void send_frame(struct client *c, bool disco, const struct wr *head, const uint8_t *body, size_t len)
{
	if (is_behind(c))
		c->r->stats.drop_queue_full += derp_queue_put(
			&c->waiting, disco, clock_now_ns() / NS_US, head->p, head->len, body, len);
	else
		join_out(c, head->p, head->len, body, len);
}

/* Frames for one peer that stand together in what was read, made into what it is to get. */
struct run {
	struct client *to; /* NULL: there is none */
	struct node_key key;
	uint8_t *p;
	size_t len;
};

static void queue_run(struct client *c, const struct run *run)
{
	struct rd r = rd_of(run->p, run->len);
	struct derp_header h;
	uint64_t now_us = clock_now_ns() / NS_US;
	while (r.left) {
		const uint8_t *frame = r.p;
		if (!derp_header_read(&r, &h))
			return;
		const uint8_t *body = rd_take(&r, h.len);
		if (!body)
			return;
		c->r->stats.drop_queue_full += derp_queue_put(&c->waiting,
			disco_is(body + KEY_LEN, h.len - KEY_LEN), now_us, frame, DERP_HEADER, body, h.len);
	}
}

/* last: nothing more was read that could go with them. */
static void run_end(struct run *run, bool last)
{
	struct client *to = run->to;
	run->to = NULL;
	if (!to)
		return;
	if (!is_behind(to) && run->len < RUN_MIN && (!last || to->out.len)) {
		join_out(to, run->p, run->len, NULL, 0);
		return;
	}
	if (!is_behind(to))
		flush_out(to);
	if (is_behind(to))
		queue_run(to, run);
	else
		write_out(to, run->p, run->len);
}

static void client_drained(void *arg)
{
	struct client *c = arg;
	struct derp_queue_frame *f;
	uint64_t now_us = clock_now_ns() / NS_US;
	while (!stream_queued(c->stream) &&
		(f = derp_queue_take(&c->waiting, now_us, &c->r->stats.drop_queue_old))) {
		if (c->out.len + f->len > RECORD_MAX)
			flush_out(c);
		if (!buf_append(&c->out, f->b, f->len))
			c->r->stats.drop_queue_full++;
		free(f);
	}
	flush_out(c);
	c->pong_waits = c->pong_waits && !derp_queue_is_empty(&c->waiting);
}

static void send_small(struct client *c, const uint8_t *frame, size_t len)
{
	struct wr w = { .p = (uint8_t *)(uintptr_t)frame, .len = len };
	send_frame(c, true, &w, NULL, 0);
}

static void send_peer_gone(struct client *c, const struct node_key *who, uint8_t reason)
{
	uint8_t frame[DERP_HEADER + KEY_LEN + 1];
	struct wr w = wr_of(frame, sizeof(frame));
	derp_peer_gone_write(&w, who, reason);
	send_small(c, frame, w.len);
}

/* --- who is here --- */

static void enter(struct client *c)
{
	c->twin = table_get(&c->r->clients, c->key.b);
	c->r->stats.drop_duplicate += c->twin != NULL;
	table_put(&c->r->clients, c->key.b, c);
	c->r->stats.clients++;
}

/* The connection active last is the one that receives. */
static void was_active(struct client *c)
{
	struct client *first = table_get(&c->r->clients, c->key.b);
	if (first == c)
		return;
	for (struct client *p = first; p; p = p->twin) {
		if (p->twin == c) {
			p->twin = c->twin;
			break;
		}
	}
	c->twin = first;
	table_put(&c->r->clients, c->key.b, c);
}

static void leave(struct client *c)
{
	struct client *first = table_get(&c->r->clients, c->key.b);
	c->r->stats.clients--;
	for (struct client *p = first; p; p = p->twin) {
		if (p->twin == c)
			p->twin = c->twin;
	}
	if (first == c && c->twin)
		table_put(&c->r->clients, c->key.b, c->twin);
	else if (first == c)
		table_remove(&c->r->clients, c->key.b);
	size_t at = 0;
	for (struct node_key *to; (to = table_next(&c->sent_to, &at));) {
		struct client *peer = table_get(&c->r->clients, to->b);
		if (peer && !table_get(&c->r->clients, c->key.b))
			send_peer_gone(peer, &c->key, DERP_GONE_DISCONNECTED);
		free(to);
	}
	table_fini(&c->sent_to);
}

static void remember_sent(struct client *c, const struct node_key *to)
{
	if (table_get(&c->sent_to, to->b) || c->sent_to.n >= SENT_TO_MAX)
		return;
	struct node_key *copy = malloc(sizeof(*copy));
	if (!copy)
		return;
	*copy = *to;
	if (!table_put(&c->sent_to, to->b, copy))
		free(copy);
}

/* --- in --- */

static bool client_refuse(uint64_t *why)
{
	++*why;
	return false;
}

static void run_add(struct client *c, struct run *run, uint8_t *frame, size_t whole)
{
	struct wr w = wr_of(frame, DERP_HEADER + KEY_LEN);
	size_t len = whole - DERP_HEADER - KEY_LEN;
	derp_packet_header_write(&w, DERP_RECV_PACKET, &c->key, len); /* of one length with what was sent */
	run->len += whole;
	c->r->stats.packets++;
	c->r->stats.bytes += len;
}

static bool run_takes(const struct run *run, const uint8_t *frame, size_t whole)
{
	return run->to && whole >= DERP_HEADER + KEY_LEN && run->len + whole <= BATCH_MAX &&
	       memcmp(frame + DERP_HEADER, run->key.b, KEY_LEN) == 0;
}

/* Whose packet it is, is looked up once for a run. */
static bool packet_received(struct client *c, struct run *run, uint8_t *frame, size_t whole)
{
	struct node_key to;
	const uint8_t *data;
	size_t len;
	if (run_takes(run, frame, whole)) {
		run_add(c, run, frame, whole);
		return true;
	}
	run_end(run, false);
	if (!derp_packet_read(rd_of(frame + DERP_HEADER, whole - DERP_HEADER), &to, &data, &len))
		return client_refuse(&c->r->stats.drop_malformed);
	struct client *peer = table_get(&c->r->clients, to.b);
	was_active(c);
	if (!peer) {
		c->r->stats.drop_no_peer++;
		if (disco_is(data, len) && log_allowed(&c->gone, GONE_BURST, loop_now_ms(c->r->loop)))
			send_peer_gone(c, &to, DERP_GONE_NOT_HERE);
		return true;
	}
	remember_sent(c, &to);
	uint64_t now = loop_now_ms(c->r->loop);
	place_used(c->place, now);
	place_used(peer->place, now);
	*run = (struct run) { .to = peer, .key = to, .p = frame };
	run_add(c, run, frame, whole);
	return true;
}

/* One pong waits at most: a flood of pings to a client that does not read pushes nothing else out. */
static bool ping_received(struct client *c, struct rd payload)
{
	uint8_t frame[DERP_HEADER + 8];
	const uint8_t *echo = rd_take(&payload, 8);
	struct wr w = wr_of(frame, sizeof(frame));
	if (!echo)
		return client_refuse(&c->r->stats.drop_malformed);
	if (c->pong_waits) {
		c->r->stats.drop_ping++;
		return true;
	}
	derp_header_write(&w, DERP_PONG, 8);
	wr_bytes(&w, echo, 8);
	send_small(c, frame, w.len);
	c->pong_waits = !derp_queue_is_empty(&c->waiting);
	return true;
}

static void arm_keepalive(struct client *c)
{
	uint16_t jitter;
	c->r->rnd->fill(c->r->rnd->arg, &jitter, sizeof(jitter));
	c->due_ms = loop_now_ms(c->r->loop) + KEEPALIVE_MS + jitter % KEEPALIVE_JITTER_MS;
	arm(c);
}

int client_fd(const struct client *c)
{
	return stream_fd(c->stream);
}

/* Its place is another's now. */
static void client_leave(void *client)
{
	struct client *c = client;
	c->r->stats.drop_crowded++;
	client_close(c);
}

static void client_enter(struct client *c)
{
	uint8_t frame[512], nonce[BOX_NONCE];
	c->r->rnd->fill(c->r->rnd->arg, nonce, sizeof(nonce));
	struct wr w = wr_of(frame, sizeof(frame));
	derp_server_info_write(&w, c->r->priv, &c->key, nonce);
	c->ready = true;
	c->place = c->visit->place;
	c->visit->place = NULL;
	c->place->leave = client_leave;
	c->place->holder = c;
	visit_end(c->visit);
	c->visit = NULL;
	enter(c);
	arm_keepalive(c);
	send_small(c, frame, w.len);
}

static enum relay_verdict ask_admission(struct client *c)
{
	const struct relay_options *o = &c->r->options;
	struct endpoint from = { 0 };
	stream_peer(c->stream, &from);
	return o->admits ? o->admits(o->admits_arg, &c->key, &from) : RELAY_YES;
}

static bool info_received(struct client *c, struct rd payload)
{
	struct derp_client_info info;
	if (!derp_client_info_read(payload, c->r->priv, &c->key, &info))
		return client_refuse(&c->r->stats.drop_handshake);
	switch (ask_admission(c)) {
	case RELAY_NO: return client_refuse(&c->r->stats.drop_refused);
	case RELAY_YES: client_enter(c); break;
	case RELAY_LATER:
		c->asked = true;
		stream_pause(c->stream, true); /* what has come behind it is kept there */
		break;
	}
	return true;
}

/* false, and counted: the client goes. */
static bool frame_received(struct client *c, uint8_t type, struct rd payload)
{
	if (!c->ready)
		return type == DERP_CLIENT_INFO ? info_received(c, payload)
						: client_refuse(&c->r->stats.drop_handshake);
	switch (type) {
	case DERP_PING: return ping_received(c, payload);
	case DERP_NOTE_PREFERRED: was_active(c); return true;
	case DERP_FORWARD_PACKET: /* between relays of one region, which prove themselves by a mesh key */
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER: return client_refuse(&c->r->stats.drop_mesh);
	default: return true; /* later versions say more: skipped */
	}
}

static size_t frame_max(const struct client *c)
{
	return c->ready ? DERP_FRAME_MAX : HELLO_MAX;
}

static bool frame_fits(struct client *c, size_t len)
{
	if (len <= frame_max(c))
		return true;
	return client_refuse(c->ready ? &c->r->stats.drop_malformed : &c->r->stats.drop_handshake);
}

/* Bytes used; stops at a cut frame. false in *ok: this is no client of ours, and counted as that. */
static size_t take_frames(struct client *c, uint8_t *p, size_t len, bool *ok)
{
	struct run run = { 0 };
	size_t used = 0;
	*ok = true;
	while (!c->closed && !c->asked && len - used >= DERP_HEADER) {
		struct rd r = rd_of(p + used, len - used);
		struct derp_header h;
		*ok = derp_header_read(&r, &h) && frame_fits(c, h.len);
		if (!*ok || r.left < h.len)
			break;
		size_t whole = DERP_HEADER + h.len;
		if (c->ready && h.type == DERP_SEND_PACKET) {
			*ok = packet_received(c, &run, p + used, whole);
		} else {
			run_end(&run, false);
			*ok = frame_received(c, h.type, rd_sub(&r, h.len));
		}
		if (!*ok)
			break;
		used += whole;
	}
	run_end(&run, true);
	return used;
}

static void free_client(struct client *c)
{
	buf_free(&c->out);
	derp_queue_fini(&c->waiting);
	free(c);
}

static size_t frames_in(void *arg, uint8_t *p, size_t len)
{
	struct client *c = arg;
	struct relay *r = c->r;
	bool ok;
	c->depth++;
	size_t used = take_frames(c, p, len, &ok);
	if (!ok)
		client_close(c);
	flush_dirty(r);
	if (--c->depth == 0 && c->closed)
		free_client(c);
	return used;
}

void client_admit(struct client *c, const struct node_key *who, bool allow)
{
	struct relay *r = c->r;
	if (!c->asked || !key_equal(c->key.b, who->b))
		return;
	c->depth++;
	c->asked = false;
	if (allow) {
		client_enter(c);
		stream_pause(c->stream, false);
	} else {
		r->stats.drop_refused++;
		client_close(c);
	}
	flush_dirty(r);
	if (--c->depth == 0 && c->closed)
		free_client(c);
}

/* --- life --- */

static void connection_closed(void *arg, int code, const char *why)
{
	struct client *c = arg;
	struct relay *r = c->r;
	(void)code;
	(void)why;
	client_close(c);
	flush_dirty(r);
}

/* Bytes wait, and since watch_stall nothing was acknowledged. */
static bool is_stalled(struct client *c)
{
	if (!c->stalled_ms || loop_now_ms(c->r->loop) < c->stalled_ms)
		return false;
	c->stalled_ms = 0;
	if (!stream_queued(c->stream))
		return false;
	if (sock_acked(stream_fd(c->stream)) == c->acked)
		return true;
	watch_stall(c);
	return false;
}

static void send_keepalive(struct client *c)
{
	uint8_t frame[DERP_HEADER];
	struct wr w = wr_of(frame, sizeof(frame));
	derp_header_write(&w, DERP_KEEP_ALIVE, 0);
	send_small(c, frame, w.len);
	arm_keepalive(c);
}

static void timer_due(void *arg)
{
	struct client *c = arg;
	struct relay *r = c->r;
	if (is_stalled(c)) {
		r->stats.drop_stalled++;
		client_close(c);
	} else if (loop_now_ms(r->loop) < c->due_ms) {
		arm(c);
	} else {
		send_keepalive(c);
	}
	flush_dirty(r);
}

void client_close(struct client *c)
{
	if (c->closed)
		return;
	c->closed = true;
	visit_end(c->visit);
	place_end(&c->r->places, c->place);
	if (c->ready)
		leave(c);
	if (c->is_dirty) {
		struct client **at = &c->r->dirty;
		while (*at != c)
			at = &(*at)->next_dirty;
		*at = c->next_dirty;
		c->is_dirty = false;
	}
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	stream_close(c->stream, false);
	c->stream = NULL;
	loop_timer_free(c->timer);
	if (!c->depth)
		free_client(c);
}

void relay_dismiss(struct relay *r, const struct node_key *who)
{
	struct client *c;
	relay_admit(r, who, false);
	while ((c = table_get(&r->clients, who->b))) { /* the one before it is the next */
		r->stats.drop_refused++;
		client_close(c);
	}
	flush_dirty(r);
}

/* Head and ServerKey leave together, and before anything that bytes behind the request may bring about. Fast
 * start: the client neither waits for the head nor wants it. */
static void send_greeting(struct client *c, bool fast)
{
	uint8_t out[512];
	char hex[2 * KEY_LEN + 1];
	struct wr w = wr_of(out, sizeof(out));
	if (!fast) {
		int n = snprintf((char *)out, sizeof(out),
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n"
			"Derp-Version: 2\r\nDerp-Public-Key: %s\r\n\r\n",
			hex_encode(c->r->pub, KEY_LEN, hex));
		wr_take(&w, (size_t)n);
	}
	derp_server_key_write(&w, c->r->pub);
	stream_write(c->stream, out, w.len);
}

void client_turn_away(struct http_server_conn *conn)
{
	http_reply(conn, 503, "text/plain", NULL, "busy\n", 5);
	http_server_close(conn, true);
}

void client_start(struct relay *r, struct http_server_conn *conn, struct visit *visit, bool fast)
{
	struct client *c = calloc(1, sizeof(*c));
	struct loop_timer *timer = c ? loop_timer_new(r->loop, timer_due, c) : NULL;
	if (!timer) {
		free(c);
		visit_end(visit);
		client_turn_away(conn);
		return;
	}
	c->r = r;
	c->timer = timer;
	c->visit = visit;
	visit_upgraded(visit, c);
	c->stream = http_conn_stream(conn);
	sock_tcp_unsent_max(stream_fd(c->stream), UNSENT_MAX);
	table_init(&c->sent_to, KEY_LEN, (uint64_t)(uintptr_t)c);
	c->next = r->all;
	c->prev = &r->all;
	if (c->next)
		c->next->prev = &c->next;
	r->all = c;
	c->due_ms = UINT64_MAX;
	struct stream_events ev = {
		.frames = frames_in, .drained = client_drained, .closed = connection_closed, .arg = c
	};
	c->depth++;
	send_greeting(c, fast);
	http_upgrade_take(conn, 0, NULL, &ev);
	if (--c->depth == 0 && c->closed)
		free_client(c);
}
