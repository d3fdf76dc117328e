/* Noise IKpsk2 as WireGuard has it (paper 5.4.2, 5.4.3): one message from the initiator, one back.
 *
 * Of a peer there may be at once: one attempt of ours (p->attempt, ours to repeat and to give up), one answer
 * of ours that waits for the right moment, or for its session to be used (p->answer), and up to three sessions (session.c). Both ends may
 * begin at the same time; then each has an attempt and answers the other's, and session.c decides which
 * session stays.
 *
 * no attempt -> attempt
 *     wg_handshake_begin: data without a session, a session near its end, lost_at, or the node's word. A new
 *     attempt replaces an older one and keeps the time of the first.
 * attempt -> attempt
 *     wg_handshake_repeat sends the same bytes again: a lost datagram, a better path, a cookie. After
 *     WG_RETRY_MS without answer new bytes are made.
 * attempt -> session
 *     wg_handshake_receive_response; its index passes from the one to the other.
 * attempt -> no attempt
 *     wg_handshake_abandon: given up after WG_ATTEMPT_MS, or the peer's session won.
 * initiation in -> session
 *     wg_handshake_receive_initiation: fresh by its time stamp, not a flood; the response leaves at once, or
 *     a moment after an initiation of ours, and once more when it may have met nobody (wg_handshake_answer_again).
 *
 * Nothing is kept of a message that does not authenticate. Bytes to send are on the stack while the op runs.
 */
#include "mesh/wg/core.h"

#include <stdlib.h>
#include <string.h>

static bool mix_static(struct noise_state *s, struct wg *w, struct wg_peer *p)
{
	if (!p->has_ss) {
		p->ss_bad = !key_dh(w->us.b, p->key.b, p->ss);
		p->has_ss = true;
	}
	if (p->ss_bad)
		return false;
	noise_mix_key(s, p->ss, KEY_LEN);
	return true;
}

static void mix_ephemeral(struct noise_state *s, const uint8_t pub[static KEY_LEN])
{
	noise_mix_chain(s, pub, KEY_LEN);
	noise_mix_hash(s, pub, KEY_LEN);
}

/* --- initiator --- */

void wg_handshake_abandon(struct wg *w, struct wg_peer *p)
{
	if (!p->attempt)
		return;
	indexes_remove(&w->indexes, p->attempt->local);
	key_wipe(p->attempt, sizeof(*p->attempt));
	free(p->attempt);
	p->attempt = NULL;
}

static bool write_initiation(struct wg *w, uint64_t now_ms, struct wg_peer *p, struct wg_attempt *a)
{
	struct wg_initiation *m = &a->message;
	uint8_t stamp[WG_STAMP];
	memset(m, 0, sizeof(*m));
	m->type = WG_INITIATION;
	le_put(m->sender, 4, a->local);
	key_generate(&w->rnd, a->ephemeral);
	key_public(a->ephemeral, m->ephemeral);
	a->noise = w->initial;
	noise_mix_hash(&a->noise, p->key.b, KEY_LEN);
	mix_ephemeral(&a->noise, m->ephemeral);
	if (!noise_mix_dh(&a->noise, a->ephemeral, p->key.b))
		return false;
	noise_seal(&a->noise, w->our_key.b, KEY_LEN, m->sealed_static);
	if (!mix_static(&a->noise, w, p))
		return false;
	wg_clock_stamp(w, now_ms, stamp);
	noise_seal(&a->noise, stamp, sizeof(stamp), m->sealed_stamp);
	return true;
}

static void send_initiation(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	p->attempt->left_ms = now_ms;
	wg_cookie_sign(now_ms, p, (uint8_t *)&p->attempt->message, sizeof(p->attempt->message));
	p->tx_bytes += sizeof(p->attempt->message);
	/* A copy: what the op calls may end this attempt. */
	struct wg_initiation m = p->attempt->message;
	w->ops.send(w->ops.arg, p->id, (const uint8_t *)&m, sizeof(m));
}

bool wg_handshake_begin(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	uint64_t begun = p->attempt ? p->attempt->begun_ms : now_ms;
	wg_handshake_abandon(w, p);
	p->attempt = calloc(1, sizeof(*p->attempt));
	if (!p->attempt)
		return false;
	struct wg_attempt *a = p->attempt;
	a->begun_ms = begun;
	a->sent_ms = now_ms;
	a->local = wg_session_index(w, p);
	if (!a->local || !write_initiation(w, now_ms, p, a)) {
		wg_handshake_abandon(w, p);
		return false;
	}
	p->last_initiation_tx_ms = now_ms;
	wg_timer_initiation_sent(w, now_ms, p);
	wg_timer_sent(p);
	send_initiation(w, now_ms, p);
	return true;
}

