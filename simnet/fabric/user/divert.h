/* Flows of a router's inside that lead to somebody else than they think: packets that go out get another destination, the
 * answers get the old one as their source. A flow stays with what its first packet was given. IPv4. */
#ifndef SIMNET_USER_DIVERT_H
#define SIMNET_USER_DIVERT_H

#include "mesh/base/ip.h"
#include "mesh/base/table.h"

enum { DIVERTS_MAX = 4096 }; /* then all are forgotten */

struct diverts {
	struct table out, back; /* by what the inside says, by what the outside sees */
};
void diverts_init(struct diverts *d);
void diverts_fini(struct diverts *d);
/* Where the flow of a packet that goes out leads; NULL: where it says. */
const struct endpoint *divert_out(const struct diverts *d, const struct ip_view *v);
/* Whom the answer of a diverted flow must seem to come from; NULL: it is none. */
const struct endpoint *divert_back(const struct diverts *d, const struct ip_view *v);
/* Whether v, which goes out, has been diverted. */
bool divert_is_done(const struct diverts *d, const struct ip_view *v);
/* The flow of v, which goes out, leads to `to` from now on. false: memory. */
bool divert_begin(struct diverts *d, const struct ip_view *v, const struct endpoint *to);

#endif
