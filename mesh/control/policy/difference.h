/* What another policy would change, in effect: who gains or loses what towards whom. */
#ifndef RW_CONTROL_POLICY_DIFFERENCE_H
#define RW_CONTROL_POLICY_DIFFERENCE_H

#include "mesh/control/policy/policy.h"

struct difference_row {
	bool gains;		 /* else loses */
	struct ctl_strings from; /* names of nodes; none: it is about the nodes of `to` themselves */
	struct ctl_strings to;	 /* names of nodes, or one net that is carried */
	const char *what;	 /* "tcp 22, ssh as root" */
};
struct difference {
	struct difference_row *v;
	size_t n;
	bool cut; /* there is more, or there are more kinds of nodes than are compared */
};
/* All in a, and in the fleet. NULL policies: everything is allowed. false: memory is short. */
bool policy_difference(const struct policy *old, const struct policy *now, const struct fleet *f,
	struct arena *a, struct difference *out);

#endif
