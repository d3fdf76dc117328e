#include "mesh/node/names.h"
#include "mesh/node/name_servers.h"
#include "mesh/base/log.h"
#include "mesh/base/key.h"
#include "mesh/base/table.h"
#include "mesh/os/sock.h"
#include "mesh/netmap/exits.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/node/name_matches.h"
#include "mesh/node/portal_names.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/transport/http.h"
#include "mesh/transport/proxy.h"
#include "resolver/name.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	OWN_HOSTS = 5, /* translator, control server, one that is tried, proxies; beside the relays */
	DNS_PORT = 53,
	BASE_MAX = RESOLVER_UPSTREAMS_MAX,
	UPSTREAMS_MAX = RESOLVER_UPSTREAMS_MAX,
	SEARCH_MAX = 6
};

/* Something of the map cannot be used. The first of them is kept for `status`. */
static void names_odd(struct names *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void names_odd(struct names *n, const char *fmt, ...)
{
	va_list ap;
	if (n->odd_dns[0])
		return;
	va_start(ap, fmt);
	vsnprintf(n->odd_dns, sizeof(n->odd_dns), fmt, ap);
	va_end(ap);
}

/* --- routes --- */

static void odd_server(void *arg, const char *server, const char *why)
{
	names_odd(arg, "the nameserver %s cannot be used: %s", server, why);
}

static size_t parse_all(struct names *n, const struct ctl_resolver *r, size_t count, struct arena *a,
	struct resolver_upstream *out)
{
	return name_servers_read(a, r, count, out, &(struct name_servers_odd) { odd_server, n });
}

/* The machine's own nameservers are those of the place it is at. */
static size_t base_upstreams(struct names *n, struct resolver_upstream *out)
{
	struct endpoint base[BASE_MAX];
	size_t n_base = n->os_dns ? os_dns_base(n->os_dns, base, BASE_MAX) : 0;
	for (size_t i = 0; i < n_base; i++)
		out[i] = (struct resolver_upstream) { .at = base[i], .site = true };
	return n_base;
}

/* This machine uses an exit, and its nameservers are of the place that it shall not speak to. */
static bool is_away(const struct names *n)
{
	return n->prefs->exit_node[0] != 0;
}

/* The exit itself, which asks in its own place. */
static size_t exit_upstream(struct names *n, struct arena *a, struct resolver_upstream *out)
{
	const struct netmap_peer *exit = n->map ? netmap_exit_find(n->map, n->prefs->exit_node) : NULL;
	struct dns_secure *how = arena_alloc(a, sizeof(*how));
	struct endpoint at;
	if (!exit || !how || !sharing_answers_names(n->map, &exit->node, &at))
		return 0;
	*how = (struct dns_secure) { .by = DNS_SECURE_MESH, .path = "/dns-query" };
	*out = (struct resolver_upstream) { .at = at, .secure = how, .trusted = true };
	return 1;
}

/* The default route: what the server says, else the machine's own, or under an exit the exit's, else the server's
 * fallback. */
static size_t default_upstreams(
	struct names *n, const struct ctl_dns *dns, struct arena *a, struct resolver_upstream *out)
{
	size_t k = dns ? parse_all(n, dns->resolvers, dns->n_resolvers, a, out) : 0;
	if (!k)
		k = is_away(n) ? exit_upstream(n, a, out) : base_upstreams(n, out);
	if (!k && dns)
		k = parse_all(n, dns->fallback, dns->n_fallback, a, out);
	if (!k && is_away(n))
		names_odd(n,
			"this machine uses an exit, which resolves no names, and the network names no "
			"nameserver to "
			"ask by it: names of the internet do not resolve (nameservers.global on the server)");
	return k;
}

struct routes {
	struct resolver_route *v;
	struct resolver_upstream *ups, base[UPSTREAMS_MAX]; /* ups: UPSTREAMS_MAX for each route */
	struct dns_name *names;				    /* of each; lower case, zeros behind */
	struct table by_name;
	size_t n, cap, n_base;
	bool is_short;	    /* of memory */
	struct arena arena; /* what ups stand on */
};

static struct resolver_upstream *next_ups(struct routes *r)
{
	return r->ups + r->n * UPSTREAMS_MAX;
}

static void key_of(const uint8_t *wire, size_t len, struct dns_name *key)
{
	*key = (struct dns_name) { .len = (uint8_t)len };
	memcpy(key->b, wire, len);
	dns_name_fold(key);
}

static bool has_route(const struct routes *r, const struct dns_name *name)
{
	struct dns_name key;
	key_of(name->b, name->len, &key);
	return table_get(&r->by_name, &key);
}

static void put_route(struct routes *r, const struct dns_name *name, const struct resolver_route *route)
{
	struct dns_name *key = &r->names[r->n];
	key_of(name->b, name->len, key);
	r->is_short = !table_put(&r->by_name, key, key) || r->is_short;
	r->v[r->n++] = *route;
}

static void add_host(struct routes *r, const char *host)
{
	struct dns_name name;
	struct addr ip;
	if (r->n == r->cap || !host[0] || addr_parse(host, &ip) || !dns_name_parse(host, &name))
		return;
	if (!has_route(r, &name))
		put_route(r, &name,
			&(struct resolver_route) {
				.suffix = host, .upstreams = r->base, .n_upstreams = r->n_base });
}

/* What the mesh hangs on must not hang on the mesh: with its nameserver out of reach, the node could not find
 * the way back to it. */
static void add_own_hosts(struct names *n, const struct url *control, struct routes *r)
{
	const struct ctl_derp_map *d = n->map ? n->map->derp : NULL;
	if (!r->n_base)
		return;
	add_host(r, NAT64_NAME); /* the network's translator is known to the network's own */
	add_host(r, control->host);
	add_host(r, n->trying);
	if (n->proxies) {
		add_host(r, n->proxies->secure.host);
		add_host(r, n->proxies->plain.host);
	}
	for (size_t i = 0; d && i < d->n_regions; i++) {
		for (size_t j = 0; j < d->regions[i].n_nodes; j++)
			add_host(r, d->regions[i].nodes[j].host);
	}
}

/* One that cannot be used is one bad item; the others hold. */
static void add_route(struct names *n, const struct ctl_route *from, struct routes *r)
{
	struct resolver_upstream *mine = next_ups(r);
	struct dns_name name;
	struct prefix network;
	if (!from->n) /* the zone's */
		return;
	if (prefix_parse(from->suffix, &network))
		names_odd(n,
			"the DNS route %s cannot be used: a network is written as its reverse zone "
			"(168.192.in-addr.arpa)",
			from->suffix);
	else if (!dns_name_parse(from->suffix, &name))
		names_odd(n, "the DNS route \"%s\" cannot be used: it is no domain name", from->suffix);
	else if (has_route(r, &name))
		names_odd(n, "the DNS route %s cannot be used: it is there twice", from->suffix);
	else
		put_route(r, &name,
			&(struct resolver_route) { .suffix = from->suffix,
				.upstreams = mine,
				.n_upstreams = parse_all(n, from->resolvers, from->n, &r->arena, mine) });
}

/* By a route of its own, or of a name above it. */
static bool is_routed(const struct routes *r, const struct dns_name *name)
{
	struct dns_name key;
	for (size_t at = 0;; at += name->b[at] + 1u) {
		key_of(name->b + at, (size_t)name->len - at, &key);
		if (table_get(&r->by_name, &key))
			return true;
		if (!name->b[at])
			return false;
	}
}

/* Behind a portal the network's nameservers, servers[n] of the default route, are out of reach until somebody has logged
 * in; the page where he does is found by these names, which the nameservers of the place answer then. They come last:
 * while the others answer they hear nothing. */
static void add_portals(struct routes *r, const struct resolver_upstream *servers, size_t n)
{
	for (size_t i = 0; i < portal_names_n && r->n < r->cap; i++) {
		struct resolver_upstream *mine = next_ups(r);
		struct dns_name name;
		size_t k = n;
		if (!dns_name_parse(portal_names[i], &name) || is_routed(r, &name))
			continue;
		memcpy(mine, servers, n * sizeof(*mine));
		for (size_t b = 0; b < r->n_base && k < UPSTREAMS_MAX; b++)
			mine[k++] = r->base[b];
		put_route(r, &name,
			&(struct resolver_route) {
				.suffix = portal_names[i], .upstreams = mine, .n_upstreams = k });
	}
}

static int routes_configure(struct names *n, const struct ctl_dns *dns, struct routes *r, struct errbuf *eb)
{
	struct url control = { 0 };
	r->n_base = base_upstreams(n, r->base);
	for (size_t i = 0; dns && i < dns->n_routes; i++)
		add_route(n, &dns->routes[i], r);
	(void)url_parse(n->prefs->control_url, &control);
	add_own_hosts(n, &control, r);
	struct resolver_upstream mine[UPSTREAMS_MAX];
	struct dns_name root = { 0 };
	size_t n_default = default_upstreams(n, dns, &r->arena, mine);
	if (n_default && dns && dns->n_resolvers && !is_away(n))
		add_portals(r, mine, n_default);
	if (n_default && dns_name_parse(".", &root) && !has_route(r, &root)) /* a route "." says it itself */
		put_route(r, &root,
			&(struct resolver_route) { .suffix = "",
				.upstreams = mine,
				.n_upstreams = n_default,
				.validate = n->validation.anchors != NULL });
	if (r->is_short)
		return err_set(eb, -ENOMEM, "DNS routes");
	struct resolver_config c = {
		.routes = r->v, .n_routes = r->n, .site = r->base, .n_site = is_away(n) ? 0 : r->n_base
	};
	if (!is_away(n) &&
		!n->n_served) /* those who ask this machine for names have IPv4, or another way to it */
		c.dns64 = n->nat64;
	resolver_server_proxies(n->dns, is_away(n) ? NULL : n->proxies);
	if (validation_serve(&n->validation, n->dns, &c, dns, eb))
		names_odd(n, "names of the internet do not resolve: %s", eb->text);
	return resolver_server_configure(n->dns, &c, eb);
}

static int configure_routes(struct names *n, const struct ctl_dns *dns, struct errbuf *eb)
{
	const struct ctl_derp_map *d = n->map ? n->map->derp : NULL;
	struct routes r = { .cap = (dns ? dns->n_routes : 0) + OWN_HOSTS + portal_names_n };
	uint64_t seed;
	for (size_t i = 0; d && i < d->n_regions; i++)
		r.cap += d->regions[i].n_nodes;
	random_system.fill(random_system.arg, &seed, sizeof(seed));
	table_init_inside(&r.by_name, sizeof(struct dns_name), 0, seed);
	r.v = calloc(r.cap + 1, sizeof(*r.v));
	r.names = calloc(r.cap + 1, sizeof(*r.names));
	r.ups = calloc(r.cap + 1, UPSTREAMS_MAX * sizeof(*r.ups));
	int err = r.v && r.names && r.ups ? routes_configure(n, dns, &r, eb)
					  : err_set(eb, -ENOMEM, "DNS routes");
	table_fini(&r.by_name);
	free(r.v);
	free(r.names);
	free(r.ups);
	arena_free(&r.arena);
	return err;
}

/* --- the machine --- */

/* Names of machines, nameservers, servers for some names, records: what only our resolver can give. */
static bool has_settings(const struct ctl_dns *dns)
{
	bool any = dns->proxied || dns->n_resolvers || dns->n_extra;
	for (size_t i = 0; i < dns->n_routes; i++)
		any = any || dns->routes[i].n;
	return any;
}

/* Is our resolver to be asked for everything? Where the network names whom to ask, the machine is under an exit, or
 * has nobody of its own. */
static bool wants_all(struct names *n, const struct ctl_dns *dns)
{
	struct endpoint base[BASE_MAX];
	bool all = dns->n_resolvers || is_away(n) || !os_dns_base(n->os_dns, base, BASE_MAX);
	for (size_t i = 0; i < dns->n_routes; i++)
		all = all || strcmp(dns->routes[i].suffix, ".") == 0;
	return all;
}

static int point_machine(struct names *n, const struct ctl_dns *dns, struct errbuf *eb)
{
	if (!n->prefs->accept_dns || !dns || (!has_settings(dns) && !is_away(n))) {
		os_dns_restore(n->os_dns);
		return 0;
	}
	const char *search[SEARCH_MAX];
	struct os_dns_config c = { .nameserver = addr_service_v4, .dev = n->dev, .search = search };
	struct name_matches *m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(eb, -ENOMEM, "what this machine asks the mesh's resolver for");
	name_matches_fill(m, dns);
	c.n_search = name_matches_search(dns, search, SEARCH_MAX);
	c.match = m->v;
	c.n_match = m->n;
	c.all = m->too_many || wants_all(n, dns);
	int err = os_dns_set(n->os_dns, &c, eb);
	free(m);
	return err;
}

static bool is_self(const struct names *n, const struct addr *ip)
{
	const struct ctl_prefixes *own = &n->map->self->node.addresses;
	for (size_t i = 0; i < own->n; i++)
		if (addr_equal(&own->v[i].ip, ip))
			return true;
	return false;
}

static bool is_base(const struct names *n, const struct addr *ip)
{
	struct endpoint base[BASE_MAX];
	size_t n_base = n->os_dns ? os_dns_base(n->os_dns, base, BASE_MAX) : 0;
	for (size_t i = 0; i < n_base; i++)
		if (addr_equal(&base[i].ip, ip))
			return true;
	return false;
}

/* Under an exit the machine's own nameservers are asked for server and relays alone, past the exit: without
 * them no way leads back to it. Not those that the network names too, for anything. */
static bool leaves_outside(const struct names *n, const struct addr *ip)
{
	const struct ctl_dns *dns = n->map ? n->map->dns : NULL;
	return is_away(n) && is_base(n, ip) && !(dns && name_servers_named(dns, ip));
}

/* A nameserver of the mesh is asked through the tunnel or not at all: while a route is missing, the question
 * would leave by the network around us. Not for the machine's own nameservers, some of which have an address
 * of this range, and not for this machine itself, which the tunnel does not lead to. */
static int keep_in_mesh(void *arg, int fd, const struct endpoint *to)
{
	struct names *n = arg;
	if (leaves_outside(n, &to->ip))
		sock_mark_outside(fd);
	if (!addr_is_mesh(&to->ip) || !n->map || is_self(n, &to->ip) || is_base(n, &to->ip))
		return 0;
	return n->dev[0] ? setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, n->dev, (socklen_t)strlen(n->dev))
			 : -1;
}

