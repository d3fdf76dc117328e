/* What `simnet probe` and its servers say to each other, by datagrams or in frames of a stream (carrier.h). All
 * messages have one size, so that nobody gets more than he sent:
 *
 *   magic "RWq1", kind, answers, two bytes of 0, nonce (8), delay ms (4), address (16), port (2), 0 to the end
 *
 * Numbers are big-endian, addresses as in struct addr. The format is ours alone; what is asked is RFC 5780's. */
#ifndef SIMNET_NATPROBE_WIRE_H
#define SIMNET_NATPROBE_WIRE_H

#include "mesh/base/addr.h"

enum natprobe_kind {
	NATPROBE_ASK = 1, /* client to server */
	NATPROBE_PASS,	  /* server to the other one: answer the client at `at` */
	NATPROBE_ANSWER,  /* server to client: at = how it is seen; answers = who it is from, one bit */
	NATPROBE_HAIRPIN, /* client to its own mapping */
	NATPROBE_KINDS
};
enum { /* who is to answer, seen from the server that is asked */
	NATPROBE_SELF = 1,
	NATPROBE_OTHER_PORT = 2,
	NATPROBE_OTHER_HOST = 4,
	NATPROBE_BY_TCP = 8, /* PASS alone: dial, do not send */
	NATPROBE_ANSWERS = 15,
	NATPROBE_SIZE = 64,
	NATPROBE_DELAY_MAX_MS = 600000,
};
struct natprobe_message {
	enum natprobe_kind kind;
	unsigned answers;
	uint64_t nonce;
	uint32_t delay_ms; /* of SELF's answer */
	struct endpoint at;
};
void natprobe_message_write(const struct natprobe_message *m, uint8_t out[static NATPROBE_SIZE]);
/* Whole, or false and *out untouched. */
bool natprobe_message_read(const uint8_t *p, size_t len, struct natprobe_message *out);

#endif
