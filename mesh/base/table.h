/* Hash table from fixed-length byte keys to pointers. Open addressing, keyed hash (strangers choose keys). */
#ifndef RW_BASE_TABLE_H
#define RW_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
	struct table_slot *slots; /* owned; values are the caller's */
	size_t n, size, key_len;
	size_t key_at; /* in a value, plus one; 0: keys are copied in */
	uint64_t seed[2];
};

/* seed: any value; from randomness when keys come from strangers. */
void table_init(struct table *t, size_t key_len, uint64_t seed);
/* The same without copies, for many entries: each value has its key in it, that far from its beginning, and keeps it while it
 * is in the table. */
void table_init_inside(struct table *t, size_t key_len, size_t key_at, uint64_t seed);
void table_fini(struct table *t);
void *table_get(const struct table *t, const void *key); /* NULL when absent */
bool table_put(struct table *t, const void *key,
	void *value); /* replaces, never failing then; value not NULL; false: no memory */
void *table_remove(struct table *t, const void *key); /* the value it had, or NULL */
/* Gives back room when most of it is free. Not in the midst of an iteration. Where memory is short nothing happens. */
void table_fit(struct table *t);
/* Iterate: *at = 0 first; NULL at the end. Removing the entry just returned is allowed. */
void *table_next(const struct table *t, size_t *at);

uint64_t hash_bytes(const void *p, size_t len, uint64_t k0, uint64_t k1); /* SipHash-2-4 */

#endif
