#include "mesh/proto/derp_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static size_t put(struct derp_queue *q, bool disco, uint8_t n)
{
	return derp_queue_put(q, disco, 0, &n, 1, (const uint8_t *)"body", 4);
}

static int take(struct derp_queue *q)
{
	uint64_t old = 0;
	struct derp_queue_frame *f = derp_queue_take(q, 0, &old);
	assert_int_equal(old, 0);
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
		lost += derp_queue_put(&q, false, 0, big, 37, big, 65536 - 37);
	assert_int_equal(lost, 6);
	assert_int_equal(q.data.bytes, DERP_QUEUE_BYTES_MAX);
	assert_int_equal(derp_queue_put(&q, false, 0, big, 37, big, 0), 1);
	derp_queue_fini(&q);
	assert_int_equal(q.data.bytes, 0);
	free(big);
}

enum { FRAME = 1024, MS = 1000, INTERVAL = DERP_QUEUE_INTERVAL_US, TARGET = DERP_QUEUE_TARGET_US };

/* A frame of this number. */
static void put_frame(struct derp_queue *q, bool disco, uint64_t now_us, uint32_t number)
{
	static const uint8_t rest[FRAME - sizeof(number)];
	assert_int_equal(derp_queue_put(q, disco, now_us, (const uint8_t *)&number, sizeof(number), rest,
				 sizeof(rest)),
		0);
}

/* Its number, -1 when there is none; *old grows. */
static int64_t take_frame(struct derp_queue *q, uint64_t now_us, uint64_t *old)
{
	uint32_t number;
	struct derp_queue_frame *f = derp_queue_take(q, now_us, old);
	if (!f)
		return -1;
	memcpy(&number, f->b, sizeof(number));
	free(f);
	return number;
}

/* A line that takes a frame each ms, and frames that come as fast behind a queue of `deep`; for so many ms from *now_us on.
 * Returns how many were let go. */
static uint64_t stand(struct derp_queue *q, uint64_t *now_us, uint32_t deep, int ms)
{
	uint64_t old = 0;
	for (int i = 0; i < ms; i++, *now_us += MS) {
		while (q->data.n < deep)
			put_frame(q, false, *now_us, 0);
		(void)take_frame(q, *now_us, &old);
	}
	return old;
}

/* A queue that stands is thinned: first after an interval, then ever more often, as the control law says. */
static void test_thinned(void **state)
{
	static const struct {
		int ms;
		uint64_t lost;
	} rows[] = { { 105, 0 }, { 1, 1 }, { 99, 0 }, { 1, 1 }, { 79, 0 }, { 1, 1 } };
	struct derp_queue q = { 0 };
	uint64_t now = 7 * INTERVAL;
	(void)state;
	/* Above the target from the fifth ms on; the root of two is 1.25 here. */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t lost = stand(&q, &now, 32, rows[i].ms);
		if (lost != rows[i].lost)
			fail_msg("row %zu: %d lost", i, (int)lost);
	}
	/* n losses take twice the root of n intervals, nearly. */
	assert_in_range(stand(&q, &now, 32, 2000), 115, 135);
	derp_queue_fini(&q);
}

/* One that empties in between, or is short enough, loses nothing however long that goes on. */
static void test_not_thinned(void **state)
{
	struct derp_queue q = { 0 };
	uint64_t now = 7 * INTERVAL, old = 0;
	(void)state;
	assert_int_equal(stand(&q, &now, TARGET / MS, 1000), 0);
	while (take_frame(&q, now, &old) >= 0) {
	}
	for (int i = 0; i < 20; i++) { /* bursts of 80 ms with pauses */
		for (int k = 0; k < 80; k++)
			put_frame(&q, false, now, 0);
		for (int k = 0; k < 80; k++, now += MS)
			assert_int_equal(take_frame(&q, now, &old), 0);
		now += 20 * MS;
	}
	assert_int_equal(old, 0);
	derp_queue_fini(&q);
}

/* Nothing is kept for longer than an interval, but for what a line takes at once. */
static void test_oldest(void **state)
{
	struct derp_queue q = { 0 };
	uint64_t now = 7 * INTERVAL, old = 0;
	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		put_frame(&q, false, now, i);
	now += INTERVAL;
	assert_int_equal(take_frame(&q, now, &old), 0);
	assert_int_equal(old, 0);
	for (uint32_t i = 100; i < 120; i++)
		put_frame(&q, false, now, i);
	assert_int_equal(take_frame(&q, now + 1, &old), 100);
	assert_int_equal(old, 99);
	assert_int_equal(take_frame(&q, now + 60 * INTERVAL, &old), 112);
	assert_int_equal(old, 110);
	for (uint32_t i = 113; i < 120; i++)
		assert_int_equal(take_frame(&q, now + 90 * INTERVAL, &old), i);
	assert_int_equal(take_frame(&q, now, &old), -1);
	assert_int_equal(old, 110);
}

/* What finds a better way is never too old. */
static void test_disco_stays(void **state)
{
	struct derp_queue q = { 0 };
	uint64_t now = 7 * INTERVAL, old = 0;
	(void)state;
	for (uint32_t i = 0; i < DERP_QUEUE_DISCO_MAX; i++)
		put_frame(&q, true, now, 1000 + i);
	for (uint32_t i = 0; i < 40; i++)
		put_frame(&q, false, now, i);
	now += 9 * INTERVAL;
	for (uint32_t i = 0; i < DERP_QUEUE_DISCO_MAX; i++)
		assert_int_equal(take_frame(&q, now, &old), 1000 + i);
	assert_int_equal(old, 0);
	assert_int_equal(take_frame(&q, now, &old), 32);
	assert_int_equal(old, 32);
	derp_queue_fini(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order), cmocka_unit_test(test_caps),
		cmocka_unit_test(test_bytes), cmocka_unit_test(test_thinned),
		cmocka_unit_test(test_not_thinned), cmocka_unit_test(test_oldest),
		cmocka_unit_test(test_disco_stays) };
	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
