/* What a bench tells of its memory. */
#ifndef RW_BASE_BENCH_RESIDENT_H
#define RW_BASE_BENCH_RESIDENT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of this process, MiB. */
static inline double resident_mib(void)
{
	long pages[2] = { 0 };
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f || fscanf(f, "%ld %ld", &pages[0], &pages[1]) != 2)
		abort();
	fclose(f);
	return (double)pages[1] * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

#endif
