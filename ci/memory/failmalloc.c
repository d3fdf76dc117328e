/* Preloaded into a program: fails one allocation, the RW_FAIL_AT-th since its start (1 = the first), and no
 * other. With RW_FAIL_COUNT=FILE nothing fails, and the number of allocations is written there at the end. The file is opened
 * at the start: some programs may open none to write later.
 * Programs are built without it. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static atomic_ulong made, fail_at;
static int count_file = -1;

__attribute__((constructor)) static void setup(void)
{
	const char *at = getenv("RW_FAIL_AT");
	const char *count = getenv("RW_FAIL_COUNT");
	count_file = count ? open(count, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	/* What the loader and the constructors allocated before is not ours to fail. */
	atomic_store(&made, 0);
	atomic_store(&fail_at, at ? strtoul(at, NULL, 10) : 0);
	unsetenv("LD_PRELOAD"); /* programs that this one starts are not meant */
}

__attribute__((destructor)) static void tell(void)
{
	char text[32];
	if (count_file < 0)
		return;
	int n = snprintf(text, sizeof(text), "%-20lu\n", atomic_load(&made));
	(void)!pwrite(count_file, text, (size_t)n, 0);
}

static int fails(void)
{
	unsigned long n = atomic_fetch_add(&made, 1) + 1;
	if (n != atomic_load(&fail_at))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
