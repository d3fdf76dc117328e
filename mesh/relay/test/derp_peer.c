#include "mesh/relay/test/derp_peer.h"
#include "mesh/os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "derp_peer: %s\n", what);
	abort();
}

static void send_info(struct derp_peer *p)
{
	uint8_t frame[512], nonce[BOX_NONCE];
	struct derp_client_info info = { .can_ack_pings = true };
	struct wr w = wr_of(frame, sizeof(frame));
	random_system.fill(NULL, nonce, sizeof(nonce));
	derp_client_info_write(&w, &p->priv, &p->pub, p->server, nonce, &info);
	must(!w.bad && stream_write(p->stream, frame, w.len) == 0, "send client info");
}

static void frame_heard(struct derp_peer *p, uint8_t type, struct rd payload)
{
	const uint8_t *data = payload.p;
	size_t len = payload.left;
	must(p->n_frames < PEER_FRAMES_MAX, "too many frames");
	struct peer_frame *f = &p->frames[p->n_frames++];
	f->type = type;
	if (type == DERP_SERVER_KEY) {
		uint8_t key[KEY_LEN];
		must(derp_server_key_read(payload, key), "server key frame");
		must(!p->has_metacert || key_equal(key, p->server), "metacert key differs from the frame");
		memcpy(p->server, key, KEY_LEN);
		if (!p->fast && !p->mute)
			send_info(p);
	} else if (type == DERP_SERVER_INFO) {
		must(derp_server_info_read(payload, &p->priv, p->server), "server info frame");
		p->ready = true;
	} else if (type == DERP_RECV_PACKET) {
		must(derp_packet_read(payload, &f->who, &data, &len), "packet frame");
		p->bytes += len;
	} else if (type == DERP_PEER_GONE) {
		must(derp_peer_gone_read(payload, &f->who, &f->reason), "peer gone frame");
	}
	f->len = len;
	if (len)
		memcpy(f->head, data, len < sizeof(f->head) ? len : sizeof(f->head));
}

static void data(void *arg, const uint8_t *bytes, size_t n)
{
	struct derp_peer *p = arg;
	struct derp_header h;
	must(buf_append(&p->in, bytes, n), "memory");
	for (;;) {
		struct rd r = rd_of(buf_data(&p->in), p->in.len);
		if (!derp_header_read(&r, &h) || r.left < h.len)
			break;
		frame_heard(p, h.type, rd_sub(&r, h.len));
		buf_consume(&p->in, DERP_HEADER + h.len);
	}
	if (!p->in.len)
		buf_free(&p->in);
}

static void closed(void *arg, int code, const char *why)
{
	struct derp_peer *p = arg;
	(void)code;
	(void)why;
	p->closed = true;
}

static struct stream_events events(struct derp_peer *p)
{
	return (struct stream_events) { .data = data, .closed = closed, .arg = p };
}

static void upgraded(
	void *arg, const struct http_head *head, struct stream *s, const uint8_t *rest, size_t len)
{
	struct derp_peer *p = arg;
	struct stream_events ev = events(p);
	p->http = NULL;
	p->stream = s;
	p->status = head->status;
	snprintf(p->version, sizeof(p->version), "%s", http_header(head, "Derp-Version"));
	snprintf(p->public_hex, sizeof(p->public_hex), "%s", http_header(head, "Derp-Public-Key"));
	stream_events_set(s, &ev);
	data(p, rest, len);
}

static void not_upgraded(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct derp_peer *p = arg;
	(void)body;
	(void)len;
	p->http = NULL;
	p->status = head->status;
	p->closed = true;
}

static void failed(void *arg, int code, const char *why)
{
	struct derp_peer *p = arg;
	fprintf(stderr, "derp_peer: %d %s\n", code, why);
	p->http = NULL;
	p->closed = true;
}

static void opened(void *arg)
{
	static const char head[] =
		"GET /derp HTTP/1.1\r\nHost: relay.test\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n"
		"Derp-Fast-Start: 1\r\n\r\n";
	struct derp_peer *p = arg;
	p->has_metacert = stream_metacert_key(p->stream, p->server);
	must(p->has_metacert, "no metacert");
	must(stream_write(p->stream, head, sizeof(head) - 1) == 0, "send the request");
	if (!p->mute)
		send_info(p);
}

void derp_peer_start(struct derp_peer *p, struct loop *l, const struct relay *r, bool fast)
{
	struct endpoint at = relay_listen_at(r);
	p->fast = fast;
	derp_peer_dial(p, l, &at, relay_pin(r));
}

