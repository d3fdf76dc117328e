/* Records that are answered here, changed name by name.
 *
 * A zone is a tree of names in a hash table: every name that has a record or is an authority stands in it,
 * and so does every name above such a one, down from the root. `children` counts the names right below; a
 * name with no record, no authority and no children leaves the table, and its parent may follow. So what one
 * change costs grows with the labels of the name, never with the zone.
 *
 * A name without records of its own (an empty non-terminal) exists for those below an authority alone: there
 * it is NODATA (RFC 8020: NXDOMAIN would deny all below), elsewhere the zone does not speak for it.
 *
 * The same record may be given by several (a machine and an extra record): it is there once, counts how often
 * it was given, and goes with the last of them. The records of a name that has many (the PTR of 0.0.0.0 in a list of
 * blocked names has very many) stand in a second table too, to be found in; a mesh has thousands of names with one or two.
 * The record that a name was made for stands in one block with it: a mesh has three such names for a machine.
 * Both tables are keyed: whoever names a machine of the mesh chooses the keys.
 *
 * One thread changes a zone; between two calls it is always whole. Others may look at it as long as nobody does. */
#include "resolver/zone.h"

#include "mesh/base/table.h"
#include "mesh/base/via6.h"
#include "resolver/resolver.h"
#include "resolver/zone_pool.h"
#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

enum { BUCKETS_MIN = 64, SPARSE = 8, FEW = 8, HOSTS_MANY = 15 };
#define INNER_NONE SIZE_MAX

struct zone_node {
	struct zone_node *chain,
		*parent;	       /* same bucket; the name without its first label, NULL at the root */
	union {			       /* n records, grouped by type, each group in the order given */
		struct zone_rr *one;   /* room 0: at most this one, as most names have */
		struct zone_rr **many; /* owned; 1 << room of them have place */
	} rrs;
	uint32_t hash, n, children, authorities;
	uint8_t len, room; /* len: of the whole name's wire form */
	bool crowded : 1;  /* its records stand in the table of crowds */
	bool inner : 1;	   /* one of them, that the name was made for, stands in this block, behind b */
	bool had_inner : 1;
	bool starred : 1; /* "*" is one of its children */
	uint8_t b[];	  /* the first label with its length, lower case; the others are its parents' */
};
struct crowd { /* a record of a name that has many */
	struct crowd *chain;
	const struct zone_node *node;
	struct zone_rr *rr; /* owned by its node's list */
	uint32_t hash;
};
struct zone {
	unsigned refs;
	struct zone_pool pool;		 /* names, records, crowds */
	struct zone_node **names, *root; /* root: NULL in an empty zone */
	struct crowd **crowds;
	size_t names_mask, crowds_mask, n_names, n_crowds;
	uint64_t seed[2];
	bool via6_names;
	uint64_t changes;
};

struct zone *zone_new(void)
{
	struct zone *z = calloc(1, sizeof(*z));
	if (!z)
		return NULL;
	z->refs = 1;
	z->names_mask = z->crowds_mask = BUCKETS_MIN - 1;
	z->names = calloc(BUCKETS_MIN, sizeof(struct zone_node *));
	z->crowds = calloc(BUCKETS_MIN, sizeof(struct crowd *));
	random_system.fill(random_system.arg, z->seed, sizeof(z->seed));
	if (z->names && z->crowds)
		return z;
	zone_put(z);
	return NULL;
}

struct zone *zone_get(struct zone *z)
{
	z->refs++;
	return z;
}

static struct zone_rr **node_rrs(struct zone_node *n)
{
	return n->room ? n->rrs.many : &n->rrs.one;
}

/* Where in its block a name with such a first label has a record. */
static size_t inner_at(const uint8_t *label)
{
	size_t align = alignof(struct zone_rr);
	return (offsetof(struct zone_node, b) + label[0] + 1 + align - 1) / align * align;
}

static struct zone_rr *inner_rr(struct zone_node *n)
{
	return (void *)((uint8_t *)n + inner_at(n->b));
}

static void rr_free(struct zone *z, struct zone_node *n, struct zone_rr *rr)
{
	if (n->inner && rr == inner_rr(n))
		n->inner = false;
	else
		zone_pool_put(&z->pool, rr, sizeof(*rr) + rr->len);
}

