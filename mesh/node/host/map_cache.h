/* The last map, on disk: the mesh is there after a start without the server. Written soon after each change,
 * by another thread: a big map takes long to write out and to sync, and packets do not wait for it. */
#ifndef RW_NODE_HOST_MAP_CACHE_H
#define RW_NODE_HOST_MAP_CACHE_H

#include "mesh/netmap/netmap.h"
#include "mesh/os/loop.h"

struct map_cache;
/* dir, the state folder, is borrowed. NULL: memory is short. */
struct map_cache *map_cache_open(struct loop *l, const char *dir);
void map_cache_close(struct map_cache *c); /* what is due is written first; NULL is fine */
/* This is the newest map: takes a reference of its own. */
void map_cache_changed(struct map_cache *c, struct netmap *m);
void map_cache_flush(struct map_cache *c);  /* what is due is on disk, or cannot be, when it returns */
void map_cache_forget(struct map_cache *c); /* nothing is due, and the file is gone; NULL is fine */
const char *map_cache_unsaved(
	const struct map_cache *c); /* why the file is older than the map; "" = it is not */

#endif
