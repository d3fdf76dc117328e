#include "mesh/proto/derp_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static size_t put(struct derp_queue *q, bool disco, uint8_t n)
{
	return derp_queue_put(q, disco, &n, 1, (const uint8_t *)"body", 4);
}

static int take(struct derp_queue *q)
{
	struct derp_queue_frame *f = derp_queue_take(q);
	if (!f)
		return -1;
	int n = f->b[0];
	assert_int_equal(f->len, 5);
	assert_memory_equal(f->b + 1, "body", 4);
	free(f);
	return n;
}

static void test_order(void **state)
{
	struct derp_queue q = { 0 };
	(void)state;
	assert_true(derp_queue_is_empty(&q));
	assert_int_equal(take(&q), -1);
	put(&q, false, 1);
	put(&q, true, 2);
	put(&q, false, 3);
	put(&q, true, 4);
	assert_int_equal(take(&q), 2);
	assert_int_equal(take(&q), 4);
	assert_int_equal(take(&q), 1);
	put(&q, true, 5);
	assert_int_equal(take(&q), 5);
	assert_int_equal(take(&q), 3);
	assert_true(derp_queue_is_empty(&q));
}

/* A full ring loses its oldest; the other ring does not notice. */
static void test_caps(void **state)
{
	struct derp_queue q = { 0 };
	(void)state;
	put(&q, true, 99);
	for (int i = 0; i < DERP_QUEUE_DATA_MAX; i++)
		assert_int_equal(put(&q, false, (uint8_t)i), 0);
	assert_int_equal(put(&q, false, 200), 1);
	assert_int_equal(take(&q), 99);
	assert_int_equal(take(&q), 1);
	for (int i = 2; i < DERP_QUEUE_DATA_MAX; i++)
		assert_int_equal(take(&q), i);
	assert_int_equal(take(&q), 200);
	for (int i = 0; i < DERP_QUEUE_DISCO_MAX; i++)
		assert_int_equal(put(&q, true, (uint8_t)i), 0);
	assert_int_equal(put(&q, true, 201), 1);
	assert_int_equal(take(&q), 1);
	derp_queue_fini(&q);
	assert_true(derp_queue_is_empty(&q));
}

/* Large frames are bounded by bytes. */
static void test_bytes(void **state)
{
	struct derp_queue q = { 0 };
	uint8_t *big = calloc(1, 65536);
	size_t lost = 0;
	(void)state;
	assert_non_null(big);
	for (int i = 0; i < 10; i++)
		lost += derp_queue_put(&q, false, big, 37, big, 65536 - 37);
	assert_int_equal(lost, 6);
	assert_int_equal(q.data.bytes, DERP_QUEUE_BYTES_MAX);
	assert_int_equal(derp_queue_put(&q, false, big, 37, big, 0), 1);
	derp_queue_fini(&q);
	assert_int_equal(q.data.bytes, 0);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order), cmocka_unit_test(test_caps),
		cmocka_unit_test(test_bytes) };
	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
