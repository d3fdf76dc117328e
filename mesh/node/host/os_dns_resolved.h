/* The owner systemd-resolved: it is told over the system bus that names are asked of our resolver, for the mesh's
 * interface alone. resolver.md 3.5. */
#ifndef RW_NODE_HOST_OS_DNS_RESOLVED_H
#define RW_NODE_HOST_OS_DNS_RESOLVED_H

#include "mesh/base/err.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/os/loop.h"

struct os_dns_resolved;
/* bus: the system bus's socket (outlives us). changed: it refused or came back, somebody else changed what it was
 * told, or the nameservers of other interfaces are others; called from the loop. NULL: memory is short. */
struct os_dns_resolved *os_dns_resolved_open(
	struct loop *l, const char *bus, void (*changed)(void *arg), void *arg);
void os_dns_resolved_close(struct os_dns_resolved *d); /* restores; NULL is fine */
/* It is told, unless it knows. 0 says that it is on its way: what comes of it is said by os_dns_resolved_refused
 * after `changed`. -EBUSY: somebody else undoes it again and again. */
int os_dns_resolved_set(struct os_dns_resolved *d, const struct os_dns_config *c, struct errbuf *eb);
/* `changed` is wanted when it starts. */
void os_dns_resolved_listen(struct os_dns_resolved *d);
void os_dns_resolved_restore(struct os_dns_resolved *d);
/* Names are others now: what it keeps of them is thrown away, at once or a little later. */
void os_dns_resolved_flush(struct os_dns_resolved *d);
bool os_dns_resolved_active(const struct os_dns_resolved *d); /* it was told */
/* Why it is of no use to tell it: "it has no right ..."; "" = it is. Forgotten when it starts anew. */
const char *os_dns_resolved_refused(const struct os_dns_resolved *d);
/* What it was told last: is it asked of us for everything, and if not, for which domains? NULL: no more. Lent until
 * the next set. */
bool os_dns_resolved_all(const struct os_dns_resolved *d);
const char *os_dns_resolved_domain(const struct os_dns_resolved *d, size_t i);

#endif
