#include "mesh/base/table.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Half of the room is given back when an eighth is in use: what comes and goes at once does not move the line. */
enum { SIZE_MIN = 16, SPARSE = 8 };

/* Copied keys lie behind the slots' values, so that one allocation holds a table of any key length. */
struct table_slot {
	void *value; /* NULL = free */
};

static uint64_t rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

/* Inline, though it is long: a call each would cost as much again. */
static inline __attribute__((always_inline)) void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static uint64_t le_load_word(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint64_t le_load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint64_t hash_bytes(const void *src, size_t len, uint64_t k0, uint64_t k1)
{
	const uint8_t *p = src;
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573 };
	size_t at = 0;
	for (; len - at >= 8; at += 8) {
		uint64_t m = le_load_word(p + at);
		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	uint64_t m = (uint64_t)len << 56 | (len > at ? le_load(p + at, len - at) : 0);
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void table_init(struct table *t, size_t key_len, uint64_t seed)
{
	*t = (struct table) { .key_len = key_len, .seed = { seed, seed ^ 0x9e3779b97f4a7c15 } };
}

void table_fini(struct table *t)
{
	free(t->slots);
	t->slots = NULL;
	t->n = t->size = 0;
}

void table_init_inside(struct table *t, size_t key_len, size_t key_at, uint64_t seed)
{
	table_init(t, key_len, seed);
	t->key_at = key_at + 1;
}

/* Of a slot that is in use. */
static const uint8_t *key_of_slot(const struct table *t, size_t i)
{
	if (t->key_at)
		return (const uint8_t *)t->slots[i].value + (t->key_at - 1);
	return (const uint8_t *)(t->slots + t->size) + i * t->key_len;
}

static void fill_slot(struct table *t, size_t i, const void *key, void *value)
{
	t->slots[i].value = value;
	if (!t->key_at)
		memcpy((uint8_t *)(t->slots + t->size) + i * t->key_len, key, t->key_len);
}

static size_t home_of(const struct table *t, const void *key)
{
	return hash_bytes(key, t->key_len, t->seed[0], t->seed[1]) & (t->size - 1);
}

/* Where key is, or the free slot where it would go. size must not be 0. */
static size_t table_find(const struct table *t, const void *key)
{
	size_t i = home_of(t, key);
	while (t->slots[i].value && memcmp(key_of_slot(t, i), key, t->key_len) != 0)
		i = (i + 1) & (t->size - 1);
	return i;
}

void *table_get(const struct table *t, const void *key)
{
	return t->size ? t->slots[table_find(t, key)].value : NULL;
}

static bool resize(struct table *t, size_t size)
{
	struct table bigger = *t;
	bigger.size = size;
	bigger.slots = calloc(size, sizeof(*t->slots) + (t->key_at ? 0 : t->key_len));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < t->size; i++) {
		if (!t->slots[i].value)
			continue;
		const uint8_t *key = key_of_slot(t, i);
		fill_slot(&bigger, table_find(&bigger, key), key, t->slots[i].value);
	}
	free(t->slots);
	*t = bigger;
	return true;
}

bool table_put(struct table *t, const void *key, void *value)
{
	size_t i = t->size ? table_find(t, key) : 0;
	if (t->size && t->slots[i].value) {
		t->slots[i].value = value;
		return true;
	}
	if ((t->n + 1) * 4 > t->size * 3) {
		if (!resize(t, t->size ? t->size * 2 : SIZE_MIN))
			return false;
		i = table_find(t, key);
	}
	t->n++;
	fill_slot(t, i, key, value);
	return true;
}

void *table_remove(struct table *t, const void *key)
{
	if (!t->size)
		return NULL;
	size_t i = table_find(t, key);
	void *value = t->slots[i].value;
	if (!value)
		return NULL;
	t->n--;
	/* Close the gap: move back what a probe would no longer find across it. */
	for (size_t j = (i + 1) & (t->size - 1); t->slots[j].value; j = (j + 1) & (t->size - 1)) {
		size_t home = home_of(t, key_of_slot(t, j));
		if (((j - home) & (t->size - 1)) < ((j - i) & (t->size - 1)))
			continue;
		fill_slot(t, i, key_of_slot(t, j), t->slots[j].value);
		i = j;
	}
	t->slots[i].value = NULL;
	return value;
}

void table_fit(struct table *t)
{
	if (t->size > SIZE_MIN && t->n < t->size / SPARSE)
		(void)resize(t, t->size / 2);
}

/* *at holds a free slot to begin behind (high half, plus one) and the steps taken. Going backwards from a
 * free slot no cluster wraps, so closing a gap moves only entries that were given already. */
void *table_next(const struct table *t, size_t *at)
{
	if (!t->size)
		return NULL;
	size_t start = *at >> 32, step = *at & 0xffffffff;
	if (!start) {
		while (t->slots[start].value)
			start++;
		start++;
	}
	while (++step < t->size) {
		size_t slot = (start - 1 - step) & (t->size - 1);
		if (t->slots[slot].value) {
			*at = start << 32 | step;
			return t->slots[slot].value;
		}
	}
	*at = start << 32 | (t->size - 1);
	return NULL;
}
