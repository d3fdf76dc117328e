/* A condition on a number, as `is: ">= 3"` of a `run` step says it. Pure. */
#ifndef SIMNET_CONDITION_H
#define SIMNET_CONDITION_H

#include <stdbool.h>

enum condition_op {
	CONDITION_LESS,
	CONDITION_AT_MOST,
	CONDITION_MORE,
	CONDITION_AT_LEAST,
	CONDITION_IS,
	CONDITION_IS_NOT,
	CONDITION_OPS
};
struct condition {
	enum condition_op op;
	double value;
};
/* Whether text begins with an operator (< <= > >= == !=) and so is meant as a condition. */
bool condition_meant(const char *text);
/* false: an operator without a number, or not a condition at all. */
bool condition_parse(const char *text, struct condition *out);
/* Whether some line of text is a number and fits. */
bool condition_holds(const struct condition *c, const char *lines);

#endif
