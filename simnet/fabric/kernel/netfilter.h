/* Netlink to netfilter, of the network namespace where the process is. */
#ifndef SIMNET_NETFILTER_H
#define SIMNET_NETFILTER_H

#include "mesh/base/err.h"

#include <libmnl/libmnl.h>

/* NULL: *eb has the reason, behind `what`. The caller closes it. */
struct mnl_socket *netfilter_open(const char *what, struct errbuf *eb);
/* Asks for all there is of one kind (linux/netfilter/nfnetlink.h: subsystem << 8 | message), of one nftables
 * table alone where `table` is not NULL; told gets each answer. 0 or a negative errno. */
int netfilter_dump(uint16_t type, uint8_t family, const char *table, mnl_cb_t told, void *arg,
	const char *what, struct errbuf *eb);

#endif
