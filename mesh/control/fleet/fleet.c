#include "mesh/control/fleet/fleet.h"
#include "mesh/base/sorted.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *copy_text(struct arena *a, const char *s)
{
	return arena_strdup(a, s ? s : "");
}

static bool copy_strings(struct arena *a, struct ctl_strings *s)
{
	const char **v = s->n ? arena_array(a, s->n, sizeof(*v)) : NULL;
	if (s->n && !v)
		return false;
	for (size_t i = 0; i < s->n; i++)
		v[i] = copy_text(a, s->v[i]);
	s->v = v;
	return !a->failed;
}

static bool copy_prefixes(struct arena *a, struct ctl_prefixes *p)
{
	p->v = p->n ? arena_memdup(a, p->v, p->n * sizeof(*p->v)) : NULL;
	return !a->failed;
}

static bool copy_endpoints(struct arena *a, struct ctl_endpoints *e)
{
	if (e->n) {
		e->v = arena_memdup(a, e->v, e->n * sizeof(*e->v));
		e->types = e->types ? arena_memdup(a, e->types, e->n) : NULL;
	} else {
		e->v = NULL;
		e->types = NULL;
	}
	return !a->failed;
}

/* Approved, offered, and nothing that nodes would refuse. */
static bool find_carries(struct member *m)
{
	const struct ctl_prefixes *offers = &m->hostinfo.routable_ips;
	m->carries = (struct ctl_prefixes) { .v = arena_array(&m->mem, m->routes.n, sizeof(struct prefix)) };
	for (size_t i = 0; i < m->routes.n && m->carries.v; i++) {
		struct prefix p;
		bool good = prefix_parse(m->routes.v[i], &p) && !prefix_route_fault(&p), has = false;
		for (size_t k = 0; good && k < offers->n && !has; k++) {
			struct prefix have = offers->v[k];
			prefix_mask(&have);
			has = prefix_equal(&have, &p);
		}
		if (has)
			m->carries.v[m->carries.n++] = p;
	}
	return m->carries.v;
}

static void host_put(struct member_host *h)
{
	if (!h || --h->refs)
		return;
	arena_free(&h->mem);
	free(h);
}

