/* What the captures and the hosts themselves say about a failed step. */
#ifndef SIMNET_EVIDENCE_H
#define SIMNET_EVIDENCE_H

#include "simnet/report/why.h"
#include "simnet/scenario/scenario.h"

struct lab;
struct evidence {
	struct why_host *hosts; /* nodes, then routers */
	struct why_packet *packets;
	struct why_facts facts; /* of the two */
};
/* Writes the capture of all links, once in a run: what is told and what is kept have the same frame numbers. */
int evidence_capture(struct lab *l, struct errbuf *eb);
const char *evidence_file(const struct lab *l, char *buf, size_t cap); /* where that is; returns buf */

/* The packets since the step began. Where something fails there is less, and nothing is said. */
void evidence_open(struct lab *l, const struct scn_step *st, struct evidence *e);
/* said: the failure's own sentence. */
void evidence_add(struct lab *l, const struct scn_step *st, const struct evidence *e, const char *said,
	struct why_lines *out);
void evidence_close(struct evidence *e);

#endif
