/* Does the direct way carry data? */
#ifndef RW_PATH_LIVENESS_H
#define RW_PATH_LIVENESS_H

#include "mesh/path/peer.h"

void liveness_begin(struct path *p, struct peer *e); /* another direct way was chosen */
void liveness_sent(struct path *p, struct peer *e);
void liveness_wake(struct path *p, struct peer *e);		   /* a question may be due sooner */
uint64_t liveness_due(const struct path *p, const struct peer *e); /* ms; UINT64_MAX = nothing to ask */
void liveness_step(struct path *p, struct peer *e);

#endif
