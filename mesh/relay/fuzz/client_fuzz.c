/* A relay client's bytes: odd first byte = after a good handshake, else in its place. A second client is
 * there to hear. */
#include "mesh/base/fuzz/must.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/proto/derp.h"
#include "mesh/relay/inner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PLACES = 16, LONG_MS = 60000 };

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)h;
	(void)p;
	(void)len;
	http_reply(c, 404, NULL, NULL, NULL, 0);
}

static bool upgrade(void *arg, struct http_server_conn *c, const struct http_head *h)
{
	struct endpoint from = { .ip = addr_v4(0x7f000001) };
	struct visit *v = visit_new(arg, &from);
	(void)h;
	if (!v)
		abort();
	client_start(arg, c, v, true);
	return true;
}

/* One end of a socket pair becomes a client of the relay; the other is returned with its handshake sent. */
static int join(struct relay *r, uint8_t byte, bool hello)
{
	static const char head[] = "GET /derp HTTP/1.1\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n";
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = request, .upgrade = upgrade, .arg = r };
	uint8_t frame[512], nonce[BOX_NONCE] = { 1 };
	struct node_private priv;
	struct node_key pub;
	struct derp_client_info info = { .can_ack_pings = true };
	struct wr w = wr_of(frame, sizeof(frame));
	int fd[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0)
		abort();
	memset(priv.b, byte, sizeof(priv.b));
	key_public(priv.b, pub.b);
	derp_client_info_write(&w, &priv, &pub, r->pub, nonce, &info);
	(void)!write(fd[1], head, sizeof(head) - 1);
	if (hello)
		(void)!write(fd[1], frame, w.len);
	(void)http_server_accept(r->loop, stream_accept(r->loop, fd[0], NULL, &none), &ops);
	return fd[1];
}

static void turn(struct relay *r, int n)
{
	while (n--)
		loop_run_once(r->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len || !key_setup())
		return 0;
	struct awake awake = awake_loop(loop_new());
	struct relay r = { .loop = awake.loop, .rnd = &random_steady };
	memset(r.priv, 9, sizeof(r.priv));
	key_public(r.priv, r.pub);
	table_init(&r.clients, KEY_LEN, 1);
	places_init(&r.places, PLACES, PLACES, 1);
	r.visits_end = &r.visits;
	r.visits_max = PLACES;
	r.visit_ms = r.handshake_ms = LONG_MS;
	r.overdue = loop_timer_new(r.loop, visits_overdue, &r);
	if (!r.overdue)
		abort();
	int other = join(&r, 1, true), us = join(&r, 2, data[0] & 1);
	turn(&r, 4);
	size_t half = (len - 1) / 2;
	(void)!write(us, data + 1, half);
	turn(&r, 2);
	(void)!write(us, data + 1 + half, len - 1 - half);
	turn(&r, 2);
	close(us);
	turn(&r, 2);
	while (r.all)
		client_close(r.all);
	close(other);
	turn(&r, 2);
	table_fini(&r.clients);
	loop_timer_free(r.overdue);
	places_fini(&r.places);
	awake_free(&awake);
	return 0;
}
