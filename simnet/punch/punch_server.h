/* The rendezvous of `simnet punch`, a core: tells each peer the address that its packets come from, tells two
 * peers of each other when one asks for it, and relays what they say until they hear each other directly.
 *
 * Names are not proven, for its place is a network made for a test: the newest REGISTER of a name holds. What
 * a stranger can make it keep is bounded: PUNCH_CLIENTS_MAX names, each until it was silent for
 * PUNCH_CLIENT_SILENT_US. Every message causes at most two, and goes on only from the address that its `from`
 * registered. */
#ifndef SIMNET_PUNCH_SERVER_H
#define SIMNET_PUNCH_SERVER_H

#include "simnet/punch/punch_wire.h"

enum { PUNCH_CLIENTS_MAX = 512, PUNCH_CLIENT_SILENT_US = 30 * 1000 * 1000, PUNCH_OPEN_TIMES = 3 };
struct punch_client {
	char name[PUNCH_NAME_MAX + 1]; /* empty: a free place */
	struct endpoint at;	       /* as seen here */
	struct endpoint own[PUNCH_PLACES_MAX];
	size_t n_own;
	uint8_t body[PUNCH_BODY_MAX]; /* what it told with its name; goes to whom it is invited to */
	size_t n_body;
	uint64_t heard_us;
	unsigned told_open; /* how often since it is at this address */
};
struct punch_server_drops { /* messages that led to nothing, by reason */
	uint64_t malformed, unregistered, unknown_name, full, unexpected;
};
struct punch_server_ops { /* no call into the server is allowed from it */
	void (*send)(void *owner, const struct endpoint *to, const uint8_t *p, size_t len);
	/* The same from the port after the server's. */
	void (*send_other)(void *owner, const struct endpoint *to, const uint8_t *p, size_t len);
};
struct punch_server {
	const struct punch_server_ops *ops;
	void *owner;
	struct punch_client clients[PUNCH_CLIENTS_MAX];
	struct punch_server_drops drops;
	uint64_t relayed;
};

void punch_server_init(struct punch_server *s, const struct punch_server_ops *ops, void *owner);
void punch_server_received(
	struct punch_server *s, uint64_t now_us, const struct endpoint *from, const uint8_t *p, size_t len);

#endif
