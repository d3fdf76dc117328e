/* pi-hole's database, as version 6 and version 5 have it: who gets which lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/key.h"
#include "resolver/alone/gravity.h"
#include "resolver/conf.h"
#include "resolver/blocker.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/gravity_test.XXXXXX", path[64];

static const char common[] =
	"CREATE TABLE \"group\"(id INTEGER PRIMARY KEY, enabled BOOLEAN, name TEXT);"
	"INSERT INTO \"group\" VALUES(0,1,'Default'),(1,1,'Kids'),(2,0,'Off');"
	"CREATE TABLE adlist_by_group(adlist_id INTEGER, group_id INTEGER);"
	"INSERT INTO adlist_by_group VALUES(1,0),(1,1),(2,1),(3,2),(4,0),(6,0);"
	"CREATE TABLE domainlist(id INTEGER PRIMARY KEY, type INTEGER, domain TEXT, enabled BOOLEAN);"
	"INSERT INTO domainlist "
	"VALUES(1,0,'good.example',1),(2,1,'Bad.example',1),(3,2,'^ok[0-9]',1),(4,3,'(^|\\.)evil\\.',1),"
	"(5,1,'off.example',0),(6,1,'games.example',1),(7,3,'x;querytype=A',1),(8,3,'(a)\\1',1);"
	"CREATE TABLE domainlist_by_group(domainlist_id INTEGER, group_id INTEGER);"
	"INSERT INTO domainlist_by_group SELECT id, 0 FROM domainlist WHERE id <> 6; INSERT INTO "
	"domainlist_by_group SELECT id, 1 FROM "
	"domainlist WHERE id <> 6;"
	"INSERT INTO domainlist_by_group VALUES(6,1);"
	"CREATE TABLE client(id INTEGER PRIMARY KEY, ip TEXT);"
	"INSERT INTO client VALUES(1,'192.168.1.64/26'),(2,'12:34:56:78:9a:bc'),(3,'192.168.1.7');"
	"CREATE TABLE client_by_group(client_id INTEGER, group_id INTEGER);"
	"INSERT INTO client_by_group VALUES(1,1),(2,0),(3,2);";
static const char lists_6[] =
	"CREATE TABLE adlist(id INTEGER PRIMARY KEY, address TEXT, enabled BOOLEAN, type INTEGER);"
	"INSERT INTO adlist VALUES(1,'https://x.example/hosts',1,0),(2,'https://x.example/kids',1,0),"
	"(3,'https://x.example/off',1,0),(4,'https://x.example/allow',1,1),(5,'https://x.example/no',0,0),"
	"(6,'ftp://x.example/old',1,0);";
static const char lists_5[] =
	"CREATE TABLE adlist(id INTEGER PRIMARY KEY, address TEXT, enabled BOOLEAN);"
	"INSERT INTO adlist VALUES(1,'https://x.example/hosts',1),(2,'file:///etc/own.list',1);";

static void database_make(const char *lists)
{
	sqlite3 *db;
	unlink(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, common, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, lists, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void read_into(struct target *t, struct conf *c)
{
	struct errbuf eb = { 0 };
	struct buf out = { 0 };
	target_init(t);
	assert_int_equal(gravity_read(t, path, &eb), 0);
	target_listen(t, "127.0.0.1", 0);
	assert_true(target_write(t, &out));
	if (conf_read("made", buf_cstr(&out), out.len, c, &eb))
		fail_msg("%s\n%s", eb.text, buf_cstr(&out));
	buf_free(&out);
}

/* The names of the lists that a client gets, in one line. */
static void lists_for(const struct conf *c, const char *client, char *out, size_t cap)
{
	struct addr from;
	const char *name;
	assert_true(addr_parse(client, &from));
	uint32_t bits = blocker_group(&c->block, &from, &name);
	out[0] = 0;
	for (size_t i = 0; i < c->block.n_lists; i++)
		if (bits >> i & 1) {
			const struct conf_list *l = &c->block.lists[i];
			size_t len = strlen(out);
			snprintf(out + len, cap - len, "%s%s ", l->allow ? "+" : "",
				l->url ? strrchr(l->url, '/') + 1 : l->name);
		}
}

static void test_version_6(void **state)
{
	struct target t;
	struct conf c;
	char text[512];
	(void)state;
	database_make(lists_6);
	read_into(&t, &c);
	lists_for(&c, "192.168.1.5", text, sizeof(text)); /* nowhere named */
	assert_string_equal(text, "hosts +allow +allowed-4 denied-5 ");
	lists_for(&c, "192.168.1.70", text, sizeof(text));
	assert_string_equal(text, "hosts kids +allowed-4 denied-5 denied-6 ");
	lists_for(&c, "192.168.1.7", text, sizeof(text)); /* in a group that is off */
	assert_string_equal(text, "");
	assert_non_null(strstr(buf_cstr(&t.said), "ftp://x.example/old: neither a URL"));
	assert_non_null(strstr(buf_cstr(&t.said), "12:34:56:78:9a:bc: a client is an address"));
	assert_non_null(strstr(buf_cstr(&t.said), "x;querytype=A: no counterpart of this expression"));
	assert_non_null(strstr(buf_cstr(&t.said), "(a)\\1: no counterpart of this expression"));
	for (size_t i = 0; i < c.block.n_lists; i++)
		for (size_t k = 0; k < c.block.lists[i].n_names; k++)
			assert_null(strstr(c.block.lists[i].names[k], "off.example"));
	conf_free(&c);
	target_fini(&t);
}

static void test_version_5(void **state)
{
	struct target t;
	struct conf c;
	(void)state;
	database_make(lists_5);
	read_into(&t, &c);
	assert_string_equal(c.block.lists[0].url, "https://x.example/hosts");
	assert_string_equal(c.block.lists[1].file, "/etc/own.list");
	conf_free(&c);
	target_fini(&t);
}

static void test_other(void **state)
{
	struct target t;
	struct errbuf eb = { 0 };
	sqlite3 *db;
	(void)state;
	unlink(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE x(y)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	target_init(&t);
	assert_int_equal(gravity_read(&t, path, &eb), ERR_MALFORMED);
	assert_non_null(strstr(eb.text, "not pi-hole's gravity.db"));
	target_fini(&t);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder) || !key_setup())
		return -1;
	snprintf(path, sizeof(path), "%s/gravity.db", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_version_6),
		cmocka_unit_test(test_version_5), cmocka_unit_test(test_other) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
