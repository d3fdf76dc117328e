/* A small selection in a JSON value: names and '*' separated by dots, each with any of [KEY=VALUE] (an object
 * with that member) and [N] (the Nth item): "Peer.*[HostName=bob].TailscaleIPs[0]". */
#ifndef SIMNET_JSONPATH_H
#define SIMNET_JSONPATH_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include <jansson.h>

/* Appends every scalar found as a line "value\n" (true, false, numbers as JSON writes them; null and "" are
 * left out; objects and lists in compact JSON). Returns the count, or negative for a path that is not one. */
int jsonpath_select(const json_t *root, const char *path, struct buf *out, struct errbuf *eb);
bool jsonpath_good(const char *path); /* whether jsonpath_select could follow it */

#endif
