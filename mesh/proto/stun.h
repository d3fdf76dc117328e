/* STUN binding requests and replies. RFC 8489, tailscale-protocol.md 4.2. */
#ifndef RW_PROTO_STUN_H
#define RW_PROTO_STUN_H

#include "mesh/base/addr.h"

enum { STUN_TX = 12, STUN_REQUEST = 40, STUN_REPLY_MAX = 64 };
bool stun_is(const uint8_t *p, size_t len); /* first two bits 0, cookie, length plausible */
/* SOFTWARE "tailnode" + FINGERPRINT: official servers accept nothing else. */
void stun_request_write(const uint8_t tx[static STUN_TX], uint8_t out[static STUN_REQUEST]);
/* Any RFC 8489 binding request; official says whether it carries the SOFTWARE and a right FINGERPRINT. A
 * wrong FINGERPRINT is malformed. */
bool stun_request_read(const uint8_t *p, size_t len, uint8_t tx[static STUN_TX], bool *official);
size_t stun_reply_write(
	const uint8_t tx[static STUN_TX], const struct endpoint *seen, uint8_t out[static STUN_REPLY_MAX]);
/* Success responses with XOR-MAPPED-ADDRESS (0x0020, 0x8020) or MAPPED-ADDRESS. */
bool stun_reply_read(const uint8_t *p, size_t len, uint8_t tx[static STUN_TX], struct endpoint *seen);

#endif
