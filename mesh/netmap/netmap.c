#include "mesh/netmap/netmap.h"
#include "mesh/base/sorted.h"
#include "mesh/netmap/chunks.h"
#include "mesh/netmap/copy.h"
#include "mesh/netmap/doubles.h"
#include "mesh/netmap/owners.h"
#include "mesh/netmap/problem.h"
#include "mesh/proto/control_copy.h"
#include "mesh/proto/control_equal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct netmap_part {
	unsigned refs;
	struct arena arena;
};

static void put_part(struct netmap_part *p)
{
	if (!p || --p->refs)
		return;
	arena_free(&p->arena);
	free(p);
}

struct netmap *netmap_get(struct netmap *m)
{
	m->refs++;
	return m;
}

void netmap_put(struct netmap *m)
{
	if (!m || --m->refs)
		return;
	chunks_free(&m->chunks);
	peer_put(m->self);
	for (size_t i = 0; i < NETMAP_PARTS; i++)
		put_part(m->parts[i]);
	free(m->peers);
	free(m);
}

/* --- the next snapshot in the making --- */

struct draft {
	struct netmap *m; /* its peers are those of its chunks, until all are known */
	int64_t unix_ms;
	bool changed, failed;
	struct problem_list problems; /* of the next snapshot */
	struct peer_ids fresh;	      /* whose key is new */
	struct peer_ids moved;	      /* whose addresses are others */
};

/* Takes the reference of p. */
static void insert(struct draft *d, const struct netmap_peer *p)
{
	if (chunks_put(&d->m->chunks, p))
		return;
	peer_put(p);
	d->failed = true;
}

static void upsert(struct draft *d, const struct ctl_node *told, const struct netmap_chunks *old)
{
	struct ctl_node copy;
	const struct ctl_node *self = d->m->self ? &d->m->self->node : NULL;
	const struct ctl_node *node = problem_usable_peer(&d->problems, told, self, &copy);
	const struct netmap_peer *was = old ? chunks_find(old, node->id) : NULL;
	const struct ctl_node *before = was ? &peer_told(was)->node : NULL;
	if (before && copy_node_equal(before, node)) {
		if (old != &d->m->chunks)
			insert(d, peer_get(was));
		return;
	}
	struct netmap_peer *p = peer_new(node);
	bool fresh = !before || !key_equal(before->key.b, node->key.b);
	bool moved = !before || !ctl_prefixes_equal(&before->addresses, &node->addresses);
	d->changed = true;
	if (p && (!fresh || peer_ids_add(&d->fresh, node->id)) &&
		(!moved || peer_ids_add(&d->moved, node->id))) {
		insert(d, p);
	} else {
		peer_put(p);
		d->failed = true;
	}
}

static void remove_peer(struct draft *d, int64_t id)
{
	if (!chunks_find(&d->m->chunks, id))
		return;
	d->failed = !chunks_remove(&d->m->chunks, id) || d->failed;
	d->changed = true;
}

static void patch(struct draft *d, const struct ctl_peer_patch *x)
{
	const struct netmap_peer *at = chunks_find(&d->m->chunks, x->id);
	if (!at)
		return;				 /* the server may patch what we were not shown */
	struct ctl_node n = peer_told(at)->node; /* borrows; upsert copies */
	if (x->derp_region)
		n.home_derp = x->derp_region;
	if (x->cap)
		n.cap = x->cap;
	if (x->endpoints.present)
		n.endpoints = x->endpoints;
	if (x->has_key)
		n.key = x->key;
	if (x->has_disco)
		n.disco = x->disco;
	if (x->online != OPT_ABSENT)
		n.online = x->online;
	if (x->has_last_seen)
		n.last_seen_ms = x->last_seen_ms;
	if (x->has_key_expiry)
		n.key_expiry_ms = x->key_expiry_ms;
	upsert(d, &n, &d->m->chunks);
}

/* Of a list of all peers, which the draft has those of that stand before. */
static void note_same_id(struct draft *d, const struct ctl_node *node)
{
	const struct netmap_peer *at = chunks_find(&d->m->chunks, node->id);
	struct ctl_problem x = { .member = "Peers", .node = node->id };
	if (!at)
		return;
	x.text = arena_printf(&d->problems.arena, "Peers[%s].ID: it is also that of %s, which is not used",
		node->name, at->node.name);
	if (x.text)
		problem_note(&d->problems, &x);
}

