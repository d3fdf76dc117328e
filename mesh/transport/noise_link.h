/* ts2021 Noise: handshake messages and the record layer, pure (no stream). tailscale-protocol.md 1.5. */
#ifndef RW_TRANSPORT_NOISE_LINK_H
#define RW_TRANSPORT_NOISE_LINK_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/base/noise.h"

enum { NOISE_INITIATION = 101, NOISE_RESPONSE = 51, NOISE_RECORD_MAX = 4096, NOISE_PLAIN_MAX = 4077 };

struct noise_link;	/* an established session: keys, counters, partial record */
struct noise_initiator; /* between initiation and response; wiped on free */

struct noise_initiator *noise_initiate(const struct machine_private *us, const struct machine_key *server,
	uint16_t capver, const struct random *rnd, uint8_t out[static NOISE_INITIATION]);
/* Consumes the response; on success the link is returned and the initiator is freed; NULL on failure (freed
 * too). An error frame (type 3) fails with its text, quoted, in eb. */
struct noise_link *noise_finish(struct noise_initiator *i, const uint8_t *msg, size_t len, struct errbuf *eb);
void noise_initiator_free(struct noise_initiator *i);
/* Whole length of the handshake message that begins with these bytes, 0 when more are needed to tell. */
size_t noise_response_len(const uint8_t *p, size_t len);

struct noise_link *noise_respond(const struct machine_private *us, const uint8_t *initiation, size_t len,
	const struct random *rnd, uint8_t response[static NOISE_RESPONSE], struct machine_key *client,
	uint16_t *capver, struct errbuf *eb);
void noise_link_free(struct noise_link *l);		    /* wipes; NULL is fine */
const uint8_t *noise_link_hash(const struct noise_link *l); /* the handshake's hash, NOISE_HASH bytes */
/* Stream bytes in; plaintext appended to out. 0 or a code; any failure is final. */
int noise_link_receive(struct noise_link *l, const uint8_t *p, size_t len, struct buf *out);
/* Plaintext in (any length, split into records); stream bytes appended to out. */
int noise_link_send(struct noise_link *l, const void *p, size_t len, struct buf *out);

#endif
