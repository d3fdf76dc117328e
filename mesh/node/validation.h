/* Whether what nameservers say is validated (DNSSEC) on this machine: ropewalkd --dnssec. Of the default route alone:
 * names of the mesh, and those that the network has servers of its own for, are signed by nobody above them. */
#ifndef RW_NODE_VALIDATION_H
#define RW_NODE_VALIDATION_H

#include "mesh/proto/control.h"
#include "resolver/listen.h"

/* Embedded in its owner, who sets the first and leaves the rest at zero. */
struct validation {
	const char *anchors; /* a file, borrowed; NULL: nothing is validated */
	char *insecure; /* names that need not be signed, a line each, as the resolver has them; NULL: it has not */
};
/* The routes that `c` has and the resolver is about to get; dns may be NULL. What can be true afterwards is: where
 * nothing can be validated, names of the default route do not resolve, and the error says what to do. */
int validation_serve(struct validation *v, struct resolver_server *s, const struct resolver_config *c,
	const struct ctl_dns *dns, struct errbuf *eb);
void validation_leave(struct validation *v); /* the resolver is closed */

#endif