/* Without a guard of the interface the network around could ask: then only what this machine says to itself
 * comes in, and at the addresses at which others may ask what comes through the mesh. */
static int keep_to_machine(void *arg, int fd)
{
	const struct names *n = arg;
	struct endpoint at;
	if (n->guarded)
		return 0;
	bool service = sock_local(fd, &at) != 0 || addr_is_service(&at.ip);
	return sock_arrive_on(fd, service ? "lo" : n->dev);
}

static bool may_have(void *arg, const struct addr *from)
{
	return blocking_is_ours(&((const struct names *)arg)->blocking, from);
}

/* The machine itself is one client for all its programs. */
static bool is_this_machine(void *arg, const struct addr *from)
{
	const struct names *n = arg;
	return addr_is_service(from) || addr_is_loopback(from) || (n->map && is_self(n, from));
}

static uint32_t lists_of(void *arg, const struct addr *from)
{
	return blocking_lists(&((const struct names *)arg)->blocking, from);
}

static bool is_served_right(const struct names *n)
{
	struct addr at[2];
	size_t k = blocking_places(&n->blocking, n->map, at);
	bool same = k == n->n_served && n->guarded == n->open_guarded;
	for (size_t i = 0; same && i < k; i++)
		same = addr_equal(&at[i], &n->served[i]);
	return same;
}

