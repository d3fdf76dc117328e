/* A few viewers are told of a fleet that changes, by messages as they are sent: what each of them knows from those is what a
 * whole map would tell it. An input is a line of changes, of two bytes each: what, and to whom or how. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/control/view/packed.h"
#include "mesh/transport/control_link.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	MEMBERS = 24,
	APART = 6,
	ID_MAX = MEMBERS * APART,
	VIEWERS = 5,
	STEPS_MAX = 80,
	EDITS_HOST = 0x38,
	CHECKS_MAX = 4 /* whole maps for all: what takes the time of an input */
};

/* What a viewer knows of a member; no name: nothing. */
struct known {
	char name[80], system[32]; /* its version */
	int64_t user;
	struct node_key key;
	int32_t home;
	size_t n_endpoints, n_tags, n_allowed, n_routes;
	uint16_t port;
	enum opt_bool online;
	bool expired;
};

struct viewer {
	int64_t id;
	bool streams, zstd, deaf; /* deaf: its own memory was short */
	struct view view;
	struct known of[ID_MAX + 1], self;
	char filters[8192]; /* as JSON */
};

struct world {
	struct fleet f;
	struct settings *set;
	struct view_cache cache;
	struct journal journal;
	struct packed packed;
	struct viewer viewers[VIEWERS];
	unsigned checks;
	bool lost; /* memory was short: what is known is no longer compared */
};

static const char *const policies[] = {
	NULL,
	"{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"alice@:*\"]}]}",
	"{\"tagOwners\":{\"tag:a\":[]},\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"tag:a:"
	"22\"]},"
	"{\"action\":\"accept\",\"src\":[\"tag:a\"],\"dst\":[\"10.0.0.0/8:80\",\"bob@:1-9\"]}]}",
	"{\"tagOwners\":{\"tag:a\":[]},\"grants\":[{\"src\":[\"bob@\"],\"dst\":[\"10.0.0.0/"
	"8\"],\"ip\":[\"*\"],\"via\":[\"tag:a\"]},"
	"{\"src\":[\"autogroup:member\"],\"dst\":[\"autogroup:self\"],\"ip\":[\"*\"]}],"
	"\"ssh\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"tag:a\"],\"users\":[\"root\"]}]}",
};

/* Three of alice's: what is said to the first two begins alike a little longer. A tagged one, and one of bob's. */
static const int64_t viewers[VIEWERS] = { 13, 19, 7, 31, 25 };

/* --- the fleet --- */

static struct settings *settings_make(const char *policy)
{
	struct settings *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->refs = 1;
	s->base_domain = "mesh.test";
	if (policy && (s->source = policy_source_new(policy, strlen(policy), NULL)))
		s->policy = s->source->rules;
	if (!policy || s->source)
		return s;
	settings_put(s);
	return NULL;
}

/* As streams.c does it. */
static void changed(struct world *w, int64_t id, const struct member *old, bool identity)
{
	view_cache_changed(&w->cache, id, identity);
	packed_forget(&w->packed, id);
	w->lost = !journal_add(&w->journal, id, old, identity) || w->lost;
}

static bool same_prefixes(const struct ctl_prefixes *a, const struct ctl_prefixes *b)
{
	return a->n == b->n && (!a->n || prefix_equal(&a->v[0], &b->v[0]));
}

/* Put as it is now; what the draft points at is borrowed. */
static void put(struct world *w, const struct member *draft)
{
	struct member *old = fleet_by_id(&w->f, draft->id), *m = member_copy(draft);
	if (old)
		member_get(old);
	if (m && fleet_put(&w->f, m))
		changed(w, draft->id, old,
			!old || !member_same_identity(old, m) || old->expired != m->expired ||
				!same_prefixes(&old->carries, &m->carries) ||
				!same_prefixes(&old->served, &m->served));
	else
		w->lost = true;
	member_put(old);
}

