/* What a host is besides its network. A part of scenario.h. */
#ifndef SIMNET_SCENARIO_MACHINE_H
#define SIMNET_SCENARIO_MACHINE_H

#include "simnet/scenario/scenario_error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scn_file {	  /* on the host, written before its program starts */
	const char *path; /* absolute */
	const char *text; /* with templates; or */
	const char *from; /* a file beside the scenario, as it is */
	unsigned mode;
	struct scn_at at;
};
struct scn_env {
	const char *key, *value;
};
struct scn_machine {
	struct scn_env *env; /* of all that runs there */
	size_t n_env;
	const char *user; /* who the node's program runs as, a name or a number; NULL = root */
	struct scn_file *files;
	size_t n_files;
	bool own_clock;	 /* its programs' wall clock is theirs, and */
	int64_t clock_s; /* so far off */
};

#endif
