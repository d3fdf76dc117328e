#include "simnet/report/graph.h"

#include "simnet/report/chart.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is said of each ---- */

const char *graph_nat(const struct scn_router *r, char *buf, size_t cap)
{
	static const char *const mappings[] = { [NAT_EIM] = "EIM", [NAT_ADM] = "ADM", [NAT_APDM] = "APDM" };
	static const char *const filterings[] = { [NAT_EIF] = "EIF", [NAT_ADF] = "ADF", [NAT_APDF] = "APDF" };
	const struct nat_model *m = &r->model;

	snprintf(buf, cap, "%s%s%s%s%s%s%s%s", r->nat ? mappings[m->udp.mapping] : "no NAT",
		r->nat ? " / " : "", r->nat ? filterings[m->udp.filtering] : "",
		r->nat && m->hairpin != NAT_HAIRPIN_OFF ? ", hairpin" : "",
		r->nat && m->accepts_wan ? ", accepts WAN" : "", r->portmap ? ", gives ports" : "",
		r->balances ? ", balances" : "", r->udp_blocked ? ", UDP blocked" : "");
	return buf;
}

static void say_way(const struct link_way *w, char *buf, size_t cap)
{
	size_t n = 0;
	uint32_t loss = w->loss;

	buf[0] = '\0';
	for (size_t i = 0; i < LINK_CLASSES; i++)
		loss = w->class_loss[i] > loss ? w->class_loss[i] : loss;
	if (w->delay_us)
		n += (size_t)snprintf(buf + n, cap - n, ", %g ms", (double)w->delay_us / 1000);
	if (w->rate_bps && n < cap)
		n += (size_t)snprintf(buf + n, cap - n, ", %g Mbit/s", (double)w->rate_bps / 1e6);
	if (loss && n < cap)
		n += (size_t)snprintf(buf + n, cap - n, ", %g %% loss", (double)loss * 100 / LINK_PPM);
	if (w->bursts.enter && n < cap)
		n += (size_t)snprintf(buf + n, cap - n, ", bursts");
	if (w->mtu && n < cap)
		n += (size_t)snprintf(buf + n, cap - n, ", MTU %u", w->mtu);
	if (w->dead && n < cap)
		snprintf(buf + n, cap - n, ", dead");
}

const char *graph_link(const struct link_model *link, char *buf, size_t cap)
{
	char up[120] = "", down[120] = "";

	buf[0] = '\0';
	if (link) {
		say_way(&link->up, up, sizeof(up));
		say_way(&link->down, down, sizeof(down));
	}
	if (!*up && !*down)
		return buf;
	if (!strcmp(up, down))
		snprintf(buf, cap, "%s", up + 2);
	else
		snprintf(buf, cap, "up %s; down %s", *up ? up + 2 : "plain", *down ? down + 2 : "plain");
	return buf;
}

const char *graph_runs(const struct scn_node *n)
{
	const char *slash = !n->adapter && n->argv ? strrchr(n->argv[0], '/') : NULL;
	return n->adapter ? n->adapter : slash ? slash + 1 : n->argv ? n->argv[0] : "";
}

/* What kind of host it is. */
static const char *is_what(const struct scn_node *n)
{
	return n->on_router ? "on the router" : n->is_service ? "service" : "host";
}

static bool put_escaped(struct buf *out, const char *s)
{
	bool ok = true;
	for (; *s && ok; s++)
		ok = *s == '&'	 ? buf_printf(out, "&amp;")
		     : *s == '<' ? buf_printf(out, "&lt;")
		     : *s == '>' ? buf_printf(out, "&gt;")
		     : *s == '"' ? buf_printf(out, "&quot;")
				 : buf_append(out, s, 1);
	return ok;
}

/* ---- text ---- */

static size_t count_under(const struct scenario *s, int router)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_nodes; i++)
		n += s->nodes[i].router == router;
	for (size_t i = 0; i < s->n_routers; i++)
		n += s->routers[i].behind == router;
	return n;
}

/* Of a host with several: ", eth0 at home, wwan0 at carrier (off)". */
static bool text_plugs(const struct scenario *s, const struct scn_node *n, struct buf *out)
{
	bool ok = true;
	for (size_t i = 0; ok && i < n->n_ifaces; i++) {
		const struct scn_iface *f = &n->ifaces[i];
		ok = buf_printf(out, ", %s at %s%s", f->name,
			f->network < 0 ? "internet" : s->routers[f->network].name, f->off ? " (off)" : "");
	}
	return ok && buf_printf(out, "\n");
}

