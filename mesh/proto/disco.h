/* disco packets: sealed peer-to-peer path messages. tailscale-protocol.md 3.1. */
#ifndef RW_PROTO_DISCO_H
#define RW_PROTO_DISCO_H

#include "mesh/base/addr.h"
#include "mesh/base/key.h"

enum { DISCO_HEADER = 62, DISCO_MAX = 1500, DISCO_TX = 12, DISCO_ENDPOINTS_MAX = 64 };
enum disco_type { DISCO_PING = 1, DISCO_PONG = 2, DISCO_CALL_ME_MAYBE = 3 };

struct disco_message {
	uint8_t type; /* others than the three above are reported with nothing decoded */
	uint8_t tx[DISCO_TX];
	struct node_key node;				/* ping */
	struct endpoint seen;				/* pong: source address observed */
	struct endpoint endpoints[DISCO_ENDPOINTS_MAX]; /* call-me-maybe */
	size_t n_endpoints;
	size_t padding; /* ping: zero bytes behind */
};
bool disco_is(const uint8_t *p, size_t len);				/* magic and minimum length */
bool disco_sender(const uint8_t *p, size_t len, struct disco_key *out); /* clear header */
/* Opens with the shared key of (our private, sender). scratch[len]. Whole or nothing. */
bool disco_read(const uint8_t *p, size_t len, const struct box_key *shared, struct disco_message *out);
/* Into out[DISCO_MAX]; returns the length, 0 when it does not fit. */
size_t disco_write(const struct disco_message *m, const struct disco_key *us, const struct box_key *shared,
	const uint8_t nonce[static BOX_NONCE], uint8_t *out);

#endif
