#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/fuzz/trouble.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/view/view.h"
#include "mesh/control/view/view_rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = 40 };
struct fixture {
	struct fleet f;
	struct settings *set;
	struct view_cache cache;
	struct journal journal;
	struct view_context c;
	struct view view; /* of node 1 */
	struct arena a;
	struct ctl_map_response m;
	bool seen[MEMBERS]; /* by number: whom the messages have told of */
};

/* source, NULL for none, is the settings' from here on. */
static struct settings *make_settings(struct policy_source *source)
{
	struct settings *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->refs = 1;
	s->base_domain = "mesh.test";
	s->source = source;
	s->policy = source ? source->rules : NULL;
	return s;
}

static void take(struct fixture *x)
{
	for (size_t i = 0; i < x->m.n_peers; i++)
		x->seen[x->m.peers[i].id] = true;
	for (size_t i = 0; i < x->m.n_changed; i++)
		x->seen[x->m.peers_changed[i].id] = true;
	for (size_t i = 0; i < x->m.n_patches; i++)
		assert_true(x->seen[x->m.patches[i].id]);
	for (size_t i = 0; i < x->m.n_removed; i++) {
		assert_true(x->seen[x->m.peers_removed[i]]);
		x->seen[x->m.peers_removed[i]] = false;
	}
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	net_init(&x->f);
	net_add(&x->f, 1, "laptop", 1, NULL);
	net_add(&x->f, 2, "phone", 1, NULL);
	net_add(&x->f, 3, "bobs", 2, NULL);
	x->set = make_settings(NULL);
	assert_true(view_cache_init(&x->cache, 1));
	x->c = (struct view_context) { .fleet = &x->f,
		.set = x->set,
		.cache = &x->cache,
		.journal = &x->journal,
		.now_ms = 1000000,
		.viewer_cap = 113 };
	*state = x;
	if (!view_whole(&x->c, fleet_by_id(&x->f, 1), &x->view, &x->a, &x->m))
		return 1;
	take(x);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	view_fini(&x->view);
	journal_free(&x->journal);
	view_cache_fini(&x->cache);
	settings_put(x->set);
	fleet_fini(&x->f);
	arena_free(&x->a);
	free(x);
	return 0;
}

/* The member as draft says, written down as a change. */
static void change(struct fixture *x, const struct member *draft, bool identity)
{
	struct member *old = fleet_by_id(&x->f, draft->id);
	if (old)
		member_get(old);
	assert_non_null(net_put(&x->f, draft));
	view_cache_changed(&x->cache, draft->id, identity);
	assert_true(journal_add(&x->journal, draft->id, old, identity));
	member_put(old);
}

static void leave(struct fixture *x, int64_t id)
{
	struct member *old = fleet_by_id(&x->f, id);
	member_get(old);
	fleet_remove(&x->f, id);
	view_cache_changed(&x->cache, id, true);
	assert_true(journal_add(&x->journal, id, old, true));
	member_put(old);
}

static void arrive(struct fixture *x, int64_t id, const char *name, int64_t user, const char *tag)
{
	assert_non_null(net_add(&x->f, id, name, user, tag));
	view_cache_changed(&x->cache, id, true);
	assert_true(journal_add(&x->journal, id, NULL, true));
}

static void use_policy(struct fixture *x, struct policy_source *p)
{
	struct settings *old = x->set;
	x->c.set = x->set = make_settings(p);
	settings_put(old);
	journal_touch(&x->journal);
}

