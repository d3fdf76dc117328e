#include "mesh/node/names.h"
#include "mesh/base/log.h"
#include "mesh/node/iface.h"
#include "mesh/node/os_dns.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DNS_PORT = 53,
	BASE_MAX = RESOLVER_UPSTREAMS_MAX,
	UPSTREAMS_MAX = RESOLVER_UPSTREAMS_MAX,
	SEARCH_MAX = 6
};

/* --- zone --- */

static void add_node(struct zone_builder *b, const struct ctl_node *c)
{
	for (size_t i = 0; c->name[0] && i < c->addresses.n; i++) {
		if (!zone_add_address(b, c->name, &c->addresses.v[i].ip, true))
			log_warn("names: \"%s\" is not a usable name", c->name);
	}
}

static void add_reverse_authority(struct zone_builder *b)
{
	char zone[64];
	for (unsigned i = 64; i < 128; i++) {
		snprintf(zone, sizeof(zone), "%u.100.in-addr.arpa", i);
		zone_add_authority(b, zone);
	}
	zone_add_authority(b, "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa");
}

static struct zone *make_zone(const struct netmap *m)
{
	struct zone_builder *b = zone_builder_new();
	if (!b)
		return NULL;
	const struct ctl_dns *dns = m->dns;
	add_node(b, &m->self->node);
	for (size_t i = 0; i < m->n_peers; i++)
		add_node(b, &m->peers[i]->node);
	if (dns && dns->proxied) {
		if (dns->domains.n)
			zone_add_authority(b, dns->domains.v[0]);
		add_reverse_authority(b);
		for (size_t i = 0; i < dns->n_routes; i++) {
			if (!dns->routes[i].n)
				zone_add_authority(b, dns->routes[i].suffix);
		}
	}
	for (size_t i = 0; dns && i < dns->n_extra; i++) {
		struct addr ip;
		const struct ctl_record *r = &dns->extra[i];
		bool address = !r->type[0] || strcmp(r->type, "A") == 0 || strcmp(r->type, "AAAA") == 0;
		if (!address || !addr_parse(r->value, &ip) || !zone_add_address(b, r->name, &ip, false))
			log_warn("names: extra record %s %s %s is not usable here", r->name, r->type,
				r->value);
	}
	return zone_build(b);
}

/* --- routes --- */

/* "IP", "IP:port"; other forms (https://) are not for us. One inside the mesh is our own people's: trusted.
 */
static bool upstream_parse(const char *text, struct resolver_upstream *out)
{
	*out = (struct resolver_upstream) { .at.port = DNS_PORT };
	if (!addr_parse(text, &out->at.ip) && !endpoint_parse(text, &out->at))
		return false;
	out->trusted = iface_in_mesh(&out->at.ip);
	return !iface_is_service(&out->at.ip);
}

static size_t parse_all(const struct ctl_resolver *r, size_t n, struct resolver_upstream *out)
{
	size_t k = 0;
	for (size_t i = 0; i < n && k < UPSTREAMS_MAX; i++) {
		if (upstream_parse(r[i].addr, &out[k]))
			k++;
		else
			log_warn("names: nameserver %s is not usable here", r[i].addr);
	}
	return k;
}

/* The default route: what the server says, else the machine's own, else the server's fallback. */
static size_t default_upstreams(struct node *n, const struct ctl_dns *dns, struct resolver_upstream *out)
{
	size_t k = dns ? parse_all(dns->resolvers, dns->n_resolvers, out) : 0;
	if (k)
		return k;
	struct addr base[BASE_MAX];
	size_t n_base = n->os_dns ? os_dns_base(n->os_dns, base, BASE_MAX) : 0;
	for (size_t i = 0; i < n_base; i++)
		out[k++] = (struct resolver_upstream) { .at = { .ip = base[i], .port = DNS_PORT } };
	return k || !dns ? k : parse_all(dns->fallback, dns->n_fallback, out);
}

