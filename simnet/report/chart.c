#include "simnet/report/chart.h"

#include "simnet/report/graph.h"
#include <stdio.h>
#include <string.h>

/* Nodes of a chart are called n0, r0 by their places in the scenario, and internet: names may be words of its language. */

/* One wire, from a network to a host or router in it. */
struct wire {
	int network; /* index of a router; -1 = the internet */
	char end;    /* 'n' or 'r' */
	size_t i;
	const char *iface; /* NULL: it has one alone */
	bool off;
	const struct link_model *link; /* may be NULL */
};
struct language {
	bool (*router)(const struct scn_router *r, size_t i, struct buf *out);
	bool (*node)(const struct scn_node *n, size_t i, const char *ip, struct buf *out);
	bool (*wire)(const struct wire *w, struct buf *out);
};

/* ---- what both say ---- */

static bool put_wires(const struct language *in, const struct wire *common, const struct scn_iface *ifaces,
	size_t n, int network, struct buf *out)
{
	struct wire w = *common;
	bool ok = true;

	w.network = network;
	if (n < 2)
		return in->wire(&w, out);
	for (size_t k = 0; ok && k < n; k++) {
		w.network = ifaces[k].network;
		w.iface = ifaces[k].name;
		w.off = ifaces[k].off;
		w.link = ifaces[k].link ? ifaces[k].link : common->link;
		ok = in->wire(&w, out);
	}
	return ok;
}

static bool put_all(const struct scenario *s, const struct language *in, struct buf *out)
{
	char ip[ADDR_TEXT];
	bool ok = true;

	for (size_t i = 0; ok && i < s->n_routers; i++)
		ok = in->router(&s->routers[i], i, out);
	for (size_t i = 0; ok && i < s->n_nodes; i++) {
		const struct addr at = topology_ip(s, 0, (int)i);
		ok = in->node(&s->nodes[i], i, addr_format(&at, ip), out);
	}
	for (size_t i = 0; ok && i < s->n_routers; i++) {
		const struct scn_router *r = &s->routers[i];
		const struct wire w = { .end = 'r', .i = i, .link = r->link };
		ok = put_wires(in, &w, r->uplinks, r->n_uplinks, r->behind, out);
	}
	for (size_t i = 0; ok && i < s->n_nodes; i++) {
		const struct scn_node *n = &s->nodes[i];
		const struct wire w = { .end = 'n', .i = i, .link = n->link };
		ok = put_wires(in, &w, n->ifaces, n->n_ifaces, n->router, out);
	}
	return ok;
}

/* "eth0 (off): 20 ms", "" where there is nothing to say. */
static const char *wire_text(const struct wire *w, char *buf, size_t cap)
{
	char link[260];

	graph_link(w->link, link, sizeof(link));
	snprintf(buf, cap, "%s%s%s%s", w->iface ? w->iface : "", w->off ? " (off)" : "",
		w->iface && *link ? ": " : "", link);
	return buf;
}

static const char *network_name(int network, char buf[static 16])
{
	if (network < 0)
		return "internet";
	snprintf(buf, 16, "r%d", network);
	return buf;
}

/* ---- Mermaid ---- */

static bool mermaid_escaped(struct buf *out, const char *s)
{
	bool ok = true;
	/* Its own way to write a character: by number. */
	for (; *s && ok; s++)
		ok = strchr("&<>\"#;", *s) ? buf_printf(out, "#%d;", *s) : buf_append(out, s, 1);
	return ok;
}

static bool mermaid_router(const struct scn_router *r, size_t i, struct buf *out)
{
	char ip[ADDR_TEXT], lan[PREFIX_TEXT], nat[120];

	return buf_printf(out, "  r%zu{{\"%s<br/>%s<br/>%s<br/>%s\"}}\n", i, r->name,
		graph_nat(r, nat, sizeof(nat)), addr_format(&r->wan, ip), prefix_format(&r->lan_net, lan));
}

