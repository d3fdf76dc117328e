/* Files that are wrong, and what is said of them. */
#ifndef SIMNET_TEST_WRONG_ROWS_H
#define SIMNET_TEST_WRONG_ROWS_H

#include "simnet/scenario/scenario.h"

struct wrong_row {
	const char *text, *want; /* NULL: right after all */
};
/* Fails with the first row of which something else is said. */
void wrong_rows_check(const struct wrong_row *rows, size_t n);
/* All errors of a text as lines without the last newline, in all; "" = none. */
const char *wrong_errors_of(const char *text, size_t len, struct scn_errors *all);

#define HEAD "simnet: 1\nname: x\n"
#define UPLINKS HEAD "routers:\n  h: {nat: home, uplinks: {dsl: {at: internet}, lte: {at: internet}}}\n"
#define WORLD HEAD "routers:\n  r: {nat: home}\nnodes:\n  a: {at: r}\n  b: {at: internet}\n"

#endif