/* The message after what changed; afterwards the node knows whom a whole map would name, with that filter. */
static bool next(struct fixture *x)
{
	struct arena a = { 0 };
	struct ctl_map_response whole;
	struct view fresh;
	bool empty, there[MEMBERS] = { false };
	const struct member *self = fleet_by_id(&x->f, 1);
	arena_free(&x->a);
	assert_true(view_update(&x->c, self, &x->view, &x->a, &x->m, &empty));
	take(x);
	assert_true(view_whole(&x->c, self, &fresh, &a, &whole));
	for (size_t i = 0; i < whole.n_peers; i++)
		there[whole.peers[i].id] = true;
	assert_memory_equal(there, x->seen, sizeof(there));
	if (fresh.logins == x->view.logins) /* who was told of some is told that there are none */
		assert_memory_equal(fresh.filter_hash, x->view.filter_hash, VIEW_HASH);
	view_fini(&fresh);
	arena_free(&a);
	journal_drop(&x->journal, x->view.told);
	view_cache_told(&x->cache);
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
	const char *kept = x->m.peers[0].written;
	assert_non_null(kept);
	assert_string_equal(first.name, "phone.mesh.test.");
	assert_int_equal(first.cap, 113);
	assert_int_equal(first.addresses.n, 2);
	assert_true(first.machine_authorized && !first.hostinfo.netinfo);
	x->c.viewer_cap = 145;
	view_fini(&x->view);
	assert_true(view_whole(&x->c, fleet_by_id(&x->f, 1), &x->view, &x->a, &x->m));
	again = as_read(x).peers[0];
	assert_ptr_equal(x->m.peers[0].written, kept);
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
	assert_ptr_equal(x->m.dns, &x->set->dns);
	assert_ptr_equal(x->m.derp_map, &x->set->derp);
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
	assert_true(endpoint_parse("192.0.2.1:41641", &ep[0]));
	struct member d = *fleet_by_id(&x->f, 2);
	d.endpoints = (struct ctl_endpoints) { .v = ep, .n = 1, .present = true };
	d.home_derp = 900;
	change(x, &d, false);
	assert_true(next(x));
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
	change(x, &d, false);
	assert_true(next(x));
	assert_int_equal(x->m.n_patches, 1);
	assert_true(x->m.patches[0].has_key && x->m.patches[0].has_disco);
	assert_int_equal(x->m.patches[0].online, OPT_TRUE);
	assert_false(x->m.patches[0].endpoints.present);

	d = *fleet_by_id(&x->f, 2);
	d.online = false;
	d.last_seen_ms = 5;
	change(x, &d, false);
	assert_true(next(x));
	assert_int_equal(x->m.patches[0].online, OPT_FALSE);
	assert_true(x->m.patches[0].has_last_seen);

	change(x, fleet_by_id(&x->f, 2), false); /* another record that says the same */
	assert_false(next(x));
}

/* What no patch can say of a host, with what its peers are told then; NULL: it is no news to them. */
static const struct {
	const char *json, *told;
} hosts[] = {
	{ "{\"Location\":{\"Country\":\"Norway\",\"CountryCode\":\"NO\",\"Priority\":7}}",
		"\"Country\":\"Norway\"" },
	{ "{\"OS\":\"linux\"}", "\"OS\":\"linux\"" },
	{ "{\"OS\":\"linux\",\"OSVersion\":\"6.1\"}", "\"OSVersion\":\"6.1\"" },
	{ "{\"OS\":\"linux\",\"OSVersion\":\"6.6\"}", "\"OSVersion\":\"6.6\"" },
	{ "{\"Machine\":\"aarch64\"}", "\"Machine\":\"aarch64\"" },
	{ "{\"Machine\":\"aarch64\",\"GoArch\":\"arm64\"}", "\"GoArch\":\"arm64\"" },
	{ "{\"RequestTags\":[\"tag:a\"]}", "\"RequestTags\":[\"tag:a\"]" },
	{ "{\"ShieldsUp\":true}", "\"ShieldsUp\":true" },
	{ "{\"IPNVersion\":\"1.2.3\"}", "\"IPNVersion\":\"1.2.3\"" },
	{ "{\"Hostname\":\"phone\"}", "\"Hostname\":\"phone\"" },
	{ "{\"Hostname\":\"phone\",\"NetInfo\":{\"WorkingUDP\":true}}", NULL },
	{ "{\"Hostname\":\"phone\",\"BackendLogID\":\"b\"}", NULL },
	{ "{\"RoutableIPs\":[\"10.0.0.0/8\"]}", "\"RoutableIPs\":[\"10.0.0.0/8\"]" },
	{ "{\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":9}]}", "\"peerapi4\"" },
};

static void test_hosts(void **state)
{
	struct fixture *x = *state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct member d = *fleet_by_id(&x->f, 2);
		d.hostinfo_json = hosts[i].json;
		change(x, &d, false);
		bool news = next(x), whole = news && x->m.n_changed == 1 && !x->m.n_patches;
		if (hosts[i].told ? !whole || !strstr(x->m.peers_changed[0].written, hosts[i].told) : news)
			fail_msg("%s", hosts[i].json);
	}
}

