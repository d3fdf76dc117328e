/* Inside of runs.h, for its files only. */
#ifndef SIMNET_RUNS_IN_H
#define SIMNET_RUNS_IN_H

#include "simnet/report/runs.h"

#include <jansson.h>
#include <stdio.h>

struct run {
	json_t *records;   /* array, in the order they were written */
	const json_t *end; /* of kind pass, fail, skip or error; NULL: it was killed */
};
struct runs {
	struct run *list;
	size_t n;
};

/* "" where there is none. */
const char *record_text(const json_t *r, const char *key);
/* To a terminal: what programs, captures and other people's files say moves no cursor there and begins no line. */
void put_clean(FILE *out, const char *s);
void put_field(FILE *out, const json_t *r, const char *key); /* record_text, clean */
double record_number(const json_t *r, const char *key);
bool record_is(const json_t *r, const char *kind);
/* The record belongs to a step when it was told while that ran: where the step's records begin and end. 0 = before the first
 * step. false: it did not run. */
bool run_step_range(const struct run *run, unsigned step, size_t *from, size_t *to);
const json_t *run_find(const struct run *run, const char *kind, unsigned step); /* the first; step 0 = any */

#endif
