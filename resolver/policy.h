/* What may leave the machine, and where to: the step between the zone and the routes. The rules are those
 * of special-use names (special.h) and of single labels; each says a verdict, and query.c writes it. */
#ifndef RW_RESOLVER_POLICY_H
#define RW_RESOLVER_POLICY_H

#include "resolver/special.h"

enum policy_verdict {
	POLICY_PASS, /* by its route */
	POLICY_SITE, /* to nameservers of the site alone; where there are none, it does not exist */
	POLICY_NXDOMAIN,
	POLICY_NODATA,
	POLICY_LOCALHOST, /* 127.0.0.1 and ::1 */
};
struct policy_question {
	const struct dns_name *name; /* lower case */
	uint16_t type;
	unsigned routed; /* labels of the configured suffix that it falls under; 0: the default route's */
	bool split;	 /* some names have a route of their own */
};
struct policy {
	enum policy_verdict verdict;
	const struct dns_name
		*apex; /* whose SOA goes with "there is none"; NULL: nobody's we could speak for */
};
struct policy policy_judge(const struct special *s, const struct policy_question *q);

#endif