static void test_come_and_go(void **state)
{
	struct fixture *x = *state;
	arrive(x, 4, "web", 1, "tag:web");
	assert_true(next(x));
	assert_int_equal(x->m.n_changed, 1);
	assert_int_equal(x->m.peers_changed[0].user, FLEET_TAGGED_USER);
	assert_string_equal(x->m.users[0].login_name, "tagged-devices");
	assert_int_equal(x->m.n_filters, 0); /* everything was allowed before, too */

	leave(x, 2);
	assert_true(next(x));
	assert_int_equal(x->m.n_removed, 1);
	assert_int_equal(x->m.peers_removed[0], 2);

	struct member d = *fleet_by_id(&x->f, 4);
	d.name = "www";
	change(x, &d, true);
	assert_true(next(x));
	assert_int_equal(x->m.n_changed, 1);
	assert_string_equal(as_read(x).peers_changed[0].name, "www.mesh.test.");

	d = *fleet_by_id(&x->f, 4);
	d.expiry_ms = 999999; /* past: shown with the reason, which nodes act on */
	d.expired = true;
	change(x, &d, true);
	assert_true(next(x));
	assert_int_equal(x->m.n_removed, 0);
	assert_int_equal(x->m.n_changed, 1);
	assert_true(as_read(x).peers_changed[0].expired);

	d = *fleet_by_id(&x->f, 1);
	d.expiry_ms = 999999;
	d.expired = true;
	change(x, &d, true);
	assert_true(next(x));
	assert_true(x->m.node && x->m.node->expired);
	assert_false(x->seen[3]);
}

static struct policy_source *policy_of(const char *text)
{
	struct policy_source *p = policy_source_new(text, strlen(text), NULL);
	assert_non_null(p);
	return p;
}

static void test_policy(void **state)
{
	struct fixture *x = *state;
	use_policy(x,
		policy_of(
			"{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"alice@:*\"]}]}"));
	assert_true(next(x));
	assert_int_equal(x->m.n_removed, 1);
	assert_int_equal(x->m.peers_removed[0], 3);
	assert_int_equal(x->m.n_filters, 1);

	/* nothing of bob's node crosses, not even that it moved */
	struct member d = *fleet_by_id(&x->f, 3);
	d.home_derp = 901;
	change(x, &d, false);
	assert_false(next(x));

	/* a new machine of the same person changes the filter */
	arrive(x, 5, "tv", 1, NULL);
	assert_true(next(x));
	assert_int_equal(x->m.n_changed, 1);
	assert_int_equal(x->m.n_filters, 1);

	use_policy(x, NULL);
	assert_true(next(x));
	assert_int_equal(x->m.n_changed, 1);
	assert_int_equal(x->m.peers_changed[0].id, 3);
}

static void test_settings(void **state)
{
	struct fixture *x = *state;
	use_policy(x, NULL);
	x->set->dns_hash[0]++;
	assert_true(next(x));
	assert_ptr_equal(x->m.dns, &x->set->dns);
	assert_null(x->m.derp_map);
	use_policy(x, NULL);
	x->set->dns_hash[0] = 1;
	x->set->derp_hash[0]++;
	assert_true(next(x));
	assert_null(x->m.dns);
	assert_ptr_equal(x->m.derp_map, &x->set->derp);
	assert_null(x->m.domain);
	assert_false(next(x));
	use_policy(x, NULL);
	x->set->derp_hash[0]++;
	x->set->name = "Home";
	assert_true(next(x));
	assert_string_equal(x->m.domain, "Home");
	assert_null(x->m.derp_map);
	use_policy(x, NULL);
	x->set->derp_hash[0]++;
	assert_true(next(x));
	assert_string_equal(x->m.domain, "mesh.test");
	assert_false(next(x));
}

/* Policy and settings in which the machine of that name blocks. */
static void use_blocker(struct fixture *x, struct policy_source *p, const char *name)
{
	use_policy(x, p);
	x->set->block_node = name;
	x->set->block_caps = "{\"TTL\":7}";
}

