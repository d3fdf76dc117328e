/* Names of machines out of files that other programs keep (hosts.h), in a zone that serves: read at the start, and
 * again, on a thread, whenever one of the files is another. Where few names are others they change in the zone, what is new
 * before what is old goes, so that a name that stays is never away; where many are, a copy of the zone with the new ones
 * takes its place. */
#ifndef RW_RESOLVER_LOCAL_NAMES_H
#define RW_RESOLVER_LOCAL_NAMES_H

#include "mesh/base/buf.h"
#include "mesh/os/loop.h"
#include "resolver/resolver.h"

struct local_source {
	const char *path; /* a file, or a folder of files */
	bool leases;
	const char *domain; /* names of one label are there below it too, and PTRs say so; NULL: none */
};
struct local_names;
/* Reads them into z, which nobody else has yet; on any thread. sources are copied. What cannot be read is said in the log
 * when they are watched, and has no names until it can. NULL with a sentence: memory is short. */
struct local_names *local_names_read(
	struct zone *z, const struct local_source *sources, size_t n, struct errbuf *eb);
/* Appends to said, each with its zero, what of them cannot be read. false: memory is short. */
bool local_names_check(const struct local_source *sources, size_t n, struct buf *said);
struct local_watch {
	uint64_t every_ms; /* how often it is looked whether they changed, 0 = 2 s */
	/* From the loop: z is in the place of the zone before, whose references the owner gives back. It may close these
	 * names. */
	void (*changed)(void *arg, struct zone *z);
	void *arg;
};
/* From now on the zone changes with the files: from the loop, and nobody else changes it. false: memory is short. */
bool local_names_watch(struct local_names *x, struct loop *l, const struct local_watch *w);
/* The names stay in the zone, which goes with its last reference. NULL is fine. */
void local_names_close(struct local_names *x);

#endif
