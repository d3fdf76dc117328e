/* A relay without a door of its own: another HTTP server hands it its requests. */
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/relay/test/derp_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { PLACES = 4 };

/* The owner: accepts, serves a page, and knows who may use the relay. */
struct host {
	struct loop *loop;
	struct relay *relay;
	struct tls *tls;
	struct loop_fd *watch;
	struct endpoint at;
	int fd, gone;	   /* gone: connections that ended with the owner */
	int ended, inside; /* without it, since the last upgrade began; inside that call */
	char dir[64], pin[80];
	struct node_key only; /* who may; all zero = everybody */
	bool later;
	unsigned asked;
	struct derp_peer *a, *b, *crowd;
	int status;
	char extra[64];
	bool over;
};

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct host *h = arg;
	(void)body;
	(void)len;
	if (!relay_request(h->relay, c, head))
		http_reply(c, 200, "text/plain", NULL, "owner", 5);
}

/* What the owner keeps for a connection: with ASan, a use or a second end of it is seen. */
static bool upgrade(void *arg, struct http_server_conn *c, const struct http_head *head)
{
	struct host *h = arg;
	int *kept = http_conn_data(c);
	http_conn_data_set(c, NULL);
	h->ended = 0;
	if (relay_upgrade(h->relay, c, head)) {
		h->inside = h->ended;
		free(kept);
		return true;
	}
	http_conn_data_set(c, kept);
	return false;
}

static void gone(void *arg, struct http_server_conn *c)
{
	struct host *h = arg;
	h->gone += http_conn_data(c) != NULL;
	h->ended += http_conn_data(c) == NULL;
	free(http_conn_data(c));
}

static void readable(void *arg, int events)
{
	struct host *h = arg;
	const struct stream_events none = { 0 };
	const struct http_server_ops ops = { .request = request, .upgrade = upgrade, .gone = gone, .arg = h };
	int fd = sock_accept(h->fd, NULL);
	(void)events;
	if (fd < 0)
		return;
	struct http_server_conn *c =
		http_server_accept(h->loop, stream_accept(h->loop, fd, h->tls, &none), &ops);
	assert_non_null(c);
	http_conn_data_set(c, malloc(sizeof(int)));
}

static enum relay_verdict admits(void *arg, const struct node_key *who, const struct endpoint *from)
{
	struct host *h = arg;
	assert_true(addr_is_loopback(&from->ip));
	if (h->later) {
		h->asked++;
		return RELAY_LATER;
	}
	return key_is_zero(h->only.b) || key_equal(h->only.b, who->b) ? RELAY_YES : RELAY_NO;
}

