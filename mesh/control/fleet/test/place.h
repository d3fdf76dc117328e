/* A folder of its own for a test. */
#ifndef RW_CONTROL_FLEET_TEST_PLACE_H
#define RW_CONTROL_FLEET_TEST_PLACE_H

#include <stddef.h>

struct place {
	char dir[128];
};
void place_make(struct place *p);
void place_remove(struct place *p);
/* "<dir>/<name>" into out; returns out. */
char *place_path(const struct place *p, const char *name, char out[static 256]);

#endif
