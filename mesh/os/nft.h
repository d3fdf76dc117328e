/* nf_tables by netlink: what a program needs that loads its rules with nft(8), in one transaction, and wants
 * to know later whether they are still there. Tables of family inet, in the calling thread's network
 * namespace. */
#ifndef RW_OS_NFT_H
#define RW_OS_NFT_H

#include "mesh/base/err.h"
#include <stdbool.h>
#include <stddef.h>

/* A socket to the calling thread's network namespace, by which another thread may ask and change what is there. Once
 * something failed on it, it is of no use but to be closed. */
struct nft_line;
struct nft_line *nft_line_open(struct errbuf *eb);
void nft_line_close(struct nft_line *l); /* NULL is fine */

/* How many chains and sets the table holds; -ENOENT: there is no such table. l NULL: by a socket of its own. */
int nft_table_size(struct nft_line *l, const char *table, struct errbuf *eb);
/* Removes it with all that is in it; one that is not there is no error. */
int nft_table_del(const char *table, struct errbuf *eb);

/* Elements of a set of the table (ipv4_addr, ipv6_addr: a type without intervals, timeouts and data). */
struct nft_elements {
	const char *set;
	bool remove; /* else added; one that is there is no error, one that is to go and is not there is -ENOENT */
	const void *key; /* borrowed: n keys of key_len bytes, each `stride` behind the one before */
	size_t n, key_len, stride;
};
enum { NFT_ELEMENTS_MAX = 256 }; /* of all lists together */
/* All of it or nothing, in one transaction: some ten microseconds, and the wait for whoever changes rules or interfaces
 * of this machine at that moment. -E2BIG: too many for one message. l NULL: by a socket of its own. */
int nft_elements_change(
	struct nft_line *l, const char *table, const struct nft_elements *v, size_t n, struct errbuf *eb);

/* A table of anybody's, of IPv4 or IPv6 or both, that drops what is forwarded unless a rule of it says otherwise, and has no
 * rule that names this interface. */
struct nft_barrier {
	char table[64];
	bool docker, ufw; /* it has the chain that docker, or ufw, leaves to the user */
};
bool nft_forward_barrier(const char *ifname, bool v4,
	struct nft_barrier *out); /* false: there is none, or it cannot be told */

/* A non-blocking fd, readable when somebody changes the rules of this namespace. Needs CAP_NET_ADMIN. */
int nft_watch_open(struct errbuf *eb);
/* Takes all news. *removed becomes true when a rule, chain, set or the whole of this table was removed, or
 * news were lost, and false when the table was made: a program that loads it whole, in place of an old one,
 * knows afterwards whether anybody has been at it since. */
void nft_watch_read(int fd, const char *table, bool *removed);

#endif
