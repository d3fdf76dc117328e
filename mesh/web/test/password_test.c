#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/key.h"
#include "mesh/web/password.h"
#include "mesh/web/throttle.h"
#include <string.h>

static void test_passwords(void **state)
{
	/* Argon2i; Argon2id of another cost, which a stranger's login would have to pay; and no hash at all. */
	static const char weaker[] = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
				     "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
			  dearer[] = "$argon2id$v=19$m=4194304,t=9,p=1$c29tZXNhbHRzb21lc2Fs$"
				     "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA";
	const char *const others[] = { "", weaker, dearer, "$argon2id$nonsense", "plain" };
	char hash[PASSWORD_HASH], again[PASSWORD_HASH];
	(void)state;
	assert_true(key_setup());
	assert_true(password_make("correct horse", hash) && password_make("correct horse", again));
	assert_string_not_equal(hash, again);
	assert_true(password_hash_is_ours(hash));
	assert_true(password_is(hash, "correct horse"));
	assert_false(password_is(hash, "correct horsf"));
	assert_false(password_is(hash, ""));
	assert_true(password_hash_is_ours(password_of_nobody)); /* it is compared in earnest */
	assert_false(password_is(password_of_nobody, ""));
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (password_hash_is_ours(others[i]))
			fail_msg("row %zu", i);
}

static void test_throttle(void **state)
{
	static struct throttle t;
	struct addr bad, good, neighbour, many;
	uint64_t now = 1000000;
	(void)state;
	assert_true(addr_parse("2001:db8::1", &bad) && addr_parse("2001:db8::2", &neighbour) &&
		    addr_parse("192.0.2.1", &good));
	for (int i = 0; i < THROTTLE_FREE; i++) {
		assert_int_equal(throttle_wait_ms(&t, &bad, now), 0);
		throttle_failed(&t, &bad, now);
	}
	assert_int_equal(throttle_wait_ms(&t, &bad, now), THROTTLE_PAUSE_MS);
	assert_int_equal(throttle_wait_ms(&t, &neighbour, now), THROTTLE_PAUSE_MS); /* the same /64 */
	assert_int_equal(throttle_wait_ms(&t, &good, now), 0);
	now += THROTTLE_PAUSE_MS;
	assert_int_equal(throttle_wait_ms(&t, &bad, now), 0);
	throttle_failed(&t, &bad, now);
	assert_int_equal(throttle_wait_ms(&t, &bad, now), 2 * THROTTLE_PAUSE_MS);
	for (int i = 0; i < 100; i++)
		throttle_failed(&t, &bad, now);
	assert_int_equal(throttle_wait_ms(&t, &bad, now), THROTTLE_PAUSE_MAX_MS);
	assert_int_equal(throttle_wait_ms(&t, &bad, now + THROTTLE_FORGET_MS), 0);
	throttle_passed(&t, &bad);
	assert_int_equal(throttle_wait_ms(&t, &bad, now), 0);
	/* Many addresses: it remembers the newest, and no more than it has room for. */
	for (uint32_t i = 0; i < 2 * THROTTLE_PLACES; i++) {
		many = addr_v4(0x0a000000 + i);
		for (int k = 0; k < THROTTLE_FREE; k++)
			throttle_failed(&t, &many, now + i);
	}
	assert_true(throttle_wait_ms(&t, &many, now + 2 * THROTTLE_PLACES) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_throttle) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
