/* Data packets (paper 5.4.6) and what each does to its session.
 *
 * Out: no usable session: staged (stage.c), a handshake begins. Else sealed under p->current with the next
 * counter. An initiator renews a session that is WG_REKEY_AFTER_MS old or has sent too many; both ends stop
 * using it at WG_REJECT_AFTER_MS, so that a renewal has a minute to succeed while packets still flow. In: the
 * receiver index names the session, the counter must be fresh (replay.c), then the tag decides. Only then is
 * anything noted: the window, the timers, the promotion of a session that the peer has used for the first
 * time (wg_session_confirm), and last whether the inner source is the peer's own. A drop has its counter in
 * every case. The span given is opened in place; on a drop its bytes are worthless. */
#include "mesh/wg/core.h"

#include <endian.h>
#include <string.h>

enum { PAD = 16, TAG = NOISE_TAG, IP4_HEADER = 20, IP6_HEADER = 40 };
/* Receiving renews a session a little before it ends, so that an answer in flight still fits. */
enum { RENEW_RECEIVING_MS = WG_REJECT_AFTER_MS - WG_KEEPALIVE_MS - WG_RETRY_MS };

struct wg_data_header {
	uint8_t type, zero[3], receiver[4], counter[8];
};
static_assert(
	sizeof(struct wg_data_header) == WG_DATA_HEADER && _Alignof(struct wg_data_header) == 1, "layout");

static void set_nonce(uint8_t nonce[static 12], uint64_t counter)
{
	uint64_t le = htole64(counter);
	memset(nonce, 0, 4);
	memcpy(nonce + 4, &le, sizeof(le));
}

static bool is_young(const struct wg_session *s, uint64_t now_ms, uint64_t ms)
{
	return s && now_ms - s->born_ms < ms;
}

void wg_transport_want_session(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	uint64_t again = p->last_initiation_tx_ms + WG_RETRY_MS;
	if (p->attempt)
		return;
	if (wg_session_awaited(p, now_ms))
		again = p->next->born_ms + WG_AWAIT_MS;
	else if (!p->last_initiation_tx_ms || now_ms >= again) {
		if (wg_handshake_begin(w, now_ms, p))
			return;
		again = now_ms + WG_RETRY_MS;
	}
	wg_timer_retry_at(w, p, again);
}

/* --- out --- */

bool wg_transport_write(struct aead *cipher, uint32_t receiver, uint64_t counter, struct wg_span *span)
{
	uint8_t nonce[12];
	struct wg_data_header *h = (struct wg_data_header *)(span->p - WG_DATA_HEADER);
	size_t padded = (span->len + PAD - 1) / PAD * PAD;
	uint32_t to = htole32(receiver), type = htole32(WG_DATA);
	uint64_t number = htole64(counter);
	memcpy(&h->type, &type, sizeof(type));
	memcpy(h->receiver, &to, sizeof(to));
	memcpy(h->counter, &number, sizeof(number));
	memset(span->p + span->len, 0, padded - span->len);
	set_nonce(nonce, counter);
	if (!aead_seal_inplace(cipher, nonce, span->p, padded))
		return false;
	span->p -= WG_DATA_HEADER;
	span->len = WG_DATA_HEADER + padded + TAG;
	return true;
}

static bool seal(struct wg *w, struct wg_session *s, uint64_t now_ms, struct wg_span *span)
{
	if (s->lent)
		wg_lend_recall(w);
	if (!wg_transport_write(s->seal, s->remote, s->sent++, span))
		return false;
	s->peer->tx_bytes += span->len;
	s->peer->last_tx_ms = now_ms;
	wg_timer_sent(s->peer);
	return true;
}

bool wg_transport_is_due(const struct wg_session *s, uint64_t now_ms)
{
	return s->sent >= WG_REKEY_AFTER_MESSAGES ||
	       (s->initiator && !is_young(s, now_ms, WG_REKEY_AFTER_MS));
}