/* One that holds no record. */
static void node_free(struct zone *z, struct zone_node *n)
{
	size_t size = inner_at(n->b) + (n->had_inner ? sizeof(struct zone_rr) + inner_rr(n)->len : 0);
	if (n->room)
		zone_pool_put(&z->pool, n->rrs.many, sizeof(struct zone_rr *) << n->room);
	zone_pool_put(&z->pool, n, size);
}

void zone_put(struct zone *z)
{
	if (!z || --z->refs)
		return;
	zone_pool_free(&z->pool);
	free(z->names);
	free(z->crowds);
	free(z);
}

/* ---- names ---- */

static uint32_t name_hash(const struct zone *z, const uint8_t *wire, size_t len)
{
	return (uint32_t)hash_bytes(wire, len, z->seed[0], z->seed[1]);
}

static bool node_is(const struct zone_node *n, const uint8_t *wire, size_t len)
{
	if (n->len != len)
		return false;
	while (n && n->b[0] == wire[0] && !memcmp(n->b + 1, wire + 1, wire[0])) {
		if (!wire[0])
			return true;
		wire += wire[0] + 1u;
		n = n->parent;
	}
	return false;
}

static struct zone_node *node_find(const struct zone *z, const uint8_t *wire, size_t len)
{
	uint32_t hash = name_hash(z, wire, len);
	struct zone_node *n = z->names[hash & z->names_mask];
	while (n && (n->hash != hash || !node_is(n, wire, len)))
		n = n->chain;
	return n;
}

/* Where memory is short the old buckets serve: slower, not wrong. */
static void names_resize(struct zone *z, size_t mask)
{
	struct zone_node **other = calloc(mask + 1, sizeof(struct zone_node *));
	if (!other)
		return;
	for (size_t i = 0; i <= z->names_mask; i++)
		for (struct zone_node *n = z->names[i], *next; n; n = next) {
			next = n->chain;
			n->chain = other[n->hash & mask];
			other[n->hash & mask] = n;
		}
	free(z->names);
	z->names = other;
	z->names_mask = mask;
}

/* Most of a mesh has left: what its names took is given back. */
static bool is_sparse(size_t n, size_t mask)
{
	return mask >= BUCKETS_MIN && n < mask / SPARSE;
}

static bool is_star(const struct zone_node *n)
{
	return n->b[0] == 1 && n->b[1] == '*';
}

/* Takes a name that nothing holds out of the table, and then those above it that held nothing else. */
static void node_release(struct zone *z, struct zone_node *n)
{
	while (n && !n->n && !n->children && !n->authorities) {
		struct zone_node **at = &z->names[n->hash & z->names_mask], *parent = n->parent;
		while (*at != n)
			at = &(*at)->chain;
		*at = n->chain;
		z->n_names--;
		if (parent) {
			parent->children--;
			parent->starred = parent->starred && !is_star(n);
		}
		if (n == z->root)
			z->root = NULL;
		node_free(z, n);
		n = parent;
	}
	if (is_sparse(z->n_names, z->names_mask))
		names_resize(z, z->names_mask / 2);
}

/* With room for a record that has `inner` bytes of data; INNER_NONE: for none. */
static struct zone_node *node_new(struct zone *z, const uint8_t *wire, size_t len, size_t inner)
{
	bool has = inner != INNER_NONE;
	struct zone_node *n =
		zone_pool_get(&z->pool, inner_at(wire) + (has ? sizeof(struct zone_rr) + inner : 0));
	if (!n)
		return NULL;
	if (z->n_names > z->names_mask)
		names_resize(z, z->names_mask * 2 + 1);
	n->hash = name_hash(z, wire, len);
	n->len = (uint8_t)len;
	memcpy(n->b, wire, wire[0] + 1u);
	if (has) {
		n->had_inner = true;
		inner_rr(n)->len = (uint16_t)inner;
	}
	n->chain = z->names[n->hash & z->names_mask];
	z->names[n->hash & z->names_mask] = n;
	z->n_names++;
	if (!wire[0])
		z->root = n;
	return n;
}

/* The node of a name, made with all above it where it is new. The caller gives it something to hold, or
 * releases it; a new one has room for a record with `inner` bytes of data, or INNER_NONE. NULL: memory short. */
