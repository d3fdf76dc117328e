/* nf_tables by netlink: what a program needs that loads its rules with nft(8), in one transaction, and wants
 * to know later whether they are still there. Tables of family inet, in the calling thread's network
 * namespace. */
#ifndef RW_OS_NFT_H
#define RW_OS_NFT_H

#include "mesh/base/err.h"
#include <stdbool.h>

/* How many chains and sets the table holds; -ENOENT: there is no such table. */
int nft_table_size(const char *table, struct errbuf *eb);
/* Removes it with all that is in it; one that is not there is no error. */
int nft_table_del(const char *table, struct errbuf *eb);

/* A non-blocking fd, readable when somebody changes the rules of this namespace. Needs CAP_NET_ADMIN. */
int nft_watch_open(struct errbuf *eb);
/* Takes all news. *removed becomes true when a rule, chain, set or the whole of this table was removed, or
 * news were lost, and false when the table was made: a program that loads it whole, in place of an old one,
 * knows afterwards whether anybody has been at it since. */
void nft_watch_read(int fd, const char *table, bool *removed);

#endif
