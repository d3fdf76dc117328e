/* A relay and a crowd: each input is a row of steps, of strangers and clients that come, speak, fall silent, read
 * nothing and go, while time passes and memory is short now and then. client_fuzz has the bytes of one of them. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/proto/derp.h"
#include "mesh/relay/inner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	SEATS = 8,
	KEYS = 3,
	NETS = 3,
	PLACES = 5,
	PER_NET = 3,
	VISITS = 4,
	STEPS_MAX = 64,
	TURNS = 3,
	SMALL_BUFFER = 4096,
	BIG_PACKET = 60000
};

struct seat {
	int fd; /* -1: nobody */
	bool deaf;
};
struct crowd {
	struct relay r;
	struct seat seats[SEATS];
	struct node_private priv[KEYS];
	struct node_key pub[KEYS];
	struct http_server_ops ops;
	enum relay_verdict verdict;
	struct awake awake;
};

/* --- the relay's surroundings --- */

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	struct visit *v = http_conn_data(c);
	(void)p;
	(void)len;
	if (v)
		v->asked = true;
	if (!relay_request(arg, c, h))
		http_reply(c, 404, NULL, NULL, NULL, 0);
}

static bool upgrade(void *arg, struct http_server_conn *c, const struct http_head *h)
{
	struct visit *v = http_conn_data(c);
	http_conn_data_set(c, NULL);
	client_start(arg, c, v, http_header(h, "Derp-Fast-Start"));
	return true;
}

static enum relay_verdict admits(void *arg, const struct node_key *who, const struct endpoint *from)
{
	(void)who;
	(void)from;
	return ((struct crowd *)arg)->verdict;
}

static void crowd_init(struct crowd *w)
{
	struct awake awake = awake_loop(loop_new());
	*w = (struct crowd) { .awake = awake,
		.r = { .loop = awake.loop,
			.rnd = &random_steady,
			.visits_max = VISITS,
			.visit_ms = 1500,
			.handshake_ms = 5000,
			.options = { .admits = admits, .admits_arg = w } } };
	struct relay *r = &w->r;
	must(key_setup());
	memset(r->priv, 9, sizeof(r->priv));
	key_public(r->priv, r->pub);
	table_init(&r->clients, KEY_LEN, 1);
	places_init(&r->places, PLACES, PER_NET, 1);
	r->visits_end = &r->visits;
	r->overdue = loop_timer_new(r->loop, visits_overdue, r);
	w->ops = (struct http_server_ops) {
		.request = request, .upgrade = upgrade, .gone = visit_gone, .arg = r, .idle_ms = 10000
	};
	w->verdict = RELAY_YES;
	for (int i = 0; i < SEATS; i++)
		w->seats[i].fd = -1;
	for (int i = 0; i < KEYS; i++) {
		memset(w->priv[i].b, i + 1, KEY_LEN);
		key_public(w->priv[i].b, w->pub[i].b);
	}
}

static void turn(struct crowd *w)
{
	static char sink[1 << 16];
	for (int i = 0; i < TURNS; i++) {
		loop_run_once(w->r.loop);
		for (int k = 0; k < SEATS; k++)
			while (w->seats[k].fd >= 0 && !w->seats[k].deaf &&
				recv(w->seats[k].fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
				;
	}
}

static void seat_leave(struct seat *s)
{
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct seat) { .fd = -1 };
}

static void crowd_fini(struct crowd *w)
{
	struct relay *r = &w->r;
	trouble_memory(0);
	for (int i = 0; i < SEATS; i++)
		seat_leave(&w->seats[i]);
	turn(w);
	while (r->all)
		client_close(r->all);
	while (r->visits)
		visit_drop(r->visits);
	turn(w);
	if (r->clients.n || r->n_visits || r->places.n || r->stats.clients)
		abort(); /* somebody is still counted */
	table_fini(&r->clients);
	places_fini(&r->places);
	loop_timer_free(r->overdue);
	awake_free(&w->awake);
}

/* --- what they do --- */

static void come(struct crowd *w, struct seat *s, uint8_t net)
{
	struct stream_events none = { 0 };
	struct endpoint from = { .ip = addr_v4(0x0a000001 + net % NETS) };
	int fd[2], small = SMALL_BUFFER;
	if (net & 8)
		from.ip.b[0] = 0x20; /* IPv6 */
	seat_leave(s);
	turn(w);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0)
		abort();
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	struct visit *v = visits_are_crowded(&w->r) ? NULL : visit_new(&w->r, &from);
	struct http_server_conn *c =
		v ? http_server_accept(w->r.loop, stream_accept(w->r.loop, fd[0], NULL, &none), &w->ops)
		  : NULL;
	if (!v)
		close(fd[0]);
	if (v && !c)
		visit_end(v);
	if (c) {
		v->conn = c;
		http_conn_data_set(c, v);
	}
	s->fd = fd[1];
}

