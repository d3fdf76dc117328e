/* The official service's REST API, version 2, as its client library and what is built on that call it. The tailnet in a
 * path may be any: there is one. ecosystem.md 2.1. */
#ifndef RW_CONTROL_HTTP_V2_H
#define RW_CONTROL_HTTP_V2_H

#include "mesh/control/http/asked.h"
#include "mesh/control/http/values.h"

/* A time; FLEET_NO_TIME: "", or the zero time of those who read no empty text. */
json_t *v2_time(int64_t ms);
/* A client gives tags that it has itself, and leaves (`had`, NULL = none) what is there; an admin's key gives any. tags:
 * commas between. */
bool v2_may_give(const struct api_call *c, const char *tags, const struct ctl_strings *had);

#endif
