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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct loop *loop;
static struct zone *zone;
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

static struct local_names *open_both(void)
{
	char dir[64];
	snprintf(dir, sizeof(dir), "%s/hosts.d", folder);
	struct local_source sources[] = { { .path = dir },
		{ .path = leases, .leases = true, .domain = "lan" } };
	struct local_names *x = local_names_open(loop, zone, sources, ARRAY_LEN(sources), 5, NULL);
	assert_non_null(x);
	return x;
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
	local_names_close(local_names_open(loop, zone, NULL, 0, 0, NULL));
	struct local_names *x = local_names_open(loop, zone, &missing, 1, 5, NULL);
	assert_non_null(x);
	loop_run_once(loop);
	local_names_close(x);
	local_names_close(NULL);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_read), ONE(test_change), ONE(test_many),
		ONE(test_none) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