static struct zone_node *node_make(struct zone *z, const struct dns_name *name, size_t inner)
{
	struct zone_node *found = NULL, *below = NULL, *first = NULL;
	for (size_t at = 0;; at += name->b[at] + 1u) {
		found = node_find(z, name->b + at, (size_t)name->len - at);
		struct zone_node *n =
			found ? found
			      : node_new(z, name->b + at, (size_t)name->len - at, at ? INNER_NONE : inner);
		if (!n) {
			node_release(z, first);
			return NULL;
		}
		if (below) {
			below->parent = n;
			n->children++;
			n->starred = n->starred || is_star(below);
		}
		first = first ? first : n;
		below = n;
		if (found || !name->b[at])
			return first;
	}
}

/* ---- records ---- */

static uint32_t record_hash(
	const struct zone *z, const struct zone_node *n, uint16_t type, const uint8_t *rdata, size_t len)
{
	return (uint32_t)hash_bytes(rdata, len, z->seed[0] ^ n->hash, z->seed[1] + type);
}

static bool is_record(const struct zone_rr *rr, uint16_t type, const uint8_t *rdata, size_t len)
{
	return rr->type == type && rr->len == len && memcmp(rr->rdata, rdata, len) == 0;
}

static struct zone_rr *record_find(
	const struct zone *z, struct zone_node *n, uint16_t type, const uint8_t *rdata, size_t len)
{
	for (uint32_t i = 0; !n->crowded && i < n->n; i++)
		if (is_record(node_rrs(n)[i], type, rdata, len))
			return node_rrs(n)[i];
	if (!n->crowded)
		return NULL;
	uint32_t hash = record_hash(z, n, type, rdata, len);
	struct crowd *c = z->crowds[hash & z->crowds_mask];
	while (c && (c->hash != hash || c->node != n || !is_record(c->rr, type, rdata, len)))
		c = c->chain;
	return c ? c->rr : NULL;
}

static void crowds_resize(struct zone *z, size_t mask)
{
	struct crowd **other = calloc(mask + 1, sizeof(struct crowd *));
	if (!other)
		return;
	for (size_t i = 0; i <= z->crowds_mask; i++)
		for (struct crowd *c = z->crowds[i], *next; c; c = next) {
			next = c->chain;
			c->chain = other[c->hash & mask];
			other[c->hash & mask] = c;
		}
	free(z->crowds);
	z->crowds = other;
	z->crowds_mask = mask;
}

static bool crowd_add(struct zone *z, const struct zone_node *n, struct zone_rr *rr)
{
	struct crowd *c = zone_pool_get(&z->pool, sizeof(*c));
	if (!c)
		return false;
	if (z->n_crowds > z->crowds_mask)
		crowds_resize(z, z->crowds_mask * 2 + 1);
	*c = (struct crowd) { .node = n, .rr = rr, .hash = record_hash(z, n, rr->type, rr->rdata, rr->len) };
	c->chain = z->crowds[c->hash & z->crowds_mask];
	z->crowds[c->hash & z->crowds_mask] = c;
	z->n_crowds++;
	return true;
}

static void crowd_remove(struct zone *z, const struct zone_node *n, const struct zone_rr *rr)
{
	uint32_t hash = record_hash(z, n, rr->type, rr->rdata, rr->len);
	struct crowd **at = &z->crowds[hash & z->crowds_mask], *c;
	while ((*at)->rr != rr)
		at = &(*at)->chain;
	c = *at;
	*at = c->chain;
	zone_pool_put(&z->pool, c, sizeof(*c));
	z->n_crowds--;
	if (is_sparse(z->n_crowds, z->crowds_mask))
		crowds_resize(z, z->crowds_mask / 2);
}

/* It has many now. Where memory is short they are looked for one by one: slower, not wrong. */
static void crowd_begin(struct zone *z, struct zone_node *n)
{
	uint32_t k = 0;
	while (k < n->n && crowd_add(z, n, node_rrs(n)[k]))
		k++;
	n->crowded = k == n->n;
	while (!n->crowded && k)
		crowd_remove(z, n, node_rrs(n)[--k]);
}