static void add(struct world *w, int64_t id, uint8_t how)
{
	static const char *tag = "tag:a", *route = "10.0.0.0/8";
	struct prefix net;
	char name[16];
	struct member d = { .id = id,
		.user = id / APART % 4 ? 1 : 2,
		.name = name,
		.hostname = name,
		.has_v4 = true,
		.v4 = addr_v4(0x64400000U + (uint32_t)id),
		.hostinfo_json = "",
		.expiry_ms = FLEET_NO_TIME,
		.last_seen_ms = FLEET_NO_TIME };
	snprintf(name, sizeof(name), "n%d", (int)id);
	memcpy(d.key.b, &id, sizeof(id));
	memcpy(d.machine.b, &id, sizeof(id));
	if (how & 1)
		d.tags = (struct ctl_strings) { .v = &tag, .n = 1 };
	if (how & 2 && prefix_parse(route, &net)) {
		d.hostinfo_json = "{\"RoutableIPs\":[\"10.0.0.0/8\"]}";
		d.routes = (struct ctl_strings) { .v = &route, .n = 1 };
		if (how & 4)
			d.served = (struct ctl_prefixes) { .v = &net, .n = 1 };
	}
	if (!fleet_by_id(&w->f, id))
		put(w, &d);
}

static struct viewer *viewer_of(struct world *w, int64_t id)
{
	for (size_t i = 0; i < VIEWERS; i++)
		if (w->viewers[i].id == id)
			return &w->viewers[i];
	return NULL;
}

static void drop(struct world *w, int64_t id)
{
	struct member *m = fleet_by_id(&w->f, id);
	struct viewer *v = viewer_of(w, id);
	if (!m)
		return;
	if (v) {
		view_fini(&v->view);
		v->streams = false;
	}
	member_get(m);
	fleet_remove(&w->f, id);
	changed(w, id, m, true);
	member_put(m);
}

static void edit(struct world *w, int64_t id, uint8_t what)
{
	struct member *m = fleet_by_id(&w->f, id);
	struct endpoint at = { .ip = addr_v4(0x0a000001), .port = (uint16_t)(1 + w->journal.now) };
	char name[32], host[96];
	if (!m)
		return;
	struct member d = *m;
	switch (what >= EDITS_HOST ? 7 : what % 7) {
	case 0: d.online = !d.online; break;
	case 1: d.endpoints = (struct ctl_endpoints) { .v = &at, .n = 1, .present = true }; break;
	case 2: d.key.b[31]++; break;
	case 3: d.home_derp = 1 + d.home_derp % 3; break;
	case 4:
		snprintf(name, sizeof(name), "n%d-%u", (int)id, (unsigned)w->journal.now);
		d.name = name;
		break;
	case 5: d.expired = !d.expired; break;
	case 6:
		d.served.n = d.served.n ? 0 : d.carries.n;
		d.served.v = d.carries.v;
		break;
	default:
		snprintf(host, sizeof(host), "{\"OSVersion\":\"%u\"%s}", (unsigned)w->journal.now,
			d.carries.n ? ",\"RoutableIPs\":[\"10.0.0.0/8\"]" : "");
		d.hostinfo_json = host;
	}
	put(w, &d);
}

/* --- what is known --- */

static void know(struct known *k, const struct ctl_node *n)
{
	*k = (struct known) { .user = n->user,
		.key = n->key,
		.home = n->home_derp,
		.n_endpoints = n->endpoints.n,
		.n_tags = n->tags.n,
		.n_allowed = n->allowed_ips.n,
		.n_routes = n->primary_routes.n,
		.port = n->endpoints.n ? n->endpoints.v[0].port : 0,
		.online = n->online,
		.expired = n->expired };
	snprintf(k->name, sizeof(k->name), "%s", n->name);
	snprintf(k->system, sizeof(k->system), "%s", n->hostinfo.os_version ? n->hostinfo.os_version : "");
}

/* Of itself a node is not told what it has said. */
static void know_self(struct viewer *v, const struct ctl_node *n)
{
	know(&v->self, n);
	v->self.n_endpoints = 0;
	v->self.port = 0;
	v->self.online = (enum opt_bool)0;
}

static void patch(struct known *k, const struct ctl_peer_patch *p)
{
	if (!*k->name)
		abort(); /* of one that it does not know */
	if (p->derp_region)
		k->home = p->derp_region;
	if (p->endpoints.present) {
		k->n_endpoints = p->endpoints.n;
		k->port = p->endpoints.n ? p->endpoints.v[0].port : 0;
	}
	if (p->has_key)
		k->key = p->key;
	if (p->online)
		k->online = p->online;
}

