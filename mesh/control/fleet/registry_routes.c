/* Subnets and exits: who offers them, what an admin approved, and which node carries each. Of several that
 * could carry a subnet one does: one that is online and answers, the oldest of these; it keeps it while that
 * is so, for each change costs its users their connections. An exit is carried by everybody who may. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NET_KEY = sizeof(((struct addr *)0)->b) + 1 };

/* Who could carry one subnet, and who does. */
struct carriers {
	uint8_t key[NET_KEY];
	struct id_list ids;
	int64_t chosen; /* 0 = nobody */
};

static void net_key(const struct prefix *p, uint8_t out[static NET_KEY])
{
	memcpy(out, p->ip.b, NET_KEY - 1);
	out[NET_KEY - 1] = p->bits;
}

/* How many of what it carries it may: all, while its key is good. NULL is fine. */
static size_t possible_of(const struct member *m)
{
	size_t n = m && !m->expired ? m->carries.n : 0;
	return n < REGISTRY_ROUTES_MAX ? n : REGISTRY_ROUTES_MAX;
}

static struct carriers *carriers_of(struct registry *r, const struct prefix *p, bool make)
{
	uint8_t key[NET_KEY];
	net_key(p, key);
	struct carriers *c = table_get(&r->carriers, key);
	if (c || !make)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	memcpy(c->key, key, NET_KEY);
	if (table_put(&r->carriers, key, c))
		return c;
	free(c);
	return NULL;
}

static void free_carriers(struct registry *r, struct carriers *c)
{
	table_remove(&r->carriers, c->key);
	id_list_clear(&c->ids);
	free(c);
}

void registry_routes_init(struct registry *r, uint64_t seed)
{
	table_init(&r->carriers, NET_KEY, seed);
}

void registry_routes_free(struct registry *r)
{
	struct carriers *c;
	size_t at = 0;
	while ((c = table_next(&r->carriers, &at)))
		free_carriers(r, c);
	table_fini(&r->carriers);
	id_list_clear(&r->silent);
}

/* How fit it is to carry: the higher the better. */
static int fitness(const struct registry *r, int64_t id)
{
	return fleet_by_id(&r->fleet, id)->online ? 1 + !id_list_has(&r->silent, id) : 0;
}

static int64_t choose(const struct registry *r, const struct carriers *c)
{
	bool has = id_list_has(&c->ids, c->chosen);
	int64_t best = has ? c->chosen : c->ids.n ? c->ids.v[0] : 0;
	for (size_t i = 0; i < c->ids.n; i++)
		if (fitness(r, c->ids.v[i]) > fitness(r, best))
			best = c->ids.v[i];
	return best;
}

static bool same_prefixes(const struct ctl_prefixes *a, const struct ctl_prefixes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!prefix_equal(&a->v[i], &b->v[i]))
			return false;
	return true;
}

/* What the node carries, as its record and its peers are told. */
static void settle_member(struct registry *r, int64_t id)
{
	const struct member *m = id ? fleet_by_id(&r->fleet, id) : NULL;
	struct prefix room[REGISTRY_ROUTES_MAX];
	struct ctl_prefixes served = { .v = room };
	struct errbuf eb = { 0 };
	for (size_t i = 0; i < possible_of(m); i++) {
		const struct prefix *p = &m->carries.v[i];
		const struct carriers *c = carriers_of(r, p, false);
		if (!p->bits || (c && c->chosen == id))
			room[served.n++] = *p;
	}
	if (!m || same_prefixes(&served, &m->served))
		return;
	struct member draft = *m;
	draft.served = served;
	if (registry_publish(r, &draft, NEWS_IDENTITY, &eb))
		log_error("%s: its routes", eb.text);
}

/* Who carries it is decided anew; who has lost or got it is told. */
static void settle_net(struct registry *r, const struct prefix *p)
{
	struct carriers *c = carriers_of(r, p, false);
	if (!c)
		return;
	int64_t before = c->chosen, after = choose(r, c);
	c->chosen = after;
	if (!c->ids.n)
		free_carriers(r, c);
	if (before == after)
		return;
	settle_member(r, before);
	settle_member(r, after);
}

/* --- what needs no admin --- */

