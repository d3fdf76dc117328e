/* Ids of peers, which need not be there any more. */
#ifndef RW_NETMAP_PEER_IDS_H
#define RW_NETMAP_PEER_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer_ids {
	int64_t *v; /* by malloc */
	size_t n, cap;
};
bool peer_ids_add(struct peer_ids *l, int64_t id); /* false: memory is short */
void peer_ids_sort(struct peer_ids *l);

#endif
