/* What the programs of `simnet punch` say to each other: one message a datagram, or a frame of a stream.
 *
 *   magic "RWp1", kind, nonce (8), from (length, bytes), to (length, bytes),
 *   count, count * (address 16, port 2), body (length, bytes)
 *
 * Numbers are big-endian, addresses as in struct addr, and nothing may follow. The format is ours alone. */
#ifndef SIMNET_PUNCH_WIRE_H
#define SIMNET_PUNCH_WIRE_H

#include "mesh/base/addr.h"

enum punch_kind {
	PUNCH_REGISTER = 1, /* peer to server: from, and its own addresses */
	PUNCH_SEEN,	    /* server to peer: to, and the source of its REGISTER; the nonce of that */
	PUNCH_CALL,	    /* peer to server: from wants to reach to */
	PUNCH_INVITE,	    /* server to peer: from may be reached at these addresses */
	PUNCH_PROBE,	    /* peer to peer, directly or through the server: do you hear me? */
	PUNCH_ANSWER,	    /* the same way back: the source of the probe; its nonce */
	PUNCH_ECHO,	    /* as PROBE, for the echo of others (--echo): nonce says whose datagram */
	PUNCH_ECHOED,
	PUNCH_OPEN, /* server to peer, from its other port: who hears it filters less than by address and port */
	PUNCH_KINDS
};
enum {
	PUNCH_NAME_MAX = 32,  /* bytes of a name */
	PUNCH_PLACES_MAX = 8, /* endpoints of a message */
	PUNCH_BODY_MAX = 64,  /* bytes that an ECHO carries */
	PUNCH_MESSAGE_MAX =
		4 + 1 + 8 + 2 * (1 + PUNCH_NAME_MAX) + 1 + PUNCH_PLACES_MAX * 18 + 1 + PUNCH_BODY_MAX,
};
struct punch_message {
	enum punch_kind kind;
	uint64_t nonce;
	char from[PUNCH_NAME_MAX + 1], to[PUNCH_NAME_MAX + 1]; /* may be empty */
	struct endpoint places[PUNCH_PLACES_MAX];
	size_t n_places;
	uint8_t body[PUNCH_BODY_MAX];
	size_t n_body;
};

/* Small letters, digits and '-', at most PUNCH_NAME_MAX; as names in scenarios are. */
bool punch_name_good(const char *name);
/* The bytes written; 0 when cap is too small. */
size_t punch_message_write(const struct punch_message *m, uint8_t *out, size_t cap);
/* Whole, or false and *out untouched. */
bool punch_message_read(const uint8_t *p, size_t len, struct punch_message *out);

#endif
