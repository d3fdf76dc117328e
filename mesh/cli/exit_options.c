#include "mesh/cli/exit_options.h"
#include "mesh/cli/api.h"
#include <string.h>

enum { ROUTES_MAX = 256 };

bool exit_options_offered(const struct api_prefs *p)
{
	for (size_t i = 0; i < p->advertise_routes.n; i++)
		if (!p->advertise_routes.v[i].bits)
			return true;
	return false;
}

int exit_options_check(struct cli *c, const struct exit_options *o)
{
	struct arena a = { 0 };
	struct api_status s;
	struct addr at;
	if (!o->use || !*o->use)
		return CLI_OK;
	if (strncmp(o->use, "auto:", 5) == 0)
		return cli_fail(c, CLI_FAILED, "unsupported",
			"ropewalk exit-node suggest names the nearest, ropewalk set --exit-node=NAME uses "
			"it.",
			"--exit-node=%s: no exit is chosen by itself here", o->use);
	int code = api_status(c, &a, &s);
	if (code == CLI_OK && strcmp(s.backend_state, "Running") == 0) {
		const struct api_peer *p = api_peer_find(&s, o->use, &at);
		if (!p)
			code = cli_fail(c, CLI_FAILED, "no-peer",
				"ropewalk exit-node list shows who may be one.",
				"--exit-node: no machine \"%s\"", o->use);
		else if (!p->exit_node_option)
			code = cli_fail(c, CLI_FAILED, "no-exit",
				"It has to offer that (ropewalk set --advertise-exit-node), and the server "
				"to "
				"approve it (ropewalk-control nodes approve-routes).",
				"--exit-node: %s is no exit", o->use);
	}
	arena_free(&a);
	return code;
}

/* The networks that are offered now, with both default routes or without them. */
static int set_offer(struct cli *c, bool offer)
{
	struct arena a = { 0 };
	struct api_prefs now;
	int code = api_prefs(c, &a, &now);
	if (code == CLI_OK && exit_options_offered(&now) != offer) {
		struct prefix *v = arena_array(&a, ROUTES_MAX + 2, sizeof(*v));
		struct api_prefs p = { .advertise_routes = { .v = v } };
		struct ctl_prefixes *next = &p.advertise_routes;
		for (size_t i = 0; v && i < now.advertise_routes.n && i < ROUTES_MAX; i++)
			if (now.advertise_routes.v[i].bits)
				v[next->n++] = now.advertise_routes.v[i];
		if (v && offer) {
			v[next->n++] = (struct prefix) { .ip = addr_v4(0) };
			v[next->n++] = (struct prefix) { .ip = addr_any6 };
		}
		code = v ? api_prefs_set(c, &p, &(struct api_prefs_mask) { .advertise_routes = true })
			 : cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	}
	arena_free(&a);
	return code;
}

int exit_options_set(struct cli *c, const struct exit_options *o, bool offered)
{
	struct api_prefs p = {
		.exit_node_id = o->use ? o->use : "", .exit_node_ip = "", .exit_allow_lan = o->allow_lan == 2
	};
	struct api_prefs_mask m = { .exit_node_id = o->use != NULL,
		.exit_node_ip = o->use != NULL,
		.exit_allow_lan = o->allow_lan != 0 };
	int code = m.exit_node_id || m.exit_allow_lan ? api_prefs_set(c, &p, &m) : CLI_OK;
	if (code == CLI_OK && (o->offer || offered))
		code = set_offer(c, o->offer ? o->offer == 2 : offered);
	return code;
}
