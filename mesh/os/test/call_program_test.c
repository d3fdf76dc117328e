/* What a filter of system calls answers, run as the kernel would. */
#include "mesh/os/call_program.h"
#include "mesh/base/err.h"
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ARCH = 77, OTHER_ARCH = 1, REST = 2, YES = 3, SOME = 4, BOTH = 5, BROKEN = 99 };

static bool jumps(const struct sock_filter *i, uint32_t a)
{
	return BPF_OP(i->code) == BPF_JEQ ? a == i->k : a >= i->k;
}

static uint32_t answer_of(const struct call_program *c, const struct seccomp_data *d)
{
	uint32_t a = 0;
	for (size_t at = 0; at < c->n; at++) {
		const struct sock_filter *i = &c->p[at];
		switch (i->code) {
		case BPF_RET | BPF_K: return i->k;
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k % 4 == 0 && i->k <= sizeof(*d) - 4);
			memcpy(&a, (const char *)d + i->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K: a &= i->k; break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K: at += jumps(i, a) ? i->jt : i->jf; break;
		default: return BROKEN;
		}
	}
	return BROKEN;
}

static const uint64_t high = 1ULL << 40;
static const struct {
	struct seccomp_data d;
	uint32_t answer;
} rows[] = {
	{ { .nr = 10, .arch = ARCH }, YES },
	{ { .nr = 10, .arch = ARCH + 1 }, OTHER_ARCH },
	{ { .nr = 10 | 0x40000000, .arch = ARCH }, OTHER_ARCH },
	{ { .nr = -1, .arch = ARCH }, OTHER_ARCH },
	{ { .nr = 9, .arch = ARCH }, REST },
	{ { .nr = 12, .arch = ARCH }, REST },
	{ { .nr = 10, .arch = ARCH, .args = { UINT64_MAX, UINT64_MAX } }, YES },
	/* Bits outside of the mask are anything, those inside are the value's, in both halves. */
	{ { .nr = 11, .arch = ARCH, .args = { 0, 0, 6 } }, SOME },
	{ { .nr = 11, .arch = ARCH, .args = { 9, 9, 6 | 1 << 8 } }, SOME },
	{ { .nr = 11, .arch = ARCH, .args = { 0, 0, 4 } }, REST },
	{ { .nr = 11, .arch = ARCH, .args = { 0, 0, 6 | high } }, REST },
	{ { .nr = 11, .arch = ARCH, .args = { 6, 6, 0, 6, 6, 6 } }, REST },
	{ { .nr = 11, .arch = ARCH, .args = { 0, 0, 1 } }, BOTH },
	{ { .nr = 11, .arch = ARCH, .args = { 0, 0, 2 } }, REST },
	/* Two together. */
	{ { .nr = 13, .arch = ARCH, .args = { 16, 5, high } }, BOTH },
	{ { .nr = 13, .arch = ARCH, .args = { 16, 5, 0 } }, REST },
	{ { .nr = 13, .arch = ARCH, .args = { 17, 5, high } }, REST },
	{ { .nr = 13, .arch = ARCH, .args = { 16 | high, 5, high } }, REST },
};

static void test_answers(void **state)
{
	static struct call_program c;
	const struct call_when mask = { 2, 7 | high, 6 }, other = { 2, 7, 1 },
			       both[] = { { 0, UINT64_MAX, 16 }, { 2, UINT64_MAX, high } };
	(void)state;
	call_program_begin(&c, ARCH, OTHER_ARCH);
	call_program_rule(&c, 11, SOME, &mask, 1);
	call_program_rule(&c, 11, BOTH, &other, 1);
	call_program_rule(&c, 13, BOTH, both, 2);
	call_program_rule(&c, 10, YES, NULL, 0);
	assert_true(call_program_end(&c, REST));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (answer_of(&c, &rows[i].d) != rows[i].answer)
			fail_msg("row %zu: %u", i, answer_of(&c, &rows[i].d));
}

static void test_full(void **state)
{
	static struct call_program c;
	(void)state;
	call_program_begin(&c, ARCH, OTHER_ARCH);
	for (int i = 0; i < CALL_PROGRAM_MAX / 3; i++)
		call_program_rule(&c, i, YES, NULL, 0);
	assert_false(call_program_end(&c, REST));
	assert_true(c.n <= CALL_PROGRAM_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers), cmocka_unit_test(test_full) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
