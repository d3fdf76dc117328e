/* Looking things up in a zone, and records of any type in it; resolver.h has the rest. No lookup allocates.
 */
#ifndef RW_RESOLVER_ZONE_H
#define RW_RESOLVER_ZONE_H

#include "resolver/message.h"

struct zone;
struct zone_rr {
	uint16_t type, len;
	uint32_t times : 28; /* it was given; zone.c's */
	uint32_t
		hosts : 4; /* of these, as the address of a host or the name of its address (with_ptr); 15: or more */
	uint8_t rdata[]; /* uncompressed */
};
enum zone_verdict {
	ZONE_FOREIGN, /* not ours */
	ZONE_NAME,    /* the name is here, perhaps without records of the type (NODATA) */
	ZONE_NO_NAME, /* below an authority, and not here: NXDOMAIN */
};
struct zone_hit {
	enum zone_verdict verdict;
	const struct zone_rr *const *rrs; /* ZONE_NAME: all records of the name, grouped by type; valid until
					   * the zone changes */
	uint32_t n;
	struct dns_name apex; /* of the authority the name belongs to; the name itself when it has none */
	uint8_t apex_labels;
	bool owned; /* there is such an authority */
	bool is_apex;
	bool via6; /* ZONE_NAME without records: it has this one address, of IPv6 */
	struct addr via6_at;
};
/* From now on 10-1-1-16-via-7.SUFFIX, right below an authority, has the address that it spells (base/via6.h). */
void zone_via6_names(struct zone *z);
/* name: lower case. z may be NULL. */
void zone_find(const struct zone *z, const struct dns_name *name, struct zone_hit *out);
/* Records of `type` among the hit's: first and count; NULL: none. DNS_ANY: those of one type. */
const struct zone_rr *const *zone_set(const struct zone_hit *h, uint16_t type, uint32_t *n);

/* rdata: uncompressed wire form. ERR_REFUSED: the name is an alias (CNAME), or would be one beside other
 * records; ERR_MALFORMED: more than a record holds; -ENOMEM. What was given n times is there until it was removed n times. */
int zone_add_record(
	struct zone *z, const struct dns_name *name, uint16_t type, const uint8_t *rdata, size_t len);
void zone_remove_record(
	struct zone *z, const struct dns_name *name, uint16_t type, const uint8_t *rdata, size_t len);
/* One that says the same, of the caller's own; z may be looked at meanwhile, and not changed. NULL: memory is short. */
struct zone *zone_copy(const struct zone *z);
/* A number that is another one after each call that changed what it says. z may be NULL. */
uint64_t zone_changes(const struct zone *z);
/* How many names end with this reference; 0: there is another one. */
size_t zone_last_names(const struct zone *z);
/* Most of what it held has left, name by name; the memory that took goes when it does. */
bool zone_is_sparse(const struct zone *z);

#endif
