/* LocalAPI's exits: which would be good, and the present one turned off and on. */
#include "mesh/netmap/exits.h"
#include "mesh/node/local/local_request.h"
#include <stdio.h>
#include <string.h>

void local_exit_take(struct state_prefs *next, const char *who)
{
	if (next->exit_node[0])
		memcpy(next->exit_prior, next->exit_node, sizeof(next->exit_prior));
	snprintf(next->exit_node, sizeof(next->exit_node), "%s", who);
}

/* How far the relay is that is its home, which it has chosen for being near; -1: not measured. */
static double seconds_to(const struct api_netcheck *net, const struct ctl_node *c)
{
	for (size_t i = 0; i < net->n_regions; i++)
		if (net->regions[i].id == c->home_derp && net->regions[i].seconds > 0)
			return net->regions[i].seconds;
	return -1;
}

static bool is_nearer(double a, double b)
{
	return a >= 0 && (b < 0 || a < b);
}

static const struct ctl_node *nearest(const struct netmap *m, const struct api_netcheck *net)
{
	const struct ctl_node *best = NULL;
	for (size_t i = 0; m && i < m->n_peers; i++) {
		const struct ctl_node *c = &m->peers[i]->node;
		if (!netmap_is_exit(c) || c->online == OPT_FALSE || c->expired)
			continue;
		if (!best || is_nearer(seconds_to(net, c), seconds_to(net, best)))
			best = c;
	}
	return best;
}

void local_exit_suggest(struct request *r)
{
	struct arena a = { 0 };
	struct api_netcheck net = { 0 };
	struct local_measured when;
	(void)r->node->netcheck(r->node->arg, &a, &net, &when); /* or none is nearer */
	const struct ctl_node *c = nearest(r->node->map(r->node->arg), &net);
	if (c)
		local_reply_object(r->conn, json_pack("{s:s, s:s}", "ID", c->stable_id, "Name", c->name));
	else
		local_reply_error(r->conn, 404, "no machine that is online may be an exit");
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
