/* What is changed of one node, by an admin, by itself or by time; and its end. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void submit_edit(struct registry *r, const struct change_kind *kind, int64_t node, const char *text,
	struct registry_wait *w)
{
	struct change *c = registry_change_new(r, kind, w);
	if (!c)
		return;
	c->id = node;
	c->text = arena_strdup(&c->mem, text);
	registry_change_submit(c);
}

/* --- expiry --- */

/* How long a login lasts is the network's word: whoever could put it off would stay in after the provider, or an admin,
 * has let them go. */
static int expire_edit(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb)
{
	(void)r;
	if (c->own && draft->expiry_ms != FLEET_NO_TIME && c->at_ms > draft->expiry_ms)
		return err_say(eb, -EPERM,
			"its login ends sooner: an admin may let it last, or log in on the machine again");
	draft->expiry_ms = c->at_ms;
	draft->expired = member_is_expired(draft, c->now_ms);
	return 0;
}
static const struct change_kind expire_kind = { .edit = expire_edit };

void registry_node_expire(
	struct registry *r, int64_t node, int64_t at_ms, int64_t now_ms, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &expire_kind, w);
	if (!c)
		return;
	c->id = node;
	c->at_ms = at_ms;
	c->now_ms = now_ms;
	registry_change_submit(c);
}

/* --- names --- */

static int rename_edit(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb)
{
	if (!fleet_label_valid(c->text))
		return err_say(eb, -EINVAL,
			"\"%.64s\" is not a name: a-z, 0-9 and - inside, at most 63 characters, and not one "
			"that "
			"machines look up by themselves (wpad, isatap, localhost)",
			c->text);
	const struct member *other = fleet_by_name(&r->fleet, c->text);
	if (other && other->id != draft->id)
		return err_say(eb, -EEXIST, "node %lld has that name already", (long long)other->id);
	draft->name = c->text;
	draft->renamed = true;
	return 0;
}
static const struct change_kind rename_kind = { .edit = rename_edit };

void registry_node_rename(struct registry *r, int64_t node, const char *label, struct registry_wait *w)
{
	submit_edit(r, &rename_kind, node, label, w);
}

static int host_renamed_edit(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb)
{
	(void)eb;
	draft->hostname = c->text;
	if (draft->renamed)
		return 0;
	if (!*c->label)
		fleet_label_unique(&r->fleet, c->text, draft->id, c->label);
	draft->name = c->label;
	return 0;
}
static const struct change_kind host_renamed_kind = { .edit = host_renamed_edit };

/* One waits for each node at most: a host may say another name with every message. */
void registry_host_renamed(struct registry *r, int64_t node, const char *hostname)
{
	struct change *c = registry_change_find(r, &host_renamed_kind, node);
	if (c)
		c->text = arena_strdup(&c->mem, hostname);
	else
		submit_edit(r, &host_renamed_kind, node, hostname, NULL);
}

void registry_unnamed(const struct member *m, char out[static REGISTRY_UNNAMED])
{
	log_warn("the name of node %lld in the database is \"%.80s\", which is none", (long long)m->id,
		m->name);
	snprintf(out, REGISTRY_UNNAMED, "-%lld", (long long)m->id);
}

static bool mend_name(struct registry *r, const struct member *m)
{
	char label[FLEET_LABEL];
	struct member draft = *m;
	fleet_label_unique(&r->fleet, m->hostname, m->id, label);
	draft.name = label;
	struct member *now = member_copy(&draft);
	if (!now || !fleet_put(&r->fleet, now))
		return false;
	log_warn("node %lld is %s now: `nodes rename` gives it another name", (long long)draft.id, label);
	return true;
}

int registry_names_mend(struct registry *r, struct errbuf *eb)
{
	bool all = true;
	for (size_t i = 0; i < r->fleet.n && all; i++) {
		const struct member *m = member_get(r->fleet.v[i]);
		all = fleet_label_valid(m->name) || mend_name(r, m);
		member_put(m);
	}
	return all ? 0 : err_set(eb, -ENOMEM, "name the nodes of the database");
}

/* --- tags --- */

static int tag_edit(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb)
{
	int err = registry_tags_check(r, c->text, eb);
	if (!c->text[strspn(c->text, ", ")])
		return err_say(eb, -EINVAL,
			"a node that was tagged stays so: give it at least one tag (--tags), or let it log "
			"in again "
			"as somebody's");
	if (!err && !(err = registry_tags_check_giver(r, c->text, c->giver, &draft->tags, eb)))
		registry_tags_split(&c->mem, c->text, &draft->tags);
	return err ? err : c->mem.failed ? err_set(eb, -ENOMEM, "tag a node") : 0;
}
static const struct change_kind tag_kind = { .edit = tag_edit };