/* A CNAME says that the name is another's: nothing may stand beside it (RFC 2181 10.1). */
static bool may_stand(struct zone_node *n, uint16_t type)
{
	return !n->n || (type != DNS_CNAME && node_rrs(n)[0]->type != DNS_CNAME);
}

/* Room for one more record. false: memory short. */
static bool list_grow(struct zone *z, struct zone_node *n)
{
	if (!n->n || n->n < (size_t)1 << n->room)
		return true;
	size_t size = sizeof(struct zone_rr *) << n->room;
	struct zone_rr **bigger = zone_pool_get(&z->pool, size * 2);
	if (!bigger)
		return false;
	memcpy(bigger, node_rrs(n), size);
	if (n->room)
		zone_pool_put(&z->pool, n->rrs.many, size);
	n->rrs.many = bigger;
	n->room++;
	return true;
}

static void list_insert(struct zone_node *n, struct zone_rr *rr)
{
	struct zone_rr **rrs = node_rrs(n);
	uint32_t at = n->n++;
	for (; at && rrs[at - 1]->type > rr->type; at--)
		rrs[at] = rrs[at - 1];
	rrs[at] = rr;
}

static void list_remove(struct zone_node *n, const struct zone_rr *rr)
{
	struct zone_rr **rrs = node_rrs(n);
	uint32_t at = 0;
	while (rrs[at] != rr)
		at++;
	memmove(&rrs[at], &rrs[at + 1], (n->n - at - 1) * sizeof(struct zone_rr *));
	n->n--;
}

struct given {
	uint16_t type;
	const uint8_t *rdata;
	size_t len;
	bool host; /* see struct zone_rr */
};

static void times_add(struct zone_rr *rr, uint32_t times, uint32_t hosts)
{
	rr->times += times;
	rr->hosts = rr->hosts + hosts < HOSTS_MANY ? rr->hosts + hosts : HOSTS_MANY;
}

/* A record without a place yet, in the block of a name that was made for it. NULL: memory short. */
static struct zone_rr *rr_new(struct zone *z, struct zone_node *n, const struct given *g)
{
	/* What held nothing when it was found would not be there. */
	bool made = !n->n && !n->children && !n->authorities;
	struct zone_rr *rr = made ? inner_rr(n) : zone_pool_get(&z->pool, sizeof(*rr) + g->len);
	if (!rr)
		return NULL;
	n->inner = n->inner || made;
	*rr = (struct zone_rr) { .type = g->type, .len = (uint16_t)g->len };
	times_add(rr, 1, g->host);
	memcpy(rr->rdata, g->rdata, g->len);
	return rr;
}

static int record_add(struct zone *z, const struct dns_name *name, const struct given *g)
{
	struct dns_name folded = *name;
	dns_name_fold(&folded);
	z->changes++;
	if (g->len > UINT16_MAX)
		return ERR_MALFORMED;
	struct zone_node *n = node_make(z, &folded, g->len);
	struct zone_rr *rr = n ? record_find(z, n, g->type, g->rdata, g->len) : NULL;
	if (rr) {
		times_add(rr, 1, g->host);
		return 0;
	}
	bool stands = n && may_stand(n, g->type);
	rr = stands && list_grow(z, n) ? rr_new(z, n, g) : NULL;
	if (!rr || (n->crowded && !crowd_add(z, n, rr))) {
		zone_pool_put(
			&z->pool, rr, sizeof(*rr) + g->len); /* not an inner one: its name is not crowded */
		node_release(z, n);
		return n && !stands ? ERR_REFUSED : -ENOMEM;
	}
	list_insert(n, rr);
	if (!n->crowded && n->n > FEW)
		crowd_begin(z, n);
	return 0;
}

int zone_add_record(
	struct zone *z, const struct dns_name *name, uint16_t type, const uint8_t *rdata, size_t len)
{
	return record_add(z, name, &(struct given) { type, rdata, len, false });
}

static void record_remove(struct zone *z, const struct dns_name *name, const struct given *g)
{
	struct dns_name folded = *name;
	dns_name_fold(&folded);
	z->changes++;
	struct zone_node *n = node_find(z, folded.b, folded.len);
	struct zone_rr *rr = n ? record_find(z, n, g->type, g->rdata, g->len) : NULL;
	if (rr && g->host && rr->hosts && rr->hosts < HOSTS_MANY)
		rr->hosts--;
	if (!rr || --rr->times)
		return;
	if (n->crowded)
		crowd_remove(z, n, rr);
	list_remove(n, rr);
	n->crowded = n->crowded && n->n;
	rr_free(z, n, rr);
	node_release(z, n);
}

