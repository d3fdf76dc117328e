/* IPv6 prefixes that a router exchanges, address by address and without a state (RFC 6296). Pure. */
#ifndef SIMNET_NPTV6_H
#define SIMNET_NPTV6_H

#include "mesh/base/addr.h"

struct nptv6 {			     /* both are /48, masked */
	struct addr inside, outside; /* unspecified inside: there is none */
};
bool nptv6_is_there(const struct nptv6 *n);
bool nptv6_is_inside(const struct nptv6 *n, const struct addr *a);
bool nptv6_is_outside(const struct nptv6 *n, const struct addr *a);
/* An inside address as the outside knows it, and back. The subnet's number makes up for the prefix, so that no checksum
 * changes; its last one, ffff, is nobody's (RFC 6296 3.1). */
struct addr nptv6_out(const struct nptv6 *n, const struct addr *inside);
struct addr nptv6_in(const struct nptv6 *n, const struct addr *outside);

#endif
