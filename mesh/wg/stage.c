/* Packets that wait for a session: at most WG_STAGE_MAX of a peer (the oldest goes) and STAGE_BYTES of all
 * (the newest is refused), both counted as stage_full; with the handshake given up after 90 s they are
 * handshake_failed. Those of a peer that is removed go uncounted. */
#include "mesh/wg/core.h"

#include <stdlib.h>
#include <string.h>

/* Of all peers together: many silent peers must not hold much memory for 90 s. */
enum { STAGE_BYTES = 4 << 20 };

struct staged {
	uint16_t len;
	uint8_t b[];
};
struct wg_stage {
	unsigned first, n;
	struct staged *ring[WG_STAGE_MAX];
};

/* The caller frees it. NULL: empty, and then the stage is gone. */
static struct staged *stage_take(struct wg *w, struct wg_peer *p)
{
	struct wg_stage *st = p->stage;
	if (!st)
		return NULL;
	struct staged *e = st->ring[st->first];
	st->first = (st->first + 1) % WG_STAGE_MAX;
	w->staged_bytes -= sizeof(*e) + e->len;
	if (--st->n == 0) {
		free(st);
		p->stage = NULL;
	}
	return e;
}

void wg_stage_put(struct wg *w, struct wg_peer *p, const struct wg_span *s)
{
	struct staged *e = NULL;
	if (s->len <= PKT_SIZE - PKT_HEADROOM - PKT_TAILROOM && w->staged_bytes + s->len < STAGE_BYTES)
		e = malloc(sizeof(*e) + s->len);
	if (e && p->stage && p->stage->n == WG_STAGE_MAX) {
		free(stage_take(w, p));
		++w->drops.stage_full;
	}
	if (e && !p->stage)
		p->stage = calloc(1, sizeof(*p->stage));
	if (!e || !p->stage) {
		free(e);
		++w->drops.stage_full;
		return;
	}
	e->len = (uint16_t)s->len;
	memcpy(e->b, s->p, s->len);
	p->stage->ring[(p->stage->first + p->stage->n++) % WG_STAGE_MAX] = e;
	w->staged_bytes += sizeof(*e) + e->len;
}

bool wg_staged_take(struct wg *w, uint64_t peer, struct pkt *out)
{
	struct wg_peer *p = wg_peer_made(w, peer);
	struct staged *e = p && wg_session_usable(p->current, w->now_ms) ? stage_take(w, p) : NULL;
	if (!e)
		return false;
	pkt_reset(out);
	memcpy(pkt_data(out), e->b, e->len);
	out->len = e->len;
	free(e);
	return true;
}

void wg_stage_clear(struct wg *w, struct wg_peer *p, uint64_t *why)
{
	for (struct staged *e = stage_take(w, p); e; e = stage_take(w, p)) {
		free(e);
		++*why;
	}
}