static void apply_peers(struct draft *d, const struct netmap *old, const struct ctl_map_response *m)
{
	bool replace = m->n_peers > 0; /* an empty list says nothing */
	for (size_t i = 0; i < m->n_peers; i++) {
		note_same_id(d, &m->peers[i]);
		upsert(d, &m->peers[i], old ? &old->chunks : NULL);
	}
	if (!replace && old) /* they stay; what comes after changes one by one */
		d->failed = !chunks_share(&d->m->chunks, &old->chunks) || d->failed;
	if (replace && old && chunks_count(&d->m->chunks) != old->n_peers)
		d->changed = true;
	for (size_t i = 0; i < m->n_removed; i++)
		remove_peer(d, m->peers_removed[i]);
	for (size_t i = 0; i < m->n_changed; i++)
		upsert(d, &m->peers_changed[i], &d->m->chunks);
	for (size_t i = 0; i < m->n_patches; i++)
		patch(d, &m->patches[i]);
	for (size_t i = 0; i < m->n_seen; i++) {
		struct ctl_peer_patch x = {
			.id = m->seen[i].id, .has_last_seen = true, .last_seen_ms = d->unix_ms
		};
		if (!m->seen[i].online)
			x.last_seen_ms = INT64_MIN;
		patch(d, &x);
	}
	for (size_t i = 0; i < m->n_online; i++) {
		struct ctl_peer_patch x = { .id = m->online[i].id };
		x.online = m->online[i].online ? OPT_TRUE : OPT_FALSE;
		patch(d, &x);
	}
}

static bool has_any(const struct ctl_node *node, const struct ctl_prefixes *of)
{
	for (size_t i = 0; i < of->n; i++)
		if (ctl_node_has(node, &of->v[i].ip))
			return true;
	return false;
}

/* This machine's own addresses are others now: a peer of before that has one of them is told of anew. */
static void refuse_own(struct draft *d, const struct netmap *old)
{
	if (!old || d->m->self == old->self)
		return;
	const struct ctl_prefixes *own = &d->m->self->node.addresses;
	const struct netmap_chunks *c = &d->m->chunks;
	struct peer_ids theirs = { .n = 0 };
	for (size_t i = 0; i < c->n; i++)
		for (unsigned at = 0; at < c->v[i]->n; at++) {
			const struct ctl_node *told = &peer_told(c->v[i]->peers[at])->node;
			if (has_any(told, own) && !peer_ids_add(&theirs, told->id))
				d->failed = true;
		}
	for (size_t i = 0; i < theirs.n; i++)
		upsert(d, &peer_told(chunks_find(c, theirs.v[i]))->node, c);
	free(theirs.v);
}

/* All are known: what the chunks hold, in a row. */
static void list_peers(struct draft *d)
{
	free(d->m->peers);
	d->m->peers = chunks_list(&d->m->chunks);
	d->m->n_peers = d->m->peers ? chunks_count(&d->m->chunks) : 0;
	d->failed = d->failed || !d->m->peers;
}

/* --- parts --- */

/* A new part in the place of the old; NULL marks the draft as failed. */
static struct arena *renew(struct draft *d, size_t part)
{
	struct netmap_part *p = calloc(1, sizeof(*p));
	d->changed = true;
	if (!p) {
		d->failed = true;
		return NULL;
	}
	p->refs = 1;
	put_part(d->m->parts[part]);
	d->m->parts[part] = p;
	return &p->arena;
}

static void apply_derp(struct draft *d, const struct netmap *old, const struct ctl_derp_map *derp)
{
	struct ctl_derp_map next = *derp;
	if (derp->regions_null) {
		next.regions = old && old->derp ? old->derp->regions : NULL;
		next.n_regions = old && old->derp ? old->derp->n_regions : 0;
		next.regions_null = false;
	}
	struct arena *a = renew(d, NETMAP_DERP);
	if (a && !(d->m->derp = ctl_derp_map_copy(a, &next)))
		d->failed = true;
}

/* What is said of several things, one after the other, of which the last word on each holds. Servers may say much. */
struct said {
	const void *what;
	size_t order;
};
struct said_list {
	struct said *v;
	size_t n;
};

static void say(struct said_list *l, const void *what)
{
	l->v[l->n] = (struct said) { what, l->n };
	l->n++;
}

static int by_order(const struct said *x, const struct said *y)
{
	return x->order < y->order ? -1 : x->order > y->order;
}