enum wg_verdict wg_seal_span(struct wg *w, uint64_t now_ms, uint64_t peer, struct wg_span *s)
{
	struct wg_peer *p = wg_peer_get(w, peer);
	if (!p)
		return wg_drop(&w->drops.no_route);
	w->now_ms = now_ms;
	if (!wg_session_usable(p->current, now_ms)) {
		wg_stage_put(w, p, s);
		wg_transport_want_session(w, now_ms, p);
		return WG_STAGED;
	}
	if (!seal(w, p->current, now_ms, s))
		return wg_drop(&w->drops.no_memory);
	wg_timer_data_sent(w, now_ms, p);
	if (wg_transport_is_due(p->current, now_ms))
		wg_transport_want_session(w, now_ms, p);
	return WG_OK;
}

void wg_transport_keepalive(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	uint8_t buf[WG_OVERHEAD];
	struct wg_span s = { buf + WG_DATA_HEADER, 0 };
	if (!wg_session_usable(p->current, now_ms))
		return;
	if (seal(w, p->current, now_ms, &s))
		w->ops.send(w->ops.arg, p->id, s.p, s.len);
}

/* --- in --- */

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Cuts the padding and finds the source; the whole header is the packet filter's affair. */
static bool read_inner(struct wg_span *s, struct addr *src)
{
	size_t total = 0, header = 0;
	if (s->len >= IP4_HEADER && s->p[0] >> 4 == 4) {
		header = (s->p[0] & 15) * 4u;
		total = load16(s->p + 2);
		*src = addr_v4_bytes(s->p + 12);
		if (header < IP4_HEADER)
			return false;
	} else if (s->len >= IP6_HEADER && s->p[0] >> 4 == 6) {
		header = IP6_HEADER;
		total = IP6_HEADER + load16(s->p + 4);
		*src = addr_v6_bytes(s->p + 8);
		if (addr_is_v4(src)) /* a mapped address must not pass for a real one */
			return false;
	}
	if (!header || total < header || total > s->len)
		return false;
	s->len = total;
	return true;
}

static bool may_come_from(struct wg *w, struct wg_peer *p, const struct addr *src)
{
	if (p->last_src_at == w->allowed.changes && addr_equal(&p->last_src, src))
		return true;
	if (allowed_get(&w->allowed, src) != p->card)
		return false;
	p->last_src = *src;
	p->last_src_at = w->allowed.changes;
	return true;
}

static enum wg_verdict open_data(struct wg *w, uint64_t now_ms, struct wg_session *s, struct wg_span *span)
{
	uint8_t nonce[12];
	uint64_t counter;
	memcpy(&counter, span->p + 8, sizeof(counter));
	counter = le64toh(counter);
	if (counter >= WG_REJECT_AFTER_MESSAGES)
		return wg_drop(&w->drops.bad_counter);
	if (!is_young(s, now_ms, WG_REJECT_AFTER_MS))
		return wg_drop(&w->drops.expired);
	if (!replay_fresh(&s->replay, counter))
		return wg_drop(&w->drops.replay);
	set_nonce(nonce, counter);
	if (!aead_open_inplace(s->open, nonce, span->p + WG_DATA_HEADER, span->len - WG_DATA_HEADER))
		return wg_drop(&w->drops.bad_tag);
	replay_mark(&s->replay, counter);
	span->p += WG_DATA_HEADER;
	span->len -= WG_OVERHEAD;
	return WG_OK;
}

/* An authenticated packet came: timers, promotion, renewal. true: session_ready is due. */
static bool note_received(struct wg *w, uint64_t now_ms, struct wg_session *s, size_t len)
{
	struct wg_peer *p = s->peer;
	p->rx_bytes += len + WG_OVERHEAD;
	p->last_rx_ms = now_ms;
	wg_timer_received(p);
	if (len)
		wg_timer_data_received(w, now_ms, p);
	bool ready = s == p->next && wg_session_confirm(w, s);
	if (ready)
		wg_timer_session_made(w, now_ms, p);
	if (s == p->current && s->initiator && !s->renewing && !is_young(s, now_ms, RENEW_RECEIVING_MS)) {
		s->renewing = true;
		wg_transport_want_session(w, now_ms, p);
	}
	return ready;
}

