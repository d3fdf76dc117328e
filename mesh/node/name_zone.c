#include "mesh/node/name_zone.h"

#include "resolver/name.h"
#include "resolver/present.h"
#include "resolver/zone.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RDATA_MAX = 1024 };

void names_odd(struct names *n, const char *fmt, ...)
{
	va_list ap;
	if (n->odd_dns[0])
		return;
	va_start(ap, fmt);
	vsnprintf(n->odd_dns, sizeof(n->odd_dns), fmt, ap);
	va_end(ap);
}

/* A name the map gives that cannot be used is one bad item; only memory ends the whole. */
static int names_check(struct names *n, int err, const char *what, const char *name)
{
	if (err == ERR_MALFORMED)
		names_odd(n, "%s \"%s\" cannot be used: it is no domain name", what, name);
	else if (err == ERR_REFUSED)
		names_odd(n, "%s %s cannot be used: another record has its name, and an alias stands alone",
			what, name);
	return err == ERR_MALFORMED || err == ERR_REFUSED ? 0 : err;
}

/* A name must not lead to the gateway of the place that this machine is at because a peer has its address. */
static int node_add(struct names *n, struct zone *z, const struct ctl_node *c)
{
	int err = 0;
	for (size_t i = 0; !err && c->name[0] && i < c->addresses.n; i++) {
		const struct addr *ip = &c->addresses.v[i].ip;
		if (!addr_set_has(&n->outside, ip))
			err = names_check(
				n, zone_add_address(z, c->name, ip, true), "the machine name", c->name);
	}
	return err;
}

static void node_remove(struct zone *z, const struct ctl_node *c)
{
	for (size_t i = 0; c->name[0] && i < c->addresses.n; i++)
		zone_remove_address(z, c->name, &c->addresses.v[i].ip, true);
}

static int authority_add(struct names *n, struct zone *z, const char *suffix)
{
	return names_check(n, zone_add_authority(z, suffix), "the domain", suffix);
}

static int reverse_authority_add(struct names *n, struct zone *z)
{
	char suffix[64];
	int err = authority_add(n, z, "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa");
	for (unsigned i = 64; !err && i < 128; i++) {
		snprintf(suffix, sizeof(suffix), "%u.100.in-addr.arpa", i);
		err = authority_add(n, z, suffix);
	}
	return err;
}

/* Programs ask who their name server is, and what they are told must lead back. */
static int service_add(struct zone *z)
{
	static const char name[] = "resolver.ropewalk.internal";
	int err = zone_add_address(z, name, &addr_service_v4, true);
	return err ? err : zone_add_address(z, name, &addr_service_v6, true);
}

static int extra_add(struct names *n, struct zone *z, const struct ctl_record *r)
{
	static const char what[] = "the extra DNS record";
	uint8_t rdata[RDATA_MAX];
	uint16_t type;
	size_t len;
	struct addr ip;
	struct errbuf eb;
	struct dns_name name;
	if (!dns_name_parse(r->name, &name))
		return names_check(n, ERR_MALFORMED, what, r->name);
	if (!r->type[0] || strcmp(r->type, "A") == 0 || strcmp(r->type, "AAAA") == 0) {
		if (addr_parse(r->value, &ip))
			return names_check(n, zone_add_address(z, r->name, &ip, false), what, r->name);
		names_odd(n, "%s %s cannot be used: \"%s\" is no address", what, r->name, r->value);
		return 0;
	}
	if (present_rdata_parse(r->type, r->value, rdata, sizeof(rdata), &len, &type, &eb) == 0)
		return names_check(n, zone_add_record(z, &name, type, rdata, len), what, r->name);
	names_odd(n, "%s %s cannot be used: %s", what, r->name, eb.text);
	return 0;
}

static int zone_fill(struct names *n, struct zone *z, const struct netmap *m)
{
	const struct ctl_dns *dns = m->dns;
	int err = node_add(n, z, &m->self->node);
	for (size_t i = 0; !err && i < m->n_peers; i++)
		err = node_add(n, z, &m->peers[i]->node);
	if (!err && dns && dns->proxied) {
		if (dns->domains.n)
			err = authority_add(n, z, dns->domains.v[0]);
		err = err ? err : reverse_authority_add(n, z);
		err = err ? err : service_add(z);
		zone_via6_names(z);
		for (size_t i = 0; !err && i < dns->n_routes; i++)
			if (!dns->routes[i].n)
				err = authority_add(n, z, dns->routes[i].suffix);
	}
	for (size_t i = 0; !err && dns && i < dns->n_extra; i++)
		err = extra_add(n, z, &dns->extra[i]);
	return err;
}

static bool same_name(const struct ctl_node *a, const struct ctl_node *b)
{
	bool same = strcmp(a->name, b->name) == 0 && a->addresses.n == b->addresses.n;
	for (size_t i = 0; same && i < a->addresses.n; i++)
		same = addr_equal(&a->addresses.v[i].ip, &b->addresses.v[i].ip);
	return same;
}

/* From one map to the next where only peers changed, at the cost of what changed; a peer that did not has the
 * same pointer in both. What goes is removed before anything is added: a name may go from one peer to
 * another. */
static int zone_step(struct names *n, struct zone *z, const struct netmap *from, const struct netmap *to)
{
	int err = 0;
	for (int adding = 0; adding < 2; adding++)
		for (size_t i = 0, k = 0; !err && (i < from->n_peers || k < to->n_peers);) {
			const struct netmap_peer *x = i < from->n_peers ? from->peers[i] : NULL;
			const struct netmap_peer *y = k < to->n_peers ? to->peers[k] : NULL;
			bool same = x == y; /* most of many: not even looked at */
			bool goes = same || (x && (!y || x->node.id <= y->node.id));
			bool comes = same || (y && (!x || y->node.id <= x->node.id));
			bool differs = !same && (!goes || !comes || !same_name(&x->node, &y->node));
			n->zone_moved = n->zone_moved || differs;
			if (differs && goes && !adding)
				node_remove(z, &x->node);
			if (differs && comes && adding)
				err = node_add(n, z, &y->node);
			i += goes;
			k += comes;
		}
	return err;
}

/* A map whose names clash is read whole each time: which of two gets the name depends on their order. */
static bool may_step(const struct names *n)
{
	const struct netmap *from = n->zone_map, *to = n->map;
	return from && !n->zone_odd && from->parts[NETMAP_DNS] == to->parts[NETMAP_DNS] &&
	       same_name(&from->self->node, &to->self->node);
}

static void zone_follows(struct names *n)
{
	netmap_put(n->zone_map);
	n->zone_map = netmap_get(n->map);
	n->zone_odd = n->odd_dns[0] != 0;
}

int names_zone_apply(struct names *n, struct errbuf *eb)
{
	struct resolver *r = resolver_server_core(n->dns);
	if (may_step(n) && !zone_step(n, n->zone, n->zone_map, n->map) && !n->odd_dns[0]) {
		zone_follows(n);
		return 0;
	}
	n->odd_dns[0] = 0;
	n->zone_moved = true;
	netmap_put(n->zone_map); /* a step that failed left the zone between two maps */
	n->zone_map = NULL;
	struct zone *z = zone_new();
	int err = z ? zone_fill(n, z, n->map) : -ENOMEM;
	if (err) {
		zone_put(z);
		return err_set(eb, err, "the names of the mesh do not fit in memory; the old ones stay");
	}
	resolver_zone_set(r, z);
	zone_put(n->zone);
	n->zone = z;
	zone_follows(n);
	return 0;
}