static void last_words(struct said_list *l, int (*compare)(const void *a, const void *b),
	bool (*same)(const void *what, const void *other))
{
	size_t n = 0;
	qsort(l->v, l->n, sizeof(*l->v), compare);
	for (size_t i = 0; i < l->n; i++)
		if (i + 1 == l->n || !same(l->v[i].what, l->v[i + 1].what))
			l->v[n++] = l->v[i];
	l->n = n;
}

static int by_name(const void *a, const void *b)
{
	const struct said *x = a, *y = b;
	const struct ctl_filter *f = x->what, *g = y->what;
	int order = strcmp(f->name, g->name);
	return order ? order : by_order(x, y);
}

static bool same_slot(const void *what, const void *other)
{
	return strcmp(((const struct ctl_filter *)what)->name, ((const struct ctl_filter *)other)->name) == 0;
}

static struct ctl_filter filter_copy(struct arena *a, const struct ctl_filter *f)
{
	struct ctl_filter copy = { .name = arena_strdup(a, f->name) };
	copy_rules(a, f->rules, f->n_rules, &copy);
	return copy;
}

static bool lets_in(const struct ctl_filter *f)
{
	for (size_t i = 0; i < f->n_rules; i++)
		if (f->rules[i].n_dst)
			return true;
	return false;
}

/* PacketFilter is the slot "base" of PacketFilters. */
static void apply_filters(struct draft *d, const struct netmap *old, const struct ctl_map_response *m)
{
	struct ctl_filter base = { .name = "base", .rules = m->filter, .n_rules = m->n_filter };
	size_t n_old = old && !m->filters_clear ? old->n_filters : 0;
	struct said_list l = { .v = calloc(n_old + m->n_filters + 1, sizeof(*l.v)) };
	struct arena *a = renew(d, NETMAP_FILTERS);
	if (!l.v || !a) {
		d->failed = true;
		free(l.v);
		return;
	}
	for (size_t i = 0; i < n_old; i++)
		say(&l, &old->filters[i]);
	if (m->has_filter)
		say(&l, &base);
	for (size_t i = 0; i < m->n_filters; i++)
		say(&l, &m->filters[i]);
	last_words(&l, by_name, same_slot);
	struct ctl_filter *v = arena_array(a, l.n, sizeof(*v));
	size_t n = 0;
	d->m->block_all = true;
	for (size_t i = 0; v && i < l.n; i++) {
		const struct ctl_filter *f = l.v[i].what;
		if (f->remove)
			continue;
		v[n] = filter_copy(a, f);
		d->m->block_all = d->m->block_all && !lets_in(&v[n]);
		n++;
	}
	d->failed = d->failed || a->failed;
	d->m->filters = v;
	d->m->n_filters = n;
	free(l.v);
}

static int by_id(const void *a, const void *b)
{
	const struct said *x = a, *y = b;
	const struct ctl_user *u = x->what, *w = y->what;
	return u->id < w->id ? -1 : u->id > w->id ? 1 : by_order(x, y);
}

static bool same_user(const void *what, const void *other)
{
	return ((const struct ctl_user *)what)->id == ((const struct ctl_user *)other)->id;
}

/* A delta: users not named stay. */
static void apply_users(struct draft *d, const struct netmap *old, const struct ctl_map_response *m)
{
	size_t n_old = old ? old->n_users : 0;
	struct said_list l = { .v = calloc(n_old + m->n_users, sizeof(*l.v)) };
	struct arena *a = renew(d, NETMAP_USERS);
	struct ctl_user *v = a && l.v ? arena_array(a, n_old + m->n_users, sizeof(*v)) : NULL;
	if (!v) {
		d->failed = true;
		free(l.v);
		return;
	}
	for (size_t i = 0; i < n_old; i++)
		say(&l, &old->users[i]);
	for (size_t i = 0; i < m->n_users; i++)
		say(&l, &m->users[i]);
	last_words(&l, by_id, same_user);
	for (size_t i = 0; i < l.n; i++) {
		const struct ctl_user *u = l.v[i].what;
		v[i] = *u;
		v[i].login_name = arena_strdup(a, u->login_name);
		v[i].display_name = arena_strdup(a, u->display_name);
		v[i].profile_pic = arena_strdup(a, u->profile_pic);
	}
	d->failed = d->failed || a->failed;
	d->m->users = v;
	d->m->n_users = l.n;
	free(l.v);
}

