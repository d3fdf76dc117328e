/* Auth keys in memory, as the database has them: looking one up waits for no disk. */
#ifndef RW_CONTROL_FLEET_KEYRING_H
#define RW_CONTROL_FLEET_KEYRING_H

#include "mesh/base/table.h"
#include "mesh/control/fleet/store.h"

struct keyring {
	struct preauth **v; /* sorted by id */
	size_t n, size;
	struct table by_hash;
};
void keyring_init(struct keyring *k, uint64_t seed);
void keyring_fini(struct keyring *k);
bool keyring_add(struct keyring *k, const struct preauth *p); /* copied; false: memory is short */
struct preauth *keyring_by_hash(const struct keyring *k, const uint8_t hash[static STORE_HASH]);
struct preauth *keyring_by_prefix(const struct keyring *k, const char *prefix); /* the public part */
struct preauth *keyring_by_id(const struct keyring *k, int64_t id);
void keyring_remove(struct keyring *k, int64_t id); /* none there is fine */
void keyring_drop_user(struct keyring *k, int64_t user);

#endif
