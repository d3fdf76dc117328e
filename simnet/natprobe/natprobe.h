/* `simnet probe`: measures the NAT it stands behind, against two servers of its own kind, and says it as a stanza
 * of a scenario. What is asked is RFC 5780 and what is concluded RFC 4787 (UDP) and 5382 (TCP). */
#ifndef SIMNET_NATPROBE_H
#define SIMNET_NATPROBE_H

#include "mesh/base/err.h"
#include "simnet/natprobe/natprobe_judge.h"

struct natprobe_options {	    /* as given; NULL and 0 = not */
	const char *listen, *other; /* be a server, with that one as its other */
	const char *servers;	    /* the two to ask, separated by a comma */
	uint64_t lifetime_ms;	    /* find lifetimes of UDP mappings up to this; 0 = not */
	bool json;
};
/* A server runs until SIGINT or SIGTERM; a client prints what it found. 0, -EINVAL for options that make no
 * sense, or another negative code; always with a sentence. */
int natprobe_run(const struct natprobe_options *o, struct errbuf *eb);

#endif
