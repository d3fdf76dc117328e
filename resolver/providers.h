/* Public name servers that speak HTTPS and TLS: where a name of theirs is, and which name stands for an address. What
 * official clients know as well, so that a mesh's settings mean the same to all. */
#ifndef RW_RESOLVER_PROVIDERS_H
#define RW_RESOLVER_PROVIDERS_H

#include "mesh/base/dns_secure.h"

enum { PROVIDER_ADDRESSES = 4 };
/* Where the server is that s names; how many of out are filled, 0: not known. */
size_t provider_addresses(const struct dns_secure *s, struct addr out[static PROVIDER_ADDRESSES]);
/* The server at ip, by HTTPS. alone: it is not to be asked in clear. false: not known. */
bool provider_of(const struct addr *ip, struct dns_secure *out, bool *alone);

#endif
