/* What the access rules have to do with who is in: roles of users, pools of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/registry.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/fleet/test/place.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { T0 = 1700000000 };
#define NOW (T0 * INT64_C(1000))

struct fixture {
	struct place place;
	char path[256], text[256], key[REGISTRY_KEY_TEXT];
	struct registry r;
	unsigned identity;
	int err;
};

static void changed(void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	struct fixture *x = arg;
	x->identity += old && now && what == NEWS_IDENTITY;
}

static void ended(void *arg, const struct registry_result *res)
{
	struct fixture *x = arg;
	x->err = res->err;
	snprintf(x->text, sizeof(x->text), "%s", res->text);
	snprintf(x->key, sizeof(x->key), "%s", res->key ? res->key : "");
}

/* The first is full after one node. */
static bool pools(void *arg, const struct member *m, struct arena *a, struct ctl_prefixes *out)
{
	(void)arg;
	*out = (struct ctl_prefixes) { .v = arena_array(a, 2, sizeof(struct prefix)), .n = 2 };
	if (m->role != USER_ADMIN)
		out->n = 0;
	return out->v && prefix_parse("100.81.0.0/30", &out->v[0]) &&
	       prefix_parse("100.82.0.9/32", &out->v[1]);
}

static void reopen(struct fixture *x)
{
	struct errbuf eb = { 0 };
	struct registry_config c = { .server_url = "https://hs.test",
		.state_path = x->path,
		.rnd = &random_system,
		.ops = { .changed = changed, .pools = pools, .arg = x } };
	c.pool.has_v4 = prefix_parse("100.64.0.0/10", &c.pool.v4);
	c.pool.has_v6 = prefix_parse("fd7a:115c:a1e0::/48", &c.pool.v6);
	if (x->r.store)
		registry_close(&x->r);
	if (registry_open(&x->r, &c, &eb))
		fail_msg("%s", eb.text);
}

/* alice has two nodes, one of them tagged; bob has one. */
static void fill(const char *path)
{
	struct errbuf eb = { 0 };
	struct fleet f;
	struct store *s = store_open(path, &eb);
	struct user users[] = { { .name = "alice" }, { .name = "bob" } };
	assert_non_null(s);
	net_make(&f);
	assert_int_equal(store_begin(s, true, &eb), 0);
	for (size_t i = 0; i < ARRAY_LEN(users); i++)
		assert_int_equal(store_user_add(s, &users[i], &eb), 0);
	static const int64_t ids[] = { 1, 3, 4 };
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct member d = *fleet_by_id(&f, ids[i]);
		assert_int_equal(store_node_add(s, &d, &eb), 0);
	}
	assert_int_equal(store_commit(s, &eb), 0);
	store_close(s);
	fleet_fini(&f);
}

static void set_role(struct fixture *x, const char *name, const char *role)
{
	struct registry_wait w = { .done = ended, .arg = x };
	x->err = 1;
	registry_user_role(&x->r, name, role, USER_OWNER, &w);
}

static void test_roles(void **state)
{
	struct fixture x = { .err = 0 };
	(void)state;
	assert_true(key_setup());
	place_make(&x.place);
	place_path(&x.place, "db.sqlite", x.path);
	fill(x.path);
	reopen(&x);
	assert_int_equal(fleet_by_name(&x.r.fleet, "laptop")->role, USER_MEMBER);
	set_role(&x, "alice", "network-admin");
	assert_int_equal(x.err, 0);
	assert_int_equal(x.identity, 2); /* of her nodes, and of nobody else's */
	assert_int_equal(fleet_by_name(&x.r.fleet, "laptop")->role, USER_NETWORK_ADMIN);
	assert_int_equal(fleet_by_name(&x.r.fleet, "bobs")->role, USER_MEMBER);
	reopen(&x);
	assert_int_equal(fleet_user_named(&x.r.fleet, "alice")->role, USER_NETWORK_ADMIN);
	assert_int_equal(fleet_by_name(&x.r.fleet, "laptop")->role, USER_NETWORK_ADMIN);
	set_role(&x, "alice", "king");
	assert_int_equal(x.err, -EINVAL);
	assert_string_equal(x.text, "\"king\" is no role: owner, admin, network-admin, it-admin, "
				    "billing-admin, auditor or member");
	set_role(&x, "carol", "admin");
	assert_int_equal(x.err, -ENOENT);
	registry_close(&x.r);
	place_remove(&x.place);
}

