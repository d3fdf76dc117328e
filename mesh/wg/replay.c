#include "mesh/wg/replay.h"

bool replay_fresh(const struct replay *r, uint64_t n)
{
	if (n >= r->top)
		return true;
	if (r->top - n > REPLAY_WINDOW)
		return false;
	return !(r->bits[n / 64 % REPLAY_WORDS] >> (n % 64) & 1);
}

void replay_mark(struct replay *r, uint64_t n)
{
	uint64_t block = n / 64;
	if (n >= r->top) {
		/* Blocks between the old top and n are reused: forget what they held one window ago. */
		uint64_t old = r->top ? (r->top - 1) / 64 : 0;
		uint64_t steps = block - old > REPLAY_WORDS ? REPLAY_WORDS : block - old;
		for (uint64_t i = 0; i < steps; i++)
			r->bits[(block - i) % REPLAY_WORDS] = 0;
		r->top = n + 1;
	}
	r->bits[block % REPLAY_WORDS] |= UINT64_C(1) << (n % 64);
}
