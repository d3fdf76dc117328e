/* A node comes in, by an auth key or an admin's word: user, name, addresses. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include <errno.h>
#include <string.h>

static bool address_used(void *arg, const struct addr *a)
{
	return fleet_by_address(arg, a) != NULL;
}

/* The node this machine already has with that user: it keeps its address and name. By the old key, if it says
 * one, it is found though an admin has given it tags since. */
static struct member *find_returning(const struct registry *r, const struct admission *ad)
{
	struct member *m = key_is_zero(ad->old_key.b) ? NULL : fleet_by_key(&r->fleet, &ad->old_key);
	bool tagged = *ad->tags;
	if (m && key_equal(m->machine.b, ad->machine.b) && m->user == ad->user)
		return m;
	for (size_t i = 0; (m = fleet_of_machine(&r->fleet, &ad->machine, i)); i++)
		if (m->user == ad->user && member_is_tagged(m) == tagged)
			return m;
	return NULL;
}

/* From the pools that the rules name for such a node, the first with room. */
static int pick_pooled(struct registry *r, const struct ctl_prefixes *pools, uint64_t start, struct addr *v4,
	struct errbuf *eb)
{
	for (size_t i = 0; i < pools->n; i++) {
		const struct alloc_pool pool = { .has_v4 = true, .v4 = pools->v[i] };
		struct errbuf full;
		struct alloc_pair pair;
		if (alloc_pick(&pool, start, address_used, &r->fleet, &pair, &full))
			continue;
		*v4 = pair.v4;
		return 0;
	}
	return err_say(eb, -EADDRNOTAVAIL,
		"every address of the \"ipPool\" that the policy has for this node is in use: widen it");
}

static int give_addresses(struct registry *r, struct change *c, struct member *draft, struct errbuf *eb)
{
	const struct registry_ops *ops = &r->c.ops;
	struct alloc_pool pool = r->c.pool;
	struct ctl_prefixes pools = { 0 };
	struct alloc_pair pair = { .offset = 0 };
	int64_t start = r->next_address > 0 ? r->next_address : 1;
	if (ops->pools && !ops->pools(ops->arg, draft, &c->mem, &pools))
		return err_set(eb, -ENOMEM, "give an address");
	bool pooled = pools.n && pool.has_v4;
	pool.has_v4 = pool.has_v4 && !pooled;
	int err = pooled ? pick_pooled(r, &pools, (uint64_t)start, &draft->v4, eb) : 0;
	if (!err && (pool.has_v4 || pool.has_v6))
		err = alloc_pick(&pool, (uint64_t)start, address_used, &r->fleet, &pair, eb);
	if (err)
		return err;
	draft->has_v4 = r->c.pool.has_v4;
	draft->has_v6 = r->c.pool.has_v6;
	draft->v4 = pooled ? draft->v4 : pair.v4;
	draft->v6 = pair.v6;
	c->next_address = pool.has_v4 || pool.has_v6 ? (int64_t)pair.offset + 1 : 0;
	return 0;
}

/* What admission makes of a member. */
static void apply_admission(struct registry *r, struct change *c, bool fresh, struct member *draft)
{
	const struct admission *ad = &c->ad;
	draft->user = ad->user;
	draft->preauth = ad->preauth;
	draft->role = fleet_role(&r->fleet, ad->user);
	draft->groups = fleet_groups(&r->fleet, ad->user);
	draft->machine = ad->machine;
	draft->key = ad->key;
	draft->hostname = ad->hostname;
	if (fresh || *ad->hostinfo_json)
		draft->hostinfo_json = ad->hostinfo_json;
	draft->ephemeral = ad->ephemeral;
	draft->expired = false;
	draft->last_seen_ms = c->now_ms;
	if (*ad->tags || fresh) /* tags that an admin gave stay */
		registry_tags_split(&c->mem, ad->tags, &draft->tags);
	draft->expiry_ms = draft->tags.n    ? FLEET_NO_TIME
			   : ad->expiry_ms  ? ad->expiry_ms
			   : r->c.expiry_ms ? c->now_ms + (int64_t)r->c.expiry_ms
					    : FLEET_NO_TIME;
	if (!draft->renamed && !*c->label)
		fleet_label_unique(&r->fleet, ad->hostname, draft->id, c->label);
	if (!draft->renamed)
		draft->name = c->label;
}

static int choose_user(const struct registry *r, const char *user, const struct user **out, struct errbuf *eb)
{
	const struct fleet *f = &r->fleet;
	if (user && *user) {
		*out = fleet_user_named(f, user);
		return *out ? 0
			    : err_say(eb, -ENOENT,
				      "no user \"%s\": make it with `ropewalk-control users create %s`", user,
				      user);
	}
	if (f->n_users == 1) {
		*out = &f->users[0];
		return 0;
	}
	return err_say(eb, -EINVAL,
		f->n_users ? "there are several users: say whose node this is with --user NAME"
			   : "there is no user yet: make one with `ropewalk-control users create NAME`");
}

