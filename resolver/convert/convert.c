#include "resolver/convert/convert.h"

#include "mesh/base/addr.h"
#include "mesh/base/dns_secure.h"
#include "mesh/base/err.h"
#include "resolver/resolver.h"
#include <stdio.h>
#include <string.h>

static const char *const froms[] = { [CONVERT_DNSMASQ] = "dnsmasq",
	[CONVERT_UNBOUND] = "unbound",
	[CONVERT_PIHOLE] = "pihole",
	[CONVERT_GRAVITY] = "gravity" };

const char *convert_from_text(enum convert_from f)
{
	return froms[f];
}

enum convert_from convert_from_parse(const char *text)
{
	unsigned i = 0;
	while (i < CONVERT_UNKNOWN && strcmp(froms[i], text) != 0)
		i++;
	return (enum convert_from)i;
}

static bool begins(const char *at, const char *end, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(end - at) >= n && memcmp(at, word, n) == 0;
}

/* By the first line that says something. */
enum convert_from convert_guess(const char *text, size_t len)
{
	static const char *const clauses[] = { "server:", "forward-zone:", "stub-zone:", "auth-zone:", "rpz:",
		"remote-control:", "view:", "include:", "include-toplevel:", "local-zone:", "local-data:" };
	const char *end = text + len;
	if (begins(text, end, "SQLite format 3"))
		return CONVERT_GRAVITY;
	for (const char *at = text; at < end;) {
		while (at < end && strchr(" \t\r\n", *at) && *at)
			at++;
		if (at < end && *at == '[')
			return CONVERT_PIHOLE;
		for (size_t i = 0; i < ARRAY_LEN(clauses); i++)
			if (begins(at, end, clauses[i]))
				return CONVERT_UNBOUND;
		if (at < end && *at != '#')
			return CONVERT_DNSMASQ;
		const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
		at = stop ? stop + 1 : end;
	}
	return CONVERT_UNKNOWN;
}

/* Addresses without a port get that of the file, which may come after them; all of IPv4 is in all of IPv6. */
static void listen_end(struct target *t)
{
	struct target_items *l = &t->listen;
	char text[ENDPOINT_TEXT];
	size_t n = 0;
	bool all = false;
	for (size_t i = 0; i < l->n; i++)
		all = all || strcmp(l->v[i], "::") == 0;
	for (size_t i = 0; i < l->n; i++) {
		struct endpoint at = { .port = t->port };
		if (all && strcmp(l->v[i], "0.0.0.0") == 0)
			continue;
		bool bare = t->port && addr_parse(l->v[i], &at.ip);
		if (bare)
			endpoint_format(&at, text);
		l->v[n++] = bare ? target_text(t, text, strlen(text)) : l->v[i];
	}
	l->n = n;
}

/* Servers that are this resolver itself would be asked for ever. */
static void own_leave_out(struct target *t, const char *suffix, struct target_items *servers)
{
	struct endpoint own[8], at;
	const struct resolver_config c = { .own = own,
		.n_own = t->listen.n < ARRAY_LEN(own) ? t->listen.n : ARRAY_LEN(own) };
	size_t n = 0;
	for (size_t i = 0; i < c.n_own; i++)
		if (!endpoint_parse_or(t->listen.v[i], 53, &own[i]))
			own[i] = (struct endpoint) { 0 };
	for (size_t i = 0; i < servers->n; i++) {
		struct dns_secure secure;
		bool known =
			endpoint_parse(servers->v[i], &at) || dns_secure_parse(servers->v[i], &secure, &at);
		if (known && resolver_is_own(&c, &at))
			target_say(t, suffix, "%s is where this resolver listens itself", servers->v[i]);
		else
			servers->v[n++] = servers->v[i];
	}
	servers->n = n;
}

/* The files that dnsmasq has names from: what domain they are in may come after them. */
static void names_end(struct target *t, bool dnsmasq)
{
	if (dnsmasq && !t->no_hosts)
		target_names_from(t, "hosts", "/etc/hosts", t->expand_hosts ? t->domain : NULL);
	for (size_t i = 0; i < t->hosts.n; i++)
		target_names_from(t, "hosts", t->hosts.v[i], t->expand_hosts ? t->domain : NULL);
	if (t->is_dhcp && !t->leases.n)
		target_add(t, &t->leases, "/var/lib/misc/dnsmasq.leases");
	for (size_t i = 0; i < t->leases.n; i++)
		target_names_from(t, "leases", t->leases.v[i], t->domain);
}

void convert_end(struct target *t, unsigned from)
{
	bool unbound_alone = from == 1u << CONVERT_UNBOUND;
	t->line = 0;
	t->file = "convert";
	names_end(t, from >> CONVERT_DNSMASQ & 1);
	if (!t->listen.n && !unbound_alone)
		target_listen(t, "::", 0);
	if (!t->listen.n) {
		target_listen(t, "127.0.0.1", 0);
		target_listen(t, "::1", 0);
	}
	if (!t->allow.n && unbound_alone) {
		target_allow(t, "127.0.0.0/8");
		target_allow(t, "::1/128");
	}
	listen_end(t);
	own_leave_out(t, "upstreams", &t->upstreams);
	for (size_t i = 0; i < t->routes.n; i++)
		own_leave_out(t, t->routes.v[i].name, &t->routes.v[i].items);
	if (t->refuse_private && t->routes.n)
		target_say(t, "rebinding",
			"addresses of private networks are passed on from the servers of routes");
	if (!t->upstreams.n && !unbound_alone)
		target_say(t, "upstreams",
			"no server is named for everything: dnsmasq takes those of resolv.conf, this "
			"resolver those "
			"that are written down");
}
