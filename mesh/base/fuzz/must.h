/* What a fuzz target asks of the code beyond not crashing, and of its surroundings: randomness that is none. */
#ifndef RW_BASE_FUZZ_MUST_H
#define RW_BASE_FUZZ_MUST_H

#include "mesh/base/key.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline void must(bool ok)
{
	if (!ok)
		abort();
}

/* Every byte is 5: a run that is made again is the same. */
static inline void random_steady_fill(void *arg, void *dst, size_t len)
{
	(void)arg;
	memset(dst, 5, len);
}

static const struct random random_steady = { .fill = random_steady_fill };

#endif
