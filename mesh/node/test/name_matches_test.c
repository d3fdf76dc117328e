#include "mesh/node/name_matches.h"
#include "mesh/base/arena.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct name_matches *fill(struct arena *a, const char *json)
{
	struct name_matches *m = calloc(1, sizeof(*m));
	struct ctl_dns *dns = arena_alloc(a, sizeof(*dns));
	struct errbuf eb = { 0 };
	assert_true(m && dns);
	if (ctl_dns_read(a, json, strlen(json), dns, &eb) != 0)
		fail_msg("%s", eb.text);
	name_matches_fill(m, dns);
	return m;
}

/* C32, C34 */
static void test_matches(void **state)
{
	static const struct {
		const char *json, *domains; /* each with a blank behind it */
	} rows[] = {
		{ "{}", "" },
		{ "{\"Domains\":[\"mesh.test\",\"lan.example\"]}", "mesh.test lan.example " },
		{ "{\"Domains\":[\"mesh.test\"],\"Routes\":{\"corp.example\":[{\"Addr\":\"10.0.0.1\"}]}}",
			"mesh.test corp.example " },
		/* the parent's route comes beside our own domain, and does not take its place */
		{ "{\"Domains\":[\"mesh.test\"],\"Routes\":{\"test\":[{\"Addr\":\"10.0.0.1\"}]}}",
			"mesh.test test " },
		{ "{\"Domains\":[\"mesh.test\"],\"Routes\":{\"a.MESH.test.\":[{\"Addr\":\"10.0.0.1\"}]}}",
			"mesh.test " },
		/* records of ours and elsewhere, aliases, wildcards */
		{ "{\"Domains\":[\"mesh.test\"],\"ExtraRecords\":[{\"Name\":\"nas.mesh.test\",\"Value\":\"1."
		  "2.3.4\"},"
		  "{\"Name\":\"www.example\",\"Type\":\"CNAME\",\"Value\":\"nas.mesh.test.\"},"
		  "{\"Name\":\"*.dev.example\",\"Value\":\"1.2.3.4\"},{\"Name\":\"x.dev.example\",\"Value\":"
		  "\"1.2.3.4\"}]}",
			"mesh.test www.example dev.example " },
		/* what is no name, and the root, which is no matter of some names */
		{ "{\"Domains\":[\"a..b\",\"mesh.test\"],\"Routes\":{\".\":[{\"Addr\":\"10.0.0.1\"}]}}",
			"mesh.test " },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct name_matches *m = fill(&a, rows[i].json);
		char got[256] = "";
		for (size_t k = 0; k < m->n; k++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", m->v[k]);
		if (strcmp(got, rows[i].domains) != 0 || m->too_many)
			fail_msg("row %zu: %s", i, got);
		free(m);
		arena_free(&a);
	}
}

static void test_reverse(void **state)
{
	struct arena a = { 0 };
	(void)state;
	struct name_matches *m = fill(&a, "{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}");
	assert_int_equal(m->n, 3);
	assert_string_equal(m->v[1], "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa");
	assert_string_equal(m->v[2], "100.in-addr.arpa");
	free(m);
	arena_free(&a);
}

/* More than an owner takes: everything is asked of us, and nothing is forgotten. */
static void test_many(void **state)
{
	struct arena a = { 0 };
	char *json = calloc(1, 64 * 1024);
	(void)state;
	assert_non_null(json);
	for (int n = NAME_MATCHES_MAX; n <= NAME_MATCHES_MAX + 1; n++) {
		char *p = json + sprintf(json, "{\"Domains\":[");
		for (int i = 0; i < n; i++)
			p += sprintf(p, "%s\"d%d.test\"", i ? "," : "", i);
		strcpy(p, "]}");
		struct name_matches *m = fill(&a, json);
		assert_int_equal(m->n, NAME_MATCHES_MAX);
		assert_int_equal(m->too_many, n > NAME_MATCHES_MAX);
		free(m);
	}
	free(json);
	arena_free(&a);
}

/* One that is no name takes nothing from the others. */
static void test_search(void **state)
{
	const char *v[] = { "mesh.test", ".", "", "two..dots", "Lan.example.", "last.example",
		"more.example" };
	struct ctl_dns dns = { .domains = { v, ARRAY_LEN(v) } };
	const char *out[3];
	(void)state;
	assert_int_equal(name_matches_search(&dns, out, ARRAY_LEN(out)), 3);
	assert_string_equal(out[0], "mesh.test");
	assert_string_equal(out[1], "Lan.example.");
	assert_string_equal(out[2], "last.example");
	dns.domains.n = 4;
	assert_int_equal(name_matches_search(&dns, out, ARRAY_LEN(out)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_matches), cmocka_unit_test(test_reverse),
		cmocka_unit_test(test_many), cmocka_unit_test(test_search) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
