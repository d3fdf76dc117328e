#include "mesh/node/name_zone.h"

#include "resolver/name.h"
#include "resolver/present.h"
#include "resolver/zone.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RDATA_MAX = 1024 };

static const char extra_what[] = "the extra DNS record";

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

struct extra {
	struct dns_name name;
	bool is_address;
	struct addr ip;
	uint16_t type;
	size_t len;
	uint8_t rdata[RDATA_MAX];
};

/* false: it cannot be used, which is said. */
static bool extra_read(struct names *n, const struct ctl_record *r, struct extra *x)
{
	struct errbuf eb;
	x->is_address = !r->type[0] || strcmp(r->type, "A") == 0 || strcmp(r->type, "AAAA") == 0;
	if (!dns_name_parse(r->name, &x->name)) {
		(void)names_check(n, ERR_MALFORMED, extra_what, r->name);
		return false;
	}
	if (x->is_address && !addr_parse(r->value, &x->ip)) {
		names_odd(n, "%s %s cannot be used: \"%s\" is no address", extra_what, r->name, r->value);
		return false;
	}
	if (!x->is_address &&
		present_rdata_parse(r->type, r->value, x->rdata, sizeof(x->rdata), &x->len, &x->type, &eb)) {
		names_odd(n, "%s %s cannot be used: %s", extra_what, r->name, eb.text);
		return false;
	}
	return true;
}

static int extra_add(struct names *n, struct zone *z, const struct ctl_record *r)
{
	struct extra x;
	if (!extra_read(n, r, &x))
		return 0;
	int err = x.is_address ? zone_add_address(z, r->name, &x.ip, false)
			       : zone_add_record(z, &x.name, x.type, x.rdata, x.len);
	return names_check(n, err, extra_what, r->name);
}

static void extra_remove(struct names *n, struct zone *z, const struct ctl_record *r)
{
	struct extra x;
	if (!extra_read(n, r, &x))
		return;
	if (x.is_address)
		zone_remove_address(z, r->name, &x.ip, false);
	else
		zone_remove_record(z, &x.name, x.type, x.rdata, x.len);
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

static bool same_record(const struct ctl_record *a, const struct ctl_record *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->type, b->type) && !strcmp(a->value, b->value);
}

/* The next route that has no servers: its names are the zone's. NULL: there is none. */
static const char *own_suffix(const struct ctl_dns *dns, size_t *i)
{
	while (*i < dns->n_routes)
		if (!dns->routes[(*i)++].n)
			return dns->routes[*i - 1].suffix;
	return NULL;
}

/* Is the same ours, whatever is asked of others and whatever records there are? */
static bool same_domains(const struct ctl_dns *a, const struct ctl_dns *b)
{
	if (!a || !b || a->proxied != b->proxied || !a->domains.n != !b->domains.n ||
		(a->domains.n && strcmp(a->domains.v[0], b->domains.v[0]) != 0))
		return a == b;
	const char *x, *y;
	size_t i = 0, k = 0;
	do {
		x = own_suffix(a, &i);
		y = own_suffix(b, &k);
	} while (x && y && !strcmp(x, y));
	return !x && !y;
}

/* The extra records between those at the beginning and at the end that are the same. */
static int extras_step(
	struct names *n, struct zone *z, const struct ctl_dns *from, const struct ctl_dns *to, bool adding)
{
	size_t same = 0, last = 0, n_from = from ? from->n_extra : 0, n_to = to ? to->n_extra : 0;
	int err = 0;
	while (same < n_from && same < n_to && same_record(&from->extra[same], &to->extra[same]))
		same++;
	while (same + last < n_from && same + last < n_to &&
		same_record(&from->extra[n_from - last - 1], &to->extra[n_to - last - 1]))
		last++;
	for (size_t i = same; !adding && i < n_from - last; i++)
		extra_remove(n, z, &from->extra[i]);
	for (size_t i = same; adding && !err && i < n_to - last; i++)
		err = extra_add(n, z, &to->extra[i]);
	return err;
}

/* From one map to the next where peers and extra records changed, at the cost of what changed; a peer that did not has the
 * same pointer in both. What goes is removed before anything is added: a name may go from one peer to
 * another. */
static int zone_step(struct names *n, struct zone *z, const struct netmap *from, const struct netmap *to)
{
	int err = 0;
	for (int adding = 0; !err && adding < 2; adding++) {
		if (from->parts[NETMAP_DNS] != to->parts[NETMAP_DNS]) {
			n->zone_moved = true; /* others may be asked, too */
			err = extras_step(n, z, from->dns, to->dns, adding);
		}
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
	}
	return err;
}

/* A map whose names clash is read whole each time: which of two gets the name depends on their order. */
static bool may_step(const struct names *n)
{
	const struct netmap *from = n->zone_map, *to = n->map;
	return from && !n->zone_odd &&
	       (from->parts[NETMAP_DNS] == to->parts[NETMAP_DNS] || same_domains(from->dns, to->dns)) &&
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
