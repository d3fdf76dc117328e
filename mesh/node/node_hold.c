#include "mesh/node/node_hold.h"
#include "mesh/node/host/guard.h"
#include <stdio.h>
#include <string.h>

void node_hold_begin(struct node_hold *h)
{
	const struct engine *e = h->steps->engine;
	h->on = engine_is_open(e) && h->apply->map && h->steps->names->guarded;
	if (h->on)
		snprintf(h->dev, sizeof(h->dev), "%s", tun_name(e->tun));
	h->steps->holds = h->on;
}

static bool are_names_served(const struct node_hold *h)
{
	return h->apply->map && (h->steps->names->dns || !apply_is_missing(h->apply, APPLY_NAMES));
}

void node_hold_end(struct node_hold *h)
{
	const struct engine *e = h->steps->engine;
	bool open = engine_is_open(e);
	h->steps->holds = false;
	if (!h->on)
		return;
	if (!open || strcmp(tun_name(e->tun), h->dev) != 0)
		guard_drop(h->dev, h->journal);
	if (open && !h->apply->map)
		apply_nothing(h->apply);
	else if (!are_names_served(h))
		os_dns_restore(h->steps->names->os_dns);
}
