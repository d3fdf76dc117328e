/* Names out of files into a zone that serves: at the start, and as the files change. */
#include "resolver/local_names.h"

#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "resolver/zone.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVERY_MS = 5, LIMIT_MS = 30000 };

static struct loop *loop;
static struct zone *zone; /* that serves, a reference */
static unsigned changes;
static struct local_names *ends; /* with the next change; NULL: none */
static char folder[] = "/tmp/local_names_test.XXXXXX", hosts[64], leases[64];

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(path, 0644, text, strlen(text), NULL), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(hosts, sizeof(hosts), "%s/hosts.d", folder);
	assert_int_equal(dir_make(hosts, 0755, NULL), 0);
	snprintf(hosts, sizeof(hosts), "%s/hosts.d/one", folder);
	snprintf(leases, sizeof(leases), "%s/leases", folder);
	loop = loop_new();
	zone = zone_new();
	changes = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	zone_put(zone);
	loop_free(loop);
	return dir_remove(folder, NULL);
}

static bool has(const char *name, uint16_t type)
{
	struct dns_name n;
	struct zone_hit hit;
	uint32_t count;
	assert_true(dns_name_parse(name, &n));
	zone_find(zone, &n, &hit);
	return hit.verdict == ZONE_NAME && zone_set(&hit, type, &count) && count;
}

static void changed(void *arg, struct zone *z)
{
	(void)arg;
	zone_put(zone);
	zone = zone_get(z);
	changes++;
	local_names_close(ends);
	ends = NULL;
}

static struct local_names *open_these(const struct local_source *sources, size_t n)
{
	const struct local_watch watch = { .every_ms = EVERY_MS, .changed = changed };
	struct local_names *x = local_names_read(zone, sources, n, NULL);
	assert_true(x && local_names_watch(x, loop, &watch));
	return x;
}

static struct local_names *open_both(void)
{
	char dir[64];
	snprintf(dir, sizeof(dir), "%s/hosts.d", folder);
	struct local_source sources[] = { { .path = dir },
		{ .path = leases, .leases = true, .domain = "lan" } };
	return open_these(sources, ARRAY_LEN(sources));
}

static void test_read(void **state)
{
	struct dns_name alias;
	(void)state;
	put(hosts, "192.168.1.5 nas.home nas\n192.168.1.6 taken.home\n");
	put(leases, "0 aa 192.168.1.7 phone *\n0 aa 192.168.1.8 tab.other *\n");
	assert_true(dns_name_parse("taken.home", &alias));
	assert_int_equal(zone_add_record(zone, &alias, DNS_CNAME, (const uint8_t *)"\1x", 3), 0);
	struct local_names *x = open_both();
	assert_true(has("nas.home", DNS_A) && has("nas", DNS_A) && has("5.1.168.192.in-addr.arpa", DNS_PTR));
	assert_true(
		has("phone.lan", DNS_A) && has("phone", DNS_A) && has("7.1.168.192.in-addr.arpa", DNS_PTR));
	assert_true(has("tab.other", DNS_A) && !has("tab.other.lan", DNS_A));
	assert_true(has("taken.home", DNS_CNAME) && !has("taken.home", DNS_A));
	local_names_close(x);
}

/* A name that stays is there at every moment; what is new comes and what is old goes, with its PTR. */
static void test_change(void **state)
{
	char text[128], next[32];
	(void)state;
	put(hosts, "192.168.1.5 stays.home\n192.168.1.10 n0.home\n");
	put(leases, "");
	struct local_names *x = open_both();
	for (unsigned i = 1; i <= 3; i++) {
		snprintf(next, sizeof(next), "n%u.home", i);
		snprintf(text, sizeof(text), "192.168.1.5 stays.home\n192.168.1.%u n%u.home\n", 10 + i, i);
		put(hosts, text);
		for (uint64_t began_ms = clock_now_ms();
			!has(next, DNS_A) && clock_now_ms() - began_ms < 30000;) {
			loop_run_once(loop);
			assert_true(has("stays.home", DNS_A));
		}
		assert_true(has(next, DNS_A));
		assert_false(has("n0.home", DNS_A) || has("10.1.168.192.in-addr.arpa", DNS_PTR));
	}
	unlink(hosts);
	for (uint64_t began_ms = clock_now_ms();
		has("stays.home", DNS_A) && clock_now_ms() - began_ms < 30000;)
		loop_run_once(loop);
	assert_false(has("stays.home", DNS_A));
	local_names_close(x);
}

static void line_keep(void *arg, enum log_level level, const char *text)
{
	if (level == LOG_WARN)
		snprintf(arg, 256, "%s", text);
}

