/* The network of a scenario as a picture, from the file alone: who is behind whom, addresses, kinds of NAT. Pure. */
#ifndef SIMNET_GRAPH_H
#define SIMNET_GRAPH_H

#include "simnet/scenario/scenario.h"

enum graph_kind {
	GRAPH_TEXT,    /* a tree of lines, UTF-8 */
	GRAPH_SVG,     /* light and dark; each host and router is a <g data-name> */
	GRAPH_MERMAID, /* a flowchart */
	GRAPH_DOT,     /* for Graphviz */
};
/* false: memory, or the cap of out. topology_plan has been called. */
bool graph_write(enum graph_kind kind, const struct scenario *s, struct buf *out);
/* "EIM / APDF, hairpin", "no NAT": what a router does. Returns buf. */
const char *graph_nat(const struct scn_router *r, char *buf, size_t cap);

/* The adapter or program of a node, without its folder; "" of a bare host. */
const char *graph_runs(const struct scn_node *n);
/* "20 ms, 1 % loss, 10 Mbit/s", or both ways apart; "" of a plain wire. link may be NULL. Returns buf. */
const char *graph_link(const struct link_model *link, char *buf, size_t cap);
/* Rules of the picture's style, for a page that has it inside. */
extern const char graph_style[];

#endif
