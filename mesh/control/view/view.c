#include "mesh/control/view/view_rules.h"

#include "mesh/proto/control_equal.h"
#include "mesh/base/noise.h"
#include <stdlib.h>
#include <string.h>

void view_fini(struct view *v)
{
	member_put(v->self);
	member_put(v->blocker);
	settings_put(v->set);
	*v = (struct view) { 0 };
}

/* What it has been told from now on. */
static void view_set(const struct view_context *c, const struct member *self, struct view *v)
{
	const struct view old = *v;
	v->self = member_get(self);
	v->set = settings_get(c->set);
	v->told = c->journal->now;
	member_put(old.self);
	settings_put(old.set);
}

/* --- members as nodes on the wire --- */

static void addresses_of(const struct member *m, struct arena *a, struct ctl_prefixes *out)
{
	out->v = arena_array(a, 2, sizeof(*out->v));
	if (out->v && m->has_v4)
		out->v[out->n++] = prefix_of(&m->v4);
	if (out->v && m->has_v6)
		out->v[out->n++] = prefix_of(&m->v6);
}

/* What peers may send to it: its addresses and the routes it carries. */
static void routes_of(const struct member *m, struct arena *a, struct ctl_node *out)
{
	out->allowed_ips = out->addresses;
	if (!m->served.n)
		return;
	out->allowed_ips.v = arena_array(a, out->addresses.n + m->served.n, sizeof(*out->allowed_ips.v));
	out->primary_routes.v = arena_array(a, m->served.n, sizeof(*out->primary_routes.v));
	if (!out->allowed_ips.v || !out->primary_routes.v)
		return;
	memcpy(out->allowed_ips.v, out->addresses.v, out->addresses.n * sizeof(*out->addresses.v));
	for (size_t i = 0; i < m->served.n; i++) {
		out->allowed_ips.v[out->allowed_ips.n++] = m->served.v[i];
		if (m->served.v[i].bits) /* an exit is nobody's alone */
			out->primary_routes.v[out->primary_routes.n++] = m->served.v[i];
	}
}

static int64_t owner_of(const struct member *m)
{
	return member_is_tagged(m) ? FLEET_TAGGED_USER : m->user;
}

static void describe(
	const struct view_context *c, const struct member *m, struct arena *a, struct ctl_node *out)
{
	*out = (struct ctl_node) { .id = m->id,
		.stable_id = arena_printf(a, "n%lld", (long long)m->id),
		.name = arena_printf(a, "%s.%s.", m->name, c->set->base_domain),
		.user = owner_of(m),
		.key = m->key,
		.machine = m->machine,
		.disco = m->disco,
		.endpoints = m->endpoints,
		.home_derp = m->home_derp,
		.hostinfo = m->hostinfo,
		.created_ms = m->created_ms,
		.last_seen_ms = m->online ? FLEET_NO_TIME : m->last_seen_ms,
		.key_expiry_ms = m->expiry_ms,
		.cap = c->viewer_cap,
		.machine_authorized = true,
		.expired = m->expired,
		.online = m->online ? OPT_TRUE : OPT_FALSE,
		.tags = m->tags };
	addresses_of(m, a, &out->addresses);
	routes_of(m, a, out);
}

/* --- the text of a peer --- */

struct view_text {
	int64_t id;
	const struct member *of; /* counted: what it is the text of */
	char text[];
};

bool view_cache_init(struct view_cache *c, uint64_t seed)
{
	*c = (struct view_cache) { .now = { .cache = policy_cache_new() },
		.was = { .cache = policy_cache_new() } };
	table_init(&c->by_id, sizeof(int64_t), seed);
	return c->now.cache && c->was.cache;
}

static void free_text(struct view_text *t)
{
	if (t)
		member_put(t->of);
	free(t);
}

static void slot_fini(struct view_rules_slot *s)
{
	policy_cache_free(s->cache);
	settings_put(s->set);
	*s = (struct view_rules_slot) { NULL, NULL };
}

