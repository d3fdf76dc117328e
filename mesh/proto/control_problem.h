/* What of a message from the control server could not be read, or may not be used, and was left out. */
#ifndef RW_PROTO_CONTROL_PROBLEM_H
#define RW_PROTO_CONTROL_PROBLEM_H

#include <stdint.h>

enum { CTL_PROBLEMS_MAX = 32 }; /* named; what is beyond is counted */

struct ctl_problem {
	const char *member; /* of the message: "Peers", "DNSConfig" */
	int64_t node;	    /* whose entry; 0 = nobody's, or of one without an id */
	const char *text;   /* "Peers[b.mesh.test.].KeyExpiry: not an RFC 3339 time" */
};

#endif
