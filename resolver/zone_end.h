/* The end of a zone, which takes a moment where it has many names. */
#ifndef RW_RESOLVER_ZONE_END_H
#define RW_RESOLVER_ZONE_END_H

#include "mesh/os/loop.h"
#include "resolver/resolver.h"

/* As zone_put; the last reference to many names is given back on a thread. NULL is fine. */
void zone_end(struct loop *l, struct zone *z);

#endif