static int setup(void **state)
{
	struct host *h = calloc(1, sizeof(*h));
	struct errbuf eb = { 0 };
	char cert[96], key[96], derp[96];
	const char *names[] = { "relay.test" };
	assert_non_null(h);
	strcpy(h->dir, "/tmp/rw-embed-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	snprintf(cert, sizeof(cert), "%s/c.crt", h->dir);
	snprintf(key, sizeof(key), "%s/c.pem", h->dir);
	snprintf(derp, sizeof(derp), "%s/derp.key", h->dir);
	h->loop = loop_new();
	struct relay_options o = { .embedded = true,
		.derp_key_file = derp,
		.admits = admits,
		.admits_arg = h,
		.per_address = PLACES };
	h->relay = relay_open(h->loop, &o, &eb);
	if (!h->relay || tls_self_signed(cert, key, names, 1, &eb) || tls_pin_of(cert, h->pin, &eb))
		fail_msg("%s", eb.text);
	h->tls = tls_server(cert, key, &eb);
	assert_int_equal(tls_server_metacert(h->tls, relay_public(h->relay), &eb), 0);
	h->at = (struct endpoint) { .ip = addr_v4(0x7f000001) };
	h->fd = sock_tcp_listen(&h->at, &eb);
	sock_local(h->fd, &h->at);
	h->watch = loop_fd_new(h->loop, h->fd, readable, h);
	loop_fd_set(h->watch, LOOP_READ);
	h->a = calloc(1, sizeof(*h->a));
	h->b = calloc(1, sizeof(*h->b));
	h->crowd = calloc(PLACES, sizeof(*h->crowd));
	assert_non_null(h->crowd);
	assert_true(h->a && h->b);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;
	derp_peer_stop(h->a);
	derp_peer_stop(h->b);
	for (size_t i = 0; i < PLACES; i++)
		derp_peer_stop(&h->crowd[i]);
	relay_close(h->relay);
	loop_fd_free(h->watch);
	close(h->fd);
	tls_free(h->tls);
	loop_free(h->loop);
	dir_remove(h->dir, NULL);
	free(h->a);
	free(h->b);
	free(h->crowd);
	free(h);
	return 0;
}

static void dial(struct host *h, struct derp_peer *p, bool fast)
{
	p->fast = fast;
	derp_peer_dial(p, h->loop, &h->at, h->pin);
}

static void test_packets(void **state)
{
	struct host *h = *state;
	dial(h, h->a, false);
	dial(h, h->b, true);
	(void)derp_peer_wait(h->a, DERP_SERVER_INFO, 1);
	(void)derp_peer_wait(h->b, DERP_SERVER_INFO, 1);
	derp_peer_send(h->a, &h->b->pub, "hello", 5);
	assert_memory_equal(derp_peer_wait(h->b, DERP_RECV_PACKET, 1)->head, "hello", 5);
	assert_int_equal(relay_stats(h->relay)->clients, 2);
	assert_int_equal(relay_stats(h->relay)->accepted, 2);
	assert_string_equal(relay_pin(h->relay), "");
	assert_int_equal(h->gone, 0); /* taken over, not ended */
}

/* Who is not known is let go when its key is proven, and counted. */
static void test_admits(void **state)
{
	struct host *h = *state;
	key_generate(&random_system, h->a->priv.b);
	key_public(h->a->priv.b, h->only.b);
	dial(h, h->a, false);
	dial(h, h->b, false);
	(void)derp_peer_wait(h->a, DERP_SERVER_INFO, 1);
	while (!h->b->closed)
		loop_run_once(h->loop);
	assert_int_equal(derp_peer_count(h->b, DERP_SERVER_INFO), 0);
	assert_int_equal(relay_stats(h->relay)->clients, 1);
	assert_int_equal(relay_stats(h->relay)->drop_refused, 1);
}

/* Who waits for a word is sent nothing and read no further; what it said meanwhile counts when it may stay.
 */
static void test_admitted_later(void **state)
{
	struct host *h = *state;
	h->later = true;
	dial(h, h->a, false);
	dial(h, h->b, true);
	while (h->asked < 2)
		loop_run_once(h->loop);
	derp_peer_frame(h->a, DERP_PING, "12345678", 8);
	relay_admit(h->relay, &h->only, true); /* nobody's */
	assert_int_equal(relay_stats(h->relay)->clients, 0);
	relay_admit(h->relay, &h->b->pub, false);
	while (!h->b->closed)
		loop_run_once(h->loop);
	assert_int_equal(relay_stats(h->relay)->drop_refused, 1);
	assert_int_equal(derp_peer_count(h->a, DERP_SERVER_INFO), 0);
	relay_admit(h->relay, &h->a->pub, true);
	(void)derp_peer_wait(h->a, DERP_SERVER_INFO, 1);
	(void)derp_peer_wait(h->a, DERP_PONG, 1);
	assert_int_equal(relay_stats(h->relay)->clients, 1);
	relay_admit(h->relay, &h->a->pub, false); /* said already */
	assert_int_equal(relay_stats(h->relay)->clients, 1);
}

/* Who may not be here any more goes with all connections, and whoever it wrote to hears that it is gone. */
static void test_dismissed(void **state)
{
	struct host *h = *state;
	key_generate(&random_system, h->a->priv.b);
	h->crowd[0].priv = h->a->priv;
	dial(h, h->a, false);
	dial(h, h->b, false);
	(void)derp_peer_wait(h->a, DERP_SERVER_INFO, 1);
	(void)derp_peer_wait(h->b, DERP_SERVER_INFO, 1);
	derp_peer_send(h->a, &h->b->pub, "hello", 5);
	(void)derp_peer_wait(h->b, DERP_RECV_PACKET, 1);
	dial(h, &h->crowd[0], false);
	(void)derp_peer_wait(&h->crowd[0], DERP_SERVER_INFO, 1);
	h->later = true;
	h->crowd[1].priv = h->a->priv; /* waits for a word */
	dial(h, &h->crowd[1], false);
	while (!h->asked)
		loop_run_once(h->loop);
	relay_dismiss(h->relay, &h->only); /* nobody's */
	assert_int_equal(relay_stats(h->relay)->clients, 3);
	relay_dismiss(h->relay, &h->a->pub);
	assert_int_equal(relay_stats(h->relay)->clients, 1);
	while (!h->a->closed || !h->crowd[0].closed || !h->crowd[1].closed)
		loop_run_once(h->loop);
	(void)derp_peer_wait(h->b, DERP_PEER_GONE, 1);
	assert_false(h->b->closed);
	assert_int_equal(relay_stats(h->relay)->drop_refused, 3);
	relay_dismiss(h->relay, &h->a->pub);
}

/* No place for one more: it is told so, its connection ends, and what the owner kept for it goes once. */
static void test_no_place(void **state)
{
	struct host *h = *state;
	for (size_t i = 0; i < PLACES; i++) {
		struct derp_peer *p = &h->crowd[i];
		p->mute = true; /* a visit, and young: nobody gives way */
		dial(h, p, false);
	}
	while (relay_stats(h->relay)->accepted < PLACES)
		loop_run_once(h->loop);
	dial(h, h->a, true);
	while (!h->a->closed)
		loop_run_once(h->loop);
	assert_int_equal(h->inside, 1);
	assert_int_equal(derp_peer_count(h->a, DERP_SERVER_INFO), 0);
	assert_int_equal(relay_stats(h->relay)->accepted, PLACES);
	assert_int_equal(h->gone, 0);
}

static void answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct host *h = arg;
	const char *v = http_header(head, "x-tailscale-response");
	h->status = head->status;
	snprintf(h->extra, sizeof(h->extra), "%s%.*s", v ? v : "", (int)len, body ? (const char *)body : "");
	h->over = true;
}

