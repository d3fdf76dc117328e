#include "mesh/base/fuzz/trouble.h"

#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The linker puts them in place of the calls of our objects (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

enum {
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
	CALLERS = 5,	   /* that tell one place from another, */
	OURS = 2,	   /* behind those of this file */
	PLACES = 1 << 20,  /* bits: two that fall together are one place */
	PLACES_EACH = 4000 /* runs of one input */
};

/* Threads allocate and ask for the time as well. */
static struct {
	atomic_bool seeks; /* the next allocation of a place that has not failed does */
	_Atomic uint8_t failed[PLACES / 8];
	atomic_uint left; /* until one fails; 0: none will */
	atomic_uint made; /* since trouble_begin */
	unsigned chosen;  /* of this run; 0: none */
	atomic_bool counts, happened;
	_Atomic uint64_t later_ms;
} trouble;

/* FNV-1a */
static unsigned mix_in(unsigned mix, const void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		mix = (mix ^ ((const uint8_t *)p)[i]) * 16777619U;
	return mix;
}

enum { MIX = 2166136261U };

/* Of two threads that come to new places at once one fails, and the other's place stays new. */
static bool fails_by_place(void)
{
	void *at[OURS + CALLERS];
	int n = backtrace(at, OURS + CALLERS);
	if (n <= OURS)
		return false;
	unsigned place = mix_in(MIX, at + OURS, (size_t)(n - OURS) * sizeof(*at)) % PLACES;
	_Atomic uint8_t *byte = &trouble.failed[place / 8];
	uint8_t bit = (uint8_t)(1 << place % 8);
	if (*byte & bit || !atomic_exchange(&trouble.seeks, false))
		return false;
	*byte |= bit;
	return true;
}

static bool fails_by_number(void)
{
	unsigned n = trouble.left;
	while (n && !atomic_compare_exchange_weak(&trouble.left, &n, n - 1))
		;
	return n == 1;
}

static __attribute__((noinline)) bool is_short(void)
{
	if (trouble.counts)
		trouble.made++;
	bool fails = fails_by_number();
	if (trouble.seeks && trouble.counts && fails_by_place())
		fails = true;
	if (fails)
		trouble.happened = true;
	return fails;
}

void *__wrap_malloc(size_t size)
{
	return is_short() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return is_short() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return is_short() ? NULL : __real_realloc(p, size);
}

void trouble_memory(unsigned nth)
{
	trouble.left = nth;
	trouble.happened = false;
}

bool trouble_happened(void)
{
	return trouble.happened;
}

void trouble_begin(void)
{
	trouble.happened = false;
	trouble.counts = true;
	trouble.left = trouble.chosen;
}

void trouble_end(void)
{
	trouble.counts = false;
	trouble.left = 0;
}

static void run_each_place(void (*target)(const uint8_t *data, size_t len), const uint8_t *data, size_t len)
{
	for (int i = 0; i < PLACES_EACH && !trouble.seeks; i++) {
		trouble.seeks = true;
		target(data, len);
		trouble_end();
	}
	trouble.seeks = false;
}

int trouble_twice(void (*target)(const uint8_t *data, size_t len), const uint8_t *data, size_t len)
{
	unsigned mix = mix_in(MIX, data, len);
	trouble.chosen = 0;
	trouble.made = 0;
	target(data, len);
	trouble_end();
	if (getenv("RW_TROUBLE_PLACES")) {
		run_each_place(target, data, len);
	} else if (trouble.made) {
		trouble.chosen = 1 + mix % trouble.made;
		target(data, len);
		trouble_end();
		trouble.chosen = 0;
	}
	return 0;
}

int trouble_connect(int fd, const struct sockaddr *to, socklen_t len)
{
	int err;
	do
		err = connect(fd, to, len); /* asked again, it waits for the attempt that is under way */
	while (err && errno == EINTR);
	return err;
}

void trouble_pass_ms(uint64_t ms)
{
	trouble.later_ms += ms;
}

/* In place of libc's, for libraries too: libuv asks it what time it is. */
int clock_gettime(clockid_t which, struct timespec *out)
{
	int err = (int)syscall(SYS_clock_gettime, which, out);
	if (err || (which != CLOCK_MONOTONIC && which != CLOCK_MONOTONIC_COARSE))
		return err;
	uint64_t later_ms = trouble.later_ms, ns = (uint64_t)out->tv_nsec + later_ms % 1000 * NS_PER_MS;
	out->tv_sec += (time_t)(later_ms / 1000 + ns / NS_PER_S);
	out->tv_nsec = (long)(ns % NS_PER_S);
	return 0;
}
