/* pi-hole's gravity.db: which lists at which addresses, what was allowed and denied by hand, and for which clients. What the
 * lists hold is not taken: they are fetched anew. */
#ifndef RW_RESOLVER_ALONE_GRAVITY_H
#define RW_RESOLVER_ALONE_GRAVITY_H

#include "mesh/base/err.h"
#include "resolver/convert/target.h"

/* Read alone. An error: it is no such database. */
int gravity_read(struct target *t, const char *path, struct errbuf *eb);

#endif