void view_cache_fini(struct view_cache *c)
{
	struct view_text *t;
	size_t at = 0;
	while ((t = table_next(&c->by_id, &at)))
		free_text(t);
	table_fini(&c->by_id);
	slot_fini(&c->now);
	slot_fini(&c->was);
}

static void forget_text(struct view_cache *c, int64_t id)
{
	free_text(table_remove(&c->by_id, &id));
}

void view_cache_changed(struct view_cache *c, int64_t id, bool identity)
{
	forget_text(c, id);
	if (identity)
		policy_cache_member_changed(c->now.cache, id);
}

void view_cache_told(struct view_cache *c)
{
	policy_cache_policy_changed(c->was.cache);
}

/* The slot, for these rules. */
static struct policy_cache *rules_cache(struct view_rules_slot *s, struct settings *set)
{
	if (s->set != set) {
		policy_cache_policy_changed(s->cache);
		settings_put(s->set);
		s->set = settings_get(set);
	}
	return s->cache;
}

struct policy_cache *view_rules_cache(const struct view_context *c)
{
	return rules_cache(&c->cache->now, c->set);
}

/* self and peer may see each other at all. */
static bool is_visible(struct view_rules_slot *slot, struct settings *set, const struct fleet *f,
	const struct member *self, const struct member *peer)
{
	if (self->id == peer->id || self->expired)
		return false;
	return policy_sees(set->policy, f, rules_cache(slot, set), self, peer);
}

/* Peers need a name for the host and its system, not what the node measured about its network. */
static struct view_text *write_peer(const struct view_context *c, const struct member *m)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct ctl_node n;
	struct view_text *t = NULL;
	describe(c, m, &a, &n);
	n.hostinfo.netinfo = NULL;
	n.cap = 0;
	if (!a.failed && ctl_node_write(&text, &n) && (t = malloc(sizeof(*t) + text.len + 1))) {
		t->id = m->id;
		t->of = member_get(m);
		memcpy(t->text, buf_data(&text), text.len);
		t->text[text.len] = 0;
	}
	buf_free(&text);
	arena_free(&a);
	return t;
}

static const char *peer_text(const struct view_context *c, const struct member *m)
{
	struct view_text *t = table_get(&c->cache->by_id, &m->id);
	if (t && t->of == m)
		return t->text;
	forget_text(c->cache, m->id);
	t = write_peer(c, m);
	if (t && table_put(&c->cache->by_id, &t->id, t))
		return t->text;
	free_text(t);
	return NULL;
}

/* A carrier of routes, of which not all viewers are told all. */
static void describe_carrier(const struct view_context *c, const struct member *self, const struct member *m,
	struct arena *a, struct ctl_node *out)
{
	struct member shown = *m;
	bool all;
	(void)view_rules_routes(c, self, m, a, &shown.served, &all);
	if (all)
		return;
	describe(c, &shown, a, out);
	out->hostinfo.netinfo = NULL;
}

void view_describe(const struct view_context *c, const struct member *self, const struct member *m,
	struct arena *a, struct ctl_node *out)
{
	*out = (struct ctl_node) { .id = m->id, .user = owner_of(m), .cap = c->viewer_cap };
	if (m->carries.n)
		describe_carrier(c, self, m, a, out);
	if (out->name)
		return;
	out->written = peer_text(c, m);
	a->failed = a->failed || !out->written;
}

/* --- names --- */

/* The machine that answers names for self; NULL: none. Not for one that it is hidden from. */
static const struct member *blocker_of(const struct view_context *c, const struct member *self)
{
	const struct member *m = c->set->block_node ? fleet_by_name(c->fleet, c->set->block_node) : NULL;
	return m && is_visible(&c->cache->now, c->set, c->fleet, self, m) ? m : NULL;
}

/* What self is told of names: the settings, with the machine that blocks as the one nameserver for all that has no
 * nameserver of its own. That machine itself is told those of the settings, to ask them. The names and nameservers of
 * the mesh are nothing for one whose key has ended. */
