/* The machine's resolv.conf, pointed at our resolver while the node runs and put back afterwards, after a
 * crash too. resolver.md 3.5; tailscale-protocol.md 5.4 (direct mode). */
#ifndef RW_NODE_HOST_OS_DNS_H
#define RW_NODE_HOST_OS_DNS_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/os/loop.h"

struct os_dns;
/* path: resolv.conf. uplinks: the file in which systemd-resolved names the nameservers behind its stub
 * (outlives us). changed: another program rewrote the file. */
struct os_dns *os_dns_open(
	struct loop *l, const char *path, const char *uplinks, void (*changed)(void *arg), void *arg);
/* What a crash left behind is put back. Not while another node of this machine runs: then it is its. */
void os_dns_recover(struct os_dns *d);
void os_dns_close(struct os_dns *d); /* restores */
/* The file says this nameserver and these search domains, then the machine's own search domains and options,
 * until restored. Idempotent. */
int os_dns_set(struct os_dns *d, const struct addr *nameserver, const char *const *search, size_t n,
	struct errbuf *eb);
void os_dns_restore(struct os_dns *d);
bool os_dns_active(const struct os_dns *d);
/* Reads the machine's own file again (behind a link it may change unseen): true when it says something else.
 */
bool os_dns_base_changed(struct os_dns *d);
/* Nameservers of the machine's own file (not ours), at most cap; those behind systemd-resolved where it names
 * its stub: the stub would ask us again. */
size_t os_dns_base(const struct os_dns *d, struct endpoint *out, size_t cap);

#endif
