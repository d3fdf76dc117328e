/* What is known and changed of nodes that are in: facts, times, routes, and what cannot be stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/test/desk.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing can be written: what nodes say of themselves holds, what an admin wants does not. */
static void test_unsaved(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT], aside[256];
	struct endpoint ep = { .ip = addr_v4(0xc0000201U), .port = 1 };
	struct machine_key machine;
	struct ctl_map_request rq = { .endpoints = { .v = &ep, .n = 1, .present = true } };
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	memset(rq.node.b, 1, KEY_LEN);
	memset(machine.b, 1, KEY_LEN);
	assert_int_equal(rename(x->path, place_path(&x->place, "aside", aside)), 0);
	assert_non_null(registry_map_received(&x->r, &rq, &machine, NOW + 1));
	assert_int_equal(desk_node(x, 1)->endpoints.n, 1);
	assert_non_null(strstr(x->r.trouble, "was removed or replaced"));
	registry_node_rename(&x->r, desk_node(x, 1)->id, "other", desk_waits(x));
	assert_int_equal(desk_outcome(x), -ENOENT);
	assert_string_equal(desk_node(x, 1)->name, "box");
	assert_int_equal(rename(aside, x->path), 0);
	registry_node_rename(&x->r, desk_node(x, 1)->id, "other", desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_string_equal(x->r.trouble, "");
}

/* A node may not hand on more of itself than a real one has to say. */
static void test_much_to_say(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT], *text = calloc(1, 40001);
	struct endpoint ep[100];
	struct machine_key machine;
	memset(text, 'x', 40000);
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key, .host = text });
	assert_string_equal(x->out.error, "");
	assert_string_equal(desk_node(x, 1)->name, "node");
	assert_string_equal(desk_node(x, 1)->hostinfo_json, "");
	for (size_t i = 0; i < ARRAY_LEN(ep); i++)
		ep[i] = (struct endpoint) { .ip = addr_v4(0xc0000200U + (uint32_t)i), .port = 1 };
	struct ctl_map_request rq = { .has_hostinfo = true,
		.endpoints = { .v = ep, .n = ARRAY_LEN(ep), .present = true } };
	memset(rq.node.b, 1, KEY_LEN);
	memset(machine.b, 1, KEY_LEN);
	rq.hostinfo.hostname = "box";
	rq.hostinfo.os = text;
	assert_non_null(registry_map_received(&x->r, &rq, &machine, NOW));
	assert_string_equal(desk_node(x, 1)->name, "node");
	assert_string_equal(desk_node(x, 1)->hostinfo_json, "");
	assert_int_equal(desk_node(x, 1)->endpoints.n, 64);
	free(text);
}