/* All but the one that blocks are told to ask it for names; it is told what to block, and asks whom the settings name. */
static void test_blocker(void **state)
{
	struct fixture *x = *state;
	struct arena a = { 0 };
	struct ctl_map_response whole;
	const struct ctl_blocking *told;
	struct view fresh;
	use_blocker(x, NULL, "bobs");
	assert_true(next(x));
	assert_int_equal(x->m.dns->n_resolvers, 1);
	assert_string_equal(x->m.dns->resolvers->addr, "100.64.0.3");
	assert_null(x->m.node);
	assert_true(view_whole(&x->c, fleet_by_id(&x->f, 3), &fresh, &a, &whole));
	assert_ptr_equal(whole.dns, &x->set->dns);
	assert_int_equal(ctl_blocking_read(&a, whole.node->cap_map_json, &told, NULL), 0);
	assert_int_equal(told->ttl_s, 7);
	view_fini(&fresh);
	arena_free(&a);
	assert_false(next(x));

	leave(x, 3);
	assert_true(next(x));
	assert_ptr_equal(x->m.dns, &x->set->dns);
	arrive(x, 3, "bobs", 2, NULL);
	assert_true(next(x));
	assert_string_equal(x->m.dns->resolvers->addr, "100.64.0.3");
	struct member other = *fleet_by_id(&x->f, 3);
	other.v4 = addr_v4(0x64400063);
	change(x, &other, true);
	assert_true(next(x));
	assert_string_equal(x->m.dns->resolvers->addr, "100.64.0.99");

	use_blocker(x,
		policy_of("{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"alice@:*\"]}]}"),
		"bobs");
	assert_true(next(x)); /* it is hidden from this one now */
	assert_ptr_equal(x->m.dns, &x->set->dns);
	use_blocker(x, NULL, "laptop");
	assert_true(next(x)); /* it is this one */
	assert_null(x->m.dns);
	assert_non_null(strstr(x->m.node->cap_map_json, CTL_BLOCKING_CAP "\":[{\"TTL\":7}]"));
	use_blocker(x, NULL, "nobody");
	assert_true(next(x));
	assert_null(x->m.dns);
	assert_null(strstr(x->m.node->cap_map_json, CTL_BLOCKING_CAP));
}

static void add_router(struct fixture *x)
{
	static const char *routes[] = { "10.0.0.0/24", "10.1.0.0/24", "0.0.0.0/0" };
	struct prefix served[ARRAY_LEN(routes)];
	struct member d = *net_add(&x->f, 4, "router", 2, NULL);
	assert_true(journal_add(&x->journal, 4, NULL, true));
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		assert_true(prefix_parse(routes[i], &served[i]));
	d.routes = (struct ctl_strings) { .v = routes, .n = ARRAY_LEN(routes) };
	d.hostinfo_json = "{\"RoutableIPs\":[\"10.0.0.0/24\",\"10.1.0.0/24\",\"0.0.0.0/0\"]}";
	d.served = (struct ctl_prefixes) { .v = served, .n = ARRAY_LEN(routes) };
	change(x, &d, true);
}

/* A viewer is told of a peer's routes what the rules let it use, and anew when that changes. */
static void test_told_routes(void **state)
{
	struct fixture *x = *state;
	static const char
		some[] = "{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"10.0.0.5:"
			 "*\",\"bob@:*\"]}]}",
		all[] = "{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"10.1.0.0/"
			"16:*\",\"10.0.0.0/8:*\",\"autogroup:internet:*\",\"bob@:*\"]}]}";
	use_policy(x, policy_of(some));
	assert_true(next(x));
	add_router(x);
	assert_true(next(x));
	struct ctl_map_response m = as_read(x);
	assert_int_equal(m.n_changed, 1);
	assert_int_equal(m.peers_changed[0].primary_routes.n, 1);
	assert_int_equal(m.peers_changed[0].allowed_ips.n, 3); /* its addresses and one route */
	assert_false(next(x));

	use_policy(x, policy_of(all)); /* the same peer, seen otherwise */
	assert_true(next(x));
	m = as_read(x);
	assert_int_equal(m.n_changed, 1);
	assert_int_equal(m.peers_changed[0].allowed_ips.n, 5);
	assert_false(next(x));
	use_policy(x, policy_of(some));
	assert_true(next(x));
	assert_int_equal(as_read(x).peers_changed[0].allowed_ips.n, 3);
	use_policy(x, NULL); /* the phone comes too */
	assert_true(next(x));
	assert_int_equal(as_read(x).peers_changed[1].allowed_ips.n, 5);
}

/* A grant that goes by one carrier alone is told of there, though another serves the subnet for all, and of
 * the next when that one goes. */