static bool text_under(const struct scenario *s, int router, const char *indent, struct buf *out)
{
	size_t left = count_under(s, router);
	char deeper[256], ip[ADDR_TEXT], lan[PREFIX_TEXT], nat[120], link[260];
	bool ok = true;

	for (size_t i = 0; ok && i < s->n_nodes; i++) {
		const struct scn_node *n = &s->nodes[i];
		if (n->router != router)
			continue;
		const char *runs = graph_runs(n);
		const struct addr at = topology_ip(s, 0, (int)i);
		graph_link(n->link, link, sizeof(link));
		ok = buf_printf(out, "%s%s %-14s %-15s %s%s%s%s%s%s", indent, --left ? "├─" : "└─", n->name,
			     addr_format(&at, ip), is_what(n), *runs ? ", runs " : "", runs,
			     *link ? ", link " : "", link, n->n_ifaces < 2 ? "\n" : "") &&
		     (n->n_ifaces < 2 || text_plugs(s, n, out));
	}
	for (size_t i = 0; ok && i < s->n_routers; i++) {
		const struct scn_router *r = &s->routers[i];
		if (r->behind != router)
			continue;
		snprintf(deeper, sizeof(deeper), "%s%s", indent, --left ? "│  " : "   ");
		graph_link(r->link, link, sizeof(link));
		ok = buf_printf(out, "%s%s %-14s %-15s router, %s, LAN %s%s%s\n", indent, left ? "├─" : "└─",
			     r->name, addr_format(&r->wan, ip), graph_nat(r, nat, sizeof(nat)),
			     prefix_format(&r->lan_net, lan), *link ? ", link " : "", link) &&
		     text_under(s, (int)i, deeper, out);
	}
	return ok;
}

/* ---- SVG: a router's card hangs from the network before it, and stands on a plate with all that is behind it */

enum {
	CARD_W = 176,
	CARD_H = 54,
	GAP = 14,
	PAD = 14,
	WIRE = 26, /* between a network's bar and what hangs from it */
	BAR_H = 26,
	ROW_W = 1180, /* the internet's width, before it goes on in a row below */
	HOSTS_IN_COLUMN = 6,
};

struct svg {
	const struct scenario *s;
	struct buf *out;
	bool ok;
};
struct size {
	int w, h;
};

static size_t hosts_under(const struct scenario *s, int router)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_nodes; i++)
		n += s->nodes[i].router == router;
	return n;
}

static struct size grid_size(size_t n, size_t in_column)
{
	size_t columns = (n + in_column - 1) / in_column, rows = n < in_column ? n : in_column;
	if (!n)
		return (struct size) { 0, 0 };
	return (struct size) { (int)columns * (CARD_W + GAP) - GAP, (int)rows * (CARD_H + GAP) - GAP };
}

/* A router's card with the plate below it. */
static struct size router_size(const struct scenario *s, int router)
{
	struct size in = grid_size(hosts_under(s, router), HOSTS_IN_COLUMN);
	for (size_t i = 0; i < s->n_routers; i++) {
		if (s->routers[i].behind != router)
			continue;
		struct size one = router_size(s, (int)i);
		in.w += one.w + (in.w ? GAP : 0);
		in.h = one.h > in.h ? one.h : in.h;
	}
	bool empty = !in.w;
	int w = in.w + 2 * PAD > CARD_W + 2 * PAD ? in.w + 2 * PAD : CARD_W + 2 * PAD;
	return (struct size) { w, CARD_H + (empty ? 0 : WIRE + BAR_H + in.h + 2 * PAD) };
}

static void put(struct svg *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct svg *g, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	g->ok = g->ok && n >= 0 && (size_t)n < sizeof(text) && buf_append(g->out, text, (size_t)n);
}

static void put_text(struct svg *g, int x, int y, const char *kind, const char *words)
{
	char cut[64];
	size_t most = 27;
	if (strlen(words) > most)
		snprintf(cut, sizeof(cut), "%.*s…", (int)most - 1, words);
	put(g, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, kind);
	g->ok = g->ok && put_escaped(g->out, strlen(words) > most ? cut : words);
	put(g, "</text>");
}

