/* What the map says of a peer. Of most peers of a big mesh there is no more than this: what a conversation needs, struct
 * peer, is made when the first packet goes to the peer or comes from it. */
#ifndef RW_PATH_CARD_H
#define RW_PATH_CARD_H

#include "mesh/path/peer.h"

struct card {
	uint64_t id;
	struct node_key key;
	struct disco_key disco;
	int32_t home;
	uint8_t n_named;
	struct endpoint *named; /* by the map, those that can be sent to; owned. Once there is a peer: NULL */
	struct peer *peer;	/* owned; NULL: not made yet */
	struct card *same_disco; /* next one with this disco key */
};

struct card *card_find(const struct path *p, uint64_t id);
struct card *card_by_key(const struct path *p, const struct node_key *key);
/* Only while there is no peer. false: memory short, and it has what it had. */
bool card_name(struct card *c, const struct endpoint *v, size_t n);
struct peer *card_peer(struct path *p, struct card *c); /* made if need be; NULL: c is, or memory is short */

struct peer *peer_find(struct path *p, uint64_t id); /* made if need be; NULL: unknown, or memory is short */
struct peer *peer_made(const struct path *p, uint64_t id); /* NULL: unknown, or nothing has passed yet */
/* For questions: *blank is filled, as one that nothing has passed to, and returned where none is made. NULL: unknown.
 * Where its candidates are is not to be looked at. */
const struct peer *peer_look(const struct path *p, uint64_t id, struct peer *blank);

bool card_index_disco(struct path *p, struct card *c); /* false: memory short */
void card_unindex_disco(struct path *p, struct card *c);

#endif
