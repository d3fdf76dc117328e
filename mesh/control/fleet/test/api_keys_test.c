/* Keys of the API, and what the API changes of users, keys and addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/registry.h"
#include "mesh/control/fleet/test/place.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW (INT64_C(1700000000) * 1000)
enum { MINUTE_MS = 60 * 1000 };

struct fixture {
	struct place place;
	char path[256], key[REGISTRY_KEY_TEXT], text[512];
	struct registry r;
	struct registry_wait wait;
	int err;
	int64_t id;
	unsigned changes;
	bool v4, v6;
};

static void changed(void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	(void)old;
	(void)now;
	((struct fixture *)arg)->changes += what == NEWS_IDENTITY;
}

static void ended(void *arg, const struct registry_result *res)
{
	struct fixture *x = arg;
	x->err = res->err;
	x->id = res->id;
	snprintf(x->key, sizeof(x->key), "%s", res->key ? res->key : "");
	snprintf(x->text, sizeof(x->text), "%s", res->text);
}

static struct registry_wait *waits(struct fixture *x)
{
	x->err = 1;
	x->wait = (struct registry_wait) { .done = ended, .arg = x };
	return &x->wait;
}

static void open_registry(struct fixture *x)
{
	struct errbuf eb = { 0 };
	struct registry_config c = { .server_url = "https://hs.test",
		.state_path = x->path,
		.rnd = &random_system,
		.ops = { .changed = changed, .arg = x } };
	c.pool.has_v4 = x->v4 && prefix_parse("100.64.0.0/10", &c.pool.v4);
	c.pool.has_v6 = x->v6 && prefix_parse("fd7a:115c:a1e0::/48", &c.pool.v6);
	if (registry_open(&x->r, &c, &eb))
		fail_msg("%s", eb.text);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	if (!x || !key_setup())
		abort();
	x->v4 = true;
	place_make(&x->place);
	place_path(&x->place, "db.sqlite", x->path);
	open_registry(x);
	registry_user_create(&x->r, "alice", NOW, waits(x));
	*state = x;
	return x->err;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	registry_close(&x->r);
	place_remove(&x->place);
	free(x);
	return 0;
}

static void create(
	struct fixture *x, enum api_key_kind kind, int64_t expiry_ms, char key[static REGISTRY_KEY_TEXT])
{
	const struct api_key_wish wish = { kind, expiry_ms, "what for", "dns", "tag:a" };
	registry_api_key_create(&x->r, &wish, NOW, waits(x));
	assert_int_equal(x->err, 0);
	memcpy(key, x->key, REGISTRY_KEY_TEXT);
}

static void test_life(void **state)
{
	struct fixture *x = *state;
	char admin[REGISTRY_KEY_TEXT], client[REGISTRY_KEY_TEXT];
	create(x, API_KEY_ADMIN, NOW + 5, admin);
	create(x, API_KEY_CLIENT, FLEET_NO_TIME, client);
	assert_memory_equal(admin, "hskey-api-", 10);
	assert_memory_equal(client, "hskey-client-", 13);
	const struct api_key *k = registry_api_key_find(&x->r, admin);
	assert_int_equal(k->id, 1);
	assert_memory_equal(k->prefix, admin + 10, 12);
	assert_false(registry_api_key_is_expired(k, NOW + 4));
	assert_true(registry_api_key_is_expired(k, NOW + 5));
	for (size_t i = 0; i < strlen(admin); i++) { /* any other letter, anywhere */
		admin[i] ^= 1;
		assert_null(registry_api_key_find(&x->r, admin));
		admin[i] ^= 1;
	}
	assert_null(registry_api_key_find(&x->r, ""));

	/* both outlive a restart; used: kept to the minute */
	registry_api_key_used(&x->r, 2, NOW);
	registry_api_key_used(&x->r, 2, NOW + MINUTE_MS - 1);
	registry_api_key_used(&x->r, 9, NOW);
	registry_close(&x->r);
	open_registry(x);
	k = registry_api_key_find(&x->r, client);
	assert_int_equal(k->kind, API_KEY_CLIENT);
	assert_int_equal(k->seen_ms, NOW);
	assert_string_equal(k->about, "what for");
	assert_string_equal(k->scopes, "dns");
	assert_string_equal(k->tags, "tag:a");
	registry_api_key_expire(&x->r, 2, NOW + 7, waits(x));
	assert_int_equal(x->err, 0);
	registry_api_key_expire(&x->r, 9, NOW, waits(x));
	assert_int_equal(x->err, -ENOENT);
	registry_api_key_delete(&x->r, 1, waits(x));
	assert_int_equal(x->err, 0);
	registry_close(&x->r);
	open_registry(x);
	assert_null(registry_api_key_find(&x->r, admin));
	assert_int_equal(registry_api_key_find(&x->r, client)->expiry_ms, NOW + 7);
}