void wg_handshake_repeat(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	send_initiation(w, now_ms, p);
}

static bool read_response(struct wg *w, struct wg_peer *p, const struct wg_response *m, struct noise_state *s)
{
	*s = p->attempt->noise;
	mix_ephemeral(s, m->ephemeral);
	if (!noise_mix_dh(s, p->attempt->ephemeral, m->ephemeral) || !noise_mix_dh(s, w->us.b, m->ephemeral))
		return false;
	noise_mix_key_hash(s, p->psk);
	uint8_t nothing[1];
	return noise_open(s, m->sealed_nothing, sizeof(m->sealed_nothing), nothing);
}

static void heard(struct wg *w, uint64_t now_ms, struct wg_peer *p, size_t len, const struct wg_origin *from)
{
	p->rx_bytes += len;
	p->last_rx_ms = now_ms;
	wg_timer_received(p);
	if (w->ops.heard)
		w->ops.heard(w->ops.arg, p->id, from->p);
}

/* Keys of a finished handshake into a session; which of the two is ours depends on who began. */
static struct wg_session *make_session(
	struct wg *w, uint64_t now_ms, struct wg_peer *p, const struct noise_state *s, bool initiator)
{
	uint8_t k[2][32];
	struct wg_session *made = wg_session_new(p, now_ms);
	if (!made)
		return NULL;
	noise_split(s, k[0], k[1]);
	made->initiator = initiator;
	made->seal = aead_new(k[!initiator], true);
	made->open = aead_new(k[initiator], false);
	key_wipe(k, sizeof(k));
	if (made->seal && made->open)
		return made;
	wg_session_free(w, made);
	return NULL;
}

enum wg_verdict wg_handshake_receive_response(struct wg *w, uint64_t now_ms, const struct wg_response *m,
	const struct wg_origin *from, struct wg_received *out)
{
	struct index_slot *slot = indexes_get(&w->indexes, (uint32_t)le_get(m->receiver, 4));
	if (!slot || slot->session)
		return wg_drop(&w->drops.no_session);
	struct wg_peer *p = slot->peer;
	struct noise_state noise;
	struct wg_session *s = NULL;
	bool good = read_response(w, p, m, &noise);
	if (good)
		s = make_session(w, now_ms, p, &noise, true);
	noise_wipe(&noise);
	if (!good)
		return wg_drop(&w->drops.bad_handshake);
	if (!s)
		return wg_drop(&w->drops.no_memory);
	s->local = p->attempt->local;
	s->remote = (uint32_t)le_get(m->sender, 4);
	slot->session = s; /* the index passes from the attempt to the session */
	p->attempt->local = 0;
	wg_handshake_abandon(w, p);
	*out = (struct wg_received) { .peer = p->id, .authenticated = true };
	heard(w, now_ms, p, sizeof(*m), from);
	wg_session_completed(w, s);
	wg_timer_session_made(w, now_ms, p);
	w->ops.session_ready(w->ops.arg, p->id);
	if (s == p->current && !s->sent) /* the answerer may send only after it heard us */
		wg_transport_keepalive(w, now_ms, p);
	return WG_OK;
}

/* --- responder --- */

/* The claimed peer, added on demand. NULL: counted. */
static struct wg_peer *find_initiator(struct wg *w, const struct node_key *key)
{
	struct wg_peer *p = wg_peer_by_key(w, key);
	if (!p && w->ops.unknown_peer && w->ops.unknown_peer(w->ops.arg, key))
		p = wg_peer_by_key(w, key);
	if (!p)
		++w->drops.unknown_peer;
	return p;
}

/* The authenticated sender of an initiation that is new. NULL: counted. */
static struct wg_peer *read_initiation(
	struct wg *w, uint64_t now_ms, const struct wg_initiation *m, struct noise_state *s)
{
	struct node_key key;
	uint8_t stamp[WG_STAMP];
	uint64_t *why = &w->drops.bad_handshake;
	*s = w->initial;
	noise_mix_hash(s, w->our_key.b, KEY_LEN);
	mix_ephemeral(s, m->ephemeral);
	if (!noise_mix_dh(s, w->us.b, m->ephemeral) ||
		!noise_open(s, m->sealed_static, sizeof(m->sealed_static), key.b)) {
		++*why;
		return NULL;
	}
	struct wg_peer *p = find_initiator(w, &key);
	if (!p)
		return NULL;
	if (mix_static(s, w, p) && noise_open(s, m->sealed_stamp, sizeof(m->sealed_stamp), stamp)) {
		if (p->last_initiation_rx_ms && now_ms - p->last_initiation_rx_ms < WG_FLOOD_MS)
			why = &w->drops.flood;
		else if (!wg_clock_accept(w, now_ms, p, stamp))
			why = &w->drops.old_timestamp;
		else
			return p;
	}
	++*why;
	return NULL;
}

