#include "mesh/control/fleet/keyring.h"
#include "mesh/base/sorted.h"

#include <stdlib.h>
#include <string.h>

void keyring_init(struct keyring *k, uint64_t seed)
{
	*k = (struct keyring) { 0 };
	table_init(&k->by_hash, STORE_HASH, seed);
}

void keyring_fini(struct keyring *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->v[i]);
	free(k->v);
	table_fini(&k->by_hash);
	*k = (struct keyring) { 0 };
}

static bool key_before(const void *v, size_t i, const void *id)
{
	return ((struct preauth *const *)v)[i]->id < *(const int64_t *)id;
}

/* Index of the first key whose id is not below `id`. */
static size_t key_at(const struct keyring *k, int64_t id)
{
	return sorted_before(k->v, k->n, &id, key_before);
}

/* One piece of memory: the tags stand behind the key. */
static struct preauth *copy_key(const struct preauth *p)
{
	size_t len = strlen(p->tags) + 1;
	struct preauth *copy = malloc(sizeof(*copy) + len);
	if (!copy)
		return NULL;
	*copy = *p;
	copy->tags = memcpy(copy + 1, p->tags, len);
	return copy;
}

bool keyring_add(struct keyring *k, const struct preauth *p)
{
	size_t i = key_at(k, p->id);
	if (k->n == k->size) {
		size_t size = k->size ? k->size * 2 : 16;
		struct preauth **v = reallocarray(k->v, size, sizeof(struct preauth *));
		if (!v)
			return false;
		k->v = v;
		k->size = size;
	}
	struct preauth *copy = copy_key(p);
	if (!copy || !table_put(&k->by_hash, copy->hash, copy)) {
		free(copy);
		return false;
	}
	memmove(k->v + i + 1, k->v + i, (k->n - i) * sizeof(struct preauth *));
	k->v[i] = copy;
	k->n++;
	return true;
}

struct preauth *keyring_by_hash(const struct keyring *k, const uint8_t hash[static STORE_HASH])
{
	return table_get(&k->by_hash, hash);
}

struct preauth *keyring_by_id(const struct keyring *k, int64_t id)
{
	size_t i = key_at(k, id);
	return i < k->n && k->v[i]->id == id ? k->v[i] : NULL;
}

struct preauth *keyring_by_prefix(const struct keyring *k, const char *prefix)
{
	for (size_t i = 0; i < k->n; i++)
		if (!strcmp(k->v[i]->prefix, prefix))
			return k->v[i];
	return NULL;
}

void keyring_drop_user(struct keyring *k, int64_t user)
{
	size_t kept = 0;
	for (size_t i = 0; i < k->n; i++) {
		struct preauth *p = k->v[i];
		if (p->user != user) {
			k->v[kept++] = p;
			continue;
		}
		table_remove(&k->by_hash, p->hash);
		free(p);
	}
	k->n = kept;
}

void keyring_remove(struct keyring *k, int64_t id)
{
	size_t i = key_at(k, id);
	if (i >= k->n || k->v[i]->id != id)
		return;
	table_remove(&k->by_hash, k->v[i]->hash);
	free(k->v[i]);
	k->n--;
	memmove(k->v + i, k->v + i + 1, (k->n - i) * sizeof(struct preauth *));
}
