#include "simnet/test/story_rows.h"

#include "simnet/test/scenario_run.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What the story gives as the cause: that line alone. Heap memory. */
static char *cause_of(const char *records)
{
	const char *at = records ? strstr(records, "\"kind\":\"cause\"") : NULL;
	return at ? strndup(at, strcspn(at, "\n")) : NULL;
}

static bool is_named(const struct story_row *row)
{
	char *records = NULL;
	int code = scenario_run(row->text, &records);
	char *cause = cause_of(records);
	bool good = code == EXIT_FAILED && cause && strstr(cause, row->says) &&
		    (!row->says_not || !strstr(cause, row->says_not));
	if (!good)
		fprintf(stderr, "%s: code %d\n%s\n%s\n", row->what, code, records ? records : "",
			cause ? cause : "no cause");
	free(cause);
	free(records);
	return good;
}

void story_rows_check(const struct story_row *rows, size_t n)
{
	unsigned right = 0;
	char wrong[2000] = "";

	for (size_t i = 0; i < n; i++) {
		bool good = is_named(&rows[i]);
		right += good;
		if (!good)
			snprintf(wrong + strlen(wrong), sizeof(wrong) - strlen(wrong), " '%s'", rows[i].what);
	}
	if (right != n)
		fail_msg("the cause is named in %u of %zu, not of:%s", right, n, wrong);
}
