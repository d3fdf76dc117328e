/* Access rules, arranged so that a packet is compared with few of them, however many there are. */
#ifndef RW_FILTER_INDEX_H
#define RW_FILTER_INDEX_H

#include "mesh/base/arena.h"
#include "mesh/base/ip.h"
#include "mesh/filter/ranges.h"

struct rule_dst {
	struct prefix net;
	bool any;
	uint16_t first, last; /* ports */
};
struct rule {
	struct ranges src[FAMILIES];
	struct rule_dst *dst;
	size_t n_dst;
	uint64_t protos[4]; /* bits */
};

struct index {
	struct index_node *nodes;
	struct index_shelf *shelves;
	struct index_group *groups;
	const struct rule **rules; /* of groups that are not merged */
	uint32_t *begins;	   /* ports at which another set of rules holds; sorted */
	size_t n_begins, n_leaves;
};
/* Of rules, which stay where they are, as all of it: in the arena. false: memory is short. */
bool index_build(struct index *x, struct arena *a, const struct rule *rules, size_t n);

/* What a rule must cover to let a packet in: its port; its address, where TCP or UDP of any port is let in as well
 * (who may connect may ping); or all ports. */
enum scope { SCOPE_PORT, SCOPE_ADDRESS, SCOPE_ALL_PORTS };
bool index_admits(const struct index *x, const struct ip_view *v, enum scope scope);

#endif
