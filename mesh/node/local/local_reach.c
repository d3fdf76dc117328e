/* debug: what is known of one relay, and how the way to one peer has changed. Nothing is asked of anybody for it. */
#include "mesh/node/local/local_request.h"

#include "mesh/base/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a relay --- */

struct relay_report { /* as official clients name the lists */
	json_t *info, *warnings, *errors;
};

static void say(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(json_t *list, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	text_clean(text); /* the server chooses names */
	json_array_append_new(list, json_string(text));
}

/* By its number or its code. */
static const struct ctl_derp_region *find_region(const struct ctl_derp_map *m, const char *word)
{
	char *end;
	long id = strtol(word, &end, 10);
	bool is_number = *word && !*end;
	for (size_t i = 0; i < m->n_regions; i++)
		if (is_number ? m->regions[i].id == id : !strcmp(m->regions[i].code, word))
			return &m->regions[i];
	return NULL;
}

static void say_nodes(const struct ctl_derp_region *g, struct relay_report *out)
{
	bool any = false;
	for (size_t i = 0; i < g->n_nodes; i++) {
		const struct ctl_derp_node *n = &g->nodes[i];
		any = any || !n->stun_only;
		if (n->stun_only)
			say(out->info, "%s answers STUN alone", n->host);
		else
			say(out->info, "%s relays at port %d%s", n->host, n->derp_port ? n->derp_port : 443,
				*n->cert_name ? ", and shows the certificate that the map names" : "");
	}
	if (!any)
		say(out->errors, "nobody in this region relays");
}

static void say_measured(struct request *r, const struct ctl_derp_region *g, struct relay_report *out)
{
	struct arena a = { 0 };
	struct api_netcheck net;
	struct local_measured when;
	double s = 0;
	bool up = r->node->netcheck(r->node->arg, &a, &net, &when);
	for (size_t i = 0; up && i < net.n_regions; i++)
		if (net.regions[i].id == g->id)
			s = net.regions[i].seconds;
	if (!up)
		say(out->errors, "this machine is not connected: run `ropewalk up` first");
	else if (s > 0)
		say(out->info, "it answered within %.1f ms", s * 1000);
	else if (!when.at_ms)
		say(out->warnings, "nothing was measured yet");
	else
		say(out->warnings, "it did not answer lately: `ropewalk debug restun` measures anew");
	if (up && net.preferred == g->id)
		say(out->info, "it is the home of this machine");
	arena_free(&a);
}

static void say_connected(struct request *r, const struct ctl_derp_region *g, struct relay_report *out)
{
	struct addr at;
	char text[ADDR_TEXT];
	if (r->node->relay_at(r->node->arg, g->id, &at))
		say(out->info, "this machine is connected to it, at %s", addr_format(&at, text));
	else
		say(out->info, "this machine is not connected to it now");
}

static void say_region(
	struct request *r, const struct ctl_derp_map *m, const char *word, struct relay_report *out)
{
	const struct ctl_derp_region *g = find_region(m, word);
	if (!g) {
		say(out->errors, "the network has no relay region %s", word);
		return;
	}
	say(out->info, "region %d is %s", g->id, g->code);
	if (m->n_regions == 1)
		say(out->warnings, "it is the network's one region: without it nobody is reached by a relay");
	if (g->no_measure)
		say(out->warnings, "the network has it measured by nobody");
	say_nodes(g, out);
	say_measured(r, g, out);
	say_connected(r, g, out);
}

void local_debug_relay(struct request *r)
{
	char word[64] = "";
	const struct netmap *m = r->node->map(r->node->arg);
	struct relay_report out = { json_array(), json_array(), json_array() };
	(void)http_target_query(r->head, "region", word, sizeof(word));
	if (!m || !m->derp)
		say(out.errors, "no relays are known yet; run `ropewalk up` first");
	else
		say_region(r, m->derp, word, &out);
	local_reply_object(r->conn, json_pack("{s:o, s:o, s:o}", "Info", out.info, "Warnings", out.warnings,
					    "Errors", out.errors));
}

/* --- the ways to a peer --- */

static void put_change(void *arg, int64_t unix_ms, const char *from, const char *to)
{
	char when[40];
	json_t *o = json_pack("{s:s, s:s}", "When", text_time_format(unix_ms, when), "What", "way");
	if (*from)
		json_object_set_new(o, "From", json_string(from));
	if (*to)
		json_object_set_new(o, "To", json_string(to));
	json_array_append_new(arg, o);
}

void local_debug_ways(struct request *r)
{
	char word[ADDR_TEXT];
	struct addr ip;
	const struct netmap *m = r->node->map(r->node->arg);
	if (!http_target_query(r->head, "ip", word, sizeof(word)) || !addr_parse(word, &ip)) {
		local_reply_error(r->conn, 400, "ip= must be an address of a machine");
		return;
	}
	const struct netmap_peer *p = netmap_peer_by_address(m, &ip);
	if (!p) {
		local_reply_error(
			r->conn, 404, "no match for this address among the other machines of the mesh");
		return;
	}
	json_t *list = json_array();
	r->node->way_changes(r->node->arg, (uint64_t)p->node.id, put_change, list);
	local_reply_object(r->conn, list);
}
