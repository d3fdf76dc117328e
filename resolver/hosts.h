/* Names of machines as other programs keep them, read line by line out of a whole text.
 *
 *   hosts    192.168.1.5 nas.lan nas         the first name is the address's own (PTR)
 *   leases   of dnsmasq: 1700000000 aa:bb:cc:dd:ee:ff 192.168.1.5 nas 01:aa:...
 *            of Kea (memfile, CSV with its heading), of ISC dhcpd (lease 192.168.1.5 { ... }); what comes later on an
 *            address takes the place of what was before; of systemd-networkd (networkd.h)
 *
 * Loopback, unspecified and multicast addresses name nobody to others and are left out, as are leases that are over
 * or released, and names that are none. */
#ifndef RW_RESOLVER_HOSTS_H
#define RW_RESOLVER_HOSTS_H

#include "mesh/base/addr.h"
#include "resolver/name.h"

struct hosts_ops {
	/* own: the address's own name. 0, or a code that ends the reading. */
	int (*entry)(void *arg, const struct addr *ip, const struct dns_name *name, bool own);
	void *arg;
};
/* 0 or the code of an entry; -ENOMEM. */
int hosts_read(const char *text, size_t len, const struct hosts_ops *ops);
/* now_s: Unix time. */
int leases_read(const char *text, size_t len, int64_t now_s, const struct hosts_ops *ops);

#endif
