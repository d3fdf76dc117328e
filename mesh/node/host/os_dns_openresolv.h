/* The owner openresolv: resolvconf(8) is told of the mesh's interface as the one whose nameserver alone counts (-x), and
 * writes resolv.conf. resolver.md 3.5. */
#ifndef RW_NODE_HOST_OS_DNS_OPENRESOLV_H
#define RW_NODE_HOST_OS_DNS_OPENRESOLV_H

#include "mesh/base/err.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/os/loop.h"

struct os_dns_openresolv;
/* Of places its own folder, resolv.conf and the wait are used; the strings outlive us. changed: it refused, or may be asked
 * again, or other interfaces say something else; called from the loop. NULL: memory is short. */
struct os_dns_openresolv *os_dns_openresolv_open(
	struct loop *l, const struct dns_places *places, void (*changed)(void *arg), void *arg);
void os_dns_openresolv_close(struct os_dns_openresolv *d); /* restores; NULL is fine */
/* What a node that was killed told it is taken back. Waits for it. */
void os_dns_openresolv_recover(struct os_dns_openresolv *d);
/* 0: it is told, or is on its way; what comes of it is said by os_dns_openresolv_refused after `changed`. */
int os_dns_openresolv_set(struct os_dns_openresolv *d, const struct os_dns_config *c, struct errbuf *eb);
void os_dns_openresolv_restore(struct os_dns_openresolv *d); /* waits for it */
bool os_dns_openresolv_active(const struct os_dns_openresolv *d);
const char *os_dns_openresolv_refused(const struct os_dns_openresolv *d); /* "": not */
/* What other interfaces say, read again: true when it is something else. */
bool os_dns_openresolv_base_changed(struct os_dns_openresolv *d);
size_t os_dns_openresolv_base(const struct os_dns_openresolv *d, struct endpoint *out, size_t cap);

#endif
