#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/relay/places.h"
#include <string.h>

enum { MAX = 8, SHARE = 3, T = 100000 };

struct guest {
	struct places *p;
	struct place *place;
	bool left;
};

static void leave(void *guest)
{
	struct guest *g = guest;
	g->left = true;
	place_end(g->p, g->place);
	g->place = NULL;
}

static bool come(struct places *p, struct guest *g, const char *ip, uint64_t now)
{
	struct addr a;
	assert_true(addr_parse(ip, &a));
	*g = (struct guest) { .p = p, .place = places_take(p, &a, now) };
	if (!g->place)
		return false;
	g->place->leave = leave;
	g->place->holder = g;
	return true;
}

static void go(struct places *p, struct guest *g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		place_end(p, g[i].place);
	assert_int_equal(p->n, 0);
	assert_int_equal(p->by_address.n, 0);
	places_fini(p);
}

/* An address with its share gets one more place for one of its own that is idle, strangers first. */
static void test_share(void **state)
{
	struct places p;
	struct guest g[6];
	(void)state;
	places_init(&p, MAX, SHARE, 1);
	for (size_t i = 0; i < SHARE; i++)
		assert_true(come(&p, &g[i], "192.0.2.1", T + i));
	assert_true(come(&p, &g[3], "192.0.2.2", T)); /* others have theirs */
	assert_false(come(&p, &g[4], "192.0.2.1", T + PLACES_STRANGER_IDLE_MS - 1));
	place_used(g[0].place, T + 10);
	assert_true(come(&p, &g[4], "192.0.2.1", T + PLACES_STRANGER_IDLE_MS + 1));
	assert_true(g[1].left); /* the oldest that never had a packet */
	place_used(g[2].place, T + 20);
	place_used(g[4].place, T + 30);
	assert_false(come(&p, &g[5], "192.0.2.1", T + PLACES_BUSY_IDLE_MS + 9));
	assert_true(come(&p, &g[5], "192.0.2.1", T + PLACES_BUSY_IDLE_MS + 10));
	assert_true(g[0].left && !g[2].left && !g[3].left && !g[4].left);
	go(&p, g, ARRAY_LEN(g));
}

/* When all are taken one of the address with most goes; nobody alone at his address pays for it. */
static void test_full(void **state)
{
	struct places p;
	struct guest g[MAX + 2];
	(void)state;
	places_init(&p, MAX, MAX, 1);
	assert_true(come(&p, &g[0], "192.0.2.1", 0));
	for (size_t i = 1; i < MAX; i++)
		assert_true(come(&p, &g[i], "198.51.100.7", T));
	assert_false(come(&p, &g[MAX], "192.0.2.3", T + 1));
	assert_true(come(&p, &g[MAX], "192.0.2.3", T + PLACES_STRANGER_IDLE_MS));
	assert_true(g[1].left && !g[0].left);
	assert_int_equal(p.n, MAX);
	assert_true(come(&p, &g[MAX + 1], "192.0.2.4", T + PLACES_STRANGER_IDLE_MS));
	assert_true(g[2].left && !g[0].left);
	go(&p, g, ARRAY_LEN(g));
}

/* A host has a /64 to choose IPv6 addresses from. */
static void test_sites(void **state)
{
	struct places p;
	struct guest g[4];
	(void)state;
	places_init(&p, MAX, 2, 1);
	assert_true(come(&p, &g[0], "2001:db8::1", T));
	assert_true(come(&p, &g[1], "2001:db8::ffff:1", T));
	assert_false(come(&p, &g[2], "2001:db8::2", T));
	assert_true(come(&p, &g[2], "2001:db8:0:1::2", T));
	assert_true(come(&p, &g[3], "192.0.2.1", T)); /* no site: its leading bytes are those of all IPv4 */
	go(&p, g, ARRAY_LEN(g));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_share), cmocka_unit_test(test_full),
		cmocka_unit_test(test_sites) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