static bool has_route(const struct ctl_strings *routes, const char *text)
{
	for (size_t i = 0; i < routes->n; i++)
		if (!strcmp(routes->v[i], text))
			return true;
	return false;
}

/* The next offered route, from *at, that the policy approves and that is not approved yet, as text. */
static bool next_approval(const struct registry *r, const struct member *m, const struct ctl_strings *routes,
	size_t *at, char text[static PREFIX_TEXT])
{
	const struct ctl_prefixes *offered = &m->hostinfo.routable_ips;
	while (r->c.ops.approves && *at < offered->n && routes->n < REGISTRY_ROUTES_MAX) {
		struct prefix p = offered->v[(*at)++];
		prefix_mask(&p);
		if (!prefix_route_fault(&p) && !has_route(routes, prefix_format(&p, text)) &&
			r->c.ops.approves(r->c.ops.arg, m, &p))
			return true;
	}
	return false;
}

static int approve_edit(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb)
{
	const struct ctl_strings had = draft->routes;
	char text[PREFIX_TEXT];
	size_t at = 0, most = had.n + draft->hostinfo.routable_ips.n;
	struct ctl_strings all = { .v = arena_array(&c->mem, most, sizeof(*all.v)) };
	for (size_t i = 0; i < had.n && all.v; i++)
		all.v[all.n++] = had.v[i];
	while (all.v && next_approval(r, draft, &all, &at, text))
		all.v[all.n++] = arena_strdup(&c->mem, text);
	if (c->mem.failed)
		return err_set(eb, -ENOMEM, "approve routes");
	draft->routes = all;
	return 0;
}
static const struct change_kind approve_kind = { .edit = approve_edit };

void registry_routes_approve(struct registry *r, const struct member *m)
{
	char text[PREFIX_TEXT];
	size_t at = 0;
	if (!next_approval(r, m, &m->routes, &at, text) || registry_change_find(r, &approve_kind, m->id))
		return;
	struct change *c = registry_change_new(r, &approve_kind, NULL);
	if (!c)
		return;
	c->id = m->id;
	log_info("node %lld: the policy approves %s", (long long)m->id, text);
	registry_change_submit(c);
}

/* --- a member has changed --- */

static void leave_carriers(struct registry *r, const struct member *old)
{
	for (size_t i = 0; i < possible_of(old); i++) {
		struct carriers *c = carriers_of(r, &old->carries.v[i], false);
		if (c)
			id_list_remove(&c->ids, old->id);
	}
}

static void join_carriers(struct registry *r, const struct member *now)
{
	for (size_t i = 0; i < possible_of(now); i++) {
		const struct prefix *p = &now->carries.v[i];
		struct carriers *c = p->bits ? carriers_of(r, p, true) : NULL;
		if (p->bits && (!c || !id_list_add(&c->ids, now->id)))
			log_error("node %lld: no memory for its routes", (long long)now->id);
	}
}

void registry_routes_update(struct registry *r, const struct member *old, const struct member *now)
{
	leave_carriers(r, old);
	join_carriers(r, now);
	for (size_t i = 0; i < possible_of(old); i++)
		settle_net(r, &old->carries.v[i]);
	for (size_t i = 0; i < possible_of(now); i++)
		settle_net(r, &now->carries.v[i]);
	if (now) {
		settle_member(r, now->id);
		registry_routes_approve(r, now);
	}
}

void registry_silent_set(struct registry *r, int64_t node, bool silent)
{
	const struct member *m = fleet_by_id(&r->fleet, node);
	if (!silent)
		id_list_remove(&r->silent, node);
	else if (m && !id_list_add(&r->silent, node))
		log_error("node %lld: no memory to do without it", (long long)node);
	/* Settling makes the member anew. */
	for (size_t i = 0; i < possible_of(m); m = fleet_by_id(&r->fleet, node), i++) {
		struct prefix p = m->carries.v[i];
		settle_net(r, &p);
	}
}

void registry_rivals(const struct registry *r, struct id_list *out)
{
	const struct carriers *c;
	size_t at = 0;
	while ((c = table_next(&r->carriers, &at)))
		for (size_t i = 0; c->ids.n > 1 && i < c->ids.n; i++)
			if (!id_list_add(out, c->ids.v[i]))
				return;
}
