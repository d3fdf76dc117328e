/* Parts of the scenario reader; used by scenario.c only. */
#ifndef SIMNET_SCENARIO_READ_H
#define SIMNET_SCENARIO_READ_H

#include "simnet/scenario/yaml.h"

/* Replaces {matrix.KEY} in every scalar of root by the words of combination `variant`; fills the scenario's
 * variant fields. A file without a matrix has one variant. */
int matrix_expand(struct yaml_reader *y, struct yaml_value *root, size_t variant, struct scenario *s);

/* list: the value of `steps`, or NULL. Routers and nodes of s are there already. */
int steps_read(struct yaml_reader *y, const struct yaml_value *list, struct scenario *s);

#endif