static struct ctl_dns *describe_names(
	const struct view_context *c, const struct member *self, const struct view *v, struct arena *a)
{
	const struct member *m = v->blocker;
	char text[ADDR_TEXT];
	if (self->expired)
		return arena_alloc(a, sizeof(struct ctl_dns));
	if (!m)
		return &c->set->dns;
	struct ctl_dns *dns = arena_memdup(a, &c->set->dns, sizeof(*dns));
	struct ctl_resolver *only = arena_array(a, 1, sizeof(*only));
	if (!dns || !only)
		return NULL;
	only->addr = arena_strdup(a, addr_format(m->has_v4 ? &m->v4 : &m->v6, text));
	dns->resolvers = only;
	dns->n_resolvers = 1;
	dns->n_fallback = 0;
	return only->addr ? dns : NULL;
}

static void blocker_set(struct view *v, const struct member *m)
{
	const struct member *old = v->blocker;
	v->blocker = m ? member_get(m) : NULL;
	member_put(old);
}

static bool same_nameserver(const struct member *a, const struct member *b)
{
	return a == b || (a && b && a->has_v4 == b->has_v4 && a->has_v6 == b->has_v6 &&
				 addr_equal(&a->v4, &b->v4) && addr_equal(&a->v6, &b->v6));
}

static bool describe_self(
	const struct view_context *c, const struct member *m, struct arena *a, struct ctl_map_response *out)
{
	out->node = arena_alloc(a, sizeof(*out->node));
	if (!out->node)
		return false;
	describe(c, m, a, out->node);
	out->node->cap_map_json = view_rules_caps(c, m, a);
	return out->node->cap_map_json;
}

static bool has_profile(const struct ctl_map_response *out, int64_t user)
{
	for (size_t i = 0; i < out->n_users; i++)
		if (out->users[i].id == user)
			return true;
	return false;
}

static void add_profile(const struct view_context *c, int64_t user, struct ctl_map_response *out)
{
	const struct user *u = fleet_user(c->fleet, user);
	const char *name = user == FLEET_TAGGED_USER ? "tagged-devices" : u ? u->name : "unknown";
	if (!has_profile(out, user))
		out->users[out->n_users++] = (struct ctl_user) {
			.id = user, .login_name = name, .display_name = name, .profile_pic = ""
		};
}

/* Profiles of everybody named in the message; more: peers that are named elsewhere in it. */
static bool add_profiles(const struct view_context *c, const struct view_peers *more, struct arena *a,
	struct ctl_map_response *out)
{
	size_t most = more->n + out->n_changed + 1;
	if (most > c->fleet->n_users + 3)
		most = c->fleet->n_users + 3;
	out->users = arena_array(a, most, sizeof(*out->users));
	if (!out->users)
		return false;
	if (out->node)
		add_profile(c, out->node->user, out);
	for (size_t i = 0; i < more->n && out->n_users < most; i++)
		add_profile(c, owner_of(more->v[i]), out);
	for (size_t i = 0; i < out->n_changed && out->n_users < most; i++)
		add_profile(c, out->peers_changed[i].user, out);
	return true;
}

static const char *network_name(const struct settings *set)
{
	return set->name ? set->name : set->base_domain;
}

static void hash_caps(const struct ctl_node *self, uint8_t hash[static VIEW_HASH])
{
	const char *text = self->cap_map_json;
	blake2s_hash(&(struct noise_part) { (const uint8_t *)text, strlen(text) }, 1, hash);
}

