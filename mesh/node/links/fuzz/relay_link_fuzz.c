/* A relay that says whatever it likes, and the node's link to it. An input is a row of steps of two bytes, what and how; a step
 * that has bytes of the relay's own is followed by as many as it says. The relay speaks inside TLS, by the certificate of this
 * process. With short memory once more. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/links/relay_link.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/proto/derp.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEPS_MAX = 48, TURNS = 4, OPENING_TURNS = 60, MANY = 16, BIG = 1400, PATH = 96 };

/* What outlives an input. */
static struct {
	int fd;
	struct endpoint at;
	struct tls *tls;
	uint8_t relay_priv[KEY_LEN], relay_pub[KEY_LEN];
	struct node_private us;
	struct node_key pub;
} place = { .fd = -1 };

/* Begun anew with each input. */
static struct {
	struct loop *loop;
	struct relay_link *link;
	struct stream *relay; /* the other end; NULL: nobody */
	bool leaves_in_received, leaves_when_ready, ready;
	unsigned closed, gathered;
} w;

/* A certificate is made once, and its files are gone at once. */
static void make_place(void)
{
	char dir[] = "/tmp/rw-fuzz-XXXXXX", cert[PATH], key[PATH];
	const char *hosts[] = { "127.0.0.1" };
	must(key_setup() && mkdtemp(dir));
	log_setup(LOG_ERROR, false);
	snprintf(cert, sizeof(cert), "%s/c", dir);
	snprintf(key, sizeof(key), "%s/k", dir);
	place.at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	place.fd = sock_tcp_listen(&place.at, NULL);
	must(place.fd >= 0 && sock_local(place.fd, &place.at) == 0);
	must(tls_self_signed(cert, key, hosts, 1, NULL) == 0 && (place.tls = tls_server(cert, key, NULL)));
	dir_remove(dir, NULL);
	memset(place.relay_priv, 9, KEY_LEN);
	memset(place.us.b, 7, KEY_LEN);
	key_clamp(place.relay_priv);
	key_clamp(place.us.b);
	key_public(place.relay_priv, place.relay_pub);
	key_public(place.us.b, place.pub.b);
}

/* --- the node's side --- */

static void leave(void)
{
	relay_link_close(w.link);
	w.link = NULL;
	w.ready = false;
}

static void link_ready(void *arg)
{
	(void)arg;
	must(!w.ready && !w.closed);
	w.ready = true;
	if (w.leaves_when_ready)
		leave();
}

static void link_received(void *arg, const struct node_key *from, const uint8_t *p, size_t len)
{
	(void)arg, (void)from;
	must(w.ready && len <= DERP_FRAME_MAX && (p || !len));
	w.gathered++;
	if (w.leaves_in_received)
		leave();
}

static void link_flush(void *arg)
{
	(void)arg;
	w.gathered = 0;
}

static void link_peer_gone(void *arg, const struct node_key *who)
{
	(void)arg, (void)who;
	must(w.ready);
	if (w.leaves_in_received)
		leave();
}

static void link_aged(void *arg, uint64_t n)
{
	(void)arg;
	must(n);
}

static void link_closed(void *arg, int code, const char *why)
{
	(void)arg, (void)code;
	must(why && *why && !w.closed++);
	must(!w.gathered); /* flush came before */
	w.ready = false;
}

static void come(uint8_t how)
{
	static const struct nat64 none;
	struct ctl_derp_node n = { .name = "r",
		.host = how & 1 ? "127.0.0.1" : "relay.test",
		.cert_name = how & 2 ? "sha256-raw:12" : "",
		.ipv4 = how & 4 ? "none" : "127.0.0.1",
		.ipv6 = how & 4	  ? "::ffff:127.0.0.1"
			: how & 8 ? "none"
				  : "",
		.derp_port = place.at.port,
		.stun_test_ip = "",
		.insecure = !(how & 2) };
	const struct relay_link_config cfg = { .node = &n,
		.by = how & 16 ? RELAY_BY_V6 : RELAY_BY_V4,
		.idle_s = 25,
		.nat64 = &none,
		.us = &place.us,
		.us_pub = &place.pub,
		.rnd = &random_steady };
	const struct relay_link_events ev = { .ready = link_ready,
		.received = link_received,
		.flush = link_flush,
		.peer_gone = link_peer_gone,
		.aged = link_aged,
		.closed = link_closed };
	w.closed = w.gathered = 0;
	w.link = relay_link_open(w.loop, &cfg, &ev);
}

static void send_some(uint8_t how)
{
	static struct pkt pkts[MANY];
	static const uint8_t disco[] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };
	struct pkt *row[MANY];
	const struct node_key to = { { how } };
	if (!w.link)
		return;
	for (size_t i = 0; i < MANY; i++) {
		pkt_reset(&pkts[i]);
		pkts[i].len = how & 2 ? BIG : 100;
		row[i] = &pkts[i];
	}
	memcpy(pkt_data(&pkts[0]), disco, how & 4 ? sizeof(disco) : 0);
	if (how & 1)
		must(relay_link_send_batch(w.link, &to, row, MANY) <= MANY);
	else
		(void)relay_link_send(w.link, &to, pkt_data(&pkts[0]), pkts[0].len);
}

