/* A misspelt word of a file, and what it may be meant to be: kept with each error that knows, and put in its place. */
#ifndef SIMNET_SCENARIO_FIX_H
#define SIMNET_SCENARIO_FIX_H

#include "simnet/scenario/scenario_error.h"

/* Keeps the nearest of names (NULL-terminated), unless two are as near. all may be NULL. */
void scenario_fix_keep(struct scn_errors *all, struct scn_at at, const char *word, const char *const *names);
/* Puts one into the text of its file, where the word stands at that place on the line. */
bool scenario_fix_apply(const struct scn_fix *fix, struct buf *text);
/* From the last place of a file to the first, so that each is still where it was. */
void scenario_fix_sort(struct scn_errors *all);

#endif
