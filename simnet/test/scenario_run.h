/* Whole runs on the kernel engine, from a text, for tests. */
#ifndef SIMNET_TEST_SCENARIO_RUN_H
#define SIMNET_TEST_SCENARIO_RUN_H

#include "simnet/runner.h"

/* The exit code; *records (free it) gets the JSON lines. Skips the test where no sandbox can be had. */
int scenario_run(const char *text, char **records);
uint64_t scenario_run_ms(void); /* monotonic */

#endif
