#include "mesh/node/host/os_dns.h"
#include "mesh/node/host/state.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static int make_dir(void **state)
{
	char *dir = strdup("/tmp/rw-state-XXXXXX");
	*state = dir;
	return dir && mkdtemp(dir) && key_setup() ? 0 : -1;
}

static int remove_dir(void **state)
{
	dir_remove(*state, NULL);
	free(*state);
	return 0;
}

static const char *in(const char *dir, const char *file)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return path;
}

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(path, 0644, text, strlen(text), NULL), 0);
}

static void check_text(const char *path, const char *want)
{
	struct buf b = { 0 };
	assert_int_equal(file_read(path, 65536, &b, NULL), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

static void test_round_trip(void **state)
{
	struct state a, b;
	struct stat st;
	assert_int_equal(state_load(*state, &random_system, &a, NULL), 0);
	assert_false(key_is_zero(a.machine.b));
	assert_true(a.prefs.accept_dns);
	key_generate(&random_system, a.node.b);
	strcpy(a.prefs.control_url, "http://10.0.0.1:80");
	strcpy(a.login_name, "u@example");
	const struct addr at = addr_v4(0xc0000207);
	assert_null(state_server_seen(&a));
	assert_true(state_server_reached(&a, &at));
	assert_false(state_server_reached(&a, &at)); /* no news */
	memset(a.prefs.server_pin.b, 9, KEY_LEN);
	a.logged_in = a.prefs.want_running = a.prefs.accept_routes = a.prefs.no_snat = true;
	assert_true(prefix_parse("10.0.0.0/8", &a.prefs.offered[0]) &&
		    prefix_parse("fd00::/64", &a.prefs.offered[1]));
	a.prefs.n_offered = 2;
	strcpy(a.prefs.tags, "tag:a,tag:b");
	a.prefs.shields_up = true;
	assert_int_equal(state_save(*state, &a, NULL), 0);
	assert_int_equal(stat(in(*state, "state.json"), &st), 0); /* before a load mends it */
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(state_load(*state, &random_system, &b, NULL), 0);
	assert_memory_equal(a.machine.b, b.machine.b, KEY_LEN);
	assert_memory_equal(a.node.b, b.node.b, KEY_LEN);
	assert_string_equal(b.prefs.control_url, a.prefs.control_url);
	assert_memory_equal(b.prefs.server_pin.b, a.prefs.server_pin.b, KEY_LEN);
	assert_true(b.logged_in && b.prefs.want_running && b.prefs.accept_routes && b.prefs.no_snat);
	assert_false(b.prefs.unasked || b.prefs.routes_before_own);
	assert_int_equal(b.prefs.n_offered, 2);
	assert_true(b.prefs.shields_up);
	struct arena tags_of = { 0 };
	struct ctl_strings tags = state_tags(&tags_of, &b.prefs);
	assert_int_equal(tags.n, 2);
	assert_string_equal(tags.v[0], "tag:a");
	assert_string_equal(tags.v[1], "tag:b");
	b.prefs.tags[0] = 0;
	assert_int_equal(state_tags(&tags_of, &b.prefs).n, 0);
	arena_free(&tags_of);
	assert_true(state_server_seen(&b) && addr_equal(state_server_seen(&b), &at));
	strcpy(b.prefs.control_url, "https://other.example");
	assert_null(state_server_seen(&b)); /* of another server nothing is known */
	strcpy(b.prefs.control_url, a.prefs.control_url);
	assert_true(prefix_equal(&b.prefs.offered[1], &a.prefs.offered[1]));
}

/* What has not changed is not written, so that nobody waits for the disk; what is no longer there, is. */
static void test_same_is_not_written(void **state)
{
	struct state a;
	struct stat first, then;
	char path[PATH_MAX];
	strcpy(path, in(*state, "state.json"));
	assert_int_equal(state_load(*state, &random_system, &a, NULL), 0);
	assert_int_equal(stat(path, &first), 0);
	assert_int_equal(link(path, in(*state, "held")), 0); /* its inode is not given to another file */
	assert_int_equal(state_save(*state, &a, NULL), 0);
	assert_int_equal(stat(path, &then), 0);
	assert_true(then.st_ino == first.st_ino);
	a.logged_in = true;
	assert_int_equal(state_save(*state, &a, NULL), 0);
	assert_int_equal(stat(path, &then), 0);
	assert_false(then.st_ino == first.st_ino);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(state_save(*state, &a, NULL), 0);
	assert_int_equal(stat(path, &then), 0);
}

/* Put back from a backup with everybody's rights. */
static void test_rights(void **state)
{
	struct state a;
	struct stat st;
	assert_int_equal(state_load(*state, &random_system, &a, NULL), 0);
	strcpy(a.prefs.operator_user, "op");
	a.prefs.no_netfilter = true;
	assert_int_equal(state_save(*state, &a, NULL), 0);
	assert_int_equal(chmod(in(*state, "state.json"), 0644), 0);
	assert_int_equal(state_load(*state, &random_system, &a, NULL), 0);
	assert_string_equal(a.prefs.operator_user, "op");
	assert_true(a.prefs.no_netfilter);
	assert_int_equal(stat(in(*state, "state.json"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	state_wipe(&a);
}

/* A link in its place leads neither us nor our chmod to a file of the system. */
static void test_link_is_refused(void **state)
{
	struct state s;
	struct stat st;
	struct errbuf eb;
	char other[PATH_MAX];
	snprintf(other, sizeof(other), "%s/other", (char *)*state);
	put(other, "{}");
	assert_int_equal(chmod(other, 0644), 0);
	assert_int_equal(symlink(other, in(*state, "state.json")), 0);
	assert_int_equal(state_load(*state, &random_system, &s, &eb), -ELOOP);
	assert_non_null(strstr(eb.text, "symbolic link"));
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	check_text(other, "{}");
}

/* Refused with a sentence, and left as it was. */
static void test_damage_is_refused(void **state)
{
	struct state s;
	struct errbuf eb;
	struct buf whole = { 0 };
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/state.json", (char *)*state);
	assert_int_equal(state_load(*state, &random_system, &s, NULL), 0);
	assert_int_equal(file_read(path, 65536, &whole, NULL), 0);
	char *text = strdup(buf_cstr(&whole));
	for (size_t cut = 0; cut + 1 < whole.len; cut += cut ? 7 : 1) {
		char *part = strndup(text, cut);
		put(path, part);
		assert_int_equal(state_load(*state, &random_system, &s, &eb), ERR_MALFORMED);
		assert_non_null(strstr(eb.text, "state.json"));
		check_text(path, part);
		free(part);
	}
	char *v = strstr(text, "\"version\": 1");
	assert_non_null(v);
	v[11] = '9';
	put(path, text);
	assert_int_equal(state_load(*state, &random_system, &s, &eb), ERR_VERSION);
	assert_non_null(strstr(eb.text, "another version (9"));
	check_text(path, text);
	free(text);
	buf_free(&whole);
}

static void never(void *arg)
{
	(void)arg;
	fail_msg("no other program writes here");
}

static struct addr quad100(void)
{
	struct addr a;
	assert_true(addr_parse("100.100.100.100", &a));
	return a;
}

static struct os_dns *os_dns_of(struct loop *l, const char *path)
{
	struct dns_places places = { .resolv_conf = path,
		.own_path = true,
		.uplinks = "",
		.networkmanager = "",
		.openresolv = "",
		.bus = "" };
	return os_dns_open(l, &places, never, NULL);
}

static void test_dns_is_put_back(void **state)
{
	struct loop *l = loop_new();
	struct errbuf eb;
	char path[PATH_MAX];
	static const char own[] = "# mine\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions edns0\n";
	static const char *const search[] = { "sim.test", "example" };
	struct os_dns_config c = { .nameserver = quad100(), .dev = "rope0", .search = search, .n_search = 2 };
	struct endpoint base[4];
	snprintf(path, sizeof(path), "%s/resolv.conf", (char *)*state);
	put(path, own);
	struct os_dns *d = os_dns_of(l, path);
	assert_int_equal(os_dns_base(d, base, 4), 2);
	assert_int_equal(os_dns_set(d, &c, &eb), 0);
	check_text(path, "# Made by ropewalkd: the mesh's names are answered by its resolver.\n"
			 "nameserver 100.100.100.100\nsearch sim.test example\noptions edns0\n");
	assert_int_equal(os_dns_base(d, base, 4), 2);
	os_dns_close(d);
	check_text(path, own);
	loop_free(l);
}

/* A crash leaves our file and the backup: the next start puts the machine's own back. */
static void test_dns_after_crash(void **state)
{
	struct loop *l = loop_new();
	char path[PATH_MAX], backup[PATH_MAX + 32];
	struct os_dns_config c = { .nameserver = quad100(), .dev = "rope0" };
	struct endpoint base[4];
	struct errbuf eb;
	snprintf(path, sizeof(path), "%s/resolv.conf", (char *)*state);
	snprintf(backup, sizeof(backup), "%s.before-ropewalk", path);
	put(path, "# Made by ropewalkd: the mesh's names are answered by its resolver.\nnameserver "
		  "100.100.100.100\n");
	put(backup, "nameserver 192.0.2.7\n");
	struct os_dns *d = os_dns_of(l, path);
	os_dns_recover(d);
	check_text(path, "nameserver 192.0.2.7\n");
	assert_int_equal(access(backup, F_OK), -1);
	assert_int_equal(os_dns_base(d, base, 4), 1);
	assert_int_equal(os_dns_set(d, &c, &eb), 0);
	/* Somebody else has taken the file over since: theirs stays. */
	put(path, "nameserver 192.0.2.9\n");
	os_dns_restore(d);
	check_text(path, "nameserver 192.0.2.9\n");
	os_dns_close(d);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_same_is_not_written, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_rights, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_link_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_damage_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_dns_is_put_back, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_dns_after_crash, make_dir, remove_dir),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