static void test_prefixes(void **state)
{
	static const struct {
		const char *text, *prefix; /* NULL: none */
	} rows[] = { { "abcdefghijkl", "abcdefghijkl" }, { "hskey-api-abcdefghijkl-***", "abcdefghijkl" },
		{ "hskey-client-abcdefghijkl", "abcdefghijkl" }, { "hskey-api-abc", NULL }, { "abc", NULL },
		{ "abcdefghijk.", NULL }, { "abcdefghijklm", NULL }, { "", NULL } };
	char prefix[STORE_PREFIX];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool good = api_key_parse_prefix(rows[i].text, prefix);
		if (good != (rows[i].prefix != NULL) || (good && strcmp(prefix, rows[i].prefix) != 0))
			fail_msg("row %zu", i);
	}
}

static void join(struct fixture *x, uint8_t number)
{
	struct arena a = { 0 };
	struct ctl_register_response out;
	char pending[REGISTRY_ID];
	struct machine_key machine = { { number } };
	const struct preauth_wish wish = { .user = "alice", .tags = "" };
	registry_preauth_create(&x->r, &wish, NOW, waits(x));
	const struct ctl_register_request rq = { .node = { { number } },
		.auth_key = arena_strdup(&a, x->key),
		.followup = "",
		.expiry_ms = FLEET_NO_TIME,
		.hostinfo = { .hostname = "box" } };
	assert_int_equal(
		registry_register(&x->r, &rq, &machine, NOW, &a, &out, pending, waits(x)), REGISTRY_STORE);
	assert_int_equal(x->err, 0);
	arena_free(&a);
}

/* A family more: each node gets an address of it, no two the same, and keeps the other. A family less: it goes. */
static void test_backfill(void **state)
{
	struct fixture *x = *state;
	char text[ADDR_TEXT];
	join(x, 1);
	join(x, 2);
	registry_close(&x->r);
	x->v6 = true;
	open_registry(x);
	registry_backfill(&x->r, waits(x));
	assert_int_equal(x->err, 0);
	const struct member *a = fleet_by_id(&x->r.fleet, 1), *b = fleet_by_id(&x->r.fleet, 2);
	assert_string_equal(addr_format(&a->v4, text), "100.64.0.1");
	assert_true(a->has_v6 && b->has_v6 && !addr_equal(&a->v6, &b->v6));
	assert_ptr_equal(fleet_by_address(&x->r.fleet, &b->v6), b);
	assert_non_null(strstr(x->text, "assigned IPv6 fd7a:115c:a1e0::"));
	assert_int_equal(x->changes, 4);
	registry_close(&x->r);
	x->v4 = false;
	open_registry(x);
	registry_backfill(&x->r, waits(x));
	a = fleet_by_id(&x->r.fleet, 1);
	assert_true(!a->has_v4 && a->has_v6);
	registry_backfill(&x->r, waits(x));
	assert_string_equal(x->text, "");
}

static void test_user_and_key(void **state)
{
	struct fixture *x = *state;
	join(x, 1);
	unsigned before = x->changes;
	registry_user_rename(&x->r, 1, "alicia", waits(x));
	assert_int_equal(x->err, 0);
	assert_int_equal(x->changes, before + 1); /* the rules may be others for its nodes */
	assert_null(fleet_user_named(&x->r.fleet, "alice"));
	registry_user_rename(&x->r, 1, "a b", waits(x));
	assert_int_equal(x->err, -EINVAL);
	registry_user_rename(&x->r, 2, "bob", waits(x));
	assert_int_equal(x->err, -ENOENT);
	assert_int_equal(fleet_by_id(&x->r.fleet, 1)->preauth, 1);
	registry_preauth_delete(&x->r, 1, waits(x));
	assert_int_equal(x->err, 0);
	assert_null(keyring_by_id(&x->r.keys, 1));
	registry_preauth_delete(&x->r, 1, waits(x));
	assert_int_equal(x->err, -ENOENT);
	registry_close(&x->r);
	open_registry(x);
	assert_string_equal(fleet_user(&x->r.fleet, 1)->name, "alicia");
	assert_int_equal(x->r.keys.n, 0);
	assert_int_equal(fleet_by_id(&x->r.fleet, 1)->preauth, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test_setup_teardown(test_backfill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user_and_key, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
