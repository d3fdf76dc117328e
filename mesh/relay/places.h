/* Who may hold a connection when there are more askers than places: so many in all, and so many for one
 * address (IPv6: one /64), since one host opens as many as it likes with fresh keys. The next one from an
 * address that has its share, or when all places are taken, gets the place of one that is idle: of the same
 * address, or of the address that holds most. One that never had a packet is idle after a short while, others
 * after a longer one. Pure: the clock is handed in. */
#ifndef RW_RELAY_PLACES_H
#define RW_RELAY_PLACES_H

#include "mesh/base/addr.h"
#include "mesh/base/table.h"

enum { PLACES_STRANGER_IDLE_MS = 1500, PLACES_BUSY_IDLE_MS = 60000 };

struct place {
	struct place_address *from;
	struct place *next, **at; /* of the same address, the longest idle first */
	uint64_t active_ms;
	bool busy;		     /* it had a packet */
	void (*leave)(void *holder); /* ends the connection, and with it the place; the holder's to set */
	void *holder;
};
struct places {
	struct table by_address;
	size_t n, max, per_address;
};

void places_init(struct places *p, size_t max, size_t per_address, uint64_t seed);
void places_fini(struct places *p); /* all have left */
/* A place for one more from ip, after somebody idle was made to leave where that is needed. NULL: all that
 * could go are not idle, or memory is short. */
struct place *places_take(struct places *p, const struct addr *ip, uint64_t now_ms);
void place_used(struct place *at, uint64_t now_ms); /* a packet came or went; NULL is fine, here and below */
void place_end(struct places *p, struct place *at);

#endif
