/* The network of a scenario in the languages of other programs that draw: Mermaid and Graphviz. Pure. */
#ifndef SIMNET_CHART_H
#define SIMNET_CHART_H

#include "simnet/scenario/scenario.h"

/* As graph_write, which calls them. */
bool chart_mermaid(const struct scenario *s, struct buf *out);
bool chart_dot(const struct scenario *s, struct buf *out);
/* Adds to a Mermaid chart that these hosts or routers stand out, by name; NULL among them are passed over. */
bool chart_mark(const struct scenario *s, const char *const *names, size_t n, struct buf *out);

#endif
