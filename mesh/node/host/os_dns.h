/* This machine's programs ask our resolver for names while the node runs, and afterwards, after a crash too, whom
 * they asked before. Who has to be told of it is decided by dns_owner.h; each owner has a file, os_dns_*.c.
 * resolver.md 3.5; tailscale-protocol.md 5.4. */
#ifndef RW_NODE_HOST_OS_DNS_H
#define RW_NODE_HOST_OS_DNS_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/node/host/dns_facts.h"
#include "mesh/node/host/dns_owner.h"
#include "mesh/os/loop.h"

struct os_dns_config {
	struct addr nameserver;
	const char *dev; /* the mesh interface */
	const char *const *search;
	size_t n_search;
	/* Names at and below these are asked of the nameserver, and those of `search`; others too with `all`, and
	 * where the machine's owner of names knows only one nameserver for everything. */
	const char *const *match;
	size_t n_match;
	bool all;
};

struct os_dns;
/* places: copied, its strings outlive us. changed: somebody else changed what the machine asks, or the owner has
 * come, gone or refused: os_dns_set is wanted, and os_dns_base may say something else. */
struct os_dns *os_dns_open(
	struct loop *l, const struct dns_places *places, void (*changed)(void *arg), void *arg);
/* What a crash left behind is put back. Not while another node of this machine runs: then it is its. */
void os_dns_recover(struct os_dns *d);
void os_dns_close(struct os_dns *d); /* restores */
/* Until restored. Idempotent. 0: it is so, or is on its way; else why not, in words for people. */
int os_dns_set(struct os_dns *d, const struct os_dns_config *c, struct errbuf *eb);
void os_dns_restore(struct os_dns *d);
/* What our resolver answers is another: an owner that keeps answers forgets them. */
void os_dns_answers_changed(struct os_dns *d);
bool os_dns_active(const struct os_dns *d);
/* Who was chosen, and why; until the first set, who would be. */
const struct dns_choice *os_dns_choice(struct os_dns *d);
/* Active, and asked for some names only: the i-th domain; NULL: no more, or for all. Lent until the next set. */
const char *os_dns_match(const struct os_dns *d, size_t i);
/* Reads the machine's own file again (behind a link it may change unseen): true when it says something else.
 */
bool os_dns_base_changed(struct os_dns *d);
/* Nameservers of the machine's own (not ours), at most cap; those behind systemd-resolved where its stub is
 * named: the stub would ask us again. */
size_t os_dns_base(const struct os_dns *d, struct endpoint *out, size_t cap);

#endif
