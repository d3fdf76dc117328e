/* Why a packet died: every dropping rule also logs to an NFLOG group with "WHERE|RULE" as its prefix; this
 * reads them by netlink. Works rootless. */
#ifndef SIMNET_TRACE_H
#define SIMNET_TRACE_H

#include "simnet/fabric/engine.h"

struct trace;
struct trace *trace_open(void); /* NULL: memory */
void trace_close(struct trace *t);
/* Listens to an NFLOG group in the calling process's network namespace. */
int trace_watch(struct trace *t, uint16_t group, struct errbuf *eb);
/* What was logged since the last call, at most cap, in order of time; the rest is left for the next call. */
size_t trace_read(struct trace *t, struct engine_drop *out, size_t cap);

/* One NFLOG message body (after the netlink header): the prefix and the packet's addresses. false: not one.
 */
struct trace_entry {
	char where[32], rule[128];
	uint64_t unix_ns; /* 0 = not stamped */
	struct endpoint src, dst;
	uint8_t proto;
};
bool trace_decode(const void *msg, size_t len, struct trace_entry *out);

#endif
