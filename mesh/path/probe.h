/* Disco messages out, and the pings that wait for an answer. */
#ifndef RW_PATH_PROBE_H
#define RW_PATH_PROBE_H

#include "mesh/path/peer.h"

/* A ping. false: nothing was sent. */
bool probe_send(struct path *p, struct peer *e, struct place to);
/* One that somebody waits for (path_ping), padded to a datagram of size bytes where it is shorter. */
bool probe_send_asked(struct path *p, struct peer *e, struct place to, uint64_t token, uint16_t size);
/* Those of path_ping that no other end could hear (place.hops) and that nobody has answered: once more, aloud. */
void probe_aloud(struct path *p, struct peer *e);
/* One padded to a datagram of so many bytes, that asks about the size alone. */
bool probe_send_sized(struct path *p, struct peer *e, struct place to, uint16_t size);
/* Tells where we are; without (may be NULL) is left out. */
void probe_call(struct path *p, struct peer *e, const struct endpoint *without);
void probe_pong(struct path *p, struct peer *e, const struct disco_message *ping, const struct place *from);
/* A pong came: the ping that it answers is taken off the list. false: none fits. */
struct probe_answer {
	double latency_ms;
	uint16_t size;	/* that it was padded to, else 0 */
	bool by_person; /* of probe_send_asked */
};
bool probe_answered(struct path *p, const struct peer *e, const uint8_t *tx, const struct place *from,
	struct probe_answer *out);
void probe_free_all(struct path *p);
void probe_expire(struct path *p);

#endif