bool view_head(const struct view_context *c, const struct member *self, struct view *v, struct arena *a,
	struct ctl_map_response *out, struct view_peers *peers)
{
	const struct fleet *f = c->fleet;
	*v = (struct view) { 0 };
	*out = (struct ctl_map_response) { .control_time_ms = c->now_ms,
		.has_debug = true,
		.disable_log_tail = true,
		.domain = network_name(c->set),
		.derp_map = &c->set->derp };
	blocker_set(v, blocker_of(c, self));
	out->dns = describe_names(c, self, v, a);
	*peers = (struct view_peers) { .v = arena_array(a, f->n, sizeof(const struct member *)) };
	if (!out->dns || !peers->v || !describe_self(c, self, a, out) ||
		!view_rules_add(c, self, &v->logins, a, v->filter_hash, out) ||
		!view_rules_mark(c, self, &v->filter_mark)) {
		view_fini(v);
		return false;
	}
	hash_caps(out->node, v->caps_hash);
	for (size_t i = 0; i < f->n; i++)
		if (is_visible(&c->cache->now, c->set, f, self, f->v[i]))
			peers->v[peers->n++] = f->v[i];
	if (!add_profiles(c, peers, a, out) || a->failed) {
		view_fini(v);
		return false;
	}
	view_set(c, self, v);
	return true;
}

bool view_whole(const struct view_context *c, const struct member *self, struct view *v, struct arena *a,
	struct ctl_map_response *out)
{
	struct view_peers peers;
	if (!view_head(c, self, v, a, out, &peers))
		return false;
	out->peers = arena_array(a, peers.n, sizeof(*out->peers));
	for (size_t i = 0; i < peers.n && out->peers; i++)
		view_describe(c, self, peers.v[i], a, &out->peers[out->n_peers++]);
	if (!a->failed)
		return true;
	view_fini(v);
	return false;
}

bool view_farewell(const struct view_context *c, const struct member *self, struct arena *a,
	struct ctl_map_response *out)
{
	struct member gone = *self;
	gone.expiry_ms = c->now_ms - 1;
	gone.expired = true;
	*out = (struct ctl_map_response) { .control_time_ms = FLEET_NO_TIME };
	return describe_self(c, &gone, a, out) && !a->failed;
}

/* --- differences --- */

/* What a patch cannot carry is the same. Of the host it carries nothing. */
static bool can_patch(const struct member *a, const struct member *b)
{
	return member_same_identity(a, b) && a->expired == b->expired && ctl_text_equal(a->name, b->name) &&
	       key_equal(a->machine.b, b->machine.b) && ctl_hostinfo_alike(&a->hostinfo, &b->hostinfo) &&
	       ctl_prefixes_equal(&a->served, &b->served);
}

/* false: nothing a peer needs to know has changed. */
static bool make_patch(const struct member *a, const struct member *b, struct ctl_peer_patch *p)
{
	bool any = false;
	*p = (struct ctl_peer_patch) {
		.id = b->id, .last_seen_ms = FLEET_NO_TIME, .key_expiry_ms = FLEET_NO_TIME
	};
	if (b->home_derp && a->home_derp != b->home_derp) {
		p->derp_region = b->home_derp;
		any = true;
	}
	if (!ctl_endpoints_equal(&a->endpoints, &b->endpoints)) {
		p->endpoints = b->endpoints;
		any = p->endpoints.present = true;
	}
	if (!key_equal(a->key.b, b->key.b)) {
		p->key = b->key;
		any = p->has_key = true;
	}
	if (!key_equal(a->disco.b, b->disco.b)) {
		p->disco = b->disco;
		any = p->has_disco = true;
	}
	if (a->online != b->online) {
		p->online = b->online ? OPT_TRUE : OPT_FALSE;
		p->has_last_seen = !b->online && b->last_seen_ms != FLEET_NO_TIME;
		p->last_seen_ms = b->last_seen_ms;
		any = true;
	}
	return any;
}

static bool self_changed(const struct member *a, const struct member *b)
{
	return a != b && (!can_patch(a, b) || a->home_derp != b->home_derp || !key_equal(a->key.b, b->key.b));
}