static void test_steered(void **state)
{
	struct fixture *x = *state;
	static const char rules[] =
		"{\"tagOwners\":{\"tag:r\":[]},\"grants\":[{\"src\":[\"alice@\"],\"dst\":["
		"\"bob@\",\"tag:r\"],\"ip\":[\"*\"]},{\"src\":[\"alice@\"],\"dst\":[\"10.0.0.0/"
		"24\"],\"ip\":[\"*\"],\"via\":[\"tag:r\"]}]}";
	static const char *routes[] = { "10.0.0.0/24" };
	const char *tag = "tag:r";
	add_router(x); /* bob's, who serves it */
	use_policy(x, policy_of(rules));
	assert_true(next(x));
	for (int64_t id = 5; id <= 6; id++) {
		struct member d = *fleet_by_id(&x->f, 4);
		d.id = id;
		d.name = id == 5 ? "five" : "six";
		memset(d.key.b, (int)id, KEY_LEN);
		memset(d.machine.b, (int)id + 100, KEY_LEN);
		d.v4.b[15] = (uint8_t)id;
		d.v6.b[15] = (uint8_t)id;
		d.tags = (struct ctl_strings) { .v = &tag, .n = 1 };
		d.routes = (struct ctl_strings) { .v = routes, .n = 1 };
		d.served = (struct ctl_prefixes) { 0 };
		change(x, &d, true);
	}
	assert_true(next(x));
	struct ctl_map_response m = as_read(x);
	size_t told = 0;
	for (size_t i = 0; i < m.n_changed; i++) {
		told += m.peers_changed[i].primary_routes.n;
		assert_int_equal(m.peers_changed[i].primary_routes.n, m.peers_changed[i].id == 5);
	}
	assert_int_equal(told, 1);
	leave(x, 5);
	assert_true(next(x));
	m = as_read(x);
	told = 0;
	for (size_t i = 0; i < m.n_changed; i++)
		told += m.peers_changed[i].id == 6 && m.peers_changed[i].primary_routes.n == 1;
	assert_int_equal(told, 1);
}

/* Logins and attributes are told when there are any, and again when they go. */
static void test_told_of_itself(void **state)
{
	struct fixture *x = *state;
	struct policy_source *p =
		policy_of("{\"nodeAttrs\":[{\"target\":[\"alice@\"],\"attr\":[\"a\\\"b\"]}],\"ssh\":[{"
			  "\"action\":\"accept\",\"src\":[\"bob@\"],\"dst\":[\"alice@\"],\"users\":["
			  "\"root\"]}]}");
	assert_null(x->m.ssh_json);
	use_policy(x, p);
	assert_true(next(x));
	assert_non_null(x->m.node);
	assert_non_null(strstr(x->m.node->cap_map_json, "\"a\\\"b\":null"));
	assert_non_null(strstr(x->m.node->cap_map_json, "\"https://tailscale.com/cap/ssh\":null"));
	assert_non_null(strstr(x->m.ssh_json, "100.64.0.3"));
	assert_non_null(as_read(x).ssh_json);
	assert_false(next(x));
	use_policy(x, NULL);
	assert_true(next(x));
	assert_string_equal(x->m.ssh_json, "{\"rules\":[]}");
	assert_string_equal(x->m.node->cap_map_json,
		"{\"cache-network-maps\":null,\"https://tailscale.com/cap/file-sharing\":null}");
}

/* Whatever changed, in whatever order, and however late a viewer hears of it: it ends up knowing what is. */
static void test_any_order(void **state)
{
	static const char *const policies[] = { "{\"tagOwners\":{\"tag:web\":[]},\"acls\":[{\"action\":"
						"\"accept\",\"src\":[\"alice@\"],\"dst\":[\"tag:web:80\"]}]}",
		"{\"acls\":[{\"action\":\"accept\",\"src\":[\"bob@\"],\"dst\":[\"*:*\"]}]}",
		"{\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:member\"],\"dst\":[\"autogroup:self:*"
		"\"]}]}" };
	struct fixture *x = *state;
	char name[32];
	srand(7);
	for (unsigned step = 0; step < 5000; step++) {
		int64_t id = 1 + rand() % (MEMBERS - 1);
		const struct member *m = fleet_by_id(&x->f, id);
		snprintf(name, sizeof(name), "n%lld-%u", (long long)id, step);
		if (!m) {
			arrive(x, id, name, 1 + rand() % 2, rand() % 3 ? NULL : "tag:web");
		} else if (id != 1 && rand() % 4 == 0) {
			leave(x, id);
		} else {
			struct member d = *m;
			int what = rand() % 5;
			const char *tag = "tag:web";
			if (what == 0)
				d.online = !d.online;
			else if (what == 1)
				d.name = name;
			else if (what == 2)
				d.user = 3 - d.user;
			else if (what == 3)
				d.tags = (struct ctl_strings) { .v = &tag, .n = d.tags.n ? 0 : 1 };
			else
				d.expired = !d.expired;
			change(x, &d, what > 0);
		}
		if (rand() % 10 == 0)
			use_policy(x, rand() % 4 ? policy_of(policies[rand() % 3]) : NULL);
		if (rand() % 3 == 0)
			(void)next(x);
	}
}

