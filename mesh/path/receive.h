/* Disco messages in. */
#ifndef RW_PATH_RECEIVE_H
#define RW_PATH_RECEIVE_H

#include "mesh/path/peer.h"

/* from by UDP when region is 0, else through that relay by the node via. true: it was disco (consumed). */
bool receive_disco(struct path *p, const struct endpoint *from, int32_t region, const struct node_key *via,
	const uint8_t *b, size_t len);

#endif
