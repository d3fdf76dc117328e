#include "mesh/node/name_servers.h"

#include "resolver/providers.h"

enum { DNS_PORT = 53 };

struct list {
	struct arena *a;
	struct resolver_upstream *out;
	size_t n;
};

static void add(struct list *l, const struct endpoint *at, const struct dns_secure *secure)
{
	bool ours = addr_is_mesh(&at->ip);
	if (l->n == RESOLVER_UPSTREAMS_MAX)
		return;
	l->out[l->n] = (struct resolver_upstream) { .at = *at, .trusted = ours, .site = ours };
	if (secure && !(l->out[l->n].secure = arena_memdup(l->a, secure, sizeof(*secure))))
		return;
	l->n++;
}

/* false: one of them is none, or there are too many. Then the server is not asked at all. */
static bool take_pins(const struct ctl_resolver *r, struct dns_secure *secure)
{
	if (r->pins.n > DNS_SECURE_PINS)
		return false;
	for (size_t i = 0; i < r->pins.n; i++)
		if (!dns_secure_pin_parse(r->pins.v[i], secure->pins[i]))
			return false;
	secure->n_pins = r->pins.n;
	return true;
}

/* An address in clear that a provider is known by. */
static bool is_provider(
	const struct ctl_resolver *r, struct endpoint *at, struct dns_secure *secure, bool *alone)
{
	return !r->pins.n && endpoint_parse_or(r->addr, DNS_PORT, at) && at->port == DNS_PORT &&
	       provider_of(&at->ip, secure, alone);
}

/* Providers that follow each other: all by HTTPS, then all in clear, for which there is always room. How many they are.
 */
static size_t add_providers(struct list *l, const struct ctl_resolver *r, size_t n)
{
	struct endpoint at, secure_at;
	struct dns_secure secure;
	bool alone;
	size_t run = 0, clear = 0;
	while (run < n && is_provider(&r[run], &at, &secure, &alone))
		clear += !alone, run++;
	for (size_t i = 0; i < run && l->n + clear < RESOLVER_UPSTREAMS_MAX; i++) {
		(void)is_provider(&r[i], &at, &secure, &alone);
		secure_at = (struct endpoint) { .ip = at.ip, .port = DNS_HTTPS_PORT };
		add(l, &secure_at, &secure);
	}
	for (size_t i = 0; i < run; i++)
		if (is_provider(&r[i], &at, &secure, &alone) && !alone)
			add(l, &at, NULL);
	return run;
}

/* By a name: at the addresses that the server gives, else where it is known to be. */
static bool add_named(
	struct list *l, const struct ctl_resolver *r, const struct dns_secure *secure, uint16_t port)
{
	struct addr at[PROVIDER_ADDRESSES];
	size_t before = l->n, n = 0;
	for (size_t i = 0; i < r->bootstrap.n && n < PROVIDER_ADDRESSES; i++)
		n += addr_parse(r->bootstrap.v[i], &at[n]);
	n = n ? n : provider_addresses(secure, at);
	for (size_t i = 0; i < n; i++)
		add(l, &(struct endpoint) { .ip = at[i], .port = port }, secure);
	return l->n > before || l->n == RESOLVER_UPSTREAMS_MAX;
}

/* NULL, or why it cannot be used. */
static const char *add_one(struct list *l, const struct ctl_resolver *r)
{
	struct dns_secure secure;
	struct endpoint at;
	bool plain = endpoint_parse_or(r->addr, DNS_PORT, &at);
	if (!plain && !dns_secure_parse(r->addr, &secure, &at))
		return "it is no address, nor a server by TLS or HTTPS (tls://192.0.2.1#dns.example, "
		       "https://192.0.2.1/dns-query)";
	if (plain && r->pins.n)
		return "it has a pin, and in clear nobody can show a key";
	if (!plain && !take_pins(r, &secure))
		return "its pins are not up to four SHA-256 hashes of keys in base64";
	if (!plain && addr_is_unspecified(&at.ip))
		return add_named(l, r, &secure, at.port)
			       ? NULL
			       : "it has a name, and nobody says where that is: write "
				 "its address (tls://192.0.2.1#dns.example)";
	if (addr_is_service(&at.ip))
		return "it is this machine's own resolver";
	add(l, &at, plain ? NULL : &secure);
	return NULL;
}

size_t name_servers_read(struct arena *a, const struct ctl_resolver *r, size_t n,
	struct resolver_upstream *out, const struct name_servers_odd *odd)
{
	struct list l = { .a = a, .out = out };
	for (size_t i = 0, run; i < n; i += run ? run : 1) {
		run = add_providers(&l, r + i, n - i);
		const char *why = run ? NULL : add_one(&l, &r[i]);
		if (why && odd)
			odd->say(odd->arg, r[i].addr, why);
	}
	return l.n;
}

bool name_servers_have(const struct ctl_resolver *r, size_t n, const struct addr *ip)
{
	struct resolver_upstream u[RESOLVER_UPSTREAMS_MAX];
	struct arena a = { 0 };
	bool have = false;
	n = name_servers_read(&a, r, n, u, NULL);
	for (size_t i = 0; i < n; i++)
		have = have || addr_equal(&u[i].at.ip, ip);
	arena_free(&a);
	return have;
}

bool name_servers_named(const struct ctl_dns *dns, const struct addr *ip)
{
	bool named = name_servers_have(dns->resolvers, dns->n_resolvers, ip) ||
		     name_servers_have(dns->fallback, dns->n_fallback, ip);
	for (size_t i = 0; !named && i < dns->n_routes; i++)
		named = name_servers_have(dns->routes[i].resolvers, dns->routes[i].n, ip);
	return named;
}
