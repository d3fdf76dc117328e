/* The set of names is a hash table without gaps between its entries: `blob` holds them one behind the other
 * (length, name in wire form, the lists that cover the name, those that cover what is under it), `at` where each
 * begins, and `tags` a byte of each one's hash, 0 where a place is free. A name that is not there mostly costs a
 * look at the tags, a byte for each of two million places, which fits where the blob does not: into the
 * processor's cache. A question looks once for itself and once for each name above it.
 *
 * Most questions are for names that no list has anything of. `tails` is a bit for each hash of the last two labels
 * of all names: where theirs is not set, one look is all. */
#include "resolver/block.h"

#include "mesh/base/table.h"
#include "resolver/block_regex.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLACES_MIN = 1024,
	LISTS_LEN = 2 * sizeof(uint32_t),
	TAG_USED = 0x80,
	TAIL_LABELS = 2,
	TAIL_BITS = 1 << 22
};

struct regex_row {
	struct block_regex *x;
	unsigned list;
};
struct block {
	unsigned refs;
	uint64_t seed[2];
	uint8_t *blob, *tags;
	uint32_t *at;
	size_t len, cap; /* of the blob */
	size_t n, mask;
	uint32_t allows;  /* which lists do */
	uint8_t *tails;	  /* TAIL_BITS */
	bool short_names; /* some have fewer than TAIL_LABELS */
	unsigned n_lists, n_regexes;
	char names[BLOCK_LISTS_MAX][BLOCK_LIST_NAME];
	struct regex_row regexes[BLOCK_REGEXES_MAX];
};

static bool places_make(struct block *b, size_t n)
{
	b->tags = calloc(n, sizeof(*b->tags));
	b->at = malloc(n * sizeof(*b->at));
	b->mask = n - 1;
	if (b->tags && b->at)
		return true;
	free(b->tags);
	free(b->at);
	return false;
}

struct block *block_new(const uint64_t seed[2])
{
	struct block *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->refs = 1;
	memcpy(b->seed, seed, sizeof(b->seed));
	b->tails = calloc(TAIL_BITS / 8, 1);
	if (b->tails && places_make(b, PLACES_MIN))
		return b;
	free(b->tails);
	free(b);
	return NULL;
}

struct block *block_get(struct block *b)
{
	b->refs++;
	return b;
}

void block_put(struct block *b)
{
	if (!b || --b->refs)
		return;
	for (unsigned i = 0; i < b->n_regexes; i++)
		block_regex_free(b->regexes[i].x);
	free(b->blob);
	free(b->tails);
	free(b->tags);
	free(b->at);
	free(b);
}

/* ---- names ---- */

static uint64_t name_hash(const struct block *b, const uint8_t *name, size_t len)
{
	return hash_bytes(name, len, b->seed[0], b->seed[1]);
}

/* Where the last two labels begin; 0 for a name that has no more. */
static size_t tail_at(const struct dns_name *name, unsigned labels)
{
	size_t at = 0;
	for (; labels > TAIL_LABELS; labels--)
		at += name->b[at] + 1u;
	return at;
}

static void tail_add(struct block *b, const struct dns_name *name)
{
	unsigned labels = dns_name_labels(name);
	size_t at = tail_at(name, labels);
	uint64_t bit = name_hash(b, name->b + at, name->len - at) % TAIL_BITS;
	b->tails[bit / 8] |= (uint8_t)(1 << bit % 8);
	b->short_names = b->short_names || labels < TAIL_LABELS;
}

/* false: no name of the set has these last labels. */
static bool tail_is_there(const struct block *b, const struct dns_name *name, unsigned labels)
{
	size_t at = tail_at(name, labels);
	uint64_t bit = name_hash(b, name->b + at, name->len - at) % TAIL_BITS;
	return b->short_names || b->tails[bit / 8] >> bit % 8 & 1;
}

static uint8_t tag_of(uint64_t hash)
{
	return (uint8_t)(hash >> 57 | TAG_USED);
}

/* Where the name is, or the free place where it would be. */
static size_t place_find(const struct block *b, uint64_t hash, const uint8_t *name, size_t len)
{
	size_t i = hash & b->mask;
	for (; b->tags[i]; i = (i + 1) & b->mask) {
		const uint8_t *e = b->blob + b->at[i];
		if (b->tags[i] == tag_of(hash) && e[0] == len && memcmp(e + 1, name, len) == 0)
			break;
	}
	return i;
}

static bool places_grow(struct block *b)
{
	struct block old = *b;
	if (!places_make(b, (old.mask + 1) * 2)) {
		b->tags = old.tags;
		b->at = old.at;
		b->mask = old.mask;
		return false;
	}
	for (size_t at = 0; at < b->len; at += 1u + b->blob[at] + LISTS_LEN) {
		uint64_t hash = name_hash(b, b->blob + at + 1, b->blob[at]);
		size_t i = hash & b->mask;
		while (b->tags[i])
			i = (i + 1) & b->mask;
		b->tags[i] = tag_of(hash);
		b->at[i] = (uint32_t)at;
	}
	free(old.tags);
	free(old.at);
	return true;
}

static int blob_reserve(struct block *b, size_t n)
{
	if (b->len + n > UINT32_MAX)
		return ERR_TOO_LARGE;
	if (b->len + n <= b->cap)
		return 0;
	size_t cap = b->cap + b->cap / 2 + 4096;
	uint8_t *p = realloc(b->blob, cap);
	if (!p)
		return -ENOMEM;
	b->blob = p;
	b->cap = cap;
	return 0;
}

