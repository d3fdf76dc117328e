#include "mesh/netmap/chunks.h"
#include "mesh/base/sorted.h"
#include "mesh/netmap/copy.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { POINTER = sizeof(void *), SPARSE = CHUNK_PEERS / 2 };

uint64_t key_start(const struct node_key *key)
{
	uint64_t start;
	memcpy(&start, key->b, sizeof(start));
	return be64toh(start);
}

uint32_t address_end(const struct addr *a)
{
	uint32_t end;
	memcpy(&end, a->b + sizeof(a->b) - sizeof(end), sizeof(end));
	return be32toh(end);
}

struct netmap_peer *peer_new(const struct ctl_node *node)
{
	struct netmap_peer *p = malloc(sizeof(*p) + copy_node_size(node));
	if (!p)
		return NULL;
	p->refs = 1;
	p->told = NULL;
	copy_node(node, &p->node, p + 1);
	return p;
}

const struct netmap_peer *peer_get(const struct netmap_peer *p)
{
	((struct netmap_peer *)(uintptr_t)p)->refs++;
	return p;
}

void peer_put(const struct netmap_peer *const_peer)
{
	struct netmap_peer *p =
		(struct netmap_peer *)(uintptr_t)const_peer; /* we made it; others see it const */
	if (!p || --p->refs)
		return;
	peer_put(p->told);
	free(p);
}

const struct netmap_peer *peer_told(const struct netmap_peer *p)
{
	return p->told ? p->told : p;
}

/* ---- chunks ---- */

/* n of those that stand in from, from the at-th on, which stay counted as they are. */
static void move(
	struct netmap_chunk *to, unsigned to_at, const struct netmap_chunk *from, unsigned at, unsigned n)
{
	memmove(&to->peers[to_at], &from->peers[at], n * POINTER);
	memmove(&to->keys[to_at], &from->keys[at], n * sizeof(to->keys[0]));
	memmove(&to->ends[to_at], &from->ends[at], n * sizeof(to->ends[0]));
}

static void chunk_put(struct netmap_chunk *k)
{
	if (--k->refs)
		return;
	for (unsigned i = 0; i < k->n; i++)
		peer_put(k->peers[i]);
	free(k);
}

static bool peer_before(const void *v, size_t i, const void *id)
{
	return ((const struct netmap_peer *const *)v)[i]->node.id < *(const int64_t *)id;
}

static bool chunk_before(const void *v, size_t i, const void *id)
{
	const struct netmap_chunk *k = ((struct netmap_chunk *const *)v)[i];
	return k->peers[k->n - 1]->node.id < *(const int64_t *)id;
}

struct place {
	size_t chunk;
	unsigned at; /* in it */
	bool there;
};

/* Where id is or would stand: behind the last of a chunk only where that is the last of all. */
static struct place place_of(const struct netmap_chunks *c, int64_t id)
{
	struct place p = { .chunk = sorted_before(c->v, c->n, &id, chunk_before) };
	if (p.chunk == c->n && c->n) {
		p.chunk--;
		p.at = c->v[p.chunk]->n;
	} else if (c->n) {
		const struct netmap_chunk *k = c->v[p.chunk];
		p.at = (unsigned)sorted_before(k->peers, k->n, &id, peer_before);
		p.there = k->peers[p.at]->node.id == id;
	}
	return p;
}

/* A chunk that nobody else has, in the place of one that may be shared. NULL: memory short. */
static struct netmap_chunk *own(struct netmap_chunks *c, size_t i)
{
	struct netmap_chunk *k = c->v[i];
	if (k->refs == 1)
		return k;
	struct netmap_chunk *copy = malloc(sizeof(*copy));
	if (!copy)
		return NULL;
	*copy = *k;
	copy->refs = 1;
	for (unsigned p = 0; p < copy->n; p++)
		(void)peer_get(copy->peers[p]);
	k->refs--;
	c->v[i] = copy;
	return copy;
}

/* An empty chunk, which the caller fills at once, as the i-th. NULL: memory short. */
static struct netmap_chunk *insert_chunk(struct netmap_chunks *c, size_t i)
{
	if (c->n == c->cap) {
		size_t cap = c->cap + c->cap / 2 + 4;
		struct netmap_chunk **v = realloc(c->v, cap * POINTER);
		if (!v)
			return NULL;
		c->v = v;
		c->cap = cap;
	}
	struct netmap_chunk *k = malloc(sizeof(*k));
	if (!k)
		return NULL;
	k->refs = 1;
	k->n = 0;
	memmove(&c->v[i + 1], &c->v[i], (c->n - i) * POINTER);
	c->v[i] = k;
	c->n++;
	return k;
}

