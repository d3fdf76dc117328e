#include "resolver/zone.h"

#include "mesh/base/buf.h"
#include "mesh/base/table.h"
#include "resolver/resolver.h"
#include <stdlib.h>

/* Built as three growing arrays (names, records, bytes), then frozen: records sorted by name and type, names
 * put in an open-addressed index. The hash is keyed, since whoever names a mesh node chooses the keys. */

struct node {
	uint32_t name_at;  /* wire form, lower case, in bytes */
	uint32_t first, n; /* records */
	uint8_t name_len;
	bool authority;
	bool alias, plain; /* has a CNAME; has something else */
};
struct loose_rr {
	uint32_t node;
	struct zone_rr rr;
};
struct zone {
	unsigned refs;
	struct node *nodes; /* owned, as are all below */
	struct zone_rr *rrs;
	uint8_t *bytes;
	uint32_t *index; /* node number + 1, 0 = free; size is a power of two */
	size_t mask;
	uint64_t seed[2];
};
struct zone_builder {
	struct buf nodes, rrs, bytes;
	uint32_t *index;
	size_t mask, n_nodes, n_rrs;
	uint64_t seed[2];
	bool failed;
};

static uint64_t name_hash(const uint8_t *wire, size_t len, const uint64_t seed[2])
{
	return hash_bytes(wire, len, seed[0], seed[1]);
}

/* ---- building ---- */

struct zone_builder *zone_builder_new(void)
{
	struct zone_builder *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	random_system.fill(random_system.arg, b->seed, sizeof(b->seed));
	b->mask = 63;
	b->index = calloc(b->mask + 1, sizeof(*b->index));
	b->failed = !b->index;
	return b;
}

static struct node *nodes(const struct zone_builder *b)
{
	return (struct node *)(void *)buf_data(&b->nodes);
}

static uint32_t *slot_find(const struct zone_builder *b, const uint8_t *wire, size_t len)
{
	for (size_t i = name_hash(wire, len, b->seed);; i++) {
		uint32_t *slot = &b->index[i & b->mask];
		if (!*slot)
			return slot;
		const struct node *n = &nodes(b)[*slot - 1];
		if (n->name_len == len && !memcmp(buf_data(&b->bytes) + n->name_at, wire, len))
			return slot;
	}
}

static bool index_grow(struct zone_builder *b)
{
	size_t mask = b->mask * 2 + 1;
	uint32_t *bigger = calloc(mask + 1, sizeof(*bigger));
	if (!bigger)
		return false;
	free(b->index);
	b->index = bigger;
	b->mask = mask;
	for (uint32_t i = 0; i < b->n_nodes; i++) {
		const struct node *n = &nodes(b)[i];
		*slot_find(b, buf_data(&b->bytes) + n->name_at, n->name_len) = i + 1;
	}
	return true;
}

/* The node of a name, made when it is new. -1: memory short. */
static long node_make(struct zone_builder *b, const uint8_t *wire, size_t len)
{
	if (b->failed || (b->n_nodes * 2 > b->mask && !index_grow(b)))
		return -1;
	uint32_t *slot = slot_find(b, wire, len);
	if (*slot)
		return (long)*slot - 1;
	struct node n = { .name_at = (uint32_t)b->bytes.len, .name_len = (uint8_t)len };
	if (!buf_append(&b->bytes, wire, len) || !buf_append(&b->nodes, &n, sizeof(n)))
		return -1;
	*slot = (uint32_t)++b->n_nodes;
	return (long)*slot - 1;
}

/* A CNAME says that the name is another's: nothing may stand beside it (RFC 2181 10.1). */
static bool may_stand(struct node *n, uint16_t type)
{
	bool alias = type == DNS_CNAME;
	if (n->alias || (alias && n->plain))
		return false;
	*(alias ? &n->alias : &n->plain) = true;
	return true;
}

bool zone_add_record(
	struct zone_builder *b, const struct dns_name *name, uint16_t type, const uint8_t *rdata, size_t len)
{
	struct dns_name n = *name;
	dns_name_fold(&n);
	long node = node_make(b, n.b, n.len);
	struct loose_rr r = { .node = (uint32_t)node, .rr = { .type = type, .len = (uint16_t)len } };
	r.rr.at = (uint32_t)b->bytes.len;
	if (node >= 0 && !may_stand(&nodes(b)[node], type))
		return false;
	if (node < 0 || len > UINT16_MAX || !buf_append(&b->bytes, rdata, len) ||
		!buf_append(&b->rrs, &r, sizeof(r))) {
		b->failed = true;
		return false;
	}
	b->n_rrs++;
	return true;
}

