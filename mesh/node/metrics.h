/* Counters as Prometheus reads them (text format 0.0.4), under the names that official clients give them, so that
 * boards made for those show this node too. */
#ifndef RW_NODE_METRICS_H
#define RW_NODE_METRICS_H

#include "mesh/node/node.h"

bool metrics_write(struct node *n, struct buf *out); /* false: memory is short */

#endif
