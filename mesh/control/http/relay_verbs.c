/* The relays as the server knows them: the map that nodes are told, and what nodes say of them. */
#include "mesh/control/http/verbs.h"

#include "mesh/control/http/values.h"
#include <stdlib.h>
#include <string.h>

static json_t *hosts_value(const struct ctl_derp_region *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->n_nodes; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:i, s:i}", "name", r->nodes[i].name, "host", r->nodes[i].host,
				"port", r->nodes[i].derp_port ? r->nodes[i].derp_port : 443, "stun",
				r->nodes[i].stun_port < 0 ? 0
				: r->nodes[i].stun_port	  ? r->nodes[i].stun_port
							  : 3478));
	return list;
}

/* What was measured to the region: the better of both families, s; below 0: nothing. */
static double latency_of(const struct ctl_netinfo *n, int32_t region)
{
	double best = -1;
	for (size_t i = 0; i < n->n_latency; i++) {
		const struct ctl_latency *l = &n->latency[i];
		if (strtol(l->key, NULL, 10) == region && (best < 0 || l->seconds < best))
			best = l->seconds;
	}
	return best;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* Those that are online: how many call it their home, and what they measure, in the middle. */
static json_t *region_value(const struct api *a, const struct ctl_derp_region *r, double *measured)
{
	const struct fleet *f = &a->reg->fleet;
	size_t n = 0;
	json_t *home = json_array();
	for (size_t i = 0; i < f->n; i++) {
		const struct member *m = f->v[i];
		double s = m->online && m->hostinfo.netinfo ? latency_of(m->hostinfo.netinfo, r->id) : -1;
		if (m->online && m->home_derp == r->id)
			json_array_append_new(home, json_string(m->name));
		if (s >= 0)
			measured[n++] = s;
	}
	qsort(measured, n, sizeof(*measured), compare);
	json_t *o = json_pack("{s:i, s:s, s:s, s:o, s:o, s:i}", "id", (int)r->id, "code", r->code, "name",
		r->name, "hosts", hosts_value(r), "home_of", home, "measured_by", (int)n);
	json_object_set_new(o, "latency_ms", n ? json_real(measured[n / 2] * 1000) : json_null());
	return o;
}

void admin_relays_list(struct api_call *c)
{
	const struct ctl_derp_map *map = &c->api->streams->set->derp;
	double *measured = calloc(c->api->reg->fleet.n + 1, sizeof(*measured));
	json_t *list = measured ? json_array() : NULL;
	for (size_t i = 0; list && i < map->n_regions; i++)
		json_array_append_new(list, region_value(c->api, &map->regions[i], measured));
	free(measured);
	api_reply_json(&c->way, 200, list);
}