static int take_pending(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct user *u = NULL;
	const struct pending *p = registry_pending_get(r, c->ad.pending);
	if (!p)
		return err_say(eb, -ENOENT,
			"nothing waits under \"%s\": the node's login page shows the id, and it must still "
			"be waiting",
			c->ad.pending);
	int err = choose_user(r, c->text, &u, eb);
	if (err || !u || (err = registry_check_maker(u, c->by, eb)) ||
		(err = registry_tags_check_owner(r, p->tags, u->id, eb)))
		return err;
	c->ad.user = u->id;
	c->ad.tags = arena_strdup(&c->mem, p->tags);
	c->ad.ephemeral = p->ephemeral;
	c->ad.machine = p->machine;
	c->ad.key = p->key;
	c->ad.old_key = p->old_key;
	c->ad.hostname = arena_strdup(&c->mem, p->hostname);
	c->ad.hostinfo_json = arena_strdup(&c->mem, p->hostinfo_json);
	return c->mem.failed ? err_set(eb, -ENOMEM, "approve") : 0;
}

static int admit_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	int err = 0;
	if (c->ad.pending)
		err = take_pending(r, c, eb);
	else if (c->ad.preauth) /* it may have been used up meanwhile */
		err = registry_auth_check(r, keyring_by_id(&r->keys, c->ad.preauth), c->now_ms, eb);
	if (err)
		return err;
	const struct member *old = find_returning(r, &c->ad), *other = fleet_by_key(&r->fleet, &c->ad.key);
	if (other && other != old)
		return err_say(eb, ERR_REFUSED, "this node key is another node's: log out and in again");
	/* who lets it in for somebody who may give the tags that it asks for gives them */
	err = registry_tags_check_giver(r, c->ad.tags, c->giver, old ? &old->tags : NULL, eb);
	if (err)
		return err;
	struct member draft = old ? *old : (struct member) { .created_ms = c->now_ms };
	apply_admission(r, c, !old, &draft);
	if (!old)
		err = give_addresses(r, c, &draft, eb);
	if (err)
		return err;
	c->draft = c->mem.failed ? NULL : member_copy(&draft);
	return c->draft ? 0 : err_set(eb, -ENOMEM, "register");
}

static int admit_write(struct store *s, struct change *c, struct errbuf *eb)
{
	int err = c->draft->id ? store_node_put(s, c->draft, eb) : store_node_add(s, c->draft, eb);
	if (!err && c->next_address)
		err = store_number_put(s, "next_address", c->next_address, eb);
	if (!err && c->ad.preauth)
		err = store_preauth_use(s, c->ad.preauth, eb);
	return err;
}

static int admit_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct member *old = fleet_by_id(&r->fleet, c->draft->id);
	struct member draft = old ? *old : *c->draft;
	struct preauth *k = keyring_by_id(&r->keys, c->ad.preauth);
	if (k)
		k->used = true;
	if (c->next_address)
		r->next_address = c->next_address;
	if (old)
		apply_admission(r, c, false, &draft);
	if (c->mem.failed) /* it may lack its tags */
		return err_set(eb, -ENOMEM, "register");
	int err = registry_publish(r, &draft, NEWS_IDENTITY, eb);
	if (err)
		return err;
	c->id = draft.id;
	log_info("node %lld (%s): %s", (long long)draft.id, draft.name,
		old ? "registered again" : "registered");
	registry_pending_settle(r, &c->ad.machine, &c->ad.key);
	struct pending *invented = c->ad.pending ? registry_pending_get(r, c->ad.pending) : NULL;
	if (invented)
		registry_pending_drop(r, invented);
	return 0;
}

static const struct change_kind admit_kind = {
	.prepare = admit_prepare, .write = admit_write, .publish = admit_publish
};

void registry_admit(struct registry *r, const struct admission *ad, int64_t now_ms, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &admit_kind, w);
	if (!c)
		return;
	c->now_ms = now_ms;
	c->ad = *ad;
	c->ad.tags = arena_strdup(&c->mem, ad->tags);
	c->ad.hostname = arena_strdup(&c->mem, ad->hostname);
	c->ad.hostinfo_json = arena_strdup(&c->mem, ad->hostinfo_json);
	registry_change_submit(c);
}

void registry_approve(struct registry *r, const char *pending, const struct approve_wish *wish,
	int64_t now_ms, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &admit_kind, w);
	if (!c)
		return;
	c->now_ms = now_ms;
	c->by = wish->by;
	c->ad.pending = arena_strdup(&c->mem, pending);
	c->ad.expiry_ms = wish->expiry_ms;
	c->text = arena_strdup(&c->mem, wish->user ? wish->user : "");
	registry_change_submit(c);
}
