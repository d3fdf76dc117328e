/* Two machines carry one network for each other: which of them is alive, and whose word for it counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <stdio.h>
#include <string.h>

#define NETWORK "10.0.0.0/8"
enum { ROUNDS = 6 }; /* the server asks every 2 s and gives up after 2.5 */

struct carrier {
	struct world_node node;
	size_t seen;
	unsigned asked;
};

/* The map, from a machine that offers the network. */
static void begin_stream(struct carrier *c)
{
	struct prefix net;
	assert_true(prefix_parse(NETWORK, &net));
	struct ctl_map_request rq = { .version = CONTROL_CAPVER,
		.compress = "",
		.node = c->node.node,
		.disco = c->node.disco,
		.omit_peers = true,
		.has_hostinfo = true,
		.hostinfo = { .ipn_version = "",
			.backend_log_id = "",
			.os = "linux",
			.os_version = "",
			.hostname = "box",
			.machine = "",
			.go_arch = "",
			.routable_ips = { .v = &net, .n = 1 } } };
	struct buf json = { 0 };
	struct h2_request_events ev = { 0 };
	assert_true(ctl_map_request_write(&json, &rq));
	assert_non_null(control_client_request(
		c->node.link, "POST", "/machine/map", NULL, NULL, buf_data(&json), json.len, &ev));
	buf_free(&json);
	world_node_ask_map(&c->node, true, NULL);
}

static void join(struct carrier *c, struct world *w, const char *key, const char *name)
{
	*c = (struct carrier) { 0 };
	world_node_open(&c->node, w);
	world_node_join(&c->node, key, name);
	begin_stream(c);
}

/* Whether the node in this place of the list is the one to which the network's packets go. */
static bool carries(struct world *w, size_t place)
{
	json_t *list = world_admin(w, "/v1/nodes/list", "{}");
	const char *net = json_string_value(
		json_array_get(json_object_get(json_array_get(list, place), "subnet_routes"), 0));
	bool is = net && !strcmp(net, NETWORK);
	json_decref(list);
	return is;
}

static void answer(struct world_node *c, const char *url)
{
	struct h2_request_events ev = { 0 };
	const char *path = strstr(url, "/machine/ping-response/");
	assert_non_null(path);
	assert_non_null(control_client_request(c->link, "GET", path, NULL, NULL, NULL, 0, &ev));
}

/* What c was asked since the last time is answered by teller. */
static void answer_all(struct carrier *c, struct world_node *teller)
{
	for (; c->seen < c->node.n; c->seen++) {
		const struct ctl_ping *p = c->node.messages[c->seen].ping;
		if (!p || p->types[0])
			continue;
		c->asked++;
		answer(teller, p->url);
	}
}

static void test_whose_word(void **state)
{
	struct world *w = *state;
	struct carrier a, b;
	char key[128];
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	join(&a, w, key, "alpha");
	join(&b, w, key, "beta");
	json_decref(world_admin(w, "/v1/nodes/approve-routes", "{\"id\":1,\"routes\":\"" NETWORK "\"}"));
	json_decref(world_admin(w, "/v1/nodes/approve-routes", "{\"id\":2,\"routes\":\"" NETWORK "\"}"));
	assert_true(carries(w, 0));
	while (b.asked < ROUNDS && !carries(w, 1)) {
		WAIT(w, a.seen < a.node.n || b.seen < b.node.n);
		answer_all(&a, &b.node); /* alpha is dead, and beta says that it is not */
		answer_all(&b, &b.node);
	}
	assert_true(a.asked > 0);
	assert_true(carries(w, 1));
	assert_false(carries(w, 0));
	world_node_close(&a.node);
	world_node_close(&b.node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whose_word, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
