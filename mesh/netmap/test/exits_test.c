#include "mesh/netmap/exits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_which(void **state)
{
	struct prefix zeros[] = { { .ip = addr_v4(0) }, { .ip = addr_any6 }, { addr_v4(0x0a000000), 8 } },
		      a4 = { addr_v4(0x64400001), 32 }, b4 = { addr_v4(0x64400002), 32 };
	struct netmap_peer a = { .node = { .id = 1,
					 .stable_id = "n1",
					 .name = "fra.mesh.test.",
					 .addresses = { &a4, 1 },
					 .allowed_ips = { zeros, 3 } } },
			   b = { .node = { .id = 2,
					 .stable_id = "n2",
					 .name = "frankfurt.mesh.test.",
					 .addresses = { &b4, 1 },
					 .allowed_ips = { zeros + 1, 2 } } };
	const struct netmap_peer *peers[] = { &a, &b };
	const struct netmap m = { .peers = peers, .n_peers = 2 };
	static const struct {
		const char *who;
		int64_t id;
	} rows[] = { { "", 0 }, { "n1", 1 }, { "n2", 2 }, { "fra", 1 }, { "FRA", 1 }, { "fra.mesh.test", 1 },
		{ "fra.mesh.test.", 1 }, { "frank", 0 }, { "frankfurt", 2 }, { "fra.mesh", 0 }, { ".", 0 },
		{ "100.64.0.2", 2 }, { "100.64.0.3", 0 }, { "n", 0 } };
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct netmap_peer *p = netmap_exit_find(&m, rows[i].who);
		if ((p ? p->node.id : 0) != rows[i].id)
			fail_msg("%s", rows[i].who);
	}
	assert_true(netmap_is_exit(&a.node));
	assert_false(netmap_is_exit(&b.node)); /* half of one */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_which) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
