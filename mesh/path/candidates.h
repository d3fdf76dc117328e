/* The places where a peer may be. */
#ifndef RW_PATH_CANDIDATES_H
#define RW_PATH_CANDIDATES_H

#include "mesh/path/peer.h"

struct candidate *candidates_find(struct peer *e, const struct endpoint *at);
bool candidates_sendable(const struct endpoint *at);
/* NULL: nothing can be sent there, or memory is short. */
struct candidate *candidates_add(struct path *p, struct peer *e, const struct endpoint *at, uint8_t from);
/* Room for n in all, CANDIDATES_MAX at most. false: memory is short. */
bool candidates_reserve(struct peer *e, size_t n);
/* Before the same source names its new list; sweep then drops those that nobody names any more. */
void candidates_forget(struct path *p, struct peer *e, uint8_t from);
void candidates_sweep(struct path *p, struct peer *e);
void candidates_prove(struct path *p, struct peer *e, struct candidate *c);
bool candidates_usable(const struct path *p, const struct candidate *c);
double candidates_cost(const struct path *p, const struct endpoint *at, double latency_ms);
bool candidates_on_our_link(const struct path *p, const struct addr *a);
/* Of one /24 with where we are seen: between its box and ours there may be nothing. */
bool candidates_is_neighbour(const struct path *p, const struct addr *a);
bool candidates_is_self(const struct path *p, const struct endpoint *at);

#endif
