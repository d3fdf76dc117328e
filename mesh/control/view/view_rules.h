/* What the access rules say to one viewer: its packet filter, who may log in on it, what it is told of
 * itself, and which routes of its peers. */
#ifndef RW_CONTROL_VIEW_RULES_H
#define RW_CONTROL_VIEW_RULES_H

#include "mesh/control/view/view.h"

/* What was found out about members as they are, by the rules as they are. */
struct policy_cache *view_rules_cache(const struct view_context *c);
/* The filter as one named slot, the logins where the policy speaks of any (now, or when *logins was set), and
 * the digest of both. */
bool view_rules_add(const struct view_context *c, const struct member *self, bool *logins, struct arena *a,
	uint8_t hash[static VIEW_HASH], struct ctl_map_response *out);
/* policy_filter_mark of self; another than any while its key has ended. false: memory is short. */
bool view_rules_mark(const struct view_context *c, const struct member *self, uint64_t *mark);
/* CapMap of self's own node, as JSON in a; NULL: memory is short. */
const char *view_rules_caps(const struct view_context *c, const struct member *self, struct arena *a);
/* The routes that self is told of by peer, in a; all: those that peer serves. A number that stands for them.
 */
uint64_t view_rules_routes(const struct view_context *c, const struct member *self, const struct member *peer,
	struct arena *a, struct ctl_prefixes *out, bool *all);

#endif