void derp_peer_dial(struct derp_peer *p, struct loop *l, const struct endpoint *at, const char *pin)
{
	struct tls *tls = tls_client(pin, NULL);
	must(tls != NULL, "pin");
	p->loop = l;
	if (key_is_zero(p->priv.b))
		key_generate(&random_system, p->priv.b);
	key_public(p->priv.b, p->pub.b);
	struct stream_target to = { .host = "relay.test", .port = at->port, .at = at, .tls = tls };
	if (p->fast) {
		struct stream_events ev = events(p);
		ev.opened = opened;
		p->stream = stream_connect(l, &to, &ev);
	} else {
		struct http_request rq = { .to = to,
			.method = "GET",
			.target = "/derp",
			.host = "relay.test",
			.extra = "Upgrade: DERP\r\nConnection: Upgrade\r\n" };
		struct http_client_events ev = {
			.done = not_upgraded, .failed = failed, .upgraded = upgraded, .arg = p
		};
		p->http = http_request(l, &rq, &ev);
	}
	must(p->stream || p->http, "connect");
	tls_free(tls);
}

void derp_peer_frame(struct derp_peer *p, uint8_t type, const void *payload, size_t len)
{
	struct buf out = { 0 };
	uint8_t head[DERP_HEADER];
	struct wr w = wr_of(head, sizeof(head));
	derp_header_write(&w, type, (uint32_t)len);
	must(buf_append(&out, head, w.len) && buf_append(&out, payload, len), "memory");
	(void)stream_write(p->stream, buf_data(&out), out.len);
	buf_free(&out);
}

void derp_peer_send(struct derp_peer *p, const struct node_key *to, const void *bytes, size_t len)
{
	struct buf out = { 0 };
	uint8_t head[DERP_HEADER + KEY_LEN];
	struct wr w = wr_of(head, sizeof(head));
	derp_packet_header_write(&w, DERP_SEND_PACKET, to, len);
	must(buf_append(&out, head, w.len) && buf_append(&out, bytes, len), "memory");
	(void)stream_write(p->stream, buf_data(&out), out.len);
	buf_free(&out);
}

void derp_peer_stop(struct derp_peer *p)
{
	http_client_cancel(p->http);
	stream_close(p->stream, false);
	buf_free(&p->in);
	p->http = NULL;
	p->stream = NULL;
}

int derp_peer_knock(const struct relay *r)
{
	struct endpoint at = relay_listen_at(r);
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, false, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&ss, n) == 0, "knock");
	return fd;
}

size_t derp_peer_count(const struct derp_peer *p, uint8_t type)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n_frames; i++)
		n += p->frames[i].type == type;
	return n;
}

const struct peer_frame *derp_peer_wait(struct derp_peer *p, uint8_t type, size_t n)
{
	while (derp_peer_count(p, type) < n && !p->closed)
		loop_run_once(p->loop);
	must(!p->closed, "closed while waiting for a frame");
	for (size_t i = p->n_frames; i--;)
		if (p->frames[i].type == type)
			return &p->frames[i];
	return NULL;
}

struct relay *derp_relay_start(struct loop *l, char dir[static 64])
{
	struct errbuf eb = { 0 };
	strcpy(dir, "/tmp/rw-relay-XXXXXX");
	must(mkdtemp(dir) != NULL, "temporary folder");
	struct relay_options o = { .listen = { .ip = addr_v4(0x7f000001) },
		.per_address = 1 << 20, /* all clients are on this machine */
		.stun = { { .ip = addr_v4(0x7f000001) }, { .ip = addr_v4(0x7f000001) } },
		.n_stun = 2,
		.hostname = "relay.test",
		.state_dir = dir,
		.write_ms = 3600 * 1000 }; /* a test that pauses a reader wants to see its queue */
	struct relay *r = relay_open(l, &o, &eb);
	must(r != NULL, eb.text);
	return r;
}

void derp_relay_stop(struct relay *r, const char *dir)
{
	relay_close(r);
	dir_remove(dir, NULL);
}

static void time_is_over(void *arg)
{
	*(bool *)arg = true;
}

void derp_peer_pass_ms(struct loop *l, uint64_t ms)
{
	bool over = false;
	struct loop_timer *t = loop_timer_new(l, time_is_over, &over);
	loop_timer_set(t, ms);
	while (!over)
		loop_run_once(l);
	loop_timer_free(t);
}