/* The IPv6 address is a convenience: a machine without IPv6 lacks it. */
static struct resolver_server *open_at(
	struct names *n, const struct addr *others, size_t n_others, struct errbuf *eb)
{
	struct endpoint at[4] = { { .ip = addr_service_v4, .port = DNS_PORT } };
	struct resolver_server_options o = { .at = at,
		.n = 1,
		.lists = lists_of,
		.may_have = may_have,
		.unlimited = is_this_machine,
		.arg = n };
	o.upstream_socket = keep_in_mesh;
	o.listen_socket = keep_to_machine;
	for (size_t i = 0; i < n_others; i++)
		at[o.n++] = (struct endpoint) { .ip = others[i], .port = DNS_PORT };
	at[o.n++] = (struct endpoint) { .ip = addr_service_v6, .port = DNS_PORT };
	struct resolver_server *dns = resolver_server_open(n->loop, &o, eb);
	o.n--;
	return dns ? dns : resolver_server_open(n->loop, &o, eb);
}

/* This machine has its names even where another program is in the way of the others'. */
static int open_resolver(struct names *n, struct errbuf *eb)
{
	n->logs = n->dns ? resolver_server_journal(n->dns) != NULL : n->logs;
	blocking_move(&n->blocking, NULL);
	validation_leave(&n->validation);
	keeper_move(n->keeper); /* no file is synced while packets wait */
	map_zone_serve(&n->zones, NULL);
	resolver_server_close(n->dns);
	n->unserved[0] = 0;
	n->open_guarded = n->guarded;
	n->n_served = blocking_places(&n->blocking, n->map, n->served);
	n->dns = open_at(n, n->served, n->n_served, eb);
	if (!n->dns && n->n_served) {
		snprintf(n->unserved, sizeof(n->unserved),
			"the machines of the mesh cannot ask this one for names: %.120s; when that is "
			"mended, "
			"restart ropewalkd",
			eb->text);
		n->dns = open_at(n, NULL, 0, eb);
	}
	if (!n->dns)
		return eb->code;
	name_clients_serve(&n->clients, n->dns);
	blocking_move(&n->blocking, resolver_server_core(n->dns));
	map_zone_serve(&n->zones, resolver_server_core(n->dns));
	if (n->logs)
		(void)resolver_server_journal_set(n->dns, true);
	return 0;
}

