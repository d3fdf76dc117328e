/* Replay window, allowed-ips and index table, each against a naive model. */
#include "mesh/base/err.h"
#include "mesh/wg/allowed.h"
#include "mesh/wg/indexes.h"
#include "mesh/wg/replay.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void test_replay_rows(void **state)
{
	(void)state;
	enum { W = REPLAY_WINDOW };
	static const struct {
		uint64_t n;
		bool fresh;
	} rows[] = {
		{ 0, true },
		{ 0, false },
		{ 9, true },
		{ 8, true },
		{ 9, false },
		{ W, true },
		{ 0, false },
		{ 1, true },
		{ W - 1, true },
		{ W - 1, false },
		{ W + 1, true },
		{ 1, false },
		{ 2, true },
		{ 3 * W, true },
		{ 2 * W, false },
		{ 2 * W + 1, true },
		{ W + 2, false },
		{ 3 * W - 1, true },
		{ 3 * W, false },
		{ 1ull << 40, true },
		{ 3 * W + 1, false },
		{ (1ull << 40) - W + 1, true },
		{ (1ull << 40) - W, false },
		{ UINT64_MAX - W - 1, true },
		{ UINT64_MAX - W - 1, false },
		{ UINT64_MAX - W - 2, true },
		{ UINT64_MAX - 2 * W, true },
		{ UINT64_MAX - 2 * W - 1, false },
	};
	struct replay r = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (replay_fresh(&r, rows[i].n) != rows[i].fresh)
			fail_msg("row %zu", i);
		if (rows[i].fresh)
			replay_mark(&r, rows[i].n);
	}
}

/* Against a set, over a walk that jumps ahead, falls back and repeats. */
static void test_replay_model(void **state)
{
	(void)state;
	enum { SPAN = 4000000 };
	uint8_t *seen = calloc(SPAN, 1);
	struct replay r = { 0 };
	uint64_t rng = 42, top = 0;
	assert_non_null(seen);
	for (int i = 0; i < 1000000; i++) {
		uint64_t x = next_random(&rng), n;
		if (x % 100 < 50)
			n = top + x / 128 % 3;
		else if (x % 1000 == 999)
			n = top + x / 1024 % 12000;
		else
			n = top > 9000 ? top - x / 128 % 9000 : x / 128 % (top + 1);
		if (n >= SPAN)
			break;
		bool want = !seen[n] && (n >= top || top - n <= REPLAY_WINDOW);
		if (replay_fresh(&r, n) != want)
			fail_msg("step %d: %llu", i, (unsigned long long)n);
		if (!want)
			continue;
		replay_mark(&r, n);
		seen[n] = 1;
		top = n + 1 > top ? n + 1 : top;
	}
	free(seen);
}

static struct prefix prefix(const char *text)
{
	struct prefix p;
	assert_true(prefix_parse(text, &p));
	return p;
}

static void test_allowed_rows(void **state)
{
	(void)state;
	static char owners[8];
	static const struct {
		const char *prefix;
		int owner;
	} put[] = {
		{ "0.0.0.0/0", 0 },
		{ "10.0.0.0/8", 1 },
		{ "10.1.0.0/16", 2 },
		{ "10.1.2.3/32", 3 },
		{ "::/0", 4 },
		{ "fd7a::/16", 5 },
		{ "fd7a:115c::1/128", 6 },
		{ "10.1.2.99/24", 7 },
	};
	static const struct {
		const char *ip;
		int owner;
	} get[] = {
		{ "8.8.8.8", 0 },
		{ "10.255.0.1", 1 },
		{ "10.1.255.255", 2 },
		{ "10.1.2.3", 3 },
		{ "10.1.2.4", 7 },
		{ "2001:db8::1", 4 },
		{ "fd7a::1", 5 },
		{ "fd7a:115c::1", 6 },
		{ "fd7a:115c::2", 5 },
		{ "255.255.255.255", 0 },
		{ "::", 4 },
		{ "9.255.255.255", 0 },
		{ "11.0.0.0", 0 },
	};
	struct allowed a = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(put); i++) {
		struct prefix p = prefix(put[i].prefix);
		assert_true(allowed_put(&a, &p, &owners[put[i].owner]));
	}
	for (size_t i = 0; i < ARRAY_LEN(get); i++) {
		struct addr ip;
		assert_true(addr_parse(get[i].ip, &ip));
		if (allowed_get(&a, &ip) != &owners[get[i].owner])
			fail_msg("row %zu", i);
	}
	struct prefix bad[] = { prefix("10.0.0.0/8"), prefix("fd7a::/16") };
	bad[0].bits = 33;
	bad[1].bits = 129;
	assert_false(allowed_put(&a, &bad[0], owners));
	assert_false(allowed_put(&a, &bad[1], owners));
	/* Only its owner can remove a prefix. */
	struct prefix ten = prefix("10.0.0.0/8");
	struct addr ip = addr_v4(0x0aff0001);
	allowed_remove(&a, &ten, &owners[2]);
	assert_ptr_equal(allowed_get(&a, &ip), &owners[1]);
	allowed_remove(&a, &ten, &owners[1]);
	assert_ptr_equal(allowed_get(&a, &ip), &owners[0]);
	allowed_fini(&a);
}

