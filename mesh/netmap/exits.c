#include "mesh/netmap/exits.h"
#include <math.h>
#include <string.h>
#include <strings.h>

bool netmap_is_exit(const struct ctl_node *c)
{
	bool v4 = false, v6 = false;
	for (size_t i = 0; i < c->allowed_ips.n; i++)
		if (c->allowed_ips.v[i].bits == 0)
			*(addr_is_v4(&c->allowed_ips.v[i].ip) ? &v4 : &v6) = true;
	return v4 && v6;
}

static bool is_name(const struct ctl_node *c, const char *who)
{
	size_t len = strlen(who), label = strcspn(c->name, ".");
	if (len && who[len - 1] == '.')
		len--;
	return len && strncasecmp(c->name, who, len) == 0 &&
	       (len == label || strcmp(c->name + len, ".") == 0 || !c->name[len]);
}

const struct netmap_peer *netmap_exit_find(const struct netmap *m, const char *who)
{
	struct addr ip;
	bool by_address = addr_parse(who, &ip);
	for (size_t i = 0; *who && i < m->n_peers; i++) {
		const struct ctl_node *c = &m->peers[i]->node;
		if (by_address ? ctl_node_has(c, &ip) : strcmp(c->stable_id, who) == 0 || is_name(c, who))
			return m->peers[i];
	}
	return NULL;
}

/* --- which of them --- */

enum { EARTH_M = 6371000, NEARLY_AS_FAR_M = 100000 };

static double radians(double degrees)
{
	return degrees * 3.14159265358979323846 / 180;
}

/* Metres over ground, of a round earth. */
static double metres(const struct ctl_derp_region *from, const struct ctl_location *to)
{
	double lat = sin(radians(from->latitude - to->latitude) / 2);
	double lon = sin(radians(from->longitude - to->longitude) / 2);
	double a = lat * lat + cos(radians(from->latitude)) * cos(radians(to->latitude)) * lon * lon;
	return 2 * EARTH_M * atan2(sqrt(a), sqrt(a < 1 ? 1 - a : 0));
}

static bool is_marked(const struct ctl_node *c)
{
	return ctl_cap_has(c->cap_map_json, "suggest-exit-node");
}

static bool is_candidate(const struct ctl_node *c)
{
	return netmap_is_exit(c) && c->online != OPT_FALSE && !c->expired;
}

/* Infinite: not measured. */
static double seconds_to(const struct netmap_nearness *near, int32_t region)
{
	for (size_t i = 0; i < near->n; i++)
		if (near->rtts[i].region == region && near->rtts[i].seconds > 0)
			return near->rtts[i].seconds;
	return INFINITY;
}

static double metres_to(const struct ctl_derp_region *home, const struct ctl_node *c)
{
	const struct ctl_location *l = c->hostinfo.location;
	return home && l ? metres(home, l) : INFINITY;
}

static int32_t priority_of(const struct ctl_node *c)
{
	return c->hostinfo.location ? c->hostinfo.location->priority : 0;
}

static const struct ctl_derp_region *home_of(const struct netmap *m, int32_t region)
{
	for (size_t i = 0; m->derp && i < m->derp->n_regions; i++)
		if (m->derp->regions[i].id == region)
			return &m->derp->regions[i];
	return NULL;
}

struct choice {
	const struct ctl_derp_region *home;
	const struct netmap_nearness *near;
	double least_m; /* to the nearest that has no relay */
};

static bool is_better(const struct choice *k, const struct ctl_node *a, const struct ctl_node *b)
{
	if (!a->home_derp != !b->home_derp)
		return a->home_derp;
	if (a->home_derp) {
		double to_a = seconds_to(k->near, a->home_derp), to_b = seconds_to(k->near, b->home_derp);
		if (to_a < to_b || to_b < to_a)
			return to_a < to_b;
	} else {
		bool near_a = metres_to(k->home, a) <= k->least_m + NEARLY_AS_FAR_M;
		bool near_b = metres_to(k->home, b) <= k->least_m + NEARLY_AS_FAR_M;
		if (near_a != near_b)
			return near_a;
		if (priority_of(a) != priority_of(b))
			return priority_of(a) > priority_of(b);
	}
	return strcmp(a->name, b->name) < 0;
}

const struct ctl_node *netmap_exit_suggest(const struct netmap *m, const struct netmap_nearness *near)
{
	struct choice k = { .home = home_of(m, near->home), .near = near, .least_m = INFINITY };
	const struct ctl_node *best = NULL;
	bool marked = false;
	for (size_t i = 0; i < m->n_peers && !marked; i++)
		marked = is_candidate(&m->peers[i]->node) && is_marked(&m->peers[i]->node);
	for (size_t i = 0; i < m->n_peers; i++) {
		const struct ctl_node *c = &m->peers[i]->node;
		if (is_candidate(c) && (!marked || is_marked(c)) && !c->home_derp)
			k.least_m = fmin(k.least_m, metres_to(k.home, c));
	}
	for (size_t i = 0; i < m->n_peers; i++) {
		const struct ctl_node *c = &m->peers[i]->node;
		if (is_candidate(c) && (!marked || is_marked(c)) && (!best || is_better(&k, c, best)))
			best = c;
	}
	return best;
}