static void zone_is_made(void *arg)
{
	const struct names *n = arg;
	n->made(n->arg);
}

/* Once this node's key has expired the mesh is out of reach: its names are served as they were, but questions
 * of the machine go where they went without a mesh. */
static const struct ctl_dns *settings(const struct names *n)
{
	return n->expired ? NULL : map_zone_settings(&n->zones, n->map);
}

static int apply_zone(struct names *n, struct errbuf *eb)
{
	n->zones.loop = n->loop;
	n->zones.made = zone_is_made;
	n->zones.arg = n;
	int err = n->expired && n->zones.zone ? 0 : map_zone_follow(&n->zones, n->map, eb);
	if (n->zones.odd[0])
		names_odd(n, "%s", n->zones.odd);
	return err;
}

static int apply(struct names *n, struct errbuf *eb)
{
	n->blocking.loop = n->loop;
	n->blocking.state_dir = n->state_dir;
	n->blocking.proxies = is_away(n) ? NULL : n->proxies;
	if (!blocking_follow(&n->blocking, n->map))
		return err_set(eb, -ENOMEM, "names that are blocked");
	int err = n->dns && is_served_right(n) ? 0 : open_resolver(n, eb);
	if (err)
		return err;
	bool blocks = blocking_serve(&n->blocking, resolver_server_core(n->dns));
	err = apply_zone(n, eb);
	if (n->unserved[0] || n->blocking.odd[0])
		names_odd(n, "%s", n->unserved[0] ? n->unserved : n->blocking.odd);
	err = err ? err : configure_routes(n, settings(n), eb);
	if (!err) /* zone and routes are those of one map */
		keeper_serve(n->keeper, resolver_server_core(n->dns), (const uint8_t[KEEP_ABOUT]) { 0 });
	err = err ? err : point_machine(n, settings(n), eb);
	if (!err && n->zones.moved && n->os_dns)
		os_dns_answers_changed(n->os_dns);
	n->zones.moved = n->zones.moved && err;
	return err || blocks ? err : err_set(eb, -ENOMEM, "names that are blocked");
}

