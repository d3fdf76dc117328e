#include "mesh/netmap/copy.h"
#include "mesh/proto/control_equal.h"
#include <string.h>

static void *dup_array(struct arena *a, const void *p, size_t n, size_t size)
{
	void *c = arena_array(a, n, size);
	if (c && n)
		memcpy(c, p, n * size);
	return c;
}

static const char *dup_text(struct arena *a, const char *s)
{
	return arena_strdup(a, s ? s : "");
}

bool copy_strings(struct arena *a, const struct ctl_strings *from, struct ctl_strings *to)
{
	const char **v = arena_array(a, from->n, sizeof(*v));
	if (!v)
		return false;
	for (size_t i = 0; i < from->n; i++)
		v[i] = dup_text(a, from->v[i]);
	*to = (struct ctl_strings) { .v = v, .n = from->n };
	return !a->failed;
}

bool copy_rules(struct arena *a, const struct ctl_rule *from, size_t n, struct ctl_filter *to)
{
	struct ctl_rule *rules = dup_array(a, from, n, sizeof(*rules));
	if (!rules)
		return false;
	for (size_t i = 0; i < n; i++) {
		rules[i].src = dup_array(a, from[i].src, from[i].n_src, sizeof(*rules[i].src));
		rules[i].dst = dup_array(a, from[i].dst, from[i].n_dst, sizeof(*rules[i].dst));
		rules[i].protos = dup_array(a, from[i].protos, from[i].n_protos, 1);
		rules[i].caps_json = arena_strdup(a, from[i].caps_json);
	}
	to->rules = rules;
	to->n_rules = n;
	return !a->failed;
}

static struct ctl_resolver *copy_resolvers(struct arena *a, const struct ctl_resolver *from, size_t n)
{
	struct ctl_resolver *v = arena_array(a, n, sizeof(*v));
	for (size_t i = 0; v && i < n; i++) {
		v[i] = (struct ctl_resolver) { .addr = dup_text(a, from[i].addr),
			.with_exit = from[i].with_exit };
		if (!copy_strings(a, &from[i].bootstrap, &v[i].bootstrap) ||
			!copy_strings(a, &from[i].pins, &v[i].pins))
			return NULL;
	}
	return v;
}

struct ctl_dns *copy_dns(struct arena *a, const struct ctl_dns *from)
{
	struct ctl_dns *c = arena_memdup(a, from, sizeof(*from));
	if (!c)
		return NULL;
	c->resolvers = copy_resolvers(a, from->resolvers, from->n_resolvers);
	c->fallback = copy_resolvers(a, from->fallback, from->n_fallback);
	c->routes = dup_array(a, from->routes, from->n_routes, sizeof(*c->routes));
	c->extra = dup_array(a, from->extra, from->n_extra, sizeof(*c->extra));
	if (!copy_strings(a, &from->domains, &c->domains) || a->failed)
		return NULL;
	for (size_t i = 0; i < c->n_routes; i++) {
		c->routes[i].suffix = dup_text(a, from->routes[i].suffix);
		c->routes[i].resolvers = copy_resolvers(a, from->routes[i].resolvers, from->routes[i].n);
	}
	for (size_t i = 0; i < c->n_extra; i++) {
		c->extra[i].name = dup_text(a, from->extra[i].name);
		c->extra[i].type = dup_text(a, from->extra[i].type);
		c->extra[i].value = dup_text(a, from->extra[i].value);
	}
	return a->failed ? NULL : c;
}

/* --- equality --- */

bool copy_node_equal(const struct ctl_node *a, const struct ctl_node *b)
{
	bool ids = a->id == b->id && a->user == b->user && ctl_text_equal(a->stable_id, b->stable_id) &&
		   ctl_text_equal(a->name, b->name) && key_equal(a->key.b, b->key.b) &&
		   key_equal(a->machine.b, b->machine.b) && key_equal(a->disco.b, b->disco.b);
	bool nets = ctl_prefixes_equal(&a->addresses, &b->addresses) &&
		    ctl_prefixes_equal(&a->allowed_ips, &b->allowed_ips) &&
		    ctl_prefixes_equal(&a->primary_routes, &b->primary_routes) &&
		    ctl_endpoints_equal(&a->endpoints, &b->endpoints) && a->home_derp == b->home_derp;
	bool times = a->created_ms == b->created_ms && a->last_seen_ms == b->last_seen_ms &&
		     a->key_expiry_ms == b->key_expiry_ms && a->expired == b->expired &&
		     a->online == b->online;
	return ids && nets && times && a->cap == b->cap && a->machine_authorized == b->machine_authorized &&
	       ctl_strings_equal(&a->tags, &b->tags) && ctl_text_equal(a->cap_map_json, b->cap_map_json) &&
	       ctl_hostinfo_alike(&a->hostinfo, &b->hostinfo);
}