/* Of what is reserved nobody has more than he names, whatever he has around it. */
static void test_allowed_reserved(void **state)
{
	(void)state;
	static const struct {
		const char *ip;
		bool has;
	} get[] = { { "100.63.255.255", true }, { "100.64.0.0", false }, { "100.127.255.255", false },
		{ "100.128.0.0", true }, { "100.64.0.9", true }, { "100.64.0.8", false },
		{ "100.65.1.1", true }, { "100.66.1.1", false } };
	struct prefix reserved = prefix("100.64.0.0/10"), of_one[] = { prefix("0.0.0.0/0"),
		prefix("100.0.0.0/8"), prefix("100.64.0.9/32"), prefix("100.65.0.0/16") };
	for (int late = 0; late < 2; late++) {
		struct allowed a = { 0 };
		assert_true(late || allowed_reserve(&a, &reserved));
		for (size_t i = 0; i < ARRAY_LEN(of_one); i++)
			assert_true(allowed_put(&a, &of_one[i], of_one));
		assert_true(!late || allowed_reserve(&a, &reserved));
		for (size_t i = 0; i < ARRAY_LEN(get); i++) {
			struct addr ip;
			assert_true(addr_parse(get[i].ip, &ip));
			if (allowed_get(&a, &ip) != (get[i].has ? of_one : NULL))
				fail_msg("%s", get[i].ip);
		}
		for (size_t i = 0; i < ARRAY_LEN(of_one); i++)
			allowed_remove(&a, &of_one[i], of_one);
		assert_true(allowed_put(&a, &of_one[0], of_one)); /* it is reserved still */
		struct addr ip = addr_v4(0x64400009);
		assert_null(allowed_get(&a, &ip));
		allowed_fini(&a);
	}
}

enum { MODEL = 600 };
struct entry {
	struct prefix p;
	bool in;
};

static void *find_naive(struct entry *e, const struct addr *ip)
{
	struct entry *best = NULL;
	for (int i = 0; i < MODEL; i++)
		if (e[i].in && prefix_contains(&e[i].p, ip) && (!best || e[i].p.bits > best->p.bits))
			best = &e[i];
	return best;
}

/* Few distinct bits, so that prefixes nest and share. */
static struct addr narrow_address(uint64_t x)
{
	struct addr a = addr_v4((uint32_t)(0x0a000000 | (x & 0x030f) | (x & 0x3000) << 4));
	if (x >> 20 & 1)
		memset(a.b, 0, 12), a.b[0] = 0xfd, a.b[7] = (uint8_t)(x & 3), a.b[8] = (uint8_t)(x >> 4 & 3);
	return a;
}

static void test_allowed_model(void **state)
{
	(void)state;
	static struct entry e[MODEL];
	struct allowed a = { 0 };
	uint64_t rng = 7;
	for (int round = 0; round < 20000; round++) {
		struct entry *x = &e[next_random(&rng) % MODEL];
		if (x->in) {
			allowed_remove(&a, &x->p, x);
			x->in = false;
		} else {
			x->p.ip = narrow_address(next_random(&rng));
			x->p.bits = (uint8_t)(next_random(&rng) % (addr_is_v4(&x->p.ip) ? 33 : 129));
			prefix_mask(&x->p);
			for (int i = 0; i < MODEL; i++) /* the newest owner has it */
				if (e[i].in && prefix_equal(&e[i].p, &x->p))
					e[i].in = false;
			assert_true(allowed_put(&a, &x->p, x));
			x->in = true;
		}
		struct addr ip = narrow_address(next_random(&rng));
		if (allowed_get(&a, &ip) != find_naive(e, &ip))
			fail_msg("round %d", round);
	}
	for (int i = 0; i < MODEL; i++)
		if (e[i].in)
			allowed_remove(&a, &e[i].p, &e[i]);
	assert_null(a.root[0]);
	assert_null(a.root[1]);
	allowed_fini(&a);
}

static void test_indexes_model(void **state)
{
	(void)state;
	enum { SPAN = 2048 };
	static bool in[SPAN];
	struct indexes t = { 0 };
	uint64_t rng = 3;
	size_t n = 0;
	assert_null(indexes_get(&t, 1));
	for (int round = 0; round < 100000; round++) {
		uint64_t x = next_random(&rng);
		uint32_t i = (uint32_t)(x % (SPAN - 1)) + 1,
			 index = i % 3 ? i : i << 20; /* many share a place */
		assert_int_equal(indexes_get(&t, index) != NULL, in[i]);
		if (in[i]) {
			assert_int_equal(indexes_get(&t, index)->index, index);
			indexes_remove(&t, index);
			n--;
		} else if (x >> 40 & 1) {
			assert_true(indexes_put(&t, &(struct index_slot) { .index = index }));
			n++;
		} else {
			continue;
		}
		in[i] = !in[i];
		assert_int_equal(t.n, n);
	}
	indexes_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replay_rows),
		cmocka_unit_test(test_replay_model),
		cmocka_unit_test(test_allowed_rows),
		cmocka_unit_test(test_allowed_reserved),
		cmocka_unit_test(test_allowed_model),
		cmocka_unit_test(test_indexes_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
