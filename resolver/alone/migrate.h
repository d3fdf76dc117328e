/* `convert`: configurations of dnsmasq, unbound and pi-hole, from files, as one of ours on standard output. */
#ifndef RW_RESOLVER_ALONE_MIGRATE_H
#define RW_RESOLVER_ALONE_MIGRATE_H

#include "mesh/base/err.h"

/* files[n]; from: whose they are, NULL: by what is in them. What has no counterpart is said on standard error. The exit status,
 * or an error with a sentence. */
int migrate_run(const char *const *files, int n, const char *from, struct errbuf *eb);

#endif
