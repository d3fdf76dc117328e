#include "resolver/suffix.h"

#include "mesh/base/table.h"
#include <stdlib.h>
#include <string.h>

/* A name is looked for with each of its labels as the first, and most of these are nowhere: a bit by what is cheap to know
 * of a suffix, set for each that is here, tells most of them apart without their hash. */
enum { HINTS = 1024, HINT_WORD = 64 };

struct suffixes {
	uint64_t hints[HINTS / HINT_WORD];
	struct dns_name *names;
	size_t n;
	uint32_t *index; /* number + 1, 0 = free */
	size_t mask;
	uint64_t seed[2];
};

static uint32_t *slot_find(const struct suffixes *s, const uint8_t *wire, size_t len)
{
	for (size_t i = hash_bytes(wire, len, s->seed[0], s->seed[1]);; i++) {
		uint32_t *slot = &s->index[i & s->mask];
		if (!*slot)
			return slot;
		const struct dns_name *n = &s->names[*slot - 1];
		if (n->len == len && !memcmp(n->b, wire, len))
			return slot;
	}
}

static unsigned hint_of(const uint8_t *wire, size_t len)
{
	return ((unsigned)len << 5 ^ (unsigned)wire[0] << 3 ^ (len > 1 ? wire[1] : 0)) % HINTS;
}

static bool may_be_here(const struct suffixes *s, const uint8_t *wire, size_t len)
{
	unsigned hint = hint_of(wire, len);
	return s->hints[hint / HINT_WORD] >> hint % HINT_WORD & 1;
}

struct suffixes *suffixes_new(const struct dns_name *names, size_t n, const uint64_t seed[2])
{
	struct suffixes *s = calloc(1, sizeof(*s));
	size_t size = 16;
	while (size < n * 2 + 1)
		size *= 2;
	if (!s)
		return NULL;
	s->mask = size - 1;
	s->n = n;
	s->names = calloc(n + 1, sizeof(*s->names));
	s->index = calloc(size, sizeof(*s->index));
	if (!s->names || !s->index) {
		suffixes_free(s);
		return NULL;
	}
	memcpy(s->seed, seed, sizeof(s->seed));
	for (size_t i = 0; i < n; i++) {
		s->names[i] = names[i];
		*slot_find(s, names[i].b, names[i].len) = (uint32_t)i + 1;
		unsigned hint = hint_of(names[i].b, names[i].len);
		s->hints[hint / HINT_WORD] |= UINT64_C(1) << hint % HINT_WORD;
	}
	return s;
}

void suffixes_free(struct suffixes *s)
{
	if (!s)
		return;
	free(s->names);
	free(s->index);
	free(s);
}

int suffixes_exact(const struct suffixes *s, const struct dns_name *name)
{
	return (int)*slot_find(s, name->b, name->len) - 1;
}

const struct dns_name *suffixes_name(const struct suffixes *s, size_t i)
{
	return i < s->n ? &s->names[i] : NULL;
}

int suffixes_longest(const struct suffixes *s, const struct dns_name *name, unsigned *labels)
{
	unsigned left = dns_name_labels(name);
	for (size_t at = 0;; at += name->b[at] + 1u, left--) {
		const uint8_t *wire = name->b + at;
		size_t len = name->len - at;
		uint32_t number = may_be_here(s, wire, len) ? *slot_find(s, wire, len) : 0;
		if (number) {
			*labels = left;
			return (int)number - 1;
		}
		if (!name->b[at])
			break;
	}
	*labels = 0;
	return -1;
}
