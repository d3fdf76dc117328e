#include "mesh/node/blocking.h"

#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "resolver/block_words.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR_MS = 3600 * 1000, REFRESH_MIN_MS = HOUR_MS / 6, REFRESH_MS = 24 * HOUR_MS };
enum { PAUSE_MS = HOUR_MS / 12, PAUSE_MAX_MS = 24 * HOUR_MS, TTL_MAX = 86400 };
#define FOLDER "lists"
#define REFRESH_MAX_MS (UINT64_C(30) * 24 * HOUR_MS)

static void blocking_odd(struct blocking *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void blocking_odd(struct blocking *b, const char *fmt, ...)
{
	va_list ap;
	if (b->odd[0])
		return;
	va_start(ap, fmt);
	vsnprintf(b->odd, sizeof(b->odd), fmt, ap);
	va_end(ap);
}

/* ---- the server's words ---- */

static void take_when(struct blocking *b, const struct ctl_block_list *from, struct conf_list *to)
{
	to->when = arena_array(&b->mem, from->when.n, sizeof(*to->when));
	for (size_t i = 0; to->when && i < from->when.n; i++)
		if (block_hours_parse(from->when.v[i], &to->when[to->n_when]))
			to->n_when++;
		else
			blocking_odd(b, "the hours \"%.40s\" of the list %s are not understood",
				from->when.v[i], from->name);
	/* hours that are none of those that are known: never, not always */
	if (to->when && from->when.n && !to->n_when)
		to->n_when = 1;
}

static bool has_list(const struct blocking *b, const char *name)
{
	for (size_t i = 0; i < b->rules.n_lists; i++)
		if (strcmp(b->rules.lists[i].name, name) == 0)
			return true;
	return false;
}

/* The name is a file's too, so it is looked at whoever wrote it. false: the list cannot be used. */
static bool take_list(struct blocking *b, const struct ctl_block_list *from, struct conf_list *to)
{
	bool url = from->url[0];
	if (!block_words_is_plain(from->name) || (url && !block_words_is_url(from->url))) {
		blocking_odd(b, "the list \"%.40s\" has a name or a URL that cannot be used", from->name);
		return false;
	}
	if (has_list(b, from->name)) { /* two would write one file */
		blocking_odd(b, "the list %s is there twice", from->name);
		return false;
	}
	*to = (struct conf_list) { .name = from->name,
		.url = url ? from->url : NULL,
		.file = url ? arena_printf(&b->mem, "%s/" FOLDER "/%s.list", b->state_dir, from->name) : NULL,
		.names = from->names.v,
		.n_names = from->names.n,
		.allow = from->allow };
	take_when(b, from, to);
	return true;
}

static uint32_t lists_named(const struct blocking *b, const struct ctl_strings *names)
{
	uint32_t bits = 0;
	for (size_t i = 0; i < b->rules.n_lists; i++)
		for (size_t k = 0; k < names->n; k++)
			if (strcmp(b->rules.lists[i].name, names->v[k]) == 0)
				bits |= UINT32_C(1) << i;
	return bits;
}

static void take_group(struct blocking *b, const struct ctl_block_group *from, struct conf_group *to)
{
	to->name = from->name;
	to->lists = lists_named(b, &from->lists);
	to->clients = arena_array(&b->mem, from->clients.n, sizeof(*to->clients));
	to->who = arena_array(&b->mem, from->clients.n, sizeof(*to->who));
	for (size_t i = 0; to->clients && to->who && i < from->clients.n; i++)
		if (prefix_parse(from->clients.v[i], &to->clients[to->n_clients]))
			to->n_clients++;
		else
			to->who[to->n_who++] = from->clients.v[i];
}

static uint64_t between(uint64_t v, uint64_t min, uint64_t max)
{
	return v < min ? min : v > max ? max : v;
}

static void take_rest(struct blocking *b, const struct ctl_blocking *from)
{
	struct conf_block *to = &b->rules;
	to->answer.ttl_s = (uint32_t)between(from->ttl_s, 0, TTL_MAX);
	to->refresh_ms =
		from->refresh_ms ? between(from->refresh_ms, REFRESH_MIN_MS, REFRESH_MAX_MS) : REFRESH_MS;
	to->pause_ms = from->pause_ms ? between(from->pause_ms, 1, PAUSE_MAX_MS) : PAUSE_MS;
	to->foreign = true;
	for (size_t i = 0; i < from->answer.n; i++)
		if (!block_words_answer(from->answer.v[i], &to->answer))
			blocking_odd(b, "the answer \"%.40s\" to blocked names is not understood",
				from->answer.v[i]);
}

/* Into b->rules and b->mem, where `from` is already. */
static void take_rules(struct blocking *b, const struct ctl_blocking *from)
{
	struct conf_block *to = &b->rules;
	*to = (struct conf_block) { 0 };
	to->lists = arena_array(&b->mem, from->n_lists, sizeof(*to->lists));
	for (size_t i = 0; to->lists && i < from->n_lists; i++) {
		if (to->n_lists == BLOCK_LISTS_MAX)
			blocking_odd(b, "more than %d lists: the others are left out", BLOCK_LISTS_MAX);
		else if (take_list(b, &from->lists[i], &to->lists[to->n_lists]))
			to->n_lists++;
	}
	to->store = arena_printf(&b->mem, "%s/" FOLDER, b->state_dir);
	to->groups = arena_array(&b->mem, from->n_groups, sizeof(*to->groups));
	for (size_t i = 0; to->groups && i < from->n_groups; i++)
		take_group(b, &from->groups[i], &to->groups[to->n_groups++]);
	take_rest(b, from);
}

static bool same_words(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whole, or what was before stays: names are not let through because of a word, or for want of memory. */
static int rules_read(struct blocking *b, const char *caps, bool *is_short, struct errbuf *eb)
{
	const struct ctl_blocking *said = NULL;
	struct arena mem_before = b->mem;
	struct conf_block rules_before = b->rules;
	b->mem = (struct arena) { .cap = b->mem.cap };
	int err = ctl_blocking_read(&b->mem, caps, &said, eb);
	if (!err && said)
		take_rules(b, said);
	*is_short = b->mem.failed;
	if (err || *is_short) {
		arena_free(&b->mem);
		b->mem = mem_before;
		b->rules = rules_before;
		return err;
	}
	arena_free(&mem_before);
	b->wanted = b->fresh = said;
	return 0;
}

/* Read anew only when the words are others: each map has them. false: memory is short, what was holds. */
static bool words_follow(struct blocking *b, const char *caps)
{
	struct errbuf eb = { 0 };
	bool is_short;
	if (same_words(caps, b->told))
		return true;
	char *told = caps ? strdup(caps) : NULL;
	if (caps && !told)
		return false;
	b->odd[0] = 0;
	int err = rules_read(b, caps, &is_short, &eb);
	if (is_short) { /* and is read again */
		free(told);
		return false;
	}
	free(b->told);
	b->told = told;
	if (err)
		blocking_odd(b, "what the server says of blocked names is not understood: %.180s", eb.text);
	return true;
}

/* ---- who asks ---- */

/* By number: a peer that is the same may stand elsewhere in the next map. */
static bool peer_put(struct blocking *b, const struct netmap_peer *p)
{
	bool ok = p->node.id > 0;
	for (size_t i = 0; ok && i < p->node.addresses.n; i++)
		ok = table_put(&b->by_address, &p->node.addresses.v[i].ip, (void *)(uintptr_t)p->node.id);
	return ok;
}

static const struct netmap_peer *peer_at(const struct blocking *b, const struct addr *ip)
{
	uintptr_t id = b->filled ? (uintptr_t)table_get(&b->by_address, ip) : 0;
	return id ? netmap_peer_by_id(b->map, (int64_t)id) : NULL;
}

/* p: as it was in the map before. */
static void peer_drop(struct blocking *b, const struct netmap_peer *p)
{
	for (size_t i = 0; p && i < p->node.addresses.n; i++)
		if ((uintptr_t)table_get(&b->by_address, &p->node.addresses.v[i].ip) == (uintptr_t)p->node.id)
			table_remove(&b->by_address, &p->node.addresses.v[i].ip);
}

static void peers_forget(struct blocking *b)
{
	table_fini(&b->by_address);
	b->filled = false;
	netmap_put(b->map);
	b->map = NULL;
}

static bool peers_change(struct blocking *b, const struct netmap *m)
{
	struct netmap_diff d;
	bool ok = true;
	if (!netmap_compare(b->filled ? b->map : NULL, m, &d))
		return false;
	for (size_t i = 0; i < d.n_removed; i++)
		peer_drop(b, d.removed[i]);
	for (size_t i = 0; i < d.n_changed; i++)
		peer_drop(b, netmap_peer_by_id(b->map, d.changed[i]->node.id));
	for (size_t i = 0; i < d.n_changed; i++)
		ok = peer_put(b, d.changed[i]) && ok;
	for (size_t i = 0; i < d.n_added; i++)
		ok = peer_put(b, d.added[i]) && ok;
	netmap_diff_fini(&d);
	return ok;
}

/* From the map before to this one, at the cost of what changed. false: memory is short. Then the map is this one all
 * the same and no peer of it is known, which has them answered as strangers; the next time fills the table whole. */
static bool peers_follow(struct blocking *b, struct netmap *m)
{
	uint64_t seed = 0;
	if (!b->filled) {
		random_system.fill(random_system.arg, &seed, sizeof(seed));
		table_init(&b->by_address, sizeof(struct addr), seed);
	}
	b->filled = peers_change(b, m);
	if (!b->filled)
		table_fini(&b->by_address);
	netmap_get(m);
	netmap_put(b->map);
	b->map = m;
	return b->filled;
}

bool blocking_follow(struct blocking *b, struct netmap *m)
{
	if (!words_follow(b, m->self->node.cap_map_json))
		return false;
	if (b->wanted)
		return peers_follow(b, m);
	peers_forget(b);
	return true;
}

size_t blocking_places(const struct blocking *b, const struct netmap *m, struct addr out[static 2])
{
	const struct ctl_prefixes *own = &m->self->node.addresses;
	size_t n = 0;
	for (size_t i = 0; b->wanted && i < own->n && n < 2; i++)
		out[n++] = own->v[i].ip;
	return n;
}

struct asker {
	const struct netmap *map;
	const struct netmap_peer *peer; /* NULL: nobody of the mesh */
};

static const char *login_of(const struct netmap *m, int64_t user)
{
	size_t low = 0, high = m->n_users;
	while (low < high) {
		size_t at = low + (high - low) / 2;
		if (m->users[at].id == user)
			return m->users[at].login_name;
		if (m->users[at].id < user)
			low = at + 1;
		else
			high = at;
	}
	return "";
}

/* "alice@" and "alice" are one. */
static bool same_login(const char *word, const char *login)
{
	size_t a = strlen(word), b = strlen(login);
	a -= a && word[a - 1] == '@';
	b -= b && login[b - 1] == '@';
	return a && a == b && memcmp(word, login, a) == 0;
}

static bool asker_is(void *arg, const char *word)
{
	const struct asker *k = arg;
	const struct ctl_node *c = k->peer ? &k->peer->node : NULL;
	if (!c)
		return false;
	if (strncmp(word, "tag:", 4) == 0) {
		for (size_t i = 0; i < c->tags.n; i++)
			if (strcmp(word, c->tags.v[i]) == 0)
				return true;
		return false;
	}
	if (strchr(word, '@'))
		return !c->tags.n && same_login(word, login_of(k->map, c->user));
	size_t len = strcspn(c->name, ".");
	return strlen(word) == len && memcmp(word, c->name, len) == 0;
}

static bool is_own(const struct netmap *m, const struct addr *ip)
{
	for (size_t i = 0; i < m->self->node.addresses.n; i++)
		if (addr_equal(ip, &m->self->node.addresses.v[i].ip))
			return true;
	return false;
}

/* This machine asks from an address of its own. */
static struct asker asker_of(const struct blocking *b, const struct addr *from)
{
	struct asker k = { .map = b->map };
	if (!b->map)
		return k;
	bool own = addr_is_loopback(from) || addr_is_service(from) || is_own(b->map, from);
	k.peer = own ? b->map->self : peer_at(b, from);
	return k;
}

/* In a network that a peer carries. What goes there has our address of the mesh, as nothing else has: by that a network
 * which peers carry and this machine is in as well is told apart, wherever it was routed. */
static bool is_behind_peer(const struct netmap *m, const struct addr *from)
{
	struct addr own;
	return sock_source(from, &own) && is_own(m, &own);
}

uint32_t blocking_lists(const struct blocking *b, const struct addr *from)
{
	struct asker k = asker_of(b, from);
	return b->blocker ? blocker_lists_of(b->blocker,
				    &(struct blocker_client) { .from = from, .is = asker_is, .arg = &k })
			  : 0;
}

bool blocking_is_ours(const struct blocking *b, const struct addr *from)
{
	struct asker k = asker_of(b, from);
	/* Without a map this machine blocks for nobody, and its resolver has no place where others could ask. */
	if (!k.map)
		return !b->wanted;
	return k.peer ? k.peer == k.map->self : !addr_is_mesh(from) && !is_behind_peer(k.map, from);
}

struct blocker_search *blocking_search(struct blocking *b, const struct addr *from,
	const struct dns_name *name,
	void (*told)(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb), void *arg)
{
	struct asker k = asker_of(b, from);
	return b->blocker ? blocker_search_start(b->blocker,
				    &(struct blocker_client) { .from = from, .is = asker_is, .arg = &k },
				    name, told, arg)
			  : NULL;
}

/* ---- serving ---- */

void blocking_move(struct blocking *b, struct resolver *core)
{
	if (b->blocker)
		blocker_move(b->blocker, core);
}

/* They are of no use to anybody else. */
static void lists_remove(const struct blocking *b)
{
	char folder[PATH_MAX];
	struct errbuf eb;
	if ((size_t)snprintf(folder, sizeof(folder), "%s/" FOLDER, b->state_dir) < sizeof(folder) &&
		dir_remove(folder, &eb))
		log_warn("%s", eb.text);
}

bool blocking_serve(struct blocking *b, struct resolver *core)
{
	struct errbuf eb;
	if (!b->wanted) {
		blocker_free(b->blocker);
		if (b->blocker)
			lists_remove(b);
		b->blocker = NULL;
		return true;
	}
	if (!b->blocker)
		b->blocker = blocker_new(b->loop, core);
	if (b->blocker)
		blocker_proxies(b->blocker, b->proxies);
	if (b->blocker && b->fresh)
		b->fresh = blocker_reconfigure(b->blocker, &b->mem, &b->rules, &eb) != 0;
	return b->blocker && !b->fresh;
}

const char *blocking_trouble(const struct blocking *b)
{
	struct blocker_state state = { .trouble = "" };
	if (b->blocker)
		blocker_state(b->blocker, &state);
	return state.trouble;
}

void blocking_fini(struct blocking *b)
{
	blocker_free(b->blocker);
	b->blocker = NULL;
	free(b->told);
	b->told = NULL;
	arena_free(&b->mem);
	peers_forget(b);
	b->wanted = b->fresh = false;
}
