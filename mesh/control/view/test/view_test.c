#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/test/net.h"
#include "mesh/control/view/view.h"
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct fleet f;
	struct ctl_dns dns;
	struct ctl_derp_map derp;
	struct view_settings set;
	struct view_context c;
	struct view view; /* of node 1 */
	struct arena a;
	struct ctl_map_response m;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	net_init(&x->f);
	net_add(&x->f, 1, "laptop", 1, NULL);
	net_add(&x->f, 2, "phone", 1, NULL);
	net_add(&x->f, 3, "bobs", 2, NULL);
	x->set = (struct view_settings) { .dns = &x->dns, .derp = &x->derp, .base_domain = "mesh.test" };
	x->c = (struct view_context) { .fleet = &x->f, .set = &x->set, .now_ms = 1000000, .viewer_cap = 113 };
	*state = x;
	return !view_build(&x->c, fleet_by_id(&x->f, 1), &x->view) ||
	       !view_whole(&x->c, &x->view, &x->a, &x->m);
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	view_fini(&x->view);
	fleet_fini(&x->f);
	arena_free(&x->a);
	free(x);
	return 0;
}

/* The message after a change of ids[]; whole: from a view made anew instead of in place. Both must agree. */
static bool next(struct fixture *x, bool whole, bool refilter, const int64_t *ids, size_t n)
{
	struct view v;
	struct arena a = { 0 };
	struct ctl_map_response m;
	bool empty, empty_in_place = true;
	const struct member *self = fleet_by_id(&x->f, 1);
	arena_free(&x->a);
	assert_true(view_build(&x->c, self, &v));
	assert_true(view_delta(&x->c, &x->view, &v, refilter, &x->a, &x->m, &empty));
	if (!whole) {
		assert_true(view_apply(&x->c, &x->view, self, ids, n, refilter, &a, &m, &empty_in_place));
		assert_int_equal(empty, empty_in_place);
		assert_int_equal(m.n_changed, x->m.n_changed);
		assert_int_equal(m.n_removed, x->m.n_removed);
		assert_int_equal(m.n_patches, x->m.n_patches);
		assert_int_equal(m.n_users, x->m.n_users);
		assert_int_equal(x->view.n, v.n);
		for (size_t i = 0; i < v.n; i++)
			assert_ptr_equal(x->view.peers[i], v.peers[i]);
		assert_memory_equal(x->view.filter_hash, v.filter_hash, VIEW_HASH);
		arena_free(&a);
	}
	view_fini(&x->view);
	x->view = v;
	return !empty;
}

/* The message as it is read on the other side. */
static struct ctl_map_response as_read(struct fixture *x)
{
	struct ctl_map_response out;
	struct buf text = { 0 };
	assert_true(ctl_map_response_write(&text, &x->m));
	assert_int_equal(ctl_map_response_read(&x->a, buf_cstr(&text), text.len, &out, NULL), 0);
	buf_free(&text);
	return out;
}

/* What is kept of a peer's text says the same to every viewer, but for the viewer's capver. */
static void test_written(void **state)
{
	struct fixture *x = *state;
	const struct member *phone = fleet_by_id(&x->f, 2);
	struct ctl_node first = as_read(x).peers[0], again;
	const char *kept = phone->written;
	assert_non_null(kept);
	assert_string_equal(first.name, "phone.mesh.test.");
	assert_int_equal(first.cap, 113);
	assert_int_equal(first.addresses.n, 2);
	assert_true(first.machine_authorized && !first.hostinfo.has_netinfo);
	x->c.viewer_cap = 145;
	assert_true(view_whole(&x->c, &x->view, &x->a, &x->m));
	again = as_read(x).peers[0];
	assert_ptr_equal(phone->written, kept);
	assert_int_equal(again.cap, 145);
	assert_string_equal(again.name, first.name);
	assert_true(key_equal(again.key.b, first.key.b) && key_equal(again.key.b, phone->key.b));
}

static void test_first(void **state)
{
	struct fixture *x = *state;
	assert_string_equal(x->m.node->name, "laptop.mesh.test.");
	assert_string_equal(x->m.node->stable_id, "n1");
	assert_true(x->m.node->machine_authorized);
	assert_int_equal(x->m.node->cap, 113);
	assert_int_equal(x->m.node->addresses.n, 2);
	assert_int_equal(x->m.n_peers, 2);
	assert_int_equal(x->m.peers[0].id, 2);
	assert_int_equal(x->m.n_users, 2);
	assert_string_equal(x->m.users[0].login_name, "alice");
	assert_true(x->m.disable_log_tail);
	assert_ptr_equal(x->m.dns, &x->dns);
	assert_ptr_equal(x->m.derp_map, &x->derp);
	assert_int_equal(x->m.n_filters, 1);
	assert_string_equal(x->m.filters[0].name, "base");
	assert_string_equal(x->m.domain, "mesh.test");
}

