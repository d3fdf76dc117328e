/* The owner openresolv with a stand-in for resolvconf(8), so that what happens to resolv.conf meanwhile is the test's. */
#include "mesh/base/key.h"
#include "mesh/node/host/os_dns_openresolv.h"
#include "mesh/os/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { LIMIT_MS = 60000, LOOKED_MS = 50 };
#define OTHERS "nameserver 192.0.2.66\n"

/* Writes what it is told to resolv.conf, in one step. */
static const char script[] =
	"#!/bin/sh\ncd %s || exit 1\n"
	"case \"$*\" in *-a*) cat >told ;; *-d*) echo nameserver 192.0.2.53 >told ;; esac\n"
	"cp told next && mv next resolv.conf && echo \"$*\" >>runs\n";

struct place {
	char dir[64], path[96], folder[96];
	struct loop *loop;
	struct os_dns_openresolv *d;
	int changes;
	bool over;
};

static void changed(void *arg)
{
	((struct place *)arg)->changes++;
}

static void over(void *arg)
{
	((struct place *)arg)->over = true;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static bool has(const struct place *p, const char *file, const char *text)
{
	char path[128];
	struct buf b = { 0 };
	snprintf(path, sizeof(path), "%s/%s", p->dir, file);
	bool yes = file_read(path, 65536, &b, NULL) == 0 && b.len && strstr(buf_cstr(&b), text);
	buf_free(&b);
	return yes;
}

static void until_has(struct place *p, const char *file, const char *text)
{
	uint64_t began_ms = clock_now_ms();
	struct loop_timer *t = loop_timer_new(p->loop, over, p);
	while (!has(p, file, text)) {
		assert_true(clock_now_ms() - began_ms < LIMIT_MS);
		loop_timer_set(t, 1);
		loop_run_once(p->loop);
	}
	loop_timer_free(t);
}

/* What has happened by now is seen. */
static void let_look(struct place *p)
{
	struct loop_timer *t = loop_timer_new(p->loop, over, p);
	p->over = false;
	loop_timer_set(t, LOOKED_MS);
	while (!p->over)
		loop_run_once(p->loop);
	loop_timer_free(t);
}

static void tell(struct place *p)
{
	const struct os_dns_config c = { .nameserver = addr_service_v4, .dev = "rope0", .all = true };
	struct errbuf eb = { 0 };
	assert_int_equal(os_dns_openresolv_set(p->d, &c, &eb), 0);
}

static int setup(void **state)
{
	static struct place p;
	char text[512], path[128], search[160];
	p = (struct place) { .loop = loop_new() };
	strcpy(p.dir, "/tmp/rw-openresolv-XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/resolv.conf", p.dir);
	snprintf(p.folder, sizeof(p.folder), "%s/interfaces", p.dir);
	assert_int_equal(mkdir(p.folder, 0755), 0);
	snprintf(text, sizeof(text), script, p.dir);
	snprintf(path, sizeof(path), "%s/resolvconf", p.dir);
	put(path, text);
	assert_int_equal(chmod(path, 0755), 0);
	snprintf(search, sizeof(search), "%s:/usr/bin:/bin", p.dir);
	assert_int_equal(setenv("PATH", search, 1), 0);
	const struct dns_places places = {
		.resolv_conf = p.path, .openresolv = p.folder, .ask_again_ms = LIMIT_MS
	};
	p.d = os_dns_openresolv_open(p.loop, &places, changed, &p);
	assert_non_null(p.d);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	os_dns_openresolv_close(p->d);
	assert_true(has(p, "resolv.conf", "nameserver 192.0.2.53"));
	loop_free(p->loop);
	return dir_remove(p->dir, NULL);
}

/* While the machine has no descriptor left nobody knows whom resolv.conf names: openresolv is not given up for it, and it is
 * looked at when it can be read again. */
static void test_no_descriptors(void **state)
{
	struct place *p = *state;
	struct rlimit all, none;
	tell(p);
	until_has(p, "resolv.conf", "100.100.100.100");
	let_look(p);
	put(p->path, OTHERS);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit) { .rlim_cur = 0, .rlim_max = all.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	let_look(p);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_string_equal(os_dns_openresolv_refused(p->d), "");
	assert_true(os_dns_openresolv_active(p->d));
	assert_int_equal(p->changes, 0);
	until_has(p, "resolv.conf", "100.100.100.100");
	until_has(p, "runs", "-u");
}

/* One that can be read names others: it is told again, three times, and then is not the one to be told. */
static void test_others(void **state)
{
	struct place *p = *state;
	tell(p);
	until_has(p, "resolv.conf", "100.100.100.100");
	while (!p->changes) {
		put(p->path, OTHERS);
		let_look(p);
	}
	assert_non_null(strstr(os_dns_openresolv_refused(p->d), "names others all the same"));
	assert_false(os_dns_openresolv_active(p->d));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { CASE(test_no_descriptors), CASE(test_others) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