/* Who may make whom what, or remove them, in this order. */
static void test_ranks(void **state)
{
	static const struct {
		enum user_role by;
		const char *name, *role; /* NULL: away with them */
		int err;
	} rows[] = {
		{ USER_ADMIN, "alice", "owner", 0 }, /* there was none */
		{ USER_ADMIN, "alice", "admin", -EPERM },
		{ USER_ADMIN, "alice", NULL, -EPERM },
		{ USER_OWNER, "alice", "admin", -EPERM },
		{ USER_OWNER, "alice", NULL, -EPERM },
		{ USER_IT_ADMIN, "alice", NULL, -EPERM },
		{ USER_ADMIN, "bob", "owner", -EPERM },
		{ USER_ADMIN, "bob", "admin", 0 },
		{ USER_IT_ADMIN, "bob", "member", -EPERM },
		{ USER_IT_ADMIN, "bob", NULL, -EPERM },
		{ USER_NETWORK_ADMIN, "bob", NULL, -EPERM },
		{ USER_IT_ADMIN, "carol", "admin", -EPERM },
		{ USER_IT_ADMIN, "carol", "owner", -EPERM },
		{ USER_OWNER, "bob", "owner", 0 },
		{ USER_OWNER, "bob", "owner", 0 },
		{ USER_OWNER, "bob", "member", -EPERM },
		{ USER_ADMIN, "alice", "owner", -EPERM },
		{ USER_ADMIN, "carol", "network-admin", 0 },
		{ USER_IT_ADMIN, "carol", NULL, 0 },
		{ USER_ADMIN, "dave", "admin", 0 },
		{ USER_ADMIN, "dave", NULL, 0 },
	};
	struct fixture x = { .err = 0 };
	struct registry_wait w = { .done = ended, .arg = &x };
	(void)state;
	place_make(&x.place);
	place_path(&x.place, "db.sqlite", x.path);
	fill(x.path);
	reopen(&x);
	registry_user_create(&x.r, "carol", NOW, &w);
	registry_user_create(&x.r, "dave", NOW, &w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		x.err = 1;
		if (rows[i].role)
			registry_user_role(&x.r, rows[i].name, rows[i].role, rows[i].by, &w);
		else
			registry_user_destroy(&x.r, rows[i].name, rows[i].by, &w);
		if (x.err != rows[i].err)
			fail_msg("row %zu: %d, %s", i, x.err, x.text);
	}
	for (int again = 0; again < 2; again++) { /* in memory, and as it was stored */
		assert_int_equal(fleet_user_named(&x.r.fleet, "alice")->role, USER_ADMIN);
		assert_int_equal(fleet_by_name(&x.r.fleet, "laptop")->role, USER_ADMIN);
		assert_int_equal(fleet_user_named(&x.r.fleet, "bob")->role, USER_OWNER);
		assert_int_equal(fleet_by_name(&x.r.fleet, "bobs")->role, USER_OWNER);
		reopen(&x);
	}
	registry_close(&x.r);
	place_remove(&x.place);
}

/* Machines of admins and of the owner are made by admins alone, by a key and by a word. */
static void test_makers(void **state)
{
	static const char id[] = "abcdefghijklmnopqrstuvwx";
	static const struct {
		enum user_role by;
		const char *user;
		int err;
	} rows[] = { { USER_MEMBER, "alice", -EPERM }, { USER_IT_ADMIN, "alice", -EPERM },
		{ USER_IT_ADMIN, "bob", -EPERM }, { USER_NETWORK_ADMIN, "alice", -EPERM },
		{ USER_NETWORK_ADMIN, "bob", -EPERM }, { USER_IT_ADMIN, "carol", 0 },
		{ USER_ADMIN, "bob", 0 }, { USER_ADMIN, "alice", 0 }, { USER_OWNER, "alice", 0 } };
	struct fixture x = { .err = 0 };
	struct registry_wait w = { .done = ended, .arg = &x };
	const struct ctl_hostinfo says = { .hostname = "box" };
	struct machine_key machine;
	struct node_key key;
	struct errbuf eb = { 0 };
	(void)state;
	place_make(&x.place);
	place_path(&x.place, "db.sqlite", x.path);
	fill(x.path);
	reopen(&x);
	registry_user_create(&x.r, "carol", NOW, &w);
	set_role(&x, "alice", "owner");
	set_role(&x, "bob", "admin");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct preauth_wish wish = { .user = rows[i].user, .tags = "", .by = rows[i].by };
		const struct approve_wish word = { .user = rows[i].user, .by = rows[i].by };
		registry_preauth_create(&x.r, &wish, NOW, &w);
		if (x.err != rows[i].err)
			fail_msg("key, row %zu: %d, %s", i, x.err, x.text);
		(void)registry_pending_invent(&x.r, id, &says, NOW, &machine, &key, &eb);
		registry_approve(&x.r, id, &word, NOW, &w);
		if (x.err != rows[i].err)
			fail_msg("word, row %zu: %d, %s", i, x.err, x.text);
	}
	registry_preauth_create(&x.r, &(struct preauth_wish) { .user = "", .tags = "tag:web" }, NOW, &w);
	assert_int_equal(x.err, 0); /* nobody's */
	registry_close(&x.r);
	place_remove(&x.place);
}

