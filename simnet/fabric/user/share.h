/* Whose a frame is that comes from the inside of a router which maps ports. Pure. */
#ifndef SIMNET_USER_SHARE_H
#define SIMNET_USER_SHARE_H

#include "simnet/fabric/user/router.h"

/* lan: its inner side. no_udp: it drops all UDP, and none is its host's. */
enum router_share share_of(const struct router_foot *lan, bool no_udp, const struct frame *f);

#endif
