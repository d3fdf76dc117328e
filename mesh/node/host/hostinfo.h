/* What this machine says of itself to the server. tailscale-protocol.md 1.8. */
#ifndef RW_NODE_HOST_HOSTINFO_H
#define RW_NODE_HOST_HOSTINFO_H

#include "mesh/proto/control.h"

/* hostname: the one a person chose, borrowed; "" = the machine's. Other strings go to the arena. What the
 * network around is like is not known here: netinfo stays NULL. */
void hostinfo_describe(struct arena *a, const char *hostname, struct ctl_hostinfo *out);

#endif
