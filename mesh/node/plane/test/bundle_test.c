/* Which packets of a bundle take which way. */
#include "mesh/node/plane/bundle.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SMALL = 200, LARGE = 1312 };
struct rig {
	struct plane plane;
	struct pkt *udp[PKT_BATCH], *relay[PKT_BATCH];
	size_t n_udp, n_relay;
};

static void udp_send_batch(
	void *arg, enum path_socket from, const struct endpoint *to, struct pkt *const *pkts, size_t n)
{
	struct rig *r = arg;
	(void)to;
	assert_int_equal(from, PATH_SPARE);
	for (size_t i = 0; i < n; i++)
		r->udp[r->n_udp++] = pkts[i];
}

static void relay_send_batch(
	void *arg, int32_t region, const struct node_key *to, struct pkt *const *pkts, size_t n)
{
	struct rig *r = arg;
	(void)to;
	assert_int_equal(region, 900);
	for (size_t i = 0; i < n; i++)
		r->relay[r->n_relay++] = pkts[i];
}

static void large_ones_take_the_relay(void **state)
{
	(void)state;
	static const struct {
		struct path_way way;
		bool keyed;
		size_t udp, relay;
	} rows[] = {
		{ { .udp = true, .from = PATH_SPARE, .region = 900 }, true, 4, 0 },
		{ { .udp = true, .from = PATH_SPARE, .region = 900, .most = 1232 }, true, 2, 2 },
		{ { .udp = true, .from = PATH_SPARE, .region = 900, .most = LARGE }, true, 4, 0 },
		{ { .udp = true, .from = PATH_SPARE, .region = 900, .most = 100 }, true, 0, 4 },
		{ { .udp = true, .from = PATH_SPARE, .region = 900, .most = 1232 }, false, 4, 0 },
		{ { .udp = true, .from = PATH_SPARE, .relay = true, .region = 900 }, true, 4, 4 },
		{ { .relay = true, .region = 900 }, true, 0, 4 },
	};
	struct pkt *p = calloc(4, sizeof(*p));
	assert_non_null(p);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig r = { .plane = { .io = { .udp_send_batch = udp_send_batch,
						    .relay_send_batch = relay_send_batch } } };
		r.plane.io.arg = &r;
		struct bundle b = {
			.plane = &r.plane, .peer = 7, .way = rows[i].way, .keyed = rows[i].keyed
		};
		for (int k = 0; k < 4; k++) {
			p[k].len = k % 2 ? LARGE : SMALL;
			bundle_add(&b, 0, 7, &p[k]);
		}
		bundle_send(&b);
		assert_int_equal(r.n_udp, rows[i].udp);
		assert_int_equal(r.n_relay, rows[i].relay);
		assert_int_equal(r.plane.drops.out_no_way, 0);
		if (rows[i].udp == 2) /* in order */
			assert_true(r.udp[0] == &p[0] && r.udp[1] == &p[2] && r.relay[0] == &p[1] &&
				    r.relay[1] == &p[3]);
	}
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(large_ones_take_the_relay) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
