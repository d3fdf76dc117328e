/* What sealing and opening one packet costs by each implementation, in CPU time of this thread, in turn, so that both see the
 * same machine. The least of many rounds: what the rest of the machine does only adds. */
#include "mesh/base/aead.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 400, BATCH = 64, SLOT = 4096 + AEAD_TAG };

struct cost {
	double seal, open; /* ns a packet */
};

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void keep_least(double *least, double ns)
{
	if (*least <= 0 || ns < *least)
		*least = ns;
}

static void time_round(struct aead *seal, struct aead *open, uint8_t *mem, size_t len, struct cost *c)
{
	uint8_t nonce[AEAD_NONCE] = { 0 };
	bool ok = true;
	double t0 = cpu_ns();
	for (size_t i = 0; i < BATCH; i++) {
		nonce[4] = (uint8_t)i;
		ok &= aead_seal_inplace(seal, nonce, mem + i * SLOT, len);
	}
	double t1 = cpu_ns();
	for (size_t i = 0; i < BATCH; i++) {
		nonce[4] = (uint8_t)i;
		ok &= aead_open_inplace(open, nonce, mem + i * SLOT, len + AEAD_TAG);
	}
	double t2 = cpu_ns();
	if (!ok)
		abort();
	keep_least(&c->seal, (t1 - t0) / BATCH);
	keep_least(&c->open, (t2 - t1) / BATCH);
}

int main(void)
{
	static const size_t sizes[] = { 0, 64, 256, 576, 1280, 1424, 4080 };
	static const char *const names[AEAD_KINDS] = {
		[AEAD_OPENSSL] = "OpenSSL", [AEAD_IPSEC_MB] = "ipsec-mb"
	};
	static const uint8_t key[AEAD_KEY] = { 1 };
	static uint8_t mem[BATCH * SLOT];
	struct aead *seal[AEAD_KINDS], *open[AEAD_KINDS];
	if (!key_setup())
		return 1;
	for (int k = 0; k < AEAD_KINDS; k++) {
		seal[k] = aead_new_by((enum aead_kind)k, key, true);
		open[k] = aead_new_by((enum aead_kind)k, key, false);
	}
	printf("chosen here: %s\n%6s", aead_chosen(), "bytes");
	for (int k = 0; k < AEAD_KINDS; k++)
		printf(" %9s seal, open ns", names[k]);
	printf("    times faster\n");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct cost c[AEAD_KINDS] = { 0 };
		for (int r = 0; r < ROUNDS; r++)
			for (int k = 0; k < AEAD_KINDS; k++)
				if (seal[k] && open[k])
					time_round(seal[k], open[k], mem, sizes[i], &c[k]);
		printf("%6zu", sizes[i]);
		for (int k = 0; k < AEAD_KINDS; k++)
			printf(" %12.0f %12.0f", c[k].seal, c[k].open);
		const struct cost *a = &c[AEAD_OPENSSL], *b = &c[AEAD_IPSEC_MB];
		if (b->seal > 0)
			printf("   %5.2f %5.2f", a->seal / b->seal, a->open / b->open);
		printf("\n");
	}
	for (int k = 0; k < AEAD_KINDS; k++) {
		aead_free(seal[k]);
		aead_free(open[k]);
	}
	return 0;
}