/* --- the relay's --- */

static void relay_data(void *arg, const uint8_t *p, size_t len)
{
	(void)arg, (void)p, (void)len;
}
static void relay_closed(void *arg, int code, const char *why)
{
	(void)arg, (void)code, (void)why;
	stream_close(w.relay, false);
	w.relay = NULL;
}

static void relay_leaves(void)
{
	const struct linger reset = { .l_onoff = 1 }; /* no address is held by TIME-WAIT */
	if (w.relay)
		setsockopt(stream_fd(w.relay), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	stream_close(w.relay, false);
	w.relay = NULL;
}

static void turn(int n)
{
	const struct stream_events ev = { .data = relay_data, .closed = relay_closed };
	while (n--) {
		loop_run_once(w.loop);
		int fd = sock_accept(place.fd, NULL);
		if (fd < 0)
			continue;
		relay_leaves();
		w.relay = stream_accept(w.loop, fd, place.tls, &ev);
	}
}

static void say(const void *p, size_t len)
{
	if (w.relay && stream_is_open(w.relay) && len)
		(void)stream_write(w.relay, p, len);
}

static void say_well(uint8_t how)
{
	static const char head[] = "HTTP/1.1 101 Switching\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n";
	static const uint8_t nonce[BOX_NONCE] = { 1 };
	uint8_t frame[512], body[100] = { 0 };
	const struct node_key who = { { how } };
	struct wr out = wr_of(frame, sizeof(frame));
	switch (how % 8) {
	case 0: wr_bytes(&out, head, sizeof(head) - 1); break;
	case 1: derp_server_key_write(&out, place.relay_pub); break;
	case 2: derp_server_info_write(&out, place.relay_priv, &place.pub, nonce); break;
	case 3:
		derp_packet_header_write(&out, DERP_RECV_PACKET, &who, sizeof(body));
		wr_bytes(&out, body, sizeof(body));
		break;
	case 4: derp_peer_gone_write(&out, &who, how); break;
	case 5:
		derp_header_write(&out, DERP_PING, how & 8 ? 8 : 3);
		wr_bytes(&out, body, how & 8 ? 8 : 3);
		break;
	case 6: derp_header_write(&out, DERP_KEEP_ALIVE, 0); break;
	default: /* all until it is ready, at once */
		wr_bytes(&out, head, sizeof(head) - 1);
		derp_server_key_write(&out, place.relay_pub);
		derp_server_info_write(&out, place.relay_priv, &place.pub, nonce);
	}
	must(!out.bad);
	say(frame, out.len);
}

/* --- steps --- */

static void step(struct rd *r)
{
	static const uint32_t times_ms[] = { 1, 1100, 4100, 10100, 61000, 121000 };
	uint8_t what = rd_u8(r), how = rd_u8(r);
	struct addr at;
	switch (what % 10) {
	case 0:
		leave();
		relay_leaves();
		turn(TURNS);
		come(how);
		turn(OPENING_TURNS);
		break;
	case 1:
	case 2: say_well(how); break;
	case 3: {
		size_t n = how < r->left ? how : r->left;
		const uint8_t *p = rd_take(r, n);
		say(p, n);
		break;
	}
	case 4: send_some(how); break;
	case 5:
		if (w.link)
			relay_link_note_preferred(w.link, how & 1);
		break;
	case 6:
		if (w.relay)
			stream_pause(w.relay, how & 1);
		break;
	case 7: trouble_pass_ms(times_ms[how % ARRAY_LEN(times_ms)]); break;
	case 8:
		if (how & 1)
			relay_leaves();
		else
			leave();
		break;
	default:
		w.leaves_in_received = how & 1;
		w.leaves_when_ready = how & 2;
		if (w.link && relay_link_local(w.link, &at))
			(void)relay_link_peer(w.link, &at);
	}
}

static void run(const uint8_t *p, size_t len)
{
	struct rd r = rd_of(p, len);
	if (place.fd < 0)
		make_place();
	memset(&w, 0, sizeof(w));
	w.loop = loop_new();
	struct awake awake = awake_loop(w.loop);
	trouble_begin();
	for (int i = 0; i < STEPS_MAX && r.left; i++) {
		step(&r);
		turn(TURNS);
		if (w.closed)
			leave();
	}
	trouble_end();
	leave();
	turn(TURNS);
	relay_leaves();
	turn(TURNS);
	awake_free(&awake);
	for (int fd; (fd = sock_accept(place.fd, NULL)) >= 0;)
		close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	return trouble_twice(run, p, len);
}
