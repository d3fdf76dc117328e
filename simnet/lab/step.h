/* What the kinds of steps share, and those with a file of their own. Private to lab/. A step waits in the
 * lab's loop, bounded by its `within`; each returns 0, or a negative code with the sentence of its failure.
 */
#ifndef SIMNET_STEP_H
#define SIMNET_STEP_H

#include "simnet/lab/lab.h"

double step_seconds(uint64_t ms);
/* Interrupted, a program that died, or nobody who reads the story: the code and sentence are in eb. */
bool step_should_stop(const struct lab *l, struct errbuf *eb);
/* text expanded at node (-1: nobody's). */
int step_expand(struct lab *l, int node, const char *text, struct buf *out, struct errbuf *eb);
/* What a text of the file means at node, for a sentence: expanded, or as it is while it has no value. Returns buf. */
const char *step_words(struct lab *l, int node, const char *text, char *buf, size_t cap);
/* The stream from the step's `from` to its `to`, which runs or begins; NULL with eb. */
struct probe_stream *step_stream(
	struct lab *l, const struct scn_step *st, uint64_t deadline, struct errbuf *eb);

int step_expect(struct lab *l, const struct scn_step *st, struct errbuf *eb); /* step_expect.c */
int step_change(struct lab *l, const struct scn_step *st, struct errbuf *eb); /* step_change.c */
int step_sleep(struct lab *l, const struct scn_step *st, struct errbuf *eb);  /* step_sleep.c */
int step_wake(struct lab *l, const struct scn_step *st, struct errbuf *eb);
int step_clock(struct lab *l, const struct scn_step *st, struct errbuf *eb);
int step_exec(struct lab *l, const struct scn_step *st, struct errbuf *eb); /* step_exec.c: `run` */

#endif
