/* Whether a name in a rule stands for a node, and for what is behind it. */
#ifndef RW_CONTROL_POLICY_MATCH_H
#define RW_CONTROL_POLICY_MATCH_H

#include "mesh/control/policy/rules.h"

bool selectors_have(const struct selectors *set, enum selector_kind kind);
/* m itself, as a source. */
bool match_any(const struct selectors *set, const struct fleet *f, const struct member *m);
/* m itself, or a subnet that it carries, is a source of the rule. */
bool match_from(const struct access_rule *r, const struct fleet *f, const struct member *m);
/* The same as a destination, autogroup:self apart. */
bool match_to(const struct access_rule *r, const struct fleet *f, const struct member *m);
/* A target of the rule is the node itself, autogroup:self apart. */
bool match_target(const struct selector *s, const struct fleet *f, const struct member *m);
/* What autogroup:internet is, in a: IPv4 without private ranges, the mesh's own and link-local; global IPv6. NULL:
 * memory is short. */
const struct prefix *internet_nets(struct arena *a, size_t *n);
/* Who has that role is meant by s, a SELECT_ROLE. */
bool match_role(const struct selector *s, enum user_role role);
/* Both are of one person: what autogroup:self means. */
bool match_same_person(const struct member *a, const struct member *b);
/* m is one of those a grant goes by. */
bool match_via(const struct access_rule *r, const struct member *m);
/* net (bits 0: an exit) is a source or a destination of the rule by what the rule says of addresses. */
bool match_net_from(const struct access_rule *r, const struct prefix *net);
bool match_net_to(const struct access_rule *r, const struct prefix *net);
/* All of net (bits 0: an exit) is meant. */
bool match_net_whole(const struct selectors *who, const struct prefix *net);
bool match_is_exit(const struct member *m);

#endif
