/* What a policy was found to say about each member and each rule. */
#ifndef RW_CONTROL_POLICY_CACHE_H
#define RW_CONTROL_POLICY_CACHE_H

#include "mesh/control/policy/rules.h"

/* One bit for each rule: the member, or what it carries, is a source (from) or a destination (to) of it;
 * autogroup:self apart. */
struct cache_member {
	const struct member *m; /* counted while it is in the cache */
	uint64_t *from, *to;
};
static inline bool cache_bit(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

/* c may be NULL: then what is found lives in a. false: memory is short. */
bool cache_member(struct policy_cache *c, const struct policy *p, const struct fleet *f,
	const struct member *m, struct arena *a, struct cache_member *out);
/* The sources (src, n_src alone) of rule `at`; of self_of's person alone where it is not NULL. */
bool cache_sources(struct policy_cache *c, const struct policy *p, size_t at, const struct fleet *f,
	const struct member *self_of, struct arena *a, struct ctl_rule *out);

/* filter.c. The same from those of v, by number, that the set names otherwise than by address. */
bool filter_list_sources(const struct selectors *set, const struct member *const *v, size_t n,
	struct arena *a, struct ctl_rule *rule);
bool filter_find_sources(const struct selectors *set, const struct fleet *f, const struct member *self_of,
	struct arena *a, struct ctl_rule *rule);

#endif
