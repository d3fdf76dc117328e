/* What a resolver that runs has counted, in the forms that are asked for. */
#ifndef RW_RESOLVER_ALONE_NUMBERS_H
#define RW_RESOLVER_ALONE_NUMBERS_H

#include "mesh/base/buf.h"
#include "resolver/alone/running.h"

/* All appended to out; false: memory is short. */
bool numbers_json(const struct running *s, const char *first,
	struct buf *out);					/* one object; first: a member of ours */
bool numbers_line(const struct running *s, struct buf *out);	/* "stats queries=1 ..." */
bool numbers_metrics(const struct running *s, struct buf *out); /* Prometheus's text format, version 0.0.4 */

#endif