/* Policy, names and logins for all of alice's machines, and the first of them blocks names for the others. */
static void use_all(struct fixture *x, struct ctl_resolver *first)
{
	use_policy(x,
		policy_of("{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"alice@:*\"]}],"
			  "\"ssh\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"autogroup:self\"],"
			  "\"users\":[\"root\"]}]}"));
	x->set->block_node = "laptop";
	x->set->block_caps = "{\"TTL\":7}";
	x->set->dns.resolvers = first;
	x->set->dns.n_resolvers = 1;
	x->set->dns_hash[0] = (uint8_t)(x->c.journal->now + 1);
}

static void set_expired(struct fixture *x, bool expired)
{
	struct member d = *fleet_by_id(&x->f, 1);
	d.expired = expired;
	change(x, &d, true);
}

static void assert_knows_nobody(const struct ctl_map_response *m)
{
	assert_true(m->node && m->node->expired && !strstr(m->node->cap_map_json, CTL_BLOCKING_CAP));
	assert_true(m->dns && !m->dns->n_resolvers && !m->dns->proxied);
	assert_int_equal(m->n_filters, 1);
	assert_int_equal(m->filters->n_rules, 0);
	assert_string_equal(m->ssh_json, "{\"rules\":[]}");
	assert_int_equal(m->n_peers + m->n_changed + m->n_patches, 0);
	assert_int_equal(m->n_users, 1);
}

/* Whose key has ended is told of nobody, neither what it was told before nor what is new; all of it once the key is good
 * again, though nothing else has changed. */
static void test_key_ended(void **state)
{
	struct fixture *x = *state;
	struct ctl_resolver first = { .addr = "100.64.0.2" };
	struct arena a = { 0 };
	struct ctl_map_response whole;
	struct view fresh;
	use_all(x, &first);
	assert_true(next(x));
	assert_true(x->m.dns && x->m.n_filters && x->m.filters->n_rules && strstr(x->m.ssh_json, "root"));

	set_expired(x, true);
	assert_true(next(x));
	assert_knows_nobody(&x->m);
	assert_int_equal(x->m.n_removed, 1);
	assert_true(view_whole(&x->c, fleet_by_id(&x->f, 1), &fresh, &a, &whole));
	assert_knows_nobody(&whole);
	view_fini(&fresh);
	arena_free(&a);
	use_all(x, &first);
	arrive(x, 4, "web", 1, NULL);
	assert_false(next(x));

	set_expired(x, false);
	assert_true(next(x));
	assert_ptr_equal(x->m.dns, &x->set->dns);
	assert_int_equal(x->m.n_changed, 2);
	assert_true(x->m.n_filters && x->m.filters->n_rules && strstr(x->m.ssh_json, "root"));
	assert_non_null(strstr(x->m.node->cap_map_json, CTL_BLOCKING_CAP));
	use_policy(x, NULL); /* by which all is allowed */
	assert_true(next(x));
	set_expired(x, true);
	assert_true(next(x));
	assert_int_equal(x->m.filters->n_rules, 0);
	set_expired(x, false);
	assert_true(next(x));
	assert_int_equal(x->m.n_filters, 1);
	assert_true(x->m.filters->n_rules);
}

/* Whichever piece of memory cannot be had, nothing is left behind (the sanitizer looks). An arena takes its next piece where its
 * last one is full. */
static void test_short_of_memory(void **state)
{
	enum { FILL_MAX = 8192, FILL_STEP = 8, PIECES = 4 };
	struct fixture *x = *state;
	const struct member *self = fleet_by_id(&x->f, 1);
	size_t refused = 0;
	for (size_t fill = FILL_STEP; fill < FILL_MAX; fill += FILL_STEP) {
		for (unsigned n = 0; n < PIECES; n++) {
			struct arena a = { 0 };
			assert_non_null(arena_alloc(&a, fill));
			trouble_memory(n + 1);
			refused += !view_rules_caps(&x->c, self, &a);
			trouble_memory(0);
			arena_free(&a);
		}
	}
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_farewell, setup, teardown),
		cmocka_unit_test_setup_teardown(test_patches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hosts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_of_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_of_memory, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
