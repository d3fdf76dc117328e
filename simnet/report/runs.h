/* Records of finished runs, read back, and what is made of them: the failure's story, a run step by step, two runs compared, a
 * page. The only reader of run.jsonl (docs/simnet/runs.md); what it reads may come from strangers. */
#ifndef SIMNET_RUNS_H
#define SIMNET_RUNS_H

#include "mesh/base/err.h"
#include <stddef.h>
#include <stdio.h>

struct runs; /* in the order of their ends */

/* Whole or nothing: ERR_MALFORMED names the line that is no record. A last line without a newline was being written when the run
 * was killed, and is left out; so is what follows the last end, but for a run that has none at all. The caller frees. */
int runs_read(const char *text, size_t len, struct runs **out, struct errbuf *eb);
void runs_free(struct runs *r); /* NULL is fine */
size_t runs_count(const struct runs *r);

struct runs_look {
	FILE *out;
	bool colour;
	const char *folder; /* where it was read from, for what to type next */
};
/* The steps, then what is known of the one that failed; or of step `step`, from 1. ERR_REFUSED: there is no such. */
int runs_explain(
	const struct runs *r, size_t run, unsigned step, const struct runs_look *look, struct errbuf *eb);
/* How many steps the file has. */
unsigned runs_steps(const struct runs *r, size_t run);
/* What happened in a step (0: before the first), and how things stood at its end. */
void runs_replay(const struct runs *r, size_t run, unsigned step, const struct runs_look *look);
/* How things stood t seconds after the beginning. */
void runs_state(const struct runs *r, size_t run, double t, const struct runs_look *look);
/* The first difference, with both sides; 0 = none, 1 = one. Times and numbers that the kernel chooses are no difference. */
int runs_diff(const struct runs *a, const struct runs *b, size_t run, const struct runs_look *look);

#endif
