/* Which thread gives back what a zone held. */
#include "resolver/zone_end.h"

#include "resolver/zone.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <cmocka.h>

static pthread_t loop_thread;
static atomic_int here, elsewhere;

void __real_zone_put(struct zone *z);
void __wrap_zone_put(struct zone *z);
void __wrap_zone_put(struct zone *z)
{
	(*(pthread_equal(pthread_self(), loop_thread) ? &here : &elsewhere))++;
	__real_zone_put(z);
}

static struct zone *zone_of(unsigned names)
{
	struct zone *z = zone_new();
	struct addr at = addr_v4(0x0a000001);
	char name[32];
	for (unsigned i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		assert_int_equal(zone_add_address(z, name, &at, false), 0);
	}
	return z;
}

static void expect(struct zone *z, int by_loop, int by_thread)
{
	struct loop *l = loop_new();
	here = elsewhere = 0;
	zone_end(l, z);
	loop_free(l);
	assert_int_equal(here, by_loop);
	assert_int_equal(elsewhere, by_thread);
}

static void test_who(void **state)
{
	struct zone *many = zone_of(3000);
	(void)state;
	expect(NULL, 1, 0);
	expect(zone_of(5), 1, 0);
	expect(zone_get(many), 1, 0); /* somebody else has it */
	expect(many, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_who) };
	loop_thread = pthread_self();
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
