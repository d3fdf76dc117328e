/* Access rules of the policy file (tailscale-protocol.md 6.3): who may see whom, and the packet filter of one
 * node. Pure: a compiled policy is immutable and asked about members. */
#ifndef RW_CONTROL_POLICY_H
#define RW_CONTROL_POLICY_H

#include "mesh/base/arena.h"
#include "mesh/base/err.h"
#include "mesh/control/fleet/fleet.h"
#include "mesh/proto/control.h"

struct policy; /* NULL stands for "no policy": everything is allowed */

/* text is changed (comments are blanked). NULL: eb says "LINE:COLUMN: PLACE: ...", PLACE as in
 * "acls[2].dst[0]", none for bad JSON. Free with policy_free. */
struct policy *policy_parse(char *text, size_t len, struct errbuf *eb);
void policy_free(struct policy *p); /* NULL is fine */
/* Sections that were read and have no effect here, comma separated; "" = none. */
const char *policy_unused(const struct policy *p);

/* Some rule lets packets from a to b pass. */
bool policy_allows(
	const struct policy *p, const struct fleet *f, const struct member *a, const struct member *b);
/* Who the sources of each rule are. They are the same for many nodes, and dear to find in a large fleet:
 * found once, until the fleet or the policy changes. All zero is empty. */
struct policy_sources {
	struct arena mem;
	struct found_sources **v; /* per rule */
};
void policy_sources_reset(struct policy_sources *s);
/* What the node lets in: rules in a's arena (and in s, which may be NULL). NULL and false when memory is
 * short. */
bool policy_filter(const struct policy *p, const struct fleet *f, struct policy_sources *s,
	const struct member *node, struct arena *a, struct ctl_rule **rules, size_t *n);
/* user may give this tag to nodes (tagOwners). */
bool policy_owns_tag(const struct policy *p, const char *tag, const char *user);
/* tag is declared in tagOwners, or there is no policy. */
bool policy_knows_tag(const struct policy *p, const char *tag);

#endif
