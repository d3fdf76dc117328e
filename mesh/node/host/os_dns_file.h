/* The owner "file": resolv.conf itself, pointed at our resolver while the node runs and put back afterwards,
 * after a crash too. resolver.md 3.5; tailscale-protocol.md 5.4 (direct mode). */
#ifndef RW_NODE_HOST_OS_DNS_FILE_H
#define RW_NODE_HOST_OS_DNS_FILE_H

#include "mesh/base/addr.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/os/loop.h"

struct os_dns_file;
/* path: resolv.conf. uplinks: the file in which systemd-resolved names the nameservers behind its stub
 * (outlives us). changed: another program rewrote the file. */
struct os_dns_file *os_dns_file_open(
	struct loop *l, const char *path, const char *uplinks, void (*changed)(void *arg), void *arg);
/* What a crash left behind is put back. Not while another node of this machine runs: then it is its. */
void os_dns_file_recover(struct os_dns_file *d);
void os_dns_file_close(struct os_dns_file *d); /* restores */
/* The file says this nameserver and these search domains, then the machine's own search domains and options,
 * until restored. Idempotent. */
int os_dns_file_set(struct os_dns_file *d, const struct addr *nameserver, const char *const *search, size_t n,
	struct errbuf *eb);
void os_dns_file_restore(struct os_dns_file *d);
/* How it is taken; while it is not. as_link: the file becomes a link to one beside it, which programs that write
 * only files leave alone. kept: the file where its owner goes on to say what the machine's own would ("": that
 * itself); what it says goes back in the end. */
void os_dns_file_way(struct os_dns_file *d, bool as_link, const char *kept);
/* News of changes (of resolv.conf, kept, uplinks) are wanted from now on; set wants them too. */
void os_dns_file_watch(struct os_dns_file *d);
/* What the machine's own file says, lent; own: its path, which is another while ours is in its place; missing:
 * there was none. */
const struct buf *os_dns_file_text(const struct os_dns_file *d, const char **own, bool *missing);
bool os_dns_file_active(const struct os_dns_file *d);
/* Reads the machine's own file again (behind a link it may change unseen): true when it says something else.
 */
bool os_dns_file_base_changed(struct os_dns_file *d);
/* Nameservers of the machine's own file (not ours), at most cap; those behind systemd-resolved where it names
 * its stub: the stub would ask us again. */
size_t os_dns_file_base(const struct os_dns_file *d, struct endpoint *out, size_t cap);

#endif
