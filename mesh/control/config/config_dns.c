/* DNS settings: what nodes are told, and those that are made while the server runs: the section `dns` of the settings, as
 * JSON, which is YAML. */
#include "mesh/control/config/config.h"

#include "mesh/base/buf.h"
#include <errno.h>

int config_dns_parse(const char *text, size_t len, struct control_config *out, struct errbuf *eb)
{
	struct buf whole = { 0 };
	/* what else settings have to say */
	bool ok =
		buf_printf(&whole, "{\"server_url\":\"http://server.invalid\",\"dns\":%.*s}", (int)len, text);
	int err = ok ? config_parse("dns", (const char *)buf_data(&whole), whole.len, out, eb)
		     : err_set(eb, -ENOMEM, "DNS settings");
	buf_free(&whole);
	return err;
}

void config_dns_take(struct control_config *c, const struct control_config *from)
{
	c->magic_dns = from->magic_dns;
	c->override_local_dns = from->override_local_dns;
	c->nameservers = from->nameservers;
	c->search_domains = from->search_domains;
	c->split = from->split;
}

static void copy_texts(struct arena *a, const struct ctl_strings *from, struct ctl_strings *to)
{
	*to = (struct ctl_strings) { .v = arena_array(a, from->n, sizeof(*to->v)) };
	for (size_t i = 0; to->v && i < from->n; i++)
		to->v[to->n++] = arena_strdup(a, from->v[i]);
}

static void add_resolvers(
	struct arena *a, const struct config_servers *from, struct ctl_resolver **v, size_t *n)
{
	*v = arena_array(a, from->n, sizeof(**v));
	for (size_t i = 0; *v && i < from->n; i++) {
		struct ctl_resolver *r = &(*v)[(*n)++];
		*r = (struct ctl_resolver) { .addr = arena_strdup(a, from->v[i].addr),
			.with_exit = from->v[i].with_exit };
		copy_texts(a, &from->v[i].bootstrap, &r->bootstrap);
		copy_texts(a, &from->v[i].pins, &r->pins);
	}
}

bool config_dns(const struct control_config *c, const struct config_records *records, struct arena *a,
	struct ctl_dns *out)
{
	*out = (struct ctl_dns) { .proxied = c->magic_dns };
	if (c->override_local_dns)
		add_resolvers(a, &c->nameservers, &out->resolvers, &out->n_resolvers);
	else
		add_resolvers(a, &c->nameservers, &out->fallback, &out->n_fallback);
	out->routes = arena_array(a, c->split.n + 1, sizeof(*out->routes));
	out->domains.v = arena_array(a, c->search_domains.n + 1, sizeof(*out->domains.v));
	out->extra = arena_array(a, records->n, sizeof(*out->extra));
	if (a->failed)
		return false;
	if (c->magic_dns) {
		out->domains.v[out->domains.n++] = arena_strdup(a, c->base_domain);
		out->routes[out->n_routes++] =
			(struct ctl_route) { .suffix = arena_strdup(a, c->base_domain) };
	}
	for (size_t i = 0; i < c->search_domains.n; i++)
		out->domains.v[out->domains.n++] = arena_strdup(a, c->search_domains.v[i]);
	for (size_t i = 0; i < c->split.n; i++) {
		struct ctl_route *r = &out->routes[out->n_routes++];
		r->suffix = arena_strdup(a, c->split.v[i].suffix);
		add_resolvers(a, &c->split.v[i].servers, &r->resolvers, &r->n);
	}
	for (size_t i = 0; i < records->n; i++)
		out->extra[out->n_extra++] =
			(struct ctl_record) { .name = arena_strdup(a, records->v[i].name),
				.type = arena_strdup(a, records->v[i].type),
				.value = arena_strdup(a, records->v[i].value) };
	return !a->failed;
}
