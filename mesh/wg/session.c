#include "mesh/wg/core.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_TRIES = 16 };

uint32_t wg_session_index(struct wg *w, struct wg_peer *p)
{
	for (int i = 0; i < INDEX_TRIES; i++) {
		struct index_slot slot = { .peer = p };
		w->rnd.fill(w->rnd.arg, &slot.index, sizeof(slot.index));
		if (slot.index && !indexes_get(&w->indexes, slot.index))
			return indexes_put(&w->indexes, &slot) ? slot.index : 0;
	}
	return 0;
}

struct wg_session *wg_session_new(struct wg_peer *p, uint64_t now_ms)
{
	struct wg_session *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->peer = p;
	s->born_ms = now_ms;
	return s;
}

void wg_session_free(struct wg *w, struct wg_session *s)
{
	if (!s)
		return;
	if (s->lent)
		wg_lend_recall(w);
	indexes_remove(&w->indexes, s->local);
	aead_free(s->seal);
	aead_free(s->open);
	free(s);
}

static void forget_answer(struct wg_peer *p)
{
	free(p->answer); /* it was for next */
	p->answer = NULL;
}

static void replace(struct wg *w, struct wg_session **at, struct wg_session *s)
{
	wg_session_free(w, *at);
	*at = s;
}

void wg_session_answered(struct wg *w, struct wg_session *s)
{
	replace(w, &s->peer->next, s);
}

void wg_session_completed(struct wg *w, struct wg_session *s)
{
	wg_lend_recall(w);
	/* next stays: when both ends began at once, each holds the other's too, and the first packet on it
	 * decides. */
	replace(w, &s->peer->previous, s->peer->current);
	s->peer->current = s;
}

/* Both ends began at once and both sessions work. The one of the larger key stays, so that both ends agree.
 * What came after ours was complete was not at once: the peer may have started anew and forgotten ours. */
static bool ours_stays(const struct wg *w, const struct wg_session *ours, const struct wg_session *theirs)
{
	return ours && ours->initiator && theirs->born_ms + WG_RETRY_MS > ours->born_ms &&
	       theirs->born_ms <= ours->born_ms && memcmp(w->our_key.b, ours->peer->key.b, KEY_LEN) > 0;
}

bool wg_session_confirm(struct wg *w, struct wg_session *s)
{
	struct wg_peer *p = s->peer;
	if (s != p->next)
		return false;
	p->next = NULL;
	forget_answer(p);
	if (ours_stays(w, p->current, s)) {
		replace(w, &p->previous, s);
		return false;
	}
	wg_lend_recall(w);
	replace(w, &p->previous, p->current);
	p->current = s;
	wg_handshake_abandon(w, p);
	return true;
}

void wg_session_wipe(struct wg *w, struct wg_peer *p)
{
	replace(w, &p->current, NULL);
	replace(w, &p->previous, NULL);
	replace(w, &p->next, NULL);
	forget_answer(p);
}

bool wg_session_awaited(const struct wg_peer *p, uint64_t now_ms)
{
	return p->next && now_ms - p->next->born_ms < WG_AWAIT_MS;
}

bool wg_session_usable(const struct wg_session *s, uint64_t now_ms)
{
	return s && s->sent < WG_REJECT_AFTER_MESSAGES && now_ms - s->born_ms < WG_REJECT_AFTER_MS;
}
