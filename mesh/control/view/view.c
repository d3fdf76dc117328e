#include "mesh/control/view/view_rules.h"

#include "mesh/base/noise.h"
#include <stdlib.h>
#include <string.h>

bool view_visible(const struct view_context *c, const struct member *self, const struct member *peer)
{
	if (self->id == peer->id || member_is_expired(self, c->now_ms) || member_is_expired(peer, c->now_ms))
		return false;
	return policy_sees(c->set->policy, c->fleet, c->cache, self, peer);
}

void view_fini(struct view *v)
{
	member_put(v->self);
	for (size_t i = 0; i < v->n; i++)
		member_put(v->peers[i]);
	free(v->peers);
	free(v->told);
	*v = (struct view) { 0 };
}

static bool start(const struct view_context *c, const struct member *self, size_t most, struct view *out)
{
	*out = (struct view) {
		.dns_version = c->set->dns_version, .derp_version = c->set->derp_version, .size = most
	};
	out->peers = calloc(most ? most : 1, sizeof(const struct member *));
	if (!out->peers)
		return false;
	out->self = member_get(self);
	return true;
}

bool view_build(const struct view_context *c, const struct member *self, struct view *out)
{
	if (!start(c, self, c->fleet->n, out))
		return false;
	for (size_t i = 0; i < c->fleet->n; i++)
		if (view_visible(c, self, c->fleet->v[i]))
			out->peers[out->n++] = member_get(c->fleet->v[i]);
	return true;
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
		.expired = member_is_expired(m, c->now_ms),
		.online = m->online ? OPT_TRUE : OPT_FALSE,
		.tags = m->tags };
	addresses_of(m, a, &out->addresses);
	routes_of(m, a, out);
}

/* Peers need a name for the host and its system, not what the node measured about its network. */
static const char *write_peer(const struct view_context *c, struct member *m)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct ctl_node n;
	describe(c, m, &a, &n);
	n.hostinfo.has_netinfo = false;
	n.cap = 0;
	if (!a.failed && ctl_node_write(&text, &n))
		m->written = arena_strndup(&m->mem, (const char *)buf_data(&text), text.len);
	buf_free(&text);
	arena_free(&a);
	return m->written;
}

/* --- which routes the viewer was told of --- */