/* A new node of key's user; the error that it gets. */
static const char *join(struct fixture *x, const char *key, uint8_t n, struct arena *a)
{
	struct ctl_register_request rq = {
		.version = 119, .auth_key = key, .followup = "", .expiry_ms = INT64_MIN
	};
	struct ctl_register_response out = { .error = "" };
	struct registry_wait w = { .done = ended, .arg = x };
	struct machine_key machine;
	char pending[REGISTRY_ID];
	memset(rq.node.b, n, KEY_LEN);
	memset(machine.b, n, KEY_LEN);
	rq.hostinfo.hostname = "box";
	if (registry_register(&x->r, &rq, &machine, NOW, a, &out, pending, &w) == REGISTRY_STORE && x->err)
		return x->text;
	return out.error;
}

static bool owns_web(void *arg, const char *tag, const struct user *user)
{
	(void)arg;
	return user->id == 3 || (user->id == 1 && !strcmp(tag, "tag:web"));
}

/* Lets in a machine that asks for these tags, for who may give all of them. */
static void approve(struct fixture *x, size_t row, const char *tags, int64_t giver)
{
	char id[] = "abcdefghijklmnopqrstuvwx";
	struct registry_wait w = { .done = ended, .arg = x, .giver = giver };
	struct ctl_hostinfo says = { .hostname = "box" };
	struct machine_key machine;
	struct node_key key;
	struct errbuf eb = { 0 };
	char copy[32], *save = NULL;
	const char *asked[4];
	says.request_tags.v = asked;
	snprintf(copy, sizeof(copy), "%s", tags);
	for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save))
		asked[says.request_tags.n++] = t;
	id[0] = (char)('a' + row);
	assert_int_equal(registry_pending_invent(&x->r, id, &says, NOW, &machine, &key, &eb), 0);
	registry_approve(&x->r, id, &(struct approve_wish) { .user = "carol", .by = USER_IT_ADMIN }, NOW, &w);
}

/* Whose machines and keys these are to change need not be who gives all tags. */
static void test_givers(void **state)
{
	static const struct {
		int64_t giver;
		const char *tags;
		int err;
	} rows[] = { { 0, "tag:db,tag:web", 0 }, { 1, "tag:web", 0 }, { 1, "tag:db", -EPERM },
		{ 1, "tag:web,tag:db", -EPERM }, { 2, "tag:web", -EPERM }, { 99, "tag:web", -EPERM } };
	struct fixture x = { .err = 0 };
	struct arena a = { 0 };
	(void)state;
	assert_true(key_setup());
	place_make(&x.place);
	place_path(&x.place, "db.sqlite", x.path);
	reopen(&x);
	x.r.c.ops.owns_tag = owns_web;
	struct registry_wait w = { .done = ended, .arg = &x };
	registry_user_create(&x.r, "itsy", NOW, &w);
	registry_user_create(&x.r, "bob", NOW, &w);
	registry_user_create(&x.r, "carol", NOW, &w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		approve(&x, i, rows[i].tags, rows[i].giver);
		if (x.err != rows[i].err)
			fail_msg("word, row %zu: %s", i, x.text);
		w = (struct registry_wait) { .done = ended, .arg = &x, .giver = rows[i].giver };
		registry_preauth_create(
			&x.r, &(struct preauth_wish) { .user = "bob", .tags = rows[i].tags }, NOW, &w);
		if (x.err != rows[i].err)
			fail_msg("key, row %zu: %s", i, x.text);
		w.giver = 0;
		registry_preauth_create(&x.r, &(struct preauth_wish) { .user = "bob", .tags = "" }, NOW, &w);
		assert_string_equal(join(&x, x.key, (uint8_t)(i + 1), &a), "");
		int64_t id = x.r.fleet.v[x.r.fleet.n - 1]->id;
		w.giver = rows[i].giver;
		registry_node_tag(&x.r, id, rows[i].tags, &w);
		if (x.err != rows[i].err)
			fail_msg("node, row %zu: %s", i, x.text);
		/* what it has already it may keep */
		w.giver = 0;
		registry_node_tag(&x.r, id, rows[i].tags, &w);
		w.giver = rows[i].giver;
		registry_node_tag(&x.r, id, rows[i].tags, &w);
		assert_int_equal(x.err, 0);
	}
	arena_free(&a);
	registry_close(&x.r);
	place_remove(&x.place);
}

