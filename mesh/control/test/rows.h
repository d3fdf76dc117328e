/* Tables of calls of the API, each with what it is answered. cmocka.h comes first. */
#ifndef RW_CONTROL_TEST_ROWS_H
#define RW_CONTROL_TEST_ROWS_H

#include "mesh/control/test/world.h"

/* A call, what it is answered with, and one thing that the answer says: "path.0.to" and its text, or
 * "*" for any but null. */
struct row {
	const char *method, *target, *body;
	int status;
	const char *at, *want;
};
/* With this key; the test fails at the first that is answered otherwise. */
void rows_run(struct world *w, const char *key, const struct row *rows, size_t n);
/* "path.0.to" in v as text; JSON where it is none, "nothing" where it is not there. */
void rows_text_at(const json_t *v, const char *path, char out[static 256]);

#endif
