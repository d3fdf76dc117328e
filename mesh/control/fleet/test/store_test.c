#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/store.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/fleet/test/place.h"
#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	struct place place;
	char path[256];
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	place_make(&x->place);
	place_path(&x->place, "db.sqlite", x->path);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	place_remove(&x->place);
	free(x);
	return 0;
}

static bool take_user(void *arg, const struct user *u)
{
	return fleet_user_put(arg, u);
}
static bool take_node(void *arg, const struct member *d)
{
	struct member *m = member_copy(d);
	return m && fleet_put(arg, m);
}

static void load(struct store *s, struct fleet *f)
{
	struct errbuf eb = { 0 };
	fleet_init(f, 1);
	if (store_load(s, &(struct store_sink) { .user = take_user, .node = take_node, .arg = f }, &eb))
		fail_msg("%s", eb.text);
}

static struct store *open_store(const char *path)
{
	struct errbuf eb = { 0 };
	struct store *s = store_open(path, &eb);
	if (!s)
		fail_msg("%s", eb.text);
	return s;
}

static void fill(struct store *s)
{
	struct errbuf eb = { 0 };
	struct fleet f;
	struct endpoint ep[2];
	uint8_t types[2] = { 1, 2 };
	const char *tags[] = { "tag:a", "tag:b" };
	net_init(&f);
	struct member d = *net_add(&f, 1, "laptop", 1, NULL);
	assert_true(endpoint_parse("192.0.2.1:1", &ep[0]) && endpoint_parse("[2001:db8::1]:2", &ep[1]));
	d.endpoints = (struct ctl_endpoints) { .v = ep, .types = types, .n = 2, .present = true };
	d.tags = (struct ctl_strings) { .v = tags, .n = 2 };
	d.hostinfo_json = "{\"OS\":\"linux\"}";
	d.expiry_ms = 12345;
	d.ephemeral = true;
	struct user u = { .name = "alice", .created_ms = 7 };
	assert_int_equal(store_begin(s, true, &eb), 0);
	assert_int_equal(store_user_add(s, &u, &eb), 0);
	assert_int_equal(store_node_add(s, &d, &eb), 0);
	assert_int_equal(store_number_put(s, "next", 42, &eb), 0);
	assert_int_equal(store_commit(s, &eb), 0);
	fleet_fini(&f);
}

