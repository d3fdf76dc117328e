/* What a node changes of the machine that its end alone does not undo, written down (state folder, `changes`)
 * before it is done: whatever ended the node, the next start, or `ropewalkd --cleanup`, finds it and undoes
 * it. Addresses and routes are not in it: the kernel removes them with the interface, and that with its
 * process. */
#ifndef RW_NODE_HOST_JOURNAL_H
#define RW_NODE_HOST_JOURNAL_H

#include "mesh/base/err.h"
#include "mesh/os/netlink.h"
#include <stdbool.h>

struct journal;
/* dir exists, and its lock is held. What a former run left is in it. NULL: eb says why. */
struct journal *journal_open(const char *dir, struct errbuf *eb);
void journal_close(struct journal *j); /* the file stays; NULL is fine */

/* On disk when it returns: then make the change. A disk that is full is no reason to do without a network:
 * that is logged, and the next call writes what is missing. */
void journal_add_rule(struct journal *j, const struct nl_rule *r);
void journal_add_nft(struct journal *j, const char *table);
void journal_add_resolv_conf(struct journal *j, const char *path);
void journal_add_table(
	struct journal *j, uint32_t table); /* of routes, some of which outlive the interface */
/* It has been undone. The worst that a failure to write does is that it is undone twice. */
void journal_remove_rule(struct journal *j, const struct nl_rule *r);
void journal_remove_nft(struct journal *j, const char *table);
void journal_remove_resolv_conf(struct journal *j, const char *path);
void journal_remove_table(struct journal *j, uint32_t table);

/* Undoes all that is in it, the last first, but for what is about the table `keep` (0: none). resolv_conf puts such a file back, and says whether it could.
 * What cannot be undone stays, and the first reason is returned. */
int journal_undo(struct journal *j, uint32_t keep, bool (*resolv_conf)(void *arg, const char *path),
	void *arg, struct errbuf *eb);
bool journal_is_empty(const struct journal *j);

#endif
