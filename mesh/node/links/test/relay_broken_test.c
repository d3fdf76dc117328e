/* A relay that breaks off in the middle of what it sends. */
#include "mesh/node/links/relays.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/proto/derp.h"
#include "mesh/transport/stream.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { REGION = 7 };

struct rig {
	struct loop *l;
	char dir[64], cert[80], key[80];
	/* the relay */
	int fd;
	struct endpoint at;
	struct tls *tls;
	struct acceptor *acceptor;
	struct stream *stream;
	struct node_private relay;
	bool upgraded;
	/* who connects to it */
	struct relays *relays;
	struct node_private us;
	size_t packets, held; /* held: since the last flush */
	int downs;
};

static void answer_upgrade(struct rig *g)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
				   "Connection: Upgrade\r\n\r\n";
	uint8_t out[128], pub[KEY_LEN];
	struct wr w = wr_of(out, sizeof(out));
	key_public(g->relay.b, pub);
	derp_server_key_write(&w, pub);
	assert_int_equal(stream_write(g->stream, head, sizeof(head) - 1), 0);
	assert_int_equal(stream_write(g->stream, out, w.len), 0);
	g->upgraded = true;
}

/* One packet, and what is no packet, in one piece. */
static void break_off(struct rig *g, const struct node_key *who)
{
	static const uint8_t nonce[BOX_NONCE] = { 1 };
	uint8_t out[512];
	struct wr w = wr_of(out, sizeof(out));
	derp_server_info_write(&w, g->relay.b, who, nonce);
	derp_packet_header_write(&w, DERP_RECV_PACKET, who, 1);
	wr_bytes(&w, "x", 1);
	derp_header_write(&w, DERP_RECV_PACKET, 1);
	wr_bytes(&w, "x", 1);
	assert_false(w.bad);
	assert_int_equal(stream_write(g->stream, out, w.len), 0);
}

static void relay_data(void *arg, const uint8_t *p, size_t len)
{
	struct rig *g = arg;
	struct rd r = rd_of(p, len);
	struct derp_header h;
	struct derp_client_info info;
	struct node_key who;
	if (!g->upgraded) {
		answer_upgrade(g);
		return;
	}
	if (derp_header_read(&r, &h) && h.type == DERP_CLIENT_INFO &&
		derp_client_info_read(rd_sub(&r, h.len), g->relay.b, &who, &info))
		break_off(g, &who);
}

static void relay_closed(void *arg, int code, const char *why)
{
	struct rig *g = arg;
	(void)code;
	(void)why;
	stream_close(g->stream, false);
	g->stream = NULL;
}

static void arrived(void *arg, int fd, const struct endpoint *from)
{
	struct rig *g = arg;
	(void)from;
	assert_null(g->stream);
	g->upgraded = false;
	g->stream = stream_accept(g->l, fd, g->tls,
		&(struct stream_events) { .data = relay_data, .closed = relay_closed, .arg = g });
	assert_non_null(g->stream);
}

static void received(void *arg, int32_t region, const struct node_key *from, const uint8_t *p, size_t len)
{
	struct rig *g = arg;
	(void)from;
	assert_int_equal(region, REGION);
	assert_int_equal(len, 1);
	assert_int_equal(p[0], 'x');
	g->packets++;
	g->held++;
}

static void flush(void *arg)
{
	((struct rig *)arg)->held = 0;
}

static void up(void *arg, int32_t region, bool is)
{
	(void)region;
	((struct rig *)arg)->downs += !is;
}

static void rig_open(struct rig *g)
{
	struct errbuf eb;
	const char *hosts[] = { "127.0.0.1" };
	*g = (struct rig) { .l = loop_new(), .dir = "/tmp/rw-broken-XXXXXX" };
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->cert, sizeof(g->cert), "%s/cert", g->dir);
	snprintf(g->key, sizeof(g->key), "%s/key", g->dir);
	assert_int_equal(tls_self_signed(g->cert, g->key, hosts, 1, &eb), 0);
	g->tls = tls_server(g->cert, g->key, &eb);
	assert_non_null(g->tls);
	key_generate(&random_system, g->relay.b);
	key_generate(&random_system, g->us.b);
	g->fd = sock_tcp_listen(&(struct endpoint) { .ip = addr_v4(0x7f000001) }, &eb);
	assert_true(g->fd >= 0);
	assert_int_equal(sock_local(g->fd, &g->at), 0);
	g->acceptor = acceptor_new(
		g->l, g->fd, &(struct acceptor_ops) { .arrived = arrived, .arg = g, .what = "the relay" });
	assert_non_null(g->acceptor);
	struct relays_events ev = { .received = received, .flush = flush, .up = up, .arg = g };
	g->relays = relays_open(g->l, &g->us, &ev, &random_system);
	assert_non_null(g->relays);
}

static void rig_close(struct rig *g)
{
	relays_close(g->relays);
	stream_close(g->stream, false);
	acceptor_free(g->acceptor);
	close(g->fd);
	loop_free(g->l);
	tls_free(g->tls);
	assert_int_equal(dir_remove(g->dir, NULL), 0);
}

/* What came before goes on: it is not kept until another relay has something to say. */
static void test_packet_before(void **state)
{
	struct rig g;
	(void)state;
	rig_open(&g);
	struct ctl_derp_node node = { .name = "n",
		.region = REGION,
		.host = "127.0.0.1",
		.cert_name = "",
		.ipv4 = "127.0.0.1",
		.ipv6 = "none",
		.stun_test_ip = "",
		.insecure = true,
		.derp_port = g.at.port };
	struct ctl_derp_region region = {
		.id = REGION, .code = "x", .name = "X", .nodes = &node, .n_nodes = 1
	};
	relays_map_set(g.relays, &(struct ctl_derp_map) { .regions = &region, .n_regions = 1 });
	relays_home_set(g.relays, REGION);
	while (!g.downs)
		loop_run_once(g.l);
	assert_int_equal(g.packets, 1);
	assert_int_equal(g.held, 0);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_packet_before) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
