/* What all manners of answers write alike. */
#ifndef RW_CONTROL_HTTP_VALUES_H
#define RW_CONTROL_HTTP_VALUES_H

#include "mesh/control/fleet/fleet.h"
#include <jansson.h>

json_t *value_time(int64_t ms); /* RFC 3339; FLEET_NO_TIME: null */
json_t *value_addresses(const struct member *m);
json_t *value_strings(const struct ctl_strings *s);
json_t *value_prefixes(const struct ctl_prefixes *p);
json_t *value_key(const uint8_t key[static KEY_LEN], const char *prefix); /* "nodekey:" and the like */
json_t *value_tags(const char *tags);					  /* a list of "tag:a,tag:b" */

#endif
