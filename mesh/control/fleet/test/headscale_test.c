/* Databases of Headscale in the shapes that its versions since 0.23 have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/headscale.h"
#include "mesh/control/fleet/registry.h"
#include "mesh/control/fleet/test/place.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_A "3234494a4dfc43e1c49b0cabc124a73f9af42a509c49b00b87797a7f5d4cd15a"
#define KEY_B "36ce5befb23d8ef755bd319767562148e6f0cd91d3838d95d27254cee477eb04"
#define KEY_C "09b28f8c3351984874d46dace0a70177a8721933a950b663"

/* What all have, with their own columns. */
#define TABLES(users, keys, nodes) \
	"CREATE TABLE users (id integer PRIMARY KEY, created_at datetime, deleted_at datetime, name " \
	"text" users ");" \
	"CREATE TABLE pre_auth_keys (id integer PRIMARY KEY, key text, user_id integer, reusable numeric, " \
	"ephemeral " \
	"numeric, used numeric, created_at datetime, expiration datetime" keys ");" \
	"CREATE TABLE api_keys (id integer PRIMARY KEY, prefix text, hash blob);" \
	"CREATE TABLE nodes (id integer PRIMARY KEY, machine_key text, node_key text, disco_key text, " \
	"endpoints text," \
	" host_info text, ipv4 text, ipv6 text, hostname text, given_name text, user_id integer, " \
	"register_method text," \
	" auth_key_id integer, last_seen datetime, expiry datetime, created_at datetime, deleted_at " \
	"datetime" nodes ");" \
	"CREATE TABLE policies (id integer PRIMARY KEY, created_at datetime, deleted_at datetime, data " \
	"text);" \
	"INSERT INTO users (id, created_at, name) VALUES (1, '2024-09-27 14:12:26.861201+02:00', 'alice'), " \
	"(4, " \
	"'2024-09-27 14:12:26.861201+02:00', 'bob');" \
	"INSERT INTO api_keys VALUES (1, 'abc', x'00');" \
	"INSERT INTO pre_auth_keys (id, key, user_id, reusable, ephemeral, used, created_at, expiration) " \
	"VALUES (3, '" KEY_C \
	"', 1, 1, 1, 1, '2024-09-27 12:12:38+00:00', '2124-09-27 13:12:38.241063+00:00');" \
	"INSERT INTO nodes (id, machine_key, node_key, disco_key, endpoints, host_info, ipv4, ipv6, " \
	"hostname, given_name," \
	" user_id, auth_key_id, last_seen, expiry, created_at, deleted_at) VALUES" \
	" (7, 'mkey:" KEY_A "', 'nodekey:" KEY_B "', 'discokey:" KEY_A \
	"', '[\"192.0.2.1:41641\",\"[2001:db8::1]:1\"]'," \
	" '{\"OS\":\"linux\",\"Hostname\":\"Box\",\"NetInfo\":{\"PreferredDERP\":9}}', '100.64.0.7', " \
	"'fd7a:115c:a1e0::7'," \
	" 'Box', 'box-abcdef', 1, 3, '2024-10-01 00:00:00+00:00', '0001-01-01 00:00:00+00:00', '2024-09-27 " \
	"12:12:38+00:00', NULL)," \
	" (8, 'mkey:" KEY_B "', 'nodekey:" KEY_A "', 'discokey:" KEY_A \
	"', NULL, NULL, '100.64.0.8', NULL, 'phone', 'mine'," \
	" 4, NULL, NULL, '2030-01-01 00:00:00Z', '2024-09-27 12:12:38+00:00', NULL)," \
	" (9, 'x', 'x', 'x', '', '', NULL, NULL, 'gone', 'gone', 1, NULL, NULL, NULL, NULL, '2024-09-28 " \
	"00:00:00+00:00');"

