/* The SOA record of names that are answered here. */
#ifndef RW_RESOLVER_ZONE_SOA_H
#define RW_RESOLVER_ZONE_SOA_H

#include "resolver/message.h"

enum { ZONE_NEGATIVE_TTL_S = 10 };
/* mname is the apex, serial and times as RFC 6303 has them. Into the section that is being written. */
void zone_soa_write(struct dns_writer *d, const struct dns_name *apex);

#endif