bool zone_builder_failed(const struct zone_builder *b)
{
	return b->failed;
}

bool zone_add_address(struct zone_builder *b, const char *name, const struct addr *ip, bool with_ptr)
{
	struct dns_name n, reverse;
	if (!dns_name_parse(name, &n))
		return false;
	bool v4 = addr_is_v4(ip);
	if (!zone_add_record(b, &n, v4 ? DNS_A : DNS_AAAA, v4 ? ip->b + 12 : ip->b, v4 ? 4 : 16))
		return false;
	if (!with_ptr)
		return true;
	dns_name_reverse(ip, &reverse);
	return zone_add_record(b, &reverse, DNS_PTR, n.b, n.len);
}

bool zone_add_authority(struct zone_builder *b, const char *suffix)
{
	struct dns_name n;
	if (!dns_name_parse(suffix, &n))
		return false;
	dns_name_fold(&n);
	long node = node_make(b, n.b, n.len);
	if (node < 0) {
		b->failed = true;
		return false;
	}
	nodes(b)[node].authority = true;
	return true;
}

/* Names between a record and its authority exist, though empty (RFC 8020: NXDOMAIN there would deny all
 * below). */
static bool parents_make(struct zone_builder *b)
{
	size_t given = b->n_nodes;
	for (size_t i = 0; i < given; i++) {
		struct dns_name name = { .len = nodes(b)[i].name_len };
		memcpy(name.b, buf_data(&b->bytes) + nodes(b)[i].name_at, name.len);
		size_t at = 0, apex = 0;
		for (; at < name.len; at += name.b[at] + 1u) {
			uint32_t *slot = slot_find(b, name.b + at, name.len - at);
			if (*slot && nodes(b)[*slot - 1].authority && at)
				apex = at;
		}
		for (at = 0; at < apex; at += name.b[at] + 1u)
			if (node_make(b, name.b + at, name.len - at) < 0)
				return false;
	}
	return true;
}

static int loose_compare(const void *x, const void *y)
{
	const struct loose_rr *a = x, *b = y;
	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	if (a->rr.type != b->rr.type)
		return a->rr.type < b->rr.type ? -1 : 1;
	return a->rr.at < b->rr.at ? -1 : a->rr.at > b->rr.at;
}

/* The same node, type and bytes: what was given first stands first. */
static int content_compare(const void *x, const void *y, void *bytes)
{
	const struct loose_rr *a = x, *b = y;
	const uint8_t *base = bytes;
	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	if (a->rr.type != b->rr.type)
		return a->rr.type < b->rr.type ? -1 : 1;
	if (a->rr.len != b->rr.len)
		return a->rr.len < b->rr.len ? -1 : 1;
	int order = memcmp(base + a->rr.at, base + b->rr.at, a->rr.len);
	return order ? order : a->rr.at < b->rr.at ? -1 : a->rr.at > b->rr.at;
}

static bool same_record(const struct zone *z, const struct loose_rr *a, const struct loose_rr *b)
{
	return a->node == b->node && a->rr.type == b->rr.type && a->rr.len == b->rr.len &&
	       !memcmp(z->bytes + a->rr.at, z->bytes + b->rr.at, a->rr.len);
}

/* Twice is once. A list of blocked names gives one address thousands of names: nothing here may look at every
 * pair. */
static size_t repeats_drop(const struct zone *z, struct loose_rr *loose, size_t n)
{
	size_t out = 0;
	if (n)
		qsort_r(loose, n, sizeof(*loose), content_compare, z->bytes);
	for (size_t i = 0; i < n; i++)
		if (!out || !same_record(z, &loose[out - 1], &loose[i]))
			loose[out++] = loose[i];
	return out;
}

static void records_freeze(struct zone *z, struct loose_rr *loose, size_t n)
{
	n = repeats_drop(z, loose, n);
	if (n)
		qsort(loose, n, sizeof(*loose), loose_compare);
	for (size_t i = 0; i < n; i++) {
		struct node *node = &z->nodes[loose[i].node];
		if (!node->n++)
			node->first = (uint32_t)i;
		z->rrs[i] = loose[i].rr;
	}
}

static void *taken(struct buf *b)
{
	void *p = b->at ? NULL : b->p;
	*b = (struct buf) { 0 };
	return p;
}

