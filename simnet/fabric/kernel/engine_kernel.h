/* Engines over bridges in a namespace of their own: routers and links by veth pairs and nftables, or in userspace by TAP
 * devices (simnet/fabric/user). */
#ifndef SIMNET_ENGINE_KERNEL_H
#define SIMNET_ENGINE_KERNEL_H

#include "simnet/fabric/engine.h"

extern const struct engine_ops engine_auto; /* the kernel, and userspace what the kernel cannot be */
/* The kernel alone. open: ERR_UNSUPPORTED where a router is a NAT, or a link, that it cannot be. */
extern const struct engine_ops engine_kernel;
extern const struct engine_ops engine_user; /* every router in userspace */

/* Whether this engine can be such a NAT; if not, why: what it cannot, in words. Static text. */
bool kernel_can(const struct nat_model *m, const char **why);

#endif
