/* One sheet of the NAT matrix, run: its network on an engine, a `simnet punch` on every host, and what each pair
 * came to against what the oracle says. */
#ifndef SIMNET_MATRIX_RUN_H
#define SIMNET_MATRIX_RUN_H

#include "simnet/fabric/engine.h"
#include "simnet/matrix/sheet.h"

struct matrix_verdict {		     /* of one cell and protocol */
	enum scn_path expected, got; /* got: PATH_ANY while the two ends do not agree */
	enum scn_path ends[2];	     /* as the caller and the called say */
	bool settled[2];
	uint32_t direct_ms; /* of the later end, since its search began; 0 = not direct */
};
struct matrix_result {
	int code; /* 0, or negative with `why`: nothing below counts */
	struct errbuf why;
	bool unmeasured; /* of code: the machine was too slow to tell what its routers are */
	double slow;	 /* times as slow as an idle machine, while the pairs searched */
	uint32_t build_ms, probe_ms, punch_ms;
	struct matrix_verdict cells[SHEET_CELLS][SHEET_PROTOS]; /* [a * SHEET_CLASSES + b] */
	char reason[SHEET_CELLS][SHEET_PROTOS][96];		/* the oracle's */
};
struct matrix_job {
	const struct sheet *sheet;
	const struct engine_ops *engine;
	const char *program; /* path of simnet, for the punchers */
	bool protos[SHEET_PROTOS];
	uint64_t seed;
	/* Both count on an idle machine, and stretch by how slow this one is. */
	uint64_t try_ms;   /* how long a pair searches before the relay is its verdict */
	uint64_t bound_ms; /* of all pairs together */
};

enum matrix_finding { MATRIX_RIGHT, MATRIX_UNSURE, MATRIX_WRONG };
bool matrix_agrees(const struct matrix_verdict *v);
/* Unsure: what was expected has not come, on a machine slower than bounds stretch. What came though it must not is wrong on any. */
enum matrix_finding matrix_find(const struct matrix_result *r, const struct matrix_verdict *v);
/* In the sandbox. Its return value is result->code. */
int matrix_run(const struct matrix_job *job, struct matrix_result *result);

#endif