static const struct {
	const char *name, *sql;
} schemas[] = {
	{ "0.23",
		TABLES("", "",
			", forced_tags text") "CREATE TABLE routes (id integer PRIMARY KEY, deleted_at "
					      "datetime, node_id integer, prefix text, advertised "
					      "numeric, enabled numeric);"
					      "CREATE TABLE pre_auth_key_acl_tags (id integer PRIMARY KEY, "
					      "pre_auth_key_id integer, tag text);"
					      "INSERT INTO routes VALUES (1, NULL, 7, '10.0.0.0/8', 1, 1), "
					      "(2, NULL, 7, '10.1.0.0/16', 1, 0);"
					      "INSERT INTO pre_auth_key_acl_tags VALUES (1, 3, 'tag:ci'), "
					      "(2, 3, 'tag:web');"
					      "UPDATE nodes SET forced_tags = '[\"tag:db\"]' WHERE id = 8;" },
	{ "0.26", TABLES(", email text, provider_identifier text", ", tags text",
			  ", forced_tags text, approved_routes text") "UPDATE nodes SET forced_tags = "
								      "'[\"tag:db\"]' WHERE id = 8;"
								      "UPDATE nodes SET approved_routes = "
								      "'[\"10.0.0.0/8\"]' WHERE id = 7;"
								      "UPDATE pre_auth_keys SET tags = "
								      "'[\"tag:ci\",\"tag:web\"]';" },
	{ "0.28", TABLES(", email text, provider_identifier text", ", tags text, prefix text, hash blob",
			  ", tags text, approved_routes text") "UPDATE nodes SET tags = '[\"tag:db\"]' WHERE "
							       "id = 8; UPDATE nodes SET tags = 'null' WHERE "
							       "id = 7;"
							       "UPDATE nodes SET approved_routes = "
							       "'[\"10.0.0.0/8\"]' WHERE id = 7;"
							       "UPDATE pre_auth_keys SET tags = "
							       "'[\"tag:ci\",\"tag:web\"]';" },
};

struct fixture {
	struct place place;
	char theirs[256], ours[256];
	struct registry r;
	bool is_open;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	if (!x || !key_setup())
		abort();
	place_make(&x->place);
	place_path(&x->place, "theirs", x->theirs);
	place_path(&x->place, "ours", x->ours);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	if (x->is_open)
		registry_close(&x->r);
	place_remove(&x->place);
	free(x);
	return 0;
}

