/* What `simnet top` shows of a network that is up: its hosts and routers, and what they have done so far. */
#ifndef SIMNET_OVERVIEW_H
#define SIMNET_OVERVIEW_H

#include "mesh/base/buf.h"

struct lab;
/* Appends a table, and the paths that are watched. false: memory. */
bool overview_write(struct lab *l, struct buf *out);

#endif