/* A folder has 256 files at most; how many more there are is said, also of one that comes later. */
static void test_many(void **state)
{
	enum { MOST = 256 };
	char path[96], text[64], said[256] = "";
	(void)state;
	for (int i = 0; i < MOST; i++) {
		snprintf(path, sizeof(path), "%.*s/f%03d", (int)strlen(hosts) - 4, hosts, i);
		snprintf(text, sizeof(text), "10.0.0.%d n%d.home\n", i, i);
		put(path, text);
	}
	snprintf(path, sizeof(path), "%.*s/.hidden", (int)strlen(hosts) - 4, hosts);
	put(path, "10.1.0.1 hidden.home\n");
	put(leases, "");
	log_tell(line_keep, said);
	struct local_names *x = open_both();
	assert_true(has("n0.home", DNS_A) && has("n255.home", DNS_A) && !has("hidden.home", DNS_A));
	assert_string_equal(said, "");
	put(hosts, "10.1.0.1 one.home\n"); /* "one": behind all of them */
	for (uint64_t began_ms = clock_now_ms(); !*said && clock_now_ms() - began_ms < 30000;)
		loop_run_once(loop);
	assert_non_null(strstr(said, "of the 257 files in "));
	assert_non_null(strstr(said, "only the first 256 are read"));
	assert_true(has("n255.home", DNS_A) && !has("one.home", DNS_A));
	log_tell(NULL, NULL);
	local_names_close(x);
}

static void test_none(void **state)
{
	struct local_source missing = { .path = "/nowhere/at/all" };
	(void)state;
	local_names_close(open_these(NULL, 0));
	local_names_close(local_names_read(zone, &missing, 1, NULL)); /* never watched */
	struct local_names *x = open_these(&missing, 1);
	loop_run_once(loop);
	local_names_close(x);
	local_names_close(NULL);
}

/* ---- on a thread ---- */

/* Text with n names of a generation, of which one is there in each. */
static char *many(char *out, unsigned n, unsigned generation)
{
	size_t at = (size_t)sprintf(out, "0 aa 10.0.0.1 stays.home *\n");
	for (unsigned i = 0; i < n; i++)
		at += (size_t)sprintf(out + at, "0 aa 10.%u.%u.%u n%u-%u.home *\n", generation, i >> 8,
			i & 255, generation, i);
	return out;
}

