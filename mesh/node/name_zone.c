#include "mesh/node/name_zone.h"

#include "mesh/netmap/walk.h"
#include "resolver/name.h"
#include "resolver/present.h"
#include "resolver/resolver.h"
#include "resolver/zone.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RDATA_MAX = 1024 };

static const char extra_what[] = "the extra DNS record";

static void draft_odd(struct zone_draft *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void draft_odd(struct zone_draft *d, const char *fmt, ...)
{
	va_list ap;
	if (d->odd[0])
		return;
	va_start(ap, fmt);
	vsnprintf(d->odd, sizeof(d->odd), fmt, ap);
	va_end(ap);
}

/* A name the map gives that cannot be used is one bad item; only memory ends the whole. */
static int name_check(struct zone_draft *d, int err, const char *what, const char *name)
{
	if (err == ERR_MALFORMED)
		draft_odd(d, "%s \"%s\" cannot be used: it is no domain name", what, name);
	else if (err == ERR_REFUSED)
		draft_odd(d, "%s %s cannot be used: another record has its name, and an alias stands alone",
			what, name);
	return err == ERR_MALFORMED || err == ERR_REFUSED ? 0 : err;
}

/* A name must not lead to the gateway of the place that this machine is at because a peer has its address. */
static bool may_lead(const struct zone_draft *d, const struct addr *ip)
{
	return !d->outside || !addr_set_has(d->outside, ip);
}

static int node_add(struct zone_draft *d, const struct ctl_node *c)
{
	int err = 0;
	for (size_t i = 0; !err && c->name[0] && i < c->addresses.n; i++) {
		const struct addr *ip = &c->addresses.v[i].ip;
		if (may_lead(d, ip))
			err = name_check(
				d, zone_add_address(d->zone, c->name, ip, true), "the machine name", c->name);
	}
	return err;
}

static void node_remove(struct zone_draft *d, const struct ctl_node *c)
{
	for (size_t i = 0; c->name[0] && i < c->addresses.n; i++)
		if (may_lead(d, &c->addresses.v[i].ip))
			zone_remove_address(d->zone, c->name, &c->addresses.v[i].ip, true);
}

static int authority_add(struct zone_draft *d, const char *suffix)
{
	return name_check(d, zone_add_authority(d->zone, suffix), "the domain", suffix);
}

static int reverse_authority_add(struct zone_draft *d)
{
	char suffix[64];
	int err = authority_add(d, "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa");
	for (unsigned i = 64; !err && i < 128; i++) {
		snprintf(suffix, sizeof(suffix), "%u.100.in-addr.arpa", i);
		err = authority_add(d, suffix);
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
static bool extra_read(struct zone_draft *d, const struct ctl_record *r, struct extra *x)
{
	struct errbuf eb;
	x->is_address = !r->type[0] || strcmp(r->type, "A") == 0 || strcmp(r->type, "AAAA") == 0;
	if (!dns_name_parse(r->name, &x->name)) {
		(void)name_check(d, ERR_MALFORMED, extra_what, r->name);
		return false;
	}
	if (x->is_address && !addr_parse(r->value, &x->ip)) {
		draft_odd(d, "%s %s cannot be used: \"%s\" is no address", extra_what, r->name, r->value);
		return false;
	}
	if (!x->is_address &&
		present_rdata_parse(r->type, r->value, x->rdata, sizeof(x->rdata), &x->len, &x->type, &eb)) {
		draft_odd(d, "%s %s cannot be used: %s", extra_what, r->name, eb.text);
		return false;
	}
	return true;
}

static int extra_add(struct zone_draft *d, const struct ctl_record *r)
{
	struct extra x;
	if (!extra_read(d, r, &x))
		return 0;
	int err = x.is_address ? zone_add_address(d->zone, r->name, &x.ip, false)
			       : zone_add_record(d->zone, &x.name, x.type, x.rdata, x.len);
	return name_check(d, err, extra_what, r->name);
}

static void extra_remove(struct zone_draft *d, const struct ctl_record *r)
{
	struct extra x;
	if (!extra_read(d, r, &x))
		return;
	if (x.is_address)
		zone_remove_address(d->zone, r->name, &x.ip, false);
	else
		zone_remove_record(d->zone, &x.name, x.type, x.rdata, x.len);
}

int name_zone_fill(struct zone_draft *d, const struct netmap *m)
{
	const struct ctl_dns *dns = m->dns;
	int err = node_add(d, &m->self->node);
	for (size_t i = 0; !err && i < m->n_peers; i++)
		err = node_add(d, &m->peers[i]->node);
	if (!err && dns && dns->proxied) {
		if (dns->domains.n)
			err = authority_add(d, dns->domains.v[0]);
		err = err ? err : reverse_authority_add(d);
		err = err ? err : service_add(d->zone);
		zone_via6_names(d->zone);
		for (size_t i = 0; !err && i < dns->n_routes; i++)
			if (!dns->routes[i].n)
				err = authority_add(d, dns->routes[i].suffix);
	}
	for (size_t i = 0; !err && dns && i < dns->n_extra; i++)
		err = extra_add(d, &dns->extra[i]);
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

/* The extra records of two settings but for those at the beginning and at the end that are the same. */
struct extras {
	const struct ctl_record *from, *to;
	size_t n_from, n_to;
};

static struct extras extras_between(const struct ctl_dns *from, const struct ctl_dns *to)
{
	struct extras x = { 0 };
	if (from)
		x = (struct extras) { .from = from->extra, .n_from = from->n_extra };
	if (to)
		x.to = to->extra, x.n_to = to->n_extra;
	for (; x.n_from && x.n_to && same_record(x.from, x.to); x.from++, x.to++)
		x.n_from--, x.n_to--;
	while (x.n_from && x.n_to && same_record(&x.from[x.n_from - 1], &x.to[x.n_to - 1]))
		x.n_from--, x.n_to--;
	return x;
}

static int extras_step(struct zone_draft *d, const struct extras *x, bool adding)
{
	int err = 0;
	for (size_t i = 0; !adding && i < x->n_from; i++)
		extra_remove(d, &x->from[i]);
	for (size_t i = 0; adding && !err && i < x->n_to; i++)
		err = extra_add(d, &x->to[i]);
	return err;
}

/* The next peers that differ in what names are about. */
static bool walk_next(struct netmap_walk *w)
{
	while (netmap_walk_next(w))
		if (!w->goes || !w->comes || !same_name(&w->goes->node, &w->comes->node))
			return true;
	return false;
}

size_t name_zone_distance(const struct netmap *from, const struct netmap *to, size_t max)
{
	size_t n = 0;
	if (!same_name(&from->self->node, &to->self->node))
		return SIZE_MAX;
	if (from->parts[NETMAP_DNS] != to->parts[NETMAP_DNS]) {
		struct extras x = extras_between(from->dns, to->dns);
		if (!same_domains(from->dns, to->dns))
			return SIZE_MAX;
		n = x.n_from + x.n_to;
	}
	for (struct netmap_walk w = { .from.map = from, .to.map = to }; n <= max && walk_next(&w);)
		n++;
	return n;
}

/* What goes is removed before anything is added: a name may go from one peer to another. */
int name_zone_step(struct zone_draft *d, const struct netmap *from, const struct netmap *to)
{
	int err = 0;
	for (int adding = 0; !err && adding < 2; adding++) {
		if (from->parts[NETMAP_DNS] != to->parts[NETMAP_DNS]) {
			struct extras x = extras_between(from->dns, to->dns);
			err = extras_step(d, &x, adding);
		}
		for (struct netmap_walk w = { .from.map = from, .to.map = to }; !err && walk_next(&w);) {
			if (w.goes && !adding)
				node_remove(d, &w.goes->node);
			if (w.comes && adding)
				err = node_add(d, &w.comes->node);
		}
	}
	return err;
}
