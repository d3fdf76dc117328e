/* By which gateway and interface the machine reaches what the node talks to. A way may move while both
 * interfaces stay up and every address stays: TCP connections die slowly then, and NAT mappings at once. */
#ifndef RW_NODE_HOST_UPLINKS_H
#define RW_NODE_HOST_UPLINKS_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"

enum { UPLINKS_MAX = 64 };
struct uplinks;
struct uplinks *uplinks_open(struct errbuf *eb); /* in the calling thread's network namespace */
void uplinks_close(struct uplinks *u);		 /* NULL is fine */
/* Remembers the way to `to` as it is now; known already: nothing. The one noted longest ago gives way. */
void uplinks_note(struct uplinks *u, const struct addr *to);
/* Looks again at all that were noted, after the machine's routes changed; into out those whose way is another
 * now. Returns how many. */
size_t uplinks_moved(struct uplinks *u, struct addr out[static UPLINKS_MAX]);

#endif
