#include "mesh/control/fleet/registry.h"

#include "mesh/base/log.h"
#include "mesh/base/noise.h"
#include "mesh/control/fleet/registry_inner.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_user(void *arg, const struct user *u)
{
	return fleet_user_put(&((struct registry *)arg)->fleet, u);
}

static bool take_node(void *arg, const struct member *draft)
{
	struct registry *r = arg;
	struct member *m = member_copy(draft);
	return m && fleet_put(&r->fleet, m);
}

int registry_open(struct registry *r, const struct registry_config *c, struct errbuf *eb)
{
	uint64_t seed;
	*r = (struct registry) { .c = *c };
	c->rnd->fill(c->rnd->arg, &seed, sizeof(seed));
	fleet_init(&r->fleet, seed);
	r->store = store_open(c->state_path, eb);
	int err = r->store ? 0 : eb->code;
	if (!err)
		err = store_load(r->store,
			&(struct store_sink) { .user = take_user, .node = take_node, .arg = r }, eb);
	if (err)
		registry_close(r);
	return err;
}

void registry_close(struct registry *r)
{
	registry_pending_free(r);
	store_close(r->store);
	r->store = NULL;
	fleet_fini(&r->fleet);
	key_wipe(&r->c.secret, sizeof(r->c.secret));
}

static void report(struct registry *r, int64_t node, enum registry_change what)
{
	if (r->c.ops.changed)
		r->c.ops.changed(r->c.ops.arg, node, what);
}

static int save(struct registry *r, const struct member *m, bool durable, struct errbuf *eb)
{
	int err = store_begin(r->store, durable, eb);
	if (err)
		return err;
	if (!(err = store_node_put(r->store, m, eb)))
		return store_commit(r->store, eb);
	store_rollback(r->store);
	return err;
}

int registry_replace(struct registry *r, const struct member *draft, bool durable, enum registry_change what,
	struct errbuf *eb)
{
	struct member *m = member_copy(draft);
	if (!m)
		return err_set(eb, -ENOMEM, "change a node");
	int err = save(r, m, durable, eb);
	snprintf(r->trouble, sizeof(r->trouble), "%s", err ? eb->text : "");
	if (err && durable) {
		member_put(m);
		return err;
	}
	/* Peers need a node's new address whether it could be written down or not. */
	if (err && log_allowed(&r->unsaved, 1, (uint64_t)m->last_seen_ms))
		log_error("node %lld: kept in memory only: %s", (long long)m->id, eb->text);
	if (!fleet_put(&r->fleet, m))
		return err_set(eb, -ENOMEM, "change a node");
	report(r, draft->id, what);
	return 0;
}

/* --- coming in --- */

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

static int give_addresses(struct registry *r, struct member *draft, int64_t *next, struct errbuf *eb)
{
	struct alloc_pair pair;
	int64_t start;
	int err = store_number_get(r->store, "next_address", &start, eb);
	if (!err)
		err = alloc_pick(
			&r->c.pool, (uint64_t)(start > 0 ? start : 1), address_used, &r->fleet, &pair, eb);
	if (err)
		return err;
	draft->has_v4 = r->c.pool.has_v4;
	draft->has_v6 = r->c.pool.has_v6;
	draft->v4 = pair.v4;
	draft->v6 = pair.v6;
	*next = (int64_t)pair.offset + 1;
	return 0;
}

static int write_admission(
	struct registry *r, const struct admission *ad, struct member *draft, struct errbuf *eb)
{
	int64_t next = 0;
	int err = 0;
	if (!draft->id)
		err = give_addresses(r, draft, &next, eb);
	if (!err)
		err = store_begin(r->store, true, eb);
	if (err)
		return err;
	err = draft->id ? store_node_put(r->store, draft, eb) : store_node_add(r->store, draft, eb);
	if (!err && next)
		err = store_number_put(r->store, "next_address", next, eb);
	if (!err && ad->preauth)
		err = store_preauth_use(r->store, ad->preauth, eb);
	if (!err)
		return store_commit(r->store, eb);
	store_rollback(r->store);
	return err;
}

