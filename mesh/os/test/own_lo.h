/* Addresses on lo of a namespace that is the test's own. */
#ifndef RW_OS_TEST_OWN_LO_H
#define RW_OS_TEST_OWN_LO_H

#include <stddef.h>

/* lo is up and has these prefixes, as "192.0.2.1/32", besides its own; the test fails where that cannot be. */
void own_lo(const char *const *local, size_t n);

#endif
