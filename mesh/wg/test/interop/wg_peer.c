/* Our core against another WireGuard implementation, both in one network namespace: its TUN wg0 has 10.9.0.1,
 * we are 10.9.0.2 behind a UDP socket on loopback, configured through its UAPI socket. Started by ./run.
 * Prints a line per check. */
#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include "mesh/wg/core.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { OUR_PORT = 51001, THEIR_PORT = 51002, APP_PORT = 9999, PEER = 1, HELD = 64 };
enum { THEIR_IP = 0x0a090001, OUR_IP = 0x0a090002 };
enum {
	WITHIN_MS = 12000
}; /* for what comes at once on a machine that has time, or with the next try, 5 s later */

struct held { /* a datagram the bad network keeps back */
	size_t len;
	uint8_t b[PKT_SIZE];
};
struct rig {
	struct wg *wg;
	struct node_private ours, theirs;
	const char *uapi;
	int udp, app;
	uint16_t their_port;
	uint64_t skew_ms;
	uint8_t psk[KEY_LEN];
	bool under_load, bad; /* bad: 1 % lost, 1 % twice, order shuffled */
	bool record;	      /* print every datagram */
	unsigned sent[5], got[5], keepalives_sent, keepalives_got;
	unsigned taken;	       /* of those that we got: what the core found good */
	unsigned inner, outer; /* packets we got from them, and their kernel from us */
	unsigned twice;
	uint8_t *seen[2]; /* by sequence number: to us, to them */
	size_t n_seen;
	struct held held[2][HELD];
	uint64_t rng;
};

static uint64_t clock_ms(const struct rig *r, clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + r->skew_ms;
}

static uint64_t now(const struct rig *r)
{
	return clock_ms(r, CLOCK_MONOTONIC);
}

