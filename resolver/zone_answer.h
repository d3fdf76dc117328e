/* What the zone says of a name, and who else may say anything. */
#ifndef RW_RESOLVER_ZONE_ANSWER_H
#define RW_RESOLVER_ZONE_ANSWER_H

#include "resolver/core.h"

enum local {
	LOCAL_DONE,
	LOCAL_FOREIGN, /* the name (or what a CNAME led to) is not ours */
	LOCAL_WITHHELD, /* it is, and the client may not have it: what led there is written, and nothing of it */
	LOCAL_LOOP,
};

struct zone_asked {
	uint64_t client;
	uint16_t type;
};
/* Writes what the zone knows about *name, following its CNAMEs; *name ends as the last of them. end->rcode is set with
 * LOCAL_DONE and LOCAL_WITHHELD, which says why in `ede`. Whoever says anything of the zone to a client says it by this: each name on the way is looked at. */
enum local zone_answer_write(struct resolver *r, struct dns_writer *d, const struct zone_asked *asked,
	struct dns_name *name, struct dns_end *end);
/* The SOA of a negative answer. */
void zone_answer_soa(struct dns_writer *d, const struct dns_name *apex);

#endif
