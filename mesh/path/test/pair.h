/* Two nodes of a world, and what is asked of them. */
#ifndef RW_PATH_TEST_PAIR_H
#define RW_PATH_TEST_PAIR_H

#include "mesh/path/test/world.h"

struct pair {
	struct world *w;
	struct node *a, *b;
};

/* In homes behind routers of two classes: mapping * 3 + filtering, of either. */
struct pair pair_of(uint64_t seed, int a, int b);
struct pair neighbours_of(uint64_t seed, int a, int b); /* ... whose outer addresses are of one link */
void start_both(struct pair *x);
struct pair easy(uint64_t seed); /* behind ordinary home routers, started */
/* Longest time without an answer while a asks b for so long. */
uint64_t gap(struct pair *x, uint64_t ms);
/* A line of the test's output. */
void note(const char *what, uint64_t ms);

#endif
