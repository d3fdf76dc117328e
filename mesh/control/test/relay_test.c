/* The relay inside the server is for its nodes: who is removed is let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include "mesh/relay/test/derp_peer.h"
#include "mesh/transport/stream.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PORT = 8443 };

/* An address of loopback that no other test has. */
static struct endpoint door(void)
{
	unsigned pid = (unsigned)getpid();
	return (struct endpoint) { .ip = addr_v4(0x7f000009 | (pid & 0xffff) << 8), .port = PORT };
}

/* The same server with a relay inside; more: further settings. */
static void start_relay(struct world *w, const char *more)
{
	const struct endpoint at = door();
	char text[1024], ep[ENDPOINT_TEXT];
	snprintf(text, sizeof(text),
		"server_url: http://hs.test\nlisten_addr: 127.0.0.1:0\ntls_listen_addr: %s\n"
		"noise: { private_key_path: noise.key }\ndatabase: { sqlite: { path: db.sqlite } }\n"
		"unix_socket: ctl.sock\ndns: { base_domain: mesh.test }\nlog: { level: warn }\n"
		"derp: { server: { enabled: true, stun_listen_addr: 127.0.0.1:0 } }\n%s",
		endpoint_format(&at, ep), more);
	world_server_kill(w, SIGTERM, 0);
	world_write_file(w->config, text);
	world_server_start(w);
}

static void join(struct world *w, struct world_node *n, struct derp_peer *p, const char *name)
{
	char key[128];
	world_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	world_node_open(n, w);
	key_generate(&random_system, p->priv.b);
	key_public(p->priv.b, n->node.b);
	world_node_join(n, key, name);
	assert_true(n->answer.machine_authorized);
}

static void dial(struct world *w, struct derp_peer *p)
{
	const struct endpoint at = door();
	derp_peer_dial(p, w->loop, &at, "insecure"); /* who it is the relay shows by its key */
	(void)derp_peer_wait(p, DERP_SERVER_INFO, 1);
}

static void test_removed(void **state)
{
	struct world *w = *state;
	static struct world_node a, b;
	struct derp_peer *p = calloc(2, sizeof(*p));
	assert_non_null(p);
	start_relay(w, "");
	join(w, &a, &p[0], "alpha");
	join(w, &b, &p[1], "beta");
	dial(w, &p[0]);
	dial(w, &p[1]);
	json_decref(world_admin(w, "/v1/nodes/delete", "{\"id\":2}"));
	for (int i = 0; i < 1000 && !p[1].closed; i++)
		derp_peer_pass_ms(w->loop, 10);
	assert_true(p[1].closed);
	assert_false(p[0].closed);
	derp_peer_stop(&p[0]);
	derp_peer_stop(&p[1]);
	world_node_close(&a);
	world_node_close(&b);
	free(p);
}

/* A certificate of the settings that nobody stands for is told by its pin, and the next one by its own. */
static void test_pin_told(void **state)
{
	struct world *w = *state;
	static struct world_node n;
	static const char *const hosts[] = { "hs.test" };
	struct derp_peer p = { 0 };
	struct errbuf eb;
	char cert[256], key[256], more[1024], pins[2][80];
	size_t seen = 0;
	place_path(&w->place, "own.crt", cert);
	place_path(&w->place, "own.pem", key);
	snprintf(more, sizeof(more), "tls_cert_path: %s\ntls_key_path: %s\n", cert, key);
	assert_int_equal(tls_self_signed(cert, key, hosts, 1, &eb), 0);
	assert_int_equal(tls_pin_of(cert, pins[0], &eb), 0);
	start_relay(w, more);
	join(w, &n, &p, "alpha");
	world_node_ask_map(&n, true, "192.0.2.1:41641");
	const struct ctl_map_response *m = world_node_next(&n, &seen);
	assert_int_equal(m->derp_map->n_regions, 1);
	assert_string_equal(m->derp_map->regions[0].nodes[0].cert_name, pins[0]);

	assert_true(!unlink(cert) && !unlink(key));
	assert_int_equal(tls_self_signed(cert, key, hosts, 1, &eb), 0);
	assert_int_equal(tls_pin_of(cert, pins[1], &eb), 0);
	assert_string_not_equal(pins[0], pins[1]);
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	assert_int_equal(w->status, 200);
	do
		m = world_node_next(&n, &seen);
	while (!m->derp_map);
	assert_string_equal(m->derp_map->regions[0].nodes[0].cert_name, pins[1]);
	world_node_close(&n);
}

/* A certificate that cannot be read is not in force, and what comes after it is told of the one that is. */
static void test_bad_certificate(void **state)
{
	struct world *w = *state;
	static struct world_node n;
	static const char *const hosts[] = { "hs.test" };
	struct derp_peer p = { 0 };
	struct errbuf eb;
	char cert[256], key[256], more[1024], api[128];
	size_t seen = 0;
	place_path(&w->place, "own.crt", cert);
	place_path(&w->place, "own.pem", key);
	snprintf(more, sizeof(more), "tls_cert_path: %s\ntls_key_path: %s\n", cert, key);
	assert_int_equal(tls_self_signed(cert, key, hosts, 1, &eb), 0);
	start_relay(w, more);
	join(w, &n, &p, "alpha");
	world_node_ask_map(&n, true, "192.0.2.1:41641");
	assert_int_equal(world_node_next(&n, &seen)->derp_map->n_regions, 1);

	world_write_file(cert, "none\n");
	json_decref(world_admin(w, "/v1/policy/reload", "{}"));
	assert_int_equal(w->status, 400);
	world_api_key(w, "{}", api);
	json_decref(
		world_ask(w, api, "POST", "/api/v2/tailnet/-/dns/nameservers", "{\"dns\":[\"192.0.2.53\"]}"));
	assert_int_equal(w->status, 200);
	const struct ctl_map_response *m = world_node_next(&n, &seen);
	assert_string_equal(m->dns->resolvers->addr, "192.0.2.53");
	assert_null(m->derp_map);
	world_node_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_removed, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_pin_told, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_bad_certificate, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