/* What the rules look at: while none of it changes, only members that have changed can come or go. */
static bool same_for_rules(const struct member *a, const struct member *b)
{
	return a == b || (member_same_identity(a, b) && a->expired == b->expired &&
				 ctl_prefixes_equal(&a->served, &b->served) &&
				 ctl_prefixes_equal(&a->carries, &b->carries));
}

/* Grants by some carrier alone: when one changes, others may be the way to what it carries. */
static bool ways_change(const struct view_context *c, const struct journal_since *s)
{
	for (size_t i = 0; i < s->n && policy_has_via(c->set->policy); i++) {
		const struct member *now = fleet_by_id(c->fleet, s->v[i].id);
		if ((now && now->carries.n) || (s->v[i].old && s->v[i].old->carries.n))
			return true;
	}
	return false;
}

/* From what a viewer was told to what is. */
struct difference {
	const struct view_context *c;
	struct view *v;
	const struct member *self;
	struct arena *a;
	struct ctl_map_response *out;
	bool ways; /* which of several is the way to a subnet may be another */
};

/* The routes it is told of may be others though the peer is the same: by the viewer, or by the policy. */
static bool routes_differ(const struct difference *d, const struct member *was, const struct member *now)
{
	struct view_context then = *d->c;
	struct ctl_prefixes shown;
	bool all;
	then.set = d->v->set;
	if (d->ways && now->carries.n)
		return true;
	return (was->carries.n || now->carries.n) &&
	       view_rules_routes(&then, d->v->self, was, d->a, &shown, &all) !=
		       view_rules_routes(d->c, d->self, now, d->a, &shown, &all);
}

static void compare_peer(const struct difference *d, const struct member *was, const struct member *now)
{
	struct ctl_map_response *out = d->out;
	bool routes = was && routes_differ(d, was, now);
	if (was == now && !routes)
		return;
	if (!was || routes || !can_patch(was, now))
		view_describe(d->c, d->self, now, d->a, &out->peers_changed[out->n_changed++]);
	else if (make_patch(was, now, &out->patches[out->n_patches]))
		out->n_patches++;
}

/* One member, as it was and as it is; NULL: was not there, is not there. */
static void add_difference(const struct difference *d, const struct member *old, const struct member *now)
{
	const struct fleet *f = d->c->fleet;
	struct view_cache *cache = d->c->cache;
	bool saw = old && is_visible(&cache->was, d->v->set, f, d->v->self, old);
	bool sees = now && is_visible(&cache->now, d->c->set, f, d->self, now);
	if (sees)
		compare_peer(d, saw ? old : NULL, now);
	else if (saw)
		d->out->peers_removed[d->out->n_removed++] = old->id;
}

/* Every member, changed or not: who is seen may have changed for any. */
static void compare_all(const struct difference *d, const struct journal_since *s)
{
	const struct fleet *f = d->c->fleet;
	for (size_t i = 0; i < f->n; i++) {
		const struct journal_pair *p = journal_find(s, f->v[i]->id);
		add_difference(d, p ? p->old : f->v[i], f->v[i]);
	}
	for (size_t i = 0; i < s->n; i++)
		if (!fleet_by_id(f, s->v[i].id))
			add_difference(d, s->v[i].old, NULL);
}

static bool compare_peers(const struct difference *d, const struct journal_since *s)
{
	struct ctl_map_response *out = d->out;
	bool few = d->v->set == d->c->set && same_for_rules(d->v->self, d->self) && !d->ways;
	size_t most = few ? s->n : d->c->fleet->n + s->n;
	out->peers_changed = arena_array(d->a, most, sizeof(*out->peers_changed));
	out->patches = arena_array(d->a, most, sizeof(*out->patches));
	out->peers_removed = arena_array(d->a, most, sizeof(*out->peers_removed));
	if (d->a->failed)
		return false;
	if (!few)
		compare_all(d, s);
	for (size_t i = 0; few && i < s->n; i++)
		add_difference(d, s->v[i].old, fleet_by_id(d->c->fleet, s->v[i].id));
	return !d->a->failed;
}

