#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/ip.h"
#include "mesh/base/err.h"
#include "simnet/scenario/nptv6.h"

static struct addr addr(const char *text)
{
	struct addr a;
	if (!addr_parse(text, &a))
		fail_msg("%s is no address", text);
	return a;
}

/* The first is RFC 6296's own, 2.2; every sum stays, and every address comes back. */
static void test_rows(void **state)
{
	static const struct {
		const char *inside_net, *outside_net, *inside, *outside;
	} rows[] = {
		{ "fd01:203:405::", "2001:db8:1::", "fd01:203:405:1::1234", "2001:db8:1:d550::1234" },
		{ "fd00:51::", "2a0e:5101:1::", "fd00:51::1", "2a0e:5101:1:8241::1" },
		{ "fd00:51::", "fd00:51:1::", "fd00:51:0:1::a", "fd00:51:1::a" },
		{ "fd00:51:1::", "fd00:51::", "fd00:51:1:fffe::a", "fd00:51::a" },
	};
	char text[ADDR_TEXT];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct nptv6 n = { addr(rows[i].inside_net), addr(rows[i].outside_net) };
		const struct addr in = addr(rows[i].inside), out = nptv6_out(&n, &in),
				  back = nptv6_in(&n, &out), want = addr(rows[i].outside);
		if (!addr_equal(&out, &want) || !addr_equal(&back, &in))
			fail_msg("row %zu: %s", i, addr_format(&out, text));
		assert_int_equal(ip_checksum(&in, sizeof(in), 0), ip_checksum(&out, sizeof(out), 0));
		assert_true(nptv6_is_inside(&n, &in) && nptv6_is_outside(&n, &out));
		assert_false(nptv6_is_inside(&n, &out) || nptv6_is_outside(&n, &in));
	}
	const struct nptv6 none = { addr_any6, addr_any6 };
	assert_false(nptv6_is_there(&none) || nptv6_is_inside(&none, &addr_any6));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