static void test_farewell(void **state)
{
	struct fixture *x = *state;
	struct ctl_map_response m;
	assert_true(view_farewell(&x->c, x->view.self, &x->a, &m));
	assert_true(m.node->expired);
	assert_true(m.node->key_expiry_ms < x->c.now_ms);
	assert_int_equal(m.n_removed + m.n_changed + m.n_filters, 0);
}

static void test_patches(void **state)
{
	struct fixture *x = *state;
	struct endpoint ep[1];
	const int64_t two[] = { 2 };
	assert_true(endpoint_parse("192.0.2.1:41641", &ep[0]));
	struct member d = *fleet_by_id(&x->f, 2);
	d.endpoints = (struct ctl_endpoints) { .v = ep, .n = 1, .present = true };
	d.home_derp = 900;
	net_put(&x->f, &d);
	assert_true(next(x, false, false, two, 1));
	assert_int_equal(x->m.n_patches, 1);
	assert_int_equal(x->m.n_changed + x->m.n_removed + x->m.n_filters, 0);
	assert_null(x->m.node);
	assert_int_equal(x->m.patches[0].id, 2);
	assert_int_equal(x->m.patches[0].derp_region, 900);
	assert_true(x->m.patches[0].endpoints.present && x->m.patches[0].endpoints.n == 1);
	assert_false(x->m.patches[0].has_key || x->m.patches[0].has_disco);
	assert_int_equal(x->m.patches[0].online, OPT_ABSENT);

	d = *fleet_by_id(&x->f, 2);
	memset(d.disco.b, 7, KEY_LEN);
	memset(d.key.b, 8, KEY_LEN);
	d.online = true;
	net_put(&x->f, &d);
	assert_true(next(x, false, false, two, 1));
	assert_int_equal(x->m.n_patches, 1);
	assert_true(x->m.patches[0].has_key && x->m.patches[0].has_disco);
	assert_int_equal(x->m.patches[0].online, OPT_TRUE);
	assert_false(x->m.patches[0].endpoints.present);

	d = *fleet_by_id(&x->f, 2);
	d.online = false;
	d.last_seen_ms = 5;
	net_put(&x->f, &d);
	assert_true(next(x, true, false, NULL, 0));
	assert_int_equal(x->m.patches[0].online, OPT_FALSE);
	assert_true(x->m.patches[0].has_last_seen);

	net_put(&x->f, fleet_by_id(&x->f, 2)); /* another record that says the same */
	assert_false(next(x, false, false, two, 1));
}

static void test_come_and_go(void **state)
{
	struct fixture *x = *state;
	const int64_t four[] = { 4 }, two[] = { 2 }, one[] = { 1 };
	net_add(&x->f, 4, "web", 1, "tag:web");
	assert_true(next(x, false, true, four, 1));
	assert_int_equal(x->m.n_changed, 1);
	assert_int_equal(x->m.peers_changed[0].user, FLEET_TAGGED_USER);
	assert_string_equal(x->m.users[0].login_name, "tagged-devices");
	assert_int_equal(x->m.n_filters, 0); /* everything was allowed before, too */

	fleet_remove(&x->f, 2);
	assert_true(next(x, false, true, two, 1));
	assert_int_equal(x->m.n_removed, 1);
	assert_int_equal(x->m.peers_removed[0], 2);

	struct member d = *fleet_by_id(&x->f, 4);
	d.name = "www";
	net_put(&x->f, &d);
	assert_true(next(x, false, true, four, 1));
	assert_int_equal(x->m.n_changed, 1);
	assert_string_equal(as_read(x).peers_changed[0].name, "www.mesh.test.");

	d = *fleet_by_id(&x->f, 4);
	d.expiry_ms = 999999; /* past: it has no business in anyone's map */
	net_put(&x->f, &d);
	assert_true(next(x, false, true, four, 1));
	assert_int_equal(x->m.n_removed, 1);

	d = *fleet_by_id(&x->f, 1);
	d.expiry_ms = 999999;
	net_put(&x->f, &d);
	assert_true(next(x, true, true, one, 1));
	assert_true(x->m.node && x->m.node->expired);
	assert_int_equal(x->view.n, 0);
}

static struct policy *policy_of(const char *text)
{
	char *copy = strdup(text);
	struct policy *p = policy_parse(copy, strlen(copy), NULL);
	free(copy);
	assert_non_null(p);
	return p;
}

static void test_policy(void **state)
{
	struct fixture *x = *state;
	const int64_t three[] = { 3 }, five[] = { 5 };
	struct policy *p =
		policy_of("{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"alice@:*\"]}]}");
	x->set.policy = p;
	assert_true(next(x, true, true, NULL, 0));
	assert_int_equal(x->m.n_removed, 1);
	assert_int_equal(x->m.peers_removed[0], 3);
	assert_int_equal(x->m.n_filters, 1);

	/* nothing of bob's node crosses, not even that it moved */
	struct member d = *fleet_by_id(&x->f, 3);
	d.home_derp = 901;
	net_put(&x->f, &d);
	assert_false(next(x, false, false, three, 1));
	assert_false(next(x, true, true, NULL, 0));

	/* a new machine of the same person changes the filter */
	net_add(&x->f, 5, "tv", 1, NULL);
	assert_true(next(x, false, true, five, 1));
	assert_int_equal(x->m.n_changed, 1);
	assert_int_equal(x->m.n_filters, 1);

	x->set.policy = NULL;
	assert_true(next(x, true, true, NULL, 0));
	assert_int_equal(x->m.n_changed, 1);
	assert_int_equal(x->m.peers_changed[0].id, 3);
	policy_free(p);
}

