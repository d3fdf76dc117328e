/* Runs with a fault put in on purpose, and what the story must give as the cause. */
#ifndef SIMNET_TEST_STORY_ROWS_H
#define SIMNET_TEST_STORY_ROWS_H

#include <stddef.h>

struct story_row {
	const char *what, *text; /* the fault, and the scenario */
	const char *says;	 /* is in the cause */
	const char *says_not;	 /* is not; may be NULL */
};
/* Fails with the rows whose cause is another. */
void story_rows_check(const struct story_row *rows, size_t n);

#define HEAD "simnet: 1\nname: t\n"

#endif
