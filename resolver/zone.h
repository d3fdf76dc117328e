/* Looking things up in a zone snapshot (built through resolver.h). No lookup allocates. */
#ifndef RW_RESOLVER_ZONE_H
#define RW_RESOLVER_ZONE_H

#include "resolver/message.h"

struct zone;
struct zone_rr {
	uint16_t type, len;
	uint32_t at; /* of RDATA in the zone's bytes */
};
enum zone_verdict {
	ZONE_FOREIGN, /* not ours */
	ZONE_NAME,    /* the name is here, perhaps without records of the type (NODATA) */
	ZONE_NO_NAME, /* below an authority, and not here: NXDOMAIN */
};
struct zone_hit {
	enum zone_verdict verdict;
	const struct zone_rr *rrs; /* ZONE_NAME: all records of the name, grouped by type */
	uint32_t n;
	struct dns_name apex; /* of the authority the name belongs to; the name itself when it has none */
	uint8_t apex_labels;
	bool owned; /* there is such an authority */
	bool is_apex;
};
/* name: lower case. z may be NULL. */
void zone_find(const struct zone *z, const struct dns_name *name, struct zone_hit *out);
const uint8_t *zone_rdata(const struct zone *z, const struct zone_rr *rr);
/* Records of `type` among the hit's: first and count. */
const struct zone_rr *zone_set(const struct zone_hit *h, uint16_t type, uint32_t *n);

struct zone_builder;
/* rdata: uncompressed wire form. false: memory short, or a CNAME and something else under one name. */
bool zone_add_record(
	struct zone_builder *b, const struct dns_name *name, uint16_t type, const uint8_t *rdata, size_t len);
bool zone_builder_failed(const struct zone_builder *b); /* memory short */
/* SOA RDATA for a zone at apex: mname is the apex, serial and times as RFC 6303 has them. buf[DNS_NAME_MAX +
 * 64]. */
enum { ZONE_NEGATIVE_TTL_S = 10 };
void zone_soa_write(struct dns_writer *d, const struct dns_name *apex);

#endif