static struct sockaddr_in at(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in) {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)
	};
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int bind_udp(uint32_t ip, uint16_t port)
{
	struct sockaddr_in a = at(ip, port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 4 << 20;
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("bind");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

/* --- the network between --- */

static uint64_t dice(struct rig *r, uint64_t n)
{
	r->rng = r->rng * 6364136223846793005u + 1442695040888963407u;
	return (r->rng >> 33) % n;
}

static void to_them(struct rig *r, const uint8_t *p, size_t len)
{
	struct sockaddr_in to = at(INADDR_LOOPBACK, r->their_port);
	if (sendto(r->udp, p, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != ECONNREFUSED)
		die("send");
}

static void note_seen(struct rig *r, int direction, uint64_t seq)
{
	if (seq < r->n_seen && r->seen[direction][seq]++)
		r->twice++;
}

static void to_us(struct rig *r, const uint8_t *p, size_t len)
{
	struct pkt k;
	struct wg_received out;
	struct wg_origin from = { &r->their_port, sizeof(r->their_port), r->under_load };
	pkt_reset(&k);
	memcpy(pkt_data(&k), p, len);
	k.len = (uint16_t)len;
	if (len && p[0] < 5)
		r->got[p[0]]++;
	struct ip_view v = { 0 };
	if (wg_receive(r->wg, now(r), &k, &from, &out) != WG_OK)
		return;
	r->taken++;
	if (!out.is_data)
		return;
	if (!k.len)
		r->keepalives_got++;
	else if (ip_parse(pkt_data(&k), k.len, &v) && v.proto == IP_UDP && v.dport == APP_PORT) {
		r->inner++;
		note_seen(r, 0, be_get(pkt_data(&k) + v.payload_at, 4));
	}
}

static void print_datagram(int direction, const uint8_t *p, size_t len)
{
	char hex[2 * PKT_SIZE + 1];
	printf("# %s %s\n", direction ? "ours  " : "theirs", hex_encode(p, len, hex));
}

/* Through the bad network: swaps the datagram with one that waits, now and then. */
static void carry(struct rig *r, int direction, const uint8_t *p, size_t len)
{
	void (*deliver)(struct rig *, const uint8_t *, size_t) = direction ? to_them : to_us;
	if (r->record)
		print_datagram(direction, p, len);
	if (!r->bad || p[0] != WG_DATA) {
		deliver(r, p, len);
		return;
	}
	if (dice(r, 100) == 0)
		return;
	if (dice(r, 100) == 0)
		deliver(r, p, len);
	struct held *h = &r->held[direction][dice(r, HELD)], out = *h;
	h->len = len;
	memcpy(h->b, p, len);
	if (out.len)
		deliver(r, out.b, out.len);
}

static void flush(struct rig *r)
{
	for (int direction = 0; direction < 2; direction++)
		for (int i = 0; i < HELD; i++) {
			struct held *h = &r->held[direction][i];
			if (h->len)
				(direction ? to_them : to_us)(r, h->b, h->len);
			h->len = 0;
		}
}

/* --- ops --- */

static void send_op(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	struct rig *r = arg;
	(void)peer;
	r->sent[p[0]]++;
	if (p[0] == WG_DATA && len == WG_OVERHEAD)
		r->keepalives_sent++;
	carry(r, 1, p, len);
}

static void send_back_op(void *arg, const void *from, const uint8_t *p, size_t len)
{
	(void)from;
	send_op(arg, 0, p, len);
}

static void ready_op(void *arg, uint64_t peer)
{
	struct rig *r = arg;
	struct pkt p;
	while (wg_staged_take(r->wg, peer, &p))
		if (wg_seal(r->wg, now(r), peer, &p) == WG_OK)
			send_op(r, peer, pkt_data(&p), p.len);
}

/* --- driving --- */

static void take_datagrams(struct rig *r)
{
	uint8_t b[PKT_SIZE - PKT_HEADROOM];
	struct sockaddr_in from = { 0 };
	for (int i = 0; i < 64; i++) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(r->udp, b, sizeof(b), MSG_DONTWAIT, (struct sockaddr *)&from, &size);
		if (n <= 0)
			break;
		r->their_port = ntohs(from.sin_port);
		carry(r, 0, b, (size_t)n);
	}
	for (int i = 0; i < 64; i++) {
		ssize_t n = recv(r->app, b, sizeof(b), MSG_DONTWAIT);
		if (n < 4)
			break;
		r->outer++;
		note_seen(r, 1, be_get(b, 4));
	}
}

/* Until *counter reaches want; false after ms (of the true clock). NULL: all of ms. */
static bool pump(struct rig *r, const unsigned *counter, unsigned want, uint64_t ms)
{
	uint64_t end = now(r) + ms;
	while (!counter || *counter < want) {
		uint64_t t = now(r), wake = wg_deadline(r->wg) < end ? wg_deadline(r->wg) : end;
		struct pollfd fds[] = { { r->udp, POLLIN, 0 }, { r->app, POLLIN, 0 } };
		if (t >= end)
			return !counter;
		(void)poll(fds, 2, wake > t ? (int)(wake - t) : 0);
		take_datagrams(r);
		wg_tick(r->wg, now(r));
	}
	return true;
}

static void send_ours(struct rig *r, uint32_t seq)
{
	struct pkt p;
	struct endpoint src = { .ip = addr_v4(OUR_IP), .port = APP_PORT },
			dst = { .ip = addr_v4(THEIR_IP), .port = APP_PORT };
	pkt_reset(&p);
	be_put(pkt_data(&p) + 28, 4, seq);
	memset(pkt_data(&p) + 32, 0, 68);
	p.len = (uint16_t)ip_write_udp(pkt_data(&p), &src, &dst, 72);
	if (wg_seal(r->wg, now(r), PEER, &p) == WG_OK)
		send_op(r, PEER, pkt_data(&p), p.len);
}

static void send_theirs(struct rig *r, uint32_t seq)
{
	uint8_t b[72] = { 0 };
	struct sockaddr_in to = at(OUR_IP, APP_PORT);
	be_put(b, 4, seq);
	if (sendto(r->app, b, sizeof(b), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("send through wg0");
}

static bool both_ways(struct rig *r)
{
	unsigned outer = r->outer, inner = r->inner;
	send_ours(r, 0);
	bool good = pump(r, &r->outer, outer + 1, WITHIN_MS);
	send_theirs(r, 0);
	return good && pump(r, &r->inner, inner + 1, WITHIN_MS);
}

/* --- setting up --- */

static void uapi_set(struct rig *r, const char *text)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char answer[256];
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", r->uapi);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(r->uapi);
	ssize_t n = write(fd, text, strlen(text)) > 0 ? read(fd, answer, sizeof(answer) - 1) : -1;
	close(fd);
	answer[n > 0 ? n : 0] = 0;
	if (strncmp(answer, "errno=0", 7) != 0) {
		fprintf(stderr, "uapi: %s\n", answer);
		exit(1);
	}
}

static void configure_them(struct rig *r)
{
	char text[1024], priv[KEY_TEXT], pub[KEY_TEXT], psk[KEY_TEXT];
	struct node_key ours;
	key_public(r->ours.b, ours.b);
	snprintf(text, sizeof(text),
		"set=1\nprivate_key=%s\nlisten_port=%d\nreplace_peers=true\npublic_key=%s\npreshared_key=%s\n"
		"endpoint=127.0.0.1:%d\nreplace_allowed_ips=true\nallowed_ip=10.9.0.2/32\n\n",
		key_format(r->theirs.b, "", priv), THEIR_PORT, key_format(ours.b, "", pub),
		key_format(r->psk, "", psk), OUR_PORT);
	uapi_set(r, text);
	r->their_port = THEIR_PORT;
}

/* Recorded cores draw the same bytes every time, so that test/golden_test.c can repeat them. */
static void fill_same(void *arg, void *dst, size_t len)
{
	(void)arg;
	memset(dst, 0x42, len);
}

static void start_core(struct rig *r)
{
	struct random same = { fill_same, NULL };
	struct wg_ops ops = {
		.send = send_op, .send_back = send_back_op, .session_ready = ready_op, .arg = r
	};
	struct node_key theirs;
	struct prefix ip = { addr_v4(THEIR_IP), 32 };
	key_public(r->theirs.b, theirs.b);
	wg_free(r->wg);
	r->wg = wg_new(&r->ours, &ops, r->record ? &same : &random_system);
	if (!r->wg || !wg_peer_set(r->wg, PEER, &theirs, r->psk, &ip, 1))
		die("core");
	wg_clock_set(r->wg, now(r), r->record ? UINT64_C(1700000000000) : clock_ms(r, CLOCK_REALTIME));
}

/* Fresh keys on both ends, so that no check inherits from the one before. */
static void start(struct rig *r)
{
	const char *uapi = r->uapi;
	if (r->udp)
		close(r->udp);
	if (r->app)
		close(r->app);
	wg_free(r->wg);
	free(r->seen[0]);
	free(r->seen[1]);
	*r = (struct rig) { .uapi = uapi, .rng = 42 };
	key_generate(&random_system, r->ours.b);
	key_generate(&random_system, r->theirs.b);
	r->udp = bind_udp(INADDR_LOOPBACK, OUR_PORT);
	r->app = bind_udp(THEIR_IP, APP_PORT);
	configure_them(r);
	start_core(r);
}

static struct wg_peer *peer(struct rig *r)
{
	return wg_peer_get(r->wg, PEER);
}

/* --- checks --- */

static bool we_begin(struct rig *r)
{
	return both_ways(r) && r->sent[WG_INITIATION] >= 1 && r->got[WG_RESPONSE] == 1 &&
	       !r->got[WG_INITIATION];
}

static bool they_begin(struct rig *r)
{
	send_theirs(r, 0);
	return pump(r, &r->inner, 1, WITHIN_MS) && r->got[WG_INITIATION] == 1 && r->sent[WG_RESPONSE] == 1 &&
	       both_ways(r);
}

static bool psk(struct rig *r)
{
	memset(r->psk, 7, sizeof(r->psk));
	configure_them(r);
	if (!wg_peer_set(r->wg, PEER, &peer(r)->key, r->psk, peer(r)->card->allowed, 1))
		return false;
	struct node_key key = peer(r)->key;
	struct prefix ip = { addr_v4(THEIR_IP), 32 };
	bool good = both_ways(r);
	memset(r->psk, 8, sizeof(r->psk)); /* and with two different ones it must not work */
	return good && wg_peer_set(r->wg, PEER, &key, r->psk, &ip, 1) &&
	       (send_ours(r, 1), !pump(r, &r->outer, 2, 500));
}

static bool both_begin(struct rig *r)
{
	send_theirs(r, 0);
	send_ours(r, 0);
	/* boringtun keeps what it staged until its own next try is answered, 5 s later */
	return pump(r, &r->inner, 1, WITHIN_MS) && pump(r, &r->outer, 1, WITHIN_MS) && both_ways(r);
}

static bool rekey_by_time(struct rig *r)
{
	bool good = both_ways(r);
	uint32_t old = good ? peer(r)->current->local : 0;
	r->skew_ms += 121000;
	good = good && both_ways(r) && pump(r, &r->got[WG_RESPONSE], 2, WITHIN_MS);
	return good && peer(r)->current->local != old && both_ways(r);
}

static bool rekey_by_count(struct rig *r)
{
	bool good = both_ways(r);
	if (!good)
		return false;
	r->skew_ms += 6000;
	peer(r)->current->sent = WG_REKEY_AFTER_MESSAGES - 1;
	good = both_ways(r) && pump(r, &r->got[WG_RESPONSE], 2, WITHIN_MS);
	return good && peer(r)->current->sent < 100 && both_ways(r);
}

static bool we_roam(struct rig *r)
{
	if (!both_ways(r))
		return false;
	close(r->udp);
	r->udp = bind_udp(INADDR_LOOPBACK, OUR_PORT + 7);
	return both_ways(r);
}

static bool they_roam(struct rig *r)
{
	bool good = both_ways(r);
	uapi_set(r, "set=1\nlisten_port=51077\n\n");
	unsigned inner = r->inner;
	send_theirs(r, 1);
	return good && pump(r, &r->inner, inner + 1, WITHIN_MS) && r->their_port == 51077 && both_ways(r);
}

static bool cookie_of_ours(struct rig *r)
{
	r->under_load = true;
	send_theirs(r, 0);
	return pump(r, &r->inner, 1, WITHIN_MS) && r->sent[WG_COOKIE] >= 1 &&
	       wg_drops(r->wg)->bad_mac2 >= 1 && both_ways(r);
}

/* Initiations that cost them a key agreement each. */
static void flood(struct rig *r)
{
	struct wg_initiation junk = { .type = WG_INITIATION };
	for (uint32_t i = 0; i < 400; i++) {
		random_system.fill(NULL, junk.sender, sizeof(junk.sender) + sizeof(junk.ephemeral));
		wg_cookie_sign(now(r), peer(r), (uint8_t *)&junk, sizeof(junk));
		to_them(r, (uint8_t *)&junk, sizeof(junk));
	}
}

/* Ours stands behind a flood, so that a cookie is the answer to it. Where that has passed by the time they come to ours
 * they answer it at once, and a new one stands behind the next. */
static bool cookie_of_theirs(struct rig *r)
{
	unsigned responses = 0;
	for (int round = 0; round < 40 && peer(r)->cookie_at == WG_NEVER; round++) {
		flood(r);
		responses = r->got[WG_RESPONSE];
		if (!wg_handshake_begin(r->wg, now(r), peer(r)) ||
			!pump(r, &r->taken, r->taken + 1, WITHIN_MS))
			return false;
	}
	return peer(r)->cookie_at != WG_NEVER && pump(r, &r->got[WG_RESPONSE], responses + 1, WITHIN_MS) &&
	       both_ways(r);
}

static bool keepalive_of_ours(struct rig *r)
{
	if (!both_ways(r))
		return false;
	unsigned before = r->keepalives_sent;
	r->skew_ms += 10000; /* it is due now, whatever this machine does meanwhile */
	wg_tick(r->wg, now(r));
	return r->keepalives_sent == before + 1;
}

static bool keepalive_of_theirs(struct rig *r)
{
	if (!both_ways(r))
		return false;
	(void)pump(r, NULL, 0,
		1200); /* boringtun's clock ticks slowly, and it compares with what it sent last */
	send_ours(r, 1);
	unsigned before = r->keepalives_got;
	return pump(r, &r->keepalives_got, before + 1, 13000);
}

static bool clock_back(struct rig *r)
{
	bool good = both_ways(r);
	wg_clock_set(r->wg, now(r), clock_ms(r, CLOCK_REALTIME) - 86400000);
	(void)pump(r, NULL, 0, 60);
	return good && wg_handshake_begin(r->wg, now(r), peer(r)) &&
	       pump(r, &r->got[WG_RESPONSE], 2, WITHIN_MS) && both_ways(r);
}

static bool we_restart(struct rig *r)
{
	bool good = both_ways(r);
	(void)pump(r, NULL, 0, 60);
	start_core(r);
	return good && both_ways(r) && r->got[WG_RESPONSE] == 2;
}

static bool storm(struct rig *r)
{
	const char *n = getenv("RW_WG_STORM");
	r->n_seen = n ? strtoul(n, NULL, 10) / 2 : 50000;
	r->seen[0] = calloc(r->n_seen, 1);
	r->seen[1] = calloc(r->n_seen, 1);
	if (!r->seen[0] || !r->seen[1] || !both_ways(r))
		return false;
	r->seen[0][0] = r->seen[1][0] = 0;
	r->inner = r->outer = 0;
	r->bad = true;
	for (uint32_t i = 0; i < r->n_seen; i++) {
		send_ours(r, i);
		send_theirs(r, i);
		if (i % 32 == 31) { /* as far ahead of the receivers as their queues hold */
			(void)pump(r, &r->outer, (unsigned)(i * 0.97) - 60 * (i > 100), 200);
			(void)pump(r, &r->inner, (unsigned)(i * 0.97) - 60 * (i > 100), 200);
		}
	}
	(void)pump(r, NULL, 0, 300);
	flush(r);
	(void)pump(r, NULL, 0, 500);
	printf("# of %zu each way: to us %u, to them %u, twice %u\n", r->n_seen, r->inner, r->outer,
		r->twice);
	return !r->twice && r->inner > r->n_seen * 0.95 && r->outer > r->n_seen * 0.95 &&
	       wg_drops(r->wg)->replay;
}

/* Their timer, so it takes true time: they begin anew with the first packet after 120 s. It ends before they could try
 * again, 5 s after that: wireguard-go sets that timer when its initiation has left, and where our answer was there first
 * nothing stops it. */
static bool they_rekey_by_time(struct rig *r)
{
	uint64_t end = now(r) + 123000;
	uint32_t n = 0;
	while (now(r) < end) {
		send_theirs(r, n++);
		(void)pump(r, NULL, 0, 1000);
	}
	return pump(r, &r->inner, n, WITHIN_MS) && r->got[WG_INITIATION] == 2 && r->inner == n &&
	       both_ways(r);
}

static bool record_from(struct rig *r, bool we)
{
	r->record = true;
	memset(r->ours.b, 0x0b, KEY_LEN);
	memset(r->theirs.b, 0x0c, KEY_LEN);
	memset(r->psk, 0x0d, KEY_LEN);
	key_clamp(r->ours.b);
	key_clamp(r->theirs.b);
	configure_them(r);
	start_core(r);
	if (we)
		send_ours(r, 1);
	else
		send_theirs(r, 1);
	return pump(r, we ? &r->outer : &r->inner, 1, WITHIN_MS) &&
	       (send_theirs(r, 2), pump(r, &r->inner, 2 - we, WITHIN_MS));
}

static bool record_ours(struct rig *r)
{
	return record_from(r, true);
}
static bool record_theirs(struct rig *r)
{
	return record_from(r, false);
}

static const struct {
	const char *name;
	bool (*run)(struct rig *);
} checks[] = {
	{ "we_begin", we_begin },
	{ "they_begin", they_begin },
	{ "psk", psk },
	{ "both_begin", both_begin },
	{ "rekey_by_time", rekey_by_time },
	{ "rekey_by_count", rekey_by_count },
	{ "we_roam", we_roam },
	{ "they_roam", they_roam },
	{ "cookie_of_ours", cookie_of_ours },
	{ "cookie_of_theirs", cookie_of_theirs },
	{ "keepalive_of_ours", keepalive_of_ours },
	{ "keepalive_of_theirs", keepalive_of_theirs },
	{ "clock_back", clock_back },
	{ "we_restart", we_restart },
	{ "record_ours", record_ours },
	{ "record_theirs", record_theirs },
	{ "storm", storm },
	{ "they_rekey_by_time", they_rekey_by_time },
};

int main(int argc, char **argv)
{
	static struct rig r;
	int failed = 0;
	if (argc < 2 || !key_setup()) {
		fprintf(stderr, "usage: wg_peer UAPI-SOCKET [CHECK...]\n");
		return 2;
	}
	r.uapi = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		bool wanted = argc == 2;
		for (int a = 2; a < argc; a++)
			wanted |= strcmp(argv[a], checks[i].name) == 0;
		if (!wanted)
			continue;
		start(&r);
		bool good = checks[i].run(&r);
		failed += !good;
		if (!good)
			printf("# sent %u %u %u %u, got %u %u %u %u, inner %u, outer %u\n", r.sent[1],
				r.sent[2], r.sent[3], r.sent[4], r.got[1], r.got[2], r.got[3], r.got[4],
				r.inner, r.outer);
		printf("%s %s\n", good ? "ok    " : "FAILED", checks[i].name);
	}
	return failed ? 1 : 0;
}
