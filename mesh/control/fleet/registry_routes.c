/* Subnets and exits: who offers them, what an admin approved, and which node carries each. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ROUTES_MAX = 256 };

static bool offers(const struct member *m, const struct prefix *p)
{
	const struct ctl_prefixes *o = &m->hostinfo.routable_ips;
	for (size_t i = 0; i < o->n; i++) {
		struct prefix have = o->v[i];
		prefix_mask(&have);
		if (prefix_equal(&have, p))
			return true;
	}
	return false;
}

static bool is_approved(const struct member *m, const char *route)
{
	for (size_t i = 0; i < m->routes.n; i++)
		if (!strcmp(m->routes.v[i], route))
			return true;
	return false;
}

/* Of several that could carry a subnet one does: one that is online, the oldest of these. */
static bool is_first(const struct registry *r, const struct member *m, const char *route,
	const struct prefix *p, int64_t now_ms)
{
	for (size_t i = 0; i < r->fleet.n; i++) {
		const struct member *o = r->fleet.v[i];
		if (o->id == m->id || member_is_expired(o, now_ms) || !is_approved(o, route) || !offers(o, p))
			continue;
		if (o->online == m->online ? o->id < m->id : o->online)
			return false;
	}
	return true;
}

static void find_served(
	const struct registry *r, const struct member *m, int64_t now_ms, struct ctl_prefixes *out)
{
	for (size_t i = 0; i < m->routes.n && out->n < ROUTES_MAX && !member_is_expired(m, now_ms); i++) {
		struct prefix p;
		if (prefix_parse(m->routes.v[i], &p) && offers(m, &p) &&
			(!p.bits || is_first(r, m, m->routes.v[i], &p, now_ms)))
			out->v[out->n++] = p;
	}
}

static bool same(const struct ctl_prefixes *a, const struct ctl_prefixes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!prefix_equal(&a->v[i], &b->v[i]))
			return false;
	return true;
}

/* What the policy lets it carry without an admin. */
static void approve_offered(struct registry *r, const struct member *m)
{
	const struct ctl_prefixes *offered = &m->hostinfo.routable_ips;
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct member draft = *m;
	char text[PREFIX_TEXT];
	draft.routes.v = arena_array(&a, m->routes.n + offered->n, sizeof(*draft.routes.v));
	if (draft.routes.v && m->routes.n)
		memcpy(draft.routes.v, m->routes.v, m->routes.n * sizeof(*draft.routes.v));
	for (size_t i = 0; i < offered->n && draft.routes.v && draft.routes.n < ROUTES_MAX; i++) {
		struct prefix p = offered->v[i];
		prefix_mask(&p);
		if (!is_approved(&draft, prefix_format(&p, text)) && r->c.ops.approves(r->c.ops.arg, m, &p))
			draft.routes.v[draft.routes.n++] = arena_strdup(&a, text);
	}
	if (!a.failed && draft.routes.n > m->routes.n) {
		int64_t id = m->id;
		if (registry_replace(r, &draft, true, CHANGE_IDENTITY, &eb))
			log_error("node %lld: its routes are not approved: %s", (long long)id, eb.text);
		else
			log_info("node %lld: routes approved by the policy", (long long)id);
	}
	arena_free(&a);
}

void registry_routes_settle(struct registry *r, int64_t now_ms)
{
	for (size_t i = 0; i < r->fleet.n; i++) {
		const struct member *m = r->fleet.v[i];
		struct prefix room[ROUTES_MAX];
		struct ctl_prefixes served = { .v = room };
		if (m->hostinfo.routable_ips.n && r->c.ops.approves) {
			approve_offered(r, m);
			m = r->fleet.v[i];
		}
		if (!m->routes.n && !m->served.n)
			continue;
		find_served(r, m, now_ms, &served);
		if (same(&served, &m->served))
			continue;
		struct member draft = *m;
		draft.served = served;
		struct member *fresh = member_copy(&draft);
		int64_t id = m->id;
		if (!fresh || !fleet_put(&r->fleet, fresh))
			log_error("node %lld: no memory for its routes", (long long)id);
		else if (r->c.ops.changed)
			r->c.ops.changed(r->c.ops.arg, id, CHANGE_IDENTITY);
	}
}

/* Routes in one form: host bits cleared, written as we write them. */
static int read_routes(struct arena *a, const char *text, struct ctl_strings *out, struct errbuf *eb)
{
	struct ctl_strings words;
	char norm[PREFIX_TEXT];
	registry_tags_split(a, text, &words);
	out->v = arena_array(a, words.n, sizeof(*out->v));
	if (words.n > ROUTES_MAX)
		return err_say(eb, -EINVAL, "at most %d routes for one node", ROUTES_MAX);
	for (size_t i = 0; i < words.n && out->v; i++) {
		struct prefix p;
		if (!prefix_parse(words.v[i], &p))
			return err_say(eb, -EINVAL,
				"\"%.64s\" is not a route: write it as 10.0.0.0/8, an exit as 0.0.0.0/0,::/0",
				words.v[i]);
		prefix_mask(&p);
		out->v[out->n++] = arena_strdup(a, prefix_format(&p, norm));
	}
	return a->failed ? err_set(eb, -ENOMEM, "approve routes") : 0;
}

int registry_node_routes(
	struct registry *r, int64_t node, const char *routes, int64_t now_ms, struct errbuf *eb)
{
	const struct member *m = fleet_by_id(&r->fleet, node);
	struct arena a = { 0 };
	if (!m)
		return err_say(eb, -ENOENT, "no node %lld: `nodes list` shows the numbers", (long long)node);
	struct member draft = *m;
	draft.routes = (struct ctl_strings) { 0 };
	int err = read_routes(&a, routes, &draft.routes, eb);
	if (!err)
		err = registry_replace(r, &draft, true, CHANGE_IDENTITY, eb);
	if (!err)
		registry_routes_settle(r, now_ms);
	arena_free(&a);
	return err;
}
