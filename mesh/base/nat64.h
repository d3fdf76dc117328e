/* IPv4 behind a translator, as IPv6 addresses (RFC 6052), and how the prefix is found (RFC 7050). */
#ifndef RW_BASE_NAT64_H
#define RW_BASE_NAT64_H

#include "mesh/base/addr.h"

#define NAT64_NAME "ipv4only.arpa" /* has IPv4 addresses alone: an IPv6 answer was made by DNS64 */

struct nat64 {
	struct addr prefix;
	uint8_t bits; /* 32, 40, 48, 56, 64 or 96; 0 = none is known */
};

extern const struct nat64
	nat64_well_known; /* 64:ff9b::/96: leads to the IPv4 internet alone (RFC 6052 3.1) */

enum { NAT64_SET_MAX = 4 };
struct nat64_set { /* a network may have several translators */
	struct nat64 v[NAT64_SET_MAX];
	uint8_t n;
};
/* Unless it is there, bits is 0, or the set is full. */
void nat64_set_add(struct nat64_set *s, const struct nat64 *prefix);

/* "64:ff9b::/96", a network of one of these lengths that may lead to IPv4. false, and out is as it was. */
bool nat64_parse(const char *text, struct nat64 *out);
/* From an IPv6 answer for NAT64_NAME. false: it holds none of the well-known addresses. */
bool nat64_find(const struct addr *answer, struct nat64 *out);
struct addr nat64_embed(const struct nat64 *n, const struct addr *v4);
bool nat64_extract(
	const struct nat64 *n, const struct addr *v6, struct addr *v4); /* false: not of this prefix */
/* addr_is_inside, or a translator, one of those known here or the well-known prefix, leads to an IPv4 address that is. */
bool nat64_is_inside(const struct addr *a, const struct nat64_set *known);

#endif