/* A key for somebody, and what becomes of it when they become an admin: whoever made it has its text. */
static void test_promoted(void **state)
{
	static const struct {
		enum user_role by;
		const char *then, *error;
	} rows[] = { { USER_IT_ADMIN, "admin", "may not let in machines of admins" },
		{ USER_IT_ADMIN, "owner", "may not let in machines of admins" },
		{ USER_IT_ADMIN, "network-admin", "" },
		{ USER_NETWORK_ADMIN, "admin", "may not let in machines of admins" },
		{ USER_ADMIN, "admin", "" }, { USER_OWNER, "admin", "" }, { USER_IT_ADMIN, "member", "" } };
	struct fixture x = { .err = 0 };
	struct registry_wait w = { .done = ended, .arg = &x };
	struct arena a = { 0 };
	char keys[ARRAY_LEN(rows)][REGISTRY_KEY_TEXT];
	(void)state;
	assert_true(key_setup());
	place_make(&x.place);
	place_path(&x.place, "db.sqlite", x.path);
	reopen(&x);
	registry_user_create(&x.r, "dave", NOW, &w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct preauth_wish wish = { .user = "dave", .tags = "", .by = rows[i].by };
		registry_preauth_create(&x.r, &wish, NOW, &w);
		memcpy(keys[i], x.key, sizeof(keys[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		registry_user_role(&x.r, "dave", rows[i].then, USER_OWNER, &w);
		if (i == 0) { /* after a restart as well */
			registry_close(&x.r);
			reopen(&x);
		}
		const char *error = join(&x, keys[i], (uint8_t)(i + 1), &a);
		if (!*rows[i].error != !*error || !strstr(error, rows[i].error))
			fail_msg("row %zu: %s", i, error);
		if (i == 1) { /* another is the owner, who alone makes him less */
			registry_user_create(&x.r, "erin", NOW, &w);
			registry_user_role(&x.r, "erin", "owner", USER_OWNER, &w);
		}
	}
	/* No admin any more: the key is good again. */
	registry_user_role(&x.r, "dave", "member", USER_OWNER, &w);
	assert_string_equal(join(&x, keys[0], 99, &a), "");
	arena_free(&a);
	registry_close(&x.r);
	place_remove(&x.place);
}

static void expect_address(struct fixture *x, uint8_t n, const char *v4)
{
	struct node_key k;
	struct addr want;
	memset(k.b, n, KEY_LEN);
	const struct member *m = fleet_by_key(&x->r.fleet, &k);
	assert_true(addr_parse(v4, &want));
	assert_non_null(m);
	assert_true(m->has_v6 && addr_equal(&m->v4, &want));
}

static void test_pools(void **state)
{
	struct fixture x = { .err = 0 };
	struct arena a = { 0 };
	char key[REGISTRY_KEY_TEXT];
	(void)state;
	assert_true(key_setup());
	place_make(&x.place);
	place_path(&x.place, "db.sqlite", x.path);
	reopen(&x);
	struct registry_wait w = { .done = ended, .arg = &x };
	const struct preauth_wish wish = {
		.user = "alice", .create_user = true, .reusable = true, .tags = "", .by = USER_ADMIN
	};
	registry_preauth_create(&x.r, &wish, NOW, &w);
	memcpy(key, x.key, sizeof(key));
	assert_string_equal(join(&x, key, 1, &a), "");
	expect_address(&x, 1, "100.64.0.1");
	set_role(&x, "alice", "admin");
	for (uint8_t n = 2; n <= 4; n++)
		assert_string_equal(join(&x, key, n, &a), "");
	expect_address(&x, 1, "100.64.0.1"); /* who is there keeps what it has */
	expect_address(&x, 2, "100.81.0.2");
	expect_address(&x, 3, "100.81.0.1");
	expect_address(&x, 4, "100.82.0.9");
	assert_string_equal(join(&x, key, 5, &a),
		"every address of the \"ipPool\" that the policy has for this node is in use: widen it");
	registry_close(&x.r);
	arena_free(&a);
	place_remove(&x.place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_roles), cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_makers), cmocka_unit_test(test_promoted), cmocka_unit_test(test_givers),
		cmocka_unit_test(test_pools) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
