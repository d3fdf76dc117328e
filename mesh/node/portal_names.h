/* Names by which systems and browsers find out whether the network wants a login first (a captive portal). */
#ifndef RW_NODE_PORTAL_NAMES_H
#define RW_NODE_PORTAL_NAMES_H

#include <stddef.h>

extern const char *const portal_names[];
extern const size_t portal_names_n;

#endif