void names_trying(struct names *n, const char *host)
{
	struct errbuf eb;
	snprintf(n->trying, sizeof(n->trying), "%s", host);
	if (n->dns && n->map && configure_routes(n, settings(n), &eb) != 0)
		log_warn("names: %s", eb.text);
}

void names_reload(struct names *n)
{
	struct errbuf eb;
	if (!n->dns)
		return;
	name_clients_serve(&n->clients, n->dns);
	if (n->map && configure_routes(n, settings(n), &eb) != 0) /* a door more is no nameserver to ask */
		log_warn("names: %s", eb.text);
}

void names_nat64_set(struct names *n, const struct nat64 *prefix)
{
	struct errbuf eb;
	bool same = n->nat64.bits == prefix->bits && addr_equal(&n->nat64.prefix, &prefix->prefix);
	n->nat64 = *prefix;
	if (!same && n->dns && n->map && configure_routes(n, settings(n), &eb) != 0)
		log_warn("names: %s", eb.text);
}

/* What is to be true is in n already. */
static int apply_and_tell(struct names *n, struct errbuf *eb)
{
	char text[sizeof(n->no_dns)] = "", odd_before[sizeof(n->odd_dns)];
	memcpy(odd_before, n->odd_dns, sizeof(odd_before));
	n->odd_dns[0] = 0;
	int err = apply(n, eb);
	if (err)
		snprintf(text, sizeof(text), "mesh names do not resolve on this machine: %s", eb->text);
	if (n->odd_dns[0] && strcmp(n->odd_dns, odd_before) != 0)
		log_warn("%s", n->odd_dns);
	memcpy(n->no_dns, text, sizeof(text));
	return err ? err_say(eb, err, "%s", n->no_dns) : 0;
}

