#include "mesh/transport/noise_link.h"
#include "mesh/base/aead.h"
#include "mesh/base/err.h"
#include "mesh/base/wire.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEADER = 3,
	MSG_INITIATION = 1,
	MSG_RESPONSE = 2,
	MSG_ERROR = 3,
	MSG_RECORD = 4,
	INITIATION_BODY = 96,
	RESPONSE_BODY = 48,
	ERROR_TEXT_MAX = 200,
};

/* tailscale-protocol.md 1.5 */
struct initiation {
	uint8_t version[2], type, len[2], ephemeral[32], sealed_static[48], tag[16];
};
struct response {
	uint8_t type, len[2], ephemeral[32], tag[16];
};
static_assert(
	sizeof(struct initiation) == NOISE_INITIATION && _Alignof(struct initiation) == 1, "wire layout");
static_assert(sizeof(struct response) == NOISE_RESPONSE && _Alignof(struct response) == 1, "wire layout");
static_assert(NOISE_PLAIN_MAX == NOISE_RECORD_MAX - HEADER - NOISE_TAG, "record layout");

struct noise_initiator {
	struct noise_state st;
	struct machine_private us;
	uint8_t ephemeral[KEY_LEN]; /* private */
};

struct noise_link {
	struct aead *tx, *rx;
	uint64_t tx_n, rx_n;
	int failed; /* the code that ended receiving; sticks */
	uint8_t hash[NOISE_HASH];
	size_t have;
	uint8_t partial[NOISE_RECORD_MAX];
};

static void noise_link_start(struct noise_state *st, uint16_t capver, const uint8_t server[static KEY_LEN])
{
	char prologue[48];
	int n = snprintf(prologue, sizeof(prologue), "Tailscale Control Protocol v%u", (unsigned)capver);
	noise_init(st, "Noise_IK_25519_ChaChaPoly_BLAKE2s");
	noise_mix_hash(st, prologue, (size_t)n);
	noise_mix_hash(st, server, KEY_LEN);
}

static struct noise_link *link_new(const struct noise_state *st, bool initiator)
{
	uint8_t to_server[32], to_client[32];
	struct noise_link *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	noise_split(st, to_server, to_client);
	l->tx = aead_new(initiator ? to_server : to_client, true);
	l->rx = aead_new(initiator ? to_client : to_server, false);
	memcpy(l->hash, st->h, sizeof(l->hash));
	key_wipe(to_server, sizeof(to_server));
	key_wipe(to_client, sizeof(to_client));
	if (l->tx && l->rx)
		return l;
	noise_link_free(l);
	return NULL;
}

void noise_link_free(struct noise_link *l)
{
	if (!l)
		return;
	aead_free(l->tx);
	aead_free(l->rx);
	key_wipe(l, sizeof(*l));
	free(l);
}

const uint8_t *noise_link_hash(const struct noise_link *l)
{
	return l->hash;
}

/* ------------------------------------------------------------------------------------------------------
 * handshake */

struct noise_initiator *noise_initiate(const struct machine_private *us, const struct machine_key *server,
	uint16_t capver, const struct random *rnd, uint8_t out[static NOISE_INITIATION])
{
	struct initiation m = { .type = MSG_INITIATION };
	uint8_t our_public[KEY_LEN];
	struct noise_initiator *i = calloc(1, sizeof(*i));
	if (!i)
		return NULL;
	i->us = *us;
	key_generate(rnd, i->ephemeral);
	be_put(m.version, 2, capver);
	be_put(m.len, 2, INITIATION_BODY);
	noise_link_start(&i->st, capver, server->b);
	key_public(i->ephemeral, m.ephemeral);
	noise_mix_hash(&i->st, m.ephemeral, sizeof(m.ephemeral));
	if (!noise_mix_dh(&i->st, i->ephemeral, server->b)) {
		noise_initiator_free(i);
		return NULL;
	}
	key_public(us->b, our_public);
	noise_seal(&i->st, our_public, sizeof(our_public), m.sealed_static);
	if (!noise_mix_dh(&i->st, us->b, server->b)) {
		noise_initiator_free(i);
		return NULL;
	}
	noise_seal(&i->st, NULL, 0, m.tag);
	memcpy(out, &m, sizeof(m));
	return i;
}

