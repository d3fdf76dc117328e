#include "mesh/node/host/os_dns.h"
#include "mesh/node/host/os_dns_file.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/os/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define OWN "search home\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n"
#define OURS "nameserver 100.100.100.100\nsearch mesh.test corp.test"

struct place {
	char dir[64], path[96], backup[128], uplinks[96];
	struct loop *loop;
	int changes;
};
/* The second is no name: a server must not write lines of its own. */
static const char *const search[] = { "mesh.test", "x\nnameserver 6.6.6.6", "corp.test" };

static void changed(void *arg)
{
	((struct place *)arg)->changes++;
}

static struct place place_make(void)
{
	struct place p = { .dir = "/tmp/rw-osdns-XXXXXX", .loop = loop_new() };
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/resolv.conf", p.dir);
	snprintf(p.uplinks, sizeof(p.uplinks), "%s/uplinks", p.dir);
	snprintf(p.backup, sizeof(p.backup), "%s.before-ropewalk", p.path);
	return p;
}

static void place_end(struct place *p)
{
	loop_free(p->loop);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	fclose(f);
}

static void expect(const char *path, const char *part, bool whole)
{
	struct buf b = { 0 };
	assert_int_equal(file_read(path, 65536, &b, NULL), 0);
	const char *s = buf_cstr(&b);
	if (whole ? strcmp(s, part) != 0 : !strstr(s, part))
		fail_msg("%s says: %s", path, s);
	assert_null(strstr(s, "6.6.6.6"));
	buf_free(&b);
}

static struct os_dns *open_it(struct place *p)
{
	struct dns_places places = { .resolv_conf = p->path,
		.own_path = true,
		.uplinks = p->uplinks,
		.networkmanager = "",
		.openresolv = "",
		.bus = "" };
	struct os_dns *d = os_dns_open(p->loop, &places, changed, p);
	assert_non_null(d);
	return d;
}

static const struct os_dns_config config = {
	.nameserver = { { [10] = 0xff, [11] = 0xff, [12] = 100, [13] = 100, [14] = 100, [15] = 100 } },
	.dev = "rope0",
	.search = search,
	.n_search = 3
};

static void set(struct os_dns *d)
{
	struct errbuf eb = { 0 };
	if (os_dns_set(d, &config, &eb) != 0)
		fail_msg("%s", eb.text);
}

