#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/test/net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
	struct fleet *f = calloc(1, sizeof(*f));
	net_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fleet_fini(*state);
	free(*state);
	return 0;
}

/* Each way to find a member follows what it is now, and forgets what it was. */
static void test_indexes(void **state)
{
	struct fleet *f = *state;
	struct machine_key machine;
	struct addr v4, other = { 0 };
	net_add(f, 1, "box", 1, NULL);
	net_add(f, 2, "nas", 1, NULL);
	struct member d = *net_add(f, 3, "tv", 2, NULL);
	machine = f->v[0]->machine;
	assert_true(addr_parse("100.64.0.3", &v4) && addr_parse("100.64.9.9", &other));
	assert_int_equal(fleet_by_address(f, &v4)->id, 3);
	d.machine = machine; /* a second node of the first machine, elsewhere and called otherwise */
	d.v4 = other;
	d.name = "cinema";
	memset(d.key.b, 77, KEY_LEN);
	const struct node_key before = f->v[2]->key;
	assert_non_null(net_put(f, &d));
	assert_null(fleet_by_address(f, &v4));
	assert_null(fleet_by_name(f, "tv"));
	assert_null(fleet_by_key(f, &before));
	assert_int_equal(fleet_by_address(f, &other)->id, 3);
	assert_int_equal(fleet_by_name(f, "cinema")->id, 3);
	assert_int_equal(fleet_by_key(f, &d.key)->id, 3);
	assert_int_equal(fleet_of_machine(f, &machine, 0)->id, 1);
	assert_int_equal(fleet_of_machine(f, &machine, 1)->id, 3);
	assert_null(fleet_of_machine(f, &machine, 2));
	fleet_remove(f, 1);
	assert_int_equal(fleet_of_machine(f, &machine, 0)->id, 3);
	assert_null(fleet_by_name(f, "box"));
	fleet_remove(f, 3);
	assert_null(fleet_of_machine(f, &machine, 0));
	assert_null(fleet_by_address(f, &other));
	assert_int_equal(fleet_by_id(f, 2)->id, 2);
}

static void join(struct fleet *f, int64_t id, const char *hostname, const char *want)
{
	char label[FLEET_LABEL];
	fleet_label_unique(f, hostname, id, label);
	assert_string_equal(label, want);
	assert_non_null(net_add(f, id, label, 1, NULL));
}

/* The smallest free number, whoever came and went; a host that asks again keeps its own. */
static void test_numbers(void **state)
{
	struct fleet *f = *state;
	char label[FLEET_LABEL];
	join(f, 1, "Ubuntu", "ubuntu");
	join(f, 2, "ubuntu", "ubuntu-1");
	join(f, 3, "ubuntu", "ubuntu-2");
	join(f, 4, "ubuntu", "ubuntu-3");
	fleet_remove(f, 2);
	join(f, 5, "ubuntu", "ubuntu-1");
	join(f, 6, "ubuntu", "ubuntu-4");
	fleet_label_unique(f, "ubuntu", 4, label);
	assert_string_equal(label, "ubuntu-3");
	net_add(f, 4, "desk", 1, NULL); /* renamed */
	join(f, 7, "ubuntu", "ubuntu-3");
	join(f, 8, "ubuntu-3", "ubuntu-3-1");
	fleet_remove(f, 1);
	join(f, 9, "ubuntu", "ubuntu");
}

/* The n-th host of one name looks at no more labels than the second. */
static void test_many_of_a_name(void **state)
{
	struct fleet *f = *state;
	char label[FLEET_LABEL], want[FLEET_LABEL];
	struct member d = { .user = 1, .hostname = "ubuntu", .expiry_ms = FLEET_NO_TIME };
	for (int64_t i = 0; i < 50000; i++) {
		fleet_label_unique(f, "ubuntu", 0, label);
		snprintf(want, sizeof(want), i ? "ubuntu-%lld" : "ubuntu", (long long)i);
		assert_string_equal(label, want);
		d.id = i + 1;
		d.name = label;
		memcpy(d.key.b, &i, sizeof(i));
		assert_non_null(net_put(f, &d));
	}
}

static void test_labels(void **state)
{
	static const struct {
		const char *host, *label;
	} from[] = { { "Anna's MacBook Pro.local", "annas-macbook-pro" }, { "", "node" }, { "...", "node" },
		{ "--a__b--", "a-b" }, { "localhost", "node" }, { "WPAD", "node" }, { "isatap.corp", "node" },
		{ "\xc2\x9b[2J", "2j" } };
	static const char *const good[] = { "a", "a-b", "9", "wpad1" };
	static const char *const bad[] = { "", "-a", "a-", "A", "a.b", "wpad", "isatap", "localhost" };
	char label[FLEET_LABEL];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		fleet_label_from(from[i].host, label);
		assert_string_equal(label, from[i].label);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(fleet_label_valid(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(fleet_label_valid(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_indexes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_of_a_name, setup, teardown),
		cmocka_unit_test(test_labels) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