static void put_card(struct svg *g, int x, int y, const char *kind, const char *name, const char *second,
	const char *third, const struct link_model *link)
{
	char wire[260];

	put(g, "<g class=\"card %s\" data-name=\"%s\" transform=\"translate(%d %d)\">", kind, name, x, y);
	put(g,
		"<rect width=\"%d\" height=\"%d\" rx=\"8\"/><rect class=\"mark\" width=\"5\" height=\"%d\" "
		"rx=\"2.5\" y=\"9\" x=\"7\"/>",
		CARD_W, CARD_H, CARD_H - 18);
	put_text(g, 20, 19, "name", name);
	put_text(g, 20, 34, "small", second);
	put_text(g, 20, 47, "small mono", third);
	if (*graph_link(link, wire, sizeof(wire)))
		put_text(g, CARD_W / 2 + 7, -5, "small", wire);
	put(g, "</g>\n");
}

static void put_node(struct svg *g, size_t i, int x, int y)
{
	const struct scn_node *n = &g->s->nodes[i];
	const struct addr at = topology_ip(g->s, 0, (int)i);
	char ip[ADDR_TEXT], what[120];
	const char *runs = graph_runs(n);
	snprintf(what, sizeof(what), "%.90s%s", *runs ? runs : "bare host",
		n->on_router ? ", on the router" : "");
	if (n->n_ifaces > 1)
		snprintf(
			what, sizeof(what), "%.90s, %zu interfaces", *runs ? runs : "bare host", n->n_ifaces);
	put_card(g, x, y, n->is_service ? "service" : "host", n->name, what, addr_format(&at, ip), n->link);
}

static void put_wire(struct svg *g, int x, int from, int to)
{
	put(g, "<path class=\"wire\" d=\"M%d %dV%d\"/>", x, from, to);
}

static void put_router(struct svg *g, int router, int x, int y);

/* What is behind a router, or on the internet beside its routers: hosts in columns, then routers. */
static void put_inside(struct svg *g, int router, int x, int y)
{
	size_t k = 0;
	for (size_t i = 0; i < g->s->n_nodes; i++) {
		if (g->s->nodes[i].router != router)
			continue;
		put_node(g, i, x + (int)(k / HOSTS_IN_COLUMN) * (CARD_W + GAP),
			y + (int)(k % HOSTS_IN_COLUMN) * (CARD_H + GAP));
		k++;
	}
	struct size hosts = grid_size(k, HOSTS_IN_COLUMN);
	x += hosts.w + (hosts.w ? GAP : 0);
	for (size_t i = 0; i < g->s->n_routers; i++) {
		if (g->s->routers[i].behind != router)
			continue;
		struct size one = router_size(g->s, (int)i);
		put_wire(g, x + one.w / 2, y - PAD, y);
		put_router(g, (int)i, x, y);
		x += one.w + GAP;
	}
}

static void put_router(struct svg *g, int router, int x, int y)
{
	const struct scn_router *r = &g->s->routers[router];
	struct size all = router_size(g->s, router);
	char nat[120], ip[ADDR_TEXT], lan[PREFIX_TEXT];
	if (all.h > CARD_H) {
		int top = y + CARD_H + WIRE;
		put_wire(g, x + all.w / 2, y + CARD_H, top);
		put(g, "<rect class=\"plate\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"10\"/>", x,
			top, all.w, all.h - CARD_H - WIRE);
		put_text(g, x + PAD, top + 18, "small", "LAN");
		put_text(g, x + PAD + 30, top + 18, "small mono", prefix_format(&r->lan_net, lan));
		put_inside(g, router, x + PAD, top + BAR_H + PAD);
	}
	put_card(g, x + (all.w - CARD_W) / 2, y, "router", r->name, graph_nat(r, nat, sizeof(nat)),
		addr_format(&r->wan, ip), r->link);
}

struct item {		  /* something that hangs from the internet */
	int node, router; /* the other is -1 */
	struct size size;
};

static size_t internet_items(const struct scenario *s, struct item *out)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_nodes; i++)
		if (s->nodes[i].router < 0)
			out[n++] = (struct item) { (int)i, -1, { CARD_W, CARD_H } };
	for (size_t i = 0; i < s->n_routers; i++)
		if (s->routers[i].behind < 0)
			out[n++] = (struct item) { -1, (int)i, router_size(s, (int)i) };
	return n;
}

static size_t row_end(const struct item *all, size_t n, size_t from, int *w, int *h)
{
	size_t i = from;
	*w = *h = 0;
	for (; i < n && (i == from || *w + GAP + all[i].size.w <= ROW_W); i++) {
		*w += all[i].size.w + (i > from ? GAP : 0);
		*h = all[i].size.h > *h ? all[i].size.h : *h;
	}
	return i;
}

