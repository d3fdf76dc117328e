/* The table of flows that need no rule: those we began, and those a rule admitted (for as long as that rule
 * stands). */
#ifndef RW_FILTER_FLOWS_H
#define RW_FILTER_FLOWS_H

#include "mesh/base/ip.h"
#include <stdbool.h>

enum { FLOWS_MAX = 8192, FLOWS_IDLE_MS = 600000 };

struct filter_flows;
/* The packet belongs to a flow we began or to one admitted by the rules named `rules`. */
bool flows_find(struct filter_flows *t, uint64_t now_ms, const struct ip_view *v, uint64_t rules);
/* We sent v: its answers may come. */
void flows_sent(struct filter_flows *t, uint64_t now_ms, const struct ip_view *v);
/* The rules let v in. Never at the expense of a flow that we began. */
void flows_admitted(struct filter_flows *t, uint64_t now_ms, const struct ip_view *v, uint64_t rules);

#endif
