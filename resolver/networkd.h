/* Leases of systemd-networkd's DHCP server, as it keeps them from version 257 on: a file of JSON for each interface, in
 * /var/lib/systemd/network/dhcp-server-lease. */
#ifndef RW_RESOLVER_NETWORKD_H
#define RW_RESOLVER_NETWORKD_H

#include "resolver/hosts.h"

bool networkd_is(const char *text, size_t len); /* by its first byte that is no space */
/* As leases_read; what is no such text has no names. */
int networkd_read(const char *text, size_t len, int64_t now_s, const struct hosts_ops *ops);

#endif
