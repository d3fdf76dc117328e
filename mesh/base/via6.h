/* 4via6: an IPv4 network behind a subnet router as a network of IPv6, so that sites with the same addresses are told
 * apart: fd7a:115c:a1e0:b1a:0:SITE:a.b.c.d. tailscale-protocol.md 5.2. */
#ifndef RW_BASE_VIA6_H
#define RW_BASE_VIA6_H

#include "mesh/base/addr.h"

enum { VIA6_SITE_MAX = 65535 };

bool via6_is(const struct addr *a); /* in the range of all sites */
/* false: v4 is of IPv6, or there is no such site. */
bool via6_embed(uint32_t site, const struct prefix *v4, struct prefix *out);
/* false: p is none, or covers more than one site. */
bool via6_extract(const struct prefix *p, uint32_t *site, struct prefix *v4);
/* In decimal, or in hex with 0x. */
bool via6_site_parse(const char *text, size_t len, uint32_t *site);
/* "10-1-1-16-via-7", len bytes without a 0; false: no such name. */
bool via6_name_parse(const char *label, size_t len, struct addr *out);

#endif
