/* What a provider calls groups, as lines and as what rules name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/control/fleet/groups.h"
#include <stdio.h>
#include <string.h>

static void test_lines(void **state)
{
	static const struct {
		const char *lines, *names; /* a blank behind each */
	} rows[] = {
		{ "", "" },
		{ "staff\n", "staff@x.test " },
		{ "staff\nadmins\nstaff\n", "admins@x.test staff@x.test " },
		{ "no end", "no end@x.test " },
		{ "\n\na\n\n", "a@x.test " },
		{ "a\tb\n", "" },
		{ "team@other.test\n/Staff\n", "/Staff@x.test team@other.test@x.test " },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct user_groups *g, *again;
		char text[256] = "";
		assert_true(user_groups_new(rows[i].lines, "x.test", &g));
		for (size_t k = 0; g && k < g->n; k++) {
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", g->v[k]);
			assert_true(user_groups_have(g, g->v[k]));
		}
		if (strcmp(text, rows[i].names) != 0)
			fail_msg("row %zu: %s", i, text);
		assert_int_equal(!g, !*rows[i].names);
		assert_true(user_groups_new(rows[i].lines, "x.test", &again));
		assert_true(user_groups_equal(g, again));
		user_groups_put(again);
		assert_true(user_groups_new(rows[i].lines, "y.test", &again));
		assert_int_equal(user_groups_equal(g, again), !g);
		user_groups_put(again);
		user_groups_put(g);
	}
	assert_false(user_groups_have(NULL, "staff@x.test"));
}

/* Beyond the limits there is nothing more, and what there is stays whole. */
static void test_limits(void **state)
{
	struct buf text = { 0 };
	struct user_groups *g;
	char name[300];
	size_t taken = 0;
	(void)state;
	assert_false(groups_add_line(&text, ""));
	assert_false(groups_add_line(&text, "a\nb"));
	assert_false(groups_add_line(&text, "a\x7f"));
	for (int i = 0; i < GROUPS_MAX + 100; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		taken += groups_add_line(&text, name);
	}
	assert_int_equal(taken, GROUPS_MAX);
	assert_true(user_groups_new(buf_cstr(&text), "x.test", &g));
	assert_int_equal(g->n, GROUPS_MAX);
	assert_true(user_groups_have(g, "g511@x.test"));
	assert_false(user_groups_have(g, "g512@x.test"));
	user_groups_put(g);
	buf_free(&text);
	for (int i = 0; i < GROUPS_MAX; i++) {
		snprintf(name, sizeof(name), "%0250d", i);
		(void)groups_add_line(&text, name);
	}
	assert_in_range(text.len, GROUPS_BYTES_MAX - 251, GROUPS_BYTES_MAX);
	/* a text that somebody else has written is not taken without end either */
	for (int i = 0; i < GROUPS_MAX; i++)
		buf_printf(&text, "%s%d\n", name, i);
	assert_true(user_groups_new(buf_cstr(&text), "x.test", &g));
	assert_in_range(g->n, 1, GROUPS_BYTES_MAX / 251);
	for (size_t i = 0; i < g->n; i++)
		assert_int_equal(strlen(g->v[i]), 250 + strlen("@x.test"));
	user_groups_put(g);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_limits) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