static void apply_texts(struct draft *d, const struct ctl_map_response *m)
{
	struct arena *a;
	if (m->domain && (!d->m->domain || strcmp(m->domain, d->m->domain) != 0) &&
		(a = renew(d, NETMAP_DOMAIN)))
		d->m->domain = arena_strdup(a, m->domain);
	if (m->has_health && (a = renew(d, NETMAP_HEALTH))) {
		struct ctl_strings health = { 0 };
		d->failed = !copy_strings(a, &m->health, &health) || d->failed;
		d->m->health = health.v;
		d->m->n_health = health.n;
	}
}

static void apply_parts(struct draft *d, const struct netmap *old, const struct ctl_map_response *m)
{
	struct arena *a;
	if (m->derp_map)
		apply_derp(d, old, m->derp_map);
	if (m->dns && (a = renew(d, NETMAP_DNS)) && !(d->m->dns = copy_dns(a, m->dns)))
		d->failed = true;
	if (m->has_filter || m->n_filters || m->filters_clear)
		apply_filters(d, old, m);
	if (m->n_users)
		apply_users(d, old, m);
	apply_texts(d, m);
}

/* In the place of *v, which lives in the part. */
static void set_ids(struct draft *d, size_t part, const struct peer_ids *next, const int64_t **v, size_t *n)
{
	struct arena *a;
	if (next->n == *n && (!next->n || !memcmp(next->v, *v, next->n * sizeof(*next->v))))
		return;
	if (!(a = renew(d, part)))
		return;
	*v = next->n ? arena_memdup(a, next->v, next->n * sizeof(*next->v)) : NULL;
	*n = next->n;
	d->failed = d->failed || a->failed;
}

/* Says who has less than it is told. false: memory is short. */
static bool note_losses(struct draft *d, const struct owners_losses *l, struct peer_ids *who)
{
	bool ok = true;
	for (size_t i = 0; i < l->n; i++) {
		const struct owners_loss *x = &l->v[i];
		problem_note_lost(&d->problems, x->who, x->address, x->owner);
		if (!i || x->who != l->v[i - 1].who)
			ok = peer_ids_add(who, x->who->id) && ok;
	}
	return ok;
}

/* The chunks may have others for peers of the list then, which is made again. */
static void apply_owners(struct draft *d)
{
	struct owners_losses losses = { .n = 0 };
	struct peer_ids who = { .n = 0 };
	bool changed = false;
	if (owners_settle(&d->m->chunks, &d->moved, d->m->shorn, d->m->n_shorn, &losses, &changed) &&
		note_losses(d, &losses, &who))
		set_ids(d, NETMAP_SHORN, &who, &d->m->shorn, &d->m->n_shorn);
	else
		d->failed = true;
	if (changed) {
		d->changed = true;
		list_peers(d);
	}
	free(losses.v);
	free(who.v);
}

static void apply_doubles(struct draft *d, const struct netmap *old)
{
	struct peer_ids next = { .n = 0 };
	if (doubles_find(d->m, old, &d->fresh, &d->problems, &next))
		set_ids(d, NETMAP_DOUBLES, &next, &d->m->doubles, &d->m->n_doubles);
	else
		d->failed = true;
	free(next.v);
}

/* What was refused of this message is in the list already. */
static void apply_problems(struct draft *d, const struct netmap *old, const struct ctl_map_response *m)
{
	problem_list_finish(&d->problems, d->m, old, m);
	apply_owners(d);
	apply_doubles(d, old);
	const struct problem_list *l = &d->problems;
	if (problem_list_equal(l, d->m))
		return;
	struct arena *a = renew(d, NETMAP_PROBLEMS);
	struct ctl_problem *v = a ? arena_memdup(a, l->v, l->n * sizeof(*v)) : NULL;
	for (size_t i = 0; v && i < l->n; i++) {
		v[i].member = arena_strdup(a, v[i].member);
		v[i].text = arena_strdup(a, v[i].text);
	}
	d->failed = d->failed || !v || a->failed;
	d->m->problems = v;
	d->m->n_problems = v ? l->n : 0;
	d->m->more_problems = l->more;
	d->m->more_found = l->more_found;
}

static struct netmap *netmap_begin(const struct netmap *old)
{
	struct netmap *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->block_all = true;
	if (old)
		*m = *old;
	m->refs = 1;
	m->version++;
	m->peers = NULL;
	m->n_peers = 0;
	m->chunks = (struct netmap_chunks) { 0 };
	for (size_t i = 0; i < NETMAP_PARTS; i++) {
		if (m->parts[i])
			m->parts[i]->refs++;
	}
	if (m->self)
		(void)peer_get(m->self);
	return m;
}

