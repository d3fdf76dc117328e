/* Open and close, what nodes say of themselves, and time. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include <string.h>

static bool take_user(void *arg, const struct user *u)
{
	return fleet_user_put(&((struct registry *)arg)->fleet, u);
}

static bool take_node(void *arg, const struct member *draft)
{
	struct registry *r = arg;
	struct member of = *draft; /* users come first */
	of.role = fleet_role(&r->fleet, of.user);
	of.groups = fleet_groups(&r->fleet, of.user);
	char unnamed[REGISTRY_UNNAMED];
	if (!fleet_label_valid(of.name)) {
		registry_unnamed(&of, unnamed);
		of.name = unnamed;
	}
	struct member *m = member_copy(&of);
	return m && fleet_put(&r->fleet, m);
}

static bool take_key(void *arg, const struct preauth *k)
{
	return keyring_add(&((struct registry *)arg)->keys, k);
}

static bool take_api_key(void *arg, const struct api_key *k)
{
	return api_keys_add(&((struct registry *)arg)->api_keys, k);
}

static bool take_person(void *arg, const struct person *p)
{
	struct registry *r = arg;
	struct user_groups *groups;
	const struct user *u = fleet_user(&r->fleet, p->user);
	if (!registry_groups(r, p, &groups))
		return false;
	struct user of = u ? *u : (struct user) { 0 };
	of.groups = groups;
	bool ok = people_put(&r->people, p) && (!u || fleet_user_put(&r->fleet, &of));
	user_groups_put(groups);
	return ok;
}

int registry_open(struct registry *r, const struct registry_config *c, struct errbuf *eb)
{
	uint64_t seed;
	*r = (struct registry) { .c = *c };
	c->rnd->fill(c->rnd->arg, &seed, sizeof(seed));
	fleet_init(&r->fleet, seed);
	keyring_init(&r->keys, seed);
	people_init(&r->people, seed);
	registry_routes_init(r, seed);
	table_init(&r->pending_by_id, REGISTRY_ID, seed);
	r->store = store_open(c->state_path, eb);
	int err = r->store ? 0 : eb->code;
	if (!err)
		err = store_load(r->store,
			&(struct store_sink) { take_user, take_node, take_key, take_api_key, take_person, r },
			eb);
	if (!err)
		err = store_load_policies(r->store, &r->policies, eb);
	if (!err)
		err = store_load_admins(r->store, &r->admins, eb);
	if (!err)
		err = registry_names_mend(r, eb);
	if (!err)
		err = store_number_get(r->store, "next_address", &r->next_address, eb);
	for (size_t i = 0; !err && i < r->fleet.n; i++) {
		const struct member *m = member_get(r->fleet.v[i]);
		registry_routes_update(r, NULL, m);
		member_put(m);
	}
	if (err)
		registry_close(r);
	return err;
}

void registry_close(struct registry *r)
{
	r->c.ops.work = NULL; /* here and now, for the last time */
	if (r->store)
		registry_save(r);
	registry_pending_free(r);
	registry_routes_free(r);
	store_close(r->store);
	r->store = NULL;
	id_list_clear(&r->unsaved);
	keyring_fini(&r->keys);
	api_keys_fini(&r->api_keys);
	policies_fini(&r->policies);
	people_fini(&r->people);
	fleet_fini(&r->fleet);
	key_wipe(&r->c.secret, sizeof(r->c.secret));
}

/* --- facts --- */

static bool endpoints_differ(const struct ctl_endpoints *a, const struct ctl_endpoints *b)
{
	if (a->n != b->n)
		return true;
	for (size_t i = 0; i < a->n; i++)
		if (!endpoint_equal(&a->v[i], &b->v[i]))
			return true;
	return false;
}

const char *registry_hostname(const struct ctl_hostinfo *h)
{
	return h->hostname && strlen(h->hostname) <= REGISTRY_HOSTNAME_MAX ? h->hostname : "";
}

/* A stream request of current clients need not repeat what a short update said: absent there means unchanged.
 */
