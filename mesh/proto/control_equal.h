/* Equality of the lists that control messages are made of: same length, same elements in the same order, where nothing else
 * is said. */
#ifndef RW_PROTO_CONTROL_EQUAL_H
#define RW_PROTO_CONTROL_EQUAL_H

#include "mesh/proto/control.h"

bool ctl_text_equal(const char *a, const char *b); /* NULL is "" */
bool ctl_strings_equal(const struct ctl_strings *a, const struct ctl_strings *b);
bool ctl_strings_same(const struct ctl_strings *a, const struct ctl_strings *b); /* in any order */
bool ctl_prefixes_equal(const struct ctl_prefixes *a, const struct ctl_prefixes *b);
/* NULL: none. */
bool ctl_location_equal(const struct ctl_location *a, const struct ctl_location *b);
bool ctl_endpoints_equal(const struct ctl_endpoints *a, const struct ctl_endpoints *b);
/* To its peers: but for what it measures of its network and the name of its log, of which they make nothing. */
bool ctl_hostinfo_alike(const struct ctl_hostinfo *a, const struct ctl_hostinfo *b);

#endif
