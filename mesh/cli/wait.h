/* Waiting for a state of the daemon. */
#ifndef RW_CLI_WAIT_H
#define RW_CLI_WAIT_H

#include "mesh/cli/cli.h"

/* ipn.State of the bus. */
enum {
	STATE_NEEDS_LOGIN = 2,
	STATE_NEEDS_APPROVAL = 3,
	STATE_STOPPED = 4,
	STATE_STARTING = 5,
	STATE_RUNNING = 6
};

/* timeout_ms 0 = none. CLI_OK, CLI_TIMEOUT (not told), or another code (told). */
int wait_for_state(struct cli *c, int state, uint64_t timeout_ms);

#endif
