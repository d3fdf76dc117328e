#include "mesh/wg/allowed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct allowed_node {
	uint64_t hi, lo; /* the prefix, masked */
	struct allowed_node *child[2];
	void *owner;  /* NULL: only a fork; it then has both children */
	uint8_t bits; /* of 128 in both families */
};

struct key {
	uint64_t hi, lo;
	unsigned bits, family;
};

static uint64_t load(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load() swaps");

static uint64_t mask(unsigned bits)
{
	return bits >= 64 ? ~UINT64_C(0) : ~(~UINT64_C(0) >> bits);
}

static struct key key_of(const struct addr *ip, unsigned bits)
{
	struct key k = { load(ip->b), load(ip->b + 8), bits, 0 };
	k.family = addr_is_v4(ip) ? 0 : 1;
	k.hi &= mask(bits);
	k.lo &= bits > 64 ? mask(bits - 64) : 0;
	return k;
}

static bool read_prefix(const struct prefix *p, struct key *out)
{
	bool v4 = addr_is_v4(&p->ip);
	if (p->bits > (v4 ? 32 : 128))
		return false;
	*out = key_of(&p->ip, v4 ? 96u + p->bits : p->bits);
	return true;
}

static unsigned bit_at(uint64_t hi, uint64_t lo, unsigned i)
{
	return (i < 64 ? hi : lo) >> (63 - i % 64) & 1;
}

static unsigned common_bits(const struct allowed_node *n, const struct key *k)
{
	uint64_t x = n->hi ^ k->hi, y = n->lo ^ k->lo;
	unsigned same = x ? (unsigned)__builtin_clzll(x) : y ? 64 + (unsigned)__builtin_clzll(y) : 128;
	unsigned most = n->bits < k->bits ? n->bits : k->bits;
	return same < most ? same : most;
}

static struct allowed_node *make_node(const struct key *k, unsigned bits, void *owner)
{
	struct allowed_node *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->hi = k->hi & mask(bits);
	n->lo = bits > 64 ? k->lo & mask(bits - 64) : 0;
	n->bits = (uint8_t)bits;
	n->owner = owner;
	return n;
}

/* Puts a new leaf beside or above *at, which shares only its first `same` bits with k. */
static bool split(struct allowed_node **at, const struct key *k, unsigned same, void *owner)
{
	struct allowed_node *old = *at, *leaf = make_node(k, k->bits, owner), *fork = leaf;
	if (!leaf)
		return false;
	if (same < k->bits) {
		fork = make_node(k, same, NULL);
		if (!fork) {
			free(leaf);
			return false;
		}
		fork->child[bit_at(k->hi, k->lo, same)] = leaf;
	}
	fork->child[bit_at(old->hi, old->lo, same)] = old;
	*at = fork;
	return true;
}

static bool is_host(const struct key *k)
{
	return k->bits == 128;
}

static bool put_host(struct allowed *a, const struct addr *ip, void *owner)
{
	if (!a->hosts.key_len)
		table_init(&a->hosts, sizeof(ip->b), 0); /* keys are the server's */
	return table_put(&a->hosts, ip->b, owner);
}

static bool put_net(struct allowed_node **at, const struct key *k, void *owner)
{
	while (*at) {
		struct allowed_node *n = *at;
		unsigned same = common_bits(n, k);
		if (same < n->bits)
			return split(at, k, same, owner);
		if (n->bits == k->bits) {
			n->owner = owner;
			return true;
		}
		at = &n->child[bit_at(k->hi, k->lo, n->bits)];
	}
	*at = make_node(k, k->bits, owner);
	return *at;
}

bool allowed_put(struct allowed *a, const struct prefix *p, void *owner)
{
	struct key k;
	if (!read_prefix(p, &k))
		return false;
	a->changes++;
	return is_host(&k) ? put_host(a, &p->ip, owner) : put_net(&a->root[k.family], &k, owner);
}

static char nobody; /* has what is reserved */

bool allowed_reserve(struct allowed *a, const struct prefix *p)
{
	return allowed_put(a, p, &nobody);
}

/* Drops *at when it owns nothing and forks nothing. */
static void prune(struct allowed_node **at)
{
	struct allowed_node *n = *at;
	if (!n || n->owner || (n->child[0] && n->child[1]))
		return;
	*at = n->child[0] ? n->child[0] : n->child[1];
	free(n);
}

static void remove_host(struct allowed *a, const struct addr *ip, const void *owner)
{
	if (!a->hosts.n || table_get(&a->hosts, ip->b) != owner)
		return;
	a->changes++;
	(void)table_remove(&a->hosts, ip->b);
	table_fit(&a->hosts);
}

static void remove_net(struct allowed *a, const struct key *k, const void *owner)
{
	struct allowed_node **at = &a->root[k->family], **above = NULL;
	while (*at && (*at)->bits < k->bits) {
		above = at;
		at = &(*at)->child[bit_at(k->hi, k->lo, (*at)->bits)];
	}
	struct allowed_node *n = *at;
	if (!n || n->bits != k->bits || n->hi != k->hi || n->lo != k->lo || n->owner != owner)
		return;
	a->changes++;
	n->owner = NULL;
	prune(at);
	if (above)
		prune(above);
}

void allowed_remove(struct allowed *a, const struct prefix *p, const void *owner)
{
	struct key k;
	if (!read_prefix(p, &k))
		return;
	if (is_host(&k))
		remove_host(a, &p->ip, owner);
	else
		remove_net(a, &k, owner);
}

void *allowed_get(const struct allowed *a, const struct addr *ip)
{
	void *best = a->hosts.n ? table_get(&a->hosts, ip->b) : NULL;
	if (best)
		return best;
	struct key k = key_of(ip, 128);
	for (const struct allowed_node *n = a->root[k.family]; n; n = n->child[bit_at(k.hi, k.lo, n->bits)]) {
		if (common_bits(n, &k) < n->bits)
			break;
		if (n->owner)
			best = n->owner;
	}
	return best == &nobody ? NULL : best;
}

static void free_below(struct allowed_node *n)
{
	if (!n)
		return;
	free_below(n->child[0]);
	free_below(n->child[1]); /* depth is at most 129 */
	free(n);
}

void allowed_fini(struct allowed *a)
{
	free_below(a->root[0]);
	free_below(a->root[1]);
	table_fini(&a->hosts);
	memset(a, 0, sizeof(*a));
}
