/* Names that must never leave the machine, and names that must not be asked of others. RFC 6761, 6762, 7686,
 * 8375, 9476, 9462; reverse zones of private addresses RFC 6303 and 7793. */
#ifndef RW_RESOLVER_SPECIAL_H
#define RW_RESOLVER_SPECIAL_H

#include "resolver/name.h"

enum special_kind {
	SPECIAL_NXDOMAIN,
	SPECIAL_SITE, /* the same, but a nameserver of the site may know the site's own */
	SPECIAL_NODATA,
	SPECIAL_LOCALHOST, /* 127.0.0.1 and ::1, at and below */
	SPECIAL_SPLIT, /* NXDOMAIN only while some names take a route of their own: asking a browser or phone
			* to leave DNS to us, since its own resolver would not know them */
};
struct special {
	struct dns_name *suffixes;
	uint8_t *kinds;
	size_t n;
	struct suffixes *index;
};
bool special_init(struct special *s, const uint64_t seed[2]); /* false: memory short */
void special_fini(struct special *s);
bool special_is_reverse(const struct special *s, int number); /* below in-addr.arpa or ip6.arpa */

#endif