static bool mermaid_node(const struct scn_node *n, size_t i, const char *ip, struct buf *out)
{
	const char *runs = graph_runs(n);

	return buf_printf(out, "  n%zu%s%s<br/>%s%s", i, n->is_service ? "([\"" : "[\"", n->name, ip,
		       *runs ? "<br/>" : "") &&
	       mermaid_escaped(out, runs) && buf_printf(out, "%s\n", n->is_service ? "\"])" : "\"]");
}

static bool mermaid_wire(const struct wire *w, struct buf *out)
{
	char text[300], network[16];

	wire_text(w, text, sizeof(text));
	return buf_printf(out, "  %s %s", network_name(w->network, network), w->off ? "-.-" : "---") &&
	       (!*text || (buf_printf(out, "|\"") && mermaid_escaped(out, text) && buf_printf(out, "\"|"))) &&
	       buf_printf(out, " %c%zu\n", w->end, w->i);
}

bool chart_mermaid(const struct scenario *s, struct buf *out)
{
	static const struct language mermaid = { mermaid_router, mermaid_node, mermaid_wire };

	return buf_printf(out, "flowchart TD\n  internet((internet))\n") && put_all(s, &mermaid, out);
}

bool chart_mark(const struct scenario *s, const char *const *names, size_t n, struct buf *out)
{
	bool ok = true, any = false;

	for (size_t i = 0; ok && i < n; i++) {
		int node = names[i] ? scenario_find_node(s, names[i]) : -1;
		int router = names[i] && node < 0 ? scenario_find_router(s, names[i]) : -1;
		if (node < 0 && router < 0)
			continue;
		any = true;
		ok = buf_printf(
			out, "  class %c%d marked\n", node >= 0 ? 'n' : 'r', node >= 0 ? node : router);
	}
	return ok && (!any || buf_printf(out, "  classDef marked stroke:#d1242f,stroke-width:3px\n"));
}

/* ---- Graphviz ---- */

static bool dot_escaped(struct buf *out, const char *s)
{
	bool ok = true;
	for (; *s && ok; s++)
		ok = buf_printf(out, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
	return ok;
}

static bool dot_router(const struct scn_router *r, size_t i, struct buf *out)
{
	char ip[ADDR_TEXT], lan[PREFIX_TEXT], nat[120];

	return buf_printf(out, "  r%zu [fillcolor=\"#ffe8cc\", label=\"%s\\n%s\\n%s\\nLAN %s\"];\n", i,
		r->name, graph_nat(r, nat, sizeof(nat)), addr_format(&r->wan, ip),
		prefix_format(&r->lan_net, lan));
}

static bool dot_node(const struct scn_node *n, size_t i, const char *ip, struct buf *out)
{
	const char *runs = graph_runs(n);

	return buf_printf(out, "  n%zu [fillcolor=\"%s\", label=\"%s\\n%s%s", i,
		       n->is_service ? "#ece2ff" : "#dbe9ff", n->name, ip, *runs ? "\\n" : "") &&
	       dot_escaped(out, runs) && buf_printf(out, "\"];\n");
}

static bool dot_wire(const struct wire *w, struct buf *out)
{
	char text[300], network[16];

	return buf_printf(out, "  %s -- %c%zu [label=\"", network_name(w->network, network), w->end, w->i) &&
	       dot_escaped(out, wire_text(w, text, sizeof(text))) &&
	       buf_printf(out, "\"%s];\n", w->off ? ", style=dashed" : "");
}

bool chart_dot(const struct scenario *s, struct buf *out)
{
	static const struct language dot = { dot_router, dot_node, dot_wire };

	return buf_printf(out, "graph \"") && dot_escaped(out, s->name) &&
	       buf_printf(out, "\" {\n  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", "
			       "fontsize=11];\n"
			       "  edge [fontname=\"Helvetica\", fontsize=10];\n"
			       "  internet [shape=ellipse, fillcolor=\"#eef1f4\"];\n") &&
	       put_all(s, &dot, out) && buf_printf(out, "}\n");
}
