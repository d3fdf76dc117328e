/* Namespaces of the test's own, as root or as any user. */
#ifndef RW_OS_TEST_OWN_NS_H
#define RW_OS_TEST_OWN_NS_H

#include <stdbool.h>

/* flags as unshare(2) takes them; where that needs rights, inside a user namespace. false: this kernel lets
 * nobody. */
bool own_ns(int flags);

#endif
