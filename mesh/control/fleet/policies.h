/* What the access rules were, in the order in which they came into force: the newest texts are in the database,
 * what is known of each is here. */
#ifndef RW_CONTROL_FLEET_POLICIES_H
#define RW_CONTROL_FLEET_POLICIES_H

#include "mesh/control/fleet/fleet.h"

/* Older ones are forgotten. */
enum { POLICIES_KEPT = 100, POLICIES_AUTHOR = 128, POLICIES_TAG = 65 };

struct policy_version {
	int64_t id, created_ms;
	char author[POLICIES_AUTHOR]; /* who set it, or the file that it was read from */
	char tag[POLICIES_TAG];	      /* of the text */
	size_t len;
};
struct policies {
	struct policy_version v[POLICIES_KEPT]; /* by id */
	size_t n;
	char *text; /* of the newest; NULL = there is none */
};

void policies_init(struct policies *p);
void policies_fini(struct policies *p);
void policies_add(struct policies *p, const struct policy_version *v); /* the newest so far */
bool policies_text(struct policies *p, const char *text); /* of it, copied. false: memory is short, p stays */
const struct policy_version *policies_newest(const struct policies *p); /* NULL = none */
const struct policy_version *policies_by_id(const struct policies *p, int64_t id);

#endif
