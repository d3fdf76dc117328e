/* What the zone says of a name, and who else may say anything. */
#ifndef RW_RESOLVER_ZONE_ANSWER_H
#define RW_RESOLVER_ZONE_ANSWER_H

#include "resolver/core.h"

enum local {
	LOCAL_DONE,
	LOCAL_FOREIGN, /* the name (or what a CNAME led to) is not ours */
	LOCAL_LOOP,
};

/* Writes what the zone knows about *name, following its CNAMEs; *name ends as the last of them. *rcode is set with
 * LOCAL_DONE alone. */
enum local zone_answer_write(
	struct resolver *r, struct dns_writer *d, uint16_t type, struct dns_name *name, uint16_t *rcode);
/* The SOA of a negative answer. */
void zone_answer_soa(struct dns_writer *d, const struct dns_name *apex);

#endif
