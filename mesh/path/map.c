#include "mesh/path/map.h"
#include "mesh/path/events.h"
#include "mesh/path/home.h"
#include "mesh/path/netcheck.h"
#include "mesh/path/region.h"
#include "mesh/path/state.h"
#include <stdlib.h>
#include <string.h>

static void free_regions(struct region *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < v[i].n_servers; k++)
			free(v[i].servers[k].host);
		free(v[i].servers);
	}
	free(v);
}

void map_free(struct path *p)
{
	free_regions(p->regions, p->n_regions);
	free(p->shown_regions);
}

static void set_address(struct server *s, const struct addr *a)
{
	if (addr_is_v4(a)) {
		s->v4 = *a;
		s->has4 = true;
	} else {
		s->v6 = *a;
		s->has6 = true;
	}
}

static bool set_literal(struct server *s, const char *text)
{
	struct addr a;
	if (!text || !*text || !addr_parse(text, &a))
		return false;
	set_address(s, &a);
	return true;
}

static bool set_server(struct path *p, struct server *s, const struct ctl_derp_node *n)
{
	*s = (struct server) { .port = n->stun_port ? (uint16_t)n->stun_port : 3478 };
	s->host = strdup(n->host ? n->host : "");
	if (!s->host)
		return false;
	if (set_literal(s, n->stun_test_ip))
		return true;
	bool told = set_literal(s, n->ipv4);
	told = set_literal(s, n->ipv6) || told;
	if (!told && !set_literal(s, s->host) && *s->host)
		s->name_wanted = p->regions_wanted = true;
	return true;
}

/* old: as it was known; NULL = it was not. */
static bool set_region(
	struct path *p, struct region *r, const struct region *old, const struct ctl_derp_region *from)
{
	if (old)
		*r = *old;
	else
		*r = (struct region) { .id = from->id, .low_now_ms = -1, .low_before_ms = -1, .last_ms = -1 };
	r->no_measure = from->no_measure;
	r->has_relay = false;
	r->n_servers = 0;
	r->legs[0] = r->legs[1] = (struct leg) { 0 }; /* a running report asked the old servers */
	r->servers = calloc(from->n_nodes ? from->n_nodes : 1, sizeof(*r->servers));
	if (!r->servers)
		return false;
	for (size_t i = 0; i < from->n_nodes; i++) {
		const struct ctl_derp_node *n = &from->nodes[i];
		if (!n->stun_only)
			r->has_relay = true;
		if (n->stun_port < 0 || n->stun_port > UINT16_MAX)
			continue;
		if (!set_server(p, &r->servers[r->n_servers], n))
			return false;
		r->n_servers++;
	}
	return true;
}

void path_derp_map_set(struct path *p, uint64_t now_ms, const struct ctl_derp_map *m)
{
	state_advance(p, now_ms);
	struct region *v = calloc(m->n_regions ? m->n_regions : 1, sizeof(*v));
	struct path_region *shown = calloc(m->n_regions ? m->n_regions : 1, sizeof(*shown));
	size_t n = 0, old = 0;
	bool ok = v && shown;
	for (size_t i = 0; ok && i < m->n_regions; i++, n++) {
		const int32_t id = m->regions[i].id;
		while (old < p->n_regions && p->regions[old].id < id)
			old++;
		bool known = old < p->n_regions && p->regions[old].id == id;
		ok = set_region(p, &v[n], known ? &p->regions[old] : NULL, &m->regions[i]);
	}
	if (!ok) { /* memory is short: the old map serves on */
		if (v)
			free_regions(v, n < m->n_regions ? n + 1 : n);
		free(shown);
		return;
	}
	free_regions(p->regions, p->n_regions);
	free(p->shown_regions);
	p->regions = v;
	p->n_regions = n;
	p->shown_regions = shown;
	if ((p->home && !region_find(p, p->home)) || home_is_only_choice(p))
		home_pick(p);
	netcheck_start(p, true);
}

void path_resolved(struct path *p, uint64_t now_ms, const char *host, const struct addr *addrs, size_t n)
{
	state_advance(p, now_ms);
	bool news = false;
	for (size_t i = 0; i < p->n_regions; i++) {
		for (size_t k = 0; k < p->regions[i].n_servers; k++) {
			struct server *s = &p->regions[i].servers[k];
			if (s->has4 || s->has6 || strcmp(s->host, host) != 0)
				continue;
			for (size_t j = 0; j < n; j++)
				set_address(s, &addrs[j]);
			news = news || n;
		}
	}
	if (news)
		netcheck_start(p, true);
}
