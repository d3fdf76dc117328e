/* A network from a text, on an engine, probed, with programs on its hosts: what the matrix and the sweep share. In
 * the sandbox. */
#ifndef SIMNET_MATRIX_TRIAL_H
#define SIMNET_MATRIX_TRIAL_H

#include "mesh/base/buf.h"
#include "simnet/fabric/engine.h"
#include "simnet/host/hosts.h"

struct trial {
	struct scenario s;
	struct hosts *hosts;
	const struct engine_ops *ops;
	struct engine *engine;
	uint32_t build_ms, probe_ms;
};
/* t is all zero before. Whatever comes of it, trial_close is called. 0 or a negative code with eb. */
int trial_open(struct trial *t, const struct buf *text, const struct engine_ops *ops, uint64_t seed,
	struct errbuf *eb);
/* The end of a pipe (CLOEXEC, the caller's) with the program's standard output, or a negative code. It ends with the
 * trial at the latest. */
int trial_start(struct trial *t, const char *host, const char *const *argv, struct errbuf *eb);
/* Starts argv and waits for its first byte of output: it is ready. The same. */
int trial_start_server(struct trial *t, const char *host, const char *const *argv, struct errbuf *eb);
void trial_close(struct trial *t);

#endif
