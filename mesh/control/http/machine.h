/* What nodes ask inside Noise: to be let in, and for their map. A registration that is not decided, or not
 * stored, is held open; of it only what approval needs is kept. */
#ifndef RW_CONTROL_HTTP_MACHINE_H
#define RW_CONTROL_HTTP_MACHINE_H

#include "mesh/control/http/api.h"

struct machines {
	struct waiter *first, **end; /* registrations held open, oldest first */
	size_t n;
};
void machines_init(struct machines *m);
/* An admin has decided about this id, or it is known again. */
void machines_decided(struct machines *m, const char *pending);
/* Its machine has taken it back, over another connection: who still waits is told so. */
void machines_withdrawn(struct machines *m, const char *pending);
/* The list of those that wait is short; one that was dropped from it while its node still waits comes back.
 */
void machines_recall(struct machines *m, const char *pending);
/* A client of that version cannot be served, and was told. */
bool machine_is_old(struct h2_stream *s, unsigned version);
void machines_close(struct machines *m); /* answers all */

#endif
