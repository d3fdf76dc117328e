#include "mesh/os/crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The number that a file has at such a place; `none` where there is none. */
static unsigned number_in(const char *path, const char *format, unsigned none)
{
	FILE *f = path ? fopen(path, "re") : NULL;
	unsigned number;

	if (!f || fscanf(f, format, &number) != 1)
		number = none;
	if (f)
		fclose(f);
	return number;
}

double crowd_now(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned runnable = number_in("/proc/loadavg", "%*f %*f %*f %u/", 1);
	unsigned idle = number_in(getenv("RW_IDLE_TASKS"), "%u", 0);

	runnable = idle < runnable ? runnable - idle : 1;
	double many = processors > 0 ? (double)runnable / (double)processors : 1;
	return many < 1 ? 1 : many;
}
