/* What a monitoring system reads: Prometheus' text format, 0.0.4. */
#include "mesh/control/http/api.h"

#include <string.h>

/* A label's value: \ and " and line ends are written as two characters. */
static void put_label(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s=\"", name);
	for (; *value; value++)
		if (*value == '\n')
			(void)buf_append(out, "\\n", 2);
		else if (*value == '"' || *value == '\\')
			(void)buf_append(out, (char[2]) { '\\', *value }, 2);
		else
			(void)buf_append(out, value, 1);
	(void)buf_append(out, "\"", 1);
}

static void put_node(
	struct buf *out, const struct fleet *f, const char *name, const struct member *m, double value)
{
	const struct user *u = member_is_tagged(m) ? NULL : fleet_user(f, m->user);
	buf_printf(out, "%s{id=\"%lld\",", name, (long long)m->id);
	put_label(out, "name", m->name);
	(void)buf_append(out, ",", 1);
	put_label(out, "user", u ? u->name : "");
	buf_printf(out, "} %.17g\n", value);
}

static void put_head(struct buf *out, const char *name, const char *kind, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static double online_of(const struct member *m)
{
	return m->online;
}
static double seen_of(const struct member *m)
{
	return m->last_seen_ms == FLEET_NO_TIME ? 0 : (double)m->last_seen_ms / 1000;
}
static double expiry_of(const struct member *m)
{
	return m->expiry_ms == FLEET_NO_TIME ? 0 : (double)m->expiry_ms / 1000;
}
static const struct {
	const char *name, *help;
	double (*of)(const struct member *m);
} of_nodes[] = { { "ropewalk_node_online", "Whether the node is connected to the server.", online_of },
	{ "ropewalk_node_last_seen_timestamp_seconds", "When the node was heard last; 0: never.", seen_of },
	{ "ropewalk_node_expiry_timestamp_seconds", "When the node's login ends; 0: it does not.",
		expiry_of } };

void api_metrics(struct api_call *c)
{
	const struct api *a = c->api;
	const struct fleet *f = &a->reg->fleet;
	struct buf out = { 0 };
	const struct {
		const char *name, *kind, *help;
		double value;
	} whole[] = { { "ropewalk_nodes", "gauge", "Nodes that the server knows.", (double)f->n },
		{ "ropewalk_users", "gauge", "Users.", (double)f->n_users },
		{ "ropewalk_streams", "gauge", "Map streams that are open.",
			(double)streams_count(a->streams) },
		{ "ropewalk_pending", "gauge", "Machines that wait for approval.",
			(double)a->reg->n_pending },
		{ "ropewalk_turned_away_total", "counter", "Connections that were closed for lack of room.",
			(double)a->guests->turned_away },
		{ "ropewalk_accept_paused_total", "counter",
			"How often connections waited for lack of descriptors or memory.",
			(double)a->guests->paused } };
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		put_head(&out, whole[i].name, whole[i].kind, whole[i].help);
		buf_printf(&out, "%s %.17g\n", whole[i].name, whole[i].value);
	}
	for (size_t i = 0; i < ARRAY_LEN(of_nodes); i++) {
		put_head(&out, of_nodes[i].name, "gauge", of_nodes[i].help);
		for (size_t k = 0; k < f->n; k++)
			put_node(&out, f, of_nodes[i].name, f->v[k], of_nodes[i].of(f->v[k]));
	}
	api_reply(&c->way, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, buf_data(&out), out.len);
	buf_free(&out);
}
