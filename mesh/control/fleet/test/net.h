/* A small fleet for tests: users alice (1) and bob (2), nodes made by net_add. */
#ifndef RW_CONTROL_FLEET_TEST_NET_H
#define RW_CONTROL_FLEET_TEST_NET_H

#include "mesh/control/fleet/fleet.h"

void net_init(struct fleet *f);
/* net_init and 1 alice's laptop, 2 alice's phone, 3 bob's laptop, 4 tagged tag:web, 5 tagged tag:db. */
void net_make(struct fleet *f);
/* tags: one tag or NULL. Node id N has 100.64.0.N and fd7a:115c:a1e0::N and keys full of N. */
struct member *net_add(struct fleet *f, int64_t id, const char *name, int64_t user, const char *tag);
/* The member replaced by what draft says. */
struct member *net_put(struct fleet *f, const struct member *draft);

#endif
