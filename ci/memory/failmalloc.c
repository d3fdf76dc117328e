/* Preloaded into a program: fails one allocation, the RW_FAIL_AT-th since its start (1 = the first), and no
 * other. With RW_FAIL_COUNT=FILE nothing fails, and the number of allocations is written there at the end.
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
static const char *count_file;

__attribute__((constructor)) static void setup(void)
{
	const char *at = getenv("RW_FAIL_AT");
	count_file = getenv("RW_FAIL_COUNT");
	/* What the loader and the constructors allocated before is not ours to fail. */
	atomic_store(&made, 0);
	atomic_store(&fail_at, at ? strtoul(at, NULL, 10) : 0);
	unsetenv("LD_PRELOAD"); /* programs that this one starts are not meant */
}

__attribute__((destructor)) static void tell(void)
{
	char text[32];
	if (!count_file)
		return;
	int fd = open(count_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int n = snprintf(text, sizeof(text), "%lu\n", atomic_load(&made));
	if (fd >= 0) {
		(void)!write(fd, text, (size_t)n);
		close(fd);
	}
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
