/* A server may tell of thousands of relays: each is sought once, in a table, and none of the others is looked at for it. */
#include "mesh/base/table.h"
#include "mesh/node/links/relays.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { REGIONS = 3000, MOVED = 1000 };

static size_t sought;
void *__wrap_table_get(const struct table *t, const void *key);
void *__real_table_get(const struct table *t, const void *key);

void *__wrap_table_get(const struct table *t, const void *key)
{
	sought++;
	return __real_table_get(t, key);
}

static void up(void *arg, int32_t region, bool is_up)
{
	(void)arg, (void)region, (void)is_up;
}

static void set_map(struct relays *r, int32_t first)
{
	static struct ctl_derp_node node = {
		.name = "", .host = "relay.test", .cert_name = "", .ipv4 = "", .ipv6 = ""
	};
	static struct ctl_derp_region regions[REGIONS];
	static char codes[REGIONS][16];
	for (int32_t i = 0; i < REGIONS; i++) {
		snprintf(codes[i], sizeof(codes[i]), "r%d", first + i);
		regions[i] = (struct ctl_derp_region) {
			.id = first + i, .code = codes[i], .name = "", .nodes = &node, .n_nodes = 1
		};
	}
	relays_map_set(r, &(struct ctl_derp_map) { .regions = regions, .n_regions = REGIONS });
}

static void test_steps(void **state)
{
	(void)state;
	const struct node_private us = { { 1 } };
	const struct relays_events ev = { .up = up };
	struct loop *l = loop_new();
	struct relays *r = relays_open(l, &us, &ev, &random_system);
	assert_non_null(r);
	for (int round = 0; round < 3; round++) { /* new; as they were; some leave and others come */
		sought = 0;
		set_map(r, round == 2 ? 1 + MOVED : 1);
		assert_int_equal(sought, REGIONS);
	}
	assert_string_equal(relays_region_code(r, MOVED), "");
	assert_string_equal(relays_region_code(r, MOVED + 1), "r1001");
	assert_string_equal(relays_region_code(r, MOVED + REGIONS), "r4000");
	relays_map_set(r, &(struct ctl_derp_map) { .n_regions = 0 });
	assert_string_equal(relays_region_code(r, MOVED + REGIONS), "");
	relays_close(r);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
