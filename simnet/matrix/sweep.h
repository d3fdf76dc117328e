/* Every way that a user's network could be, at once: behind a router for each guess the NAT is measured, as the
 * user's program did, and a hole puncher reaches for a peer. Says which guesses come out as the report. */
#ifndef SIMNET_MATRIX_SWEEP_H
#define SIMNET_MATRIX_SWEEP_H

#include "simnet/fabric/engine.h"
#include "simnet/matrix/sheet.h"
#include "simnet/natprobe/user_report.h"
#include <stdio.h>

enum { SWEEP_GUESSES = SHEET_CLASSES + 1 }; /* the last: UDP is blocked */
struct sweep_row {
	struct user_guess guess;
	bool seen_known;
	struct user_report seen;
	enum scn_path path;	/* to the peer; PATH_ANY: not settled in time */
	enum scn_path expected; /* by the oracle; PATH_ANY = it cannot say */
	bool unsure;		/* the machine was too slow: what is known of this guess is not what it is */
	const char *
		differs; /* static text: from the report, or the path from what was seen; NULL = reproduces */
};
struct sweep_result {
	int code;
	struct errbuf why;
	bool unmeasured; /* of code: the machine was too slow to tell what its routers are */
	double slow;	 /* times as slow as an idle machine, in the slower of both phases */
	struct sweep_row rows[SWEEP_GUESSES];
};
struct sweep_job {
	const struct user_report *report;
	const char *peer;  /* `nat` of the peer's router */
	enum scn_path saw; /* the path that the user saw to such a peer; PATH_ANY = not said */
	const struct engine_ops *engine;
	const char *program;
	uint64_t seed;
};
/* false: memory. */
bool sweep_write(const char *peer, struct buf *out);
struct user_guess sweep_guess(int i);
/* Fills `differs` and `unsure` of every row. */
void sweep_judge(const struct sweep_job *j, struct sweep_result *r);
void sweep_print(const struct sweep_job *j, const struct sweep_result *r, bool json, FILE *out);
/* In the sandbox. Its return value is result->code. */
int sweep_run(const struct sweep_job *j, struct sweep_result *result);

#endif
