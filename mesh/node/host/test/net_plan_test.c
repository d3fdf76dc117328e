/* Routes to networks behind peers, on machines that are in networks of their own: a table. */
#include "mesh/node/host/net_plan.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { NETS_MAX = 8 };

static size_t read_list(const char *text, struct prefix out[static NETS_MAX])
{
	char copy[256], *rest = copy, *word;
	size_t n = 0;
	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strsep(&rest, " ")))
		if (*word)
			assert_true(n < NETS_MAX && prefix_parse(word, &out[n++]));
	return n;
}

static void say_routes(const struct nl_route *v, size_t n, char *out, size_t cap)
{
	static const char *const kinds[] = {
		[NL_ROUTE_TO] = "", [NL_ROUTE_THROW] = "-", [NL_ROUTE_NOWHERE] = "!"
	};
	char net[PREFIX_TEXT];
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		size_t at = strlen(out);
		snprintf(out + at, cap - at, "%s%s%s", i ? " " : "", kinds[v[i].kind],
			prefix_format(&v[i].dst, net));
		assert_true(v[i].ifindex == (v[i].kind == NL_ROUTE_TO ? 7 : 0));
	}
}

static void test_table(void **state)
{
	enum { BEFORE = 1, KEEP = 2, NOWHERE = 4, NO_V6 = 8 };
	static const struct {
		const char *nets, *around;
		unsigned how;
		const char *says, *left_out; /* - thrown, ! refused */
	} rows[] = {
		{ "10.0.0.0/8 fd00::/8", "", 0, "10.0.0.0/8 fd00::/8", NULL },
		{ "10.0.0.0/8 fd00::/8", "", NO_V6, "10.0.0.0/8", NULL },
		/* equal, smaller and larger than one around */
		{ "10.1.0.0/16", "10.1.0.0/16", 0, "", "10.1.0.0/16" },
		{ "10.1.2.0/24", "10.1.0.0/16", 0, "", "10.1.2.0/24" },
		{ "10.0.0.0/8", "10.1.0.0/16", 0, "10.0.0.0/8 -10.1.0.0/16", NULL },
		{ "10.0.0.0/8", "11.0.0.0/8", 0, "10.0.0.0/8", NULL },
		{ "10.1.0.0/16 10.0.0.0/8", "10.1.0.0/16", BEFORE, "10.1.0.0/16 10.0.0.0/8", NULL },
		/* exits: nothing around stays but what is private, and asked for */
		{ "0.0.0.0/0 ::/0", "192.168.1.0/24 198.51.100.0/24", 0, "0.0.0.0/0 ::/0 -fe80::/10", NULL },
		{ "0.0.0.0/0 ::/0", "192.168.1.0/24 198.51.100.0/24 fd00:1::/64 2001:db8::/64", KEEP,
			"0.0.0.0/0 ::/0 -192.168.1.0/24 -fd00:1::/64 -fe80::/10 -224.0.0.0/4 "
			"-255.255.255.255/32",
			NULL },
		{ "0.0.0.0/0 ::/0", "192.168.1.0/24", NOWHERE, "!0.0.0.0/0 !::/0 -fe80::/10", NULL },
		{ "0.0.0.0/0 ::/0", "192.168.1.0/24", NOWHERE | KEEP | NO_V6,
			"!0.0.0.0/0 !::/0 -192.168.1.0/24 -fe80::/10 -224.0.0.0/4 -255.255.255.255/32",
			NULL },
		/* both */
		{ "0.0.0.0/0 ::/0 10.0.0.0/8", "10.1.0.0/16 192.168.1.0/24", 0,
			"0.0.0.0/0 ::/0 10.0.0.0/8 -10.1.0.0/16 -fe80::/10", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix nets[NETS_MAX], around[NETS_MAX], left_out;
		struct net_plan p = { .nets = nets,
			.n_nets = read_list(rows[i].nets, nets),
			.around = around,
			.n_around = read_list(rows[i].around, around),
			.ifindex = 7,
			.src4 = addr_v4(0x64400001),
			.src6 = { { rows[i].how & NO_V6 ? 0 : 0xfd } },
			.before_own = rows[i].how & BEFORE,
			.keep_own = rows[i].how & KEEP,
			.nowhere = rows[i].how & NOWHERE };
		char text[512], net[PREFIX_TEXT];
		size_t n;
		struct nl_route *v = net_plan_routes(&p, &n, &left_out);
		assert_non_null(v);
		say_routes(v, n, text, sizeof(text));
		if (strcmp(text, rows[i].says) != 0)
			fail_msg("row %zu: %s", i, text);
		if (rows[i].left_out)
			assert_string_equal(prefix_format(&left_out, net), rows[i].left_out);
		else
			assert_int_equal(left_out.bits, UINT8_MAX);
		free(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_table) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
