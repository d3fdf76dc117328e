/* The machine's own nameservers, for those who must not cut them off. */
#ifndef RW_NODE_NAMESERVERS_H
#define RW_NODE_NAMESERVERS_H

#include "mesh/node/engine.h"
#include "mesh/node/host/os_dns.h"

void nameservers_tell(struct engine *e, struct os_dns *dns);

#endif
