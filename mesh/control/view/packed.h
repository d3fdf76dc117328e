/* Map messages as they are sent, and what of them many viewers share: the peers of a whole map in spans of
 * numbers, and the last change. With n nodes that join one after the other, what is told grows with n * n;
 * what is written and packed must not. */
#ifndef RW_CONTROL_VIEW_PACKED_H
#define RW_CONTROL_VIEW_PACKED_H

#include "mesh/base/buf.h"
#include "mesh/control/view/view.h"

struct packed {
	struct table spans;	  /* number of the span -> struct span: its peers, packed for a few capability
				     versions */
	struct packed_last *last; /* the last change that many are told alike; may be NULL */
	struct packed_front
		*front;	  /* what changes begin with that are otherwise each viewer's own; may be NULL */
	struct buf whole; /* the last whole map; its room is there for the next */
	struct map_packer *packer; /* NULL: none was needed yet */
};
void packed_init(struct packed *p, uint64_t seed);
void packed_fini(struct packed *p);
void packed_forget(struct packed *p, int64_t id); /* that member has changed */

/* Frames are p's, and good until the next call of the same function; NULL: memory is short. */
/* The first message of a stream. */
const struct buf *packed_whole(
	struct packed *p, const struct view_context *c, const struct member *self, struct view *v, bool zstd);
/* Any other message. */
const struct buf *packed_change(
	struct packed *p, const struct view_context *c, const struct ctl_map_response *r, bool zstd);

#endif
