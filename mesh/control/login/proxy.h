/* Who has come, when proxies stand in between: the nearest address that is no trusted proxy's. What anybody else says in
 * X-Forwarded-For is not looked at. */
#ifndef RW_CONTROL_LOGIN_PROXY_H
#define RW_CONTROL_LOGIN_PROXY_H

#include "mesh/proto/control_node.h"

/* *at: the address that is known so far (first that of the connection), made that of who stands behind it. value: of one
 * X-Forwarded-For header; with several, the last comes first. false: *at is who has come, and no earlier header counts. */
bool proxy_step(const struct ctl_prefixes *trusted, const char *value, struct addr *at);

#endif