void zone_remove_record(
	struct zone *z, const struct dns_name *name, uint16_t type, const uint8_t *rdata, size_t len)
{
	record_remove(z, name, &(struct given) { type, rdata, len, false });
}

/* The address record of a name; its RDATA is part of ip. */
static struct given address_of(const struct addr *ip, bool host)
{
	return addr_is_v4(ip) ? (struct given) { DNS_A, ip->b + 12, 4, host }
			      : (struct given) { DNS_AAAA, ip->b, sizeof(ip->b), host };
}

int zone_add_address(struct zone *z, const char *name, const struct addr *ip, bool with_ptr)
{
	struct dns_name n, reverse;
	struct given address = address_of(ip, with_ptr);
	if (!dns_name_parse(name, &n))
		return ERR_MALFORMED;
	int err = record_add(z, &n, &address);
	if (err || !with_ptr)
		return err;
	dns_name_reverse(ip, &reverse);
	err = record_add(z, &reverse, &(struct given) { DNS_PTR, n.b, n.len, true });
	if (err)
		record_remove(z, &n, &address);
	return err;
}

void zone_remove_address(struct zone *z, const char *name, const struct addr *ip, bool with_ptr)
{
	struct dns_name n, reverse;
	struct given address = address_of(ip, with_ptr);
	if (!dns_name_parse(name, &n))
		return;
	record_remove(z, &n, &address);
	if (!with_ptr)
		return;
	dns_name_reverse(ip, &reverse);
	record_remove(z, &reverse, &(struct given) { DNS_PTR, n.b, n.len, true });
}

int zone_add_authority(struct zone *z, const char *suffix)
{
	struct dns_name name;
	if (!dns_name_parse(suffix, &name))
		return ERR_MALFORMED;
	dns_name_fold(&name);
	z->changes++;
	struct zone_node *n = node_make(z, &name, INNER_NONE);
	if (!n)
		return -ENOMEM;
	n->authorities++;
	return 0;
}

void zone_remove_authority(struct zone *z, const char *suffix)
{
	struct dns_name name;
	if (!dns_name_parse(suffix, &name))
		return;
	dns_name_fold(&name);
	struct zone_node *n = node_find(z, name.b, name.len);
	if (!n || !n->authorities)
		return;
	z->changes++;
	n->authorities--;
	node_release(z, n);
}

static void node_name(const struct zone_node *n, struct dns_name *out)
{
	out->len = n->len;
	for (uint8_t *at = out->b; n; at += n->b[0] + 1u, n = n->parent)
		memcpy(at, n->b, n->b[0] + 1u);
}

static bool node_copy(struct zone *to, struct zone_node *n)
{
	struct dns_name name;
	node_name(n, &name);
	for (uint32_t i = 0; i < n->n; i++) {
		const struct zone_rr *rr = node_rrs(n)[i];
		if (record_add(to, &name, &(struct given) { rr->type, rr->rdata, rr->len, rr->hosts }))
			return false;
		struct zone_node *there = rr->times > 1 ? node_find(to, name.b, name.len) : NULL;
		if (there)
			times_add(record_find(to, there, rr->type, rr->rdata, rr->len), rr->times - 1u,
				rr->hosts ? rr->hosts - 1u : 0);
	}
	struct zone_node *there = n->authorities ? node_make(to, &name, INNER_NONE) : NULL;
	if (there)
		there->authorities = n->authorities;
	return there || !n->authorities;
}

struct zone *zone_copy(const struct zone *z)
{
	struct zone *to = zone_new();
	bool ok = to;
	for (size_t i = 0; ok && i <= z->names_mask; i++)
		for (struct zone_node *n = z->names[i]; ok && n; n = n->chain)
			ok = node_copy(to, n);
	if (ok) {
		to->via6_names = z->via6_names;
		return to;
	}
	zone_put(to);
	return NULL;
}

uint64_t zone_changes(const struct zone *z)
{
	return z ? z->changes : 0;
}

size_t zone_last_names(const struct zone *z)
{
	return z->refs == 1 ? z->n_names : 0;
}

