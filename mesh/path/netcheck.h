/* Reports: STUN to the relays of the map. */
#ifndef RW_PATH_NETCHECK_H
#define RW_PATH_NETCHECK_H

#include "mesh/path/path.h"

void netcheck_start(struct path *p, bool full);
/* What a running one has sent may have gone nowhere. */
void netcheck_again(struct path *p);
bool netcheck_received(
	struct path *p, enum path_socket at, const struct endpoint *from, const uint8_t *b, size_t len);
void netcheck_ask_spare(struct path *p); /* where the spare socket is seen: spare_seen */
void netcheck_tick(struct path *p);
void netcheck_session(struct path *p); /* a session began: keep the report young */

#endif
