#include "mesh/node/serve/test/loopback.h"
#include "mesh/os/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int64_t server_ms(void *arg)
{
	(void)arg;
	return 1000;
}

static void listens(void *arg)
{
	struct loopback *w = arg;
	w->told++;
	w->n_said = peer_api_services(w->api, w->said);
}

static void node_make(struct ctl_node *n, int64_t id, const char *ip, struct prefix *at)
{
	assert_true(prefix_parse(ip, at));
	*n = (struct ctl_node) { .id = id,
		.user = 7,
		.name = "peer.mesh.test.",
		.stable_id = "n",
		.key_expiry_ms = INT64_MIN,
		.addresses = { at, 1 },
		.cap_map_json = "{\"https://tailscale.com/cap/file-sharing\":null}" };
}

static bool is_exit_for(void *arg, const struct addr *peer)
{
	struct loopback *w = arg;
	return w->exit && addr_equal(peer, &w->addrs[1].ip); /* MINE */
}

static bool offers_exit(void *arg)
{
	return ((struct loopback *)arg)->exit;
}

static struct resolver *resolver(void *arg)
{
	(void)arg;
	return NULL; /* exit_dns_test has one */
}

void loopback_open(struct loopback *w)
{
	loopback_open_at(w, LOOPBACK_SELF);
}

void loopback_open_at(struct loopback *w, const char *self)
{
	struct errbuf eb = { 0 };
	char ip[32];
	*w = (struct loopback) { .loop = loop_new(), .dir = "/tmp/rw-peerapi-XXXXXX" };
	assert_non_null(mkdtemp(w->dir));
	node_make(&w->self.node, 9, self, &w->addrs[0]);
	for (int i = 0; i < LOOPBACK_PEERS; i++) {
		snprintf(ip, sizeof(ip), "127.0.0.%d", MINE + i);
		node_make(&w->peer[i].node, MINE + i, ip, &w->addrs[1 + i]);
		w->peers[i] = &w->peer[i];
	}
	w->peer[OTHERS - MINE].node.user = 8;
	w->peer[EXPIRED - MINE].node.key_expiry_ms = 999;
	w->map = (struct netmap) {
		.refs = 1000, .self = &w->self, .peers = w->peers, .n_peers = LOOPBACK_PEERS
	};
	w->files = files_open(w->loop, w->dir, &eb);
	assert_non_null(w->files);
	struct peer_api_ops ops = { .server_ms = server_ms,
		.listens = listens,
		.is_exit_for = is_exit_for,
		.offers_exit = offers_exit,
		.resolver = resolver,
		.arg = w };
	w->api = peer_api_open(w->loop, w->files, &ops);
	assert_non_null(w->api);
	peer_api_apply(w->api, &w->map, "lo");
	assert_int_equal(w->told, 1);
	assert_int_equal(w->n_said, 1);
	assert_string_equal(w->said[0].proto, "peerapi4");
	assert_int_equal(w->said[0].port, peer_api_port(w->api, true));
	assert_int_equal(peer_api_port(w->api, false), 0);
}

void loopback_close(struct loopback *w)
{
	peer_api_close(w->api);
	files_close(w->files);
	loop_free(w->loop);
	assert_int_equal(dir_remove(w->dir, NULL), 0);
}

static void add(void *arg, const struct inbox_file *f)
{
	char *out = arg;
	size_t n = strlen(out);
	snprintf(out + n, 512 - n, "%s=%d ", f->name, (int)f->size);
}

const char *loopback_waiting(struct loopback *w)
{
	static char list[512];
	list[0] = 0;
	files_waiting(w->files, add, list);
	return list;
}