struct zone *zone_build(struct zone_builder *b)
{
	struct zone *z = b->failed || !parents_make(b) ? NULL : calloc(1, sizeof(*z));
	if (z && !(z->rrs = calloc(b->n_rrs + 1, sizeof(*z->rrs)))) {
		free(z);
		z = NULL;
	}
	if (z) {
		z->refs = 1;
		z->nodes = taken(&b->nodes);
		z->bytes = taken(&b->bytes);
		z->index = b->index;
		b->index = NULL;
		z->mask = b->mask;
		memcpy(z->seed, b->seed, sizeof(z->seed));
		records_freeze(z, (struct loose_rr *)(void *)buf_data(&b->rrs), b->n_rrs);
	}
	free(b->index);
	buf_free(&b->nodes);
	buf_free(&b->rrs);
	buf_free(&b->bytes);
	free(b);
	return z;
}

struct zone *zone_get(struct zone *z)
{
	z->refs++;
	return z;
}

void zone_put(struct zone *z)
{
	if (!z || --z->refs)
		return;
	free(z->nodes);
	free(z->rrs);
	free(z->bytes);
	free(z->index);
	free(z);
}

/* ---- looking up ---- */

static const struct node *node_find(const struct zone *z, const uint8_t *wire, size_t len)
{
	for (size_t i = name_hash(wire, len, z->seed);; i++) {
		uint32_t number = z->index[i & z->mask];
		if (!number)
			return NULL;
		const struct node *n = &z->nodes[number - 1];
		if (n->name_len == len && !memcmp(z->bytes + n->name_at, wire, len))
			return n;
	}
}

static void apex_set(struct zone_hit *out, const struct dns_name *name, size_t at)
{
	out->apex.len = (uint8_t)(name->len - at);
	memcpy(out->apex.b, name->b + at, out->apex.len);
	out->apex_labels = (uint8_t)dns_name_labels(&out->apex);
	out->owned = true;
}

/* RFC 4592: a wildcard stands for names whose closest existing ancestor is its parent. */
static const struct node *wildcard_find(const struct zone *z, const struct dns_name *name, size_t encloser)
{
	struct dns_name w = { .len = (uint8_t)(name->len - encloser + 2), .b = { 1, '*' } };
	memcpy(w.b + 2, name->b + encloser, name->len - encloser);
	return node_find(z, w.b, w.len);
}

void zone_find(const struct zone *z, const struct dns_name *name, struct zone_hit *out)
{
	const struct node *found = z ? node_find(z, name->b, name->len) : NULL;
	size_t encloser = 0;
	out->verdict = ZONE_FOREIGN;
	out->n = 0;
	out->rrs = NULL;
	out->apex_labels = 0;
	out->owned = false;
	out->is_apex = found && found->authority;
	if (!z)
		return;
	for (size_t at = 0; at < name->len; at += name->b[at] + 1u) {
		const struct node *n = at ? node_find(z, name->b + at, name->len - at) : found;
		if (n && at && !encloser)
			encloser = at;
		if (!n || !n->authority)
			continue;
		apex_set(out, name, at);
		break;
	}
	if (!found && out->owned) {
		out->verdict = ZONE_NO_NAME;
		found = wildcard_find(z, name, encloser);
	}
	if (!found)
		return;
	out->verdict = ZONE_NAME;
	out->rrs = z->rrs + found->first;
	out->n = found->n;
	if (!out->owned) { /* a record on its own: its name is all we speak for */
		apex_set(out, name, 0);
		out->owned = false;
	}
}

const uint8_t *zone_rdata(const struct zone *z, const struct zone_rr *rr)
{
	return z->bytes + rr->at;
}

const struct zone_rr *zone_set(const struct zone_hit *h, uint16_t type, uint32_t *n)
{
	uint32_t first = 0;
	while (first < h->n && h->rrs[first].type != type && type != DNS_ANY)
		first++;
	*n = 0;
	while (first + *n < h->n && h->rrs[first + *n].type == h->rrs[first].type)
		++*n;
	return h->n ? h->rrs + first : NULL;
}

void zone_soa_write(struct dns_writer *d, const struct dns_name *apex)
{
	static const struct dns_name hostmaster = { 16, "\6nobody\7invalid" };
	static const uint32_t fields[] = { 1, 3600, 1200, 604800, ZONE_NEGATIVE_TTL_S };
	size_t at = dns_write_rr(d, apex, DNS_SOA, ZONE_NEGATIVE_TTL_S);
	dns_write_name(d, apex, true);
	dns_write_name(d, &hostmaster, true);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		wr_u32(&d->w, fields[i]);
	dns_write_rr_end(d, at);
}
