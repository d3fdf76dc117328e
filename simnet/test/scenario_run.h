/* Whole runs, from a text, for tests. */
#ifndef SIMNET_TEST_SCENARIO_RUN_H
#define SIMNET_TEST_SCENARIO_RUN_H

#include "simnet/runner.h"

/* On the engine that chooses by itself, with seed 1. The exit code; *records (free it) gets the JSON lines. Skips the test where no sandbox can be had. */
int scenario_run(const char *text, char **records);
/* The same on another engine, with a folder for what --out keeps; out_dir may be NULL. */
int scenario_run_on(const struct engine_ops *engine, const char *text, const char *out_dir, char **records);
uint64_t scenario_run_ms(void); /* monotonic */

#endif
