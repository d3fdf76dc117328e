/* What a resolver counts, in Prometheus' text: no names and no clients, but the addresses of upstreams. */
#ifndef RW_RESOLVER_REPORT_METRICS_H
#define RW_RESOLVER_REPORT_METRICS_H

#include "mesh/base/buf.h"

struct resolver_server;
/* All of its numbers, behind what out holds. false: memory is short. */
bool report_metrics(struct buf *out, struct resolver_server *s, uint64_t now_ms);
/* Another one, which its owner knows: ropewalk_resolver_NAME. */
bool report_metrics_gauge(struct buf *out, const char *name, const char *help, uint64_t n);

/* What a counter counts, in a sentence; NULL: there is none of that name. */
const char *report_metrics_help(const char *name);

#endif
