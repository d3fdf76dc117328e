/* How many questions a client may ask: so many a second, and those of ten seconds at once. A client is an IPv4 address
 * or the /64 of an IPv6 one. The table has a fixed size, whoever asks: where there are more clients than places,
 * those that have been quiet the longest are forgotten, which is in their favour. */
#ifndef RW_RESOLVER_RATE_H
#define RW_RESOLVER_RATE_H

#include "mesh/base/addr.h"

enum { RATE_BURST_S = 10, RATE_CLIENTS = 4096 };

struct rate;
struct rate *rate_new(uint32_t per_s, const uint64_t seed[2]); /* per_s > 0. NULL: memory short */
void rate_free(struct rate *r);				       /* NULL is fine */
/* One question. false: it is one too many. */
bool rate_take(struct rate *r, const struct addr *client, uint64_t now_ms);

#endif