void noise_initiator_free(struct noise_initiator *i)
{
	if (!i)
		return;
	key_wipe(i, sizeof(*i));
	free(i);
}

size_t noise_response_len(const uint8_t *p, size_t len)
{
	return len < HEADER ? 0 : HEADER + (size_t)be_get(p + 1, 2);
}

/* The server's text is a stranger's: printable characters only, cut short. */
static void quote(const uint8_t *p, size_t len, char *out, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < len && n + 1 < cap; i++)
		out[n++] = isprint(p[i]) && p[i] < 0x80 ? (char)p[i] : '?';
	out[n] = '\0';
}

static bool noise_link_finish(struct noise_initiator *i, const struct response *m)
{
	noise_mix_hash(&i->st, m->ephemeral, sizeof(m->ephemeral));
	uint8_t nothing[1];
	return noise_mix_dh(&i->st, i->ephemeral, m->ephemeral) &&
	       noise_mix_dh(&i->st, i->us.b, m->ephemeral) &&
	       noise_open(&i->st, m->tag, sizeof(m->tag), nothing);
}

struct noise_link *noise_finish(struct noise_initiator *i, const uint8_t *msg, size_t len, struct errbuf *eb)
{
	struct noise_link *l = NULL;
	char text[ERROR_TEXT_MAX];
	if (len >= HEADER && msg[0] == MSG_ERROR && len == noise_response_len(msg, len)) {
		quote(msg + HEADER, len - HEADER, text, sizeof(text));
		err_say(eb, ERR_REFUSED, "the control server refused the handshake: \"%s\"", text);
	} else if (len != NOISE_RESPONSE || msg[0] != MSG_RESPONSE || be_get(msg + 1, 2) != RESPONSE_BODY) {
		err_say(eb, ERR_MALFORMED, "the control server's handshake answer is malformed");
	} else {
		struct response m;
		memcpy(&m, msg, sizeof(m));
		if (!noise_link_finish(i, &m))
			err_say(eb, ERR_CRYPTO,
				"the control server could not prove its key: it is another server, or its "
				"key has changed");
		else if (!(l = link_new(&i->st, true)))
			err_set(eb, -ENOMEM, "noise");
	}
	noise_initiator_free(i);
	return l;
}

struct noise_link *noise_respond(const struct machine_private *us, const uint8_t *initiation, size_t len,
	const struct random *rnd, uint8_t response[static NOISE_RESPONSE], struct machine_key *client,
	uint16_t *capver, struct errbuf *eb)
{
	struct initiation in;
	struct response out = { .type = MSG_RESPONSE };
	struct noise_state st;
	struct noise_link *l = NULL;
	uint8_t our_public[KEY_LEN], ephemeral[KEY_LEN], who[KEY_LEN], nothing[1];

	if (len != sizeof(in) || initiation[2] != MSG_INITIATION ||
		be_get(initiation + 3, 2) != INITIATION_BODY) {
		err_say(eb, ERR_MALFORMED, "malformed handshake initiation");
		return NULL;
	}
	memcpy(&in, initiation, sizeof(in));
	uint16_t version = (uint16_t)be_get(in.version, 2);
	key_public(us->b, our_public);
	noise_link_start(&st, version, our_public);
	noise_mix_hash(&st, in.ephemeral, sizeof(in.ephemeral));
	bool ok = noise_mix_dh(&st, us->b, in.ephemeral) &&
		  noise_open(&st, in.sealed_static, sizeof(in.sealed_static), who) &&
		  noise_mix_dh(&st, us->b, who) && noise_open(&st, in.tag, sizeof(in.tag), nothing);
	if (ok) {
		key_generate(rnd, ephemeral);
		be_put(out.len, 2, RESPONSE_BODY);
		key_public(ephemeral, out.ephemeral);
		noise_mix_hash(&st, out.ephemeral, sizeof(out.ephemeral));
		ok = noise_mix_dh(&st, ephemeral, in.ephemeral) && noise_mix_dh(&st, ephemeral, who);
	}
	if (!ok) {
		err_say(eb, ERR_CRYPTO, "handshake initiation was not made for this server's key");
	} else {
		noise_seal(&st, NULL, 0, out.tag);
		l = link_new(&st, false);
	}
	if (l) {
		memcpy(response, &out, sizeof(out));
		memcpy(client->b, who, sizeof(who));
		*capver = version;
	}
	noise_wipe(&st);
	key_wipe(ephemeral, sizeof(ephemeral));
	return l;
}