/* The thread is at the leases, and stays there until the file that this returns has got them. */
static int hold_thread(void)
{
	char pipe[80];
	int fd;
	snprintf(pipe, sizeof(pipe), "%s.pipe", leases);
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_int_equal(rename(pipe, leases), 0);
	for (uint64_t began_ms = clock_now_ms(); (fd = open(leases, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0 &&
						 errno == ENXIO && clock_now_ms() - began_ms < LIMIT_MS;)
		loop_run_once(loop);
	assert_true(fd >= 0);
	return fd;
}

static void let_go(int fd, const char *text)
{
	put(leases, text); /* for the looks after this one */
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void await(const char *name, bool there)
{
	for (uint64_t began_ms = clock_now_ms();
		has(name, DNS_A) != there && clock_now_ms() - began_ms < LIMIT_MS;)
		loop_run_once(loop);
	assert_true(has(name, DNS_A) == there);
}

/* While files are read the loop goes on with what was there; many names come with a zone of their own, that has all that
 * the one before had beside them. A few change in the same. */
static void test_thread(void **state)
{
	static char text[20000];
	struct dns_name alias;
	(void)state;
	assert_true(dns_name_parse("alias.home", &alias));
	assert_int_equal(zone_add_record(zone, &alias, DNS_CNAME, (const uint8_t *)"\1x", 3), 0);
	assert_int_equal(zone_add_authority(zone, "home"), 0);
	put(hosts, "192.168.1.5 nas.home\n");
	put(leases, many(text, 300, 1));
	struct local_names *x = open_both();
	int fd = hold_thread();
	for (int i = 0; i < 20; i++) {
		loop_run_once(loop);
		assert_true(has("n1-0.home", DNS_A) && has("n1-299.home", DNS_A));
	}
	assert_int_equal(changes, 0);
	let_go(fd, many(text, 300, 2));
	await("n2-299.home", true);
	assert_int_equal(changes, 1);
	assert_true(has("n2-0.home", DNS_A) && has("stays.home", DNS_A) && has("nas.home", DNS_A));
	assert_true(has("alias.home", DNS_CNAME) && has("1.0.0.10.in-addr.arpa", DNS_PTR));
	assert_false(has("n1-0.home", DNS_A) || has("n1-299.home", DNS_A));
	fd = hold_thread();
	let_go(fd, strcat(many(text, 300, 2), "0 aa 10.9.9.9 one.home *\n"));
	await("one.home", true);
	put(leases, many(text, 300, 2));
	await("one.home", false);
	*strchr(many(text, 300, 2), 'y') = 'b'; /* the first of them, which ends as it did */
	put(leases, text);
	await("stabs.home", true);
	assert_true(!has("stays.home", DNS_A) && has("n2-0.home", DNS_A) && has("n2-299.home", DNS_A));
	assert_int_equal(changes, 1);
	local_names_close(x);
}

/* Closed while the thread is at it: nothing comes any more, and nothing is left. */
static void test_closed(void **state)
{
	static char text[20000];
	(void)state;
	put(hosts, "192.168.1.5 nas.home\n");
	put(leases, many(text, 300, 1));
	struct local_names *x = open_both();
	int fd = hold_thread();
	local_names_close(x);
	let_go(fd, many(text, 300, 2));
	loop_free(loop);
	loop = loop_new();
	assert_int_equal(changes, 0);
	assert_true(has("n1-0.home", DNS_A));
}

/* Closed by who is told of a new zone. */
static void test_closed_when_told(void **state)
{
	static char text[20000];
	(void)state;
	put(hosts, "");
	put(leases, many(text, 300, 1));
	ends = open_both();
	put(leases, many(text, 300, 2));
	await("n2-299.home", true);
	assert_int_equal(changes, 1);
	assert_null(ends);
}

/* Whatever changes in a file, at its beginning, in its midst or at its end, once or twice: the zone says what stands there,
 * be it changed or made anew. */
static void test_edits(void **state)
{
	static const char *const turns[] = { "abc", "bc", "abc", "axc", "", "aab", "ab", "ba", "cba", "caba",
		"x", "xx", "abcx", "bx", "axbx", "b" };
	static char text[20000];
	char name[16];
	(void)state;
	put(hosts, "");
	put(leases, "");
	struct local_names *x = open_both();
	for (int big = 0; big < 2; big++)
		for (unsigned i = 0; i < ARRAY_LEN(turns); i++) {
			text[0] = 0;
			for (const char *t = turns[i]; *t; t++)
				sprintf(text + strlen(text), "0 aa 10.1.1.%d %c.home *\n", *t, *t);
			(void)many(text + strlen(text), big ? 100 : 1, i);
			put(leases, text);
			snprintf(name, sizeof(name), "n%u-0.home", i);
			await(name, true);
			for (const char *t = "abcx"; *t; t++) {
				snprintf(name, sizeof(name), "%c.home", *t);
				assert_true(has(name, DNS_A) == !!strchr(turns[i], *t));
			}
			assert_true(!i || !has("n0-0.home", DNS_A));
		}
	assert_in_range(changes, ARRAY_LEN(turns) - 1, ARRAY_LEN(turns));
	local_names_close(x);
}

/* The bytes of one name end those of the next: it goes all the same. */
static void test_alike(void **state)
{
	(void)state;
	put(hosts, "10.0.0.1 x.home\n");
	put(leases, "");
	struct local_names *x = open_both();
	put(hosts, "fd00::3:a00:1 x.home\n10.0.0.2 y.home\n");
	await("y.home", true);
	put(hosts, "10.0.0.1 x.home\n");
	await("y.home", false);
	assert_true(has("x.home", DNS_A) && !has("x.home", DNS_AAAA));
	put(hosts, "fd00::3:a00:1 x.home\n");
	for (uint64_t began_ms = clock_now_ms();
		!has("x.home", DNS_AAAA) && clock_now_ms() - began_ms < LIMIT_MS;)
		loop_run_once(loop);
	assert_true(has("x.home", DNS_AAAA) && !has("x.home", DNS_A));
	local_names_close(x);
}

/* ---- memory is short for a moment ---- */

static atomic_int fails; /* so many more times nothing can be added after fails_after names */
static atomic_int fails_after;

int __real_zone_add_address(struct zone *z, const char *name, const struct addr *ip, bool with_ptr);
int __wrap_zone_add_address(struct zone *z, const char *name, const struct addr *ip, bool with_ptr);
int __wrap_zone_add_address(struct zone *z, const char *name, const struct addr *ip, bool with_ptr)
{
	if (!fails || fails_after-- > 0)
		return __real_zone_add_address(z, name, ip, with_ptr);
	fails--;
	return -ENOMEM;
}

static void be_short(int times, int after)
{
	fails_after = after;
	fails = times;
}

/* What came when there was no memory comes soon after, though the files are as they were; until then all is as before. */
static void test_short(void **state)
{
	static char text[200000];
	struct local_names *x;
	struct errbuf eb = { 0 };
	struct local_source source = { .path = hosts };
	(void)state;
	put(hosts, "10.0.0.1 one.home\n10.0.0.2 two.home\n");
	put(leases, "");
	be_short(1, 1);
	assert_null(local_names_read(zone, &source, 1, &eb));
	assert_int_equal(eb.code, -ENOMEM);
	assert_false(has("one.home", DNS_A));

	x = open_both();
	be_short(1, 1); /* a few, in the zone that serves */
	put(hosts, "10.0.0.1 three.home\n10.0.0.2 four.home\n");
	while (fails)
		loop_run_once(loop);
	assert_true(has("one.home", DNS_A) && has("two.home", DNS_A) && !has("three.home", DNS_A));
	await("four.home", true);
	assert_true(has("three.home", DNS_A) && !has("one.home", DNS_A) && !has("two.home", DNS_A));
	assert_int_equal(changes, 0);

	be_short(1, 150); /* many, in a copy */
	put(leases, many(text, 300, 1));
	await("n1-299.home", true);
	assert_int_equal(fails, 0);
	assert_true(has("n1-0.home", DNS_A) && has("four.home", DNS_A));
	assert_int_equal(changes, 1);
	local_names_close(x);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_read), ONE(test_change), ONE(test_many), ONE(test_none),
		ONE(test_thread), ONE(test_closed), ONE(test_closed_when_told), ONE(test_edits),
		ONE(test_alike), ONE(test_short) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
