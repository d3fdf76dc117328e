#include "mesh/os/crowd.h"

#include <stdio.h>
#include <unistd.h>

double crowd_now(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	FILE *f = fopen("/proc/loadavg", "re");
	unsigned runnable = 1;

	if (f && fscanf(f, "%*f %*f %*f %u/", &runnable) != 1)
		runnable = 1;
	if (f)
		fclose(f);
	double many = processors > 0 ? (double)runnable / (double)processors : 1;
	return many < 1 ? 1 : many;
}
