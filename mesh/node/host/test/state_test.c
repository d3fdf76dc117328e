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
	a.logged_in = a.prefs.want_running = true;
	assert_int_equal(state_save(*state, &a, NULL), 0);
	assert_int_equal(stat(in(*state, "state.json"), &st), 0); /* before a load mends it */
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(state_load(*state, &random_system, &b, NULL), 0);
	assert_memory_equal(a.machine.b, b.machine.b, KEY_LEN);
	assert_memory_equal(a.node.b, b.node.b, KEY_LEN);
	assert_string_equal(b.prefs.control_url, a.prefs.control_url);
	assert_true(b.logged_in && b.prefs.want_running);
}

/* Put back from a backup with everybody's rights. */
static void test_rights(void **state)
{
	struct state a;
	struct stat st;
	assert_int_equal(state_load(*state, &random_system, &a, NULL), 0);
	strcpy(a.prefs.operator_user, "op");
	assert_int_equal(state_save(*state, &a, NULL), 0);
	assert_int_equal(chmod(in(*state, "state.json"), 0644), 0);
	assert_int_equal(state_load(*state, &random_system, &a, NULL), 0);
	assert_string_equal(a.prefs.operator_user, "op");
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
	for (size_t cut = 1; cut + 1 < whole.len; cut += 7) {
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

static void test_dns_is_put_back(void **state)
{
	struct loop *l = loop_new();
	struct errbuf eb;
	char path[PATH_MAX];
	static const char own[] = "# mine\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions edns0\n";
	static const char *const search[] = { "sim.test", "example" };
	struct addr service = quad100();
	struct endpoint base[4];
	snprintf(path, sizeof(path), "%s/resolv.conf", (char *)*state);
	put(path, own);
	struct os_dns *d = os_dns_open(l, path, "", never, NULL);
	assert_int_equal(os_dns_base(d, base, 4), 2);
	assert_int_equal(os_dns_set(d, &service, search, 2, &eb), 0);
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
	struct addr service = quad100();
	struct endpoint base[4];
	struct errbuf eb;
	snprintf(path, sizeof(path), "%s/resolv.conf", (char *)*state);
	snprintf(backup, sizeof(backup), "%s.before-ropewalk", path);
	put(path, "# Made by ropewalkd: the mesh's names are answered by its resolver.\nnameserver "
		  "100.100.100.100\n");
	put(backup, "nameserver 192.0.2.7\n");
	struct os_dns *d = os_dns_open(l, path, "", never, NULL);
	os_dns_recover(d);
	check_text(path, "nameserver 192.0.2.7\n");
	assert_int_equal(access(backup, F_OK), -1);
	assert_int_equal(os_dns_base(d, base, 4), 1);
	assert_int_equal(os_dns_set(d, &service, NULL, 0, &eb), 0);
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
		cmocka_unit_test_setup_teardown(test_rights, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_link_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_damage_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_dns_is_put_back, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_dns_after_crash, make_dir, remove_dir),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
