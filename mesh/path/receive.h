/* Disco messages in. */
#ifndef RW_PATH_RECEIVE_H
#define RW_PATH_RECEIVE_H

#include "mesh/path/peer.h"

/* via: who sent it, when it came through a relay. true: it was disco (consumed). */
bool receive_disco(
	struct path *p, const struct place *from, const struct node_key *via, const uint8_t *b, size_t len);

#endif
