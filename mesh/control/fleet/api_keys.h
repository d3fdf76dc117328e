/* Keys of the API in memory, as the database has them. Few: found by walking. */
#ifndef RW_CONTROL_FLEET_API_KEYS_H
#define RW_CONTROL_FLEET_API_KEYS_H

#include "mesh/control/fleet/store.h"

enum { API_KEYS_MAX = 1024 };
struct api_keys {
	struct api_key *v; /* owned; sorted by id */
	size_t n, size;
};
void api_keys_fini(struct api_keys *k);
bool api_keys_add(struct api_keys *k, const struct api_key *key); /* copied; false: memory is short */
void api_keys_remove(struct api_keys *k, int64_t id);
struct api_key *api_keys_by_id(const struct api_keys *k, int64_t id);
struct api_key *api_keys_by_prefix(const struct api_keys *k, const char *prefix);
/* "hskey-api-PREFIX-SECRET" and "hskey-client-PREFIX-SECRET": which kind, and the prefix. false: neither. */
bool api_key_parse(const char *text, enum api_key_kind *kind, char prefix[static STORE_PREFIX]);
/* The same for a prefix as lists show it ("hskey-api-PREFIX-***"), or bare. */
bool api_key_parse_prefix(const char *text, char prefix[static STORE_PREFIX]);
const char *api_key_word(enum api_key_kind kind); /* "hskey-api-" */

#endif
