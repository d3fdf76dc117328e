/* What a sheet of the matrix came to, for people and for programs. */
#ifndef SIMNET_MATRIX_GRID_H
#define SIMNET_MATRIX_GRID_H

#include "simnet/matrix/matrix_run.h"
#include <stdio.h>

struct grid_count {
	unsigned cells, direct, relay, none, wrong, unsure;
};
struct grid_count grid_count(const struct matrix_job *j, const struct matrix_result *r);
/* A table for each protocol, rows call columns, and a line for every cell that is wrong. */
void grid_print(const struct matrix_job *j, const struct matrix_result *r, FILE *out);
/* A line of JSON for each cell. */
void grid_print_json(const struct matrix_job *j, const struct matrix_result *r, FILE *out);

#endif
