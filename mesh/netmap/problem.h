/* What of a message is not used, while the next snapshot is made: addresses that a server may not give away,
 * and what the reader left out. Used inside mesh/netmap only. */
#ifndef RW_NETMAP_PROBLEM_H
#define RW_NETMAP_PROBLEM_H

#include "mesh/netmap/netmap.h"

struct problem_list {
	struct arena arena; /* of the texts made here, and of nodes that were made usable */
	struct ctl_problem v[CTL_PROBLEMS_MAX];
	size_t n, more, more_found; /* more_found: of more, those of problem_note_found */
};

/* p's texts live as long as the list's arena. */
void problem_note(struct problem_list *l, const struct ctl_problem *p);
/* The same of what each map is looked through for, so that it is not counted on from one to the next. */
void problem_note_found(struct problem_list *l, const struct ctl_problem *p);
/* It is told to have an address, which another has; noted anew for each map in which it is so (problem_note_found). */
void problem_note_lost(struct problem_list *l, const struct ctl_node *it, const struct prefix *address,
	const struct ctl_node *owner);
/* The node without the addresses it may not have, each of them noted: told itself, or *copy, which lives as
 * long as the list's arena. self: ours, or NULL while it is not known. */
const struct ctl_node *problem_usable_peer(struct problem_list *l, const struct ctl_node *told,
	const struct ctl_node *self, struct ctl_node *copy);
const struct ctl_node *problem_usable_self(
	struct problem_list *l, const struct ctl_node *told, struct ctl_node *copy);
/* Adds what the reader left out of m, and those of old (may be NULL) that m did not end: a problem ends when
 * the server says its node or its member anew, or the node is gone. next: the peers after m. */
void problem_list_finish(struct problem_list *l, const struct netmap *next, const struct netmap *old,
	const struct ctl_map_response *m);
bool problem_list_equal(const struct problem_list *l, const struct netmap *m);

#endif