/* The draft's own when it still says the same, else one made from the text; NULL when memory is short. */
static struct member_host *host_of(const struct member *draft)
{
	struct member_host *h = draft->host;
	if (h && draft->hostinfo_json == h->json) {
		h->refs++;
		return h;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->refs = 1;
	h->json = copy_text(&h->mem, draft->hostinfo_json);
	if (h->json && *h->json)
		(void)ctl_hostinfo_read(&h->mem, h->json, strlen(h->json), &h->info, NULL);
	if (h->json)
		return h;
	host_put(h);
	return NULL;
}

struct member *member_copy(const struct member *draft)
{
	struct member *m = malloc(sizeof(*m));
	if (!m)
		return NULL;
	*m = *draft;
	m->refs = 1;
	m->mem = (struct arena) { 0 };
	m->name = copy_text(&m->mem, draft->name);
	m->hostname = copy_text(&m->mem, draft->hostname);
	m->host = host_of(draft);
	if (m->host) {
		m->hostinfo_json = m->host->json;
		m->hostinfo = m->host->info;
	}
	if (!m->host || !find_carries(m) || !copy_strings(&m->mem, &m->tags) ||
		!copy_strings(&m->mem, &m->routes) || !copy_prefixes(&m->mem, &m->served) ||
		!copy_endpoints(&m->mem, &m->endpoints)) {
		host_put(m->host);
		arena_free(&m->mem);
		free(m);
		return NULL;
	}
	(void)user_groups_get(m->groups);
	return m;
}

const struct member *member_get(const struct member *m)
{
	((struct member *)m)->refs++;
	return m;
}

void member_put(const struct member *cm)
{
	struct member *m = (struct member *)cm;
	if (!m || --m->refs)
		return;
	host_put(m->host);
	user_groups_put(m->groups);
	arena_free(&m->mem);
	free(m);
}

bool member_is_expired(const struct member *m, int64_t now_ms)
{
	return m->expiry_ms != FLEET_NO_TIME && m->expiry_ms <= now_ms;
}

bool member_is_tagged(const struct member *m)
{
	return m->tags.n > 0;
}

bool member_has_tag(const struct member *m, const char *tag)
{
	for (size_t i = 0; i < m->tags.n; i++)
		if (!strcmp(m->tags.v[i], tag))
			return true;
	return false;
}

static bool same_address(bool a_has, const struct addr *a, bool b_has, const struct addr *b)
{
	return a_has == b_has && (!a_has || addr_equal(a, b));
}

bool member_same_identity(const struct member *a, const struct member *b)
{
	if (a->user != b->user || a->role != b->role || a->tags.n != b->tags.n ||
		a->expiry_ms != b->expiry_ms || !same_address(a->has_v4, &a->v4, b->has_v4, &b->v4) ||
		!same_address(a->has_v6, &a->v6, b->has_v6, &b->v6) ||
		!user_groups_equal(a->groups, b->groups))
		return false;
	for (size_t i = 0; i < a->tags.n; i++)
		if (!member_has_tag(b, a->tags.v[i]))
			return false;
	return true;
}

/* Index keys. Addresses of both families share one table, names are padded with zeros. */
static void name_key(const char *name, char out[static FLEET_LABEL])
{
	memset(out, 0, FLEET_LABEL);
	memcpy(out, name, strnlen(name, FLEET_LABEL - 1));
}

void fleet_init(struct fleet *f, uint64_t seed)
{
	*f = (struct fleet) { 0 };
	table_init(&f->by_key, sizeof(struct node_key), seed);
	table_init(&f->by_machine, sizeof(struct machine_key), seed);
	table_init(&f->by_address, sizeof(((struct addr *)0)->b), seed);
	table_init(&f->by_name, FLEET_LABEL, seed);
	table_init(&f->next_suffix, FLEET_LABEL, seed);
}

void fleet_fini(struct fleet *f)
{
	struct id_list *ids;
	size_t at = 0;
	while ((ids = table_next(&f->by_machine, &at)))
		id_list_free(ids);
	for (size_t i = 0; i < f->n; i++)
		member_put(f->v[i]);
	for (size_t i = 0; i < f->n_users; i++)
		user_groups_put(f->users[i].groups);
	free(f->v);
	free(f->users);
	table_fini(&f->by_key);
	table_fini(&f->by_machine);
	table_fini(&f->by_address);
	table_fini(&f->by_name);
	table_fini(&f->next_suffix);
	*f = (struct fleet) { 0 };
}

static bool member_before(const void *v, size_t i, const void *id)
{
	return ((struct member *const *)v)[i]->id < *(const int64_t *)id;
}

/* Index of the first member whose id is not below `id`. */
static size_t member_at(const struct fleet *f, int64_t id)
{
	if (f->n && f->v[f->n - 1]->id < id) /* most come at the end */
		return f->n;
	return sorted_before(f->v, f->n, &id, member_before);
}

struct member *fleet_by_id(const struct fleet *f, int64_t id)
{
	size_t i = member_at(f, id);
	return i < f->n && f->v[i]->id == id ? f->v[i] : NULL;
}

struct member *fleet_by_key(const struct fleet *f, const struct node_key *k)
{
	return table_get(&f->by_key, k);
}

struct member *fleet_by_name(const struct fleet *f, const char *name)
{
	char key[FLEET_LABEL];
	name_key(name, key);
	return table_get(&f->by_name, key);
}

struct member *fleet_by_address(const struct fleet *f, const struct addr *a)
{
	return table_get(&f->by_address, a->b);
}

struct member *fleet_of_machine(const struct fleet *f, const struct machine_key *k, size_t i)
{
	const struct id_list *ids = table_get(&f->by_machine, k);
	return ids && i < ids->n ? fleet_by_id(f, ids->v[i]) : NULL;
}

/* --- indexes --- */

static void drop_entry(struct table *t, const void *key, const struct member *m)
{
	if (table_get(t, key) == m)
		table_remove(t, key);
}

static void drop_machine(struct fleet *f, const struct member *m)
{
	struct id_list *ids = table_get(&f->by_machine, &m->machine);
	if (ids)
		id_list_remove(ids, m->id);
	if (ids && !ids->n) {
		table_remove(&f->by_machine, &m->machine);
		id_list_free(ids);
	}
}

static bool add_machine(struct fleet *f, const struct member *m)
{
	struct id_list *ids = table_get(&f->by_machine, &m->machine);
	bool fresh = !ids;
	if (fresh)
		ids = calloc(1, sizeof(*ids));
	if (!ids || !id_list_add(ids, m->id) || (fresh && !table_put(&f->by_machine, &m->machine, ids))) {
		if (fresh)
			id_list_free(ids);
		return false;
	}
	return true;
}

/* What of m's entries is not other's as well. */
static void drop_entries(struct fleet *f, const struct member *m, const struct member *other)
{
	char name[FLEET_LABEL];
	name_key(m->name, name);
	drop_entry(&f->by_key, &m->key, m);
	drop_entry(&f->by_name, name, m);
	if (m->has_v4)
		drop_entry(&f->by_address, m->v4.b, m);
	if (m->has_v6)
		drop_entry(&f->by_address, m->v6.b, m);
	if (!other || !key_equal(m->machine.b, other->machine.b))
		drop_machine(f, m);
}

static bool add_entries(struct fleet *f, struct member *m)
{
	char name[FLEET_LABEL];
	name_key(m->name, name);
	return table_put(&f->by_key, &m->key, m) && table_put(&f->by_name, name, m) &&
	       (!m->has_v4 || table_put(&f->by_address, m->v4.b, m)) &&
	       (!m->has_v6 || table_put(&f->by_address, m->v6.b, m)) && add_machine(f, m);
}

/* Room for one more of `size` bytes in a growing array; the array as it is now, or NULL. */
static void *fleet_grow(void *v, size_t n, size_t *size, size_t each)
{
	if (n < *size)
		return v;
	size_t bigger = *size ? *size * 2 : 16;
	void *p = reallocarray(v, bigger, each);
	if (p)
		*size = bigger;
	return p;
}

bool fleet_put(struct fleet *f, struct member *m)
{
	size_t i = member_at(f, m->id);
	struct member *old = i < f->n && f->v[i]->id == m->id ? f->v[i] : NULL;
	struct member **v = old ? f->v : fleet_grow(f->v, f->n, &f->size, sizeof(struct member *));
	if (v)
		f->v = v;
	if (!v || !add_entries(f, m)) {
		if (v)
			drop_entries(f, m, old);
		if (old)
			(void)add_entries(f, old); /* they were there: nothing grows */
		member_put(m);
		return false;
	}
	if (old) {
		drop_entries(f, old, m);
	} else {
		memmove(f->v + i + 1, f->v + i, (f->n - i) * sizeof(struct member *));
		f->n++;
	}
	f->v[i] = m;
	fleet_label_freed(f, old, m);
	member_put(old);
	return true;
}

void fleet_remove(struct fleet *f, int64_t id)
{
	size_t i = member_at(f, id);
	if (i >= f->n || f->v[i]->id != id)
		return;
	struct member *m = f->v[i];
	f->n--;
	memmove(f->v + i, f->v + i + 1, (f->n - i) * sizeof(struct member *));
	drop_entries(f, m, NULL);
	fleet_label_freed(f, m, NULL);
	member_put(m);
}

static bool user_before(const void *v, size_t i, const void *key)
{
	return ((const struct user *)v)[i].id < *(const int64_t *)key;
}

static size_t user_at(const struct fleet *f, int64_t id)
{
	return sorted_before(f->users, f->n_users, &id, user_before);
}

static const char *const role_names[USER_ROLES] = {
	[USER_MEMBER] = "member",
	[USER_AUDITOR] = "auditor",
	[USER_BILLING_ADMIN] = "billing-admin",
	[USER_IT_ADMIN] = "it-admin",
	[USER_NETWORK_ADMIN] = "network-admin",
	[USER_ADMIN] = "admin",
	[USER_OWNER] = "owner",
};

bool user_role_parse(const char *text, enum user_role *out)
{
	for (size_t i = 0; i < USER_ROLES; i++)
		if (!strcmp(text, role_names[i])) {
			*out = (enum user_role)i;
			return true;
		}
	return false;
}

const char *user_role_name(enum user_role role)
{
	return role_names[role];
}

enum user_role fleet_role(const struct fleet *f, int64_t user)
{
	const struct user *u = fleet_user(f, user);
	return u ? u->role : USER_MEMBER;
}

struct user_groups *fleet_groups(const struct fleet *f, int64_t user)
{
	const struct user *u = fleet_user(f, user);
	return u ? u->groups : NULL;
}

bool fleet_user_put(struct fleet *f, const struct user *u)
{
	size_t i = user_at(f, u->id);
	if (i < f->n_users && f->users[i].id == u->id) {
		struct user_groups *old = f->users[i].groups;
		(void)user_groups_get(u->groups); /* u may be the one that goes */
		f->users[i] = *u;
		user_groups_put(old);
		return true;
	}
	struct user *v = fleet_grow(f->users, f->n_users, &f->users_size, sizeof(*v));
	if (!v)
		return false;
	f->users = v;
	memmove(v + i + 1, v + i, (f->n_users - i) * sizeof(*v));
	v[i] = *u;
	(void)user_groups_get(u->groups);
	f->n_users++;
	return true;
}

void fleet_user_remove(struct fleet *f, int64_t id)
{
	size_t i = user_at(f, id);
	if (i >= f->n_users || f->users[i].id != id)
		return;
	f->n_users--;
	user_groups_put(f->users[i].groups);
	memmove(f->users + i, f->users + i + 1, (f->n_users - i) * sizeof(*f->users));
}

const struct user *fleet_user(const struct fleet *f, int64_t id)
{
	size_t i = user_at(f, id);
	return i < f->n_users && f->users[i].id == id ? &f->users[i] : NULL;
}

const struct user *fleet_user_named(const struct fleet *f, const char *name)
{
	for (size_t i = 0; i < f->n_users; i++)
		if (!strcmp(f->users[i].name, name))
			return &f->users[i];
	return NULL;
}
