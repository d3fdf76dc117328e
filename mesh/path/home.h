/* The choice of the home relay. */
#ifndef RW_PATH_HOME_H
#define RW_PATH_HOME_H

#include "mesh/path/path.h"

bool home_is_only_choice(const struct path *p); /* nothing to measure for */
void home_pick(struct path *p);
void home_tick(struct path *p);
/* A relay came up, or a try failed. true: it is the home, which was not known to be down, or is back. */
bool home_relay_told(struct path *p, int32_t region, bool up);

#endif
