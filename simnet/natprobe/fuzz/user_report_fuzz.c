#include "simnet/natprobe/user_report.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is read can be written as a scenario, whatever it says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct user_report r;
	struct errbuf eb;
	struct buf text = { 0 };

	if (user_report_read((const char *)data, len, &r, &eb))
		return 0;
	struct user_guess g = user_report_guess(&r);
	if (!user_report_scenario(&r, &g, "home", &text) || user_report_differs(&r, &r))
		abort();
	buf_free(&text);
	return 0;
}