static void lists_of(const uint8_t *entry, uint32_t lists[2])
{
	memcpy(lists, entry + 1 + entry[0], LISTS_LEN);
}

int block_add(struct block *b, unsigned list, const struct dns_name *name, unsigned reach)
{
	uint32_t lists[2] = { 0, 0 };
	if (b->n >= (b->mask + 1) / 4 * 3 && !places_grow(b))
		return -ENOMEM;
	uint64_t hash = name_hash(b, name->b, name->len);
	size_t i = place_find(b, hash, name->b, name->len);
	if (!b->tags[i]) {
		int err = blob_reserve(b, 1u + name->len + LISTS_LEN);
		if (err)
			return err;
		b->tags[i] = tag_of(hash);
		b->at[i] = (uint32_t)b->len;
		b->blob[b->len] = name->len;
		memcpy(b->blob + b->len + 1, name->b, name->len);
		memset(b->blob + b->len + 1 + name->len, 0, LISTS_LEN);
		b->len += 1u + name->len + LISTS_LEN;
		b->n++;
		tail_add(b, name);
	}
	uint8_t *e = b->blob + b->at[i];
	lists_of(e, lists);
	lists[0] |= reach & BLOCK_NAME ? UINT32_C(1) << list : 0;
	lists[1] |= reach & BLOCK_BELOW ? UINT32_C(1) << list : 0;
	memcpy(e + 1 + e[0], lists, LISTS_LEN);
	return 0;
}

/* All lists that have the name, or one above it with all that is under it. */
static uint32_t lists_find(const struct block *b, const struct dns_name *name)
{
	uint64_t hashes[DNS_LABELS_MAX];
	uint32_t all = 0, lists[2];
	unsigned labels = dns_name_labels(name), n = 0;
	if (!tail_is_there(b, name, labels))
		return 0;
	/* all hashes first: memory brings the places while the next is computed */
	for (size_t at = 0; name->b[at]; at += name->b[at] + 1u, n++) {
		hashes[n] = name_hash(b, name->b + at, name->len - at);
		__builtin_prefetch(b->tags + (hashes[n] & b->mask));
	}
	for (size_t at = 0, k = 0; k < n; at += name->b[at] + 1u, k++) {
		size_t i = place_find(b, hashes[k], name->b + at, name->len - at);
		if (!b->tags[i])
			continue;
		lists_of(b->blob + b->at[i], lists);
		all |= lists[at != 0];
	}
	return all;
}

/* ---- lists ---- */

int block_list_add(struct block *b, const char *name, bool allows, unsigned *list)
{
	if (b->n_lists == BLOCK_LISTS_MAX)
		return ERR_TOO_LARGE;
	*list = b->n_lists++;
	snprintf(b->names[*list], BLOCK_LIST_NAME, "%s", name);
	b->allows |= allows ? UINT32_C(1) << *list : 0;
	return 0;
}

int block_add_regex(struct block *b, unsigned list, const char *text, size_t len, struct errbuf *eb)
{
	if (b->n_regexes == BLOCK_REGEXES_MAX)
		return err_say(eb, ERR_TOO_LARGE, "more than %d regular expressions", BLOCK_REGEXES_MAX);
	struct errbuf own;
	eb = eb ? eb : &own;
	struct block_regex *x = block_regex_new(text, len, eb);
	if (!x)
		return eb->code;
	b->regexes[b->n_regexes++] = (struct regex_row) { x, list };
	return 0;
}

const char *block_list_name(const struct block *b, unsigned list)
{
	return b->names[list];
}
size_t block_names(const struct block *b)
{
	return b->n;
}
size_t block_bytes(const struct block *b)
{
	size_t n = sizeof(*b) + TAIL_BITS / 8 + b->cap + (b->mask + 1) * (sizeof(*b->tags) + sizeof(*b->at));
	for (unsigned i = 0; i < b->n_regexes; i++)
		n += block_regex_bytes(b->regexes[i].x);
	return n;
}

/* ---- a question ---- */

/* Those of `lists` by whose expressions the name is found; not asked of lists in `known`. */
static uint32_t regexes_find(const struct block *b, uint32_t lists, const struct dns_name *name)
{
	char text[DNS_NAME_TEXT];
	uint32_t found = 0;
	size_t len = 0;
	for (unsigned i = 0; i < b->n_regexes; i++) {
		uint32_t bit = UINT32_C(1) << b->regexes[i].list;
		if (!(lists & bit & ~found))
			continue;
		len = len ? len : strlen(dns_name_format(name, text));
		found |= block_regex_matches(b->regexes[i].x, text, len) ? bit : 0;
	}
	return found;
}

enum block_verdict block_judge(
	const struct block *b, uint32_t lists, const struct dns_name *name, unsigned *by)
{
	if (!b || !lists)
		return BLOCK_PASS;
	uint32_t found = lists_find(b, name) & lists;
	if (!(found & b->allows))
		found |= regexes_find(b, lists & ~found, name);
	uint32_t said = found & b->allows ? found & b->allows : found;
	if (!said)
		return BLOCK_PASS;
	if (by)
		*by = (unsigned)__builtin_ctz(said);
	return said & b->allows ? BLOCK_ALLOWED : BLOCK_BLOCKED;
}