static bool apply_facts(const struct ctl_map_request *rq, struct member *draft, struct buf *json)
{
	const struct member *m = draft;
	bool changed = false;
	if (!key_is_zero(rq->disco.b) && !key_equal(rq->disco.b, m->disco.b)) {
		draft->disco = rq->disco;
		changed = true;
	}
	if (rq->endpoints.n || (rq->endpoints.present && !rq->stream)) {
		struct ctl_endpoints few = rq->endpoints;
		few.n = few.n < REGISTRY_ENDPOINTS_MAX ? few.n : REGISTRY_ENDPOINTS_MAX;
		changed = changed || endpoints_differ(&few, &m->endpoints);
		draft->endpoints = few;
	}
	if (rq->version && rq->version != m->cap) {
		draft->cap = rq->version;
		changed = true;
	}
	if (!rq->has_hostinfo || !ctl_hostinfo_write(json, &rq->hostinfo) || !buf_cstr(json) ||
		json->len > REGISTRY_HOSTINFO_MAX)
		return changed;
	int32_t home = rq->hostinfo.netinfo ? rq->hostinfo.netinfo->preferred_derp : 0;
	if (home > 0 && home <= UINT16_MAX && home != m->home_derp) {
		draft->home_derp = home;
		changed = true;
	}
	if (strcmp(buf_cstr(json), m->hostinfo_json) != 0 &&
		(rq->hostinfo.netinfo || !m->hostinfo.netinfo || !rq->stream)) {
		draft->hostinfo_json = buf_cstr(json);
		changed = true;
	}
	return changed;
}

const struct member *registry_map_received(struct registry *r, const struct ctl_map_request *rq,
	const struct machine_key *machine, int64_t now_ms)
{
	const struct member *m = fleet_by_key(&r->fleet, &rq->node);
	struct buf json = { 0 };
	if (!m || !key_equal(m->machine.b, machine->b))
		return NULL;
	if (rq->read_only)
		return m;
	struct member draft = *m;
	if (apply_facts(rq, &draft, &json)) {
		draft.last_seen_ms = now_ms;
		registry_publish_unsaved(r, &draft, NEWS_LITTLE);
	}
	bool heard = json.len && json.len <= REGISTRY_HOSTINFO_MAX;
	buf_free(&json);
	m = fleet_by_key(&r->fleet, &rq->node);
	const char *hostname = heard ? registry_hostname(&rq->hostinfo) : "";
	/* Whose key has ended keeps its name, and takes none that somebody may want. */
	if (m && *hostname && !member_is_expired(m, now_ms) && strcmp(hostname, m->hostname) != 0)
		registry_host_renamed(r, m->id, hostname);
	return fleet_by_key(&r->fleet, &rq->node);
}

int64_t registry_online_set(struct registry *r, int64_t node, bool online, int64_t now_ms)
{
	const struct member *m = fleet_by_id(&r->fleet, node);
	if (!m || m->online == online)
		return INT64_MAX;
	struct member draft = *m;
	draft.online = online;
	draft.last_seen_ms = now_ms;
	registry_publish_unsaved(r, &draft, NEWS_LITTLE);
	return draft.ephemeral && !online ? now_ms + (int64_t)r->c.ephemeral_ms : INT64_MAX;
}

/* --- time --- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Its key has come to its end, or an admin has moved that: told once. */
static void look_at_expiry(struct registry *r, const struct member *m, int64_t now_ms)
{
	struct errbuf eb = { 0 };
	if (member_is_expired(m, now_ms) == m->expired)
		return;
	struct member draft = *m;
	draft.expired = !m->expired;
	if (registry_publish(r, &draft, NEWS_IDENTITY, &eb))
		log_error("%s", eb.text);
}

int64_t registry_tick(struct registry *r, int64_t now_ms)
{
	int64_t next = INT64_MAX;
	registry_pending_drop_old(r, now_ms);
	r->since_ms = r->since_ms ? r->since_ms : now_ms;
	for (size_t i = 0; i < r->fleet.n; i++) {
		const struct member *m = r->fleet.v[i];
		const int64_t id = m->id, expiry = m->expiry_ms;
		int64_t gone = m->last_seen_ms > r->since_ms ? m->last_seen_ms : r->since_ms;
		if (m->ephemeral && !m->online && gone + (int64_t)r->c.ephemeral_ms <= now_ms) {
			registry_delete_away(r, id);
			i -= !fleet_by_id(&r->fleet, id); /* it may be gone already */
			continue;
		}
		if (m->ephemeral && !m->online)
			next = earlier(next, gone + (int64_t)r->c.ephemeral_ms);
		if (expiry != FLEET_NO_TIME && expiry > now_ms)
			next = earlier(next, expiry);
		look_at_expiry(r, m, now_ms);
		m = fleet_by_id(&r->fleet, id);
		if (m) /* the rules may be others */
			registry_routes_approve(r, m);
	}
	r->ticked_ms = now_ms;
	return next;
}