static void know_filters(struct viewer *v, const struct ctl_map_response *r)
{
	struct ctl_map_response only = {
		.filters = r->filters, .n_filters = r->n_filters, .control_time_ms = FLEET_NO_TIME
	};
	struct buf text = { 0 };
	if (!r->n_filters)
		return;
	memset(v->filters, 0, sizeof(v->filters));
	if (!ctl_map_response_write(&text, &only) || text.len >= sizeof(v->filters))
		v->deaf = true;
	else
		memcpy(v->filters, buf_data(&text), text.len);
	buf_free(&text);
}

static void hear(void *arg, const char *json, size_t len)
{
	struct viewer *v = arg;
	struct arena a = { 0 };
	struct ctl_map_response r;
	if (ctl_map_response_read(&a, json, len, &r, NULL) || r.n_problems) {
		v->deaf = true;
		arena_free(&a);
		return;
	}
	if (r.node)
		know_self(v, r.node);
	for (size_t i = 0; i < r.n_peers; i++)
		know(&v->of[r.peers[i].id], &r.peers[i]);
	for (size_t i = 0; i < r.n_changed; i++)
		know(&v->of[r.peers_changed[i].id], &r.peers_changed[i]);
	for (size_t i = 0; i < r.n_removed; i++)
		v->of[r.peers_removed[i]] = (struct known) { 0 };
	for (size_t i = 0; i < r.n_patches; i++)
		patch(&v->of[r.patches[i].id], &r.patches[i]);
	know_filters(v, &r);
	arena_free(&a);
}

/* What we write we read, but for want of memory. */
static void deliver(struct world *w, struct viewer *v, const struct buf *frame)
{
	const bool before = trouble_happened();
	struct map_frames *m = map_frames_new(v->zstd);
	if (!m || map_frames_feed(m, buf_data(frame), frame->len, hear, v) || v->deaf) {
		if (before || !trouble_happened())
			abort();
		w->lost = true;
	}
	map_frames_free(m);
}

static struct view_context context(struct world *w)
{
	return (struct view_context) { .fleet = &w->f,
		.set = w->set,
		.cache = &w->cache,
		.journal = &w->journal,
		.now_ms = 1,
		.viewer_cap = 119 };
}

static bool tell_whole(struct world *w, const struct member *self, struct viewer *v)
{
	const struct view_context c = context(w);
	const struct buf *frame = packed_whole(&w->packed, &c, self, &v->view, v->zstd);
	if (frame)
		deliver(w, v, frame);
	return frame;
}

static bool tell_change(struct world *w, const struct member *self, struct viewer *v)
{
	const struct view_context c = context(w);
	struct arena a = { 0 };
	struct ctl_map_response r;
	bool empty = true;
	bool ok = view_update(&c, self, &v->view, &a, &r, &empty);
	const struct buf *frame = ok && !empty ? packed_change(&w->packed, &c, &r, v->zstd) : NULL;
	if (frame)
		deliver(w, v, frame);
	arena_free(&a);
	return ok && (empty || frame);
}

static bool same_known(const struct known *a, const struct known *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->system, b->system) && a->user == b->user &&
	       key_equal(a->key.b, b->key.b) && a->home == b->home && a->n_endpoints == b->n_endpoints &&
	       a->n_tags == b->n_tags && a->n_allowed == b->n_allowed && a->n_routes == b->n_routes &&
	       a->port == b->port && a->online == b->online && a->expired == b->expired;
}

/* The same map before it is packed has the same peers. */
static void check_whole(struct world *w, const struct member *self, const struct viewer *v)
{
	const struct view_context c = context(w);
	struct arena a = { 0 };
	struct view view = { 0 };
	struct ctl_map_response r;
	size_t n = 0;
	for (size_t i = 0; i <= ID_MAX; i++)
		n += *v->of[i].name != 0;
	if (view_whole(&c, self, &view, &a, &r)) {
		if (r.n_peers != n)
			abort();
		for (size_t i = 0; i < n; i++)
			if (!*v->of[r.peers[i].id].name)
				abort();
		view_fini(&view);
	}
	arena_free(&a);
}