static void add_router(struct fixture *x)
{
	static const char *routes[] = { "10.0.0.0/24", "10.1.0.0/24", "0.0.0.0/0" };
	struct prefix served[ARRAY_LEN(routes)];
	struct member d = *net_add(&x->f, 4, "router", 2, NULL);
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		assert_true(prefix_parse(routes[i], &served[i]));
	d.routes = (struct ctl_strings) { .v = routes, .n = ARRAY_LEN(routes) };
	d.hostinfo_json = "{\"RoutableIPs\":[\"10.0.0.0/24\",\"10.1.0.0/24\",\"0.0.0.0/0\"]}";
	d.served = (struct ctl_prefixes) { .v = served, .n = ARRAY_LEN(routes) };
	assert_non_null(net_put(&x->f, &d));
}

/* A viewer is told of a peer's routes what the rules let it use, and anew when that changes. */
static void test_told_routes(void **state)
{
	struct fixture *x = *state;
	const int64_t four[] = { 4 };
	struct policy *p = policy_of(
			      "{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"10.0.0.5:"
			      "*\",\"bob@:*\"]}]}"),
		      *all = policy_of(
			      "{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"10.1.0.0/"
			      "16:*\",\"10.0.0.0/8:*\",\"autogroup:internet:*\",\"bob@:*\"]}]}");
	x->set.policy = p;
	assert_true(next(x, true, true, NULL, 0));
	add_router(x);
	assert_true(next(x, false, true, four, 1));
	struct ctl_map_response m = as_read(x);
	assert_int_equal(m.n_changed, 1);
	assert_int_equal(m.peers_changed[0].primary_routes.n, 1);
	assert_int_equal(m.peers_changed[0].allowed_ips.n, 3); /* its addresses and one route */
	assert_false(next(x, true, true, NULL, 0));

	x->set.policy = all; /* the same peer, seen otherwise */
	assert_true(next(x, true, true, NULL, 0));
	m = as_read(x);
	assert_int_equal(m.n_changed, 1);
	assert_int_equal(m.peers_changed[0].allowed_ips.n, 5);
	assert_false(next(x, true, true, NULL, 0));
	x->set.policy = p;
	assert_true(next(x, true, true, NULL, 0));
	assert_int_equal(as_read(x).peers_changed[0].allowed_ips.n, 3);
	x->set.policy = NULL; /* the phone comes too */
	assert_true(next(x, true, true, NULL, 0));
	assert_int_equal(as_read(x).peers_changed[1].allowed_ips.n, 5);
	policy_free(p);
	policy_free(all);
}

/* Logins and attributes are told when there are any, and again when they go. */
static void test_told_of_itself(void **state)
{
	struct fixture *x = *state;
	struct policy *p =
		policy_of("{\"nodeAttrs\":[{\"target\":[\"alice@\"],\"attr\":[\"a\\\"b\"]}],\"ssh\":[{"
			  "\"action\":\"accept\",\"src\":[\"bob@\"],\"dst\":[\"alice@\"],\"users\":["
			  "\"root\"]}]}");
	assert_null(x->m.ssh_json);
	x->set.policy = p;
	assert_true(next(x, true, true, NULL, 0));
	assert_non_null(x->m.node);
	assert_non_null(strstr(x->m.node->cap_map_json, "\"a\\\"b\":null"));
	assert_non_null(strstr(x->m.node->cap_map_json, "\"https://tailscale.com/cap/ssh\":null"));
	assert_non_null(strstr(x->m.ssh_json, "100.64.0.3"));
	assert_non_null(as_read(x).ssh_json);
	assert_false(next(x, true, true, NULL, 0));
	x->set.policy = NULL;
	assert_true(next(x, true, true, NULL, 0));
	assert_string_equal(x->m.ssh_json, "{\"rules\":[]}");
	assert_string_equal(x->m.node->cap_map_json, "{\"cache-network-maps\":null}");
	policy_free(p);
}

static void test_settings(void **state)
{
	struct fixture *x = *state;
	x->set.dns_version++;
	assert_true(next(x, false, false, NULL, 0));
	assert_ptr_equal(x->m.dns, &x->dns);
	assert_null(x->m.derp_map);
	x->set.derp_version++;
	assert_true(next(x, false, false, NULL, 0));
	assert_null(x->m.dns);
	assert_ptr_equal(x->m.derp_map, &x->derp);
	assert_false(next(x, false, false, NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_farewell, setup, teardown),
		cmocka_unit_test_setup_teardown(test_patches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_of_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settings, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
