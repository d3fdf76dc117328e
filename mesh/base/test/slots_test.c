#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/base/slots.h"
#include <string.h>

enum { N = 4, EACH = 2 };

/* A letter a slot: who has it, as a capital while it is owed an answer; '.': nobody. v, w and x have
 * addresses of IPv6, v and w of one /64. used: in the order of the digits. */
struct row {
	const char *who, *used;
	char comes;
	unsigned slot;
};
static const struct addr *address_of(char who)
{
	static struct addr a[26];
	struct addr *at = &a[(who | 0x20) - 'a'];
	*at = addr_v4(0xc0000200U + (uint32_t)(who | 0x20));
	if ((who | 0x20) >= 'v') {
		*at = (struct addr) { .b = { 0x20, 0x01, 0x0d, 0xb8 } };
		at->b[7] = (who | 0x20) == 'x';
		at->b[15] = (uint8_t)who;
	}
	return at;
}

static struct slot_holder look(const void *arg, unsigned slot)
{
	const struct row *r = arg;
	char c = r->who[slot];
	if (c == '.')
		return (struct slot_holder) { 0 };
	return (struct slot_holder) { address_of(c), c < 'a', (uint64_t)(r->used[slot] - '0') };
}

static void check(const struct row *rows, size_t n, bool apart)
{
	for (size_t i = 0; i < n; i++) {
		const struct slots s = {
			.n = N, .each = EACH, .apart = apart, .look = look, .arg = &rows[i]
		};
		unsigned got = slots_choose(&s, address_of(rows[i].comes));
		if (got != rows[i].slot)
			fail_msg("row %zu: %u", i, got);
	}
}

static void test_choose(void **state)
{
	static const struct row apart[] = {
		{ "VW..", "1200", 'v', 2 }, /* each address of IPv6 for itself */
		{ "vvw.", "2100", 'v', 1 },
	};
	static const struct row rows[] = {
		{ "....", "0000", 'a', 0 },
		{ "a.b.", "1020", 'a', 1 },
		{ "ab.c", "1203", 'd', 2 },
		{ "aa..", "2100", 'a', 1 }, /* one address has no more than two: its idlest goes */
		{ "aA..", "2100", 'a', 0 },
		{ "AA..", "1200", 'a', N }, /* it is owed answers */
		{ "abcd", "4213", 'e', 2 }, /* full: the idlest of all goes */
		{ "aacd", "4312", 'a', 1 }, /* of those with too many, its own */
		{ "AbCD", "1234", 'e', 1 },
		{ "ABCD", "1234", 'e', N },
		{ "vv..", "1200", 'w', 0 }, /* of IPv6 its /64 counts */
		{ "VW..", "1200", 'v', N },
		{ "vw..", "1200", 'x', 2 },
		{ "vabw", "2134", 'w', 0 },
		{ "ab..", "1200", 'x', 2 },
	};
	(void)state;
	check(rows, ARRAY_LEN(rows), false);
	check(apart, ARRAY_LEN(apart), true);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_choose) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
