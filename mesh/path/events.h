/* What the driver is told, and when. */
#ifndef RW_PATH_EVENTS_H
#define RW_PATH_EVENTS_H

#include "mesh/path/peer.h"

void events_self_changed(struct path *p);
void events_way_changed(struct path *p, struct peer *e);
void events_forget(struct path *p, struct peer *e); /* before it is freed */
void events_flush(struct path *p);

#endif
