/* Who users are at the providers they log in by, in memory as the database has it. A provider and its name for somebody
 * (issuer and subject) are the person; an e-mail address, which may move from one to another, is not. */
#ifndef RW_CONTROL_FLEET_PEOPLE_H
#define RW_CONTROL_FLEET_PEOPLE_H

#include "mesh/base/table.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PERSON_TEXT = 256 };
struct person {
	int64_t user; /* of the fleet; each has one person at most */
	char issuer[PERSON_TEXT], subject[PERSON_TEXT];
	char email[PERSON_TEXT], display[PERSON_TEXT]; /* as the provider said last; "" = nothing */
	const char *
		groups; /* what it calls them, a line each; NULL = none. Borrowed, and not kept in memory ... */
	bool has_groups; /* ... but that the database has some */
};
struct people {
	struct table by_identity, by_user; /* -> struct person, owned */
};
void people_init(struct people *p, uint64_t seed);
void people_fini(struct people *p);
bool people_put(struct people *p,
	const struct person *who);		    /* copied, in the place of the user's; false: no memory */
void people_remove(struct people *p, int64_t user); /* none there is fine */
const struct person *people_find(const struct people *p, const char *issuer, const char *subject);
const struct person *people_of_user(const struct people *p, int64_t user);

#endif
