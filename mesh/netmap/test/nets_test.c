/* Which peer carries which network: a table of peers, of wishes, and of what comes out. */
#include "mesh/netmap/nets.h"
#include "mesh/netmap/test/told_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define KEY "nodekey:"
#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"
#define NODE(id, allowed) \
	"{\"ID\":" #id ",\"StableID\":\"s" #id "\",\"Name\":\"n" #id \
	".x.test.\",\"User\":1,\"Key\":\"" KEY ZEROS "0" #id "\",\"Addresses\":[\"100.64.0." #id \
	"/32\"],\"AllowedIPs\":[\"100.64.0." #id "/32\"" allowed "]}"
#define MAP(peers) "{\"Node\":" NODE(1, "") ",\"Peers\":[" peers "]}"

static bool is_usable(void *arg, const struct netmap_peer *p)
{
	return p->node.id != *(const int64_t *)arg;
}

static void test_list(void **state)
{
	static const char map[] = MAP(NODE(2, ",\"10.0.0.0/8\",\"0.0.0.0/0\",\"::/0\"") "," NODE(
		3, ",\"10.0.0.0/8\",\"10.1.0.9/16\",\"fd00::/64\"") "," NODE(4,
		",\"192.0.2.7/32\",\"0.0.0.0/0\""));
	static const struct {
		struct netmap_wish wish;
		int64_t unusable;
		const char *says;
	} rows[] = {
		{ { false, 0 }, 0, "" },
		{ { true, 0 }, 0, "10.0.0.0/8>2 10.1.0.0/16>3 192.0.2.7/32>4 fd00::/64>3 " },
		{ { true, 0 }, 2, "10.0.0.0/8>3 10.1.0.0/16>3 192.0.2.7/32>4 fd00::/64>3 " },
		{ { false, 2 }, 0, "0.0.0.0/0>2 ::/0>2 " },
		{ { false, 4 }, 0, "0.0.0.0/0>4 " },
		{ { false, 3 }, 0, "" },
		{ { true, 4 }, 3, "0.0.0.0/0>4 10.0.0.0/8>2 192.0.2.7/32>4 " },
	};
	struct netmap *m = told_map(NULL, map);
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct netmap_nets l = { 0 };
		char text[256] = "", net[PREFIX_TEXT];
		bool in_order = true;
		assert_true(netmap_nets_list(
			m, &rows[i].wish, is_usable, (void *)(uintptr_t)&rows[i].unusable, &l));
		for (size_t k = 0; k < l.n; k++) {
			size_t at = strlen(text);
			snprintf(text + at, sizeof(text) - at, "%s>%d ", prefix_format(&l.v[k].net, net),
				(int)l.v[k].peer);
			in_order = in_order && (!k || memcmp(l.v[k - 1].net.ip.b, l.v[k].net.ip.b, 16) <= 0);
		}
		/* ::/0 sorts first: its bytes are the least. */
		if (strstr(rows[i].says, "::/0>"))
			assert_string_equal(text, "::/0>2 0.0.0.0/0>2 ");
		else
			assert_string_equal(text, rows[i].says);
		assert_true(in_order);
		netmap_nets_free(&l);
	}
	netmap_put(m);
}

static void test_same(void **state)
{
	struct netmap *m = told_map(
		NULL, MAP(NODE(2, ",\"10.0.0.0/8\"") "," NODE(3, ",\"10.0.0.0/8\",\"10.1.0.0/16\"")));
	const struct netmap_wish all = { .routes = true };
	struct netmap_nets a = { 0 }, b = { 0 };
	int64_t none = 0, two = 2;
	(void)state;
	assert_true(netmap_nets_list(m, &all, is_usable, &none, &a));
	assert_true(netmap_nets_list(m, &all, is_usable, &two, &b));
	assert_true(
		netmap_nets_same(&a, &a, 2) && netmap_nets_same(&a, &a, 3) && netmap_nets_same(&a, &b, 9));
	assert_false(netmap_nets_same(&a, &b, 2) || netmap_nets_same(&a, &b, 3));
	netmap_nets_free(&a);
	netmap_nets_free(&b);
	netmap_put(m);
}

/* What a server may not hand to a peer is no network of it, and said. */
static void test_refused(void **state)
{
	static const struct {
		const char *net;
		bool kept;
	} rows[] = {
		{ "10.0.0.0/8", true },
		{ "0.0.0.0/1", true },
		{ "8.8.8.8/32", true },
		{ "fd7a:115c:a1e0:b1a:0:7:a00:0/104", true }, /* 10.0.0.0/8 of site 7 */
		{ "100.64.0.0/10", false },
		{ "100.64.0.9/32", false },
		{ "100.100.100.100/32", false },
		{ "fd7a:115c:a1e0::/48", false },
		{ "fd7a:115c:a1e0::9/128", false },
		{ "127.0.0.0/8", false },
		{ "::1/128", false },
		{ "169.254.0.0/16", false },
		{ "fe80::/10", false },
		{ "224.0.0.0/4", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char json[1024];
		snprintf(json, sizeof(json), MAP(NODE(2, ",\"%s\"")), rows[i].net);
		struct netmap *m = told_map(NULL, json);
		if (m->peers[0]->node.allowed_ips.n != 1u + rows[i].kept || m->n_problems != !rows[i].kept)
			fail_msg("%s", rows[i].net);
		if (!rows[i].kept)
			assert_non_null(strstr(m->problems[0].text, rows[i].net));
		netmap_put(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
