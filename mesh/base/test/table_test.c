#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/table.h"
#include "mesh/base/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* SipHash-2-4 paper, appendix A: key 00..0f, input 00..0e. */
static void test_hash_vector(void **state)
{
	(void)state;
	uint8_t in[15];
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	assert_true(hash_bytes(in, sizeof(in), 0x0706050403020100, 0x0f0e0d0c0b0a0908) == 0xa129ca6149be45e5);
}

/* A table against a plain array over random puts and removes; with copies of its keys, and with keys that stand in the
 * values. */
static void check_against_model(bool inside)
{
	enum { KEYS = 64, STEPS = 20000 };
	struct value {
		int other;
		uint32_t key;
	};
	static struct value values[KEYS];
	bool present[KEYS] = { false };
	struct table t;
	if (inside)
		table_init_inside(&t, sizeof(uint32_t), offsetof(struct value, key), 7);
	else
		table_init(&t, sizeof(uint32_t), 7);
	for (uint32_t j = 0; j < KEYS; j++)
		values[j].key = inside ? j : 1; /* not looked at where there are copies */
	srand(1);
	size_t n = 0;
	for (int i = 0; i < STEPS; i++) {
		uint32_t k = (uint32_t)(rand() % KEYS);
		if (rand() % 2) {
			assert_true(table_put(&t, &k, &values[k]));
			n += !present[k];
			present[k] = true;
		} else {
			assert_ptr_equal(table_remove(&t, &k), present[k] ? &values[k] : NULL);
			n -= present[k];
			present[k] = false;
		}
		assert_int_equal(t.n, n);
		for (uint32_t j = 0; j < KEYS; j++)
			assert_ptr_equal(table_get(&t, &j), present[j] ? &values[j] : NULL);
	}
	table_fini(&t);
}

static void test_against_model(void **state)
{
	(void)state;
	check_against_model(false);
	check_against_model(true);
}

/* Removing the entry just given must neither skip nor repeat another, wrapped clusters included. */
static void test_remove_while_walking(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 500; seed++) {
		struct table t;
		uint32_t keys[12], seen = 0;
		table_init(&t, sizeof(uint32_t), seed);
		for (uint32_t k = 0; k < 12; k++) {
			keys[k] = k;
			assert_true(table_put(&t, &k, &keys[k]));
		}
		size_t at = 0;
		for (uint32_t *k; (k = table_next(&t, &at));) {
			assert_false(seen & 1u << *k);
			seen |= 1u << *k;
			if (*k % 2)
				table_remove(&t, k);
		}
		assert_int_equal(seen, 0xfff);
		assert_int_equal(t.n, 6);
		table_fini(&t);
	}
}

static void test_fits(void **state)
{
	enum { KEYS = 3000 };
	static int values[KEYS];
	struct table t;
	(void)state;
	table_init(&t, sizeof(uint32_t), 3);
	table_fit(&t); /* an empty one has nothing to give */
	for (uint32_t k = 0; k < KEYS; k++)
		assert_true(table_put(&t, &k, &values[k]));
	assert_int_equal(t.size, 4096);
	for (uint32_t k = 0; k < KEYS; k++) {
		table_fit(&t); /* most calls find it well filled */
		for (uint32_t j = k; j < KEYS; j += 97)
			assert_ptr_equal(table_get(&t, &j), &values[j]);
		assert_ptr_equal(table_remove(&t, &k), &values[k]);
	}
	table_fit(&t);
	assert_int_equal(t.size, 16);
	table_fini(&t);
}

static void test_buf(void **state)
{
	(void)state;
	struct buf b = { .cap = 1000 };
	uint8_t chunk[100];
	memset(chunk, 'x', sizeof(chunk));
	for (int i = 0; i < 10; i++)
		assert_true(buf_append(&b, chunk, sizeof(chunk)));
	assert_false(buf_append(&b, chunk, 1));
	assert_int_equal(b.len, 1000);
	buf_consume(&b, 600);
	assert_true(buf_append(&b, chunk, 100));
	assert_int_equal(b.len, 500);
	buf_consume(&b, 500);
	assert_true(buf_printf(&b, "%d-%s", 42, "z"));
	assert_string_equal(buf_cstr(&b), "42-z");
	buf_free(&b);
}

static void test_arena(void **state)
{
	(void)state;
	struct arena a = { .cap = 100000 };
	char *s = arena_strdup(&a, "hello");
	for (int i = 0; i < 1000; i++) {
		uint64_t *p = arena_array(&a, 2, sizeof(*p));
		assert_non_null(p);
		assert_true(p[0] == 0 && p[1] == 0);
		p[0] = p[1] = UINT64_MAX;
	}
	assert_string_equal(s, "hello");
	assert_null(arena_alloc(&a, 100000));
	assert_true(a.failed);
	assert_null(arena_alloc(&a, 1));
	arena_free(&a);
	assert_null(arena_array(&a, SIZE_MAX / 2, 4));
	arena_free(&a);
}

static void test_cursor_failure_sticks(void **state)
{
	(void)state;
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5 };
	struct rd r = rd_of(bytes, sizeof(bytes));
	assert_int_equal(rd_u16(&r), 0x0102);
	assert_int_equal(rd_u32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(rd_u8(&r), 0);
	assert_null(rd_take(&r, 0));
	uint8_t out[3];
	struct wr w = wr_of(out, sizeof(out));
	wr_u16(&w, 0xabcd);
	wr_u32(&w, 1);
	wr_u8(&w, 1);
	assert_true(w.bad);
	assert_int_equal(w.len, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_vector),
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_remove_while_walking),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_cursor_failure_sticks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