/* Index of the first entry whose id is not below `id`. */
static size_t told_at(const struct view *v, int64_t id)
{
	size_t lo = 0, hi = v->n_told;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (v->told[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* 0 = none. */
static uint64_t told_of(const struct view *v, int64_t id)
{
	size_t i = told_at(v, id);
	return i < v->n_told && v->told[i].id == id ? v->told[i].routes : 0;
}

static bool told_put(struct view *v, int64_t id, uint64_t routes)
{
	size_t i = told_at(v, id);
	if (i < v->n_told && v->told[i].id == id) {
		v->told[i].routes = routes;
		return true;
	}
	if (v->n_told == v->told_size) {
		size_t size = v->told_size ? v->told_size * 2 : 4;
		struct view_told *told = reallocarray(v->told, size, sizeof(*told));
		if (!told)
			return false;
		v->told = told;
		v->told_size = size;
	}
	memmove(v->told + i + 1, v->told + i, (v->n_told - i) * sizeof(*v->told));
	v->told[i] = (struct view_told) { .id = id, .routes = routes };
	v->n_told++;
	return true;
}

/* A carrier of routes, of which not all viewers are told all. */
static void describe_carrier(const struct view_context *c, struct view *v, const struct member *m,
	struct arena *a, struct ctl_node *out)
{
	struct member shown = *m;
	bool all;
	uint64_t told = view_rules_routes(c, v->self, m, a, &shown.served, &all);
	a->failed = a->failed || !told_put(v, m->id, told);
	if (all)
		return;
	describe(c, &shown, a, out);
	out->hostinfo.has_netinfo = false;
}

/* All viewers are told the same of a member but for Cap and routes: it is written once. */
static void describe_peer(const struct view_context *c, struct view *v, const struct member *m,
	struct arena *a, struct ctl_node *out)
{
	*out = (struct ctl_node) { .id = m->id, .user = owner_of(m), .cap = c->viewer_cap };
	if (m->served.n)
		describe_carrier(c, v, m, a, out);
	if (out->name)
		return;
	out->written = m->written ? m->written : write_peer(c, (struct member *)m);
	a->failed = a->failed || !out->written;
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

/* Profiles of everybody named in the message. */
static bool add_profiles(const struct view_context *c, struct arena *a, struct ctl_map_response *out)
{
	size_t most = out->n_peers + out->n_changed + 1;
	if (most > c->fleet->n_users + 3)
		most = c->fleet->n_users + 3;
	out->users = arena_array(a, most, sizeof(*out->users));
	if (!out->users)
		return false;
	if (out->node)
		add_profile(c, out->node->user, out);
	for (size_t i = 0; i < out->n_peers && out->n_users < most; i++)
		add_profile(c, out->peers[i].user, out);
	for (size_t i = 0; i < out->n_changed && out->n_users < most; i++)
		add_profile(c, out->peers_changed[i].user, out);
	return true;
}

static void hash_caps(const struct ctl_node *self, uint8_t hash[static VIEW_HASH])
{
	const char *text = self->cap_map_json;
	blake2s_hash(&(struct noise_part) { (const uint8_t *)text, strlen(text) }, 1, hash);
}

bool view_whole(const struct view_context *c, struct view *v, struct arena *a, struct ctl_map_response *out)
{
	*out = (struct ctl_map_response) { .control_time_ms = c->now_ms,
		.has_debug = true,
		.disable_log_tail = true,
		.domain = c->set->base_domain,
		.dns = (struct ctl_dns *)c->set->dns,
		.derp_map = (struct ctl_derp_map *)c->set->derp };
	out->peers = arena_array(a, v->n, sizeof(*out->peers));
	if (!out->peers || !describe_self(c, v->self, a, out) ||
		!view_rules_add(c, v->self, &v->logins, a, v->filter_hash, out))
		return false;
	hash_caps(out->node, v->caps_hash);
	for (size_t i = 0; i < v->n; i++)
		describe_peer(c, v, v->peers[i], a, &out->peers[out->n_peers++]);
	return add_profiles(c, a, out) && !a->failed;
}

bool view_farewell(const struct view_context *c, const struct member *self, struct arena *a,
	struct ctl_map_response *out)
{
	struct member gone = *self;
	gone.expiry_ms = c->now_ms - 1;
	*out = (struct ctl_map_response) { .control_time_ms = FLEET_NO_TIME };
	return describe_self(c, &gone, a, out) && !a->failed;
}

/* --- differences --- */

static bool same_endpoints(const struct ctl_endpoints *a, const struct ctl_endpoints *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!endpoint_equal(&a->v[i], &b->v[i]))
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
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

static bool same_services(const struct ctl_hostinfo *a, const struct ctl_hostinfo *b)
{
	if (a->n_services != b->n_services)
		return false;
	for (size_t i = 0; i < a->n_services; i++)
		if (a->services[i].port != b->services[i].port ||
			!same_text(a->services[i].proto, b->services[i].proto))
			return false;
	return true;
}

/* What a patch cannot carry is the same. */
static bool can_patch(const struct member *a, const struct member *b)
{
	return member_same_identity(a, b) && same_text(a->name, b->name) &&
	       key_equal(a->machine.b, b->machine.b) &&
	       same_text(a->hostinfo.hostname, b->hostinfo.hostname) &&
	       same_text(a->hostinfo.os, b->hostinfo.os) &&
	       same_text(a->hostinfo.ipn_version, b->hostinfo.ipn_version) &&
	       same_services(&a->hostinfo, &b->hostinfo) && same_prefixes(&a->served, &b->served) &&
	       same_prefixes(&a->hostinfo.routable_ips, &b->hostinfo.routable_ips);
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
	if (!same_endpoints(&a->endpoints, &b->endpoints)) {
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

/* One comparison: old and new may be the same view. */
struct delta {
	const struct view_context *c;
	const struct view *old;
	struct view *new;
	struct arena *mem;
	struct ctl_map_response *out;
};

/* The routes it is told of may be others though the peer is the same: by the viewer, or by the policy. */
static bool told_differs(struct delta *d, const struct member *m)
{
	struct ctl_prefixes shown;
	bool all;
	uint64_t was = told_of(d->old, m->id),
		 is = view_rules_routes(d->c, d->new->self, m, d->mem, &shown, &all);
	d->mem->failed = d->mem->failed || !told_put(d->new, m->id, is);
	return was != is;
}

static void compare_peer(struct delta *d, const struct member *a, const struct member *b)
{
	struct ctl_map_response *out = d->out;
	bool told = a && b->served.n && told_differs(d, b);
	if (a == b && !told)
		return;
	if (!a || told || !can_patch(a, b))
		describe_peer(d->c, d->new, b, d->mem, &out->peers_changed[out->n_changed++]);
	else if (make_patch(a, b, &out->patches[out->n_patches]))
		out->n_patches++;
}

static bool compare_peers(struct delta *d)
{
	const struct view *old = d->old, *new = d->new;
	size_t fresh = 0, removed = 0, i, k;
	for (i = 0, k = 0; i < new->n || k < old->n;) { /* count first: most messages are about one peer */
		int64_t n = i < new->n ? new->peers[i]->id : INT64_MAX,
			o = k < old->n ? old->peers[k]->id : INT64_MAX;
		fresh += n < o || (n == o && (new->peers[i] != old->peers[k] || new->peers[i]->served.n));
		removed += o < n;
		i += n <= o;
		k += o <= n;
	}
	d->out->peers_changed = arena_array(d->mem, fresh, sizeof(*d->out->peers_changed));
	d->out->patches = arena_array(d->mem, fresh, sizeof(*d->out->patches));
	d->out->peers_removed = arena_array(d->mem, removed, sizeof(*d->out->peers_removed));
	if (d->mem->failed)
		return false;
	for (i = 0, k = 0; i < new->n || k < old->n;) {
		int64_t n = i < new->n ? new->peers[i]->id : INT64_MAX,
			o = k < old->n ? old->peers[k]->id : INT64_MAX;
		if (o < n)
			d->out->peers_removed[d->out->n_removed++] = o;
		else
			compare_peer(d, n == o ? old->peers[k] : NULL, new->peers[i]);
		i += n <= o;
		k += o <= n;
	}
	return true;
}

static bool self_changed(const struct member *a, const struct member *b)
{
	return a != b && (!can_patch(a, b) || a->home_derp != b->home_derp || !key_equal(a->key.b, b->key.b));
}

/* What the rules say of the viewer itself. */
static bool add_rules(struct delta *d, const struct member *self)
{
	uint8_t filter[VIEW_HASH], caps[VIEW_HASH];
	struct ctl_map_response *out = d->out;
	bool logins = d->old->logins;
	struct ctl_node only = { .cap_map_json = view_rules_caps(d->c, self, d->mem) };
	if (!only.cap_map_json || !view_rules_add(d->c, self, &logins, d->mem, filter, out))
		return false;
	hash_caps(&only, caps);
	if (!memcmp(filter, d->old->filter_hash, VIEW_HASH)) {
		out->n_filters = 0;
		out->ssh_json = NULL;
	}
	if (memcmp(caps, d->old->caps_hash, VIEW_HASH) != 0 && !out->node &&
		!describe_self(d->c, self, d->mem, out))
		return false;
	memcpy(d->new->filter_hash, filter, VIEW_HASH);
	memcpy(d->new->caps_hash, caps, VIEW_HASH);
	d->new->logins = logins;
	return true;
}

/* Self, rules and settings: what a message says beside the peers. */
static bool add_rest(struct delta *d, const struct member *self, bool refilter)
{
	const struct view_settings *set = d->c->set;
	if (d->new != d->old) {
		memcpy(d->new->filter_hash, d->old->filter_hash, VIEW_HASH);
		memcpy(d->new->caps_hash, d->old->caps_hash, VIEW_HASH);
		d->new->logins = d->old->logins;
	}
	if (self_changed(d->old->self, self) && !describe_self(d->c, self, d->mem, d->out))
		return false;
	if (refilter && !add_rules(d, self))
		return false;
	if (d->old->dns_version != set->dns_version)
		d->out->dns = (struct ctl_dns *)set->dns;
	if (d->old->derp_version != set->derp_version)
		d->out->derp_map = (struct ctl_derp_map *)set->derp;
	return (!d->out->node && !d->out->n_changed) || add_profiles(d->c, d->mem, d->out);
}

static bool says_nothing(const struct ctl_map_response *m)
{
	return !m->node && !m->n_changed && !m->n_removed && !m->n_patches && !m->n_filters && !m->ssh_json &&
	       !m->dns && !m->derp_map;
}

bool view_delta(const struct view_context *c, const struct view *old, struct view *new, bool refilter,
	struct arena *a, struct ctl_map_response *out, bool *empty)
{
	*out = (struct ctl_map_response) { .control_time_ms = FLEET_NO_TIME };
	struct delta d = { .c = c, .old = old, .new = new, .mem = a, .out = out };
	if (!compare_peers(&d) || !add_rest(&d, new->self, refilter))
		return false;
	*empty = says_nothing(out);
	return !a->failed;
}

/* --- in place --- */

/* Index of the first peer whose id is not below `id`. */
static size_t peer_at(const struct view *v, int64_t id)
{
	size_t lo = 0, hi = v->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (v->peers[mid]->id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool insert_peer(struct view *v, size_t i, const struct member *m)
{
	if (v->n == v->size) {
		size_t size = v->size ? v->size * 2 : 8;
		const struct member **peers = reallocarray(v->peers, size, sizeof(const struct member *));
		if (!peers)
			return false;
		v->peers = peers;
		v->size = size;
	}
	memmove(v->peers + i + 1, v->peers + i, (v->n - i) * sizeof(const struct member *));
	v->peers[i] = member_get(m);
	v->n++;
	return true;
}

static void remove_peer(struct view *v, size_t i)
{
	member_put(v->peers[i]);
	v->n--;
	memmove(v->peers + i, v->peers + i + 1, (v->n - i) * sizeof(const struct member *));
}

static void forget_told(struct view *v, int64_t id)
{
	size_t i = told_at(v, id);
	if (i == v->n_told || v->told[i].id != id)
		return;
	v->n_told--;
	memmove(v->told + i, v->told + i + 1, (v->n_told - i) * sizeof(*v->told));
}

/* One member as it is now in the place of what the view has of it. */
static bool apply_one(struct delta *d, const struct member *self, int64_t id)
{
	struct view *v = d->new;
	const struct member *m = fleet_by_id(d->c->fleet, id);
	size_t i = peer_at(v, id);
	bool had = i < v->n && v->peers[i]->id == id;
	if (!m || !view_visible(d->c, self, m)) {
		if (had) {
			remove_peer(v, i);
			forget_told(v, id);
			d->out->peers_removed[d->out->n_removed++] = id;
		}
		return true;
	}
	compare_peer(d, had ? v->peers[i] : NULL, m);
	if (!had)
		return insert_peer(v, i, m);
	const struct member *old = v->peers[i];
	v->peers[i] = member_get(m);
	member_put(old);
	return true;
}

bool view_apply(const struct view_context *c, struct view *v, const struct member *self, const int64_t *ids,
	size_t n, bool refilter, struct arena *a, struct ctl_map_response *out, bool *empty)
{
	struct delta d = { .c = c, .old = v, .new = v, .mem = a, .out = out };
	*out = (struct ctl_map_response) { .control_time_ms = FLEET_NO_TIME };
	out->peers_changed = arena_array(a, n, sizeof(*out->peers_changed));
	out->patches = arena_array(a, n, sizeof(*out->patches));
	out->peers_removed = arena_array(a, n, sizeof(*out->peers_removed));
	for (size_t i = 0; i < n && !a->failed; i++)
		if (!apply_one(&d, self, ids[i]))
			return false;
	if (a->failed || !add_rest(&d, self, refilter))
		return false;
	v->dns_version = c->set->dns_version;
	v->derp_version = c->set->derp_version;
	const struct member *old = v->self;
	v->self = member_get(self);
	member_put(old);
	*empty = says_nothing(out);
	return !a->failed;
}