static void apply_self(struct draft *d, const struct ctl_node *told)
{
	struct ctl_node copy;
	const struct ctl_node *node = problem_usable_self(&d->problems, told, &copy);
	if (d->m->self && copy_node_equal(&d->m->self->node, node))
		return;
	struct netmap_peer *self = peer_new(node);
	d->changed = true;
	if (!self) {
		d->failed = true;
		return;
	}
	peer_put(d->m->self);
	d->m->self = self;
}

struct netmap *netmap_apply(
	const struct netmap *old, const struct ctl_map_response *m, int64_t unix_ms, struct errbuf *eb)
{
	struct netmap *same = (struct netmap *)(uintptr_t)old;
	if (!old && (m->keep_alive || !m->node)) {
		err_say(eb, ERR_MALFORMED,
			"the control server's first map has no Node: it is not a usable server");
		return NULL;
	}
	if (m->keep_alive)
		return netmap_get(same);
	struct draft d = { .m = netmap_begin(old), .unix_ms = unix_ms };
	if (!d.m) {
		err_say(eb, -ENOMEM, "memory is short: the last map stays in use");
		return NULL;
	}
	if (m->node)
		apply_self(&d, m->node);
	apply_peers(&d, old, m);
	refuse_own(&d, old);
	list_peers(&d);
	apply_parts(&d, old, m);
	apply_problems(&d, old, m);
	d.failed = d.failed || d.problems.arena.failed;
	arena_free(&d.problems.arena);
	free(d.fresh.v);
	free(d.moved.v);
	if (d.failed) {
		netmap_put(d.m);
		err_say(eb, -ENOMEM, "memory is short: the last map stays in use");
		return NULL;
	}
	if (old && !d.changed) {
		netmap_put(d.m);
		return netmap_get(same);
	}
	return d.m;
}

/* --- questions --- */

static bool peer_before(const void *v, size_t i, const void *id)
{
	return ((const struct netmap_peer *const *)v)[i]->node.id < *(const int64_t *)id;
}

const struct netmap_peer *netmap_peer_by_id(const struct netmap *m, int64_t id)
{
	size_t i = sorted_before(m->peers, m->n_peers, &id, peer_before);
	return i < m->n_peers && m->peers[i]->node.id == id ? m->peers[i] : NULL;
}

const struct netmap_peer *netmap_peer_by_address(const struct netmap *m, const struct addr *a)
{
	for (size_t i = 0; m && i < m->n_peers; i++)
		if (ctl_node_has(&m->peers[i]->node, a))
			return m->peers[i];
	return NULL;
}

static bool id_before(const void *v, size_t i, const void *id)
{
	return ((const int64_t *)v)[i] < *(const int64_t *)id;
}

bool netmap_peer_is_double(const struct netmap *m, int64_t id)
{
	size_t i = sorted_before(m->doubles, m->n_doubles, &id, id_before);
	return i < m->n_doubles && m->doubles[i] == id;
}

bool netmap_peer_expired(const struct netmap_peer *p, int64_t server_ms)
{
	if (p->node.expired)
		return true;
	return p->node.key_expiry_ms != INT64_MIN && p->node.key_expiry_ms <= server_ms;
}

static struct ctl_map_response whole(const struct netmap *m)
{
	struct ctl_map_response r = { .control_time_ms = INT64_MIN };
	r.node = m->self ? (struct ctl_node *)(uintptr_t)&m->self->node : NULL;
	r.derp_map = (struct ctl_derp_map *)(uintptr_t)m->derp;
	r.dns = (struct ctl_dns *)(uintptr_t)m->dns;
	r.filters = (struct ctl_filter *)(uintptr_t)m->filters;
	r.n_filters = m->n_filters;
	r.users = (struct ctl_user *)(uintptr_t)m->users;
	r.n_users = m->n_users;
	r.domain = m->domain;
	r.has_health = m->n_health > 0;
	r.health = (struct ctl_strings) { .v = m->health, .n = m->n_health };
	return r;
}

bool netmap_write(const struct netmap *m, struct buf *out)
{
	struct ctl_map_response r = whole(m);
	struct ctl_node *peers = calloc(m->n_peers ? m->n_peers : 1, sizeof(*peers));
	if (!peers)
		return false;
	for (size_t i = 0; i < m->n_peers; i++)
		peers[i] = peer_told(m->peers[i])->node; /* borrows: nothing is freed from here */
	r.peers = peers;
	r.n_peers = m->n_peers;
	bool ok = ctl_map_response_write(out, &r);
	free(peers);
	return ok;
}
