/* Names of machines out of files that other programs keep (hosts.h), in a zone that serves: read at the start, and
 * again whenever one of the files is another. What is new comes before what is old goes, so that a name that stays
 * is never away. */
#ifndef RW_RESOLVER_LOCAL_NAMES_H
#define RW_RESOLVER_LOCAL_NAMES_H

#include "mesh/os/loop.h"
#include "resolver/resolver.h"

struct local_source {
	const char *path; /* a file, or a folder of files */
	bool leases;
	const char *domain; /* names of one label are there below it too, and PTRs say so; NULL: none */
};
struct local_names;
/* sources are copied; every_ms: how often it is looked whether they changed, 0 = 2 s. What cannot be read is said in
 * the log, and has no names until it can. NULL with a sentence: memory is short. */
struct local_names *local_names_open(struct loop *l, struct zone *z, const struct local_source *sources,
	size_t n, uint64_t every_ms, struct errbuf *eb);
/* The names stay in the zone, which goes with its last reference. NULL is fine. */
void local_names_close(struct local_names *x);

#endif
