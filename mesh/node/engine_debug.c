/* What a person who looks for a fault may ask of the engine. */
#include "mesh/node/engine.h"

bool engine_echo(struct engine *e, uint64_t peer, const struct addr *at, enum plane_echo kind, uint64_t token)
{
	bool sent = dataplane_echo(&e->plane, peer, at, kind, token);
	engine_rearm(e);
	return sent;
}

void engine_measure(struct engine *e)
{
	path_recheck(e->path, loop_now_ms(e->loop));
	router_link_doubt(e->router);
	engine_rearm(e);
}

void engine_rebind(struct engine *e)
{
	if (!engine_is_open(e))
		return;
	path_routes_changed(e->path, loop_now_ms(e->loop));
	engine_break_relays(e);
	engine_look_again(e);
}

void engine_break_relays(struct engine *e)
{
	struct path_report r;
	struct addr at;
	if (!engine_is_open(e))
		return;
	path_report(e->path, &r);
	for (size_t i = 0; i < r.n_regions; i++)
		if (relays_peer(e->relays, r.regions[i].id, &at))
			relays_ways_moved(e->relays, &at, 1);
	engine_rearm(e);
}

void engine_capture_set(struct engine *e, const struct plane_capture *c)
{
	if (engine_is_open(e))
		dataplane_capture_set(&e->plane, c);
}