static void remove_chunk(struct netmap_chunks *c, size_t i)
{
	free(c->v[i]);
	c->n--;
	memmove(&c->v[i], &c->v[i + 1], (c->n - i) * POINTER);
}

/* Room for one more at p, which moves to where that is. What comes in order fills its chunks. NULL: memory short. */
static struct netmap_chunk *room(struct netmap_chunks *c, struct place *p)
{
	if (!c->n)
		return insert_chunk(c, 0);
	if (p->at == CHUNK_PEERS) {
		*p = (struct place) { .chunk = c->n };
		return insert_chunk(c, c->n);
	}
	struct netmap_chunk *k = own(c, p->chunk);
	if (!k || k->n < CHUNK_PEERS)
		return k;
	struct netmap_chunk *behind = insert_chunk(c, p->chunk + 1);
	if (!behind)
		return NULL;
	behind->n = k->n / 2;
	k->n -= behind->n;
	move(behind, 0, k, k->n, behind->n);
	if (p->at <= k->n)
		return k;
	p->at -= k->n;
	p->chunk++;
	return behind;
}

static void note_ends(uint32_t ends[static 2], const struct netmap_peer *p)
{
	const struct ctl_prefixes *l = &peer_told(p)->node.addresses;
	ends[0] = l->n > 2 ? ENDS_MANY : l->n ? address_end(&l->v[0].ip) : 0;
	ends[1] = l->n == 2 ? address_end(&l->v[1].ip) : ends[0];
}

bool chunks_put(struct netmap_chunks *c, const struct netmap_peer *p)
{
	struct place at = place_of(c, p->node.id);
	struct netmap_chunk *k = at.there ? own(c, at.chunk) : room(c, &at);
	if (!k)
		return false;
	if (at.there) {
		peer_put(k->peers[at.at]);
	} else {
		move(k, at.at + 1, k, at.at, k->n - at.at);
		k->n++;
	}
	k->peers[at.at] = p;
	k->keys[at.at] = key_start(&p->node.key);
	note_ends(k->ends[at.at], p);
	return true;
}

/* Two neighbours that hold little become one; where memory is short they stay two. */
static void join(struct netmap_chunks *c, size_t i)
{
	if (i + 1 >= c->n || c->v[i]->n + c->v[i + 1]->n > SPARSE)
		return;
	struct netmap_chunk *k = own(c, i), *next = k ? own(c, i + 1) : NULL;
	if (!next)
		return;
	move(k, k->n, next, 0, next->n);
	k->n += next->n;
	remove_chunk(c, i + 1);
}

bool chunks_remove(struct netmap_chunks *c, int64_t id)
{
	struct place p = place_of(c, id);
	struct netmap_chunk *k = p.there ? own(c, p.chunk) : NULL;
	if (!k)
		return !p.there;
	peer_put(k->peers[p.at]);
	k->n--;
	move(k, p.at, k, p.at + 1, k->n - p.at);
	if (!k->n) {
		remove_chunk(c, p.chunk);
		return true;
	}
	join(c, p.chunk);
	if (p.chunk)
		join(c, p.chunk - 1);
	return true;
}

/* ---- all of them ---- */

bool chunks_share(struct netmap_chunks *to, const struct netmap_chunks *from)
{
	size_t cap = from->n + 2; /* what one change may add */
	struct netmap_chunk **v = malloc(cap * POINTER);
	if (!v)
		return false;
	for (size_t i = 0; i < from->n; i++) {
		v[i] = from->v[i];
		v[i]->refs++;
	}
	*to = (struct netmap_chunks) { .v = v, .n = from->n, .cap = cap };
	return true;
}

void chunks_free(struct netmap_chunks *c)
{
	for (size_t i = 0; i < c->n; i++)
		chunk_put(c->v[i]);
	free(c->v);
	*c = (struct netmap_chunks) { 0 };
}

const struct netmap_peer *chunks_find(const struct netmap_chunks *c, int64_t id)
{
	struct place p = place_of(c, id);
	return p.there ? c->v[p.chunk]->peers[p.at] : NULL;
}

size_t chunks_count(const struct netmap_chunks *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->n; i++)
		n += c->v[i]->n;
	return n;
}

const struct netmap_peer **chunks_list(const struct netmap_chunks *c)
{
	const struct netmap_peer **all = malloc((chunks_count(c) + 1) * POINTER), **at = all;
	for (size_t i = 0; all && i < c->n; i++) {
		memcpy(at, c->v[i]->peers, c->v[i]->n * POINTER);
		at += c->v[i]->n;
	}
	return all;
}
