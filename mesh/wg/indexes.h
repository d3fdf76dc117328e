/* Receiver indices: 32 random bits, chosen by us, to the session or handshake they name. Open addressing. */
#ifndef RW_WG_INDEXES_H
#define RW_WG_INDEXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wg_peer;
struct wg_session;
struct index_slot {
	uint32_t index; /* 0 = empty */
	struct wg_peer *peer;
	struct wg_session *session; /* NULL: the peer's pending handshake */
};
struct indexes { /* all zero = empty */
	struct index_slot *slots;
	size_t n, size;
};

void indexes_fini(struct indexes *t);
/* index must be absent and not 0. false: no memory. */
bool indexes_put(struct indexes *t, const struct index_slot *slot);
/* NULL when absent. The slot is valid until the next put or remove. */
struct index_slot *indexes_get(const struct indexes *t, uint32_t index);
void indexes_remove(struct indexes *t, uint32_t index);

#endif
