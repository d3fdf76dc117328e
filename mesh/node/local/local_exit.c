/* LocalAPI's exits: which would be good, and the present one turned off and on. */
#include "mesh/netmap/exits.h"
#include "mesh/node/local/local_request.h"
#include "mesh/proto/json.h"
#include <stdio.h>
#include <string.h>

void local_exit_take(struct state_prefs *next, const char *who)
{
	if (next->exit_node[0])
		memcpy(next->exit_prior, next->exit_node, sizeof(next->exit_prior));
	snprintf(next->exit_node, sizeof(next->exit_node), "%s", who);
}

static bool measured(const struct api_netcheck *net, struct arena *a, struct netmap_nearness *out)
{
	*out = (struct netmap_nearness) { .home = net->preferred,
		.rtts = arena_array(a, net->n_regions, sizeof(*out->rtts)) };
	for (size_t i = 0; out->rtts && i < net->n_regions; i++)
		out->rtts[out->n++] = (struct netmap_region_rtt) { .region = net->regions[i].id,
			.seconds = net->regions[i].seconds };
	return out->rtts;
}

static bool write_suggestion(struct buf *out, const struct ctl_node *c)
{
	struct json_out o = { .to = out };
	bool first = true;
	json_put(&o, "{");
	json_put_name(&o, "ID", &first);
	json_put_string(&o, c->stable_id);
	json_put_name(&o, "Name", &first);
	json_put_string(&o, c->name);
	if (c->hostinfo.location) {
		json_put_name(&o, "Location", &first);
		o.bad |= !ctl_location_write(out, c->hostinfo.location);
	}
	json_put(&o, "}");
	return !o.bad;
}

void local_exit_suggest(struct request *r)
{
	struct arena a = { 0 };
	struct api_netcheck net = { 0 };
	struct local_measured when;
	struct netmap_nearness near;
	const struct netmap *m = r->node->map(r->node->arg);
	(void)r->node->netcheck(r->node->arg, &a, &net, &when); /* or none is nearer */
	const struct ctl_node *c = m && measured(&net, &a, &near) ? netmap_exit_suggest(m, &near) : NULL;
	if (c) {
		struct buf b = { 0 };
		local_reply_json(r->conn, &b, write_suggestion(&b, c));
	} else {
		local_reply_error(r->conn, 404, "no machine that is online may be an exit");
	}
	arena_free(&a);
}

void local_exit_enable(struct request *r)
{
	struct local_facts f;
	char enabled[8] = "";
	r->node->facts(r->node->arg, &f);
	struct state_prefs next = *f.prefs;
	bool known = http_target_query(r->head, "enabled", enabled, sizeof(enabled));
	bool on = strcmp(enabled, "true") == 0;
	if (!known || (!on && strcmp(enabled, "false") != 0)) {
		local_reply_error(r->conn, 400, "enabled=true or enabled=false");
		return;
	}
	if (on && !next.exit_node[0] && !next.exit_prior[0]) {
		local_reply_error(r->conn, 400, "no exit was used before: set one (ExitNodeID)");
		return;
	}
	if (on != (next.exit_node[0] != 0)) {
		local_exit_take(&next, on ? f.prefs->exit_prior : "");
		r->node->prefs_set(r->node->arg, &next);
	}
	local_prefs_reply(r);
}