const char graph_style[] =
	".net{font:12px system-ui,-apple-system,\"Segoe UI\",sans-serif;--ink:#1b1f24;--soft:#57606a;--c"
	"ard:#fff;--edge:#c3cad2;--plate:#f1f4f7;--bar:#dfe7f0;--host:#2f6fde;--service:#8250df;--router"
	":#bc6a00}\n"
	"@media(prefers-color-scheme:dark){.net{--ink:#e6e9ed;--soft:#9aa4af;--card:#1b222b;--edge:#434d"
	"59;--plate:#141a21;--bar:#22303f;--host:#6ea8ff;--service:#bb9af7;--router:#f0a74b}}\n"
	":root[data-theme=dark] .net{--ink:#e6e9ed;--soft:#9aa4af;--card:#1b222b;--edge:#434d59;--plate:"
	"#141a21;--bar:#22303f;--host:#6ea8ff;--service:#bb9af7;--router:#f0a74b}\n"
	":root[data-theme=light] .net{--ink:#1b1f24;--soft:#57606a;--card:#fff;--edge:#c3cad2;--plate:#f"
	"1f4f7;--bar:#dfe7f0;--host:#2f6fde;--service:#8250df;--router:#bc6a00}\n"
	".net .card>rect{fill:var(--card);stroke:var(--edge)}.net .card>.mark{stroke:none}.net .host>.ma"
	"rk{fill:var(--host)}.net .service>.mark{fill:var(--service)}.net .router>.mark{fill:var(--route"
	"r)}\n"
	".net .plate{fill:var(--plate);stroke:var(--edge);stroke-dasharray:4 3}.net .bar{fill:var(--bar)"
	"}.net .wire{stroke:var(--edge);stroke-width:2;fill:none}\n"
	".net text{fill:var(--ink)}.net .name{font-weight:600;font-size:13px}.net .small{font-size:11px;"
	"fill:var(--soft)}.net .mono{font-family:ui-monospace,Menlo,monospace}\n";

static void put_style(struct svg *g, int w, int h)
{
	put(g,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"net\" viewBox=\"0 0 %d %d\" width=\"%d\" "
		"height=\"%d\" "
		"role=\"img\">",
		w, h, w, h);
	put(g, "<title>");
	g->ok = g->ok && put_escaped(g->out, g->s->name);
	put(g, "</title>\n");
	g->ok = g->ok && buf_printf(g->out, "<style>\n%s</style>\n", graph_style);
}

static bool svg_write(const struct scenario *s, struct buf *out)
{
	struct svg g = { .s = s, .out = out, .ok = true };
	struct item *all = calloc(s->n_nodes + s->n_routers + 1, sizeof(*all));
	if (!all)
		return false;
	size_t n = internet_items(s, all);
	int w, h, widest = CARD_W, height = GAP;
	for (size_t i = 0; i < n; height += BAR_H + WIRE + h + GAP) {
		i = row_end(all, n, i, &w, &h);
		widest = w > widest ? w : widest;
	}
	put_style(&g, widest + 2 * GAP, height);
	int y = GAP;
	for (size_t i = 0; i < n; y += BAR_H + WIRE + h + GAP) {
		size_t end = row_end(all, n, i, &w, &h);
		int x = GAP + (widest - w) / 2;
		put(&g, "<rect class=\"bar\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"13\"/>", GAP,
			y, widest, BAR_H);
		put_text(&g, GAP + 16, y + 17, "name", "internet");
		for (; i < end; x += all[i++].size.w + GAP) {
			put_wire(&g, x + all[i].size.w / 2, y + BAR_H, y + BAR_H + WIRE);
			if (all[i].node >= 0)
				put_node(&g, (size_t)all[i].node, x, y + BAR_H + WIRE);
			else
				put_router(&g, all[i].router, x, y + BAR_H + WIRE);
		}
	}
	put(&g, "</svg>\n");
	free(all);
	return g.ok;
}

bool graph_write(enum graph_kind kind, const struct scenario *s, struct buf *out)
{
	switch (kind) {
	case GRAPH_SVG: return svg_write(s, out);
	case GRAPH_MERMAID: return chart_mermaid(s, out);
	case GRAPH_DOT: return chart_dot(s, out);
	case GRAPH_TEXT: break;
	}
	return buf_printf(out, "internet\n") && text_under(s, -1, "", out);
}