int registry_admit(struct registry *r, const struct admission *ad, int64_t *node, struct errbuf *eb)
{
	struct arena a = { 0 };
	char label[FLEET_LABEL];
	const struct member *old = find_returning(r, ad);
	struct member draft = old ? *old : (struct member) { .created_ms = ad->now_ms };
	draft.user = ad->user;
	draft.machine = ad->machine;
	draft.key = ad->key;
	draft.hostname = ad->hostname;
	draft.hostinfo_json = ad->hostinfo_json;
	draft.ephemeral = ad->ephemeral;
	draft.last_seen_ms = ad->now_ms;
	if (*ad->tags || !old) /* tags that an admin gave stay */
		registry_tags_split(&a, ad->tags, &draft.tags);
	draft.expiry_ms =
		r->c.expiry_ms && !draft.tags.n ? ad->now_ms + (int64_t)r->c.expiry_ms : FLEET_NO_TIME;
	if (!draft.renamed) {
		fleet_label_unique(&r->fleet, ad->hostname, draft.id, label);
		draft.name = label;
	}
	int err = a.failed ? err_set(eb, -ENOMEM, "register") : write_admission(r, ad, &draft, eb);
	struct member *m = err ? NULL : member_copy(&draft);
	arena_free(&a);
	if (err)
		return err;
	if (!m || !fleet_put(&r->fleet, m))
		return err_set(eb, -ENOMEM, "register");
	*node = m->id;
	log_info("node %lld (%s): %s", (long long)m->id, m->name, old ? "registered again" : "registered");
	report(r, m->id, CHANGE_IDENTITY);
	registry_routes_settle(r, ad->now_ms);
	return 0;
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
static bool apply_facts(const struct ctl_map_request *rq, struct member *draft, struct buf *json,
	struct registry *r, char label[static FLEET_LABEL])
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
	const char *hostname = registry_hostname(&rq->hostinfo);
	if (!rq->has_hostinfo || !ctl_hostinfo_write(json, &rq->hostinfo) || !buf_cstr(json) ||
		json->len > REGISTRY_HOSTINFO_MAX)
		return changed;
	if (rq->hostinfo.has_netinfo && rq->hostinfo.netinfo.preferred_derp > 0 &&
		rq->hostinfo.netinfo.preferred_derp <= UINT16_MAX)
		draft->home_derp = rq->hostinfo.netinfo.preferred_derp;
	if (strcmp(buf_cstr(json), m->hostinfo_json) != 0 &&
		(rq->hostinfo.has_netinfo || !m->hostinfo.has_netinfo || !rq->stream)) {
		draft->hostinfo_json = buf_cstr(json);
		changed = true;
	}
	if (*hostname && strcmp(hostname, m->hostname) != 0) {
		draft->hostname = hostname;
		if (!m->renamed) {
			fleet_label_unique(&r->fleet, draft->hostname, m->id, label);
			draft->name = label;
		}
		changed = true;
	}
	return changed;
}

const struct member *registry_map_received(struct registry *r, const struct ctl_map_request *rq,
	const struct machine_key *machine, int64_t now_ms)
{
	struct member *m = fleet_by_key(&r->fleet, &rq->node);
	struct errbuf eb = { 0 };
	struct buf json = { 0 };
	char label[FLEET_LABEL];
	if (!m || !key_equal(m->machine.b, machine->b))
		return NULL;
	if (rq->read_only)
		return m;
	struct member draft = *m;
	if (apply_facts(rq, &draft, &json, r, label) || draft.home_derp != m->home_derp) {
		bool renamed = strcmp(draft.name, m->name) != 0;
		draft.last_seen_ms = now_ms;
		if (registry_replace(r, &draft, renamed, renamed ? CHANGE_IDENTITY : CHANGE_LITTLE, &eb))
			log_error("node %lld: its update is lost: %s", (long long)draft.id, eb.text);
		registry_routes_settle(r, now_ms);
	}
	buf_free(&json);
	return fleet_by_key(&r->fleet, &rq->node);
}

void registry_online_set(struct registry *r, int64_t node, bool online, int64_t now_ms)
{
	const struct member *m = fleet_by_id(&r->fleet, node);
	struct errbuf eb = { 0 };
	if (!m || m->online == online)
		return;
	struct member draft = *m;
	draft.online = online;
	draft.last_seen_ms = now_ms;
	if (registry_replace(r, &draft, false, CHANGE_LITTLE, &eb))
		log_error("node %lld: %s", (long long)node, eb.text);
	registry_routes_settle(r, now_ms);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t registry_tick(struct registry *r, int64_t now_ms)
{
	int64_t next = INT64_MAX;
	struct errbuf eb;
	registry_pending_drop_old(r, now_ms);
	r->since_ms = r->since_ms ? r->since_ms : now_ms;
	for (size_t i = 0; i < r->fleet.n; i++) {
		struct member *m = r->fleet.v[i];
		int64_t gone = m->last_seen_ms > r->since_ms ? m->last_seen_ms : r->since_ms;
		if (m->ephemeral && !m->online && gone + (int64_t)r->c.ephemeral_ms <= now_ms) {
			log_info("node %lld (%s): ephemeral and away, deleted", (long long)m->id, m->name);
			if (!registry_node_delete(r, m->id, &eb))
				i--;
			else
				log_error("%s", eb.text);
			continue;
		}
		if (m->ephemeral && !m->online)
			next = earlier(next, gone + (int64_t)r->c.ephemeral_ms);
		if (m->expiry_ms != FLEET_NO_TIME && m->expiry_ms > now_ms)
			next = earlier(next, m->expiry_ms);
		else if (m->expiry_ms != FLEET_NO_TIME && m->expiry_ms > r->ticked_ms)
			report(r, m->id, CHANGE_IDENTITY);
	}
	r->ticked_ms = now_ms;
	registry_routes_settle(r, now_ms);
	return next;
}

int registry_node_delete(struct registry *r, int64_t node, struct errbuf *eb)
{
	const struct member *m = fleet_by_id(&r->fleet, node);
	if (!m)
		return err_say(eb, -ENOENT, "no node %lld: `nodes list` shows the numbers", (long long)node);
	int err = store_begin(r->store, true, eb);
	if (err)
		return err;
	if ((err = store_node_delete(r->store, node, eb))) {
		store_rollback(r->store);
		return err;
	}
	if ((err = store_commit(r->store, eb)))
		return err;
	fleet_remove(&r->fleet, node);
	if (r->c.ops.removed)
		r->c.ops.removed(r->c.ops.arg, node);
	report(r, node, CHANGE_IDENTITY);
	registry_routes_settle(r, r->ticked_ms);
	return 0;
}