static void test_facts(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT];
	struct machine_key machine, other;
	struct endpoint ep;
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	memset(machine.b, 1, KEY_LEN);
	memset(other.b, 2, KEY_LEN);
	assert_true(endpoint_parse("192.0.2.1:41641", &ep));
	struct ctl_map_request rq = {
		.version = 119, .has_hostinfo = true, .endpoints = { .v = &ep, .n = 1, .present = true }
	};
	memset(rq.node.b, 1, KEY_LEN);
	memset(rq.disco.b, 6, KEY_LEN);
	rq.hostinfo.hostname = "box";
	rq.hostinfo.netinfo = &(struct ctl_netinfo) { .preferred_derp = 900 };
	assert_null(registry_map_received(&x->r, &rq, &other, NOW));
	const struct member *m = registry_map_received(&x->r, &rq, &machine, NOW);
	assert_int_equal(m->home_derp, 900);
	assert_int_equal(m->endpoints.n, 1);
	assert_int_equal(x->little, 1);
	assert_ptr_equal(registry_map_received(&x->r, &rq, &machine, NOW), m); /* nothing new */
	assert_int_equal(x->little, 1);

	/* a bare stream request takes nothing back */
	struct ctl_map_request bare = { .version = 119,
		.node = rq.node,
		.stream = true,
		.has_hostinfo = true,
		.endpoints = { .present = true } };
	bare.hostinfo.hostname = "box";
	m = registry_map_received(&x->r, &bare, &machine, NOW);
	assert_int_equal(m->home_derp, 900);
	assert_int_equal(m->endpoints.n, 1);

	rq.hostinfo.hostname = "Other Box.local";
	m = registry_map_received(&x->r, &rq, &machine, NOW);
	assert_string_equal(m->name, "other-box");
	assert_int_equal(x->identity, 2);

	/* who is shut out takes no name, and his endpoints are kept for when he is let in again */
	registry_node_expire(&x->r, 1, NOW, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	rq.hostinfo.hostname = "payroll";
	rq.endpoints.v = &(struct endpoint) { .ip = ep.ip, .port = 7 };
	m = registry_map_received(&x->r, &rq, &machine, NOW + 1);
	assert_int_equal(m->endpoints.v[0].port, 7);
	assert_string_equal(m->name, "other-box");
	registry_node_expire(&x->r, 1, FLEET_NO_TIME, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_string_equal(registry_map_received(&x->r, &rq, &machine, NOW + 2)->name, "payroll");
	rq.read_only = true;
	rq.hostinfo.hostname = "x";
	assert_string_equal(registry_map_received(&x->r, &rq, &machine, NOW)->name, "payroll");
	memset(rq.node.b, 9, KEY_LEN);
	assert_null(registry_map_received(&x->r, &rq, &machine, NOW));
}

static void test_time(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT], gone[REGISTRY_KEY_TEXT];
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .ephemeral = true }, gone);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	desk_ask(x, &(struct desk_ask) { .node = 2, .machine = 2, .key = gone });
	registry_node_expire(&x->r, 1, NOW + 30000, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_int_equal(registry_tick(&x->r, NOW), NOW + 30000);
	unsigned before = x->identity;
	assert_int_equal(registry_tick(&x->r, NOW + 30000), NOW + 60000);
	assert_int_equal(x->identity, before + 1);
	assert_int_equal(registry_online_set(&x->r, 2, true, NOW + 40000), INT64_MAX);
	assert_int_equal(registry_tick(&x->r, NOW + 70000), INT64_MAX);
	assert_int_equal(x->r.fleet.n, 2);
	assert_int_equal(registry_online_set(&x->r, 2, false, NOW + 80000), NOW + 140000);
	assert_int_equal(registry_online_set(&x->r, 2, false, NOW + 80000), INT64_MAX); /* no news */
	assert_int_equal(registry_online_set(&x->r, 1, true, NOW + 80000), INT64_MAX);
	assert_int_equal(
		registry_online_set(&x->r, 1, false, NOW + 80000), INT64_MAX); /* it stays for ever */
	assert_int_equal(registry_tick(&x->r, NOW + 80000), NOW + 140000);
	/* the server was away for long, the node perhaps not at all */
	registry_close(&x->r);
	desk_open(x);
	assert_int_equal(registry_tick(&x->r, NOW + 900000), NOW + 960000);
	assert_int_equal(x->r.fleet.n, 2);
	registry_tick(&x->r, NOW + 960000);
	assert_int_equal(x->r.fleet.n, 1);
	assert_int_equal(x->removed, 1);
}

/* A node that offers 10.1.0.0/16, to be an exit, and what nobody may carry. */
static void join_as_router(struct desk *x, uint8_t n, const char *key)
{
	struct prefix routes[3];
	struct machine_key machine;
	struct ctl_map_request rq = { .version = 119, .has_hostinfo = true };
	desk_ask(x, &(struct desk_ask) { .node = n, .machine = n, .key = key });
	memset(machine.b, n, KEY_LEN);
	memset(rq.node.b, n, KEY_LEN);
	assert_true(prefix_parse("10.1.0.0/16", &routes[0]) && prefix_parse("0.0.0.0/0", &routes[1]) &&
		    prefix_parse("100.64.0.0/16", &routes[2]));
	rq.hostinfo.routable_ips = (struct ctl_prefixes) { .v = routes, .n = 3 };
	assert_non_null(registry_map_received(&x->r, &rq, &machine, NOW));
}