static int configure_routes(struct node *n, const struct ctl_dns *dns, struct errbuf *eb)
{
	size_t n_split = dns ? dns->n_routes : 0, k = 0;
	struct resolver_route *routes = calloc(n_split + 1, sizeof(*routes));
	struct resolver_upstream *ups = calloc((n_split + 1) * UPSTREAMS_MAX, sizeof(*ups));
	int err = -12;
	if (routes && ups) {
		for (size_t i = 0; i < n_split; i++) {
			struct resolver_upstream *mine = ups + k * UPSTREAMS_MAX;
			if (dns->routes[i].n)
				routes[k++] = (struct resolver_route) { .suffix = dns->routes[i].suffix,
					.upstreams = mine,
					.n_upstreams =
						parse_all(dns->routes[i].resolvers, dns->routes[i].n, mine) };
		}
		struct resolver_upstream *mine = ups + k * UPSTREAMS_MAX;
		size_t n_default = default_upstreams(n, dns, mine);
		if (n_default)
			routes[k++] = (struct resolver_route) {
				.suffix = "", .upstreams = mine, .n_upstreams = n_default
			};
		struct resolver_config cfg = { .routes = routes, .n_routes = k };
		err = resolver_server_configure(n->dns, &cfg, eb);
	}
	free(routes);
	free(ups);
	return err;
}

/* --- the machine --- */

static int point_machine(struct node *n, const struct ctl_dns *dns, struct errbuf *eb)
{
	if (!n->state.prefs.accept_dns || !dns || !dns->proxied) {
		os_dns_restore(n->os_dns);
		return 0;
	}
	size_t k = dns->domains.n < SEARCH_MAX ? dns->domains.n : SEARCH_MAX;
	return os_dns_set(n->os_dns, &iface_service_v4, dns->domains.v, k, eb);
}

/* The IPv6 address is a convenience: a machine without IPv6 lacks it. */
static int open_resolver(struct node *n, struct errbuf *eb)
{
	const struct endpoint service[] = { { .ip = iface_service_v4, .port = DNS_PORT },
		{ .ip = iface_service_v6, .port = DNS_PORT } };
	struct resolver_server_options o = { .at = service, .n = ARRAY_LEN(service) };
	n->dns = resolver_server_open(n->loop, &o, eb);
	if (!n->dns) {
		o.n = 1;
		n->dns = resolver_server_open(n->loop, &o, eb);
	}
	return n->dns ? 0 : eb->code;
}

static int apply(struct node *n, const struct netmap *m, struct errbuf *eb)
{
	int err = n->dns ? 0 : open_resolver(n, eb);
	if (err)
		return err;
	struct zone *z = make_zone(m);
	if (!z)
		return err_set(eb, -12, "the names of the mesh do not fit in memory; the old ones stay");
	resolver_zone_set(resolver_server_core(n->dns), z);
	zone_put(z);
	err = configure_routes(n, m->dns, eb);
	return err ? err : point_machine(n, m->dns, eb);
}

void names_apply(struct node *n, const struct netmap *m)
{
	struct errbuf eb = { 0 };
	char text[sizeof(n->no_dns)] = "";
	if (apply(n, m, &eb) != 0)
		snprintf(text, sizeof(text), "mesh names do not resolve on this machine: %s", eb.text);
	if (text[0] && strcmp(text, n->no_dns) != 0)
		log_error("%s", text);
	memcpy(n->no_dns, text, sizeof(text));
}

void names_refresh(struct node *n)
{
	if (n->map && n->wg)
		names_apply(n, n->map);
}

void names_links_changed(struct node *n)
{
	names_network_changed(n);
	if (n->os_dns && (os_dns_base_changed(n->os_dns) || n->no_dns[0]))
		names_refresh(n);
}

void names_network_changed(struct node *n)
{
	if (n->dns)
		resolver_network_changed(resolver_server_core(n->dns));
}

void names_forget(struct node *n)
{
	if (n->os_dns)
		os_dns_restore(n->os_dns);
	resolver_server_close(n->dns);
	n->dns = NULL;
}