static void test_file(void **state)
{
	struct place p = place_make();
	struct stat st;
	struct endpoint base[4];
	(void)state;
	put(p.path, OWN);
	chmod(p.path, 0640);
	struct os_dns *d = open_it(&p);
	assert_int_equal(os_dns_base(d, base, 4), 2);
	set(d);
	set(d);
	assert_true(os_dns_active(d));
	expect(p.path, OURS, false);
	assert_int_equal(os_dns_base(d, base, 4), 2);
	os_dns_close(d);
	expect(p.path, OWN, true);
	assert_int_equal(stat(p.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_not_equal(access(p.backup, F_OK), 0);
	place_end(&p);
}

static void test_missing_file(void **state)
{
	struct place p = place_make();
	struct endpoint base[4];
	(void)state;
	struct os_dns *d = open_it(&p);
	set(d);
	expect(p.path, OURS, false);
	assert_int_equal(os_dns_base(d, base, 4), 0);
	os_dns_close(d);
	assert_int_not_equal(access(p.path, F_OK), 0);
	assert_int_not_equal(access(p.backup, F_OK), 0);
	place_end(&p);
}

/* systemd-resolved and NetworkManager: a link, whose target may change while we run. */
static void test_link(void **state)
{
	struct place p = place_make();
	char target[96], at[96];
	struct endpoint base[4];
	(void)state;
	snprintf(target, sizeof(target), "%s/stub.conf", p.dir);
	put(target, OWN);
	assert_int_equal(symlink("stub.conf", p.path), 0);
	struct os_dns *d = open_it(&p);
	set(d);
	expect(p.path, OURS, false);
	expect(target, OWN, true);
	assert_false(os_dns_base_changed(d));
	put(target, "nameserver 192.0.2.9\n");
	assert_true(os_dns_base_changed(d));
	assert_int_equal(os_dns_base(d, base, 4), 1);
	os_dns_close(d);
	ssize_t n = readlink(p.path, at, sizeof(at) - 1);
	assert_int_equal(n, strlen("stub.conf"));
	expect(target, "nameserver 192.0.2.9\n", true);
	place_end(&p);
}

static void test_crash(void **state)
{
	struct place p = place_make();
	(void)state;
	put(p.path, OWN);
	struct os_dns *d = open_it(&p);
	set(d);
	/* The next process finds it so. */
	struct endpoint base[4];
	struct os_dns *next = open_it(&p);
	assert_int_equal(os_dns_base(next, base, 4), 2);
	expect(p.path, OURS, false);
	os_dns_recover(next);
	expect(p.path, OWN, true);
	assert_int_not_equal(access(p.backup, F_OK), 0);
	set(next);
	os_dns_close(next);
	expect(p.path, OWN, true);
	os_dns_close(d);
	expect(p.path, OWN, true);
	place_end(&p);
}

/* Not put back first: a node's text is not taken for the machine's own. */
static void test_no_recovery(void **state)
{
	struct place p = place_make();
	(void)state;
	put(p.path, OWN);
	struct os_dns *dead = open_it(&p);
	set(dead);
	struct os_dns *d = open_it(&p);
	set(d);
	expect(p.backup, OWN, true);
	os_dns_close(d);
	expect(p.path, OWN, true);
	os_dns_close(dead);
	expect(p.path, OWN, true);
	place_end(&p);
}

static void test_rewritten(void **state)
{
	struct place p = place_make();
	char other[96];
	struct endpoint base[4];
	(void)state;
	put(p.path, OWN);
	struct os_dns *d = open_it(&p);
	set(d);
	snprintf(other, sizeof(other), "%s/dhcp.new", p.dir);
	put(other, "nameserver 192.0.2.77\n");
	assert_int_equal(rename(other, p.path), 0);
	while (!p.changes)
		loop_run_once(p.loop);
	expect(p.path, OURS, false);
	assert_int_equal(os_dns_base(d, base, 4), 1);
	os_dns_close(d);
	expect(p.path, "nameserver 192.0.2.77\n", true);
	place_end(&p);
}

/* Removed, as some programs do before they write anew: ours again, and the machine's own is not forgotten. */
static void test_removed(void **state)
{
	struct place p = place_make();
	struct endpoint base[4];
	(void)state;
	put(p.path, OWN);
	struct os_dns *d = open_it(&p);
	set(d);
	assert_int_equal(unlink(p.path), 0);
	while (!p.changes)
		loop_run_once(p.loop);
	expect(p.path, OURS, false);
	assert_int_equal(os_dns_base(d, base, 4), 2);
	os_dns_close(d);
	expect(p.path, OWN, true);
	place_end(&p);
}

/* Emptied, and left so: that is no word of the machine, and nothing to leave behind. */
static void test_emptied(void **state)
{
	struct place p = place_make();
	(void)state;
	put(p.path, OWN);
	struct os_dns *d = open_it(&p);
	set(d);
	put(p.path, "");
	while (!p.changes)
		loop_run_once(p.loop);
	expect(p.path, OURS, false);
	os_dns_close(d);
	expect(p.path, OWN, true);
	place_end(&p);
}

/* Touched, or looked at, while the machine has no descriptor left: what is kept of its own file stays, and what it said. */
static void test_no_descriptors(void **state)
{
	struct place p = place_make();
	struct rlimit all, none;
	struct endpoint base[4];
	(void)state;
	put(p.path, OWN);
	struct os_dns *d = open_it(&p);
	set(d);
	char *ours = NULL;
	size_t len = 0;
	FILE *f = fopen(p.path, "r+");
	assert_non_null(f);
	assert_true(getdelim(&ours, &len, 0, f) > 0);
	rewind(f);
	assert_true(fputs(ours, f) >= 0 && fclose(f) == 0); /* news that is none */
	free(ours);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit) { .rlim_cur = 0, .rlim_max = all.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	struct loop_timer *t = loop_timer_new(p.loop, changed, &p);
	loop_timer_set(t, 1);
	while (!p.changes)
		loop_run_once(p.loop);
	bool others = os_dns_base_changed(d);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_false(others);
	assert_int_equal(os_dns_base(d, base, 4), 2);
	expect(p.path, OURS, false);
	expect(p.backup, OWN, true);
	loop_timer_free(t);
	os_dns_close(d);
	expect(p.path, OWN, true);
	place_end(&p);
}

/* Two programs that both insist: ours gives way, says so, and keeps what the other wrote for the end. */
static void test_fight(void **state)
{
	struct place p = place_make();
	struct errbuf eb = { 0 };
	(void)state;
	put(p.path, OWN);
	struct os_dns *d = open_it(&p);
	set(d);
	while (os_dns_set(d, &config, &eb) == 0) {
		int seen = p.changes;
		assert_true(seen < 10);
		put(p.path, "nameserver 192.0.2.66\n");
		while (p.changes == seen)
			loop_run_once(p.loop);
	}
	assert_non_null(strstr(eb.text, "another program rewrites"));
	expect(p.path, "nameserver 192.0.2.66\n", true);
	os_dns_close(d);
	expect(p.path, "nameserver 192.0.2.66\n", true);
	assert_int_not_equal(access(p.backup, F_OK), 0);
	place_end(&p);
}

/* A container's resolv.conf is a mount: nothing can be renamed over it. */
static void test_mount(void **state)
{
	struct place p = place_make();
	char real[96];
	(void)state;
	snprintf(real, sizeof(real), "%s/real", p.dir);
	put(real, OWN);
	put(p.path, "");
	if (!own_ns(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount(real, p.path, NULL, MS_BIND, NULL) != 0) {
		place_end(&p);
		print_message("skipped: this kernel gives no mount namespace\n");
		skip();
	}
	struct os_dns *d = open_it(&p);
	set(d);
	expect(real, OURS, false);
	/* From outside: the folder we see does not change. */
	put(real, "nameserver 192.0.2.5\n");
	while (!p.changes)
		loop_run_once(p.loop);
	expect(real, OURS, false);
	os_dns_close(d);
	expect(real, "nameserver 192.0.2.5\n", true);
	assert_int_equal(umount(p.path), 0);
	place_end(&p);
}

static void test_no_folder(void **state)
{
	struct place p = place_make();
	struct errbuf eb = { 0 };
	(void)state;
	strcat(p.dir, "/none");
	snprintf(p.path, sizeof(p.path), "%s/resolv.conf", p.dir);
	struct os_dns *d = open_it(&p);
	assert_true(os_dns_set(d, &config, &eb) < 0);
	assert_non_null(strstr(eb.text, "resolv.conf"));
	assert_false(os_dns_active(d));
	os_dns_close(d);
	*strrchr(p.dir, '/') = 0;
	place_end(&p);
}

/* The machine's own search domains and options stay, after the mesh's, each once. */
static void test_own_lines_stay(void **state)
{
	struct place p = place_make();
	(void)state;
	put(p.path, "domain old\nsearch Corp.Test lan. x/y\noptions ndots:2 rotate\n"
		    "options timeout:1 $(rm)\nnameserver 192.0.2.1\n");
	struct os_dns *d = open_it(&p);
	set(d);
	expect(p.path, OURS " lan\noptions ndots:2 rotate timeout:1\n", false);
	/* another program changes them: ours follows */
	put(p.path, "search other\nnameserver 192.0.2.1\n");
	while (!p.changes)
		loop_run_once(p.loop);
	set(d);
	expect(p.path, OURS " other\n", false);
	os_dns_close(d);
	place_end(&p);
}

/* systemd-resolved as it ships: the stub would ask us, so those behind it are asked. */
static void test_stub(void **state)
{
	static const struct {
		const char *own, *behind, *first;
		size_t n;
	} rows[] = {
		{ "nameserver 127.0.0.53\n", "nameserver 192.0.2.1\nnameserver fe80::1%lo\n", "192.0.2.1:53",
			2 },
		{ "nameserver 127.0.0.54\n", "nameserver 100.100.100.100\nnameserver 192.0.2.9\n",
			"192.0.2.9:53", 1 },
		{ "nameserver 127.0.0.53\n", "# none\n", "127.0.0.53:53", 1 },
		{ "nameserver 127.0.0.53\n", NULL, "127.0.0.53:53", 1 },
		{ "nameserver 127.0.0.53\nnameserver 192.0.2.7\n", "nameserver 192.0.2.1\n", "127.0.0.53:53",
			2 },
		{ "nameserver 127.0.0.1\n", "nameserver 192.0.2.1\n", "127.0.0.1:53", 1 },
	};
	struct place p = place_make();
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint base[4];
		char text[ENDPOINT_TEXT];
		put(p.path, rows[i].own);
		unlink(p.uplinks);
		if (rows[i].behind)
			put(p.uplinks, rows[i].behind);
		struct os_dns *d = open_it(&p);
		set(d);
		if (os_dns_base(d, base, 4) != rows[i].n ||
			strcmp(endpoint_format(&base[0], text), rows[i].first) != 0)
			fail_msg("row %zu", i);
		put(p.uplinks, "nameserver 192.0.2.200\n"); /* a new link */
		assert_int_equal(os_dns_base_changed(d), i < 4);
		os_dns_close(d);
	}
	place_end(&p);
}

/* The backup was removed meanwhile: what the node remembers goes back, whatever happened in between. */
static void test_no_backup(void **state)
{
	struct place p = place_make();
	struct endpoint base[4];
	(void)state;
	for (int look = 0; look < 3; look++) {
		put(p.path, OWN);
		struct os_dns *d = open_it(&p);
		set(d);
		assert_int_equal(unlink(p.backup), 0);
		if (look == 1)
			assert_false(os_dns_base_changed(d));
		if (look == 2) {
			int seen = p.changes;
			unlink(p.path);
			while (p.changes == seen)
				loop_run_once(p.loop);
		}
		assert_int_equal(os_dns_base(d, base, 4), 2);
		os_dns_close(d);
		expect(p.path, OWN, true);
	}
	place_end(&p);
}

/* Our link: what another program writes through it is its word, whatever became of the backup; what our link led to was
 * removed: nobody's word. */
static void test_our_link(void **state)
{
	static const char other[] = "nameserver 192.0.2.77\n";
	struct place p = place_make();
	char beside[128];
	struct errbuf eb = { 0 };
	(void)state;
	snprintf(beside, sizeof(beside), "%s.ropewalk", p.path);
	for (int i = 0; i < 3; i++) {
		put(p.path, OWN);
		struct os_dns_file *d = os_dns_file_open(p.loop, p.path, p.uplinks, changed, &p);
		assert_non_null(d);
		os_dns_file_way(d, true, "");
		if (os_dns_file_set(d, &config.nameserver, search, ARRAY_LEN(search), &eb) != 0)
			fail_msg("%s", eb.text);
		expect(p.path, OURS, false);
		int seen = p.changes;
		if (i == 1)
			assert_int_equal(unlink(p.backup), 0);
		if (i < 2)
			put(p.path, other);
		else
			assert_int_equal(unlink(beside), 0);
		while (p.changes == seen)
			loop_run_once(p.loop);
		expect(p.path, OURS, false);
		os_dns_file_close(d);
		expect(p.path, i < 2 ? other : OWN, true);
		assert_int_not_equal(access(beside, F_OK), 0);
	}
	place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_no_recovery),
		cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_emptied),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_fight),
		cmocka_unit_test(test_mount),
		cmocka_unit_test(test_no_folder),
		cmocka_unit_test(test_own_lines_stay),
		cmocka_unit_test(test_stub),
		cmocka_unit_test(test_no_backup),
		cmocka_unit_test(test_our_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
