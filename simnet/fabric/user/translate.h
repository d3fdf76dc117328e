/* What a router does to packets of IPv6 beside its NAT. NAT64 (RFC 6146, 7915): the other family's form. Between the two the
 * inside's IPv6 address is in the place of an IPv4 one by its last four bytes, which the NAT replaces or has put there. */
#ifndef SIMNET_USER_TRANSLATE_H
#define SIMNET_USER_TRANSLATE_H

#include "mesh/base/nat64.h"
#include "simnet/fabric/user/eth.h"
#include "simnet/scenario/nptv6.h"

/* An IPv6 packet to an address of the prefix, parsed as v, becomes one of IPv4. about: whose packet an ICMP error is about;
 * unspecified: it is none. false, and f is as it was: IPv4 has no form for it. */
bool translate_out(const struct nat64 *n, struct frame *f, const struct ip_view *v, struct addr *about);
/* An IPv4 packet to `inside` becomes one of IPv6. false, and f is as it was: IPv6 has no form for it, or it would be too
 * large. */
bool translate_in(const struct nat64 *n, struct frame *f, const struct ip_view *v, const struct addr *inside);

/* NPTv6: one end of an IPv6 packet is as the outside knows it, or as the inside has it; of a packet that an ICMP error is
 * about the other one. No checksum changes. */
void translate_prefix(const struct nptv6 *n, uint8_t *ip, const struct ip_view *v, enum eth_end end);

#endif
