#include "simnet/report/runs.h"
#include "simnet/report/story.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A record from a stranger's folder, in every view that there is of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct runs *r = NULL;
	struct runs_look look = { .out = fopen("/dev/null", "we"), .colour = true };

	if (look.out && !runs_read((const char *)data, len, &r, NULL)) {
		for (size_t i = 0; i < runs_count(r); i++) {
			unsigned n = runs_steps(r, i);
			(void)runs_explain(r, i, 0, &look, NULL);
			for (unsigned step = 0; step <= n && step < 4; step++) {
				(void)runs_explain(r, i, step, &look, NULL);
				runs_replay(r, i, step, &look);
			}
			if (n < 20 && runs_diff(r, r, i, &look))
				abort();
		}
		(void)report_write(REPORT_JUNIT, (const char *)data, len, look.out, NULL);
	}
	runs_free(r);
	if (look.out)
		fclose(look.out);
	return 0;
}
