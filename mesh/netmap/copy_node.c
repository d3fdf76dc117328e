/* A node and all it points to in one block of its own size: a map has one for each machine of the mesh, and most of what a
 * node can say is not said. The same walk measures the block and fills it. */
#include "mesh/netmap/copy.h"
#include "mesh/proto/control_equal.h"
#include <stdalign.h>
#include <string.h>

struct packer {
	uint8_t *p; /* NULL: it is measured */
	size_t used;
};

static void *pack(struct packer *k, const void *from, size_t n, size_t align)
{
	size_t at = (k->used + align - 1) / align * align;
	k->used = at + n;
	if (!k->p)
		return NULL;
	if (n)
		memcpy(k->p + at, from, n);
	return k->p + at;
}

static void *pack_array(struct packer *k, const void *from, size_t n, size_t size, size_t align)
{
	return pack(k, from, n * size, align);
}

/* No text is an empty one, which takes no room. */
static const char *pack_text(struct packer *k, const char *s)
{
	return s && *s ? pack(k, s, strlen(s) + 1, 1) : "";
}

static void pack_prefixes(struct packer *k, struct ctl_prefixes *l)
{
	l->v = pack_array(k, l->v, l->n, sizeof(*l->v), alignof(struct prefix));
}

static void pack_strings(struct packer *k, struct ctl_strings *l)
{
	const char **from = l->v, **to = pack_array(k, from, l->n, sizeof(*from), alignof(const char *));
	for (size_t i = 0; i < l->n; i++) {
		const char *text = pack_text(k, from[i]);
		if (to)
			to[i] = text;
	}
	l->v = to;
}

static void pack_services(struct packer *k, struct ctl_hostinfo *h)
{
	const struct ctl_service *from = h->services;
	struct ctl_service *to =
		pack_array(k, from, h->n_services, sizeof(*from), alignof(struct ctl_service));
	for (size_t i = 0; i < h->n_services; i++) {
		const char *proto = pack_text(k, from[i].proto),
			   *description = pack_text(k, from[i].description);
		if (!to)
			continue;
		to[i].proto = proto;
		to[i].description = description;
	}
	h->services = to;
}

static void pack_latency(struct packer *k, struct ctl_netinfo *net)
{
	const struct ctl_latency *from = net->latency;
	struct ctl_latency *to =
		pack_array(k, from, net->n_latency, sizeof(*from), alignof(struct ctl_latency));
	for (size_t i = 0; i < net->n_latency; i++) {
		const char *key = pack_text(k, from[i].key);
		if (to)
			to[i].key = key;
	}
	net->latency = to;
}

static void pack_netinfo(struct packer *k, struct ctl_hostinfo *h)
{
	if (!h->netinfo)
		return;
	struct ctl_netinfo net = *h->netinfo;
	net.link_type = pack_text(k, net.link_type);
	pack_latency(k, &net);
	h->netinfo = pack(k, &net, sizeof(net), alignof(struct ctl_netinfo));
}

static void pack_location(struct packer *k, struct ctl_hostinfo *h)
{
	if (!h->location)
		return;
	struct ctl_location l = *h->location;
	const char **texts[] = { &l.country, &l.country_code, &l.city, &l.city_code };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = pack_text(k, *texts[i]);
	h->location = pack(k, &l, sizeof(l), alignof(struct ctl_location));
}

static void pack_hostinfo(struct packer *k, struct ctl_hostinfo *h)
{
	const char **texts[] = { &h->ipn_version, &h->backend_log_id, &h->os, &h->os_version, &h->hostname,
		&h->machine, &h->go_arch };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = pack_text(k, *texts[i]);
	pack_prefixes(k, &h->routable_ips);
	pack_strings(k, &h->request_tags);
	pack_services(k, h);
	pack_netinfo(k, h);
	pack_location(k, h);
}

static void pack_endpoints(struct packer *k, struct ctl_endpoints *e)
{
	e->v = pack_array(k, e->v, e->n, sizeof(*e->v), alignof(struct endpoint));
	if (e->types)
		e->types = pack_array(k, e->types, e->n, 1, 1);
}

/* What lies behind the pointers of n, which is a plain copy of a node when it comes and points to the block then. */
static void pack_node(struct packer *k, struct ctl_node *n)
{
	bool nets = !ctl_prefixes_equal(&n->allowed_ips, &n->addresses);
	pack_strings(k, &n->tags);
	pack_hostinfo(k, &n->hostinfo);
	pack_endpoints(k, &n->endpoints);
	pack_prefixes(k, &n->addresses);
	if (nets)
		pack_prefixes(k, &n->allowed_ips);
	else
		n->allowed_ips = n->addresses;
	pack_prefixes(k, &n->primary_routes);
	n->stable_id = pack_text(k, n->stable_id);
	n->name = pack_text(k, n->name);
	if (n->cap_map_json)
		n->cap_map_json = pack(k, n->cap_map_json, strlen(n->cap_map_json) + 1, 1);
	n->written = NULL;
}

size_t copy_node_size(const struct ctl_node *from)
{
	struct packer k = { 0 };
	struct ctl_node n = *from;
	pack_node(&k, &n);
	return k.used;
}

void copy_node(const struct ctl_node *from, struct ctl_node *to, void *block)
{
	struct packer k = { .p = block };
	struct ctl_node n = *from;
	pack_node(&k, &n);
	*to = n;
}
