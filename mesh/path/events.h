/* What the driver is told, and when: noted in the midst of a fact, told by path_flush. */
#ifndef RW_PATH_EVENTS_H
#define RW_PATH_EVENTS_H

#include "mesh/path/peer.h"

void events_self_changed(struct path *p);
void events_way_changed(struct path *p, struct peer *e);
/* The questions that liveness has out are due: by the direct way, or by the relay. */
void events_ask(struct path *p, struct peer *e, bool relay);
void events_answered(struct path *p, struct ping *g); /* takes g: by malloc, on no list */
void events_forget(struct path *p, struct peer *e);   /* before it is freed */
void events_free(struct path *p);
/* Tells what has been noted. What the driver's calls add meanwhile is told as well. */
void events_tell(struct path *p);

#endif
