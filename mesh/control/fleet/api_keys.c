#include "mesh/control/fleet/api_keys.h"

#include <stdlib.h>
#include <string.h>

enum { PREFIX_LEN = 12, SECRET_LEN = 64 };

static const char *const words[] = { [API_KEY_ADMIN] = "hskey-api-", [API_KEY_CLIENT] = "hskey-client-" };

const char *api_key_word(enum api_key_kind kind)
{
	return words[kind];
}

void api_keys_fini(struct api_keys *k)
{
	free(k->v);
	*k = (struct api_keys) { 0 };
}

bool api_keys_add(struct api_keys *k, const struct api_key *key)
{
	if (k->n == k->size) {
		size_t size = k->size ? k->size * 2 : 8;
		struct api_key *v = reallocarray(k->v, size, sizeof(*v));
		if (!v)
			return false;
		k->v = v;
		k->size = size;
	}
	k->v[k->n++] = *key; /* numbers only grow */
	return true;
}

struct api_key *api_keys_by_id(const struct api_keys *k, int64_t id)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].id == id)
			return &k->v[i];
	return NULL;
}

struct api_key *api_keys_by_prefix(const struct api_keys *k, const char *prefix)
{
	for (size_t i = 0; i < k->n; i++)
		if (!strcmp(k->v[i].prefix, prefix))
			return &k->v[i];
	return NULL;
}

void api_keys_remove(struct api_keys *k, int64_t id)
{
	struct api_key *key = api_keys_by_id(k, id);
	if (!key)
		return;
	k->n--;
	memmove(key, key + 1, (size_t)(k->v + k->n - key) * sizeof(*key));
}

static bool is_url_safe(const char *text, size_t len)
{
	return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") >= len;
}

static bool take_prefix(const char *text, char prefix[static STORE_PREFIX])
{
	if (strnlen(text, PREFIX_LEN) < PREFIX_LEN || !is_url_safe(text, PREFIX_LEN))
		return false;
	memcpy(prefix, text, PREFIX_LEN);
	prefix[PREFIX_LEN] = 0;
	return true;
}

bool api_key_parse(const char *text, enum api_key_kind *kind, char prefix[static STORE_PREFIX])
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t len = strlen(words[i]);
		const char *rest = text + len;
		if (strncmp(text, words[i], len) != 0 || strlen(rest) != PREFIX_LEN + 1 + SECRET_LEN ||
			rest[PREFIX_LEN] != '-')
			continue;
		*kind = (enum api_key_kind)i;
		return take_prefix(rest, prefix);
	}
	return false;
}

bool api_key_parse_prefix(const char *text, char prefix[static STORE_PREFIX])
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strncmp(text, words[i], strlen(words[i])))
			return take_prefix(text + strlen(words[i]), prefix);
	return strlen(text) == PREFIX_LEN && take_prefix(text, prefix);
}
