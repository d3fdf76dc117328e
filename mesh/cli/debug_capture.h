/* debug capture: packets inside the tunnel into a file. */
#ifndef RW_CLI_DEBUG_CAPTURE_H
#define RW_CLI_DEBUG_CAPTURE_H

#include "mesh/cli/cli.h"

struct capture_options {
	const char *file; /* "-": standard output; NULL: not said */
	bool raw;
	uint64_t count; /* 0: until it is interrupted */
};
int capture_run(struct cli *c, const struct capture_options *o); /* enum cli_exit */

#endif