static enum wg_verdict check_inner(struct wg *w, struct wg_peer *p, struct wg_span *span)
{
	struct addr src;
	if (!span->len)
		return WG_OK;
	if (!read_inner(span, &src))
		return wg_drop(&w->drops.bad_inner);
	if (!may_come_from(w, p, &src))
		return wg_drop(&w->drops.bad_source);
	return WG_OK;
}

static enum wg_verdict receive_data(
	struct wg *w, uint64_t now_ms, struct wg_span *span, struct wg_received *out)
{
	uint32_t index;
	if (span->len < WG_OVERHEAD)
		return wg_drop(&w->drops.bad_length);
	memcpy(&index, span->p + 4, sizeof(index));
	struct index_slot *slot = indexes_get(&w->indexes, le32toh(index));
	if (!slot || !slot->session)
		return wg_drop(&w->drops.no_session);
	struct wg_peer *p = slot->peer;
	struct wg_session *s = slot->session;
	if (open_data(w, now_ms, s, span) != WG_OK)
		return WG_DROP;
	out->peer = p->id;
	out->authenticated = true;
	bool ready = note_received(w, now_ms, s, span->len);
	enum wg_verdict v = check_inner(w, p, span);
	out->is_data = v == WG_OK;
	if (ready)
		w->ops.session_ready(w->ops.arg, p->id);
	return v;
}

enum wg_verdict wg_receive_span(struct wg *w, uint64_t now_ms, struct wg_span *s,
	const struct wg_origin *from, struct wg_received *out)
{
	static const size_t sizes[] = { [WG_INITIATION] = sizeof(struct wg_initiation),
		[WG_RESPONSE] = sizeof(struct wg_response),
		[WG_COOKIE] = sizeof(struct wg_cookie) };
	*out = (struct wg_received) { 0 };
	w->now_ms = now_ms;
	if (s->len < 4)
		return wg_drop(&w->drops.bad_length);
	uint8_t type = s->p[0];
	if (type < WG_INITIATION || type > WG_DATA || s->p[1] || s->p[2] || s->p[3])
		return wg_drop(&w->drops.bad_type);
	if (type == WG_DATA)
		return receive_data(w, now_ms, s, out);
	if (s->len != sizes[type])
		return wg_drop(&w->drops.bad_length);
	if (type == WG_COOKIE)
		return wg_cookie_receive(w, now_ms, (const struct wg_cookie *)s->p);
	if (wg_cookie_check(w, now_ms, s, from) != WG_OK)
		return WG_DROP;
	if (type == WG_INITIATION)
		return wg_handshake_receive_initiation(
			w, now_ms, (const struct wg_initiation *)s->p, from, out);
	return wg_handshake_receive_response(w, now_ms, (const struct wg_response *)s->p, from, out);
}

/* --- struct pkt --- */

static struct wg_span span_of(struct pkt *p)
{
	return (struct wg_span) { pkt_data(p), p->len };
}

static enum wg_verdict put_back(struct pkt *p, const struct wg_span *s, enum wg_verdict v)
{
	p->at = (uint16_t)(s->p - p->b);
	p->len = (uint16_t)s->len;
	return v;
}

enum wg_verdict wg_seal(struct wg *w, uint64_t now_ms, uint64_t peer, struct pkt *p)
{
	struct wg_span s = span_of(p);
	enum wg_verdict v = wg_seal_span(w, now_ms, peer, &s);
	return put_back(p, &s, v);
}

enum wg_verdict wg_receive(
	struct wg *w, uint64_t now_ms, struct pkt *p, const struct wg_origin *from, struct wg_received *out)
{
	struct wg_span s = span_of(p);
	enum wg_verdict v = wg_receive_span(w, now_ms, &s, from, out);
	return put_back(p, &s, v);
}
