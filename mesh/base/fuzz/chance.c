/* Random numbers of a fuzz target that are the same each time: a gate that asks again asks the same. Linked into every target,
 * in place of libsodium's function, by which all of ours come. RW_FUZZ_SEED in the environment says which; without it, or with 0,
 * they are the system's. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void randombytes_buf(void *buf, size_t size);
void json_object_seed(size_t seed) __attribute__((weak)); /* jansson's, where a target has it */

static uint64_t seed_of_environment(void)
{
	const char *text = getenv("RW_FUZZ_SEED");
	return text ? strtoull(text, NULL, 10) : 0;
}

/* Its own would decide which keys are compared, and what is compared becomes part of inputs. */
__attribute__((constructor)) static void keys_begin(void)
{
	uint64_t seed = seed_of_environment();
	if (seed && json_object_seed)
		json_object_seed((size_t)seed);
}

/* SplitMix64: the nth number is a mix of n such steps. */
static uint64_t next_number(uint64_t seed)
{
	static _Atomic uint64_t n;
	uint64_t x = (seed + ++n) * UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

void randombytes_buf(void *buf, size_t size)
{
	uint64_t seed = seed_of_environment();
	uint8_t *to = buf;
	for (size_t at = 0, n; at < size; at += n) {
		uint64_t x;
		n = size - at < sizeof(x) ? size - at : sizeof(x);
		if (seed)
			x = next_number(seed);
		else if (getrandom(&x, sizeof(x), 0) != sizeof(x))
			abort();
		memcpy(to + at, &x, n);
	}
}
