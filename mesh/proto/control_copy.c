#include "mesh/proto/control_copy.h"

static struct ctl_derp_node copy_node(struct arena *a, const struct ctl_derp_node *n)
{
	struct ctl_derp_node c = *n;
	c.name = arena_strdup(a, n->name);
	c.host = arena_strdup(a, n->host);
	c.cert_name = arena_strdup(a, n->cert_name);
	c.ipv4 = arena_strdup(a, n->ipv4);
	c.ipv6 = arena_strdup(a, n->ipv6);
	c.stun_test_ip = arena_strdup(a, n->stun_test_ip);
	return c;
}

struct ctl_derp_map *ctl_derp_map_copy(struct arena *a, const struct ctl_derp_map *m)
{
	struct ctl_derp_map *c = arena_memdup(a, m, sizeof(*m));
	struct ctl_derp_region *regions = arena_array(a, m->n_regions, sizeof(*regions));
	if (!c || !regions)
		return NULL;
	for (size_t i = 0; i < m->n_regions; i++) {
		const struct ctl_derp_region *from = &m->regions[i];
		struct ctl_derp_node *nodes = arena_array(a, from->n_nodes, sizeof(*nodes));
		if (!nodes)
			return NULL;
		regions[i] = *from;
		regions[i].code = arena_strdup(a, from->code);
		regions[i].name = arena_strdup(a, from->name);
		regions[i].nodes = nodes;
		for (size_t j = 0; j < from->n_nodes; j++)
			nodes[j] = copy_node(a, &from->nodes[j]);
	}
	c->regions = regions;
	return a->failed ? NULL : c;
}
