/* Words of the settings that more than one of their readers knows. false: not of that kind, *out is as it was
 * or worthless. */
#ifndef RW_CONTROL_CONFIG_VALUE_H
#define RW_CONTROL_CONFIG_VALUE_H

#include "mesh/base/addr.h"

bool config_value_bool(const char *text, bool *out);
/* "192.0.2.1:80", "[::]:80", ":80" and ":http": every address. */
bool config_value_listen(const char *text, struct endpoint *out);

#endif
