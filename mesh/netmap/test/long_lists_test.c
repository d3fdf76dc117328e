/* A stranger's list may be long: what is done for one of its items does not grow with it. Counted in steps. */
#include "mesh/base/buf.h"
#include "mesh/netmap/test/told_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define KEY "nodekey:000000000000000000000000000000000000000000000000000000000000000"
#define SELF "\"Node\":{\"ID\":1,\"Name\":\"self\",\"Key\":\"" KEY "1\",\"Addresses\":[\"100.64.0.1/32\"]}"

enum { ADDRESSES = 4000, STEPS_EACH = 8 };

static size_t compared;
bool __wrap_prefix_equal(const struct prefix *a, const struct prefix *b);
bool __real_prefix_equal(const struct prefix *a, const struct prefix *b);

bool __wrap_prefix_equal(const struct prefix *a, const struct prefix *b)
{
	compared++;
	return __real_prefix_equal(a, b);
}

static void put_addresses(struct buf *to, const char *member, size_t n, bool backwards)
{
	assert_true(buf_printf(to, ",\"%s\":[", member));
	for (size_t i = 0; i < n; i++) {
		size_t k = backwards ? n - i : i + 1;
		assert_true(buf_printf(to, "%s\"100.70.%zu.%zu/32\"", i ? "," : "", k / 250, k % 250 + 1));
	}
	assert_true(buf_printf(to, "]"));
}

/* What a peer may send from is its own addresses, whatever their order. */
static void test_own_addresses(void **state)
{
	(void)state;
	struct buf text = { 0 };
	assert_true(
		buf_printf(&text, "{" SELF ",\"Peers\":[{\"ID\":2,\"Name\":\"two\",\"Key\":\"" KEY "2\""));
	put_addresses(&text, "Addresses", ADDRESSES, false);
	put_addresses(&text, "AllowedIPs", ADDRESSES + 1, true); /* one more than it has */
	assert_true(buf_printf(&text, "}]}"));
	compared = 0;
	struct netmap *m = told_map(NULL, buf_cstr(&text));
	assert_true(compared <= (size_t)STEPS_EACH * ADDRESSES);
	assert_int_equal(m->peers[0]->node.addresses.n, ADDRESSES);
	assert_int_equal(m->peers[0]->node.allowed_ips.n, ADDRESSES);
	assert_int_equal(m->n_problems, 1);
	netmap_put(m);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_own_addresses) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