void registry_node_tag(struct registry *r, int64_t node, const char *tags, struct registry_wait *w)
{
	submit_edit(r, &tag_kind, node, tags, w);
}

/* --- routes --- */

/* In one form: host bits cleared, written as we write them. */
static int routes_edit(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb)
{
	struct ctl_strings words, *out = &draft->routes;
	char norm[PREFIX_TEXT];
	(void)r;
	registry_tags_split(&c->mem, c->text, &words);
	*out = (struct ctl_strings) { .v = arena_array(&c->mem, words.n, sizeof(*out->v)) };
	if (words.n > REGISTRY_ROUTES_MAX)
		return err_say(eb, -EINVAL, "at most %d routes for one node", REGISTRY_ROUTES_MAX);
	for (size_t i = 0; i < words.n && out->v; i++) {
		struct prefix p;
		if (!prefix_parse(words.v[i], &p))
			return err_say(eb, -EINVAL,
				"\"%.64s\" is not a route: write it as 10.0.0.0/8, an exit as 0.0.0.0/0,::/0",
				words.v[i]);
		prefix_mask(&p);
		const char *fault = prefix_route_fault(&p);
		if (fault)
			return err_say(eb, -EINVAL, "no node can carry %.64s: it is %s", words.v[i], fault);
		out->v[out->n++] = arena_strdup(&c->mem, prefix_format(&p, norm));
	}
	return c->mem.failed ? err_set(eb, -ENOMEM, "approve routes") : 0;
}
static const struct change_kind routes_kind = { .edit = routes_edit };

void registry_node_routes(struct registry *r, int64_t node, const char *routes, struct registry_wait *w)
{
	submit_edit(r, &routes_kind, node, routes, w);
}

/* --- addresses --- */

static int address_edit(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb)
{
	const struct alloc_pool *p = &r->c.pool;
	const struct addr *a = &c->address;
	const struct member *other = fleet_by_address(&r->fleet, a);
	char text[ADDR_TEXT];
	bool v4 = addr_is_v4(a), has = v4 ? draft->has_v4 : draft->has_v6;
	if (!has || !prefix_contains(v4 ? &p->v4 : &p->v6, a) || alloc_is_reserved(p, a))
		return err_say(
			eb, -EINVAL, "%s is no address for nodes of this network", addr_format(a, text));
	if (other && other->id != draft->id)
		return err_say(eb, -EEXIST, "%s is the address of node %lld", addr_format(a, text),
			(long long)other->id);
	struct addr *has_now = v4 ? &draft->v4 : &draft->v6;
	const struct registry_ops *ops = &r->c.ops;
	if (c->ruled && ops->names_address && ops->names_address(ops->arg, has_now, a))
		return err_say(eb, -EPERM,
			"%s is in the access rules: who may change these gives this address to a node",
			addr_format(a, text));
	*has_now = *a;
	return 0;
}
static const struct change_kind address_kind = { .edit = address_edit };

void registry_node_address(struct registry *r, int64_t node, const struct addr *a, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &address_kind, w);
	if (!c)
		return;
	c->id = node;
	c->address = *a;
	registry_change_submit(c);
}

/* --- the end --- */

static int delete_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct member *m = fleet_by_id(&r->fleet, c->id);
	if (m)
		return registry_check_own(c, m, eb);
	return err_say(eb, -ENOENT, "no node %lld: `nodes list` shows the numbers", (long long)c->id);
}

static int delete_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_node_delete(s, c->id, eb);
}

static int delete_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)eb;
	registry_forget(r, c->id);
	return 0;
}

static const struct change_kind delete_kind = {
	.prepare = delete_prepare, .write = delete_write, .publish = delete_publish
};

void registry_node_delete(struct registry *r, int64_t node, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &delete_kind, w);
	if (!c)
		return;
	c->id = node;
	registry_change_submit(c);
}

static int away_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct member *m = fleet_by_id(&r->fleet, c->id);
	if (!m || !m->ephemeral || m->online)
		return err_say(eb, -ENOENT, "node %lld is back", (long long)c->id);
	log_info("node %lld (%s): ephemeral and away, deleted", (long long)m->id, m->name);
	return 0;
}

static const struct change_kind away_kind = {
	.prepare = away_prepare, .write = delete_write, .publish = delete_publish
};

void registry_delete_away(struct registry *r, int64_t node)
{
	struct change *c =
		registry_change_find(r, &away_kind, node) ? NULL : registry_change_new(r, &away_kind, NULL);
	if (!c)
		return;
	c->id = node;
	registry_change_submit(c);
}
