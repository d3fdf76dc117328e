/* The set of peers and its indexes. */
#ifndef RW_PATH_PEERS_H
#define RW_PATH_PEERS_H

#include "mesh/path/path.h"

void peers_free_all(struct path *p);

#endif
