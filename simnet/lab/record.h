/* What the record of a run holds besides its story: the network, the plan, each step's beginning and end, every program's
 * lines and states, dropped packets, frames. docs/simnet/runs.md says what each record means. What passes the bounds is left
 * out, and a note says so once. */
#ifndef SIMNET_RECORD_H
#define SIMNET_RECORD_H

#include "simnet/fabric/engine.h"
#include "simnet/report/why.h"

struct lab;
enum {
	RECORD_LINES_MAX = 100000,
	RECORD_DROPS_MAX = 20000,
	RECORD_FRAMES_MAX = 4000,
	RECORD_DROPS_KEPT = 4096
};
struct record {
	unsigned lines, drops;
	/* The newest drops, each as the engine told it: what frames of the capture are looked up in. */
	struct engine_drop kept[RECORD_DROPS_KEPT];
	size_t n_kept; /* ever; the newest are at n_kept - 1, … modulo the size */
};

void record_run(struct lab *l, uint64_t seed);
void record_step(struct lab *l, const struct scn_step *st);
void record_step_end(struct lab *l, const struct scn_step *st, const char *failure); /* NULL: it succeeded */
void record_line(struct lab *l, int node, bool err, const char *line);
void record_program(struct lab *l, int node, const char *state);
void record_drop(struct lab *l, const struct engine_drop *d);
/* The capture at `from` again at `to`, with a comment at each frame that is known to have died; and its newest frames, with all
 * that have a comment, as records. */
int record_capture(struct lab *l, const char *from, const char *to, struct errbuf *eb);

/* Appends what was seen on a link just now as a line of JSON, of kind `glimpse`: for who looks on, and no part of the record.
 * false: it is nobody's story, or memory. */
bool record_glimpse(struct lab *l, const struct capture_glimpse *g, struct buf *out);

/* "alice -> bob", "home.udp", "s: python3 -c …": what a step is about. Returns buf. */
const char *record_step_text(const struct scn_step *st, char *buf, size_t cap);

#endif
