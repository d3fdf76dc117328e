/* What this machine says of itself to the server. tailscale-protocol.md 1.8. */
#ifndef RW_NODE_HOST_HOSTINFO_H
#define RW_NODE_HOST_HOSTINFO_H

#include "mesh/node/node.h"

/* Strings go to the arena. */
void hostinfo_describe(struct node *n, struct arena *a, struct ctl_hostinfo *out);

#endif