bool names_keep(struct names *n, bool keep)
{
	if (!keep)
		keeper_remove(n->state_dir);
	else
		n->keeper = keeper_new(n->loop, n->state_dir, true);
	return n->keeper || !keep;
}

void names_keep_end(struct names *n)
{
	keeper_free(n->keeper);
	n->keeper = NULL;
}

bool names_outside_set(struct names *n, const struct addr_set *outside)
{
	return map_zone_outside_set(&n->zones, outside);
}

int names_apply(struct names *n, struct netmap *m, const char *dev, bool expired, struct errbuf *eb)
{
	netmap_get(m);
	netmap_put(n->map);
	n->map = m;
	n->expired = expired;
	snprintf(n->dev, sizeof(n->dev), "%s", dev);
	return apply_and_tell(n, eb);
}

bool names_links_changed(struct names *n)
{
	names_network_changed(n);
	return n->os_dns && os_dns_base_changed(n->os_dns);
}

bool names_ring(const struct names *n, char *text, size_t cap)
{
	struct endpoint ring;
	char at[ENDPOINT_TEXT];
	if (!n->dns || !resolver_rings(resolver_server_core(n->dns), &ring, 1))
		return false;
	snprintf(text, cap,
		"the nameserver %s sends this machine's questions back to it: let it ask others than "
		"100.100.100.100, "
		"or run `ropewalk up --accept-dns=false`",
		endpoint_format(&ring, at));
	return true;
}

void names_network_changed(struct names *n)
{
	if (n->dns)
		resolver_server_network_changed(n->dns);
}

void names_peer_gone(struct names *n, const struct ctl_node *peer)
{
	for (size_t i = 0; n->dns && i < peer->addresses.n; i++)
		resolver_server_doubt(n->dns, &peer->addresses.v[i].ip);
}

void names_forget(struct names *n)
{
	if (n->os_dns)
		os_dns_restore(n->os_dns);
	names_leave(n);
}

void names_leave(struct names *n)
{
	blocking_fini(&n->blocking);
	validation_leave(&n->validation);
	keeper_leave(n->keeper);
	map_zone_fini(&n->zones);
	resolver_server_close(n->dns);
	n->dns = NULL;
	n->clients.trouble[0] = 0;
	n->logs = false;
	n->n_served = 0;
	netmap_put(n->map);
	n->map = NULL;
}
