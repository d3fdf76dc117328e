/* Maps for the tests of all rooms, made from the server's words. */
#ifndef RW_NETMAP_TEST_TOLD_MAP_H
#define RW_NETMAP_TEST_TOLD_MAP_H

#include "mesh/netmap/netmap.h"

/* The map after a message, told at the epoch; before: NULL, or the map that it follows. The caller puts it. What cannot
 * be read fails the test. */
struct netmap *told_map(const struct netmap *before, const char *json);

#endif
