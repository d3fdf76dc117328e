/* Deep copies of decoded messages into another arena. NULL: memory short (the arena has failed). */
#ifndef RW_PROTO_CONTROL_COPY_H
#define RW_PROTO_CONTROL_COPY_H

#include "mesh/proto/control.h"

struct ctl_derp_map *ctl_derp_map_copy(struct arena *a, const struct ctl_derp_map *m);

#endif