static void say(const struct seat *s, const void *p, size_t len)
{
	(void)!send(s->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void say_hello(const struct crowd *w, const struct seat *s, uint8_t key)
{
	uint8_t frame[512], nonce[BOX_NONCE] = { 1 };
	struct derp_client_info info = { .can_ack_pings = true };
	struct wr out = wr_of(frame, sizeof(frame));
	derp_client_info_write(&out, &w->priv[key % KEYS], &w->pub[key % KEYS], w->r.pub, nonce, &info);
	say(s, frame, out.len);
}

static void say_packet(const struct crowd *w, const struct seat *s, uint8_t key, uint8_t size)
{
	static uint8_t frame[DERP_HEADER + KEY_LEN + BIG_PACKET];
	static const uint8_t disco[] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };
	size_t len = (size_t)size * BIG_PACKET / UINT8_MAX;
	struct wr out = wr_of(frame, sizeof(frame));
	derp_header_write(&out, DERP_SEND_PACKET, (uint32_t)(KEY_LEN + len));
	wr_bytes(&out, w->pub[key % KEYS].b, KEY_LEN);
	memset(frame + out.len, size, len);
	if (size & 1 && len > 64)
		memcpy(frame + out.len, disco, sizeof(disco));
	say(s, frame, out.len + len);
}

static void say_short(const struct seat *s, uint8_t type, uint8_t n)
{
	uint8_t frame[DERP_HEADER + 16];
	struct wr out = wr_of(frame, sizeof(frame));
	derp_header_write(&out, type, n % 16);
	memset(frame + out.len, 1, n % 16);
	say(s, frame, out.len + n % 16);
}

/* Two bytes: what, and who or how much. */
static void step(struct crowd *w, uint8_t what, uint8_t more)
{
	static const char head[] = "GET /derp HTTP/1.1\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n";
	static const char fast[] =
		"GET /derp HTTP/1.1\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\n\r\n";
	static const char probe[] = "GET /derp/probe HTTP/1.1\r\nHost: x\r\n\r\n";
	static const uint16_t times_ms[] = { 1, 1600, 2100, 5100, 61000, 65535 };
	struct seat *s = &w->seats[what % SEATS];
	switch (what / SEATS) {
	case 0: come(w, s, more); break;
	case 1: say(s, more & 1 ? fast : head, more & 1 ? sizeof(fast) - 1 : sizeof(head) - 1); break;
	case 2: say_hello(w, s, more); break;
	case 3: say_packet(w, s, (uint8_t)(more % KEYS), more); break;
	case 4: say_short(s, DERP_PING, more & 1 ? 8 : more); break;
	case 5: say_short(s, DERP_NOTE_PREFERRED, 1); break;
	case 6: s->deaf = more & 1; break;
	case 7: seat_leave(s); break;
	case 8: trouble_pass_ms(times_ms[more % ARRAY_LEN(times_ms)]); break;
	case 9: relay_admit(&w->r, &w->pub[more % KEYS], more & 128); break;
	case 10: w->verdict = more % 3 == 0 ? RELAY_NO : more % 3 == 1 ? RELAY_LATER : RELAY_YES; break;
	case 11: say(s, probe, more < sizeof(probe) ? more : sizeof(probe) - 1); break;
	case 12: say_short(s, more, (uint8_t)(more >> 4)); break;
	case 13: trouble_memory(more % 32); break;
	case 14: /* several hellos and packets at once */
		say_hello(w, s, more);
		say_packet(w, s, (uint8_t)(more + 1), more);
		break;
	default: say(s, &more, 1); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct crowd w;
	crowd_init(&w);
	for (size_t i = 0; i + 1 < len && i < (size_t)2 * STEPS_MAX; i += 2) {
		step(&w, data[i], data[i + 1]);
		turn(&w);
	}
	crowd_fini(&w);
	return 0;
}
