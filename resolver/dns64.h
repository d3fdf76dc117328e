/* Addresses of IPv6 for names that have IPv4 alone, made of a translator's prefix (DNS64, RFC 6147; NAT64). A question for
 * AAAA whose answer has none is asked once more for A; what comes is written as AAAA. */
#ifndef RW_RESOLVER_DNS64_H
#define RW_RESOLVER_DNS64_H

#include "mesh/base/nat64.h"
#include "resolver/cache.h"
#include "resolver/message.h"

/* How long an answer made of this one's lack may be kept, at most (5.1.7); item: a clean message that has no AAAA. At
 * least 1. */
uint32_t dns64_ttl(const struct cache_item *item);
/* Has a clean message AAAA records, all of them of IPv4 in disguise (::ffff:0:0/96)? They count as none (5.1.4). */
bool dns64_only_mapped(const struct cache_item *item);
/* A clean message without such records, each A made an AAAA of every prefix that is kept for ttl_s at most, without
 * signatures and AD: buf[DNS_MESSAGE_MAX]. Addresses that are no one's on the internet are left out where the prefix is
 * the well-known one (RFC 6052 3.1). Its length; 0: it is too long. */
size_t dns64_write(uint8_t *buf, const struct cache_item *item, const struct nat64_set *of, uint32_t ttl_s);
/* The name whose PTR says what the PTR of an address of a prefix is to say (5.3.1): *to in in-addr.arpa. false: name is
 * none of it. */
bool dns64_reverse(const struct nat64_set *of, const struct dns_name *name, struct dns_name *to);
/* The prefixes that an answer for NAT64_NAME, AAAA, was made of, RFC 7050 3: of all its addresses, in their order.
 * *ttl_s: how long they hold; of an answer without any, how long that does. */
void dns64_prefixes(const struct cache_item *item, struct nat64_set *out, uint32_t *ttl_s);

#endif