static void run_sql(struct fixture *x, const char *sql)
{
	char *why = NULL;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(x->theirs, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

static int take(struct fixture *x, struct headscale_taken *out, struct errbuf *eb)
{
	struct store *s = store_open(x->ours, eb);
	assert_non_null(s);
	static const struct headscale_issuer issuers[] = { { "https://id.test/realms/home/",
								   "https://id.test/realms/home/" },
		{ "accounts.test", "https://accounts.test" }, { NULL, NULL } };
	int err = headscale_take(x->theirs, issuers, s, out, eb);
	store_close(s);
	return err;
}

static void open_registry(struct fixture *x)
{
	struct errbuf eb = { 0 };
	struct registry_config c = {
		.server_url = "https://hs.test", .state_path = x->ours, .rnd = &random_system
	};
	c.pool.has_v4 = prefix_parse("100.64.0.0/10", &c.pool.v4);
	if (registry_open(&x->r, &c, &eb))
		fail_msg("%s", eb.text);
	x->is_open = true;
}

static void check(struct fixture *x)
{
	char text[ADDR_TEXT];
	uint8_t key[KEY_LEN], hash[STORE_HASH];
	const struct fleet *f = &x->r.fleet;
	assert_int_equal(f->n_users, 2);
	assert_int_equal(fleet_user_named(f, "bob")->id, 4);
	assert_int_equal(fleet_user_named(f, "alice")->created_ms, INT64_C(1727439146861));
	assert_int_equal(f->n, 2);
	const struct member *a = fleet_by_id(f, 7), *b = fleet_by_id(f, 8);
	assert_true(key_parse("nodekey:" KEY_B, "nodekey:", key) && key_equal(a->key.b, key));
	assert_true(key_parse("mkey:" KEY_A, "mkey:", key) && key_equal(a->machine.b, key) &&
		    key_equal(a->disco.b, key));
	assert_string_equal(a->name, "box-abcdef");
	assert_string_equal(a->hostname, "Box");
	assert_false(a->renamed);
	assert_true(b->renamed);
	assert_string_equal(addr_format(&a->v4, text), "100.64.0.7");
	assert_string_equal(addr_format(&a->v6, text), "fd7a:115c:a1e0::7");
	assert_true(!b->has_v6);
	assert_int_equal(a->user, 1);
	assert_int_equal(a->home_derp, 9);
	assert_int_equal(a->endpoints.n, 2);
	assert_string_equal(a->hostinfo.os, "linux");
	assert_int_equal(a->routes.n, 1);
	assert_string_equal(a->routes.v[0], "10.0.0.0/8");
	assert_int_equal(a->tags.n, 0);
	assert_true(member_has_tag(b, "tag:db"));
	assert_int_equal(a->preauth, 3);
	assert_true(a->ephemeral && !b->ephemeral);
	assert_true(a->expiry_ms == FLEET_NO_TIME && b->expiry_ms == INT64_C(1893456000000));
	registry_key_hash(KEY_C, hash); /* as a node shows it */
	const struct preauth *k = keyring_by_hash(&x->r.keys, hash);
	assert_int_equal(k->id, 3);
	assert_true(k->reusable && k->ephemeral && k->used && k->user == 1);
	assert_string_equal(k->tags, "tag:ci,tag:web");
}

static void test_schemas(void **state)
{
	struct fixture *x = *state;
	for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
		struct headscale_taken out;
		struct errbuf eb = { 0 };
		run_sql(x, schemas[i].sql);
		if (take(x, &out, &eb))
			fail_msg("%s: %s", schemas[i].name, eb.text);
		assert_int_equal(out.users + 10 * out.nodes + 100 * out.keys, 122);
		assert_int_equal(out.lost_api_keys, 1);
		assert_int_equal(out.renamed + out.lost_keys + out.policy.len, 0);
		open_registry(x);
		check(x);
		registry_close(&x->r);
		x->is_open = false;
		assert_int_equal(remove(x->theirs) | remove(x->ours), 0);
	}
}

/* What cannot be as it was is told, and keys that are hashes are not taken for keys. */
static void test_oddities(void **state)
{
	struct fixture *x = *state;
	struct headscale_taken out;
	struct errbuf eb = { 0 };
	run_sql(x, schemas[2].sql);
	run_sql(x, "INSERT INTO users (id, name, email) VALUES (5, '', 'carol smith@b.test'), (6, 'alice', "
		   "'x@y.test');"
		   "UPDATE nodes SET given_name = 'wpad' WHERE id = 8; UPDATE nodes SET user_id = 99 WHERE "
		   "id = 8;"
		   "INSERT INTO pre_auth_keys (id, key, prefix, hash, user_id) VALUES (4, '', "
		   "'abcdefabcdef', x'00', 1);"
		   "INSERT INTO policies VALUES (1, NULL, NULL, 'old'), (2, NULL, NULL, '{}'), (3, NULL, "
		   "'2024-01-01', 'gone');");
	if (take(x, &out, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(out.users, 4);
	assert_int_equal(out.renamed, 3);
	assert_int_equal(out.lost_keys, 1);
	assert_string_equal(buf_cstr(&out.policy), "{}");
	buf_free(&out.policy);
	open_registry(x);
	assert_int_equal(fleet_user_named(&x->r.fleet, "carol-smith@b.test")->id, 5);
	assert_int_equal(fleet_user_named(&x->r.fleet, "alice-6")->id, 6);
	assert_string_equal(fleet_by_id(&x->r.fleet, 8)->name, "phone");
	assert_int_equal(fleet_by_id(&x->r.fleet, 8)->user, 0);
}

/* What Headscale makes of issuer and subject is taken apart again. */
static void test_identifiers(void **state)
{
	static const struct headscale_issuer issuers[] = { { "https://id.test", "https://id.test" },
		{ "https://id.test/realms/home/", "https://id.test/realms/home/" },
		{ "https://other.test/", "https://other.test/" },
		{ "accounts.test", "https://accounts.test" }, { NULL, NULL } };
	static const struct {
		const char *identifier, *issuer, *subject;
	} rows[] = {
		{ "https://id.test/7", "https://id.test", "7" },
		{ "https://id.test/realms/home/f81d-4f", "https://id.test/realms/home/", "f81d-4f" },
		{ "https://id.test/realms/away/7", "https://id.test", "realms/away/7" },
		{ "https://other.test/auth0%7C5f7c8ec", "https://other.test/", "auth0|5f7c8ec" },
		{ "https://other.test/100%25%zz%4", "https://other.test/", "100%%zz%4" },
		{ "https://other.test/a%00b", "https://other.test/", "a%00b" },
		{ "accounts.test/1%30", "https://accounts.test", "1%30" },
		{ "https://other.test/", NULL, NULL },
		{ "https://other.test", NULL, NULL },
		{ "https://other.testing/7", NULL, NULL },
		{ "https://id.tes", NULL, NULL },
		{ "/7", NULL, NULL },
		{ "", NULL, NULL },
	};
	char text[PERSON_TEXT + 32] = "accounts.test/";
	size_t at = strlen(text);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct person p = { .user = 9, .subject = "as it was" };
		bool ok = headscale_person(rows[i].identifier, issuers, &p);
		if (ok != !!rows[i].issuer || (ok && (strcmp(p.issuer, rows[i].issuer) != 0 ||
							     strcmp(p.subject, rows[i].subject) != 0)))
			fail_msg("row %zu: %s %s", i, p.issuer, p.subject);
		assert_int_equal(p.user, 9);
		if (!ok)
			assert_string_equal(p.subject, "as it was");
	}
	struct person p = { 0 };
	memset(text + at, 's', PERSON_TEXT);
	assert_false(headscale_person(text, issuers, &p)); /* half a subject would be another person's */
	text[at + PERSON_TEXT - 1] = 0;
	assert_true(headscale_person(text, issuers, &p));
}

static void login_ended(void *arg, const struct registry_result *res)
{
	assert_int_equal(res->err, 0);
	*(int64_t *)arg = res->id;
}

/* Who logged in by a provider is the same user afterwards; a provider that is not known here is told. */
static void test_people(void **state)
{
	struct fixture *x = *state;
	struct headscale_taken out;
	struct errbuf eb = { 0 };
	int64_t user = 0;
	struct registry_wait w = { .done = login_ended, .arg = &user };
	run_sql(x, schemas[2].sql);
	run_sql(x, "ALTER TABLE users ADD COLUMN display_name text;"
		   "UPDATE users SET provider_identifier = 'https://id.test/realms/home/b%7C4', email = "
		   "'bob@b.test', "
		   "display_name = 'Bob' WHERE id = 4;"
		   "INSERT INTO users (id, name, email, provider_identifier) VALUES (5, '', 'carol@b.test', "
		   "'accounts.test/77'), (6, 'dave', NULL, 'https://gone.test/6');");
	if (take(x, &out, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(out.people, 2);
	assert_int_equal(out.lost_people, 1);
	open_registry(x);
	const struct person *bob = people_of_user(&x->r.people, 4);
	assert_true(bob && !strcmp(bob->email, "bob@b.test") && !strcmp(bob->display, "Bob"));
	assert_int_equal(people_find(&x->r.people, "https://accounts.test", "77")->user, 5);
	assert_null(people_of_user(&x->r.people, 1));
	const struct person_wish wish = { .issuer = "https://id.test/realms/home/",
		.subject = "b|4",
		.email = "robert@b.test",
		.display = "Robert" };
	registry_person_login(&x->r, &wish, INT64_C(1700000000000), &w);
	assert_int_equal(user, 4);
	assert_int_equal(x->r.fleet.n_users, 4);
}

/* All, or nothing. */
static void test_refused(void **state)
{
	static const char *const breaks[] = { "UPDATE nodes SET machine_key = 'mkey:1' WHERE id = 8",
		"UPDATE nodes SET ipv4 = '100.64.0.7'", "DROP TABLE nodes",
		"ALTER TABLE users RENAME COLUMN name TO label" };
	struct fixture *x = *state;
	for (size_t i = 0; i < ARRAY_LEN(breaks); i++) {
		struct headscale_taken out;
		struct errbuf eb = { 0 };
		run_sql(x, schemas[2].sql);
		run_sql(x, breaks[i]);
		assert_int_not_equal(take(x, &out, &eb), 0);
		buf_free(&out.policy);
		assert_true(*eb.text);
		open_registry(x);
		assert_int_equal(x->r.fleet.n + x->r.fleet.n_users + x->r.keys.n, 0);
		registry_close(&x->r);
		x->is_open = false;
		assert_int_equal(remove(x->theirs) | remove(x->ours), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_schemas, setup, teardown),
		cmocka_unit_test_setup_teardown(test_oddities, setup, teardown),
		cmocka_unit_test(test_identifiers),
		cmocka_unit_test_setup_teardown(test_people, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
