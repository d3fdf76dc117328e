/* What holds the peers of a snapshot: in the order of their numbers, a few in a row as one counted chunk. The next snapshot
 * shares the chunks that it does not change, so that one peer's change takes, and two snapshots are compared by, what one
 * chunk holds and a step for each of the others, however many peers there are. */
#ifndef RW_NETMAP_CHUNKS_H
#define RW_NETMAP_CHUNKS_H

#include "mesh/netmap/peers.h"

#define ENDS_MANY UINT32_MAX
enum { CHUNK_PEERS = 64 };

struct netmap_chunk {	  /* one that two have is never changed */
	unsigned refs, n; /* n: 1 or more */
	const struct netmap_peer *peers[CHUNK_PEERS];
	uint64_t keys[CHUNK_PEERS]; /* key_start of each: who looks for a key need not look at each peer */
	/* address_end of what each is told to have, for who looks for an address: one twice, none as zeros, and ENDS_MANY
	 * in the place of more than two. */
	uint32_t ends[CHUNK_PEERS][2];
};

/* The first bytes of a node key; of two keys the one that is less has the lesser one, or the same. */
uint64_t key_start(const struct node_key *key);
/* The last bytes of an address, by which those of a mesh differ. */
uint32_t address_end(const struct addr *a);

/* A new peer with one reference. NULL: memory short. */
struct netmap_peer *peer_new(const struct ctl_node *node);
const struct netmap_peer *peer_get(const struct netmap_peer *p);
void peer_put(const struct netmap_peer *p); /* NULL is fine */
/* As the server says it: p itself, but where that is without some of its addresses (owners.h). */
const struct netmap_peer *peer_told(const struct netmap_peer *p);

/* to, which is empty, gets the same. false: memory short, and it is empty. */
bool chunks_share(struct netmap_chunks *to, const struct netmap_chunks *from);
void chunks_free(struct netmap_chunks *c); /* empty and usable afterwards */
const struct netmap_peer *chunks_find(const struct netmap_chunks *c, int64_t id); /* NULL: none */
/* Takes the reference of p, in the place of one with its number. false: memory short, nothing has changed. */
bool chunks_put(struct netmap_chunks *c, const struct netmap_peer *p);
/* One that is not there is fine. false: memory short, nothing has changed. */
bool chunks_remove(struct netmap_chunks *c, int64_t id);
size_t chunks_count(const struct netmap_chunks *c);
/* All of them in a row; the caller's array. NULL: memory short. */
const struct netmap_peer **chunks_list(const struct netmap_chunks *c);

#endif
