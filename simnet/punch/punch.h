/* `simnet punch`: a plain hole puncher over UDP and TCP, as a program: the rendezvous server, a peer, or a
 * question to a peer that runs. What it does is in punch_peer.h and punch_server.h; what it prints, a line of
 * JSON for each event, in docs. */
#ifndef SIMNET_PUNCH_H
#define SIMNET_PUNCH_H

#include "mesh/base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct punch_options { /* as given; NULL and 0 = not */
	const char *serve, *server, *name, *call, *proto, *socket, *status;
	uint64_t port, try_ms, beat_ms, echo;
};
enum { PUNCH_TRY_MS = 3000, PUNCH_BEAT_MS = 1000 };

/* Runs until SIGINT or SIGTERM (status: until it is told). 0, -EINVAL for options that make no sense, or
 * another negative code; always with a sentence. */
int punch_run(const struct punch_options *o, struct errbuf *eb);

#endif