static void test_reopen(void **state)
{
	struct fixture *x = *state;
	struct errbuf eb = { 0 };
	struct fleet f;
	struct stat st;
	int64_t number;
	struct store *s = open_store(x->path);
	fill(s);
	store_close(s);
	assert_int_equal(stat(x->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	s = open_store(x->path);
	load(s, &f);
	assert_int_equal(f.n_users, 1);
	assert_int_equal(f.n, 1);
	const struct member *m = f.v[0];
	assert_string_equal(m->name, "laptop");
	assert_int_equal(m->endpoints.n, 2);
	assert_int_equal(m->endpoints.types[1], 2);
	assert_int_equal(m->endpoints.v[1].port, 2);
	assert_true(member_has_tag(m, "tag:b"));
	assert_string_equal(m->hostinfo.os, "linux");
	assert_int_equal(m->expiry_ms, 12345);
	assert_true(m->last_seen_ms == FLEET_NO_TIME && m->ephemeral && m->has_v4 && m->has_v6);
	assert_int_equal(store_number_get(s, "next", &number, &eb), 0);
	assert_int_equal(number, 42);
	fleet_fini(&f);
	store_close(s);
}

static void test_rollback(void **state)
{
	struct fixture *x = *state;
	struct errbuf eb = { 0 };
	struct fleet f;
	struct user u = { .name = "alice" }, again = { .name = "alice" };
	struct store *s = open_store(x->path);
	assert_int_equal(store_begin(s, false, &eb), 0);
	assert_int_equal(store_user_add(s, &u, &eb), 0);
	assert_int_equal(store_user_add(s, &again, &eb), -EEXIST);
	store_rollback(s);
	store_rollback(s);
	load(s, &f);
	assert_int_equal(f.n_users, 0);
	fleet_fini(&f);
	store_close(s);
}

struct keys {
	struct preauth k;
	char tags[STORE_TAGS];
	size_t n;
};
static bool take_key(void *arg, const struct preauth *k)
{
	struct keys *keys = arg;
	keys->k = *k;
	snprintf(keys->tags, sizeof(keys->tags), "%s", k->tags);
	keys->n++;
	return true;
}
static bool skip_user(void *arg, const struct user *u)
{
	(void)arg;
	(void)u;
	return true;
}

static bool skip_node(void *arg, const struct member *d)
{
	(void)arg;
	(void)d;
	return true;
}

static struct keys load_keys(struct store *s)
{
	struct keys keys = { .n = 0 };
	struct errbuf eb = { 0 };
	if (store_load(s,
		    &(struct store_sink) {
			    .user = skip_user, .node = skip_node, .preauth = take_key, .arg = &keys },
		    &eb))
		fail_msg("%s", eb.text);
	return keys;
}

static void test_preauth(void **state)
{
	struct fixture *x = *state;
	struct errbuf eb = { 0 };
	struct user u = { .name = "alice" };
	struct preauth k = { .hash = { 1 },
		.prefix = "abc",
		.reusable = true,
		.humble = true,
		.unapproved = true,
		.expiry_ms = FLEET_NO_TIME,
		.tags = "tag:a" };
	struct store *s = open_store(x->path);
	assert_int_equal(store_user_add(s, &u, &eb), 0);
	k.user = u.id;
	assert_int_equal(store_preauth_add(s, &k, &eb), 0);
	struct keys got = load_keys(s);
	assert_int_equal(got.n, 1);
	assert_string_equal(got.tags, "tag:a");
	assert_memory_equal(&k, &got.k, offsetof(struct preauth, tags));
	assert_int_equal(store_preauth_use(s, k.id, &eb), 0);
	assert_int_equal(store_preauth_expire(s, k.id, 99, &eb), 0);
	assert_int_equal(store_preauth_expire(s, k.id + 1, 99, &eb), -ENOENT);
	got = load_keys(s);
	assert_true(got.k.used && got.k.expiry_ms == 99);
	store_close(s);
}

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* Beside the file, as a start that was killed leaves it. */
static void leave(const struct fixture *x, const char *ending)
{
	char path[sizeof(x->path) + 32];
	snprintf(path, sizeof(path), "%s%s", x->path, ending);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fputs("half a copy", f) < 0, 0);
	assert_int_equal(fclose(f), 0);
}

static size_t nodes_of_backup(const struct fixture *x)
{
	char path[sizeof(x->path) + 32];
	sqlite3 *db;
	sqlite3_stmt *q;
	snprintf(path, sizeof(path), "%s.format-2", x->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM nodes", -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	size_t n = (size_t)sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

/* A file of format 2: what it has stays, no number is given twice, and a node can be nobody's. */
static void test_migrated(void **state)
{
	struct fixture *x = *state;
	struct errbuf eb = { 0 };
	struct fleet f;
	run_sql(x->path,
		"CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
		"created_ms INTEGER "
		"NOT NULL);"
		"CREATE TABLE nodes (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES "
		"users(id), "
		"machine BLOB NOT NULL, node_key BLOB NOT NULL UNIQUE, disco BLOB NOT NULL, name TEXT NOT "
		"NULL UNIQUE, "
		"hostname TEXT NOT NULL, v4 TEXT UNIQUE, v6 TEXT UNIQUE, home_derp INTEGER NOT NULL, cap "
		"INTEGER NOT NULL, "
		"endpoints TEXT NOT NULL, hostinfo TEXT NOT NULL, tags TEXT NOT NULL, ephemeral INTEGER NOT "
		"NULL, "
		"renamed INTEGER NOT NULL, created_ms INTEGER NOT NULL, last_seen_ms INTEGER, expiry_ms "
		"INTEGER, "
		"routes TEXT NOT NULL DEFAULT '');"
		"CREATE TABLE preauth_keys (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL "
		"REFERENCES users(id), "
		"hash BLOB NOT NULL UNIQUE, prefix TEXT NOT NULL, reusable INTEGER NOT NULL, ephemeral "
		"INTEGER NOT NULL, "
		"used INTEGER NOT NULL, created_ms INTEGER NOT NULL, expiry_ms INTEGER, tags TEXT NOT NULL);"
		"CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
		"INSERT INTO users VALUES (1, 'alice', 5);"
		"INSERT INTO nodes VALUES (7, 1, zeroblob(32), x'01', zeroblob(32), 'box', 'box', "
		"'100.64.0.7', NULL, 0, 0, "
		"'', '', 'tag:a', 0, 0, 1, NULL, NULL, '10.0.0.0/8'), (9, 1, zeroblob(32), x'02', "
		"zeroblob(32), 'gone', "
		"'gone', '100.64.0.9', NULL, 0, 0, '', '', '', 0, 0, 1, NULL, NULL, '');"
		"DELETE FROM nodes WHERE id = 9;"
		"INSERT INTO preauth_keys VALUES (3, 1, zeroblob(32), 'abc', 1, 0, 0, 1, NULL, '');"
		"PRAGMA user_version = 2");
	leave(x, ".format-2");
	leave(x, ".format-2.half");
	struct store *s = open_store(x->path);
	assert_int_equal(nodes_of_backup(x), 1);
	load(s, &f);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.v[0]->id, 7);
	assert_int_equal(f.v[0]->user, 1);
	assert_string_equal(f.v[0]->routes.v[0], "10.0.0.0/8");
	assert_int_equal(load_keys(s).k.id, 3);
	struct member d = *f.v[0];
	struct preauth k = { .hash = { 1 }, .tags = "tag:a" };
	d.id = d.user = 0;
	d.name = "web";
	d.key.b[0] = 3;
	d.has_v4 = false;
	assert_int_equal(store_node_add(s, &d, &eb), 0);
	assert_int_equal(d.id, 10);
	assert_int_equal(store_preauth_add(s, &k, &eb), 0);
	assert_int_equal(k.id, 4);
	fleet_fini(&f);
	load(s, &f);
	assert_int_equal(f.v[1]->user, 0);
	fleet_fini(&f);
	store_close(s);
}

static void test_refusals(void **state)
{
	struct fixture *x = *state;
	struct errbuf eb = { 0 };
	struct store *s = open_store(x->path);
	assert_null(store_open(x->path, &eb));
	assert_int_equal(eb.code, -EAGAIN);
	assert_non_null(strstr(eb.text, "another ropewalk-control uses database"));
	store_close(s);

	run_sql(x->path, "PRAGMA user_version = 99");
	assert_null(store_open(x->path, &eb));
	assert_int_equal(eb.code, ERR_VERSION);
	assert_non_null(strstr(eb.text, "has format 99, this program knows up to "));

	FILE *f = fopen(x->path, "w");
	fputs("this is no database, but it is long enough to be taken for one at first sight, and then some "
	      "more",
		f);
	fclose(f);
	assert_null(store_open(x->path, &eb));
	assert_int_equal(eb.code, ERR_MALFORMED);
	assert_non_null(strstr(eb.text, "is damaged"));
}

/* A file that is taken away or held, pages that cannot be read, another program's tables. */
static void test_not_ours(void **state)
{
	struct fixture *x = *state;
	struct errbuf eb = { 0 };
	char page[4096], aside[256];
	struct store *s = open_store(x->path);
	struct user u = { .name = "bob" };
	fill(s);
	assert_int_equal(rename(x->path, place_path(&x->place, "aside", aside)), 0);
	assert_int_equal(store_begin(s, true, &eb), -ENOENT);
	assert_non_null(strstr(eb.text, "was removed or replaced while the server uses it"));
	assert_int_equal(rename(aside, x->path), 0);
	assert_int_equal(store_begin(s, true, &eb), 0);
	assert_int_equal(store_user_add(s, &u, &eb), 0);
	assert_int_equal(store_commit(s, &eb), 0);
	store_close(s);

	sqlite3 *db;
	s = open_store(x->path);
	assert_int_equal(sqlite3_open(x->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_begin(s, true, &eb), -EBUSY);
	assert_non_null(strstr(eb.text, "is held by another program"));
	sqlite3_close(db);
	store_close(s);

	FILE *f = fopen(x->path, "r+");
	memset(page, 0x5a, sizeof(page));
	fseek(f, 2 * 4096, SEEK_SET);
	assert_int_equal(fwrite(page, sizeof(page), 1, f), 1);
	fclose(f);
	assert_null(store_open(x->path, &eb));
	assert_non_null(strstr(eb.text, "is damaged"));

	assert_int_equal(unlink(x->path), 0);
	assert_int_equal(sqlite3_open(x->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE users (id)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_null(store_open(x->path, &eb));
	assert_int_equal(eb.code, ERR_VERSION);
	assert_non_null(strstr(eb.text, "was made by another program (it has a table \"users\")"));
}

/* A process that dies in the middle leaves what was committed and nothing else. */
static void test_killed(void **state)
{
	struct fixture *x = *state;
	struct fleet f;
	int status;
	pid_t child = fork();
	if (!child) {
		struct errbuf eb;
		struct user u = { .name = "bob" };
		struct store *s = store_open(x->path, &eb);
		fill(s);
		store_begin(s, false, &eb);
		store_user_add(s, &u, &eb);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	struct store *s = open_store(x->path);
	load(s, &f);
	assert_int_equal(f.n_users, 1);
	assert_int_equal(f.n, 1);
	fleet_fini(&f);
	store_close(s);
}

/* A full disk is said, costs nothing that was there, and passes when there is room again. */
static void test_full(void **state)
{
	struct fixture *x = *state;
	struct errbuf eb = { 0 };
	struct fleet f;
	struct user u = { 0 };
	int err = 0, n = 0;
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("none", x->place.dir, "tmpfs", 0, "size=256k") != 0)
		skip();
	struct store *s = open_store(x->path);
	for (; !err && n < 100000; n++) {
		u.id = 0;
		snprintf(u.name, sizeof(u.name), "user-%d", n);
		err = store_begin(s, true, &eb);
		if (!err && (err = store_user_add(s, &u, &eb)) != 0)
			store_rollback(s);
		else if (!err)
			err = store_commit(s, &eb);
	}
	assert_int_equal(err, -ENOSPC);
	assert_non_null(strstr(eb.text, "the disk is full; free space and try again"));
	load(s, &f);
	assert_true(f.n_users == (size_t)n - 1);
	fleet_fini(&f);
	assert_int_equal(mount("none", x->place.dir, "tmpfs", MS_REMOUNT, "size=4m"), 0);
	assert_int_equal(store_begin(s, true, &eb), 0);
	assert_int_equal(store_user_add(s, &u, &eb), 0);
	assert_int_equal(store_commit(s, &eb), 0);
	store_close(s);
	umount(x->place.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rollback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_preauth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_migrated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