/* --------------------------------------------------------------------------------------------------------
 * records */

/* The counter is big-endian, unlike Noise's own. false when it is used up. */
static bool next_nonce(uint64_t *counter, uint8_t nonce[static 12])
{
	if (*counter == UINT64_MAX)
		return false;
	memset(nonce, 0, 4);
	be_put(nonce + 4, 8, (*counter)++);
	return true;
}

/* Length of the record that begins at p (3 bytes there), 0 when it cannot be one. */
static size_t record_len(const uint8_t *p)
{
	size_t body = be_get(p + 1, 2);
	return p[0] == MSG_RECORD && body >= NOISE_TAG && body <= NOISE_RECORD_MAX - HEADER ? HEADER + body
											    : 0;
}

static int open_record(struct noise_link *l, const uint8_t *p, size_t len, struct buf *out)
{
	uint8_t nonce[12];
	uint8_t *to = buf_room(out, len - HEADER);
	if (!to)
		return ERR_TOO_LARGE;
	memcpy(to, p + HEADER, len - HEADER);
	if (!next_nonce(&l->rx_n, nonce) || !aead_open_inplace(l->rx, nonce, to, len - HEADER))
		return ERR_CRYPTO;
	buf_grown(out, len - HEADER - NOISE_TAG);
	return 0;
}

/* Takes what completes the partial record; returns the bytes used. */
static size_t fill_partial(struct noise_link *l, const uint8_t *p, size_t len)
{
	size_t used = 0, want = HEADER;
	for (;;) {
		if (l->have >= HEADER)
			want = record_len(l->partial);
		if (l->have >= want || used == len)
			return used;
		size_t n = want - l->have < len - used ? want - l->have : len - used;
		memcpy(l->partial + l->have, p + used, n);
		l->have += n;
		used += n;
	}
}

static int receive(struct noise_link *l, const uint8_t *p, size_t len, struct buf *out)
{
	while (len) {
		size_t n, whole = 0;
		int err = 0;
		if (!l->have && len >= HEADER && (whole = record_len(p)) && len >= whole) {
			n = whole;
			err = open_record(l, p, n, out);
		} else {
			n = fill_partial(l, p, len);
			whole = l->have >= HEADER ? record_len(l->partial) : 0;
			if (l->have >= HEADER && !whole)
				return ERR_MALFORMED;
			if (whole && l->have == whole) {
				err = open_record(l, l->partial, whole, out);
				l->have = 0;
			}
		}
		if (err)
			return err;
		p += n;
		len -= n;
	}
	return 0;
}

int noise_link_receive(struct noise_link *l, const uint8_t *p, size_t len, struct buf *out)
{
	if (!l->failed)
		l->failed = receive(l, p, len, out);
	return l->failed;
}

int noise_link_send(struct noise_link *l, const void *p, size_t len, struct buf *out)
{
	const uint8_t *from = p;
	do {
		size_t n = len < NOISE_PLAIN_MAX ? len : NOISE_PLAIN_MAX;
		uint8_t nonce[12];
		uint8_t *to = buf_room(out, HEADER + n + NOISE_TAG);
		if (!to)
			return ERR_TOO_LARGE;
		to[0] = MSG_RECORD;
		be_put(to + 1, 2, n + NOISE_TAG);
		if (n)
			memcpy(to + HEADER, from, n);
		if (!next_nonce(&l->tx_n, nonce) || !aead_seal_inplace(l->tx, nonce, to + HEADER, n))
			return ERR_CRYPTO;
		buf_grown(out, HEADER + n + NOISE_TAG);
		from = n ? from + n : from;
		len -= n;
	} while (len);
	return 0;
}