bool zone_is_sparse(const struct zone *z)
{
	return zone_pool_is_sparse(&z->pool);
}

/* ---- looking up ---- */

static void apex_set(struct zone_hit *out, const struct dns_name *name, size_t at)
{
	out->apex.len = (uint8_t)(name->len - at);
	memmove(out->apex.b, name->b + at,
		out->apex.len); /* a call: memcpy becomes a slow instruction here */
	out->apex_labels = (uint8_t)dns_name_labels(&out->apex);
	out->owned = true;
}

void zone_via6_names(struct zone *z)
{
	z->changes++;
	z->via6_names = true;
}

/* What nobody has a record for may spell an address itself. */
static void via6_find(const struct zone *z, const struct dns_name *name, struct zone_hit *out)
{
	size_t label = name->b[0];
	out->via6 = z->via6_names && out->verdict == ZONE_NO_NAME && out->apex.len + label + 1 == name->len &&
		    via6_name_parse((const char *)name->b + 1, label, &out->via6_at);
	if (out->via6)
		out->verdict = ZONE_NAME;
}

/* RFC 4592: a wildcard stands for names whose closest existing ancestor is its parent. */
static const struct zone_node *wildcard_find(
	const struct zone *z, const struct dns_name *name, size_t encloser)
{
	struct dns_name w = { .len = (uint8_t)(name->len - encloser + 2), .b = { 1, '*' } };
	memcpy(w.b + 2, name->b + encloser, name->len - encloser);
	return node_find(z, w.b, w.len);
}

static size_t top_level(const struct dns_name *name)
{
	size_t top = 0;
	for (size_t at = 0; name->b[at]; at += name->b[at] + 1u)
		top = at;
	return top;
}

/* The closest name here that is above one that is not; NULL: the zone is empty. Most names that are asked for are of
 * domains that have nothing to do with ours, and the top-level one says so at once. */
static const struct zone_node *encloser_find(const struct zone *z, const struct dns_name *name, size_t *at)
{
	size_t top = top_level(name);
	const struct zone_node *found, *above = top ? node_find(z, name->b + top, name->len - top) : NULL;
	if (!above) {
		*at = name->len - 1u;
		return z->root;
	}
	for (*at = name->b[0] + 1u; *at < top; *at += name->b[*at] + 1u)
		if ((found = node_find(z, name->b + *at, name->len - *at)))
			return found;
	return above;
}

void zone_find(const struct zone *z, const struct dns_name *name, struct zone_hit *out)
{
	bool any = z && z->root;
	const struct zone_node *found = any ? node_find(z, name->b, name->len) : NULL;
	size_t at = 0;
	out->verdict = ZONE_FOREIGN;
	out->n = 0;
	out->rrs = NULL;
	out->apex_labels = 0;
	out->owned = false;
	out->is_apex = found && found->authorities;
	out->via6 = false;
	if (!any)
		return;
	const struct zone_node *encloser = found ? found : encloser_find(z, name, &at);
	size_t encloser_at = at;
	for (const struct zone_node *n = encloser; n && !out->owned; at += name->b[at] + 1u, n = n->parent)
		if (n->authorities)
			apex_set(out, name, at);
	if (!found && out->owned)
		out->verdict = ZONE_NO_NAME;
	if (!found && encloser && encloser->starred)
		found = wildcard_find(z, name, encloser_at);
	if (!found)
		via6_find(z, name, out);
	if (!found || (!found->n && !out->owned))
		return;
	out->verdict = ZONE_NAME;
	out->rrs = (const struct zone_rr *const *)(found->room ? found->rrs.many : &found->rrs.one);
	out->n = found->n;
	if (!out->owned) { /* a record on its own: its name is all we speak for */
		apex_set(out, name, 0);
		out->owned = false;
	}
}

const struct zone_rr *const *zone_set(const struct zone_hit *h, uint16_t type, uint32_t *n)
{
	uint32_t first = 0;
	while (first < h->n && h->rrs[first]->type != type && type != DNS_ANY)
		first++;
	*n = 0;
	while (first + *n < h->n && h->rrs[first + *n]->type == h->rrs[first]->type)
		++*n;
	return *n ? h->rrs + first : NULL;
}
