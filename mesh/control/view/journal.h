/* What members were before they changed, for as long as a viewer has not been told. The fleet itself is what
 * they are now; both together give any viewer its difference without a record of what each was told. */
#ifndef RW_CONTROL_VIEW_JOURNAL_H
#define RW_CONTROL_VIEW_JOURNAL_H

#include "mesh/control/fleet/fleet.h"

/* A member that is not what it was. */
struct journal_pair {
	int64_t id;
	const struct member *old; /* NULL: was not there. Borrowed from the journal. */
};
/* All that has changed since some moment, each member once, by id. */
struct journal_since {
	uint64_t from, to; /* of which moment it is the answer, and when it was made */
	struct journal_pair *v;
	size_t n, size;
	bool identity; /* some change was of who somebody is, not only where */
};
struct journal {
	struct journal_entry *v; /* oldest first, from v[at] */
	size_t at, n, size;
	uint64_t now; /* number of the last change */
	struct journal_since since;
};

/* old may be NULL. false: memory is short, and nobody can be told of this change alone. */
bool journal_add(struct journal *j, int64_t id, const struct member *old, bool identity);
/* Something else has changed that all viewers are told: settings. */
void journal_touch(struct journal *j);
/* Every viewer has been told what happened up to and with `told`. */
void journal_drop(struct journal *j, uint64_t told);
/* What changed after `told`; valid until the journal changes. NULL: memory is short. */
const struct journal_since *journal_since(struct journal *j, uint64_t told);
const struct journal_pair *journal_find(const struct journal_since *s, int64_t id);
void journal_free(struct journal *j);

#endif
