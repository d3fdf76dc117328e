/* The sending half of a session, lent. What the core and the borrower share is the cipher alone, which the core does not touch
 * while it is out; counters and what was sent are the borrower's, and are told every now and then. */
#include "mesh/wg/core.h"

enum { LOAN_MS = 1000 }; /* the core is not heard from for so long: stop */

void wg_lend_recall(struct wg *w)
{
	if (w->n_lent)
		w->ops.recall(w->ops.arg);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool wg_lend(struct wg *w, uint64_t now_ms, uint64_t peer, struct wg_loan *out)
{
	const struct wg_peer *p = wg_peer_made(w, peer);
	struct wg_session *s = p ? p->current : NULL;
	if (!s || !wg_session_usable(s, now_ms) || s->lent || p->stage || s->sent >= WG_REKEY_AFTER_MESSAGES)
		return false;
	uint64_t ends = s->born_ms + WG_REJECT_AFTER_MS;
	*out = (struct wg_loan) { .cipher = s->seal,
		.receiver = s->remote,
		.next = s->sent,
		.end = WG_REKEY_AFTER_MESSAGES,
		.until_ms = earlier(now_ms + LOAN_MS, ends),
		.ends_ms = ends };
	s->lent = true;
	w->n_lent++;
	return true;
}

enum wg_verdict wg_loan_seal(struct wg_loan *l, uint64_t now_ms, struct pkt *p)
{
	struct wg_span s = { pkt_data(p), p->len };
	if (l->next >= l->end || now_ms >= l->until_ms ||
		!wg_transport_write(l->cipher, l->receiver, l->next++, &s))
		return wg_drop(&l->failed);
	p->at = (uint16_t)(s.p - p->b);
	p->len = (uint16_t)s.len;
	l->bytes += s.len;
	l->last_ms = now_ms;
	return WG_OK;
}

/* As if each packet had been told when it left. What came in the meantime may be older or newer than the last of them. */
static void note(struct wg *w, struct wg_peer *p, const struct wg_loan *l)
{
	p->current->sent = l->next;
	w->drops.no_memory += l->failed;
	if (!l->bytes)
		return;
	p->tx_bytes += l->bytes;
	p->last_tx_ms = l->last_ms;
	if (p->keepalive_at != WG_NEVER && p->keepalive_at <= l->last_ms + WG_KEEPALIVE_MS)
		wg_timer_sent(p);
	if (l->last_ms >= p->last_rx_ms)
		wg_timer_data_sent(w, l->last_ms, p);
}

uint64_t wg_loan_told(struct wg *w, uint64_t now_ms, uint64_t peer, const struct wg_loan *l)
{
	struct wg_peer *p = wg_peer_made(w, peer);
	if (!p || !p->current || !p->current->lent)
		return 0;
	note(w, p, l);
	if (l->bytes && wg_transport_is_due(p->current, now_ms))
		wg_transport_want_session(w, now_ms, p);
	return earlier(now_ms + LOAN_MS, l->ends_ms);
}

void wg_loan_return(struct wg *w, uint64_t peer, const struct wg_loan *l)
{
	struct wg_peer *p = wg_peer_made(w, peer);
	if (!p || !p->current || !p->current->lent)
		return;
	note(w, p, l);
	p->current->lent = false;
	w->n_lent--;
}