/* As another that comes now in its place. */
static void check(struct world *w, const struct viewer *v)
{
	const struct member *self = fleet_by_id(&w->f, v->id);
	struct viewer *again = self && v->streams && !w->lost ? calloc(1, sizeof(*again)) : NULL;
	if (!again)
		return;
	again->zstd = true;
	if (tell_whole(w, self, again) && !w->lost) {
		if (!same_known(&again->self, &v->self) || strcmp(again->filters, v->filters) != 0)
			abort();
		for (int64_t id = 1; id <= ID_MAX; id++)
			if (!same_known(&again->of[id], &v->of[id]))
				abort();
		check_whole(w, self, v);
	}
	view_fini(&again->view);
	free(again);
}

static void tell(struct world *w, struct viewer *v)
{
	const struct member *self = fleet_by_id(&w->f, v->id);
	if (!self || w->lost)
		return;
	if (!v->streams) {
		memset(v->of, 0, sizeof(v->of));
		v->filters[0] = 0;
	}
	bool ok = v->streams ? tell_change(w, self, v) : tell_whole(w, self, v);
	v->streams = ok;
	if (!ok)
		view_fini(&v->view); /* as a stream that is closed: it comes again */
}

/* What nobody needs any more goes, as streams.c lets it. */
static void forget_told(struct world *w)
{
	uint64_t least = w->journal.now;
	for (size_t i = 0; i < VIEWERS; i++)
		if (w->viewers[i].streams && w->viewers[i].view.told < least)
			least = w->viewers[i].view.told;
	journal_drop(&w->journal, least);
	if (least == w->journal.now)
		view_cache_told(&w->cache);
}

/* --- the script --- */

static void step(struct world *w, uint8_t what, uint8_t how)
{
	const int64_t id = 1 + how % MEMBERS * APART;
	struct settings *set;
	if (what < 0x40) {
		edit(w, id, what);
	} else if (what < 0x58) {
		add(w, id, what);
	} else if (what < 0x68) {
		drop(w, id);
	} else if (what < 0x70) {
		if ((set = settings_make(policies[how % ARRAY_LEN(policies)]))) {
			settings_put(w->set);
			w->set = set;
			journal_touch(&w->journal);
		}
	} else if (what < 0x78) {
		struct viewer *v = &w->viewers[how % VIEWERS];
		view_fini(&v->view);
		v->streams = false;
	} else if (what < 0xa0) {
		tell(w, &w->viewers[how % VIEWERS]);
		forget_told(w);
	} else {
		for (size_t i = 0; i < VIEWERS; i++)
			tell(w, &w->viewers[i]);
		forget_told(w);
		bool all = what >= 0xf0 && w->checks++ < CHECKS_MAX;
		for (size_t i = 0; i < VIEWERS && all; i++)
			check(w, &w->viewers[i]);
	}
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	fleet_init(&w->f, 1);
	(void)(fleet_user_put(&w->f, &(struct user) { .id = 1, .name = "alice", .role = USER_OWNER }) &&
		fleet_user_put(&w->f, &(struct user) { .id = 2, .name = "bob" }));
	packed_init(&w->packed, 1);
	w->set = settings_make(NULL);
	if (!w->set)
		abort();
	for (int i = 0; i < MEMBERS; i++)
		if (i % 9)
			add(w, 1 + (int64_t)i * APART, i % 5 == 0 ? 7 : 0);
	for (size_t i = 0; i < VIEWERS; i++)
		w->viewers[i] = (struct viewer) { .id = viewers[i], .zstd = i != 4 };
	trouble_begin();
	w->lost = !view_cache_init(&w->cache, 1);
	for (size_t i = 0; i + 1 < len && i < STEPS_MAX; i += 2)
		step(w, data[i], data[i + 1]);
	trouble_end();
	w->checks = 0;
	step(w, 0xff, 0); /* in the end all know all */
	for (size_t i = 0; i < VIEWERS; i++)
		view_fini(&w->viewers[i].view);
	packed_fini(&w->packed);
	journal_free(&w->journal);
	view_cache_fini(&w->cache);
	settings_put(w->set);
	fleet_fini(&w->f);
	free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