static size_t served_by(struct desk *x, int64_t id)
{
	return fleet_by_id(&x->r.fleet, id)->served.n;
}

static void test_routes(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT];
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	join_as_router(x, 1, key);
	join_as_router(x, 2, key);
	assert_int_equal(served_by(x, 1), 0);
	registry_node_routes(&x->r, 1, "10.1", desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	registry_node_routes(&x->r, 1, "10.1.0.0/16,100.64.0.0/16", desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	assert_string_equal(x->eb.text,
		"no node can carry 100.64.0.0/16: it is inside the range of the mesh's own addresses");
	registry_node_routes(&x->r, 9, "", desk_waits(x));
	assert_int_equal(desk_outcome(x), -ENOENT);
	registry_node_routes(&x->r, 1, "10.1.2.3/16,0.0.0.0/0,10.9.0.0/16", desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	registry_node_routes(&x->r, 2, "10.1.0.0/16,0.0.0.0/0", desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_int_equal(served_by(x, 1), 2); /* not what it never offered */
	assert_int_equal(served_by(x, 2), 1); /* the exit; the subnet has one carrier */
	registry_online_set(&x->r, 2, true, NOW);
	assert_int_equal(served_by(x, 1), 1);
	assert_int_equal(served_by(x, 2), 2);
	registry_online_set(&x->r, 1, true, NOW);
	assert_int_equal(served_by(x, 1), 1); /* it does not go back by itself */
	struct id_list rivals = { 0 };
	registry_rivals(&x->r, &rivals);
	assert_int_equal(rivals.n, 2);
	id_list_clear(&rivals);
	registry_silent_set(&x->r, 2, true);
	assert_int_equal(served_by(x, 1), 2);
	assert_int_equal(served_by(x, 2), 1);
	registry_silent_set(&x->r, 1, true); /* one that hangs is as good as another */
	assert_int_equal(served_by(x, 1), 2);
	registry_silent_set(&x->r, 2, false);
	assert_int_equal(served_by(x, 2), 2);
	registry_silent_set(&x->r, 1, false);
	registry_online_set(&x->r, 2, false, NOW);
	assert_int_equal(served_by(x, 1), 2);
	registry_close(&x->r);
	desk_open(x); /* approval is kept */
	registry_online_set(&x->r, 1, true, NOW);
	assert_int_equal(served_by(x, 1), 2);
	registry_node_delete(&x->r, 1, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_int_equal(served_by(x, 2), 2);
	registry_node_routes(&x->r, 2, "", desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_int_equal(served_by(x, 2), 0);
}

static bool approves(void *arg, const struct member *m, const struct prefix *route)
{
	(void)arg;
	return m->id == 1 && route->bits == 16;
}

/* What the rules approve needs no admin, and comes back when it is taken away. */
static void test_approved_routes(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT];
	x->r.c.ops.approves = approves;
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	join_as_router(x, 1, key);
	join_as_router(x, 2, key);
	assert_int_equal(served_by(x, 1), 1); /* the subnet, not the exit, and nothing of the mesh */
	assert_int_equal(fleet_by_id(&x->r.fleet, 1)->carries.n, 1);
	assert_int_equal(served_by(x, 2), 0);
	registry_close(&x->r);
	desk_open(x);
	registry_online_set(&x->r, 1, true, NOW);
	assert_int_equal(served_by(x, 1), 1);
	x->r.c.ops.approves = approves;
	registry_node_routes(&x->r, 1, "", desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_int_equal(served_by(x, 1), 1);
}

static void test_admin(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT];
	registry_user_create(&x->r, "alice", NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -EEXIST);
	assert_string_equal(x->eb.text, "user \"alice\" exists already");
	registry_user_create(&x->r, "a b", NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	registry_user_create(&x->r, "bob@", NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	struct preauth_wish w = { .user = "carol", .tags = "" };
	registry_preauth_create(&x->r, &w, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -ENOENT);
	assert_string_equal(x->eb.text,
		"no user \"carol\": make it with `ropewalk-control users create carol`, "
		"or add --create-user");
	w.create_user = true;
	desk_key(x, &w, key);
	w = (struct preauth_wish) { .user = "", .tags = "" };
	registry_preauth_create(&x->r, &w, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	w = (struct preauth_wish) { .user = "carol", .tags = "web" };
	registry_preauth_create(&x->r, &w, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	w.tags = "";
	desk_key(x, &w, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	registry_user_destroy(&x->r, "carol", USER_OWNER, desk_waits(x));
	assert_int_equal(desk_outcome(x), -EBUSY);
	assert_string_equal(x->eb.text, "user \"carol\" still has nodes (box): delete them first");
	registry_node_rename(&x->r, 1, "Bad Name", desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	registry_node_rename(&x->r, 1, "good", desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	registry_node_tag(&x->r, 1, "tag:a,tag:b", desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_true(member_has_tag(desk_node(x, 1), "tag:b"));
	registry_node_delete(&x->r, 9, desk_waits(x));
	assert_int_equal(desk_outcome(x), -ENOENT);
	registry_node_delete(&x->r, 1, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	registry_user_destroy(&x->r, "carol", USER_OWNER, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	registry_user_destroy(&x->r, "carol", USER_OWNER, desk_waits(x));
	assert_int_equal(desk_outcome(x), -ENOENT);
	/* a number is never given twice, nor is an address soon */
	w = (struct preauth_wish) { .user = "alice", .tags = "" };
	desk_key(x, &w, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	assert_int_equal(desk_node(x, 1)->id, 2);
	assert_int_equal(addr_v4_get(&desk_node(x, 1)->v4), 0x64400002);
}

static bool names_address(void *arg, const struct addr *from, const struct addr *to)
{
	char text[ADDR_TEXT];
	(void)arg, (void)from;
	return !strcmp(addr_format(to, text), "100.64.0.9");
}

/* Addresses that are others', the resolver's, of virtual machines or of the net itself are no node's, whoever gives them. */
static void test_addresses(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT];
	static const struct {
		const char *to;
		bool ruled; /* by one who may not change the access rules */
		int err;
	} rows[] = { { "100.64.0.8", false, 0 }, { "100.64.0.8", true, 0 }, { "100.64.0.9", true, -EPERM },
		{ "100.64.0.9", false, 0 }, { "100.64.0.2", false, -EEXIST }, { "10.0.0.1", false, -EINVAL },
		{ "100.100.100.100", false, -EINVAL }, { "100.115.92.5", false, -EINVAL },
		{ "100.64.0.0", false, -EINVAL }, { "100.127.255.255", false, -EINVAL },
		{ "fd7a:115c:a1e0::8", false, 0 }, { "fd7a:115c:a1e0::53", false, -EINVAL },
		{ "fd7a:115c:a1e0::", false, -EINVAL }, { "fd7a:115c:a1e1::1", false, -EINVAL } };
	x->r.c.ops.names_address = names_address;
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	desk_ask(x, &(struct desk_ask) { .node = 2, .machine = 2, .key = key });
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct registry_wait *w = desk_waits(x);
		struct addr a;
		assert_true(addr_parse(rows[i].to, &a));
		w->ruled = rows[i].ruled;
		registry_node_address(&x->r, desk_node(x, 1)->id, &a, w);
		const struct member *m = desk_node(x, 1);
		bool has = addr_equal(addr_is_v4(&a) ? &m->v4 : &m->v6, &a);
		if (desk_outcome(x) != rows[i].err || has != !rows[i].err)
			fail_msg("row %zu: %d %s", i, desk_outcome(x), x->eb.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unsaved, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_much_to_say, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_facts, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_time, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_admin, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_routes, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_approved_routes, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_addresses, desk_setup, desk_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