/* What the viewer is told of itself depends on itself and on the settings. */
static bool add_caps(const struct difference *d)
{
	uint8_t caps[VIEW_HASH];
	struct view *v = d->v;
	if (v->set == d->c->set && same_for_rules(v->self, d->self))
		return true;
	struct ctl_node only = { .cap_map_json = view_rules_caps(d->c, d->self, d->a) };
	if (!only.cap_map_json)
		return false;
	hash_caps(&only, caps);
	if (memcmp(caps, v->caps_hash, VIEW_HASH) != 0 && !d->out->node &&
		!describe_self(d->c, d->self, d->a, d->out))
		return false;
	memcpy(v->caps_hash, caps, VIEW_HASH);
	return true;
}

/* What the rules say of the viewer itself. */
static bool add_rules(const struct difference *d)
{
	uint8_t filter[VIEW_HASH];
	struct view *v = d->v;
	struct ctl_map_response *out = d->out;
	uint64_t mark;
	if (!add_caps(d) || !view_rules_mark(d->c, d->self, &mark))
		return false;
	/* who may log in is not in the mark */
	if (v->set == d->c->set && mark == v->filter_mark && !policy_has_ssh(d->c->set->policy))
		return true;
	if (!view_rules_add(d->c, d->self, &v->logins, d->a, filter, out))
		return false;
	if (!memcmp(filter, v->filter_hash, VIEW_HASH)) {
		out->n_filters = 0;
		out->ssh_json = NULL;
	}
	memcpy(v->filter_hash, filter, VIEW_HASH);
	v->filter_mark = mark;
	return true;
}

/* Which machine answers names may have changed with the rules, the settings or that machine. */
static bool add_names(const struct difference *d)
{
	const struct member *now = blocker_of(d->c, d->self);
	bool was_out = d->v->self->expired, is_out = d->self->expired;
	bool same = was_out == is_out &&
		    (is_out || (same_nameserver(d->v->blocker, now) &&
				       !memcmp(d->v->set->dns_hash, d->c->set->dns_hash, SETTINGS_HASH)));
	blocker_set(d->v, now);
	if (!same)
		d->out->dns = describe_names(d->c, d->self, d->v, d->a);
	return same || d->out->dns;
}

/* Self, rules and settings: what a message says beside the peers. */
static bool add_rest(const struct difference *d, bool refilter)
{
	struct settings *was = d->v->set, *now = d->c->set;
	if (self_changed(d->v->self, d->self) && !describe_self(d->c, d->self, d->a, d->out))
		return false;
	if (refilter && !add_rules(d))
		return false;
	if (!add_names(d))
		return false;
	if (memcmp(was->derp_hash, now->derp_hash, SETTINGS_HASH) != 0)
		d->out->derp_map = &now->derp;
	if (strcmp(network_name(was), network_name(now)) != 0)
		d->out->domain = network_name(now);
	return (!d->out->node && !d->out->n_changed) ||
	       add_profiles(d->c, &(struct view_peers) { .n = 0 }, d->a, d->out);
}

static bool says_nothing(const struct ctl_map_response *m)
{
	return !m->node && !m->n_changed && !m->n_removed && !m->n_patches && !m->n_filters && !m->ssh_json &&
	       !m->dns && !m->derp_map && !m->domain;
}

bool view_update(const struct view_context *c, const struct member *self, struct view *v, struct arena *a,
	struct ctl_map_response *out, bool *empty)
{
	const struct journal_since *s = journal_since(c->journal, v->told);
	const struct difference d = { c, v, self, a, out, s && ways_change(c, s) };
	*out = (struct ctl_map_response) { .control_time_ms = FLEET_NO_TIME };
	bool ok = s && compare_peers(&d, s) && add_rest(&d, s->identity || v->set != c->set) && !a->failed;
	if (!ok) {
		view_fini(v);
		return false;
	}
	view_set(c, self, v);
	*empty = says_nothing(out);
	return true;
}