static bool write_response(struct wg *w, struct wg_peer *p, const struct wg_initiation *to,
	struct wg_response *m, struct noise_state *s)
{
	uint8_t ephemeral[KEY_LEN];
	m->type = WG_RESPONSE;
	memcpy(m->receiver, to->sender, sizeof(m->receiver));
	key_generate(&w->rnd, ephemeral);
	key_public(ephemeral, m->ephemeral);
	mix_ephemeral(s, m->ephemeral);
	bool good = noise_mix_dh(s, ephemeral, to->ephemeral) && noise_mix_dh(s, ephemeral, p->key.b);
	key_wipe(ephemeral, sizeof(ephemeral));
	if (!good)
		return false;
	noise_mix_key_hash(s, p->psk);
	noise_seal(s, "", 0, m->sealed_nothing);
	return true;
}

struct made_answer {
	struct noise_state noise;
	struct wg_response message;
};

/* Writes the response and makes the session behind it. NULL: counted. */
static struct wg_session *make_answer(struct wg *w, uint64_t now_ms, struct wg_peer *p,
	const struct wg_initiation *to, struct made_answer *a)
{
	if (!write_response(w, p, to, &a->message, &a->noise)) {
		++w->drops.bad_handshake;
		return NULL;
	}
	struct wg_session *s = make_session(w, now_ms, p, &a->noise, false);
	if (s)
		s->local = wg_session_index(w, p);
	if (!s || !s->local) {
		wg_session_free(w, s);
		++w->drops.no_memory;
		return NULL;
	}
	s->remote = (uint32_t)le_get(to->sender, 4);
	indexes_get(&w->indexes, s->local)->session = s;
	le_put(a->message.sender, 4, s->local);
	return s;
}

static void send_response(struct wg *w, uint64_t now_ms, struct wg_peer *p, struct wg_response *m)
{
	wg_cookie_sign(now_ms, p, (uint8_t *)m, sizeof(*m));
	p->tx_bytes += sizeof(*m);
	wg_timer_sent(p);
	w->ops.send(w->ops.arg, p->id, (const uint8_t *)m, sizeof(*m));
}

void wg_handshake_answer(struct wg *w, uint64_t now_ms, struct wg_peer *p)
{
	if (!p->answer)
		return;
	struct wg_response m = *p->answer; /* a copy: what the op calls may end this answer */
	send_response(w, now_ms, p, &m);
}

/* The initiator repeats the same bytes until WG_RETRY_MS, and they are no fresh initiation to us. */
void wg_handshake_answer_again(struct wg *w, uint64_t now_ms, struct wg_peer *p, uint64_t wait_ms)
{
	if (p->answer && p->answer_at == WG_NEVER && now_ms - p->next->born_ms < WG_RETRY_MS)
		wg_timer_answer_at(w, p, now_ms + wait_ms);
}

/* wireguard-go reads handshake messages on several threads into one state: an initiation of ours and our
 * answer to its own, read in the same moment, leave it with keys that fit neither. So ours waits a moment then. */
static void answer(struct wg *w, uint64_t now_ms, struct wg_peer *p, struct wg_response *m)
{
	p->answer_at = WG_NEVER; /* of the one before */
	if (!p->answer)
		p->answer = malloc(sizeof(*p->answer));
	if (p->answer)
		*p->answer = *m;
	if (p->answer && p->attempt && now_ms - p->attempt->left_ms < WG_FLOOD_MS)
		wg_timer_answer_at(w, p, p->attempt->left_ms + WG_FLOOD_MS);
	else
		send_response(w, now_ms, p, m);
}

enum wg_verdict wg_handshake_receive_initiation(struct wg *w, uint64_t now_ms, const struct wg_initiation *m,
	const struct wg_origin *from, struct wg_received *out)
{
	struct made_answer a = { .message = { .type = 0 } };
	struct wg_session *s = NULL;
	struct wg_peer *p = read_initiation(w, now_ms, m, &a.noise);
	if (p) {
		p->last_initiation_rx_ms = now_ms;
		s = make_answer(w, now_ms, p, m, &a);
	}
	noise_wipe(&a.noise);
	if (!s)
		return WG_DROP;
	*out = (struct wg_received) { .peer = p->id, .authenticated = true };
	wg_session_answered(w, s);
	wg_timer_session_awaited(w, now_ms, p);
	heard(w, now_ms, p, sizeof(*m), from);
	answer(w, now_ms, p, &a.message);
	return WG_OK;
}
