#include "simnet/scenario/scenario_error.h"

#include <stdarg.h>
#include <stdio.h>

void scenario_error(struct scn_errors *all, const char *fmt, ...)
{
	char line[400];
	va_list ap;

	if (!all || all->n++ >= SCN_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	(void)buf_printf(&all->text, "%s\n", line);
}
