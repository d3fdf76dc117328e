/* Inside of runner.h: one run, for runner.c, run_end.c and stay.c only. */
#ifndef SIMNET_RUN_IN_H
#define SIMNET_RUN_IN_H

#include "simnet/lab/failure.h"
#include "simnet/lab/lab.h"
#include "simnet/runner.h"

struct run {
	struct runner *r;
	struct lab lab;
	struct loop_signal *signals[3];
	struct loop_timer *drop_timer, *timeout;
	struct live *live;
	struct slowness_mark slow;   /* at the beginning of the step */
	struct failure_drops drops;  /* since the step began */
	struct shell_server *shells; /* NULL: nobody can call */
	struct errbuf lost;	     /* the first that was to be kept and could not be written */
	char work[64];
	char lacks
		[128]; /* the program that is not here; "" = none, or it is something else that the machine lacks */
};

/* runner.c: one step with its record; 0, or negative with a sentence. */
int run_step(struct run *run, const struct scn_step *st, struct errbuf *eb);
/* run_end.c. How far a run came before it ended: */
enum stage { STAGE_CHECK, STAGE_BUILD, STAGE_RUN };
/* What it comes to: an exit code of runner.h. */
int run_exit_code(const struct run *run, int err, enum stage stage);
/* The last record. start: clock_now_ms() when it began. */
void run_tell_end(struct run *run, int code, const char *message, uint64_t start);
/* What failed, then why; message gets the sentence with its place. */
void run_tell_failure(struct run *run, const struct errbuf *eb, char *message, size_t cap);

/* stay.c: the network stays, and takes steps by `simnet inject`, until an interrupt. why: told first. */
void stay(struct run *run, const char *why);
/* Before a step: waits for Enter, and takes steps meanwhile. *stop becomes false when no more is to be asked. */
void stay_before(struct run *run, const struct scn_step *st, bool *stop);

#endif
