/* The relay map. */
#ifndef RW_PATH_MAP_H
#define RW_PATH_MAP_H

#include "mesh/path/path.h"

void map_free(struct path *p);

#endif
