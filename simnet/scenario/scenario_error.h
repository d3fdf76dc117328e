/* Where something stands in a file, and all that is wrong with one. */
#ifndef SIMNET_SCENARIO_ERROR_H
#define SIMNET_SCENARIO_ERROR_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct scn_at {
	uint32_t line, column; /* from 1; line 0 = nowhere */
	const char *file;      /* of a part that was taken in by `use`; NULL = the scenario's own */
};
/* "file:line:column" of a place in `file` or one of its parts; for printf. */
#define AT_FMT "%s:%u:%u"
#define AT_ARGS(name, where) (where).file ? (where).file : (name), (where).line, (where).column

/* Everything that is wrong with a file, a line each; what passes SCN_ERRORS_MAX is counted only. */
enum { SCN_ERRORS_MAX = 50 };
struct scn_fix { /* scenario_fix.h */
	struct scn_at at;
	char word[64], near[64], file[256]; /* file: of a part; "" = the file itself */
	bool made;
};
struct scn_errors {
	struct buf text;
	unsigned n, n_fixes;
	struct scn_fix fixes[SCN_ERRORS_MAX];
};
/* all may be NULL. */
void scenario_error(struct scn_errors *all, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
