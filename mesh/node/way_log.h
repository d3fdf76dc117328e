/* By which ways peers were reached lately: each change, for somebody who looks for a fault. Pure. */
#ifndef RW_NODE_WAY_LOG_H
#define RW_NODE_WAY_LOG_H

#include "mesh/base/addr.h"
#include <stddef.h>

enum { WAY_LOG_MAX = 512 }; /* of all peers together; the oldest leave */

struct way_place {
	struct endpoint at; /* unset: by a relay */
	int32_t region;	    /* its relay; 0 as well: no way was known */
};
struct way_change {
	int64_t unix_ms;
	uint64_t peer;
	struct way_place from, to;
};
struct way_log {	      /* all zero: empty */
	struct way_change *v; /* owned; NULL before the first */
	size_t n;	      /* there were */
};
/* Memory that is short leaves it out; so does a way that is what it was. */
void way_log_add(struct way_log *l, int64_t unix_ms, uint64_t peer, const struct way_place *to);
/* Of one peer, the oldest first. *at = 0 first; NULL at the end. */
const struct way_change *way_log_next(const struct way_log *l, uint64_t peer, size_t *at);
void way_log_fini(struct way_log *l);

#endif