static void not_answered(void *arg, int code, const char *why)
{
	(void)code;
	fail_msg("%s", why);
	((struct host *)arg)->over = true;
}

/* Which requests are the relay's, and which stay the owner's. */
static void test_requests(void **state)
{
	static const struct {
		const char *method, *target;
		int status;
		const char *extra;
	} rows[] = {
		{ "GET", "/derp/probe", 200, "" },
		{ "HEAD", "/derp/latency-check", 200, "" },
		{ "GET", "/generate_204", 204, "response abc" },
		{ "GET", "/derp", 426, "" },
		{ "GET", "/", 200, "owner" },
		{ "GET", "/robots.txt", 200, "owner" },
		{ "POST", "/derp/probe", 200, "owner" },
	};
	struct host *h = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct tls *tls = tls_client(h->pin, NULL);
		struct http_request rq = {
			.to = { .host = "relay.test", .port = h->at.port, .at = &h->at, .tls = tls },
			.method = rows[i].method,
			.target = rows[i].target,
			.host = "relay.test",
			.extra = "X-Tailscale-Challenge: abc\r\n"
		};
		const struct http_client_events ev = { .done = answered, .failed = not_answered, .arg = h };
		h->over = false;
		assert_non_null(http_request(h->loop, &rq, &ev));
		tls_free(tls);
		while (!h->over)
			loop_run_once(h->loop);
		if (h->status != rows[i].status || strcmp(h->extra, rows[i].extra) != 0)
			fail_msg("row %zu: %d %s", i, h->status, h->extra);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_packets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_admits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_admitted_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dismissed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
	};
	alarm(60); /* a wait that nothing ends */
	return key_setup() ? cmocka_run_group_tests_name("embedded", tests, NULL, NULL) : 1;
}
