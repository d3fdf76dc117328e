#include "mesh/node/name_matches.h"
#include <string.h>

/* Where the addresses of meshes have their names. 100.64.0.0/10 is 64 domains; what else is below their parent goes on
 * from here to whom the machine asks. */
static const char *const reverse[] = { "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", "100.in-addr.arpa" };

/* Not what one that is there covers, nor what is no name. */
static void match_add(struct name_matches *m, const char *text)
{
	struct dns_name name;
	bool covered = !dns_name_parse(text, &name) || !dns_name_labels(&name);
	for (size_t i = 0; !covered && i < m->n; i++)
		covered = dns_name_within(&name, &m->name[i]);
	if (covered)
		return;
	m->too_many = m->too_many || m->n == NAME_MATCHES_MAX;
	if (m->too_many)
		return;
	m->name[m->n] = name;
	m->v[m->n++] = text;
}

/* A record may be anywhere: its name, or for a wildcard what is below it. */
static const char *record_domain(const char *name)
{
	return strncmp(name, "*.", 2) == 0 ? name + 2 : name;
}

void name_matches_fill(struct name_matches *m, const struct ctl_dns *dns)
{
	for (size_t i = 0; i < dns->domains.n; i++)
		match_add(m, dns->domains.v[i]);
	for (size_t i = 0; i < dns->n_routes; i++)
		match_add(m, dns->routes[i].suffix);
	for (size_t i = 0; dns->proxied && i < sizeof(reverse) / sizeof(*reverse); i++)
		match_add(m, reverse[i]);
	for (size_t i = 0; i < dns->n_extra && !m->too_many; i++)
		match_add(m, record_domain(dns->extra[i].name));
}

size_t name_matches_search(const struct ctl_dns *dns, const char **out, size_t cap)
{
	struct dns_name name;
	size_t n = 0;
	for (size_t i = 0; i < dns->domains.n && n < cap; i++)
		if (dns_name_parse(dns->domains.v[i], &name) && dns_name_labels(&name))
			out[n++] = dns->domains.v[i];
	return n;
}
