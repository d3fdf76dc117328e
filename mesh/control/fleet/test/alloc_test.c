#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/alloc.h"
#include <errno.h>
#include <string.h>

struct used {
	const char *v[8];
};

static bool is_used(void *arg, const struct addr *a)
{
	const struct used *u = arg;
	char text[ADDR_TEXT];
	addr_format(a, text);
	for (size_t i = 0; i < ARRAY_LEN(u->v) && u->v[i]; i++)
		if (!strcmp(text, u->v[i]))
			return true;
	return false;
}

static void test_picks(void **state)
{
	static const struct row {
		const char *v4, *v6;
		uint64_t start;
		struct used used;
		const char *want4, *want6; /* NULL: none left */
	} rows[] = {
		{ "100.64.0.0/10", "fd7a:115c:a1e0::/48", 1, { { 0 } }, "100.64.0.1", "fd7a:115c:a1e0::1" },
		{ "100.64.0.0/10", "fd7a:115c:a1e0::/48", 0, { { 0 } }, "100.64.0.1", "fd7a:115c:a1e0::1" },
		{ "100.64.0.0/10", "fd7a:115c:a1e0::/48", 1, { { "100.64.0.1" } }, "100.64.0.2",
			"fd7a:115c:a1e0::2" },
		{ "100.64.0.0/10", "fd7a:115c:a1e0::/48", 1, { { "fd7a:115c:a1e0::1" } }, "100.64.0.2",
			"fd7a:115c:a1e0::2" },
		/* what is used inside ChromeOS, as a whole */
		{ "100.115.0.0/16", "fd7a:115c:a1e0::/48", 0x5c00, { { 0 } }, "100.115.94.0",
			"fd7a:115c:a1e0::5e00" },
		{ "100.100.100.0/24", NULL, 100, { { 0 } }, "100.100.100.101", NULL },
		{ NULL, "fd7a:115c:a1e0::/48", 0x53, { { 0 } }, NULL, "fd7a:115c:a1e0::54" },
		/* neither network nor broadcast address; wraps */
		{ "100.64.7.0/30", NULL, 3, { { 0 } }, "100.64.7.1", NULL },
		{ "100.64.7.0/30", NULL, 3, { { "100.64.7.1" } }, "100.64.7.2", NULL },
		{ "100.64.7.0/30", NULL, 1, { { "100.64.7.1", "100.64.7.2" } }, NULL, NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct alloc_pool pool = { 0 };
		struct alloc_pair out;
		struct errbuf eb;
		char text[ADDR_TEXT];
		pool.has_v4 = r->v4 && prefix_parse(r->v4, &pool.v4);
		pool.has_v6 = r->v6 && prefix_parse(r->v6, &pool.v6);
		int err = alloc_pick(&pool, r->start, is_used, (void *)&r->used, &out, &eb);
		if (!r->want4 && !r->want6) {
			if (err != -EADDRNOTAVAIL)
				fail_msg("row %zu", i);
			continue;
		}
		if (err || (r->want4 && strcmp(addr_format(&out.v4, text), r->want4) != 0) ||
			(r->want6 && strcmp(addr_format(&out.v6, text), r->want6) != 0))
			fail_msg("row %zu: %s", i, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_picks) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
